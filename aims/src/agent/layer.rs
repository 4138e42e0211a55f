//! The agent as a tower layer around any HTTP client.

use std::fmt;
use std::future::{Future, poll_fn};
use std::mem;
use std::pin::Pin;
use std::task::{Context, Poll};

use aims_fetch::{Body, BoxError};
use http::{Request, Response};
use tower_layer::Layer;
use tower_service::Service;

use super::send::Carry;
use super::{Agent, Answer, Error, Limits};

impl Agent {
    /// A layer that does around any tower HTTP client what [`send`](Self::send) does: an access
    /// token where one is [configured](super::AgentBuilder::authorize), a proof for each request,
    /// one more try with a new token, and signed responses verified. Both bodies stream as there.
    ///
    /// What the service below gets must go out as it is, and what comes back must come up as it is:
    /// redirects, decompression and anything else that changes a message belongs above this layer.
    /// A client that rewrites URLs must refuse instead, as below; what was proven is about the URI
    /// that the request has (RFC 9421 §7.4.3). Limits of time are the client's.
    ///
    /// Over a client of the crate `reqwest`:
    ///
    /// ```
    /// # fn example(agent: aims::Agent) -> Result<(), tower::BoxError> {
    /// use aims::agent::Body;
    /// use http::{Request, Response};
    /// use tower::{BoxError, ServiceBuilder, service_fn};
    ///
    /// // Or a client of your own that follows no redirects. Its limit of time is for the whole
    /// // answer, which may stream.
    /// let client = aims::fetch::Fetcher::builder().timeout(std::time::Duration::from_secs(600));
    /// let client = client.http_client()?;
    /// let client = service_fn(move |request: Request<Body>| {
    ///     let client = client.clone();
    ///     async move {
    ///         let target = request.uri().to_string();
    ///         let request: reqwest::Request = request.map(reqwest::Body::wrap).try_into()?;
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
    /// Over [`aims_fetch::Fetcher`], or whatever else implements [`aims_fetch::Call`],
    /// [`send`](Self::send) needs no layer. For anything that is no tower service there is
    /// [`prepare`](Self::prepare).
    pub fn layer(&self) -> AgentLayer {
        AgentLayer {
            limits: self.0.limits,
            agent: self.clone(),
        }
    }
}

/// See [`Agent::layer`].
#[derive(Clone, Debug)]
#[must_use = "a layer is put around a service"]
pub struct AgentLayer {
    agent: Agent,
    limits: Limits,
}

impl AgentLayer {
    /// Sets the greatest content of a request that is read or kept, in bytes. Defaults to the
    /// [agent's](super::AgentBuilder::max_content).
    pub const fn with_max_content(mut self, most: usize) -> Self {
        self.limits.content = most;
        self
    }

    /// Sets the greatest content of a signed answer, in bytes. Defaults to the
    /// [agent's](super::AgentBuilder::max_answer). Answers that stream have no limit.
    pub const fn with_max_answer(mut self, most: usize) -> Self {
        self.limits.answer = most;
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
/// Its errors are those of [`Agent::send`]; `agent.client` has the client's own error as source,
/// unless that is one of [`aims_fetch`].
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
    S: Service<Request<Body>, Response = Response<R>> + Clone + Send + 'static,
    S::Error: Into<BoxError>,
    S::Future: Send,
    B: http_body::Body + Send + 'static,
    B::Error: Into<BoxError>,
    R: http_body::Body + Send + 'static,
    R::Error: Into<BoxError>,
{
    type Response = Response<Answer>;
    type Error = Error;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, Error>> + Send>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), Error>> {
        self.inner.poll_ready(context).map_err(failed)
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        let AgentLayer { agent, limits } = self.layer.clone();
        // The service that was asked whether it is ready is the one that is called.
        let fresh = self.inner.clone();
        let mut carrier = Carrier {
            service: mem::replace(&mut self.inner, fresh),
            ready: true,
        };
        Box::pin(async move { agent.exchange(request, &mut carrier, limits).await })
    }
}

struct Carrier<S> {
    service: S,
    /// Whether the service was asked already.
    ready: bool,
}

impl<S, R> Carry for Carrier<S>
where
    S: Service<Request<Body>, Response = Response<R>> + Send,
    S::Error: Into<BoxError>,
    S::Future: Send,
    R: http_body::Body + Send + 'static,
    R::Error: Into<BoxError>,
{
    async fn carry(&mut self, request: Request<Body>) -> Result<Response<Body>, Error> {
        if !mem::take(&mut self.ready) {
            let ready = poll_fn(|context| self.service.poll_ready(context).map_err(failed));
            ready.await?;
        }
        let answer = self.service.call(request).await.map_err(failed)?;
        Ok(answer.map(Body::new))
    }
}

fn failed(error: impl Into<BoxError>) -> Error {
    super::body::told(error.into(), Error::Client)
}
