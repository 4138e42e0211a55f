//! The settings of a builder for identities, proofs and the memory of spent proofs.

use std::sync::Arc;

use aims_jose::time::Skew;
use aims_replay::ReplayStore;
use aims_wimse_cred::WitRules;
use aims_wimse_wpt::{Revisions, WptRules};

use super::GuardBuilder;
use crate::guard::spend::Replay;
use crate::guard::transactions::TransactionTokens;
use crate::guard::{ClientCertificates, Deferred, Dpop, HttpSignatures};
use crate::resolve::Resolve;

impl<T, M> GuardBuilder<T, M> {
    /// Sets the store of spent proofs. Defaults to 1,000,000 proofs in memory.
    ///
    /// A store in memory knows nothing of the proofs that were spent before the process was
    /// started. So the guard refuses a proof that a receiver could have accepted before the guard
    /// was built, with `replay.before_start` and 503: one that was made at most the clock skew
    /// later, or earlier. See [`accept_proofs_before_start`](Self::accept_proofs_before_start).
    ///
    /// ```
    /// use std::sync::Arc;
    ///
    /// use aims::replay::ReplayCache;
    ///
    /// let guard = aims::Guard::builder("https://tools.example/mcp")
    ///     .trust(Arc::new(aims::cred::TrustStore::new()))
    ///     .replay(ReplayCache::in_memory(10_000))
    ///     .build()?;
    /// # drop(guard);
    /// # Ok::<(), aims::guard::BuildError>(())
    /// ```
    pub fn replay(mut self, store: impl ReplayStore + 'static) -> Self {
        self.settings.replay = Some(Replay::Local(Arc::new(store)));
        self
    }

    /// Accepts proofs that were made before the guard was built, or up to the clock skew later.
    ///
    /// A proof that was captured before the tool was started anew is then accepted once more. Use
    /// it where nothing can have been captured, such as in a test, or where the program waits for
    /// the longest lifetime of a proof before it serves.
    ///
    /// A guard for an `http` URL of this machine always accepts them. A
    /// [shared store](Self::shared_replay) has its own rule.
    ///
    /// ```
    /// use std::sync::Arc;
    ///
    /// let guard = aims::Guard::builder("https://tools.example/mcp")
    ///     .trust(Arc::new(aims::cred::TrustStore::new()))
    ///     .accept_proofs_before_start()
    ///     .build()?;
    /// # drop(guard);
    /// # Ok::<(), aims::guard::BuildError>(())
    /// ```
    pub const fn accept_proofs_before_start(mut self) -> Self {
        self.settings.early_proofs = true;
        self
    }

    /// Sets a store of spent proofs that several servers share and that needs I/O.
    ///
    /// The guard asks it with [`Need::SharedReplay`](crate::resolve::Need::SharedReplay). Such a
    /// guard has only [`admit`](crate::Guard::admit), not `check`.
    pub fn shared_replay(mut self, store: impl Resolve + 'static) -> GuardBuilder<T, Deferred> {
        self.settings.replay = Some(Replay::Shared(Arc::new(store)));
        self.into_state()
    }

    /// Sets the rules for WITs, for example to accept only WIT-SVIDs.
    ///
    /// ```
    /// use std::sync::Arc;
    ///
    /// use aims::cred::WitRules;
    ///
    /// let guard = aims::Guard::builder("https://tools.example/mcp")
    ///     .trust(Arc::new(aims::cred::TrustStore::new()))
    ///     .wit_rules(WitRules::wit_svid())
    ///     .build()?;
    /// # drop(guard);
    /// # Ok::<(), aims::guard::BuildError>(())
    /// ```
    pub fn wit_rules(mut self, rules: WitRules) -> Self {
        self.settings.wit = rules;
        self
    }

    /// Sets the rules for WPTs.
    pub fn wpt_rules(mut self, rules: WptRules) -> Self {
        self.settings.wpt = rules;
        self
    }

    /// Sets the accepted revisions of draft-ietf-wimse-wpt. Defaults to [`Revisions::DRAFT_02`].
    ///
    /// In [`Revisions::DRAFT_02`] the proof is in `Authorization: WPT`. In [`Revisions::DRAFT_01`]
    /// it is in `Workload-Proof-Token` and covers the access token by `ath`.
    ///
    /// ```
    /// use std::sync::Arc;
    ///
    /// use aims::wpt::Revisions;
    ///
    /// let guard = aims::Guard::builder("https://tools.example/mcp")
    ///     .trust(Arc::new(aims::cred::TrustStore::new()))
    ///     .wpt_revisions(Revisions::DRAFT_01)
    ///     .build()?;
    /// # drop(guard);
    /// # Ok::<(), aims::guard::BuildError>(())
    /// ```
    pub fn wpt_revisions(mut self, revisions: impl Into<Revisions>) -> Self {
        self.settings.wpt = self.settings.wpt.with_revisions(revisions.into());
        self
    }

    /// Sets one clock skew for WITs, proofs and access tokens. It replaces the skew in their rules.
    ///
    /// ```
    /// use std::sync::Arc;
    ///
    /// use aims::jose::time::Skew;
    ///
    /// let guard = aims::Guard::builder("https://tools.example/mcp")
    ///     .trust(Arc::new(aims::cred::TrustStore::new()))
    ///     .skew(Skew::from_secs(5)?)
    ///     .build()?;
    /// # drop(guard);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn skew(mut self, skew: Skew) -> Self {
        self.settings.skew = Some(skew);
        self
    }

    /// Accepts transaction tokens of a trust domain, in the field `Txn-Token`.
    ///
    /// Without this call the guard does not look at transaction tokens. With it, a request with one
    /// that is not good is refused. A route requires one with
    /// [`Requirements::transaction`](crate::Requirements::transaction) and similar methods. If the
    /// sender proves a key, one of its proofs must cover the token.
    pub fn transactions(mut self, tokens: TransactionTokens) -> Self {
        self.settings.transactions = Some(tokens);
        self
    }

    /// Accepts HTTP message signatures as a proof, and sets how responses are signed.
    ///
    /// If a request has a WPT as well, it is as safe as the weaker proof: see [`HttpSignatures`].
    pub fn http_signatures(mut self, signatures: HttpSignatures) -> Self {
        self.settings.signatures = Some(signatures);
        self
    }

    /// Accepts DPoP-bound access tokens (RFC 9449) of the guard's issuers. Their proof is one of
    /// possession, which needs no workload identity: it names no agent.
    ///
    /// Without this call, a request with `Authorization: DPoP` is refused.
    pub fn dpop(mut self, dpop: Dpop) -> Self {
        self.settings.dpop = Some(dpop);
        self
    }

    /// Accepts access tokens that are bound to the client's certificate (RFC 8705 §3), and says
    /// where the guard gets that certificate from. It is a proof of possession of the token's
    /// client: it names no agent.
    ///
    /// Without this call, a request with such a token is refused.
    pub fn client_certificates(mut self, certificates: ClientCertificates) -> Self {
        self.settings.certificates = Some(certificates);
        self
    }
}
