//! Key sets.

use core::fmt;

use serde::{Deserialize, Deserializer, Serialize};
use serde_json::value::RawValue;

use super::parse::Spelling;
use super::{Jwk, Skipped, SkippedKeys};
use crate::alg::{Algorithm, AlgorithmSet};
use crate::key::VerifyingKey;
use crate::provider::Provider;
use crate::{Error, json};

/// Maximum length of a set: 256 KiB.
pub const MAX_SET_LEN: usize = 256 * 1024;

/// Default maximum number of entries in a set, usable or not: 1,000. [`SetRules::with_max_keys`]
/// sets another one.
pub const MAX_SET_KEYS: usize = 1_000;

/// Rules for the keys of a set, by the protocol that it belongs to.
///
/// ```
/// # #[cfg(feature = "aws-lc-rs")] {
/// use aims_jose::jwk::{JwkSet, SetRules};
/// use aims_jose::provider::AWS_LC;
///
/// let set = br#"{"keys":[{"kty":"OKP","crv":"Ed25519","kid":"1",
///     "x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}]}"#;
/// assert_eq!(JwkSet::parse(set, &SetRules::oauth(), AWS_LC)?.keys().len(), 1);
/// // The entry does not have this `use`, so it is skipped.
/// assert!(JwkSet::parse(set, &SetRules::spiffe("jwt-svid"), AWS_LC)?.is_empty());
/// # }
/// # Ok::<(), aims_jose::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct SetRules {
    /// The required value of `use`. `None` means absent or `sig`.
    key_use: Option<String>,
    key_id: KeyIds,
    /// The algorithms of an RSA key without `alg`.
    rsa: AlgorithmSet,
    /// The algorithms that any key may have.
    allowed: AlgorithmSet,
    spelling: Spelling,
    max_keys: usize,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum KeyIds {
    /// Optional. If two are equal, algorithm and use decide (RFC 7517 §4.5).
    Narrow,
    /// Optional. Two equal ones make the set unusable.
    Unique,
    /// Required and unique.
    Required,
}

impl SetRules {
    /// Creates rules for the set that an OAuth issuer publishes (RFC 7517 §5, RFC 8414 §2).
    ///
    /// `use` is absent or `sig`. `kid` is optional, and may be repeated during a rollover; `kty`
    /// and `alg` then narrow the choice. An RSA key without `alg` verifies RS256, RS384, RS512,
    /// PS256, PS384 and PS512, unless [`with_rsa_algorithms`](Self::with_rsa_algorithms) sets
    /// others.
    #[must_use]
    pub const fn oauth() -> Self {
        Self {
            key_use: None,
            key_id: KeyIds::Narrow,
            rsa: AlgorithmSet::RSA,
            allowed: AlgorithmSet::ALL,
            spelling: Spelling::Published,
            max_keys: MAX_SET_KEYS,
        }
    }

    /// Creates rules for the keys of an OAuth client (RFC 7591 §2). They differ from
    /// [`oauth`](Self::oauth) in two points: each key is parsed [exactly](Self::exact), and an RSA
    /// key without `alg` verifies RS256 only.
    #[must_use]
    pub const fn client() -> Self {
        let mut rules = Self::oauth();
        rules.rsa = AlgorithmSet::of(&[Algorithm::Rs256]);
        rules.exact()
    }

    /// Creates rules for the set of a WIMSE trust domain.
    ///
    /// `use` is absent or `sig`. Two different keys with the same `kid` make the set unusable. RSA
    /// keys need an `alg`.
    #[must_use]
    pub const fn wimse() -> Self {
        let mut rules = Self::oauth();
        rules.key_id = KeyIds::Unique;
        rules.rsa = AlgorithmSet::EMPTY;
        rules
    }

    /// Creates rules for the keys of a SPIFFE bundle with one use, `jwt-svid` or `wit-svid` (SPIFFE
    /// Trust Domain and Bundle §4.2.2).
    ///
    /// `use` must be exactly that. `kid` is required, and unique among those keys. Other entries
    /// are skipped, and so are keys for algorithms outside [`AlgorithmSet::SVID`]. RSA keys need an
    /// `alg`, unless [`with_rsa_algorithms`](Self::with_rsa_algorithms) sets their algorithms.
    #[must_use]
    pub fn spiffe(key_use: &str) -> Self {
        Self {
            key_use: Some(key_use.to_owned()),
            key_id: KeyIds::Required,
            allowed: AlgorithmSet::SVID,
            ..Self::wimse()
        }
    }

    /// Parses each key in the exact form of the standards, like [`Jwk::parse`], and counts each
    /// entry.
    ///
    /// By default, keys are parsed like [`Jwk::parse_published`], and entries with the same key
    /// under the same `kid` count once.
    #[must_use]
    pub const fn exact(mut self) -> Self {
        self.spelling = Spelling::Exact;
        self
    }

    /// Sets the maximum number of entries. Defaults to [`MAX_SET_KEYS`].
    #[must_use]
    pub const fn with_max_keys(mut self, most: usize) -> Self {
        self.max_keys = most;
        self
    }

    /// Sets the algorithms of an RSA key without `alg`. Algorithms outside RSA are ignored.
    #[must_use]
    pub fn with_rsa_algorithms(mut self, algorithms: AlgorithmSet) -> Self {
        self.rsa = algorithms
            .iter()
            .filter(|algorithm| algorithm.is_rsa())
            .collect();
        self
    }

    fn admit(&self, json: &[u8], provider: &'static dyn Provider) -> Result<VerifyingKey, Error> {
        let jwk = match self.spelling {
            Spelling::Exact => Jwk::parse(json)?,
            Spelling::Published => Jwk::parse_published(json)?,
        };
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

    /// Adds a usable key to the keys before it.
    fn add(&self, keys: &mut Vec<VerifyingKey>, key: VerifyingKey) -> Result<(), Error> {
        if self.spelling == Spelling::Published
            && let Some(known) = keys.iter_mut().find(|known| is_again(known, &key))
        {
            if !known.algorithms().is_subset(key.algorithms()) {
                *known = key;
            }
            return Ok(());
        }
        let repeated = |known: &VerifyingKey| known.key_id() == key.key_id();
        if self.key_id != KeyIds::Narrow && key.key_id().is_some() && keys.iter().any(repeated) {
            return Err(Error::SetDuplicateKeyId);
        }
        keys.push(key);
        Ok(())
    }
}

/// Returns whether both are the same key under the same `kid`, for algorithms that do not conflict.
/// Both are usable, so their `use` and `key_ops` do not conflict either.
fn is_again(known: &VerifyingKey, key: &VerifyingKey) -> bool {
    let (one, other) = (known.algorithms(), key.algorithms());
    known.key_id() == key.key_id()
        && known.jwk().public_key() == key.jwk().public_key()
        && (one.is_subset(other) || other.is_subset(one))
}

fn null_is_none<'de, D: Deserializer<'de>, T: Deserialize<'de>>(
    deserializer: D,
) -> Result<Option<T>, D::Error> {
    Option::deserialize(deserializer)
}

/// The usable keys of a set, prepared to verify.
///
/// A malformed or unknown entry is skipped; the others are unaffected (RFC 7517 §5). The set
/// [keeps](Self::skipped) the reasons. A token costs at most one signature check, because
/// [`select`](Self::select) returns one key or an error.
///
/// Entries with the same key count once if they have the same `kid`, or both have none, and do not
/// conflict. If only one of them has `alg`, the key is for that algorithm only. Entries with
/// different `alg` stay apart.
#[derive(Clone, Debug)]
pub struct JwkSet {
    keys: Vec<VerifyingKey>,
    skipped: SkippedKeys,
}

impl JwkSet {
    /// Parses a [document](json::document) of at most [`MAX_SET_LEN`] bytes, with as many entries
    /// as the rules allow.
    ///
    /// A set without a usable key is valid; it trusts no token. `"keys":null` is the empty set.
    ///
    /// # Errors
    ///
    /// `jwks.too_large`; `jwks.json`, also if `keys` is missing; `jws.duplicate_member`;
    /// `jwks.duplicate_kid`. A malformed entry is not an error.
    pub fn parse(
        document: &[u8],
        rules: &SetRules,
        provider: &'static dyn Provider,
    ) -> Result<Self, Error> {
        #[derive(Deserialize)]
        struct Members<'a> {
            // A plain `Option` would accept a missing member.
            #[serde(borrow, deserialize_with = "null_is_none")]
            keys: Option<Vec<&'a RawValue>>,
        }

        if document.len() > MAX_SET_LEN {
            return Err(Error::SetTooLarge);
        }
        let members: Members<'_> = json::from_document(document).map_err(|error| match error {
            Error::DuplicateMember => error,
            _ => Error::SetJson,
        })?;
        let entries = members.keys.unwrap_or_default();
        if entries.len() > rules.max_keys {
            return Err(Error::SetTooLarge);
        }
        let mut keys = Vec::with_capacity(entries.len());
        let mut skipped = Vec::new();
        for (index, entry) in entries.into_iter().enumerate() {
            match rules.admit(entry.get().as_bytes(), provider) {
                Ok(key) => rules.add(&mut keys, key)?,
                Err(reason) => skipped.push(Skipped { index, reason }),
            }
        }
        let skipped = skipped.into();
        Ok(Self { keys, skipped })
    }

    /// Returns the usable keys, in the order of the document.
    #[must_use]
    pub fn keys(&self) -> &[VerifyingKey] {
        &self.keys
    }

    /// Returns the entries that are not used, each with the reason.
    #[must_use]
    pub fn skipped(&self) -> &[Skipped] {
        self.skipped.as_slice()
    }

    /// Returns the entries that are not used, to be stored in an error.
    #[must_use]
    pub fn skipped_keys(&self) -> SkippedKeys {
        self.skipped.clone()
    }

    /// Returns whether no key is usable.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.keys.is_empty()
    }

    /// Iterates over the usable keys.
    pub fn iter(&self) -> core::slice::Iter<'_, VerifyingKey> {
        self.keys.iter()
    }

    /// Selects the one key for a token with this `kid` and `alg`; without `kid`, the one key for
    /// this `alg`.
    ///
    /// # Errors
    ///
    /// `key.unknown` if none fits (a refresh of the set may help); `jws.algorithm` if the key with
    /// that `kid` is not for this algorithm; `key.ambiguous` if several fit.
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

    /// Returns the usable keys as a document.
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

/// A key set to publish at the JWKS endpoint of an issuer.
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
    /// Returns the keys.
    #[must_use]
    pub fn keys(&self) -> &[Jwk] {
        &self.keys
    }

    /// Returns the JSON text, of media type `application/jwk-set+json`.
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
