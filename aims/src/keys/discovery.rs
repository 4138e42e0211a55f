//! Discovers where the keys of an issuer are (RFC 8414, OpenID Connect Discovery).

use std::sync::Arc;

use aims_fetch::{Document, DocumentKey};
use aims_oauth_wire::Diagnostic;
use aims_oauth_wire::metadata::attempt::{Attempts, Follow};
use aims_oauth_wire::metadata::{ServerMetadata, well_known};
use aims_oauth_wire::names::Issuer;
use http::header::CONTENT_TYPE;
use http::{HeaderMap, HeaderValue, StatusCode};
use tokio::time::Instant;

use super::Inner;
use super::error::{Cause, Failed};
use super::place::{JWKS, METADATA, Memory};
use super::published::Freshness;

/// The relevant parts of an issuer's metadata.
#[derive(Clone)]
pub(super) struct Discovered {
    /// The document with the keys.
    pub(super) keys: DocumentKey,
    /// The issuer as its server spells it. From now on it is compared byte for byte.
    pub(super) issuer: Issuer,
    /// Faults in the metadata that were tolerated and that the server should correct.
    pub(super) diagnostics: Arc<[Diagnostic]>,
    /// The well-known URL that answered.
    place: DocumentKey,
    /// When the metadata was fetched or confirmed.
    fetched: Instant,
    /// Whether the last fetch of the keys from there failed.
    pub(super) lost: bool,
}

impl Inner {
    /// Returns where the keys of an issuer are.
    ///
    /// Metadata is used while it is fresh. It is fetched again after the keys could not be fetched,
    /// because they may have moved. If the metadata cannot be fetched, the last one is used up to
    /// the maximum age of keys.
    pub(super) async fn key_location(
        &self,
        issuer: &Issuer,
        memory: &Memory,
    ) -> Result<Discovered, Failed> {
        let before = memory.discovered();
        let before = before.filter(|it| it.fetched.elapsed() < self.max_age);
        match (self.discover(issuer, memory, before.as_ref()).await, before) {
            (Ok(mut found), before) => {
                let same = |it: &Discovered| it.diagnostics == found.diagnostics;
                if !before.as_ref().is_some_and(same) {
                    log(issuer, &found.diagnostics);
                }
                found.lost = before.is_some_and(|it| it.lost && it.keys == found.keys);
                memory.set_discovered(found.clone());
                Ok(found)
            }
            (Err(_), Some(before)) => Ok(before),
            (Err(failed), None) => Err(failed),
        }
    }

    /// Asks the well-known URLs in order. While earlier metadata is in use, it asks only the URL
    /// that returned it. All results come from one document.
    async fn discover(
        &self,
        issuer: &Issuer,
        memory: &Memory,
        before: Option<&Discovered>,
    ) -> Result<Discovered, Failed> {
        let freshness = match before {
            Some(before) if before.lost => Freshness::Refreshed,
            _ => Freshness::Cached,
        };
        let places = match before {
            Some(before) => vec![before.place.clone()],
            None => places(issuer)?,
        };
        let mut asked = Attempts::new();
        for place in places {
            match self.fetch(memory, &place, freshness).await {
                Ok(document) => return Ok(read(issuer, place, &document)?),
                Err(cause) => {
                    note(&mut asked, &place, &cause);
                    if follow(&cause) != Follow::AskNext {
                        return Err(Failed { cause, asked });
                    }
                }
            }
        }
        let cause = Arc::new(Cause::NoMetadata);
        Err(Failed { cause, asked })
    }
}

fn log(issuer: &Issuer, diagnostics: &[Diagnostic]) {
    for diagnostic in diagnostics {
        tracing::info!(
            issuer = issuer.as_str(), %diagnostic,
            "the metadata of the issuer was read with tolerance"
        );
    }
}

fn places(issuer: &Issuer) -> Result<Vec<DocumentKey>, Cause> {
    let candidates = well_known::server_candidates(issuer)?;
    let key = |url: aims_oauth_wire::names::Endpoint| {
        DocumentKey::new(METADATA, issuer.as_str(), url.as_str())
    };
    let places: Result<_, _> = candidates.into_iter().map(key).collect();
    Ok(places?)
}

fn read(issuer: &Issuer, place: DocumentKey, document: &Document) -> Result<Discovered, Cause> {
    let metadata = ServerMetadata::parse_for(document.bytes(), issuer, &[])?;
    Ok(Discovered {
        keys: keys_of(issuer, &metadata)?,
        issuer: metadata.issuer().clone(),
        diagnostics: metadata.diagnostics().into(),
        place,
        fetched: Instant::from_std(document.fetched()),
        lost: false,
    })
}

/// Checks whether a document of a well-known URL may be cached.
pub(super) fn check(issuer: &Issuer, bytes: &[u8]) -> Result<(), Cause> {
    keys_of(issuer, &ServerMetadata::parse_for(bytes, issuer, &[])?)?;
    Ok(())
}

/// Returns where the keys of the issuer with this metadata are.
fn keys_of(issuer: &Issuer, metadata: &ServerMetadata) -> Result<DocumentKey, Cause> {
    let url = metadata.jwks_uri()?.as_str();
    Ok(DocumentKey::new(JWKS, issuer.as_str(), url)?)
}

/// Returns what to do after a URL returned no usable document, now or during the pause after a
/// failure.
fn follow(cause: &Cause) -> Follow {
    fetch_error(cause).map_or(Follow::End, Follow::of_error)
}

/// Notes what a URL answered, for the error.
pub(super) fn note(asked: &mut Attempts, place: &DocumentKey, cause: &Cause) {
    let url = place.url();
    match fetch_error(cause) {
        Some(aims_fetch::Error::Status { status }) => {
            let status = StatusCode::from_u16(*status).unwrap_or(StatusCode::BAD_GATEWAY);
            asked.answered(url, status, &HeaderMap::new());
        }
        Some(aims_fetch::Error::ContentType { found, .. }) => {
            let kind = HeaderValue::from_str(found.trim_matches('`'));
            let headers = kind.into_iter().map(|it| (CONTENT_TYPE, it)).collect();
            asked.answered(url, StatusCode::OK, &headers);
        }
        Some(error) => asked.failed(url, error.code()),
        None => asked.failed(url, cause.code()),
    }
}

/// Returns the error of fetching, also if it is repeated during the pause after it.
fn fetch_error(cause: &Cause) -> Option<&aims_fetch::Error> {
    match cause {
        Cause::Fetch(aims_fetch::Error::BackingOff { cause, .. }) => Some(cause),
        Cause::Fetch(error) => Some(error),
        _ => None,
    }
}
