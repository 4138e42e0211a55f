//! Requests with whole answers: the trait that every HTTP client can implement.

use std::fmt::Debug;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use http::{Request, Response, Uri};

use crate::Error;

/// The future that [`Fetch::send`] returns.
pub type FetchFuture<'a> =
    Pin<Box<dyn Future<Output = Result<Response<Vec<u8>>, Error>> + Send + 'a>>;

/// Sends one request and returns the whole answer, with any status.
///
/// Requests whose answer is a limited document use this trait: discovery, key sets and token
/// requests. It has one method, so any HTTP client can implement it. For calls of tools, whose
/// answers may stream, use [`Call`](crate::Call).
///
/// - The request has the method, the absolute URL, the header fields and the body. It may carry
///   [`Limits`]. An implementation applies their maximum body in addition to its own, and takes the
///   maximum time from [`Limits::timeout_of`], because a server that holds the request needs
///   [longer](Limits::with_patience).
/// - The answer has the status, the header fields and the whole body. If an implementation follows
///   redirects, the answer carries the [`FinalUrl`].
///
/// An error means that there is no answer. An answer with status 404 or 500 is `Ok`.
///
/// ```
/// use aims_fetch::{Error, Fetch, FetchFuture, FinalUrl, Limits};
///
/// /// Answers from memory.
/// #[derive(Debug)]
/// struct Fixed(&'static [u8]);
///
/// impl Fetch for Fixed {
///     fn send(&self, request: http::Request<Vec<u8>>) -> FetchFuture<'_> {
///         Box::pin(async move {
///             let limits = Limits::of(&request);
///             let mut answer = http::Response::new(self.0.to_vec());
///             if let Some(limit) = limits.max_body().filter(|limit| self.0.len() > *limit) {
///                 return Err(Error::body_too_long(limit, &answer));
///             }
///             FinalUrl::set(&mut answer, request.uri().clone());
///             Ok(answer)
///         })
///     }
/// }
/// ```
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not an HTTP client that this crate can use",
    note = "give a `Fetcher` (feature `client` of `aims-fetch`), or implement `Fetch` for your client"
)]
pub trait Fetch: Debug + Send + Sync {
    /// Sends the request and waits for the whole answer.
    fn send(&self, request: Request<Vec<u8>>) -> FetchFuture<'_>;
}

impl<T: Fetch + ?Sized> Fetch for Arc<T> {
    fn send(&self, request: Request<Vec<u8>>) -> FetchFuture<'_> {
        (**self).send(request)
    }
}

impl<T: Fetch + ?Sized> Fetch for &T {
    fn send(&self, request: Request<Vec<u8>>) -> FetchFuture<'_> {
        (**self).send(request)
    }
}

/// Limits of one request, stored in its [extensions](Request::extensions). They are stricter than
/// those of the client, except for its [patience](Self::with_patience).
///
/// ```
/// use std::time::Duration;
///
/// use aims_fetch::Limits;
///
/// let mut request = http::Request::get("https://as.example/jwks").body(Vec::new())?;
/// let limits = Limits::new().with_max_body(64 * 1024).with_timeout(Duration::from_secs(5));
/// limits.apply(&mut request);
/// assert_eq!(Limits::of(&request), limits);
/// # Ok::<(), http::Error>(())
/// ```
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Limits {
    max_body: Option<usize>,
    timeout: Option<Duration>,
    patience: Option<Duration>,
}

impl Limits {
    /// Creates limits that add nothing to those of the client.
    #[must_use]
    pub const fn new() -> Self {
        Self {
            max_body: None,
            timeout: None,
            patience: None,
        }
    }

    /// Sets the maximum body of the answer, in bytes, after decoding.
    #[must_use]
    pub const fn with_max_body(mut self, most: usize) -> Self {
        self.max_body = Some(most);
        self
    }

    /// Sets the maximum time of the whole exchange, redirects and body included.
    #[must_use]
    pub const fn with_timeout(mut self, most: Duration) -> Self {
        self.timeout = Some(most);
        self
    }

    /// Sets a maximum time that counts if it is longer than that of the client, for a server that
    /// holds the request until it has something to say (long polling).
    #[must_use]
    pub const fn with_patience(mut self, most: Duration) -> Self {
        self.patience = Some(most);
        self
    }

    /// Stores the limits in the request.
    pub fn apply(self, request: &mut Request<Vec<u8>>) {
        request.extensions_mut().insert(self);
    }

    /// Returns the limits of the request, or empty limits if it has none.
    #[must_use]
    pub fn of(request: &Request<Vec<u8>>) -> Self {
        request
            .extensions()
            .get::<Self>()
            .copied()
            .unwrap_or_default()
    }

    /// Returns the maximum body of the answer, in bytes.
    #[must_use]
    pub const fn max_body(self) -> Option<usize> {
        self.max_body
    }

    /// Returns the maximum time of the whole exchange.
    #[must_use]
    pub const fn timeout(self) -> Option<Duration> {
        self.timeout
    }

    /// Returns the maximum time of the whole exchange for a client whose own maximum is `client`.
    #[must_use]
    pub fn timeout_of(self, client: Duration) -> Duration {
        let most = self.patience.map_or(client, |it| it.max(client));
        self.timeout.map_or(most, |it| it.min(most))
    }
}

/// The URL that answered, stored in the [extensions](Response::extensions) of the answer.
///
/// It differs from the URL of the request if redirects were followed. An answer without it came
/// from the URL of the request.
///
/// ```
/// use aims_fetch::FinalUrl;
///
/// let mut answer = http::Response::new(Vec::new());
/// assert!(FinalUrl::of(&answer).is_none());
/// FinalUrl::set(&mut answer, "https://as.example/jwks".parse()?);
/// assert_eq!(FinalUrl::of(&answer).map(|url| url.path()), Some("/jwks"));
/// # Ok::<(), http::uri::InvalidUri>(())
/// ```
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct FinalUrl(Uri);

impl FinalUrl {
    /// Stores the URL in the answer.
    pub fn set(answer: &mut Response<Vec<u8>>, url: Uri) {
        answer.extensions_mut().insert(Self(url));
    }

    /// Returns the URL that answered, if the client stored it.
    #[must_use]
    pub fn of(answer: &Response<Vec<u8>>) -> Option<&Uri> {
        answer.extensions().get::<Self>().map(|url| &url.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn limits_and_final_url_travel_in_extensions() {
        let mut request = Request::new(Vec::new());
        assert_eq!(Limits::of(&request), Limits::new());
        let limits = Limits::new().with_max_body(7);
        limits.apply(&mut request);
        assert_eq!(Limits::of(&request).max_body(), Some(7));
        assert_eq!(Limits::of(&request).timeout(), None);
        let (second, hour) = (Duration::from_secs(1), Duration::from_secs(3600));
        for (limits, expected) in [
            (limits, 15 * second),
            (limits.with_timeout(second), second),
            (limits.with_timeout(hour), 15 * second),
            (limits.with_patience(hour), hour),
            (limits.with_patience(second), 15 * second),
            (limits.with_patience(hour).with_timeout(second), second),
        ] {
            assert_eq!(limits.timeout_of(15 * second), expected);
        }
        let mut answer = Response::new(Vec::new());
        assert!(FinalUrl::of(&answer).is_none());
        FinalUrl::set(&mut answer, Uri::from_static("https://as.example/jwks"));
        assert_eq!(FinalUrl::of(&answer).unwrap(), "https://as.example/jwks");
    }
}
