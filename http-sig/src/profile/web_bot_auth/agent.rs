//! An agent: where the keys of a signature are published
//! (draft-ietf-webbotauth-httpsig-protocol-01 §5.2.1, §5.5).

use std::net::{Ipv4Addr, Ipv6Addr};

use super::DIRECTORY_PATH;
use crate::Error;

/// A revision of draft-ietf-webbotauth-httpsig-protocol, which says what a member of
/// `Signature-Agent` is.
#[derive(Clone, Copy, Debug, Default, Eq, Hash, PartialEq)]
#[non_exhaustive]
pub enum Revision {
    /// -00 and before: a member is an origin, whose directory is at the well-known place, or has a
    /// parameter `type`.
    Draft00,
    /// -01 (October 2026): each member is the URL of a JWK Set, and has no parameters.
    #[default]
    Draft01,
}

/// How the URL of an agent leads to keys.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
#[non_exhaustive]
pub enum Discovery {
    /// The URL is that of a JWK Set ([`Revision::Draft01`]).
    JwkSet,
    /// A client ID metadata document ([`Revision::Draft00`], `type=cimd`).
    Cimd,
    /// The directory at the well-known place of an origin ([`Revision::Draft00`], no `type`).
    Directory,
    /// A JWK set ([`Revision::Draft00`], `type=jwks_uri`).
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

    /// `type` of a member in [`Revision::Draft00`]; none where it is unknown.
    pub(super) fn of_name(name: &str) -> Option<Self> {
        match name {
            "cimd" => Some(Self::Cimd),
            "directory" => Some(Self::Directory),
            "jwks_uri" => Some(Self::JwksUri),
            _ => None,
        }
    }
}

/// A member of `Signature-Agent`, which is a claim until the keys of its URL verify the request.
///
/// Only URLs in normal form are accepted (RFC 3986 §6.2.2, §6.2.3), so that two spellings are never
/// one agent: lower case, no default port, no dot segments, no needless escapes, no fragment. An
/// empty path alone counts as `/`, because the draft's own examples have it.
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
    /// The JWK Set at this URL, or in draft terms the key directory: any `https` URL, or the
    /// [well-known one](super::DIRECTORY_PATH) of a domain.
    ///
    /// # Errors
    ///
    /// `sig.agent`
    pub fn jwk_set(url: &str) -> Result<Self, Error> {
        Self::new(url, Discovery::JwkSet)
    }

    /// The directory of an origin, `https://host` or `https://host:port`, as
    /// [`Revision::Draft00`] names it.
    ///
    /// # Errors
    ///
    /// `sig.agent`
    pub fn directory(origin: &str) -> Result<Self, Error> {
        Self::new(origin, Discovery::Directory)
    }

    /// A JWK set at this URL, as [`Revision::Draft00`] names it.
    ///
    /// # Errors
    ///
    /// `sig.agent`
    pub fn jwks_uri(url: &str) -> Result<Self, Error> {
        Self::new(url, Discovery::JwksUri)
    }

    /// A client ID metadata document at this URL, as [`Revision::Draft00`] names it.
    ///
    /// # Errors
    ///
    /// `sig.agent`
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

    /// Whether the keys are at the well-known place of a domain, where a `kid` is the thumbprint of
    /// its key.
    #[must_use]
    pub fn is_well_known(&self) -> bool {
        let path = self.identifier().splitn(4, '/').nth(3).unwrap_or_default();
        DIRECTORY_PATH.strip_prefix('/') == Some(path)
    }

    /// The revision of the draft that has such a member.
    #[must_use]
    pub const fn revision(&self) -> Revision {
        match self.discovery {
            Discovery::JwkSet => Revision::Draft01,
            Discovery::Cimd | Discovery::Directory | Discovery::JwksUri => Revision::Draft00,
        }
    }

    /// How it leads to keys.
    #[must_use]
    pub const fn discovery(&self) -> Discovery {
        self.discovery
    }

    /// The URL to fetch: by `GET`, only 200 counts, no redirect is followed.
    #[must_use]
    pub fn location(&self) -> &str {
        &self.location
    }

    /// The URL that stands for the agent: the [location](Self::location) without its query.
    #[must_use]
    pub fn identifier(&self) -> &str {
        self.location.split('?').next().unwrap_or_default()
    }

    /// The member of the field: `sig1="https://crawler.example"`.
    #[must_use]
    pub fn to_member(&self, key: &str) -> String {
        let parameter = match self.discovery.name() {
            None => String::new(),
            Some(name) => format!(";type={name}"),
        };
        format!("{key}=\"{}\"{parameter}", self.value)
    }
}

/// What stands behind `https://host:port`, where that is in normal form.
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

/// A name, or an address in the one spelling that it has.
fn is_normal_host(host: &str) -> bool {
    if let Some(inner) = host.strip_prefix('[') {
        let address = inner.strip_suffix(']').map(str::parse::<Ipv6Addr>);
        return matches!(address, Some(Ok(address)) if format!("[{address}]") == host);
    }
    // What ends in a number is read as an address by browsers, in whatever spelling (`127.1`,
    // `0x7f.0.0.1`), and here in one.
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

/// A path, and perhaps a query, in normal form.
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

/// An escape in upper case, of what cannot stand there itself.
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
