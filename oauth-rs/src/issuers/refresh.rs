//! Keys of an issuer that must be fetched again.

use core::fmt;
use core::pin::Pin;

/// The future of [`RefreshKeys::refresh_keys`].
pub type RefreshFuture<'a> = Pin<Box<dyn Future<Output = bool> + Send + 'a>>;

/// Fetches the keys of an issuer again, into the [`IssuerStore`](super::IssuerStore) that has them.
///
/// A server asks it when a token names a key that is not in the store, or the keys are stale.
/// `aims::keys::PublishedKeys` implements it: one fetch for all that wait, with a pause before the
/// next one.
///
/// ```
/// use aims_oauth_rs::{RefreshFuture, RefreshKeys};
///
/// /// Keys that never change.
/// #[derive(Debug)]
/// struct Pinned;
///
/// impl RefreshKeys for Pinned {
///     fn refresh_keys<'a>(&'a self, _issuer: &'a str) -> RefreshFuture<'a> {
///         Box::pin(core::future::ready(false))
///     }
/// }
/// ```
pub trait RefreshKeys: fmt::Debug + Send + Sync {
    /// Fetches the keys of this issuer, unless they were fetched shortly before. Returns whether
    /// they changed. Callers can invent names of keys, so it must bound how often it fetches.
    fn refresh_keys<'a>(&'a self, issuer: &'a str) -> RefreshFuture<'a>;
}
