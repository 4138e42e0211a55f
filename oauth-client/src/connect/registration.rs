//! The registrations of a connector: their start, and their management (RFC 7592).

use std::sync::Arc;

use aims_oauth_wire::client_auth::Authenticate;
use aims_oauth_wire::metadata::ServerMetadata;
use aims_oauth_wire::names::{Issuer, Resource};

use super::{Connector, Settings, Way};
use crate::step::drive;
use crate::{ClientMetadata, Error, ManagementFlow, Registered, RegistrationFlow, Step};

impl Connector {
    /// Returns the stored registration at this server, if there is one that has not expired: that
    /// of logins in a browser, or else that of logins by a code on another device.
    ///
    /// # Errors
    ///
    /// Those of the store.
    pub async fn registration(&self, issuer: &Issuer) -> Result<Option<Registered>, Error> {
        Ok(self.0.registrations(issuer).await?.into_iter().next())
    }

    /// Reads the registration at this server again (RFC 7592 §2.1). A new secret or access token
    /// of it is stored before this returns. Connections that exist keep the old secret, so connect
    /// again.
    ///
    /// # Errors
    ///
    /// - `client.registration` if none is stored, or the server gave no management of it.
    /// - `client.registration_gone` if the server does not know it any more.
    /// - `client.registration_refused`, and those of the store.
    pub async fn read_registration(&self, issuer: &Issuer) -> Result<Registered, Error> {
        let registered = self.stored(issuer).await?;
        self.renewed(ManagementFlow::read(&registered)?).await
    }

    /// Replaces the metadata of the registration at this server (RFC 7592 §2.2), as
    /// [`ManagementFlow::update`] does. Otherwise like
    /// [`read_registration`](Self::read_registration).
    ///
    /// # Errors
    ///
    /// Those of [`read_registration`](Self::read_registration).
    pub async fn update_registration(
        &self,
        issuer: &Issuer,
        metadata: &ClientMetadata,
    ) -> Result<Registered, Error> {
        let registered = self.stored(issuer).await?;
        self.renewed(ManagementFlow::update(&registered, metadata)?)
            .await
    }

    /// Deletes the registration at this server (RFC 7592 §2.3), and removes it from the store. It
    /// is removed as well if the server does not know it.
    ///
    /// # Errors
    ///
    /// Those of [`read_registration`](Self::read_registration).
    pub async fn delete_registration(&self, issuer: &Issuer) -> Result<(), Error> {
        let registered = self.stored(issuer).await?;
        let first = ManagementFlow::delete(&registered)?;
        match drive(first, &*self.0.http, &*self.0.clock).await {
            Ok(_) | Err(Error::RegistrationGone) => self.0.drop_registered(&registered).await,
            Err(error) => Err(error),
        }
    }

    async fn stored(&self, issuer: &Issuer) -> Result<Registered, Error> {
        let stored = self.registration(issuer).await?;
        stored.ok_or(Error::Registration {
            reason: "none is stored for this server",
        })
    }

    async fn renewed(
        &self,
        first: Step<Option<Registered>, ManagementFlow>,
    ) -> Result<Registered, Error> {
        let renewed = drive(first, &*self.0.http, &*self.0.clock).await?;
        let renewed = renewed.ok_or(Error::RegistrationGone)?;
        let kept = self.0.kept(&renewed).await?;
        self.0.keep_registered(&renewed, kept).await?;
        Ok(renewed)
    }
}

impl Settings {
    /// Returns the stored registration at this server, unless the client would ask for another one
    /// now: with its key, or for this grant. A program without a user has the one of its login.
    pub(super) async fn suitable(
        &self,
        tool: &Resource,
        metadata: &ClientMetadata,
        server: &ServerMetadata,
        way: Way,
    ) -> Result<Option<Registered>, Error> {
        let grant_type = way.grant_type();
        let is_asked = way == Way::Device || metadata.has_grant(grant_type);
        let grant_type = is_asked.then_some(grant_type);
        let issuer = server.issuer();
        let mut stored = self.registrations(issuer).await?;
        if !self.by_stored {
            stored.retain(|it| it.suits(metadata, server, grant_type));
        } else if stored.len() > 1 {
            let client = self.login_client(tool, issuer).await?;
            let is_it = |it: &Registered| client.as_deref() == Some(it.client_id().as_str());
            if stored.iter().any(is_it) {
                stored.retain(is_it);
            }
        }
        Ok(stored.into_iter().next())
    }

    /// Registers the client. A client that states `private_key_jwt` needs its key.
    pub(super) async fn register(
        &self,
        metadata: &ClientMetadata,
        server: &ServerMetadata,
    ) -> Result<Registered, Error> {
        let method = metadata.at(server);
        let needs_key = method.token_endpoint_auth_method() == "private_key_jwt";
        if needs_key && self.identities.key().is_none() {
            return Err(Error::ClientMetadata {
                reason: "`private_key_jwt` needs a key; call `Identities::register_with_key`",
            });
        }
        let access = self.identities.access(server.issuer());
        let first = RegistrationFlow::begin(metadata, server, access)?;
        drive(first, &*self.http, &*self.clock).await
    }

    /// Returns the authentication of a registered client.
    pub(super) fn client(&self, registered: &Registered) -> Result<Arc<dyn Authenticate>, Error> {
        match self.identities.key() {
            Some(key) => registered.client_with_key(key),
            None => registered.client(),
        }
    }
}
