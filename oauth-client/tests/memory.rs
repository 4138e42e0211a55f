//! The memory of held tokens: bytes that are allocated and not freed.

#![cfg(feature = "tokio")]
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod common;

use std::sync::atomic::{AtomicUsize, Ordering};

use aims_fetch::{Fetch, FetchFuture};
use aims_jose::jwk::Thumbprint;
use aims_jose::secret::SecretText;
use aims_jose::time::UnixTime;
use aims_oauth_client::{Grant, Target, TokenSource};
use aims_oauth_wire::metadata::ServerMetadata;
use aims_oauth_wire::names::Resource;
use aims_oauth_wire::token::{TokenRequest, TokenResponse};
use common::{client, json_answer, metadata};
use http::Request;
use serde_json::json;
use tokio::runtime::Builder;

/// The number of tokens of each measurement.
const TOKENS: usize = 1_000;
/// The lengths of the texts.
const ACCESS: usize = 600;
const REFRESH: usize = 100;
const KEY: &str = "kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k";

/// Answers each request with other tokens.
#[derive(Debug, Default)]
struct Server(AtomicUsize);

impl Fetch for Server {
    fn send(&self, _: Request<Vec<u8>>) -> FetchFuture<'_> {
        let number = self.0.fetch_add(1, Ordering::Relaxed);
        let answer = json!({
            "access_token": format!("{number:0>ACCESS$}"),
            "refresh_token": format!("{number:0>REFRESH$}"),
            "token_type": "Bearer",
            "expires_in": 3_600,
            "scope": "tools:call",
        });
        Box::pin(std::future::ready(Ok(json_answer(200, &answer))))
    }
}

/// A grant whose refresh token is kept or not.
#[derive(Debug)]
struct Login {
    target: Target,
    keeps: bool,
}

impl Grant for Login {
    fn grant_type(&self) -> &str {
        "authorization_code"
    }

    fn target(&self) -> &Target {
        &self.target
    }

    fn write(
        &self,
        request: &mut TokenRequest,
        _: &ServerMetadata,
        _: UnixTime,
    ) -> Result<(), aims_oauth_wire::Error> {
        self.target.write(request)
    }

    fn refresh_token(&self, response: &TokenResponse) -> Option<SecretText> {
        response.refresh_token().filter(|_| self.keeps).cloned()
    }
}

/// Returns the bytes that a held token takes, with all that belongs to it.
fn taken(source: &TokenSource, keeps: bool) -> usize {
    let runtime = Builder::new_current_thread().enable_time().build().unwrap();
    let login = |number: usize| {
        let tool: Resource = format!("https://tools.example/{number:0>4}")
            .parse()
            .unwrap();
        // Each caller parses its own scopes.
        let target = Target::new(tool, "tools:call".parse().unwrap());
        source.token(Login { target, keeps })
    };
    // The first request has costs of its own.
    drop(runtime.block_on(login(0)).unwrap());
    let measured = allocation_counter::measure(|| {
        for number in 1..TOKENS {
            drop(runtime.block_on(login(number)).unwrap());
        }
    });
    usize::try_from(measured.bytes_current).unwrap() / (TOKENS - 1)
}

fn source() -> TokenSource {
    TokenSource::new(metadata(), client(), Server::default()).with_capacity(TOKENS)
}

/// A held token takes less than 448 bytes beside its text, so that 10,000
/// tokens of 600 bytes take less than 10 MiB. Its text is there once.
#[test]
fn a_held_token_takes_little_beside_its_text() {
    let found = taken(&source(), false);
    assert!((ACCESS..ACCESS + 448).contains(&found), "{found} bytes");
}

/// So does one that is bound to the key of an identity.
#[test]
fn a_token_of_an_identity_takes_little_beside_its_text() {
    let key: Thumbprint = KEY.parse().unwrap();
    let found = taken(&source().with_key(move |_| Some(key)), false);
    assert!((ACCESS..ACCESS + 448).contains(&found), "{found} bytes");
}

/// A refresh token is there once as well.
#[test]
fn a_refresh_token_is_held_once() {
    let texts = ACCESS + REFRESH;
    let found = taken(&source(), true);
    assert!((texts..texts + 600).contains(&found), "{found} bytes");
}
