//! The explanation of the way that a connector would take.

use std::fmt;

use aims_oauth_wire::challenge::Challenges;
use aims_oauth_wire::metadata::EndpointKind;
use aims_oauth_wire::names::{Endpoint, Issuer, Resource, ScopeSet};

use super::binding::Binding;
use super::find::Found;
use super::{Settings, Way, requested};
use crate::Identity;

/// The way that a [`Connector`](super::Connector) would take to a tool. `Display` shows it to a
/// person.
#[derive(Clone, Debug)]
pub struct Explanation {
    resource: Resource,
    issuer: Issuer,
    place: Option<Endpoint>,
    identity: &'static str,
    way: Option<Way>,
    closed: Vec<(Way, &'static str)>,
    scopes: Result<ScopeSet, Box<str>>,
    binding: Binding,
    is_pushed: bool,
}

impl Explanation {
    pub(super) fn of(
        settings: &Settings,
        found: &Found,
        challenges: &Challenges,
        binding: Binding,
    ) -> Self {
        let (way, closed) = Way::choose(settings, found);
        let identity = match settings.identities.at(&found.server) {
            Ok(Identity::Registered(_)) => "the identity that is registered there",
            Ok(Identity::MetadataDocument(_)) => "the URL of the client's metadata document",
            Ok(Identity::Register(_)) => "a new registration",
            Err(_) => "none: the client is unknown there, and cannot register",
        };
        let scopes = requested::scopes(settings, found, challenges, way);
        let push = EndpointKind::PushedAuthorizationRequest;
        Self {
            resource: found.resource.clone(),
            issuer: found.server.issuer().clone(),
            place: found.place.clone(),
            identity,
            way,
            closed,
            scopes: scopes.map_err(|error| error.to_string().into()),
            binding,
            is_pushed: way == Some(Way::User) && found.server.endpoint(push).is_some(),
        }
    }

    /// Returns the resource that tokens would be requested for.
    #[must_use]
    pub const fn resource(&self) -> &Resource {
        &self.resource
    }

    /// Returns the authorization server.
    #[must_use]
    pub const fn issuer(&self) -> &Issuer {
        &self.issuer
    }

    /// Returns the way, or `None` if there is none.
    #[must_use]
    pub const fn way(&self) -> Option<Way> {
        self.way
    }

    /// Returns whether the tokens would be bound to a key by DPoP.
    #[must_use]
    pub const fn is_bound(&self) -> bool {
        self.binding.is_bound()
    }

    /// Returns the scopes that would be requested. If it is empty, the server chooses.
    #[must_use]
    pub fn scopes(&self) -> Option<&ScopeSet> {
        self.scopes.as_ref().ok()
    }
}

impl fmt::Display for Explanation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "resource  {}", self.resource.as_str())?;
        writeln!(f, "server    {}", self.issuer.as_str())?;
        match &self.place {
            Some(place) => writeln!(f, "document  {}", place.as_str())?,
            None => writeln!(f, "document  none: the origin of the tool is its server")?,
        }
        writeln!(f, "identity  {}", self.identity)?;
        match self.way {
            Some(way) => writeln!(f, "grant     {way}")?,
            None => writeln!(f, "grant     none is possible")?,
        }
        for (way, reason) in &self.closed {
            writeln!(f, "  not     {way}: {reason}")?;
        }
        match &self.scopes {
            Ok(scopes) if scopes.is_empty() => writeln!(f, "scopes    the server chooses")?,
            Ok(scopes) => writeln!(f, "scopes    {scopes}")?,
            Err(refused) => writeln!(f, "scopes    {refused}")?,
        }
        writeln!(f, "token     {}", self.binding)?;
        if self.is_pushed {
            writeln!(f, "request   pushed")?;
        }
        Ok(())
    }
}
