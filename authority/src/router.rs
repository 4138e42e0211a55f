//! The authority as an axum router.

use core::net::{IpAddr, SocketAddr};
use core::time::Duration;
use std::sync::Arc;

use aims_jose::time::{Clock, SystemClock, UnixTime};
use axum::Router;
use axum::body::{Body, HttpBody as _};
use axum::extract::{ConnectInfo, State};
use axum::routing::any;
use http::{Request, Response, StatusCode};

use crate::endpoint::Endpoint;
use crate::{Authority, Error};

/// Maximum time for a client to send its body.
const BODY_DEADLINE: Duration = Duration::from_secs(10);

#[derive(Clone)]
struct Mounted {
    authority: Authority,
    clock: Arc<dyn Clock>,
}

impl Authority {
    /// Returns a router with the paths of the authority and no fallback. Merge it into the router
    /// of a program that is reached at the base URL.
    ///
    /// The paths include that of the base URL, so use `merge` and not `nest`. The router limits
    /// bodies. The server must limit headers, idle time and connections; `axum::serve` does not, so
    /// use [`Server`](crate::Server) or set these limits. To count clients by address, serve with
    /// `into_make_service_with_connect_info::<SocketAddr>()`.
    pub fn router(&self) -> Router {
        self.router_with_clock(Arc::new(SystemClock::new()))
    }

    /// Returns a [`router`](Self::router) with another clock.
    pub fn router_with_clock(&self, clock: Arc<dyn Clock>) -> Router {
        self.routes().with_state(Mounted {
            authority: self.clone(),
            clock,
        })
    }

    /// Returns a router that also answers every other path, by the same rules.
    pub(crate) fn whole_router(&self, clock: Arc<dyn Clock>) -> Router {
        self.routes().fallback(answer).with_state(Mounted {
            authority: self.clone(),
            clock,
        })
    }

    fn routes(&self) -> Router<Mounted> {
        self.paths().fold(Router::new(), |router, path| {
            router.route(path, any(answer))
        })
    }
}

async fn answer(State(mounted): State<Mounted>, request: Request<Body>) -> Response<Body> {
    let Mounted { authority, clock } = mounted;
    let source = request
        .extensions()
        .get::<ConnectInfo<SocketAddr>>()
        .map(|it| it.0.ip());
    // Judge the head first, so that a request that is refused anyway holds up nothing.
    let endpoint = match authority.admit(&request, source, clock.now()) {
        Ok(endpoint) => endpoint,
        Err(error) => return last(authority.turn_away(&request, source, &error)),
    };
    let (parts, body) = request.into_parts();
    match read(body, authority.limits().body).await {
        Ok(body) => {
            let request = Arc::new(Request::from_parts(parts, body));
            authority.learn_client(&request, source, clock.now()).await;
            authority.learn_keys(&request, source, clock.now()).await;
            authority.learn_issuer_keys(&request, clock.now()).await;
            let response = run(authority.clone(), endpoint, request, source, clock.now()).await;
            authority.send_pings();
            match response.status() {
                StatusCode::TOO_MANY_REQUESTS => last(response),
                _ => response.map(Body::from),
            }
        }
        Err(error) => {
            let request = Request::from_parts(parts, ());
            last(authority.turn_away(&request, source, &error))
        }
    }
}

/// Answers a request.
async fn run(
    authority: Authority,
    endpoint: &'static Endpoint,
    request: Arc<Request<Vec<u8>>>,
    source: Option<IpAddr>,
    now: UnixTime,
) -> Response<Vec<u8>> {
    let asked = Arc::clone(&request);
    let task = move |own: &Authority| own.run(endpoint, &asked, source, now);
    match authority.off_thread(task).await {
        Ok(response) => response,
        Err(error) => authority.refuse(request.uri().path(), &error),
    }
}

impl Authority {
    /// Does what reads or writes the state, on a thread for blocking work if the state may block.
    pub(crate) async fn off_thread<T: Send + 'static>(
        &self,
        task: impl FnOnce(&Self) -> T + Send + 'static,
    ) -> Result<T, Error> {
        if !self.oauth().state.may_block() {
            return Ok(task(self));
        }
        let (own, span) = (self.clone(), tracing::Span::current());
        let task = move || span.in_scope(|| task(&own));
        tokio::task::spawn_blocking(task)
            .await
            .map_err(Error::unavailable)
    }
}

/// Makes it the last response of its connection. Its body was not read, or its client has no
/// business here, and a kept-alive connection would hold a place.
fn last(response: Response<Vec<u8>>) -> Response<Body> {
    let mut response = response.map(Body::from);
    let close = http::HeaderValue::from_static("close");
    response
        .headers_mut()
        .insert(http::header::CONNECTION, close);
    response
}

async fn read(body: Body, limit: usize) -> Result<Vec<u8>, Error> {
    // Do not read a body that is announced as too long.
    if usize::try_from(body.size_hint().lower()).map_or(true, |announced| announced > limit) {
        return Err(Error::TooLarge { limit });
    }
    match tokio::time::timeout(BODY_DEADLINE, axum::body::to_bytes(body, limit)).await {
        Ok(Ok(body)) => Ok(body.into()),
        // The body is too long, or the client closed the connection and reads no response.
        Ok(Err(_)) => Err(Error::TooLarge { limit }),
        Err(_elapsed) => Err(Error::Slow),
    }
}
