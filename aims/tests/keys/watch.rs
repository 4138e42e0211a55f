//! A watch fetches keys again before they are too old, until it ends.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use aims::jose::time::{Clock, UnixTime};
use aims::keys::PublishedKeys;
use aims::resolve::Keys;
use tokio::runtime::Handle;
use tokio::time::sleep;

use crate::common::{NOW, at};
use crate::support::{
    AS, BUNDLE, JWKS, ORIGIN, Page, Then, Web, admit, bundle, code, key, secs, set,
};

fn at_bundle(web: &Arc<Web>) -> PublishedKeys {
    let keys = web.keys().bundle(ORIGIN.parse().unwrap(), BUNDLE);
    keys.unwrap().build()
}

/// A clock that panics on demand.
#[derive(Clone)]
struct Broken(Arc<Web>, Arc<AtomicBool>);

impl Clock for Broken {
    fn now(&self) -> UnixTime {
        assert!(!self.1.load(Ordering::SeqCst), "as told");
        at(NOW + self.0.seconds())
    }
}

/// SPIFFE Trust Domain and Bundle §4.1.2: a bundle is fetched at its own interval, within limits.
/// Without one, it is fetched when it is no longer fresh, within the same limits.
#[tokio::test(start_paused = true)]
async fn bundles_say_how_often() {
    let ca = key("ca");
    let hinted = |hint: u64| bundle(&[&ca], &format!(r#","spiffe_refresh_hint":{hint}"#));
    let aged = |age: u64| match bundle(&[&ca], "") {
        Page::Json(document, _) => Page::Json(document, age),
        other => other,
    };
    for (page, every) in [
        (hinted(100), 100),
        (hinted(1_200), 1_200),
        (hinted(0), 30),
        (hinted(29), 30),
        (hinted(3_600), 3_600),
        (hinted(86_400), 3_600),
        (hinted(u64::MAX), 3_600),
        (aged(600), 600),
        (aged(0), 60),
        (aged(86_400), 3_600),
    ] {
        let web = Web::new();
        web.serve(BUNDLE, page.clone());
        let keys = at_bundle(&web);
        keys.load().await.unwrap();
        let watch = keys.watch();
        sleep(secs(3 * every - 1)).await;
        watch.stop();
        assert_eq!(web.asked(BUNDLE), [0, every, 2 * every], "{page:?}");
    }
}

/// A watch sees a rotation and a withdrawal without any request.
#[tokio::test(start_paused = true)]
async fn a_rotation_is_seen() {
    let (web, old, new) = (Web::new(), key("old"), key("new"));
    web.serve(JWKS, set(&[&old]));
    let place = JWKS.parse().unwrap();
    let keys = web.keys().issuer_at(AS.parse().unwrap(), &place).unwrap();
    let keys = keys.build();
    keys.load().await.unwrap();
    let _watch = keys.watch();
    let guard = web.guard(&keys);
    sleep(secs(3_599)).await;
    let now = || at(NOW + web.seconds());
    let cached = web.bearer(AS, &old);
    assert!(guard.check(&cached, now()).is_ok());
    web.serve(JWKS, set(&[&new]));
    sleep(secs(2)).await;
    assert!(guard.check(&web.bearer(AS, &new), now()).is_ok());
    let withdrawn = guard.check(&cached, now()).unwrap_err();
    assert_eq!(withdrawn.code(), "token.unknown_key");
    assert_eq!(web.asked(JWKS), [0, 3_600]);
}

/// The watch belongs to the keys: a handle that is dropped at once ends nothing.
#[tokio::test(start_paused = true)]
async fn a_dropped_handle_ends_no_watch() {
    let (web, ca) = (Web::new(), key("ca"));
    web.serve(BUNDLE, bundle(&[&ca], r#","spiffe_refresh_hint":300"#));
    let keys = at_bundle(&web);
    keys.load().await.unwrap();
    keys.watch();
    let _ = keys.watch();
    drop(keys.watch());
    sleep(secs(601)).await;
    assert_eq!(web.asked(BUNDLE), [0, 300, 600]);
}

/// After a failure the document is fetched again after 30 s, also at the start.
#[tokio::test(start_paused = true)]
async fn a_failure_is_tried_again() {
    let (web, ca) = (Web::new(), key("ca"));
    web.serve(BUNDLE, Page::Break);
    let keys = at_bundle(&web);
    assert_eq!(code(keys.load().await), "fetch.resolve");
    let _watch = keys.watch();
    sleep(secs(31)).await;
    web.serve(BUNDLE, bundle(&[&ca], r#","spiffe_refresh_hint":300"#));
    sleep(secs(30)).await;
    assert_eq!(web.asked(BUNDLE), [0, 30, 60]);
    assert_eq!(admit(&web.guard(&keys), &web.call(&ca)).await, "ok");
    sleep(secs(300)).await;
    web.serve(BUNDLE, Page::Status(500));
    sleep(secs(300)).await;
    web.serve(BUNDLE, bundle(&[&ca], r#","spiffe_refresh_hint":300"#));
    sleep(secs(30)).await;
    assert_eq!(web.asked(BUNDLE), [0, 30, 60, 360, 660, 690]);
}

/// F-03: a panic in a fetch or afterwards does not end the watch.
#[tokio::test(start_paused = true)]
async fn a_panic_ends_no_watch() {
    let (web, old, new) = (Web::new(), key("old"), key("new"));
    let hint = r#","spiffe_refresh_hint":300"#;
    web.serve(BUNDLE, bundle(&[&old], hint));
    let broken = Arc::new(AtomicBool::new(false));
    let keys = web.keys().clock(Broken(web.clone(), broken.clone()));
    let keys = keys
        .bundle(ORIGIN.parse().unwrap(), BUNDLE)
        .unwrap()
        .build();
    keys.load().await.unwrap();
    let _watch = keys.watch();
    web.serve(BUNDLE, Page::Panic);
    sleep(secs(301)).await;
    assert_eq!(web.asked(BUNDLE), [0, 300]);
    web.serve(BUNDLE, bundle(&[&new], hint));
    broken.store(true, Ordering::SeqCst);
    sleep(secs(30)).await;
    assert_eq!(web.asked(BUNDLE), [0, 300, 330]);
    assert_eq!(admit(&web.guard(&keys), &web.call(&old)).await, "ok");
    broken.store(false, Ordering::SeqCst);
    sleep(secs(30)).await;
    assert_eq!(web.asked(BUNDLE), [0, 300, 330, 360]);
    assert_eq!(admit(&web.guard(&keys), &web.call(&new)).await, "ok");
}

/// Keys whose loading panicked do not count as loaded.
#[tokio::test(start_paused = true)]
async fn a_panic_is_no_success() {
    let (web, ca) = (Web::new(), key("ca"));
    web.serve(JWKS, set(&[&ca]));
    web.serve(BUNDLE, Page::Panic);
    assert_eq!(code(at_bundle(&web).load().await), "fetch.interrupted");
    web.serve(BUNDLE, bundle(&[&ca], ""));
    let broken = Arc::new(AtomicBool::new(true));
    let keys = web.keys().clock(Broken(web.clone(), broken.clone()));
    let keys = keys
        .bundle(ORIGIN.parse().unwrap(), BUNDLE)
        .unwrap()
        .build();
    let error = keys.load().await.unwrap_err();
    assert_eq!(error.code(), "keys.interrupted");
    assert_eq!(*error.keys(), Keys::Origin(ORIGIN.parse().unwrap()));
    assert!(keys.trust().snapshot().bundle(ORIGIN).is_none());
    broken.store(false, Ordering::SeqCst);
    assert_eq!(code(keys.load().await), "ok");
}

/// F-22: the tasks end with the watch, in a pause and during a fetch; and they end with the keys.
#[tokio::test(start_paused = true)]
async fn the_end_leaves_no_task() {
    let alive = || Handle::current().metrics().num_alive_tasks();
    let ca = key("ca");
    for hangs in [false, true] {
        let web = Web::new();
        web.serve(BUNDLE, bundle(&[&ca], r#","spiffe_refresh_hint":100"#));
        web.serve(JWKS, set(&[&ca]));
        let place = JWKS.parse().unwrap();
        let keys = web.keys().bundle(ORIGIN.parse().unwrap(), BUNDLE).unwrap();
        let keys = keys.issuer_at(AS.parse().unwrap(), &place).unwrap().build();
        keys.load().await.unwrap();
        let watch = keys.watch();
        if hangs {
            web.serve(BUNDLE, Page::Hang);
        }
        sleep(secs(101)).await;
        // One task for the round and one for its fetch, which hangs.
        assert_eq!(alive(), if hangs { 4 } else { 2 });
        watch.stop();
        sleep(secs(1)).await;
        // The fetch has its own timeout.
        assert_eq!(alive(), usize::from(hangs));
        sleep(secs(19)).await;
        assert_eq!(alive(), 0);
        sleep(secs(7_200)).await;
        assert_eq!(
            (web.asked(BUNDLE), web.asked(JWKS)),
            (vec![0, 100], vec![0])
        );
    }
    let web = Web::new();
    web.serve(BUNDLE, bundle(&[&ca], r#","spiffe_refresh_hint":100"#));
    let keys = at_bundle(&web);
    keys.load().await.unwrap();
    let _watch = keys.watch();
    drop(keys);
    sleep(secs(101)).await;
    assert_eq!((alive(), web.asked(BUNDLE)), (0, vec![0]));
    let _clock = Then(web);
}
