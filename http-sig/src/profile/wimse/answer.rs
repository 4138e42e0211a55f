//! Verifies the response to a request.

use std::time::Duration;

use aims_jose::key::VerifyingKey;
use aims_jose::time::{Skew, UnixTime};
use aims_replay::{ReplayKey, ReplayStore, Validity};

use super::content::Framed;
use super::peer::AlgorithmRules;
use super::revision::ContentEncoding;
use super::{
    AUDIENCE, ContentCheck, MAX_LIFETIME, Peer, REQUEST_NONCE, SIGN_RESPONSE, SignedResponse, TAG,
    check_lifetime, revision, text, validity,
};
use crate::digest::{ContentDigest, Matched};
use crate::{
    Algorithms, Component, Error, Exchange, Key, Keys, Limits, Parameters, Policy, Start,
    VerifiedSignature,
};

/// Rules of a client, created once and used for every response.
#[derive(Clone, Debug)]
pub struct ResponsePolicy {
    response: SignedResponse,
    skew: Skew,
    lifetime: Duration,
    algorithms: Algorithms,
    of_origins: AlgorithmRules,
    encoding: ContentEncoding,
    limits: Limits,
}

impl ResponsePolicy {
    /// Requires a signed response if the request asked for it. `expires` is at most 5 minutes
    /// ahead; the skew is 30 s.
    #[must_use]
    pub fn new() -> Self {
        Self {
            response: SignedResponse::Unasked,
            skew: Skew::default(),
            lifetime: Duration::from_secs(300),
            algorithms: Algorithms::PUBLIC_KEY,
            of_origins: AlgorithmRules::default(),
            encoding: ContentEncoding::Covered,
            limits: Limits::default(),
        }
    }

    /// Refuses every unsigned response, whether the request asked for a signature or not (draft
    /// §"Signing the Response").
    #[must_use]
    pub const fn requiring_signature(mut self) -> Self {
        self.response = SignedResponse::Asked;
        self
    }

    /// Sets the clock skew. Defaults to 30 s.
    #[must_use]
    pub const fn with_skew(mut self, skew: Skew) -> Self {
        self.skew = skew;
        self
    }

    /// Sets how far `expires` may be in the future, in whole seconds, up to [`MAX_LIFETIME`].
    /// Defaults to 5 min.
    #[must_use]
    pub fn with_max_lifetime(mut self, most: Duration) -> Self {
        self.lifetime = most.min(MAX_LIFETIME);
        self
    }

    /// Sets the accepted algorithms. Algorithms with a shared key are never accepted.
    #[must_use]
    pub const fn with_algorithms(mut self, algorithms: Algorithms) -> Self {
        self.algorithms = algorithms;
        self
    }

    /// Sets the accepted algorithms for workloads of this origin, such as `wimse://example.org`.
    /// They replace [those for all others](Self::with_algorithms).
    ///
    /// Verify the response with [`finish_from`](super::Pending::finish_from) then.
    #[must_use]
    pub fn with_algorithms_of(mut self, origin: impl Into<String>, algorithms: Algorithms) -> Self {
        self.of_origins.set(origin.into(), algorithms);
        self
    }

    /// Accepts a response whose `Content-Encoding` the signature does not cover: see
    /// [`RequestPolicy`](super::RequestPolicy::accept_uncovered_content_encoding).
    #[must_use]
    pub const fn accept_uncovered_content_encoding(mut self) -> Self {
        self.encoding = ContentEncoding::Uncovered;
        self
    }

    /// Sets the limits. Defaults to [`Limits::default`].
    #[must_use]
    pub const fn with_limits(mut self, limits: Limits) -> Self {
        self.limits = limits;
        self
    }

    fn policy(&self, exchange: &Exchange<'_>, algorithms: Algorithms) -> Policy {
        let answered = revision::answered(exchange.request());
        Policy::requiring(
            revision::RESPONSE
                .into_iter()
                .chain(answered)
                .map(Component::fixed),
        )
        .with_tag(TAG)
        .requiring_parameters(["nonce"])
        .forbidding_parameters(["keyid", "alg", AUDIENCE, SIGN_RESPONSE])
        .with_skew(self.skew)
        .with_max_age(self.lifetime)
        .with_algorithms(algorithms)
        .with_limits(self.limits)
    }
}

impl Default for ResponsePolicy {
    fn default() -> Self {
        Self::new()
    }
}

/// The result of verifying a response.
#[derive(Debug)]
#[must_use = "the body is unauthenticated until it is checked"]
#[expect(
    clippy::exhaustive_enums,
    clippy::large_enum_variant,
    reason = "a caller handles both; the large one is the usual one"
)]
pub enum Answer {
    /// The key signed the response to this request.
    Signed(ResponseHead),
    /// The response is not signed, and need not be. Its sender is unauthenticated.
    Unsigned,
}

pub(super) fn judge(
    exchange: &Exchange<'_>,
    nonce: &str,
    asked: SignedResponse,
    peer: Option<&Peer<'_>>,
    rules: &ResponsePolicy,
    now: UnixTime,
) -> Result<Answer, Error> {
    let of_origin = peer.map(|peer| rules.of_origins.of(peer)).transpose()?;
    let algorithms = of_origin.flatten().unwrap_or(rules.algorithms);
    let judged = Judged {
        key: peer.map(Peer::key),
        nonce,
        rules,
        now,
    };
    let signature = match rules
        .policy(exchange, algorithms)
        .verify(exchange, &judged, now)
    {
        Ok(unspent) => unspent.accept_replays(),
        Err(Error::SignatureMissing { .. }) => {
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
    revision::check_present(
        response,
        &signature,
        revision::RESPONSE_FIELDS,
        rules.encoding,
    )?;
    let framed = framed(exchange);
    framed.check(response)?;
    let content = ContentCheck::of(&signature, framed)?;
    let parameters = signature.parameters();
    let valid = validity(&parameters, rules.skew);
    Ok(Answer::Signed(ResponseHead {
        valid,
        response: VerifiedResponse {
            nonce: parameters.nonce().unwrap_or_default().into_owned(),
            request_nonce: nonce.to_owned(),
            digest: content.digest().cloned(),
            signature,
        },
        content,
    }))
}

/// Returns whether the framing of a response tells if it has a body (RFC 9112 §6.3).
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

/// Returns the key if the parameters are acceptable.
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

/// A response with a valid signature whose body is not compared yet.
///
/// It answers one request. Its [`Pending`](super::Pending) is consumed, so the same response is not
/// accepted twice. A client that also wants to see each nonce only once [spends](Self::spend) it.
#[derive(Debug)]
#[must_use = "the body is unauthenticated until `check_body` or `reading_body` is called"]
pub struct ResponseHead {
    valid: Validity,
    response: VerifiedResponse,
    content: ContentCheck,
}

impl ResponseHead {
    /// Spends the nonce of the response, within the scope of its signer: the workload identifier of
    /// its WIT.
    ///
    /// # Errors
    ///
    /// `replay.replayed` if the nonce was used before; other `replay.…` codes if the store cannot
    /// remember it.
    pub fn spend(
        self,
        store: &dyn ReplayStore,
        sender: &str,
        now: UnixTime,
    ) -> Result<Self, Error> {
        let key = ReplayKey::new("wimse-http-sig", sender, &[&self.response.nonce]);
        aims_replay::spend_proof(store, &key, self.valid, now).map_err(Error::Replay)?;
        Ok(self)
    }

    /// Compares the body, as it was received. Pass an empty slice if there is none.
    ///
    /// # Errors
    ///
    /// `digest.missing` for a body without digest, `digest.mismatch` for another body.
    pub fn check_body(self, body: &[u8]) -> Result<VerifiedResponse, Error> {
        let _matched: Matched = self.content.check(body)?;
        Ok(self.response)
    }

    /// Returns the verified head, and a check for a body that is read later.
    pub fn reading_body(self) -> (VerifiedResponse, ContentCheck) {
        (self.response, self.content)
    }
}

/// Proof that the holder of the key signed this response to this request. Only verification creates
/// it.
#[derive(Clone, Debug)]
pub struct VerifiedResponse {
    signature: VerifiedSignature,
    nonce: String,
    request_nonce: String,
    digest: Option<ContentDigest>,
}

impl VerifiedResponse {
    /// Returns the signature with the covered components, their values, and the parameters.
    #[must_use]
    pub const fn signature(&self) -> &VerifiedSignature {
        &self.signature
    }

    /// Returns the nonce of the response.
    #[must_use]
    pub fn nonce(&self) -> &str {
        &self.nonce
    }

    /// Returns the nonce of the request that it answers.
    #[must_use]
    pub fn request_nonce(&self) -> &str {
        &self.request_nonce
    }

    /// Returns the digest of the body, or `None` if there is no body.
    #[must_use]
    pub const fn content_digest(&self) -> Option<&ContentDigest> {
        self.digest.as_ref()
    }
}
