//! Finding the authorization server of a tool, step by step (RFC 9728, RFC 8414).
//!
//! Each step gives a request and what judges its answer; nothing is sent here. A document counts only for the identifier that it was asked for.

use http::{Request, Response};
use oauth_wire::metadata::{ResourceMetadata, ServerMetadata, document, well_known};
use oauth_wire::names::{Endpoint, Issuer, Resource};

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
    let issuer = issuer.clone();
    Ok((get(&first)?, PendingServer { issuer, left }))
}

impl PendingServer {
    /// Takes the answer. Only a 404 leads to the next place: any other refusal or a document that is wrong ends it (META-01).
    ///
    /// # Errors
    ///
    /// `discovery.not_found` after the last place; those of `oauth-wire`, `metadata.issuer` where the document is another issuer's.
    pub fn finish(
        mut self,
        answer: &Response<Vec<u8>>,
    ) -> Result<Step<ServerMetadata, Self>, Error> {
        if answer.status() == http::StatusCode::NOT_FOUND {
            let next = self.left.next().ok_or(Error::NotFound)?;
            return Ok(Step::Next(get(&next)?, self));
        }
        let found = ServerMetadata::parse(document(answer)?, &self.issuer)?;
        Ok(Step::Found(found))
    }
}

/// The metadata of a resource was asked for.
#[derive(Debug)]
#[must_use = "the answer is to be given to `finish`"]
pub struct PendingResource {
    requested: Resource,
    left: std::vec::IntoIter<Endpoint>,
}

/// Asks for the metadata of a resource: at the URL of its challenge, where it gave one, or else at the derived ones.
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
        None => well_known::resource_candidates(requested)?,
    };
    let mut left = places.into_iter();
    let first = left.next().ok_or(Error::NotFound)?;
    let requested = requested.clone();
    Ok((get(&first)?, PendingResource { requested, left }))
}

impl PendingResource {
    /// Takes the answer. The document must be of the resource that is asked for, or of one that it is within, on the same origin (PRM-03).
    ///
    /// # Errors
    ///
    /// `discovery.not_found` after the last place; those of `oauth-wire`, `metadata.resource` where the document is another resource's.
    pub fn finish(
        mut self,
        answer: &Response<Vec<u8>>,
    ) -> Result<Step<ResourceMetadata, Self>, Error> {
        if answer.status() == http::StatusCode::NOT_FOUND {
            let next = self.left.next().ok_or(Error::NotFound)?;
            return Ok(Step::Next(get(&next)?, self));
        }
        let found = ResourceMetadata::parse_within(document(answer)?, &self.requested)?;
        Ok(Step::Found(found))
    }
}

/// The first authorization server of a resource that this client accepts. A tool does not decide whom the agent shows its credentials to (PRM-06).
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
