//! The list of revocations: its order, its bounds and its source.

use std::sync::Arc;

use aims::Guard;
use aims::jose::time::UnixTime;
use aims::revoked::{Credential, RevocationList, Revoked as _, RevokedBy};

use super::scene::{AGENT, Scene};
use crate::common::{ISSUER, NOW, Then, World, at, told};

/// ENF-04, ENF-05: the order in which revocations arrive changes nothing.
#[test]
fn revocations_arrive_in_any_order() {
    let scene = Scene::new(10);
    let token = scene.verified(&scene.token());
    let issuer = || ISSUER.to_owned();
    let subject = |subject: &str| RevokedBy::Subject {
        issuer: issuer(),
        subject: subject.to_owned(),
    };
    let all = [
        (subject(AGENT), NOW - 1),
        (subject(AGENT), NOW),
        (RevokedBy::Issuer(issuer()), NOW - 5),
        (subject("other"), NOW + 5),
    ];
    let orders = (0..4).flat_map(|a| (0..4).flat_map(move |b| (0..4).map(move |c| [a, b, c])));
    let mut seen = 0;
    for [a, b, c] in orders {
        if a == b || b == c || a == c {
            continue;
        }
        let order = [a, b, c, 6 - a - b - c];
        let list = RevocationList::new(10).with_clock(Then);
        for number in order {
            let (by, until) = all.get(number).unwrap();
            list.revoke(by.clone(), at(*until));
        }
        assert_eq!(list.len(), 3, "{order:?}");
        assert!(
            list.is_revoked(Credential::AccessToken(&token), at(NOW)),
            "{order:?}"
        );
        seen += 1;
    }
    assert_eq!(seen, 24);
}

/// T-038, T-142: expired entries make room. Without room, everything issued until now is refused.
#[test]
fn a_full_list_coarsens_and_forgets_nothing() {
    let scene = Scene::new(2);
    let token = scene.token();
    let revoke = |name: u8, expires, now| {
        let by = RevokedBy::SignedHash {
            hash: [name; 32],
            expires: at(expires),
        };
        scene.list.revoke(by, at(now));
    };
    revoke(1, NOW - 601, NOW - 700);
    revoke(2, NOW + 10, NOW - 700);
    assert_eq!(scene.list.len(), 2);
    revoke(3, NOW + 10, NOW);
    assert_eq!(scene.list.len(), 2, "the first has ended");
    assert_eq!(scene.code(&token), "ok");
    revoke(3, NOW + 20, NOW);
    assert_eq!(scene.code(&token), "ok", "it was known");
    revoke(4, NOW + 10, NOW);
    assert_eq!(scene.list.len(), 2);
    assert_eq!(scene.code(&token), "wit.revoked");
    let mut claims = World::claims(&scene.me);
    claims["iat"] = (NOW + 1).into();
    let later = scene.verified(&scene.world.token(&claims));
    let credential = Credential::AccessToken(&later);
    let revoked =
        |list: &RevocationList| aims::revoked::Revoked::is_revoked(list, credential, at(NOW));
    assert!(!revoked(&scene.list), "issued after the list was full");
}

/// T-038, T-142: a revocation up to a later time does not end the others.
#[test]
fn a_later_moment_forgets_nothing() {
    let scene = Scene::new(1);
    let token = scene.token();
    let verified = scene.verified(&token);
    scene
        .list
        .revoke(RevokedBy::access_token(&verified), at(NOW));
    assert_eq!(scene.code(&token), "token.revoked");
    let other = RevokedBy::Issuer("https://other.example".to_owned());
    scene.list.revoke(other, at(NOW + 100_000));
    let credential = Credential::AccessToken(&verified);
    assert!(aims::revoked::Revoked::is_revoked(
        &*scene.list,
        credential,
        at(NOW)
    ));
    assert_ne!(scene.code(&token), "ok");
}

/// ENF-05, ENF-06: the order in which revocations arrive changes nothing, also where the list is
/// full: the oldest entries are the ones that it covers.
#[test]
fn a_full_list_is_the_same_in_any_order() {
    let scene = Scene::new(10);
    let token_of = |subject: &str, iat: u64| {
        let mut claims = World::claims(&scene.me);
        claims["sub"] = subject.into();
        claims["iat"] = iat.into();
        scene.verified(&scene.world.token(&claims))
    };
    let subject = |subject: &str| RevokedBy::Subject {
        issuer: ISSUER.to_owned(),
        subject: subject.to_owned(),
    };
    let all = [
        (subject("a"), NOW - 9),
        (subject("b"), NOW - 7),
        (subject("a"), NOW - 5),
        (RevokedBy::Issuer("https://other.example".into()), NOW - 3),
        (subject("c"), NOW - 1),
    ];
    let tokens: Vec<_> = ["a", "b", "c", "d"]
        .iter()
        .flat_map(|name| (0..=10).map(|ago| token_of(name, NOW - ago)))
        .collect();
    let orders = permutations(5);
    assert_eq!(orders.len(), 120);
    let mut outcomes = Vec::new();
    for order in orders {
        let list = RevocationList::new(2).with_clock(Then);
        for number in order {
            let (by, until) = all[number].clone();
            list.revoke(by, at(until));
        }
        assert_eq!(list.len(), 2);
        let is_revoked = |token| list.is_revoked(Credential::AccessToken(token), at(NOW));
        outcomes.push(tokens.iter().map(is_revoked).collect::<Vec<_>>());
    }
    outcomes.dedup();
    let [outcome] = outcomes.as_slice() else {
        unreachable!("the order changes something")
    };
    // Four entries, of which the two oldest are covered: everything until `NOW - 5` is revoked.
    let revoked = |name: &str, ago: u64| match name {
        "c" => ago >= 1,
        _ => ago >= 5,
    };
    let names = ["a", "b", "c", "d"].iter();
    let expected = names.flat_map(|name| (0..=10).map(move |ago| revoked(name, ago)));
    assert_eq!(*outcome, expected.collect::<Vec<_>>());
}

/// Returns all orders of the numbers below `n`.
fn permutations(n: usize) -> Vec<Vec<usize>> {
    if n == 0 {
        return vec![Vec::new()];
    }
    let shorter = permutations(n - 1);
    let put = |order: &Vec<usize>, at: usize| {
        let mut order = order.clone();
        order.insert(at, n - 1);
        order
    };
    shorter
        .iter()
        .flat_map(|order| (0..n).map(move |at| put(order, at)))
        .collect()
}

/// A list of many revocations stays within its capacity, and covers what it drops.
#[test]
fn a_list_is_bounded_and_covers_what_it_drops() {
    let scene = Scene::new(10);
    let token = scene.verified(&scene.token());
    let list = RevocationList::new(100).with_clock(Then);
    for number in 0..2_000_u64 {
        let session = format!("s{}", number % 500);
        let issuer = "https://other.example".to_owned();
        list.revoke(
            RevokedBy::Session { issuer, session },
            at(NOW - 2_001 + number),
        );
        assert!(list.len() <= 100);
    }
    assert_eq!(list.len(), 100);
    let is_revoked = || list.is_revoked(Credential::AccessToken(&token), at(NOW));
    assert!(!is_revoked(), "issued after all of them");
    list.revoke(RevokedBy::Everything, at(NOW));
    assert!(is_revoked() && list.is_empty().eq(&false));
    assert_eq!(list.len(), 0, "everything is covered");
}

/// A source of revocations that is not current: the guard accepts no credential, and a revoked one
/// is revoked anyway.
#[test]
fn a_stale_source_refuses_every_credential() {
    #[derive(Debug)]
    struct Stale(RevocationList);
    impl aims::revoked::Revoked for Stale {
        fn is_revoked(&self, credential: Credential<'_>, now: UnixTime) -> bool {
            self.0.is_revoked(credential, now)
        }
        fn is_current(&self) -> bool {
            false
        }
    }
    let scene = Scene::new(10);
    let stale = |list| {
        let guard = scene.world.guard().revoked(Arc::new(Stale(list)));
        guard.build().unwrap()
    };
    let told = |guard: &Guard| told(guard.check(&scene.me.call(), at(NOW)));
    let guard = stale(RevocationList::new(1));
    let refused = told(&guard);
    assert_eq!((refused.0, refused.1), ("guard.revocations_stale", 503));
    let list = RevocationList::new(1);
    list.revoke(RevokedBy::Agent(AGENT.parse().unwrap()), at(NOW));
    assert_eq!(told(&stale(list)).0, "wit.revoked");
}
