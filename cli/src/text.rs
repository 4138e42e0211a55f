//! Makes untrusted text safe for a terminal.

use std::fmt::{self, Write as _};

use serde::de::{MapAccess, Visitor};
use serde::ser::SerializeMap as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::value::RawValue;

/// Writes characters that control a terminal as `\uXXXX`: control characters, and characters that
/// change the direction of text or are invisible. In JSON such characters occur only in strings, so
/// the value stays the same.
pub(crate) fn escaped(text: &str) -> String {
    let mut safe = String::with_capacity(text.len());
    for char in text.chars() {
        if is_hidden(char) {
            let mut units = [0; 2];
            for unit in char.encode_utf16(&mut units) {
                // Writing to a string cannot fail.
                let _ = write!(safe, "\\u{unit:04x}");
            }
        } else {
            safe.push(char);
        }
    }
    safe
}

/// Returns a harmless word unchanged, and any other as a JSON string.
pub(crate) fn word(text: &str) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"_-.:/#".contains(&byte);
    if !text.is_empty() && text.bytes().all(plain) {
        return text.to_owned();
    }
    escaped(&serde_json::to_string(text).unwrap_or_default())
}

/// Returns whether a character is a control character, bidirectional or other invisible formatting,
/// a line separator, a tag, a variation selector or a blank letter.
fn is_hidden(char: char) -> bool {
    char.is_control()
        || matches!(char,
            '\u{ad}' | '\u{34f}' | '\u{61c}' | '\u{115f}'..='\u{1160}' | '\u{17b4}'..='\u{17b5}'
            | '\u{180b}'..='\u{180f}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}'
            | '\u{2060}'..='\u{206f}' | '\u{2800}' | '\u{3164}' | '\u{fe00}'..='\u{fe0f}' | '\u{feff}'
            | '\u{ffa0}' | '\u{fff0}'..='\u{fffb}' | '\u{1bca0}'..='\u{1bca3}'
            | '\u{1d173}'..='\u{1d17a}' | '\u{e0000}'..='\u{e0fff}')
}

/// The members of a JSON object in order, each value as it was written.
#[derive(Debug, Default)]
pub(crate) struct Members(pub(crate) Vec<(String, Box<RawValue>)>);

impl Members {
    /// Reads an object in which no member occurs twice.
    pub(crate) fn read(json: &[u8]) -> Result<Self, aims_jose::Error> {
        aims_jose::json::from_object(json)
    }

    /// Returns the value of a member as it was written.
    pub(crate) fn value(&self, name: &str) -> Option<&str> {
        let member = self.0.iter().find(|(one, _)| one == name);
        member.map(|(_, value)| value.get())
    }

    /// Returns one line for each member: its name, and its value without blanks outside of strings.
    pub(crate) fn lines(&self, mut note: impl FnMut(&str, &str) -> Option<String>) -> String {
        let mut lines = String::new();
        for (name, value) in &self.0 {
            let _ = write!(lines, "  {}: {}", word(name), compact(value.get()));
            if let Some(note) = note(name, value.get()) {
                let _ = write!(lines, "  ({note})");
            }
            lines.push('\n');
        }
        lines
    }
}

/// Returns the same JSON on one line, escaped.
pub(crate) fn compact(json: &str) -> String {
    let mut one_line = String::with_capacity(json.len());
    let (mut quoted, mut escape) = (false, false);
    for char in json.chars() {
        if !quoted && char.is_ascii_whitespace() {
            continue;
        }
        quoted ^= char == '"' && !escape;
        escape = quoted && !escape && char == '\\';
        one_line.push(char);
    }
    escaped(&one_line)
}

impl<'de> Deserialize<'de> for Members {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct All;

        impl<'de> Visitor<'de> for All {
            type Value = Members;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a JSON object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Members, A::Error> {
                let mut all = Vec::new();
                while let Some(member) = map.next_entry()? {
                    all.push(member);
                }
                Ok(Members(all))
            }
        }

        deserializer.deserialize_map(All)
    }
}

impl Serialize for Members {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(self.0.len()))?;
        for (name, value) in &self.0 {
            let value = RawValue::from_string(compact(value.get()));
            map.serialize_entry(name, &value.map_err(serde::ser::Error::custom)?)?;
        }
        map.end()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Control characters are shown escaped; all others stay.
    #[test]
    fn hidden_characters_are_shown() {
        for (text, safe) in [
            ("plain ä 漢 👍", "plain ä 漢 👍"),
            ("\u{1b}[31m", "\\u001b[31m"),
            ("a\nb\r\t\0\u{7f}", "a\\u000ab\\u000d\\u0009\\u0000\\u007f"),
            ("\u{9b}2J", "\\u009b2J"),
            ("\u{202e}gpj", "\\u202egpj"),
            (
                "\u{2066}\u{2069}\u{200b}\u{feff}",
                "\\u2066\\u2069\\u200b\\ufeff",
            ),
            ("a\u{2800}b ⠁", "a\\u2800b ⠁"),
            ("\u{e0041}", "\\udb40\\udc41"),
        ] {
            assert_eq!(escaped(text), safe);
        }
        assert_eq!(word("spiffe://a/b"), "spiffe://a/b");
        assert_eq!(word("a b\\\u{202e}"), "\"a b\\\\\\u202e\"");
    }

    /// Values keep their spelling and their order, and lose only blanks outside of strings.
    #[test]
    fn values_are_shown_as_written() {
        let json = r#"{"b":[1,  2.50 ],"a":"x \" y\\" , "c":1e3}"#;
        let members = Members::read(json.as_bytes()).unwrap();
        let lines = members.lines(|name, _| (name == "c").then(|| "note".to_owned()));
        let expected = "  b: [1,2.50]\n  a: \"x \\\" y\\\\\"\n  c: 1e3  (note)\n";
        assert_eq!(lines, expected);
        let written = serde_json::to_string(&members).unwrap();
        assert_eq!(written, r#"{"b":[1,2.50],"a":"x \" y\\","c":1e3}"#);
        assert!(Members::read(b"[]").is_err() && Members::read(br#"{"a":1,"a":1}"#).is_err());
    }
}
