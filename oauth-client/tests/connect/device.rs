//! Logins by a code that the user enters on another device.

use std::sync::{Arc, Mutex};

use aims_jose::provider::AWS_LC;
use aims_oauth_client::{Connector, MemoryStore, Progress, Token, TokenStore, Way};
use aims_oauth_wire::token::Form;
use serde_json::{Value, json};
use tokio::time::Instant;

use super::world::{User, answer, challenged, connected, connector, native, none, paths, tool};
use crate::common::{Paused, Script, code, json_answer, with};

const GRANT: &str = "urn:ietf:params:oauth:grant-type:device_code";

/// A server with a device endpoint that answers this number of polls by this error.
fn world(pending: usize, error: &'static str, server: &Value) -> Script {
    let endpoint = json!({"device_authorization_endpoint": "https://as.example/device",
        "grant_types_supported": [GRANT, "refresh_token"],
        "dpop_signing_alg_values_supported": ["ES256"]});
    let server = with(endpoint, server);
    let polls = Mutex::new(0);
    Script::new(move |request, number| match request.uri().path() {
        "/device" => json_answer(
            200,
            &json!({"device_code": "d", "user_code": "ABCD", "expires_in": 600, "interval": 5,
                "verification_uri": "https://as.example/enter",
                "verification_uri_complete": "https://as.example/enter?code=ABCD"}),
        ),
        "/token" if *polls.lock().unwrap() < pending => {
            *polls.lock().unwrap() += 1;
            json_answer(400, &json!({ "error": error }))
        }
        _ => answer(request, number, &json!({}), &server),
    })
}

/// A machine without a browser. Records what it shows.
fn machine(script: &Script) -> (Connector, Arc<Mutex<Vec<String>>>) {
    let shown: Arc<Mutex<Vec<String>>> = Arc::default();
    let (own, told) = (Arc::clone(&shown), Arc::clone(&shown));
    let connector = connector(native(), script, &User::default());
    let connector = connector.by_device(move |login| {
        own.lock()
            .unwrap()
            .push(format!("show {}", login.user_code()));
        Ok(())
    });
    let connector = connector.on_progress(move |progress| {
        if let Progress::WaitingForDevice {
            issuer,
            url,
            complete_url,
            code,
            ..
        } = progress
        {
            let complete = complete_url.unwrap_or_default();
            let line = format!("{} {url} {complete} {code}", issuer.as_str());
            told.lock().unwrap().push(line);
        }
    });
    (connector, shown)
}

/// AIM-03: the way of a server without a browser: registered for it, shown once for all callers,
/// polled longer than a usual request may take, kept and bound.
#[tokio::test(start_paused = true)]
async fn a_user_logs_in_on_another_device() {
    let script = world(10, "authorization_pending", &json!({}));
    let (connector, shown) = machine(&script);
    let store: Arc<dyn TokenStore> = Arc::new(MemoryStore::new());
    let connector = connector.with_store(store).with_dpop(AWS_LC);
    let challenges = challenged("DPoP scope=\"read\"");
    let connection = connector.connect(&tool(), &challenges).await.unwrap();
    assert_eq!(connection.way(), Way::Device);
    assert_eq!(connection.way().grant_type(), GRANT);
    let callers: Vec<_> = (0..5)
        .map(|_| {
            let connection = connection.clone();
            tokio::spawn(async move { connection.token().await.unwrap().is_bound() })
        })
        .collect();
    for caller in callers {
        assert!(caller.await.unwrap());
    }
    let told =
        "https://as.example https://as.example/enter https://as.example/enter?code=ABCD ABCD";
    assert_eq!(*shown.lock().unwrap(), [told, "show ABCD"]);
    let asked = paths(&script);
    let registered = asked.iter().position(|it| it == "/register").unwrap();
    let registered: Value = serde_json::from_slice(script.requests()[registered].body()).unwrap();
    assert_eq!(registered["grant_types"], json!([GRANT, "refresh_token"]));
    assert_eq!(asked.iter().filter(|it| *it == "/token").count(), 11);
    let form = script
        .requests()
        .into_iter()
        .find(|it| it.uri().path() == "/device");
    let form = String::from_utf8(form.unwrap().into_body()).unwrap();
    assert!(
        form.contains("scope=read") && form.contains("resource="),
        "{form}"
    );
    // Another process has the login.
    let again = connector.connect(&tool(), &none()).await.unwrap();
    assert_eq!(again.scopes().to_string(), "read");
    again.token().await.unwrap();
    assert_eq!(shown.lock().unwrap().len(), 2);
}

/// A connector without a way of its own, over a store.
fn sharing(script: &Script, store: &Arc<dyn TokenStore>) -> Connector {
    let connector = Connector::new(native(), script.clone()).with_clock(Paused(Instant::now()));
    connector
        .with_store(Arc::clone(store))
        .accept_issuers(["https://as.example".parse().unwrap()])
}

/// CORE-09: a code on another device needs a client without a redirect URI. It stands beside the
/// client of the browser, whose logins stay: also if no user enters the code.
#[tokio::test(start_paused = true)]
async fn a_login_by_code_ends_none_in_a_browser() {
    for is_entered in [true, false] {
        let script = clients(is_entered);
        let store: Arc<dyn TokenStore> = Arc::new(MemoryStore::new());
        let base = || sharing(&script, &store);
        let kept = || base().by_stored_login();
        let browser = base().by_user(User::default());
        let first = connected(&browser).await.token().await.unwrap();
        assert_eq!(text(&first), "client-1");
        // The other user of this machine has no browser.
        let device = base().for_user("bob").by_device(|_| Ok(()));
        let entered = connected(&device).await.token().await;
        assert_eq!(entered.is_ok(), is_entered);
        let found = connected(&kept()).await.token().await.unwrap();
        assert_eq!(text(&found), "client-1", "{is_entered}");
        if is_entered {
            let of_bob = connected(&kept().for_user("bob")).await;
            assert_eq!(text(&of_bob.token().await.unwrap()), "client-2");
        }
        // No client is registered twice.
        connected(&browser).await.token().await.unwrap();
        assert_eq!(count(&script, "/register"), 2);
        // Each token is revoked by its own client.
        kept().log_out(&tool(), &none()).await.unwrap();
        kept()
            .for_user("bob")
            .log_out(&tool(), &none())
            .await
            .unwrap();
        let expected: &[_] = match is_entered {
            true => &["client-1", "client-2"],
            false => &["client-1"],
        };
        assert_eq!(revoked(&script), expected);
    }
}

/// The same user may log in both ways. The last login is used, and a logout ends both.
#[tokio::test(start_paused = true)]
async fn a_logout_ends_both_logins() {
    for by_connection in [true, false] {
        let script = clients(true);
        let store: Arc<dyn TokenStore> = Arc::new(MemoryStore::new());
        let base = || sharing(&script, &store);
        let browser = base().by_user(User::default());
        connected(&browser).await.token().await.unwrap();
        let device = base().by_device(|_| Ok(()));
        connected(&device).await.token().await.unwrap();
        let last = connected(&base().by_stored_login()).await;
        assert_eq!(text(&last.token().await.unwrap()), "client-2");
        match by_connection {
            true => last.log_out().await.unwrap(),
            false => base().log_out(&tool(), &none()).await.unwrap(),
        }
        let mut all = revoked(&script);
        all.sort();
        assert_eq!(all, ["client-1", "client-2"], "{by_connection}");
    }
}

/// A server that numbers its clients, and whose tokens are named for them.
fn clients(is_entered: bool) -> Script {
    let server = json!({"device_authorization_endpoint": "https://as.example/device",
        "revocation_endpoint": "https://as.example/revoke",
        "grant_types_supported": [GRANT, "authorization_code", "refresh_token"]});
    let registered = Mutex::new(0);
    Script::new(move |request, number| match request.uri().path() {
        "/register" => {
            let mut count = registered.lock().unwrap();
            *count += 1;
            let asked: Value = serde_json::from_slice(request.body()).unwrap();
            json_answer(
                201,
                &with(asked, &json!({"client_id": format!("client-{count}")})),
            )
        }
        "/device" => json_answer(
            200,
            &json!({"device_code": "d", "user_code": "ABCD", "expires_in": 600,
                "verification_uri": "https://as.example/enter"}),
        ),
        "/revoke" => json_answer(200, &json!({})),
        "/token" => {
            let form = Form::parse(request.body()).unwrap();
            let client = form.get("client_id").unwrap();
            match form.get("grant_type") {
                Some(GRANT) if !is_entered => json_answer(400, &json!({"error": "expired_token"})),
                _ => json_answer(
                    200,
                    &json!({"access_token": client, "token_type": "Bearer", "expires_in": 300,
                        "refresh_token": client}),
                ),
            }
        }
        _ => answer(request, number, &json!({}), &server),
    })
}

fn text(token: &Token) -> String {
    let mut headers = http::HeaderMap::new();
    token.apply(&mut headers).unwrap();
    let value = headers["authorization"].to_str().unwrap();
    value.strip_prefix("Bearer ").unwrap().to_owned()
}

fn count(script: &Script, path: &str) -> usize {
    paths(script).iter().filter(|it| *it == path).count()
}

/// Returns the revoked tokens. Each was sent by its own client.
fn revoked(script: &Script) -> Vec<String> {
    let requests = script.requests().into_iter();
    let sent = requests.filter(|it| it.uri().path() == "/revoke");
    sent.map(|request| {
        let form = Form::parse(request.body()).unwrap();
        assert_eq!(form.get("token"), form.get("client_id"));
        form.get("token").unwrap().to_owned()
    })
    .collect()
}

/// The end of the code is a login that no user answered, and a denial is a refusal.
#[tokio::test(start_paused = true)]
async fn a_code_that_is_not_entered() {
    for (pending, error, expected, needs_user) in [
        (1_000, "authorization_pending", "authorize.timeout", true),
        (1, "expired_token", "authorize.timeout", true),
        (1, "access_denied", "oauth.refused", false),
    ] {
        let script = world(pending, error, &json!({}));
        let (connector, _) = machine(&script);
        let error = connected(&connector).await.token().await.unwrap_err();
        assert_eq!((error.code(), error.needs_user()), (expected, needs_user));
    }
}

/// A browser comes first. A server without the endpoint, or an unnamed one that could pass on the
/// code of another, has no such way.
#[tokio::test(start_paused = true)]
async fn a_code_is_the_last_way() {
    let both = json!({"grant_types_supported": [GRANT, "authorization_code"]});
    let absent = json!({"device_authorization_endpoint": null});
    let other = json!({"device_authorization_endpoint": "https://honest.example/device"});
    for (server, is_named, expected) in [
        (&both, true, Some(Way::User)),
        (&json!({}), true, Some(Way::Device)),
        (&json!({}), false, Some(Way::Device)),
        (&absent, true, None),
        (&other, true, Some(Way::Device)),
        (&other, false, None),
    ] {
        let script = world(0, "", server);
        let connector = Connector::new(native(), script).by_user(User::default());
        let connector = match is_named {
            true => connector.accept_issuers(["https://as.example".parse().unwrap()]),
            false => connector.accept_any_issuer(),
        };
        let connector = connector.by_device(|_| Ok(()));
        let explained = connector.explain(&tool(), &none()).await.unwrap();
        assert_eq!(explained.way(), expected, "{server} {is_named}");
    }
    // A code that cannot be shown is not waited for.
    let script = world(0, "", &json!({}));
    let connector = connector(native(), &script, &User::default());
    let connector = connector.by_device(|_| Err("no terminal".into()));
    let connection = connected(&connector).await;
    assert_eq!(code(connection.token().await), "authorize.browser");
    assert!(!paths(&script).contains(&"/token".to_owned()));
}

/// BCP-02: a server that is accepted unnamed shows no page of another one, whose code it could pass
/// on; a named one may have its page elsewhere. No page is on this machine, where a server of the
/// network could reach other services.
#[tokio::test(start_paused = true)]
async fn a_code_is_entered_at_its_server() {
    let refused = "oauth.response";
    for (uri, complete, is_named, expected) in [
        ("https://as.example/enter", None, false, "ok"),
        ("https://login.example/enter", None, false, "ok"),
        ("https://honest.example/enter", None, true, "ok"),
        ("https://honest.example/enter", None, false, refused),
        ("https://as.example:444/enter", None, false, refused),
        (
            "https://as.example/enter",
            Some("https://honest.example/enter?code=A"),
            false,
            refused,
        ),
        ("http://127.0.0.1:8080/enter", None, true, "oauth.endpoint"),
    ] {
        let server = json!({"token_endpoint": "https://login.example/token",
            "device_authorization_endpoint": "https://login.example/device",
            "grant_types_supported": [GRANT]});
        let script = Script::new(move |request, number| match request.uri().path() {
            "/device" => json_answer(
                200,
                &json!({"device_code": "d", "user_code": "ABCD", "expires_in": 600,
                    "verification_uri": uri, "verification_uri_complete": complete}),
            ),
            _ => answer(request, number, &json!({}), &server),
        });
        let (mut connector, shown) = machine(&script);
        if !is_named {
            connector = Connector::new(native(), script.clone()).accept_any_issuer();
            let own = Arc::clone(&shown);
            connector = connector.by_device(move |_| {
                own.lock().unwrap().push("show".to_owned());
                Ok(())
            });
        }
        let outcome = code(connected(&connector).await.token().await);
        assert_eq!(outcome, expected, "{uri} {is_named}");
        assert_eq!(shown.lock().unwrap().is_empty(), expected != "ok", "{uri}");
        let polled = paths(&script).contains(&"/token".to_owned());
        assert_eq!(polled, expected == "ok", "{uri}");
    }
}
