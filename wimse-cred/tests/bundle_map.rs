//! Bundles of several trust domains in one document (SPIFFE Trust Domain and Bundle §5).

mod common;

use aims_jose::alg::Algorithm;
use aims_jose::provider::AWS_LC;
use aims_wimse_cred::{BundleMap, Error, TrustStore};
use common::{claims, code, document, key, sign, verify};
use proptest::prelude::*;

fn parse(document: &str) -> Result<BundleMap, Error> {
    BundleMap::parse(document.as_bytes(), AWS_LC)
}

/// Returns a map with these members of `trust_domains`.
fn map(members: &[(&str, &str)]) -> String {
    let members: Vec<_> = members
        .iter()
        .map(|(name, bundle)| format!(r#""{name}":{bundle}"#))
        .collect();
    format!(r#"{{"trust_domains":{{{}}}}}"#, members.join(","))
}

const EMPTY: &str = r#"{"keys":[]}"#;

/// BND-03: each bundle is trusted for its own trust domain only.
#[test]
fn a_map_holds_bundles_by_trust_domain() {
    let (one, two) = (key(Algorithm::Es256, "k"), key(Algorithm::Es256, "k"));
    let bundles = [&one, &two].map(|key| document(&[key], "wit-svid", 7));
    let [own, other] = bundles.each_ref();
    let read = parse(&map(&[("example.org", own), ("other.example", other)])).unwrap();
    let origins: Vec<_> = read
        .bundles()
        .iter()
        .map(|it| it.origin().as_str())
        .collect();
    assert_eq!(origins, ["spiffe://example.org", "spiffe://other.example"]);
    assert!(read.bundles().iter().all(|it| it.sequence() == Some(7)));
    assert!(read.broken().is_empty());
    let store = TrustStore::of(read.bundles().iter().cloned());
    let by = |ca| sign("wit+jwt", ca, &claims(&key(Algorithm::Es256, "a")));
    assert_eq!(verify(&by(&one), &store), "ok");
    assert_eq!(verify(&by(&two), &store), "wit.signature");
}

/// BND-03: a map is an object with `trust_domains`, an object that may be empty; other members are
/// ignored.
#[test]
fn the_form_is_checked() {
    for (document, expected) in [
        (r#"{"trust_domains":{}}"#, "ok"),
        (r#"{"trust_domains":{},"x":{"y":[1,1]}}"#, "ok"),
        (r#"{"trust_domains":{}} "#, "ok"),
        ("{}", "bundle.syntax"),
        ("", "bundle.syntax"),
        ("[]", "bundle.syntax"),
        (r#"[{"trust_domains":{}}]"#, "bundle.syntax"),
        (r#"{"trust_domains":[]}"#, "bundle.syntax"),
        (r#"{"trust_domains":null}"#, "bundle.syntax"),
        (r#"{"trust_domains":"x"}"#, "bundle.syntax"),
        (r#"{"Trust_Domains":{}}"#, "bundle.syntax"),
        (r#"{"trust_domains":{}}x"#, "bundle.syntax"),
        (r#"{"trust_domains":{}"#, "bundle.syntax"),
        (r#"{"trust_domains":{"example.org":}}"#, "bundle.syntax"),
        (
            r#"{"trust_domains":{"example.org":{"keys":[]}}"#,
            "bundle.syntax",
        ),
    ] {
        assert_eq!(code(parse(document)), expected, "{document}");
    }
    let latin = b"{\"trust_domains\":{},\"x\":\"\xe9\"}";
    assert_eq!(code(BundleMap::parse(latin, AWS_LC)), "bundle.syntax");
}

/// BND-03, T-042: neither a trust domain nor another member of the map occurs twice, in any
/// spelling.
#[test]
fn nothing_stands_twice() {
    let twice = |first, second| code(parse(&map(&[(first, EMPTY), (second, EMPTY)])));
    assert_eq!(twice("a.example", "b.example"), "ok");
    assert_eq!(twice("a.example", "a.example"), "bundle.repeated");
    assert_eq!(twice("a.example", r"\u0061.example"), "bundle.repeated");
    assert_eq!(twice("A.example", "A.example"), "bundle.repeated");
    for second in [r#""trust_domains":{}"#, r#""trust\u005fdomains":1"#] {
        let document = format!(r#"{{"trust_domains":{{}},{second}}}"#);
        assert_eq!(code(parse(&document)), "bundle.repeated", "{second}");
    }
    let other = r#"{"trust_domains":{},"x":1,"x":1}"#;
    assert_eq!(code(parse(other)), "bundle.repeated");
}

/// BND-03: a malformed bundle is skipped and the others stay; so is one whose name is not a trust
/// domain.
#[test]
fn a_broken_bundle_costs_itself() {
    let ca = key(Algorithm::Es256, "k");
    let good = document(&[&ca], "wit-svid", 1);
    let twice = document(&[&ca, &key(Algorithm::Es256, "k")], "wit-svid", 1);
    for (name, bundle, expected) in [
        ("b.example", "1", "bundle.syntax"),
        ("b.example", "null", "bundle.syntax"),
        ("b.example", "[]", "bundle.syntax"),
        ("b.example", "{}", "bundle.syntax"),
        ("b.example", r#"{"keys":[],"keys":[]}"#, "bundle.syntax"),
        (
            "b.example",
            r#"{"keys":[],"x":{"y":1,"y":1}}"#,
            "bundle.syntax",
        ),
        (
            "b.example",
            r#"{"keys":[],"spiffe_sequence":-1}"#,
            "bundle.syntax",
        ),
        ("b.example", &twice, "bundle.kid"),
        ("B.example", EMPTY, "bundle.syntax"),
        ("", EMPTY, "bundle.syntax"),
        ("b.example/x", EMPTY, "bundle.syntax"),
        ("b.example:443", EMPTY, "bundle.syntax"),
        ("u@b.example", EMPTY, "bundle.syntax"),
        ("spiffe://b.example", EMPTY, "bundle.syntax"),
        (" b.example", EMPTY, "bundle.syntax"),
    ] {
        let members = [
            ("a.example", &*good),
            (name, bundle),
            ("example.org", &*good),
        ];
        let read = parse(&map(&members)).unwrap();
        assert_eq!(read.bundles().len(), 2, "{name}: {bundle}");
        let [broken] = read.broken() else {
            unreachable!("{name}: {bundle}");
        };
        let found = (broken.trust_domain(), broken.error().code());
        assert_eq!(found, (name, expected), "{bundle}");
        let store = TrustStore::of(read.bundles().iter().cloned());
        let text = sign("wit+jwt", &ca, &claims(&key(Algorithm::Es256, "a")));
        assert_eq!(verify(&text, &store), "ok");
    }
}

/// T-042: an empty bundle of a map trusts no credential, and a lower sequence number does not
/// replace a higher one.
#[test]
fn bundles_of_a_map_are_bundles() {
    let ca = key(Algorithm::Es256, "k");
    let text = sign("wit+jwt", &ca, &claims(&key(Algorithm::Es256, "a")));
    let store = TrustStore::new();
    let take = |bundle: &str| {
        let read = parse(&map(&[("example.org", bundle)])).unwrap();
        let bundles = read.bundles().iter().cloned();
        bundles.map(|it| code(store.set(it))).collect::<Vec<_>>()
    };
    assert_eq!(take(&document(&[&ca], "wit-svid", 5)), ["ok"]);
    assert_eq!(verify(&text, &store), "ok");
    assert_eq!(take(&document(&[], "wit-svid", 4)), ["bundle.sequence"]);
    assert_eq!(take("{}"), [""; 0]);
    assert_eq!(verify(&text, &store), "ok");
    assert_eq!(take(&document(&[], "wit-svid", 6)), ["ok"]);
    assert_eq!(verify(&text, &store), "trust.unknown_key");
}

/// BND-03: the limits on length and number are exact.
#[test]
fn a_map_is_bounded() {
    let of = |count: usize| {
        let names: Vec<_> = (0..count).map(|it| format!("d{it}.example")).collect();
        let members: Vec<_> = names.iter().map(|it| (it.as_str(), EMPTY)).collect();
        parse(&map(&members))
    };
    let most = of(BundleMap::MAX_TRUST_DOMAINS).unwrap();
    assert_eq!(most.bundles().len(), BundleMap::MAX_TRUST_DOMAINS);
    for more in [1, 2] {
        let many = of(BundleMap::MAX_TRUST_DOMAINS + more);
        assert_eq!(code(many), "bundle.syntax", "{more} more");
    }
    let padded = |len: usize| {
        let mut document = map(&[("example.org", EMPTY)]);
        document.extend(std::iter::repeat_n(' ', len - document.len()));
        code(parse(&document))
    };
    assert_eq!(padded(BundleMap::MAX_LEN), "ok");
    assert_eq!(padded(BundleMap::MAX_LEN + 1), "bundle.syntax");
}

proptest! {
    /// BND-03: no text panics, and a parsed map has no trust domain twice.
    #[test]
    fn no_map_panics(names in prop::collection::vec("[a-bA\\\\./\" ]{0,3}", 0..6), bundle in ".{0,12}") {
        for bundle in [bundle.as_str(), EMPTY] {
            let members: Vec<_> = names.iter().map(|it| (it.as_str(), bundle)).collect();
            if let Ok(read) = parse(&map(&members)) {
                let origins = read.bundles().iter().map(|it| it.origin().as_str());
                let mut origins: Vec<_> = origins.collect();
                origins.sort_unstable();
                origins.dedup();
                prop_assert_eq!(origins.len(), read.bundles().len());
            }
        }
    }
}
