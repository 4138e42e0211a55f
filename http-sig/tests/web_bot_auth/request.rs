//! Requirements for signed requests.

use std::sync::Mutex;
use std::time::Duration;

use aims_http_sig::profile::web_bot_auth::{
    AgentKeys, Agents, Claim, RequestPolicy, RequestSigning, Revision, SignatureAgent, status,
    wanted_signature,
};
use aims_http_sig::{
    Algorithm, Algorithms, Component, Error, HttpRequest, Limits, Message, Section, Start,
};
use aims_jose::key::{SigningKey, VerifyingKey};
use aims_jose::random::SYSTEM;
use aims_jose::time::Skew;
use aims_replay::ReplayCache;
use http::{HeaderMap, HeaderValue};

use crate::support::*;

#[test]
fn a_good_request_names_its_agent() {
    let verified = verify(&good()).unwrap().accept_replays();
    assert_eq!(verified.agent(), Some(IDENTIFIER));
    assert_eq!(verified.key_id(), KEY.verifying_key().thumbprint());
    assert_eq!(verified.signature_agent(), Some(&agent()));
    let signature = verified.signature();
    for (component, value) in [
        (Component::AUTHORITY, "shop.example"),
        (Component::METHOD, "GET"),
        (Component::PATH, "/offers"),
    ] {
        assert_eq!(signature.value(&component), Some(value));
    }
    assert!(!signature.covers(&Component::QUERY));
    assert_eq!(made().code(), None, "the least there may be");
}

#[test]
fn what_is_covered_is_chosen_by_words() {
    let covered = |signing: RequestSigning| {
        let mut parts = request(Some(&signing.signature_agent()));
        parts
            .headers
            .insert("content-digest", "sha-256=:AAAA:".parse().unwrap());
        let prepared = signing.prepare(&seen(&parts), SYSTEM, at(NOW)).unwrap();
        let base = prepared.base().signature_params().to_owned();
        let fields = prepared.sign(&*KEY).unwrap();
        fields.apply(&mut parts.headers).unwrap();
        assert_eq!(code(&parts), None);
        base.split(')').next().unwrap().to_owned()
    };
    assert_eq!(
        covered(signing()),
        r#"("@authority" "@method" "@path" "content-digest" "signature-agent";key="sig1""#
    );
    assert_eq!(
        covered(signing().covering_authority_alone().with_label("a")),
        r#"("@authority" "signature-agent";key="a""#
    );
    assert_eq!(
        covered(signing().covering_target_uri()),
        r#"("@target-uri" "@method" "content-digest" "signature-agent";key="sig1""#
    );
    assert_eq!(
        covered(signing().covering([Component::QUERY])),
        r#"("@authority" "@method" "@path" "@query" "content-digest" "signature-agent";key="sig1""#
    );
}

/// `keyid` is the thumbprint, and the algorithm is that of the key. Shared keys are refused.
#[test]
fn key_and_algorithm_fit() {
    let with = |key_id: Option<&str>| Made {
        key_id: key_id.map(str::to_owned),
        ..made()
    };
    assert_eq!(with(None).code(), Some("sig.parameter_required"));
    assert_eq!(with(Some("key-1")).code(), Some("sig.parameter_type"));
    let other = OTHER.verifying_key().thumbprint().to_string();
    assert_eq!(with(Some(&other)).code(), Some("sig.agent_key_unknown"));

    let few = RequestPolicy::new()
        .with_revision(Revision::Draft00)
        .with_algorithms(Algorithms::of(&[Algorithm::RsaPssSha512]));
    let error = few.verify(&seen(&good()), &agents(), at(NOW)).unwrap_err();
    assert_eq!(error.code(), "sig.algorithm_forbidden");
    let mut parts = request(Some(r#"sig1="https://crawler.example""#));
    made().apply(&mut parts, &OTHER);
    assert_eq!(code(&parts), Some("sig.signature"));
}

/// A key of one agent is not accepted for the URL of another agent.
#[test]
fn keys_are_found_by_url_and_thumbprint() {
    let elsewhere = made().code_with(r#"sig1="https://other.example""#);
    assert_eq!(elsewhere, Some("sig.agent_key_unknown"));
    let mut parts = request(Some(r#"sig1="https://nobody.example""#));
    made().apply(&mut parts, &KEY);
    let error = verify(&parts).unwrap_err();
    let Error::AgentKeyUnknown { agent, key_id } = &error else {
        unreachable!("{error}")
    };
    let expected = "https://nobody.example/.well-known/http-message-signatures-directory";
    assert_eq!(agent.as_deref(), Some(expected));
    assert_eq!(*key_id, KEY.verifying_key().thumbprint().to_string());
    // `claims` returns the same URL before any verification.
    let claims = RequestPolicy::new()
        .with_revision(Revision::Draft00)
        .claims(&seen(&parts))
        .unwrap();
    let located: Vec<_> = claims
        .iter()
        .filter_map(|claim| claim.agent().map(SignatureAgent::location))
        .collect();
    assert_eq!(located, [expected]);
}

#[test]
fn components_are_required() {
    let covering = |components: &[&'static str]| Made {
        components: components.to_vec(),
        ..made()
    };
    const AGENT: &str = "signature-agent;key=\"sig1\"";
    assert_eq!(covering(&["@target-uri", AGENT]).code(), None);
    let required = Some("sig.component_required");
    assert_eq!(covering(&["@method", "@path", AGENT]).code(), required);
    assert_eq!(covering(&["@authority"]).code(), required);
    // Earlier drafts cover the field as a whole.
    let whole = covering(&["@authority", "signature-agent"]);
    assert_eq!(whole.code(), required);
    let mut parts = request(None);
    covering(&["@authority"]).apply(&mut parts, &KEY);
    assert_eq!(code(&parts), required);
}

#[test]
fn parameters_are_required() {
    let required = Some("sig.parameter_required");
    let made_without = Made {
        created: false,
        ..made()
    };
    assert_eq!(made_without.code(), required);
    let made_without = Made {
        lifetime: None,
        ..made()
    };
    assert_eq!(made_without.code(), required);
    for tag in [None, Some("web-bot-auth2"), Some("cdn")] {
        let made = Made { tag, ..made() };
        assert_eq!(made.code(), Some("sig.missing"), "{tag:?}");
    }
    assert_eq!(code(&request(None)), Some("sig.missing"));
}

#[test]
fn a_signature_lives_a_day_at_most() {
    let lives = |lifetime: u64| Made {
        lifetime: Some(lifetime),
        ..made()
    };
    assert_eq!(lives(24 * 3600).code(), None);
    assert_eq!(lives(24 * 3600 + 1).code(), Some("sig.lifetime"));
    let code = |policy: RequestPolicy, lifetime, now| {
        let mut parts = request(Some(r#"sig1="https://crawler.example""#));
        lives(lifetime).apply(&mut parts, &KEY);
        let result = policy.verify(&seen(&parts), &agents(), at(now));
        result.err().map(|error| error.code())
    };
    let new = || RequestPolicy::new().with_revision(Revision::Draft00);
    assert_eq!(code(new(), 60, NOW + 90), None);
    assert_eq!(code(new(), 60, NOW + 91), Some("sig.expired"));
    assert_eq!(
        code(new().with_skew(Skew::ZERO), 60, NOW + 61),
        Some("sig.expired")
    );
    assert_eq!(code(new(), 60, NOW - 31), Some("sig.created_in_future"));
    let minute = new().with_max_lifetime(Duration::from_secs(60));
    assert_eq!(code(minute.clone(), 60, NOW), None);
    assert_eq!(code(minute, 61, NOW), Some("sig.lifetime"));
    let longer = new().with_max_lifetime(Duration::from_secs(u64::MAX));
    assert_eq!(code(longer, 24 * 3600 + 1, NOW), Some("sig.lifetime"));
    let few = new().with_limits(Limits::default().with_components(1));
    assert_eq!(code(few, 60, NOW), Some("sig.limit"));
    for (lifetime, code) in [
        (Duration::from_millis(999), Some("sig.prepare")),
        (Duration::from_secs(1), None),
        (Duration::from_secs(24 * 3600), None),
        (Duration::from_secs(24 * 3600 + 1), Some("sig.lifetime")),
    ] {
        let signing = signing().with_lifetime(lifetime);
        let parts = request(Some(&signing.signature_agent()));
        let error = signing.prepare(&seen(&parts), SYSTEM, at(NOW)).err();
        assert_eq!(error.map(|error| error.code()), code, "{lifetime:?}");
    }
}

/// Each signature has its own member; the covered member counts, not the label.
#[test]
fn the_agent_is_a_covered_member() {
    let both = r#"sig1="https://crawler.example", b="https://other.example""#;
    let covering = |label, components: &[&'static str]| Made {
        label,
        components: components.to_vec(),
        ..made()
    };
    const A: &str = "signature-agent;key=\"sig1\"";
    const B: &str = "signature-agent;key=\"b\"";
    assert_eq!(covering("sig1", &["@authority", A]).code_with(both), None);
    // Under another label, as changed on the way, the only covered member counts.
    assert_eq!(covering("x", &["@authority", A]).code_with(both), None);
    let unknown = Some("sig.agent_key_unknown");
    assert_eq!(
        covering("sig1", &["@authority", B]).code_with(both),
        unknown
    );
    // Of two covered members, the one under the label counts.
    assert_eq!(
        covering("sig1", &["@authority", B, A]).code_with(both),
        None
    );
    assert_eq!(
        covering("b", &["@authority", A, B]).code_with(both),
        unknown
    );
    assert_eq!(
        covering("x", &["@authority", A, B]).code_with(both),
        Some("sig.agent_ambiguous")
    );
    // The covered member is unchanged.
    let mut parts = good();
    let value = r#"sig1="https://other.example""#.parse().unwrap();
    parts.headers.insert("signature-agent", value);
    assert_eq!(code(&parts), unknown);
    let mut agents = agents();
    let other = SignatureAgent::directory("https://other.example").unwrap();
    agents.insert(&other, directory_of(&[&KEY]));
    let result = RequestPolicy::new()
        .with_revision(Revision::Draft00)
        .verify(&seen(&parts), &agents, at(NOW));
    assert_eq!(result.unwrap_err().code(), "sig.signature");
}

#[test]
fn several_signatures_are_taken_by_a_word() {
    let mut parts = request(Some(
        r#"sig1="https://crawler.example", b="https://other.example""#,
    ));
    made().apply(&mut parts, &KEY);
    let second = Made {
        label: "b",
        components: vec!["@authority", "signature-agent;key=\"b\""],
        key_id: Some(OTHER.verifying_key().thumbprint().to_string()),
        ..made()
    };
    let mut bad = parts.clone();
    second.apply(&mut parts, &OTHER);
    second.apply(&mut bad, &KEY);
    assert_eq!(code(&parts), Some("sig.ambiguous"));
    let each = |parts| {
        RequestPolicy::new()
            .with_revision(Revision::Draft00)
            .verify_each(&seen(parts), &agents(), at(NOW))
    };
    let agents: Vec<_> = each(&parts)
        .unwrap()
        .into_iter()
        .map(|one| one.accept_replays().agent().unwrap().to_owned())
        .collect();
    assert_eq!(agents.len(), 2);
    assert!(agents.first() == Some(&IDENTIFIER.to_owned()));
    assert_eq!(each(&bad).unwrap_err().code(), "sig.signature");
    assert_eq!(each(&request(None)).unwrap_err().code(), "sig.missing");
}

/// The work for an unauthenticated client, before a key is looked up, does not grow with the number
/// of signatures times the length of the fields (T-071).
#[test]
fn fields_are_read_once_for_all_signatures() {
    struct Counted<'a> {
        request: HttpRequest<'a>,
        reads: Mutex<Vec<String>>,
    }

    impl Message for Counted<'_> {
        fn start(&self) -> Start<'_> {
            self.request.start()
        }

        fn lines<'m>(&'m self, section: Section, name: &str, each: &mut dyn FnMut(&'m [u8])) {
            self.reads.lock().unwrap().push(name.to_owned());
            self.request.lines(section, name, each);
        }
    }

    const LABELS: [&str; 8] = ["sig1", "a1", "a2", "a3", "a4", "a5", "a6", "a7"];
    let members = LABELS.map(|label| agent().to_member(label)).join(", ");
    let mut parts = request(Some(&members));
    for label in LABELS {
        Made { label, ..made() }.apply(&mut parts, &KEY);
    }
    let counted = Counted {
        request: seen(&parts),
        reads: Mutex::default(),
    };
    let claims = RequestPolicy::new()
        .with_revision(Revision::Draft00)
        .claims(&counted)
        .unwrap();
    assert_eq!(claims.len(), LABELS.len());
    let mut reads = counted.reads.into_inner().unwrap();
    reads.sort();
    assert_eq!(reads, ["signature", "signature-agent", "signature-input"]);
}

/// A second signer that covers the first signature also covers its components (draft §"Multiple
/// Signatures").
#[test]
fn a_covered_signature_is_covered_with_its_message() {
    let first = || {
        let mut parts = request(Some(
            r#"sig1="https://crawler.example", b="https://other.example""#,
        ));
        made().apply(&mut parts, &KEY);
        parts
    };
    let other = SignatureAgent::directory("https://other.example").unwrap();
    let second = |components: &[&str]| {
        let mut parts = first();
        let components = components.iter().map(|one| one.parse().unwrap());
        let signing = RequestSigning::new(other.clone(), OTHER.verifying_key())
            .unwrap()
            .with_label("b")
            .covering_authority_alone()
            .covering(components.collect::<Vec<Component>>());
        let prepared = signing.prepare(&seen(&parts), SYSTEM, at(NOW))?;
        let fields = prepared.sign(&*OTHER).unwrap();
        fields.apply(&mut parts.headers).unwrap();
        let each = RequestPolicy::new()
            .with_revision(Revision::Draft00)
            .verify_each(&seen(&parts), &agents(), at(NOW))?;
        Ok::<_, Error>(each.len())
    };
    const AGENT: &str = "signature-agent;key=\"sig1\"";
    const INPUT: &str = "signature-input;key=\"sig1\"";
    const SIGNATURE: &str = "signature;key=\"sig1\"";
    assert_eq!(second(&[AGENT, INPUT, SIGNATURE]).unwrap(), 2);
    assert_eq!(second(&[INPUT]).unwrap(), 2, "which is no signature");
    for components in [
        &[AGENT, SIGNATURE][..],
        &[INPUT, SIGNATURE],
        &[AGENT, INPUT, "signature"],
        &[AGENT, INPUT, "signature;bs"],
    ] {
        let error = second(components).unwrap_err();
        assert_eq!(error.code(), "sig.component_required", "{components:?}");
    }
}

#[test]
fn older_forms_are_taken_by_a_word() {
    let legacy = Made {
        components: vec!["@authority", "signature-agent"],
        ..made()
    };
    let mut parts = request(Some(r#""https://crawler.example""#));
    legacy.apply(&mut parts, &KEY);
    assert_eq!(code(&parts), Some("sig.component_required"));
    let policy = RequestPolicy::new()
        .with_revision(Revision::Draft00)
        .accept_legacy_agent();
    let verified = policy.verify(&seen(&parts), &agents(), at(NOW)).unwrap();
    assert_eq!(verified.accept_replays().agent(), Some(IDENTIFIER));
    // A bare string is not a member of a dictionary.
    let mut parts = request(Some(r#"sig1="https://crawler.example""#));
    legacy.apply(&mut parts, &KEY);
    let error = policy.verify(&seen(&parts), &agents(), at(NOW));
    assert_eq!(error.unwrap_err().code(), "sig.component_required");

    let without = Made {
        components: vec!["@authority"],
        ..made()
    };
    let mut parts = request(None);
    without.apply(&mut parts, &KEY);
    let policy = RequestPolicy::new()
        .with_revision(Revision::Draft00)
        .accept_no_agent();
    let error = policy.verify(&seen(&parts), &agents(), at(NOW));
    // A key of a directory is not accepted without its agent.
    assert_eq!(error.unwrap_err().code(), "sig.agent_key_unknown");
    let mut known = Agents::new();
    known.insert_key(KEY.verifying_key().clone());
    let verified = policy.verify(&seen(&parts), &known, at(NOW)).unwrap();
    assert_eq!(verified.accept_replays().agent(), None);
}

/// The older form is accepted only if it is covered as a whole.
#[test]
fn the_older_string_is_covered_and_alone() {
    let policy = RequestPolicy::new()
        .with_revision(Revision::Draft00)
        .accept_legacy_agent();
    let code = |value: &str, components: &[&'static str]| {
        let mut parts = request(Some(value));
        let made = Made {
            components: components.to_vec(),
            ..made()
        };
        made.apply(&mut parts, &KEY);
        let result = policy.verify(&seen(&parts), &agents(), at(NOW));
        result.err().map(|error| error.code())
    };
    let string = r#""https://crawler.example""#;
    let covered = &["@authority", "signature-agent"];
    assert_eq!(code(string, covered), None);
    // An intermediary could otherwise insert any other agent that has published this key.
    assert_eq!(
        code(string, &["@authority"]),
        Some("sig.component_required")
    );
    for behind in [";type=jwks_uri", ", \"https://other.example\"", "x"] {
        let value = format!("{string}{behind}");
        assert_eq!(code(&value, covered), Some("sig.agent"), "{value}");
    }
}

/// Even if the policy requires no agent, an agent in the field must be covered.
#[test]
fn an_agent_that_is_named_is_covered() {
    let policy = RequestPolicy::new()
        .with_revision(Revision::Draft00)
        .accept_no_agent();
    let mut known = agents();
    known.insert_key(KEY.verifying_key().clone());
    let code = |signature_agent: Option<&str>| {
        let mut parts = request(signature_agent);
        let made = Made {
            components: vec!["@authority"],
            ..made()
        };
        made.apply(&mut parts, &KEY);
        let result = policy.verify(&seen(&parts), &known, at(NOW));
        result.err().map(|error| error.code())
    };
    assert_eq!(code(None), None);
    let named = code(Some(r#"sig1="https://crawler.example""#));
    assert_eq!(named, Some("sig.component_required"));
}

/// The member is one of the header section. In the trailers, another one would be signed than is
/// read.
#[test]
fn the_covered_member_is_that_of_the_headers() {
    let mut headers = request(Some(r#"sig1="https://crawler.example""#));
    let value = HeaderValue::from_static("sig1=:AAAA:");
    headers.headers.insert("content-digest", value);
    let mut trailers = HeaderMap::new();
    let value = HeaderValue::from_static(r#"sig1="https://other.example""#);
    trailers.insert("signature-agent", value);
    let code = |component: &'static str| {
        let mut parts = headers.clone();
        let message = headers.clone();
        let message = seen(&message).with_trailers(&trailers);
        let made = Made {
            components: vec!["@authority", component],
            ..made()
        };
        made.apply_to(&message, &mut parts.headers, &KEY);
        let message = seen(&parts).with_trailers(&trailers);
        let result = RequestPolicy::new()
            .with_revision(Revision::Draft00)
            .verify(&message, &agents(), at(NOW));
        result.err().map(|error| error.code())
    };
    let required = Some("sig.component_required");
    assert_eq!(code("signature-agent;key=\"sig1\""), None);
    assert_eq!(code("signature-agent;key=\"sig1\";tr"), required);
    assert_eq!(code("signature-agent;key=\"sig1\";sf"), required);
    // The member of another field with the same key does not count.
    assert_eq!(code("content-digest;key=\"sig1\""), required);
}

/// A key source that returns another key than the requested thumbprint is refused.
#[test]
fn a_key_has_the_thumbprint_of_the_claim() {
    #[derive(Debug)]
    struct Deaf;

    impl AgentKeys for Deaf {
        fn find(&self, _claim: &Claim) -> Result<VerifyingKey, Error> {
            Ok(OTHER.verifying_key().clone())
        }
    }

    let code = |claimed: &SigningKey| {
        let mut parts = request(Some(r#"sig1="https://crawler.example""#));
        let made = Made {
            key_id: Some(claimed.verifying_key().thumbprint().to_string()),
            ..made()
        };
        made.apply(&mut parts, &OTHER);
        let result = RequestPolicy::new()
            .with_revision(Revision::Draft00)
            .verify(&seen(&parts), &Deaf, at(NOW));
        result.err().map(|error| error.code())
    };
    assert_eq!(code(&OTHER), None);
    assert_eq!(code(&KEY), Some("sig.agent_key_unknown"));
}

#[test]
fn a_nonce_is_spent_once() {
    let store = ReplayCache::in_memory(10);
    let spend = |parts| {
        let spent = verify(parts).unwrap().spend(&store, at(NOW));
        spent.err().map(|error| error.code())
    };
    let parts = good();
    assert_eq!(spend(&parts), None);
    assert_eq!(spend(&parts), Some("replay.replayed"));
    let mut without = request(Some(r#"sig1="https://crawler.example""#));
    let made = Made {
        nonce: None,
        ..made()
    };
    made.apply(&mut without, &KEY);
    assert_eq!(spend(&without), Some("sig.parameter_required"));
}

#[test]
fn what_is_signed_is_in_the_message() {
    let code = |agent: Option<&str>| {
        let parts = request(agent);
        let prepared = signing().prepare(&seen(&parts), SYSTEM, at(NOW));
        prepared.err().map(|error| error.code())
    };
    assert_eq!(code(Some(r#"sig1="https://crawler.example""#)), None);
    assert_eq!(code(None), Some("sig.component_absent"));
    let other = Some(r#"sig1="https://other.example""#);
    assert_eq!(code(other), Some("sig.agent"));
}

#[test]
fn a_receiver_asks_and_answers() {
    assert_eq!(
        wanted_signature("sig1").unwrap().to_field_value().unwrap(),
        r#"sig1=("@authority" "@method" "@path" "signature-agent";key="sig1");created;expires;tag="web-bot-auth""#
    );
    for (error, expected) in [
        (
            Error::SignatureMissing {
                found: "none".into(),
            },
            403,
        ),
        (Error::Signature, 403),
        (Error::Expired, 403),
        (Error::SignatureAgent, 400),
        (Error::Syntax { field: "signature" }, 400),
        (Error::Replay(aims_replay::Error::Replayed), 429),
        (Error::Replay(aims_replay::Error::Unavailable), 503),
    ] {
        assert_eq!(status(&error).as_u16(), expected, "{error}");
    }
}
