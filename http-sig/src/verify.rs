//! Verifying (RFC 9421 §3.2): the third of three layers.

use std::time::Duration;

use aims_error::shown;
use aims_jose::time::UnixTime;
use aims_replay::{ReplayKey, ReplayStore};

use crate::digest::{ContentDigest, Matched};
use crate::{
    Algorithm, Component, ComponentId, Error, Exchange, Key, Keys, Parameters, Policy,
    ReceivedFields, SignatureBase, UnverifiedSignature,
};

/// `content-digest`, as it is.
pub(crate) const DIGEST: ComponentId<'static> =
    ComponentId::plain_field("\"content-digest\"", ContentDigest::FIELD);

impl Policy {
    /// Verifies the one signature of a message that this policy is about.
    ///
    /// It is not yet spent; see [`UnspentSignature`].
    ///
    /// # Errors
    ///
    /// The codes `sig.…`: what the fields say, then what the policy requires, then the key, then
    /// the message, then the signature. `sig.missing` where no signature has the label or the tag,
    /// `sig.ambiguous` where several have.
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

    /// Verifies each signature of a message that this policy is about: all of them are good, and
    /// there is at least one.
    ///
    /// # Errors
    ///
    /// As [`verify`](Self::verify), for the first that is refused; never `sig.ambiguous`.
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

    /// Cheap checks first: no key is looked up for what the policy refuses, and no value is read
    /// for what has no key.
    pub(crate) fn verify_one(
        &self,
        signature: &UnverifiedSignature<'_>,
        exchange: &Exchange<'_>,
        keys: &dyn Keys,
        now: UnixTime,
    ) -> Result<UnspentSignature, Error> {
        let parameters = signature.parameters();
        let until = self.check_parameters(parameters, now)?;
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
            until,
            verified: VerifiedSignature {
                label: signature.label().to_owned(),
                base,
                key,
                algorithm,
            },
        })
    }
}

/// None of these signatures is the one that is asked for.
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

/// How many signatures an error names.
const MAX_NAMED: usize = 8;

/// The same error with the `keyid` that was looked for.
fn named(error: Error, parameters: &Parameters<'_>) -> Error {
    match (error, parameters.key_id()) {
        (Error::KeyUnknown, Some(id)) => Error::KeyIdUnknown {
            found: shown([&*id]),
        },
        (error, _) => error,
    }
}

/// A signature that is good, if it is the first with its nonce.
#[derive(Debug)]
#[must_use = "a signature that was not spent can be replayed"]
pub struct UnspentSignature {
    until: u64,
    verified: VerifiedSignature,
}

impl UnspentSignature {
    /// Spends the nonce, scoped to the key (RFC 9421 §7.2.2). It is remembered for as long as the
    /// policy would take the signature.
    ///
    /// # Errors
    ///
    /// `sig.parameter_required` where there is no nonce; `replay.replayed` and all other
    /// `replay.…`: what cannot be remembered is refused.
    pub fn spend(self, store: &dyn ReplayStore, now: UnixTime) -> Result<VerifiedSignature, Error> {
        let nonce = self.verified.parameters().nonce();
        let Some(nonce) = nonce else {
            return Err(Error::ParameterRequired {
                parameter: "nonce".to_owned(),
            });
        };
        let key = ReplayKey::new("http-sig", &self.verified.key.identity(), &[&nonce]);
        let until = UnixTime::since_unix_epoch(Duration::from_secs(self.until));
        aims_replay::spend(store, &key, until, now).map_err(Error::Replay)?;
        drop(nonce);
        Ok(self.verified)
    }

    /// Takes the signature although the same message may come again, until `created` is too old:
    /// for what may happen twice.
    #[must_use]
    pub fn accept_replays(self) -> VerifiedSignature {
        self.verified
    }
}

/// Proof that the holder of a key signed these components of a message, with these values. Only
/// verification makes one.
///
/// What is not covered is not proven: act on [`value`](Self::value), or on parts of the message
/// that [`covers`](Self::covers) names, and on content that [`check_content`](Self::check_content)
/// has compared.
#[derive(Clone, Debug)]
pub struct VerifiedSignature {
    label: String,
    base: SignatureBase,
    key: Key,
    algorithm: Algorithm,
}

impl VerifiedSignature {
    /// Whether the component is covered.
    #[must_use]
    pub fn covers(&self, component: &Component) -> bool {
        self.value(component).is_some()
    }

    /// The value of a covered component, as it was signed: the lines of a field joined with `, `.
    #[must_use]
    pub fn value(&self, component: &Component) -> Option<&str> {
        self.base.value(component.id())
    }

    /// The digests of the content as they were signed: those of the covered field, not of one that
    /// stands in the message by now. For content that comes in pieces; what is in memory is
    /// compared by [`check_content`](Self::check_content).
    ///
    /// # Errors
    ///
    /// `sig.component_required` where `content-digest` is not covered without parameters: with
    /// `key`, `req` or `tr` it is another component; those of [`ContentDigest::parse`].
    pub fn content_digest(&self) -> Result<ContentDigest, Error> {
        let covered = self.covered_digest()?;
        covered.ok_or_else(|| Error::ComponentRequired {
            component: DIGEST.as_str().to_owned(),
        })
    }

    /// The same; none where it is not covered.
    pub(crate) fn covered_digest(&self) -> Result<Option<ContentDigest>, Error> {
        let covered = self.base.value(DIGEST);
        let parse = |value: &str| ContentDigest::parse([value.as_bytes()]);
        covered.map(parse).transpose()
    }

    /// Compares content with the digests that were signed (RFC 9421 §7.2.8), as it was sent: before
    /// `Content-Encoding` is undone.
    ///
    /// # Errors
    ///
    /// Those of [`content_digest`](Self::content_digest) and of [`ContentDigest::verify`].
    pub fn check_content(&self, content: &[u8]) -> Result<Matched, Error> {
        self.content_digest()?.verify(content)
    }

    /// The covered components in their order, each with its value.
    pub fn components(&self) -> impl Iterator<Item = (ComponentId<'_>, &str)> {
        self.base.components()
    }

    /// The parameters, all of which are signed.
    #[must_use]
    pub fn parameters(&self) -> Parameters<'_> {
        self.base.parameters()
    }

    /// The label, which is not signed.
    #[must_use]
    pub fn label(&self) -> &str {
        &self.label
    }

    /// The key that verified it.
    #[must_use]
    pub const fn key(&self) -> &Key {
        &self.key
    }

    /// The algorithm.
    #[must_use]
    pub const fn algorithm(&self) -> Algorithm {
        self.algorithm
    }

    /// The bytes that were signed.
    #[must_use]
    pub const fn base(&self) -> &SignatureBase {
        &self.base
    }
}
