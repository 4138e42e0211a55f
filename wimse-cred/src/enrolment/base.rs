//! The base URL of an identity server.

use std::net::{Ipv4Addr, Ipv6Addr};

/// A validated base URL: `https`, or `http` with a loopback host.
///
/// The URL is the audience of proofs, so each URL has exactly one spelling. The host is in normal
/// form, without a default port. The path has unreserved characters only, and no `/` at its end.
/// There is no query. Two URLs are compared as text.
///
/// ```
/// use aims_wimse_cred::enrolment::BaseUrl;
///
/// let base = BaseUrl::parse("https://as.example:8443/tenant").ok_or("not a base URL")?;
/// assert_eq!((base.authority(), base.path()), ("as.example:8443", "/tenant"));
/// assert_eq!(base.join("/token"), "https://as.example:8443/tenant/token");
/// assert!(BaseUrl::parse("https://as.example/").is_none());
/// # Ok::<(), &str>(())
/// ```
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct BaseUrl {
    text: Box<str>,
    /// The start and end of `host[:port]` in the text.
    authority: (usize, usize),
}

impl BaseUrl {
    /// Parses a base URL. Returns `None` if the text is not one.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
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
        let path = text.len().checked_sub(path.len())?;
        let start = path.checked_sub(authority.len())?;
        fits.then(|| Self {
            text: text.into(),
            authority: (start, path),
        })
    }

    /// Formats a text that is not a base URL for a message. It removes parts that may be a password
    /// or a secret.
    #[must_use]
    pub fn shown(text: &str) -> Box<str> {
        let public = text.split(['?', '#']).next().unwrap_or_default();
        match public.rsplit_once('@') {
            Some((_secret, rest)) => aims_error::shown([format!("…@{rest}").as_str()]),
            None => aims_error::shown([public]),
        }
    }

    /// Returns the URL as it was written.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// Returns `host[:port]`, the value of the field `Host`.
    #[must_use]
    pub fn authority(&self) -> &str {
        let (start, end) = self.authority;
        self.text.get(start..end).unwrap_or_default()
    }

    /// Returns the path: `""`, or such as `"/a/b"`.
    #[must_use]
    pub fn path(&self) -> &str {
        self.text.get(self.authority.1..).unwrap_or_default()
    }

    /// Returns the absolute URL of a path beneath this URL. `path` begins with `/`.
    #[must_use]
    pub fn join(&self, path: &str) -> String {
        format!("{}{path}", self.text)
    }
}

/// Splits into the host, with its brackets if any, and the text after `:`.
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

/// Returns whether the host is a loopback host, or `None` if it is not a host in normal form.
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

/// Returns whether the text is a number from 1 to 65535 without leading zeros.
fn is_port(text: &str) -> bool {
    let digits = text.bytes().all(|byte| byte.is_ascii_digit());
    digits && !text.starts_with('0') && text.parse::<u16>().is_ok()
}

/// Returns whether the path is empty, or consists of segments of unreserved characters.
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
            ("https://10.0.0.1", "10.0.0.1", ""),
        ] {
            let base = BaseUrl::parse(text).unwrap();
            assert_eq!(base.join("/identity/wit"), format!("{text}/identity/wit"));
            let parts = (base.as_str(), base.authority(), base.path());
            assert_eq!(parts, (text, authority, path));
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
            assert!(BaseUrl::parse(text).is_none(), "{text}");
        }
    }

    #[test]
    fn a_refused_url_is_shown_without_secrets() {
        for (text, shown) in [
            ("https://as.example/", r#""https://as.example/""#),
            ("as\u{1b}", r#""as\u{1b}""#),
            ("https://me:pa@ss@as.example/a?key=1", r#""…@as.example/a""#),
            ("https://as.example#t", r#""https://as.example""#),
            ("", r#""""#),
        ] {
            assert_eq!(&*BaseUrl::shown(text), shown);
        }
        let long = "x".repeat(10_000);
        assert_eq!(BaseUrl::shown(&long).chars().count(), 200);
    }

    proptest::proptest! {
        /// The parser either refuses a text, or its parts make up the whole text.
        #[test]
        fn parts_are_the_whole(text in "(https?://)?[a-z0-9.:/\\[\\]@?#%\\-]{0,30}|.*") {
            if let Some(base) = BaseUrl::parse(&text) {
                let (scheme, _) = text.split_once("://").unwrap();
                let parts = format!("{scheme}://{}{}", base.authority(), base.path());
                proptest::prop_assert_eq!(parts, text);
            }
        }
    }
}
