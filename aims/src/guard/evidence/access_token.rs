//! Access tokens as evidence.

use aims_jose::Chain;
use aims_jose::digest::Hashed;
use aims_jose::time::UnixTime;
use aims_oauth_rs::{AccessToken, Error, IssuerStore, TokenScheme};
use aims_oauth_wire::introspection::Introspection;

use crate::guard::parse::PresentedToken;
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
    let Some(opaque) = guard.asked_about(token) else {
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
    pub(in crate::guard) fn presented_token_refused(
        &self,
        token: &PresentedToken<'_>,
        error: &Error,
    ) -> Refused {
        let refused = self.token_refused(error, Some(token.scheme));
        let token = token.text.text();
        match (error, self.inner.asked_about(token)) {
            (Error::NotIntrospected { .. }, Some(opaque)) => {
                let issuer = opaque.issuer().clone();
                let request = IntrospectionRequest::new(issuer, token.into());
                refused.or_after(Some(Need::Introspection(Box::new(request))))
            }
            _ => refused,
        }
    }

    /// Returns the refusal for a token that is missing or not valid.
    ///
    /// `scheme` is the one that the request used, where it is known.
    pub(in crate::guard) fn token_refused(
        &self,
        error: &Error,
        scheme: Option<TokenScheme>,
    ) -> Refused {
        let answer = match error {
            Error::TooLong { .. } => ErrorResponse::TooLarge,
            // The token is neither good nor bad (RFC 7662 §2.3).
            Error::NotIntrospected { .. } => ErrorResponse::TryLater,
            _ => {
                let (status, code) = error.answer();
                ErrorResponse::Challenge(status, self.challenges(scheme, code))
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
