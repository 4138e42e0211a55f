//! Verifies a request.

use std::borrow::Cow;
use std::time::Duration;

use aims_error::shown;
use aims_jose::key::VerifyingKey;
use aims_jose::time::{Skew, UnixTime};
use aims_replay::{ReplayKey, ReplayStore, Validity};

use super::content::Framed;
use super::peer::AlgorithmRules;
use super::revision::ContentEncoding;
use super::{
    AUDIENCE, ContentCheck, MAX_LIFETIME, Peer, Pending, REQUEST_NONCE, SignedResponse, TAG,
    check_lifetime, revision, sign_response, text, validity,
};
use crate::digest::{ContentDigest, Matched};
use crate::{
    Algorithms, Error, Exchange, Key, Keys, Limits, Message, Parameters, Policy, VerifiedSignature,
};

/// Rules of a receiver, created once and used for every request.
#[derive(Clone, Debug)]
pub struct RequestPolicy {
    audiences: Vec<String>,
    /// The policy for every method except `CONNECT`.
    policy: Policy,
    algorithms: AlgorithmRules,
    encoding: ContentEncoding,
    lifetime: Duration,
}

impl RequestPolicy {
    /// Accepts requests to one of these audiences, which are compared byte by byte.
    ///
    /// The audiences are configuration, never taken from a request. `expires` is at most 5 minutes
    /// ahead; the skew is 30 s.
    ///
    /// # Errors
    ///
    /// `sig.prepare` if there is no audience, or one is empty.
    pub fn for_audiences<A: Into<String>>(
        audiences: impl IntoIterator<Item = A>,
    ) -> Result<Self, Error> {
        let audiences: Vec<String> = audiences.into_iter().map(Into::into).collect();
        if audiences.is_empty() || audiences.iter().any(String::is_empty) {
            return Err(Error::Prepare {
                reason: "a receiver has an audience, which is not empty",
            });
        }
        Ok(Self::with_audiences(audiences))
    }

    /// Accepts requests to an audience that is passed with [each request](Self::verify_to), such as
    /// the URL that is configured for its route.
    ///
    /// The other settings are those of [`for_audiences`](Self::for_audiences).
    /// [`verify`](Self::verify) without an audience refuses every request.
    #[must_use]
    pub fn for_given_audience() -> Self {
        Self::with_audiences(Vec::new())
    }

    fn with_audiences(audiences: Vec<String>) -> Self {
        let policy = Policy::requiring(revision::REQUEST)
            .with_tag(TAG)
            .requiring_parameters(["nonce"])
            .forbidding_parameters(["keyid", "alg", REQUEST_NONCE]);
        Self {
            audiences,
            policy,
            algorithms: AlgorithmRules::default(),
            encoding: ContentEncoding::Covered,
            lifetime: Duration::from_secs(300),
        }
    }

    /// Sets the clock skew. Defaults to 30 s.
    #[must_use]
    pub fn with_skew(mut self, skew: Skew) -> Self {
        self.policy = self.policy.with_skew(skew);
        self
    }

    /// Sets how far `expires` may be in the future, in whole seconds, up to [`MAX_LIFETIME`].
    /// Defaults to 5 min.
    #[must_use]
    pub fn with_max_lifetime(mut self, most: Duration) -> Self {
        self.lifetime = most.min(MAX_LIFETIME);
        self.policy = self.policy.with_max_age(self.lifetime);
        self
    }

    /// Sets the accepted algorithms. Algorithms with a shared key are never accepted, because a WIT
    /// has a public key.
    #[must_use]
    pub fn with_algorithms(mut self, algorithms: Algorithms) -> Self {
        self.policy = self.policy.with_algorithms(algorithms);
        self
    }

    /// Sets the accepted algorithms for workloads of this origin, such as `wimse://example.org`.
    /// They replace [those for all others](Self::with_algorithms).
    ///
    /// Pass the origin of the sender with its key, as a [`Peer`].
    #[must_use]
    pub fn with_algorithms_of(mut self, origin: impl Into<String>, algorithms: Algorithms) -> Self {
        self.algorithms.set(origin.into(), algorithms);
        self
    }

    /// Accepts a request whose `Content-Encoding` the signature does not cover. The draft does not
    /// list the field, so other signers may leave it out.
    ///
    /// An intermediary can then add, change or remove the field, so that the receiver decodes the
    /// content to something else.
    #[must_use]
    pub const fn accept_uncovered_content_encoding(mut self) -> Self {
        self.encoding = ContentEncoding::Uncovered;
        self
    }

    /// Sets the limits. Defaults to [`Limits::default`].
    #[must_use]
    pub fn with_limits(mut self, limits: Limits) -> Self {
        self.policy = self.policy.with_limits(limits);
        self
    }

    /// Verifies the one signature with the tag of this profile, with the key of the request's WIT.
    /// The caller has validated the WIT. `key` is a key, or a [`Peer`] with the origin of its
    /// workload.
    ///
    /// The result is not yet checked for replay.
    ///
    /// # Errors
    ///
    /// `sig.missing`; `sig.ambiguous` if several signatures have the tag; `sig.audience`,
    /// `sig.lifetime`, `sig.algorithm_forbidden`, `sig.parameter_required`,
    /// `sig.parameter_forbidden`, `sig.component_required`; `digest.missing` if the message states
    /// that it has a body; and the other codes `sig.…` and `digest.…`.
    pub fn verify<'p>(
        &self,
        request: &dyn Message,
        sender: impl Into<Peer<'p>>,
        now: UnixTime,
    ) -> Result<UnspentRequest, Error> {
        self.judge(request, None, &sender.into(), now)
    }

    /// Verifies like [`verify`](Self::verify), for a request to this audience. The audience is
    /// configuration, and may depend on the route.
    ///
    /// # Errors
    ///
    /// Those of [`verify`](Self::verify).
    pub fn verify_to<'p>(
        &self,
        audience: &str,
        request: &dyn Message,
        sender: impl Into<Peer<'p>>,
        now: UnixTime,
    ) -> Result<UnspentRequest, Error> {
        self.judge(request, Some(audience), &sender.into(), now)
    }

    fn judge(
        &self,
        request: &dyn Message,
        audience: Option<&str>,
        sender: &Peer<'_>,
        now: UnixTime,
    ) -> Result<UnspentRequest, Error> {
        let judged = Judged {
            key: sender.key(),
            policy: self,
            audience,
            now,
        };
        // This module spends the nonce itself, within the scope of the sender.
        let mut policy = Cow::Borrowed(&self.policy);
        if revision::is_connect(request) {
            policy = Cow::Owned(self.policy.clone().with_components(revision::CONNECT));
        }
        if let Some(algorithms) = self.algorithms.of(sender)? {
            policy = Cow::Owned(policy.into_owned().with_algorithms(algorithms));
        }
        let signature = policy
            .verify(&Exchange::of(request), &judged, now)?
            .accept_replays();
        revision::check_present(request, &signature, revision::REQUEST_FIELDS, self.encoding)?;
        Framed::ByFields.check(request)?;
        let content = ContentCheck::of(&signature, Framed::ByFields)?;
        let parameters = signature.parameters();
        let nonce = parameters.nonce().unwrap_or_default().into_owned();
        let valid = validity(&parameters, self.policy.skew());
        let head = RequestHead {
            request: VerifiedRequest {
                nonce,
                response: sign_response(&parameters)?,
                digest: content.digest().cloned(),
                signature,
            },
            content,
        };
        Ok(UnspentRequest { valid, head })
    }
}

/// Returns the key if the parameters are acceptable. Otherwise nothing is computed with it.
#[derive(Debug)]
struct Judged<'a> {
    key: &'a VerifyingKey,
    policy: &'a RequestPolicy,
    /// The audience that was passed with the request, which replaces those of the policy.
    audience: Option<&'a str>,
    now: UnixTime,
}

impl Keys for Judged<'_> {
    fn find(&self, parameters: &Parameters<'_>) -> Result<Key, Error> {
        let policy = self.policy;
        check_lifetime(parameters, policy.lifetime, policy.policy.skew(), self.now)?;
        sign_response(parameters)?;
        let claimed = text(parameters, AUDIENCE)?;
        // The audience of the request replaces the configured ones.
        let configured: &[String] = match self.audience {
            Some(_) => &[],
            None => &policy.audiences,
        };
        let configured = configured.iter().map(String::as_str);
        let own = self.audience.into_iter().chain(configured);
        if !own.clone().any(|own| own == claimed) {
            return Err(Error::Audience {
                found: shown([&*claimed]),
                expected: shown(own),
            });
        }
        Ok(Key::Public(self.key.clone()))
    }
}

/// A request with a valid signature that is not yet checked for replay.
#[derive(Debug)]
#[must_use = "a request that was not spent can be replayed"]
pub struct UnspentRequest {
    valid: Validity,
    head: RequestHead,
}

impl UnspentRequest {
    /// Spends the nonce, within the scope of the sender: the workload identifier of the WIT. The
    /// store remembers it until `expires` plus the skew.
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
    ) -> Result<RequestHead, Error> {
        let key = ReplayKey::new("wimse-http-sig", sender, &[self.head.request.nonce()]);
        aims_replay::spend_proof(store, &key, self.valid, now).map_err(Error::Replay)?;
        Ok(self.head)
    }

    /// Returns the check for the body. A receiver that has the whole body compares it first, and
    /// spends only requests with the right body.
    pub fn content(&self) -> ContentCheck {
        self.head.content.clone()
    }

    /// Returns the signature with the covered components and their values, for further requirements
    /// before it is spent.
    #[must_use]
    pub const fn signature(&self) -> &VerifiedSignature {
        &self.head.request.signature
    }

    /// Returns whether the client requires a signed response. A receiver that cannot sign refuses
    /// before it spends the nonce.
    #[must_use]
    pub const fn signed_response(&self) -> SignedResponse {
        self.head.request.response
    }

    /// Accepts the request without a check for replay. The same request may arrive again until the
    /// signature expires, so use it for repeatable operations only.
    pub fn accept_replays(self) -> RequestHead {
        self.head
    }
}

/// A request with a valid signature whose body is not compared yet.
#[derive(Debug)]
#[must_use = "the body is unauthenticated until `check_body` or `reading_body` is called"]
pub struct RequestHead {
    request: VerifiedRequest,
    content: ContentCheck,
}

impl RequestHead {
    /// Compares the body as it was received, before `Content-Encoding` is decoded. Pass an empty
    /// slice if there is none.
    ///
    /// # Errors
    ///
    /// `digest.missing` for a body without digest, `digest.mismatch` for another body.
    pub fn check_body(self, body: &[u8]) -> Result<VerifiedRequest, Error> {
        let _matched: Matched = self.content.check(body)?;
        Ok(self.request)
    }

    /// Returns the verified head, and a check for a body that is read later. Do not act on the body
    /// before the check.
    pub fn reading_body(self) -> (VerifiedRequest, ContentCheck) {
        (self.request, self.content)
    }
}

/// Proof that the holder of the key signed this request to this receiver. Only verification creates
/// it.
#[derive(Clone, Debug)]
pub struct VerifiedRequest {
    signature: VerifiedSignature,
    nonce: String,
    response: SignedResponse,
    digest: Option<ContentDigest>,
}

impl VerifiedRequest {
    /// Returns the signature with the covered components, their values, and the parameters.
    #[must_use]
    pub const fn signature(&self) -> &VerifiedSignature {
        &self.signature
    }

    /// Returns the nonce, which a signed response repeats.
    #[must_use]
    pub fn nonce(&self) -> &str {
        &self.nonce
    }

    /// Returns whether the client requires a signed response.
    #[must_use]
    pub const fn signed_response(&self) -> SignedResponse {
        self.response
    }

    /// Returns the digest of the body, or `None` if there is no body.
    #[must_use]
    pub const fn content_digest(&self) -> Option<&ContentDigest> {
        self.digest.as_ref()
    }

    /// Returns the state to verify the response to this request, for a gateway or an auditor that
    /// sees both messages. The client that sent the request has its own [`Pending`].
    pub fn pending(&self) -> Pending {
        Pending::new(self.nonce.clone(), self.response)
    }

    /// Checks whether a response with this status may be unsigned. Every error may be; a success
    /// only if the client did not ask for a signature.
    ///
    /// # Errors
    ///
    /// `sig.response_unsignable`: answer with [`status`](super::status()) instead.
    pub fn check_unsigned(&self, status: http::StatusCode) -> Result<(), Error> {
        let failed = status.is_client_error() || status.is_server_error();
        match self.response {
            SignedResponse::Asked if !failed => Err(Error::ResponseUnsignable),
            _ => Ok(()),
        }
    }
}
