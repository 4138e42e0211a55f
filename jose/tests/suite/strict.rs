//! Strict rules in which libraries differ.

use std::sync::atomic::{AtomicUsize, Ordering};

use aims_jose::jwk::Jwk;
use aims_jose::key::{Signer as _, VerifyingKey};
use aims_jose::provider::{PreparedKey, PrivateKey, Provider, PublicKey};
use aims_jose::{Algorithm, Error, base64url};

use super::{generate, hex, key, verify};
use crate::provider;

/// An Ed25519 public key with the seed `00 01 … 1f`, and vectors that were made with it.
const A: &str = "03a107bff3ce10be1d70dd18e74bc09967e4d6309ba50d5f1ddc8664125531b8";
const HONEST: &str = "7bc0ea578290c8dcf6fc8a6e134a7f3e794ddd7e8922108bccd6202f95de532b\
                      92c2298dc8e161ac2b5e3653f92c5b0e12adf26b3d46e7bd2057715f25d3e205";
/// The same with S + L.
const S_PLUS_L: &str = "7bc0ea578290c8dcf6fc8a6e134a7f3e794ddd7e8922108bccd6202f95de532b\
                        7f961feae244740402fb2df6d7263a2312adf26b3d46e7bd2057715f25d3e215";
/// R is the neutral element, and the verification equation is true.
const R_NEUTRAL: &str = "0100000000000000000000000000000000000000000000000000000000000000\
                         e404f4e96e0b12dc6c3ec416ed1d5e91b66a37ca15a8b36c06938736133a2d0c";

/// The fourteen encodings of the eight points of small order: eight canonical ones, then x = 0 with
/// the sign bit, then y = p and y = p + 1 with either sign.
const SMALL_ORDER: [&str; 14] = [
    "0100000000000000000000000000000000000000000000000000000000000000",
    "ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
    "0000000000000000000000000000000000000000000000000000000000000000",
    "0000000000000000000000000000000000000000000000000000000000000080",
    "26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05",
    "26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc85",
    "c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a",
    "c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac03fa",
    "0100000000000000000000000000000000000000000000000000000000000080",
    "ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff",
    "edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
    "edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff",
    "eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
    "eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff",
];

fn okp(x: &str) -> Result<VerifyingKey, &'static str> {
    let x = base64url::encode(&hex(x));
    key(&format!(r#"{{"kty":"OKP","crv":"Ed25519","x":"{x}"}}"#))
}

/// T-004
#[test]
fn ed25519_keys_of_small_order_are_refused() {
    for point in SMALL_ORDER {
        assert_eq!(okp(point).unwrap_err(), "jwk.weak_point", "{point}");
    }
    assert!(okp(A).is_ok());
}

/// T-004: y = p + 3 and beyond, where y - p is a point of large order.
#[test]
fn ed25519_keys_with_y_not_below_p_are_refused() {
    for low in 0xed..=0xff_u8 {
        for top in [0x7f, 0xff_u8] {
            let mut point = [0xff; 32];
            point[0] = low;
            point[31] = top;
            let point: String = point.iter().map(|byte| format!("{byte:02x}")).collect();
            assert_eq!(okp(&point).unwrap_err(), "jwk.weak_point", "{point}");
        }
    }
}

/// T-018: y = 2 has no x.
#[test]
fn ed25519_keys_off_the_curve_are_refused() {
    let off = "0200000000000000000000000000000000000000000000000000000000000000";
    assert_eq!(okp(off).unwrap_err(), "jwk.point");
}

/// T-004
#[test]
fn ed25519_signatures_with_weak_r_or_large_s_are_refused() {
    let key = okp(A).unwrap();
    let check = |signature: &[u8]| verify(&key, Algorithm::EdDsa, b"message", signature);
    assert_eq!(check(&hex(HONEST)), Ok(()));
    assert_eq!(check(&hex(S_PLUS_L)), Err("jws.signature"));
    assert_eq!(check(&hex(R_NEUTRAL)), Err("jws.signature"));
    for point in SMALL_ORDER {
        let mut signature = hex(R_NEUTRAL);
        signature[..32].copy_from_slice(&hex(point));
        assert_eq!(check(&signature), Err("jws.signature"), "{point}");
        signature[32..].fill(0);
        assert_eq!(check(&signature), Err("jws.signature"), "{point}");
    }
}

/// T-004: a key with a part of small order. Without cofactor its signatures verify only if the hash
/// is a multiple of 8, and every provider must give that result.
#[test]
fn ed25519_keys_of_mixed_order_are_judged_without_cofactor() {
    let key = okp("b154bd62188ae283dd187fefe8c31f5e276edf083b4cff11c9d5cff856c74440").unwrap();
    let fits = "b31b20f50426242514d81b383548bd90de72fd0b8cf2382a88f9f52ce5076b23\
                d7053bcedba61412ee81afdc36ea35e60c7b4c0203cf840eeaa8150e250a1d0b";
    let fits_with_cofactor = "b31b20f50426242514d81b383548bd90de72fd0b8cf2382a88f9f52ce5076b23\
                              d1e350fbecafabdfcd513a4486b212618d4bdfc87628f96fd41eff5c5a23870f";
    assert_eq!(
        verify(&key, Algorithm::Ed25519, b"message 20", &hex(fits)),
        Ok(())
    );
    assert_eq!(
        verify(
            &key,
            Algorithm::Ed25519,
            b"message 0",
            &hex(fits_with_cofactor)
        ),
        Err("jws.signature"),
    );
}

fn order(algorithm: Algorithm) -> Vec<u8> {
    hex(match algorithm {
        Algorithm::Es256 => "ffffffff00000000ffffffffffffffffbce6faada7179e84f3b9cac2fc632551",
        Algorithm::Es384 => {
            "ffffffffffffffffffffffffffffffffffffffffffffffff\
             c7634d81f4372ddf581a0db248b0a77aecec196accc52973"
        }
        _ => {
            "01fffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffa\
             51868783bf2f966b7fcc0148f709a5d03bb5c9b8899c47aebb6fb71e91386409"
        }
    })
}

fn ecdsa() -> impl Iterator<Item = Algorithm> {
    super::algorithms().filter(|algorithm| algorithm.name().starts_with("ES"))
}

/// T-003
#[test]
fn ecdsa_numbers_out_of_range_are_refused() {
    for algorithm in ecdsa() {
        let key = generate(algorithm);
        let good = key.sign(b"message").unwrap().as_ref().to_vec();
        let len = good.len() / 2;
        let mut too_large = order(algorithm);
        *too_large.last_mut().unwrap() += 1;
        for (name, number) in [
            ("0", vec![0; len]),
            ("n", order(algorithm)),
            ("n + 1", too_large),
            ("all ones", vec![0xff; len]),
        ] {
            for (r, s) in [
                (&number[..], &good[len..]),
                (&good[..len], &number[..]),
                (&number[..], &number[..]),
            ] {
                let found = verify(key.verifying_key(), algorithm, b"message", &[r, s].concat());
                assert_eq!(found, Err("jws.signature"), "{algorithm} {name}");
            }
        }
        assert_eq!(
            verify(key.verifying_key(), algorithm, b"message", &good),
            Ok(())
        );
    }
}

/// T-003
#[test]
fn ecdsa_signatures_of_other_lengths_and_in_der_are_refused() {
    for algorithm in ecdsa() {
        let key = generate(algorithm);
        let good = key.sign(b"message").unwrap().as_ref().to_vec();
        let (r, s) = good.split_at(good.len() / 2);
        let padded = [&[0], r, &[0], s].concat();
        let integer = |number: &[u8]| {
            let at = number.iter().position(|byte| *byte != 0).unwrap();
            let mut value = number[at..].to_vec();
            if value[0] >= 0x80 {
                value.insert(0, 0);
            }
            [&[2, u8::try_from(value.len()).unwrap()], &value[..]].concat()
        };
        let body = [integer(r), integer(s)].concat();
        let len = u8::try_from(body.len()).unwrap();
        let der = if len < 0x80 {
            vec![0x30, len]
        } else {
            vec![0x30, 0x81, len]
        };
        let der = [der, body].concat();
        for bad in [
            &good[1..],
            &good[..good.len() - 1],
            &[&good[..], &[0]].concat(),
            &[&[0], &good[..]].concat(),
            &padded,
            &der,
            &[],
        ] {
            let found = verify(key.verifying_key(), algorithm, b"message", bad);
            assert_eq!(found, Err("jws.signature"), "{algorithm} {}", bad.len());
        }
    }
}

/// T-029: the second signature (r, n - s) is valid too, with every provider. So the text of a token
/// does not identify it.
#[test]
fn ecdsa_twins_are_accepted_alike() {
    for algorithm in ecdsa() {
        let key = generate(algorithm);
        let good = key.sign(b"message").unwrap().as_ref().to_vec();
        let (r, s) = good.split_at(good.len() / 2);
        let mut twin = order(algorithm);
        let mut borrow = 0_i16;
        for (n, s) in twin.iter_mut().zip(s).rev() {
            let difference = i16::from(*n) - i16::from(*s) - borrow;
            borrow = i16::from(difference < 0);
            *n = u8::try_from(difference.rem_euclid(256)).unwrap();
        }
        let twin = [r, &twin].concat();
        assert_ne!(twin, good);
        assert_eq!(
            verify(key.verifying_key(), algorithm, b"message", &twin),
            Ok(())
        );
    }
}

/// T-018: off the curve, x ≥ p, the origin.
#[test]
fn ec_points_off_the_curve_are_refused() {
    let ec = |curve: &str, x: &[u8], y: &[u8]| {
        let (x, y) = (base64url::encode(x), base64url::encode(y));
        key(&format!(
            r#"{{"kty":"EC","crv":"{curve}","x":"{x}","y":"{y}"}}"#
        ))
    };
    for algorithm in ecdsa() {
        let (curve, len) = match algorithm {
            Algorithm::Es256 => ("P-256", 32),
            Algorithm::Es384 => ("P-384", 48),
            _ => ("P-521", 66),
        };
        let generated = generate(algorithm);
        let PublicKey::Ec { point, .. } = generated.public_jwk().public_key() else {
            panic!()
        };
        let (x, y) = point[1..].split_at(len);
        assert!(ec(curve, x, y).is_ok());
        let mut off = y.to_vec();
        off[len - 1] ^= 1;
        assert_eq!(ec(curve, x, &off).unwrap_err(), "jwk.point", "{curve}");
        assert_eq!(ec(curve, y, x).unwrap_err(), "jwk.point", "{curve}");
        assert_eq!(
            ec(curve, &vec![0xff; len], y).unwrap_err(),
            "jwk.point",
            "{curve}"
        );
        assert_eq!(
            ec(curve, &vec![0; len], &vec![0; len]).unwrap_err(),
            "jwk.point",
            "{curve}"
        );
    }
}

/// Counts the RSA keys that the provider under test gets.
#[derive(Debug)]
struct Counting;

static PREPARED: AtomicUsize = AtomicUsize::new(0);

impl Provider for Counting {
    fn name(&self) -> &'static str {
        "counting"
    }

    fn supports(&self, algorithm: Algorithm) -> bool {
        provider().supports(algorithm)
    }

    fn prepare(
        &self,
        algorithm: Algorithm,
        key: &PublicKey,
    ) -> Result<Box<dyn PreparedKey>, Error> {
        PREPARED.fetch_add(1, Ordering::SeqCst);
        provider().prepare(algorithm, key)
    }

    fn load(&self, algorithm: Algorithm, pkcs8: &[u8]) -> Result<Box<dyn PrivateKey>, Error> {
        provider().load(algorithm, pkcs8)
    }

    fn generate_rsa(&self, bits: u16) -> Result<zeroize::Zeroizing<Vec<u8>>, Error> {
        provider().generate_rsa(bits)
    }
}

/// A key of the provider that counts.
fn rsa(n: &[u8], e: &[u8]) -> Result<VerifyingKey, &'static str> {
    let (n, e) = (base64url::encode(n), base64url::encode(e));
    let json = format!(r#"{{"kty":"RSA","alg":"RS256","n":"{n}","e":"{e}"}}"#);
    Jwk::parse(json.as_bytes())
        .and_then(|jwk| VerifyingKey::from_jwk(&jwk, &Counting))
        .map_err(|error| error.code())
}

/// Returns an odd number of this many bits.
fn odd(bits: usize) -> Vec<u8> {
    let mut number = vec![0xab; bits.div_ceil(8)];
    let top = (bits - 1) % 8;
    number[0] = u8::try_from((0xab_u16 & ((1 << top) - 1)) | 1 << top).unwrap();
    *number.last_mut().unwrap() |= 1;
    number
}

/// T-005
#[test]
fn rsa_keys_out_of_size_are_refused_before_any_arithmetic() {
    for bits in [512, 1024, 2040, 2047, 4097, 8192, 16_384] {
        // The largest keys do not fit into a JWK of 16 KiB.
        assert_eq!(
            rsa(&odd(bits), &[1, 0, 1]).unwrap_err(),
            "jwk.rsa_modulus",
            "{bits}"
        );
    }
    let mut even = odd(2048);
    *even.last_mut().unwrap() ^= 1;
    assert_eq!(rsa(&even, &[1, 0, 1]).unwrap_err(), "jwk.rsa_modulus");
    assert_eq!(
        rsa(&[&[0], &odd(2048)[..]].concat(), &[3]).unwrap_err(),
        "jwk.rsa_modulus"
    );
    assert_eq!(rsa(&[], &[3]).unwrap_err(), "jwk.rsa_modulus");
    for e in [
        &[][..],
        &[0],
        &[1],
        &[2],
        &[4],
        &[1, 0, 0],
        &[0, 1, 0, 1],
        &[2, 0, 0, 0, 1],
    ] {
        assert_eq!(rsa(&odd(2048), e).unwrap_err(), "jwk.rsa_exponent", "{e:?}");
    }
    // The provider got none of them.
    assert_eq!(PREPARED.load(Ordering::SeqCst), 0);
    let mut read = 0;
    for bits in [2048, 2049, 3072, 4096] {
        for e in [&[3][..], &[1, 0, 1], &[1, 0xff, 0xff, 0xff, 0xff]] {
            assert!(rsa(&odd(bits), e).is_ok(), "{bits} {e:?}");
            read += 1;
            assert_eq!(PREPARED.load(Ordering::SeqCst), read);
        }
    }
}

/// An RSA signature has the length of the modulus and is less than it.
#[test]
fn rsa_signatures_of_other_lengths_are_refused() {
    let key = generate(Algorithm::Rs256);
    let good = key.sign(b"message").unwrap().as_ref().to_vec();
    for bad in [&good[1..], &[&[0], &good[..]].concat(), &[], &[0xff; 256]] {
        let found = verify(key.verifying_key(), Algorithm::Rs256, b"message", bad);
        assert_eq!(found, Err("jws.signature"));
    }
}
