//! The signatures in the WIMSE drafts, verified without the profile.

use aims_http_sig::{BareItem, Component, Exchange, Policy};
use aims_jose::key::SigningKey;

use crate::support::{PROVIDERS, Text, at, code};

const REQUEST: &str = include_str!("../../../testdata/wimse-2026-09/svca-svcb-request.http");
const RESPONSE: &str = include_str!("../../../testdata/wimse-2026-09/svca-svcb-response.http");
const CALLER: &str = include_str!("../../../testdata/wimse-2026-09/svca.private.jwk.json");
const CALLEE: &str = include_str!("../../../testdata/wimse-2026-09/svcb.private.jwk.json");
const TAG: &str = "wimse-workload-to-workload";
const CREATED: u64 = 1_789_405_135;

fn policy(components: &[&str]) -> Policy {
    Policy::requiring(
        components
            .iter()
            .map(|name| name.parse::<Component>().unwrap()),
    )
    .with_tag(TAG)
    .with_label("sig1")
    .requiring_parameters(["expires", "nonce"])
    .forbidding_parameters(["keyid", "alg"])
}

#[test]
fn the_request_verifies() {
    let request = Text::parse(&REQUEST.replace("\r\n", "\n"));
    for provider in PROVIDERS {
        let key = SigningKey::from_jwk(CALLER.as_bytes(), provider).unwrap();
        let policy = policy(&["@method", "@path", "@query", "workload-identity-token"])
            .requiring_parameters(["wimse-aud"]);
        let verified = policy.verify(&request.exchange(), key.verifying_key(), at(CREATED));
        let verified = verified.unwrap().accept_replays();
        let parameters = verified.parameters();
        let audience = parameters.named("wimse-aud").unwrap();
        assert_eq!(
            audience.text().as_deref(),
            Some("https://svcb.example.com/gimme-ice-cream")
        );
        assert_eq!(
            parameters.named("wimse-sign-response"),
            Some(BareItem::Boolean(true))
        );
        assert_eq!(parameters.nonce().as_deref(), Some("abcd1111"));
        assert_eq!(verified.value(&Component::PATH), Some("/gimme-ice-cream"));
        assert_eq!(verified.value(&Component::QUERY), Some("?flavor=vanilla"));
        let late = policy.verify(&request.exchange(), key.verifying_key(), at(CREATED + 331));
        assert_eq!(code(late), "sig.expired");
    }
}

/// T-069
#[test]
fn the_response_verifies_with_its_request() {
    let request = Text::parse(&REQUEST.replace("\r\n", "\n"));
    let response = Text::parse(&RESPONSE.replace("\r\n", "\n"));
    for provider in PROVIDERS {
        let key = SigningKey::from_jwk(CALLEE.as_bytes(), provider).unwrap();
        let key = key.verifying_key();
        let policy = policy(&[
            "@status",
            "workload-identity-token",
            "content-digest",
            "@method;req",
            "@path;req",
            "@query;req",
        ]);
        let exchange = Exchange::of(&response).answering(&request);
        let verified = policy
            .verify(&exchange, key, at(CREATED + 2))
            .unwrap()
            .accept_replays();
        let asked = verified.parameters().named("wimse-req-nonce").unwrap();
        assert_eq!(asked.text().as_deref(), Some("abcd1111"));
        assert_eq!(verified.value(&Component::STATUS), Some("404"));
        let other = request.clone().changed("vanilla", "lemon");
        let exchange = Exchange::of(&response).answering(&other);
        assert_eq!(
            code(policy.verify(&exchange, key, at(CREATED + 2))),
            "sig.signature"
        );
    }
}
