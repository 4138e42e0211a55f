//! Transaction tokens: requested for an access token, and replaced by narrower ones
//! (draft-ietf-oauth-transaction-tokens §11, §13.15).

use std::fmt;
use std::sync::Arc;

use aims_jose::json::{self, Text};
use aims_jose::jwt::{Audience, NumericDate};
use aims_jose::time::UnixTime;
use aims_oauth_wire::call::CallDigest;
use aims_oauth_wire::client_auth::Authenticate;
use aims_oauth_wire::delegate::{Crossing, Dimension, Kind, Rights, ScopeTable, delegate};
use aims_oauth_wire::metadata::ServerMetadata;
use aims_oauth_wire::names::{Resource, ScopeSet};
use aims_oauth_wire::token::{TokenRequest, TokenResponse, TokenType};
use aims_oauth_wire::transaction::{CarriedTransaction, TRANSACTION_TOKEN};
use http::HeaderMap;
use serde::Deserialize;
use serde_json::{Map, Value};

use super::judge::{Ends, Own, lifetime, refuse_scopes};
use super::{SubjectToken, TOKEN_EXCHANGE};
use crate::grant::pending::{Received, expect_type};
use crate::grant::{Grant, Target, TokenFlow, TokenRules};
use crate::{Error, Step};

/// A transaction token that this client was given.
///
/// It is no access token: [`apply`](Self::apply) sets the field `Txn-Token`, and nothing gets it
/// into `Authorization`. `Debug` shows its fingerprint. Clones share the text.
#[derive(Clone)]
pub struct TransactionToken {
    carried: CarriedTransaction,
    txn: Box<str>,
    subject: Box<str>,
    domain: Box<str>,
    requester: Box<str>,
    scopes: ScopeSet,
    call: Option<CallDigest>,
    expires: UnixTime,
}

impl TransactionToken {
    /// Sets the field `Txn-Token` of a request, or of the metadata of a gRPC call.
    ///
    /// ```compile_fail,E0277
    /// fn as_access_token(token: &aims_oauth_client::TransactionToken) -> String {
    ///     format!("Bearer {token}") // no `Display`
    /// }
    /// ```
    pub fn apply(&self, headers: &mut HeaderMap) {
        self.carried.apply(headers);
    }

    /// Returns the token as it travels to the next service.
    #[must_use]
    pub const fn carried(&self) -> &CarriedTransaction {
        &self.carried
    }

    /// Returns `txn`, the id of the transaction. Replacements keep it.
    #[must_use]
    pub fn txn(&self) -> &str {
        &self.txn
    }

    /// Returns `sub`, as the trust domain names the subject.
    #[must_use]
    pub fn subject(&self) -> &str {
        &self.subject
    }

    /// Returns `aud`, the trust domain. The token must not leave it.
    #[must_use]
    pub fn domain(&self) -> &str {
        &self.domain
    }

    /// Returns `req_wl`, the workload that requested the token.
    #[must_use]
    pub fn requester(&self) -> &str {
        &self.requester
    }

    /// Returns the granted scopes.
    #[must_use]
    pub const fn scopes(&self) -> &ScopeSet {
        &self.scopes
    }

    /// Returns the one call that the token is for, if it is for one (`tctx.call_digest`).
    #[must_use]
    pub const fn call_digest(&self) -> Option<&CallDigest> {
        self.call.as_ref()
    }

    /// Returns when the token expires.
    #[must_use]
    pub const fn expires(&self) -> UnixTime {
        self.expires
    }

    /// Requests a replacement with these scopes. It keeps the transaction, its subject and its
    /// context, and permits no more in any dimension (§13.15).
    pub fn replacement(&self, scopes: ScopeSet) -> TransactionTokenRequest {
        let subject = SubjectToken::transaction(&self.carried);
        TransactionTokenRequest::new(subject, &*self.domain, scopes)
    }
}

impl fmt::Debug for TransactionToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TransactionToken")
            .field("text", &self.carried)
            .field("txn", &self.txn)
            .field("domain", &self.domain)
            .field("scopes", &self.scopes)
            .field("expires", &self.expires.as_secs())
            .finish_non_exhaustive()
    }
}

/// Requests a [`TransactionToken`] from the transaction token service of a trust domain.
///
/// The answer must not be more than what was asked for:
///
/// - It is a JWT with the `typ` `txntoken+jwt`, its type of token is `N_A`, and no refresh token
///   comes with it.
/// - It is for this domain alone, and has no scope that was not requested.
/// - It is for the [call](Self::call) that was named, if one was.
/// - If the subject token is a JWT access token (RFC 9068), the answer permits no more in any
///   [`Dimension`]: it ends with it, keeps its subject and its actors, stays bound if it is bound,
///   and has the scopes that the subject token has, or those that a [table](Self::scopes_by) makes
///   of them.
/// - A [replacement](TransactionToken::replacement) is compared in every dimension, and what cannot
///   be decided is refused.
///
/// ```
/// use std::sync::Arc;
///
/// use aims_oauth_client::{SubjectToken, TransactionTokenRequest};
/// use aims_oauth_wire::InboundToken;
/// use aims_oauth_wire::call::CallDigest;
///
/// /// A tool received an access token, and calls services of its domain for the same user.
/// fn call_on(
///     inbound: Arc<InboundToken>,
/// ) -> Result<TransactionTokenRequest, Box<dyn std::error::Error>> {
///     let subject = SubjectToken::inbound(inbound);
///     let call = CallDigest::of("transfer", Some(br#"{"to":"bob","amount":10}"#))?;
///     let scopes = "payments".parse()?;
///     Ok(TransactionTokenRequest::new(subject, "trust-domain.example", scopes).call(&call))
/// }
/// ```
#[derive(Clone, Debug)]
#[must_use = "a request is sent by `begin`"]
pub struct TransactionTokenRequest {
    subject: SubjectToken,
    domain: Box<str>,
    scopes: ScopeSet,
    details: Map<String, Value>,
    context: Map<String, Value>,
    call: Option<CallDigest>,
    table: Option<ScopeTable>,
    accepts_no_actors: bool,
    accepts_unbound: bool,
    accepts_other_subject: bool,
}

impl TransactionTokenRequest {
    /// Creates a request for this trust domain (`audience`) with these scopes, the purpose of the
    /// transaction.
    pub fn new(subject: SubjectToken, domain: impl Into<Box<str>>, scopes: ScopeSet) -> Self {
        Self {
            subject,
            domain: domain.into(),
            scopes,
            details: Map::new(),
            context: Map::new(),
            call: None,
            table: None,
            accepts_no_actors: false,
            accepts_unbound: false,
            accepts_other_subject: false,
        }
    }

    /// Sets the details of the transaction (`request_details`). The service decides what of them
    /// becomes `tctx`.
    pub fn details(mut self, details: Map<String, Value>) -> Self {
        self.details = details;
        self
    }

    /// Sets the environment of the request (`request_context`). The service decides what of it
    /// becomes `rctx`.
    pub fn context(mut self, context: Map<String, Value>) -> Self {
        self.context = context;
        self
    }

    /// Asks for a token for this one call, as the member `call_digest` of `request_details`. An
    /// answer that is for another call, or for none, is refused.
    pub const fn call(mut self, call: &CallDigest) -> Self {
        self.call = Some(*call);
        self
    }

    /// Sets which scopes of the subject token become which scopes within the domain. By default
    /// they are the same.
    pub fn scopes_by(mut self, table: ScopeTable) -> Self {
        self.table = Some(table);
        self
    }

    /// Accepts a token without the actors of the subject token, for a service that names none
    /// (`act` is of draft-araut-oauth-transaction-tokens-for-agents). The services of the domain
    /// then do not know which agent acts.
    pub const fn accept_missing_actors(mut self) -> Self {
        self.accepts_no_actors = true;
        self
    }

    /// Accepts a token that is bound to no key for a subject token that is, for a service that
    /// binds none. A thief within the domain can use it until it expires.
    pub const fn accept_unbound(mut self) -> Self {
        self.accepts_unbound = true;
        self
    }

    /// Accepts a token with another `sub` than the access token has, for a service that maps the
    /// subjects of the authorization server to names of its domain. The client cannot tell whether
    /// the name is that of the same subject.
    pub const fn accept_other_subject(mut self) -> Self {
        self.accepts_other_subject = true;
        self
    }

    /// Prepares the request to the service. Take its metadata from trusted configuration alone
    /// (draft-ietf-oauth-transaction-tokens §13.7).
    ///
    /// # Errors
    ///
    /// - Those of [`TokenFlow::begin`]; `oauth.request` without a domain or a scope, and for a
    ///   refresh token as the subject.
    /// - The flow refuses an answer by `grant.issued_token_type`, `grant.token_type`,
    ///   `grant.transaction`, `oauth.transaction_token`, `grant.scope`, `grant.lifetime`,
    ///   `grant.expired` and `delegate.…`.
    pub fn begin(
        self,
        client: Arc<dyn Authenticate>,
        service: Arc<ServerMetadata>,
        now: UnixTime,
    ) -> Result<Step<TransactionToken, TokenFlow<TransactionToken>>, Error> {
        let issuer = service.issuer().as_str();
        let resource = issuer
            .parse()
            .or_else(|error| Resource::loopback(issuer).or(Err(error)))?;
        let target = Target::new(resource, self.scopes.clone());
        let grant = Arc::new(Asked {
            request: self,
            target,
        });
        TokenFlow::begin_reading(grant, client, service, TokenRules::new(), None, read, now)
    }

    /// The details with the call.
    fn all_details(&self) -> Map<String, Value> {
        let mut all = self.details.clone();
        if let Some(call) = &self.call {
            all.insert("call_digest".to_owned(), Value::String(call.to_string()));
        }
        all
    }

    /// Compares the token with the subject token.
    fn compare(&self, payload: &[u8], child: &Claims<'_>) -> Result<(), Error> {
        let Some(parent) = self.subject.read() else {
            return self.check_scopes(self.subject.scopes.as_ref(), &child.scopes()?);
        };
        let unreadable = |_malformed| Error::Incomparable;
        let rights = Rights::read(Kind::TransactionToken, payload).map_err(unreadable)?;
        match parent.kind {
            Some(Kind::TransactionToken) => {
                let parent = Rights::read(Kind::TransactionToken, &parent.payload);
                let narrower = delegate(&parent.map_err(unreadable)?, rights);
                narrower.map(drop).map_err(Error::Amplified)
            }
            Some(Kind::AccessToken) => {
                let own = Own::read(&parent.payload)?;
                if child.sub != own.sub && !self.accepts_other_subject {
                    return Err(fail("its `sub` is not that of the subject token"));
                }
                let table = match &self.table {
                    Some(table) => table.clone(),
                    None => own.table()?,
                };
                let mut crossing = Crossing::new(Kind::TransactionToken, child.iss.as_deref())
                    .scopes_inward(table);
                crossing = match own.txn {
                    Some(_) => crossing.carry("txn"),
                    // A transaction begins with the exchange.
                    None => crossing.claim("txn", child.txn.as_deref().unwrap_or_default()),
                };
                for audience in own.audiences() {
                    crossing = crossing.audience(audience, &*self.domain);
                }
                let parent = Rights::read(Kind::AccessToken, &parent.payload);
                let parent = crossing.translate(&parent.map_err(unreadable)?);
                self.refuse_wider(&parent, &rights)
            }
            _ => self.check_scopes(self.subject.scopes.as_ref(), &child.scopes()?),
        }
    }

    /// Refuses what is certainly wider. The claims of the domain may be others than those of the
    /// subject token.
    fn refuse_wider(&self, parent: &Rights, child: &Rights) -> Result<(), Error> {
        let wider = parent.compare(child).refuse_wider(|it| match it {
            Dimension::Actors => !self.accepts_no_actors,
            Dimension::Confirmation => !self.accepts_unbound,
            _ => true,
        });
        wider.map_err(Error::Amplified)
    }

    /// Compares the scopes with those of a subject token that cannot be read.
    fn check_scopes(&self, own: Option<&ScopeSet>, granted: &ScopeSet) -> Result<(), Error> {
        let Some(own) = own else { return Ok(()) };
        let within = match &self.table {
            Some(table) => table.inward(own)?,
            None => own.clone(),
        };
        refuse_scopes(&within, granted)
    }
}

/// The request as a grant.
#[derive(Debug)]
struct Asked {
    request: TransactionTokenRequest,
    target: Target,
}

impl Grant for Asked {
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
        let asked = &self.request;
        let refused = |reason| Err(aims_oauth_wire::Error::Request { reason });
        if asked.scopes.is_empty() {
            return refused("a transaction token needs a scope");
        }
        if asked.subject.is_refresh_token() {
            return refused("a refresh token is no subject of a transaction");
        }
        request.parameter("requested_token_type", TRANSACTION_TOKEN)?;
        request.audience(&asked.domain)?;
        request.scope(&asked.scopes)?;
        let members = [
            ("request_details", asked.all_details()),
            ("request_context", asked.context.clone()),
        ];
        for (name, object) in members {
            if !object.is_empty() {
                request.parameter(name, Value::Object(object).to_string())?;
            }
        }
        asked.subject.write(request)
    }

    fn judge(&self, response: &TokenResponse, now: UnixTime) -> Result<(), Error> {
        expect_type(response, TRANSACTION_TOKEN)?;
        if response.refresh_token().is_some() {
            return Err(fail("a refresh token came with it"));
        }
        let asked = &self.request;
        let carried = CarriedTransaction::new(response.access_token().clone())?;
        let payload = carried.unverified_claims().unwrap_or_default();
        let claims = Claims::read(&payload)?;
        if claims.aud.as_ref().and_then(Audience::sole) != Some(&*asked.domain) {
            return Err(fail("its `aud` is not the trust domain"));
        }
        if asked.call.is_some() && claims.call()? != asked.call {
            return Err(fail("its `call_digest` is not that of the call"));
        }
        refuse_scopes(&asked.scopes, &claims.scopes()?)?;
        let ends = Ends {
            stated: None,
            exp: claims.ends(),
        };
        lifetime(&asked.subject, None, false, ends, now)?;
        asked.compare(&payload, &claims)
    }
}

/// The claims of a transaction token. Nothing of it is verified: the client asked the service
/// itself.
#[derive(Deserialize)]
struct Claims<'a> {
    #[serde(borrow, default)]
    aud: Option<Audience<'a>>,
    #[serde(borrow, default)]
    iss: Option<Text<'a>>,
    #[serde(borrow, default)]
    txn: Option<Text<'a>>,
    #[serde(borrow, default)]
    sub: Option<Text<'a>>,
    #[serde(borrow, default)]
    scope: Option<Text<'a>>,
    #[serde(borrow, default)]
    req_wl: Option<Text<'a>>,
    exp: Option<NumericDate>,
    #[serde(borrow, default)]
    tctx: Option<Context<'a>>,
}

#[derive(Deserialize)]
struct Context<'a> {
    #[serde(borrow, default)]
    call_digest: Option<Text<'a>>,
}

impl<'a> Claims<'a> {
    fn read(payload: &'a [u8]) -> Result<Self, Error> {
        json::from_object(payload).map_err(|_malformed| fail("a claim is malformed"))
    }

    fn scopes(&self) -> Result<ScopeSet, Error> {
        let scopes = self.scope.as_deref().and_then(|text| text.parse().ok());
        scopes.ok_or(fail("its `scope` is missing or malformed"))
    }

    fn call(&self) -> Result<Option<CallDigest>, Error> {
        let digest = self.tctx.as_ref().and_then(|it| it.call_digest.as_deref());
        let digest = digest.map(str::parse).transpose();
        digest.map_err(|_malformed| fail("its `call_digest` is malformed"))
    }

    fn ends(&self) -> Option<UnixTime> {
        self.exp.map(Into::into)
    }
}

/// Reads the token of a response. The grant judges it afterwards.
fn read(
    response: &TokenResponse,
    received: &Received<'_>,
    now: UnixTime,
) -> Result<TransactionToken, Error> {
    if response.token_type() != TokenType::NotApplicable {
        return Err(Error::TokenType);
    }
    received.check_scope(response.scope())?;
    let carried = CarriedTransaction::new(response.access_token().clone())?;
    let payload = carried.unverified_claims().unwrap_or_default();
    let claims = Claims::read(&payload)?;
    let text = |text: &Option<Text<'_>>| -> Result<Box<str>, Error> {
        let text = text.as_deref().filter(|text| !text.is_empty());
        let missing = fail("`txn`, `sub`, `aud` or `req_wl` is missing");
        text.map(Into::into).ok_or(missing)
    };
    let ends = claims.ends().ok_or(fail("it has no `exp`"))?;
    if ends <= now {
        return Err(Error::Expired);
    }
    let domain = claims.aud.as_ref().and_then(Audience::sole);
    Ok(TransactionToken {
        txn: text(&claims.txn)?,
        subject: text(&claims.sub)?,
        requester: text(&claims.req_wl)?,
        domain: domain
            .ok_or(fail("its `aud` is not one trust domain"))?
            .into(),
        scopes: claims.scopes()?,
        call: claims.call()?,
        expires: ends.min(received.expires(response, now)?),
        carried,
    })
}

const fn fail(reason: &'static str) -> Error {
    Error::Transaction { reason }
}
