//! Pushed authorization requests (RFC 9126) and authorization details (RFC 9396).
#![allow(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::string_slice,
    clippy::unwrap_used,
    reason = "a test fails by panicking"
)]

mod common;

use std::sync::Arc;

use aims_authority::{Authority, Client, DetailsType, MemoryState};
use aims_jose::key::{Signer as _, SigningKey};
use aims_jose::random::SYSTEM;
use aims_jose::time::UnixTime;
use aims_oauth_wire::dpop::Binding;
use common::browser::{
    CALLBACK, USER, code, named, open, page, parameters, public, redeem, redirected, refresh,
    refused_to_client, submit, with, with_public, with_users,
};
use common::endpoint::{FORM, JWT_BEARER, assertion_of, judged, refused, verified};
use common::{BASE, FILES, NOW, TOOLS, at, es256, key_set, now, request, send};
use serde_json::{Map, Value, json};

fn push(
    authority: &Authority,
    parameters: &[(&'static str, String)],
    now: UnixTime,
) -> Result<Value, (u16, String)> {
    let body = common::browser::query(parameters);
    let response = send(authority, &request("POST", "/par", &[FORM], &body), now);
    let status = response.status();
    let body = judged(&response)?;
    assert_eq!(status, 201);
    Ok(body)
}

fn pushed(authority: &Authority, parameters: &[(&'static str, String)]) -> String {
    let answer = push(authority, parameters, now()).unwrap();
    assert_eq!(answer["expires_in"], 300);
    let uri = answer["request_uri"].as_str().unwrap();
    assert!(uri.starts_with("urn:ietf:params:oauth:request_uri:"));
    uri.to_owned()
}

fn by(uri: &str) -> Vec<(&'static str, String)> {
    vec![
        ("client_id", "cli".to_owned()),
        ("request_uri", uri.to_owned()),
    ]
}

#[test]
fn a_pushed_request_is_used_once() {
    let authority = with_public();
    let uri = pushed(&authority, &parameters());
    // A browser may load the page twice; one decision counts.
    let first = page(&authority, &by(&uri), now());
    let second = page(&authority, &by(&uri), now());
    let all = redirected(&submit(&authority, &first, "allow", &[], at(NOW + 301)));
    assert_eq!(named(&all, "state"), Some("s t&="));
    let code = named(&all, "code").unwrap();
    assert!(redeem(&authority, code, &[], &[], at(NOW + 301)).is_ok());
    let again = submit(&authority, &second, "allow", &[], now());
    assert_eq!(again.status(), 400);
    assert_eq!(open(&authority, &by(&uri), "", now()).status(), 400);
}

#[test]
fn a_pushed_request_is_bound_to_its_client_and_time() {
    let other = Client::public("other")
        .redirect_uri("http://127.0.0.1/callback")
        .allow(TOOLS, ["call"]);
    let authority = with_users()
        .client(public())
        .client(other)
        .build(now())
        .unwrap();
    let uri = pushed(&authority, &parameters());
    let mut stolen = by(&uri);
    stolen[0].1 = "other".to_owned();
    for (parameters, time) in [
        (stolen, now()),
        (by(&uri), at(NOW + 301)),
        (by(&format!("{uri}x")), now()),
        (by("https://cli.example/request.jwt"), now()),
    ] {
        let response = open(&authority, &parameters, "", time);
        assert_eq!(response.status(), 400, "{parameters:?}");
        assert_eq!(common::field(&response, "location"), "");
    }
    assert_eq!(open(&authority, &by(&uri), "", at(NOW + 300)).status(), 200);
}

/// The pushed request is judged like one in a query, and answered as JSON.
#[test]
fn a_bad_request_is_not_stored() {
    let authority = with_public();
    for (name, value, status, error) in [
        ("client_id", None, 401, "invalid_client"),
        ("client_id", Some("other"), 401, "invalid_client"),
        (
            "redirect_uri",
            Some("https://evil.example/"),
            400,
            "invalid_request",
        ),
        (
            "response_type",
            Some("token"),
            400,
            "unsupported_response_type",
        ),
        ("code_challenge", None, 400, "invalid_request"),
        ("scope", Some("admin"), 400, "invalid_scope"),
        (
            "resource",
            Some("https://other.example"),
            400,
            "invalid_target",
        ),
        ("request_uri", Some("urn:x"), 400, "invalid_request"),
    ] {
        let answer = push(&authority, &with(name, value), now());
        assert_eq!(answer, refused(status, error), "{name} {value:?}");
    }
}

/// A public client proves nothing, so one source cannot fill the store with its requests.
#[test]
fn pushed_requests_of_one_source_have_a_rate() {
    let authority = with_public();
    let statuses: Vec<_> = (0..130)
        .map(|_| push(&authority, &parameters(), now()).map_err(|(status, _)| status))
        .collect();
    assert!(statuses[..120].iter().all(Result::is_ok));
    assert!(statuses[120..].iter().all(|it| *it == Err(429)));
    assert!(push(&authority, &parameters(), at(NOW + 1)).is_ok());
}

#[test]
fn a_client_may_have_to_push() {
    let client = public().require_pushed_requests();
    let authority = with_users().client(client).build(now()).unwrap();
    let direct = open(&authority, &parameters(), "", now());
    assert_eq!(refused_to_client(&direct), "invalid_request");
    let uri = pushed(&authority, &parameters());
    assert_eq!(open(&authority, &by(&uri), "", now()).status(), 200);
}

/// RFC 9449 §10: a code that is bound to a key is redeemed with a proof of that key.
fn proof(key: &SigningKey, path: &str) -> String {
    let target = format!("{BASE}{path}");
    let (jwk, algorithm) = (key.public_jwk(), key.algorithm());
    let proof = Binding::to("POST", &target).prepare(jwk, algorithm, SYSTEM, now());
    proof.unwrap().sign(key).unwrap().expose().to_owned()
}

/// DPOP-10: only the holder of the key of `dpop_jkt` redeems the code.
#[test]
fn a_code_can_be_bound_to_a_key() {
    let authority = with_public();
    let (own, other) = (es256(), es256());
    let jkt = own.verifying_key().thumbprint().to_string();
    let code = code(&authority, &with("dpop_jkt", Some(&jkt)), now());
    let redeem = |fields: &[(&str, &str)]| redeem(&authority, &code, fields, &[], now());
    assert_eq!(redeem(&[]), refused(400, "invalid_grant"));
    let stolen = redeem(&[("dpop", &proof(&other, "/token"))]);
    assert_eq!(stolen, refused(400, "invalid_grant"));
    assert!(redeem(&[("dpop", &proof(&own, "/token"))]).is_ok());
}

/// DPOP-10: the parameter and the proof of a pushed request name one key (RFC 9449 §10.1).
#[test]
fn a_pushed_request_is_bound_by_its_proof() {
    let authority = with_public();
    let (own, other) = (es256(), es256());
    let jkt = own.verifying_key().thumbprint().to_string();
    let push = |key: &SigningKey, parameters: &[(&'static str, String)]| {
        let proof = proof(key, "/par");
        let body = common::browser::query(parameters);
        let fields = [FORM, ("dpop", proof.as_str())];
        judged(&send(
            &authority,
            &request("POST", "/par", &fields, &body),
            now(),
        ))
    };
    let named = with("dpop_jkt", Some(&jkt));
    assert_eq!(push(&other, &named), refused(400, "invalid_request"));
    assert!(push(&own, &named).is_ok());
    // Without the parameter, the proof binds the code.
    let pushed = push(&own, &parameters()).unwrap();
    let code = code(
        &authority,
        &by(pushed["request_uri"].as_str().unwrap()),
        now(),
    );
    let redeem = |fields: &[(&str, &str)]| redeem(&authority, &code, fields, &[], now());
    let stolen = redeem(&[("dpop", &proof(&other, "/token"))]);
    assert_eq!(stolen, refused(400, "invalid_grant"));
    assert!(redeem(&[("dpop", &proof(&own, "/token"))]).is_ok());
}

const TOOL: &str = r#"[{"type":"aims_tool","locations":["https://tools.example/mcp"],"actions":["search","read"]}]"#;

#[test]
fn details_go_from_the_request_into_the_token() {
    let authority = with_public();
    let asked = with("authorization_details", Some(TOOL));
    let page = page(&authority, &asked, now());
    assert!(page.html.contains("search"));
    let all = redirected(&submit(&authority, &page, "allow", &[], now()));
    let granted = redeem(&authority, named(&all, "code").unwrap(), &[], &[], now()).unwrap();
    let expected: Value = serde_json::from_str(TOOL).unwrap();
    assert_eq!(granted["authorization_details"], expected);
    let claims = verified(&authority, granted["access_token"].as_str().unwrap(), now());
    assert_eq!(claims["authorization_details"], expected);
    assert_eq!(claims["sub"], USER);
    // A refresh may ask for less (RFC 9396 §6), and never for more.
    let token = granted["refresh_token"].as_str().unwrap();
    let less = TOOL.replace(r#""search","#, "");
    let more = TOOL.replace("search", "delete");
    for (details, is_less) in [(&more, false), (&less, true)] {
        let more = [("authorization_details", details.as_str())];
        let answer = refresh(&authority, token, &[], &more, now());
        if is_less {
            let expected: Value = serde_json::from_str(&less).unwrap();
            assert_eq!(answer.unwrap()["authorization_details"], expected);
        } else {
            assert_eq!(answer, refused(400, "invalid_authorization_details"));
        }
    }
}

/// A type that looks at nothing.
#[derive(Debug)]
struct Order;

impl DetailsType for Order {
    fn name(&self) -> &'static str {
        "order"
    }

    fn check(&self, _entry: &Map<String, Value>) -> Result<(), &'static str> {
        Ok(())
    }
}

/// Any caller can push for a public client. These requests fill a table of their own, so that
/// clients that authenticate push on.
#[test]
fn a_full_table_of_public_requests_leaves_the_other_working() {
    let key = es256();
    let web = Client::with_keys("web", key_set(&key))
        .redirect_uri(CALLBACK)
        .allow(TOOLS, ["call"]);
    let authority = with_users()
        .client(public())
        .client(web)
        .state(Arc::new(MemoryState::with_capacity(2)))
        .build(now())
        .unwrap();
    let as_web = || {
        let mut asked = with("client_id", Some("web"));
        asked.push(("client_assertion_type", JWT_BEARER.to_owned()));
        asked.push(("client_assertion", assertion_of("web", &key, now())));
        push(&authority, &asked, now())
    };
    let full = refused(503, "server_error");
    assert!(push(&authority, &parameters(), now()).is_ok());
    assert!(push(&authority, &parameters(), now()).is_ok());
    assert_eq!(push(&authority, &parameters(), now()), full);
    let mut by = by(as_web().unwrap()["request_uri"].as_str().unwrap());
    by.retain(|(name, _)| *name != "client_id");
    by.push(("client_id", "web".to_owned()));
    let page = page(&authority, &by, now());
    let all = redirected(&submit(&authority, &page, "allow", &[], now()));
    assert!(named(&all, "code").is_some());
    // It is used up, and only that makes room.
    assert_eq!(open(&authority, &by, "", now()).status(), 400);
    assert!(as_web().is_ok());
    assert!(as_web().is_ok());
    assert_eq!(as_web(), full);
}

/// RAR-02: each defect is refused by itself.
#[test]
fn malformed_or_foreign_details_are_refused() {
    let plain = Client::public("plain")
        .redirect_uri("http://127.0.0.1/callback")
        .allow(TOOLS, ["call"]);
    let authority = with_users()
        .authorization_details(Arc::new(Order))
        .client(public().allow_details("order"))
        .client(plain)
        .build(now())
        .unwrap();
    let long = format!("[{}]", vec![r#"{"type":"aims_tool"}"#; 65].join(","));
    let huge = format!(
        r#"[{{"type":"aims_tool","actions":["{}"]}}]"#,
        "a".repeat(16 * 1_024)
    );
    for bad in [
        "x",
        "{}",
        "[1]",
        "[{}]",
        r#"[{"type":"payment"}]"#,
        r#"[{"type":"aims_tool","amount":1}]"#,
        r#"[{"type":"aims_tool","actions":"read"}]"#,
        r#"[{"type":"aims_tool","actions":[]}]"#,
        r#"[{"type":"aims_tool","actions":[1]}]"#,
        r#"[{"type":"aims_tool","type":"aims_tool"}]"#,
        r#"[{"type":"aims_tool","locations":["https://files.example"]}]"#,
        r#"[{"type":"aims_tool"}],"x":[1]"#,
        r#"[{"type":1}]"#,
        r#"[{"type":"order","locations":"https://tools.example/mcp"}]"#,
        &long,
        &huge,
    ] {
        let response = open(
            &authority,
            &with("authorization_details", Some(bad)),
            "",
            now(),
        );
        assert_eq!(
            refused_to_client(&response),
            "invalid_authorization_details",
            "{bad}"
        );
    }
    let good = r#"[{"type":"order","locations":["https://tools.example/mcp"]}]"#;
    let asked = with("authorization_details", Some(good));
    assert_eq!(open(&authority, &asked, "", now()).status(), 200);
    let mut other = with("authorization_details", Some(TOOL));
    for (name, value) in &mut other {
        if *name == "client_id" {
            *value = "plain".to_owned();
        }
    }
    let response = open(&authority, &other, "", now());
    assert_eq!(
        refused_to_client(&response),
        "invalid_authorization_details"
    );
}

/// Details for one resource do not get into a token for another.
#[test]
fn details_stay_at_their_location() {
    let authority = with_public();
    let mut asked = with("authorization_details", Some(TOOL));
    asked.retain(|(name, _)| *name != "scope");
    asked.push(("resource", FILES.to_owned()));
    let code = code(&authority, &asked, now());
    let granted = redeem(&authority, &code, &[], &[("resource", FILES)], now()).unwrap();
    assert_eq!(granted.get("authorization_details"), None);
    // Without `scope`, the details alone say what is asked for.
    assert_eq!(granted.get("scope"), None);
    let token = granted["refresh_token"].as_str().unwrap();
    let next = refresh(&authority, token, &[], &[("resource", TOOLS)], now()).unwrap();
    assert_eq!(next["authorization_details"][0]["type"], json!("aims_tool"));
}
