//! Refresh tokens (RFC 6749 §6), and the tokens of users, which are renewed by them.

use aims_jose::secret::SecretText;
use aims_jose::time::UnixTime;
use aims_oauth_wire::metadata::ServerMetadata;
use aims_oauth_wire::names::ScopeSet;
use aims_oauth_wire::token::{TokenRequest, TokenResponse};

use super::{Grant, Target, TokenRules, USER};
#[cfg(feature = "tokio")]
use crate::Error;
use crate::Token;

/// The refresh token grant (RFC 6749 §6). A `TokenSource` uses it by itself.
///
/// If the response has a new refresh token, it replaces the old one; otherwise the old one stays
/// valid (RFC 6749 §6, RFC 9700 §4.14.2).
///
/// ```
/// use aims_oauth_client::{Refresh, Target, Token, TokenRules};
///
/// /// Returns the grant that renews this token, if the server gave a refresh token.
/// fn renewal(token: &Token, target: Target) -> Option<Refresh> {
///     Refresh::of(token, target, TokenRules::new())
/// }
/// ```
#[derive(Clone, Debug)]
pub struct Refresh {
    target: Target,
    token: SecretText,
    granted: ScopeSet,
    details: Option<Box<str>>,
    rules: TokenRules,
}

impl Refresh {
    /// Creates the grant that renews a token for this target. Returns `None` if the server gave no
    /// refresh token.
    #[must_use]
    pub fn of(token: &Token, target: Target, rules: TokenRules) -> Option<Self> {
        let refresh = token.refresh_token().cloned()?;
        let renewal = Self::new(target, refresh, token.scopes.clone(), rules);
        Some(renewal.after(token.details()))
    }

    pub(crate) const fn new(
        target: Target,
        token: SecretText,
        granted: ScopeSet,
        rules: TokenRules,
    ) -> Self {
        Self {
            target,
            token,
            granted,
            details: None,
            rules,
        }
    }

    /// Sets the authorization details that were granted before.
    pub(crate) fn after(mut self, details: Option<&str>) -> Self {
        self.details = details.map(Into::into);
        self
    }
}

impl Grant for Refresh {
    fn grant_type(&self) -> &str {
        "refresh_token"
    }

    fn target(&self) -> &Target {
        &self.target
    }

    fn write(
        &self,
        request: &mut TokenRequest,
        _server: &ServerMetadata,
        _now: UnixTime,
    ) -> Result<(), aims_oauth_wire::Error> {
        request.parameter("refresh_token", self.token.clone())?;
        if !self.rules.omits_resource_on_refresh {
            request.resource(self.target.resource())?;
        }
        if self.rules.sends_scope_on_refresh {
            request.scope(&self.granted)?;
        }
        Ok(())
    }

    fn refresh_token(&self, response: &TokenResponse) -> Option<SecretText> {
        let new = response.refresh_token().cloned();
        new.or_else(|| Some(self.token.clone()))
    }

    fn granted_before(&self) -> Option<&ScopeSet> {
        Some(&self.granted)
    }

    fn details_granted_before(&self) -> Option<&str> {
        self.details.as_deref()
    }
}

/// Tokens that a user granted before. They are renewed by their refresh token. If that is not
/// possible, the user must decide again: the error is `grant.needs_user`.
///
/// ```
/// use std::sync::Arc;
///
/// use aims_oauth_client::{Error, Target, Token, TokenSource, UserGrant};
///
/// /// Returns a token for a tool in the name of this user, who logged in before.
/// async fn of_user(source: &TokenSource, user: &str) -> Result<Arc<Token>, Error> {
///     let target = Target::new("https://tools.example/mcp".parse()?, "read".parse()?);
///     source.token(UserGrant::new(target.with_subject(user))).await
/// }
/// ```
#[derive(Clone, Debug)]
pub struct UserGrant(Target);

impl UserGrant {
    /// Creates the grant for this target. If the program serves several users, the target must have
    /// the [subject](Target::with_subject).
    #[must_use]
    pub const fn new(target: Target) -> Self {
        Self(target)
    }
}

impl Grant for UserGrant {
    fn grant_type(&self) -> &str {
        "refresh_token"
    }

    fn target(&self) -> &Target {
        &self.0
    }

    fn write(
        &self,
        _request: &mut TokenRequest,
        _server: &ServerMetadata,
        _now: UnixTime,
    ) -> Result<(), aims_oauth_wire::Error> {
        Err(aims_oauth_wire::Error::Request {
            reason: "there is no refresh token; the user must grant access again",
        })
    }

    fn is_stored_only(&self) -> bool {
        true
    }

    fn cached_as(&self) -> &str {
        USER
    }
}

#[cfg(feature = "tokio")]
impl Error {
    /// Returns the error that tells that a user must decide.
    pub(crate) fn needs_user_after(last: Option<Self>) -> Self {
        Self::NeedsUser {
            last: last.map(std::sync::Arc::new),
        }
    }
}
