//! Verifies proofs (RFC 9449 §4.3).

use core::time::Duration;
use std::sync::Arc;

use aims_jose::alg::AlgorithmSet;
use aims_jose::base64url;
use aims_jose::json::Text;
use aims_jose::jwk::Thumbprint;
use aims_jose::jws::{Header, KnownHeader, Unverified};
use aims_jose::jwt::{NumericDate, present, required};
use aims_jose::key::VerifyingKey;
use aims_jose::provider::Provider;
use aims_jose::time::{Skew, UnixTime, at};
use aims_replay::{ReplayKey, ReplayStore, Validity};
use serde::Deserialize;

use super::target::is_same;
use super::{Binding, Error, MAX_LEN, Nonce, NonceIssuer, TYP};
use crate::shown;

/// The rules by which a server accepts proofs, in addition to their binding.
///
/// ```
/// use std::time::Duration;
///
/// use aims_oauth_wire::dpop::{DpopRules, NonceIssuer};
///
/// let nonces = NonceIssuer::new("https://tool.example", &[7; 32]);
/// let rules = DpopRules::new().with_max_age(Duration::from_secs(30)).requiring_nonces(nonces);
/// assert!(rules.nonces().is_some());
/// ```
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
    /// Creates the default rules: all signature algorithms of the provider, a maximum age of 60 s,
    /// a skew of 30 s, no nonce, at most 4 KiB.
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

    /// Sets the accepted algorithms. Publish them in `dpop_signing_alg_values_supported` and in
    /// challenges (`algs`).
    #[must_use]
    pub const fn with_algorithms(mut self, algorithms: AlgorithmSet) -> Self {
        self.algorithms = algorithms;
        self
    }

    /// Returns the accepted algorithms.
    #[must_use]
    pub const fn algorithms(&self) -> AlgorithmSet {
        self.algorithms
    }

    /// Sets the maximum age of a proof, in whole seconds. Spent proofs are stored for the same
    /// time.
    #[must_use]
    pub const fn with_max_age(mut self, most: Duration) -> Self {
        self.max_age = most.as_secs();
        self
    }

    /// Sets the clock skew.
    #[must_use]
    pub const fn with_skew(mut self, skew: Skew) -> Self {
        self.skew = skew;
        self
    }

    /// Requires a nonce of this server in each proof (RFC 9449 §8, §9).
    ///
    /// This refuses proofs that an attacker with temporary access to the key made in advance
    /// (§11.2).
    #[must_use]
    pub fn requiring_nonces(mut self, nonces: NonceIssuer) -> Self {
        self.nonces = Some(nonces);
        self
    }

    /// Returns the issuer of the required nonces, or `None` if nonces are not required.
    #[must_use]
    pub const fn nonces(&self) -> Option<&NonceIssuer> {
        self.nonces.as_ref()
    }

    /// Sets the maximum length of a proof, in bytes.
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

/// A parsed proof that is not verified.
pub struct UnverifiedProof<'a> {
    token: Unverified<'a>,
    thumbprint: Thumbprint,
}

impl<'a> UnverifiedProof<'a> {
    /// Parses a proof: one compact JWS with the type `dpop+jwt`, a public key in `jwk` and an
    /// accepted `alg`.
    ///
    /// # Errors
    ///
    /// `dpop.typ`, `dpop.algorithm`, `jws.no_key_in_header`; `jwk.private` if the key is a private
    /// one; other `jws.…` and `jwk.…` for malformed parts.
    pub fn parse(text: &'a str, rules: &DpopRules) -> Result<Self, Error> {
        let token = Unverified::parse_with_embedded_key(text, rules.max_len);
        let token = token.map_err(Error::Jws)?;
        check_header(token.header(), rules)?;
        let jwk = token.header().embedded_key();
        let jwk = jwk.ok_or(Error::Jws(aims_jose::Error::NoKeyInHeader))?;
        let thumbprint = jwk.thumbprint();
        Ok(Self { token, thumbprint })
    }

    /// Parses a proof that begins with the header of earlier ones, whose key is known. Returns
    /// `None` for a proof with another header, which [`parse`](Self::parse) parses.
    ///
    /// # Errors
    ///
    /// Those of [`parse`](Self::parse).
    pub fn parse_known(
        text: &'a str,
        rules: &DpopRules,
        known: &ProofKey,
    ) -> Result<Option<Self>, Error> {
        let ProofKey(known) = known;
        let token = Unverified::parse_known(text, rules.max_len, &known.header);
        let Some(token) = token.map_err(Error::Jws)? else {
            return Ok(None);
        };
        check_header(token.header(), rules)?;
        let thumbprint = known.thumbprint;
        Ok(Some(Self { token, thumbprint }))
    }

    /// Returns the thumbprint of the key in the proof.
    ///
    /// Compare it with `cnf.jkt` of the access token before you verify the signature (RFC 9449
    /// §6.1).
    #[must_use]
    pub const fn thumbprint(&self) -> &Thumbprint {
        &self.thumbprint
    }

    /// Returns the key in the proof, prepared for verification. A server may keep it:
    /// [`proof_key`](Self::proof_key).
    ///
    /// # Errors
    ///
    /// `jwk.alg` if the key is not for the algorithm of the proof, `jwk.use`, `jwk.key_ops`,
    /// `jwk.point`, `key.unsupported`.
    pub fn key(&self, provider: &'static dyn Provider) -> Result<VerifyingKey, Error> {
        let header = self.token.header();
        let jwk = header.embedded_key().cloned();
        let jwk = jwk.ok_or(Error::Jws(aims_jose::Error::NoKeyInHeader))?;
        // A key that names an algorithm is only for that one.
        let jwk = match jwk.algorithm() {
            Some(_) => jwk,
            None => jwk.with_algorithm(header.alg()).map_err(Error::Jws)?,
        };
        VerifyingKey::from_jwk(&jwk, provider).map_err(Error::Jws)
    }

    /// Returns the [key](Self::key) with the header of the proof, for further proofs with the same
    /// header.
    ///
    /// # Errors
    ///
    /// Those of [`key`](Self::key).
    pub fn proof_key(&self, provider: &'static dyn Provider) -> Result<ProofKey, Error> {
        Ok(ProofKey(Arc::new(Known {
            header: self.token.known_header(),
            thumbprint: self.thumbprint,
            key: self.key(provider)?,
        })))
    }

    /// Verifies the proof with its [key](Self::key).
    ///
    /// It checks the signature, `htm`, `htu` and `iat`; `ath` if and only if the binding has an
    /// access token; and a nonce if the rules require one. Unknown claims are ignored. Call
    /// [`UnspentProof::spend`] on the result.
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
        // Also the hash that an ES256 signature signs.
        let text_hash = self.token.hashes().text;
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
        if binding.nonce.is_some() && binding.nonce != claims.nonce.as_deref() {
            return Err(Error::Nonce {
                reason: "it is not the expected one",
            });
        }
        let mut from = issued.saturating_sub(skew.as_secs());
        let next_nonce = match (&rules.nonces, claims.nonce) {
            (None, _) => None,
            (Some(_), None) => {
                return Err(Error::Nonce {
                    reason: "it is missing",
                });
            }
            (Some(nonces), Some(nonce)) => {
                let age = nonces.check(&nonce, &self.thumbprint, skew, now)?;
                // The proof is not older than the nonce in it, by the clock of the nonce's server.
                let ahead = nonces.most_ahead(skew);
                from = from.max(seconds.saturating_sub(age).saturating_sub(ahead));
                let replace = nonces.is_old(age);
                replace.then(|| nonces.issue(&self.thumbprint, now))
            }
        };
        let sender = self.thumbprint.to_string();
        Ok(UnspentProof {
            text_hash,
            name: ReplayKey::new("dpop", &sender, &[jti.as_str()]),
            valid: Validity::new(at(from), skew.remember_until(ends)),
            proof: DpopProof {
                key: key.clone(),
                next_nonce,
            },
        })
    }
}

fn check_header(header: &Header, rules: &DpopRules) -> Result<(), Error> {
    header.expect_typ(TYP).map_err(Error::Jws)?;
    let algorithm = header.alg();
    if rules.algorithms.contains(algorithm) {
        return Ok(());
    }
    let names: Vec<&str> = rules.algorithms.iter().map(|it| it.name()).collect();
    Err(Error::Algorithm {
        found: algorithm.name(),
        expected: names.join(" ").into(),
    })
}

/// A key that signs proofs, prepared for verification, with the header of its proofs. Clones share
/// the data.
///
/// A client writes the same header into all proofs of one key. A server that keeps this for a key
/// that it has verified parses the header and prepares the key once:
///
/// ```
/// # use aims_oauth_wire::dpop::{DpopRules, Error, ProofKey, UnverifiedProof};
/// fn parse<'a>(
///     text: &'a str,
///     rules: &DpopRules,
///     known: &ProofKey,
/// ) -> Result<UnverifiedProof<'a>, Error> {
///     match UnverifiedProof::parse_known(text, rules, known)? {
///         Some(proof) => Ok(proof),
///         None => UnverifiedProof::parse(text, rules),
///     }
/// }
/// ```
#[derive(Clone, Debug)]
pub struct ProofKey(Arc<Known>);

#[derive(Debug)]
struct Known {
    header: KnownHeader,
    thumbprint: Thumbprint,
    key: VerifyingKey,
}

impl ProofKey {
    /// Returns the key.
    #[must_use]
    pub fn key(&self) -> &VerifyingKey {
        &self.0.key
    }
}

impl core::fmt::Debug for UnverifiedProof<'_> {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("UnverifiedProof")
            .field("thumbprint", &self.thumbprint)
            .finish_non_exhaustive()
    }
}

/// A verified proof that was not spent yet: its `jti` may have been used before.
#[derive(Debug)]
#[must_use = "a proof that was not spent can be replayed"]
pub struct UnspentProof {
    text_hash: [u8; 32],
    name: ReplayKey,
    valid: Validity,
    proof: DpopProof,
}

impl UnspentProof {
    /// Returns the thumbprint of the key that made the proof: `jkt`.
    #[must_use]
    pub fn thumbprint(&self) -> &Thumbprint {
        self.proof.thumbprint()
    }

    /// Returns the SHA-256 of the proof's text, for records.
    #[must_use]
    pub const fn text_hash(&self) -> &[u8; 32] {
        &self.text_hash
    }

    /// Spends the `jti` of the proof, which is unique for its key (RFC 9449 §11.1). The store keeps
    /// it until `iat` plus the maximum age plus the skew.
    ///
    /// The store counts the entry for the key, and a client can create any number of keys. Use this
    /// method only if a key is limited in another way: at a resource server, after comparing the
    /// key with `cnf.jkt` of a verified access token. If the sender was authenticated in another
    /// way, use [`spend_for`](Self::spend_for). An authorization server passes the client
    /// identifier. A resource server whose clients can get tokens for any key passes `iss` and
    /// `client_id` of the access token.
    ///
    /// # Errors
    ///
    /// `replay.replayed` if the proof was used before; other `replay.…` if the store cannot
    /// remember it.
    pub fn spend(self, store: &dyn ReplayStore, now: UnixTime) -> Result<DpopProof, Error> {
        aims_replay::spend_proof(store, &self.name, self.valid, now).map_err(Error::Replay)?;
        Ok(self.proof)
    }

    /// Spends the proof like [`spend`](Self::spend), and counts the entry for this authenticated
    /// sender. A client with many keys uses only its own share of the store.
    ///
    /// The sender is not part of the key in the store: a proof that one sender spent is a replay
    /// from every other sender.
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

/// Proves that the sender of one request holds a private key: at this time, for this method, URI
/// and access token, and for the first time.
#[derive(Clone, Debug)]
pub struct DpopProof {
    key: VerifyingKey,
    next_nonce: Option<Nonce>,
}

impl DpopProof {
    /// Returns the proven key.
    #[must_use]
    pub const fn key(&self) -> &VerifyingKey {
        &self.key
    }

    /// Returns the thumbprint of the proven key (`jkt`).
    #[must_use]
    pub fn thumbprint(&self) -> &Thumbprint {
        self.key.thumbprint()
    }

    /// Returns a nonce for the `DPoP-Nonce` of the answer, if the nonce of the proof has used up
    /// half of its lifetime (RFC 9449 §8.2).
    #[must_use]
    pub const fn next_nonce(&self) -> Option<&Nonce> {
        self.next_nonce.as_ref()
    }
}

/// The maximum length of `jti`, in bytes.
const MAX_JTI: usize = 256;
