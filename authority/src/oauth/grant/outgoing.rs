//! Authorization grants for another domain, by token exchange: JWT grants of identity chaining,
//! identity assertions, and grants that carry a transaction.

use core::time::Duration;
use std::borrow::Cow;

use aims_jose::jwk::{JwkSet, PublicJwkSet, SetRules};
use aims_jose::jws::{CompactJws, SigningInput};
use aims_jose::jwt::NumericDate;
use aims_jose::key::Signer as _;
use aims_jose::random::id128;
use aims_oauth_wire::delegate::{Crossing, Kind, ScopeTable};
use aims_oauth_wire::names::{Resource, ScopeSet};
use aims_txn_token::{ChainGrantRequest, TxnToken, TxnTokenRules};
use serde::Serialize;
use serde_json::{Map, Value, json};

use super::exchange::scopes;
use super::judge::{Judged, judge, judge_claims, payload};
use super::subject::{ACCESS_TOKEN, ID_TOKEN, REFRESH_TOKEN, Subject, TXN_TOKEN, asked_scopes};
use super::{AuthorizationServer, Error, Granted, TokenRequest};
use crate::identity::add;
use crate::keys::KeyRing;
use crate::oauth::domain::{OutgoingGrants, Profile};
use crate::oauth::{Confirmation, Login, details};

/// The type of identity assertions (draft-ietf-oauth-identity-assertion-authz-grant §4.3).
pub(crate) const ID_JAG: &str = "urn:ietf:params:oauth:token-type:id-jag";
/// The type of JWT grants (draft-ietf-oauth-identity-chaining §2.3).
pub(crate) const JWT: &str = "urn:ietf:params:oauth:token-type:jwt";

/// A grant for another domain that a client asks for.
#[derive(Debug)]
pub(super) struct Outgoing<'a> {
    rules: &'a OutgoingGrants,
    profile: Profile,
    /// The client's identifier at the other server.
    client_id: &'a str,
    /// The resources of the other domain.
    resources: Vec<&'a Resource>,
}

impl<'a> Outgoing<'a> {
    /// Reads the request, and returns `None` if it is for a token of this domain.
    ///
    /// # Errors
    ///
    /// `as.target`, `as.client_grant`, `as.request`.
    pub(super) fn of(
        server: &'a AuthorizationServer,
        request: &TokenRequest<'a>,
    ) -> Result<Option<Self>, Error> {
        let TokenRequest { client, form, .. } = *request;
        let audience = form.all("audience").next();
        let mut named: Vec<&str> = form.all("resource").collect();
        let subject = form.get("subject_token_type");
        let is_known = |it: &str| server.domains.outgoing(it).is_some();
        let profile = match (form.get("requested_token_type"), subject) {
            (Some(ID_JAG), Some(ACCESS_TOKEN | ID_TOKEN | REFRESH_TOKEN)) => Profile::IdJag,
            (Some(JWT), Some(ACCESS_TOKEN)) => Profile::Jwt,
            (Some(JWT), Some(TXN_TOKEN)) => Profile::Transaction,
            (None, Some(TXN_TOKEN)) if audience.is_some_and(is_known) => Profile::Transaction,
            _ => return Ok(None),
        };
        let audience = match (audience, profile, named.as_slice()) {
            (Some(audience), ..) => audience,
            // Identity chaining may name the other server as the resource (§2.3.1).
            (None, Profile::Jwt, [_]) => named.remove(0),
            _ => return Err(Error::Target),
        };
        let rules = server.domains.outgoing(audience);
        let rules = rules.filter(|it| it.profiles.contains(&profile));
        let rules = rules.ok_or(Error::Target)?;
        let flow = &client.client.flow;
        let client_id = flow.known_as.get(audience).ok_or(Error::ClientGrant {
            reason: "this client may not ask for grants for that server",
        })?;
        if profile == Profile::Transaction && !flow.is_border {
            return Err(Error::ClientGrant {
                reason: "this client may not take transactions out of the trust domain",
            });
        }
        Ok(Some(Self {
            rules,
            profile,
            client_id,
            resources: resources(rules, profile, &named)?,
        }))
    }

    /// Returns whether it is an identity assertion.
    pub(super) fn is_identity(&self) -> bool {
        self.profile == Profile::IdJag
    }

    /// Returns the rules for the other server.
    pub(super) const fn rules(&self) -> &OutgoingGrants {
        self.rules
    }

    /// Returns what becomes of the scopes of the subject token.
    fn table(&self, subject: &Subject) -> Result<Cow<'a, ScopeTable>, Error> {
        if subject.is_id_token {
            // An ID token has no scopes: the operator has named those of the other server.
            let scopes = self.rules.id_tokens.get(&subject.from);
            let scopes = scopes.ok_or(Error::Target)?.iter().map(String::as_str);
            let table = ScopeTable::new(scopes.map(|scope| (scope, scope)));
            return table.map(Cow::Owned).map_err(|_malformed| Error::Scope);
        }
        let row = (subject.issuer.clone(), subject.from.clone());
        let table = self.rules.scopes.get(&row).ok_or(Error::Target)?;
        Ok(Cow::Borrowed(table))
    }

    /// Issues the grant.
    pub(super) fn issue(
        &self,
        server: &AuthorizationServer,
        subject: &Subject,
        request: &TokenRequest<'_>,
    ) -> Result<Granted, Error> {
        if details::name_call(&subject.details) {
            // A token of another domain would be a second use of the approval.
            return Err(Error::SubjectToken {
                reason: "a token for one call is used for that call, and not exchanged",
            });
        }
        let rules = self.rules;
        let table = &*self.table(subject)?;
        let name = rules
            .subjects
            .name(rules.audience.as_str(), &subject.subject);
        let name = name.ok_or(Error::SubjectToken {
            reason: "its subject is not known to the other domain",
        })?;
        let crossing = subject
            .crossing(
                server,
                Kind::AuthorizationGrant,
                rules.audience.as_str(),
                table.clone(),
            )
            .claim("sub", name.as_str());
        match self.profile {
            Profile::Transaction => {
                self.transaction(server, subject, (&name, table), crossing, request)
            }
            Profile::Jwt | Profile::IdJag => {
                self.assertion(server, subject, (&name, table), crossing, request)
            }
        }
    }

    /// Issues a JWT grant or an identity assertion.
    fn assertion(
        &self,
        server: &AuthorizationServer,
        subject: &Subject,
        (name, table): (&str, &ScopeTable),
        crossing: Crossing,
        request: &TokenRequest<'_>,
    ) -> Result<Granted, Error> {
        let TokenRequest { client, form, now } = *request;
        let scope = scopes(subject, table, request)?;
        let to: Vec<&str> = self.resources.iter().map(|it| it.as_str()).collect();
        let entries = match to.as_slice() {
            [only] => details::onward(&subject.details, &subject.from, only),
            _ => Vec::new(),
        };
        let entries = details::part(entries, form)?;
        let lifetime = self.lifetime(subject, request);
        let date = |at: aims_jose::time::UnixTime| {
            NumericDate::from_secs(at.as_secs())
                .ok_or_else(|| Error::unavailable("the clock is beyond all dates"))
        };
        let resource = match to.as_slice() {
            [] => None,
            [only] => Some(Value::from(*only)),
            several => Some(Value::from(several.to_vec())),
        };
        let claims = GrantClaims {
            iss: server.base.as_str(),
            sub: name,
            aud: self.rules.audience.as_str(),
            client_id: self.client_id,
            iat: date(now)?,
            exp: date(add(now, lifetime))?,
            nbf: subject.not_before,
            jti: id128(server.random).map_err(Error::unavailable)?,
            scope: scope.to_string(),
            resource: resource.clone(),
            authorization_details: &entries,
            act: subject.onward_actors(server, client),
            // The identity provider tells how its user has logged in.
            login: subject
                .login
                .as_ref()
                .filter(|_| self.profile == Profile::IdJag),
            cnf: client.confirmation(),
        };
        let typ = match self.profile {
            Profile::IdJag => "oauth-id-jag+jwt",
            Profile::Jwt | Profile::Transaction => "JWT",
        };
        let crossing = crossing.claim("client_id", self.client_id);
        let crossing = match resource {
            Some(resource) => crossing.claim("resource", resource),
            None => crossing,
        };
        let signer = server.ring.signer(add(now, lifetime), now);
        let signer = signer.ok_or_else(|| Error::unavailable("no key"))?;
        let input = SigningInput::new(typ, signer.algorithm(), signer.key_id(), &claims)
            .map_err(Error::unavailable)?;
        let judged = judge(
            Kind::AuthorizationGrant,
            &crossing.translate(&subject.rights()?),
            &input,
        )?;
        let signed = input.sign(&*signer).map_err(Error::unavailable)?;
        Ok(self.granted(signed, judged, &scope, lifetime))
    }

    /// Issues a grant that carries the transaction
    /// (draft-fletcher-oauth-txn-token-chaining-profile).
    fn transaction(
        &self,
        server: &AuthorizationServer,
        subject: &Subject,
        (name, table): (&str, &ScopeTable),
        crossing: Crossing,
        request: &TokenRequest<'_>,
    ) -> Result<Granted, Error> {
        let TokenRequest { client, form, now } = *request;
        let service = server.transactions.as_ref().ok_or(Error::Target)?;
        let text = form.get("subject_token").unwrap_or_default();
        let token = verified(server, &service.ring, &service.domain, text, now)?;
        let own = subject.transaction.as_ref();
        let own = own.ok_or_else(|| Error::unavailable("no transaction token"))?;
        let (issuer, audience) = (server.base.issuer().clone(), self.rules.audience.clone());
        let unusable = |error: aims_txn_token::Error| {
            tracing::info!(code = error.code(), "refused a grant for another domain");
            Error::Scope
        };
        let mut grant = ChainGrantRequest::new(&token, issuer, audience, name)
            .translated(table)
            .map_err(unusable)?;
        let mut scope = table
            .inward(token.scopes())
            .map_err(|_too_many| Error::Scope)?;
        if let Some(asked) = asked_scopes(request)? {
            if !asked.is_subset(&scope) {
                return Err(Error::Scope);
            }
            grant = grant.scope(&asked);
            scope = asked;
        }
        for resource in &self.resources {
            grant = grant.resource((*resource).clone());
        }
        for (member, value) in &own.tctx {
            // A member that the other domain does not compare would limit nothing there.
            if !self.rules.context.contains(member) {
                return Err(Error::TransactionStays);
            }
            grant = grant
                .carry(member, value.clone())
                .map_err(|_internal| Error::TransactionStays)?;
        }
        if let Some(confirmation) = client.confirmation() {
            let text = serde_json::to_string(&confirmation).map_err(Error::unavailable)?;
            grant = grant.confirmation(&text).map_err(Error::unavailable)?;
        }
        let lifetime = self.lifetime(subject, request);
        let signer = server.ring.signer(add(now, lifetime), now);
        let signer = signer.ok_or_else(|| Error::unavailable("no key"))?;
        let (algorithm, key_id) = (signer.algorithm(), signer.key_id());
        let input = grant
            .prepare(algorithm, key_id, lifetime, server.random, now)
            .map_err(unusable)?;
        let mut crossing = crossing.without_actors().claim("txn", own.txn.as_str());
        if !self.resources.is_empty() {
            let all: Vec<&str> = self.resources.iter().map(|it| it.as_str()).collect();
            crossing = crossing.claim("resource", all);
        }
        let parent = crossing.translate(&subject.rights()?);
        let mut claims: Map<String, Value> =
            serde_json::from_slice(&payload(&input)?).map_err(Error::unavailable)?;
        if !subject.is_current(server, client) {
            // The client is one more actor, which the grant does not tell.
            let actor = json!({"iss": server.base.as_str(), "sub": client.client_id});
            claims.insert("act".to_owned(), actor);
        }
        let claims = serde_json::to_vec(&claims).map_err(Error::unavailable)?;
        let judged = judge_claims(Kind::AuthorizationGrant, &parent, &claims)?;
        let signed = input.sign(&*signer).map_err(Error::unavailable)?;
        Ok(self.granted(signed, judged, &scope, lifetime))
    }

    /// Returns the lifetime of the grant, which ends no later than the subject token.
    fn lifetime(&self, subject: &Subject, request: &TokenRequest<'_>) -> Duration {
        let left = aims_jose::time::until(subject.end(), request.now);
        self.rules.lifetime.min(left)
    }

    fn granted(
        &self,
        signed: CompactJws,
        judged: Judged,
        scope: &ScopeSet,
        lifetime: Duration,
    ) -> Granted {
        let kind = match self.profile {
            Profile::IdJag => ID_JAG,
            Profile::Jwt | Profile::Transaction => JWT,
        };
        Granted {
            token: signed.into_secret(),
            // It is no access token (RFC 8693 §2.2.1).
            token_type: "N_A",
            scope: scope.to_string(),
            expires_in: lifetime,
            refresh_token: None,
            members: vec![("issued_token_type", kind.into())],
            next_nonce: None,
            judged: Some(judged),
        }
    }
}

/// The claims of a JWT grant (RFC 7523 §3) and of an identity assertion
/// (draft-ietf-oauth-identity-assertion-authz-grant §3.1).
#[derive(Serialize)]
struct GrantClaims<'a> {
    iss: &'a str,
    sub: &'a str,
    aud: &'a str,
    client_id: &'a str,
    iat: NumericDate,
    exp: NumericDate,
    #[serde(skip_serializing_if = "Option::is_none")]
    nbf: Option<NumericDate>,
    jti: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    scope: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    resource: Option<Value>,
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    authorization_details: &'a [Value],
    act: Value,
    #[serde(flatten)]
    login: Option<&'a Login>,
    #[serde(skip_serializing_if = "Option::is_none")]
    cnf: Option<Confirmation<'a>>,
}

/// Returns the resources that the grant is for: those asked for, which the rules must name, or the
/// only one of the rules.
fn resources<'a>(
    rules: &'a OutgoingGrants,
    profile: Profile,
    named: &[&str],
) -> Result<Vec<&'a Resource>, Error> {
    let known = |name: &&str| rules.resources.iter().find(|it| it.as_str() == *name);
    match (named, rules.resources.as_slice()) {
        ([], [only]) => Ok(vec![only]),
        // An assertion for no resource would say for no tool what the user may do there.
        ([], _) if profile == Profile::IdJag => Err(Error::Target),
        ([], _) => Ok(Vec::new()),
        _ => named
            .iter()
            .map(known)
            .collect::<Option<_>>()
            .ok_or(Error::Target),
    }
}

/// Verifies the transaction token again, into the type that grants are made of.
fn verified(
    server: &AuthorizationServer,
    ring: &KeyRing,
    domain: &str,
    text: &str,
    now: aims_jose::time::UnixTime,
) -> Result<TxnToken, Error> {
    let (keys, _) = ring.published(now);
    let keys = keys.into_iter().collect::<PublicJwkSet>().to_json();
    let keys = JwkSet::parse(keys.as_bytes(), &SetRules::oauth(), server.provider);
    let rules = TxnTokenRules::new(domain).with_issuer(server.base.as_str());
    TxnToken::verify(text, &keys.map_err(Error::unavailable)?, &rules, now)
        .map_err(Error::unavailable)
}
