//! Logins that are bound by DPoP, and kept in a store.

use std::sync::Arc;

use aims_jose::jws::Unverified;
use aims_jose::provider::AWS_LC;
use aims_oauth_client::{Connector, MemoryStore, TokenStore};
use aims_oauth_wire::token::Form;
use http::Request;
use serde_json::json;
use tokio::time::Instant;

use super::world::{User, answer, connected, connector, native};
use crate::common::{Paused, Script, json_answer, sleep};

/// A server that supports DPoP, gives refresh tokens, and accepts each with its key alone.
fn binding() -> Script {
    Script::new(|request, number| {
        let knows = json!({"dpop_signing_alg_values_supported": ["ES256"]});
        let form = Form::parse(request.body());
        let grant = form.as_ref().ok().and_then(|it| it.get("grant_type"));
        let (Some(grant), Some(key)) = (grant, key(request)) else {
            return answer(request, number, &knows, &knows);
        };
        let form = form.as_ref().unwrap();
        if grant == "refresh_token" && form.get("refresh_token") != Some(&key) {
            return json_answer(400, &json!({"error": "invalid_grant"}));
        }
        let body = json!({"access_token": format!("t{number}"), "token_type": "DPoP",
            "expires_in": 300, "refresh_token": key});
        json_answer(200, &body)
    })
}

/// Returns the thumbprint of the proof's key.
fn key(request: &Request<Vec<u8>>) -> Option<String> {
    let proof = request.headers().get("dpop")?.to_str().unwrap();
    let proof = Unverified::parse_with_embedded_key(proof, 4_096).unwrap();
    let key = proof.header().embedded_key().unwrap();
    Some(key.thumbprint().to_string())
}

fn keys(script: &Script) -> Vec<String> {
    script.requests().iter().filter_map(key).collect()
}

fn process(script: &Script, user: &User, store: &Arc<dyn TokenStore>) -> Connector {
    connector(native(), script, user)
        .with_dpop(AWS_LC)
        .with_store(Arc::clone(store))
}

/// A process that starts after others, with the same wall time.
fn later(script: &Script, user: &User, store: &Arc<dyn TokenStore>, start: Instant) -> Connector {
    process(script, user, store).with_clock(Paused(start))
}

/// DPOP-12: a kept login stays bound over restarts, and each process that shares the store renews
/// it with the same key.
#[tokio::test(start_paused = true)]
async fn a_bound_login_survives_a_restart() {
    let (script, user, start) = (binding(), User::default(), Instant::now());
    let store: Arc<dyn TokenStore> = Arc::new(MemoryStore::new());
    let first = connected(&process(&script, &user, &store)).await;
    assert!(first.is_bound());
    let token = first.token().await.unwrap();
    assert!(token.is_bound());
    let second = connected(&process(&script, &user, &store)).await;
    let again = second.token().await.unwrap();
    assert!(again.is_bound());
    assert_eq!(again.fingerprint(), token.fingerprint());
    assert_eq!(keys(&script).len(), 1);
    sleep(301).await;
    let third = connected(&later(&script, &user, &store, start)).await;
    let renewed = third.token().await.unwrap();
    assert!(renewed.is_bound());
    assert_ne!(renewed.fingerprint(), token.fingerprint());
    let keys = keys(&script);
    assert_eq!((keys.len(), user.asked("state").len()), (2, 1));
    assert_eq!(keys[0], keys[1]);
    assert_eq!(user.asked("dpop_jkt"), [&*keys[0]]);
    // A program that wants no binding does not get the bound login.
    let bearer = connector(native(), &script, &user).with_store(store);
    assert!(!connected(&bearer).await.is_bound());
    let other = connected(&bearer).await.token().await.unwrap();
    assert!(!other.is_bound());
    assert_eq!(user.asked("state").len(), 2);
}

/// DPOP-12: processes that start at the same time get one key; each user, and each server, has
/// another one.
#[tokio::test(start_paused = true)]
async fn a_kept_key_is_of_one_user_and_server() {
    let (script, user) = (binding(), User::default());
    let store: Arc<dyn TokenStore> = Arc::new(MemoryStore::new());
    for subject in [None, None, Some("alice"), Some("bob"), Some("alice")] {
        let mut connector = process(&script, &user, &store);
        if let Some(subject) = subject {
            connector = connector.for_user(subject);
        }
        let tasks: Vec<_> = (0..8)
            .map(|_| {
                let connector = connector.clone();
                tokio::spawn(async move {
                    let open = connected(&connector).await;
                    open.token().await.unwrap();
                })
            })
            .collect();
        for task in tasks {
            task.await.unwrap();
        }
    }
    let mut found = keys(&script);
    found.sort();
    found.dedup();
    assert_eq!(found.len(), 3);
}

/// DPOP-12: what is kept of a key cannot be read in the file.
#[cfg(feature = "file-store")]
#[tokio::test]
async fn a_kept_key_is_sealed() {
    let folder = std::env::temp_dir().join(format!("aims-bound-{}", std::process::id()));
    let _absent = std::fs::remove_dir_all(&folder);
    std::fs::create_dir_all(&folder).unwrap();
    let open = || -> Arc<dyn TokenStore> {
        let key = folder.join("tokens.key");
        Arc::new(aims_oauth_client::FileStore::open(folder.join("tokens"), key).unwrap())
    };
    let (script, user) = (binding(), User::default());
    for _ in 0..2 {
        let connection = connected(&process(&script, &user, &open())).await;
        assert!(connection.token().await.unwrap().is_bound());
    }
    assert_eq!(keys(&script).len(), 1);
    let sealed = std::fs::read(folder.join("tokens")).unwrap();
    let plain = |text: &[u8]| sealed.windows(text.len()).any(|it| it == text);
    assert!(!plain(b"P-256") && !plain(b"\"d\""));
    std::fs::remove_dir_all(&folder).unwrap();
}
