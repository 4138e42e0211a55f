//! Endpoints: path, methods, form of refusals, and handler.
//!
//! [`ENDPOINTS`] lists every endpoint of the authority. Dispatch, `Allow`, the axum router and the
//! metadata document all use that list.

mod table;

use core::cell::RefCell;
use core::net::IpAddr;

use aims_jose::time::UnixTime;
use http::{Method, Request, Response};

pub(crate) use self::table::{ENDPOINTS, backchannel_grant_types, grant_types, user_grant_types};
use crate::authority::Inner;
use crate::base::Base;
use crate::oauth::AuthorizationServer;
use crate::trail::Trail;
use crate::{Error, answer, oauth};

/// A request for a handler. Host, path, method, size and rate were checked.
pub(crate) struct Call<'a> {
    /// The endpoint that it is for.
    pub(crate) endpoint: &'a Endpoint,
    /// The request with its whole body.
    pub(crate) request: &'a Request<Vec<u8>>,
    /// The address that it came from.
    pub(crate) source: Option<IpAddr>,
    /// The time of the request.
    pub(crate) now: UnixTime,
    /// The facts that its log line names.
    pub(crate) trail: RefCell<Trail>,
}

impl Call<'_> {
    /// Logs a refusal that the handler itself answers.
    pub(crate) fn log(&self, error: &Error) {
        let trail = self.trail.borrow();
        trail.refused(self.request, self.source, error);
    }
}

/// Answers a request, or returns an error that the [`RefusalForm`] of the endpoint formats.
pub(crate) type Handler = fn(&Inner, &Call<'_>) -> Result<Response<Vec<u8>>, Error>;

/// One endpoint.
#[derive(Debug)]
pub(crate) struct Endpoint {
    /// The path.
    pub(crate) place: Place,
    /// The allowed methods.
    pub(crate) methods: Methods,
    /// The form of refusals.
    pub(crate) refusal: RefusalForm,
    /// The part of the authority that it belongs to.
    pub(crate) part: Part,
    /// The name of its member in the metadata document (RFC 8414 §2), if it has one.
    pub(crate) metadata: Option<&'static str>,
    /// Whether it accepts a bootstrap token in `Authorization`.
    ///
    /// A bootstrap token is the only credential here that an attacker can guess, so wrong tokens
    /// are counted. Wrong signatures are not counted, so that they cannot lock out another client
    /// at the same address.
    pub(crate) takes_bootstrap_token: bool,
    /// The function that answers its requests.
    pub(crate) handler: Handler,
}

impl Endpoint {
    /// Returns the path of requests to it.
    pub(crate) fn path(&self, base: &Base) -> String {
        match self.place {
            Place::Beneath(path) => format!("{}{path}", base.path()),
            Place::WellKnown(name) => format!("/.well-known/{name}{}", base.path()),
        }
    }

    /// Returns its URL at this base URL.
    pub(crate) fn url(&self, base: &Base) -> String {
        format!("{}{}", base.origin(), self.path(base))
    }

    /// Returns its member of the metadata document, with its URL. A well-known document has none,
    /// because clients find it without the metadata.
    pub(crate) fn metadata_member(&self, base: &Base) -> Option<(&'static str, String)> {
        match self.place {
            Place::Beneath(path) => self.metadata.map(|member| (member, base.join(path))),
            Place::WellKnown(_) => None,
        }
    }
}

/// A part of the authority that the operator may leave out.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Part {
    /// It is always there.
    Always,
    /// Introspection, for clients that serve a resource.
    Introspection,
    /// Revocation. Without users and introspection it would have no effect.
    Revocation,
    /// Users, by [`AuthenticateUser`](crate::AuthenticateUser).
    Users,
    /// Requests for the approval of users on their own devices (OpenID CIBA Core 1.0).
    Backchannel,
    /// Dynamic registration (RFC 7591).
    Registration,
}

impl Part {
    /// Returns whether this server has the part.
    pub(crate) fn is_served(self, server: &AuthorizationServer) -> bool {
        match self {
            Self::Always => true,
            Self::Introspection => server.registry.has_introspecting_clients(),
            Self::Revocation => {
                Self::Users.is_served(server) || Self::Introspection.is_served(server)
            }
            Self::Users => server.users.is_some(),
            Self::Backchannel => server.users.is_some() && server.backchannel.is_some(),
            Self::Registration => server.users.is_some() && server.registration.is_some(),
        }
    }
}

/// The location of an endpoint, relative to the base URL.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Place {
    /// This path beneath the base URL.
    Beneath(&'static str),
    /// `/.well-known/` and this name, inserted before the path of the base URL (RFC 8414 §3.1).
    WellKnown(&'static str),
}

/// The methods of an endpoint.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Methods {
    /// A document: `GET` and `HEAD`.
    Read,
    /// A page with effects: `GET` alone.
    Get,
    /// An operation: `POST`.
    Post,
}

impl Methods {
    /// Returns the value of `Allow` (RFC 9110 §10.2.1).
    pub(crate) const fn allow(self) -> &'static str {
        match self {
            Self::Read => "GET, HEAD",
            Self::Get => "GET",
            Self::Post => "POST",
        }
    }

    /// Returns whether a request may use this method.
    pub(crate) fn contain(self, method: &Method) -> bool {
        match self {
            Self::Read => method == Method::GET || method == Method::HEAD,
            Self::Get => method == Method::GET,
            Self::Post => method == Method::POST,
        }
    }
}

/// The form in which an endpoint refuses.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum RefusalForm {
    /// `application/problem+json` (RFC 9457 §3).
    Problem,
    /// `error` and `error_description` (RFC 6749 §5.2).
    Oauth,
    /// A page for the user.
    Page,
}

impl RefusalForm {
    /// Returns the refusal in this form.
    pub(crate) fn response(self, error: &Error) -> Response<Vec<u8>> {
        match self {
            Self::Problem => answer::problem(error),
            Self::Oauth => oauth::refusal(error),
            Self::Page => oauth::authorize::refusal(error),
        }
    }
}

#[cfg(test)]
mod tests;
