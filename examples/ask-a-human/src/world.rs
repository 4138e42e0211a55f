//! The parties on loopback ports, with real HTTP between them.

use std::sync::{Arc, Mutex, PoisonError};

use aims::agent::RequestAuth;
use aims::cred::enrolment::{EnrolmentProof, IdentityClient};
use aims::cred::{FixedSource, Identity};
use aims::fetch::{Fetch as _, Fetcher};
use aims::guard::{CallReader, Guard, HttpSignatures};
use aims::jose::alg::Algorithm;
use aims::jose::key::SigningKey;
use aims::jose::provider::{self, Provider};
use aims::jose::random;
use aims::jose::secret::SecretText;
use aims::jose::time::{Clock as _, SystemClock, UnixTime};
use aims::oauth_client::{ByBackchannel, OfIdentity as _, Pings, Progress, TokenSource};
use aims::oauth_wire::call::ToolCall;
use aims::oauth_wire::client_auth::SpiffeWit;
use aims::oauth_wire::metadata::ServerMetadata;
use aims::oauth_wire::names::{Issuer, Resource};
use aims::record::{Event, Record};
use aims::{Agent, Principal, Requirements};
use aims_authority::{Authority, Client, DevUser, Enrolment, Server, ToolDetails};
use axum::Router;
use axum::body::Body;
use axum::extract::{Extension, Request};
use axum::response::{IntoResponse as _, Response};
use axum::routing::post;
use http::StatusCode;
use tokio::net::TcpListener;
use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};

pub(crate) type Failure = Box<dyn std::error::Error + Send + Sync>;

pub(crate) const AGENT: &str = "spiffe://example.org/agent/payer";
pub(crate) const PERSON: &str = "alice";
pub(crate) const SCOPE: &str = "tools:call";
/// The maximum length of a ping.
const MAX_PING: usize = 64 * 1024;

/// All parties.
pub(crate) struct World {
    pub(crate) authority: String,
    pub(crate) tool: String,
    pub(crate) fetcher: Fetcher,
    /// The agent as a program uses it: it asks the person by itself.
    pub(crate) agent: Agent,
    /// The same agent without tokens, for requests that no honest agent makes.
    pub(crate) signer: Agent,
    pub(crate) source: FixedSource,
    pub(crate) server: Arc<ServerMetadata>,
    pub(crate) pings: Pings,
    pub(crate) reasons: Reasons,
    /// The codes that the agent shows while it waits.
    pub(crate) codes: UnboundedReceiver<String>,
    pub(crate) approval: ByBackchannel,
}

/// A recorder that keeps the code of the last refusal.
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

pub(crate) fn provider() -> &'static dyn Provider {
    provider::default()
}

pub(crate) fn now() -> UnixTime {
    SystemClock::new().now()
}

impl World {
    /// Starts the authority, the tool, and the agent's receiver of pings.
    pub(crate) async fn start() -> Result<Self, Failure> {
        let fetcher = Fetcher::builder().allow_loopback_http().build()?;
        let tool_listener = TcpListener::bind("127.0.0.1:0").await?;
        let tool = format!("http://{}/mcp", tool_listener.local_addr()?);
        let ping_listener = TcpListener::bind("127.0.0.1:0").await?;
        let ping = format!("http://{}/ping", ping_listener.local_addr()?);
        let (authority, token) = start_authority(&tool, &ping, &fetcher).await?;
        let reasons = Reasons::default();
        start_tool(tool_listener, &tool, &authority, &fetcher, reasons.clone()).await?;
        let pings = Pings::new();
        let receiver = Router::new()
            .route("/ping", post(receive_ping))
            .layer(Extension(pings.clone()));
        // `axum::serve` has no limits, which is acceptable where all callers are in this process.
        tokio::spawn(async move { axum::serve(ping_listener, receiver).await });

        let identity = enrol(&authority, token, &fetcher).await?;
        let source = FixedSource::new(identity);
        let resource = Resource::loopback(&tool)?;
        let issuers = [Issuer::loopback(&authority)?];
        let client = SpiffeWit::of(source.clone())?;
        let tokens =
            TokenSource::discover(&resource, &issuers, client.clone(), fetcher.clone()).await?;
        let server = tokens.server();
        let (shown, codes) = unbounded_channel();
        let approval = ByBackchannel::new(client, Arc::clone(&server), fetcher.clone(), PERSON)
            .pinged_at(pings.clone())
            .on_progress(move |progress| {
                if let Progress::WaitingForApproval { code, .. } = progress {
                    // The program shows it. There is no reader if the steps have ended.
                    let _ended = shown.send((*code).to_owned());
                }
            });
        let agent = Agent::builder(source.clone())
            .client(fetcher.clone())
            .authorize(resource.clone(), SCOPE.parse()?, tokens)
            .approval(resource, approval.clone())
            .build()?;
        let signer = Agent::builder(source.clone())
            .client(fetcher.clone())
            .proof(RequestAuth::HttpSignature)
            .build()?;
        Ok(Self {
            authority,
            tool,
            fetcher,
            agent,
            signer,
            source,
            server,
            pings,
            reasons,
            codes,
            approval,
        })
    }
}

/// Starts the authority. The agent may ask the person, and gets pings.
async fn start_authority(
    tool: &str,
    ping: &str,
    fetcher: &Fetcher,
) -> Result<(String, SecretText), Failure> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let base = format!("http://{}", listener.local_addr()?);
    let token = Enrolment::random_token(random::SYSTEM)?;
    let authority = Authority::builder(&base, provider())
        .trust_domain("example.org")
        .resource(aims_authority::Resource::new(tool).with_scopes([SCOPE]))
        .enrol(Enrolment::by_token(AGENT.parse()?, &token)?)
        .client(
            Client::spiffe(AGENT.parse()?)
                .name("The payment agent")
                .allow(tool, [SCOPE])
                .allow_details("aims_tool")
                .backchannel_ping(ping),
        )
        .users(Arc::new(DevUser::new(PERSON)))
        .backchannel(Arc::new(DevUser::new(PERSON)))
        .backchannel_pings(Arc::new(fetcher.clone()))
        .authorization_details(Arc::new(ToolDetails))
        .build(now())?;
    tokio::spawn(Server::new(authority).serve(listener));
    Ok((base, token))
}

/// Starts the tool. Each of its calls needs the approval of a person.
async fn start_tool(
    listener: TcpListener,
    tool: &str,
    authority: &str,
    fetcher: &Fetcher,
    reasons: Reasons,
) -> Result<(), Failure> {
    let bundle = format!("{authority}/identity/bundle");
    let guard = Guard::builder(tool)
        .issuer(authority)?
        .bundle("spiffe://example.org".parse()?, &bundle)
        .require(Requirements::new().scopes(SCOPE.parse()?).approved_call())
        .http_signatures(HttpSignatures::new())
        .record(reasons)
        .fetch(Arc::new(fetcher.clone()))
        .start()
        .await?;
    let router = Router::new()
        .route("/mcp/call", post(call))
        .layer(guard.call_layer(CallReader::mcp()));
    tokio::spawn(async move { axum::serve(listener, router).await });
    Ok(())
}

/// The tool. It acts on the call that the guard compared.
async fn call(who: Principal, Extension(call): Extension<ToolCall>) -> String {
    format!("{} {} for {}", call.tool(), call.arguments(), who.subject())
}

/// The agent's client notification endpoint.
async fn receive_ping(Extension(pings): Extension<Pings>, request: Request) -> Response {
    let (head, body) = request.into_parts();
    let Ok(content) = axum::body::to_bytes(body, MAX_PING).await else {
        return StatusCode::PAYLOAD_TOO_LARGE.into_response();
    };
    let request = http::Request::from_parts(head, content.to_vec());
    pings.receive(&request).map(Body::from)
}

/// Enrols the agent: it sends a new key, the bootstrap token and a proof of the key.
async fn enrol(authority: &str, token: SecretText, fetcher: &Fetcher) -> Result<Identity, Failure> {
    let client = IdentityClient::new(authority)?;
    let key = SigningKey::generate(Algorithm::Es256, provider())?;
    let (request, pending) = client.wit(&key, EnrolmentProof::Token(token));
    let (request, pending) = pending.finish(&fetcher.send(request).await?, now())?;
    let received = pending.finish(&fetcher.send(request).await?, now())?;
    let jwk = key.public_jwk().clone();
    Ok(Identity::new(received.text, Arc::new(key), &jwk)?)
}
