//! From an identifier to the URL of its metadata (RFC 8414 §3, RFC 9728 §3.1, OpenID Connect
//! Discovery §4).

use crate::names::{Endpoint, Issuer, Resource, Transport};
use crate::{Error, shown};

const SERVER: &str = "/.well-known/oauth-authorization-server";
const OPENID: &str = "/.well-known/openid-configuration";
const RESOURCE: &str = "/.well-known/oauth-protected-resource";

/// The metadata of an authorization server (RFC 8414 §3.1): inserted between host and path, without
/// the `/` that an issuer may end with.
///
/// ```
/// use aims_oauth_wire::metadata::well_known;
///
/// let url = well_known::server(&"https://as.example/tenant".parse()?)?;
/// assert_eq!(url.as_str(), "https://as.example/.well-known/oauth-authorization-server/tenant");
/// # Ok::<(), aims_oauth_wire::Error>(())
/// ```
///
/// # Errors
///
/// `oauth.endpoint` for an issuer that becomes too long.
pub fn server(issuer: &Issuer) -> Result<Endpoint, Error> {
    inserted(issuer, SERVER)
}

/// The same of an OpenID provider, inserted (RFC 8414 §5).
///
/// # Errors
///
/// As [`server`].
pub fn openid_inserted(issuer: &Issuer) -> Result<Endpoint, Error> {
    inserted(issuer, OPENID)
}

/// The same of an OpenID provider, appended (OpenID Connect Discovery §4).
///
/// # Errors
///
/// As [`server`].
pub fn openid_appended(issuer: &Issuer) -> Result<Endpoint, Error> {
    let text = issuer.as_str();
    let bare = text.strip_suffix('/').unwrap_or(text);
    Endpoint::over(&format!("{bare}{OPENID}"), Transport::of(text))
}

/// Where to look for the metadata of an issuer, in the order of MCP: as an authorization server,
/// then as an OpenID provider. The first one that is found has to name the issuer; if it names
/// another, none is used.
///
/// # Errors
///
/// As [`server`].
pub fn server_candidates(issuer: &Issuer) -> Result<Vec<Endpoint>, Error> {
    let mut all = vec![
        server(issuer)?,
        openid_inserted(issuer)?,
        openid_appended(issuer)?,
    ];
    all.dedup();
    Ok(all)
}

/// The metadata of a resource (RFC 9728 §3.1): inserted between host and path or query. A `/` that
/// an identifier ends with stays, unless it is the whole path.
///
/// # Errors
///
/// `oauth.resource` for a resource that is no URL of the web; `oauth.endpoint` for one that becomes
/// too long.
///
/// ```
/// use aims_oauth_wire::metadata::well_known;
///
/// let url = well_known::resource(&"https://tools.example/mcp".parse()?)?;
/// assert_eq!(url.as_str(), "https://tools.example/.well-known/oauth-protected-resource/mcp");
/// # Ok::<(), aims_oauth_wire::Error>(())
/// ```
pub fn resource(resource: &Resource) -> Result<Endpoint, Error> {
    let text = resource.as_str();
    let (origin, rest) = split(text).ok_or_else(|| Error::Resource {
        found: shown::identifier(text),
        reason: "only an https URL publishes metadata",
    })?;
    let rest = match rest.strip_prefix('/') {
        Some(bare) if bare.is_empty() || bare.starts_with('?') => bare,
        _ => rest,
    };
    Endpoint::over(&format!("{origin}{RESOURCE}{rest}"), Transport::of(text))
}

/// Where to look for the metadata of a resource without a challenge that says where, in the order
/// of MCP: the resource's own, then the host's. The latter names the host, so it is for
/// [`ResourceMetadata::parse_within`](super::ResourceMetadata::parse_within).
///
/// # Errors
///
/// As [`resource`](fn@resource).
pub fn resource_candidates(identifier: &Resource) -> Result<Vec<Endpoint>, Error> {
    let own = resource(identifier)?;
    let text = identifier.as_str();
    let origin = split(text).map_or(text, |(origin, _)| origin);
    let host = Endpoint::over(&format!("{origin}{RESOURCE}"), Transport::of(text))?;
    let mut all = vec![own, host];
    all.dedup();
    Ok(all)
}

fn inserted(issuer: &Issuer, name: &str) -> Result<Endpoint, Error> {
    let text = issuer.as_str();
    let (origin, path) = split(text).unwrap_or((text, ""));
    let path = path.strip_suffix('/').unwrap_or(path);
    Endpoint::over(&format!("{origin}{name}{path}"), Transport::of(text))
}

/// The origin of a URL of the web, and what follows. Identifiers are in normal form, so the text
/// can be cut.
fn split(text: &str) -> Option<(&str, &str)> {
    let bare = text
        .strip_prefix("https://")
        .or_else(|| text.strip_prefix("http://"))?;
    let rest = bare.trim_start_matches(|c| !matches!(c, '/' | '?'));
    Some((text.strip_suffix(rest)?, rest))
}
