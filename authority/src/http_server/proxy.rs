//! The address of a client behind a proxy.

use core::net::IpAddr;

use http::{HeaderMap, HeaderName};

/// A proxy that names the address of its client in a header field.
#[derive(Clone, Debug)]
pub(super) struct Proxy {
    pub(super) address: IpAddr,
    pub(super) field: HeaderName,
}

/// Returns the address of the client of a request from `peer`.
///
/// It is that of the peer, unless the peer is one of the proxies. A proxy appends the address of
/// its client to the field, so the last one counts; those before it are from the client. If the
/// proxy names none, all its clients are one source.
pub(super) fn client(proxies: &[Proxy], peer: IpAddr, headers: &HeaderMap) -> IpAddr {
    let peer = peer.to_canonical();
    let proxy = proxies.iter().find(|it| it.address.to_canonical() == peer);
    let named = proxy.and_then(|proxy| {
        let last = headers.get_all(&proxy.field).iter().next_back()?;
        let last = last.to_str().ok()?.rsplit(',').next()?.trim();
        last.parse::<IpAddr>().ok()
    });
    named.unwrap_or(peer)
}

#[cfg(test)]
mod tests {
    use super::*;

    const FIELD: HeaderName = HeaderName::from_static("x-forwarded-for");

    fn seen(peer: &str, values: &[&str]) -> String {
        let proxies = [Proxy {
            address: "127.0.0.1".parse().unwrap(),
            field: FIELD,
        }];
        let values = values.iter().map(|value| (FIELD, value.parse().unwrap()));
        let headers: HeaderMap = values.collect();
        client(&proxies, peer.parse().unwrap(), &headers).to_string()
    }

    #[test]
    fn the_last_address_is_that_of_the_client() {
        assert_eq!(seen("127.0.0.1", &["192.0.2.7"]), "192.0.2.7");
        assert_eq!(seen("::ffff:127.0.0.1", &["2001:db8::7"]), "2001:db8::7");
        // A client that names addresses itself gains nothing.
        assert_eq!(seen("127.0.0.1", &["10.0.0.1, 192.0.2.7"]), "192.0.2.7");
        assert_eq!(seen("127.0.0.1", &["10.0.0.1", "192.0.2.7"]), "192.0.2.7");
    }

    #[test]
    fn only_a_configured_proxy_names_a_client() {
        assert_eq!(seen("127.0.0.2", &["192.0.2.7"]), "127.0.0.2");
        for values in [&[][..], &["unknown"], &["192.0.2.7,"], &["192.0.2.7:80"]] {
            assert_eq!(seen("127.0.0.1", values), "127.0.0.1", "{values:?}");
        }
    }
}
