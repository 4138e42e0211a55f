//! The agent as a tower layer around any HTTP client.

use std::error::Error as StdError;
use std::fmt;
use std::future::{Future, poll_fn};
use std::mem;
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use http::{Request, Response};
use http_body::Body;
use http_body_util::{BodyExt as _, Full, LengthLimitError, Limited};
use tower_layer::Layer;
use tower_service::Service;

use super::send::Carry;
use super::{Agent, Error};

type Cause = Box<dyn StdError + Send + Sync>;

impl Agent {
    /// A layer that does around any tower HTTP client what [`send`](Self::send) does: an access
    /// token where one is [configured](super::AgentBuilder::authorize), a proof for each request,
    /// one more try with a new token, and signed responses verified.
    ///
    /// Contents are collected, [1 MiB each way](AgentLayer) unless said: a signature is over the
    /// whole of them. What the service below gets must go out as it is, and what comes back must
    /// come up as it is: redirects, decompression and anything else that changes a message belongs
    /// above this layer. A client that rewrites URLs must refuse instead, as below; what was proven
    /// is about the URI that the request has (RFC 9421 §7.4.3).
    ///
    /// Over a client of the crate `reqwest`:
    ///
    /// ```
    /// # fn example(agent: aims::Agent) -> Result<(), tower::BoxError> {
    /// use bytes::Bytes;
    /// use http::{Request, Response};
    /// use http_body_util::{BodyExt as _, Full};
    /// use tower::{BoxError, ServiceBuilder, service_fn};
    ///
    /// let client = aims::fetch::Fetcher::builder().http_client()?; // or a client of your own that follows no redirects
    /// let client = service_fn(move |request: Request<Full<Bytes>>| {
    ///     let client = client.clone();
    ///     async move {
    ///         let (head, content) = request.into_parts();
    ///         let target = head.uri.to_string();
    ///         let content = content.collect().await?.to_bytes();
    ///         let request: reqwest::Request = Request::from_parts(head, content).try_into()?;
    ///         if request.url().as_str() != target {
    ///             return Err("the URL would be sent as another one".into());
    ///         }
    ///         let answer: Response<reqwest::Body> = client.execute(request).await?.into();
    ///         Ok::<_, BoxError>(answer)
    ///     }
    /// });
    /// let tool = ServiceBuilder::new().layer(agent.layer()).service(client);
    /// # let _: aims::agent::layer::Proving<_> = tool;
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// Over [`aims_fetch::Fetcher`], or whatever else implements [`aims_fetch::Fetch`],
    /// [`send`](Self::send) needs no layer. For anything that is no tower service there are
    /// [`prove`](Self::prove), and `sign` with the feature `http-sig`.
    pub fn layer(&self) -> AgentLayer {
        AgentLayer {
            agent: self.clone(),
            max_content: 1024 * 1024,
            max_answer: 1024 * 1024,
        }
    }
}

/// See [`Agent::layer`].
#[derive(Clone, Debug)]
#[must_use = "a layer is put around a service"]
pub struct AgentLayer {
    agent: Agent,
    max_content: usize,
    max_answer: usize,
}

impl AgentLayer {
    /// Another limit to the content of requests, in bytes; 1 MiB unless said.
    pub const fn with_max_content(mut self, most: usize) -> Self {
        self.max_content = most;
        self
    }

    /// Another limit to the content of answers, in bytes; 1 MiB unless said.
    pub const fn with_max_answer(mut self, most: usize) -> Self {
        self.max_answer = most;
        self
    }
}

impl<S> Layer<S> for AgentLayer {
    type Service = Proving<S>;

    fn layer(&self, inner: S) -> Proving<S> {
        Proving {
            layer: self.clone(),
            inner,
        }
    }
}

/// An HTTP client whose requests prove who sends them.
///
/// Its errors are those of [`Agent::send`], but for `fetch.…`; besides `agent.client` with the
/// client's own error as source, `agent.content` and `agent.answer` where a content broke off,
/// `agent.content_too_long`, `agent.answer_too_long`, and `agent.trailers`, as nothing would cover
/// them.
#[derive(Clone)]
pub struct Proving<S> {
    layer: AgentLayer,
    inner: S,
}

impl<S> fmt::Debug for Proving<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Proving")
            .field("layer", &self.layer)
            .finish_non_exhaustive()
    }
}

impl<S, B, R> Service<Request<B>> for Proving<S>
where
    S: Service<Request<Full<Bytes>>, Response = Response<R>> + Clone + Send + 'static,
    S::Error: Into<Cause>,
    S::Future: Send,
    B: Body + Send + 'static,
    B::Data: Send,
    B::Error: Into<Cause>,
    R: Body + Send,
    R::Data: Send,
    R::Error: Into<Cause>,
{
    type Response = Response<Full<Bytes>>;
    type Error = Error;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, Error>> + Send>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), Error>> {
        self.inner.poll_ready(context).map_err(failed)
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        let layer = self.layer.clone();
        // The service that was asked whether it is ready is the one that is called.
        let fresh = self.inner.clone();
        let mut carrier = Carrier {
            service: mem::replace(&mut self.inner, fresh),
            ready: true,
            max_answer: layer.max_answer,
        };
        Box::pin(async move {
            let (head, body) = request.into_parts();
            let limit = layer.max_content;
            let content = collected(body, limit).await.map_err(|it| match it {
                Uncollected::Broken(cause) => Error::Content(cause),
                Uncollected::TooLong => Error::ContentTooLong { limit },
                Uncollected::Trailers => Error::Trailers,
            })?;
            let request = Request::from_parts(head, content);
            let answer = layer.agent.exchange(request, &mut carrier).await?;
            Ok(answer.map(Full::new))
        })
    }
}

struct Carrier<S> {
    service: S,
    /// Whether the service was asked already.
    ready: bool,
    max_answer: usize,
}

impl<S, R> Carry for Carrier<S>
where
    S: Service<Request<Full<Bytes>>, Response = Response<R>> + Send,
    S::Error: Into<Cause>,
    S::Future: Send,
    R: Body + Send,
    R::Data: Send,
    R::Error: Into<Cause>,
{
    type Content = Bytes;

    async fn carry(&mut self, request: Request<Bytes>) -> Result<Response<Bytes>, Error> {
        if !mem::take(&mut self.ready) {
            let ready = poll_fn(|context| self.service.poll_ready(context).map_err(failed));
            ready.await?;
        }
        let sent = self.service.call(request.map(Full::new));
        let (head, body) = sent.await.map_err(failed)?.into_parts();
        let limit = self.max_answer;
        let content = collected(body, limit).await.map_err(|it| match it {
            Uncollected::Broken(cause) => Error::Answer(cause),
            Uncollected::TooLong => Error::AnswerTooLong { limit },
            Uncollected::Trailers => Error::Trailers,
        })?;
        Ok(Response::from_parts(head, content))
    }
}

fn failed(error: impl Into<Cause>) -> Error {
    Error::Client(error.into())
}

/// Why there is no whole content.
enum Uncollected {
    Broken(Cause),
    TooLong,
    Trailers,
}

async fn collected<B>(body: B, limit: usize) -> Result<Bytes, Uncollected>
where
    B: Body + Send,
    B::Error: Into<Cause>,
{
    let collected = Limited::new(Box::pin(body), limit).collect().await;
    let collected = collected.map_err(|cause| match cause.is::<LengthLimitError>() {
        true => Uncollected::TooLong,
        false => Uncollected::Broken(cause),
    })?;
    match collected.trailers() {
        Some(_uncovered) => Err(Uncollected::Trailers),
        None => Ok(collected.to_bytes()),
    }
}
