//! Assertions for other authorization servers, which a token exchange issues: they are no access
//! tokens, and cannot get into an `Authorization` field.

use std::fmt;
use std::sync::Arc;

use aims_jose::json;
use aims_jose::jws::Unverified;
use aims_jose::jwt::{Audience, NumericDate};
use aims_jose::time::UnixTime;
use aims_oauth_wire::client_auth::Authenticate;
use aims_oauth_wire::delegate::ScopeTable;
use aims_oauth_wire::metadata::ServerMetadata;
use aims_oauth_wire::names::{ClientId, Issuer, Resource, ScopeSet};
use aims_oauth_wire::token::{TokenRequest, TokenResponse, TokenType};
use serde::Deserialize;

use super::crossed::{Crossed, GrantRules};
use super::judge::Deviation;
use super::{Secret, SubjectToken, TOKEN_EXCHANGE};
use crate::grant::pending::{Received, expect_type};
use crate::grant::{Grant, Target, TokenFlow, TokenRules};
use crate::{DpopKey, Error, Step};

const ID_JAG: &str = "urn:ietf:params:oauth:token-type:id-jag";
const ID_JAG_TYP: &str = "oauth-id-jag+jwt";
const JWT: &str = "urn:ietf:params:oauth:token-type:jwt";

/// An Identity Assertion JWT Authorization Grant: the assertion of an identity provider about its
/// user, for one authorization server (draft-ietf-oauth-identity-assertion-authz-grant).
///
/// It is no access token. [`JwtBearer`](crate::JwtBearer) presents it. `Debug` shows its
/// fingerprint.
#[derive(Clone)]
pub struct IdJag(Issued);

/// A JWT authorization grant of one authorization server for another one
/// (draft-ietf-oauth-identity-chaining §2.3).
///
/// It is no access token. [`JwtBearer`](crate::JwtBearer) presents it. `Debug` shows its
/// fingerprint.
#[derive(Clone)]
pub struct JwtGrant(Issued);

#[derive(Clone)]
struct Issued {
    text: Secret,
    audience: Issuer,
    expires: UnixTime,
}

macro_rules! issued {
    ($($name:ident)*) => {$(
        impl $name {
            /// Returns the authorization server that the assertion is for.
            #[must_use]
            pub const fn audience(&self) -> &Issuer {
                &self.0.audience
            }

            /// Returns when the assertion expires.
            #[must_use]
            pub const fn expires(&self) -> UnixTime {
                self.0.expires
            }

            pub(crate) const fn text(&self) -> &Secret {
                &self.0.text
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.debug_struct(stringify!($name))
                    .field("text", &self.0.text)
                    .field("audience", &self.0.audience)
                    .field("expires", &self.0.expires.as_secs())
                    .finish()
            }
        }
    )*};
}

issued! { IdJag JwtGrant }

/// Adds the settings that the requests for both kinds of assertions have.
macro_rules! settings {
    ($($name:ident)*) => {$(
        impl $name {
            /// Sets the requested scopes.
            #[must_use]
            pub fn scopes(mut self, scopes: ScopeSet) -> Self {
                self.target = self.target.with_scopes(scopes);
                self
            }

            /// Sets the authorization details (RFC 9396), as [`Target::with_details`] does.
            ///
            /// # Errors
            ///
            /// `grant.details` if the text is no JSON array of objects with a `type`.
            pub fn details(mut self, json: &str) -> Result<Self, Error> {
                self.target = self.target.with_details(json)?;
                Ok(self)
            }

            /// Sets which scopes of the subject token become which scopes at the other server. By
            /// default, the assertion may have the scopes that were requested.
            #[must_use]
            pub fn scopes_by(mut self, table: ScopeTable) -> Self {
                self.rules.table = Some(table);
                self
            }

            /// Accepts an assertion that ends after the subject token, for a server that gives each
            /// one a lifetime of its own.
            #[must_use]
            pub fn accept_new_lifetime(mut self) -> Self {
                self.rules.accepted.insert(Deviation::NewLifetime);
                self
            }

            /// Accepts an assertion that is bound to no key for a subject token that is, for a
            /// server that binds none. A thief can present it as this client, until it expires.
            #[must_use]
            pub fn accept_unbound(mut self) -> Self {
                self.rules.accepted.insert(Deviation::Unbound);
                self
            }
        }
    )*};
}

settings! { IdJagRequest JwtGrantRequest }

/// Requests an [`IdJag`] from the identity provider of a user.
///
/// `audience` of the request is the other authorization server, and `resource` is the tool
/// (draft-ietf-oauth-identity-assertion-authz-grant §4.3).
///
/// The assertion must not be more than what was asked for, nor more than the subject token as far
/// as the two can be compared. An ID token tells of a login, so its end does not count.
///
/// ```
/// use aims_oauth_client::{IdJagRequest, SubjectToken, Token};
///
/// /// The user logged in at the identity provider, which gave an ID token.
/// fn request(login: &Token) -> Result<Option<IdJagRequest>, aims_oauth_wire::Error> {
///     let server = "https://as.example".parse()?;
///     let tool = "https://tools.example/mcp".parse()?;
///     let subject = SubjectToken::id_token_of(login);
///     Ok(subject.map(|subject| IdJagRequest::new(subject, server, tool)))
/// }
/// ```
#[derive(Clone, Debug)]
pub struct IdJagRequest {
    subject: SubjectToken,
    audience: Issuer,
    target: Target,
    client: Option<ClientId>,
    key: Option<DpopKey>,
    rules: GrantRules,
}

impl IdJagRequest {
    /// Creates the request for an assertion to this authorization server, about this tool.
    #[must_use]
    pub fn new(subject: SubjectToken, audience: Issuer, tool: Resource) -> Self {
        Self {
            subject,
            audience,
            target: Target::new(tool, ScopeSet::new()),
            client: None,
            key: None,
            rules: GrantRules::default(),
        }
    }

    #[cfg(feature = "tokio")]
    pub(crate) fn with_canonical_details(mut self, details: Option<Box<str>>) -> Self {
        self.target = self.target.with_canonical_details(details);
        self
    }

    /// Sets the identifier of the client at the other server. An assertion for another client is
    /// refused.
    #[must_use]
    pub fn for_client(mut self, client: ClientId) -> Self {
        self.client = Some(client);
        self
    }

    /// Binds the assertion to this key (§8.6). An assertion without `cnf.jkt` of the key is
    /// refused.
    #[must_use]
    pub fn bound_to(mut self, key: DpopKey) -> Self {
        self.key = Some(key);
        self
    }

    /// Prepares the request to the identity provider.
    ///
    /// # Errors
    ///
    /// Those of [`TokenFlow::begin`]. The flow refuses an answer by `grant.issued_token_type`, by
    /// `grant.assertion` if it is not for this server, this client or this key, and by
    /// `grant.scope`, `grant.lifetime` or `delegate.…` if it permits more than was asked for or
    /// than the subject token.
    pub fn begin(
        self,
        client: Arc<dyn Authenticate>,
        provider: Arc<ServerMetadata>,
        now: UnixTime,
    ) -> Result<Step<IdJag, TokenFlow<IdJag>>, Error> {
        let key = self.key.clone();
        let rules = TokenRules::new();
        let grant = Arc::new(self);
        TokenFlow::begin_reading(grant, client, provider, rules, key, read_id_jag, now)
    }
}

impl Grant for IdJagRequest {
    fn grant_type(&self) -> &str {
        TOKEN_EXCHANGE
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
        request.parameter("requested_token_type", ID_JAG)?;
        request.audience(self.audience.as_str())?;
        self.target.write(request)?;
        self.subject.write(request)
    }

    fn judge(&self, response: &TokenResponse, now: UnixTime) -> Result<(), Error> {
        expect_type(response, ID_JAG)?;
        let token = parse(response)?;
        if !token.header().is_typ(ID_JAG_TYP) {
            return Err(fail("its `typ` is not `oauth-id-jag+jwt`"));
        }
        let payload = payload(&token)?;
        let claims = Claims::read(payload)?;
        if !claims.is_for(&self.audience) {
            return Err(fail("its `aud` is not the authorization server"));
        }
        let client = self.client.as_ref().map(ClientId::as_str);
        if client.is_some() && claims.client_id.as_deref() != client {
            return Err(fail("its `client_id` is another client"));
        }
        let bound = claims.cnf.and_then(|cnf| cnf.jkt);
        let key = self.key.as_ref().map(|key| key.thumbprint().to_string());
        if key.is_some() && bound != key {
            return Err(fail("it is not bound to the client's key"));
        }
        let crossed = Crossed {
            subject: &self.subject,
            target: &self.target,
            rules: &self.rules,
            is_provider: true,
        };
        crossed.judge(payload, response.scope(), now)
    }
}

/// Requests a [`JwtGrant`] from the own authorization server, to get a token of another one
/// (draft-ietf-oauth-identity-chaining §2.3).
///
/// The other authorization server is `resource` of the request. It is `audience` if the subject is
/// a transaction token (draft-fletcher-oauth-txn-token-chaining-profile), or if a
/// [resource](Self::for_resource) of the other domain is named.
///
/// The assertion must not be more than what was asked for, nor more than the subject token as far
/// as the two can be compared: its scopes, its end, its authorization details, its key, and the
/// transaction with its details.
#[derive(Clone, Debug)]
pub struct JwtGrantRequest {
    subject: SubjectToken,
    audience: Issuer,
    target: Target,
    by_name: bool,
    resources: Vec<Resource>,
    rules: GrantRules,
}

impl JwtGrantRequest {
    /// Creates the request for an assertion to this authorization server.
    ///
    /// # Errors
    ///
    /// `oauth.resource` if the issuer cannot be a resource.
    pub fn new(subject: SubjectToken, audience: Issuer) -> Result<Self, Error> {
        let text = audience.as_str();
        let resource = text
            .parse()
            .or_else(|error| Resource::loopback(text).or(Err(error)))?;
        Ok(Self {
            subject,
            target: Target::new(resource, ScopeSet::new()),
            audience,
            by_name: false,
            resources: Vec::new(),
            rules: GrantRules::default(),
        })
    }

    /// Sends the other server as `audience` instead of `resource`. The standard permits either
    /// (§2.3.1).
    #[must_use]
    pub const fn as_audience(mut self) -> Self {
        self.by_name = true;
        self
    }

    /// Adds a protected resource of the other domain that the token is for, as `resource`. The
    /// other server is then `audience`.
    #[must_use]
    pub fn for_resource(mut self, resource: Resource) -> Self {
        self.resources.push(resource);
        self.as_audience()
    }

    /// Accepts an assertion that lacks members of the transaction's `tctx` in `txn_claims`, for a
    /// server that tells the other domain a part of them. The call that a transaction is for
    /// (`call_digest`) stays required.
    #[must_use]
    pub fn accept_missing_context(mut self) -> Self {
        self.rules.accepted.insert(Deviation::MissingContext);
        self
    }

    /// Prepares the request to the own authorization server.
    ///
    /// # Errors
    ///
    /// Those of [`TokenFlow::begin`]; `oauth.request` if the other server is named as a resource of
    /// a transaction. The flow refuses an answer by `grant.issued_token_type`, by `grant.assertion`
    /// if it is not for the other server or of another transaction, and by `grant.scope`,
    /// `grant.lifetime` or `delegate.…` if it permits more than was asked for or than the subject
    /// token.
    pub fn begin(
        self,
        client: Arc<dyn Authenticate>,
        server: Arc<ServerMetadata>,
        now: UnixTime,
    ) -> Result<Step<JwtGrant, TokenFlow<JwtGrant>>, Error> {
        let rules = TokenRules::new();
        TokenFlow::begin_reading(Arc::new(self), client, server, rules, None, read_jwt, now)
    }
}

impl Grant for JwtGrantRequest {
    fn grant_type(&self) -> &str {
        TOKEN_EXCHANGE
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
        request.parameter("requested_token_type", JWT)?;
        let is_transaction = self.subject.is_transaction();
        if is_transaction && self.resources.contains(self.target.resource()) {
            return Err(aims_oauth_wire::Error::Request {
                reason: "the other server is the audience of a transaction, and no resource of it",
            });
        }
        if self.by_name || is_transaction {
            request.audience(self.audience.as_str())?;
        } else {
            request.resource(self.target.resource())?;
        }
        for resource in &self.resources {
            request.resource(resource)?;
        }
        request.scope(self.target.scopes())?;
        if let Some(details) = self.target.details() {
            request.parameter("authorization_details", details)?;
        }
        self.subject.write(request)
    }

    fn judge(&self, response: &TokenResponse, now: UnixTime) -> Result<(), Error> {
        expect_type(response, JWT)?;
        let token = parse(response)?;
        let payload = payload(&token)?;
        let claims = Claims::read(payload)?;
        if !claims.is_for(&self.audience) {
            return Err(fail("its `aud` is not the authorization server"));
        }
        let crossed = Crossed {
            subject: &self.subject,
            target: &self.target,
            rules: &self.rules,
            is_provider: false,
        };
        crossed.judge(payload, response.scope(), now)
    }
}

#[derive(Deserialize)]
struct Claims<'a> {
    #[serde(borrow)]
    aud: Audience<'a>,
    exp: Option<NumericDate>,
    client_id: Option<String>,
    cnf: Option<Cnf>,
}

#[derive(Deserialize)]
struct Cnf {
    jkt: Option<String>,
}

impl<'a> Claims<'a> {
    fn read(payload: &'a [u8]) -> Result<Self, Error> {
        json::from_object(payload).map_err(|_malformed| fail("a claim is malformed"))
    }

    fn is_for(&self, issuer: &Issuer) -> bool {
        self.aud.sole() == Some(issuer.as_str())
    }
}

/// Parses the assertion in the answer.
fn parse(response: &TokenResponse) -> Result<Unverified<'_>, Error> {
    let token = Unverified::parse(response.access_token().expose());
    token.map_err(|_malformed| fail("it is no JWT"))
}

fn payload<'a>(token: &'a Unverified<'_>) -> Result<&'a [u8], Error> {
    let payload = token.unverified_payload();
    payload.map_err(|_malformed| fail("a claim is malformed"))
}

fn read_id_jag(
    response: &TokenResponse,
    received: &Received<'_>,
    now: UnixTime,
) -> Result<IdJag, Error> {
    read(response, received, now).map(IdJag)
}

fn read_jwt(
    response: &TokenResponse,
    received: &Received<'_>,
    now: UnixTime,
) -> Result<JwtGrant, Error> {
    read(response, received, now).map(JwtGrant)
}

/// Reads an assertion. The grant judges it afterwards.
fn read(response: &TokenResponse, received: &Received<'_>, now: UnixTime) -> Result<Issued, Error> {
    if response.token_type() != TokenType::NotApplicable {
        return Err(Error::TokenType);
    }
    let token = parse(response)?;
    let claims = Claims::read(payload(&token)?)?;
    let audience = claims.aud.sole().ok_or(fail("it has several audiences"))?;
    let audience = audience
        .parse()
        .or_else(|error| Issuer::loopback(audience).or(Err(error)))?;
    let stated = received.expires(response, now)?;
    let own = claims.exp.map(NumericDate::as_secs).unwrap_or(u64::MAX);
    if own <= now.as_secs() {
        return Err(Error::Expired);
    }
    let own = UnixTime::since_unix_epoch(std::time::Duration::from_secs(own));
    Ok(Issued {
        text: response.access_token().clone(),
        audience,
        expires: stated.min(own),
    })
}

pub(super) const fn fail(reason: &'static str) -> Error {
    Error::Assertion { reason }
}
