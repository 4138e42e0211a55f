//! Builds the URLs of metadata documents (RFC 8414 §3, RFC 9728 §3.1, OpenID Connect Discovery §4).

use crate::names::{Endpoint, Issuer, Resource, Transport};
use crate::{Error, shown};

const SERVER: &str = "/.well-known/oauth-authorization-server";
const OPENID: &str = "/.well-known/openid-configuration";
const RESOURCE: &str = "/.well-known/oauth-protected-resource";

/// Returns the metadata URL of an authorization server (RFC 8414 §3.1): the well-known path is
/// inserted between host and path, without the final `/` of the issuer.
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
/// `oauth.endpoint` if the URL is too long.
pub fn server(issuer: &Issuer) -> Result<Endpoint, Error> {
    inserted(issuer, SERVER)
}

/// Returns the metadata URL of an OpenID provider with an inserted well-known path (RFC 8414 §5).
///
/// # Errors
///
/// Those of [`server`].
pub fn openid_inserted(issuer: &Issuer) -> Result<Endpoint, Error> {
    inserted(issuer, OPENID)
}

/// Returns the metadata URL of an OpenID provider with an appended well-known path (OpenID Connect
/// Discovery §4).
///
/// # Errors
///
/// Those of [`server`].
pub fn openid_appended(issuer: &Issuer) -> Result<Endpoint, Error> {
    let text = issuer.as_str();
    let bare = text.strip_suffix('/').unwrap_or(text);
    Endpoint::over(&format!("{bare}{OPENID}"), Transport::of(text))
}

/// Returns the metadata URLs of an issuer in the order of MCP: as an authorization server, then as
/// an OpenID provider.
///
/// The first document that is found must be for this issuer; otherwise discovery fails.
///
/// ```
/// use aims_oauth_wire::metadata::well_known;
///
/// let urls = well_known::server_candidates(&"https://as.example/a".parse()?)?;
/// let urls: Vec<&str> = urls.iter().map(|url| url.as_str()).collect();
/// assert_eq!(urls, [
///     "https://as.example/.well-known/oauth-authorization-server/a",
///     "https://as.example/.well-known/openid-configuration/a",
///     "https://as.example/a/.well-known/openid-configuration",
/// ]);
/// # Ok::<(), aims_oauth_wire::Error>(())
/// ```
///
/// # Errors
///
/// Those of [`server`].
pub fn server_candidates(issuer: &Issuer) -> Result<Vec<Endpoint>, Error> {
    let mut all = vec![
        server(issuer)?,
        openid_inserted(issuer)?,
        openid_appended(issuer)?,
    ];
    all.dedup();
    Ok(all)
}

/// Returns the metadata URL of a protected resource (RFC 9728 §3.1): the well-known path is
/// inserted between host and path or query. A final `/` stays, except if it is the whole path.
///
/// ```
/// use aims_oauth_wire::metadata::well_known;
///
/// let url = well_known::resource(&"https://tools.example/mcp".parse()?)?;
/// assert_eq!(url.as_str(), "https://tools.example/.well-known/oauth-protected-resource/mcp");
/// # Ok::<(), aims_oauth_wire::Error>(())
/// ```
///
/// # Errors
///
/// `oauth.resource` if the resource is not an HTTP URL; `oauth.endpoint` if the URL is too long.
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

/// Returns the metadata URLs of a resource in the order of MCP, for use without a challenge: the
/// URL of the resource, then that of its host.
///
/// The document of the host names the host, so parse it with
/// [`ResourceMetadata::parse_within`](super::ResourceMetadata::parse_within).
///
/// # Errors
///
/// Those of [`resource`](fn@resource).
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

/// Splits an HTTP URL after its origin. Identifiers are in normal form, so their text can be split.
fn split(text: &str) -> Option<(&str, &str)> {
    let bare = text
        .strip_prefix("https://")
        .or_else(|| text.strip_prefix("http://"))?;
    let rest = bare.trim_start_matches(|c| !matches!(c, '/' | '?'));
    Some((text.strip_suffix(rest)?, rest))
}
