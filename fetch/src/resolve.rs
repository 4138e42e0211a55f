//! Resolves host names to addresses that may be connected to.

use std::fmt;
use std::future::Future;
use std::io;
use std::net::{IpAddr, SocketAddr, ToSocketAddrs as _};
use std::pin::Pin;
use std::sync::Arc;

use reqwest::dns::{Addrs, Name, Resolving};
use tokio::sync::Semaphore;

use crate::address::is_private;
use crate::policy::Policy;

/// The future that [`Resolve::resolve`] returns.
pub type ResolveFuture<'a> = Pin<Box<dyn Future<Output = io::Result<Vec<SocketAddr>>> + Send + 'a>>;

/// Resolves host names to addresses. Every returned address is still checked before it is connected
/// to.
///
/// ```
/// use std::net::SocketAddr;
///
/// use aims_fetch::{Resolve, ResolveFuture};
///
/// /// Resolves every name to one address, for tests.
/// #[derive(Debug)]
/// struct Fixed(SocketAddr);
///
/// impl Resolve for Fixed {
///     fn resolve<'a>(&'a self, _name: &'a str) -> ResolveFuture<'a> {
///         Box::pin(std::future::ready(Ok(vec![self.0])))
///     }
/// }
/// ```
pub trait Resolve: fmt::Debug + Send + Sync {
    /// Returns all addresses of a name. Ports are ignored.
    fn resolve<'a>(&'a self, name: &'a str) -> ResolveFuture<'a>;
}

/// The resolver of the system. A lookup that hangs blocks a thread, and no timeout ends it. The
/// number of lookups is limited, so that the rest of the program keeps its threads.
#[derive(Clone, Debug)]
pub(crate) struct SystemResolver {
    lookups: Arc<Semaphore>,
    lookup: fn(&str) -> io::Result<Vec<SocketAddr>>,
}

impl Default for SystemResolver {
    fn default() -> Self {
        let lookups = Arc::new(Semaphore::new(LOOKUPS));
        Self { lookups, lookup }
    }
}

impl Resolve for SystemResolver {
    fn resolve<'a>(&'a self, name: &'a str) -> ResolveFuture<'a> {
        Box::pin(async move {
            let permit = self.lookups.clone().acquire_owned().await;
            let permit = permit.map_err(io::Error::other)?;
            let name = name.to_owned();
            let lookup = self.lookup;
            let looked_up = tokio::task::spawn_blocking(move || {
                // Release the permit when the lookup ends, not when the caller stops waiting.
                let _permit = permit;
                lookup(&name)
            });
            looked_up.await.map_err(io::Error::other)?
        })
    }
}

/// Limits the number of concurrent lookups, and drops every address that the policy does not allow.
///
/// The client connects only to addresses that were checked here, so a name that later resolves to
/// another address has no effect (no DNS rebinding).
#[derive(Clone, Debug)]
pub(crate) struct Judging {
    policy: Policy,
    resolver: Arc<dyn Resolve>,
    waiting: Arc<Semaphore>,
    /// The host name of the proxy, which is configuration and may lead to a private address.
    proxy: Option<Arc<str>>,
}

impl Judging {
    pub(crate) fn new(policy: Policy, resolver: Arc<dyn Resolve>, proxy: Option<&str>) -> Self {
        let waiting = Arc::new(Semaphore::new(LOOKUPS));
        Self {
            policy,
            resolver,
            waiting,
            proxy: proxy.map(Arc::from),
        }
    }

    fn allows(&self, name: &str, address: IpAddr) -> bool {
        let is_proxy = self.proxy.as_deref() == Some(name);
        self.policy.allows(address, name == "localhost") || (is_proxy && is_private(address))
    }
}

/// Distinguishes a refused address from a failed lookup.
#[derive(Debug, thiserror::Error)]
pub(crate) enum LookupError {
    #[error("no public address")]
    Address(IpAddr),
    #[error("no address")]
    Resolve,
}

impl reqwest::dns::Resolve for Judging {
    fn resolve(&self, name: Name) -> Resolving {
        let this = self.clone();
        Box::pin(async move {
            let name = name.as_str();
            let turn = this.waiting.acquire().await;
            let _turn = turn.or(Err(LookupError::Resolve))?;
            let found = this.resolver.resolve(name).await;
            let found = found.or(Err(LookupError::Resolve))?;
            let Some(first) = found.first().map(SocketAddr::ip) else {
                return Err(LookupError::Resolve.into());
            };
            let allowed: Vec<_> = found
                .into_iter()
                .map(|address| SocketAddr::new(address.ip(), 0))
                .filter(|address| this.allows(name, address.ip()))
                .collect();
            if allowed.is_empty() {
                return Err(LookupError::Address(first).into());
            }
            let addresses: Addrs = Box::new(allowed.into_iter());
            Ok(addresses)
        })
    }
}

fn lookup(name: &str) -> io::Result<Vec<SocketAddr>> {
    let found = (name, 0).to_socket_addrs();
    found.map(Iterator::collect)
}

/// The maximum number of concurrent lookups.
const LOOKUPS: usize = 32;

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::sync::{Condvar, Mutex};
    use std::time::Duration;

    use tokio::time::timeout;

    use super::*;

    static STARTED: AtomicUsize = AtomicUsize::new(0);
    static OPEN: Mutex<bool> = Mutex::new(false);
    static OPENED: Condvar = Condvar::new();

    /// Blocks its thread until the test releases it.
    fn stuck(_: &str) -> io::Result<Vec<SocketAddr>> {
        STARTED.fetch_add(1, Ordering::SeqCst);
        let closed = OPEN.lock().or(Err(io::Error::other("poisoned")))?;
        let opened = OPENED.wait_while(closed, |open| !*open);
        drop(opened.or(Err(io::Error::other("poisoned")))?);
        Ok(vec![SocketAddr::from(([192, 0, 2, 1], 0))])
    }

    /// Lookups whose caller stopped waiting still count, because they block threads.
    #[tokio::test]
    async fn given_up_lookups_hold_few_threads() {
        let resolver = SystemResolver {
            lookup: stuck,
            ..SystemResolver::default()
        };
        for _ in 0..3 * LOOKUPS {
            let given_up = timeout(Duration::from_millis(2), resolver.resolve("x")).await;
            assert!(given_up.is_err());
        }
        // The other threads of the pool are free.
        let second = Duration::from_secs(1);
        timeout(second, tokio::task::spawn_blocking(|| ()))
            .await
            .unwrap()
            .unwrap();
        let started = STARTED.load(Ordering::SeqCst);
        // Release the threads before asserting, because a runtime waits for its threads.
        *OPEN.lock().unwrap() = true;
        OPENED.notify_all();
        assert_eq!(started, LOOKUPS);
        let found = timeout(10 * second, resolver.resolve("x")).await;
        assert_eq!(found.unwrap().unwrap().len(), 1);
    }
}
