//! The end of the logins for a tool, at each server that it had.

use std::sync::Arc;

use aims_oauth_wire::challenge::Challenges;
use aims_oauth_wire::client_auth::Authenticate;
use aims_oauth_wire::metadata::ServerMetadata;
use aims_oauth_wire::names::{Issuer, Resource, ScopeSet};

use super::{Connection, Connector, Settings, find};
use crate::source::forget_stored;
use crate::{Error, Identity, KnownServer, Target, TokenSource};

/// The maximum number of earlier servers of which a connection knows the tokens.
const MAX_EARLIER: usize = 16;

impl Connector {
    /// Revokes all stored tokens of this user for a tool, whatever their scopes, and forgets them
    /// (RFC 7009), as at a logout. So are those of logins at servers that the tool had before.
    ///
    /// It needs no way to a new token: nothing is registered, no user is asked, and it does not
    /// matter whether the tool now requires tokens of another kind. Without a
    /// [store](Self::with_store) there is nothing to revoke; see [`Connection::log_out`].
    ///
    /// # Errors
    ///
    /// - Those of discovery, if no login is stored.
    /// - `grant.needs_user` if no login is stored, and the client is not registered.
    /// - The first error of [`TokenSource::revoke_all`]. The other tokens are still revoked.
    pub async fn log_out(&self, tool: &Resource, challenges: &Challenges) -> Result<(), Error> {
        let settings = &*self.0;
        let stored = settings.logins(tool).await?;
        let found = find::find(settings, tool, challenges).await;
        let mut ended = match found {
            Ok(found) => {
                let server = found.known_server();
                let ended = settings.end_at(server, &found.resource).await;
                let rest = without(stored.clone(), found.server.issuer(), &found.resource);
                let rest = settings.end_logins(rest).await;
                match ended {
                    // A login elsewhere has ended.
                    Err(Error::NeedsUser { .. }) if !stored.is_empty() => rest,
                    ended => ended.and(rest),
                }
            }
            Err(error) if stored.is_empty() => Err(error),
            Err(_unreachable) => settings.end_logins(stored).await,
        };
        ended = ended.and(settings.drop_login(tool).await);
        ended
    }
}

impl Connection {
    /// Revokes all tokens of this user for the tool, whatever their scopes, and forgets them (RFC
    /// 7009), as at a logout. So are those of logins at servers that the tool had before.
    ///
    /// The private DPoP key of [`Connector::with_dpop`](crate::Connector::with_dpop) stays in the
    /// store, and the next login is bound to it again. Alone it permits nothing.
    ///
    /// # Errors
    ///
    /// The first error of [`TokenSource::revoke_all`]. The other tokens are still revoked.
    pub async fn log_out(&self) -> Result<(), Error> {
        let inner = &*self.0;
        let (settings, target) = (&*inner.settings, self.target());
        let (clients, mut ended) = match settings.known_clients(&inner.source.server()).await {
            Ok(clients) => (clients, Ok(())),
            Err(error) => (Vec::new(), Err(error)),
        };
        let own = inner.client.client_id();
        for client in clients.into_iter().filter(|it| it.client_id() != own) {
            let source = inner.source.clone().with_client(client);
            let revoked = source.revoke_own(&inner.resource, target.subject());
            ended = ended.and(revoked.await);
        }
        let revoked = inner.source.revoke_all(&inner.resource, target.subject());
        ended = ended.and(revoked.await);
        let mut stored = settings.logins(&inner.tool).await?;
        stored = without(stored, self.issuer(), &inner.resource);
        let earlier = std::mem::take(&mut self.lock().earlier);
        for (source, resource) in earlier {
            stored = without(stored, source.issuer(), &resource);
            ended = ended.and(settings.end_of(&source, &resource).await);
        }
        ended = ended.and(settings.end_logins(stored).await);
        settings.drop_login(&inner.tool).await?;
        ended
    }

    /// Gives the tokens of this connection to the next one, if that is at another server.
    pub(super) fn hand_over(&self, next: &Self) {
        let mut earlier = self.lock().earlier.clone();
        let is_same = next.issuer().equals_in_discovery(self.issuer());
        if !is_same || next.resource() != self.resource() {
            earlier.push((self.0.source.clone(), self.0.resource.clone()));
        }
        let excess = earlier.len().saturating_sub(MAX_EARLIER);
        next.lock().earlier = earlier.split_off(excess);
    }
}

impl Settings {
    /// Ends the logins at servers of which only the names are known.
    async fn end_logins(&self, logins: Vec<(Issuer, Resource)>) -> Result<(), Error> {
        let mut ended = Ok(());
        for (issuer, resource) in logins {
            let done = match KnownServer::discover(&issuer, &*self.http, &*self.clock).await {
                Ok(server) => self.end_at(server, &resource).await,
                Err(error) => {
                    let forgotten = self.forget(&issuer, &resource).await;
                    forgotten.and(Err(error))
                }
            };
            ended = ended.and(done);
        }
        ended
    }

    /// Ends the logins at this server: revokes the tokens if the client is known there.
    async fn end_at(&self, server: KnownServer, resource: &Resource) -> Result<(), Error> {
        let metadata = server.server();
        let (client, others) = match self.known_clients(&metadata).await.map(split_last) {
            Ok(Some(clients)) => clients,
            unknown => {
                self.forget(metadata.issuer(), resource).await?;
                return Err(unknown.err().unwrap_or(Error::NeedsUser { last: None }));
            }
        };
        let mut source = TokenSource::of(server, client, Arc::clone(&self.http));
        source = source.with_clock(Arc::clone(&self.clock));
        if let Some(store) = &self.store {
            source = source.with_store(Arc::clone(store));
        }
        let mut ended = Ok(());
        for other in others {
            let source = source.clone().with_client(other);
            for subject in self.subjects(resource) {
                let revoked = source.revoke_own(resource, subject.as_deref());
                ended = ended.and(revoked.await);
            }
        }
        ended.and(self.end_of(&source, resource).await)
    }

    async fn end_of(&self, source: &TokenSource, resource: &Resource) -> Result<(), Error> {
        let mut ended = Ok(());
        for subject in self.subjects(resource) {
            let revoked = source.revoke_all(resource, subject.as_deref()).await;
            ended = ended.and(revoked);
        }
        ended
    }

    /// Removes the stored tokens of a server at which the client cannot revoke them.
    async fn forget(&self, issuer: &Issuer, resource: &Resource) -> Result<(), Error> {
        let Some(store) = &self.store else {
            return Ok(());
        };
        let mut ended = Ok(());
        for subject in self.subjects(resource) {
            let gone = forget_stored(&**store, issuer, resource, subject.as_deref());
            ended = ended.and(gone.await);
        }
        ended
    }

    /// Returns the clients as they are known at a server: none if none is registered there.
    async fn known_clients(
        &self,
        server: &ServerMetadata,
    ) -> Result<Vec<Arc<dyn Authenticate>>, Error> {
        match self.identities.at(server)? {
            Identity::Registered(client) | Identity::MetadataDocument(client) => Ok(vec![client]),
            Identity::Register(_) => {
                let registered = self.registrations(server.issuer()).await?;
                registered.iter().map(|it| self.client(it)).collect()
            }
        }
    }

    /// Returns the subjects that the tokens of the user may have.
    fn subjects(&self, resource: &Resource) -> Vec<Option<Box<str>>> {
        if let Some(subject) = &self.subject {
            return vec![Some(subject.clone())];
        }
        let of_provider = self.provider.as_ref().map(|it| {
            let target = Target::new(resource.clone(), ScopeSet::new());
            let target = target.with_subject_fingerprint(&it.subject.fingerprint());
            target.subject().map(Into::into)
        });
        std::iter::once(None).chain(of_provider).collect()
    }
}

fn split_last<T>(mut all: Vec<T>) -> Option<(T, Vec<T>)> {
    let last = all.pop()?;
    Some((last, all))
}

/// Returns the logins other than those for this resource at this server.
fn without(
    mut logins: Vec<(Issuer, Resource)>,
    server: &Issuer,
    tool: &Resource,
) -> Vec<(Issuer, Resource)> {
    logins.retain(|(issuer, resource)| !issuer.equals_in_discovery(server) || resource != tool);
    logins
}
