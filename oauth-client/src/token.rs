//! Tokens that were got.

use std::fmt;

use aims_jose::digest::Fingerprint;
use aims_jose::secret::SecretText;
use aims_jose::time::UnixTime;
use aims_oauth_wire::names::{Resource, ScopeSet};
use http::HeaderValue;
use http::header::{AUTHORIZATION, HeaderMap};

use crate::Error;

/// An access token, for one resource. Opaque: nothing in it is read (RFC 6749 §1.4). Zeroized when
/// it is dropped.
///
/// Its text goes into a request to its resource, and nowhere else:
///
/// ```compile_fail
/// fn the_text_is_not_handed_on(token: &aims_oauth_client::Token) -> String {
///     token.text.expose().to_owned() // private
/// }
/// ```
pub struct Token {
    pub(crate) text: SecretText,
    pub(crate) resource: Resource,
    pub(crate) scopes: ScopeSet,
    pub(crate) expires: UnixTime,
}

impl Token {
    /// Puts it into a request to its resource, instead of any `Authorization` that is there, and
    /// marks it as sensitive. The one place where the text leaves this type.
    ///
    /// # Errors
    ///
    /// `grant.token_type` where the text cannot stand in a header.
    pub fn apply(&self, headers: &mut HeaderMap) -> Result<(), Error> {
        let value = format!("Bearer {}", self.text.expose());
        let mut value = HeaderValue::from_str(&value).or(Err(Error::TokenType))?;
        value.set_sensitive(true);
        headers.insert(AUTHORIZATION, value);
        Ok(())
    }

    /// For whom it is, and nobody else.
    #[must_use]
    pub const fn resource(&self) -> &Resource {
        &self.resource
    }

    /// What was granted, which may be less than was asked for; more, only where that was
    /// [accepted](crate::ClientCredentials::accepting_wider_scopes).
    #[must_use]
    pub const fn scopes(&self) -> &ScopeSet {
        &self.scopes
    }

    /// When it expires, by the server's word.
    #[must_use]
    pub const fn expires(&self) -> UnixTime {
        self.expires
    }

    /// What logs and records call it.
    #[must_use]
    pub fn fingerprint(&self) -> Fingerprint {
        self.text.fingerprint()
    }
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Token")
            .field("text", &self.text)
            .field("resource", &self.resource)
            .field("scopes", &self.scopes)
            .field("expires", &self.expires.as_secs())
            .finish()
    }
}
