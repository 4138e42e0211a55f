//! The access token of a request that a resource server received, for a token exchange.

use core::fmt;

use aims_jose::digest::Fingerprint;
use aims_jose::jws::Unverified;
use aims_jose::secret::SecretText;

use crate::Error;
use crate::token::TokenRequest;

/// The access token of a request that a resource server received.
///
/// A resource server must not send this token on: it was issued for this resource, and another
/// service that accepts it takes the caller for the server. To call another service for the same
/// user, the server exchanges it (RFC 8693). So this type returns no text, and is neither cloned
/// nor serialized. [`TokenRequest::subject_token`] is the only way out:
///
/// ```
/// use aims_jose::secret::SecretText;
/// use aims_oauth_wire::InboundToken;
/// use aims_oauth_wire::token::TokenRequest;
///
/// fn exchange(inbound: &InboundToken) -> Result<TokenRequest, aims_oauth_wire::Error> {
///     let mut request = TokenRequest::exchange(inbound)?;
///     request.resource(&"https://next.example/mcp".parse()?)?;
///     Ok(request)
/// }
/// # let request = exchange(&InboundToken::new("mF_9.B5f-4.1JqM"))?;
/// # let sent = request.into_http(&"https://as.example/token".parse()?)?;
/// # assert!(String::from_utf8_lossy(sent.body()).contains("subject_token=mF_9.B5f-4.1JqM"));
/// # Ok::<(), aims_oauth_wire::Error>(())
/// ```
///
/// None of these compiles:
///
/// ```compile_fail,E0599
/// # fn example(inbound: aims_oauth_wire::InboundToken) {
/// let header = format!("Bearer {}", inbound.expose()); // no such method
/// # }
/// ```
///
/// ```compile_fail,E0277
/// # fn example(inbound: aims_oauth_wire::InboundToken) {
/// let header = format!("Bearer {inbound}"); // no `Display`
/// # }
/// ```
///
/// ```compile_fail,E0599
/// # fn example(inbound: aims_oauth_wire::InboundToken) {
/// let kept = inbound.clone(); // no `Clone`
/// # }
/// ```
#[must_use = "a token that is received is exchanged, or not used"]
pub struct InboundToken(SecretText);

impl InboundToken {
    /// Wraps the text of a token that was received. There is no way back to the text.
    pub fn new(text: impl Into<SecretText>) -> Self {
        Self(text.into())
    }

    /// Returns the fingerprint, which may be logged.
    #[must_use]
    pub fn fingerprint(&self) -> Fingerprint {
        self.0.fingerprint()
    }

    /// Returns the header `typ` and the payload of the token, if it is a JWT, to compare the answer
    /// of an exchange with it. Without the signature they are no token. Nothing is verified.
    #[must_use]
    pub fn unverified_claims(&self) -> Option<(Option<String>, Vec<u8>)> {
        let token = Unverified::parse_ignoring_key_references(self.0.expose(), usize::MAX).ok()?;
        let payload = token.unverified_payload().ok()?;
        let typ = token.header().typ().map(str::to_owned);
        Some((typ, payload.to_vec()))
    }
}

impl fmt::Debug for InboundToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "InboundToken({})", self.fingerprint())
    }
}

impl TokenRequest {
    /// Creates a token exchange whose subject is the access token that a request brought (RFC 8693
    /// §2.1).
    ///
    /// # Errors
    ///
    /// `oauth.request` if the token is empty.
    pub fn exchange(inbound: &InboundToken) -> Result<Self, Error> {
        let mut request = Self::new(TOKEN_EXCHANGE)?;
        request.subject_token(inbound)?;
        Ok(request)
    }

    /// Sets `subject_token` and `subject_token_type` to the access token that a request brought.
    ///
    /// # Errors
    ///
    /// `oauth.repeated` if a subject token is set already; `oauth.request` if the token is empty.
    pub fn subject_token(&mut self, inbound: &InboundToken) -> Result<&mut Self, Error> {
        self.parameter("subject_token", inbound.0.clone())?;
        self.parameter("subject_token_type", ACCESS_TOKEN)
    }
}

const TOKEN_EXCHANGE: &str = "urn:ietf:params:oauth:grant-type:token-exchange";
const ACCESS_TOKEN: &str = "urn:ietf:params:oauth:token-type:access_token";
