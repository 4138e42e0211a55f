//! The document with the keys of an agent (draft §"Directory Format").

use aims_jose::jwk::{Jwk, JwkSet, PublicJwkSet, SetRules, Thumbprint};
use aims_jose::key::VerifyingKey;
use aims_jose::provider::Provider;
use aims_jose::time::UnixTime;

use crate::{Algorithm, Error, Key, Keys, Parameters};

/// Rules for the keys of a directory.
#[derive(Clone, Copy, Debug)]
pub struct DirectoryRules {
    place: Place,
    test_keys: TestKeys,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Place {
    Elsewhere,
    WellKnown,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum TestKeys {
    Skipped,
    Taken,
}

impl DirectoryRules {
    /// Creates rules for a document at the well-known path: each `kid` is the thumbprint of its
    /// key.
    #[must_use]
    pub const fn well_known() -> Self {
        Self {
            place: Place::WellKnown,
            test_keys: TestKeys::Skipped,
        }
    }

    /// Creates the rules for the document of this agent, by its location.
    #[must_use]
    pub fn of(agent: &super::SignatureAgent) -> Self {
        if agent.is_well_known() {
            Self::well_known()
        } else {
            Self::key_set()
        }
    }

    /// Creates rules for a key set at another URL, which may have other users and its own key
    /// names.
    #[must_use]
    pub const fn key_set() -> Self {
        Self {
            place: Place::Elsewhere,
            test_keys: TestKeys::Skipped,
        }
    }

    /// Accepts the test keys of RFC 9421 too. Their private keys are public, so use it in tests
    /// only.
    #[must_use]
    pub const fn accept_test_keys(mut self) -> Self {
        self.test_keys = TestKeys::Taken;
        self
    }
}

/// The usable keys of one agent, looked up by thumbprint.
#[derive(Clone, Debug, Default)]
pub struct Directory {
    keys: Vec<VerifyingKey>,
}

impl Directory {
    /// Parses the document. Unusable keys are skipped; the others are unaffected.
    ///
    /// A key is unusable in these cases:
    ///
    /// - RFC 9421 has no algorithm for it;
    /// - the time is before its `nbf`, or at or after its `exp`;
    /// - its `kid` differs from its thumbprint, in a document at the well-known path;
    /// - it is a published test key.
    ///
    /// # Errors
    ///
    /// Those of [`JwkSet::parse`] for the whole document: `jwks.json`, `jwks.too_large`,
    /// `jwks.duplicate_kid`, `jws.duplicate_member`.
    pub fn parse(
        json: &[u8],
        rules: &DirectoryRules,
        provider: &'static dyn Provider,
        now: UnixTime,
    ) -> Result<Self, Error> {
        let set_rules = match rules.place {
            Place::WellKnown => SetRules::wimse().exact(),
            Place::Elsewhere => SetRules::client(),
        };
        let set = JwkSet::parse(json, &set_rules, provider).map_err(Error::DirectoryKeys)?;
        let times = times(json);
        let skipped = |at: &usize| set.skipped().iter().any(|entry| entry.index == *at);
        let used = (0..).filter(|at| !skipped(at));
        let keys = set
            .iter()
            .zip(used)
            .filter(|(key, at)| {
                times.get(*at).is_some_and(|time| time.holds(now)) && rules.admit(key)
            })
            .map(|(key, _)| key.clone())
            .collect();
        Ok(Self { keys })
    }

    /// Returns the document with these keys, each named by its thumbprint.
    ///
    /// Serve it at [`DIRECTORY_PATH`](super::DIRECTORY_PATH) as
    /// [`DIRECTORY_MEDIA_TYPE`](super::DIRECTORY_MEDIA_TYPE), and [sign](super::DirectorySigning)
    /// each response with each of the keys.
    #[must_use]
    pub fn to_publish<'a>(keys: impl IntoIterator<Item = &'a VerifyingKey>) -> String {
        let published = |key: &VerifyingKey| -> Jwk {
            let id = key.thumbprint().to_string();
            key.jwk().clone().with_key_id(id).with_use("sig")
        };
        let set: PublicJwkSet = keys.into_iter().map(published).collect();
        set.to_json()
    }

    /// Returns the entries of the parsed document that became these keys, with all their members. A
    /// caller can store this instead of the whole document.
    #[must_use]
    pub fn excerpt(&self, json: &[u8]) -> String {
        let document: serde_json::Value = serde_json::from_slice(json).unwrap_or_default();
        let entries = document.get("keys").and_then(serde_json::Value::as_array);
        let held = |entry: &&serde_json::Value| {
            let key = Jwk::parse(entry.to_string().as_bytes());
            key.is_ok_and(|key| self.find(&key.thumbprint()).is_some())
        };
        let kept: Vec<_> = entries
            .into_iter()
            .flatten()
            .filter(held)
            .cloned()
            .collect();
        let keys = serde_json::Map::from_iter([("keys".to_owned(), kept.into())]);
        serde_json::Value::Object(keys).to_string()
    }

    /// Returns the key with this thumbprint.
    #[must_use]
    pub fn find(&self, key_id: &Thumbprint) -> Option<&VerifyingKey> {
        self.keys.iter().find(|key| key.thumbprint() == key_id)
    }

    /// Returns the keys, in the order of the document.
    #[must_use]
    pub fn keys(&self) -> &[VerifyingKey] {
        &self.keys
    }

    pub(super) fn of(keys: Vec<VerifyingKey>) -> Self {
        Self { keys }
    }
}

impl DirectoryRules {
    fn admit(&self, key: &VerifyingKey) -> bool {
        let id = key.thumbprint().to_string();
        let signs = key
            .algorithms()
            .iter()
            .any(|algorithm| Algorithm::of_jws(algorithm).is_some());
        let named = self.place == Place::Elsewhere || key.key_id().is_none_or(|kid| kid == id);
        let secret = self.test_keys == TestKeys::Taken || !TEST_KEYS.contains(&id.as_str());
        signs && named && secret
    }
}

impl Keys for Directory {
    /// Returns the key whose thumbprint is `keyid`.
    fn find(&self, parameters: &Parameters<'_>) -> Result<Key, Error> {
        let id = parameters.key_id();
        let id = id.and_then(|id| id.parse::<Thumbprint>().ok());
        id.and_then(|id| self.find(&id).cloned())
            .map(Key::Public)
            .ok_or(Error::KeyUnknown)
    }
}

/// `nbf` and `exp` of a key, in seconds.
#[derive(Clone, Copy)]
struct Times {
    nbf: Option<u64>,
    exp: Option<u64>,
    malformed: bool,
}

impl Times {
    fn holds(self, now: UnixTime) -> bool {
        let now = now.as_secs();
        !self.malformed
            && self.nbf.is_none_or(|nbf| nbf <= now)
            && self.exp.is_none_or(|exp| now < exp)
    }
}

/// Returns the times of each entry, in the order of the parsed document.
fn times(json: &[u8]) -> Vec<Times> {
    let document: serde_json::Value = serde_json::from_slice(json).unwrap_or_default();
    let entries = document.get("keys").and_then(serde_json::Value::as_array);
    let of_entry = |entry: &serde_json::Value| {
        let seconds = |name| entry.get(name).map(serde_json::Value::as_u64);
        let (nbf, exp) = (seconds("nbf"), seconds("exp"));
        Times {
            nbf: nbf.flatten(),
            exp: exp.flatten(),
            malformed: nbf == Some(None) || exp == Some(None),
        }
    };
    entries.into_iter().flatten().map(of_entry).collect()
}

/// The thumbprints of test-key-ed25519 and test-key-rsa-pss of RFC 9421 (draft §"Test and
/// Demonstration Keys").
const TEST_KEYS: &[&str] = &[
    "poqkLGiymh_W0uP6PZFw-dvez3QJT5SolqXBCW38r0U",
    "oD0HwocPBSfpNy5W3bpJeyFGY_IQ_YpqxSjQ3Yd-CLA",
];
