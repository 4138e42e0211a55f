//! Wycheproof vectors in the JOSE encodings.

use aims_jose::jwk::{JwkSet, SetRules};
use aims_jose::{Algorithm, base64url};
use serde_json::Value;

use super::{hex, key, provider, verify};

fn load(name: &str) -> Value {
    let path = format!(
        "{}/../testdata/wycheproof/{name}",
        env!("CARGO_MANIFEST_DIR")
    );
    serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap()
}

/// Runs a file of signatures. `accepted` is the number of valid ones, so that a file that is
/// misread does not pass.
fn run(name: &str, member: &str, algorithm: Algorithm, accepted: usize, refused: usize) {
    let file = load(name);
    let (mut yes, mut no) = (0, 0);
    for group in file["testGroups"].as_array().unwrap() {
        // Some groups of EC keys have no JWK form.
        let jwk = match &group[member] {
            Value::Null => {
                let point = hex(group["publicKey"]["uncompressed"].as_str().unwrap());
                let (x, y) = (
                    base64url::encode(&point[1..33]),
                    base64url::encode(&point[33..]),
                );
                serde_json::json!({"kty": "EC", "crv": "P-256", "x": x, "y": y})
            }
            jwk => jwk.clone(),
        };
        let key = key(&jwk.to_string()).unwrap();
        for test in group["tests"].as_array().unwrap() {
            let message = hex(test["msg"].as_str().unwrap());
            let signature = hex(test["sig"].as_str().unwrap());
            let valid = match test["result"].as_str().unwrap() {
                "valid" => true,
                // One RSA vector without the NULL of DigestInfo, which no signer makes.
                "invalid" | "acceptable" => false,
                other => panic!("{other}"),
            };
            let found = verify(&key, algorithm, &message, &signature);
            let expected = if valid { Ok(()) } else { Err("jws.signature") };
            assert_eq!(
                found, expected,
                "{name} {}: {}",
                test["tcId"], test["comment"]
            );
            if valid { yes += 1 } else { no += 1 }
        }
    }
    assert_eq!((yes, no), (accepted, refused));
}

/// T-003
#[test]
fn ecdsa_p256_fixed_length() {
    let name = "ecdsa_secp256r1_sha256_p1363_test.json";
    run(name, "publicKeyJwk", Algorithm::Es256, 173, 89);
}

/// T-004
#[test]
fn ed25519_under_both_names() {
    run(
        "ed25519_test.json",
        "publicKeyJwk",
        Algorithm::EdDsa,
        88,
        63,
    );
    run(
        "ed25519_test.json",
        "publicKeyJwk",
        Algorithm::Ed25519,
        88,
        63,
    );
}

#[test]
fn rsa_pkcs1() {
    run(
        "rsa_signature_2048_sha256_test.json",
        "keyJwk",
        Algorithm::Rs256,
        9,
        250,
    );
}

#[test]
fn rsa_pss() {
    let name = "rsa_pss_2048_sha256_mgf1_32_test.json";
    run(name, "publicKeyJwk", Algorithm::Ps256, 63, 45);
}

/// T-001, T-020: mixed sets, MAC keys, wrong use, short and weak keys, modified keys. Four of the
/// five valid ones are MACs, which this crate does not support.
#[test]
fn jwk_sets() {
    let file = load("json_web_key_test.json");
    let mut accepted = Vec::new();
    let mut ran = 0;
    for group in file["testGroups"].as_array().unwrap() {
        let set = group
            .get("public")
            .unwrap_or_else(|| &group["private"])
            .to_string();
        let set = JwkSet::parse(set.as_bytes(), &SetRules::oauth(), provider());
        for test in group["tests"].as_array().unwrap() {
            ran += 1;
            let Ok(set) = &set else { continue };
            let jws = test["jws"].as_str().unwrap();
            let (input, signature) = jws.rsplit_once('.').unwrap();
            let (header, _) = input.split_once('.').unwrap();
            let header: Value =
                serde_json::from_slice(&base64url::decode(header).unwrap()).unwrap();
            let Some(algorithm) = Algorithm::from_name(header["alg"].as_str().unwrap()) else {
                continue;
            };
            let Ok(signature) = base64url::decode(signature) else {
                continue;
            };
            let verified = set
                .select(header["kid"].as_str(), algorithm)
                .and_then(|key| key.verify(algorithm, input.as_bytes(), &signature));
            if verified.is_ok() {
                accepted.push(test["tcId"].as_u64().unwrap());
            }
        }
    }
    assert_eq!(ran, 26);
    assert_eq!(accepted, [5]);
}
