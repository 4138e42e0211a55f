//! An agent that signs, a tool that accepts signatures, and a network of function calls between
//! them.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]
#![allow(dead_code, reason = "each test file uses a part of it")]

use std::convert::Infallible;
use std::fmt;
use std::sync::{Arc, Mutex};

use aims::agent::{AgentBuilder, Error, RequestAuth, SignedResponses};
use aims::cred::{FixedSource, Identity, TrustStore};
use aims::fetch::{Fetch, FetchFuture};
use aims::guard::layer::RequestBody;
use aims::guard::{GuardBuilder, HttpSignatures, Trusting};
use aims::jose::secret::SecretText;
use aims::jose::time::{Clock, UnixTime};
use aims::{Agent, Guard, Principal};
use bytes::Bytes;
use http::header::HOST;
use http::request::Parts;
use http::{Request, Response};
use http_body_util::{BodyExt as _, Full};
use tower::{Layer as _, ServiceExt as _};

use crate::common::{self, NOW, World, at};

pub(crate) const AGENT: &str = "spiffe://example.org/agent";
pub(crate) const TOOL_ID: &str = "spiffe://example.org/tool";

#[derive(Debug)]
pub(crate) struct Then(pub(crate) u64);

impl Clock for Then {
    fn now(&self) -> UnixTime {
        at(self.0)
    }
}

pub(crate) struct Meeting {
    pub(crate) world: World,
    pub(crate) me: common::Agent,
    pub(crate) agent: Agent,
    pub(crate) guard: Guard,
}

impl Meeting {
    /// Creates a tool that accepts signatures in this way.
    pub(crate) fn taking(signatures: HttpSignatures) -> Self {
        Self::new(|builder, _| builder, signatures)
    }

    pub(crate) fn new(
        with: impl FnOnce(GuardBuilder<Trusting>, &World) -> GuardBuilder<Trusting>,
        signatures: HttpSignatures,
    ) -> Self {
        let world = World::new();
        let guard = world.guard().http_signatures(signatures).clock(Then(NOW));
        let guard = with(guard, &world).build().unwrap();
        let me = world.agent(AGENT);
        let agent = builder(&me).build().unwrap();
        Self {
            world,
            me,
            agent,
            guard,
        }
    }

    /// Creates a tool that signs responses with its own identity.
    pub(crate) fn answering() -> Self {
        Self::answering_with(|signatures| signatures)
    }

    pub(crate) fn answering_with(with: impl FnOnce(HttpSignatures) -> HttpSignatures) -> Self {
        let mut meeting = Self::taking(HttpSignatures::new());
        let tool = source(&meeting.world.agent(TOOL_ID));
        let signatures = with(HttpSignatures::new().answering_as(tool));
        let guard = meeting.world.guard().clock(Then(NOW));
        meeting.guard = guard.http_signatures(signatures).build().unwrap();
        meeting
    }

    pub(crate) fn agent_with(&self, with: impl FnOnce(AgentBuilder) -> AgentBuilder) -> Agent {
        with(builder(&self.me)).build().unwrap()
    }

    pub(crate) fn trust(&self) -> Arc<TrustStore> {
        Arc::clone(&self.world.trust)
    }

    /// The tool's signed responses, verified by its bundle.
    pub(crate) fn tools(&self) -> SignedResponses {
        SignedResponses::of(TOOL_ID.parse().unwrap(), self.trust())
    }

    /// Calls the tool, which returns the sender and the length of the content, and returns its
    /// answer.
    pub(crate) async fn call(
        &self,
        with: impl FnOnce(AgentBuilder) -> AgentBuilder,
        content: &[u8],
    ) -> Result<Vec<u8>, Error> {
        let net = Net::of(&self.guard);
        let agent = self.agent_with(|it| with(it).client(common::Calls(net)));
        let content = Full::<Bytes>::from(content.to_vec());
        let request = Request::post(common::CALL).body(content).unwrap();
        let answer = agent.send(request).await?.into_body();
        Ok(answer.bytes(1024 * 1024).await?.to_vec())
    }
}

fn builder(me: &common::Agent) -> AgentBuilder {
    let builder = Agent::builder(source(me));
    builder.clock(Then(NOW)).proof(RequestAuth::HttpSignature)
}

/// Returns the identity of an agent of the test environment.
pub(crate) fn source(of: &common::Agent) -> FixedSource {
    let wit = SecretText::new(of.wit.expose().to_owned());
    let signer = Arc::new(of.key.clone());
    FixedSource::new(Identity::new(wit, signer, of.key.public_jwk()).unwrap())
}

/// Returns what a server receives of a request.
pub(crate) fn received(request: Request<Vec<u8>>) -> (Parts, Vec<u8>) {
    let (mut head, content) = request.into_parts();
    let host = head.uri.authority().unwrap().as_str().parse().unwrap();
    head.headers.insert(HOST, host);
    head.uri = head.uri.path_and_query().unwrap().as_str().parse().unwrap();
    (head, content)
}

type Change = Box<dyn Fn(&mut Response<Vec<u8>>) + Send + Sync>;

/// Carries requests to a guarded service, and changes answers on their way.
#[derive(Clone)]
pub(crate) struct Net {
    guard: Guard,
    change: Arc<Change>,
    /// The number of calls of the service.
    pub(crate) calls: Arc<Mutex<usize>>,
}

impl Net {
    pub(crate) fn of(guard: &Guard) -> Self {
        Self::changing(guard, |_| {})
    }

    pub(crate) fn changing(
        guard: &Guard,
        change: impl Fn(&mut Response<Vec<u8>>) + Send + Sync + 'static,
    ) -> Self {
        Self {
            guard: guard.clone(),
            change: Arc::new(Box::new(change)),
            calls: Arc::default(),
        }
    }

    async fn carry(&self, request: Request<Vec<u8>>) -> Response<Vec<u8>> {
        let (head, content) = received(request);
        let calls = Arc::clone(&self.calls);
        let service = tower::service_fn(move |request| {
            *calls.lock().unwrap() += 1;
            tell(request)
        });
        let guarded = self.guard.layer().layer(service);
        let request = Request::from_parts(head, Full::<Bytes>::from(content));
        let answer = guarded.oneshot(request).await.unwrap();
        let (head, body) = answer.into_parts();
        let content = body.collect().await.unwrap().to_bytes().to_vec();
        let mut answer = Response::from_parts(head, content);
        (self.change)(&mut answer);
        answer
    }
}

/// Returns the sender and the length of the content.
async fn tell(
    request: Request<RequestBody<Full<Bytes>>>,
) -> Result<Response<Full<Bytes>>, Infallible> {
    let who = request.extensions().get::<Principal>().unwrap().clone();
    let content = request.into_body().collect().await;
    let told = match content {
        Ok(content) => format!("{} sent {}", who.subject(), content.to_bytes().len()),
        Err(error) => format!("the content broke off: {error}"),
    };
    Ok(Response::new(Full::from(told.into_bytes())))
}

impl Fetch for Net {
    fn send(&self, request: Request<Vec<u8>>) -> FetchFuture<'_> {
        Box::pin(async move { Ok(self.carry(request).await) })
    }
}

impl fmt::Debug for Net {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Net")
    }
}
