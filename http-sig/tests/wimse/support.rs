//! Valid messages, and changes that make them invalid.

use std::sync::LazyLock;
use std::time::Duration;

use aims_http_sig::profile::wimse::{RequestPolicy, TAG, UnspentRequest, VerifiedRequest};
use aims_http_sig::{
    Algorithm, BareItem, Component, Error, Exchange, HttpRequest, HttpResponse, Signing,
};
use aims_jose::alg;
use aims_jose::key::SigningKey;
use aims_jose::provider::AWS_LC;
use aims_jose::random::SYSTEM;
use aims_jose::time::UnixTime;
use aims_replay::{ReplayCache, ReplayKey, ReplayStore};
use http::{HeaderMap, request, response};

pub(crate) const NOW: u64 = 1_700_000_000;
pub(crate) const AUDIENCE: &str = "https://tools.example/call";
pub(crate) const BODY: &[u8] = br#"{"a":1}"#;
pub(crate) const SENDER: &str = "wimse://example.org/caller";

pub(crate) static CALLER: LazyLock<SigningKey> = LazyLock::new(key);
pub(crate) static TOOL: LazyLock<SigningKey> = LazyLock::new(key);

fn key() -> SigningKey {
    SigningKey::generate(alg::Algorithm::Ed25519, AWS_LC).unwrap()
}

pub(crate) fn at(seconds: u64) -> UnixTime {
    UnixTime::since_unix_epoch(Duration::from_secs(seconds))
}

pub(crate) fn digest_of(body: &[u8]) -> String {
    aims_http_sig::digest::ContentDigest::of(body).to_string()
}

/// A request with every field of the profile, as a server receives it.
pub(crate) fn request() -> request::Parts {
    http::Request::post("/call?x=y")
        .header("workload-identity-token", "the.wit")
        .header("content-type", "application/json")
        .header("content-length", BODY.len())
        .header("content-digest", digest_of(BODY))
        .header("authorization", "DPoP token")
        .header("txn-token", "the.txn.token")
        .header("x-other", "anything")
        .body(())
        .unwrap()
        .into_parts()
        .0
}

pub(crate) fn response() -> response::Parts {
    http::Response::builder()
        .header("workload-identity-token", "tool.wit")
        .header("content-type", "text/plain")
        .header("content-length", "5")
        .header("content-digest", digest_of(b"hello"))
        .body(())
        .unwrap()
        .into_parts()
        .0
}

pub(crate) fn seen(parts: &request::Parts) -> HttpRequest<'_> {
    HttpRequest::received(parts, "https", "tools.example")
}

/// The covered components and parameters of a signature; valid until a test changes something.
#[derive(Clone)]
pub(crate) struct Made {
    pub(crate) label: &'static str,
    pub(crate) components: Vec<&'static str>,
    pub(crate) parameters: Vec<(&'static str, BareItem<'static>)>,
    pub(crate) created: u64,
    pub(crate) lifetime: u64,
}

pub(crate) fn text(value: &'static str) -> BareItem<'static> {
    BareItem::string(value).unwrap()
}

pub(crate) fn of_request() -> Made {
    Made {
        label: "wimse",
        components: vec![
            "@method",
            "@path",
            "@query",
            "workload-identity-token",
            "content-type",
            "content-digest",
            "authorization",
            "txn-token",
        ],
        parameters: vec![
            ("expires", BareItem::Boolean(true)),
            ("nonce", text("n-1")),
            ("tag", text(TAG)),
            ("wimse-aud", text(AUDIENCE)),
        ],
        created: NOW,
        lifetime: 60,
    }
}

pub(crate) fn of_response() -> Made {
    Made {
        components: vec![
            "@status",
            "@method;req",
            "@path;req",
            "@query;req",
            "workload-identity-token",
            "content-type",
            "content-digest",
        ],
        parameters: vec![
            ("expires", BareItem::Boolean(true)),
            ("nonce", text("n-2")),
            ("tag", text(TAG)),
            ("wimse-req-nonce", text("n-1")),
        ],
        ..of_request()
    }
}

impl Made {
    pub(crate) fn without(mut self, name: &str) -> Self {
        let before = self.components.len() + self.parameters.len();
        self.components.retain(|component| *component != name);
        self.parameters.retain(|(parameter, _)| *parameter != name);
        assert_eq!(before, self.components.len() + self.parameters.len() + 1);
        self
    }

    pub(crate) fn with(mut self, name: &'static str, value: BareItem<'static>) -> Self {
        self.parameters.retain(|(parameter, _)| *parameter != name);
        self.parameters.push((name, value));
        self
    }

    fn signing(&self) -> Signing {
        let components = self.components.iter().map(|one| one.parse().unwrap());
        let mut signing = Signing::new(self.label).covering(components.collect::<Vec<Component>>());
        if self.created != 0 {
            signing = signing.with_created();
        }
        for (name, value) in &self.parameters {
            let given = value.text();
            signing = match (*name, given.as_deref()) {
                ("expires", _) => signing.with_expires_after(Duration::from_secs(self.lifetime)),
                ("nonce", Some(text)) => signing.with_nonce(text),
                ("tag", Some(text)) => signing.with_tag(text),
                ("keyid", Some(text)) => signing.with_key_id(text),
                ("alg", _) => signing.with_alg(Algorithm::Ed25519),
                _ => signing.with_parameter(name, value.clone()),
            };
        }
        signing
    }

    pub(crate) fn sign(
        &self,
        exchange: &Exchange<'_>,
        key: &SigningKey,
    ) -> aims_http_sig::SignatureFields {
        let time = if self.created == 0 { NOW } else { self.created };
        let prepared = self.signing().prepare(exchange, SYSTEM, at(time)).unwrap();
        prepared.sign(key).unwrap()
    }

    /// Adds the signature of a request to it.
    pub(crate) fn apply(&self, parts: &mut request::Parts) {
        let fields = self.sign(&Exchange::of(&seen(parts)), &CALLER);
        fields.apply(&mut parts.headers).unwrap();
    }

    pub(crate) fn apply_to_response(&self, parts: &mut response::Parts, to: &request::Parts) {
        let (message, request) = (parts.clone(), seen(to));
        let message = HttpResponse::new(&message);
        let fields = self.sign(&Exchange::of(&message).answering(&request), &TOOL);
        fields.apply(&mut parts.headers).unwrap();
    }
}

pub(crate) fn policy() -> RequestPolicy {
    RequestPolicy::for_audiences(["https://other.example", AUDIENCE]).unwrap()
}

pub(crate) fn verify(parts: &request::Parts) -> Result<UnspentRequest, Error> {
    policy().verify(&seen(parts), CALLER.verifying_key(), at(NOW))
}

pub(crate) fn taken(parts: &request::Parts) {
    drop(verify(parts).unwrap());
}

pub(crate) fn refused(parts: &request::Parts) -> &'static str {
    verify(parts).unwrap_err().code()
}

/// Returns the code for a request with this signature.
pub(crate) fn refused_as(made: &Made) -> &'static str {
    let mut parts = request();
    made.apply(&mut parts);
    refused(&parts)
}

pub(crate) fn good() -> request::Parts {
    let mut parts = request();
    of_request().apply(&mut parts);
    parts
}

pub(crate) fn verified(parts: &request::Parts) -> VerifiedRequest {
    verify(parts)
        .unwrap()
        .spend(&ReplayCache::in_memory(10), SENDER, at(NOW))
        .unwrap()
        .check_body(BODY)
        .unwrap()
}

pub(crate) fn set(headers: &mut HeaderMap, name: &'static str, value: &str) {
    assert!(
        headers.insert(name, value.parse().unwrap()).is_some(),
        "it was there"
    );
}

/// A replay store that fails.
#[derive(Debug)]
pub(crate) struct Broken;

impl ReplayStore for Broken {
    fn spend(
        &self,
        _key: &ReplayKey,
        _until: UnixTime,
        _now: UnixTime,
    ) -> Result<(), aims_replay::Error> {
        Err(aims_replay::Error::Unavailable)
    }
}
