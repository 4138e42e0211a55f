//! An agent whose tool requires the approval of a person: it asks once, for its own call.

#![cfg(all(feature = "agent", feature = "tool"))]
#![allow(
    clippy::indexing_slicing,
    clippy::unwrap_used,
    reason = "a test fails by panicking"
)]

mod common;

use std::sync::{Arc, Mutex};

use aims::Agent;
use aims::ErrorKind;
use aims::agent::{AgentBuilder, Error};
use aims::fetch::{Fetch, FetchFuture};
use aims::oauth_client::{ByBackchannel, TokenSource};
use aims::oauth_wire::call::ToolCall;
use aims::oauth_wire::client_auth::PublicClient;
use aims::oauth_wire::metadata::ServerMetadata;
use aims::oauth_wire::token::Form;
use common::{CALL, Calls, ISSUER, TOOL, Then};
use http::{Request, Response};
use serde_json::{Value, json};

const REFUSED: &str = "Bearer error=\"insufficient_authorization_details\"";

/// A server and a tool. The tool accepts approved tokens alone.
#[derive(Clone, Debug)]
struct Net {
    /// The answer of the person: `ok`, or an error.
    decision: &'static str,
    /// The answer of the tool to a token that was not approved.
    refusal: (u16, &'static str),
    /// The details of the person who was asked last.
    asked: Arc<Mutex<String>>,
    /// The scopes and the login that the person was asked for.
    demanded: Arc<Mutex<Vec<String>>>,
    /// Whether the tool accepts the approval.
    accepts: bool,
    seen: Arc<Mutex<Vec<String>>>,
}

impl Net {
    fn new(decision: &'static str) -> Self {
        Self {
            decision,
            refusal: (403, REFUSED),
            asked: Arc::default(),
            demanded: Arc::default(),
            accepts: true,
            seen: Arc::default(),
        }
    }

    fn seen(&self) -> Vec<String> {
        self.seen.lock().unwrap().clone()
    }
}

impl Fetch for Net {
    fn send(&self, request: Request<Vec<u8>>) -> FetchFuture<'_> {
        let json = |status: u16, body: Value| {
            let answer = Response::builder().status(status);
            let answer = answer.header("content-type", "application/json");
            answer.body(body.to_string().into_bytes()).unwrap()
        };
        let mut seen = self.seen.lock().unwrap();
        assert!(seen.len() < 20, "the agent asks without end: {seen:?}");
        let answer = match request.uri().path() {
            "/ciba" => {
                let form = Form::parse(request.body()).unwrap();
                let details = form.get("authorization_details").unwrap();
                seen.push(format!("asked {details}"));
                for name in ["scope", "acr_values"] {
                    let value = form.get(name).unwrap_or_default();
                    self.demanded.lock().unwrap().push(value.to_owned());
                }
                *self.asked.lock().unwrap() = details.to_owned();
                json(200, json!({"auth_req_id": "d", "expires_in": 60}))
            }
            "/token" => {
                let form = Form::parse(request.body()).unwrap();
                let is_approval = form.get("auth_req_id").is_some();
                let token = if is_approval { "approved" } else { "plain" };
                match self.decision {
                    error if is_approval && error != "ok" => json(400, json!({ "error": error })),
                    _ => {
                        let mut body = json!({"access_token": token, "token_type": "Bearer", "expires_in": 120});
                        if is_approval {
                            let details = self.asked.lock().unwrap();
                            body["authorization_details"] = serde_json::from_str(&details).unwrap();
                        }
                        json(200, body)
                    }
                }
            }
            _ => {
                let token = request.headers()["authorization"]
                    .to_str()
                    .unwrap()
                    .to_owned();
                let body = String::from_utf8(request.body().clone()).unwrap();
                let is_approved = token == "Bearer approved" && self.accepts;
                seen.push(format!("{token} {body}"));
                let (status, challenge) = self.refusal;
                let answer = Response::builder();
                match is_approved {
                    true => answer.body(Vec::new()).unwrap(),
                    false => answer
                        .status(status)
                        .header("www-authenticate", challenge)
                        .body(b"{\"authorization_details\":[{\"type\":\"aims_tool\"}]}".to_vec())
                        .unwrap(),
                }
            }
        };
        Box::pin(std::future::ready(Ok(answer)))
    }
}

fn server() -> ServerMetadata {
    let json = json!({
        "issuer": ISSUER, "token_endpoint": "https://as.example/token",
        "backchannel_authentication_endpoint": "https://as.example/ciba",
        "grant_types_supported": ["client_credentials", "urn:openid:params:grant-type:ciba"],
    });
    ServerMetadata::parse(json.to_string().as_bytes(), &ISSUER.parse().unwrap()).unwrap()
}

fn client() -> PublicClient {
    PublicClient::new("app".parse().unwrap())
}

const OTHER: &str = "https://other.example/";

fn by_phone(net: &Net) -> ByBackchannel {
    ByBackchannel::new(client(), server(), net.clone(), "alice").with_clock(Then)
}

/// An agent for `TOOL` and `OTHER`.
fn builder(net: &Net) -> AgentBuilder {
    let source = || TokenSource::new(server(), client(), net.clone()).with_clock(Then);
    let scopes = || "call".parse().unwrap();
    Agent::without_identity()
        .clock(Then)
        .authorize(TOOL.parse().unwrap(), scopes(), source())
        .authorize(OTHER.parse().unwrap(), scopes(), source())
        .client(Calls(net.clone()))
}

fn agent(net: &Net, asks_for: &str) -> Agent {
    let builder = builder(net).approval(asks_for.parse().unwrap(), by_phone(net));
    builder.build().unwrap()
}

fn call() -> ToolCall {
    ToolCall::new("pay", Some(br#"{"amount":5}"#)).unwrap()
}

async fn send(agent: &Agent, call: Option<ToolCall>) -> Result<u16, Error> {
    let mut request = Request::post(CALL);
    if let Some(call) = call {
        request = request.extension(call);
    }
    let request = request.body("pay".to_owned()).unwrap();
    Ok(agent.send(request).await?.status().as_u16())
}

/// CIBA-13: each call that needs a person is one request for exactly this call.
#[tokio::test]
async fn each_call_is_approved_for_itself() {
    let net = Net::new("ok");
    let agent = agent(&net, TOOL);
    for _ in 0..2 {
        assert_eq!(send(&agent, Some(call())).await.unwrap(), 200);
    }
    let details: Value = serde_json::from_str(&call().details(TOOL).to_json()).unwrap();
    let seen = net.seen();
    let asked: Value = serde_json::from_str(seen[1].strip_prefix("asked ").unwrap()).unwrap();
    assert_eq!(asked, details);
    // The token of an approval is not kept.
    let expected = ["Bearer plain pay", &*seen[1], "Bearer approved pay"];
    assert_eq!(seen, [expected, expected].concat());
}

/// T-113, T-114: whatever the tool answers, a person is asked at most once, and only for a call
/// that the program names.
#[tokio::test]
async fn a_person_is_asked_only_where_it_helps() {
    for (refusal, named, asks_for, accepts, status, requests) in [
        ((403, REFUSED), true, TOOL, true, 200, 3),
        // The tool refuses the approval as well.
        ((403, REFUSED), true, TOOL, false, 403, 3),
        // Persons are asked for another tool.
        ((403, REFUSED), false, OTHER, true, 403, 1),
        ((403, REFUSED), true, OTHER, true, 403, 1),
        // Other refusals.
        (
            (403, "Bearer error=\"insufficient_scope\""),
            true,
            TOOL,
            true,
            403,
            1,
        ),
        (
            (403, "Other error=\"insufficient_authorization_details\""),
            true,
            TOOL,
            true,
            403,
            1,
        ),
        ((400, REFUSED), true, TOOL, true, 400, 1),
        ((403, "Bearer"), true, TOOL, true, 403, 1),
    ] {
        let mut net = Net::new("ok");
        (net.refusal, net.accepts) = (refusal, accepts);
        let agent = agent(&net, asks_for);
        let call = named.then(call);
        let found = send(&agent, call).await.unwrap();
        assert_eq!(found, status, "{refusal:?} {named} {asks_for}");
        assert_eq!(net.seen().len(), requests, "{refusal:?} {named} {asks_for}");
    }
}

/// A program that forgot to name its call gets an error, and the agent asks no person.
#[tokio::test]
async fn a_call_without_a_name_is_an_error() {
    let net = Net::new("ok");
    let agent = agent(&net, TOOL);
    let error = send(&agent, None).await.unwrap_err();
    assert_eq!(error.code(), "agent.call");
    assert_eq!(error.kind(), ErrorKind::Configuration);
    let told = error.to_string();
    assert!(told.contains(TOOL) && told.contains("`ToolCall`"), "{told}");
    assert_eq!(net.seen(), ["Bearer plain pay"]);
    // Refusals for another reason are answers.
    let mut net = Net::new("ok");
    net.refusal = (403, "Bearer error=\"insufficient_scope\"");
    let other = builder(&net).approval(TOOL.parse().unwrap(), by_phone(&net));
    let found = send(&other.build().unwrap(), None).await;
    assert_eq!(found.unwrap(), 403);
}

/// MCP-20: the agent asks for what the tool demands in its refusal, within the scopes that the
/// program has for the tool.
#[tokio::test]
async fn what_the_tool_demands_is_asked_for() {
    const NAMED: &str =
        "Bearer error=\"insufficient_authorization_details\", scope=\"call\", acr_values=\"mfa\"";
    const DPOP: &str = "DPoP error=\"insufficient_authorization_details\", scope=\"call\"";
    const WIDER: &str = "Bearer error=\"insufficient_authorization_details\", scope=\"call admin\"";
    for (challenge, expected) in [
        (REFUSED, Ok(["openid", ""])),
        (NAMED, Ok(["call openid", "mfa"])),
        (DPOP, Ok(["call openid", ""])),
        (WIDER, Err("connect.scope")),
    ] {
        let mut net = Net::new("ok");
        net.refusal = (403, challenge);
        let found = send(&agent(&net, TOOL), Some(call())).await;
        match expected {
            Ok(expected) => {
                assert_eq!(found.unwrap(), 200);
                assert_eq!(*net.demanded.lock().unwrap(), expected, "{challenge}");
            }
            Err(code) => {
                assert_eq!(found.unwrap_err().code(), code);
                assert_eq!(net.seen().len(), 1, "no person is asked");
            }
        }
    }
    // What the program asks for by itself is allowed.
    let mut net = Net::new("ok");
    net.refusal = (403, WIDER);
    let own = by_phone(&net).scopes("admin".parse().unwrap());
    let agent = builder(&net).approval(TOOL.parse().unwrap(), own);
    let found = send(&agent.build().unwrap(), Some(call())).await;
    assert_eq!(found.unwrap(), 200);
    assert_eq!(net.demanded.lock().unwrap()[0], "admin call openid");
}

/// Approvals for a URL that is no tool of the agent would never be asked for.
#[test]
fn an_approval_is_for_a_tool_of_the_agent() {
    let net = Net::new("ok");
    let beneath = format!("{}/beneath", TOOL.trim_end_matches('/'));
    for (url, code) in [
        (TOOL, "ok"),
        (OTHER, "ok"),
        ("https://third.example/", "agent.approval"),
        (&*beneath, "agent.approval"),
    ] {
        let builder = builder(&net).approval(TOOL.parse().unwrap(), by_phone(&net));
        let built = builder
            .approval(url.parse().unwrap(), by_phone(&net))
            .build();
        let found = built.as_ref().map_or_else(Error::code, |_| "ok");
        assert_eq!(found, code, "{url}");
        if let Err(error) = built {
            assert_eq!(error.kind(), ErrorKind::Configuration);
            assert!(error.to_string().contains(url), "{error}");
        }
    }
}

/// Of two ways to ask for one tool, the last one is used.
#[tokio::test]
async fn the_last_approval_of_a_tool_wins() {
    let (first, last) = (Net::new("access_denied"), Net::new("ok"));
    let builder = builder(&last).approval(TOOL.parse().unwrap(), by_phone(&first));
    let agent = builder.approval(TOOL.parse().unwrap(), by_phone(&last));
    let agent = agent.build().unwrap();
    assert_eq!(send(&agent, Some(call())).await.unwrap(), 200);
    assert!(first.seen().is_empty());
}

/// A denial and an expiry are errors with the words of the server.
#[tokio::test]
async fn a_denial_is_an_error() {
    for decision in ["access_denied", "expired_token"] {
        let net = Net::new(decision);
        let error = send(&agent(&net, TOOL), Some(call())).await.unwrap_err();
        assert_eq!(error.code(), "oauth.refused");
        let Error::Token(error) = error else {
            panic!("{error:?}");
        };
        assert_eq!(error.refusal().unwrap().error(), decision);
        assert_eq!(net.seen().len(), 2, "the call was not made");
    }
}
