//! Public clients: `none` (RFC 6749 §2.1, RFC 7591 §2).

use aims_jose::time::UnixTime;

use super::{Authenticate, expect_unauthenticated, name_in_body};
use crate::Error;
use crate::metadata::ServerMetadata;
use crate::names::ClientId;
use crate::token::TokenRequest;

/// A public client, which has only an identifier. It proves nothing, so its grants need another
/// protection: PKCE for codes (RFC 7636), and DPoP or rotation for refresh tokens (RFC 9700
/// §2.2.2).
///
/// The server need not list `none` in its metadata: Keycloak does not, and has public clients. A
/// request to a server that requires an authentication shows nothing but the identifier.
///
/// ```
/// use aims_oauth_wire::client_auth::PublicClient;
///
/// let client = PublicClient::new("https://agent.example/client.json".parse()?);
/// # drop(client);
/// # Ok::<(), aims_oauth_wire::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct PublicClient(ClientId);

impl PublicClient {
    /// Creates a client with this identifier.
    #[must_use]
    pub const fn new(client: ClientId) -> Self {
        Self(client)
    }
}

impl Authenticate for PublicClient {
    fn client_id(&self) -> &ClientId {
        &self.0
    }

    /// Adds `client_id`.
    ///
    /// # Errors
    ///
    /// `oauth.request` if the request has an authentication, or names another client.
    fn authenticate(
        &self,
        request: &mut TokenRequest,
        _server: &ServerMetadata,
        _now: UnixTime,
    ) -> Result<(), Error> {
        expect_unauthenticated(request, &self.0)?;
        name_in_body(request, &self.0)
    }
}
