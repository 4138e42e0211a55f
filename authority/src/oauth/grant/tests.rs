use core::sync::atomic::{AtomicUsize, Ordering};
use std::collections::HashSet;
use std::sync::Arc;

use aims_jose::Algorithm;
use aims_jose::jwk::{JwkSet, PublicJwkSet, SetRules};
use aims_jose::jws::SigningInput;
use aims_jose::key::{Signer as _, SigningKey};
use aims_jose::provider::AWS_LC;
use http::{Request, Response};
use serde_json::{Value, json};

use super::*;
use crate::endpoint::grant_types;
use crate::{Authority, Client, Resource};

const BASE: &str = "http://127.0.0.1:8080";
const TOOLS: &str = "https://tools.example/mcp";
const NAME: &str = "urn:example:grant-type:test";
const JWT_BEARER: &str = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer";

/// A grant that only this test registers.
#[derive(Debug)]
struct TestGrant {
    calls: Arc<AtomicUsize>,
}

impl GrantType for TestGrant {
    fn name(&self) -> &'static str {
        NAME
    }

    fn grant(
        &self,
        server: &AuthorizationServer,
        request: &TokenRequest<'_>,
    ) -> Result<Granted, Error> {
        self.calls.fetch_add(1, Ordering::Relaxed);
        let scope = request.form.get("scope").ok_or(Error::Scope)?;
        let expires = server.end(request.now);
        let token = NewToken::of_client(request.client, TOOLS, scope, expires);
        Ok(Granted {
            token_type: "N_A",
            expires_in: Duration::from_secs(7),
            members: vec![("issued_token_type", "urn:example:token-type:test".into())],
            ..Granted::access_token(server, request.client, &token, request.now)?
        })
    }
}

struct Setup {
    authority: Authority,
    key: SigningKey,
    calls: Arc<AtomicUsize>,
}

fn now() -> UnixTime {
    UnixTime::since_unix_epoch(Duration::from_secs(1_800_000_000))
}

fn setup() -> Setup {
    let key = SigningKey::generate(Algorithm::Es256, AWS_LC).unwrap();
    let set = [key.public_jwk().clone()].into_iter();
    let set = set.collect::<PublicJwkSet>().to_json();
    let set = JwkSet::parse(set.as_bytes(), &SetRules::oauth(), AWS_LC).unwrap();
    let calls = Arc::new(AtomicUsize::new(0));
    let mut builder = Authority::builder(BASE, AWS_LC)
        .trust_domain("example.org")
        .resource(Resource::new(TOOLS).with_scopes(["call"]))
        .client(Client::with_keys("batch", set).allow(TOOLS, ["call"]));
    builder.grants.push(Box::new(TestGrant {
        calls: calls.clone(),
    }));
    Setup {
        authority: builder.build(now()).unwrap(),
        key,
        calls,
    }
}

impl Setup {
    fn ask(&self, parameters: &str, authenticated: bool) -> Response<Vec<u8>> {
        let mut body = parameters.to_owned();
        if authenticated {
            let jti = aims_jose::random::id128(aims_jose::random::SYSTEM).unwrap();
            let seconds = now().as_secs();
            let claims = json!({
                "iss": "batch", "sub": "batch", "aud": BASE, "jti": jti,
                "iat": seconds, "exp": seconds + 60,
            });
            let typ = "client-authentication+jwt";
            let input = SigningInput::new(typ, self.key.algorithm(), self.key.key_id(), &claims);
            let assertion = input.unwrap().sign(&self.key).unwrap();
            let assertion = assertion.expose();
            body += &format!("&client_assertion_type={JWT_BEARER}&client_assertion={assertion}");
        }
        let request = Request::post("/token")
            .header("host", "127.0.0.1:8080")
            .header("content-type", "application/x-www-form-urlencoded");
        let request = request.body(body.into_bytes()).unwrap();
        self.authority.handle(&request, None, now())
    }
}

fn read(response: &Response<Vec<u8>>) -> Value {
    serde_json::from_slice(response.body()).unwrap()
}

/// A registered grant is called, and listed in the metadata (RFC 6749 §4.5, RFC 8414 §2).
#[test]
fn a_registered_grant_is_dispatched_and_advertised() {
    let setup = setup();
    let metadata: Value = serde_json::from_str(&setup.authority.oauth().metadata()).unwrap();
    let advertised = json!(["client_credentials", NAME]);
    assert_eq!(metadata["grant_types_supported"], advertised);

    let response = setup.ask(&format!("grant_type={NAME}&scope=call"), true);
    assert_eq!(response.status(), 200);
    assert_eq!(response.headers()["cache-control"], "no-store");
    let answer = read(&response);
    assert_eq!(answer["token_type"], "N_A");
    assert_eq!(answer["expires_in"], 7);
    assert_eq!(answer["scope"], "call");
    assert_eq!(answer["issued_token_type"], "urn:example:token-type:test");
    assert!(answer["access_token"].is_string());
    assert_eq!(setup.calls.load(Ordering::Relaxed), 1);

    // The other grant is not affected.
    let response = setup.ask("grant_type=client_credentials", true);
    let answer = read(&response);
    assert_eq!(answer["token_type"], "Bearer");
    assert!(answer.get("issued_token_type").is_none());
    assert_eq!(setup.calls.load(Ordering::Relaxed), 1);
}

/// The refusal of a grant has the form of the token endpoint (RFC 6749 §5.2).
#[test]
fn a_grant_refuses_as_the_endpoint_does() {
    let setup = setup();
    let response = setup.ask(&format!("grant_type={NAME}"), true);
    assert_eq!(response.status(), 400);
    assert_eq!(read(&response)["error"], "invalid_scope");
    assert_eq!(setup.calls.load(Ordering::Relaxed), 1);
}

/// No grant is called for a client that is not authenticated (RFC 6749 §3.2.1).
#[test]
fn no_grant_is_called_without_client_authentication() {
    let setup = setup();
    let response = setup.ask(&format!("grant_type={NAME}&scope=call"), false);
    assert_eq!(response.status(), 401);
    assert_eq!(read(&response)["error"], "invalid_client");
    assert_eq!(setup.calls.load(Ordering::Relaxed), 0);
}

/// The refusal of an unknown grant names the supported grants, and nothing from the request.
#[test]
fn an_unknown_grant_is_told_the_known_ones() {
    let setup = setup();
    for unknown in [
        "password",
        "CLIENT_CREDENTIALS",
        "urn:example:grant-type:tes",
    ] {
        let response = setup.ask(&format!("grant_type={unknown}"), true);
        assert_eq!(response.status(), 400);
        let refusal = read(&response);
        assert_eq!(refusal["error"], "unsupported_grant_type");
        let description = refusal["error_description"].as_str().unwrap();
        let known = format!("expected one of: client_credentials, {NAME}");
        assert!(description.ends_with(&known), "{description}");
        assert!(!description.contains("password"));
    }
    assert_eq!(setup.calls.load(Ordering::Relaxed), 0);
}

/// The names of the grants differ, and a refusal can contain them.
#[test]
fn grants_have_names_of_their_own() {
    let grants = grant_types();
    let names: HashSet<_> = grants.iter().map(|grant| grant.name()).collect();
    assert_eq!(names.len(), grants.len());
    let allowed = |byte: u8| matches!(byte, 0x20 | 0x21 | 0x23..=0x5b | 0x5d..=0x7e);
    assert!(names.iter().all(|name| name.bytes().all(allowed)));
}
