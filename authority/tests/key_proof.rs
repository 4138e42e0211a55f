//! The proof of the key that a WIT is requested for: each negative differs from a valid request in
//! one property.
#![allow(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::string_slice,
    clippy::unwrap_used,
    reason = "a test fails by panicking"
)]

mod common;

use aims_authority::{Enrolment, PresentedProof};
use aims_jose::Algorithm;
use aims_jose::secret::SecretText;
use aims_wimse_cred::{Wit, WitRules};
use common::*;
use serde_json::{Value, json};

/// Enrols `a` with changed claims of the key proof.
fn with_claims(change: impl FnOnce(&mut Value)) -> &'static str {
    let authority = authority();
    let key = es256();
    let mut claims = key_claims(&nonce(&authority, now()), &key, now());
    change(&mut claims);
    let proof = sign("aims-key-proof+jwt", &claims, &key);
    match authority
        .identity()
        .issue_wit(&PresentedProof::Token(&token("a")), &proof, now())
    {
        Ok(_) => "ok",
        Err(error) => error.code(),
    }
}

/// T-047: a nonce is valid once, at this server, for a minute.
#[test]
fn nonces_are_good_once() {
    let authority = authority();
    let (nonce, key) = (nonce(&authority, now()), es256());
    let proof = key_proof(&nonce, &key, now());
    let issue = |at| {
        authority
            .identity()
            .issue_wit(&PresentedProof::Token(&token("b")), &proof, at)
    };
    let _ = issue(now()).unwrap();
    assert_eq!(code(issue(now())), "identity.nonce_used");
    assert_eq!(code(issue(at(NOW + 59))), "identity.nonce_used");
    assert_eq!(code(issue(at(NOW + 60))), "identity.nonce");
}

#[test]
fn nonces_of_another_server_are_none() {
    let (here, there) = (authority(), authority());
    let key = es256();
    let proof = key_proof(&nonce(&there, now()), &key, now());
    let refused = here
        .identity()
        .issue_wit(&PresentedProof::Token(&token("a")), &proof, now());
    assert_eq!(code(refused), "identity.nonce");
}

/// T-049: a refused request uses up nothing.
#[test]
fn a_refused_request_uses_nothing_up() {
    let authority = authority();
    let (nonce, key) = (nonce(&authority, now()), key(Algorithm::EdDsa));
    let proof = key_proof(&nonce, &key, now());
    let refused =
        authority
            .identity()
            .issue_wit(&PresentedProof::Token(&token("a")), &proof, now());
    assert_eq!(code(refused), "identity.key_algorithm");
    let good = es256();
    let proof = key_proof(&nonce, &good, now());
    let _ = authority
        .identity()
        .issue_wit(&PresentedProof::Token(&token("a")), &proof, now())
        .unwrap();
}

/// T-047: a key that the client does not hold.
#[test]
fn a_key_that_is_not_held_gets_nothing() {
    let authority = authority();
    let (own, others) = (es256(), es256());
    let claims = key_claims(&nonce(&authority, now()), &others, now());
    let proof = sign("aims-key-proof+jwt", &claims, &own);
    let refused =
        authority
            .identity()
            .issue_wit(&PresentedProof::Token(&token("a")), &proof, now());
    assert_eq!(code(refused), "identity.proof");
}

/// ENR-02, L8 of an attack on the running programs: an unknown client costs no signature of the key
/// that it requests a WIT for, which an attacker chooses to be the most expensive one.
#[test]
fn the_identity_is_known_before_a_signature_costs() {
    let (bootstrap, stranger) = (es256(), es256());
    let keyed = Enrolment::by_key(
        "spiffe://example.org/agents/k".parse().unwrap(),
        bootstrap.verifying_key().clone(),
    );
    let authority = builder().enrol(keyed).build(now()).unwrap();
    let (own, own_key) = wit(&authority, "b", now());
    let (foreign, foreign_key) = wit(&common::authority(), "b", now());
    let nonce = nonce(&authority, now());
    let requested = key(Algorithm::Es512);
    // The signature is by another key, so verifying it is an error of its own.
    let claims = key_claims(&nonce, &requested, now());
    let forged = sign("aims-key-proof+jwt", &claims, &key(Algorithm::Es512));
    let refused =
        |shown: &PresentedProof<'_>| code(authority.identity().issue_wit(shown, &forged, now()));

    let unknown = SecretText::new("x".repeat(43));
    for (token, expected) in [
        (token("a"), "identity.proof"),
        (unknown, "identity.enrolment"),
    ] {
        assert_eq!(refused(&PresentedProof::Token(&token)), expected);
    }
    for (by, expected) in [
        (&bootstrap, "identity.proof"),
        (&stranger, "identity.enrolment"),
    ] {
        let proof = enrolment_proof(&nonce, &requested, by, now());
        assert_eq!(refused(&PresentedProof::KeyProof(&proof)), expected);
    }
    for (wit, by, expected) in [
        (&own, &own_key, "identity.proof"),
        (&foreign, &foreign_key, "identity.presented_wit"),
    ] {
        let proof = &renewal_proof(&nonce, &requested, by, wit, now());
        assert_eq!(refused(&PresentedProof::Wit { wit, proof }), expected);
    }
}

/// T-047: the key of another workload, from a client that holds both.
#[test]
fn a_key_of_another_identifier_gets_nothing() {
    let authority = authority();
    let key = es256();
    enrol(&authority, "a", &key, now()).unwrap();
    assert_eq!(
        code(enrol(&authority, "b", &key, now())),
        "identity.key_taken"
    );
}

/// T-002, T-014, T-016, T-027: each claim of the proof.
#[test]
fn proofs_are_checked_in_everything() {
    assert_eq!(with_claims(|_| {}), "ok");
    let proof = "identity.proof";
    assert_eq!(
        with_claims(|it| it["aud"] = json!("http://127.0.0.1:8081")),
        proof
    );
    assert_eq!(
        with_claims(|it| it["aud"] = json!([BASE, "https://x.example"])),
        proof
    );
    assert_eq!(with_claims(|it| it["aud"] = json!([BASE])), "ok");
    assert_eq!(with_claims(|it| it["aud"] = json!(null)), proof);
    assert_eq!(with_claims(|it| it["exp"] = json!(NOW - 30)), proof);
    assert_eq!(with_claims(|it| it["exp"] = json!(NOW - 29)), "ok");
    assert_eq!(with_claims(|it| it["exp"] = json!(NOW + 331)), proof);
    assert_eq!(with_claims(|it| it["exp"] = json!(NOW + 330)), "ok");
    assert_eq!(with_claims(|it| it["exp"] = json!(null)), proof);
    assert_eq!(with_claims(|it| it["exp"] = json!(u64::MAX)), proof);
    assert_eq!(with_claims(|it| it["nonce"] = json!("x")), "identity.nonce");
    assert_eq!(with_claims(|it| it["nonce"] = json!(null)), proof);
    assert_eq!(with_claims(|it| it["cnf"] = json!(null)), proof);
    assert_eq!(with_claims(|it| it["cnf"] = json!({})), proof);
    assert_eq!(
        with_claims(|it| it["cnf"]["jwk"]["d"] = json!("AAAA")),
        proof
    );
    assert_eq!(
        with_claims(|it| it["cnf"]["jwk"]["x"] = json!("AAAA")),
        proof
    );
    let without_algorithm = |it: &mut Value| {
        it["cnf"]["jwk"].as_object_mut().unwrap().remove("alg");
    };
    assert_eq!(with_claims(without_algorithm), "identity.key_algorithm");
}

/// T-014: a proof of one kind is not accepted as another kind.
#[test]
fn proofs_of_another_kind_are_refused() {
    let authority = authority();
    let key = es256();
    for typ in [
        "jwt",
        "wit+jwt",
        "wpt+jwt",
        "client-authentication+jwt",
        "aims-enrolment-proof+jwt",
        "aims-renewal-proof+jwt",
        "aims-svid-request+jwt",
    ] {
        let proof = sign(
            typ,
            &key_claims(&nonce(&authority, now()), &key, now()),
            &key,
        );
        let refused =
            authority
                .identity()
                .issue_wit(&PresentedProof::Token(&token("a")), &proof, now());
        assert_eq!(code(refused), "identity.proof", "{typ}");
    }
}

#[test]
fn overlong_proofs_are_refused() {
    assert_eq!(
        with_claims(|it| it["more"] = json!("x".repeat(8_192))),
        "identity.proof"
    );
}

/// SVD-01: an Ed25519 key under the WIT-SVID profile is refused; a `wimse` identifier takes it.
#[test]
fn edwards_keys_are_for_wimse_identifiers() {
    let authority = authority();
    let edwards = || key(Algorithm::EdDsa);
    assert_eq!(
        code(enrol(&authority, "a", &edwards(), now())),
        "identity.key_algorithm"
    );
    let key = edwards();
    let issued = enrol(&authority, "w", &key, now()).unwrap();
    assert_eq!(issued.id.as_str(), "wimse://example.org/agents/w");
    let trust = authority
        .identity()
        .refreshed_trust(now())
        .unwrap()
        .snapshot();
    let wit = Wit::verify(issued.text.expose(), &trust, &WitRules::wit(), now()).unwrap();
    assert_eq!(wit.key().thumbprint(), key.verifying_key().thumbprint());
}
