//! The store of issuers, which is changed while others read.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use aims_jose::jwk::{JwkSet, MAX_SET_KEYS, SetRules};
use aims_jose::provider::Provider;
use aims_jose::time::UnixTime;
use aims_oauth_wire::names::Issuer;
use arc_swap::{ArcSwap, Guard};

use super::{Held, Issuers, RulesFrom};
use crate::{Error, IssuerRules};

/// Issuers and their keys, replaced while others read. Readers take a snapshot and hold no lock.
///
/// A removal is final: keys that come later, from a fetch that was under way or from a task that
/// refreshes them, are refused with `token.not_configured`. The program configures the issuer again
/// by [`name`](Self::name) or [`set_rules`](Self::set_rules).
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

    /// Sets the keys of an issuer from its `jwks_uri` document, to be trusted until they are set
    /// again. Good keys are never replaced by none.
    ///
    /// An issuer that the store has never known is configured by it, with the rules of RFC 9068.
    /// Keys for a spelling that was [replaced](Self::respell) are those of the issuer that took its
    /// place.
    ///
    /// # Errors
    ///
    /// `token.key_set` where the document is malformed, `token.no_keys` where it has no usable key;
    /// the keys from before stay. `token.not_configured` where the issuer was
    /// [removed](Self::remove).
    pub fn set(
        &self,
        issuer: &Issuer,
        document: &[u8],
        provider: &'static dyn Provider,
    ) -> Result<(), Error> {
        self.put(issuer, document, provider, None)
    }

    /// As [`set`](Self::set), for keys that have to be confirmed: `until` is the last moment at
    /// which they are trusted when nothing newer could be had. After it, every token of the issuer
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
        self.change(|next| {
            let own = next.own(issuer.as_str()).to_owned();
            let entry = next.entries.get(&own);
            // Which of its two spellings an issuer has is decided before there are keys.
            let other = entry.is_some_and(|it| it.is_undecided) && own != issuer.as_str();
            if other || next.is_removed(&own) {
                let issuer = issuer.as_str().to_owned();
                return Err(Error::NotConfigured { issuer });
            }
            next.entries.entry(own).or_default().held = Some(Arc::new(held));
            Ok(())
        })
    }

    /// Sets the rules for the tokens of an issuer, and names it. Tokens that were verified by other
    /// rules are judged again. Until this is called, the issuer's tokens follow RFC 9068.
    ///
    /// # Errors
    ///
    /// `token.profile` where the profile is for another issuer, such as another tenant.
    pub fn set_rules(&self, issuer: &Issuer, rules: IssuerRules) -> Result<(), Error> {
        self.change(|next| next.put_rules(issuer, rules, RulesFrom::Set))
    }

    /// As [`set_rules`](Self::set_rules), for several issuers at once and without replacing what
    /// others set: all of the rules are set, or none. They do not hold for those who
    /// [bring rules of their own](crate::AccessTokenRules::with_issuer_rules), as every guard does.
    ///
    /// # Errors
    ///
    /// `token.issuer_rules` where other rules were set for an issuer before; those of
    /// [`set_rules`](Self::set_rules).
    pub fn add_rules(&self, rules: &[(Issuer, IssuerRules)]) -> Result<(), Error> {
        self.change(|next| {
            *next = next.with_rules(rules)?;
            Ok(())
        })
    }

    /// Names an issuer whose keys are still to be fetched: its tokens are refused with
    /// `token.unknown_key` until then. An issuer that was [removed](Self::remove) is trusted again,
    /// with the rules of RFC 9068, once its keys are set.
    pub fn name(&self, issuer: &Issuer) {
        let _held = self.write();
        let mut next = Issuers::clone(&self.now.load());
        next.configure(issuer);
        self.publish(next);
    }

    /// As [`name`](Self::name), for an issuer whose metadata is still to be fetched: its server may
    /// write the `/` of an empty path or leave it out (RFC 3986 §6.2.3).
    ///
    /// Until [`respell`](Self::respell) says which, tokens of either spelling are refused with
    /// `token.unknown_key`, and rules and removals by either spelling are those of the issuer.
    pub fn name_undiscovered(&self, issuer: &Issuer) {
        let _held = self.write();
        let mut next = Issuers::clone(&self.now.load());
        let is_new = !next.is_configured(issuer) && !next.spellings.contains_key(issuer.as_str());
        let other = issuer.root_slash_variant().filter(|other| {
            let other = other.as_str();
            is_new && !next.entries.contains_key(other) && !next.spellings.contains_key(other)
        });
        let entry = next.configure(issuer);
        if let Some(other) = other {
            entry.is_undecided = true;
            next.spellings
                .insert(other.as_str().to_owned(), issuer.clone());
        }
        self.publish(next);
    }

    /// Replaces an issuer's spelling by the one that its server writes, with its keys and rules:
    /// for a caller whose discovery takes the two for one (RFC 3986 §6.2.3). From now on tokens are
    /// compared with `own`, byte for byte, and rules that are set for `configured` are those of
    /// `own`. Does nothing where `configured` is not named.
    ///
    /// Where both are named, they become one issuer, which keeps the keys of `own` and the rules
    /// that were set for either.
    ///
    /// # Errors
    ///
    /// `token.issuer_rules` where both have rules and these differ, `token.not_configured` where
    /// `own` was removed: nothing changes.
    pub fn respell(&self, configured: &Issuer, own: &Issuer) -> Result<(), Error> {
        self.change(|next| {
            let from = next.own(configured.as_str()).to_owned();
            next.rename(&from, own)
        })
    }

    /// Trusts an issuer no longer, by its own spelling or the one that was
    /// [replaced](Self::respell). Says whether it was configured.
    ///
    /// This is final, also for an issuer whose keys are still being fetched: they are refused until
    /// the program configures the issuer again. The store remembers 1,000 removed names. Beyond
    /// these, it refuses the keys of every issuer that was not named.
    pub fn remove(&self, issuer: &Issuer) -> bool {
        let _held = self.write();
        let mut next = Issuers::clone(&self.now.load());
        let own = next.own(issuer.as_str()).to_owned();
        let known = next.entries.remove(&own).is_some();
        if next.removed.len() < MAX_REMOVED {
            next.removed.insert(own);
        } else if !next.removed.contains(&own) {
            next.is_sealed = true;
        }
        self.publish(next);
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

    /// Publishes what `change` makes of the issuers, unless it fails.
    fn change(&self, change: impl FnOnce(&mut Issuers) -> Result<(), Error>) -> Result<(), Error> {
        let _held = self.write();
        let mut next = Issuers::clone(&self.now.load());
        change(&mut next)?;
        self.publish(next);
        Ok(())
    }

    fn write(&self) -> MutexGuard<'_, ()> {
        self.writing.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn publish(&self, next: Issuers) {
        self.now.store(Arc::new(next));
    }
}

/// How many removed names a store remembers.
const MAX_REMOVED: usize = 1_000;
