//! The state of an authorization server behind one trait: [`State`].

mod memory;
#[cfg(feature = "sqlite")]
mod sqlite;

use core::fmt;

use aims_jose::time::UnixTime;

pub use self::memory::MemoryState;
#[cfg(feature = "sqlite")]
pub use self::sqlite::SqliteState;
use crate::Error;

/// Stores what an authorization server must remember: codes, grants, tokens and the rest of
/// [`Kind`].
///
/// The store is a map from kind and key to an [`Entry`]. [`swap`](Self::swap) is the only change.
/// It compares the version of the stored entry and replaces the entry in one atomic step, so that
/// a code is used once, and a refresh token has one successor, whatever runs at the same time.
/// The rules of codes and refresh tokens stand in this crate, above the trait.
///
/// [`MemoryState`] implements it in the memory of one process. An implementation that survives the
/// process must have written a change to disk when `swap` returns. Both methods may block the
/// calling thread.
///
/// Keys and entries have no codes or tokens, only their SHA-256.
///
/// ```
/// use aims_authority::{Change, Entry, Kind, MemoryState, State};
/// use aims_jose::time::at;
///
/// let state = MemoryState::new();
/// let entry = Entry::new(b"{}".to_vec(), at(160));
/// // Insert it once.
/// assert!(state.swap(Kind::Code, "key", Change::Insert(&entry), at(100))?);
/// assert!(!state.swap(Kind::Code, "key", Change::Insert(&entry), at(100))?);
/// // Of all callers that read one version, one removes it.
/// let stored = state.load(Kind::Code, "key", at(100))?.ok_or("lost")?;
/// assert!(state.swap(Kind::Code, "key", Change::Remove(stored.version), at(100))?);
/// assert!(!state.swap(Kind::Code, "key", Change::Remove(stored.version), at(100))?);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub trait State: fmt::Debug + Send + Sync {
    /// Returns the entry of this kind and key, unless it is absent or `now` is after its
    /// [`until`](Entry::until).
    ///
    /// # Errors
    ///
    /// [`Error::Unavailable`] if the store cannot tell. The caller refuses the request.
    fn load(&self, kind: Kind, key: &str, now: UnixTime) -> Result<Option<Stored>, Error>;

    /// Changes the entry of this kind and key, if it is still as the change expects.
    ///
    /// Returns `true` if it made the change, and `false` if another version, or no entry, is
    /// stored. An entry whose `until` has passed counts as absent. Of all calls that name one
    /// version, at most one returns `true`, also among calls at the same moment and after a crash.
    ///
    /// # Errors
    ///
    /// [`Error::StateFull`] if there is no room for another entry of this kind;
    /// [`Error::Unavailable`] if the outcome is unknown. The caller refuses the request for both.
    fn swap(&self, kind: Kind, key: &str, change: Change<'_>, now: UnixTime)
    -> Result<bool, Error>;

    /// Returns whether `load` and `swap` may block, so that the router runs them on a thread for
    /// blocking work. Defaults to `true`.
    fn may_block(&self) -> bool {
        true
    }
}

/// The kinds of entries. Keys of different kinds do not collide.
///
/// A store bounds each kind by itself, so that what any caller can store leaves room for the rest.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
#[non_exhaustive]
pub enum Kind {
    /// A request for the approval of a user (OpenID CIBA Core 1.0), by the hash of its
    /// `auth_req_id`. It stays for some minutes after its end.
    Approval,
    /// An issued opaque access token, by the hash of the token.
    AccessToken,
    /// A dynamically registered client (RFC 7591), by its `client_id`.
    Client,
    /// A client by its fetched client id metadata document, by the URL of the document. The server
    /// can fetch it again.
    ClientDocument,
    /// An authorization code (RFC 6749 §4.1.2), by its hash. A used code stays, as used, until its
    /// access tokens have expired.
    Code,
    /// A client and the user's consent, with the state of its refresh token, by its id. A
    /// revoked grant stays, as revoked, until its access tokens have expired.
    Grant,
    /// The live grants of one user, by the hash of the user's `sub`.
    GrantList,
    /// The requests that wait for one user, by the hash of the user's `sub`.
    Inbox,
    /// An authorization request that waits for the user's consent, by its hash.
    Interaction,
    /// A pushed authorization request (RFC 9126) of a client that has authenticated, by its hash.
    PushedRequest,
    /// A pushed authorization request of a client that proves nothing or described itself, by its
    /// hash.
    PublicPushedRequest,
    /// The moment up to which everything of a subject was revoked, by the hash of the subject.
    RevokedSubject,
    /// The last renewals of WITs of an identifier, by itself.
    Renewal,
    /// A token that was revoked before its expiry, by the hash of the token.
    RevokedToken,
    /// An identifier that the operator has withdrawn, by itself.
    Withdrawn,
}

impl Kind {
    /// All kinds.
    pub const ALL: &'static [Self] = &[
        Self::AccessToken,
        Self::Approval,
        Self::Client,
        Self::ClientDocument,
        Self::Code,
        Self::Grant,
        Self::GrantList,
        Self::Inbox,
        Self::Interaction,
        Self::PushedRequest,
        Self::PublicPushedRequest,
        Self::RevokedSubject,
        Self::Renewal,
        Self::RevokedToken,
        Self::Withdrawn,
    ];

    /// Returns a short name for tables and logs. It does not change between versions.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::AccessToken => "access_token",
            Self::Approval => "approval",
            Self::Client => "client",
            Self::ClientDocument => "client_document",
            Self::Code => "code",
            Self::Grant => "grant",
            Self::GrantList => "grant_list",
            Self::Inbox => "inbox",
            Self::Interaction => "interaction",
            Self::PushedRequest => "pushed_request",
            Self::PublicPushedRequest => "public_pushed_request",
            Self::RevokedSubject => "revoked_subject",
            Self::Renewal => "renewal",
            Self::RevokedToken => "revoked_token",
            Self::Withdrawn => "withdrawn",
        }
    }
}

/// A value and the last second at which it counts.
#[derive(Clone, Debug, Eq, PartialEq)]
#[expect(
    clippy::exhaustive_structs,
    reason = "a value and its end, and never more"
)]
pub struct Entry {
    /// JSON of this crate. It has names of users and clients, and hashes of secrets.
    pub value: Vec<u8>,
    /// The last second at which the entry counts. The store may forget it afterwards.
    pub until: UnixTime,
}

impl Entry {
    /// Creates an entry.
    #[must_use]
    pub const fn new(value: Vec<u8>, until: UnixTime) -> Self {
        Self { value, until }
    }
}

/// A stored entry with its version.
#[derive(Clone, Debug, Eq, PartialEq)]
#[expect(
    clippy::exhaustive_structs,
    reason = "an entry and its version, and never more"
)]
pub struct Stored {
    /// The entry.
    pub entry: Entry,
    /// The version, which [`Change::Replace`] and [`Change::Remove`] name. Each change of an entry
    /// gives it another one.
    pub version: u64,
}

/// A change of one entry, and what it expects to find.
#[derive(Clone, Copy, Debug)]
#[expect(clippy::exhaustive_enums, reason = "every store implements all three")]
pub enum Change<'a> {
    /// Stores an entry where none is stored.
    Insert(&'a Entry),
    /// Replaces exactly this version.
    Replace(u64, &'a Entry),
    /// Removes exactly this version.
    Remove(u64),
}
