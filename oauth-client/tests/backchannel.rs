//! Backchannel authentication: pings, signed requests, resuming, withdrawing, and one approved
//! call.

#![cfg(feature = "tokio")]
#![allow(
    clippy::indexing_slicing,
    clippy::unwrap_used,
    reason = "a test fails by panicking"
)]

mod common;

use std::sync::{Arc, Mutex};
use std::time::Duration;

use aims_jose::alg::Algorithm;
use aims_jose::jws::Unverified;
use aims_jose::key::{AnySigner, SigningKey};
use aims_jose::provider::AWS_LC;
use aims_jose::random;
use aims_oauth_client::{
    ApprovalRequest, Approve, Backchannel, BackchannelRequest, ByBackchannel, DpopKey, Pings,
    Progress, Target, TokenFlow, TokenRules, drive,
};
use aims_oauth_wire::call::ToolCall;
use aims_oauth_wire::token::Form;
use common::{NOW, Paused, Script, at, client, code, json_answer, server_with};
use http::{Request, Response};
use serde_json::{Value, json};
use tokio::time::Instant;

const TOOL: &str = "https://tools.example/mcp";

fn target() -> Target {
    Target::new(TOOL.parse().unwrap(), "openid".parse().unwrap())
}

fn server() -> Arc<aims_oauth_wire::metadata::ServerMetadata> {
    Arc::new(server_with(&json!({
        "backchannel_authentication_endpoint": "https://as.example/ciba",
        "revocation_endpoint": "https://as.example/revoke",
    })))
}

/// The request for the approval of a call.
fn asked(call: &ToolCall) -> ApprovalRequest {
    ApprovalRequest::new(call.clone(), TOOL.parse().unwrap())
}

/// The token response of an approval, with the details that the server granted.
fn granted(token_type: &str, details: &str) -> Value {
    let details: Value = serde_json::from_str(details).unwrap();
    json!({"access_token": "t", "token_type": token_type, "expires_in": 120,
        "authorization_details": details})
}

fn request() -> BackchannelRequest {
    // The numbers of the other tests are too few for a token.
    BackchannelRequest::new(target(), "alice").with_random(random::SYSTEM)
}

/// Answers every backchannel request with the id `d`, and grants after this number of polls.
fn script(pending: usize, start: Instant) -> (Script, Arc<Mutex<Vec<u64>>>) {
    let polls: Arc<Mutex<Vec<u64>>> = Arc::default();
    let asked = Arc::clone(&polls);
    let details: Mutex<Option<String>> = Mutex::default();
    let script = Script::new(move |request, _| match request.uri().path() {
        "/token" => {
            let mut asked = asked.lock().unwrap();
            asked.push(start.elapsed().as_secs());
            if asked.len() <= pending {
                return json_answer(400, &json!({"error": "authorization_pending"}));
            }
            let details = details.lock().unwrap();
            json_answer(200, &granted("Bearer", details.as_deref().unwrap_or("[]")))
        }
        "/revoke" => Response::new(Vec::new()),
        _ => {
            let form = Form::parse(request.body()).unwrap();
            let asked = form.get("authorization_details").map(String::from);
            *details.lock().unwrap() = asked;
            json_answer(200, &json!({"auth_req_id": "d", "expires_in": 100}))
        }
    });
    (script, polls)
}

async fn begun(request: BackchannelRequest, script: &Script) -> Backchannel {
    let first = request
        .begin(Arc::new(client()), server(), at(NOW))
        .unwrap();
    drive(first, script, &Paused(Instant::now())).await.unwrap()
}

fn ping(token: &str, id: &str) -> Request<Vec<u8>> {
    Request::post("/ping")
        .header("authorization", format!("Bearer {token}"))
        .header("content-type", "application/json")
        .body(
            json!({"auth_req_id": id, "more": 1})
                .to_string()
                .into_bytes(),
        )
        .unwrap()
}

/// CIBA-08: a ping needs the token of its request and the id that belongs to it.
#[tokio::test(start_paused = true)]
async fn a_ping_is_judged_by_its_token_and_id() {
    let (script, _) = script(0, Instant::now());
    let pings = Pings::new();
    let waiting = begun(request().pinged_at(&pings), &script).await;
    let other = begun(request().pinged_at(&pings), &script).await;
    let forms = script.forms();
    let token = forms[0].get("client_notification_token").unwrap();
    assert_eq!(
        token.len(),
        43,
        "256 bits, of the characters of a bearer token"
    );
    assert_ne!(Some(token), forms[1].get("client_notification_token"));
    let is_pinged = |it: &Backchannel| {
        let mut waker = std::task::Context::from_waker(std::task::Waker::noop());
        let wait = std::pin::pin!(it.pinged());
        wait.poll(&mut waker).is_ready()
    };
    let without = |name: &str| {
        let mut ping = ping(token, "d");
        ping.headers_mut().remove(name);
        ping
    };
    let with = |name: &'static str, value: &str| {
        let mut ping = without(name);
        ping.headers_mut().insert(name, value.parse().unwrap());
        ping
    };
    let mut twice = ping(token, "d");
    let field = twice.headers()["authorization"].clone();
    twice.headers_mut().append("authorization", field);
    let mut get = ping(token, "d");
    *get.method_mut() = http::Method::GET;
    let mut bodies = [ping(token, "d"), ping(token, "d"), ping(token, "d")];
    *bodies[0].body_mut() = b"{}".to_vec();
    *bodies[1].body_mut() = b"[]".to_vec();
    *bodies[2].body_mut() = format!(r#"{{"auth_req_id":"d","x":"{}"}}"#, "x".repeat(4096)).into();
    let [empty, list, long] = bodies;
    let basic = with("authorization", &format!("Basic {token}"));
    for (ping, status) in [
        (without("authorization"), 401),
        (basic, 401),
        (with("authorization", "Bearer x"), 401),
        (with("authorization", &format!("Bearer {token}x")), 401),
        (twice, 401),
        (ping(token, "e"), 401),
        (get, 405),
        (without("content-type"), 400),
        (with("content-type", "text/plain"), 400),
        (empty, 400),
        (list, 400),
        (long, 400),
    ] {
        let answer = pings.receive(&ping);
        assert_eq!(answer.status().as_u16(), status, "{ping:?}");
        assert_eq!(
            answer.headers().contains_key("www-authenticate"),
            status == 401
        );
    }
    assert!(!is_pinged(&waiting));
    let answer = pings.receive(&ping(token, "d"));
    assert_eq!((answer.status().as_u16(), answer.body().len()), (204, 0));
    assert!(is_pinged(&waiting) && !is_pinged(&other));
    // A request that was given up is unknown.
    let dropped = forms[1].get("client_notification_token").unwrap();
    drop(other);
    assert_eq!(pings.receive(&ping(dropped, "d")).status(), 401);
    assert!(!format!("{pings:?}{waiting:?}").contains(token));
}

/// A ping that overtakes the answer with the id counts when the answer is there.
#[tokio::test(start_paused = true)]
async fn a_ping_may_come_before_the_answer() {
    for (early, expected) in [("d", true), ("e", false)] {
        let pings = Pings::new();
        let receiver = pings.clone();
        let script = Script::new(move |request, _| {
            let form = Form::parse(request.body()).unwrap();
            let token = form.get("client_notification_token").unwrap();
            assert_eq!(receiver.receive(&ping(token, early)).status(), 204);
            json_answer(200, &json!({"auth_req_id": "d", "expires_in": 100}))
        });
        let waiting = begun(request().pinged_at(&pings), &script).await;
        let found = tokio::time::timeout(Duration::from_secs(5), waiting.pinged()).await;
        assert_eq!(found.is_ok(), expected, "{early}");
    }
}

/// A receiver waits for a bounded number of requests.
#[tokio::test(start_paused = true)]
async fn requests_that_wait_for_a_ping_are_bounded() {
    let (script, _) = script(0, Instant::now());
    let pings = Pings::new();
    let mut waiting = Vec::new();
    for _ in 0..1024 {
        let first = request().pinged_at(&pings);
        waiting.push(first.begin(Arc::new(client()), server(), at(NOW)).unwrap());
    }
    let begin = || {
        request()
            .pinged_at(&pings)
            .begin(Arc::new(client()), server(), at(NOW))
    };
    assert_eq!(code(begin().map(drop)), "grant.busy");
    waiting.pop();
    assert!(begin().is_ok());
    drop(script);
}

fn claims(text: &str, key: &SigningKey) -> (String, Value) {
    let unverified = Unverified::parse(text).unwrap();
    let typ = unverified.header().typ().unwrap().to_owned();
    let verified = unverified.verify(key.verifying_key()).unwrap();
    (typ, serde_json::from_slice(verified.payload()).unwrap())
}

/// CIBA-04: a signed request has every parameter in the JWT, and nothing outside.
#[tokio::test(start_paused = true)]
async fn a_signed_request_has_its_parameters_inside() {
    let (script, _) = script(0, Instant::now());
    let key = SigningKey::generate(Algorithm::Es256, AWS_LC).unwrap();
    let details = r#"[{"type":"aims_tool","actions":["pay"]}]"#;
    let target = target().with_details(details).unwrap();
    let request = || {
        BackchannelRequest::new(target.clone(), "alice")
            .binding_message("K7QW-42MZ")
            .requested_expiry(Duration::from_secs(90))
            .with_random(random::SYSTEM)
    };
    begun(request().signed_by(Arc::new(key.clone())), &script).await;
    let form = script.forms().remove(0);
    let mut names: Vec<&str> = form.names().collect();
    names.sort_unstable();
    assert_eq!(names, ["request"]);
    let (typ, mut claims) = claims(form.get("request").unwrap(), &key);
    assert_eq!(typ, "oauth-authz-req+jwt");
    let jti = claims.as_object_mut().unwrap().remove("jti").unwrap();
    assert_eq!(jti.as_str().unwrap().len(), 22);
    assert_eq!(
        claims,
        json!({
            "iss": "agent", "aud": "https://as.example", "iat": NOW, "nbf": NOW, "exp": NOW + 60,
            "scope": "openid", "resource": TOOL, "login_hint": "alice",
            "authorization_details": [{"type": "aims_tool", "actions": ["pay"]}],
            "binding_message": "K7QW-42MZ", "requested_expiry": "90",
        })
    );
    // A key behind a network cannot sign it yet.
    let remote = AnySigner::remote(key);
    let begun = request()
        .signed_by(remote)
        .begin(Arc::new(client()), server(), at(NOW));
    assert_eq!(code(begun.map(drop)), "oauth.request");
}

/// CIBA-13: the wait goes on after a restart, and a client that gives up says so.
#[tokio::test(start_paused = true)]
async fn a_wait_is_resumed_or_withdrawn() {
    let start = Instant::now();
    let (script, polls) = script(2, start);
    let waiting = begun(request(), &script).await;
    let (id, expires) = (waiting.auth_req_id().clone(), waiting.expires());
    assert_eq!((id.expose(), expires), ("d", at(NOW + 100)));
    drop(waiting);
    let resumed = Backchannel::resume(target(), id.clone(), expires);
    resumed.pinged().await;
    let (client, rules) = (Arc::new(client()), TokenRules::new());
    let first = TokenFlow::begin(Arc::new(resumed), client.clone(), server(), rules, at(NOW));
    assert!(drive(first.unwrap(), &script, &Paused(start)).await.is_ok());
    assert_eq!(*polls.lock().unwrap(), [0, 5, 10]);
    let given_up = Backchannel::resume(target(), id, expires);
    let first = given_up.withdraw(client, server(), at(NOW)).unwrap();
    drive(first, &script, &Paused(start)).await.unwrap();
    let form = script.forms().pop().unwrap();
    assert_eq!(form.get("token"), Some("d"));
    assert_eq!(form.get("token_type_hint"), Some("auth_req_id"));
}

/// CIBA-13, T-113: the request is for the call alone, and the code that both sides show is derived
/// from it.
#[tokio::test(start_paused = true)]
async fn a_person_is_asked_for_one_call() {
    let start = Instant::now();
    let (script, _) = script(1, start);
    let call = ToolCall::new("pay", Some(br#"{"amount":5}"#)).unwrap();
    let told: Arc<Mutex<Vec<String>>> = Arc::default();
    let log = Arc::clone(&told);
    let approval = ByBackchannel::new(client(), server(), script.clone(), "alice")
        .with_clock(Paused(start))
        .acr_values("mfa")
        .expiry(Duration::from_secs(60))
        .on_progress(move |progress| {
            let text = match progress {
                Progress::WaitingForApproval {
                    issuer,
                    code,
                    expires,
                } => format!("{issuer} {code} {}", expires.as_secs()),
                other => format!("{other:?}"),
            };
            log.lock().unwrap().push(text);
        });
    let token = approval.approve(&asked(&call)).await.unwrap();
    assert!(!token.is_refreshable());
    let code = call.digest().short_code();
    let told = told.lock().unwrap().clone();
    assert_eq!(told[0], format!("https://as.example {code} {}", NOW + 100));
    assert!(told[1].starts_with("Connected"));
    let form = script.forms().remove(0);
    assert_eq!(form.get("binding_message"), Some(&*code));
    assert_eq!(form.get("scope"), Some("openid"));
    assert_eq!(form.get("resource"), Some(TOOL));
    assert_eq!(form.get("login_hint"), Some("alice"));
    assert_eq!(form.get("acr_values"), Some("mfa"));
    assert_eq!(form.get("requested_expiry"), Some("60"));
    let sent: Value = serde_json::from_str(form.get("authorization_details").unwrap()).unwrap();
    let details: Value = serde_json::from_str(&call.details(TOOL).to_json()).unwrap();
    assert_eq!(sent, details);
    assert!(!format!("{approval:?}").contains("alice"));
}

/// CIBA-06: a client in ping mode polls once after the ping, and after 30 s without one.
#[tokio::test(start_paused = true)]
async fn a_ping_ends_the_wait_and_a_lost_one_does_not_hang() {
    for (pinged_after, expected) in [(Some(3), vec![3]), (None, vec![30])] {
        let start = Instant::now();
        let (script, polls) = script(0, start);
        let pings = Pings::new();
        let call = ToolCall::new("pay", None).unwrap();
        let approval = ByBackchannel::new(client(), server(), script.clone(), "alice");
        let approval = approval.with_clock(Paused(start)).pinged_at(pings.clone());
        let waiting = tokio::spawn(async move { approval.approve(&asked(&call)).await });
        if let Some(seconds) = pinged_after {
            tokio::time::sleep(Duration::from_secs(seconds)).await;
            let form = script.forms().remove(0);
            let token = form.get("client_notification_token").unwrap();
            assert_eq!(pings.receive(&ping(token, "d")).status(), 204);
        }
        waiting.await.unwrap().unwrap();
        assert_eq!(*polls.lock().unwrap(), expected);
    }
}

/// Scopes are asked for beside `openid`, which is there once. Too many end before a person is
/// asked.
#[tokio::test(start_paused = true)]
async fn an_approval_may_have_scopes() {
    let call = ToolCall::new("pay", None).unwrap();
    let many: Vec<String> = (0..256).map(|it| format!("s{it}")).collect();
    for (scopes, expected) in [
        ("pay list", Ok("list openid pay")),
        ("openid pay", Ok("openid pay")),
        (&many.join(" "), Err("oauth.scope")),
    ] {
        let start = Instant::now();
        let (script, _) = script(0, start);
        let approval = ByBackchannel::new(client(), server(), script.clone(), "alice")
            .with_clock(Paused(start))
            .scopes(scopes.parse().unwrap());
        let found = approval.approve(&asked(&call)).await;
        let forms = script.forms();
        let sent = forms.first().and_then(|form| form.get("scope"));
        match expected {
            Ok(expected) => {
                found.unwrap();
                assert_eq!(sent, Some(expected));
            }
            Err(expected) => {
                assert_eq!(code(found), expected);
                assert_eq!(sent, None);
            }
        }
    }
}

/// RFC 9449 §5: each poll has a proof of the key, and the token is bound to it. The request to the
/// person has none.
#[tokio::test(start_paused = true)]
async fn an_approval_may_be_bound_to_a_key() {
    let call = ToolCall::new("pay", None).unwrap();
    for (has_key, token_type, algorithms, expected) in [
        (true, "DPoP", "ES256", "ok"),
        // This server requires proofs of its client.
        (false, "DPoP", "ES256", "oauth.refused"),
        (true, "Bearer", "ES256", "grant.unbound"),
        // The person is not asked for what cannot be bound.
        (true, "DPoP", "ES384", "grant.dpop_algorithm"),
    ] {
        let start = Instant::now();
        let polls: Arc<Mutex<usize>> = Arc::default();
        let details = call.details(TOOL).to_json();
        let script = Script::new(move |request, _| {
            let has_proof = request.headers().contains_key("dpop");
            if request.uri().path() != "/token" {
                assert!(!has_proof, "{request:?}");
                return json_answer(200, &json!({"auth_req_id": "d", "expires_in": 100}));
            }
            if !has_proof {
                return json_answer(400, &json!({"error": "invalid_request"}));
            }
            let mut polls = polls.lock().unwrap();
            *polls += 1;
            if *polls == 1 {
                return json_answer(400, &json!({"error": "authorization_pending"}));
            }
            json_answer(200, &granted(token_type, &details))
        });
        let server = server_with(&json!({
            "backchannel_authentication_endpoint": "https://as.example/ciba",
            "dpop_signing_alg_values_supported": [algorithms],
        }));
        let mut approval =
            ByBackchannel::new(client(), server, script.clone(), "alice").with_clock(Paused(start));
        if has_key {
            approval = approval.with_dpop(DpopKey::generate(AWS_LC).unwrap());
        }
        let found = approval.approve(&asked(&call)).await;
        match found {
            Ok(token) => assert!(token.is_bound() && expected == "ok", "{expected}"),
            Err(error) => assert_eq!(error.code(), expected),
        }
        let is_asked = !script.forms().is_empty();
        assert_eq!(is_asked, expected != "grant.dpop_algorithm", "{expected}");
    }
}
