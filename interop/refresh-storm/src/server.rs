//! The authorization server: the project's authority, behind a listener that notes each renewal and
//! kills the process that asked for it.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use aims_authority::{Authority, Client, DevUser, Resource};
use aims_jose::digest::Fingerprint;
use aims_jose::provider::AWS_LC;
use aims_jose::time::UnixTime;
use aims_oauth_wire::token::Form;
use http::Request;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::{sleep, timeout};

use crate::client::{CLIENT, SENDER, resource};
use crate::{Failure, referee};

/// The longest request, and the longest time for one.
const MAX_REQUEST: usize = 64 * 1_024;
const LONGEST: Duration = Duration::from_secs(10);

/// The moment at which the process of a renewal is killed.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Moment {
    /// The server has not handled the request, and never will.
    Before,
    /// The server has renewed, and the answer is not sent.
    Between,
    /// The answer is sent, and this time has passed.
    After(Duration),
}

/// A renewal at the server.
#[derive(Clone, Debug)]
pub(crate) struct Renewal {
    /// The process that asked.
    pub(crate) by: u32,
    pub(crate) is_good: bool,
}

#[derive(Default)]
pub(crate) struct Notes {
    /// The renewals of this round.
    pub(crate) renewals: Vec<Renewal>,
    /// When the process of the next renewal is killed.
    pub(crate) kill: Option<Moment>,
}

#[derive(Clone)]
pub(crate) struct Server {
    pub(crate) authority: Authority,
    pub(crate) issuer: String,
    pub(crate) notes: Arc<Mutex<Notes>>,
    killer: tokio::sync::mpsc::UnboundedSender<u32>,
}

impl Server {
    /// Starts the server. Processes to kill are sent to the channel.
    pub(crate) async fn start(
        killer: tokio::sync::mpsc::UnboundedSender<u32>,
    ) -> Result<Self, Failure> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let issuer = format!("http://{}", listener.local_addr()?);
        let tool = resource(&issuer);
        let client = Client::public(CLIENT).redirect_uri(referee::CALLBACK);
        let authority = Authority::builder(&issuer, AWS_LC)
            .trust_domain("example.org")
            .users(Arc::new(DevUser::new("alice")))
            .resource(Resource::new(&tool).with_scopes(["call"]))
            .client(client.allow(&tool, ["call"]))
            .build(UnixTime::now())?;
        let server = Self {
            authority,
            issuer,
            notes: Arc::default(),
            killer,
        };
        let own = server.clone();
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let own = own.clone();
                tokio::spawn(async move { timeout(LONGEST, own.serve(stream)).await });
            }
        });
        Ok(server)
    }

    async fn serve(self, mut stream: TcpStream) -> Option<()> {
        let request = read(&mut stream).await?;
        let form = Form::parse(request.body()).ok();
        let is_renewal = form.is_some_and(|it| it.get("grant_type") == Some("refresh_token"));
        let by = request.headers().get(SENDER);
        let by: u32 = by
            .and_then(|it| it.to_str().ok()?.parse().ok())
            .unwrap_or(0);
        let kill = if is_renewal {
            self.notes().kill.take()
        } else {
            None
        };
        if kill == Some(Moment::Before) {
            self.killer.send(by).ok()?;
            return None;
        }
        let answer = self.authority.handle(&request, None, UnixTime::now());
        if is_renewal {
            let is_good = answer.status().is_success();
            self.notes().renewals.push(Renewal { by, is_good });
        }
        if kill == Some(Moment::Between) {
            self.killer.send(by).ok()?;
            return None;
        }
        let mut text = format!("HTTP/1.1 {}\r\nconnection: close\r\n", answer.status());
        for (name, value) in answer.headers() {
            text.push_str(&format!("{name}: {}\r\n", value.to_str().ok()?));
        }
        text.push_str(&format!("content-length: {}\r\n\r\n", answer.body().len()));
        stream.write_all(text.as_bytes()).await.ok()?;
        stream.write_all(answer.body()).await.ok()?;
        stream.shutdown().await.ok()?;
        if let Some(Moment::After(delay)) = kill {
            sleep(delay).await;
            self.killer.send(by).ok()?;
        }
        Some(())
    }

    pub(crate) fn notes(&self) -> std::sync::MutexGuard<'_, Notes> {
        self.notes.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Reads one request.
async fn read(stream: &mut TcpStream) -> Option<Request<Vec<u8>>> {
    let mut bytes = Vec::new();
    let head = loop {
        if let Some(end) = bytes.windows(4).position(|it| it == b"\r\n\r\n") {
            break end;
        }
        if bytes.len() > MAX_REQUEST || stream.read_buf(&mut bytes).await.ok()? == 0 {
            return None;
        }
    };
    let (text, body) = bytes.split_at_checked(head.saturating_add(4))?;
    let mut lines = core::str::from_utf8(text).ok()?.lines();
    let mut first = lines.next()?.split(' ');
    let mut request = Request::builder().method(first.next()?).uri(first.next()?);
    let (mut length, mut body) = (0, body.to_vec());
    for (name, value) in lines.filter_map(|line| line.split_once(": ")) {
        if name.eq_ignore_ascii_case("content-length") {
            length = value.parse().ok().filter(|it| *it <= MAX_REQUEST)?;
        }
        request = request.header(name, value);
    }
    while body.len() < length {
        if stream.read_buf(&mut body).await.ok()? == 0 {
            return None;
        }
    }
    request.body(body).ok()
}

/// Returns how a token is named in notes.
pub(crate) fn named(fingerprint: Fingerprint) -> String {
    fingerprint.to_string()
}
