//! Servers that pass for others, or that offer less than before: nothing goes to the wrong one, and
//! no protection is given up.

#![cfg(feature = "tokio")]
#![allow(
    clippy::indexing_slicing,
    clippy::unwrap_used,
    reason = "a test fails by panicking"
)]

mod common;

use std::sync::Arc;

use aims_jose::alg::Algorithm;
use aims_jose::jws::SigningInput;
use aims_jose::key::SigningKey;
use aims_jose::provider::AWS_LC;
use aims_jose::random::SYSTEM;
use aims_oauth_client::{
    AuthorizationRequest, Authorizing, Error, Grant, IdJagRequest, JwtBearer, JwtGrantRequest,
    Step, SubjectToken, Target, TokenSource, drive,
};
use aims_oauth_wire::client_auth::{PrivateKeyJwt, PublicClient};
use aims_oauth_wire::metadata::ServerMetadata;
use common::{NOW, Paused, Script, at, client, code, json_answer, server_with};
use serde_json::{Value, json};
use tokio::time::Instant;

const TOOL: &str = "https://tools.example/mcp";

fn target() -> Target {
    Target::new(TOOL.parse().unwrap(), "read".parse().unwrap())
}

fn server_at(issuer: &str, members: &Value) -> ServerMetadata {
    let mut document = json!({"issuer": issuer, "token_endpoint": format!("{issuer}/token")});
    for (name, value) in members.as_object().unwrap() {
        document[name] = value.clone();
    }
    ServerMetadata::parse(document.to_string().as_bytes(), &issuer.parse().unwrap()).unwrap()
}

fn granting() -> Script {
    let body = json!({"access_token": "t", "token_type": "Bearer", "expires_in": 300});
    Script::new(move |_, _| json_answer(200, &body))
}

fn source(server: ServerMetadata, script: &Script) -> TokenSource {
    TokenSource::new(server, client(), script.clone()).with_clock(Paused(Instant::now()))
}

/// The answer with an assertion of this type for `https://b.example`.
fn issuing(typ: &'static str, kind: &'static str) -> Script {
    let key = SigningKey::generate(Algorithm::Es256, AWS_LC).unwrap();
    let claims = json!({"iss": "https://as.example", "sub": "alice", "aud": "https://b.example",
        "exp": NOW + 300});
    let token = SigningInput::new(typ, Algorithm::Es256, None, &claims).unwrap();
    let token = token.sign(&key).unwrap().into_secret();
    let body = json!({"access_token": token.expose(), "token_type": "N_A", "expires_in": 300,
        "issued_token_type": format!("urn:ietf:params:oauth:token-type:{kind}")});
    Script::new(move |_, _| json_answer(200, &body))
}

/// CHN-04, JAG-13: an assertion for one server is presented to no other, which could use it there.
#[tokio::test(start_paused = true)]
async fn an_assertion_goes_to_its_server() {
    let (own, clock) = (Arc::new(server_with(&json!({}))), Paused(Instant::now()));
    let subject = || SubjectToken::id_token("id");
    let b = || "https://b.example".parse().unwrap();
    let request = IdJagRequest::new(subject(), b(), TOOL.parse().unwrap());
    let first = request.begin(Arc::new(client()), Arc::clone(&own), at(NOW));
    let script = issuing("oauth-id-jag+jwt", "id-jag");
    let jag = drive(first.unwrap(), &script, &clock).await.unwrap();
    let request = JwtGrantRequest::new(subject(), b()).unwrap();
    let first = request.begin(Arc::new(client()), own, at(NOW));
    let script = issuing("JWT", "jwt");
    let jwt = drive(first.unwrap(), &script, &clock).await.unwrap();
    for (issuer, expected) in [
        ("https://b.example", "ok"),
        // The same server in the other spelling (RFC 3986 §6.2.3).
        ("https://b.example/", "ok"),
        ("https://c.example", "oauth.request"),
        ("https://b.example/c", "oauth.request"),
    ] {
        let grants: [Arc<dyn Grant>; 2] = [
            Arc::new(JwtBearer::of_id_jag(target(), &jag)),
            Arc::new(JwtBearer::of_jwt_grant(target(), &jwt)),
        ];
        for grant in grants {
            let script = granting();
            let source = source(server_at(issuer, &json!({})), &script);
            assert_eq!(code(source.redeem(grant).await), expected, "{issuer}");
            assert_eq!(script.requests().len(), usize::from(expected == "ok"));
        }
    }
}

fn begin(request: AuthorizationRequest, server: ServerMetadata) -> Result<Authorizing, Error> {
    let client = Arc::new(PublicClient::new("app".parse().unwrap()));
    match request.begin(client, Arc::new(server), None, SYSTEM, at(NOW))? {
        Step::Done(authorizing) => Ok(authorizing),
        other => unreachable!("{other:?}"),
    }
}

fn request() -> AuthorizationRequest {
    AuthorizationRequest::new("http://127.0.0.1:1/callback".parse().unwrap(), target())
}

/// BCP-02: a server of an attacker names the authorization endpoint of an honest one, and a token
/// endpoint of its own. The answer of the honest server is refused, so its code is not sent.
#[test]
fn the_endpoint_of_another_server_answers() {
    let evil = json!({"authorization_endpoint": "https://as.example/authorize",
        "code_challenge_methods_supported": ["S256"]});
    for (iss, expected) in [
        ("https://evil.example", "ok"),
        ("https://as.example", "authorize.issuer"),
    ] {
        let login = begin(request(), server_at("https://evil.example", &evil)).unwrap();
        let url = url::Url::parse(login.url()).unwrap();
        let state = url
            .query_pairs()
            .find(|(name, _)| name == "state")
            .unwrap()
            .1;
        let answer = format!("code=c&state={state}&iss={iss}");
        assert_eq!(code(login.finish(&answer)), expected, "{iss}");
    }
}

/// BCP-15: an assertion for a server that names the token endpoint of another one is of no use
/// there: its audience is the issuer of the metadata.
#[tokio::test(start_paused = true)]
async fn the_token_endpoint_of_another_server() {
    let key = Arc::new(SigningKey::generate(Algorithm::Es256, AWS_LC).unwrap());
    let client = PrivateKeyJwt::new("agent".parse().unwrap(), key);
    let members = json!({"token_endpoint": "https://as.example/token"});
    let (script, server) = (granting(), server_at("https://evil.example", &members));
    let source = TokenSource::new(server, client, script.clone());
    let source = source.with_clock(Paused(Instant::now()));
    let scopes = "read".parse().unwrap();
    source
        .token_for(&TOOL.parse().unwrap(), &scopes)
        .await
        .unwrap();
    let form = script.forms().remove(0);
    let claims = form
        .get("client_assertion")
        .unwrap()
        .split('.')
        .nth(1)
        .unwrap();
    let claims = aims_jose::base64url::decode(claims).unwrap();
    let claims: Value = serde_json::from_slice(&claims).unwrap();
    assert_eq!(claims["aud"], "https://evil.example");
}

/// PAR-03: a server that requires pushed requests, and has no endpoint for them or may not be
/// pushed to, gets no request by the browser.
#[test]
fn a_required_push_is_not_given_up() {
    let required = |endpoint: Value, required: bool| {
        server_at(
            "https://as.example",
            &json!({
                "authorization_endpoint": "https://as.example/authorize",
                "code_challenge_methods_supported": ["S256"],
                "pushed_authorization_request_endpoint": endpoint,
                "require_pushed_authorization_requests": required,
            }),
        )
    };
    let par = json!("https://as.example/par");
    for (server, expected) in [
        (required(json!(null), false), "ok"),
        (required(json!(null), true), "authorize.unsupported"),
        (required(par.clone(), false), "ok"),
        (required(par, true), "authorize.unsupported"),
    ] {
        assert_eq!(code(begin(request().without_push(), server)), expected);
    }
}

/// JWTA-06: a server that does not take the method of the client gets no request, whatever other
/// method it offers.
#[tokio::test(start_paused = true)]
async fn client_authentication_is_not_given_up() {
    for (methods, expected) in [
        (json!(["private_key_jwt", "none"]), "ok"),
        (json!(["none", "client_secret_basic"]), "oauth.authenticate"),
        (json!([]), "oauth.authenticate"),
    ] {
        let key = Arc::new(SigningKey::generate(Algorithm::Es256, AWS_LC).unwrap());
        let client = PrivateKeyJwt::new("agent".parse().unwrap(), key);
        let members = json!({"token_endpoint_auth_methods_supported": methods});
        let script = granting();
        let source = TokenSource::new(server_with(&members), client, script.clone());
        let source = source.with_clock(Paused(Instant::now()));
        let scopes = "read".parse().unwrap();
        let found = source.token_for(&TOOL.parse().unwrap(), &scopes).await;
        assert_eq!(code(found), expected, "{methods}");
        assert_eq!(script.requests().len(), usize::from(expected == "ok"));
    }
}

/// JWTA-05: a server that refuses the assertion of a client gets no second one: neither for another
/// audience nor by another method.
#[tokio::test(start_paused = true)]
async fn a_refused_assertion_is_not_repeated() {
    let key = Arc::new(SigningKey::generate(Algorithm::Es256, AWS_LC).unwrap());
    let client = PrivateKeyJwt::new("agent".parse().unwrap(), key);
    let script = Script::new(|_, _| json_answer(401, &json!({"error": "invalid_client"})));
    let source = TokenSource::new(server_with(&json!({})), client, script.clone());
    let source = source.with_clock(Paused(Instant::now()));
    let scopes = "read".parse().unwrap();
    let found = source.token_for(&TOOL.parse().unwrap(), &scopes).await;
    assert_eq!(
        found.unwrap_err().refusal().unwrap().error(),
        "invalid_client"
    );
    assert_eq!(script.requests().len(), 1);
}
