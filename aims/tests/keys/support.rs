//! A web of scripted pages with paused time, and tokens at its time.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use aims::cred::WitIssuer;
use aims::fetch::{Documents, DocumentsBuilder, Error, Fetch, FetchFuture};
use aims::id::WorkloadId;
use aims::jose::alg::Algorithm;
use aims::jose::key::SigningKey;
use aims::jose::provider::{self, Provider};
use aims::jose::random;
use aims::jose::time::{Clock, UnixTime};
use aims::keys::{KeysError, PublishedKeys, PublishedKeysBuilder};
use aims::resolve::Keys;
use aims::wpt::Binding;
use aims::{Guard, Requirements};
use http::request::Parts;
use http::{Request, Response};
use serde_json::json;
use tokio::time::Instant;

use crate::common::{CALL, NOW, TOOL, at, bare, proven, sign};

pub(crate) const AS: &str = "https://as.example";
pub(crate) const JWKS: &str = "https://as.example/jwks";
pub(crate) const BUNDLE: &str = "https://spire.example.org/bundle";
pub(crate) const ORIGIN: &str = "spiffe://example.org";
const AGENT: &str = "spiffe://example.org/agent";

/// The answer of a page.
#[derive(Clone, Debug)]
pub(crate) enum Page {
    /// A document, fresh for this number of seconds.
    Json(String, u64),
    /// The same after ten seconds.
    Late(String, u64),
    Status(u16),
    /// A status, a content type and a body.
    Raw(u16, &'static str, String),
    Hang,
    Break,
    Panic,
}

/// Pages by their URL; others answer 404. Its time starts with it.
#[derive(Debug)]
pub(crate) struct Web {
    pages: Mutex<HashMap<String, Page>>,
    asked: Mutex<Vec<(String, u64)>>,
    /// How far the wall clock is ahead after suspensions.
    slept: AtomicU64,
    began: Instant,
}

impl Web {
    pub(crate) fn new() -> Arc<Self> {
        Arc::new(Self {
            pages: Mutex::default(),
            asked: Mutex::default(),
            slept: AtomicU64::new(0),
            began: Instant::now(),
        })
    }

    pub(crate) fn serve(&self, url: &str, page: Page) {
        self.pages.lock().unwrap().insert(url.to_owned(), page);
    }

    /// Returns the seconds at which a page was requested.
    pub(crate) fn asked(&self, url: &str) -> Vec<u64> {
        let asked = self.asked.lock().unwrap();
        let at = asked.iter().filter(|(asked, _)| asked == url);
        at.map(|(_, at)| *at).collect()
    }

    pub(crate) fn count(&self, url: &str) -> usize {
        self.asked(url).len()
    }

    pub(crate) fn seconds(&self) -> u64 {
        self.began.elapsed().as_secs()
    }

    /// Returns the seconds of the wall clock.
    pub(crate) fn wall(&self) -> u64 {
        self.seconds() + self.slept.load(Ordering::SeqCst)
    }

    /// Suspends the machine: the wall clock continues, the other one stops.
    pub(crate) fn sleep(&self, secs: u64) {
        self.slept.fetch_add(secs, Ordering::SeqCst);
    }

    /// Creates keys from this web, with its time.
    pub(crate) fn keys(self: &Arc<Self>) -> PublishedKeysBuilder {
        let fetch: Arc<dyn Fetch> = self.clone();
        PublishedKeys::builder(fetch, provider()).clock(Then(self.clone()))
    }

    /// Creates keys with other rules for documents.
    pub(crate) fn keys_over(
        self: &Arc<Self>,
        rules: impl FnOnce(DocumentsBuilder) -> DocumentsBuilder,
    ) -> PublishedKeysBuilder {
        let documents = rules(Documents::builder(self.clone()));
        PublishedKeys::builder_over(documents, provider()).clock(Then(self.clone()))
    }

    /// Returns a guard that accepts every token of the issuers, or no caller if there are none.
    pub(crate) fn guard(self: &Arc<Self>, keys: &PublishedKeys) -> Guard {
        let guard = Guard::builder(TOOL).keys(keys).clock(Then(self.clone()));
        let guard = guard.wpt_revisions(aims::wpt::Revision::Draft01);
        let guard = guard.accept_proofs_before_start();
        let bearers = Requirements::new().accept_bearer();
        guard.require(bearers).build().unwrap()
    }

    /// Returns a call with an access token of an issuer.
    pub(crate) fn bearer(&self, issuer: &str, key: &SigningKey) -> Parts {
        self.bearer_for(issuer, key, 300)
    }

    /// Returns the time of the wall clock.
    pub(crate) fn now(&self) -> u64 {
        NOW + self.wall()
    }

    /// Returns a call with a token of this lifetime.
    pub(crate) fn bearer_for(&self, issuer: &str, key: &SigningKey, lifetime: u64) -> Parts {
        let now = self.now();
        let claims = json!({
            "iss": issuer, "aud": TOOL, "sub": "alice", "client_id": "c1", "iat": now,
            "exp": now + lifetime,
            "jti": "t1",
        });
        let token = sign("at+jwt", key, &claims);
        let mut request = bare();
        let value = format!("Bearer {token}").parse().unwrap();
        request.headers.insert("authorization", value);
        request
    }

    /// Returns a call with the proof of a WIT of this key. Each call has another agent key.
    pub(crate) fn call(&self, ca: &SigningKey) -> Parts {
        let now = at(NOW + self.wall());
        let key = key("agent");
        let issuer = WitIssuer::new(Arc::new(ca.clone()), None);
        let id = WorkloadId::parse(AGENT).unwrap();
        let hour = secs(3_600);
        let wit = issuer.issue(&id, key.public_jwk(), hour, now).unwrap();
        let (binding, minute) = (Binding::to(CALL), secs(60));
        let wpt = binding
            .prepare(wit.expose(), Algorithm::Es256, minute, random::SYSTEM, now)
            .unwrap();
        proven(wit.expose(), wpt.sign(&key).unwrap().expose(), None)
    }
}

impl Fetch for Web {
    fn send(&self, request: Request<Vec<u8>>) -> FetchFuture<'_> {
        let url = request.uri().to_string();
        let page = self.pages.lock().unwrap().get(&url).cloned();
        self.asked.lock().unwrap().push((url, self.seconds()));
        Box::pin(async move {
            let mut kind = "application/json";
            let (status, age, body) = match page.unwrap_or(Page::Status(404)) {
                Page::Json(body, age) => (200, age, body),
                Page::Late(body, age) => {
                    tokio::time::sleep(secs(10)).await;
                    (200, age, body)
                }
                Page::Status(status) => (status, 0, String::new()),
                Page::Raw(status, of_type, body) => {
                    kind = of_type;
                    (status, 60, body)
                }
                Page::Hang => std::future::pending().await,
                Page::Break => return Err(Error::Resolve),
                Page::Panic => panic!("as told"),
            };
            let answer = Response::builder()
                .status(status)
                .header("content-type", kind)
                .header("cache-control", format!("max-age={age}"));
            Ok(answer.body(body.into_bytes()).unwrap())
        })
    }
}

/// The time of a web.
#[derive(Debug)]
pub(crate) struct Then(pub(crate) Arc<Web>);

impl Clock for Then {
    fn now(&self) -> UnixTime {
        at(NOW + self.0.wall())
    }
}

pub(crate) fn secs(secs: u64) -> Duration {
    Duration::from_secs(secs)
}

pub(crate) fn provider() -> &'static dyn Provider {
    provider::default()
}

pub(crate) fn key(id: &str) -> SigningKey {
    crate::common::key(Algorithm::Es256).with_key_id(id)
}

/// A key set, fresh for an hour.
pub(crate) fn set(keys: &[&SigningKey]) -> Page {
    Page::Json(members(keys, None), 3_600)
}

/// A late key set, fresh for an hour.
pub(crate) fn late_set(keys: &[&SigningKey]) -> Page {
    Page::Late(members(keys, None), 3_600)
}

/// A SPIFFE bundle with further members, fresh for an hour.
pub(crate) fn bundle(keys: &[&SigningKey], more: &str) -> Page {
    let keys = members(keys, Some("wit-svid"));
    let open = keys.strip_suffix('}').unwrap();
    Page::Json(format!("{open}{more}}}"), 3_600)
}

fn members(keys: &[&SigningKey], purpose: Option<&str>) -> String {
    let jwk = |key: &&SigningKey| {
        let jwk = key.public_jwk().clone();
        purpose.map_or_else(|| jwk.to_json(), |it| jwk.clone().with_use(it).to_json())
    };
    let keys: Vec<_> = keys.iter().map(jwk).collect();
    format!(r#"{{"keys":[{}]}}"#, keys.join(","))
}

/// The metadata of an issuer, fresh for a day.
pub(crate) fn metadata(issuer: &str, jwks_uri: &str) -> Page {
    let document = json!({"issuer": issuer, "jwks_uri": jwks_uri}).to_string();
    Page::Json(document, 86_400)
}

/// Returns the decision of a guard about a call, with a refresh if a key is not known.
pub(crate) async fn admit(guard: &Guard, request: &Parts) -> &'static str {
    match guard.admit(request).await {
        Ok(_) => "ok",
        Err(refusal) => refusal.code(),
    }
}

/// Requests keys as a guard does.
pub(crate) async fn refresh(keys: &PublishedKeys, issuer: &str) -> bool {
    keys.refresh(Keys::Issuer(issuer.to_owned())).await
}

pub(crate) fn code(loaded: Result<(), KeysError>) -> &'static str {
    loaded.map_or_else(|error| error.code(), |()| "ok")
}
