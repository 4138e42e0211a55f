//! Local keys that sign.

use core::fmt;
use std::sync::Arc;

use zeroize::Zeroizing;

use super::pkcs8::{self, Kind, Parts};
use super::{Signature, Signer, VerifyingKey, check_rsa};
use crate::Error;
use crate::alg::{Algorithm, AlgorithmSet};
use crate::base64url;
use crate::jwk::{Jwk, PrivateMembers};
use crate::provider::{PrivateKey, Provider, PublicKey};
use crate::random::{self, SecureRandom};

/// Size of generated RSA keys in bits.
const RSA_BITS: u16 = 2048;

/// A local private key for one algorithm, with its public key.
///
/// The two keys always belong together; neither can be replaced:
///
/// ```compile_fail,E0616
/// # use aims_jose::key::{SigningKey, VerifyingKey};
/// fn swap(key: &mut SigningKey, other: VerifyingKey) {
///     key.verifying = other; // private
/// }
/// ```
///
/// It is wiped from memory when the last clone is dropped. `Debug` prints the public key only.
///
/// ```
/// # #[cfg(feature = "aws-lc-rs")] {
/// use aims_jose::key::{Signer, SigningKey};
/// use aims_jose::{Algorithm, provider};
///
/// let key = SigningKey::generate(Algorithm::Es256, provider::AWS_LC)?.with_key_id("2026-11");
/// let signature = key.sign(b"message")?;
/// key.verifying_key().verify(Algorithm::Es256, b"message", signature.as_ref())?;
/// # }
/// # Ok::<(), aims_jose::Error>(())
/// ```
#[derive(Clone)]
pub struct SigningKey {
    private: Arc<Private>,
    verifying: VerifyingKey,
}

struct Private {
    algorithm: Algorithm,
    key: Box<dyn PrivateKey>,
    pkcs8: Zeroizing<Vec<u8>>,
}

impl SigningKey {
    /// Generates a key from random bytes of the operating system. The provider generates RSA keys,
    /// with 2048 bits.
    ///
    /// # Errors
    ///
    /// `key.unsupported`, `key.generate`, `random.unavailable`.
    pub fn generate(algorithm: Algorithm, provider: &'static dyn Provider) -> Result<Self, Error> {
        Self::generate_with(algorithm, provider, random::SYSTEM)
    }

    fn generate_with(
        algorithm: Algorithm,
        provider: &'static dyn Provider,
        random: &dyn SecureRandom,
    ) -> Result<Self, Error> {
        let kind = Kind::of(algorithm);
        let mut bytes = Zeroizing::new([0_u8; 66]);
        let pkcs8 = match kind {
            Kind::Rsa => {
                if !provider.supports(algorithm) {
                    return Err(Error::Unsupported {
                        algorithm,
                        provider: provider.name(),
                    });
                }
                return Self::from_pkcs8_der(
                    &provider.generate_rsa(RSA_BITS)?,
                    algorithm,
                    provider,
                );
            }
            Kind::Ed25519 => {
                let seed = bytes.first_chunk_mut::<32>().ok_or(Error::Generate)?;
                random.fill(seed)?;
                pkcs8::write(kind, &Parts::Ed25519 { seed, public: None })
            }
            Kind::Ec(curve) => {
                let d = bytes.get_mut(..curve.field_len()).ok_or(Error::Generate)?;
                super::checks::fill_scalar(curve, random, d)?;
                pkcs8::write(kind, &Parts::Ec { d, public: None })
            }
        };
        Self::load(pkcs8, algorithm, None, provider)
    }

    /// Parses a key in PKCS#8, DER, versions 1 and 2 (RFC 5958). An RSA key has two primes and 2048
    /// to 4096 bits.
    ///
    /// # Errors
    ///
    /// `key.pkcs8` if it has another form or is not for the algorithm; `key.parts` if it contains a
    /// public key that is not its own; `jwk.rsa_modulus`, `jwk.rsa_exponent`, `key.unsupported`.
    pub fn from_pkcs8_der(
        der: &[u8],
        algorithm: Algorithm,
        provider: &'static dyn Provider,
    ) -> Result<Self, Error> {
        let kind = Kind::of(algorithm);
        Self::from_parts(kind, &pkcs8::read(kind, der)?, algorithm, provider)
    }

    /// Parses a key in PKCS#8, PEM: exactly one block `PRIVATE KEY`, with optional white space
    /// around it (RFC 7468 §10).
    ///
    /// # Errors
    ///
    /// `key.pem`, and those of [`from_pkcs8_der`](Self::from_pkcs8_der).
    pub fn from_pkcs8_pem(
        pem: &str,
        algorithm: Algorithm,
        provider: &'static dyn Provider,
    ) -> Result<Self, Error> {
        Self::from_pkcs8_der(&super::pem::read(pem)?, algorithm, provider)
    }

    /// Parses a private JWK (RFC 7518 §6, RFC 8037 §2) and keeps its `kid`.
    ///
    /// The algorithm is its `alg`, or the one that its curve implies. For `OKP` without `alg` that
    /// is `EdDSA`, which every implementation knows. RSA keys need an `alg`, and all of `p q dp dq
    /// qi`.
    ///
    /// # Errors
    ///
    /// `jwk.not_private` for a public key; `key.parts` if private and public key do not belong
    /// together; those of [`Jwk::parse`].
    pub fn from_jwk(jwk: &[u8], provider: &'static dyn Provider) -> Result<Self, Error> {
        let (public, private) = Jwk::parse_private(jwk)?;
        if public.key_use().is_some_and(|found| found != "sig") {
            return Err(Error::JwkUse);
        }
        if public
            .key_ops()
            .is_some_and(|ops| !ops.iter().any(|op| op == "sign"))
        {
            return Err(Error::JwkKeyOps);
        }
        let algorithm = match (public.algorithm(), public.public_key()) {
            (Some(algorithm), _) => algorithm,
            (None, PublicKey::Ec { curve, .. }) => curve.algorithm(),
            (None, PublicKey::Ed25519 { .. }) => Algorithm::EdDsa,
            (None, PublicKey::Rsa { .. }) => return Err(Error::JwkAlgorithm),
        };
        let kind = Kind::of(algorithm);
        let key = match (&private, public.public_key()) {
            (PrivateMembers::Scalar(d), PublicKey::Ec { point, .. }) => Self::from_parts(
                kind,
                &Parts::Ec {
                    d,
                    public: Some(point),
                },
                algorithm,
                provider,
            ),
            (PrivateMembers::Scalar(seed), PublicKey::Ed25519 { point }) => {
                let parts = Parts::Ed25519 {
                    seed,
                    public: Some(point),
                };
                Self::from_parts(kind, &parts, algorithm, provider)
            }
            (PrivateMembers::Rsa(numbers), PublicKey::Rsa { n, e }) => {
                let [d, p, q, dp, dq, qi] = numbers.each_ref().map(|number| number.as_slice());
                Self::from_parts(
                    kind,
                    &Parts::Rsa([n, e, d, p, q, dp, dq, qi]),
                    algorithm,
                    provider,
                )
            }
            _ => Err(Error::JwkNotPrivate),
        }?;
        Ok(match public.key_id() {
            Some(key_id) => key.with_key_id(key_id),
            None => key,
        })
    }

    fn from_parts(
        kind: Kind,
        parts: &Parts<'_>,
        algorithm: Algorithm,
        provider: &'static dyn Provider,
    ) -> Result<Self, Error> {
        let public = match parts {
            Parts::Ec { public, .. } | Parts::Ed25519 { public, .. } => *public,
            Parts::Rsa([n, e, ..]) => {
                check_rsa(n, e)?;
                Some(*n)
            }
        };
        Self::load(pkcs8::write(kind, parts), algorithm, public, provider)
    }

    fn load(
        pkcs8: Zeroizing<Vec<u8>>,
        algorithm: Algorithm,
        public: Option<&[u8]>,
        provider: &'static dyn Provider,
    ) -> Result<Self, Error> {
        if !provider.supports(algorithm) {
            return Err(Error::Unsupported {
                algorithm,
                provider: provider.name(),
            });
        }
        let key = provider.load(algorithm, &pkcs8)?;
        let own = key.public_key();
        let own_bytes: &[u8] = match &own {
            PublicKey::Ec { point, .. } => point,
            PublicKey::Ed25519 { point } => point,
            PublicKey::Rsa { n, .. } => n,
        };
        if public.is_some_and(|public| public != own_bytes) {
            return Err(Error::KeyParts);
        }
        let jwk = Jwk::from_public_key(own)?.with_algorithm(algorithm)?;
        let verifying =
            VerifyingKey::with_algorithms(jwk, AlgorithmSet::from(algorithm), provider)?;
        Ok(Self {
            private: Arc::new(Private {
                algorithm,
                key,
                pkcs8,
            }),
            verifying,
        })
    }

    /// Sets the `kid`, which is written into headers and into the public JWK.
    ///
    /// RFC 7515 §4.1.4 sets no form. Use at most 256 bytes: this crate refuses a longer one.
    #[must_use]
    pub fn with_key_id(self, key_id: impl Into<String>) -> Self {
        Self {
            verifying: self.verifying.with_key_id(key_id.into()),
            private: self.private,
        }
    }

    /// Returns the public key as a JWK, with `alg` and, if set, `kid`.
    #[must_use]
    pub fn public_jwk(&self) -> &Jwk {
        self.verifying.jwk()
    }

    /// Returns the public key, prepared to verify.
    #[must_use]
    pub const fn verifying_key(&self) -> &VerifyingKey {
        &self.verifying
    }

    /// Returns the private key as PKCS#8 version 1 in DER. The caller must keep it secret.
    ///
    /// A key that cannot leave its device is not a `SigningKey`; implement [`Signer`] for it.
    #[must_use]
    pub fn to_pkcs8_der(&self) -> Zeroizing<Vec<u8>> {
        self.private.pkcs8.clone()
    }

    /// Returns the private key as PKCS#8 version 1 in PEM. The caller must keep it secret.
    #[must_use]
    pub fn to_pkcs8_pem(&self) -> Zeroizing<String> {
        super::pem::write(&self.private.pkcs8)
    }

    /// Returns the private JWK, with `alg` and, if set, `kid`. The caller must keep it secret.
    #[must_use]
    pub fn to_jwk(&self) -> Zeroizing<String> {
        let public = self.public_jwk().to_json();
        let mut text = Zeroizing::new(String::with_capacity(public.len() + 4096));
        text.push_str(public.strip_suffix('}').unwrap_or_default());
        let mut member = |name: &str, value: &[u8]| {
            let value = Zeroizing::new(base64url::encode(value));
            for part in [",\"", name, "\":\"", &value, "\""] {
                text.push_str(part);
            }
        };
        match pkcs8::read(Kind::of(self.private.algorithm), &self.private.pkcs8) {
            Ok(Parts::Ec { d, .. }) => member("d", d),
            Ok(Parts::Ed25519 { seed, .. }) => member("d", seed),
            Ok(Parts::Rsa([_, _, d, p, q, dp, dq, qi])) => {
                for (name, value) in [
                    ("d", d),
                    ("p", p),
                    ("q", q),
                    ("dp", dp),
                    ("dq", dq),
                    ("qi", qi),
                ] {
                    member(name, value);
                }
            }
            // The output of `pkcs8::write` always parses. Returning the public key is safe.
            Err(_) => {}
        }
        text.push('}');
        text
    }
}

impl Signer for SigningKey {
    fn algorithm(&self) -> Algorithm {
        self.private.algorithm
    }

    fn key_id(&self) -> Option<&str> {
        self.verifying.key_id()
    }

    fn sign(&self, message: &[u8]) -> Result<Signature, Error> {
        let mut signature = Vec::with_capacity(512);
        self.private.key.sign(message, &mut signature)?;
        Ok(Signature(signature))
    }
}

impl fmt::Debug for SigningKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SigningKey")
            .field("public", &self.verifying)
            .finish_non_exhaustive()
    }
}
