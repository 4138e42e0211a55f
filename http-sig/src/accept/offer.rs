//! What is signed when a peer asks for it.

use std::time::Duration;

use super::SignatureRequest;
use crate::{Algorithm, Component, Error, Signing};

/// What one is ready to sign at a peer's request. A peer chooses among these and nothing else, so
/// that nobody gets a signature over what it likes (RFC 9421 §8.3).
///
/// ```
/// use std::time::Duration;
/// use aims_http_sig::{Algorithm, Component, Offer, SignatureRequest};
///
/// let offer = Offer::new(Algorithm::Ed25519, Duration::from_secs(60))
///     .with_components([Component::METHOD, Component::AUTHORITY])
///     .with_tag("app-123");
/// let wanted = SignatureRequest::new("sig1").covering([Component::METHOD]).with_tag("app-123");
/// assert_eq!(offer.answer(&wanted)?.label(), "sig1");
///
/// let too_much = SignatureRequest::new("sig1")
///     .covering([Component::TARGET_URI])
///     .with_tag("app-123");
/// assert_eq!(offer.answer(&too_much).unwrap_err().code(), "sig.not_offered");
/// # Ok::<(), aims_http_sig::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct Offer {
    algorithm: Algorithm,
    lifetime: Duration,
    components: Vec<Component>,
    always: Vec<Component>,
    tag: Option<String>,
    key_id: Option<String>,
}

impl Offer {
    /// Signatures by this algorithm, which expire after this time.
    #[must_use]
    pub const fn new(algorithm: Algorithm, lifetime: Duration) -> Self {
        Self {
            algorithm,
            lifetime,
            components: Vec::new(),
            always: Vec::new(),
            tag: None,
            key_id: None,
        }
    }

    /// Components that a peer may choose.
    #[must_use]
    pub fn with_components(mut self, components: impl IntoIterator<Item = Component>) -> Self {
        self.components.extend(components);
        self
    }

    /// Components without which nothing is signed.
    #[must_use]
    pub fn always_covering(mut self, components: impl IntoIterator<Item = Component>) -> Self {
        self.always.extend(components);
        self
    }

    /// The purpose of the signatures. It is in each, and a peer may not ask for another one.
    #[must_use]
    pub fn with_tag(mut self, tag: impl Into<String>) -> Self {
        self.tag = Some(tag.into());
        self
    }

    /// The name of the key. It is in each signature, and a peer may not ask for another one.
    #[must_use]
    pub fn with_key_id(mut self, key_id: impl Into<String>) -> Self {
        self.key_id = Some(key_id.into());
        self
    }

    /// The signature that was asked for: the same label, the same components, all parameters (RFC
    /// 9421 §5.2), and always `created` and `expires`. A nonce is the peer's, or random.
    ///
    /// # Errors
    ///
    /// `sig.not_offered`, also where a component is not known here, and where none is asked for: a
    /// signature that covers nothing fits every message.
    pub fn answer(&self, request: &SignatureRequest) -> Result<Signing, Error> {
        let wanted = request
            .components()
            .map_err(|_nothing_known| Error::NotOffered)?;
        let may = |component: &Component| {
            self.components.contains(component) || self.always.contains(component)
        };
        if wanted.is_empty()
            || !wanted.iter().all(may)
            || !self.always.iter().all(|one| wanted.contains(one))
        {
            return Err(Error::NotOffered);
        }
        let mut nonce = None;
        for (name, value) in request.parameters() {
            let text = value.text();
            let text = text.as_deref();
            let fits = match name {
                "created" | "expires" => true,
                "nonce" => {
                    nonce = text.map(str::to_owned);
                    text.is_some_and(|text| text.len() <= 256)
                }
                "alg" => text == Some(self.algorithm.name()),
                "keyid" => text.is_some() && text == self.key_id.as_deref(),
                "tag" => text.is_some() && text == self.tag.as_deref(),
                _ => false,
            };
            if !fits {
                return Err(Error::NotOffered);
            }
        }
        let mut signing = Signing::new(request.label())
            .covering(wanted)
            .with_created()
            .with_expires_after(self.lifetime);
        signing = match nonce {
            Some(nonce) => signing.with_nonce(&nonce),
            None => signing.with_random_nonce(),
        };
        if request.parameter("alg").is_some() {
            signing = signing.with_alg(self.algorithm);
        }
        if let Some(key_id) = &self.key_id {
            signing = signing.with_key_id(key_id);
        }
        if let Some(tag) = &self.tag {
            signing = signing.with_tag(tag);
        }
        Ok(signing)
    }
}
