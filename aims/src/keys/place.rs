//! One owner of keys, where these are published, and what was fetched from there.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use fetch::{Document, DocumentKey};
use oauth_wire::names::Issuer;
use wimse_id::Origin;

use super::error::Cause;
use crate::refresh::Keys;

pub(super) enum Whose {
    Issuer(Issuer),
    Origin(Origin),
}

pub(super) struct Place {
    pub(super) whose: Whose,
    /// Where the document is, if that was said and not discovered.
    given: Option<DocumentKey>,
    held: Mutex<Held>,
}

#[derive(Default)]
struct Held {
    discovered: Option<DocumentKey>,
    document: Option<Arc<Document>>,
    /// How often the owner wants to be asked.
    hint: Option<Duration>,
}

impl Place {
    pub(super) fn new(whose: Whose, given: Option<DocumentKey>) -> Self {
        let held = Mutex::default();
        Self { whose, given, held }
    }

    pub(super) fn keys(&self) -> Keys {
        match &self.whose {
            Whose::Issuer(issuer) => Keys::Issuer(issuer.as_str().to_owned()),
            Whose::Origin(origin) => Keys::Origin(origin.clone()),
        }
    }

    /// Where the document is, as far as that is known.
    pub(super) fn key(&self) -> Option<DocumentKey> {
        let given = self.given.clone();
        given.or_else(|| self.held().discovered.clone())
    }

    /// Where the document was found, or that it was not.
    pub(super) fn found_at(&self, key: Option<DocumentKey>) {
        self.held().discovered = key;
    }

    /// Hands a document to `store`, which says how often the owner wants to be asked. One that came before the last one is left.
    pub(super) fn take(
        &self,
        document: Arc<Document>,
        store: impl FnOnce(&Document) -> Result<Option<Duration>, Cause>,
    ) -> Result<(), Cause> {
        let mut held = self.held();
        let last = held.document.as_ref().map(|last| last.fetched());
        if last.is_some_and(|last| last >= document.fetched()) {
            return Ok(());
        }
        held.hint = store(&document)?;
        held.document = Some(document);
        Ok(())
    }

    /// How long ago the keys were last confirmed.
    pub(super) fn age(&self) -> Option<Duration> {
        Some(self.held().document.as_ref()?.fetched().elapsed())
    }

    /// When to fetch again.
    pub(super) fn due_in(&self) -> Duration {
        let held = self.held();
        let Some(document) = &held.document else {
            return SOONEST;
        };
        let due = match held.hint {
            Some(hint) => document.fetched() + hint.clamp(SOONEST, LATEST),
            None => document.fresh_until(),
        };
        let left = due.saturating_duration_since(Instant::now());
        left.clamp(SOONEST, LATEST)
    }

    /// A panic elsewhere leaves nothing half-done in here: `store` either fails or replaces a whole.
    fn held(&self) -> MutexGuard<'_, Held> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The least and the longest time between two fetches.
const SOONEST: Duration = Duration::from_secs(30);
const LATEST: Duration = Duration::from_secs(3_600);
