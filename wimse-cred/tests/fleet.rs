//! Many sources at once, and one source with many readers.

#![cfg(feature = "tokio")]
#![expect(
    clippy::indexing_slicing,
    clippy::unwrap_used,
    reason = "a test fails by panicking"
)]

mod common;

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use aims_jose::alg::Algorithm;
use aims_jose::jwk::Jwk;
use aims_jose::jws::Unverified;
use aims_jose::key::{SigningKey, VerifyingKey};
use aims_jose::provider::AWS_LC;
use aims_jose::random::SecureRandom;
use aims_jose::secret::SecretText;
use aims_jose::time::{Clock, UnixTime};
use aims_wimse_cred::source::{Issue, IssueFuture, RenewingSource};
use aims_wimse_cred::{Identity, IdentitySource as _};
use common::{NOW, at, claims, key, sign};
use serde_json::Value;
use tokio::time::Instant;

/// A wall clock that follows tokio's clock.
#[derive(Clone, Copy, Debug)]
struct Paused(Instant);

impl Clock for Paused {
    fn now(&self) -> UnixTime {
        at(NOW + self.0.elapsed().as_secs())
    }
}

/// A random source with the same values in each run.
#[derive(Debug)]
struct Mixed(AtomicU64);

impl SecureRandom for Mixed {
    fn fill(&self, buffer: &mut [u8]) -> Result<(), aims_jose::Error> {
        let seed = self.0.fetch_add(0x9E37_79B9_7F4A_7C15, Ordering::SeqCst);
        let mixed = (seed ^ (seed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        buffer.copy_from_slice(&(mixed ^ (mixed >> 31)).to_le_bytes());
        Ok(())
    }
}

static CHANCE: Mixed = Mixed(AtomicU64::new(1));

/// Creates signed WITs, each with its key.
fn identities(count: usize, ends: u64) -> Vec<(String, SigningKey)> {
    let ca = key(Algorithm::Es256, "ca");
    let one = || {
        let agent = key(Algorithm::Es256, "a");
        let mut claims = claims(&agent);
        claims["exp"] = ends.into();
        (sign("wit+jwt", &ca, &claims), agent)
    };
    (0..count).map(|_| one()).collect()
}

/// The issuer of the whole fleet.
#[derive(Clone, Debug)]
struct Issuer(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    first: (String, SigningKey),
    start: Instant,
    /// The number of requests in each second.
    asked: Mutex<BTreeMap<u64, usize>>,
}

impl Issue for Issuer {
    fn issue(&self) -> IssueFuture<'_> {
        let second = self.0.start.elapsed().as_secs();
        *self.0.asked.lock().unwrap().entry(second).or_default() += 1;
        Box::pin(async move {
            if second > 0 {
                return Err(Arc::from(Box::from("the first is all there is")));
            }
            Ok(join(&self.0.first))
        })
    }
}

fn join((wit, key): &(String, SigningKey)) -> Identity {
    let signer = Arc::new(key.clone());
    Identity::new(SecretText::new(wit), signer, key.public_jwk()).unwrap()
}

/// F-20: of 1,000 sources that start in one second, at most a tenth asks in any second, both during
/// renewal and while the issuer fails.
#[tokio::test(start_paused = true)]
async fn a_fleet_does_not_renew_at_once() {
    let lifetime = 3_600;
    let issuer = Issuer(Arc::new(Inner {
        first: identities(1, NOW + lifetime).remove(0),
        start: Instant::now(),
        asked: Mutex::default(),
    }));
    let mut fleet = Vec::new();
    for _ in 0..1_000 {
        let source = RenewingSource::builder(issuer.clone())
            .with_clock(Arc::new(Paused(issuer.0.start)))
            .with_random(&CHANCE);
        fleet.push(source.start().await.unwrap());
    }
    assert!(
        issuer.0.start.elapsed().as_secs() == 0,
        "they start together"
    );
    tokio::time::sleep(Duration::from_secs(lifetime)).await;
    let mut asked = issuer.0.asked.lock().unwrap().clone();
    assert_eq!(asked.remove(&0), Some(1_000));
    assert!(asked.values().sum::<usize>() > 2_000, "they go on asking");
    let first = *asked.keys().next().unwrap();
    assert!((2_040..2_100).contains(&first), "{first}");
    let busiest = asked.values().max().unwrap();
    assert!(*busiest <= 100, "{busiest} in a second");
}

/// Returns its identities in turn, again and again.
#[derive(Clone, Debug)]
struct Round(Arc<(Vec<(String, SigningKey)>, AtomicUsize)>);

impl Issue for Round {
    fn issue(&self) -> IssueFuture<'_> {
        let (identities, next) = &*self.0;
        let next = next.fetch_add(1, Ordering::SeqCst);
        let identity = identities.get(next % identities.len()).map(join);
        Box::pin(std::future::ready(Ok(identity.unwrap())))
    }
}

/// Returns the key that a WIT confirms.
fn confirmed(wit: &str) -> VerifyingKey {
    let token = Unverified::parse(wit).unwrap();
    let claims: Value = serde_json::from_slice(token.unverified_payload().unwrap()).unwrap();
    let jwk = claims["cnf"]["jwk"].to_string();
    VerifyingKey::from_jwk(&Jwk::parse(jwk.as_bytes()).unwrap(), AWS_LC).unwrap()
}

/// F-21: while an identity rotates as fast as possible, the key of each snapshot is the one that
/// its WIT confirms.
#[test]
fn key_and_wit_are_of_one_snapshot() {
    const SIGNATURES: usize = 1_500;
    const CHANGES: usize = 100;
    let rotations = Round(Arc::new((
        identities(8, NOW + 1_000_000_000),
        AtomicUsize::new(0),
    )));
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .start_paused(true)
        .build()
        .unwrap();
    // The remaining lifetime is always one second, and time advances when all tasks wait.
    let ending = Arc::new(Ending);
    let source = RenewingSource::builder(rotations.clone()).with_clock(ending);
    let source = runtime.block_on(source.start()).unwrap();
    let done = AtomicBool::new(false);
    let seen = std::thread::scope(|scope| {
        let readers: Vec<_> = (0..2)
            .map(|_| {
                let source = source.clone();
                scope.spawn(move || {
                    let mut changes = 0;
                    let mut last = source.identity(at(NOW)).unwrap();
                    // A busy machine may need several attempts.
                    for round in 0..100 * SIGNATURES {
                        if round >= SIGNATURES && changes > CHANGES {
                            break;
                        }
                        let identity = source.identity(at(NOW)).unwrap();
                        changes += usize::from(!Arc::ptr_eq(&identity, &last));
                        let signature = identity.local_signer().unwrap().sign(b"request").unwrap();
                        let key = confirmed(identity.wit().expose());
                        key.verify(Algorithm::Es256, b"request", signature.as_ref())
                            .unwrap();
                        assert_eq!(key.thumbprint(), identity.thumbprint());
                        last = identity;
                    }
                    changes
                })
            })
            .collect();
        let done = &done;
        let turning = scope.spawn(move || {
            runtime.block_on(async {
                while !done.load(Ordering::SeqCst) {
                    tokio::time::sleep(Duration::from_millis(100)).await;
                }
            });
        });
        // Returns an identity that expires in one second.
        let seen: Vec<_> = readers.into_iter().map(|it| it.join()).collect();
        done.store(true, Ordering::SeqCst);
        turning.join().unwrap();
        let seen = seen.into_iter().collect::<Result<Vec<usize>, _>>();
        seen.unwrap()
    });
    assert!(seen.iter().all(|changes| *changes > CHANGES), "{seen:?}");
}

/// A second before the end.
#[derive(Debug)]
struct Ending;

impl Clock for Ending {
    fn now(&self) -> UnixTime {
        at(NOW + 999_999_999)
    }
}
