//! `Accept-Signature` (RFC 9421 §5).

use std::time::Duration;

use aims_http_sig::{Algorithm, BareItem, Component, Limits, Offer, SignatureRequest};
use aims_jose::random::SYSTEM;
use proptest::prelude::*;

use crate::support::{CREATED, Text, at, code, components, policy, post, signed, verdict};

fn read(value: &str) -> Result<Vec<SignatureRequest>, aims_http_sig::Error> {
    SignatureRequest::of(
        &post().replacing("Accept-Signature", &[value]),
        &Limits::default(),
    )
}

/// HMS-09: the example of §5.1.
#[test]
fn the_field_is_read_and_written() {
    let text = r#"sig1=("@method" "@target-uri" "@authority" "content-digest" "cache-control");keyid="test-key-rsa-pss";created;tag="app-123""#;
    let wanted = read(text).unwrap();
    assert_eq!(wanted.len(), 1);
    assert_eq!(wanted[0].label(), "sig1");
    assert_eq!(wanted[0].components().unwrap().len(), 5);
    assert_eq!(
        wanted[0].parameter("created"),
        Some(&BareItem::Boolean(true))
    );
    assert_eq!(wanted[0].parameter("expires"), None);
    assert_eq!(
        wanted[0].parameter("tag").unwrap().text().as_deref(),
        Some("app-123")
    );
    assert_eq!(wanted[0].to_field_value().unwrap(), text);
    assert!(
        SignatureRequest::of(&post(), &Limits::default())
            .unwrap()
            .is_empty()
    );
    assert_eq!(read(r#"a=(), b=("@status")"#).unwrap().len(), 2);
}

#[test]
fn malformed_fields_are_refused() {
    for (bad, expected) in [
        ("", "sig.syntax"),
        ("a", "sig.syntax"),
        ("a=( )", "sig.syntax"),
        ("a=();created=?1", "sig.syntax"),
        ("a=(), a=()", "sig.label_repeated"),
        ("a=();created=1", "sig.parameter_type"),
        ("a=();created=?0", "sig.parameter_type"),
        ("a=();expires=\"1\"", "sig.parameter_type"),
        ("a=();nonce", "sig.parameter_type"),
        ("a=();nonce=\"\"", "sig.parameter_type"),
        ("a=();tag=app", "sig.parameter_type"),
        ("a=();created;created", "sig.parameter_repeated"),
    ] {
        assert_eq!(code(read(bad)), expected, "{bad}");
    }
    let many = (0..9)
        .map(|n| format!("a{n}=()"))
        .collect::<Vec<_>>()
        .join(", ");
    assert_eq!(code(read(&many)), "sig.limit");
    let many = (0..33).map(|n| format!(";p{n}")).collect::<String>();
    assert_eq!(code(read(&format!("a=(){many}"))), "sig.limit");
}

/// HMS-09: each member is parsed by itself, so an unknown member for another party does not affect
/// ours.
#[test]
fn a_wish_for_others_is_passed_over() {
    for (list, expected) in [
        (r#""@method" "@method""#, "sig.component_repeated"),
        (r#""a";sf;req "a";req;sf"#, "sig.component_repeated"),
        (r#""@new""#, "sig.component_unknown"),
        (r#""Method""#, "sig.component_unknown"),
        (r#""@signature-params""#, "sig.component_unknown"),
        (r#""@method";x"#, "sig.component_parameter"),
    ] {
        let text = format!(r#"cdn=({list});tag="cdn", {WANTED}"#);
        let wanted = read(&text).unwrap();
        assert_eq!(code(wanted[0].components()), expected, "{list}");
        assert_eq!(code(wanted[0].to_field_value()), expected, "{list}");
        assert_eq!(code(offer().answer(&wanted[0])), "sig.not_offered");
        assert_eq!(code(offer().answer(&wanted[1])), "good");
        assert_eq!(format!("{}, {}", wanted[0], wanted[1]), text);
    }
}

#[test]
fn what_is_asked_for_is_checked() {
    let good = SignatureRequest::new("a")
        .covering([Component::METHOD])
        .with_created()
        .with_expires();
    assert_eq!(
        good.to_field_value().unwrap(),
        "a=(\"@method\");created;expires"
    );
    assert_eq!(
        code(SignatureRequest::new("A").to_field_value()),
        "sig.prepare"
    );
    assert_eq!(
        code(
            good.clone()
                .with_parameter("X", BareItem::Integer(1))
                .to_field_value()
        ),
        "sig.prepare"
    );
    assert_eq!(
        code(
            good.clone()
                .with_parameter("x", BareItem::Token(";".into()))
                .to_field_value()
        ),
        "sig.prepare"
    );
    assert_eq!(
        code(good.clone().with_tag("a\n").to_field_value()),
        "sig.prepare"
    );
    assert_eq!(
        code(good.covering([Component::METHOD]).to_field_value()),
        "sig.component_repeated"
    );
}

fn offer() -> Offer {
    Offer::new(Algorithm::Ed25519, Duration::from_secs(60))
        .with_components(components(&[
            "@target-uri",
            "content-digest",
            "authorization",
        ]))
        .always_covering([Component::METHOD])
        .with_tag("payments")
        .with_key_id("test-key-ed25519")
}

const WANTED: &str = r#"x=("@method" "@target-uri" "content-digest" "authorization");created;nonce="theirs";alg="ed25519";keyid="test-key-ed25519";tag="payments""#;

/// The answer has the label, the components and all requested parameters.
#[test]
fn an_offer_answers() {
    let wanted = read(WANTED).unwrap();
    let signing = offer().answer(&wanted[0]).unwrap();
    let message = signed(post(), &signing, CREATED);
    let verdict = verdict(
        &policy()
            .with_label("x")
            .requiring_parameters(["nonce", "alg", "keyid", "expires"]),
        &message,
        CREATED,
    );
    assert_eq!(verdict, "good");
    let prepared = signing
        .prepare(&post().exchange(), SYSTEM, at(CREATED))
        .unwrap();
    let parameters = prepared.base().parameters();
    assert_eq!(parameters.nonce().as_deref(), Some("theirs"));
    assert_eq!(parameters.expires(), Some(CREATED + 60));
    let plain = read(r#"x=("@method")"#).unwrap();
    let signing = offer().answer(&plain[0]).unwrap();
    let prepared = signing
        .prepare(&post().exchange(), SYSTEM, at(CREATED))
        .unwrap();
    let parameters = prepared.base().parameters();
    assert_eq!(parameters.nonce().unwrap().len(), 22);
    assert_eq!(parameters.tag().as_deref(), Some("payments"));
    assert_eq!(parameters.alg(), None);
}

/// T-077: a peer gets no signature outside the offer.
#[test]
fn an_offer_is_all_that_is_signed() {
    for (from, to) in [
        ("\"@target-uri\"", "\"@path\""),
        ("\"authorization\")", "\"authorization\" \"cookie\")"),
        ("\"content-digest\"", "\"content-digest\";bs"),
        ("\"@method\" ", ""),
        ("tag=\"payments\"", "tag=\"payouts\""),
        ("keyid=\"test-key-ed25519\"", "keyid=\"root\""),
        ("alg=\"ed25519\"", "alg=\"hmac-sha256\""),
        ("created;", "created;x=1;"),
        (
            "nonce=\"theirs\"",
            &format!("nonce=\"{}\"", "n".repeat(257)),
        ),
    ] {
        let wanted = read(&WANTED.replace(from, to)).unwrap();
        assert_eq!(code(offer().answer(&wanted[0])), "sig.not_offered", "{to}");
    }
    let untagged = Offer::new(Algorithm::Ed25519, Duration::from_secs(60))
        .with_components([Component::METHOD]);
    let wanted = read(r#"x=("@method");tag="payments""#).unwrap();
    assert_eq!(code(untagged.answer(&wanted[0])), "sig.not_offered");
    let wanted = read(r#"x=("@method");keyid="k""#).unwrap();
    assert_eq!(code(untagged.answer(&wanted[0])), "sig.not_offered");
}

/// T-077: a signature without components is valid for every message, so a peer cannot request one.
#[test]
fn a_wish_for_nothing_is_not_answered() {
    let offer = Offer::new(Algorithm::Ed25519, Duration::from_secs(60))
        .with_components([Component::METHOD]);
    let wanted = read(r#"x=("@method");created"#).unwrap();
    assert_eq!(code(offer.answer(&wanted[0])), "good");
    let wanted = read("x=();created").unwrap();
    assert_eq!(code(offer.answer(&wanted[0])), "sig.not_offered");
}

proptest! {
    /// A written request parses to the same.
    #[test]
    fn requests_come_back(label in "[a-z*][a-z0-9_.*-]{0,8}", names in proptest::collection::btree_set("[a-z][a-z0-9-]{0,8}", 0..6), tag in "[ -~]{1,16}", created in any::<bool>(), number in -9999_i64..9999) {
        let covered = names.iter().map(|name| Component::field(name).unwrap());
        let mut wanted = SignatureRequest::new(label).covering(covered).with_tag(&tag).with_parameter("x", BareItem::Integer(number));
        if created { wanted = wanted.with_created(); }
        let text = wanted.to_field_value().unwrap();
        let message = Text::parse("GET / HTTP/1.1").replacing("Accept-Signature", &[&text]);
        prop_assert_eq!(SignatureRequest::of(&message, &Limits::default()).unwrap(), vec![wanted]);
    }
}
