//! The comparison of a new token with the rights that it must not exceed, and its record.

use aims_error::shown;
use aims_jose::base64url;
use aims_jose::jws::SigningInput;
use aims_oauth_wire::delegate::{Dimension, Kind, Rights, Verdict, delegate};
use serde::Deserialize;

use super::Error;

/// The facts about a new token that the log of its exchange names.
#[derive(Debug)]
pub(crate) struct Judged {
    /// `jti`, or `txn` of a transaction token.
    pub(crate) id: Option<String>,
    /// The dimensions in which it permits less than its subject token, by their names. In all
    /// others it permits the same.
    pub(crate) narrower: Vec<&'static str>,
}

/// The names of a token.
#[derive(Debug, Default, Deserialize)]
pub(super) struct Names {
    #[serde(default)]
    pub(super) iss: Option<String>,
    #[serde(default)]
    pub(super) jti: Option<String>,
    #[serde(default)]
    pub(super) txn: Option<String>,
}

impl Names {
    /// Reads them from claims.
    pub(super) fn of(claims: &[u8]) -> Result<Self, Error> {
        serde_json::from_slice(claims).map_err(Error::unavailable)
    }

    /// Returns `jti`, or `txn` of a transaction token.
    pub(super) fn id(&self) -> Option<&str> {
        self.jti.as_deref().or(self.txn.as_deref())
    }
}

/// Compares a token of this kind that will be signed with the rights that it must not exceed.
///
/// # Errors
///
/// `as.amplification`.
pub(super) fn judge(kind: Kind, parent: &Rights, input: &SigningInput) -> Result<Judged, Error> {
    judge_claims(kind, parent, &payload(input)?)
}

/// Compares the claims of a token of this kind with the rights that it must not exceed.
///
/// # Errors
///
/// `as.amplification`.
pub(crate) fn judge_claims(kind: Kind, parent: &Rights, claims: &[u8]) -> Result<Judged, Error> {
    let rights = Rights::read(kind, claims).map_err(Error::unavailable)?;
    let new = delegate(parent, rights).map_err(|error| {
        if error.dimension == Dimension::Other {
            name_limits(kind, parent, claims);
        }
        Error::Amplification(error)
    })?;
    let is_narrower = |it: &Dimension| new.comparison().of(*it) == Verdict::Narrower;
    let narrower = Dimension::ALL.into_iter().filter(is_narrower);
    Ok(Judged {
        id: Names::of(claims)?.id().map(str::to_owned),
        narrower: narrower.map(Dimension::as_str).collect(),
    })
}

/// Logs the claims that the new token does not have, and what the operator can do.
fn name_limits(kind: Kind, parent: &Rights, claims: &[u8]) {
    let kept = Rights::read(kind, claims);
    let kept: Vec<&str> = kept.iter().flat_map(Rights::further_claims).collect();
    let missing = parent.further_claims().filter(|it| !kept.contains(it));
    tracing::info!(
        claims = %shown(missing),
        "these claims may limit the token; if no claim of its issuer does, call \
         `IncomingGrants::ignore_further_claims` for its grants, and \
         `Builder::ignore_further_claims_of` for its subject tokens"
    );
}

/// Returns the claims of a token that will be signed.
pub(super) fn payload(input: &SigningInput) -> Result<Vec<u8>, Error> {
    let text = core::str::from_utf8(input.as_bytes()).map_err(Error::unavailable)?;
    let payload = text.split('.').nth(1).unwrap_or_default();
    base64url::decode(payload).map_err(Error::unavailable)
}
