//! Signatures of draft-cavage-http-signatures, the draft before RFC 9421, have their own error.

use aims_http_sig::http1::Reader;
use aims_http_sig::{Component, Error, Exchange, Policy};
use aims_jose::alg::Algorithm;
use aims_jose::key::SigningKey;
use aims_jose::provider::AWS_LC;

use crate::support::at;

const SIGNED: &[u8] = include_bytes!("../../../testdata/cavage/request.http");
const HEAD: &str = "POST /inbox HTTP/1.1\r\nHost: social.example\r\n";

fn verify(bytes: &[u8]) -> Error {
    let key = SigningKey::generate(Algorithm::Ed25519, AWS_LC).unwrap();
    let text = str::from_utf8(bytes).unwrap().replace("\r\n", "\n");
    let reader = Reader::edited_file(100);
    let request = reader.request(text.as_bytes(), "https").unwrap();
    let policy = Policy::requiring([Component::METHOD]);
    let verified = policy.verify(&Exchange::of(&request), key.verifying_key(), at(1));
    verified.unwrap_err()
}

#[test]
fn a_message_of_the_earlier_draft_is_named() {
    let error = verify(SIGNED);
    assert_eq!(error.code(), "sig.cavage");
    let text = error.to_string();
    assert!(text.contains("draft-cavage-http-signatures"), "{text}");
    assert!(text.contains("before RFC 9421"), "{text}");
}

/// In `Signature`, in any order and beside the fields of RFC 9421, and in `Authorization`.
#[test]
fn each_form_is_named() {
    for field in [
        "Signature: signature=\"YQ==\",keyId=\"a\"",
        "Signature: keyId=\"a\", algorithm=\"rsa-sha256\", headers=\"date\", signature=\"YQ==\"",
        "Authorization: Signature keyId=\"a\",signature=\"YQ==\"",
        "Authorization: signature keyId=\"a\",signature=\"YQ==\"",
        "Signature-Input: a=();created=1\r\nSignature: keyId=\"a\",signature=\"YQ==\"",
    ] {
        let error = verify(format!("{HEAD}{field}\r\n\r\n").as_bytes());
        assert_eq!(error.code(), "sig.cavage", "{field}");
    }
}

/// Fields that are not of that draft keep their own code.
#[test]
fn others_are_not() {
    for (field, code) in [
        ("Signature: sig1=:YQ==:", "sig.labels_differ"),
        ("Signature: keyId=\"a\"", "sig.labels_differ"),
        ("Authorization: Bearer keyId", "sig.missing"),
        ("Authorization: Signature YQ==", "sig.missing"),
        ("X: keyId=\"a\",signature=\"YQ==\"", "sig.missing"),
    ] {
        let error = verify(format!("{HEAD}{field}\r\n\r\n").as_bytes());
        assert_eq!(error.code(), code, "{field}");
    }
}
