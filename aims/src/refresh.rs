//! What is asked when a token names a key that is not known yet.

use std::fmt::{self, Debug};
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

use aims_wimse_id::Origin;

/// Whose keys may have changed.
#[derive(Clone, Debug, Eq, Hash, PartialEq)]
#[non_exhaustive]
pub enum Keys {
    /// The access token keys of this configured issuer.
    Issuer(String),
    /// The bundle of this trusted origin.
    Origin(Origin),
}

impl fmt::Display for Keys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Issuer(issuer) => f.write_str(issuer),
            Self::Origin(origin) => fmt::Display::fmt(origin, f),
        }
    }
}

/// Ends when the refresh does, with whether there are other keys than before: only then is a
/// request judged again.
pub type RefreshFuture<'a> = Pin<Box<dyn Future<Output = bool> + Send + 'a>>;

/// Refreshes keys. It must be single-flight, limited in rate and in time: anybody can name an
/// unknown key (T-085, ATJ-11).
pub trait Refresh: Debug + Send + Sync {
    /// Refreshes these keys, if it is not too soon.
    fn refresh(&self, keys: Keys) -> RefreshFuture<'_>;
}

impl<T: Refresh + ?Sized> Refresh for Arc<T> {
    fn refresh(&self, keys: Keys) -> RefreshFuture<'_> {
        (**self).refresh(keys)
    }
}

/// The default: keys change only when the program changes its stores.
#[derive(Clone, Copy, Debug, Default)]
#[non_exhaustive]
pub struct NoRefresh;

impl Refresh for NoRefresh {
    fn refresh(&self, _: Keys) -> RefreshFuture<'_> {
        Box::pin(std::future::ready(false))
    }
}
