//! Request targets and `Host` (RFC 9112 §3.2, RFC 3986, RFC 9110 §7.2).

use crate::Error;
use crate::target::{Authority, split_absolute, split_port};

/// Checks that the target has a form that its method allows, and the characters of a URI without a
/// fragment.
pub(super) fn check(method: &str, target: &str) -> Result<(), Error> {
    let is_authority = |text| Authority::parse(text, "").is_some();
    let good = match method {
        "CONNECT" => {
            let port = split_port(target).1;
            is_authority(target) && port.is_some_and(|port| !port.is_empty())
        }
        "OPTIONS" if target == "*" => true,
        _ if target.starts_with('/') => is_path_and_query(target),
        _ => split_absolute(target)
            .is_some_and(|(_, authority, rest)| is_authority(authority) && is_path_and_query(rest)),
    };
    good.then_some(()).ok_or(Error::Http1Target)
}

/// Checks that a target in absolute form names the configured scheme and the authority of `Host`.
/// An intermediary may have used either of them.
///
/// The target of `CONNECT` must equal `Host` exactly, because without a scheme there is no default
/// port to leave out (RFC 9110 §9.3.6).
pub(super) fn agrees(method: &str, target: &str, scheme: &str, host: &str) -> bool {
    if method == "CONNECT" {
        return target.eq_ignore_ascii_case(host);
    }
    match split_absolute(target) {
        Some((own, authority, _)) if !target.starts_with('/') => {
            let host = Authority::parse(host, scheme);
            own.eq_ignore_ascii_case(scheme) && host.is_some_and(|host| host.is(authority, scheme))
        }
        _ => true,
    }
}

fn is_path_and_query(text: &str) -> bool {
    let mut bytes = text.bytes();
    while let Some(byte) = bytes.next() {
        let good = match byte {
            b'%' => [bytes.next(), bytes.next()]
                .iter()
                .all(|digit| digit.is_some_and(|it| it.is_ascii_hexdigit())),
            b'-' | b'.' | b'_' | b'~' | b'!' | b'$' | b'&' | b'\'' | b'(' | b')' | b'*' | b'+'
            | b',' | b';' | b'=' | b':' | b'@' | b'/' | b'?' => true,
            other => other.is_ascii_alphanumeric(),
        };
        if !good {
            return false;
        }
    }
    true
}
