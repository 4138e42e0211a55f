//! HTTP message signatures: which ones a guard accepts, and how it signs responses.

use std::sync::Arc;
use std::time::Duration;

use aims_error::ErrorKind;
use aims_http_sig::digest::ContentDigest;
use aims_http_sig::profile::wimse::{
    Content, RequestPolicy, ResponseSigning, SignedResponse, VerifiedRequest,
};
use aims_http_sig::{
    Algorithms, Error, HttpRequest, HttpResponse, PreparedSignature, SignatureFields,
};
use aims_jose::random;
use aims_jose::time::{Skew, UnixTime};
use aims_wimse_cred::{Identity, IdentitySource};
use aims_wimse_id::Origin;
use aims_wimse_wpt::fields::WORKLOAD_IDENTITY_TOKEN;
use http::header::HeaderValue;
use http::request::Parts;
use http::{Method, StatusCode, response};

use super::record::Admitted;
use super::refused::Refused;
use super::{Audience, Guard};
use crate::decision::Reason;
use crate::principal::Principal;
use crate::refusal::{ErrorResponse, Refusal};

/// Settings for HTTP signatures as a proof of possession, and for signed responses
/// (draft-ietf-wimse-http-signature).
///
/// A signature covers the head of a request and, by `Content-Digest`, its content. The guard
/// therefore needs the whole request: use [`Guard::layer`], or [`Guard::check`] with the content.
///
/// A request may have a signature and a WPT. It is then as safe as the weaker proof: an attacker on
/// the network path can remove the signature, and the WPT does not cover the content. A
/// `Content-Digest` that no accepted proof covers is ignored. If the integrity of the content
/// matters, check [`Principal::covers_content`] or require the method with
/// [`Requirements::proof`](crate::Requirements::proof).
///
/// ```
/// use std::sync::Arc;
/// use std::time::Duration;
///
/// use aims::cred::TrustStore;
/// use aims::guard::HttpSignatures;
///
/// let signatures = HttpSignatures::new()
///     .with_max_lifetime(Duration::from_secs(60))
///     .with_max_content(512 * 1024);
/// let guard = aims::Guard::builder("https://tools.example/mcp")
///     .trust(Arc::new(TrustStore::new()))
///     .http_signatures(signatures)
///     .build()?;
/// # drop(guard);
/// # Ok::<(), aims::guard::BuildError>(())
/// ```
#[derive(Clone, Debug)]
#[must_use = "a guard accepts signatures when it is given this"]
pub struct HttpSignatures {
    content_deadline: Duration,
    lifetime: Duration,
    algorithms: Vec<(String, Algorithms)>,
    uncovered_encoding: bool,
    max_content: u64,
    max_response: usize,
    response_deadline: Duration,
    source: Option<Arc<dyn IdentitySource>>,
    every: SignedResponse,
}

impl HttpSignatures {
    /// Creates the default settings.
    ///
    /// `expires` may be up to 5 min in the future. A content may have up to 2 MiB, and its first 64
    /// KiB must arrive within 10 s. A request that demands a signed response is refused with 501.
    pub fn new() -> Self {
        Self {
            content_deadline: Duration::from_secs(10),
            lifetime: Duration::from_secs(300),
            algorithms: Vec::new(),
            uncovered_encoding: false,
            max_content: 2 * 1024 * 1024,
            max_response: 1024 * 1024,
            response_deadline: Duration::from_secs(30),
            source: None,
            every: SignedResponse::Unasked,
        }
    }

    /// Sets how far in the future `expires` may be, in whole seconds up to 10 min. Defaults to 5
    /// min.
    pub const fn with_max_lifetime(mut self, most: Duration) -> Self {
        self.lifetime = most;
        self
    }

    /// Accepts only these algorithms from workloads of this origin.
    ///
    /// From other origins, every public-key algorithm that RFC 9421 registers is accepted.
    pub fn with_algorithms_of(mut self, origin: &Origin, algorithms: Algorithms) -> Self {
        self.algorithms
            .push((origin.as_str().to_owned(), algorithms));
        self
    }

    /// Accepts a request whose `Content-Encoding` the signature does not cover. See
    /// [`RequestPolicy`](RequestPolicy::accept_uncovered_content_encoding).
    pub const fn accept_uncovered_content_encoding(mut self) -> Self {
        self.uncovered_encoding = true;
        self
    }

    /// Sets how long the layer waits for the first 64 KiB or the end of a signed content, before it
    /// calls the handler. Defaults to 10 s.
    ///
    /// After this time the request is refused with `guard.content_deadline`, and its proofs are not
    /// spent.
    pub const fn with_content_deadline(mut self, most: Duration) -> Self {
        self.content_deadline = most;
        self
    }

    /// Sets the maximum content of a signed request, in bytes. Defaults to 2 MiB.
    pub const fn with_max_content(mut self, most: u64) -> Self {
        self.max_content = most;
        self
    }

    /// Sets the maximum content of a signed response, in bytes. Defaults to 1 MiB. The layer holds
    /// it in memory until it is signed.
    pub const fn with_max_response(mut self, most: usize) -> Self {
        self.max_response = most;
        self
    }

    /// Sets how long the layer waits for the content of a response that it signs, after the handler
    /// has answered. Defaults to 30 s. Needs a tokio runtime.
    ///
    /// After this time the layer answers with 501 (`sig.response_unsignable`) and records an event.
    /// Mark routes with endless responses by
    /// [`Requirements::streams`](crate::Requirements::streams).
    pub const fn with_response_deadline(mut self, most: Duration) -> Self {
        self.response_deadline = most;
        self
    }

    /// Signs responses with this identity if a caller demands it.
    ///
    /// The key may be in a device or behind a network: [`Guard::layer`] waits for its signatures.
    ///
    /// ```
    /// use aims::cred::IdentitySource;
    /// use aims::guard::HttpSignatures;
    ///
    /// fn signatures(tool: impl IdentitySource + 'static) -> HttpSignatures {
    ///     HttpSignatures::new().answering_as(tool).signing_every_response()
    /// }
    /// ```
    pub fn answering_as(mut self, source: impl IdentitySource + 'static) -> Self {
        self.source = Some(Arc::new(source));
        self
    }

    /// Signs the response to every signed request, even if the caller does not demand it. Needs
    /// [`answering_as`](Self::answering_as).
    pub const fn signing_every_response(mut self) -> Self {
        self.every = SignedResponse::Asked;
        self
    }

    pub(super) const fn can_sign(&self) -> bool {
        self.source.is_some()
    }

    /// Returns the identity that signs at present.
    fn identity(&self, now: UnixTime) -> Result<Arc<Identity>, Unsignable> {
        let source = self.source.as_ref();
        let source = source.ok_or_else(|| Unsignable("no identity to answer as".to_owned()))?;
        source.identity(now).map_err(|error| Unsignable::of(&error))
    }

    pub(super) const fn signs_every(&self) -> bool {
        matches!(self.every, SignedResponse::Asked)
    }

    pub(super) fn build(
        self,
        resource: &str,
        audience: &Audience,
        skew: Skew,
    ) -> Result<Signatures, Error> {
        let (scheme, rest) = resource.split_once("://").unwrap_or(("https", resource));
        let authority = rest.split(['/', '?']).next().unwrap_or(rest);
        let policy = match audience {
            Audience::Named(names) => RequestPolicy::for_audiences(names.iter().cloned())?,
            Audience::Target(_) => RequestPolicy::for_given_audience(),
        };
        let mut policy = policy.with_skew(skew).with_max_lifetime(self.lifetime);
        for (origin, algorithms) in &self.algorithms {
            policy = policy.with_algorithms_of(origin, *algorithms);
        }
        if self.uncovered_encoding {
            policy = policy.accept_uncovered_content_encoding();
        }
        Ok(Signatures {
            scheme: scheme.to_owned(),
            authority: authority.to_owned(),
            policy,
            config: self,
        })
    }
}

impl Default for HttpSignatures {
    fn default() -> Self {
        Self::new()
    }
}

/// The reason why a response cannot be signed, for the logs of the tool.
pub(super) struct Unsignable(pub(super) String);

impl Unsignable {
    pub(super) fn of(error: &(dyn std::error::Error + 'static)) -> Self {
        Self(aims_jose::Chain(error).to_string())
    }
}

const UNSIGNABLE: &str = "sig.response_unsignable";

/// The settings of a built guard.
pub(super) struct Signatures {
    scheme: String,
    authority: String,
    policy: RequestPolicy,
    config: HttpSignatures,
}

impl Signatures {
    pub(super) const fn max_content(&self) -> u64 {
        self.config.max_content
    }

    pub(super) const fn max_response(&self) -> usize {
        self.config.max_response
    }

    pub(super) const fn response_deadline(&self) -> Duration {
        self.config.response_deadline
    }

    pub(super) const fn content_deadline(&self) -> Duration {
        self.config.content_deadline
    }

    pub(super) const fn signs_every(&self) -> bool {
        self.config.signs_every()
    }

    pub(super) const fn policy(&self) -> &RequestPolicy {
        &self.policy
    }

    /// Refuses a request that demands a signed response if the guard cannot sign, before anything
    /// else is done.
    pub(super) fn check_answerable(&self, demanded: bool, now: UnixTime) -> Result<(), Refused> {
        if !demanded && !self.signs_every() {
            return Ok(());
        }
        let identity = self.config.identity(now).map(drop);
        identity.map_err(|Unsignable(why)| {
            Refused::new(
                UNSIGNABLE,
                ErrorKind::Unavailable,
                ErrorResponse::Unsigned,
                why,
            )
        })
    }

    pub(super) fn message<'a>(&'a self, request: &'a Parts) -> HttpRequest<'a> {
        HttpRequest::received(request, &self.scheme, &self.authority)
    }
}

impl<M> Guard<M> {
    /// Signs a response to a signed request, if the caller demanded it or this guard [signs every
    /// response](HttpSignatures::signing_every_response).
    ///
    /// It sets `Content-Digest` and `Workload-Identity-Token` and adds the signature. Any other
    /// response is unchanged.
    ///
    /// ```
    /// use aims::jose::time::UnixTime;
    /// use aims::{Guard, Principal};
    /// use http::{Response, request};
    ///
    /// fn answer(guard: &Guard, head: &request::Parts, who: &Principal) -> Response<Vec<u8>> {
    ///     let content = b"42".to_vec();
    ///     let (mut response, ()) = Response::new(()).into_parts();
    ///     match guard.sign_response(head, who, &mut response, &content, UnixTime::now()) {
    ///         Ok(()) => Response::from_parts(response, content),
    ///         Err(refusal) => refusal.into_response(),
    ///     }
    /// }
    /// ```
    ///
    /// # Errors
    ///
    /// `sig.response_unsignable` if there is no identity at present or the key cannot sign. Send
    /// the [`Refusal`] with status 501 instead of the response.
    ///
    /// This method is synchronous. For a key in a device or behind a network
    /// ([`AsyncSigner`](aims_jose::key::AsyncSigner)), use
    /// [`sign_response_async`](Self::sign_response_async) or [`Guard::layer`].
    pub fn sign_response(
        &self,
        request: &Parts,
        principal: &Principal,
        response: &mut response::Parts,
        content: &[u8],
        now: UnixTime,
    ) -> Result<(), Refusal> {
        let Some((signatures, verified)) = self.signature_to_answer(principal) else {
            return Ok(());
        };
        let signed = signatures.sign(request, verified, response, content, now);
        signed.map_err(|why| self.unsignable(request, &self.admitted(request, principal), why, now))
    }

    /// Does what [`sign_response`](Self::sign_response) does, and waits for a key that is in a
    /// device or behind a network.
    ///
    /// # Errors
    ///
    /// `sig.response_unsignable`. Send the [`Refusal`] with status 501 instead of the response.
    pub async fn sign_response_async(
        &self,
        request: &Parts,
        principal: &Principal,
        response: &mut response::Parts,
        content: &[u8],
        now: UnixTime,
    ) -> Result<(), Refusal> {
        let Some((signatures, verified)) = self.signature_to_answer(principal) else {
            return Ok(());
        };
        let signed = signatures.sign_waiting(request, verified, response, content, now);
        let signed = signed.await;
        signed.map_err(|why| self.unsignable(request, &self.admitted(request, principal), why, now))
    }

    /// Returns the signature of the request and the signer, if the response must be signed.
    pub(super) fn signature_to_answer<'a>(
        &'a self,
        principal: &'a Principal,
    ) -> Option<(&'a Signatures, &'a VerifiedRequest)> {
        let (signatures, verified) = (self.inner.signatures.as_ref()?, principal.signature()?);
        let asked = verified.signed_response() == SignedResponse::Asked;
        (asked || signatures.signs_every()).then_some((signatures, verified))
    }

    /// Records why the response is not sent. The caller learns only that it is not.
    pub(super) fn unsignable(
        &self,
        request: &Parts,
        admitted: &Admitted,
        Unsignable(why): Unsignable,
        now: UnixTime,
    ) -> Refusal {
        let reason = Reason::new(UNSIGNABLE, why.clone());
        self.record_later(request, admitted, &reason, now);
        Refusal::new(
            UNSIGNABLE,
            ErrorKind::Unavailable,
            ErrorResponse::Unsigned,
            why,
        )
    }
}

impl Signatures {
    fn sign(
        &self,
        request: &Parts,
        verified: &VerifiedRequest,
        response: &mut response::Parts,
        content: &[u8],
        now: UnixTime,
    ) -> Result<(), Unsignable> {
        let identity = self.config.identity(now)?;
        let signer = identity.local_signer();
        let signer = signer.map_err(|error| Unsignable::of(&error))?;
        let prepared = self.prepare(&identity, request, verified, response, content, now)?;
        apply(prepared.sign(signer.as_ref()), response)
    }

    /// Does what [`sign`](Self::sign) does, for asynchronous keys.
    pub(super) async fn sign_waiting(
        &self,
        request: &Parts,
        verified: &VerifiedRequest,
        response: &mut response::Parts,
        content: &[u8],
        now: UnixTime,
    ) -> Result<(), Unsignable> {
        let identity = self.config.identity(now)?;
        let prepared = self.prepare(&identity, request, verified, response, content, now)?;
        apply(prepared.sign_async(identity.signer()).await, response)
    }

    /// Sets the covered header fields and returns the unsigned signature.
    fn prepare(
        &self,
        identity: &Identity,
        request: &Parts,
        verified: &VerifiedRequest,
        response: &mut response::Parts,
        content: &[u8],
        now: UnixTime,
    ) -> Result<PreparedSignature, Unsignable> {
        let wit = HeaderValue::from_str(identity.wit().expose());
        let mut wit = wit.map_err(|error| Unsignable::of(&error))?;
        wit.set_sensitive(true);
        response.headers.insert(WORKLOAD_IDENTITY_TOKEN, wit);
        let digest = ContentDigest::of(content);
        let content = if has_content(request, response.status) {
            let value = HeaderValue::try_from(digest.to_string());
            let value = value.map_err(|error| Unsignable::of(&error))?;
            response.headers.insert(ContentDigest::FIELD, value);
            Content::Digest(&digest)
        } else {
            response.headers.remove(ContentDigest::FIELD);
            Content::Empty
        };
        let prepared = ResponseSigning::new().prepare(
            &HttpResponse::new(response),
            &self.message(request),
            verified,
            content,
            random::SYSTEM,
            now,
        );
        prepared.map_err(|error| Unsignable::of(&error))
    }
}

/// Adds the signature to the response.
fn apply(
    signed: Result<SignatureFields, Error>,
    response: &mut response::Parts,
) -> Result<(), Unsignable> {
    let applied = signed.and_then(|fields| fields.apply(&mut response.headers));
    applied.map_err(|error| Unsignable::of(&error))
}

/// Returns whether a response can have content (RFC 9112 §6.3).
fn has_content(request: &Parts, status: StatusCode) -> bool {
    request.method != Method::HEAD
        && !status.is_informational()
        && !matches!(status, StatusCode::NO_CONTENT | StatusCode::NOT_MODIFIED)
}
