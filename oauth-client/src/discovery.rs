//! Discovers the authorization server of a tool (RFC 9728, RFC 8414, OpenID Connect Discovery).
//!
//! Each step returns a request and a value that reads the answer. Nothing is sent here.
//! [`Discovery`] is the complete way from a tool to its server, as a [`Flow`](crate::Flow).
//!
//! - A document is valid only for the identifier that it was requested for. Members of two
//!   documents are never mixed.
//! - After a 4xx other than 408, 421, 425 and 429, or a 2xx whose body does not start with `{`, the
//!   next well-known URL is asked. Any other answer that is not a document ends discovery as
//!   unavailable. A document of another issuer or resource ends it as refused.
//! - An `https` identifier with an empty path is the same with and without the final `/`. After
//!   discovery, the server's own spelling is used.
//! - Errors name each URL that was asked, and its answer.

use aims_oauth_wire::metadata::ResourceMetadata;
use aims_oauth_wire::names::Issuer;

use crate::Error;
pub use crate::step::Step;

mod places;
mod resource;
mod server;
mod tool;

pub use resource::{MAX_CHALLENGED, PendingResource, resource, resource_within};
pub use server::{PendingServer, server, server_at, server_for};
pub use tool::{Discovered, Discovery, DiscoveryFlow};

/// Returns the first authorization server of a resource that this client accepts, in the spelling
/// of `accepted`. The tool cannot make the agent send its credentials to other servers (RFC 9728
/// §7.6).
///
/// ```
/// use aims_oauth_client::discovery::choose;
/// use aims_oauth_wire::metadata::ResourceMetadata;
///
/// let metadata = ResourceMetadata::new("https://tools.example/mcp".parse()?)
///     .with_authorization_server("https://other.example".parse()?)
///     .with_authorization_server("https://as.example".parse()?);
/// let accepted = ["https://as.example".parse()?];
/// assert_eq!(choose(&metadata, &accepted)?.as_str(), "https://as.example");
/// # Ok::<(), aims_oauth_client::Error>(())
/// ```
///
/// # Errors
///
/// `discovery.no_server` if none of them is accepted.
pub fn choose(resource: &ResourceMetadata, accepted: &[Issuer]) -> Result<Issuer, Error> {
    let servers = resource.authorization_servers().iter();
    let mut known = servers.filter_map(|named| accepts(accepted, named));
    known.next().cloned().ok_or_else(|| Error::NoServer {
        tool: resource.resource().clone(),
        accepted: accepted.into(),
        named: resource.authorization_servers().into(),
    })
}

/// Returns the accepted issuer with this name. If both spellings are accepted, it returns the
/// identical one.
fn accepts<'a>(accepted: &'a [Issuer], named: &Issuer) -> Option<&'a Issuer> {
    let same = |it: &&Issuer| *it == named;
    let alike = |it: &&Issuer| it.equals_in_discovery(named);
    let exact = accepted.iter().find(same);
    exact.or_else(|| accepted.iter().find(alike))
}
