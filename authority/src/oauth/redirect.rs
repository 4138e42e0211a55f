//! Redirect URIs: their form, and which one covers a request.

/// Maximum length in bytes.
const LONGEST: usize = 2_048;

/// A redirect URI of a permitted form: `https`, `http` on loopback, or a private-use scheme.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct RedirectUri(String);

impl RedirectUri {
    /// Parses a redirect URI (RFC 6749 §3.1.2, RFC 8252 §7).
    ///
    /// # Errors
    ///
    /// The reason, for the operator.
    pub(crate) fn parse(text: &str) -> Result<Self, &'static str> {
        if text.len() > LONGEST {
            return Err("is no redirect URI: longer than 2048 bytes");
        }
        let is_allowed = |byte: u8| byte.is_ascii_graphic() && !b"\"#<>\\^`{|}".contains(&byte);
        if !text.bytes().all(is_allowed) {
            return Err(
                "is no redirect URI: expected the characters of RFC 3986, without a fragment",
            );
        }
        let Some((scheme, rest)) = text.split_once(':') else {
            return Err("is no redirect URI: no scheme");
        };
        let fits = match scheme {
            "https" => host(rest).is_some_and(|host| !host.is_empty()),
            "http" => host(rest).is_some_and(is_loopback),
            other => is_private_use(other),
        };
        if fits {
            Ok(Self(text.to_owned()))
        } else {
            Err(
                "is no redirect URI: expected `https`, `http` on a loopback host, or a reversed \
                 domain name as the scheme, without user information",
            )
        }
    }

    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }

    /// Returns whether the registered URI is this one, the port on loopback aside (RFC 9700 §2.1).
    pub(crate) fn is_covered_by(&self, registered: &str) -> bool {
        if self.0 == registered {
            return true;
        }
        match (loopback_parts(&self.0), loopback_parts(registered)) {
            (Some(asked), Some(known)) => asked == known,
            _ => false,
        }
    }

    /// Returns whether the answer stays on the user's machine: `http` on a loopback host.
    pub(crate) fn is_loopback(&self) -> bool {
        loopback_parts(&self.0).is_some()
    }

    /// Returns the source that `form-action` of a page must allow, so that the answer to its form
    /// may redirect there (CSP Level 3 §6.5.1).
    pub(crate) fn source(&self) -> String {
        let (scheme, rest) = self.0.split_once(':').unwrap_or_default();
        match rest.strip_prefix("//") {
            Some(rest) if scheme.starts_with("http") => {
                let end = rest.find(['/', '?', ';', ',']).unwrap_or(rest.len());
                format!("{scheme}://{}", rest.get(..end).unwrap_or_default())
            }
            _ => format!("{scheme}:"),
        }
    }

    /// Returns the URI with these parameters (RFC 6749 §4.1.2).
    pub(crate) fn with(&self, parameters: &[(&str, &str)]) -> String {
        let mut out = self.0.clone();
        let mut separator = match self.0.find('?') {
            None => '?',
            Some(_) => '&',
        };
        for (name, value) in parameters {
            out.push(separator);
            separator = '&';
            out.push_str(name);
            out.push('=');
            encode(value, &mut out);
        }
        out
    }
}

/// Appends a value in the form of `application/x-www-form-urlencoded`.
pub(crate) fn encode(value: &str, out: &mut String) {
    for byte in value.bytes() {
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => {
                out.push(char::from(byte));
            }
            _ => {
                const HEX: &[u8; 16] = b"0123456789ABCDEF";
                let digit = |nibble: u8| HEX.get(usize::from(nibble)).copied().unwrap_or(b'0');
                out.push('%');
                out.push(char::from(digit(byte >> 4)));
                out.push(char::from(digit(byte & 15)));
            }
        }
    }
}

/// Returns the host without port, of `//host[:port]…`. `None` with user information, an empty
/// authority, or a bad port.
fn host(rest: &str) -> Option<&str> {
    let authority = rest.strip_prefix("//")?;
    let end = authority.find(['/', '?']).unwrap_or(authority.len());
    let authority = authority.get(..end)?;
    let is_host = |it: u8| it.is_ascii_alphanumeric() || b"-._:[]".contains(&it);
    if !authority.bytes().all(is_host) {
        return None;
    }
    let (host, port) = split_port(authority)?;
    let is_port = |port: &str| {
        port.bytes().all(|it| it.is_ascii_digit()) && port.parse::<u16>().is_ok_and(|it| it != 0)
    };
    port.is_none_or(is_port).then_some(host)
}

fn split_port(authority: &str) -> Option<(&str, Option<&str>)> {
    if authority.starts_with('[') {
        let end = authority.find(']')?;
        let (host, rest) = authority.split_at_checked(end.checked_add(1)?)?;
        return match rest.strip_prefix(':') {
            Some(port) => Some((host, Some(port))),
            None if rest.is_empty() => Some((host, None)),
            None => None,
        };
    }
    match authority.split_once(':') {
        Some((host, port)) => Some((host, Some(port))),
        None => Some((authority, None)),
    }
}

fn is_loopback(host: &str) -> bool {
    matches!(host, "127.0.0.1" | "[::1]" | "localhost")
}

/// Returns whether a scheme is a reversed domain name (RFC 8252 §7.1): schemes with a meaning for
/// browsers, such as `javascript`, have no dot.
fn is_private_use(scheme: &str) -> bool {
    let is_label = |label: &str| {
        label.starts_with(|it: char| it.is_ascii_lowercase())
            && label
                .bytes()
                .all(|it| it.is_ascii_lowercase() || it.is_ascii_digit() || it == b'-')
    };
    scheme.contains('.') && scheme.split('.').all(is_label)
}

/// Splits `http` on loopback into the host and what follows the port.
fn loopback_parts(uri: &str) -> Option<(&str, &str)> {
    let rest = uri.strip_prefix("http:")?;
    let name = host(rest).filter(|host| is_loopback(host))?;
    let after = rest.get(2..)?;
    let end = after.find(['/', '?']).unwrap_or(after.len());
    Some((name, after.get(end..)?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_permitted_forms() {
        for good in [
            "https://app.example/callback",
            "https://app.example:8443/callback?x=1",
            "http://127.0.0.1/callback",
            "http://127.0.0.1:51234/callback",
            "http://[::1]:1/",
            "http://localhost:3000/callback",
            "com.example.app:/callback",
        ] {
            assert!(RedirectUri::parse(good).is_ok(), "{good}");
        }
        let long = format!("https://app.example/{}", "a".repeat(LONGEST));
        for bad in [
            "",
            "/callback",
            "callback",
            "https:",
            "https://",
            "https:///callback",
            "https://user@app.example/",
            "https://localhost;.app.example/",
            "https://localhost,.app.example/",
            "https://app.example/#fragment",
            "https://app.example:0/",
            "https://app.example:65536/",
            "https://app.example:+1/",
            "https://app.example/a b",
            "https://app.example/\u{e4}",
            "https://app.example\\@evil.example/",
            "http://app.example/callback",
            "http://127.0.0.1.evil.example/",
            "http://127.0.0.1@evil.example/",
            "http://127.0.0.2/",
            "HTTPS://app.example/",
            "javascript:alert(1)",
            "data:text/html,x",
            "file:///etc/passwd",
            "myapp:/callback",
            "Com.example.app:/callback",
            &long,
        ] {
            assert!(RedirectUri::parse(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn only_the_port_of_loopback_may_vary() {
        let covers =
            |known: &str, asked: &str| RedirectUri::parse(asked).unwrap().is_covered_by(known);
        assert!(covers("http://127.0.0.1/cb", "http://127.0.0.1:51234/cb"));
        assert!(covers("http://127.0.0.1:1/cb", "http://127.0.0.1/cb"));
        assert!(covers("http://[::1]/cb", "http://[::1]:9/cb"));
        assert!(covers("http://localhost/cb", "http://localhost:9/cb"));
        for (known, asked) in [
            ("http://127.0.0.1/cb", "http://127.0.0.1:9/cb2"),
            ("http://127.0.0.1/cb", "http://127.0.0.1:9/cb?x=1"),
            ("http://127.0.0.1/cb", "http://localhost:9/cb"),
            ("http://127.0.0.1/cb", "https://127.0.0.1/cb"),
            ("http://127.0.0.1/cb", "http://127.0.0.1:9/CB"),
            ("https://app.example/cb", "https://app.example:8443/cb"),
            ("https://app.example/cb", "https://app.example/cb/"),
            ("https://app.example/cb", "https://app.example/cb?x"),
            ("https://app.example/cb", "https://evil.example/cb"),
            ("com.example.app:/cb", "com.example.app:/cb2"),
        ] {
            assert!(!covers(known, asked), "{known} {asked}");
        }
    }

    #[test]
    fn parameters_are_appended_and_encoded() {
        let uri = |text: &str| RedirectUri::parse(text).unwrap();
        assert_eq!(
            uri("https://app.example/cb").with(&[("code", "a"), ("state", "x y&z")]),
            "https://app.example/cb?code=a&state=x%20y%26z"
        );
        assert_eq!(
            uri("https://app.example/cb?k=v").with(&[("iss", "https://as.example")]),
            "https://app.example/cb?k=v&iss=https%3A%2F%2Fas.example"
        );
        assert_eq!(uri("http://127.0.0.1:9/cb").source(), "http://127.0.0.1:9");
        assert_eq!(uri("com.example.app:/cb").source(), "com.example.app:");
    }
}
