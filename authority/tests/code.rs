//! Authorization code with PKCE: each negative differs from a valid request in one property.
#![allow(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::string_slice,
    clippy::unwrap_used,
    reason = "a test fails by panicking"
)]

mod common;

use aims_jose::digest::sha256_base64url;
use common::browser::{
    CALLBACK, USER, VERIFIER, code, named, open, page, parameters, redeem, redirected, refresh,
    refused_to_client, submit, with, with_public, with_users,
};
use common::endpoint::{by_assertion, refused, verified};
use common::{BASE, FILES, NOW, TOOLS, at, body, field, get, key_set, now};
use serde_json::{Value, json};

fn text(response: &http::Response<Vec<u8>>) -> String {
    String::from_utf8(response.body().clone()).unwrap()
}

#[test]
fn a_user_gives_a_client_a_token() {
    let authority = with_public();
    let page = page(&authority, &parameters(), now());
    let answer = submit(&authority, &page, "allow", &[], now());
    let all = redirected(&answer);
    assert_eq!(named(&all, "state"), Some("s t&="));
    assert_eq!(named(&all, "iss"), Some(BASE));
    let granted = redeem(&authority, named(&all, "code").unwrap(), &[], &[], now()).unwrap();
    assert_eq!(granted["token_type"], "Bearer");
    assert_eq!(granted["scope"], "call");
    assert_eq!(granted["expires_in"], 300);
    let claims = verified(&authority, granted["access_token"].as_str().unwrap(), now());
    assert_eq!(claims["iss"], BASE);
    assert_eq!(claims["sub"], USER);
    assert_eq!(claims["client_id"], "cli");
    assert_eq!(claims["aud"], TOOLS);
    assert_eq!(claims["scope"], "call");
    assert_eq!(claims["auth_time"], NOW);
    assert_eq!(claims["exp"], NOW + 300);
    for absent in ["act", "acr", "amr", "cnf", "authorization_details"] {
        assert_eq!(claims.get(absent), None, "{absent}");
    }
}

#[test]
fn the_metadata_tell_of_it() {
    let metadata = body(&get(
        &with_public(),
        "/.well-known/oauth-authorization-server",
        now(),
    ));
    for (name, value) in [
        ("authorization_endpoint", json!(format!("{BASE}/authorize"))),
        (
            "pushed_authorization_request_endpoint",
            json!(format!("{BASE}/par")),
        ),
        ("response_types_supported", json!(["code"])),
        ("response_modes_supported", json!(["query"])),
        ("code_challenge_methods_supported", json!(["S256"])),
        (
            "authorization_response_iss_parameter_supported",
            json!(true),
        ),
        ("acr_values_supported", json!(["urn:example:mfa"])),
        (
            "authorization_details_types_supported",
            json!(["aims_tool"]),
        ),
    ] {
        assert_eq!(metadata[name], value, "{name}");
    }
    let has = |name: &str, value: &str| metadata[name].as_array().unwrap().contains(&json!(value));
    assert!(has("grant_types_supported", "authorization_code"));
    assert!(has("grant_types_supported", "refresh_token"));
    assert!(has("token_endpoint_auth_methods_supported", "none"));
}

/// Without users there is no authorization endpoint, and the metadata name none.
#[test]
fn without_users_there_is_no_endpoint() {
    let authority = common::authority();
    for path in ["/authorize", "/consent", "/par"] {
        assert_eq!(get(&authority, path, now()).status(), 404, "{path}");
    }
    let metadata = body(&get(
        &authority,
        "/.well-known/oauth-authorization-server",
        now(),
    ));
    assert_eq!(metadata["response_types_supported"], json!([]));
    assert_eq!(metadata.get("authorization_endpoint"), None);
    assert_eq!(metadata.get("code_challenge_methods_supported"), None);
}

/// BCP-40: a browser is never sent to a place that is not the client's.
#[test]
fn an_unknown_client_or_redirect_uri_redirects_nowhere() {
    let authority = with_public();
    for parameters in [
        with("client_id", None),
        with("client_id", Some("other")),
        with("client_id", Some("spiffe://example.org/agents/a")),
        with("redirect_uri", None),
        with("redirect_uri", Some("https://evil.example/cb")),
        with("redirect_uri", Some("http://127.0.0.1:51234/callback2")),
        with("redirect_uri", Some("http://127.0.0.1:51234/callback?x=1")),
        with("redirect_uri", Some("http://localhost:51234/callback")),
        with("redirect_uri", Some("https://app.example/cb")),
        with("redirect_uri", Some("https://app.example/cb?tenant=1&x=2")),
    ] {
        let response = open(&authority, &parameters, "", now());
        assert_eq!(response.status(), 400, "{parameters:?}");
        assert_eq!(field(&response, "location"), "");
        assert!(text(&response).contains("The request was refused"));
    }
    let mut twice = parameters();
    twice.push(("state", "2".to_owned()));
    assert_eq!(open(&authority, &twice, "", now()).status(), 400);
    // A registered query stays.
    let response = open(
        &authority,
        &with("redirect_uri", Some("https://app.example/cb?tenant=1")),
        "",
        now(),
    );
    let answer = submit(
        &authority,
        &common::browser::read(&response),
        "allow",
        &[],
        now(),
    );
    assert!(named(&redirected(&answer), "code").is_some());
}

/// ISS-05: errors have `iss` and `state` too.
#[test]
fn other_defects_go_to_the_client() {
    let authority = with_public();
    let challenge = sha256_base64url(VERIFIER);
    let long = "s".repeat(2_049);
    let (hint, class) = ("h".repeat(257), "c".repeat(1_025));
    for (name, value, error) in [
        ("response_type", None, "unsupported_response_type"),
        ("response_type", Some("token"), "unsupported_response_type"),
        (
            "response_type",
            Some("code token"),
            "unsupported_response_type",
        ),
        ("response_mode", Some("fragment"), "invalid_request"),
        ("code_challenge", None, "invalid_request"),
        ("code_challenge", Some(VERIFIER), "invalid_request"),
        ("code_challenge_method", None, "invalid_request"),
        ("code_challenge_method", Some("plain"), "invalid_request"),
        ("code_challenge_method", Some("s256"), "invalid_request"),
        ("scope", Some("admin"), "invalid_scope"),
        ("scope", Some("call read"), "invalid_scope"),
        ("scope", Some("call  list"), "invalid_scope"),
        ("resource", Some("https://other.example"), "invalid_target"),
        ("resource", None, "invalid_target"),
        ("max_age", Some("-1"), "invalid_request"),
        ("max_age", Some("+1"), "invalid_request"),
        ("dpop_jkt", Some("x"), "invalid_request"),
        ("login_hint", Some(hint.as_str()), "invalid_request"),
        ("acr_values", Some(class.as_str()), "invalid_request"),
        ("prompt", Some("none"), "consent_required"),
        ("prompt", Some("none login"), "invalid_request"),
        (
            "authorization_details",
            Some("{}"),
            "invalid_authorization_details",
        ),
    ] {
        let value = value.map(|it| if it == VERIFIER { "short" } else { it });
        let response = open(&authority, &with(name, value), "", now());
        assert_eq!(refused_to_client(&response), error, "{name} {value:?}");
    }
    for (name, value) in [("login_hint", &hint[1..]), ("acr_values", &class[1..])] {
        let response = open(&authority, &with(name, Some(value)), "", now());
        assert_eq!(response.status(), 200, "{name}");
    }
    assert_eq!(challenge.len(), 43);
    let all = redirected(&open(&authority, &with("state", Some(&long)), "", now()));
    assert_eq!(named(&all, "error"), Some("invalid_request"));
}

#[test]
fn the_user_may_deny() {
    let authority = with_public();
    let page = page(&authority, &parameters(), now());
    let answer = submit(&authority, &page, "deny", &[], now());
    assert_eq!(refused_to_client(&answer), "access_denied");
}

#[test]
fn a_code_is_bound_to_its_request() {
    let authority = with_public();
    let other = format!("{VERIFIER}x");
    for (name, value, error) in [
        ("code", "", "invalid_request"),
        ("code", "unknown", "invalid_grant"),
        ("code_verifier", "", "invalid_grant"),
        ("code_verifier", "short", "invalid_grant"),
        ("code_verifier", &other, "invalid_grant"),
        ("redirect_uri", "", "invalid_grant"),
        (
            "redirect_uri",
            "http://127.0.0.1:1/callback",
            "invalid_grant",
        ),
        ("resource", FILES, "invalid_target"),
    ] {
        let code = code(&authority, &parameters(), now());
        let answer = redeem(&authority, &code, &[], &[(name, value)], now());
        assert_eq!(answer, refused(400, error), "{name}");
        // A refused request does not use the code up.
        assert!(redeem(&authority, &code, &[], &[], now()).is_ok(), "{name}");
    }
    let code = code(&authority, &parameters(), now());
    let answer = redeem(&authority, &code, &[], &[("client_id", "other")], now());
    assert_eq!(answer, refused(401, "invalid_client"));
    let late = redeem(&authority, &code, &[], &[], at(NOW + 61));
    assert_eq!(late, refused(400, "invalid_grant"));
}

/// A verifier has 43 to 128 characters (RFC 7636 §4.1), also if the challenge fits a shorter one.
#[test]
fn a_verifier_has_its_form() {
    let authority = with_public();
    for (verifier, is_good) in [
        ("a".repeat(43), true),
        ("-._~".repeat(32), true),
        ("a".repeat(42), false),
        ("a".repeat(129), false),
        (format!("{}+", "a".repeat(42)), false),
    ] {
        let challenge = sha256_base64url(&verifier);
        let asked = with("code_challenge", Some(&challenge));
        let code = code(&authority, &asked, now());
        let answer = redeem(
            &authority,
            &code,
            &[],
            &[("code_verifier", &verifier)],
            now(),
        );
        if is_good {
            assert!(answer.is_ok(), "{verifier}");
        } else {
            assert_eq!(answer, refused(400, "invalid_grant"), "{verifier}");
        }
    }
}

/// A second client of the same server cannot use a code that it saw.
#[test]
fn a_code_of_another_client_is_refused() {
    let key = common::es256();
    let other = aims_authority::Client::with_keys("batch", key_set(&key))
        .redirect_uri("http://127.0.0.1/callback")
        .allow(TOOLS, ["call"]);
    let authority = with_users()
        .client(common::browser::public())
        .client(other)
        .build(now())
        .unwrap();
    let code = code(&authority, &parameters(), now());
    let stolen = [
        ("grant_type", "authorization_code"),
        ("code", code.as_str()),
        ("code_verifier", VERIFIER),
        ("redirect_uri", CALLBACK),
    ];
    let assertion = common::endpoint::assertion(&key, now());
    let mut all = vec![
        ("client_assertion_type", common::endpoint::JWT_BEARER),
        ("client_assertion", assertion.as_str()),
    ];
    all.extend(stolen);
    let answer = common::endpoint::ask(&authority, &[], &all, now());
    assert_eq!(answer, refused(400, "invalid_grant"));
    assert!(redeem(&authority, &code, &[], &[], now()).is_ok());
}

/// CORE-21: the second use gives nothing, and takes back what the first one gave.
#[test]
fn a_code_used_twice_revokes_what_it_gave() {
    let authority = with_public();
    let code = code(&authority, &parameters(), now());
    let granted = redeem(&authority, &code, &[], &[], now()).unwrap();
    let again = redeem(&authority, &code, &[], &[], now());
    assert_eq!(again, refused(400, "invalid_grant"));
    let token = granted["refresh_token"].as_str().unwrap();
    let refreshed = refresh(&authority, token, &[], &[], now());
    assert_eq!(refreshed, refused(400, "invalid_grant"));
}

/// Of 16 uses at the same moment none leaves a good refresh token, and at most one gave a token.
#[test]
fn a_code_used_at_the_same_moment_gives_at_most_one_token() {
    let authority = with_public();
    for _ in 0..10 {
        let code = code(&authority, &parameters(), now());
        let use_it = || redeem(&authority, &code, &[], &[], now());
        let given: Vec<Value> = std::thread::scope(|scope| {
            let all: Vec<_> = (0..16).map(|_| scope.spawn(use_it)).collect();
            all.into_iter()
                .filter_map(|it| it.join().unwrap().ok())
                .collect()
        });
        assert!(given.len() <= 1);
        for granted in given {
            let token = granted["refresh_token"].as_str().unwrap();
            let refreshed = refresh(&authority, token, &[], &[], now());
            assert_eq!(refreshed, refused(400, "invalid_grant"));
        }
    }
}

/// A public client proves nothing, so it gets no token for itself; and a client with keys cannot
/// leave its authentication out.
#[test]
fn none_is_for_public_clients_and_users() {
    let key = common::es256();
    let client = aims_authority::Client::with_keys("batch", key_set(&key)).allow(TOOLS, ["call"]);
    let authority = with_users()
        .client(common::browser::public())
        .client(client)
        .build(now())
        .unwrap();
    let ask = |client_id: &str| {
        let all = [
            ("grant_type", "client_credentials"),
            ("client_id", client_id),
            ("resource", TOOLS),
        ];
        common::endpoint::ask(&authority, &[], &all, now())
    };
    assert_eq!(ask("cli"), refused(400, "unauthorized_client"));
    assert_eq!(ask("batch"), refused(401, "invalid_client"));
    assert_eq!(
        ask("spiffe://example.org/agents/a"),
        refused(401, "invalid_client")
    );
    let assertion = common::endpoint::assertion(&key, now());
    assert!(by_assertion(&authority, &assertion, &[], now()).is_ok());
}

/// RFC 8707: one grant for two resources gives tokens for one of them at a time.
#[test]
fn each_token_is_for_one_resource() {
    let authority = with_public();
    let mut both = with("scope", Some("call read"));
    both.push(("resource", FILES.to_owned()));
    let code_of = || code(&authority, &both, now());
    let neither = redeem(&authority, &code_of(), &[], &[], now());
    assert_eq!(neither, refused(400, "invalid_target"));
    let granted = redeem(&authority, &code_of(), &[], &[("resource", FILES)], now()).unwrap();
    assert_eq!(granted["scope"], "read");
    let claims = verified(&authority, granted["access_token"].as_str().unwrap(), now());
    assert_eq!(
        (&claims["aud"], &claims["scope"]),
        (&json!(FILES), &json!("read"))
    );
    // The refresh token is for the whole grant.
    let token = granted["refresh_token"].as_str().unwrap();
    let next = refresh(&authority, token, &[], &[("resource", TOOLS)], now()).unwrap();
    assert_eq!(next["scope"], "call");
    let token = next["refresh_token"].as_str().unwrap();
    let more = [("resource", TOOLS), ("scope", "call list")];
    let wider = refresh(&authority, token, &[], &more, now());
    assert_eq!(wider, refused(400, "invalid_scope"));
}

/// A client of the code flow may be a workload; its code goes with its own identifier.
#[test]
fn a_workload_acts_for_a_user() {
    let client = aims_authority::Client::spiffe("spiffe://example.org/users/*".parse().unwrap())
        .redirect_uri("https://agent.example/cb")
        .allow(TOOLS, ["call"]);
    let authority = with_users().client(client).build(now()).unwrap();
    let mut all = with("client_id", Some("spiffe://example.org/users/a"));
    all.retain(|(name, _)| *name != "redirect_uri");
    let page = page(&authority, &all, now());
    assert!(page.html.contains("spiffe://example.org/users/a"));
    let answer = submit(&authority, &page, "allow", &[], now());
    assert!(field(&answer, "location").starts_with("https://agent.example/cb?code="));
}

/// Also for a request that wanted a new sign-in.
#[test]
fn a_page_waits_ten_minutes() {
    let authority = with_public();
    let page = page(&authority, &with("max_age", Some("0")), now());
    let answer = submit(&authority, &page, "allow", &[], at(NOW + 599));
    assert!(named(&redirected(&answer), "code").is_some());
    let page = common::browser::page(&authority, &parameters(), now());
    let answer = submit(&authority, &page, "allow", &[], at(NOW + 601));
    assert_eq!(answer.status(), 403);
}
