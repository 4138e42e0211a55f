//! Sources of an agent's identity, and the table of codes.

#![cfg_attr(
    feature = "tokio",
    expect(clippy::indexing_slicing, reason = "a test fails by panicking")
)]

mod common;

use std::collections::BTreeSet;
use std::sync::Arc;

use aims_jose::alg::Algorithm;
use aims_jose::jwk::SkippedKeys;
use aims_jose::key::SigningKey;
use aims_jose::secret::SecretText;
use aims_wimse_cred::{Error, FixedSource, Identity, IdentitySource as _};
use common::{NOW, at, claims, code, key, origin, sign};

fn identity(wit: &str, key: &SigningKey) -> Result<Identity, Error> {
    Identity::new(
        SecretText::new(wit),
        Arc::new(key.clone()),
        key.public_jwk(),
    )
}

/// WIT-08: key and WIT belong together, and are not used after `exp`.
#[test]
fn an_identity_is_one() {
    let (ca, agent, other) = (
        key(Algorithm::Es256, "ca"),
        key(Algorithm::Es256, "a"),
        key(Algorithm::Es256, "a"),
    );
    let wit = sign("wit+jwt", &ca, &claims(&agent));
    assert_eq!(code(identity(&wit, &other)), "source.key");
    assert_eq!(
        code(identity(&wit, &key(Algorithm::Es384, "a"))),
        "source.key"
    );
    assert_eq!(
        code(identity(&sign("JWT", &ca, &claims(&agent)), &agent)),
        "wit.typ"
    );
    assert_eq!(code(identity("a.b", &agent)), "jws.parts");
    let identity = identity(&wit, &agent).unwrap();
    assert!(!format!("{identity:?}").contains(&wit));
    let source = FixedSource::new(identity);
    assert_eq!(code(source.identity(at(NOW + 299))), "ok");
    assert_eq!(code(source.identity(at(NOW + 300))), "source.expired");
}

/// The codes are unique, and each has its error.
#[test]
fn codes_are_unique_and_complete() {
    use aims_jose::Error as Jose;
    let wrapped = [
        Jose::AlgorithmMismatch {
            algorithm: Algorithm::Es256,
        },
        Jose::Claim { claim: "x" },
        Jose::Expired {
            until: 1,
            now: 100,
            skew: 30,
        },
        Jose::Lifetime,
        Jose::NotYetValid {
            from: 2,
            now: 1,
            skew: 0,
        },
        Jose::Signature,
        Jose::Type,
    ];
    let origin = || origin("spiffe://example.org");
    let mut all: Vec<Error> = wrapped.iter().cloned().map(Error::Wit).collect();
    all.extend(wrapped.iter().cloned().map(Error::JwtSvid));
    all.extend([
        Error::Subject(None),
        Error::Confirmation(None),
        Error::KeyIdMissing,
        Error::AudiencePresent,
        Error::Audience,
        Error::UnknownOrigin {
            origin: origin(),
            known: "none".into(),
        },
        Error::UnknownKey {
            origin: origin(),
            key_id: None,
            usable: 0,
            known: "".into(),
            skipped: SkippedKeys::default(),
        },
        Error::AmbiguousKey { origin: origin() },
        Error::Stale { origin: origin() },
        Error::Removed { origin: origin() },
        Error::Revoked,
        Error::BundleSyntax(None),
        Error::BundleKeyId,
        Error::BundleRepeated,
        Error::BundleSequence {
            held: 2,
            offered: 1,
        },
        Error::Issue { reason: "x" },
        Error::Sign(Jose::Sign),
        Error::SourceKey,
        Error::RemoteSigner,
        Error::SourceExpired,
        Error::NoIdentity,
        Error::SourceUnavailable(Arc::new(std::io::Error::other("x"))),
    ]);
    let given: BTreeSet<_> = all.iter().map(Error::code).collect();
    let listed: BTreeSet<_> = Error::CODES.iter().copied().collect();
    assert_eq!(given, listed);
    assert_eq!(Error::CODES.len(), listed.len());
    assert_eq!(Error::Wit(Jose::UnknownAlgorithm).code(), "wit.algorithm");
    assert_eq!(
        Error::JwtSvid(Jose::UnknownAlgorithm).code(),
        "svid.algorithm"
    );
}

/// A message does not repeat its source, and the chain prints both in one line. A missing claim is
/// named.
#[test]
fn a_chain_says_each_thing_once() {
    let (ca, agent) = (key(Algorithm::Es256, "ca"), key(Algorithm::Es256, "a"));
    let mut claims = claims(&agent);
    claims.as_object_mut().unwrap().remove("cnf");
    let refused = identity(&sign("wit+jwt", &ca, &claims), &agent).unwrap_err();
    assert_eq!(
        aims_jose::Chain(&refused).to_string(),
        "workload identity token: the claim `cnf` is missing or malformed"
    );
    let svid = Error::JwtSvid(aims_jose::Error::Expired {
        until: 1,
        now: 100,
        skew: 30,
    });
    assert_eq!(
        aims_jose::Chain(&svid).to_string(),
        "JWT-SVID: expired at 1, and it is 100, with a skew of 30 s; get a new one, or check both clocks"
    );
}

#[cfg(feature = "tokio")]
mod renewing {
    use std::sync::atomic::{AtomicU64, Ordering};
    use std::sync::{Mutex, PoisonError};
    use std::time::Duration;

    use aims_jose::time::{Clock, UnixTime};
    use aims_wimse_cred::source::{Issue, IssueFuture, RenewingSource};
    use tokio::time::Instant;

    use super::*;

    /// A wall clock that follows tokio's clock.
    #[derive(Clone, Copy)]
    struct Paused(Instant);

    impl Clock for Paused {
        fn now(&self) -> UnixTime {
            at(NOW + self.0.elapsed().as_secs())
        }
    }

    #[derive(Clone, Copy, Debug, PartialEq)]
    enum Mood {
        Good,
        Failing,
        Silent,
    }

    /// Issues identities for 300 s, or fails.
    #[derive(Clone, Debug)]
    struct Issuer(Arc<(AtomicU64, Mutex<Mood>, Instant)>);

    impl Issuer {
        fn new() -> Self {
            Self(Arc::new((
                AtomicU64::new(0),
                Mutex::new(Mood::Good),
                Instant::now(),
            )))
        }
        fn calls(&self) -> u64 {
            self.0.0.load(Ordering::SeqCst)
        }
        fn be(&self, mood: Mood) {
            *self.0.1.lock().unwrap_or_else(PoisonError::into_inner) = mood;
        }
        fn source(&self) -> aims_wimse_cred::source::RenewingSourceBuilder {
            RenewingSource::builder(self.clone()).with_clock(Arc::new(Paused(self.0.2)))
        }
    }

    impl Issue for Issuer {
        fn issue(&self) -> IssueFuture<'_> {
            self.0.0.fetch_add(1, Ordering::SeqCst);
            let mood = *self.0.1.lock().unwrap_or_else(PoisonError::into_inner);
            let now = NOW + self.0.2.elapsed().as_secs();
            Box::pin(async move {
                match mood {
                    Mood::Silent => std::future::pending().await,
                    Mood::Failing => Err(Arc::from(Box::from("no"))),
                    Mood::Good => {
                        let agent = key(Algorithm::Es256, "a");
                        let mut claims = claims(&agent);
                        claims["iat"] = now.into();
                        claims["exp"] = (now + 300).into();
                        let wit = sign("wit+jwt", &key(Algorithm::Es256, "ca"), &claims);
                        identity(&wit, &agent).map_err(|error| {
                            let error: Arc<dyn std::error::Error + Send + Sync> = Arc::new(error);
                            error
                        })
                    }
                }
            })
        }
    }

    async fn sleep(seconds: u64) {
        tokio::time::sleep(Duration::from_secs(seconds)).await;
    }

    /// F-03, WIT-08: it renews at two thirds of the lifetime or up to a tenth earlier, with a new
    /// key.
    #[tokio::test(start_paused = true)]
    async fn it_renews_in_time() {
        let issuer = Issuer::new();
        let source = issuer.source().start().await.unwrap();
        let now = || Paused(issuer.0.2).now();
        let first = source.identity(now()).unwrap();
        sleep(169).await;
        assert_eq!(issuer.calls(), 1);
        sleep(33).await;
        assert_eq!(issuer.calls(), 2);
        let second = source.identity(now()).unwrap();
        assert!(second.expires() > first.expires());
        assert_ne!(second.wit().expose(), first.wit().expose());
    }

    /// F-03: the old identity is returned until it expires, then an error; requests are limited; it
    /// recovers.
    #[tokio::test(start_paused = true)]
    async fn it_outlives_a_failing_issuer() {
        let issuer = Issuer::new();
        let source = issuer.source().start().await.unwrap();
        let now = || Paused(issuer.0.2).now();
        issuer.be(Mood::Failing);
        sleep(299).await;
        assert_eq!(code(source.identity(now())), "ok");
        sleep(1).await;
        assert_eq!(code(source.identity(now())), "source.expired");
        let calls = issuer.calls();
        assert!((6..=14).contains(&calls), "{calls} calls");
        sleep(3_600).await;
        let later = issuer.calls() - calls;
        assert!((50..=130).contains(&later), "{later} calls in an hour");
        issuer.be(Mood::Good);
        sleep(61).await;
        assert_eq!(code(source.identity(now())), "ok");
    }

    /// F-03: a call that hangs times out, at the start and later.
    #[tokio::test(start_paused = true)]
    async fn a_silent_issuer_is_not_waited_for() {
        let issuer = Issuer::new();
        issuer.be(Mood::Silent);
        assert_eq!(
            issuer.source().start().await.unwrap_err().code(),
            "source.unavailable"
        );
        issuer.be(Mood::Good);
        let source = issuer
            .source()
            .with_timeout(Duration::from_secs(5))
            .start()
            .await
            .unwrap();
        issuer.be(Mood::Silent);
        sleep(215).await;
        issuer.be(Mood::Good);
        sleep(60).await;
        assert!(source.identity(at(NOW)).unwrap().expires() > at(NOW + 400));
    }

    /// F-03: the issuer is not asked again after the source is dropped.
    #[tokio::test(start_paused = true)]
    async fn dropping_it_ends_the_task() {
        let issuer = Issuer::new();
        drop(issuer.source().start().await.unwrap());
        sleep(3_600).await;
        assert_eq!(issuer.calls(), 1);
    }
}
