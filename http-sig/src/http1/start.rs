//! Request lines and status lines (RFC 9112 §3, §4).

use super::lines::token;
use super::target;
use crate::Error;

const VERSION: &[u8] = b"HTTP/1.1";

/// Parses method and target. Exactly one space separates the three parts (RFC 9112 §3).
pub(super) fn request(line: &[u8]) -> Result<(&str, &str), Error> {
    let mut parts = line.split(|b| *b == b' ');
    let mut next = || parts.next();
    let (Some(method), Some(target), Some(version), None) = (next(), next(), next(), next()) else {
        return Err(Error::Http1StartLine);
    };
    let method = token(method).ok_or(Error::Http1Method)?;
    let target = core::str::from_utf8(target).or(Err(Error::Http1Target))?;
    target::check(method, target)?;
    if version != VERSION {
        return Err(Error::Http1Version);
    }
    Ok((method, target))
}

/// Parses the status code. The reason may be empty, but the space before it is required (RFC 9112
/// §4).
pub(super) fn status(line: &[u8]) -> Result<u16, Error> {
    let (version, rest) = line
        .split_at_checked(VERSION.len())
        .ok_or(Error::Http1StartLine)?;
    if version != VERSION {
        let other = version.starts_with(b"HTTP/");
        return Err(if other {
            Error::Http1Version
        } else {
            Error::Http1StartLine
        });
    }
    let [
        b' ',
        hundreds @ b'1'..=b'5',
        tens @ b'0'..=b'9',
        ones @ b'0'..=b'9',
        b' ',
        reason @ ..,
    ] = rest
    else {
        return Err(Error::Http1StartLine);
    };
    if reason.iter().any(|b| b.is_ascii_control() && *b != b'\t') {
        return Err(Error::Http1StartLine);
    }
    let digit = |byte: &u8| u16::from(byte - b'0');
    Ok(digit(hundreds) * 100 + digit(tens) * 10 + digit(ones))
}
