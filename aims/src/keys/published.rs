//! The documents of one owner of keys, and which of them may be cached.

use std::sync::Arc;

use aims_error::shown;
use aims_fetch::{Document, DocumentKey};
use aims_jose::provider::Provider;
use aims_oauth_rs::IssuerStore;
use aims_oauth_wire::metadata::attempt::Attempts;
use aims_wimse_cred::Bundle;
use aims_wimse_id::Scheme;

use super::error::{Cause, Failed, KeysError};
use super::place::{METADATA, Memory, Place};
use super::{Inner, discovery};

/// Tells whether a cached document is enough.
#[derive(Clone, Copy)]
pub(super) enum Freshness {
    /// A cached document is enough while it is fresh.
    Cached,
    /// The document is fetched again, unless it was fetched shortly before.
    Refreshed,
}

impl Inner {
    /// Checks that the fetched bundle of a place has a usable key. A bundle that is empty from the
    /// start is more likely the wrong document than a withdrawal of trust.
    pub(super) fn check_usable(&self, place: &Place) -> Result<(), KeysError> {
        let Place::Origin(origin, at, _) = place else {
            return Ok(());
        };
        let trust = self.trust.snapshot();
        let Some(bundle) = trust.bundle(origin.as_ref()) else {
            return Ok(());
        };
        if bundle.is_usable() {
            return Ok(());
        }
        let unusable = Cause::Unusable {
            url: shown([at.url()]),
            expected: match origin.scheme() {
                Scheme::Spiffe => {
                    "keys with `use` `wit-svid` or `jwt-svid` (a plain JWK set is for `wimse://`)"
                }
                Scheme::Wimse => "keys with `use` `sig` or without it",
            },
            found: shown(bundle.uses().iter().map(String::as_str)),
            skipped: bundle.wit_keys().skipped_keys(),
        };
        Err(KeysError::new(place.keys(), unusable.into()))
    }

    /// Returns the document that has the keys of a place.
    pub(super) async fn document(
        &self,
        place: &Place,
        freshness: Freshness,
    ) -> Result<Arc<Document>, Failed> {
        match place {
            Place::Origin(_, key, memory) | Place::Issuer(_, Some(key), memory) => {
                self.fetch_keys(memory, key, freshness).await
            }
            Place::Issuer(issuer, None, memory) => {
                let discovered = self.key_location(issuer, memory).await?;
                let found = self.fetch_keys(memory, &discovered.keys, freshness).await;
                memory.set_lost(found.is_err());
                found
            }
        }
    }

    async fn fetch_keys(
        &self,
        memory: &Memory,
        key: &DocumentKey,
        freshness: Freshness,
    ) -> Result<Arc<Document>, Failed> {
        let now = self.wall();
        if let Some(document) = now.and_then(|now| memory.outdated_by_clock(key, now)) {
            self.documents.expire(key, &document);
        }
        let found = self.fetch(memory, key, freshness).await;
        if found.is_ok() {
            memory.set_key(key);
        }
        found.map_err(|cause| {
            let mut asked = Attempts::new();
            discovery::note(&mut asked, key, &cause);
            Failed { cause, asked }
        })
    }

    pub(super) async fn fetch(
        &self,
        memory: &Memory,
        key: &DocumentKey,
        freshness: Freshness,
    ) -> Result<Arc<Document>, Arc<Cause>> {
        let found = match freshness {
            Freshness::Cached => self.documents.get(key).await,
            Freshness::Refreshed => self.documents.refresh(key).await,
        };
        found.map_err(|error| {
            let refused = matches!(error, aims_fetch::Error::Rejected);
            let known = refused.then(|| memory.refused(key)).flatten();
            known.unwrap_or_else(|| Arc::new(error.into()))
        })
    }
}

impl Place {
    /// Checks whether a document may be cached. A document that cannot be used is fetched again,
    /// whatever lifetime its server sets.
    pub(super) fn may_keep(
        &self,
        key: &DocumentKey,
        bytes: &[u8],
        provider: &'static dyn Provider,
    ) -> bool {
        let read = self.read(key, bytes, provider);
        read.map_err(|cause| self.memory().set_refused(key, cause))
            .is_ok()
    }

    fn read(
        &self,
        key: &DocumentKey,
        bytes: &[u8],
        provider: &'static dyn Provider,
    ) -> Result<(), Cause> {
        match self {
            Self::Origin(origin, ..) => {
                Bundle::parse(origin, bytes, provider)?;
            }
            Self::Issuer(issuer, ..) if key.purpose() == METADATA => {
                discovery::check(issuer, bytes)?;
            }
            // Check with the rules of the store that will hold the keys.
            Self::Issuer(issuer, ..) => IssuerStore::new().set(issuer, bytes, provider)?,
        }
        Ok(())
    }
}
