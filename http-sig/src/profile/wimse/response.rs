//! Signs a response.

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

/// Settings for signing responses.
///
/// The signature covers `@status`, and `workload-identity-token`, which the response must have. It
/// covers `content-type`, `content-digest` and `content-encoding` if the response has them. Of the
/// request it covers `@method;req`, `@path;req` and `@query;req`; for `CONNECT` it covers
/// `@authority;req` instead of the last two.
///
/// The parameters are `created`, `expires`, `nonce`, `tag` and `wimse-req-nonce`.
#[derive(Clone, Debug)]
#[must_use = "nothing is signed until `prepare` is called"]
pub struct ResponseSigning {
    label: Cow<'static, str>,
    lifetime: Duration,
}

impl ResponseSigning {
    /// Creates settings with a lifetime of 60 s.
    pub const fn new() -> Self {
        Self {
            label: Cow::Borrowed(LABEL),
            lifetime: Duration::from_secs(60),
        }
    }

    /// Sets the lifetime in whole seconds, from 1 s to [`MAX_LIFETIME`](super::MAX_LIFETIME).
    /// `prepare` refuses other values. Defaults to 60 s.
    pub const fn with_lifetime(mut self, lifetime: Duration) -> Self {
        self.lifetime = lifetime;
        self
    }

    /// Sets the label, which a receiver ignores. Defaults to [`LABEL`]. `prepare` refuses a label
    /// that is not a key of a structured field.
    pub fn with_label(mut self, label: impl Into<String>) -> Self {
        self.label = Cow::Owned(label.into());
        self
    }

    /// Prepares the signature of a response to a verified request. `request` is the message as it
    /// was received.
    ///
    /// # Errors
    ///
    /// Those of [`RequestSigning::prepare`](super::RequestSigning::prepare).
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
