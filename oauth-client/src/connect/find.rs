//! Finds the authorization server of a tool.

use std::time::Duration;

use aims_oauth_wire::challenge::Challenges;
use aims_oauth_wire::metadata::{EndpointKind, ServerMetadata};
use aims_oauth_wire::names::{Endpoint, Issuer, Resource, ScopeSet};
use url::Url;

use super::binding::Demanded;
use super::{Progress, Settings};
use crate::discovery::{Discovery, server};
use crate::step::drive;
use crate::{Error, KnownServer, Sought, Step};

/// The timeout of discovery.
const TIMEOUT: Duration = Duration::from_secs(30);

/// A tool and its server.
pub(super) struct Found {
    /// The resource that tokens are requested for.
    pub(super) resource: Resource,
    /// The scopes that the tool lists.
    pub(super) scopes: Option<ScopeSet>,
    pub(super) server: ServerMetadata,
    pub(super) dpop: Demanded,
    /// The URL of the server's document, if it has one.
    pub(super) place: Option<Endpoint>,
    /// Whether the server has no metadata, so that nothing is known of what it supports.
    pub(super) is_assumed: bool,
}

impl Found {
    pub(super) fn known_server(&self) -> KnownServer {
        let server = self.server.clone();
        match &self.place {
            Some(place) => KnownServer::found(server, place.clone(), self.resource.clone()),
            None => KnownServer::given(server),
        }
    }
}

pub(super) async fn find(
    settings: &Settings,
    tool: &Resource,
    challenges: &Challenges,
) -> Result<Found, Error> {
    settings.tell(&Progress::Discovering(tool));
    let found = tokio::time::timeout(TIMEOUT, discover(settings, tool, challenges)).await;
    found.unwrap_or(Err(Error::Transport(aims_fetch::Error::Timeout)))
}

async fn discover(
    settings: &Settings,
    tool: &Resource,
    challenges: &Challenges,
) -> Result<Found, Error> {
    let mut discovery = Discovery::new(tool.clone(), settings.issuers.iter().cloned());
    discovery = discovery.challenged(challenges.resource_metadata_places(tool));
    if settings.accepts_broader {
        discovery = discovery.resource_within();
    }
    if settings.any_issuer {
        discovery = discovery.accept_any_server();
    }
    let signer = settings.signer(tool);
    if let Some(signer) = signer {
        discovery = discovery.signed_by(signer.clone());
    }
    let found = drive(discovery.begin()?, &*settings.http, &*settings.clock).await;
    let found = match found {
        Ok(found) => found,
        Err(Error::NotFound {
            sought: Sought::Tool(_),
            ..
            // A tool whose metadata must be signed has some.
        }) if settings.accepts_legacy && signer.is_none() => {
            return at_origin(settings, tool, challenges).await;
        }
        Err(error) => return Err(error),
    };
    Ok(Found {
        resource: found.resource().resource().clone(),
        scopes: found.resource().scopes_supported().cloned(),
        dpop: Demanded::by(Some(found.resource()), challenges),
        place: Some(found.server_place().clone()),
        server: found.into_server(),
        is_assumed: false,
    })
}

/// Takes the origin of the tool as its authorization server (MCP revision 2025-03-26).
async fn at_origin(
    settings: &Settings,
    tool: &Resource,
    challenges: &Challenges,
) -> Result<Found, Error> {
    let url = Url::parse(tool.as_str()).map_err(|_invalid| Error::Interrupted)?;
    let origin = url.origin().ascii_serialization();
    let parsed = origin.parse();
    let issuer: Issuer = parsed.or_else(|error| Issuer::loopback(&origin).or(Err(error)))?;
    let accepts = |it: &Issuer| it.equals_in_discovery(&issuer);
    if !settings.any_issuer && !settings.issuers.iter().any(accepts) {
        return Err(Error::NoServer {
            tool: tool.clone(),
            accepted: settings.issuers.as_slice().into(),
            named: [issuer].into(),
        });
    }
    let (request, pending) = server(&issuer)?;
    let found = drive(
        Step::Send(request, pending),
        &*settings.http,
        &*settings.clock,
    )
    .await;
    let (server, is_assumed) = match found {
        Ok(server) => (server, false),
        Err(Error::NotFound { .. }) => (assumed(&issuer)?, true),
        Err(error) => return Err(error),
    };
    Ok(Found {
        resource: tool.clone(),
        scopes: None,
        dpop: Demanded::by(None, challenges),
        server,
        place: None,
        is_assumed,
    })
}

/// Returns the metadata of a server that has none.
fn assumed(issuer: &Issuer) -> Result<ServerMetadata, Error> {
    let base = issuer.as_str();
    let document = serde_json::json!({
        "issuer": base,
        "authorization_endpoint": format!("{base}/authorize"),
        "token_endpoint": format!("{base}/token"),
        "registration_endpoint": format!("{base}/register"),
    });
    let called = [EndpointKind::Token];
    let document = document.to_string();
    Ok(ServerMetadata::parse_for(
        document.as_bytes(),
        issuer,
        &called,
    )?)
}
