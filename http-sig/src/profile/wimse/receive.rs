//! The receiver: verifies a request.

use std::borrow::Cow;
use std::time::Duration;

use aims_error::shown;
use aims_jose::key::VerifyingKey;
use aims_jose::time::{Skew, UnixTime};
use aims_replay::{ReplayKey, ReplayStore};

use super::content::Framed;
use super::peer::AlgorithmRules;
use super::revision::ContentEncoding;
use super::{
    AUDIENCE, ContentCheck, MAX_LIFETIME, Peer, Pending, REQUEST_NONCE, SignedResponse, TAG,
    check_lifetime, revision, sign_response, text,
};
use crate::digest::{ContentDigest, Matched};
use crate::{
    Algorithms, Error, Exchange, Key, Keys, Limits, Message, Parameters, Policy, VerifiedSignature,
};

/// What a receiver takes: made once, used for every request.
#[derive(Clone, Debug)]
pub struct RequestPolicy {
    audiences: Vec<String>,
    /// For every method but `CONNECT`.
    policy: Policy,
    algorithms: AlgorithmRules,
    encoding: ContentEncoding,
    lifetime: Duration,
}

impl RequestPolicy {
    /// Requests to one of these audiences, compared byte by byte: configuration, never
    /// taken from a request. `expires` at most 5 minutes ahead, 30 s of skew.
    ///
    /// # Errors
    ///
    /// `sig.prepare` where there is none, or one is empty.
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

    /// Requests to an audience that is given with [each request](Self::verify_to), such as the URL
    /// that is configured for its route; otherwise as [`for_audiences`](Self::for_audiences).
    /// Without one, every request is refused.
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

    /// Sets the skew.
    #[must_use]
    pub fn with_skew(mut self, skew: Skew) -> Self {
        self.policy = self.policy.with_skew(skew);
        self
    }

    /// Sets how far ahead `expires` may be, in whole seconds: up to [`MAX_LIFETIME`].
    #[must_use]
    pub fn with_max_lifetime(mut self, most: Duration) -> Self {
        self.lifetime = most.min(MAX_LIFETIME);
        self.policy = self.policy.with_max_age(self.lifetime);
        self
    }

    /// Sets the algorithms that are accepted. One with a shared key is never accepted: a WIT has a
    /// public key.
    #[must_use]
    pub fn with_algorithms(mut self, algorithms: Algorithms) -> Self {
        self.policy = self.policy.with_algorithms(algorithms);
        self
    }

    /// Sets the algorithms that are accepted from workloads of this origin, such as
    /// `wimse://example.org`, in place of [those for all others](Self::with_algorithms). The origin
    /// of the sender is then given with its key, as a [`Peer`].
    #[must_use]
    pub fn with_algorithms_of(mut self, origin: impl Into<String>, algorithms: Algorithms) -> Self {
        self.algorithms.set(origin.into(), algorithms);
        self
    }

    /// Accepts a request whose `Content-Encoding` the signature does not cover, which others'
    /// signers may leave out as the draft has it in no list. Who passes the message on can then
    /// add, change or remove the field, so that the content is decoded to something that was not
    /// meant.
    #[must_use]
    pub const fn accepting_uncovered_content_encoding(mut self) -> Self {
        self.encoding = ContentEncoding::Uncovered;
        self
    }

    /// Sets the limits.
    #[must_use]
    pub fn with_limits(mut self, limits: Limits) -> Self {
        self.policy = self.policy.with_limits(limits);
        self
    }

    /// Verifies the one signature with the tag of this profile, by the key of the request's WIT,
    /// which the caller has validated: a key, or a [`Peer`], a key with the origin of its workload.
    ///
    /// It is not yet spent.
    ///
    /// # Errors
    ///
    /// `sig.missing`, `sig.ambiguous` where several have the tag, `sig.audience`, `sig.lifetime`,
    /// `sig.algorithm_forbidden`, `sig.parameter_required`, `sig.parameter_forbidden`,
    /// `sig.component_required`, `digest.missing` where the message says that it has a body, and
    /// the other codes `sig.…` and `digest.…`.
    pub fn verify<'p>(
        &self,
        request: &dyn Message,
        sender: impl Into<Peer<'p>>,
        now: UnixTime,
    ) -> Result<UnspentRequest, Error> {
        self.judge(request, None, &sender.into(), now)
    }

    /// As [`verify`](Self::verify), for a request to this audience: configuration, as it may depend
    /// on the route.
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
        // Spending is this module's: nonces are remembered by sender.
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
        let expires = parameters.expires().unwrap_or_default();
        let head = RequestHead {
            request: VerifiedRequest {
                nonce,
                response: sign_response(&parameters)?,
                digest: content.digest().cloned(),
                signature,
            },
            content,
        };
        Ok(UnspentRequest {
            until: expires.saturating_add(self.policy.skew().as_secs()),
            head,
        })
    }
}

/// Gives the key for parameters that fit, so that nothing is computed with it for others.
#[derive(Debug)]
struct Judged<'a> {
    key: &'a VerifyingKey,
    policy: &'a RequestPolicy,
    /// Given with the request, instead of those of the policy.
    audience: Option<&'a str>,
    now: UnixTime,
}

impl Keys for Judged<'_> {
    fn find(&self, parameters: &Parameters<'_>) -> Result<Key, Error> {
        let policy = self.policy;
        check_lifetime(parameters, policy.lifetime, policy.policy.skew(), self.now)?;
        sign_response(parameters)?;
        let claimed = text(parameters, AUDIENCE)?;
        // The one that is given with the request stands in place of the configured ones.
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

/// A request whose signature is good, if it is the first with its nonce.
#[derive(Debug)]
#[must_use = "a request that was not spent can be replayed"]
pub struct UnspentRequest {
    until: u64,
    head: RequestHead,
}

impl UnspentRequest {
    /// Spends the nonce, scoped to the sender: the workload identifier of the WIT. It is
    /// remembered until `expires` plus the skew.
    ///
    /// # Errors
    ///
    /// `replay.replayed`, and all other `replay.…`: what cannot be remembered is refused.
    pub fn spend(
        self,
        store: &dyn ReplayStore,
        sender: &str,
        now: UnixTime,
    ) -> Result<RequestHead, Error> {
        let key = ReplayKey::new("wimse-http-sig", sender, &[self.head.request.nonce()]);
        let until = UnixTime::since_unix_epoch(Duration::from_secs(self.until));
        aims_replay::spend(store, &key, until, now).map_err(Error::Replay)?;
        Ok(self.head)
    }

    /// What the body has to be compared with: a receiver that has the body at hand compares it
    /// first, and spends only what is whole.
    pub fn content(&self) -> ContentCheck {
        self.head.content.clone()
    }

    /// What was covered, with its values: to require more before it is spent.
    #[must_use]
    pub const fn signature(&self) -> &VerifiedSignature {
        &self.head.request.signature
    }

    /// Whether the caller takes no unsigned response: a receiver that cannot sign refuses before it
    /// spends.
    #[must_use]
    pub const fn signed_response(&self) -> SignedResponse {
        self.head.request.response
    }

    /// Takes the request although the same may come again until it expires: for what may happen
    /// twice.
    pub fn accept_replays(self) -> RequestHead {
        self.head
    }
}

/// A request that is good, but for its body.
#[derive(Debug)]
#[must_use = "the body is anybody's until `check_body` or `reading_body` is called"]
pub struct RequestHead {
    request: VerifiedRequest,
    content: ContentCheck,
}

impl RequestHead {
    /// Compares the body, as it was received: before `Content-Encoding` is undone; empty where
    /// there is none.
    ///
    /// # Errors
    ///
    /// `digest.missing` where there is a body without digest, `digest.mismatch`.
    pub fn check_body(self, body: &[u8]) -> Result<VerifiedRequest, Error> {
        let _matched: Matched = self.content.check(body)?;
        Ok(self.request)
    }

    /// For a body that is still to be read: what was verified of the head, and what the body has to
    /// be compared with before anything in it is acted on.
    pub fn reading_body(self) -> (VerifiedRequest, ContentCheck) {
        (self.request, self.content)
    }
}

/// Proof that the holder of the key signed this request, to this receiver. Only verification makes
/// one.
#[derive(Clone, Debug)]
pub struct VerifiedRequest {
    signature: VerifiedSignature,
    nonce: String,
    response: SignedResponse,
    digest: Option<ContentDigest>,
}

impl VerifiedRequest {
    /// What was covered, with its values, and the parameters.
    #[must_use]
    pub const fn signature(&self) -> &VerifiedSignature {
        &self.signature
    }

    /// The nonce, which a signed response repeats.
    #[must_use]
    pub fn nonce(&self) -> &str {
        &self.nonce
    }

    /// Whether the caller takes no unsigned response.
    #[must_use]
    pub const fn signed_response(&self) -> SignedResponse {
        self.response
    }

    /// The digest of the body; none where there is no body.
    #[must_use]
    pub const fn content_digest(&self) -> Option<&ContentDigest> {
        self.digest.as_ref()
    }

    /// What the response to this request is judged by, for whoever sees both and sent neither: a
    /// gateway, an auditor. Who sent the request has its own one.
    pub fn pending(&self) -> Pending {
        Pending::new(self.nonce.clone(), self.response)
    }

    /// Whether a response of this status may go out unsigned: every error may, a success only where
    /// no signature was asked for.
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
