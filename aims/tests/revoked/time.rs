//! The times of revocations and credentials.

use std::sync::Arc;
use std::time::Duration;

use aims::cred::{WitIssuer, WitRules};
use aims::jose::digest::Hashed;
use aims::oauth_rs::{AccessToken, AccessTokenRules};
use aims::oauth_wire::introspection::Introspection;
use aims::revoked::{Credential, RevocationList, Revoked as _, RevokedBy};
use serde_json::json;

use super::scene::{AGENT, Scene};
use crate::common::{ISSUER, NOW, TOOL, Then, World, at, told};

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
