//! The authorization servers that a resource believes, and their keys.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use aims_jose::alg::Algorithm;
use aims_jose::jwk::{JwkSet, MAX_SET_KEYS, SetRules, SkippedKeys};
use aims_jose::jws::Header;
use aims_jose::key::VerifyingKey;
use aims_jose::provider::Provider;
use aims_jose::time::UnixTime;
use aims_oauth_wire::names::Issuer;
use arc_swap::{ArcSwap, Guard};

use crate::rules::root_slash_twin;
use crate::{Error, IssuerRules, TokenProfile};

/// The configured issuers and their keys at one moment.
#[derive(Clone, Debug, Default)]
pub struct Issuers {
    entries: HashMap<String, Entry>,
    /// How an issuer that was configured in another spelling writes itself.
    respelled: HashMap<String, Issuer>,
}

/// One configured issuer.
#[derive(Clone, Debug, Default)]
struct Entry {
    held: Option<Arc<Held>>,
    rules: Arc<IssuerRules>,
    /// Whether somebody set the rules.
    has_rules: bool,
}

/// The keys of one issuer.
#[derive(Debug)]
struct Held {
    keys: JwkSet,
    good_until: Option<UnixTime>,
}

impl Issuers {
    fn entry(&mut self, issuer: &Issuer) -> &mut Entry {
        self.entries.entry(issuer.as_str().to_owned()).or_default()
    }

    /// The entry of an issuer, by its own spelling or the one that was replaced.
    fn entry_of_either(&mut self, issuer: &Issuer) -> &mut Entry {
        let own = self.respelled.get(issuer.as_str()).cloned();
        self.entry(own.as_ref().unwrap_or(issuer))
    }

    /// The same issuers with these rules as well, as [`IssuerStore::add_rules`] sets them: for a
    /// caller who looks at the outcome first. Of several rules for one issuer, the last are meant.
    ///
    /// # Errors
    ///
    /// Those of [`IssuerStore::add_rules`].
    pub fn with_rules(&self, rules: &[(Issuer, IssuerRules)]) -> Result<Self, Error> {
        let mut next = self.clone();
        for (issuer, rules) in rules {
            next.put_rules(issuer, rules.clone())?;
        }
        let mut before = self.clone();
        for (issuer, _) in rules {
            let had = before.entry_of_either(issuer);
            if had.has_rules && had.rules != next.entry_of_either(issuer).rules {
                let issuer = issuer.as_str().to_owned();
                return Err(Error::OtherRules { issuer });
            }
        }
        Ok(next)
    }

    fn put_rules(&mut self, issuer: &Issuer, rules: IssuerRules) -> Result<(), Error> {
        rules.check(issuer)?;
        let entry = self.entry_of_either(issuer);
        // Tokens that were verified by the same rules stay verified.
        if *entry.rules != rules {
            entry.rules = Arc::new(rules);
        }
        entry.has_rules = true;
        Ok(())
    }

    /// The keys of an issuer, once they are known, whether or not they are still believed.
    #[must_use]
    pub fn keys(&self, issuer: &str) -> Option<&JwkSet> {
        Some(&self.entries.get(issuer)?.held.as_ref()?.keys)
    }

    /// The rules of an issuer, once it is configured.
    pub(crate) fn rules(&self, issuer: &str) -> Option<&Arc<IssuerRules>> {
        Some(&self.entries.get(issuer)?.rules)
    }

    /// Whether the header `typ` is that of an access token of any issuer: for a token that does not
    /// name its issuer.
    pub(crate) fn check_type(&self, header: &Header) -> Result<(), Error> {
        let mut profiles = self.entries.values().map(|entry| &entry.rules.profile);
        if profiles.any(|profile| profile.check_type(header).is_ok()) {
            return Ok(());
        }
        TokenProfile::Rfc9068.check_type(header)
    }

    /// Two configured issuers that differ in the root slash alone, if there are any. They are one
    /// server in two spellings (RFC 3986 §6.2.3), and tokens of one would be refused.
    #[must_use]
    pub fn root_slash_twins(&self) -> Option<(&str, &str)> {
        self.entries.keys().find_map(|issuer| {
            let bare = issuer.strip_suffix('/')?;
            let twin = root_slash_twin(issuer).filter(|twin| twin == bare)?;
            self.entries
                .contains_key(&twin)
                .then_some((bare, issuer.as_str()))
        })
    }

    /// The one key of an issuer for a token's `kid` and `alg`, where its keys are still believed.
    /// The keys of one issuer never vouch for another (RFC 9068 §4).
    pub(crate) fn select(
        &self,
        issuer: &str,
        key_id: Option<&str>,
        algorithm: Algorithm,
        now: UnixTime,
    ) -> Result<&VerifyingKey, Error> {
        let named = || issuer.to_owned();
        let unknown_key = |skipped| Error::UnknownKey {
            issuer: named(),
            key_id: key_id.map(str::to_owned),
            skipped,
        };
        let entry = self.entries.get(issuer);
        let entry = entry.ok_or_else(|| Error::UnknownIssuer { found: named() })?;
        let held = entry.held.as_deref();
        let held = held.ok_or_else(|| unknown_key(SkippedKeys::default()))?;
        if held.good_until.is_some_and(|until| now > until) {
            return Err(Error::KeysStale { issuer: named() });
        }
        held.keys
            .select(key_id, algorithm)
            .map_err(|error| match error {
                aims_jose::Error::UnknownKey => unknown_key(held.keys.skipped_keys()),
                aims_jose::Error::AmbiguousKey => Error::AmbiguousKey { issuer: named() },
                other => Error::Token(other),
            })
    }
}

/// Issuers and their keys, replaced while others read. Readers take a snapshot and hold no lock.
#[derive(Debug)]
pub struct IssuerStore {
    now: ArcSwap<Issuers>,
    writing: Mutex<()>,
    max_keys: usize,
}

impl Default for IssuerStore {
    fn default() -> Self {
        Self {
            now: ArcSwap::default(),
            writing: Mutex::default(),
            max_keys: MAX_SET_KEYS,
        }
    }
}

impl IssuerStore {
    /// Trusts no issuer.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Sets how many entries the key set of an issuer may have, usable or not. Defaults to
    /// [`MAX_SET_KEYS`].
    #[must_use]
    pub const fn with_max_keys(mut self, most: usize) -> Self {
        self.max_keys = most;
        self
    }

    /// Sets the keys of an issuer from its `jwks_uri` document, to be believed until they are set
    /// again. Good keys are never replaced by none.
    ///
    /// # Errors
    ///
    /// `token.key_set` where the document is malformed, `token.no_keys` where it has no usable key;
    /// the keys from before stay.
    pub fn set(
        &self,
        issuer: &Issuer,
        document: &[u8],
        provider: &'static dyn Provider,
    ) -> Result<(), Error> {
        self.put(issuer, document, provider, None)
    }

    /// As [`set`](Self::set), for keys that have to be confirmed: `until` is the last moment at
    /// which they are believed when nothing newer could be had. After it, every token of the issuer
    /// is refused with `token.keys_stale`, verified before or not.
    ///
    /// # Errors
    ///
    /// Those of [`set`](Self::set).
    pub fn set_until(
        &self,
        issuer: &Issuer,
        document: &[u8],
        provider: &'static dyn Provider,
        until: UnixTime,
    ) -> Result<(), Error> {
        self.put(issuer, document, provider, Some(until))
    }

    fn put(
        &self,
        issuer: &Issuer,
        document: &[u8],
        provider: &'static dyn Provider,
        good_until: Option<UnixTime>,
    ) -> Result<(), Error> {
        let rules = SetRules::oauth().with_max_keys(self.max_keys);
        let keys = JwkSet::parse(document, &rules, provider).map_err(Error::KeySet)?;
        if keys.is_empty() {
            let skipped = keys.skipped_keys();
            return Err(Error::NoKeys { skipped });
        }
        let held = Held { keys, good_until };
        let _writing = self.write();
        let mut next = Issuers::clone(&self.now.load());
        next.entry(issuer).held = Some(Arc::new(held));
        self.publish(next);
        Ok(())
    }

    /// Sets the rules for the tokens of an issuer, and names it. Tokens that were verified by other
    /// rules are judged again. Until this is called, the issuer's tokens follow RFC 9068.
    ///
    /// # Errors
    ///
    /// `token.profile` where the profile is for another issuer, such as another tenant.
    pub fn set_rules(&self, issuer: &Issuer, rules: IssuerRules) -> Result<(), Error> {
        let _held = self.write();
        let mut next = Issuers::clone(&self.now.load());
        next.put_rules(issuer, rules)?;
        self.publish(next);
        Ok(())
    }

    /// As [`set_rules`](Self::set_rules), for several issuers at once and without replacing what
    /// others set: all of the rules are set, or none.
    ///
    /// # Errors
    ///
    /// `token.issuer_rules` where other rules were set for an issuer before; those of
    /// [`set_rules`](Self::set_rules).
    pub fn add_rules(&self, rules: &[(Issuer, IssuerRules)]) -> Result<(), Error> {
        let _held = self.write();
        let next = self.now.load().with_rules(rules)?;
        self.publish(next);
        Ok(())
    }

    /// Names an issuer whose keys are still to be fetched: its tokens are refused with
    /// `token.unknown_key` until then.
    pub fn name(&self, issuer: &Issuer) {
        let _held = self.write();
        let mut next = Issuers::clone(&self.now.load());
        next.entry(issuer);
        self.publish(next);
    }

    /// Replaces an issuer's spelling by the one that its server writes, with its keys and rules:
    /// for a caller whose discovery takes the two for one (RFC 3986 §6.2.3). From now on tokens are
    /// compared with `own`, byte for byte, and rules that are set for `configured` are those of
    /// `own`. Does nothing where `configured` is not named.
    pub fn respell(&self, configured: &Issuer, own: &Issuer) {
        let _held = self.write();
        let mut next = Issuers::clone(&self.now.load());
        if configured == own {
            return;
        }
        let Some(entry) = next.entries.remove(configured.as_str()) else {
            return;
        };
        next.entries.entry(own.as_str().to_owned()).or_insert(entry);
        next.respelled.remove(own.as_str());
        let from = configured.as_str().to_owned();
        next.respelled.insert(from, own.clone());
        self.publish(next);
    }

    /// Believes an issuer no longer, by its own spelling or the one that was
    /// [replaced](Self::respell). Says whether it was believed.
    pub fn remove(&self, issuer: &Issuer) -> bool {
        let _held = self.write();
        let mut next = Issuers::clone(&self.now.load());
        let own = next.respelled.get(issuer.as_str()).cloned();
        let own = own.as_ref().unwrap_or(issuer);
        let known = next.entries.remove(own.as_str()).is_some();
        if known {
            self.publish(next);
        }
        known
    }

    /// The issuers as they are now.
    #[must_use]
    pub fn snapshot(&self) -> Arc<Issuers> {
        self.now.load_full()
    }

    pub(crate) fn peek(&self) -> Guard<Arc<Issuers>> {
        self.now.load()
    }

    fn write(&self) -> MutexGuard<'_, ()> {
        self.writing.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn publish(&self, next: Issuers) {
        self.now.store(Arc::new(next));
    }
}
