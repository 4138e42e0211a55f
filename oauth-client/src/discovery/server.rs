//! The metadata of an authorization server (RFC 8414, OpenID Connect Discovery).

use aims_jose::time::UnixTime;
use aims_oauth_wire::metadata::attempt::{Follow, Outcome};
use aims_oauth_wire::metadata::{ResourceMetadata, ServerMetadata, well_known};
use aims_oauth_wire::names::{Endpoint, Issuer, Resource};
use http::{Request, Response};

use super::choose;
use super::places::Places;
use crate::{Error, Event, Flow, Sought, Step};

/// The metadata of an authorization server was asked for.
#[derive(Debug)]
#[must_use = "the answer is to be given to `finish`"]
pub struct PendingServer {
    issuer: Issuer,
    /// What the server is to serve.
    resource: Option<Resource>,
    places: Places,
}

/// Asks for the metadata of an authorization server: by RFC 8414, then by OpenID Connect Discovery.
///
/// # Errors
///
/// Those of `oauth-wire`, where no URL can be derived.
pub fn server(issuer: &Issuer) -> Result<(Request<Vec<u8>>, PendingServer), Error> {
    ask(issuer, None, well_known::server_candidates(issuer)?)
}

/// Asks for the metadata again, at the [place](PendingServer::place) that had them before and at no
/// other: while a server is known, its other places do not count.
///
/// # Errors
///
/// Those of `oauth-wire`, where the place is no URL of HTTP.
pub fn server_at(
    issuer: &Issuer,
    place: &Endpoint,
) -> Result<(Request<Vec<u8>>, PendingServer), Error> {
    ask(issuer, None, vec![place.clone()])
}

/// As [`server`], for the one that [`choose`] gives; and it must be a server for this resource,
/// where it says which ones it serves (RFC 9728 §4).
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
    /// The place that is being asked.
    #[must_use]
    pub const fn place(&self) -> &Endpoint {
        self.places.asking()
    }

    /// Takes the answer: the document, or the request to the next place.
    ///
    /// # Errors
    ///
    /// `discovery.not_found` after the last place; `discovery.not_served` where it was asked for a
    /// resource that the server does not serve; those of `oauth-wire`, such as `metadata.response`
    /// where the server cannot tell now, and `metadata.issuer` where the document is another
    /// issuer's.
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
