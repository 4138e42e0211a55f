//! The receiver of pings (CIBA Core §10.2): the server says that the user has decided.

use std::collections::HashMap;
use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::task::{Context, Poll, Waker};

use aims_jose::base64url;
use aims_jose::digest::sha256;
use aims_jose::json;
use aims_jose::random::SecureRandom;
use aims_jose::secret::SecretText;
use aims_oauth_wire::media;
use http::header::{AUTHORIZATION, CACHE_CONTROL, HeaderValue, WWW_AUTHENTICATE};
use http::{Method, Request, Response, StatusCode};
use serde::Deserialize;

use crate::Error;

/// The maximum number of requests that wait for a ping.
const MAX_WAITING: usize = 1024;
/// The maximum length of a ping, in bytes.
const MAX_BODY: usize = 4096;

/// The client notification endpoint (CIBA Core §10.2): receives pings, and wakes the requests that
/// wait for them. Clones share the requests.
///
/// Serve the requests to the registered endpoint by [`receive`](Self::receive). A ping carries no
/// decision, so an attacker who forges one causes one poll.
///
/// ```
/// use aims_oauth_client::Pings;
/// use http::Request;
///
/// let pings = Pings::new();
/// let forged = Request::post("/ping").body(br#"{"auth_req_id":"x"}"#.to_vec())?;
/// assert_eq!(pings.receive(&forged).status(), 401);
/// # Ok::<(), http::Error>(())
/// ```
#[derive(Clone, Debug, Default)]
pub struct Pings(Arc<Mutex<Waiting>>);

/// The requests that wait, by the hash of their notification token.
#[derive(Default)]
struct Waiting(HashMap<[u8; 32], Weak<Signal>>);

impl fmt::Debug for Waiting {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} requests", self.0.len())
    }
}

/// One request that waits for a ping.
struct Signal {
    token: SecretText,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    /// `auth_req_id`, as soon as the server has told it.
    id: Option<SecretText>,
    /// The `auth_req_id` of a ping that came before the answer of the server.
    early: Option<SecretText>,
    is_pinged: bool,
    wakers: Vec<Waker>,
}

/// Completes when the server has sent its ping. Dropping all clones ends the wait.
#[derive(Clone)]
#[must_use = "it does nothing until it is awaited"]
pub(super) struct Pinged(Arc<Signal>);

#[derive(Deserialize)]
struct Ping {
    auth_req_id: String,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Pings {
    /// Creates a receiver without requests.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Makes the notification token of a new request, of 256 random bits.
    pub(super) fn begin(&self, random: &dyn SecureRandom) -> Result<(SecretText, Pinged), Error> {
        let mut bytes = [0_u8; 32];
        random.fill(&mut bytes).map_err(Error::Random)?;
        let token = SecretText::new(base64url::encode(&bytes));
        let signal = Arc::new(Signal {
            token: token.clone(),
            state: Mutex::default(),
        });
        let mut waiting = lock(&self.0);
        if waiting.0.len() >= MAX_WAITING {
            waiting.0.retain(|_, signal| signal.strong_count() > 0);
        }
        if waiting.0.len() >= MAX_WAITING {
            return Err(Error::Busy);
        }
        let name = sha256(token.expose().as_bytes());
        waiting.0.insert(name, Arc::downgrade(&signal));
        Ok((token, Pinged(signal)))
    }

    /// Answers a request to the client notification endpoint: with 204 for a ping of a request that
    /// waits, with 401 for a wrong token or another `auth_req_id`, and with 400 for what is no
    /// ping. Tokens are compared in constant time.
    #[must_use]
    pub fn receive(&self, request: &Request<Vec<u8>>) -> Response<Vec<u8>> {
        let status = self.status(request);
        let mut response = Response::new(Vec::new());
        *response.status_mut() = status;
        let headers = response.headers_mut();
        headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
        if status == StatusCode::UNAUTHORIZED {
            headers.insert(WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
        }
        response
    }

    fn status(&self, request: &Request<Vec<u8>>) -> StatusCode {
        if request.method() != Method::POST {
            return StatusCode::METHOD_NOT_ALLOWED;
        }
        let Some(signal) = self.named(request) else {
            return StatusCode::UNAUTHORIZED;
        };
        let body = request.body();
        if body.len() > MAX_BODY || !media::is(request.headers(), media::JSON) {
            return StatusCode::BAD_REQUEST;
        }
        let Ok(ping) = json::from_document::<Ping>(body) else {
            return StatusCode::BAD_REQUEST;
        };
        let id = SecretText::new(ping.auth_req_id);
        let mut state = lock(&signal.state);
        match &state.id {
            Some(own) if *own == id => state.ping(),
            Some(_) => return StatusCode::UNAUTHORIZED,
            // The answer with the id may still be on its way.
            None => state.early = Some(id),
        }
        StatusCode::NO_CONTENT
    }

    /// Returns the request that the bearer token of a ping names.
    fn named(&self, request: &Request<Vec<u8>>) -> Option<Arc<Signal>> {
        let mut fields = request.headers().get_all(AUTHORIZATION).iter();
        let field = fields.next().filter(|_| fields.next().is_none())?;
        let (scheme, token) = field.to_str().ok()?.split_once(' ')?;
        if !scheme.eq_ignore_ascii_case("Bearer") {
            return None;
        }
        // The place is found by the hash, whose bytes an attacker cannot steer.
        let name = sha256(token.as_bytes());
        let signal = lock(&self.0).0.get(&name)?.upgrade()?;
        (signal.token == token).then_some(signal)
    }
}

impl State {
    fn ping(&mut self) {
        self.is_pinged = true;
        for waker in self.wakers.drain(..) {
            waker.wake();
        }
    }
}

impl Pinged {
    /// Pairs the request with the id that the server gave it.
    pub(super) fn pair(&self, id: &SecretText) {
        let mut state = lock(&self.0.state);
        if state.early.take().is_some_and(|early| early == *id) {
            state.ping();
        }
        state.id = Some(id.clone());
    }
}

impl Future for Pinged {
    type Output = ();

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        let mut state = lock(&self.0.state);
        if state.is_pinged {
            return Poll::Ready(());
        }
        if !state.wakers.iter().any(|it| it.will_wake(context.waker())) {
            state.wakers.push(context.waker().clone());
        }
        Poll::Pending
    }
}

impl fmt::Debug for Pinged {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Pinged")
            .field("token", &self.0.token)
            .finish_non_exhaustive()
    }
}
