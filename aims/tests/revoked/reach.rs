//! The credentials that a revocation reaches.

use std::time::Duration;

use aims::cred::{Wit, WitRules};
use aims::jose::digest::Hashed;
use aims::jose::time::{Clock, UnixTime};
use aims::oauth_rs::{AccessToken, AccessTokenRules, IssuerRules};
use aims::oauth_wire::confirmation::CertificateThumbprint;
use aims::oauth_wire::introspection::Introspection;
use aims::revoked::{Credential, RevocationList, Revoked as _, RevokedBy};
use serde_json::json;

use super::scene::{AGENT, Scene};
use crate::common::{ISSUER, NOW, TOOL, Then, World, at};
use crate::twin::twin;

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
