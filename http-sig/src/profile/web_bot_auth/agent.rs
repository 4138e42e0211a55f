//! The agent: the URL at which the keys of a signature are published
//! (draft-ietf-webbotauth-httpsig-protocol-01 §5.2.1, §5.5).

use std::net::{Ipv4Addr, Ipv6Addr};

use super::DIRECTORY_PATH;
use crate::Error;

/// A revision of draft-ietf-webbotauth-httpsig-protocol, which defines the members of
/// `Signature-Agent`.
#[derive(Clone, Copy, Debug, Default, Eq, Hash, PartialEq)]
#[non_exhaustive]
pub enum Revision {
    /// -00 and before: a member is an origin with a directory at the well-known path, or has a
    /// parameter `type`.
    Draft00,
    /// -01 (October 2026): each member is the URL of a JWK Set and has no parameters.
    #[default]
    Draft01,
}

/// The way from the URL of an agent to its keys.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
#[non_exhaustive]
pub enum Discovery {
    /// The URL is that of a JWK Set ([`Revision::Draft01`]).
    JwkSet,
    /// A client ID metadata document ([`Revision::Draft00`], `type=cimd`).
    Cimd,
    /// The directory at the well-known path of an origin ([`Revision::Draft00`], no `type`).
    Directory,
    /// A JWK Set ([`Revision::Draft00`], `type=jwks_uri`).
    JwksUri,
}

impl Discovery {
    const fn name(self) -> Option<&'static str> {
        match self {
            Self::JwkSet | Self::Directory => None,
            Self::Cimd => Some("cimd"),
            Self::JwksUri => Some("jwks_uri"),
        }
    }

    /// Returns the discovery for a `type` of [`Revision::Draft00`], or `None` if the type is
    /// unknown.
    pub(super) fn of_name(name: &str) -> Option<Self> {
        match name {
            "cimd" => Some(Self::Cimd),
            "directory" => Some(Self::Directory),
            "jwks_uri" => Some(Self::JwksUri),
            _ => None,
        }
    }
}

/// A member of `Signature-Agent`. It is a claim until a key of its URL verifies the request.
///
/// Only URLs in normal form are accepted (RFC 3986 §6.2.2, §6.2.3), so that an agent has one
/// spelling: lower case, no default port, no dot segments, no needless escapes, no fragment. As the
/// only exception, an empty path counts as `/`, because the examples of the draft have it.
///
/// ```
/// use aims_http_sig::profile::web_bot_auth::SignatureAgent;
///
/// let agent = SignatureAgent::jwk_set("https://crawler.example/keys?v=2")?;
/// assert_eq!(agent.location(), "https://crawler.example/keys?v=2");
/// assert_eq!(agent.identifier(), "https://crawler.example/keys");
/// assert_eq!(agent.to_member("sig1"), r#"sig1="https://crawler.example/keys?v=2""#);
/// let error = SignatureAgent::jwk_set("http://crawler.example/keys").unwrap_err();
/// assert_eq!(error.code(), "sig.agent");
/// # Ok::<(), aims_http_sig::Error>(())
/// ```
#[derive(Clone, Debug, Eq, Hash, PartialEq)]
pub struct SignatureAgent {
    value: String,
    location: String,
    discovery: Discovery,
}

impl SignatureAgent {
    /// Creates an agent whose JWK Set is at this URL: any `https` URL, or the [well-known
    /// one](super::DIRECTORY_PATH) of a domain. The draft calls it key directory.
    ///
    /// # Errors
    ///
    /// `sig.agent` if it is not an `https` URL in normal form.
    pub fn jwk_set(url: &str) -> Result<Self, Error> {
        Self::new(url, Discovery::JwkSet)
    }

    /// Creates an agent with the directory of an origin, `https://host` or `https://host:port`, as
    /// [`Revision::Draft00`] defines it.
    ///
    /// # Errors
    ///
    /// `sig.agent` if the text is not such an origin in normal form.
    pub fn directory(origin: &str) -> Result<Self, Error> {
        Self::new(origin, Discovery::Directory)
    }

    /// Creates an agent with a JWK Set at this URL, as [`Revision::Draft00`] defines it.
    ///
    /// # Errors
    ///
    /// `sig.agent` if it is not an `https` URL in normal form.
    pub fn jwks_uri(url: &str) -> Result<Self, Error> {
        Self::new(url, Discovery::JwksUri)
    }

    /// Creates an agent with a client ID metadata document at this URL, as [`Revision::Draft00`]
    /// defines it.
    ///
    /// # Errors
    ///
    /// `sig.agent` if it is not an `https` URL in normal form.
    pub fn cimd(url: &str) -> Result<Self, Error> {
        Self::new(url, Discovery::Cimd)
    }

    pub(super) fn new(value: &str, discovery: Discovery) -> Result<Self, Error> {
        let rest = after_authority(value).ok_or(Error::SignatureAgent)?;
        let location = match discovery {
            Discovery::Directory if rest.is_empty() || rest == "/" => {
                let origin = value.strip_suffix('/').unwrap_or(value);
                format!("{origin}{DIRECTORY_PATH}")
            }
            Discovery::JwkSet if rest.is_empty() => format!("{value}/"),
            Discovery::JwkSet | Discovery::Cimd | Discovery::JwksUri if is_normal_path(rest) => {
                value.to_owned()
            }
            _ => return Err(Error::SignatureAgent),
        };
        Ok(Self {
            value: value.to_owned(),
            location,
            discovery,
        })
    }

    /// Returns whether the keys are at the well-known path of a domain, where each `kid` is a
    /// thumbprint.
    #[must_use]
    pub fn is_well_known(&self) -> bool {
        let path = self.identifier().splitn(4, '/').nth(3).unwrap_or_default();
        DIRECTORY_PATH.strip_prefix('/') == Some(path)
    }

    /// Returns the revision of the draft that defines this kind of member.
    #[must_use]
    pub const fn revision(&self) -> Revision {
        match self.discovery {
            Discovery::JwkSet => Revision::Draft01,
            Discovery::Cimd | Discovery::Directory | Discovery::JwksUri => Revision::Draft00,
        }
    }

    /// Returns the way from the URL to the keys.
    #[must_use]
    pub const fn discovery(&self) -> Discovery {
        self.discovery
    }

    /// Returns the URL to fetch with `GET`. Accept status 200 only, and follow no redirect.
    #[must_use]
    pub fn location(&self) -> &str {
        &self.location
    }

    /// Returns the URL that identifies the agent: the [location](Self::location) without its query.
    #[must_use]
    pub fn identifier(&self) -> &str {
        self.location.split('?').next().unwrap_or_default()
    }

    /// Returns the member of the field, such as `sig1="https://crawler.example"`.
    #[must_use]
    pub fn to_member(&self, key: &str) -> String {
        let parameter = match self.discovery.name() {
            None => String::new(),
            Some(name) => format!(";type={name}"),
        };
        format!("{key}=\"{}\"{parameter}", self.value)
    }
}

/// Returns the text after `https://host:port`, if that part is in normal form.
fn after_authority(url: &str) -> Option<&str> {
    let rest = url.strip_prefix("https://")?;
    if url.len() > MAX_URL {
        return None;
    }
    let end = rest.find(['/', '?', '#']).unwrap_or(rest.len());
    let (authority, rest) = rest.split_at_checked(end)?;
    let (host, port) = match authority.rfind(':') {
        Some(at) if !authority.ends_with(']') => {
            let (host, port) = authority.split_at_checked(at)?;
            (host, port.get(1..))
        }
        _ => (authority, None),
    };
    let normal_port = port.is_none_or(|port| {
        let number = port.parse::<u16>();
        number.is_ok_and(|number| number != 0 && number != 443 && number.to_string() == port)
    });
    (is_normal_host(host) && normal_port).then_some(rest)
}

/// Returns whether the host is a name, or an address in its canonical spelling.
fn is_normal_host(host: &str) -> bool {
    if let Some(inner) = host.strip_prefix('[') {
        let address = inner.strip_suffix(']').map(str::parse::<Ipv6Addr>);
        return matches!(address, Some(Ok(address)) if format!("[{address}]") == host);
    }
    // Browsers parse a name that ends in a number as an address, in many spellings (`127.1`,
    // `0x7f.0.0.1`). Here only the canonical one is accepted.
    let name = host.strip_suffix('.').unwrap_or(host);
    let last = name.rsplit('.').next().unwrap_or_default();
    let is_hex = |digits: &str| digits.bytes().all(|byte| byte.is_ascii_hexdigit());
    let is_decimal = !last.is_empty() && last.bytes().all(|byte| byte.is_ascii_digit());
    if is_decimal || last.strip_prefix("0x").is_some_and(is_hex) {
        return host.parse::<Ipv4Addr>().is_ok();
    }
    let fits =
        |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b".-_".contains(&byte);
    !host.is_empty() && host.bytes().all(fits)
}

/// Returns whether the path, with its optional query, is in normal form.
fn is_normal_path(rest: &str) -> bool {
    let path = rest.split('?').next().unwrap_or_default();
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~!$&'()*+,;=:@/?".contains(&byte);
    let mut bytes = rest.bytes();
    while let Some(byte) = bytes.next() {
        let fits = if byte == b'%' {
            is_needed_escape(bytes.next(), bytes.next())
        } else {
            plain(byte)
        };
        if !fits {
            return false;
        }
    }
    path.starts_with('/')
        && path
            .split('/')
            .all(|segment| segment != "." && segment != "..")
}

/// Returns whether an escape is in upper case and of a character that must be escaped.
fn is_needed_escape(high: Option<u8>, low: Option<u8>) -> bool {
    let digit = |byte: Option<u8>| match byte {
        Some(byte @ b'0'..=b'9') => Some(byte - b'0'),
        Some(byte @ b'A'..=b'F') => Some(byte - b'A' + 10),
        _ => None,
    };
    digit(high).zip(digit(low)).is_some_and(|(high, low)| {
        let byte = (high << 4) | low;
        !(byte.is_ascii_alphanumeric() || b"-._~".contains(&byte))
    })
}

const MAX_URL: usize = 2048;
