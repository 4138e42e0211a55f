//! Parses a request target as sent (RFC 9112 §3.2-3.3).

use crate::Error;

/// The parts of the target URI, not decoded.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct Target<'a> {
    pub(crate) scheme: &'a str,
    pub(crate) authority: Authority<'a>,
    /// The path without the query; empty for the authority and asterisk forms.
    pub(crate) path: &'a str,
    /// The query without its `?`.
    pub(crate) query: Option<&'a str>,
}

/// A host, and a port unless it is the default one.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct Authority<'a> {
    host: &'a str,
    port: Option<&'a str>,
}

impl<'a> Target<'a> {
    /// Parses the target of a request. A target in absolute form must name the scheme and the
    /// authority of the request.
    pub(crate) fn of(
        method: &str,
        target: &'a str,
        scheme: &'a str,
        authority: &'a str,
    ) -> Result<Self, Error> {
        let wrong = |reason| Error::Target { reason };
        if !is_scheme(scheme) {
            return Err(no_scheme());
        }
        let printable = |byte| matches!(byte, b'!'..=b'~') && byte != b'#';
        let no_form = wrong("it has no form of RFC 9112 §3.2");
        if target.is_empty() || !target.bytes().all(printable) {
            return Err(no_form);
        }
        let here = |authority, path, query| Self {
            scheme,
            authority,
            path,
            query,
        };
        if method == "CONNECT" {
            let there = Authority::parse(target, scheme).ok_or(no_form)?;
            return Ok(here(there, "", None));
        }
        let authority = Authority::parse(authority, scheme)
            .ok_or_else(|| wrong("the authority is no host with, at most, a port"))?;
        if target.starts_with('/') {
            let (path, query) = split_query(target);
            return Ok(here(authority, path, query));
        }
        if target == "*" && method == "OPTIONS" {
            return Ok(here(authority, "", None));
        }
        let (own_scheme, own_authority, rest) = split_absolute(target).ok_or(no_form)?;
        if !own_scheme.eq_ignore_ascii_case(scheme) || !authority.is(own_authority, scheme) {
            return Err(wrong(
                "it names another scheme or authority than the request came under",
            ));
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
    /// Parses host and port. The default port of the scheme and an empty port count as absent (RFC
    /// 9110 §4.2.3).
    pub(crate) fn parse(text: &'a str, scheme: &str) -> Option<Self> {
        let (host, port) = split_port(text);
        let port = port.unwrap_or_default();
        let is_port = port.bytes().all(|byte| byte.is_ascii_digit())
            && !port.starts_with('0')
            && (port.is_empty() || port.parse::<u16>().is_ok());
        if !is_host(host) || !is_port {
            return None;
        }
        let default = scheme.eq_ignore_ascii_case("https") && port == "443"
            || scheme.eq_ignore_ascii_case("http") && port == "80";
        Some(Self {
            host,
            port: (!port.is_empty() && !default).then_some(port),
        })
    }

    /// Returns whether a text of the same scheme names this authority.
    pub(crate) fn is(&self, text: &str, scheme: &str) -> bool {
        Authority::parse(text, scheme).is_some_and(|other| {
            self.host.eq_ignore_ascii_case(other.host) && self.port == other.port
        })
    }

    /// Appends the host in lower case, and the port.
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

/// Returns whether the scheme is one of a request with an authority.
pub(crate) const fn is_scheme(scheme: &str) -> bool {
    scheme.eq_ignore_ascii_case("https") || scheme.eq_ignore_ascii_case("http")
}

pub(crate) const fn no_scheme() -> Error {
    Error::Target {
        reason: "the scheme is neither `https` nor `http`",
    }
}

/// Splits a target in absolute form into scheme, authority and rest.
pub(crate) fn split_absolute(target: &str) -> Option<(&str, &str, &str)> {
    let (scheme, rest) = target.split_once("://")?;
    let end = rest.find(['/', '?']).unwrap_or(rest.len());
    let (authority, rest) = rest.split_at_checked(end)?;
    let named = scheme.starts_with(|char: char| char.is_ascii_alphabetic())
        && scheme
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'-' | b'.'));
    named.then_some((scheme, authority, rest))
}

/// Splits into host and port. The colons of an IPv6 address are in brackets.
pub(crate) fn split_port(text: &str) -> (&str, Option<&str>) {
    match text.rsplit_once(':') {
        Some((host, port)) if !port.ends_with(']') => (host, Some(port)),
        _ => (text, None),
    }
}

/// Returns whether the text is a name, an IPv4 address, or an IPv6 address in brackets (RFC 3986
/// §3.2.2). A name may have only the characters that DNS and container networks use.
/// Percent-encoding is refused, because parsers disagree on its meaning.
fn is_host(host: &str) -> bool {
    if let Some(address) = host.strip_prefix('[') {
        return address
            .strip_suffix(']')
            .is_some_and(|address| address.parse::<std::net::Ipv6Addr>().is_ok());
    }
    let in_name =
        |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~');
    !host.is_empty() && host.bytes().all(in_name)
}
