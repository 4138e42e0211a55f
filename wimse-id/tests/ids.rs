//! Identifiers, origins and patterns: each negative differs from a valid text in one property.

use aims_wimse_id::{Error, IdPattern, Origin, Reason, Scheme, TrustDomain, WorkloadId};
use proptest::prelude::*;

fn code(text: &str) -> &'static str {
    WorkloadId::parse(text).map_or_else(|error| error.code(), |_| "ok")
}

/// ID-01, ID-03, ID-04, ID-05.
#[test]
fn takes_canonical_identifiers() {
    for good in [
        "spiffe://example.org/pay",
        "spiffe://example.org",
        "spiffe://example.org/a/b-c_d.e/0",
        "spiffe://example.org/...",
        "spiffe://1.2.3.4/x",
        "spiffe://a_b-c./x",
        "wimse://example.org/pay",
        "wimse://example.org/~pay",
    ] {
        assert_eq!(code(good), "ok", "{good}");
        assert_eq!(
            WorkloadId::parse(good).map(|id| id.to_string()),
            Ok(good.to_owned())
        );
    }
}

/// ID-01, ID-03 to ID-06, T-030: the parser does not change case, decode or normalize.
#[test]
fn refuses_what_is_not_canonical() {
    for (bad, expected) in [
        ("", "id.scheme"),
        ("example.org/pay", "id.scheme"),
        ("https://example.org/pay", "id.scheme"),
        ("SPIFFE://example.org/pay", "id.scheme"),
        ("spiffe:/example.org/pay", "id.scheme"),
        (" spiffe://example.org/pay", "id.scheme"),
        ("spiffe:///pay", "id.trust_domain_empty"),
        ("spiffe://", "id.trust_domain_empty"),
        ("spiffe://Example.org/pay", "id.trust_domain"),
        ("spiffe://exämple.org/pay", "id.trust_domain"),
        ("spiffe://ex~ample.org/pay", "id.trust_domain"),
        ("spiffe://example.org:443/pay", "id.port"),
        ("spiffe://user@example.org/pay", "id.user_info"),
        ("spiffe://example%2eorg/pay", "id.percent_encoding"),
        ("spiffe://example.org?x", "id.query"),
        ("spiffe://example.org#x", "id.fragment"),
        ("spiffe://example.org/", "id.trailing_slash"),
        ("spiffe://example.org/pay/", "id.trailing_slash"),
        ("spiffe://example.org//", "id.empty_segment"),
        ("spiffe://example.org//pay", "id.empty_segment"),
        ("spiffe://example.org/pay//x", "id.empty_segment"),
        ("spiffe://example.org/./pay", "id.dot_segment"),
        ("spiffe://example.org/pay/..", "id.dot_segment"),
        ("spiffe://example.org/p%61y", "id.percent_encoding"),
        ("spiffe://example.org/pay?x", "id.query"),
        ("spiffe://example.org/pay#x", "id.fragment"),
        ("spiffe://example.org/~pay", "id.character"),
        ("spiffe://example.org/p y", "id.character"),
        ("spiffe://example.org/päy", "id.character"),
        ("spiffe://example.org/pay\n", "id.character"),
        ("spiffe://example.org/a:b", "id.character"),
        ("wimse://example.org", "id.path_missing"),
        ("wimse://example.org/", "id.trailing_slash"),
        ("wimse://example.org./pay", "id.trust_domain_trailing_dot"),
        ("wimse://example.org/p!y", "id.character"),
    ] {
        assert_eq!(code(bad), expected, "{bad:?}");
    }
}

/// ID-02: the limits, and one octet more.
#[test]
fn lengths_are_bounded() {
    let of_length = |length: usize| {
        let head = "spiffe://example.org/";
        format!("{head}{}", "a".repeat(length - head.len()))
    };
    assert_eq!(code(&of_length(2048)), "ok");
    assert_eq!(code(&of_length(2049)), "id.length");
    assert_eq!(code(&format!("spiffe://{}/x", "a".repeat(255))), "ok");
    assert_eq!(
        code(&format!("spiffe://{}/x", "a".repeat(256))),
        "id.trust_domain_length"
    );
}

/// ID-07: scheme and trust domain both count.
#[test]
fn an_origin_is_scheme_and_trust_domain() -> Result<(), Error> {
    let id = WorkloadId::parse("spiffe://example.org/pay")?;
    let domain: TrustDomain = "example.org".parse()?;
    assert_eq!(id.origin(), Origin::new(Scheme::Spiffe, &domain)?);
    assert_ne!(id.origin(), Origin::new(Scheme::Wimse, &domain)?);
    assert_eq!(
        (id.origin_str(), id.trust_domain(), id.path()),
        ("spiffe://example.org", "example.org", "/pay")
    );
    assert_eq!(id.origin().trust_domain(), "example.org");
    for (bad, expected) in [
        ("spiffe://example.org/pay", Reason::OriginPath),
        ("spiffe://example.org/", Reason::TrailingSlash),
        ("wimse://example.org.", Reason::TrustDomainTrailingDot),
        ("example.org", Reason::Scheme),
    ] {
        let error = bad.parse::<Origin>().unwrap_err();
        assert_eq!(error.reason(), expected, "{bad}");
    }
    let dot: TrustDomain = "example.org.".parse()?;
    let error = Origin::new(Scheme::Wimse, &dot).unwrap_err();
    assert_eq!(error.reason(), Reason::TrustDomainTrailingDot);
    Ok(())
}

/// The message has the text that was refused: whole, escaped and bounded.
#[test]
fn an_error_shows_the_text() {
    let error = WorkloadId::parse("https://example.org/pay").unwrap_err();
    assert_eq!(error.found(), "\"https://example.org/pay\"");
    let told = error.to_string();
    for part in [
        "expected text that begins with `spiffe://`",
        ", found \"https://example.org/pay\"",
    ] {
        assert!(told.contains(part), "{part:?} in {told}");
    }
    let pattern = "spiffe://example.org:1/*".parse::<IdPattern>();
    assert_eq!(pattern.unwrap_err().found(), "\"spiffe://example.org:1/*\"");
    let hostile = "\u{1b}[31m".repeat(10_000);
    for error in [
        WorkloadId::parse(&hostile).unwrap_err(),
        hostile.parse::<TrustDomain>().unwrap_err(),
        hostile.parse::<Origin>().unwrap_err(),
        hostile.parse::<IdPattern>().unwrap_err(),
    ] {
        assert!(error.found().chars().count() <= 200);
        assert!(!error.to_string().contains('\u{1b}'));
    }
}

/// ID-08, T-031: whole segments, under the same origin.
#[test]
fn patterns_match_whole_segments() -> Result<(), Error> {
    for (pattern, id, matches) in [
        ("spiffe://a/pay", "spiffe://a/pay", true),
        ("spiffe://a/pay", "spiffe://a/pay/x", false),
        ("spiffe://a/pay", "wimse://a/pay", false),
        ("spiffe://a/pay/*", "spiffe://a/pay/x", true),
        ("spiffe://a/pay/*", "spiffe://a/pay/x/y", true),
        ("spiffe://a/pay/*", "spiffe://a/pay", false),
        ("spiffe://a/pay/*", "spiffe://a/payroll", false),
        ("spiffe://a/pay/*", "spiffe://a/payroll/x", false),
        ("spiffe://a/pay/*", "wimse://a/pay/x", false),
        ("spiffe://a/*", "spiffe://a/pay", true),
        ("spiffe://a/*", "spiffe://a", true),
        ("spiffe://a/*", "spiffe://a.evil/pay", false),
        ("spiffe://a/*", "spiffe://ab/pay", false),
        ("spiffe://a/*", "wimse://a/pay", false),
    ] {
        let parsed: IdPattern = pattern.parse()?;
        assert_eq!(
            parsed.matches(&WorkloadId::parse(id)?),
            matches,
            "{pattern} {id}"
        );
        assert_eq!(parsed.to_string(), pattern);
    }
    for (bad, expected) in [
        ("*", "id.pattern"),
        ("spiffe://*", "id.scheme"),
        ("spiffe://a/*/b", "id.pattern"),
        ("spiffe://a/p*", "id.pattern"),
        ("spiffe://a/*/*", "id.pattern"),
        ("spiffe://a*/x", "id.pattern"),
    ] {
        let refused = bad.parse::<IdPattern>().map_err(|error| error.code());
        assert_eq!(refused.err(), Some(expected), "{bad}");
    }
    Ok(())
}

/// Parsing makes at most one allocation, for the text.
#[test]
fn equality_is_of_the_bytes() -> Result<(), Error> {
    let ids = std::collections::HashSet::from([WorkloadId::parse("spiffe://a/Pay")?]);
    assert!(ids.contains("spiffe://a/Pay"));
    assert!(!ids.contains("spiffe://a/pay"));
    Ok(())
}

#[test]
fn codes_are_unique() {
    let unique: std::collections::BTreeSet<_> = Error::CODES.iter().collect();
    assert_eq!(unique.len(), Error::CODES.len());
}

/// T-030: an accepted text prints as itself, and its parts make up the text.
#[test]
fn parsing_allocates_the_text_alone() {
    let text = "spiffe://prod.example.org/billing/payment-service/instance-1";
    let used = allocation_counter::measure(|| {
        let id = WorkloadId::parse(text);
        assert!(id.is_ok_and(|id| id.origin_str().len() == 25));
    });
    assert_eq!(used.count_total, 1);
    // A refusal keeps the start of the text for its message, however long the text is.
    let long = "spiffe://A/".repeat(100_000);
    for text in ["spiffe://A/x", &long] {
        let refused = allocation_counter::measure(|| assert!(WorkloadId::parse(text).is_err()));
        assert!(refused.bytes_total < 4_096, "{refused:?}");
    }
}

#[cfg(feature = "serde")]
#[test]
fn serde_reads_and_writes_the_text() -> Result<(), Box<dyn std::error::Error>> {
    let id: WorkloadId = serde_json::from_str(r#""spiffe://a/b""#)?;
    assert_eq!(serde_json::to_string(&id)?, r#""spiffe://a/b""#);
    assert!(serde_json::from_str::<WorkloadId>(r#""spiffe://A/b""#).is_err());
    let pattern: IdPattern = serde_json::from_str(r#""spiffe://a/*""#)?;
    assert!(pattern.matches(&id));
    Ok(())
}

proptest! {
    /// T-030: what is accepted prints itself, and its parts make it up again.
    #[test]
    fn what_is_accepted_prints_itself(text in "(spiffe|wimse|Spiffe)://[a-zA._:@-]{0,6}(/[a-z.~%A]{0,3}){0,3}") {
        if let Ok(id) = WorkloadId::parse(&text) {
            prop_assert_eq!(id.to_string(), text.clone());
            prop_assert_eq!(format!("{}://{}{}", id.scheme(), id.trust_domain(), id.path()), text);
            prop_assert!(IdPattern::any_of(id.origin()).matches(&id));
        }
    }

    #[test]
    fn never_panics(text in "\\PC{0,40}") {
        let _ = WorkloadId::parse(&text);
        let _ = text.parse::<IdPattern>();
        let _ = format!("spiffe://{text}").parse::<Origin>();
    }
}

/// A message says what is expected.
#[test]
fn a_refusal_says_what_is_expected() {
    let told = |text: &str| text.parse::<Origin>().unwrap_err().to_string();
    let path = told("spiffe://example.org/agent");
    assert!(path.starts_with("an origin has no path") && path.contains("`spiffe://example.org`"));
    assert_eq!(
        told("spiffe://example.org/"),
        "the path ends in a slash: expected none at the end, found \"spiffe://example.org/\""
    );
    assert!(told("https://example.org").contains("begins with `spiffe://` or `wimse://`"));
}
