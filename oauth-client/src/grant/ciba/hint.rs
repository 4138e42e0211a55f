//! The hint to the user of a backchannel request (CIBA Core §7.1).

use aims_jose::secret::SecretText;

/// Tells the server which user to ask. A request has exactly one hint (CIBA Core §7.1).
///
/// Text is a [`LoginHint`](Self::LoginHint):
///
/// ```
/// use aims_jose::secret::SecretText;
/// use aims_oauth_client::{BackchannelRequest, Target, UserHint};
///
/// /// Asks the user of an earlier login.
/// fn again(target: Target, id_token: SecretText) -> BackchannelRequest {
///     BackchannelRequest::new(target, UserHint::IdToken(id_token))
/// }
///
/// fn by_name(target: Target) -> BackchannelRequest {
///     BackchannelRequest::new(target, "alice@example.org")
/// }
/// ```
#[derive(Clone, Debug)]
#[expect(clippy::exhaustive_enums, reason = "the standard has these three")]
pub enum UserHint {
    /// A name of the user at the server, such as an email address (`login_hint`).
    LoginHint(SecretText),
    /// An ID token that the server issued to this client before (`id_token_hint`).
    IdToken(SecretText),
    /// A token about the user whose form client and server have agreed on (`login_hint_token`).
    HintToken(SecretText),
}

impl UserHint {
    pub(super) fn parameter(&self) -> (&'static str, SecretText) {
        match self {
            Self::LoginHint(hint) => ("login_hint", hint.clone()),
            Self::IdToken(token) => ("id_token_hint", token.clone()),
            Self::HintToken(token) => ("login_hint_token", token.clone()),
        }
    }
}

impl From<SecretText> for UserHint {
    fn from(hint: SecretText) -> Self {
        Self::LoginHint(hint)
    }
}

impl From<String> for UserHint {
    fn from(hint: String) -> Self {
        Self::LoginHint(hint.into())
    }
}

impl From<&str> for UserHint {
    fn from(hint: &str) -> Self {
        Self::LoginHint(hint.into())
    }
}
