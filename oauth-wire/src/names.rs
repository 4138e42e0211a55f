//! Identifiers as separate types, so that they cannot be confused. They are compared byte for byte.
//! Clones share the text.
//!
//! Only scopes implement serde's `Deserialize`. For all others, the code that reads one must decide
//! whether plain `http` on loopback is accepted.

use core::fmt;
use core::net::IpAddr;
use core::str::FromStr;
use std::sync::Arc;

use url::{Host, Url};

use crate::{Error, shown};

mod root;
mod scope;

pub use root::{differ_in_root_slash, root_slash_variant};
pub use scope::{MAX_SCOPES, Scope, ScopeSet};

/// The maximum length of an identifier, in bytes.
pub const MAX_NAME: usize = 2048;

macro_rules! name {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
        pub struct $name(Arc<str>);

        impl $name {
            /// Returns the identifier as it was written.
            #[must_use]
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl AsRef<str> for $name {
            fn as_ref(&self) -> &str {
                &self.0
            }
        }
    };
}

name! {
    /// The identifier of an authorization server: an `https` URL without query and fragment (RFC
    /// 8414 §2).
    ///
    /// It must be in normal form: a lower-case host of letters, digits and hyphens, no default
    /// port, no `..`. So the text that is compared is also the text that is requested. A final `/`
    /// is significant.
    ///
    /// ```
    /// use aims_oauth_wire::names::Issuer;
    ///
    /// let issuer: Issuer = "https://as.example/tenant".parse()?;
    /// assert_eq!(issuer.as_str(), "https://as.example/tenant");
    /// assert!("http://as.example".parse::<Issuer>().is_err());
    /// # Ok::<(), aims_oauth_wire::Error>(())
    /// ```
    Issuer
}

impl Issuer {
    /// Parses an issuer that may be plain `http` on this machine, for development and tests:
    /// `localhost`, 127.0.0.0/8 or `[::1]`. It also accepts every `https` issuer.
    ///
    /// # Errors
    ///
    /// `oauth.issuer` if the text is not a valid issuer.
    pub fn loopback(text: &str) -> Result<Self, Error> {
        Self::over(text, Transport::LoopbackToo)
    }

    pub(crate) fn over(text: &str, transport: Transport) -> Result<Self, Error> {
        let fail = |reason| Error::Issuer {
            found: shown::identifier(text),
            reason,
        };
        let url = absolute(text).map_err(fail)?;
        if transport == Transport::Https && is_local_http(&url) {
            return Err(fail("`Issuer::loopback` accepts http on this machine"));
        }
        if !matches!(url.scheme(), "https" | "http") {
            return Err(fail("not https"));
        }
        secure(&url, transport).map_err(fail)?;
        if text.contains(['?', '#']) {
            return Err(fail("it has a query or a fragment"));
        }
        plain_host(&url).map_err(fail)?;
        normal(text, &url).map_err(fail)?;
        Ok(Self(text.into()))
    }
}

impl FromStr for Issuer {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        Self::over(text, Transport::Https)
    }
}

name! {
    /// The identifier of a protected resource, which a token is for: an absolute URI without
    /// fragment (RFC 8707 §2).
    ///
    /// An `https` URL must be in normal form like an [`Issuer`]. A resource with another scheme
    /// (`urn:`, `spiffe:`) publishes no metadata.
    ///
    /// ```
    /// use aims_oauth_wire::names::Resource;
    ///
    /// let tool: Resource = "https://tools.example/mcp".parse()?;
    /// assert_ne!(tool, "https://tools.example/mcp/".parse()?);
    /// assert!("/mcp".parse::<Resource>().is_err());
    /// # Ok::<(), aims_oauth_wire::Error>(())
    /// ```
    Resource
}

impl Resource {
    /// Parses a resource that may be plain `http` on this machine, for development and tests:
    /// `localhost`, 127.0.0.0/8 or `[::1]`. It also accepts what [`FromStr`] accepts.
    ///
    /// # Errors
    ///
    /// `oauth.resource` if the text is not a valid resource.
    pub fn loopback(text: &str) -> Result<Self, Error> {
        Self::over(text, Transport::LoopbackToo)
    }

    /// Returns whether the resource is on this machine: `localhost`, 127.0.0.0/8 or `[::1]`.
    ///
    /// ```
    /// use aims_oauth_wire::names::Resource;
    ///
    /// assert!(Resource::loopback("http://127.0.0.1:8402/mcp")?.is_loopback());
    /// assert!(!"https://localhost.example/mcp".parse::<Resource>()?.is_loopback());
    /// # Ok::<(), aims_oauth_wire::Error>(())
    /// ```
    #[must_use]
    pub fn is_loopback(&self) -> bool {
        Url::parse(self.as_str()).is_ok_and(|url| is_loopback(&url))
    }

    pub(crate) fn over(text: &str, transport: Transport) -> Result<Self, Error> {
        let fail = |reason| Error::Resource {
            found: shown::identifier(text),
            reason,
        };
        let url = absolute(text).map_err(fail)?;
        if transport == Transport::Https && is_local_http(&url) {
            return Err(fail("`Resource::loopback` accepts http on this machine"));
        }
        if text.contains('#') {
            return Err(fail("it has a fragment"));
        }
        secure(&url, transport).map_err(fail)?;
        plain_host(&url).map_err(fail)?;
        normal(text, &url).map_err(fail)?;
        Ok(Self(text.into()))
    }

    /// Returns whether this resource is `other` or is beneath it: the same origin, and a path that
    /// starts with the path of `other` and a `/`.
    ///
    /// `/mcp` is not beneath `/mcp/`. A resource with a query, or with a scheme other than `http`
    /// and `https`, contains only itself.
    ///
    /// ```
    /// use aims_oauth_wire::names::Resource;
    ///
    /// let tool: Resource = "https://tools.example/mcp".parse()?;
    /// assert!("https://tools.example/mcp/call".parse::<Resource>()?.is_within(&tool));
    /// assert!(!"https://tools.example/mcp2".parse::<Resource>()?.is_within(&tool));
    /// # Ok::<(), aims_oauth_wire::Error>(())
    /// ```
    #[must_use]
    pub fn is_within(&self, other: &Self) -> bool {
        let (Ok(own), Ok(outer)) = (Url::parse(&self.0), Url::parse(&other.0)) else {
            return false;
        };
        let ends_at_slash = outer.path().ends_with('/');
        let rest = own.path().strip_prefix(outer.path());
        let is_beneath =
            rest.is_some_and(|rest| ends_at_slash || rest.is_empty() || rest.starts_with('/'));
        self == other
            || (own.origin().is_tuple()
                && own.origin() == outer.origin()
                && outer.query().is_none()
                && is_beneath)
    }
}

impl FromStr for Resource {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        Self::over(text, Transport::Https)
    }
}

name! {
    /// A URL that requests are sent to: `https` without fragment (RFC 6749 §3.1, §3.2).
    ///
    /// It can be plain `http` on loopback only if it comes from [`Endpoint::loopback`], or from
    /// metadata of an issuer that is itself on loopback.
    Endpoint
}

impl Endpoint {
    /// Parses an endpoint that may be plain `http` on this machine, for development and tests. It
    /// also accepts every `https` endpoint.
    ///
    /// # Errors
    ///
    /// `oauth.endpoint` if the text is not a valid endpoint.
    pub fn loopback(text: &str) -> Result<Self, Error> {
        Self::over(text, Transport::LoopbackToo)
    }

    pub(crate) fn over(text: &str, transport: Transport) -> Result<Self, Error> {
        let fail = |reason| Error::Endpoint {
            found: shown::identifier(text),
            reason,
        };
        let url = absolute(text).map_err(fail)?;
        if transport == Transport::Https && is_local_http(&url) {
            return Err(fail("`Endpoint::loopback` accepts http on this machine"));
        }
        if !matches!(url.scheme(), "https" | "http") {
            return Err(fail("not https"));
        }
        secure(&url, transport).map_err(fail)?;
        if text.contains('#') {
            return Err(fail("it has a fragment"));
        }
        // Keep the text of the URL parser, which is what the request is sent to.
        let sent = String::from(url);
        if sent.len() > MAX_NAME {
            return Err(fail("longer than 2048 bytes"));
        }
        Ok(Self(sent.into()))
    }
}

impl FromStr for Endpoint {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        Self::over(text, Transport::Https)
    }
}

name! {
    /// The identifier of a client: printable ASCII, 1 to 2048 characters (RFC 6749 §2.2, appendix
    /// A.1).
    ClientId
}

impl FromStr for ClientId {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        let printable = text.bytes().all(|byte| matches!(byte, 0x20..=0x7e));
        if text.is_empty() || text.len() > MAX_NAME || !printable {
            return Err(Error::ClientId);
        }
        Ok(Self(text.into()))
    }
}

/// The accepted schemes of URLs.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Transport {
    Https,
    LoopbackToo,
}

impl Transport {
    /// Returns the transport of an identifier. Its endpoints may use the same.
    pub(crate) fn of(identifier: &str) -> Self {
        if identifier.starts_with("http:") {
            Self::LoopbackToo
        } else {
            Self::Https
        }
    }
}

/// Parses an absolute URI (RFC 3986 §4.3). It refuses characters that parsers treat differently:
/// blanks, user information, backslashes.
pub(crate) fn absolute(text: &str) -> Result<Url, &'static str> {
    let plain = |byte: u8| byte.is_ascii_graphic() && !b"\"<>\\^`{|}".contains(&byte);
    if text.len() > MAX_NAME {
        return Err("longer than 2048 bytes");
    }
    if !text.bytes().all(plain) {
        return Err("it has a character that a URI cannot have");
    }
    let url = Url::parse(text).or(Err("not an absolute URI"))?;
    if !url.username().is_empty() || url.password().is_some() {
        return Err("it has user information");
    }
    Ok(url)
}

/// Checks that a URL is `https`, or `http` on loopback if that is permitted. Other schemes pass.
pub(crate) fn secure(url: &Url, transport: Transport) -> Result<(), &'static str> {
    let permitted = match url.scheme() {
        "http" => transport == Transport::LoopbackToo && is_loopback(url),
        _ => true,
    };
    if permitted { Ok(()) } else { Err("not https") }
}

/// Checks that an HTTP URL is written as the parser would write it, except for the `/` of an empty
/// path.
pub(crate) fn normal(text: &str, url: &Url) -> Result<(), &'static str> {
    let written = url.as_str();
    let bare = written.strip_suffix('/').filter(|_| url.path() == "/");
    // The parser writes `https://host?query` as `https://host/?query`.
    let queried = || match url.query() {
        Some(query) if url.path() == "/" => {
            let start = written
                .strip_suffix(query)
                .and_then(|it| it.strip_suffix("/?"));
            start.is_some_and(|start| {
                text.strip_prefix(start).and_then(|it| it.strip_prefix('?')) == Some(query)
            })
        }
        _ => false,
    };
    let is_web = matches!(url.scheme(), "https" | "http");
    if !is_web || written == text || bare == Some(text) || queried() {
        return Ok(());
    }
    Err("not in normal form")
}

/// Checks that the host of an HTTP URL is an IP address, or labels of letters, digits and hyphens.
fn plain_host(url: &Url) -> Result<(), &'static str> {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-';
    let label = |label: &str| {
        (1..=63).contains(&label.len())
            && !label.starts_with('-')
            && !label.ends_with('-')
            && label.bytes().all(plain)
    };
    match (url.scheme(), url.host()) {
        ("https" | "http", Some(Host::Domain(name)))
            if name.len() > 253 || !name.split('.').all(label) =>
        {
            Err("its host has other characters than letters, digits and hyphens")
        }
        _ => Ok(()),
    }
}

/// Returns whether a URL is plain `http` to this machine.
fn is_local_http(url: &Url) -> bool {
    url.scheme() == "http" && is_loopback(url)
}

fn is_loopback(url: &Url) -> bool {
    match url.host() {
        Some(Host::Domain(name)) => name == "localhost",
        Some(Host::Ipv4(address)) => IpAddr::from(address).is_loopback(),
        Some(Host::Ipv6(address)) => address.is_loopback(),
        None => false,
    }
}
