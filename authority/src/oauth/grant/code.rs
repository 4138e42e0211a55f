//! Authorization code (RFC 6749 §4.1) with PKCE (RFC 7636), and refresh token (RFC 6749 §6).

use core::time::Duration;

use aims_jose::digest::sha256_base64url;
use aims_jose::secret::SecretText;
use aims_jose::time::UnixTime;
use serde::{Deserialize, Serialize};

use super::{AuthorizationServer, Error, GrantType, Granted, TokenRequest};
use crate::Kind;
use crate::identity::add;
use crate::oauth::authorize::{AuthorizationRequest, Interaction, RightsAt};
use crate::oauth::family::{Grant, Refresh, refresh_token};
use crate::oauth::store::{self, insert, key_of, secret};
use crate::oauth::{Authenticated, Login, NewToken, details};

/// Lifetime of a code, in seconds.
const LIFETIME: u64 = 60;

/// The refusal of what was issued before its subject was revoked.
pub(crate) const REVOKED: Error = Error::Grant {
    reason: "its subject or its client was revoked or withdrawn",
};

/// The entry of a code.
#[derive(Deserialize, Serialize)]
struct Code {
    request: AuthorizationRequest,
    subject: String,
    login: Login,
    /// When it was issued.
    #[serde(default)]
    issued: u64,
    /// Whether it was used. A used code stays for a time, so that its second use is noticed.
    used: bool,
}

/// Issues the code of an allowed request.
pub(crate) fn issue(
    server: &AuthorizationServer,
    allowed: Interaction,
    now: UnixTime,
) -> Result<SecretText, Error> {
    let text = secret(server.random)?;
    let code = Code {
        request: allowed.request,
        subject: allowed.subject,
        login: allowed.login,
        issued: now.as_secs(),
        used: false,
    };
    let until = add(now, Duration::from_secs(LIFETIME));
    let key = key_of(text.expose());
    if insert(server.state.as_ref(), Kind::Code, &key, &code, until, now)? {
        Ok(text)
    } else {
        Err(Error::unavailable("a random number came twice"))
    }
}

/// Issues an access token, and the first refresh token, for a code.
#[derive(Debug)]
pub(crate) struct AuthorizationCode;

impl GrantType for AuthorizationCode {
    fn name(&self) -> &'static str {
        "authorization_code"
    }

    fn grant(
        &self,
        server: &AuthorizationServer,
        request: &TokenRequest<'_>,
    ) -> Result<Granted, Error> {
        let TokenRequest { client, form, now } = *request;
        let text = form
            .get("code")
            .ok_or(Error::TokenRequest { reason: "no code" })?;
        let (state, key) = (server.state.as_ref(), key_of(text));
        let unknown = Error::Grant {
            reason: "the code is unknown or has expired",
        };
        let found = store::read::<Code>(state, Kind::Code, &key, now)?.ok_or(unknown)?;
        let code = &found.value;
        check(code, request)?;
        // Derived from the code, so that its second use finds what the first one gave.
        let handle = sha256_base64url(&format!("grant of {text}"));
        let id = key_of(&handle);
        if code.used {
            server.revoke_grant(&id, now)?;
            return Err(Error::CodeUsed);
        }
        let parties = [client.client_id.as_str(), code.subject.as_str()];
        if server.is_any_revoked(parties, None, code.issued, now)? {
            return Err(REVOKED);
        }
        let next = secret(server.random)?;
        // What a user approved for one call is not renewed.
        let is_renewed = !details::name_call(&code.request.details);
        let longest = if is_renewed {
            server.refresh_longest
        } else {
            server.lifetime
        };
        let grant = Grant {
            client_id: client.client_id.clone(),
            subject: code.subject.clone(),
            login: code.login.clone(),
            rights: code.request.rights.clone(),
            details: code.request.details.clone(),
            // A client that authenticates by a key is known by it (RFC 9449 §5).
            jkt: client.dpop.filter(|_| !client.proves_itself()),
            certificate: client
                .certificate
                .filter(|_| !client.proves_itself())
                .map(|it| it.to_string()),
            began: code.issued,
            end: add(now, longest).as_secs(),
            refresh: Refresh::new(&next),
        };
        let mut granted = access_token(server, &grant, &id, request)?;
        let used = Code {
            request: code.request.clone(),
            subject: code.subject.clone(),
            login: code.login.clone(),
            issued: code.issued,
            used: true,
        };
        let until = add(now, server.lifetime.max(Duration::from_secs(LIFETIME)));
        if !found.replace(state, Kind::Code, &key, &used, until, now)? {
            // Another request used it at the same moment.
            server.revoke_grant(&id, now)?;
            return Err(Error::CodeUsed);
        }
        server.list_grant(&id, &grant, now)?;
        if !server.begin_grant(&id, grant, now)? {
            return Err(Error::CodeUsed);
        }
        if is_renewed {
            granted.refresh_token = Some(refresh_token(&handle, &next));
        }
        Ok(granted)
    }
}

/// Checks that the request comes from the client that the code was issued to, with the verifier.
fn check(code: &Code, request: &TokenRequest<'_>) -> Result<(), Error> {
    let bad = |reason| Err(Error::Grant { reason });
    let TokenRequest { client, form, .. } = request;
    if code.request.client_id != client.client_id {
        return bad("the code was issued to another client");
    }
    if code.request.sent_redirect_uri.as_deref() != form.get("redirect_uri") {
        return bad("redirect_uri is not that of the authorization request");
    }
    let is_unreserved = |it: u8| it.is_ascii_alphanumeric() || b"-._~".contains(&it);
    let verifier = form.get("code_verifier").unwrap_or_default();
    let is_verifier = (43..=128).contains(&verifier.len()) && verifier.bytes().all(is_unreserved);
    if !is_verifier || sha256_base64url(verifier) != code.request.code_challenge {
        return bad("code_verifier does not belong to the code");
    }
    if code
        .request
        .dpop_jkt
        .is_some_and(|it| client.dpop != Some(it))
    {
        return bad("the code is bound to another DPoP key");
    }
    Ok(())
}

/// Issues an access token, and the next refresh token, for a refresh token.
#[derive(Debug)]
pub(crate) struct RefreshTokens;

impl GrantType for RefreshTokens {
    fn name(&self) -> &'static str {
        "refresh_token"
    }

    fn grant(
        &self,
        server: &AuthorizationServer,
        request: &TokenRequest<'_>,
    ) -> Result<Granted, Error> {
        let TokenRequest { client, form, now } = *request;
        let text = form.get("refresh_token").ok_or(Error::TokenRequest {
            reason: "no refresh_token",
        })?;
        let check = |grant: &Grant| check_refresh(server, grant, client, now);
        let issue = |grant: &Grant, id: &str| access_token(server, grant, id, request);
        let (mut granted, next) =
            server.use_refresh_token(text, client.proves_itself(), check, issue, now)?;
        granted.refresh_token = Some(next);
        Ok(granted)
    }
}

/// Checks that this client may present the refresh token of a grant, whose parties were not revoked
/// since.
pub(super) fn check_refresh(
    server: &AuthorizationServer,
    grant: &Grant,
    client: &Authenticated,
    now: UnixTime,
) -> Result<(), Error> {
    let bad = |reason| Err(Error::Grant { reason });
    if grant.client_id != client.client_id {
        return bad("the refresh token was issued to another client");
    }
    if grant.jkt.is_some_and(|it| client.dpop != Some(it)) {
        return bad("the refresh token is bound to another DPoP key");
    }
    let parties = [grant.client_id.as_str(), grant.subject.as_str()];
    if server.is_any_revoked(parties, None, grant.began, now)? {
        return Err(REVOKED);
    }
    let presented = client.certificate.map(|it| it.to_string());
    if grant.certificate.is_some() && grant.certificate != presented {
        return bad("the refresh token is bound to another certificate");
    }
    Ok(())
}

/// Issues an access token for the part of a grant that the request asks for.
fn access_token(
    server: &AuthorizationServer,
    grant: &Grant,
    id: &str,
    request: &TokenRequest<'_>,
) -> Result<Granted, Error> {
    let TokenRequest { client, form, now } = *request;
    let (resource, scope) = part(&grant.rights, request)?;
    let details = details::part(details::at(&grant.details, resource), form)?;
    // A token does not outlive its grant.
    let end = aims_jose::time::at(grant.end);
    let longest = add(now, details::longest(&details, server.lifetime));
    let token = NewToken {
        client_id: &grant.client_id,
        subject: &grant.subject,
        resource,
        scope: &scope,
        confirmation: client.confirmation(),
        login: Some(&grant.login),
        details: &details,
        actor: None,
        grant: Some(id),
        expires: longest.min(end),
        carried: None,
        parent: None,
    };
    Granted::access_token(server, client, &token, now)
}

/// Returns the resource of the request and its scopes (RFC 8707 §2.2, RFC 6749 §6).
pub(super) fn part<'a>(
    rights: &'a RightsAt,
    request: &TokenRequest<'_>,
) -> Result<(&'a str, String), Error> {
    let asked: Vec<&str> = request.form.all("resource").collect();
    let found = match asked.as_slice() {
        [] if rights.len() == 1 => rights.iter().next(),
        [resource] => rights.get_key_value(*resource),
        _ => None,
    };
    let (resource, allowed) = found.ok_or(Error::Target)?;
    // A token request by code has no `scope`; the authorization request had it.
    let is_refresh = request.form.get("grant_type") == Some("refresh_token");
    let scopes: Vec<&str> = match request.form.get("scope").filter(|_| is_refresh) {
        None => allowed.iter().map(String::as_str).collect(),
        Some(scope) => {
            let asked: Vec<&str> = scope.split(' ').collect();
            if !asked.iter().all(|it| allowed.contains(*it)) {
                return Err(Error::Scope);
            }
            asked
        }
    };
    Ok((resource, scopes.join(" ")))
}
