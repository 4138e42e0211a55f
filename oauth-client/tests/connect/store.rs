//! The tokens that connections share.

use std::sync::Arc;

use aims_oauth_client::{Identities, MemoryStore, RevocationSignal, SubjectToken, TokenStore};
use aims_oauth_wire::client_auth::PublicClient;
use serde_json::json;

use super::world::{User, connected, connector, native, none, paths, tool, world};
use crate::common::{code, server_with};

/// Two users of one store who are not named have tokens of their own.
#[tokio::test(start_paused = true)]
async fn a_store_keeps_the_users_of_a_provider_apart() {
    let (script, user) = (world(&json!({}), &json!({})), User::default());
    let store: Arc<dyn TokenStore> = Arc::new(MemoryStore::new());
    let token = async |id_token: &str| {
        let client = PublicClient::new("known".parse().unwrap());
        let identities = Identities::new().everywhere(client.clone());
        let connector = connector(identities, &script, &user).with_store(Arc::clone(&store));
        let subject = SubjectToken::id_token(id_token);
        let provider = server_with(&json!({}));
        let connector = connector.by_identity_provider(provider, client, subject, None);
        let token = connected(&connector).await.token().await.unwrap();
        token.fingerprint()
    };
    let alice = token("alice").await;
    assert_ne!(token("bob").await, alice);
    assert_eq!(token("alice").await, alice);
    // A signal may be about each of them.
    let signal =
        RevocationSignal::of_issuer("https://as.example".parse().unwrap()).subject("carol");
    let other = connector(native(), &script, &user).with_store(Arc::clone(&store));
    assert_eq!(other.drop_revoked(&signal).await.unwrap(), 2);
    assert_ne!(token("alice").await, alice);
}

/// Many callers cause one login, and each user has tokens of their own.
#[tokio::test(start_paused = true)]
async fn one_login_for_many_callers() {
    let (script, user) = (world(&json!({}), &json!({})), User::default());
    let connection = connected(&connector(native(), &script, &user).for_user("alice")).await;
    let callers: Vec<_> = (0..50)
        .map(|_| {
            let connection = connection.clone();
            tokio::spawn(async move { connection.token().await.unwrap().fingerprint().to_string() })
        })
        .collect();
    let mut tokens = std::collections::HashSet::new();
    for caller in callers {
        tokens.insert(caller.await.unwrap());
    }
    assert_eq!((tokens.len(), user.asked("state").len()), (1, 1));
}

/// A signal drops what is stored, also where this program has no connection.
#[tokio::test(start_paused = true)]
async fn a_signal_reaches_the_store() {
    let (script, user) = (world(&json!({}), &json!({})), User::default());
    let store: Arc<dyn TokenStore> = Arc::new(MemoryStore::new());
    let open = || connector(native(), &script, &user).with_store(Arc::clone(&store));
    connected(&open()).await.token().await.unwrap();
    let of = |issuer: &str| RevocationSignal::of_issuer(issuer.parse().unwrap());
    let other = of("https://other.example");
    assert_eq!(open().drop_revoked(&other).await.unwrap(), 0);
    connected(&open()).await.token().await.unwrap();
    assert_eq!(user.asked("state").len(), 1);
    // The signal may have the other spelling of the issuer.
    for (number, issuer) in ["https://as.example", "https://as.example/"]
        .iter()
        .enumerate()
    {
        let dropped = open().drop_revoked(&of(issuer)).await.unwrap();
        assert_eq!(dropped, 1, "{issuer}");
        connected(&open()).await.token().await.unwrap();
        assert_eq!(user.asked("state").len(), number + 2);
    }
}

/// A program without a user has the logins of another one, and causes none.
#[tokio::test(start_paused = true)]
async fn stored_logins_need_no_user() {
    let (script, user) = (world(&json!({}), &json!({})), User::default());
    let store: Arc<dyn TokenStore> = Arc::new(MemoryStore::new());
    let present = connector(native(), &script, &user).with_store(store);
    let absent = present.clone().by_stored_login();
    let refused = absent.connect(&tool(), &none()).await;
    assert_eq!(code(refused), "grant.needs_user");
    assert!(!paths(&script).contains(&"/register".to_owned()));
    let login = connected(&present).await.token().await.unwrap();
    let found = connected(&absent).await.token().await.unwrap();
    assert_eq!(found.fingerprint(), login.fingerprint());
    absent.log_out(&tool(), &none()).await.unwrap();
    let refused = connected(&absent).await.token().await;
    assert_eq!(code(refused), "grant.needs_user");
    assert_eq!(user.asked("state").len(), 1);
}
