//! Discovers the metadata of a protected resource (RFC 9728).

use aims_jose::time::UnixTime;
use aims_oauth_wire::metadata::attempt::Follow;
use aims_oauth_wire::metadata::{MetadataSigner, ResourceMetadata, well_known};
use aims_oauth_wire::names::{Endpoint, Resource};
use http::{Request, Response};

use super::places::Places;
use crate::{Error, Event, Flow, Sought, Step};

/// The maximum number of URLs of a challenge that are asked.
pub const MAX_CHALLENGED: usize = 2;

/// The resources that the document may name.
#[derive(Clone, Copy, Debug)]
pub(super) enum Names {
    Exactly,
    Within,
}

/// A pending request for the metadata of a resource.
#[derive(Debug)]
#[must_use = "the answer is to be given to `finish`"]
pub struct PendingResource {
    requested: Resource,
    names: Names,
    /// The party that must have signed the document.
    signer: Option<MetadataSigner>,
    places: Places,
    /// Whether the URLs came with a challenge. If so, each is asked, whatever the one before
    /// answered.
    challenged: bool,
}

/// Returns the request for the metadata of a resource: at the URLs of its challenge if there are
/// any, otherwise at the URL that is derived from its identifier.
///
/// The document must name exactly this resource, including a final `/` (RFC 9728 §3.3); only the
/// `/` of an empty path is ignored. Of the URLs of a challenge, [two](MAX_CHALLENGED) are asked.
///
/// # Errors
///
/// Those of `aims-oauth-wire` if no URL can be derived.
pub fn resource(
    requested: &Resource,
    challenged: impl IntoIterator<Item = Endpoint>,
) -> Result<(Request<Vec<u8>>, PendingResource), Error> {
    let own = || Ok(vec![well_known::resource(requested)?]);
    ask(requested, challenged, own, Names::Exactly)
}

/// Returns the request for the metadata of a resource whose document may name a broader resource
/// than RFC 9728 §3.3 permits, as many MCP servers do. Otherwise like [`resource`](fn@resource).
///
/// The document may name a resource on the same origin that contains this one, and may be at the
/// URL of its host. The token is then valid for everything beneath the resource in the document.
///
/// # Errors
///
/// Those of `aims-oauth-wire` if no URL can be derived.
pub fn resource_within(
    requested: &Resource,
    challenged: impl IntoIterator<Item = Endpoint>,
) -> Result<(Request<Vec<u8>>, PendingResource), Error> {
    let own = || Ok(well_known::resource_candidates(requested)?);
    ask(requested, challenged, own, Names::Within)
}

fn ask(
    requested: &Resource,
    challenged: impl IntoIterator<Item = Endpoint>,
    own: impl FnOnce() -> Result<Vec<Endpoint>, Error>,
    names: Names,
) -> Result<(Request<Vec<u8>>, PendingResource), Error> {
    let mut all: Vec<_> = challenged.into_iter().collect();
    all.dedup();
    all.truncate(MAX_CHALLENGED);
    let is_challenged = !all.is_empty();
    let all = if is_challenged { all } else { own()? };
    let (request, places) = Places::begin(all, Sought::Tool(requested.clone()))?;
    let pending = PendingResource {
        requested: requested.clone(),
        names,
        signer: None,
        places,
        challenged: is_challenged,
    };
    Ok((request, pending))
}

impl PendingResource {
    /// Requires a document that this party has signed.
    pub(super) fn signed_by(mut self, signer: Option<MetadataSigner>) -> Self {
        self.signer = signer;
        self
    }

    /// Returns the URL that is being asked.
    #[must_use]
    pub const fn place(&self) -> &Endpoint {
        self.places.asking()
    }

    /// Reads the answer. Returns the document, or the request to the next URL.
    ///
    /// The document must be for the requested resource; after [`resource_within`], it may be for
    /// one that contains it.
    ///
    /// # Errors
    ///
    /// - `discovery.not_found` after the last URL.
    /// - `metadata.response` if the tool cannot answer now.
    /// - `metadata.resource` if the document is for another resource.
    /// - Others of `aims-oauth-wire`.
    pub fn finish(self, answer: &Response<Vec<u8>>) -> Result<Step<ResourceMetadata, Self>, Error> {
        // The time counts for signed documents alone, which `advance` reads.
        self.answered(answer, UnixTime::now())
    }

    fn answered(
        mut self,
        answer: &Response<Vec<u8>>,
        now: UnixTime,
    ) -> Result<Step<ResourceMetadata, Self>, Error> {
        match self.places.answered(answer) {
            Follow::AskNext => self.next(),
            Follow::End if self.has_alternative() => self.next(),
            Follow::End => Err(self.places.end(answer)),
            Follow::Read => match self.read(answer.body(), now) {
                Ok(found) => Ok(Step::Done(found)),
                Err(_another) if self.has_alternative() => self.next(),
                Err(error) => Err(self.places.refuse(error)),
            },
        }
    }

    fn read(
        &self,
        document: &[u8],
        now: UnixTime,
    ) -> Result<ResourceMetadata, aims_oauth_wire::Error> {
        let tool = &self.requested;
        match (self.names, &self.signer) {
            (Names::Exactly, None) => ResourceMetadata::parse(document, tool),
            (Names::Within, None) => ResourceMetadata::parse_within(document, tool),
            (Names::Exactly, Some(signer)) => {
                ResourceMetadata::parse_signed(document, tool, signer, now)
            }
            (Names::Within, Some(signer)) => {
                ResourceMetadata::parse_signed_within(document, tool, signer, now)
            }
        }
    }

    fn has_alternative(&self) -> bool {
        self.challenged && self.places.has_more()
    }

    fn next(mut self) -> Result<Step<ResourceMetadata, Self>, Error> {
        let (request, places) = self.places.next()?;
        self.places = places;
        Ok(Step::Send(request, self))
    }
}

impl Flow for PendingResource {
    type Output = ResourceMetadata;

    fn advance(
        mut self,
        event: Event<'_>,
        now: UnixTime,
    ) -> Result<Step<ResourceMetadata, Self>, Error> {
        match event {
            Event::Answer(answer) => self.answered(answer, now),
            Event::NoAnswer(error) => {
                let follow = self.places.failed(error);
                if follow == Follow::AskNext || self.has_alternative() {
                    return self.next();
                }
                Err(self.places.unanswered(error))
            }
            Event::Signed(_) | Event::Waited => Err(Error::Interrupted),
        }
    }
}
