//! Token exchange (RFC 8693): a narrower access token for a resource that a tool calls on.

use core::fmt;
use std::collections::BTreeMap;
use std::sync::Arc;

use aims_oauth_wire::delegate::{Crossing, Kind, Rights, ScopeTable};
use aims_oauth_wire::names::ScopeSet;
use serde_json::{Value, json};

use super::transaction::{self, TXN_TOKEN};
use super::{AuthorizationServer, Error, GrantType, Granted, TokenRequest};
use crate::oauth::presented::{OwnClaims, OwnToken};
use crate::oauth::{Authenticated, NewToken, details};

/// The type of subject and issued tokens (RFC 8693 §3).
const ACCESS_TOKEN: &str = "urn:ietf:params:oauth:token-type:access_token";

/// An exchange that a client asks for, as [`ExchangePolicy`] sees it.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Exchange<'a> {
    /// The client that asks, the next actor.
    pub client_id: &'a str,
    /// `sub` of the subject token, which stays that of the new token.
    pub subject: &'a str,
    /// `client_id` of the subject token: the client that called the tool.
    pub caller: &'a str,
    /// The resource that the subject token is for.
    pub from: &'a str,
    /// The resource that the new token is for.
    pub to: &'a str,
}

/// Decides which scopes of one resource become which scopes of another.
///
/// Whatever it answers, the new token never permits more than the table makes of the subject
/// token: same subject, lifetime at most that of the subject token, details at most those of the
/// subject token, and the client as one more actor. [`ExchangeTable`] implements it.
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
pub struct ExchangeTable(BTreeMap<(String, String), ScopeTable>);

impl ExchangeTable {
    /// Creates an empty table, which refuses every exchange.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Allows tokens for one resource to become tokens for another, with these scopes. A second
    /// table for one pair replaces the first.
    #[must_use]
    pub fn allow(
        mut self,
        from: impl Into<String>,
        to: impl Into<String>,
        scopes: ScopeTable,
    ) -> Self {
        self.0.insert((from.into(), to.into()), scopes);
        self
    }
}

impl ExchangePolicy for ExchangeTable {
    fn scopes(&self, exchange: &Exchange<'_>) -> Option<ScopeTable> {
        let pair = (exchange.from.to_owned(), exchange.to.to_owned());
        self.0.get(&pair).cloned()
    }
}

/// Issues an access token for another resource, from one that a client of the tool sent.
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
        let TokenRequest { client, form, now } = *request;
        let text = subject_token(request)?;
        let subject = server.own_token(text, now)?;
        let OwnToken { claims, payload } = &subject;
        if !client.client.flow.serves.contains(&claims.aud) {
            return Err(Error::ClientGrant {
                reason: "this client may not exchange tokens for that resource",
            });
        }
        if server.is_withdrawn(&claims.client_id, now)? || server.is_withdrawn(&claims.sub, now)? {
            return Err(Error::SubjectToken {
                reason: "the identity of its subject or client was withdrawn",
            });
        }
        if form.get("requested_token_type") == Some(TXN_TOKEN) {
            return transaction::issue(server, &subject, request);
        }
        let to = target(request)?;
        let allowed = client.client.grants.get_key_value(to);
        let (to, allowed) = allowed.ok_or(Error::Target)?;
        let policy = self.0.as_ref().ok_or(Error::Target)?;
        let table = policy.scopes(&Exchange {
            client_id: &client.client_id,
            subject: &claims.sub,
            caller: &claims.client_id,
            from: &claims.aud,
            to,
        });
        let table = table.ok_or(Error::Target)?;
        let parent = Rights::read(Kind::AccessToken, payload).map_err(Error::unavailable)?;
        let scope = scopes(payload, &table, request)?;
        if !scope.iter().all(|it| allowed.contains(it.as_str())) {
            return Err(Error::Scope);
        }
        let parent = Crossing::new(Kind::AccessToken, Some(server.base.as_str()))
            .audience(claims.aud.as_str(), to.as_str())
            .scopes_inward(table)
            .translate(&parent);
        let onward = details::onward(&claims.authorization_details, &claims.aud, to);
        let details = details::part(onward, form)?;
        let issuer = server.base.as_str();
        let actor = actor(issuer, client, claims);
        let scope = scope.to_string();
        let token = NewToken {
            client_id: &client.client_id,
            subject: &claims.sub,
            resource: to,
            scope: &scope,
            confirmation: client.confirmation(),
            login: Some(&claims.login),
            details: &details,
            actor: Some(&actor),
            grant: claims.grant(),
            expires: server.end(now).min(aims_jose::time::at(claims.exp)),
            parent: Some(&parent),
        };
        let mut granted = Granted::access_token(server, client, &token, now)?;
        let member = ("issued_token_type", ACCESS_TOKEN.into());
        granted.members.push(member);
        Ok(granted)
    }
}

/// Returns the chain of the subject token, with the client as the current actor (RFC 8693 §4.1).
pub(super) fn actor(issuer: &str, client: &Authenticated, claims: &OwnClaims) -> Value {
    let before = match &claims.act {
        Some(act) => act.clone(),
        None => json!({"iss": issuer, "sub": claims.client_id}),
    };
    json!({"iss": issuer, "sub": client.client_id, "act": before})
}

/// Checks the parameters, and returns the subject token (RFC 8693 §2.1).
fn subject_token<'a>(request: &TokenRequest<'a>) -> Result<&'a str, Error> {
    let bad = |reason| Err(Error::TokenRequest { reason });
    let TokenRequest { client, form, .. } = *request;
    if client.client.is_public() {
        return Err(Error::ClientGrant {
            reason: "a public client exchanges no tokens",
        });
    }
    if form.get("actor_token").is_some() || form.get("actor_token_type").is_some() {
        return bad("the authenticated client is the actor, expected no actor_token");
    }
    let Some(token) = form.get("subject_token") else {
        return bad("no subject_token");
    };
    if form.get("subject_token_type") != Some(ACCESS_TOKEN) {
        return bad("subject_token_type must be that of an access token");
    }
    let asked = form.get("requested_token_type");
    if !matches!(asked, None | Some(ACCESS_TOKEN | TXN_TOKEN)) {
        return bad("requested_token_type must be that of an access token or a transaction token");
    }
    Ok(token)
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
    payload: &[u8],
    table: &ScopeTable,
    request: &TokenRequest<'_>,
) -> Result<ScopeSet, Error> {
    #[derive(serde::Deserialize)]
    struct Scoped {
        #[serde(default)]
        scope: String,
    }
    if let Some(asked) = request.form.get("scope") {
        return asked.parse().map_err(|_malformed| Error::Scope);
    }
    let own: Scoped = serde_json::from_slice(payload).map_err(Error::unavailable)?;
    let own: ScopeSet = own.scope.parse().map_err(|_none| Error::Scope)?;
    table.inward(&own).map_err(|_too_many| Error::Scope)
}
