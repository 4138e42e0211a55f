//! A token source in a scripted environment: the test controls the time and the server.

#![allow(dead_code, reason = "each test file uses a part of it")]
#![allow(clippy::panic, reason = "one of the answers is a panic")]

use std::collections::VecDeque;
use std::sync::{Arc, Condvar, Mutex};
use std::time::Duration;

use aims_fetch::{Fetch, FetchFuture};
use aims_jose::alg::Algorithm;
use aims_jose::jws::SigningInput;
use aims_jose::key::SigningKey;
use aims_jose::provider::AWS_LC;
use aims_jose::random::SecureRandom;
use aims_jose::secret::SecretText;
use aims_jose::time::{Clock, UnixTime};
use aims_oauth_client::{Error, TokenSource};
use aims_oauth_wire::client_auth::ClientSecretBasic;
use aims_oauth_wire::metadata::ServerMetadata;
use aims_oauth_wire::token::Form;
use http::{Request, Response};
use serde_json::{Value, json};
use tokio::time::Instant;

pub(crate) mod suite;

pub(crate) const NOW: u64 = 1_800_000_000;

/// Signs any claims by a new key.
pub(crate) fn jwt(typ: &str, claims: &Value) -> SecretText {
    let key = SigningKey::generate(Algorithm::Es256, AWS_LC).unwrap();
    let input = SigningInput::new(typ, Algorithm::Es256, None, claims).unwrap();
    input.sign(&key).unwrap().into_secret()
}

/// Returns the object with these members; `null` removes one.
pub(crate) fn with(mut base: Value, changes: &Value) -> Value {
    let members = base.as_object_mut().unwrap();
    members.extend(changes.as_object().unwrap().clone());
    members.retain(|_, value| !value.is_null());
    base
}

pub(crate) fn at(seconds: u64) -> UnixTime {
    UnixTime::since_unix_epoch(Duration::from_secs(seconds))
}

/// Wall time that follows the clock of tokio.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Paused(pub(crate) Instant);

impl Clock for Paused {
    fn now(&self) -> UnixTime {
        at(NOW + self.0.elapsed().as_secs())
    }
}

/// Returns always the same number.
#[derive(Debug)]
pub(crate) struct Fixed(pub(crate) u64);

impl SecureRandom for Fixed {
    fn fill(&self, buffer: &mut [u8]) -> Result<(), aims_jose::Error> {
        buffer.copy_from_slice(&self.0.to_le_bytes());
        Ok(())
    }
}

/// Nothing is earlier than necessary, and no pause is shorter.
pub(crate) static LATEST: Fixed = Fixed(0);

#[derive(Clone, Copy, Debug)]
pub(crate) enum Answer {
    /// A token for 300 s, after one second.
    Token,
    /// A token for 300 s with these scopes, immediately.
    Scoped(&'static str),
    /// A token for 300 s, after being polled this number of times.
    Polled(usize),
    /// No answer, after one second.
    Fails,
    /// This status with this header field, immediately.
    Says(u16, &'static str),
    Hangs,
    /// A token for 300 s, after this number of seconds.
    After(u64),
    /// Blocks its thread until it is [released](Server::release). Then there is no answer.
    Blocks,
    /// After one second.
    Panics,
}

/// Returns its answers in order, then tokens. Records the times of the requests, in milliseconds,
/// and their targets.
#[derive(Clone, Debug)]
pub(crate) struct Server(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    answers: Mutex<VecDeque<Answer>>,
    asked: Mutex<Vec<u64>>,
    requests: Mutex<Vec<Request<Vec<u8>>>>,
    /// The number of calls that block their thread, and whether they may continue.
    blocking: (Mutex<(usize, bool)>, Condvar),
    start: Instant,
}

impl Server {
    pub(crate) fn of(answers: &[Answer]) -> Self {
        Self(Arc::new(Inner {
            answers: Mutex::new(answers.iter().copied().collect()),
            asked: Mutex::default(),
            requests: Mutex::default(),
            blocking: Default::default(),
            start: Instant::now(),
        }))
    }

    pub(crate) fn then(&self, answers: &[Answer]) {
        self.0.answers.lock().unwrap().extend(answers);
    }

    pub(crate) fn calls(&self) -> usize {
        self.0.asked.lock().unwrap().len()
    }

    pub(crate) fn asked(&self) -> Vec<u64> {
        self.0.asked.lock().unwrap().clone()
    }

    pub(crate) fn bodies(&self) -> Vec<String> {
        let requests = self.0.requests.lock().unwrap();
        let bodies = requests.iter().map(|it| it.body().clone());
        bodies.map(|it| String::from_utf8(it).unwrap()).collect()
    }

    /// Returns whether a call blocks its thread.
    pub(crate) fn is_blocking(&self) -> bool {
        self.0.blocking.0.lock().unwrap().0 > 0
    }

    /// Releases the calls that block their threads.
    pub(crate) fn release(&self) {
        self.0.blocking.0.lock().unwrap().1 = true;
        self.0.blocking.1.notify_all();
    }

    /// Blocks the thread for a limited time, so that a failing test ends.
    fn block(&self) {
        let (state, released) = &self.0.blocking;
        let mut state = state.lock().unwrap();
        state.0 += 1;
        let longest = Duration::from_secs(60);
        let waited = released.wait_timeout_while(state, longest, |it| !it.1);
        waited.unwrap().0.0 -= 1;
    }

    /// Exact to the second.
    pub(crate) fn source(&self) -> TokenSource {
        TokenSource::new(metadata(), client(), self.clone())
            .with_clock(Paused(self.0.start))
            .with_random(&LATEST)
    }
}

impl Fetch for Server {
    fn send(&self, request: Request<Vec<u8>>) -> FetchFuture<'_> {
        Box::pin(async move {
            let asked = u64::try_from(self.0.start.elapsed().as_millis()).unwrap();
            let call = self.calls();
            self.0.asked.lock().unwrap().push(asked);
            self.0.requests.lock().unwrap().push(request);
            let next = self.0.answers.lock().unwrap().pop_front();
            let second = || tokio::time::sleep(Duration::from_secs(1));
            let mut scope = None;
            match next.unwrap_or(Answer::Token) {
                Answer::Scoped(granted) => scope = Some(granted),
                Answer::Token => second().await,
                Answer::Polled(times) => {
                    for _ in 0..times {
                        tokio::task::yield_now().await;
                    }
                }
                Answer::Fails => {
                    second().await;
                    return Err(aims_fetch::Error::Timeout);
                }
                Answer::Says(status, retry_after) => return Ok(refusal(status, retry_after)),
                Answer::Hangs => std::future::pending().await,
                Answer::After(seconds) => sleep(seconds).await,
                Answer::Blocks => {
                    self.block();
                    return Err(aims_fetch::Error::Timeout);
                }
                Answer::Panics => {
                    second().await;
                    panic!("a transport may do this");
                }
            }
            let mut body = json!({"access_token": format!("t{call}"), "token_type": "Bearer", "expires_in": 300});
            if let Some((body, scope)) = body.as_object_mut().zip(scope) {
                body.insert("scope".to_owned(), scope.into());
            }
            Ok(response(200).body(body.to_string().into_bytes()).unwrap())
        })
    }
}

fn response(status: u16) -> http::response::Builder {
    let response = Response::builder().status(status);
    let response = response.header("content-type", "application/json");
    response.header("cache-control", "no-store")
}

fn refusal(status: u16, retry_after: &str) -> Response<Vec<u8>> {
    let mut answer = response(status);
    for value in retry_after.split('|').filter(|it| !it.is_empty()) {
        answer = answer.header("retry-after", value);
    }
    let body = json!({"error": "temporarily_unavailable"});
    answer.body(body.to_string().into_bytes()).unwrap()
}

pub(crate) fn metadata() -> ServerMetadata {
    let document =
        json!({"issuer": "https://as.example", "token_endpoint": "https://as.example/token"});
    let issuer = "https://as.example".parse().unwrap();
    ServerMetadata::parse(document.to_string().as_bytes(), &issuer).unwrap()
}

pub(crate) fn client() -> ClientSecretBasic {
    ClientSecretBasic::new("agent".parse().unwrap(), SecretText::new("secret"))
}

pub(crate) fn code<T>(result: Result<T, Error>) -> &'static str {
    result.map_or_else(|error| error.code(), |_| "ok")
}

/// Returns the fingerprint of the token for one tool.
pub(crate) async fn ask(source: &TokenSource) -> Result<String, Error> {
    ask_for(source, "https://tools.example/mcp", "read").await
}

pub(crate) async fn ask_for(
    source: &TokenSource,
    resource: &str,
    scopes: &str,
) -> Result<String, Error> {
    let (resource, scopes) = (resource.parse().unwrap(), scopes.parse().unwrap());
    let token = source.token_for(&resource, &scopes).await?;
    Ok(token.fingerprint().to_string())
}

/// Returns the fingerprint of the token from this call of the server.
pub(crate) fn token(call: usize) -> String {
    SecretText::new(format!("t{call}"))
        .fingerprint()
        .to_string()
}

pub(crate) async fn sleep(seconds: u64) {
    tokio::time::sleep(Duration::from_secs(seconds)).await;
}

/// Answers each request by a function, and records the requests.
#[derive(Clone)]
pub(crate) struct Script(Arc<Scripted>);

type Answering = dyn Fn(&Request<Vec<u8>>, usize) -> Response<Vec<u8>> + Send + Sync;

struct Scripted {
    answer: Box<Answering>,
    requests: Mutex<Vec<Request<Vec<u8>>>>,
}

impl Script {
    /// The function gets the request and its number, from 0.
    pub(crate) fn new(
        answer: impl Fn(&Request<Vec<u8>>, usize) -> Response<Vec<u8>> + Send + Sync + 'static,
    ) -> Self {
        Self(Arc::new(Scripted {
            answer: Box::new(answer),
            requests: Mutex::default(),
        }))
    }

    pub(crate) fn requests(&self) -> Vec<Request<Vec<u8>>> {
        self.0.requests.lock().unwrap().clone()
    }

    /// Answers a request for another script.
    pub(crate) fn answer(&self, request: &Request<Vec<u8>>, number: usize) -> Response<Vec<u8>> {
        (self.0.answer)(request, number)
    }

    /// Returns the form of each request.
    pub(crate) fn forms(&self) -> Vec<Form> {
        let requests = self.requests();
        requests
            .iter()
            .map(|it| Form::parse(it.body()).unwrap())
            .collect()
    }
}

impl std::fmt::Debug for Script {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Script")
    }
}

impl Fetch for Script {
    fn send(&self, request: Request<Vec<u8>>) -> FetchFuture<'_> {
        let mut requests = self.0.requests.lock().unwrap();
        let answer = (self.0.answer)(&request, requests.len());
        requests.push(request);
        Box::pin(std::future::ready(Ok(answer)))
    }
}

pub(crate) fn json_answer(status: u16, body: &Value) -> Response<Vec<u8>> {
    response(status)
        .body(body.to_string().into_bytes())
        .unwrap()
}

/// The metadata of the authorization server with these members.
pub(crate) fn server_with(members: &Value) -> ServerMetadata {
    let mut document =
        json!({"issuer": "https://as.example", "token_endpoint": "https://as.example/token"});
    for (name, value) in members.as_object().unwrap() {
        document
            .as_object_mut()
            .unwrap()
            .insert(name.clone(), value.clone());
    }
    let issuer = "https://as.example".parse().unwrap();
    ServerMetadata::parse(document.to_string().as_bytes(), &issuer).unwrap()
}
