//! The identity server. See [`IdentityServer`].

mod bundle;
mod challenge;
pub(crate) mod endpoint;
mod enrolment;
mod ledger;
pub(crate) mod messages;
mod proof;
mod renewals;
mod withdrawal;

use core::time::Duration;
use std::collections::HashSet;
use std::sync::{Arc, Mutex};

use aims_jose::AlgorithmSet;
use aims_jose::base64url;
use aims_jose::digest::Fingerprint;
use aims_jose::jwk::Thumbprint;
use aims_jose::jws::CompactJws;
use aims_jose::key::VerifyingKey;
use aims_jose::provider::Provider;
use aims_jose::random::SecureRandom;
use aims_jose::secret::SecretText;
use aims_jose::time::UnixTime;
use aims_replay::{ReplayKey, ReplayStore};
use aims_wimse_cred::{JwtSvidIssuer, TrustStore, Wit, WitIssuer, WitRules};
use aims_wimse_id::{Origin, Scheme, TrustDomain, WorkloadId};

pub(crate) use self::challenge::Challenges;
use self::enrolment::BootstrapKind;
pub use self::enrolment::Enrolment;
pub(crate) use self::enrolment::{LONGEST_TOKEN, is_token};
use self::ledger::Grant;
pub(crate) use self::ledger::Ledger;
use self::proof::Judge;
use crate::Error;
use crate::State;
use crate::keys::KeyRing;
use crate::limit::Meter;
use crate::trail::Trail;

/// Issues WITs, WIT-SVIDs and JWT-SVIDs to the workloads that the operator has declared.
///
/// An agent fetches a [challenge](Self::challenge), and proves with it that it holds a key. It also
/// presents the secret of its [enrolment](Self::declare), a bootstrap token or key, or its current
/// WIT for a renewal. That determines the identifier; the agent cannot choose it.
///
/// The methods here are synchronous and take the time. [`Authority::handle`](crate::Authority)
/// provides them over HTTP.
#[derive(Debug)]
pub struct IdentityServer {
    pub(crate) base: Arc<str>,
    pub(crate) origins: Origins,
    pub(crate) rings: Rings,
    pub(crate) provider: &'static dyn Provider,
    pub(crate) random: &'static dyn SecureRandom,
    pub(crate) challenges: Challenges,
    pub(crate) ledger: Ledger,
    pub(crate) replay: Arc<dyn ReplayStore>,
    pub(crate) state: Arc<dyn State>,
    pub(crate) trust: Arc<TrustStore>,
    pub(crate) wit_rules: WitRules,
    pub(crate) svid_audiences: HashSet<String>,
    pub(crate) svid_lifetime: Duration,
    pub(crate) refresh_hint: Duration,
    pub(crate) started: u64,
    /// The rate of each agent.
    pub(crate) rates: Meter,
    /// Whether a second renewal by one key for another key is refused.
    pub(crate) refuses_second_renewals: bool,
    /// The state of the key rings with which `trust` was last filled.
    pub(crate) published: Mutex<Option<(u64, u64)>>,
}

/// The way in which a client has become known.
enum By {
    Bootstrap(BootstrapKind),
    /// A renewal, by the key with this thumbprint.
    Renewal(Thumbprint),
}

/// The origins of one trust domain. Each has its own keys.
#[derive(Debug)]
pub(crate) struct Origins {
    pub(crate) spiffe: Origin,
    pub(crate) wimse: Option<Origin>,
}

#[derive(Debug)]
pub(crate) struct Rings {
    pub(crate) wit_svid: KeyRing,
    pub(crate) jwt_svid: KeyRing,
    pub(crate) wimse_wit: KeyRing,
}

/// The way in which an agent proves its enrolment.
#[derive(Debug)]
#[non_exhaustive]
pub enum PresentedProof<'a> {
    /// A bootstrap token.
    Token(&'a SecretText),
    /// A JWS by the bootstrap key, over the thumbprint of the new key.
    KeyProof(&'a str),
    /// A renewal: the current WIT, and a JWS by its key over the thumbprint of the new key.
    Wit {
        /// The current WIT.
        wit: &'a str,
        /// The JWS.
        proof: &'a str,
    },
}

/// A nonce for one proof, with its lifetime.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Challenge {
    /// The nonce, 54 characters of base64url.
    pub nonce: String,
    /// The time from now until it expires.
    pub expires_in: Duration,
}

/// An issued credential.
#[derive(Debug)]
#[non_exhaustive]
pub struct Credential {
    /// The token.
    pub text: CompactJws,
    /// The identifier of its holder.
    pub id: WorkloadId,
    /// The time from now until it expires.
    pub expires_in: Duration,
}

impl Origins {
    pub(crate) fn of(trust_domain: &TrustDomain) -> Result<Self, Error> {
        let spiffe = Origin::new(Scheme::Spiffe, trust_domain)
            .map_err(|error| Error::TrustDomain(Some(error)))?;
        // Some names are valid trust domains for `spiffe` only.
        Ok(Self {
            spiffe,
            wimse: Origin::new(Scheme::Wimse, trust_domain).ok(),
        })
    }

    fn have(&self, id: &WorkloadId) -> bool {
        let origin = id.origin_str();
        origin == self.spiffe.as_str()
            || self
                .wimse
                .as_ref()
                .is_some_and(|wimse| origin == wimse.as_str())
    }
}

impl IdentityServer {
    /// Declares an enrolment. It can be called at any time.
    ///
    /// # Errors
    ///
    /// `authority.enrolment_origin`, `authority.identifier_held`, `authority.enrolment_secret`,
    /// `authority.enrolments_full`, `authority.lifetime`.
    pub fn declare(&self, enrolment: Enrolment, now: UnixTime) -> Result<(), Error> {
        // An identifier without a path names the trust domain itself, which is not a workload.
        if !self.origins.have(&enrolment.id) || enrolment.id.path().is_empty() {
            return Err(Error::EnrolmentOrigin { id: enrolment.id });
        }
        self.ledger.declare(enrolment, now)
    }

    /// Ends an identity: no credential is issued or renewed for it, and the authorization server
    /// refuses it.
    ///
    /// Its credentials stay valid until they expire. After that the identifier can be declared
    /// again. Until then the withdrawal is in the [state](crate::Builder::state), so that it
    /// survives a restart with a file. Returns whether there was such an enrolment.
    /// [`withdraw_in`](Self::withdraw_in) does it from another process, and for as long as a file
    /// of state is kept.
    ///
    /// # Errors
    ///
    /// `authority.state_full`, `authority.unavailable` if the state does not have it. This process
    /// refuses the identifier nevertheless.
    pub fn withdraw(&self, id: &WorkloadId, now: UnixTime) -> Result<bool, Error> {
        let Some((live_until, lifetime)) = self.ledger.withdraw(id, now) else {
            return Ok(false);
        };
        // The ledger does not know what an earlier process issued.
        let lifetime = lifetime.max(self.svid_lifetime);
        let earlier = add(aims_jose::time::at(self.started), lifetime);
        self.keep_withdrawal(id, live_until.max(earlier), now)?;
        Ok(true)
    }

    /// Returns whether an identifier was withdrawn and its credentials have not yet expired.
    #[must_use]
    pub fn is_withdrawn(&self, id: &WorkloadId) -> bool {
        self.ledger.is_withdrawn(id)
    }

    /// Returns a new nonce. It stores nothing.
    ///
    /// # Errors
    ///
    /// `authority.unavailable` without random bytes.
    pub fn challenge(&self, now: UnixTime) -> Result<Challenge, Error> {
        let nonce = self.challenges.issue(self.random, now)?;
        Ok(Challenge {
            nonce,
            expires_in: challenge::LIFETIME,
        })
    }

    /// Issues a WIT to the key that signed `key_proof`. For a `spiffe` identifier it is a WIT-SVID.
    ///
    /// # Errors
    ///
    /// `identity.proof`, `identity.nonce`, `identity.nonce_used`, `identity.proof_binding`;
    /// `identity.enrolment`, `identity.enrolment_used`, `identity.enrolment_expired`,
    /// `identity.presented_wit`, `identity.withdrawn`, `identity.renewed_twice`;
    /// `identity.key_algorithm`, `identity.key_taken`; `authority.too_many`;
    /// `identity.credentials_full`, `authority.unavailable`.
    pub fn issue_wit(
        &self,
        shown: &PresentedProof<'_>,
        key_proof: &str,
        now: UnixTime,
    ) -> Result<Credential, Error> {
        self.issue(shown, key_proof, &mut Trail::default(), now)
    }

    /// Issues a WIT, and notes in `trail` what the request has shown.
    pub(crate) fn issue(
        &self,
        shown: &PresentedProof<'_>,
        key_proof: &str,
        trail: &mut Trail,
        now: UnixTime,
    ) -> Result<Credential, Error> {
        let judge = self.judge(now);
        let key_proof = judge.key_proof(key_proof)?;
        let thumbprint = *key_proof.unverified_key().thumbprint();
        trail.key = Some(thumbprint);
        // Check the identity first, then the key, then the nonce, then record it. An unknown client
        // costs no signature and no memory, and nothing is used up.
        let (by, id, nonce) = self.recognise(&judge, shown, &thumbprint, trail)?;
        trail.id = Some(id.clone());
        self.check_not_withdrawn(&id, now)?;
        self.rates.take_agent(id.as_str(), now)?;
        let proven = key_proof.verify()?;
        if let Some(nonce) = nonce {
            // Both proofs have the same nonce, so that neither is from another exchange.
            same_nonce(&nonce, &proven.nonce)?;
        }
        let key = proven.what;
        check_algorithm(&id, &key)?;
        self.spend(&id, &proven.nonce, proven.nonce_expires, now)?;
        let grant = match by {
            By::Bootstrap(bootstrap) => self.ledger.enrol(&bootstrap, thumbprint, now)?,
            By::Renewal(current) => {
                let strict = self.refuses_second_renewals;
                let mut grant = self.ledger.renew(&id, &current, thumbprint, strict, now)?;
                let noted = match self.note_renewal(&id, current, thumbprint, now) {
                    Ok(Some(earlier)) if strict => Err(Error::RenewedTwice { earlier }),
                    noted => noted,
                };
                match noted {
                    Ok(earlier) => grant.renewed_for = grant.renewed_for.or(earlier),
                    Err(error) => {
                        self.ledger.undo(&grant);
                        return Err(error);
                    }
                }
                grant
            }
        };
        trail.renewed_for = grant.renewed_for;
        let signed = self.sign_wit(&grant, &key, now);
        if signed.is_err() {
            self.ledger.undo(&grant);
        }
        Ok(Credential {
            text: signed?,
            id: grant.id,
            expires_in: grant.lifetime,
        })
    }

    /// Determines the identifier of a client. Also returns the nonce of its second proof.
    fn recognise(
        &self,
        judge: &Judge<'_>,
        shown: &PresentedProof<'_>,
        about: &Thumbprint,
        trail: &mut Trail,
    ) -> Result<(By, WorkloadId, Option<String>), Error> {
        let now = judge.now;
        match shown {
            PresentedProof::Token(token) => {
                trail.how = Some("token");
                let bootstrap = BootstrapKind::of_token(token.expose());
                trail.id = self.ledger.owner(&bootstrap);
                let id = self.ledger.recognise(&bootstrap, now)?;
                Ok((By::Bootstrap(bootstrap), id, None))
            }
            PresentedProof::KeyProof(text) => {
                trail.how = Some("key");
                let named = proof::bootstrap_key_of(text)?;
                let bootstrap = self.ledger.bootstrap_key(named).ok_or(Error::Enrolment)?;
                let typ = messages::ENROLMENT_PROOF;
                let proven = judge.authorizing(text, typ, &bootstrap, about, None)?;
                let bootstrap = BootstrapKind::Key(named);
                trail.id = self.ledger.owner(&bootstrap);
                let id = self.ledger.recognise(&bootstrap, now)?;
                Ok((By::Bootstrap(bootstrap), id, Some(proven.nonce)))
            }
            PresentedProof::Wit { wit: text, proof } => {
                trail.how = Some("renewal");
                trail.presented = Some(Fingerprint::of(text.as_bytes()));
                let (wit, hash) = self.own_wit(text, now)?;
                trail.id = Some(wit.id().clone());
                let typ = messages::RENEWAL_PROOF;
                let proven = judge.authorizing(proof, typ, wit.key(), about, Some(&hash))?;
                let current = *wit.key().thumbprint();
                Ok((By::Renewal(current), wit.id().clone(), Some(proven.nonce)))
            }
        }
    }

    /// Issues a JWT-SVID to the holder of a WIT-SVID, for an audience that the operator allowed.
    ///
    /// A JWT-SVID is a bearer credential: anyone who has it can act as its subject.
    ///
    /// # Errors
    ///
    /// `identity.presented_wit`, `identity.proof`, `identity.nonce`, `identity.nonce_used`,
    /// `identity.proof_binding`, `identity.withdrawn`, `identity.audience`, `authority.too_many`,
    /// `authority.unavailable`.
    pub fn issue_jwt_svid(
        &self,
        wit: &str,
        request: &str,
        now: UnixTime,
    ) -> Result<Credential, Error> {
        self.issue_svid(wit, request, &mut Trail::default(), now)
    }

    /// Issues a JWT-SVID, and notes in `trail` what the request has shown.
    pub(crate) fn issue_svid(
        &self,
        wit: &str,
        request: &str,
        trail: &mut Trail,
        now: UnixTime,
    ) -> Result<Credential, Error> {
        trail.presented = Some(Fingerprint::of(wit.as_bytes()));
        let (wit, hash) = self.own_wit(wit, now)?;
        trail.id = Some(wit.id().clone());
        trail.key = Some(*wit.key().thumbprint());
        let proven = self.judge(now).svid_request(request, wit.key(), &hash)?;
        let id = wit.id();
        self.rates.take_agent(id.as_str(), now)?;
        self.check_not_withdrawn(id, now)?;
        self.ledger.check_enrolled(id)?;
        if id.scheme() != Scheme::Spiffe || !self.svid_audiences.contains(&proven.what) {
            return Err(Error::Audience);
        }
        self.spend(id, &proven.nonce, proven.nonce_expires, now)?;
        let expires = add(now, self.svid_lifetime);
        let signer = self.rings.jwt_svid.signer(expires, now);
        let signer = signer.ok_or_else(|| Error::unavailable("no key"))?;
        self.ledger.extend(id, expires);
        let text = JwtSvidIssuer::new(signer)
            .issue(id, &[proven.what.as_str()], self.svid_lifetime, now)
            .map_err(Error::unavailable)?;
        Ok(Credential {
            text,
            id: id.clone(),
            expires_in: self.svid_lifetime,
        })
    }

    fn judge(&self, now: UnixTime) -> Judge<'_> {
        Judge {
            audience: &self.base,
            challenges: &self.challenges,
            provider: self.provider,
            now,
        }
    }

    /// Verifies a WIT that this server issued. Also returns the hash of its text, as in `wth`.
    fn own_wit(&self, text: &str, now: UnixTime) -> Result<(Wit, String), Error> {
        let trust = self.refreshed_trust(now)?;
        let wit = Wit::verify(text, &trust.snapshot(), &self.wit_rules, now)
            .map_err(Error::PresentedWit)?;
        if !self.origins.have(wit.id()) {
            return Err(Error::Withdrawn);
        }
        let hash = base64url::encode(wit.hash());
        Ok((wit, hash))
    }

    fn spend(
        &self,
        id: &WorkloadId,
        nonce: &str,
        until: UnixTime,
        now: UnixTime,
    ) -> Result<(), Error> {
        let key = ReplayKey::new("identity-nonce", id.as_str(), &[nonce]);
        self.replay
            .spend(&key, until, now)
            .map_err(|error| match error {
                aims_replay::Error::Replayed => Error::NonceUsed,
                aims_replay::Error::Expired => Error::Nonce,
                other => Error::unavailable(other),
            })
    }

    fn sign_wit(
        &self,
        grant: &Grant,
        key: &VerifyingKey,
        now: UnixTime,
    ) -> Result<CompactJws, Error> {
        let ring = match grant.id.scheme() {
            Scheme::Spiffe => &self.rings.wit_svid,
            Scheme::Wimse => &self.rings.wimse_wit,
        };
        let signer = ring.signer(add(now, grant.lifetime), now);
        let signer = signer.ok_or_else(|| Error::unavailable("no key"))?;
        WitIssuer::new(signer, Some(self.base.to_string()))
            .issue(&grant.id, key.jwk(), grant.lifetime, now)
            .map_err(Error::unavailable)
    }
}

/// Checks that both proofs have the same nonce, so that neither is from another exchange.
fn same_nonce(one: &str, other: &str) -> Result<(), Error> {
    if one == other {
        Ok(())
    } else {
        Err(Error::ProofBinding)
    }
}

/// Refuses an Ed25519 key in a WIT-SVID, as SPIFFE does. The WIT of a `wimse` identifier may have
/// one.
fn check_algorithm(id: &WorkloadId, key: &VerifyingKey) -> Result<(), Error> {
    let allowed = match id.scheme() {
        Scheme::Spiffe => AlgorithmSet::SVID,
        Scheme::Wimse => AlgorithmSet::ALL,
    };
    let algorithm = key.jwk().algorithm().ok_or(Error::KeyAlgorithm)?;
    if allowed.contains(algorithm) {
        Ok(())
    } else {
        Err(Error::KeyAlgorithm)
    }
}

pub(crate) fn add(now: UnixTime, duration: Duration) -> UnixTime {
    let seconds = now.as_secs().saturating_add(duration.as_secs());
    UnixTime::since_unix_epoch(Duration::from_secs(seconds))
}
