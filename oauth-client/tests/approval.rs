//! Approvals of one call: what is asked for, by which way, and which token is one.

#![cfg(feature = "tokio")]
#![allow(
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a test fails by panicking"
)]

mod common;

use std::sync::{Arc, Mutex};
use std::time::Duration;

use aims_jose::provider::AWS_LC;
use aims_oauth_client::{
    ApprovalRequest, Approve, Authorizing, ByBackchannel, ByBrowser, DpopKey, Progress, Receive,
    ReceiveFuture, Receiving, RedirectUri,
};
use aims_oauth_wire::call::ToolCall;
use aims_oauth_wire::challenge::StepUp;
use aims_oauth_wire::metadata::ServerMetadata;
use aims_oauth_wire::names::ScopeSet;
use common::{Paused, Script, client, code, json_answer, server_with};
use serde_json::{Value, json};
use tokio::time::Instant;

const TOOL: &str = "https://tools.example/mcp";

fn call() -> ToolCall {
    ToolCall::new("pay", Some(br#"{"amount":5}"#)).unwrap()
}

fn request() -> ApprovalRequest {
    ApprovalRequest::new(call(), TOOL.parse().unwrap())
}

fn server() -> ServerMetadata {
    server_with(&json!({
        "authorization_endpoint": "https://as.example/authorize",
        "backchannel_authentication_endpoint": "https://as.example/ciba",
        "code_challenge_methods_supported": ["S256"],
        "dpop_signing_alg_values_supported": ["ES256"],
    }))
}

/// A server that grants these details, or states none.
fn granting(details: Option<Value>, token_type: &'static str) -> Script {
    Script::new(move |request, _| match request.uri().path() {
        "/token" => {
            let mut body = json!({"access_token": "t", "token_type": token_type,
                "expires_in": 120, "refresh_token": "r"});
            if let Some(details) = &details {
                body["authorization_details"] = details.clone();
            }
            json_answer(200, &body)
        }
        _ => json_answer(200, &json!({"auth_req_id": "d", "expires_in": 100})),
    })
}

fn details() -> Value {
    serde_json::from_str(&call().details(TOOL).to_json()).unwrap()
}

/// A browser that records the URL and returns with this answer.
#[derive(Clone, Debug)]
struct Browser {
    redirect: RedirectUri,
    answer: &'static str,
    opened: Arc<Mutex<Vec<String>>>,
}

impl Browser {
    fn new(answer: &'static str) -> Self {
        Self {
            redirect: "http://127.0.0.1:4711/callback".parse().unwrap(),
            answer,
            opened: Arc::default(),
        }
    }

    /// Returns a parameter of the only URL that was opened.
    fn sent(&self, name: &str) -> Option<String> {
        let opened = self.opened.lock().unwrap();
        let [url] = opened.as_slice() else {
            panic!("{opened:?}");
        };
        let url = url::Url::parse(url).unwrap();
        let mut pairs = url.query_pairs();
        pairs
            .find(|(own, _)| own == name)
            .map(|(_, value)| value.into_owned())
    }
}

impl Receive for Browser {
    fn begin(&self) -> ReceiveFuture<'_, Box<dyn Receiving>> {
        let waiting: Box<dyn Receiving> = Box::new(self.clone());
        Box::pin(async move { Ok(waiting) })
    }
}

impl Receiving for Browser {
    fn redirect_uri(&self) -> &RedirectUri {
        &self.redirect
    }

    fn receive<'a>(self: Box<Self>, login: &'a Authorizing) -> ReceiveFuture<'a, String> {
        self.opened.lock().unwrap().push(login.url().to_owned());
        let state = self.sent("state").unwrap();
        let answer = self.answer;
        Box::pin(async move { Ok(format!("{answer}&state={state}&iss=https://as.example")) })
    }
}

fn by_browser(script: &Script, browser: &Browser) -> ByBrowser {
    ByBrowser::new(client(), server(), script.clone(), browser.clone())
        .with_clock(Paused(Instant::now()))
}

fn by_phone(script: &Script) -> ByBackchannel {
    ByBackchannel::new(client(), server(), script.clone(), "alice")
        .with_clock(Paused(Instant::now()))
}

/// CIBA-13, RAR-01: the browser is sent to a page for exactly this call, and the program shows the
/// code of the page.
#[tokio::test(start_paused = true)]
async fn a_browser_shows_the_call() {
    let script = granting(Some(details()), "Bearer");
    let (browser, told) = (Browser::new("code=c"), Arc::new(Mutex::new(Vec::new())));
    let log = Arc::clone(&told);
    let approval = by_browser(&script, &browser)
        .scopes("list".parse().unwrap())
        .on_progress(move |progress| {
            let text = match progress {
                Progress::WaitingForBrowser { code, .. } => format!("{code:?}"),
                other => format!("{other:?}"),
            };
            log.lock().unwrap().push(text);
        });
    let token = approval.approve(&request()).await.unwrap();
    assert_eq!(token.resource().as_str(), TOOL);
    // An approval is used once.
    assert!(!token.is_refreshable());
    let sent: Value =
        serde_json::from_str(&browser.sent("authorization_details").unwrap()).unwrap();
    assert_eq!(sent, details());
    for (name, value) in [
        ("resource", TOOL),
        ("scope", "list"),
        ("prompt", "consent"),
        ("code_challenge_method", "S256"),
    ] {
        assert_eq!(browser.sent(name).as_deref(), Some(value), "{name}");
    }
    let told = told.lock().unwrap();
    assert_eq!(told[0], format!("{:?}", Some(call().digest().short_code())));
    assert!(told[1].starts_with("Connected"), "{told:?}");
    let form = script.forms().remove(0);
    assert_eq!(form.get("code"), Some("c"));
    assert_eq!(form.get("grant_type"), Some("authorization_code"));
}

/// A person who refuses, and an answer of another server, give no token.
#[tokio::test(start_paused = true)]
async fn a_browser_that_brings_no_code_approves_nothing() {
    for (answer, expected) in [
        ("error=access_denied", "authorize.refused"),
        ("code=", "authorize.response"),
        ("code=c&iss=https://other.example", "authorize.response"),
    ] {
        let script = granting(Some(details()), "Bearer");
        let approval = by_browser(&script, &Browser::new(answer));
        let found = approval.approve(&request()).await;
        assert_eq!(code(found), expected, "{answer}");
        assert!(script.requests().is_empty());
    }
}

/// RAR-02: the granted details are the ones of the call, alone. It holds for both ways.
#[tokio::test(start_paused = true)]
async fn a_token_for_something_else_is_no_approval() {
    let other = ToolCall::new("pay", Some(br#"{"amount":6}"#)).unwrap();
    let other: Value = serde_json::from_str(&other.details(TOOL).to_json()).unwrap();
    let own = details().as_array().unwrap()[0].clone();
    let changed = |name: &str, value: Value| {
        let mut entry = own.clone();
        entry[name] = value;
        json!([entry])
    };
    let mut shortened = own.clone();
    shortened.as_object_mut().unwrap().remove("call_digest");
    let wide = json!({"type": "aims_tool", "actions": ["pay", "list"]});
    let elsewhere = json!(["https://other.example"]);
    for (granted, reason) in [
        (Some(details()), None),
        // The server may leave `locations` out: the token is for one resource.
        (
            Some(
                json!([{"type": "aims_tool", "tool": "pay", "arguments": {"amount": 5.0},
            "call_digest": call().digest().to_string()}]),
            ),
            None,
        ),
        (None, Some("no `authorization_details`")),
        (Some(json!({})), Some("cannot be read")),
        (Some(json!([])), Some("not exactly one entry")),
        (Some(json!([own, wide])), Some("not exactly one entry")),
        (Some(other), Some("another call")),
        (Some(json!([wide])), Some("not for one call")),
        (Some(json!([shortened])), Some("do not agree")),
        (
            Some(changed("arguments", json!({"amount": 6}))),
            Some("do not agree"),
        ),
        (Some(changed("type", json!("other"))), Some("another type")),
        (
            Some(changed("locations", elsewhere)),
            Some("another resource"),
        ),
    ] {
        let script = granting(granted.clone(), "Bearer");
        let (phone, browser) = (
            by_phone(&script),
            by_browser(&script, &Browser::new("code=c")),
        );
        let ways: [&dyn Approve; 2] = [&phone, &browser];
        for approval in ways {
            let found = approval.approve(&request()).await;
            match (found, reason) {
                (Ok(_), None) => {}
                (Err(error), Some(reason)) => {
                    assert_eq!(error.code(), "grant.approval", "{granted:?}");
                    assert!(error.to_string().contains(reason), "{error} of {granted:?}");
                }
                (found, _) => panic!("{found:?} of {granted:?}"),
            }
        }
    }
}

fn scopes(text: &str) -> ScopeSet {
    match text {
        "" => ScopeSet::new(),
        text => text.parse().unwrap(),
    }
}

/// MCP-20: what the tool requires is asked for, within what the program allows. Otherwise no
/// person is asked.
#[tokio::test(start_paused = true)]
async fn required_scopes_are_within_what_is_allowed() {
    for (own, required, allowed, expected) in [
        ("list", "", None, Ok("list")),
        ("", "pay", None, Ok("pay")),
        ("", "pay", Some("pay list"), Ok("pay")),
        // What the program asks for by itself is allowed.
        ("pay", "pay", Some("list"), Ok("pay")),
        ("list", "pay", Some("pay"), Ok("list pay")),
        ("", "pay admin", Some("pay list"), Err("connect.scope")),
        ("list", "pay", Some(""), Err("connect.scope")),
    ] {
        let script = granting(Some(details()), "Bearer");
        let browser = Browser::new("code=c");
        let (phone, browsing) = (by_phone(&script), by_browser(&script, &browser));
        let own_scopes = || scopes(own);
        let mut request = request().requiring(scopes(required));
        if let Some(allowed) = allowed {
            request = request.within(scopes(allowed));
        }
        let (phone, browsing) = (phone.scopes(own_scopes()), browsing.scopes(own_scopes()));
        let found = [
            phone.approve(&request).await,
            browsing.approve(&request).await,
        ];
        match expected {
            Ok(expected) => {
                assert!(found.iter().all(Result::is_ok), "{found:?}");
                assert_eq!(browser.sent("scope").as_deref(), Some(expected));
                let forms = script.forms();
                let asked = forms[0].get("scope").unwrap();
                let asked: Vec<&str> = asked.split(' ').filter(|it| *it != "openid").collect();
                assert_eq!(asked.join(" "), expected);
            }
            Err(expected) => {
                for found in found {
                    assert_eq!(code(found), expected, "{own} {required} {allowed:?}");
                }
                assert!(script.requests().is_empty());
                assert!(browser.opened.lock().unwrap().is_empty());
            }
        }
    }
}

/// STEP-02: the login that the tool requires is asked for, unless the program sets its own.
#[tokio::test(start_paused = true)]
async fn a_required_login_is_asked_for() {
    let script = granting(Some(details()), "Bearer");
    let browser = Browser::new("code=c");
    let login = StepUp::new().acr_values(["mfa", "phr"]).unwrap();
    let request = request().with_login(login.max_age(Duration::from_secs(60)));
    by_browser(&script, &browser)
        .approve(&request)
        .await
        .unwrap();
    assert_eq!(browser.sent("acr_values").as_deref(), Some("mfa phr"));
    assert_eq!(browser.sent("max_age").as_deref(), Some("60"));
    by_phone(&script).approve(&request).await.unwrap();
    assert_eq!(script.forms()[1].get("acr_values"), Some("mfa phr"));

    let script = granting(Some(details()), "Bearer");
    let browser = Browser::new("code=c");
    let own = by_browser(&script, &browser).with_request(|it| it.acr_values("high"));
    own.approve(&request).await.unwrap();
    assert_eq!(browser.sent("acr_values").as_deref(), Some("high"));
    let own = by_phone(&script).acr_values("high");
    own.approve(&request).await.unwrap();
    assert_eq!(script.forms()[1].get("acr_values"), Some("high"));
}

/// DPOP-10: the code and the token are bound to the key.
#[tokio::test(start_paused = true)]
async fn an_approval_in_a_browser_may_be_bound_to_a_key() {
    for (token_type, expected) in [("DPoP", "ok"), ("Bearer", "grant.unbound")] {
        let script = granting(Some(details()), token_type);
        let browser = Browser::new("code=c");
        let key = DpopKey::generate(AWS_LC).unwrap();
        let thumbprint = key.thumbprint().to_string();
        let found = by_browser(&script, &browser)
            .with_dpop(key)
            .approve(&request())
            .await;
        assert_eq!(code(found), expected);
        assert_eq!(browser.sent("dpop_jkt"), Some(thumbprint));
        assert!(script.requests()[0].headers().contains_key("dpop"));
    }
}
