//! Client authentication with keys in a device or behind a network.

#![cfg(all(feature = "tokio", feature = "workload"))]
#![allow(
    clippy::indexing_slicing,
    clippy::unwrap_used,
    reason = "a test fails by panicking"
)]

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use aims_fetch::{Fetch, FetchFuture};
use aims_jose::alg::Algorithm;
use aims_jose::jws::Unverified;
use aims_jose::key::{AnySigner, AsyncSigner, SignFuture, Signer, SigningKey, VerifyingKey};
use aims_jose::provider::AWS_LC;
use aims_jose::secret::SecretText;
use aims_jose::time::{Clock as _, SystemClock, UnixTime};
use aims_oauth_client::{
    ClientCredentials, Error, Event, Flow as _, OfIdentity as _, Step, TokenFlow, TokenRules,
    TokenSource,
};
use aims_oauth_wire::client_auth::{Authenticate, PrivateKeyJwt, SpiffeWit};
use aims_oauth_wire::metadata::ServerMetadata;
use aims_oauth_wire::token::Form;
use aims_wimse_cred::{FixedSource, Identity};
use http::{Request, Response};
use serde_json::json;
use tokio::sync::Semaphore;

const AGENT: &str = "spiffe://example.org/agent";

/// Signs when the test permits it, and counts the calls.
#[derive(Clone)]
struct Kms {
    key: SigningKey,
    asked: Arc<AtomicUsize>,
    permits: Arc<Semaphore>,
}

impl Kms {
    fn new() -> Self {
        Self {
            key: SigningKey::generate(Algorithm::Es256, AWS_LC).unwrap(),
            asked: Arc::default(),
            permits: Arc::new(Semaphore::new(0)),
        }
    }

    /// Returns the identity of an agent with this key.
    fn identity(&self) -> FixedSource {
        let part = |it: serde_json::Value| aims_jose::base64url::encode(it.to_string().as_bytes());
        let header = part(json!({"alg": "ES256", "typ": "wit+jwt", "kid": "k"}));
        let jwk = self.key.public_jwk();
        let claims = json!({"sub": AGENT, "exp": 4_000_000_000_u64, "cnf": {"jwk": jwk}});
        let wit = SecretText::new(format!("{header}.{}.AAAA", part(claims)));
        let signer = AnySigner::remote(self.clone());
        FixedSource::new(Identity::new(wit, signer, jwk).unwrap())
    }
}

impl AsyncSigner for Kms {
    fn algorithm(&self) -> Algorithm {
        Signer::algorithm(&self.key)
    }

    fn key_id(&self) -> Option<&str> {
        None
    }

    fn sign_async<'a>(&'a self, message: &'a [u8]) -> SignFuture<'a> {
        Box::pin(async move {
            self.asked.fetch_add(1, Ordering::SeqCst);
            let permit = self.permits.acquire().await;
            let permit = permit.map_err(|_closed| aims_jose::Error::signer_unavailable("closed"));
            permit?.forget();
            self.key.sign(message)
        })
    }
}

/// Returns a token for each request, and stores the requests.
#[derive(Clone, Debug, Default)]
struct Server(Arc<Mutex<Vec<Request<Vec<u8>>>>>);

impl Fetch for Server {
    fn send(&self, request: Request<Vec<u8>>) -> FetchFuture<'_> {
        self.0.lock().unwrap().push(request);
        let body = json!({"access_token": "t", "token_type": "Bearer", "expires_in": 300});
        let answer = Response::builder().header("content-type", "application/json");
        let answer = answer.body(body.to_string().into_bytes()).unwrap();
        Box::pin(std::future::ready(Ok(answer)))
    }
}

fn metadata() -> ServerMetadata {
    let document =
        json!({"issuer": "https://as.example", "token_endpoint": "https://as.example/token"});
    let issuer = "https://as.example".parse().unwrap();
    ServerMetadata::parse(document.to_string().as_bytes(), &issuer).unwrap()
}

fn grant() -> ClientCredentials {
    ClientCredentials::new("https://tools.example/mcp".parse().unwrap())
}

/// The request waits for the key, nothing is sent before, and it is signed with that key.
#[tokio::test]
async fn a_token_waits_for_the_clients_key() {
    let kms = Kms::new();
    let clients: [(Arc<dyn Authenticate>, _); 2] = [
        (Arc::new(SpiffeWit::of(kms.identity()).unwrap()), "header"),
        (
            Arc::new(PrivateKeyJwt::new(
                "agent".parse().unwrap(),
                AnySigner::remote(kms.clone()),
            )),
            "form",
        ),
    ];
    for (client, place) in clients {
        let asked = kms.asked.load(Ordering::SeqCst);
        let server = Server::default();
        let source = Arc::new(TokenSource::new(metadata(), client, server.clone()));
        let waiting = tokio::spawn({
            let source = Arc::clone(&source);
            async move { source.token(grant()).await }
        });
        while kms.asked.load(Ordering::SeqCst) == asked {
            tokio::task::yield_now().await;
        }
        assert!(server.0.lock().unwrap().is_empty());
        assert!(!waiting.is_finished());
        kms.permits.add_permits(1);
        waiting.await.unwrap().unwrap();

        let sent = server.0.lock().unwrap().remove(0);
        let form = Form::parse(sent.body()).unwrap();
        let proof = match place {
            "header" => sent.headers()["oauth-client-attestation-pop"]
                .to_str()
                .unwrap(),
            _ => form.get("client_assertion").unwrap(),
        };
        let key = VerifyingKey::from_jwk(kms.key.public_jwk(), AWS_LC).unwrap();
        let proof = Unverified::parse(proof).unwrap();
        assert!(proof.verify(&key).is_ok(), "{place}");
    }
}

/// If the key cannot be reached, there is an error, and nothing is sent.
#[tokio::test]
async fn a_key_out_of_reach_sends_nothing() {
    let kms = Kms::new();
    kms.permits.close();
    let server = Server::default();
    let client = SpiffeWit::of(kms.identity()).unwrap();
    let source = TokenSource::new(metadata(), client, server.clone());
    let error = source.token(grant()).await.unwrap_err();
    assert_eq!(error.code(), "oauth.authenticate");
    assert!(aims_jose::Chain(&error).to_string().contains("closed"));
    assert!(server.0.lock().unwrap().is_empty());
}

/// A synchronous method names the asynchronous one to use instead.
#[test]
fn what_cannot_wait_names_what_can() {
    let client = SpiffeWit::of(Kms::new().identity()).unwrap();
    let now = SystemClock::new().now();
    let error = grant().prepare(&client, &metadata(), now).unwrap_err();
    assert_eq!(error.code(), "oauth.authenticate");
    assert!(error.to_string().contains("`TokenFlow`"), "{error}");
}

fn begin(
    client: Arc<dyn Authenticate>,
    now: UnixTime,
) -> Step<aims_oauth_client::Token, TokenFlow> {
    let (grant, server) = (Arc::new(grant()), Arc::new(metadata()));
    TokenFlow::begin(grant, client, server, TokenRules::new(), now).unwrap()
}

/// A key in this process signs at once: the first step sends.
#[test]
fn a_local_key_takes_no_step_of_its_own() {
    let key = SigningKey::generate(Algorithm::Es256, AWS_LC).unwrap();
    let client = PrivateKeyJwt::new("agent".parse().unwrap(), Arc::new(key));
    let now = SystemClock::new().now();
    assert!(matches!(begin(Arc::new(client), now), Step::Send(..)));
}

/// A flow accepts an answer only after it has sent.
#[test]
fn an_answer_before_the_signature_ends_the_flow() {
    let client = SpiffeWit::of(Kms::new().identity()).unwrap();
    let now = SystemClock::new().now();
    let Step::Sign(_request, flow) = begin(Arc::new(client), now) else {
        unreachable!()
    };
    let answer = Response::new(b"{}".to_vec());
    let ended = flow.advance(Event::Answer(&answer), now);
    assert!(matches!(ended, Err(Error::Interrupted)));
}
