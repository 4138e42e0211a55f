//! A token is for one resource, one set of scopes and one key (T-112).

#![cfg(feature = "tokio")]
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod common;

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use aims_jose::alg::Algorithm;
use aims_jose::jwk::Thumbprint;
use aims_jose::key::SigningKey;
use aims_jose::provider::AWS_LC;
use aims_jose::time::UnixTime;
use aims_oauth_client::{Error, TokenSource};
use aims_oauth_wire::client_auth::{Authenticate, ClientSecretBasic};
use aims_oauth_wire::metadata::ServerMetadata;
use aims_oauth_wire::names::ClientId;
use aims_oauth_wire::token::TokenRequest;
use common::{Answer, Server, ask, ask_for, client, code, metadata, sleep, token};

/// The keys of an identity. The test selects the current one.
#[derive(Clone, Debug)]
struct Keys(Arc<(AtomicUsize, Vec<Thumbprint>)>);

impl Keys {
    fn new() -> Self {
        let key = || SigningKey::generate(Algorithm::Es256, AWS_LC).unwrap();
        let thumbprints = (0..8).map(|_| *key().verifying_key().thumbprint());
        Self(Arc::new((AtomicUsize::new(0), thumbprints.collect())))
    }

    fn rotate(&self) {
        self.0.0.fetch_add(1, Ordering::SeqCst);
    }

    fn source(&self, source: TokenSource) -> TokenSource {
        let keys = self.clone();
        source.with_key(move |_| keys.0.1.get(keys.0.0.load(Ordering::SeqCst)).copied())
    }
}

/// A token for one tool is not returned for another, nor for other scopes.
#[tokio::test(start_paused = true)]
async fn tokens_are_for_one_resource_and_scope() {
    let (a, b) = ("https://a.example/mcp", "https://b.example/mcp");
    let server = Server::of(&[]);
    let source = server.source();
    for (tool, scopes, expected) in [
        (a, "read", 0),
        (b, "read", 1),
        (a, "read write", 2),
        ("https://a.example/mcp/", "read", 3),
        ("https://a.example", "read", 4),
        (a, "read", 0),
        (b, "read", 1),
    ] {
        let got = ask_for(&source, tool, scopes).await.unwrap();
        assert_eq!(got, token(expected), "{tool} {scopes}");
    }
    let bodies = server.bodies();
    let of = |host: &str| bodies.iter().filter(|body| body.contains(host)).count();
    assert_eq!((of("a.example"), of("b.example"), bodies.len()), (4, 1, 5));
}

/// T-109: a token with more scopes than requested is refused, unless that is allowed.
#[tokio::test(start_paused = true)]
async fn a_wider_token_is_not_kept() {
    let wider = Answer::Scoped("read write");
    let server = Server::of(&[wider]);
    let source = server.source();
    assert_eq!(code(ask(&source).await), "grant.scope");
    assert_eq!(code(ask(&source).await), "grant.backing_off");
    sleep(2).await;
    assert_eq!(ask(&source).await.unwrap(), token(1), "it is asked anew");
    let server = Server::of(&[wider]);
    let source = server.source().accept_wider_scopes();
    assert_eq!(ask(&source).await.unwrap(), token(0));
}

/// When the identity has a new key, tokens that are bound to the old one are no longer returned:
/// not while they are valid, and not after the old key is used again.
#[tokio::test(start_paused = true)]
async fn a_new_key_gets_new_tokens() {
    let (server, keys) = (Server::of(&[]), Keys::new());
    let source = keys.source(server.source());
    assert_eq!(ask(&source).await.unwrap(), token(0));
    assert_eq!((ask(&source).await.unwrap(), server.calls()), (token(0), 1));
    keys.rotate();
    assert_eq!(ask(&source).await.unwrap(), token(1));
    assert_eq!((ask(&source).await.unwrap(), server.calls()), (token(1), 2));
    // If no new token can be obtained, there is none.
    server.then(&[Answer::Fails]);
    keys.rotate();
    assert_eq!(code(ask(&source).await), "grant.transport");
    assert_eq!(code(ask(&source).await), "grant.backing_off");
}

/// The key changes during the request: each waiting caller gets a token of the new one.
#[tokio::test(start_paused = true)]
async fn a_key_that_changes_meanwhile() {
    let (server, keys) = (Server::of(&[]), Keys::new());
    let source = Arc::new(keys.source(server.source()));
    let asking = tokio::spawn({
        let source = Arc::clone(&source);
        async move { ask(&source).await }
    });
    tokio::task::yield_now().await;
    tokio::task::yield_now().await;
    assert_eq!(server.calls(), 1);
    keys.rotate();
    assert_eq!(asking.await.unwrap().unwrap(), token(1));
    assert_eq!((ask(&source).await.unwrap(), server.calls()), (token(1), 2));
}

/// Rotates the key this number of times while it authenticates.
#[derive(Debug)]
struct Rotating {
    client: ClientSecretBasic,
    keys: Keys,
    left: AtomicUsize,
}

impl Authenticate for Rotating {
    fn client_id(&self) -> &ClientId {
        self.client.client_id()
    }

    fn authenticate(
        &self,
        request: &mut TokenRequest,
        server: &ServerMetadata,
        now: UnixTime,
    ) -> Result<(), aims_oauth_wire::Error> {
        let less = |left: usize| left.checked_sub(1);
        let rotates = self
            .left
            .fetch_update(Ordering::SeqCst, Ordering::SeqCst, less);
        if rotates.is_ok() {
            self.keys.rotate();
        }
        self.client.authenticate(request, server, now)
    }
}

/// A request whose key is not certain is not sent but made again, a few times.
#[tokio::test(start_paused = true)]
async fn a_key_that_changes_while_the_request_is_made() {
    for (rotations, expected) in [(1, "ok"), (2, "ok"), (3, "grant.interrupted")] {
        let (server, keys) = (Server::of(&[]), Keys::new());
        let client = Rotating {
            client: client(),
            keys: keys.clone(),
            left: AtomicUsize::new(rotations),
        };
        let source = keys.source(TokenSource::new(metadata(), client, server.clone()));
        let got: Result<String, Error> = ask(&source).await;
        assert_eq!(code(got), expected);
        assert_eq!(server.calls(), usize::from(expected == "ok"));
        sleep(1).await;
    }
}
