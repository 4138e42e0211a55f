//! Valid messages, and changes that make them invalid.

use std::sync::LazyLock;
use std::time::Duration;

use aims_http_sig::profile::web_bot_auth::{
    Agents, Directory, DirectoryRules, RequestPolicy, RequestSigning, Revision, SignatureAgent,
    TAG, UnspentRequest,
};
use aims_http_sig::{
    BareItem, Component, Error, Exchange, FieldType, FieldTypes, HttpRequest, Signing,
};
use aims_jose::alg::Algorithm;
use aims_jose::key::SigningKey;
use aims_jose::provider::AWS_LC;
use aims_jose::random::SYSTEM;
use aims_jose::time::UnixTime;
use http::HeaderMap;
use http::request::Parts;

pub(crate) const NOW: u64 = 1_700_000_000;
pub(crate) const AGENT: &str = "https://crawler.example";
pub(crate) const IDENTIFIER: &str =
    "https://crawler.example/.well-known/http-message-signatures-directory";

pub(crate) static KEY: LazyLock<SigningKey> = LazyLock::new(key);
pub(crate) static OTHER: LazyLock<SigningKey> = LazyLock::new(key);
static TYPES: LazyLock<FieldTypes> =
    LazyLock::new(|| FieldTypes::known().with("signature-agent", FieldType::Dictionary));

fn key() -> SigningKey {
    SigningKey::generate(Algorithm::Ed25519, AWS_LC).unwrap()
}

pub(crate) fn at(seconds: u64) -> UnixTime {
    UnixTime::since_unix_epoch(Duration::from_secs(seconds))
}

pub(crate) fn agent() -> SignatureAgent {
    SignatureAgent::directory(AGENT).unwrap()
}

pub(crate) fn directory_of(keys: &[&SigningKey]) -> Directory {
    let json = Directory::to_publish(keys.iter().map(|key| key.verifying_key()));
    let rules = DirectoryRules::well_known();
    Directory::parse(json.as_bytes(), &rules, AWS_LC, at(NOW)).unwrap()
}

/// `crawler.example` has [`KEY`], `other.example` has [`OTHER`].
pub(crate) fn agents() -> Agents {
    let mut agents = Agents::new();
    agents.insert(&agent(), directory_of(&[&KEY]));
    let other = SignatureAgent::directory("https://other.example").unwrap();
    agents.insert(&other, directory_of(&[&OTHER]));
    agents
}

pub(crate) fn request(signature_agent: Option<&str>) -> Parts {
    let mut request = http::Request::get("https://shop.example/offers?page=2");
    if let Some(value) = signature_agent {
        request = request.header("signature-agent", value);
    }
    request.body(()).unwrap().into_parts().0
}

pub(crate) fn seen(parts: &Parts) -> HttpRequest<'_> {
    HttpRequest::to_send(parts).unwrap()
}

pub(crate) fn signing() -> RequestSigning {
    RequestSigning::new(agent(), KEY.verifying_key()).unwrap()
}

pub(crate) fn good() -> Parts {
    let signing = signing();
    let mut parts = request(Some(&signing.signature_agent()));
    let prepared = signing.prepare(&seen(&parts), SYSTEM, at(NOW)).unwrap();
    let fields = prepared.sign(&*KEY).unwrap();
    fields.apply(&mut parts.headers).unwrap();
    parts
}

/// The covered components and parameters of a test's signature.
#[derive(Clone)]
pub(crate) struct Made {
    pub(crate) label: &'static str,
    pub(crate) components: Vec<&'static str>,
    pub(crate) tag: Option<&'static str>,
    pub(crate) key_id: Option<String>,
    pub(crate) lifetime: Option<u64>,
    pub(crate) nonce: Option<&'static str>,
    pub(crate) created: bool,
}

pub(crate) fn made() -> Made {
    Made {
        label: "sig1",
        components: vec!["@authority", "signature-agent;key=\"sig1\""],
        tag: Some(TAG),
        key_id: Some(KEY.verifying_key().thumbprint().to_string()),
        lifetime: Some(60),
        nonce: Some("n-1"),
        created: true,
    }
}

impl Made {
    pub(crate) fn apply(&self, parts: &mut Parts, key: &SigningKey) {
        let message = parts.clone();
        self.apply_to(&seen(&message), &mut parts.headers, key);
    }

    /// Signs a message, and adds the fields to these headers.
    pub(crate) fn apply_to(
        &self,
        message: &HttpRequest<'_>,
        headers: &mut HeaderMap,
        key: &SigningKey,
    ) {
        let components = self.components.iter().map(|one| one.parse().unwrap());
        let mut signing = Signing::new(self.label).covering(components.collect::<Vec<Component>>());
        if self.created {
            signing = signing.with_created();
        }
        if let Some(lifetime) = self.lifetime {
            signing = signing.with_expires_after(Duration::from_secs(lifetime));
        }
        if let Some(key_id) = &self.key_id {
            signing = signing.with_key_id(key_id);
        }
        if let Some(nonce) = self.nonce {
            signing = signing.with_nonce(nonce);
        }
        if let Some(tag) = self.tag {
            signing = signing.with_tag(tag);
        }
        signing = signing.with_parameter("x", BareItem::Integer(1));
        let exchange = Exchange::of(message).with_types(&TYPES);
        let prepared = signing.prepare(&exchange, SYSTEM, at(NOW)).unwrap();
        let fields = prepared.sign(key).unwrap();
        fields.apply(headers).unwrap();
    }

    /// Returns the code for a request with the usual agent and this signature.
    pub(crate) fn code(&self) -> Option<&'static str> {
        self.code_with(r#"sig1="https://crawler.example""#)
    }

    pub(crate) fn code_with(&self, signature_agent: &str) -> Option<&'static str> {
        let mut parts = request(Some(signature_agent));
        self.apply(&mut parts, &KEY);
        code(&parts)
    }
}

pub(crate) fn verify(parts: &Parts) -> Result<UnspentRequest, Error> {
    RequestPolicy::new()
        .with_revision(Revision::Draft00)
        .verify(&seen(parts), &agents(), at(NOW))
}

pub(crate) fn code(parts: &Parts) -> Option<&'static str> {
    verify(parts).err().map(|error| error.code())
}
