//! The JWT grant (RFC 7523 §2.1): an access token for the authorization grant of another issuer.

use core::iter::successors;
use std::borrow::Cow;

use aims_error::shown;
use aims_oauth_wire::delegate::{Crossing, Kind, Rights};
use serde_json::{Value, json};

use super::assertion::Assertion;
use super::subject::asked_scopes;
use super::{AuthorizationServer, Error, GrantType, Granted, TokenRequest};
use crate::oauth::domain::{IncomingGrants, Profile};
use crate::oauth::{Carried, NewToken, details};

/// Issues an access token for the grant of another issuer, once.
#[derive(Debug)]
pub(crate) struct JwtBearer;

impl GrantType for JwtBearer {
    fn name(&self) -> &'static str {
        "urn:ietf:params:oauth:grant-type:jwt-bearer"
    }

    fn grant(
        &self,
        server: &AuthorizationServer,
        request: &TokenRequest<'_>,
    ) -> Result<Granted, Error> {
        let TokenRequest { client, form, now } = *request;
        if client.client.flow.unverified {
            return Err(Error::ClientGrant {
                reason: "a client that described itself presents no grants",
            });
        }
        let mut assertion = Assertion::of(server, request)?;
        let rules = assertion.rules;
        let to = target(&assertion, request)?;
        let allowed = client.client.grants.get_key_value(&to);
        let (to, allowed) = allowed.ok_or(Error::Target)?;
        let table = match client.client.is_public() && !assertion.has_scope() {
            true => Cow::Owned(assertion.complete(allowed.iter())?),
            false => Cow::Borrowed(rules.scopes.get(to).ok_or_else(|| no_table(rules, to))?),
        };
        let own = assertion.scopes()?;
        let scope = match asked_scopes(request)? {
            Some(asked) => asked,
            None => table.inward(&own).map_err(|_too_many| Error::Scope)?,
        };
        if !scope.iter().all(|it| allowed.contains(it.as_str())) {
            return Err(Error::Scope);
        }
        let subject = subject(server, &assertion, request)?;
        let actor = actors(server, &assertion, request)?;
        let details = part_of_details(server, &assertion, to, request)?;
        let carried = carried(&assertion)?;
        let crossing = Crossing::new(Kind::AccessToken, Some(server.base.as_str()))
            .audience(server.base.as_str(), to.as_str())
            .scopes_inward(table.into_owned())
            .claim("sub", subject.as_str());
        let crossing = match rules.ignores_further_claims {
            true => crossing.leave_all(),
            false => crossing,
        };
        let crossing = match &carried.txn {
            Some(txn) => crossing.claim("txn", txn.as_str()),
            None => crossing,
        };
        let rights = Rights::read(Kind::AuthorizationGrant, &assertion.payload);
        let parent = crossing.translate(&rights.map_err(Error::unavailable)?);
        let issuer = assertion.claims.iss.clone();
        let expires = assertion.expires();
        assertion.spend(client, server.replay.as_ref(), now)?;
        let scope = scope.to_string();
        let longest = details::longest(&details, server.lifetime);
        let token = NewToken {
            client_id: &client.client_id,
            subject: &subject,
            resource: to,
            scope: &scope,
            confirmation: client.confirmation(),
            login: None,
            details: &details,
            actor: actor.as_ref(),
            grant: None,
            expires: crate::identity::add(now, longest).min(expires),
            carried: Some(&carried),
            parent: Some(&parent),
        };
        let mut granted = Granted::access_token(server, client, &token, now)?;
        granted.members.push(("resource", to.as_str().into()));
        tracing::info!(
            client_id = ?client.client_id,
            ?issuer,
            assertion = %aims_jose::digest::Fingerprint::of(
                form.get("assertion").unwrap_or_default().as_bytes()
            ),
            txn = ?carried.txn,
            token = %aims_jose::digest::Fingerprint::of(granted.token.expose().as_bytes()),
            "accepted the grant of another issuer"
        );
        Ok(granted)
    }
}

fn no_table(rules: &IncomingGrants, to: &str) -> Error {
    Error::TargetNotAllowed {
        reason: "the grant has its own scopes, expected IncomingGrants::scopes to name this \
                 resource"
            .into(),
        found: shown([rules.issuer.as_str(), to]),
    }
}

/// Returns the only resource of the token: that of the request, which must be one of the grant's,
/// or that of the grant.
fn target(assertion: &Assertion<'_>, request: &TokenRequest<'_>) -> Result<String, Error> {
    let mut named = assertion.resources()?;
    if named.is_empty() && assertion.profile == Profile::IdJag {
        let default = assertion.rules.default_resource.clone();
        named.push(default.ok_or(Error::Assertion {
            reason: "it names no resource",
        })?);
    }
    let mut asked = request.form.all("resource");
    match (asked.next(), asked.next(), named.as_slice()) {
        (Some(only), None, []) => Ok(only.to_owned()),
        (Some(only), None, named) if named.iter().any(|it| it == only) => Ok(only.to_owned()),
        (None, _, [only]) => Ok(only.clone()),
        _ => Err(Error::Target),
    }
}

/// Returns who the subject of the grant is here.
fn subject(
    server: &AuthorizationServer,
    assertion: &Assertion<'_>,
    request: &TokenRequest<'_>,
) -> Result<String, Error> {
    let bad = |reason| Error::Assertion { reason };
    let claims = &assertion.claims;
    let subject = assertion.rules.subjects.subject(&claims.iss, &claims.sub);
    let subject = subject.ok_or_else(|| bad("its subject is none of this server"))?;
    server.check_subject(&subject, request.now)?;
    let parties = [subject.as_str(), request.client.client_id.as_str()];
    let issued = claims.iat.as_secs();
    if server.is_any_revoked(parties, claims.act.as_ref(), issued, request.now)? {
        return Err(bad(
            "its subject, its client or an actor was revoked or withdrawn",
        ));
    }
    Ok(subject)
}

/// Returns the chain of the grant, with the client as the current actor. A grant without a chain
/// begins none: the client acts for the subject, as after a login.
fn actors(
    server: &AuthorizationServer,
    assertion: &Assertion<'_>,
    request: &TokenRequest<'_>,
) -> Result<Option<Value>, Error> {
    let Some(before) = &assertion.claims.act else {
        return Ok(None);
    };
    let own = server.base.as_str();
    // Only this server says who of its own clients acted.
    let mut chain = successors(Some(before), |it| it.get("act"));
    if chain.any(|it| it.get("iss").and_then(Value::as_str) == Some(own)) {
        return Err(Error::Assertion {
            reason: "its act names an actor of this server",
        });
    }
    // An actor without `iss` is one of the issuer of its token, which changes here.
    let mut chain = successors(Some(before), |it| it.get("act"));
    if chain.any(|it| it.get("iss").is_none()) {
        return Err(Error::Assertion {
            reason: "its act has an actor without iss",
        });
    }
    let client = &request.client.client_id;
    Ok(Some(json!({"iss": own, "sub": client, "act": before})))
}

/// Returns the `authorization_details` of the token, which this server must know.
fn part_of_details(
    server: &AuthorizationServer,
    assertion: &Assertion<'_>,
    to: &str,
    request: &TokenRequest<'_>,
) -> Result<Vec<Value>, Error> {
    let granted = match &assertion.claims.authorization_details {
        Some(details) => {
            let client = &request.client.client;
            server.details(client, &details.to_string(), &[to])?
        }
        None => Vec::new(),
    };
    details::part(granted, request.form)
}

/// Returns the transaction of the token, whose members the resource must know.
fn carried(assertion: &Assertion<'_>) -> Result<Carried, Error> {
    let claims = &assertion.claims;
    let context = claims.txn_claims.clone().unwrap_or_default();
    let is_known = |name: &String| assertion.rules.context.contains(name);
    if !context.keys().all(is_known) {
        return Err(Error::Assertion {
            reason: "its txn_claims has a member that no resource here compares",
        });
    }
    Ok(Carried {
        nbf: claims.nbf,
        txn: claims.txn.clone(),
        tctx: context,
    })
}
