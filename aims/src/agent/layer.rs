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
    /// Returns a layer that does what [`send`](Self::send) does, around any tower HTTP client.
    ///
    /// It adds an access token if one is [configured](super::AgentBuilder::authorize), proves each
    /// request, tries once more with a new token after a refusal, and verifies signed responses.
    /// Both bodies stream.
    ///
    /// The inner client must send the request unchanged, and must return the response unchanged.
    /// Put redirects, decompression and anything else that changes a message above this layer. A
    /// client that rewrites URLs must refuse instead, as in the example, because the proof is about
    /// the URI of the request (RFC 9421 §7.4.3). Timeouts belong to the client.
    ///
    /// With a client of the crate `reqwest`:
    ///
    /// ```
    /// # fn example(agent: aims::Agent) -> Result<(), tower::BoxError> {
    /// use aims::agent::Body;
    /// use http::{Request, Response};
    /// use tower::{BoxError, ServiceBuilder, service_fn};
    ///
    /// // Or your own client that follows no redirects. Its timeout is for the whole answer.
    /// let client = aims::fetch::Fetcher::builder().timeout(std::time::Duration::from_secs(600));
    /// let client = client.http_client()?;
    /// let client = service_fn(move |request: Request<Body>| {
    ///     let client = client.clone();
    ///     async move {
    ///         let target = request.uri().to_string();
    ///         let request: reqwest::Request = request.map(reqwest::Body::wrap).try_into()?;
    ///         if request.url().as_str() != target {
    ///             return Err("the client would send another URL".into());
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
    /// [`aims_fetch::Fetcher`] and every other implementation of [`aims_fetch::Call`] need no
    /// layer: use [`send`](Self::send). For a client that is not a tower service, use
    /// [`prepare`](Self::prepare).
    pub fn layer(&self) -> AgentLayer {
        AgentLayer {
            limits: self.0.limits,
            agent: self.clone(),
        }
    }
}

/// A tower layer that proves requests. Created by [`Agent::layer`].
#[derive(Clone, Debug)]
#[must_use = "a layer is put around a service"]
pub struct AgentLayer {
    agent: Agent,
    limits: Limits,
}

impl AgentLayer {
    /// Sets the maximum content of a request that the layer reads or copies, in bytes. Defaults to
    /// the [setting of the agent](super::AgentBuilder::max_content).
    pub const fn with_max_content(mut self, most: usize) -> Self {
        self.limits.content = most;
        self
    }

    /// Sets the maximum content of a signed answer, in bytes. Defaults to the [setting of the
    /// agent](super::AgentBuilder::max_answer). Answers that stream have no limit.
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

/// An HTTP client whose requests prove their sender. Created by [`AgentLayer`].
///
/// Its errors are those of [`Agent::send`]. An error of the inner client is the source of
/// `agent.client`, except errors of [`aims_fetch`], which are returned as they are.
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
        // Call the service whose `poll_ready` was called, not its clone.
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
    /// Whether `poll_ready` was called already.
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
    super::body::as_own_error(error.into(), Error::Client)
}
