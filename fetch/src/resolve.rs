//! Names, and the addresses that may be connected to.

use std::fmt;
use std::future::Future;
use std::io;
use std::net::{SocketAddr, ToSocketAddrs as _};
use std::pin::Pin;
use std::sync::Arc;

use reqwest::dns::{Addrs, Name, Resolving};
use tokio::sync::Semaphore;

use crate::policy::Policy;

/// What [`Resolve::resolve`] gives.
pub type ResolveFuture<'a> = Pin<Box<dyn Future<Output = io::Result<Vec<SocketAddr>>> + Send + 'a>>;

/// Finds the addresses of a name. Whatever it gives is still judged, on the very address that is connected to.
pub trait Resolve: fmt::Debug + Send + Sync {
    /// All addresses of this name; ports are ignored.
    fn resolve<'a>(&'a self, name: &'a str) -> ResolveFuture<'a>;
}

/// The system's resolver. A lookup that hangs holds a thread, and no timeout frees it: so many hang at once and no more, and the rest of the program keeps its threads.
#[derive(Clone, Debug)]
pub(crate) struct SystemResolver {
    lookups: Arc<Semaphore>,
}

impl Default for SystemResolver {
    fn default() -> Self {
        let lookups = Arc::new(Semaphore::new(LOOKUPS));
        Self { lookups }
    }
}

impl Resolve for SystemResolver {
    fn resolve<'a>(&'a self, name: &'a str) -> ResolveFuture<'a> {
        Box::pin(async move {
            let permit = self.lookups.clone().acquire_owned().await;
            let permit = permit.map_err(io::Error::other)?;
            let name = name.to_owned();
            let lookup = tokio::task::spawn_blocking(move || {
                // Given back when the lookup ends, not when nobody waits for it any more.
                let _permit = permit;
                let found = (name.as_str(), 0).to_socket_addrs();
                found.map(Iterator::collect)
            });
            lookup.await.map_err(io::Error::other)?
        })
    }
}

/// Asks the resolver so often at a time and no more, whoever it is (F-16), and drops every address that the policy does not allow: nothing that was not judged is connected to, whatever the name leads to the next time (no rebinding).
#[derive(Clone, Debug)]
pub(crate) struct Judging {
    policy: Policy,
    resolver: Arc<dyn Resolve>,
    waiting: Arc<Semaphore>,
}

impl Judging {
    pub(crate) fn new(policy: Policy, resolver: Arc<dyn Resolve>) -> Self {
        let waiting = Arc::new(Semaphore::new(LOOKUPS));
        Self {
            policy,
            resolver,
            waiting,
        }
    }
}

/// The marker by which a refused address is told from a failed lookup.
#[derive(Debug, thiserror::Error)]
pub(crate) enum LookupError {
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
            let turn = this.waiting.acquire().await;
            let _turn = turn.or(Err(LookupError::Resolve))?;
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

/// How many lookups may be under way.
const LOOKUPS: usize = 32;
