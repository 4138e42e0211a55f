//! Access tokens of a client.

use std::fmt;

use aims_jose::digest::Fingerprint;
use aims_jose::secret::SecretText;
use aims_jose::time::UnixTime;
use aims_oauth_wire::names::{Resource, ScopeSet};
use http::HeaderValue;
use http::header::{AUTHORIZATION, HeaderMap};

use crate::Error;

/// An access token for one resource. It is opaque: the client does not parse it (RFC 6749 §1.4). It
/// is zeroized when it is dropped.
///
/// Its text can only be written into a request:
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
    /// Writes the token into the `Authorization` field of a request to its resource.
    ///
    /// An earlier value is replaced. The new value is marked as sensitive. This is the only method
    /// that reveals the text.
    ///
    /// # Errors
    ///
    /// `grant.token_type` if the text cannot be in a header field.
    pub fn apply(&self, headers: &mut HeaderMap) -> Result<(), Error> {
        let value = format!("Bearer {}", self.text.expose());
        let mut value = HeaderValue::from_str(&value).or(Err(Error::TokenType))?;
        value.set_sensitive(true);
        headers.insert(AUTHORIZATION, value);
        Ok(())
    }

    /// Returns the resource that the token is for. Send the token to no other.
    #[must_use]
    pub const fn resource(&self) -> &Resource {
        &self.resource
    }

    /// Returns the granted scopes.
    ///
    /// They may be fewer than the requested ones. They are more only if that was
    /// [accepted](crate::ClientCredentials::accept_wider_scopes).
    #[must_use]
    pub const fn scopes(&self) -> &ScopeSet {
        &self.scopes
    }

    /// Returns when the token expires, according to the server.
    #[must_use]
    pub const fn expires(&self) -> UnixTime {
        self.expires
    }

    /// Returns the fingerprint that logs and records use for the token.
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
