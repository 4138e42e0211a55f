//! A receiver on this machine: opens a browser, and listens on a free port (RFC 8252 §7.3).

use std::fmt;
use std::net::Ipv4Addr;
use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

use super::{Authorizing, Receive, ReceiveFuture, Receiving, RedirectUri};
use crate::Error;
use crate::error::BoxError;

/// The path of the redirect URI.
const PATH: &str = "/callback";
/// The path that the browser is sent to afterwards, so that the code is not in its history.
const DONE: &str = "/done";
/// The maximum length of the head of a request, in bytes.
const MAX_HEAD: usize = 24 * 1024;
/// How long a connection may take.
const PATIENCE: Duration = Duration::from_secs(10);
/// How long the listener stays for the page at the end.
const PARTING: Duration = Duration::from_secs(5);

type Open = dyn Fn(&str) -> Result<(), BoxError> + Send + Sync;

/// Receives the answer of a browser on this machine: at `http://127.0.0.1` on a free port, which is
/// open while a login is waited for (RFC 8252 §7.3, §8.3). Needs the feature `loopback`.
///
/// Only a request to this very URI with the `state` of the login is accepted; any other gets an
/// error page, and the login waits on. The page at the end says what to do, has no code in its URL,
/// and loads nothing.
///
/// ```
/// use aims_oauth_client::Loopback;
///
/// // The program shows the URL. It may also start a browser, without a shell.
/// let receiver = Loopback::new(|url| {
///     println!("open {url}");
///     Ok(())
/// });
/// # drop(receiver);
/// ```
#[derive(Clone)]
pub struct Loopback {
    open: Arc<Open>,
    patience: Duration,
    page: Arc<str>,
}

impl Loopback {
    /// Creates a receiver. The function shows the URL to the user or opens a browser with it. The
    /// user has five minutes.
    pub fn new(open: impl Fn(&str) -> Result<(), BoxError> + Send + Sync + 'static) -> Self {
        Self {
            open: Arc::new(open),
            patience: Duration::from_secs(300),
            page: "You can close this page and go back to the program.".into(),
        }
    }

    /// Sets how long to wait for the user.
    #[must_use]
    pub const fn with_timeout(mut self, most: Duration) -> Self {
        self.patience = most;
        self
    }

    /// Sets the text of the page at the end. It is plain text, and escaped.
    #[must_use]
    pub fn with_page(mut self, text: impl Into<Arc<str>>) -> Self {
        self.page = text.into();
        self
    }
}

impl fmt::Debug for Loopback {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Loopback")
            .field("patience", &self.patience)
            .finish_non_exhaustive()
    }
}

impl Receive for Loopback {
    fn begin(&self) -> ReceiveFuture<'_, Box<dyn Receiving>> {
        Box::pin(async move {
            let bound = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await;
            let listener = bound.map_err(|source| Error::Listen(Arc::new(source)))?;
            let address = listener.local_addr();
            let address = address.map_err(|source| Error::Listen(Arc::new(source)))?;
            let listening: Box<dyn Receiving> = Box::new(Listening {
                redirect: format!("http://{address}{PATH}").parse()?,
                host: address.to_string(),
                listener,
                settings: self.clone(),
            });
            Ok(listening)
        })
    }
}

struct Listening {
    listener: TcpListener,
    host: String,
    redirect: RedirectUri,
    settings: Loopback,
}

impl Receiving for Listening {
    fn redirect_uri(&self) -> &RedirectUri {
        &self.redirect
    }

    fn receive<'a>(self: Box<Self>, login: &'a Authorizing) -> ReceiveFuture<'a, String> {
        Box::pin(async move {
            let opened = (self.settings.open)(login.url());
            opened.map_err(|source| Error::Browser(Arc::from(source)))?;
            let waited = tokio::time::timeout(self.settings.patience, self.answered(login)).await;
            let query = waited.map_err(|_elapsed| Error::LoginTimeout)??;
            tokio::spawn(async move {
                let _over = tokio::time::timeout(PARTING, self.part()).await;
            });
            Ok(query)
        })
    }
}

impl Listening {
    /// Waits for the answer. A connection that is slow, or asks for something else, holds up no
    /// other.
    async fn answered(&self, login: &Authorizing) -> Result<String, Error> {
        let (sender, mut received) = tokio::sync::mpsc::channel(8);
        loop {
            tokio::select! {
                accepted = self.listener.accept() => {
                    let accepted = accepted.map_err(|source| Error::Listen(Arc::new(source)));
                    let (stream, _) = accepted?;
                    let (sender, host) = (sender.clone(), self.host.clone());
                    tokio::spawn(async move {
                        let read = tokio::time::timeout(PATIENCE, head(stream, &host)).await;
                        if let Ok(Some(asked)) = read {
                            let _gone = sender.send(asked).await;
                        }
                    });
                }
                Some((stream, asked)) = received.recv() => {
                    if let Some(query) = self.judge(stream, asked, login).await {
                        return Ok(query);
                    }
                }
            }
        }
    }

    /// Answers one request. Returns its query if it is the answer to the login.
    async fn judge(&self, stream: TcpStream, asked: Asked, login: &Authorizing) -> Option<String> {
        match asked {
            Asked::Callback(query) if login.is_answered_by(&query) => {
                answer(stream, &format!("303 See Other\r\nlocation: {DONE}"), "").await;
                Some(query)
            }
            Asked::Callback(_) => {
                let words = "This is not the answer to the login that the program waits for. Start \
                             again from the program.";
                answer(stream, "400 Bad Request", &page(words)).await;
                None
            }
            Asked::Done | Asked::Other => {
                answer(stream, "404 Not Found", &page("There is nothing here.")).await;
                None
            }
        }
    }

    /// Serves the page at the end.
    async fn part(&self) {
        while let Ok((stream, _)) = self.listener.accept().await {
            let Some((stream, asked)) = head(stream, &self.host).await else {
                continue;
            };
            if matches!(asked, Asked::Done) {
                answer(stream, "200 OK", &page(&self.settings.page)).await;
                return;
            }
            let words = page("The login was answered already.");
            answer(stream, "410 Gone", &words).await;
        }
    }
}

enum Asked {
    Callback(String),
    Done,
    Other,
}

/// Reads the head of a request. The host must be this listener, so that no page of another site can
/// reach it by a name of its own.
async fn head(mut stream: TcpStream, host: &str) -> Option<(TcpStream, Asked)> {
    let mut head = Vec::new();
    let mut buffer = [0; 2048];
    while !head.windows(4).any(|it| it == b"\r\n\r\n") {
        let read = stream.read(&mut buffer).await.ok()?;
        let piece = buffer.get(..read).filter(|piece| !piece.is_empty())?;
        head.extend_from_slice(piece);
        if head.len() > MAX_HEAD {
            return None;
        }
    }
    let head = String::from_utf8(head).ok()?;
    let mut lines = head.split("\r\n");
    let mut words = lines.next()?.split(' ');
    let (method, target) = (words.next()?, words.next()?);
    let fields = lines.filter_map(|line| line.split_once(':'));
    let mut hosts = fields.filter(|(name, _)| name.eq_ignore_ascii_case("host"));
    let is_own = hosts.next().is_some_and(|(_, value)| value.trim() == host);
    let asked = match (method, target.split_once('?').unwrap_or((target, ""))) {
        ("GET", (PATH, query)) if is_own => Asked::Callback(query.to_owned()),
        ("GET", (DONE, _)) if is_own => Asked::Done,
        _ => Asked::Other,
    };
    Some((stream, asked))
}

async fn answer(mut stream: TcpStream, status: &str, body: &str) {
    let text = format!(
        "HTTP/1.1 {status}\r\ncontent-type: text/html; charset=utf-8\r\ncontent-length: {}\r\n\
         cache-control: no-store\r\nreferrer-policy: no-referrer\r\nx-frame-options: DENY\r\n\
         x-content-type-options: nosniff\r\ncontent-security-policy: default-src 'none'; \
         style-src 'unsafe-inline'; frame-ancestors 'none'\r\nconnection: close\r\n\r\n{body}",
        body.len()
    );
    let written = tokio::time::timeout(PATIENCE, async {
        stream.write_all(text.as_bytes()).await?;
        stream.shutdown().await
    });
    // A browser that went away does not change the result.
    let _gone = written.await;
}

fn page(words: &str) -> String {
    let escaped = words
        .replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;");
    format!(
        "<!doctype html><html lang=\"en\"><meta charset=\"utf-8\"><title>Login</title>\
         <style>body{{font:1.2em/1.5 sans-serif;max-width:32em;margin:4em auto;padding:0 1em}}\
         </style><h1>Login</h1><p>{escaped}</p></html>"
    )
}
