//! Secrets are planted wherever a server gives or gets one. Then everything that a program can see
//! is searched for them: logs, errors, `Debug`, and the values that go to the loop of its model.

#![cfg(all(feature = "agent", feature = "tool"))]
#![allow(
    clippy::indexing_slicing,
    clippy::unwrap_used,
    reason = "a test fails by panicking"
)]

mod common;

use std::fmt::Debug;
use std::sync::{Arc, Mutex};

use aims::Agent;
use aims::fetch::{Fetch, FetchFuture};
use aims::jose::Chain;
use aims::jose::base64url;
use aims::jose::time::{Clock, UnixTime};
use aims::oauth_client::{
    Authorizing, BackchannelRequest, Connector, DeviceRequest, Identities, MemoryStore, Receive,
    ReceiveFuture, Receiving, RedirectUri, RevocationSignal, SubjectToken, Target, TokenSource,
    TokenStore, UserGrant, drive,
};
use aims::oauth_wire::challenge::Challenges;
use aims::oauth_wire::client_auth::ClientSecretBasic;
use aims::oauth_wire::metadata::ServerMetadata;
use common::{CALL, Calls, ISSUER, NOW, TOOL, at};
use http::{Request, Response};
use serde_json::json;
use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id, Record};
use tracing::{Event, Metadata, Subscriber};

/// The beginning of each planted secret.
const CANARY: &str = "c4n4ry";

/// Everything that was seen. It is a log, too.
#[derive(Clone, Default)]
struct Seen(Arc<Mutex<Vec<String>>>);

impl Seen {
    fn text(&self, text: impl Into<String>) {
        self.0.lock().unwrap().push(text.into());
    }

    fn debug(&self, value: &impl Debug) {
        self.text(format!("{value:?} {value:#?}"));
    }

    fn error<T: Debug, E: std::error::Error + 'static>(&self, outcome: Result<T, E>) {
        match outcome {
            Ok(value) => self.debug(&value),
            Err(error) => self.text(format!("{error} {error:?} {error:#?} {}", Chain(&error))),
        }
    }

    /// Searches for the secrets, as they are and in base64url.
    fn search(&self, at_least: usize) {
        let seen = self.0.lock().unwrap();
        assert!(
            seen.len() >= at_least,
            "only {} texts were seen",
            seen.len()
        );
        // Three positions in base64: the middle of each is the same in every text.
        let hidden = ["", "x", "xx"].map(|before| {
            let text = base64url::encode(format!("{before}{CANARY}").as_bytes());
            text.get(4..8).unwrap().to_owned()
        });
        for text in &*seen {
            assert!(!text.contains(CANARY), "{text}");
            for hidden in &hidden {
                assert!(!text.contains(hidden), "{hidden} in {text}");
            }
        }
    }
}

struct Line(String);

impl Visit for Line {
    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        self.0.push_str(&format!("{}={value:?} ", field.name()));
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        self.0.push_str(&format!("{}={value} ", field.name()));
    }
}

impl Subscriber for Seen {
    fn enabled(&self, _: &Metadata<'_>) -> bool {
        true
    }

    fn new_span(&self, span: &Attributes<'_>) -> Id {
        let mut line = Line(String::new());
        span.record(&mut line);
        self.text(line.0);
        Id::from_u64(1)
    }

    fn record(&self, _: &Id, values: &Record<'_>) {
        let mut line = Line(String::new());
        values.record(&mut line);
        self.text(line.0);
    }

    fn record_follows_from(&self, _: &Id, _: &Id) {}

    fn event(&self, event: &Event<'_>) {
        let mut line = Line(String::new());
        event.record(&mut line);
        self.text(line.0);
    }

    fn enter(&self, _: &Id) {}

    fn exit(&self, _: &Id) {}
}

/// A clock that the test moves.
#[derive(Clone, Debug, Default)]
struct Moved(Arc<Mutex<u64>>);

impl Clock for Moved {
    fn now(&self) -> UnixTime {
        at(NOW + *self.0.lock().unwrap())
    }
}

fn planted(name: &str) -> String {
    format!("{CANARY}-{name}")
}

/// A server that repeats in its errors what it was sent, and a tool that refuses the first call.
#[derive(Clone, Debug, Default)]
struct Net(Arc<Mutex<State>>);

#[derive(Debug, Default)]
struct State {
    calls: usize,
    tokens: usize,
    /// How the token endpoint refuses: a status and whether the answer is JSON.
    refuses: Option<(u16, bool)>,
    /// The secrets that it was given and that no canary is in.
    given: Vec<String>,
}

impl Net {
    fn answer(&self, request: &Request<Vec<u8>>) -> Response<Vec<u8>> {
        let mut state = self.0.lock().unwrap();
        let path = request.uri().path();
        let sent = format!(
            "{:?} {}",
            request.headers(),
            String::from_utf8_lossy(request.body())
        );
        let answer = Response::builder().header("content-type", "application/json");
        let (status, body) = if path.starts_with("/.well-known/oauth-protected-resource") {
            (
                200,
                json!({"resource": TOOL, "authorization_servers": [ISSUER]}),
            )
        } else if path.starts_with("/.well-known/") {
            (200, serde_json::from_str(METADATA).unwrap())
        } else if let Some((status, is_json)) = state.refuses.filter(|_| path != "/mcp/call") {
            let authorization = request.headers().get("authorization");
            let authorization = authorization.map(|it| it.to_str().unwrap().to_owned());
            let text = format!("refused: {sent} {authorization:?}");
            let text = if is_json {
                json!({"error": "invalid_request", "error_description": text, "error_uri": text})
                    .to_string()
            } else {
                text
            };
            let answer = answer.status(status).header("x-said", planted("field"));
            return answer.body(text.into_bytes()).unwrap();
        } else if path == "/device" {
            (
                200,
                json!({"device_code": planted("device"), "user_code": "AB-CD",
                "verification_uri": "https://as.example/d", "expires_in": 100, "interval": 1}),
            )
        } else if path == "/ciba" {
            (
                200,
                json!({"auth_req_id": planted("ciba"), "expires_in": 100, "interval": 1}),
            )
        } else if path == "/token" {
            state.tokens += 1;
            let number = state.tokens;
            let form = String::from_utf8_lossy(request.body()).into_owned();
            let verifier = form
                .split('&')
                .find_map(|it| it.strip_prefix("code_verifier="));
            state.given.extend(verifier.map(str::to_owned));
            let claims = json!({"iss": ISSUER, "sub": planted("sub"), "aud": "agent"});
            let claims = base64url::encode(claims.to_string().as_bytes());
            (
                200,
                json!({"access_token": planted(&format!("access{number}")),
                "token_type": "Bearer", "expires_in": 300,
                "refresh_token": planted(&format!("refresh{number}")),
                "id_token": format!("eyJhbGciOiJFUzI1NiJ9.{claims}.c2ln")}),
            )
        } else if path == "/revoke" {
            (200, json!({}))
        } else {
            state.calls += 1;
            let has_token = request.headers().contains_key("authorization");
            let status = if has_token { 200 } else { 401 };
            let answer = answer.header("www-authenticate", "Bearer scope=\"read\"");
            return answer
                .status(status)
                .body(b"{\"result\": 1}".to_vec())
                .unwrap();
        };
        answer
            .status(status)
            .body(body.to_string().into_bytes())
            .unwrap()
    }

    fn refuse(&self, how: Option<(u16, bool)>) {
        self.0.lock().unwrap().refuses = how;
    }
}

const METADATA: &str = r#"{"issuer": "https://as.example",
    "authorization_endpoint": "https://as.example/authorize",
    "token_endpoint": "https://as.example/token",
    "revocation_endpoint": "https://as.example/revoke",
    "device_authorization_endpoint": "https://as.example/device",
    "backchannel_authentication_endpoint": "https://as.example/ciba",
    "grant_types_supported": ["authorization_code", "refresh_token", "client_credentials",
        "urn:ietf:params:oauth:grant-type:device_code", "urn:openid:params:grant-type:ciba"],
    "code_challenge_methods_supported": ["S256"]}"#;

impl Fetch for Net {
    fn send(&self, request: Request<Vec<u8>>) -> FetchFuture<'_> {
        let answer = self.answer(&request);
        Box::pin(std::future::ready(Ok(answer)))
    }
}

#[derive(Clone, Debug)]
struct User(RedirectUri);

impl Receive for User {
    fn begin(&self) -> ReceiveFuture<'_, Box<dyn Receiving>> {
        let deciding: Box<dyn Receiving> = Box::new(self.clone());
        Box::pin(std::future::ready(Ok(deciding)))
    }
}

impl Receiving for User {
    fn redirect_uri(&self) -> &RedirectUri {
        &self.0
    }

    fn receive<'a>(self: Box<Self>, login: &'a Authorizing) -> ReceiveFuture<'a, String> {
        let query = login.url().split_once('?').unwrap().1;
        let mut pairs = query.split('&');
        let state = pairs.find_map(|it| it.strip_prefix("state=")).unwrap();
        let answer = format!("code={}&state={state}", planted("code"));
        Box::pin(std::future::ready(Ok(answer)))
    }
}

fn client() -> ClientSecretBasic {
    ClientSecretBasic::new("agent".parse().unwrap(), planted("secret").into())
}

fn server() -> ServerMetadata {
    ServerMetadata::parse(METADATA.as_bytes(), &ISSUER.parse().unwrap()).unwrap()
}

/// A login, calls, renewals, refusals of every kind, a signal and a logout, at an agent: no secret
/// is in its logs, its errors, its `Debug`, or in the answers that its program gets.
#[tokio::test(start_paused = true)]
async fn no_secret_is_seen_of_an_agent() {
    let (seen, net, clock) = (Seen::default(), Net::default(), Moved::default());
    let _logging = tracing::subscriber::set_default(seen.clone());
    let store: Arc<dyn TokenStore> = Arc::new(MemoryStore::new().with_clock(clock.clone()));
    let user = User("http://127.0.0.1:4711/callback".parse().unwrap());
    let connector = Connector::new(Identities::new().everywhere(client()), net.clone())
        .with_clock(clock.clone())
        .accept_issuers([ISSUER.parse().unwrap()])
        .with_store(Arc::clone(&store))
        .by_user(user);
    let tool = TOOL.parse().unwrap();
    let agent = Agent::without_identity()
        .clock(clock.clone())
        .connect(TOOL.parse().unwrap(), connector.clone())
        .client(Calls(net.clone()))
        .build()
        .unwrap();
    seen.debug(&agent);
    seen.error(agent.explain(TOOL).await);
    let call = async || {
        let request = Request::post(CALL).body("{}".to_owned()).unwrap();
        agent.send(request).await
    };
    // The answer goes to the loop of a model: its head and its content.
    for _ in 0..2 {
        let answer = call().await.unwrap();
        assert_eq!(answer.status(), 200);
        seen.debug(&answer.headers());
        seen.text(format!("{:?}", answer.extensions()));
        seen.debug(&answer.status());
    }
    let connection = connector
        .connect(&tool, &Challenges::default())
        .await
        .unwrap();
    let token = connection.token().await.unwrap();
    let mut headers = http::HeaderMap::new();
    token.apply(&mut headers).unwrap();
    assert!(headers["authorization"].to_str().unwrap().contains(CANARY));
    seen.debug(&headers);
    seen.debug(&token);
    seen.debug(&connection);
    seen.debug(&connector);
    seen.debug(&store);
    seen.debug(&agent);
    for refusal in [
        (400, true),
        (401, true),
        (503, true),
        (500, false),
        (302, false),
        (200, false),
    ] {
        net.refuse(Some(refusal));
        *clock.0.lock().unwrap() += 1_000;
        seen.error(connection.token().await);
        seen.error(call().await.map(|answer| answer.status()));
        net.refuse(None);
        // A source waits after a failure.
        tokio::time::sleep(std::time::Duration::from_secs(1_000)).await;
        *clock.0.lock().unwrap() += 1_000;
        seen.error(connection.token().await);
    }
    net.refuse(Some((400, true)));
    seen.error(connection.log_out().await);
    net.refuse(None);
    let signal = RevocationSignal::of_issuer(ISSUER.parse().unwrap()).subject(planted("sub"));
    seen.error(connection.drop_revoked(&signal).await);
    seen.debug(&agent);
    let state = net.0.lock().unwrap();
    assert!(
        state.tokens > 2 && !state.given.is_empty(),
        "{}",
        state.tokens
    );
    seen.search(30);
    for given in &state.given {
        assert!(!seen.0.lock().unwrap().iter().any(|it| it.contains(given)));
    }
}

/// Grants of every kind, which the server grants and refuses.
#[tokio::test(start_paused = true)]
async fn no_secret_is_seen_of_grants() {
    let (seen, net, clock) = (Seen::default(), Net::default(), Moved::default());
    let _logging = tracing::subscriber::set_default(seen.clone());
    let target = |scopes: &str| Target::new(TOOL.parse().unwrap(), scopes.parse().unwrap());
    for refusal in [
        None,
        Some((400, true)),
        Some((500, false)),
        Some((200, false)),
    ] {
        net.refuse(None);
        let source = TokenSource::new(server(), client(), net.clone()).with_clock(clock.clone());
        seen.debug(&source);
        let now = clock.now();
        let begin = DeviceRequest::new(target("read"));
        seen.debug(&begin);
        let first = begin
            .begin(Arc::new(client()), source.server(), now)
            .unwrap();
        let login = drive(first, &net, &clock).await.unwrap();
        seen.debug(&login);
        let device = login.into_grant();
        seen.debug(&device);
        let begin = BackchannelRequest::new(target("openid"), planted("hint"));
        let begin = begin.user_code(planted("user-code"));
        seen.debug(&begin);
        let first = begin
            .begin(Arc::new(client()), source.server(), now)
            .unwrap();
        let waiting = drive(first, &net, &clock).await.unwrap();
        seen.debug(&waiting);
        for subject in [
            SubjectToken::access_token(planted("subject")),
            SubjectToken::id_token(planted("subject")),
        ] {
            seen.debug(&subject);
        }
        net.refuse(refusal);
        seen.error(source.redeem(device).await);
        seen.error(source.redeem(waiting).await);
        seen.error(source.token(UserGrant::new(target("read"))).await);
        let tool = TOOL.parse().unwrap();
        seen.error(source.token_for(&tool, &"own".parse().unwrap()).await);
        seen.error(source.revoke_all(&tool, None).await);
        seen.debug(&source);
        *clock.0.lock().unwrap() += 1_000;
    }
    seen.search(40);
}

/// The search finds a secret, as it is and in base64url, wherever it begins.
#[test]
fn a_planted_secret_is_found() {
    let secret = planted("x");
    let encoded = |before: &str| base64url::encode(format!("{before}{secret}").as_bytes());
    for text in [secret.clone(), encoded(""), encoded("a"), encoded("ab")] {
        let control = Seen::default();
        control.text(text.clone());
        let search = std::panic::AssertUnwindSafe(|| control.search(1));
        assert!(std::panic::catch_unwind(search).is_err(), "{text}");
    }
    let control = Seen::default();
    control.text("nothing");
    control.search(1);
}
