//! Identifiers that must not be mixed. Each is compared byte by byte, as it was written.
//!
//! None but a scope is made by serde: whoever reads one says whether http on loopback is taken.

use core::fmt;
use core::net::IpAddr;
use core::str::FromStr;

use url::{Host, Url};

use crate::{Error, shown};

mod root;
mod scope;

pub use root::{differ_in_root_slash, root_slash_variant};
pub use scope::{MAX_SCOPES, Scope, ScopeSet};

/// The longest identifier that is read, in bytes.
pub const MAX_NAME: usize = 2048;

macro_rules! name {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
        pub struct $name(Box<str>);

        impl $name {
            /// The identifier as it was written.
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
    /// An authorization server: an https URL without query and fragment (RFC 8414 §2).
    ///
    /// It has to be in normal form (lower-case host of letters, digits and hyphens, no default
    /// port, no `..`), so that what is compared byte by byte is also what is asked for. Whether it
    /// ends with `/` matters.
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
    /// An issuer over http on this machine: `localhost`, 127.0.0.0/8 or `[::1]`, for development
    /// and tests. Any https issuer is taken as well.
    ///
    /// # Errors
    ///
    /// `oauth.issuer`
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
    /// What a token is for: an absolute URI without fragment (RFC 8707 §2).
    ///
    /// As an https URL it has to be in normal form, as an [`Issuer`]; other schemes (`urn:`,
    /// `spiffe:`) name a resource that publishes no metadata.
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
    /// A resource over http on this machine: `localhost`, 127.0.0.0/8 or `[::1]`, for development
    /// and tests. What [`FromStr`] takes is taken as well.
    ///
    /// # Errors
    ///
    /// `oauth.resource`
    pub fn loopback(text: &str) -> Result<Self, Error> {
        Self::over(text, Transport::LoopbackToo)
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

    /// Whether this resource is `other`, or beneath it: one origin, and a path prefix that ends at
    /// a `/`. `/mcp` is not beneath `/mcp/`, whose token is not for it.
    ///
    /// Else never true where `other` has a query, or is of another scheme than http and https.
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
    /// Where requests are sent: an https URL without fragment (RFC 6749 §3.1, §3.2).
    ///
    /// Over http on loopback only where [`Endpoint::loopback`] made it, or metadata of an issuer
    /// that is itself there.
    Endpoint
}

impl Endpoint {
    /// An endpoint over http on this machine, for development and tests. Any https endpoint is
    /// taken as well.
    ///
    /// # Errors
    ///
    /// `oauth.endpoint`
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
        // As a request is sent there: the parser's text, which is one with what is connected to.
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
    /// A client: printable ASCII, of 1 to 2048 characters (RFC 6749 §2.2, appendix A.1).
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

/// Which schemes of the web are taken.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Transport {
    Https,
    LoopbackToo,
}

impl Transport {
    /// What an identifier itself is over: its endpoints may then be so, too.
    pub(crate) fn of(identifier: &str) -> Self {
        if identifier.starts_with("http:") {
            Self::LoopbackToo
        } else {
            Self::Https
        }
    }
}

/// RFC 3986 §4.3, without what makes two readers see two things: blanks, user information,
/// backslashes.
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

/// Https, or http on loopback where that is permitted; other schemes pass.
pub(crate) fn secure(url: &Url, transport: Transport) -> Result<(), &'static str> {
    let permitted = match url.scheme() {
        "http" => transport == Transport::LoopbackToo && is_loopback(url),
        _ => true,
    };
    if permitted { Ok(()) } else { Err("not https") }
}

/// Whether a URL of the web stands as the parser would write it, apart from the `/` of an empty
/// path.
pub(crate) fn normal(text: &str, url: &Url) -> Result<(), &'static str> {
    let written = url.as_str();
    let bare = written.strip_suffix('/').filter(|_| url.path() == "/");
    // `https://host?query` is written `https://host/?query`.
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

/// The host of a URL of the web is an address, or labels of letters, digits and hyphens.
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

/// Whether it is over http to this machine.
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
