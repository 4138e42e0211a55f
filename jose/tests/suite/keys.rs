//! Creates, parses and writes keys, and refuses invalid ones.

use aims_jose::digest::sha256;
use aims_jose::key::{Signer as _, SigningKey};
use aims_jose::{Algorithm, base64url, random};
use serde_json::{Value, json};

use super::{algorithms, generate, hex, key, provider, verify};

fn from_jwk(jwk: &Value) -> Result<SigningKey, &'static str> {
    SigningKey::from_jwk(jwk.to_string().as_bytes(), provider()).map_err(|error| error.code())
}

fn from_der(der: &[u8], algorithm: Algorithm) -> Result<SigningKey, &'static str> {
    SigningKey::from_pkcs8_der(der, algorithm, provider()).map_err(|error| error.code())
}

fn from_pem(pem: &str, algorithm: Algorithm) -> Result<SigningKey, &'static str> {
    SigningKey::from_pkcs8_pem(pem, algorithm, provider()).map_err(|error| error.code())
}

/// Whether the hash of a message is known changes no verdict.
#[test]
fn a_known_hash_changes_no_verdict() {
    for algorithm in algorithms() {
        let key = generate(algorithm);
        let prepared = provider().prepare(algorithm, key.public_jwk().public_key());
        let prepared = prepared.unwrap();
        let signature = key.sign(b"message").unwrap();
        let signature = signature.as_ref();
        let good = prepared.verify_hashed(b"message", &sha256(b"message"), signature);
        assert!(good, "{algorithm}");
        let other = prepared.verify_hashed(b"massage", &sha256(b"massage"), signature);
        assert!(!other, "{algorithm}");
        let mut forged = signature.to_vec();
        forged[10] ^= 1;
        let forged = prepared.verify_hashed(b"message", &sha256(b"message"), &forged);
        assert!(!forged, "{algorithm}");
    }
}

#[test]
fn every_algorithm_signs_and_verifies_and_every_form_brings_the_key_back() {
    for algorithm in algorithms() {
        let key = generate(algorithm).with_key_id("k\"1");
        let signature = key.sign(b"message").unwrap();
        assert_eq!(
            algorithm.signature_len().unwrap_or(256),
            signature.as_ref().len()
        );
        let again = [
            from_jwk(&serde_json::from_str(&key.to_jwk()).unwrap()).unwrap(),
            from_der(&key.to_pkcs8_der(), algorithm)
                .unwrap()
                .with_key_id("k\"1"),
            from_pem(&key.to_pkcs8_pem(), algorithm)
                .unwrap()
                .with_key_id("k\"1"),
        ];
        for again in &again {
            assert_eq!(again.public_jwk(), key.public_jwk());
            assert_eq!(again.to_jwk(), key.to_jwk());
            assert_eq!(again.algorithm(), algorithm);
            assert_eq!(again.key_id(), Some("k\"1"));
            let signature = again.sign(b"message").unwrap();
            assert_eq!(
                verify(
                    key.verifying_key(),
                    algorithm,
                    b"message",
                    signature.as_ref()
                ),
                Ok(()),
            );
        }
        assert_eq!(
            verify(
                key.verifying_key(),
                algorithm,
                b"massage",
                signature.as_ref()
            ),
            Err("jws.signature"),
        );
        let mut damaged = signature.as_ref().to_vec();
        *damaged.last_mut().unwrap() ^= 1;
        assert_eq!(
            verify(key.verifying_key(), algorithm, b"message", &damaged),
            Err("jws.signature"),
        );
        assert_eq!(
            verify(
                generate(algorithm).verifying_key(),
                algorithm,
                b"message",
                signature.as_ref()
            ),
            Err("jws.signature"),
        );
    }
}

/// An algorithm that a provider does not support is an error, without a panic.
#[test]
fn an_algorithm_that_is_left_out_is_unsupported() {
    for algorithm in Algorithm::ALL
        .into_iter()
        .filter(|all| !provider().supports(*all))
    {
        assert_eq!(algorithm, Algorithm::Es512);
        let found = SigningKey::generate(algorithm, provider()).unwrap_err();
        assert_eq!(found.code(), "key.unsupported");
        // RFC 7520 §3.1
        let found = key(
            r#"{"kty":"EC","crv":"P-521","x":"AHKZLLOsCOzz5cY97ewNUajB957y-C-U88c3v13nmGZx6sYl_oJXu9A5RkTKqjqvjyekWF-7ytDyRXYgCF5cj0Kt","y":"AdymlHvOiLxXkEhayXQnNCvDX4h9htZaCJN34kfmC6pV5OhQHiraVySsUdaQkAgDPrwQrJmbnX9cwlGfP-HqHZR1"}"#,
        );
        assert_eq!(found.unwrap_err(), "key.unsupported");
    }
}

/// WIT-05, ATJ-12: a key with `alg` is for that name; a curve implies its algorithms; RSA implies
/// none.
#[test]
fn wit05_a_key_verifies_only_with_the_algorithms_it_carries_or_implies() {
    let signing = generate(Algorithm::EdDsa);
    let signature = signing.sign(b"message").unwrap();
    let jwk: Value = serde_json::from_str(&signing.public_jwk().to_json()).unwrap();
    for (alg, allowed) in [
        (None, &[Algorithm::EdDsa, Algorithm::Ed25519][..]),
        (Some("EdDSA"), &[Algorithm::EdDsa]),
        (Some("Ed25519"), &[Algorithm::Ed25519]),
    ] {
        let mut jwk = jwk.clone();
        jwk.as_object_mut().unwrap().remove("alg");
        if let Some(alg) = alg {
            jwk["alg"] = alg.into();
        }
        let key = key(&jwk.to_string()).unwrap();
        assert_eq!(key.algorithms().iter().collect::<Vec<_>>(), allowed);
        for algorithm in Algorithm::ALL {
            let expected = if allowed.contains(&algorithm) {
                Ok(())
            } else {
                Err("jws.algorithm")
            };
            let found = verify(&key, algorithm, b"message", signature.as_ref());
            assert_eq!(found, expected, "{alg:?} {algorithm}");
        }
    }
    let mut rsa: Value =
        serde_json::from_str(&generate(Algorithm::Ps256).public_jwk().to_json()).unwrap();
    assert!(key(&rsa.to_string()).is_ok());
    rsa.as_object_mut().unwrap().remove("alg");
    assert_eq!(key(&rsa.to_string()).unwrap_err(), "jwk.alg");
}

/// RFC 8037 A.4 and RFC 7515 A.3.
#[test]
fn examples_of_the_standards() {
    let okp = json!({"kty": "OKP", "crv": "Ed25519",
        "d": "nWGxne_9WmC6hEr0kuwsxERJxWl7MmkZcDusAxyuf2A",
        "x": "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"});
    let okp = from_jwk(&okp).unwrap();
    assert_eq!(okp.algorithm(), Algorithm::EdDsa);
    let signature = okp
        .sign(b"eyJhbGciOiJFZERTQSJ9.RXhhbXBsZSBvZiBFZDI1NTE5IHNpZ25pbmc")
        .unwrap();
    assert_eq!(
        base64url::encode(signature.as_ref()),
        "hgyY0il_MGCjP0JzlnLWG1PPOt7-09PGcvMg3AIbQR6dWbhijcNR4ki4iylGjg5BhVsPt9g7sVvpAr_MuM0KAg",
    );

    let ec = json!({"kty": "EC", "crv": "P-256",
        "x": "f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU",
        "y": "x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0",
        "d": "jpsQnnGQmL-YBIffH1136cspYG6-0iY7X1fCE9-E9LI"});
    let ec = from_jwk(&ec).unwrap();
    let input = "eyJhbGciOiJFUzI1NiJ9.eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9le\
                 GFtcGxlLmNvbS9pc19yb290Ijp0cnVlfQ";
    let signature = base64url::decode(
        "DtEhU3ljbEg8L38VWAfUAqOyKAM6-Xx-F4GawxaepmXFCgfTjDxw5djxLa8ISlSApmWQxfKTUJqPP3-Kg6NU1Q",
    );
    let found = verify(
        ec.verifying_key(),
        Algorithm::Es256,
        input.as_bytes(),
        &signature.unwrap(),
    );
    assert_eq!(found, Ok(()));
}

/// PKCS#8 of other programs: with the public key, in version 2, with attributes.
#[test]
fn pkcs8_of_other_programs_is_read() {
    // RFC 8410 §10.3, both examples.
    let seed = "d4ee72dbf913584ad5b6d8f1f769f8ad3afe7c28cbf1d4fbe097a88f44755842";
    let public = "19bf44096984cdfe8541bac167dc3b96c85086aa30b6b6cb0c5c38ad703166e1";
    let v1 = format!("302e020100300506032b657004220420{seed}");
    let v2 = format!(
        "3072020101300506032b657004220420{seed}\
         a01f301d060a2a864886f70d01090914310f0c0d437572646c6520436861697273812100{public}"
    );
    for text in [&v1, &v2] {
        let key = from_der(&hex(text), Algorithm::Ed25519).unwrap();
        let x = base64url::encode(&hex(public));
        assert!(key.public_jwk().to_json().contains(&x));
        assert_eq!(key.to_pkcs8_der().as_slice(), hex(&v1));
    }
    let other = v2.replace(&public[60..], "66e2");
    assert_eq!(
        from_der(&hex(&other), Algorithm::Ed25519).unwrap_err(),
        "key.parts"
    );
}

/// T-007: a public key that does not belong to the private key is refused, in each form.
#[test]
fn t007_halves_that_do_not_belong_together_are_refused() {
    for algorithm in algorithms() {
        let private: Value = serde_json::from_str(&generate(algorithm).to_jwk()).unwrap();
        let public: Value =
            serde_json::from_str(&generate(algorithm).public_jwk().to_json()).unwrap();
        let mut mixed = private.clone();
        for member in ["x", "y", "n"] {
            if let Some(value) = public.get(member) {
                mixed[member] = value.clone();
            }
        }
        let found = from_jwk(&mixed).unwrap_err();
        let expected = if algorithm.is_rsa() {
            "key.pkcs8"
        } else {
            "key.parts"
        };
        assert_eq!(found, expected, "{algorithm}");
        assert!(from_jwk(&private).is_ok());
    }
    let key = generate(Algorithm::Es256);
    let jwk: Value = serde_json::from_str(&key.to_jwk()).unwrap();
    let number = |name: &str| base64url::decode(jwk[name].as_str().unwrap()).unwrap();
    let head = hex("308187020100301306072a8648ce3d020106082a8648ce3d030107046d306b0201010420");
    let with = |y: &[u8]| {
        [
            &head[..],
            &number("d"),
            &hex("a14403420004"),
            &number("x"),
            y,
        ]
        .concat()
    };
    assert!(from_der(&with(&number("y")), Algorithm::Es256).is_ok());
    let mut other = number("y");
    other[31] ^= 1;
    assert_eq!(
        from_der(&with(&other), Algorithm::Es256).unwrap_err(),
        "key.parts"
    );
}

#[test]
fn rsa_parts_that_do_not_fit_are_refused() {
    let good: Value = serde_json::from_str(&generate(Algorithm::Rs256).to_jwk()).unwrap();
    assert!(from_jwk(&good).is_ok());
    for member in ["d", "p", "q", "dp", "dq", "qi"] {
        let mut bytes = base64url::decode(good[member].as_str().unwrap()).unwrap();
        *bytes.last_mut().unwrap() ^= 2;
        let mut bad = good.clone();
        bad[member] = base64url::encode(&bytes).into();
        assert_eq!(from_jwk(&bad).unwrap_err(), "key.pkcs8", "{member}");
        bad[member] = "".into();
        assert_eq!(from_jwk(&bad).unwrap_err(), "jwk.member", "{member}");
        bad[member] = Value::Null;
        assert_eq!(from_jwk(&bad).unwrap_err(), "jwk.json", "{member}");
        bad.as_object_mut().unwrap().remove(member);
        let expected = if member == "d" {
            "jwk.not_private"
        } else {
            "jwk.member"
        };
        assert_eq!(from_jwk(&bad).unwrap_err(), expected, "{member}");
    }
    let mut bad = good.clone();
    bad["oth"] = json!([]);
    assert_eq!(from_jwk(&bad).unwrap_err(), "jwk.member");
    let mut bad = good;
    bad.as_object_mut().unwrap().remove("alg");
    assert_eq!(from_jwk(&bad).unwrap_err(), "jwk.alg");
}

#[test]
fn private_jwks_are_judged_by_use_and_operations() {
    let good: Value = serde_json::from_str(&generate(Algorithm::Es256).to_jwk()).unwrap();
    for (member, value, expected) in [
        ("use", json!("enc"), "jwk.use"),
        ("key_ops", json!(["verify"]), "jwk.key_ops"),
        ("alg", json!("ES384"), "jwk.alg"),
        ("alg", json!("HS256"), "jwk.alg"),
        ("kid", json!(""), "jwk.kid"),
        ("k", json!("AA"), "jwk.kty"),
        ("d", json!("AA"), "jwk.member"),
    ] {
        let mut bad = good.clone();
        bad[member] = value;
        assert_eq!(from_jwk(&bad).unwrap_err(), expected, "{member}");
    }
    let mut fine = good;
    fine["use"] = "sig".into();
    fine["key_ops"] = json!(["sign"]);
    assert!(from_jwk(&fine).is_ok());
}

/// A scalar of zero, or equal to the order of the group, is not a private key.
#[test]
fn ec_scalars_out_of_range_are_refused() {
    let head = hex("304102010030130607\
         2a8648ce3d020106082a8648ce3d030107042730250201010420");
    let n = hex("ffffffff00000000ffffffffffffffffbce6faada7179e84f3b9cac2fc632551");
    for scalar in [vec![0; 32], n, vec![0xff; 32]] {
        let der = [&head[..], &scalar].concat();
        assert_eq!(from_der(&der, Algorithm::Es256).unwrap_err(), "key.pkcs8");
    }
    let one = [&[0; 31][..], &[1]].concat();
    assert!(from_der(&[&head[..], &one].concat(), Algorithm::Es256).is_ok());
}

#[test]
fn pkcs8_of_another_algorithm_is_refused() {
    for wanted in algorithms() {
        for other in algorithms() {
            let same_kind = wanted == other
                || wanted.is_rsa() && other.is_rsa()
                || wanted.name().starts_with("Ed") && other.name().starts_with("Ed");
            if same_kind || other.is_rsa() && other != Algorithm::Rs256 {
                continue;
            }
            let der = generate(other).to_pkcs8_der();
            assert_eq!(
                from_der(&der, wanted).unwrap_err(),
                "key.pkcs8",
                "{other} as {wanted}"
            );
        }
    }
}

#[test]
fn der_is_read_without_tolerance() {
    let good = generate(Algorithm::Es256).to_pkcs8_der();
    let mut longer = good.to_vec();
    longer.push(0);
    let mut long_form = vec![0x30, 0x81];
    long_form.extend_from_slice(&good[1..]);
    let mut version = good.to_vec();
    version[4] = 2;
    for bad in [
        &longer[..],
        &long_form,
        &version,
        &good[..good.len() - 1],
        &[],
    ] {
        assert_eq!(from_der(bad, Algorithm::Es256).unwrap_err(), "key.pkcs8");
    }
}

#[test]
fn pem_is_one_block_of_that_name() {
    let good = generate(Algorithm::EdDsa).to_pkcs8_pem();
    assert!(
        from_pem(
            &format!("\n  {}\r\n", good.replace('\n', "\r\n")),
            Algorithm::EdDsa
        )
        .is_ok()
    );
    for bad in [
        format!("{}{}", *good, *good),
        format!("x{}", *good),
        format!("{}x", *good),
        good.replace("PRIVATE KEY", "EC PRIVATE KEY"),
        good.replace("PRIVATE KEY", "PUBLIC KEY"),
        good.replace("BEGIN", "begin"),
        good.replacen("MC4", "MC4=", 1),
        good.replacen("MC4", "M_4", 1),
        String::new(),
        "-".repeat(17 * 1024),
    ] {
        assert_eq!(from_pem(&bad, Algorithm::EdDsa).unwrap_err(), "key.pem");
    }
}

/// T-023: neither a key nor an error about one prints private parts.
#[test]
fn t023_debug_shows_no_private_part() {
    for algorithm in algorithms() {
        let key = generate(algorithm);
        let jwk: Value = serde_json::from_str(&key.to_jwk()).unwrap();
        let shown = format!("{key:?} {:?} {:?}", key.verifying_key(), key.public_jwk());
        for member in ["d", "p", "q", "dp", "dq", "qi"] {
            let Some(secret) = jwk.get(member).and_then(Value::as_str) else {
                continue;
            };
            assert!(!shown.contains(secret), "{algorithm} {member}");
            let bytes = base64url::decode(secret).unwrap();
            assert!(
                !shown.contains(&format!("{bytes:?}")),
                "{algorithm} {member}"
            );
            let error = aims_jose::jwk::Jwk::parse(jwk.to_string().as_bytes()).unwrap_err();
            assert_eq!(error.code(), "jwk.private");
            assert!(!format!("{error} {error:?}").contains(secret));
        }
    }
}

/// T-028: an array in member order is no key.
#[test]
fn t028_an_array_is_no_private_key() {
    let array = json!(["OKP", "Ed25519", "AA", "AA"]);
    assert_eq!(from_jwk(&array).unwrap_err(), "jwk.json");
}

#[test]
fn an_async_signer_signs_too() {
    use aims_jose::key::AsyncSigner;
    use std::task::{Context, Poll, Waker};

    let key = generate(Algorithm::EdDsa);
    let signer: &dyn AsyncSigner = &key;
    let mut future = signer.sign_async(b"message");
    let Poll::Ready(Ok(signature)) = future
        .as_mut()
        .poll(&mut Context::from_waker(Waker::noop()))
    else {
        panic!()
    };
    assert_eq!(
        verify(
            key.verifying_key(),
            Algorithm::EdDsa,
            b"message",
            signature.as_ref()
        ),
        Ok(())
    );
}

#[test]
fn generated_keys_differ() {
    assert_ne!(
        generate(Algorithm::Es256).public_jwk().thumbprint(),
        generate(Algorithm::Es256).public_jwk().thumbprint(),
    );
    assert_ne!(
        random::id128(random::SYSTEM).unwrap(),
        random::id128(random::SYSTEM).unwrap()
    );
}

/// ATJ-12: `use` and `key_ops` are checked for a single key too.
#[test]
fn atj12_a_public_key_for_another_purpose_is_refused() {
    let text = generate(Algorithm::Es256).public_jwk().to_json();
    let good: Value = serde_json::from_str(&text).unwrap();
    for (member, value, expected) in [
        ("use", json!("sig"), None),
        ("key_ops", json!(["verify"]), None),
        ("use", json!("enc"), Some("jwk.use")),
        ("use", json!("jwt-svid"), Some("jwk.use")),
        ("use", json!("SIG"), Some("jwk.use")),
        ("key_ops", json!(["sign"]), Some("jwk.key_ops")),
        ("key_ops", json!([]), Some("jwk.key_ops")),
    ] {
        let mut jwk = good.clone();
        jwk[member] = value.clone();
        assert_eq!(key(&jwk.to_string()).err(), expected, "{member} {value}");
    }
}
