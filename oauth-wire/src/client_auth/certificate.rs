//! Client authentication by the certificate of the connection (RFC 8705 §2).

use aims_jose::time::UnixTime;

use super::{Authenticate, expect_method, expect_unauthenticated, name_in_body};
use crate::Error;
use crate::metadata::ServerMetadata;
use crate::names::ClientId;
use crate::token::TokenRequest;

/// Authenticates a client by the certificate that its HTTP client presents to this server:
/// `tls_client_auth` or `self_signed_tls_client_auth` (RFC 8705 §2).
///
/// The HTTP client must present the certificate: see `FetcherBuilder::client_certificate` of
/// `aims-fetch`. The request goes to the server's endpoint for mutual TLS, if there is one (§5).
///
/// ```
/// use aims_oauth_wire::client_auth::TlsClientAuth;
///
/// let client = TlsClientAuth::new("agent-7".parse()?);
/// # drop(client);
/// # Ok::<(), aims_oauth_wire::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct TlsClientAuth {
    client: ClientId,
    method: &'static str,
}

impl TlsClientAuth {
    /// Creates a client with a certificate of an authority that the server trusts.
    #[must_use]
    pub const fn new(client: ClientId) -> Self {
        Self {
            client,
            method: "tls_client_auth",
        }
    }

    /// Creates a client with a self-signed certificate that is registered at the server.
    #[must_use]
    pub const fn self_signed(client: ClientId) -> Self {
        Self {
            client,
            method: "self_signed_tls_client_auth",
        }
    }

    /// Creates a client with an X.509-SVID. Its identifier is the SPIFFE ID
    /// (draft-ietf-oauth-spiffe-client-auth-02 §3.2).
    #[must_use]
    pub const fn spiffe(id: ClientId) -> Self {
        Self {
            client: id,
            method: "spiffe_x509",
        }
    }
}

impl Authenticate for TlsClientAuth {
    fn client_id(&self) -> &ClientId {
        &self.client
    }

    fn presents_certificate(&self) -> bool {
        true
    }

    fn authenticate(
        &self,
        request: &mut TokenRequest,
        server: &ServerMetadata,
        _now: UnixTime,
    ) -> Result<(), Error> {
        expect_method(server, self.method)?;
        expect_unauthenticated(request, &self.client)?;
        name_in_body(request, &self.client)
    }
}
