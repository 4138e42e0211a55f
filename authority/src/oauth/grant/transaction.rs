//! Transaction tokens (draft-ietf-oauth-transaction-tokens) for access tokens, and their
//! replacement, by token exchange.

use core::fmt;
use core::time::Duration;

use aims_error::shown;
use aims_jose::json;
use aims_jose::jws::CompactJws;
use aims_jose::key::Signer as _;
use aims_jose::random::id128;
use aims_oauth_wire::delegate::{Kind, Rights, ScopeTable};
use aims_oauth_wire::names::ScopeSet;
use aims_txn_token::TxnTokenRequest;
use serde_json::{Map, Value};

use super::exchange::{Exchange, scopes};
use super::judge::judge;
use super::subject::stated::Statement;
use super::subject::{Subject, TXN_TOKEN, asked_scopes};
use super::{AuthorizationServer, Error, Granted, TokenRequest};
use crate::identity::add;
use crate::oauth::{TransactionService, details};

/// Maximum lifetime, in seconds. A transaction is one request and the calls that it causes.
pub(super) const LIFETIME: u64 = 60;

/// Decides what a transaction token says.
///
/// Whatever it answers, the token never permits more than the table of scopes makes of the subject
/// token. It has the same subject, ends with the subject token at the latest, and names the client
/// as one more actor.
pub trait TransactionPolicy: fmt::Debug + Send + Sync {
    /// Returns scopes and context of the transaction, or `None` to refuse. `details` and `context`
    /// are the parameters `request_details` and `request_context` of the client: unverified, so
    /// copy from them only what this client may say.
    fn decide(
        &self,
        exchange: &Exchange<'_>,
        details: &Map<String, Value>,
        context: &Map<String, Value>,
    ) -> Option<Transaction>;

    /// Returns whether access tokens of this other issuer become transaction tokens. By default
    /// none do. The subject is the one that [`MapSubject`](crate::MapSubject) returned.
    fn accepts_issuer(&self, issuer: &str) -> bool {
        let _every = issuer;
        false
    }

    /// Returns whether a client may state the subject of a transaction in this form, without an
    /// access token. By default none may. The client is one of those that
    /// [`Builder::stated_subjects`](crate::Builder::stated_subjects) lists, and
    /// [`Exchange::stated`] tells [`decide`](Self::decide) of it.
    fn accepts_statement(&self, form: Statement) -> bool {
        let _every = form;
        false
    }

    /// Returns what a replacement of a transaction token adds, or `None` to refuse it. By default
    /// every replacement is refused.
    ///
    /// Whatever it answers, the new token permits no more than the one that it replaces: same
    /// transaction, subject and context, no further scope, no later end, and the client as one more
    /// actor. It is called for clients with
    /// [`replace_transactions`](crate::Client::replace_transactions) alone.
    fn replace(&self, request: &ReplacementRequest<'_>) -> Option<Replacement> {
        let _every = request;
        None
    }
}

/// The content of a transaction token, as [`TransactionPolicy`] decides it.
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct Transaction {
    /// The scopes of the subject token, and those that they become within the trust domain.
    pub scopes: ScopeTable,
    /// `tctx`: the facts of the transaction, which stay the same along the calls.
    pub details: Map<String, Value>,
    /// `rctx`: the environment of the request.
    pub context: Map<String, Value>,
}

impl Transaction {
    /// Creates a transaction with these scopes, and without context.
    #[must_use]
    pub fn new(scopes: ScopeTable) -> Self {
        Self {
            scopes,
            ..Self::default()
        }
    }

    /// Sets `tctx`.
    #[must_use]
    pub fn with_details(mut self, details: Map<String, Value>) -> Self {
        self.details = details;
        self
    }

    /// Sets `rctx`.
    #[must_use]
    pub fn with_context(mut self, context: Map<String, Value>) -> Self {
        self.context = context;
        self
    }
}

/// A replacement of a transaction token that a client asks for, as [`TransactionPolicy`] sees it.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct ReplacementRequest<'a> {
    /// The client that asks, the next actor.
    pub client_id: &'a str,
    /// `sub` of the token, which stays.
    pub subject: &'a str,
    /// `req_wl` of the token: the client that asked for it.
    pub caller: &'a str,
    /// `txn`, which stays.
    pub txn: &'a str,
    /// The scopes of the new token: those asked for, or all of the token.
    pub scopes: &'a ScopeSet,
    /// `tctx` of the token, whose members stay as they are.
    pub transaction: &'a Map<String, Value>,
    /// The parameter `request_details` of the client. It is unverified.
    pub details: &'a Map<String, Value>,
    /// The parameter `request_context` of the client. It is unverified.
    pub context: &'a Map<String, Value>,
}

/// The additions of a replacement to a transaction token, as [`TransactionPolicy`] decides it.
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct Replacement {
    /// Further members of `tctx`. A replacement that changes a member is refused.
    pub details: Map<String, Value>,
    /// Further members of `rctx`. Those that the token has stay as they are.
    pub context: Map<String, Value>,
}

impl Replacement {
    /// Creates a replacement that adds nothing.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Sets the further members of `tctx`.
    #[must_use]
    pub fn with_details(mut self, details: Map<String, Value>) -> Self {
        self.details = details;
        self
    }

    /// Sets the further members of `rctx`.
    #[must_use]
    pub fn with_context(mut self, context: Map<String, Value>) -> Self {
        self.context = context;
        self
    }
}

/// Reads a parameter that is a JSON object.
fn object(request: &TokenRequest<'_>, name: &str) -> Result<Map<String, Value>, Error> {
    let Some(text) = request.form.get(name) else {
        return Ok(Map::new());
    };
    let bad = Error::TokenRequest {
        reason: "request_details and request_context must be JSON objects",
    };
    if json::check_object(text.as_bytes()).is_err() {
        return Err(bad);
    }
    serde_json::from_str(text).map_err(|_unexplained| bad)
}

/// Returns the service, if the request is for its trust domain alone.
fn service<'a>(
    server: &'a AuthorizationServer,
    request: &TokenRequest<'_>,
) -> Result<&'a TransactionService, Error> {
    let service = server.transactions.as_ref().ok_or(Error::Target)?;
    let form = request.form;
    let targets: Vec<&str> = form.all("audience").chain(form.all("resource")).collect();
    if targets != [service.domain.as_str()] {
        let reason = format!(
            "the trust domain of this server is {}, expected it as the only audience",
            service.domain
        );
        return Err(not_allowed(&reason, shown(targets)));
    }
    Ok(service)
}

fn not_allowed(reason: &str, found: Box<str>) -> Error {
    Error::TargetNotAllowed {
        reason: reason.into(),
        found,
    }
}

/// Issues a transaction token for the trust domain of this server.
pub(super) fn issue(
    server: &AuthorizationServer,
    subject: &Subject,
    request: &TokenRequest<'_>,
) -> Result<Granted, Error> {
    let service = service(server, request)?;
    let domain = service.domain.as_str();
    let details = object(request, "request_details")?;
    let context = object(request, "request_context")?;
    let asked = subject.exchange(request.client, domain);
    if asked
        .issuer
        .is_some_and(|it| !service.policy.accepts_issuer(it))
    {
        let reason = "TransactionPolicy::accepts_issuer refused the issuer of the subject token";
        return Err(not_allowed(reason, shown(asked.issuer)));
    }
    if asked
        .stated
        .is_some_and(|it| !service.policy.accepts_statement(it))
    {
        let reason = "TransactionPolicy::accepts_statement refused the form of the subject";
        return Err(not_allowed(reason, shown([asked.client_id])));
    }
    let decided = service.policy.decide(&asked, &details, &context);
    let decided = decided.ok_or_else(|| {
        let reason = "TransactionPolicy::decide refused this client, token or context";
        not_allowed(reason, shown([asked.client_id, asked.from]))
    })?;
    let scope = scopes(subject, &decided.scopes, request)?;
    let mut txn = id128(server.random).map_err(Error::unavailable)?;
    if let Some(grant) = &subject.grant {
        // As with `jti` of access tokens: a revoked grant ends its transactions.
        txn = format!("{grant}.{txn}");
    }
    let crossing = subject
        .crossing(server, Kind::TransactionToken, domain, decided.scopes)
        .claim("txn", txn.as_str());
    let mut details = decided.details;
    if let Some(call) = details::call(&subject.details) {
        // The call that a person has approved, whatever the policy says.
        details.insert("call_digest".to_owned(), call.digest().to_string().into());
    }
    let new = NewTransaction {
        txn: &txn,
        scope: scope.to_string(),
        details,
        context: decided.context,
        parent: crossing.translate(&subject.rights()?),
    };
    sign(server, service, subject, new, request)
}

/// Replaces a transaction token by one that permits no more, of the same transaction
/// (draft-ietf-oauth-transaction-tokens §13.15).
pub(super) fn replace(
    server: &AuthorizationServer,
    subject: &Subject,
    request: &TokenRequest<'_>,
) -> Result<Granted, Error> {
    let client = request.client;
    if !client.client.flow.replaces_transactions {
        return Err(Error::ClientGrant {
            reason: "this client may not replace transaction tokens",
        });
    }
    let service = service(server, request)?;
    let own = subject.transaction.as_ref();
    let own = own.ok_or_else(|| Error::unavailable("no transaction token"))?;
    let scope = match asked_scopes(request)? {
        Some(asked) => asked,
        None => subject.own_scopes()?,
    };
    let decided = service.policy.replace(&ReplacementRequest {
        client_id: &client.client_id,
        subject: &subject.subject,
        caller: &own.req_wl,
        txn: &own.txn,
        scopes: &scope,
        transaction: &own.tctx,
        details: &object(request, "request_details")?,
        context: &object(request, "request_context")?,
    });
    let decided = decided.ok_or_else(|| {
        let reason = "TransactionPolicy::replace refused this client, token or context";
        not_allowed(reason, shown([client.client_id.as_str()]))
    })?;
    let mut details = own.tctx.clone();
    details.extend(decided.details);
    let mut context = decided.context;
    context.extend(own.rctx.clone());
    let new = NewTransaction {
        txn: &own.txn,
        scope: scope.to_string(),
        details,
        context,
        parent: subject.rights()?,
    };
    sign(server, service, subject, new, request)
}

/// The content of a transaction token that is about to be signed.
struct NewTransaction<'a> {
    txn: &'a str,
    scope: String,
    details: Map<String, Value>,
    context: Map<String, Value>,
    /// The rights that it must not exceed.
    parent: Rights,
}

fn sign(
    server: &AuthorizationServer,
    service: &TransactionService,
    subject: &Subject,
    new: NewTransaction<'_>,
    request: &TokenRequest<'_>,
) -> Result<Granted, Error> {
    let TokenRequest { client, now, .. } = *request;
    let NewTransaction {
        txn, scope, parent, ..
    } = new;
    let Value::Object(act) = subject.actors(server, client) else {
        return Err(Error::unavailable("no chain of actors"));
    };
    let mut token =
        TxnTokenRequest::new(&service.domain, &subject.subject, &scope, &client.client_id)
            .issuer(server.base.as_str())
            .txn(txn)
            .actors(act);
    for (name, value) in new.details {
        token = token.transaction(name, value);
    }
    for (name, value) in new.context {
        token = token.request(name, value);
    }
    if let Some(begins) = subject.not_before {
        token = token.not_before(begins.into());
    }
    if let Some(confirmation) = client.confirmation() {
        let text = serde_json::to_string(&confirmation).map_err(Error::unavailable)?;
        token = token.confirmation(&text).map_err(Error::unavailable)?;
    }
    let left = aims_jose::time::until(subject.end(), now);
    let lifetime = Duration::from_secs(LIFETIME).min(left);
    let signer = service.ring.signer(add(now, lifetime), now);
    let signer = signer.ok_or_else(|| Error::unavailable("no key"))?;
    let input = token
        .prepare(
            signer.algorithm(),
            signer.key_id(),
            lifetime,
            server.random,
            now,
        )
        .map_err(|_unexplained| Error::TokenRequest {
            reason: "the context is too large, or the scope is empty",
        })?;
    let judged = judge(Kind::TransactionToken, &parent, &input)?;
    // Last, so that a request that is refused spends nothing.
    subject.spend(server, now)?;
    let signed: CompactJws = input.sign(&*signer).map_err(Error::unavailable)?;
    tracing::info!(
        client_id = ?client.client_id,
        ?txn,
        ?scope,
        token = %aims_jose::digest::Fingerprint::of(signed.expose().as_bytes()),
        "issued a transaction token"
    );
    Ok(Granted {
        token: signed.into_secret(),
        // It is no access token (RFC 8693 §2.2.1).
        token_type: "N_A",
        scope,
        expires_in: lifetime,
        refresh_token: None,
        members: vec![("issued_token_type", TXN_TOKEN.into())],
        next_nonce: None,
        judged: Some(judged),
    })
}
