//! The client, on reqwest with rustls.

mod call;
mod idle;

use std::error::Error as StdError;
use std::fmt;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use http::header::{ACCEPT, ACCEPT_ENCODING, HeaderMap, HeaderValue, LOCATION};
use http::{Method, Request, Response, StatusCode, Uri};
use reqwest::redirect;
use url::Url;

use crate::coding::decoded;
use crate::content::begins_visibly;
use crate::policy::Policy;
use crate::proxy::ProxySetting;
use crate::resolve::{Judging, LookupError, Resolve, SystemResolver};
use crate::{Error, Fetch, FetchFuture, FinalUrl, Limits};

/// Fetches from URLs that strangers may have chosen.
#[derive(Clone)]
pub struct Fetcher {
    client: reqwest::Client,
    /// The name of the proxy, which no URL may have as its host.
    proxy: Option<String>,
    policy: Policy,
    timeout: Duration,
    idle_timeout: Duration,
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
    idle_timeout: Duration,
    max_body: usize,
    redirects: usize,
    roots: Vec<Vec<u8>>,
    resolver: Arc<dyn Resolve>,
    proxy: Option<ProxySetting>,
}

impl Fetcher {
    /// `https` to public addresses, no redirects, no proxy unless one is named, 5 s to connect, 15
    /// s in all, 1 MiB of answer.
    pub fn builder() -> FetcherBuilder {
        FetcherBuilder {
            policy: Policy::default(),
            connect_timeout: Duration::from_secs(5),
            timeout: Duration::from_secs(15),
            idle_timeout: Duration::from_secs(60),
            max_body: 1024 * 1024,
            redirects: 0,
            roots: Vec::new(),
            resolver: Arc::new(SystemResolver::default()),
            proxy: None,
        }
    }

    async fn follow(&self, mut request: Request<Vec<u8>>) -> Result<Response<Vec<u8>>, Error> {
        let mut left = self.redirects;
        let limit = Limits::of(&request).max_body();
        let limit = limit.map_or(self.max_body, |limit| limit.min(self.max_body));
        loop {
            let url = self.judged(request.uri())?;
            let (method, headers) = (request.method().clone(), request.headers().clone());
            let uri = request.uri().clone();
            let mut answer = self.once(&url, request, limit).await?;
            if self.redirects == 0 || !is_redirect(answer.status()) {
                FinalUrl::set(&mut answer, uri);
                return Ok(answer);
            }
            left = left.checked_sub(1).ok_or(Error::Redirect)?;
            if method != Method::GET && method != Method::HEAD {
                return Err(Error::Redirect);
            }
            request = next(&url, &answer, method, headers)?;
        }
    }

    /// The URL of a request, if it may be fetched and would be sent as it is given.
    fn judged(&self, given: &Uri) -> Result<Url, Error> {
        let given = given.to_string();
        let url = self.policy.check(&given)?;
        // What was proven or signed for a request is about the URL that it has (RFC 9421 §7.4.3).
        if url.as_str() != given {
            return Err(Error::Rewritten);
        }
        if self.proxy.is_some() && self.proxy.as_deref() == url.host_str() {
            let reason = "the host is that of the proxy";
            return Err(Error::Url { reason });
        }
        Ok(url)
    }

    async fn once(
        &self,
        url: &Url,
        request: Request<Vec<u8>>,
        limit: usize,
    ) -> Result<Response<Vec<u8>>, Error> {
        let (mut parts, body) = request.into_parts();
        // A request that names codings of its own decodes the answer itself.
        let decodes = !parts.headers.contains_key(ACCEPT_ENCODING);
        if decodes {
            let identity = HeaderValue::from_static("identity");
            parts.headers.insert(ACCEPT_ENCODING, identity);
        }
        let sent = self
            .client
            .request(parts.method, url.clone())
            .headers(parts.headers)
            .body(body)
            .send()
            .await;
        let mut received = sent.map_err(failed)?;
        // Of what is announced as too long, the beginning is read; what is not, is counted.
        let announced = received.content_length().unwrap_or(0);
        let is_too_long = usize::try_from(announced).map_or(true, |announced| announced > limit);
        let mut answer = Response::new(Vec::new());
        *answer.status_mut() = received.status();
        *answer.headers_mut() = std::mem::take(received.headers_mut());
        while let Some(chunk) = received.chunk().await.map_err(failed)? {
            let body = answer.body_mut();
            let room = limit.saturating_sub(body.len());
            body.extend_from_slice(chunk.get(..room).unwrap_or(&chunk));
            if room < chunk.len() || (is_too_long && begins_visibly(body)) {
                return Err(Error::body_too_long(limit, &answer));
            }
        }
        if is_too_long {
            return Err(Error::body_too_long(limit, &answer));
        }
        // A digest or a signature covers the body as it was sent (RFC 9530 §2).
        let is_covered = answer.headers().contains_key("content-digest");
        if decodes && !is_covered {
            decoded(answer, limit)
        } else {
            Ok(answer)
        }
    }
}

impl Fetch for Fetcher {
    fn send(&self, request: Request<Vec<u8>>) -> FetchFuture<'_> {
        Box::pin(async move {
            let timeout = Limits::of(&request).timeout();
            let timeout = timeout.map_or(self.timeout, |timeout| timeout.min(self.timeout));
            tokio::time::timeout(timeout, self.follow(request))
                .await
                .or(Err(Error::Timeout))?
        })
    }
}

/// Without the client, whose own form may print the credentials of a proxy.
impl fmt::Debug for Fetcher {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Fetcher")
            .field("policy", &self.policy)
            .field("proxy", &self.proxy)
            .field("timeout", &self.timeout)
            .field("max_body", &self.max_body)
            .field("redirects", &self.redirects)
            .finish_non_exhaustive()
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

    /// Sets how long the body of a [call](crate::Call) may stand still. Defaults to 60 s.
    ///
    /// A call has no limit for its whole time: [`timeout`](Self::timeout) applies to the head of
    /// the answer, counted from the end of the request, and this limit to each piece of either
    /// body. A server that streams slowly keeps its stream open by comments or empty messages.
    pub const fn idle_timeout(mut self, most: Duration) -> Self {
        self.idle_timeout = most;
        self
    }

    /// The longest body of an answer, in bytes, counted while it arrives.
    pub const fn max_body(mut self, most: usize) -> Self {
        self.max_body = most;
        self
    }

    /// Follows so many redirects of a `GET` or `HEAD`, each judged as the first URL was. To another
    /// origin goes no header but `Accept`.
    pub const fn redirects(mut self, most: usize) -> Self {
        self.redirects = most;
        self
    }

    /// Trusts these root certificates as well, one or more in PEM.
    pub fn root_certificate_pem(mut self, pem: impl Into<Vec<u8>>) -> Self {
        self.roots.push(pem.into());
        self
    }

    /// Connects to private addresses too ([`address::is_private`](crate::address::is_private)),
    /// still not to a cloud's metadata service: for URLs that are configuration, in a network of
    /// one's own. Never for a URL from a stranger.
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

    /// Connects to `https` URLs through this proxy, by `CONNECT` (RFC 9110 §9.3.6): for a network
    /// whose only way out is one. The URL is `http://host:port` or `https://host:port`, with user
    /// and password where the proxy asks for them; they are not printed.
    ///
    /// The proxy's own address may be private or loopback. What is checked and what is not, with a
    /// proxy:
    ///
    /// - A host that is an address is judged as without a proxy.
    /// - **A name is not judged.** The proxy resolves it, so the proxy decides whether it may lead
    ///   to an address that is not public. Where URLs come from strangers, the proxy must refuse
    ///   its own network.
    /// - TLS ends at the server and not at the proxy: certificates are checked as without one.
    /// - Plain `http` to loopback, where that is allowed, goes without the proxy.
    /// - A URL whose host is the proxy's name is refused.
    ///
    /// No proxy is used unless one is named here.
    pub fn proxy(mut self, url: &str) -> Self {
        self.proxy = Some(ProxySetting::named(url));
        self
    }

    /// As [`proxy`](Self::proxy), with what the environment names: the first one that is set and
    /// not empty of `https_proxy`, `HTTPS_PROXY`, `all_proxy` and `ALL_PROXY`; none where there is
    /// none. Hosts that `no_proxy` or `NO_PROXY` lists are connected to directly, and are judged as
    /// without a proxy. A value without a scheme is an `http` URL.
    ///
    /// The environment is read now, and only by this method.
    pub fn proxy_from_env(mut self) -> Self {
        self.proxy = ProxySetting::from_env();
        self
    }

    /// Builds the fetcher.
    ///
    /// # Errors
    ///
    /// `fetch.build` where a certificate cannot be read or TLS cannot be set up; `fetch.proxy`
    /// where the proxy is not named by a URL that can be used.
    pub fn build(self) -> Result<Fetcher, Error> {
        let proxy = self.proxy.as_ref().map(ProxySetting::checked);
        Ok(Fetcher {
            policy: self.policy,
            timeout: self.timeout,
            idle_timeout: self.idle_timeout,
            max_body: self.max_body,
            redirects: self.redirects,
            proxy: proxy.transpose()?.and_then(|it| it.name),
            // The fetcher has its own clock: a total of reqwest's would end streamed bodies.
            client: self.client(None)?,
        })
    }

    /// A bare client made as the fetcher's own is: this proxy or none, no redirects, no referrer,
    /// only TLS 1.2 and later, these timeouts and root certificates, and names that lead to judged
    /// addresses. It does not judge a URL: scheme, user information and a host that is an address
    /// are as the caller says, and bodies have no bound. For a program's own requests to URLs from
    /// its configuration; a URL from a stranger is for [`build`](Self::build).
    ///
    /// # Errors
    ///
    /// As [`build`](Self::build).
    pub fn http_client(self) -> Result<reqwest::Client, Error> {
        let total = self.timeout;
        self.client(Some(total))
    }

    fn client(self, total: Option<Duration>) -> Result<reqwest::Client, Error> {
        let failed = |error: reqwest::Error| Error::Build(Arc::new(error));
        let proxy = self.proxy.as_ref().map(ProxySetting::checked);
        let proxy = proxy.transpose()?;
        let name = proxy.as_ref().and_then(|it| it.name.as_deref());
        let judging = Judging::new(self.policy, self.resolver, name);
        let mut client = reqwest::Client::builder()
            // Nothing from the environment.
            .no_proxy()
            .redirect(redirect::Policy::none())
            .referer(false)
            .connect_timeout(self.connect_timeout)
            .dns_resolver(Arc::new(judging));
        if let Some(proxy) = proxy {
            client = client.proxy(proxy.reqwest);
        }
        if let Some(total) = total {
            client = client.timeout(total);
        }
        for pem in &self.roots {
            let roots = reqwest::Certificate::from_pem_bundle(pem).map_err(failed)?;
            if roots.is_empty() {
                let none = io::Error::other("no certificate in the PEM");
                return Err(Error::Build(Arc::new(none)));
            }
            for root in roots {
                client = client.add_root_certificate(root);
            }
        }
        client.build().map_err(failed)
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
    if error.is_timeout() {
        return Error::Timeout;
    }
    let mut cause: Option<&(dyn StdError + 'static)> = Some(&error);
    let mut tls = false;
    while let Some(it) = cause {
        match it.downcast_ref::<LookupError>() {
            Some(LookupError::Address(address)) => return Error::Address { address: *address },
            Some(LookupError::Resolve) => return Error::Resolve,
            None => {}
        }
        // This is how a TLS stack says that it does not like the peer; nothing else that happens
        // before a request is sent has this kind.
        let kind = it.downcast_ref::<io::Error>().map(io::Error::kind);
        tls |= error.is_connect() && kind == Some(io::ErrorKind::InvalidData);
        // An I/O error has what it wraps as no source, only what that one wraps.
        cause = match it.downcast_ref::<io::Error>().and_then(io::Error::get_ref) {
            Some(wrapped) => Some(wrapped),
            None => it.source(),
        };
    }
    // The URL may hold what is nobody's business.
    let error = Arc::new(error.without_url());
    if tls {
        Error::Tls(error)
    } else {
        Error::Connect(error)
    }
}
