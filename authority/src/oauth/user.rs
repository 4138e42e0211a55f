//! The user of a request: [`AuthenticateUser`].

use core::fmt;

use aims_jose::time::UnixTime;
use http::HeaderMap;

/// Says which user sends a request with a browser.
///
/// The authorization server has no users of its own. It asks this trait for every authorization
/// request, every consent, and every request to its page of approvals. An application answers from
/// its own session, or sends the browser to its own sign-in page, which may use an upstream OpenID
/// provider.
///
/// ```
/// use aims_authority::{AuthenticateUser, User, UserAnswer, UserRequest};
///
/// /// Users of a web application, by its session cookie.
/// #[derive(Debug)]
/// struct Sessions;
///
/// impl AuthenticateUser for Sessions {
///     fn authenticate(
///         &self,
///         request: &UserRequest<'_>,
///     ) -> Result<UserAnswer, Box<dyn std::error::Error + Send + Sync>> {
///         // Look the session up, by a cookie of the application.
///         let found: Option<User> = None;
///         Ok(match found {
///             Some(user) if request.accepts(&user) => UserAnswer::User(user),
///             // The page returns to `request.return_to` after the sign-in.
///             _ => UserAnswer::SignIn {
///                 location: "https://app.example/sign-in".to_owned(),
///             },
///         })
///     }
/// }
/// ```
pub trait AuthenticateUser: fmt::Debug + Send + Sync {
    /// Returns the user of a request, or where the user can sign in.
    ///
    /// It may block for a short time, such as for one look-up. Sign-in pages belong to the
    /// application.
    ///
    /// # Errors
    ///
    /// Any failure to tell. The client gets `server_error`.
    fn authenticate(
        &self,
        request: &UserRequest<'_>,
    ) -> Result<UserAnswer, Box<dyn core::error::Error + Send + Sync>>;
}

/// A request of a browser, as [`AuthenticateUser`] sees it.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct UserRequest<'a> {
    /// The header fields, with the cookies of the application.
    pub headers: &'a HeaderMap,
    /// The URL of this request. The sign-in page sends the browser back to it.
    pub return_to: &'a str,
    /// The authentication contexts of which one is required (RFC 9470 §4). Empty if any will do.
    pub acr_values: &'a [String],
    /// The earliest time of the sign-in that is recent enough. `None` if any will do.
    pub signed_in_since: Option<UnixTime>,
    /// `login_hint` of the client, unverified.
    pub login_hint: Option<&'a str>,
    /// Whether the user must not be sent to a sign-in page (`prompt=none`).
    pub is_silent: bool,
    /// The time of the request.
    pub now: UnixTime,
}

impl UserRequest<'_> {
    /// Returns whether a sign-in is of a required authentication context, and recent enough.
    #[must_use]
    pub fn accepts(&self, user: &User) -> bool {
        let has_context = self.acr_values.is_empty()
            || user
                .acr
                .as_ref()
                .is_some_and(|it| self.acr_values.contains(it));
        has_context
            && self
                .signed_in_since
                .is_none_or(|since| user.auth_time >= since)
    }
}

/// The answer of [`AuthenticateUser`].
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum UserAnswer {
    /// This user sends the request.
    User(User),
    /// The user must sign in first, at this URL. The browser is redirected there.
    SignIn {
        /// The absolute URL of the sign-in page, with what it needs to return to
        /// [`UserRequest::return_to`].
        location: String,
    },
    /// The user may not authorize clients. The client gets `access_denied`.
    Refused,
}

/// A signed-in user.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct User {
    pub(crate) subject: String,
    pub(crate) auth_time: UnixTime,
    pub(crate) acr: Option<String>,
    pub(crate) amr: Vec<String>,
}

impl User {
    /// Creates a user by the value for `sub`, which is never given to another user, and the time
    /// of the sign-in.
    ///
    /// `sub` has 1 to 255 printable ASCII characters, and is not a `client_id` or the identifier of
    /// a workload (RFC 9700 §4.15).
    #[must_use]
    pub fn new(subject: impl Into<String>, auth_time: UnixTime) -> Self {
        Self {
            subject: subject.into(),
            auth_time,
            acr: None,
            amr: Vec::new(),
        }
    }

    /// Sets the authentication context of the sign-in, `acr` of tokens (RFC 9068 §2.2.1).
    #[must_use]
    pub fn with_acr(mut self, acr: impl Into<String>) -> Self {
        self.acr = Some(acr.into());
        self
    }

    /// Sets the methods of the sign-in, `amr` of tokens (RFC 8176).
    #[must_use]
    pub fn with_amr<S: Into<String>>(mut self, amr: impl IntoIterator<Item = S>) -> Self {
        self.amr = amr.into_iter().map(Into::into).collect();
        self
    }
}

/// One user who is always signed in. For development on one machine.
///
/// Everyone who opens an authorization request in a browser is this user. Each request counts as a
/// new sign-in, with the first authentication context that is asked for.
#[derive(Clone, Debug)]
pub struct DevUser(String);

impl DevUser {
    /// Creates the user by the value for `sub`.
    #[must_use]
    pub fn new(subject: impl Into<String>) -> Self {
        Self(subject.into())
    }

    pub(super) fn subject(&self) -> &str {
        &self.0
    }
}

impl AuthenticateUser for DevUser {
    fn authenticate(
        &self,
        request: &UserRequest<'_>,
    ) -> Result<UserAnswer, Box<dyn core::error::Error + Send + Sync>> {
        let user = User::new(self.0.clone(), request.now);
        Ok(UserAnswer::User(match request.acr_values.first() {
            Some(acr) => user.with_acr(acr.clone()),
            None => user,
        }))
    }
}
