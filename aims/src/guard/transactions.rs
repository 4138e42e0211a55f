//! The transaction tokens that a guard accepts.

use std::sync::{Arc, PoisonError, RwLock};

use aims_error::ErrorKind;
use aims_jose::jwk::JwkSet;
use aims_jose::time::{Skew, UnixTime};
use aims_oauth_rs::ProvenKey;
use aims_oauth_wire::call::CallDigest;
use aims_txn_token::{Error, TXN_TOKEN, TxnToken, TxnTokenCache, TxnTokenRules};

use super::evidence::{AgentCredential, UnspentProof, transaction};
use super::fields::CoveredField;
use super::refused::Refused;
use super::{BuildError, Guard};
use crate::decision::Attributes;
use crate::principal::Principal;
use crate::refusal::ErrorResponse;
use crate::requirements::Requirements;

/// The trust domain whose transaction tokens a guard accepts, and the keys of its service.
///
/// Clones share the keys, so [`set_keys`](Self::set_keys) on one of them reaches the guard.
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
    keys: Arc<RwLock<Arc<JwkSet>>>,
}

impl TransactionTokens {
    /// Accepts tokens by these rules, signed with one of these keys.
    #[must_use]
    pub fn new(rules: TxnTokenRules, keys: JwkSet) -> Self {
        Self {
            rules,
            keys: Arc::new(RwLock::new(Arc::new(keys))),
        }
    }

    /// Replaces the keys. From the next request on, a token of a key that is gone is refused.
    pub fn set_keys(&self, keys: JwkSet) {
        let mut held = self.keys.write().unwrap_or_else(PoisonError::into_inner);
        *held = Arc::new(keys);
    }

    fn keys(&self) -> Arc<JwkSet> {
        let held = self.keys.read().unwrap_or_else(PoisonError::into_inner);
        Arc::clone(&held)
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

    pub(super) fn verify(&self, text: &str, now: UnixTime) -> Result<TxnToken, Error> {
        self.known.verify(text, &self.tokens.keys(), now)
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
