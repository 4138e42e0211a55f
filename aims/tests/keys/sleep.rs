//! The machine is suspended: the wall clock continues, and the clock of the runtime stops.

use std::sync::Arc;

use aims::keys::PublishedKeys;
use aims::resolve::Keys;
use tokio::time::{advance, sleep};

use crate::common::{NOW, at};
use crate::support::{
    AS, BUNDLE, JWKS, ORIGIN, Page, Web, admit, bundle, key, metadata, refresh, secs, set,
};

const OAUTH: &str = "https://as.example/.well-known/oauth-authorization-server";
const DAYS: u64 = 3 * 86_400;

fn discovering(web: &Arc<Web>) -> PublishedKeys {
    web.serve(OAUTH, metadata(AS, JWKS));
    web.keys().issuer(AS.parse().unwrap()).build()
}

/// Re-confirming keys after a suspension counts as a change: the request that caused the refresh is
/// verified again, without another refresh and without a pause, even if they were fetched shortly
/// before by the stopped clock.
#[tokio::test(start_paused = true)]
async fn the_first_request_after_a_suspension_passes() {
    for seconds in [0, 10, 40, 3_000] {
        let (web, known) = (Web::new(), key("known"));
        web.serve(JWKS, set(&[&known]));
        let keys = discovering(&web);
        keys.load().await.unwrap();
        let guard = web.guard(&keys);
        assert_eq!(admit(&guard, &web.bearer(AS, &known)).await, "ok");
        advance(secs(seconds)).await;
        web.sleep(DAYS);
        let request = web.bearer(AS, &known);
        assert_eq!(admit(&guard, &request).await, "ok", "{seconds}");
        assert_eq!(web.count(JWKS), 2, "{seconds}");
        // The keys are known from then on.
        advance(secs(40)).await;
        assert!(!refresh(&keys, AS).await, "{seconds}");
    }
}

/// A key that was withdrawn meanwhile is refused. The keys of an owner that does not answer stay
/// too old, with the usual pauses after failures.
#[tokio::test(start_paused = true)]
async fn a_suspension_prolongs_nothing() {
    let (web, old, new) = (Web::new(), key("old"), key("new"));
    web.serve(JWKS, set(&[&old]));
    let keys = discovering(&web);
    keys.load().await.unwrap();
    let guard = web.guard(&keys);
    web.sleep(DAYS);
    web.serve(JWKS, Page::Break);
    for _ in 0..100 {
        let request = web.bearer(AS, &old);
        assert_eq!(admit(&guard, &request).await, "token.keys_stale");
    }
    assert_eq!(web.count(JWKS), 2);
    web.serve(JWKS, set(&[&new]));
    advance(secs(40)).await;
    assert_eq!(admit(&guard, &web.bearer(AS, &new)).await, "ok");
    let request = web.bearer(AS, &old);
    assert_eq!(admit(&guard, &request).await, "token.unknown_key");
}

/// `load` after a suspension does not treat old documents as fresh.
#[tokio::test(start_paused = true)]
async fn loading_after_a_suspension_asks_again() {
    let (web, old, new) = (Web::new(), key("old"), key("new"));
    web.serve(JWKS, set(&[&old]));
    let keys = discovering(&web);
    keys.load().await.unwrap();
    web.serve(JWKS, set(&[&new]));
    // The suspension is shorter than the document is fresh, so nothing is fetched.
    web.sleep(1_800);
    keys.load().await.unwrap();
    assert_eq!(web.count(JWKS), 1);
    web.sleep(DAYS);
    keys.load().await.unwrap();
    assert_eq!(web.count(JWKS), 2);
    assert_eq!(admit(&web.guard(&keys), &web.bearer(AS, &new)).await, "ok");
}

/// The same for a bundle, by a refresh.
#[tokio::test(start_paused = true)]
async fn a_bundle_is_confirmed_after_a_suspension() {
    let (web, ca) = (Web::new(), key("ca"));
    web.serve(BUNDLE, bundle(&[&ca], ""));
    let keys = web.keys().bundle(ORIGIN.parse().unwrap(), BUNDLE).unwrap();
    let keys = keys.build();
    keys.load().await.unwrap();
    let guard = web.guard(&keys);
    web.sleep(DAYS);
    assert_eq!(admit(&guard, &web.call(&ca)).await, "ok");
    assert!(keys.refresh(Keys::Origin(ORIGIN.parse().unwrap())).await);
    assert_eq!(web.asked(BUNDLE), [0, 0]);
}

/// A watch fetches documents that became due meanwhile within 30 s.
#[tokio::test(start_paused = true)]
async fn a_watch_notices_a_suspension() {
    let (web, ca) = (Web::new(), key("ca"));
    web.serve(BUNDLE, bundle(&[&ca], r#","spiffe_refresh_hint":3000"#));
    let keys = web.keys().bundle(ORIGIN.parse().unwrap(), BUNDLE).unwrap();
    let keys = keys.build();
    keys.load().await.unwrap();
    keys.watch();
    sleep(secs(100)).await;
    web.sleep(DAYS);
    sleep(secs(31)).await;
    assert_eq!(web.asked(BUNDLE), [0, 120]);
    sleep(secs(2_000)).await;
    assert_eq!(web.count(BUNDLE), 2);
}

/// `let _ = keys.watch();` stops nothing: the watch belongs to the keys, and a guard holds a clone
/// of them.
#[tokio::test(start_paused = true)]
async fn a_watch_lives_as_long_as_the_keys() {
    let (web, ca) = (Web::new(), key("ca"));
    web.serve(BUNDLE, bundle(&[&ca], r#","spiffe_refresh_hint":300"#));
    let keys = web.keys().bundle(ORIGIN.parse().unwrap(), BUNDLE).unwrap();
    let keys = keys.build();
    keys.load().await.unwrap();
    let _ = keys.watch();
    // A second call starts nothing.
    let watch = keys.watch();
    let guard = web.guard(&keys);
    drop(keys);
    sleep(secs(301)).await;
    assert_eq!(web.asked(BUNDLE), [0, 300]);
    watch.stop();
    sleep(secs(600)).await;
    assert_eq!(web.count(BUNDLE), 2);
    drop(guard);
}

/// Keys that were never loaded are fetched by the first request that names them; those of owners
/// that are not configured never are.
#[tokio::test(start_paused = true)]
async fn a_forgotten_load_heals() {
    let (web, known, ca) = (Web::new(), key("known"), key("ca"));
    web.serve(JWKS, set(&[&known]));
    web.serve(BUNDLE, bundle(&[&ca], ""));
    web.serve(OAUTH, metadata(AS, JWKS));
    let keys = web.keys().bundle(ORIGIN.parse().unwrap(), BUNDLE).unwrap();
    let keys = keys.issuer(AS.parse().unwrap()).build();
    let guard = web.guard(&keys);
    assert_eq!(admit(&guard, &web.bearer(AS, &known)).await, "ok");
    assert_eq!(web.count(BUNDLE), 0);
    let of = |origin: &str| Keys::Origin(origin.parse().unwrap());
    assert!(!keys.refresh(of("spiffe://other.example")).await);
    assert_eq!(web.count(BUNDLE), 0);
    assert!(keys.refresh(of(ORIGIN)).await);
    assert!(keys.trust().snapshot().bundle(ORIGIN).is_some());
}

/// The same for a bundle: the guard requests it when a credential of its origin arrives, and
/// verifies the request again. A credential with another key is still refused.
#[tokio::test(start_paused = true)]
async fn a_forgotten_load_of_a_bundle_heals() {
    let (web, ca) = (Web::new(), key("ca"));
    web.serve(BUNDLE, bundle(&[&ca], ""));
    let keys = web.keys().bundle(ORIGIN.parse().unwrap(), BUNDLE).unwrap();
    let keys = keys.build();
    let guard = web.guard(&keys);
    let call = web.call(&ca);
    let refused = guard.check(&call, at(NOW)).unwrap_err();
    assert_eq!(
        (refused.code(), web.count(BUNDLE)),
        ("trust.unknown_origin", 0)
    );
    assert_eq!(admit(&guard, &call).await, "ok");
    assert_eq!(web.count(BUNDLE), 1);
    assert_eq!(admit(&guard, &web.call(&key("ca"))).await, "wit.signature");
    assert_eq!(
        guard
            .check(&web.call(&ca), at(NOW))
            .map(drop)
            .map_err(|it| it.code()),
        Ok(())
    );
}
