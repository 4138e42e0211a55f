//! Where an issuer says that its keys are (RFC 8414, OpenID Connect Discovery).

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
use super::published::Age;

/// What metadata said.
#[derive(Clone)]
pub(super) struct Discovered {
    /// Where the keys are.
    pub(super) keys: DocumentKey,
    /// The issuer as its server writes it: from now on it is compared byte for byte.
    pub(super) issuer: Issuer,
    /// What the metadata has that its server should correct.
    pub(super) diagnostics: Arc<[Diagnostic]>,
    /// The well-known place that answered.
    place: DocumentKey,
    /// When it was fetched or confirmed.
    said: Instant,
    /// Whether nothing could be fetched there the last time.
    pub(super) lost: bool,
}

impl Inner {
    /// Where an issuer says that its keys are. Its metadata is read as long as it is fresh, and
    /// anew when there were no keys where it said: they may have moved. When it cannot be fetched,
    /// what it said last holds for as long as keys do.
    pub(super) async fn whereabouts(
        &self,
        issuer: &Issuer,
        memory: &Memory,
    ) -> Result<Discovered, Failed> {
        let before = memory.discovered();
        let before = before.filter(|it| it.said.elapsed() < self.max_age);
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

    /// Asks the well-known places one after the other, and only the one that answered before while
    /// what it said holds. All that is used comes from one document.
    async fn discover(
        &self,
        issuer: &Issuer,
        memory: &Memory,
        before: Option<&Discovered>,
    ) -> Result<Discovered, Failed> {
        let age = match before {
            Some(before) if before.lost => Age::Anew,
            _ => Age::Kept,
        };
        let places = match before {
            Some(before) => vec![before.place.clone()],
            None => places(issuer)?,
        };
        let mut asked = Attempts::new();
        for place in places {
            match self.fetch(memory, &place, age).await {
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
        said: Instant::from_std(document.fetched()),
        lost: false,
    })
}

/// Whether a document of a well-known place may be kept.
pub(super) fn check(issuer: &Issuer, bytes: &[u8]) -> Result<(), Cause> {
    keys_of(issuer, &ServerMetadata::parse_for(bytes, issuer, &[])?)?;
    Ok(())
}

/// Where the keys are of the issuer whose metadata this is.
fn keys_of(issuer: &Issuer, metadata: &ServerMetadata) -> Result<DocumentKey, Cause> {
    let url = metadata.jwks_uri()?.as_str();
    Ok(DocumentKey::new(JWKS, issuer.as_str(), url)?)
}

/// What follows where a place gave no document, now or a moment ago.
fn follow(cause: &Cause) -> Follow {
    fetch_error(cause).map_or(Follow::End, Follow::of_error)
}

/// Writes down what a place answered.
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

/// The error of fetching, be it one of a moment ago.
fn fetch_error(cause: &Cause) -> Option<&aims_fetch::Error> {
    match cause {
        Cause::Fetch(aims_fetch::Error::BackingOff { cause, .. }) => Some(cause),
        Cause::Fetch(error) => Some(error),
        _ => None,
    }
}
