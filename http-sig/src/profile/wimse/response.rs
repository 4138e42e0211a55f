//! The called one: signs its response.

use std::borrow::Cow;
use std::time::Duration;

use aims_jose::random::SecureRandom;
use aims_jose::time::UnixTime;

use super::answer::framed;
use super::{
    Content, LABEL, REQUEST_NONCE, TAG, VerifiedRequest, check_label, fresh_or, revision,
    within_limit,
};
use crate::base::Draft;
use crate::sf::write_parameter;
use crate::{BareItem, Error, Exchange, Limits, Message, PreparedSignature};

/// How responses are signed.
///
/// Covers `@status`, `workload-identity-token`, which must be present, `content-type`,
/// `content-digest` and `content-encoding` where they are present, `@method;req`, `@path;req` and
/// `@query;req` (of a `CONNECT`, `@authority;req` in place of these two). Parameters are `created`,
/// `expires`, `nonce`, `tag` and `wimse-req-nonce`.
#[derive(Clone, Debug)]
#[must_use = "nothing is signed until `prepare` is called"]
pub struct ResponseSigning {
    label: Cow<'static, str>,
    lifetime: Duration,
}

impl ResponseSigning {
    /// Signatures that live 60 s.
    pub const fn new() -> Self {
        Self {
            label: Cow::Borrowed(LABEL),
            lifetime: Duration::from_secs(60),
        }
    }

    /// Signatures that live that long, in whole seconds: 1 s to
    /// [`MAX_LIFETIME`](super::MAX_LIFETIME), or `prepare` refuses.
    pub const fn with_lifetime(mut self, lifetime: Duration) -> Self {
        self.lifetime = lifetime;
        self
    }

    /// Sets the label, which means nothing to a receiver; [`LABEL`] unless set. A label that is no
    /// key of a structured field is refused by `prepare`.
    pub fn with_label(mut self, label: impl Into<String>) -> Self {
        self.label = Cow::Owned(label.into());
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
        check_label(&self.label)?;
        let mut draft = Draft::new(exchange, &Limits::default(), 8, 256);
        for id in revision::RESPONSE {
            draft.cover(id)?;
        }
        for field in revision::RESPONSE_FIELDS {
            draft.cover_present(*field)?;
        }
        for id in revision::answered(exchange.request()) {
            draft.cover(id)?;
        }
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
        Ok(PreparedSignature::new(
            self.label.clone(),
            draft.finish(),
            None,
        ))
    }
}

impl Default for ResponseSigning {
    fn default() -> Self {
        Self::new()
    }
}
