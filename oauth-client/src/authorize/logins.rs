//! The logins that a web application waits for.

use std::collections::VecDeque;
use std::sync::{Mutex, PoisonError};

use aims_jose::secret::SecretText;

use super::callback::Answer;
use super::{AuthorizationCode, Authorizing};
use crate::Error;

/// The logins of all users that an application waits for, each bound to the session of its user.
///
/// An answer is accepted once, and only in the session that started the login: otherwise an
/// attacker could make a victim finish the attacker's login (RFC 9700 §4.7). If there are too many
/// logins, the oldest is removed.
///
/// ```
/// use aims_oauth_client::{AuthorizationCode, Authorizing, Error, Logins};
///
/// /// Starts a login. The cookie of the session is random, `HttpOnly` and `Secure`.
/// fn start(logins: &Logins, cookie: &str, authorizing: Authorizing) -> String {
///     let url = authorizing.url().to_owned();
///     logins.insert(cookie, authorizing);
///     url
/// }
///
/// /// The browser returned with this query.
/// fn finish(logins: &Logins, cookie: &str, query: &str) -> Result<AuthorizationCode, Error> {
///     logins.finish(cookie, query)
/// }
/// ```
#[derive(Debug)]
pub struct Logins {
    waiting: Mutex<VecDeque<(SecretText, Authorizing)>>,
    most: usize,
}

impl Logins {
    /// Creates a store for at most this number of logins.
    #[must_use]
    pub fn new(most: usize) -> Self {
        Self {
            waiting: Mutex::default(),
            most,
        }
    }

    /// Stores a login that was started in this session.
    pub fn insert(&self, session: impl Into<SecretText>, login: Authorizing) {
        let mut waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        while waiting.len() >= self.most.max(1) {
            waiting.pop_front();
        }
        waiting.push_back((session.into(), login));
    }

    /// Finishes the login that this query answers, in this session. The login is removed if it was
    /// started in this session.
    ///
    /// # Errors
    ///
    /// `authorize.state` if this session waits for no such answer, also if it was given before; and
    /// those of [`Authorizing::finish`].
    pub fn finish(&self, session: &str, query: &str) -> Result<AuthorizationCode, Error> {
        let answer = Answer::read(query)?;
        let state = answer.state.ok_or(Error::State)?;
        let session = SecretText::new(session);
        let mut waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        let own =
            |(of, login): &(SecretText, Authorizing)| *of == session && *login.state() == state;
        let position = waiting.iter().position(own).ok_or(Error::State)?;
        let (_, login) = waiting.remove(position).ok_or(Error::State)?;
        drop(waiting);
        login.finish(query)
    }
}
