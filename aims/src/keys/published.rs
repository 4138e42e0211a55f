//! The documents of one owner of keys: where they are, and what may be kept of them.

use std::sync::Arc;

use aims_fetch::{Document, DocumentKey};
use aims_jose::provider::Provider;
use aims_oauth_rs::IssuerStore;
use aims_oauth_wire::metadata::{ServerMetadata, well_known};
use aims_oauth_wire::names::Issuer;
use aims_wimse_cred::Bundle;
use tokio::time::Instant;

use super::Inner;
use super::error::Cause;
use super::place::{Discovered, JWKS, METADATA, Memory, Place};

/// Whether what is kept will do.
#[derive(Clone, Copy)]
pub(super) enum Age {
    Kept,
    Anew,
}

impl Inner {
    /// The document that has the keys of a place.
    pub(super) async fn document(
        &self,
        place: &Place,
        age: Age,
    ) -> Result<Arc<Document>, Arc<Cause>> {
        match place {
            Place::Origin(_, key, memory) | Place::Issuer(_, Some(key), memory) => {
                self.fetch(memory, key, age).await
            }
            Place::Issuer(issuer, None, memory) => {
                let key = self.whereabouts(issuer, memory).await?;
                let found = self.fetch(memory, &key, age).await;
                memory.set_lost(found.is_err());
                found
            }
        }
    }

    async fn fetch(
        &self,
        memory: &Memory,
        key: &DocumentKey,
        age: Age,
    ) -> Result<Arc<Document>, Arc<Cause>> {
        let found = match age {
            Age::Kept => self.documents.get(key).await,
            Age::Anew => self.documents.refresh(key).await,
        };
        found.map_err(|error| {
            let refused = matches!(error, aims_fetch::Error::Rejected);
            let known = refused.then(|| memory.refused(key)).flatten();
            known.unwrap_or_else(|| Arc::new(error.into()))
        })
    }

    /// Where an issuer says that its keys are. Its metadata is read as long as it is fresh, and
    /// anew when there were no keys where it said: they may have moved. When it cannot be had, what
    /// it said last holds for as long as keys do.
    async fn whereabouts(
        &self,
        issuer: &Issuer,
        memory: &Memory,
    ) -> Result<DocumentKey, Arc<Cause>> {
        let before = memory.discovered();
        let age = match &before {
            Some(before) if before.lost => Age::Anew,
            _ => Age::Kept,
        };
        match (self.discover(issuer, memory, age).await, before) {
            (Ok(key), before) => {
                memory.set_discovered(Discovered {
                    lost: before.is_some_and(|it| it.lost && it.key == key),
                    key: key.clone(),
                    said: Instant::now(),
                });
                Ok(key)
            }
            (Err(_), Some(before)) if before.said.elapsed() < self.max_age => Ok(before.key),
            (Err(cause), _) => Err(cause),
        }
    }

    /// Asks by RFC 8414, then by OpenID Connect Discovery. Only a 404 leads from one place to the
    /// next (META-01).
    async fn discover(
        &self,
        issuer: &Issuer,
        memory: &Memory,
        age: Age,
    ) -> Result<DocumentKey, Arc<Cause>> {
        let candidates = well_known::server_candidates(issuer).map_err(Cause::from)?;
        for url in candidates {
            let key = DocumentKey::new(METADATA, issuer.as_str(), url.as_str());
            let key = key.map_err(Cause::from)?;
            match self.fetch(memory, &key, age).await {
                Err(cause) if is_nothing_there(&cause) => {}
                answer => {
                    let metadata = ServerMetadata::parse(answer?.bytes(), issuer);
                    return Ok(keys_of(&metadata.map_err(Cause::from)?)?);
                }
            }
        }
        Err(Arc::new(Cause::NoMetadata))
    }
}

impl Place {
    /// Whether a document may be kept. What is of no use here is asked for again, however long its
    /// server wants it to be kept (F-19).
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
                keys_of(&ServerMetadata::parse(bytes, issuer)?)?;
            }
            // By the rules of the store that they are for.
            Self::Issuer(issuer, ..) => IssuerStore::new().set(issuer, bytes, provider)?,
        }
        Ok(())
    }
}

/// Where the keys are of the issuer whose metadata this is.
fn keys_of(metadata: &ServerMetadata) -> Result<DocumentKey, Cause> {
    let (issuer, url) = (metadata.issuer().as_str(), metadata.jwks_uri()?.as_str());
    Ok(DocumentKey::new(JWKS, issuer, url)?)
}

/// Whether a server said that there is nothing, now or a moment ago.
fn is_nothing_there(cause: &Cause) -> bool {
    let Cause::Fetch(error) = cause else {
        return false;
    };
    let error = match error {
        aims_fetch::Error::BackingOff { cause, .. } => cause,
        error => error,
    };
    matches!(error, aims_fetch::Error::Status { status: 404 })
}
