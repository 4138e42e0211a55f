//! Discovers the authorization server of a tool, in all steps.

use aims_jose::time::UnixTime;
use aims_oauth_wire::Diagnostic;
use aims_oauth_wire::metadata::{MetadataSigner, ResourceMetadata, ServerMetadata};
use aims_oauth_wire::names::{Endpoint, Issuer, Resource};

use super::resource::Names;
use super::{PendingResource, PendingServer, resource, resource_within, server_at, server_for};
use crate::{Error, Event, Flow, Step};

/// Settings for the discovery of a tool's authorization server.
///
/// Discovery reads the metadata of the tool (RFC 9728), chooses the first of its servers that is in
/// `accepted`, and reads the metadata of that server (RFC 8414). The tool cannot make the client
/// send its credentials to other servers (RFC 9728 §7.6).
///
/// ```
/// use aims_oauth_client::discovery::{Discovery, Step};
///
/// let tool = "https://tools.example/mcp".parse()?;
/// let discovery = Discovery::new(tool, ["https://as.example".parse()?]).resource_within();
/// let Step::Send(request, _flow) = discovery.begin()? else { unreachable!() };
/// assert_eq!(request.uri().path(), "/.well-known/oauth-protected-resource/mcp");
/// # Ok::<(), aims_oauth_client::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct Discovery {
    tool: Resource,
    accepted: Vec<Issuer>,
    challenged: Vec<Endpoint>,
    names: Names,
    any_server: bool,
    signer: Option<MetadataSigner>,
}

impl Discovery {
    /// Creates the discovery for this tool, which accepts only these issuers.
    ///
    /// Two issuers that differ only in the `/` of an empty path count as one.
    #[must_use]
    pub fn new(tool: Resource, accepted: impl IntoIterator<Item = Issuer>) -> Self {
        Self {
            tool,
            accepted: accepted.into_iter().collect(),
            challenged: Vec::new(),
            names: Names::Exactly,
            any_server: false,
            signer: None,
        }
    }

    /// Accepts every authorization server that the tool names, and chooses the first of them if
    /// none is in the list.
    ///
    /// Use it only for clients that give a server nothing which is worth stealing: public clients
    /// whose user decides in a browser. The user sees the server that they log in to.
    #[must_use]
    pub const fn accept_any_server(mut self) -> Self {
        self.any_server = true;
        self
    }

    /// Accepts a document that names a broader resource on the same origin, for MCP servers whose
    /// document names their host. See [`resource_within`].
    ///
    /// Tokens are then requested for that resource, and are valid for everything beneath it.
    #[must_use]
    pub const fn resource_within(mut self) -> Self {
        self.names = Names::Within;
        self
    }

    /// Fetches the document of the tool from the URLs of its challenge (`resource_metadata`, RFC
    /// 9728 §5.1) instead of the derived one. At most [two](super::MAX_CHALLENGED) are asked.
    #[must_use]
    pub fn challenged(mut self, places: impl IntoIterator<Item = Endpoint>) -> Self {
        self.challenged = places.into_iter().collect();
        self
    }

    /// Requires a document of the tool that this party has signed (`signed_metadata`, RFC 9728
    /// §2.2). Only signed members are read. A document without a signature, or of another signer
    /// or key, is refused.
    ///
    /// Without this, `signed_metadata` is ignored, and the document is as good as the TLS
    /// connection to the tool.
    #[must_use]
    pub fn signed_by(mut self, signer: MetadataSigner) -> Self {
        self.signer = Some(signer);
        self
    }

    /// Returns the tool.
    #[must_use]
    pub const fn tool(&self) -> &Resource {
        &self.tool
    }

    /// Prepares the first request.
    ///
    /// # Errors
    ///
    /// Those of [`resource`](fn@resource).
    pub fn begin(&self) -> Result<Step<Discovered, DiscoveryFlow>, Error> {
        let places = self.challenged.clone();
        let (request, pending) = match self.names {
            Names::Exactly => resource(&self.tool, places)?,
            Names::Within => resource_within(&self.tool, places)?,
        };
        let pending = pending.signed_by(self.signer.clone());
        let accepted = self.accepted.clone();
        Ok(Step::Send(
            request,
            DiscoveryFlow(At::Tool(pending, accepted, self.any_server)),
        ))
    }
}

/// A running [`Discovery`].
#[derive(Debug)]
#[must_use = "a flow is advanced by `drive`"]
pub struct DiscoveryFlow(At);

#[derive(Debug)]
enum At {
    Tool(PendingResource, Vec<Issuer>, bool),
    Server(Box<ResourceMetadata>, PendingServer),
}

/// The result of discovery for a tool.
#[derive(Clone, Debug)]
pub struct Discovered {
    resource: ResourceMetadata,
    server: ServerMetadata,
    place: Endpoint,
}

impl Discovered {
    /// Returns the metadata of the tool. Request tokens for the resource that it names.
    #[must_use]
    pub const fn resource(&self) -> &ResourceMetadata {
        &self.resource
    }

    /// Returns the metadata of the authorization server.
    #[must_use]
    pub const fn server(&self) -> &ServerMetadata {
        &self.server
    }

    /// Iterates over what was ignored or tolerated in both documents.
    pub fn diagnostics(&self) -> impl Iterator<Item = &Diagnostic> {
        let resource = self.resource.diagnostics().iter();
        resource.chain(self.server.diagnostics())
    }

    /// Returns the URL of the server's document.
    #[must_use]
    pub const fn server_place(&self) -> &Endpoint {
        &self.place
    }

    /// Converts the result into the metadata of the authorization server.
    #[must_use]
    pub fn into_server(self) -> ServerMetadata {
        self.server
    }

    /// Returns the step that fetches the server's document again, only from the URL that returned
    /// it before.
    ///
    /// # Errors
    ///
    /// Those of [`server_at`].
    pub fn refresh(&self) -> Result<Step<ServerMetadata, PendingServer>, Error> {
        let (request, pending) = server_at(self.server.issuer(), &self.place)?;
        Ok(Step::Send(request, pending))
    }
}

impl Flow for DiscoveryFlow {
    type Output = Discovered;

    fn advance(self, event: Event<'_>, now: UnixTime) -> Result<Step<Discovered, Self>, Error> {
        match self.0 {
            At::Tool(pending, mut accepted, any_server) => match pending.advance(event, now)? {
                Step::Done(found) => {
                    if any_server {
                        accepted.extend_from_slice(found.authorization_servers());
                    }
                    let (request, pending) = server_for(&found, &accepted)?;
                    let at = At::Server(Box::new(found), pending);
                    Ok(Step::Send(request, Self(at)))
                }
                Step::Send(request, pending) => Ok(Step::Send(
                    request,
                    Self(At::Tool(pending, accepted, any_server)),
                )),
                Step::Wait(time, pending) => Ok(Step::Wait(
                    time,
                    Self(At::Tool(pending, accepted, any_server)),
                )),
                // Discovery never signs.
                Step::Sign(..) => Err(Error::Interrupted),
            },
            At::Server(resource, pending) => {
                let place = pending.place().clone();
                let next = pending.advance(event, now)?;
                let found = |server| Discovered {
                    resource: (*resource).clone(),
                    server,
                    place,
                };
                Ok(next.map(found, |pending| Self(At::Server(resource.clone(), pending))))
            }
        }
    }
}
