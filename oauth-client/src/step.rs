//! Protocol exchanges without I/O: a flow returns what to send or wait for, and the caller does it.

use std::fmt::{self, Debug};
use std::time::Duration;

use aims_jose::time::UnixTime;
use aims_oauth_wire::client_auth::UnsignedRequest;
use aims_oauth_wire::token::TokenRequest;
use http::{Request, Response};

use crate::Error;

/// The next step of a flow.
///
/// Discovery, token requests and polling all return it. [`drive`] executes the steps. A loop of ten
/// lines can do so with another HTTP client or runtime. `Debug` hides the content of the request.
#[must_use = "a step is to be carried out"]
#[expect(clippy::exhaustive_enums, reason = "a caller handles every case")]
pub enum Step<T, P> {
    /// The flow has finished with this result.
    Done(T),
    /// Send this request, and pass the answer to the flow.
    Send(Request<Vec<u8>>, P),
    /// Sign this token request, and pass the result to the flow. The client's key is in a device or
    /// behind a network.
    Sign(UnsignedRequest, P),
    /// Wait for this time, and notify the flow.
    Wait(Duration, P),
}

impl<T, P> Step<T, P> {
    /// Converts the result and the flow of the step, for a flow that contains another one.
    pub fn map<U, Q>(self, done: impl FnOnce(T) -> U, pending: impl FnOnce(P) -> Q) -> Step<U, Q> {
        match self {
            Self::Done(result) => Step::Done(done(result)),
            Self::Send(request, flow) => Step::Send(request, pending(flow)),
            Self::Sign(request, flow) => Step::Sign(request, pending(flow)),
            Self::Wait(time, flow) => Step::Wait(time, pending(flow)),
        }
    }
}

impl<T: Debug, P: Debug> Debug for Step<T, P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Done(result) => f.debug_tuple("Done").field(result).finish(),
            Self::Send(request, flow) => f
                .debug_struct("Send")
                .field("method", request.method())
                .field("uri", request.uri())
                .field("flow", flow)
                .finish_non_exhaustive(),
            Self::Sign(request, flow) => f.debug_tuple("Sign").field(request).field(flow).finish(),
            Self::Wait(time, flow) => f.debug_tuple("Wait").field(time).field(flow).finish(),
        }
    }
}

/// The result of a [`Step`]. `Debug` shows of an answer its status alone.
#[expect(clippy::exhaustive_enums, reason = "a flow handles every case")]
pub enum Event<'a> {
    /// The answer to the request of [`Step::Send`].
    Answer(&'a Response<Vec<u8>>),
    /// The error of the request of [`Step::Send`].
    NoAnswer(&'a aims_fetch::Error),
    /// The signed request of [`Step::Sign`], or the error of signing.
    Signed(Result<TokenRequest, aims_oauth_wire::Error>),
    /// The time of [`Step::Wait`] is over.
    Waited,
}

impl Debug for Event<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Answer(answer) => f.debug_tuple("Answer").field(&answer.status()).finish(),
            Self::NoAnswer(error) => f.debug_tuple("NoAnswer").field(error).finish(),
            Self::Signed(request) => f.debug_tuple("Signed").field(request).finish(),
            Self::Waited => f.write_str("Waited"),
        }
    }
}

/// A protocol exchange of one or more round trips, without I/O and without a clock.
///
/// ```
/// use aims_jose::time::UnixTime;
/// use aims_oauth_client::{Error, Event, Flow, Step};
///
/// /// Asks every ten seconds until the answer is a 200.
/// #[derive(Debug)]
/// struct UntilReady(http::Uri);
///
/// impl UntilReady {
///     fn ask(self) -> Result<Step<Vec<u8>, Self>, Error> {
///         let mut request = http::Request::new(Vec::new());
///         *request.uri_mut() = self.0.clone();
///         Ok(Step::Send(request, self))
///     }
/// }
///
/// impl Flow for UntilReady {
///     type Output = Vec<u8>;
///
///     fn advance(self, event: Event<'_>, _: UnixTime) -> Result<Step<Vec<u8>, Self>, Error> {
///         match event {
///             Event::Answer(answer) if answer.status() == 200 => {
///                 Ok(Step::Done(answer.body().clone()))
///             }
///             Event::Answer(_) => Ok(Step::Wait(std::time::Duration::from_secs(10), self)),
///             Event::NoAnswer(error) => Err(Error::Transport(error.clone())),
///             Event::Waited => self.ask(),
///             Event::Signed(_) => Err(Error::Interrupted),
///         }
///     }
/// }
/// ```
pub trait Flow: Sized {
    /// The result of the flow.
    type Output;

    /// Takes the result of the last step, and returns the next step.
    ///
    /// # Errors
    ///
    /// The errors of the flow, and `grant.interrupted` for an event that does not fit the last
    /// step.
    fn advance(self, event: Event<'_>, now: UnixTime) -> Result<Step<Self::Output, Self>, Error>;
}

/// Executes the steps of a flow until it has its result. Needs a tokio runtime with time, and the
/// feature `tokio`.
///
/// It has no timeout of its own: the client limits each request, the flow decides how often it
/// asks, and the caller limits the total time. Dropping the future ends the flow.
///
/// ```
/// use aims_fetch::Fetch;
/// use aims_jose::time::SystemClock;
/// use aims_oauth_client::discovery::{Discovered, Discovery};
/// use aims_oauth_client::{Error, drive};
///
/// async fn discover(http: &dyn Fetch) -> Result<Discovered, Error> {
///     let tool = "https://tools.example/mcp".parse()?;
///     let discovery = Discovery::new(tool, ["https://as.example".parse()?]);
///     drive(discovery.begin()?, http, &SystemClock::new()).await
/// }
/// ```
///
/// # Errors
///
/// The errors of the flow.
#[cfg(feature = "tokio")]
#[cfg_attr(docsrs, doc(cfg(feature = "tokio")))]
pub async fn drive<F: Flow>(
    first: Step<F::Output, F>,
    http: &dyn aims_fetch::Fetch,
    clock: &dyn aims_jose::time::Clock,
) -> Result<F::Output, Error> {
    let mut step = first;
    loop {
        step = match step {
            Step::Done(result) => return Ok(result),
            Step::Send(request, flow) => match http.send(request).await {
                Ok(answer) => flow.advance(Event::Answer(&answer), clock.now())?,
                Err(error) => flow.advance(Event::NoAnswer(&error), clock.now())?,
            },
            Step::Sign(request, flow) => {
                let signed = request.sign().await;
                flow.advance(Event::Signed(signed), clock.now())?
            }
            Step::Wait(time, flow) => {
                tokio::time::sleep(time).await;
                flow.advance(Event::Waited, clock.now())?
            }
        };
    }
}
