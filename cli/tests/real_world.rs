//! Key formats of public bug reports (`testdata/real-world`), as the program reads them.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod common;

use std::fs;
use std::path::Path;

use common::{Folder, NOW, ORIGIN};

/// Returns the path of a file in the folder of cases.
fn case(name: &str) -> String {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../testdata/real-world");
    fs::read_to_string(folder.join(name)).unwrap()
}

/// Runs the program with an access token by the key `k1` and this set of keys.
fn token_verify(set: &str) -> common::Ran {
    let folder = Folder::new();
    folder.write("set.json", set);
    folder.write("token", case("03.jwt"));
    folder.run(&format!(
        "token verify --issuer https://as.example --audience https://api.example \
         --now {NOW} --keys set.json token"
    ))
}

/// Runs the program with a workload identity token and this set of keys.
fn wit_verify(folder: &Folder, set: &str) -> common::Ran {
    folder.write("set.json", set);
    folder.run(&format!(
        "wit verify --origin {ORIGIN} --keys set.json --now {NOW} wit"
    ))
}

fn assert_verified(ran: &common::Ran, what: &str) {
    assert_eq!((ran.status, ran.err.as_str()), (0, ""), "{what}");
    assert!(ran.out.starts_with("verified"), "{what}: {}", ran.out);
}

/// c01a, c02a, c04a, and a modulus with a leading zero byte: each set has the usable key.
#[test]
fn sets_of_keys_are_read_as_they_are_written() {
    for name in [
        "01a-leading-blanks.jwks.json",
        "02a-null-private.jwks.json",
        "03-leading-zero-modulus.jwks.json",
        "04a-same-key-twice.jwks.json",
    ] {
        assert_verified(&token_verify(&case(name)), name);
    }
    let set = case("02a-null-private.jwks.json");
    for (bad, code) in [
        (format!("x{set}"), "token.key_set"),
        (set.replace("\"d\": null", "\"d\": \"AA\""), "jwk.private"),
    ] {
        assert_ne!(bad, set);
        assert_eq!(token_verify(&bad).code(1, "aims: refused: "), code);
    }
}

/// c01a, c02a, c04a: the same forms in a bundle.
#[test]
fn bundles_are_read_as_they_are_written() {
    let folder = Folder::with_agent();
    let ca = folder.ok("key public ca.jwk");
    let ca = ca.trim();
    let blanks = case("01a-leading-blanks.jwks.json");
    let blanks = blanks.split('{').next().unwrap();
    assert!(blanks.len() > 1 && blanks.trim().is_empty());
    let with_nulls = ca.replacen('{', "{\"d\":null,\"p\":null,\"oth\":null,", 1);
    for set in [
        format!("{blanks}{{\"keys\":[{ca}]}}"),
        format!("{{\"keys\":[{with_nulls}]}}"),
        format!("{{\"keys\":[{ca},{ca}]}}"),
    ] {
        assert_verified(&wit_verify(&folder, &set), &set);
    }
    // Another key with that name is not a repetition.
    let other = folder.ok("key generate --kid ca");
    folder.write("other.jwk", other);
    let other = folder.ok("key public other.jwk");
    let ran = wit_verify(&folder, &format!("{{\"keys\":[{ca},{other}]}}"));
    assert_eq!(ran.code(1, "aims: refused: "), "bundle.kid");
}

/// c02c, c03a: a thumbprint does not depend on the spelling of the key.
#[test]
fn spellings_of_a_key_have_one_thumbprint() {
    let folder = Folder::new();
    let thumbprint = |key: &str| {
        folder.write("key.jwk", key);
        folder.ok("key thumbprint key.jwk")
    };
    let nulls = case("02a-null-private.jwk.json");
    let zero = case("03-leading-zero-modulus.jwk.json");
    assert!(nulls.contains("\"oth\": null") && zero.contains("\"n\": \"AJLj"));
    let plain = case("08-k1.jwks.json");
    let plain: serde_json::Value = serde_json::from_str(&plain).unwrap();
    let plain = plain.pointer("/keys/0").unwrap().to_string();
    assert!(!plain.contains("null") && plain.contains("\"n\":\"kuND"));
    let expected = thumbprint(&plain);
    assert_eq!(thumbprint(&nulls), expected);
    assert_eq!(thumbprint(&zero), expected);
}

/// c50a: `null` instead of keys is a set that trusts nothing, and the refusal says so.
#[test]
fn a_set_without_keys_trusts_nothing() {
    let folder = Folder::with_agent();
    let set = case("50a-keys-null.bundle.json");
    assert!(set.contains("\"keys\":null"));
    let ran = wit_verify(&folder, &set);
    assert_eq!(ran.code(1, "aims: refused: "), "trust.unknown_key");
    assert!(ran.err.contains("has 0 usable keys"), "{}", ran.err);
    let ran = token_verify(&set);
    assert_eq!(ran.code(1, "aims: refused: "), "token.no_keys");
    assert!(ran.err.contains("has no usable key"), "{}", ran.err);
}
