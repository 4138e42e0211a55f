//! `signed_metadata` of a protected resource (RFC 9728 §2.2): served, and verified by a client.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use aims_jose::alg::Algorithm;
use aims_jose::jwk::{JwkSet, SetRules};
use aims_jose::jws::SigningInput;
use aims_jose::key::SigningKey;
use aims_jose::provider::AWS_LC;
use aims_jose::time::{UnixTime, at};
use aims_oauth_wire::Error;
use aims_oauth_wire::metadata::{MetadataSigner, ResourceMetadata, Switch};
use serde_json::{Value, json};

const NOW: u64 = 1_800_000_000;
const TOOL: &str = "https://tools.example/mcp";
const SIGNER: &str = "https://tools.example";

fn key() -> SigningKey {
    let key = SigningKey::generate(Algorithm::Es256, AWS_LC).unwrap();
    key.with_key_id("k")
}

fn signer(key: &SigningKey) -> MetadataSigner {
    let keys = format!(r#"{{"keys":[{}]}}"#, key.public_jwk().to_json());
    let keys = JwkSet::parse(keys.as_bytes(), &SetRules::oauth(), AWS_LC).unwrap();
    MetadataSigner::new(SIGNER, keys)
}

fn now() -> UnixTime {
    at(NOW)
}

fn read(document: &Value, signer: &MetadataSigner) -> Result<ResourceMetadata, Error> {
    let json = document.to_string();
    ResourceMetadata::parse_signed(json.as_bytes(), &TOOL.parse().unwrap(), signer, now())
}

fn code(document: &Value, signer: &MetadataSigner) -> &'static str {
    read(document, signer).map_or_else(|error| error.code(), |_| "ok")
}

#[test]
fn what_is_signed_is_read() {
    let key = key();
    let metadata = ResourceMetadata::new(TOOL.parse().unwrap())
        .with_authorization_server("https://as.example".parse().unwrap())
        .with_name("Tool")
        .signed(SIGNER, Some("k"), &key, now())
        .unwrap();
    assert!(metadata.is_signed());
    let mut document: Value = serde_json::from_str(&metadata.to_json()).unwrap();
    let found = read(&document, &signer(&key)).unwrap();
    assert_eq!(found.authorization_servers().len(), 1);
    assert_eq!(found.name(), Some("Tool"));
    // Signed members alone count: a changed plain one, and one that is not signed, have no effect.
    document["authorization_servers"] = json!(["https://evil.example"]);
    document["resource_name"] = json!("Other");
    document["scopes_supported"] = json!(["admin"]);
    document["dpop_bound_access_tokens_required"] = json!(true);
    let found = read(&document, &signer(&key)).unwrap();
    assert_eq!(
        found.authorization_servers()[0].as_str(),
        "https://as.example"
    );
    assert_eq!(found.name(), Some("Tool"));
    assert!(found.scopes_supported().is_none());
    assert!(!found.is_on(Switch::DpopBoundTokens));
    // Without a signer, the plain members count, as TLS protects them.
    let json = document.to_string();
    let plain = ResourceMetadata::parse(json.as_bytes(), &TOOL.parse().unwrap()).unwrap();
    assert_eq!(plain.name(), Some("Other"));
}

#[test]
fn only_the_trusted_signer_counts() {
    let key = key();
    let other = SigningKey::generate(Algorithm::Es256, AWS_LC).unwrap();
    let other = other.with_key_id("k");
    let with = |by: &SigningKey, changes: &Value| {
        let mut claims = json!({
            "iss": SIGNER, "iat": NOW, "resource": TOOL, "dpop_bound_access_tokens_required": true,
        });
        for (name, value) in changes.as_object().unwrap() {
            match value.as_str() {
                Some("-") => drop(claims.as_object_mut().unwrap().remove(name)),
                _ => claims[name] = value.clone(),
            }
        }
        let input = SigningInput::new("JWT", Algorithm::Es256, Some("k"), &claims).unwrap();
        let token = input.sign(by).unwrap();
        json!({"resource": TOOL, "signed_metadata": token.expose()})
    };
    let trusted = signer(&key);
    let good = read(&with(&key, &json!({})), &trusted).unwrap();
    assert!(good.is_on(Switch::DpopBoundTokens));
    for (changes, expected) in [
        (json!({"exp": NOW + 60}), "ok"),
        (json!({"exp": NOW - 30}), "metadata.signed"),
        (json!({"iat": NOW + 31}), "metadata.signed"),
        (json!({"nbf": NOW + 31}), "metadata.signed"),
        (json!({"iss": "https://tools.example/"}), "metadata.issuer"),
        (json!({"iss": "-"}), "metadata.signed"),
        (json!({"resource": "-"}), "metadata.signed"),
        (
            json!({"resource": "https://other.example/mcp"}),
            "metadata.resource",
        ),
        (json!({"jwks_uri": null}), "metadata.signed"),
        (json!({"jwks_uri": "ftp://x"}), "metadata.member"),
    ] {
        assert_eq!(code(&with(&key, &changes), &trusted), expected, "{changes}");
    }
    assert_eq!(code(&with(&other, &json!({})), &trusted), "metadata.signed");
    let mut broken = with(&key, &json!({}));
    let text = broken["signed_metadata"].as_str().unwrap().to_owned();
    let (head, _) = text.rsplit_once('.').unwrap();
    for bad in [
        format!("{head}."),
        format!("{head}.AAAA"),
        "a.b.c".to_owned(),
    ] {
        broken["signed_metadata"] = json!(&bad);
        let found = code(&broken, &trusted);
        assert_eq!(found, "metadata.signed", "{bad}");
    }
    // An access token, by its `typ`, is no metadata, also with such claims.
    let claims = json!({"iss": SIGNER, "iat": NOW, "resource": TOOL});
    for (typ, expected) in [
        ("JWT", "ok"),
        ("application/jwt", "ok"),
        ("at+jwt", "metadata.signed"),
        ("logout+jwt", "metadata.signed"),
    ] {
        let input = SigningInput::new(typ, Algorithm::Es256, Some("k"), &claims).unwrap();
        let token = input.sign(&key).unwrap();
        let document = json!({"resource": TOOL, "signed_metadata": token.expose()});
        assert_eq!(code(&document, &trusted), expected, "{typ}");
    }
    // Not signed at all.
    assert_eq!(
        code(&json!({"resource": TOOL}), &trusted),
        "metadata.member"
    );
}
