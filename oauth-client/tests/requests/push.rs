//! The end of pushed requests.

use std::sync::{Arc, Mutex};

use aims_jose::random::SYSTEM;
use aims_oauth_client::{AuthorizationRequest, drive};
use serde_json::json;
use tokio::time::Instant;

use super::world::{REDIRECT, User, connector, query, server, target, token, world};
use crate::common::{NOW, Paused, Script, at, client, code, json_answer};

/// PAR-02: a pushed request that has ended is pushed again before the browser opens it.
#[tokio::test(start_paused = true)]
async fn a_pushed_request_that_has_ended_is_pushed_again() {
    for (lifetimes, expected) in [
        ([json!(60), json!(60)], "urn:0"),
        ([json!(0), json!(60)], "urn:1"),
        ([json!(null), json!(60)], "urn:0"),
        ([json!("x"), json!(60)], "oauth.response"),
    ] {
        let push = json!({"pushed_authorization_request_endpoint": "https://as.example/par"});
        let (inner, count) = (world(&push), Mutex::new(0));
        let script = Script::new(move |request, number| match request.uri().path() {
            "/par" => {
                let mut count = count.lock().unwrap();
                let uri = format!("urn:{count}");
                let body = json!({"request_uri": uri, "expires_in": lifetimes[*count]});
                *count += 1;
                json_answer(201, &body)
            }
            _ => inner.answer(request, number),
        });
        let user = User::default();
        let connector = connector(&script).by_user(user.clone());
        // The user of the test does not know `state`, which was pushed.
        let outcome = code(token(&connector).await);
        let asked = user.0.lock().unwrap().first().map(|it| query(it));
        match asked {
            Some(asked) => assert_eq!(asked["request_uri"], expected),
            None => assert_eq!(outcome, expected),
        }
    }
}

/// PAR-02: a program learns when the URL ends.
#[tokio::test(start_paused = true)]
async fn a_pushed_request_says_when_it_ends() {
    let push = json!({"pushed_authorization_request_endpoint": "https://as.example/par"});
    for (members, expected) in [(&push, Some(at(NOW + 60))), (&json!({}), None)] {
        let script = Script::new(|_, _| {
            json_answer(201, &json!({"request_uri": "urn:x", "expires_in": 60}))
        });
        let request = AuthorizationRequest::new(REDIRECT.parse().unwrap(), target());
        let first = request.begin(Arc::new(client()), server(members), None, SYSTEM, at(NOW));
        let clock = Paused(Instant::now());
        let authorizing = drive(first.unwrap(), &script, &clock).await.unwrap();
        assert_eq!(authorizing.expires(), expected);
    }
}
