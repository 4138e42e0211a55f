//! Metadata of a protected resource (RFC 9728 §2).

use serde::{Deserialize, Serialize};

use super::{endpoint, sized};
use crate::Error;
use crate::names::{Endpoint, Issuer, Resource, Scope, ScopeSet, Transport};

/// The members as they are written.
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
#[serde(default)]
struct Members {
    #[serde(skip_serializing_if = "Option::is_none")]
    resource: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    authorization_servers: Option<Vec<String>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    jwks_uri: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    scopes_supported: Option<Vec<String>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    bearer_methods_supported: Option<Vec<String>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    resource_name: Option<String>,
}

/// What a resource says about itself: whose tokens it takes, and for which scopes.
///
/// ```
/// use aims_oauth_wire::metadata::ResourceMetadata;
///
/// let tool = "https://tools.example/mcp".parse()?;
/// let published = ResourceMetadata::new(tool)
///     .with_authorization_server("https://as.example".parse()?)
///     .with_scopes(&"read write".parse()?)
///     .to_json();
/// let read = ResourceMetadata::parse(published.as_bytes(), &"https://tools.example/mcp".parse()?)?;
/// assert_eq!(read.authorization_servers().len(), 1);
/// # Ok::<(), aims_oauth_wire::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct ResourceMetadata {
    resource: Resource,
    servers: Vec<Issuer>,
    jwks_uri: Option<Endpoint>,
    scopes: Option<ScopeSet>,
    members: Members,
}

impl ResourceMetadata {
    /// Metadata to publish at [`well_known::resource`](super::well_known::resource), with
    /// `bearer_methods_supported` = `header` (PRM-20).
    #[must_use]
    pub fn new(resource: Resource) -> Self {
        let members = Members {
            bearer_methods_supported: Some(vec!["header".to_owned()]),
            ..Members::default()
        };
        Self {
            resource,
            servers: Vec::new(),
            jwks_uri: None,
            scopes: None,
            members,
        }
    }

    /// Adds an authorization server whose tokens are taken.
    #[must_use]
    pub fn with_authorization_server(mut self, issuer: Issuer) -> Self {
        self.servers.push(issuer);
        self
    }

    /// Sets the scopes that clients may ask for.
    #[must_use]
    pub fn with_scopes(mut self, scopes: &ScopeSet) -> Self {
        self.scopes = Some(scopes.clone());
        self
    }

    /// Sets where the keys of the resource are.
    #[must_use]
    pub fn with_jwks_uri(mut self, url: Endpoint) -> Self {
        self.jwks_uri = Some(url);
        self
    }

    /// Sets a name for people.
    #[must_use]
    pub fn with_name(mut self, name: impl Into<String>) -> Self {
        self.members.resource_name = Some(name.into());
        self
    }

    /// Reads a document that was fetched for `expected`: the identifier that the URL was made of,
    /// or, where the URL came with a challenge, the URL that was requested (RFC 9728 §3.3, PRM-03).
    ///
    /// # Errors
    ///
    /// `metadata.response` for what is too long, `metadata.json` for what is no strict JSON object
    /// of these members, `metadata.resource` for another resource, `metadata.member` for a member
    /// that is not usable.
    pub fn parse(json: &[u8], expected: &Resource) -> Result<Self, Error> {
        Self::read(json, expected, |found| found == expected)
    }

    /// The same for servers that publish a broader name than RFC 9728 §3.3 permits: the document
    /// may name what `requested` is within, on the same origin. The token is then for what the
    /// document names, so it holds for everything there.
    ///
    /// # Errors
    ///
    /// As [`parse`](Self::parse).
    pub fn parse_within(json: &[u8], requested: &Resource) -> Result<Self, Error> {
        Self::read(json, requested, |found| requested.is_within(found))
    }

    fn read(
        json: &[u8],
        asked: &Resource,
        is_expected: impl Fn(&Resource) -> bool,
    ) -> Result<Self, Error> {
        sized(json)?;
        let mut members: Members =
            aims_jose::json::from_object(json).map_err(Error::MetadataJson)?;
        let transport = Transport::of(asked.as_str());
        let resource = members
            .resource
            .take()
            .and_then(|text| Resource::over(&text, transport).ok())
            .filter(is_expected)
            .ok_or(Error::MetadataResource)?;
        let servers = members.authorization_servers.take().unwrap_or_default();
        let servers: Result<_, Error> = servers
            .iter()
            .map(|text| Issuer::over(text, transport))
            .collect();
        let scopes = members.scopes_supported.take();
        let jwks_uri = endpoint(members.jwks_uri.take().as_deref(), "jwks_uri", transport)?;
        Ok(Self {
            resource,
            servers: servers.or(Err(Error::MetadataMember {
                member: "authorization_servers",
            }))?,
            jwks_uri,
            scopes: scopes.map(scope_set).transpose()?,
            members,
        })
    }

    /// The resource, as the document names it: what a token is to be asked for (PRM-07).
    #[must_use]
    pub const fn resource(&self) -> &Resource {
        &self.resource
    }

    /// The authorization servers whose tokens are taken. Which of them is trusted is for the client
    /// to decide (RFC 9728 §7.6).
    #[must_use]
    pub fn authorization_servers(&self) -> &[Issuer] {
        &self.servers
    }

    /// Where the keys of the resource are.
    #[must_use]
    pub const fn jwks_uri(&self) -> Option<&Endpoint> {
        self.jwks_uri.as_ref()
    }

    /// Scopes that clients may ask for.
    #[must_use]
    pub const fn scopes_supported(&self) -> Option<&ScopeSet> {
        self.scopes.as_ref()
    }

    /// How a bearer token may be sent: `header`, `body`, `query`.
    #[must_use]
    pub fn bearer_methods_supported(&self) -> Option<&[String]> {
        self.members.bearer_methods_supported.as_deref()
    }

    /// A name for people. Another party's words.
    #[must_use]
    pub fn name(&self) -> Option<&str> {
        self.members.resource_name.as_deref()
    }

    /// The document.
    #[must_use]
    pub fn to_json(&self) -> String {
        let texts = |all: &[Issuer]| all.iter().map(ToString::to_string).collect();
        let servers = Some(self.servers.as_slice()).filter(|all| !all.is_empty());
        let scopes = self.scopes.as_ref().filter(|all| !all.is_empty());
        let members = Members {
            resource: Some(self.resource.to_string()),
            authorization_servers: servers.map(texts),
            jwks_uri: self.jwks_uri.as_ref().map(ToString::to_string),
            scopes_supported: scopes.map(|all| all.iter().map(ToString::to_string).collect()),
            ..self.members.clone()
        };
        // Strings always serialize.
        serde_json::to_string(&members).unwrap_or_default()
    }
}

fn scope_set(tokens: Vec<String>) -> Result<ScopeSet, Error> {
    let mut set = ScopeSet::new();
    for token in tokens {
        let added = token.parse::<Scope>().and_then(|scope| set.insert(scope));
        added.or(Err(Error::MetadataMember {
            member: "scopes_supported",
        }))?;
    }
    Ok(set)
}
