//! Backchannel requests: the hint, what the metadata exclude, the user code, and the waits.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use aims_fetch::Limits;
use aims_oauth_client::{
    ApprovalRequest, Approve, BackchannelRequest, ByBackchannel, ClientCredentials, Error, Pings,
    Step, TokenFlow, TokenRules, UserHint,
};
use aims_oauth_wire::call::ToolCall;
use aims_oauth_wire::token::Form;
use http::{Request, Response};
use serde_json::{Value, json};
use tokio::time::Instant;

use super::world::{TOOL, form, inside, key, server, target};
use crate::common::{NOW, Paused, Script, at, client, code, json_answer};

/// CIBA-03: a request has exactly one hint.
#[test]
fn a_request_has_one_hint() {
    let hints = ["login_hint", "id_token_hint", "login_hint_token"];
    for (hint, expected) in [
        (UserHint::from("x"), hints[0]),
        (UserHint::from(String::from("x")), hints[0]),
        (UserHint::IdToken("x".into()), hints[1]),
        (UserHint::HintToken("x".into()), hints[2]),
    ] {
        for is_signed in [false, true] {
            let mut request = BackchannelRequest::new(target(), hint.clone());
            if is_signed {
                request = request.signed_by(key());
            }
            let form = form(request.begin(Arc::new(client()), server(&json!({})), at(NOW)));
            let claims = form.get("request").map(inside);
            for name in hints {
                let found = match &claims {
                    Some(claims) => claims[name].as_str(),
                    None => form.get(name),
                };
                assert_eq!(found, (name == expected).then_some("x"), "{name}");
            }
        }
    }
}

/// CIBA-01: what the metadata of the server exclude is not requested.
#[test]
fn metadata_exclude_requests() {
    let ping = |it: BackchannelRequest| it.pinged_at(&Pings::new());
    let plain = |it: BackchannelRequest| it;
    let signed = |it: BackchannelRequest| it.signed_by(key());
    let coded = |it: BackchannelRequest| it.user_code("1234");
    let refused = "authorize.unsupported";
    let modes = "backchannel_token_delivery_modes_supported";
    let algorithms = "backchannel_authentication_request_signing_alg_values_supported";
    let codes = "backchannel_user_code_parameter_supported";
    type Change = fn(BackchannelRequest) -> BackchannelRequest;
    let cases: [(Value, Change, &str); 11] = [
        (json!({modes: ["poll"]}), plain, "ok"),
        (json!({modes: ["ping", "push"]}), plain, refused),
        (json!({modes: ["poll", "ping"]}), ping, "ok"),
        (json!({modes: ["poll"]}), ping, refused),
        (json!({}), ping, "ok"),
        (json!({algorithms: ["PS256", "ES256"]}), signed, "ok"),
        (json!({algorithms: ["PS256"]}), signed, refused),
        (json!({algorithms: ["PS256"]}), plain, "ok"),
        (json!({codes: true}), coded, "ok"),
        (json!({codes: false}), coded, refused),
        (json!({}), coded, refused),
    ];
    for (members, change, expected) in cases {
        let request = change(BackchannelRequest::new(target(), "alice"));
        let begun = request.begin(Arc::new(client()), server(&members), at(NOW));
        assert_eq!(code(begun), expected, "{members}");
    }
}

fn approved(call: &ToolCall) -> Value {
    let details: Value = serde_json::from_str(&call.details(TOOL).to_json()).unwrap();
    json!({"access_token": "t", "token_type": "Bearer", "expires_in": 120,
        "authorization_details": details})
}

/// A server that approves this call, after these answers of the token endpoint.
fn approving(call: &ToolCall, first: Vec<Response<Vec<u8>>>) -> Script {
    let (granted, first) = (approved(call), Mutex::new(first.into_iter()));
    Script::new(move |request, _| match request.uri().path() {
        "/token" => match first.lock().unwrap().next() {
            Some(answer) => answer,
            None => json_answer(200, &granted),
        },
        _ => json_answer(200, &json!({"auth_req_id": "d", "expires_in": 600})),
    })
}

/// CIBA-03: the person is asked for the user code of each request, where the server takes one.
#[tokio::test(start_paused = true)]
async fn a_user_code_is_asked_for() {
    let call = ToolCall::new("pay", Some(br#"{"to":"bob"}"#)).unwrap();
    let asked = || ApprovalRequest::new(call.clone(), TOOL.parse().unwrap());
    for (members, expected) in [
        (
            json!({"backchannel_user_code_parameter_supported": true}),
            2,
        ),
        (json!({}), 0),
    ] {
        let script = approving(&call, Vec::new());
        let count = Arc::new(Mutex::new(0));
        let own = Arc::clone(&count);
        let hint = UserHint::IdToken("id".into());
        let approval = ByBackchannel::new(client(), server(&members), script.clone(), hint);
        let approval = approval
            .with_clock(Paused(Instant::now()))
            .user_code(move || {
                let mut count = own.lock().unwrap();
                *count += 1;
                let code = format!("code-{count}");
                Box::pin(std::future::ready(Ok(code.into())))
            });
        approval.approve(&asked()).await.unwrap();
        approval.approve(&asked()).await.unwrap();
        assert_eq!(*count.lock().unwrap(), expected);
        let requests = script.requests();
        let sent = requests.iter().filter(|it| it.uri().path() == "/ciba");
        let sent = sent.map(|it| Form::parse(it.body()).unwrap());
        let sent: Vec<_> = sent
            .map(|it| it.get("user_code").map(String::from))
            .collect();
        let codes = |it: &str| (expected == 2).then(|| it.to_owned());
        assert_eq!(sent, [codes("code-1"), codes("code-2")]);
        let form = Form::parse(requests[0].body()).unwrap();
        assert_eq!(form.get("id_token_hint"), Some("id"));
        assert_eq!(form.get("login_hint"), None);
    }
    // Without an answer of the person, nothing is sent.
    let script = approving(&call, Vec::new());
    let members = json!({"backchannel_user_code_parameter_supported": true});
    let approval = ByBackchannel::new(client(), server(&members), script.clone(), "alice");
    let approval = approval.user_code(|| Box::pin(std::future::ready(Err(Error::Cancelled))));
    assert_eq!(
        code(approval.approve(&asked()).await),
        "authorize.cancelled"
    );
    assert!(script.requests().is_empty());
}

/// 25 seconds after `NOW`.
const LATER: &str = "Fri, 15 Jan 2027 08:00:25 GMT";

/// CIBA-06: a poll waits as long as `Retry-After` says, in seconds or by a date, and within bounds.
#[tokio::test(start_paused = true)]
async fn a_poll_waits_as_the_server_asks() {
    for (status, error, field, expected) in [
        (400, "authorization_pending", None, 5),
        (400, "authorization_pending", Some("20"), 20),
        (400, "authorization_pending", Some("1"), 5),
        (503, "temporarily_unavailable", Some("30"), 30),
        (503, "temporarily_unavailable", Some("100000"), 300),
        (503, "temporarily_unavailable", Some("soon"), 10),
        (503, "temporarily_unavailable", Some(""), 10),
        (503, "temporarily_unavailable", Some(LATER), 25),
    ] {
        let mut busy = json_answer(status, &json!({ "error": error }));
        if let Some(field) = field {
            let value = http::HeaderValue::from_static(field);
            busy.headers_mut().insert("retry-after", value);
        }
        let call = ToolCall::new("pay", None).unwrap();
        let script = approving(&call, vec![busy]);
        let start = Instant::now();
        let approval = ByBackchannel::new(client(), server(&json!({})), script.clone(), "alice");
        let approval = approval.with_clock(Paused(start));
        let asked = ApprovalRequest::new(call, TOOL.parse().unwrap());
        approval.approve(&asked).await.unwrap();
        assert_eq!(start.elapsed().as_secs(), expected, "{error} {field:?}");
    }
}

/// CIBA-06: a request that the server holds is not cut after the time of the HTTP client, so that
/// it never overlaps with the next one.
#[tokio::test(start_paused = true)]
async fn a_long_poll_is_not_cut() {
    let call = ToolCall::new("pay", None).unwrap();
    let asked = ApprovalRequest::new(call.clone(), TOOL.parse().unwrap());
    for (longest, expected) in [(None, 40), (Some(90), 90)] {
        let script = approving(&call, Vec::new());
        let approval = ByBackchannel::new(client(), server(&json!({})), script.clone(), "alice");
        let mut approval = approval.with_clock(Paused(Instant::now()));
        if let Some(longest) = longest {
            approval = approval.answered_within(Duration::from_secs(longest));
        }
        approval.approve(&asked).await.unwrap();
        let allowed = |request: &Request<Vec<u8>>| {
            let limits = Limits::of(request);
            limits.timeout_of(Duration::from_secs(15)).as_secs()
        };
        let found: Vec<_> = script.requests().iter().map(allowed).collect();
        assert_eq!(found, [15, expected]);
    }
    // Grants that do not poll have the time of the client.
    let grant = Arc::new(ClientCredentials::new(TOOL.parse().unwrap()));
    let rules = TokenRules::new();
    let begun = TokenFlow::begin(
        grant,
        Arc::new(client()),
        server(&json!({})),
        rules,
        at(NOW),
    );
    let Ok(Step::Send(request, _)) = begun else {
        unreachable!("it begins with a request")
    };
    assert_eq!(Limits::of(&request), Limits::new());
}
