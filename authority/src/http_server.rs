//! An HTTP/1.1 server with limits. `axum::serve` limits neither headers, idle connections, nor the
//! number of connections.

mod places;
mod proxy;

use core::future::{Future, pending};
use core::net::{IpAddr, SocketAddr};
use core::pin::pin;
use core::time::Duration;
use std::sync::Arc;

use aims_jose::time::{Clock, SystemClock};
use aims_oauth_wire::certificate::Peer;
use axum::Router;
use axum::body::Body;
use axum::extract::ConnectInfo;
use http::HeaderName;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::{Instant, interval_at, sleep, timeout};
use tower_service::Service as _;

use self::places::{Places, Seat};
use self::proxy::Proxy;
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
/// | connections at a time | 256, of one address 64 |
/// | the head of a request, and an idle connection | 5 s, 64 fields, 16 KiB |
/// | the body of a request | [`Limits::body`](crate::Limits), 10 s |
/// | a connection in total | 120 s |
///
/// If no place for a connection is left, the one that has been idle longest ends: of the same
/// address if that has its share, or else of the address with the most connections. So idle and
/// slow connections do not keep others waiting, not even those from the same address.
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
    proxies: Vec<Proxy>,
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
            proxies: Vec::new(),
        }
    }

    /// Sets the maximum number of connections at a time. One address can have a quarter of them.
    /// For a further connection, the one that has been idle longest ends.
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

    /// Trusts a proxy at this address, such as one that ends TLS, to name the address of its client
    /// in a header field, such as `x-forwarded-for`.
    ///
    /// [`Limits`](crate::Limits) and the log then see the clients, not the proxy. Without it all
    /// clients of a proxy are one source. The proxy must set the field, or append to it: the last
    /// address counts. Every program that can connect from this address can claim to be any source.
    pub fn behind_proxy(mut self, address: IpAddr, field: HeaderName) -> Self {
        self.proxies.push(Proxy { address, field });
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
        let places = Places::new(self.connections);
        let proxies: Arc<[Proxy]> = self.proxies.clone().into();
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
                accepted = listener.accept() => match accepted {
                    Ok((stream, peer)) => {
                        let connection = Connection {
                            router: router.clone(),
                            peer,
                            proxies: proxies.clone(),
                            head: self.head,
                            seat: Arc::new(places.take(peer.ip())),
                        };
                        let (lifetime, ended) = (self.lifetime, ended.clone());
                        open.spawn(connection.run(stream, lifetime, ended));
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
            .field("proxies", &self.proxies)
            .finish_non_exhaustive()
    }
}

struct Connection {
    router: Router,
    peer: SocketAddr,
    proxies: Arc<[Proxy]>,
    head: Duration,
    seat: Arc<Seat>,
}

impl Connection {
    async fn run(self, stream: TcpStream, lifetime: Duration, mut ended: watch::Receiver<()>) {
        let Self {
            router,
            peer,
            proxies,
            head,
            seat,
        } = self;
        let own = seat.clone();
        let service = service_fn(move |request: http::Request<Incoming>| {
            let mut request = request.map(Body::new);
            let client = proxy::client(&proxies, peer.ip(), request.headers());
            let client = ConnectInfo(SocketAddr::new(client, peer.port()));
            request.extensions_mut().insert(client);
            request.extensions_mut().insert(Peer::from(peer));
            let (mut router, seat) = (router.clone(), seat.clone());
            async move {
                let response = router.call(request).await;
                seat.is_active();
                response
            }
        });
        let mut builder = http1::Builder::new();
        builder
            .timer(TokioTimer::new())
            .header_read_timeout(head)
            .max_headers(64)
            .max_buf_size(16 * 1024);
        let mut connection = pin!(builder.serve_connection(TokioIo::new(stream), service));
        let graceful = tokio::select! {
            _ = connection.as_mut() => false,
            () = own.ended() => false,
            () = sleep(lifetime) => true,
            _ = ended.changed() => true,
        };
        if graceful {
            connection.as_mut().graceful_shutdown();
            tokio::select! {
                _ = timeout(GRACE, connection) => {}
                () = own.ended() => {}
            }
        }
    }
}
