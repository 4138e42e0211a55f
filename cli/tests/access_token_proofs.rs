//! Tests of `aims token verify` with `--dpop` and `--certificate`.

#![expect(
    clippy::indexing_slicing,
    clippy::unwrap_used,
    reason = "a test fails by panicking"
)]

mod common;

use aims_jose::alg::Algorithm;
use aims_jose::base64url::encode;
use aims_jose::digest::sha256;
use aims_jose::jws::SigningInput;
use aims_jose::key::SigningKey;
use aims_jose::provider::AWS_LC;
use common::Folder;
use serde_json::{Value, json};

const NOW: u64 = 1_800_000_000;
/// The certificate of RFC 8705 appendix A, and its thumbprint.
const CERTIFICATE: &str = "MIIBBjCBrAIBAjAKBggqhkjOPQQDAjAPMQ0wCwYDVQQDDARtdGxzMB4XDTE4MTAxODEyMzcw\
OVoXDTIyMDUwMjEyMzcwOVowDzENMAsGA1UEAwwEbXRsczBZMBMGByqGSM49AgEGCCqGSM49AwEHA0IABNcnyxwqV6hY8Qnh\
xxzFQ03C7HKW9OylMbnQZjjJ/Au08/coZwxS7LfA4vOLS9WuneIXhbGGWvsDSb0tH6IxLm8wCgYIKoZIzj0EAwIDSQAwRgIh\
AP0RC1E+vwJD/D1AGHGzuri+hlV/PpQEKTWUVeORWz83AiEA5x2eXZOVbUlJSGQgjwD5vaUaKlLR50Q2DmFfQj1L+SY=";
const THUMBPRINT: &str = "A4DtL2JmUMhAsvJj5tKyn64SqzmuXbMrJa0n761y5v0";
const DPOP: &str = "--dpop proof --method POST --uri https://api.example/call";

/// The server's key, the client's key, and a folder.
struct World {
    folder: Folder,
    server: SigningKey,
    client: SigningKey,
}

fn key() -> SigningKey {
    SigningKey::generate(Algorithm::Es256, AWS_LC).unwrap()
}

impl World {
    fn new() -> Self {
        let (folder, server) = (Folder::new(), key().with_key_id("k"));
        let keys = format!(r#"{{"keys":[{}]}}"#, server.public_jwk().to_json());
        folder.write("keys.json", keys);
        folder.write("certificate.pem", pem(CERTIFICATE));
        Self {
            folder,
            server,
            client: key(),
        }
    }

    fn jkt(&self) -> String {
        self.client.public_jwk().thumbprint().to_string()
    }

    /// Writes a token with this `cnf`, and a good proof for it.
    fn write(&self, cnf: &Value) {
        let mut claims = json!({
            "iss": "https://as.example", "aud": "https://api.example", "sub": "u-17",
            "client_id": "agent-1", "jti": "j", "iat": NOW, "exp": NOW + 300,
        });
        if !cnf.is_null() {
            claims["cnf"] = cnf.clone();
        }
        let input = SigningInput::new("at+jwt", Algorithm::Es256, Some("k"), &claims).unwrap();
        let token = input.sign(&self.server).unwrap();
        self.folder.write("token", token.expose());
        self.prove(&self.client, &json!({}));
    }

    /// Writes a proof for the token, with other claims.
    fn prove(&self, key: &SigningKey, changes: &Value) {
        let token = self.folder.read("token");
        let mut claims = json!({
            "jti": "p", "htm": "POST", "htu": "https://api.example/call", "iat": NOW,
            "ath": encode(&sha256(token.as_bytes())),
        });
        for (name, value) in changes.as_object().unwrap() {
            claims[name] = value.clone();
        }
        let jwk = key.public_jwk();
        let input = SigningInput::with_embedded_key("dpop+jwt", Algorithm::Es256, jwk, &claims);
        let proof = input.unwrap().sign(key).unwrap();
        self.folder.write("proof", format!("{}\n", proof.expose()));
    }

    fn run(&self, options: &str) -> common::Ran {
        let args = format!(
            "token verify --keys keys.json --now {NOW} --issuer https://as.example \
             --audience https://api.example --json {options} token"
        );
        self.folder.run(&args)
    }

    /// Returns `proven`, or the code of the refusal.
    fn told(&self, options: &str) -> (i32, Value) {
        let ran = self.run(options);
        let answer = ran.json();
        let told = match ran.status {
            0 => answer["proven"].clone(),
            _ => answer["error"].clone(),
        };
        (ran.status, told)
    }
}

fn pem(digits: &str) -> String {
    format!("-----BEGIN CERTIFICATE-----\n{digits}\n-----END CERTIFICATE-----\n")
}

/// A good proof makes the output `proven`; without it the token is verified and not proven.
#[test]
fn a_dpop_proof_is_checked() {
    let world = World::new();
    world.write(&json!({"jkt": world.jkt()}));
    assert_eq!(world.told(""), (0, json!(false)));
    assert_eq!(world.told(DPOP), (0, json!(true)));
    let query = DPOP.replace("/call", "/call?x=1");
    assert_eq!(world.told(&query), (0, json!(true)));
    let args = format!(
        "token verify --keys keys.json --now {NOW} --issuer https://as.example \
         --audience https://api.example {DPOP} token"
    );
    let text = world.folder.ok(&args);
    assert!(text.contains("binding    jkt, proven\n"), "{text}");
}

/// A wrong proof is refused with the code of its check.
#[test]
fn a_wrong_dpop_proof_is_refused() {
    let world = World::new();
    world.write(&json!({"jkt": world.jkt()}));
    for (changes, options, expected) in [
        (json!({}), DPOP.replace("POST", "GET"), "dpop.htm"),
        (json!({}), DPOP.replace("/call", "/other"), "dpop.htu"),
        (json!({"ath": "x"}), DPOP.to_owned(), "dpop.ath"),
        (json!({"iat": NOW - 600}), DPOP.to_owned(), "dpop.time"),
        (json!({}), format!("{DPOP} --nonce n1"), "dpop.nonce"),
        (
            json!({"nonce": "n2"}),
            format!("{DPOP} --nonce n1"),
            "dpop.nonce",
        ),
    ] {
        world.prove(&world.client, &changes);
        assert_eq!(world.told(&options), (1, json!(expected)), "{changes}");
    }
    world.prove(&world.client, &json!({"nonce": "n1"}));
    assert_eq!(world.told(&format!("{DPOP} --nonce n1")), (0, json!(true)));
    world.prove(&key(), &json!({}));
    assert_eq!(world.told(DPOP), (1, json!("token.not_bound")));
    world.folder.write("proof", "a.b");
    assert_eq!(world.told(DPOP), (1, json!("jws.parts")));
}

/// A token that is not bound by DPoP is not proven by it.
#[test]
fn a_proof_for_an_unbound_token_is_refused() {
    let world = World::new();
    let jwk: Value = serde_json::from_str(&world.client.public_jwk().to_json()).unwrap();
    for cnf in [
        Value::Null,
        json!({"jwk": jwk}),
        json!({"x5t#S256": THUMBPRINT}),
    ] {
        world.write(&cnf);
        assert_eq!(world.told(DPOP), (1, json!("token.not_bound")), "{cnf}");
    }
}

/// RFC 8705 appendix A: the certificate has the thumbprint of the token, or it is refused.
#[test]
fn a_certificate_is_checked() {
    let world = World::new();
    let option = "--certificate certificate.pem";
    world.write(&json!({"x5t#S256": THUMBPRINT}));
    assert_eq!(world.told(""), (0, json!(false)));
    assert_eq!(world.told(option), (0, json!(true)));
    world.write(&json!({"x5t#S256": world.jkt()}));
    assert_eq!(world.told(option), (1, json!("token.not_bound")));
    world.write(&Value::Null);
    assert_eq!(world.told(option), (1, json!("token.not_bound")));
    world.write(&json!({"x5t#S256": THUMBPRINT}));
    let two = pem(CERTIFICATE) + &pem(CERTIFICATE);
    for text in ["", "x", CERTIFICATE, &two] {
        world.folder.write("certificate.pem", text);
        assert_eq!(
            world.told(option),
            (1, json!("oauth.certificate")),
            "{text}"
        );
    }
}

/// All members of `cnf` together make the binding.
#[test]
fn every_member_must_be_proven() {
    let world = World::new();
    world.write(&json!({"jkt": world.jkt(), "x5t#S256": THUMBPRINT}));
    assert_eq!(world.told(DPOP), (0, json!(false)));
    assert_eq!(
        world.told("--certificate certificate.pem"),
        (0, json!(false))
    );
    let both = format!("{DPOP} --certificate certificate.pem");
    assert_eq!(world.told(&both), (0, json!(true)));
}

/// Options that need each other are errors of the command line.
#[test]
fn incomplete_options_are_usage_errors() {
    let world = World::new();
    world.write(&json!({"jkt": world.jkt()}));
    for options in [
        "--dpop proof",
        "--dpop proof --method POST",
        "--dpop proof --uri https://api.example/call",
        "--method POST",
        "--uri https://api.example/call",
        "--nonce n1",
        "--dpop missing --method POST --uri https://api.example/call",
        "--certificate missing",
    ] {
        assert_eq!(world.run(options).status, 2, "{options}");
    }
}
