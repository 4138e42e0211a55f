//! The called one: signs its response.

use std::time::Duration;

use jose::random::SecureRandom;
use jose::time::UnixTime;

use super::answer::framed;
use super::{
    Content, LABEL, REQUEST_NONCE, RESPONSE_FIELDS, TAG, TOKEN, VerifiedRequest, has, within_limit,
};
use crate::{BareItem, Component, Error, Exchange, Message, PreparedSignature, Signing};

/// How responses are signed.
///
/// Covered are `@status`, `workload-identity-token`, which must be there, `content-type` and `content-digest` where they are there, `@method;req` and
/// `@request-target;req` (SIG-02). Parameters are `created`, `expires`, `nonce`, `tag` and `wimse-req-nonce`.
#[derive(Clone, Debug)]
#[must_use = "nothing is signed until `prepare` is called"]
pub struct ResponseSigning {
    lifetime: Duration,
}

impl ResponseSigning {
    /// Signatures that live 60 s.
    pub const fn new() -> Self {
        Self {
            lifetime: Duration::from_secs(60),
        }
    }

    /// Signatures that live that long, in whole seconds: 1 s to [`MAX_LIFETIME`](super::MAX_LIFETIME), or `prepare` refuses.
    pub const fn with_lifetime(mut self, lifetime: Duration) -> Self {
        self.lifetime = lifetime;
        self
    }

    /// Makes the signature base of a response to a request that was verified; `request` is the message, as it was received.
    ///
    /// # Errors
    ///
    /// As [`RequestSigning::prepare`](super::RequestSigning::prepare).
    pub fn prepare(
        &self,
        response: &dyn Message,
        request: &dyn Message,
        verified: &VerifiedRequest,
        content: Content<'_>,
        random: &dyn SecureRandom,
        now: UnixTime,
    ) -> Result<PreparedSignature, Error> {
        let exchange = Exchange::of(response).answering(request);
        self.prepare_with(&exchange, verified.nonce(), content, None, random, now)
    }

    pub(super) fn prepare_with(
        &self,
        exchange: &Exchange<'_>,
        request_nonce: &str,
        content: Content<'_>,
        nonce: Option<&str>,
        random: &dyn SecureRandom,
        now: UnixTime,
    ) -> Result<PreparedSignature, Error> {
        let response = exchange.message();
        content.check(response, framed(exchange))?;
        let mut signing =
            Signing::new(LABEL).covering([Component::STATUS, Component::field(TOKEN)?]);
        for field in RESPONSE_FIELDS {
            if has(response, field) {
                signing = signing.covering([Component::field(field)?]);
            }
        }
        signing = signing
            .covering([
                Component::METHOD.of_request()?,
                Component::REQUEST_TARGET.of_request()?,
            ])
            .with_created()
            .with_expires_after(within_limit(self.lifetime)?);
        signing = match nonce {
            Some(nonce) => signing.with_nonce(nonce),
            None => signing.with_random_nonce(),
        };
        signing
            .with_tag(TAG)
            .with_parameter(REQUEST_NONCE, BareItem::string(request_nonce)?)
            .prepare(exchange, random, now)
    }
}

impl Default for ResponseSigning {
    fn default() -> Self {
        Self::new()
    }
}
