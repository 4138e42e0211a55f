//! The ways to a token.

use std::fmt;

use aims_oauth_wire::metadata::{EndpointKind, ServerMetadata, Switch};
use aims_oauth_wire::names::Endpoint;
use url::{Origin, Url};

use super::Settings;
use super::find::Found;
use crate::grant::{CLIENT_CREDENTIALS, DEVICE_CODE, JWT_BEARER};
use crate::{Error, GrantAudience, Identity};

/// The grant by which a [`Connector`](super::Connector) gets tokens.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum Way {
    /// The assertion of the user's identity provider.
    IdentityProvider,
    /// The assertion of a platform.
    Assertion,
    /// The client itself, by client credentials.
    Itself,
    /// A user in a browser, by an authorization code.
    User,
    /// A user with a code on another device, because this one has no browser.
    Device,
}

impl Way {
    const ALL: [Self; 5] = [
        Self::IdentityProvider,
        Self::Assertion,
        Self::Itself,
        Self::User,
        Self::Device,
    ];

    /// Returns whether a user logs in, who may give a refresh token.
    pub(super) const fn has_user(self) -> bool {
        matches!(self, Self::User | Self::Device)
    }

    /// Returns the grant type.
    #[must_use]
    pub const fn grant_type(self) -> &'static str {
        match self {
            Self::IdentityProvider | Self::Assertion => JWT_BEARER,
            Self::Itself => CLIENT_CREDENTIALS,
            Self::User => "authorization_code",
            Self::Device => DEVICE_CODE,
        }
    }

    /// Returns why the way is closed, or `None` if it is open.
    fn closed(self, settings: &Settings, found: &Found) -> Option<&'static str> {
        let is_configured = match self {
            Self::IdentityProvider => settings.provider.is_some(),
            Self::Assertion => settings.assertion.is_some(),
            Self::Itself => settings.as_itself,
            Self::User => settings.by_user.is_some() || settings.by_stored,
            Self::Device => settings.by_device.is_some() || settings.by_stored,
        };
        if !is_configured {
            return Some("it is not configured");
        }
        if !offers(&found.server, self) && !found.is_assumed {
            return Some("the server does not offer the grant");
        }
        if self == Self::Assertion && is_for_another(settings, &found.server) {
            return Some(
                "the assertion is for the token endpoint, which has another origin than the \
                 issuer, so that it may be of another server; accept the issuer by name, or use \
                 `GrantAudience::Issuer`",
            );
        }
        if self == Self::User && settings.any_issuer && may_mix_up(settings, &found.server) {
            return Some(
                "the endpoints of the server have two origins, and its answers do not name it \
                 (`iss`), so that they may be of two servers; accept its issuer by name",
            );
        }
        // No answer of this grant names the server.
        let device = EndpointKind::DeviceAuthorization;
        if self == Self::Device
            && !is_named(settings, &found.server)
            && has_two_origins(settings, &found.server, device)
        {
            return Some(
                "the endpoints of the server have two origins, so that they may be of two \
                 servers; accept its issuer by name",
            );
        }
        None
    }

    /// Chooses the first way that is open. The others are listed with the reason.
    pub(super) fn choose(
        settings: &Settings,
        found: &Found,
    ) -> (Option<Self>, Vec<(Self, &'static str)>) {
        let mut chosen = None;
        let mut closed = Vec::new();
        for way in Self::ALL {
            match way.closed(settings, found) {
                None if chosen.is_none() => chosen = Some(way),
                None => closed.push((way, "another way comes first")),
                Some(reason) => closed.push((way, reason)),
            }
        }
        (chosen, closed)
    }

    pub(super) fn required(settings: &Settings, found: &Found) -> Result<Self, Error> {
        let (chosen, closed) = Self::choose(settings, found);
        chosen.ok_or_else(|| {
            let closed = closed
                .iter()
                .map(|(way, reason)| format!("{way}: {reason}"));
            Error::NoWay {
                issuer: found.server.issuer().clone(),
                closed: closed.collect::<Vec<_>>().join("; ").into(),
            }
        })
    }
}

/// Returns whether the server offers a grant. A grant other than the default ones counts as offered
/// if the server lists no grant types, because many servers list none.
fn offers(server: &ServerMetadata, way: Way) -> bool {
    let takes = server.takes_grant(way.grant_type());
    match way {
        Way::User => takes && server.endpoint(EndpointKind::Authorization).is_some(),
        Way::Device => takes && server.endpoint(EndpointKind::DeviceAuthorization).is_some(),
        Way::IdentityProvider | Way::Assertion | Way::Itself => takes,
    }
}

impl fmt::Display for Way {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::IdentityProvider => "assertion of the identity provider",
            Self::Assertion => "assertion of the platform",
            Self::Itself => "client credentials",
            Self::User => "authorization code, by a user in a browser",
            Self::Device => "device code, by a user on another device",
        })
    }
}

/// Whether a server that is accepted unnamed may have put the authorization endpoint of another one
/// into its metadata, to get the codes of that server (RFC 9700 §4.4). `iss` in the answer would
/// show it.
///
/// Endpoints of one origin can still redirect the browser to another server (RFC 9700 §4.4.1).
/// `iss` alone reveals that: a client cannot notice it where the other server sends none.
fn may_mix_up(settings: &Settings, server: &ServerMetadata) -> bool {
    !is_named(settings, server)
        && !server.is_on(Switch::AuthorizationResponseIss)
        && has_two_origins(settings, server, EndpointKind::Authorization)
}

/// Returns whether the program accepts the server by its issuer.
pub(super) fn is_named(settings: &Settings, server: &ServerMetadata) -> bool {
    let mut issuers = settings.issuers.iter();
    issuers.any(|it| it.equals_in_discovery(server.issuer()))
}

/// Returns whether a URL has the origin of the issuer, or that of the token endpoint.
pub(super) fn is_of_server(url: &Endpoint, server: &ServerMetadata) -> bool {
    let origin = |text: &str| Url::parse(text).ok().map(|it| it.origin());
    let token = server.endpoint(EndpointKind::Token);
    let own = [Some(server.issuer().as_str()), token.map(Endpoint::as_str)];
    let mut own = own.into_iter().flatten();
    own.any(|it| origin(it) == origin(url.as_str()))
}

/// Returns whether this endpoint and the token endpoint have different origins. A client with a
/// certificate uses the alias of the token endpoint (RFC 8705 §5).
fn has_two_origins(settings: &Settings, server: &ServerMetadata, kind: EndpointKind) -> bool {
    let own = server.endpoint(kind).and_then(origin);
    let alias = server.mtls_endpoint(EndpointKind::Token);
    let alias = alias.filter(|_| presents_certificate(settings, server));
    let token = server.endpoint(EndpointKind::Token);
    token.into_iter().chain(alias).any(|it| origin(it) != own)
}

fn presents_certificate(settings: &Settings, server: &ServerMetadata) -> bool {
    match settings.identities.at(server) {
        Ok(Identity::Registered(client) | Identity::MetadataDocument(client)) => {
            client.presents_certificate()
        }
        Ok(Identity::Register(metadata)) => {
            let metadata = metadata.at(server);
            let method = metadata.token_endpoint_auth_method();
            method.ends_with("tls_client_auth")
        }
        Err(_none) => false,
    }
}

/// Whether a server that is accepted unnamed may have put the token endpoint of another one into
/// its metadata, which would accept an assertion for that endpoint. The tool would get its token.
fn is_for_another(settings: &Settings, server: &ServerMetadata) -> bool {
    let audience = settings
        .assertion
        .as_ref()
        .map(|(_, audience, _)| *audience);
    let token = server.endpoint(EndpointKind::Token).and_then(origin);
    let issuer = Url::parse(server.issuer().as_str()).ok();
    audience == Some(GrantAudience::TokenEndpoint)
        && !is_named(settings, server)
        && token != issuer.map(|it| it.origin())
}

fn origin(endpoint: &Endpoint) -> Option<Origin> {
    Some(Url::parse(endpoint.as_str()).ok()?.origin())
}
