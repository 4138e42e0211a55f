//! The tokens that a source holds: their end at a logout, and at a signal of the server.

use std::collections::HashSet;
use std::sync::Arc;

use aims_jose::secret::SecretText;
use aims_oauth_wire::metadata::EndpointKind;
use aims_oauth_wire::names::{Issuer, Resource, root_slash_variant};

use super::shared::group_of;
use super::{Asker, TokenSource};
use crate::grant::CLIENT_CREDENTIALS;
use crate::step::drive;
use crate::store::{ATTEMPTS, Owner, Record, TokenStore};
use crate::token::User;
use crate::{Error, Grant, RevocationFlow, StoreKey, Target};

/// A token to revoke, and the name of its type.
pub(super) type ToRevoke = (SecretText, &'static str);

/// A stored token that was removed.
struct Removed {
    key: StoreKey,
    of: Owner,
    token: ToRevoke,
}

/// A signal of an authorization server that revokes tokens, such as a logout token (OpenID Connect
/// Back-Channel Logout) or a security event (CAEP, RISC). Verify the signal first.
///
/// A subject is the `sub` of the ID token that came with the login. Without an ID token, it is
/// compared with the [subject](crate::Target::with_subject) by which the program names its user;
/// tokens without both are dropped, because they may be the revoked ones. So are tokens of the
/// subject whose session is unknown. Tokens of the client itself have neither.
///
/// ```
/// use aims_oauth_client::{Error, RevocationSignal, TokenSource};
///
/// /// Returns how many grants ended.
/// async fn logged_out(source: &TokenSource, sub: &str, sid: &str) -> Result<usize, Error> {
///     let signal = RevocationSignal::of_issuer(source.issuer().clone());
///     source.drop_revoked(&signal.subject(sub).session(sid)).await
/// }
/// ```
#[derive(Clone, Debug)]
#[must_use = "nothing is dropped until `TokenSource::drop_revoked`"]
pub struct RevocationSignal {
    issuer: Issuer,
    subject: Option<Box<str>>,
    session: Option<Box<str>>,
}

impl RevocationSignal {
    /// Creates a signal about all tokens of this issuer.
    pub const fn of_issuer(issuer: Issuer) -> Self {
        Self {
            issuer,
            subject: None,
            session: None,
        }
    }

    /// Restricts the signal to tokens of this subject.
    pub fn subject(mut self, sub: impl Into<Box<str>>) -> Self {
        self.subject = Some(sub.into());
        self
    }

    /// Restricts the signal to tokens of this session.
    pub fn session(mut self, sid: impl Into<Box<str>>) -> Self {
        self.session = Some(sid.into());
        self
    }

    fn holds(&self, record: &Record) -> bool {
        let owner = &record.of;
        self.covers(
            &owner.cached_as,
            owner.named_subject(),
            record.user.as_ref(),
        )
    }

    fn covers(&self, cached_as: &str, named: Option<&str>, user: Option<&User>) -> bool {
        if self.subject.is_none() && self.session.is_none() {
            return true;
        }
        if cached_as == CLIENT_CREDENTIALS {
            return false;
        }
        let known = user.map(|it| &*it.sub).or(named);
        let is_subject = match (&self.subject, known) {
            (Some(subject), Some(known)) => **subject == *known,
            _ => true,
        };
        let known = user.and_then(|it| it.sid.as_deref());
        let is_session = match (&self.session, known) {
            (Some(session), Some(known)) => **session == *known,
            _ => true,
        };
        is_subject && is_session
    }
}

impl TokenSource {
    /// Removes the token and the refresh token of a grant, and revokes them at the server (RFC
    /// 7009), as at a logout. A server without a revocation endpoint is not asked.
    ///
    /// # Errors
    ///
    /// Those of [`RevocationFlow`](crate::RevocationFlow). The tokens are removed in every case.
    pub async fn revoke(&self, grant: &dyn Grant) -> Result<(), Error> {
        let slot = self.slot(grant)?;
        let unsaved = slot.unsaved().is_some();
        let held = slot.clear();
        let stored = self.asker.remove_stored(grant).await?;
        // The token that was not stored yet is the newest one.
        let removed = if unsaved { held } else { stored.or(held) };
        self.asker.revoke_all(removed).await
    }

    /// Removes all tokens of a user for this resource, whatever their scopes and grants, and
    /// revokes them at the server (RFC 7009), as at a logout. `subject` is that of their targets.
    ///
    /// Tokens of an earlier registration of the client are removed, and not revoked.
    ///
    /// # Errors
    ///
    /// The first of those of [`revoke`](Self::revoke). All others are removed and revoked still.
    pub async fn revoke_all(
        &self,
        resource: &Resource,
        subject: Option<&str>,
    ) -> Result<(), Error> {
        self.revoke_those(resource, subject, |_client| true).await
    }

    /// Revokes all tokens of this client for a resource and subject, and leaves those of other
    /// clients in the store.
    pub(crate) async fn revoke_own(
        &self,
        resource: &Resource,
        subject: Option<&str>,
    ) -> Result<(), Error> {
        let own = self.asker.client.client_id().as_str();
        self.revoke_those(resource, subject, |client| client == own)
            .await
    }

    async fn revoke_those(
        &self,
        resource: &Resource,
        subject: Option<&str>,
        of_client: impl Fn(&str) -> bool,
    ) -> Result<(), Error> {
        let is_it = |it: &Target| it.resource() == resource && it.subject() == subject;
        let mut removed: Vec<ToRevoke> = Vec::new();
        self.slots.each(|slot| {
            if is_it(&slot.target) {
                removed.extend(slot.clear());
            }
        });
        let is_of = |record: &Record| {
            record.of.resource == resource.as_str()
                && record.of.subject.as_deref() == subject
                && of_client(&record.of.client)
        };
        let (stored, ended) = self.asker.remove_matching(is_of).await;
        for Removed { of, token, .. } in stored {
            let is_new = removed.iter().all(|(text, _)| *text != token.0);
            if is_new && of.client == self.asker.client.client_id().as_str() {
                removed.push(token);
            }
        }
        ended.and(self.asker.revoke_all(removed).await)
    }

    /// Drops the tokens that a signal of the authorization server revoked, from memory and from the
    /// store. The next call of [`token`](Self::token) does not return them, also if a renewal is
    /// running. They are not revoked again. Returns the number of dropped grants.
    ///
    /// Other processes drop what they cached when they get the same signal; they cannot renew it.
    ///
    /// # Errors
    ///
    /// Those of the store. The tokens in memory are dropped in every case.
    pub async fn drop_revoked(&self, revoked: &RevocationSignal) -> Result<usize, Error> {
        if !revoked.issuer.equals_in_discovery(self.issuer()) {
            return Ok(0);
        }
        let mut dropped = HashSet::new();
        self.slots.each(|slot| {
            let (cached_as, target) = (&slot.cached_as, &slot.target);
            let user = slot.user();
            if revoked.covers(cached_as, target.named_subject(), user.as_ref())
                && slot.clear().is_some()
            {
                dropped.insert(self.asker.store_key_of(cached_as, target));
            }
        });
        let (stored, ended) = self.asker.remove_matching(|it| revoked.holds(it)).await;
        // A grant in memory may be in the store as well, or in one of them alone.
        dropped.extend(stored.into_iter().map(|it| it.key));
        ended.map(|()| dropped.len())
    }
}

impl Asker {
    /// Removes a stored token. Returns what is to be revoked.
    async fn remove_stored(&self, grant: &dyn Grant) -> Result<Option<ToRevoke>, Error> {
        let Some(store) = &self.store else {
            return Ok(None);
        };
        let key = self.store_key(grant);
        let removed = remove(&**store, &key, |_| true).await?;
        Ok(removed.and_then(|it| it.to_revoke()))
    }

    /// Removes all stored tokens of this server that fulfil the condition, also if one of them
    /// cannot be removed.
    async fn remove_matching(
        &self,
        condition: impl Fn(&Record) -> bool,
    ) -> (Vec<Removed>, Result<(), Error>) {
        match &self.store {
            Some(store) => remove_matching(&**store, self.server.issuer(), condition).await,
            None => (Vec::new(), Ok(())),
        }
    }

    /// Revokes tokens. Returns the first error.
    pub(super) async fn revoke_all(
        &self,
        tokens: impl IntoIterator<Item = ToRevoke>,
    ) -> Result<(), Error> {
        let server = self.server.server();
        if server.endpoint(EndpointKind::Revocation).is_none() {
            return Ok(());
        }
        let mut ended = Ok(());
        for (token, hint) in tokens {
            let (client, server) = (Arc::clone(&self.client), Arc::clone(&server));
            let revoked = async {
                let first = RevocationFlow::of(token, hint, client, server, self.clock.now())?;
                drive(first, &*self.http, &*self.clock).await
            };
            ended = ended.and(revoked.await);
        }
        ended
    }
}

/// Removes all stored tokens of a server that fulfil the condition, also if one of them cannot be
/// removed. Both spellings of an issuer with an empty path are one server (RFC 3986 §6.2.3).
async fn remove_matching(
    store: &dyn TokenStore,
    issuer: &Issuer,
    condition: impl Fn(&Record) -> bool,
) -> (Vec<Removed>, Result<(), Error>) {
    let (mut removed, mut ended) = (Vec::new(), Ok(()));
    let variant = root_slash_variant(issuer.as_str());
    let mut keys = Vec::new();
    for spelling in [Some(issuer.as_str()), variant.as_deref()] {
        let Some(spelling) = spelling else { continue };
        match store.keys(&group_of(spelling)).await {
            Ok(found) => keys.extend(found),
            Err(error) => ended = ended.and(Err(error)),
        }
    }
    for key in keys {
        match remove(store, &key, &condition).await {
            Ok(Some(record)) => {
                let token = record.to_revoke();
                let of = record.of;
                removed.extend(token.map(|token| Removed { key, of, token }));
            }
            Ok(None) => {}
            Err(error) => ended = ended.and(Err(error)),
        }
    }
    (removed, ended)
}

async fn remove(
    store: &dyn TokenStore,
    key: &StoreKey,
    condition: impl Fn(&Record) -> bool,
) -> Result<Option<Record>, Error> {
    for _ in 0..ATTEMPTS {
        let Some((text, version)) = store.load(key).await? else {
            return Ok(None);
        };
        let record = Record::read(&text)?;
        if !condition(&record) {
            return Ok(None);
        }
        if store.swap(key, Some(version), None).await?.is_some() {
            return Ok(Some(record));
        }
    }
    Err(Error::Interrupted)
}

/// Drops the stored tokens that a signal revoked, for a program that has no source for them.
pub(crate) async fn drop_stored(
    store: &dyn TokenStore,
    revoked: &RevocationSignal,
) -> Result<usize, Error> {
    let (removed, ended) = remove_matching(store, &revoked.issuer, |it| revoked.holds(it)).await;
    ended.map(|()| removed.len())
}

/// Removes the stored tokens of a subject for a resource, where the client cannot revoke them.
pub(crate) async fn forget_stored(
    store: &dyn TokenStore,
    issuer: &Issuer,
    resource: &Resource,
    subject: Option<&str>,
) -> Result<(), Error> {
    let is_of = |record: &Record| {
        record.of.resource == resource.as_str() && record.of.subject.as_deref() == subject
    };
    remove_matching(store, issuer, is_of).await.1
}
