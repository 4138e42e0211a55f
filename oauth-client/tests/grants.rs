//! Any grant, with one flow and one source.

#![cfg(feature = "tokio")]
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod common;

use std::collections::VecDeque;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use aims_fetch::{Fetch, FetchFuture};
use aims_jose::time::UnixTime;
use aims_oauth_client::{
    ClientCredentials, Error, Grant, Target, Token, TokenFlow, TokenRules, TokenSource, drive,
};
use aims_oauth_wire::metadata::ServerMetadata;
use aims_oauth_wire::token::{TokenError, TokenRequest};
use common::{Paused, Server, client, code, metadata, token};
use http::{Request, Response};
use serde_json::{Value, json};
use tokio::time::Instant;

const DEVICE: &str = "urn:ietf:params:oauth:grant-type:device_code";

/// A grant as in RFC 8628 §3.4, §3.5.
#[derive(Clone, Debug)]
struct Device {
    target: Target,
    until: UnixTime,
}

impl Device {
    fn new(subject: &str) -> Self {
        let target = Target::new(
            "https://tools.example/mcp".parse().unwrap(),
            "read".parse().unwrap(),
        );
        Self {
            target: target.with_subject(subject),
            until: common::at(common::NOW + 60),
        }
    }
}

impl Grant for Device {
    fn grant_type(&self) -> &str {
        DEVICE
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
        self.target.write(request)?;
        request.parameter("device_code", "d")?;
        Ok(())
    }

    fn poll_after(
        &self,
        refusal: &TokenError,
        last: Option<Duration>,
        now: UnixTime,
    ) -> Option<Duration> {
        let last = last.unwrap_or(Duration::from_secs(5));
        let wait = match refusal.error() {
            "authorization_pending" => last,
            "slow_down" => last + Duration::from_secs(5),
            _ => return None,
        };
        (now < self.until).then_some(wait)
    }
}

/// Returns answers in order; records the times of the requests, in seconds.
#[derive(Clone, Debug)]
struct Desk {
    answers: Arc<Mutex<VecDeque<(u16, Value)>>>,
    asked: Arc<Mutex<Vec<(u64, String)>>>,
    start: Instant,
}

impl Desk {
    fn of(errors: &[&str], last: Value) -> Self {
        let refusals = errors.iter().map(|it| (400, json!({"error": it})));
        Self {
            answers: Arc::new(Mutex::new(refusals.chain([(200, last)]).collect())),
            asked: Arc::default(),
            start: Instant::now(),
        }
    }

    async fn get(&self, rules: TokenRules) -> Result<Token, Error> {
        let (grant, client) = (Arc::new(Device::new("alice")), Arc::new(client()));
        let clock = Paused(self.start);
        let now = aims_jose::time::Clock::now(&clock);
        let first = TokenFlow::begin(grant, client, Arc::new(metadata()), rules, now)?;
        drive(first, self, &clock).await
    }

    fn times(&self) -> Vec<u64> {
        self.asked.lock().unwrap().iter().map(|it| it.0).collect()
    }
}

impl Fetch for Desk {
    fn send(&self, request: Request<Vec<u8>>) -> FetchFuture<'_> {
        let body = String::from_utf8(request.into_body()).unwrap();
        let at = self.start.elapsed().as_secs();
        self.asked.lock().unwrap().push((at, body));
        let next = self.answers.lock().unwrap().pop_front();
        Box::pin(async move {
            let (status, body) = next.ok_or(aims_fetch::Error::Timeout)?;
            let answer = Response::builder().status(status);
            let answer = answer.header("content-type", "application/json");
            let answer = answer.header("cache-control", "no-store");
            Ok(answer.body(body.to_string().into_bytes()).unwrap())
        })
    }
}

fn good() -> Value {
    json!({"access_token": "t", "token_type": "Bearer", "expires_in": 300})
}

/// A grant that polls repeats its request as it says, with the same parameters, until there is a
/// token.
#[tokio::test(start_paused = true)]
async fn a_grant_polls_as_it_says() {
    let pending = "authorization_pending";
    let desk = Desk::of(&[pending, pending, "slow_down", pending], good());
    let token = desk.get(TokenRules::new()).await.unwrap();
    assert_eq!(token.resource().as_str(), "https://tools.example/mcp");
    assert_eq!(desk.times(), [0, 5, 10, 20, 30]);
    let asked = desk.asked.lock().unwrap();
    let first = format!("grant_type={}", DEVICE.replace(':', "%3A"));
    assert!(
        asked
            .iter()
            .all(|it| it.1 == asked[0].1 && it.1.starts_with(&first))
    );
}

/// A final error response, a lost answer, and a grant whose time is over end the flow.
#[tokio::test(start_paused = true)]
async fn a_final_refusal_ends_the_flow() {
    let desk = Desk::of(&["authorization_pending", "access_denied"], good());
    let error = desk.get(TokenRules::new()).await.unwrap_err();
    assert_eq!(error.refusal().unwrap().error(), "access_denied");
    assert_eq!(desk.times(), [0, 5]);
    let desk = Desk::of(&[], good());
    desk.answers.lock().unwrap().clear();
    assert_eq!(code(desk.get(TokenRules::new()).await), "grant.transport");
    let pending = ["authorization_pending"; 50];
    let desk = Desk::of(&pending, good());
    assert_eq!(code(desk.get(TokenRules::new()).await), "oauth.refused");
    assert_eq!(*desk.times().last().unwrap(), 60);
}

/// The client credentials grant does not poll, whatever the server answers.
#[tokio::test(start_paused = true)]
async fn client_credentials_do_not_poll() {
    for error in ["authorization_pending", "slow_down"] {
        let desk = Desk::of(&[error], good());
        let grant = ClientCredentials::new("https://tools.example/mcp".parse().unwrap());
        let source = TokenSource::new(metadata(), client(), desk.clone());
        let source = source.with_clock(Paused(desk.start));
        assert_eq!(code(source.token(grant).await), "oauth.refused");
        assert_eq!(desk.times(), [0]);
    }
}

/// A source caches tokens separately by grant type, target and subject, and sends one request for
/// each.
#[tokio::test(start_paused = true)]
async fn a_source_keeps_grants_and_subjects_apart() {
    let server = Server::of(&[]);
    let source = server.source();
    let own = || {
        let grant = ClientCredentials::new("https://tools.example/mcp".parse().unwrap());
        grant.scopes("read".parse().unwrap())
    };
    for _ in 0..2 {
        let of = |it: Arc<Token>| it.fingerprint().to_string();
        let alice = source.token(Device::new("alice")).await.unwrap();
        let bob = source.token(Device::new("bob")).await.unwrap();
        let own = source.token(own()).await.unwrap();
        assert_eq!(
            [of(alice), of(bob), of(own)],
            [token(0), token(1), token(2)]
        );
    }
    assert_eq!(server.calls(), 3);
}

/// Many callers of one polling grant cause one sequence of requests.
#[tokio::test(start_paused = true)]
async fn a_grant_that_polls_has_one_flight() {
    let desk = Desk::of(&["authorization_pending"; 3], good());
    let source = TokenSource::new(metadata(), client(), desk.clone());
    let source = Arc::new(source.with_clock(Paused(desk.start)));
    let callers = (0..50).map(|_| {
        let source = Arc::clone(&source);
        tokio::spawn(async move { source.token(Device::new("alice")).await.map(drop) })
    });
    for caller in callers.collect::<Vec<_>>() {
        caller.await.unwrap().unwrap();
    }
    assert_eq!(desk.times(), [0, 5, 10, 15]);
}

/// A token whose server states no lifetime is requested again after minutes, neither at once nor
/// never.
#[tokio::test(start_paused = true)]
async fn a_token_without_lifetime_is_asked_for_again_after_minutes() {
    let silent = json!({"access_token": "t", "token_type": "Bearer"});
    let desk = Desk::of(&[], silent.clone());
    desk.answers.lock().unwrap().push_back((200, silent));
    let source = TokenSource::new(metadata(), client(), desk.clone());
    let source = source
        .with_clock(Paused(desk.start))
        .with_random(&common::LATEST);
    let ask = || async { common::ask(&source).await.unwrap() };
    for _ in 0..200 {
        ask().await;
        common::sleep(1).await;
    }
    ask().await;
    common::sleep(1).await;
    ask().await;
    assert_eq!(desk.times(), [0, 200]);
}

/// Reports of users of other clients: a response with `null` for missing values, and a `token_type`
/// in lower case, is accepted; an empty error response is reported with its status.
#[tokio::test(start_paused = true)]
async fn answers_of_real_servers() {
    let nulls = json!({
        "access_token": "t", "token_type": "bearer", "expires_in": null, "refresh_token": null,
        "id_token": null, "scope": null, "error": null,
    });
    let desk = Desk::of(&[], nulls);
    assert!(desk.get(TokenRules::new()).await.is_ok());
}
