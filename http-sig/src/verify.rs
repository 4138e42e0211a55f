//! Verifies signatures (RFC 9421 §3.2). This is the third of three layers.

use aims_error::shown;
use aims_jose::time::UnixTime;
use aims_replay::{ReplayKey, ReplayStore, Validity};

use crate::digest::{ContentDigest, Matched};
use crate::{
    Algorithm, Component, ComponentId, Error, Exchange, Key, Keys, Parameters, Policy,
    ReceivedFields, SignatureBase, UnverifiedSignature,
};

/// The component `content-digest` without parameters.
pub(crate) const DIGEST: ComponentId<'static> =
    ComponentId::plain_field("\"content-digest\"", ContentDigest::FIELD);

impl Policy {
    /// Verifies the one signature of a message that this policy selects.
    ///
    /// The result is not yet checked for replay; see [`UnspentSignature`].
    ///
    /// # Errors
    ///
    /// The codes `sig.…`, in this order: defects of the fields, the policy, the key, the message,
    /// the signature. `sig.missing` if no signature has the label or the tag, `sig.ambiguous` if
    /// several have.
    pub fn verify(
        &self,
        exchange: &Exchange<'_>,
        keys: &dyn Keys,
        now: UnixTime,
    ) -> Result<UnspentSignature, Error> {
        let fields = ReceivedFields::of(exchange.message(), self.section(), self.limits())?;
        let signatures = fields.signatures(self.limits())?;
        let mut selected = signatures.iter().filter(|one| self.selects(one));
        match (selected.next(), selected.next()) {
            (Some(signature), None) => self.verify_one(signature, exchange, keys, now),
            (Some(_), Some(_)) => Err(Error::SignatureAmbiguous),
            (None, _) => Err(missing(&signatures)),
        }
    }

    /// Verifies every signature of a message that this policy selects. There must be at least one,
    /// and all must be valid.
    ///
    /// # Errors
    ///
    /// Those of [`verify`](Self::verify) for the first refused signature, except `sig.ambiguous`.
    pub fn verify_each(
        &self,
        exchange: &Exchange<'_>,
        keys: &dyn Keys,
        now: UnixTime,
    ) -> Result<Vec<UnspentSignature>, Error> {
        let fields = ReceivedFields::of(exchange.message(), self.section(), self.limits())?;
        let signatures = fields.signatures(self.limits())?;
        let verified: Vec<UnspentSignature> = signatures
            .iter()
            .filter(|one| self.selects(one))
            .map(|signature| self.verify_one(signature, exchange, keys, now))
            .collect::<Result<_, _>>()?;
        if verified.is_empty() {
            return Err(missing(&signatures));
        }
        Ok(verified)
    }

    /// Runs cheap checks first. The key is looked up only if the policy accepts the parameters, and
    /// values are read only if there is a key.
    pub(crate) fn verify_one(
        &self,
        signature: &UnverifiedSignature<'_>,
        exchange: &Exchange<'_>,
        keys: &dyn Keys,
        now: UnixTime,
    ) -> Result<UnspentSignature, Error> {
        let parameters = signature.parameters();
        let valid = self.check_parameters(parameters, now)?;
        let components = signature.components()?;
        self.check_components(&components)?;
        let key = keys
            .find(parameters)
            .map_err(|error| named(error, parameters))?;
        let algorithm = key.algorithm(parameters.alg().as_deref())?;
        if !self.algorithms().contains(algorithm) {
            return Err(Error::AlgorithmForbidden {
                algorithm: algorithm.name(),
            });
        }
        let base = signature.base_of(&components, exchange, self.limits())?;
        key.verify(algorithm, base.as_bytes(), signature.signature())?;
        Ok(UnspentSignature {
            valid,
            verified: VerifiedSignature {
                label: signature.label().to_owned(),
                base,
                key,
                algorithm,
            },
        })
    }
}

/// Returns the error for a message without the requested signature.
pub(crate) fn missing(signatures: &[UnverifiedSignature<'_>]) -> Error {
    let described: Vec<String> = signatures
        .iter()
        .take(MAX_NAMED)
        .map(|one| match one.parameters().tag() {
            Some(tag) => format!("{};tag={tag}", one.label()),
            None => one.label().to_owned(),
        })
        .collect();
    Error::SignatureMissing {
        found: shown(described.iter().map(String::as_str)),
    }
}

/// Maximum number of signatures that an error names.
const MAX_NAMED: usize = 8;

/// Adds the `keyid` to the error.
fn named(error: Error, parameters: &Parameters<'_>) -> Error {
    match (error, parameters.key_id()) {
        (Error::KeyUnknown, Some(id)) => Error::KeyIdUnknown {
            found: shown([&*id]),
        },
        (error, _) => error,
    }
}

/// A valid signature that is not yet checked for replay.
///
/// ```
/// use aims_http_sig::{Component, Exchange, HttpRequest, Policy, Signing, sign_request};
/// use aims_jose::{alg::Algorithm, key::SigningKey, provider::AWS_LC, time::UnixTime};
/// use aims_replay::ReplayCache;
///
/// let (key, now) = (SigningKey::generate(Algorithm::Ed25519, AWS_LC)?, UnixTime::now());
/// let covered = [Component::METHOD, Component::TARGET_URI];
/// let signing = Signing::new("sig1").covering(covered.clone()).with_created().with_random_nonce();
/// let mut request = http::Request::get("https://tools.example/pay").body("")?;
/// sign_request(&mut request, &signing, &key, now)?;
///
/// let (parts, _) = request.into_parts();
/// let message = HttpRequest::received(&parts, "https", "tools.example").with_target("/pay");
/// let policy = Policy::requiring(covered);
/// let store = ReplayCache::in_memory(1_000);
/// let signature = policy.verify(&Exchange::of(&message), key.verifying_key(), now)?;
/// assert!(signature.spend(&store, now).is_ok());
///
/// let again = policy.verify(&Exchange::of(&message), key.verifying_key(), now)?;
/// assert_eq!(again.spend(&store, now).unwrap_err().code(), "replay.replayed");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
#[must_use = "a signature that was not spent can be replayed"]
pub struct UnspentSignature {
    valid: Validity,
    verified: VerifiedSignature,
}

impl UnspentSignature {
    /// Spends the nonce, within the scope of the key (RFC 9421 §7.2.2). The store remembers it for
    /// as long as the policy would accept the signature.
    ///
    /// # Errors
    ///
    /// `sig.parameter_required` without a nonce; `replay.replayed` if it was used before; other
    /// `replay.…` codes if the store cannot remember it.
    pub fn spend(self, store: &dyn ReplayStore, now: UnixTime) -> Result<VerifiedSignature, Error> {
        let nonce = self.verified.parameters().nonce();
        let Some(nonce) = nonce else {
            return Err(Error::ParameterRequired {
                parameter: "nonce".to_owned(),
            });
        };
        let key = ReplayKey::new("http-sig", &self.verified.key.identity(), &[&nonce]);
        aims_replay::spend_proof(store, &key, self.valid, now).map_err(Error::Replay)?;
        drop(nonce);
        Ok(self.verified)
    }

    /// Accepts the signature without a check for replay. The same message may arrive again until
    /// `created` is too old, so use it for repeatable operations only.
    #[must_use]
    pub fn accept_replays(self) -> VerifiedSignature {
        self.verified
    }
}

/// Proof that the holder of a key signed these components of a message, with these values. Only
/// verification creates it.
///
/// Components that are not covered are unauthenticated. Act on [`value`](Self::value), on parts of
/// the message that [`covers`](Self::covers) names, and on content that
/// [`check_content`](Self::check_content) has compared.
///
/// ```
/// use aims_http_sig::{Component, Exchange, HttpRequest, Policy, Signing, sign_request};
/// use aims_jose::{alg::Algorithm, key::SigningKey, provider::AWS_LC, time::UnixTime};
///
/// let (key, now) = (SigningKey::generate(Algorithm::Ed25519, AWS_LC)?, UnixTime::now());
/// let signing = Signing::new("sig1").covering([Component::METHOD]).with_created();
/// let mut request = http::Request::post("https://tools.example/pay").body("{}")?;
/// sign_request(&mut request, &signing, &key, now)?;
///
/// let (parts, body) = request.into_parts();
/// let message = HttpRequest::received(&parts, "https", "tools.example").with_target("/pay");
/// let verified = Policy::requiring([Component::METHOD])
///     .verify(&Exchange::of(&message), key.verifying_key(), now)?
///     .accept_replays();
/// assert_eq!(verified.value(&Component::METHOD), Some("POST"));
/// assert!(!verified.covers(&Component::PATH));
/// verified.check_content(body.as_bytes())?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug)]
pub struct VerifiedSignature {
    label: String,
    base: SignatureBase,
    key: Key,
    algorithm: Algorithm,
}

impl VerifiedSignature {
    /// Returns whether the component is covered.
    #[must_use]
    pub fn covers(&self, component: &Component) -> bool {
        self.value(component).is_some()
    }

    /// Returns the value of a covered component as signed. The lines of a field are joined with `,
    /// `.
    #[must_use]
    pub fn value(&self, component: &Component) -> Option<&str> {
        self.base.value(component.id())
    }

    /// Returns the signed digests of the content: those of the covered field, not of the field that
    /// the message has now.
    ///
    /// Use it for content that arrives in pieces. For content in memory, use
    /// [`check_content`](Self::check_content).
    ///
    /// # Errors
    ///
    /// `sig.component_required` if `content-digest` is not covered without parameters (with `key`,
    /// `req` or `tr` it is another component); the errors of [`ContentDigest::parse`].
    pub fn content_digest(&self) -> Result<ContentDigest, Error> {
        let covered = self.covered_digest()?;
        covered.ok_or_else(|| Error::ComponentRequired {
            component: DIGEST.as_str().to_owned(),
        })
    }

    /// Returns the signed digests, or `None` if they are not covered.
    pub(crate) fn covered_digest(&self) -> Result<Option<ContentDigest>, Error> {
        let covered = self.base.value(DIGEST);
        let parse = |value: &str| ContentDigest::parse([value.as_bytes()]);
        covered.map(parse).transpose()
    }

    /// Compares content with the signed digests (RFC 9421 §7.2.8). Pass it as sent, before
    /// `Content-Encoding` is decoded.
    ///
    /// # Errors
    ///
    /// Those of [`content_digest`](Self::content_digest) and of [`ContentDigest::verify`].
    pub fn check_content(&self, content: &[u8]) -> Result<Matched, Error> {
        self.content_digest()?.verify(content)
    }

    /// Returns the covered components in their order, each with its value.
    pub fn components(&self) -> impl Iterator<Item = (ComponentId<'_>, &str)> {
        self.base.components()
    }

    /// Returns the parameters, all of which are signed.
    #[must_use]
    pub fn parameters(&self) -> Parameters<'_> {
        self.base.parameters()
    }

    /// Returns the label, which is not signed.
    #[must_use]
    pub fn label(&self) -> &str {
        &self.label
    }

    /// Returns the key that verified the signature.
    #[must_use]
    pub const fn key(&self) -> &Key {
        &self.key
    }

    /// Returns the algorithm.
    #[must_use]
    pub const fn algorithm(&self) -> Algorithm {
        self.algorithm
    }

    /// Returns the signed bytes.
    #[must_use]
    pub const fn base(&self) -> &SignatureBase {
        &self.base
    }
}
