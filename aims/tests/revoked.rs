//! The list of revocations, as a guard uses it (T-142).

#![cfg(feature = "tool")]
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod common;
#[path = "../../jose/tests/twin/mod.rs"]
mod twin;

use std::sync::Arc;
use std::time::Duration;

use aims::Guard;
use aims::cred::{Wit, WitIssuer, WitRules};
use aims::jose::digest::Hashed;
use aims::jose::time::{Clock, UnixTime};
use aims::oauth_rs::{AccessToken, AccessTokenRules, IssuerRules};
use aims::oauth_wire::confirmation::CertificateThumbprint;
use aims::oauth_wire::introspection::Introspection;
use aims::revoked::{Credential, RevocationList, Revoked as _, RevokedBy};
use common::{Agent, ISSUER, NOW, TOOL, Then, World, at, told};
use serde_json::json;
use twin::twin;

const AGENT: &str = "spiffe://example.org/agent";

struct Scene {
    world: World,
    me: Agent,
    list: Arc<RevocationList>,
    guard: Guard,
}

impl Scene {
    fn new(capacity: usize) -> Self {
        let world = World::new();
        let list = Arc::new(RevocationList::new(capacity).with_clock(Then));
        let guard = world.guard().issuers(Arc::clone(&world.issuers));
        let guard = guard.revoked(Arc::clone(&list)).build().unwrap();
        let me = world.agent(AGENT);
        Self {
            world,
            me,
            list,
            guard,
        }
    }

    fn token(&self) -> String {
        self.world.token(&World::claims(&self.me))
    }

    fn verified(&self, token: &str) -> AccessToken {
        let issuers = self.world.issuers.snapshot();
        AccessToken::verify(token, &issuers, &AccessTokenRules::new(TOOL), at(NOW)).unwrap()
    }

    /// Returns the guard's code for a token that it may have cached.
    fn code(&self, token: &str) -> &'static str {
        told(self.guard.check(&self.me.call_with(token), at(NOW))).0
    }
}

/// T-029, T-142: a revocation applies to cached and new tokens, with any encoding of the signature.
#[test]
fn a_revocation_holds_for_every_spelling() {
    let scene = Scene::new(10);
    let token = scene.token();
    let again = twin(&token);
    assert_ne!(token, again);
    let mut claims = World::claims(&scene.me);
    claims["jti"] = "t2".into();
    let other = scene.world.token(&claims);
    assert_eq!(scene.code(&token), "ok");
    assert_eq!(scene.code(&again), "ok");
    let revoked = RevokedBy::access_token(&scene.verified(&token));
    scene.list.revoke(revoked, at(NOW));
    for text in [&token, &again, &token] {
        assert_eq!(scene.code(text), "token.revoked");
    }
    assert_eq!(scene.code(&other), "ok");
    let trust = scene.world.trust.snapshot();
    let wit = Wit::verify(scene.me.wit.expose(), &trust, &WitRules::wit(), at(NOW)).unwrap();
    scene.list.revoke(RevokedBy::wit(&wit), at(NOW));
    assert_eq!(scene.code(&other), "wit.revoked");
}

/// An issuer may report a token without `exp` as active at any later time, so its revocation never
/// ends.
#[test]
fn an_introspected_token_without_an_end_stays_revoked() {
    /// A time long after every token and every answer of the test has expired.
    struct Later;
    impl Clock for Later {
        fn now(&self) -> UnixTime {
            at(NOW + 1_000_000)
        }
    }
    let scene = Scene::new(10);
    let introspected = |text: &str, exp: Option<u64>| {
        let mut body = serde_json::json!({
            "active": true, "client_id": "agent", "aud": TOOL, "iat": NOW - 10
        });
        if let Some(exp) = exp {
            body["exp"] = exp.into();
        }
        let response = http::Response::new(body.to_string().into_bytes());
        let token = AccessToken::introspected(
            &Hashed::of(text),
            &Introspection::parse(&response).unwrap(),
            &ISSUER.parse().unwrap(),
            &scene.world.issuers.snapshot(),
            &AccessTokenRules::new(TOOL),
            Duration::from_secs(60),
            at(NOW),
        );
        token.unwrap()
    };
    let ending = introspected("ending", Some(NOW + 300));
    let endless = introspected("endless", None);
    let list = RevocationList::new(2).with_clock(Later);
    list.revoke(RevokedBy::access_token(&ending), at(NOW));
    list.revoke(RevokedBy::access_token(&endless), at(NOW));
    let is_revoked = |token: &AccessToken| {
        let later = at(NOW + 1_000_000);
        list.is_revoked(Credential::AccessToken(token), later)
    };
    assert!(is_revoked(&ending) && is_revoked(&endless));
    // The full list makes room: expired entries are removed, those without an end stay.
    list.revoke(RevokedBy::Issuer("https://x.example".into()), at(NOW));
    assert_eq!(list.len(), 2);
    assert!(!is_revoked(&ending) && is_revoked(&endless));
}

/// T-142: a credential that was never seen before is refused as well; others are unaffected.
#[test]
fn a_revocation_may_come_first() {
    let scene = Scene::new(10);
    let token = scene.token();
    let (signed, _) = token.rsplit_once('.').unwrap();
    let hash = aims::jose::digest::sha256(signed.as_bytes());
    let expires = at(NOW + 300);
    let by = RevokedBy::SignedHash { hash, expires };
    scene.list.revoke(by, at(NOW));
    assert_eq!(scene.code(&token), "token.revoked");
    let mut claims = World::claims(&scene.me);
    claims["jti"] = "t2".into();
    assert_eq!(scene.code(&scene.world.token(&claims)), "ok");
}

/// Discovery may find that an issuer writes the root slash: both spellings are one server.
#[test]
fn an_issuer_is_revoked_in_either_spelling() {
    for by_slash in [true, false] {
        let issuer = if by_slash {
            format!("{ISSUER}/")
        } else {
            ISSUER.to_owned()
        };
        for by in [
            RevokedBy::Issuer(issuer.clone()),
            RevokedBy::Subject {
                issuer: issuer.clone(),
                subject: AGENT.to_owned(),
            },
            RevokedBy::Client {
                issuer: issuer.clone(),
                client: AGENT.to_owned(),
            },
        ] {
            let scene = Scene::new(10);
            scene.list.revoke(by.clone(), at(NOW));
            assert_eq!(scene.code(&scene.token()), "token.revoked", "{by:?}");
        }
    }
    // A URL with a path is another server.
    let scene = Scene::new(10);
    scene
        .list
        .revoke(RevokedBy::Issuer(format!("{ISSUER}/a/")), at(NOW));
    assert_eq!(scene.code(&scene.token()), "ok");
}

/// Credentials that were issued up to that time are refused, later ones are not, and times only
/// increase.
#[test]
fn what_was_issued_before_is_refused() {
    let (issuer, agent) = (ISSUER.to_owned(), AGENT.to_owned());
    let kinds = [
        (RevokedBy::Agent(AGENT.parse().unwrap()), "wit.revoked"),
        (
            RevokedBy::Subject {
                issuer: issuer.clone(),
                subject: agent.clone(),
            },
            "token.revoked",
        ),
        (
            RevokedBy::Client {
                issuer: issuer.clone(),
                client: agent,
            },
            "token.revoked",
        ),
        (RevokedBy::Issuer(issuer), "token.revoked"),
    ];
    for (by, code) in kinds {
        let scene = Scene::new(10);
        let token = scene.token();
        scene.list.revoke(by.clone(), at(NOW - 1));
        assert_eq!(scene.code(&token), "ok", "{by:?}: issued a second later");
        scene.list.revoke(by.clone(), at(NOW));
        assert_eq!(scene.code(&token), code, "{by:?}");
        scene.list.revoke(by.clone(), at(NOW - 1));
        assert_eq!(scene.code(&token), code, "{by:?}: it only rises");
        assert_eq!(scene.list.len(), 1);
    }
    let scene = Scene::new(10);
    for by in [
        RevokedBy::Agent("spiffe://example.org/other".parse().unwrap()),
        RevokedBy::Issuer("https://other.example".to_owned()),
        RevokedBy::Subject {
            issuer: "https://other.example".to_owned(),
            subject: AGENT.to_owned(),
        },
    ] {
        scene.list.revoke(by, at(NOW + 9));
    }
    assert_eq!(scene.code(&scene.token()), "ok");
}

/// A revoked agent, subject or client is refused in each claim that names it.
#[test]
fn a_revoked_party_is_refused_wherever_a_token_names_it() {
    const OTHER: &str = "https://other.example";
    let scene = Scene::new(10);
    let rules = IssuerRules::new().client_is("app-1", AGENT.parse().unwrap());
    let rules = [(ISSUER.parse().unwrap(), rules)];
    scene.world.issuers.add_rules(&rules).unwrap();
    let agent = || RevokedBy::Agent(AGENT.parse().unwrap());
    let subject = |issuer: &str, subject: &str| RevokedBy::Subject {
        issuer: issuer.to_owned(),
        subject: subject.to_owned(),
    };
    let acting = RevokedBy::Client {
        issuer: ISSUER.to_owned(),
        client: "desk".to_owned(),
    };
    let desk = || json!({"act": {"sub": "desk", "act": {"sub": "bot", "iss": OTHER}}});
    for (changes, by, expected) in [
        (json!({"client_id": AGENT}), agent(), true),
        (json!({"client_id": "app-1"}), agent(), true),
        (json!({"sub": AGENT}), agent(), true),
        (json!({"act": {"sub": AGENT}}), agent(), true),
        (
            json!({"act": {"sub": "desk", "act": {"sub": AGENT}}}),
            agent(),
            true,
        ),
        (json!({}), agent(), false),
        (desk(), subject(ISSUER, "desk"), true),
        (desk(), acting, true),
        (desk(), subject(OTHER, "bot"), true),
        (desk(), subject(ISSUER, "bot"), false),
        (desk(), subject(OTHER, "desk"), false),
    ] {
        let mut claims = World::claims(&scene.me);
        claims["sub"] = "alice".into();
        claims["client_id"] = "web".into();
        for (name, value) in changes.as_object().unwrap() {
            claims[name] = value.clone();
        }
        let token = scene.verified(&scene.world.token(&claims));
        let list = RevocationList::new(10).with_clock(Then);
        list.revoke(by.clone(), at(NOW));
        let found = list.is_revoked(Credential::AccessToken(&token), at(NOW));
        assert_eq!(found, expected, "{changes} {by:?}");
    }
}

/// ENF-01: a token that does not say when it was issued counts as issued before every revocation.
#[test]
fn a_token_without_an_issue_time_is_older_than_each_revocation() {
    let scene = Scene::new(10);
    let introspected = |iat: Option<u64>| {
        let mut body = json!({"active": true, "client_id": "web", "sub": "alice", "aud": TOOL});
        if let Some(iat) = iat {
            body["iat"] = iat.into();
        }
        let response = http::Response::new(body.to_string().into_bytes());
        let token = AccessToken::introspected(
            &Hashed::of("opaque"),
            &Introspection::parse(&response).unwrap(),
            &ISSUER.parse().unwrap(),
            &scene.world.issuers.snapshot(),
            &AccessTokenRules::new(TOOL),
            Duration::from_secs(60),
            at(NOW),
        );
        token.unwrap()
    };
    scene.list.revoke(
        RevokedBy::Subject {
            issuer: ISSUER.to_owned(),
            subject: "alice".to_owned(),
        },
        at(NOW - 1_000),
    );
    for (iat, expected) in [
        (None, true),
        (Some(NOW - 1_000), true),
        (Some(NOW - 999), false),
    ] {
        let token = introspected(iat);
        let credential = Credential::AccessToken(&token);
        let found = scene.list.is_revoked(credential, at(NOW));
        assert_eq!(found, expected, "{iat:?}");
    }
}

/// A session, a token, a key and a certificate are revoked, each for what was issued until then.
/// The same name at another issuer is another one.
#[test]
fn sessions_tokens_keys_and_certificates_are_revoked() {
    let scene = Scene::new(10);
    let key = scene.me.key.public_jwk().thumbprint();
    let certificate = CertificateThumbprint::of_der(b"a certificate");
    let mut claims = World::claims(&scene.me);
    claims["sid"] = "s1".into();
    let bound = |member: &str, value: serde_json::Value| {
        let mut claims = claims.clone();
        claims["cnf"] = serde_json::json!({member: value});
        scene.verified(&scene.world.token(&claims))
    };
    let token = scene.verified(&scene.world.token(&claims));
    assert_eq!(token.session_id(), Some("s1"));
    let session = |issuer: &str| RevokedBy::Session {
        issuer: issuer.to_owned(),
        session: "s1".to_owned(),
    };
    let token_id = |issuer: &str| RevokedBy::TokenId {
        issuer: issuer.to_owned(),
        token_id: "t1".to_owned(),
    };
    let of_dpop = bound("jkt", key.to_string().into());
    let of_mtls = bound("x5t#S256", certificate.to_string().into());
    for (by, revoked, other) in [
        (session(ISSUER), &token, session("https://other.example")),
        (token_id(ISSUER), &token, token_id("https://other.example")),
        (
            RevokedBy::Key(key),
            &token,
            RevokedBy::Certificate(certificate),
        ),
        (
            RevokedBy::Key(key),
            &of_dpop,
            RevokedBy::Certificate(certificate),
        ),
        (
            RevokedBy::Certificate(certificate),
            &of_mtls,
            RevokedBy::Key(key),
        ),
    ] {
        let list = RevocationList::new(10).with_clock(Then);
        let is_revoked = || list.is_revoked(Credential::AccessToken(revoked), at(NOW));
        list.revoke(other.clone(), at(NOW));
        assert!(!is_revoked(), "{other:?}");
        list.revoke(by.clone(), at(NOW - 1));
        assert!(!is_revoked(), "{by:?}: issued a second later");
        list.revoke(by.clone(), at(NOW));
        assert!(is_revoked(), "{by:?}");
    }
    // The WIT of a stolen key goes with it.
    scene.list.revoke(RevokedBy::Key(key), at(NOW));
    assert_eq!(scene.code(&scene.token()), "wit.revoked");
}

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

/// T-142: an `iat` in the future, which a WIT-SVID may have, does not evade a revocation.
#[test]
fn an_iat_in_the_future_escapes_nothing() {
    let agent = RevokedBy::Agent(AGENT.parse().unwrap());
    // The second entry fills the list, so everything that was issued until then is revoked.
    for before in [None, Some(RevokedBy::Issuer(ISSUER.to_owned()))] {
        let world = World::new();
        let list = Arc::new(RevocationList::new(1).with_clock(Then));
        let guard = world.guard().wit_rules(WitRules::wit_svid());
        let guard = guard.revoked(Arc::clone(&list)).build().unwrap();
        let mut me = world.agent(AGENT);
        let issuer = WitIssuer::new(Arc::new(world.ca.clone()), None);
        let lifetime = Duration::from_secs(3_600);
        let of = |moment| issuer.issue(&me.id, me.key.public_jwk(), lifetime, at(moment));
        let (ahead, now) = (of(NOW + 1_000).unwrap(), of(NOW).unwrap());
        me.wit = ahead;
        assert_eq!(told(guard.check(&me.call(), at(NOW))).0, "ok");
        if let Some(before) = before {
            list.revoke(before, at(NOW - 1));
        }
        list.revoke(agent.clone(), at(NOW - 1));
        assert_eq!(told(guard.check(&me.call(), at(NOW))).0, "wit.revoked");
        me.wit = now;
        assert_eq!(told(guard.check(&me.call(), at(NOW))).0, "ok");
    }
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

/// ENF-02: a token that was renewed in an old session is as old as the session.
#[test]
fn a_renewed_token_is_as_old_as_its_session() {
    let scene = Scene::new(10);
    let subject = RevokedBy::Subject {
        issuer: ISSUER.to_owned(),
        subject: AGENT.to_owned(),
    };
    scene.list.revoke(subject, at(NOW - 50));
    let mut claims = World::claims(&scene.me);
    assert_eq!(scene.code(&scene.world.token(&claims)), "ok");
    for (login, code) in [
        (NOW - 49, "ok"),
        (NOW - 50, "token.revoked"),
        (0, "token.revoked"),
    ] {
        claims["auth_time"] = login.into();
        assert_eq!(scene.code(&scene.world.token(&claims)), code, "{login}");
    }
    // A login in the future does not make the token newer.
    claims["iat"] = (NOW - 60).into();
    claims["auth_time"] = (NOW + 10).into();
    assert_eq!(scene.code(&scene.world.token(&claims)), "token.revoked");
}
