//! Agents with their requests, and tools that share a store.

use std::sync::Arc;
use std::time::Duration;

use aims::Guard;
use aims::cred::{Bundle, TrustStore, WitIssuer};
use aims::guard::{Deferred, Dpop, HttpSignatures};
use aims::http_sig::HttpRequest;
use aims::http_sig::profile::wimse::{Content, RequestSigning};
use aims::id::WorkloadId;
use aims::jose::alg::Algorithm;
use aims::jose::digest::Hashed;
use aims::jose::jws::{CompactJws, SigningInput};
use aims::jose::key::SigningKey;
use aims::jose::time::{Skew, UnixTime};
use aims::jose::{provider, random};
use aims::oauth_rs::IssuerStore;
use aims::oauth_wire::dpop;
use aims::redis::SharedStore;
use aims::wpt::{Binding, Revision, fields};
use http::Request;
use http::request::Parts;
use serde_json::json;

use crate::Failure;

pub(crate) const ISSUER: &str = "https://as.example";
const TOOL: &str = "https://tools.example/mcp";
const CALL: &str = "https://tools.example/mcp/call";
const HOUR: Duration = Duration::from_secs(3_600);

/// The issuers of identities and tokens.
pub(crate) struct World {
    ca: SigningKey,
    server: SigningKey,
    trust: Arc<TrustStore>,
    issuers: Arc<IssuerStore>,
}

/// An agent with its WIT.
pub(crate) struct Agent {
    pub(crate) id: WorkloadId,
    key: SigningKey,
    wit: String,
    token: String,
}

/// One server of the tool.
pub(crate) struct Tool {
    pub(crate) store: SharedStore,
    workloads: Guard<Deferred>,
    tokens: Guard<Deferred>,
}

fn key() -> Result<SigningKey, Failure> {
    Ok(SigningKey::generate(Algorithm::Es256, provider::default())?)
}

impl World {
    pub(crate) fn new() -> Result<Self, Failure> {
        let (ca, server) = (key()?.with_key_id("ca"), key()?.with_key_id("as"));
        let published = ca.public_jwk().clone().with_use("wit-svid").to_json();
        let document = format!(r#"{{"keys":[{published}],"spiffe_sequence":1}}"#);
        let origin = "spiffe://example.org".parse()?;
        let bundle = Bundle::parse(&origin, document.as_bytes(), provider::default())?;
        let issuers = IssuerStore::new();
        let jwks = format!(r#"{{"keys":[{}]}}"#, server.public_jwk().to_json());
        issuers.set(&ISSUER.parse()?, jwks.as_bytes(), provider::default())?;
        Ok(Self {
            ca,
            server,
            trust: Arc::new(TrustStore::of([bundle])),
            issuers: Arc::new(issuers),
        })
    }

    pub(crate) fn agent(&self, name: &str) -> Result<Agent, Failure> {
        let (key, now) = (key()?, UnixTime::now());
        let id = WorkloadId::parse(&format!("spiffe://example.org/{name}"))?;
        let issuer = WitIssuer::new(Arc::new(self.ca.clone()), None);
        let wit = issuer.issue(&id, key.public_jwk(), HOUR, now)?;
        let claims = json!({
            "iss": ISSUER, "aud": TOOL, "sub": name, "client_id": name, "jti": name,
            "iat": now.as_secs(), "exp": now.as_secs() + 3_600,
            "cnf": {"jkt": key.public_jwk().thumbprint().to_string()},
        });
        let token = SigningInput::new("at+jwt", Algorithm::Es256, Some("as"), &claims)?;
        Ok(Agent {
            token: token.sign(&self.server)?.expose().to_owned(),
            wit: wit.expose().to_owned(),
            id,
            key,
        })
    }

    /// A server of the tool on this store. Clocks may differ by a second.
    pub(crate) fn tool(&self, store: SharedStore) -> Result<Tool, Failure> {
        let guard = || {
            let guard = Guard::builder(TOOL).trust(Arc::clone(&self.trust));
            Ok::<_, Failure>(guard.skew(Skew::from_secs(1)?))
        };
        let tokens = guard()?.issuers(Arc::clone(&self.issuers));
        let workloads = guard()?.http_signatures(HttpSignatures::new());
        Ok(Tool {
            tokens: tokens
                .dpop(Dpop::new())
                .shared_replay(store.replay())
                .revoked(store.revocations())
                .build()?,
            workloads: workloads
                .shared_replay(store.replay())
                .revoked(store.revocations())
                .build()?,
            store,
        })
    }
}

/// A request with its proof.
#[derive(Clone, Debug)]
pub(crate) enum Call {
    Wpt(Parts),
    Signature(Parts),
    Dpop(Parts),
}

impl Agent {
    /// A request with a WPT.
    pub(crate) fn wpt(&self) -> Result<Call, Failure> {
        let input = Binding::to(CALL).revision(Revision::Draft02).prepare(
            &self.wit,
            Algorithm::Es256,
            Duration::from_secs(120),
            random::SYSTEM,
            UnixTime::now(),
        )?;
        self.with_wpt(&input.sign(&self.key)?)
    }

    fn with_wpt(&self, proof: &CompactJws) -> Result<Call, Failure> {
        let mut head = bare()?;
        fields::apply(
            &mut head.headers,
            &self.wit,
            proof.expose(),
            Revision::Draft02,
        )?;
        Ok(Call::Wpt(head))
    }

    /// A request with a WPT that does not say when it was made.
    pub(crate) fn undated(&self) -> Result<Call, Failure> {
        let now = UnixTime::now();
        let hash = aims::jose::digest::sha256(self.wit.as_bytes());
        let claims = json!({
            "aud": CALL, "exp": now.as_secs() + 300, "jti": random::id128(random::SYSTEM)?,
            "wth": aims::jose::base64url::encode(&hash),
        });
        let proof = SigningInput::new("wpt+jwt", Algorithm::Es256, None, &claims)?;
        self.with_wpt(&proof.sign(&self.key)?)
    }

    /// A request with an HTTP signature.
    pub(crate) fn signature(&self) -> Result<Call, Failure> {
        let mut head = bare()?;
        let wit = self.wit.parse()?;
        head.headers.insert("workload-identity-token", wit);
        let message = HttpRequest::received(&head, "https", "tools.example");
        let signing = RequestSigning::to(CALL)?;
        let now = UnixTime::now();
        let (prepared, _unasked) =
            signing.prepare(&message, Content::Empty, random::SYSTEM, now)?;
        prepared.sign(&self.key)?.apply(&mut head.headers)?;
        Ok(Call::Signature(head))
    }

    /// A request with a DPoP-bound access token.
    pub(crate) fn dpop(&self) -> Result<Call, Failure> {
        let hashed = Hashed::of(&self.token);
        let binding = dpop::Binding::to("POST", CALL).access_token(&hashed);
        let (jwk, now) = (self.key.public_jwk(), UnixTime::now());
        let proof = binding.prepare(jwk, Algorithm::Es256, random::SYSTEM, now)?;
        let proof = proof.sign(&self.key)?;
        let mut head = bare()?;
        let token = format!("DPoP {}", self.token).parse()?;
        head.headers.insert("authorization", token);
        head.headers.insert("dpop", proof.expose().parse()?);
        Ok(Call::Dpop(head))
    }

    /// One request of each kind.
    pub(crate) fn calls(&self) -> Result<Vec<Call>, Failure> {
        Ok(vec![self.wpt()?, self.signature()?, self.dpop()?])
    }
}

impl Tool {
    /// Returns `ok`, or the code of the refusal.
    pub(crate) async fn answer(&self, call: &Call) -> &'static str {
        let admitted = match call {
            Call::Wpt(head) => self.workloads.admit(head).await,
            Call::Signature(head) => self.workloads.admit((head, b"".as_slice())).await,
            Call::Dpop(head) => self.tokens.admit(head).await,
        };
        admitted.map_or_else(|refusal| refusal.code(), |_| "ok")
    }
}

fn bare() -> Result<Parts, Failure> {
    let request = Request::post("/mcp/call").header("host", "tools.example");
    Ok(request.body(())?.into_parts().0)
}
