//! What the revisions of draft-ietf-wimse-wpt change: the one place that a new revision touches,
//! beside the two forms of the header field in `fields`.

use aims_jose::json::Text;
use aims_jose::jws::Verified;
use aims_jose::jwt::present;
use serde::Deserialize;

use crate::{Binding, Error};

/// A revision of draft-ietf-wimse-wpt. The two are not compatible: a receiver of one does not
/// understand proofs of the other.
#[derive(Clone, Copy, Debug, Default, Eq, Hash, PartialEq)]
#[non_exhaustive]
pub enum Revision {
    /// draft-ietf-wimse-wpt-01: the proof is in `Workload-Proof-Token`, and binds an access token
    /// in `Authorization` by `ath`.
    Draft01,
    /// draft-ietf-wimse-wpt-02 (27 August 2026): the proof is in `Authorization: WPT`, so that no
    /// access token goes with it.
    #[default]
    Draft02,
}

impl Revision {
    /// `01` or `02`.
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

/// The revisions that a receiver accepts. Defaults to [`DRAFT_02`](Self::DRAFT_02) alone.
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
    /// draft-ietf-wimse-wpt-01 alone.
    pub const DRAFT_01: Self = Self {
        draft01: Accepted::Yes,
        draft02: Accepted::No,
    };
    /// draft-ietf-wimse-wpt-02 alone.
    pub const DRAFT_02: Self = Self {
        draft01: Accepted::No,
        draft02: Accepted::Yes,
    };
    /// Both, for the time in which senders change from one to the other. A request with proofs of
    /// both is refused.
    pub const BOTH: Self = Self {
        draft01: Accepted::Yes,
        draft02: Accepted::Yes,
    };

    /// Whether a proof of this revision is accepted.
    #[must_use]
    pub const fn accepts(self, revision: Revision) -> bool {
        let accepted = match revision {
            Revision::Draft01 => self.draft01,
            Revision::Draft02 => self.draft02,
        };
        matches!(accepted, Accepted::Yes)
    }

    /// The newest of them, which a sender is asked for.
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

/// `ath` of a proof. In -02 it is an unknown claim, which is ignored whatever its value. A receiver
/// that accepts both revisions reads it all the same: a proof with `ath` was made for -01, and
/// would lose its access token if it counted as one of -02.
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
