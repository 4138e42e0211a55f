//! Onto a socket, with limits. `axum::serve` has none: there a caller that sends half a request, or
//! nothing at all, keeps its connection for as long as it likes, and some thousands of those leave
//! none for anybody else. Behind a proxy that has limits of its own, `axum::serve` will do.

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

/// What a caller may use up.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Limits {
    /// How many connections there are at a time. Further ones wait in the operating system's queue.
    pub(crate) connections: usize,
    /// How long a request's head may take, and how long a connection may be idle before it.
    pub(crate) head: Duration,
    /// How long a connection may live, whatever it does.
    pub(crate) lifetime: Duration,
}

impl Limits {
    /// Enough for a tool, and little enough for a small machine.
    pub(crate) const USUAL: Self = Self {
        connections: 256,
        head: Duration::from_secs(5),
        lifetime: Duration::from_secs(120),
    };
}

/// How long open requests may go on after the end.
const GRACE: Duration = Duration::from_secs(5);
/// How long nothing is accepted where that failed.
const PAUSE: Duration = Duration::from_millis(250);

/// Serves until the end is ready, and then lets open requests finish.
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
            // A place first, then a caller. Nobody closes the semaphore.
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
                // Being out of descriptors for a moment is no reason to stop.
                Err(_) => sleep(PAUSE).await,
            }
        }
    }
    drop((listener, ended));
    let _ = ending.send(());
    // Until the last connection has dropped its end of the channel.
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
    // How a connection ended is its caller's affair.
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
