//! Certificates that a client presents to one server.

use std::fmt;
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use rustls::client::ResolvesClientCert;
use rustls::crypto::CryptoProvider;
use rustls::crypto::aws_lc_rs::{default_provider, sign::any_supported_type};
use rustls::sign::CertifiedKey;
use rustls::{ClientConfig, SignatureScheme};
use rustls_pki_types::pem::PemObject as _;
use rustls_pki_types::{CertificateDer, PrivateKeyDer};
use rustls_platform_verifier::Verifier;
use url::{Origin, Url};
use zeroize::{Zeroize as _, Zeroizing};

use crate::Error;
use crate::policy::parse;

/// A certificate and its private key, by which a client proves itself on a TLS connection (RFC 8705
/// §2). Needs the feature `client`. Clones share the key.
///
/// Give it to [`FetcherBuilder::client_certificate`](crate::FetcherBuilder::client_certificate) for
/// one server.
///
/// ```no_run
/// use aims_fetch::{ClientCertificate, Fetcher};
///
/// # fn example() -> Result<(), Box<dyn std::error::Error>> {
/// let chain = std::fs::read("agent.pem")?;
/// let key = std::fs::read("agent.key")?; // wipe it where you keep it
/// let certificate = ClientCertificate::from_pem(&chain, &key)?;
/// let fetcher = Fetcher::builder().client_certificate("https://mtls.as.example", certificate);
/// # drop(fetcher);
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct ClientCertificate(Arc<CertifiedKey>);

impl ClientCertificate {
    /// Reads a chain of certificates in PEM, the client's own first, and its private key in PEM:
    /// one block `PRIVATE KEY`, `EC PRIVATE KEY` or `RSA PRIVATE KEY`.
    ///
    /// The TLS library keeps the key; the copies that this method makes are zeroized.
    ///
    /// # Errors
    ///
    /// `fetch.client_certificate` if one of them cannot be read, the key is encrypted, or it is not
    /// the key of the first certificate.
    pub fn from_pem(chain: &[u8], key: &[u8]) -> Result<Self, Error> {
        let chain: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(chain).collect();
        let chain = chain.or_else(|_pem| refused("the certificate is not PEM"))?;
        if chain.is_empty() {
            return refused("expected at least one block `CERTIFICATE`");
        }
        let mut key = private_key(key)?;
        let signing = any_supported_type(&key);
        key.zeroize();
        let Ok(signing) = signing else {
            return refused("the private key is malformed, or of a kind that TLS does not use");
        };
        let certified = CertifiedKey::new(chain, signing);
        if certified.keys_match().is_err() {
            return refused("the private key is not that of the first certificate");
        }
        Ok(Self(Arc::new(certified)))
    }

    /// Returns the client's own certificate in DER. Its SHA-256 is `x5t#S256` of the tokens that
    /// are bound to it (RFC 8705 §3.1).
    #[must_use]
    pub fn der(&self) -> &[u8] {
        self.0.cert.first().map_or(&[], AsRef::as_ref)
    }

    /// Returns the TLS configuration that presents this certificate and otherwise equals the
    /// default one: the roots of the system and these, and TLS 1.2 or later.
    pub(crate) fn config(&self, roots: &[Vec<u8>]) -> Result<ClientConfig, Error> {
        let failed = |error: rustls::Error| Error::Build(Arc::new(error));
        let provider = CryptoProvider::get_default().cloned();
        let provider = provider.unwrap_or_else(|| Arc::new(default_provider()));
        let roots = roots.iter().flat_map(|pem| {
            // The client without a certificate has read the same roots.
            CertificateDer::pem_slice_iter(pem).filter_map(Result::ok)
        });
        let verifier = Verifier::new_with_extra_roots(roots, Arc::clone(&provider));
        let config = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .map_err(failed)?
            // It verifies as the default one does. TLS libraries name every own verifier so.
            .dangerous()
            .with_custom_certificate_verifier(Arc::new(verifier.map_err(failed)?));
        let mut config = config.with_client_cert_resolver(Arc::new(self.clone()));
        config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
        Ok(config)
    }
}

/// Presents the certificate whatever authorities the server names, because a self-signed one has
/// none (RFC 8705 §2.2).
impl ResolvesClientCert for ClientCertificate {
    fn resolve(
        &self,
        _authorities: &[&[u8]],
        _schemes: &[SignatureScheme],
    ) -> Option<Arc<CertifiedKey>> {
        Some(Arc::clone(&self.0))
    }

    fn has_certs(&self) -> bool {
        true
    }
}

/// Shows the number of certificates, and never the key.
impl fmt::Debug for ClientCertificate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ClientCertificate")
            .field("certificates", &self.0.cert.len())
            .finish_non_exhaustive()
    }
}

/// Returns the origin of a server that is shown a certificate. Nothing else is in the URL.
pub(crate) fn origin(url: &str) -> Result<Origin, Error> {
    let plain = |url: &Url| url.path() == "/" && url.query().is_none();
    match parse(url) {
        Ok(url) if url.scheme() == "https" && plain(&url) => Ok(url.origin()),
        _ => refused("expected the origin of one server, such as `https://as.example`"),
    }
}

/// Reads one PEM block with a private key. Every buffer is allocated once and wiped.
fn private_key(pem: &[u8]) -> Result<PrivateKeyDer<'static>, Error> {
    type Read = fn(Vec<u8>) -> PrivateKeyDer<'static>;
    let text = str::from_utf8(pem).map_or("", str::trim_ascii);
    if text.contains("ENCRYPTED") {
        return refused("the private key is encrypted; expected it without a passphrase");
    }
    let blocks: [(&str, Read); 3] = [
        ("PRIVATE KEY", |der| PrivateKeyDer::Pkcs8(der.into())),
        ("EC PRIVATE KEY", |der| PrivateKeyDer::Sec1(der.into())),
        ("RSA PRIVATE KEY", |der| PrivateKeyDer::Pkcs1(der.into())),
    ];
    let found = blocks.into_iter().find_map(|(label, read)| {
        let begin = text.strip_prefix("-----BEGIN ")?.strip_prefix(label)?;
        let end = begin.strip_prefix("-----")?.strip_suffix("-----")?;
        let body = end.strip_suffix(label)?.strip_suffix("-----END ")?;
        Some((body, read))
    });
    let Some((body, read)) = found else {
        return refused("expected one PEM block with a private key, and nothing beside it");
    };
    let mut digits = Zeroizing::new(String::with_capacity(body.len()));
    digits.extend(body.chars().filter(|char| !char.is_ascii_whitespace()));
    let mut der = Zeroizing::new(vec![0; digits.len()]);
    let Ok(length) = STANDARD.decode_slice(digits.as_bytes(), &mut der) else {
        return refused("the private key is not base64");
    };
    der.truncate(length);
    Ok(read(std::mem::take(&mut der)))
}

const fn refused<T>(reason: &'static str) -> Result<T, Error> {
    Err(Error::ClientCertificate { reason })
}
