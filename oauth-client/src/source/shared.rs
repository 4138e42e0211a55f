//! Tokens that programs share by a store: one renewal for all of them.

use std::sync::Arc;
use std::time::Duration;

use aims_jose::digest::Fingerprint;
use aims_jose::random;
use aims_jose::time::{self, UnixTime};

use super::slot::{Failed, Kept, Slot};
use super::{Asker, Grant};
use crate::store::{Lease, Record, StoreKey, TokenStore};
use crate::{Error, Refresh, Token};

/// The time between two looks at a token that another program renews.
const LOOK: Duration = Duration::from_millis(100);
/// A stored token is used if it lives longer than this.
const LEFT: Duration = Duration::from_secs(10);

impl Asker {
    fn store_key(&self, grant: &dyn Grant) -> StoreKey {
        let target = grant.target();
        let scopes = target.scopes().to_string();
        let bound = self.dpop.as_ref().map(|key| key.thumbprint().to_string());
        StoreKey::of(&[
            Some(self.server.issuer().as_str()),
            Some(self.client.client_id().as_str()),
            Some(grant.cached_as()),
            target.subject(),
            Some(target.resource().as_str()),
            Some(&scopes),
            target.details(),
            bound.as_deref(),
        ])
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
        loop {
            let now = self.clock.now();
            let found = store.load(&key).await?;
            let version = found.as_ref().map(|(_, version)| *version);
            let mut record = match &found {
                Some((text, _)) => Record::read(text)?,
                None => Record::default(),
            };
            if let Some(token) = self.usable(&record, grant, slot.refused(), now) {
                return Ok(Kept::new(token, self.key(now), self.random, now));
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
            record.lease = Some(Lease {
                owner: owner.clone(),
                until: time::after(now, self.timeout).as_secs().saturating_add(5),
            });
            let Some(leased) = store.swap(&key, version, Some(record.write())).await? else {
                continue;
            };
            let renewed = self.renew_leased(store, &key, leased, record, grant, slot);
            return renewed.await;
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
        (lives && refused != Some(token.fingerprint())).then_some(token)
    }

    /// Renews a token while this program holds the lease.
    async fn renew_leased(
        &self,
        store: &dyn TokenStore,
        key: &StoreKey,
        mut version: u64,
        mut record: Record,
        grant: &Arc<dyn Grant>,
        slot: &Slot,
    ) -> Result<Kept, Failed> {
        let mut refused = None;
        if let Some(text) = record.refresh_token.clone() {
            let granted = record.token(grant.target().resource(), self.dpop.as_ref());
            let granted = granted.map_or_else(
                || grant.target().scopes().clone(),
                |token| token.scopes().clone(),
            );
            let refresh = Refresh::new(grant.target().clone(), text.into(), granted, self.rules);
            let refresh: Arc<dyn Grant> = Arc::new(refresh);
            match self.request(&refresh).await {
                Ok(kept) => return self.stored(store, key, version, kept, slot).await,
                Err(failed) if failed.rejects_grant() => {
                    refused = Some(failed.error);
                    record.refresh_token = None;
                }
                Err(failed) => {
                    record.lease = None;
                    store.swap(key, Some(version), Some(record.write())).await?;
                    return Err(failed);
                }
            }
        }
        if grant.is_stored_only() {
            store.swap(key, Some(version), None).await?;
            return Err(Error::needs_user_after(refused).into());
        }
        if refused.is_some() {
            let dropped = store.swap(key, Some(version), Some(record.write())).await?;
            version = dropped.ok_or(Error::Interrupted)?;
        }
        match self.request(grant).await {
            Ok(kept) => self.stored(store, key, version, kept, slot).await,
            Err(failed) => {
                record.lease = None;
                store.swap(key, Some(version), Some(record.write())).await?;
                Err(failed)
            }
        }
    }

    /// Stores the token and its refresh token, and ends the lease, before the token is used.
    async fn stored(
        &self,
        store: &dyn TokenStore,
        key: &StoreKey,
        version: u64,
        kept: Kept,
        slot: &Slot,
    ) -> Result<Kept, Failed> {
        let record = Record::of(&kept.token).write();
        let swapped = store.swap(key, Some(version), Some(record.clone())).await?;
        // A logout removed the record; it stays away.
        if swapped.is_none() && slot.is_current() {
            // The lease ended while the server answered. The newest refresh token is this one.
            self.replace(store, key, Some(record)).await?;
        }
        Ok(kept)
    }

    async fn replace(
        &self,
        store: &dyn TokenStore,
        key: &StoreKey,
        value: Option<aims_jose::secret::SecretText>,
    ) -> Result<(), Error> {
        loop {
            let version = store.load(key).await?.map(|(_, version)| version);
            if version.is_none() && value.is_none() {
                return Ok(());
            }
            if store.swap(key, version, value.clone()).await?.is_some() {
                return Ok(());
            }
        }
    }

    /// Stores a token that a user just granted.
    pub(super) async fn store_granted(
        &self,
        grant: &dyn Grant,
        token: &Token,
    ) -> Result<(), Error> {
        let Some(store) = &self.store else {
            return Ok(());
        };
        let record = Record::of(token).write();
        self.replace(&**store, &self.store_key(grant), Some(record))
            .await
    }

    /// Removes a stored token. Returns its refresh token, or itself, to be revoked.
    pub(super) async fn remove_stored(
        &self,
        grant: &dyn Grant,
    ) -> Result<Option<(aims_jose::secret::SecretText, &'static str)>, Error> {
        let Some(store) = &self.store else {
            return Ok(None);
        };
        let key = self.store_key(grant);
        let Some((text, _)) = store.load(&key).await? else {
            return Ok(None);
        };
        let record = Record::read(&text)?;
        self.replace(&**store, &key, None).await?;
        let refresh = record.refresh_token.clone();
        let access = || {
            let token = record.token(grant.target().resource(), self.dpop.as_ref())?;
            Some((token.text.clone(), "access_token"))
        };
        Ok(refresh
            .map(|it| (it.into(), "refresh_token"))
            .or_else(access))
    }
}
