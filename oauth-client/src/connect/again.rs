//! The end of a connection: its registration is over, or the tool has moved.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use aims_oauth_wire::challenge::Challenges;
use aims_oauth_wire::token::TokenError;

use super::requested::Offline;
use super::{Connection, Connector, find};
use crate::{Error, Registered};

/// The dynamic registration of the client, whose end ends the connection.
pub(super) struct Registration {
    registered: Registered,
    /// Whether the server did not know it any more.
    is_forgotten: AtomicBool,
}

impl Registration {
    pub(super) const fn of(registered: Registered) -> Self {
        Self {
            registered,
            is_forgotten: AtomicBool::new(false),
        }
    }
}

impl Connection {
    /// Returns whether the registration of the client has ended: its secret has expired (RFC 7591
    /// §3.2.1), or the server answered `invalid_client` to it. [Connect](Self::reconnect) again
    /// then: that registers anew.
    #[must_use]
    pub fn has_ended(&self) -> bool {
        let now = self.0.settings.clock.now();
        self.0.registration.as_ref().is_some_and(|it| {
            it.registered.expires().is_some_and(|end| end <= now)
                || it.is_forgotten.load(Ordering::Acquire)
        })
    }

    /// Connects again, to a tool that has [moved](Self::is_current), or after the registration of
    /// the client has [ended](Self::has_ended). Empty challenges stand for those of the first
    /// connection. At the same server, the scopes stay those of this connection.
    ///
    /// # Errors
    ///
    /// Those of [`Connector::connect`].
    pub async fn reconnect(&self, challenges: &Challenges) -> Result<Self, Error> {
        let inner = &*self.0;
        let challenges = match challenges.is_empty() {
            true => &inner.challenges,
            false => challenges,
        };
        let connector = Connector(Arc::clone(&inner.settings));
        let again = connector.connect(&inner.tool, challenges).await?;
        if again.issuer().equals_in_discovery(self.issuer()) {
            let mut requested = again.lock();
            for scope in self.scopes().iter() {
                requested.scopes.insert(scope.clone())?;
            }
            let is_refused = self.lock().offline == Offline::Refused;
            if is_refused && requested.offline == Offline::Listed {
                requested.refuse_offline()?;
            }
        }
        self.hand_over(&again);
        Ok(again)
    }

    /// Reads the metadata of the tool anew, as its challenges with `resource_metadata` ask for (RFC
    /// 9728 §5.2). Returns whether the tool and its authorization server are still those of this
    /// connection. If not, [connect](Self::reconnect) again.
    ///
    /// Returns `true` if the challenges have no `resource_metadata`, and if the metadata cannot be
    /// read at present.
    ///
    /// # Errors
    ///
    /// Those of discovery, such as `discovery.no_server`, if the metadata cannot be used.
    pub async fn is_current(&self, challenges: &Challenges) -> Result<bool, Error> {
        let inner = &*self.0;
        if challenges.resource_metadata_places(&inner.tool).is_empty() {
            return Ok(true);
        }
        match find::find(&inner.settings, &inner.tool, challenges).await {
            Ok(found) => Ok(found.resource == inner.resource
                && found.server.issuer().equals_in_discovery(self.issuer())),
            Err(error) if error.is_retryable() => Ok(true),
            Err(error) => Err(error),
        }
    }

    /// Drops the registration if the server has forgotten it.
    pub(super) async fn known<T>(&self, outcome: Result<T, Error>) -> Result<T, Error> {
        if let (Err(error), Some(registration)) = (&outcome, &self.0.registration)
            && is_unknown_client(error)
        {
            registration.is_forgotten.store(true, Ordering::Release);
            let settings = &self.0.settings;
            settings.drop_registered(&registration.registered).await?;
        }
        outcome
    }
}

/// Returns whether the token endpoint did not know the client.
fn is_unknown_client(error: &Error) -> bool {
    match error {
        Error::BackingOff { last } => is_unknown_client(last),
        _ => error.refusal().map(TokenError::error) == Some("invalid_client"),
    }
}
