//! Signed metadata of a tool (RFC 9728 §2.2).

use aims_jose::jwk::{JwkSet, SetRules};
use aims_jose::key::SigningKey;
use aims_jose::provider::AWS_LC;
use aims_oauth_wire::metadata::{MetadataSigner, ResourceMetadata};
use aims_oauth_wire::names::Resource;
use serde_json::{Value, json};

use super::world::{TOOL, User, connected, connector, native, none, tool, world};
use crate::common::{self, code, with};

const SIGNER: &str = "https://tools.example";

/// A party that signs the metadata of the tool, and what a client knows of it.
fn metadata_signer(issuer: &str) -> (SigningKey, MetadataSigner) {
    let key = SigningKey::generate(aims_jose::Algorithm::Es256, AWS_LC).unwrap();
    let key = key.with_key_id("m");
    let keys = format!(r#"{{"keys":[{}]}}"#, key.public_jwk().to_json());
    let keys = JwkSet::parse(keys.as_bytes(), &SetRules::oauth(), AWS_LC).unwrap();
    (key, MetadataSigner::new(issuer, keys))
}

/// Returns `signed_metadata` of a resource whose server is this one.
fn signed_metadata(resource: &str, server: &str, by: &SigningKey, seconds: u64) -> Value {
    let metadata = ResourceMetadata::new(resource.parse().unwrap())
        .with_authorization_server(server.parse().unwrap())
        .signed(SIGNER, Some("m"), by, common::at(seconds))
        .unwrap();
    let document: Value = serde_json::from_str(&metadata.to_json()).unwrap();
    json!({"signed_metadata": document["signed_metadata"]})
}

/// Signed members decide where the client names the signer, and are ignored elsewhere (RFC 9728
/// §2.2).
#[tokio::test(start_paused = true)]
async fn signed_metadata_decides() {
    let (key, trusted) = metadata_signer(SIGNER);
    let other: Resource = "https://other.example/mcp".parse().unwrap();
    // The plain member names the server of an attacker, the signed one that of the tool.
    let mut document = signed_metadata(TOOL, "https://as.example", &key, common::NOW);
    document["authorization_servers"] = json!(["https://evil.example"]);
    let script = world(&document, &json!({}));
    let any = || connector(native(), &script, &User::default()).accept_any_issuer();
    for (connector, expected) in [
        (any(), "https://evil.example"),
        (
            any().trust_metadata(other, trusted.clone()),
            "https://evil.example",
        ),
        (
            any().trust_metadata(tool(), trusted.clone()),
            "https://as.example",
        ),
    ] {
        let connection = connected(&connector).await;
        assert_eq!(connection.issuer().as_str(), expected);
    }
    // The last signer of a tool counts.
    let (_, second) = metadata_signer(SIGNER);
    let replaced = any().trust_metadata(tool(), trusted.clone());
    let replaced = replaced.trust_metadata(tool(), second);
    let refused = replaced.connect(&tool(), &none()).await;
    assert_eq!(code(refused), "metadata.signed");
}

/// Each document differs from a good one in one thing.
#[tokio::test(start_paused = true)]
async fn other_signed_metadata_is_refused() {
    let (key, trusted) = metadata_signer(SIGNER);
    let (other_key, _) = metadata_signer(SIGNER);
    let (_, other_issuer) = metadata_signer("https://other.example");
    let server = "https://as.example";
    let good = signed_metadata(TOOL, server, &key, common::NOW);
    let broader = "https://tools.example";
    let broader = with(
        signed_metadata(broader, server, &key, common::NOW),
        &json!({"resource": broader}),
    );
    let mut cut = good.clone();
    let text = good["signed_metadata"].as_str().unwrap();
    cut["signed_metadata"] = text.rsplit_once('.').unwrap().0.into();
    for (document, signer, expected) in [
        (good.clone(), &trusted, "ok"),
        (good, &other_issuer, "metadata.signed"),
        (
            signed_metadata(TOOL, server, &other_key, common::NOW),
            &trusted,
            "metadata.signed",
        ),
        (
            signed_metadata(TOOL, server, &key, common::NOW + 31),
            &trusted,
            "metadata.signed",
        ),
        (
            signed_metadata("https://tools.example/other", server, &key, common::NOW),
            &trusted,
            "metadata.resource",
        ),
        (broader.clone(), &trusted, "metadata.resource"),
        (cut, &trusted, "metadata.signed"),
        (json!({}), &trusted, "metadata.member"),
        (json!({"none": true}), &trusted, "discovery.not_found"),
    ] {
        let script = world(&document, &json!({}));
        let connector = connector(native(), &script, &User::default())
            .accept_servers_without_resource_metadata()
            .accept_issuers([SIGNER.parse().unwrap()])
            .trust_metadata(tool(), signer.clone());
        let found = connector.connect(&tool(), &none()).await;
        assert_eq!(code(found), expected, "{document}");
    }
    // By name, a signed document may name a broader resource.
    let script = world(&broader, &json!({}));
    let connector = connector(native(), &script, &User::default())
        .accept_broader_resource()
        .trust_metadata(tool(), trusted);
    assert_eq!(code(connector.connect(&tool(), &none()).await), "ok");
}

/// A key with the trusted identifier signs for another party.
#[tokio::test(start_paused = true)]
async fn the_signer_is_named_with_its_issuer() {
    let (key, _) = metadata_signer(SIGNER);
    let keys = format!(r#"{{"keys":[{}]}}"#, key.public_jwk().to_json());
    let keys = JwkSet::parse(keys.as_bytes(), &SetRules::oauth(), AWS_LC).unwrap();
    let document = signed_metadata(TOOL, "https://as.example", &key, common::NOW);
    for (issuer, expected) in [
        (SIGNER, "ok"),
        ("https://tools.example/", "metadata.issuer"),
    ] {
        let script = world(&document, &json!({}));
        let signer = MetadataSigner::new(issuer, keys.clone());
        let connector = connector(native(), &script, &User::default());
        let found = connector.trust_metadata(tool(), signer);
        assert_eq!(code(found.connect(&tool(), &none()).await), expected);
    }
}
