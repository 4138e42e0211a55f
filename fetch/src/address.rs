//! Classifies IP addresses as public or private.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// Returns whether an address is on the public internet, so that a URL from an untrusted party may
/// lead to it.
///
/// These are refused, by the IANA special-purpose registries (RFC 6890):
///
/// - unspecified, private, loopback, link-local, shared (RFC 6598), multicast, documentation,
///   benchmarking and reserved addresses;
/// - unique local and site-local addresses;
/// - IPv6 addresses that contain an IPv4 address, such as mapped, 6to4 and Teredo ones, because
///   their IPv4 address may be any of the above;
/// - the metadata services of clouds, wherever they are.
///
/// Only the well-known prefix 64:ff9b::/96 (RFC 6052 §2.1) is judged by the IPv4 address in it,
/// because behind NAT64 and DNS64 every IPv4 server has such an address.
///
/// ```
/// use aims_fetch::address::is_public;
///
/// assert!(is_public("9.9.9.9".parse()?));
/// assert!(!is_public("10.0.0.1".parse()?));
/// assert!(!is_public("169.254.169.254".parse()?)); // metadata service
/// # Ok::<(), std::net::AddrParseError>(())
/// ```
#[must_use]
pub fn is_public(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(address) => is_public_v4(address),
        IpAddr::V6(address) => is_public_v6(address),
    }
}

/// Returns whether an address belongs to a private network: private (RFC 1918), shared (RFC 6598),
/// loopback or unique local (RFC 4193).
///
/// Link-local, multicast and reserved addresses do not count, nor do the metadata services of
/// clouds. Addresses in 64:ff9b::/96 do not count either, because that prefix is only for public
/// addresses (RFC 6052 §3.1).
#[must_use]
pub fn is_private(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(address) => {
            let [a, b, ..] = address.octets();
            let shared = a == 100 && (64..=127).contains(&b);
            let own = address.is_private() || address.is_loopback() || shared;
            own && !METADATA_V4.contains(&address)
        }
        IpAddr::V6(address) => {
            let [first, second, ..] = address.segments();
            let metadata = (first, second) == AMAZON || METADATA_V6.contains(&address);
            address.is_loopback() || (first & 0xfe00 == 0xfc00 && !metadata)
        }
    }
}

fn is_public_v4(address: Ipv4Addr) -> bool {
    let [a, b, c, _] = address.octets();
    let special = matches!(
        (a, b, c),
        (0 | 10 | 127 | 224..=255, _, _)
            | (100, 64..=127, _)
            | (169, 254, _)
            | (172, 16..=31, _)
            | (192, 0, 0 | 2)
            | (192, 31, 196)
            | (192, 52, 193)
            | (192, 88, 99)
            | (192, 168, _)
            | (192, 175, 48)
            | (198, 18 | 19, _)
            | (198, 51, 100)
            | (203, 0, 113)
    );
    !special && !METADATA_V4.contains(&address)
}

fn is_public_v6(address: Ipv6Addr) -> bool {
    if let [0x0064, 0xff9b, 0, 0, 0, 0, ..] = address.segments() {
        let [.., a, b, c, d] = address.octets();
        return is_public_v4(Ipv4Addr::new(a, b, c, d));
    }
    // Only 2000::/3 is global unicast. Everything else is local, multicast, reserved, or contains
    // an IPv4 address.
    let [first, second, ..] = address.segments();
    let global = first & 0xe000 == 0x2000;
    let special = match first {
        // IETF protocol assignments with Teredo, benchmarking and ORCHID (2001::/23), and
        // documentation.
        0x2001 => second < 0x0200 || second == 0x0db8,
        // 6to4.
        0x2002 => true,
        // Documentation (RFC 9637).
        0x3fff => second & 0xf000 == 0,
        _ => false,
    };
    global && !special
}

/// Metadata services and host agents of clouds, which a URL must never lead to: Alibaba's, and
/// Azure's, which is a public address.
const METADATA_V4: [Ipv4Addr; 2] = [
    Ipv4Addr::new(100, 100, 100, 200),
    Ipv4Addr::new(168, 63, 129, 16),
];

/// Metadata services of Google, Scaleway and Oracle, which are unique local addresses.
const METADATA_V6: [Ipv6Addr; 3] = [
    Ipv6Addr::new(0xfd20, 0x00ce, 0, 0, 0, 0, 0, 0x0254),
    Ipv6Addr::new(0xfd00, 0x0042, 0, 0, 0, 0, 0, 0x0042),
    Ipv6Addr::new(0xfd00, 0xa9fe, 0xa9fe, 0, 0, 0, 0, 0x0254),
];

/// The prefix fd00:ec2::/32 of Amazon's services.
const AMAZON: (u16, u16) = (0xfd00, 0x0ec2);

#[cfg(test)]
mod tests {
    use super::*;

    fn public(text: &str) -> bool {
        is_public(text.parse().unwrap())
    }

    /// Every address that an untrusted URL must not lead to.
    #[test]
    fn what_is_not_public_is_refused() {
        for address in [
            "0.0.0.0",
            "0.1.2.3",
            "10.0.0.1",
            "100.64.0.1",
            "100.127.255.255",
            "127.0.0.1",
            "127.255.255.255",
            "169.254.169.254",
            "172.16.0.1",
            "172.31.255.255",
            "192.0.0.8",
            "192.0.2.1",
            "192.88.99.1",
            "192.168.1.1",
            "198.18.0.1",
            "198.19.255.255",
            "198.51.100.1",
            "203.0.113.9",
            "224.0.0.1",
            "239.255.255.255",
            "240.0.0.1",
            "255.255.255.255",
            "::",
            "::1",
            "::127.0.0.1",
            "::8.8.8.8",
            "::ffff:127.0.0.1",
            "::ffff:8.8.8.8",
            "64:ff9b::7f00:1",
            "64:ff9b:1::1",
            "100::1",
            "2001::1",
            "2001:0:4136:e378::1",
            "2001:10::1",
            "2001:20::1",
            "2001:2::1",
            "2001:db8::1",
            "2002:7f00:1::",
            "3fff::1",
            "3fff:fff::1",
            "4000::1",
            "5f00::1",
            "fc00::1",
            "fd00:ec2::254",
            "fe80::1",
            "fec0::1",
            "ff02::1",
        ] {
            assert!(!public(address), "{address}");
        }
    }

    #[test]
    fn what_is_private() {
        let private = |text: &str| is_private(text.parse().unwrap());
        for address in [
            "10.0.0.1",
            "100.64.0.1",
            "127.0.0.1",
            "172.16.0.1",
            "192.168.1.1",
            "::1",
            "fc00::1",
            "fd00:ec1::254",
        ] {
            assert!(private(address), "{address}");
            assert!(!public(address), "{address}");
        }
        for address in [
            "0.0.0.0",
            "8.8.8.8",
            "100.128.0.1",
            "169.254.169.254",
            "192.0.2.1",
            "224.0.0.1",
            "255.255.255.255",
            "::",
            "::ffff:10.0.0.1",
            "64:ff9b::a00:1",
            "fd00:ec2::254",
            "fe00::1",
            "fe80::1",
            "ff02::1",
        ] {
            assert!(!private(address), "{address}");
        }
    }

    /// No setting and no spelling leads to a cloud's metadata service.
    #[test]
    fn metadata_services_are_refused_everywhere() {
        for address in [
            "169.254.169.254",
            "169.254.170.2",
            "100.100.100.200",
            "168.63.129.16",
            "192.0.0.192",
            "fd00:ec2::254",
            "fd00:ec2::23",
            "fd20:ce::254",
            "fd00:42::42",
            "fd00:a9fe:a9fe::254",
            "64:ff9b::a9fe:a9fe",
            "64:ff9b::6464:64c8",
            "64:ff9b::a83f:8110",
            "::ffff:169.254.169.254",
            "::ffff:168.63.129.16",
        ] {
            assert!(!public(address), "{address}");
            assert!(!is_private(address.parse().unwrap()), "{address}");
        }
        // The neighbouring addresses are ordinary ones.
        assert!(public("168.63.129.17"));
        for address in ["100.100.100.201", "fd20:ce::255", "fd00:42::43"] {
            assert!(is_private(address.parse().unwrap()), "{address}");
        }
    }

    /// Of all IPv6 forms, only the well-known prefix stands for its IPv4 address (RFC 6052 §2.1).
    #[test]
    fn nat64_is_judged_by_the_address_within() {
        for address in ["64:ff9b::808:808", "64:ff9b::1.1.1.1", "64:ff9b::df00:1"] {
            assert!(public(address), "{address}");
            assert!(!is_private(address.parse().unwrap()), "{address}");
        }
        for address in [
            "64:ff9b::",
            "64:ff9b::10.0.0.1",
            "64:ff9b::100.64.0.1",
            "64:ff9b::127.0.0.1",
            "64:ff9b::169.254.169.254",
            "64:ff9b::192.168.0.1",
            "64:ff9b::224.0.0.1",
            "64:ff9b::255.255.255.255",
            // Other prefixes and other forms contain the same public address.
            "64:ff9b::1:808:808",
            "64:ff9b:1::808:808",
            "64:ff9b:1:808:8:800::",
            "64:ff9a::808:808",
            "64:ff9c::808:808",
            "0:64:ff9b::808:808",
            "::8.8.8.8",
            "::ffff:8.8.8.8",
            "::ffff:0:8.8.8.8",
            "2002:808:808::",
        ] {
            assert!(!public(address), "{address}");
            assert!(!is_private(address.parse().unwrap()), "{address}");
        }
    }

    #[test]
    fn what_is_public_is_not() {
        for address in [
            "1.1.1.1",
            "8.8.8.8",
            "100.63.255.255",
            "100.128.0.0",
            "172.15.0.1",
            "172.32.0.1",
            "192.0.1.1",
            "192.167.0.1",
            "198.17.0.1",
            "198.20.0.1",
            "223.255.255.255",
            "2001:4860:4860::8888",
            "2606:4700::1111",
            "2a00:1450::1",
            "3ffe::1",
        ] {
            assert!(public(address), "{address}");
        }
    }
}
