//! Token responses as real servers write them, and deviations that need an explicit rule.

#![allow(
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a test fails by panicking"
)]

use std::time::Duration;

use aims_jose::Chain;
use aims_jose::secret::SecretText;
use aims_jose::time::UnixTime;
use aims_oauth_client::{ClientCredentials, Error, PendingToken, Token, TokenRules};
use aims_oauth_wire::client_auth::{Authenticate, ClientSecretBasic};
use aims_oauth_wire::metadata::ServerMetadata;
use aims_oauth_wire::names::ClientId;
use aims_oauth_wire::token::TokenRequest;
use http::{HeaderName, HeaderValue, Response};
use serde_json::{Value, json};

const SECRET: &str = "correct-horse-battery-staple";
const TOKEN: &str = "mF_9.B5f-4.1JqM-planted-token";

fn at(seconds: u64) -> UnixTime {
    UnixTime::since_unix_epoch(Duration::from_secs(1_800_000_000 + seconds))
}

fn server(members: &Value) -> ServerMetadata {
    let mut document =
        json!({"issuer": "https://as.example", "token_endpoint": "https://as.example/token"});
    for (name, value) in members.as_object().unwrap() {
        document[name] = value.clone();
    }
    let issuer = "https://as.example".parse().unwrap();
    ServerMetadata::parse(document.to_string().as_bytes(), &issuer).unwrap()
}

fn client() -> ClientSecretBasic {
    ClientSecretBasic::new("agent".parse().unwrap(), SecretText::new(SECRET))
}

/// A client that also proves its key (RFC 9449 §5).
#[derive(Debug)]
struct Proving(ClientSecretBasic);

impl Authenticate for Proving {
    fn client_id(&self) -> &ClientId {
        self.0.client_id()
    }

    fn authenticate(
        &self,
        request: &mut TokenRequest,
        server: &ServerMetadata,
        now: UnixTime,
    ) -> Result<(), aims_oauth_wire::Error> {
        let proof = HeaderValue::from_static("e30.e30.AA");
        request.header(HeaderName::from_static("dpop"), proof)?;
        self.0.authenticate(request, server, now)
    }
}

fn asked(scopes: &str, rules: TokenRules) -> PendingToken {
    asked_by(&client(), &server(&json!({})), scopes, rules)
}

fn asked_by(
    client: &dyn Authenticate,
    server: &ServerMetadata,
    scopes: &str,
    rules: TokenRules,
) -> PendingToken {
    let mut grant = ClientCredentials::new("https://tools.example/mcp".parse().unwrap());
    if !scopes.is_empty() {
        grant = grant.scopes(scopes.parse().unwrap());
    }
    grant.rules(rules).prepare(client, server, at(0)).unwrap().1
}

fn response(status: u16, kind: &str, body: impl Into<Vec<u8>>) -> Response<Vec<u8>> {
    let answer = Response::builder().status(status);
    answer
        .header("content-type", kind)
        .body(body.into())
        .unwrap()
}

/// The response of a server that does not send `no-store`.
fn json_response(body: &Value) -> Response<Vec<u8>> {
    response(200, "application/json", body.to_string())
}

fn with(member: &str, value: Value) -> Value {
    let mut body = json!({"access_token": "t", "token_type": "Bearer", "expires_in": 3600});
    body[member] = value;
    body
}

fn told(got: Result<Token, Error>) -> &'static str {
    got.map_or_else(|error| error.code(), |_| "ok")
}

/// Forms of other servers that do not change the meaning.
#[test]
fn answers_of_real_servers_are_tokens() {
    let plain = TokenRules::new;
    for body in [
        with("expires_in", json!("3600")),
        with("expires_in", json!(3600.9)),
        with("scope", json!(["read", "write"])),
        with("scope", json!("read  write ")),
        with("scope", json!("")),
        with("scope", Value::Null),
        with("refresh_token", json!("")),
        with("id_token", Value::Null),
        with("error", Value::Null),
        with("token_type", json!("bearer")),
    ] {
        let token = asked("read write", plain()).finish(&json_response(&body), at(0));
        let token = token.unwrap_or_else(|error| panic!("{body}: {}", Chain(&error)));
        assert_eq!(token.expires(), at(3600), "{body}");
    }
    for expires_in in [json!(-1), json!("soon"), json!(1e300), Value::Null] {
        let body = with("expires_in", expires_in);
        let token = asked("read", plain())
            .finish(&json_response(&body), at(0))
            .unwrap();
        assert_eq!(token.expires(), at(300), "{body}");
    }
    for status in [200, 201, 203, 207] {
        let answer = response(status, "application/json", with("x", json!(1)).to_string());
        assert_eq!(
            told(asked("", plain()).finish(&answer, at(0))),
            "ok",
            "{status}"
        );
    }
    for status in [202, 204, 205, 206] {
        let answer = response(status, "application/json", with("x", json!(1)).to_string());
        let told = told(asked("", plain()).finish(&answer, at(0)));
        assert_eq!(told, "oauth.response", "{status}");
    }
}

/// A list of scopes has the same limits as their text: it grants no scope that was not requested,
/// and an element is one scope.
#[test]
fn a_list_of_scopes_gains_nothing() {
    for (scope, expected) in [
        (json!(["read"]), "ok"),
        (json!(["read", "admin"]), "grant.scope"),
        (json!(["read admin"]), "oauth.scope"),
        (json!("read admin"), "grant.scope"),
    ] {
        let answer = json_response(&with("scope", scope.clone()));
        let told = told(asked("read", TokenRules::new()).finish(&answer, at(0)));
        assert_eq!(told, expected, "{scope}");
    }
}

/// Keycloak adds `profile` and `email` to each token. They are accepted by name, are scopes of the
/// token, and no other scope comes along with them.
#[test]
fn unrequested_scopes_are_accepted_by_name() {
    let named = |scopes: &str| TokenRules::new().accept_unrequested_scopes(scopes.parse().unwrap());
    let keycloak = "openid tools.call email profile";
    for (rules, scope, expected) in [
        (TokenRules::new(), keycloak, "grant.scope"),
        (named("profile email"), keycloak, "ok"),
        (named("profile email"), "openid tools.call", "ok"),
        (named("profile email"), "email", "ok"),
        (named("profile"), keycloak, "grant.scope"),
        (named("profile email"), "openid email admin", "grant.scope"),
        (named("profile email"), "Profile", "grant.scope"),
        (named("profile email tools"), "tools.admin", "grant.scope"),
    ] {
        let answer = json_response(&with("scope", json!(scope)));
        let got = asked("openid tools.call", rules).finish(&answer, at(0));
        if let Ok(token) = &got {
            assert_eq!(*token.scopes(), scope.parse().unwrap());
        }
        assert_eq!(told(got), expected, "{scope}");
    }
    // The error names what is too much alone.
    let answer = json_response(&with("scope", json!("openid email admin")));
    let refused = asked("openid tools.call", named("email")).finish(&answer, at(0));
    let refused = refused.unwrap_err().to_string();
    assert!(refused.contains("asked for: \"admin\";"), "{refused}");
}

/// Commas separate scopes only with the explicit rule, and then like blanks.
#[test]
fn commas_separate_by_name() {
    let rules = TokenRules::new().accept_commas_in_scope();
    for (asked_for, scope, plain, named) in [
        ("repo user", "repo,user", "grant.scope", "ok"),
        ("repo user", "repo, user", "grant.scope", "ok"),
        ("repo", "repo,user", "grant.scope", "grant.scope"),
        ("repo", "repo", "ok", "ok"),
        ("", "repo,user", "ok", "ok"),
    ] {
        let answer = json_response(&with("scope", json!(scope)));
        let plainly = asked(asked_for, TokenRules::new()).finish(&answer, at(0));
        assert_eq!(told(plainly), plain, "{scope}");
        let named_so = asked(asked_for, rules.clone()).finish(&answer, at(0));
        assert_eq!(told(named_so), named, "{scope}");
    }
}

/// A missing `token_type` is `Bearer` only with the explicit rule, and never after a proof or with
/// a server that binds tokens to certificates. Another type is always refused.
#[test]
fn a_missing_token_type_is_accepted_by_name() {
    let named = || TokenRules::new().accept_missing_token_type();
    let (plain, binding) = (
        server(&json!({})),
        server(&json!({"tls_client_certificate_bound_access_tokens": true})),
    );
    let missing = json_response(&json!({"access_token": "t", "expires_in": 3600}));
    let null = json_response(&with("token_type", Value::Null));
    let other = json_response(&with("token_type", json!("mac")));
    let proving = Proving(client());
    let clients: [&dyn Authenticate; 2] = [&client(), &proving];
    for (client, server, rules, answer, expected) in [
        (
            clients[0],
            &plain,
            TokenRules::new(),
            &missing,
            "oauth.response",
        ),
        (clients[0], &plain, named(), &missing, "ok"),
        (clients[0], &plain, named(), &null, "ok"),
        (clients[0], &plain, named(), &other, "oauth.token_type"),
        (clients[0], &binding, named(), &missing, "oauth.response"),
        (clients[1], &plain, named(), &missing, "oauth.response"),
        (clients[1], &plain, named(), &null, "oauth.response"),
    ] {
        let got = asked_by(client, server, "", rules).finish(answer, at(0));
        assert_eq!(told(got), expected, "{client:?}");
    }
}

/// An error response counts with any status, and even with a token.
#[test]
fn a_refusal_with_any_status() {
    let refusal = json!({"error": "incorrect_client_credentials", "error_description": "no"});
    for (status, body) in [
        (200, refusal.clone()),
        (201, refusal.clone()),
        (400, refusal.clone()),
        (200, with("error", json!("incorrect_client_credentials"))),
    ] {
        let answer = response(status, "application/json", body.to_string());
        let error = asked("", TokenRules::new())
            .finish(&answer, at(0))
            .unwrap_err();
        assert_eq!(error.code(), "oauth.refused", "{status}");
        assert_eq!(
            error.refusal().unwrap().error(),
            "incorrect_client_credentials"
        );
    }
}

/// An unreadable response is reported with its status: the page of a proxy, or an empty body.
#[test]
fn what_cannot_be_read_is_told() {
    for (status, kind, body) in [
        (502, "text/html", "<html><h1>502 Bad Gateway</h1></html>"),
        (403, "application/json", ""),
        (403, "text/plain", "denied"),
        (401, "application/json", "[]"),
    ] {
        let answer = response(status, kind, body);
        let error = asked("", TokenRules::new())
            .finish(&answer, at(0))
            .unwrap_err();
        let told = Chain(&error).to_string();
        assert_eq!(error.code(), "oauth.response", "{told}");
        assert!(told.contains(&status.to_string()), "{told}");
    }
}

/// No error has a token or a secret of the request: not from a form, not from broken JSON, not from
/// an echo.
#[test]
fn no_error_holds_a_secret() {
    for (status, kind, body) in [
        (
            200,
            "application/x-www-form-urlencoded",
            format!("access_token={TOKEN}&scope=a"),
        ),
        (
            200,
            "application/json",
            format!(r#"{{"access_token":"{TOKEN}","token_type"#),
        ),
        (
            200,
            "application/json",
            format!(r#"{{"access_token":"{TOKEN}","token_type":7}}"#),
        ),
        (400, "text/plain", format!("bad request: {SECRET} {TOKEN}")),
        (
            400,
            "application/json",
            format!(r#"{{"error":"invalid_client","error_description":"{SECRET}"}}"#),
        ),
        (500, "text/html", format!("<p>client_secret={SECRET}</p>")),
    ] {
        let answer = response(status, kind, body);
        let pending = asked("", TokenRules::new());
        let shown = format!("{pending:?}");
        assert!(!shown.contains(SECRET), "{shown}");
        let error = pending.finish(&answer, at(0)).unwrap_err();
        let shown = format!("{error} {error:?} {}", Chain(&error));
        assert!(!shown.contains(TOKEN) && !shown.contains(SECRET), "{shown}");
    }
}
