//! Verifies the requests of agents.

use std::time::Duration;

use aims_jose::jwk::Thumbprint;
use aims_jose::time::{Skew, UnixTime};
use aims_replay::ReplayStore;

use super::field::{AgentField, ReceivedAgents};
use super::{
    AgentKeys, Claim, FIELD, MAX_LIFETIME, Revision, SignatureAgent, TAG, TYPES, WHOLE_FIELD,
    required,
};
use crate::component::Flags;
use crate::verify::missing;
use crate::{
    Algorithms, Component, ComponentId, Error, Exchange, Key, Keys, Limits, Message, Parameters,
    Policy, ReceivedFields, Section, UnspentSignature, UnverifiedSignature, VerifiedSignature,
};

/// Rules of a receiver, created once and used for every request.
#[derive(Clone, Debug)]
pub struct RequestPolicy {
    lifetime: Duration,
    skew: Skew,
    algorithms: Algorithms,
    limits: Limits,
    revision: Revision,
    legacy: Legacy,
    no_agent: NoAgent,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Legacy {
    Refused,
    Taken,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum NoAgent {
    Refused,
    Taken,
}

impl RequestPolicy {
    /// Accepts signatures that cover `@authority` or `@target-uri` and their member of
    /// `Signature-Agent`, have a lifetime of at most a day, and are by a public key. The skew is 30
    /// s.
    #[must_use]
    pub fn new() -> Self {
        Self {
            lifetime: MAX_LIFETIME,
            skew: Skew::default(),
            algorithms: Algorithms::PUBLIC_KEY,
            limits: Limits::default(),
            revision: Revision::default(),
            legacy: Legacy::Refused,
            no_agent: NoAgent::Refused,
        }
    }

    /// Sets the maximum lifetime of a signature, in whole seconds, up to [`MAX_LIFETIME`]. Defaults
    /// to one day.
    #[must_use]
    pub fn with_max_lifetime(mut self, most: Duration) -> Self {
        self.lifetime = most.min(MAX_LIFETIME);
        self
    }

    /// Sets the clock skew. Defaults to 30 s.
    #[must_use]
    pub const fn with_skew(mut self, skew: Skew) -> Self {
        self.skew = skew;
        self
    }

    /// Sets the accepted algorithms. Defaults to [`Algorithms::PUBLIC_KEY`]. Shared keys are never
    /// accepted.
    #[must_use]
    pub const fn with_algorithms(mut self, algorithms: Algorithms) -> Self {
        self.algorithms = algorithms;
        self
    }

    /// Sets the limits. Defaults to [`Limits::default`].
    ///
    /// `Signature-Agent` may be as long as `Signature`, and may have as many members as there may
    /// be signatures.
    #[must_use]
    pub const fn with_limits(mut self, limits: Limits) -> Self {
        self.limits = limits;
        self
    }

    /// Sets the revision of the draft by which the members of `Signature-Agent` are parsed.
    /// Defaults to
    /// [`Revision::Draft01`]: URLs of JWK Sets, where a member with parameters is ignored.
    #[must_use]
    pub const fn with_revision(mut self, revision: Revision) -> Self {
        self.revision = revision;
        self
    }

    /// Also accepts `Signature-Agent` as a bare string that is covered as a whole, as earlier
    /// drafts define it (draft §5.2.1).
    #[must_use]
    pub const fn accept_legacy_agent(mut self) -> Self {
        self.legacy = Legacy::Taken;
        self
    }

    /// Also accepts a request without `Signature-Agent` that is signed by a key which the receiver
    /// knows by itself (draft §"When No URL Is Available").
    #[must_use]
    pub const fn accept_no_agent(mut self) -> Self {
        self.no_agent = NoAgent::Taken;
        self
    }

    /// Returns the claims of the signatures of this profile, not verified. The caller can fetch the
    /// directories that they name before it calls [`verify`](Self::verify).
    ///
    /// # Errors
    ///
    /// Those of [`verify`](Self::verify) that do not depend on a key.
    pub fn claims(&self, request: &dyn Message) -> Result<Vec<Claim>, Error> {
        self.each(request, usize::MAX, |_signature, claim| Ok(claim))
    }

    /// Verifies the only signature of this profile in a request.
    ///
    /// # Errors
    ///
    /// `sig.missing` without a signature, `sig.ambiguous` for several; `sig.component_required`,
    /// `sig.agent`, `sig.agent_ambiguous`, `sig.agent_key_unknown`, `sig.lifetime` and the other
    /// codes `sig.…`.
    pub fn verify(
        &self,
        request: &dyn Message,
        keys: &dyn AgentKeys,
        now: UnixTime,
    ) -> Result<UnspentRequest, Error> {
        let mut verified = self.each(request, 1, |signature, claim| {
            self.verify_one(request, signature, claim, keys, now)
        })?;
        verified.pop().ok_or_else(|| missing(&[]))
    }

    /// Verifies every signature of this profile in a request. There must be at least one, and all
    /// must be valid (draft §"Multiple Signatures").
    ///
    /// # Errors
    ///
    /// Those of [`verify`](Self::verify) for the first refused signature, except `sig.ambiguous`.
    pub fn verify_each(
        &self,
        request: &dyn Message,
        keys: &dyn AgentKeys,
        now: UnixTime,
    ) -> Result<Vec<UnspentRequest>, Error> {
        let verified = self.each(request, usize::MAX, |signature, claim| {
            self.verify_one(request, signature, claim, keys, now)
        })?;
        if verified.is_empty() {
            return Err(missing(&[]));
        }
        Ok(verified)
    }

    /// Calls a function for each signature of this profile, of which there may be at most `most`.
    /// The fields are parsed once for all of them.
    fn each<T>(
        &self,
        request: &dyn Message,
        most: usize,
        mut one: impl FnMut(&UnverifiedSignature<'_>, Claim) -> Result<T, Error>,
    ) -> Result<Vec<T>, Error> {
        let fields = ReceivedFields::of(request, Section::Headers, &self.limits)?;
        let signatures = fields.signatures(&self.limits)?;
        let ours: Vec<_> = signatures.iter().filter(|one| is_ours(one)).collect();
        if ours.is_empty() {
            return Err(missing(&signatures));
        }
        if ours.len() > most {
            return Err(Error::SignatureAmbiguous);
        }
        let field = AgentField::of(request, &self.limits)?;
        let agents = field.read(self.revision, &self.limits);
        let ours = ours.into_iter();
        ours.map(|signature| one(signature, self.claim(&agents, signature)?))
            .collect()
    }

    fn verify_one(
        &self,
        request: &dyn Message,
        signature: &UnverifiedSignature<'_>,
        claim: Claim,
        keys: &dyn AgentKeys,
        now: UnixTime,
    ) -> Result<UnspentRequest, Error> {
        let found = Found {
            keys,
            claim: &claim,
            most: self.lifetime,
        };
        let policy = Policy::requiring([])
            .with_tag(TAG)
            .requiring_parameters(["expires", "keyid"])
            .with_max_age(self.lifetime)
            .with_skew(self.skew)
            .with_algorithms(self.algorithms)
            .with_limits(self.limits);
        let exchange = Exchange::of(request).with_types(&TYPES);
        let unspent = policy.verify_one(signature, &exchange, &found, now)?;
        Ok(UnspentRequest { claim, unspent })
    }

    /// Checks the covered components and returns the claim about the key.
    fn claim(
        &self,
        agents: &ReceivedAgents<'_>,
        signature: &UnverifiedSignature<'_>,
    ) -> Result<Claim, Error> {
        let components = signature.components()?;
        let covers = |id| components.contains(&id);
        if !covers(Component::AUTHORITY.id()) && !covers(Component::TARGET_URI.id()) {
            return Err(required(Component::AUTHORITY.id()));
        }
        let members: Vec<&str> = components.iter().filter_map(member_key).collect();
        // The member under the label belongs to this signature. An intermediary may change a label
        // (RFC 9421 §7.2.5), but not a covered member.
        let agent = match members.as_slice() {
            [] => self.without_member(agents, covers(WHOLE_FIELD))?,
            [key] => Some(agents.member(key)?),
            several if several.contains(&signature.label()) => {
                Some(agents.member(signature.label())?)
            }
            _ => return Err(Error::SignatureAgentAmbiguous),
        };
        let key_id = signature.parameters().key_id();
        let key_id = key_id.ok_or_else(|| Error::ParameterRequired {
            parameter: "keyid".to_owned(),
        })?;
        let key_id = key_id.parse::<Thumbprint>();
        Ok(Claim {
            agent,
            key_id: key_id.map_err(|_no_thumbprint| Error::ParameterType { parameter: "keyid" })?,
        })
    }

    fn without_member(
        &self,
        agents: &ReceivedAgents<'_>,
        covers_field: bool,
    ) -> Result<Option<SignatureAgent>, Error> {
        if !agents.is_there() && self.no_agent == NoAgent::Taken {
            return Ok(None);
        }
        let legacy = covers_field && self.legacy == Legacy::Taken;
        let agent = if legacy { agents.legacy()? } else { None };
        match agent {
            Some(agent) => Ok(Some(agent)),
            None => Err(required(WHOLE_FIELD)),
        }
    }
}

impl Default for RequestPolicy {
    fn default() -> Self {
        Self::new()
    }
}

fn is_ours(signature: &UnverifiedSignature<'_>) -> bool {
    signature.parameters().tag().as_deref() == Some(TAG)
}

/// Returns the key of a member of the field in the headers. A member in the trailers, or in
/// canonical form, would be another one.
fn member_key<'a>(id: &ComponentId<'a>) -> Option<&'a str> {
    let is_plain = id.name() == FIELD && id.flags() == Flags::default();
    id.argument().filter(|_key| is_plain)
}

/// Returns the key of a claim if the parameters are acceptable.
#[derive(Debug)]
struct Found<'a> {
    keys: &'a dyn AgentKeys,
    claim: &'a Claim,
    most: Duration,
}

impl Keys for Found<'_> {
    fn find(&self, parameters: &Parameters<'_>) -> Result<Key, Error> {
        let (created, expires) = (parameters.created(), parameters.expires());
        let lifetime = expires
            .unwrap_or_default()
            .saturating_sub(created.unwrap_or_default());
        if lifetime > self.most.as_secs() {
            return Err(Error::Lifetime);
        }
        let key = self.keys.find(self.claim)?;
        if key.thumbprint() != self.claim.key_id() {
            return Err(self.claim.unknown());
        }
        Ok(Key::Public(key))
    }
}

/// A request with a valid signature that is not yet checked for replay.
#[derive(Debug)]
#[must_use = "a request that was not spent can be replayed"]
pub struct UnspentRequest {
    claim: Claim,
    unspent: UnspentSignature,
}

impl UnspentRequest {
    /// Spends the nonce, within the scope of the key.
    ///
    /// # Errors
    ///
    /// `sig.parameter_required` without a nonce; `replay.replayed` if it was used before; other
    /// `replay.…` codes if the store cannot remember it.
    pub fn spend(self, store: &dyn ReplayStore, now: UnixTime) -> Result<VerifiedRequest, Error> {
        Ok(VerifiedRequest {
            claim: self.claim,
            signature: self.unspent.spend(store, now)?,
        })
    }

    /// Accepts the request without a check for replay.
    ///
    /// An attacker can send the same signature again until it expires, also with changes of
    /// everything that it does not cover.
    #[must_use]
    pub fn accept_replays(self) -> VerifiedRequest {
        VerifiedRequest {
            claim: self.claim,
            signature: self.unspent.accept_replays(),
        }
    }
}

/// Proof that a holder of a key which the agent publishes signed this request. Only verification
/// creates it. It does not say who runs the agent, or why.
#[derive(Clone, Debug)]
pub struct VerifiedRequest {
    claim: Claim,
    signature: VerifiedSignature,
}

impl VerifiedRequest {
    /// Returns the URL that identifies the agent, to log, limit or block it. `None` if only the
    /// [key](Self::key_id) is known.
    #[must_use]
    pub fn agent(&self) -> Option<&str> {
        self.claim.agent().map(SignatureAgent::identifier)
    }

    /// Returns the covered member of `Signature-Agent`.
    #[must_use]
    pub const fn signature_agent(&self) -> Option<&SignatureAgent> {
        self.claim.agent()
    }

    /// Returns the thumbprint of the key.
    #[must_use]
    pub const fn key_id(&self) -> &Thumbprint {
        self.claim.key_id()
    }

    /// Returns the signature with the covered components, their values, and the parameters.
    #[must_use]
    pub const fn signature(&self) -> &VerifiedSignature {
        &self.signature
    }
}

#[cfg(test)]
pub(super) mod tests;
