//! The requirements of a policy, each removed in turn.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use aims_http_sig::{Algorithm, Component, Error, Key, Keys, Parameters, Policy, Signing};
use aims_jose::provider::AWS_LC;
use aims_jose::time::Skew;
use aims_replay::ReplayCache;

use crate::support::{
    CREATED, ED25519, Text, at, code, components, policy, post, public_key, signed, signing,
    verdict,
};

fn good() -> Text {
    signed(post(), &signing(), CREATED)
}

/// T-060, HMS-07: the error names the required component that is not covered.
#[test]
fn required_components_are_covered() {
    let all = ["@method", "@target-uri", "content-digest", "authorization"];
    for missing in all {
        let covered: Vec<&str> = all.into_iter().filter(|name| *name != missing).collect();
        let signing = Signing::new("sig1")
            .covering(components(&covered))
            .with_created()
            .with_tag("payments");
        let message = signed(post(), &signing, CREATED);
        let key = public_key(ED25519, "EdDSA", AWS_LC);
        let error = policy()
            .verify(&message.exchange(), &key, at(CREATED))
            .unwrap_err();
        assert_eq!(error.code(), "sig.component_required");
        assert_eq!(
            error.to_string(),
            format!("the signature does not cover `\"{missing}\"`")
        );
    }
    // Another form of the component is another component.
    let signing = Signing::new("sig1")
        .covering(components(&[
            "@method",
            "@target-uri",
            "content-digest;sf",
            "authorization",
        ]))
        .with_created()
        .with_tag("payments");
    let message = signed(post(), &signing, CREATED);
    assert_eq!(
        verdict(&policy(), &message, CREATED),
        "sig.component_required"
    );
}

/// A key source that counts its lookups.
#[derive(Debug, Default)]
struct Asked(AtomicUsize);

impl Keys for Asked {
    fn find(&self, _parameters: &Parameters<'_>) -> Result<Key, Error> {
        self.0.fetch_add(1, Ordering::Relaxed);
        Err(Error::KeyUnknown)
    }
}

/// No key is looked up if the policy refuses, and no value is read without a key.
#[test]
fn keys_are_looked_for_last() {
    let message = good();
    let asked = Asked::default();
    for (policy, seconds, expected) in [
        (policy().with_tag("payouts"), CREATED, "sig.missing"),
        (
            policy().with_tag("payouts").with_label("sig1"),
            CREATED,
            "sig.tag",
        ),
        (
            policy().requiring_parameters(["keyid"]),
            CREATED,
            "sig.parameter_required",
        ),
        (
            policy().forbidding_parameters(["nonce"]),
            CREATED,
            "sig.parameter_forbidden",
        ),
        (policy(), CREATED - 31, "sig.created_in_future"),
        (policy(), CREATED + 91, "sig.expired"),
        (
            Policy::requiring([Component::STATUS]).with_any_tag(),
            CREATED,
            "sig.component_required",
        ),
    ] {
        let refused = policy.verify(&message.exchange(), &asked, at(seconds));
        assert_eq!(code(refused), expected);
    }
    let unknown = message.clone().changed("(\"@method\"", "(\"@Method\"");
    let refused = policy().verify(&unknown.exchange(), &asked, at(CREATED));
    assert_eq!(code(refused), "sig.component_unknown");
    assert_eq!(asked.0.load(Ordering::Relaxed), 0);
    let bare = message.replacing("Authorization", &[]);
    assert_eq!(
        code(policy().verify(&bare.exchange(), &asked, at(CREATED))),
        "sig.key_unknown"
    );
    assert_eq!(asked.0.load(Ordering::Relaxed), 1);
    assert_eq!(verdict(&policy(), &bare, CREATED), "sig.component_absent");
}

/// A refusal contains the found and the expected value, escaped and bounded.
#[test]
fn a_refusal_says_what_was_found() {
    let key = public_key(ED25519, "EdDSA", AWS_LC);
    let told = |policy: &Policy, keys: &dyn Keys, signing: &Signing, seconds| {
        let message = signed(post(), signing, CREATED);
        let refused = policy.verify(&message.exchange(), keys, at(seconds));
        refused.unwrap_err().to_string()
    };
    let bare = || {
        let all = ["@method", "@target-uri", "content-digest", "authorization"];
        let signing = Signing::new("sig1").covering(components(&all));
        signing.with_created().with_tag("payments")
    };
    let late = CREATED + 10_000;
    let old = told(&policy(), &key, &bare(), late);
    assert!(
        old.contains(&format!(
            "`created` is {CREATED}, and it is {late}; expected at most "
        )),
        "{old}"
    );
    let named = bare().with_key_id("a\\b");
    let unknown = told(&policy(), &Asked::default(), &named, CREATED);
    assert_eq!(
        unknown,
        r#"no key has the `keyid` "a\\b" of this signature"#
    );
    let long = bare().with_key_id(&"k".repeat(1_000));
    let long = told(&policy(), &Asked::default(), &long, CREATED);
    assert!(long.len() < 260, "{long}");
    let missing = told(&policy().with_tag("payouts"), &key, &bare(), CREATED);
    assert!(
        missing.ends_with(r#"found "sig1;tag=payments""#),
        "{missing}"
    );
    let unsigned = policy().verify(&post().exchange(), &key, at(CREATED));
    assert!(unsigned.unwrap_err().to_string().ends_with("found none"));
    let message = signed(post(), &bare().with_alg(Algorithm::Ed25519), CREATED);
    let message = message.changed("alg=\"ed25519\"", "alg=\"none\"");
    let other = policy().verify(&message.exchange(), &key, at(CREATED));
    assert!(
        other
            .unwrap_err()
            .to_string()
            .ends_with(r#"found "none", expected "ed25519""#)
    );
}

/// T-060: only covered values can be read, as signed.
#[test]
fn only_covered_values_are_given() {
    let message = good().replacing("Authorization", &[" Bearer token "]);
    let key = public_key(ED25519, "EdDSA", AWS_LC);
    let verified = policy()
        .verify(&message.exchange(), &key, at(CREATED))
        .unwrap()
        .accept_replays();
    assert_eq!(
        verified.value(&Component::field("authorization").unwrap()),
        Some("Bearer token")
    );
    assert_eq!(
        verified.value(&Component::TARGET_URI),
        Some("https://tools.example/pay?amount=5")
    );
    assert!(verified.covers(&Component::METHOD));
    assert!(!verified.covers(&Component::field("content-type").unwrap()));
    assert!(!verified.covers(&Component::METHOD.of_request().unwrap()));
    let names: Vec<&str> = verified.components().map(|(id, _)| id.name()).collect();
    assert_eq!(
        names,
        ["@method", "@target-uri", "content-digest", "authorization"]
    );
    assert_eq!(verified.parameters().created(), Some(CREATED));
    assert_eq!(verified.parameters().expires(), Some(CREATED + 60));
}

/// Each covered part, changed by one byte.
#[test]
fn covered_parts_cannot_be_changed() {
    for (from, to) in [
        ("POST", "PUT"),
        ("/pay?", "/paz?"),
        ("amount=5", "amount=6"),
        ("tools.example", "tool.example"),
        ("sha-256=:AAAA:", "sha-256=:AAAB:"),
        ("Bearer token", "Bearer tokem"),
        ("nonce=\"n-1\"", "nonce=\"n-2\""),
        ("\"@method\" \"@target-uri\"", "\"@target-uri\" \"@method\""),
    ] {
        assert_eq!(
            verdict(&policy(), &good().changed(from, to), CREATED),
            "sig.signature",
            "{from}"
        );
    }
    assert_eq!(
        verdict(
            &policy(),
            &good().changed("application/json", "text/html"),
            CREATED
        ),
        "good"
    );
    let mut plain = good();
    plain.scheme = "http";
    assert_eq!(verdict(&policy(), &plain, CREATED), "sig.signature");
    let more = good().with("Authorization: Bearer other");
    assert_eq!(verdict(&policy(), &more, CREATED), "sig.signature");
    assert_eq!(
        verdict(&policy(), &good().replacing("Authorization", &[]), CREATED),
        "sig.component_absent"
    );
}

/// HMS-05, T-067: each time, exact to the second.
#[test]
fn times() {
    let message = good();
    for (now, expected) in [
        (CREATED - 31, "sig.created_in_future"),
        (CREATED - 30, "good"),
        (CREATED + 90, "good"),
        (CREATED + 91, "sig.expired"),
    ] {
        assert_eq!(verdict(&policy(), &message, now), expected, "{now}");
    }
    let strict = policy().with_skew(Skew::ZERO);
    for (now, expected) in [
        (CREATED - 1, "sig.created_in_future"),
        (CREATED, "good"),
        (CREATED + 60, "good"),
        (CREATED + 61, "sig.expired"),
    ] {
        assert_eq!(verdict(&strict, &message, now), expected, "{now}");
    }
    let aged = strict.with_max_age(Duration::from_secs(20));
    assert_eq!(verdict(&aged, &message, CREATED + 20), "good");
    assert_eq!(verdict(&aged, &message, CREATED + 21), "sig.too_old");
    // Without `expires` the maximum age applies, by default 5 minutes.
    let signing = Signing::new("sig1")
        .covering(components(&[
            "@method",
            "@target-uri",
            "content-digest",
            "authorization",
        ]))
        .with_created()
        .with_tag("payments");
    let message = signed(post(), &signing, CREATED);
    assert_eq!(verdict(&policy(), &message, CREATED + 330), "good");
    assert_eq!(verdict(&policy(), &message, CREATED + 331), "sig.too_old");
    assert_eq!(Skew::from_secs(61).unwrap_err().code(), "time.skew");
}

/// T-067: times that are missing, in the wrong order, or at the maximum of the type.
#[test]
fn times_that_make_no_sense() {
    let message = good();
    let check = |from: &str, to: &str, expected: &str| {
        let message = message.clone().changed(from, to);
        assert_eq!(verdict(&policy(), &message, CREATED), expected, "{to}");
        for now in [0, u64::MAX] {
            assert_ne!(verdict(&policy(), &message, now), "good");
        }
    };
    check(";created=1618884473", "", "sig.parameter_required");
    check(
        ";created=1618884473;expires=1618884533",
        "",
        "sig.parameter_required",
    );
    check(
        "expires=1618884533",
        "expires=1618884472",
        "sig.expires_before_created",
    );
    check("expires=1618884533", "expires=1618884473", "sig.signature");
    check(
        "expires=1618884533",
        "expires=999999999999999",
        "sig.signature",
    );
    check(
        "created=1618884473",
        "created=999999999999999",
        "sig.expires_before_created",
    );
    check(
        "created=1618884473;expires=1618884533",
        "created=999999999999999;expires=999999999999999",
        "sig.created_in_future",
    );
    check("created=1618884473", "created=0", "sig.too_old");
    let endless = policy().with_max_age(Duration::MAX);
    assert_eq!(
        verdict(
            &endless,
            &message.clone().changed("created=1618884473", "created=0"),
            CREATED
        ),
        "sig.signature"
    );
}

/// T-070: a signature is for one purpose.
#[test]
fn the_tag_is_the_purpose() {
    let message = good();
    let untagged = Policy::requiring([]);
    assert_eq!(
        verdict(&policy().with_tag("payouts"), &message, CREATED),
        "sig.missing"
    );
    assert_eq!(
        verdict(
            &policy().with_tag("payouts").with_label("sig1"),
            &message,
            CREATED
        ),
        "sig.tag"
    );
    assert_eq!(verdict(&untagged, &message, CREATED), "sig.missing");
    assert_eq!(
        verdict(&untagged.clone().with_label("sig1"), &message, CREATED),
        "sig.tag"
    );
    assert_eq!(
        verdict(&untagged.clone().with_any_tag(), &message, CREATED),
        "good"
    );
    assert_eq!(
        verdict(&policy().with_label("sig1"), &message, CREATED),
        "good"
    );
    assert_eq!(
        verdict(&policy().with_label("sig2"), &message, CREATED),
        "sig.missing"
    );
    let plain = signed(post(), &Signing::new("sig1").with_created(), CREATED);
    assert_eq!(verdict(&untagged, &plain, CREATED), "good");
    assert_eq!(
        verdict(&untagged.with_tag("payments"), &plain, CREATED),
        "sig.missing"
    );
}

/// T-070, HMS-07: several signatures fit; a valid one does not make up for an invalid one.
#[test]
fn several_signatures() {
    let second = Signing::new("sig2")
        .covering(components(&[
            "@method",
            "@target-uri",
            "content-digest",
            "authorization",
        ]))
        .with_created()
        .with_tag("payments");
    let other = Signing::new("other")
        .covering([Component::PATH])
        .with_created()
        .with_tag("audit");
    let two = signed(good(), &second, CREATED);
    let key = public_key(ED25519, "EdDSA", AWS_LC);
    let each = |message: &Text| {
        let verified = policy().verify_each(&message.exchange(), &key, at(CREATED));
        verified.map(|all| {
            all.into_iter()
                .map(|one| one.accept_replays().label().to_owned())
                .collect::<Vec<_>>()
        })
    };
    assert_eq!(verdict(&policy(), &two, CREATED), "sig.ambiguous");
    assert_eq!(verdict(&policy().with_label("sig2"), &two, CREATED), "good");
    assert_eq!(each(&two).unwrap(), ["sig1", "sig2"]);
    let third = signed(two.clone(), &other, CREATED);
    assert_eq!(each(&third).unwrap(), ["sig1", "sig2"]);
    assert_eq!(
        verdict(&Policy::requiring([]).with_tag("audit"), &third, CREATED),
        "good"
    );
    for bad in ["sig1=:", "sig2=:"] {
        let (_, signature) = third
            .headers
            .iter()
            .find(|(_, value)| value.starts_with(bad.as_bytes()))
            .unwrap();
        let signature = String::from_utf8(signature.clone()).unwrap();
        let broken = third
            .clone()
            .changed(&signature, &format!("{bad}{}==:", "A".repeat(86)));
        assert_eq!(code(each(&broken)), "sig.signature");
        assert_eq!(verdict(&policy(), &broken, CREATED), "sig.ambiguous");
    }
    let audit =
        Policy::requiring([])
            .with_tag("none")
            .verify_each(&two.exchange(), &key, at(CREATED));
    assert_eq!(code(audit), "sig.missing");
}

#[test]
fn parameters_are_required_and_forbidden() {
    let message = good();
    assert_eq!(
        verdict(
            &policy().requiring_parameters(["nonce", "expires"]),
            &message,
            CREATED
        ),
        "good"
    );
    assert_eq!(
        verdict(&policy().requiring_parameters(["keyid"]), &message, CREATED),
        "sig.parameter_required"
    );
    assert_eq!(
        verdict(
            &policy().forbidding_parameters(["nonce"]),
            &message,
            CREATED
        ),
        "sig.parameter_forbidden"
    );
    assert_eq!(
        verdict(
            &policy().forbidding_parameters(["keyid", "alg"]),
            &message,
            CREATED
        ),
        "good"
    );
}

/// A nonce is spent once per key, for as long as the policy accepts the signature. T-074: by its
/// value, not by its text.
#[test]
fn nonces_are_spent() {
    let store = ReplayCache::in_memory(100);
    let key = public_key(ED25519, "EdDSA", AWS_LC);
    let policy = policy().with_max_age(Duration::from_secs(40));
    let spend = |message: &Text, now: u64| {
        let unspent = policy.verify(&message.exchange(), &key, at(now)).unwrap();
        code(unspent.spend(&store, at(now)))
    };
    let message = good();
    assert_eq!(spend(&message, CREATED), "good");
    assert_eq!(spend(&message, CREATED), "replay.replayed");
    // Up to the last second at which it would be accepted.
    assert_eq!(spend(&message, CREATED + 70), "replay.replayed");
    assert_eq!(verdict(&policy, &message, CREATED + 71), "sig.too_old");
    let same_nonce = signed(
        post(),
        &signing().with_key_id("test-key-ed25519"),
        CREATED + 1,
    );
    assert_eq!(spend(&same_nonce, CREATED + 1), "replay.replayed");
    let without = Signing::new("sig1")
        .covering(components(&[
            "@method",
            "@target-uri",
            "content-digest",
            "authorization",
        ]))
        .with_created()
        .with_tag("payments");
    assert_eq!(
        spend(&signed(post(), &without, CREATED), CREATED),
        "sig.parameter_required"
    );
    assert_eq!(
        spend(
            &signed(post(), &without.with_nonce("n-2"), CREATED),
            CREATED
        ),
        "good"
    );
}
