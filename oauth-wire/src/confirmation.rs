//! What a token is bound to: `cnf` (RFC 7800 §3.1), and the proofs that satisfy it.

use std::fmt;
use std::str::FromStr;

use aims_jose::base64url;
use aims_jose::digest::sha256;
use aims_jose::json::Text;
use aims_jose::jwk::{Jwk, Thumbprint};
use aims_jose::jwt::present;
use serde::Deserialize;
use serde_json::value::RawValue;

use crate::Error;

/// One member of `cnf` (RFC 7800 §3.1): what the sender must prove to use the token.
///
/// Each member is satisfied by its own kind of proof alone. Where `cnf` has several members, the
/// sender must satisfy all of them.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
#[expect(clippy::exhaustive_enums, reason = "each binding must be matched")]
pub enum Confirmation {
    /// `jkt`: the thumbprint of the key of a DPoP proof (RFC 9449 §6.1).
    DpopJkt(Thumbprint),
    /// `jwk`: the key of an HTTP message signature or of a workload proof token (RFC 7800 §3.2), by
    /// its thumbprint.
    Jwk(Thumbprint),
    /// `x5t#S256`: the thumbprint of the client's TLS certificate (RFC 8705 §3.1).
    CertificateS256(CertificateThumbprint),
}

/// A key whose possession the sender has proven, by the kind of proof.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
#[expect(
    clippy::exhaustive_enums,
    reason = "each kind of proof must be matched"
)]
pub enum ProvenKey {
    /// The key of a DPoP proof. It satisfies [`Confirmation::DpopJkt`].
    Dpop(Thumbprint),
    /// The key of an HTTP message signature or of a workload proof token. It satisfies
    /// [`Confirmation::Jwk`].
    Signature(Thumbprint),
    /// The certificate of a mutual TLS connection. It satisfies [`Confirmation::CertificateS256`].
    Certificate(CertificateThumbprint),
}

/// Whether the proofs of a request satisfy a member of `cnf`.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[expect(clippy::exhaustive_enums, reason = "each outcome must be matched")]
pub enum Satisfied {
    /// One proof is of the member's kind and by its key.
    Yes,
    /// There is no proof of this kind.
    NoProof,
    /// There is one, by another key or certificate.
    OtherKey,
}

/// The SHA-256 digest of a certificate in DER (RFC 8705 §3.1): 43 characters of base64url as text.
#[derive(Clone, Copy, Eq, Hash, PartialEq)]
pub struct CertificateThumbprint([u8; 32]);

impl CertificateThumbprint {
    /// The thumbprint of a certificate in DER. The certificate itself is not checked.
    #[must_use]
    pub fn of_der(certificate: &[u8]) -> Self {
        Self(sha256(certificate))
    }

    /// The 32 bytes.
    #[must_use]
    pub const fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }
}

impl FromStr for CertificateThumbprint {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        let bytes = base64url::decode(text).or(Err(Error::Confirmation))?;
        bytes.try_into().map(Self).or(Err(Error::Confirmation))
    }
}

impl fmt::Display for CertificateThumbprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&base64url::encode(&self.0))
    }
}

impl fmt::Debug for CertificateThumbprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// A method that is not named here cannot be checked and is refused: a bound token never passes for
/// an unbound one.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Methods<'a> {
    #[serde(borrow, default, deserialize_with = "present")]
    jkt: Option<Text<'a>>,
    #[serde(borrow, default, deserialize_with = "present")]
    jwk: Option<&'a RawValue>,
    #[serde(borrow, default, rename = "x5t#S256", deserialize_with = "present")]
    x5t_s256: Option<Text<'a>>,
}

impl Confirmation {
    /// Reads `cnf`. The result has one element at least. A member that is not named here refuses
    /// the whole: a bound token never passes for an unbound one.
    ///
    /// # Errors
    ///
    /// `oauth.confirmation`.
    pub fn read_all(json: &[u8]) -> Result<Vec<Self>, Error> {
        // Serde alone would take an array for it.
        if json.first() != Some(&b'{') {
            return Err(Error::Confirmation);
        }
        let methods: Methods<'_> = serde_json::from_slice(json).or(Err(Error::Confirmation))?;
        let jkt = methods.jkt.map(|text| text.parse());
        let jkt = jkt.transpose().or(Err(Error::Confirmation))?;
        let jwk = methods.jwk.map(of_key).transpose()?;
        if let (Some(one), Some(other)) = (jkt, jwk)
            && one != other
        {
            return Err(Error::Confirmation);
        }
        let certificate = methods.x5t_s256.map(|text| text.parse()).transpose()?;
        let all: Vec<Self> = [
            jkt.map(Self::DpopJkt),
            jwk.map(Self::Jwk),
            certificate.map(Self::CertificateS256),
        ]
        .into_iter()
        .flatten()
        .collect();
        if all.is_empty() {
            return Err(Error::Confirmation);
        }
        Ok(all)
    }

    /// The member's name: `jkt`, `jwk` or `x5t#S256`.
    #[must_use]
    pub const fn method(&self) -> &'static str {
        match self {
            Self::DpopJkt(_) => "jkt",
            Self::Jwk(_) => "jwk",
            Self::CertificateS256(_) => "x5t#S256",
        }
    }

    /// Compares the member with the proofs of a request: one of its own kind has to be by its key.
    #[must_use]
    pub fn compare(&self, proven: &[ProvenKey]) -> Satisfied {
        let mut found = Satisfied::NoProof;
        for key in proven {
            let fits = match (self, key) {
                (Self::DpopJkt(bound), ProvenKey::Dpop(key))
                | (Self::Jwk(bound), ProvenKey::Signature(key)) => bound == key,
                (Self::CertificateS256(bound), ProvenKey::Certificate(key)) => bound == key,
                (Self::DpopJkt(_) | Self::Jwk(_) | Self::CertificateS256(_), _) => continue,
            };
            if fits {
                return Satisfied::Yes;
            }
            found = Satisfied::OtherKey;
        }
        found
    }
}

fn of_key(raw: &RawValue) -> Result<Thumbprint, Error> {
    let jwk = Jwk::parse(raw.get().as_bytes()).or(Err(Error::Confirmation))?;
    Ok(jwk.thumbprint())
}
