//! Access tokens as evidence.

use aims_jose::Chain;
use aims_jose::time::UnixTime;
use aims_oauth_rs::{AccessToken, Error, IssuerStore};

use crate::guard::refused::Refused;
use crate::guard::{Guard, Inner};
use crate::refusal::ErrorResponse;
use crate::resolve::Need;
use crate::revoked::Credential;

/// Verifies an access token with the keys of its issuer.
pub(in crate::guard) fn verify(
    guard: &Inner,
    token: &str,
    issuers: &IssuerStore,
    now: UnixTime,
) -> Result<AccessToken, Error> {
    guard.tokens.verify(token, issuers, now)
}

/// Checks whether the token is revoked, cached or not.
pub(in crate::guard) fn check_revoked(
    guard: &Inner,
    token: &AccessToken,
    now: UnixTime,
) -> Result<(), Error> {
    let credential = Credential::AccessToken(token);
    if guard.revoked.is_revoked(credential, now) {
        return Err(Error::Revoked);
    }
    Ok(())
}

impl<M> Guard<M> {
    /// Returns the refusal for a token that is missing or not valid.
    pub(in crate::guard) fn token_refused(&self, error: &Error) -> Refused {
        let scopes = self.route.requirements.required_scopes();
        let metadata = self.inner.metadata_url.as_ref();
        let answer = match error {
            Error::TooLong { .. } => ErrorResponse::TooLarge,
            _ => {
                let (status, challenge) = aims_oauth_rs::challenge(error, metadata, scopes);
                ErrorResponse::Challenge(status, challenge)
            }
        };
        let need = match error {
            Error::UnknownKey { issuer, .. } | Error::KeysStale { issuer } => {
                Some(Need::IssuerKeys(issuer.clone()))
            }
            _ => None,
        };
        let mut detail = Chain(error).to_string();
        if matches!(error, Error::Audience { .. }) {
            detail.push_str("; `.token_audience(..)` names another identifier of the resource");
        }
        Refused::new(error.code(), error.kind(), answer, detail).or_after(need)
    }
}
