//! A request target, taken apart as it stands on the wire (RFC 9112 §3.2-3.3).

use crate::Error;

/// The parts of the target URI; nothing is decoded.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct Target<'a> {
    pub(crate) scheme: &'a str,
    pub(crate) authority: Authority<'a>,
    /// Without the query; empty for the authority and asterisk forms.
    pub(crate) path: &'a str,
    /// Without its `?`.
    pub(crate) query: Option<&'a str>,
}

/// A host and a port that is not the default one.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct Authority<'a> {
    host: &'a str,
    port: Option<&'a str>,
}

impl<'a> Target<'a> {
    /// Takes a request's own words apart.
    ///
    /// A target in absolute form must name the scheme and the authority under which the request came (T-064).
    pub(crate) fn of(
        method: &str,
        target: &'a str,
        scheme: &'a str,
        authority: &'a str,
    ) -> Result<Self, Error> {
        let printable = |byte| matches!(byte, b'!'..=b'~') && byte != b'#';
        if target.is_empty() || !target.bytes().all(printable) {
            return Err(Error::Target);
        }
        let here = |authority, path, query| Self {
            scheme,
            authority,
            path,
            query,
        };
        if !is_scheme(scheme) {
            return Err(Error::Target);
        }
        if method == "CONNECT" {
            let there = Authority::parse(target, scheme)?;
            return Ok(here(there, "", None));
        }
        let authority = Authority::parse(authority, scheme)?;
        if target.starts_with('/') {
            let (path, query) = split_query(target);
            return Ok(here(authority, path, query));
        }
        if target == "*" && method == "OPTIONS" {
            return Ok(here(authority, "", None));
        }
        let (own_scheme, rest) = target.split_once("://").ok_or(Error::Target)?;
        let end = rest.find(['/', '?']).unwrap_or(rest.len());
        let (own_authority, rest) = rest.split_at_checked(end).ok_or(Error::Target)?;
        let own_authority = Authority::parse(own_authority, own_scheme)?;
        if !own_scheme.eq_ignore_ascii_case(scheme) || !own_authority.is(&authority) {
            return Err(Error::Target);
        }
        let (path, query) = split_query(rest);
        let path = if path.is_empty() { "/" } else { path };
        Ok(here(authority, path, query))
    }

    /// Appends the scheme, in lower case.
    pub(crate) fn write_scheme(&self, out: &mut Vec<u8>) {
        out.extend(self.scheme.bytes().map(|byte| byte.to_ascii_lowercase()));
    }
}

impl<'a> Authority<'a> {
    fn parse(text: &'a str, scheme: &str) -> Result<Self, Error> {
        let (host, port) = match text.rfind(':') {
            Some(at) if !text.ends_with(']') => {
                let (host, port) = text.split_at_checked(at).ok_or(Error::Target)?;
                (host, port.strip_prefix(':').unwrap_or_default())
            }
            _ => (text, ""),
        };
        let is_port = port.bytes().all(|byte| byte.is_ascii_digit())
            && !port.starts_with('0')
            && (port.is_empty() || port.parse::<u16>().is_ok());
        if !is_host(host) || !is_port {
            return Err(Error::Target);
        }
        let default = scheme.eq_ignore_ascii_case("https") && port == "443"
            || scheme.eq_ignore_ascii_case("http") && port == "80";
        Ok(Self {
            host,
            port: (!port.is_empty() && !default).then_some(port),
        })
    }

    fn is(&self, other: &Self) -> bool {
        self.host.eq_ignore_ascii_case(other.host) && self.port == other.port
    }

    /// Appends host, in lower case, and port.
    pub(crate) fn write(&self, out: &mut Vec<u8>) {
        out.extend(self.host.bytes().map(|byte| byte.to_ascii_lowercase()));
        if let Some(port) = self.port {
            out.push(b':');
            out.extend_from_slice(port.as_bytes());
        }
    }
}

fn split_query(text: &str) -> (&str, Option<&str>) {
    text.split_once('?')
        .map_or((text, None), |(path, query)| (path, Some(query)))
}

fn is_scheme(scheme: &str) -> bool {
    scheme.starts_with(|char: char| char.is_ascii_alphabetic())
        && scheme
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'-' | b'.'))
}

/// A name, an IPv4 address, or an IPv6 address in brackets (RFC 3986 §3.2.2).
fn is_host(host: &str) -> bool {
    if let Some(address) = host.strip_prefix('[') {
        return address
            .strip_suffix(']')
            .is_some_and(|address| address.parse::<std::net::Ipv6Addr>().is_ok());
    }
    let in_name = |byte: u8| {
        byte.is_ascii_alphanumeric()
            || matches!(
                byte,
                b'-' | b'.'
                    | b'_'
                    | b'~'
                    | b'%'
                    | b'!'
                    | b'$'
                    | b'&'
                    | b'\''
                    | b'('
                    | b')'
                    | b'*'
                    | b'+'
                    | b','
                    | b';'
                    | b'='
            )
    };
    !host.is_empty() && host.bytes().all(in_name)
}
