//! Client authentication by a signature over the whole request.

#![cfg(all(feature = "tokio", feature = "http-signature"))]
#![allow(
    clippy::indexing_slicing,
    clippy::unwrap_used,
    reason = "a test fails by panicking"
)]

use std::sync::{Arc, Mutex};

use aims_fetch::{Fetch, FetchFuture};
use aims_http_sig::HttpRequest;
use aims_http_sig::profile::wimse::RequestPolicy;
use aims_jose::alg::Algorithm;
use aims_jose::key::{AnySigner, AsyncSigner, SignFuture, Signer, SigningKey};
use aims_jose::provider::AWS_LC;
use aims_jose::secret::SecretText;
use aims_jose::time::{Clock as _, SystemClock, UnixTime};
use aims_oauth_client::{
    ClientCredentials, DpopKey, HttpSignature, OfIdentity as _, TokenFlow, TokenRules, drive,
};
use aims_oauth_wire::client_auth::Authenticate as _;
use aims_oauth_wire::metadata::ServerMetadata;
use aims_oauth_wire::token::{Form, TokenRequest};
use aims_wimse_cred::{FixedSource, Identity};
use http::{Request, Response};
use serde_json::json;

const AGENT: &str = "spiffe://example.org/agent";
const TOKEN: &str = "https://as.example/token";

/// A key behind a network.
#[derive(Clone)]
struct Kms(SigningKey);

impl AsyncSigner for Kms {
    fn algorithm(&self) -> Algorithm {
        Signer::algorithm(&self.0)
    }

    fn key_id(&self) -> Option<&str> {
        None
    }

    fn sign_async<'a>(&'a self, message: &'a [u8]) -> SignFuture<'a> {
        Box::pin(async move { self.0.sign(message) })
    }
}

fn key() -> SigningKey {
    SigningKey::generate(Algorithm::Es256, AWS_LC).unwrap()
}

fn client(key: &SigningKey, signer: AnySigner) -> HttpSignature {
    let part = |it: serde_json::Value| aims_jose::base64url::encode(it.to_string().as_bytes());
    let header = part(json!({"alg": "ES256", "typ": "wit+jwt", "kid": "k"}));
    let jwk = key.public_jwk();
    let claims = json!({"sub": AGENT, "exp": 4_000_000_000_u64, "cnf": {"jwk": jwk}});
    let wit = SecretText::new(format!("{header}.{}.AAAA", part(claims)));
    let identity = Identity::new(wit, signer, jwk).unwrap();
    HttpSignature::of(FixedSource::new(identity)).unwrap()
}

fn server() -> ServerMetadata {
    let document = json!({"issuer": "https://as.example", "token_endpoint": TOKEN});
    let issuer = "https://as.example".parse().unwrap();
    ServerMetadata::parse(document.to_string().as_bytes(), &issuer).unwrap()
}

fn now() -> UnixTime {
    SystemClock::new().now()
}

fn grant() -> ClientCredentials {
    ClientCredentials::new("https://tools.example/mcp".parse().unwrap())
}

/// Returns whether a server accepts the signature, and which components it covers.
fn judged(request: &Request<Vec<u8>>, key: &SigningKey) -> Result<Vec<String>, &'static str> {
    let (parts, body) = request.clone().into_parts();
    let path = parts.uri.path().to_owned();
    let message = HttpRequest::received(&parts, "https", "as.example").with_target(&path);
    let policy = RequestPolicy::for_audiences([TOKEN]).unwrap();
    let unspent = policy.verify(&message, key.verifying_key(), now());
    let unspent = unspent.map_err(|error| error.code())?;
    let matched = unspent.content().check(&body);
    drop(matched.map_err(|error| error.code())?);
    let covered = unspent.signature().components();
    Ok(covered.map(|(id, _)| id.as_str().to_owned()).collect())
}

/// A signature is of the workload's key, for the endpoint, and over the request as it is sent.
#[test]
fn the_request_is_signed_as_it_is_sent() {
    let key = key();
    let signer: Arc<dyn Signer> = Arc::new(key.clone());
    let client = client(&key, AnySigner::from(signer));
    let (request, _pending) = grant().prepare(&client, &server(), now()).unwrap();
    let covered = judged(&request, &key).unwrap();
    for name in [
        "\"@method\"",
        "\"@path\"",
        "\"@query\"",
        "\"workload-identity-token\"",
        "\"content-digest\"",
        "\"content-type\"",
    ] {
        assert!(covered.iter().any(|it| it == name), "{name}: {covered:?}");
    }
    let form = Form::parse(request.body()).unwrap();
    assert_eq!(form.get("client_id"), Some(AGENT));
    let wit = &request.headers()["workload-identity-token"];
    assert!(wit.is_sensitive());
    let mut changed = request.clone();
    changed.body_mut().push(b'x');
    assert_eq!(judged(&changed, &key), Err("digest.mismatch"));
}

/// A key in a device or behind a network signs the same, also beside a DPoP proof.
#[tokio::test]
async fn a_remote_key_signs_the_request() {
    #[derive(Clone, Debug, Default)]
    struct Server(Arc<Mutex<Vec<Request<Vec<u8>>>>>);

    impl Fetch for Server {
        fn send(&self, request: Request<Vec<u8>>) -> FetchFuture<'_> {
            self.0.lock().unwrap().push(request);
            let body = json!({"access_token": "t", "token_type": "DPoP", "expires_in": 300});
            let answer = Response::builder().header("content-type", "application/json");
            let answer = answer.body(body.to_string().into_bytes()).unwrap();
            Box::pin(std::future::ready(Ok(answer)))
        }
    }

    let (key, device) = (key(), key());
    let client = client(&key, AnySigner::remote(Kms(key.clone())));
    let proof = DpopKey::new(AnySigner::remote(Kms(device.clone())), device.public_jwk());
    let (client, server) = (Arc::new(client), Arc::new(server()));
    let (rules, asked) = (TokenRules::new(), Server::default());
    let step = TokenFlow::begin_bound(Arc::new(grant()), client, server, rules, proof, now());
    let token = drive(step.unwrap(), &asked, &SystemClock::new()).await;
    assert!(token.is_ok(), "{token:?}");
    let asked = asked.0.lock().unwrap();
    let covered = judged(&asked[0], &key).unwrap();
    assert!(covered.iter().any(|it| it == "\"dpop\""), "{covered:?}");
}

/// A key that signs asynchronously has its error where nothing waits.
#[test]
fn a_remote_key_is_waited_for() {
    let key = key();
    let client = client(&key, AnySigner::remote(Kms(key.clone())));
    let error = grant().prepare(&client, &server(), now()).unwrap_err();
    assert_eq!(error.code(), "oauth.authenticate");
}

/// Nothing is added to a request after it was signed, and it goes to no other endpoint.
#[test]
fn a_signed_request_does_not_change() {
    let key = key();
    let signer: Arc<dyn Signer> = Arc::new(key.clone());
    let client = client(&key, AnySigner::from(signer));
    let (endpoint, other) = (
        TOKEN.parse().unwrap(),
        "https://as.example/par".parse().unwrap(),
    );
    let signed = || {
        let mut request = TokenRequest::form().for_endpoint(&endpoint);
        request.parameter("token", "t").unwrap();
        client.authenticate(&mut request, &server(), now()).unwrap();
        request
    };
    assert!(signed().into_http(&endpoint).is_ok());
    let code = |error: aims_oauth_wire::Error| error.code();
    assert_eq!(
        signed().into_http(&other).map_err(code).err(),
        Some("oauth.request")
    );
    let added = signed().parameter("scope", "a").map(drop).map_err(code);
    assert_eq!(added, Err("oauth.request"));
    let field = http::HeaderName::from_static("dpop");
    let value = http::HeaderValue::from_static("p");
    let added = signed().header(field, value).map(drop).map_err(code);
    assert_eq!(added, Err("oauth.request"));
    // Twice is two methods in one request (RFC 6749 §2.3).
    let again = client.authenticate(&mut signed(), &server(), now());
    assert_eq!(again.map_err(code), Err("oauth.request"));
    // Without an endpoint there is nothing to sign for.
    let mut unbound = TokenRequest::form();
    let unbound = client.authenticate(&mut unbound, &server(), now());
    assert_eq!(unbound.map_err(code), Err("oauth.request"));
}
