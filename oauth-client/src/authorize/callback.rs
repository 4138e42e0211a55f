//! The answer of the authorization endpoint, which the browser carries (RFC 6749 §4.1.2, RFC 9207).

use std::fmt;

use aims_jose::secret::SecretText;
use aims_jose::time::UnixTime;
use aims_oauth_wire::names::{ClientId, Issuer};
use aims_oauth_wire::token::TokenError;
use url::{Url, form_urlencoded};

use super::{AuthorizationCode, Parameters, RedirectUri};
use crate::{Error, Target};

/// The parameters of an answer that decide. Each may occur once.
const PARAMETERS: [&str; 6] = [
    "code",
    "state",
    "iss",
    "error",
    "error_description",
    "error_uri",
];
/// The maximum length of an answer, in bytes.
const MAX_ANSWER: usize = 16 * 1024;

/// An authorization that a user is asked for. Send the browser to its [URL](Self::url), and give
/// the query with which it returns to [`finish`](Self::finish).
///
/// Keep it in the session of the user who started (RFC 9700 §4.7): an answer in the session of
/// another user must not be finished. [`Logins`](super::Logins) does that for a web application.
#[must_use = "the answer of the browser is to be given to `finish`"]
pub struct Authorizing {
    pub(super) url: String,
    /// The end of a pushed request, if the server stated it.
    pub(super) expires: Option<UnixTime>,
    pub(super) state: SecretText,
    pub(super) verifier: SecretText,
    pub(super) nonce: Option<String>,
    pub(super) redirect: RedirectUri,
    pub(super) target: Target,
    pub(super) issuer: Issuer,
    pub(super) client: ClientId,
    pub(super) expects_issuer: bool,
}

impl Authorizing {
    pub(super) fn at(mut self, mut endpoint: Url, parameters: &Parameters) -> Self {
        // A query of the endpoint stays (RFC 6749 §3.1).
        let mut query = endpoint.query_pairs_mut();
        for (name, value) in parameters {
            query.append_pair(name, value);
        }
        drop(query);
        self.url = endpoint.into();
        self
    }

    /// Returns the URL for the browser of the user.
    #[must_use]
    pub fn url(&self) -> &str {
        &self.url
    }

    /// Returns when the URL ends, if the request was pushed and the server stated it (RFC 9126
    /// §2.2). A browser that opens it later gets an error, so push a new request before.
    #[must_use]
    pub const fn expires(&self) -> Option<UnixTime> {
        self.expires
    }

    /// Returns the URI that the browser returns to.
    #[must_use]
    pub const fn redirect_uri(&self) -> &RedirectUri {
        &self.redirect
    }

    /// Returns the authorization server.
    #[must_use]
    pub const fn issuer(&self) -> &Issuer {
        &self.issuer
    }

    /// Returns whether a query belongs to this request, by its `state`. An answer for another
    /// request, such as that of another tab, must not end this one.
    #[must_use]
    pub fn is_answered_by(&self, query: &str) -> bool {
        Answer::read(query).is_ok_and(|answer| self.is_own(&answer))
    }

    fn is_own(&self, answer: &Answer) -> bool {
        answer.state.as_ref() == Some(&self.state)
    }

    /// Reads the query with which the browser returned, with or without the `?`. It is read once:
    /// a code is never sent twice.
    ///
    /// # Errors
    ///
    /// - `authorize.response` if a parameter is repeated or malformed, or there is no code.
    /// - `authorize.state` if the answer is for another request.
    /// - `authorize.issuer` if it is of another server (RFC 9207), or does not say which although
    ///   the server states that it does. This also applies to errors, which are not shown then.
    /// - `authorize.refused` with the error of the server, such as `access_denied`.
    pub fn finish(self, query: &str) -> Result<AuthorizationCode, Error> {
        let answer = Answer::read(query)?;
        if !self.is_own(&answer) {
            return Err(Error::State);
        }
        match &answer.issuer {
            Some(found) if *found == *self.issuer.as_str() => {}
            None if !self.expects_issuer => {}
            found => {
                return Err(Error::AnswerIssuer {
                    expected: self.issuer,
                    found: aims_error::shown(found.as_deref()),
                });
            }
        }
        if let Some(error) = answer.error {
            return Err(Error::AuthorizationRefused(Box::new(error)));
        }
        let Some(code) = answer.code else {
            return Err(Error::Callback {
                reason: "it has neither a code nor an error",
            });
        };
        Ok(AuthorizationCode {
            code,
            verifier: self.verifier,
            nonce: self.nonce,
            redirect: self.redirect,
            target: self.target,
            issuer: self.issuer,
            client: self.client,
        })
    }

    pub(super) const fn state(&self) -> &SecretText {
        &self.state
    }
}

impl fmt::Debug for Authorizing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Authorizing")
            .field("issuer", &self.issuer)
            .field("redirect", &self.redirect)
            .field("target", &self.target)
            .finish_non_exhaustive()
    }
}

/// A parsed answer.
pub(super) struct Answer {
    code: Option<SecretText>,
    pub(super) state: Option<SecretText>,
    issuer: Option<String>,
    error: Option<TokenError>,
}

impl Answer {
    pub(super) fn read(query: &str) -> Result<Self, Error> {
        let fail = |reason| Error::Callback { reason };
        if query.len() > MAX_ANSWER {
            return Err(fail("it is too long"));
        }
        let query = query.strip_prefix('?').unwrap_or(query);
        let mut found: [Option<String>; PARAMETERS.len()] = Default::default();
        for (name, value) in form_urlencoded::parse(query.as_bytes()) {
            let slots = PARAMETERS.iter().zip(&mut found);
            let Some((_, slot)) = slots.into_iter().find(|(own, _)| **own == name) else {
                continue;
            };
            if slot.replace(value.into_owned()).is_some() {
                return Err(fail("a parameter occurs twice"));
            }
        }
        let [code, state, issuer, error, description, _uri] =
            found.map(|it| it.filter(|text| !text.is_empty()));
        if code.is_some() && error.is_some() {
            return Err(fail("it has a code and an error"));
        }
        let error = error.map(|error| refusal(error, description)).transpose()?;
        Ok(Self {
            code: code.map(SecretText::new),
            state: state.map(SecretText::new),
            issuer,
            error,
        })
    }
}

/// Reads an error. A description with other characters than printable ASCII is left out.
fn refusal(error: String, description: Option<String>) -> Result<TokenError, Error> {
    let plain = TokenError::new(error).map_err(|_malformed| Error::Callback {
        reason: "`error` has a character that it cannot have",
    })?;
    let described = description.map(|words| plain.clone().with_description(words));
    Ok(described.and_then(Result::ok).unwrap_or(plain))
}
