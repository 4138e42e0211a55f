//! The key that a token is bound to (RFC 7800 §3, RFC 9449 §6.1).

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod common;

use aims_jose::alg::Algorithm;
use aims_jose::key::SigningKey;
use aims_oauth_rs::{CertificateThumbprint, Confirmation, IssuerRules, JwtProfile, ProvenKey};
use common::{ISSUER, NOW, World, claims, code, key, sign_raw};
use serde_json::{Value, json};

fn jkt(key: &SigningKey) -> String {
    key.verifying_key().thumbprint().to_string()
}

fn jwk(key: &SigningKey) -> Value {
    serde_json::from_str(&key.public_jwk().to_json()).unwrap()
}

/// Returns this key as proven by a DPoP proof and by a signature.
fn every_kind(by: &SigningKey) -> [ProvenKey; 2] {
    let thumbprint = *by.verifying_key().thumbprint();
    [
        ProvenKey::Dpop(thumbprint),
        ProvenKey::Signature(thumbprint),
    ]
}

/// Returns `ok`, or the code, for a token with this `cnf` and a proof of this key.
fn proven(world: &World, cnf: &Value, by: &SigningKey) -> &'static str {
    let token = world.token_with(&json!({"cnf": cnf}));
    let token = match world.verify(&token, NOW) {
        Ok(token) => token,
        Err(error) => return error.code(),
    };
    code(token.confirmed_by(&every_kind(by)))
}

/// T-130: `jkt`, `jwk` or both name the key that proves a request.
#[test]
fn a_token_is_confirmed_by_its_key_alone() {
    let world = World::new();
    for algorithm in [Algorithm::Es256, Algorithm::Ed25519] {
        let (own, other) = (key(algorithm, "own"), key(algorithm, "own"));
        for cnf in [
            json!({"jkt": jkt(&own)}),
            json!({"jwk": jwk(&own)}),
            json!({"jkt": jkt(&own), "jwk": jwk(&own)}),
        ] {
            assert_eq!(proven(&world, &cnf, &own), "ok", "{cnf}");
            assert_eq!(proven(&world, &cnf, &other), "token.not_bound", "{cnf}");
            assert_eq!(proven(&world, &cnf, &world.key), "token.not_bound", "{cnf}");
            let token = world.token_with(&json!({"cnf": cnf}));
            let token = world.verify(&token, NOW).unwrap();
            let own = *own.verifying_key().thumbprint();
            for bound in token.confirmations() {
                let is_own = [Confirmation::DpopJkt(own), Confirmation::Jwk(own)].contains(bound);
                assert!(is_own, "{bound:?}");
            }
        }
    }
}

/// T-130: no key confirms an unbound token.
#[test]
fn an_unbound_token_is_confirmed_by_nobody() {
    let world = World::new();
    let token = world.verify(&world.token(), NOW).unwrap();
    assert!(token.confirmations().is_empty() && !token.is_bound());
    let refused = token.confirmed_by(&every_kind(&world.key)).unwrap_err();
    assert_eq!(refused.code(), "token.not_bound");
    assert!(
        refused.to_string().contains("carries no `cnf`"),
        "{refused}"
    );
}

/// T-130: `jkt` and `jwk` of two different keys are refused, whichever of them is proven.
#[test]
fn a_contradiction_is_refused() {
    let world = World::new();
    let (one, two) = (key(Algorithm::Es256, "1"), key(Algorithm::Es256, "2"));
    let cnf = json!({"jkt": jkt(&one), "jwk": jwk(&two)});
    for by in [&one, &two] {
        assert_eq!(proven(&world, &cnf, by), "token.confirmation");
    }
}

/// T-130: a member that cannot be checked is refused, alone and with one that can.
#[test]
fn an_unknown_method_is_refused() {
    let world = World::new();
    let own = key(Algorithm::Es256, "own");
    for (name, value) in [
        ("x5t", json!("bwcK0esc3ACC3DB2Y5_lESsXE8o")),
        ("kid", json!("own")),
        ("jku", json!("https://as.example/keys")),
        ("jwe", json!("a.b.c.d.e")),
        ("JKT", json!(jkt(&own))),
        ("x", json!(null)),
    ] {
        let alone = json!({name: value});
        assert_eq!(proven(&world, &alone, &own), "token.confirmation", "{name}");
        let beside = json!({"jkt": jkt(&own), name: value});
        assert_eq!(
            proven(&world, &beside, &own),
            "token.confirmation",
            "{name}"
        );
    }
}

/// T-130: a `cnf` that is not an object, is empty, or has no key is refused. It does not count as
/// absent.
#[test]
fn a_malformed_confirmation_is_refused() {
    let world = World::new();
    let own = key(Algorithm::Es256, "own");
    let private: Value = serde_json::from_str(&own.to_jwk()).unwrap();
    let mut short = jwk(&own);
    short["x"] = json!("AAAA");
    for cnf in [
        json!(null),
        json!({}),
        json!([]),
        json!(jkt(&own)),
        json!(false),
        json!({"jkt": null}),
        json!({"jkt": 1}),
        json!({"jkt": ""}),
        json!({"jkt": [jkt(&own)]}),
        json!({"jkt": jkt(&own).strip_suffix(|_: char| true)}),
        json!({"jkt": format!("{}=", jkt(&own))}),
        json!({"x5t#S256": null}),
        json!({"x5t#S256": ""}),
        json!({"x5t#S256": "AAAA"}),
        json!({"x5t#S256": jkt(&own) + "AA"}),
        json!({"jkt": jkt(&own), "x5t#S256": 1}),
        json!({"jwk": null}),
        json!({"jwk": {}}),
        json!({"jwk": jkt(&own)}),
        json!({"jwk": {"kty": "oct", "k": "AAAA"}}),
        json!({"jwk": short}),
        json!({"jwk": private}),
    ] {
        assert_eq!(proven(&world, &cnf, &own), "token.confirmation", "{cnf}");
    }
}

/// T-130, MTLS: only one kind of proof satisfies each member of `cnf`, and all members must be
/// satisfied.
#[test]
fn each_member_has_its_own_kind_of_proof() {
    let world = World::new();
    let (own, other) = (key(Algorithm::Es256, "own"), key(Algorithm::Es256, "own"));
    let thumbprint = *own.verifying_key().thumbprint();
    // The 32 bytes are the same, so only the kind differs.
    let same_bytes: CertificateThumbprint = thumbprint.to_string().parse().unwrap();
    let certificate = CertificateThumbprint::of_der(b"a certificate");
    let (dpop, signature) = (
        ProvenKey::Dpop(thumbprint),
        ProvenKey::Signature(thumbprint),
    );
    let try_with = |cnf: &Value, proven: &[ProvenKey]| {
        let token = world.token_with(&json!({"cnf": cnf}));
        code(world.verify(&token, NOW).unwrap().confirmed_by(proven))
    };
    let kinds = [
        (json!({"jkt": jkt(&own)}), dpop),
        (json!({"jwk": jwk(&own)}), signature),
        (
            json!({"x5t#S256": jkt(&own)}),
            ProvenKey::Certificate(same_bytes),
        ),
    ];
    for (cnf, fitting) in &kinds {
        assert_eq!(try_with(cnf, &[]), "token.not_bound", "{cnf}");
        for (_, proven) in &kinds {
            let expected = if proven == fitting {
                "ok"
            } else {
                "token.not_bound"
            };
            assert_eq!(try_with(cnf, &[*proven]), expected, "{cnf} {proven:?}");
        }
    }
    let bound = json!({"x5t#S256": certificate.to_string()});
    let other_certificate = ProvenKey::Certificate(same_bytes);
    assert_eq!(try_with(&bound, &[other_certificate]), "token.not_bound");
    let both = json!({"jwk": jwk(&own), "x5t#S256": certificate.to_string()});
    let certificate = ProvenKey::Certificate(certificate);
    assert_eq!(try_with(&both, &[certificate, signature]), "ok");
    for missing in [&[certificate][..], &[signature], &[certificate, dpop]] {
        assert_eq!(try_with(&both, missing), "token.not_bound", "{missing:?}");
    }
    let wrong = ProvenKey::Signature(*other.verifying_key().thumbprint());
    assert_eq!(try_with(&both, &[certificate, wrong]), "token.not_bound");
    // A further proof by another key has no effect.
    assert_eq!(try_with(&both, &[certificate, wrong, signature]), "ok");
}

/// ATJ-12: a repeated binding is refused.
#[test]
fn a_binding_stands_once() {
    let world = World::new();
    let (one, two) = (key(Algorithm::Es256, "1"), key(Algorithm::Es256, "2"));
    let header = r#"{"alg":"ES256","typ":"at+jwt","kid":"as"}"#;
    let claims = claims().to_string();
    let members = claims.strip_prefix('{').unwrap();
    let with = |cnf: &str| {
        let payload = format!(r#"{{"cnf":{cnf},{members}"#);
        world.code(&sign_raw(header, &payload, &world.key))
    };
    let (one, two) = (jkt(&one), jkt(&two));
    assert_eq!(with(&format!(r#"{{"jkt":"{one}"}}"#)), "ok");
    let twice = format!(r#"{{"jkt":"{one}","jkt":"{two}"}}"#);
    assert_eq!(with(&twice), "jws.duplicate_member");
    let twice = format!(r#"{{"jkt":"{one}"}},"cnf":{{"jkt":"{two}"}}"#);
    assert_eq!(with(&twice), "jws.duplicate_member");
}

/// Keycloak writes `kc-jkt-type` beside `jkt`. Its profile names that member with its value; it
/// counts as no binding, and no other profile accepts it.
#[test]
fn a_profile_names_a_further_member() {
    let world = World::new();
    let own = key(Algorithm::Es256, "own");
    let keycloak = json!({"jkt": jkt(&own), "kc-jkt-type": "DPoP"});
    assert_eq!(proven(&world, &keycloak, &own), "token.confirmation");
    let rules = IssuerRules::new().profile(JwtProfile::keycloak("tools"));
    world
        .issuers
        .set_rules(&ISSUER.parse().unwrap(), rules)
        .unwrap();
    let of = |cnf: &Value, by: &SigningKey| {
        let token = world.token_with(&json!({"cnf": cnf, "typ": "DPoP"}));
        match world.verify(&token, NOW) {
            Ok(token) => code(token.confirmed_by(&every_kind(by))),
            Err(error) => error.code(),
        }
    };
    assert_eq!(of(&keycloak, &own), "ok");
    assert_eq!(of(&keycloak, &world.key), "token.not_bound");
    for other in [
        json!({"kc-jkt-type": "DPoP"}),
        json!({"jkt": jkt(&own), "kc-jkt-type": "other"}),
        json!({"jkt": jkt(&own), "kc-jkt-type": 1}),
        json!({"jkt": jkt(&own), "kc-jkt-type": null}),
        json!({"jkt": jkt(&own), "kc-other": "DPoP"}),
        json!({"jkt": jkt(&own), "kc-jkt-type": "DPoP", "kid": "k"}),
    ] {
        assert_eq!(of(&other, &own), "token.confirmation", "{other}");
    }
}
