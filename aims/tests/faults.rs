//! Faults around a guard: handlers and hooks that panic or wait, wrong clocks, revocations between
//! two requests, and tokens that could be sent to the wrong server.

#![cfg(all(feature = "axum", feature = "agent"))]
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod common;

use std::sync::atomic::{AtomicBool, AtomicU32, AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex, Once, PoisonError};
use std::time::Duration;

use aims::cred::{FixedSource, Identity};
use aims::decision::{Authorize, Call, Decision};
use aims::fetch::{Fetch, FetchFuture, Fetcher};
use aims::jose::secret::SecretText;
use aims::jose::time::{Clock, UnixTime};
use aims::oauth_client::TokenSource;
use aims::oauth_wire::client_auth::ClientSecretBasic;
use aims::oauth_wire::metadata::ServerMetadata;
use aims::oauth_wire::names::Resource;
use aims::record::{Event, Outcome, Record};
use aims::revoked::{Credential, Revoked};
use aims::{Agent, Guard, Principal};
use axum::Router;
use axum::body::Body;
use axum::routing::post;
use common::{ISSUER, NOW, World, at, told};
use http::{Request, Response};
use serde_json::json;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tower::Service as _;

const AGENT: &str = "spiffe://example.org/agent";
const ON_PURPOSE: &str = "on purpose";

#[derive(Debug)]
struct Then;

impl Clock for Then {
    fn now(&self) -> UnixTime {
        at(NOW)
    }
}

/// Hides the output of intended panics, and of no others.
fn quietly() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let before = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |panicked| {
            if panicked.payload_as_str() != Some(ON_PURPOSE) {
                before(panicked);
            }
        }));
    });
}

/// Sends a request in its own task, like a server. Returns its status, or `None` if it panicked.
async fn send(router: &Router, parts: http::request::Parts) -> Option<u16> {
    let mut router = router.clone();
    let request = Request::from_parts(parts, Body::empty());
    let answer = tokio::spawn(async move { router.call(request).await }).await;
    answer.ok().map(|answer| answer.unwrap().status().as_u16())
}

/// T-144: after a thousand handlers that panic, valid requests are accepted.
#[tokio::test]
async fn panicking_handlers_poison_nothing() {
    quietly();
    let world = World::new();
    let guard = world.guard().clock(Then).build().unwrap();
    let broken = Arc::new(AtomicBool::new(true));
    let now_broken = Arc::clone(&broken);
    let handler = move |_: Principal| {
        assert!(!now_broken.load(Ordering::SeqCst), "{ON_PURPOSE}");
        std::future::ready(())
    };
    let router = Router::new().route("/mcp/call", post(handler));
    let router = router.layer(guard.layer());
    let agent = world.agent(AGENT);
    for _ in 0..1_000 {
        assert_eq!(send(&router, agent.call()).await, None);
    }
    broken.store(false, Ordering::SeqCst);
    for _ in 0..20 {
        assert_eq!(send(&router, agent.call()).await, Some(200));
    }
}

/// Panics the given number of times, and counts.
#[derive(Clone, Debug, Default)]
struct Panicking(Arc<(AtomicU32, AtomicUsize)>);

impl Panicking {
    fn asked(&self) {
        let (left, asked) = &*self.0;
        asked.fetch_add(1, Ordering::SeqCst);
        let again = left.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |it| it.checked_sub(1));
        assert!(again.is_err(), "{ON_PURPOSE}");
    }
}

impl Authorize for Panicking {
    fn authorize(&self, _: &Principal, _: &Call<'_>, _: UnixTime) -> Decision {
        self.asked();
        Decision::Allow(Vec::new())
    }
}

impl Record for Panicking {
    fn record(&self, _: &Event<'_>) {
        self.asked();
    }
}

impl Revoked for Panicking {
    fn is_revoked(&self, _: Credential<'_>, _: UnixTime) -> bool {
        self.asked();
        false
    }
}

impl Clock for Panicking {
    fn now(&self) -> UnixTime {
        self.asked();
        at(NOW)
    }
}

/// T-144, F-24: if a hook panics, its request is rejected, and the next one is decided as usual.
#[tokio::test]
async fn a_panicking_seam_costs_its_own_request() {
    quietly();
    let world = World::new();
    let agent = world.agent(AGENT);
    let seam = Panicking::default();
    let guards = [
        world.guard().clock(Then).authorize(seam.clone()).build(),
        world.guard().clock(Then).record(seam.clone()).build(),
        world.guard().clock(Then).revoked(seam.clone()).build(),
        world.guard().clock(seam.clone()).build(),
    ];
    for (number, guard) in guards.into_iter().enumerate() {
        let guard = guard.unwrap();
        seam.0.1.store(0, Ordering::SeqCst);
        let reached = Arc::new(AtomicUsize::new(0));
        let count = Arc::clone(&reached);
        let handler = move |_: Principal| {
            count.fetch_add(1, Ordering::SeqCst);
            std::future::ready(())
        };
        let router = Router::new().route("/mcp/call", post(handler));
        let router = router.layer(guard.layer());
        seam.0.0.store(3, Ordering::SeqCst);
        for _ in 0..3 {
            assert_eq!(send(&router, agent.call()).await, None, "{number}");
        }
        assert_eq!(reached.load(Ordering::SeqCst), 0, "{number}");
        let asked = seam.0.1.load(Ordering::SeqCst);
        assert_eq!(asked, 3, "{number}");
        assert_eq!(send(&router, agent.call()).await, Some(200), "{number}");
        assert_eq!(reached.load(Ordering::SeqCst), 1, "{number}");
    }
}

/// A proof is spent before the decision, so a request that panicked there cannot be sent again.
#[test]
fn a_proof_of_a_panicked_request_is_spent() {
    quietly();
    let world = World::new();
    let seam = Panicking::default();
    let guard = world.guard().authorize(seam.clone()).build().unwrap();
    let request = world.agent(AGENT).call();
    seam.0.0.store(1, Ordering::SeqCst);
    let judging = std::panic::AssertUnwindSafe(|| guard.check(&request, at(NOW)));
    assert!(std::panic::catch_unwind(judging).is_err());
    let again = told(guard.check(&request, at(NOW)));
    assert_eq!(again.0, "replay.replayed");
}

/// Blocks before it records an acceptance, until the test permits it.
#[derive(Debug)]
struct Waiting {
    here: Mutex<Sender<()>>,
    leave: Mutex<Receiver<()>>,
}

impl Record for Waiting {
    fn record(&self, event: &Event<'_>) {
        if event.outcome == Outcome::Accepted {
            let _ = self.here.lock().unwrap().send(());
            let leave = self.leave.lock().unwrap_or_else(PoisonError::into_inner);
            let _ = leave.recv();
        }
    }
}

/// F-24: an event is recorded before the request continues. A recorder that waits delays that
/// request and no other, because the guard holds no lock.
#[test]
fn a_waiting_record_holds_up_its_own_request() {
    let world = World::new();
    let (here, is_here) = channel();
    let (leave, may_leave) = channel();
    let guard = world.guard().record(Waiting {
        here: Mutex::new(here),
        leave: Mutex::new(may_leave),
    });
    let guard = guard.build().unwrap();
    let agent = world.agent(AGENT);
    std::thread::scope(|scope| {
        let held = scope.spawn(|| told(guard.check(&agent.call(), at(NOW))).0);
        is_here.recv_timeout(Duration::from_secs(10)).unwrap();
        // This request has the same credential, so it uses the same cache entries. It is refused
        // immediately.
        let mut other = agent.call();
        other.headers.remove("workload-proof-token");
        assert_eq!(told(guard.check(&other, at(NOW))).0, "wpt.field_missing");
        let forged = World::new().agent(AGENT).call();
        assert_eq!(told(guard.check(&forged, at(NOW))).0, "wit.signature");
        let wrong = aims::wpt::Binding::to("https://other.example/");
        let wrong = common::proven(agent.wit.expose(), &agent.wpt(&wrong), None);
        assert_eq!(told(guard.check(&wrong, at(NOW))).0, "wpt.audience");
        assert!(!held.is_finished());
        leave.send(()).unwrap();
        assert_eq!(held.join().unwrap(), "ok");
    });
}

/// F-23: the refusal shows both times and the skew, so a wrong clock can be recognized. Nothing
/// widens the skew.
#[test]
fn a_wrong_clock_is_told_with_both_times() {
    let world = World::new();
    let guard = world.guard().build().unwrap();
    let agent = world.agent(AGENT);
    let early = NOW - 300;
    for _ in 0..3 {
        let refusal = guard.check(&agent.call(), at(early)).unwrap_err();
        assert_eq!(refusal.code(), "wit.not_yet_valid");
        let detail = refusal.detail();
        for part in [
            NOW.to_string(),
            early.to_string(),
            "a skew of 30 s".to_owned(),
        ] {
            assert!(detail.contains(&part), "{detail}");
        }
        // The caller learns none of it (T-141).
        let answer = refusal.into_response::<Vec<u8>>();
        let body = String::from_utf8(answer.into_body()).unwrap();
        assert!(!body.contains(&early.to_string()), "{body}");
    }
    let refusal = guard.check(&agent.call(), at(NOW - 31)).unwrap_err();
    assert_eq!(refusal.code(), "wit.not_yet_valid");
    assert!(guard.check(&agent.call(), at(NOW - 30)).is_ok());
}

/// Revokes everything after it is switched on.
#[derive(Clone, Debug, Default)]
struct Switch(Arc<AtomicBool>);

impl Revoked for Switch {
    fn is_revoked(&self, _: Credential<'_>, _: UnixTime) -> bool {
        self.0.load(Ordering::SeqCst)
    }
}

/// Serves the guard's tool on loopback.
async fn serve(guard: Guard) -> TcpStream {
    let router = Router::new().route("/mcp/call", post(|_: Principal| async {}));
    let router = router.layer(guard.layer());
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move { axum::serve(listener, router).await });
    TcpStream::connect(address).await.unwrap()
}

/// T-142: an identity that the guard has cached is revoked between two requests of one connection.
#[tokio::test]
async fn a_revocation_holds_within_a_connection() {
    let world = World::new();
    let switch = Switch::default();
    let guard = world.guard().clock(Then).revoked(switch.clone());
    let mut connection = serve(guard.build().unwrap()).await;
    let agent = world.agent(AGENT);
    for (revoked, expected) in [
        (false, "200"),
        (false, "200"),
        (true, "400"),
        (false, "200"),
    ] {
        switch.0.store(revoked, Ordering::SeqCst);
        let mut head = "POST /mcp/call HTTP/1.1\r\ncontent-length: 0\r\n".to_owned();
        for (name, value) in &agent.call().headers {
            head.push_str(&format!("{name}: {}\r\n", value.to_str().unwrap()));
        }
        let request = format!("{head}\r\n");
        connection.write_all(request.as_bytes()).await.unwrap();
        let mut answer = [0; 2_048];
        let read = connection.read(&mut answer).await.unwrap();
        let answer = String::from_utf8_lossy(&answer[..read]).into_owned();
        assert_eq!(answer.get(9..12), Some(expected), "{answer}");
    }
}

/// Accepts requests on a port, stores their text, and gives each the same answer.
struct Trap {
    url: String,
    seen: Arc<Mutex<Vec<String>>>,
}

impl Trap {
    async fn set(answer: String) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let seen: Arc<Mutex<Vec<String>>> = Arc::default();
        let kept = Arc::clone(&seen);
        tokio::spawn(async move {
            loop {
                let (mut stream, _) = listener.accept().await.unwrap();
                let mut text = Vec::new();
                while !text.windows(4).any(|it| it == b"\r\n\r\n") {
                    if stream.read_buf(&mut text).await.unwrap() == 0 {
                        break;
                    }
                }
                let text = String::from_utf8(text).unwrap();
                kept.lock().unwrap().push(text);
                let _ = stream.write_all(answer.as_bytes()).await;
            }
        });
        Self { url, seen }
    }

    fn seen(&self) -> Vec<String> {
        std::mem::take(&mut *self.seen.lock().unwrap())
    }
}

/// Returns the same access token for every request.
#[derive(Debug)]
struct Tokens;

impl Fetch for Tokens {
    fn send(&self, _: Request<Vec<u8>>) -> FetchFuture<'_> {
        let body =
            json!({"access_token": "SECRET.OF.A", "token_type": "Bearer", "expires_in": 300});
        let answer = Response::builder().header("content-type", "application/json");
        let answer = answer.header("cache-control", "no-store");
        let answer = answer.body(body.to_string().into_bytes()).unwrap();
        Box::pin(std::future::ready(Ok(answer)))
    }
}

/// T-112: a listener that is not the tool gets no token of the tool: not when the agent sends a
/// request to it, and not when the tool redirects to it.
#[tokio::test]
async fn a_trap_sees_no_token() {
    let world = World::new();
    let trap =
        Trap::set("HTTP/1.1 200 OK\r\ncontent-length: 0\r\nconnection: close\r\n\r\n".to_owned())
            .await;
    let moved = |status: &str| {
        let place = format!("{}/mcp/call", trap.url);
        format!(
            "HTTP/1.1 {status}\r\nlocation: {place}\r\ncontent-length: 0\r\nconnection: close\r\n\r\n"
        )
    };
    let holder = world.agent(AGENT);
    for status in [
        "301 Moved Permanently",
        "302 Found",
        "307 Temporary Redirect",
        "308 Permanent Redirect",
    ] {
        let tool = Trap::set(moved(status)).await;
        let resource = format!("{}/mcp", tool.url);
        let agent = agent_for(&holder, &resource);
        // The token is sent to the tool, and the redirect is not followed.
        let answer = agent.send(call(&format!("{resource}/call"))).await;
        assert!(answer.unwrap().status().is_redirection(), "{status}");
        let seen = tool.seen();
        assert!(
            matches!(seen.as_slice(), [one] if one.contains("SECRET.OF.A")),
            "{seen:?}"
        );
        assert_eq!(trap.seen(), Vec::<String>::new(), "{status}");

        // Other targets: another port, the tool's own root, a path with the same start.
        agent
            .send(call(&format!("{}/mcp/call", trap.url)))
            .await
            .unwrap();
        for url in [format!("{}/", tool.url), format!("{resource}x")] {
            drop(agent.send(call(&url)).await);
        }
        // A target that leads elsewhere only after normalisation is not sent.
        let both = agent.send(call(&format!("{resource}/../"))).await;
        assert_eq!(both.unwrap_err().code(), "agent.target");
        let seen = [trap.seen(), tool.seen()].concat();
        assert_eq!(seen.len(), 3);
        for text in seen {
            assert!(text.contains("signature-input: "), "{text}");
            assert!(
                !text.contains("SECRET") && !text.contains("authorization"),
                "{text}"
            );
        }
    }
}

fn call(url: &str) -> Request<String> {
    Request::post(url).body(String::new()).unwrap()
}

/// An agent with tokens for one tool, over real HTTP.
fn agent_for(holder: &common::Agent, resource: &str) -> Agent {
    let wit = SecretText::new(holder.wit.expose());
    let signer = Arc::new(holder.key.clone());
    let identity = Identity::new(wit, signer, holder.key.public_jwk()).unwrap();
    let document = json!({"issuer": ISSUER, "token_endpoint": "https://as.example/token"});
    let issuer = ISSUER.parse().unwrap();
    let server = ServerMetadata::parse(document.to_string().as_bytes(), &issuer).unwrap();
    let client = ClientSecretBasic::new(AGENT.parse().unwrap(), SecretText::new("s"));
    let source = TokenSource::new(server, client, Tokens);
    let scopes = "tools:call".parse().unwrap();
    Agent::builder(FixedSource::new(identity))
        .clock(Then)
        .authorize(Resource::loopback(resource).unwrap(), scopes, source)
        .client(Fetcher::builder().allow_loopback_http().build().unwrap())
        .build()
        .unwrap()
}
