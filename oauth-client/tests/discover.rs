//! From a tool to tokens for it: the tool's metadata, the server that it names, and which parts the
//! client trusts.

#![cfg(feature = "tokio")]
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod common;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use aims_fetch::{Fetch, FetchFuture};
use aims_oauth_client::{Error, TokenSource};
use aims_oauth_wire::names::Issuer;
use common::{client, code};
use http::{Request, Response};
use serde_json::{Value, json};

const TOOL: &str = "https://tools.example/mcp";
const TOOL_AT: &str = "https://tools.example/.well-known/oauth-protected-resource/mcp";
const SERVER_AT: &str = "https://as.example/.well-known/oauth-authorization-server";
const OPENID_AT: &str = "https://as.example/.well-known/openid-configuration";
const TOKEN_AT: &str = "https://as.example/token";

/// Documents by their URL, and the requests for them.
#[derive(Clone, Debug)]
struct Web {
    at: BTreeMap<&'static str, Value>,
    asked: Arc<Mutex<Vec<String>>>,
}

impl Web {
    /// Returns valid documents.
    fn good() -> Self {
        let tool = json!({"resource": TOOL, "authorization_servers": ["https://evil.example", "https://as.example"]});
        let server = json!({"issuer": "https://as.example", "token_endpoint": TOKEN_AT, "protected_resources": [TOOL]});
        let token = json!({"access_token": "t0", "token_type": "Bearer", "expires_in": 300});
        Self {
            at: BTreeMap::from([(TOOL_AT, tool), (SERVER_AT, server), (TOKEN_AT, token)]),
            asked: Arc::default(),
        }
    }

    /// Returns the documents with one member of one document changed.
    fn but(place: &'static str, member: &str, value: Value) -> Self {
        let mut web = Self::good();
        web.at.get_mut(place).unwrap()[member] = value;
        web
    }

    async fn source(&self) -> Result<TokenSource, Error> {
        let accepted: [Issuer; 1] = ["https://as.example".parse().unwrap()];
        TokenSource::discover(&TOOL.parse().unwrap(), &accepted, client(), self.clone()).await
    }

    fn asked(&self) -> Vec<String> {
        self.asked.lock().unwrap().clone()
    }
}

impl Fetch for Web {
    fn send(&self, request: Request<Vec<u8>>) -> FetchFuture<'_> {
        let url = request.uri().to_string();
        let document = self.at.get(url.as_str()).cloned();
        self.asked.lock().unwrap().push(url);
        Box::pin(async move {
            if document == Some(json!("hangs")) {
                std::future::pending::<()>().await;
            }
            if document == Some(json!("away")) {
                return Err(aims_fetch::Error::Timeout);
            }
            let status = if document.is_some() { 200 } else { 404 };
            let answer = Response::builder().status(status);
            let answer = answer.header("content-type", "application/json");
            let answer = answer.header("cache-control", "no-store");
            Ok(answer
                .body(document.unwrap_or_default().to_string().into_bytes())
                .unwrap())
        })
    }
}

/// One call leads from the URL of a tool to tokens for it.
#[tokio::test(start_paused = true)]
async fn a_tool_leads_to_its_tokens() {
    let web = Web::good();
    let source = web.source().await.unwrap();
    assert_eq!(source.issuer().as_str(), "https://as.example");
    assert_eq!(web.asked(), [TOOL_AT, SERVER_AT]);
    let token = common::ask_for(&source, TOOL, "read").await.unwrap();
    assert_eq!(token, common::token(0));
    assert_eq!(web.asked(), [TOOL_AT, SERVER_AT, TOKEN_AT]);
    let mut openid = Web::good();
    let server = openid.at.remove(SERVER_AT).unwrap();
    openid.at.insert(OPENID_AT, server);
    assert_eq!(code(openid.source().await), "ok");
    assert_eq!(openid.asked(), [TOOL_AT, SERVER_AT, OPENID_AT]);
}

/// PRM-03, PRM-06, META-02: each document for something else ends discovery, and nothing is
/// requested after it.
#[tokio::test(start_paused = true)]
async fn each_document_is_judged() {
    for (web, expected, asked) in [
        (
            Web::but(TOOL_AT, "resource", json!("https://tools.example/mcp/")),
            "metadata.resource",
            1,
        ),
        (
            Web::but(TOOL_AT, "resource", json!("https://tools.example")),
            "metadata.resource",
            1,
        ),
        (
            Web::but(
                TOOL_AT,
                "authorization_servers",
                json!(["https://evil.example"]),
            ),
            "discovery.no_server",
            1,
        ),
        (
            Web::but(
                TOOL_AT,
                "authorization_servers",
                json!(["https://as.example/a/"]),
            ),
            "discovery.no_server",
            1,
        ),
        (
            Web::but(
                TOOL_AT,
                "authorization_servers",
                json!(["http://as.example"]),
            ),
            "metadata.member",
            1,
        ),
        (
            Web::but(SERVER_AT, "issuer", json!("https://evil.example")),
            "metadata.issuer",
            2,
        ),
        (
            Web::but(
                SERVER_AT,
                "protected_resources",
                json!(["https://tools.example"]),
            ),
            "discovery.not_served",
            2,
        ),
    ] {
        assert_eq!(code(web.source().await), expected);
        assert_eq!(web.asked().len(), asked, "{expected}");
    }
    for (place, asked) in [(TOOL_AT, 1), (SERVER_AT, 3)] {
        let mut web = Web::good();
        web.at.remove(place);
        assert_eq!(code(web.source().await), "discovery.not_found");
        assert_eq!(web.asked().len(), asked, "{:?}", web.asked());
    }
}

/// The errors say what was expected, what was found, and what to do.
#[tokio::test(start_paused = true)]
async fn errors_name_the_tool_and_the_servers() {
    let told = |error: Error| aims_jose::Chain(&error).to_string();
    let mut web = Web::good();
    web.at.remove(TOOL_AT);
    let error = told(web.source().await.unwrap_err());
    for part in [TOOL, TOOL_AT, "404", "byte for byte the tool's URL"] {
        assert!(error.contains(part), "{error}");
    }
    let web = Web::but(TOOL_AT, "resource", json!("https://tools.example/mcp/"));
    let error = told(web.source().await.unwrap_err());
    for part in [
        TOOL,
        "`https://tools.example/mcp/`",
        "byte for byte",
        TOOL_AT,
    ] {
        assert!(error.contains(part), "{error}");
    }
    let other = json!(["https://evil.example"]);
    let web = Web::but(TOOL_AT, "authorization_servers", other);
    let error = told(web.source().await.unwrap_err());
    for part in [TOOL, "`https://evil.example`", "`https://as.example`"] {
        assert!(error.contains(part), "{error}");
    }
}

/// A server that does not answer ends discovery by the timeout.
#[tokio::test(start_paused = true)]
async fn it_ends_in_any_case() {
    for (place, how) in [
        (TOOL_AT, "hangs"),
        (SERVER_AT, "hangs"),
        (TOOL_AT, "away"),
        (SERVER_AT, "away"),
    ] {
        let mut web = Web::good();
        web.at.insert(place, json!(how));
        assert_eq!(code(web.source().await), "grant.transport", "{place} {how}");
    }
}

/// F-14: without a runtime there is an error, and no panic.
#[test]
fn without_a_runtime_nothing_is_asked() {
    let web = Web::good();
    let mut asking = Box::pin(web.source());
    let mut context = std::task::Context::from_waker(std::task::Waker::noop());
    let std::task::Poll::Ready(told) = asking.as_mut().poll(&mut context) else {
        unreachable!("nothing is waited for");
    };
    assert_eq!(code(told), "grant.interrupted");
    assert!(web.asked().is_empty());
}
