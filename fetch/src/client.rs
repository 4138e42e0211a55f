//! The client, on reqwest with rustls.

use std::fmt;
use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use http::header::{ACCEPT, HeaderMap, LOCATION};
use http::{Method, Request, Response, StatusCode};
use reqwest::dns::{Addrs, Name, Resolving};
use reqwest::redirect;
use url::Url;

use crate::policy::Policy;
use crate::{Error, Fetch, FetchFuture};

/// What [`Resolve::resolve`] gives.
pub type ResolveFuture<'a> = Pin<Box<dyn Future<Output = io::Result<Vec<SocketAddr>>> + Send + 'a>>;

/// Finds the addresses of a name. Whatever it gives is still judged, on the very address that is connected to.
pub trait Resolve: fmt::Debug + Send + Sync {
    /// All addresses of this name; ports are ignored.
    fn resolve<'a>(&'a self, name: &'a str) -> ResolveFuture<'a>;
}

/// The system's resolver.
#[derive(Clone, Copy, Debug)]
struct SystemResolver;

impl Resolve for SystemResolver {
    fn resolve<'a>(&'a self, name: &'a str) -> ResolveFuture<'a> {
        Box::pin(async move { Ok(tokio::net::lookup_host((name, 0)).await?.collect()) })
    }
}

/// Drops every address that the policy does not allow: nothing that was not judged is connected to, whatever the name leads to the next time (no rebinding).
#[derive(Clone, Debug)]
struct Judging {
    policy: Policy,
    resolver: Arc<dyn Resolve>,
}

/// The marker by which a refused address is told from a failed lookup.
#[derive(Debug, thiserror::Error)]
enum LookupError {
    #[error("no public address")]
    Address,
    #[error("no address")]
    Resolve,
}

impl reqwest::dns::Resolve for Judging {
    fn resolve(&self, name: Name) -> Resolving {
        let this = self.clone();
        Box::pin(async move {
            let name = name.as_str();
            let found = this.resolver.resolve(name).await;
            let found = found.or(Err(LookupError::Resolve))?;
            if found.is_empty() {
                return Err(LookupError::Resolve.into());
            }
            let local = name == "localhost";
            let allowed: Vec<_> = found
                .into_iter()
                .map(|address| SocketAddr::new(address.ip(), 0))
                .filter(|address| this.policy.allows(address.ip(), local))
                .collect();
            if allowed.is_empty() {
                return Err(LookupError::Address.into());
            }
            let addresses: Addrs = Box::new(allowed.into_iter());
            Ok(addresses)
        })
    }
}

/// Fetches from URLs that strangers may have chosen.
#[derive(Clone, Debug)]
pub struct Fetcher {
    client: reqwest::Client,
    policy: Policy,
    timeout: Duration,
    max_body: usize,
    redirects: usize,
}

/// How a [`Fetcher`] is made.
#[derive(Clone, Debug)]
#[must_use = "a fetcher is made by `build`"]
pub struct FetcherBuilder {
    policy: Policy,
    connect_timeout: Duration,
    timeout: Duration,
    max_body: usize,
    redirects: usize,
    roots: Vec<Vec<u8>>,
    resolver: Arc<dyn Resolve>,
}

impl Fetcher {
    /// `https` to public addresses, no redirects, no proxy, 5 s to connect, 15 s in all, 1 MiB of answer.
    pub fn builder() -> FetcherBuilder {
        FetcherBuilder {
            policy: Policy::default(),
            connect_timeout: Duration::from_secs(5),
            timeout: Duration::from_secs(15),
            max_body: 1024 * 1024,
            redirects: 0,
            roots: Vec::new(),
            resolver: Arc::new(SystemResolver),
        }
    }

    async fn follow(&self, mut request: Request<Vec<u8>>) -> Result<Response<Vec<u8>>, Error> {
        let mut left = self.redirects;
        loop {
            let url = self.policy.check(&request.uri().to_string())?;
            let (method, headers) = (request.method().clone(), request.headers().clone());
            let answer = self.once(&url, request).await?;
            if self.redirects == 0 || !is_redirect(answer.status()) {
                return Ok(answer);
            }
            left = left.checked_sub(1).ok_or(Error::Redirect)?;
            if method != Method::GET && method != Method::HEAD {
                return Err(Error::Redirect);
            }
            request = next(&url, &answer, method, headers)?;
        }
    }

    async fn once(&self, url: &Url, request: Request<Vec<u8>>) -> Result<Response<Vec<u8>>, Error> {
        let (parts, body) = request.into_parts();
        let sent = self
            .client
            .request(parts.method, url.clone())
            .headers(parts.headers)
            .body(body)
            .send()
            .await;
        let mut received = sent.map_err(failed)?;
        let mut answer = Response::new(Vec::new());
        *answer.status_mut() = received.status();
        *answer.headers_mut() = std::mem::take(received.headers_mut());
        while let Some(chunk) = received.chunk().await.map_err(failed)? {
            let body = answer.body_mut();
            if body.len().saturating_add(chunk.len()) > self.max_body {
                let limit = self.max_body;
                return Err(Error::BodyTooLong { limit });
            }
            body.extend_from_slice(&chunk);
        }
        Ok(answer)
    }
}

impl Fetch for Fetcher {
    fn send(&self, request: Request<Vec<u8>>) -> FetchFuture<'_> {
        Box::pin(async move {
            tokio::time::timeout(self.timeout, self.follow(request))
                .await
                .or(Err(Error::Timeout))?
        })
    }
}

impl FetcherBuilder {
    /// How long a connection may take to come about.
    pub const fn connect_timeout(mut self, most: Duration) -> Self {
        self.connect_timeout = most;
        self
    }

    /// How long everything may take, redirects and body included.
    pub const fn timeout(mut self, most: Duration) -> Self {
        self.timeout = most;
        self
    }

    /// The longest body of an answer, in bytes, counted while it arrives.
    pub const fn max_body(mut self, most: usize) -> Self {
        self.max_body = most;
        self
    }

    /// Follows so many redirects of a `GET` or `HEAD`, each judged as the first URL was. To another origin goes no header but `Accept`.
    pub const fn redirects(mut self, most: usize) -> Self {
        self.redirects = most;
        self
    }

    /// Trusts this root certificate as well, in PEM.
    pub fn root_certificate_pem(mut self, pem: impl Into<Vec<u8>>) -> Self {
        self.roots.push(pem.into());
        self
    }

    /// Connects to addresses that are not public too: for URLs that are configuration, in a network of one's own. Never for a URL from a stranger.
    pub const fn allow_private_networks(mut self) -> Self {
        self.policy.private_networks = true;
        self
    }

    /// Takes `http` URLs to `localhost`, 127.0.0.0/8 and `[::1]`: for development and tests.
    pub const fn allow_loopback_http(mut self) -> Self {
        self.policy.loopback_http = true;
        self
    }

    /// Another resolver.
    pub fn resolver(mut self, resolver: impl Resolve + 'static) -> Self {
        self.resolver = Arc::new(resolver);
        self
    }

    /// Builds the fetcher.
    ///
    /// # Errors
    ///
    /// `fetch.build` where a certificate cannot be read or TLS cannot be set up.
    pub fn build(self) -> Result<Fetcher, Error> {
        let failed = |error: reqwest::Error| Error::Build(Arc::new(error));
        let mut client = reqwest::Client::builder()
            .no_proxy()
            .redirect(redirect::Policy::none())
            .referer(false)
            .connect_timeout(self.connect_timeout)
            .dns_resolver(Arc::new(Judging {
                policy: self.policy,
                resolver: self.resolver,
            }));
        for pem in &self.roots {
            let root = reqwest::Certificate::from_pem(pem).map_err(failed)?;
            client = client.add_root_certificate(root);
        }
        Ok(Fetcher {
            client: client.build().map_err(failed)?,
            policy: self.policy,
            timeout: self.timeout,
            max_body: self.max_body,
            redirects: self.redirects,
        })
    }
}

fn is_redirect(status: StatusCode) -> bool {
    matches!(status.as_u16(), 301 | 302 | 303 | 307 | 308)
}

/// The request that a redirect asks for. What belongs to one origin is not told to another.
fn next(
    from: &Url,
    answer: &Response<Vec<u8>>,
    method: Method,
    mut headers: HeaderMap,
) -> Result<Request<Vec<u8>>, Error> {
    let target = answer.headers().get(LOCATION);
    let target = target.and_then(|target| target.to_str().ok());
    let target = from
        .join(target.ok_or(Error::Redirect)?)
        .or(Err(Error::Redirect))?;
    if target.origin() != from.origin() {
        let accept = headers.remove(ACCEPT);
        headers.clear();
        if let Some(accept) = accept {
            headers.insert(ACCEPT, accept);
        }
    }
    let mut request = Request::new(Vec::new());
    *request.method_mut() = method;
    *request.headers_mut() = headers;
    *request.uri_mut() = target.as_str().parse().or(Err(Error::Redirect))?;
    Ok(request)
}

fn failed(error: reqwest::Error) -> Error {
    let mut cause: Option<&(dyn std::error::Error + 'static)> = Some(&error);
    while let Some(it) = cause {
        match it.downcast_ref::<LookupError>() {
            Some(LookupError::Address) => return Error::Address,
            Some(LookupError::Resolve) => return Error::Resolve,
            None => cause = it.source(),
        }
    }
    if error.is_timeout() {
        return Error::Timeout;
    }
    // The URL may hold what is nobody's business.
    Error::Connect(Arc::new(error.without_url()))
}
