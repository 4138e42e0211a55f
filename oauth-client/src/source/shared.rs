//! Tokens that programs share by a store: one renewal for all of them.

use std::sync::Arc;
use std::time::Duration;

use aims_jose::digest::Fingerprint;
use aims_jose::random;
use aims_jose::time::{self, UnixTime};

use super::slot::{Failed, Kept, Leased, Slot, Unsaved};
use super::{Asker, Grant};
use crate::store::{ATTEMPTS, Lease, Owner, Record, StoreKey, TokenStore};
use crate::{Error, Refresh, Target, Token};

/// The time between two looks at a token that another program renews.
const LOOK: Duration = Duration::from_millis(100);
/// A stored token is used if it lives longer than this.
const LEFT: Duration = Duration::from_secs(10);
/// The number of attempts to store a new token at once, and the first pause between them.
const SAVES: usize = 4;
const PAUSE: Duration = Duration::from_millis(100);

/// Returns the group of the keys of a server.
pub(super) fn group_of(issuer: &str) -> String {
    StoreKey::group_of(&[Some("tokens"), Some(issuer)])
}

/// A record that this program may renew.
struct Held<'a> {
    store: &'a dyn TokenStore,
    key: &'a StoreKey,
    version: u64,
    record: Record,
}

impl Asker {
    pub(super) fn store_key(&self, grant: &dyn Grant) -> StoreKey {
        self.store_key_of(grant.cached_as(), grant.target())
    }

    pub(super) fn store_key_of(&self, cached_as: &str, target: &Target) -> StoreKey {
        let scopes = target.scopes().to_string();
        let bound = self.dpop.as_ref().map(|key| key.thumbprint().to_string());
        StoreKey::of(
            &[Some("tokens"), Some(self.server.issuer().as_str())],
            &[
                Some(self.client.client_id().as_str()),
                Some(cached_as),
                target.subject(),
                Some(target.resource().as_str()),
                Some(&scopes),
                target.details(),
                bound.as_deref(),
            ],
        )
    }

    fn owner(&self, grant: &dyn Grant) -> Owner {
        Owner::new(self.client.client_id(), grant.cached_as(), grant.target())
    }

    /// Gets a token that other programs may get at the same time.
    pub(super) async fn ask_shared(
        &self,
        store: &dyn TokenStore,
        grant: &Arc<dyn Grant>,
        slot: &Slot,
    ) -> Result<Kept, Failed> {
        let key = self.store_key(&**grant);
        let owner = random::id128(random::SYSTEM).map_err(Error::Random)?;
        if let Some(unsaved) = slot.unsaved() {
            // It may be usable still. Otherwise its refresh token is in the store now.
            self.save(store, &key, &**grant, &unsaved).await?;
            slot.settled(&unsaved.kept.token);
        }
        for _ in 0..ATTEMPTS {
            // The time of waiting for others must not cut the renewal: a server that renews, and
            // whose answer is not stored, may end the grant.
            let held = match self
                .in_time(self.lease(store, &key, &owner, grant, slot))
                .await?
            {
                Ok(kept) => return Ok(kept),
                Err(held) => held,
            };
            // Without a token, a logout or a login came meanwhile.
            if let Some(renewed) = self.renew_leased(*held, grant, slot).await? {
                return Ok(renewed);
            }
        }
        Err(Error::Interrupted.into())
    }

    /// Returns the stored token, or the right to renew it.
    async fn lease<'a>(
        &self,
        store: &'a dyn TokenStore,
        key: &'a StoreKey,
        owner: &str,
        grant: &Arc<dyn Grant>,
        slot: &Slot,
    ) -> Result<Result<Kept, Box<Held<'a>>>, Failed> {
        loop {
            let now = self.clock.now();
            let found = store.load(key).await?;
            let version = found.as_ref().map(|(_, version)| *version);
            let mut record = match &found {
                Some((text, _)) => Record::read(text)?,
                None => Record::default(),
            };
            if let Some(token) = self.usable(&record, grant, slot.refused(), now) {
                return Ok(Ok(self.kept(token, self.bound(now))));
            }
            if record
                .lease
                .as_ref()
                .is_some_and(|lease| lease.until > now.as_secs())
            {
                tokio::time::sleep(LOOK).await;
                continue;
            }
            // A grant that only a store can answer needs no lease if there is nothing in it.
            if grant.is_stored_only() && record.refresh_token.is_none() {
                return Err(Error::needs_user_after(None).into());
            }
            record.lease = Some(self.leased_to(owner, now));
            record.of = self.owner(&**grant);
            if record.grant.is_empty() {
                record.grant = random::id128(random::SYSTEM).map_err(Error::Random)?;
            }
            if let Some(version) = store.swap(key, version, Some(record.write())).await? {
                return Ok(Err(Box::new(Held {
                    store,
                    key,
                    version,
                    record,
                })));
            }
        }
    }

    /// Returns a lease for one request, and for storing its answer.
    fn leased_to(&self, owner: &str, now: UnixTime) -> Lease {
        Lease {
            owner: owner.to_owned(),
            until: time::after(now, self.timeout).as_secs().saturating_add(5),
        }
    }

    fn usable(
        &self,
        record: &Record,
        grant: &Arc<dyn Grant>,
        refused: Option<Fingerprint>,
        now: UnixTime,
    ) -> Option<Token> {
        let token = record.token(grant.target().resource(), self.dpop.as_ref())?;
        let lives = token.expires() > time::after(now, LEFT);
        // A token of an earlier certificate is of no use with the present one.
        let (key, certificate) = self.bound(now);
        let fits = match token.certificate() {
            None if certificate.is_some() => self.rules.unbound_tokens,
            bound => bound == certificate.as_ref(),
        };
        let is_usable = lives && fits && record.is_of_key(key);
        (is_usable && refused != Some(token.fingerprint())).then_some(token)
    }

    /// Renews a token while this program holds the lease.
    async fn renew_leased(
        &self,
        mut held: Held<'_>,
        grant: &Arc<dyn Grant>,
        slot: &Slot,
    ) -> Result<Option<Kept>, Failed> {
        let mut refused = None;
        if let Some(text) = held.record.refresh_token.clone() {
            let resource = grant.target().resource();
            let before = held.record.token(resource, self.dpop.as_ref());
            let asked = grant.target().scopes();
            let granted = before.as_ref().map_or(asked, Token::scopes);
            let refresh = Refresh::new(
                grant.target().clone(),
                text.into(),
                granted.clone(),
                self.rules.clone(),
            );
            let refresh = refresh.after(before.as_ref().and_then(Token::details));
            let refresh: Arc<dyn Grant> = Arc::new(refresh);
            let user = held.record.user.clone();
            match self.in_time(self.request(&refresh, user)).await {
                Ok(kept) => return self.stored(held, kept, grant, slot).await,
                Err(failed) if failed.rejects_grant() => {
                    refused = Some(failed.error);
                    held.record.refresh_token = None;
                }
                Err(failed) => return Err(held.release(failed).await),
            }
        }
        if grant.is_stored_only() {
            held.store.swap(held.key, Some(held.version), None).await?;
            return Err(Error::needs_user_after(refused).into());
        }
        if refused.is_some() {
            let now = self.clock.now();
            let owner = held.record.lease.take().map(|it| it.owner);
            held.record.lease = owner.map(|owner| self.leased_to(&owner, now));
            let value = Some(held.record.write());
            let dropped = held.store.swap(held.key, Some(held.version), value);
            held.version = dropped.await?.ok_or(Error::Interrupted)?;
        }
        match self.in_time(self.request(grant, None)).await {
            Ok(kept) => self.stored(held, kept, grant, slot).await,
            Err(failed) => Err(held.release(failed).await),
        }
    }

    /// Stores the token and its refresh token, and ends the lease, before the token is used.
    /// Returns `None` if a logout or a login came meanwhile.
    ///
    /// The server may have replaced the refresh token, so the new one is kept in memory until it is
    /// stored.
    async fn stored(
        &self,
        held: Held<'_>,
        kept: Kept,
        grant: &Arc<dyn Grant>,
        slot: &Slot,
    ) -> Result<Option<Kept>, Failed> {
        let unsaved = Unsaved {
            kept: kept.clone(),
            grant: held.record.grant.clone(),
            leased: Some(Leased {
                version: held.version,
                used: held.record.refresh_token.clone().map(Into::into),
            }),
        };
        let is_current = slot.keep_unsaved(unsaved.clone());
        let saved = self
            .save_soon(held.store, held.key, grant, &unsaved)
            .await?;
        slot.settled(&kept.token);
        Ok((saved && is_current).then_some(kept))
    }

    /// Tries to store a token several times. The next call of `token` tries again.
    async fn save_soon(
        &self,
        store: &dyn TokenStore,
        key: &StoreKey,
        grant: &Arc<dyn Grant>,
        unsaved: &Unsaved,
    ) -> Result<bool, Error> {
        let mut pause = PAUSE;
        for _ in 1..SAVES {
            match self.save(store, key, &**grant, unsaved).await {
                Err(error) if error.is_retryable() => {}
                ended => return ended,
            }
            tokio::time::sleep(pause).await;
            pause = pause.saturating_mul(2);
        }
        self.save(store, key, &**grant, unsaved).await
    }

    /// Stores a token, unless its record was removed or belongs to another login. Then it is
    /// revoked, as far as the server answers. Returns whether it is stored.
    async fn save(
        &self,
        store: &dyn TokenStore,
        key: &StoreKey,
        grant: &dyn Grant,
        unsaved: &Unsaved,
    ) -> Result<bool, Error> {
        let token = &*unsaved.kept.token;
        let (identity, _) = unsaved.kept.bound();
        let record = Record::of(token, identity, &unsaved.grant, self.owner(grant));
        let mut version = unsaved.leased.as_ref().map(|it| it.version);
        for _ in 0..ATTEMPTS {
            if let Some(leased) = version
                && store
                    .swap(key, Some(leased), Some(record.write()))
                    .await?
                    .is_some()
            {
                return Ok(true);
            }
            let found = store.load(key).await?;
            let current = found.as_ref().map(|(text, _)| Record::read(text));
            let current = current.transpose()?;
            // An earlier attempt may have succeeded although the store reported an error.
            if current.as_ref().is_some_and(|it| it.has(token)) {
                return Ok(true);
            }
            version = found.map(|(_, version)| version);
            let Some(leased) = &unsaved.leased else {
                // A login replaces everything.
                let value = Some(record.write());
                if store.swap(key, version.take(), value).await?.is_some() {
                    return Ok(true);
                }
                continue;
            };
            let own = current.filter(|it| it.grant == unsaved.grant);
            let Some(own) = own else {
                let _unreachable = self.revoke_all(record.to_revoke()).await;
                return Ok(false);
            };
            // The lease ended while the server answered, and another program was faster.
            let before = leased.used.as_ref().map(|it| it.expose());
            if own.refresh_token.as_deref() != before {
                return Ok(false);
            }
        }
        Err(Error::Interrupted)
    }

    /// Stores a token that a user just granted.
    pub(super) async fn store_granted(
        &self,
        grant: &Arc<dyn Grant>,
        kept: &Kept,
        slot: &Slot,
    ) -> Result<(), Error> {
        let Some(store) = &self.store else {
            return Ok(());
        };
        let unsaved = Unsaved {
            kept: kept.clone(),
            grant: random::id128(random::SYSTEM).map_err(Error::Random)?,
            leased: None,
        };
        slot.keep_unsaved_login(unsaved.clone());
        let key = self.store_key(&**grant);
        self.save_soon(&**store, &key, grant, &unsaved).await?;
        slot.settled(&kept.token);
        Ok(())
    }
}

impl Held<'_> {
    /// Ends the lease after a failure.
    async fn release(mut self, failed: Failed) -> Failed {
        self.record.lease = None;
        let value = Some(self.record.write());
        // The lease ends by itself, too.
        let _released = self.store.swap(self.key, Some(self.version), value).await;
        failed
    }
}
