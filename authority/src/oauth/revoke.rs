//! The revocation endpoint (RFC 7009).

use aims_jose::time::{UnixTime, at};
use aims_oauth_wire::media;
use http::{Response, StatusCode};

use super::endpoint::form;
use super::family::{GrantEntry, RefreshToken};
use super::presented::{self, OwnToken};
use super::store::{self, insert, is_secret};
use super::{AuthorizationServer, opaque};
use crate::authority::Inner;
use crate::endpoint::Call;
use crate::{Error, Kind, answer};

/// The path of the endpoint.
pub(crate) const REVOKE: &str = "/revoke";

/// Revokes a token of the client. An unknown token is answered like a revoked one.
pub(crate) fn revoke(inner: &Inner, call: &Call<'_>) -> Result<Response<Vec<u8>>, Error> {
    let headers = call.request.headers();
    answer::check_media_type(headers, media::FORM)?;
    let form = form(call.request.body())?;
    let client = inner.oauth.authenticate(call, &form)?;
    // `token_type_hint` is only a hint: the form of a token says what it is.
    let text = form
        .get("token")
        .ok_or(Error::TokenRequest { reason: "no token" })?;
    inner
        .oauth
        .revoke_token(text, &client.client_id, call.now)?;
    Ok(answer::json(StatusCode::OK, String::new(), "no-store"))
}

impl AuthorizationServer {
    /// Revokes a token that was issued to this client.
    ///
    /// A refresh token ends its grant, with every access token of it. An access token ends alone.
    ///
    /// # Errors
    ///
    /// `as.grant` if the token was issued to another client (RFC 7009 §2.1); `authority.state_full`
    /// and `authority.unavailable`, with which the token is still active.
    fn revoke_token(&self, text: &str, client_id: &str, now: UnixTime) -> Result<(), Error> {
        let state = self.state.as_ref();
        // A client that gives up withdraws its request for approval in the same way.
        if is_secret(text)
            && self.backchannel.is_some()
            && self.cancel_approval(text, client_id, now)?
        {
            return Ok(());
        }
        if let Some(token) = RefreshToken::parse(text) {
            let found = store::read::<GrantEntry>(state, Kind::Grant, &token.id, now)?;
            return match found.map(|it| it.value) {
                Some(GrantEntry::Live(grant)) => {
                    check_client(&grant.client_id, client_id)?;
                    self.revoke_grant(&token.id, now)
                }
                Some(GrantEntry::Revoked) | None => Ok(()),
            };
        }
        let OwnToken { claims, .. } = match self.own_token(text, now) {
            Ok(token) => token,
            Err(Error::SubjectToken { .. }) => return Ok(()),
            Err(error) => return Err(error),
        };
        check_client(&claims.client_id, client_id)?;
        if opaque::is_opaque(text) {
            opaque::remove(state, text, now)?;
        } else {
            // Whether it is new or was there already: it is revoked.
            let (key, until) = (presented::revoked_key(text), at(claims.exp));
            self.take_token_entry(client_id, &claims.sub, now)?;
            insert(state, Kind::RevokedToken, &key, &(), until, now)?;
        }
        tracing::info!(
            ?client_id,
            token = %aims_jose::digest::Fingerprint::of(text.as_bytes()),
            "revoked an access token"
        );
        Ok(())
    }
}

fn check_client(issued_to: &str, client_id: &str) -> Result<(), Error> {
    if issued_to == client_id {
        return Ok(());
    }
    Err(Error::Grant {
        reason: "the token was issued to another client",
    })
}
