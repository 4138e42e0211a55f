//! Keys as their owners publish them over HTTP: the bundles of origins, and the JWK sets of
//! issuers, which are discovered from the issuers' metadata.
//!
//! This module needs the feature `fetch`.

mod builder;
mod discovery;
mod error;
mod place;
mod published;
mod watch;

use std::collections::HashMap;
use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::Duration;

use aims_fetch::{Document, Documents};
use aims_jose::provider::Provider;
use aims_jose::time::{Clock, UnixTime};
use aims_oauth_rs::{IssuerStore, RefreshFuture, RefreshKeys};
use aims_oauth_wire::Diagnostic;
use aims_oauth_wire::names::Issuer;
use aims_wimse_cred::{Bundle, TrustStore};
use tokio::task::JoinSet;

pub use builder::PublishedKeysBuilder;
pub use error::KeysError;
use error::{Cause, Failed};
use place::Place;
use published::Freshness;
pub use watch::Watch;
use watch::Watching;

use crate::resolve::{Keys, Need, Resolve, ResolveFuture, Resolved};

/// Fetches the keys that a [`Guard`](crate::Guard) trusts, and keeps them fresh.
///
/// [`load`](Self::load) fills the stores at the start. [`watch`](Self::watch) fetches documents
/// again before they are too old. If a token names a key that the stores do not have, the guard
/// asks for it ([`Resolve`]).
///
/// - Each document is fetched by one request at a time, with a pause afterwards, so invented key
///   names cause no flood of requests.
/// - An empty set never replaces valid keys.
/// - Keys that could not be confirmed for the [maximum age](PublishedKeysBuilder::max_age) are no
///   longer trusted, with or without a watch. The guard then refuses their tokens with
///   `trust.stale` or `token.keys_stale`, and asks for the keys.
/// - An owner that the program removes from a store stays removed until the program adds it again.
///
/// Clones share everything.
///
/// ```no_run
/// # async fn example() -> Result<(), Box<dyn std::error::Error>> {
/// use std::sync::Arc;
///
/// use aims::fetch::Fetcher;
/// use aims::guard::HttpSignatures;
/// use aims::keys::PublishedKeys;
/// use aims::{Guard, jose::provider};
///
/// let keys = PublishedKeys::builder(Arc::new(Fetcher::builder().build()?), provider::default())
///     .bundle("spiffe://example.org".parse()?, "https://spire.example.org/bundle")?
///     .issuer("https://as.example".parse()?)
///     .build();
/// keys.load().await?;
/// keys.watch();
/// let guard = Guard::builder("https://tools.example/mcp").keys(&keys);
/// // An HTTP signature is the proof that can travel with an access token.
/// let guard = guard.http_signatures(HttpSignatures::new()).build()?;
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct PublishedKeys(Arc<Inner>);

struct Inner {
    documents: Documents,
    provider: &'static dyn Provider,
    clock: Box<dyn Clock>,
    max_age: Duration,
    trust: Arc<TrustStore>,
    issuers: Arc<IssuerStore>,
    places: Arc<[Place]>,
    watch: Watching,
}

impl PublishedKeys {
    /// Returns the store of the fetched bundles.
    #[must_use]
    pub fn trust(&self) -> Arc<TrustStore> {
        Arc::clone(&self.0.trust)
    }

    /// Returns the store of the issuers and their fetched keys.
    ///
    /// It is filled as long as a clone of these keys exists. A program that gives the store to
    /// another party, such as an embedded authorization server, must keep the keys as well.
    #[must_use]
    pub fn issuers(&self) -> Arc<IssuerStore> {
        Arc::clone(&self.0.issuers)
    }

    /// Returns whether access tokens of any issuer are accepted.
    pub(crate) fn has_issuers(&self) -> bool {
        let issuer = |place: &Place| matches!(place, Place::Issuer(..));
        self.0.places.iter().any(issuer)
    }

    /// Returns whether the bundle of any origin is fetched.
    pub(crate) fn has_bundles(&self) -> bool {
        let bundle = |place: &Place| matches!(place, Place::Origin(..));
        self.0.places.iter().any(bundle)
    }

    /// Returns two issuers that differ only in the `/` of an empty path (RFC 3986 §6.2.3), if there
    /// are such.
    ///
    /// Discovery treats them as the same issuer, so a guard cannot have both.
    #[must_use]
    pub fn ambiguous_issuers(&self) -> Option<(&Issuer, &Issuer)> {
        let issuers = || self.0.places.iter().filter_map(Place::issuer_name);
        issuers().find_map(|one| {
            let variant = one.root_slash_variant()?;
            let mut others = issuers();
            Some((one, others.find(|it| **it == variant)?))
        })
    }

    /// Returns faults in the issuers' metadata that were tolerated and that the servers should
    /// correct.
    ///
    /// An example is an issuer that differs from the configured one in the root slash
    /// ([`Diagnostic::RootSlash`]). The list has no entry of an issuer before its metadata was
    /// fetched. Changes are also logged to `tracing`.
    ///
    /// ```
    /// fn report(keys: &aims::keys::PublishedKeys) {
    ///     for (owner, fault) in keys.diagnostics() {
    ///         println!("{owner:?}: {fault}");
    ///     }
    /// }
    /// ```
    #[must_use]
    pub fn diagnostics(&self) -> Vec<(Keys, Diagnostic)> {
        let of = |place: &Place| {
            let found = place.memory().discovered();
            let all = found.map(|it| it.diagnostics).unwrap_or_default();
            let keys = place.keys();
            let all = all.iter().map(move |it| (keys.clone(), it.clone()));
            all.collect::<Vec<_>>()
        };
        self.0.places.iter().flat_map(of).collect()
    }

    /// Fetches all keys, from all URLs at the same time.
    ///
    /// If one fails, the keys of all others are still in the stores. With [`watch`](Self::watch),
    /// the missing ones follow later.
    ///
    /// ```
    /// /// Starts even if some keys cannot be fetched now; the watch fetches them later.
    /// async fn start(keys: &aims::keys::PublishedKeys) {
    ///     if let Err(error) = keys.load().await {
    ///         eprintln!("{}: {}", error.code(), aims::jose::Chain(&error));
    ///     }
    ///     keys.watch();
    /// }
    /// ```
    ///
    /// # Errors
    ///
    /// The first [`KeysError`]. It names the URLs that were asked. A bundle without a usable key is
    /// an error here (`keys.unusable`); in a later refresh it withdraws trust.
    pub async fn load(&self) -> Result<(), KeysError> {
        let mut tasks = JoinSet::new();
        let mut asked = HashMap::new();
        for (number, place) in self.0.places.iter().enumerate() {
            let inner = Arc::clone(&self.0);
            let task = tasks.spawn(async move {
                match inner.places.get(number) {
                    Some(place) => {
                        let had = inner.have(place, Freshness::Cached).await;
                        had.and_then(|()| inner.check_usable(place))
                    }
                    None => Ok(()),
                }
            });
            asked.insert(task.id(), place);
        }
        let mut all = Ok(());
        while let Some(ended) = tasks.join_next_with_id().await {
            let had = ended.map_or_else(
                |error| match asked.get(&error.id()) {
                    Some(place) => Err(KeysError::new(place.keys(), Cause::Interrupted.into())),
                    None => Ok(()),
                },
                |(_, had)| had,
            );
            all = all.and(had);
        }
        all
    }
}

impl Inner {
    /// Updates the keys of one place in the stores, unless the program removed their owner.
    async fn have(&self, place: &Place, freshness: Freshness) -> Result<(), KeysError> {
        if self.is_removed(place) {
            return Ok(());
        }
        let found = self.document(place, freshness).await;
        let taken = found.and_then(|document| Ok::<_, Failed>(self.take(place, document)?));
        taken.map_err(|failed| KeysError::new(place.keys(), failed))
    }

    /// Stores the keys of a document, unless a later document is stored already.
    fn take(&self, place: &Place, document: Arc<Document>) -> Result<(), Cause> {
        let (memory, now) = (place.memory(), self.clock.now());
        let discovered = memory.discovered();
        if let Some(found) = &discovered {
            for other in place.spellings() {
                // Keep the rules that were set for the issuer before its keys were known.
                self.issuers.respell(&other, &found.issuer)?;
            }
        }
        let is_stored = self.is_stored(place);
        memory.take(document, is_stored, self.max_age, now, |document| {
            let until = self.trusted_until(document, now);
            match place {
                Place::Issuer(issuer, ..) => {
                    let (bytes, provider) = (document.bytes(), self.provider);
                    let own = discovered.as_ref().map_or(issuer, |it| &it.issuer);
                    self.issuers.set_until(own, bytes, provider, until)?;
                    Ok(None)
                }
                Place::Origin(origin, ..) => {
                    let bundle = Bundle::parse(origin, document.bytes(), self.provider)?;
                    let hint = bundle.refresh_hint();
                    warn_if_empty(&bundle);
                    self.trust.set(bundle.good_until(until))?;
                    Ok(hint)
                }
            }
        })
    }

    /// Returns whether the program removed the owner of the keys from the store. Nothing is fetched
    /// for a removed owner.
    fn is_removed(&self, place: &Place) -> bool {
        match place {
            Place::Issuer(issuer, ..) => !self.issuers.snapshot().is_configured(issuer),
            Place::Origin(origin, ..) => self.trust.snapshot().is_removed(origin),
        }
    }

    /// Returns whether the store has keys of this owner.
    fn is_stored(&self, place: &Place) -> bool {
        match place {
            Place::Issuer(issuer, _, memory) => {
                let discovered = memory.discovered();
                let own = discovered.as_ref().map_or(issuer, |it| &it.issuer);
                self.issuers.snapshot().keys(own.as_str()).is_some()
            }
            Place::Origin(origin, ..) => self.trust.snapshot().bundle(origin.as_ref()).is_some(),
        }
    }

    /// Returns the time of the clock, or `None` if the program's clock panics.
    fn wall(&self) -> Option<UnixTime> {
        catch_unwind(AssertUnwindSafe(|| self.clock.now())).ok()
    }

    /// Returns until when the keys of a document are trusted, counted from its fetch.
    fn trusted_until(&self, document: &Document, now: UnixTime) -> UnixTime {
        let left = self.max_age.saturating_sub(place::age(document));
        let until = now.as_secs().saturating_add(left.as_secs());
        UnixTime::since_unix_epoch(Duration::from_secs(until))
    }
}

impl PublishedKeys {
    /// Fetches the keys of one owner, unless they were fetched shortly before.
    ///
    /// Returns whether the keys changed. Re-confirming stale keys counts as a change.
    pub async fn refresh(&self, keys: Keys) -> bool {
        let named = |place: &&Place| place.has(&keys);
        let Some(place) = self.0.places.iter().find(named) else {
            return false;
        };
        let before = place.memory().version();
        // The watch logs the error. Logging it here would let any caller with invented key names
        // fill the log.
        let _ = self.0.have(place, Freshness::Refreshed).await;
        place.memory().is_newer_than(before)
    }
}

impl Resolve for PublishedKeys {
    fn resolve(&self, need: Need) -> ResolveFuture<'_> {
        Box::pin(async move {
            let Some(keys) = need.keys() else {
                return Resolved::Unavailable;
            };
            if self.refresh(keys).await {
                Resolved::Changed
            } else {
                Resolved::Unchanged
            }
        })
    }
}

impl RefreshKeys for PublishedKeys {
    fn refresh_keys<'a>(&'a self, issuer: &'a str) -> RefreshFuture<'a> {
        Box::pin(self.refresh(Keys::Issuer(issuer.to_owned())))
    }
}

impl fmt::Debug for PublishedKeys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let places = self.0.places.iter().map(Place::keys);
        f.debug_list().entries(places).finish()
    }
}

/// Logs that a bundle has no usable key, and why. Such a bundle withdraws all trust, but it may
/// also be the wrong document.
fn warn_if_empty(bundle: &Bundle) {
    if bundle.is_usable() {
        return;
    }
    let sets = [bundle.wit_keys(), bundle.jwt_svid_keys()];
    let skipped = sets.iter().flat_map(|set| set.skipped());
    let reasons: Vec<_> = skipped
        .take(MAX_REASONS)
        .map(|it| format!("#{} {}", it.index, it.reason.code()))
        .collect();
    tracing::warn!(
        origin = %bundle.origin(), skipped = reasons.join(", "),
        "the bundle has no usable key: no agent of this origin is trusted"
    );
}

/// The maximum number of reasons in a log entry.
const MAX_REASONS: usize = 4;
