//! The store of issuers, which can be changed while other threads read it.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use aims_jose::jwk::{JwkSet, MAX_SET_KEYS, SetRules};
use aims_jose::provider::Provider;
use aims_jose::time::UnixTime;
use aims_oauth_wire::names::Issuer;
use arc_swap::{ArcSwap, Guard};

use super::{Held, Issuers, RulesFrom};
use crate::{Error, IssuerRules};

/// Holds the issuers and their keys. Readers take a [snapshot](Self::snapshot) and hold no lock, so
/// the program can replace keys at any time.
///
/// A removal is final: the store refuses later keys of the issuer, for example from a fetch that
/// was running, with `token.not_configured`. To trust the issuer again, call [`name`](Self::name)
/// or [`set_rules`](Self::set_rules).
///
/// ```
/// use aims_oauth_rs::IssuerStore;
///
/// let issuers = IssuerStore::new();
/// issuers.name(&"https://as.example".parse()?);
/// assert_eq!(issuers.snapshot().names().collect::<Vec<_>>(), ["https://as.example"]);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
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
    /// Creates a store that trusts no issuer.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Sets the maximum number of entries in the key set of an issuer, usable or not. Defaults to
    /// [`MAX_SET_KEYS`].
    #[must_use]
    pub const fn with_max_keys(mut self, most: usize) -> Self {
        self.max_keys = most;
        self
    }

    /// Sets the keys of an issuer from its `jwks_uri` document. They are trusted until they are set
    /// again.
    ///
    /// A document without a usable key never replaces usable keys. An issuer that the store does
    /// not know is added with the rules of RFC 9068. Keys for a spelling that was
    /// [replaced](Self::respell) are set for the issuer that replaced it.
    ///
    /// # Errors
    ///
    /// After an error the earlier keys stay.
    ///
    /// - `token.key_set` if the document is malformed.
    /// - `token.no_keys` if it has no usable key.
    /// - `token.not_configured` if the issuer was [removed](Self::remove).
    pub fn set(
        &self,
        issuer: &Issuer,
        document: &[u8],
        provider: &'static dyn Provider,
    ) -> Result<(), Error> {
        self.put(issuer, document, provider, None)
    }

    /// Sets the keys of an issuer like [`set`](Self::set), and trusts them only up to and including
    /// `until`.
    ///
    /// After this time, every token of the issuer is refused with `token.keys_stale`, cached or
    /// not.
    ///
    /// ```
    /// use std::time::Duration;
    ///
    /// use aims_jose::{provider, time::{UnixTime, after}};
    /// use aims_oauth_rs::{Error, IssuerStore};
    /// use aims_oauth_wire::names::Issuer;
    ///
    /// /// Trusts the fetched keys for one day.
    /// fn refresh(issuers: &IssuerStore, issuer: &Issuer, document: &[u8]) -> Result<(), Error> {
    ///     let until = after(UnixTime::now(), Duration::from_secs(86_400));
    ///     issuers.set_until(issuer, document, provider::default(), until)
    /// }
    /// ```
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
            // Discovery must decide between the two spellings of an issuer before its keys are set.
            let other = entry.is_some_and(|it| it.is_undecided) && own != issuer.as_str();
            if other || next.is_removed(&own) {
                let issuer = issuer.as_str().to_owned();
                return Err(Error::NotConfigured { issuer });
            }
            next.entries.entry(own).or_default().held = Some(Arc::new(held));
            Ok(())
        })
    }

    /// Sets the rules for the tokens of an issuer, and adds the issuer. Before this call the rules
    /// are those of RFC 9068.
    ///
    /// Tokens that were verified by other rules are verified again.
    ///
    /// # Errors
    ///
    /// `token.profile` if the profile is for another issuer, such as another tenant.
    pub fn set_rules(&self, issuer: &Issuer, rules: IssuerRules) -> Result<(), Error> {
        self.change(|next| next.put_rules(issuer, rules, RulesFrom::Set))
    }

    /// Adds the rules for several issuers, all or none, without replacing rules that others set.
    /// Otherwise like [`set_rules`](Self::set_rules).
    ///
    /// They do not apply to resources that [bring their own
    /// rules](crate::AccessTokenRules::with_issuer_rules), as every guard does.
    ///
    /// # Errors
    ///
    /// `token.issuer_rules` if an issuer already has other rules; those of
    /// [`set_rules`](Self::set_rules).
    pub fn add_rules(&self, rules: &[(Issuer, IssuerRules)]) -> Result<(), Error> {
        self.change(|next| {
            *next = next.with_rules(rules)?;
            Ok(())
        })
    }

    /// Adds an issuer whose keys will be fetched later. Until then its tokens are refused with
    /// `token.unknown_key`.
    ///
    /// An issuer that was [removed](Self::remove) is trusted again, with the rules of RFC 9068,
    /// when its keys are set.
    pub fn name(&self, issuer: &Issuer) {
        let _held = self.write();
        let mut next = Issuers::clone(&self.now.load());
        next.configure(issuer);
        self.publish(next);
    }

    /// Adds an issuer whose metadata will be fetched later, so that its spelling is not known yet:
    /// its server may add or omit the `/` of an empty path (RFC 3986 §6.2.3). Otherwise like
    /// [`name`](Self::name).
    ///
    /// Before [`respell`](Self::respell) is called, tokens with either spelling are refused with
    /// `token.unknown_key`, and both spellings name the same issuer for rules and removals.
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

    /// Replaces the spelling of an issuer by the one that its server uses. Its keys and rules stay.
    ///
    /// Call it after discovery, which treats the two spellings as equal (RFC 3986 §6.2.3). From
    /// then on tokens are compared with `own` byte for byte, and rules for `configured` are rules
    /// for `own`. If `configured` was not added, nothing happens. If both were added, they become
    /// one issuer, which has the keys of `own` and the rules of either.
    ///
    /// # Errors
    ///
    /// After an error nothing has changed.
    ///
    /// - `token.issuer_rules` if both have rules and these differ.
    /// - `token.not_configured` if `own` was removed.
    pub fn respell(&self, configured: &Issuer, own: &Issuer) -> Result<(), Error> {
        self.change(|next| {
            let from = next.own(configured.as_str()).to_owned();
            next.rename(&from, own)
        })
    }

    /// Removes an issuer, in its own spelling or the one that was [replaced](Self::respell).
    /// Returns whether it was configured.
    ///
    /// The removal also applies to keys that are still being fetched: they are refused until the
    /// program adds the issuer again. The store remembers 1,000 removed names. After that, it
    /// refuses the keys of every issuer that was not added.
    ///
    /// ```
    /// use aims_oauth_rs::IssuerStore;
    ///
    /// let issuers = IssuerStore::new();
    /// let issuer = "https://as.example".parse()?;
    /// issuers.name(&issuer);
    /// assert!(issuers.remove(&issuer));
    /// assert!(!issuers.snapshot().is_configured(&issuer));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
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

    /// Returns the current issuers.
    #[must_use]
    pub fn snapshot(&self) -> Arc<Issuers> {
        self.now.load_full()
    }

    pub(crate) fn peek(&self) -> Guard<Arc<Issuers>> {
        self.now.load()
    }

    /// Applies `change` to the issuers and publishes the result, unless it fails.
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

/// The maximum number of removed names that a store remembers.
const MAX_REMOVED: usize = 1_000;
