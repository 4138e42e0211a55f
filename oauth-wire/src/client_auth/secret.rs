//! `client_secret_basic` (RFC 6749 §2.3.1).

use aims_jose::secret::SecretText;
use aims_jose::time::UnixTime;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::header::AUTHORIZATION;
use url::form_urlencoded::byte_serialize;
use zeroize::Zeroizing;

use super::{Authenticate, expect_method, expect_unauthenticated, name_in_body, sensitive};
use crate::Error;
use crate::metadata::ServerMetadata;
use crate::names::ClientId;
use crate::token::TokenRequest;

/// Authenticates a client with a shared secret, for servers that support no better method. Anyone
/// who sees a request learns the secret.
///
/// ```
/// use aims_jose::secret::SecretText;
/// use aims_oauth_wire::client_auth::ClientSecretBasic;
///
/// fn client(secret: SecretText) -> Result<ClientSecretBasic, aims_oauth_wire::Error> {
///     Ok(ClientSecretBasic::new("s6BhdRkqt3".parse()?, secret))
/// }
/// ```
#[derive(Clone, Debug)]
pub struct ClientSecretBasic {
    client: ClientId,
    secret: SecretText,
}

impl ClientSecretBasic {
    /// Creates a client with a secret.
    #[must_use]
    pub const fn new(client: ClientId, secret: SecretText) -> Self {
        Self { client, secret }
    }
}

impl Authenticate for ClientSecretBasic {
    fn client_id(&self) -> &ClientId {
        &self.client
    }

    fn authenticate(
        &self,
        request: &mut TokenRequest,
        server: &ServerMetadata,
        _now: UnixTime,
    ) -> Result<(), Error> {
        expect_method(server, "client_secret_basic")?;
        expect_unauthenticated(request, &self.client)?;
        let encoded = basic(self.client.as_str(), self.secret.expose());
        request.header(AUTHORIZATION, sensitive(&encoded)?)?;
        Ok(())
    }
}

/// Authenticates a client with a shared secret in the body of the request, for servers that support
/// no better method, not even [`ClientSecretBasic`] (RFC 6749 §2.3.1).
#[derive(Clone, Debug)]
pub struct ClientSecretPost {
    client: ClientId,
    secret: SecretText,
}

impl ClientSecretPost {
    /// Creates a client with a secret.
    #[must_use]
    pub const fn new(client: ClientId, secret: SecretText) -> Self {
        Self { client, secret }
    }
}

impl Authenticate for ClientSecretPost {
    fn client_id(&self) -> &ClientId {
        &self.client
    }

    fn authenticate(
        &self,
        request: &mut TokenRequest,
        server: &ServerMetadata,
        _now: UnixTime,
    ) -> Result<(), Error> {
        expect_method(server, "client_secret_post")?;
        expect_unauthenticated(request, &self.client)?;
        name_in_body(request, &self.client)?;
        request.parameter("client_secret", self.secret.clone())?;
        Ok(())
    }
}

/// Encodes each half as in a form, so that a colon in a name cannot move the separator. The buffer
/// has its full size from the start, because a buffer that grows leaves copies of the secret in
/// memory.
fn pair(client: &str, secret: &str) -> Zeroizing<String> {
    let most = client.len().saturating_add(secret.len()).saturating_mul(3);
    let mut pair = Zeroizing::new(String::with_capacity(most.saturating_add(1)));
    pair.extend(byte_serialize(client.as_bytes()));
    pair.push(':');
    pair.extend(byte_serialize(secret.as_bytes()));
    pair
}

fn basic(client: &str, secret: &str) -> Zeroizing<String> {
    const SCHEME: &str = "Basic ";
    let pair = pair(client, secret);
    let length = pair.len().div_ceil(3).saturating_mul(4);
    let mut field = Zeroizing::new(String::with_capacity(length.saturating_add(SCHEME.len())));
    field.push_str(SCHEME);
    STANDARD.encode_string(pair.as_bytes(), &mut field);
    field
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The buffer must not grow, because a grown buffer leaves a copy of the secret in memory.
    #[test]
    fn buffers_do_not_grow() {
        for secret in ["a", "a secret: \u{e4}\u{1f511}", &"x y".repeat(400)] {
            let most = 3 * ("agent 7".len() + secret.len()) + 1;
            assert_eq!(pair("agent 7", secret).capacity(), most);
            let field = basic("agent 7", secret);
            assert_eq!(field.capacity(), field.len());
        }
    }
}
