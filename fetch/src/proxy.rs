//! The proxy of a network without another way out.

use std::env::{self, VarError};
use std::fmt;

use url::{Host, Url};

use crate::Error;
use crate::address::{is_private, is_public};

/// The setting of a proxy. [`checked`](Self::checked) validates it.
#[derive(Clone)]
pub(crate) struct ProxySetting {
    url: String,
    /// The hosts that are connected to directly, in the format of `NO_PROXY`.
    except: Option<String>,
}

/// A validated proxy.
pub(crate) struct Proxy {
    pub(crate) reqwest: reqwest::Proxy,
    /// The host name of the proxy, if it is not an IP address.
    pub(crate) name: Option<String>,
    /// Whether the connection to the proxy itself is TLS.
    pub(crate) is_tls: bool,
}

impl ProxySetting {
    pub(crate) fn named(url: &str) -> Self {
        let except = None;
        let url = url.to_owned();
        Self { url, except }
    }

    /// Returns the proxy that the environment names.
    pub(crate) fn from_env() -> Option<Self> {
        Self::from_variables(|name| match env::var(name) {
            Ok(value) => Some(value),
            Err(VarError::NotPresent) => None,
            // The variable is set but not usable, which is not the same as no proxy.
            Err(VarError::NotUnicode(_)) => Some("\u{fffd}".to_owned()),
        })
    }

    fn from_variables(variable: impl Fn(&str) -> Option<String>) -> Option<Self> {
        let first = |names: &[&str]| {
            let mut values = names.iter().filter_map(|name| variable(name));
            values.find(|value| !value.trim().is_empty())
        };
        let url = first(&["https_proxy", "HTTPS_PROXY", "all_proxy", "ALL_PROXY"])?;
        let url = url.trim();
        let url = if url.contains("://") {
            url.to_owned()
        } else {
            format!("http://{url}")
        };
        let except = first(&["no_proxy", "NO_PROXY"]);
        Some(Self { url, except })
    }

    /// Validates the URL: an HTTP proxy, whose address may be private or loopback, but not a
    /// metadata service.
    pub(crate) fn checked(&self) -> Result<Proxy, Error> {
        let refused = |reason| Err(Error::Proxy { reason });
        let Ok(url) = Url::parse(&self.url) else {
            return refused("expected an absolute URL such as `http://proxy.example:3128`");
        };
        if !matches!(url.scheme(), "http" | "https") {
            return refused("expected a URL with the scheme `http` or `https`");
        }
        if url.path() != "/" || url.query().is_some() || url.fragment().is_some() {
            return refused("expected a URL without a path, a query and a fragment");
        }
        let (name, address) = match url.host() {
            None => return refused("expected a URL with a host"),
            Some(Host::Domain(name)) => (Some(name.to_owned()), None),
            Some(Host::Ipv4(address)) => (None, Some(address.into())),
            Some(Host::Ipv6(address)) => (None, Some(address.into())),
        };
        if address.is_some_and(|it| !is_public(it) && !is_private(it)) {
            return refused("expected a public, private or loopback address");
        }
        let is_tls = url.scheme() == "https";
        let reqwest = reqwest::Proxy::https(url).or(Err(Error::Proxy {
            reason: "expected a URL that can be connected to",
        }))?;
        let except = self.except.as_deref();
        let except = except.and_then(reqwest::NoProxy::from_string);
        let reqwest = reqwest.no_proxy(except);
        Ok(Proxy {
            reqwest,
            name,
            is_tls,
        })
    }
}

/// Omits user and password.
impl fmt::Debug for ProxySetting {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let url = Url::parse(&self.url).ok();
        let host = url.as_ref().and_then(Url::host_str).unwrap_or("?");
        f.debug_struct("Proxy")
            .field("host", &host)
            .field("port", &url.as_ref().and_then(Url::port_or_known_default))
            .field("except", &self.except)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn from(variables: &[(&str, &str)]) -> Option<(String, Option<String>)> {
        let value = |name: &str| {
            let found = variables.iter().find(|(it, _)| *it == name);
            found.map(|(_, value)| (*value).to_owned())
        };
        ProxySetting::from_variables(value).map(|it| (it.url, it.except))
    }

    #[test]
    fn the_environment_names_a_proxy() {
        assert_eq!(from(&[]), None);
        assert_eq!(from(&[("HTTPS_PROXY", "")]), None);
        assert_eq!(
            from(&[("HTTP_PROXY", "http://p:1"), ("NO_PROXY", "*")]),
            None
        );
        for (variables, url, except) in [
            (&[("HTTPS_PROXY", "http://p:1")][..], "http://p:1", None),
            (&[("https_proxy", "p:1")], "http://p:1", None),
            (&[("ALL_PROXY", "https://p")], "https://p", None),
            (
                &[("HTTPS_PROXY", "http://p:1"), ("ALL_PROXY", "http://q:1")],
                "http://p:1",
                None,
            ),
            (
                &[("HTTPS_PROXY", "http://p:1"), ("NO_PROXY", "a.example")],
                "http://p:1",
                Some("a.example"),
            ),
        ] {
            let expected = (url.to_owned(), except.map(str::to_owned));
            assert_eq!(from(variables), Some(expected), "{variables:?}");
        }
    }

    #[test]
    fn the_url_is_judged() {
        let checked = |url: &str| ProxySetting::named(url).checked().map(|it| it.name);
        for url in [
            "http://proxy.example:3128",
            "https://proxy.example/",
            "http://user:secret@proxy.example:3128",
        ] {
            let name = checked(url).unwrap();
            assert_eq!(name.as_deref(), Some("proxy.example"), "{url}");
        }
        for url in ["http://127.0.0.1:3128", "http://[::1]:1", "http://10.0.0.1"] {
            assert_eq!(checked(url).unwrap(), None, "{url}");
        }
        for url in [
            "",
            "proxy",
            "proxy.example:3128",
            "socks5://proxy.example",
            "file:///proxy",
            "http://proxy.example/path",
            "http://proxy.example/?a",
            "http://proxy.example/#a",
            "http://169.254.169.254",
            "http://[fd00:ec2::254]",
            "http://0.0.0.0:3128",
            "\u{fffd}",
        ] {
            let error = checked(url).unwrap_err();
            assert_eq!(error.code(), "fetch.proxy", "{url}");
        }
    }

    #[test]
    fn credentials_are_not_printed() {
        let named = ProxySetting::named("http://user:secret@proxy.example:3128");
        let shown = format!("{named:?}");
        assert!(
            shown.contains("proxy.example") && shown.contains("3128"),
            "{shown}"
        );
        assert!(
            !shown.contains("secret") && !shown.contains("user"),
            "{shown}"
        );
        let error = ProxySetting::named("socks5://user:secret@p").checked();
        let error = error.err().unwrap();
        assert!(!format!("{error} {error:?}").contains("secret"));
    }
}
