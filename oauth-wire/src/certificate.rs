//! The certificate of a client, to which a token can be bound (RFC 8705 §3).

mod names;
mod source;

use core::fmt;
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::HeaderValue;

pub use self::source::{CertificateField, ClientCertificates, FieldProblem, Peer};
use crate::Error;
use crate::confirmation::CertificateThumbprint;

/// The certificate of the client of a mutual TLS connection.
///
/// The TLS server has verified that the client holds its private key. Nothing in the certificate is
/// verified: it says neither who the client is nor who issued it. Clones share the bytes.
///
/// ```
/// use aims_oauth_wire::certificate::PeerCertificate;
///
/// // The DER encoding that the TLS library returns.
/// # let der = [0x30, 0x08, 0x30, 0x01, 0x00, 0x30, 0x00, 0x03, 0x01, 0x00];
/// let certificate = PeerCertificate::from_der(&der)?;
/// assert_eq!(certificate.thumbprint().to_string().len(), 43);
/// # Ok::<(), aims_oauth_wire::Error>(())
/// ```
#[derive(Clone, Eq, PartialEq)]
pub struct PeerCertificate {
    thumbprint: CertificateThumbprint,
    der: Arc<[u8]>,
}

impl PeerCertificate {
    /// Reads a certificate in DER. Its contents are not checked.
    ///
    /// # Errors
    ///
    /// `oauth.certificate` if the bytes are not exactly one certificate.
    pub fn from_der(der: &[u8]) -> Result<Self, Error> {
        if der.len() > MAX_LEN || !is_certificate(der) {
            return Err(malformed("expected one certificate in DER"));
        }
        Ok(Self {
            thumbprint: CertificateThumbprint::of_der(der),
            der: der.into(),
        })
    }

    /// Reads a certificate in PEM (RFC 7468 §5): one block `CERTIFICATE`, with blank lines and
    /// blanks at the ends of lines, and nothing else.
    ///
    /// # Errors
    ///
    /// `oauth.certificate`.
    pub fn from_pem(text: &str) -> Result<Self, Error> {
        if text.len() > MAX_LEN.saturating_mul(2) {
            return Err(malformed("it is too long"));
        }
        let block = text.trim_ascii().strip_prefix(BEGIN);
        let block = block.and_then(|it| it.strip_suffix(END));
        let block = block.ok_or_else(|| {
            malformed("expected one PEM block `CERTIFICATE` and nothing before or after it")
        })?;
        let digits: String = block.split_ascii_whitespace().collect();
        let der = STANDARD.decode(digits);
        Self::from_der(&der.map_err(|_base64| {
            malformed("expected one PEM block `CERTIFICATE` with base64 in it")
        })?)
    }

    /// Reads the field `Client-Cert` that a TLS proxy sets (RFC 9440 §2.2): base64 of the DER
    /// encoding between colons.
    ///
    /// The field is only as trustworthy as its sender: use it only if it comes from the proxy.
    ///
    /// # Errors
    ///
    /// `oauth.certificate`.
    pub fn from_client_cert(value: &HeaderValue) -> Result<Self, Error> {
        let text = value.to_str().ok();
        let digits = text.and_then(|it| it.trim_ascii().strip_prefix(':')?.strip_suffix(':'));
        let der = digits.and_then(|it| STANDARD.decode(it).ok());
        let der = der.ok_or_else(|| malformed("expected base64 between colons (RFC 9440 §2.2)"));
        Self::from_der(&der?)
    }

    /// Reads a field that a TLS proxy sets to the certificate in PEM with percent-encoding, as
    /// nginx has it in `$ssl_client_escaped_cert`.
    ///
    /// The field is only as trustworthy as its sender: use it only if it comes from the proxy.
    ///
    /// # Errors
    ///
    /// `oauth.certificate`.
    pub fn from_escaped_pem(value: &HeaderValue) -> Result<Self, Error> {
        let text = value.to_str().ok().and_then(unescaped);
        let text = text.ok_or_else(|| malformed("expected PEM with percent-encoding"))?;
        Self::from_pem(&text)
    }

    /// Returns the thumbprint, which `cnf` of a bound token has in `x5t#S256` (RFC 8705 §3.1).
    #[must_use]
    pub const fn thumbprint(&self) -> &CertificateThumbprint {
        &self.thumbprint
    }

    /// Returns the certificate in DER. Verify it before you rely on what it says.
    #[must_use]
    pub fn der(&self) -> &[u8] {
        &self.der
    }
}

impl fmt::Debug for PeerCertificate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("PeerCertificate")
            .field(&self.thumbprint)
            .finish()
    }
}

const fn malformed(reason: &'static str) -> Error {
    Error::Certificate { reason }
}

/// Returns the text with each percent-encoding decoded. A `+` stands for itself.
fn unescaped(text: &str) -> Option<String> {
    let mut plain = Vec::with_capacity(text.len());
    let mut rest = text;
    while let Some((before, after)) = rest.split_once('%') {
        plain.extend_from_slice(before.as_bytes());
        let (digits, after) = after.split_at_checked(2)?;
        let is_hexadecimal = digits.bytes().all(|byte| byte.is_ascii_hexdigit());
        let byte = is_hexadecimal.then(|| u8::from_str_radix(digits, 16).ok());
        plain.push(byte.flatten()?);
        rest = after;
    }
    plain.extend_from_slice(rest.as_bytes());
    String::from_utf8(plain).ok()
}

/// Returns whether the bytes are one DER value with the outline of a certificate: a sequence of a
/// sequence, a sequence and a bit string (RFC 5280 §4.1).
fn is_certificate(der: &[u8]) -> bool {
    let Some((content, [])) = value(SEQUENCE, der) else {
        return false;
    };
    let rest = value(SEQUENCE, content).and_then(|(_, rest)| value(SEQUENCE, rest));
    let rest = rest.and_then(|(_, rest)| value(BIT_STRING, rest));
    matches!(rest, Some((_, [])))
}

/// Returns the contents of a DER value with this tag, and the bytes after it.
fn value(tag: u8, der: &[u8]) -> Option<(&[u8], &[u8])> {
    let (found, rest) = der.split_first()?;
    let (length, rest) = rest.split_first()?;
    if *found != tag {
        return None;
    }
    if *length < 0x80 {
        return rest.split_at_checked(usize::from(*length));
    }
    let (length, rest) = rest.split_at_checked(usize::from(*length & 0x7f))?;
    // DER has the shortest form: no leading zero, and none of these for a short length.
    let is_shortest = match length {
        [one] => *one >= 0x80,
        [first, ..] => *first != 0 && length.len() <= 4,
        [] => false,
    };
    let length = length.iter().fold(0_usize, |sum, byte| {
        sum.saturating_mul(256).saturating_add((*byte).into())
    });
    is_shortest.then(|| rest.split_at_checked(length))?
}

const SEQUENCE: u8 = 0x30;
const BIT_STRING: u8 = 0x03;
/// The maximum length of a certificate, in bytes.
const MAX_LEN: usize = 16 * 1024;
const BEGIN: &str = "-----BEGIN CERTIFICATE-----";
const END: &str = "-----END CERTIFICATE-----";
