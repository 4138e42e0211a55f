use aims_jose::Algorithm;
use aims_jose::key::SigningKey;
use aims_jose::provider::AWS_LC;
use aims_jose::secret::SecretText;

use super::*;

fn at(seconds: u64) -> UnixTime {
    UnixTime::since_unix_epoch(Duration::from_secs(seconds))
}

fn id(name: &str) -> WorkloadId {
    format!("spiffe://example.org/{name}").parse().unwrap()
}

fn token(name: &str) -> SecretText {
    SecretText::new(format!("{name}-0123456789012345678901"))
}

fn bootstrap(name: &str) -> BootstrapKind {
    BootstrapKind::of_token(token(name).expose())
}

fn enrolment(name: &str) -> Enrolment {
    Enrolment::by_token(id(name), &token(name))
        .unwrap()
        .with_lifetime(Duration::from_secs(100))
}

fn key() -> Thumbprint {
    *SigningKey::generate(Algorithm::Es256, AWS_LC)
        .unwrap()
        .verifying_key()
        .thumbprint()
}

fn ledger(limits: Limits, names: &[&str]) -> Ledger {
    let ledger = Ledger::new(limits);
    for name in names {
        ledger.declare(enrolment(name).reusable(), at(0)).unwrap();
    }
    ledger
}

fn enrol(ledger: &Ledger, name: &str, key: Thumbprint, now: u64) -> Result<Grant, &'static str> {
    ledger
        .enrol(&bootstrap(name), key, at(now))
        .map_err(|error| error.code())
}

/// An identifier has one holder: while its enrolment exists, and while a credential of the former
/// holder is valid.
#[test]
fn one_identifier_has_one_holder() {
    let ledger = ledger(Limits::default(), &["a"]);
    enrol(&ledger, "a", key(), 1_000).unwrap();
    let other = || Enrolment::by_token(id("a"), &token("other")).unwrap();
    let declare = |now| {
        ledger
            .declare(other(), at(now))
            .map_err(|error| error.code())
    };
    assert_eq!(declare(1_000), Err("authority.identifier_held"));
    assert!(ledger.withdraw(&id("a"), at(1_010)).is_some());
    assert!(ledger.withdraw(&id("a"), at(1_010)).is_none());
    assert!(ledger.is_withdrawn(&id("a")));
    // 1,100 is the expiry, 60 s the maximum skew of a verifier.
    assert_eq!(declare(1_159), Err("authority.identifier_held"));
    assert_eq!(declare(1_160), Ok(()));
    assert!(!ledger.is_withdrawn(&id("a")));
}

#[test]
fn a_withdrawn_identity_is_neither_issued_nor_renewed() {
    let ledger = ledger(Limits::default(), &["a"]);
    enrol(&ledger, "a", key(), 1_000).unwrap();
    ledger.withdraw(&id("a"), at(1_000));
    assert_eq!(
        enrol(&ledger, "a", key(), 1_001).unwrap_err(),
        "identity.enrolment"
    );
    assert_eq!(
        ledger
            .renew(&id("a"), &key(), key(), false, at(1_001))
            .unwrap_err()
            .code(),
        "identity.withdrawn"
    );
    assert_eq!(
        ledger.check_enrolled(&id("a")).unwrap_err().code(),
        "identity.withdrawn"
    );
}

/// A key belongs to one identifier until its last credential has expired.
#[test]
fn one_key_has_one_identifier() {
    let ledger = ledger(Limits::default(), &["a", "b"]);
    let key = key();
    enrol(&ledger, "a", key, 1_000).unwrap();
    assert_eq!(
        enrol(&ledger, "b", key, 1_001).unwrap_err(),
        "identity.key_taken"
    );
    assert_eq!(
        ledger
            .renew(&id("b"), &self::key(), key, false, at(1_159))
            .unwrap_err()
            .code(),
        "identity.key_taken"
    );
    enrol(&ledger, "a", key, 1_001).unwrap();
    assert_eq!(
        enrol(&ledger, "b", key, 1_160).unwrap_err(),
        "identity.key_taken"
    );
    enrol(&ledger, "b", key, 1_161).unwrap();
}

/// Of 32 threads with their own keys, one succeeds.
#[test]
fn a_single_use_token_works_once_under_32_threads() {
    for _ in 0..50 {
        let ledger = Ledger::new(Limits::default());
        ledger.declare(enrolment("a"), at(0)).unwrap();
        let keys: Vec<_> = (0..32).map(|_| key()).collect();
        let passed = std::thread::scope(|scope| {
            let ledger = &ledger;
            let threads: Vec<_> = keys
                .into_iter()
                .map(|key| scope.spawn(move || enrol(ledger, "a", key, 10)))
                .collect();
            threads
                .into_iter()
                .map(|thread| thread.join().unwrap())
                .filter(Result::is_ok)
                .count()
        });
        assert_eq!(passed, 1);
        assert_eq!(
            enrol(&ledger, "a", key(), 11).unwrap_err(),
            "identity.enrolment_used"
        );
    }
}

#[test]
fn an_enrolment_ends() {
    let ledger = Ledger::new(Limits::default());
    ledger
        .declare(enrolment("a").reusable().expiring(at(500)), at(0))
        .unwrap();
    enrol(&ledger, "a", key(), 499).unwrap();
    assert_eq!(
        enrol(&ledger, "a", key(), 500).unwrap_err(),
        "identity.enrolment_expired"
    );
    ledger
        .renew(&id("a"), &key(), key(), false, at(600))
        .unwrap();
}

#[test]
fn a_token_serves_one_enrolment() {
    let ledger = ledger(Limits::default(), &["a"]);
    let twice = Enrolment::by_token(id("b"), &token("a")).unwrap();
    assert_eq!(
        ledger.declare(twice, at(0)).unwrap_err().code(),
        "authority.enrolment_secret"
    );
}

#[test]
fn recognising_books_nothing() {
    let ledger = Ledger::new(Limits::default());
    ledger.declare(enrolment("a"), at(0)).unwrap();
    for _ in 0..2 {
        assert_eq!(ledger.recognise(&bootstrap("a"), at(1)).unwrap(), id("a"));
    }
    assert_eq!(
        ledger.recognise(&bootstrap("b"), at(1)).unwrap_err().code(),
        "identity.enrolment"
    );
    enrol(&ledger, "a", key(), 1).unwrap();
}

#[test]
fn undoing_gives_token_and_key_back() {
    let ledger = Ledger::new(Limits::default());
    ledger.declare(enrolment("a"), at(0)).unwrap();
    ledger.declare(enrolment("b"), at(0)).unwrap();
    let (one, other) = (key(), key());
    let grant = enrol(&ledger, "a", one, 1).unwrap();
    ledger.undo(&grant);
    enrol(&ledger, "b", one, 1).unwrap();
    enrol(&ledger, "a", other, 1).unwrap();
}

#[test]
fn undoing_a_renewal_leaves_the_first_credential() {
    let ledger = ledger(Limits::default(), &["a", "b"]);
    let key = key();
    enrol(&ledger, "a", key, 1_000).unwrap();
    let grant = ledger
        .renew(&id("a"), &self::key(), key, false, at(1_050))
        .unwrap();
    ledger.undo(&grant);
    assert_eq!(
        enrol(&ledger, "b", key, 1_159).unwrap_err(),
        "identity.key_taken"
    );
    enrol(&ledger, "b", key, 1_160).unwrap();
}

/// Every table has a limit, one enrolment cannot fill it, and expiry frees it.
#[test]
fn the_books_are_bounded() {
    let limits = Limits {
        enrolments: 3,
        credentials: 4,
        credentials_per_enrolment: 2,
        ..Limits::default()
    };
    let ledger = ledger(limits, &["a", "b", "c"]);
    assert_eq!(
        ledger.declare(enrolment("d"), at(0)).unwrap_err().code(),
        "authority.enrolments_full"
    );
    for name in ["a", "a", "b", "b"] {
        enrol(&ledger, name, key(), 1_000).unwrap();
    }
    assert_eq!(
        enrol(&ledger, "c", key(), 1_001).unwrap_err(),
        "identity.credentials_full"
    );
    enrol(&ledger, "c", key(), 1_160).unwrap();
    for name in ["a", "a"] {
        enrol(&ledger, name, key(), 1_160).unwrap();
    }
    assert_eq!(
        enrol(&ledger, "a", key(), 1_160).unwrap_err(),
        "identity.credentials_full"
    );
    enrol(&ledger, "b", key(), 1_160).unwrap();
}

/// A key that renews for two keys is noted, or refused if the operator wants so. Repeating one
/// renewal, or renewing for the same key, is neither.
#[test]
fn a_second_renewal_for_another_key_is_noticed() {
    let ledger = ledger(Limits::default(), &["a"]);
    let (first, second, third) = (key(), key(), key());
    enrol(&ledger, "a", first, 1_000).unwrap();
    let renew = |current, new, strict| ledger.renew(&id("a"), &current, new, strict, at(1_001));
    assert_eq!(renew(first, first, true).unwrap().renewed_for, None);
    assert_eq!(renew(first, second, true).unwrap().renewed_for, None);
    assert_eq!(renew(first, second, true).unwrap().renewed_for, None);
    let noticed = renew(first, third, false).unwrap();
    assert_eq!(noticed.renewed_for, Some(second));
    let refused = renew(first, third, true).unwrap_err();
    assert_eq!(refused.code(), "identity.renewed_twice");
    assert_eq!(refused.wire(), (403, "identity.refused"));
    assert_eq!(renew(second, third, true).unwrap().renewed_for, None);
}

/// A thief of a key who renews as often as it can does not keep the owner from renewing.
#[test]
fn many_renewals_lock_no_owner_out() {
    let limits = Limits {
        credentials_per_enrolment: 4,
        ..Limits::default()
    };
    let ledger = ledger(limits, &["a"]);
    let owner = key();
    enrol(&ledger, "a", owner, 1_000).unwrap();
    for _ in 0..20 {
        let renewed = ledger.renew(&id("a"), &owner, key(), false, at(1_001));
        renewed.unwrap();
    }
    let new = key();
    ledger
        .renew(&id("a"), &owner, new, false, at(1_002))
        .unwrap();
    ledger
        .renew(&id("a"), &new, key(), false, at(1_003))
        .unwrap();
}

#[test]
fn lifetimes_are_bounded() {
    let ledger = Ledger::new(Limits::default());
    for seconds in [0, 24 * 3_600 + 1, u64::MAX] {
        let enrolment = enrolment("a").with_lifetime(Duration::from_secs(seconds));
        assert_eq!(
            ledger.declare(enrolment, at(0)).unwrap_err().code(),
            "authority.lifetime"
        );
    }
}

/// No time makes the arithmetic panic.
#[test]
fn no_time_makes_the_books_panic() {
    let ledger = ledger(Limits::default(), &["a"]);
    for now in [0, 1, u64::MAX, 1 << 63, 5] {
        let _ = enrol(&ledger, "a", key(), now);
        ledger.withdraw(&id("b"), at(now));
    }
}
