//! Sends requests, and tries once more with a new token.

use std::future::Future;
use std::sync::Arc;

use aims_fetch::{Body, BoxError, Call};
use aims_oauth_client::Token;
use aims_oauth_wire::names::Resource;
use bytes::Bytes;
use http::header::AUTHORIZATION;
use http::request::Parts;
use http::{Request, Response, Uri};

use super::access::{Authorization, Reconnected, Refusal};
use super::approve::Demands;
use super::body::{Answer, Kept, Outgoing, Uncollected, as_own_error, collected};
use super::{Agent, Content, Error, Limits, PendingResponse};

/// Sends a request to the tool and returns the head of its answer.
pub(super) trait Carry: Send {
    fn carry(
        &mut self,
        request: Request<Body>,
    ) -> impl Future<Output = Result<Response<Body>, Error>> + Send;
}

struct Calling<'a>(&'a dyn Call);

impl Carry for Calling<'_> {
    async fn carry(&mut self, request: Request<Body>) -> Result<Response<Body>, Error> {
        let answer = self.0.call(request).await;
        answer.map_err(|cause| as_own_error(cause, Error::Client))
    }
}

impl Agent {
    /// Sends a request with its proof, and with an access token if one is
    /// [configured](super::AgentBuilder::authorize) for its URI.
    ///
    /// **Bodies.** The request body can have any type. It streams, unless the proof covers the
    /// content; then the agent reads it first, up to
    /// [`max_content`](super::AgentBuilder::max_content). The answer streams, unless [signed
    /// responses](super::AgentBuilder::signed_responses) are required; then the agent reads and
    /// verifies it first, up to [`max_answer`](super::AgentBuilder::max_answer).
    ///
    /// **Timeouts.** The total timeout of the client applies to the head of the answer, and its
    /// idle timeout to each piece of a body. A [`Fetcher`](aims_fetch::Fetcher) has 15 s and 60 s.
    ///
    /// **Bound tokens.** A token that is bound to a [DPoP key](aims_oauth_client::DpopKey) is sent
    /// with a proof of that key for each attempt (RFC 9449 §7.1). If the tool demands a nonce, the
    /// agent sends the request once more with it (§9).
    ///
    /// **Second attempt.** A tool refuses a token by 401 and a `Bearer` challenge with the error
    /// `invalid_token` or without an error (RFC 6750 §3). The agent then forgets the token and
    /// sends the request once more with a new token and a new proof. This needs a body that can be
    /// sent again: the agent copies a streaming body up to `max_content` while it sends it. If the
    /// body is longer, the refusal is the answer.
    ///
    /// ```
    /// # async fn example(agent: aims::Agent) -> Result<(), Box<dyn std::error::Error>> {
    /// use http_body_util::BodyExt as _;
    ///
    /// let request = http::Request::post("https://tools.example/mcp/call").body("{}".to_owned())?;
    /// let mut answer = agent.send(request).await?.into_body();
    /// while let Some(frame) = answer.frame().await {
    ///     println!("{:?}", frame?.data_ref());
    /// }
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// **Connected tools.** If the tool is [connected](super::AgentBuilder::connect), the first
    /// request has no token. The agent follows a 401, a 403 with `insufficient_scope` and a 401
    /// with `insufficient_user_authentication` once each. It follows a 400 with `invalid_request`
    /// and `resource_metadata` to a request without a token like a 401 (RFC 9728 §5.1).
    ///
    /// A 401 that names `resource_metadata` makes the agent read the metadata of the tool anew, and
    /// connect to another authorization server if the tool has moved there (§5.2). If the
    /// registration of the agent has ended, because its secret expired or the server has forgotten
    /// it, the agent registers anew. Both happen once for a request, and once for parallel ones.
    ///
    /// **Approvals.** If the tool requires the approval of a person, the agent asks for it once,
    /// where [`approval`](super::AgentBuilder::approval) says how. A denial is an error of the
    /// token, such as `oauth.refused`. If the request names no call, the error is `agent.call`.
    ///
    /// # Errors
    ///
    /// A refusal by the tool is an answer, not an error. The errors are:
    ///
    /// - Those of [`prepare`](Self::prepare), of the token source, and `fetch.…`.
    /// - `agent.call` if persons approve calls of the tool, it requires an approval, and the
    ///   extensions of the request have no [`ToolCall`](aims_oauth_wire::call::ToolCall).
    /// - `agent.content`, `agent.content_too_long` and `agent.trailers` if the content must be
    ///   read.
    /// - `agent.target` if tokens are configured and the URI is not in normal form, so the agent
    ///   cannot tell which token it may send.
    pub async fn send<B>(&self, request: Request<B>) -> Result<Response<Answer>, Error>
    where
        B: http_body::Body + Send + 'static,
        B::Error: Into<BoxError>,
    {
        let mut calling = Calling(&*self.0.call);
        self.exchange(request, &mut calling, self.0.limits).await
    }

    /// Does what [`send`](Self::send) does, with any carrier of the request.
    pub(super) async fn exchange<B, C>(
        &self,
        request: Request<B>,
        carrier: &mut C,
        limits: Limits,
    ) -> Result<Response<Answer>, Error>
    where
        B: http_body::Body + Send + 'static,
        B::Error: Into<BoxError>,
        C: Carry,
    {
        let (head, body) = request.into_parts();
        let authorization = self.authorization(&head.uri)?;
        let mut body = self.outgoing(body, authorization.is_some(), limits).await?;
        let Some(authorization) = authorization else {
            let (answer, judge) = self.attempt(head, None, &mut body, carrier).await?;
            return judged(judge, answer, limits).await;
        };
        let mut followed = Followed::default();
        let mut token = authorization.token(&mut followed.reconnected).await?;
        loop {
            let sent = token.as_deref();
            let attempted = self.attempt(head.clone(), sent, &mut body, carrier).await?;
            let (answer, judge) = self
                .with_nonce(attempted, &head, sent, &mut body, carrier)
                .await?;
            let approvals = &self.0.approvals;
            if let Some(required) = approvals.required(&authorization.resource, &answer)
                && !std::mem::replace(&mut followed.approval, true)
            {
                let asked = required.request(&head, authorization, &mut followed.demands);
                let asked = asked.await?;
                if body.is_repeatable() {
                    // A person needs longer than a connection lasts.
                    drop((answer, judge));
                    token = Some(Arc::new(required.approve.approve(&asked).await?));
                    continue;
                }
            }
            let refusal = authorization.refusal(sent, &answer);
            let refusal = refusal.filter(|refusal| followed.is_first(refusal));
            if let Some(refusal) = &refusal {
                followed.demands.note(refusal);
            }
            // An attacker who forges a refusal causes one token request and one more attempt.
            if let (Some(Refusal::Token(_)), Some(token)) = (&refusal, sent) {
                authorization.forget(token).await;
            }
            let Some(refusal) = refusal.filter(|_| body.is_repeatable()) else {
                return judged(judge, answer, limits).await;
            };
            let next = authorization.after(refusal, sent, &mut followed.reconnected);
            match next.await? {
                // The tool may have read on while the token was requested.
                Some(_) if !body.is_repeatable() => return judged(judge, answer, limits).await,
                Some(next) => token = Some(next),
                None => return judged(judge, answer, limits).await,
            }
        }
    }

    /// Sends a request once more if its proof lacked the nonce that the tool demands (RFC 9449 §9).
    async fn with_nonce<C: Carry>(
        &self,
        attempted: Attempted,
        head: &Parts,
        token: Option<&Token>,
        body: &mut Outgoing,
        carrier: &mut C,
    ) -> Result<Attempted, Error> {
        let (answer, _) = &attempted;
        let Some(token) = token else {
            return Ok(attempted);
        };
        if !token.demands_nonce(&head.uri, answer) || !body.is_repeatable() {
            return Ok(attempted);
        }
        drop(attempted);
        let again = self.attempt(head.clone(), Some(token), body, carrier);
        let again = again.await?;
        token.demands_nonce(&head.uri, &again.0);
        Ok(again)
    }

    /// Sends a request without a token and without content, once.
    pub(super) async fn attempt_alone(&self, head: Parts) -> Result<Response<Body>, Error> {
        let mut nothing = Outgoing::Whole(Bytes::new());
        let mut calling = Calling(&*self.0.call);
        let (answer, _unjudged) = self.attempt(head, None, &mut nothing, &mut calling).await?;
        Ok(answer)
    }

    async fn outgoing<B>(&self, body: B, has_token: bool, limits: Limits) -> Result<Outgoing, Error>
    where
        B: http_body::Body + Send + 'static,
        B::Error: Into<BoxError>,
    {
        let (body, limit) = (Body::new(body), limits.content);
        if self.0.method.covers_content() {
            let content = collected(body, limit).await;
            return content.map(Outgoing::Whole).map_err(|it| match it {
                Uncollected::Broken(cause) => Error::Content(cause),
                Uncollected::TooLong => Error::ContentTooLong { limit },
                Uncollected::Trailers => Error::Trailers,
            });
        }
        Ok(match has_token {
            true => Outgoing::Kept(Kept::new(body, limit)),
            false => Outgoing::Once(Some(body)),
        })
    }

    async fn attempt<C: Carry>(
        &self,
        head: Parts,
        token: Option<&Token>,
        body: &mut Outgoing,
        carrier: &mut C,
    ) -> Result<Attempted, Error> {
        let mut request = Request::from_parts(head, ());
        if let Some(token) = token {
            request.headers_mut().remove(AUTHORIZATION);
            token.authorize(&mut request, self.0.clock.now()).await?;
        }
        let content = match body {
            Outgoing::Whole(bytes) => Content::Bytes(bytes),
            Outgoing::Once(_) | Outgoing::Kept(_) => Content::Unread,
        };
        let pending = self.prove_waiting(&mut request, content).await?;
        let Some(body) = body.next() else {
            return Err(Error::Content("the content cannot be sent again".into()));
        };
        Ok((carrier.carry(request.map(|()| body)).await?, pending))
    }

    /// Returns the token source of the innermost resource that contains the URI. The origin must
    /// match.
    ///
    /// A URI of another scheme belongs to no resource. A URI that is not in normal form is an
    /// error, because a server that normalises it could take it for another resource.
    pub(super) fn authorization(&self, uri: &Uri) -> Result<Option<&Authorization>, Error> {
        let scheme = uri.scheme_str().unwrap_or_default();
        let scheme_of = |it: &Authorization| {
            let resource = it.resource.as_str().split_once(':');
            resource.is_some_and(|(own, _)| own.eq_ignore_ascii_case(scheme))
        };
        if !self.0.tokens.iter().any(scheme_of) {
            return Ok(None);
        }
        let uri = uri.to_string();
        let requested: Resource = uri
            .parse()
            .or_else(|_not_https| Resource::loopback(&uri))
            .map_err(Error::Target)?;
        let tokens = self.0.tokens.iter();
        Ok(tokens
            .filter(|it| requested.is_within(&it.resource))
            .max_by_key(|it| it.resource.as_str().len()))
    }
}

/// An answer, and the value that judges it.
type Attempted = (Response<Body>, Option<PendingResponse>);

/// Returns the verified answer if the proof requires that, and the streaming answer otherwise.
async fn judged(
    judge: Option<PendingResponse>,
    answer: Response<Body>,
    limits: Limits,
) -> Result<Response<Answer>, Error> {
    match judge {
        Some(pending) => pending.finish_streaming(answer, limits.answer).await,
        None => Ok(answer.map(Answer::new)),
    }
}

/// The refusals that were followed: each kind once.
#[derive(Default)]
struct Followed {
    /// Their demands.
    demands: Demands,
    reconnected: Reconnected,
    token: bool,
    scope: bool,
    login: bool,
    approval: bool,
}

impl Followed {
    const fn is_first(&mut self, refusal: &Refusal) -> bool {
        let followed = match refusal {
            Refusal::Token(_) => &mut self.token,
            Refusal::Scope(_) => &mut self.scope,
            Refusal::Login(_) => &mut self.login,
        };
        !std::mem::replace(followed, true)
    }
}
