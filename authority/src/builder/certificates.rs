//! The certificates of clients (RFC 8705).

use aims_oauth_wire::certificate::ClientCertificates;
use aims_wimse_cred::enrolment::BaseUrl;

use super::Builder;
use crate::Error;
use crate::base::Base;
use crate::oauth::certificate::Certificates;
#[cfg(feature = "pki")]
use crate::oauth::certificate::pki::Authorities;

/// The source of the certificates, their issuers, and the URL at which TLS asks for them.
#[derive(Debug, Default)]
pub(super) struct CertificateSettings {
    source: Option<ClientCertificates>,
    #[cfg(feature = "pki")]
    authorities: Vec<Vec<u8>>,
    mutual_tls: Option<String>,
}

impl CertificateSettings {
    /// Returns the base URL of the endpoints for mutual TLS, if it is another than `base`.
    pub(super) fn mutual_tls(&self, base: &Base) -> Result<Option<Base>, Error> {
        let Some(url) = &self.mutual_tls else {
            return Ok(None);
        };
        let other = Base::parse(url)?;
        if other.path() == base.path() {
            return Ok(Some(other));
        }
        Err(Error::BaseUrl {
            found: BaseUrl::shown(other.as_str()),
        })
    }

    /// Returns the certificates of clients, if the server uses them.
    pub(super) fn certificates(self) -> Result<Option<Certificates>, Error> {
        let Some(source) = self.source else {
            return Ok(None);
        };
        Ok(Some(Certificates {
            source,
            #[cfg(feature = "pki")]
            authorities: Authorities::read(&self.authorities)?,
        }))
    }
}

impl Builder {
    /// Uses the certificates of clients (RFC 8705), and says where they come from: the TLS listener
    /// of the program, or a field that a TLS proxy sets. [`Server`](crate::Server) says from which
    /// address a request came; another program puts a [`Peer`] into the extensions of the request.
    ///
    /// Clients can then [authenticate by a certificate](crate::Client::by_certificates), and tokens
    /// can be [bound to it](crate::Client::bind_to_certificate). TLS must ask for a certificate,
    /// prove that the client has its key, and may pass on self-signed ones.
    ///
    /// ```
    /// use aims_authority::Authority;
    /// use aims_jose::provider;
    /// use aims_oauth_wire::certificate::{CertificateField, ClientCertificates, Peer};
    ///
    /// let proxy = Peer::Address([127, 0, 0, 1].into());
    /// let field = CertificateField::client_cert();
    /// let builder = Authority::builder("https://as.example", provider::default())
    ///     .client_certificates(ClientCertificates::from_proxy([proxy], field))
    ///     .mutual_tls_at("https://mtls.as.example");
    /// # drop(builder);
    /// ```
    ///
    /// [`Peer`]: aims_oauth_wire::certificate::Peer
    pub fn client_certificates(mut self, certificates: ClientCertificates) -> Self {
        self.certificates.source = Some(certificates);
        self
    }

    /// Trusts certificates of clients that this authority has issued, one or more in PEM, for
    /// [`Client::by_certificate_name`](crate::Client::by_certificate_name). Name the authority that
    /// issues them, which may be an intermediate one, and never all that browsers trust (RFC 8705
    /// §7.4).
    #[cfg(feature = "pki")]
    #[cfg_attr(docsrs, doc(cfg(feature = "pki")))]
    pub fn client_authority(mut self, pem: impl Into<Vec<u8>>) -> Self {
        self.certificates.authorities.push(pem.into());
        self
    }

    /// Sets the base URL of the endpoints for mutual TLS, if TLS asks for certificates at another
    /// host only: `mtls_endpoint_aliases` (RFC 8705 §5). Its path is that of the base URL.
    pub fn mutual_tls_at(mut self, base_url: impl Into<String>) -> Self {
        self.certificates.mutual_tls = Some(base_url.into());
        self
    }
}
