//! The base URL: issuer, audience and prefix of all paths.

use aims_oauth_wire::names::Issuer;
use aims_wimse_cred::enrolment::BaseUrl;

use crate::Error;

/// A validated base URL.
#[derive(Clone, Debug)]
pub(crate) struct Base {
    issuer: Issuer,
    url: BaseUrl,
}

impl Base {
    /// Parses a base URL.
    ///
    /// # Errors
    ///
    /// `authority.base_url`.
    pub(crate) fn parse(text: &str) -> Result<Self, Error> {
        let refused = || Error::BaseUrl {
            found: BaseUrl::shown(text),
        };
        let url = BaseUrl::parse(text).ok_or_else(refused)?;
        let issuer = Issuer::loopback(text).map_err(|_malformed| refused())?;
        Ok(Self { issuer, url })
    }

    pub(crate) const fn issuer(&self) -> &Issuer {
        &self.issuer
    }

    pub(crate) fn as_str(&self) -> &str {
        self.url.as_str()
    }

    /// Returns `host[:port]`, the value of `Host`.
    pub(crate) fn authority(&self) -> &str {
        self.url.authority()
    }

    /// Returns `https`, or `http` on loopback.
    pub(crate) fn scheme(&self) -> &str {
        let whole = self.as_str();
        whole.split_once(':').map_or(whole, |(scheme, _)| scheme)
    }

    /// Returns scheme, host and port, as browsers write them in `Origin`.
    pub(crate) fn origin(&self) -> &str {
        let whole = self.as_str();
        whole.strip_suffix(self.path()).unwrap_or(whole)
    }

    /// Returns the path: `""` or such as `"/a/b"`.
    pub(crate) fn path(&self) -> &str {
        self.url.path()
    }

    /// Returns the absolute URL of a path beneath it.
    pub(crate) fn join(&self, path: &str) -> String {
        self.url.join(path)
    }
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

    /// Plain `http` outside loopback is refused, and so is every URL with several spellings (RFC
    /// 8414 §2).
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
