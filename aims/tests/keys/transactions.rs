//! The keys of a transaction token service, fetched like those of an issuer.

use std::sync::Arc;

use aims::cred::TrustStore;
use aims::guard::{BuildError, TransactionTokens};
use aims::jose::jwk::{JwkSet, PublicJwkSet, SetRules};
use aims::jose::key::SigningKey;
use aims::keys::PublishedKeys;
use aims::oauth_wire::names::Issuer;
use aims::txn_token::TxnTokenRules;
use aims::{Guard, Requirements};
use http::request::Parts;
use serde_json::json;
use tokio::time::{Instant, advance};

use crate::common::{TOOL, at, bare, sign};
use crate::support::{Page, Then, Web, admit, key, late_set, metadata, provider, secs, set};

const SERVICE: &str = "https://tts.example";
const JWKS: &str = "https://tts.example/jwks";
const DOMAIN: &str = "trust-domain.example";

fn service() -> Issuer {
    SERVICE.parse().unwrap()
}

/// The keys of the service alone, and the transaction tokens that they verify.
fn published(web: &Arc<Web>) -> (PublishedKeys, TransactionTokens) {
    let keys = web.keys().issuer_at(service(), &JWKS.parse().unwrap());
    let keys = keys.unwrap().build();
    let rules = TxnTokenRules::new(DOMAIN);
    let tokens = TransactionTokens::published(rules, &keys, service());
    (keys, tokens)
}

/// A guard that accepts a transaction token alone.
fn guard(web: &Arc<Web>, tokens: &TransactionTokens) -> Guard {
    let alone = Requirements::new()
        .accept_transaction_alone()
        .accept_bearer();
    Guard::builder(TOOL)
        .trust(Arc::new(TrustStore::new()))
        .transactions(tokens.clone())
        .clock(Then(Arc::clone(web)))
        .require(alone)
        .build()
        .unwrap()
}

/// A request in a transaction, signed by this key at the time of the web.
fn call(web: &Web, key: &SigningKey) -> Parts {
    let now = web.now();
    let claims = json!({
        "aud": DOMAIN, "iat": now, "exp": now + 300, "txn": "t-1", "sub": "alice",
        "scope": "read", "req_wl": "gateway"
    });
    let mut request = bare();
    let token = sign("txntoken+jwt", key, &claims).parse().unwrap();
    request.headers.insert("txn-token", token);
    request
}

/// TXN-28: the service rotates its keys in the middle of traffic: one fetch serves all that wait,
/// tokens of the old key stay good while it is published, and no longer.
#[tokio::test(start_paused = true)]
async fn the_keys_rotate_in_mid_traffic() {
    let (web, old, new) = (Web::new(), key("old"), key("new"));
    web.serve(JWKS, set(&[&old]));
    let (keys, tokens) = published(&web);
    let guard = guard(&web, &tokens);
    let early = guard.check(&call(&web, &old), at(web.now()));
    assert_eq!(early.unwrap_err().code(), "key.unknown");
    keys.load().await.unwrap();
    assert_eq!(admit(&guard, &call(&web, &old)).await, "ok");
    web.serve(JWKS, late_set(&[&old, &new]));
    advance(secs(31)).await;
    let crowd: Vec<_> = (0..100)
        .map(|number| {
            let by = if number % 2 == 0 { &new } else { &old };
            let (guard, request) = (guard.clone(), call(&web, by));
            tokio::spawn(async move { admit(&guard, &request).await })
        })
        .collect();
    for one in crowd {
        assert_eq!(one.await.unwrap(), "ok");
    }
    assert_eq!(web.asked(JWKS), [0, 31]);
    // The old key is withdrawn. A token that was verified before is refused as well.
    let known = call(&web, &old);
    assert_eq!(admit(&guard, &known).await, "ok");
    web.serve(JWKS, set(&[&new]));
    advance(secs(31)).await;
    assert_eq!(
        admit(&guard, &call(&web, &key("newest"))).await,
        "key.unknown"
    );
    assert_eq!(admit(&guard, &known).await, "key.unknown");
    assert_eq!(admit(&guard, &call(&web, &new)).await, "ok");
    // A key of the same name signs nothing for the service.
    assert_eq!(
        admit(&guard, &call(&web, &key("new"))).await,
        "txn.signature"
    );
}

/// T-085: a thousand invented names cost one fetch per interval, whatever the service answers, and
/// known keys verify at once throughout.
#[tokio::test(start_paused = true)]
async fn invented_names_cost_one_fetch() {
    let known = key("known");
    for page in [set(&[&known]), Page::Status(500), Page::Hang, Page::Panic] {
        let web = Web::new();
        web.serve(JWKS, set(&[&known]));
        let (keys, tokens) = published(&web);
        keys.load().await.unwrap();
        let guard = guard(&web, &tokens);
        web.serve(JWKS, page.clone());
        advance(secs(31)).await;
        let crowd: Vec<_> = (0..1_000)
            .map(|number| {
                let made_up = known.clone().with_key_id(format!("made-up-{number}"));
                let (guard, request) = (guard.clone(), call(&web, &made_up));
                tokio::spawn(async move { admit(&guard, &request).await })
            })
            .collect();
        tokio::task::yield_now().await;
        let began = Instant::now();
        assert_eq!(admit(&guard, &call(&web, &known)).await, "ok");
        assert_eq!(began.elapsed(), secs(0));
        for one in crowd {
            assert_eq!(one.await.unwrap(), "key.unknown", "{page:?}");
        }
        let made_up = call(&web, &known.clone().with_key_id("made-up"));
        for _ in 0..100 {
            assert_eq!(admit(&guard, &made_up).await, "key.unknown");
        }
        assert_eq!(web.asked(JWKS), [0, 31], "{page:?}");
    }
}

/// Keys that could not be confirmed for the maximum age verify nothing, also no token that was
/// verified before. They count again as soon as the service answers.
#[tokio::test(start_paused = true)]
async fn stale_keys_verify_nothing() {
    let (web, own) = (Web::new(), key("own"));
    web.serve(JWKS, set(&[&own]));
    let keys = web.keys().max_age(secs(600));
    let keys = keys.issuer_at(service(), &JWKS.parse().unwrap());
    let keys = keys.unwrap().build();
    let rules = TxnTokenRules::new(DOMAIN);
    let tokens = TransactionTokens::published(rules, &keys, service());
    let guard = guard(&web, &tokens);
    keys.load().await.unwrap();
    web.serve(JWKS, Page::Break);
    advance(secs(595)).await;
    let known = call(&web, &own);
    assert_eq!(admit(&guard, &known).await, "ok");
    advance(secs(6)).await;
    let refused = guard.admit(&known).await.unwrap_err();
    assert_eq!(refused.code(), "guard.transaction_keys_stale");
    assert_eq!(refused.status().as_u16(), 400);
    web.serve(JWKS, set(&[&own]));
    advance(secs(31)).await;
    assert_eq!(admit(&guard, &call(&web, &own)).await, "ok");
}

/// The keys of one service verify no token of another, and a service that nothing fetches cannot
/// be configured.
#[tokio::test(start_paused = true)]
async fn the_keys_are_of_one_service() {
    let (web, own, other) = (Web::new(), key("own"), key("other"));
    let two: Issuer = "https://other.example".parse().unwrap();
    web.serve(JWKS, set(&[&own]));
    web.serve("https://other.example/jwks", set(&[&other]));
    web.serve(
        "https://other.example/.well-known/oauth-authorization-server",
        metadata("https://other.example", "https://other.example/jwks"),
    );
    let keys = web.keys().issuer_at(service(), &JWKS.parse().unwrap());
    let keys = keys.unwrap().issuer(two.clone()).build();
    keys.load().await.unwrap();
    let tokens = |issuer| TransactionTokens::published(TxnTokenRules::new(DOMAIN), &keys, issuer);
    let (first, second) = (guard(&web, &tokens(service())), guard(&web, &tokens(two)));
    for (guard, key, expected) in [
        (&first, &own, "ok"),
        (&first, &other, "key.unknown"),
        (&second, &other, "ok"),
        (&second, &own, "key.unknown"),
    ] {
        assert_eq!(admit(guard, &call(&web, key)).await, expected);
    }
    let unknown = tokens("https://unknown.example".parse().unwrap());
    let built = Guard::builder(TOOL)
        .trust(Arc::new(TrustStore::new()))
        .transactions(unknown)
        .build();
    assert!(
        matches!(built, Err(BuildError::TransactionService { issuer }) if issuer == "https://unknown.example")
    );
    // A service that the program removed has no keys.
    keys.issuers().remove(&service());
    assert_eq!(admit(&first, &call(&web, &own)).await, "key.unknown");
}

/// Keys that are given replace those that are fetched, for the guard as well, and end the fetching.
#[tokio::test(start_paused = true)]
async fn given_keys_replace_fetched_ones() {
    let (web, own, given) = (Web::new(), key("own"), key("given"));
    web.serve(JWKS, set(&[&own]));
    let (keys, tokens) = published(&web);
    keys.load().await.unwrap();
    let guard = guard(&web, &tokens);
    assert_eq!(admit(&guard, &call(&web, &own)).await, "ok");
    let document: PublicJwkSet = [given.public_jwk().clone()].into_iter().collect();
    let document = document.to_json();
    let parsed = JwkSet::parse(document.as_bytes(), &SetRules::oauth(), provider());
    tokens.set_keys(parsed.unwrap());
    advance(secs(31)).await;
    assert_eq!(admit(&guard, &call(&web, &own)).await, "key.unknown");
    assert_eq!(admit(&guard, &call(&web, &given)).await, "ok");
    assert_eq!(web.asked(JWKS), [0]);
}
