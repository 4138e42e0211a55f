//! Keys that cannot be confirmed are trusted up to their maximum age.

use tokio::time::{advance, sleep, timeout};

use crate::common::{NOW, at, told};
use crate::support::{
    AS, BUNDLE, JWKS, ORIGIN, Page, Web, admit, bundle, key, late_set, secs, set,
};

/// F-01, T-085: even without a watch, an issuer's keys are trusted to the last second of their
/// maximum age. After it every token is refused, cached or not, until the keys are confirmed.
#[tokio::test(start_paused = true)]
async fn keys_of_an_issuer_get_too_old() {
    let (web, known) = (Web::new(), key("known"));
    web.serve(JWKS, set(&[&known]));
    let place = JWKS.parse().unwrap();
    let keys = web.keys().issuer_at(AS.parse().unwrap(), &place).unwrap();
    let keys = keys.max_age(secs(7_200)).build();
    keys.load().await.unwrap();
    let guard = web.guard(&keys);
    web.serve(JWKS, Page::Break);
    advance(secs(7_100)).await;
    let request = web.bearer(AS, &known);
    assert_eq!(admit(&guard, &request).await, "ok");
    advance(secs(100)).await;
    assert_eq!(admit(&guard, &request).await, "ok");
    assert_eq!(web.asked(JWKS), [0]);
    advance(secs(1)).await;
    for request in [&request, &web.bearer(AS, &known)] {
        let (code, status, challenge) = told(guard.admit(request).await);
        assert_eq!((code, status), ("token.keys_stale", 401));
        assert_eq!(challenge, r#"Bearer error="invalid_token""#);
    }
    assert_eq!(web.asked(JWKS), [0, 7_201]);
    // The same keys, confirmed.
    web.serve(JWKS, set(&[&known]));
    advance(secs(31)).await;
    assert_eq!(admit(&guard, &request).await, "ok");
    assert_eq!(web.asked(JWKS), [0, 7_201, 7_232]);
}

/// BND-02: the same applies to a bundle.
#[tokio::test(start_paused = true)]
async fn a_bundle_gets_too_old() {
    let (web, ca) = (Web::new(), key("ca"));
    web.serve(BUNDLE, bundle(&[&ca], ""));
    let keys = web.keys().bundle(ORIGIN.parse().unwrap(), BUNDLE).unwrap();
    let keys = keys.max_age(secs(7_200)).build();
    keys.load().await.unwrap();
    let guard = web.guard(&keys);
    web.serve(BUNDLE, Page::Status(500));
    advance(secs(7_200)).await;
    assert_eq!(admit(&guard, &web.call(&ca)).await, "ok");
    assert_eq!(web.asked(BUNDLE), [0]);
    advance(secs(1)).await;
    let (code, status, _) = told(guard.admit(&web.call(&ca)).await);
    assert_eq!((code, status), ("trust.stale", 400));
    web.serve(BUNDLE, bundle(&[&ca], ""));
    advance(secs(31)).await;
    assert_eq!(admit(&guard, &web.call(&ca)).await, "ok");
    assert_eq!(web.asked(BUNDLE), [0, 7_201, 7_232]);
}

/// F-01, F-19: after failed refreshes or invalid documents, the keys stay trusted up to their
/// maximum age. Then every token is refused until a refresh succeeds.
#[tokio::test(start_paused = true)]
async fn failed_refreshes_keep_keys_to_their_age() {
    let known = key("known");
    for page in [
        Page::Break,
        Page::Status(500),
        Page::Status(404),
        Page::Hang,
        Page::Panic,
        Page::Json(r#"{"keys":[]}"#.to_owned(), 86_400),
        Page::Json("<html>".to_owned(), 86_400),
    ] {
        let web = Web::new();
        web.serve(JWKS, set(&[&known]));
        let place = JWKS.parse().unwrap();
        let keys = web.keys().issuer_at(AS.parse().unwrap(), &place).unwrap();
        let keys = keys.max_age(secs(7_200)).build();
        keys.load().await.unwrap();
        let _watch = keys.watch();
        let guard = web.guard(&keys);
        sleep(secs(3_601)).await;
        web.serve(JWKS, page.clone());
        // The keys were confirmed at 3,600.
        sleep(secs(7_198)).await;
        assert_eq!(
            admit(&guard, &web.bearer(AS, &known)).await,
            "ok",
            "{page:?}"
        );
        sleep(secs(2)).await;
        let stale = admit(&guard, &web.bearer(AS, &known)).await;
        assert_eq!(stale, "token.keys_stale", "{page:?}");
        web.serve(JWKS, set(&[&known]));
        sleep(secs(360)).await;
        assert_eq!(
            admit(&guard, &web.bearer(AS, &known)).await,
            "ok",
            "{page:?}"
        );
    }
}

/// The age counts from the fetch, even if no caller was waiting for the keys.
#[tokio::test(start_paused = true)]
async fn the_age_begins_with_the_fetch() {
    let (web, known) = (Web::new(), key("known"));
    web.serve(JWKS, late_set(&[&known]));
    let place = JWKS.parse().unwrap();
    let keys = web.keys().issuer_at(AS.parse().unwrap(), &place).unwrap();
    let keys = keys.max_age(secs(600)).build();
    assert!(timeout(secs(5), keys.load()).await.is_err());
    sleep(secs(505)).await;
    keys.load().await.unwrap();
    assert_eq!(web.asked(JWKS), [0]);
    let guard = web.guard(&keys);
    advance(secs(100)).await;
    let request = web.bearer(AS, &known);
    let told = |now: u64| guard.check(&request, at(NOW + now)).map_err(|it| it.code());
    assert!(told(610).is_ok());
    assert_eq!(told(611).unwrap_err(), "token.keys_stale");
}
