//! Recognizes secrets in arguments, which other users can read.

use std::borrow::Cow;
use std::ffi::OsStr;
use std::path::Path;

use aims_jose::base64url;

/// Returns whether this argument contains a token in compact form, or a private key in JSON or PEM.
/// No name looks like that.
pub(crate) fn is_in(argument: &OsStr) -> bool {
    let text = argument.to_string_lossy();
    let has = |name: &str| text.contains(name);
    let is_jwk = has("\"kty\"") && (has("\"d\"") || has("\"k\"") || has("\"priv\""));
    is_jwk || text.contains("PRIVATE KEY") || pieces(&text).any(has_header)
}

/// Returns whether this argument may be a secret, so that an error must not repeat it.
pub(crate) fn may_be_in(argument: &OsStr) -> bool {
    let text = argument.to_string_lossy();
    let is_json = |rest: &str| rest.trim_start().starts_with('"');
    text.starts_with('{')
        || text.split('{').skip(1).any(is_json)
        || text.contains("-----BEGIN")
        || pieces(&text).any(|piece| piece.starts_with("ey") && piece.split('.').count() > 2)
        || is_in(argument)
}

/// Returns whether the name of a file that cannot be opened may be a secret. Its folders do not
/// count, because their names may be hashes.
pub(crate) fn may_be_file(path: &Path) -> bool {
    let name = path.file_name().map(OsStr::to_string_lossy);
    may_be_in(path.as_os_str()) || name.is_some_and(|name| may_be_drawn(&name))
}

/// Returns whether any part of the text looks random.
pub(crate) fn may_be_drawn(text: &str) -> bool {
    drawn(text).next().is_some()
}

/// Returns whether the text looks like 256 random bits in base64url, such as the bootstrap tokens
/// of this program, and not like the name of a file.
pub(crate) fn looks_drawn(text: &str) -> bool {
    text.len() == 43 && text.chars().all(is_digit)
}

/// Returns whether a part of the argument looks random and the text repeats it.
pub(crate) fn is_drawn_and_repeated(argument: &OsStr, text: &str) -> bool {
    let argument: Cow<'_, str> = argument.to_string_lossy();
    drawn(&argument).any(|piece| text.contains(piece))
}

/// Returns the parts that look random, also after the dashes of an option. A random text may itself
/// start with dashes.
fn drawn(text: &str) -> impl Iterator<Item = &str> {
    pieces(text).filter_map(|piece| {
        let bare = [
            Some(piece),
            piece.strip_prefix('-'),
            piece.strip_prefix("--"),
        ];
        bare.into_iter().flatten().find(|it| looks_drawn(it))
    })
}

/// Returns the parts that may be tokens: the longest sequences of base64url characters and dots.
fn pieces(text: &str) -> impl Iterator<Item = &str> {
    text.split(|char| char != '.' && !is_digit(char))
}

/// Returns whether the first of three or more parts is a JSON object (RFC 7515 §3.1, RFC 7516
/// §3.1).
fn has_header(piece: &str) -> bool {
    let mut parts = piece.split('.');
    let header = parts.next().and_then(|part| base64url::decode(part).ok());
    parts.count() > 1 && header.is_some_and(|header| aims_jose::json::check_object(&header).is_ok())
}

const fn is_digit(char: char) -> bool {
    char.is_ascii_alphanumeric() || matches!(char, '-' | '_')
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Secrets, alone or within other text, and texts that only resemble one.
    #[test]
    fn secrets_are_told_from_names() {
        const TOKEN: &str = "eyJhbGciOiJFUzI1NiJ9.e30.AAAA";
        for secret in [
            TOKEN.to_owned(),
            format!("--id={TOKEN}"),
            format!("authorization=Bearer {TOKEN}"),
            format!("https://a.example/?t={TOKEN}&x"),
            format!("{TOKEN}.AAAA.AAAA"),
            "eyAiYWxnIjoiRVMyNTYifQ..".to_owned(),
            r#"{ "d" : "x", "kty" : "EC" }"#.to_owned(),
            r#"--kid={"kty":"oct","k":"x"}"#.to_owned(),
            r#"{"kty":"AKP","priv":"x"}"#.to_owned(),
            "-----BEGIN PRIVATE KEY-----\nAAAA".to_owned(),
            "-----BEGIN EC PRIVATE KEY-----".to_owned(),
        ] {
            assert!(is_in(secret.as_ref()), "{secret}");
            assert!(may_be_in(secret.as_ref()), "{secret}");
        }
        for doubtful in [
            "ey.a.b",
            "--id=eyJhbGci.a.b",
            "{",
            r#"x={"keys":[]}"#,
            "-----BEGIN",
        ] {
            assert!(!is_in(doubtful.as_ref()), "{doubtful}");
            assert!(may_be_in(doubtful.as_ref()), "{doubtful}");
        }
        for name in [
            "",
            "-",
            "a.b.c",
            "eyes.json",
            "agent.token",
            "spiffe://example.org/agent",
            "https://tools.example.org/a.b.c/{id}",
            r#""@query-param";name="q""#,
            "eyJhbGciOiJFUzI1NiJ9",
        ] {
            assert!(!may_be_in(name.as_ref()), "{name}");
        }
    }
}
