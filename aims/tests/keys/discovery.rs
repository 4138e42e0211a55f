//! Where an issuer's keys are: its metadata says so.

use std::sync::Arc;

use aims::fetch::DocumentsBuilder;
use aims::keys::PublishedKeys;
use aims::refresh::Keys;
use tokio::time::advance;

use crate::support::{AS, JWKS, Page, Web, admit, code, key, metadata, refresh, secs, set};

const OAUTH: &str = "https://as.example/.well-known/oauth-authorization-server";
const OPENID: &str = "https://as.example/.well-known/openid-configuration";
const MOVED: &str = "https://keys.example/jwks";

fn discovering(web: &Arc<Web>) -> PublishedKeys {
    web.keys().issuer(AS.parse().unwrap()).build()
}

/// META-01, META-02: by RFC 8414, and only where nothing is there by OpenID Connect Discovery.
#[tokio::test(start_paused = true)]
async fn only_a_404_leads_on() {
    let known = key("known");
    for (page, expected) in [
        (metadata(AS, JWKS), "ok"),
        (Page::Status(404), "ok"),
        (Page::Status(403), "fetch.status"),
        (Page::Status(500), "fetch.status"),
        (Page::Break, "fetch.resolve"),
        (Page::Hang, "fetch.timeout"),
        (Page::Json("{}".to_owned(), 60), "metadata.issuer"),
    ] {
        let web = Web::new();
        web.serve(OAUTH, page.clone());
        web.serve(OPENID, metadata(AS, JWKS));
        web.serve(JWKS, set(&[&known]));
        let keys = discovering(&web);
        assert_eq!(code(keys.load().await), expected, "{page:?}");
        let is_404 = matches!(page, Page::Status(404));
        assert_eq!(web.count(OPENID), usize::from(is_404), "{page:?}");
        assert_eq!(web.count(JWKS), usize::from(expected == "ok"), "{page:?}");
        let told = admit(&web.guard(&keys), &web.bearer(AS, &known)).await;
        let expected = match expected {
            "ok" => "ok",
            _ => "token.unknown_key",
        };
        assert_eq!(told, expected, "{page:?}");
    }
}

/// An issuer without metadata has no keys, by a name of its own.
#[tokio::test(start_paused = true)]
async fn nothing_at_any_place() {
    let web = Web::new();
    let keys = discovering(&web);
    let error = keys.load().await.unwrap_err();
    assert_eq!(error.code(), "keys.no_metadata");
    assert_eq!(*error.keys(), Keys::Issuer(AS.to_owned()));
    assert_eq!((web.count(OAUTH), web.count(OPENID)), (1, 1));
    // In the pause after it, nobody is asked, and it is the same.
    assert_eq!(code(keys.load().await), "keys.no_metadata");
    assert_eq!((web.count(OAUTH), web.count(OPENID)), (1, 1));
}

/// T-100, META-02: metadata that names another issuer, which differs in just that, leads nowhere:
/// not to its keys, and not to the next place.
#[tokio::test(start_paused = true)]
async fn metadata_of_another_issuer_is_refused() {
    let known = key("known");
    for issuer in [
        "https://other.example",
        "https://as.example/",
        "https://AS.example",
    ] {
        let web = Web::new();
        web.serve(OAUTH, metadata(issuer, JWKS));
        web.serve(OPENID, metadata(AS, JWKS));
        web.serve(JWKS, set(&[&known]));
        let keys = discovering(&web);
        assert_eq!(code(keys.load().await), "metadata.issuer", "{issuer}");
        assert_eq!((web.count(OPENID), web.count(JWKS)), (0, 0), "{issuer}");
        let told = admit(&web.guard(&keys), &web.bearer(AS, &known)).await;
        assert_eq!(told, "token.unknown_key", "{issuer}");
    }
}

/// A place that had nothing a moment ago has nothing now: the pause after its 404 hides no metadata
/// that is elsewhere.
#[tokio::test(start_paused = true)]
async fn a_404_leads_on_in_its_pause_too() {
    let (web, old, new) = (Web::new(), key("old"), key("new"));
    let Page::Json(document, _) = metadata(AS, JWKS) else {
        unreachable!("by its making");
    };
    web.serve(OPENID, Page::Json(document, 60));
    web.serve(JWKS, set(&[&old]));
    let keys = web.keys_over(|it| it.pauses(secs(600), secs(600)));
    let keys = keys.issuer(AS.parse().unwrap()).build();
    keys.load().await.unwrap();
    web.serve(OPENID, metadata(AS, MOVED));
    web.serve(MOVED, set(&[&new]));
    advance(secs(61)).await;
    let told = admit(&web.guard(&keys), &web.bearer(AS, &new)).await;
    assert_eq!(told, "ok");
    assert_eq!((web.count(OAUTH), web.count(OPENID)), (1, 2));
    assert_eq!((web.count(JWKS), web.count(MOVED)), (1, 1));
}

/// Keys that are no longer where fresh metadata says have it read again: they moved.
#[tokio::test(start_paused = true)]
async fn keys_that_moved_are_found() {
    let (web, old, new) = (Web::new(), key("old"), key("new"));
    web.serve(OAUTH, metadata(AS, JWKS));
    web.serve(JWKS, set(&[&old]));
    let keys = discovering(&web);
    keys.load().await.unwrap();
    web.serve(OAUTH, metadata(AS, MOVED));
    web.serve(MOVED, set(&[&new]));
    web.serve(JWKS, Page::Status(404));
    advance(secs(31)).await;
    let guard = web.guard(&keys);
    let request = web.bearer(AS, &new);
    assert_eq!(admit(&guard, &request).await, "token.unknown_key");
    assert_eq!((web.count(OAUTH), web.count(JWKS)), (1, 2));
    assert_eq!(admit(&guard, &request).await, "ok");
    assert_eq!((web.count(OAUTH), web.count(JWKS)), (2, 2));
    assert_eq!(
        admit(&guard, &web.bearer(AS, &old)).await,
        "token.unknown_key"
    );
}

/// F-01: metadata that is away, or became nonsense, costs no keys: where they were the last time
/// holds, as long as keys do.
#[tokio::test(start_paused = true)]
async fn keys_stay_where_they_were() {
    let (old, new) = (key("old"), key("new"));
    for page in [
        Page::Break,
        Page::Status(404),
        metadata("https://other.example", MOVED),
    ] {
        let web = Web::new();
        web.serve(OAUTH, metadata(AS, JWKS));
        web.serve(JWKS, set(&[&old]));
        let documents = |it: DocumentsBuilder| it.lifetime(secs(60), secs(60));
        let keys = web.keys_over(documents).issuer(AS.parse().unwrap());
        let keys = keys.max_age(secs(600)).build();
        keys.load().await.unwrap();
        web.serve(OAUTH, page.clone());
        web.serve(JWKS, set(&[&old, &new]));
        advance(secs(599)).await;
        assert!(refresh(&keys, AS).await, "{page:?}");
        assert_eq!(admit(&web.guard(&keys), &web.bearer(AS, &new)).await, "ok");
        assert_eq!(web.asked(JWKS), [0, 599], "{page:?}");
        advance(secs(301)).await;
        assert!(!refresh(&keys, AS).await, "{page:?}");
        assert_eq!(web.asked(JWKS), [0, 599], "{page:?}");
        assert_eq!(web.count(MOVED), 0);
    }
}
