//! The receiver on this machine: it accepts the answer to its login, and nothing else.

#![cfg(feature = "loopback")]
#![allow(
    clippy::indexing_slicing,
    clippy::unwrap_used,
    reason = "a test fails by panicking"
)]

mod common;

use std::sync::{Arc, Mutex};
use std::time::Duration;

use aims_jose::random::SYSTEM;
use aims_oauth_client::{
    AuthorizationRequest, Authorizing, Error, Loopback, Receive as _, Step, Target,
};
use aims_oauth_wire::client_auth::PublicClient;
use common::{NOW, at, code, server_with};
use serde_json::json;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::task::JoinHandle;

struct Login {
    port: u16,
    state: String,
    answer: JoinHandle<Result<String, Error>>,
    opened: Arc<Mutex<Vec<String>>>,
}

fn authorizing(redirect: &aims_oauth_client::RedirectUri) -> Authorizing {
    let members = json!({"authorization_endpoint": "https://as.example/authorize",
        "code_challenge_methods_supported": ["S256"]});
    let target = Target::new(
        "https://tools.example/mcp".parse().unwrap(),
        "a".parse().unwrap(),
    );
    let client = Arc::new(PublicClient::new("app".parse().unwrap()));
    let request = AuthorizationRequest::new(redirect.clone(), target);
    let server = Arc::new(server_with(&members));
    match request
        .begin(client, server, None, SYSTEM, at(NOW))
        .unwrap()
    {
        Step::Done(authorizing) => authorizing,
        other => unreachable!("{other:?}"),
    }
}

async fn login(patience: Duration) -> Login {
    let opened: Arc<Mutex<Vec<String>>> = Arc::default();
    let seen = Arc::clone(&opened);
    let loopback = Loopback::new(move |url| {
        seen.lock().unwrap().push(url.to_owned());
        Ok(())
    });
    let loopback = loopback
        .with_timeout(patience)
        .with_page("All is <b>well</b>.");
    let receiving = loopback.begin().await.unwrap();
    let redirect = receiving.redirect_uri().clone();
    let port = redirect.as_str().strip_prefix("http://127.0.0.1:").unwrap();
    let port = port.strip_suffix("/callback").unwrap().parse().unwrap();
    let authorizing = authorizing(&redirect);
    let url = url::Url::parse(authorizing.url()).unwrap();
    let state = url
        .query_pairs()
        .find(|(name, _)| name == "state")
        .unwrap()
        .1
        .into_owned();
    let answer = tokio::spawn(async move { receiving.receive(&authorizing).await });
    Login {
        port,
        state,
        answer,
        opened,
    }
}

impl Login {
    async fn send(&self, text: &str) -> String {
        let mut stream = TcpStream::connect(("127.0.0.1", self.port)).await.unwrap();
        stream.write_all(text.as_bytes()).await.unwrap();
        let mut answer = String::new();
        let _reset = stream.read_to_string(&mut answer).await;
        answer
    }

    async fn get(&self, target: &str) -> String {
        let host = format!("127.0.0.1:{}", self.port);
        self.send(&format!("GET {target} HTTP/1.1\r\nHost: {host}\r\n\r\n"))
            .await
    }
}

const LONG: Duration = Duration::from_secs(60);

/// CORE-13, BCP-10: the answer comes to the very URI, the code leaves the history, and the page at
/// the end loads nothing and sends no referrer.
#[tokio::test]
async fn the_answer_is_received() {
    let login = login(LONG).await;
    let query = format!("code=c0de&state={}", login.state);
    let answer = login.get(&format!("/callback?{query}")).await;
    assert!(
        answer.starts_with("HTTP/1.1 303 See Other\r\nlocation: /done\r\n"),
        "{answer}"
    );
    let page = login.get("/done").await;
    assert!(page.starts_with("HTTP/1.1 200 OK\r\n"), "{page}");
    for field in [
        "referrer-policy: no-referrer",
        "content-security-policy: default-src 'none'",
        "cache-control: no-store",
        "x-frame-options: DENY",
    ] {
        assert!(page.contains(field), "{field}");
    }
    assert!(page.contains("All is &lt;b&gt;well&lt;/b&gt;.") && !page.contains("c0de"));
    assert_eq!(login.opened.lock().unwrap().len(), 1);
    assert_eq!(login.answer.await.unwrap().unwrap(), query);
}

/// An answer for another request, of another site, by another method or to another path gets an
/// error, and the login waits on.
#[tokio::test]
async fn other_requests_end_nothing() {
    let login = login(LONG).await;
    let own = format!("/callback?code=c&state={}", login.state);
    let port = login.port;
    for (request, expected) in [
        (
            format!("GET /callback?code=c&state=other HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\n\r\n"),
            400,
        ),
        (
            format!("GET /callback?code=c HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\n\r\n"),
            400,
        ),
        (
            format!("GET {own} HTTP/1.1\r\nHost: evil.example:{port}\r\n\r\n"),
            404,
        ),
        (format!("GET {own} HTTP/1.1\r\n\r\n"), 404),
        (
            format!("POST {own} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\n\r\n"),
            404,
        ),
        (
            format!("GET /favicon.ico HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\n\r\n"),
            404,
        ),
        (
            format!("GET /done HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\n\r\n"),
            404,
        ),
    ] {
        let answer = login.send(&request).await;
        assert!(
            answer.starts_with(&format!("HTTP/1.1 {expected} ")),
            "{request}{answer}"
        );
    }
    // A head without an end, and a connection that says nothing.
    assert_eq!(login.send(&"x".repeat(40_000)).await, "");
    let _silent = TcpStream::connect(("127.0.0.1", port)).await.unwrap();
    assert!(!login.answer.is_finished());
    let accepted = login.get(&own).await;
    assert!(accepted.starts_with("HTTP/1.1 303 "), "{accepted}");
    // The second answer is too late.
    assert!(login.get(&own).await.starts_with("HTTP/1.1 410 "));
    login.answer.await.unwrap().unwrap();
}

/// A user who never answers, and a browser that cannot be opened.
#[tokio::test]
async fn nobody_answers() {
    let login = login(Duration::from_millis(50)).await;
    let error = login.answer.await.unwrap().unwrap_err();
    assert!(error.needs_user());
    assert_eq!(error.code(), "authorize.timeout");
    let broken = Loopback::new(|_| Err("no browser here".into()));
    let receiving = broken.begin().await.unwrap();
    let login = authorizing(receiving.redirect_uri());
    assert_eq!(code(receiving.receive(&login).await), "authorize.browser");
}
