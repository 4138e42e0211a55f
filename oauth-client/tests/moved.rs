//! A server whose metadata changes while its tokens are used.

#![cfg(feature = "tokio")]
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod common;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use aims_fetch::{Fetch, FetchFuture};
use aims_oauth_client::TokenSource;
use aims_oauth_wire::names::Issuer;
use common::{Paused, ask_for, client, code, sleep};
use http::{Request, Response};
use serde_json::{Value, json};
use tokio::time::Instant;

const TOOL: &str = "https://tools.example/mcp";
const TOOL_AT: &str = "https://tools.example/.well-known/oauth-protected-resource/mcp";
const OAUTH: &str = "https://as.example/.well-known/oauth-authorization-server";
const OPENID: &str = "https://as.example/.well-known/openid-configuration";
const OLD: &str = "https://as.example/token";
const NEW: &str = "https://as.example/v2/token";
const HOUR: u64 = 3_600;

/// Documents by their URL, and the requests since the last look.
#[derive(Clone, Debug, Default)]
struct Web(Arc<Mutex<State>>);

type State = (BTreeMap<&'static str, Value>, Vec<String>);

impl Web {
    fn new() -> Self {
        let web = Self::default();
        let tool = json!({"resource": TOOL, "authorization_servers": ["https://as.example"]});
        web.set(TOOL_AT, tool);
        web.set(OPENID, server(OLD));
        web.set(OLD, token());
        web
    }

    fn set(&self, place: &'static str, document: Value) {
        self.0.lock().unwrap().0.insert(place, document);
    }

    fn remove(&self, place: &'static str) {
        self.0.lock().unwrap().0.remove(place);
    }

    fn asked(&self) -> Vec<String> {
        std::mem::take(&mut self.0.lock().unwrap().1)
    }

    async fn source(&self) -> TokenSource {
        let accepted: [Issuer; 1] = ["https://as.example".parse().unwrap()];
        let tool = TOOL.parse().unwrap();
        let source = TokenSource::discover(&tool, &accepted, client(), self.clone()).await;
        let source = source.unwrap().with_clock(Paused(Instant::now()));
        assert_eq!(self.asked(), [TOOL_AT, OAUTH, OPENID]);
        source
    }
}

fn server(token_endpoint: &str) -> Value {
    json!({"issuer": "https://as.example", "token_endpoint": token_endpoint})
}

fn token() -> Value {
    json!({"access_token": "t0", "token_type": "Bearer", "expires_in": 300})
}

impl Fetch for Web {
    fn send(&self, request: Request<Vec<u8>>) -> FetchFuture<'_> {
        let url = request.uri().to_string();
        let mut web = self.0.lock().unwrap();
        let document = web.0.get(url.as_str()).cloned();
        web.1.push(url);
        Box::pin(async move {
            let document = document.unwrap_or_else(|| json!(404));
            if document == json!("away") {
                return Err(aims_fetch::Error::Timeout);
            }
            let status = document
                .as_u64()
                .map_or(200, |it| u16::try_from(it).unwrap());
            let answer = Response::builder().status(status);
            let answer = answer.header("content-type", "application/json");
            Ok(answer.body(document.to_string().into_bytes()).unwrap())
        })
    }
}

async fn ask(source: &TokenSource) -> &'static str {
    code(ask_for(source, TOOL, "read").await)
}

/// After an hour only the URL that returned the document is asked.
#[tokio::test(start_paused = true)]
async fn a_token_endpoint_that_moves_is_found() {
    let web = Web::new();
    let source = web.source().await;
    assert_eq!(ask(&source).await, "ok");
    web.set(OPENID, server(NEW));
    web.set(NEW, token());
    // A document at another URL does not count while the first one does.
    web.set(OAUTH, server("https://as.example/other"));
    sleep(HOUR - 1).await;
    assert_eq!(ask(&source).await, "ok");
    assert_eq!(web.asked(), [OLD, OLD]);
    sleep(HOUR).await;
    assert_eq!(ask(&source).await, "ok");
    assert_eq!(web.asked(), [OPENID, NEW]);
    assert_eq!(source.server().token_endpoint().unwrap().as_str(), NEW);
}

/// If the token endpoint does not answer like one, the metadata is fetched before the hour is over.
/// An error response is an answer, and does not cause this.
#[tokio::test(start_paused = true)]
async fn a_token_endpoint_that_is_lost_is_looked_for() {
    for (answer, expected, asked) in [
        (json!(404), "oauth.response", &[OPENID, NEW][..]),
        (json!("away"), "grant.transport", &[OPENID, NEW]),
        (json!({"error": "invalid_client"}), "oauth.refused", &[OLD]),
    ] {
        let web = Web::new();
        let source = web.source().await;
        web.set(OLD, answer);
        web.set(OPENID, server(NEW));
        web.set(NEW, token());
        sleep(61).await;
        assert_eq!(ask(&source).await, expected);
        assert_eq!(web.asked(), [OLD]);
        sleep(2).await;
        let _outcome = ask(&source).await;
        assert_eq!(web.asked(), asked, "{expected}");
    }
}

/// A missing document, or one of another issuer, changes nothing before the maximum age. After it
/// all URLs are asked, and without a document there are no tokens.
#[tokio::test(start_paused = true)]
async fn the_last_document_counts_for_its_age() {
    let foreign =
        json!({"issuer": "https://evil.example", "token_endpoint": "https://evil.example"});
    let other = json!({
        "issuer": "https://as.example", "token_endpoint": NEW, "protected_resources": [],
    });
    for (document, late) in [
        (json!("away"), "discovery.not_found"),
        (foreign, "metadata.issuer"),
        (other, "discovery.not_served"),
        (json!(404), "discovery.not_found"),
    ] {
        let web = Web::new();
        let source = web
            .source()
            .await
            .with_metadata_age(Duration::from_secs(3 * HOUR));
        web.set(OPENID, document.clone());
        for _ in 0..2 {
            sleep(HOUR).await;
            assert_eq!(ask(&source).await, "ok");
            assert_eq!(web.asked(), [OPENID, OLD], "{late}");
        }
        sleep(HOUR).await;
        let told = ask(&source).await;
        assert_eq!(web.asked(), [OAUTH, OPENID], "{late}");
        let late = if document == json!("away") {
            "grant.transport"
        } else {
            late
        };
        assert_eq!(told, late);
        // As soon as there is a document again, at any URL, there are tokens.
        web.remove(OPENID);
        web.set(OAUTH, server(OLD));
        sleep(61).await;
        assert_eq!(ask(&source).await, "ok", "{late}");
        assert_eq!(web.asked(), [OAUTH, OLD]);
    }
}

/// Metadata that the caller gave is never fetched.
#[tokio::test(start_paused = true)]
async fn given_metadata_stay() {
    let web = Web::new();
    let source = TokenSource::new(common::metadata(), client(), web.clone());
    let source = source.with_clock(Paused(Instant::now()));
    for _ in 0..3 {
        assert_eq!(ask(&source).await, "ok");
        assert_eq!(web.asked(), [OLD]);
        sleep(48 * HOUR).await;
    }
}
