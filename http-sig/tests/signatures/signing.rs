//! Signing, and the two fields on a message.

use std::time::Duration;

use aims_http_sig::{
    Algorithm, BareItem, Component, Exchange, HttpRequest, HttpResponse, Policy, SharedKey,
    SignatureFields, Signing,
};
use aims_jose::Error as JoseError;
use aims_jose::key::AsyncSigner;
use aims_jose::provider::AWS_LC;
use aims_jose::random::{SYSTEM, SecureRandom};
use http::{HeaderMap, HeaderName, HeaderValue};

use crate::support::{
    CREATED, ED25519, Text, at, code, components, policy, post, public_key, signed, signing,
    signing_key, verdict,
};

fn prepared(signing: &Signing) -> Result<aims_http_sig::PreparedSignature, aims_http_sig::Error> {
    signing.prepare(&post().exchange(), SYSTEM, at(CREATED))
}

fn fields(label: &str) -> SignatureFields {
    let key = signing_key(ED25519, "EdDSA", AWS_LC);
    let signing = Signing::new(label)
        .covering(components(&[
            "@method",
            "@target-uri",
            "content-digest",
            "authorization",
        ]))
        .with_created()
        .with_tag("payments");
    prepared(&signing).unwrap().sign(&key).unwrap()
}

#[test]
fn parameters_stand_in_their_order() {
    let signing = Signing::new("a")
        .with_tag("t \"1\"")
        .with_parameter("x-aud", BareItem::string("https://a").unwrap())
        .with_parameter("x-yes", BareItem::Boolean(true))
        .with_parameter("x-no", BareItem::Boolean(false))
        .with_parameter("x-n", BareItem::Integer(-1))
        .with_expires_after(Duration::from_secs(60))
        .with_key_id("k")
        .with_alg(Algorithm::Ed25519)
        .with_nonce("n")
        .with_created();
    let prepared = prepared(&signing).unwrap();
    let expected = r#"();tag="t \"1\"";x-aud="https://a";x-yes;x-no=?0;x-n=-1;expires=1618884533;keyid="k";alg="ed25519";nonce="n";created=1618884473"#;
    assert_eq!(prepared.base().signature_params(), expected);
    assert_eq!(
        prepared.base().as_bytes(),
        format!("\"@signature-params\": {expected}").as_bytes()
    );
    assert_eq!(
        prepared.base().parameters().tag().as_deref(),
        Some("t \"1\"")
    );
}

#[test]
fn nonces_are_fresh() {
    let signing = Signing::new("a").with_random_nonce();
    let nonce = || {
        prepared(&signing)
            .unwrap()
            .base()
            .parameters()
            .nonce()
            .unwrap()
            .into_owned()
    };
    let (one, two) = (nonce(), nonce());
    assert_eq!(one.len(), 22);
    assert_ne!(one, two);

    #[derive(Debug)]
    struct Dry;
    impl SecureRandom for Dry {
        fn fill(&self, _buffer: &mut [u8]) -> Result<(), JoseError> {
            Err(JoseError::Random)
        }
    }
    assert_eq!(
        code(signing.prepare(&post().exchange(), &Dry, at(CREATED))),
        "random.unavailable"
    );
}

#[test]
fn a_label_that_is_no_key_is_shown() {
    let refused = prepared(&Signing::new("Sig\u{1b}"))
        .unwrap_err()
        .to_string();
    assert!(
        refused.contains(r#"the label "Sig\u{1b}" is no key"#)
            && refused.contains("begins with a lower-case letter"),
        "{refused}"
    );
}

#[test]
fn what_cannot_be_signed() {
    let bad = |signing: Signing| code(prepared(&signing));
    for label in ["", "A", "1", "a b", "a=", "ü"] {
        assert_eq!(bad(Signing::new(label)), "sig.prepare", "{label}");
    }
    assert_eq!(bad(Signing::new("a").with_tag("")), "sig.prepare");
    assert_eq!(bad(Signing::new("a").with_tag("a\n")), "sig.prepare");
    assert_eq!(bad(Signing::new("a").with_key_id("ü")), "sig.prepare");
    assert_eq!(
        bad(Signing::new("a").with_tag("a").with_tag("a")),
        "sig.prepare"
    );
    assert_eq!(
        bad(Signing::new("a").with_created().with_created()),
        "sig.prepare"
    );
    assert_eq!(
        bad(Signing::new("a").with_parameter("created", BareItem::Integer(1))),
        "sig.prepare"
    );
    assert_eq!(
        bad(Signing::new("a").with_parameter("X", BareItem::Integer(1))),
        "sig.prepare"
    );
    assert_eq!(
        bad(Signing::new("a").with_parameter("x", BareItem::Token("a b".into()))),
        "sig.prepare"
    );
    assert_eq!(
        bad(Signing::new("a").with_parameter("x", BareItem::String("a\"".into()))),
        "sig.prepare"
    );
    assert_eq!(
        bad(Signing::new("a").with_parameter("x", BareItem::Bytes("AA".into()))),
        "sig.prepare"
    );
    assert_eq!(
        bad(Signing::new("a").with_parameter("x", BareItem::Integer(i64::MAX))),
        "sig.prepare"
    );
    assert_eq!(
        bad(Signing::new("a").with_expires_after(Duration::MAX)),
        "sig.prepare"
    );
    for (lifetime, expected) in [
        (Duration::ZERO, "sig.prepare"),
        (Duration::from_millis(999), "sig.prepare"),
        (Duration::from_secs(1), "good"),
    ] {
        let signing = Signing::new("a").with_expires_after(lifetime);
        assert_eq!(bad(signing), expected, "{lifetime:?}");
    }
    assert_eq!(
        bad(Signing::new("a").covering([Component::METHOD, Component::METHOD])),
        "sig.component_repeated"
    );
    assert_eq!(
        bad(Signing::new("a").covering([Component::STATUS])),
        "sig.component_misplaced"
    );
    assert_eq!(
        bad(Signing::new("a").covering(components(&["x-none"]))),
        "sig.component_absent"
    );
    assert_eq!(bad(Signing::new("a")), "good");
}

/// Signatures of an external signer must have the right length and algorithm.
#[test]
fn signatures_from_elsewhere() {
    let finish = |algorithm, len| {
        code(
            prepared(&Signing::new("a").with_created())
                .unwrap()
                .finish(algorithm, &vec![1; len]),
        )
    };
    for (algorithm, len) in [
        (Algorithm::Ed25519, 64),
        (Algorithm::EcdsaP256Sha256, 64),
        (Algorithm::EcdsaP384Sha384, 96),
        (Algorithm::HmacSha256, 32),
        (Algorithm::RsaPssSha512, 256),
        (Algorithm::RsaV15Sha256, 512),
    ] {
        assert_eq!(finish(algorithm, len), "good", "{algorithm}");
        for len in [0, 31, 70, 4096] {
            assert_eq!(finish(algorithm, len), "sig.signature", "{algorithm} {len}");
        }
    }
    let named = prepared(&Signing::new("a").with_alg(Algorithm::Ed25519)).unwrap();
    assert_eq!(
        code(named.finish(Algorithm::EcdsaP256Sha256, &[1; 64])),
        "sig.algorithm"
    );
    let named = prepared(&Signing::new("a").with_alg(Algorithm::Ed25519)).unwrap();
    let key = SharedKey::new("a", [1; 32]).unwrap();
    assert_eq!(code(named.sign_with_shared_key(&key)), "sig.algorithm");
}

#[test]
fn asynchronous_signers() {
    let key = signing_key(ED25519, "EdDSA", AWS_LC);
    let message = post();
    let prepared = signing()
        .prepare(&message.exchange(), SYSTEM, at(CREATED))
        .unwrap();
    let signer: &dyn AsyncSigner = &key;
    let mut future = std::pin::pin!(prepared.sign_async(signer));
    let mut context = std::task::Context::from_waker(std::task::Waker::noop());
    let std::task::Poll::Ready(fields) = future.as_mut().poll(&mut context) else {
        panic!("a local key waits for nothing");
    };
    let fields = fields.unwrap();
    let message = message.with(&format!(
        "Signature-Input: {}\nSignature: {}",
        fields.signature_input(),
        fields.signature()
    ));
    assert_eq!(verdict(&policy(), &message, CREATED), "good");
}

/// Requests and responses of the crate `http`. HMS-12
#[test]
fn messages_of_the_http_crate() {
    let (mut parts, ()) = http::Request::post("https://Tools.example:443/pay?amount=5")
        .header("content-digest", "sha-256=:AAAA:")
        .header("authorization", "Bearer token")
        .body(())
        .unwrap()
        .into_parts();
    let key = signing_key(ED25519, "EdDSA", AWS_LC);
    let sent = HttpRequest::to_send(&parts).unwrap();
    let fields = signing()
        .prepare(&Exchange::of(&sent), SYSTEM, at(CREATED))
        .unwrap()
        .sign(&key)
        .unwrap();
    fields.apply(&mut parts.headers).unwrap();

    parts.uri = "/pay?amount=5".parse().unwrap();
    let received = HttpRequest::received(&parts, "https", "tools.example");
    let exchange = Exchange::of(&received);
    let key_public = public_key(ED25519, "EdDSA", AWS_LC);
    assert_eq!(
        code(policy().verify(&exchange, &key_public, at(CREATED))),
        "good"
    );
    let elsewhere = HttpRequest::received(&parts, "https", "other.example");
    assert_eq!(
        code(policy().verify(&Exchange::of(&elsewhere), &key_public, at(CREATED))),
        "sig.signature"
    );
    // The same message, as another type.
    let text = Text::parse("POST /pay?amount=5 HTTP/1.1\nHost: tools.example");
    let lines = parts
        .headers
        .iter()
        .map(|(name, value)| format!("{name}: {}", value.to_str().unwrap()));
    assert_eq!(
        verdict(
            &policy(),
            &text.with(&lines.collect::<Vec<_>>().join("\n")),
            CREATED
        ),
        "good"
    );

    let (mut answer, ()) = http::Response::builder()
        .status(201)
        .body(())
        .unwrap()
        .into_parts();
    let covered = components(&["@status", "@method;req", "authorization;req", "x-end;tr"]);
    let mut trailers = HeaderMap::new();
    trailers.insert("x-end", HeaderValue::from_static("1"));
    let response = HttpResponse::new(&answer).with_trailers(&trailers);
    let signing = Signing::new("r").covering(covered.clone()).with_created();
    let fields = signing
        .prepare(
            &Exchange::of(&response).answering(&received),
            SYSTEM,
            at(CREATED),
        )
        .unwrap()
        .sign(&key)
        .unwrap();
    fields.apply(&mut answer.headers).unwrap();
    let response = HttpResponse::new(&answer).with_trailers(&trailers);
    let exchange = Exchange::of(&response).answering(&received);
    let verified = Policy::requiring(covered)
        .verify(&exchange, &key_public, at(CREATED))
        .unwrap()
        .accept_replays();
    assert_eq!(verified.value(&Component::STATUS), Some("201"));
}

/// The forms of a target that `http` has.
#[test]
fn targets_of_the_http_crate() {
    let parts = |method: &str, uri: &str, version| {
        http::Request::builder()
            .method(method)
            .uri(uri)
            .version(version)
            .body(())
            .unwrap()
            .into_parts()
            .0
    };
    let target = |request: &HttpRequest<'_>| {
        aims_http_sig::component_value(&Exchange::of(request), Component::REQUEST_TARGET.id())
            .unwrap()
    };
    let (one, two) = (http::Version::HTTP_11, http::Version::HTTP_2);
    for (method, uri, version, expected) in [
        ("GET", "/a?b", one, "/a?b"),
        ("GET", "https://a.example/a?b", one, "https://a.example/a?b"),
        ("GET", "https://a.example/a?b", two, "/a?b"),
        ("CONNECT", "a.example:443", one, "a.example:443"),
        ("OPTIONS", "*", one, "*"),
    ] {
        let parts = parts(method, uri, version);
        assert_eq!(
            target(&HttpRequest::received(&parts, "https", "a.example")),
            expected
        );
    }
    let absolute = parts("GET", "https://a.example/a?b", one);
    assert_eq!(target(&HttpRequest::to_send(&absolute).unwrap()), "/a?b");
    assert_eq!(
        target(&HttpRequest::received(&absolute, "https", "a.example").with_target("/seen")),
        "/seen"
    );
    let connect = parts("CONNECT", "a.example:443", one);
    assert_eq!(
        target(&HttpRequest::to_send(&connect).unwrap()),
        "a.example:443"
    );
    for (uri, reason) in [
        (
            "/a",
            "the URI is not absolute, as it is of a request to send",
        ),
        ("https://u:p@a.example/", "the URI has user information"),
        (
            "ftp://a.example/",
            "the scheme is neither `https` nor `http`",
        ),
    ] {
        let error = HttpRequest::to_send(&parts("GET", uri, one)).unwrap_err();
        assert_eq!(error.code(), "sig.target", "{uri}");
        assert_eq!(error.to_string(), format!("the request target: {reason}"));
    }
}

#[test]
fn fields_are_added_beside_others() {
    let mut headers = HeaderMap::new();
    fields("sig1").apply(&mut headers).unwrap();
    fields("sig2").apply(&mut headers).unwrap();
    assert_eq!(headers.get_all("signature").iter().count(), 2);
    assert_eq!(headers.get_all("signature-input").iter().count(), 2);
    let before = headers.clone();
    assert_eq!(code(fields("sig2").apply(&mut headers)), "sig.label_taken");
    assert_eq!(headers, before);
    for (name, value) in [
        ("signature", "sig3=:AA==:"),
        ("signature-input", "sig3=(\"a\";x);y=1"),
    ] {
        let mut headers = before.clone();
        headers.append(
            HeaderName::from_static(name),
            HeaderValue::from_static(value),
        );
        assert_eq!(code(fields("sig3").apply(&mut headers)), "sig.label_taken");
        assert_eq!(code(fields("sig4").apply(&mut headers)), "good");
        headers.append(HeaderName::from_static(name), HeaderValue::from_static("?"));
        assert_eq!(code(fields("sig5").apply(&mut headers)), "sig.syntax");
    }
}

/// T-076: a full map is an error.
#[test]
fn a_full_map_is_an_error() {
    let mut headers = HeaderMap::new();
    let one = HeaderValue::from_static("1");
    let full = (0..40_000).find(|n| {
        let name = HeaderName::try_from(format!("x-{n}")).unwrap();
        headers.try_append(name, one.clone()).is_err()
    });
    assert!(full.is_some());
    let most = headers.len();
    // If the map has room for one line only, no field is added.
    for (removed, expected) in [
        (None, "sig.headers_full"),
        (Some("x-0"), "sig.headers_full"),
        (Some("x-1"), "good"),
    ] {
        let _gone = removed.map(|name| headers.remove(name));
        let before = headers.len();
        assert_eq!(code(fields("sig1").apply(&mut headers)), expected);
        let added = if expected == "good" { 2 } else { 0 };
        assert_eq!(headers.len(), before + added);
        assert_eq!(headers.contains_key("signature-input"), added > 0);
    }
    assert_eq!(headers.len(), most);
}

/// Fields in the trailers, for content that is signed while it is sent.
#[test]
fn signatures_in_trailers() {
    let message = signed(post(), &signing(), CREATED);
    let mut moved = message.clone();
    moved.trailers = moved.headers.split_off(moved.headers.len() - 2);
    assert_eq!(verdict(&policy().in_trailers(), &moved, CREATED), "good");
    assert_eq!(verdict(&policy(), &moved, CREATED), "sig.missing");
    assert_eq!(
        verdict(&policy().in_trailers(), &message, CREATED),
        "sig.missing"
    );
}

/// The signed target is the target that is sent: `http` keeps each byte of path and query, and so
/// does this crate.
#[test]
fn targets_are_signed_as_they_are() {
    for target in [
        "/a/../b",
        "/%2e%2E/%7Euser",
        "/A//b/",
        "/a?b=%20c+d&&=",
        "/?",
        "/a;b=c,d'e",
    ] {
        let uri = format!("https://tools.example:443{target}");
        let (parts, ()) = http::Request::get(uri).body(()).unwrap().into_parts();
        let request = HttpRequest::to_send(&parts).unwrap();
        let value = |component: Component| {
            aims_http_sig::component_value(&Exchange::of(&request), component.id()).unwrap()
        };
        assert_eq!(value(Component::REQUEST_TARGET), target);
        assert_eq!(
            value(Component::TARGET_URI),
            format!("https://tools.example{target}")
        );
        let (path, query) = target.split_once('?').unwrap_or((target, ""));
        assert_eq!(value(Component::PATH), path);
        assert_eq!(value(Component::QUERY), format!("?{query}"));
    }
}
