//! The identity server's core: each negative differs from a good request in one thing.
#![allow(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::string_slice,
    clippy::unwrap_used,
    reason = "a test fails by panicking"
)]

mod common;

use std::time::Duration;

use authority::{Enrolment, Shown};
use common::*;
use jose::Algorithm;
use jose::key::SigningKey;
use serde_json::{Value, json};
use wimse_cred::{Wit, WitRules};
use wimse_id::Scheme;

fn code<T: std::fmt::Debug>(result: Result<T, authority::Error>) -> &'static str {
    result.unwrap_err().code()
}

/// Enrols `a` with changed claims of the key proof.
fn with_claims(change: impl FnOnce(&mut Value)) -> &'static str {
    let authority = authority();
    let key = es256();
    let mut claims = key_claims(&nonce(&authority, now()), &key, now());
    change(&mut claims);
    let proof = sign("aims-key-proof+jwt", &claims, &key);
    match authority
        .identity()
        .issue_wit(&Shown::Token(&token("a")), &proof, now())
    {
        Ok(_) => "ok",
        Err(error) => error.code(),
    }
}

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
    let authority = authority::Authority::builder(BASE, jose::provider::AWS_LC)
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
            .issue_wit(&Shown::KeyProof(&shown), &proof, now())
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
        .withdraw(&"spiffe://example.org/agents/b".parse().unwrap(), now());
    assert_eq!(
        code(enrol(&authority, "b", &es256(), now())),
        "identity.enrolment"
    );
}

/// T-022: a prefix, a longer text and the empty one are no tokens.
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
        let shown = jose::secret::SecretText::new(shown);
        let refused = authority
            .identity()
            .issue_wit(&Shown::Token(&shown), &proof, now());
        assert_eq!(code(refused), "identity.enrolment");
    }
}

/// T-047: a nonce is good once, here, for a minute.
#[test]
fn nonces_are_good_once() {
    let authority = authority();
    let (nonce, key) = (nonce(&authority, now()), es256());
    let proof = key_proof(&nonce, &key, now());
    let issue = |at| {
        authority
            .identity()
            .issue_wit(&Shown::Token(&token("b")), &proof, at)
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
        .issue_wit(&Shown::Token(&token("a")), &proof, now());
    assert_eq!(code(refused), "identity.nonce");
}

/// T-049: nothing is used up by a request that is refused.
#[test]
fn a_refused_request_uses_nothing_up() {
    let authority = authority();
    let (nonce, key) = (nonce(&authority, now()), key(Algorithm::EdDsa));
    let proof = key_proof(&nonce, &key, now());
    let refused = authority
        .identity()
        .issue_wit(&Shown::Token(&token("a")), &proof, now());
    assert_eq!(code(refused), "identity.key_algorithm");
    let good = es256();
    let proof = key_proof(&nonce, &good, now());
    let _ = authority
        .identity()
        .issue_wit(&Shown::Token(&token("a")), &proof, now())
        .unwrap();
}

/// T-047: a key that the caller does not hold.
#[test]
fn a_key_that_is_not_held_gets_nothing() {
    let authority = authority();
    let (own, others) = (es256(), es256());
    let claims = key_claims(&nonce(&authority, now()), &others, now());
    let proof = sign("aims-key-proof+jwt", &claims, &own);
    let refused = authority
        .identity()
        .issue_wit(&Shown::Token(&token("a")), &proof, now());
    assert_eq!(code(refused), "identity.proof");
}

/// T-047: the key of another workload, by a caller that has both.
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

/// T-014: no proof of one kind for another.
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
        let refused = authority
            .identity()
            .issue_wit(&Shown::Token(&token("a")), &proof, now());
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

/// T-046: nothing that a caller writes becomes its identifier.
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
        .issue_wit(&Shown::Token(&shown), &proof, now())
        .unwrap();
    assert_eq!(common::claims(issued.text.expose())["sub"], AGENT);
}

/// T-046: identifiers that are not this authority's cannot even be declared.
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
        .withdraw(&AGENT.parse().unwrap(), now());
    assert_eq!(code(declare(at(NOW + 3_659))), "authority.identifier_held");
    declare(at(NOW + 3_660)).unwrap();
}

struct Renewal {
    authority: authority::Authority,
    wit: String,
    key: SigningKey,
    new: SigningKey,
}

impl Renewal {
    fn new() -> Self {
        let authority = authority();
        let (wit, key) = wit(&authority, "a", now());
        Self {
            authority,
            wit,
            key,
            new: es256(),
        }
    }

    fn renew(&self, proof: &str, key_proof: &str, at: u64) -> Result<String, authority::Error> {
        let shown = Shown::Wit {
            wit: &self.wit,
            proof,
        };
        let issued = self
            .authority
            .identity()
            .issue_wit(&shown, key_proof, common::at(at))?;
        Ok(issued.text.expose().to_owned())
    }

    /// A renewal a minute later, with changed claims of the renewal proof.
    fn with(&self, by: &SigningKey, change: impl FnOnce(&mut Value)) -> &'static str {
        let later = at(NOW + 60);
        let nonce = nonce(&self.authority, later);
        let mut claims = renewal_claims(&nonce, &self.new, &self.wit, later);
        change(&mut claims);
        let proof = sign("aims-renewal-proof+jwt", &claims, by);
        match self.renew(&proof, &key_proof(&nonce, &self.new, later), NOW + 60) {
            Ok(_) => "ok",
            Err(error) => error.code(),
        }
    }
}

#[test]
fn a_wit_renews_itself() {
    let it = Renewal::new();
    assert_eq!(it.with(&it.key, |_| {}), "ok");
    // The same key again: it is the same holder.
    let later = at(NOW + 120);
    let nonce = nonce(&it.authority, later);
    let proof = renewal_proof(&nonce, &it.key, &it.key, &it.wit, later);
    let renewed = it
        .renew(&proof, &key_proof(&nonce, &it.key, later), NOW + 120)
        .unwrap();
    assert_eq!(claims(&renewed)["sub"], AGENT);
    assert_eq!(claims(&renewed)["exp"], NOW + 120 + 3_600);
}

/// T-033, T-047: a stolen WIT renews nothing.
#[test]
fn renewals_are_checked_in_everything() {
    let it = Renewal::new();
    assert_eq!(it.with(&es256(), |_| {}), "identity.proof");
    assert_eq!(it.with(&it.new, |_| {}), "identity.proof");
    let other = es256().verifying_key().thumbprint().to_string();
    assert_eq!(
        it.with(&it.key, |c| c["jkt"] = json!(other)),
        "identity.proof_binding"
    );
    let other = jose::digest::sha256_base64url("other");
    assert_eq!(
        it.with(&it.key, |c| c["wth"] = json!(other)),
        "identity.proof_binding"
    );
    let remove = |name: &'static str| {
        move |claims: &mut Value| {
            claims.as_object_mut().unwrap().remove(name);
        }
    };
    assert_eq!(it.with(&it.key, remove("wth")), "identity.proof_binding");
    assert_eq!(it.with(&it.key, remove("jkt")), "identity.proof_binding");
    let another = nonce(&it.authority, at(NOW + 60));
    assert_eq!(
        it.with(&it.key, |c| c["nonce"] = json!(another)),
        "identity.proof_binding"
    );
    assert_eq!(
        it.with(&it.key, |c| c["aud"] = json!("https://x")),
        "identity.proof"
    );
}

/// WIT-08, T-038: an expired WIT, one of another authority, and one whose identity was withdrawn.
#[test]
fn wits_that_are_not_good_renew_nothing() {
    let mut it = Renewal::new();
    let renew = |it: &Renewal, at: u64| {
        let nonce = nonce(&it.authority, common::at(at));
        let proof = renewal_proof(&nonce, &it.new, &it.key, &it.wit, common::at(at));
        let key_proof = key_proof(&nonce, &it.new, common::at(at));
        it.renew(&proof, &key_proof, at)
            .map_or_else(|error| error.code(), |_| "ok")
    };
    assert_eq!(renew(&it, NOW + 3_600 + 61), "identity.presented_wit");
    let own = std::mem::replace(&mut it.wit, wit(&authority(), "a", now()).0);
    assert_eq!(renew(&it, NOW), "identity.presented_wit");
    it.wit = own;
    assert_eq!(renew(&it, NOW), "ok");
    it.authority
        .identity()
        .withdraw(&AGENT.parse().unwrap(), now());
    assert_eq!(renew(&it, NOW), "identity.withdrawn");
}

/// A bootstrap proof of another key, about another key, of another conversation.
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
            .issue_wit(&Shown::KeyProof(&shown), &proof, now())
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

/// SVD-02: a JWT-SVID for this authority, and for nobody that the operator did not name.
#[test]
fn jwt_svids_are_for_named_audiences() {
    let authority = builder()
        .jwt_svid_audience("https://as.example")
        .build(now())
        .unwrap();
    let (wit, key) = wit(&authority, "a", now());
    for audience in [BASE, "https://as.example"] {
        let svid = jwt_svid(&authority, &wit, &key, audience, now()).unwrap();
        let claims = claims(&svid);
        assert_eq!(claims["sub"], AGENT);
        assert_eq!(claims["exp"], NOW + 300);
        assert!(claims["aud"] == json!([audience]) || claims["aud"] == json!(audience));
    }
    let refused = jwt_svid(&authority, &wit, &key, "https://other.example", now());
    assert_eq!(code(refused), "identity.audience");
    let refused = jwt_svid(&authority, &wit, &es256(), BASE, now());
    assert_eq!(code(refused), "identity.proof");
    authority
        .identity()
        .withdraw(&AGENT.parse().unwrap(), now());
    assert_eq!(
        code(jwt_svid(&authority, &wit, &key, BASE, now())),
        "identity.withdrawn"
    );
}

#[test]
fn jwt_svid_requests_are_single_use_and_bound_to_the_wit() {
    let authority = authority();
    let (wit, key) = wit(&authority, "a", now());
    let request = svid_request(&nonce(&authority, now()), &key, &wit, BASE, now());
    let _ = authority
        .identity()
        .issue_jwt_svid(&wit, &request, now())
        .unwrap();
    let again = authority.identity().issue_jwt_svid(&wit, &request, now());
    assert_eq!(code(again), "identity.nonce_used");
    let request = svid_request(&nonce(&authority, now()), &key, "other", BASE, now());
    let other = authority.identity().issue_jwt_svid(&wit, &request, now());
    assert_eq!(code(other), "identity.proof_binding");
}

#[test]
fn a_wimse_identifier_gets_no_jwt_svid() {
    let authority = authority();
    let (wit, key) = wit(&authority, "w", now());
    assert_eq!(
        code(jwt_svid(&authority, &wit, &key, BASE, now())),
        "identity.audience"
    );
}

/// BND-01: the sequence rises with each change, and over a restart.
#[test]
fn rotation_is_seen_in_the_bundle() {
    let authority = authority();
    let bundle = |at| -> Value {
        serde_json::from_str(&authority.identity().bundle(Scheme::Spiffe, at)).unwrap()
    };
    let kids = |bundle: &Value| -> Vec<String> {
        let keys = bundle["keys"].as_array().unwrap();
        keys.iter()
            .map(|key| key["kid"].as_str().unwrap().to_owned())
            .collect()
    };
    let before = bundle(now());
    assert_eq!(before["spiffe_sequence"], NOW);
    assert_eq!(before["spiffe_refresh_hint"], 300);
    assert_eq!(kids(&before).len(), 2);
    let (old, _) = wit(&authority, "b", now());
    authority.rotate(now()).unwrap();
    assert_eq!(
        code(authority.rotate(at(NOW + 299))),
        "authority.rotation_early"
    );
    let after = bundle(now());
    assert!(after["spiffe_sequence"].as_u64() > before["spiffe_sequence"].as_u64());
    assert_eq!(kids(&after).len(), 4);
    // The new key is not used before everybody can have it.
    let (same, _) = wit(&authority, "b", at(NOW + 299));
    assert_eq!(header(&same)["kid"], header(&old)["kid"]);
    let (new, _) = wit(&authority, "b", at(NOW + 300));
    assert_ne!(header(&new)["kid"], header(&old)["kid"]);
    // The old one goes when the last WIT that it signed has expired, skew included.
    let gone = NOW + 299 + 3_600 + 60;
    let kid = header(&old)["kid"].as_str().unwrap().to_owned();
    assert!(kids(&bundle(at(gone - 1))).contains(&kid));
    let last = bundle(at(gone));
    assert!(!kids(&last).contains(&kid));
    assert!(last["spiffe_sequence"].as_u64() > after["spiffe_sequence"].as_u64());
    let restarted = builder().build(at(gone)).unwrap();
    let sequence = restarted.identity().sequence(at(gone));
    assert!(sequence > last["spiffe_sequence"].as_u64().unwrap());
}

/// A WIT of the old key renews with the new one, and replaced keys renew nothing.
#[test]
fn rotation_breaks_no_renewal_and_replacing_breaks_all() {
    let it = Renewal::new();
    it.authority.rotate(now()).unwrap();
    let later = at(NOW + 400);
    let renew = |proof_nonce: &str| {
        let proof = renewal_proof(proof_nonce, &it.new, &it.key, &it.wit, later);
        it.renew(&proof, &key_proof(proof_nonce, &it.new, later), NOW + 400)
    };
    let renewed = renew(&nonce(&it.authority, later)).unwrap();
    assert_ne!(header(&renewed)["kid"], header(&it.wit)["kid"]);
    it.authority.replace_keys().unwrap();
    assert_eq!(
        code(renew(&nonce(&it.authority, later))),
        "identity.presented_wit"
    );
}

/// T-032: each origin's keys are its own.
#[test]
fn the_two_origins_share_no_key() {
    let authority = authority();
    let spiffe = authority.identity().bundle(Scheme::Spiffe, now());
    let wimse: Value =
        serde_json::from_str(&authority.identity().bundle(Scheme::Wimse, now())).unwrap();
    let keys = wimse["keys"].as_array().unwrap();
    assert_eq!(keys.len(), 1);
    assert!(!spiffe.contains(keys[0]["x"].as_str().unwrap()));
    assert!(wimse.get("spiffe_sequence").is_none());
}
