//! Texts of other parties, made fit for errors: bounded, and nothing in them acts on a terminal.

/// The longest value that an error shows, in characters.
const MAX_SHOWN: usize = 100;

/// A value for an error: escaped, and cut after 100 characters.
pub(crate) fn value(text: &str) -> Box<str> {
    cut(&escaped(text), MAX_SHOWN).into()
}

/// An identifier for an error: as [`value`], without user information and query, which may hold
/// secrets.
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

/// The text with control, bidirectional and invisible characters escaped.
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

/// The first characters of a text, with `…` where it goes on.
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
