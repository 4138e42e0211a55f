//! Tests of `aims key` and `aims id`.

mod common;

use std::fs;

use aims_jose::alg::Algorithm;
use aims_jose::key::SigningKey;
use aims_jose::provider::AWS_LC;
use common::Folder;
use serde_json::Value;

/// T-023, T-168: only the owner can read the new file, and an existing file is not overwritten.
#[test]
fn a_new_key_is_kept_safe() {
    let folder = Folder::new();
    assert_eq!(folder.ok("key generate --out a.jwk"), "");
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt as _;
        let mode = fs::metadata(folder.path("a.jwk"))
            .unwrap()
            .permissions()
            .mode();
        assert_eq!(mode & 0o777, 0o600);
    }
    let before = folder.read("a.jwk");
    assert_eq!(folder.failed("key generate --out a.jwk"), "cli.file");
    assert_eq!(folder.read("a.jwk"), before);
    assert_eq!(
        folder.failed("key generate --out no/such/folder"),
        "cli.file"
    );
    #[cfg(unix)]
    {
        std::os::unix::fs::symlink("nowhere", folder.path("link")).unwrap();
        assert_eq!(folder.failed("key generate --out link"), "cli.file");
        assert!(fs::metadata(folder.path("nowhere")).is_err());
    }
}

/// Each algorithm, `kid`, and both ways to the standard output.
#[test]
fn keys_are_made_as_asked() {
    let folder = Folder::new();
    for (alg, kty) in [
        ("ES256", "EC"),
        ("ES384", "EC"),
        ("ES512", "EC"),
        ("EdDSA", "OKP"),
        ("Ed25519", "OKP"),
    ] {
        for out in ["", "--out -"] {
            let text = folder.ok(&format!("key generate --alg {alg} --kid k-1 {out}"));
            let key: Value = serde_json::from_str(&text).unwrap();
            let member = |name| key.get(name).and_then(Value::as_str);
            assert_eq!(member("alg"), Some(alg));
            assert_eq!((member("kty"), member("kid")), (Some(kty), Some("k-1")));
            assert!(member("d").is_some());
        }
    }
    let unnamed = folder.ok("key generate");
    assert!(unnamed.contains("ES256") && !unnamed.contains("kid"));
    assert_ne!(unnamed, folder.ok("key generate"));
    for bad in ["--alg none", "--alg HS256", "--alg es256", "--kid="] {
        let ran = folder.run(&format!("key generate {bad}"));
        assert_eq!((ran.status, ran.out.as_str()), (2, ""), "{bad}");
    }
}

/// T-023: the public part has no private member, and the same thumbprint.
#[test]
fn only_the_public_part_is_shown() {
    let folder = Folder::new();
    for alg in ["ES256", "Ed25519"] {
        let text = folder.ok(&format!("key generate --alg {alg} --kid 1"));
        folder.write("key", &text);
        let private: Value = serde_json::from_str(&text).unwrap();
        let public = folder.ok("key public key");
        let secret = private.get("d").and_then(Value::as_str).unwrap();
        assert!(!public.contains(secret) && !public.contains("\"d\""));
        let parsed: Value = serde_json::from_str(&public).unwrap();
        for member in ["kty", "crv", "x", "alg", "kid"] {
            assert_eq!(parsed.get(member), private.get(member), "{member}");
        }
        let from_input = folder.run_with("key public -", text.as_bytes());
        assert_eq!((from_input.status, from_input.out), (0, public.clone()));
        folder.write("public", &public);
        assert_eq!(folder.ok("key public public"), public);
        let thumbprint = folder.ok("key thumbprint key");
        assert_eq!(thumbprint, folder.ok("key thumbprint public"));
        assert_eq!(thumbprint.len(), 44);
    }
}

/// T-019, T-023: a set has the public part of each key, in order, and verifies their signatures;
/// two keys that cannot be distinguished are refused.
#[test]
fn sets_are_made_of_keys() {
    let folder = Folder::with_agent();
    let private: Value = serde_json::from_str(&folder.read("ca.jwk")).unwrap();
    let secret = private.get("d").and_then(Value::as_str).unwrap();
    let set = folder.ok("key set ca.jwk agent.pub");
    assert!(!set.contains(secret) && !set.contains("\"d\""));
    let parsed: Value = serde_json::from_str(&set).unwrap();
    let public = |name: &str| -> Value {
        serde_json::from_str(&folder.ok(&format!("key public {name}"))).unwrap()
    };
    let keys = [public("ca.jwk"), public("agent.pub")];
    assert_eq!(parsed, serde_json::json!({ "keys": keys }));
    folder.write("set.json", &set);
    let verify = "wit verify --origin spiffe://example.org --keys set.json --now 1800000000 wit";
    assert!(folder.ok(verify).starts_with("verified"));
    let from_input = folder.run_with("key set - agent.pub", folder.read("ca.jwk").as_bytes());
    assert_eq!((from_input.status, from_input.out), (0, set));

    folder.ok("key generate --kid ca --out other.jwk");
    assert_eq!(
        folder.refused("key set ca.jwk other.jwk"),
        "jwks.duplicate_kid"
    );
    assert_eq!(folder.failed("key set agent.jwk agent.pub"), "cli.usage");
    folder.ok("key generate --out unnamed.jwk");
    folder.ok("key set agent.jwk unnamed.jwk");
    folder.write("set.jwk", r#"{"keys":[]}"#);
    assert_eq!(folder.refused("key set ca.jwk set.jwk"), "jwk.kty");
    assert_eq!(folder.failed("key set ca.jwk missing"), "cli.file");
    assert_eq!(folder.run("key set").status, 2);
}

/// T-023: the public part of a key in PEM needs its algorithm; the output repeats nothing of the
/// private key.
#[test]
fn keys_in_pem_are_read_as_said() {
    let folder = Folder::new();
    let key = SigningKey::generate(Algorithm::Es256, AWS_LC).unwrap();
    let pem = key.to_pkcs8_pem();
    folder.write("pem", pem.as_bytes());
    folder.ok("key generate --kid jwk --out jwk");
    let public = key.public_jwk().to_json();
    let line = format!("{public}\n");
    assert_eq!(folder.ok("key public --pem-alg ES256 pem"), line);
    folder.write("public", &line);
    let thumbprint = folder.ok("key thumbprint public");
    assert_eq!(folder.ok("key thumbprint --pem-alg ES256 pem"), thumbprint);
    // In a set, it is the algorithm of the keys in PEM.
    folder.write("jwk.pub", folder.ok("key public jwk"));
    let set = format!(
        "{{\"keys\":[{public},{}]}}\n",
        folder.read("jwk.pub").trim()
    );
    assert_eq!(folder.ok("key set --pem-alg ES256 pem jwk"), set);
    folder.write("ec", pem.replace("PRIVATE", "EC PRIVATE"));
    folder.write("wit", "");
    let wanted =
        "a private key is wanted in PKCS#8, which begins with `-----BEGIN PRIVATE KEY-----`";
    for command in ["key public", "key thumbprint", "key set"] {
        for (more, code, words) in [
            ("pem", "cli.usage", "a key in PEM needs `--pem-alg`"),
            ("--pem-alg ES256 jwk", "cli.usage", "`--pem-alg` is for PEM"),
            ("--pem-alg ES384 pem", "key.pkcs8", ""),
            ("--pem-alg ES256 ec", "key.pem", wanted),
        ] {
            let ran = folder.run(&format!("{command} {more}"));
            let (status, start) = match code {
                "cli.usage" => (2, "aims: failed: "),
                _ => (1, "aims: refused: "),
            };
            assert_eq!(ran.code(status, start), code, "{command} {more}");
            assert!(ran.err.contains(words), "{}", ran.err);
            assert!(!ran.err.contains("MIG"), "{}", ran.err);
        }
    }
    // If only a JWK is accepted, the message says that the file is PEM.
    for args in [
        "wit issue --key jwk --id spiffe://example.org/a --for pem",
        "wit issue --key pem --id spiffe://example.org/a --for public",
        "wpt new --wit wit --key pem --audience a",
        "httpsig verify --profile wimse --request wit --audience a --wit-key pem",
    ] {
        let ran = folder.run(args);
        assert_eq!(ran.code(1, "aims: refused: "), "jwk.json", "{args}");
        assert!(
            ran.err.contains("this is PEM, and a JWK is wanted"),
            "{args}: {}",
            ran.err
        );
    }
    let ran = folder.run("httpsig verify --request wit --keys pem");
    assert_eq!(ran.code(1, "aims: refused: "), "jwks.json");
    let set = "this is PEM, and a set of keys is wanted";
    assert!(ran.err.contains(set), "{}", ran.err);
}

/// RFC 8037, appendix A.3.
#[test]
fn the_thumbprint_is_the_standards() {
    let folder = Folder::new();
    let key = br#"{"kty":"OKP","crv":"Ed25519","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}"#;
    let ran = folder.run_with("key thumbprint -", key);
    assert_eq!(ran.out, "kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k\n");
}

/// T-019, T-023: a malformed key is refused with its code, and nothing of it is repeated.
#[test]
fn bad_keys_are_refused() {
    let folder = Folder::new();
    for (text, code) in [
        ("", "jwk.json"),
        ("[]", "jwk.json"),
        (r#"{"kty":"oct","k":"SECRETSECRET"}"#, "jwk.kty"),
        (
            r#"{"kty":"EC","crv":"P-256","x":"SECRETSECRET","y":"","d":""}"#,
            "jwk.member",
        ),
        (r#"{"kty":"EC","kty":"EC"}"#, "jws.duplicate_member"),
    ] {
        folder.write("key", text);
        for command in ["key public key", "key thumbprint key"] {
            assert_eq!(folder.refused(command), code, "{text}");
            assert!(!folder.run(command).err.contains("SECRET"));
        }
    }
    assert_eq!(folder.failed("key public missing"), "cli.file");
    assert_eq!(folder.failed("key public ."), "cli.file");
}

/// ID-01: an identifier, or the code for what is wrong with it.
#[test]
fn identifiers_are_checked() {
    let folder = Folder::new();
    let good = folder.ok("id check spiffe://example.org/ns/a");
    assert_eq!(
        good,
        "id      spiffe://example.org/ns/a\norigin  spiffe://example.org\n"
    );
    assert!(
        folder
            .ok("id check wimse://example.com/a")
            .contains("wimse://example.com\n")
    );
    for (bad, code) in [
        ("https://example.org/a", "id.scheme"),
        ("spiffe://Example.org/a", "id.trust_domain"),
        ("spiffe://example.org/a/", "id.trailing_slash"),
        ("spiffe://example.org/../a", "id.dot_segment"),
        ("spiffe://user@example.org/a", "id.user_info"),
    ] {
        assert_eq!(folder.refused(&format!("id check {bad}")), code, "{bad}");
    }
    assert_eq!(folder.run("id check").status, 2);
}
