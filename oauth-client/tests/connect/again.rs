//! Connections that end: the tool has moved to another server, or the registration is over.

use std::sync::{Arc, Mutex};

use aims_oauth_client::{MemoryStore, TokenStore};
use aims_oauth_wire::challenge::Challenges;
use serde_json::json;

use super::world::{User, answer, challenged, connected, connector, native, none, tool, world};
use crate::common::{Script, code, json_answer, with};

const PLACE: &str = "Bearer error=\"invalid_token\", resource_metadata=\
                     \"https://tools.example/.well-known/oauth-protected-resource/mcp\"";

/// A tool whose answers to requests for its metadata are set while the test runs.
fn moving(
    user: &User,
) -> (
    Arc<Mutex<(u16, &'static str)>>,
    aims_oauth_client::Connector,
) {
    let state = Arc::new(Mutex::new((200, "https://as.example")));
    let own = Arc::clone(&state);
    let script = Script::new(move |request, number| {
        let (status, issuer) = *own.lock().unwrap();
        let is_of_tool = request.uri().path().contains("oauth-protected-resource");
        match status {
            200 => {
                let tool = json!({"authorization_servers": [issuer]});
                answer(request, number, &tool, &json!({}))
            }
            failure if is_of_tool => json_answer(failure, &json!({})),
            _ => answer(request, number, &json!({}), &json!({})),
        }
    });
    let connector = connector(native(), &script, user);
    let connector = connector.accept_issuers(["https://new.example".parse().unwrap()]);
    (state, connector)
}

/// PRM-02: a connection is not current if the tool names another server, which only a challenge
/// with the place of the metadata makes it look up.
#[tokio::test(start_paused = true)]
async fn a_connection_notices_that_its_tool_moved() {
    let user = User::default();
    let (state, connector) = moving(&user);
    let connection = connected(&connector).await;
    for (found, challenge, expected) in [
        ((200, "https://as.example"), PLACE, Ok(true)),
        ((200, "https://as.example/"), PLACE, Ok(true)),
        ((200, "https://new.example"), "Bearer", Ok(true)),
        ((200, "https://new.example"), PLACE, Ok(false)),
        ((503, ""), PLACE, Ok(true)),
        ((404, ""), PLACE, Ok(true)),
        (
            (200, "https://evil.example"),
            PLACE,
            Err("discovery.no_server"),
        ),
    ] {
        *state.lock().unwrap() = found;
        let is_current = connection.is_current(&challenged(challenge)).await;
        let is_current = is_current.map_err(|error| error.code());
        assert_eq!(is_current, expected, "{found:?} {challenge}");
    }
}

/// The scopes stay those of the connection at the same server, and are found anew at another one.
#[tokio::test(start_paused = true)]
async fn a_new_connection_keeps_the_scopes_of_a_server() {
    let store: Arc<dyn TokenStore> = Arc::new(MemoryStore::new());
    for stored in [false, true] {
        let user = User::default();
        let (state, mut connector) = moving(&user);
        if stored {
            connector = connector.with_store(Arc::clone(&store));
        }
        let first = challenged("Bearer scope=\"read\"");
        let connection = connector.connect(&tool(), &first).await.unwrap();
        let wider = challenged("Bearer error=\"insufficient_scope\", scope=\"write\"");
        assert!(connection.widen(wider.bearer().unwrap()).unwrap());
        connection.token().await.unwrap();
        let same = connection.reconnect(&none()).await.unwrap();
        assert_eq!(same.scopes().to_string(), "read write");
        *state.lock().unwrap() = (200, "https://new.example");
        for (challenges, expected) in [
            (Challenges::default(), "read"),
            (challenged("Bearer scope=\"new\""), "new"),
        ] {
            let other = connection.reconnect(&challenges).await.unwrap();
            assert_eq!(other.issuer().as_str(), "https://new.example");
            assert_eq!(other.scopes().to_string(), expected);
        }
    }
}

/// DCR-03: a connection ends with its registration: at the end of the secret, and when the server
/// has forgotten it. Other refusals do not end it, and a client that was registered by hand has no
/// end.
#[tokio::test(start_paused = true)]
async fn a_connection_ends_with_its_registration() {
    const NOW: u64 = 1_800_000_000;
    for (ends, error, expected) in [
        (0, None, false),
        (NOW + 3_600, None, false),
        (NOW + 60, None, true),
        (0, Some("invalid_grant"), false),
        (0, Some("invalid_client"), true),
    ] {
        let script = Script::new(move |request, number| match (request.uri().path(), error) {
            ("/register", _) => {
                let body = json!({"client_id": "r", "client_secret": "s"});
                json_answer(201, &with(body, &json!({"client_secret_expires_at": ends})))
            }
            ("/token", Some(error)) => json_answer(401, &json!({ "error": error })),
            _ => answer(request, number, &json!({}), &json!({})),
        });
        let connection = connected(&connector(native(), &script, &User::default())).await;
        let token = connection.token().await;
        assert_eq!(code(token) == "ok", error.is_none());
        tokio::time::advance(std::time::Duration::from_secs(60)).await;
        assert_eq!(connection.has_ended(), expected, "{ends} {error:?}");
    }
    let script = world(&json!({}), &json!({}));
    let connection = connected(&connector(native(), &script, &User::default())).await;
    assert!(!connection.has_ended());
}

/// REV-04: a logout ends the logins at the servers that the tool had before: those of this
/// connection, and those of other processes that share the store.
#[tokio::test(start_paused = true)]
async fn a_logout_reaches_the_earlier_servers() {
    for (is_stored, is_other_process, by_connector) in [
        (false, false, false),
        (true, false, false),
        (true, true, false),
        (true, true, true),
    ] {
        let issuer = Arc::new(Mutex::new("https://as.example"));
        let own = Arc::clone(&issuer);
        let script = Script::new(move |request, number| {
            let host = request.uri().host().unwrap();
            let server = json!({"revocation_endpoint": format!("https://{host}/revoke")});
            let tool = json!({"authorization_servers": [*own.lock().unwrap()]});
            match request.uri().path() {
                "/revoke" => json_answer(200, &json!({})),
                _ => answer(request, number, &tool, &server),
            }
        });
        let mut connector = connector(native(), &script, &User::default());
        connector = connector.accept_issuers(["https://new.example".parse().unwrap()]);
        if is_stored {
            connector = connector.with_store(Arc::new(MemoryStore::new()));
        }
        let before = connected(&connector).await;
        before.token().await.unwrap();
        *issuer.lock().unwrap() = "https://new.example";
        let after = match is_other_process {
            true => connected(&connector).await,
            false => before.reconnect(&none()).await.unwrap(),
        };
        after.token().await.unwrap();
        match by_connector {
            true => connector.log_out(&tool(), &none()).await.unwrap(),
            false => after.log_out().await.unwrap(),
        }
        let revoked = script.requests().into_iter();
        let revoked = revoked.filter(|it| it.uri().path() == "/revoke");
        let mut hosts: Vec<_> = revoked
            .map(|it| it.uri().host().unwrap().to_owned())
            .collect();
        hosts.sort();
        assert_eq!(hosts, ["as.example", "new.example"], "{is_other_process}");
    }
}
