//! The keys that the identity server publishes for its origins.

use std::sync::Arc;

use aims_jose::jwk::{Jwk, PublicJwkSet};
use aims_jose::time::UnixTime;
use aims_wimse_cred::{Bundle, TrustStore};
use aims_wimse_id::{Origin, Scheme};
use serde::Serialize;

use super::IdentityServer;
use crate::Error;

/// A SPIFFE bundle (SPIFFE Trust Domain and Bundle §4).
#[derive(Serialize)]
struct SpiffeBundle {
    keys: Vec<Jwk>,
    spiffe_sequence: u64,
    spiffe_refresh_hint: u64,
}

impl IdentityServer {
    /// Returns the bundle of one origin as JSON: a SPIFFE bundle for `spiffe`, a JWK set (RFC 7517
    /// §5) for `wimse`. It is empty if the trust domain is not valid for that scheme.
    ///
    /// The sequence begins with the time of the start, so it also increases over restarts.
    #[must_use]
    pub fn bundle(&self, scheme: Scheme, now: UnixTime) -> String {
        match scheme {
            Scheme::Spiffe => {
                let (mut keys, _) = self.rings.wit_svid.published(now);
                let (jwt_svid, _) = self.rings.jwt_svid.published(now);
                keys.extend(jwt_svid);
                let bundle = SpiffeBundle {
                    keys,
                    spiffe_sequence: self.sequence(now),
                    spiffe_refresh_hint: self.refresh_hint.as_secs(),
                };
                // Strings and numbers always serialize.
                serde_json::to_string(&bundle).unwrap_or_default()
            }
            Scheme::Wimse if self.origins.wimse.is_some() => {
                let (keys, _) = self.rings.wimse_wit.published(now);
                keys.into_iter().collect::<PublicJwkSet>().to_json()
            }
            Scheme::Wimse => PublicJwkSet::default().to_json(),
        }
    }

    /// Returns `spiffe_sequence` at this time.
    #[must_use]
    pub fn sequence(&self, now: UnixTime) -> u64 {
        let changes = [&self.rings.wit_svid, &self.rings.jwt_svid].map(|ring| ring.changes(now));
        changes.into_iter().fold(self.started, u64::saturating_add)
    }

    /// Returns the origin of a scheme, or `None` if the trust domain is not valid for it.
    #[must_use]
    pub const fn origin(&self, scheme: Scheme) -> Option<&Origin> {
        match scheme {
            Scheme::Spiffe => Some(&self.origins.spiffe),
            Scheme::Wimse => self.origins.wimse.as_ref(),
        }
    }

    /// Returns the trust store of this server, with its own current bundles.
    ///
    /// It is for programs that verify in the same process; other programs fetch the bundle.
    ///
    /// # Errors
    ///
    /// `authority.bundle`, which the own bundles never cause.
    pub fn refreshed_trust(&self, now: UnixTime) -> Result<&Arc<TrustStore>, Error> {
        let state = (self.sequence(now), self.rings.wimse_wit.changes(now));
        // Hold the lock while the bundles are set, so that no thread sees the new state with old
        // bundles.
        let mut seen = self
            .published
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner);
        if *seen != Some(state) {
            for scheme in [Scheme::Spiffe, Scheme::Wimse] {
                if let Some(origin) = self.origin(scheme) {
                    let bundle = self.bundle(scheme, now);
                    let bundle = Bundle::parse(origin, bundle.as_bytes(), self.provider)
                        .map_err(Error::Bundle)?;
                    self.trust.set(bundle).map_err(Error::Bundle)?;
                }
            }
            *seen = Some(state);
        }
        Ok(&self.trust)
    }
}
