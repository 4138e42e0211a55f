//! The authorization servers that a resource trusts, and their keys.

mod refresh;
mod store;

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Arc;

use aims_error::shown;
use aims_jose::alg::Algorithm;
use aims_jose::jwk::JwkSet;
use aims_jose::jws::Header;
use aims_jose::key::VerifyingKey;
use aims_jose::time::UnixTime;
use aims_oauth_wire::names::{Issuer, root_slash_variant};

pub use self::refresh::{RefreshFuture, RefreshKeys};
pub use self::store::IssuerStore;
use crate::{AccessTokenRules, Error, IssuerRules, TokenProfile};

/// A snapshot of the configured issuers and their keys. Returned by
/// [`IssuerStore::snapshot`](crate::IssuerStore::snapshot).
#[derive(Clone, Debug, Default)]
pub struct Issuers {
    entries: BTreeMap<String, Entry>,
    /// The name of the entry for the other spelling of its issuer.
    spellings: HashMap<String, Issuer>,
    removed: HashSet<String>,
    /// Whether too many names were removed to remember each. If so, names without an entry count as
    /// removed.
    is_sealed: bool,
}

/// One configured issuer.
#[derive(Clone, Debug, Default)]
struct Entry {
    held: Option<Arc<Held>>,
    rules: Arc<IssuerRules>,
    rules_from: RulesFrom,
    /// Whether discovery has not yet decided between the two spellings of the issuer.
    is_undecided: bool,
}

/// The origin of an issuer's rules.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
enum RulesFrom {
    /// The default rules.
    #[default]
    Default,
    /// [`IssuerStore::add_rules`], for callers that use the same rules.
    Added,
    /// [`IssuerStore::set_rules`], for all users of the store.
    Set,
}

/// The keys of one issuer.
#[derive(Debug)]
struct Held {
    keys: JwkSet,
    good_until: Option<UnixTime>,
}

impl Issuers {
    /// Returns the issuers with these rules added, as [`IssuerStore::add_rules`] would do, so that
    /// a caller can check the result first. If an issuer has several rules, the last ones win.
    ///
    /// # Errors
    ///
    /// Those of [`IssuerStore::add_rules`].
    pub fn with_rules(&self, rules: &[(Issuer, IssuerRules)]) -> Result<Self, Error> {
        let mut next = self.clone();
        for (issuer, rules) in rules {
            next.put_rules(issuer, rules.clone(), RulesFrom::Added)?;
        }
        for (issuer, _) in rules {
            let had = self.entries.get(self.own(issuer.as_str()));
            let had = had.filter(|it| it.rules_from != RulesFrom::Default);
            let has = next.entries.get(next.own(issuer.as_str()));
            if had
                .zip(has)
                .is_some_and(|(had, has)| had.rules != has.rules)
            {
                let issuer = issuer.as_str().to_owned();
                return Err(Error::OtherRules { issuer });
            }
        }
        Ok(next)
    }

    fn put_rules(
        &mut self,
        issuer: &Issuer,
        rules: IssuerRules,
        from: RulesFrom,
    ) -> Result<(), Error> {
        rules.check(issuer)?;
        let entry = self.configure(issuer);
        // Tokens that were verified by the same rules stay verified.
        if *entry.rules != rules {
            entry.rules = Arc::new(rules);
        }
        if entry.rules_from != RulesFrom::Set {
            entry.rules_from = from;
        }
        Ok(())
    }

    /// Returns the entry of an issuer, which the program configures by this call.
    fn configure(&mut self, issuer: &Issuer) -> &mut Entry {
        let own = self.own(issuer.as_str()).to_owned();
        self.removed.remove(&own);
        self.entries.entry(own).or_default()
    }

    /// Renames the entry `from` to `own`. If there is an entry `own`, both are merged.
    fn rename(&mut self, from: &str, own: &Issuer) -> Result<(), Error> {
        let Some(mut entry) = self.entries.remove(from) else {
            return Ok(());
        };
        if let Some(other) = self.entries.remove(own.as_str()) {
            let is_set = |it: &Entry| it.rules_from != RulesFrom::Default;
            if is_set(&entry) && is_set(&other) && entry.rules != other.rules {
                let issuer = own.as_str().to_owned();
                return Err(Error::OtherRules { issuer });
            }
            if !is_set(&entry) || other.rules_from == RulesFrom::Set {
                entry.rules = other.rules;
                entry.rules_from = other.rules_from;
            }
            entry.held = other.held.or(entry.held);
        } else if from != own.as_str() && self.is_removed(own.as_str()) {
            let issuer = own.as_str().to_owned();
            return Err(Error::NotConfigured { issuer });
        }
        entry.is_undecided = false;
        self.entries.insert(own.as_str().to_owned(), entry);
        self.spellings.remove(own.as_str());
        for name in self.spellings.values_mut() {
            if name.as_str() == from {
                *name = own.clone();
            }
        }
        if from != own.as_str() {
            self.spellings.insert(from.to_owned(), own.clone());
        }
        Ok(())
    }

    /// Returns the name of an issuer's entry: the issuer, or the spelling that replaced it.
    fn own<'a>(&'a self, issuer: &'a str) -> &'a str {
        let own = self.spellings.get(issuer);
        own.map_or(issuer, Issuer::as_str)
    }

    /// Returns whether the program removed the issuer and has not configured it again.
    fn is_removed(&self, own: &str) -> bool {
        !self.entries.contains_key(own) && (self.is_sealed || self.removed.contains(own))
    }

    /// Returns whether the issuer is configured, in its own spelling or the one that was
    /// [replaced](IssuerStore::respell).
    #[must_use]
    pub fn is_configured(&self, issuer: &Issuer) -> bool {
        self.entries.contains_key(self.own(issuer.as_str()))
    }

    /// Returns whether the issuer is configured in exactly this spelling.
    pub(crate) fn has(&self, issuer: &str) -> bool {
        self.entries.contains_key(issuer)
    }

    /// Returns the error for a token of this issuer, which is not configured.
    pub(crate) fn unknown(&self, issuer: &str) -> Error {
        Error::UnknownIssuer {
            found: issuer.to_owned(),
            expected: self.names().take(MAX_NAMED).map(str::to_owned).collect(),
            more: self.entries.len().saturating_sub(MAX_NAMED),
        }
    }

    /// Iterates over the configured issuers, in alphabetical order.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.entries.keys().map(String::as_str)
    }

    /// Returns the keys of an issuer if they are known, even if they are no longer trusted.
    #[must_use]
    pub fn keys(&self, issuer: &str) -> Option<&JwkSet> {
        Some(&self.entries.get(issuer)?.held.as_ref()?.keys)
    }

    /// Returns the keys of an issuer, in its own spelling or the one that was
    /// [replaced](IssuerStore::respell), if they are known. It is for tokens that need not name
    /// their issuer, such as transaction tokens.
    ///
    /// # Errors
    ///
    /// `token.keys_stale` if they are no longer trusted.
    pub fn trusted_keys(&self, issuer: &Issuer, now: UnixTime) -> Result<Option<&JwkSet>, Error> {
        let entry = self.entries.get(self.own(issuer.as_str()));
        let Some(held) = entry.and_then(|it| it.held.as_deref()) else {
            return Ok(None);
        };
        if held.good_until.is_some_and(|until| until < now) {
            return Err(Error::KeysStale {
                issuer: issuer.as_str().to_owned(),
            });
        }
        Ok(Some(&held.keys))
    }

    /// Returns the entry for a token's `iss`, which is compared byte for byte. Until discovery has
    /// decided how the issuer is spelled, both spellings find the entry, which has no keys yet.
    fn entry(&self, iss: &str) -> Option<(&str, &Entry)> {
        if let Some((name, entry)) = self.entries.get_key_value(iss) {
            return Some((name, entry));
        }
        let (name, entry) = self.entries.get_key_value(self.own(iss))?;
        entry.is_undecided.then_some((name, entry))
    }

    /// Returns the rules for the tokens of an issuer, if it is configured.
    pub(crate) fn rules<'a>(
        &'a self,
        iss: &str,
        rules: &'a AccessTokenRules,
    ) -> Option<&'a Arc<IssuerRules>> {
        let (name, entry) = self.entry(iss)?;
        Some(self.rules_of(name, entry, rules))
    }

    fn rules_of<'a>(
        &'a self,
        name: &str,
        entry: &'a Entry,
        rules: &'a AccessTokenRules,
    ) -> &'a Arc<IssuerRules> {
        match &rules.issuers {
            Some(own) if entry.rules_from != RulesFrom::Set => {
                let mut own_rules = own.rules.iter().rev();
                let found = own_rules.find(|(issuer, _)| self.own(issuer.as_str()) == name);
                found.map_or(&own.others, |(_, rules)| rules)
            }
            _ => &entry.rules,
        }
    }

    /// Checks that the header `typ` is that of an access token of any issuer, for a token that does
    /// not name its issuer.
    pub(crate) fn check_type(
        &self,
        header: &Header,
        rules: &AccessTokenRules,
    ) -> Result<(), Error> {
        let mut all = self
            .entries
            .iter()
            .map(|(name, entry)| self.rules_of(name, entry, rules));
        if all.any(|rules| rules.profile.check_type(header).is_ok()) {
            return Ok(());
        }
        TokenProfile::Rfc9068.check_type(header)
    }

    /// Returns two configured issuers that differ only in the root slash, if there are such.
    ///
    /// They are the same server (RFC 3986 §6.2.3), and tokens with one of the spellings would be
    /// refused.
    #[must_use]
    pub fn root_slash_twins(&self) -> Option<(&str, &str)> {
        self.entries.keys().find_map(|bare| {
            let slash = root_slash_variant(bare).filter(|it| it.ends_with('/'))?;
            let (slash, _) = self.entries.get_key_value(&slash)?;
            Some((bare.as_str(), slash.as_str()))
        })
    }

    /// Returns the one key of an issuer for a token's `kid` and `alg`, if its keys are still
    /// trusted. The keys of one issuer never verify tokens of another (RFC 9068 §4).
    ///
    /// # Errors
    ///
    /// `token.unknown_issuer`, `token.unknown_key`, `token.ambiguous_key`, `token.keys_stale`.
    pub fn select(
        &self,
        issuer: &str,
        key_id: Option<&str>,
        algorithm: Algorithm,
        now: UnixTime,
    ) -> Result<&VerifyingKey, Error> {
        let named = || issuer.to_owned();
        let unknown_key = |held: Option<&JwkSet>| Error::UnknownKey {
            issuer: named(),
            key_id: key_id.map(str::to_owned),
            known: {
                let keys = held.into_iter().flatten();
                shown(keys.filter_map(VerifyingKey::key_id).take(MAX_KEYS_NAMED))
            },
            skipped: held.map(JwkSet::skipped_keys).unwrap_or_default(),
        };
        let (name, entry) = self.entry(issuer).ok_or_else(|| self.unknown(issuer))?;
        let held = entry.held.as_deref().filter(|_| name == issuer);
        let held = held.ok_or_else(|| unknown_key(None))?;
        if held.good_until.is_some_and(|until| now > until) {
            return Err(Error::KeysStale { issuer: named() });
        }
        held.keys
            .select(key_id, algorithm)
            .map_err(|error| match error {
                aims_jose::Error::UnknownKey => unknown_key(Some(&held.keys)),
                aims_jose::Error::AmbiguousKey => Error::AmbiguousKey { issuer: named() },
                other => Error::Token(other),
            })
    }
}

/// The maximum number of keys in an error message.
const MAX_KEYS_NAMED: usize = 8;

/// The maximum number of configured issuers in an error message.
const MAX_NAMED: usize = 4;
