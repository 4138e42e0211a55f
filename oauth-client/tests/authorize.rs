//! Authorization codes: what the browser carries, and which answers are accepted.

#![cfg(feature = "tokio")]
#![allow(
    clippy::indexing_slicing,
    clippy::unwrap_used,
    reason = "a test fails by panicking"
)]

mod common;

use std::collections::HashMap;
use std::sync::Arc;

use aims_jose::alg::Algorithm;
use aims_jose::digest::sha256_base64url;
use aims_jose::jws::{SigningInput, Unverified};
use aims_jose::key::{SigningKey, VerifyingKey};
use aims_jose::provider::AWS_LC;
use aims_jose::random::SYSTEM;
use aims_oauth_client::{
    AuthorizationRequest, Authorizing, DpopKey, Error, Logins, RedirectUri, Step, Target,
    TokenSource, drive,
};
use aims_oauth_wire::client_auth::PublicClient;
use aims_oauth_wire::metadata::ServerMetadata;
use common::{NOW, Paused, Script, at, code, json_answer, server_with};
use http::Response;
use serde_json::{Value, json};
use tokio::time::Instant;

const TOOL: &str = "https://tools.example/mcp";
const REDIRECT: &str = "http://127.0.0.1:4711/callback";

fn server(members: &Value) -> ServerMetadata {
    let mut all = json!({"authorization_endpoint": "https://as.example/authorize?tenant=7",
        "code_challenge_methods_supported": ["plain", "S256"]});
    for (name, value) in members.as_object().unwrap() {
        all[name] = value.clone();
    }
    all.as_object_mut()
        .unwrap()
        .retain(|_, value| !value.is_null());
    server_with(&all)
}

fn target(scopes: &str) -> Target {
    Target::new(TOOL.parse().unwrap(), scopes.parse().unwrap())
}

fn request() -> AuthorizationRequest {
    AuthorizationRequest::new(REDIRECT.parse().unwrap(), target("read"))
}

fn client() -> Arc<PublicClient> {
    Arc::new(PublicClient::new("app".parse().unwrap()))
}

fn begin(request: AuthorizationRequest, members: &Value) -> Result<Authorizing, Error> {
    let server = Arc::new(server(members));
    match request.begin(client(), server, None, SYSTEM, at(NOW))? {
        Step::Done(authorizing) => Ok(authorizing),
        other => unreachable!("{other:?}"),
    }
}

fn pairs(url: &str) -> HashMap<String, String> {
    let url = url::Url::parse(url).unwrap();
    let pairs: Vec<_> = url.query_pairs().into_owned().collect();
    let all: HashMap<_, _> = pairs.iter().cloned().collect();
    assert_eq!(all.len(), pairs.len(), "no parameter twice");
    all
}

/// CORE-04, CORE-10, CORE-01: the URL has everything, keeps the query of the endpoint, and differs
/// each time in what must not be guessed.
#[test]
fn the_url_has_all_parameters() {
    let rich = || {
        request()
            .acr_values("loa2")
            .max_age(std::time::Duration::from_secs(60))
            .login_hint("alice@example.org")
            .prompt("login")
    };
    let authorizing = begin(rich(), &json!({})).unwrap();
    let found = pairs(authorizing.url());
    for (name, value) in [
        ("tenant", "7"),
        ("response_type", "code"),
        ("client_id", "app"),
        ("redirect_uri", REDIRECT),
        ("scope", "read"),
        ("resource", TOOL),
        ("code_challenge_method", "S256"),
        ("acr_values", "loa2"),
        ("max_age", "60"),
        ("login_hint", "alice@example.org"),
        ("prompt", "login"),
    ] {
        assert_eq!(found[name], value, "{name}");
    }
    assert!(!found.contains_key("nonce") && !found.contains_key("dpop_jkt"));
    let other = pairs(begin(rich(), &json!({})).unwrap().url());
    for name in ["state", "code_challenge"] {
        assert_ne!(found[name], other[name]);
        assert!(found[name].len() >= 22, "{name}");
    }
    assert!(!format!("{authorizing:?}").contains(&found["state"]));
}

/// CORE-10, BCP-03: a server that does not list `S256` is refused; `plain` is never used.
#[test]
fn pkce_is_not_given_up() {
    for (methods, plain, unlisted) in [
        (json!(["S256"]), "ok", "ok"),
        (
            json!(["plain"]),
            "authorize.unsupported",
            "authorize.unsupported",
        ),
        (json!(null), "authorize.unsupported", "ok"),
    ] {
        let members = json!({ "code_challenge_methods_supported": methods });
        assert_eq!(code(begin(request(), &members)), plain, "{methods}");
        let accepting = begin(request().accept_unlisted_pkce(), &members);
        if let Ok(authorizing) = &accepting {
            assert_eq!(pairs(authorizing.url())["code_challenge_method"], "S256");
        }
        assert_eq!(code(accepting), unlisted, "{methods}");
    }
    for (members, expected) in [
        (json!({"authorization_endpoint": null}), "metadata.member"),
        (
            json!({"grant_types_supported": ["client_credentials"]}),
            "grant.unsupported",
        ),
        (
            json!({"require_signed_request_object": true}),
            "authorize.unsupported",
        ),
        (
            json!({"require_pushed_authorization_requests": true}),
            "authorize.unsupported",
        ),
    ] {
        assert_eq!(code(begin(request(), &members)), expected, "{members}");
    }
}

/// JAR-01: a signed request has the client and the object alone outside. The object has every
/// parameter, its server as the audience, and no subject.
#[test]
fn a_request_is_signed() {
    let key = SigningKey::generate(Algorithm::Es256, AWS_LC).unwrap();
    let key = Arc::new(key.with_key_id("k1"));
    let required = json!({"require_signed_request_object": true});
    let rich = || {
        let details = json!([{"type": "aims_tool", "actions": ["pay"]}]).to_string();
        let target = target("openid read").with_details(&details).unwrap();
        let request = AuthorizationRequest::new(REDIRECT.parse().unwrap(), target);
        request
            .acr_values("loa2")
            .max_age(std::time::Duration::from_secs(60))
    };
    let mut plain = pairs(begin(rich(), &json!({})).unwrap().url());
    plain.remove("tenant");
    let authorizing = begin(rich().signed(Arc::clone(&key)), &required).unwrap();
    let mut outside = pairs(authorizing.url());
    let object = outside.remove("request").unwrap();
    assert_eq!(
        outside.remove("client_id"),
        Some(plain["client_id"].clone())
    );
    assert_eq!(outside.remove("tenant").as_deref(), Some("7"));
    assert!(outside.is_empty(), "{outside:?}");
    let token = Unverified::parse(&object).unwrap();
    assert!(token.header().is_typ("oauth-authz-req+jwt"));
    let verified = token
        .verify(&VerifyingKey::from_jwk(key.public_jwk(), AWS_LC).unwrap())
        .unwrap();
    let claims: Value = verified.claims().unwrap();
    for (name, value) in &plain {
        let found = match &claims[name] {
            Value::String(text) => text.clone(),
            other => other.to_string(),
        };
        if !matches!(&**name, "state" | "code_challenge" | "nonce") {
            let same =
                found == *value || serde_json::from_str::<Value>(value).unwrap() == claims[name];
            assert!(same, "{name}: {found}, expected {value}");
        }
        assert!(!found.is_empty() && found != "null", "{name}");
    }
    assert_eq!(claims["iss"], claims["client_id"]);
    assert_eq!(claims["aud"], "https://as.example");
    assert_eq!(
        claims["exp"].as_u64().unwrap() - claims["iat"].as_u64().unwrap(),
        300
    );
    assert!(claims.get("sub").is_none() && claims.get("request").is_none());
    assert!(claims["authorization_details"].is_array());
    // Without a key, such a server is refused.
    assert_eq!(code(begin(rich(), &required)), "authorize.unsupported");
    // The algorithm is one of the server.
    for (algorithms, expected) in [
        (json!(["RS256", "ES256"]), "ok"),
        (json!(["RS256", "none"]), "authorize.unsupported"),
    ] {
        let members = json!({"request_object_signing_alg_values_supported": algorithms});
        let signed = begin(rich().signed(Arc::clone(&key)), &members);
        assert_eq!(code(signed), expected);
    }
}

/// Answers by their query, with `{state}` for that of the request.
fn answered(query: &str, members: &Value) -> Result<(), Error> {
    let authorizing = begin(request(), members)?;
    let state = pairs(authorizing.url())["state"].clone();
    let code = authorizing.finish(&query.replace("{state}", &state))?;
    assert!(!format!("{code:?}").contains("c0de"));
    Ok(())
}

/// CORE-05, ISS-01, ISS-02, BCP-02: answers of another server, for another request, twice, without
/// `iss` or with an error.
#[test]
fn answers_are_judged() {
    let no = json!({});
    let iss = json!({"authorization_response_iss_parameter_supported": true});
    let as_example = "iss=https%3A%2F%2Fas.example";
    for (query, members, expected) in [
        ("code=c0de&state={state}".to_owned(), &no, "ok"),
        ("?code=c0de&state={state}&unknown=1".to_owned(), &no, "ok"),
        (format!("code=c0de&state={{state}}&{as_example}"), &no, "ok"),
        (
            format!("code=c0de&state={{state}}&{as_example}"),
            &iss,
            "ok",
        ),
        // Without `iss`, although the server states that it sends it.
        (
            "code=c0de&state={state}".to_owned(),
            &iss,
            "authorize.issuer",
        ),
        (
            "error=access_denied&state={state}".to_owned(),
            &iss,
            "authorize.issuer",
        ),
        // Of another server, also where none was announced. Nothing is normalized.
        (
            "code=c0de&state={state}&iss=https://evil.example".to_owned(),
            &no,
            "authorize.issuer",
        ),
        (
            "code=c0de&state={state}&iss=https://as.example/".to_owned(),
            &no,
            "authorize.issuer",
        ),
        (
            "code=c0de&state={state}&iss=HTTPS://as.example".to_owned(),
            &no,
            "authorize.issuer",
        ),
        (
            "error=access_denied&state={state}&iss=https://evil.example".to_owned(),
            &no,
            "authorize.issuer",
        ),
        // For another request.
        ("code=c0de".to_owned(), &no, "authorize.state"),
        ("code=c0de&state=other".to_owned(), &no, "authorize.state"),
        (
            "error=access_denied&state=other".to_owned(),
            &no,
            "authorize.state",
        ),
        // Errors.
        (
            "error=access_denied&state={state}".to_owned(),
            &no,
            "authorize.refused",
        ),
        (
            format!("error=server_error&state={{state}}&{as_example}"),
            &iss,
            "authorize.refused",
        ),
        (
            "error=%22&state={state}".to_owned(),
            &no,
            "authorize.response",
        ),
        // Twice, or nothing.
        (
            "code=c0de&code=x&state={state}".to_owned(),
            &no,
            "authorize.response",
        ),
        (
            "code=c0de&state={state}&state={state}".to_owned(),
            &no,
            "authorize.response",
        ),
        (
            format!("code=c0de&state={{state}}&{as_example}&{as_example}"),
            &no,
            "authorize.response",
        ),
        (
            "code=c0de&error=x&state={state}".to_owned(),
            &no,
            "authorize.response",
        ),
        ("state={state}".to_owned(), &no, "authorize.response"),
        ("code=&state={state}".to_owned(), &no, "authorize.response"),
        (
            format!("state={{state}}&code={}", "c".repeat(20_000)),
            &no,
            "authorize.response",
        ),
    ] {
        assert_eq!(code(answered(&query, members)), expected, "{query}");
    }
    let error = answered(
        "error=access_denied&error_description=not%20now&state={state}",
        &no,
    );
    let shown = error.unwrap_err().to_string();
    assert_eq!(
        shown,
        "the authorization was refused: access_denied (not now)"
    );
}

fn granted() -> Value {
    json!({"access_token": "t", "token_type": "Bearer", "expires_in": 300,
        "refresh_token": "r", "scope": "read"})
}

fn source(script: &Script, server: ServerMetadata) -> TokenSource {
    TokenSource::new(
        server,
        PublicClient::new("app".parse().unwrap()),
        script.clone(),
    )
    .with_clock(Paused(Instant::now()))
}

/// CORE-06, RSC-01, CORE-10: the token request has the same redirect URI and resource, and the
/// verifier of the challenge.
#[tokio::test(start_paused = true)]
async fn a_code_is_redeemed() {
    let authorizing = begin(request(), &json!({})).unwrap();
    let sent = pairs(authorizing.url());
    let answer = format!("code=c0de&state={}", sent["state"]);
    let script = Script::new(|_, _| json_answer(200, &granted()));
    let source = source(&script, server(&json!({})));
    let token = source
        .redeem(authorizing.finish(&answer).unwrap())
        .await
        .unwrap();
    assert!(token.is_refreshable());
    let form = script.forms().remove(0);
    assert_eq!(form.get("grant_type"), Some("authorization_code"));
    assert_eq!(form.get("code"), Some("c0de"));
    assert_eq!(form.get("redirect_uri"), Some(REDIRECT));
    assert_eq!(form.get("resource"), Some(TOOL));
    assert_eq!(form.get("client_id"), Some("app"));
    let verifier = form.get("code_verifier").unwrap();
    assert_eq!(verifier.len(), 43);
    assert_eq!(sha256_base64url(verifier), sent["code_challenge"]);
}

/// Mix-up: a code goes to no other server than the one that gave it.
#[tokio::test(start_paused = true)]
async fn a_code_goes_to_its_server() {
    let authorizing = begin(request(), &json!({})).unwrap();
    let state = pairs(authorizing.url())["state"].clone();
    let document = json!({"issuer": "https://evil.example",
        "token_endpoint": "https://evil.example/token"});
    let issuer = "https://evil.example".parse().unwrap();
    let evil = ServerMetadata::parse(document.to_string().as_bytes(), &issuer).unwrap();
    let script = Script::new(|_, _| json_answer(200, &granted()));
    let code_of = authorizing
        .finish(&format!("code=c&state={state}"))
        .unwrap();
    assert_eq!(
        code(source(&script, evil).redeem(code_of).await),
        "oauth.request"
    );
    assert!(script.requests().is_empty());
}

/// ISS-04, BCP-04: the ID token is of the same server, for this client and this request.
#[tokio::test(start_paused = true)]
async fn an_id_token_is_that_of_the_login() {
    for (changes, expected) in [
        (json!({}), "ok"),
        (json!({"aud": ["app", "other"]}), "ok"),
        (json!({"iss": "https://evil.example"}), "authorize.id_token"),
        (json!({"aud": "other"}), "authorize.id_token"),
        (json!({"nonce": "other"}), "authorize.id_token"),
        (json!({"nonce": null}), "authorize.id_token"),
        (json!({"exp": NOW - 59}), "ok"),
        (json!({"exp": NOW - 60}), "authorize.id_token"),
        (json!({"exp": null}), "authorize.id_token"),
    ] {
        let asked = AuthorizationRequest::new(REDIRECT.parse().unwrap(), target("openid read"));
        let authorizing = begin(asked, &json!({})).unwrap();
        let sent = pairs(authorizing.url());
        let mut claims = json!({"iss": "https://as.example", "aud": "app", "sub": "alice",
            "nonce": sent["nonce"], "exp": NOW + 300});
        for (name, value) in changes.as_object().unwrap() {
            claims[name] = value.clone();
        }
        let key = SigningKey::generate(Algorithm::Es256, AWS_LC).unwrap();
        let token = SigningInput::new("JWT", Algorithm::Es256, None, &claims).unwrap();
        let mut body = granted();
        body["id_token"] = token.sign(&key).unwrap().expose().into();
        let script = Script::new(move |_, _| json_answer(200, &body));
        let answer = format!("code=c&state={}", sent["state"]);
        let grant = authorizing.finish(&answer).unwrap();
        let found = source(&script, server(&json!({}))).redeem(grant).await;
        assert_eq!(code(found), expected, "{changes}");
    }
}

const PUSH: &str = "https://as.example/par";

async fn pushed(
    answer: impl Fn(usize) -> Response<Vec<u8>> + Send + Sync + 'static,
    key: Option<&DpopKey>,
) -> (Script, Result<Authorizing, Error>) {
    let members = json!({"pushed_authorization_request_endpoint": PUSH,
        "require_pushed_authorization_requests": true});
    let script = Script::new(move |_, number| answer(number));
    let server = Arc::new(server(&members));
    let first = request()
        .begin(client(), server, key, SYSTEM, at(NOW))
        .unwrap();
    let found = drive(first, &script, &Paused(Instant::now())).await;
    (script, found)
}

/// RFC 9126: the parameters are pushed, and the browser carries a reference alone. DPOP-10: the
/// code is bound to the key.
#[tokio::test(start_paused = true)]
async fn a_request_is_pushed() {
    let key = DpopKey::generate(AWS_LC).unwrap();
    let uri = "urn:ietf:params:oauth:request_uri:6esc";
    let answer = move |number: usize| {
        let mut answer = match number {
            0 => json_answer(400, &json!({"error": "use_dpop_nonce"})),
            _ => json_answer(201, &json!({"request_uri": uri, "expires_in": 60})),
        };
        let nonce = http::HeaderValue::from_static("n");
        answer.headers_mut().insert("dpop-nonce", nonce);
        answer
    };
    let (script, found) = pushed(answer, Some(&key)).await;
    let found = found.unwrap();
    let sent = pairs(found.url());
    assert_eq!(sent.len(), 3, "{sent:?}");
    assert_eq!((&*sent["client_id"], &*sent["request_uri"]), ("app", uri));
    let requests = script.requests();
    assert_eq!(requests.len(), 2, "the nonce is demanded once");
    assert!(
        requests
            .iter()
            .all(|it| it.uri() == PUSH && it.headers().contains_key("dpop"))
    );
    let form = script.forms().remove(1);
    assert_eq!(form.get("dpop_jkt"), Some(&*key.thumbprint().to_string()));
    assert_eq!(form.get("code_challenge_method"), Some("S256"));
    assert_eq!(form.get("resource"), Some(TOOL));
    assert_eq!(form.get("client_id"), Some("app"));
    assert!(
        found
            .finish(&format!("code=c&state={}", form.get("state").unwrap()))
            .is_ok()
    );
}

/// A push that fails ends the login. It does not fall back to the browser.
#[tokio::test(start_paused = true)]
async fn a_push_that_fails() {
    for (status, body, expected) in [
        (400, json!({"error": "invalid_request"}), "oauth.refused"),
        (201, json!({"expires_in": 60}), "oauth.response"),
        (500, json!({}), "oauth.response"),
    ] {
        let (script, found) = pushed(move |_| json_answer(status, &body), None).await;
        assert_eq!(code(found), expected, "{status}");
        assert_eq!(script.requests().len(), 1);
    }
    let members = json!({"pushed_authorization_request_endpoint": PUSH});
    assert!(begin(request().without_push(), &members).is_ok());
}

/// RAR-01: authorization details are sent in canonical form, and checked before.
#[test]
fn authorization_details_are_sent() {
    let details = r#"[{"type": "pay", "amount": 1.50}]"#;
    let detailed = target("pay").with_details(details).unwrap();
    let asked = AuthorizationRequest::new(REDIRECT.parse().unwrap(), detailed);
    let sent = pairs(begin(asked, &json!({})).unwrap().url());
    assert_eq!(
        sent["authorization_details"],
        r#"[{"amount":1.5,"type":"pay"}]"#
    );
    for wrong in [
        "",
        "{}",
        "[]",
        "[1]",
        r#"[{"amount": 1}]"#,
        r#"[{"type": "a", "type": "b"}]"#,
        r#"[{"type": "a"}], "more": [{"type": "b"}]"#,
        r#"[{"type": "a"}]}"#,
    ] {
        assert_eq!(
            code(target("read").with_details(wrong)),
            "grant.details",
            "{wrong}"
        );
    }
}

/// CORE-13: redirect URIs of native and web clients.
#[test]
fn redirect_uris_are_checked() {
    for good in [
        "https://app.example/callback?x=1",
        "http://127.0.0.1:1/callback",
        "http://[::1]:1/callback",
        "http://localhost:1/callback",
        "com.example.app:/callback",
    ] {
        assert_eq!(good.parse::<RedirectUri>().unwrap().as_str(), good);
    }
    for bad in [
        "",
        "/callback",
        "http://app.example/callback",
        "http://127.0.0.1.evil.example/callback",
        "https://app.example/callback#x",
        "https://u:p@app.example/callback",
        "javascript:alert(1)",
        "app:/callback",
    ] {
        assert_eq!(
            code(bad.parse::<RedirectUri>()),
            "authorize.redirect",
            "{bad}"
        );
    }
}

/// BCP-17, CORE-05: an answer counts once, and only in the session that started the login.
#[test]
fn logins_belong_to_sessions() {
    let logins = Logins::new(2);
    let start = |session: &str| {
        let authorizing = begin(request(), &json!({})).unwrap();
        let state = pairs(authorizing.url())["state"].clone();
        logins.insert(session, authorizing);
        format!("code=c&state={state}")
    };
    let alice = start("alice");
    let bob = start("bob");
    assert_eq!(code(logins.finish("bob", &alice)), "authorize.state");
    assert_eq!(code(logins.finish("alice", &alice)), "ok");
    assert_eq!(code(logins.finish("alice", &alice)), "authorize.state");
    assert_eq!(code(logins.finish("bob", "code=c")), "authorize.state");
    assert_eq!(code(logins.finish("bob", &bob)), "ok");
    // There is room for two.
    let first = start("alice");
    let others = [start("alice"), start("alice")];
    assert_eq!(code(logins.finish("alice", &first)), "authorize.state");
    for other in others {
        assert_eq!(code(logins.finish("alice", &other)), "ok");
    }
}
