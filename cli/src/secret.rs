//! Whether somebody gave a secret where others can read it.

use std::borrow::Cow;
use std::ffi::OsStr;
use std::path::Path;

use aims_jose::base64url;

/// Whether a token in compact form, or a private key in JSON or PEM, stands anywhere in this
/// argument: what nobody means as a name.
pub(crate) fn is_in(argument: &OsStr) -> bool {
    let text = argument.to_string_lossy();
    let has = |name: &str| text.contains(name);
    let is_jwk = has("\"kty\"") && (has("\"d\"") || has("\"k\"") || has("\"priv\""));
    is_jwk || text.contains("PRIVATE KEY") || pieces(&text).any(has_header)
}

/// Whether it may be one: enough not to repeat what was not understood.
pub(crate) fn may_be_in(argument: &OsStr) -> bool {
    let text = argument.to_string_lossy();
    let is_json = |rest: &str| rest.trim_start().starts_with('"');
    text.starts_with('{')
        || text.split('{').skip(1).any(is_json)
        || text.contains("-----BEGIN")
        || pieces(&text).any(|piece| piece.starts_with("ey") && piece.split('.').count() > 2)
        || is_in(argument)
}

/// Whether the name of a file that cannot be opened may be one: the name alone, since folders above
/// it may well be named by hashes.
pub(crate) fn may_be_file(path: &Path) -> bool {
    let name = path.file_name().map(OsStr::to_string_lossy);
    may_be_in(path.as_os_str()) || name.is_some_and(|name| may_be_drawn(&name))
}

/// Whether anything in it looks drawn.
pub(crate) fn may_be_drawn(text: &str) -> bool {
    drawn(text).next().is_some()
}

/// Whether this is no file's name but 256 bits in base64url, such as this program makes for
/// bootstrap tokens.
pub(crate) fn looks_drawn(text: &str) -> bool {
    text.len() == 43 && text.chars().all(is_digit)
}

/// The same for any part of it that the text repeats.
pub(crate) fn is_drawn_and_repeated(argument: &OsStr, text: &str) -> bool {
    let argument: Cow<'_, str> = argument.to_string_lossy();
    drawn(&argument).any(|piece| text.contains(piece))
}

/// What looks drawn in it, also behind the dashes of an option; the first digits of what was drawn
/// may be dashes as well.
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

/// What could be tokens: the longest runs of base64url and dots.
fn pieces(text: &str) -> impl Iterator<Item = &str> {
    text.split(|char| char != '.' && !is_digit(char))
}

/// Whether the first of three or more parts is a JSON object (RFC 7515 §3.1, RFC 7516 §3.1).
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

    /// T-166: what is a secret, alone or within something else; and what merely looks a little like
    /// one.
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
