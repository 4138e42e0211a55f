//! Requirements for requests (SIG-01, SIG-03, SIG-04, SIG-06, SIG-08).

use aims_http_sig::profile::wimse::{Peer, RequestPolicy, SignedResponse};
use aims_http_sig::{Algorithm, Algorithms, BareItem, Component, Limits};
use aims_jose::time::Skew;
use aims_replay::ReplayCache;
use std::time::Duration;

use crate::support::*;

#[test]
fn a_good_request_says_what_was_signed() {
    let verified = verified(&good());
    assert_eq!(verified.nonce(), "n-1");
    assert_eq!(verified.signed_response(), SignedResponse::Unasked);
    let signature = verified.signature();
    assert_eq!(signature.value(&Component::METHOD), Some("POST"));
    assert_eq!(signature.value(&Component::PATH), Some("/call"));
    assert_eq!(signature.value(&Component::QUERY), Some("?x=y"));
    let other = Component::field("x-other").unwrap();
    assert!(!signature.covers(&other), "nobody signed it");
    assert_eq!(
        verified.content_digest().unwrap().to_string(),
        digest_of(BODY)
    );
}

/// T-060: each component, one at a time.
#[test]
fn what_is_there_is_covered() {
    for component in of_request().components {
        let error = {
            let mut parts = request();
            of_request().without(component).apply(&mut parts);
            verify(&parts).unwrap_err()
        };
        assert_eq!(error.code(), "sig.component_required", "{component}");
        assert!(error.to_string().contains(component), "{error}");
    }
}

#[test]
fn what_is_not_there_is_not_asked_for() {
    for field in ["content-type", "authorization", "txn-token"] {
        let mut parts = request();
        parts.headers.remove(field);
        of_request().without(field).apply(&mut parts);
        taken(&parts);
    }
    let mut parts = request();
    parts.headers.remove("workload-identity-token");
    of_request()
        .without("workload-identity-token")
        .apply(&mut parts);
    assert_eq!(refused(&parts), "sig.component_required");
}

/// A component with parameters is a different component.
#[test]
fn the_plain_components_are_covered() {
    for (plain, other) in [
        ("content-type", "content-type;bs"),
        ("content-digest", "content-digest;sf"),
        ("authorization", "authorization;bs"),
    ] {
        let mut made = of_request().without(plain);
        made.components.push(other);
        assert_eq!(refused_as(&made), "sig.component_required", "{other}");
    }
}

#[test]
fn what_was_signed_was_not_changed() {
    for field in [
        "workload-identity-token",
        "content-type",
        "content-digest",
        "authorization",
        "txn-token",
    ] {
        let mut parts = good();
        let value = parts.headers.get(field).unwrap().to_str().unwrap();
        let value = format!("{value}x");
        set(&mut parts.headers, field, &value);
        assert_eq!(refused(&parts), "sig.signature", "{field}");
    }
    let mut parts = good();
    parts.method = http::Method::PUT;
    assert_eq!(refused(&parts), "sig.signature");
    let mut parts = good();
    parts.uri = "/call?x=z".parse().unwrap();
    assert_eq!(refused(&parts), "sig.signature");
    let mut parts = good();
    set(&mut parts.headers, "x-other", "else");
    taken(&parts);
}

/// SIG-01: `@request-target`, which -07 removed, does not replace `@path` and `@query`, and neither
/// of these replaces the other.
#[test]
fn path_and_query_are_covered_each() {
    let of_06 = of_request().without("@path").without("@query");
    let mut instead = of_06.clone();
    instead.components.push("@request-target");
    instead.components.push("@target-uri");
    for made in [
        of_06,
        instead,
        of_request().without("@path"),
        of_request().without("@query"),
    ] {
        assert_eq!(refused_as(&made), "sig.component_required");
    }
    // A signature may cover more.
    let mut more = of_request();
    more.components.push("@request-target");
    more.components.push("@authority");
    let mut parts = request();
    more.apply(&mut parts);
    taken(&parts);
}

/// SIG-01: a request without a query covers `?`, and does not match a request with a query.
#[test]
fn an_absent_query_is_covered() {
    let mut parts = request();
    parts.uri = "/call".parse().unwrap();
    of_request().without("@query").apply(&mut parts);
    assert_eq!(refused(&parts), "sig.component_required");
    let mut parts = request();
    parts.uri = "/call".parse().unwrap();
    of_request().apply(&mut parts);
    assert_eq!(
        verified(&parts).signature().value(&Component::QUERY),
        Some("?")
    );
    parts.uri = "/call?x=y".parse().unwrap();
    assert_eq!(refused(&parts), "sig.signature");
}

/// The target of a `CONNECT` is an authority, which it covers (-08).
#[test]
fn a_connect_covers_its_authority() {
    let connect = || {
        let mut parts = request();
        parts.method = http::Method::CONNECT;
        parts.uri = "tools.example:8443".parse().unwrap();
        parts
    };
    let mut made = of_request().without("@path").without("@query");
    made.components.push("@authority");
    let mut parts = connect();
    made.apply(&mut parts);
    taken(&parts);
    parts.uri = "other.example:8443".parse().unwrap();
    assert_ne!(verify(&parts).err().map(|error| error.code()), None);
    let mut parts = connect();
    made.clone().without("@authority").apply(&mut parts);
    assert_eq!(refused(&parts), "sig.component_required");
    // A request with another method is not a `CONNECT`.
    assert_eq!(refused_as(&made), "sig.component_required");
}

/// L6: `Content-Encoding` determines the meaning of the bytes under `Content-Digest`. If present it
/// must be covered, unless the policy accepts it uncovered.
#[test]
fn a_content_encoding_is_covered() {
    let mut parts = good();
    let gzip = http::HeaderValue::from_static("gzip");
    parts.headers.insert("content-encoding", gzip.clone());
    let error = verify(&parts).unwrap_err();
    assert_eq!(error.code(), "sig.component_required");
    assert!(error.to_string().contains("content-encoding"), "{error}");
    let by_name = policy().accept_uncovered_content_encoding();
    let key = CALLER.verifying_key();
    drop(by_name.verify(&seen(&parts), key, at(NOW)).unwrap());

    let mut made = of_request();
    made.components.push("content-encoding");
    let mut parts = request();
    parts.headers.insert("content-encoding", gzip);
    made.apply(&mut parts);
    taken(&parts);
    for policy in [policy(), by_name] {
        let mut parts = parts.clone();
        set(&mut parts.headers, "content-encoding", "br");
        let error = policy.verify(&seen(&parts), key, at(NOW)).unwrap_err();
        assert_eq!(error.code(), "sig.signature");
        parts.headers.remove("content-encoding");
        let error = policy.verify(&seen(&parts), key, at(NOW)).unwrap_err();
        assert_eq!(error.code(), "sig.component_absent");
    }
}

/// SIG-04: the accepted algorithms depend on the sender's origin.
#[test]
fn algorithms_are_those_of_the_origin() {
    const STRICT: &str = "wimse://strict.example";
    let parts = good();
    let key = CALLER.verifying_key();
    let code = |policy: &RequestPolicy, sender: Peer<'_>| {
        let result = policy.verify(&seen(&parts), sender, at(NOW));
        result.err().map(|error| error.code())
    };
    let es256 = Algorithms::of(&[Algorithm::EcdsaP256Sha256]);
    let strict = policy().with_algorithms_of(STRICT, es256);
    assert_eq!(
        code(&strict, Peer::of(STRICT, key)),
        Some("sig.algorithm_forbidden")
    );
    assert_eq!(code(&strict, Peer::of("wimse://other.example", key)), None);
    assert_eq!(
        code(&strict, Peer::of("spiffe://strict.example", key)),
        None
    );
    // A sender without an origin may be of the strict one, and is refused.
    assert_eq!(code(&strict, Peer::from(key)), Some("sig.prepare"));
    let lenient = policy()
        .with_algorithms(es256)
        .with_algorithms_of(STRICT, es256)
        .with_algorithms_of(STRICT, Algorithms::PUBLIC_KEY);
    assert_eq!(code(&lenient, Peer::of(STRICT, key)), None);
    assert_eq!(
        code(&lenient, Peer::of("wimse://other.example", key)),
        Some("sig.algorithm_forbidden")
    );
}

/// `@path` and `@query` contain neither scheme nor authority; `wimse-aud` names the receiver.
#[test]
fn the_target_is_path_and_query() {
    let parts = good();
    let elsewhere = aims_http_sig::HttpRequest::received(&parts, "http", "elsewhere.example");
    let key = CALLER.verifying_key();
    drop(policy().verify(&elsewhere, key, at(NOW)).unwrap());
}

#[test]
fn parameters_are_required() {
    for (parameter, code) in [
        ("expires", "sig.parameter_required"),
        ("nonce", "sig.parameter_required"),
        ("wimse-aud", "sig.parameter_required"),
        ("tag", "sig.missing"),
    ] {
        assert_eq!(
            refused_as(&of_request().without(parameter)),
            code,
            "{parameter}"
        );
    }
    let made = Made {
        created: 0,
        ..of_request()
    };
    assert_eq!(refused_as(&made), "sig.parameter_required");
}

#[test]
fn the_tag_is_that_of_the_profile() {
    let made = of_request().with("tag", text("wimse-workload-to-workload2"));
    assert_eq!(refused_as(&made), "sig.missing");
}

#[test]
fn key_and_algorithm_are_those_of_the_token() {
    let keyid = of_request().with("keyid", text("svc-a-key"));
    assert_eq!(refused_as(&keyid), "sig.parameter_forbidden");
    let alg = of_request().with("alg", text("ed25519"));
    assert_eq!(refused_as(&alg), "sig.parameter_forbidden");

    let parts = good();
    let error = policy().verify(&seen(&parts), TOOL.verifying_key(), at(NOW));
    assert_eq!(error.unwrap_err().code(), "sig.signature");
    let few = policy().with_algorithms(Algorithms::of(&[Algorithm::EcdsaP256Sha256]));
    let error = few.verify(&seen(&parts), CALLER.verifying_key(), at(NOW));
    assert_eq!(error.unwrap_err().code(), "sig.algorithm_forbidden");
}

/// Parameters of responses only.
#[test]
fn a_request_has_no_nonce_of_a_request() {
    let made = of_request().with("wimse-req-nonce", text("n-0"));
    assert_eq!(refused_as(&made), "sig.parameter_forbidden");
}

/// The error names the audience that was found and those that were expected: escaped and bounded.
#[test]
fn a_wrong_audience_is_named() {
    let policy = RequestPolicy::for_audiences([AUDIENCE, "a\nb"]).unwrap();
    let long = "x".repeat(4_000);
    let words = |audience: BareItem<'static>, given: Option<&str>| {
        let mut parts = request();
        of_request().with("wimse-aud", audience).apply(&mut parts);
        let (message, key) = (seen(&parts), CALLER.verifying_key());
        let verified = match given {
            None => policy.verify(&message, key, at(NOW)),
            Some(given) => policy.verify_to(given, &message, key, at(NOW)),
        };
        let told = verified.err().unwrap().to_string();
        let (told, advice) = told.split_once("; ").unwrap();
        assert!(
            advice.contains("`GuardBuilder::proof_audience`"),
            "{advice}"
        );
        told.to_owned()
    };
    let start = "the signature is for another audience: ";
    assert_eq!(
        words(text("https://other.example"), None),
        format!("{start}found \"https://other.example\", expected \"{AUDIENCE}\", \"a\\nb\"")
    );
    assert_eq!(
        words(text(AUDIENCE), Some("https://other.example")),
        format!("{start}found \"{AUDIENCE}\", expected \"https://other.example\"")
    );
    let long = words(BareItem::String(long.into()), Some("a"));
    assert_eq!(
        long,
        format!("{start}found \"{}…, expected \"a\"", "x".repeat(198))
    );
}

#[test]
fn the_audience_is_a_configured_one() {
    for (audience, code) in [
        ("https://other.example", None),
        ("https://tools.example/call/", Some("sig.audience")),
        ("https://tools.example", Some("sig.audience")),
        ("https://TOOLS.example/call", Some("sig.audience")),
        ("", Some("sig.parameter_type")),
    ] {
        let mut parts = request();
        of_request()
            .with("wimse-aud", text(audience))
            .apply(&mut parts);
        let code_found = verify(&parts).err().map(|error| error.code());
        assert_eq!(code_found, code, "{audience}");
    }
    let token = BareItem::Token("https://tools.example/call".into());
    let made = of_request().with("wimse-aud", token);
    assert_eq!(refused_as(&made), "sig.parameter_type");
}

#[test]
fn a_receiver_has_an_audience() {
    for none in [&[][..], &[""], &["a", ""]] {
        let error = RequestPolicy::for_audiences(none.iter().copied()).unwrap_err();
        assert_eq!(error.code(), "sig.prepare");
    }
}

/// The audience of a route is configuration as well; without one every request is refused.
#[test]
fn an_audience_can_be_given_with_the_request() {
    let parts = good();
    let policy = RequestPolicy::for_given_audience();
    let code = |audience: Option<&str>| {
        let key = CALLER.verifying_key();
        let message = seen(&parts);
        let verdict = match audience {
            Some(audience) => policy.verify_to(audience, &message, key, at(NOW)),
            None => policy.verify(&message, key, at(NOW)),
        };
        verdict.err().map(|error| error.code())
    };
    assert_eq!(code(Some(AUDIENCE)), None);
    assert_eq!(
        code(Some("https://tools.example/other")),
        Some("sig.audience")
    );
    assert_eq!(code(None), Some("sig.audience"));
}

#[test]
fn times_are_held_to_the_second() {
    let code = |created: u64, lifetime: u64, now: u64| {
        let mut parts = request();
        let made = Made {
            created,
            lifetime,
            ..of_request()
        };
        made.apply(&mut parts);
        policy()
            .verify(&seen(&parts), CALLER.verifying_key(), at(now))
            .err()
            .map(|error| error.code())
    };
    // `expires` is at most 5 minutes plus the skew ahead.
    assert_eq!(code(NOW, 330, NOW), None);
    assert_eq!(code(NOW, 331, NOW), Some("sig.lifetime"));
    // `expires` plus the skew.
    assert_eq!(code(NOW, 60, NOW + 90), None);
    assert_eq!(code(NOW, 60, NOW + 91), Some("sig.expired"));
    // `created` is at most the skew ahead.
    assert_eq!(code(NOW + 30, 60, NOW), None);
    assert_eq!(code(NOW + 31, 60, NOW), Some("sig.created_in_future"));
    // The maximum age of `created` applies, whatever `expires` states.
    assert_eq!(code(NOW, 600, NOW + 330), None);
    assert_eq!(code(NOW, 600, NOW + 331), Some("sig.too_old"));
}

#[test]
fn rules_are_changed_by_words() {
    let parts = {
        let mut parts = request();
        let made = Made {
            lifetime: 600,
            ..of_request()
        };
        made.apply(&mut parts);
        parts
    };
    let key = CALLER.verifying_key();
    let code = |policy: RequestPolicy, now| {
        let result = policy.verify(&seen(&parts), key, at(now));
        result.err().map(|error| error.code())
    };
    let longer = policy().with_max_lifetime(Duration::from_secs(600));
    assert_eq!(code(longer.clone(), NOW), None);
    assert_eq!(code(longer.clone(), NOW + 630), None);
    assert_eq!(
        code(longer.with_skew(Skew::ZERO), NOW + 601),
        Some("sig.expired")
    );
    // No configuration allows hours.
    let hours = policy().with_max_lifetime(Duration::from_secs(7200));
    let made = Made {
        lifetime: 631,
        ..of_request()
    };
    let mut parts = request();
    made.apply(&mut parts);
    let error = hours.verify(&seen(&parts), key, at(NOW)).unwrap_err();
    assert_eq!(error.code(), "sig.lifetime");

    let few = policy().with_limits(Limits::default().with_components(7));
    let error = few.verify(&seen(&good()), key, at(NOW)).unwrap_err();
    assert_eq!(error.code(), "sig.limit");
}

#[test]
fn asking_for_a_signed_response_is_a_boolean() {
    for (value, asked) in [
        (BareItem::Boolean(true), SignedResponse::Asked),
        (BareItem::Boolean(false), SignedResponse::Unasked),
    ] {
        let mut parts = request();
        let made = of_request().with("wimse-sign-response", value);
        made.apply(&mut parts);
        assert_eq!(verified(&parts).signed_response(), asked);
    }
    let made = of_request().with("wimse-sign-response", text("true"));
    assert_eq!(refused_as(&made), "sig.parameter_type");
    let made = of_request().with("wimse-sign-response", BareItem::Integer(1));
    assert_eq!(refused_as(&made), "sig.parameter_type");
}

#[test]
fn a_nonce_is_spent_once_by_its_sender() {
    let store = ReplayCache::in_memory(10);
    let spend = |sender, now| {
        let unspent = policy().verify(&seen(&good()), CALLER.verifying_key(), at(now));
        let spent = unspent.unwrap().spend(&store, sender, at(now));
        spent.err().map(|error| error.code())
    };
    assert_eq!(spend(SENDER, NOW), None);
    assert_eq!(spend(SENDER, NOW), Some("replay.replayed"));
    // Another sender may use the same nonce.
    assert_eq!(spend("wimse://example.org/other", NOW), None);
    // The store remembers it for as long as the policy accepts it.
    assert_eq!(spend(SENDER, NOW + 90), Some("replay.replayed"));

    let unspent = verify(&good()).unwrap();
    let error = unspent.spend(&Broken, SENDER, at(NOW)).unwrap_err();
    assert_eq!(error.code(), "replay.unavailable");
    // A receiver can accept replays explicitly.
    drop(verify(&good()).unwrap().accept_replays());
}
