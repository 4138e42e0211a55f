//! The pings that tell a client of a decision.

use serde_json::{Value, json};

use super::payer::{ask, decide, details, good, id, key, payer, post, with, with_payer};
use crate::common::endpoint::refused;
use crate::common::now;

const PING: &str = "https://payer.example/ping";

const PING_TOKEN: &str = "8d67dc78-7faa-4d41-aabd-67707b374255";

/// CIBA-08, CIBA-30: a ping has the id and the token of the client, and goes out once.
#[test]
fn a_ping_tells_of_the_decision() {
    let key = key();
    let client = payer(&key).backchannel_ping(PING);
    let authority = with_payer(client).build(now()).unwrap();
    let details = details();
    let good = with(&good(&details), "client_notification_token", PING_TOKEN);
    let long = "x".repeat(1_025);
    for token in [
        "",
        "short",
        "with blanks in it 0123456789",
        "=".repeat(30).as_str(),
        &long,
    ] {
        let found = ask(
            &authority,
            &key,
            &with(&good, "client_notification_token", token),
            now(),
        );
        assert_eq!(found, refused(400, "invalid_request"), "{token}");
    }
    for decision in ["allow", "deny"] {
        let id = id(&ask(&authority, &key, &good, now()).unwrap());
        assert!(authority.take_ping().is_none());
        decide(&authority, decision, now());
        let ping = authority.take_ping().unwrap();
        assert_eq!(ping.method(), "POST");
        assert_eq!(ping.uri(), PING);
        let bearer = format!("Bearer {PING_TOKEN}");
        assert_eq!(ping.headers()["authorization"], bearer.as_str());
        assert_eq!(ping.headers()["content-type"], "application/json");
        let body: Value = serde_json::from_slice(ping.body()).unwrap();
        assert_eq!(body, json!({ "auth_req_id": id }));
        assert!(authority.take_ping().is_none());
        let debug = format!("{:?}", authority.oauth());
        assert!(!debug.contains(PING_TOKEN) && !debug.contains(&id));
    }
}

/// A ping whose request was refused or given up is not kept.
#[test]
fn no_ping_is_kept_for_a_request_that_waits_no_more() {
    let key = key();
    let client = payer(&key).backchannel_ping(PING);
    let authority = with_payer(client).build(now()).unwrap();
    let details = details();
    let good = with(&good(&details), "client_notification_token", PING_TOKEN);
    let kept = || format!("{:?}", authority.oauth()).matches("Ping {").count();
    let id = id(&ask(&authority, &key, &good, now()).unwrap());
    assert_eq!(kept(), 1);
    let busy = refused(429, "temporarily_unavailable");
    assert_eq!(ask(&authority, &key, &good, now()), busy);
    assert_eq!(kept(), 1);
    let all = [("token", id.as_str())];
    post(&authority, "/revoke", ("payer", &key), &all, now());
    assert_eq!(kept(), 0);
}
