//! Request targets and `Host` (RFC 9112 §3.2, RFC 3986, RFC 9110 §7.2).

use core::net::Ipv6Addr;

use crate::Error;

/// A target has a form that its method may have, and the characters of a URI without a fragment.
pub(super) fn check(method: &str, target: &str) -> Result<(), Error> {
    let good = match method {
        "CONNECT" => is_host(target) && has_port(target),
        "OPTIONS" if target == "*" => true,
        _ if target.starts_with('/') => is_path_and_query(target),
        _ => absolute(target)
            .is_some_and(|(_, authority, rest)| is_host(authority) && is_path_and_query(rest)),
    };
    good.then_some(()).ok_or(Error::Http1Target)
}

/// An absolute form names the configured scheme and the authority of `Host`, `CONNECT` that authority: what lies between may have looked at either.
pub(super) fn agrees(method: &str, target: &str, scheme: &str, host: &str) -> bool {
    if method == "CONNECT" {
        return target.eq_ignore_ascii_case(host);
    }
    match absolute(target) {
        Some((own, authority, _)) if !target.starts_with('/') => {
            own.eq_ignore_ascii_case(scheme) && authority.eq_ignore_ascii_case(host)
        }
        _ => true,
    }
}

/// Scheme, authority and the rest.
fn absolute(target: &str) -> Option<(&str, &str, &str)> {
    let (scheme, rest) = target.split_once("://")?;
    let mut bytes = scheme.bytes();
    let named = bytes.next().is_some_and(|b| b.is_ascii_alphabetic())
        && bytes.all(|b| b.is_ascii_alphanumeric() || matches!(b, b'+' | b'-' | b'.'));
    let end = rest.find(['/', '?']).unwrap_or(rest.len());
    let (authority, rest) = rest.split_at_checked(end)?;
    named.then_some((scheme, authority, rest))
}

fn is_path_and_query(text: &str) -> bool {
    let mut bytes = text.bytes();
    while let Some(byte) = bytes.next() {
        let good = match byte {
            b'%' => [bytes.next(), bytes.next()]
                .iter()
                .all(|digit| digit.is_some_and(|it| it.is_ascii_hexdigit())),
            b'-' | b'.' | b'_' | b'~' | b'!' | b'$' | b'&' | b'\'' | b'(' | b')' | b'*' | b'+'
            | b',' | b';' | b'=' | b':' | b'@' | b'/' | b'?' => true,
            other => other.is_ascii_alphanumeric(),
        };
        if !good {
            return false;
        }
    }
    true
}

/// A name or an address, and at most a port. No user, and of a name only what names have in DNS and in container networks.
pub(super) fn is_host(text: &str) -> bool {
    let (host, port) = split(text);
    let named = match host
        .strip_prefix('[')
        .and_then(|rest| rest.strip_suffix(']'))
    {
        Some(address) => address.parse::<Ipv6Addr>().is_ok(),
        None => {
            let name = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'.' | b'_' | b'~');
            !host.is_empty() && host.bytes().all(name)
        }
    };
    let digits = |port: &str| port.bytes().all(|b| b.is_ascii_digit());
    named && port.is_none_or(|port| digits(port) && port.parse::<u16>().is_ok())
}

fn has_port(text: &str) -> bool {
    split(text).1.is_some()
}

/// Host and port; the colons of an IPv6 address stand in brackets.
fn split(text: &str) -> (&str, Option<&str>) {
    match text.rsplit_once(':') {
        Some((host, port)) if !port.ends_with(']') => (host, Some(port)),
        _ => (text, None),
    }
}
