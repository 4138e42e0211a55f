//! The agent's side: [`Agent`] makes HTTP requests that prove their sender.
//!
//! This module needs the feature `agent`.

mod access;
mod approve;
mod body;
mod builder;
mod error;
#[cfg(feature = "tower")]
#[cfg_attr(docsrs, doc(cfg(feature = "tower")))]
pub mod layer;
mod method;
mod onward;
mod prove;
mod send;
mod sign;
mod tool;

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use access::Authorization;
pub use aims_fetch::{Body, BoxError, Call, CallFuture};
use aims_jose::random::SecureRandom;
use aims_jose::time::Clock;
use aims_oauth_wire::transaction::CarriedTransaction;
use aims_wimse_cred::IdentitySource;
use aims_wimse_wpt::Revision;
pub use body::Answer;
pub use builder::AgentBuilder;
pub use error::Error;
use http::header::HeaderName;
pub use method::RequestAuth;
use onward::Domain;
pub use prove::Content;
pub use sign::{PendingResponse, SignedResponses};
pub use tool::Tools;

use crate::trace::CurrentTrace;

/// Makes HTTP requests that prove their sender.
///
/// It adds an identity and a fresh proof, which is bound to the target and to the tokens of the
/// request. If the tool requires an access token, it adds one.
///
/// Give this handle to the tool-calling loop of an agent; never give it a credential. Clones share
/// everything.
///
/// - [`send`](Self::send) adds the token and the proof and sends the request. Both bodies stream.
/// - [`layer`](Self::layer) does the same around any tower HTTP client.
/// - [`prepare`](Self::prepare) adds the token and the proof for any other client.
/// - [`prove`](Self::prove) and [`sign`](Self::sign) add the proof alone.
/// - [`within`](Self::within) makes each of these send a transaction token, too.
///
/// ```
/// use aims::Agent;
/// use aims::cred::IdentitySource;
///
/// async fn call(source: impl IdentitySource + 'static) -> Result<(), Box<dyn std::error::Error>> {
///     let agent = Agent::builder(source)
///         .tool("https://tools.example/mcp", ["https://as.example"], "tools:call")?
///         .build()
///         .await?;
///     let request = http::Request::post("https://tools.example/mcp").body("{}".to_owned())?;
///     let answer = agent.send(request).await?;
///     println!("{}", answer.status());
///     Ok(())
/// }
/// ```
#[derive(Clone, Debug)]
pub struct Agent(Arc<Inner>, Option<CarriedTransaction>);

struct Inner {
    source: Arc<dyn IdentitySource>,
    lifetime: Duration,
    method: RequestAuth,
    revision: Revision,
    responses: Option<SignedResponses>,
    signed_fields: Vec<HeaderName>,
    domain: Option<Domain>,
    tokens: Vec<Authorization>,
    approvals: approve::Approvals,
    call: Arc<dyn Call>,
    trace: Option<Arc<dyn CurrentTrace>>,
    clock: Arc<dyn Clock>,
    random: &'static dyn SecureRandom,
    limits: Limits,
}

/// The maximum contents that the agent reads or copies, in bytes.
#[derive(Clone, Copy, Debug)]
struct Limits {
    /// The limit for requests.
    content: usize,
    /// The limit for signed answers.
    answer: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            content: 1024 * 1024,
            answer: 1024 * 1024,
        }
    }
}

impl fmt::Debug for Inner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Agent")
            .field("source", &self.source)
            .field("tokens", &self.tokens)
            .field("method", &self.method)
            .finish_non_exhaustive()
    }
}
