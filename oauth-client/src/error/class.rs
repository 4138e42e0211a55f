//! The classes of errors: what a program does next.

use aims_error::ErrorKind;
use aims_oauth_wire::token::TokenError;

use super::Error;

/// The meaning of an [`Error`] for the program that gets it. Each error has one class.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
#[non_exhaustive]
pub enum ErrorClass {
    /// The authorization server or the user refused: `invalid_grant`, `invalid_client`,
    /// `access_denied`. The same request is refused again.
    Rejected,
    /// The user has not decided yet: `authorization_pending`, `slow_down`. Or a platform has not
    /// replaced a token that was used (`grant.assertion_used`). Ask again later.
    Pending,
    /// A server did not answer, failed, or is busy. The same request may succeed later.
    Transient,
    /// The server demands more than the request had: another proof (`use_dpop_nonce`,
    /// `use_attestation_challenge`) or a better login (`insufficient_user_authentication`,
    /// `login_required`).
    Challenge,
    /// A user must grant access, or did not answer a login.
    NeedsUser,
    /// The answer of a server is not the requested one, or is not safe to use.
    Unusable,
    /// The program, its configuration or its store must change first.
    Local,
}

/// The codes by which a server demands that the user logs in, or decides (OpenID Connect Core
/// §3.1.2.6, RFC 9470 §3).
const OF_USER: [&str; 5] = [
    "insufficient_user_authentication",
    "login_required",
    "interaction_required",
    "consent_required",
    "account_selection_required",
];

impl Error {
    /// Returns what the error means for the program.
    ///
    /// ```
    /// use aims_oauth_client::{Error, ErrorClass};
    ///
    /// fn advice(error: &Error) -> &'static str {
    ///     match error.class() {
    ///         _ if error.needs_user() => "log in again",
    ///         ErrorClass::Pending | ErrorClass::Transient => "try again later",
    ///         ErrorClass::Rejected => "refused",
    ///         _ => "look at the message",
    ///     }
    /// }
    /// ```
    #[must_use]
    pub fn class(&self) -> ErrorClass {
        match self {
            Self::BackingOff { last } => last.class(),
            Self::NeedsUser { .. } | Self::LoginTimeout | Self::Cancelled => ErrorClass::NeedsUser,
            Self::AssertionUsed(_) => ErrorClass::Pending,
            Self::GrantType
            | Self::UnsupportedServer { .. }
            | Self::NotServed { .. }
            | Self::RegistrationGone => ErrorClass::Rejected,
            Self::ScopeNotAllowed { .. } | Self::NoServer { .. } | Self::StoreContent => {
                ErrorClass::Local
            }
            _ => match self.told().map(TokenError::error) {
                Some("authorization_pending" | "slow_down") => ErrorClass::Pending,
                Some("use_dpop_nonce" | "use_attestation_challenge") => ErrorClass::Challenge,
                Some(code) if OF_USER.contains(&code) => ErrorClass::Challenge,
                _ if self.is_retryable() => ErrorClass::Transient,
                Some(_) => ErrorClass::Rejected,
                None => match self.kind() {
                    ErrorKind::Configuration => ErrorClass::Local,
                    _ => ErrorClass::Unusable,
                },
            },
        }
    }

    /// Returns whether a user must act before another attempt can succeed: grant access, or log in
    /// again. That is so as well if a server, such as the identity provider of the user, demands a
    /// login by `insufficient_user_authentication`, `login_required`, `interaction_required` or the
    /// like.
    #[must_use]
    pub fn needs_user(&self) -> bool {
        match self {
            Self::NeedsUser { .. } | Self::LoginTimeout | Self::Cancelled => true,
            Self::BackingOff { last } => last.needs_user(),
            _ => {
                let told = self.told().map(TokenError::error);
                told.is_some_and(|code| OF_USER.contains(&code))
            }
        }
    }

    /// Returns whether the same attempt may succeed later: the server did not answer, answered with
    /// an error of its own, or asked to wait. So does the status of an answer (5xx, 429), whatever
    /// its code is.
    #[must_use]
    pub fn is_retryable(&self) -> bool {
        match self {
            Self::BackingOff { last } => last.is_retryable(),
            Self::Wire(_) => {
                let code = self.refusal().map(TokenError::error);
                self.kind() == ErrorKind::Unavailable
                    || code.is_some_and(|code| LATER.contains(&code))
                    || self.refusal().is_some_and(TokenError::is_busy)
                    || self.is_unreadable()
            }
            _ => self.kind() == ErrorKind::Unavailable,
        }
    }

    /// Returns the error response of any endpoint, or that in the answer of a browser.
    pub(crate) fn told(&self) -> Option<&TokenError> {
        match self {
            Self::AuthorizationRefused(told) | Self::RegistrationRefused(told) => Some(told),
            _ => self.refusal(),
        }
    }
}

/// The codes by which a server asks to try again later (RFC 6749 §4.1.2.1, RFC 8628 §3.5).
const LATER: [&str; 4] = [
    "temporarily_unavailable",
    "server_error",
    "slow_down",
    "authorization_pending",
];
