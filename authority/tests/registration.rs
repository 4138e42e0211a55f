//! Clients that describe themselves: registration (RFC 7591) and client id metadata documents.
#![allow(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::string_slice,
    clippy::unwrap_used,
    reason = "a test fails by panicking"
)]

mod common;
#[cfg(feature = "sqlite")]
#[path = "common/folder.rs"]
mod folder;

use std::collections::{BTreeSet, HashMap};
use std::sync::{Arc, Mutex};

use aims_authority::{Authority, Change, Kind, MemoryState, SelfDescribed, State, Stored};
use aims_fetch::{Error, Fetch, FetchFuture};
use aims_jose::time::{SystemClock, UnixTime};
use axum::body::Body;
use common::browser::{code, named, open, page, redeem, redirected, submit, with, with_users};
use common::endpoint::judged;
use common::{BASE, HOST, TOOLS, at, body, es256, field, get, now, request, send};
use http::{Request, Response};
use serde_json::{Value, json};
use tower_service::Service as _;

const JSON: (&str, &str) = ("content-type", "application/json");
const URL: &str = "https://client.example/oauth/metadata.json";

fn rights() -> SelfDescribed {
    SelfDescribed::new().allow(TOOLS, ["call"])
}

fn registering() -> Authority {
    with_users()
        .dynamic_registration(rights())
        .build(now())
        .unwrap()
}

fn register(authority: &Authority, metadata: &Value) -> Result<Value, (u16, String)> {
    let text = metadata.to_string();
    let response = send(
        authority,
        &request("POST", "/register", &[JSON], &text),
        now(),
    );
    judged(&response).inspect(|_| assert_eq!(response.status(), 201))
}

fn good() -> Value {
    json!({
        "client_name": "Editor <b>",
        "redirect_uris": ["http://127.0.0.1:1/callback"],
        "grant_types": ["authorization_code", "refresh_token"],
        "response_types": ["code"],
        "token_endpoint_auth_method": "none",
        "application_type": "native",
        "logo_uri": "https://client.example/logo.png",
    })
}

#[test]
fn a_registered_client_asks_a_user() {
    let authority = registering();
    let metadata = body(&get(
        &authority,
        "/.well-known/oauth-authorization-server",
        now(),
    ));
    assert_eq!(
        metadata["registration_endpoint"],
        format!("{BASE}/register")
    );
    let answer = register(&authority, &good()).unwrap();
    let client_id = answer["client_id"].as_str().unwrap();
    assert!(client_id.starts_with("dyn-"));
    assert_eq!(answer["token_endpoint_auth_method"], "none");
    assert_eq!(answer.get("client_secret"), None);
    assert_eq!(answer["redirect_uris"], good()["redirect_uris"]);
    let asked = with("client_id", Some(client_id));
    let page = page(&authority, &asked, now());
    for shown in [
        "Editor &lt;b&gt;",
        "unverified",
        "The operator has not checked",
    ] {
        assert!(page.html.contains(shown), "{shown}");
    }
    let code = code(&authority, &asked, now());
    let granted = redeem(&authority, &code, &[], &[("client_id", client_id)], now());
    assert_eq!(granted.unwrap()["scope"], "call");
    // It has the rights of such clients, and none 30 days after a user has allowed it something.
    let mut wider = with("client_id", Some(client_id));
    wider.retain(|(name, _)| *name != "scope");
    wider.push(("scope", "call list".to_owned()));
    let refused = open(&authority, &wider, "", now());
    assert_eq!(named(&redirected(&refused), "error"), Some("invalid_scope"));
    let status = |seconds| open(&authority, &asked, "", at(common::NOW + seconds)).status();
    assert_eq!(status(30 * 86_400), 200);
    assert_eq!(status(30 * 86_400 + 1), 400);
}

/// A client that no user allows anything is forgotten after a day, so that many registrations of
/// one attacker hold little.
#[test]
fn an_unused_registration_ends_after_a_day() {
    let authority = registering();
    let answer = register(&authority, &good()).unwrap();
    let asked = with("client_id", answer["client_id"].as_str());
    let status = |seconds| open(&authority, &asked, "", at(common::NOW + seconds)).status();
    assert_eq!(status(86_400), 200);
    let page = page(&authority, &asked, now());
    submit(&authority, &page, "deny", &[], now());
    assert_eq!(status(86_401), 400);
    // Each consent counts from its own time.
    let answer = register(&authority, &good()).unwrap();
    let asked = with("client_id", answer["client_id"].as_str());
    for day in [0, 29] {
        code(&authority, &asked, at(common::NOW + day * 86_400));
    }
    let status = |seconds| open(&authority, &asked, "", at(common::NOW + seconds)).status();
    assert_eq!(status(59 * 86_400), 200);
    assert_eq!(status(59 * 86_400 + 1), 400);
}

/// Methods with a shared secret become `none`, which the answer says.
#[test]
fn an_answer_names_the_method_that_there_is() {
    let authority = registering();
    for method in [
        json!(null),
        json!("client_secret_basic"),
        json!("client_secret_post"),
    ] {
        let mut metadata = good();
        metadata["token_endpoint_auth_method"] = method;
        let answer = register(&authority, &metadata).unwrap();
        assert_eq!(answer["token_endpoint_auth_method"], "none");
    }
    let mut metadata = good();
    let jwk: Value = serde_json::from_str(&es256().public_jwk().to_json()).unwrap();
    metadata["token_endpoint_auth_method"] = "private_key_jwt".into();
    metadata["jwks"] = json!({"keys": [jwk]});
    let answer = register(&authority, &metadata).unwrap();
    assert_eq!(answer["token_endpoint_auth_method"], "private_key_jwt");
    let client_id = answer["client_id"].as_str().unwrap();
    let code = code(&authority, &with("client_id", Some(client_id)), now());
    let bare = redeem(&authority, &code, &[], &[("client_id", client_id)], now());
    assert_eq!(bare.unwrap_err(), (401, "invalid_client".to_owned()));
}

/// Each request of a client parses its keys, so there are few, and only usable ones are kept.
#[test]
fn a_client_has_at_most_eight_keys() {
    let authority = registering();
    let keys = |count: usize| -> Vec<Value> {
        let all = (0..count).map(|_| es256().public_jwk().to_json());
        all.map(|it| serde_json::from_str(&it).unwrap()).collect()
    };
    let mut metadata = good();
    metadata["token_endpoint_auth_method"] = "private_key_jwt".into();
    metadata["jwks"] = json!({ "keys": keys(9) });
    let found = register(&authority, &metadata);
    assert_eq!(found, Err((400, "invalid_client_metadata".to_owned())));
    let mut eight = keys(7);
    let usable = eight.clone();
    eight.push(json!({"kty": "oct", "k": "AAAA"}));
    metadata["jwks"] = json!({ "keys": eight });
    let answer = register(&authority, &metadata).unwrap();
    assert_eq!(answer["jwks"], json!({ "keys": usable }));
}

/// No operator gave it a right, so it gets tokens for users alone.
#[test]
fn a_client_that_described_itself_gets_no_token_of_its_own() {
    let authority = registering();
    let key = es256();
    let jwk: Value = serde_json::from_str(&key.public_jwk().to_json()).unwrap();
    let mut metadata = good();
    metadata["token_endpoint_auth_method"] = "private_key_jwt".into();
    metadata["jwks"] = json!({"keys": [jwk]});
    let answer = register(&authority, &metadata).unwrap();
    let client_id = &answer["client_id"];
    let mut claims = common::endpoint::assertion_claims(now());
    claims["iss"] = client_id.clone();
    claims["sub"] = client_id.clone();
    let assertion = common::sign("client-authentication+jwt", &claims, &key);
    let answer = common::endpoint::by_assertion(&authority, &assertion, &[], now());
    assert_eq!(answer.unwrap_err(), (400, "unauthorized_client".to_owned()));
}

/// Until a user has decided, browsers are sent to no site that a client chose for itself, but to
/// the user's own machine.
#[test]
fn no_browser_is_sent_to_a_site_that_a_client_named() {
    let authority = registering();
    let mut metadata = good();
    metadata["redirect_uris"] = json!(["https://evil.example/", "http://127.0.0.1:51234/callback"]);
    let answer = register(&authority, &metadata).unwrap();
    let client_id = answer["client_id"].as_str().unwrap();
    let asked = |redirect_uri: &str, change: (&'static str, &str)| {
        let mut asked = with("client_id", Some(client_id));
        asked.retain(|(name, _)| ![change.0, "redirect_uri"].contains(name));
        asked.push((change.0, change.1.to_owned()));
        asked.push(("redirect_uri", redirect_uri.to_owned()));
        open(&authority, &asked, "", now())
    };
    for change in [("response_type", "token"), ("prompt", "none")] {
        let page = asked("https://evil.example/", change);
        assert_eq!(page.status(), 400, "{change:?}");
        assert!(page.headers().get("location").is_none());
        let own = asked("http://127.0.0.1:51234/callback", change);
        assert_eq!(own.status(), 303, "{change:?}");
    }
}

/// Each differs from good metadata in one member.
#[test]
fn bad_metadata_are_refused() {
    let authority = registering();
    let many: Vec<String> = (0..33).map(|n| format!("http://127.0.0.1/{n}")).collect();
    for (name, value, error) in [
        ("redirect_uris", json!(null), "invalid_redirect_uri"),
        ("redirect_uris", json!([]), "invalid_redirect_uri"),
        ("redirect_uris", json!(many), "invalid_redirect_uri"),
        (
            "redirect_uris",
            json!(["http://evil.example/"]),
            "invalid_redirect_uri",
        ),
        (
            "redirect_uris",
            json!(["javascript:alert(1)"]),
            "invalid_redirect_uri",
        ),
        (
            "redirect_uris",
            json!(["https://a.example/#x"]),
            "invalid_redirect_uri",
        ),
        (
            "redirect_uris",
            json!("https://a.example/"),
            "invalid_client_metadata",
        ),
        (
            "grant_types",
            json!(["client_credentials"]),
            "invalid_client_metadata",
        ),
        (
            "response_types",
            json!(["token"]),
            "invalid_client_metadata",
        ),
        (
            "token_endpoint_auth_method",
            json!("tls_client_auth"),
            "invalid_client_metadata",
        ),
        (
            "token_endpoint_auth_method",
            json!("private_key_jwt"),
            "invalid_client_metadata",
        ),
        (
            "jwks_uri",
            json!("https://a.example/jwks"),
            "invalid_client_metadata",
        ),
        (
            "client_name",
            json!("n".repeat(201)),
            "invalid_client_metadata",
        ),
        (
            "software_statement",
            json!("e30.e30."),
            "unapproved_software_statement",
        ),
    ] {
        let mut metadata = good();
        metadata[name] = value.clone();
        let answer = register(&authority, &metadata);
        assert_eq!(answer, Err((400, error.to_owned())), "{name} {value}");
    }
    let twice = r#"{"redirect_uris":["http://127.0.0.1/"],"redirect_uris":["http://127.0.0.1/"]}"#;
    let response = send(
        &authority,
        &request("POST", "/register", &[JSON], twice),
        now(),
    );
    assert_eq!(judged(&response).unwrap_err().1, "invalid_client_metadata");
    let mut last = 201;
    for _ in 0..40 {
        let text = good().to_string();
        last = send(
            &authority,
            &request("POST", "/register", &[JSON], &text),
            now(),
        )
        .status()
        .as_u16();
    }
    assert_eq!(last, 429);
}

#[test]
fn both_are_off_by_default() {
    let authority = common::browser::with_public();
    let text = good().to_string();
    let response = send(
        &authority,
        &request("POST", "/register", &[JSON], &text),
        now(),
    );
    assert_eq!(response.status(), 404);
    let metadata = body(&get(
        &authority,
        "/.well-known/oauth-authorization-server",
        now(),
    ));
    assert_eq!(metadata.get("registration_endpoint"), None);
    assert_eq!(metadata.get("client_id_metadata_document_supported"), None);
    let asked = request("GET", &format!("/authorize?client_id={URL}"), &[], "");
    assert!(authority.client_document(&asked, now()).is_none());
}

/// Documents in memory, and how often each was fetched.
#[derive(Debug, Default)]
struct Web {
    documents: Mutex<HashMap<String, Response<Vec<u8>>>>,
    fetched: Mutex<Vec<String>>,
}

impl Fetch for Web {
    fn send(&self, request: Request<Vec<u8>>) -> FetchFuture<'_> {
        let url = request.uri().to_string();
        self.fetched.lock().unwrap().push(url.clone());
        let found = self.documents.lock().unwrap().get(&url).cloned();
        Box::pin(async move { Ok::<_, Error>(found.unwrap_or_default()) })
    }
}

fn document(metadata: &Value) -> Response<Vec<u8>> {
    Response::builder()
        .header("content-type", "application/json")
        .header("cache-control", "max-age=7200")
        .body(metadata.to_string().into_bytes())
        .unwrap()
}

fn good_document() -> Value {
    let mut metadata = good();
    metadata["client_id"] = URL.into();
    metadata
}

fn with_documents() -> (Arc<Web>, Authority) {
    let web = Arc::new(Web::default());
    let authority = with_users().client_documents(rights(), web.clone());
    (web, authority.build(now()).unwrap())
}

/// The router fetches the document once, and the page shows the URL and its host.
#[tokio::test]
async fn a_url_is_a_client() {
    let (web, authority) = with_documents();
    web.documents
        .lock()
        .unwrap()
        .insert(URL.to_owned(), document(&good_document()));
    let mut router = authority.router_with_clock(Arc::new(SystemClock::new()));
    let asked = with("client_id", Some(URL));
    let uri = format!("/authorize?{}", common::browser::query(&asked));
    for _ in 0..3 {
        let request = Request::get(&uri).header("host", HOST).body(Body::empty());
        let response = router.call(request.unwrap()).await.unwrap();
        assert_eq!(response.status(), 200);
    }
    assert_eq!(*web.fetched.lock().unwrap(), [URL]);
    let metadata = body(&get(
        &authority,
        "/.well-known/oauth-authorization-server",
        now(),
    ));
    assert_eq!(metadata["client_id_metadata_document_supported"], true);
}

/// A state that may block, and where it was used.
#[derive(Debug, Default)]
struct Slow(MemoryState, Mutex<BTreeSet<&'static str>>);

impl Slow {
    fn note(&self, kind: Kind) {
        let is_async = std::thread::current().name() == Some("async");
        if is_async || kind == Kind::ClientDocument {
            let place = if is_async { "async" } else { "blocking" };
            self.1.lock().unwrap().insert(place);
        }
    }
}

impl State for Slow {
    fn load(
        &self,
        kind: Kind,
        key: &str,
        now: UnixTime,
    ) -> Result<Option<Stored>, aims_authority::Error> {
        self.note(kind);
        self.0.load(kind, key, now)
    }

    fn swap(
        &self,
        kind: Kind,
        key: &str,
        change: Change<'_>,
        now: UnixTime,
    ) -> Result<bool, aims_authority::Error> {
        self.note(kind);
        self.0.swap(kind, key, change, now)
    }
}

/// A slow state holds up no other request, also before the handler runs.
#[test]
fn documents_are_read_off_the_async_threads() {
    let (web, state) = (Arc::new(Web::default()), Arc::new(Slow::default()));
    web.documents
        .lock()
        .unwrap()
        .insert(URL.to_owned(), document(&good_document()));
    let builder = with_users().client_documents(rights(), web);
    let authority = builder.state(state.clone()).build(now()).unwrap();
    let mut router = authority.router_with_clock(Arc::new(SystemClock::new()));
    let uri = format!(
        "/authorize?{}",
        common::browser::query(&with("client_id", Some(URL)))
    );
    let asking = std::thread::Builder::new().name("async".to_owned());
    let asked = asking.spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread();
        let runtime = { runtime }.enable_all().build().unwrap();
        let request = Request::get(&uri).header("host", HOST).body(Body::empty());
        let response = runtime.block_on(router.call(request.unwrap())).unwrap();
        response.status()
    });
    assert_eq!(asked.unwrap().join().unwrap(), 200);
    assert_eq!(*state.1.lock().unwrap(), BTreeSet::from(["blocking"]));
}

/// The document is as old as its `max-age` at most; errors are not kept.
#[test]
fn a_document_is_kept_as_long_as_it_says() {
    let (_, authority) = with_documents();
    let asked = with("client_id", Some(URL));
    let path = format!("/authorize?{}", common::browser::query(&asked));
    let needed = |time| {
        let wanted = authority.client_document(&request("GET", &path, &[], ""), at(time));
        wanted.map(|it| it.uri().to_string())
    };
    assert_eq!(needed(common::NOW).as_deref(), Some(URL));
    let stored = authority.store_client_document(URL, &document(&good_document()), now());
    assert!(stored.is_ok());
    assert_eq!(needed(common::NOW + 7_200), None);
    let page = page(&authority, &asked, now());
    assert!(
        page.html
            .contains("https://client.example/oauth/metadata.json")
    );
    let answer = submit(&authority, &page, "allow", &[], now());
    assert!(named(&redirected(&answer), "code").is_some());
    assert_eq!(needed(common::NOW + 7_201).as_deref(), Some(URL));
    assert!(
        field(
            &open(&authority, &asked, "", at(common::NOW + 7_201)),
            "location"
        )
        .is_empty()
    );
}

/// CIMD-20: each URL or document differs from a good one in one property.
#[test]
fn other_urls_and_documents_are_refused() {
    let (_, authority) = with_documents();
    for url in [
        "http://client.example/oauth",
        "https://client.example",
        "https://client.example/",
        "https://user@client.example/oauth",
        "https://client.example/a/../oauth",
        "https://client.example/./oauth",
        "https://client.example/oauth?x=1",
        "https://client.example/oauth#x",
        "https://client.example/%6fauth",
    ] {
        let query = common::endpoint::form(&[("client_id", url)]);
        let asked = request("GET", &format!("/authorize?{query}"), &[], "");
        assert!(authority.client_document(&asked, now()).is_none(), "{url}");
    }
    let with = |name: &str, value: Value| {
        let mut metadata = good_document();
        metadata[name] = value;
        document(&metadata)
    };
    let mut moved = document(&good_document());
    *moved.status_mut() = http::StatusCode::FOUND;
    let mut typed = document(&good_document());
    typed
        .headers_mut()
        .insert("content-type", "text/html".parse().unwrap());
    for (name, response) in [
        (
            "client_id",
            with("client_id", json!("https://other.example/x")),
        ),
        ("none", with("client_id", json!(null))),
        ("secret", with("client_secret", json!("s"))),
        (
            "method",
            with("token_endpoint_auth_method", json!("client_secret_basic")),
        ),
        (
            "redirect",
            with("redirect_uris", json!(["http://evil.example/"])),
        ),
        ("long", with("logo_uri", json!("x".repeat(6_000)))),
        ("status", moved),
        ("type", typed),
    ] {
        let stored = authority.store_client_document(URL, &response, now());
        assert_eq!(stored.unwrap_err().code(), "as.registration", "{name}");
    }
    assert_eq!(
        open(
            &authority,
            &common::browser::with("client_id", Some(URL)),
            "",
            now()
        )
        .status(),
        400
    );
}

/// An attacker who fills the table of registered clients, or that of documents, leaves the other
/// one working, in memory and in a file.
#[test]
fn a_full_table_of_clients_leaves_the_other_working() {
    room_of_their_own([(); 2].map(|()| Arc::new(MemoryState::with_capacity(2))));
    #[cfg(feature = "sqlite")]
    {
        let folder = folder::Folder::new();
        room_of_their_own(["a.db", "b.db"].map(|name| {
            let state = aims_authority::SqliteState::open(folder.path(name)).unwrap();
            Arc::new(state.with_capacity(2))
        }));
    }
}

fn room_of_their_own<S: State + 'static>(states: [Arc<S>; 2]) {
    let [first, second] = states.map(|state| {
        with_users()
            .dynamic_registration(rights())
            .client_documents(rights(), Arc::new(Web::default()))
            .state(state)
            .build(now())
            .unwrap()
    });
    let store = |authority: &Authority, url: &str| {
        let mut metadata = good_document();
        metadata["client_id"] = url.into();
        let stored = authority.store_client_document(url, &document(&metadata), now());
        stored.map_err(|error| error.code())
    };
    let full = Err((503, "server_error".to_owned()));
    let others = ["https://a.example/1", "https://a.example/2"];
    assert_eq!(others.map(|url| store(&first, url)), [Ok(()), Ok(())]);
    assert_eq!(store(&first, URL), Err("authority.state_full"));
    let answer = register(&first, &good()).unwrap();
    let asked = with("client_id", answer["client_id"].as_str());
    assert_eq!(open(&first, &asked, "", now()).status(), 200);

    assert!(register(&second, &good()).is_ok());
    assert!(register(&second, &good()).is_ok());
    assert_eq!(register(&second, &good()), full);
    assert_eq!(store(&second, URL), Ok(()));
    let asked = with("client_id", Some(URL));
    assert_eq!(open(&second, &asked, "", now()).status(), 200);
}
