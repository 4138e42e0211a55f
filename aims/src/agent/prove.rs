//! Proves a request without sending it.

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

/// Tells [`Agent::prepare`] the content of a request.
#[derive(Clone, Copy, Debug)]
#[expect(
    clippy::exhaustive_enums,
    reason = "a content is known in one of these ways, or is not"
)]
pub enum Content<'a> {
    /// The request has no content.
    Empty,
    /// The content is these bytes.
    Bytes(&'a [u8]),
    /// The content has this digest, which the program has computed.
    Digest(&'a ContentDigest),
    /// The content is not known, because it streams or is in another part of the program. Only for
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
    /// Prepares a request for any HTTP client: adds the access token that is
    /// [configured](super::AgentBuilder::authorize) for its URI, and the proof.
    ///
    /// Do not change the covered parts afterwards, and send the request only once.
    /// [`send`](Self::send) and [`layer`](Self::layer) do the same, send the request, and try once
    /// more with a new token.
    ///
    /// Returns a [`PendingResponse`] if the proof is an HTTP signature. If the agent requires
    /// [signed responses](super::AgentBuilder::signed_responses), pass the response to it; nothing
    /// else verifies the response. Otherwise you can drop it.
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
    /// - `agent.content_unread` for [`Content::Unread`] if the proof covers the content.
    /// - `source.expired` if the agent has no identity at present.
    /// - The errors of the token source, and `agent.token_with_wpt`.
    /// - `agent.target`, `wpt.target` or `sig.target` for a URI that is not absolute or not in
    ///   normal form.
    /// - `agent.authorization` for an `Authorization` field that the proof cannot cover.
    /// - Other `wpt.…` and `sig.…`, and `agent.sign` if the key cannot sign.
    pub async fn prepare<'a, B>(
        &self,
        request: &mut Request<B>,
        content: impl Into<Content<'a>>,
    ) -> Result<Option<PendingResponse>, Error> {
        let content = content.into();
        self.check_content(content)?;
        if let Some(authorization) = self.authorization(request.uri())? {
            let token = authorization.required_token().await?;
            request.headers_mut().remove(AUTHORIZATION);
            token.authorize(request, self.0.clock.now()).await?;
        }
        self.prove_waiting(request, content).await
    }

    /// Proves a request: adds the proof of the agent's [method](super::AgentBuilder::proof) and the
    /// current trace context.
    ///
    /// It adds no access token. A token that is already in `Authorization` is covered by the proof.
    /// It works with any HTTP client. Do not change the covered parts afterwards, and send the
    /// request only once.
    ///
    /// An HTTP signature covers the `Content-Digest` of the request; without that field the content
    /// must be empty. It requests no signed response. For either of these, use [`sign`](Self::sign)
    /// or [`prepare`](Self::prepare).
    ///
    /// This method is synchronous. If the key of the identity is in a device or behind a network,
    /// use [`prepare`](Self::prepare), [`send`](Self::send) or [`layer`](Self::layer).
    ///
    /// ```
    /// fn proven(agent: &aims::Agent) -> Result<http::Request<()>, Box<dyn std::error::Error>> {
    ///     let mut request = http::Request::get("https://tools.example/status").body(())?;
    ///     agent.prove(&mut request)?;
    ///     Ok(request)
    /// }
    /// ```
    ///
    /// # Errors
    ///
    /// - `source.expired` if the agent has no identity at present.
    /// - `source.remote_signer` if its key signs asynchronously.
    /// - `wpt.target`, `wpt.field_repeated` and other `wpt.…` if the request cannot be covered.
    /// - `agent.token_with_wpt`, and `agent.sign` if the key cannot sign.
    pub fn prove<B>(&self, request: &mut Request<B>) -> Result<(), Error> {
        self.carry_transaction(request)?;
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

    /// Does what [`prove`](Self::prove) does, for a known content and for asynchronous keys.
    pub(super) async fn prove_waiting<B>(
        &self,
        request: &mut Request<B>,
        content: Content<'_>,
    ) -> Result<Option<PendingResponse>, Error> {
        self.check_content(content)?;
        self.carry_transaction(request)?;
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

    /// Returns an unsigned WPT and the identity that signs it.
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

    /// Returns an unsigned WPT for the target and the tokens.
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

    /// Adds the current trace context of the program.
    pub(super) fn trace(&self, headers: &mut HeaderMap) {
        let trace = self.0.trace.as_ref().and_then(|trace| trace.current());
        if let Some(trace) = trace {
            trace.apply(headers);
        }
    }
}

/// Removes an earlier proof, because each proof is valid for one request.
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

/// Returns the access token of a request, if it has one. The tool limits its length.
fn bearer(headers: &HeaderMap) -> Result<Option<&str>, Error> {
    match Bearer::read(headers, usize::MAX) {
        Bearer::Absent => Ok(None),
        Bearer::Token(token) => Ok(Some(token)),
        Bearer::Malformed | Bearer::OtherScheme | Bearer::TooLong => Err(Error::Authorization),
    }
}
