//! The introspection endpoint (RFC 7662), with signed answers (RFC 9701).

use aims_jose::jws::SigningInput;
use aims_jose::jwt::NumericDate;
use aims_jose::key::Signer as _;
use aims_jose::time::UnixTime;
use aims_oauth_wire::introspection::SIGNED;
use aims_oauth_wire::media;
use http::header::{ACCEPT, CONTENT_TYPE};
use http::{HeaderMap, HeaderValue, Response, StatusCode};
use serde::Serialize;
use serde_json::{Map, Value, json};

use super::endpoint::{form, refusal};
use super::{Authenticated, AuthorizationServer};
use crate::authority::Inner;
use crate::endpoint::Call;
use crate::identity::add;
use crate::{Error, answer};

/// The path of the endpoint.
pub(crate) const INTROSPECT: &str = "/introspect";

/// The `typ` of a signed answer (RFC 9701 §5).
const TYP: &str = "token-introspection+jwt";

/// The claims of a signed answer (RFC 9701 §5). It has neither `sub` nor `exp`, so it cannot be
/// mistaken for an access token.
#[derive(Serialize)]
struct SignedAnswer<'a> {
    iss: &'a str,
    aud: &'a str,
    iat: NumericDate,
    token_introspection: &'a Value,
}

/// Answers whether a token is active, and what it permits.
///
/// Only a client that serves the token's resource learns anything. To all others every token is
/// inactive.
pub(crate) fn introspect(inner: &Inner, call: &Call<'_>) -> Result<Response<Vec<u8>>, Error> {
    let (headers, now) = (call.request.headers(), call.now);
    answer::check_media_type(headers, media::FORM)?;
    let form = form(call.request.body())?;
    let server = &inner.oauth;
    let is_signed = asks_signed(headers);
    let client = match server.authenticate(call, &form) {
        // An answer is signed for one resource server only, so an unknown one gets none (RFC 9701
        // §5).
        Err(error @ Error::Client { .. }) if is_signed => {
            call.trail
                .borrow()
                .refused(call.request, call.source, &error);
            let mut response = refusal(&error);
            *response.status_mut() = StatusCode::BAD_REQUEST;
            return Ok(response);
        }
        authenticated => authenticated?,
    };
    if client.client.is_public() {
        let source = "a public client introspects no tokens".into();
        return Err(Error::Client {
            by_authorization: false,
            source: Some(source),
        });
    }
    let text = form
        .get("token")
        .ok_or(Error::TokenRequest { reason: "no token" })?;
    let answer = server.introspection(&client, text, now)?;
    if !is_signed {
        return Ok(answer::secret(&answer));
    }
    let signed = server.signed(&client, &answer, now)?;
    let mut response = answer::json(StatusCode::OK, signed, "no-store");
    let media_type = HeaderValue::from_static(SIGNED);
    response.headers_mut().insert(CONTENT_TYPE, media_type);
    Ok(response)
}

impl AuthorizationServer {
    /// Returns the members of the answer (RFC 7662 §2.2): those of the token's claims, or that it
    /// is not active, without a reason.
    fn introspection(
        &self,
        who: &Authenticated,
        text: &str,
        now: UnixTime,
    ) -> Result<Value, Error> {
        let inactive = json!({"active": false});
        let token = match self.own_token(text, now) {
            Ok(token) => token,
            Err(Error::SubjectToken { .. }) => return Ok(inactive),
            Err(error) => return Err(error),
        };
        let claims = &token.claims;
        let serves = who.client.flow.serves.contains(&claims.aud);
        let parties = [claims.client_id.as_str(), claims.sub.as_str()];
        if !serves || self.is_any_revoked(parties, claims.act.as_ref(), claims.iat, now)? {
            return Ok(inactive);
        }
        let members = serde_json::from_slice(&token.payload);
        let mut members: Map<String, Value> = members.map_err(Error::unavailable)?;
        let is_dpop = members
            .get("cnf")
            .is_some_and(|cnf| cnf.get("jkt").is_some());
        let token_type = if is_dpop { "DPoP" } else { "Bearer" };
        members.insert("active".to_owned(), true.into());
        members.insert("token_type".to_owned(), token_type.into());
        Ok(Value::Object(members))
    }

    /// Signs an answer for one resource server (RFC 9701 §5).
    fn signed(&self, who: &Authenticated, answer: &Value, now: UnixTime) -> Result<String, Error> {
        let date = NumericDate::from_secs(now.as_secs());
        let claims = SignedAnswer {
            iss: self.base.as_str(),
            aud: &who.client_id,
            iat: date.ok_or_else(|| Error::unavailable("the clock is beyond all dates"))?,
            token_introspection: answer,
        };
        // The resource server verifies it at once.
        let signer = self.ring.signer(add(now, self.lifetime), now);
        let signer = signer.ok_or_else(|| Error::unavailable("no key"))?;
        let signed = SigningInput::new(TYP, signer.algorithm(), signer.key_id(), &claims)
            .and_then(|input| input.sign(&*signer))
            .map_err(Error::unavailable)?;
        Ok(signed.expose().to_owned())
    }
}

/// Returns whether the request asks for a signed answer (RFC 9701 §4).
fn asks_signed(headers: &HeaderMap) -> bool {
    headers
        .get_all(ACCEPT)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .filter_map(|range| range.split(';').next())
        .any(|range| range.trim().eq_ignore_ascii_case(SIGNED))
}
