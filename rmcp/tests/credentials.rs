//! A token store as the credential store of rmcp, for several users, and while others renew.

#![cfg(feature = "credential-store")]
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::sync::Arc;

use aims::oauth_client::{MemoryStore, TokenStore};
use aims_rmcp::StoredLogin;
use rmcp::transport::auth::{AuthError, CredentialStore as _, StoredCredentials};
use serde_json::{Value, json};

const URL: &str = "https://tools.example/mcp";

fn credentials(number: usize) -> StoredCredentials {
    let token = json!({"access_token": format!("access{number}"), "token_type": "bearer",
        "refresh_token": format!("refresh{number}"), "expires_in": 300});
    let all = json!({"client_id": "c", "token_response": token, "granted_scopes": ["read"],
        "token_received_at": 1_800_000_000, "issuer": "https://as.example"});
    serde_json::from_value(all).unwrap()
}

fn refresh_token(stored: Option<StoredCredentials>) -> Option<String> {
    let value = serde_json::to_value(stored?).unwrap();
    let token = value
        .pointer("/token_response/refresh_token")
        .and_then(Value::as_str);
    token.map(str::to_owned)
}

fn logins() -> [StoredLogin; 2] {
    let store: Arc<dyn TokenStore> = Arc::new(MemoryStore::new());
    [0, 1].map(|_| StoredLogin::new(Arc::clone(&store), URL, Some("alice")))
}

/// Two handles share the credentials of one user; another user, no user and another server have
/// others.
#[tokio::test]
async fn credentials_are_shared_and_kept_apart() {
    let store: Arc<dyn TokenStore> = Arc::new(MemoryStore::new());
    let login = |url, user| StoredLogin::new(Arc::clone(&store), url, user);
    let alice = login(URL, Some("alice"));
    assert!(alice.load().await.unwrap().is_none());
    alice.save(credentials(1)).await.unwrap();
    alice.save(credentials(2)).await.unwrap();
    let again = login(URL, Some("alice")).load().await.unwrap();
    let before = serde_json::to_value(credentials(2)).unwrap();
    assert_eq!(serde_json::to_value(again.unwrap()).unwrap(), before);
    for other in [
        login(URL, Some("bob")),
        login(URL, Some("")),
        login(URL, None),
        login("https://tools.example/", Some("alice")),
    ] {
        assert!(other.load().await.unwrap().is_none());
    }
    login(URL, Some("alice")).clear().await.unwrap();
    assert!(alice.load().await.unwrap().is_none());
    alice.clear().await.unwrap();
    for shown in [format!("{alice:?}"), format!("{store:?}")] {
        assert!(!shown.contains("refresh"), "{shown}");
    }
}

/// 32 renewals at once: each has the credentials that the one before it saved.
#[tokio::test]
async fn one_renewal_at_a_time() {
    let logins = logins();
    logins[0].save(credentials(0)).await.unwrap();
    let tasks: Vec<_> = (0..32)
        .map(|number| {
            let login = logins[number % 2].clone();
            tokio::spawn(async move {
                let guard = login.acquire_refresh_guard().await.unwrap().unwrap();
                let before = refresh_token(login.load().await.unwrap()).unwrap();
                let number: usize = before.trim_start_matches("refresh").parse().unwrap();
                tokio::task::yield_now().await;
                login.save(credentials(number + 1)).await.unwrap();
                drop(guard);
            })
        })
        .collect();
    for task in tasks {
        task.await.unwrap();
    }
    let last = logins[1].load().await.unwrap();
    assert_eq!(refresh_token(last).unwrap(), "refresh32");
}

/// A logout during a renewal is not undone, nor is a login.
#[tokio::test]
async fn a_logout_during_a_renewal_stays() {
    for logs_in in [false, true] {
        let [renewing, other] = logins();
        renewing.save(credentials(0)).await.unwrap();
        let guard = renewing.acquire_refresh_guard().await.unwrap();
        renewing.load().await.unwrap().unwrap();
        other.clear().await.unwrap();
        if logs_in {
            other.save(credentials(7)).await.unwrap();
        }
        let saved = renewing.save(credentials(1)).await;
        assert!(matches!(saved, Err(AuthError::CredentialStoreError(_))));
        drop(guard);
        let found = refresh_token(other.load().await.unwrap());
        assert_eq!(found.as_deref(), logs_in.then_some("refresh7"));
        // Without a renewal, a login replaces everything.
        renewing.save(credentials(2)).await.unwrap();
        let found = refresh_token(other.load().await.unwrap());
        assert_eq!(found.as_deref(), Some("refresh2"));
    }
}

/// Rejected credentials are removed, unless others replaced them.
#[tokio::test]
async fn rejected_credentials_are_removed() {
    let [one, other] = logins();
    one.save(credentials(1)).await.unwrap();
    other
        .on_refresh_token_rejected(&credentials(0))
        .await
        .unwrap();
    assert!(one.load().await.unwrap().is_some());
    other
        .on_refresh_token_rejected(&credentials(1))
        .await
        .unwrap();
    assert!(one.load().await.unwrap().is_none());
}
