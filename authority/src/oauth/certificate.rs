//! Clients that authenticate by a certificate, and tokens that are bound to one (RFC 8705).

#[cfg(feature = "pki")]
pub(crate) mod pki;

use aims_jose::time::UnixTime;
use aims_oauth_wire::certificate::{ClientCertificates, PeerCertificate};
use aims_oauth_wire::confirmation::CertificateThumbprint;
use http::Request;

#[cfg(feature = "pki")]
pub use self::pki::CertificateName;
use super::resource::{Client, ClientMatcher};
use crate::Error;

/// The certificates of clients at this server: where they come from, and who may issue them.
#[derive(Debug)]
pub(crate) struct Certificates {
    pub(crate) source: ClientCertificates,
    #[cfg(feature = "pki")]
    pub(crate) authorities: pki::Authorities,
}

/// The certificates by which a client is known.
#[derive(Clone, Debug)]
pub(crate) enum CertificateRule {
    /// Exactly these (RFC 8705 §2.2).
    Registered(Vec<CertificateThumbprint>),
    /// Those with this name, of an authority that the server trusts (RFC 8705 §2.1).
    #[cfg(feature = "pki")]
    Named(CertificateName),
}

impl CertificateRule {
    /// Returns the name of the method of client authentication.
    pub(crate) const fn method(&self) -> &'static str {
        match self {
            Self::Registered(_) => "self_signed_tls_client_auth",
            #[cfg(feature = "pki")]
            Self::Named(_) => "tls_client_auth",
        }
    }

    /// Returns the defect of the rule, if it has one.
    pub(crate) fn defect(&self) -> Option<&'static str> {
        match self {
            Self::Registered(all) if all.is_empty() || all.len() > MOST_CERTIFICATES => {
                Some("has no certificate or too many, expected 1 to 16")
            }
            Self::Registered(_) => None,
            #[cfg(feature = "pki")]
            Self::Named(name) => name.defect(),
        }
    }
}

impl Client {
    /// Creates a client that authenticates by one of these certificates, which are usually
    /// self-signed: `self_signed_tls_client_auth` (RFC 8705 §2.2). Its tokens are bound to the
    /// certificate that it used.
    ///
    /// The thumbprint says it all: neither issuer nor validity of the certificate count. To
    /// withdraw a certificate, build the server without it.
    ///
    /// ```
    /// use aims_authority::Client;
    /// use aims_oauth_wire::confirmation::CertificateThumbprint;
    ///
    /// # let der = b"the certificate in DER";
    /// let client = Client::by_certificates("batch", [CertificateThumbprint::of_der(der)])
    ///     .allow("https://tools.example/mcp", ["tools:call"]);
    /// # drop(client);
    /// ```
    pub fn by_certificates(
        client_id: impl Into<String>,
        certificates: impl IntoIterator<Item = CertificateThumbprint>,
    ) -> Self {
        Self::new(ClientMatcher::Certificate {
            client_id: client_id.into(),
            rule: CertificateRule::Registered(certificates.into_iter().collect()),
        })
    }

    /// Creates a client that authenticates by a certificate with this name, of an authority that
    /// [`Builder::client_authority`](crate::Builder::client_authority) names: `tls_client_auth`
    /// (RFC 8705 §2.1). Its tokens are bound to the certificate that it used.
    #[cfg(feature = "pki")]
    #[cfg_attr(docsrs, doc(cfg(feature = "pki")))]
    pub fn by_certificate_name(client_id: impl Into<String>, name: CertificateName) -> Self {
        Self::new(ClientMatcher::Certificate {
            client_id: client_id.into(),
            rule: CertificateRule::Named(name),
        })
    }

    /// Binds all tokens of the client to the certificate of its connection (RFC 8705 §3),
    /// whichever way it authenticates. A token request without a certificate is refused.
    ///
    /// The refresh tokens of a public client are bound to it as well (§7.1).
    #[must_use]
    pub const fn bind_to_certificate(mut self) -> Self {
        self.requires_certificate = true;
        self
    }
}

impl Certificates {
    /// Returns the certificate of the client of a request.
    ///
    /// # Errors
    ///
    /// `as.certificate_field`.
    pub(crate) fn read(
        &self,
        request: &Request<Vec<u8>>,
    ) -> Result<Option<PeerCertificate>, Error> {
        let read = self.source.read(request.headers(), request.extensions());
        read.map_err(Error::CertificateField)
    }

    /// Returns why the certificate is not that of a client.
    #[cfg_attr(
        not(feature = "pki"),
        expect(unused_variables, reason = "only a name has a time")
    )]
    pub(crate) fn judge(
        &self,
        rule: &CertificateRule,
        certificate: &PeerCertificate,
        now: UnixTime,
    ) -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
        match rule {
            CertificateRule::Registered(all) if all.contains(certificate.thumbprint()) => Ok(()),
            CertificateRule::Registered(_) => {
                Err("the certificate is not one of this client".into())
            }
            #[cfg(feature = "pki")]
            CertificateRule::Named(name) => self.authorities.verify(certificate.der(), name, now),
        }
    }
}

/// Maximum number of certificates of a client.
const MOST_CERTIFICATES: usize = 16;
