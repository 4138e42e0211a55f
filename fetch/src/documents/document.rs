//! Cached documents and their keys.

use std::fmt;
use std::sync::Arc;

use http::HeaderValue;
use http::header::ETAG;
use tokio::time::Instant;

use super::Settings;
use crate::Error;
use crate::freshness::Freshness;
use crate::policy;

/// The cache key of a document: its purpose, owner and URL. Two owners with the same URL do not
/// share a document, and neither do two purposes.
///
/// ```
/// use aims_fetch::DocumentKey;
///
/// let key = DocumentKey::new("jwks", "https://as.example", "https://as.example/jwks")?;
/// assert_eq!(key.url(), "https://as.example/jwks");
/// # Ok::<(), aims_fetch::Error>(())
/// ```
#[derive(Clone, Debug, Eq, Hash, PartialEq)]
pub struct DocumentKey {
    purpose: &'static str,
    owner: Arc<str>,
    url: Arc<str>,
    host: Arc<str>,
}

impl DocumentKey {
    /// Creates the key of a document with this purpose, such as `"jwks"`.
    ///
    /// `owner` is the issuer or origin of the document. The URL has no fragment and no user
    /// information; the [`Fetch`](crate::Fetch) decides whether it may be fetched. For the purposes
    /// `"jwks"` and `"bundle"`, the request accepts `application/jwk-set+json` and
    /// `application/json`; for every other purpose only `application/json`.
    ///
    /// # Errors
    ///
    /// `fetch.url` if the URL is not valid.
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

    /// Returns the purpose of the document.
    #[must_use]
    pub const fn purpose(&self) -> &'static str {
        self.purpose
    }

    /// Returns the owner of the document.
    #[must_use]
    pub fn owner(&self) -> &str {
        &self.owner
    }

    /// Returns the value of `Accept`. Key sets are published as `application/jwk-set+json` (RFC
    /// 7517 §8.5.2), and some servers answer 406 if a request does not accept that.
    pub(super) fn accept(&self) -> &'static str {
        match self.purpose {
            "bundle" | "jwks" => "application/jwk-set+json, application/json",
            _ => "application/json",
        }
    }

    /// Returns the host that is asked, in normal form.
    pub(super) fn host(&self) -> &str {
        &self.host
    }

    /// Returns the URL, in normal form.
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
    /// Creates a document that arrived at `now` with these header fields.
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

    /// Returns the same document, fresh until `now` at most.
    pub(super) fn expired(&self, now: Instant) -> Self {
        Self {
            bytes: self.bytes.clone(),
            fetched: self.fetched,
            fresh_until: self.fresh_until.min(now),
            usable_until: self.usable_until.min(now),
            etag: self.etag.clone(),
        }
    }

    /// Returns the bytes of the document.
    #[must_use]
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// Returns whether both share the same bytes. After a 304 there is nothing to parse again.
    #[must_use]
    pub fn is_same(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.bytes, &other.bytes)
    }

    /// Returns when the document was fetched, or last confirmed by a 304.
    #[must_use]
    pub fn fetched(&self) -> std::time::Instant {
        self.fetched.into_std()
    }

    /// Returns until when the document is fresh.
    #[must_use]
    pub fn fresh_until(&self) -> std::time::Instant {
        self.fresh_until.into_std()
    }

    /// Returns whether the document is no longer fresh. It was returned because it could not be
    /// fetched again and [`serve_stale`](super::DocumentsBuilder::serve_stale) allows it.
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

/// The maximum length of a URL, in bytes.
const MAX_URL: usize = 2048;

/// The maximum length of a stored entity tag, in bytes.
const MAX_ETAG: usize = 256;
