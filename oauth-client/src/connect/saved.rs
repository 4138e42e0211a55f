//! The entries that a connector keeps beside tokens: registrations, and the scopes of logins.

use aims_jose::json;
use aims_jose::secret::SecretText;
use aims_oauth_wire::names::{Issuer, Resource, ScopeSet};
use serde::{Deserialize, Serialize};

use super::Settings;
use crate::store::{StoreKey, StoredValue};
use crate::{Error, Registered};

#[derive(Deserialize, Serialize)]
struct Login {
    scope: String,
    /// The server. Its scopes are not those of another one.
    #[serde(default)]
    issuer: String,
}

fn registration(issuer: &Issuer) -> StoreKey {
    StoreKey::of(&[Some("registration")], &[Some(issuer.as_str())])
}

fn login(settings: &Settings, resource: &Resource) -> StoreKey {
    let subject = settings.subject.as_deref();
    StoreKey::of(&[Some("login")], &[Some(resource.as_str()), subject])
}

impl Settings {
    /// Returns the registration at this server, if it is stored and still valid.
    pub(super) async fn registered(&self, issuer: &Issuer) -> Result<Option<Registered>, Error> {
        let Some(store) = &self.store else {
            return Ok(None);
        };
        let found = store.load(&registration(issuer)).await?;
        let found = found.and_then(|(text, _)| Registered::read(&text, issuer));
        let now = self.clock.now();
        Ok(found.filter(|it| it.expires().is_none_or(|end| end > now)))
    }

    pub(super) async fn keep_registered(&self, registered: &Registered) -> Result<(), Error> {
        let value = StoredValue::new(registered.write(), registered.expires());
        self.keep(&registration(registered.issuer()), value).await
    }

    /// Removes a registration that the server does not know any more, unless another program has
    /// registered anew.
    pub(super) async fn drop_registered(&self, registered: &Registered) -> Result<(), Error> {
        let Some(store) = &self.store else {
            return Ok(());
        };
        let issuer = registered.issuer();
        let key = registration(issuer);
        let Some((text, version)) = store.load(&key).await? else {
            return Ok(());
        };
        let stored = Registered::read(&text, issuer);
        if stored.is_none_or(|it| it.is_same(registered)) {
            // If it was replaced meanwhile, the new one stays.
            let _version = store.swap(&key, Some(version), None).await?;
        }
        Ok(())
    }

    /// Returns the scopes of the last login for a resource, if it was at this server.
    pub(super) async fn login_scopes(
        &self,
        tool: &Resource,
        issuer: &Issuer,
    ) -> Result<Option<ScopeSet>, Error> {
        let Some(store) = &self.store else {
            return Ok(None);
        };
        let Some((text, _)) = store.load(&login(self, tool)).await? else {
            return Ok(None);
        };
        let read = json::from_document::<Login>(text.expose().as_bytes());
        let read = read.map_err(|_malformed| Error::StoreContent)?;
        if read.issuer != issuer.as_str() {
            return Ok(None);
        }
        match &*read.scope {
            "" => Ok(Some(ScopeSet::new())),
            scopes => Ok(Some(scopes.parse()?)),
        }
    }

    pub(super) async fn keep_login(
        &self,
        tool: &Resource,
        issuer: &Issuer,
        scopes: &ScopeSet,
    ) -> Result<(), Error> {
        let kept = Login {
            scope: scopes.to_string(),
            issuer: issuer.as_str().to_owned(),
        };
        let text = serde_json::to_string(&kept).unwrap_or_default();
        let value = StoredValue::new(SecretText::new(text), None);
        self.keep(&login(self, tool), value).await
    }

    /// Removes the scopes of the last login.
    pub(super) async fn drop_login(&self, tool: &Resource) -> Result<(), Error> {
        let Some(store) = &self.store else {
            return Ok(());
        };
        let key = login(self, tool);
        if let Some((_, version)) = store.load(&key).await? {
            // A login that came meanwhile stays.
            let _version = store.swap(&key, Some(version), None).await?;
        }
        Ok(())
    }

    async fn keep(&self, key: &StoreKey, value: StoredValue) -> Result<(), Error> {
        let Some(store) = &self.store else {
            return Ok(());
        };
        loop {
            let version = store.load(key).await?.map(|(_, version)| version);
            if store
                .swap(key, version, Some(value.clone()))
                .await?
                .is_some()
            {
                return Ok(());
            }
        }
    }
}
