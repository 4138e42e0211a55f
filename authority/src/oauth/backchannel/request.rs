//! The parameters of a request for approval (OpenID CIBA Core 1.0 §7.1).

use aims_jose::secret::SecretText;
use aims_jose::time::UnixTime;
use aims_oauth_wire::names::Endpoint;
use aims_oauth_wire::token::Form;

use super::approval::AskedFor;
use super::{Backchannel, BackchannelService, DEFAULT_EXPIRY, LONGEST_EXPIRY, endpoint_of};
use crate::Error;
use crate::oauth::authorize::acr_values;
use crate::oauth::{Authenticated, AuthorizationServer, details, request_object};

/// Maximum length of a hint and of a message, in characters.
const LONGEST_HINT: usize = 256;
const LONGEST_MESSAGE: usize = 64;

/// A valid request.
pub(super) struct Asked {
    pub(super) approval: AskedFor,
    /// In seconds.
    pub(super) lifetime: u64,
    pub(super) ping: Option<(Endpoint, SecretText)>,
}

fn bad(reason: &'static str) -> Error {
    Error::Backchannel {
        answer: "invalid_request",
        reason,
    }
}

impl AuthorizationServer {
    /// Checks a request.
    ///
    /// # Errors
    ///
    /// `as.backchannel`, `as.scope`, `as.target`, `as.details`, `authority.too_many`.
    pub(super) fn ask_for(
        &self,
        service: &BackchannelService,
        backchannel: &Backchannel,
        who: &Authenticated,
        form: &Form,
        now: UnixTime,
    ) -> Result<Asked, Error> {
        let read;
        let form = match form.get("request") {
            Some(text) => {
                read = self.signed_request(text, form, who, now)?;
                &read
            }
            None if backchannel.is_signed => return Err(bad("this client must sign its requests")),
            None => form,
        };
        let scope = scope(form)?;
        let hint = hint(form)?;
        let client = &who.client;
        let details_asked = form.get("authorization_details").is_some();
        if scope.is_none() && !details_asked {
            // An approval of nothing would be one of everything that the client may have.
            return Err(Error::Scope);
        }
        let (rights, details) = self.asked_rights(form, client, scope.as_deref())?;
        let acr_values = acr_values(form).map_err(bad)?;
        let lifetime = lifetime(form)?;
        let binding_message = message(form, &details)?;
        let ping = self.ping_of(backchannel, form)?;
        // The user is looked up last, so that a malformed request tells nothing about users.
        let subject = self.approver(service, hint, who, form, now)?;
        Ok(Asked {
            approval: AskedFor {
                client_id: who.client_id.clone(),
                subject,
                rights,
                details,
                binding_message,
                acr_values,
            },
            lifetime,
            ping,
        })
    }

    /// Returns `sub` of the user, and checks the user code.
    fn approver(
        &self,
        service: &BackchannelService,
        hint: &str,
        who: &Authenticated,
        form: &Form,
        now: UnixTime,
    ) -> Result<String, Error> {
        let refused = |answer, reason| Error::Backchannel { answer, reason };
        let found = service.approvers.find(hint, now);
        let found = found.map_err(Error::Unavailable)?;
        let approver = found.ok_or_else(|| refused("unknown_user_id", "no user of this hint"))?;
        self.check_subject(&approver.subject, now)?;
        if let Some(code) = &approver.user_code {
            let sent = form.get("user_code");
            let sent =
                sent.ok_or_else(|| refused("missing_user_code", "the user requires a user_code"))?;
            // Each comparison counts until it was one with the right code. Otherwise a guess beyond
            // the rate would still tell whether it is right. Neither part has this byte.
            let guesser = [who.client_id.as_str(), &approver.subject].join("\0");
            service.wrong_codes.take_agent(&guesser, now)?;
            if *code != SecretText::new(sent) {
                return Err(refused("invalid_user_code", "the user_code is another one"));
            }
            service.wrong_codes.give_back(&guesser, now);
        }
        Ok(approver.subject)
    }

    /// Returns where a ping goes, and its token (OpenID CIBA Core 1.0 §7.1).
    fn ping_of(
        &self,
        backchannel: &Backchannel,
        form: &Form,
    ) -> Result<Option<(Endpoint, SecretText)>, Error> {
        let Some(url) = &backchannel.notify else {
            return Ok(None);
        };
        let endpoint = endpoint_of(url).ok_or_else(|| Error::unavailable("no such endpoint"))?;
        let token = form.get("client_notification_token");
        let token = token.ok_or_else(|| bad("no client_notification_token"))?;
        let is_part = |it: u8| it.is_ascii_alphanumeric() || b"-._~+/".contains(&it);
        let rest = token.trim_end_matches('=');
        // 22 characters have 128 bits.
        let is_token = (22..=1_024).contains(&token.len()) && rest.bytes().all(is_part);
        if !is_token || rest.is_empty() {
            return Err(bad(
                "client_notification_token must be a bearer token of 128 bits",
            ));
        }
        Ok(Some((endpoint, SecretText::new(token))))
    }

    fn signed_request(
        &self,
        text: &str,
        form: &Form,
        who: &Authenticated,
        now: UnixTime,
    ) -> Result<Form, Error> {
        const OUTSIDE: [&str; 4] = [
            "request",
            "client_id",
            "client_assertion",
            "client_assertion_type",
        ];
        if form.names().any(|name| !OUTSIDE.contains(&name)) {
            return Err(bad("a signed request has all its parameters in the JWT"));
        }
        request_object::read(self, text, who, now)
    }
}

/// Returns the scopes beside `openid`, which every request has.
fn scope(form: &Form) -> Result<Option<String>, Error> {
    let asked: Vec<&str> = form.get("scope").unwrap_or_default().split(' ').collect();
    if !asked.contains(&"openid") {
        return Err(bad("scope must contain openid"));
    }
    let others: Vec<&str> = asked.into_iter().filter(|it| *it != "openid").collect();
    Ok((!others.is_empty()).then(|| others.join(" ")))
}

/// Returns `login_hint`, the one hint that this server knows.
fn hint(form: &Form) -> Result<&str, Error> {
    let others = ["login_hint_token", "id_token_hint"];
    if others.iter().any(|name| form.get(name).is_some()) {
        return Err(bad("expected login_hint, and no other hint"));
    }
    let hint = form.get("login_hint").ok_or_else(|| bad("no login_hint"))?;
    if hint.chars().count() > LONGEST_HINT || hint.chars().any(char::is_control) {
        return Err(bad("login_hint must be a text of at most 256 characters"));
    }
    Ok(hint)
}

fn lifetime(form: &Form) -> Result<u64, Error> {
    let Some(text) = form.get("requested_expiry") else {
        return Ok(DEFAULT_EXPIRY);
    };
    let is_number = text.bytes().all(|it| it.is_ascii_digit());
    match text.parse::<u64>() {
        Ok(seconds) if is_number && seconds > 0 => Ok(seconds.min(LONGEST_EXPIRY)),
        _ => Err(bad("requested_expiry must be a positive number of seconds")),
    }
}

/// Returns the message of the client. For one call it can only be the code of the call, which the
/// server derives itself.
fn message(form: &Form, asked: &[serde_json::Value]) -> Result<Option<String>, Error> {
    let refused = |reason| Error::Backchannel {
        answer: "invalid_binding_message",
        reason,
    };
    let Some(text) = form.get("binding_message") else {
        return Ok(None);
    };
    if let Some(call) = details::call(asked) {
        if call.digest().short_code() != text {
            return Err(refused("binding_message must be the code of the call"));
        }
        return Ok(None);
    }
    if text.chars().count() > LONGEST_MESSAGE || text.chars().any(char::is_control) {
        return Err(refused(
            "binding_message must be a line of at most 64 characters",
        ));
    }
    Ok(Some(text.to_owned()))
}
