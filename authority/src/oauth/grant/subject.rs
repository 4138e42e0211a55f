//! The subject token of an exchange (RFC 8693 §2.1): verified, and the client's to present.

mod identity;
pub(crate) mod stated;

use core::fmt;
use core::iter::successors;
use std::collections::BTreeSet;
use std::sync::Arc;

use aims_jose::jws::Unverified;
use aims_jose::jwt::{NumericDate, not_before, present};
use aims_jose::time::{UnixTime, at};
use aims_oauth_rs::{AccessToken, AccessTokenRules, IssuerStore, RefreshKeys};
use aims_oauth_wire::delegate::{Crossing, Kind, Rights, ScopeTable};
use aims_oauth_wire::names::{Issuer, ScopeSet};
use serde::Deserialize;
use serde_json::value::RawValue;
use serde_json::{Value, json};

use self::stated::{SELF_SIGNED, Statement, UNSIGNED_JSON, Unspent};
use super::assertion::permits;
use super::exchange::Exchange;
use super::judge::Names;
use super::outgoing::Outgoing;
use super::{AuthorizationServer, Error, TokenRequest};
use crate::identity::add;
use crate::oauth::issuer_keys::{LONGEST, unverified_issuer};
use crate::oauth::presented::{OwnToken, OwnTransaction};
use crate::oauth::revoked::LASTING;
use crate::oauth::store::{insert, key_of};
use crate::oauth::{Authenticated, Carried, Login, details};

/// The type of access tokens (RFC 8693 §3).
pub(super) const ACCESS_TOKEN: &str = "urn:ietf:params:oauth:token-type:access_token";
/// The type of ID tokens (RFC 8693 §3).
pub(super) const ID_TOKEN: &str = "urn:ietf:params:oauth:token-type:id_token";
/// The type of refresh tokens (RFC 8693 §3).
pub(super) const REFRESH_TOKEN: &str = "urn:ietf:params:oauth:token-type:refresh_token";
/// The type of transaction tokens (draft-ietf-oauth-transaction-tokens §11.1).
pub(super) const TXN_TOKEN: &str = aims_txn_token::TOKEN_TYPE;

/// Says which subjects of other issuers are which subjects of this server.
///
/// The subject `alice` of another issuer is not the user `alice` of this server. The tokens that an
/// exchange gives are about the subject that this trait returns.
///
/// ```
/// use aims_authority::MapSubject;
///
/// /// The users of one other issuer, with a prefix.
/// #[derive(Debug)]
/// struct Partner;
///
/// impl MapSubject for Partner {
///     fn subject(&self, issuer: &str, subject: &str) -> Option<String> {
///         (issuer == "https://as.partner.example").then(|| format!("partner:{subject}"))
///     }
/// }
/// ```
pub trait MapSubject: fmt::Debug + Send + Sync {
    /// Returns `sub` of the new token, or `None` to refuse the exchange.
    fn subject(&self, issuer: &str, subject: &str) -> Option<String>;
}

/// The other issuers whose access tokens are exchanged.
#[derive(Debug)]
pub(crate) struct SubjectIssuers {
    pub(crate) store: Arc<IssuerStore>,
    pub(crate) subjects: Arc<dyn MapSubject>,
    /// Fetches the keys of the store again.
    pub(crate) refresh: Option<Arc<dyn RefreshKeys>>,
    /// The issuers no claim of which limits anything.
    pub(crate) ignores_further_claims: BTreeSet<String>,
}

impl SubjectIssuers {
    /// Returns whether the store knows this issuer.
    pub(crate) fn knows(&self, issuer: &str) -> bool {
        let issuer = issuer.parse::<Issuer>();
        issuer.is_ok_and(|it| self.store.snapshot().is_configured(&it))
    }
}

/// A subject token.
#[derive(Debug)]
pub(super) struct Subject {
    pub(super) kind: Kind,
    /// Its issuer, if that is not this server.
    pub(super) issuer: Option<String>,
    /// The form in which the client states it itself, without a token of an issuer.
    pub(super) stated: Option<Statement>,
    /// Whether it is an ID token. Its issuer is `from`.
    pub(super) is_id_token: bool,
    /// `sub` of the new token.
    pub(super) subject: String,
    /// The client that the token was issued to.
    caller: String,
    /// The resource or the trust domain that the token is for.
    pub(super) from: String,
    issued: u64,
    /// `nbf`, which every token that is made from it has, too.
    pub(super) not_before: Option<NumericDate>,
    exp: u64,
    pub(super) grant: Option<String>,
    pub(super) login: Option<Login>,
    pub(super) details: Vec<Value>,
    act: Option<Value>,
    /// The claims of a transaction token.
    pub(super) transaction: Option<OwnTransaction>,
    /// The `jti` that is good for one transaction.
    unspent: Option<Unspent>,
    /// Its own names, for the log.
    pub(super) names: Names,
    /// The claims as they were signed or stored, or those of the access token that stands for it.
    payload: Vec<u8>,
}

/// The parts that every subject token has.
struct Parts {
    names: Names,
    subject: String,
    caller: String,
    from: String,
    issued: u64,
    not_before: Option<NumericDate>,
    exp: u64,
}

impl Subject {
    /// Creates the subject of a token with these parts alone, of this server and without claims.
    fn new(kind: Kind, parts: Parts) -> Self {
        Self {
            kind,
            issuer: None,
            stated: None,
            is_id_token: false,
            subject: parts.subject,
            caller: parts.caller,
            from: parts.from,
            issued: parts.issued,
            not_before: parts.not_before,
            exp: parts.exp,
            grant: None,
            login: None,
            details: Vec::new(),
            act: None,
            transaction: None,
            unspent: None,
            names: parts.names,
            payload: Vec::new(),
        }
    }

    /// Checks the parameters, and verifies the subject token. For a grant that leaves for another
    /// domain, the client may present its own access token.
    ///
    /// # Errors
    ///
    /// `as.request`, `as.client_grant`, `as.subject_token`; `as.subject` if a subject of another
    /// issuer was mapped to a name that no user may have.
    pub(super) fn of(
        server: &AuthorizationServer,
        request: &TokenRequest<'_>,
        outgoing: Option<&Outgoing<'_>>,
    ) -> Result<Self, Error> {
        let leaves = outgoing.is_some();
        let bad = |reason| Err(Error::TokenRequest { reason });
        let TokenRequest { client, form, now } = *request;
        if client.client.is_public() {
            return Err(Error::ClientGrant {
                reason: "a public client exchanges no tokens",
            });
        }
        if form.get("actor_token").is_some() || form.get("actor_token_type").is_some() {
            return bad("the authenticated client is the actor, expected no actor_token");
        }
        let Some(text) = form.get("subject_token") else {
            return bad("no subject_token");
        };
        let asked = form.get("requested_token_type");
        if !leaves && !matches!(asked, None | Some(ACCESS_TOKEN | TXN_TOKEN)) {
            return bad(
                "requested_token_type must be that of an access token or a transaction token",
            );
        }
        let assertion = outgoing.filter(|it| it.is_identity());
        let subject = match (form.get("subject_token_type"), asked) {
            (Some(ID_TOKEN), _) if let Some(it) = assertion => {
                Self::of_id_token(server, request, text, it.rules())?
            }
            (Some(REFRESH_TOKEN), _) if let Some(it) = assertion => {
                Self::of_refresh_token(server, request, text, it.rules())?
            }
            (Some(ACCESS_TOKEN), _) => Self::of_access_token(server, client, text, leaves, now)?,
            (Some(TXN_TOKEN), Some(_)) => Self::of_transaction(server, text, now)?,
            (Some(TXN_TOKEN), None) if leaves => Self::of_transaction(server, text, now)?,
            (Some(TXN_TOKEN), None) => {
                return bad("expected requested_token_type with a transaction token");
            }
            (Some(SELF_SIGNED), Some(TXN_TOKEN)) => {
                Self::of_statement(server, client, Statement::SelfSigned, text, now)?
            }
            (Some(UNSIGNED_JSON), Some(TXN_TOKEN)) => {
                Self::of_statement(server, client, Statement::UnsignedJson, text, now)?
            }
            (Some(SELF_SIGNED | UNSIGNED_JSON), _) => {
                return bad("a subject that the client states itself is for a transaction token");
            }
            _ => {
                return bad(
                    "subject_token_type must be that of an access token or a transaction token, for an identity assertion also that of an ID token or a refresh token, for a transaction token also self_signed or unsigned_json",
                );
            }
        };
        // That of another issuer was compared when it was verified.
        if subject.issuer.is_none() && !subject.permits(server, client)? {
            return Err(Error::SubjectToken {
                reason: "its may_act does not permit this client to act",
            });
        }
        let parties = [subject.subject.as_str(), subject.caller.as_str()];
        if server.is_any_revoked(parties, subject.act.as_ref(), subject.issued, now)? {
            return Err(Error::SubjectToken {
                reason: "its subject, its client or an actor was revoked or withdrawn",
            });
        }
        Ok(subject)
    }

    fn of_access_token(
        server: &AuthorizationServer,
        client: &Authenticated,
        text: &str,
        leaves: bool,
        now: UnixTime,
    ) -> Result<Self, Error> {
        if let Some(issuers) = &server.subject_issuers
            && issuer_of(text).is_some_and(|it| it != server.base.as_str())
        {
            return Self::of_foreign(server, issuers, client, text, now);
        }
        let OwnToken { claims, payload } = server.own_token(text, now)?;
        let is_own = leaves && claims.client_id == client.client_id;
        if !is_own && !client.client.flow.serves.contains(&claims.aud) {
            return Err(Error::ClientGrant {
                reason: "this client may not exchange tokens for that resource",
            });
        }
        let grant = claims.grant().map(str::to_owned);
        let parts = Parts {
            names: Names::of(&payload)?,
            subject: claims.sub,
            caller: claims.client_id,
            from: claims.aud,
            issued: claims.iat,
            not_before: claims.nbf,
            exp: claims.exp,
        };
        Ok(Self {
            grant,
            login: Some(claims.login),
            details: claims.authorization_details,
            act: claims.act,
            payload,
            ..Self::new(Kind::AccessToken, parts)
        })
    }

    fn of_transaction(
        server: &AuthorizationServer,
        text: &str,
        now: UnixTime,
    ) -> Result<Self, Error> {
        let (mut claims, payload) = server.own_transaction(text, now)?;
        let parts = Parts {
            names: Names::of(&payload)?,
            subject: claims.sub.clone(),
            caller: claims.req_wl.clone(),
            from: claims.aud.clone(),
            issued: claims.iat,
            not_before: claims.nbf,
            exp: claims.exp,
        };
        Ok(Self {
            grant: claims.grant().map(str::to_owned),
            act: claims.act.take(),
            transaction: Some(claims),
            payload,
            ..Self::new(Kind::TransactionToken, parts)
        })
    }

    /// Verifies an access token of another issuer (RFC 9068 §4).
    fn of_foreign(
        server: &AuthorizationServer,
        issuers: &SubjectIssuers,
        client: &Authenticated,
        text: &str,
        now: UnixTime,
    ) -> Result<Self, Error> {
        #[derive(Deserialize)]
        struct Claims {
            #[serde(default, deserialize_with = "not_before")]
            nbf: Option<NumericDate>,
            #[serde(default)]
            authorization_details: Vec<Value>,
            #[serde(default)]
            act: Option<Value>,
        }
        let bad = |reason| Error::SubjectToken { reason };
        let serves = &client.client.flow.serves;
        let mut served = serves.iter();
        let first = served.next().ok_or(Error::ClientGrant {
            reason: "this client serves no resource, so it may exchange no tokens",
        })?;
        let rules = served.fold(AccessTokenRules::new(first), AccessTokenRules::or_for);
        let token = AccessToken::verify(text, &issuers.store.snapshot(), &rules, now);
        let token = token.map_err(|error| {
            tracing::info!(
                code = error.code(),
                "refused a subject token of another issuer"
            );
            bad("it is no valid access token of a configured issuer for this client")
        })?;
        let mut named = token.audiences().iter().filter(|it| serves.contains(*it));
        let (Some(from), None) = (named.next(), named.next()) else {
            return Err(bad("its aud must name one resource of this client"));
        };
        // A revocation of its subject may be forgotten.
        let is_kept = |it: UnixTime| now <= add(it, LASTING);
        if !token.issued_at().is_none_or(is_kept) {
            return Err(bad("it is older than revocations are kept"));
        }
        // A new token ends with it, so no skew is allowed.
        if now >= token.expires() {
            return Err(bad("it has expired"));
        }
        if token.may_act(&client.client_id, Some(server.base.as_str())) == Some(false) {
            return Err(bad("its may_act does not permit this client to act"));
        }
        let subject = issuers.subjects.subject(token.issuer(), token.subject());
        let subject = subject.ok_or_else(|| bad("its subject is none of this server"))?;
        server.check_subject(&subject, now)?;
        let malformed = |_unexplained| bad("a claim is malformed");
        let claims: Claims = token.claims().map_err(malformed)?;
        // Only this server says who of its own clients acted.
        let mut actors = successors(claims.act.as_ref(), |it| it.get("act"));
        if actors.any(|it| it.get("iss").and_then(Value::as_str) == Some(server.base.as_str())) {
            return Err(bad("its act names an actor of this server"));
        }
        let payload: &RawValue = token.claims().map_err(malformed)?;
        let payload = payload.get().as_bytes().to_vec();
        let parts = Parts {
            names: Names::of(&payload)?,
            subject,
            caller: token.client_id().to_owned(),
            from: from.clone(),
            // Without a date it may be as old as the revocation.
            issued: token.issued_at().map_or(0, |it| it.as_secs()),
            not_before: claims.nbf,
            exp: token.expires().as_secs(),
        };
        Ok(Self {
            issuer: Some(token.issuer().to_owned()),
            details: claims.authorization_details,
            act: claims.act,
            payload,
            ..Self::new(Kind::AccessToken, parts)
        })
    }

    /// Spends what is good for one transaction alone: a token for one call, and the `jti` of a
    /// self-signed JWT.
    ///
    /// # Errors
    ///
    /// `as.subject_token` if it was spent before; `authority.unavailable` if the stores cannot
    /// tell.
    pub(super) fn spend(&self, server: &AuthorizationServer, now: UnixTime) -> Result<(), Error> {
        let bad = |reason| Error::SubjectToken { reason };
        if let Some(unspent) = &self.unspent {
            let store = server.replay.as_ref();
            match aims_replay::spend_proof(store, &unspent.name, unspent.valid, now) {
                Ok(()) => {}
                Err(aims_replay::Error::Replayed | aims_replay::Error::Expired) => {
                    return Err(bad("its jti was used before"));
                }
                Err(other) => return Err(Error::unavailable(other)),
            }
        }
        if details::name_call(&self.details) {
            let claims = aims_jose::digest::Fingerprint::of(&self.payload);
            let key = key_of(&format!("transaction of {claims}"));
            let (state, until) = (server.state.as_ref(), self.end());
            if !insert(state, crate::Kind::RevokedToken, &key, &(), until, now)? {
                return Err(bad("it is for one call, and has opened its transaction"));
            }
        }
        Ok(())
    }

    /// Returns `nbf` for an access token that is made from it.
    pub(super) fn carried(&self) -> Option<Carried> {
        let nbf = self.not_before?;
        Some(Carried {
            nbf: Some(nbf),
            txn: None,
            tctx: serde_json::Map::new(),
        })
    }

    /// Returns the end of the token. A token that is made from it ends no later.
    pub(super) const fn end(&self) -> UnixTime {
        at(self.exp)
    }

    /// Returns the exchange for a token for `to`, as policies see it.
    pub(super) fn exchange<'a>(&'a self, client: &'a Authenticated, to: &'a str) -> Exchange<'a> {
        Exchange {
            client_id: &client.client_id,
            subject: &self.subject,
            caller: &self.caller,
            issuer: self.issuer.as_deref(),
            stated: self.stated,
            from: &self.from,
            to,
        }
    }

    /// Returns whether `may_act` of a token of this server permits the client to act
    /// (RFC 8693 §4.4).
    fn permits(&self, server: &AuthorizationServer, client: &Authenticated) -> Result<bool, Error> {
        #[derive(Deserialize)]
        struct Claims {
            #[serde(default, deserialize_with = "present")]
            may_act: Option<Value>,
        }
        let claims: Claims = serde_json::from_slice(&self.payload).map_err(Error::unavailable)?;
        let own = server.base.as_str();
        let may_act = claims.may_act.as_ref();
        Ok(may_act.is_none_or(|it| permits(it, own, own, &client.client_id)))
    }

    /// Returns what the token permits.
    pub(super) fn rights(&self) -> Result<Rights, Error> {
        Rights::read(self.kind, &self.payload).map_err(Error::unavailable)
    }

    /// Returns the translation to a token of this kind, for `to`, with these scopes.
    pub(super) fn crossing(
        &self,
        server: &AuthorizationServer,
        kind: Kind,
        to: &str,
        scopes: ScopeTable,
    ) -> Crossing {
        let crossing = Crossing::new(kind, Some(server.base.as_str()))
            .audience(self.from.as_str(), to)
            .scopes_inward(scopes)
            .claim("sub", self.subject.as_str());
        let ignores_further_claims = self.issuer.as_deref().is_some_and(|issuer| {
            let issuers = server.subject_issuers.as_ref();
            issuers.is_some_and(|all| all.ignores_further_claims.contains(issuer))
        });
        // An ID token says who the user is, and limits nothing.
        match ignores_further_claims || self.is_id_token {
            true => crossing.leave_all(),
            false => crossing,
        }
    }

    /// Returns the chain of the token, with the client as the current actor (RFC 8693 §4.1). A
    /// client that is the current actor of a transaction token, or that states the subject itself,
    /// stays it.
    pub(super) fn actors(&self, server: &AuthorizationServer, client: &Authenticated) -> Value {
        let stays = self.kind == Kind::TransactionToken || self.stated.is_some();
        self.chain(server, client, stays)
    }

    /// Returns the chain of a grant for another domain. A client that presents its own token stays
    /// its current actor.
    pub(super) fn onward_actors(
        &self,
        server: &AuthorizationServer,
        client: &Authenticated,
    ) -> Value {
        self.chain(server, client, true)
    }

    fn chain(&self, server: &AuthorizationServer, client: &Authenticated, stays: bool) -> Value {
        let before = self.before(server);
        if stays && self.is_current(server, client) {
            return before;
        }
        let own = server.base.as_str();
        json!({"iss": own, "sub": client.client_id, "act": before})
    }

    /// Returns whether the client is the current actor of the token.
    pub(super) fn is_current(&self, server: &AuthorizationServer, client: &Authenticated) -> bool {
        let before = self.before(server);
        let says = |name: &str| before.get(name).and_then(Value::as_str);
        let own = server.base.as_str();
        [says("iss"), says("sub")] == [Some(own), Some(&client.client_id)]
    }

    /// Returns the chain of the token: without `act`, it is the client that it was issued to.
    fn before(&self, server: &AuthorizationServer) -> Value {
        let own = server.base.as_str();
        match &self.act {
            Some(act) => act.clone(),
            None => json!({"iss": self.issuer.as_deref().unwrap_or(own), "sub": self.caller}),
        }
    }

    /// Returns the scopes of the token.
    pub(super) fn own_scopes(&self) -> Result<ScopeSet, Error> {
        #[derive(Deserialize)]
        struct Scoped {
            #[serde(default)]
            scope: String,
        }
        let own: Scoped = serde_json::from_slice(&self.payload).map_err(Error::unavailable)?;
        own.scope.parse().map_err(|_none| Error::Scope)
    }
}

/// Returns the scopes that the request asks for, if it asks for some.
pub(super) fn asked_scopes(request: &TokenRequest<'_>) -> Result<Option<ScopeSet>, Error> {
    let asked = request.form.get("scope").map(str::parse);
    asked.transpose().map_err(|_malformed| Error::Scope)
}

/// Returns the issuer that a JWT names, if it is one. Nothing is verified: it selects the keys.
fn issuer_of(text: &str) -> Option<String> {
    let token = Unverified::parse_ignoring_key_references(text, LONGEST).ok()?;
    unverified_issuer(&token)
}
