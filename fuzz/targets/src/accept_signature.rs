//! `Accept-Signature`, and the signatures that answer it.

use std::sync::LazyLock;
use std::time::Duration;

use aims_http_sig::http1::Reader;
use aims_http_sig::{
    Algorithm, Component, Error, Exchange, Limits, Message, Offer, Policy, Section,
    SignatureRequest, Start,
};
use aims_jose::random::SYSTEM;

use crate::head::lines;
use crate::known::{NOW, at, known};
use crate::{Outcome, refused};

const REQUEST: &[u8] =
    b"GET /path?a=b HTTP/1.1\r\nHost: tools.example\r\nContent-Type: text/plain\r\n\r\n";

/// Parses the lines of a field. A field is accepted if all of its members are valid. A signature is
/// made for each request within the offer, and must verify.
pub fn accept_signature(data: &[u8]) -> Outcome {
    let field = Lines(lines(data).filter(|line| !line.is_empty()).collect());
    let limits = Limits::default();
    let wanted = match SignatureRequest::of(&field, &limits) {
        Ok(wanted) => wanted,
        Err(error) => return refused(error.code(), &[Error::CODES]),
    };
    if wanted.is_empty() {
        assert!(field.0.is_empty());
        return Outcome::Refused("no field");
    }
    let mut unknown = None;
    for one in &wanted {
        // A parsed member is written so that it parses to the same value, also if it is for another
        // party.
        let text = one.to_string();
        let components = one.components();
        match (one.to_field_value(), &components) {
            (Ok(checked), Ok(_)) => assert_eq!(checked, text),
            (Err(one), Err(other)) => assert_eq!(one.code(), other.code()),
            (checked, _) => unreachable!("what was read is not what is written: {checked:?}"),
        }
        let again = SignatureRequest::of(&Lines(vec![text.as_bytes()]), &limits);
        assert_eq!(again.ok().as_deref(), Some(core::slice::from_ref(one)));
        match components {
            Ok(components) => check_answer(one, &components),
            Err(error) => {
                assert!(OFFER.answer(one).is_err());
                unknown.get_or_insert(error);
            }
        }
    }
    match unknown {
        Some(error) => refused(error.code(), &[Error::CODES]),
        None => Outcome::Accepted,
    }
}

/// A signature has the requested components and parameters, and nothing outside the offer is
/// signed.
fn check_answer(wanted: &SignatureRequest, components: &[Component]) {
    let offered = |one: &Component| OFFERED.contains(one);
    let signing = match OFFER.answer(wanted) {
        Ok(signing) => signing,
        Err(error) => {
            assert_eq!(error.code(), "sig.not_offered");
            return;
        }
    };
    assert!(components.iter().all(offered));
    assert_eq!(signing.label(), wanted.label());
    let Ok(request) = Reader::new(0).request(REQUEST, "https") else {
        unreachable!("a constant")
    };
    let exchange = Exchange::of(&request);
    let Ok(prepared) = signing.prepare(&exchange, SYSTEM, at(NOW)) else {
        unreachable!("what is offered is there");
    };
    let covered: Vec<String> = prepared
        .base()
        .components()
        .map(|(id, _)| id.as_str().to_owned())
        .collect();
    let asked: Vec<&str> = components.iter().map(Component::as_str).collect();
    assert_eq!(covered, asked);
    let Ok(fields) = prepared.sign(&known().workload) else {
        unreachable!("the key is of the algorithm that is offered");
    };
    let end = REQUEST.len().saturating_sub(2);
    let head = REQUEST.get(..end).unwrap_or_default();
    let (input, signature) = (fields.signature_input(), fields.signature());
    let more = format!("Signature-Input: {input}\r\nSignature: {signature}\r\n\r\n");
    let bytes = [head, more.as_bytes()].concat();
    let Ok(signed) = Reader::new(0).request(&bytes, "https") else {
        unreachable!("the fields of a signature are no fields");
    };
    let policy = Policy::requiring(components.iter().cloned())
        .with_label(wanted.label())
        .with_tag("app")
        .requiring_parameters(["created", "expires", "nonce", "keyid"]);
    let [_, [key, _]] = &known().printed;
    let verified = policy.verify(&Exchange::of(&signed), key, at(NOW));
    assert!(verified.is_ok(), "{verified:?}");
}

static OFFERED: LazyLock<Vec<Component>> = LazyLock::new(|| {
    let field = Component::field("content-type").ok();
    let derived = [Component::METHOD, Component::AUTHORITY, Component::PATH];
    derived.into_iter().chain(field).collect()
});

static OFFER: LazyLock<Offer> = LazyLock::new(|| {
    Offer::new(Algorithm::Ed25519, Duration::from_secs(60))
        .with_components(OFFERED.iter().cloned())
        .with_tag("app")
        .with_key_id(known().workload.verifying_key().thumbprint().to_string())
});

/// The lines of this field.
struct Lines<'a>(Vec<&'a [u8]>);

impl Message for Lines<'_> {
    fn start(&self) -> Start<'_> {
        Start::Response { status: 200 }
    }

    fn lines<'m>(&'m self, section: Section, name: &str, each: &mut dyn FnMut(&'m [u8])) {
        if section == Section::Headers && name == "accept-signature" {
            self.0.iter().for_each(|line| each(line));
        }
    }
}
