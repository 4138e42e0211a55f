//! Pushed authorization requests (RFC 9126).

use core::time::Duration;

use aims_jose::time::UnixTime;
use aims_oauth_wire::media;
use http::{Response, StatusCode};
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::{AuthorizationRequest, INTERACTION, Refused};
use crate::authority::Inner;
use crate::endpoint::Call;
use crate::identity::add;
use crate::oauth::store::{self, insert, is_secret, key_of, secret};
use crate::oauth::{AuthorizationServer, Client, endpoint, request_object};
use crate::{Error, Kind, answer};

/// How long a pushed request waits for its user, who may have to sign in first, in seconds.
const LIFETIME: u64 = 300;
/// The prefix of `request_uri` (RFC 9126 §2.2).
const PREFIX: &str = "urn:ietf:params:oauth:request_uri:";

#[derive(Deserialize, Serialize)]
struct Pushed {
    request: AuthorizationRequest,
    /// The last second at which a page is shown for it.
    expires: u64,
}

/// Checks and stores an authorization request of an authenticated client.
pub(crate) fn push(inner: &Inner, call: &Call<'_>) -> Result<Response<Vec<u8>>, Error> {
    let headers = call.request.headers();
    answer::check_media_type(headers, media::FORM)?;
    let form = endpoint::form(call.request.body())?;
    let (server, now) = (&inner.oauth, call.now);
    let who = server.authenticate(call, &form)?;
    if kind(&who.client) == Kind::PublicPushedRequest {
        server.pushes.take(call.source, now)?;
    } else {
        server.client_pushes.take_agent(&who.client_id, now)?;
    }
    let target = server.base.join(PATH);
    let store = server.replay.as_ref();
    let proven = server
        .dpop
        .verify_at(headers, &target, &who.sender(call.source), store, now)?;
    if form.get("request_uri").is_some() {
        return Err(Error::Authorization {
            reason: "a pushed request has no request_uri",
        });
    }
    let form = match form.get("request") {
        // The parameters beside it authenticate the client (RFC 9126 §3).
        Some(text) => server.request_object(text, &who.client, &who.client_id, now)?,
        None => {
            request_object::check_unsigned(&who.client)?;
            form
        }
    };
    let resolved = server.resolve(&form, &who.client, &who.client_id);
    let mut request = resolved.map_err(Refused::into_error)?;
    if let Some(proven) = &proven {
        // Parameter and proof must name one key (RFC 9449 §10.1).
        if request.dpop_jkt.is_some_and(|it| it != proven.thumbprint) {
            return Err(Error::Authorization {
                reason: "dpop_jkt is not the key of the DPoP proof",
            });
        }
        request.dpop_jkt = Some(proven.thumbprint);
    }
    let id = secret(server.random)?;
    // A page that was shown in time may be answered later.
    let until = add(now, Duration::from_secs(LIFETIME + INTERACTION));
    let pushed = Pushed {
        request,
        expires: now.as_secs().saturating_add(LIFETIME),
    };
    let (state, key) = (server.state.as_ref(), key_of(id.expose()));
    if !insert(state, kind(&who.client), &key, &pushed, until, now)? {
        return Err(Error::unavailable("a random number came twice"));
    }
    let body = json!({
        "request_uri": format!("{PREFIX}{}", id.expose()),
        "expires_in": LIFETIME,
    });
    let mut response = answer::json(StatusCode::CREATED, body.to_string(), "no-store");
    endpoint::finish(
        response.headers_mut(),
        proven.and_then(|it| it.next_nonce).as_ref(),
    );
    Ok(response)
}

/// Returns the kind of entry for a client's requests. Any caller can push for a client that proves
/// nothing, and can register clients, so these requests have a table of their own.
fn kind(client: &Client) -> Kind {
    if client.is_public() || client.flow.unverified {
        Kind::PublicPushedRequest
    } else {
        Kind::PushedRequest
    }
}

/// The path of the endpoint.
pub(crate) const PATH: &str = "/par";

impl AuthorizationServer {
    /// Returns the pushed request of this client, and its key. Loading the page does not use it up,
    /// because a browser may load a page twice.
    pub(super) fn pushed(
        &self,
        uri: &str,
        client: &Client,
        client_id: &str,
        now: UnixTime,
    ) -> Result<(AuthorizationRequest, String), Error> {
        let id = uri.strip_prefix(PREFIX).filter(|it| is_secret(it));
        let key = key_of(id.ok_or(Error::RequestUri)?);
        let state = self.state.as_ref();
        let found = store::read::<Pushed>(state, kind(client), &key, now)?;
        let Pushed { request, expires } = found.ok_or(Error::RequestUri)?.value;
        if request.client_id != client_id || now.as_secs() > expires {
            return Err(Error::RequestUri);
        }
        Ok((request, key))
    }

    /// Uses a pushed request up.
    pub(super) fn use_up(&self, key: &str, now: UnixTime) -> Result<(), Error> {
        let state = self.state.as_ref();
        // A key is the hash of a random text, so at most one of the kinds has it.
        for kind in [Kind::PushedRequest, Kind::PublicPushedRequest] {
            if let Some(found) = store::read::<Pushed>(state, kind, key, now)?
                && found.remove(state, kind, key, now)?
            {
                return Ok(());
            }
        }
        Err(Error::RequestUri)
    }
}
