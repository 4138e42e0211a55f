//! An agent whose tool moves to another authorization server, or whose registration ends: it
//! connects again, once for each request, and needs no restart.

#![cfg(all(feature = "agent", feature = "tool"))]
#![allow(
    clippy::indexing_slicing,
    clippy::unwrap_used,
    reason = "a test fails by panicking"
)]

mod common;
#[path = "common/user.rs"]
mod user;

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use aims::Agent;
use aims::agent::Error;
use aims::fetch::{Fetch, FetchFuture};
use aims::jose::time::{Clock, UnixTime};
use aims::oauth_client::{ClientMetadata, Connector, Identities, MemoryStore, RevocationSignal};
use common::{CALL, Calls, ISSUER, NOW, TOOL, Then};
use http::{Request, Response};
use serde_json::{Value, json};
use user::User;

const OTHER: &str = "https://other.example";
const NAMED: &str = "Bearer error=\"invalid_token\", \
     resource_metadata=\"https://tools.example/.well-known/oauth-protected-resource/mcp\"";
const UNNAMED: &str = "Bearer error=\"invalid_token\"";

/// A tool and its servers.
#[derive(Debug, Default)]
struct State {
    /// The server that the tool names, and the only one whose tokens it accepts.
    issuer: &'static str,
    /// The challenge of the tool.
    challenge: &'static str,
    /// The number of registrations that the server has forgotten.
    forgotten: usize,
    /// The tokens with a smaller number than this are refused.
    accepted: usize,
    /// The end of the next client secret.
    secret_ends: u64,
    /// The number of the next answers of the tool's metadata that are failures.
    failing: usize,
    paths: Vec<String>,
}

#[derive(Clone, Debug)]
struct Net(Arc<Mutex<State>>);

impl Net {
    fn new() -> Self {
        Self(Arc::new(Mutex::new(State {
            issuer: ISSUER,
            challenge: NAMED,
            ..State::default()
        })))
    }

    fn set(&self, change: impl FnOnce(&mut State)) {
        change(&mut self.0.lock().unwrap());
    }

    /// Returns how often the host and the path that start so were requested.
    fn asked(&self, start: &str) -> usize {
        let state = self.0.lock().unwrap();
        let asked = state.paths.iter().filter(|it| it.starts_with(start));
        asked.count()
    }
}

impl State {
    fn answer(&mut self, request: &Request<Vec<u8>>) -> (u16, Value) {
        let host = format!("https://{}", request.uri().host().unwrap());
        let path = request.uri().path();
        let earlier = |start: &str| self.paths.iter().filter(|it| it.contains(start)).count();
        let (registrations, tokens) = (earlier("/register"), earlier("/token"));
        self.paths.push(format!("{host}{path}"));
        if path.starts_with("/.well-known/oauth-protected-resource") {
            if self.failing > 0 {
                self.failing -= 1;
                return (503, json!({}));
            }
            return (
                200,
                json!({"resource": TOOL, "authorization_servers": [self.issuer]}),
            );
        }
        if path.starts_with("/.well-known/") {
            let at = |path: &str| format!("{host}{path}");
            return (
                200,
                json!({"issuer": host, "authorization_endpoint": at("/authorize"),
                    "token_endpoint": at("/token"), "registration_endpoint": at("/register"),
                    "code_challenge_methods_supported": ["S256"]}),
            );
        }
        if path == "/register" {
            let client = format!("client{registrations}");
            let body = json!({"client_id": client, "client_secret": "s",
                "client_secret_expires_at": self.secret_ends,
                "token_endpoint_auth_method": "client_secret_post"});
            return (201, body);
        }
        if path == "/token" {
            let form = String::from_utf8(request.body().clone()).unwrap();
            let (_, client) = form.split_once("client_id=client").unwrap();
            let number = client.split('&').next().unwrap();
            if number.parse::<usize>().unwrap() < self.forgotten {
                return (401, json!({"error": "invalid_client"}));
            }
            let text = format!("{tokens}-of-{}", host.trim_start_matches("https://"));
            return (
                200,
                json!({"access_token": text, "token_type": "Bearer", "expires_in": 300}),
            );
        }
        let token = request.headers().get("authorization");
        let token = token.map_or("", |it| it.to_str().unwrap());
        let (number, issuer) = token.split_once("-of-").unwrap_or_default();
        let number = number.strip_prefix("Bearer ");
        let is_new = number.is_some_and(|it| it.parse::<usize>().unwrap() >= self.accepted);
        let is_good = is_new && self.issuer == format!("https://{issuer}");
        (if is_good { 200 } else { 401 }, json!({}))
    }
}

impl Fetch for Net {
    fn send(&self, request: Request<Vec<u8>>) -> FetchFuture<'_> {
        Box::pin(async move {
            tokio::task::yield_now().await;
            let mut state = self.0.lock().unwrap();
            let (status, body) = state.answer(&request);
            let mut answer = Response::builder()
                .status(status)
                .header("content-type", "application/json");
            if status == 401 && request.uri().path() != "/token" {
                answer = answer.header("www-authenticate", state.challenge);
            }
            Ok(answer.body(body.to_string().into_bytes()).unwrap())
        })
    }
}

/// A clock that the test sets.
#[derive(Clone, Debug)]
struct Set(Arc<AtomicU64>);

impl Clock for Set {
    fn now(&self) -> UnixTime {
        UnixTime::since_unix_epoch(Duration::from_secs(self.0.load(Ordering::Relaxed)))
    }
}

fn agent(net: &Net) -> Agent {
    agent_with(net, Then, |it| it)
}

fn agent_with(
    net: &Net,
    clock: impl Clock + 'static,
    adjust: impl FnOnce(Connector) -> Connector,
) -> Agent {
    let registered = ClientMetadata::native("app").accept_secret();
    let connector = Connector::new(Identities::new().register(registered), net.clone())
        .with_clock(clock)
        .accept_issuers([ISSUER.parse().unwrap(), OTHER.parse().unwrap()])
        .by_user(User::default());
    let connector = adjust(connector);
    Agent::without_identity()
        .clock(Then)
        .connect(TOOL.parse().unwrap(), connector)
        .client(Calls(net.clone()))
        .build()
        .unwrap()
}

async fn call(agent: &Agent) -> Result<u16, Error> {
    let request = Request::post(CALL).body("{}".to_owned()).unwrap();
    Ok(agent.send(request).await?.status().as_u16())
}

/// PRM-02: the metadata that a 401 names are read anew, and the new server of the tool is used. A
/// challenge without them starts no look.
#[tokio::test]
async fn a_tool_may_move_to_another_server() {
    let net = Net::new();
    let agent = agent(&net);
    assert_eq!(call(&agent).await.unwrap(), 200);
    net.set(|it| (it.issuer, it.challenge) = (OTHER, UNNAMED));
    assert_eq!(call(&agent).await.unwrap(), 401);
    assert_eq!(net.asked(OTHER), 0);
    net.set(|it| it.challenge = NAMED);
    assert_eq!(call(&agent).await.unwrap(), 200);
    assert_eq!(net.asked("https://other.example/token"), 1);
    assert_eq!(call(&agent).await.unwrap(), 200);
    net.set(|it| it.issuer = ISSUER);
    assert_eq!(call(&agent).await.unwrap(), 200);
    // A server that is not accepted is an error, and none is asked.
    net.set(|it| it.issuer = "https://evil.example");
    let error = call(&agent).await.unwrap_err();
    assert_eq!(error.code(), "discovery.no_server");
    assert_eq!(net.asked("https://evil.example"), 0);
}

/// PRM-02: a token that has ended leaves the connection as it is, also where the metadata cannot be
/// read at present.
#[tokio::test]
async fn a_tool_that_has_not_moved_keeps_its_connection() {
    let net = Net::new();
    let agent = agent(&net);
    assert_eq!(call(&agent).await.unwrap(), 200);
    for failing in [0, 8] {
        net.set(|it| (it.accepted, it.failing) = (it.accepted + 1, failing));
        assert_eq!(call(&agent).await.unwrap(), 200, "{failing}");
    }
    assert_eq!(net.asked("https://as.example/register"), 1);
}

/// PRM-02: parallel refusals of one token cause one look and one new connection.
#[tokio::test]
async fn parallel_refusals_move_once() {
    let net = Net::new();
    let agent = agent(&net);
    assert_eq!(call(&agent).await.unwrap(), 200);
    let before = net.asked("https://tools.example/.well-known/");
    net.set(|it| it.issuer = OTHER);
    let calls: Vec<_> = (0..20)
        .map(|_| {
            let agent = agent.clone();
            tokio::spawn(async move { call(&agent).await.unwrap() })
        })
        .collect();
    for answered in calls {
        assert_eq!(answered.await.unwrap(), 200);
    }
    assert_eq!(net.asked("https://other.example/register"), 1);
    // One for the look, and one for the connection.
    let after = net.asked("https://tools.example/.well-known/");
    assert_eq!(after - before, 2);
}

/// DCR-03: a server that has forgotten the registration gets a new one, once for each request and
/// once for all parallel ones.
#[tokio::test]
async fn a_forgotten_registration_is_made_anew() {
    const REGISTER: &str = "https://as.example/register";
    let net = Net::new();
    let agent = agent(&net);
    assert_eq!(call(&agent).await.unwrap(), 200);
    net.set(|it| (it.forgotten, it.accepted) = (1, 1));
    let calls: Vec<_> = (0..20)
        .map(|_| {
            let agent = agent.clone();
            tokio::spawn(async move { call(&agent).await.unwrap() })
        })
        .collect();
    for answered in calls {
        assert_eq!(answered.await.unwrap(), 200);
    }
    assert_eq!(net.asked(REGISTER), 2);
    // A server that forgets each of them gets one more for a request.
    net.set(|it| (it.forgotten, it.accepted) = (99, 99));
    let error = call(&agent).await.unwrap_err();
    assert_eq!(error.code(), "oauth.refused");
    assert_eq!(net.asked(REGISTER), 3);
    net.set(|it| (it.forgotten, it.accepted) = (3, 0));
    assert_eq!(call(&agent).await.unwrap(), 200);
    assert_eq!(net.asked(REGISTER), 4);
}

/// DCR-03: a registration whose secret has expired is made anew before a token is requested with
/// it.
#[tokio::test]
async fn an_expired_secret_is_replaced() {
    for (ends, registrations) in [(0, 1), (NOW + 61, 1), (NOW + 60, 2)] {
        let net = Net::new();
        net.set(|it| it.secret_ends = ends);
        let clock = Set(Arc::new(AtomicU64::new(NOW)));
        let agent = agent_with(&net, clock.clone(), |it| it);
        assert_eq!(call(&agent).await.unwrap(), 200);
        clock.0.store(NOW + 60, Ordering::Relaxed);
        net.set(|it| it.secret_ends = 0);
        assert_eq!(call(&agent).await.unwrap(), 200);
        let asked = net.asked("https://as.example/register");
        assert_eq!(asked, registrations, "{ends}");
    }
    // A secret that has expired at once is refused before a login.
    let net = Net::new();
    net.set(|it| it.secret_ends = NOW);
    let error = call(&agent(&net)).await.unwrap_err();
    assert_eq!(error.code(), "client.registration");
    assert_eq!(net.asked("https://as.example/token"), 0);
}

/// REV-04: a signal of the server that the tool had before drops its tokens in the store.
#[tokio::test]
async fn a_signal_reaches_the_tokens_of_an_earlier_server() {
    let net = Net::new();
    let store = Arc::new(MemoryStore::new());
    let agent = agent_with(&net, Then, |it| it.with_store(store));
    assert_eq!(call(&agent).await.unwrap(), 200);
    net.set(|it| it.issuer = OTHER);
    assert_eq!(call(&agent).await.unwrap(), 200);
    for (issuer, expected) in [(ISSUER, 1), (OTHER, 1), (ISSUER, 0)] {
        let signal = RevocationSignal::of_issuer(issuer.parse().unwrap());
        assert_eq!(agent.drop_revoked(&signal).await.unwrap(), expected);
    }
}
