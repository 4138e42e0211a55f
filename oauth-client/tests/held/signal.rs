//! A signal of the server that revokes tokens.

use std::sync::{Arc, Mutex};

use super::world::{Meanwhile, REVOCATION, Then, memory, script, source, target, text, text_for};
use crate::common::suite::{Code, TOOL};
use crate::common::{LATEST, Paused, Script, client, code, json_answer, server_with, sleep};
use aims_jose::base64url;
use aims_oauth_client::{
    ClientCredentials, Grant, Impersonation, JwtBearer, RevocationSignal, SubjectToken, Target,
    TokenSource,
};
use aims_oauth_wire::token::Form;
use serde_json::{Value, json};
use tokio::time::Instant;

fn id_token(sub: &str, sid: Option<&str>) -> String {
    let claims = json!({"iss": "https://as.example", "sub": sub, "aud": "agent", "sid": sid});
    let part = |value: &Value| base64url::encode(value.to_string().as_bytes());
    [part(&json!({"alg": "ES256"})), part(&claims), "c2ln".into()].join(".")
}

/// A server whose logins are of these users and sessions. A renewal has no ID token.
fn naming(users: &'static [(Option<&'static str>, Option<&'static str>)]) -> Script {
    let logins = Mutex::new(0);
    Script::new(move |request, number| {
        let mut body = json!({"access_token": format!("access{number}"), "token_type": "Bearer",
            "expires_in": 300, "refresh_token": format!("refresh{number}")});
        let form = Form::parse(request.body()).unwrap();
        if form.get("refresh_token").is_none() {
            let mut logins = logins.lock().unwrap();
            let (sub, sid) = users[*logins];
            *logins += 1;
            body["id_token"] = json!(sub.map(|sub| id_token(sub, sid)));
        }
        body.as_object_mut()
            .unwrap()
            .retain(|_, value| !value.is_null());
        json_answer(200, &body)
    })
}

/// A revocation signal drops the tokens of its subject and session, and others stay. Tokens whose
/// subject or session is unknown count as those of the signal, unless the program names the user.
#[tokio::test(start_paused = true)]
async fn a_signal_drops_what_it_is_about() {
    const USERS: &[(Option<&str>, Option<&str>)] = &[
        (Some("u1"), Some("s1")),
        (Some("u1"), Some("s2")),
        (Some("u2"), Some("s3")),
        (Some("u3"), None),
        (None, None),
        (None, None),
    ];
    let names = [Some("a"), Some("b"), Some("c"), Some("d"), Some("u1"), None];
    let of = || RevocationSignal::of_issuer("https://as.example".parse().unwrap());
    let other = RevocationSignal::of_issuer("https://other.example".parse().unwrap());
    for (signal, dropped) in [
        (of(), &[0, 1, 2, 3, 4, 5][..]),
        (of().subject("u1"), &[0, 1, 4, 5]),
        (of().subject("u2"), &[2, 5]),
        (of().subject("nobody"), &[5]),
        (of().session("s1"), &[0, 3, 4, 5]),
        (of().subject("u1").session("s2"), &[1, 4, 5]),
        (of().subject("u2").session("s1"), &[5]),
        (other.subject("u1"), &[]),
    ] {
        for (has_store, is_renewed) in [(true, false), (false, false), (true, true), (false, true)]
        {
            let (script, store, start) = (naming(USERS), memory(), Instant::now());
            let server = server_with(&json!({ "revocation_endpoint": REVOCATION }));
            let source =
                TokenSource::new(server, client(), script.clone()).with_clock(Paused(start));
            let source = if has_store {
                source.with_store(store)
            } else {
                source
            };
            let targets = names.map(|name| {
                let target = Target::new(TOOL.parse().unwrap(), "read".parse().unwrap());
                match name {
                    Some(name) => target.with_subject(name),
                    None => target,
                }
            });
            for target in &targets {
                source.redeem(Code(target.clone())).await.unwrap();
            }
            if is_renewed {
                sleep(300).await;
                for target in &targets {
                    text_for(&source, target.clone()).await.unwrap();
                }
            }
            assert_eq!(source.drop_revoked(&signal).await.unwrap(), dropped.len());
            let asked = script.requests().len();
            for (number, target) in targets.iter().enumerate() {
                let expected = if dropped.contains(&number) {
                    "grant.needs_user"
                } else {
                    "ok"
                };
                let found = text_for(&source, target.clone()).await;
                assert_eq!(
                    code(found),
                    expected,
                    "{signal:?} {number} {has_store} {is_renewed}"
                );
            }
            // Nothing was asked of the server, also no revocation.
            assert_eq!(script.requests().len(), asked);
        }
    }
}

/// A grant counts once, whether it is in memory, in the store, or in both.
#[tokio::test(start_paused = true)]
async fn each_dropped_grant_counts_once() {
    const USERS: &[(Option<&str>, Option<&str>)] =
        &[(Some("u1"), None), (Some("u2"), None), (Some("u3"), None)];
    let (script, store, start) = (naming(USERS), memory(), Instant::now());
    let (own, other) = (
        source(script.clone(), &store, start),
        source(script, &store, start),
    );
    let of = |name: &str| target().with_subject(name);
    own.redeem(Code(of("u1"))).await.unwrap();
    other.redeem(Code(of("u2"))).await.unwrap();
    let all = || RevocationSignal::of_issuer("https://as.example".parse().unwrap());
    // The first is in the memory of `own` alone now, and the second in the store alone for it.
    let signal = all().subject("u1");
    assert_eq!(other.drop_revoked(&signal).await.unwrap(), 1);
    assert_eq!(own.drop_revoked(&all()).await.unwrap(), 2);
    assert_eq!(own.drop_revoked(&all()).await.unwrap(), 0);
    // In both, it is one.
    own.redeem(Code(of("u3"))).await.unwrap();
    assert_eq!(own.drop_revoked(&all()).await.unwrap(), 1);
}

/// Tokens of the client itself have no user: only a signal about the whole issuer drops them.
#[tokio::test(start_paused = true)]
async fn a_signal_about_a_user_keeps_tokens_of_the_client() {
    let (script, store, start) = (script(), memory(), Instant::now());
    let source = source(script.clone(), &store, start);
    let own = ClientCredentials::new(TOOL.parse().unwrap());
    let first = source.token(own.clone()).await.unwrap().fingerprint();
    let all = RevocationSignal::of_issuer(source.issuer().clone());
    for (signal, dropped) in [
        (all.clone().subject("agent"), 0),
        (all.clone().session("s"), 0),
        (all, 1),
    ] {
        assert_eq!(source.drop_revoked(&signal).await.unwrap(), dropped);
        let same = source.token(own.clone()).await.unwrap().fingerprint() == first;
        assert_eq!(same, dropped == 0);
    }
}

/// The subject of an exchanged token is unknown if the program does not name it: the fingerprint of
/// the subject token or of the assertion names no user.
#[tokio::test(start_paused = true)]
async fn a_signal_drops_tokens_of_an_unnamed_subject() {
    let tool = || Target::new(TOOL.parse().unwrap(), "read".parse().unwrap());
    let exchange = |target| Impersonation::new(SubjectToken::access_token("t"), target);
    let assertion = |target| JwtBearer::new(target, "a");
    let grants: [(Arc<dyn Grant>, usize); 6] = [
        (Arc::new(exchange(tool())), 1),
        (Arc::new(exchange(tool().with_subject("u1"))), 1),
        (Arc::new(exchange(tool().with_subject("u2"))), 0),
        (Arc::new(assertion(tool())), 1),
        (Arc::new(assertion(tool().with_subject("u1"))), 1),
        (Arc::new(assertion(tool().with_subject("u2"))), 0),
    ];
    for (grant, dropped) in grants {
        for has_store in [true, false] {
            let script = Script::new(|_, number| {
                let body = json!({"access_token": format!("access{number}"), "expires_in": 300,
                    "token_type": "Bearer", "scope": "read",
                    "issued_token_type": "urn:ietf:params:oauth:token-type:access_token"});
                json_answer(200, &body)
            });
            let (store, start) = (memory(), Instant::now());
            let held = TokenSource::new(server_with(&json!({})), client(), script.clone());
            let held = held.with_clock(Paused(start));
            let held = if has_store {
                held.with_store(Arc::clone(&store))
            } else {
                held
            };
            held.token(Arc::clone(&grant)).await.unwrap();
            // Another process, which has the store alone.
            let other = source(script.clone(), &store, start);
            let signal = RevocationSignal::of_issuer(held.issuer().clone()).subject("u1");
            let dropping = if has_store { &other } else { &held };
            assert_eq!(
                dropping.drop_revoked(&signal).await.unwrap(),
                dropped,
                "{grant:?}"
            );
        }
    }
}

/// A renewal that is running when the signal arrives is not used.
#[tokio::test(start_paused = true)]
async fn a_signal_during_a_renewal() {
    for has_store in [true, false] {
        let (script, store, start) = (script(), memory(), Instant::now());
        let server = Meanwhile(script.clone(), Arc::default());
        let metadata = server_with(&json!({ "revocation_endpoint": REVOCATION }));
        let renewing = TokenSource::new(metadata, client(), server.clone());
        let renewing = renewing.with_clock(Paused(start)).with_random(&LATEST);
        let renewing = Arc::new(if has_store {
            renewing.with_store(store)
        } else {
            renewing
        });
        renewing.redeem(Code(target())).await.unwrap();
        sleep(300).await;
        let own = Arc::clone(&renewing);
        let then: Then = Box::new(move || {
            Box::pin(async move {
                let signal = RevocationSignal::of_issuer(own.issuer().clone());
                own.drop_revoked(&signal).await.unwrap();
            })
        });
        *server.1.lock().unwrap() = Some(then);
        let ended = if has_store {
            "grant.needs_user"
        } else {
            "grant.interrupted"
        };
        assert_eq!(code(text(&renewing).await), ended);
        assert_eq!(code(text(&renewing).await), "grant.needs_user");
    }
}
