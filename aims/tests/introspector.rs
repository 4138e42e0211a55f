//! The client of an introspection endpoint: what it asks, how often, and what it makes of answers.

#![cfg(feature = "introspection")]
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod common;

use std::sync::{Arc, Mutex};
use std::time::Duration;

use aims::Guard;
use aims::fetch::{Fetch, FetchFuture};
use aims::guard::OpaqueTokens;
use aims::introspect::{Introspector, IntrospectorBuilder};
use aims::jose::alg::Algorithm;
use aims::oauth_wire::client_auth::ClientSecretBasic;
use aims::oauth_wire::names::Issuer;
use common::{ISSUER, NOW, TOOL, Then, World, at, bare, key, provider, sign, told};
use http::{Request, Response};
use serde_json::{Value, json};
use tokio::task::JoinSet;

/// An authorization server.
#[derive(Clone, Debug)]
struct Server(Arc<Mutex<State>>);

#[derive(Debug)]
struct State {
    asked: Vec<Request<Vec<u8>>>,
    answer: Answers,
    /// How many seconds an answer takes.
    takes: u64,
    /// The metadata cannot be fetched.
    without_metadata: bool,
    /// How many seconds the metadata take beside that.
    metadata_takes: u64,
}

#[derive(Clone, Debug)]
enum Answers {
    /// Only this token is active.
    Knows(&'static str),
    Says(u16, &'static str, Vec<u8>),
    Away,
}

impl Server {
    fn new(answer: Answers) -> Self {
        Self(Arc::new(Mutex::new(State {
            asked: Vec::new(),
            answer,
            takes: 0,
            without_metadata: false,
            metadata_takes: 0,
        })))
    }

    fn set(&self, answer: Answers) {
        self.0.lock().unwrap().answer = answer;
    }

    /// The bodies of the introspection requests.
    fn asked(&self) -> Vec<String> {
        let state = self.0.lock().unwrap();
        let forms = state.asked.iter().filter(|it| it.method() == "POST");
        let text = |it: &Request<Vec<u8>>| String::from_utf8(it.body().clone()).unwrap();
        forms.map(text).collect()
    }
}

impl Fetch for Server {
    fn send(&self, request: Request<Vec<u8>>) -> FetchFuture<'_> {
        let mut state = self.0.lock().unwrap();
        let (answer, takes) = (state.answer.clone(), state.takes);
        let (is_lost, metadata_takes) = (state.without_metadata, state.metadata_takes);
        let body = String::from_utf8(request.body().clone()).unwrap();
        let is_form = request.method() == "POST";
        state.asked.push(request);
        drop(state);
        Box::pin(async move {
            let takes = if is_form {
                takes
            } else {
                takes + metadata_takes
            };
            tokio::time::sleep(Duration::from_secs(takes)).await;
            let json = "application/json";
            let (status, kind, body) = match answer {
                Answers::Away => return Err(aims::fetch::Error::Timeout),
                _ if !is_form && is_lost => (503, json, Vec::new()),
                _ if !is_form => (200, json, metadata().to_string().into_bytes()),
                Answers::Says(status, kind, body) => (status, kind, body),
                Answers::Knows(token) => {
                    let is_known = body.starts_with(&format!("token={token}&"));
                    let active = json!({"active": false});
                    let answer = if is_known { good() } else { active };
                    (200, json, answer.to_string().into_bytes())
                }
            };
            let answer = Response::builder().status(status);
            Ok(answer.header("content-type", kind).body(body).unwrap())
        })
    }
}

fn metadata() -> Value {
    json!({
        "issuer": ISSUER,
        "token_endpoint": format!("{ISSUER}/token"),
        "token_endpoint_auth_methods_supported": ["private_key_jwt"],
        "introspection_endpoint": format!("{ISSUER}/introspect"),
        "introspection_endpoint_auth_methods_supported": ["client_secret_basic"],
    })
}

fn good() -> Value {
    json!({
        "active": true, "aud": TOOL, "sub": "alice", "client_id": "app", "exp": NOW + 300,
    })
}

fn issuer() -> Issuer {
    ISSUER.parse().unwrap()
}

fn introspector(server: &Server) -> IntrospectorBuilder {
    let tool = ClientSecretBasic::new("tool".parse().unwrap(), "secret".into());
    Introspector::builder(issuer(), Arc::new(tool), Arc::new(server.clone())).clock(Then)
}

fn guard(world: &World, introspector: Introspector) -> Guard {
    let guard = world.guard().issuers(Arc::clone(&world.issuers));
    let opaque = OpaqueTokens::of(issuer(), introspector);
    let guard = guard.opaque_tokens(opaque).accept_bearer().clock(Then);
    guard.build().unwrap()
}

async fn outcome(guard: &Guard, token: &str) -> (&'static str, u16) {
    let mut request = bare();
    let value = format!("Bearer {token}").parse().unwrap();
    request.headers.insert("authorization", value);
    let told = told(guard.admit(&request).await);
    (told.0, told.1)
}

/// Creates an introspector with these limits for all requests together.
fn limited(server: &Server, per_second: u32, in_flight: usize) -> Introspector {
    let introspector = introspector(server).max_per_second(per_second);
    introspector.max_in_flight(in_flight).build()
}

/// Returns a function that creates guards. They share the introspector, and no answers.
fn sharing(introspector: Introspector) -> impl Fn() -> Guard {
    let world = World::new();
    move || guard(&world, introspector.clone())
}

/// Presents twenty tokens at once, each to a guard of its own, and lets them wait for a moment.
async fn present_twenty(
    another: impl Fn() -> Guard,
    name: &'static str,
) -> JoinSet<(&'static str, u16)> {
    let mut tasks = JoinSet::new();
    for number in 0..20 {
        let guard = another();
        tasks.spawn(async move { outcome(&guard, &format!("{name}-{number}")).await });
    }
    tokio::time::sleep(Duration::from_millis(100)).await;
    tasks
}

const OK: (&str, u16) = ("ok", 200);
const INACTIVE: (&str, u16) = ("token.inactive", 401);
const AWAY: (&str, u16) = ("token.not_introspected", 503);

/// RFC 7662 §2.1, and RFC 8414 §2: the list of the introspection endpoint counts there.
#[tokio::test]
async fn the_issuer_is_discovered_and_asked_as_a_client() {
    let server = Server::new(Answers::Knows("good"));
    let guard = guard(&World::new(), introspector(&server).build());
    assert_eq!(outcome(&guard, "good").await, OK);
    let state = server.0.lock().unwrap();
    let [discovery, asked] = &state.asked[..] else {
        panic!("{:?}", state.asked);
    };
    assert_eq!(
        discovery.uri(),
        "https://as.example/.well-known/oauth-authorization-server"
    );
    assert_eq!(asked.uri(), "https://as.example/introspect");
    assert_eq!(asked.body(), b"token=good&token_type_hint=access_token");
    let headers = asked.headers();
    assert_eq!(headers["authorization"], "Basic dG9vbDpzZWNyZXQ=");
    assert_eq!(headers["accept"], "application/json");
    // DPOP-25: what proves the caller's key is compared here and goes nowhere.
    assert!(!headers.contains_key("dpop"));
}

/// Requests for one token at one time are one.
#[tokio::test(start_paused = true)]
async fn one_request_at_a_time_is_under_way_for_a_token() {
    let server = Server::new(Answers::Knows("good"));
    server.0.lock().unwrap().takes = 1;
    let guard = guard(&World::new(), introspector(&server).build());
    let mut tasks = JoinSet::new();
    for _ in 0..32 {
        let guard = guard.clone();
        tasks.spawn(async move { outcome(&guard, "good").await });
    }
    // One that goes away takes nothing from the others.
    let gone = tokio::time::timeout(Duration::from_millis(10), outcome(&guard, "good")).await;
    assert!(gone.is_err());
    while let Some(outcome) = tasks.join_next().await {
        assert_eq!(outcome.unwrap(), OK);
    }
    assert_eq!(server.asked().len(), 1);
}

/// That a token is not active is remembered for five seconds, and no longer: it may become so.
#[tokio::test(start_paused = true)]
async fn inactive_tokens_are_remembered_for_seconds() {
    let server = Server::new(Answers::Knows("other"));
    let guard = guard(&World::new(), introspector(&server).build());
    assert_eq!(outcome(&guard, "later").await, INACTIVE);
    server.set(Answers::Knows("later"));
    tokio::time::advance(Duration::from_secs(4)).await;
    assert_eq!(outcome(&guard, "later").await, INACTIVE);
    assert_eq!(server.asked().len(), 1);
    tokio::time::advance(Duration::from_secs(1)).await;
    assert_eq!(outcome(&guard, "later").await, OK);
    assert_eq!(server.asked().len(), 2);
}

/// Ten thousand made-up tokens displace no good one, and cost no more than the rate allows.
#[tokio::test(start_paused = true)]
async fn made_up_tokens_are_bounded_and_displace_none() {
    let server = Server::new(Answers::Knows("good"));
    let world = World::new();
    let introspector = introspector(&server).max_per_second(100).build();
    let opaque = OpaqueTokens::of(issuer(), introspector);
    let guard = world.guard().issuers(Arc::clone(&world.issuers));
    let guard = guard.opaque_tokens(opaque).accept_bearer().clock(Then);
    let guard = guard.cache(1).build().unwrap();
    assert_eq!(outcome(&guard, "good").await, OK);
    let mut found = [0, 0];
    for number in 0..10_000 {
        match outcome(&guard, &format!("made-up-{number}")).await {
            INACTIVE => found[0] += 1,
            AWAY => found[1] += 1,
            other => panic!("{other:?}"),
        }
    }
    assert_eq!(found, [49, 9_951]);
    assert_eq!(server.asked().len(), 50);
    // The good one is still there, though the guard keeps one token alone.
    assert_eq!(outcome(&guard, "good").await, OK);
    assert_eq!(server.asked().len(), 50);
    tokio::time::advance(Duration::from_secs(1)).await;
    assert_eq!(outcome(&guard, "made-up-60").await, INACTIVE);
}

/// Made-up tokens use up half of the rate and half of the requests under way. The other half is for
/// tokens that were active before, whose answers come of age.
#[tokio::test(start_paused = true)]
async fn made_up_tokens_keep_no_good_one_out() {
    for (per_second, in_flight) in [(10, 64), (200, 4)] {
        let server = Server::new(Answers::Knows("good"));
        let another = sharing(limited(&server, per_second, in_flight));
        assert_eq!(outcome(&another(), "good").await, OK);
        server.0.lock().unwrap().takes = 1;
        tokio::time::advance(Duration::from_secs(1)).await;
        let tasks = present_twenty(&another, "made-up").await;
        assert_eq!(outcome(&another(), "good").await, OK);
        let outcomes = tasks.join_all().await;
        let asked = outcomes.iter().filter(|it| **it == INACTIVE).count();
        assert_eq!(asked, if in_flight == 4 { 2 } else { 5 });
        assert_eq!(
            outcomes.iter().filter(|it| **it == AWAY).count(),
            20 - asked
        );
        // One that was revoked has no such right any more.
        tokio::time::advance(Duration::from_secs(1)).await;
        server.set(Answers::Knows("another"));
        assert_eq!(outcome(&another(), "good").await, INACTIVE);
        tokio::time::advance(Duration::from_secs(5)).await;
        let _tasks = present_twenty(&another, "other").await;
        assert_eq!(outcome(&another(), "good").await, AWAY);
    }
}

/// Also a token that was active before waits where the limits are used up.
#[tokio::test(start_paused = true)]
async fn the_limits_hold_for_good_tokens() {
    for (per_second, in_flight) in [(1, 64), (200, 1)] {
        let server = Server::new(Answers::Knows("good"));
        let another = sharing(limited(&server, per_second, in_flight));
        assert_eq!(outcome(&another(), "good").await, OK);
        server.0.lock().unwrap().takes = 1;
        tokio::time::advance(Duration::from_secs(1)).await;
        let first = another();
        let first = tokio::spawn(async move { outcome(&first, "made-up").await });
        tokio::time::sleep(Duration::from_millis(100)).await;
        assert_eq!(outcome(&another(), "good").await, AWAY);
        assert_eq!(first.await.unwrap(), INACTIVE);
        tokio::time::advance(Duration::from_secs(1)).await;
        assert_eq!(outcome(&another(), "good").await, OK);
    }
}

/// The number of requests under way is bounded; the next caller gets 503 with `Retry-After`.
#[tokio::test(start_paused = true)]
async fn requests_under_way_are_bounded() {
    let server = Server::new(Answers::Knows("good"));
    server.0.lock().unwrap().takes = 5;
    let introspector = introspector(&server).max_in_flight(4).build();
    let guard = guard(&World::new(), introspector);
    let mut tasks = JoinSet::new();
    for number in 0..2 {
        let guard = guard.clone();
        tasks.spawn(async move { outcome(&guard, &format!("slow-{number}")).await });
    }
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert_eq!(outcome(&guard, "third").await, AWAY);
    while let Some(outcome) = tasks.join_next().await {
        assert_eq!(outcome.unwrap(), INACTIVE);
    }
    server.0.lock().unwrap().takes = 0;
    assert_eq!(outcome(&guard, "third").await, INACTIVE);
}

/// A server that does not answer makes no token good and none bad, and is left alone for a second.
#[tokio::test(start_paused = true)]
async fn a_server_that_fails_is_asked_again_after_a_second() {
    let answer = |status, kind, body: &str| Answers::Says(status, kind, body.as_bytes().to_vec());
    let json = "application/json";
    for answers in [
        Answers::Away,
        answer(500, json, r#"{"active":true}"#),
        answer(401, json, r#"{"error":"invalid_client"}"#),
        answer(200, "text/html", "<html>"),
        answer(200, json, r#"{"active":"true"}"#),
        answer(200, json, r#"{"active":true,"active":true}"#),
        Answers::Says(200, json, vec![b' '; 5 << 20]),
    ] {
        let server = Server::new(answers.clone());
        let metadata = metadata().to_string();
        let metadata =
            aims::oauth_wire::metadata::ServerMetadata::parse(metadata.as_bytes(), &issuer());
        let introspector = introspector(&server).metadata(metadata.unwrap()).build();
        let guard = guard(&World::new(), introspector);
        assert_eq!(outcome(&guard, "good").await, AWAY, "{answers:?}");
        server.set(Answers::Knows("good"));
        assert_eq!(outcome(&guard, "good").await, AWAY, "{answers:?}");
        assert_eq!(server.asked().len(), 1);
        tokio::time::advance(Duration::from_secs(1)).await;
        assert_eq!(outcome(&guard, "good").await, OK, "{answers:?}");
    }
}

/// RFC 7662 §2.2: an answer about one token that cannot be used, as its client may bring about,
/// keeps no other token from being asked about.
#[tokio::test(start_paused = true)]
async fn an_unusable_answer_is_about_one_token() {
    let answer =
        |status, body: &str| Answers::Says(status, "application/json", body.as_bytes().to_vec());
    for answers in [
        answer(200, r#"{"active":true,"sub":7}"#),
        answer(200, r#"{"active":true,"scope":"\\"}"#),
        answer(400, r#"{"error":"invalid_request"}"#),
        answer(414, ""),
    ] {
        let server = Server::new(answers.clone());
        let guard = guard(&World::new(), introspector(&server).build());
        assert_eq!(outcome(&guard, "hostile").await, AWAY, "{answers:?}");
        server.set(Answers::Knows("good"));
        assert_eq!(outcome(&guard, "good").await, OK, "{answers:?}");
        // The token itself is left alone for a second.
        assert_eq!(outcome(&guard, "hostile").await, AWAY, "{answers:?}");
        assert_eq!(server.asked().len(), 2);
        tokio::time::advance(Duration::from_secs(1)).await;
        assert_eq!(outcome(&guard, "hostile").await, INACTIVE, "{answers:?}");
    }
}

/// A slow server costs the request its time, not the guard.
#[tokio::test(start_paused = true)]
async fn a_slow_server_is_given_up() {
    let server = Server::new(Answers::Knows("good"));
    server.0.lock().unwrap().takes = 100;
    let introspector = introspector(&server).timeout(Duration::from_secs(3));
    let guard = guard(&World::new(), introspector.build());
    assert_eq!(outcome(&guard, "good").await, AWAY);
    server.0.lock().unwrap().takes = 0;
    tokio::time::advance(Duration::from_secs(1)).await;
    assert_eq!(outcome(&guard, "good").await, OK);
}

/// Metadata that cannot be fetched again are used for a day; an issuer that is back is found within
/// a minute.
#[tokio::test(start_paused = true)]
async fn old_metadata_are_used_for_a_day() {
    let server = Server::new(Answers::Knows("good"));
    let guard = guard(&World::new(), introspector(&server).build());
    assert_eq!(outcome(&guard, "first").await, INACTIVE);
    server.0.lock().unwrap().without_metadata = true;
    tokio::time::advance(Duration::from_secs(3_601)).await;
    assert_eq!(outcome(&guard, "second").await, INACTIVE);
    tokio::time::advance(Duration::from_secs(23 * 3_600)).await;
    assert_eq!(outcome(&guard, "third").await, AWAY);
    server.0.lock().unwrap().without_metadata = false;
    tokio::time::advance(Duration::from_secs(60)).await;
    assert_eq!(outcome(&guard, "third").await, INACTIVE);
}

/// An introspector shows no token to a server that is not its own.
#[tokio::test]
async fn another_issuers_token_is_not_sent() {
    let server = Server::new(Answers::Knows("good"));
    let world = World::new();
    let other: Issuer = "https://other.example".parse().unwrap();
    world.issuers.name(&other);
    let guard = world.guard().issuers(Arc::clone(&world.issuers));
    let opaque = OpaqueTokens::of(other, introspector(&server).build());
    let guard = guard.opaque_tokens(opaque).accept_bearer().clock(Then);
    assert_eq!(outcome(&guard.build().unwrap(), "good").await, AWAY);
    assert!(server.asked().is_empty());
}

/// RFC 9701: where signed answers are asked for, no other counts.
#[tokio::test(start_paused = true)]
async fn a_signed_answer_is_by_the_issuer_for_this_client() {
    const KIND: &str = "application/token-introspection+jwt";
    const TYP: &str = "token-introspection+jwt";
    let world = World::new();
    let claims = |aud: &str, iss: &str| json!({"iss": iss, "aud": aud, "iat": NOW, "token_introspection": good()});
    let stranger = key(Algorithm::Es256).with_key_id("as");
    let good_one = sign(TYP, &world.server, &claims("tool", ISSUER));
    for (expected, kind, body) in [
        (OK, KIND, good_one),
        (AWAY, KIND, sign(TYP, &stranger, &claims("tool", ISSUER))),
        (
            AWAY,
            KIND,
            sign(TYP, &world.server, &claims("other", ISSUER)),
        ),
        (AWAY, KIND, sign(TYP, &world.server, &claims("tool", TOOL))),
        (
            AWAY,
            KIND,
            sign("JWT", &world.server, &claims("tool", ISSUER)),
        ),
        (AWAY, "application/json", good().to_string()),
    ] {
        let server = Server::new(Answers::Says(200, kind, body.clone().into_bytes()));
        let introspector = introspector(&server).signed_by(Arc::clone(&world.issuers));
        let guard = guard(&world, introspector.build());
        assert_eq!(outcome(&guard, "good").await, expected, "{kind} {body}");
        let state = server.0.lock().unwrap();
        assert_eq!(state.asked[1].headers()["accept"], KIND);
    }
}

/// The keys of a signed answer are trusted as long as those of access tokens.
#[tokio::test(start_paused = true)]
async fn a_signed_answer_needs_a_key_that_is_still_trusted() {
    const TYP: &str = "token-introspection+jwt";
    for (until, expected) in [(NOW, OK), (NOW - 1, AWAY)] {
        let world = World::new();
        let keys = format!(r#"{{"keys":[{}]}}"#, world.server.public_jwk().to_json());
        let issuers = &world.issuers;
        let set = issuers.set_until(&issuer(), keys.as_bytes(), provider(), at(until));
        set.unwrap();
        let claims =
            json!({"iss": ISSUER, "aud": "tool", "iat": NOW, "token_introspection": good()});
        let answer = sign(TYP, &world.server, &claims).into_bytes();
        let kind = "application/token-introspection+jwt";
        let server = Server::new(Answers::Says(200, kind, answer));
        let introspector = introspector(&server).signed_by(Arc::clone(issuers));
        let guard = guard(&world, introspector.build());
        assert_eq!(outcome(&guard, "good").await, expected, "{until}");
    }
}

/// Metadata that never arrives again costs one attempt its time, and then the old one is used.
#[tokio::test(start_paused = true)]
async fn metadata_that_hangs_holds_up_one_attempt() {
    let server = Server::new(Answers::Knows("good"));
    let introspector = introspector(&server).timeout(Duration::from_secs(30));
    let guard = guard(&World::new(), introspector.build());
    assert_eq!(outcome(&guard, "first").await, INACTIVE);
    server.0.lock().unwrap().metadata_takes = 1_000;
    tokio::time::advance(Duration::from_secs(3_601)).await;
    assert_eq!(outcome(&guard, "second").await, INACTIVE);
    assert_eq!(outcome(&guard, "third").await, INACTIVE);
}

/// Neither the token nor the client's secret is shown.
#[test]
fn debug_shows_no_secret() {
    let server = Server::new(Answers::Knows("good"));
    let builder = introspector(&server);
    let shown = format!("{builder:?} {:?}", introspector(&server).build());
    assert!(
        shown.contains(ISSUER) && !shown.contains("secret"),
        "{shown}"
    );
}
