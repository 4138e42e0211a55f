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

/// The keys that vouch for the identifiers of one origin, and for no other
/// (draft-ietf-wimse-workload-creds §3).
///
/// For a `spiffe` origin the document is a SPIFFE bundle, a JWK set with `spiffe_sequence` and
/// `spiffe_refresh_hint`, whose entries say by `use` what they are for: `wit-svid` or `jwt-svid`;
/// all others are ignored one by one (SPIFFE Trust Domain and Bundle §4). For a `wimse` origin it
/// is a plain JWK set. A bundle without a usable key is a bundle: it trusts nothing.
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
    // `null` is absent, as everywhere in an unsigned document.
    spiffe_sequence: Option<u64>,
    spiffe_refresh_hint: Option<u64>,
}

impl Bundle {
    /// Reads the document of an origin: a SPIFFE bundle or a JWK set, as its scheme demands. The
    /// provider prepares these keys, and later those of the tokens that they vouch for.
    ///
    /// The document and its keys may be spelled as servers write them
    /// ([`aims_jose::json::document`], [`aims_jose::jwk::Jwk::parse_published`]). A `spiffe_…`
    /// member that is `null` is absent, and `"keys":null` is the empty set: the bundle trusts
    /// nothing. The document may have [`MAX_SET_KEYS`] entries.
    ///
    /// An entry of a SPIFFE bundle whose `use` is neither `wit-svid` nor `jwt-svid` is skipped. A
    /// plain JWK set has no other entries, so as a SPIFFE bundle it trusts nothing. Read such a set
    /// with [`jwk_set`](Self::jwk_set).
    ///
    /// An RSA key of a SPIFFE bundle that has no `alg` is for RS256, which is what SPIRE publishes
    /// and signs with.
    ///
    /// # Errors
    ///
    /// `bundle.syntax`; `bundle.kid` if two keys have the same `kid`, or one key has it for
    /// different uses.
    pub fn parse(
        origin: &Origin,
        document: &[u8],
        provider: &'static dyn Provider,
    ) -> Result<Self, Error> {
        Self::parse_within(origin, document, MAX_SET_KEYS, provider)
    }

    /// Reads the same document, with at most `max_keys` entries of whatever kind.
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

    /// Reads a plain JWK set whose keys vouch for the WITs of this origin: `use` absent or `sig`.
    /// For a `spiffe` origin that publishes no SPIFFE bundle; no JWT-SVID is accepted by it.
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

    /// Reads the same set, with at most `max_keys` entries of whatever kind.
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

    /// Sets the last moment at which this bundle is still trusted if no newer one could be fetched.
    /// After it, every credential of the origin is refused with `trust.stale`.
    #[must_use]
    pub const fn good_until(mut self, until: UnixTime) -> Self {
        self.good_until = Some(until);
        self
    }

    /// Whose keys these are.
    #[must_use]
    pub const fn origin(&self) -> &Origin {
        &self.origin
    }

    /// The keys that sign WITs and WIT-SVIDs.
    #[must_use]
    pub const fn wit_keys(&self) -> &JwkSet {
        &self.wit_keys
    }

    /// The keys that sign JWT-SVIDs.
    #[must_use]
    pub const fn jwt_svid_keys(&self) -> &JwkSet {
        &self.jwt_svid_keys
    }

    /// Whether there is a key for any kind of credential. Without one, the bundle trusts nothing.
    #[must_use]
    pub fn is_usable(&self) -> bool {
        !self.wit_keys.is_empty() || !self.jwt_svid_keys.is_empty()
    }

    /// What the entries of a bundle have in `use`, each once, where none of them is
    /// [usable](Self::is_usable): for a message that says which kind of document it is. It is
    /// foreign text. Empty for every other bundle.
    #[must_use]
    pub fn uses(&self) -> &[String] {
        &self.uses
    }

    /// `spiffe_sequence`: grows with every change of the bundle.
    #[must_use]
    pub const fn sequence(&self) -> Option<u64> {
        self.sequence
    }

    /// `spiffe_refresh_hint`: how often to ask for a newer bundle.
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

/// Each `use` of the entries of a document, if it is asked for.
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
    // Where an entry is of another form, nothing is said of any.
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
