//! RFC 9421 appendix B: all keys, all signatures, the proxy and the transformations.

use aims_http_sig::{
    Algorithm, Algorithms, Component, Exchange, Keys, Limits, Policy, ReceivedFields, Section,
    SharedKey, Signing, VerifiedSignature,
};
use aims_jose::key::Signer as _;
use aims_jose::random::SYSTEM;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use crate::support::{
    CREATED, ED25519, P256, PROVIDERS, RSA, RSA_PSS, Text, at, code, components, public_key,
    signing_key, vector,
};

fn request() -> Text {
    Text::parse(&vector("Test Cases")[0])
}

/// The response with the `Content-Digest` of the signature base of B.2.4, which differs from the
/// printed response.
fn response() -> Text {
    let digest = "sha-512=:mEWXIS7MaLRuGgxOBdODa3xqM1XdEvxoYhvlCFJ41QJgJc4GTsPp29l5oGX69wWdXymyU0rjJuahq4l5aGgfLQ==:";
    Text::parse(&vector("Test Cases")[1]).replacing("Content-Digest", &[digest])
}

fn shared_key() -> SharedKey {
    let secret = STANDARD
        .decode(&vector("Example Shared Secret")[0])
        .unwrap();
    SharedKey::new("test-shared-secret", secret).unwrap()
}

/// The signature verifies over exactly this base.
fn holds(message: &Text, title: &str, keys: &dyn Keys, policy: Policy) -> VerifiedSignature {
    let blocks = vector(title);
    let message = message.clone().with(&blocks[1]);
    let verified = policy.verify(&message.exchange(), keys, at(CREATED));
    let verified = verified.unwrap().accept_replays();
    assert_eq!(text(&verified), blocks[0]);
    let limits = Limits::default();
    let received = ReceivedFields::of(&message, Section::Headers, &limits).unwrap();
    let signatures = received.signatures(&limits).unwrap();
    let base = signatures[0].base(&message.exchange(), &limits).unwrap();
    assert_eq!(base.as_bytes(), verified.base().as_bytes());
    verified
}

fn text(verified: &VerifiedSignature) -> &str {
    str::from_utf8(verified.base().as_bytes()).unwrap()
}

/// B.2.1
#[test]
fn minimal_with_rsa_pss() {
    for provider in PROVIDERS {
        let key = public_key(RSA_PSS, "PS512", provider);
        let title = "Minimal Signature Using rsa-pss-sha512";
        let verified = holds(&request(), title, &key, Policy::requiring([]));
        assert_eq!(verified.label(), "sig-b21");
        assert_eq!(verified.components().count(), 0);
        assert_eq!(
            verified.parameters().nonce().as_deref(),
            Some("b3k2pp5k7z-50gnwp.yemd")
        );
        assert_eq!(verified.algorithm(), Algorithm::RsaPssSha512);
    }
}

/// B.2.2
#[test]
fn selective_with_rsa_pss() {
    for provider in PROVIDERS {
        let key = public_key(RSA_PSS, "PS512", provider);
        let title = "Selective Covered Components using rsa-pss-sha512";
        let required = components(&["@authority", "content-digest", "@query-param;name=\"Pet\""]);
        let policy = Policy::requiring(required).with_tag("header-example");
        let verified = holds(&request(), title, &key, policy);
        assert_eq!(verified.value(&Component::query_param("Pet")), Some("dog"));
        assert_eq!(verified.value(&Component::METHOD), None);
        assert_eq!(
            verified.parameters().tag().as_deref(),
            Some("header-example")
        );
    }
}

/// B.2.3
#[test]
fn full_with_rsa_pss() {
    for provider in PROVIDERS {
        let key = public_key(RSA_PSS, "PS512", provider);
        let required = components(&[
            "date",
            "@method",
            "@path",
            "@query",
            "@authority",
            "content-type",
            "content-digest",
            "content-length",
        ]);
        holds(
            &request(),
            "Full Coverage using rsa-pss-sha512",
            &key,
            Policy::requiring(required),
        );
    }
}

/// B.2.4
#[test]
fn a_response_with_p256() {
    for provider in PROVIDERS {
        let key = public_key(P256, "ES256", provider);
        let required = components(&[
            "@status",
            "content-type",
            "content-digest",
            "content-length",
        ]);
        let verified = holds(
            &response(),
            "Signing a Response using ecdsa-p256-sha256",
            &key,
            Policy::requiring(required),
        );
        assert_eq!(verified.value(&Component::STATUS), Some("200"));
    }
}

/// B.2.5; the MAC comes out byte for byte.
#[test]
fn hmac() {
    let title = "Signing a Request using hmac-sha256";
    let policy = Policy::requiring([]).with_algorithms(Algorithms::of(&[Algorithm::HmacSha256]));
    holds(&request(), title, &shared_key(), policy);
    let fields = Signing::new("sig-b25")
        .covering(components(&["date", "@authority", "content-type"]))
        .with_created()
        .with_key_id("test-shared-secret")
        .prepare(&request().exchange(), SYSTEM, at(CREATED))
        .unwrap()
        .sign_with_shared_key(&shared_key())
        .unwrap();
    let printed = format!(
        "Signature-Input: {}\nSignature: {}",
        fields.signature_input(),
        fields.signature()
    );
    assert_eq!(printed, vector(title)[1]);
}

/// B.2.6; the signature comes out byte for byte.
#[test]
fn ed25519() {
    let title = "Signing a Request using ed25519";
    for provider in PROVIDERS {
        let key = signing_key(ED25519, "EdDSA", provider);
        holds(
            &request(),
            title,
            key.verifying_key(),
            Policy::requiring([]),
        );
        let fields = Signing::new("sig-b26")
            .covering(components(&[
                "date",
                "@method",
                "@path",
                "@authority",
                "content-type",
                "content-length",
            ]))
            .with_created()
            .with_key_id(key.key_id().unwrap())
            .prepare(&request().exchange(), SYSTEM, at(CREATED))
            .unwrap()
            .sign(&key)
            .unwrap();
        let printed = format!(
            "Signature-Input: {}\nSignature: {}",
            fields.signature_input(),
            fields.signature()
        );
        assert_eq!(printed, vector(title)[1]);
    }
}

/// B.3: the signature of the proxy is valid over the forwarded message, and not over the one that
/// the client sent.
#[test]
fn tls_terminating_proxy() {
    let blocks = vector("TLS-Terminating Proxies");
    let (sent, base, bare, signed) = (&blocks[0], &blocks[2], &blocks[3], &blocks[4]);
    let signed = Text::parse(signed);
    for provider in PROVIDERS {
        let key = public_key(P256, "ES256", provider);
        let policy = Policy::requiring(components(&[
            "@path",
            "@query",
            "@method",
            "@authority",
            "client-cert",
        ]));
        let verified = policy.verify(&signed.exchange(), &key, at(CREATED));
        let verified = verified.unwrap().accept_replays();
        assert_eq!(text(&verified), base);
        let value = |name: &str| {
            signed
                .headers
                .iter()
                .find(|(own, _)| own == name)
                .unwrap()
                .1
                .clone()
        };
        assert_eq!(
            value("Signature"),
            format!("ttrp=:{}:", bare.replace('\n', "")).into_bytes()
        );
        let fields = ["Signature-Input", "Signature", "Client-Cert"]
            .map(|name| format!("{name}: {}", String::from_utf8(value(name)).unwrap()))
            .join("\n");
        let sent = Text::parse(sent).with(&fields);
        assert_eq!(
            code(policy.verify(&sent.exchange(), &key, at(CREATED))),
            "sig.signature"
        );
    }
}

/// B.4: changes that a proxy may make, and changes that it may not. HMS-11
#[test]
fn transformations() {
    let blocks = vector("HTTP Message Transformations");
    let expected = [
        "good",
        "good",
        "good",
        "good",
        "sig.signature",
        "sig.signature",
    ];
    let messages: Vec<&String> = blocks
        .iter()
        .filter(|block| block.contains("HTTP/1.1"))
        .collect();
    assert_eq!(messages.len(), expected.len());
    for provider in PROVIDERS {
        let key = public_key(ED25519, "EdDSA", provider);
        let policy = Policy::requiring(components(&["@method", "@path", "@authority", "accept"]));
        for (message, expected) in messages.iter().zip(expected) {
            let message = Text::parse(message);
            let outcome = policy.verify(&message.exchange(), &key, at(CREATED));
            assert_eq!(code(outcome), expected, "{message:?}");
        }
        let first = Text::parse(messages[0]);
        let verified = policy
            .verify(&first.exchange(), &key, at(CREATED))
            .unwrap()
            .accept_replays();
        assert_eq!(text(&verified), blocks[1]);
    }
}

/// §4.3: RSA PKCS#1 v1.5, beside the signature that was there before the proxy. HMS-07
#[test]
fn a_second_signature_with_rsa_v15() {
    let blocks = vector("Multiple Signatures");
    let (first, base, message) = (&blocks[0], &blocks[2], Text::parse(&blocks[4]));
    let now = at(CREATED + 7);
    for provider in PROVIDERS {
        let key = public_key(RSA, "RS256", provider);
        let required = components(&["@authority", "forwarded", "content-digest"]);
        let policy = Policy::requiring(required).with_label("proxy_sig");
        let verified = policy.verify(&message.exchange(), &key, now);
        let verified = verified.unwrap().accept_replays();
        assert_eq!(text(&verified), base);
        assert_eq!(verified.algorithm(), Algorithm::RsaV15Sha256);
        // The client's signature is over the authority that it called.
        let client = public_key(P256, "ES256", provider);
        let policy = Policy::requiring([]).with_label("sig1");
        let forwarded = policy.verify(&message.exchange(), &client, now);
        assert_eq!(code(forwarded), "sig.signature");
        let mut as_sent = message.clone();
        as_sent.authority = "example.com".to_owned();
        assert_eq!(
            code(policy.verify(&as_sent.exchange(), &client, now)),
            "good"
        );
        let sent = Text::parse(first);
        assert_eq!(code(policy.verify(&sent.exchange(), &client, now)), "good");
    }
}

/// §2.4: a response is bound to its request, and refused for another one. T-069
#[test]
fn responses_cover_their_requests() {
    let blocks = vector("Signing Request Components in a Response Message");
    let pairs = [
        (&blocks[0], &blocks[2], &blocks[3]),
        (&blocks[4], &blocks[5], &blocks[6]),
    ];
    for provider in PROVIDERS {
        let key = public_key(P256, "ES256", provider);
        for (request, base, response) in pairs {
            let (request, response) = (Text::parse(request), Text::parse(response));
            let policy = Policy::requiring(components(&["@status", "@method;req", "@path;req"]));
            let now = at(CREATED + 6);
            let exchange = Exchange::of(&response).answering(&request);
            let verified = policy
                .verify(&exchange, &key, now)
                .unwrap()
                .accept_replays();
            assert_eq!(text(&verified), base);
            let other = request.clone().changed("/foo", "/bar");
            let exchange = Exchange::of(&response).answering(&other);
            assert_eq!(code(policy.verify(&exchange, &key, now)), "sig.signature");
            let alone = policy.verify(&response.exchange(), &key, now);
            assert_eq!(code(alone), "sig.component_misplaced");
        }
    }
}
