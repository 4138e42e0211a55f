//! Adds hints to refusals: what was found, when it was, and what to do.

use aims_jose::jwk::Jwk;
use aims_jose::jwt::NumericDate;
use aims_jose::time::UnixTime;

use crate::failure::Failure;
use crate::private;
use crate::text::compact;
use crate::time::in_words;
use crate::token::decoded;

/// The maximum number of characters that are shown of an untrusted value.
const MAX_SHOWN: usize = 64;

/// The types of a workload identity token and of its proof.
pub(crate) const WIT: &str = "wit+jwt";
pub(crate) const WPT: &str = "wpt+jwt";

/// Adds the type of a refused token, or when it expired. Nothing of that was verified.
pub(crate) fn token(failure: Failure, text: &str, expected: &str, now: UnixTime) -> Failure {
    let Ok((header, claims)) = decoded(text) else {
        return no_token(failure, text);
    };
    if failure.code().ends_with(".typ") {
        let found = header.value("typ").map(|typ| shortened(compact(typ)));
        let found = found.unwrap_or_else(|| "none".to_owned());
        return failure.with(format!("found {found}, expected \"{expected}\""));
    }
    if !failure.code().ends_with(".expired") {
        return failure;
    }
    let date = claims.value("exp").map(serde_json::from_str::<NumericDate>);
    match date {
        Some(Ok(date)) => expired(failure, date.as_secs(), now),
        _ => failure,
    }
}

/// Adds what the text is, if it is not a token and that can be recognized. The text is not
/// repeated.
pub(crate) fn no_token(failure: Failure, text: &str) -> Failure {
    if !["jws.parts", "jws.base64"].contains(&failure.code()) {
        return failure;
    }
    let text = text.trim();
    let scheme = text.split_once(' ').map(|(scheme, _)| scheme);
    if text.is_empty() {
        failure.with("the input is empty, and a token is wanted")
    } else if text.starts_with(['{', '[']) {
        failure.with("this is JSON, and a token is wanted: of an answer, the text of its member")
    } else if scheme.is_some_and(|it| it.eq_ignore_ascii_case("bearer")) {
        failure.with("this begins with `Bearer`, and the token alone is wanted")
    } else {
        failure
    }
}

/// Adds when a token expired.
pub(crate) fn expired(failure: Failure, at: u64, now: UnixTime) -> Failure {
    failure.with(format!("`exp` is {}", in_words(at, now)))
}

/// Adds which wrong line ends a message has, and where.
pub(crate) fn line_end(failure: Failure, bytes: &[u8], unix_lines: bool) -> Failure {
    if failure.code() != "http1.line_end" {
        return failure;
    }
    if unix_lines {
        return failure.with("with `--unix-lines` each line of the head ends in LF alone");
    }
    let bare = bytes
        .split(|byte| *byte == b'\n')
        .position(|line| !line.ends_with(b"\r"));
    match bare {
        Some(0) => failure.with(
            "each line of an HTTP/1.1 head ends in CRLF, and here the first ends in LF alone; `--unix-lines` takes a file as editors write it",
        ),
        Some(line) => failure.with(format!(
            "each line of an HTTP/1.1 head ends in CRLF, and line {} does not",
            line.saturating_add(1)
        )),
        None => failure,
    }
}

/// Adds how long a message claims to be, and how many bytes follow it. `method` is that of the
/// request that a response answers.
pub(crate) fn surplus(
    failure: Failure,
    bytes: &[u8],
    end_of_line: &str,
    method: Option<&str>,
) -> Failure {
    if failure.code() != "http1.surplus" {
        return failure;
    }
    let end = [end_of_line, end_of_line].concat();
    let Some(at) = bytes.windows(end.len()).position(|it| it == end.as_bytes()) else {
        return failure;
    };
    let (head, behind) = bytes.split_at(at);
    let behind = behind.len().saturating_sub(end.len());
    let head = String::from_utf8_lossy(head);
    let field = |name: &str| {
        let fields = head.lines().filter_map(|line| line.split_once(':'));
        let mut fields = fields.filter(|(it, _)| it.eq_ignore_ascii_case(name));
        fields.next().map(|(_, value)| value.trim().to_owned())
    };
    let length = field("content-length").and_then(|value| value.parse::<usize>().ok());
    let status = head.split(' ').nth(1).unwrap_or_default();
    let is_empty = method == Some("HEAD") || (method.is_some() && ["204", "304"].contains(&status));
    match length {
        _ if field("transfer-encoding").is_some() => failure,
        _ if is_empty => failure.with(format!(
            "such a response has no content, and {}",
            follow(behind, "")
        )),
        Some(length) => failure.with(format!(
            "Content-Length says {length}, {}",
            follow(behind.saturating_sub(length), "more ")
        )),
        None => failure.with(format!(
            "there is no Content-Length and {}",
            follow(behind, "")
        )),
    }
}

fn follow(count: usize, more: &str) -> String {
    match count {
        1 => format!("1 {more}byte follows"),
        _ => format!("{count} {more}bytes follow"),
    }
}

/// Adds that a refused key is the private one, or is not a JWK.
pub(crate) fn public_key(failure: Failure, text: &[u8]) -> Failure {
    if failure.code() != "jwk.private" {
        return no_pem(failure, text);
    }
    failure
        .with("this is the private key, and the public one is wanted: `aims key public` shows it")
}

/// Returns whether the text looks like PEM.
pub(crate) fn is_pem(text: &[u8]) -> bool {
    text.trim_ascii_start().starts_with(b"-----BEGIN ")
}

/// Adds that a key that was refused as a JWK is PEM.
pub(crate) fn no_pem(failure: Failure, text: &[u8]) -> Failure {
    if !is_pem(text) {
        return failure;
    }
    failure.with("this is PEM, and a JWK is wanted: of a private key, `aims key public --pem-alg` makes the public one")
}

/// Adds which kind of PEM a refused key is.
pub(crate) fn pem(failure: Failure, text: &[u8]) -> Failure {
    if text
        .trim_ascii_start()
        .starts_with(b"-----BEGIN PRIVATE KEY-----")
    {
        return failure;
    }
    failure
        .with("a private key is wanted in PKCS#8, which begins with `-----BEGIN PRIVATE KEY-----`")
}

/// Adds that a document that was refused as a set of keys is one key.
pub(crate) fn key_set(failure: Failure, document: &[u8]) -> Failure {
    if is_pem(document) {
        return failure.with("this is PEM, and a set of keys is wanted: of private keys, `aims key set --pem-alg` makes it");
    }
    if Jwk::parse_published(document).is_err() {
        return failure;
    }
    failure.with("this is one key, and a set of keys is wanted: `aims key set` makes it")
}

/// Refuses a document of trusted keys that contains a private key anywhere, because anyone who has
/// the file can sign.
pub(crate) fn no_private_key(document: &[u8]) -> Result<(), Failure> {
    if !private::is_in(document) {
        return Ok(());
    }
    let failure = Failure::from(aims_jose::Error::JwkPrivate);
    Err(failure.with(
        "a private key is in it, and public keys are wanted: `aims key set` makes a set of them from key files",
    ))
}

/// Returns the start of a long text.
pub(crate) fn shortened(text: String) -> String {
    match text.char_indices().nth(MAX_SHOWN) {
        Some((at, _)) => format!("{}…", text.get(..at).unwrap_or_default()),
        None => text,
    }
}
