//! WITs and their renewal, and JWT-SVIDs, while the keys that sign them rotate.
#![allow(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::string_slice,
    clippy::unwrap_used,
    reason = "a test fails by panicking"
)]

mod common;

use aims_authority::PresentedProof;
use aims_jose::key::SigningKey;
use aims_wimse_id::Scheme;
use common::*;
use serde_json::{Value, json};

struct Renewal {
    authority: aims_authority::Authority,
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

    fn renew(
        &self,
        proof: &str,
        key_proof: &str,
        at: u64,
    ) -> Result<String, aims_authority::Error> {
        let shown = PresentedProof::Wit {
            wit: &self.wit,
            proof,
        };
        let issued = self
            .authority
            .identity()
            .issue_wit(&shown, key_proof, common::at(at))?;
        Ok(issued.text.expose().to_owned())
    }

    /// Returns the result of a renewal a minute later, with changed claims of the renewal proof.
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
    // The same key again: the holder is the same.
    let later = at(NOW + 120);
    let nonce = nonce(&it.authority, later);
    let proof = renewal_proof(&nonce, &it.key, &it.key, &it.wit, later);
    let renewed = it
        .renew(&proof, &key_proof(&nonce, &it.key, later), NOW + 120)
        .unwrap();
    assert_eq!(claims(&renewed)["sub"], AGENT);
    assert_eq!(claims(&renewed)["exp"], NOW + 120 + 3_600);
}

/// T-033, T-047: a stolen WIT cannot be renewed.
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
    let other = aims_jose::digest::sha256_base64url("other");
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
        .withdraw(&AGENT.parse().unwrap(), now())
        .unwrap();
    assert_eq!(renew(&it, NOW), "identity.withdrawn");
}

/// SVD-02: JWT-SVIDs are issued for this authority, and for the audiences that the operator named.
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
        assert_eq!(claims["aud"], json!([audience]));
    }
    let refused = jwt_svid(&authority, &wit, &key, "https://other.example", now());
    assert_eq!(code(refused), "identity.audience");
    let refused = jwt_svid(&authority, &wit, &es256(), BASE, now());
    assert_eq!(code(refused), "identity.proof");
    authority
        .identity()
        .withdraw(&AGENT.parse().unwrap(), now())
        .unwrap();
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

/// BND-01: the sequence number increases with each change, and over a restart.
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
    // The new key is not used before all readers can have fetched it.
    let (same, _) = wit(&authority, "b", at(NOW + 299));
    assert_eq!(header(&same)["kid"], header(&old)["kid"]);
    let (new, _) = wit(&authority, "b", at(NOW + 300));
    assert_ne!(header(&new)["kid"], header(&old)["kid"]);
    // The old key is removed when the last WIT that it signed has expired, with the skew.
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

/// A WIT of the old key can be renewed after a rotation, and cannot after a replacement.
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

/// T-032: each origin has its own keys.
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
