use std::time::Duration;

use aims_jose::key::SigningKey;
use aims_jose::provider::AWS_LC;
use aims_jose::random::SYSTEM;
use serde_json::Value;

use super::*;
use crate::HttpRequest;
use crate::profile::web_bot_auth::DirectorySigning;
use crate::profile::web_bot_auth::verify::tests::{VECTORS, at, text};

/// test-key-ed25519 (RFC 9421 §B.1.4).
pub(crate) fn test_key() -> SigningKey {
    let jwk = br#"{"kty":"OKP","crv":"Ed25519","d":"n4Ni-HpISpVObnQMW0wOhCKROaIKqKtW_2ZYb2p9KcU","x":"JrQLj5P_89iXES9-vFgrIy29clF9CC_oPPsw3c5D0bs"}"#;
    SigningKey::from_jwk(jwk, AWS_LC).unwrap()
}

/// Ed25519 gives one signature for one text. The label of the examples differs, and is not signed.
#[test]
fn the_request_of_the_draft_is_what_we_sign() {
    let vectors: Value = serde_json::from_str(VECTORS).unwrap();
    let vector = &vectors["requests"][3];
    let key = test_key();
    let agent = SignatureAgent::directory("https://signature-agent.test").unwrap();
    let mut signing = RequestSigning::new(agent, key.verifying_key())
        .unwrap()
        .with_label("agent2")
        .covering_authority_alone()
        .with_nonce(
            "n9p433xm+NJ3ph3upfBIGmsuwHw387YV7Q/F+6BSpGCVjYCqQw6rznNA8PVVLySrAWsv0hQtFioQb6E1YsauiA==",
        );
    signing.lifetime = Duration::from_secs(4_889_289_600 - 1_735_689_600);
    assert_eq!(signing.signature_agent(), text(vector, "signature_agent"));
    let request = http::Request::get(text(vector, "target"))
        .header("signature-agent", signing.signature_agent());
    let (parts, ()) = request.body(()).unwrap().into_parts();
    let message = HttpRequest::to_send(&parts).unwrap();
    let error = signing.prepare(&message, SYSTEM, at(1_735_689_600));
    assert_eq!(error.unwrap_err().code(), "sig.lifetime");
    let fields = signing
        .prepare_for(&message, SYSTEM, at(1_735_689_600))
        .unwrap()
        .sign(&key)
        .unwrap();
    let behind_label = |member: &str| member.split_once('=').unwrap().1.to_owned();
    for (ours, theirs) in [
        (fields.signature_input(), text(vector, "signature_input")),
        (fields.signature(), text(vector, "signature")),
    ] {
        assert_eq!(behind_label(ours), behind_label(theirs));
    }
}

#[test]
fn the_directory_of_the_draft_is_what_we_sign() {
    let vectors: Value = serde_json::from_str(VECTORS).unwrap();
    let vector = &vectors["directory"];
    let key = test_key();
    let (request, ()) = http::Request::get(text(vector, "target"))
        .body(())
        .unwrap()
        .into_parts();
    let response =
        http::Response::builder().header("content-digest", text(vector, "content_digest"));
    let (response, ()) = response.body(()).unwrap().into_parts();
    let fields = DirectorySigning::for_lifetime(Duration::from_secs(4_889_289_600 - 1_735_689_600))
        .prepare(
            "binding",
            key.verifying_key(),
            &crate::HttpResponse::new(&response),
            &HttpRequest::to_send(&request).unwrap(),
            at(1_735_689_600),
        )
        .unwrap()
        .sign(&key)
        .unwrap();
    assert_eq!(fields.signature_input(), text(vector, "signature_input"));
    assert_eq!(fields.signature(), text(vector, "signature"));
}
