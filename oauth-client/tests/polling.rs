//! Device codes and backchannel authentication: the interval, `slow_down`, the end.

#![cfg(feature = "tokio")]
#![allow(
    clippy::indexing_slicing,
    clippy::unwrap_used,
    reason = "a test fails by panicking"
)]

mod common;

use std::sync::{Arc, Mutex};
use std::time::Duration;

use aims_oauth_client::{
    BackchannelRequest, DeviceRequest, Error, Target, Token, TokenSource, drive,
};
use common::{LATEST, Paused, Script, at, client, code, json_answer, server_with};
use http::Response;
use serde_json::json;
use tokio::time::Instant;

fn target(scopes: &str) -> Target {
    Target::new(
        "https://tools.example/mcp".parse().unwrap(),
        scopes.parse().unwrap(),
    )
}

type Times = Arc<Mutex<Vec<u64>>>;

/// A server whose token endpoint answers by these errors, and then grants.
fn script(errors: &'static [&'static str], start: Instant) -> (Script, Times) {
    let times: Times = Arc::default();
    let asked = Arc::clone(&times);
    let script = Script::new(move |request, _| {
        if request.uri().path() != "/token" {
            return json_answer(
                200,
                &json!({"device_code": "d", "user_code": "WDJB-MJHT",
                "verification_uri": "https://as.example/device", "auth_req_id": "d",
                "verification_uri_complete": "https://as.example/device?user_code=WDJB-MJHT",
                "expires_in": 100, "interval": 2}),
            );
        }
        let mut asked = asked.lock().unwrap();
        asked.push(start.elapsed().as_secs());
        match errors.get(asked.len() - 1) {
            Some(error) => match error.split_once(' ') {
                Some((status, error)) => {
                    json_answer(status.parse().unwrap(), &json!({ "error": error }))
                }
                None => match error.parse::<u16>() {
                    Ok(status) => Response::builder().status(status).body(Vec::new()).unwrap(),
                    Err(_) => json_answer(400, &json!({ "error": error })),
                },
            },
            None => json_answer(
                200,
                &json!({"access_token": "t", "token_type": "Bearer",
                "expires_in": 300, "refresh_token": "r"}),
            ),
        }
    });
    (script, times)
}

fn source(script: &Script, start: Instant) -> TokenSource {
    let members = json!({"device_authorization_endpoint": "https://as.example/device",
        "backchannel_authentication_endpoint": "https://as.example/ciba"});
    TokenSource::new(server_with(&members), client(), script.clone())
        .with_clock(Paused(start))
        .with_random(&LATEST)
        .with_timeout(Duration::from_secs(600))
}

async fn by_device(script: &Script, start: Instant) -> Result<Arc<Token>, Error> {
    let source = source(script, start);
    let first = DeviceRequest::new(target("read")).begin(
        Arc::new(client()),
        source.server(),
        at(common::NOW),
    )?;
    let login = drive(first, script, &Paused(start)).await?;
    assert_eq!(login.user_code(), "WDJB-MJHT");
    assert_eq!(
        login.verification_uri().as_str(),
        "https://as.example/device"
    );
    assert!(login.verification_uri_complete().is_some());
    source.redeem(login.into_grant()).await
}

async fn by_backchannel(script: &Script, start: Instant) -> Result<Arc<Token>, Error> {
    let source = source(script, start);
    let request = BackchannelRequest::new(target("openid read"), "alice")
        .binding_message("K7-42")
        .requested_expiry(Duration::from_secs(100));
    let first = request.begin(Arc::new(client()), source.server(), at(common::NOW))?;
    let waiting = drive(first, script, &Paused(start)).await?;
    source.redeem(waiting).await
}

/// DEV-04, CIBA-06, CIBA-07: the interval of the server, longer for good after `slow_down`, and the
/// end by a refusal or by time.
#[tokio::test(start_paused = true)]
async fn polling_follows_the_server() {
    const PENDING: &str = "authorization_pending";
    const NONE: &[&str] = &[];
    for (errors, expected, at_seconds) in [
        (NONE, "ok", vec![0]),
        (&[PENDING, PENDING], "ok", vec![0, 2, 4]),
        (&[PENDING, "slow_down", PENDING], "ok", vec![0, 2, 9, 16]),
        (&[PENDING, "access_denied"], "oauth.refused", vec![0, 2]),
        (&["expired_token"], "oauth.refused", vec![0]),
        (&["invalid_grant"], "oauth.refused", vec![0]),
        // A server that fails or is busy is asked again, at longer intervals.
        (&["500", "500", PENDING], "ok", vec![0, 4, 12, 20]),
        (&["429"], "ok", vec![0, 4]),
        (&["503 temporarily_unavailable"], "ok", vec![0, 4]),
        (&["503 access_denied"], "oauth.refused", vec![0]),
        (&["404"], "oauth.response", vec![0]),
        (&["400 temporarily_unavailable"], "oauth.refused", vec![0]),
    ] {
        for is_device in [true, false] {
            let start = Instant::now();
            let (script, times) = script(errors, start);
            let found = match is_device {
                true => by_device(&script, start).await,
                false => by_backchannel(&script, start).await,
            };
            if let Ok(token) = &found {
                assert!(token.is_refreshable());
            }
            assert_eq!(code(found), expected, "{errors:?}");
            assert_eq!(*times.lock().unwrap(), at_seconds, "{errors:?}");
        }
    }
    // The code expires after 100 s: no request is sent after that.
    let start = Instant::now();
    let (script, times) = script(&[PENDING; 100], start);
    let found = by_device(&script, start).await;
    assert_eq!(
        found.as_ref().unwrap_err().refusal().unwrap().error(),
        PENDING
    );
    assert!(times.lock().unwrap().last().unwrap() < &100);
}

/// DEV-02, DEV-04, CIBA-05: an interval of zero is a second, a missing one five, and one of hours
/// five minutes.
#[tokio::test(start_paused = true)]
async fn the_interval_has_bounds() {
    for (interval, expected) in [
        (json!(0), 1),
        (json!(1), 1),
        (json!(null), 5),
        (json!(7), 7),
        (json!(100_000), 300),
    ] {
        let start = Instant::now();
        let times: Times = Arc::default();
        let asked = Arc::clone(&times);
        let script = Script::new(move |request, _| {
            if request.uri().path() != "/token" {
                let body = json!({"device_code": "d", "user_code": "WDJB-MJHT",
                    "verification_uri": "https://as.example/device", "expires_in": 500,
                    "verification_uri_complete": "https://as.example/device?x=1",
                    "interval": interval});
                return json_answer(200, &body);
            }
            let mut asked = asked.lock().unwrap();
            asked.push(start.elapsed().as_secs());
            if asked.len() == 1 {
                return json_answer(400, &json!({"error": "authorization_pending"}));
            }
            let body = json!({"access_token": "t", "token_type": "Bearer", "expires_in": 300});
            json_answer(200, &body)
        });
        by_device(&script, start).await.unwrap();
        assert_eq!(*times.lock().unwrap(), [0, expected]);
    }
}

/// A server that only fails is asked until the code expires.
#[tokio::test(start_paused = true)]
async fn a_failing_server_is_not_asked_for_ever() {
    let start = Instant::now();
    let (script, times) = script(&["500"; 100], start);
    let found = by_device(&script, start).await;
    assert_eq!(code(found), "oauth.response");
    assert_eq!(*times.lock().unwrap(), [0, 4, 12, 28, 60]);
}

/// DEV-04: what a terminal shows is printable: no control characters, no letters that look like
/// others, and not too long.
#[tokio::test(start_paused = true)]
async fn codes_and_urls_are_printable() {
    let long = "A".repeat(65);
    let device = "https://as.example/device";
    let far = format!("{device}?{}", "a".repeat(2_048));
    for (user_code, uri, complete, expected) in [
        ("WDJB MJHT", device, device, "ok"),
        (&*"A".repeat(64), device, device, "ok"),
        ("WDJB\u{1b}[2J", device, device, "oauth.response"),
        ("WDJB\nMJHT", device, device, "oauth.response"),
        ("WDJB\u{202e}MJHT", device, device, "oauth.response"),
        ("\u{410}BC", device, device, "oauth.response"),
        ("", device, device, "oauth.response"),
        (" ", device, device, "oauth.response"),
        (&*long, device, device, "oauth.response"),
        ("A", "https://as.example/de\tvice", device, "oauth.response"),
        ("A", "https://as.ex\u{e4}mple/", device, "oauth.response"),
        ("A", &*far, device, "oauth.response"),
        ("A", device, "https://as.example/\u{1b}", "oauth.response"),
        ("A", "javascript:alert(1)", device, "oauth.endpoint"),
        ("A", device, "http://as.example/device", "oauth.endpoint"),
    ] {
        let body = json!({"device_code": "d", "user_code": user_code, "verification_uri": uri,
            "verification_uri_complete": complete, "expires_in": 100});
        let script = Script::new(move |_, _| json_answer(200, &body));
        let start = Instant::now();
        let first = DeviceRequest::new(target("read")).begin(
            Arc::new(client()),
            source(&script, start).server(),
            at(common::NOW),
        );
        let login = drive(first.unwrap(), &script, &Paused(start)).await;
        assert_eq!(code(login), expected, "{user_code:?} {uri:?} {complete:?}");
    }
}

/// DEV-01, CIBA-03: the parameters of the requests.
#[tokio::test(start_paused = true)]
async fn requests_have_their_parameters() {
    let start = Instant::now();
    let (script, _) = script(&[], start);
    by_device(&script, start).await.unwrap();
    by_backchannel(&script, start).await.unwrap();
    let forms = script.forms();
    assert_eq!(forms[0].get("client_id"), Some("agent"));
    assert_eq!(forms[0].get("scope"), Some("read"));
    assert_eq!(forms[1].get("device_code"), Some("d"));
    assert_eq!(forms[2].get("login_hint"), Some("alice"));
    assert_eq!(forms[2].get("binding_message"), Some("K7-42"));
    assert_eq!(forms[2].get("requested_expiry"), Some("100"));
    assert_eq!(forms[3].get("auth_req_id"), Some("d"));
    let without = BackchannelRequest::new(target("read"), "alice");
    let server = source(&script, start).server();
    let begun = without.begin(Arc::new(client()), server, at(common::NOW));
    assert_eq!(code(begun.map(drop)), "oauth.request");
    let none = Arc::new(server_with(&json!({})));
    let begun = DeviceRequest::new(target("read")).begin(Arc::new(client()), none, at(common::NOW));
    assert_eq!(code(begun.map(drop)), "metadata.member");
}

/// CIBA-01, DEV-01: a grant that the server does not list is not requested.
#[test]
fn a_grant_that_is_not_listed() {
    let members = json!({"device_authorization_endpoint": "https://as.example/device",
        "backchannel_authentication_endpoint": "https://as.example/ciba",
        "grant_types_supported": ["authorization_code"]});
    let server = Arc::new(server_with(&members));
    let device = DeviceRequest::new(target("read"));
    let begun = device.begin(Arc::new(client()), Arc::clone(&server), at(common::NOW));
    assert_eq!(code(begun.map(drop)), "grant.unsupported");
    let backchannel = BackchannelRequest::new(target("openid"), "alice");
    let begun = backchannel.begin(Arc::new(client()), server, at(common::NOW));
    assert_eq!(code(begun.map(drop)), "grant.unsupported");
}

/// CIBA-05: an answer without what is needed ends the wait before it begins.
#[tokio::test(start_paused = true)]
async fn an_incomplete_answer() {
    for (status, body, expected) in [
        (200, json!({"expires_in": 100}), "oauth.response"),
        (200, json!({"auth_req_id": "x"}), "oauth.response"),
        (400, json!({"error": "unknown_user_id"}), "oauth.refused"),
        (
            400,
            json!({"error": "invalid_binding_message"}),
            "oauth.refused",
        ),
    ] {
        let script = Script::new(move |_, _| json_answer(status, &body));
        let found = by_backchannel(&script, Instant::now()).await;
        assert_eq!(code(found), expected);
        assert_eq!(script.requests().len(), 1);
    }
}
