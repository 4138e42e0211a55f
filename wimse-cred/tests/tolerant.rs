//! Bundles as servers write them, tokens as libraries write them, and forms that are refused.

mod common;

use std::time::Duration;

use aims_jose::Algorithm;
use aims_jose::jws::Unverified;
use aims_jose::provider::AWS_LC;
use aims_wimse_cred::{Bundle, BundleMap, Error, TrustStore, Wit, WitRules};
use common::{AGENT, NOW, at, claims, code, document, key, origin, sign, sign_raw, trust, verify};
use serde_json::{Value, json};

fn parse(document: &str) -> Result<Bundle, Error> {
    Bundle::parse(&origin("spiffe://example.org"), document.as_bytes(), AWS_LC)
}

/// A bundle and a bundle map may be within a frame.
#[test]
fn a_bundle_may_stand_in_a_frame() {
    let ca = key(Algorithm::Es256, "ca");
    let plain = document(&[&ca], "wit-svid", 7);
    let map = format!(r#"{{"trust_domains":{{"example.org":{plain}}}}}"#);
    for before in ["\r\n\t ", "\u{feff}", "\u{feff}\n", "\n\u{feff}"] {
        let framed = format!("{before}{plain}\n\n");
        let bundle = parse(&framed).unwrap();
        assert_eq!(
            (bundle.wit_keys().keys().len(), bundle.sequence()),
            (1, Some(7))
        );
        let map = BundleMap::parse(format!("{before}{map} ").as_bytes(), AWS_LC).unwrap();
        assert_eq!((map.bundles().len(), map.broken().len()), (1, 0));
    }
    for bad in [")]}'", "\u{feff}\u{feff}", "x", "["] {
        assert_eq!(
            code(parse(&format!("{bad}{plain}"))),
            "bundle.syntax",
            "{bad}"
        );
        let map = BundleMap::parse(format!("{bad}{map}").as_bytes(), AWS_LC);
        assert_eq!(code(map), "bundle.syntax", "{bad}");
    }
}

/// `null` counts as absent: Go writes it for an empty list, and serializers for absent members.
#[test]
fn null_in_a_bundle_is_absent() {
    for text in [
        r#"{"keys":null}"#,
        r#"{"keys":null,"spiffe_sequence":null,"spiffe_refresh_hint":null}"#,
        r#"{"keys":[],"spiffe_sequence":null}"#,
    ] {
        let bundle = parse(text).unwrap();
        assert!(bundle.wit_keys().is_empty() && bundle.jwt_svid_keys().is_empty());
        assert_eq!((bundle.sequence(), bundle.refresh_hint()), (None, None));
    }
    assert_eq!(code(parse(r#"{"spiffe_sequence":1}"#)), "bundle.syntax");
    assert_eq!(
        code(parse(r#"{"keys":[],"spiffe_refresh_hint":"60"}"#)),
        "bundle.syntax"
    );
    assert_eq!(code(parse(r#"{"keys":null,"keys":[]}"#)), "bundle.syntax");
    let plain = Bundle::jwk_set(&origin("spiffe://example.org"), br#"{"keys":null}"#, AWS_LC);
    assert!(plain.unwrap().wit_keys().is_empty());
}

/// The empty bundle withdraws trust. A bundle without a sequence number does not replace one with a
/// number.
#[test]
fn null_keys_trust_nothing_and_turn_nothing_back() {
    let ca = key(Algorithm::Es256, "ca");
    let text = sign("wit+jwt", &ca, &claims(&key(Algorithm::Es256, "a")));
    let store = trust(&[&ca]);
    assert_eq!(verify(&text, &store), "ok");
    let unnumbered = parse(r#"{"keys":null,"spiffe_sequence":null}"#).unwrap();
    assert_eq!(code(store.set(unnumbered)), "bundle.sequence");
    assert_eq!(verify(&text, &store), "ok");
    store
        .set(parse(r#"{"keys":null,"spiffe_sequence":2}"#).unwrap())
        .unwrap();
    assert_eq!(verify(&text, &store), "trust.unknown_key");
    let rules = WitRules::wit();
    let told = Wit::verify(&text, &store.snapshot(), &rules, at(NOW)).unwrap_err();
    let expected = "the bundle of `spiffe://example.org` has no key for the `kid` \"ca\": it has 0 usable keys";
    assert_eq!(told.to_string(), expected);
}

/// The same key twice is one key. Two keys under one `kid`, or one key for two uses, are refused.
#[test]
fn the_same_key_twice_counts_once() {
    let (ca, other) = (key(Algorithm::Es256, "ca"), key(Algorithm::Es256, "ca"));
    let text = sign("wit+jwt", &ca, &claims(&key(Algorithm::Es256, "a")));
    let twice = parse(&document(&[&ca, &ca], "wit-svid", 1)).unwrap();
    assert_eq!(twice.wit_keys().keys().len(), 1);
    assert_eq!(verify(&text, &TrustStore::of([twice])), "ok");
    let two = document(&[&ca, &other], "wit-svid", 1);
    assert_eq!(code(parse(&two)), "bundle.kid");
    let uses = document(&[&ca, &ca], "wit-svid", 1).replacen("wit-svid", "jwt-svid", 1);
    assert_eq!(code(parse(&uses)), "bundle.kid");
    // An entry with `alg` and one without are one key. Entries for two algorithms share a name.
    let bare: Value = serde_json::from_str(&document(&[&ca, &ca], "wit-svid", 1)).unwrap();
    let without = |member: &str, value: Value| {
        let mut bundle = bare.clone();
        *bundle.pointer_mut(&format!("/keys/1/{member}")).unwrap() = value;
        parse(&bundle.to_string())
    };
    assert_eq!(
        without("alg", Value::Null).unwrap().wit_keys().keys().len(),
        1
    );
    let contradicting = without("alg", json!("ES384")).unwrap();
    assert_eq!(contradicting.wit_keys().skipped().len(), 1);
    assert_eq!(verify(&text, &TrustStore::of([contradicting])), "ok");
}

/// Many servers make many entries, so the limit is configurable.
#[test]
fn a_bundle_may_have_many_entries() {
    let entries = |count: usize| {
        let entry = r#"{"kty":"EC","use":"x509-svid"}"#;
        format!(r#"{{"keys":[{}]}}"#, vec![entry; count].join(","))
    };
    assert_eq!(code(parse(&entries(120))), "ok");
    assert_eq!(code(parse(&entries(1_000))), "ok");
    assert_eq!(code(parse(&entries(1_001))), "bundle.syntax");
    for of in ["spiffe://example.org", "wimse://example.org"] {
        let within = |count: usize, most| {
            code(Bundle::parse_within(
                &origin(of),
                entries(count).as_bytes(),
                most,
                AWS_LC,
            ))
        };
        assert_eq!(within(1_001, 2_000), "ok");
        assert_eq!(within(11, 10), "bundle.syntax");
    }
}

/// The error names the skipped entries and the reasons, and quotes nothing from them.
#[test]
fn an_unknown_origin_or_key_tells_the_known_ones() {
    let (ca, other) = (
        key(Algorithm::Es256, "ca"),
        key(Algorithm::Es256, "ot\u{1b}her"),
    );
    let text = sign("wit+jwt", &ca, &claims(&key(Algorithm::Es256, "a")));
    let told = |store: &TrustStore| {
        let rules = WitRules::wit();
        let refused = Wit::verify(&text, &store.snapshot(), &rules, at(NOW));
        refused.unwrap_err().to_string()
    };
    assert_eq!(
        told(&trust(&[&other])),
        "the bundle of `spiffe://example.org` has no key for the `kid` \"ca\": \
         it has 1 usable keys, `kid` \"ot\\u{1b}her\""
    );
    let none = told(&TrustStore::new());
    assert!(none.ends_with("expected one of none; check the origin, or trust it by its bundle"));
    let many = (0..50).map(|it| {
        let origin = format!("spiffe://{it}.example").parse().unwrap();
        Bundle::parse(&origin, br#"{"keys":[]}"#, AWS_LC).unwrap()
    });
    let many = told(&TrustStore::of(many));
    assert!(many.contains("`spiffe://example.org`: expected one of \"spiffe://"));
    assert!(many.len() < 400, "{many}");
}

#[test]
fn an_unknown_key_tells_what_was_skipped() {
    let ca = key(Algorithm::Es256, "ca");
    let text = sign("wit+jwt", &ca, &claims(&key(Algorithm::Es256, "a")));
    let bundle = parse(
        r#"{"keys":[
            {"kty":"EC","crv":"P-256","kid":"a","use":"x509-svid","x":"AA","y":"AA"},
            {"kty":"RSA","kid":"planted","use":"wit-svid","n":"AAEAAQ","e":"AQAB"}
        ]}"#,
    );
    let store = TrustStore::of([bundle.unwrap()]);
    let refused = Wit::verify(&text, &store.snapshot(), &WitRules::wit(), at(NOW)).unwrap_err();
    let Error::UnknownKey {
        skipped, usable, ..
    } = &refused
    else {
        panic!("{refused}");
    };
    assert_eq!((skipped.as_slice().len(), *usable), (2, 0));
    let told = refused.to_string();
    assert!(
        told.contains("entry 1 is skipped: the RSA modulus must be odd"),
        "{told}"
    );
    assert!(!told.contains("planted"), "{told}");
}

/// Signed JSON may have white space where RFC 8259 allows it, and no byte order mark.
#[test]
fn blanks_in_a_token_are_accepted() {
    let (ca, agent) = (key(Algorithm::Es256, "ca"), key(Algorithm::Es256, "a"));
    let store = trust(&[&ca]);
    let header = r#"{"alg":"ES256","kid":"ca","typ":"wit+jwt"}"#;
    let payload = claims(&agent).to_string();
    for before in [" ", "\n", "\r\n\t "] {
        for after in ["", "\n"] {
            let framed = |text: &str| format!("{before}{text}{after}");
            let both = sign_raw(&framed(header), &framed(&payload), &ca);
            assert_eq!(verify(&both, &store), "ok", "{before:?}");
        }
    }
    let pretty = serde_json::to_string_pretty(&claims(&agent)).unwrap();
    assert_eq!(verify(&sign_raw(header, &pretty, &ca), &store), "ok");
    let blanks = pretty.replace(r#""cnf": {"#, "\"cnf\":\n\t {\r\n ");
    assert_eq!(verify(&sign_raw(header, &blanks, &ca), &store), "ok");
    for bad in ["\u{feff}", "\u{a0}", "\u{c}", "\0"] {
        let marked = format!("{bad}{payload}");
        let of_payload = sign_raw(header, &marked, &ca);
        assert_eq!(verify(&of_payload, &store), "jws.not_an_object", "{bad:?}");
        let of_header = sign_raw(&format!("{bad}{header}"), &payload, &ca);
        assert_eq!(verify(&of_header, &store), "jws.not_an_object", "{bad:?}");
    }
}

/// The error names a registered claim that is `null` or of the wrong type.
#[test]
fn a_wrong_claim_is_named() {
    let (ca, agent) = (key(Algorithm::Es256, "ca"), key(Algorithm::Es256, "a"));
    let store = trust(&[&ca]);
    for (claim, wrong) in [
        ("sub", json!(1)),
        ("exp", json!("1800000300")),
        ("nbf", json!({})),
        ("iat", json!("now")),
        ("iss", json!(["https://issuer"])),
        ("jti", json!(7)),
        ("cnf", Value::Null),
    ] {
        for value in [Value::Null, wrong] {
            let mut claims = claims(&agent);
            claims[claim] = value;
            let text = sign("wit+jwt", &ca, &claims);
            let refused = Wit::verify(&text, &store.snapshot(), &WitRules::wit(), at(NOW));
            let error = refused.unwrap_err();
            assert_eq!(error.code(), "wit.claim", "{claims}");
            let Error::Wit(aims_jose::Error::Claim { claim: named }) = error else {
                panic!("{error}");
            };
            assert_eq!(named, claim);
        }
    }
}

/// WIT-SVID §3: `iat` does not limit the earliest validity, `nbf` does.
#[test]
fn an_svid_may_be_issued_in_the_future() {
    let (ca, agent) = (key(Algorithm::Es256, "ca"), key(Algorithm::Es256, "a"));
    let store = trust(&[&ca]).snapshot();
    let with = |members: Value, rules: &WitRules| {
        let mut claims = claims(&agent);
        for (name, value) in members.as_object().unwrap() {
            claims[name] = value.clone();
        }
        code(Wit::verify(
            &sign("wit+jwt", &ca, &claims),
            &store,
            rules,
            at(NOW),
        ))
    };
    let svid = WitRules::wit_svid();
    for ahead in [30, 31, 299, 3_600] {
        let iat = json!({"iat": NOW + ahead});
        assert_eq!(with(iat, &svid), "ok", "{ahead}");
    }
    assert_eq!(
        with(json!({"iat": NOW + 31}), &WitRules::wit()),
        "wit.not_yet_valid"
    );
    assert_eq!(with(json!({"nbf": NOW + 30}), &svid), "ok");
    assert_eq!(with(json!({"nbf": NOW + 31}), &svid), "wit.not_yet_valid");
    let both = json!({"nbf": NOW + 31, "iat": NOW + 31});
    assert_eq!(with(both, &svid), "wit.not_yet_valid");
    assert_eq!(
        with(json!({"iat": NOW + 31, "exp": NOW - 30}), &svid),
        "wit.expired"
    );
    assert_eq!(with(json!({"iat": null}), &svid), "wit.claim");
    // A future `iat` does not hide a long lifetime.
    let short = svid.with_max_lifetime(Duration::from_secs(300));
    assert_eq!(
        with(json!({"iat": NOW + 300, "exp": NOW + 331}), &short),
        "wit.lifetime"
    );
    assert_eq!(with(json!({"iat": NOW + 300}), &short), "ok");
}

/// The subject is used only after it was read from the signed object, whatever surrounds it.
#[test]
fn a_framed_token_is_hashed_as_it_stands() {
    let (ca, agent) = (key(Algorithm::Es256, "ca"), key(Algorithm::Es256, "a"));
    let header = "\n{\"alg\":\"ES256\",\"kid\":\"ca\",\"typ\":\"wit+jwt\"}";
    let text = sign_raw(header, &format!(" {}", claims(&agent)), &ca);
    let trust = trust(&[&ca]).snapshot();
    let wit = Wit::verify(&text, &trust, &WitRules::wit(), at(NOW)).unwrap();
    let token = Unverified::parse(&text).unwrap();
    assert_eq!(wit.id().as_str(), AGENT);
    assert_eq!(
        (*wit.hash(), *wit.signed_hash()),
        (token.hashes().text, token.signed_hash())
    );
}
