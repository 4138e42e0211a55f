//! Certificates of authorities, verified by the validator of rustls (RFC 8705 §2.1, §7.5).

use aims_jose::time::UnixTime;
use rustls_pki_types::pem::PemObject as _;
use rustls_pki_types::{CertificateDer, TrustAnchor};
use webpki::{ALL_VERIFICATION_ALGS, EndEntityCert, KeyUsage, anchor_from_trusted_cert};

use crate::Error;

/// The name in a certificate by which a client is known (RFC 8705 §2.1.2).
///
/// Other kinds of names are not supported: text forms of distinguished names are ambiguous.
#[derive(Clone, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum CertificateName {
    /// A DNS name in the alternative names, without wildcard.
    Dns(String),
    /// A URI in the alternative names, such as a SPIFFE ID. Compared byte by byte.
    Uri(String),
}

impl CertificateName {
    /// Returns the defect of the name, if it has one.
    pub(super) fn defect(&self) -> Option<&'static str> {
        let is_plain = |text: &str| {
            let printable = text.bytes().all(|byte| (0x21..=0x7e).contains(&byte));
            (1..=2_048).contains(&text.len()) && printable
        };
        let is_good = match self {
            Self::Dns(name) => is_plain(name) && !name.contains('*'),
            Self::Uri(uri) => is_plain(uri) && uri.contains(':'),
        };
        let expected = "has a malformed certificate name: expected a DNS name without wildcard, or \
                        a URI";
        (!is_good).then_some(expected)
    }

    fn is_in(&self, certificate: &EndEntityCert<'_>) -> bool {
        match self {
            Self::Dns(name) => {
                let mut names = certificate.valid_dns_names();
                names.any(|found| found.eq_ignore_ascii_case(name))
            }
            Self::Uri(uri) => certificate.valid_uri_names().any(|found| found == uri),
        }
    }
}

/// The authorities that may issue certificates of clients.
#[derive(Debug, Default)]
pub(crate) struct Authorities(Vec<TrustAnchor<'static>>);

impl Authorities {
    /// Reads certificates of authorities in PEM.
    pub(crate) fn read(pem: &[Vec<u8>]) -> Result<Self, Error> {
        let bad = |reason| Error::ClientAuthority { reason };
        let mut all = Vec::new();
        for text in pem {
            let before = all.len();
            for der in CertificateDer::pem_slice_iter(text) {
                let der = der.or(Err(bad("it is not PEM")))?;
                let anchor = anchor_from_trusted_cert(&der).or(Err(bad("it is no certificate")))?;
                all.push(anchor.to_owned());
            }
            if all.len() == before {
                return Err(bad("expected at least one block `CERTIFICATE`"));
            }
        }
        Ok(Self(all))
    }

    pub(crate) const fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Verifies that one of the authorities has issued the certificate, for clients, with this name
    /// and for this time.
    pub(super) fn verify(
        &self,
        der: &[u8],
        name: &CertificateName,
        now: UnixTime,
    ) -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
        let der = CertificateDer::from(der);
        let certificate = EndEntityCert::try_from(&der)?;
        // The name is compared first, because it costs no signature.
        if !name.is_in(&certificate) {
            return Err("the certificate has another name than this client".into());
        }
        let usage = KeyUsage::client_auth();
        certificate.verify_for_usage(
            ALL_VERIFICATION_ALGS,
            &self.0,
            &[],
            now,
            usage,
            None,
            None,
        )?;
        Ok(())
    }
}
