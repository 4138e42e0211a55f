//! `offline_access`, which the server lists and refuses to this client.

use std::sync::Arc;

use aims_oauth_client::{Connector, MemoryStore, TokenStore};
use aims_oauth_wire::token::Form;
use serde_json::{Value, json};

use super::world::{User, answer, challenged, connected, connector, native, none, tool};
use crate::common::{Script, code, json_answer, with};

const DEVICE: &str = "urn:ietf:params:oauth:grant-type:device_code";

/// A server that lists the scope. Its other endpoints refuse it by this error.
fn world(error: &'static str, tool: &Value, further: &Value) -> Script {
    let lists = json!({"scopes_supported": ["offline_access", "read"]});
    let (tool, server) = (tool.clone(), with(lists, further));
    Script::new(move |request, number| {
        let path = request.uri().path();
        let form = Form::parse(request.body()).ok();
        let scope = form.as_ref().and_then(|it| it.get("scope"));
        let is_refused = scope.is_some_and(|it| it.contains("offline_access"));
        match path {
            "/par" | "/device" if is_refused => json_answer(400, &json!({ "error": error })),
            "/par" => json_answer(201, &json!({"request_uri": "urn:r", "expires_in": 60})),
            "/device" => json_answer(
                200,
                &json!({"device_code": "d", "user_code": "ABCD", "expires_in": 600, "interval": 5,
                    "verification_uri": "https://as.example/enter"}),
            ),
            _ => answer(request, number, &tool, &server),
        }
    })
}

fn by_browser(error: &'static str, script: &Script) -> (Connector, User) {
    let mut user = User::default();
    user.refusal = Some(error);
    (connector(native(), script, &user), user)
}

fn by_device(script: &Script) -> Connector {
    let connector = connector(native(), script, &User::default());
    connector.by_device(|_| Ok(()))
}

/// Returns the scopes that were sent to an endpoint.
fn sent(script: &Script, path: &str) -> Vec<String> {
    let requests = script.requests();
    let to_it = requests.iter().filter(|it| it.uri().path() == path);
    let scopes = to_it.map(|it| {
        let form = Form::parse(it.body()).unwrap();
        form.get("scope").unwrap_or_default().to_owned()
    });
    scopes.collect()
}

fn device_alone() -> Value {
    json!({"device_authorization_endpoint": "https://as.example/device",
        "grant_types_supported": [DEVICE, "refresh_token"]})
}

const BOTH: [&str; 2] = ["offline_access read", "read"];

/// MCP-21: after `invalid_scope`, the login goes on without the scope that only this client added:
/// by a redirect, by a pushed request, and by a code on another device.
#[tokio::test(start_paused = true)]
async fn a_login_goes_on_without_offline_access() {
    let reads = json!({"scopes_supported": ["read"]});
    let script = world("invalid_scope", &reads, &json!({}));
    let (connector, user) = by_browser("invalid_scope", &script);
    let store: Arc<dyn TokenStore> = Arc::new(MemoryStore::new());
    let connector = connector.with_store(store);
    let connection = connected(&connector).await;
    connection.token().await.unwrap();
    assert_eq!(user.asked("scope"), BOTH);
    assert_eq!(connection.scopes().to_string(), "read");
    // The next process finds the login, and asks for no more.
    let next = connected(&connector).await;
    next.token().await.unwrap();
    assert_eq!(next.scopes().to_string(), "read");
    assert_eq!(user.asked("scope").len(), 2);

    let push = json!({"pushed_authorization_request_endpoint": "https://as.example/par"});
    let script = world("invalid_scope", &reads, &push);
    let (connector, user) = by_browser("access_denied", &script);
    // This browser sees no `state` in the URL of a pushed request.
    let refused = connected(&connector).await.token().await;
    assert_eq!(code(refused), "authorize.state");
    assert_eq!(sent(&script, "/par"), BOTH);
    assert_eq!(user.asked("scope").len(), 1);

    let script = world("invalid_scope", &reads, &device_alone());
    let connection = connected(&by_device(&script)).await;
    connection.token().await.unwrap();
    assert_eq!(sent(&script, "/device"), BOTH);
    assert_eq!(connection.scopes().to_string(), "read");
}

/// MCP-21: another error, and the refusal of the narrower request, are final.
#[tokio::test(start_paused = true)]
async fn another_refusal_is_final() {
    let reads = json!({"scopes_supported": ["read"]});
    let script = world("access_denied", &reads, &json!({}));
    let (connector, user) = by_browser("access_denied", &script);
    let refused = connected(&connector).await.token().await;
    assert_eq!(code(refused), "authorize.refused");
    assert_eq!(user.asked("scope"), BOTH[..1]);

    let script = world("unauthorized_client", &reads, &device_alone());
    let refused = connected(&by_device(&script)).await.token().await;
    assert_eq!(code(refused), "oauth.refused");
    assert_eq!(sent(&script, "/device"), BOTH[..1]);

    // A server that refuses every scope is asked twice.
    let script = Script::new(move |request, number| match request.uri().path() {
        "/device" => json_answer(400, &json!({"error": "invalid_scope"})),
        _ => {
            let lists = json!({"scopes_supported": ["offline_access"]});
            answer(request, number, &reads, &with(lists, &device_alone()))
        }
    });
    let connection = connected(&by_device(&script)).await;
    for asked in [2, 3] {
        assert_eq!(code(connection.token().await), "oauth.refused");
        assert_eq!(sent(&script, "/device").len(), asked);
    }
    assert_eq!(sent(&script, "/device")[..2], BOTH);
}

/// MCP-21: what the program, the challenge or the tool asks for is not dropped.
#[tokio::test(start_paused = true)]
async fn a_scope_that_was_asked_for_is_not_dropped() {
    let both = json!({"scopes_supported": ["read", "offline_access"]});
    let scopes = "offline_access read";
    for (tool_has, challenge, requested) in [
        (json!({}), None, Some(scopes)),
        (
            json!({}),
            Some("Bearer scope=\"offline_access read\""),
            None,
        ),
        (both, None, None),
    ] {
        let script = world("invalid_scope", &tool_has, &json!({}));
        let (mut connector, user) = by_browser("invalid_scope", &script);
        if let Some(requested) = requested {
            connector = connector.request_scopes(requested.parse().unwrap());
        }
        let challenges = challenge.map_or_else(none, challenged);
        let connection = connector.connect(&tool(), &challenges).await.unwrap();
        assert_eq!(code(connection.token().await), "authorize.refused");
        assert_eq!(user.asked("scope"), [scopes]);
        assert_eq!(connection.scopes().to_string(), scopes);
    }
}

/// MCP-21: callers who wait for one login take its token, which is without the scope.
#[tokio::test(start_paused = true)]
async fn callers_share_the_login_without_offline_access() {
    let reads = json!({"scopes_supported": ["read"]});
    let script = world("invalid_scope", &reads, &json!({}));
    let (connector, user) = by_browser("invalid_scope", &script);
    let connection = connected(&connector).await;
    let callers: Vec<_> = (0..5)
        .map(|_| {
            let connection = connection.clone();
            tokio::spawn(async move { connection.token().await.unwrap().fingerprint() })
        })
        .collect();
    let mut tokens = Vec::new();
    for caller in callers {
        tokens.push(caller.await.unwrap());
    }
    assert!(tokens.iter().all(|it| *it == tokens[0]));
    assert_eq!(user.asked("scope"), BOTH);
}

/// MCP-21: a new connection to the same server does not ask for what was refused.
#[tokio::test(start_paused = true)]
async fn a_new_connection_knows_the_refusal() {
    let reads = json!({"scopes_supported": ["read"]});
    let script = world("invalid_scope", &reads, &json!({}));
    let (connector, user) = by_browser("invalid_scope", &script);
    let connection = connected(&connector).await;
    connection.token().await.unwrap();
    let again = connection.reconnect(&none()).await.unwrap();
    again.token().await.unwrap();
    assert_eq!(user.asked("scope"), ["offline_access read", "read", "read"]);
    let third = again.reconnect(&none()).await.unwrap();
    assert_eq!(third.scopes().to_string(), "read");
}
