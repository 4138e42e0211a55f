//! PKCS#8 private keys (RFC 5958). They are parsed strictly and written in one form, so that every
//! provider gets the same bytes for every form of input.

use zeroize::Zeroizing;

use super::der::{self, Reader};
use crate::Error;
use crate::alg::Algorithm;
use crate::provider::Curve;

const OID_EC: &[u8] = &[0x2a, 0x86, 0x48, 0xce, 0x3d, 0x02, 0x01];
const OID_P256: &[u8] = &[0x2a, 0x86, 0x48, 0xce, 0x3d, 0x03, 0x01, 0x07];
const OID_P384: &[u8] = &[0x2b, 0x81, 0x04, 0x00, 0x22];
const OID_P521: &[u8] = &[0x2b, 0x81, 0x04, 0x00, 0x23];
const OID_RSA: &[u8] = &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01, 0x01];
const OID_ED25519: &[u8] = &[0x2b, 0x65, 0x70];

/// Maximum length, more than an RSA key of 4096 bits needs.
const MAX_LEN: usize = 8 * 1024;

/// The kind of private key that an algorithm needs.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Kind {
    Ec(Curve),
    Ed25519,
    Rsa,
}

impl Kind {
    pub(crate) const fn of(algorithm: Algorithm) -> Self {
        match algorithm {
            Algorithm::EdDsa | Algorithm::Ed25519 => Self::Ed25519,
            Algorithm::Es256 => Self::Ec(Curve::P256),
            Algorithm::Es384 => Self::Ec(Curve::P384),
            Algorithm::Es512 => Self::Ec(Curve::P521),
            _ => Self::Rsa,
        }
    }
}

/// The numbers of a private key, borrowed from memory that is wiped.
pub(crate) enum Parts<'a> {
    /// Scalar of full length, and the public point if the file contains one.
    Ec {
        d: &'a [u8],
        public: Option<&'a [u8]>,
    },
    /// Seed of 32 bytes, and the public key if the file contains one.
    Ed25519 {
        seed: &'a [u8],
        public: Option<&'a [u8]>,
    },
    /// n, e, d, p, q, dp, dq, qi, big endian without leading zeros.
    Rsa([&'a [u8]; 8]),
}

/// Parses a key of this kind.
pub(crate) fn read(kind: Kind, pkcs8: &[u8]) -> Result<Parts<'_>, Error> {
    if pkcs8.len() > MAX_LEN {
        return Err(Error::Pkcs8);
    }
    parse(kind, pkcs8).ok_or(Error::Pkcs8)
}

fn parse(kind: Kind, pkcs8: &[u8]) -> Option<Parts<'_>> {
    let mut outer = Reader::new(pkcs8);
    let mut info = outer.sequence()?;
    let version = info.read(der::INTEGER)?;
    let mut algorithm = info.sequence()?;
    let oid = algorithm.read(der::OID)?;
    let key = info.read(der::OCTET_STRING)?;
    // The attributes [0] are ignored. [1] is the public key of version 2.
    if info.peek() == Some(0xa0) {
        info.read(0xa0)?;
    }
    let public = match (version, info.peek()) {
        ([0 | 1], None) => None,
        ([1], Some(0x81)) => Some(info.read(0x81)?.strip_prefix(&[0])?),
        _ => return None,
    };
    if !outer.is_empty() || !info.is_empty() {
        return None;
    }
    match kind {
        Kind::Ec(curve) => {
            let named = algorithm.read(der::OID)?;
            (oid == OID_EC && named == curve_oid(curve) && algorithm.is_empty()).then_some(())?;
            let mut outer = Reader::new(key);
            let mut ec = outer.sequence()?;
            (ec.read(der::INTEGER)? == [1]).then_some(())?;
            let d = ec.read(der::OCTET_STRING)?;
            (d.len() == curve.field_len()).then_some(())?;
            if ec.peek() == Some(0xa0) {
                let mut parameters = Reader::new(ec.read(0xa0)?);
                (parameters.read(der::OID)? == named && parameters.is_empty()).then_some(())?;
            }
            let mut inner = None;
            if ec.peek() == Some(0xa1) {
                let mut wrapped = Reader::new(ec.read(0xa1)?);
                inner = Some(wrapped.read(der::BIT_STRING)?.strip_prefix(&[0])?);
                wrapped.is_empty().then_some(())?;
            }
            (ec.is_empty() && outer.is_empty()).then_some(())?;
            match (inner, public) {
                (Some(inner), Some(public)) if inner != public => None,
                _ => Some(Parts::Ec {
                    d,
                    public: inner.or(public),
                }),
            }
        }
        Kind::Ed25519 => {
            (oid == OID_ED25519 && algorithm.is_empty()).then_some(())?;
            let mut outer = Reader::new(key);
            let seed = outer.read(der::OCTET_STRING)?;
            (seed.len() == 32 && outer.is_empty()).then_some(())?;
            Some(Parts::Ed25519 { seed, public })
        }
        Kind::Rsa => {
            let parameters = algorithm.read(der::NULL)?;
            (oid == OID_RSA && parameters.is_empty() && algorithm.is_empty()).then_some(())?;
            let mut outer = Reader::new(key);
            let mut rsa = outer.sequence()?;
            (rsa.read(der::INTEGER)? == [0] && public.is_none()).then_some(())?;
            let mut numbers: [&[u8]; 8] = [&[]; 8];
            for number in &mut numbers {
                *number = rsa.positive()?;
            }
            (rsa.is_empty() && outer.is_empty()).then_some(())?;
            Some(Parts::Rsa(numbers))
        }
    }
}

/// Writes version 1: EC keys without their public key, RSA keys with two primes.
pub(crate) fn write(kind: Kind, parts: &Parts<'_>) -> Zeroizing<Vec<u8>> {
    let mut algorithm = Vec::new();
    match kind {
        Kind::Ec(curve) => {
            der::write(&mut algorithm, der::OID, OID_EC);
            der::write(&mut algorithm, der::OID, curve_oid(curve));
        }
        Kind::Ed25519 => der::write(&mut algorithm, der::OID, OID_ED25519),
        Kind::Rsa => {
            der::write(&mut algorithm, der::OID, OID_RSA);
            der::write(&mut algorithm, der::NULL, &[]);
        }
    }
    // Reserve all memory first: a vector that grows leaves copies of the key behind.
    let mut key = Zeroizing::new(Vec::with_capacity(MAX_LEN));
    match parts {
        Parts::Ec { d, .. } => {
            let mut ec = Zeroizing::new(Vec::with_capacity(MAX_LEN));
            der::write(&mut ec, der::INTEGER, &[1]);
            der::write(&mut ec, der::OCTET_STRING, d);
            der::write(&mut key, der::SEQUENCE, &ec);
        }
        Parts::Ed25519 { seed, .. } => der::write(&mut key, der::OCTET_STRING, seed),
        Parts::Rsa(numbers) => {
            let mut rsa = Zeroizing::new(Vec::with_capacity(MAX_LEN));
            der::write(&mut rsa, der::INTEGER, &[0]);
            for number in numbers {
                der::write_positive(&mut rsa, number);
            }
            der::write(&mut key, der::SEQUENCE, &rsa);
        }
    }
    let mut info = Zeroizing::new(Vec::with_capacity(MAX_LEN));
    der::write(&mut info, der::INTEGER, &[0]);
    der::write(&mut info, der::SEQUENCE, &algorithm);
    der::write(&mut info, der::OCTET_STRING, &key);
    let mut pkcs8 = Zeroizing::new(Vec::with_capacity(info.len() + 4));
    der::write(&mut pkcs8, der::SEQUENCE, &info);
    pkcs8
}

const fn curve_oid(curve: Curve) -> &'static [u8] {
    match curve {
        Curve::P256 => OID_P256,
        Curve::P384 => OID_P384,
        Curve::P521 => OID_P521,
    }
}
