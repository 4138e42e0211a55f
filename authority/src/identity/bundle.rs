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
    /// The bundle of one origin as JSON: for `spiffe` a SPIFFE bundle, for `wimse` a JWK set
    /// (RFC 7517 §5), empty where the trust domain is none for that scheme.
    ///
    /// The sequence starts at the time of the start, so that it also rises over restarts.
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

    /// `spiffe_sequence` at this time.
    #[must_use]
    pub fn sequence(&self, now: UnixTime) -> u64 {
        let changes = [&self.rings.wit_svid, &self.rings.jwt_svid].map(|ring| ring.changes(now));
        changes.into_iter().fold(self.started, u64::saturating_add)
    }

    /// The origin of a scheme, where the trust domain is one for it.
    #[must_use]
    pub const fn origin(&self, scheme: Scheme) -> Option<&Origin> {
        match scheme {
            Scheme::Spiffe => Some(&self.origins.spiffe),
            Scheme::Wimse => self.origins.wimse.as_ref(),
        }
    }

    /// The trust store that this server judges by, with its own bundles as they are now. For
    /// programs that verify in the same process; others fetch the bundle.
    ///
    /// # Errors
    ///
    /// `authority.bundle`, which own bundles never give.
    pub fn refreshed_trust(&self, now: UnixTime) -> Result<&Arc<TrustStore>, Error> {
        let state = (self.sequence(now), self.rings.wimse_wit.changes(now));
        // Held while the bundles are set: no one sees the new state with the old bundles.
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
