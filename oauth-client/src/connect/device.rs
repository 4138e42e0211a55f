//! A login by a code that the user enters on another device (RFC 8628).

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use aims_jose::time::until;
use aims_oauth_wire::token::TokenError;

use super::way::{is_named, is_of_server};
use super::{Connection, Progress};
use crate::error::BoxError;
use crate::grant::unshowable;
use crate::step::drive;
use crate::{DeviceLogin, DeviceRequest, Error, Target, Token};

type Function = dyn Fn(&DeviceLogin) -> Result<(), BoxError> + Send + Sync;

/// Shows the code to the user.
#[derive(Clone)]
pub(super) struct Show(pub(super) Arc<Function>);

/// How long the last answer of the server may take after the code has expired.
const GRACE: Duration = Duration::from_secs(30);
/// The maximum time for one login, whatever the server says.
const LONGEST: Duration = Duration::from_secs(3_600);

impl Connection {
    /// Requests a code, shows it, and waits for the user.
    pub(super) async fn by_device(&self, target: Target) -> Result<Arc<Token>, Error> {
        let (inner, settings) = (&*self.0, &*self.0.settings);
        let show = settings.by_device.as_ref();
        let show = show.ok_or(Error::NeedsUser { last: None })?;
        let server = inner.source.server();
        let is_named = is_named(settings, &server);
        let login = match self.device_login(target).await {
            Err(error) if self.refuses_offline(&error)? => self.device_login(self.target()).await?,
            begun => begun?,
        };
        let complete = login.verification_uri_complete();
        let is_own = |url| is_of_server(url, &server);
        let are_own = is_own(login.verification_uri()) && complete.is_none_or(is_own);
        // It may pass on the code of another server, where the user would log in for it.
        if !is_named && !are_own {
            return Err(unshowable(
                "`verification_uri`: expected the origin of the issuer or of the token endpoint; \
                 accept the issuer by name if it has another one",
            ));
        }
        settings.tell(&Progress::WaitingForDevice {
            issuer: self.issuer(),
            url: login.verification_uri().as_str(),
            complete_url: complete.map(|it| it.as_str()),
            code: login.user_code(),
            expires: login.expires(),
        });
        (show.0)(&login).map_err(|source| Error::Browser(Arc::from(source)))?;
        let left = until(login.expires(), settings.clock.now());
        let most = left.min(LONGEST).saturating_add(GRACE);
        let redeemed = inner.source.redeem_within(login.into_grant(), most).await;
        let token = redeemed.map_err(|error| match error.refusal().map(TokenError::error) {
            Some("expired_token" | "authorization_pending" | "slow_down") => Error::LoginTimeout,
            _ => error,
        })?;
        self.keep_login().await?;
        settings.tell(&Progress::Connected(self.issuer()));
        Ok(token)
    }

    /// Requests a code.
    async fn device_login(&self, target: Target) -> Result<DeviceLogin, Error> {
        let (inner, settings) = (&*self.0, &*self.0.settings);
        let (client, server) = (Arc::clone(&inner.client), inner.source.server());
        let request = DeviceRequest::new(target).with_rules(settings.rules.clone());
        let first = request.begin(client, server, settings.clock.now())?;
        drive(first, &*settings.http, &*settings.clock).await
    }
}

impl fmt::Debug for Show {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Show")
    }
}
