//! The base URL: issuer, audience and prefix of all paths.

use aims_oauth_wire::names::Issuer;

use crate::Error;

/// A validated base URL: an issuer beneath which paths can stand. It is compared as its text and
/// never normalised.
#[derive(Clone, Debug)]
pub(crate) struct Base {
    issuer: Issuer,
    /// Where `host[:port]` begins and ends.
    authority: (usize, usize),
}

impl Base {
    /// # Errors
    ///
    /// `authority.base_url`.
    pub(crate) fn parse(text: &str) -> Result<Self, Error> {
        let issuer = Issuer::loopback(text).or(Err(Error::BaseUrl))?;
        let (scheme, rest) = text.split_once("://").ok_or(Error::BaseUrl)?;
        let authority = rest.split('/').next().unwrap_or_default();
        let path = rest.strip_prefix(authority).unwrap_or_default();
        // Nobody can be reached at port 0.
        if authority.ends_with(":0") || !is_path(path) {
            return Err(Error::BaseUrl);
        }
        let start = scheme.len() + "://".len();
        Ok(Self {
            issuer,
            authority: (start, start + authority.len()),
        })
    }

    pub(crate) const fn issuer(&self) -> &Issuer {
        &self.issuer
    }

    pub(crate) fn as_str(&self) -> &str {
        self.issuer.as_str()
    }

    /// `host[:port]`, as it comes in `Host`.
    pub(crate) fn authority(&self) -> &str {
        let (start, end) = self.authority;
        self.as_str().get(start..end).unwrap_or_default()
    }

    /// `""` or `"/a/b"`.
    pub(crate) fn path(&self) -> &str {
        self.as_str().get(self.authority.1..).unwrap_or_default()
    }

    /// An absolute URL beneath it.
    pub(crate) fn join(&self, path: &str) -> String {
        format!("{}{path}", self.as_str())
    }
}

/// Empty, or segments of unreserved characters, so that a router takes it literally.
fn is_path(path: &str) -> bool {
    let segment = |segment: &str| {
        let good = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~".contains(&byte);
        !segment.is_empty() && segment.bytes().all(good)
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
