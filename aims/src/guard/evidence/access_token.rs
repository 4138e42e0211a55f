//! Access tokens as evidence.

use aims_jose::Chain;
use aims_jose::digest::Hashed;
use aims_jose::time::UnixTime;
use aims_oauth_rs::{AccessToken, Error, IssuerStore};
use aims_oauth_wire::introspection::Introspection;

use crate::guard::refused::Refused;
use crate::guard::{Guard, Inner};
use crate::refusal::ErrorResponse;
use crate::resolve::{IntrospectionRequest, Need};
use crate::revoked::Credential;

/// Verifies an access token by the keys of its issuer, or judges what its issuer says of it.
pub(in crate::guard) fn verify(
    guard: &Inner,
    token: &str,
    issuers: &IssuerStore,
    introspected: Option<&Introspection>,
    now: UnixTime,
) -> Result<AccessToken, Error> {
    let Some(opaque) = guard.opaque.of(token) else {
        return guard.tokens.verify(token, issuers, now);
    };
    let issuer = opaque.issuer();
    guard.tokens.introspect(
        token,
        issuers,
        |issuers, rules| match introspected {
            None => Err(Error::NotIntrospected {
                issuer: issuer.as_str().to_owned(),
            }),
            Some(answer) => {
                let token = Hashed::of(token);
                let ceiling = opaque.longest_use();
                AccessToken::introspected(&token, answer, issuer, issuers, rules, ceiling, now)
            }
        },
        now,
    )
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
    /// The answer to a request with this token, which was refused. Where the token's issuer can say
    /// what it is worth, the issuer is asked.
    pub(in crate::guard) fn presented_token_refused(&self, token: &str, error: &Error) -> Refused {
        let refused = self.token_refused(error);
        match (error, self.inner.opaque.of(token)) {
            (Error::NotIntrospected { .. }, Some(opaque)) => {
                let issuer = opaque.issuer().clone();
                let request = IntrospectionRequest::new(issuer, token.into());
                refused.or_after(Some(Need::Introspection(Box::new(request))))
            }
            _ => refused,
        }
    }

    /// Returns the refusal for a token that is missing or not valid.
    pub(in crate::guard) fn token_refused(&self, error: &Error) -> Refused {
        let scopes = self.route.requirements.required_scopes();
        let metadata = self.inner.metadata_url.as_ref();
        let answer = match error {
            Error::TooLong { .. } => ErrorResponse::TooLarge,
            // The token is neither good nor bad (RFC 7662 §2.3).
            Error::NotIntrospected { .. } => ErrorResponse::TryLater,
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
