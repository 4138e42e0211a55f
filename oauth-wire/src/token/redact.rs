//! Redacts the body of another party for error messages. It never shows a token or one of our
//! secrets.

use std::borrow::Cow;

use aims_jose::secret::SecretText;
use zeroize::Zeroizing;

use crate::shown;

mod decoded;

use decoded::{MAX_SEARCHED, Search, has_encoded};

/// The maximum length of an excerpt, in characters.
const MAX_EXCERPT: usize = 200;
/// The minimum length of a sequence of token characters that may be a token.
const MIN_TOKEN: usize = 16;
/// The parts of names whose values are secret.
const SECRET_NAMES: [&str; 5] = ["token", "code", "secret", "assertion", "password"];

/// Returns the start of a body, redacted and escaped.
///
/// Returns `None` if the body is empty, is longer than 16 KiB, or contains an encoded secret that
/// cannot be cut out.
pub(super) fn excerpt(body: &[u8], secrets: &[SecretText]) -> Option<Box<str>> {
    if body.len() > MAX_SEARCHED {
        return None;
    }
    let text = String::from_utf8_lossy(body);
    let text = redacted(text.trim(), secrets)?;
    let text = shown::escaped(text.trim());
    let short = shown::cut(&text, MAX_EXCERPT - 1);
    Some(short).filter(|it| !it.is_empty()).map(Into::into)
}

/// Replaces each of these secrets, the values of members with a name of a secret, and each sequence
/// of characters that may be a token by `…`.
///
/// Returns `None` if the text contains a secret in an encoding that cannot be replaced, or is
/// longer than 16 KiB.
pub(super) fn redacted(text: &str, secrets: &[SecretText]) -> Option<String> {
    if has_hidden(text, secrets) {
        return None;
    }
    let text = unescaped(text);
    let text = without_secrets(text.into_owned(), secrets);
    if has_encoded(&text, secrets) {
        return None;
    }
    Some(without_runs(&without_named(&text)))
}

/// Returns whether the text contains one of these secrets, plain or encoded.
pub(super) fn has_secret(text: &str, secrets: &[SecretText]) -> bool {
    has_encoded(text, secrets)
}

/// Redacts a content type: returns `…` if it contains one of these secrets, and redacts its
/// parameters as in an excerpt.
pub(crate) fn media_type(text: &str, secrets: &[SecretText]) -> String {
    if text.len() > MAX_SEARCHED || has_secret(text, secrets) {
        return "…".to_owned();
    }
    let (essence, parameters) = split(text, text.find(';').unwrap_or(text.len()));
    let parameters = without_runs(&without_named(parameters));
    let is_type = essence.split(',').all(|it| it.split('/').count() == 2);
    if is_type {
        [essence, &parameters].concat()
    } else {
        [&*without_runs(essence), &parameters].concat()
    }
}

/// Returns whether a secret is in the text in a form that cannot be replaced. Each secret is
/// searched in the whole text: removing a short secret first could break the encoding of another
/// one.
fn has_hidden(text: &str, secrets: &[SecretText]) -> bool {
    if secrets.is_empty() {
        return text.len() > MAX_SEARCHED;
    }
    let Some(search) = Search::of(text) else {
        return true;
    };
    let mut found = secrets.iter().filter(|it| search.finds(it));
    found.any(|secret| {
        let own = core::slice::from_ref(secret);
        let rest = without_secrets(unescaped(text).into_owned(), own);
        has_encoded(&rest, own)
    })
}

/// Decodes optional escapes of JSON writers: `\/`, and Latin-1 as `\u00xx`.
fn unescaped(text: &str) -> Cow<'_, str> {
    if !text.contains('\\') {
        return text.into();
    }
    let mut plain = String::with_capacity(text.len());
    let mut rest = text;
    while let Some((before, after)) = rest.split_once('\\') {
        plain.push_str(before);
        let escape = after
            .strip_prefix("u00")
            .and_then(|it| it.split_at_checked(2));
        let byte = escape.and_then(|(hex, after)| Some((u8::from_str_radix(hex, 16).ok()?, after)));
        rest = match byte {
            Some((byte @ (b' '..=b'~' | 0xa0..=0xff), after)) => {
                plain.push(char::from(byte));
                after
            }
            _ if after.starts_with('/') => after,
            _ => {
                plain.push('\\');
                after
            }
        };
    }
    plain.push_str(rest);
    plain.into()
}

fn without_secrets(text: String, secrets: &[SecretText]) -> String {
    let mut all: Vec<_> = secrets
        .iter()
        .flat_map(|it| variants(it.expose()))
        .collect();
    all.retain(|it| !it.is_empty());
    // Replace longer secrets first, because they may contain shorter ones.
    all.sort_by_key(|it| core::cmp::Reverse(it.len()));
    all.iter().fold(text, |text, secret| {
        if text.contains(&***secret) {
            text.replace(&***secret, "…")
        } else {
            text
        }
    })
}

/// Returns the forms in which a server may echo a secret: plain, and encoded for a form, a URL,
/// JSON and HTML.
fn variants(secret: &str) -> Vec<Zeroizing<String>> {
    let form: String = url::form_urlencoded::byte_serialize(secret.as_bytes()).collect();
    let form = Zeroizing::new(form);
    let in_url = Zeroizing::new(form.replace('+', "%20"));
    let in_json = Zeroizing::new(serde_json::to_string(secret).unwrap_or_default());
    let bare = in_json
        .strip_prefix('"')
        .and_then(|it| it.strip_suffix('"'));
    let bare = bare.unwrap_or_default().to_owned();
    let plain = unescaped(secret).into_owned();
    let mut in_html = Zeroizing::new(String::with_capacity(secret.len()));
    for char in secret.chars() {
        match char {
            '&' => in_html.push_str("&amp;"),
            '<' => in_html.push_str("&lt;"),
            '>' => in_html.push_str("&gt;"),
            '"' => in_html.push_str("&quot;"),
            '\'' => in_html.push_str("&#39;"),
            char => in_html.push(char),
        }
    }
    let lower = Zeroizing::new(form.to_ascii_lowercase());
    let mut all = vec![
        secret.to_owned().into(),
        plain.into(),
        form,
        in_url,
        bare.into(),
        in_html,
    ];
    // Percent-encoding in lower case, if nothing else changes.
    if secret.bytes().all(|byte| !byte.is_ascii_uppercase()) {
        all.push(lower);
    }
    all
}

/// Redacts the values of names such as `access_token`, in JSON, forms, XML and plain text, also if
/// the text ends within a value.
fn without_named(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(start) = rest.find(is_name) {
        let (before, named) = split(rest, start);
        let (name, after) = split(named, named.find(|c| !is_name(c)).unwrap_or(named.len()));
        out.push_str(before);
        out.push_str(name);
        rest = after;
        let lower = name.to_ascii_lowercase();
        if !SECRET_NAMES.iter().any(|it| lower.contains(it)) {
            continue;
        }
        let Some(separator) = separator(after) else {
            continue;
        };
        let (between, value) = split(after, separator);
        let (secret, after) = split(value, value_len(value, between));
        out.push_str(between);
        if !secret.is_empty() {
            out.push('…');
        }
        rest = after;
    }
    out.push_str(rest);
    out
}

/// Returns the length of the separator between a name and its value: `": "`, `=`, `%3D`, `>`.
fn separator(text: &str) -> Option<usize> {
    let bare = text.trim_start_matches(['\\', '"', '\'']).trim_start();
    let encoded = ["%3D", "%3d", "%3A", "%3a", "=>", ":", "=", ">"];
    let value = encoded.iter().find_map(|it| bare.strip_prefix(it))?;
    text.len().checked_sub(value.trim_start().len())
}

fn value_len(value: &str, between: &str) -> usize {
    let end = |found: Option<usize>| found.unwrap_or(value.len());
    if between.trim_end().ends_with('>') && !between.contains('=') {
        return end(value.find('<'));
    }
    if value.starts_with(['{', '[']) {
        return nested_len(value);
    }
    let bare = value.trim_start_matches('\\');
    let escapes = value.len().saturating_sub(bare.len());
    let Some(quote) = bare.chars().next().filter(|it| matches!(it, '"' | '\'')) else {
        return end(value.find(|c: char| c.is_whitespace() || "&,;<>\"'}])".contains(c)));
    };
    // The value ends at a quote that has as many backslashes as the opening one.
    let mut before = 0_usize;
    for (at, char) in value.char_indices().skip(escapes.saturating_add(1)) {
        if char == quote && before <= escapes {
            return at.saturating_add(1);
        }
        before = if char == '\\' {
            before.saturating_add(1)
        } else {
            0
        };
        if escapes == 0 && before == 2 {
            before = 0;
        }
    }
    value.len()
}

/// Returns the length of an object or a list, or of the part of it that is there.
fn nested_len(value: &str) -> usize {
    let (mut depth, mut quoted, mut escaped) = (0_usize, false, false);
    for (at, char) in value.char_indices() {
        match char {
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            '"' => quoted = !quoted,
            '{' | '[' if !quoted => depth = depth.saturating_add(1),
            '}' | ']' if !quoted => {
                depth = depth.saturating_sub(1);
                if depth == 0 {
                    return at.saturating_add(1);
                }
            }
            _ => {}
        }
    }
    value.len()
}

fn without_runs(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(start) = rest.find(is_token) {
        let (before, run) = split(rest, start);
        let (run, after) = split(run, run.find(|c| !is_token(c)).unwrap_or(run.len()));
        out.push_str(before);
        out.push_str(if run.len() < MIN_TOKEN { run } else { "…" });
        rest = after;
    }
    out.push_str(rest);
    out
}

fn split(text: &str, at: usize) -> (&str, &str) {
    text.split_at_checked(at).unwrap_or((text, ""))
}

const fn is_name(char: char) -> bool {
    char.is_ascii_alphanumeric() || matches!(char, '_' | '-' | '.')
}

/// Returns whether a character may occur in a token (RFC 6750 §2.1), or is the `%` of
/// percent-encoding.
const fn is_token(char: char) -> bool {
    char.is_ascii_alphanumeric() || matches!(char, '-' | '.' | '_' | '~' | '+' | '/' | '=' | '%')
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn values_of_secret_members_are_redacted() {
        for (text, expected) in [
            (
                r#"{"access_token":"abc","a":"b"}"#,
                r#"{"access_token":…,"a":"b"}"#,
            ),
            (r#"{"access_token" : "a\"bc" }"#, r#"{"access_token" : … }"#),
            (
                r#"{"x":"{\"refresh_token\":\"abc\",\"y\":1}"}"#,
                r#"{"x":"{\"refresh_token\":…,\"y\":1}"}"#,
            ),
            (r#"{"Token":{"v":["a]",1]},"a":2}"#, r#"{"Token":…,"a":2}"#),
            (r#"{"access_token":"abc"#, r#"{"access_token":…"#),
            (r#"{"user_code":123,"a":2}"#, r#"{"user_code":…,"a":2}"#),
            ("access_token=abc&a=b", "access_token=…&a=b"),
            ("a=b&client_secret=x", "a=b&client_secret=…"),
            (
                "<access_token>abc</access_token>",
                "<access_token>…</access_token>",
            ),
            ("password: abc, sorry", "password: …, sorry"),
            ("assertion%3Dabc", "assertion%3D…"),
            ("{'token' => 'a b'}", "{'token' => …}"),
            (r#"{"access\u005ftoken":"abc"}"#, r#"{"access_token":…}"#),
            ("the secret is wrong", "the secret is wrong"),
            ("<h1>502 Bad Gateway</h1>", "<h1>502 Bad Gateway</h1>"),
        ] {
            assert_eq!(redacted(text, &[]).unwrap(), expected, "{text}");
        }
    }

    #[test]
    fn runs_of_token_characters_are_redacted() {
        let redacted = |text| redacted(text, &[]).unwrap();
        assert_eq!(redacted("a 0123456789abcde b"), "a 0123456789abcde b");
        assert_eq!(redacted("a 0123456789abcdef b"), "a … b");
        assert_eq!(redacted(r"x abcdefgh\/ijklmnop\u002Bqr y"), "x … y");
    }

    #[test]
    fn secrets_of_the_request_are_redacted_in_every_encoding() {
        let secret = [SecretText::new("p\u{e4} &/\"s")];
        for text in [
            "p\u{e4} &/\"s",
            "p%C3%A4+%26%2F%22s",
            "p%C3%A4%20%26%2F%22s",
            "p%c3%a4+%26%2f%22s",
            r#"p\u00e4 &/\"s"#,
            r#"pä &\/\"s"#,
            "p\u{e4} &amp;/&quot;s",
        ] {
            let shown = redacted(&format!("a {text} b"), &secret);
            assert_eq!(shown.as_deref(), Some("a … b"), "{text}");
        }
        let nested = [SecretText::new("abc"), SecretText::new("abcdef")];
        assert_eq!(redacted("x abcdef y", &nested).unwrap(), "x … y");
    }

    /// A short value of the request, such as `max_age=4`, must not break the encoding of another
    /// one.
    #[test]
    fn a_short_value_cuts_no_encoded_secret() {
        let secrets = [SecretText::new("4"), SecretText::new("p/w word")];
        for text in [
            "p&#47;w word",
            r"p\057w\040word",
            "702f7720776f7264",
            "p%252fw word",
        ] {
            assert_eq!(redacted(text, &secrets), None, "{text}");
            assert_eq!(excerpt(text.as_bytes(), &secrets), None, "{text}");
        }
        assert_eq!(redacted("4 p/w word 4", &secrets).unwrap(), "… … …");
        assert_eq!(redacted("at most 4", &secrets).unwrap(), "at most …");
    }

    #[test]
    fn a_content_type_shows_no_secret() {
        let secrets = [SecretText::new("p/w word")];
        for (text, expected) in [
            ("application/json", "application/json"),
            ("text/html; charset=utf-8", "text/html; charset=utf-8"),
            ("application/json, text/html", "application/json, text/html"),
            ("text/p/w word", "…"),
            ("text/html; x=p%2Fw+word", "…"),
            ("text/html; x=\"p&#47;w word\"", "…"),
            ("text/html; x=0123456789abcdef", "text/html; …"),
            ("text/html; token=abc", "text/html; token=…"),
            ("0123456789abcdef", "…"),
        ] {
            assert_eq!(media_type(text, &secrets), expected, "{text}");
        }
        assert_eq!(media_type(&"x/".repeat(MAX_SEARCHED), &[]), "…");
    }

    /// The work is limited: a text that is long, or that decodes into too much, is not shown.
    #[test]
    fn of_a_long_body_nothing_is_shown() {
        let secrets = [SecretText::new("secret-word"), SecretText::new("4")];
        let fits = "a ".repeat(MAX_SEARCHED / 2);
        assert!(excerpt(fits.as_bytes(), &secrets).is_some());
        let long = format!("{fits}b");
        assert_eq!(excerpt(long.as_bytes(), &secrets), None);
        assert_eq!(excerpt(long.as_bytes(), &[]), None);
        assert_eq!(redacted(&long, &[]), None);
        assert_eq!(excerpt("x".repeat(65_000).as_bytes(), &secrets), None);
        for part in [
            "%255c&amp;",
            r"\\u0026#37;41",
            "&#38;amp;%2525",
            "%5c%5c&#92;",
        ] {
            let full = part.repeat(MAX_SEARCHED / part.len());
            let shown = excerpt(full.as_bytes(), &secrets).unwrap_or_default();
            assert!(shown.chars().count() <= 200);
        }
    }

    #[test]
    fn an_excerpt_is_short_and_escaped() {
        let long = "ab ".repeat(500);
        assert_eq!(excerpt(long.as_bytes(), &[]).unwrap().chars().count(), 200);
        assert_eq!(
            &*excerpt("a\u{202e}b\u{1b}\r\nc".as_bytes(), &[]).unwrap(),
            "a\\u{202e}b\\u{1b}\\r\\nc"
        );
        assert!(excerpt(b" \r\n", &[]).is_none());
    }

    proptest! {
        /// Wherever a token is in a text, the excerpt has no 16 characters of it.
        #[test]
        fn no_token_is_shown(before in "\\PC{0,40}", token in "[A-Za-z0-9._~+/-]{16,80}", after in "\\PC{0,40}") {
            let text = format!("{before}{token}{after}");
            let shown = excerpt(text.as_bytes(), &[]).unwrap_or_default();
            prop_assert!(shown.chars().count() <= 200);
            prop_assert!(!shown.contains(&token));
        }

        #[test]
        fn a_secret_is_not_shown(before in "[a-z =\":&{]{0,20}", secret in "[ -~]{4,30}", after in "[a-z \":&}]{0,20}") {
            let text = format!("{before}{secret}{after}");
            let secrets = [SecretText::new(secret.clone())];
            prop_assert!(!redacted(&text, &secrets).unwrap_or_default().contains(&secret));
        }
    }
}
