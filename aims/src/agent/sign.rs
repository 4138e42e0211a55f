//! HTTP message signatures as the proof of an agent, and signed responses of tools
//! (draft-ietf-wimse-http-signature).

use std::fmt;
use std::sync::Arc;

use aims_fetch::Body;
use aims_http_sig::digest::ContentDigest;
use aims_http_sig::profile::wimse::{self, Content, Pending, RequestSigning, ResponsePolicy};
use aims_http_sig::{HttpRequest, HttpResponse, PreparedSignature, Section};
use aims_jose::key::VerifyingKey;
use aims_jose::time::{Skew, UnixTime};
use aims_wimse_cred::{Identity, TrustStore, WitCache, WitRules};
use aims_wimse_id::IdPattern;
use aims_wimse_wpt::fields::{self, WORKLOAD_IDENTITY_TOKEN, workload_identity_token};
use http::header::{HeaderMap, HeaderValue};
use http::request::Parts;
use http::{Request, Response, response};

use super::body::{Uncollected, collected};
use super::{Agent, Answer, Error};

/// The tools whose signed responses an agent accepts. It accepts no unsigned ones.
///
/// The agent requests a signed response in every [signed](super::RequestAuth::HttpSignature)
/// request.
///
/// ```
/// use std::sync::Arc;
///
/// use aims::agent::SignedResponses;
/// use aims::cred::TrustStore;
///
/// # fn example(trust: Arc<TrustStore>) -> Result<(), Box<dyn std::error::Error>> {
/// let responses = SignedResponses::of("spiffe://tools.example/*".parse()?, trust);
/// # drop(responses);
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
#[must_use = "an agent asks for signed responses when it is given this"]
pub struct SignedResponses {
    wits: Arc<WitCache>,
    trust: Arc<TrustStore>,
    tools: Vec<IdPattern>,
    policy: ResponsePolicy,
}

impl SignedResponses {
    /// Accepts responses of tools whose identifier matches this pattern. The bundles of `trust`
    /// verify their credentials.
    pub fn of(tools: IdPattern, trust: Arc<TrustStore>) -> Self {
        Self {
            wits: Arc::new(WitCache::new(1_000, WitRules::wit())),
            trust,
            tools: vec![tools],
            policy: ResponsePolicy::new(),
        }
    }

    /// Adds tools whose identifier matches this pattern.
    pub fn or_of(mut self, tools: IdPattern) -> Self {
        self.tools.push(tools);
        self
    }

    /// Sets the clock skew for signatures and WITs.
    pub fn with_skew(mut self, skew: Skew) -> Self {
        self.wits = Arc::new(WitCache::new(1_000, WitRules::wit().with_skew(skew)));
        self.policy = self.policy.with_skew(skew);
        self
    }

    /// Returns the key of the WIT in the response. The WIT is verified before any other part of the
    /// response is read.
    fn key(&self, headers: &HeaderMap, now: UnixTime) -> Result<Option<VerifyingKey>, Error> {
        let Some(text) = workload_identity_token(headers)? else {
            return Ok(None);
        };
        let wit = self.wits.verify(text, &self.trust, now)?;
        if self.tools.iter().any(|pattern| pattern.matches(wit.id())) {
            Ok(Some(wit.key().clone()))
        } else {
            Err(Error::Tool)
        }
    }
}

impl fmt::Debug for SignedResponses {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SignedResponses")
            .field("tools", &self.tools)
            .finish_non_exhaustive()
    }
}

/// A signed request that waits for its response. [`finish`](Self::finish) verifies the response.
#[must_use = "the response is unauthenticated until `finish` verifies it"]
pub struct PendingResponse {
    agent: Agent,
    pending: Pending,
    sent: Parts,
}

/// Omits the head of the request, which holds its tokens.
impl fmt::Debug for PendingResponse {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PendingResponse")
            .field("pending", &self.pending)
            .finish_non_exhaustive()
    }
}

impl PendingResponse {
    /// Verifies the response and returns it.
    ///
    /// A signature in the response is always verified. If [signed
    /// responses](super::AgentBuilder::signed_responses) are required, the response must have a
    /// signature of a trusted tool, over this content and for this request.
    ///
    /// # Errors
    ///
    /// - `sig.response_unsigned`, `sig.request_nonce` and other `sig.…`.
    /// - `digest.mismatch` and other `digest.…`.
    /// - `agent.tool` if another workload has signed.
    /// - `wit.…` if the WIT of the response is not valid.
    pub fn finish<B: AsRef<[u8]>>(self, response: Response<B>) -> Result<Response<B>, Error> {
        let (parts, content) = response.into_parts();
        match self.judge(&parts)? {
            wimse::Answer::Signed(head) => drop(head.check_body(content.as_ref())?),
            wimse::Answer::Unsigned => {}
        }
        Ok(Response::from_parts(parts, content))
    }

    /// Does what [`finish`](Self::finish) does for a content that has not arrived yet. A signed
    /// content is read; any other content streams.
    pub(super) async fn finish_streaming(
        self,
        response: Response<Body>,
        limit: usize,
    ) -> Result<Response<Answer>, Error> {
        let (parts, body) = response.into_parts();
        let body = match self.judge(&parts)? {
            wimse::Answer::Signed(head) => {
                let content = collected(body, limit).await.map_err(|it| match it {
                    Uncollected::Broken(cause) => super::body::as_own_error(cause, Error::Answer),
                    Uncollected::TooLong => Error::AnswerTooLong { limit },
                    Uncollected::Trailers => Error::Trailers,
                })?;
                drop(head.check_body(&content)?);
                content.into()
            }
            wimse::Answer::Unsigned => body,
        };
        Ok(Response::from_parts(parts, Answer::new(body)))
    }

    fn judge(self, parts: &response::Parts) -> Result<wimse::Answer, Error> {
        let inner = &*self.agent.0;
        let now = inner.clock.now();
        let responses = inner.responses.as_ref();
        let key = responses
            .map(|it| it.key(&parts.headers, now))
            .transpose()?;
        let plain = ResponsePolicy::new();
        let policy = responses.map_or(&plain, |it| &it.policy);
        let message = HttpRequest::to_send(&self.sent)?;
        let (response, key) = (HttpResponse::new(parts), key.flatten());
        let pending = self.pending;
        Ok(pending.finish(&response, &message, key.as_ref(), policy, now)?)
    }
}

impl Agent {
    /// Signs a request and its content with an HTTP signature, whatever the agent's
    /// [method](super::AgentBuilder::proof) is.
    ///
    /// It sets `Content-Digest` and `Workload-Identity-Token` and adds the signature. Do not change
    /// the covered parts afterwards, and send the request only once.
    ///
    /// This method is synchronous. If the key of the identity is in a device or behind a network,
    /// use [`prepare`](Self::prepare), [`send`](Self::send) or [`layer`](Self::layer).
    ///
    /// ```
    /// use http::{Request, Response};
    ///
    /// fn call(
    ///     agent: &aims::Agent,
    ///     mut request: Request<String>,
    ///     send: impl Fn(Request<String>) -> Response<Vec<u8>>,
    /// ) -> Result<Response<Vec<u8>>, aims::agent::Error> {
    ///     let pending = agent.sign(&mut request)?;
    ///     pending.finish(send(request))
    /// }
    /// ```
    ///
    /// # Errors
    ///
    /// - `source.expired` if the agent has no identity at present.
    /// - `source.remote_signer` if its key signs asynchronously.
    /// - `sig.target` for a URI that is not absolute, and other `sig.…`.
    pub fn sign<B: AsRef<[u8]>>(&self, request: &mut Request<B>) -> Result<PendingResponse, Error> {
        self.carry_transaction(request)?;
        let content = request.body().as_ref();
        let digest = (!content.is_empty()).then(|| ContentDigest::of(content));
        let (ready, identity) = self.ready_to_sign(request, digest)?;
        let fields = ready.prepared.sign(identity.local_signer()?.as_ref())?;
        fields.apply(request.headers_mut())?;
        Ok(self.pending(ready.pending, request))
    }

    /// Does what [`sign`](Self::sign) does, with the digest of the content and for asynchronous
    /// keys.
    pub(super) async fn sign_waiting<B>(
        &self,
        request: &mut Request<B>,
        digest: Option<ContentDigest>,
    ) -> Result<PendingResponse, Error> {
        let (ready, identity) = self.ready_to_sign(request, digest)?;
        let fields = ready.prepared.sign_async(identity.signer()).await?;
        fields.apply(request.headers_mut())?;
        Ok(self.pending(ready.pending, request))
    }

    /// Signs a request. The content is described by its `Content-Digest`, or is empty without it.
    pub(super) fn sign_known<B>(&self, request: &mut Request<B>) -> Result<(), Error> {
        let head = head_of(request);
        let digest = head
            .headers
            .contains_key(ContentDigest::FIELD)
            .then(|| {
                let message = HttpRequest::to_send(&head)?;
                ContentDigest::from_message(&message, Section::Headers)
            })
            .transpose()?;
        let now = self.0.clock.now();
        let identity = self.0.source.identity(now)?;
        // No [`PendingResponse`] is returned here, so no signed response is requested.
        let ready = self.prepare_signature(request, &identity, digest.as_ref(), None, now)?;
        let fields = ready.prepared.sign(identity.local_signer()?.as_ref())?;
        Ok(fields.apply(request.headers_mut())?)
    }

    /// Sets `Content-Digest`, and returns the unsigned signature and the identity that signs it.
    fn ready_to_sign<B>(
        &self,
        request: &mut Request<B>,
        digest: Option<ContentDigest>,
    ) -> Result<(Ready, Arc<Identity>), Error> {
        let inner = &*self.0;
        let now = inner.clock.now();
        let identity = inner.source.identity(now)?;
        let headers = request.headers_mut();
        headers.remove(ContentDigest::FIELD);
        if let Some(digest) = &digest {
            let value = HeaderValue::try_from(digest.to_string());
            headers.insert(ContentDigest::FIELD, value.or(Err(Error::Header))?);
        }
        let responses = inner.responses.as_ref();
        let ready = self.prepare_signature(request, &identity, digest.as_ref(), responses, now)?;
        Ok((ready, identity))
    }

    fn prepare_signature<B>(
        &self,
        request: &mut Request<B>,
        identity: &Identity,
        digest: Option<&ContentDigest>,
        responses: Option<&SignedResponses>,
        now: UnixTime,
    ) -> Result<Ready, Error> {
        let inner = &*self.0;
        let mut wit = HeaderValue::from_str(identity.wit().expose()).or(Err(Error::Header))?;
        wit.set_sensitive(true);
        let headers = request.headers_mut();
        headers.insert(WORKLOAD_IDENTITY_TOKEN, wit);
        self.trace(headers);
        let head = head_of(request);
        let message = HttpRequest::to_send(&head)?;
        let audience = fields::audience(&head.uri)?;
        let mut signing = RequestSigning::to(&audience)?.with_lifetime(inner.lifetime);
        for field in &inner.signed_fields {
            signing = signing.covering_field(field.as_str())?;
        }
        if responses.is_some() {
            signing = signing.asking_for_signed_response();
        }
        let content = digest.map_or(Content::Empty, Content::Digest);
        let (prepared, pending) = signing.prepare(&message, content, inner.random, now)?;
        Ok(Ready { prepared, pending })
    }

    fn pending<B>(&self, pending: Pending, sent: &Request<B>) -> PendingResponse {
        PendingResponse {
            agent: self.clone(),
            pending,
            sent: head_of(sent),
        }
    }
}

/// An unsigned signature, and the data that verifies its response.
struct Ready {
    prepared: PreparedSignature,
    pending: Pending,
}

fn head_of<B>(request: &Request<B>) -> Parts {
    let mut head = Request::new(()).into_parts().0;
    head.method = request.method().clone();
    head.uri = request.uri().clone();
    head.version = request.version();
    head.headers = request.headers().clone();
    head
}
