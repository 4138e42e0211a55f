//! The `/` of an empty path (RFC 3986 §6.2.3), which many servers add or omit.
//!
//! Only discovery treats both spellings as equal: for the entry in a tool's `authorization_servers`
//! and the accepted issuers, for the `issuer` of a document and the requested issuer, and for
//! `resource` and the URL of the tool. After discovery, the server's own spelling is compared byte
//! for byte.

use super::{Issuer, Resource};

macro_rules! root_slash {
    ($name:ident) => {
        impl $name {
            /// Returns the other spelling of an `https` identifier with an empty path:
            /// `https://as.example/` for `https://as.example`, and the reverse. Returns `None` for
            /// every other identifier, also for one with a query.
            #[must_use]
            pub fn root_slash_variant(&self) -> Option<Self> {
                let text = Some(self.as_str()).filter(|text| text.starts_with(HTTPS))?;
                root_slash_variant(text).map(|text| Self(text.into()))
            }

            /// Returns whether discovery treats both as the same identifier: they are equal, or
            /// differ only in the `/` of an empty path (RFC 3986 §6.2.3).
            ///
            /// Use it only during discovery, never to verify a token. After discovery, compare with
            /// the server's own spelling byte for byte.
            #[must_use]
            pub fn equals_in_discovery(&self, other: &Self) -> bool {
                self == other || differ_in_root_slash(self.as_str(), other.as_str())
            }
        }
    };
}

root_slash!(Issuer);
root_slash!(Resource);

/// Returns the other spelling of an `http` or `https` URL with an empty path: with the `/` added or
/// removed (RFC 3986 §6.2.3).
///
/// Returns `None` for every other text, also for a URL with a query or a fragment.
///
/// ```
/// use aims_oauth_wire::names::root_slash_variant;
///
/// let variant = root_slash_variant("https://as.example");
/// assert_eq!(variant.as_deref(), Some("https://as.example/"));
/// assert_eq!(root_slash_variant("https://as.example/a"), None);
/// ```
#[must_use]
pub fn root_slash_variant(url: &str) -> Option<String> {
    let rest = url.strip_prefix(HTTPS);
    let rest = rest.or_else(|| url.strip_prefix("http://"))?;
    if rest.contains(['?', '#']) {
        return None;
    }
    match rest.split_once('/') {
        None if rest.is_empty() => None,
        None => Some(format!("{url}/")),
        Some((host, "")) if !host.is_empty() => url.strip_suffix('/').map(str::to_owned),
        Some(_) => None,
    }
}

/// Returns whether two `https` identifiers are different, and only by the `/` of an empty path (RFC
/// 3986 §6.2.3): `https://as.example` and `https://as.example/`.
///
/// Only discovery treats them as equal. Everything after it compares byte for byte with the
/// spelling of the server.
///
/// ```
/// use aims_oauth_wire::names::differ_in_root_slash;
///
/// assert!(differ_in_root_slash("https://as.example", "https://as.example/"));
/// assert!(!differ_in_root_slash("https://as.example/a", "https://as.example/a/"));
/// ```
#[must_use]
pub fn differ_in_root_slash(one: &str, other: &str) -> bool {
    one.starts_with(HTTPS) && root_slash_variant(one).is_some_and(|it| it == other)
}

const HTTPS: &str = "https://";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn root_slash() {
        let pair = differ_in_root_slash;
        assert!(pair("https://as.example", "https://as.example/"));
        assert!(pair("https://as.example/", "https://as.example"));
        assert!(pair("https://as.example:8443/", "https://as.example:8443"));
        for (one, other) in [
            ("https://as.example", "https://as.example"),
            ("https://as.example/", "https://as.example/"),
            ("https://as.example", "https://as.example//"),
            ("https://as.example/a", "https://as.example/a/"),
            ("https://as.example?", "https://as.example?/"),
            ("http://localhost", "http://localhost/"),
            ("https://as.example", "https://AS.example/"),
            ("https://", "https:///"),
            ("https:/", "https://"),
            ("", "/"),
        ] {
            assert!(!pair(one, other), "{one} {other}");
            assert!(!pair(other, one), "{one} {other}");
        }
    }

    #[test]
    fn variants_of_http() {
        let variant = |url| root_slash_variant(url);
        assert_eq!(
            variant("http://[::1]:9").as_deref(),
            Some("http://[::1]:9/")
        );
        assert_eq!(
            variant("http://[::1]:9/").as_deref(),
            Some("http://[::1]:9")
        );
        for url in [
            "",
            "/",
            "https:",
            "https:/",
            "https://",
            "https:///",
            "http://",
            "http:///",
            "HTTPS://as.example",
            "urn:tool",
            "https://as.example//",
            "https://as.example/a",
            "https://as.example?",
            "https://as.example/?",
            "https://as.example#",
        ] {
            assert_eq!(variant(url), None, "{url}");
        }
    }
}
