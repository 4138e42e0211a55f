//! The grammar that all types share: one pass over the bytes, without allocation.

use crate::{Reason, Scheme};

/// Maximum length of an identifier in octets (SPIFFE-ID §2.3, draft-ietf-wimse-identifier §4.1).
pub(crate) const MAX_LENGTH: usize = 2048;
/// Maximum length of a trust domain in octets.
pub(crate) const MAX_TRUST_DOMAIN: usize = 255;

/// The positions of the parts of a canonical identifier in its text.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct Parts {
    pub(crate) scheme: Scheme,
    /// Length of the origin: scheme, `://` and trust domain.
    pub(crate) origin: usize,
}

/// Splits an identifier and checks every octet of it.
pub(crate) fn identifier(text: &str) -> Result<Parts, Reason> {
    let (scheme, authority, path) = split(text)?;
    trust_domain_of(scheme, authority)?;
    if path.is_empty() && scheme == Scheme::Wimse {
        return Err(Reason::PathMissing);
    }
    self::path(scheme, path)?;
    Ok(Parts {
        scheme,
        origin: text.len() - path.len(),
    })
}

/// Splits an origin, which is the text of an identifier up to the path. Accepts both schemes.
pub(crate) fn origin(text: &str) -> Result<Parts, Reason> {
    let (scheme, authority, path) = split(text)?;
    trust_domain_of(scheme, authority)?;
    match path {
        "" => Ok(Parts {
            scheme,
            origin: text.len(),
        }),
        "/" => Err(Reason::TrailingSlash),
        _ => Err(Reason::OriginPath),
    }
}

/// Checks a trust domain without a scheme, by the rules that both schemes share.
pub(crate) fn trust_domain(text: &str) -> Result<(), Reason> {
    if text.is_empty() {
        return Err(Reason::TrustDomainEmpty);
    }
    if text.len() > MAX_TRUST_DOMAIN {
        return Err(Reason::TrustDomainLength);
    }
    match text.bytes().find(|byte| !is_domain(*byte)) {
        None => Ok(()),
        Some(b'%') => Err(Reason::PercentEncoding),
        Some(b'@') => Err(Reason::UserInfo),
        Some(b':') => Err(Reason::Port),
        Some(b'?') => Err(Reason::Query),
        Some(b'#') => Err(Reason::Fragment),
        Some(_) => Err(Reason::TrustDomain),
    }
}

pub(crate) fn trust_domain_of(scheme: Scheme, text: &str) -> Result<(), Reason> {
    trust_domain(text)?;
    if scheme == Scheme::Wimse && text.ends_with('.') {
        return Err(Reason::TrustDomainTrailingDot);
    }
    Ok(())
}

/// Splits into scheme, authority and path. The path has its leading slash, or is empty.
fn split(text: &str) -> Result<(Scheme, &str, &str), Reason> {
    if text.len() > MAX_LENGTH {
        return Err(Reason::Length);
    }
    let (scheme, rest) = if let Some(rest) = text.strip_prefix("spiffe://") {
        (Scheme::Spiffe, rest)
    } else if let Some(rest) = text.strip_prefix("wimse://") {
        (Scheme::Wimse, rest)
    } else {
        return Err(Reason::Scheme);
    };
    let at = rest
        .bytes()
        .position(|byte| byte == b'/')
        .unwrap_or(rest.len());
    let (authority, path) = rest.split_at_checked(at).ok_or(Reason::Character)?;
    Ok((scheme, authority, path))
}

/// Checks a path: it is empty, or each segment follows a slash.
fn path(scheme: Scheme, path: &str) -> Result<(), Reason> {
    let Some(segments) = path.strip_prefix('/') else {
        return Ok(());
    };
    if segments.is_empty() || segments.ends_with('/') {
        // Report `//` at the end as an empty segment, not as a trailing slash.
        return Err(if segments.ends_with("//") || segments == "/" {
            Reason::EmptySegment
        } else {
            Reason::TrailingSlash
        });
    }
    // One pass: the segment that begins at `start` ends at the next slash.
    let mut start = 0;
    for (at, byte) in segments.bytes().enumerate() {
        if byte == b'/' {
            segment(segments.get(start..at).unwrap_or_default())?;
            start = at + 1;
        } else if !is_segment(scheme, byte) {
            return Err(match byte {
                b'%' => Reason::PercentEncoding,
                b'?' => Reason::Query,
                b'#' => Reason::Fragment,
                _ => Reason::Character,
            });
        }
    }
    segment(segments.get(start..).unwrap_or_default())
}

/// Checks a segment as a whole. The caller has checked its octets.
fn segment(segment: &str) -> Result<(), Reason> {
    match segment {
        "" => Err(Reason::EmptySegment),
        "." | ".." => Err(Reason::DotSegment),
        _ => Ok(()),
    }
}

fn is_domain(byte: u8) -> bool {
    allows(byte, DOMAIN)
}

fn is_segment(scheme: Scheme, byte: u8) -> bool {
    let bit = match scheme {
        Scheme::Spiffe => SPIFFE_SEGMENT,
        Scheme::Wimse => WIMSE_SEGMENT,
    };
    allows(byte, bit)
}

fn allows(byte: u8, bit: u8) -> bool {
    CLASSES
        .get(usize::from(byte))
        .is_some_and(|classes| classes & bit != 0)
}

const DOMAIN: u8 = 1;
const SPIFFE_SEGMENT: u8 = 1 << 1;
const WIMSE_SEGMENT: u8 = 1 << 2;

/// The parts in which each octet is allowed. A table lookup is several times faster than comparing
/// ranges.
static CLASSES: [u8; 256] = {
    let mut classes = [0; 256];
    let mut rest: &mut [u8] = &mut classes;
    let mut byte: u8 = 0;
    while let [class, tail @ ..] = rest {
        *class = classes_of(byte);
        byte = byte.wrapping_add(1);
        rest = tail;
    }
    classes
};

const fn classes_of(byte: u8) -> u8 {
    match byte {
        b'a'..=b'z' | b'0'..=b'9' | b'.' | b'-' | b'_' => DOMAIN | SPIFFE_SEGMENT | WIMSE_SEGMENT,
        b'A'..=b'Z' => SPIFFE_SEGMENT | WIMSE_SEGMENT,
        b'~' => WIMSE_SEGMENT,
        _ => 0,
    }
}
