//! Prepares text of other parties for an error message.

use alloc::boxed::Box;
use alloc::string::String;

/// Maximum number of characters of one text, and of all texts together.
const MAX_SHOWN: usize = 200;

/// Formats text of other parties for an error message.
///
/// Each text is in quotation marks and escaped, so that control characters do not reach a terminal.
/// The result has at most 200 characters and ends in `…` if more were given. Without any text it is
/// `none`.
///
/// ```
/// assert_eq!(&*aims_error::shown(["https://a.test", "a\nb"]), r#""https://a.test", "a\nb""#);
/// assert_eq!(&*aims_error::shown([]), "none");
/// ```
#[must_use]
pub fn shown<'a>(texts: impl IntoIterator<Item = &'a str>) -> Box<str> {
    let mut all = String::new();
    for text in texts.into_iter().take(MAX_SHOWN) {
        if !all.is_empty() {
            all.push_str(", ");
        }
        all.push('"');
        let start = text.chars().take(MAX_SHOWN);
        all.extend(start.flat_map(char::escape_debug));
        all.push('"');
    }
    if all.is_empty() {
        return "none".into();
    }
    match all.char_indices().nth(MAX_SHOWN) {
        None => all.into(),
        Some(_) => all.chars().take(MAX_SHOWN - 1).chain(['…']).collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_shown_is_escaped_and_bounded() {
        assert_eq!(
            &*shown(["\u{1b}[31m\"\u{202e}"]),
            r#""\u{1b}[31m\"\u{202e}""#
        );
        assert_eq!(&*shown(["", ""]), r#""", """#);
        let long = "x".repeat(10_000);
        let text = shown([long.as_str(); 3]);
        assert_eq!(text.chars().count(), MAX_SHOWN);
        assert!(text.starts_with("\"xxx") && text.ends_with("x…"));
        assert_eq!(
            shown(core::iter::repeat_n("\0", 1_000_000)).chars().count(),
            MAX_SHOWN
        );
    }
}
