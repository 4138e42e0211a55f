//! The base URL of an identity server.

use std::net::{Ipv4Addr, Ipv6Addr};

/// A base URL that was checked: `https`, or `http` on loopback, beneath which paths can stand.
/// Compared as its text and never normalised: it is the audience of proofs.
#[derive(Clone, Debug)]
pub(super) struct Base(Box<str>);

impl Base {
    pub(super) fn parse(text: &str) -> Option<Self> {
        let (scheme, rest) = text.split_once("://")?;
        let authority = rest.split('/').next()?;
        let path = rest.strip_prefix(authority)?;
        let (host, port) = split_port(authority)?;
        let is_loopback = loopback(host)?;
        let scheme_fits = match scheme {
            "https" => port != Some("443"),
            "http" => is_loopback && port != Some("80"),
            _ => false,
        };
        let fits = scheme_fits && port.is_none_or(is_port) && is_path(path);
        fits.then(|| Self(text.into()))
    }

    pub(super) fn as_str(&self) -> &str {
        &self.0
    }

    /// An absolute URL beneath it.
    pub(super) fn join(&self, path: &str) -> String {
        format!("{}{path}", self.0)
    }
}

/// The host, in brackets where it is, and the text after its `:`.
fn split_port(authority: &str) -> Option<(&str, Option<&str>)> {
    let host_ends = match authority.starts_with('[') {
        true => authority.find(']')?.checked_add(1)?,
        false => authority.find(':').unwrap_or(authority.len()),
    };
    let (host, rest) = authority.split_at_checked(host_ends)?;
    match rest {
        "" => Some((host, None)),
        rest => Some((host, Some(rest.strip_prefix(':')?))),
    }
}

/// Whether the host is on this machine; `None` where it is no host in normal form.
fn loopback(host: &str) -> Option<bool> {
    if let Some(rest) = host.strip_prefix('[') {
        let text = rest.strip_suffix(']')?;
        let address: Ipv6Addr = text.parse().ok()?;
        return (address.to_string() == text).then(|| address.is_loopback());
    }
    let last = host.rsplit('.').next()?;
    if last.bytes().all(|byte| byte.is_ascii_digit()) {
        let address: Ipv4Addr = host.parse().ok()?;
        return Some(address.is_loopback());
    }
    let plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    let label = |label: &str| {
        (1..=63).contains(&label.len())
            && !label.starts_with('-')
            && !label.ends_with('-')
            && label.bytes().all(plain)
    };
    let fits = host.len() <= 253 && host.split('.').all(label);
    fits.then(|| host == "localhost")
}

/// From 1 to 65535, without leading zeros.
fn is_port(text: &str) -> bool {
    let digits = text.bytes().all(|byte| byte.is_ascii_digit());
    digits && !text.starts_with('0') && text.parse::<u16>().is_ok()
}

/// Empty, or segments of unreserved characters.
fn is_path(path: &str) -> bool {
    let good = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~".contains(&byte);
    let segment = |segment: &str| !matches!(segment, "" | "." | "..") && segment.bytes().all(good);
    path.is_empty()
        || path
            .strip_prefix('/')
            .is_some_and(|rest| rest.split('/').all(segment))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn base_urls() {
        for text in [
            "http://127.0.0.1:8080",
            "http://localhost",
            "http://[::1]:9/a",
            "https://as.example",
            "https://as.example:8443/tenant/1",
            "https://10.0.0.1",
        ] {
            let base = Base::parse(text).unwrap();
            assert_eq!(base.join("/identity/wit"), format!("{text}/identity/wit"));
        }
    }

    #[test]
    fn other_urls_are_refused() {
        for text in [
            "",
            "as.example",
            "ftp://as.example",
            "HTTPS://as.example",
            "http://as.example",
            "http://127.0.0.1.example",
            "http://10.0.0.1",
            "https://",
            "https://as.example/",
            "https://as.example//a",
            "https://as.example/a/../b",
            "https://as.example/%61",
            "https://as.example?q",
            "https://as.example#f",
            "https://user@as.example",
            "https://AS.example",
            "https://as..example",
            "https://-as.example",
            "https://äs.example",
            "https://as.example:",
            "https://as.example:0",
            "https://as.example:080",
            "https://as.example:443",
            "https://as.example:65536",
            "https://as.example:+1",
            "https://127.1",
            "https://[::1",
            "https://[::1]x",
            "https://[0::1]",
            "https://[nope]",
        ] {
            assert!(Base::parse(text).is_none(), "{text}");
        }
    }
}
