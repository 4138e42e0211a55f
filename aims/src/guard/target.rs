//! The path of a request, as far as it decides whether the request is for the guard's resource.

use aims_error::{ErrorKind, shown};
use http::Uri;

use super::refused::Refused;
use crate::refusal::ErrorResponse;

/// The paths that belong to a resource.
#[derive(Debug)]
pub(super) enum Paths {
    /// Every path: what arrives is not what callers address.
    Any,
    /// This one, without its last slash, and what is beneath it.
    Beneath(String),
}

impl Paths {
    /// The path of the resource's URL, which has neither query nor fragment.
    pub(super) fn of(resource: &str) -> Self {
        let origin = super::builder::external_origin(resource);
        let path = resource.strip_prefix(origin).unwrap_or_default();
        Self::Beneath(path.strip_suffix('/').unwrap_or(path).to_owned())
    }

    fn contain(&self, path: &str) -> bool {
        match self {
            Self::Any => true,
            // The whole host, whatever the form of the target.
            Self::Beneath(root) if root.is_empty() => true,
            Self::Beneath(root) => path
                .strip_prefix(root.as_str())
                .is_some_and(|rest| matches!(rest.as_bytes(), [] | [b'/', ..]) && !climbs(rest)),
        }
    }

    /// Refuses a request for what is not the resource.
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

/// Whether a reader could take the path to lead upwards: a segment is `..`, with dots and slashes
/// as they are, percent-encoded, or with backslashes in their place.
fn climbs(path: &str) -> bool {
    let mut rest = path.as_bytes();
    let mut dots = Some(0_u8);
    loop {
        let (byte, length) = match rest {
            [] => return dots == Some(2),
            [b'%', b'2', b'e' | b'E', ..] => (b'.', 3),
            [b'%', b'2', b'f' | b'F', ..] | [b'%', b'5', b'c' | b'C', ..] => (b'/', 3),
            [b'\\', ..] => (b'/', 1),
            [byte, ..] => (*byte, 1),
        };
        match byte {
            b'/' if dots == Some(2) => return true,
            b'/' => dots = Some(0),
            b'.' => dots = dots.map(|it| it.saturating_add(1)),
            _ => dots = None,
        }
        rest = rest.get(length..).unwrap_or_default();
    }
}

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
        ] {
            assert!(!contains("https://a.example/mcp", bad), "{bad}");
        }
    }
}
