//! A person approves one call on the consent page of the authority, and the tool accepts that call.

#![cfg(all(feature = "agent", feature = "tool"))]
#![allow(
    clippy::indexing_slicing,
    clippy::unwrap_used,
    reason = "a test fails by panicking"
)]

mod common;
mod person;

use std::sync::{Arc, Mutex};

use aims::fetch::{Fetch, FetchFuture};
use aims::oauth_client::{ApprovalRequest, Approve as _, ByBrowser, Error, Progress, Token};
use aims::oauth_rs::IssuerStore;
use aims::oauth_wire::call::ToolCall;
use aims::oauth_wire::client_auth::PublicClient;
use aims::oauth_wire::metadata::ServerMetadata;
use aims::oauth_wire::names::Issuer;
use aims::{Guard, Requirements};
use aims_authority::{Authority, Client, DevUser, Resource, ToolDetails};
use common::{CALL, NOW, TOOL, Then, at, told};
use http::{Request, Response};
use person::Browser;
use serde_json::{Value, json};

const BASE: &str = "http://127.0.0.1:8080";

/// Changes a token response on its way.
type Change = fn(&mut Value);

/// The authority, in this process.
#[derive(Clone, Debug)]
struct Net {
    authority: Arc<Authority>,
    change: Change,
}

impl Net {
    fn new(change: Change) -> Self {
        let client = Client::public("agent")
            .redirect_uri("http://127.0.0.1/callback")
            .allow(TOOL, ["pay", "list"])
            .allow_details("aims_tool");
        let authority = Authority::builder(BASE, common::provider())
            .trust_domain("example.org")
            .resource(Resource::new(TOOL).with_scopes(["pay", "list"]))
            .users(Arc::new(DevUser::new("alice")))
            .authorization_details(Arc::new(ToolDetails))
            .acr_values(["mfa"])
            .client(client);
        Self {
            authority: Arc::new(authority.build(at(NOW)).unwrap()),
            change,
        }
    }

    fn get(&self, path: &str) -> Vec<u8> {
        let request = Request::get(path).header("host", "127.0.0.1:8080");
        let request = request.body(Vec::new()).unwrap();
        self.authority.handle(&request, None, at(NOW)).into_body()
    }

    fn server(&self) -> ServerMetadata {
        let document = self.get("/.well-known/oauth-authorization-server");
        ServerMetadata::parse(&document, &Issuer::loopback(BASE).unwrap()).unwrap()
    }

    /// A guard that trusts the authority.
    fn guard(&self) -> Guard {
        let server: Value =
            serde_json::from_slice(&self.get("/.well-known/oauth-authorization-server")).unwrap();
        let keys = server["jwks_uri"].as_str().unwrap();
        let keys = self.get(keys.strip_prefix(BASE).unwrap());
        let issuers = IssuerStore::default();
        let issuer = Issuer::loopback(BASE).unwrap();
        issuers.set(&issuer, &keys, common::provider()).unwrap();
        let route = Requirements::new().scopes("pay".parse().unwrap());
        Guard::builder(TOOL)
            .trust(Arc::default())
            .issuers(Arc::new(issuers))
            .accept_proofs_before_start()
            .require(route.acr(["mfa"]).user().approved_call().accept_bearer())
            .build()
            .unwrap()
    }
}

impl Fetch for Net {
    fn send(&self, mut request: Request<Vec<u8>>) -> FetchFuture<'_> {
        let path = request.uri().path_and_query().unwrap().to_string();
        let is_token = path == "/token";
        *request.uri_mut() = path.parse().unwrap();
        let host = "127.0.0.1:8080".parse().unwrap();
        request.headers_mut().insert("host", host);
        let mut answer: Response<Vec<u8>> = self.authority.handle(&request, None, at(NOW));
        if is_token {
            let mut body = serde_json::from_slice(answer.body()).unwrap();
            (self.change)(&mut body);
            *answer.body_mut() = body.to_string().into_bytes();
        }
        Box::pin(std::future::ready(Ok(answer)))
    }
}

fn call() -> ToolCall {
    ToolCall::new("pay", Some(br#"{"to":"bob","amount":10.5}"#)).unwrap()
}

/// The request that the tool's refusal leads to.
fn request(net: &Net) -> ApprovalRequest {
    let head = Request::post(CALL).body(()).unwrap().into_parts().0;
    let (code, status, challenge) = told(net.guard().check(&head, at(NOW)));
    assert_eq!((code, status), ("token.missing", 401), "{challenge}");
    let login = aims::oauth_wire::challenge::StepUp::new();
    ApprovalRequest::new(call(), TOOL.parse().unwrap())
        .requiring("pay".parse().unwrap())
        .with_login(login.acr_values(["mfa"]).unwrap())
}

fn approval(net: &Net, browser: &Browser) -> ByBrowser {
    let client = PublicClient::new("agent".parse().unwrap());
    ByBrowser::new(client, net.server(), net.clone(), browser.clone()).with_clock(Then)
}

async fn approve(net: &Net, decision: &'static str) -> (Result<Token, Error>, Vec<String>) {
    let browser = Browser::new(net.clone(), BASE, decision);
    let found = approval(net, &browser).approve(&request(net)).await;
    (found, browser.pages())
}

/// CIBA-13, T-113: the page shows the call and the code that the program shows, and the tool
/// accepts this call once, and no other.
#[tokio::test]
async fn a_person_approves_one_call_on_the_page() {
    let net = Net::new(|_| {});
    let browser = Browser::new(net.clone(), BASE, "allow");
    let codes: Arc<Mutex<Vec<String>>> = Arc::default();
    let shown = Arc::clone(&codes);
    let approval = approval(&net, &browser).on_progress(move |progress| {
        if let Progress::WaitingForBrowser { code, .. } = progress {
            shown.lock().unwrap().push(code.unwrap().to_owned());
        }
    });
    let token = approval.approve(&request(&net)).await.unwrap();
    assert!(!token.is_refreshable());
    let pages = browser.pages();
    let code = codes.lock().unwrap().remove(0);
    for part in [
        "<strong>pay</strong>",
        "<dt>Argument amount</dt><dd><pre>10.5</pre>",
        "<dt>Argument to</dt><dd><pre>&quot;bob&quot;</pre>",
        &format!("<strong>{code}</strong>"),
    ] {
        assert!(pages[0].contains(part), "{part} in {}", pages[0]);
    }
    let guard = net.guard();
    let other = ToolCall::new("pay", Some(br#"{"to":"bob","amount":11}"#)).unwrap();
    for (call, expected) in [
        (other, "guard.approval_call"),
        (call(), "ok"),
        (call(), "guard.approval_used"),
    ] {
        let request = Request::post("/mcp/call").header("host", "tools.example");
        let mut request = request.extension(call).body(()).unwrap();
        token.apply(request.headers_mut()).unwrap();
        let (head, ()) = request.into_parts();
        assert_eq!(told(guard.check(&head, at(NOW))).0, expected);
    }
}

/// A person who denies is an error with the words of the server.
#[tokio::test]
async fn a_person_denies_on_the_page() {
    let (found, pages) = approve(&Net::new(|_| {}), "deny").await;
    let error = found.unwrap_err();
    assert_eq!((error.code(), pages.len()), ("authorize.refused", 1));
    assert!(error.to_string().contains("access_denied"), "{error}");
}

/// RAR-02: details that differ from those that were asked for, or are missing, are no approval.
#[tokio::test]
async fn changed_details_are_no_approval() {
    let changes: [(Change, &str); 4] = [
        (|_| {}, "ok"),
        (
            |answer| {
                drop(
                    answer
                        .as_object_mut()
                        .unwrap()
                        .remove("authorization_details"),
                )
            },
            "grant.approval",
        ),
        (
            |answer| answer["authorization_details"][0]["arguments"]["amount"] = json!(11),
            "grant.approval",
        ),
        (
            |answer| {
                let more = json!({"type": "aims_tool", "actions": ["pay"]});
                answer["authorization_details"]
                    .as_array_mut()
                    .unwrap()
                    .push(more);
            },
            "grant.approval",
        ),
    ];
    for (change, expected) in changes {
        let (found, _) = approve(&Net::new(change), "allow").await;
        assert_eq!(found.map_or_else(|it| it.code(), |_| "ok"), expected);
    }
}
