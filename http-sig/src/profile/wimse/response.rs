//! The called one: signs its response.

use std::borrow::Cow;
use std::time::Duration;

use aims_jose::random::SecureRandom;
use aims_jose::time::UnixTime;

use super::answer::framed;
use super::{
    Content, LABEL, METHOD_OF_REQUEST, REQUEST_NONCE, RESPONSE_FIELDS, TAG, TARGET_OF_REQUEST,
    TOKEN_FIELD, VerifiedRequest, fresh_or, within_limit,
};
use crate::base::Draft;
use crate::sf::write_parameter;
use crate::{BareItem, Component, Error, Exchange, Limits, Message, PreparedSignature};

/// How responses are signed.
///
/// Covered are `@status`, `workload-identity-token`, which must be there, `content-type` and
/// `content-digest` where they are there, `@method;req` and `@request-target;req` (SIG-02).
/// Parameters are `created`, `expires`, `nonce`, `tag` and `wimse-req-nonce`.
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

    /// Signatures that live that long, in whole seconds: 1 s to
    /// [`MAX_LIFETIME`](super::MAX_LIFETIME), or `prepare` refuses.
    pub const fn with_lifetime(mut self, lifetime: Duration) -> Self {
        self.lifetime = lifetime;
        self
    }

    /// Makes the signature base of a response to a request that was verified; `request` is the
    /// message, as it was received.
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
        let lifetime = within_limit(self.lifetime)?.as_secs();
        let mut draft = Draft::new(exchange, &Limits::default(), 6, 256);
        draft.cover(Component::STATUS.id())?;
        draft.cover(TOKEN_FIELD)?;
        for field in RESPONSE_FIELDS {
            draft.cover_present(*field)?;
        }
        draft.cover(METHOD_OF_REQUEST)?;
        draft.cover(TARGET_OF_REQUEST)?;
        let nonce = fresh_or(nonce, random)?;
        draft.list();
        draft.time("created", now, 0)?;
        draft.time("expires", now, lifetime)?;
        draft.string("nonce", &nonce);
        draft.string("tag", TAG);
        let mut answered = String::new();
        let request_nonce = BareItem::string(request_nonce)?;
        write_parameter(&mut answered, REQUEST_NONCE, &request_nonce);
        draft.parameters(&answered);
        let label = Cow::Borrowed(LABEL);
        Ok(PreparedSignature::new(label, draft.finish(), None))
    }
}

impl Default for ResponseSigning {
    fn default() -> Self {
        Self::new()
    }
}
