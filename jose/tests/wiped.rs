//! T-024: no part of a key or secret stays in the heap after it is dropped, with either provider.
//! It is one test in its own process, which reads its own memory; Linux only.
#![cfg(target_os = "linux")]
#![allow(
    clippy::as_conversions,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::string_slice,
    clippy::unwrap_used,
    reason = "helpers of tests fail loudly, as tests do"
)]

use std::fs::{self, File};
use std::io::{Read as _, Seek as _, SeekFrom};

use aims_jose::key::{Signer as _, SigningKey};
use aims_jose::provider::Provider;
use aims_jose::secret::SecretText;
use aims_jose::{Algorithm, base64url};
use zeroize::Zeroizing;

/// Counts the occurrences of a text in the heap of this process: the main heap and the arenas of
/// threads.
///
/// The text is given with every bit inverted, so that the search does not find its own argument.
/// Memory is read onto the stack, which is not searched.
fn occurrences(turned: &[u8]) -> usize {
    let mut page = [0; 8192];
    let stack = u64::try_from(core::ptr::from_ref(&page).addr()).unwrap();
    let maps = fs::read_to_string("/proc/self/maps").unwrap();
    let mut memory = File::open("/proc/self/mem").unwrap();
    let mut found = 0;
    for line in maps.lines() {
        let fields: Vec<_> = line.split_ascii_whitespace().collect();
        let [range, "rw-p", _, _, "0", name @ ..] = &fields[..] else {
            continue;
        };
        let (from, to) = range.split_once('-').unwrap();
        let from = u64::from_str_radix(from, 16).unwrap();
        let to = u64::from_str_radix(to, 16).unwrap();
        if !matches!(name, [] | ["[heap]"]) || (from..to).contains(&stack) {
            continue;
        }
        memory.seek(SeekFrom::Start(from)).unwrap();
        let mut carried = 0;
        for _page in 0..(to - from) / 4096 {
            let filled = carried + 4096;
            memory.read_exact(&mut page[carried..filled]).unwrap();
            page[carried..filled]
                .iter_mut()
                .for_each(|byte| *byte = !*byte);
            found += page[..filled]
                .windows(turned.len())
                .filter(|at| *at == turned)
                .count();
            carried = turned.len() - 1;
            page.copy_within(filled - carried..filled, 0);
        }
    }
    found
}

fn turned(bytes: &[u8]) -> Vec<u8> {
    bytes.iter().map(|byte| !byte).collect()
}

fn providers() -> Vec<&'static dyn Provider> {
    vec![
        #[cfg(feature = "aws-lc-rs")]
        aims_jose::provider::AWS_LC,
        #[cfg(feature = "rustcrypto")]
        aims_jose::provider::RUSTCRYPTO,
    ]
}

/// Searches for the seed, scalar or exponent, in the form of files and as little-endian limbs.
fn key_is_wiped(provider: &'static dyn Provider, algorithm: Algorithm) {
    let key = SigningKey::generate(algorithm, provider).unwrap();
    let needle = {
        let jwk = key.to_jwk();
        let (_, rest) = jwk.split_once("\"d\":\"").unwrap();
        let d = base64url::decode(rest.split_once('"').unwrap().0).unwrap();
        turned(&Zeroizing::new(d))
    };
    let text =
        turned(Zeroizing::new(base64url::encode(&Zeroizing::new(turned(&needle)))).as_bytes());
    let reversed: Vec<u8> = needle.iter().rev().copied().collect();
    let clone = key.clone();
    drop(key.sign(b"message").unwrap());
    drop(clone.to_pkcs8_pem());
    drop(SigningKey::from_jwk(clone.to_jwk().as_bytes(), provider).unwrap());
    drop(key);
    assert!(
        occurrences(&needle) > 0,
        "the search does not find a live key"
    );
    drop(clone);
    let name = provider.name();
    assert_eq!(occurrences(&needle), 0, "{name} {algorithm}");
    assert_eq!(occurrences(&text), 0, "{name} {algorithm}, text");
    assert_eq!(occurrences(&reversed), 0, "{name} {algorithm}, limbs");
}

/// T-024
#[test]
fn t024_nothing_stays_in_the_heap() {
    let secret = SecretText::new("a marked secret that is in no other place".replace('m', "M"));
    let needle = turned(secret.expose().as_bytes());
    assert!(
        occurrences(&needle) > 0,
        "the search does not find a live secret"
    );
    let clone = secret.clone();
    drop(secret);
    drop(clone);
    assert_eq!(occurrences(&needle), 0);

    for provider in providers() {
        for algorithm in [Algorithm::Ed25519, Algorithm::Es256, Algorithm::Rs256] {
            key_is_wiped(provider, algorithm);
        }
    }
}
