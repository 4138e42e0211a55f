//! A server on a loopback port, and connections that send it prepared requests.

use std::io;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use axum::Router;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

/// The response body of the measured handlers.
pub const BODY: &str = "done";

/// Serves a router until the runtime ends.
///
/// # Errors
///
/// If no port can be bound.
pub async fn serve(router: Router) -> io::Result<SocketAddr> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let address = listener.local_addr()?;
    tokio::spawn(async move { axum::serve(listener, router).await });
    Ok(address)
}

/// One connection that stays open.
#[derive(Debug)]
pub struct Connection(TcpStream);

impl Connection {
    /// Connects to the server.
    ///
    /// # Errors
    ///
    /// Those of the socket.
    pub async fn open(to: SocketAddr) -> io::Result<Self> {
        let stream = TcpStream::connect(to).await?;
        stream.set_nodelay(true)?;
        Ok(Self(stream))
    }

    /// Sends a request as given, and waits for a 200 response that ends with [`BODY`].
    ///
    /// # Errors
    ///
    /// Those of the socket, and an error with any other response.
    pub async fn call(&mut self, request: &[u8]) -> io::Result<()> {
        self.0.write_all(request).await?;
        let (mut answer, mut have) = ([0_u8; 2_048], 0);
        loop {
            let free = answer.get_mut(have..).unwrap_or_default();
            let read = self.0.read(free).await?;
            have += read;
            let seen = answer.get(..have).unwrap_or_default();
            if seen.starts_with(b"HTTP/1.1 200 ") && seen.ends_with(BODY.as_bytes()) {
                return Ok(());
            }
            if read == 0 || (have > 12 && !seen.starts_with(b"HTTP/1.1 200 ")) {
                return Err(io::Error::other(String::from_utf8_lossy(seen).into_owned()));
            }
        }
    }
}

/// Sends all requests over this number of connections, and returns the duration. The connections
/// are opened before the clock starts.
///
/// # Errors
///
/// Those of [`Connection`].
pub async fn send(
    to: SocketAddr,
    requests: Vec<Vec<u8>>,
    connections: usize,
) -> io::Result<Duration> {
    let mut shares = vec![Vec::new(); connections];
    for (number, request) in requests.into_iter().enumerate() {
        if let Some(share) = shares.get_mut(number % connections) {
            share.push(request);
        }
    }
    let mut ready = Vec::new();
    for share in shares {
        ready.push((Connection::open(to).await?, share));
    }
    let start = Instant::now();
    let running: Vec<_> = ready
        .into_iter()
        .map(|(mut connection, share)| {
            tokio::spawn(async move {
                for request in &share {
                    connection.call(request).await?;
                }
                Ok::<_, io::Error>(())
            })
        })
        .collect();
    for task in running {
        task.await.map_err(io::Error::other)??;
    }
    Ok(start.elapsed())
}
