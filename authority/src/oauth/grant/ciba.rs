//! The grant for requests that a user approved on another device (OpenID CIBA Core 1.0 §10.1).

use aims_jose::jws::SigningInput;
use aims_jose::jwt::NumericDate;
use aims_jose::key::Signer as _;
use aims_jose::time::UnixTime;
use serde::Serialize;
use serde_json::Value;

use super::code::part;
use super::{AuthorizationServer, Error, GrantType, Granted, TokenRequest};
use crate::identity::add;
use crate::oauth::backchannel::AskedFor;
use crate::oauth::{Login, NewToken, details};

/// Issues one access token for an approved request, and no refresh token.
#[derive(Debug)]
pub(crate) struct Ciba;

/// The claims of an ID token (OpenID Connect Core 1.0 §2).
#[derive(Serialize)]
struct IdTokenClaims<'a> {
    iss: &'a str,
    sub: &'a str,
    aud: &'a str,
    iat: NumericDate,
    exp: NumericDate,
    /// The authorization details of the approval. A server that accepts the ID token for more
    /// widens what the user approved.
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    authorization_details: &'a [Value],
    #[serde(flatten)]
    login: &'a Login,
}

impl GrantType for Ciba {
    fn name(&self) -> &'static str {
        "urn:openid:params:grant-type:ciba"
    }

    fn grant(
        &self,
        server: &AuthorizationServer,
        request: &TokenRequest<'_>,
    ) -> Result<Granted, Error> {
        let TokenRequest { client, form, now } = *request;
        let id = form.get("auth_req_id").ok_or(Error::TokenRequest {
            reason: "no auth_req_id",
        })?;
        if client.client.flow.backchannel.is_none() {
            return Err(Error::ClientGrant {
                reason: "the client may not ask users for approval",
            });
        }
        // A request for another resource does not use the approval up.
        let check = |asked: &AskedFor| part(&asked.rights, request).map(|_| ());
        let (asked, login) = server.use_approval(id, &client.client_id, check, now)?;
        let (resource, scope) = part(&asked.rights, request)?;
        let entries = details::at(&asked.details, resource);
        let expires = add(now, details::longest(&entries, server.lifetime));
        let token = NewToken {
            client_id: &client.client_id,
            subject: &asked.subject,
            resource,
            scope: &scope,
            confirmation: client.confirmation(),
            login: Some(&login),
            details: &entries,
            actor: None,
            grant: None,
            expires,
            carried: None,
            parent: None,
        };
        let mut granted = Granted::access_token(server, client, &token, now)?;
        let id_token = id_token(server, &asked, &login, now)?;
        granted.members.push(("id_token", Value::String(id_token)));
        Ok(granted)
    }
}

/// Issues the ID token that an answer of this grant has (OpenID CIBA Core 1.0 §10.1.1).
fn id_token(
    server: &AuthorizationServer,
    asked: &AskedFor,
    login: &Login,
    now: UnixTime,
) -> Result<String, Error> {
    let expires = add(now, server.lifetime);
    let date = |at: UnixTime| {
        let date = NumericDate::from_secs(at.as_secs());
        date.ok_or_else(|| Error::unavailable("the clock is beyond all dates"))
    };
    let claims = IdTokenClaims {
        iss: server.base.as_str(),
        sub: &asked.subject,
        aud: &asked.client_id,
        iat: date(now)?,
        exp: date(expires)?,
        authorization_details: &asked.details,
        login,
    };
    let signer = server.ring.signer(expires, now);
    let signer = signer.ok_or_else(|| Error::unavailable("no key"))?;
    let signed = SigningInput::new("JWT", signer.algorithm(), signer.key_id(), &claims)
        .and_then(|input| input.sign(&*signer))
        .map_err(Error::unavailable)?;
    Ok(signed.expose().to_owned())
}
