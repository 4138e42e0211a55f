//! The provider of aws-lc-rs.

use core::fmt;

use aws_lc_rs::digest::{Digest, SHA256};
use aws_lc_rs::encoding::{AsDer as _, Pkcs8V1Der};
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::rsa::KeySize;
use aws_lc_rs::signature::{
    self as lc, EcdsaKeyPair, EcdsaSigningAlgorithm, Ed25519KeyPair, KeyPair as _, ParsedPublicKey,
    RsaKeyPair, RsaParameters, RsaPublicKeyComponents, RsaSignatureEncoding, VerificationAlgorithm,
};
use zeroize::Zeroizing;

use super::{Curve, PreparedKey, PrivateKey, Provider, PublicKey};
use crate::Error;
use crate::alg::Algorithm;
use crate::key::der::Reader;

#[derive(Debug)]
pub(super) struct AwsLc;

impl Provider for AwsLc {
    fn name(&self) -> &'static str {
        "aws-lc-rs"
    }

    fn supports(&self, _algorithm: Algorithm) -> bool {
        true
    }

    fn prepare(
        &self,
        algorithm: Algorithm,
        key: &PublicKey,
    ) -> Result<Box<dyn PreparedKey>, Error> {
        let parsed = match key {
            PublicKey::Ec { curve, point } => {
                let algorithm: &'static dyn VerificationAlgorithm = match curve {
                    Curve::P256 => &lc::ECDSA_P256_SHA256_FIXED,
                    Curve::P384 => &lc::ECDSA_P384_SHA384_FIXED,
                    Curve::P521 => &lc::ECDSA_P521_SHA512_FIXED,
                };
                let parsed = ParsedPublicKey::new(algorithm, point);
                let parsed = parsed.map_err(|_opaque| Error::JwkPoint)?;
                if *curve == Curve::P256 {
                    return Ok(Box::new(PreparedP256(parsed)));
                }
                parsed
            }
            PublicKey::Ed25519 { point } => {
                ParsedPublicKey::new(&lc::ED25519, point).map_err(|_opaque| Error::JwkPoint)?
            }
            PublicKey::Rsa { n, e } => {
                let parameters =
                    rsa_parameters(algorithm).ok_or(Error::AlgorithmMismatch { algorithm })?;
                RsaPublicKeyComponents { n, e }
                    .to_parsed_public_key(parameters)
                    .map_err(|_opaque| Error::JwkRsaModulus)?
            }
        };
        Ok(Box::new(Prepared(parsed)))
    }

    fn load(&self, algorithm: Algorithm, pkcs8: &[u8]) -> Result<Box<dyn PrivateKey>, Error> {
        match algorithm {
            Algorithm::EdDsa | Algorithm::Ed25519 => {
                let pair = Ed25519KeyPair::from_pkcs8_maybe_unchecked(pkcs8)
                    .map_err(|_opaque| Error::Pkcs8)?;
                Ok(Box::new(Ed25519(pair)))
            }
            Algorithm::Es256 => load_ec(Curve::P256, &lc::ECDSA_P256_SHA256_FIXED_SIGNING, pkcs8),
            Algorithm::Es384 => load_ec(Curve::P384, &lc::ECDSA_P384_SHA384_FIXED_SIGNING, pkcs8),
            Algorithm::Es512 => load_ec(Curve::P521, &lc::ECDSA_P521_SHA512_FIXED_SIGNING, pkcs8),
            Algorithm::Ps256 => load_rsa(&lc::RSA_PSS_SHA256, pkcs8),
            Algorithm::Ps384 => load_rsa(&lc::RSA_PSS_SHA384, pkcs8),
            Algorithm::Ps512 => load_rsa(&lc::RSA_PSS_SHA512, pkcs8),
            Algorithm::Rs256 => load_rsa(&lc::RSA_PKCS1_SHA256, pkcs8),
            Algorithm::Rs384 => load_rsa(&lc::RSA_PKCS1_SHA384, pkcs8),
            Algorithm::Rs512 => load_rsa(&lc::RSA_PKCS1_SHA512, pkcs8),
        }
    }

    fn generate_rsa(&self, bits: u16) -> Result<Zeroizing<Vec<u8>>, Error> {
        let size = match bits {
            2048 => KeySize::Rsa2048,
            3072 => KeySize::Rsa3072,
            4096 => KeySize::Rsa4096,
            _ => return Err(Error::Generate),
        };
        let pair = RsaKeyPair::generate(size).map_err(|_opaque| Error::Generate)?;
        let document: Pkcs8V1Der<'_> = pair.as_der().map_err(|_opaque| Error::Generate)?;
        Ok(Zeroizing::new(document.as_ref().to_vec()))
    }
}

fn rsa_parameters(algorithm: Algorithm) -> Option<&'static RsaParameters> {
    match algorithm {
        Algorithm::Ps256 => Some(&lc::RSA_PSS_2048_8192_SHA256),
        Algorithm::Ps384 => Some(&lc::RSA_PSS_2048_8192_SHA384),
        Algorithm::Ps512 => Some(&lc::RSA_PSS_2048_8192_SHA512),
        Algorithm::Rs256 => Some(&lc::RSA_PKCS1_2048_8192_SHA256),
        Algorithm::Rs384 => Some(&lc::RSA_PKCS1_2048_8192_SHA384),
        Algorithm::Rs512 => Some(&lc::RSA_PKCS1_2048_8192_SHA512),
        _ => None,
    }
}

fn load_ec(
    curve: Curve,
    algorithm: &'static EcdsaSigningAlgorithm,
    pkcs8: &[u8],
) -> Result<Box<dyn PrivateKey>, Error> {
    let pair = EcdsaKeyPair::from_pkcs8(algorithm, pkcs8).map_err(|_opaque| Error::Pkcs8)?;
    Ok(Box::new(Ec { curve, pair }))
}

fn load_rsa(
    encoding: &'static RsaSignatureEncoding,
    pkcs8: &[u8],
) -> Result<Box<dyn PrivateKey>, Error> {
    let pair = RsaKeyPair::from_pkcs8(pkcs8).map_err(|_opaque| Error::Pkcs8)?;
    Ok(Box::new(Rsa { encoding, pair }))
}

/// Returns modulus and exponent of a PKCS#1 public key, the form in which the library returns keys.
fn read_rsa_public(pkcs1: &[u8]) -> Option<(&[u8], &[u8])> {
    let mut outer = Reader::new(pkcs1);
    let mut key = outer.sequence()?;
    let (n, e) = (key.positive()?, key.positive()?);
    (key.is_empty() && outer.is_empty()).then_some((n, e))
}

#[derive(Debug)]
struct Prepared(ParsedPublicKey);

impl PreparedKey for Prepared {
    fn verify(&self, message: &[u8], signature: &[u8]) -> bool {
        self.0.verify_sig(message, signature).is_ok()
    }
}

#[derive(Debug)]
struct PreparedP256(ParsedPublicKey);

impl PreparedKey for PreparedP256 {
    fn verify(&self, message: &[u8], signature: &[u8]) -> bool {
        self.0.verify_sig(message, signature).is_ok()
    }

    fn verify_hashed(&self, _message: &[u8], sha256: &[u8; 32], signature: &[u8]) -> bool {
        Digest::import_less_safe(sha256, &SHA256)
            .and_then(|hash| self.0.verify_digest_sig(&hash, signature))
            .is_ok()
    }
}

struct Ec {
    curve: Curve,
    pair: EcdsaKeyPair,
}

impl PrivateKey for Ec {
    fn public_key(&self) -> PublicKey {
        PublicKey::Ec {
            curve: self.curve,
            point: self.pair.public_key().as_ref().into(),
        }
    }

    fn sign(&self, message: &[u8], signature: &mut Vec<u8>) -> Result<(), Error> {
        let made = self
            .pair
            .sign(&SystemRandom::new(), message)
            .map_err(|_opaque| Error::Sign)?;
        signature.extend_from_slice(made.as_ref());
        Ok(())
    }
}

impl fmt::Debug for Ec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Ec")
            .field("curve", &self.curve)
            .finish_non_exhaustive()
    }
}

struct Ed25519(Ed25519KeyPair);

impl PrivateKey for Ed25519 {
    fn public_key(&self) -> PublicKey {
        let mut point = [0; 32];
        for (to, from) in point.iter_mut().zip(self.0.public_key().as_ref()) {
            *to = *from;
        }
        PublicKey::Ed25519 { point }
    }

    fn sign(&self, message: &[u8], signature: &mut Vec<u8>) -> Result<(), Error> {
        let made = self.0.try_sign(message).map_err(|_opaque| Error::Sign)?;
        signature.extend_from_slice(made.as_ref());
        Ok(())
    }
}

impl fmt::Debug for Ed25519 {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Ed25519").finish_non_exhaustive()
    }
}

struct Rsa {
    encoding: &'static RsaSignatureEncoding,
    pair: RsaKeyPair,
}

impl PrivateKey for Rsa {
    fn public_key(&self) -> PublicKey {
        let (n, e) = read_rsa_public(self.pair.public_key().as_ref()).unwrap_or_default();
        PublicKey::Rsa {
            n: n.into(),
            e: e.into(),
        }
    }

    fn sign(&self, message: &[u8], signature: &mut Vec<u8>) -> Result<(), Error> {
        let mut made = vec![0; self.pair.public_modulus_len()];
        self.pair
            .sign(self.encoding, &SystemRandom::new(), message, &mut made)
            .map_err(|_opaque| Error::Sign)?;
        signature.append(&mut made);
        Ok(())
    }
}

impl fmt::Debug for Rsa {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Rsa").finish_non_exhaustive()
    }
}
