//! Client authentication: what is sent, and what is not.
#![expect(clippy::unwrap_used, reason = "helpers of tests")]

use std::sync::Arc;
use std::time::Duration;

use aims_jose::jwk::{JwkSet, SetRules};
use aims_jose::jws::{SigningInput, Unverified};
use aims_jose::key::SigningKey;
use aims_jose::random::SecureRandom;
use aims_jose::secret::SecretText;
use aims_jose::time::UnixTime;
use aims_jose::{Algorithm, provider};
use aims_oauth_wire::Error;
use aims_oauth_wire::assertion::{AssertionRules, PresentedAssertion};
use aims_oauth_wire::client_auth::{
    AssertionAudience, Authenticate, ClientSecretBasic, JWT_SPIFFE, PrivateKeyJwt, PublicClient,
    SpiffeJwt, SpiffeWit, WitCredential,
};
use aims_oauth_wire::metadata::ServerMetadata;
use aims_oauth_wire::token::{Form, TokenRequest};
use http::{HeaderMap, Request};
use serde_json::{Value, json};

const NOW: u64 = 1_747_124_300;
const WORKLOAD: &str = "spiffe://example.org/my-oauth-client";

fn now() -> UnixTime {
    UnixTime::since_unix_epoch(Duration::from_secs(NOW))
}

/// The metadata of the SPIFFE example, with one more member.
fn server_with(member: &str, value: Value) -> ServerMetadata {
    let json = json!({
        "issuer": "https://as.example.com/",
        "token_endpoint": "https://as.example.com/token",
        member: value,
    });
    let issuer = "https://as.example.com/".parse().unwrap();
    ServerMetadata::parse(json.to_string().as_bytes(), &issuer).unwrap()
}

fn server() -> ServerMetadata {
    server_with("x", Value::Null)
}

fn key() -> SigningKey {
    let key = SigningKey::generate(Algorithm::Es256, provider::AWS_LC).unwrap();
    key.with_key_id("k1")
}

fn sent(by: &dyn Authenticate, server: &ServerMetadata) -> Result<Request<Vec<u8>>, Error> {
    let mut request = TokenRequest::new("client_credentials")?;
    by.authenticate(&mut request, server, now())?;
    request.into_http(server.token_endpoint()?)
}

fn code(by: &dyn Authenticate, server: &ServerMetadata) -> &'static str {
    sent(by, server).map_or_else(|error| error.code(), |_| "ok")
}

fn form(by: &dyn Authenticate, server: &ServerMetadata) -> Form {
    let sent = sent(by, server).unwrap();
    Form::read(sent.headers(), sent.body()).unwrap()
}

fn claims(token: &str) -> Value {
    let token = Unverified::parse(token).unwrap();
    serde_json::from_slice(token.unverified_payload().unwrap()).unwrap()
}

#[derive(Debug)]
struct Sevens;

impl SecureRandom for Sevens {
    fn fill(&self, buffer: &mut [u8]) -> Result<(), aims_jose::Error> {
        buffer.fill(7);
        Ok(())
    }
}

#[derive(Debug)]
struct Dry;

impl SecureRandom for Dry {
    fn fill(&self, _: &mut [u8]) -> Result<(), aims_jose::Error> {
        Err(aims_jose::Error::Random)
    }
}

fn private(key: &SigningKey) -> PrivateKeyJwt {
    PrivateKeyJwt::new("agent".parse().unwrap(), Arc::new(key.clone()))
}

/// JWTA-01 to JWTA-06: the parameters, the claims, the header.
#[test]
fn private_key_jwt() {
    let key = key();
    let form = form(&private(&key).with_random(&Sevens), &server());
    let token = form.get("client_assertion").unwrap();
    assert_eq!(
        form.get("client_assertion_type"),
        Some("urn:ietf:params:oauth:client-assertion-type:jwt-bearer")
    );
    assert_eq!(
        claims(token),
        json!({"iss": "agent", "sub": "agent", "aud": "https://as.example.com/", "iat": NOW, "exp": NOW + 60, "jti": "BwcHBwcHBwcHBwcHBwcHBw"})
    );
    let header = Unverified::parse(token).unwrap().header().clone();
    assert_eq!(header.typ(), Some("client-authentication+jwt"));
    assert_eq!(header.kid(), Some("k1"));
    // A server accepts what the client sends.
    let presented = PresentedAssertion::from_form(&form).unwrap().unwrap();
    let keys = format!("{{\"keys\":[{}]}}", key.public_jwk().to_json());
    let keys = JwkSet::parse(keys.as_bytes(), &SetRules::oauth(), provider::AWS_LC).unwrap();
    let rules = AssertionRules::new(server().issuer().clone());
    assert!(presented.verify(&keys, &rules, now()).is_ok());
}

/// JWTA-02: each request has its own `jti`.
#[test]
fn private_key_jwt_is_fresh() {
    let (client, server) = (private(&key()), server());
    let jti = || claims(form(&client, &server).get("client_assertion").unwrap())["jti"].clone();
    assert_ne!(jti(), jti());
    assert_eq!(
        code(&private(&key()).with_random(&Dry), &server),
        "oauth.authenticate"
    );
}

/// JWTA-03, JWTA-04, JWTA-05: older forms must be set.
#[test]
fn private_key_jwt_for_older_servers() {
    let aud = |audience| {
        let form = form(&private(&key()).with_audience(audience), &server());
        claims(form.get("client_assertion").unwrap())["aud"].clone()
    };
    assert_eq!(
        aud(AssertionAudience::default()),
        json!("https://as.example.com/")
    );
    assert_eq!(
        aud(AssertionAudience::issuer_in_array()),
        json!(["https://as.example.com/"])
    );
    assert_eq!(
        aud(AssertionAudience::token_endpoint()),
        json!("https://as.example.com/token")
    );
    let par = "https://as.example.com/par".parse().unwrap();
    assert_eq!(
        aud(AssertionAudience::endpoint(par)),
        json!("https://as.example.com/par")
    );
    let form = form(&private(&key()).with_legacy_type(), &server());
    let token = Unverified::parse(form.get("client_assertion").unwrap()).unwrap();
    assert_eq!(token.header().typ(), Some("JWT"));
}

/// JWTA-06, SPF-04: a method or an algorithm that the server does not support is not sent.
#[test]
fn what_the_server_does_not_take() {
    let algorithms = "token_endpoint_auth_signing_alg_values_supported";
    let methods = "token_endpoint_auth_methods_supported";
    let client = private(&key());
    assert_eq!(
        code(&client, &server_with(algorithms, json!(["ES256"]))),
        "ok"
    );
    assert_eq!(
        code(&client, &server_with(algorithms, json!(["PS256"]))),
        "oauth.authenticate"
    );
    let algorithms = "client_attestation_pop_signing_alg_values_supported";
    for (taken, expected) in [("ES256", "ok"), ("PS256", "oauth.authenticate")] {
        let server = server_with(algorithms, json!([taken]));
        assert_eq!(code(&wit(&key()), &server), expected);
    }
    let all: [(&str, Box<dyn Authenticate>); 4] = [
        ("private_key_jwt", Box::new(client)),
        ("spiffe_jwt", Box::new(svid(svid_claims()))),
        ("spiffe_wit", Box::new(wit(&key()))),
        ("client_secret_basic", Box::new(basic("a", "b"))),
    ];
    for (method, client) in &all {
        assert_eq!(
            code(&**client, &server_with(methods, json!([method]))),
            "ok",
            "{method}"
        );
        let others = server_with(methods, json!(["none", "client_secret_post"]));
        assert_eq!(code(&**client, &others), "oauth.authenticate", "{method}");
        // RFC 6749 §2.3: one method per request.
        for (_, other) in &all {
            let mut request = TokenRequest::new("client_credentials").unwrap();
            client.authenticate(&mut request, &server(), now()).unwrap();
            let error = other.authenticate(&mut request, &server(), now());
            assert_eq!(error.unwrap_err().code(), "oauth.request", "{method}");
        }
        // JWTA-01: `client_id` is the client.
        let mut request = TokenRequest::new("client_credentials").unwrap();
        request
            .parameter("client_id", client.client_id().as_str())
            .unwrap();
        client.authenticate(&mut request, &server(), now()).unwrap();
        let mut request = TokenRequest::new("client_credentials").unwrap();
        request.parameter("client_id", "another").unwrap();
        let error = client.authenticate(&mut request, &server(), now());
        assert_eq!(error.unwrap_err().code(), "oauth.request", "{method}");
    }
}

/// Keycloak lists neither `none` nor a method for JWT-SVIDs, and takes both. A public client shows
/// only its identifier, and an SVID is for this issuer alone.
#[test]
fn methods_that_no_server_lists() {
    let methods = "token_endpoint_auth_methods_supported";
    let server = server_with(methods, json!(["private_key_jwt"]));
    let public = PublicClient::new("app".parse().unwrap());
    let form = form(&public, &server);
    assert_eq!(form.get("client_id"), Some("app"));
    assert_eq!(form.get("client_assertion"), None);
    assert_eq!(form.get("client_secret"), None);

    let listed = svid(svid_claims());
    assert_eq!(code(&listed, &server), "oauth.authenticate");
    assert_eq!(code(&listed.accept_unlisted_method(), &server), "ok");
    let mut claims = svid_claims();
    claims["aud"] = json!(["https://other.example"]);
    let elsewhere = svid(claims).accept_unlisted_method();
    assert_eq!(code(&elsewhere, &server), "oauth.authenticate");
}

fn svid_claims() -> Value {
    json!({"sub": WORKLOAD, "aud": ["https://as.example.com/"], "exp": 1_747_124_543, "iat": 1_747_124_243})
}

fn svid(claims: Value) -> SpiffeJwt {
    let key = key();
    SpiffeJwt::new(WORKLOAD.parse().unwrap(), move |_, _| {
        let input = SigningInput::new("JWT", Algorithm::Es256, Some("k1"), &claims)?;
        Ok(input.sign(&key)?.into_secret())
    })
}

/// SPF-01: the published example, in both revisions; an SVID for another audience or workload is
/// not sent.
#[test]
fn spiffe_jwt() {
    let file = include_str!("../../testdata/oauth/spiffe.json");
    let file: Value = serde_json::from_str(file).unwrap();
    assert_eq!(file["assertion_type"], JWT_SPIFFE);
    let mut newer = file["claims_01"].clone();
    newer["aud"] = file["claims_02_aud"].clone();
    let form = form(&svid(newer.clone()), &server());
    assert_eq!(form.get("client_assertion_type"), Some(JWT_SPIFFE));
    assert_eq!(claims(form.get("client_assertion").unwrap()), newer);
    assert_eq!(form.get("client_id"), None);

    let older = svid(file["claims_01"].clone());
    assert_eq!(code(&older, &server()), "oauth.authenticate");
    let older = older.with_audience(AssertionAudience::token_endpoint());
    assert_eq!(code(&older, &server()), "ok");

    let with = |member: &str, value: Value| {
        let mut claims = newer.clone();
        claims[member] = value;
        code(&svid(claims), &server())
    };
    assert_eq!(with("aud", json!("https://as.example.com/")), "ok");
    let both = json!(["https://as.example.com/", "https://b.example"]);
    assert_eq!(with("aud", both), "oauth.authenticate");
    assert_eq!(
        with("aud", json!(["https://as.example.com"])),
        "oauth.authenticate"
    );
    assert_eq!(
        with("sub", json!("spiffe://example.org/b")),
        "oauth.authenticate"
    );
    assert_eq!(with("exp", json!(NOW)), "oauth.authenticate");
    assert_eq!(with("exp", json!(NOW + 1)), "ok");
    assert_eq!(with("exp", json!("x")), "oauth.authenticate");
    let client = || WORKLOAD.parse().unwrap();
    let none = SpiffeJwt::new(client(), |_, _| Err("no socket".into()));
    assert_eq!(code(&none, &server()), "oauth.authenticate");
    let text = SpiffeJwt::new(client(), |_, _| Ok(SecretText::from("not a token")));
    assert_eq!(code(&text, &server()), "oauth.authenticate");
}

fn wit(key: &SigningKey) -> SpiffeWit {
    let key = Arc::new(key.clone());
    SpiffeWit::new(WORKLOAD.parse().unwrap(), move |_| {
        Ok(WitCredential::new("w.i.t", Arc::<SigningKey>::clone(&key)))
    })
}

fn field<'a>(headers: &'a HeaderMap, name: &str) -> &'a str {
    let value = headers.get(name).unwrap();
    assert!(value.is_sensitive());
    value.to_str().unwrap()
}

/// SPF-03, ATT-02: both fields, and a new proof for this issuer by the confirmed key.
#[test]
fn spiffe_wit() {
    let key = key();
    let client = wit(&key).with_random(&Sevens).with_challenge("c1");
    let sent = sent(&client, &server()).unwrap();
    assert_eq!(field(sent.headers(), "oauth-client-attestation"), "w.i.t");
    let pop = Unverified::parse(field(sent.headers(), "oauth-client-attestation-pop")).unwrap();
    assert_eq!(pop.header().typ(), Some("oauth-client-attestation-pop+jwt"));
    let pop = pop.verify(key.verifying_key()).unwrap();
    let claims: Value = serde_json::from_slice(pop.payload()).unwrap();
    assert_eq!(
        claims,
        json!({"aud": "https://as.example.com/", "jti": "BwcHBwcHBwcHBwcHBwcHBw", "iat": NOW, "challenge": "c1"})
    );
    let form = Form::read(sent.headers(), sent.body()).unwrap();
    assert_eq!(form.get("client_id"), Some(WORKLOAD));

    let client = || WORKLOAD.parse().unwrap();
    let none = SpiffeWit::new(client(), |_| Err("no socket".into()));
    assert_eq!(code(&none, &server()), "oauth.authenticate");
    let signer = Arc::new(key);
    let broken = SpiffeWit::new(client(), move |_| {
        Ok(WitCredential::new(
            "a\r\nb: c",
            Arc::<SigningKey>::clone(&signer),
        ))
    });
    assert_eq!(code(&broken, &server()), "oauth.authenticate");
}

fn basic(client: &str, secret: &str) -> ClientSecretBasic {
    ClientSecretBasic::new(client.parse().unwrap(), secret.into())
}

/// RFC 6749 §2.3.1: the example, and a colon that stays within the name or the secret.
#[test]
fn client_secret_basic() {
    let field = |client: &str, secret: &str| {
        let sent = sent(&basic(client, secret), &server()).unwrap();
        field(sent.headers(), "authorization").to_owned()
    };
    assert_eq!(
        field("s6BhdRkqt3", "gX1fBat3bV"),
        "Basic czZCaGRSa3F0MzpnWDFmQmF0M2JW"
    );
    assert_ne!(field("a:b", "c"), field("a", "b:c"));
    // CORE-02: each half is encoded as in a form: `agent+7:p%3A%25%2B+%C3%A4`.
    assert_eq!(
        field("agent 7", "p:%+ \u{e4}"),
        "Basic YWdlbnQrNzpwJTNBJTI1JTJCKyVDMyVBNA=="
    );
}

/// Secrets are hidden in `Debug`.
#[test]
fn debug_shows_no_secret() {
    let mut request = TokenRequest::new("client_credentials").unwrap();
    let client = basic("agent", "hunter2");
    client.authenticate(&mut request, &server(), now()).unwrap();
    let shown = format!("{client:?} {request:?} {:?}", private(&key()));
    assert!(shown.contains("agent") && !shown.contains("hunter2") && !shown.contains("YWdlbnQ6"));
}
