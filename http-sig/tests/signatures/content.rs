//! Content is compared with the signed digest (HMS-10).

use aims_http_sig::digest::ContentDigest;
use aims_http_sig::{Policy, Signing, VerifiedSignature};
use aims_jose::provider::AWS_LC;

use crate::support::{CREATED, ED25519, Text, at, code, components, public_key, signed};

const BODY: &[u8] = b"{\"amount\":5}";

fn verified(message: &Text) -> VerifiedSignature {
    let key = public_key(ED25519, "EdDSA", AWS_LC);
    let policy = Policy::requiring([]).with_any_tag();
    let verified = policy.verify(&message.exchange(), &key, at(CREATED));
    verified.unwrap().accept_replays()
}

fn covering(digest: &str, names: &[&str]) -> Text {
    let message = Text::parse("POST /pay HTTP/1.1\nHost: tools.example");
    let message = message.with(&format!("Content-Digest: {digest}"));
    let signing = Signing::new("a").covering(components(names));
    signed(message, &signing.with_created(), CREATED)
}

#[test]
fn content_is_that_of_the_signed_digest() {
    let digest = ContentDigest::of(BODY);
    let verified = verified(&covering(&digest.to_string(), &["content-digest"]));
    assert_eq!(verified.check_content(BODY).unwrap().length(), 12);
    assert_eq!(code(verified.check_content(b"{}")), "digest.mismatch");
    assert_eq!(verified.content_digest().unwrap(), digest);
}

/// The message has a matching digest, but no signature covers it.
#[test]
fn a_digest_that_nobody_signed_is_none() {
    let digest = ContentDigest::of(BODY).to_string();
    for name in [
        "@method",
        "content-digest;sf",
        "content-digest;key=\"sha-256\"",
    ] {
        let error = verified(&covering(&digest, &[name])).check_content(BODY);
        let error = error.unwrap_err();
        assert_eq!(error.code(), "sig.component_required", "{name}");
        assert_eq!(
            error.to_string(),
            "the signature does not cover `\"content-digest\"`"
        );
    }
}

#[test]
fn a_signed_digest_is_read_strictly() {
    for (digest, expected) in [
        ("md5=:AAAA:", "digest.insecure"),
        ("sha-256=:AAAA:", "digest.length"),
        ("sha-256", "digest.syntax"),
    ] {
        let verified = verified(&covering(digest, &["content-digest"]));
        assert_eq!(code(verified.check_content(BODY)), expected, "{digest}");
    }
}
