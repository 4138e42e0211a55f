//! The transaction tokens that a guard accepts.

use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use aims_error::ErrorKind;
use aims_jose::jwk::JwkSet;
use aims_jose::time::{Skew, UnixTime};
use aims_oauth_rs::{IssuerStore, ProvenKey};
use aims_oauth_wire::call::CallDigest;
use aims_oauth_wire::names::Issuer;
use aims_txn_token::{Error, TXN_TOKEN, TxnToken, TxnTokenCache, TxnTokenRules};

use super::admission::within;
use super::evidence::{AgentCredential, UnspentProof, transaction};
use super::fields::CoveredField;
use super::refused::Refused;
use super::{BuildError, Guard};
use crate::decision::Attributes;
use crate::principal::Principal;
use crate::refusal::ErrorResponse;
use crate::requirements::Requirements;
use crate::resolve::{Need, Resolve, Resolved};

/// The trust domain whose transaction tokens a guard accepts, and the keys of its service.
///
/// The keys are given, or [fetched](Self::published) from the service. Clones share them, so
/// [`set_keys`](Self::set_keys) on one of them reaches the guard.
///
/// ```
/// use aims::guard::TransactionTokens;
/// use aims::txn_token::TxnTokenRules;
/// use aims::jose::jwk::{JwkSet, SetRules};
/// use aims::jose::provider;
///
/// # fn example(builder: aims::guard::GuardBuilder<aims::guard::Trusting>, document: &[u8])
/// # -> Result<(), Box<dyn std::error::Error>> {
/// let keys = JwkSet::parse(document, &SetRules::oauth(), provider::default())?;
/// let tokens = TransactionTokens::new(TxnTokenRules::new("trust-domain.example"), keys);
/// let guard = builder.transactions(tokens.clone()).build()?;
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug)]
pub struct TransactionTokens {
    rules: TxnTokenRules,
    source: Arc<RwLock<Source>>,
}

/// Where the keys of the service come from.
#[derive(Clone, Debug)]
enum Source {
    Given(Arc<JwkSet>),
    /// The keys of an issuer in a store, and what fetches them.
    Fetched(Fetched),
}

#[derive(Clone, Debug)]
struct Fetched {
    store: Arc<IssuerStore>,
    service: Issuer,
    resolve: Arc<dyn Resolve>,
}

impl TransactionTokens {
    /// Accepts tokens by these rules, signed with one of these keys.
    #[must_use]
    pub fn new(rules: TxnTokenRules, keys: JwkSet) -> Self {
        Self {
            rules,
            source: Arc::new(RwLock::new(Source::Given(Arc::new(keys)))),
        }
    }

    /// Accepts tokens by these rules, signed with a key that the transaction token service of the
    /// domain publishes.
    ///
    /// `service` is an issuer of `keys`, which fetch its keys, keep them fresh, and stop trusting
    /// them when they are too old. If a token names an unknown key, [`Guard::admit`] fetches them
    /// again. A guard that also takes these `keys` by
    /// [`GuardBuilder::keys`](super::GuardBuilder::keys) accepts access tokens of the service as
    /// well; otherwise give the service `PublishedKeys` of its own. The rules say whether a token
    /// must name the service in `iss`.
    ///
    /// ```
    /// # async fn example() -> Result<(), Box<dyn std::error::Error>> {
    /// use std::sync::Arc;
    ///
    /// use aims::fetch::Fetcher;
    /// use aims::guard::TransactionTokens;
    /// use aims::jose::provider;
    /// use aims::keys::PublishedKeys;
    /// use aims::oauth_wire::names::Issuer;
    /// use aims::txn_token::TxnTokenRules;
    ///
    /// let service: Issuer = "https://tts.example".parse()?;
    /// let fetcher = Arc::new(Fetcher::builder().build()?);
    /// let keys = PublishedKeys::builder(fetcher, provider::default())
    ///     .issuer_at(service.clone(), &"https://tts.example/keys.json".parse()?)?
    ///     .build();
    /// keys.load().await?;
    /// keys.watch();
    /// let rules = TxnTokenRules::new("trust-domain.example");
    /// let tokens = TransactionTokens::published(rules, &keys, service);
    /// # drop(tokens);
    /// # Ok(())
    /// # }
    /// ```
    #[cfg(feature = "fetch")]
    #[must_use]
    pub fn published(
        rules: TxnTokenRules,
        keys: &crate::keys::PublishedKeys,
        service: Issuer,
    ) -> Self {
        Self::stored(rules, keys.issuers(), service, keys.clone())
    }

    /// Accepts tokens by these rules, signed with a key that this store has for the service. If a
    /// token names an unknown key, or the keys are stale, [`Guard::admit`] asks the resolver with
    /// [`Need::TransactionKeys`].
    #[must_use]
    pub fn stored(
        rules: TxnTokenRules,
        store: Arc<IssuerStore>,
        service: Issuer,
        resolver: impl Resolve + 'static,
    ) -> Self {
        let fetched = Fetched {
            store,
            service,
            resolve: Arc::new(resolver),
        };
        Self {
            rules,
            source: Arc::new(RwLock::new(Source::Fetched(fetched))),
        }
    }

    /// Replaces the keys. From the next request on, a token of a key that is gone is refused. Keys
    /// that were fetched so far are fetched no more.
    pub fn set_keys(&self, keys: JwkSet) {
        let mut held = self.source.write().unwrap_or_else(PoisonError::into_inner);
        *held = Source::Given(Arc::new(keys));
    }

    fn source(&self) -> Source {
        let held = self.source.read().unwrap_or_else(PoisonError::into_inner);
        held.clone()
    }

    fn fetched(&self) -> Option<Fetched> {
        match self.source() {
            Source::Given(_) => None,
            Source::Fetched(fetched) => Some(fetched),
        }
    }

    /// Returns the service, if the store of its keys does not know it.
    fn unknown_service(&self) -> Option<Issuer> {
        let fetched = self.fetched()?;
        let is_known = fetched.store.snapshot().is_configured(&fetched.service);
        (!is_known).then_some(fetched.service)
    }
}

/// The settings with the memory of verified tokens.
#[derive(Debug)]
pub(super) struct Transactions {
    tokens: TransactionTokens,
    known: TxnTokenCache,
    /// The field as a component of a signature.
    field: CoveredField,
}

impl Transactions {
    pub(super) fn new(
        tokens: TransactionTokens,
        capacity: usize,
        skew: Option<Skew>,
    ) -> Result<Self, BuildError> {
        if let Some(issuer) = tokens.unknown_service() {
            let issuer = issuer.as_str().to_owned();
            return Err(BuildError::TransactionService { issuer });
        }
        let rules = tokens.rules.clone();
        let rules = match skew {
            Some(skew) => rules.with_skew(skew),
            None => rules,
        };
        Ok(Self {
            known: TxnTokenCache::new(capacity, rules),
            field: CoveredField::of_token(TXN_TOKEN).map_err(BuildError::Fields)?,
            tokens,
        })
    }

    /// Verifies a token with the current keys. The refusal is for keys that are too old, which say
    /// nothing of the token.
    pub(super) fn verify(
        &self,
        text: &str,
        now: UnixTime,
    ) -> Result<Result<TxnToken, Error>, Refused> {
        let fetched = match self.tokens.source() {
            Source::Given(keys) => return Ok(self.known.verify(text, &keys, now)),
            Source::Fetched(fetched) => fetched,
        };
        let issuers = fetched.store.snapshot();
        let keys = issuers.trusted_keys(&fetched.service, now);
        let keys = keys.map_err(|stale| {
            // Like a bad token: a 503 would say that the service cannot be reached.
            let answer = ErrorResponse::Problem(transaction::NOT_ACCEPTED);
            let code = "guard.transaction_keys_stale";
            let refused = Refused::of(code, stale.kind(), answer, &stale);
            refused.or_after(self.need())
        })?;
        let verified = match keys {
            Some(keys) => self.known.verify(text, keys, now),
            None => Err(Error::Token(aims_jose::Error::UnknownKey)),
        };
        Ok(verified)
    }

    /// Returns the question for the keys of the service, if they are fetched.
    pub(super) fn need(&self) -> Option<Need> {
        let fetched = self.tokens.fetched()?;
        Some(Need::TransactionKeys(fetched.service.as_str().to_owned()))
    }

    /// Asks what fetches the keys, and waits for at most the deadline.
    pub(super) async fn resolve(&self, need: Need, deadline: Duration) -> Resolved {
        let Some(fetched) = self.tokens.fetched() else {
            return Resolved::Unchanged;
        };
        let answer = within(deadline, fetched.resolve.resolve(need)).await;
        answer.unwrap_or(Resolved::Unchanged)
    }
}

impl<M> Guard<M> {
    /// Refuses a request without a transaction token, where the route requires one.
    pub(super) fn check_transaction_presented(&self, is_there: bool) -> Result<(), Refused> {
        if is_there || !self.route.requirements.needs_transaction() {
            return Ok(());
        }
        Err(Refused::new(
            "guard.transaction",
            ErrorKind::Forbidden,
            ErrorResponse::Problem("a transaction token is required"),
            "the route requires a transaction token: expected one field `Txn-Token`, found none",
        ))
    }

    /// Checks that the sender may use the transaction token: it proves every key that the token is
    /// bound to, and where it proves any key, one of its proofs covers the token. A WPT covers it
    /// by `tth` (draft-ietf-wimse-wpt §2), an HTTP signature by the field `Txn-Token`.
    pub(super) fn bind_transaction(
        &self,
        token: &TxnToken,
        agent: Option<&AgentCredential>,
        unspent: &[UnspentProof],
    ) -> Result<(), Refused> {
        let agents_key = agent.map(|it| it.key().thumbprint());
        let proven = unspent.iter().filter_map(|proof| proof.key(agents_key));
        let proven: Vec<ProvenKey> = proven.collect();
        token
            .confirmed_by(&proven)
            .map_err(|error| transaction::refused(&error))?;
        let field = self.inner.transactions.as_ref().map(|it| &it.field);
        let is_covered = |proof: &UnspentProof| field.is_some_and(|field| proof.covers(field));
        if unspent.is_empty() || unspent.iter().any(is_covered) {
            return Ok(());
        }
        Err(Refused::new(
            "guard.transaction_uncovered",
            ErrorKind::Mismatch,
            ErrorResponse::Problem("the transaction token is not covered by a proof"),
            "no accepted proof covers the field `Txn-Token`: expected `tth` in a workload proof token, or the field in an HTTP signature",
        ))
    }

    /// Compares the call that the application names by [`Attributes::CALL_DIGEST`] with the one
    /// that the transaction token is bound to.
    ///
    /// A token for one call permits nothing else, on any route, unless the handler compares it.
    pub(super) fn check_call(
        &self,
        principal: &Principal,
        attributes: &Attributes,
    ) -> Result<(), Refused> {
        let Some(token) = principal.transaction() else {
            return Ok(());
        };
        let refused = |error: &Error| {
            let answer = ErrorResponse::Forbidden;
            Refused::of(error.code(), error.kind(), answer, error)
        };
        let required = self.route.requirements.asks_for_call();
        match (attributes.get(Attributes::CALL_DIGEST), token.call_digest()) {
            (Some(call), Some(_)) => {
                // A text that is no digest is that of no call.
                let call = call.parse::<CallDigest>();
                let checked = call.or(Err(Error::OtherCall));
                let checked = checked.and_then(|call| token.check_call(&call));
                checked.map_err(|error| refused(&error))
            }
            (_, None) if required => Err(refused(&Error::NoCall)),
            (None, Some(_)) if required => Err(Refused::new(
                "guard.call",
                ErrorKind::Configuration,
                ErrorResponse::Forbidden,
                "the route requires a transaction token for its call, and the application names no call: expected the attribute `call_digest`, which an `Extract` or an outer layer adds",
            )),
            (None, Some(_)) if !self.route.requirements.leaves_call_to_handler() => {
                Err(Refused::new(
                    "guard.call",
                    ErrorKind::Configuration,
                    ErrorResponse::Forbidden,
                    "the transaction token is for one call, and the application names no call: expected a `ToolCall` in the extensions of the request, from `Guard::call_layer` or a layer outside the guard's, or the attribute `call_digest`; where the handler compares the call, set `Requirements::call_compared_by_handler`",
                ))
            }
            _ => Ok(()),
        }
    }
}

/// Refuses requirements of transactions for a guard that accepts no transaction tokens.
pub(super) fn check_requirements(
    transactions: Option<&Transactions>,
    requirements: &Requirements,
) -> Result<(), BuildError> {
    let asks = requirements.needs_transaction() || requirements.allows_transaction_alone();
    if asks && transactions.is_none() {
        return Err(BuildError::NoTransactions);
    }
    Ok(())
}
