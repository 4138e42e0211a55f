//! Client authentication by the certificate of the connection (RFC 8705 §2), and tokens that are
//! bound to it (§3).

use aims_jose::time::UnixTime;
use http::Response;

use super::{Authenticate, Authentication, expect_method, expect_unauthenticated, name_in_body};
use crate::Error;
use crate::certificate::PeerCertificate;
use crate::confirmation::CertificateThumbprint;
use crate::metadata::ServerMetadata;
use crate::names::ClientId;
use crate::token::TokenRequest;

/// Authenticates a client by the certificate that its HTTP client presents to this server:
/// `tls_client_auth` or `self_signed_tls_client_auth` (RFC 8705 §2).
///
/// The HTTP client must present the certificate: see `FetcherBuilder::client_certificate` of
/// `aims-fetch`. The request goes to the server's endpoint for mutual TLS, if there is one (§5).
/// To require tokens that are bound to the certificate, wrap the client in [`CertificateBound`].
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
    /// (draft-ietf-oauth-spiffe-client-auth-02 §3.2). Where the program has the certificate,
    /// [`of_svid`](Self::of_svid) reads it from there.
    #[must_use]
    pub const fn spiffe(id: ClientId) -> Self {
        Self {
            client: id,
            method: "spiffe_x509",
        }
    }

    /// Creates a client with this X.509-SVID. Its identifier is the SPIFFE ID of the certificate,
    /// so that the two cannot differ (draft-ietf-oauth-spiffe-client-auth-02 §3.2).
    ///
    /// # Errors
    ///
    /// `oauth.certificate` if the certificate does not have exactly one URI, or it is no SPIFFE ID.
    pub fn of_svid(certificate: &PeerCertificate) -> Result<Self, Error> {
        let uris = certificate.uris().unwrap_or_default();
        match uris.as_slice() {
            [id] if id.starts_with("spiffe://") => Ok(Self::spiffe(id.parse()?)),
            _ => Err(Error::Certificate {
                reason: "expected an X.509-SVID, with a SPIFFE ID as its only URI",
            }),
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

/// A client whose access tokens must be bound to its certificate (RFC 8705 §3), whichever way it
/// authenticates: also a public client, or one with a key.
///
/// The HTTP client must present the certificate to the server, and to the resources. Requests go to
/// the server's endpoints for mutual TLS, if there are any (§5).
///
/// ```
/// use aims_oauth_wire::client_auth::{CertificateBound, PublicClient};
/// use aims_oauth_wire::confirmation::CertificateThumbprint;
///
/// # let der = b"the certificate in DER";
/// let thumbprint = CertificateThumbprint::of_der(der);
/// let client = CertificateBound::new(PublicClient::new("agent-7".parse()?), thumbprint);
/// # drop(client);
/// # Ok::<(), aims_oauth_wire::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct CertificateBound<A> {
    client: A,
    certificate: CertificateThumbprint,
}

impl<A: Authenticate> CertificateBound<A> {
    /// Requires tokens that are bound to this certificate.
    pub const fn new(client: A, certificate: CertificateThumbprint) -> Self {
        Self {
            client,
            certificate,
        }
    }
}

impl<A: Authenticate> Authenticate for CertificateBound<A> {
    fn client_id(&self) -> &ClientId {
        self.client.client_id()
    }

    fn presents_certificate(&self) -> bool {
        true
    }

    fn certificate(&self) -> Option<CertificateThumbprint> {
        Some(self.certificate)
    }

    fn needs_challenge(&self, server: &ServerMetadata) -> bool {
        self.client.needs_challenge(server)
    }

    fn learn(&self, server: &ServerMetadata, answer: &Response<Vec<u8>>) -> bool {
        self.client.learn(server, answer)
    }

    fn authenticate(
        &self,
        request: &mut TokenRequest,
        server: &ServerMetadata,
        now: UnixTime,
    ) -> Result<(), Error> {
        self.client.authenticate(request, server, now)
    }

    fn begin(
        &self,
        request: TokenRequest,
        server: &ServerMetadata,
        now: UnixTime,
    ) -> Result<Authentication, Error> {
        self.client.begin(request, server, now)
    }
}
