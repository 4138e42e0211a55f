//! Grants of the token endpoint: [`GrantType`], its input and its result.

mod assertion;
pub(crate) mod ciba;
mod client_credentials;
pub(crate) mod code;
pub(crate) mod exchange;
pub(crate) mod judge;
mod jwt_bearer;
pub(crate) mod outgoing;
pub(crate) mod subject;
pub(crate) mod transaction;

use core::fmt::Debug;
use core::time::Duration;

use aims_jose::secret::SecretText;
use aims_jose::time::UnixTime;
use aims_oauth_wire::dpop::Nonce;
use aims_oauth_wire::token::Form;
use serde_json::Value;

pub(crate) use self::ciba::Ciba;
pub(crate) use self::client_credentials::ClientCredentials;
pub(crate) use self::code::{AuthorizationCode, RefreshTokens};
pub(crate) use self::exchange::TokenExchange;
use self::judge::Judged;
pub(crate) use self::jwt_bearer::JwtBearer;
use super::{Authenticated, AuthorizationServer, NewToken};
use crate::Error;

/// One grant of the token endpoint (RFC 6749 §1.3, extension grants of §4.5).
///
/// The token endpoint selects the grant by `grant_type` and authenticates the client. A grant is
/// called for an authenticated client, or for a public one. For a public client, which proves
/// nothing, the grant decides what it gets. The fields of a grant are its configuration; it lives
/// as long as the server.
/// [`grant_types`](crate::endpoint::grant_types) lists every grant of the server. The metadata and
/// the refusal of an unknown grant name the grants of that list.
///
/// ```text
/// #[derive(Debug)]
/// struct TokenExchange { issuers: Vec<TrustedIssuer> }
///
/// impl GrantType for TokenExchange {
///     fn name(&self) -> &'static str {
///         "urn:ietf:params:oauth:grant-type:token-exchange"
///     }
///
///     fn grant(
///         &self,
///         server: &AuthorizationServer,
///         request: &TokenRequest<'_>,
///     ) -> Result<Granted, Error> {
///         let subject = self.subject(request.form, request.now)?;
///         …
///     }
/// }
/// ```
pub(crate) trait GrantType: Debug + Send + Sync {
    /// Returns the value of `grant_type` in requests and in `grant_types_supported` of the
    /// metadata.
    ///
    /// Its characters must be allowed in `error_description` (RFC 6749 §5.2).
    fn name(&self) -> &'static str;

    /// Issues a token, or refuses.
    ///
    /// # Errors
    ///
    /// `as.request`, `as.scope`, `as.target`, and other errors that `Error::oauth` has a code for.
    fn grant(
        &self,
        server: &AuthorizationServer,
        request: &TokenRequest<'_>,
    ) -> Result<Granted, Error>;
}

/// A token request of an authenticated client.
#[derive(Clone, Copy)]
pub(crate) struct TokenRequest<'a> {
    /// The client, and the key that it has proven.
    pub(crate) client: &'a Authenticated,
    /// The parameters. Each occurs once, except `resource`.
    pub(crate) form: &'a Form,
    /// The time of the request.
    pub(crate) now: UnixTime,
}

/// A token and the members of its response (RFC 6749 §5.1).
#[derive(Debug)]
pub(crate) struct Granted {
    /// The token.
    pub(crate) token: SecretText,
    /// `token_type`.
    pub(crate) token_type: &'static str,
    /// `scope`; empty if the token has none.
    pub(crate) scope: String,
    /// `expires_in`.
    pub(crate) expires_in: Duration,
    /// `refresh_token`.
    pub(crate) refresh_token: Option<SecretText>,
    /// Further members of the response, such as `issued_token_type` (RFC 8693 §2.2.1).
    pub(crate) members: Vec<(&'static str, Value)>,
    /// The nonce for the client's next DPoP proof. The token endpoint sets it.
    pub(crate) next_nonce: Option<Nonce>,
    /// The comparison with the token that it is made from, if it is made from one.
    pub(crate) judged: Option<Judged>,
}

impl Granted {
    /// Issues an access token, and describes it as the response does (RFC 6749 §5.1, RFC 9396
    /// §7).
    ///
    /// # Errors
    ///
    /// `as.amplification`, `authority.state_full`, `authority.unavailable`.
    fn access_token(
        server: &AuthorizationServer,
        client: &Authenticated,
        token: &NewToken<'_>,
        now: UnixTime,
    ) -> Result<Self, Error> {
        let details = token.details.to_vec();
        let members = match details.is_empty() {
            true => Vec::new(),
            false => vec![("authorization_details", Value::Array(details))],
        };
        let (text, judged) = server.issue(token, now)?;
        Ok(Self {
            token: text,
            token_type: client.token_type(),
            scope: token.scope.to_owned(),
            expires_in: aims_jose::time::until(token.expires, now),
            refresh_token: None,
            members,
            next_nonce: None,
            judged,
        })
    }
}

/// The grants of a server.
#[derive(Debug)]
pub(crate) struct GrantTypes(Vec<Box<dyn GrantType>>);

impl GrantTypes {
    pub(crate) const fn new(grants: Vec<Box<dyn GrantType>>) -> Self {
        Self(grants)
    }

    /// Returns the values of `grant_types_supported`.
    pub(crate) fn names(&self) -> impl Iterator<Item = &'static str> {
        self.0.iter().map(|grant| grant.name())
    }

    /// Returns the grant with exactly this name.
    ///
    /// # Errors
    ///
    /// `as.grant_type`, with the names of the supported grants.
    pub(crate) fn find(&self, name: &str) -> Result<&dyn GrantType, Error> {
        let found = self.0.iter().find(|grant| grant.name() == name);
        found.map(AsRef::as_ref).ok_or_else(|| Error::GrantType {
            supported: self.names().collect(),
        })
    }
}

#[cfg(test)]
mod tests;
