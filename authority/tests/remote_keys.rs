//! Clients that publish their keys at `jwks_uri` (RFC 7591 §2): when the server fetches the keys,
//! how long they count, and what they verify.
#![cfg(feature = "server")]
#![allow(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::unwrap_used,
    reason = "a test fails by panicking"
)]

mod common;

use std::collections::HashMap;
use std::sync::{Arc, Mutex};

use aims_authority::{Authority, Client, DevUser, SelfDescribed};
use aims_fetch::{Error, Fetch, FetchFuture, Fetcher};
use aims_jose::key::SigningKey;
use aims_jose::time::{Clock, UnixTime};
use axum::body::Body;
use common::browser::{CALLBACK, USER, VERIFIER, with_users};
use common::endpoint::*;
use common::*;
use http::{Request, Response};
use serde_json::{Value, json};
use tokio::sync::Semaphore;
use tower_service::Service as _;

const KEYS: &str = "https://batch.example/jwks.json";

/// Key sets in memory, how often each was fetched, and whether it may answer.
#[derive(Debug)]
struct Web {
    sets: Mutex<HashMap<String, Response<Vec<u8>>>>,
    fetched: Mutex<Vec<String>>,
    permits: Semaphore,
}

impl Web {
    fn new() -> Arc<Self> {
        Arc::new(Self {
            sets: Mutex::default(),
            fetched: Mutex::default(),
            permits: Semaphore::new(Semaphore::MAX_PERMITS),
        })
    }

    fn publish(&self, url: &str, keys: &[&SigningKey]) {
        self.sets.lock().unwrap().insert(url.to_owned(), set(keys));
    }
}

impl Fetch for Web {
    fn send(&self, request: Request<Vec<u8>>) -> FetchFuture<'_> {
        let url = request.uri().to_string();
        self.fetched.lock().unwrap().push(url.clone());
        Box::pin(async move {
            self.permits.acquire().await.unwrap().forget();
            let found = self.sets.lock().unwrap().get(&url).cloned();
            found.ok_or(Error::Timeout)
        })
    }
}

/// A clock that stands still.
#[derive(Debug)]
struct Still;

impl Clock for Still {
    fn now(&self) -> UnixTime {
        now()
    }
}

fn answer(document: &Value) -> Response<Vec<u8>> {
    Response::builder()
        .header("content-type", "application/jwk-set+json")
        .header("cache-control", "max-age=600")
        .body(document.to_string().into_bytes())
        .unwrap()
}

fn set(keys: &[&SigningKey]) -> Response<Vec<u8>> {
    let keys: Vec<Value> = keys
        .iter()
        .map(|key| serde_json::from_str(&key.public_jwk().to_json()).unwrap())
        .collect();
    answer(&json!({ "keys": keys }))
}

fn named(kid: &str) -> SigningKey {
    es256().with_key_id(kid)
}

fn batch() -> Client {
    Client::with_keys_at("batch", KEYS)
        .redirect_uri(CALLBACK)
        .allow(TOOLS, ["call", "list"])
        .backchannel_poll()
}

fn with_batch(web: Arc<Web>) -> Authority {
    with_users()
        .backchannel(Arc::new(DevUser::new(USER)))
        .client(batch())
        .client_keys(web)
        .build(now())
        .unwrap()
}

fn token_request(key: &SigningKey, now: UnixTime) -> Request<Vec<u8>> {
    let assertion = assertion(key, now);
    let parameters = [
        ("grant_type", "client_credentials"),
        ("client_assertion_type", JWT_BEARER),
        ("client_assertion", &assertion),
    ];
    request("POST", "/token", &[FORM], &form(&parameters))
}

fn judge(authority: &Authority, key: &SigningKey, now: UnixTime) -> Result<Value, (u16, String)> {
    judged(&send(authority, &token_request(key, now), now))
}

/// Returns the URL that must be fetched for a request that this key signs.
fn due(authority: &Authority, key: &SigningKey, now: u64) -> Option<String> {
    let wanted = authority.client_keys(&token_request(key, at(now)), at(now));
    wanted.map(|it| it.uri().to_string())
}

fn store(
    authority: &Authority,
    response: &Response<Vec<u8>>,
    now: u64,
) -> Result<(), &'static str> {
    let stored = authority.store_client_keys(KEYS, response, at(now));
    stored.map_err(|error| error.code())
}

/// The claims of a signed request, for authorization and for an approval.
fn signed_claims(more: &Value) -> Value {
    let jti = aims_jose::random::id128(aims_jose::random::SYSTEM).unwrap();
    let mut claims = json!({
        "iss": "batch", "aud": BASE, "jti": jti, "iat": NOW, "nbf": NOW, "exp": NOW + 60,
        "client_id": "batch", "resource": TOOLS,
    });
    let members = claims.as_object_mut().unwrap();
    members.extend(more.as_object().unwrap().clone());
    claims
}

/// Keys of the client verify its assertion, its authorization request and its request for an
/// approval. Each request names the set to fetch, and is refused until that is stored.
#[test]
fn published_keys_verify_what_the_client_signs() {
    let (key, other) = (named("1"), named("1"));
    let code = json!({
        "response_type": "code", "redirect_uri": CALLBACK, "scope": "call",
        "code_challenge": aims_jose::digest::sha256_base64url(VERIFIER),
        "code_challenge_method": "S256",
    });
    let approval = json!({"scope": "openid call", "login_hint": USER});
    let signed = |claims: &Value, key: &SigningKey| sign("oauth-authz-req+jwt", claims, key);
    let outside = |path: &str, claims: &Value, key: &SigningKey| {
        let (text, own) = (signed(&signed_claims(claims), key), assertion(key, now()));
        let parameters = [
            ("client_assertion_type", JWT_BEARER),
            ("client_assertion", own.as_str()),
            ("request", &text),
        ];
        request("POST", path, &[FORM], &form(&parameters))
    };
    let at_authorize = |key: &SigningKey| {
        let text = signed(&signed_claims(&code), key);
        let query = form(&[("client_id", "batch"), ("request", &text)]);
        request("GET", &format!("/authorize?{query}"), &[], "")
    };
    let requests = |key: &SigningKey| {
        [
            token_request(key, now()),
            at_authorize(key),
            outside("/par", &code, key),
            outside("/backchannel", &approval, key),
        ]
    };
    for (index, good) in requests(&key).into_iter().enumerate() {
        let authority = with_batch(Web::new());
        let wanted = authority.client_keys(&good, now()).unwrap();
        assert_eq!(
            (wanted.uri().to_string(), wanted.method().as_str()),
            (KEYS.into(), "GET")
        );
        let refused = send(&authority, &good, now()).status();
        assert!(refused.is_client_error(), "{index} {refused}");
        assert!(store(&authority, &set(&[&key]), NOW).is_ok());
        assert!(authority.client_keys(&good, now()).is_none());
        let foreign = &requests(&other)[index];
        let refused = send(&authority, foreign, now()).status();
        assert!(refused.is_client_error(), "{index} {refused}");
        let response = send(&authority, &good, now());
        assert!(response.status().is_success(), "{index} {response:?}");
    }
}

/// The router fetches the set once for all requests that wait for it, and again when it is old.
#[tokio::test]
async fn many_requests_fetch_a_set_once() {
    let (web, key) = (Web::new(), named("1"));
    web.publish(KEYS, &[&key]);
    web.permits.forget_permits(Semaphore::MAX_PERMITS);
    let authority = with_batch(web.clone());
    let router = authority.router_with_clock(Arc::new(Still));
    let tasks: Vec<_> = (0..20)
        .map(|_| {
            let (mut router, request) = (router.clone(), token_request(&key, now()));
            tokio::spawn(async move { router.call(request.map(Body::from)).await.unwrap() })
        })
        .collect();
    while web.fetched.lock().unwrap().is_empty() {
        tokio::task::yield_now().await;
    }
    // The client of the one that fetches goes away, and the next one fetches in its place.
    tasks[0].abort();
    web.permits.add_permits(100);
    for (index, task) in tasks.into_iter().enumerate() {
        match task.await {
            Ok(response) => assert_eq!(response.status(), 200, "{index}"),
            Err(error) => assert!(index == 0 && error.is_cancelled()),
        }
    }
    let fetched = web.fetched.lock().unwrap();
    assert_eq!(*fetched, [KEYS, KEYS]);
}

/// A key that is not in the set is looked for once a minute, and the set that is fetched then
/// replaces the old one.
#[test]
fn a_client_changes_its_keys() {
    let (old, new, invented) = (named("old"), named("new"), named("invented"));
    let authority = with_batch(Web::new());
    let invalid = refused(401, "invalid_client");
    assert!(store(&authority, &set(&[&old]), NOW).is_ok());
    assert!(judge(&authority, &old, now()).is_ok());
    assert_eq!(judge(&authority, &new, now()), invalid);
    for seconds in [0, 59] {
        assert_eq!(due(&authority, &invented, NOW + seconds), None);
    }
    assert_eq!(due(&authority, &new, NOW + 60).as_deref(), Some(KEYS));
    assert_eq!(due(&authority, &old, NOW + 60), None);
    assert!(store(&authority, &set(&[&new]), NOW + 60).is_ok());
    assert!(judge(&authority, &new, at(NOW + 60)).is_ok());
    assert_eq!(judge(&authority, &old, at(NOW + 60)), invalid);
    assert_eq!(due(&authority, &invented, NOW + 119), None);
}

/// A set counts as long as it says. When it cannot be fetched again, it ends, and is asked for
/// every ten seconds.
#[test]
fn a_set_ends() {
    let key = named("1");
    let authority = with_batch(Web::new());
    assert!(store(&authority, &set(&[&key]), NOW).is_ok());
    assert_eq!(due(&authority, &key, NOW + 599), None);
    assert!(judge(&authority, &key, at(NOW + 599)).is_ok());
    assert_eq!(due(&authority, &key, NOW + 600).as_deref(), Some(KEYS));
    assert_eq!(
        judge(&authority, &key, at(NOW + 600)),
        refused(401, "invalid_client")
    );
    let failed = Response::builder().status(503).body(Vec::new()).unwrap();
    assert!(store(&authority, &failed, NOW + 600).is_err());
    assert_eq!(due(&authority, &key, NOW + 609), None);
    assert_eq!(due(&authority, &key, NOW + 610).as_deref(), Some(KEYS));
}

/// Each answer differs from a good one in one property. The keys that were there stay.
#[test]
fn other_answers_are_not_stored() {
    let key = named("1");
    let authority = with_batch(Web::new());
    assert!(store(&authority, &set(&[&key]), NOW).is_ok());
    let jwk: Value = serde_json::from_str(&key.public_jwk().to_json()).unwrap();
    let keys = |count: usize| {
        let all: Vec<Value> = (0..count)
            .map(|it| {
                let key = named(&it.to_string());
                serde_json::from_str(&key.public_jwk().to_json()).unwrap()
            })
            .collect();
        json!({ "keys": all })
    };
    let mut long = json!({ "keys": [jwk] });
    long["more"] = "x".repeat(65_536).into();
    let mut moved = set(&[&key]);
    *moved.status_mut() = http::StatusCode::FOUND;
    let mut typed = set(&[&key]);
    let html = "text/html".parse().unwrap();
    typed.headers_mut().insert("content-type", html);
    for (name, response) in [
        ("empty", answer(&keys(0))),
        ("many", answer(&keys(33))),
        ("none", answer(&json!({}))),
        ("list", answer(&json!([]))),
        ("long", answer(&long)),
        ("status", moved),
        ("type", typed),
    ] {
        let stored = store(&authority, &response, NOW);
        assert_eq!(stored, Err("as.registration"), "{name}");
        assert!(judge(&authority, &key, now()).is_ok(), "{name}");
    }
    assert!(store(&authority, &answer(&keys(32)), NOW).is_ok());
}

/// A client that names an address of a private network makes the server connect to nothing.
#[tokio::test]
async fn private_addresses_are_not_asked() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    listener.set_nonblocking(true).unwrap();
    let port = listener.local_addr().unwrap().port();
    let url = format!("https://127.0.0.1:{port}/jwks.json");
    let authority = builder()
        .client(Client::with_keys_at("batch", url).allow(TOOLS, ["call"]))
        .client_keys(Arc::new(Fetcher::builder().build().unwrap()))
        .build(now())
        .unwrap();
    let mut router = authority.router_with_clock(Arc::new(Still));
    let request = token_request(&named("1"), now()).map(Body::from);
    let response = router.call(request).await.unwrap();
    assert_eq!(response.status(), 401);
    let connected = listener.accept().map(drop).map_err(|error| error.kind());
    assert_eq!(connected, Err(std::io::ErrorKind::WouldBlock));
}

/// A client registers its `jwks_uri` where the server fetches key sets.
#[test]
fn a_client_registers_the_url_of_its_keys() {
    let rights = || SelfDescribed::new().allow(TOOLS, ["call"]);
    let with = with_users().dynamic_registration(rights());
    let with = with.client_keys(Web::new()).build(now()).unwrap();
    let without = with_users().dynamic_registration(rights());
    let without = without.build(now()).unwrap();
    let register = |authority: &Authority, metadata: &Value| {
        let kind = ("content-type", "application/json");
        let request = request("POST", "/register", &[kind], &metadata.to_string());
        judged(&send(authority, &request, now()))
    };
    let good = json!({
        "redirect_uris": [CALLBACK], "token_endpoint_auth_method": "private_key_jwt",
        "jwks_uri": KEYS,
    });
    let invalid = refused(400, "invalid_client_metadata");
    assert_eq!(register(&without, &good), invalid);
    for (name, value) in [
        ("jwks_uri", json!("http://batch.example/jwks.json")),
        ("jwks_uri", json!("https://batch.example/jwks.json#x")),
        ("jwks_uri", json!("https://u@batch.example/jwks.json")),
        ("jwks_uri", json!("https://batch.example")),
        ("jwks_uri", json!("http://127.0.0.1/jwks.json")),
        (
            "jwks_uri",
            json!(format!("https://batch.example/{}", "x".repeat(512))),
        ),
        ("jwks", json!({"keys": []})),
    ] {
        let mut other = good.clone();
        other[name] = value.clone();
        assert_eq!(register(&with, &other), invalid, "{name} {value}");
    }
    let registered = register(&with, &good).unwrap();
    assert_eq!(registered["jwks_uri"], KEYS);
    assert_eq!(registered["token_endpoint_auth_method"], "private_key_jwt");
    assert_eq!(registered.get("jwks"), None);
    let (key, id) = (named("1"), registered["client_id"].as_str().unwrap());
    let assertion = assertion_of(id, &key, now());
    let pushed = form(&[
        ("client_assertion_type", JWT_BEARER),
        ("client_assertion", &assertion),
        ("response_type", "code"),
        ("redirect_uri", CALLBACK),
        ("scope", "call"),
        (
            "code_challenge",
            &aims_jose::digest::sha256_base64url(VERIFIER),
        ),
        ("code_challenge_method", "S256"),
        ("resource", TOOLS),
    ]);
    let push = request("POST", "/par", &[FORM], &pushed);
    let wanted = with.client_keys(&push, now()).unwrap();
    assert_eq!(wanted.uri(), KEYS);
    assert!(store(&with, &set(&[&key]), NOW).is_ok());
    assert_eq!(send(&with, &push, now()).status(), 201);
}

/// The operator says who fetches, and from a usable URL.
#[test]
fn the_operator_names_a_fetcher_and_a_url() {
    let code = |client: Client, web: Option<Arc<Web>>| {
        let builder = builder().client(client);
        let builder = match web {
            Some(web) => builder.client_keys(web),
            None => builder,
        };
        builder.build(now()).map(drop).map_err(|error| error.code())
    };
    let at = |url: &str| Client::with_keys_at("batch", url);
    assert_eq!(code(at(KEYS), Some(Web::new())), Ok(()));
    assert_eq!(code(at(KEYS), None), Err("authority.clients"));
    let loopback = at("http://127.0.0.1:1/jwks.json");
    assert_eq!(code(loopback, Some(Web::new())), Ok(()));
    for url in [
        "http://batch.example/jwks.json",
        "https://batch.example",
        "x",
        "",
    ] {
        let found = code(at(url), Some(Web::new()));
        assert_eq!(found, Err("authority.clients"), "{url}");
    }
}
