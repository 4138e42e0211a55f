//! Directories of agents over loopback: what is fetched, what is trusted, and what is not (T-072).

#![cfg(feature = "web-bot-auth")]
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use aims::fetch::{Fetch, FetchFuture, Fetcher};
use aims::jose::alg::Algorithm;
use aims::jose::key::SigningKey;
use aims::jose::provider;
use aims::jose::random::SYSTEM;
use aims::jose::time::{Clock, UnixTime};
use aims::web_bot_auth::{AgentDirectories, AgentError};
use aims_http_sig::digest::ContentDigest;
use aims_http_sig::profile::web_bot_auth::{
    Agents, DIRECTORY_MEDIA_TYPE, Directory, DirectoryRules, DirectorySigning, RequestPolicy,
    RequestSigning, Revision, SignatureAgent,
};
use aims_http_sig::{HttpRequest, HttpResponse};
use axum::response::IntoResponse as _;
use http::request::Parts;
use http::{Request, Response};

const NOW: u64 = 1_800_000_000;
const AGENT: &str = "https://crawler.example";

fn at(seconds: u64) -> UnixTime {
    UnixTime::since_unix_epoch(Duration::from_secs(seconds))
}

struct Stopped;

impl Clock for Stopped {
    fn now(&self) -> UnixTime {
        at(NOW)
    }
}

fn key() -> SigningKey {
    SigningKey::generate(Algorithm::Ed25519, provider::default()).unwrap()
}

/// The answer of the server at loopback to every request.
#[derive(Clone)]
struct Served {
    status: u16,
    headers: Vec<(&'static str, String)>,
    body: String,
}

struct Server {
    served: Mutex<Served>,
    asked: AtomicUsize,
}

impl Server {
    fn serve(&self, served: Served) {
        *self.served.lock().unwrap() = served;
    }

    fn asked(&self) -> usize {
        self.asked.load(Ordering::SeqCst)
    }
}

/// Returns a directory with the keys `keys`, signed by `by`, for the authority of `agent`.
fn directory(keys: &[&SigningKey], by: &[&SigningKey], agent: &str) -> Served {
    let body = Directory::to_publish(keys.iter().map(|key| key.verifying_key()));
    let digest = ContentDigest::of(body.as_bytes()).to_string();
    let response = Response::builder().header("content-digest", &digest);
    let (mut parts, ()) = response.body(()).unwrap().into_parts();
    let location = SignatureAgent::directory(agent).unwrap();
    let (request, ()) = Request::get(location.location())
        .body(())
        .unwrap()
        .into_parts();
    for (number, key) in by.iter().enumerate() {
        let message = parts.clone();
        let prepared = DirectorySigning::for_lifetime(Duration::from_secs(3600)).prepare(
            &format!("k{number}"),
            key.verifying_key(),
            &HttpResponse::new(&message),
            &HttpRequest::to_send(&request).unwrap(),
            at(NOW),
        );
        let fields = prepared.unwrap().sign(*key).unwrap();
        fields.apply(&mut parts.headers).unwrap();
    }
    let joined = |name: &str| {
        let values = parts.headers.get_all(name).iter();
        let values: Vec<_> = values.map(|value| value.to_str().unwrap()).collect();
        values.join(", ")
    };
    let mut headers = vec![
        ("content-type", DIRECTORY_MEDIA_TYPE.to_owned()),
        ("content-digest", digest),
    ];
    if !by.is_empty() {
        headers.push(("signature-input", joined("signature-input")));
        headers.push(("signature", joined("signature")));
    }
    Served {
        status: 200,
        headers,
        body,
    }
}

/// A client that sends every `https` request of the test to loopback.
#[derive(Debug)]
struct Rerouted {
    fetcher: Fetcher,
    port: u16,
}

impl Fetch for Rerouted {
    fn send(&self, mut request: Request<Vec<u8>>) -> FetchFuture<'_> {
        assert_eq!(request.uri().scheme_str(), Some("https"));
        let path = request.uri().path_and_query().unwrap().as_str();
        *request.uri_mut() = format!("http://127.0.0.1:{}{path}", self.port)
            .parse()
            .unwrap();
        self.fetcher.send(request)
    }
}

async fn server(served: Served) -> (Arc<Server>, Arc<dyn Fetch>) {
    let server = Arc::new(Server {
        served: Mutex::new(served),
        asked: AtomicUsize::new(0),
    });
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let state = Arc::clone(&server);
    let app = axum::Router::new().fallback(move || {
        state.asked.fetch_add(1, Ordering::SeqCst);
        let served = state.served.lock().unwrap().clone();
        let mut response = served.body.into_response();
        response.headers_mut().remove("content-type");
        *response.status_mut() = http::StatusCode::from_u16(served.status).unwrap();
        for (name, value) in served.headers {
            let value = value.parse().unwrap();
            response.headers_mut().append(name, value);
        }
        std::future::ready(response)
    });
    tokio::spawn(async move { axum::serve(listener, app).await.unwrap() });
    let fetcher = Fetcher::builder().allow_loopback_http().build().unwrap();
    (server, Arc::new(Rerouted { fetcher, port }))
}

fn directories(fetch: Arc<dyn Fetch>) -> AgentDirectories {
    AgentDirectories::over(fetch, provider::default())
        .clock(Stopped)
        .build()
}

fn request_of(agent: &SignatureAgent, key: &SigningKey, signed_at: u64) -> Parts {
    let signing = RequestSigning::new(agent.clone(), key.verifying_key()).unwrap();
    let request = Request::get("https://shop.example/offers")
        .header("signature-agent", signing.signature_agent());
    let (mut parts, ()) = request.body(()).unwrap().into_parts();
    let message = parts.clone();
    let message = HttpRequest::to_send(&message).unwrap();
    let prepared = signing.prepare(&message, SYSTEM, at(signed_at)).unwrap();
    let fields = prepared.sign(key).unwrap();
    fields.apply(&mut parts.headers).unwrap();
    parts
}

fn agent() -> SignatureAgent {
    SignatureAgent::directory(AGENT).unwrap()
}

async fn verify(directories: &AgentDirectories, parts: &Parts) -> Result<String, AgentError> {
    let message = HttpRequest::to_send(parts).unwrap();
    let policy = RequestPolicy::new().with_revision(Revision::Draft00);
    let unspent = directories.verify(&policy, &message, at(NOW)).await?;
    Ok(unspent.accept_replays().agent().unwrap().to_owned())
}

async fn code_of(served: Served, parts: &Parts) -> (Option<&'static str>, usize) {
    let (server, fetch) = server(served).await;
    let result = verify(&directories(fetch), parts).await;
    (result.err().map(|error| error.code()), server.asked())
}

#[tokio::test]
async fn an_agent_is_known_by_the_directory_it_publishes() {
    let key = key();
    let (server, fetch) = server(directory(&[&key], &[&key], AGENT)).await;
    let directories = directories(fetch);
    for _ in 0..3 {
        let parts = request_of(&agent(), &key, NOW);
        let agent_url = verify(&directories, &parts).await.unwrap();
        assert_eq!(agent_url, agent().identifier());
    }
    assert_eq!(server.asked(), 1, "it is kept");
}

#[tokio::test]
async fn a_key_set_is_one_without_proof() {
    let key = key();
    let mut served = directory(&[&key], &[], AGENT);
    served.headers = vec![("content-type", "application/jwk-set+json".to_owned())];
    let agent = SignatureAgent::jwks_uri("https://crawler.example/keys?v=1").unwrap();
    let (code, asked) = code_of(served, &request_of(&agent, &key, NOW)).await;
    assert_eq!((code, asked), (None, 1));

    let card = SignatureAgent::cimd("https://crawler.example/card").unwrap();
    let served = directory(&[&key], &[&key], AGENT);
    let (code, asked) = code_of(served, &request_of(&card, &key, NOW)).await;
    assert_eq!((code, asked), (Some("sig.directory"), 0));
}

/// A request that can be refused without a key causes no fetch.
#[tokio::test]
async fn nothing_is_fetched_for_what_is_refused_anyway() {
    let key = key();
    let served = || directory(&[&key], &[&key], AGENT);
    let expired = request_of(&agent(), &key, NOW - 3600);
    assert_eq!(code_of(served(), &expired).await, (Some("sig.expired"), 0));
    let mut unsigned = request_of(&agent(), &key, NOW);
    unsigned.headers.remove("signature");
    unsigned.headers.remove("signature-input");
    assert_eq!(code_of(served(), &unsigned).await, (Some("sig.missing"), 0));
    let mut http = request_of(&agent(), &key, NOW);
    let value = r#"sig1="http://crawler.example""#.parse().unwrap();
    http.headers.insert("signature-agent", value);
    assert_eq!(code_of(served(), &http).await, (Some("sig.agent"), 0));
}

#[tokio::test]
async fn an_agent_may_be_known_before() {
    let key = key();
    let (server, fetch) = server(directory(&[], &[], AGENT)).await;
    let json = Directory::to_publish([key.verifying_key()]);
    let rules = DirectoryRules::well_known();
    let known = Directory::parse(json.as_bytes(), &rules, provider::default(), at(NOW));
    let mut agents = Agents::new();
    agents.insert(&agent(), known.unwrap());
    let directories = AgentDirectories::over(fetch, provider::default())
        .known(agents)
        .build();
    verify(&directories, &request_of(&agent(), &key, NOW))
        .await
        .unwrap();
    assert_eq!(server.asked(), 0);
}

#[tokio::test]
async fn a_directory_is_what_the_draft_says() {
    let key = key();
    let good = directory(&[&key], &[&key], AGENT);
    let parts = request_of(&agent(), &key, NOW);
    let with = |change: fn(&mut Served)| {
        let mut served = good.clone();
        change(&mut served);
        served
    };
    for (served, code) in [
        (good.clone(), None),
        (with(|it| it.status = 404), Some("fetch.status")),
        (
            // A redirect is not followed.
            with(|it| {
                it.status = 302;
                it.headers
                    .push(("location", "https://x.example/".to_owned()));
            }),
            Some("fetch.status"),
        ),
        (
            with(|it| it.headers[0].1 = "application/json".to_owned()),
            Some("fetch.content_type"),
        ),
        (with(|it| it.body.push(' ')), Some("fetch.rejected")),
        (with(|it| it.body.clear()), Some("fetch.rejected")),
        (with(|it| it.headers.truncate(2)), Some("fetch.rejected")),
        (
            with(|it| it.body.push_str(&" ".repeat(256 * 1024))),
            Some("fetch.rejected"),
        ),
    ] {
        let (found, asked) = code_of(served, &parts).await;
        assert_eq!((found, asked), (code, 1));
    }
    // Keys from the directory of another agent, with its signatures.
    let other = directory(&[&key], &[&key], "https://other.example");
    assert_eq!(code_of(other, &parts).await.0, Some("fetch.rejected"));
    // The signatures of the directory have expired by our clock.
    let (_server, fetch) = server(good).await;
    let late = AgentDirectories::over(fetch, provider::default()).build();
    let result = verify(&late, &parts).await;
    assert!(result.unwrap_err().is_undecided());
}

#[tokio::test]
async fn only_keys_that_signed_it_are_used() {
    let (key, other) = (key(), key());
    let half = || directory(&[&key, &other], &[&other], AGENT);
    let unknown = Some("sig.agent_key_unknown");
    let parts = request_of(&agent(), &key, NOW);
    assert_eq!(code_of(half(), &parts).await.0, unknown);
    let parts = request_of(&agent(), &other, NOW);
    assert_eq!(code_of(half(), &parts).await.0, None);
    // With an explicit setting, the other keys are accepted, too.
    let (_server, fetch) = server(half()).await;
    let lax = AgentDirectories::over(fetch, provider::default())
        .clock(Stopped)
        .accept_unproven_keys()
        .build();
    let parts = request_of(&agent(), &key, NOW);
    verify(&lax, &parts).await.unwrap();
}

/// A missing key is looked for once more, and not again immediately; a failure removes nothing.
#[tokio::test]
async fn a_missing_key_is_looked_for_once() {
    let (old, new) = (key(), key());
    let (server, fetch) = server(directory(&[&old], &[&old], AGENT)).await;
    let directories = directories(fetch);
    verify(&directories, &request_of(&agent(), &old, NOW))
        .await
        .unwrap();
    let parts = request_of(&agent(), &new, NOW);
    for _ in 0..3 {
        let error = verify(&directories, &parts).await.unwrap_err();
        assert_eq!(error.code(), "sig.agent_key_unknown");
        assert!(error.is_undecided());
    }
    assert_eq!(server.asked(), 1, "refreshed a moment ago");
    server.serve(directory(&[], &[], AGENT));
    verify(&directories, &request_of(&agent(), &old, NOW))
        .await
        .unwrap();
}

/// T-072: the address checks of the fetcher apply to URLs of unknown clients.
#[tokio::test]
async fn private_addresses_are_not_fetched_from() {
    let key = key();
    let directories = AgentDirectories::fetching(Fetcher::builder(), provider::default())
        .unwrap()
        .build();
    for origin in [
        "https://127.0.0.1:8443",
        "https://localhost:8443",
        "https://10.0.0.1",
        "https://169.254.169.254",
        "https://[::1]",
    ] {
        let agent = SignatureAgent::directory(origin).unwrap();
        let parts = request_of(&agent, &key, NOW);
        let error = verify(&directories, &parts).await.unwrap_err();
        assert_eq!(error.code(), "fetch.address", "{origin}");
        assert!(error.is_undecided());
    }
    // An address in an unusual spelling is refused in the URL of an agent.
    let error = SignatureAgent::directory("https://2130706433").unwrap_err();
    assert_eq!(error.code(), "sig.agent");
}

/// The number of cached directories is limited, whatever agents are named.
#[tokio::test]
async fn the_room_is_bounded() {
    let key = key();
    let (_server, fetch) = server(directory(&[], &[], AGENT)).await;
    let directories = AgentDirectories::over(fetch, provider::default())
        .clock(Stopped)
        .capacity(3)
        .build();
    for number in 0..10 {
        let agent = SignatureAgent::directory(&format!("https://a{number}.example")).unwrap();
        let parts = request_of(&agent, &key, NOW);
        let error = verify(&directories, &parts).await.unwrap_err();
        assert_eq!(error.code(), "fetch.rejected");
    }
    assert!(format!("{directories:?}").contains("kept: 3"));
}

/// A web in which some hosts never answer. It counts the requests to them.
#[derive(Debug)]
struct Hanging {
    fetch: Arc<dyn Fetch>,
    asked: AtomicUsize,
}

impl Fetch for Hanging {
    fn send(&self, request: Request<Vec<u8>>) -> FetchFuture<'_> {
        if !request.uri().host().unwrap().starts_with("evil") {
            return self.fetch.send(request);
        }
        self.asked.fetch_add(1, Ordering::SeqCst);
        Box::pin(std::future::pending())
    }
}

/// An attacker sends signatures for as many hanging URLs as directories are cached. Known agents
/// stay known, and a hanging host gets only a few requests.
#[tokio::test]
async fn a_stranger_cannot_make_agents_unknown() {
    let key = key();
    let (server, fetch) = server(directory(&[&key], &[&key], AGENT)).await;
    let asked = AtomicUsize::new(0);
    let hanging = Arc::new(Hanging { fetch, asked });
    let directories = directories(hanging.clone());
    let good = request_of(&agent(), &key, NOW);
    verify(&directories, &good).await.unwrap();
    let (mut waiting, mut busy) = (tokio::task::JoinSet::new(), 0);
    for number in 0..256 {
        let url = format!("https://evil.example/keys?v={number}");
        let parts = request_of(&SignatureAgent::jwks_uri(&url).unwrap(), &key, NOW);
        let directories = directories.clone();
        waiting.spawn(async move { verify(&directories, &parts).await });
    }
    while busy < 252 {
        let error = waiting.join_next().await.unwrap().unwrap().unwrap_err();
        assert_eq!(error.code(), "fetch.busy");
        assert!(error.is_undecided());
        busy += 1;
    }
    verify(&directories, &good).await.unwrap();
    assert_eq!(server.asked(), 1, "it is kept");
    assert_eq!(hanging.asked.load(Ordering::SeqCst), 4);
}
