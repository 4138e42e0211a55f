//! `htu`: the URI of a request without query and fragment.

use std::borrow::Cow;

use url::Url;

/// Returns the URI without query and fragment.
pub(super) fn bare(uri: &str) -> &str {
    uri.split(['?', '#']).next().unwrap_or(uri)
}

/// Returns whether two URIs are equal after the normalization of RFC 3986 §6.2.2 and §6.2.3, as RFC
/// 9449 §4.3 requires.
///
/// Query and fragment are ignored. A text that is not an absolute `http` or `https` URI equals
/// nothing.
pub(super) fn is_same(expected: &str, found: &str) -> bool {
    let (expected, found) = (bare(expected), bare(found));
    if expected == found {
        return parsed(expected).is_some();
    }
    match (parsed(expected), parsed(found)) {
        (Some(one), Some(other)) => {
            one.scheme() == other.scheme()
                && one.host_str() == other.host_str()
                && one.port_or_known_default() == other.port_or_known_default()
                && normalized(one.path()) == normalized(other.path())
        }
        _ => false,
    }
}

fn parsed(uri: &str) -> Option<Url> {
    // The parser drops or replaces these characters, so two readers could differ.
    if !uri
        .bytes()
        .all(|byte| byte.is_ascii_graphic() && byte != b'\\')
    {
        return None;
    }
    // The parser would accept an authority without `//`.
    let rest = uri.split_once("://")?.1;
    if rest.starts_with('/') {
        return None;
    }
    let url = Url::parse(uri).ok()?;
    let is_web = matches!(url.scheme(), "http" | "https");
    let has_user = !url.username().is_empty() || url.password().is_some();
    (is_web && !has_user).then_some(url)
}

/// Normalizes a path: decodes escaped unreserved characters, and writes the digits of all other
/// escapes in upper case (RFC 3986 §6.2.2.1, §6.2.2.2). A malformed escape is unchanged.
fn normalized(path: &str) -> Cow<'_, str> {
    if !path.contains('%') {
        return Cow::Borrowed(path);
    }
    let mut normal = String::with_capacity(path.len());
    let mut rest = path;
    while let Some((before, after)) = rest.split_once('%') {
        normal.push_str(before);
        let digits = after.split_at_checked(2);
        let byte = digits.and_then(|(digits, _)| hexadecimal(digits));
        match (byte, digits) {
            (Some(byte), Some((digits, after))) => {
                if is_unreserved(byte) {
                    normal.push(char::from(byte));
                } else {
                    normal.push('%');
                    normal.push_str(&digits.to_ascii_uppercase());
                }
                rest = after;
            }
            _ => {
                normal.push('%');
                rest = after;
            }
        }
    }
    normal.push_str(rest);
    Cow::Owned(normal)
}

fn hexadecimal(digits: &str) -> Option<u8> {
    let all = digits.bytes().all(|byte| byte.is_ascii_hexdigit());
    all.then(|| u8::from_str_radix(digits, 16).ok()).flatten()
}

/// Returns whether a character is unreserved (RFC 3986 §2.3).
const fn is_unreserved(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~')
}

#[cfg(test)]
mod tests {
    use super::*;

    const TOOL: &str = "https://tool.example/mcp/call";

    #[test]
    fn spellings_of_one_uri_are_the_same() {
        for found in [
            TOOL,
            "HTTPS://Tool.Example/mcp/call",
            "https://tool.example:443/mcp/call",
            "https://tool.example/mcp/call?x=1",
            "https://tool.example/mcp/call#x",
            "https://tool.example/%6dcp/c%61ll",
            "https://tool.example/./mcp/x/../call",
        ] {
            assert!(is_same(TOOL, found), "{found}");
        }
        assert!(is_same("https://tool.example", "https://tool.example/"));
        assert!(is_same(
            "https://t.example/a%2fb",
            "https://t.example/a%2Fb"
        ));
        assert!(is_same("http://[::1]:80/", "http://[::1]/"));
    }

    #[test]
    fn other_uris_are_not() {
        for found in [
            "",
            "/mcp/call",
            "tool.example/mcp/call",
            "http://tool.example/mcp/call",
            "https://tool.example/mcp/call/",
            "https://tool.example/mcp/Call",
            "https://tool.example/mcp%2Fcall",
            "https://tool.example:444/mcp/call",
            "https://tool.example./mcp/call",
            "https://a@tool.example/mcp/call",
            "https://:p@tool.example/mcp/call",
            "https://tool.example.evil.example/mcp/call",
            "https:tool.example/mcp/call",
            "https:///tool.example/mcp/call",
            "https://tool.example\\mcp/call",
            "https://tool.example/mcp/ca\tll",
            " https://tool.example/mcp/call",
            "https://tool.example/mcp/call\u{e9}",
        ] {
            assert!(!is_same(TOOL, found), "{found}");
        }
        // A text that cannot be parsed does not even equal itself.
        assert!(!is_same("urn:a", "urn:a"));
        assert!(!is_same("https://t.example/%zz", "https://t.example/%ZZ"));
    }
}
