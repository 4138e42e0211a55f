//! Verifying proofs (RFC 9449 §4.3).

use core::time::Duration;

use aims_jose::alg::AlgorithmSet;
use aims_jose::base64url;
use aims_jose::json::Text;
use aims_jose::jwk::Thumbprint;
use aims_jose::jws::Unverified;
use aims_jose::jwt::{NumericDate, present, required};
use aims_jose::key::VerifyingKey;
use aims_jose::provider::Provider;
use aims_jose::time::{Skew, UnixTime};
use aims_replay::{ReplayKey, ReplayStore};
use serde::Deserialize;

use super::target::is_same;
use super::{Binding, Error, MAX_LEN, Nonce, NonceIssuer, TYP};
use crate::shown;

/// What is asked of a proof, beside its binding.
#[derive(Clone, Debug)]
pub struct DpopRules {
    algorithms: AlgorithmSet,
    max_age: u64,
    skew: Skew,
    nonces: Option<NonceIssuer>,
    max_len: usize,
}

impl Default for DpopRules {
    fn default() -> Self {
        Self::new()
    }
}

impl DpopRules {
    /// All signature algorithms that the provider has, a proof of at most 60 s ago, 30 s of skew,
    /// no nonce, 4 KiB.
    #[must_use]
    pub fn new() -> Self {
        Self {
            algorithms: AlgorithmSet::ALL,
            max_age: 60,
            skew: Skew::default(),
            nonces: None,
            max_len: MAX_LEN,
        }
    }

    /// Sets the algorithms that are accepted. Name them in `dpop_signing_alg_values_supported` and
    /// in the challenge (`algs`).
    #[must_use]
    pub const fn with_algorithms(mut self, algorithms: AlgorithmSet) -> Self {
        self.algorithms = algorithms;
        self
    }

    /// The algorithms that are accepted.
    #[must_use]
    pub const fn algorithms(&self) -> AlgorithmSet {
        self.algorithms
    }

    /// Sets how long ago a proof may have been made, in whole seconds. Proofs are remembered for as
    /// long.
    #[must_use]
    pub const fn with_max_age(mut self, most: Duration) -> Self {
        self.max_age = most.as_secs();
        self
    }

    /// Sets the skew.
    #[must_use]
    pub const fn with_skew(mut self, skew: Skew) -> Self {
        self.skew = skew;
        self
    }

    /// Refuses a proof without a nonce of this server (RFC 9449 §8, §9). It keeps out proofs that
    /// were made ahead of time by somebody who could use the key once (§11.2).
    #[must_use]
    pub fn requiring_nonces(mut self, nonces: NonceIssuer) -> Self {
        self.nonces = Some(nonces);
        self
    }

    /// Issues the nonces that are required, where they are.
    #[must_use]
    pub const fn nonces(&self) -> Option<&NonceIssuer> {
        self.nonces.as_ref()
    }

    /// Sets the greatest length of the text, in bytes.
    #[must_use]
    pub const fn with_max_len(mut self, most: usize) -> Self {
        self.max_len = most;
        self
    }
}

#[derive(Deserialize)]
struct Claims<'a> {
    #[serde(borrow, default, deserialize_with = "present")]
    jti: Option<Text<'a>>,
    #[serde(borrow, default, deserialize_with = "present")]
    htm: Option<Text<'a>>,
    #[serde(borrow, default, deserialize_with = "present")]
    htu: Option<Text<'a>>,
    #[serde(default, deserialize_with = "present")]
    iat: Option<NumericDate>,
    #[serde(borrow, default, deserialize_with = "present")]
    ath: Option<Text<'a>>,
    #[serde(borrow, default, deserialize_with = "present")]
    nonce: Option<Text<'a>>,
}

/// A proof that was read, and of which nothing is believed yet.
pub struct UnverifiedProof<'a> {
    token: Unverified<'a>,
    thumbprint: Thumbprint,
}

impl<'a> UnverifiedProof<'a> {
    /// Reads a proof: one compact JWS of the type `dpop+jwt`, with a public key in `jwk` and an
    /// accepted `alg`.
    ///
    /// # Errors
    ///
    /// `dpop.typ`, `dpop.algorithm`, `jws.no_key_in_header`, and for what is malformed the codes
    /// `jws.…` and `jwk.…`: `jwk.private` for a private key.
    pub fn parse(text: &'a str, rules: &DpopRules) -> Result<Self, Error> {
        let token = Unverified::parse_with_embedded_key(text, rules.max_len);
        let token = token.map_err(Error::Jws)?;
        token.header().expect_typ(TYP).map_err(Error::Jws)?;
        let algorithm = token.header().alg();
        if !rules.algorithms.contains(algorithm) {
            let names: Vec<&str> = rules.algorithms.iter().map(|it| it.name()).collect();
            return Err(Error::Algorithm {
                found: algorithm.name(),
                expected: names.join(" ").into(),
            });
        }
        let jwk = token.header().embedded_key();
        let jwk = jwk.ok_or(Error::Jws(aims_jose::Error::NoKeyInHeader))?;
        let thumbprint = jwk.thumbprint();
        Ok(Self { token, thumbprint })
    }

    /// The thumbprint of the key in the proof: to be compared with `cnf.jkt` of the access token
    /// before the signature costs anything (RFC 9449 §6.1).
    #[must_use]
    pub const fn thumbprint(&self) -> &Thumbprint {
        &self.thumbprint
    }

    /// The key in the proof, prepared to verify it. A server may keep it, under its thumbprint, for
    /// the next proof.
    ///
    /// # Errors
    ///
    /// `jwk.alg` where the key is not for the algorithm of the proof, `jwk.use`, `jwk.key_ops`,
    /// `jwk.point`, `key.unsupported`.
    pub fn key(&self, provider: &'static dyn Provider) -> Result<VerifyingKey, Error> {
        let header = self.token.header();
        let jwk = header.embedded_key().cloned();
        let jwk = jwk.ok_or(Error::Jws(aims_jose::Error::NoKeyInHeader))?;
        // A key that names an algorithm of its own is for that one alone.
        let jwk = match jwk.algorithm() {
            Some(_) => jwk,
            None => jwk.with_algorithm(header.alg()).map_err(Error::Jws)?,
        };
        VerifyingKey::from_jwk(&jwk, provider).map_err(Error::Jws)
    }

    /// Verifies the proof by the [key](Self::key) that it brings: the signature, `htm`, `htu`,
    /// `iat`, `ath` exactly where the binding has an access token, and a nonce where the rules ask
    /// for it. Unknown claims are ignored.
    ///
    /// It is not yet spent: only [`UnspentProof::spend`] gives the proof.
    ///
    /// # Errors
    ///
    /// `dpop.key` for another key; `dpop.signature`, `dpop.claim`, `dpop.jti`, `dpop.htm`,
    /// `dpop.htu`, `dpop.ath`, `dpop.time`, `dpop.nonce`.
    pub fn verify(
        self,
        key: &VerifyingKey,
        binding: &Binding<'_>,
        rules: &DpopRules,
        now: UnixTime,
    ) -> Result<UnspentProof, Error> {
        if *key.thumbprint() != self.thumbprint {
            return Err(Error::Key);
        }
        let verified = self.token.verify(key).map_err(Error::Jws)?;
        let claims: Claims<'_> = verified.claims().map_err(Error::Jws)?;
        let jti = required(claims.jti, "jti").map_err(Error::Jws)?;
        let method = required(claims.htm, "htm").map_err(Error::Jws)?;
        let target = required(claims.htu, "htu").map_err(Error::Jws)?;
        let issued = required(claims.iat, "iat").map_err(Error::Jws)?.as_secs();
        if jti.is_empty() || jti.len() > MAX_JTI {
            return Err(Error::Id);
        }
        if method.as_str() != binding.method {
            return Err(Error::Method {
                found: shown::value(&method),
                expected: shown::value(binding.method),
            });
        }
        if !is_same(binding.uri, &target) {
            return Err(Error::Target {
                found: shown::identifier(&target),
                expected: shown::identifier(binding.uri),
            });
        }
        let hash = binding.access_token.map(|hash| base64url::encode(&hash));
        if claims.ath.as_deref() != hash.as_deref() {
            return Err(Error::AccessTokenHash);
        }
        let (seconds, skew) = (now.as_secs(), rules.skew);
        let ends = issued.saturating_add(rules.max_age);
        if skew.is_future(issued, seconds) || skew.is_past(ends, seconds) {
            return Err(Error::Time {
                found: issued,
                now: seconds,
                max_age: rules.max_age,
                skew: skew.as_secs(),
            });
        }
        let next_nonce = match (&rules.nonces, claims.nonce) {
            (None, _) => None,
            (Some(_), None) => {
                return Err(Error::Nonce {
                    reason: "it is missing",
                });
            }
            (Some(nonces), Some(nonce)) => {
                let age = nonces.check(&nonce, &self.thumbprint, skew, now)?;
                let replace = nonces.is_old(age);
                replace.then(|| nonces.issue(&self.thumbprint, now))
            }
        };
        let sender = self.thumbprint.to_string();
        Ok(UnspentProof {
            name: ReplayKey::new("dpop", &sender, &[jti.as_str()]),
            until: skew.remember_until(ends),
            proof: DpopProof {
                key: key.clone(),
                next_nonce,
            },
        })
    }
}

impl core::fmt::Debug for UnverifiedProof<'_> {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("UnverifiedProof")
            .field("thumbprint", &self.thumbprint)
            .finish_non_exhaustive()
    }
}

/// A proof that is good, if it is the first of its `jti`.
#[derive(Debug)]
#[must_use = "a proof that was not spent can be replayed"]
pub struct UnspentProof {
    name: ReplayKey,
    until: UnixTime,
    proof: DpopProof,
}

impl UnspentProof {
    /// Spends the proof's `jti`, scoped to its key (RFC 9449 §11.1). It is remembered until `iat`
    /// plus the greatest age plus the skew.
    ///
    /// The store counts the entry for the key, and a client can make as many keys as it likes. So
    /// use this only where the key costs something: at a resource server, after the key was
    /// compared with `cnf.jkt` of a verified access token. Where the sender was authenticated in
    /// another way, use [`spend_for`](Self::spend_for): an authorization server passes the client
    /// identifier, and a resource server whose clients get tokens for any key passes `iss` and
    /// `client_id` of the access token.
    ///
    /// # Errors
    ///
    /// `replay.replayed`, and all other `replay.…`: what cannot be remembered is refused.
    pub fn spend(self, store: &dyn ReplayStore, now: UnixTime) -> Result<DpopProof, Error> {
        aims_replay::spend(store, &self.name, self.until, now).map_err(Error::Replay)?;
        Ok(self.proof)
    }

    /// Spends the proof like [`spend`](Self::spend), and counts the entry for this authenticated
    /// sender: one client with many keys uses up its own share of the store alone.
    ///
    /// The sender is no part of the name: a proof that one sender spent is a replay from every
    /// other one.
    ///
    /// # Errors
    ///
    /// Those of [`spend`](Self::spend).
    pub fn spend_for(
        mut self,
        sender: &str,
        store: &dyn ReplayStore,
        now: UnixTime,
    ) -> Result<DpopProof, Error> {
        self.name = self.name.counted_for(sender);
        self.spend(store, now)
    }
}

/// Proof that the sender of one request holds a private key: now, for this method and URI, with
/// this access token, and for the first time.
#[derive(Clone, Debug)]
pub struct DpopProof {
    key: VerifyingKey,
    next_nonce: Option<Nonce>,
}

impl DpopProof {
    /// The key that was proven.
    #[must_use]
    pub const fn key(&self) -> &VerifyingKey {
        &self.key
    }

    /// The thumbprint of that key: `jkt`.
    #[must_use]
    pub fn thumbprint(&self) -> &Thumbprint {
        self.key.thumbprint()
    }

    /// A nonce for the answer's `DPoP-Nonce`, where that of the proof is half over (RFC 9449 §8.2).
    #[must_use]
    pub const fn next_nonce(&self) -> Option<&Nonce> {
        self.next_nonce.as_ref()
    }
}

/// The longest `jti`, in bytes.
const MAX_JTI: usize = 256;
