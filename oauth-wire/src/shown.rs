//! Prepares texts of other parties for error messages: shortened, and without characters that
//! control a terminal.

/// The maximum length of a value in an error message, in characters.
const MAX_SHOWN: usize = 100;

/// Returns a value for an error message: escaped, and cut after 100 characters.
pub(crate) fn value(text: &str) -> Box<str> {
    cut(&escaped(text), MAX_SHOWN).into()
}

/// Returns an identifier for an error message: like [`value`], and without user information and
/// query, which may contain secrets.
pub(crate) fn identifier(text: &str) -> Box<str> {
    let (bare, query) = match text.split_once('?') {
        Some((bare, _)) => (bare, "?…"),
        None => (text, ""),
    };
    let (scheme, rest) = bare.split_once("://").unwrap_or(("", bare));
    let authority_ends = rest.find(['/', '#']).unwrap_or(rest.len());
    let (authority, path) = rest.split_at_checked(authority_ends).unwrap_or((rest, ""));
    let shown = match authority.rsplit_once('@') {
        Some((_, host)) if scheme.is_empty() => format!("…@{host}{path}{query}"),
        Some((_, host)) => format!("{scheme}://…@{host}{path}{query}"),
        None => format!("{bare}{query}"),
    };
    value(&shown)
}

/// Escapes control, bidirectional and invisible characters.
pub(crate) fn escaped(text: &str) -> String {
    let mut safe = String::with_capacity(text.len());
    for char in text.chars() {
        match char {
            ' '..='~' => safe.push(char),
            char if char.is_alphanumeric() || char == '…' => safe.push(char),
            char => safe.extend(char.escape_debug()),
        }
    }
    safe
}

/// Returns the first characters of a text, followed by `…` if it was cut.
pub(crate) fn cut(text: &str, most: usize) -> String {
    let mut short: String = text.chars().take(most).collect();
    if short.len() < text.len() {
        short.push('…');
    }
    short
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_acts_on_a_terminal_is_escaped() {
        for (text, expected) in [
            ("a b", "a b"),
            ("caf\u{e9} \u{30a2}", "caf\u{e9} \u{30a2}"),
            ("\u{1b}[31m\r\n\u{9b}", "\\u{1b}[31m\\r\\n\\u{9b}"),
            (
                "\u{202e}\u{2066}\u{200b}\u{feff}",
                "\\u{202e}\\u{2066}\\u{200b}\\u{feff}",
            ),
        ] {
            assert_eq!(escaped(text), expected);
        }
        assert_eq!(value(&"x".repeat(101)).chars().count(), 101);
        assert_eq!(&*value(&"x".repeat(100)), "x".repeat(100));
    }

    #[test]
    fn user_information_and_queries_are_not_shown() {
        for (text, expected) in [
            ("https://as.example/a", "https://as.example/a"),
            ("https://u:p@as.example/a", "https://…@as.example/a"),
            ("https://as.example?code=1", "https://as.example?…"),
            ("https://as.example/@a", "https://as.example/@a"),
            ("u:p@as.example", "…@as.example"),
        ] {
            assert_eq!(&*identifier(text), expected);
        }
    }
}
