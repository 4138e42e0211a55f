//! The path of a request, and whether it belongs to the resource of the guard.

use std::borrow::Cow;

use aims_error::{ErrorKind, shown};
use http::Uri;

use super::refused::Refused;
use crate::refusal::ErrorResponse;

/// The paths that belong to a resource.
#[derive(Debug)]
pub(super) enum Paths {
    /// Every path, because a proxy changes the paths that callers use.
    Any,
    /// This path, without its final slash, and all paths beneath it.
    Beneath(String),
}

impl Paths {
    /// Returns the paths of a resource URL, which has neither query nor fragment.
    pub(super) fn of(resource: &str) -> Self {
        let origin = external_origin(resource);
        let path = resource.strip_prefix(origin).unwrap_or_default();
        Self::Beneath(path.strip_suffix('/').unwrap_or(path).to_owned())
    }

    fn contain(&self, path: &str) -> bool {
        match self {
            Self::Any => true,
            // The resource is the whole host, whatever the form of the target.
            Self::Beneath(root) if root.is_empty() => true,
            Self::Beneath(root) => path
                .strip_prefix(root.as_str())
                .is_some_and(|rest| matches!(rest.as_bytes(), [] | [b'/', ..]) && !climbs(rest)),
        }
    }

    /// Refuses a request for a path outside the resource.
    pub(super) fn check(&self, target: &Uri, resource: &str) -> Result<(), Refused> {
        if self.contain(target.path()) {
            return Ok(());
        }
        Err(Refused::new(
            "guard.target",
            ErrorKind::Mismatch,
            ErrorResponse::Problem("the target is not of the resource that is protected here"),
            format!(
                "the path {} is outside of the resource `{resource}`: expected its path or one beneath it; call `GuardBuilder::accept_any_path` if a proxy changes the paths that callers send",
                shown([target.path()]),
            ),
        ))
    }
}

/// Returns the scheme and authority of a URL.
pub(crate) fn external_origin(url: &str) -> &str {
    let path = url
        .find("://")
        .map(|at| at.saturating_add(3))
        .and_then(|host| Some(url.get(host..)?.find(['/', '?'])?.saturating_add(host)));
    path.and_then(|at| url.get(..at)).unwrap_or(url)
}

/// Returns whether a reader could resolve the path upwards.
///
/// That is so if a segment is `..`. The dots and slashes may be percent-encoded once or several
/// times, be in overlong UTF-8, or have backslashes instead of slashes. The segment may be followed
/// by parameters (`..;x`), blanks or control characters.
fn climbs(path: &str) -> bool {
    let mut bytes = Cow::Borrowed(path.as_bytes());
    for _ in 0..MOST_ENCODINGS {
        if !bytes.contains(&b'%') {
            break;
        }
        bytes = Cow::Owned(decoded(&bytes));
    }
    let is_separator = |byte: &u8| matches!(byte, b'/' | b'\\' | 0xaf);
    bytes.split(is_separator).any(|segment| {
        let name = segment.split(|byte| *byte == b';').next();
        let shown = |byte: &&u8| !matches!(**byte, 0..=b' ' | 0x7f | 0xc0);
        let mut name = name.unwrap_or_default().iter().filter(shown);
        let is_dot = |byte: Option<&u8>| matches!(byte, Some(b'.' | 0xae));
        is_dot(name.next()) && is_dot(name.next()) && name.next().is_none()
    })
}

/// Decodes each percent-encoding once.
fn decoded(bytes: &[u8]) -> Vec<u8> {
    let digit = |byte: u8| {
        char::from(byte)
            .to_digit(16)
            .and_then(|it| u8::try_from(it).ok())
    };
    let mut plain = Vec::with_capacity(bytes.len());
    let mut rest = bytes;
    loop {
        match rest {
            [] => return plain,
            [b'%', high, low, after @ ..] => match (digit(*high), digit(*low)) {
                (Some(high), Some(low)) => {
                    plain.push(high << 4 | low);
                    rest = after;
                }
                _ => {
                    plain.push(b'%');
                    rest = rest.get(1..).unwrap_or_default();
                }
            },
            [byte, after @ ..] => {
                plain.push(*byte);
                rest = after;
            }
        }
    }
}

/// The number of percent-encoding layers that are decoded.
const MOST_ENCODINGS: usize = 3;

#[cfg(test)]
mod tests {
    use super::*;

    fn contains(resource: &str, path: &str) -> bool {
        Paths::of(resource).contain(path)
    }

    #[test]
    fn a_resource_is_its_path_and_what_is_beneath() {
        for resource in ["https://a.example/mcp", "https://a.example/mcp/"] {
            for good in [
                "/mcp",
                "/mcp/",
                "/mcp/call",
                "/mcp/a..b",
                "/mcp/.../x",
                "/mcp/./x",
                "/mcp/a;b/..c",
                "/mcp/100%25",
                "/mcp/%zz",
                "/mcp/%e2%80%ae",
            ] {
                assert!(contains(resource, good), "{good}");
            }
            for bad in [
                "", "/", "*", "/call", "/mcp2", "/MCP", "/m%63p", "/x/mcp", "mcp", "//mcp",
            ] {
                assert!(!contains(resource, bad), "{bad}");
            }
        }
        for resource in [
            "https://a.example",
            "https://a.example/",
            "http://127.0.0.1:8080",
        ] {
            for good in ["", "/", "*", "/call", "/a/../b"] {
                assert!(contains(resource, good), "{good}");
            }
        }
    }

    #[test]
    fn nothing_leads_out_of_it() {
        for bad in [
            "/mcp/..",
            "/mcp/../admin",
            "/mcp/x/../../admin",
            "/mcp/%2e%2E/admin",
            "/mcp/.%2e/admin",
            "/mcp/..%2fadmin",
            "/mcp/..%5Cadmin",
            "/mcp/..\\admin",
            "/mcp\\..\\admin",
            "/mcp%2f../admin",
            "/mcp/x%2F..",
            "/mcp/..;/admin",
            "/mcp/..;a=b/admin",
            "/mcp/%2e%2e;/admin",
            "/mcp/..%3b/admin",
            "/mcp/..%00/admin",
            "/mcp/..%09/admin",
            "/mcp/..%20/admin",
            "/mcp/%252e%252e/admin",
            "/mcp/%25252e./admin",
            "/mcp/%c0%ae%c0%ae/admin",
            "/mcp/..%c0%afadmin",
        ] {
            assert!(!contains("https://a.example/mcp", bad), "{bad}");
        }
    }
}
