//! The identity of the client at a server.

use std::sync::{Arc, Mutex};

use aims_oauth_client::{ClientMetadata, Identities, MemoryStore, RedirectUri, TokenStore};
use aims_oauth_wire::client_auth::ClientSecretBasic;
use aims_oauth_wire::token::Form;
use serde_json::{Value, json};

use super::world::{
    DOCUMENT, User, answer, connected, connector, native, none, paths, tool, world,
};
use crate::common::{Script, code, json_answer};

/// MCP-13, MCP-14: registered before, then the metadata document, then registration; an identity
/// of one server is never used at another.
#[tokio::test(start_paused = true)]
async fn identities_have_an_order() {
    let own = |issuer: &str| {
        let client = ClientSecretBasic::new("known".parse().unwrap(), "s".into());
        native()
            .metadata_document(DOCUMENT)
            .unwrap()
            .registered(issuer.parse().unwrap(), client)
    };
    let takes = json!({"client_id_metadata_document_supported": true});
    let closed = json!({"registration_endpoint": null});
    for (identities, server, expected) in [
        (own("https://as.example"), &takes, "known"),
        (own("https://as.example/"), &takes, "known"),
        (own("https://other.example"), &takes, DOCUMENT),
        (own("https://other.example"), &json!({}), "registered"),
        (native(), &takes, "registered"),
        (own("https://other.example"), &closed, "client.none"),
        (Identities::new(), &json!({}), "client.none"),
    ] {
        let (script, user) = (world(&json!({}), server), User::default());
        let found = connector(identities, &script, &user);
        match found.connect(&tool(), &none()).await {
            Ok(connection) => {
                connection.token().await.unwrap();
                assert_eq!(user.asked("client_id"), [expected]);
            }
            Err(error) => assert_eq!(error.code(), expected),
        }
    }
}

/// CIMD-01: the URL of a metadata document.
#[test]
fn a_document_has_a_url() {
    for (url, expected) in [
        (DOCUMENT, "ok"),
        ("https://app.example:8443/client.json", "ok"),
        ("http://app.example/client.json", "client.document"),
        ("https://app.example", "client.document"),
        ("https://app.example/", "client.document"),
        ("https://app.example/a/../client.json", "client.document"),
        ("https://app.example/client.json#x", "client.document"),
        ("https://u@app.example/client.json", "client.document"),
        ("https://APP.example/client.json", "client.document"),
        ("client.json", "client.document"),
    ] {
        assert_eq!(
            code(Identities::new().metadata_document(url)),
            expected,
            "{url}"
        );
    }
    // CIMD-02: what is served there names itself, and has no secret.
    let redirect: RedirectUri = "http://127.0.0.1/callback".parse().unwrap();
    let metadata = ClientMetadata::native("agent").redirect(redirect);
    let document: Value = serde_json::from_str(&metadata.to_document(DOCUMENT).unwrap()).unwrap();
    assert_eq!(document["client_id"], DOCUMENT);
    assert_eq!(document["client_name"], "agent");
    assert_eq!(
        document["redirect_uris"],
        json!(["http://127.0.0.1/callback"])
    );
    assert!(document.get("client_secret").is_none());
}

/// DCR-03: refusals of a registration, and answers that cannot be used.
#[tokio::test(start_paused = true)]
async fn registrations_that_fail() {
    for (status, body, expected) in [
        (
            400,
            json!({"error": "invalid_redirect_uri"}),
            "client.registration_refused",
        ),
        (
            403,
            json!({"error": "access_denied"}),
            "client.registration_refused",
        ),
        (500, json!({}), "client.registration"),
        (201, json!({}), "client.registration"),
        (201, json!({"client_id": ""}), "client.registration"),
        (
            201,
            json!({"client_id": "x", "token_endpoint_auth_method": "private_key_jwt"}),
            "client.registration",
        ),
        (
            201,
            json!({"client_id": "x", "token_endpoint_auth_method": "client_secret_post"}),
            "client.registration",
        ),
        (
            201,
            json!({"client_id": "x", "client_secret": "s", "client_secret_expires_at": 0,
                "token_endpoint_auth_method": "client_secret_basic"}),
            "ok",
        ),
        (200, json!({"client_id": "x", "client_secret": null}), "ok"),
    ] {
        let script = Script::new(move |request, number| match request.uri().path() {
            "/register" => json_answer(status, &body),
            _ => answer(request, number, &json!({}), &json!({})),
        });
        let found = connector(native(), &script, &User::default());
        let found = found.connect(&tool(), &none()).await;
        assert_eq!(code(found), expected, "{status}");
    }
}

/// A server that registers no public clients: a secret only where the program accepts one.
#[tokio::test(start_paused = true)]
async fn a_secret_is_accepted_by_name() {
    for method in ["client_secret_basic", "client_secret_post"] {
        let server = json!({ "token_endpoint_auth_methods_supported": [method] });
        let (script, user) = (world(&json!({}), &server), User::default());
        let connection = connected(&connector(native(), &script, &user)).await;
        connection.token().await.unwrap();
        let request = script.requests().pop().unwrap();
        let form = Form::parse(request.body()).unwrap();
        assert!(form.get("client_secret").is_none());
        assert!(!request.headers().contains_key("authorization"));
        let accepting = ClientMetadata::native("agent").accept_secret();
        let identities = Identities::new().register(accepting);
        let connection = connected(&connector(identities, &script, &user)).await;
        connection.token().await.unwrap();
        let request = script.requests().pop().unwrap();
        let form = Form::parse(request.body()).unwrap();
        let basic = request.headers().contains_key("authorization");
        assert_eq!(basic, method == "client_secret_basic");
        assert_eq!(form.get("client_secret").is_some(), !basic);
    }
}

/// A registration that the server has forgotten is not used again, and the next connection
/// registers anew. Another refusal keeps it.
#[tokio::test(start_paused = true)]
async fn a_forgotten_registration_is_dropped() {
    let error = Arc::new(Mutex::new(None));
    let own = Arc::clone(&error);
    let script = Script::new(move |request, number| {
        let error = *own.lock().unwrap();
        match (request.uri().path(), error) {
            ("/token", Some(error)) => json_answer(400, &json!({ "error": error })),
            _ => answer(request, number, &json!({}), &json!({})),
        }
    });
    let store: Arc<dyn TokenStore> = Arc::new(MemoryStore::new());
    let registrations = || {
        paths(&script)
            .iter()
            .filter(|it| *it == "/register")
            .count()
    };
    for (found, expected) in [
        (None, 1),
        (Some("invalid_grant"), 1),
        (Some("invalid_client"), 1),
        (None, 2),
        (None, 2),
    ] {
        *error.lock().unwrap() = found;
        let user = User::default();
        let connector = connector(native(), &script, &user).for_user(format!("{found:?}"));
        let connector = connector.with_store(Arc::clone(&store));
        let outcome = connected(&connector).await.token().await;
        assert_eq!(outcome.is_ok(), found.is_none());
        assert_eq!(registrations(), expected, "{found:?}");
    }
}
