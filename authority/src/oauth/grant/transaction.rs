//! Transaction tokens (draft-ietf-oauth-transaction-tokens) for access tokens, by token exchange.

use core::fmt;
use core::time::Duration;

use aims_jose::jws::{CompactJws, SigningInput};
use aims_jose::key::Signer as _;
use aims_jose::random::id128;
use aims_jose::{base64url, json};
use aims_oauth_wire::delegate::{Crossing, Kind, Rights, ScopeTable, delegate};
use aims_txn_token::TxnTokenRequest;
use serde_json::{Map, Value};

use super::exchange::{Exchange, actor, scopes};
use super::{AuthorizationServer, Error, Granted, TokenRequest};
use crate::identity::add;
use crate::oauth::presented::OwnToken;

/// The type of a transaction token.
pub(super) const TXN_TOKEN: &str = "urn:ietf:params:oauth:token-type:txn_token";
/// Maximum lifetime, in seconds. A transaction is one request and the calls that it causes.
const LIFETIME: u64 = 60;

/// Decides what a transaction token says.
///
/// Whatever it answers, the token never permits more than the table of scopes makes of the subject
/// token: same subject, end at most that of the subject token, and the client as one more actor.
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

/// Issues a transaction token for the trust domain of this server.
pub(super) fn issue(
    server: &AuthorizationServer,
    subject: &OwnToken,
    request: &TokenRequest<'_>,
) -> Result<Granted, Error> {
    let TokenRequest { client, form, now } = *request;
    let service = server.transactions.as_ref().ok_or(Error::Target)?;
    let domain = service.domain.as_str();
    let mut targets = form.all("audience").chain(form.all("resource"));
    if targets.next() != Some(domain) || targets.next().is_some() {
        return Err(Error::Target);
    }
    let OwnToken { claims, payload } = subject;
    let asked = Exchange {
        client_id: &client.client_id,
        subject: &claims.sub,
        caller: &claims.client_id,
        from: &claims.aud,
        to: domain,
    };
    let details = object(request, "request_details")?;
    let context = object(request, "request_context")?;
    let decided = service.policy.decide(&asked, &details, &context);
    let decided = decided.ok_or(Error::Target)?;
    let scope = scopes(payload, &decided.scopes, request)?.to_string();
    let txn = id128(server.random).map_err(Error::unavailable)?;
    let issuer = server.base.as_str();
    let Value::Object(act) = actor(issuer, client, claims) else {
        return Err(Error::unavailable("no chain of actors"));
    };
    let mut token = TxnTokenRequest::new(domain, &claims.sub, &scope, &client.client_id)
        .issuer(issuer)
        .txn(&txn)
        .actors(act);
    for (name, value) in decided.details {
        token = token.transaction(name, value);
    }
    for (name, value) in decided.context {
        token = token.request(name, value);
    }
    if let Some(confirmation) = client.confirmation() {
        let text = serde_json::to_string(&confirmation).map_err(Error::unavailable)?;
        token = token.confirmation(&text).map_err(Error::unavailable)?;
    }
    let parent = Rights::read(Kind::AccessToken, payload).map_err(Error::unavailable)?;
    let parent = Crossing::new(Kind::TransactionToken, Some(issuer))
        .audience(claims.aud.as_str(), domain)
        .scopes_inward(decided.scopes)
        .claim("txn", txn.as_str())
        .translate(&parent);
    let end = aims_jose::time::at(claims.exp);
    let lifetime = Duration::from_secs(LIFETIME).min(aims_jose::time::until(end, now));
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
    judge(&parent, &input)?;
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
    })
}

/// Compares what will be signed with the translated rights of the subject token.
fn judge(parent: &Rights, input: &SigningInput) -> Result<(), Error> {
    let text = core::str::from_utf8(input.as_bytes()).map_err(Error::unavailable)?;
    let payload = text.split('.').nth(1).unwrap_or_default();
    let payload = base64url::decode(payload).map_err(Error::unavailable)?;
    let rights = Rights::read(Kind::TransactionToken, &payload).map_err(Error::unavailable)?;
    drop(delegate(parent, rights).map_err(Error::Amplification)?);
    Ok(())
}
