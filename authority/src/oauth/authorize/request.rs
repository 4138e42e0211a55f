//! Authorization requests (RFC 6749 §4.1.1), from a query or pushed.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use aims_jose::jwk::Thumbprint;
use aims_jose::time::UnixTime;
use aims_oauth_wire::token::Form;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::Error;
use crate::oauth::redirect::RedirectUri;
use crate::oauth::store::is_secret;
use crate::oauth::{AuthorizationServer, Client};

/// Maximum length of `state` in bytes.
const LONGEST_STATE: usize = 2_048;
/// Maximum length of `login_hint` in characters.
const LONGEST_HINT: usize = 256;
/// Maximum length of `acr_values` in bytes.
const LONGEST_ACR_VALUES: usize = 1_024;
/// Maximum number of resources and of `acr_values`.
const MOST: usize = 16;
/// The skew that a sign-in may be older than `max_age`, in seconds. Without it, a request with
/// `max_age=0` would send the user to the sign-in page again and again.
const SIGN_IN_SKEW: u64 = 30;

/// A valid authorization request.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub(crate) struct AuthorizationRequest {
    pub(crate) client_id: String,
    /// `redirect_uri` as it was sent. The token request must repeat it.
    pub(crate) sent_redirect_uri: Option<String>,
    /// Where the answer goes.
    pub(crate) redirect_uri: String,
    pub(crate) state: Option<String>,
    pub(crate) code_challenge: String,
    pub(crate) dpop_jkt: Option<Thumbprint>,
    /// The scopes at each resource.
    pub(crate) rights: BTreeMap<String, BTreeSet<String>>,
    pub(crate) details: Vec<Value>,
    pub(crate) acr_values: Vec<String>,
    pub(crate) max_age: Option<u64>,
    pub(crate) is_silent: bool,
    pub(crate) login_hint: Option<String>,
}

/// A refused authorization request.
#[derive(Debug)]
pub(crate) enum Refused {
    /// The browser must not be sent anywhere: the client or its redirect URI is not known.
    Page(Error),
    /// The client gets the error.
    Answer(Box<Answer>, Error),
}

/// Where the answer of a request goes.
#[derive(Clone, Debug)]
pub(crate) struct Answer {
    pub(crate) redirect_uri: RedirectUri,
    pub(crate) state: Option<String>,
}

impl Answer {
    /// Returns the URL with these parameters, `state` and `iss` (RFC 9207 §2).
    pub(crate) fn location(&self, issuer: &str, parameters: &[(&str, &str)]) -> String {
        let mut all = parameters.to_vec();
        if let Some(state) = &self.state {
            all.push(("state", state));
        }
        all.push(("iss", issuer));
        self.redirect_uri.with(&all)
    }
}

impl Refused {
    /// Returns the error, for an answer that is not a redirection.
    pub(crate) fn into_error(self) -> Error {
        match self {
            Self::Page(error) | Self::Answer(_, error) => error,
        }
    }
}

impl AuthorizationRequest {
    pub(crate) fn answer(&self) -> Result<Answer, Error> {
        let parsed = RedirectUri::parse(&self.redirect_uri);
        Ok(Answer {
            redirect_uri: parsed.map_err(Error::unavailable)?,
            state: self.state.clone(),
        })
    }

    /// Returns the earliest time of a sign-in that is recent enough for `max_age`.
    pub(crate) fn signed_in_since(&self, now: UnixTime) -> Option<UnixTime> {
        let age = self.max_age?.saturating_add(SIGN_IN_SKEW);
        let since = now.as_secs().saturating_sub(age);
        Some(aims_jose::time::at(since))
    }
}

impl AuthorizationServer {
    /// Checks the client and the redirect URI, then everything else.
    pub(super) fn resolve(
        &self,
        form: &Form,
        client: &Arc<Client>,
        client_id: &str,
    ) -> Result<AuthorizationRequest, Refused> {
        let sent = form.get("redirect_uri");
        let known = client.find_redirect_uri(sent);
        let redirect_uri = known.ok_or(Refused::Page(Error::RedirectUri))?;
        let answer = Answer {
            redirect_uri,
            state: form.get("state").map(str::to_owned),
        };
        self.rest(form, client, client_id, &answer)
            .map_err(|error| Refused::Answer(Box::new(answer), error))
    }

    fn rest(
        &self,
        form: &Form,
        client: &Client,
        client_id: &str,
        answer: &Answer,
    ) -> Result<AuthorizationRequest, Error> {
        let bad = |reason| Err(Error::Authorization { reason });
        if form.get("response_type") != Some("code") {
            return Err(Error::ResponseType);
        }
        if !matches!(form.get("response_mode"), None | Some("query")) {
            return bad("response_mode must be query");
        }
        if answer
            .state
            .as_ref()
            .is_some_and(|it| it.len() > LONGEST_STATE)
        {
            return bad("state is longer than 2048 bytes");
        }
        let prompts: Vec<&str> = form.get("prompt").unwrap_or_default().split(' ').collect();
        let is_silent = prompts.contains(&"none");
        if is_silent && prompts.len() > 1 {
            return bad("prompt has none beside another value");
        }
        let max_age = match form.get("max_age") {
            // A new sign-in is one that is not older than the request.
            _ if prompts.contains(&"login") => Some(0),
            None => None,
            Some(text) => match text.parse() {
                Ok(seconds) if text.bytes().all(|it| it.is_ascii_digit()) => Some(seconds),
                _ => return bad("max_age must be a number of seconds"),
            },
        };
        let dpop_jkt = match form.get("dpop_jkt").map(str::parse) {
            None => None,
            Some(Ok(thumbprint)) => Some(thumbprint),
            Some(Err(_)) => return bad("dpop_jkt must be the thumbprint of a key"),
        };
        let acr_values = acr_values(form).map_err(|reason| Error::Authorization { reason })?;
        let hint = form.get("login_hint");
        if hint.is_some_and(|it| it.chars().count() > LONGEST_HINT) {
            return bad("login_hint is longer than 256 characters");
        }
        let (rights, details) = self.asked_rights(form, client, form.get("scope"))?;
        Ok(AuthorizationRequest {
            client_id: client_id.to_owned(),
            sent_redirect_uri: form.get("redirect_uri").map(str::to_owned),
            redirect_uri: answer.redirect_uri.as_str().to_owned(),
            state: answer.state.clone(),
            code_challenge: code_challenge(form)?.to_owned(),
            dpop_jkt,
            rights,
            details,
            acr_values,
            max_age,
            is_silent,
            login_hint: hint.map(str::to_owned),
        })
    }

    /// Returns the scopes at each resource, and the details, that the client may ask for.
    #[expect(clippy::type_complexity, reason = "two parts of one request")]
    pub(in crate::oauth) fn asked_rights(
        &self,
        form: &Form,
        client: &Client,
        scope: Option<&str>,
    ) -> Result<(BTreeMap<String, BTreeSet<String>>, Vec<Value>), Error> {
        let mut asked: Vec<&str> = form.all("resource").collect();
        if asked.is_empty() {
            // The only resource of the client, as at the token endpoint.
            let only = client
                .grants
                .keys()
                .next()
                .filter(|_| client.grants.len() == 1);
            asked.push(only.ok_or(Error::Target)?);
        }
        if asked.len() > MOST || asked.iter().any(|it| !client.grants.contains_key(*it)) {
            return Err(Error::Target);
        }
        let details = match form.get("authorization_details") {
            None => Vec::new(),
            Some(text) => self.details(client, text, &asked)?,
        };
        let mut rights = BTreeMap::new();
        let allowed = |resource: &str| client.grants.get(resource).into_iter().flatten();
        match scope {
            // Details say by themselves what they permit.
            None if !details.is_empty() => {
                rights.extend(asked.iter().map(|it| ((*it).to_owned(), BTreeSet::new())));
            }
            None => {
                for resource in &asked {
                    rights.insert((*resource).to_owned(), allowed(resource).cloned().collect());
                }
            }
            Some(scope) => {
                let scopes: BTreeSet<&str> = scope.split(' ').collect();
                let is_known =
                    |scope: &&str| asked.iter().any(|it| allowed(it).any(|own| own == scope));
                if !scopes.iter().all(is_known) {
                    return Err(Error::Scope);
                }
                for resource in &asked {
                    let own = allowed(resource).filter(|it| scopes.contains(it.as_str()));
                    rights.insert((*resource).to_owned(), own.cloned().collect());
                }
            }
        }
        Ok((rights, details))
    }
}

/// Returns the classes of sign-in that a request asks for.
pub(crate) fn acr_values(form: &Form) -> Result<Vec<String>, &'static str> {
    let text = form.get("acr_values").unwrap_or_default();
    if text.len() > LONGEST_ACR_VALUES {
        return Err("acr_values is longer than 1024 bytes");
    }
    let all = text.split(' ').filter(|it| !it.is_empty());
    let all: Vec<String> = all.map(str::to_owned).collect();
    if all.len() > MOST {
        return Err("acr_values has more than 16 values");
    }
    Ok(all)
}

/// Returns the challenge of PKCE (RFC 7636 §4.3). Every request has one, by `S256`.
fn code_challenge(form: &Form) -> Result<&str, Error> {
    let bad = |reason| Err(Error::CodeChallenge { reason });
    let Some(challenge) = form.get("code_challenge") else {
        return bad("code challenge required");
    };
    // Without a method it is `plain`, which shows the verifier.
    if form.get("code_challenge_method") != Some("S256") {
        return bad("code_challenge_method must be S256");
    }
    if !is_secret(challenge) {
        return bad("code_challenge must be the SHA-256 of the verifier in base64url");
    }
    Ok(challenge)
}
