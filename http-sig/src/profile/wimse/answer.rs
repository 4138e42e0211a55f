//! The caller: judges the response to its request.

use std::time::Duration;

use aims_jose::key::VerifyingKey;
use aims_jose::time::{Skew, UnixTime};
use aims_replay::{ReplayKey, ReplayStore};

use super::content::Framed;
use super::{
    AUDIENCE, ContentCheck, MAX_LIFETIME, METHOD_OF_REQUEST, REQUEST_NONCE, RESPONSE_FIELDS,
    SIGN_RESPONSE, SignedResponse, TAG, TARGET_OF_REQUEST, TOKEN_FIELD, check_label,
    check_lifetime, check_present, text,
};
use crate::digest::{ContentDigest, Matched};
use crate::{
    Algorithms, Component, Error, Exchange, Key, Keys, Limits, Parameters, Policy, Start,
    VerifiedSignature,
};

/// What a caller takes: made once, used for every response.
#[derive(Clone, Debug)]
pub struct ResponsePolicy {
    response: SignedResponse,
    skew: Skew,
    lifetime: Duration,
    algorithms: Algorithms,
    limits: Limits,
}

impl ResponsePolicy {
    /// Responses that are signed where the request asked for it; `expires` at most 5 minutes ahead,
    /// 30 s of skew.
    #[must_use]
    pub fn new() -> Self {
        Self {
            response: SignedResponse::Unasked,
            skew: Skew::default(),
            lifetime: Duration::from_secs(300),
            algorithms: Algorithms::PUBLIC_KEY,
            limits: Limits::default(),
        }
    }

    /// Takes no unsigned response, whether the request asked or not: local policy (draft §"Signing
    /// the Response").
    #[must_use]
    pub const fn requiring_signature(mut self) -> Self {
        self.response = SignedResponse::Asked;
        self
    }

    /// Another skew.
    #[must_use]
    pub const fn with_skew(mut self, skew: Skew) -> Self {
        self.skew = skew;
        self
    }

    /// Another limit to how far ahead `expires` may be, in whole seconds: up to [`MAX_LIFETIME`].
    #[must_use]
    pub fn with_max_lifetime(mut self, most: Duration) -> Self {
        self.lifetime = most.min(MAX_LIFETIME);
        self
    }

    /// Other algorithms. One with a shared key is never taken.
    #[must_use]
    pub const fn with_algorithms(mut self, algorithms: Algorithms) -> Self {
        self.algorithms = algorithms;
        self
    }

    /// Other limits.
    #[must_use]
    pub const fn with_limits(mut self, limits: Limits) -> Self {
        self.limits = limits;
        self
    }

    fn policy(&self) -> Policy {
        let covered = [
            Component::STATUS,
            Component::fixed(METHOD_OF_REQUEST),
            Component::fixed(TARGET_OF_REQUEST),
            Component::fixed(TOKEN_FIELD),
        ];
        Policy::requiring(covered)
            .with_tag(TAG)
            .requiring_parameters(["nonce"])
            .forbidding_parameters(["keyid", "alg", AUDIENCE, SIGN_RESPONSE])
            .with_skew(self.skew)
            .with_max_age(self.lifetime)
            .with_algorithms(self.algorithms)
            .with_limits(self.limits)
    }
}

impl Default for ResponsePolicy {
    fn default() -> Self {
        Self::new()
    }
}

/// What a response is.
#[derive(Debug)]
#[must_use = "the body is anybody's until it is checked"]
#[expect(
    clippy::exhaustive_enums,
    clippy::large_enum_variant,
    reason = "a caller handles both; the large one is the usual one"
)]
pub enum Answer {
    /// Signed by the key, in answer to this request.
    Signed(ResponseHead),
    /// Not signed, and it did not have to be: nothing says who it is from.
    Unsigned,
}

pub(super) fn judge(
    exchange: &Exchange<'_>,
    nonce: &str,
    asked: SignedResponse,
    key: Option<&VerifyingKey>,
    rules: &ResponsePolicy,
    now: UnixTime,
) -> Result<Answer, Error> {
    let judged = Judged {
        key,
        nonce,
        rules,
        now,
    };
    let signature = match rules.policy().verify(exchange, &judged, now) {
        Ok(unspent) => unspent.accept_replays(),
        Err(Error::SignatureMissing) => {
            let unasked = SignedResponse::Unasked;
            return if asked == unasked && rules.response == unasked {
                Ok(Answer::Unsigned)
            } else {
                Err(Error::ResponseUnsigned)
            };
        }
        Err(error) => return Err(error),
    };
    let response = exchange.message();
    check_label(response, &signature, &rules.limits)?;
    check_present(response, &signature, RESPONSE_FIELDS)?;
    let framed = framed(exchange);
    framed.check(response)?;
    let content = ContentCheck::of(&signature, framed)?;
    let parameters = signature.parameters();
    let expires = parameters.expires().unwrap_or_default();
    Ok(Answer::Signed(ResponseHead {
        until: expires.saturating_add(rules.skew.as_secs()),
        response: VerifiedResponse {
            nonce: parameters.nonce().unwrap_or_default().into_owned(),
            request_nonce: nonce.to_owned(),
            digest: content.digest().cloned(),
            signature,
        },
        content,
    }))
}

/// What says whether a response has a body (RFC 9112 §6.3).
pub(super) fn framed(exchange: &Exchange<'_>) -> Framed {
    let to_head = matches!(
        exchange.request().map(crate::Message::start),
        Some(Start::Request { method: "HEAD", .. })
    );
    let status = match exchange.message().start() {
        Start::Response { status } => status,
        Start::Request { .. } => 0,
    };
    if to_head || matches!(status, 100..=199 | 204 | 304) {
        Framed::Never
    } else {
        Framed::ByFields
    }
}

/// Gives the key for parameters that fit.
#[derive(Debug)]
struct Judged<'a> {
    key: Option<&'a VerifyingKey>,
    nonce: &'a str,
    rules: &'a ResponsePolicy,
    now: UnixTime,
}

impl Keys for Judged<'_> {
    fn find(&self, parameters: &Parameters<'_>) -> Result<Key, Error> {
        check_lifetime(parameters, self.rules.lifetime, self.rules.skew, self.now)?;
        if text(parameters, REQUEST_NONCE)? != self.nonce {
            return Err(Error::RequestNonce);
        }
        self.key.cloned().map(Key::Public).ok_or(Error::KeyUnknown)
    }
}

/// A signed response that is good, but for its body.
///
/// It answers one request, whose [`Pending`](super::Pending) is gone, so the same response is not
/// taken twice. A caller that also wants to see nonces once [spends](Self::spend) it.
#[derive(Debug)]
#[must_use = "the body is anybody's until `check_body` or `reading_body` is called"]
pub struct ResponseHead {
    until: u64,
    response: VerifiedResponse,
    content: ContentCheck,
}

impl ResponseHead {
    /// Spends the nonce of the response, scoped to who signed it: the workload identifier of its
    /// WIT (SIG-08).
    ///
    /// # Errors
    ///
    /// `replay.replayed`, and all other `replay.…`.
    pub fn spend(
        self,
        store: &dyn ReplayStore,
        sender: &str,
        now: UnixTime,
    ) -> Result<Self, Error> {
        let key = ReplayKey::new("wimse-http-sig", sender, &[&self.response.nonce]);
        let until = UnixTime::since_unix_epoch(Duration::from_secs(self.until));
        aims_replay::spend(store, &key, until, now).map_err(Error::Replay)?;
        Ok(self)
    }

    /// Compares the body, as it was received; empty where there is none (SIG-05).
    ///
    /// # Errors
    ///
    /// `digest.missing` where there is a body without digest, `digest.mismatch`.
    pub fn check_body(self, body: &[u8]) -> Result<VerifiedResponse, Error> {
        let _matched: Matched = self.content.check(body)?;
        Ok(self.response)
    }

    /// For a body that is still to be read: what was verified of the head, and what the body has to
    /// be compared with.
    pub fn reading_body(self) -> (VerifiedResponse, ContentCheck) {
        (self.response, self.content)
    }
}

/// Proof that the holder of the key signed this response to this request. Only verification makes
/// one.
#[derive(Clone, Debug)]
pub struct VerifiedResponse {
    signature: VerifiedSignature,
    nonce: String,
    request_nonce: String,
    digest: Option<ContentDigest>,
}

impl VerifiedResponse {
    /// What was covered, with its values, and the parameters.
    #[must_use]
    pub const fn signature(&self) -> &VerifiedSignature {
        &self.signature
    }

    /// The nonce of the response.
    #[must_use]
    pub fn nonce(&self) -> &str {
        &self.nonce
    }

    /// The nonce of the request that it answers.
    #[must_use]
    pub fn request_nonce(&self) -> &str {
        &self.request_nonce
    }

    /// The digest of the body; none where there is no body.
    #[must_use]
    pub const fn content_digest(&self) -> Option<&ContentDigest> {
        self.digest.as_ref()
    }
}
