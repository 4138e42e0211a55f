//! Discovers the metadata of an authorization server (RFC 8414, OpenID Connect Discovery).

use aims_jose::time::UnixTime;
use aims_oauth_wire::metadata::attempt::{Follow, Outcome};
use aims_oauth_wire::metadata::{ResourceMetadata, ServerMetadata, well_known};
use aims_oauth_wire::names::{Endpoint, Issuer, Resource};
use http::{Request, Response};

use super::choose;
use super::places::Places;
use crate::{Error, Event, Flow, Sought, Step};

/// A pending request for the metadata of an authorization server.
#[derive(Debug)]
#[must_use = "the answer is to be given to `finish`"]
pub struct PendingServer {
    issuer: Issuer,
    /// The resource that the server must issue tokens for.
    resource: Option<Resource>,
    places: Places,
}

/// Returns the request for the metadata of an authorization server: by RFC 8414, then by OpenID
/// Connect Discovery.
///
/// # Errors
///
/// Those of `aims-oauth-wire` if no URL can be derived.
pub fn server(issuer: &Issuer) -> Result<(Request<Vec<u8>>, PendingServer), Error> {
    ask(issuer, None, well_known::server_candidates(issuer)?)
}

/// Returns the request that fetches the metadata again from the [URL](PendingServer::place) that
/// returned it before. The other well-known URLs are not asked while a server is known.
///
/// # Errors
///
/// Those of `aims-oauth-wire` if the URL is not an HTTP URL.
pub fn server_at(
    issuer: &Issuer,
    place: &Endpoint,
) -> Result<(Request<Vec<u8>>, PendingServer), Error> {
    ask(issuer, None, vec![place.clone()])
}

/// Returns the request for the metadata of the server that [`choose`] selects. If the server lists
/// its resources, this one must be in the list (RFC 9728 §4). Otherwise like [`server`].
///
/// # Errors
///
/// Those of [`choose`] and [`server`].
pub fn server_for(
    resource: &ResourceMetadata,
    accepted: &[Issuer],
) -> Result<(Request<Vec<u8>>, PendingServer), Error> {
    let issuer = choose(resource, accepted)?;
    let places = well_known::server_candidates(&issuer)?;
    ask(&issuer, Some(resource.resource()), places)
}

fn ask(
    issuer: &Issuer,
    resource: Option<&Resource>,
    places: Vec<Endpoint>,
) -> Result<(Request<Vec<u8>>, PendingServer), Error> {
    let (request, places) = Places::begin(places, Sought::Server(issuer.clone()))?;
    let pending = PendingServer {
        issuer: issuer.clone(),
        resource: resource.cloned(),
        places,
    };
    Ok((request, pending))
}

impl PendingServer {
    /// Returns the URL that is being asked.
    #[must_use]
    pub const fn place(&self) -> &Endpoint {
        self.places.asking()
    }

    /// Reads the answer. Returns the document, or the request to the next URL.
    ///
    /// # Errors
    ///
    /// - `discovery.not_found` after the last URL.
    /// - `discovery.not_served` if the server does not issue tokens for the resource.
    /// - `metadata.response` if the server cannot answer now.
    /// - `metadata.issuer` if the document is for another issuer.
    /// - Others of `aims-oauth-wire`.
    pub fn finish(
        mut self,
        answer: &Response<Vec<u8>>,
    ) -> Result<Step<ServerMetadata, Self>, Error> {
        match self.places.answered(answer) {
            Follow::AskNext => return self.next(),
            Follow::End => return Err(self.places.end(answer)),
            Follow::Read => {}
        }
        match ServerMetadata::parse(answer.body(), &self.issuer) {
            Err(error) => Err(self.places.refuse(error)),
            Ok(found) => match self.resource.as_ref().filter(|it| !found.serves(it)) {
                Some(resource) => {
                    let refused = Error::not_served(resource, &found);
                    Err(self.places.error(Outcome::Refused, refused))
                }
                None => Ok(Step::Done(found)),
            },
        }
    }

    fn next(mut self) -> Result<Step<ServerMetadata, Self>, Error> {
        let (request, places) = self.places.next()?;
        self.places = places;
        Ok(Step::Send(request, self))
    }
}

impl Flow for PendingServer {
    type Output = ServerMetadata;

    fn advance(
        mut self,
        event: Event<'_>,
        _now: UnixTime,
    ) -> Result<Step<ServerMetadata, Self>, Error> {
        match event {
            Event::Answer(answer) => self.finish(answer),
            Event::NoAnswer(error) => {
                if self.places.failed(error) == Follow::AskNext {
                    return self.next();
                }
                Err(self.places.unanswered(error))
            }
            Event::Signed(_) | Event::Waited => Err(Error::Interrupted),
        }
    }
}
