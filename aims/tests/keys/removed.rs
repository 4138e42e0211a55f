//! An owner that the program removes from a store does not come back with the next fetch.

use std::sync::Arc;

use aims::id::Origin;
use aims::keys::PublishedKeys;
use aims::oauth_rs::IssuerRules;
use aims::resolve::Keys;
use aims::{Guard, Requirements};
use tokio::time::{advance, sleep};

use crate::common::TOOL;
use crate::support::{
    AS, BUNDLE, JWKS, ORIGIN, Page, Then, Web, admit, bundle, code, key, late_set, metadata,
    refresh, secs, set,
};

const OAUTH: &str = "https://as.example/.well-known/oauth-authorization-server";
const SLASH: &str = "https://as.example/";

/// Returns keys of an origin, and of an issuer whose server writes the root slash.
fn both(web: &Arc<Web>) -> PublishedKeys {
    web.serve(OAUTH, metadata(SLASH, JWKS));
    let keys = web.keys().issuer(AS.parse().unwrap());
    let keys = keys.bundle(origin(), BUNDLE).unwrap();
    keys.build()
}

fn origin() -> Origin {
    ORIGIN.parse().unwrap()
}

fn names(keys: &PublishedKeys) -> (usize, usize) {
    let (issuers, trust) = (keys.issuers().snapshot(), keys.trust().snapshot());
    (issuers.names().count(), trust.bundles().count())
}

/// T-038: neither the watch, nor a token with an unknown key, nor another load brings back a
/// removed owner, and nothing is fetched for it. After it is added again, it is trusted with the
/// guard's rules.
#[tokio::test(start_paused = true)]
async fn a_removal_outlives_every_refresh() {
    for by in [AS, SLASH] {
        let (web, known, other) = (Web::new(), key("known"), key("other"));
        web.serve(JWKS, set(&[&known]));
        web.serve(BUNDLE, bundle(&[&known], ""));
        let keys = both(&web);
        let (issuers, trust) = (keys.issuers(), keys.trust());
        let strict = IssuerRules::new().max_lifetime(secs(300));
        let guard = Guard::builder(TOOL).keys(&keys);
        let guard = guard.issuer_rules(AS.parse().unwrap(), strict);
        let guard = guard.wpt_revisions(aims::wpt::Revision::Draft01);
        let guard = guard.accept_bearer().clock(Then(Arc::clone(&web)));
        let guard = guard.accept_proofs_before_start();
        let guard = guard.build().unwrap();
        let agents = guard
            .requiring(Requirements::new().identity_alone())
            .unwrap();
        keys.load().await.unwrap();
        let _watch = keys.watch();
        assert_eq!(admit(&guard, &web.bearer(SLASH, &known)).await, "ok");
        assert_eq!(admit(&agents, &web.call(&known)).await, "ok");

        let (issuer, origin) = (by.parse().unwrap(), origin());
        assert!(issuers.remove(&issuer) && trust.remove(&origin));
        let before = (web.count(OAUTH), web.count(JWKS), web.count(BUNDLE));
        for _ in 0..3 {
            sleep(secs(3_700)).await;
            keys.load().await.unwrap();
            assert!(!refresh(&keys, AS).await && !refresh(&keys, SLASH).await);
            assert!(!keys.refresh(Keys::Origin(origin.clone())).await);
            for (guard, request, expected) in [
                (&guard, web.bearer(SLASH, &known), "token.unknown_issuer"),
                (&guard, web.bearer(SLASH, &other), "token.unknown_issuer"),
                (&guard, web.bearer(AS, &known), "token.unknown_issuer"),
                (&agents, web.call(&known), "trust.unknown_origin"),
                (&agents, web.call(&other), "trust.unknown_origin"),
            ] {
                assert_eq!(admit(guard, &request).await, expected, "{by}");
            }
            assert_eq!(names(&keys), (0, 0));
        }
        let after = (web.count(OAUTH), web.count(JWKS), web.count(BUNDLE));
        assert_eq!(after, before, "{by}");

        issuers.name(&issuer);
        trust.name(&origin);
        keys.load().await.unwrap();
        assert_eq!(names(&keys), (1, 1));
        assert_eq!(admit(&guard, &web.bearer(SLASH, &known)).await, "ok");
        assert_eq!(admit(&agents, &web.call(&known)).await, "ok");
        let told = admit(&guard, &web.bearer_for(SLASH, &known, 301)).await;
        assert_eq!(told, "token.lifetime");
        // The watch continues for it.
        web.serve(JWKS, set(&[&other]));
        sleep(secs(3_700)).await;
        let told = guard.check(&web.bearer(SLASH, &other), crate::common::at(web.now()));
        assert!(told.is_ok());
    }
}

/// A cached document is used again at once when its owner is added again.
#[tokio::test(start_paused = true)]
async fn a_kept_document_is_taken_again() {
    let (web, known) = (Web::new(), key("known"));
    web.serve(JWKS, set(&[&known]));
    web.serve(BUNDLE, bundle(&[&known], ""));
    let keys = both(&web);
    keys.load().await.unwrap();
    let (issuer, origin) = (AS.parse().unwrap(), origin());
    assert!(keys.issuers().remove(&issuer) && keys.trust().remove(&origin));
    keys.issuers().name(&issuer);
    keys.trust().name(&origin);
    assert!(
        refresh(&keys, AS).await,
        "there are keys where there were none"
    );
    assert!(keys.refresh(Keys::Origin(origin)).await);
    assert_eq!(names(&keys), (1, 1));
    assert_eq!((web.count(JWKS), web.count(BUNDLE)), (1, 1));
    assert_eq!(
        admit(&web.guard(&keys), &web.bearer(SLASH, &known)).await,
        "ok"
    );
}

/// A fetch that was running when its owner was removed changes nothing when it ends: a first one, a
/// later one, and one of an issuer with another spelling.
#[tokio::test(start_paused = true)]
async fn a_fetch_under_way_brings_nothing_back() {
    let Page::Json(late_bundle, _) = bundle(&[&key("known")], "") else {
        unreachable!("by its making");
    };
    for is_loaded in [false, true] {
        for by in [AS, SLASH] {
            let (web, known) = (Web::new(), key("known"));
            let keys = both(&web);
            let (issuer, origin) = (by.parse().unwrap(), origin());
            if is_loaded {
                web.serve(JWKS, set(&[&known]));
                web.serve(BUNDLE, bundle(&[&known], ""));
                keys.load().await.unwrap();
                advance(secs(31)).await;
            }
            web.serve(JWKS, late_set(&[&known]));
            web.serve(BUNDLE, Page::Late(late_bundle.clone(), 3_600));
            let (first, second) = (keys.clone(), keys.clone());
            let of_origin = Keys::Origin(origin.clone());
            let first = tokio::spawn(async move { refresh(&first, AS).await });
            let second = tokio::spawn(async move { second.refresh(of_origin).await });
            sleep(secs(5)).await;
            assert!(keys.issuers().remove(&issuer), "{by}");
            assert_eq!(keys.trust().remove(&origin), is_loaded);
            assert!(!first.await.unwrap() && !second.await.unwrap(), "{by}");
            assert_eq!(names(&keys), (0, 0), "{by}");
            assert_eq!(web.count(JWKS), 1 + usize::from(is_loaded));
        }
    }
}

/// Both are also removed if this happens before the first load, which then does nothing.
#[tokio::test(start_paused = true)]
async fn nothing_is_loaded_for_a_removed_owner() {
    let web = Web::new();
    let keys = both(&web);
    assert!(keys.issuers().remove(&SLASH.parse().unwrap()));
    assert!(!keys.trust().remove(&origin()));
    assert_eq!(code(keys.load().await), "ok");
    let asked = web.count(OAUTH) + web.count(JWKS) + web.count(BUNDLE);
    assert_eq!((asked, names(&keys)), (0, (0, 0)));
}

/// RFC 3986 §6.2.3: without a load, the first token causes the fetch, with either spelling of the
/// root. After it, a token with the other spelling than the server's is refused.
#[tokio::test(start_paused = true)]
async fn a_forgotten_load_heals_in_either_spelling() {
    for configured in [AS, SLASH] {
        for (own, other) in [(AS, SLASH), (SLASH, AS)] {
            let (web, known) = (Web::new(), key("known"));
            web.serve(OAUTH, metadata(own, JWKS));
            web.serve(JWKS, set(&[&known]));
            let keys = web.keys().issuer(configured.parse().unwrap()).build();
            let guard = web.guard(&keys);
            let told = admit(&guard, &web.bearer("https://as.example//", &known)).await;
            assert_eq!((told, web.count(OAUTH)), ("token.unknown_issuer", 0));
            assert_eq!(admit(&guard, &web.bearer(own, &known)).await, "ok", "{own}");
            let told = admit(&guard, &web.bearer(other, &known)).await;
            assert_eq!(told, "token.unknown_issuer", "{own}");
            assert_eq!((web.count(OAUTH), web.count(JWKS)), (1, 1), "{own}");
        }
    }
}
