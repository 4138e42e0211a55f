//! Token requests whose response is pending.

use std::time::Duration;

use aims_error::shown;
use aims_jose::secret::SecretText;
use aims_jose::time::{self, UnixTime};
use aims_oauth_wire::client_auth::Authenticate;
use aims_oauth_wire::confirmation::CertificateThumbprint;
use aims_oauth_wire::metadata::{EndpointKind, ServerMetadata, Switch};
use aims_oauth_wire::names::ScopeSet;
use aims_oauth_wire::token::{ResponseRules, TokenRequest, TokenResponse, TokenType};
use http::{Request, Response};

use super::exchange::ACCESS_TOKEN;
use super::{Grant, Target, TokenRules};
use super::{certificate, details};
use crate::call::endpoint;
use crate::token::{Extras, User};
use crate::{DpopKey, Error, Token};

/// The assumed lifetime of a token whose server does not state one.
pub(super) const UNKNOWN_LIFETIME: Duration = Duration::from_secs(300);

/// A pending token request. Created by
/// [`ClientCredentials::prepare`](crate::ClientCredentials::prepare).
#[derive(Clone, Debug)]
#[must_use = "the answer to the token request is to be given to `finish`"]
pub struct PendingToken {
    target: Target,
    rules: TokenRules,
    /// The rules for the response. They know the secrets of the request.
    response: ResponseRules,
    sent: UnixTime,
    certificate: Option<CertificateThumbprint>,
}

/// Returns the authenticated request for a grant.
pub(super) fn prepare(
    grant: &dyn Grant,
    client: &dyn Authenticate,
    server: &ServerMetadata,
    rules: &TokenRules,
    now: UnixTime,
) -> Result<(Request<Vec<u8>>, PendingToken), Error> {
    certificate::expect_supported(client, server, rules)?;
    let endpoint = endpoint(client, server, EndpointKind::Token)?;
    let mut request = write(grant, server, rules, now)?.for_endpoint(endpoint);
    client.authenticate(&mut request, server, now)?;
    let request = request.into_http(endpoint)?;
    let mut response = ResponseRules::new().after(&request);
    if client.presents_certificate() || server.is_on(Switch::CertificateBoundTokens) {
        response = response.after_client_certificate();
    }
    let pending = PendingToken {
        target: grant.target().clone(),
        rules: rules.clone(),
        response: rules.of_response(response),
        sent: now,
        certificate: client.certificate(),
    };
    Ok((request, pending))
}

/// Returns the request for a grant, without client authentication.
pub(super) fn write(
    grant: &dyn Grant,
    server: &ServerMetadata,
    rules: &TokenRules,
    now: UnixTime,
) -> Result<TokenRequest, Error> {
    let grant_type = grant.grant_type();
    if !server.takes_grant(grant_type) {
        return Err(Error::GrantType);
    }
    let mut request = TokenRequest::new(grant_type)?;
    grant.write(&mut request, server, now)?;
    if rules.omits_resource {
        request.remove("resource");
    }
    Ok(request)
}

impl PendingToken {
    /// Reads the server's response.
    ///
    /// A refresh token in it is ignored (RFC 6749 §4.4.3). Without a usable `expires_in`, the token
    /// counts as valid for five minutes.
    ///
    /// # Errors
    ///
    /// - `oauth.refused` with the server's error (RFC 6749 §5.2), and others of
    ///   [`TokenResponse::parse_with`].
    /// - `grant.token_type` if the type is not `Bearer`, `grant.issued_token_type` if the token is
    ///   stated to be no access token, such as a grant for another domain.
    /// - `grant.certificate_unbound` and `grant.certificate_differs` if the token says that it is
    ///   not bound to the [certificate](Authenticate::certificate) of the client.
    /// - `grant.scope` if the token has scopes that were not requested (RFC 6749 §3.3) and that is
    ///   not [accepted](TokenRules::accept_unrequested_scopes).
    /// - `grant.other_details` if [details](crate::ClientCredentials::details) were requested and
    ///   the response states none, or if it states details that no requested entry covers (RFC 9396
    ///   §7). Without requested scopes and details, the server chooses them. Both are accepted by
    ///   name: [`TokenRules::accept_unstated_details`], [`TokenRules::accept_other_details`].
    /// - `grant.expired` if the token has no lifetime left.
    pub fn finish(self, answer: &Response<Vec<u8>>, now: UnixTime) -> Result<Token, Error> {
        let response = TokenResponse::parse_with(answer, &self.response)?;
        let received = Received {
            target: &self.target,
            rules: &self.rules,
            sent: self.sent,
            dpop: None,
            certificate: self.certificate,
            refresh_token: None,
            ends_by: None,
            granted: None,
            details: None,
            is_renewal: false,
            judges_details: false,
        };
        access_token(&response, &received, now)
    }
}

/// The data by which a client reads a response.
pub(crate) struct Received<'a> {
    pub(crate) target: &'a Target,
    pub(crate) rules: &'a TokenRules,
    /// The time of the request.
    pub(crate) sent: UnixTime,
    pub(crate) dpop: Option<&'a DpopKey>,
    /// The certificate that the token must be bound to.
    pub(crate) certificate: Option<CertificateThumbprint>,
    /// The refresh token to keep.
    pub(crate) refresh_token: Option<SecretText>,
    /// The end that the token has at the latest.
    pub(crate) ends_by: Option<UnixTime>,
    /// The scopes that were granted before, which count if the response states none.
    pub(crate) granted: Option<&'a ScopeSet>,
    /// The authorization details that were granted before.
    pub(crate) details: Option<&'a str>,
    /// Whether a refresh token was sent, so that what the response does not state stays.
    pub(crate) is_renewal: bool,
    /// Whether the grant judges the granted details.
    pub(crate) judges_details: bool,
}

/// Checks the type of the issued token (RFC 8693 §2.2.1).
pub(super) fn expect_type(response: &TokenResponse, expected: &'static str) -> Result<(), Error> {
    if response.issued_token_type() == Some(expected) {
        return Ok(());
    }
    Err(Error::IssuedTokenType {
        expected,
        found: shown(response.issued_token_type()),
    })
}

/// Reads an access token.
pub(super) fn access_token(
    response: &TokenResponse,
    received: &Received<'_>,
    now: UnixTime,
) -> Result<Token, Error> {
    let dpop = match (response.token_type(), received.dpop) {
        (TokenType::Bearer, None) => None,
        (TokenType::Dpop, Some(key)) => Some(key.clone()),
        (TokenType::Bearer, Some(_)) if received.rules.unbound_tokens => None,
        (TokenType::Bearer, Some(_)) => return Err(Error::Unbound),
        _ => return Err(Error::TokenType),
    };
    if response.issued_token_type().is_some() {
        expect_type(response, ACCESS_TOKEN)?;
    }
    let certificate = certificate::bound(response.access_token(), received)?;
    received.check_scope(response.scope())?;
    let details = details::granted(response, received)?;
    let asked = received.granted.unwrap_or_else(|| received.target.scopes());
    // Clones share what is equal to what was asked for.
    let scopes = response.scope().filter(|it| *it != asked).unwrap_or(asked);
    let token = Token::new(
        response.access_token().clone(),
        received.target.resource().clone(),
        scopes.clone(),
        received.expires(response, now)?,
        dpop,
    );
    Ok(token.with_extras(Extras {
        refresh_token: received.refresh_token.clone(),
        id_token: response.id_token().cloned(),
        user: response.id_token().and_then(User::of),
        certificate,
        details: details.map(Into::into),
    }))
}

impl Received<'_> {
    /// Checks that the granted scopes were requested, are accepted without that, or were granted
    /// with the refresh token (RFC 6749 §6). If the response has no scopes, they are the requested
    /// ones (RFC 6749 §5.1).
    pub(crate) fn check_scope(&self, granted: Option<&ScopeSet>) -> Result<(), Error> {
        let asked = self.target.scopes();
        if asked.is_empty() || self.rules.wider_scopes {
            return Ok(());
        }
        let accepts = |scope: &str| {
            asked.contains(scope)
                || self.rules.unrequested_scopes.contains(scope)
                || self.granted.is_some_and(|before| before.contains(scope))
        };
        let granted = granted.into_iter().flat_map(ScopeSet::iter);
        let granted = granted.map(|it| it.as_str());
        let wider: Vec<&str> = granted.filter(|it| !accepts(it)).collect();
        if wider.is_empty() {
            return Ok(());
        }
        Err(Error::Scope {
            wider: shown(wider),
        })
    }

    pub(crate) fn expires(
        &self,
        response: &TokenResponse,
        now: UnixTime,
    ) -> Result<UnixTime, Error> {
        let expires = response.expires_at(self.sent);
        let expires = expires.unwrap_or_else(|| time::after(self.sent, UNKNOWN_LIFETIME));
        if expires <= now {
            return Err(Error::Expired);
        }
        Ok(self.ends_by.map_or(expires, |end| end.min(expires)))
    }
}

impl TokenRules {
    pub(super) fn of_response(&self, mut rules: ResponseRules) -> ResponseRules {
        if self.comma_separated_scopes {
            rules = rules.accept_commas_in_scope();
        }
        if self.missing_token_type {
            rules = rules.accept_missing_token_type();
        }
        rules
    }
}
