//! Key confirmation: the `cnf` claim (RFC 7800 §3.1) and the proofs that satisfy it.

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

use aims_jose::base64url;
use aims_jose::digest::sha256;
use aims_jose::json::Text;
use aims_jose::jwk::{Jwk, Thumbprint};
use serde_json::value::RawValue;

use crate::Error;

/// One member of `cnf` (RFC 7800 §3.1): what the sender must prove to use the token.
///
/// Only one kind of proof satisfies each member. If `cnf` has several members, the sender must
/// satisfy all of them.
///
/// ```
/// use aims_oauth_wire::confirmation::{Confirmation, ProvenKey, Satisfied};
///
/// let cnf = br#"{"jkt":"0ZcOCORZNYy-DWpqq30jZyJGHTN0d2HglBV3uiguA4I"}"#;
/// let members = Confirmation::read_all(cnf)?;
/// let [Confirmation::DpopJkt(key)] = &*members else {
///     return Err("expected one member".into());
/// };
/// let proven = [ProvenKey::Dpop(key.clone())];
/// assert!(members.iter().all(|member| member.compare(&proven) == Satisfied::Yes));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
#[expect(clippy::exhaustive_enums, reason = "each binding must be matched")]
pub enum Confirmation {
    /// `jkt`: the thumbprint of the key of a DPoP proof (RFC 9449 §6.1).
    DpopJkt(Thumbprint),
    /// `jwk`: the key of an HTTP message signature or of a workload proof token (RFC 7800 §3.2),
    /// stored as its thumbprint.
    Jwk(Thumbprint),
    /// `x5t#S256`: the thumbprint of the client's TLS certificate (RFC 8705 §3.1).
    CertificateS256(CertificateThumbprint),
}

/// A key whose possession the sender has proven, with the kind of proof.
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

/// The result of comparing a member of `cnf` with the proofs of a request.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[expect(clippy::exhaustive_enums, reason = "each outcome must be matched")]
pub enum Satisfied {
    /// A proof of the right kind is by the right key.
    Yes,
    /// The request has no proof of this kind.
    NoProof,
    /// The request has a proof of this kind, but by another key or certificate.
    OtherKey,
}

/// The SHA-256 digest of a certificate in DER (RFC 8705 §3.1).
///
/// As text it has 43 characters of base64url.
#[derive(Clone, Copy, Eq, Hash, PartialEq)]
pub struct CertificateThumbprint([u8; 32]);

impl CertificateThumbprint {
    /// Computes the thumbprint of a certificate in DER. It does not check the certificate.
    #[must_use]
    pub fn of_der(certificate: &[u8]) -> Self {
        Self(sha256(certificate))
    }

    /// Returns the 32 bytes of the digest.
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

impl Confirmation {
    /// Reads `cnf`. The result has at least one element.
    ///
    /// A `cnf` with an unknown member is refused, so that a bound token is never taken for an
    /// unbound one.
    ///
    /// # Errors
    ///
    /// `oauth.confirmation` if `cnf` is malformed, empty, or has an unknown member.
    pub fn read_all(json: &[u8]) -> Result<Vec<Self>, Error> {
        Self::read_all_beside(json, |_, _| false)
    }

    /// Reads `cnf` of a server that writes a member of its own which binds the token to nothing
    /// further. `is_known` gets the name and the text of each other member.
    ///
    /// ```
    /// use aims_oauth_wire::confirmation::Confirmation;
    ///
    /// let cnf = br#"{"jkt":"0ZcOCORZNYy-DWpqq30jZyJGHTN0d2HglBV3uiguA4I","kc-jkt-type":"DPoP"}"#;
    /// assert!(Confirmation::read_all(cnf).is_err());
    /// let read = Confirmation::read_all_beside(cnf, |name, text| {
    ///     name == "kc-jkt-type" && text == "DPoP"
    /// })?;
    /// assert_eq!(read.len(), 1);
    /// # Ok::<(), aims_oauth_wire::Error>(())
    /// ```
    ///
    /// # Errors
    ///
    /// `oauth.confirmation` if `cnf` is malformed, has none of the members that are known here, or
    /// has another one that `is_known` does not accept.
    pub fn read_all_beside(
        json: &[u8],
        is_known: impl Fn(&str, &str) -> bool,
    ) -> Result<Vec<Self>, Error> {
        let members: BTreeMap<Text<'_>, &RawValue> =
            aims_jose::json::from_object(json).or(Err(Error::Confirmation))?;
        let (mut jkt, mut jwk, mut certificate) = (None, None, None);
        for (name, raw) in members {
            match name.as_str() {
                "jkt" => {
                    let key: Thumbprint = text(raw)?.parse().or(Err(Error::Confirmation))?;
                    jkt = Some(key);
                }
                "jwk" => jwk = Some(of_key(raw)?),
                "x5t#S256" => certificate = Some(text(raw)?.parse()?),
                other if is_known(other, text(raw)?.as_str()) => {}
                _ => return Err(Error::Confirmation),
            }
        }
        if let (Some(one), Some(other)) = (jkt, jwk)
            && one != other
        {
            return Err(Error::Confirmation);
        }
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

    /// Returns the name of the member: `jkt`, `jwk` or `x5t#S256`.
    #[must_use]
    pub const fn method(&self) -> &'static str {
        match self {
            Self::DpopJkt(_) => "jkt",
            Self::Jwk(_) => "jwk",
            Self::CertificateS256(_) => "x5t#S256",
        }
    }

    /// Compares the member with the proofs of a request. A proof of its own kind must be by its
    /// key.
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

fn text(raw: &RawValue) -> Result<Text<'_>, Error> {
    serde_json::from_str(raw.get()).or(Err(Error::Confirmation))
}

fn of_key(raw: &RawValue) -> Result<Thumbprint, Error> {
    let jwk = Jwk::parse(raw.get().as_bytes()).or(Err(Error::Confirmation))?;
    Ok(jwk.thumbprint())
}
