//! How a program shows the authorization URL to its user, and receives the answer.

use std::fmt::Debug;
use std::future::Future;
use std::pin::Pin;

use super::{Authorizing, RedirectUri};
use crate::Error;

/// The future of [`Receive`] and [`Receiving`].
pub type ReceiveFuture<'a, T> = Pin<Box<dyn Future<Output = Result<T, Error>> + Send + 'a>>;

/// Sends a user to the authorization server and receives the answer.
///
/// [`Loopback`](super::Loopback) opens a browser on this machine. A program with another way, such
/// as an app with a private scheme, implements it.
///
/// ```
/// use aims_oauth_client::{Authorizing, Error, Receive, ReceiveFuture, Receiving, RedirectUri};
///
/// /// Shows the URL, and asks for the URL that the browser shows at the end.
/// #[derive(Debug)]
/// struct Terminal(RedirectUri);
///
/// impl Receive for Terminal {
///     fn begin(&self) -> ReceiveFuture<'_, Box<dyn Receiving>> {
///         let waiting = Self(self.0.clone());
///         Box::pin(async move { Ok(Box::new(waiting) as Box<dyn Receiving>) })
///     }
/// }
///
/// impl Receiving for Terminal {
///     fn redirect_uri(&self) -> &RedirectUri {
///         &self.0
///     }
///
///     fn receive<'a>(self: Box<Self>, login: &'a Authorizing) -> ReceiveFuture<'a, String> {
///         Box::pin(async move {
///             println!("open {} and paste the URL at the end", login.url());
///             let mut line = String::new();
///             let read = std::io::stdin().read_line(&mut line);
///             read.map_err(|_closed| Error::Cancelled)?;
///             let query = line.trim().split_once('?').map(|(_, query)| query.to_owned());
///             query.ok_or(Error::Cancelled)
///         })
///     }
/// }
/// ```
pub trait Receive: Debug + Send + Sync {
    /// Prepares for one login, for example opens a port.
    ///
    /// # Errors
    ///
    /// `authorize.listen` if that fails.
    fn begin(&self) -> ReceiveFuture<'_, Box<dyn Receiving>>;
}

/// One login that is being received.
pub trait Receiving: Send {
    /// Returns the URI for the browser to return to.
    fn redirect_uri(&self) -> &RedirectUri;

    /// Sends the user to the [URL](Authorizing::url), and returns the query with which the browser
    /// returned. Queries that are [not an answer](Authorizing::is_answered_by) to this login are to
    /// be ignored.
    ///
    /// # Errors
    ///
    /// `authorize.cancelled` or `authorize.timeout`.
    fn receive<'a>(self: Box<Self>, login: &'a Authorizing) -> ReceiveFuture<'a, String>;
}
