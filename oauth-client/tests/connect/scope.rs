//! The scopes and the logins that a tool asks for.

use std::sync::{Arc, Mutex};

use aims_oauth_client::TokenRules;
use aims_oauth_wire::names::ScopeSet;
use serde_json::json;

use super::world::{User, answer, challenged, connected, connector, native, tool, world};
use crate::common::{Script, code, json_answer};

/// MCP-15: the scopes of the challenge, else those of the tool, else none; never more than the
/// program allows. MCP-21: `offline_access` if the server lists it.
#[tokio::test(start_paused = true)]
async fn scopes_are_selected() {
    let listed = json!({"scopes_supported": ["read", "write"]});
    let no = json!({});
    let offline = json!({"scopes_supported": ["offline_access", "x"]});
    for (tool_has, server, challenge, allowed, expected) in [
        (&listed, &no, "Bearer scope=\"read\"", None, "read"),
        (&listed, &no, "Bearer", None, "read write"),
        (&no, &no, "Bearer", None, ""),
        (&no, &no, "Bearer", Some("a b"), ""),
        (&listed, &no, "Bearer", Some("read x"), "read"),
        (&no, &no, "Bearer scope=\"read\"", Some("read x"), "read"),
        (
            &no,
            &no,
            "Bearer scope=\"read admin\"",
            Some("read x"),
            "connect.scope",
        ),
        (
            &listed,
            &offline,
            "Bearer",
            None,
            "offline_access read write",
        ),
        (&listed, &offline, "Bearer", Some("read"), "read"),
    ] {
        let (script, user) = (world(tool_has, server), User::default());
        let mut connector = connector(native(), &script, &user);
        if let Some(allowed) = allowed {
            connector = connector.allow_scopes(allowed.parse().unwrap());
        }
        match connector.connect(&tool(), &challenged(challenge)).await {
            Ok(connection) => {
                connection.token().await.unwrap();
                assert_eq!(user.asked("scope"), [expected]);
            }
            Err(error) => assert_eq!(error.code(), expected),
        }
    }
}

/// MCP-20: a 403 widens the scopes once for each that is new, within what is allowed.
#[tokio::test(start_paused = true)]
async fn scopes_are_widened_within_what_is_allowed() {
    let (script, user) = (world(&json!({}), &json!({})), User::default());
    let connector = connector(native(), &script, &user).allow_scopes("read write".parse().unwrap());
    let first = challenged("Bearer scope=\"read\"");
    let connection = connector.connect(&tool(), &first).await.unwrap();
    let t0 = connection.token().await.unwrap();
    for (challenge, expected) in [
        ("Bearer error=\"insufficient_scope\"", Ok(false)),
        (
            "Bearer error=\"insufficient_scope\", scope=\"read\"",
            Ok(false),
        ),
        (
            "Bearer error=\"insufficient_scope\", scope=\"write\"",
            Ok(true),
        ),
        (
            "Bearer error=\"insufficient_scope\", scope=\"write\"",
            Ok(false),
        ),
        (
            "Bearer error=\"insufficient_scope\", scope=\"admin\"",
            Err("connect.scope"),
        ),
    ] {
        let challenges = challenged(challenge);
        let found = connection.widen(challenges.bearer().unwrap());
        assert_eq!(found.map_err(|error| error.code()), expected, "{challenge}");
    }
    let t1 = connection.token().await.unwrap();
    assert_ne!(t0.fingerprint(), t1.fingerprint());
    assert_eq!(user.asked("scope"), ["read", "read write"], "the union");
    assert_eq!(
        connection.scopes(),
        "read write".parse::<ScopeSet>().unwrap()
    );
}

/// STEP-02: a login that meets the requirement, once for each.
#[tokio::test(start_paused = true)]
async fn a_login_is_stepped_up_once() {
    let (script, user) = (world(&json!({}), &json!({})), User::default());
    let connection = connected(&connector(native(), &script, &user)).await;
    connection.token().await.unwrap();
    let of = |text: &'static str| challenged(text).bearer().unwrap().clone();
    let gold = of("Bearer error=\"insufficient_user_authentication\", acr_values=\"gold\"");
    let token = connection.step_up(&gold).await.unwrap().unwrap();
    assert_eq!(
        connection.token().await.unwrap().fingerprint(),
        token.fingerprint()
    );
    assert!(connection.step_up(&gold).await.unwrap().is_none());
    let fresh = of("Bearer error=\"insufficient_user_authentication\", max_age=\"60\"");
    assert!(connection.step_up(&fresh).await.unwrap().is_some());
    let nothing = of("Bearer error=\"insufficient_user_authentication\"");
    assert!(connection.step_up(&nothing).await.unwrap().is_none());
    assert_eq!(user.asked("acr_values"), ["", "gold", ""]);
    assert_eq!(user.asked("max_age"), ["", "", "60"]);
}

/// STEP-02: `scope` of the challenge is requested with the login, within what is allowed.
#[tokio::test(start_paused = true)]
async fn a_step_up_widens_the_scopes() {
    let (script, user) = (world(&json!({}), &json!({})), User::default());
    let connector = connector(native(), &script, &user).allow_scopes("read write".parse().unwrap());
    let first = challenged("Bearer scope=\"read\"");
    let connection = connector.connect(&tool(), &first).await.unwrap();
    let error = "Bearer error=\"insufficient_user_authentication\", max_age=\"60\"";
    for (scope, expected) in [("admin", "connect.scope"), ("write", "ok")] {
        let text = format!("{error}, scope=\"{scope}\"");
        let challenges = challenged(Box::leak(text.into()));
        let stepped = connection.step_up(challenges.bearer().unwrap()).await;
        assert_eq!(code(stepped), expected);
    }
    assert_eq!(user.asked("scope"), ["read write"]);
}

/// MCP-15: where no scope is requested, the server chooses within what is allowed.
#[tokio::test(start_paused = true)]
async fn the_server_chooses_within_what_is_allowed() {
    let rules = TokenRules::new();
    let added = || {
        rules
            .clone()
            .accept_unrequested_scopes("b".parse().unwrap())
    };
    for (granted, rules, expected) in [
        ("a", rules.clone(), "ok"),
        ("a b", rules.clone(), "grant.scope"),
        ("a b", added(), "ok"),
        ("a c", added(), "grant.scope"),
        ("a c", rules.clone().accept_wider_scopes(), "ok"),
    ] {
        let script = Script::new(move |request, number| match request.uri().path() {
            "/token" => json_answer(
                200,
                &json!({"access_token": "t", "token_type": "Bearer", "expires_in": 300,
                    "scope": granted}),
            ),
            _ => answer(request, number, &json!({}), &json!({})),
        });
        let connector = connector(native(), &script, &User::default());
        let connector = connector.with_rules(rules);
        let open = connected(&connector).await;
        assert_eq!(code(open.token().await), "ok", "{granted}");
        let connector = connector.allow_scopes("a".parse().unwrap());
        let limited = connected(&connector).await;
        assert_eq!(code(limited.token().await), expected, "{granted}");
    }
}

/// A login that failed does not count for a step-up: the next challenge asks again.
#[tokio::test(start_paused = true)]
async fn a_failed_step_up_can_be_repeated() {
    let fails = Arc::new(Mutex::new(false));
    let failing = Arc::clone(&fails);
    let script = Script::new(move |request, number| {
        if request.uri().path() == "/token" && *failing.lock().unwrap() {
            return json_answer(503, &json!({"error": "temporarily_unavailable"}));
        }
        answer(request, number, &json!({}), &json!({}))
    });
    let user = User::default();
    let connection = connected(&connector(native(), &script, &user)).await;
    let challenge = challenged("Bearer error=\"insufficient_user_authentication\", max_age=\"60\"");
    let challenge = challenge.iter().next().unwrap();
    *fails.lock().unwrap() = true;
    assert_eq!(code(connection.step_up(challenge).await), "oauth.refused");
    *fails.lock().unwrap() = false;
    assert!(connection.step_up(challenge).await.unwrap().is_some());
    assert!(connection.step_up(challenge).await.unwrap().is_none());
    assert_eq!(user.asked("max_age"), ["60", "60"]);
}
