//! Proving a request, without sending it.

use std::sync::Arc;

use aims_http_sig::digest::ContentDigest;
use aims_jose::jws::{CompactJws, SigningInput};
use aims_jose::time::UnixTime;
use aims_oauth_wire::bearer::Bearer;
use aims_wimse_cred::Identity;
use aims_wimse_wpt::{Binding, Revision, fields};
use http::header::{AUTHORIZATION, HeaderMap};
use http::{Request, Uri};

use super::{Agent, Error, PendingResponse, RequestAuth};

/// What [`Agent::prepare`] is told of the content of a request.
#[derive(Clone, Copy, Debug)]
#[expect(
    clippy::exhaustive_enums,
    reason = "a content is known in one of these ways, or is not"
)]
pub enum Content<'a> {
    /// There is none.
    Empty,
    /// These bytes.
    Bytes(&'a [u8]),
    /// The bytes with this digest, which was made elsewhere.
    Digest(&'a ContentDigest),
    /// It is not known: it streams, or another part of the program has it. Only for
    /// [proofs](RequestAuth) that do not cover the content.
    Unread,
}

impl<'a> From<&'a [u8]> for Content<'a> {
    fn from(bytes: &'a [u8]) -> Self {
        Self::Bytes(bytes)
    }
}

impl<'a> From<&'a Vec<u8>> for Content<'a> {
    fn from(bytes: &'a Vec<u8>) -> Self {
        Self::Bytes(bytes)
    }
}

impl<'a> From<&'a bytes::Bytes> for Content<'a> {
    fn from(bytes: &'a bytes::Bytes) -> Self {
        Self::Bytes(bytes)
    }
}

impl<'a> From<&'a str> for Content<'a> {
    fn from(text: &'a str) -> Self {
        Self::Bytes(text.as_bytes())
    }
}

impl<'a> From<&'a String> for Content<'a> {
    fn from(text: &'a String) -> Self {
        Self::Bytes(text.as_bytes())
    }
}

impl<'a> From<&'a ContentDigest> for Content<'a> {
    fn from(digest: &'a ContentDigest) -> Self {
        Self::Digest(digest)
    }
}

impl Agent {
    /// Makes a request ready for any HTTP client: adds the access token that is
    /// [configured](super::AgentBuilder::authorize) for its URI, and the proof.
    ///
    /// What is covered must not change afterwards, and the request is good for one sending.
    /// [`send`](Self::send) and [`layer`](Self::layer) do the same, send, and try once more with a
    /// new token.
    ///
    /// The value is there where the proof is an HTTP signature. If the agent asks for [signed
    /// responses](super::AgentBuilder::signed_responses), give it the response: nothing else
    /// verifies it. Otherwise it may be dropped.
    ///
    /// ```
    /// # async fn example(agent: aims::Agent) -> Result<(), aims::agent::Error> {
    /// let content = r#"{"city":"Oslo"}"#;
    /// let mut request = http::Request::post("https://tools.example/mcp/call").body(()).unwrap();
    /// agent.prepare(&mut request, content).await?;
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// `agent.content_unread` for [`Content::Unread`] where the proof covers the content;
    /// `source.expired` where the agent has no identity at the moment; those of the token source;
    /// `agent.token_with_wpt`; `agent.target`, `wpt.target`, `sig.target` for a URI that is not
    /// absolute or not in normal form; `agent.authorization`; other `wpt.…` and `sig.…`;
    /// `agent.sign`.
    pub async fn prepare<'a, B>(
        &self,
        request: &mut Request<B>,
        content: impl Into<Content<'a>>,
    ) -> Result<Option<PendingResponse>, Error> {
        let content = content.into();
        self.check_content(content)?;
        if let Some(authorization) = self.authorization(request.uri())? {
            let token = authorization.token().await?;
            request.headers_mut().remove(AUTHORIZATION);
            token.apply(request.headers_mut())?;
        }
        self.prove_waiting(request, content).await
    }

    /// Proves a request: adds what the agent's [method](super::AgentBuilder::proof) says, and the
    /// trace context that the program has. No access token: one that is in `Authorization` is
    /// covered. A plain function, for any HTTP client; whatever it covers must not change
    /// afterwards, and the request is good for one sending.
    ///
    /// An HTTP signature is over the `Content-Digest` that is there or else over an empty content,
    /// and asks for no signed response: [`sign`](Self::sign) and [`prepare`](Self::prepare) do all
    /// of that.
    ///
    /// It cannot wait for a signature: an identity whose key is behind a device or a network is
    /// proven by [`prepare`](Self::prepare), [`send`](Self::send) or [`layer`](Self::layer).
    ///
    /// # Errors
    ///
    /// `source.expired` where the agent has no identity at the moment; `source.remote_signer` where
    /// its key signs asynchronously; `wpt.target`,
    /// `wpt.field_repeated` and other `wpt.…` where the request cannot be covered;
    /// `agent.token_with_wpt`; `agent.sign`.
    pub fn prove<B>(&self, request: &mut Request<B>) -> Result<(), Error> {
        match self.0.method {
            RequestAuth::HttpSignature => self.sign_known(request),
            RequestAuth::Wpt => {
                let (input, identity) = self.begin_wpt(request)?;
                let proof = input.sign(identity.local_signer()?.as_ref());
                self.apply_wpt(request, &identity, &proof.map_err(Error::Sign)?)
            }
            RequestAuth::Bearer => {
                self.trace(request.headers_mut());
                Ok(())
            }
        }
    }

    /// As [`prove`](Self::prove), for a content that is known, and for keys that take their time.
    pub(super) async fn prove_waiting<B>(
        &self,
        request: &mut Request<B>,
        content: Content<'_>,
    ) -> Result<Option<PendingResponse>, Error> {
        self.check_content(content)?;
        match self.0.method {
            RequestAuth::HttpSignature => {
                let digest = match content {
                    Content::Bytes([]) | Content::Empty | Content::Unread => None,
                    Content::Bytes(bytes) => Some(ContentDigest::of(bytes)),
                    Content::Digest(digest) => Some(digest.clone()),
                };
                self.sign_waiting(request, digest).await.map(Some)
            }
            RequestAuth::Wpt => {
                let (input, identity) = self.begin_wpt(request)?;
                let proof = input.sign_async(identity.signer()).await;
                self.apply_wpt(request, &identity, &proof.map_err(Error::Sign)?)?;
                Ok(None)
            }
            RequestAuth::Bearer => {
                self.trace(request.headers_mut());
                Ok(None)
            }
        }
    }

    fn check_content(&self, content: Content<'_>) -> Result<(), Error> {
        match content {
            Content::Unread if self.0.method.covers_content() => Err(Error::ContentUnread),
            _ => Ok(()),
        }
    }

    /// A WPT that is left to sign, and the identity that signs it.
    fn begin_wpt<B>(
        &self,
        request: &mut Request<B>,
    ) -> Result<(SigningInput, Arc<Identity>), Error> {
        let now = self.0.clock.now();
        let identity = self.0.source.identity(now)?;
        let (uri, headers) = (request.uri().clone(), request.headers_mut());
        let input = self.wpt(&uri, headers, &identity, now)?;
        Ok((input, identity))
    }

    fn apply_wpt<B>(
        &self,
        request: &mut Request<B>,
        identity: &Identity,
        proof: &CompactJws,
    ) -> Result<(), Error> {
        let (wit, headers) = (identity.wit().expose(), request.headers_mut());
        fields::apply(headers, wit, proof.expose(), self.0.revision)?;
        self.trace(headers);
        Ok(())
    }

    /// A WPT for the target and the tokens, which is left to sign.
    fn wpt(
        &self,
        target: &Uri,
        headers: &mut HeaderMap,
        identity: &Identity,
        now: UnixTime,
    ) -> Result<SigningInput, Error> {
        let inner = &*self.0;
        let audience = fields::audience(target)?;
        let mut binding = Binding::to(&audience).revision(inner.revision);
        if inner.revision == Revision::Draft02 {
            remove_earlier_proof(headers);
        }
        if let Some(token) = bearer(headers)? {
            if inner.revision == Revision::Draft02 {
                return Err(Error::TokenWithWpt);
            }
            binding = binding.access_token(token);
        }
        if let Some(token) = fields::txn_token(headers)? {
            binding = binding.txn_token(token);
        }
        let (wit, algorithm) = (identity.wit().expose(), identity.signer().algorithm());
        Ok(binding.prepare(wit, algorithm, inner.lifetime, inner.random, now)?)
    }

    /// Carries on the trace context that the program has.
    pub(super) fn trace(&self, headers: &mut HeaderMap) {
        let trace = self.0.trace.as_ref().and_then(|trace| trace.current());
        if let Some(trace) = trace {
            trace.apply(headers);
        }
    }
}

/// Makes room where a proof goes: one that the request had before is good for one sending.
fn remove_earlier_proof(headers: &mut HeaderMap) {
    let mut values = headers.get_all(AUTHORIZATION).iter();
    let (Some(value), None) = (values.next(), values.next()) else {
        return;
    };
    let scheme = value.as_bytes().split(|byte| *byte == b' ').next();
    if scheme.is_some_and(|it| it.eq_ignore_ascii_case(fields::SCHEME.as_bytes())) {
        headers.remove(AUTHORIZATION);
    }
}

/// The access token of a request, where it has one. How long it may be is the tool's to say.
fn bearer(headers: &HeaderMap) -> Result<Option<&str>, Error> {
    match Bearer::read(headers, usize::MAX) {
        Bearer::Absent => Ok(None),
        Bearer::Token(token) => Ok(Some(token)),
        Bearer::Malformed | Bearer::OtherScheme | Bearer::TooLong => Err(Error::Authorization),
    }
}
