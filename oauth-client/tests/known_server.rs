//! The metadata of a server that is known: how old they may get, and whose they are.

#![cfg(feature = "tokio")]
#![allow(
    clippy::indexing_slicing,
    clippy::unwrap_used,
    reason = "a test fails by panicking"
)]

mod common;

use std::sync::{Arc, Mutex};
use std::time::Duration;

use aims_fetch::Limits;
use aims_oauth_client::{KnownServer, discovery};
use common::{Paused, Script, code, json_answer, sleep};
use serde_json::json;
use tokio::time::Instant;

/// The issuer of the document, or `None` if the server fails.
type Served = Arc<Mutex<Option<&'static str>>>;

fn server() -> (Script, Served) {
    let served: Served = Arc::new(Mutex::new(Some("https://as.example")));
    let own = Arc::clone(&served);
    let script = Script::new(move |_, _| match *own.lock().unwrap() {
        Some(issuer) => json_answer(
            200,
            &json!({"issuer": issuer,
            "token_endpoint": "https://as.example/token"}),
        ),
        None => json_answer(503, &json!({})),
    });
    (script, served)
}

const AGE: Duration = Duration::from_secs(7_200);

/// META-06: metadata that cannot be confirmed are used until their maximum age, and not a second
/// longer, also if the server was asked shortly before.
#[tokio::test(start_paused = true)]
async fn metadata_are_never_older_than_their_age() {
    let ((script, served), clock) = (server(), Paused(Instant::now()));
    let issuer = "https://as.example".parse().unwrap();
    let known = KnownServer::discover(&issuer, &script, &clock)
        .await
        .unwrap();
    *served.lock().unwrap() = None;
    sleep(7_190).await;
    assert_eq!(code(known.current(AGE, &script, &clock).await), "ok");
    sleep(10).await;
    let old = known.current(AGE, &script, &clock).await;
    assert_eq!(code(old), "metadata.response");
    *served.lock().unwrap() = Some("https://as.example");
    assert_eq!(code(known.current(AGE, &script, &clock).await), "ok");
}

/// META-02, META-06: after discovery, the spelling of the server counts: a document with another
/// one replaces nothing, and is an error when the known one is too old.
#[tokio::test(start_paused = true)]
async fn a_known_server_keeps_its_name() {
    let ((script, served), clock) = (server(), Paused(Instant::now()));
    let issuer = "https://as.example".parse().unwrap();
    let known = KnownServer::discover(&issuer, &script, &clock)
        .await
        .unwrap();
    *served.lock().unwrap() = Some("https://as.example/");
    sleep(3_600).await;
    let kept = known.current(AGE, &script, &clock).await.unwrap();
    assert_eq!(kept.issuer().as_str(), "https://as.example");
    sleep(3_600).await;
    let renamed = known.current(AGE, &script, &clock).await;
    assert_eq!(code(renamed), "metadata.issuer");
}

/// META-03: an answer of any size is requested of no server.
#[test]
fn documents_have_a_maximum_size() {
    let most = Some(256 * 1024);
    let issuer = "https://as.example".parse().unwrap();
    let (request, _pending) = discovery::server(&issuer).unwrap();
    assert_eq!(Limits::of(&request).max_body(), most);
    let tool = "https://tools.example/mcp".parse().unwrap();
    let (request, _pending) = discovery::resource(&tool, []).unwrap();
    assert_eq!(Limits::of(&request).max_body(), most);
}
