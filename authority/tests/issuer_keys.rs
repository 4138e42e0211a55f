//! Keys of other issuers, fetched again when a grant or a subject token names an unknown key, or
//! the keys are stale.
#![cfg(feature = "server")]
#![allow(
    clippy::indexing_slicing,
    clippy::unwrap_used,
    reason = "a test fails by panicking"
)]

mod common;

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use aims_authority::{Authority, Client, ExchangeTable, IncomingGrants, MapSubject};
use aims_jose::jwk::PublicJwkSet;
use aims_jose::key::SigningKey;
use aims_jose::provider::AWS_LC;
use aims_jose::time::{Clock, UnixTime};
use aims_oauth_rs::{IssuerStore, RefreshFuture, RefreshKeys};
use aims_oauth_wire::delegate::ScopeTable;
use axum::body::Body;
use common::endpoint::{
    ACCESS_TOKEN, EXCHANGE, FORM, JWT_BEARER as ASSERTION, assertion_claims, form,
};
use common::{BASE, FILES, NOW, TOOLS, at, builder, es256, key_set, now, request, sign};
use http::Request;
use serde_json::json;
use tower_service::Service as _;

const PARTNER: &str = "https://as.partner.example";
const JWT_BEARER: &str = "urn:ietf:params:oauth:grant-type:jwt-bearer";

#[derive(Debug)]
struct Users;

impl MapSubject for Users {
    fn subject(&self, _issuer: &str, subject: &str) -> Option<String> {
        Some(format!("partner:{subject}"))
    }
}

/// The published keys of the partner, the store that they go to, and how often they were fetched.
#[derive(Debug)]
struct Partner {
    store: Arc<IssuerStore>,
    published: Mutex<String>,
    fetched: AtomicUsize,
}

impl Partner {
    fn new(first: &SigningKey) -> Arc<Self> {
        let own = Self {
            store: Arc::default(),
            published: Mutex::new(document(first)),
            fetched: AtomicUsize::new(0),
        };
        own.take();
        Arc::new(own)
    }

    fn take(&self) {
        let published = self.published.lock().unwrap();
        let issuer = PARTNER.parse().unwrap();
        self.store
            .set_until(&issuer, published.as_bytes(), AWS_LC, at(NOW + 60))
            .unwrap();
    }

    fn publish(&self, key: &SigningKey) {
        *self.published.lock().unwrap() = document(key);
    }

    fn fetched(&self) -> usize {
        self.fetched.load(Ordering::Relaxed)
    }
}

impl RefreshKeys for Partner {
    fn refresh_keys<'a>(&'a self, issuer: &'a str) -> RefreshFuture<'a> {
        assert_eq!(issuer, PARTNER);
        Box::pin(async {
            self.fetched.fetch_add(1, Ordering::Relaxed);
            self.take();
            true
        })
    }
}

fn document(key: &SigningKey) -> String {
    let keys = [key.public_jwk().clone()];
    keys.into_iter().collect::<PublicJwkSet>().to_json()
}

/// A clock that stands still.
#[derive(Debug)]
struct Still;

impl Clock for Still {
    fn now(&self) -> UnixTime {
        now()
    }
}

struct World {
    authority: Authority,
    partner: Arc<Partner>,
    agent: SigningKey,
}

impl World {
    fn new(first: &SigningKey, refreshes: bool) -> Self {
        let (agent, partner) = (es256(), Partner::new(first));
        let rows = ScopeTable::new([("search", "call")]).unwrap();
        let issuer = PARTNER.parse().unwrap();
        let rules = IncomingGrants::new(issuer, partner.store.clone(), Arc::new(Users));
        let rules = rules.accept_jwt().scopes(TOOLS, rows.clone());
        let table = ExchangeTable::new().allow_issuer(PARTNER, FILES, TOOLS, rows);
        let client = Client::with_keys("batch", key_set(&agent))
            .grants_of(PARTNER)
            .serves(FILES)
            .allow(TOOLS, ["call"]);
        let authority = builder()
            .client(client)
            .exchange(Arc::new(table))
            .subject_issuers(partner.store.clone(), Arc::new(Users));
        let authority = match refreshes {
            true => authority
                .incoming_grants(rules.refreshed_by(partner.clone()))
                .refresh_subject_issuers(partner.clone()),
            false => authority.incoming_grants(rules),
        };
        Self {
            authority: authority.build(now()).unwrap(),
            partner,
            agent,
        }
    }

    fn sent(&self, more: &[(&str, &str)]) -> Request<Vec<u8>> {
        let own = sign(
            "client-authentication+jwt",
            &assertion_claims(now()),
            &self.agent,
        );
        let mut all = vec![
            ("client_assertion_type", ASSERTION),
            ("client_assertion", own.as_str()),
        ];
        all.extend(more);
        request("POST", "/token", &[FORM], &form(&all))
    }

    /// A request with a grant of the partner.
    fn grant(&self, key: &SigningKey) -> Request<Vec<u8>> {
        let jti = aims_jose::random::id128(aims_jose::random::SYSTEM).unwrap();
        let claims = json!({
            "iss": PARTNER, "sub": "alice", "aud": BASE, "iat": NOW, "exp": NOW + 100,
            "jti": jti, "scope": "search", "resource": TOOLS,
        });
        let grant = sign("JWT", &claims, key);
        self.sent(&[("grant_type", JWT_BEARER), ("assertion", &grant)])
    }

    /// A request with an access token of the partner.
    fn exchange(&self, key: &SigningKey) -> Request<Vec<u8>> {
        let claims = json!({
            "iss": PARTNER, "sub": "alice", "aud": FILES, "client_id": "c", "iat": NOW,
            "exp": NOW + 100, "jti": "1", "scope": "search",
        });
        let token = sign("at+jwt", &claims, key);
        self.sent(&[
            ("grant_type", EXCHANGE),
            ("subject_token", &token),
            ("subject_token_type", ACCESS_TOKEN),
            ("resource", TOOLS),
        ])
    }

    async fn answer(&self, request: Request<Vec<u8>>) -> u16 {
        let mut router = self.authority.router_with_clock(Arc::new(Still));
        let response = router.call(request.map(Body::from)).await.unwrap();
        response.status().as_u16()
    }
}

fn named(kid: &str) -> SigningKey {
    es256().with_key_id(kid)
}

/// JWTA-20, TEX-30: the partner changes its key, and the next grant or token has it fetched.
#[tokio::test]
async fn a_new_key_is_fetched() {
    for by_grant in [true, false] {
        let (old, new) = (named("old"), named("new"));
        let world = World::new(&old, true);
        let request = |key: &SigningKey| match by_grant {
            true => world.grant(key),
            false => world.exchange(key),
        };
        assert_eq!(world.answer(request(&old)).await, 200);
        assert_eq!(world.partner.fetched(), 0);
        world.partner.publish(&new);
        assert_eq!(world.answer(request(&new)).await, 200, "{by_grant}");
        assert_eq!(world.answer(request(&new)).await, 200);
        assert_eq!(world.partner.fetched(), 1);
        // The old key is gone, and an invented one is not in the new set.
        for other in [&old, &named("invented")] {
            assert_eq!(world.answer(request(other)).await, 400);
        }
    }
}

/// Without what fetches them, the keys stay as they are.
#[tokio::test]
async fn given_keys_stay() {
    let (old, new) = (named("old"), named("new"));
    let world = World::new(&old, false);
    world.partner.publish(&new);
    for request in [world.grant(&new), world.exchange(&new)] {
        assert_eq!(world.authority.issuer_keys(&request, now()), None);
        assert_eq!(world.answer(request).await, 400);
    }
    assert_eq!(world.partner.fetched(), 0);
}

/// JWTA-20: stale keys are fetched again too, and nothing else is.
#[test]
fn only_what_is_due_is_fetched() {
    let key = named("1");
    let world = World::new(&key, true);
    let due = |request: &Request<Vec<u8>>, seconds: u64| {
        world.authority.issuer_keys(request, at(NOW + seconds))
    };
    for request in [world.grant(&key), world.exchange(&key)] {
        assert_eq!(due(&request, 60), None);
        assert_eq!(due(&request, 61).as_deref(), Some(PARTNER));
    }
    let invented = named("2");
    assert!(due(&world.grant(&invented), 0).is_some());
    let grant = |token: &str| world.sent(&[("grant_type", JWT_BEARER), ("assertion", token)]);
    let other = json!({"iss": "https://as.other.example", "sub": "a"});
    for request in [
        grant(&sign("JWT", &other, &invented)),
        grant(&sign("JWT", &json!({"sub": "a"}), &invented)),
        grant("x"),
        world.sent(&[("grant_type", "client_credentials")]),
    ] {
        assert_eq!(due(&request, 0), None);
    }
    let mut elsewhere = world.grant(&invented);
    *elsewhere.uri_mut() = "/revoke".parse().unwrap();
    assert_eq!(due(&elsewhere, 0), None);
}
