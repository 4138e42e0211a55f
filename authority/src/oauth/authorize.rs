//! The authorization endpoint (RFC 6749 §3.1), pushed requests (RFC 9126), and the user's consent.

pub(super) mod page;
mod pushed;
mod request;
pub(super) mod session;

use std::collections::BTreeMap;
use std::sync::Arc;

use aims_jose::time::UnixTime;
use aims_oauth_wire::media;
use aims_oauth_wire::token::Form;
use http::header::ORIGIN;
use http::{HeaderMap, Response, StatusCode};
use serde::{Deserialize, Serialize};

pub(crate) use self::pushed::{PATH as PUSHED, push};
use self::request::{Answer, Refused};
pub(crate) use self::request::{AuthorizationRequest, acr_values};
use super::resource::is_workload_name;
use super::store::{self, insert, is_secret, key_of, secret};
use super::user::{User, UserAnswer, UserRequest};
use super::{AuthorizationServer, Client, Login, request_object};
use crate::authority::Inner;
use crate::endpoint::Call;
use crate::identity::add;
use crate::oauth::grant::code;
use crate::{Error, Kind, answer};

/// How long a consent page may wait for the user, in seconds.
const INTERACTION: u64 = 600;
/// The path of the form's target.
pub(crate) const CONSENT: &str = "/consent";
pub(crate) const AUTHORIZE: &str = "/authorize";

/// An authorization request that waits for the decision of its user.
#[derive(Debug, Deserialize, Serialize)]
pub(crate) struct Interaction {
    pub(crate) request: AuthorizationRequest,
    pub(crate) subject: String,
    pub(crate) login: Login,
    /// The hash of the browser session that saw the page.
    session: String,
    /// The hash of the anti-CSRF token in the page.
    csrf: String,
    /// The key of the pushed request, which is used up by the decision.
    pushed: Option<String>,
}

/// Answers an authorization request with the consent page, a sign-in page, or an error.
pub(crate) fn authorize(inner: &Inner, call: &Call<'_>) -> Result<Response<Vec<u8>>, Error> {
    let query = call.request.uri().query().unwrap_or_default();
    let form = Form::parse(query.as_bytes()).map_err(|_unexplained| Error::Authorization {
        reason: "the query is malformed, or a parameter stands twice",
    })?;
    let server = &inner.oauth;
    let asked = server.asked(&form, call.now);
    let refused = match asked.and_then(|asked| server.ask(&asked, call)) {
        Ok(response) => return Ok(response),
        Err(refused) => refused,
    };
    match refused {
        Refused::Page(error) => Err(error),
        // A client that described itself could use this server to send browsers to any site (RFC
        // 9700 §4.11.2), before a user has decided anything.
        Refused::Answer(answer, error)
            if !answer.redirect_uri.is_loopback() && server.is_unverified(&form, call.now) =>
        {
            Err(error)
        }
        Refused::Answer(answer, error) => {
            call.log(&error);
            Ok(server.redirect_error(&answer, &error))
        }
    }
}

/// Answers the form of the consent page.
pub(crate) fn consent(inner: &Inner, call: &Call<'_>) -> Result<Response<Vec<u8>>, Error> {
    let headers = call.request.headers();
    answer::check_media_type(headers, media::FORM)?;
    let form = Form::parse(call.request.body()).map_err(|_unexplained| Error::Consent {
        reason: "the form is malformed",
    })?;
    inner.oauth.decide(headers, &form, call)
}

/// Returns the page of a refusal that goes to no client.
pub(crate) fn refusal(error: &Error) -> Response<Vec<u8>> {
    let (reason, status) = match error {
        Error::RedirectUri => ("The program has no such redirect URI.", 400),
        Error::Client { .. } => ("The program is not known here.", 400),
        Error::RequestUri => (
            "The request has expired, was used, or is not known here.",
            400,
        ),
        Error::Authorization { reason } | Error::RequestObject { reason } => (*reason, 400),
        Error::Consent { .. } => ("The form was not sent from the page of this request.", 403),
        other => match other.wire().0 {
            503 if !["server_error", "temporarily_unavailable"].contains(&other.oauth()) => {
                ("The request of the program is not valid.", 400)
            }
            status => ("The server cannot do this now.", status),
        },
    };
    let status = StatusCode::from_u16(status).unwrap_or(StatusCode::SERVICE_UNAVAILABLE);
    let mut response = session::html(status, page::error(reason), "'none'");
    answer::hints(response.headers_mut(), error);
    response
}

/// A resolved request, its client, and the key of its pushed request.
struct Asked {
    request: AuthorizationRequest,
    client: Arc<Client>,
    answer: Answer,
    pushed: Option<String>,
}

impl AuthorizationServer {
    /// Finds the client, and resolves the query or the pushed request that it names.
    fn asked(&self, form: &Form, now: UnixTime) -> Result<Asked, Refused> {
        let unknown = || {
            Refused::Page(Error::Client {
                by_authorization: false,
                source: Some("no client of this name at the authorization endpoint".into()),
            })
        };
        let client_id = form.get("client_id").ok_or_else(unknown)?;
        let client = self.client(client_id, now).map_err(Refused::Page)?;
        let client = client.ok_or_else(unknown)?;
        let (request, pushed) = match (form.get("request_uri"), form.get("request")) {
            (Some(_), Some(_)) => {
                return Err(Refused::Page(Error::RequestObject {
                    reason: "the request is both signed and pushed",
                }));
            }
            (Some(uri), None) => {
                let found = self.pushed(uri, &client, client_id, now);
                let (request, key) = found.map_err(Refused::Page)?;
                (request, Some(key))
            }
            (None, Some(text)) => {
                let signed = self.request_object(text, &client, client_id, now);
                let signed = signed.map_err(Refused::Page)?;
                (self.resolve(&signed, &client, client_id)?, None)
            }
            (None, None) => {
                // No redirect: an unsigned request of this client says nothing.
                request_object::check_unsigned(&client).map_err(Refused::Page)?;
                (self.resolve(form, &client, client_id)?, None)
            }
        };
        let answer = request.answer().map_err(Refused::Page)?;
        if pushed.is_none() && client.flow.pushed_only {
            let error = Error::Authorization {
                reason: "this client must push its authorization requests",
            };
            return Err(Refused::Answer(Box::new(answer), error));
        }
        Ok(Asked {
            request,
            client,
            answer,
            pushed,
        })
    }

    /// Returns whether the client of a request described itself.
    fn is_unverified(&self, form: &Form, now: UnixTime) -> bool {
        let client = form.get("client_id").map(|id| self.client(id, now));
        matches!(client, Some(Ok(Some(client))) if client.flow.unverified)
    }

    /// Asks the user.
    fn ask(&self, asked: &Asked, call: &Call<'_>) -> Result<Response<Vec<u8>>, Refused> {
        let refused = |error| Refused::Answer(Box::new(asked.answer.clone()), error);
        let Asked { request, .. } = asked;
        let headers = call.request.headers();
        let return_to = self.return_to(call.request.uri().query());
        let question = UserRequest {
            headers,
            return_to: &return_to,
            acr_values: &request.acr_values,
            signed_in_since: request.signed_in_since(call.now),
            login_hint: request.login_hint.as_deref(),
            is_silent: request.is_silent,
            now: call.now,
        };
        let user = match self.user(&question).map_err(refused)? {
            UserAnswer::User(user) => user,
            UserAnswer::SignIn { .. } if request.is_silent => {
                return Err(refused(Error::Login {
                    answer: "login_required",
                    reason: "the user is not signed in",
                }));
            }
            UserAnswer::SignIn { location } => return Ok(session::redirect(&location)),
            UserAnswer::Refused => return Err(refused(Error::Denied)),
        };
        if request.is_silent {
            return Err(refused(Error::Login {
                answer: "consent_required",
                reason: "the user is asked for every request",
            }));
        }
        self.show(asked, &user, headers, call.now).map_err(refused)
    }

    /// Asks the application for the user of a request, and judges the sign-in.
    pub(super) fn user(&self, question: &UserRequest<'_>) -> Result<UserAnswer, Error> {
        let users = self.users.as_ref().ok_or(Error::Path)?;
        let answer = users.authenticate(question).map_err(Error::Unavailable)?;
        if let UserAnswer::User(user) = &answer {
            self.check_subject(&user.subject, question.now)?;
            if !question.accepts(user) {
                return Err(Error::Login {
                    answer: "unmet_authentication_requirements",
                    reason: "the sign-in is not of a required acr, or is too old",
                });
            }
        }
        Ok(answer)
    }

    /// Refuses a user whose `sub` a resource server could take for a client (RFC 9700 §4.15).
    pub(super) fn check_subject(&self, subject: &str, now: UnixTime) -> Result<(), Error> {
        let is_text =
            (1..=255).contains(&subject.len()) && subject.bytes().all(|it| it.is_ascii_graphic());
        if is_text && !is_workload_name(subject) && self.client(subject, now)?.is_none() {
            Ok(())
        } else {
            Err(Error::Subject)
        }
    }

    /// Stores the request, and returns the consent page with the secrets of its form.
    fn show(
        &self,
        asked: &Asked,
        user: &User,
        headers: &HeaderMap,
        now: UnixTime,
    ) -> Result<Response<Vec<u8>>, Error> {
        self.shows.take_agent(&user.subject, now)?;
        let known = session::session(&self.base, headers);
        let (session, is_new) = match known {
            Some(known) => (known.to_owned(), false),
            None => (secret(self.random)?.expose().to_owned(), true),
        };
        let (id, csrf) = (secret(self.random)?, secret(self.random)?);
        let interaction = Interaction {
            request: asked.request.clone(),
            subject: user.subject.clone(),
            login: Login {
                auth_time: Some(user.auth_time.as_secs()),
                acr: user.acr.clone(),
                amr: user.amr.clone(),
            },
            session: key_of(&session),
            csrf: key_of(csrf.expose()),
            pushed: asked.pushed.clone(),
        };
        let key = key_of(id.expose());
        let until = add(now, core::time::Duration::from_secs(INTERACTION));
        let state = self.state.as_ref();
        if !insert(state, Kind::Interaction, &key, &interaction, until, now)? {
            return Err(Error::unavailable("a random number came twice"));
        }
        let redirect_uri = &asked.answer.redirect_uri;
        let page = page::Consent {
            client: &asked.client,
            interaction: &interaction,
            destination: &redirect_uri.source(),
            action: &self.base.join(CONSENT),
            request: id.expose(),
            csrf: csrf.expose(),
        };
        // Chromium applies `form-action` to the redirection of the answer too.
        let form_action = format!("'self' {}", redirect_uri.source());
        let mut response = session::html(StatusCode::OK, page.to_html(), &form_action);
        if is_new {
            session::with_cookie(&mut response, &session::set_cookie(&self.base, &session));
        }
        Ok(response)
    }

    /// Judges the form, uses the request up, and answers the client.
    fn decide(
        &self,
        headers: &HeaderMap,
        form: &Form,
        call: &Call<'_>,
    ) -> Result<Response<Vec<u8>>, Error> {
        let now = call.now;
        let bad = |reason| Error::Consent { reason };
        self.check_origin(headers)?;
        let session = session::session(&self.base, headers);
        let session = session.ok_or_else(|| bad("no session cookie, or several"))?;
        let id = form.get("request").filter(|it| is_secret(it));
        let id = id.ok_or_else(|| bad("no request"))?;
        let csrf = form.get("csrf").ok_or_else(|| bad("no anti-CSRF token"))?;
        let key = key_of(id);
        let state = self.state.as_ref();
        let found = store::read::<Interaction>(state, Kind::Interaction, &key, now)?;
        let found =
            found.ok_or_else(|| bad("the request has ended, was decided, or is not known"))?;
        let Interaction { request, .. } = &found.value;
        if found.value.session != key_of(session) {
            return Err(bad("the page belongs to another session"));
        }
        if found.value.csrf != key_of(csrf) {
            return Err(bad("the anti-CSRF token belongs to another page"));
        }
        let is_allowed = match form.get("decision") {
            Some("allow") => true,
            Some("deny") => false,
            _ => return Err(bad("no decision")),
        };
        // The user may have signed out, or another may have signed in.
        let question = UserRequest {
            headers,
            return_to: &self.return_to(None),
            // The page was shown for a sign-in that sufficed.
            acr_values: &[],
            signed_in_since: None,
            login_hint: None,
            is_silent: true,
            now,
        };
        let UserAnswer::User(user) = self.user(&question)? else {
            return Err(bad("the user is no longer signed in"));
        };
        if user.subject != found.value.subject {
            return Err(bad("another user saw the page"));
        }
        if !found.remove(state, Kind::Interaction, &key, now)? {
            return Err(bad("the request was decided at the same moment"));
        }
        if let Some(pushed) = &found.value.pushed {
            self.use_up(pushed, now)?;
        }
        let answer = request.answer()?;
        if !is_allowed {
            call.log(&Error::Denied);
            return Ok(self.redirect_error(&answer, &Error::Denied));
        }
        self.keep_registration(&request.client_id, now)?;
        let code = code::issue(self, found.value, now)?;
        let location = answer.location(self.base.as_str(), &[("code", code.expose())]);
        Ok(session::redirect(&location))
    }

    /// Refuses a form that a browser says to come from another site.
    ///
    /// The page forbids referrers, so browsers send `Origin: null` with its own form. That of
    /// another site is refused where it is named.
    pub(super) fn check_origin(&self, headers: &HeaderMap) -> Result<(), Error> {
        let repeated = || Error::Consent {
            reason: "a header field of the browser is repeated",
        };
        let site = answer::sole(headers, "sec-fetch-site", repeated())?;
        if site.is_some_and(|site| site != "same-origin") {
            return Err(Error::Consent {
                reason: "the browser says that another site sent the form",
            });
        }
        let origin = answer::sole(headers, ORIGIN.as_str(), repeated())?;
        if origin.is_some_and(|it| it != "null" && it != self.base.origin()) {
            return Err(Error::Consent {
                reason: "the form comes from another origin",
            });
        }
        Ok(())
    }

    fn return_to(&self, query: Option<&str>) -> String {
        let url = self.base.join(AUTHORIZE);
        match query {
            Some(query) => format!("{url}?{query}"),
            None => url,
        }
    }

    fn redirect_error(&self, answer: &Answer, error: &Error) -> Response<Vec<u8>> {
        let description = super::endpoint::description(error);
        let parameters = [
            ("error", error.oauth()),
            ("error_description", &*description),
        ];
        session::redirect(&answer.location(self.base.as_str(), &parameters))
    }
}

/// The scopes at each resource.
pub(crate) type RightsAt = BTreeMap<String, std::collections::BTreeSet<String>>;
