//! The documents of key owners: which are cached, and which are not.

use aims::jose::Chain;
use aims::resolve::Keys;
use tokio::time::advance;

use crate::support::{
    AS, BUNDLE, JWKS, ORIGIN, Page, Web, admit, bundle, code, key, metadata, refresh, secs, set,
};

const OAUTH: &str = "https://as.example/.well-known/oauth-authorization-server";
const OPENID: &str = "https://as.example/.well-known/openid-configuration";

/// F-19: a useless document is not cached, though its server allows it for a day; the error says
/// what is wrong with it.
#[tokio::test(start_paused = true)]
async fn nonsense_is_not_kept() {
    let known = key("known");
    let day = |text: &str| Page::Json(text.to_owned(), 86_400);
    for (url, page, expected) in [
        (OAUTH, day("{"), "metadata.json"),
        (
            OAUTH,
            day(r#"{"issuer":"https://as.example"}"#),
            "metadata.member",
        ),
        (
            OAUTH,
            metadata("https://other.example", JWKS),
            "metadata.issuer",
        ),
        (JWKS, day("{"), "token.key_set"),
        (JWKS, day(r#"{"keys":[]}"#), "token.no_keys"),
        (BUNDLE, day("{"), "bundle.syntax"),
        (BUNDLE, bundle(&[&known, &key("known")], ""), "bundle.kid"),
    ] {
        let web = Web::new();
        web.serve(OAUTH, metadata(AS, JWKS));
        web.serve(JWKS, set(&[&known]));
        web.serve(BUNDLE, bundle(&[&known], ""));
        let good = [OAUTH, JWKS, BUNDLE].into_iter().zip([
            metadata(AS, JWKS),
            set(&[&known]),
            bundle(&[&known], ""),
        ]);
        web.serve(url, page);
        let keys = web.keys().issuer(AS.parse().unwrap());
        let keys = keys
            .bundle(ORIGIN.parse().unwrap(), BUNDLE)
            .unwrap()
            .build();
        let error = keys.load().await.unwrap_err();
        assert_eq!(error.code(), expected, "{url}");
        let owner = match url {
            BUNDLE => Keys::Origin(ORIGIN.parse().unwrap()),
            _ => Keys::Issuer(AS.to_owned()),
        };
        assert_eq!(*error.keys(), owner);
        for (url, page) in good {
            web.serve(url, page);
        }
        advance(secs(6)).await;
        assert_eq!(code(keys.load().await), "ok", "{expected}");
        let told = keys.trust().snapshot().bundle(ORIGIN).is_some();
        assert!(told && keys.issuers().snapshot().keys(AS).is_some());
        assert_eq!(web.count(OPENID), 0);
    }
}

/// A plain JWK set at a bundle URL has no usable key: the first load reports it, and what to do.
#[tokio::test(start_paused = true)]
async fn a_plain_set_is_no_spiffe_bundle() {
    let (web, known) = (Web::new(), key("known"));
    let plain = |purpose: &str| {
        let key = known.public_jwk().clone().with_use(purpose).to_json();
        Page::Json(format!(r#"{{"keys":[{key}]}}"#), 3_600)
    };
    for (page, found) in [
        (plain("sig"), r#"found `use` "sig" (entry 0 is skipped"#),
        (plain("\u{1b}["), r#"found `use` "\u{1b}[" (entry 0"#),
        (set(&[&known]), "found `use` none (entry 0 is skipped"),
        (set(&[]), "found `use` none"),
    ] {
        web.serve(BUNDLE, page);
        let keys = web.keys().bundle(ORIGIN.parse().unwrap(), BUNDLE);
        let error = keys.unwrap().build().load().await.unwrap_err();
        assert_eq!(error.code(), "keys.unusable");
        let told = Chain(&error).to_string();
        assert!(told.contains(found) && told.contains(BUNDLE), "{told}");
        assert!(told.contains("`use` `wit-svid`") && told.contains("`wimse://`"));
    }
    // An origin of `wimse` publishes the same set.
    web.serve(BUNDLE, plain("sig"));
    let keys = web
        .keys()
        .bundle("wimse://example.org".parse().unwrap(), BUNDLE);
    assert_eq!(code(keys.unwrap().build().load().await), "ok");
}

/// A bundle that becomes empty in a refresh withdraws trust, and is not a failure of that refresh.
#[tokio::test(start_paused = true)]
async fn an_empty_bundle_withdraws_trust() {
    let (web, known) = (Web::new(), key("known"));
    web.serve(BUNDLE, bundle(&[&known], ""));
    let origin = Keys::Origin(ORIGIN.parse().unwrap());
    let keys = web.keys().bundle(ORIGIN.parse().unwrap(), BUNDLE);
    let keys = keys.unwrap().build();
    keys.load().await.unwrap();
    let guard = web.guard(&keys);
    assert_eq!(admit(&guard, &web.call(&known)).await, "ok");
    web.serve(BUNDLE, bundle(&[], ""));
    advance(secs(31)).await;
    assert!(keys.refresh(origin).await);
    let refused = admit(&guard, &web.call(&known)).await;
    assert_eq!(refused, "trust.unknown_key");
}

/// The given rules for documents apply, including a check of the program.
#[tokio::test(start_paused = true)]
async fn rules_for_documents_hold() {
    let (web, known) = (Web::new(), key("known"));
    web.serve(JWKS, set(&[&known]));
    let place = JWKS.parse().unwrap();
    let keys = web
        .keys_over(|it| {
            it.refresh_interval(secs(300))
                .check(|_, bytes| bytes.len() < 400)
        })
        .issuer_at(AS.parse().unwrap(), &place);
    let keys = keys.unwrap().build();
    assert_eq!(code(keys.load().await), "ok");
    advance(secs(299)).await;
    assert!(!refresh(&keys, AS).await);
    assert_eq!(web.count(JWKS), 1);
    let others: Vec<_> = (0..4).map(|it| key(&format!("other-{it}"))).collect();
    web.serve(JWKS, set(&others.iter().collect::<Vec<_>>()));
    advance(secs(1)).await;
    assert!(!refresh(&keys, AS).await, "the check refuses it");
    assert_eq!(web.count(JWKS), 2);
    assert_eq!(
        admit(&web.guard(&keys), &web.bearer(AS, &known)).await,
        "ok"
    );
    // A document that is useless for these keys is still refused.
    web.serve(JWKS, Page::Json("{}".to_owned(), 3_600));
    let keys = web.keys_over(|it| it.check(|_, _| true));
    let keys = keys.issuer_at(AS.parse().unwrap(), &place).unwrap().build();
    assert_eq!(code(keys.load().await), "token.key_set");
}

/// F-18, T-085: the cache has room for the documents of all owners, so a request for one does not
/// cause a fetch for another.
#[tokio::test(start_paused = true)]
async fn there_is_room_for_every_owner() {
    let (web, known) = (Web::new(), key("known"));
    let issuers: Vec<_> = (0..20)
        .map(|it| format!("https://as-{it}.example"))
        .collect();
    web.serve(JWKS, set(&[&known]));
    let rules = web.keys_over(|it| it.capacity(1));
    let keys = issuers.iter().fold(rules, |keys, issuer| {
        let at = format!("{issuer}/.well-known/openid-configuration");
        web.serve(&at, metadata(issuer, JWKS));
        keys.issuer(issuer.parse().unwrap())
    });
    let keys = keys.build();
    keys.load().await.unwrap();
    assert_eq!(web.count(JWKS), 20);
    for _ in 0..3 {
        for issuer in &issuers {
            refresh(&keys, issuer).await;
        }
    }
    assert_eq!(web.count(JWKS), 20);
}

/// If an owner is added twice, the last call wins.
#[tokio::test(start_paused = true)]
async fn the_last_place_counts() {
    let (web, known) = (Web::new(), key("known"));
    web.serve(JWKS, set(&[&known]));
    let issuer = || AS.parse().unwrap();
    let keys = web.keys().issuer(issuer());
    let keys = keys.issuer_at(issuer(), &JWKS.parse().unwrap()).unwrap();
    keys.build().load().await.unwrap();
    assert_eq!((web.count(OAUTH), web.count(JWKS)), (0, 1));
}

/// The error for an invalid issuer or resource names the expectation once.
#[test]
fn a_refused_url_is_told_once() {
    let builder = aims::Guard::builder("https://tools.example/mcp");
    let issuer = Chain(&builder.issuer("as.example").unwrap_err()).to_string();
    assert_eq!(issuer.matches("expected").count(), 1, "{issuer}");
    let unnamed = aims::Guard::builder("as.example").trust(Web::new().keys().build().trust());
    let resource = Chain(&unnamed.build().unwrap_err()).to_string();
    assert_eq!(resource.matches("expected").count(), 1, "{resource}");
}
