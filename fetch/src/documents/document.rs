//! What is kept, and under what.

use std::fmt;
use std::sync::Arc;

use http::HeaderValue;
use http::header::ETAG;
use tokio::time::Instant;

use super::Settings;
use crate::Error;
use crate::freshness::Freshness;
use crate::policy;

/// What a document is asked for under: two owners that name one URL do not share what was fetched,
/// and neither do two purposes.
#[derive(Clone, Debug, Eq, Hash, PartialEq)]
pub struct DocumentKey {
    purpose: &'static str,
    owner: Arc<str>,
    url: Arc<str>,
    host: Arc<str>,
}

impl DocumentKey {
    /// A document of this purpose (`"jwks"`), of this owner (the issuer or origin whose document it
    /// is), at this URL. The URL is without fragment and user information; whether it may be
    /// fetched is up to the [`Fetch`](crate::Fetch).
    ///
    /// For the purposes `"jwks"` and `"bundle"`, `application/jwk-set+json` is asked for beside
    /// `application/json`; for every other purpose, `application/json` alone.
    ///
    /// # Errors
    ///
    /// `fetch.url`.
    pub fn new(purpose: &'static str, owner: &str, url: &str) -> Result<Self, Error> {
        let parsed = policy::parse(url)?;
        if url.len() > MAX_URL || owner.len() > MAX_URL {
            return Err(Error::Url { reason: "too long" });
        }
        let host = parsed.host_str().unwrap_or_default();
        Ok(Self {
            purpose,
            owner: owner.into(),
            url: parsed.as_str().into(),
            host: host.trim_end_matches('.').into(),
        })
    }

    /// What the document is for.
    #[must_use]
    pub const fn purpose(&self) -> &'static str {
        self.purpose
    }

    /// Whose document it is.
    #[must_use]
    pub fn owner(&self) -> &str {
        &self.owner
    }

    /// What is asked for: key sets are published as `application/jwk-set+json` (RFC 7517 §8.5.2),
    /// and some servers answer 406 to who does not ask for that.
    pub(super) fn accept(&self) -> &'static str {
        match self.purpose {
            "bundle" | "jwks" => "application/jwk-set+json, application/json",
            _ => "application/json",
        }
    }

    /// Whom the fetch goes to, in one spelling.
    pub(super) fn host(&self) -> &str {
        &self.host
    }

    /// Where it is, normalized.
    #[must_use]
    pub fn url(&self) -> &str {
        &self.url
    }
}

/// A JSON document as it was fetched. The bytes are not parsed.
pub struct Document {
    pub(super) bytes: Arc<[u8]>,
    pub(super) fetched: Instant,
    pub(super) fresh_until: Instant,
    pub(super) usable_until: Instant,
    pub(super) etag: Option<HeaderValue>,
}

impl Document {
    /// A document that arrived at `now` with these headers.
    pub(super) fn arrived(
        bytes: Arc<[u8]>,
        headers: &http::HeaderMap,
        etag: Option<HeaderValue>,
        settings: &Settings,
        now: Instant,
    ) -> Self {
        let freshness = Freshness::of(headers, settings.default_freshness, &settings.lifetime);
        let stale = if freshness.strict {
            std::time::Duration::ZERO
        } else {
            settings.max_stale
        };
        let fresh_until = now + freshness.lifetime;
        let etag = headers
            .get(ETAG)
            .filter(|etag| etag.len() <= MAX_ETAG)
            .cloned()
            .or(etag);
        Self {
            bytes,
            fetched: now,
            fresh_until,
            usable_until: fresh_until + stale,
            etag,
        }
    }

    /// The same document, fresh until `now` at most.
    pub(super) fn expired(&self, now: Instant) -> Self {
        Self {
            bytes: self.bytes.clone(),
            fetched: self.fetched,
            fresh_until: self.fresh_until.min(now),
            usable_until: self.usable_until.min(now),
            etag: self.etag.clone(),
        }
    }

    /// The document.
    #[must_use]
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// Whether both are the very same bytes: a server that answers "not modified" leaves nothing to
    /// parse again.
    #[must_use]
    pub fn is_same(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.bytes, &other.bytes)
    }

    /// When it was fetched, or last said to be unchanged.
    #[must_use]
    pub fn fetched(&self) -> std::time::Instant {
        self.fetched.into_std()
    }

    /// Until when it is fresh.
    #[must_use]
    pub fn fresh_until(&self) -> std::time::Instant {
        self.fresh_until.into_std()
    }

    /// Whether it is older than it should be: given only because it could not be fetched anew, and
    /// because [`serve_stale`](super::DocumentsBuilder::serve_stale) allowed it.
    #[must_use]
    pub fn is_stale(&self) -> bool {
        self.fresh_until <= Instant::now()
    }
}

impl fmt::Debug for Document {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Document")
            .field("length", &self.bytes.len())
            .field("fetched", &self.fetched)
            .field("fresh_until", &self.fresh_until)
            .field("usable_until", &self.usable_until)
            .finish_non_exhaustive()
    }
}

/// The longest URL, in bytes.
const MAX_URL: usize = 2048;

/// The longest entity tag that is kept, in bytes.
const MAX_ETAG: usize = 256;
