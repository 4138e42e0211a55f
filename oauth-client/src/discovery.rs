//! Finding the authorization server of a tool, step by step (RFC 9728, RFC 8414).
//!
//! Each step gives a request and what judges its answer; nothing is sent here. A document counts
//! only for the identifier that it was asked for.

use aims_oauth_wire::metadata::{ResourceMetadata, ServerMetadata, document, well_known};
use aims_oauth_wire::names::{Endpoint, Issuer, Resource};
use http::{Request, Response};

use crate::Error;

/// What an answer led to.
#[derive(Debug)]
#[expect(clippy::large_enum_variant, reason = "a step is taken apart at once")]
#[expect(
    clippy::exhaustive_enums,
    reason = "a step is done, or there is one more"
)]
pub enum Step<T, P> {
    /// The document.
    Found(T),
    /// It was not there: the next place to ask.
    Next(Request<Vec<u8>>, P),
}

/// The metadata of an authorization server was asked for.
#[derive(Debug)]
#[must_use = "the answer is to be given to `finish`"]
pub struct PendingServer {
    issuer: Issuer,
    /// What the server is to serve.
    resource: Option<Resource>,
    left: std::vec::IntoIter<Endpoint>,
}

/// Asks for the metadata of an authorization server: by RFC 8414, then by OpenID Connect Discovery.
///
/// # Errors
///
/// Those of `oauth-wire`, where no URL can be derived.
pub fn server(issuer: &Issuer) -> Result<(Request<Vec<u8>>, PendingServer), Error> {
    let mut left = well_known::server_candidates(issuer)?.into_iter();
    let first = left.next().ok_or(Error::NotFound)?;
    let pending = PendingServer {
        issuer: issuer.clone(),
        resource: None,
        left,
    };
    Ok((get(&first)?, pending))
}

/// As [`server`], for the one that [`choose`] gives; and it must be a server for this resource,
/// where it says which ones it serves (RFC 9728 §4, PRM-06).
///
/// # Errors
///
/// Those of [`choose`] and [`server`].
pub fn server_for(
    resource: &ResourceMetadata,
    accepted: &[Issuer],
) -> Result<(Request<Vec<u8>>, PendingServer), Error> {
    let (request, pending) = server(&choose(resource, accepted)?)?;
    let resource = Some(resource.resource().clone());
    Ok((
        request,
        PendingServer {
            resource,
            ..pending
        },
    ))
}

impl PendingServer {
    /// Takes the answer. Only a 404 leads to the next place: any other refusal or a document that
    /// is wrong ends it (META-01).
    ///
    /// # Errors
    ///
    /// `discovery.not_found` after the last place; `discovery.not_served` where it was asked for a
    /// resource that the server does not serve; those of `oauth-wire`, `metadata.issuer` where the
    /// document is another issuer's.
    pub fn finish(
        mut self,
        answer: &Response<Vec<u8>>,
    ) -> Result<Step<ServerMetadata, Self>, Error> {
        if answer.status() == http::StatusCode::NOT_FOUND {
            let next = self.left.next().ok_or(Error::NotFound)?;
            return Ok(Step::Next(get(&next)?, self));
        }
        let found = ServerMetadata::parse(document(answer)?, &self.issuer)?;
        if self.resource.is_some_and(|it| !found.serves(&it)) {
            return Err(Error::NotServed);
        }
        Ok(Step::Found(found))
    }
}

/// The metadata of a resource was asked for.
#[derive(Debug)]
#[must_use = "the answer is to be given to `finish`"]
pub struct PendingResource {
    requested: Resource,
    read: fn(&[u8], &Resource) -> Result<ResourceMetadata, aims_oauth_wire::Error>,
    left: std::vec::IntoIter<Endpoint>,
}

/// Asks for the metadata of a resource: at the URL of its challenge, where it gave one, or else at
/// the one that is derived from its identifier. The document must name this very resource, `/` at
/// the end and all (RFC 9728 §3.3, PRM-03).
///
/// # Errors
///
/// Those of `oauth-wire`, where no URL can be derived.
pub fn resource(
    requested: &Resource,
    challenged: Option<Endpoint>,
) -> Result<(Request<Vec<u8>>, PendingResource), Error> {
    let places = match challenged {
        Some(url) => vec![url],
        None => vec![well_known::resource(requested)?],
    };
    ask(places, requested, ResourceMetadata::parse)
}

/// As [`resource`](fn@resource), for tools that publish a broader name than RFC 9728 §3.3 permits,
/// as many MCP servers do: the document may name what the resource is within, on the same origin,
/// and may be at the place of its host. The token is then for all that is within what the document
/// names.
///
/// # Errors
///
/// Those of `oauth-wire`, where no URL can be derived.
pub fn resource_within(
    requested: &Resource,
    challenged: Option<Endpoint>,
) -> Result<(Request<Vec<u8>>, PendingResource), Error> {
    let places = match challenged {
        Some(url) => vec![url],
        None => well_known::resource_candidates(requested)?,
    };
    ask(places, requested, ResourceMetadata::parse_within)
}

fn ask(
    places: Vec<Endpoint>,
    requested: &Resource,
    read: fn(&[u8], &Resource) -> Result<ResourceMetadata, aims_oauth_wire::Error>,
) -> Result<(Request<Vec<u8>>, PendingResource), Error> {
    let mut left = places.into_iter();
    let first = left.next().ok_or(Error::NotFound)?;
    let pending = PendingResource {
        requested: requested.clone(),
        read,
        left,
    };
    Ok((get(&first)?, pending))
}

impl PendingResource {
    /// Takes the answer. The document must be of the resource that was asked for; after
    /// [`resource_within`], it may be of one that this is within (PRM-03).
    ///
    /// # Errors
    ///
    /// `discovery.not_found` after the last place; those of `oauth-wire`, `metadata.resource` where
    /// the document is another resource's.
    pub fn finish(
        mut self,
        answer: &Response<Vec<u8>>,
    ) -> Result<Step<ResourceMetadata, Self>, Error> {
        if answer.status() == http::StatusCode::NOT_FOUND {
            let next = self.left.next().ok_or(Error::NotFound)?;
            return Ok(Step::Next(get(&next)?, self));
        }
        let found = (self.read)(document(answer)?, &self.requested)?;
        Ok(Step::Found(found))
    }
}

/// The first authorization server of a resource that this client accepts. A tool does not decide
/// whom the agent shows its credentials to (PRM-06).
///
/// # Errors
///
/// `discovery.no_server`
pub fn choose(resource: &ResourceMetadata, accepted: &[Issuer]) -> Result<Issuer, Error> {
    let servers = resource.authorization_servers();
    let found = servers.iter().find(|issuer| accepted.contains(issuer));
    found.cloned().ok_or(Error::NoServer)
}

fn get(url: &Endpoint) -> Result<Request<Vec<u8>>, Error> {
    let mut request = Request::new(Vec::new());
    *request.uri_mut() = url.as_str().parse().or(Err(Error::NotFound))?;
    let json = http::HeaderValue::from_static("application/json");
    request.headers_mut().insert(http::header::ACCEPT, json);
    Ok(request)
}
