//! Differences between the revisions of draft-ietf-wimse-wpt. A new revision changes this file, and
//! the forms of the header field in `fields`.

use aims_jose::json::Text;
use aims_jose::jws::Verified;
use aims_jose::jwt::present;
use serde::Deserialize;

use crate::{Binding, Error};

/// A revision of draft-ietf-wimse-wpt.
///
/// The two revisions are not compatible: a receiver of one does not understand proofs of the other.
#[derive(Clone, Copy, Debug, Default, Eq, Hash, PartialEq)]
#[non_exhaustive]
pub enum Revision {
    /// draft-ietf-wimse-wpt-01: the proof is in `Workload-Proof-Token`. It binds an access token in
    /// `Authorization` by `ath`.
    Draft01,
    /// draft-ietf-wimse-wpt-02 (27 August 2026): the proof is in `Authorization: WPT`, so a request
    /// cannot have an access token as well.
    #[default]
    Draft02,
}

impl Revision {
    /// Returns `01` or `02`.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Draft01 => "01",
            Self::Draft02 => "02",
        }
    }

    pub(crate) const fn other(self) -> Self {
        match self {
            Self::Draft01 => Self::Draft02,
            Self::Draft02 => Self::Draft01,
        }
    }
}

/// The revisions that a receiver accepts. Defaults to [`DRAFT_02`](Self::DRAFT_02).
///
/// ```
/// use aims_wimse_wpt::{Revision, Revisions};
///
/// assert!(!Revisions::default().accepts(Revision::Draft01));
/// assert!(Revisions::BOTH.accepts(Revision::Draft01));
/// assert_eq!(Revisions::BOTH.newest(), Revision::Draft02);
/// ```
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Revisions {
    draft01: Accepted,
    draft02: Accepted,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Accepted {
    Yes,
    No,
}

impl Revisions {
    /// Accepts draft-ietf-wimse-wpt-01 only.
    pub const DRAFT_01: Self = Self {
        draft01: Accepted::Yes,
        draft02: Accepted::No,
    };
    /// Accepts draft-ietf-wimse-wpt-02 only.
    pub const DRAFT_02: Self = Self {
        draft01: Accepted::No,
        draft02: Accepted::Yes,
    };
    /// Accepts both, while senders change from one to the other. A request with proofs of both
    /// revisions is refused.
    pub const BOTH: Self = Self {
        draft01: Accepted::Yes,
        draft02: Accepted::Yes,
    };

    /// Returns whether a proof of this revision is accepted.
    #[must_use]
    pub const fn accepts(self, revision: Revision) -> bool {
        let accepted = match revision {
            Revision::Draft01 => self.draft01,
            Revision::Draft02 => self.draft02,
        };
        matches!(accepted, Accepted::Yes)
    }

    /// Returns the newest accepted revision, which a receiver asks senders for.
    #[must_use]
    pub const fn newest(self) -> Revision {
        match self.draft02 {
            Accepted::Yes => Revision::Draft02,
            Accepted::No => Revision::Draft01,
        }
    }
}

impl Default for Revisions {
    fn default() -> Self {
        Self::DRAFT_02
    }
}

impl From<Revision> for Revisions {
    fn from(revision: Revision) -> Self {
        match revision {
            Revision::Draft01 => Self::DRAFT_01,
            Revision::Draft02 => Self::DRAFT_02,
        }
    }
}

/// Refuses a binding that its revision cannot express.
pub(crate) const fn check(binding: &Binding<'_>) -> Result<(), Error> {
    match (binding.revision, &binding.access_token) {
        (Revision::Draft02, Some(_)) => Err(Error::AccessToken),
        _ => Ok(()),
    }
}

/// The claims of draft-ietf-wimse-wpt-01 that -02 removed.
#[derive(Deserialize)]
struct Draft01<'a> {
    #[serde(borrow, default, deserialize_with = "present")]
    ath: Option<Text<'a>>,
}

/// Returns `ath` of a proof.
///
/// In -02 it is an unknown claim and is ignored whatever its value. A receiver that accepts both
/// revisions still reads it: a proof with `ath` was made for -01, and counting it as -02 would drop
/// its binding to the access token.
pub(crate) fn ath<'a>(
    verified: &'a Verified,
    revision: Revision,
    accepted: Revisions,
) -> Result<Option<Text<'a>>, Error> {
    if revision == Revision::Draft02 && !accepted.accepts(Revision::Draft01) {
        return Ok(None);
    }
    let claims: Draft01<'a> = verified.claims().map_err(Error::Wpt)?;
    Ok(claims.ath)
}
