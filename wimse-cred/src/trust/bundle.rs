//! The keys of one origin.

use std::collections::BTreeSet;
use std::time::Duration;

use aims_jose::alg::{Algorithm, AlgorithmSet};
use aims_jose::json;
use aims_jose::jwk::{JwkSet, MAX_SET_KEYS, SetRules};
use aims_jose::provider::Provider;
use aims_jose::time::UnixTime;
use aims_wimse_id::{Origin, Scheme};
use serde::Deserialize;

use crate::Error;

/// The public keys that sign credentials of one origin, and of no other
/// (draft-ietf-wimse-workload-creds §3).
///
/// For a `spiffe` origin the document is a SPIFFE bundle: a JWK set with `spiffe_sequence` and
/// `spiffe_refresh_hint`. The `use` of an entry is `wit-svid` or `jwt-svid`; other entries are
/// ignored (SPIFFE Trust Domain and Bundle §4). For a `wimse` origin the document is a plain JWK
/// set.
///
/// A bundle without a usable key is valid. It trusts no credential.
///
/// ```
/// use aims_jose::provider::AWS_LC;
/// use aims_wimse_cred::Bundle;
///
/// let origin = "spiffe://example.org".parse()?;
/// let bundle = Bundle::parse(&origin, br#"{"keys":[],"spiffe_refresh_hint":300}"#, AWS_LC)?;
/// assert!(!bundle.is_usable());
/// assert_eq!(bundle.refresh_hint().map(|hint| hint.as_secs()), Some(300));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug)]
pub struct Bundle {
    origin: Origin,
    wit_keys: JwkSet,
    jwt_svid_keys: JwkSet,
    provider: &'static dyn Provider,
    sequence: Option<u64>,
    refresh_hint: Option<Duration>,
    good_until: Option<UnixTime>,
    uses: Vec<String>,
}

#[derive(Deserialize)]
struct Members {
    // `null` counts as absent, as in every unsigned document.
    spiffe_sequence: Option<u64>,
    spiffe_refresh_hint: Option<u64>,
}

impl Bundle {
    /// Parses the document of an origin: a SPIFFE bundle or a JWK set, as the scheme of the origin
    /// demands. The provider prepares these keys, and later the keys that their tokens confirm.
    ///
    /// The parser accepts the spellings of common servers ([`aims_jose::json::document`],
    /// [`aims_jose::jwk::Jwk::parse_published`]). A `spiffe_…` member that is `null` counts as
    /// absent. `"keys":null` is the empty set. The document may have [`MAX_SET_KEYS`] entries.
    ///
    /// An entry of a SPIFFE bundle with another `use` than `wit-svid` or `jwt-svid` is skipped. A
    /// plain JWK set has no entries with these uses, so as a SPIFFE bundle it trusts no credential.
    /// Parse such a set with [`jwk_set`](Self::jwk_set).
    ///
    /// An RSA key of a SPIFFE bundle without `alg` is for RS256, which SPIRE publishes and signs
    /// with.
    ///
    /// # Errors
    ///
    /// `bundle.syntax` for a malformed document; `bundle.kid` if two keys have the same `kid`, or
    /// one key has it for different uses.
    pub fn parse(
        origin: &Origin,
        document: &[u8],
        provider: &'static dyn Provider,
    ) -> Result<Self, Error> {
        Self::parse_within(origin, document, MAX_SET_KEYS, provider)
    }

    /// Parses the document like [`parse`](Self::parse), with at most `max_keys` entries of any
    /// kind.
    ///
    /// # Errors
    ///
    /// Those of [`parse`](Self::parse).
    pub fn parse_within(
        origin: &Origin,
        document: &[u8],
        max_keys: usize,
        provider: &'static dyn Provider,
    ) -> Result<Self, Error> {
        match origin.scheme() {
            Scheme::Spiffe => Self::spiffe(origin, document, max_keys, provider),
            Scheme::Wimse => Self::jwk_set_within(origin, document, max_keys, provider),
        }
    }

    /// Parses a plain JWK set whose keys sign the WITs of this origin. `use` is absent or `sig`.
    ///
    /// It is for a `spiffe` origin that publishes no SPIFFE bundle. JWT-SVIDs of such an origin are
    /// not accepted.
    ///
    /// # Errors
    ///
    /// Those of [`parse`](Self::parse).
    pub fn jwk_set(
        origin: &Origin,
        document: &[u8],
        provider: &'static dyn Provider,
    ) -> Result<Self, Error> {
        Self::jwk_set_within(origin, document, MAX_SET_KEYS, provider)
    }

    /// Parses the set like [`jwk_set`](Self::jwk_set), with at most `max_keys` entries of any kind.
    ///
    /// # Errors
    ///
    /// Those of [`parse`](Self::parse).
    pub fn jwk_set_within(
        origin: &Origin,
        document: &[u8],
        max_keys: usize,
        provider: &'static dyn Provider,
    ) -> Result<Self, Error> {
        let rules = SetRules::wimse().with_max_keys(max_keys);
        let wit_keys = keys(document, &rules, provider)?;
        let jwt_svid_keys = keys(br#"{"keys":[]}"#, &rules, provider)?;
        Ok(Self {
            origin: origin.clone(),
            uses: uses_if(wit_keys.is_empty(), document),
            wit_keys,
            jwt_svid_keys,
            provider,
            sequence: None,
            refresh_hint: None,
            good_until: None,
        })
    }

    fn spiffe(
        origin: &Origin,
        document: &[u8],
        max_keys: usize,
        provider: &'static dyn Provider,
    ) -> Result<Self, Error> {
        let rsa = AlgorithmSet::of(&[Algorithm::Rs256]);
        let rules = |key_use| {
            let rules = SetRules::spiffe(key_use).with_rsa_algorithms(rsa);
            rules.with_max_keys(max_keys)
        };
        let wit_keys = keys(document, &rules("wit-svid"), provider)?;
        let jwt_svid_keys = keys(document, &rules("jwt-svid"), provider)?;
        let twice = |id: Option<&str>| jwt_svid_keys.iter().any(|key| key.key_id() == id);
        if wit_keys.iter().any(|key| twice(key.key_id())) {
            return Err(Error::BundleKeyId);
        }
        let members: Members =
            json::from_document(document).map_err(|error| Error::BundleSyntax(Some(error)))?;
        Ok(Self {
            origin: origin.clone(),
            uses: uses_if(wit_keys.is_empty() && jwt_svid_keys.is_empty(), document),
            wit_keys,
            jwt_svid_keys,
            provider,
            sequence: members.spiffe_sequence,
            refresh_hint: members.spiffe_refresh_hint.map(Duration::from_secs),
            good_until: None,
        })
    }

    /// Sets the time until which this bundle is trusted if no newer one can be fetched.
    ///
    /// After it, every credential of the origin is refused with `trust.stale`.
    #[must_use]
    pub const fn good_until(mut self, until: UnixTime) -> Self {
        self.good_until = Some(until);
        self
    }

    /// Returns the origin that the keys belong to.
    #[must_use]
    pub const fn origin(&self) -> &Origin {
        &self.origin
    }

    /// Returns the keys that sign WITs and WIT-SVIDs.
    #[must_use]
    pub const fn wit_keys(&self) -> &JwkSet {
        &self.wit_keys
    }

    /// Returns the keys that sign JWT-SVIDs.
    #[must_use]
    pub const fn jwt_svid_keys(&self) -> &JwkSet {
        &self.jwt_svid_keys
    }

    /// Returns whether the bundle has a key for any kind of credential. Without one, it trusts no
    /// credential.
    #[must_use]
    pub fn is_usable(&self) -> bool {
        !self.wit_keys.is_empty() || !self.jwt_svid_keys.is_empty()
    }

    /// Returns the values of `use` in a bundle without a [usable](Self::is_usable) key, each once.
    ///
    /// A program can name them in a message about the wrong kind of document. The texts are
    /// untrusted. The list is empty for every other bundle.
    #[must_use]
    pub fn uses(&self) -> &[String] {
        &self.uses
    }

    /// Returns `spiffe_sequence`, which grows with every change of the bundle.
    #[must_use]
    pub const fn sequence(&self) -> Option<u64> {
        self.sequence
    }

    /// Returns `spiffe_refresh_hint`, the time after which to fetch a newer bundle.
    #[must_use]
    pub const fn refresh_hint(&self) -> Option<Duration> {
        self.refresh_hint
    }

    pub(crate) fn check_fresh(&self, now: UnixTime) -> Result<(), Error> {
        if self.good_until.is_some_and(|until| now > until) {
            return Err(Error::Stale {
                origin: self.origin.clone(),
            });
        }
        Ok(())
    }

    pub(crate) fn provider(&self) -> &'static dyn Provider {
        self.provider
    }
}

/// Returns each `use` of the entries of a document, if the caller asks for it.
fn uses_if(is_asked: bool, document: &[u8]) -> Vec<String> {
    #[derive(Deserialize)]
    struct Set {
        keys: Option<Vec<Entry>>,
    }
    #[derive(Deserialize)]
    struct Entry {
        #[serde(rename = "use")]
        key_use: Option<String>,
    }

    if !is_asked {
        return Vec::new();
    }
    // If any entry has another form, the list is empty.
    let set = json::from_document::<Set>(document);
    let entries = set.ok().and_then(|it| it.keys).unwrap_or_default();
    let uses: BTreeSet<String> = entries.into_iter().filter_map(|it| it.key_use).collect();
    uses.into_iter().collect()
}

fn keys(
    document: &[u8],
    rules: &SetRules,
    provider: &'static dyn Provider,
) -> Result<JwkSet, Error> {
    JwkSet::parse(document, rules, provider).map_err(|error| match error {
        aims_jose::Error::SetDuplicateKeyId => Error::BundleKeyId,
        other => Error::BundleSyntax(Some(other)),
    })
}
