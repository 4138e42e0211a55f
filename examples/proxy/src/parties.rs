//! The two ends of the proofs: an agent, and a tool behind a guard.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use aims::agent::{RequestAuth, SignedResponses};
use aims::cred::{Bundle, FixedSource, Identity, TrustStore, WitIssuer};
use aims::fetch::Fetcher;
use aims::guard::HttpSignatures;
use aims::id::WorkloadId;
use aims::jose::alg::Algorithm;
use aims::jose::key::SigningKey;
use aims::jose::provider;
use aims::jose::time::UnixTime;
use aims::record::{Event, Record};
use aims::{Agent, Guard, Principal};
use axum::Router;
use http::header::{CONTENT_TYPE, HeaderMap};
use http::{Method, Uri};
use tokio::net::TcpListener;

use crate::Failure;

const AGENT: &str = "spiffe://example.org/agent";
const TOOL: &str = "spiffe://example.org/tool";

/// The issuer of both identities. A deployment uses SPIRE or `aims authority serve` instead.
pub(crate) struct Issuer {
    key: SigningKey,
    trust: Arc<TrustStore>,
}

impl Issuer {
    pub(crate) fn new() -> Result<Self, Failure> {
        let key = SigningKey::generate(Algorithm::Es256, provider::default())?;
        let key = key.with_key_id("proxy-example");
        let jwk = key.public_jwk().clone().with_use("wit-svid").to_json();
        let document = format!(r#"{{"keys":[{jwk}]}}"#);
        let origin = "spiffe://example.org".parse()?;
        let bundle = Bundle::parse(&origin, document.as_bytes(), provider::default())?;
        let trust = Arc::new(TrustStore::of([bundle]));
        Ok(Self { key, trust })
    }

    /// Creates an identity with its own key.
    fn identity(&self, id: &str) -> Result<FixedSource, Failure> {
        let key = SigningKey::generate(Algorithm::Es256, provider::default())?;
        let issuer = WitIssuer::new(Arc::new(self.key.clone()), None);
        let minutes = Duration::from_secs(600);
        let id = WorkloadId::parse(id)?;
        let wit = issuer.issue(&id, key.public_jwk(), minutes, UnixTime::now())?;
        let public = key.public_jwk().clone();
        let identity = Identity::new(wit.into_secret(), Arc::new(key), &public)?;
        Ok(FixedSource::new(identity))
    }

    /// Creates the agent twice: with WPTs as proofs, and with signatures and signed answers.
    pub(crate) fn agents(&self, client: &Fetcher) -> Result<[Agent; 2], Failure> {
        let agent = |source| Agent::builder(source).client(client.clone());
        let tools = SignedResponses::of(TOOL.parse()?, Arc::clone(&self.trust));
        Ok([
            agent(self.identity(AGENT)?).build()?,
            agent(self.identity(AGENT)?)
                .proof(RequestAuth::HttpSignature)
                .signed_responses(tools)
                .build()?,
        ])
    }

    /// Starts the tool. It listens for plain HTTP on loopback, and its guard has the URL of the
    /// proxy, by which callers address it.
    pub(crate) fn start_tool(
        &self,
        listener: TcpListener,
        url: &str,
        reasons: &Reasons,
    ) -> Result<(), Failure> {
        let signatures = HttpSignatures::new().answering_as(self.identity(TOOL)?);
        let guard = Guard::builder(url)
            .trust(Arc::clone(&self.trust))
            .http_signatures(signatures)
            // This story begins with the tool: nothing was captured before.
            .accept_proofs_before_start()
            .record(reasons.clone())
            .build()?;
        // Accept any path and method, so that the guard and not the router detects changes.
        let router = Router::new().fallback(call).layer(guard.layer());
        // `axum::serve` has no limits of its own. That is acceptable behind a proxy with limits,
        // such as nginx. `examples/tool` shows a server without a proxy.
        tokio::spawn(async move { axum::serve(listener, router).await });
        Ok(())
    }
}

/// The tool: returns what it was asked.
async fn call(
    who: Principal,
    method: Method,
    uri: Uri,
    headers: HeaderMap,
    content: String,
) -> String {
    let kind = headers.get(CONTENT_TYPE).and_then(|it| it.to_str().ok());
    let kind = kind.unwrap_or("nothing");
    format!("{}: {method} {uri}, {kind}: {content}", who.subject())
}

/// The answer of the tool if everything arrived as the agent sent it.
pub(crate) fn expected(path: &str, content: &str) -> String {
    format!("{AGENT}: POST {path}, application/json: {content}")
}

/// A recorder that keeps the code of the last result. The operator of the tool sees it; the caller
/// does not.
#[derive(Clone, Debug, Default)]
pub(crate) struct Reasons(Arc<Mutex<String>>);

impl Record for Reasons {
    fn record(&self, event: &Event<'_>) {
        let reason = event.code.unwrap_or("accepted").to_owned();
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = reason;
    }
}

impl Reasons {
    pub(crate) fn take(&self) -> String {
        std::mem::take(&mut *self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}
