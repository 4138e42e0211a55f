//! The three parties on loopback ports, with real HTTP between them.

use std::sync::{Arc, Mutex};

use aims::cred::enrolment::{EnrolmentProof, IdentityClient};
use aims::cred::{FixedSource, Identity, TrustStore};
use aims::fetch::{Fetch as _, Fetcher};
use aims::guard::{Guard, HttpSignatures};
use aims::id::Origin;
use aims::jose::alg::Algorithm;
use aims::jose::key::SigningKey;
use aims::jose::provider::{self, Provider};
use aims::jose::random;
use aims::jose::secret::SecretText;
use aims::jose::time::{Clock as _, SystemClock, UnixTime};
use aims::keys::PublishedKeys;
use aims::oauth_client::{OfIdentity as _, TokenSource};
use aims::oauth_wire::client_auth::SpiffeWit;
use aims::oauth_wire::names::{Issuer, Resource};
use aims::record::{Event, Record};
use aims::wpt::Revisions;
use aims::{Agent, Principal};
use aims_authority::{Authority, Client, Enrolment, Purpose, Server};
use axum::Router;
use axum::routing::post;
use tokio::net::TcpListener;

pub(crate) type Failure = Box<dyn std::error::Error + Send + Sync>;

pub(crate) const SCOPE: &str = "tools:call";

/// The data that the attacks need.
pub(crate) struct World {
    pub(crate) authority: String,
    pub(crate) tool: String,
    pub(crate) fetcher: Fetcher,
    pub(crate) trust: Arc<TrustStore>,
    pub(crate) reasons: Reasons,
    /// The authority's own key, with which the program can make an identity that has expired.
    pub(crate) identity_key: SigningKey,
}

/// A recorder that keeps the code of the last refusal. The operator of the tool sees it; the caller
/// does not.
#[derive(Clone, Debug, Default)]
pub(crate) struct Reasons(Arc<Mutex<String>>);

impl Record for Reasons {
    fn record(&self, event: &Event<'_>) {
        let reason = event.code.unwrap_or("accepted").to_owned();
        *self
            .0
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner) = reason;
    }
}

impl Reasons {
    pub(crate) fn take(&self) -> String {
        std::mem::take(
            &mut *self
                .0
                .lock()
                .unwrap_or_else(std::sync::PoisonError::into_inner),
        )
    }
}

pub(crate) fn provider() -> &'static dyn Provider {
    provider::default()
}

pub(crate) fn now() -> UnixTime {
    SystemClock::new().now()
}

/// The credentials of an agent, as its own program holds them.
pub(crate) struct Holder {
    pub(crate) key: SigningKey,
    pub(crate) wit: SecretText,
}

/// Starts the authority, which knows agents and tool by their bootstrap tokens, and returns these.
pub(crate) async fn start_authority(
    names: [&str; 3],
    tool: &str,
    identity_key: &SigningKey,
) -> Result<(String, Vec<SecretText>), Failure> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let base = format!("http://{}", listener.local_addr()?);
    let mut authority = Authority::builder(&base, provider())
        .trust_domain("example.org")
        .signing_key(Purpose::WitSvid, identity_key.clone())
        .resource(aims_authority::Resource::new(tool).with_scopes([SCOPE]));
    let mut tokens = Vec::new();
    for name in names {
        let token = Enrolment::random_token(random::SYSTEM)?;
        authority = authority
            .enrol(Enrolment::by_token(name.parse()?, &token)?)
            .client(Client::spiffe(name.parse()?).allow(tool, [SCOPE]));
        tokens.push(token);
    }
    let server = Server::new(authority.build(now())?);
    tokio::spawn(server.serve(listener));
    Ok((base, tokens))
}

/// Starts the tool, and returns the keys that it trusts. It fetches them from the authority's URL.
pub(crate) async fn start_tool(
    (listener, itself): (TcpListener, &Holder),
    tool: &str,
    authority: &str,
    fetcher: &Fetcher,
    reasons: Reasons,
) -> Result<Arc<TrustStore>, Failure> {
    let origin: Origin = "spiffe://example.org".parse()?;
    let bundle = format!("{authority}/identity/bundle");
    let fetch = Arc::new(fetcher.clone());
    let guard = Guard::builder(tool)
        .issuer(authority)?
        .bundle(origin.clone(), &bundle)
        .scopes(SCOPE)?
        .http_signatures(HttpSignatures::new().answering_as(FixedSource::new(identity(itself)?)))
        .wpt_revisions(Revisions::BOTH)
        .record(reasons)
        .fetch(fetch.clone())
        .start()
        .await?;
    // The agents that verify signed answers trust the same bundle.
    let keys = PublishedKeys::builder(fetch, provider()).bundle(origin, &bundle)?;
    let keys = keys.build();
    keys.load().await?;

    // The layer serves the metadata as well.
    let router = Router::new()
        .route("/mcp/call", post(call))
        .layer(guard.layer());
    // `axum::serve` has no limits: a caller that sends half a request keeps its connection. That is
    // acceptable here, where all callers are in this process. Serve other machines behind a proxy
    // with limits.
    tokio::spawn(async move { axum::serve(listener, router).await });
    Ok(keys.trust())
}

/// The tool. Only callers that the guard accepted reach it.
async fn call(who: Principal) -> String {
    format!("done for {}", who.subject())
}

/// Enrols an agent: it sends a new key, the bootstrap token and a proof of the key, and gets a WIT.
pub(crate) async fn enrol(
    authority: &str,
    token: SecretText,
    fetcher: &Fetcher,
) -> Result<Holder, Failure> {
    let client = IdentityClient::new(authority)?;
    let key = SigningKey::generate(Algorithm::Es256, provider())?;
    let (request, pending) = client.wit(&key, EnrolmentProof::Token(token));
    let (request, pending) = pending.finish(&fetcher.send(request).await?, now())?;
    let received = pending.finish(&fetcher.send(request).await?, now())?;
    Ok(Holder {
        key,
        wit: received.text,
    })
}

/// Creates the agent of a holder. It finds the authorization server in the tool's metadata, and
/// accepts only this one.
pub(crate) async fn agent(
    holder: &Holder,
    tool: &str,
    accepted: &str,
    fetcher: &Fetcher,
) -> Result<(Agent, TokenSource), Failure> {
    let source = FixedSource::new(identity(holder)?);
    let agent = Agent::builder(source.clone())
        .fetcher(fetcher.clone())
        .tool(tool, [accepted], SCOPE)?
        .build()
        .await?;
    // The attacks send tokens without the agent.
    let (resource, accepted) = (Resource::loopback(tool)?, [Issuer::loopback(accepted)?]);
    let client = SpiffeWit::of(source)?;
    let tokens = TokenSource::discover(&resource, &accepted, client, fetcher.clone()).await?;
    Ok((agent, tokens))
}

pub(crate) fn identity(holder: &Holder) -> Result<Identity, Failure> {
    let signer = Arc::new(holder.key.clone());
    Ok(Identity::new(
        holder.wit.clone(),
        signer,
        holder.key.public_jwk(),
    )?)
}
