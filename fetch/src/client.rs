//! The HTTP client, based on reqwest and rustls.

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
use rustls::{AlertDescription, Error as TlsError};
use url::{Origin, Url};

use crate::certificate::{ClientCertificate, origin};
use crate::coding::decoded;
use crate::content::begins_visibly;
use crate::policy::Policy;
use crate::proxy::ProxySetting;
use crate::resolve::{Judging, LookupError, Resolve, SystemResolver};
use crate::{Error, Fetch, FetchFuture, FinalUrl, Limits};

/// Fetches URLs that untrusted parties may have chosen. Needs the feature `client`.
///
/// A fetcher connects only to public addresses, accepts only `https`, and limits the time and size
/// of answers. It implements [`Fetch`] for documents and [`Call`](crate::Call) for streaming.
///
/// ```no_run
/// # async fn example() -> Result<(), Box<dyn std::error::Error>> {
/// use std::time::Duration;
///
/// use aims_fetch::{Fetch, Fetcher};
///
/// let fetcher = Fetcher::builder().timeout(Duration::from_secs(5)).max_body(64 * 1024).build()?;
/// let request = http::Request::get("https://as.example/jwks").body(Vec::new())?;
/// let answer = fetcher.send(request).await?;
/// println!("{}", answer.status());
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct Fetcher {
    client: reqwest::Client,
    /// The clients with a certificate, each for one origin and with connections of its own.
    certified: Vec<(Origin, reqwest::Client)>,
    /// The host name of the proxy. No URL may have it as its host.
    proxy: Option<String>,
    policy: Policy,
    timeout: Duration,
    idle_timeout: Duration,
    max_body: usize,
    redirects: usize,
}

/// Builds a [`Fetcher`]. Created by [`Fetcher::builder`].
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
    certificates: Vec<(String, ClientCertificate)>,
    resolver: Arc<dyn Resolve>,
    proxy: Option<ProxySetting>,
}

impl Fetcher {
    /// Creates a builder with the default settings: `https` to public addresses, no redirects, no
    /// proxy, 5 s to connect, 15 s in total, answers of up to 1 MiB.
    pub fn builder() -> FetcherBuilder {
        FetcherBuilder {
            policy: Policy::default(),
            connect_timeout: Duration::from_secs(5),
            timeout: Duration::from_secs(15),
            idle_timeout: Duration::from_secs(60),
            max_body: 1024 * 1024,
            redirects: 0,
            roots: Vec::new(),
            certificates: Vec::new(),
            resolver: Arc::new(SystemResolver::default()),
            proxy: None,
        }
    }

    async fn follow(&self, mut request: Request<Vec<u8>>) -> Result<Response<Vec<u8>>, Error> {
        let (mut left, mut is_redirected) = (self.redirects, false);
        let limit = Limits::of(&request).max_body();
        let limit = limit.map_or(self.max_body, |limit| limit.min(self.max_body));
        loop {
            let url = self.judged(request.uri())?;
            let (method, headers) = (request.method().clone(), request.headers().clone());
            let uri = request.uri().clone();
            // A redirect is another party's choice: nothing after it is proven by a certificate.
            let client = if is_redirected {
                &self.client
            } else {
                self.client_of(&url)
            };
            let mut answer = self.once(client, &url, request, limit).await?;
            if self.redirects == 0 || !is_redirect(answer.status()) {
                FinalUrl::set(&mut answer, uri);
                return Ok(answer);
            }
            left = left.checked_sub(1).ok_or(Error::Redirect)?;
            if method != Method::GET && method != Method::HEAD {
                return Err(Error::Redirect);
            }
            request = next(&url, &answer, method, headers)?;
            is_redirected = true;
        }
    }

    /// Returns the URL of a request if it may be fetched and would be sent unchanged.
    fn judged(&self, given: &Uri) -> Result<Url, Error> {
        let given = given.to_string();
        let url = self.policy.check(&given)?;
        // A proof or signature of a request covers the URL that the request has (RFC 9421 §7.4.3).
        if url.as_str() != given {
            return Err(Error::Rewritten);
        }
        if self.proxy.is_some() && self.proxy.as_deref() == url.host_str() {
            let reason = "the host is that of the proxy";
            return Err(Error::Url { reason });
        }
        Ok(url)
    }

    /// Returns the client for a URL: the one with a certificate, if its origin has one.
    fn client_of(&self, url: &Url) -> &reqwest::Client {
        let mut certified = self.certified.iter();
        let own = certified.find(|(origin, _)| *origin == url.origin());
        own.map_or(&self.client, |(_, client)| client)
    }

    async fn once(
        &self,
        client: &reqwest::Client,
        url: &Url,
        request: Request<Vec<u8>>,
        limit: usize,
    ) -> Result<Response<Vec<u8>>, Error> {
        let (mut parts, body) = request.into_parts();
        // A caller that sets `Accept-Encoding` decodes the answer itself.
        let decodes = !parts.headers.contains_key(ACCEPT_ENCODING);
        if decodes {
            let identity = HeaderValue::from_static("identity");
            parts.headers.insert(ACCEPT_ENCODING, identity);
        }
        let sent = client
            .request(parts.method, url.clone())
            .headers(parts.headers)
            .body(body)
            .send()
            .await;
        let mut received = sent.map_err(failed)?;
        // If the announced length is too long, read only the start. Otherwise count the bytes.
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
            let timeout = Limits::of(&request).timeout_of(self.timeout);
            tokio::time::timeout(timeout, self.follow(request))
                .await
                .or(Err(Error::Timeout))?
        })
    }
}

/// Omits the client, whose `Debug` form may print the credentials of a proxy.
impl fmt::Debug for Fetcher {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Fetcher")
            .field("policy", &self.policy)
            .field("proxy", &self.proxy)
            .field("certified", &self.certified.len())
            .field("timeout", &self.timeout)
            .field("max_body", &self.max_body)
            .field("redirects", &self.redirects)
            .finish_non_exhaustive()
    }
}

impl FetcherBuilder {
    /// Sets the maximum time to connect. Defaults to 5 s.
    pub const fn connect_timeout(mut self, most: Duration) -> Self {
        self.connect_timeout = most;
        self
    }

    /// Sets the maximum time of a whole exchange, redirects and body included. Defaults to 15 s.
    pub const fn timeout(mut self, most: Duration) -> Self {
        self.timeout = most;
        self
    }

    /// Sets the maximum time between two pieces of a body of a [call](crate::Call). Defaults to 60
    /// s.
    ///
    /// A call has no limit for its whole time. [`timeout`](Self::timeout) applies to the head of
    /// the answer, counted from the end of the request, and this limit to each piece of both
    /// bodies. A server that streams slowly must keep the stream alive by comments or empty
    /// messages.
    pub const fn idle_timeout(mut self, most: Duration) -> Self {
        self.idle_timeout = most;
        self
    }

    /// Sets the maximum body of an answer, in bytes, counted while it arrives. Defaults to 1 MiB.
    pub const fn max_body(mut self, most: usize) -> Self {
        self.max_body = most;
        self
    }

    /// Sets how many redirects of a `GET` or `HEAD` are followed. Defaults to none.
    ///
    /// Each redirect is checked like the first URL. To another origin, only the header field
    /// `Accept` is sent.
    ///
    /// ```
    /// use aims_fetch::Fetcher;
    ///
    /// let fetcher = Fetcher::builder().redirects(3).build()?;
    /// # drop(fetcher);
    /// # Ok::<(), aims_fetch::Error>(())
    /// ```
    pub const fn redirects(mut self, most: usize) -> Self {
        self.redirects = most;
        self
    }

    /// Trusts these root certificates in addition, one or more in PEM.
    pub fn root_certificate_pem(mut self, pem: impl Into<Vec<u8>>) -> Self {
        self.roots.push(pem.into());
        self
    }

    /// Presents this certificate to the server at this origin, such as `https://mtls.as.example`,
    /// if the server asks for one (RFC 8705 §2). If an origin is named twice, the last call wins.
    ///
    /// The certificate is presented to no other origin, and not after a redirect, also not to this
    /// origin. A server may have its endpoints for mutual TLS at another origin than its issuer
    /// (§5); name that one.
    ///
    /// The certificate is fixed. To present a newer one, build another fetcher.
    ///
    /// ```no_run
    /// use aims_fetch::{ClientCertificate, Fetcher};
    ///
    /// # fn example(certificate: ClientCertificate) -> Result<(), aims_fetch::Error> {
    /// let fetcher = Fetcher::builder()
    ///     .client_certificate("https://mtls.as.example", certificate.clone())
    ///     .client_certificate("https://tools.example", certificate)
    ///     .build()?;
    /// # drop(fetcher);
    /// # Ok(())
    /// # }
    /// ```
    pub fn client_certificate(mut self, origin: &str, certificate: ClientCertificate) -> Self {
        self.certificates.push((origin.to_owned(), certificate));
        self
    }

    /// Connects to private addresses as well ([`address::is_private`](crate::address::is_private)),
    /// but not to a cloud's metadata service.
    ///
    /// Use it only for URLs from your configuration, in your own network. Never use it for a URL
    /// from an untrusted party.
    pub const fn allow_private_networks(mut self) -> Self {
        self.policy.private_networks = true;
        self
    }

    /// Accepts plain `http` URLs to `localhost`, 127.0.0.0/8 and `[::1]`, for development and
    /// tests.
    ///
    /// ```
    /// use aims_fetch::Fetcher;
    ///
    /// let fetcher = Fetcher::builder().allow_loopback_http().build()?;
    /// # drop(fetcher);
    /// # Ok::<(), aims_fetch::Error>(())
    /// ```
    pub const fn allow_loopback_http(mut self) -> Self {
        self.policy.loopback_http = true;
        self
    }

    /// Sets the resolver of host names. Defaults to the resolver of the system.
    pub fn resolver(mut self, resolver: impl Resolve + 'static) -> Self {
        self.resolver = Arc::new(resolver);
        self
    }

    /// Connects to `https` URLs through this proxy, by `CONNECT` (RFC 9110 §9.3.6), for a network
    /// that has no other way out. By default no proxy is used.
    ///
    /// The URL is `http://host:port` or `https://host:port`, with user and password if the proxy
    /// requires them; they are never printed. The proxy's own address may be private or loopback.
    /// With a proxy:
    ///
    /// - A host that is an IP address is checked as without a proxy.
    /// - **A host name is not checked.** The proxy resolves it, so the proxy decides whether it may
    ///   lead to an address that is not public. If untrusted parties choose URLs, the proxy must
    ///   refuse its own network.
    /// - TLS ends at the server, not at the proxy, so certificates are checked as without a proxy.
    /// - Plain `http` to loopback, if it is allowed, does not use the proxy.
    /// - A URL whose host is the proxy's name is refused.
    ///
    /// ```
    /// use aims_fetch::Fetcher;
    ///
    /// let fetcher = Fetcher::builder().proxy("http://proxy.internal:3128").build()?;
    /// # drop(fetcher);
    /// # Ok::<(), aims_fetch::Error>(())
    /// ```
    pub fn proxy(mut self, url: &str) -> Self {
        self.proxy = Some(ProxySetting::named(url));
        self
    }

    /// Uses the proxy that the environment names. Otherwise like [`proxy`](Self::proxy).
    ///
    /// It uses the first of `https_proxy`, `HTTPS_PROXY`, `all_proxy` and `ALL_PROXY` that is set
    /// and not empty, or no proxy. A value without a scheme is an `http` URL. Hosts that `no_proxy`
    /// or `NO_PROXY` lists are connected to directly and checked as without a proxy.
    ///
    /// The environment is read when this method is called, and by no other method.
    pub fn proxy_from_env(mut self) -> Self {
        self.proxy = ProxySetting::from_env();
        self
    }

    /// Builds the fetcher.
    ///
    /// # Errors
    ///
    /// `fetch.build` if a certificate cannot be read or TLS cannot be set up; `fetch.proxy` if the
    /// URL of the proxy is not valid; `fetch.client_certificate` if a client certificate is for
    /// something else than one `https` origin, or would also be presented to an `https` proxy.
    pub fn build(self) -> Result<Fetcher, Error> {
        let proxy = self.proxy.as_ref().map(ProxySetting::checked);
        Ok(Fetcher {
            policy: self.policy,
            timeout: self.timeout,
            idle_timeout: self.idle_timeout,
            max_body: self.max_body,
            redirects: self.redirects,
            proxy: proxy.transpose()?.and_then(|it| it.name),
            // The fetcher has its own timer, because reqwest's total timeout would end streaming
            // bodies.
            certified: self.certified()?,
            client: self.client(None, None)?,
        })
    }

    /// Builds a plain reqwest client with these settings, for your own requests to URLs from your
    /// configuration.
    ///
    /// It has the same proxy, timeouts and root certificates, no redirects, no referrer, TLS 1.2 or
    /// later, and it checks the addresses of host names. It presents no client certificate. It does
    /// not check URLs: scheme, user
    /// information and a host that is an IP address. It does not limit bodies. For a URL from an
    /// untrusted party, use [`build`](Self::build).
    ///
    /// # Errors
    ///
    /// Those of [`build`](Self::build).
    pub fn http_client(self) -> Result<reqwest::Client, Error> {
        let total = self.timeout;
        self.client(Some(total), None)
    }

    /// Builds a client for each origin with a certificate.
    fn certified(&self) -> Result<Vec<(Origin, reqwest::Client)>, Error> {
        let proxy = self.proxy.as_ref().map(ProxySetting::checked).transpose()?;
        if proxy.is_some_and(|it| it.is_tls) && !self.certificates.is_empty() {
            let reason =
                "the TLS connection to the proxy would present it, too; name an `http` proxy";
            return Err(Error::ClientCertificate { reason });
        }
        let mut all: Vec<(Origin, reqwest::Client)> = Vec::new();
        for (url, certificate) in &self.certificates {
            let origin = origin(url)?;
            all.retain(|(it, _)| *it != origin);
            all.push((origin, self.clone().client(None, Some(certificate))?));
        }
        Ok(all)
    }

    fn client(
        self,
        total: Option<Duration>,
        certificate: Option<&ClientCertificate>,
    ) -> Result<reqwest::Client, Error> {
        let failed = |error: reqwest::Error| Error::Build(Arc::new(error));
        let proxy = self.proxy.as_ref().map(ProxySetting::checked);
        let proxy = proxy.transpose()?;
        let name = proxy.as_ref().and_then(|it| it.name.as_deref());
        let judging = Judging::new(self.policy, self.resolver, name);
        let mut client = reqwest::Client::builder()
            // Take no proxy from the environment.
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
        if let Some(certificate) = certificate {
            client = client.tls_backend_preconfigured(certificate.config(&self.roots)?);
        }
        client.build().map_err(failed)
    }
}

fn is_redirect(status: StatusCode) -> bool {
    matches!(status.as_u16(), 301 | 302 | 303 | 307 | 308)
}

/// Returns the request that a redirect asks for. Header fields for one origin are not sent to
/// another.
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

/// Returns whether a server sends this alert because of the client's certificate (RFC 8446 §6.2).
const fn is_about_certificate(alert: AlertDescription) -> bool {
    matches!(
        alert,
        AlertDescription::CertificateRequired
            | AlertDescription::BadCertificate
            | AlertDescription::UnsupportedCertificate
            | AlertDescription::CertificateRevoked
            | AlertDescription::CertificateExpired
            | AlertDescription::CertificateUnknown
            | AlertDescription::UnknownCA
            | AlertDescription::AccessDenied
    )
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
        if let Some(TlsError::AlertReceived(alert)) = it.downcast_ref()
            && is_about_certificate(*alert)
        {
            let alert = format!("{alert:?}").into();
            return Error::CertificateRefused { alert };
        }
        // A TLS stack reports a problem with the peer this way. Nothing else before a request is
        // sent has this kind of error.
        let kind = it.downcast_ref::<io::Error>().map(io::Error::kind);
        tls |= error.is_connect() && kind == Some(io::ErrorKind::InvalidData);
        // The source of an I/O error is the source of the error in it, so take the inner error
        // itself.
        cause = match it.downcast_ref::<io::Error>().and_then(io::Error::get_ref) {
            Some(wrapped) => Some(wrapped),
            None => it.source(),
        };
    }
    // The URL may contain secrets.
    let error = Arc::new(error.without_url());
    if tls {
        Error::Tls(error)
    } else {
        Error::Connect(error)
    }
}
