//! `sign_request`: an `http::Request` in one call.

use aims_http_sig::{Component, Exchange, HttpRequest, Policy, Signing, sign_request};
use aims_jose::alg::Algorithm;
use aims_jose::key::SigningKey;
use aims_jose::provider::AWS_LC;
use http::Request;

use crate::support::at;

const NOW: u64 = 1_700_000_000;

fn signing() -> Signing {
    let covered = [Component::METHOD, Component::TARGET_URI];
    Signing::new("sig1").covering(covered).with_created()
}

fn sign(signing: &Signing, body: &str) -> Result<(SigningKey, Request<String>), &'static str> {
    let key = SigningKey::generate(Algorithm::Ed25519, AWS_LC).unwrap();
    let request = Request::post("https://tools.example/pay").header("content-digest", "old=:YQ==:");
    let mut request = request.body(body.to_owned()).unwrap();
    sign_request(&mut request, signing, &key, at(NOW)).map_err(|error| error.code())?;
    Ok((key, request))
}

/// A request that it signs verifies, with the content.
#[test]
fn a_request_goes_round() {
    for (body, covered) in [("{}", true), ("", false)] {
        let (key, request) = sign(&signing(), body).unwrap();
        assert_eq!(request.headers().contains_key("content-digest"), covered);
        let (parts, content) = request.into_parts();
        let message = HttpRequest::to_send(&parts).unwrap();
        let policy = Policy::requiring([Component::METHOD, Component::TARGET_URI]);
        let verified = policy.verify(&Exchange::of(&message), key.verifying_key(), at(NOW));
        let verified = verified.unwrap().accept_replays();
        let digest = Component::field("content-digest").unwrap();
        assert_eq!(verified.covers(&digest), covered);
        if covered {
            verified.check_content(content.as_bytes()).unwrap();
            let error = verified.check_content(b"{ }").unwrap_err();
            assert_eq!(error.code(), "digest.mismatch");
        }
    }
}

/// A digest that the settings already cover is covered once.
#[test]
fn the_digest_is_covered_once() {
    let digest = Component::field("content-digest").unwrap();
    let (_, request) = sign(&signing().covering([digest]), "{}").unwrap();
    let input = request.headers().get("signature-input").unwrap();
    let input = input.to_str().unwrap();
    assert_eq!(input.matches("content-digest").count(), 1, "{input}");
}

/// On an error the request is unchanged.
#[test]
fn nothing_is_changed_where_it_fails() {
    assert_eq!(sign(&Signing::new("Sig"), "{}").unwrap_err(), "sig.prepare");
    let key = SigningKey::generate(Algorithm::Ed25519, AWS_LC).unwrap();
    let mut request = Request::post("/pay").body("{}").unwrap();
    let error = sign_request(&mut request, &signing(), &key, at(NOW)).unwrap_err();
    assert_eq!(error.code(), "sig.target");
    assert!(request.headers().is_empty());
}
