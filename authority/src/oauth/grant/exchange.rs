//! Token exchange (RFC 8693): a narrower token for a resource that a tool calls on, or for the
//! trust domain.

use core::fmt;
use std::collections::BTreeMap;
use std::sync::Arc;

use aims_jose::digest::Fingerprint;
use aims_oauth_wire::delegate::{Kind, ScopeTable};
use aims_oauth_wire::names::ScopeSet;

use super::outgoing::Outgoing;
use super::subject::stated::Statement;
use super::subject::{ACCESS_TOKEN, Subject, TXN_TOKEN, asked_scopes};
use super::{AuthorizationServer, Error, GrantType, Granted, TokenRequest, transaction};
use crate::oauth::{NewToken, details};

/// An exchange that a client asks for, as [`ExchangePolicy`] sees it.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Exchange<'a> {
    /// The client that asks, the next actor.
    pub client_id: &'a str,
    /// `sub` of the subject token, which stays that of the new token. A subject of another issuer
    /// was mapped to this one.
    pub subject: &'a str,
    /// The client that the subject token was issued to: `client_id` of an access token, which
    /// called the tool, or `req_wl` of a transaction token.
    pub caller: &'a str,
    /// The issuer of the subject token, if it is not this server.
    pub issuer: Option<&'a str>,
    /// The form in which the client states the subject itself, if it presents no token of an
    /// issuer. Then it is the `caller`, and `from` is this server.
    pub stated: Option<Statement>,
    /// The resource that the subject token is for. For a transaction token it is the trust domain.
    pub from: &'a str,
    /// The resource or the trust domain that the new token is for.
    pub to: &'a str,
}

/// Decides which scopes of one resource become which scopes of another.
///
/// Whatever it answers, the new token never permits more than the table makes of the subject
/// token. It has the same subject, ends with the subject token at the latest, has no further
/// authorization details, and names the client as one more actor. [`ExchangeTable`] implements it.
pub trait ExchangePolicy: fmt::Debug + Send + Sync {
    /// Returns the scopes, as rows of a scope at [`Exchange::from`] and a scope at
    /// [`Exchange::to`], or `None` to refuse the exchange.
    fn scopes(&self, exchange: &Exchange<'_>) -> Option<ScopeTable>;
}

/// Scopes by pairs of resources, for every client that may use them.
///
/// ```
/// use aims_authority::{Exchange, ExchangeTable};
/// use aims_oauth_wire::delegate::ScopeTable;
///
/// // Who may search at the gateway may read files through it.
/// let table = ExchangeTable::new().allow(
///     "https://gateway.example/mcp",
///     "https://files.example",
///     ScopeTable::new([("search", "read")])?,
/// );
/// # drop(table);
/// # Ok::<(), aims_oauth_wire::Error>(())
/// ```
#[derive(Clone, Debug, Default)]
pub struct ExchangeTable(BTreeMap<Row, ScopeTable>);

/// The issuer of the subject token, if it is another, and the pair of resources.
type Row = (Option<String>, String, String);

impl ExchangeTable {
    /// Creates an empty table, which refuses every exchange.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Allows tokens for one resource to become tokens for another, with these scopes. A second
    /// table for one pair replaces the first.
    ///
    /// With the trust domain as `from`, it allows a [border client](crate::Client::border) to
    /// exchange transaction tokens for access tokens.
    #[must_use]
    pub fn allow(
        mut self,
        from: impl Into<String>,
        to: impl Into<String>,
        scopes: ScopeTable,
    ) -> Self {
        self.0.insert((None, from.into(), to.into()), scopes);
        self
    }

    /// Allows access tokens of another issuer for one resource to become tokens for another, with
    /// these scopes. [`allow`](Self::allow) is about tokens of this server alone.
    #[must_use]
    pub fn allow_issuer(
        mut self,
        issuer: impl Into<String>,
        from: impl Into<String>,
        to: impl Into<String>,
        scopes: ScopeTable,
    ) -> Self {
        let row = (Some(issuer.into()), from.into(), to.into());
        self.0.insert(row, scopes);
        self
    }
}

impl ExchangePolicy for ExchangeTable {
    fn scopes(&self, exchange: &Exchange<'_>) -> Option<ScopeTable> {
        let issuer = exchange.issuer.map(str::to_owned);
        let row = (issuer, exchange.from.to_owned(), exchange.to.to_owned());
        self.0.get(&row).cloned()
    }
}

/// Issues an access token for another resource, or a transaction token, from a token that was sent
/// to the client.
#[derive(Debug)]
pub(crate) struct TokenExchange(pub(crate) Option<Arc<dyn ExchangePolicy>>);

impl GrantType for TokenExchange {
    fn name(&self) -> &'static str {
        "urn:ietf:params:oauth:grant-type:token-exchange"
    }

    fn grant(
        &self,
        server: &AuthorizationServer,
        request: &TokenRequest<'_>,
    ) -> Result<Granted, Error> {
        let outgoing = Outgoing::of(server, request)?;
        let subject = Subject::of(server, request, outgoing.as_ref())?;
        let is_transaction = subject.kind == Kind::TransactionToken;
        let wants_transaction = request.form.get("requested_token_type") == Some(TXN_TOKEN);
        let granted = match (&outgoing, is_transaction, wants_transaction) {
            (Some(outgoing), ..) => outgoing.issue(server, &subject, request)?,
            (None, false, true) => transaction::issue(server, &subject, request)?,
            (None, true, true) => transaction::replace(server, &subject, request)?,
            (None, _, false) => self.access_token(server, &subject, request)?,
        };
        let presented = request.form.get("subject_token").unwrap_or_default();
        let parent = &subject.names;
        let judged = granted.judged.as_ref();
        tracing::info!(
            client_id = ?request.client.client_id,
            from = ?subject.from,
            parent_iss = ?parent.iss.as_deref().unwrap_or_default(),
            parent_id = ?parent.id().unwrap_or_default(),
            iss = ?server.base.as_str(),
            id = ?judged.and_then(|it| it.id.as_deref()).unwrap_or_default(),
            narrower = ?judged.map(|it| it.narrower.as_slice()).unwrap_or_default(),
            policy = ?server.policy_version.as_deref().unwrap_or_default(),
            txn = ?subject.transaction.as_ref().map(|it| &it.txn),
            subject_token = %Fingerprint::of(presented.as_bytes()),
            token = %Fingerprint::of(granted.token.expose().as_bytes()),
            "exchanged a token"
        );
        Ok(granted)
    }
}

impl TokenExchange {
    /// Issues an access token for the subject token.
    fn access_token(
        &self,
        server: &AuthorizationServer,
        subject: &Subject,
        request: &TokenRequest<'_>,
    ) -> Result<Granted, Error> {
        let TokenRequest { client, form, now } = *request;
        if subject.kind == Kind::TransactionToken && !client.client.flow.is_border {
            return Err(Error::ClientGrant {
                reason: "this client may not take transactions out of the trust domain",
            });
        }
        let to = target(request)?;
        let allowed = client.client.grants.get_key_value(to);
        let (to, allowed) = allowed.ok_or(Error::Target)?;
        if details::name_call(&subject.details) {
            // A second token would be a second use of the approval.
            return Err(Error::SubjectToken {
                reason: "a token for one call is used for that call, and not exchanged",
            });
        }
        let policy = self.0.as_ref().ok_or(Error::Target)?;
        let table = policy.scopes(&subject.exchange(client, to));
        let table = table.ok_or(Error::Target)?;
        let scope = scopes(subject, &table, request)?;
        if !scope.iter().all(|it| allowed.contains(it.as_str())) {
            return Err(Error::Scope);
        }
        let crossing = subject.crossing(server, Kind::AccessToken, to, table);
        let parent = crossing.translate(&subject.rights()?);
        let onward = details::onward(&subject.details, &subject.from, to);
        let details = details::part(onward, form)?;
        let actor = subject.actors(server, client);
        let scope = scope.to_string();
        let carried = subject.carried();
        let token = NewToken {
            client_id: &client.client_id,
            subject: &subject.subject,
            resource: to,
            scope: &scope,
            confirmation: client.confirmation(),
            login: subject.login.as_ref(),
            details: &details,
            actor: Some(&actor),
            grant: subject.grant.as_deref(),
            expires: server.end(now).min(subject.end()),
            carried: carried.as_ref(),
            parent: Some(&parent),
        };
        let mut granted = Granted::access_token(server, client, &token, now)?;
        let member = ("issued_token_type", ACCESS_TOKEN.into());
        granted.members.push(member);
        Ok(granted)
    }
}

/// Returns the only target of the request: a `resource`, or an `audience` in its place.
fn target<'a>(request: &TokenRequest<'a>) -> Result<&'a str, Error> {
    let form = request.form;
    let mut all = form.all("resource").chain(form.all("audience"));
    match (all.next(), all.next()) {
        (Some(only), None) => Ok(only),
        // RFC 8693 §2.1: several targets would each get all scopes.
        _ => Err(Error::Target),
    }
}

/// Returns the scopes of the new token: those asked for, or all that the table makes of those of
/// the subject token.
pub(super) fn scopes(
    subject: &Subject,
    table: &ScopeTable,
    request: &TokenRequest<'_>,
) -> Result<ScopeSet, Error> {
    if let Some(asked) = asked_scopes(request)? {
        return Ok(asked);
    }
    let own = subject.own_scopes()?;
    table.inward(&own).map_err(|_too_many| Error::Scope)
}
