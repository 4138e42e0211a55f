//! A listener for `axum::serve` with a maximum number of connections, of which one address can have
//! a quarter. A connection beyond that ends the one that has been silent longest: of the same
//! address if that has its share, or else of the address with the most connections. So idle and
//! slow connections keep no client waiting, not even one at the same address.
//!
//! There is no time-out: a connection keeps its place until another needs it, so a stream of events
//! can be silent for long. A handler ends with its connection.

use std::collections::HashMap;
use std::io::{self, ErrorKind};
use std::net::{IpAddr, Ipv6Addr, SocketAddr};
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};

use axum::serve::Listener;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::oneshot;

/// A TCP listener with a maximum number of open connections.
pub(crate) struct Limited {
    listener: TcpListener,
    places: Arc<Places>,
}

/// A connection that ends when another needs its place.
pub(crate) struct Connection {
    stream: TcpStream,
    number: u64,
    places: Arc<Places>,
    /// Completes when the place is given to another. `None` after that.
    given_up: Option<oneshot::Receiver<()>>,
}

struct Places {
    all: usize,
    taken: Mutex<Taken>,
}

#[derive(Default)]
struct Taken {
    /// Numbers connections and what they send, in order.
    next: u64,
    places: HashMap<u64, Place>,
}

struct Place {
    source: IpAddr,
    /// The number of the last data that was sent, or of the start.
    active: u64,
    /// Dropping it ends the connection.
    _end: oneshot::Sender<()>,
}

impl Limited {
    /// Limits a listener to this many connections, at least 1.
    pub(crate) fn new(listener: TcpListener, connections: usize) -> Self {
        let places = Places {
            all: connections.max(1),
            taken: Mutex::default(),
        };
        Self {
            listener,
            places: Arc::new(places),
        }
    }
}

impl Listener for Limited {
    type Io = Connection;
    type Addr = SocketAddr;

    async fn accept(&mut self) -> (Connection, SocketAddr) {
        // This waits when no file descriptors are left, and never fails.
        let (stream, peer) = Listener::accept(&mut self.listener).await;
        let (end, given_up) = oneshot::channel();
        let number = self.places.take(source(peer.ip()), end);
        let connection = Connection {
            stream,
            number,
            places: self.places.clone(),
            given_up: Some(given_up),
        };
        (connection, peer)
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        self.listener.local_addr()
    }
}

impl Places {
    fn taken(&self) -> MutexGuard<'_, Taken> {
        self.taken.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn take(&self, source: IpAddr, end: oneshot::Sender<()>) -> u64 {
        let mut taken = self.taken();
        if taken.count(source) >= self.all.div_ceil(4) {
            taken.end_most_silent(source);
        } else if taken.places.len() >= self.all
            && let Some(busiest) = taken.busiest()
        {
            taken.end_most_silent(busiest);
        }
        let number = taken.number();
        let place = Place {
            source,
            active: number,
            _end: end,
        };
        taken.places.insert(number, place);
        number
    }
}

impl Taken {
    const fn number(&mut self) -> u64 {
        self.next = self.next.wrapping_add(1);
        self.next
    }

    fn count(&self, source: IpAddr) -> usize {
        let of_source = self.places.values().filter(|it| it.source == source);
        of_source.count()
    }

    fn busiest(&self) -> Option<IpAddr> {
        let sources = self.places.values().map(|it| it.source);
        sources.max_by_key(|source| self.count(*source))
    }

    fn end_most_silent(&mut self, source: IpAddr) {
        let of_source = self.places.iter().filter(|(_, it)| it.source == source);
        let most_silent = of_source.min_by_key(|(_, it)| it.active);
        if let Some(number) = most_silent.map(|(number, _)| *number) {
            self.places.remove(&number);
        }
    }
}

/// One source is an address, or a /64 of IPv6, which is what one customer of a network has.
fn source(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V4(address) => address.into(),
        IpAddr::V6(address) => Ipv6Addr::from_bits(address.to_bits() & (u128::MAX << 64)).into(),
    }
}

impl Connection {
    fn check(&mut self, context: &mut Context<'_>) -> io::Result<()> {
        if let Some(given_up) = &mut self.given_up
            && Pin::new(given_up).poll(context).is_pending()
        {
            return Ok(());
        }
        self.given_up = None;
        Err(ErrorKind::ConnectionAborted.into())
    }

    fn is_active(&self) {
        let mut taken = self.places.taken();
        let number = taken.number();
        if let Some(place) = taken.places.get_mut(&self.number) {
            place.active = number;
        }
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        self.places.taken().places.remove(&self.number);
    }
}

impl AsyncRead for Connection {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        into: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        self.check(context)?;
        Pin::new(&mut self.stream).poll_read(context, into)
    }
}

impl AsyncWrite for Connection {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        data: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.check(context)?;
        let written = Pin::new(&mut self.stream).poll_write(context, data);
        if matches!(written, Poll::Ready(Ok(_))) {
            self.is_active();
        }
        written
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}
