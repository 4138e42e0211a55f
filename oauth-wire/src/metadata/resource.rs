//! Metadata of a protected resource (RFC 9728 §2).

use aims_jose::alg::AlgorithmSet;
use serde::Serialize;

use super::Switch;
use crate::members::Members;
use crate::names::{Endpoint, Issuer, Resource, Scope, ScopeSet, Transport};
use crate::{Diagnostic, Error, shown};

/// The metadata of a protected resource: the authorization servers whose tokens it accepts, and its
/// scopes.
///
/// ```
/// use aims_oauth_wire::metadata::ResourceMetadata;
///
/// let tool = "https://tools.example/mcp".parse()?;
/// let published = ResourceMetadata::new(tool)
///     .with_authorization_server("https://as.example".parse()?)
///     .with_scopes(&"read write".parse()?)
///     .to_json();
/// let tool = "https://tools.example/mcp".parse()?;
/// let read = ResourceMetadata::parse(published.as_bytes(), &tool)?;
/// assert_eq!(read.authorization_servers().len(), 1);
/// # Ok::<(), aims_oauth_wire::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct ResourceMetadata {
    resource: Resource,
    servers: Vec<Issuer>,
    jwks_uri: Option<Endpoint>,
    scopes: Option<ScopeSet>,
    bearer_methods: Option<Vec<String>>,
    dpop_algorithms: Option<Vec<String>>,
    name: Option<String>,
    /// `signed_metadata` of this program.
    pub(super) signed: Option<Box<str>>,
    switches: Vec<Switch>,
    diagnostics: Vec<Diagnostic>,
}

impl ResourceMetadata {
    /// Creates metadata to publish at [`well_known::resource`](super::well_known::resource), with
    /// `bearer_methods_supported` = `header`.
    #[must_use]
    pub fn new(resource: Resource) -> Self {
        Self {
            resource,
            servers: Vec::new(),
            jwks_uri: None,
            scopes: None,
            bearer_methods: Some(vec!["header".to_owned()]),
            dpop_algorithms: None,
            name: None,
            signed: None,
            switches: Vec::new(),
            diagnostics: Vec::new(),
        }
    }

    /// Adds an authorization server whose tokens the resource accepts.
    #[must_use]
    pub fn with_authorization_server(mut self, issuer: Issuer) -> Self {
        self.servers.push(issuer);
        self
    }

    /// Sets the scopes that clients may request. `offline_access` is left out: it asks the
    /// authorization server for a refresh token, and the resource for nothing.
    #[must_use]
    pub fn with_scopes(mut self, scopes: &ScopeSet) -> Self {
        self.scopes = Some(scopes.without(OFFLINE_ACCESS));
        self
    }

    /// Sets the URL of the resource's keys.
    #[must_use]
    pub fn with_jwks_uri(mut self, url: Endpoint) -> Self {
        self.jwks_uri = Some(url);
        self
    }

    /// Sets the algorithms of DPoP proofs that the resource accepts.
    #[must_use]
    pub fn with_dpop_algorithms(mut self, algorithms: AlgorithmSet) -> Self {
        let names = algorithms.iter().map(|it| it.name().to_owned());
        self.dpop_algorithms = Some(names.collect());
        self
    }

    /// Announces that the resource accepts DPoP-bound access tokens alone
    /// (`dpop_bound_access_tokens_required`, RFC 9728 §2).
    #[must_use]
    pub fn with_dpop_bound_tokens_required(self) -> Self {
        self.with_switch(Switch::DpopBoundTokens)
    }

    /// Announces that the resource accepts access tokens alone that are bound to the client's
    /// certificate (`tls_client_certificate_bound_access_tokens`, RFC 9728 §2).
    #[must_use]
    pub fn with_certificate_bound_tokens(self) -> Self {
        self.with_switch(Switch::CertificateBoundTokens)
    }

    fn with_switch(mut self, switch: Switch) -> Self {
        if !self.switches.contains(&switch) {
            self.switches.push(switch);
        }
        self
    }

    /// Sets a name for people.
    #[must_use]
    pub fn with_name(mut self, name: impl Into<String>) -> Self {
        self.name = Some(name.into());
        self
    }

    /// Parses a document that was fetched for `expected`.
    ///
    /// `expected` is the identifier from which the URL was built. If the URL came from a challenge,
    /// it is the URL that was requested (RFC 9728 §3.3). The `resource` of the document must equal
    /// it byte for byte, except for the `/` of an empty path.
    ///
    /// These members must be valid if present: `resource`, `jwks_uri`, `signed_metadata`, and at
    /// least one element of `authorization_servers`.
    ///
    /// # Errors
    ///
    /// - `metadata.response` for more than 256 KiB.
    /// - `metadata.json` if the document is not one strict JSON object.
    /// - `metadata.resource` if it is for another resource.
    /// - `metadata.member` if one of the members above is malformed.
    pub fn parse(json: &[u8], expected: &Resource) -> Result<Self, Error> {
        Self::read(json, expected, |_| false)
    }

    /// Parses a document of a server that publishes a broader resource than RFC 9728 §3.3 permits.
    ///
    /// The document may name a resource on the same origin that contains `requested`. A token is
    /// then for the resource in the document, and is valid for everything beneath it.
    ///
    /// ```
    /// use aims_oauth_wire::metadata::ResourceMetadata;
    ///
    /// let tool = "https://tools.example/mcp".parse()?;
    /// let json = br#"{"resource":"https://tools.example"}"#;
    /// assert!(ResourceMetadata::parse(json, &tool).is_err());
    /// let broad = ResourceMetadata::parse_within(json, &tool)?;
    /// assert_eq!(broad.resource().as_str(), "https://tools.example");
    /// # Ok::<(), aims_oauth_wire::Error>(())
    /// ```
    ///
    /// # Errors
    ///
    /// Those of [`parse`](Self::parse).
    pub fn parse_within(json: &[u8], requested: &Resource) -> Result<Self, Error> {
        Self::read(json, requested, |found| requested.is_within(found))
    }

    fn read(
        json: &[u8],
        expected: &Resource,
        is_accepted: impl Fn(&Resource) -> bool,
    ) -> Result<Self, Error> {
        let mut members = super::members(json)?;
        let transport = Transport::of(expected.as_str());
        let resource = resource(&mut members, expected, transport, is_accepted)?;
        let jwks_uri = super::endpoint(&members, "jwks_uri", transport);
        let jwks_uri = super::judged("jwks_uri", jwks_uri)?;
        super::signed_metadata(&members)?;
        let switches = Switch::ALL.iter().copied();
        Ok(Self {
            servers: servers(&mut members, transport)?,
            scopes: scopes(&mut members),
            // An empty list says that no method is supported (RFC 9728 §2).
            bearer_methods: members.optional_texts("bearer_methods_supported"),
            dpop_algorithms: members.optional_texts("dpop_signing_alg_values_supported"),
            name: members.optional_text("resource_name"),
            signed: None,
            switches: switches.filter(|it| members.switch(it.member())).collect(),
            diagnostics: members.into_diagnostics(),
            resource,
            jwks_uri,
        })
    }

    /// Returns the resource in the spelling of the document. Request tokens for this text.
    #[must_use]
    pub const fn resource(&self) -> &Resource {
        &self.resource
    }

    /// Returns the authorization servers whose tokens the resource accepts. The client decides
    /// which of them it trusts (RFC 9728 §7.6).
    #[must_use]
    pub fn authorization_servers(&self) -> &[Issuer] {
        &self.servers
    }

    /// Returns what was ignored or tolerated in the document.
    #[must_use]
    pub fn diagnostics(&self) -> &[Diagnostic] {
        &self.diagnostics
    }

    /// Returns whether a switch is on: it is `true` or malformed.
    #[must_use]
    pub fn is_on(&self, switch: Switch) -> bool {
        self.switches.contains(&switch)
    }

    /// Returns the URL of the resource's keys.
    #[must_use]
    pub const fn jwks_uri(&self) -> Option<&Endpoint> {
        self.jwks_uri.as_ref()
    }

    /// Returns the scopes that clients may request.
    #[must_use]
    pub const fn scopes_supported(&self) -> Option<&ScopeSet> {
        self.scopes.as_ref()
    }

    /// Returns how a bearer token may be sent: `header`, `body`, `query`.
    #[must_use]
    pub fn bearer_methods_supported(&self) -> Option<&[String]> {
        self.bearer_methods.as_deref()
    }

    /// Returns the algorithms of DPoP proofs that the resource accepts.
    #[must_use]
    pub fn dpop_signing_alg_values_supported(&self) -> Option<&[String]> {
        self.dpop_algorithms.as_deref()
    }

    /// Returns the name for people. The resource chose this text.
    #[must_use]
    pub fn name(&self) -> Option<&str> {
        self.name.as_deref()
    }

    /// Returns the document as JSON.
    #[must_use]
    pub fn to_json(&self) -> String {
        let scopes = self.scopes.iter().flat_map(ScopeSet::iter);
        let is_on = |switch| self.is_on(switch).then_some(true);
        let written = Written {
            resource: self.resource.as_str(),
            authorization_servers: self.servers.iter().map(Issuer::as_str).collect(),
            jwks_uri: self.jwks_uri.as_ref().map(Endpoint::as_str),
            scopes_supported: scopes.map(Scope::as_str).collect(),
            bearer_methods_supported: self.bearer_methods_supported(),
            dpop_signing_alg_values_supported: self.dpop_signing_alg_values_supported(),
            resource_name: self.name(),
            signed_metadata: self.signed.as_deref(),
            tls_client_certificate_bound_access_tokens: is_on(Switch::CertificateBoundTokens),
            dpop_bound_access_tokens_required: is_on(Switch::DpopBoundTokens),
        };
        // Serializing strings cannot fail.
        serde_json::to_string(&written).unwrap_or_default()
    }
}

/// The members in the form in which they are written.
#[derive(Serialize)]
struct Written<'a> {
    resource: &'a str,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    authorization_servers: Vec<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    jwks_uri: Option<&'a str>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    scopes_supported: Vec<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    bearer_methods_supported: Option<&'a [String]>,
    #[serde(skip_serializing_if = "Option::is_none")]
    dpop_signing_alg_values_supported: Option<&'a [String]>,
    #[serde(skip_serializing_if = "Option::is_none")]
    resource_name: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    signed_metadata: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    tls_client_certificate_bound_access_tokens: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    dpop_bound_access_tokens_required: Option<bool>,
}

/// Reads the resource in the spelling of the document.
fn resource(
    members: &mut Members<'_>,
    expected: &Resource,
    transport: Transport,
    is_accepted: impl Fn(&Resource) -> bool,
) -> Result<Resource, Error> {
    let text = members.text("resource").ok().flatten().unwrap_or_default();
    let fail = || Error::MetadataResource {
        expected: shown::identifier(expected.as_str()),
        found: shown::identifier(&text),
    };
    let found = Resource::over(&text, transport).or(Err(fail()))?;
    if &found == expected {
        return Ok(found);
    }
    if found.equals_in_discovery(expected) {
        members.note(Diagnostic::RootSlash {
            name: "resource",
            expected: expected.as_str().into(),
            found: found.as_str().into(),
        });
        return Ok(found);
    }
    if is_accepted(&found) {
        return Ok(found);
    }
    Err(fail())
}

/// Reads the servers with valid identifiers. A list in which none is valid is malformed.
fn servers(members: &mut Members<'_>, transport: Transport) -> Result<Vec<Issuer>, Error> {
    let texts = super::judged(SERVERS, members.texts(SERVERS))?.unwrap_or_default();
    let read = |text: &String| Issuer::over(text, transport).ok();
    let servers: Vec<_> = texts.iter().filter_map(read).collect();
    if servers.is_empty() && !texts.is_empty() {
        return Err(Error::MetadataMember {
            member: SERVERS,
            expected: "absolute https URLs without query or fragment",
            found: "none of them",
        });
    }
    let count = texts.len().saturating_sub(servers.len());
    members.dropped(
        SERVERS,
        count,
        "an absolute https URL without query or fragment",
    );
    Ok(servers)
}

fn scopes(members: &mut Members<'_>) -> Option<ScopeSet> {
    let texts = members.optional_texts(SCOPES)?;
    let mut set = ScopeSet::new();
    let mut dropped = 0_usize;
    for text in &texts {
        let added = text.parse::<Scope>().and_then(|scope| set.insert(scope));
        dropped = dropped.saturating_add(usize::from(added.is_err()));
    }
    members.dropped(SCOPES, dropped, "a scope token");
    Some(set).filter(|_| !texts.is_empty())
}

const SCOPES: &str = "scopes_supported";
/// The scope by which a client asks for a refresh token (OpenID Connect Core §11).
const OFFLINE_ACCESS: &str = "offline_access";
const SERVERS: &str = "authorization_servers";
