//! The management of registrations (RFC 7592).

use std::sync::{Arc, Mutex};

use aims_oauth_client::{
    ClientMetadata, Connector, Identities, ManagementFlow, MemoryStore, TokenStore,
};
use aims_oauth_wire::token::Form;
use http::Method;
use serde_json::{Value, json};

use super::registration::{REDIRECT, registering, sent};
use super::world::{User, answer, connected, connector, native};
use crate::common::{Script, code, json_answer, with};

/// A server with the client configuration endpoint. It rotates the secret and the token.
struct Managed {
    script: Script,
    /// The status and the changes of the next answers.
    next: Arc<Mutex<(u16, Value)>>,
}

fn managed() -> Managed {
    let next = Arc::new(Mutex::new((200, json!({}))));
    let own = Arc::clone(&next);
    let server = json!({"token_endpoint_auth_methods_supported": ["client_secret_post"]});
    let script = Script::new(move |request, number| match request.uri().path() {
        "/register" => json_answer(
            201,
            &json!({"client_id": "c", "client_secret": "s1",
                "registration_client_uri": "https://as.example/manage/c",
                "registration_access_token": "t1"}),
        ),
        "/manage/c" | "/manage/d" => {
            let (status, changes) = own.lock().unwrap().clone();
            let body = json!({"client_id": "c", "client_secret": "s2",
                "registration_client_uri": "https://as.example/manage/d",
                "registration_access_token": "t2"});
            json_answer(status, &with(body, &changes))
        }
        "/token" if own.lock().unwrap().0 == 401 => {
            json_answer(401, &json!({"error": "invalid_client"}))
        }
        _ => answer(request, number, &json!({}), &server),
    });
    Managed { script, next }
}

impl Managed {
    async fn registered(&self) -> Connector {
        let metadata = ClientMetadata::native("agent").accept_secret();
        let store: Arc<dyn TokenStore> = Arc::new(MemoryStore::new());
        let identities = Identities::new().register(metadata);
        let found = connector(identities, &self.script, &User::default()).with_store(store);
        connected(&found).await;
        found
    }

    fn last(&self) -> (Method, String, String, Value) {
        let request = self.script.requests().pop().unwrap();
        let token = request.headers().get("authorization").unwrap();
        let token = token.to_str().unwrap().to_owned();
        let body = serde_json::from_slice(request.body()).unwrap_or_default();
        let path = request.uri().path().to_owned();
        (request.method().clone(), path, token, body)
    }
}

/// DCR-06: a registration is read, updated and deleted, and what the server rotates is stored.
#[tokio::test(start_paused = true)]
async fn a_registration_is_managed() {
    let managed = managed();
    let connector = managed.registered().await;
    let issuer = "https://as.example".parse().unwrap();
    connector.read_registration(&issuer).await.unwrap();
    let (method, path, token, _) = managed.last();
    assert_eq!(
        (method, &*path, &*token),
        (Method::GET, "/manage/c", "Bearer t1")
    );

    let metadata = ClientMetadata::native("renamed").redirect(REDIRECT.parse().unwrap());
    // What the answer does not replace stays.
    let silent = json!({"client_secret": null, "registration_client_uri": null,
        "registration_access_token": null});
    *managed.next.lock().unwrap() = (200, silent);
    let updated = connector.update_registration(&issuer, &metadata).await;
    assert_eq!(updated.unwrap().client_id().as_str(), "c");
    let (method, path, token, body) = managed.last();
    assert_eq!(
        (method, &*path, &*token),
        (Method::PUT, "/manage/d", "Bearer t2")
    );
    assert_eq!(body["client_id"], "c");
    assert_eq!(body["client_secret"], "s2");
    assert_eq!(body["client_name"], "renamed");
    assert_eq!(body["token_endpoint_auth_method"], "client_secret_post");
    for name in [
        "registration_access_token",
        "registration_client_uri",
        "client_secret_expires_at",
        "client_id_issued_at",
    ] {
        assert!(body.get(name).is_none(), "{name}");
    }

    // The rotated secret is what authenticates from now on.
    let connection = connected(&connector).await;
    connection.token().await.unwrap();
    let form = sent(&managed.script, "/token");
    let form = Form::parse(form.body()).unwrap();
    assert_eq!(form.get("client_secret"), Some("s2"));

    *managed.next.lock().unwrap() = (204, json!({}));
    connector.delete_registration(&issuer).await.unwrap();
    let (method, path, token, _) = managed.last();
    assert_eq!(
        (method, &*path, &*token),
        (Method::DELETE, "/manage/d", "Bearer t2")
    );
    assert!(connector.registration(&issuer).await.unwrap().is_none());
    let none = connector.read_registration(&issuer).await;
    assert_eq!(code(none), "client.registration");
}

/// DCR-06: an answer about another client, or a refusal, changes nothing.
#[tokio::test(start_paused = true)]
async fn management_that_fails() {
    let error = |error: &str| json!({ "error": error });
    for (status, changes, update, expected) in [
        (200, json!({}), false, "ok"),
        (
            200,
            json!({"client_id": "other"}),
            false,
            "client.registration",
        ),
        (
            200,
            json!({"token_endpoint_auth_method": "none"}),
            false,
            "client.registration",
        ),
        (
            200,
            json!({"redirect_uris": ["https://evil.example/"]}),
            false,
            "ok",
        ),
        (
            200,
            json!({"redirect_uris": ["https://evil.example/"]}),
            true,
            "client.registration",
        ),
        (
            200,
            json!({"redirect_uris": []}),
            true,
            "client.registration",
        ),
        (
            200,
            json!({"grant_types": ["password"]}),
            true,
            "client.registration",
        ),
        (
            400,
            error("invalid_client_metadata"),
            true,
            "client.registration_refused",
        ),
        (401, json!({}), true, "client.registration_gone"),
        (404, json!({}), false, "client.registration_gone"),
        (403, json!({}), false, "client.registration"),
        (405, error("x"), false, "client.registration"),
    ] {
        let managed = managed();
        let connector = managed.registered().await;
        let issuer = "https://as.example".parse().unwrap();
        *managed.next.lock().unwrap() = (status, changes.clone());
        let outcome = match update {
            true => {
                let metadata = ClientMetadata::native("a").redirect(REDIRECT.parse().unwrap());
                connector.update_registration(&issuer, &metadata).await
            }
            false => connector.read_registration(&issuer).await,
        };
        assert_eq!(code(outcome), expected, "{status} {changes}");
        // The next request has the token that counts now.
        *managed.next.lock().unwrap() = (200, json!({}));
        connector.read_registration(&issuer).await.unwrap();
        let expected = if expected == "ok" {
            "Bearer t2"
        } else {
            "Bearer t1"
        };
        assert_eq!(managed.last().2, expected, "{status} {changes}");
    }
    // A deletion of what is gone removes it from the store. Another failure does not.
    for (status, is_kept) in [(401, false), (404, false), (403, true), (500, true)] {
        let managed = managed();
        let connector = managed.registered().await;
        let issuer = "https://as.example".parse().unwrap();
        *managed.next.lock().unwrap() = (status, json!({}));
        let outcome = connector.delete_registration(&issuer).await;
        assert_eq!(outcome.is_err(), is_kept, "{status}");
        let kept = connector.registration(&issuer).await.unwrap();
        assert_eq!(kept.is_some(), is_kept, "{status}");
    }
}

/// DCR-06: a server without management.
#[tokio::test(start_paused = true)]
async fn management_is_optional() {
    let script = registering(&json!({}), &json!({"registration_access_token": "t"}));
    let store: Arc<dyn TokenStore> = Arc::new(MemoryStore::new());
    let found = connector(native(), &script, &User::default()).with_store(store);
    connected(&found).await;
    let issuer = "https://as.example".parse().unwrap();
    let registered = found.registration(&issuer).await.unwrap().unwrap();
    assert_eq!(
        code(ManagementFlow::read(&registered)),
        "client.registration"
    );
}

/// DCR-06: no server but one of this machine has its management on this machine.
#[tokio::test(start_paused = true)]
async fn management_is_not_on_this_machine() {
    for (uri, expected) in [
        ("https://as.example/manage", "ok"),
        ("http://127.0.0.1:8080/manage", "client.registration"),
    ] {
        let managed = json!({"registration_client_uri": uri, "registration_access_token": "t"});
        let script = registering(&json!({}), &managed);
        let store: Arc<dyn TokenStore> = Arc::new(MemoryStore::new());
        let found = connector(native(), &script, &User::default()).with_store(store);
        connected(&found).await;
        let issuer = "https://as.example".parse().unwrap();
        let registered = found.registration(&issuer).await.unwrap().unwrap();
        assert_eq!(code(ManagementFlow::read(&registered)), expected, "{uri}");
    }
}

/// DCR-06: a refusal of the old secret does not remove a registration that was renewed meanwhile.
#[tokio::test(start_paused = true)]
async fn a_renewed_registration_stays() {
    let managed = managed();
    let connector = managed.registered().await;
    let issuer = "https://as.example".parse().unwrap();
    let old = connected(&connector).await;
    connector.read_registration(&issuer).await.unwrap();
    *managed.next.lock().unwrap() = (401, json!({}));
    assert_eq!(code(old.token().await), "oauth.refused");
    assert!(connector.registration(&issuer).await.unwrap().is_some());
    let new = connected(&connector).await;
    assert_eq!(code(new.token().await), "oauth.refused");
    assert!(connector.registration(&issuer).await.unwrap().is_none());
}
