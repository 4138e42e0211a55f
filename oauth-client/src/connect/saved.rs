//! The entries that a connector keeps beside tokens: registrations, and the last logins.

use aims_jose::json;
use aims_jose::secret::SecretText;
use aims_oauth_wire::names::{ClientId, Issuer, Resource, ScopeSet};
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
    /// The resource of the tokens, which may be broader than the tool.
    #[serde(default)]
    resource: Option<String>,
    /// The client that the tokens were issued to.
    #[serde(default)]
    client: Option<String>,
    /// Whether its tokens are bound to a key.
    #[serde(default)]
    is_bound: bool,
    /// The logins at the servers that the tool had before, until a logout.
    #[serde(default)]
    earlier: Vec<Place>,
}

/// A server and the resource of its tokens.
#[derive(Clone, Deserialize, Eq, PartialEq, Serialize)]
struct Place {
    issuer: String,
    resource: String,
}

/// The maximum number of earlier servers.
const MAX_EARLIER: usize = 16;

impl Login {
    fn read(text: &SecretText) -> Result<Self, Error> {
        let read = json::from_document(text.expose().as_bytes());
        read.map_err(|_malformed| Error::StoreContent)
    }

    /// Returns where there was a login, the last one first.
    fn places(self, tool: &Resource) -> Vec<Place> {
        let resource = self.resource.unwrap_or_else(|| tool.as_str().to_owned());
        let issuer = self.issuer;
        let mut places = vec![Place { issuer, resource }];
        places.extend(self.earlier);
        places.retain(|it| !it.issuer.is_empty());
        places
    }
}

/// The registration of a client at one server.
///
/// A token is renewed by the client of its login alone. So the client of a login by device code,
/// which has no redirect URI, does not replace the client of the logins in a browser.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Kept {
    Usual,
    Device,
}

impl Kept {
    const ALL: [Self; 2] = [Self::Usual, Self::Device];

    fn key(self, issuer: &Issuer) -> StoreKey {
        let issuer = Some(issuer.as_str());
        let parts: &[Option<&str>] = match self {
            Self::Usual => &[issuer],
            Self::Device => &[issuer, Some("device")],
        };
        StoreKey::of(&[Some("registration")], parts)
    }
}

fn place_of_login(settings: &Settings, resource: &Resource) -> StoreKey {
    let subject = settings.subject.as_deref();
    StoreKey::of(&[Some("login")], &[Some(resource.as_str()), subject])
}

impl Settings {
    /// Returns the registrations at this server that are stored and still valid.
    pub(super) async fn registrations(&self, issuer: &Issuer) -> Result<Vec<Registered>, Error> {
        let Some(store) = &self.store else {
            return Ok(Vec::new());
        };
        let now = self.clock.now();
        let mut all = Vec::new();
        for kept in Kept::ALL {
            let found = store.load(&kept.key(issuer)).await?;
            let found = found.and_then(|(text, _)| Registered::read(&text, issuer));
            all.extend(found.filter(|it| it.expires().is_none_or(|end| end > now)));
        }
        Ok(all)
    }

    pub(super) async fn keep_registered(
        &self,
        registered: &Registered,
        kept: Kept,
    ) -> Result<(), Error> {
        let value = StoredValue::new(registered.write(), registered.expires());
        let key = kept.key(registered.issuer());
        self.keep(&key, |_before| value.clone()).await
    }

    /// Returns where the registration of this client is stored.
    pub(super) async fn kept(&self, registered: &Registered) -> Result<Kept, Error> {
        let (device, issuer) = (Kept::Device, registered.issuer());
        let Some(store) = &self.store else {
            return Ok(Kept::Usual);
        };
        let stored = store.load(&device.key(issuer)).await?;
        let stored = stored.and_then(|(text, _)| Registered::read(&text, issuer));
        let is_it = stored.is_some_and(|it| it.client_id() == registered.client_id());
        Ok(if is_it { device } else { Kept::Usual })
    }

    /// Removes a registration that the server does not know any more, unless another program has
    /// registered anew.
    pub(super) async fn drop_registered(&self, registered: &Registered) -> Result<(), Error> {
        let Some(store) = &self.store else {
            return Ok(());
        };
        let issuer = registered.issuer();
        let key = self.kept(registered).await?.key(issuer);
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

    /// Returns the client of the last login for a resource, if it was at this server.
    pub(super) async fn login_client(
        &self,
        tool: &Resource,
        issuer: &Issuer,
    ) -> Result<Option<String>, Error> {
        let read = self.last_login(tool, issuer).await?;
        Ok(read.and_then(|it| it.client))
    }

    /// Returns the scopes of the last login for a resource, if it was at this server.
    pub(super) async fn login_scopes(
        &self,
        tool: &Resource,
        issuer: &Issuer,
    ) -> Result<Option<ScopeSet>, Error> {
        let read = self.last_login(tool, issuer).await?;
        match read.as_ref().map(|it| &*it.scope) {
            None => Ok(None),
            Some("") => Ok(Some(ScopeSet::new())),
            Some(scopes) => Ok(Some(scopes.parse()?)),
        }
    }

    /// Returns whether the tokens of the last login for a resource are bound, if it was at this
    /// server.
    pub(super) async fn is_login_bound(
        &self,
        tool: &Resource,
        issuer: &Issuer,
    ) -> Result<bool, Error> {
        let read = self.last_login(tool, issuer).await?;
        Ok(read.is_some_and(|it| it.is_bound))
    }

    async fn last_login(&self, tool: &Resource, issuer: &Issuer) -> Result<Option<Login>, Error> {
        let Some(store) = &self.store else {
            return Ok(None);
        };
        let Some((text, _)) = store.load(&place_of_login(self, tool)).await? else {
            return Ok(None);
        };
        let read = Login::read(&text)?;
        Ok((read.issuer == issuer.as_str()).then_some(read))
    }

    pub(super) async fn keep_login(
        &self,
        tool: &Resource,
        issuer: &Issuer,
        resource: &Resource,
        scopes: &ScopeSet,
        client: &ClientId,
        is_bound: bool,
    ) -> Result<(), Error> {
        let own = Place {
            issuer: issuer.as_str().to_owned(),
            resource: resource.as_str().to_owned(),
        };
        let write = |before: Option<SecretText>| {
            // A malformed entry is replaced.
            let before = before.and_then(|text| Login::read(&text).ok());
            let mut earlier = before.map_or_else(Vec::new, |it| it.places(tool));
            earlier.retain(|it| *it != own);
            earlier.truncate(MAX_EARLIER);
            let kept = Login {
                scope: scopes.to_string(),
                issuer: own.issuer.clone(),
                resource: Some(own.resource.clone()),
                client: Some(client.as_str().to_owned()),
                is_bound,
                earlier,
            };
            let text = serde_json::to_string(&kept).unwrap_or_default();
            StoredValue::new(SecretText::new(text), None)
        };
        self.keep(&place_of_login(self, tool), write).await
    }

    /// Returns the servers of all logins for a tool since the last logout, and the resources of
    /// their tokens.
    pub(super) async fn logins(&self, tool: &Resource) -> Result<Vec<(Issuer, Resource)>, Error> {
        let Some(store) = &self.store else {
            return Ok(Vec::new());
        };
        let Some((text, _)) = store.load(&place_of_login(self, tool)).await? else {
            return Ok(Vec::new());
        };
        let places = Login::read(&text)?.places(tool);
        let parsed = places.iter().map(|Place { issuer, resource }| {
            let issuer = issuer.parse().or_else(|_http| Issuer::loopback(issuer));
            let resource = resource
                .parse()
                .or_else(|_http| Resource::loopback(resource));
            Ok((issuer?, resource?))
        });
        parsed.collect()
    }

    /// Removes the last login.
    pub(super) async fn drop_login(&self, tool: &Resource) -> Result<(), Error> {
        let Some(store) = &self.store else {
            return Ok(());
        };
        let key = place_of_login(self, tool);
        if let Some((_, version)) = store.load(&key).await? {
            // A login that came meanwhile stays.
            let _version = store.swap(&key, Some(version), None).await?;
        }
        Ok(())
    }

    /// Stores what the function makes of the stored text.
    async fn keep(
        &self,
        key: &StoreKey,
        write: impl Fn(Option<SecretText>) -> StoredValue,
    ) -> Result<(), Error> {
        let Some(store) = &self.store else {
            return Ok(());
        };
        loop {
            let (text, version) = store.load(key).await?.unzip();
            let value = Some(write(text));
            if store.swap(key, version, value).await?.is_some() {
                return Ok(());
            }
        }
    }
}
