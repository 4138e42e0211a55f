//! Serves HTTP with limits.
//!
//! `axum::serve` has none: a caller that sends half a request or nothing keeps its connection as
//! long as it wants, and a few thousand of these leave no connection for other callers. Behind a
//! proxy with limits, `axum::serve` is enough.

use std::future::Future;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, watch};
use tokio::time::{sleep, timeout};

/// The limits for callers.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Limits {
    /// The maximum number of connections. Further ones wait in the queue of the operating system.
    pub(crate) connections: usize,
    /// How long the head of a request may take, and how long a connection may be idle before it.
    pub(crate) head: Duration,
    /// How long a connection may live.
    pub(crate) lifetime: Duration,
}

impl Limits {
    /// Limits that are enough for a tool and suit a small machine.
    pub(crate) const USUAL: Self = Self {
        connections: 256,
        head: Duration::from_secs(5),
        lifetime: Duration::from_secs(120),
    };
}

/// How long running requests may continue after the end.
const GRACE: Duration = Duration::from_secs(5);
/// How long the server waits after accepting a connection failed.
const PAUSE: Duration = Duration::from_millis(250);

/// Serves until the future `end` is ready, and then lets running requests finish.
pub(crate) async fn serve(
    listener: TcpListener,
    router: Router,
    limits: Limits,
    end: impl Future<Output = ()>,
) {
    let room = Arc::new(Semaphore::new(limits.connections));
    let (ending, ended) = watch::channel(());
    let mut end = pin!(end);
    loop {
        let accepted = async {
            // Wait for a free place, then for a connection. The semaphore is never closed.
            let place = Arc::clone(&room).acquire_owned().await;
            (listener.accept().await, place)
        };
        tokio::select! {
            () = &mut end => break,
            (accepted, place) = accepted => match accepted {
                Ok((stream, _)) => {
                    let (router, ended) = (router.clone(), ended.clone());
                    tokio::spawn(async move {
                        connection(stream, router, limits, ended).await;
                        drop(place);
                    });
                }
                // A temporary lack of file descriptors is no reason to stop.
                Err(_) => sleep(PAUSE).await,
            }
        }
    }
    drop((listener, ended));
    let _ = ending.send(());
    // Wait until the last connection has dropped its end of the channel.
    let _ = timeout(GRACE, ending.closed()).await;
}

async fn connection(
    stream: TcpStream,
    router: Router,
    limits: Limits,
    mut ended: watch::Receiver<()>,
) {
    let mut builder = http1::Builder::new();
    builder
        .timer(TokioTimer::new())
        .header_read_timeout(limits.head)
        .max_headers(64)
        .max_buf_size(32 * 1024);
    let (stream, service) = (TokioIo::new(stream), TowerToHyperService::new(router));
    let mut served = pin!(builder.serve_connection(stream, service));
    // Ignore how a connection ended.
    tokio::select! {
        _ = served.as_mut() => return,
        () = sleep(limits.lifetime) => {}
        _ = ended.changed() => {}
    }
    served.as_mut().graceful_shutdown();
    let _ = timeout(GRACE, served).await;
}

#[cfg(test)]
mod tests;
