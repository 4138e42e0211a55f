//! Enrolment at the identity server: identifiers, and the number of uses.
#![allow(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::string_slice,
    clippy::unwrap_used,
    reason = "a test fails by panicking"
)]

mod common;

use std::time::Duration;

use aims_authority::{Enrolment, PresentedProof};
use aims_jose::key::SigningKey;
use aims_wimse_cred::{Wit, WitRules};
use common::*;
use serde_json::json;

#[test]
fn a_declared_workload_gets_its_wit_svid() {
    let authority = authority();
    let key = es256();
    let issued = enrol(&authority, "a", &key, now()).unwrap();
    assert_eq!(issued.id.as_str(), AGENT);
    assert_eq!(issued.expires_in, Duration::from_secs(3_600));
    let trust = authority
        .identity()
        .refreshed_trust(now())
        .unwrap()
        .snapshot();
    let wit = Wit::verify(issued.text.expose(), &trust, &WitRules::wit_svid(), now()).unwrap();
    assert_eq!(wit.id().as_str(), AGENT);
    assert_eq!(wit.key().thumbprint(), key.verifying_key().thumbprint());
    let claims = claims(issued.text.expose());
    assert_eq!(claims["iss"], BASE);
    assert_eq!(claims["exp"], NOW + 3_600);
    assert!(claims.get("aud").is_none());
}

#[test]
fn a_bootstrap_key_enrols_as_often_as_it_likes() {
    let bootstrap = es256();
    let enrolment = Enrolment::by_key(AGENT.parse().unwrap(), bootstrap.verifying_key().clone());
    let authority = aims_authority::Authority::builder(BASE, aims_jose::provider::AWS_LC)
        .trust_domain("example.org")
        .enrol(enrolment)
        .build(now())
        .unwrap();
    for _ in 0..2 {
        let (nonce, key) = (nonce(&authority, now()), es256());
        let shown = enrolment_proof(&nonce, &key, &bootstrap, now());
        let proof = key_proof(&nonce, &key, now());
        let issued = authority
            .identity()
            .issue_wit(&PresentedProof::KeyProof(&shown), &proof, now())
            .unwrap();
        assert_eq!(issued.id.as_str(), AGENT);
    }
}

/// T-049, T-141: wrong, used, expired and withdrawn tokens.
#[test]
fn tokens_that_are_not_good_enrol_nobody() {
    let authority = authority();
    assert_eq!(
        code(enrol(&authority, "nobody", &es256(), now())),
        "identity.enrolment"
    );
    enrol(&authority, "a", &es256(), now()).unwrap();
    assert_eq!(
        code(enrol(&authority, "a", &es256(), now())),
        "identity.enrolment_used"
    );
    let id = "spiffe://example.org/agents/late";
    let late = enrolment(id).expiring(at(NOW + 10));
    authority.identity().declare(late, now()).unwrap();
    assert_eq!(
        code(enrol(&authority, "late", &es256(), at(NOW + 10))),
        "identity.enrolment_expired"
    );
    enrol(&authority, "late", &es256(), at(NOW + 9)).unwrap();
    authority
        .identity()
        .withdraw(&"spiffe://example.org/agents/b".parse().unwrap(), now())
        .unwrap();
    assert_eq!(
        code(enrol(&authority, "b", &es256(), now())),
        "identity.enrolment"
    );
}

/// T-022: a prefix of a token, a longer text, and the empty text are refused.
#[test]
fn tokens_are_compared_whole() {
    let authority = authority();
    let good = token("a");
    for shown in [
        "",
        &good.expose()[..good.len() - 1],
        &format!("{}x", good.expose()),
    ] {
        let proof = key_proof(&nonce(&authority, now()), &es256(), now());
        let shown = aims_jose::secret::SecretText::new(shown);
        let refused = authority
            .identity()
            .issue_wit(&PresentedProof::Token(&shown), &proof, now());
        assert_eq!(code(refused), "identity.enrolment");
    }
}

/// A bootstrap proof by another key, over another key, or with the nonce of another exchange.
#[test]
fn bootstrap_proofs_are_checked_in_everything() {
    let (bootstrap, stranger) = (es256(), es256());
    let authority = builder()
        .enrol(Enrolment::by_key(
            "spiffe://example.org/agents/k".parse().unwrap(),
            bootstrap.verifying_key().clone(),
        ))
        .build(now())
        .unwrap();
    let key = es256();
    let issue = |shown: &dyn Fn(&str) -> String| {
        let nonce = nonce(&authority, now());
        let proof = key_proof(&nonce, &key, now());
        let shown = shown(&nonce);
        match authority
            .identity()
            .issue_wit(&PresentedProof::KeyProof(&shown), &proof, now())
        {
            Ok(_) => "ok",
            Err(error) => error.code(),
        }
    };
    let by = |signer: SigningKey, kid: &SigningKey, about: &SigningKey, nonce: &str| {
        let kid = kid.verifying_key().thumbprint().to_string();
        let claims = about_claims(nonce, about, now());
        sign(
            "aims-enrolment-proof+jwt",
            &claims,
            &signer.with_key_id(kid),
        )
    };
    assert_eq!(issue(&|n| by(bootstrap.clone(), &bootstrap, &key, n)), "ok");
    let unknown = issue(&|n| by(stranger.clone(), &stranger, &key, n));
    assert_eq!(unknown, "identity.enrolment");
    let forged = issue(&|n| by(stranger.clone(), &bootstrap, &key, n));
    assert_eq!(forged, "identity.proof");
    let about = issue(&|n| by(bootstrap.clone(), &bootstrap, &stranger, n));
    assert_eq!(about, "identity.proof_binding");
    let other = nonce(&authority, now());
    let conversation = issue(&|_| by(bootstrap.clone(), &bootstrap, &key, &other));
    assert_eq!(conversation, "identity.proof_binding");
    let unnamed = issue(&|n| {
        sign(
            "aims-enrolment-proof+jwt",
            &about_claims(n, &key, now()),
            &bootstrap,
        )
    });
    assert_eq!(unnamed, "identity.enrolment");
}

/// T-046: no text of the client becomes its identifier.
#[test]
fn a_caller_names_no_identity() {
    let authority = authority();
    let key = es256();
    let mut claims = key_claims(&nonce(&authority, now()), &key, now());
    for name in ["sub", "id", "identifier", "spiffe_id", "iss"] {
        claims[name] = json!("spiffe://example.org/agents/admin");
    }
    let proof = sign("aims-key-proof+jwt", &claims, &key);
    let shown = token("a");
    let issued = authority
        .identity()
        .issue_wit(&PresentedProof::Token(&shown), &proof, now())
        .unwrap();
    assert_eq!(common::claims(issued.text.expose())["sub"], AGENT);
}

/// T-046: an identifier outside the trust domain cannot be declared.
#[test]
fn enrolments_lie_beneath_the_trust_domain() {
    let authority = authority();
    for id in [
        "spiffe://example.com/agents/x",
        "spiffe://example.org.evil/agents/x",
        "wimse://example.com/agents/x",
        "spiffe://example.org",
    ] {
        let enrolment = Enrolment::by_token(id.parse().unwrap(), &token("x")).unwrap();
        assert_eq!(
            code(authority.identity().declare(enrolment, now())),
            "authority.enrolment_origin",
            "{id}"
        );
    }
}

/// ID-11.
#[test]
fn an_identifier_is_not_given_to_a_second_principal() {
    let authority = authority();
    let second = || Enrolment::by_token(AGENT.parse().unwrap(), &token("second")).unwrap();
    let declare = |at| authority.identity().declare(second(), at);
    assert_eq!(code(declare(now())), "authority.identifier_held");
    enrol(&authority, "a", &es256(), now()).unwrap();
    authority
        .identity()
        .withdraw(&AGENT.parse().unwrap(), now())
        .unwrap();
    assert_eq!(code(declare(at(NOW + 3_659))), "authority.identifier_held");
    declare(at(NOW + 3_660)).unwrap();
}
