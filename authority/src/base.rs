//! The base URL: issuer, audience, and where the paths begin.

use core::net::{Ipv4Addr, Ipv6Addr};

use crate::Error;

/// A base URL that was checked. Kept and compared as its text; never normalised (T-017).
#[derive(Clone, Debug)]
pub(crate) struct Base {
    text: String,
    /// Where `host[:port]` begins and ends.
    authority: (usize, usize),
}

impl Base {
    /// # Errors
    ///
    /// `authority.base_url`.
    pub(crate) fn parse(text: &str) -> Result<Self, Error> {
        let (scheme, rest) = text.split_once("://").ok_or(Error::BaseUrl)?;
        let authority = rest.split('/').next().unwrap_or_default();
        let (host, port) = split_port(authority).ok_or(Error::BaseUrl)?;
        let path = rest.strip_prefix(authority).unwrap_or_default();
        let good_scheme = match scheme {
            "https" => is_host(host),
            "http" => is_loopback(host),
            _ => false,
        };
        let good_port = port.is_none_or(|port| port.parse::<u16>().is_ok_and(|it| it != 0));
        if !good_scheme || !good_port || !is_path(path) || text.len() > 1_024 {
            return Err(Error::BaseUrl);
        }
        let start = scheme.len() + "://".len();
        Ok(Self {
            text: text.to_owned(),
            authority: (start, start + authority.len()),
        })
    }

    pub(crate) fn as_str(&self) -> &str {
        &self.text
    }

    /// `host[:port]`, as it comes in `Host`.
    pub(crate) fn authority(&self) -> &str {
        let (start, end) = self.authority;
        self.text.get(start..end).unwrap_or_default()
    }

    /// `""` or `"/a/b"`.
    pub(crate) fn path(&self) -> &str {
        self.text.get(self.authority.1..).unwrap_or_default()
    }

    /// An absolute URL beneath it.
    pub(crate) fn join(&self, path: &str) -> String {
        format!("{}{path}", self.text)
    }
}

fn split_port(authority: &str) -> Option<(&str, Option<&str>)> {
    let after = authority.rfind(']').map_or(0, |bracket| bracket + 1);
    match authority.get(after..)?.rfind(':') {
        Some(colon) => {
            let (host, port) = authority.split_at_checked(after + colon)?;
            let port = port.strip_prefix(':')?;
            port.bytes()
                .all(|byte| byte.is_ascii_digit())
                .then_some((host, Some(port)))
        }
        None => Some((authority, None)),
    }
}

/// Lower-case letters, digits and hyphens (T-092), or an IPv6 address in brackets.
fn is_host(host: &str) -> bool {
    if let Some(address) = bracketed(host) {
        return address.parse::<Ipv6Addr>().is_ok();
    }
    let label = |label: &str| {
        let inner = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
        (1..=63).contains(&label.len())
            && label.bytes().all(inner)
            && !label.starts_with('-')
            && !label.ends_with('-')
    };
    host.len() <= 253 && host.split('.').all(label)
}

fn bracketed(host: &str) -> Option<&str> {
    host.strip_prefix('[')?.strip_suffix(']')
}

fn is_loopback(host: &str) -> bool {
    host == "localhost"
        || host.parse::<Ipv4Addr>().is_ok_and(|it| it.is_loopback())
        || bracketed(host)
            .and_then(|it| it.parse::<Ipv6Addr>().ok())
            .is_some_and(|it| it.is_loopback())
}

/// Empty, or segments of unreserved characters, none of them empty or dots.
fn is_path(path: &str) -> bool {
    let segment = |segment: &str| {
        let good = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~".contains(&byte);
        !segment.is_empty() && segment != "." && segment != ".." && segment.bytes().all(good)
    };
    path.is_empty()
        || path
            .strip_prefix('/')
            .is_some_and(|rest| rest.split('/').all(segment))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn good_urls_fall_into_their_parts() {
        for (text, authority, path) in [
            ("http://127.0.0.1:8080", "127.0.0.1:8080", ""),
            ("http://localhost", "localhost", ""),
            ("http://[::1]:9/a", "[::1]:9", "/a"),
            ("https://as.example", "as.example", ""),
            (
                "https://as.example:8443/tenant/1",
                "as.example:8443",
                "/tenant/1",
            ),
        ] {
            let base = Base::parse(text).unwrap();
            assert_eq!(
                (base.as_str(), base.authority(), base.path()),
                (text, authority, path)
            );
            assert_eq!(base.join("/token"), format!("{text}/token"));
        }
    }

    /// META-01, T-092, T-160: no plain `http` but on loopback, and nothing that could be spelled in
    /// two ways.
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
            "https://as.example:65536",
            "https://as.example:+1",
            "https://[::1",
            "https://[::1]x",
            "https://[nope]",
        ] {
            assert_eq!(
                Base::parse(text).unwrap_err().code(),
                "authority.base_url",
                "{text}"
            );
        }
    }
}
