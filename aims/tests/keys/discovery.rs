//! Discovery of an issuer's keys from its metadata.

use std::sync::Arc;

use aims::Guard;
use aims::fetch::DocumentsBuilder;
use aims::guard::BuildError;
use aims::keys::PublishedKeys;
use aims::oauth_wire::Diagnostic;
use aims::resolve::Keys;
use tokio::time::advance;

use crate::common::TOOL;
use crate::support::{AS, BUNDLE, JWKS, Page, Web, admit, code, key, metadata, refresh, secs, set};

const OAUTH: &str = "https://as.example/.well-known/oauth-authorization-server";
const OPENID: &str = "https://as.example/.well-known/openid-configuration";
const MOVED: &str = "https://keys.example/jwks";

fn discovering(web: &Arc<Web>) -> PublishedKeys {
    web.keys().issuer(AS.parse().unwrap()).build()
}

fn raw(status: u16, kind: &'static str, body: &str) -> Page {
    Page::Raw(status, kind, body.to_owned())
}

/// META-01, META-02: after a missing document the next URL is asked. If the server cannot answer
/// now, or returns a document that is not accepted, discovery ends.
#[tokio::test(start_paused = true)]
async fn only_an_absent_document_leads_on() {
    let known = key("known");
    let Page::Json(good, _) = metadata(AS, JWKS) else {
        unreachable!("by its making");
    };
    let page = "<!doctype html><title>{}</title>";
    let spa = |kind| (raw(200, kind, page), "on");
    let mut pages = vec![
        (metadata(AS, JWKS), "ok"),
        (raw(200, "text/plain", &good), "ok"),
        (raw(201, "application/json", &good), "ok"),
        spa("text/html"),
        spa("text/html; charset=utf-8"),
        spa("application/json"),
        spa("text/plain"),
        (raw(200, "application/json", ""), "on"),
        (raw(204, "application/json", ""), "on"),
        (raw(200, "application/json", "[]"), "on"),
        (raw(200, "application/json", "null"), "on"),
        (raw(200, "text/html", &good), "fetch.content_type"),
        (raw(206, "text/html", page), "on"),
        (
            raw(200, "application/json", good.get(..20).unwrap()),
            "metadata.json",
        ),
        (
            raw(200, "application/json", "{\"error\":1}"),
            "metadata.issuer",
        ),
        (Page::Break, "fetch.resolve"),
        (Page::Hang, "fetch.timeout"),
        (Page::Json("{}".to_owned(), 60), "metadata.issuer"),
    ];
    for status in [
        400, 401, 403, 404, 405, 406, 409, 410, 414, 418, 422, 451, 499,
    ] {
        pages.push((Page::Status(status), "on"));
        pages.push((raw(status, "text/html", page), "on"));
        pages.push((raw(status, "application/json", &good), "on"));
    }
    for status in [
        301, 302, 304, 307, 308, 408, 421, 425, 429, 500, 501, 502, 503, 504,
    ] {
        pages.push((Page::Status(status), "fetch.status"));
        pages.push((raw(status, "application/json", &good), "fetch.status"));
    }
    for (page, expected) in pages {
        let web = Web::new();
        web.serve(OAUTH, page.clone());
        web.serve(OPENID, metadata(AS, JWKS));
        web.serve(JWKS, set(&[&known]));
        let keys = discovering(&web);
        let loaded = if expected == "on" { "ok" } else { expected };
        assert_eq!(code(keys.load().await), loaded, "{page:?}");
        assert_eq!(web.count(OPENID), usize::from(expected == "on"), "{page:?}");
        assert_eq!(web.count(JWKS), usize::from(loaded == "ok"), "{page:?}");
        // No document of another URL or status replaces the refused one.
        let told = keys.issuers().snapshot().keys(AS).is_some();
        assert_eq!(told, loaded == "ok", "{page:?}");
    }
}

/// A Cognito pool has no document at the inserted URLs, and answers 400 there.
#[tokio::test(start_paused = true)]
async fn the_last_place_is_asked_too() {
    const POOL: &str = "https://cognito-idp.eu-west-9.example/eu-west-9_Abc";
    const APPENDED: &str =
        "https://cognito-idp.eu-west-9.example/eu-west-9_Abc/.well-known/openid-configuration";
    let (web, known) = (Web::new(), key("known"));
    for place in ["oauth-authorization-server", "openid-configuration"] {
        let place =
            format!("https://cognito-idp.eu-west-9.example/.well-known/{place}/eu-west-9_Abc");
        web.serve(
            &place,
            raw(400, "application/json", r#"{"message":"Bad Request"}"#),
        );
    }
    web.serve(APPENDED, metadata(POOL, JWKS));
    web.serve(JWKS, set(&[&known]));
    let keys = web.keys().issuer(POOL.parse().unwrap()).build();
    keys.load().await.unwrap();
    let told = admit(&web.guard(&keys), &web.bearer(POOL, &known)).await;
    assert_eq!(told, "ok");
}

/// Errors name each URL and its answer, without the query.
#[tokio::test(start_paused = true)]
async fn errors_name_places_and_statuses() {
    let web = Web::new();
    web.serve(OAUTH, Page::Status(400));
    web.serve(OPENID, raw(200, "text/html", "<html>"));
    let error = discovering(&web).load().await.unwrap_err();
    assert_eq!(error.code(), "keys.no_metadata");
    assert_eq!(
        error.to_string(),
        format!("cannot get the keys of `{AS}` (400 at {OAUTH}, 200 at {OPENID} (text/html))")
    );
    web.serve(OPENID, Page::Status(503));
    let error = discovering(&web).load().await.unwrap_err();
    assert_eq!(error.code(), "fetch.status");
    assert!(
        error.to_string().contains(&format!("503 at {OPENID}")),
        "{error}"
    );
    assert_eq!(error.asked().iter().count(), 2);
    let keyed = format!("{JWKS}?key=secret");
    web.serve(OAUTH, metadata(AS, &keyed));
    let error = discovering(&web).load().await.unwrap_err();
    assert_eq!(
        error.to_string(),
        format!("cannot get the keys of `{AS}` (404 at {JWKS}?…)")
    );
    let cause = std::error::Error::source(&error).unwrap();
    assert_eq!(cause.to_string(), "expected status 200, found 404");
    assert!(!format!("{error}{cause}").contains("secret"));
}

/// While the metadata is in use, only the URL that returned it is asked: a document at another URL
/// changes nothing, and nothing is mixed.
#[tokio::test(start_paused = true)]
async fn the_place_that_answered_is_remembered() {
    let (web, old, new) = (Web::new(), key("old"), key("new"));
    web.serve(OPENID, metadata(AS, JWKS));
    web.serve(JWKS, set(&[&old]));
    let keys = web.keys_over(|it| it.lifetime(secs(60), secs(60)));
    let keys = keys.issuer(AS.parse().unwrap()).max_age(secs(600)).build();
    keys.load().await.unwrap();
    assert_eq!((web.count(OAUTH), web.count(OPENID)), (1, 1));
    // Another document, at the URL that is asked first.
    web.serve(OAUTH, metadata(AS, MOVED));
    web.serve(MOVED, set(&[&new]));
    advance(secs(61)).await;
    keys.load().await.unwrap();
    assert_eq!((web.count(OAUTH), web.count(OPENID)), (1, 2));
    assert_eq!((web.count(JWKS), web.count(MOVED)), (2, 0));
    // The remembered URL does not answer. It is the only one that is asked, and its metadata stays
    // in use.
    web.serve(OPENID, Page::Status(404));
    advance(secs(310)).await;
    assert!(!refresh(&keys, AS).await);
    assert_eq!((web.count(OAUTH), web.count(OPENID)), (1, 3));
    assert_eq!((web.count(JWKS), web.count(MOVED)), (3, 0));
    // After the maximum age, all URLs are asked again.
    advance(secs(300)).await;
    assert!(refresh(&keys, AS).await);
    assert_eq!((web.count(OAUTH), web.count(MOVED)), (2, 1));
    assert_eq!(web.count(JWKS), 3);
    let told = admit(&web.guard(&keys), &web.bearer(AS, &old)).await;
    assert_eq!(told, "token.unknown_key");
}

/// A first document without a key set is not completed by the next one.
#[tokio::test(start_paused = true)]
async fn documents_are_not_mixed() {
    let web = Web::new();
    web.serve(OAUTH, Page::Json(format!(r#"{{"issuer":"{AS}"}}"#), 60));
    web.serve(OPENID, metadata(AS, JWKS));
    web.serve(JWKS, set(&[&key("known")]));
    let keys = discovering(&web);
    assert_eq!(code(keys.load().await), "metadata.member");
    assert_eq!((web.count(OPENID), web.count(JWKS)), (0, 0));
}

/// An issuer without metadata has no keys, which has its own code.
#[tokio::test(start_paused = true)]
async fn nothing_at_any_place() {
    let web = Web::new();
    let keys = discovering(&web);
    let error = keys.load().await.unwrap_err();
    assert_eq!(error.code(), "keys.no_metadata");
    assert_eq!(*error.keys(), Keys::Issuer(AS.to_owned()));
    assert_eq!((web.count(OAUTH), web.count(OPENID)), (1, 1));
    // In the pause after the failure, no server is asked, and the error is the same.
    assert_eq!(code(keys.load().await), "keys.no_metadata");
    assert_eq!((web.count(OAUTH), web.count(OPENID)), (1, 1));
}

/// T-100, META-02: metadata that differs only in its issuer leads neither to its keys nor to the
/// next URL.
#[tokio::test(start_paused = true)]
async fn metadata_of_another_issuer_is_refused() {
    let known = key("known");
    for issuer in [
        "https://other.example",
        "https://as.example//",
        "https://as.example/a",
        "https://as.example:8443/",
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

/// A URL without a document stays without one during its pause: the pause does not hide metadata at
/// another URL.
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

/// If the keys are no longer where fresh metadata says, the metadata is fetched again.
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

/// F-01: if the metadata is missing or invalid, the keys are still fetched from the last known URL,
/// up to their maximum age.
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

/// RFC 3986 §6.2.3: a server that adds or omits the `/` of an empty path in its issuer is found by
/// either spelling. Its own spelling is then compared byte for byte.
#[tokio::test(start_paused = true)]
async fn the_spelling_of_the_server_counts() {
    const SLASH: &str = "https://as.example/";
    for (configured, own, other) in [(AS, SLASH, AS), (SLASH, AS, SLASH)] {
        let (web, known) = (Web::new(), key("known"));
        web.serve(OAUTH, metadata(own, JWKS));
        web.serve(JWKS, set(&[&known]));
        let keys = web.keys().issuer(configured.parse().unwrap()).build();
        let early = web.guard(&keys);
        keys.load().await.unwrap();
        let guard = web.guard(&keys);
        assert_eq!(admit(&early, &web.bearer(own, &known)).await, "ok", "{own}");
        assert_eq!(admit(&guard, &web.bearer(own, &known)).await, "ok", "{own}");
        let told = admit(&guard, &web.bearer(other, &known)).await;
        assert_eq!(told, "token.unknown_issuer", "{own}");
        assert_eq!((web.count(OAUTH), web.count(JWKS)), (1, 1), "{own}");
        // It stays so, whichever spelling is requested.
        advance(secs(31)).await;
        assert!(!refresh(&keys, configured).await);
        assert!(!refresh(&keys, own).await);
        let told = admit(&guard, &web.bearer(other, &known)).await;
        assert_eq!(told, "token.unknown_issuer", "{own}");
        assert_eq!(admit(&guard, &web.bearer(own, &known)).await, "ok", "{own}");
    }
}

/// An error has all its causes, and names the URL with that answer.
#[tokio::test(start_paused = true)]
async fn errors_have_their_causes() {
    let web = Web::new();
    web.serve(OAUTH, raw(200, "application/json", r#"{"issuer":"#));
    let error = discovering(&web).load().await.unwrap_err();
    assert_eq!(error.code(), "metadata.json");
    let told = aims::jose::Chain(&error).to_string();
    let first = format!("cannot get the keys of `{AS}` (metadata.json at {OAUTH}): ");
    assert!(told.starts_with(&first), "{told}");
    assert!(told.ends_with(": malformed JSON"), "{told}");
    let mut causes = 0;
    let mut last: &dyn std::error::Error = &error;
    while let Some(cause) = last.source() {
        causes += 1;
        last = cause;
    }
    assert!(causes > 1, "{told}");
}

/// A different spelling of the root is reported, and so are other tolerated faults of the metadata.
/// Metadata without a fault has no report.
#[tokio::test(start_paused = true)]
async fn what_was_tolerated_is_told() {
    const SLASH: &str = "https://as.example/";
    for (own, more, expected) in [
        (AS, "", vec![]),
        (SLASH, "", vec!["issuer"]),
        (AS, r#","scopes_supported":"a""#, vec!["scopes_supported"]),
    ] {
        let (web, known) = (Web::new(), key("known"));
        let document = format!(r#"{{"issuer":"{own}","jwks_uri":"{JWKS}"{more}}}"#);
        web.serve(OAUTH, raw(200, "application/json", &document));
        web.serve(JWKS, set(&[&known]));
        let keys = discovering(&web);
        assert!(keys.diagnostics().is_empty(), "nothing was fetched");
        keys.load().await.unwrap();
        let told = keys.diagnostics();
        let names = told.iter().map(|(of, told)| {
            assert_eq!(*of, Keys::Issuer(AS.to_owned()));
            match told {
                Diagnostic::RootSlash {
                    name,
                    expected,
                    found,
                } => {
                    assert_eq!((&**expected, &**found), (AS, SLASH));
                    (*name).to_owned()
                }
                Diagnostic::Ignored { name, .. } => name.to_string(),
                other => unreachable!("{other}"),
            }
        });
        assert_eq!(names.collect::<Vec<_>>(), expected);
    }
}

/// An attacker gains nothing: no other spelling is accepted, and with a configured `jwks_uri` both
/// spellings stay different.
#[tokio::test(start_paused = true)]
async fn nothing_else_is_folded() {
    let (web, known) = (Web::new(), key("known"));
    web.serve(JWKS, set(&[&known]));
    let issuer = AS.parse().unwrap();
    let keys = web.keys().issuer_at(issuer, &JWKS.parse().unwrap());
    let keys = keys.unwrap().build();
    keys.load().await.unwrap();
    let guard = web.guard(&keys);
    let slash = format!("{AS}/");
    for issuer in [
        slash.as_str(),
        "https://AS.example",
        "https://as.example:443",
    ] {
        let told = admit(&guard, &web.bearer(issuer, &known)).await;
        assert_eq!(told, "token.unknown_issuer", "{issuer}");
    }
    assert!(keys.ambiguous_issuers().is_none());
    let both = web.keys().issuer(AS.parse().unwrap());
    let both = both.issuer(slash.parse().unwrap()).build();
    assert!(both.ambiguous_issuers().is_some());
}

/// A start fetches all trusted keys; keys that were given as well are an error and not ignored.
#[tokio::test(start_paused = true)]
async fn a_start_drops_nothing_that_was_given() {
    let web = Web::new();
    let keys = discovering(&web);
    let origin = || "spiffe://example.org".parse().unwrap();
    let of = || Guard::builder(TOOL).issuer(AS).unwrap();
    for (builder, call) in [
        (of().trust(keys.trust()), "trust"),
        (of().issuers(keys.issuers()), "issuers"),
        (of().resolve(keys.clone()), "resolve"),
        (of().keys(&keys), "keys"),
        (
            Guard::builder(TOOL)
                .trust(keys.trust())
                .bundle(origin(), BUNDLE),
            "trust",
        ),
    ] {
        let refused = builder.start().await.unwrap_err();
        let BuildError::Started { call: found } = &refused else {
            unreachable!("{refused}");
        };
        assert_eq!(*found, call);
        let said = refused.to_string();
        assert!(said.contains(&format!("`.{call}(..)`")) && said.contains("`.bundle(..)`"));
    }
}

/// A guard that is built without a start fetches nothing; a configured URL is an error and not
/// ignored, even beside keys that were given.
#[tokio::test(start_paused = true)]
async fn a_build_drops_nothing_that_was_to_be_fetched() {
    let web = Web::new();
    let keys = discovering(&web);
    let origin = || "spiffe://example.org".parse().unwrap();
    let of = || Guard::builder(TOOL);
    let fetch: Arc<dyn aims::fetch::Fetch> = web.clone();
    for (builder, call) in [
        (of().bundle(origin(), BUNDLE), "bundle"),
        (of().bundle(origin(), BUNDLE).trust(keys.trust()), "bundle"),
        (of().issuer(AS).unwrap(), "issuer"),
        (of().issuer(AS).unwrap().keys(&keys), "issuer"),
        (of().issuer(AS).unwrap().issuers(keys.issuers()), "issuer"),
        (of().keys(&keys).fetch(fetch), "fetch"),
    ] {
        let refused = builder.build().unwrap_err();
        let BuildError::NotStarted { call: found } = &refused else {
            unreachable!("{refused}");
        };
        assert_eq!(*found, call);
        assert!(refused.to_string().contains("`.start().await`"));
    }
    assert!(
        web.guard(&keys)
            .requiring(aims::Requirements::new().accept_bearer())
            .is_ok()
    );
}

/// White space and a byte order mark before a document are ignored.
#[tokio::test(start_paused = true)]
async fn framed_documents_are_read() {
    let (web, known) = (Web::new(), key("known"));
    let (Page::Json(good, _), Page::Json(jwks, _)) = (metadata(AS, JWKS), set(&[&known])) else {
        unreachable!("by their making");
    };
    web.serve(OAUTH, raw(200, "", &format!("\u{feff}\r\n {good}\n")));
    web.serve(JWKS, raw(200, "text/plain", &format!("\n\n  {jwks} ")));
    let keys = discovering(&web);
    keys.load().await.unwrap();
    assert_eq!(
        admit(&web.guard(&keys), &web.bearer(AS, &known)).await,
        "ok"
    );
}

/// If the only key of an issuer cannot be used, the error says why.
#[tokio::test(start_paused = true)]
async fn the_reason_of_a_skipped_key_is_told() {
    let web = Web::new();
    web.serve(OAUTH, metadata(AS, JWKS));
    let short = r#"{"keys":[{"kty":"RSA","kid":"1","n":"AQAB","e":"AQAB"}]}"#;
    web.serve(JWKS, raw(200, "application/json", short));
    let error = discovering(&web).load().await.unwrap_err();
    assert_eq!(error.code(), "token.no_keys");
    let told = aims::jose::Chain(&error).to_string();
    assert!(told.contains("modulus") && told.contains(JWKS), "{told}");
}

/// A guard that requires the proof of an agent and trusts no agents is an error of `build`.
#[tokio::test(start_paused = true)]
async fn a_guard_without_agents_takes_bearer_tokens_alone() {
    let web = Web::new();
    let keys = discovering(&web);
    let of = || Guard::builder(TOOL).keys(&keys);
    let signed = || of().http_signatures(aims::guard::HttpSignatures::new());
    let refused = signed().build().unwrap_err();
    assert!(matches!(refused, BuildError::NoAgents), "{refused}");
    assert!(refused.to_string().contains("`.bundle(origin, url)`"));
    let bearer = signed().accept_bearer().build().unwrap();
    let agents = || "spiffe://example.org/*".parse().unwrap();
    let route = aims::Requirements::new().accept_bearer().agents(agents());
    let refused = bearer.requiring(route).unwrap_err();
    assert!(matches!(refused, BuildError::NoAgents), "{refused}");
    // The program may trust agents in another way, or later.
    assert!(signed().trust(keys.trust()).build().is_ok());
}
