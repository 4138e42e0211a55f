//! Limits the signatures that a peer can request.

use std::time::Duration;

use super::SignatureRequest;
use crate::{Algorithm, Component, Error, Signing};

/// The signatures that a signer is willing to make at a peer's request.
///
/// A peer can choose among these only. Otherwise it could obtain a signature over content of its
/// own choice (RFC 9421 §8.3).
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
    /// Offers signatures with this algorithm that expire after this time.
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

    /// Adds components that a peer may choose.
    #[must_use]
    pub fn with_components(mut self, components: impl IntoIterator<Item = Component>) -> Self {
        self.components.extend(components);
        self
    }

    /// Adds components that every signature covers. A request without them is refused.
    #[must_use]
    pub fn always_covering(mut self, components: impl IntoIterator<Item = Component>) -> Self {
        self.always.extend(components);
        self
    }

    /// Sets the tag of each signature. A peer may not ask for another one.
    #[must_use]
    pub fn with_tag(mut self, tag: impl Into<String>) -> Self {
        self.tag = Some(tag.into());
        self
    }

    /// Sets the `keyid` of each signature. A peer may not ask for another one.
    #[must_use]
    pub fn with_key_id(mut self, key_id: impl Into<String>) -> Self {
        self.key_id = Some(key_id.into());
        self
    }

    /// Returns the settings of the requested signature: the same label, components and parameters
    /// (RFC 9421 §5.2), and always `created` and `expires`. The nonce is the peer's, or random.
    ///
    /// # Errors
    ///
    /// `sig.not_offered` if the request exceeds the offer, names an unknown component, or names no
    /// component. A signature that covers no component would be valid for every message.
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
