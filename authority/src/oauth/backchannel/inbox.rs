//! The inbox: what waits for the signed-in user, and the user's decisions.

use aims_jose::base64url;
use aims_jose::time::UnixTime;
use aims_oauth_wire::media;
use aims_oauth_wire::token::Form;
use hmac::{Hmac, KeyInit as _, Mac as _};
use http::{HeaderMap, Response, StatusCode};
use sha2::Sha256;

use super::{Approval, BackchannelService, DECISION, INBOX, Outcome, page};
use crate::authority::Inner;
use crate::endpoint::Call;
use crate::oauth::authorize::session;
use crate::oauth::store::{self, is_secret, secret};
use crate::oauth::user::{User, UserAnswer, UserRequest};
use crate::oauth::{AuthorizationServer, Login};
use crate::{Error, Kind, answer};

/// Shows what waits for the signed-in user.
pub(crate) fn inbox(inner: &Inner, call: &Call<'_>) -> Result<Response<Vec<u8>>, Error> {
    let (server, now) = (&inner.oauth, call.now);
    let headers = call.request.headers();
    let user = match server.deciding_user(headers, &[], now)? {
        Ok(user) => user,
        Err(sign_in) => return Ok(sign_in),
    };
    server.shows.take_agent(&user.subject, now)?;
    let service = server.backchannel.as_ref().ok_or(Error::Path)?;
    let known = session::session(&server.base, headers);
    let (session, is_new) = match known {
        Some(known) => (known.to_owned(), false),
        None => (secret(server.random)?.expose().to_owned(), true),
    };
    let mut items = Vec::new();
    for (key, approval) in server.waiting_for(&user.subject, now)? {
        let client = server.client(&approval.asked.client_id, now)?;
        items.push(page::Item {
            csrf: service.form_token(&session, &user.subject, &key)?,
            client,
            key,
            approval,
        });
    }
    let page = page::Inbox {
        subject: &user.subject,
        items: &items,
        action: &server.base.join(DECISION),
        now,
    };
    let mut response = session::html(StatusCode::OK, page.to_html(), "'self'");
    if is_new {
        let cookie = session::set_cookie(&server.base, &session);
        session::with_cookie(&mut response, &cookie);
    }
    Ok(response)
}

/// Answers a form of the inbox: stores the decision of the user.
pub(crate) fn decide(inner: &Inner, call: &Call<'_>) -> Result<Response<Vec<u8>>, Error> {
    let headers = call.request.headers();
    answer::check_media_type(headers, media::FORM)?;
    let bad = |reason| Error::Consent { reason };
    let form =
        Form::parse(call.request.body()).map_err(|_unexplained| bad("the form is malformed"))?;
    let (server, now) = (&inner.oauth, call.now);
    let service = server.backchannel.as_ref().ok_or(Error::Path)?;
    server.check_origin(headers)?;
    let session = session::session(&server.base, headers);
    let session = session.ok_or_else(|| bad("no session cookie, or several"))?;
    let key = form.get("request").filter(|it| is_secret(it));
    let key = key.ok_or_else(|| bad("no request"))?;
    let csrf = form.get("csrf").ok_or_else(|| bad("no anti-CSRF token"))?;
    let is_allowed = match form.get("decision") {
        Some("allow") => true,
        Some("deny") => false,
        _ => return Err(bad("no decision")),
    };
    let state = server.state.as_ref();
    let found = store::read::<Approval>(state, Kind::Approval, key, now)?;
    let asked = found.map(|it| it.value.asked);
    let ended = || bad("the request has ended, was decided, or is not known");
    let asked = asked.ok_or_else(ended)?;
    // An approval needs a sign-in of the class that the client asked for; a denial does not.
    let classes: &[String] = if is_allowed { &asked.acr_values } else { &[] };
    let user = match server.deciding_user(headers, classes, now)? {
        Ok(user) => user,
        Err(sign_in) => return Ok(sign_in),
    };
    if user.subject != asked.subject {
        return Err(bad("the request is for another user"));
    }
    service.check_form_token(csrf, session, &asked.subject, key)?;
    let outcome = if is_allowed {
        Outcome::Allowed(Login {
            auth_time: Some(user.auth_time.as_secs()),
            acr: user.acr.clone(),
            amr: user.amr.clone(),
        })
    } else {
        Outcome::Denied
    };
    if !server.decide_approval(key, &user.subject, outcome, now)? {
        return Err(ended());
    }
    service.pings.decided(key);
    tracing::info!(
        client_id = ?asked.client_id,
        subject = ?user.subject,
        is_allowed,
        "a user decided a request for approval"
    );
    Ok(session::redirect(&server.base.join(INBOX)))
}

impl AuthorizationServer {
    /// Returns the user of a page, or the redirection to the sign-in page.
    fn deciding_user(
        &self,
        headers: &HeaderMap,
        acr_values: &[String],
        now: UnixTime,
    ) -> Result<Result<User, Response<Vec<u8>>>, Error> {
        let return_to = self.base.join(INBOX);
        let question = UserRequest {
            headers,
            return_to: &return_to,
            acr_values,
            signed_in_since: None,
            login_hint: None,
            is_silent: false,
            now,
        };
        match self.user(&question)? {
            UserAnswer::User(user) => Ok(Ok(user)),
            UserAnswer::SignIn { location } => Ok(Err(session::redirect(&location))),
            UserAnswer::Refused => Err(Error::Denied),
        }
    }
}

impl BackchannelService {
    fn form_mac(&self, session: &str, subject: &str, key: &str) -> Result<Hmac<Sha256>, Error> {
        let mac = Hmac::<Sha256>::new_from_slice(self.forms.0.as_ref());
        let mut mac = mac.map_err(Error::unavailable)?;
        // None of the parts has this byte.
        mac.update([session, subject, key].join("\0").as_bytes());
        Ok(mac)
    }

    /// Returns the anti-CSRF token of one request, for one session and one user.
    fn form_token(&self, session: &str, subject: &str, key: &str) -> Result<String, Error> {
        let mac = self.form_mac(session, subject, key)?;
        Ok(base64url::encode(&mac.finalize().into_bytes()))
    }

    /// Checks an anti-CSRF token, in constant time.
    fn check_form_token(
        &self,
        token: &str,
        session: &str,
        subject: &str,
        key: &str,
    ) -> Result<(), Error> {
        let bad = Error::Consent {
            reason: "the anti-CSRF token belongs to another page, session or user",
        };
        let mac = self.form_mac(session, subject, key)?;
        match base64url::decode(token) {
            Ok(bytes) if mac.verify_slice(&bytes).is_ok() => Ok(()),
            _ => Err(bad),
        }
    }
}
