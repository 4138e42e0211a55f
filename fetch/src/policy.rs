//! Decides which URLs may be fetched.

use std::net::IpAddr;

use url::{Host, Url};

use crate::Error;
use crate::address::{is_private, is_public};

/// The exceptions that are allowed in addition to `https` to public addresses.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Policy {
    pub(crate) private_networks: bool,
    pub(crate) loopback_http: bool,
}

impl Policy {
    /// Parses a URL and checks that it may be fetched. A host that is an address is checked here; a
    /// host name is checked when it is resolved.
    pub(crate) fn check(self, url: &str) -> Result<Url, Error> {
        let url = parse(url)?;
        let host = url.host().ok_or(Error::Url { reason: "no host" })?;
        let loopback = match host {
            Host::Domain(name) => name == "localhost",
            Host::Ipv4(address) => address.is_loopback(),
            Host::Ipv6(address) => address.is_loopback(),
        };
        match url.scheme() {
            "https" => {}
            "http" if loopback && self.loopback_http => {}
            _ => return Err(Error::Scheme),
        }
        let address = match host {
            Host::Domain(_) => return Ok(url),
            Host::Ipv4(address) => IpAddr::V4(address),
            Host::Ipv6(address) => IpAddr::V6(address),
        };
        if self.allows(address, loopback) {
            Ok(url)
        } else {
            Err(Error::Address { address })
        }
    }

    /// Returns whether an address may be connected to. Loopback is allowed only if the URL names
    /// it; any other name that leads to loopback may be an attack.
    pub(crate) fn allows(self, address: IpAddr, named_local: bool) -> bool {
        is_public(address)
            || (self.private_networks && is_private(address))
            || (self.loopback_http && named_local && address.is_loopback())
    }
}

/// Parses an absolute URL with a host, without user information and fragment.
pub(crate) fn parse(url: &str) -> Result<Url, Error> {
    let refused = |reason| Err(Error::Url { reason });
    let Ok(url) = Url::parse(url) else {
        return Err(Error::NotUrl {
            found: crate::error::public(url),
        });
    };
    if !url.username().is_empty() || url.password().is_some() {
        return refused("user information");
    }
    if url.fragment().is_some() {
        return refused("a fragment");
    }
    if url.host().is_none() {
        return refused("no host");
    }
    Ok(url)
}
