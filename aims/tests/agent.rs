//! The agent against a guard, without a network in between.

#![cfg(all(feature = "agent", feature = "tool"))]
#![expect(
    clippy::indexing_slicing,
    clippy::unwrap_used,
    reason = "a test fails by panicking"
)]

mod common;

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use aims::agent::{AgentBuilder, Content, RequestAuth};
use aims::cred::{FixedSource, Identity, IdentitySource};
use aims::fetch::{Fetch, FetchFuture};
use aims::jose::secret::SecretText;
use aims::jose::time::{Clock, UnixTime};
use aims::oauth_client::TokenSource;
use aims::oauth_wire::client_auth::ClientSecretBasic;
use aims::oauth_wire::metadata::ServerMetadata;
use aims::trace::{CurrentTrace, TraceContext};
use aims::wpt::Revision;
use aims::{Agent, Guard};
use common::{CALL, Calls, NOW, TOOL, World, at, told};
use http::{HeaderValue, Request, Response};
use serde_json::json;

const AGENT: &str = "spiffe://example.org/agent";
const TRACE: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

#[derive(Debug)]
struct Then(u64);

impl Clock for Then {
    fn now(&self) -> UnixTime {
        at(self.0)
    }
}

struct Fixed;

impl CurrentTrace for Fixed {
    fn current(&self) -> Option<TraceContext> {
        TRACE.parse().ok()
    }
}

/// A client for token endpoint and tool: returns tokens in turn, and lets a guard decide about
/// calls.
#[derive(Clone, Debug)]
struct Net(Arc<(Guard, Lines, Lines)>);

type Lines = Mutex<Vec<String>>;

impl Net {
    fn calls(&self) -> Vec<String> {
        self.0
            .2
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }
}

impl Fetch for Net {
    fn send(&self, request: Request<Vec<u8>>) -> FetchFuture<'_> {
        let (guard, tokens, calls) = &*self.0;
        let path = request.uri().to_string();
        let answer = if path.ends_with("/token") {
            let token = tokens
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .remove(0);
            let body = json!({"access_token": token, "token_type": "Bearer", "expires_in": 300});
            let answer = Response::builder().header("content-type", "application/json");
            let answer = answer.header("cache-control", "no-store");
            answer
                .body(body.to_string().into_bytes())
                .unwrap_or_default()
        } else {
            let parts = request.into_parts().0;
            let verdict = guard.check(&parts, at(NOW));
            let code = verdict.as_ref().map_or_else(aims::Refusal::code, |_| "ok");
            let with = if parts.headers.contains_key("authorization") {
                "token"
            } else {
                "no token"
            };
            calls
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .push(format!("{code}, {with}"));
            verdict.map_or_else(aims::Refusal::into_response, |_| Response::new(Vec::new()))
        };
        Box::pin(std::future::ready(Ok(answer)))
    }
}

fn identity(holder: &common::Agent) -> Identity {
    let wit = SecretText::new(holder.wit.expose());
    let signer = Arc::new(holder.key.clone());
    Identity::new(wit, signer, holder.key.public_jwk()).unwrap()
}

fn agent(holder: &common::Agent) -> AgentBuilder {
    Agent::builder(FixedSource::new(identity(holder))).clock(Then(NOW))
}

fn call(uri: &str) -> Request<String> {
    Request::post(uri).body(String::new()).unwrap()
}

/// WPT-02, WPT-06: a guard accepts each proof of an agent once.
#[test]
fn a_proven_request_is_let_in() {
    let world = World::new();
    let guard = world.guard_by_default().build().unwrap();
    let agent = agent(&world.agent(AGENT)).trace(Fixed).build().unwrap();
    for _ in 0..2 {
        let mut request = call(&format!("{CALL}?x=1"));
        request
            .headers_mut()
            .insert("txn-token", HeaderValue::from_static("a.b.c"));
        agent.prove(&mut request).unwrap();
        assert_eq!(request.headers()["traceparent"], TRACE);
        assert_eq!(told(guard.check(&request.into_parts().0, at(NOW))).0, "ok");
    }
}

/// A request that a proof could not cover is not sent, and an agent with an expired identity sends
/// nothing.
#[test]
fn what_cannot_be_proven_is_refused() {
    let world = World::new();
    let holder = world.agent(AGENT);
    let agent_ = agent(&holder).build().unwrap();
    let with = |values: &[&'static str]| {
        let mut request = call(CALL);
        for value in values {
            request
                .headers_mut()
                .append("authorization", HeaderValue::from_static(value));
        }
        agent_
            .prove(&mut request)
            .map_or_else(|error| error.code(), |()| "ok")
    };
    assert_eq!(
        (with(&[]), with(&["Bearer t"])),
        ("ok", "agent.token_with_wpt")
    );
    assert_eq!(with(&["Basic YTpi"]), "agent.authorization");
    assert_eq!(with(&["Bearer t", "Bearer u"]), "agent.authorization");
    for odd in [
        "Bearer",
        "Bearer ",
        "Bearer  t",
        "Bearer t, u",
        "Bearer t u",
    ] {
        assert_eq!(with(&[odd]), "agent.authorization", "{odd}");
    }
    let mut relative = call("/call");
    assert_eq!(
        agent_.prove(&mut relative).unwrap_err().code(),
        "wpt.target"
    );
    let late = agent(&holder).clock(Then(NOW + 3_600)).build().unwrap();
    assert_eq!(
        late.prove(&mut call(CALL)).unwrap_err().code(),
        "source.expired"
    );
}

fn net(world: &World, tokens: Vec<String>) -> Net {
    let guard = world
        .guard()
        .issuers(Arc::clone(&world.issuers))
        .build()
        .unwrap();
    Net(Arc::new((guard, Mutex::new(tokens), Mutex::default())))
}

fn with_tokens(holder: &common::Agent, net: &Net) -> Agent {
    let builder = authorized(agent(holder), net);
    builder.client(Calls(net.clone())).build().unwrap()
}

fn authorized(builder: AgentBuilder, net: &Net) -> AgentBuilder {
    authorized_for(TOOL, builder, net)
}

fn authorized_for(resource: &str, builder: AgentBuilder, net: &Net) -> AgentBuilder {
    let document = json!({"issuer": common::ISSUER, "token_endpoint": "https://as.example/token"});
    let issuer = common::ISSUER.parse().unwrap();
    let server = ServerMetadata::parse(document.to_string().as_bytes(), &issuer).unwrap();
    let client = ClientSecretBasic::new(AGENT.parse().unwrap(), SecretText::new("s"));
    let source = TokenSource::new(server, client, net.clone()).with_clock(Then(NOW));
    let scopes = "tools:call".parse().unwrap();
    // The guard of these tests verifies only heads, so the proof is a WPT.
    let builder = builder.wpt_revision(Revision::Draft01);
    builder.authorize(resource.parse().unwrap(), scopes, source)
}

/// Returns one identity after the other.
#[derive(Debug)]
struct Renewed(Vec<Arc<Identity>>, Arc<AtomicUsize>);

impl IdentitySource for Renewed {
    fn identity(&self, _: UnixTime) -> Result<Arc<Identity>, aims::cred::Error> {
        Ok(Arc::clone(&self.0[self.1.load(Ordering::SeqCst)]))
    }
}

/// T-112: a token that is bound to the earlier key is not used with the new one.
#[tokio::test]
async fn a_renewed_key_gets_a_token_of_its_own() {
    let world = World::new();
    let holders = [world.agent(AGENT), world.agent(AGENT)];
    let tokens = holders.each_ref().map(|it| world.token(&World::claims(it)));
    let net = net(&world, tokens.to_vec());
    let turn = Arc::new(AtomicUsize::new(0));
    let identities = holders.each_ref().map(|it| Arc::new(identity(it)));
    let source = Renewed(identities.to_vec(), Arc::clone(&turn));
    let client = Calls(net.clone());
    let builder = Agent::builder(source).clock(Then(NOW)).client(client);
    let agent = authorized(builder, &net).build().unwrap();
    for renewed in [0, 0, 1] {
        turn.store(renewed, Ordering::SeqCst);
        assert_eq!(agent.send(call(CALL)).await.unwrap().status(), 200);
    }
    assert_eq!(net.calls(), ["ok, token"; 3]);
}

/// RFC 6750 §3: a refused token is replaced once, with a new proof; a second refusal is the answer.
#[tokio::test]
async fn a_refused_token_is_replaced_once() {
    let world = World::new();
    let holder = world.agent(AGENT);
    let mut expired = World::claims(&holder);
    expired["iat"] = json!(NOW - 900);
    expired["exp"] = json!(NOW - 300);
    let (old, good) = (world.token(&expired), world.token(&World::claims(&holder)));
    let net_ = net(&world, vec![old.clone(), good]);
    let agent = with_tokens(&holder, &net_);
    assert_eq!(agent.send(call(CALL)).await.unwrap().status(), 200);
    assert_eq!(agent.send(call(CALL)).await.unwrap().status(), 200);
    assert_eq!(
        net_.calls(),
        ["token.expired, token", "ok, token", "ok, token"]
    );
    let net_ = net(&world, vec![old.clone(), old]);
    let agent = with_tokens(&holder, &net_);
    assert_eq!(agent.send(call(CALL)).await.unwrap().status(), 401);
    assert_eq!(net_.calls().len(), 2);
}

/// T-138: a token is sent only to its resource and to URLs beneath it.
#[tokio::test]
async fn a_token_goes_to_its_resource_alone() {
    let world = World::new();
    let holder = world.agent(AGENT);
    let net = net(&world, vec![world.token(&World::claims(&holder))]);
    let agent = with_tokens(&holder, &net);
    for uri in [
        "https://tools.example/mcpx",
        "https://tools.example/",
        "https://tools.example:8443/mcp",
        "https://evil.example/mcp",
        "http://tools.example/mcp",
    ] {
        drop(agent.send(call(uri)).await);
    }
    assert_eq!(net.calls(), ["token.missing, no token"; 5]);
}

/// PRM-03: a URL with a final `/` is another resource, and does not contain the one without it.
#[tokio::test]
async fn a_slash_makes_another_resource() {
    let world = World::new();
    let holder = world.agent(AGENT);
    for (resource, uri, expected) in [
        (TOOL, TOOL, "ok, token"),
        (TOOL, "https://tools.example/mcp/", "ok, token"),
        (
            "https://tools.example/mcp/",
            TOOL,
            "token.missing, no token",
        ),
        (
            "https://tools.example/mcp/",
            "https://tools.example/mcp/call",
            "ok, token",
        ),
    ] {
        let net = net(&world, vec![world.token(&World::claims(&holder))]);
        let agent = authorized_for(resource, agent(&holder), &net);
        let agent = agent.client(Calls(net.clone())).build().unwrap();
        drop(agent.send(call(uri)).await);
        assert_eq!(net.calls(), [expected], "{resource} {uri}");
    }
}

/// An agent without an identity sends the token alone, and proves nothing.
#[tokio::test]
async fn an_agent_without_identity_proves_nothing() {
    let agent = Agent::without_identity().build().unwrap();
    let mut request = Request::post("https://tools.example/mcp/call")
        .body(())
        .unwrap();
    agent.prepare(&mut request, Content::Empty).await.unwrap();
    assert!(!request.headers().contains_key("workload-identity-token"));
    assert!(!request.headers().contains_key("signature"));
    let proving = Agent::without_identity()
        .proof(RequestAuth::Wpt)
        .build()
        .unwrap();
    let refused = proving
        .prepare(&mut request, Content::Empty)
        .await
        .unwrap_err();
    assert_eq!(refused.code(), "source.none");
}
