//! Signs the requests of an agent.

use std::time::Duration;

use aims_jose::key::VerifyingKey;
use aims_jose::random::SecureRandom;
use aims_jose::time::UnixTime;

use super::field::AgentField;
use super::{FIELD, MAX_LIFETIME, SignatureAgent, TAG, TYPES, required};
use crate::verify::missing;
use crate::{
    Algorithm, Component, ComponentId, Error, Exchange, Key, Limits, Message, PreparedSignature,
    ReceivedFields, Section, SignatureRequest, Signing,
};

/// Settings for signing the requests of an agent.
///
/// The signature covers `@authority`, `@method`, `@path`, `content-digest` if the request has it,
/// and the agent's member of `signature-agent`. Its parameters are `created`, `keyid`, `alg`,
/// `expires`, `nonce` and `tag`.
#[derive(Clone, Debug)]
#[must_use = "nothing is signed until `prepare` is called"]
pub struct RequestSigning {
    label: String,
    agent: SignatureAgent,
    key_id: String,
    algorithm: Algorithm,
    components: Vec<Component>,
    lifetime: Duration,
    nonce: Option<String>,
}

impl RequestSigning {
    /// Creates settings for this key, which is published at the URL of the agent. The label is
    /// `sig1` and the lifetime 60 s.
    ///
    /// # Errors
    ///
    /// `sig.algorithm` if RFC 9421 has no algorithm for the key.
    pub fn new(agent: SignatureAgent, key: &VerifyingKey) -> Result<Self, Error> {
        Ok(Self {
            label: "sig1".to_owned(),
            agent,
            key_id: key.thumbprint().to_string(),
            algorithm: Key::Public(key.clone()).algorithm(None)?,
            components: vec![Component::AUTHORITY, Component::METHOD, Component::PATH],
            lifetime: Duration::from_secs(60),
            nonce: None,
        })
    }

    /// Sets the label, which is also the key of the member of `Signature-Agent`.
    pub fn with_label(mut self, label: impl Into<String>) -> Self {
        self.label = label.into();
        self
    }

    /// Covers `@authority` only.
    ///
    /// An attacker who sees the request can then send any other request to that authority until the
    /// signature expires. Add components that restrict it.
    pub fn covering_authority_alone(mut self) -> Self {
        self.components = vec![Component::AUTHORITY];
        self
    }

    /// Covers `@target-uri` instead of `@authority` and `@path`, and so the query too.
    pub fn covering_target_uri(mut self) -> Self {
        self.components
            .retain(|one| *one != Component::AUTHORITY && *one != Component::PATH);
        self.components.insert(0, Component::TARGET_URI);
        self
    }

    /// Covers these components too.
    ///
    /// To cover another signature of the request, cover its member of `signature-input` and all
    /// components that it covers. Otherwise `prepare` refuses, because a signature alone does not
    /// identify its message (draft §"Multiple Signatures").
    pub fn covering(mut self, components: impl IntoIterator<Item = Component>) -> Self {
        self.components.extend(components);
        self
    }

    /// Sets the lifetime in whole seconds, from 1 s to [`MAX_LIFETIME`]. `prepare` refuses other
    /// values.
    pub const fn with_lifetime(mut self, lifetime: Duration) -> Self {
        self.lifetime = lifetime;
        self
    }

    /// Sets a nonce that the receiver asked for, instead of a random one.
    pub fn with_nonce(mut self, nonce: impl Into<String>) -> Self {
        self.nonce = Some(nonce.into());
        self
    }

    /// Returns the value of the field `Signature-Agent`, or the line to add to it. Add it to the
    /// request before [`prepare`](Self::prepare).
    #[must_use]
    pub fn signature_agent(&self) -> String {
        self.agent.to_member(&self.label)
    }

    /// Prepares the signature of a request.
    ///
    /// # Errors
    ///
    /// `sig.component_absent` if `Signature-Agent` has no member with the label; `sig.agent` if
    /// that member is another agent; `sig.limit` if the field has more members than a receiver
    /// reads; `sig.lifetime` for more than a day and `sig.prepare` for less than a second;
    /// `sig.component_required` if another signature is covered without all of its components; the
    /// errors of [`Signing::prepare`].
    pub fn prepare(
        &self,
        request: &dyn Message,
        random: &dyn SecureRandom,
        now: UnixTime,
    ) -> Result<PreparedSignature, Error> {
        if self.lifetime > MAX_LIFETIME {
            return Err(Error::Lifetime);
        }
        check_chained(request, &self.components)?;
        let prepared = self.prepare_for(request, random, now)?;
        let limits = Limits::default();
        let field = AgentField::of(request, &limits)?;
        if field
            .read(self.agent.revision(), &limits)
            .member(&self.label)?
            != self.agent
        {
            return Err(Error::SignatureAgent);
        }
        Ok(prepared)
    }

    fn prepare_for(
        &self,
        request: &dyn Message,
        random: &dyn SecureRandom,
        now: UnixTime,
    ) -> Result<PreparedSignature, Error> {
        let digest = Component::field("content-digest")?;
        let mut signing = Signing::new(&self.label).covering(self.components.iter().cloned());
        let narrowed = self.components.len() > 1;
        if narrowed && !self.components.contains(&digest) && has(request, "content-digest") {
            signing = signing.covering([digest]);
        }
        signing = signing
            .covering([Component::field(FIELD)?.member(&self.label)?])
            .with_created()
            .with_key_id(&self.key_id)
            .with_alg(self.algorithm)
            .with_expires_after(self.lifetime);
        signing = match &self.nonce {
            Some(nonce) => signing.with_nonce(nonce),
            None => signing.with_random_nonce(),
        };
        let exchange = Exchange::of(request).with_types(&TYPES);
        signing.with_tag(TAG).prepare(&exchange, random, now)
    }
}

/// Checks that another signature is covered together with its components.
fn check_chained(request: &dyn Message, components: &[Component]) -> Result<(), Error> {
    let covers = |id: ComponentId<'_>| components.iter().any(|one| one.id() == id);
    let chained = components.iter().map(Component::id);
    for id in chained.filter(|id| id.name() == "signature") {
        // The whole field, or its lines as bytes, contains all signatures and identifies none.
        let label = id.argument().ok_or_else(|| required(id))?;
        let input = Component::field("signature-input")?.member(label)?;
        if !covers(input.id()) {
            return Err(required(input.id()));
        }
        let limits = Limits::default();
        let fields = ReceivedFields::of(request, Section::Headers, &limits)?;
        let signatures = fields.signatures(&limits)?;
        let inner = signatures.iter().find(|one| one.label() == label);
        let inner = inner.ok_or_else(|| missing(&signatures))?.components()?;
        if let Some(missing) = inner.into_iter().find(|id| !covers(*id)) {
            return Err(required(missing));
        }
    }
    Ok(())
}

fn has(message: &dyn Message, field: &str) -> bool {
    let mut there = false;
    message.lines(Section::Headers, field, &mut |_line| there = true);
    there
}

/// Returns the value of `Accept-Signature` that a receiver sends with status 403 to ask for a
/// signature (draft §"Requesting a Message Signature").
///
/// # Errors
///
/// `sig.component_parameter` if the label is not a key of a structured field.
pub fn wanted_signature(label: &str) -> Result<SignatureRequest, Error> {
    Ok(SignatureRequest::new(label)
        .covering([
            Component::AUTHORITY,
            Component::METHOD,
            Component::PATH,
            Component::field(FIELD)?.member(label)?,
        ])
        .with_created()
        .with_expires()
        .with_tag(TAG))
}

#[cfg(test)]
mod tests;
