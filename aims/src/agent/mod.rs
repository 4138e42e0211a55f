//! The agent's side: a request proves who sends it.

mod body;
mod builder;
mod error;
#[cfg(feature = "tower")]
#[cfg_attr(docsrs, doc(cfg(feature = "tower")))]
pub mod layer;
mod method;
mod prove;
mod send;
mod sign;
mod tool;

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

pub use aims_fetch::{Body, BoxError, Call, CallFuture};
use aims_jose::random::SecureRandom;
use aims_jose::time::Clock;
use aims_oauth_client::{Token, TokenSource};
use aims_oauth_wire::names::{Resource, ScopeSet};
use aims_wimse_cred::IdentitySource;
use aims_wimse_wpt::Revision;
pub use body::Answer;
pub use builder::AgentBuilder;
pub use error::Error;
use http::header::HeaderName;
pub use method::RequestAuth;
pub use prove::Content;
pub use sign::{PendingResponse, SignedResponses};
pub use tool::Tools;

use crate::trace::CurrentTrace;

/// Makes HTTP requests prove who sends them: an identity and a fresh proof, bound to the target and
/// to the tokens that go with it; and an access token where the tool requires one.
///
/// What an agent's tool-calling loop is given is this handle, never a credential. Clones share
/// everything.
///
/// - [`send`](Self::send) does all of it, and streams both bodies.
/// - [`layer`](Self::layer) does the same around any tower HTTP client.
/// - [`prepare`](Self::prepare) makes a request ready for any other client.
/// - [`prove`](Self::prove) and [`sign`](Self::sign) are its parts, without an access token.
#[derive(Clone, Debug)]
pub struct Agent(Arc<Inner>);

struct Inner {
    source: Arc<dyn IdentitySource>,
    lifetime: Duration,
    method: RequestAuth,
    revision: Revision,
    responses: Option<SignedResponses>,
    signed_fields: Vec<HeaderName>,
    tokens: Vec<Authorization>,
    call: Arc<dyn Call>,
    trace: Option<Arc<dyn CurrentTrace>>,
    clock: Arc<dyn Clock>,
    random: &'static dyn SecureRandom,
    limits: Limits,
}

/// Which tool gets tokens of which source.
#[derive(Debug)]
struct Authorization {
    resource: Resource,
    scopes: ScopeSet,
    source: TokenSource,
}

impl Authorization {
    async fn token(&self) -> Result<Arc<Token>, Error> {
        Ok(self.source.token_for(&self.resource, &self.scopes).await?)
    }
}

/// How much of a content is read or kept, in bytes.
#[derive(Clone, Copy, Debug)]
struct Limits {
    /// Of a request.
    content: usize,
    /// Of a signed answer.
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
