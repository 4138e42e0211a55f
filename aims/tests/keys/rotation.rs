//! Keys rotate, and a token with an unknown key causes a fetch.

use std::sync::Arc;

use aims::keys::PublishedKeys;
use aims::oauth_rs::RefreshKeys;
use aims::resolve::Keys;
use tokio::time::{Instant, advance, sleep, timeout};

use crate::common::at;
use crate::support::{
    AS, BUNDLE, JWKS, ORIGIN, Page, Web, admit, bundle, code, key, late_set, refresh, secs, set,
};

fn at_jwks(web: &Arc<Web>) -> PublishedKeys {
    let keys = web
        .keys()
        .issuer_at(AS.parse().unwrap(), &JWKS.parse().unwrap());
    keys.unwrap().build()
}

/// T-085, ATJ-11: an unknown key is fetched once, for any number of waiting callers, and verifies
/// for all of them.
#[tokio::test(start_paused = true)]
async fn an_unknown_key_is_fetched_once() {
    let (web, old, new) = (Web::new(), key("old"), key("new"));
    web.serve(JWKS, set(&[&old]));
    let keys = at_jwks(&web);
    let guard = web.guard(&keys);
    let unloaded = guard.check(&web.bearer(AS, &old), at(crate::common::NOW));
    assert_eq!(unloaded.unwrap_err().code(), "token.unknown_key");
    keys.load().await.unwrap();
    assert_eq!(admit(&guard, &web.bearer(AS, &old)).await, "ok");
    web.serve(JWKS, set(&[&old, &new]));
    advance(secs(31)).await;
    let crowd: Vec<_> = (0..100)
        .map(|_| {
            let (guard, request) = (guard.clone(), web.bearer(AS, &new));
            tokio::spawn(async move { admit(&guard, &request).await })
        })
        .collect();
    for one in crowd {
        assert_eq!(one.await.unwrap(), "ok");
    }
    assert_eq!(admit(&guard, &web.bearer(AS, &old)).await, "ok");
    assert_eq!(web.asked(JWKS), [0, 31]);
}

/// T-085: an authority that takes grants of the issuer has its keys fetched by the same rules.
#[tokio::test(start_paused = true)]
async fn an_authority_has_the_keys_fetched_once() {
    let (web, old, new) = (Web::new(), key("old"), key("new"));
    web.serve(JWKS, set(&[&old]));
    let keys = at_jwks(&web);
    keys.load().await.unwrap();
    let refresh: Arc<dyn RefreshKeys> = Arc::new(keys);
    web.serve(JWKS, set(&[&old, &new]));
    advance(secs(31)).await;
    let crowd: Vec<_> = (0..100)
        .map(|_| {
            let refresh = Arc::clone(&refresh);
            tokio::spawn(async move { refresh.refresh_keys(AS).await })
        })
        .collect();
    for one in crowd {
        assert!(one.await.unwrap());
    }
    advance(secs(2)).await;
    assert!(!refresh.refresh_keys(AS).await);
    assert!(!refresh.refresh_keys("https://other.example").await);
    assert_eq!(web.asked(JWKS), [0, 31]);
}

/// F-03: a caller that stops waiting does not end the fetch: the next one has the key without
/// another fetch.
#[tokio::test(start_paused = true)]
async fn a_caller_that_leaves_costs_no_fetch() {
    let (web, old, new) = (Web::new(), key("old"), key("new"));
    web.serve(JWKS, set(&[&old]));
    let keys = at_jwks(&web);
    keys.load().await.unwrap();
    let guard = web.guard(&keys);
    web.serve(JWKS, late_set(&[&old, &new]));
    advance(secs(31)).await;
    let request = web.bearer(AS, &new);
    let left = timeout(secs(5), guard.admit(&request)).await;
    assert!(left.is_err());
    sleep(secs(6)).await;
    assert_eq!(admit(&guard, &request).await, "ok");
    assert_eq!(web.asked(JWKS), [0, 31]);
}

/// T-085, F-01: a thousand invented names cause one fetch per interval. Known keys verify at once
/// throughout, and no caller waits in between.
#[tokio::test(start_paused = true)]
async fn made_up_names_cost_one_fetch() {
    let known = key("known");
    for page in [
        set(&[&known]),
        Page::Json(r#"{"keys":[]}"#.to_owned(), 3_600),
        Page::Status(500),
        Page::Hang,
        Page::Panic,
    ] {
        let web = Web::new();
        web.serve(JWKS, set(&[&known]));
        let keys = at_jwks(&web);
        keys.load().await.unwrap();
        let guard = web.guard(&keys);
        web.serve(JWKS, page.clone());
        advance(secs(31)).await;
        let crowd: Vec<_> = (0..1_000)
            .map(|number| {
                let key = known.clone().with_key_id(format!("made-up-{number}"));
                let (guard, request) = (guard.clone(), web.bearer(AS, &key));
                tokio::spawn(async move { admit(&guard, &request).await })
            })
            .collect();
        tokio::task::yield_now().await;
        let began = Instant::now();
        assert_eq!(admit(&guard, &web.bearer(AS, &known)).await, "ok");
        assert_eq!(began.elapsed(), secs(0));
        for one in crowd {
            assert_eq!(one.await.unwrap(), "token.unknown_key", "{page:?}");
        }
        assert_eq!(web.asked(JWKS), [0, 31], "{page:?}");
        let (began, fresh) = (Instant::now(), web.bearer(AS, &known));
        let made_up = web.bearer(AS, &known.clone().with_key_id("made-up"));
        for _ in 0..100 {
            assert_eq!(admit(&guard, &made_up).await, "token.unknown_key");
            assert_eq!(admit(&guard, &fresh).await, "ok");
        }
        assert_eq!(began.elapsed(), secs(0), "{page:?}");
        assert_eq!(web.asked(JWKS), [0, 31], "{page:?}");
        advance(secs(31)).await;
        let made_up = web.bearer(AS, &known.clone().with_key_id("made-up"));
        assert_eq!(admit(&guard, &made_up).await, "token.unknown_key");
        assert_eq!(web.count(JWKS), 3, "{page:?}");
        assert_eq!(admit(&guard, &web.bearer(AS, &known)).await, "ok");
    }
}

/// A request is verified again only if the keys changed. All waiting callers learn this.
#[tokio::test(start_paused = true)]
async fn only_other_keys_are_news() {
    let (web, old, new) = (Web::new(), key("old"), key("new"));
    web.serve(JWKS, set(&[&old]));
    let keys = at_jwks(&web);
    keys.load().await.unwrap();
    advance(secs(31)).await;
    assert!(!refresh(&keys, AS).await, "they are the same");
    assert_eq!(web.count(JWKS), 2);
    web.serve(JWKS, set(&[&old, &new]));
    advance(secs(29)).await;
    assert!(!refresh(&keys, AS).await, "it is too soon");
    assert_eq!(web.count(JWKS), 2);
    advance(secs(1)).await;
    let both = tokio::join!(refresh(&keys, AS), refresh(&keys, AS));
    assert_eq!(both, (true, true));
    assert_eq!(web.count(JWKS), 3);
    // A caller that looked shortly before.
    assert!(refresh(&keys, AS).await);
    advance(secs(1)).await;
    assert!(!refresh(&keys, AS).await);
    web.serve(JWKS, Page::Break);
    advance(secs(30)).await;
    assert!(!refresh(&keys, AS).await, "it fails");
    assert_eq!(web.count(JWKS), 4);
    assert!(!refresh(&keys, "https://other.example").await);
    assert!(!keys.refresh(Keys::Origin(ORIGIN.parse().unwrap())).await);
}

/// T-038: a withdrawn key is refused after the refresh, though its token was verified before.
#[tokio::test(start_paused = true)]
async fn a_withdrawn_key_is_refused() {
    let (web, old, new) = (Web::new(), key("old"), key("new"));
    web.serve(JWKS, set(&[&old]));
    let keys = at_jwks(&web);
    keys.load().await.unwrap();
    let guard = web.guard(&keys);
    let cached = web.bearer(AS, &old);
    assert_eq!(admit(&guard, &cached).await, "ok");
    web.serve(JWKS, set(&[&new]));
    advance(secs(31)).await;
    assert_eq!(admit(&guard, &cached).await, "ok");
    assert_eq!(admit(&guard, &web.bearer(AS, &new)).await, "ok");
    assert_eq!(admit(&guard, &cached).await, "token.unknown_key");
    assert_eq!(
        admit(&guard, &web.bearer(AS, &old)).await,
        "token.unknown_key"
    );
    assert_eq!(web.asked(JWKS), [0, 31]);
}

/// BND-01, BND-02: the same for a bundle; one with a lower sequence is refused.
#[tokio::test(start_paused = true)]
async fn a_bundle_rotates() {
    let (web, old, new) = (Web::new(), key("old"), key("new"));
    web.serve(BUNDLE, bundle(&[&old], r#","spiffe_sequence":2"#));
    let keys = web.keys().bundle(ORIGIN.parse().unwrap(), BUNDLE);
    let keys = keys.unwrap().build();
    keys.load().await.unwrap();
    let guard = web.guard(&keys);
    assert_eq!(admit(&guard, &web.call(&old)).await, "ok");
    web.serve(BUNDLE, bundle(&[&new], r#","spiffe_sequence":1"#));
    advance(secs(31)).await;
    assert_eq!(admit(&guard, &web.call(&new)).await, "trust.unknown_key");
    assert_eq!(web.asked(BUNDLE), [0, 31]);
    assert_eq!(code(keys.load().await), "bundle.sequence");
    assert_eq!(admit(&guard, &web.call(&old)).await, "ok");
    web.serve(BUNDLE, bundle(&[&new], r#","spiffe_sequence":3"#));
    advance(secs(31)).await;
    assert_eq!(admit(&guard, &web.call(&new)).await, "ok");
    assert_eq!(admit(&guard, &web.call(&old)).await, "trust.unknown_key");
    assert_eq!(web.asked(BUNDLE), [0, 31, 62]);
}

/// T-091: two issuers with one `jwks_uri` fetch it separately, and neither changes the keys of the
/// other.
#[tokio::test(start_paused = true)]
async fn issuers_with_one_key_set_stay_apart() {
    const OTHER: &str = "https://other.example";
    let (web, old, new) = (Web::new(), key("old"), key("new"));
    web.serve(JWKS, set(&[&old]));
    let keys = [AS, OTHER].into_iter().fold(web.keys(), |keys, issuer| {
        let place = JWKS.parse().unwrap();
        keys.issuer_at(issuer.parse().unwrap(), &place).unwrap()
    });
    let keys = keys.build();
    keys.load().await.unwrap();
    assert_eq!(web.asked(JWKS), [0, 0]);
    web.serve(JWKS, set(&[&new]));
    advance(secs(31)).await;
    let guard = web.guard(&keys);
    assert_eq!(admit(&guard, &web.bearer(AS, &new)).await, "ok");
    assert_eq!(web.asked(JWKS), [0, 0, 31]);
    assert_eq!(
        admit(&guard, &web.bearer(AS, &old)).await,
        "token.unknown_key"
    );
    assert_eq!(admit(&guard, &web.bearer(OTHER, &old)).await, "ok");
    assert_eq!(admit(&guard, &web.bearer(OTHER, &new)).await, "ok");
    assert_eq!(web.asked(JWKS), [0, 0, 31, 31]);
}
