//! The provider in pure Rust.

use core::fmt;

use ed25519_dalek::Signer as _;
use getrandom::SysRng;
use p256::ecdsa::signature::hazmat::PrehashVerifier as _;
use rsa::pkcs8::{DecodePrivateKey as _, EncodePrivateKey as _};
use rsa::sha2::{Sha256, Sha384, Sha512};
use rsa::signature::{RandomizedSigner, SignatureEncoding, Verifier};
use rsa::traits::PublicKeyParts as _;
use rsa::{BoxedUint, pkcs1v15, pss};
use zeroize::Zeroizing;

use super::{Curve, PreparedKey, PrivateKey, Provider, PublicKey, unsupported};
use crate::Error;
use crate::alg::Algorithm;
use crate::key::pkcs8::{self, Kind, Parts};

#[derive(Debug)]
pub(super) struct RustCrypto;

impl Provider for RustCrypto {
    fn name(&self) -> &'static str {
        "rustcrypto"
    }

    fn supports(&self, algorithm: Algorithm) -> bool {
        algorithm != Algorithm::Es512
    }

    fn prepare(
        &self,
        algorithm: Algorithm,
        key: &PublicKey,
    ) -> Result<Box<dyn PreparedKey>, Error> {
        match key {
            PublicKey::Ec {
                curve: Curve::P256,
                point,
            } => {
                let key = p256::ecdsa::VerifyingKey::from_sec1_bytes(point);
                Ok(Box::new(Prepared(key.map_err(|_opaque| Error::JwkPoint)?)))
            }
            PublicKey::Ec {
                curve: Curve::P384,
                point,
            } => {
                let key = p384::ecdsa::VerifyingKey::from_sec1_bytes(point);
                Ok(Box::new(Prepared(key.map_err(|_opaque| Error::JwkPoint)?)))
            }
            PublicKey::Ec {
                curve: Curve::P521, ..
            } => Err(unsupported(self, algorithm)),
            PublicKey::Ed25519 { point } => {
                let key = ed25519_dalek::VerifyingKey::from_bytes(point);
                Ok(Box::new(PreparedEd25519(
                    key.map_err(|_opaque| Error::JwkPoint)?,
                )))
            }
            PublicKey::Rsa { n, e } => prepare_rsa(algorithm, n, e),
        }
    }

    fn load(&self, algorithm: Algorithm, pkcs8: &[u8]) -> Result<Box<dyn PrivateKey>, Error> {
        match algorithm {
            Algorithm::Es256 => {
                let Parts::Ec { d, .. } = pkcs8::read(Kind::Ec(Curve::P256), pkcs8)? else {
                    return Err(Error::Pkcs8);
                };
                let key = p256::ecdsa::SigningKey::from_slice(d);
                Ok(Box::new(P256(key.map_err(|_opaque| Error::Pkcs8)?)))
            }
            Algorithm::Es384 => {
                let Parts::Ec { d, .. } = pkcs8::read(Kind::Ec(Curve::P384), pkcs8)? else {
                    return Err(Error::Pkcs8);
                };
                let key = p384::ecdsa::SigningKey::from_slice(d);
                Ok(Box::new(P384(key.map_err(|_opaque| Error::Pkcs8)?)))
            }
            Algorithm::Es512 => Err(unsupported(self, algorithm)),
            Algorithm::EdDsa | Algorithm::Ed25519 => {
                let Parts::Ed25519 { seed, .. } = pkcs8::read(Kind::Ed25519, pkcs8)? else {
                    return Err(Error::Pkcs8);
                };
                let seed = seed.try_into().map_err(|_length| Error::Pkcs8)?;
                Ok(Box::new(Ed25519(ed25519_dalek::SigningKey::from_bytes(
                    seed,
                ))))
            }
            Algorithm::Ps256 => load_rsa(pkcs8, pss::SigningKey::<Sha256>::new),
            Algorithm::Ps384 => load_rsa(pkcs8, pss::SigningKey::<Sha384>::new),
            Algorithm::Ps512 => load_rsa(pkcs8, pss::SigningKey::<Sha512>::new),
            Algorithm::Rs256 => load_rsa(pkcs8, pkcs1v15::SigningKey::<Sha256>::new),
            Algorithm::Rs384 => load_rsa(pkcs8, pkcs1v15::SigningKey::<Sha384>::new),
            Algorithm::Rs512 => load_rsa(pkcs8, pkcs1v15::SigningKey::<Sha512>::new),
        }
    }

    fn generate_rsa(&self, bits: u16) -> Result<Zeroizing<Vec<u8>>, Error> {
        let key = rsa::PrivateKey::new(&mut SysRng, usize::from(bits))
            .map_err(|_opaque| Error::Generate)?;
        let document = key.to_pkcs8_der().map_err(|_opaque| Error::Generate)?;
        Ok(document.to_bytes())
    }
}

fn number(bytes: &[u8]) -> Result<BoxedUint, Error> {
    let bits = u32::try_from(bytes.len().saturating_mul(8)).unwrap_or(u32::MAX);
    BoxedUint::from_be_slice(bytes, bits).map_err(|_opaque| Error::JwkRsaModulus)
}

fn prepare_rsa(algorithm: Algorithm, n: &[u8], e: &[u8]) -> Result<Box<dyn PreparedKey>, Error> {
    let key = rsa::PublicKey::new_with_size_limits(number(n)?, number(e)?, 2048..=4096)
        .map_err(|_opaque| Error::JwkRsaModulus)?;
    Ok(match algorithm {
        Algorithm::Ps256 => prepared(pss::VerifyingKey::<Sha256>::new(key)),
        Algorithm::Ps384 => prepared(pss::VerifyingKey::<Sha384>::new(key)),
        Algorithm::Ps512 => prepared(pss::VerifyingKey::<Sha512>::new(key)),
        Algorithm::Rs256 => prepared(pkcs1v15::VerifyingKey::<Sha256>::new(key)),
        Algorithm::Rs384 => prepared(pkcs1v15::VerifyingKey::<Sha384>::new(key)),
        Algorithm::Rs512 => prepared(pkcs1v15::VerifyingKey::<Sha512>::new(key)),
        _ => return Err(Error::AlgorithmMismatch { algorithm }),
    })
}

fn prepared<K>(key: K) -> Box<dyn PreparedKey>
where
    PreparedRsa<K>: PreparedKey + 'static,
{
    Box::new(PreparedRsa(key))
}

fn load_rsa<K>(pkcs8: &[u8], new: fn(rsa::PrivateKey) -> K) -> Result<Box<dyn PrivateKey>, Error>
where
    Rsa<K>: PrivateKey + 'static,
{
    let key = rsa::PrivateKey::from_pkcs8_der(pkcs8).map_err(|_opaque| Error::Pkcs8)?;
    // The library recomputes dp, dq and qi and ignores the given values; aws-lc checks them.
    let again = key.to_pkcs8_der().map_err(|_opaque| Error::Pkcs8)?;
    if again.as_bytes() != pkcs8 {
        return Err(Error::Pkcs8);
    }
    let public = PublicKey::Rsa {
        n: key.n_bytes(),
        e: key.e_bytes(),
    };
    Ok(Box::new(Rsa {
        key: new(key),
        public,
    }))
}

#[derive(Debug)]
struct Prepared<K>(K);

impl PreparedKey for Prepared<p256::ecdsa::VerifyingKey> {
    fn verify(&self, message: &[u8], signature: &[u8]) -> bool {
        p256::ecdsa::Signature::from_slice(signature)
            .is_ok_and(|signature| self.0.verify(message, &signature).is_ok())
    }

    fn verify_hashed(&self, _message: &[u8], sha256: &[u8; 32], signature: &[u8]) -> bool {
        p256::ecdsa::Signature::from_slice(signature)
            .is_ok_and(|signature| self.0.verify_prehash(sha256, &signature).is_ok())
    }
}

impl PreparedKey for Prepared<p384::ecdsa::VerifyingKey> {
    fn verify(&self, message: &[u8], signature: &[u8]) -> bool {
        p384::ecdsa::Signature::from_slice(signature)
            .is_ok_and(|signature| self.0.verify(message, &signature).is_ok())
    }
}

#[derive(Debug)]
struct PreparedEd25519(ed25519_dalek::VerifyingKey);

impl PreparedKey for PreparedEd25519 {
    fn verify(&self, message: &[u8], signature: &[u8]) -> bool {
        ed25519_dalek::Signature::from_slice(signature)
            .is_ok_and(|signature| self.0.verify_strict(message, &signature).is_ok())
    }
}

/// An RSA key for one padding and hash. The library copies the signature once.
struct PreparedRsa<K>(K);

impl<K> fmt::Debug for PreparedRsa<K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PreparedRsa").finish_non_exhaustive()
    }
}

macro_rules! prepared_rsa {
    ($($scheme:ident $hash:ty),*) => {$(
        impl PreparedKey for PreparedRsa<$scheme::VerifyingKey<$hash>> {
            fn verify(&self, message: &[u8], signature: &[u8]) -> bool {
                $scheme::Signature::try_from(signature)
                    .is_ok_and(|signature| self.0.verify(message, &signature).is_ok())
            }
        }

        impl PrivateKey for Rsa<$scheme::SigningKey<$hash>> {
            fn public_key(&self) -> PublicKey {
                self.public.clone()
            }

            fn sign(&self, message: &[u8], signature: &mut Vec<u8>) -> Result<(), Error> {
                let made = self
                    .key
                    .try_sign_with_rng(&mut SysRng, message)
                    .map_err(|_opaque| Error::Sign)?;
                signature.extend_from_slice(&made.to_vec());
                Ok(())
            }
        }
    )*};
}

prepared_rsa! {
    pss Sha256, pss Sha384, pss Sha512, pkcs1v15 Sha256, pkcs1v15 Sha384, pkcs1v15 Sha512
}

/// A private RSA key. Signing draws random bytes for blinding, also for PKCS#1 v1.5.
struct Rsa<K> {
    key: K,
    public: PublicKey,
}

struct P256(p256::ecdsa::SigningKey);

impl PrivateKey for P256 {
    fn public_key(&self) -> PublicKey {
        let point = self
            .0
            .verifying_key()
            .to_sec1_point(false)
            .as_bytes()
            .into();
        PublicKey::Ec {
            curve: Curve::P256,
            point,
        }
    }

    /// Deterministic (RFC 6979).
    fn sign(&self, message: &[u8], signature: &mut Vec<u8>) -> Result<(), Error> {
        let made: p256::ecdsa::Signature =
            self.0.try_sign(message).map_err(|_opaque| Error::Sign)?;
        signature.extend_from_slice(&made.to_bytes());
        Ok(())
    }
}

struct P384(p384::ecdsa::SigningKey);

impl PrivateKey for P384 {
    fn public_key(&self) -> PublicKey {
        let point = self
            .0
            .verifying_key()
            .to_sec1_point(false)
            .as_bytes()
            .into();
        PublicKey::Ec {
            curve: Curve::P384,
            point,
        }
    }

    /// Deterministic (RFC 6979).
    fn sign(&self, message: &[u8], signature: &mut Vec<u8>) -> Result<(), Error> {
        let made: p384::ecdsa::Signature =
            self.0.try_sign(message).map_err(|_opaque| Error::Sign)?;
        signature.extend_from_slice(&made.to_bytes());
        Ok(())
    }
}

struct Ed25519(ed25519_dalek::SigningKey);

impl PrivateKey for Ed25519 {
    fn public_key(&self) -> PublicKey {
        PublicKey::Ed25519 {
            point: self.0.verifying_key().to_bytes(),
        }
    }

    fn sign(&self, message: &[u8], signature: &mut Vec<u8>) -> Result<(), Error> {
        let made = self.0.try_sign(message).map_err(|_opaque| Error::Sign)?;
        signature.extend_from_slice(&made.to_bytes());
        Ok(())
    }
}

macro_rules! redacted {
    ($($type:ty),*) => {$(
        impl fmt::Debug for $type {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(concat!(stringify!($type), "(..)"))
            }
        }
    )*};
}

redacted!(P256, P384, Ed25519);

impl<K> fmt::Debug for Rsa<K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Rsa(..)")
    }
}
