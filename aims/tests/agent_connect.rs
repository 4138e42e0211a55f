//! An agent that is given the URL of a tool: it follows the challenges of the tool, once each.

#![cfg(all(feature = "agent", feature = "tool"))]
#![allow(
    clippy::indexing_slicing,
    clippy::unwrap_used,
    reason = "a test fails by panicking"
)]

mod common;
#[path = "common/user.rs"]
mod user;

use std::sync::{Arc, Mutex};

use aims::Agent;
use aims::agent::Error;
use aims::fetch::{Fetch, FetchFuture};
use aims::oauth_client::{Connector, Identities, RevocationSignal, Way};
use aims::oauth_wire::client_auth::PublicClient;
use common::{CALL, Calls, ISSUER, TOOL, Then};
use http::{Request, Response};
use serde_json::json;
use user::User;

/// A tool and its server. The tool answers its calls by this list of challenges, and accepts after
/// them.
#[derive(Clone, Debug)]
struct Net {
    refusals: &'static [(u16, &'static str)],
    calls: Arc<Mutex<Vec<(String, String)>>>,
}

impl Net {
    fn refusing(refusals: &'static [(u16, &'static str)]) -> Self {
        Self {
            refusals,
            calls: Arc::default(),
        }
    }

    fn tokens(&self) -> Vec<String> {
        let calls = self.calls.lock().unwrap();
        calls.iter().map(|(token, _)| token.clone()).collect()
    }
}

impl Fetch for Net {
    fn send(&self, request: Request<Vec<u8>>) -> FetchFuture<'_> {
        let answer = Response::builder().header("content-type", "application/json");
        let path = request.uri().path();
        let body = if path.starts_with("/.well-known/oauth-protected-resource") {
            json!({"resource": TOOL, "authorization_servers": [ISSUER]})
        } else if path.starts_with("/.well-known/") {
            json!({"issuer": ISSUER, "authorization_endpoint": "https://as.example/authorize",
                "token_endpoint": "https://as.example/token",
                "code_challenge_methods_supported": ["S256"]})
        } else if path == "/token" {
            let number = self.calls.lock().unwrap().len();
            json!({"access_token": format!("after{number}"), "token_type": "Bearer",
                "expires_in": 300})
        } else {
            let token = request.headers().get("authorization");
            let token = token.map_or("none", |it| it.to_str().unwrap()).to_owned();
            let content = String::from_utf8(request.body().clone()).unwrap();
            let mut calls = self.calls.lock().unwrap();
            calls.push((token, content));
            let refusal = self.refusals.get(calls.len() - 1);
            let answer = match refusal {
                Some((status, challenge)) => answer
                    .status(*status)
                    .header("www-authenticate", *challenge),
                None => answer,
            };
            let answer = answer.body(Vec::new()).unwrap();
            return Box::pin(std::future::ready(Ok(answer)));
        };
        let answer = answer.body(body.to_string().into_bytes()).unwrap();
        Box::pin(std::future::ready(Ok(answer)))
    }
}

fn agent(net: &Net, user: &User) -> Agent {
    let client = PublicClient::new("app".parse().unwrap());
    let connector = Connector::new(Identities::new().everywhere(client), net.clone())
        .with_clock(Then)
        .accept_issuers([ISSUER.parse().unwrap()])
        .allow_scopes("read write".parse().unwrap())
        .by_user(user.clone());
    Agent::without_identity()
        .clock(Then)
        .connect(TOOL.parse().unwrap(), connector)
        .client(Calls(net.clone()))
        .build()
        .unwrap()
}

async fn call(agent: &Agent) -> Result<u16, Error> {
    let request = Request::post(CALL).body("{}".to_owned()).unwrap();
    Ok(agent.send(request).await?.status().as_u16())
}

const FIRST: (u16, &str) = (401, "Bearer scope=\"read\"");
const WIDER: (u16, &str) = (403, "Bearer error=\"insufficient_scope\", scope=\"write\"");

const BAD: (u16, &str) = (
    400,
    "Bearer error=\"invalid_request\", \
     resource_metadata=\"https://tools.example/.well-known/oauth-protected-resource/mcp\"",
);
const NO_ERROR: &str = "Bearer \
     resource_metadata=\"https://tools.example/.well-known/oauth-protected-resource/mcp\"";

/// Without a token first; a login after the 401; then the token is there.
#[tokio::test]
async fn a_tool_is_connected_at_its_first_refusal() {
    let (net, user) = (Net::refusing(&[FIRST, FIRST]), User::default());
    let agent = agent(&net, &user);
    // The explanation knows the challenge, as the call does.
    let explained = agent.explain(TOOL).await.unwrap().unwrap();
    assert_eq!(explained.way(), Some(Way::User));
    assert_eq!(explained.scopes().unwrap().to_string(), "read");
    assert!(
        agent
            .explain("https://other.example/")
            .await
            .unwrap()
            .is_none()
    );
    assert_eq!(call(&agent).await.unwrap(), 200);
    assert_eq!(call(&agent).await.unwrap(), 200);
    assert_eq!(
        net.tokens(),
        ["none", "none", "Bearer after2", "Bearer after2"]
    );
    let calls = net.calls.lock().unwrap();
    assert!(calls.iter().skip(1).all(|(_, content)| content == "{}"));
    assert_eq!(user.0.lock().unwrap().len(), 1);
}

/// BEAR-02: 401 and 403 are followed once each, whatever follows.
#[tokio::test]
async fn each_refusal_is_followed_once() {
    const NONE: &[(u16, &str)] = &[];
    for (refusals, status, attempts) in [
        (NONE, 200, 1),
        (&[FIRST, WIDER], 200, 3),
        (&[FIRST, FIRST], 401, 2),
        (&[FIRST, WIDER, WIDER], 403, 3),
        (&[FIRST, WIDER, FIRST], 401, 3),
        (
            &[(403, "Bearer error=\"insufficient_scope\", scope=\"write\"")],
            403,
            1,
        ),
        (&[FIRST, (403, "")], 403, 2),
        (
            &[FIRST, (403, "Bearer error=\"insufficient_scope\"")],
            403,
            2,
        ),
        (&[(401, "")], 200, 2),
        // T-29: the example of RFC 9728 §5.1.
        (&[BAD], 200, 2),
        (&[FIRST, BAD], 400, 2),
        (&[(400, "Bearer error=\"invalid_request\"")], 400, 1),
        (&[(400, NO_ERROR)], 400, 1),
        (&[FIRST, (500, "Bearer error=\"invalid_token\"")], 500, 2),
    ] {
        let (net, user) = (Net::refusing(refusals), User::default());
        assert_eq!(
            call(&agent(&net, &user)).await.unwrap(),
            status,
            "{refusals:?}"
        );
        assert_eq!(net.tokens().len(), attempts, "{refusals:?}");
    }
}

/// The widened request has the union of the scopes; more than is allowed is an error.
#[tokio::test]
async fn more_is_requested_only_within_what_is_allowed() {
    let (net, user) = (Net::refusing(&[FIRST, WIDER]), User::default());
    assert_eq!(call(&agent(&net, &user)).await.unwrap(), 200);
    let logins = user.0.lock().unwrap().clone();
    assert!(logins[0].contains("scope=read") && !logins[0].contains("write"));
    assert!(logins[1].contains("scope=read+write"));
    let admin = "Bearer error=\"insufficient_scope\", scope=\"admin\"";
    let refusals: &'static [(u16, &str)] = Box::leak(Box::new([FIRST, (403, admin)]));
    let (net, user) = (Net::refusing(refusals), User::default());
    let error = call(&agent(&net, &user)).await.unwrap_err();
    assert_eq!(error.code(), "connect.scope");
    assert_eq!(user.0.lock().unwrap().len(), 1);
}

/// STEP-02: a better login is made once for each requirement.
#[tokio::test]
async fn a_better_login_is_made_once() {
    const GOLD: (u16, &str) = (
        401,
        "Bearer error=\"insufficient_user_authentication\", acr_values=\"gold\"",
    );
    let (net, user) = (Net::refusing(&[FIRST, GOLD, GOLD]), User::default());
    let agent = agent(&net, &user);
    assert_eq!(call(&agent).await.unwrap(), 401);
    assert_eq!(net.tokens().len(), 3);
    let logins = user.0.lock().unwrap().clone();
    assert!(logins[1].contains("acr_values=gold"));
    assert_eq!(logins.len(), 2);
}

/// A body that cannot be sent again is not: the refusal is the answer.
#[tokio::test]
async fn a_long_body_is_sent_once() {
    let (net, user) = (Net::refusing(&[FIRST]), User::default());
    let agent = agent(&net, &user);
    let long = "x".repeat(2 * 1024 * 1024);
    let request = Request::post(CALL).body(long).unwrap();
    assert_eq!(agent.send(request).await.unwrap().status(), 401);
    assert_eq!(net.tokens(), ["none"]);
    assert!(user.0.lock().unwrap().is_empty());
}

/// `prepare` connects first, because it sees no answer.
#[tokio::test]
async fn a_prepared_request_has_a_token() {
    let (net, user) = (Net::refusing(&[]), User::default());
    let agent = agent(&net, &user);
    let mut request = Request::post(CALL).body(()).unwrap();
    drop(agent.prepare(&mut request, "{}").await.unwrap());
    assert_eq!(request.headers()["authorization"], "Bearer after0");
    let error = aims::oauth_client::Error::NeedsUser { last: None };
    let error = Error::from(error);
    assert!(error.needs_user() && !error.is_retryable());
}

/// A revocation signal of the server drops the token of the agent: the next call does not use it.
#[tokio::test]
async fn a_revocation_signal_is_obeyed() {
    let (net, user) = (Net::refusing(&[FIRST]), User::default());
    let agent = agent(&net, &user);
    assert_eq!(call(&agent).await.unwrap(), 200);
    let of = |issuer: &str| RevocationSignal::of_issuer(issuer.parse().unwrap());
    let other = agent.drop_revoked(&of("https://other.example")).await;
    assert_eq!(other.unwrap(), 0);
    assert_eq!(call(&agent).await.unwrap(), 200);
    let dropped = agent.drop_revoked(&of(ISSUER).session("s1")).await;
    assert_eq!(dropped.unwrap(), 1);
    assert_eq!(call(&agent).await.unwrap(), 200);
    assert_eq!(
        net.tokens(),
        ["none", "Bearer after1", "Bearer after1", "Bearer after3"]
    );
    assert_eq!(user.0.lock().unwrap().len(), 2);
}
