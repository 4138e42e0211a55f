//! DPoP proofs: what a guard accepts of them.

use aims_jose::alg::AlgorithmSet;
use aims_jose::provider::{self, Provider};
use aims_jose::random;
use aims_jose::time::Skew;
use aims_jose::verified::VerifiedCache;
use aims_oauth_wire::dpop::{DpopRules, NonceIssuer, ProofKey};

use super::BuildError;

/// How a guard accepts DPoP-bound access tokens (RFC 9449): `Authorization: DPoP` with the token,
/// and one `DPoP` field with a proof by the key that the token is bound to (`cnf.jkt`).
///
/// A proof is for the method of the request, and for the scheme and authority of the guard's URL
/// with the path of the request. `Host` and forwarded fields play no part in it, and neither does
/// [`proof_audience`](super::GuardBuilder::proof_audience): the path that the guard sees must be
/// the one that clients call. A proof covers neither the content nor the header fields of a request
/// (RFC 9449 §11.7).
///
/// ```
/// # fn example(trust: std::sync::Arc<aims::cred::TrustStore>,
/// #     issuers: std::sync::Arc<aims::oauth_rs::IssuerStore>)
/// #     -> Result<aims::Guard, aims::guard::BuildError> {
/// use aims::Guard;
/// use aims::guard::Dpop;
///
/// Guard::builder("https://tools.example/mcp")
///     .trust(trust)
///     .issuers(issuers)
///     .dpop(Dpop::new().requiring_nonces())
///     .build()
/// # }
/// ```
#[derive(Clone, Debug)]
#[must_use = "a guard accepts DPoP proofs when it is given this"]
pub struct Dpop {
    rules: DpopRules,
    nonces: Nonces,
    provider: Option<&'static dyn Provider>,
}

/// Where the secret comes from under which nonces are issued.
#[derive(Clone)]
enum Nonces {
    /// No nonces, apart from those that the rules ask for.
    AsRules,
    /// Drawn when the guard is built.
    Drawn,
    /// Shared by the servers of the resource.
    Shared(Box<[u8; 32]>),
}

impl std::fmt::Debug for Nonces {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::AsRules => "AsRules",
            Self::Drawn => "Drawn",
            Self::Shared(_) => "Shared(_)",
        })
    }
}

impl Default for Dpop {
    fn default() -> Self {
        Self::new()
    }
}

impl Dpop {
    /// Accepts proofs that are at most 60 s old and 4 KiB long, with all algorithms of the crypto
    /// provider, without nonces.
    pub fn new() -> Self {
        Self {
            rules: DpopRules::new(),
            nonces: Nonces::AsRules,
            provider: None,
        }
    }

    /// Sets the rules for proofs: their algorithms, greatest age and length.
    pub fn with_rules(mut self, rules: DpopRules) -> Self {
        self.rules = rules;
        self
    }

    /// Refuses a proof without a nonce of this guard (RFC 9449 §9). The answer to a proof without
    /// one has `use_dpop_nonce` and a nonce for its key; a client sends its request again with it.
    ///
    /// The guard remembers no nonces: each is a time and a tag over the time, the guard's URL and
    /// the key's thumbprint. The secret is drawn when the guard is built and kept nowhere else.
    pub fn requiring_nonces(mut self) -> Self {
        self.nonces = Nonces::Drawn;
        self
    }

    /// As [`requiring_nonces`](Self::requiring_nonces), under a secret that several servers of the
    /// resource share, so that each takes the nonces of the others.
    pub fn requiring_nonces_under(mut self, secret: &[u8; 32]) -> Self {
        self.nonces = Nonces::Shared(Box::new(*secret));
        self
    }

    /// Sets the crypto provider by which proofs are verified. Defaults to the one that is compiled
    /// in.
    pub fn with_provider(mut self, provider: &'static dyn Provider) -> Self {
        self.provider = Some(provider);
        self
    }

    pub(super) fn build(
        self,
        resource: &str,
        skew: Option<Skew>,
        capacity: usize,
    ) -> Result<DpopPolicy, BuildError> {
        let provider = self.provider.or_else(provider::compiled);
        let provider = provider.ok_or(BuildError::NoDpopProvider)?;
        let algorithms = self.rules.algorithms().iter();
        let usable = algorithms.filter(|it| provider.supports(*it)).collect();
        let mut rules = self.rules.with_algorithms(usable);
        if rules.algorithms().is_empty() {
            return Err(BuildError::DpopAlgorithms);
        }
        if let Some(skew) = skew {
            rules = rules.with_skew(skew);
        }
        rules = match self.nonces {
            Nonces::AsRules => rules,
            Nonces::Drawn => {
                let issuer = NonceIssuer::generate(resource, random::SYSTEM);
                rules.requiring_nonces(issuer.map_err(BuildError::DpopNonces)?)
            }
            Nonces::Shared(secret) => rules.requiring_nonces(NonceIssuer::new(resource, &secret)),
        };
        Ok(DpopPolicy {
            rules,
            origin: super::target::external_origin(resource).to_owned(),
            provider,
            keys: VerifiedCache::new(capacity),
        })
    }
}

/// The rules by which a guard checks proofs.
#[derive(Debug)]
pub(super) struct DpopPolicy {
    pub(super) rules: DpopRules,
    /// Scheme and authority of the guard's URL.
    pub(super) origin: String,
    pub(super) provider: &'static dyn Provider,
    /// Keys that verified access tokens are bound to, prepared, by the header of their proofs.
    pub(super) keys: VerifiedCache<ProofKey>,
}

impl DpopPolicy {
    /// The algorithms that challenges and metadata name.
    pub(super) const fn algorithms(&self) -> AlgorithmSet {
        self.rules.algorithms()
    }
}
