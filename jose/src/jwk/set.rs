//! Sets of keys.

use core::fmt;

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use super::Jwk;
use crate::alg::{Algorithm, AlgorithmSet};
use crate::key::VerifyingKey;
use crate::provider::Provider;
use crate::{Error, json};

/// The largest set that is read: 256 KiB.
pub const MAX_SET_LEN: usize = 256 * 1024;

/// The most entries that a set may have, whatever they are: 100.
pub const MAX_SET_KEYS: usize = 100;

/// What a kind of key set demands of its keys.
#[derive(Clone, Debug)]
pub struct SetRules {
    /// `use` must be exactly this; `None`: absent or `sig`.
    key_use: Option<String>,
    key_id: KeyIds,
    /// What an RSA key without `alg` is for.
    rsa: AlgorithmSet,
    /// What a key may be for at all.
    allowed: AlgorithmSet,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum KeyIds {
    /// Optional; where two are equal, algorithm and use decide (ATJ-11).
    Narrow,
    /// Optional; two equal ones spoil the set.
    Unique,
    /// Required and unique.
    Required,
}

impl SetRules {
    /// The set of an OAuth issuer (RFC 7517 §5, RFC 8414 §2): `use` absent or `sig`; `kid`
    /// optional and perhaps repeated during a rollover, in which case `kty` and `alg` narrow the
    /// choice. An RSA key without `alg` is taken for RS256, the default of OpenID Connect and of
    /// RFC 9068 §2.1, and for nothing else unless [named](Self::with_rsa_algorithms).
    #[must_use]
    pub const fn oauth() -> Self {
        Self {
            key_use: None,
            key_id: KeyIds::Narrow,
            rsa: AlgorithmSet::of(&[Algorithm::Rs256]),
            allowed: AlgorithmSet::ALL,
        }
    }

    /// The set of a WIMSE trust domain: `use` absent or `sig`; two equal `kid` spoil the set. RSA
    /// keys need an `alg`.
    #[must_use]
    pub const fn wimse() -> Self {
        Self {
            key_use: None,
            key_id: KeyIds::Unique,
            rsa: AlgorithmSet::EMPTY,
            allowed: AlgorithmSet::ALL,
        }
    }

    /// The keys of a SPIFFE bundle for one use, `jwt-svid` or `wit-svid` (SPIFFE bundle §4.2.2):
    /// exactly that `use`; `kid` required and unique among those keys. Others are skipped, and so
    /// are keys for algorithms outside [`AlgorithmSet::SVID`] (SVD-01). RSA keys need an `alg`,
    /// unless algorithms are [named](Self::with_rsa_algorithms).
    #[must_use]
    pub fn spiffe(key_use: &str) -> Self {
        Self {
            key_use: Some(key_use.to_owned()),
            key_id: KeyIds::Required,
            rsa: AlgorithmSet::EMPTY,
            allowed: AlgorithmSet::SVID,
        }
    }

    /// What an RSA key without `alg` may be used with. Names outside RSA are ignored.
    #[must_use]
    pub fn with_rsa_algorithms(mut self, algorithms: AlgorithmSet) -> Self {
        self.rsa = algorithms
            .iter()
            .filter(|algorithm| algorithm.is_rsa())
            .collect();
        self
    }

    fn admit(&self, json: &[u8], provider: &'static dyn Provider) -> Result<VerifyingKey, Error> {
        let jwk = Jwk::parse(json)?;
        let fits = match (&self.key_use, jwk.key_use()) {
            (None, None | Some("sig")) => true,
            (Some(wanted), Some(found)) => wanted == found,
            _ => false,
        };
        if !fits {
            return Err(Error::JwkUse);
        }
        if self.key_id == KeyIds::Required && jwk.key_id().is_none() {
            return Err(Error::JwkKeyId);
        }
        let algorithms = match (jwk.algorithms(), jwk.key_type()) {
            (AlgorithmSet::EMPTY, "RSA") => self.rsa,
            (algorithms, _) => algorithms,
        };
        VerifyingKey::with_algorithms(jwk, algorithms.intersection(self.allowed), provider)
    }
}

/// An entry of a set that is not used, and why.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Skipped {
    /// Its place in the array, from 0.
    pub index: usize,
    /// What was wrong with it.
    pub reason: Error,
}

/// The usable keys of a set, prepared.
///
/// One broken or foreign entry costs that entry and no other (RFC 7517 §5); the reasons are
/// [kept](Self::skipped). A token costs at most one signature check, because
/// [`select`](Self::select) gives one key or an error (T-021).
#[derive(Clone, Debug)]
pub struct JwkSet {
    keys: Vec<VerifyingKey>,
    skipped: Vec<Skipped>,
}

impl JwkSet {
    /// Reads a set of at most [`MAX_SET_LEN`] bytes and [`MAX_SET_KEYS`] entries. A set that is
    /// empty, or has no usable key, is a set: it trusts nothing.
    ///
    /// # Errors
    ///
    /// `jwks.too_large`, `jwks.json`, `jws.duplicate_member`, `jwks.duplicate_kid`. What is wrong
    /// with one entry is no error here.
    pub fn parse(
        json: &[u8],
        rules: &SetRules,
        provider: &'static dyn Provider,
    ) -> Result<Self, Error> {
        #[derive(Deserialize)]
        struct Members<'a> {
            #[serde(borrow)]
            keys: Vec<&'a RawValue>,
        }

        if json.len() > MAX_SET_LEN {
            return Err(Error::SetTooLarge);
        }
        json::check_object(json).map_err(|error| match error {
            Error::DuplicateMember => error,
            _ => Error::SetJson,
        })?;
        let members: Members<'_> =
            serde_json::from_slice(json).map_err(|_may_quote_a_value| Error::SetJson)?;
        if members.keys.len() > MAX_SET_KEYS {
            return Err(Error::SetTooLarge);
        }
        let mut set = Self {
            keys: Vec::with_capacity(members.keys.len()),
            skipped: Vec::new(),
        };
        for (index, entry) in members.keys.into_iter().enumerate() {
            match rules.admit(entry.get().as_bytes(), provider) {
                Ok(key) => {
                    let repeated = |other: &VerifyingKey| {
                        other.key_id().is_some() && other.key_id() == key.key_id()
                    };
                    if rules.key_id != KeyIds::Narrow && set.keys.iter().any(repeated) {
                        return Err(Error::SetDuplicateKeyId);
                    }
                    set.keys.push(key);
                }
                Err(reason) => set.skipped.push(Skipped { index, reason }),
            }
        }
        Ok(set)
    }

    /// The usable keys, in the order of the document.
    #[must_use]
    pub fn keys(&self) -> &[VerifyingKey] {
        &self.keys
    }

    /// The entries that are not used, and why.
    #[must_use]
    pub fn skipped(&self) -> &[Skipped] {
        &self.skipped
    }

    /// Whether no key is usable.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.keys.is_empty()
    }

    /// Iterates over the usable keys.
    pub fn iter(&self) -> core::slice::Iter<'_, VerifyingKey> {
        self.keys.iter()
    }

    /// The one key for a token with this `kid` and `alg`; without `kid`, the one key for this
    /// `alg`.
    ///
    /// # Errors
    ///
    /// `key.unknown` where none fits (a refresh of the set may help); `jws.algorithm` where the
    /// key of that `kid` is not for this algorithm; `key.ambiguous` where several fit: none is
    /// tried at random (WIT-04, T-021).
    pub fn select(
        &self,
        key_id: Option<&str>,
        algorithm: Algorithm,
    ) -> Result<&VerifyingKey, Error> {
        let named = |key: &&VerifyingKey| key_id.is_none_or(|id| key.key_id() == Some(id));
        let mut fitting = self
            .iter()
            .filter(named)
            .filter(|key| key.algorithms().contains(algorithm));
        match (fitting.next(), fitting.next()) {
            (Some(key), None) => Ok(key),
            (Some(_), Some(_)) => Err(Error::AmbiguousKey),
            (None, _) if key_id.is_some() && self.iter().any(|key| named(&key)) => {
                Err(Error::AlgorithmMismatch { algorithm })
            }
            (None, _) => Err(Error::UnknownKey),
        }
    }

    /// The usable keys as a document.
    #[must_use]
    pub fn to_json(&self) -> String {
        self.iter()
            .map(|key| key.jwk().clone())
            .collect::<PublicJwkSet>()
            .to_json()
    }
}

impl<'a> IntoIterator for &'a JwkSet {
    type Item = &'a VerifyingKey;
    type IntoIter = core::slice::Iter<'a, VerifyingKey>;

    fn into_iter(self) -> Self::IntoIter {
        self.iter()
    }
}

/// A key set to publish: an issuer's JWKS endpoint.
///
/// ```
/// use aims_jose::jwk::{Jwk, PublicJwkSet};
/// let jwk = Jwk::parse(br#"{"kty":"OKP","crv":"Ed25519",
///     "x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}"#)?;
/// let set: PublicJwkSet = [jwk.with_key_id("1").with_use("sig")].into_iter().collect();
/// assert!(set.to_json().starts_with(r#"{"keys":[{"kty":"OKP","use":"sig","kid":"1","#));
/// # Ok::<(), aims_jose::Error>(())
/// ```
#[derive(Clone, Debug, Default, Eq, PartialEq, Serialize)]
pub struct PublicJwkSet {
    keys: Vec<Jwk>,
}

impl PublicJwkSet {
    /// The keys.
    #[must_use]
    pub fn keys(&self) -> &[Jwk] {
        &self.keys
    }

    /// The JSON text, `application/jwk-set+json`.
    #[must_use]
    pub fn to_json(&self) -> String {
        // Strings and base64url always serialize.
        serde_json::to_string(self).unwrap_or_default()
    }
}

impl FromIterator<Jwk> for PublicJwkSet {
    fn from_iter<I: IntoIterator<Item = Jwk>>(keys: I) -> Self {
        Self {
            keys: keys.into_iter().collect(),
        }
    }
}

impl fmt::Display for PublicJwkSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.to_json())
    }
}
