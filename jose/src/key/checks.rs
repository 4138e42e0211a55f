//! Checks around every provider, so that all providers give the same result.

use super::field::has_point;
use crate::Error;
use crate::alg::Algorithm;
use crate::provider::{Curve, PublicKey};
use crate::random::SecureRandom;

/// 2^255 - 19, big endian.
const ED25519_P: [u8; 32] = {
    let mut p = [0xff; 32];
    p[0] = 0x7f;
    p[31] = 0xed;
    p
};

/// The order L of the Ed25519 base point, big endian (RFC 8032 §5.1).
const ED25519_L: [u8; 32] = [
    0x10, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0x14, 0xde, 0xf9, 0xde, 0xa2, 0xf7, 0x9c,
    0xd6, 0x58, 0x12, 0x63, 0x1a, 0x5c, 0xf5, 0xd3, 0xed,
];

/// The y coordinates of the eight points of small order, little endian, with either sign bit. The
/// non-canonical spellings are p and p + 1; they are refused because they are not below p.
const ED25519_SMALL_ORDER_Y: [[u8; 32]; 5] = {
    let zero = [0; 32];
    let mut one = zero;
    one[0] = 1;
    let mut minus_one = [0xff; 32];
    minus_one[0] = 0xec;
    minus_one[31] = 0x7f;
    [
        zero,
        one,
        minus_one,
        [
            0x26, 0xe8, 0x95, 0x8f, 0xc2, 0xb2, 0x27, 0xb0, 0x45, 0xc3, 0xf4, 0x89, 0xf2, 0xef,
            0x98, 0xf0, 0xd5, 0xdf, 0xac, 0x05, 0xd3, 0xc6, 0x33, 0x39, 0xb1, 0x38, 0x02, 0x88,
            0x6d, 0x53, 0xfc, 0x05,
        ],
        [
            0xc7, 0x17, 0x6a, 0x70, 0x3d, 0x4d, 0xd8, 0x4f, 0xba, 0x3c, 0x0b, 0x76, 0x0d, 0x10,
            0x67, 0x0f, 0x2a, 0x20, 0x53, 0xfa, 0x2c, 0x39, 0xcc, 0xc6, 0x4e, 0xc7, 0xfd, 0x77,
            0x92, 0xac, 0x03, 0x7a,
        ],
    ]
};

const P256_N: [u8; 32] = [
    0xff, 0xff, 0xff, 0xff, 0, 0, 0, 0, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xbc, 0xe6,
    0xfa, 0xad, 0xa7, 0x17, 0x9e, 0x84, 0xf3, 0xb9, 0xca, 0xc2, 0xfc, 0x63, 0x25, 0x51,
];

const P384_N: [u8; 48] = [
    0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff,
    0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xc7, 0x63, 0x4d, 0x81, 0xf4, 0x37, 0x2d, 0xdf,
    0x58, 0x1a, 0x0d, 0xb2, 0x48, 0xb0, 0xa7, 0x7a, 0xec, 0xec, 0x19, 0x6a, 0xcc, 0xc5, 0x29, 0x73,
];

const P521_N: [u8; 66] = [
    0x01, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff,
    0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff,
    0xff, 0xfa, 0x51, 0x86, 0x87, 0x83, 0xbf, 0x2f, 0x96, 0x6b, 0x7f, 0xcc, 0x01, 0x48, 0xf7, 0x09,
    0xa5, 0xd0, 0x3b, 0xb5, 0xc9, 0xb8, 0x89, 0x9c, 0x47, 0xae, 0xbb, 0x6f, 0xb7, 0x1e, 0x91, 0x38,
    0x64, 0x09,
];

/// Refuses an encoded Ed25519 point with y ≥ p, a point of small order, and bytes that are not a
/// point.
pub(crate) fn check_ed25519(point: &[u8; 32]) -> Result<(), Error> {
    if !is_strong_ed25519(point) {
        return Err(Error::JwkWeakPoint);
    }
    if has_point(point) {
        Ok(())
    } else {
        Err(Error::JwkPoint)
    }
}

fn is_strong_ed25519(point: &[u8; 32]) -> bool {
    let mut y = *point;
    y[31] &= 0x7f;
    let mut big_endian = y;
    big_endian.reverse();
    big_endian < ED25519_P && !ED25519_SMALL_ORDER_Y.contains(&y)
}

/// Checks an RSA key by its sizes, before any arithmetic.
pub(crate) fn check_rsa(n: &[u8], e: &[u8]) -> Result<(), Error> {
    let ([n_first, .., n_last], [e_first, .., e_last] | [e_first @ e_last]) = (n, e) else {
        return Err(if n.len() < 2 {
            Error::JwkRsaModulus
        } else {
            Error::JwkRsaExponent
        });
    };
    let bits = |len: usize, first: u8| {
        len.saturating_mul(8)
            .saturating_sub(usize::try_from(first.leading_zeros()).unwrap_or(8))
    };
    let size_fits = *n_first != 0 && (2048..=4096).contains(&bits(n.len(), *n_first));
    if !size_fits || n_last & 1 == 0 || is_roca(n) {
        return Err(Error::JwkRsaModulus);
    }
    if *e_first == 0 || bits(e.len(), *e_first) > 33 || e_last & 1 == 0 || e == [1] {
        return Err(Error::JwkRsaExponent);
    }
    Ok(())
}

/// Returns whether the modulus was made by the weak generator of CVE-2017-15361 ("ROCA"): modulo
/// each of these primes it is a power of 65537. The chance for a good modulus is about 2^-80.
fn is_roca(n: &[u8]) -> bool {
    const PRIMES: [u32; 38] = [
        3, 5, 7, 11, 13, 17, 19, 23, 29, 31, 37, 41, 43, 47, 53, 59, 61, 67, 71, 73, 79, 83, 89,
        97, 101, 103, 107, 109, 113, 127, 131, 137, 139, 149, 151, 157, 163, 167,
    ];
    PRIMES.iter().all(|prime| {
        let rest = n
            .iter()
            .fold(0, |rest, byte| ((rest << 8) | u32::from(*byte)) % prime);
        let mut power = 1;
        (0..*prime).any(|_exponent| {
            power = power * 65_537 % prime;
            power == rest
        })
    })
}

/// Returns whether the signature has the length of algorithm and key, and numbers in range: 1 ≤ r,
/// s < n (FIPS 186-5 §6.4.2), canonical strong R and S < L (RFC 8032 §5.1.7), 0 ≤ s < n for RSA.
pub(crate) fn is_well_formed(algorithm: Algorithm, key: &PublicKey, signature: &[u8]) -> bool {
    match (algorithm, key) {
        (Algorithm::EdDsa | Algorithm::Ed25519, _) => {
            let Ok(signature): Result<&[u8; 64], _> = signature.try_into() else {
                return false;
            };
            let Some((r, s)) = signature.split_first_chunk::<32>() else {
                return false;
            };
            let below_l = s.iter().rev().lt(&ED25519_L);
            below_l && is_strong_ed25519(r)
        }
        (Algorithm::Es256, _) => is_ecdsa(&P256_N, signature),
        (Algorithm::Es384, _) => is_ecdsa(&P384_N, signature),
        (Algorithm::Es512, _) => is_ecdsa(&P521_N, signature),
        (_, PublicKey::Rsa { n, .. }) => signature.len() == n.len() && signature < &**n,
        (_, _) => false,
    }
}

fn is_ecdsa(order: &[u8], signature: &[u8]) -> bool {
    let in_range = |number: &[u8]| number < order && number.iter().any(|byte| *byte != 0);
    signature.len() == 2 * order.len()
        && signature
            .split_at_checked(order.len())
            .is_some_and(|(r, s)| in_range(r) && in_range(s))
}

/// Fills `d` with a random scalar, 1 ≤ d < n. It draws until one is in range.
pub(super) fn fill_scalar(
    curve: Curve,
    random: &dyn SecureRandom,
    d: &mut [u8],
) -> Result<(), Error> {
    let order: &[u8] = match curve {
        Curve::P256 => &P256_N,
        Curve::P384 => &P384_N,
        Curve::P521 => &P521_N,
    };
    // Each draw fails with a chance below 2^-32 (P-521: one half of 2^-256).
    for _ in 0..16 {
        random.fill(d)?;
        if let (Curve::P521, Some(first)) = (curve, d.first_mut()) {
            *first &= 1;
        }
        if &*d < order && d.iter().any(|byte| *byte != 0) {
            return Ok(());
        }
    }
    Err(Error::Generate)
}
