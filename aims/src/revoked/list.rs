//! A bounded list of revocations in memory.

use std::collections::HashMap;
use std::fmt;
use std::sync::{PoisonError, RwLock};

use aims_jose::jwk::Thumbprint;
use aims_jose::time::{self, Clock, SystemClock, UnixTime};
use aims_oauth_rs::{AccessToken, Confirmation};
use aims_oauth_wire::confirmation::CertificateThumbprint;
use aims_txn_token::TxnToken;
use aims_wimse_cred::Wit;
use aims_wimse_id::WorkloadId;

use super::{Credential, Revoked};

/// The scope of a revocation: one credential, or all credentials up to a time of an agent, subject,
/// client, session, token identifier, key, certificate or issuer.
///
/// ```
/// use aims::revoked::RevokedBy;
///
/// let client = RevokedBy::Client {
///     issuer: "https://as.example".to_owned(),
///     client: "s6BhdRkqt3".to_owned(),
/// };
/// # drop(client);
/// ```
#[derive(Clone, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum RevokedBy {
    /// The WIT, access token or transaction token whose header and payload have this SHA-256
    /// ([`Wit::signed_hash`], [`AccessToken::signed_hash`], [`TxnToken::signed_hash`]). The hash
    /// does not depend on the encoding of the signature.
    SignedHash {
        /// The SHA-256 of the header and payload.
        hash: [u8; 32],
        /// When the credential expires. A full list may forget the entry ten minutes later, which
        /// is more than any clock skew of a guard. For a credential without an expiry, use the
        /// greatest time to keep the entry forever.
        expires: UnixTime,
    },
    /// Every WIT of this agent.
    Agent(WorkloadId),
    /// Every access token and transaction token of this subject of this issuer.
    Subject {
        /// The issuer, as in `iss`.
        issuer: String,
        /// The subject, as in `sub`.
        subject: String,
    },
    /// Every access token that this issuer issued to this client.
    Client {
        /// The issuer, as in `iss`.
        issuer: String,
        /// The identifier of the client, as in `client_id`.
        client: String,
    },
    /// Every access token and transaction token of this issuer.
    Issuer(String),
    /// Every access token of this session of a user, such as one that has logged out.
    Session {
        /// The issuer, as in `iss`.
        issuer: String,
        /// The session, as in `sid`.
        session: String,
    },
    /// The access tokens with this identifier.
    TokenId {
        /// The issuer, as in `iss`.
        issuer: String,
        /// The identifier, as in `jti`.
        token_id: String,
    },
    /// Every WIT of this key, and every access token and transaction token that is bound to it
    /// (`cnf.jwk`, `cnf.jkt`), such as a key that was stolen.
    Key(Thumbprint),
    /// Every access token and transaction token that is bound to this certificate (`cnf.x5t#S256`,
    /// RFC 8705 §3.1).
    Certificate(CertificateThumbprint),
}

impl RevokedBy {
    /// Returns the entry that revokes this WIT.
    ///
    /// ```
    /// use aims::jose::time::UnixTime;
    /// use aims::revoked::{RevocationList, RevokedBy};
    ///
    /// /// Revokes the credential of a caller that misbehaves.
    /// fn revoke(list: &RevocationList, who: &aims::Principal) {
    ///     if let Some(wit) = who.wit() {
    ///         list.revoke(RevokedBy::wit(wit), UnixTime::now());
    ///     }
    /// }
    /// ```
    #[must_use]
    pub fn wit(wit: &Wit) -> Self {
        Self::SignedHash {
            hash: *wit.signed_hash(),
            expires: wit.expires(),
        }
    }

    /// Returns the entry that revokes this transaction token. Another token of the same transaction
    /// is not revoked.
    #[must_use]
    pub fn transaction_token(token: &TxnToken) -> Self {
        Self::SignedHash {
            hash: *token.signed_hash(),
            expires: token.expires(),
        }
    }

    /// Returns the entry that revokes this access token.
    ///
    /// A token without `exp`, as an introspection response may describe it, is kept forever,
    /// because its issuer may report it as active at any later time.
    #[must_use]
    pub fn access_token(token: &AccessToken) -> Self {
        Self::SignedHash {
            hash: *token.signed_hash(),
            expires: token.exp().unwrap_or(time::at(u64::MAX)),
        }
    }
}

/// A list of revocations in memory.
///
/// A revocation is in effect when [`revoke`](Self::revoke) returns, for cached and for new
/// credentials. A [`SignedHash`](RevokedBy::SignedHash) refuses one credential. Any other entry
/// refuses the credentials that were issued at or before its time, and accepts later ones. A
/// credential without an issue time counts as issued before every revocation; so does a WIT-SVID
/// while its `iat` is in the future.
///
/// If the clock of an issuer may be ahead of this one, revoke until that much later: a token that
/// it issued shortly before has a later `iat`.
///
/// An issuer with and without its root slash is the same server.
///
/// The list is bounded and never forgets a revocation. When it is full, it refuses everything that
/// was issued at or before the time of the newest revocation.
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
    /// The time until which each hash is kept.
    hashes: HashMap<[u8; 32], u64>,
    agents: Epochs<String>,
    issuers: Epochs<String>,
    keys: Epochs<Thumbprint>,
    certificates: Epochs<CertificateThumbprint>,
    of_issuers: HashMap<String, OfIssuer>,
    entries: usize,
    /// Everything that was issued until this time is revoked. Set when the list is full.
    all_until: Option<u64>,
}

/// The entries that belong to one issuer.
#[derive(Debug, Default)]
struct OfIssuer {
    subjects: Epochs<String>,
    clients: Epochs<String>,
    sessions: Epochs<String>,
    token_ids: Epochs<String>,
}

/// The time of each entry: everything issued until then is revoked. Times only increase.
type Epochs<K> = HashMap<K, u64>;

/// How long the hash of an expired credential is kept, in seconds: more than any skew of a guard.
const KEPT_AFTER_EXPIRY: u64 = 600;

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
        let until = until.as_secs();
        if held.raise(&by, until) {
            return;
        }
        if held.entries >= self.capacity {
            // Use the clock, because `until` may be in the future, when valid credentials have
            // expired.
            held.forget_ended(self.clock.now().as_secs());
        }
        if held.entries >= self.capacity {
            held.all_until = held.all_until.max(Some(until));
        } else {
            held.insert(by, until);
        }
    }

    /// Returns the number of revocations in the list.
    #[must_use]
    pub fn len(&self) -> usize {
        self.read(|held| held.entries)
    }

    /// Returns whether the list has no revocation.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.read(|held| held.entries == 0 && held.all_until.is_none())
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
    /// Raises the time of an existing entry. Returns whether there is one.
    fn raise(&mut self, by: &RevokedBy, until: u64) -> bool {
        let of = |all: &mut HashMap<String, OfIssuer>, issuer: &str, within: Within, name: &str| {
            let epochs = within(all.get_mut(server(issuer))?);
            raise(epochs.get_mut(name), until)
        };
        let all = &mut self.of_issuers;
        let raised = match by {
            RevokedBy::SignedHash { hash, expires } => {
                raise(self.hashes.get_mut(hash), remembered_until(*expires))
            }
            RevokedBy::Agent(agent) => raise(self.agents.get_mut(agent.as_str()), until),
            RevokedBy::Issuer(issuer) => raise(self.issuers.get_mut(server(issuer)), until),
            RevokedBy::Key(key) => raise(self.keys.get_mut(key), until),
            RevokedBy::Certificate(it) => raise(self.certificates.get_mut(it), until),
            RevokedBy::Subject { issuer, subject } => {
                of(all, issuer, |it| &mut it.subjects, subject)
            }
            RevokedBy::Client { issuer, client } => of(all, issuer, |it| &mut it.clients, client),
            RevokedBy::Session { issuer, session } => {
                of(all, issuer, |it| &mut it.sessions, session)
            }
            RevokedBy::TokenId { issuer, token_id } => {
                of(all, issuer, |it| &mut it.token_ids, token_id)
            }
        };
        raised.is_some()
    }

    fn insert(&mut self, by: RevokedBy, until: u64) {
        self.entries = self.entries.saturating_add(1);
        let all = &mut self.of_issuers;
        let of = |all: &mut HashMap<String, OfIssuer>, issuer: &str, within: Within, name| {
            let own = all.entry(server(issuer).to_owned()).or_default();
            within(own).insert(name, until)
        };
        // There was no such entry.
        let _before = match by {
            RevokedBy::SignedHash { hash, expires } => {
                self.hashes.insert(hash, remembered_until(expires))
            }
            RevokedBy::Agent(agent) => self.agents.insert(agent.as_str().to_owned(), until),
            RevokedBy::Issuer(issuer) => self.issuers.insert(server(&issuer).to_owned(), until),
            RevokedBy::Key(key) => self.keys.insert(key, until),
            RevokedBy::Certificate(certificate) => self.certificates.insert(certificate, until),
            RevokedBy::Subject { issuer, subject } => {
                of(all, &issuer, |it| &mut it.subjects, subject)
            }
            RevokedBy::Client { issuer, client } => of(all, &issuer, |it| &mut it.clients, client),
            RevokedBy::Session { issuer, session } => {
                of(all, &issuer, |it| &mut it.sessions, session)
            }
            RevokedBy::TokenId { issuer, token_id } => {
                of(all, &issuer, |it| &mut it.token_ids, token_id)
            }
        };
    }

    /// Removes the entries of expired credentials.
    fn forget_ended(&mut self, now: u64) {
        let before = self.hashes.len();
        self.hashes.retain(|_, until| *until >= now);
        let forgotten = before.saturating_sub(self.hashes.len());
        self.entries = self.entries.saturating_sub(forgotten);
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
        epoch = epoch.max(self.of_bindings(token.confirmations()));
        epoch.is_some_and(|until| issued_at(token.issued_at()) <= until)
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

/// Selects one kind of entries of an issuer.
type Within = fn(&mut OfIssuer) -> &mut Epochs<String>;

/// Raises a time. Returns `None` if there is no entry.
fn raise(known: Option<&mut u64>, until: u64) -> Option<()> {
    let known = known?;
    *known = until.max(*known);
    Some(())
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

/// Returns the issue time. A credential without one counts as issued before everything.
fn issued_at(iat: Option<UnixTime>) -> u64 {
    iat.map_or(0, |iat| iat.as_secs())
}

fn remembered_until(expires: UnixTime) -> u64 {
    expires.as_secs().saturating_add(KEPT_AFTER_EXPIRY)
}
