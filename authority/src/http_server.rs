//! An HTTP/1.1 server with limits. `axum::serve` limits neither headers, idle connections, nor the
//! number of connections.

use core::future::{Future, pending};
use core::net::SocketAddr;
use core::pin::pin;
use core::time::Duration;
use std::sync::Arc;

use aims_jose::time::{Clock, SystemClock};
use axum::Router;
use axum::body::Body;
use axum::extract::ConnectInfo;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};
use tokio::task::JoinSet;
use tokio::time::{Instant, interval_at, sleep, timeout};
use tower_service::Service as _;

use crate::reason::Reason;
use crate::{Authority, Error};

/// Time for open connections to finish after the end was requested.
const GRACE: Duration = Duration::from_secs(5);
/// Pause of the accept loop when no file descriptors are left.
const ACCEPT_PAUSE: Duration = Duration::from_millis(250);

/// Serves an authority on a loopback listener until the future is dropped. It uses a [`Server`]
/// with its defaults.
///
/// # Errors
///
/// `server.not_loopback` if other machines can reach the listener; `server.listener` if it fails.
pub async fn serve(listener: TcpListener, authority: Authority) -> Result<(), Error> {
    Server::new(authority).serve(listener).await
}

/// An HTTP/1.1 server for one authority, with limits on every input.
///
/// | input | limit |
/// |---|---|
/// | connections at a time | 256 |
/// | the head of a request, and an idle connection | 5 s, 64 fields, 16 KiB |
/// | the body of a request | [`Limits::body`](crate::Limits), 10 s |
/// | a connection in total | 120 s |
#[derive(Clone)]
#[must_use = "a server does nothing before `serve`"]
pub struct Server {
    authority: Authority,
    clock: Arc<dyn Clock>,
    connections: usize,
    head: Duration,
    lifetime: Duration,
    rotation: Option<Duration>,
    network: bool,
}

impl Server {
    /// Creates a server with the limits of the table above.
    pub fn new(authority: Authority) -> Self {
        Self {
            authority,
            clock: Arc::new(SystemClock::new()),
            connections: 256,
            head: Duration::from_secs(5),
            lifetime: Duration::from_secs(120),
            rotation: None,
            network: false,
        }
    }

    /// Sets the maximum number of connections at a time. Further clients wait to be accepted.
    pub const fn with_connections(mut self, connections: usize) -> Self {
        self.connections = connections;
        self
    }

    /// Sets the maximum time for the head of a request, and for an idle connection.
    pub const fn with_head_timeout(mut self, timeout: Duration) -> Self {
        self.head = timeout;
        self
    }

    /// Sets the maximum lifetime of a connection.
    pub const fn with_connection_lifetime(mut self, lifetime: Duration) -> Self {
        self.lifetime = lifetime;
        self
    }

    /// Rotates the signing keys with this period. Choose a multiple of the refresh hint.
    pub const fn rotating_every(mut self, period: Duration) -> Self {
        self.rotation = Some(period);
        self
    }

    /// Sets the clock. Defaults to the system clock.
    pub fn with_clock(mut self, clock: Arc<dyn Clock>) -> Self {
        self.clock = clock;
        self
    }

    /// Allows a listener that other machines can reach.
    ///
    /// The memory of this process holds the keys to every identity of the trust domain. Unless a
    /// proxy in front provides TLS, it uses plain HTTP: an attacker on the network can then read
    /// bootstrap tokens and JWT-SVIDs.
    pub fn reachable_from_network(mut self) -> Self {
        self.network = true;
        self
    }

    /// Serves until the future is dropped.
    ///
    /// # Errors
    ///
    /// `server.not_loopback` if other machines can reach the listener, unless
    /// [allowed](Self::reachable_from_network); `server.listener` if it fails.
    pub async fn serve(self, listener: TcpListener) -> Result<(), Error> {
        self.serve_until(listener, pending()).await
    }

    /// Serves until `end` completes. Open requests then have up to 5 seconds to finish.
    ///
    /// # Errors
    ///
    /// Those of [`serve`](Self::serve).
    pub async fn serve_until(
        self,
        listener: TcpListener,
        end: impl Future<Output = ()> + Send,
    ) -> Result<(), Error> {
        let address = listener.local_addr().map_err(Error::Listener)?;
        if !address.ip().to_canonical().is_loopback() {
            if !self.network {
                return Err(Error::NotLoopback { address });
            }
            tracing::warn!(%address, "an in-memory authority is reachable from the network");
        }
        let router = self.authority.whole_router(self.clock.clone());
        let room = Arc::new(Semaphore::new(
            self.connections.clamp(1, Semaphore::MAX_PERMITS),
        ));
        let (ending, ended) = watch::channel(());
        let mut open = JoinSet::new();
        let mut end = pin!(end);
        let mut rotation = self.rotation.map(|period| {
            let period = period.max(Duration::from_secs(1));
            interval_at(Instant::now() + period, period)
        });
        loop {
            let tick = async {
                match &mut rotation {
                    Some(rotation) => rotation.tick().await,
                    None => pending().await,
                }
            };
            tokio::select! {
                () = &mut end => break,
                _ = tick => self.rotate(),
                _ = open.join_next(), if !open.is_empty() => {}
                accepted = accept(&listener, &room) => match accepted {
                    Ok((stream, peer, permit)) => {
                        let connection =
                            Connection { router: router.clone(), peer, head: self.head };
                        let (lifetime, ended) = (self.lifetime, ended.clone());
                        open.spawn(async move {
                            connection.run(stream, lifetime, ended).await;
                            drop(permit);
                        });
                    }
                    Err(error) => {
                        // Running out of file descriptors must not stop the server.
                        tracing::warn!(%error, "cannot accept for the moment");
                        sleep(ACCEPT_PAUSE).await;
                    }
                },
            }
        }
        drop(listener);
        let _ = ending.send(());
        let _ = timeout(GRACE, async { while open.join_next().await.is_some() {} }).await;
        Ok(())
    }

    fn rotate(&self) {
        match self.authority.rotate(self.clock.now()) {
            Ok(()) => tracing::info!("signing keys rotated"),
            Err(error) => {
                let reason = Reason(&error);
                tracing::warn!(code = error.code(), causes = ?reason.causes(), %reason, "signing keys not rotated");
            }
        }
    }
}

impl core::fmt::Debug for Server {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("Server")
            .field("connections", &self.connections)
            .field("head", &self.head)
            .field("lifetime", &self.lifetime)
            .field("rotation", &self.rotation)
            .field("network", &self.network)
            .finish_non_exhaustive()
    }
}

type Accepted = (TcpStream, SocketAddr, OwnedSemaphorePermit);

async fn accept(listener: &TcpListener, room: &Arc<Semaphore>) -> std::io::Result<Accepted> {
    let permit = room
        .clone()
        .acquire_owned()
        .await
        .map_err(std::io::Error::other)?;
    let (stream, peer) = listener.accept().await?;
    Ok((stream, peer, permit))
}

struct Connection {
    router: Router,
    peer: SocketAddr,
    head: Duration,
}

impl Connection {
    async fn run(self, stream: TcpStream, lifetime: Duration, mut ended: watch::Receiver<()>) {
        let Self { router, peer, head } = self;
        let service = service_fn(move |request: http::Request<Incoming>| {
            let mut request = request.map(Body::new);
            request.extensions_mut().insert(ConnectInfo(peer));
            router.clone().call(request)
        });
        let mut builder = http1::Builder::new();
        builder
            .timer(TokioTimer::new())
            .header_read_timeout(head)
            .max_headers(64)
            .max_buf_size(16 * 1024);
        let mut connection = pin!(builder.serve_connection(TokioIo::new(stream), service));
        let served = tokio::select! {
            served = connection.as_mut() => Some(served),
            () = sleep(lifetime) => None,
            _ = ended.changed() => None,
        };
        if served.is_none() {
            connection.as_mut().graceful_shutdown();
            let _ = timeout(GRACE, connection).await;
        }
    }
}
