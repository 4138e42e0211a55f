//! A bounded list of revocations in memory.

use std::collections::hash_map::Entry;
use std::collections::{BTreeMap, HashMap};
use std::fmt;
use std::hash::Hash;
use std::sync::{PoisonError, RwLock};

use aims_jose::jwk::Thumbprint;
#[cfg(feature = "redis")]
use aims_jose::time::at;
use aims_jose::time::{Clock, SystemClock, UnixTime};
use aims_oauth_rs::{AccessToken, Confirmation};
use aims_oauth_wire::confirmation::CertificateThumbprint;
use aims_txn_token::TxnToken;
use aims_wimse_cred::Wit;
use aims_wimse_id::WorkloadId;

use super::{Credential, Revoked, RevokedBy};

/// A list of revocations in memory.
///
/// A revocation is in effect when [`revoke`](Self::revoke) returns, for cached and for new
/// credentials. A [`SignedHash`](RevokedBy::SignedHash) refuses one credential. Any other entry
/// refuses the credentials that were issued, or whose user logged in (`auth_time`), at or before
/// its time, and accepts later ones. A credential without an issue time counts as issued before
/// every revocation; so does a WIT-SVID while its `iat` is in the future.
///
/// If the clock of an issuer may be ahead of this one, revoke until that much later: a token that
/// it issued shortly before has a later `iat`.
///
/// An issuer with and without its root slash is the same server.
///
/// The list is bounded and never forgets a revocation. When it is full, it replaces the oldest
/// entries by one that refuses everything that was issued until then. An entry of one credential
/// ([`SignedHash`](RevokedBy::SignedHash)) stays until the credential has ended; if these alone
/// fill the list, it refuses everything that was issued until the newest of them. The order in
/// which revocations arrive changes nothing.
///
/// ```
/// use std::sync::Arc;
///
/// use aims::Guard;
/// use aims::cred::TrustStore;
/// use aims::jose::time::UnixTime;
/// use aims::revoked::{RevocationList, RevokedBy};
///
/// let list = Arc::new(RevocationList::new(10_000));
/// let guard = Guard::builder("https://tools.example/mcp").trust(Arc::new(TrustStore::new()));
/// let guard = guard.revoked(Arc::clone(&list)).build()?;
/// let agent = "spiffe://example.org/agent".parse()?;
/// list.revoke(RevokedBy::Agent(agent), UnixTime::now());
/// # drop(guard);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct RevocationList {
    held: RwLock<Held>,
    capacity: usize,
    clock: Box<dyn Clock>,
}

#[derive(Debug, Default)]
struct Held {
    hashes: HashMap<[u8; 32], RevokedHash>,
    /// The earliest time at which a hash can be forgotten, or earlier.
    earliest_end: u64,
    /// The newest revocation of a hash.
    latest_hash: u64,
    agents: Epochs<String>,
    issuers: Epochs<String>,
    keys: Epochs<Thumbprint>,
    certificates: Epochs<CertificateThumbprint>,
    of_issuers: HashMap<String, OfIssuer>,
    /// The number of entries by their time, without hashes and covered entries.
    times: BTreeMap<u64, usize>,
    /// The sum of `times`.
    entries: usize,
    /// The number of entries that `all_until` covers. They are removed later, many at once.
    covered: usize,
    /// Everything that was issued until this time is revoked.
    all_until: Option<u64>,
}

#[derive(Clone, Copy, Debug)]
struct RevokedHash {
    /// When it was revoked.
    until: u64,
    /// The hash is kept until this time.
    kept: u64,
}

/// The entries that belong to one issuer.
#[derive(Debug, Default)]
struct OfIssuer {
    subjects: Epochs<String>,
    clients: Epochs<String>,
    sessions: Epochs<String>,
    token_ids: Epochs<String>,
}

impl OfIssuer {
    fn is_empty(&self) -> bool {
        let sizes = [
            &self.subjects,
            &self.clients,
            &self.sessions,
            &self.token_ids,
        ];
        sizes.iter().all(|it| it.is_empty())
    }
}

/// The time of each entry: everything issued until then is revoked. Times only increase.
type Epochs<K> = HashMap<K, u64>;

/// How long the hash of an expired credential is kept, in seconds: more than any skew of a guard.
const KEPT_AFTER_EXPIRY: u64 = 600;
/// How many covered entries stay for the time being, beside a quarter of the capacity.
const MOST_COVERED: usize = 64;

impl RevocationList {
    /// Creates a list of at most `capacity` revocations, and at least one.
    #[must_use]
    pub fn new(capacity: usize) -> Self {
        Self {
            held: RwLock::default(),
            capacity: capacity.max(1),
            clock: Box::new(SystemClock::new()),
        }
    }

    /// Sets the clock, which tells which revoked credentials have expired. Defaults to the system
    /// clock.
    #[must_use]
    pub fn with_clock(mut self, clock: impl Clock + 'static) -> Self {
        self.clock = Box::new(clock);
        self
    }

    /// Revokes what was issued at or before `until`, which in most cases is the current time.
    ///
    /// A later call with an earlier time changes nothing.
    ///
    /// ```
    /// use aims::jose::time::UnixTime;
    /// use aims::revoked::{RevocationList, RevokedBy};
    ///
    /// let list = RevocationList::new(100);
    /// list.revoke(RevokedBy::Issuer("https://as.example".to_owned()), UnixTime::now());
    /// assert_eq!(list.len(), 1);
    /// ```
    pub fn revoke(&self, by: RevokedBy, until: UnixTime) {
        let mut held = self.held.write().unwrap_or_else(PoisonError::into_inner);
        // Use the clock, because `until` may be in the future, when valid credentials have expired.
        let now = self.clock.now().as_secs();
        held.revoke(by, until.as_secs(), self.capacity, now);
    }

    /// Returns the number of revocations in the list.
    #[must_use]
    pub fn len(&self) -> usize {
        self.read(Held::len)
    }

    /// Returns whether the list has no revocation.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.read(|held| held.len() == 0 && held.all_until.is_none())
    }

    /// Returns all entries, for a store that must get them again.
    #[cfg(feature = "redis")]
    pub(crate) fn entries(&self) -> Vec<(RevokedBy, UnixTime)> {
        self.read(Held::entries)
    }

    fn read<T>(&self, read: impl FnOnce(&Held) -> T) -> T {
        read(&self.held.read().unwrap_or_else(PoisonError::into_inner))
    }
}

impl fmt::Debug for RevocationList {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RevocationList")
            .field("held", &self.held)
            .field("capacity", &self.capacity)
            .finish_non_exhaustive()
    }
}

impl Held {
    fn len(&self) -> usize {
        self.entries.saturating_add(self.hashes.len())
    }

    #[cfg(feature = "redis")]
    fn entries(&self) -> Vec<(RevokedBy, UnixTime)> {
        let mut all = Vec::with_capacity(self.len());
        let mut add = |by, until: u64| all.push((by, at(until)));
        if let Some(until) = self.all_until {
            add(RevokedBy::Everything, until);
        }
        for (hash, it) in &self.hashes {
            let expires = at(it.kept.saturating_sub(KEPT_AFTER_EXPIRY));
            add(
                RevokedBy::SignedHash {
                    hash: *hash,
                    expires,
                },
                it.until,
            );
        }
        let agents = self.agents.iter();
        let agents =
            agents.filter_map(|(id, until)| Some((RevokedBy::Agent(id.parse().ok()?), *until)));
        agents.for_each(|(by, until)| add(by, until));
        for (issuer, until) in &self.issuers {
            add(RevokedBy::Issuer(issuer.clone()), *until);
        }
        for (key, until) in &self.keys {
            add(RevokedBy::Key(*key), *until);
        }
        for (certificate, until) in &self.certificates {
            add(RevokedBy::Certificate(*certificate), *until);
        }
        for (issuer, own) in &self.of_issuers {
            let issuer = || issuer.clone();
            for (subject, until) in &own.subjects {
                let subject = subject.clone();
                add(
                    RevokedBy::Subject {
                        issuer: issuer(),
                        subject,
                    },
                    *until,
                );
            }
            for (client, until) in &own.clients {
                let client = client.clone();
                add(
                    RevokedBy::Client {
                        issuer: issuer(),
                        client,
                    },
                    *until,
                );
            }
            for (session, until) in &own.sessions {
                let session = session.clone();
                add(
                    RevokedBy::Session {
                        issuer: issuer(),
                        session,
                    },
                    *until,
                );
            }
            for (token_id, until) in &own.token_ids {
                let token_id = token_id.clone();
                add(
                    RevokedBy::TokenId {
                        issuer: issuer(),
                        token_id,
                    },
                    *until,
                );
            }
        }
        all
    }

    fn revoke(&mut self, by: RevokedBy, until: u64, capacity: usize, now: u64) {
        self.record(by, until, capacity, now);
        // Make room.
        if self.len() > capacity {
            self.forget_ended(now);
        }
        while self.len() > capacity
            && let Some((oldest, _)) = self.times.first_key_value()
        {
            self.cover(*oldest);
        }
        if self.covered > capacity / 4 + MOST_COVERED {
            self.remove_covered();
        }
    }

    fn revoke_hash(&mut self, hash: [u8; 32], until: u64, kept: u64, capacity: usize, now: u64) {
        self.latest_hash = self.latest_hash.max(until);
        if let Some(known) = self.hashes.get_mut(&hash) {
            known.until = known.until.max(until);
            known.kept = known.kept.max(kept);
            return;
        }
        if self.hashes.len() >= capacity {
            self.forget_ended(now);
        }
        if self.hashes.len() >= capacity {
            return self.cover(self.latest_hash);
        }
        if self.hashes.is_empty() {
            self.earliest_end = kept;
        }
        self.earliest_end = self.earliest_end.min(kept);
        self.hashes.insert(hash, RevokedHash { until, kept });
    }

    /// Revokes everything that was issued until this time, which covers the entries until then.
    fn cover(&mut self, until: u64) {
        let until = until.max(self.all_until.unwrap_or(0));
        self.all_until = Some(until);
        let left = match until.checked_add(1) {
            Some(after) => self.times.split_off(&after),
            None => BTreeMap::new(),
        };
        let covered: usize = std::mem::replace(&mut self.times, left).values().sum();
        self.entries = self.entries.saturating_sub(covered);
        self.covered = self.covered.saturating_add(covered);
    }

    /// Counts an entry that has a new time.
    fn count(&mut self, before: Option<u64>, until: u64) {
        match before {
            Some(before) if before >= until => return,
            Some(before) if Some(before) <= self.all_until => {
                self.covered = self.covered.saturating_sub(1);
                self.entries = self.entries.saturating_add(1);
            }
            Some(before) => {
                if let Some(of_time) = self.times.get_mut(&before) {
                    *of_time = of_time.saturating_sub(1);
                    if *of_time == 0 {
                        self.times.remove(&before);
                    }
                }
            }
            None => self.entries = self.entries.saturating_add(1),
        }
        let of_time = self.times.entry(until).or_default();
        *of_time = of_time.saturating_add(1);
    }

    /// Removes the entries that the time of all credentials covers.
    fn remove_covered(&mut self) {
        let Some(all) = self.all_until else { return };
        self.agents.retain(|_, until| *until > all);
        self.issuers.retain(|_, until| *until > all);
        self.keys.retain(|_, until| *until > all);
        self.certificates.retain(|_, until| *until > all);
        self.of_issuers.retain(|_, own| {
            for epochs in [
                &mut own.subjects,
                &mut own.clients,
                &mut own.sessions,
                &mut own.token_ids,
            ] {
                epochs.retain(|_, until| *until > all);
            }
            !own.is_empty()
        });
        self.covered = 0;
    }

    /// Adds an entry, or raises its time.
    fn record(&mut self, by: RevokedBy, until: u64, capacity: usize, now: u64) {
        let is_covered = self.all_until >= Some(until);
        let all = &mut self.of_issuers;
        let before = match by {
            RevokedBy::Everything => return self.cover(until),
            RevokedBy::SignedHash { hash, expires } => {
                return self.revoke_hash(hash, until, remembered_until(expires), capacity, now);
            }
            _ if is_covered => return,
            RevokedBy::Agent(agent) => raise(&mut self.agents, agent.as_str().to_owned(), until),
            RevokedBy::Issuer(issuer) => {
                raise(&mut self.issuers, server(&issuer).to_owned(), until)
            }
            RevokedBy::Key(key) => raise(&mut self.keys, key, until),
            RevokedBy::Certificate(it) => raise(&mut self.certificates, it, until),
            RevokedBy::Subject { issuer, subject } => {
                raise(&mut of(all, &issuer).subjects, subject, until)
            }
            RevokedBy::Client { issuer, client } => {
                raise(&mut of(all, &issuer).clients, client, until)
            }
            RevokedBy::Session { issuer, session } => {
                raise(&mut of(all, &issuer).sessions, session, until)
            }
            RevokedBy::TokenId { issuer, token_id } => {
                raise(&mut of(all, &issuer).token_ids, token_id, until)
            }
        };
        self.count(before, until);
    }

    /// Removes the entries of expired credentials.
    fn forget_ended(&mut self, now: u64) {
        if self.earliest_end >= now {
            return;
        }
        self.hashes.retain(|_, it| it.kept >= now);
        let ends = self.hashes.values().map(|it| it.kept);
        self.earliest_end = ends.min().unwrap_or(0);
    }

    fn has_wit(&self, wit: &Wit, now: u64) -> bool {
        if self.hashes.contains_key(wit.signed_hash()) {
            return true;
        }
        let agent = self.agents.get(wit.id().as_str()).copied();
        let key = self.keys.get(wit.key().thumbprint()).copied();
        agent.max(key).max(self.all_until).is_some_and(|until| {
            let issued = issued_at(wit.issued_at());
            // A WIT-SVID may have an `iat` in the future, which does not tell when it was issued.
            issued > now || issued <= until
        })
    }

    fn has_token(&self, token: &AccessToken) -> bool {
        if self.hashes.contains_key(token.signed_hash()) {
            return true;
        }
        let issuer = server(token.issuer());
        let mut epoch = self.all_until.max(self.issuers.get(issuer).copied());
        if let Some(own) = self.of_issuers.get(issuer) {
            let of = |epochs: &Epochs<String>, name: Option<&str>| {
                name.and_then(|it| epochs.get(it)).copied()
            };
            epoch = epoch
                .max(of(&own.subjects, Some(token.subject())))
                .max(of(&own.clients, Some(token.client_id())))
                .max(of(&own.sessions, token.session_id()))
                .max(of(&own.token_ids, token.jwt_id()));
        }
        epoch = epoch
            .max(self.of_actors(token))
            .max(self.of_agents(token))
            .max(self.of_bindings(token.confirmations()));
        epoch.is_some_and(|until| began(token) <= until)
    }

    /// Returns the newest time of the parties that act for the subject. Each is a subject or a
    /// client of its own issuer.
    fn of_actors(&self, token: &AccessToken) -> Option<u64> {
        let times = token.actors().iter().filter_map(|actor| {
            let issuer = actor.issuer.as_deref();
            let issuer = issuer.unwrap_or_else(|| token.issuer());
            let own = self.of_issuers.get(server(issuer))?;
            let subject = own.subjects.get(&actor.subject);
            subject.max(own.clients.get(&actor.subject)).copied()
        });
        times.max()
    }

    /// Returns the newest time of the agents that a token names: its client, its subject and the
    /// parties that act for it.
    fn of_agents(&self, token: &AccessToken) -> Option<u64> {
        if self.agents.is_empty() {
            return None;
        }
        let actors = token.actors().iter().map(|it| it.subject.as_str());
        let names = [token.client_id(), token.subject()].into_iter();
        let named = names.chain(actors).filter_map(|name| {
            let id = WorkloadId::parse(name).ok()?;
            self.agents.get(id.as_str())
        });
        let mapped = token.workloads();
        let mapped = mapped.filter_map(|id| self.agents.get(id.as_str()));
        named.chain(mapped).max().copied()
    }

    /// An issuer and a subject are those of `iss` and `sub`. A token without `iss` is of none.
    fn has_transaction(&self, token: &TxnToken) -> bool {
        if self.hashes.contains_key(token.signed_hash()) {
            return true;
        }
        let issuer = token.issuer().map(server);
        let of_issuer = issuer.and_then(|it| self.issuers.get(it)).copied();
        let own = issuer.and_then(|it| self.of_issuers.get(it));
        let of_subject = own.and_then(|it| it.subjects.get(token.subject()));
        let epoch = of_issuer
            .max(of_subject.copied())
            .max(self.of_bindings(token.confirmations()))
            .max(self.all_until);
        epoch.is_some_and(|until| token.issued_at().as_secs() <= until)
    }

    /// Returns the newest time of the keys and certificates that a token is bound to.
    fn of_bindings(&self, confirmations: &[Confirmation]) -> Option<u64> {
        let times = confirmations.iter().filter_map(|bound_to| match bound_to {
            Confirmation::DpopJkt(key) | Confirmation::Jwk(key) => self.keys.get(key).copied(),
            Confirmation::CertificateS256(it) => self.certificates.get(it).copied(),
        });
        times.max()
    }
}

fn of<'a>(all: &'a mut HashMap<String, OfIssuer>, issuer: &str) -> &'a mut OfIssuer {
    all.entry(server(issuer).to_owned()).or_default()
}

/// Adds an entry or raises its time. Returns the time before.
fn raise<K: Eq + Hash>(epochs: &mut Epochs<K>, name: K, until: u64) -> Option<u64> {
    match epochs.entry(name) {
        Entry::Occupied(mut known) => {
            let before = *known.get();
            known.insert(before.max(until));
            Some(before)
        }
        Entry::Vacant(place) => {
            place.insert(until);
            None
        }
    }
}

impl Revoked for RevocationList {
    fn is_revoked(&self, credential: Credential<'_>, now: UnixTime) -> bool {
        self.read(|held| match credential {
            Credential::Wit(wit) => held.has_wit(wit, now.as_secs()),
            Credential::AccessToken(token) => held.has_token(token),
            Credential::TransactionToken(token) => held.has_transaction(token),
        })
    }
}

/// Returns the issuer in the spelling of the list, without the root slash. The server may spell it
/// differently from the configuration.
fn server(issuer: &str) -> &str {
    let bare = issuer.strip_suffix('/').unwrap_or(issuer);
    let is_origin = bare
        .split_once("://")
        .is_some_and(|(_, rest)| !rest.contains('/'));
    if is_origin { bare } else { issuer }
}

/// Returns when the token was issued or, if that was earlier, when its user logged in. A token that
/// was renewed in an old session is as old as the session.
fn began(token: &AccessToken) -> u64 {
    let issued = issued_at(token.issued_at());
    token
        .auth_time()
        .map_or(issued, |it| issued.min(it.as_secs()))
}

/// Returns the issue time. A credential without one counts as issued before everything.
fn issued_at(iat: Option<UnixTime>) -> u64 {
    iat.map_or(0, |iat| iat.as_secs())
}

fn remembered_until(expires: UnixTime) -> u64 {
    expires.as_secs().saturating_add(KEPT_AFTER_EXPIRY)
}
