//! Enrolments, and the keys with valid credentials of each identifier.

use core::time::Duration;
use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use aims_jose::jwk::Thumbprint;
use aims_jose::key::VerifyingKey;
use aims_jose::time::{Skew, UnixTime};
use aims_wimse_id::WorkloadId;
use subtle::ConstantTimeEq as _;

use super::enrolment::{BootstrapKind, Enrolment};
use crate::{Error, Limits};

/// The state of the identity server. Every decision is made under one lock, and only compares
/// values there. Signing happens outside the lock.
#[derive(Debug)]
pub(crate) struct Ledger {
    limits: Limits,
    books: Mutex<Books>,
}

#[derive(Debug, Default)]
struct Books {
    enrolments: HashMap<WorkloadId, Entry>,
    by_bootstrap: HashMap<BootstrapKind, WorkloadId>,
    /// The identifier of each key. A key belongs to one identifier until its last credential has
    /// expired.
    keys: HashMap<Thumbprint, Holding>,
    /// Withdrawn identifiers with valid credentials, and the expiry of the last one.
    withdrawn: HashMap<WorkloadId, u64>,
}

#[derive(Debug)]
struct Entry {
    enrolment: Enrolment,
    used: bool,
    /// Number of keys with valid credentials. It is corrected when the limit is reached.
    holdings: usize,
    live_until: u64,
}

#[derive(Debug)]
struct Holding {
    id: WorkloadId,
    until: u64,
    /// The key that the holder of this one has asked a WIT for.
    successor: Option<Thumbprint>,
}

/// Permission to issue one credential.
#[derive(Debug)]
pub(crate) struct Grant {
    pub(crate) id: WorkloadId,
    pub(crate) lifetime: Duration,
    key: Thumbprint,
    /// Whether the token was used up, which `undo` reverts.
    used_up: bool,
    before: Option<u64>,
    /// The key of an earlier renewal by the same key, if it was another one. Then an attacker may
    /// have a copy of the key.
    pub(crate) renewed_for: Option<Thumbprint>,
}

impl core::fmt::Debug for BootstrapKind {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str(match self {
            Self::Key(_) => "Key",
            Self::Token(_) => "Token",
        })
    }
}

impl Ledger {
    pub(crate) fn new(limits: Limits) -> Self {
        Self {
            limits,
            books: Mutex::default(),
        }
    }

    fn books(&self) -> MutexGuard<'_, Books> {
        // A panic under this lock leaves only complete entries.
        self.books.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Declares an enrolment.
    pub(crate) fn declare(&self, enrolment: Enrolment, now: UnixTime) -> Result<(), Error> {
        let longest = self.limits.longest_lifetime;
        if enrolment.lifetime < Duration::from_secs(1) || enrolment.lifetime > longest {
            return Err(Error::Lifetime { longest });
        }
        let mut books = self.books();
        books.forget(now);
        let id = enrolment.id.clone();
        if books.enrolments.contains_key(&id) || books.withdrawn.contains_key(&id) {
            return Err(Error::IdentifierHeld { id });
        }
        if books.by_bootstrap.contains_key(&enrolment.bootstrap) {
            return Err(Error::EnrolmentSecret {
                reason: "it serves another enrolment, expected one of its own for each agent",
            });
        }
        if books.enrolments.len() >= self.limits.enrolments {
            return Err(Error::EnrolmentsFull);
        }
        books.by_bootstrap.insert(enrolment.bootstrap, id.clone());
        let entry = Entry {
            enrolment,
            used: false,
            holdings: 0,
            live_until: 0,
        };
        books.enrolments.insert(id, entry);
        Ok(())
    }

    /// Returns the maximum lifetime of a credential.
    pub(crate) const fn longest_lifetime(&self) -> Duration {
        self.limits.longest_lifetime
    }

    /// Ends an enrolment: no credential is issued or renewed by it any more. Returns the end of its
    /// last credential and their lifetime, if there was an enrolment.
    pub(crate) fn withdraw(&self, id: &WorkloadId, now: UnixTime) -> Option<(UnixTime, Duration)> {
        let mut books = self.books();
        let entry = books.enrolments.remove(id)?;
        books.by_bootstrap.remove(&entry.enrolment.bootstrap);
        if !Skew::MAX.has_ended(entry.live_until, now.as_secs()) {
            books.withdrawn.insert(id.clone(), entry.live_until);
        }
        Some((
            aims_jose::time::at(entry.live_until),
            entry.enrolment.lifetime,
        ))
    }

    /// Returns whether the identifier was withdrawn and its credentials have not expired yet.
    pub(crate) fn is_withdrawn(&self, id: &WorkloadId) -> bool {
        self.books().withdrawn.contains_key(id)
    }

    /// Returns the bootstrap key with this thumbprint.
    pub(crate) fn bootstrap_key(&self, thumbprint: Thumbprint) -> Option<VerifyingKey> {
        let books = self.books();
        let id = books.find(&BootstrapKind::Key(thumbprint)).ok()?;
        books.enrolments.get(id)?.enrolment.key.clone()
    }

    /// Returns the identifier that this key or token belongs to, even if it can no longer enrol.
    pub(crate) fn owner(&self, bootstrap: &BootstrapKind) -> Option<WorkloadId> {
        self.books().find(bootstrap).ok().cloned()
    }

    /// Returns the identifier of this key or token, if it could enrol now. It changes no state.
    pub(crate) fn recognise(
        &self,
        bootstrap: &BootstrapKind,
        now: UnixTime,
    ) -> Result<WorkloadId, Error> {
        self.books().admissible(bootstrap, now)
    }

    /// Enrols: records a credential for `key`, and uses up a single-use token.
    pub(crate) fn enrol(
        &self,
        bootstrap: &BootstrapKind,
        key: Thumbprint,
        now: UnixTime,
    ) -> Result<Grant, Error> {
        let mut books = self.books();
        let id = books.admissible(bootstrap, now)?;
        let mut grant = books.book(id, key, &self.limits, now)?;
        if let Some(entry) = books.enrolments.get_mut(&grant.id) {
            grant.used_up = !entry.used;
            entry.used = true;
        }
        Ok(grant)
    }

    /// Renews: records a credential for `key` and an identifier that the agent has proven by its
    /// `current` key.
    ///
    /// A second renewal by one key for another one is noted in the grant; if `strict`, it is
    /// refused.
    pub(crate) fn renew(
        &self,
        id: &WorkloadId,
        current: &Thumbprint,
        key: Thumbprint,
        strict: bool,
        now: UnixTime,
    ) -> Result<Grant, Error> {
        let mut books = self.books();
        if !books.enrolments.contains_key(id) {
            return Err(Error::Withdrawn);
        }
        let earlier = books.keys.get(current).and_then(|it| it.successor);
        let renewed_for = earlier.filter(|earlier| *earlier != key && key != *current);
        match renewed_for {
            Some(earlier) if strict => return Err(Error::RenewedTwice { earlier }),
            _ => {}
        }
        books.make_room(id, current, &key, &self.limits, now);
        let mut grant = books.book(id.clone(), key, &self.limits, now)?;
        grant.renewed_for = renewed_for;
        if let Some(holding) = books.keys.get_mut(current)
            && key != *current
        {
            holding.successor = holding.successor.or(Some(key));
        }
        Ok(grant)
    }

    /// Checks that the identifier is enrolled, before a credential without a key is issued to it.
    pub(crate) fn check_enrolled(&self, id: &WorkloadId) -> Result<(), Error> {
        if self.books().enrolments.contains_key(id) {
            Ok(())
        } else {
            Err(Error::Withdrawn)
        }
    }

    /// Records the expiry of a credential without its own key, a JWT-SVID.
    pub(crate) fn extend(&self, id: &WorkloadId, until: UnixTime) {
        if let Some(entry) = self.books().enrolments.get_mut(id) {
            entry.live_until = entry.live_until.max(until.as_secs());
        }
    }

    /// Reverts [`enrol`](Self::enrol) or [`renew`](Self::renew) after a failed signature.
    pub(crate) fn undo(&self, grant: &Grant) {
        let mut books = self.books();
        match grant.before {
            Some(until) => {
                if let Some(holding) = books.keys.get_mut(&grant.key) {
                    holding.until = until;
                }
            }
            None => {
                books.keys.remove(&grant.key);
            }
        }
        if let Some(entry) = books.enrolments.get_mut(&grant.id) {
            entry.used &= !grant.used_up;
            if grant.before.is_none() {
                entry.holdings = entry.holdings.saturating_sub(1);
            }
        }
    }
}

impl Books {
    /// Returns the identifier of a bootstrap secret.
    fn find(&self, bootstrap: &BootstrapKind) -> Result<&WorkloadId, Error> {
        // The map is keyed by SHA-256, whose bits a client cannot choose. The found token is also
        // compared in constant time.
        let (known, id) = self
            .by_bootstrap
            .get_key_value(bootstrap)
            .ok_or(Error::Enrolment)?;
        let equal = match (known, bootstrap) {
            (BootstrapKind::Token(known), BootstrapKind::Token(shown)) => known.ct_eq(shown).into(),
            (known, shown) => known == shown,
        };
        if equal { Ok(id) } else { Err(Error::Enrolment) }
    }

    fn admissible(&self, bootstrap: &BootstrapKind, now: UnixTime) -> Result<WorkloadId, Error> {
        let id = self.find(bootstrap)?;
        let entry = self.enrolments.get(id).ok_or(Error::Enrolment)?;
        if entry.enrolment.expires.is_some_and(|at| now >= at) {
            return Err(Error::EnrolmentExpired);
        }
        if entry.enrolment.single_use && entry.used {
            return Err(Error::EnrolmentUsed);
        }
        Ok(id.clone())
    }

    /// Drops a holding of an enrolment that has reached its limit, so that a thief who renews again
    /// and again does not keep the owner from renewing: the renewed key, or else the key whose
    /// credential expires first.
    fn make_room(
        &mut self,
        id: &WorkloadId,
        current: &Thumbprint,
        new: &Thumbprint,
        limits: &Limits,
        now: UnixTime,
    ) {
        let is_full = |books: &Self| {
            let entry = books.enrolments.get(id);
            entry.is_some_and(|entry| entry.holdings >= limits.credentials_per_enrolment)
        };
        if self.keys.contains_key(new) || !is_full(self) {
            return;
        }
        self.forget(now);
        if !is_full(self) {
            return;
        }
        let of_id = |holding: &Holding| holding.id == *id;
        let dropped = match self.keys.get(current) {
            Some(holding) if of_id(holding) => Some(*current),
            _ => {
                let all = self.keys.iter().filter(|(_, holding)| of_id(holding));
                let first = all.min_by_key(|(_, holding)| holding.until);
                first.map(|(key, _)| *key)
            }
        };
        if dropped.is_some_and(|key| self.keys.remove(&key).is_some())
            && let Some(entry) = self.enrolments.get_mut(id)
        {
            entry.holdings = entry.holdings.saturating_sub(1);
        }
    }

    fn book(
        &mut self,
        id: WorkloadId,
        key: Thumbprint,
        limits: &Limits,
        now: UnixTime,
    ) -> Result<Grant, Error> {
        let seconds = now.as_secs();
        let is_over = |until: u64| Skew::MAX.has_ended(until, seconds);
        let before = match self.keys.get(&key) {
            Some(holding) if holding.id == id => Some(holding.until),
            Some(holding) if !is_over(holding.until) => return Err(Error::KeyTaken),
            Some(_) | None => None,
        };
        let is_full = |books: &Self| {
            let entry = books.enrolments.get(&id);
            books.keys.len() >= limits.credentials
                || entry.is_none_or(|entry| entry.holdings >= limits.credentials_per_enrolment)
        };
        if before.is_none() && is_full(self) {
            self.forget(now);
            if is_full(self) {
                return Err(Error::CredentialsFull);
            }
        }
        let entry = self.enrolments.get_mut(&id).ok_or(Error::Withdrawn)?;
        let lifetime = entry.enrolment.lifetime;
        let until = seconds.saturating_add(lifetime.as_secs());
        entry.live_until = entry.live_until.max(until);
        entry.holdings = entry.holdings.saturating_add(usize::from(before.is_none()));
        let until = before.map_or(until, |before| before.max(until));
        let holding = self.keys.entry(key).or_insert_with(|| Holding {
            id: id.clone(),
            until,
            successor: None,
        });
        holding.until = until;
        if holding.id != id {
            // The key of another identifier, whose credentials have expired.
            *holding = Holding {
                id: id.clone(),
                until,
                successor: None,
            };
        }
        Ok(Grant {
            id,
            lifetime,
            key,
            used_up: false,
            before,
            renewed_for: None,
        })
    }

    /// Drops expired entries, with the skew included.
    fn forget(&mut self, now: UnixTime) {
        let now = now.as_secs();
        self.withdrawn
            .retain(|_, until| !Skew::MAX.has_ended(*until, now));
        self.keys
            .retain(|_, holding| !Skew::MAX.has_ended(holding.until, now));
        for entry in self.enrolments.values_mut() {
            entry.holdings = 0;
        }
        for holding in self.keys.values() {
            if let Some(entry) = self.enrolments.get_mut(&holding.id) {
                entry.holdings = entry.holdings.saturating_add(1);
            }
        }
    }
}

#[cfg(test)]
mod tests;
