//! Finding the authorization server of a tool (RFC 9728, RFC 8414, OpenID Connect Discovery).
//!
//! Each step returns a request and what judges its answer; nothing is sent here. [`Discovery`] is
//! the whole way from a tool to its server, as a [`Flow`](crate::Flow).
//!
//! - A document counts only for the identifier that it was asked for, and members of two documents
//!   are never mixed.
//! - A 4xx other than 408, 421, 425 and 429, or a 2xx whose body does not begin with `{`, leads to
//!   the next well-known place. Any other answer that is no document ends the attempt as
//!   unavailable, and a document of another issuer or resource ends it as refused.
//! - An https identifier with an empty path is the same with and without the final `/`. From then
//!   on the server's own spelling counts.
//! - Errors name each place that was asked, and what it answered.

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

/// The first authorization server of a resource that this client accepts, spelled as the client
/// does. A tool does not decide whom the agent shows its credentials to (RFC 9728 §7.6).
///
/// # Errors
///
/// `discovery.no_server`
pub fn choose(resource: &ResourceMetadata, accepted: &[Issuer]) -> Result<Issuer, Error> {
    let servers = resource.authorization_servers().iter();
    let mut known = servers.filter_map(|named| accepts(accepted, named));
    known.next().cloned().ok_or_else(|| Error::NoServer {
        tool: resource.resource().clone(),
        accepted: accepted.into(),
        named: resource.authorization_servers().into(),
    })
}

/// The issuer of the list that is the named one. Where the list has both spellings, it is the one
/// that is spelled alike.
fn accepts<'a>(accepted: &'a [Issuer], named: &Issuer) -> Option<&'a Issuer> {
    let same = |it: &&Issuer| *it == named;
    let alike = |it: &&Issuer| it.equals_in_discovery(named);
    let exact = accepted.iter().find(same);
    exact.or_else(|| accepted.iter().find(alike))
}
