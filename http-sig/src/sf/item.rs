//! Bare items.

use std::borrow::Cow;
use std::fmt::{self, Write as _};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::{Cursor, Malformed};

/// The value of a parameter (RFC 9651 §3.3), as written in a field.
///
/// ```
/// use aims_http_sig::BareItem;
///
/// assert_eq!(BareItem::string("say \"hi\"")?.to_string(), r#""say \"hi\"""#);
/// assert_eq!(BareItem::string("say \"hi\"")?.text().as_deref(), Some("say \"hi\""));
/// assert_eq!(BareItem::Boolean(false).to_string(), "?0");
/// assert_eq!(BareItem::string("line\n").unwrap_err().code(), "sig.prepare");
/// # Ok::<(), aims_http_sig::Error>(())
/// ```
#[derive(Clone, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum BareItem<'a> {
    /// An integer of at most 15 digits.
    Integer(i64),
    /// A decimal, as text: `1.5`.
    Decimal(Cow<'a, str>),
    /// A string, as written between the quotes: `\"` and `\\` are escaped. Read it with
    /// [`text`](Self::text), and create it with [`string`](Self::string).
    String(Cow<'a, str>),
    /// A token.
    Token(Cow<'a, str>),
    /// A byte sequence, in canonical base64.
    Bytes(Cow<'a, str>),
    /// `?1` or `?0`.
    Boolean(bool),
    /// A date, in Unix seconds.
    Date(i64),
    /// A display string, as written between the quotes: percent-encoded.
    DisplayString(Cow<'a, str>),
}

impl<'a> BareItem<'a> {
    /// Creates a string.
    ///
    /// # Errors
    ///
    /// `sig.prepare` if the text is not printable ASCII.
    pub fn string(text: &'a str) -> Result<Self, crate::Error> {
        if !text.bytes().all(|byte| matches!(byte, b' '..=b'~')) {
            return Err(crate::Error::Prepare {
                reason: "a string has printable ASCII alone",
            });
        }
        Ok(Self::String(if text.contains(['"', '\\']) {
            Cow::Owned(text.replace('\\', r"\\").replace('"', "\\\""))
        } else {
            Cow::Borrowed(text)
        }))
    }

    /// Returns the text of a string without its escapes.
    #[must_use]
    pub fn text(&self) -> Option<Cow<'_, str>> {
        match self {
            Self::String(raw) => Some(unescape(raw)),
            _ => None,
        }
    }

    /// Returns whether the text of the variant is canonical for its type.
    pub(crate) fn is_canonical(&self) -> bool {
        let text = self.to_string();
        Cursor::new(text.as_bytes())
            .and_then(|mut cursor| Ok(read(&mut cursor)? == *self && cursor.is_empty()))
            .unwrap_or(false)
    }

    pub(crate) fn into_owned(self) -> BareItem<'static> {
        let owned = |text: Cow<'_, str>| Cow::Owned(text.into_owned());
        match self {
            Self::Integer(number) => BareItem::Integer(number),
            Self::Decimal(text) => BareItem::Decimal(owned(text)),
            Self::String(text) => BareItem::String(owned(text)),
            Self::Token(text) => BareItem::Token(owned(text)),
            Self::Bytes(text) => BareItem::Bytes(owned(text)),
            Self::Boolean(is) => BareItem::Boolean(is),
            Self::Date(number) => BareItem::Date(number),
            Self::DisplayString(text) => BareItem::DisplayString(owned(text)),
        }
    }
}

/// Removes the backslashes of escapes.
pub(crate) fn unescape(raw: &str) -> Cow<'_, str> {
    if !raw.as_bytes().contains(&b'\\') {
        return Cow::Borrowed(raw);
    }
    let mut text = String::with_capacity(raw.len());
    let mut chars = raw.chars();
    while let Some(char) = chars.next() {
        text.extend(if char == '\\' {
            chars.next()
        } else {
            Some(char)
        });
    }
    Cow::Owned(text)
}

impl fmt::Display for BareItem<'_> {
    /// Writes the canonical text.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Integer(number) => write!(f, "{number}"),
            Self::Decimal(text) | Self::Token(text) => f.write_str(text),
            Self::String(raw) => write!(f, "\"{raw}\""),
            Self::Bytes(base64) => write!(f, ":{base64}:"),
            Self::Boolean(is) => f.write_str(if *is { "?1" } else { "?0" }),
            Self::Date(number) => write!(f, "@{number}"),
            Self::DisplayString(raw) => write!(f, "%\"{raw}\""),
        }
    }
}

/// Appends `;key` or `;key=value`.
pub(crate) fn write_parameter(out: &mut String, key: &str, value: &BareItem<'_>) {
    out.push(';');
    out.push_str(key);
    if *value != BareItem::Boolean(true) {
        // Writing to a string does not fail.
        let _infallible = write!(out, "={value}");
    }
}

/// Reads a bare item (RFC 9651 §4.2.3.1).
pub(super) fn read<'a>(cursor: &mut Cursor<'a>) -> Result<BareItem<'a>, Malformed> {
    match cursor.peek().ok_or(Malformed)? {
        b'"' => cursor
            .string()
            .map(|raw| BareItem::String(Cow::Borrowed(raw))),
        b'-' | b'0'..=b'9' => number(cursor),
        b':' => bytes(cursor).map(|(text, _)| BareItem::Bytes(Cow::Borrowed(text))),
        b'?' => {
            cursor.require(b'?')?;
            if cursor.take(b'1') {
                Ok(BareItem::Boolean(true))
            } else {
                cursor.require(b'0').map(|()| BareItem::Boolean(false))
            }
        }
        b'@' => {
            cursor.require(b'@')?;
            match number(cursor)? {
                BareItem::Integer(seconds) => Ok(BareItem::Date(seconds)),
                _ => Err(Malformed),
            }
        }
        b'%' => display_string(cursor),
        b'A'..=b'Z' | b'a'..=b'z' | b'*' => {
            let token = cursor.take_while(|byte| is_tchar(byte) || matches!(byte, b':' | b'/'));
            Ok(BareItem::Token(Cow::Borrowed(token)))
        }
        _ => Err(Malformed),
    }
}

/// Returns whether the byte is a `tchar` (RFC 9110 §5.6.2).
#[inline]
pub(crate) const fn is_tchar(byte: u8) -> bool {
    byte.is_ascii_lowercase()
        || byte == b'-'
        || byte.is_ascii_uppercase()
        || byte.is_ascii_digit()
        || matches!(
            byte,
            b'!' | b'#'
                | b'$'
                | b'%'
                | b'&'
                | b'\''
                | b'*'
                | b'+'
                | b'.'
                | b'^'
                | b'_'
                | b'`'
                | b'|'
                | b'~'
        )
}

fn number<'a>(cursor: &mut Cursor<'a>) -> Result<BareItem<'a>, Malformed> {
    let start = *cursor;
    let negative = cursor.take(b'-');
    let digits = cursor.take_while(|byte| byte.is_ascii_digit());
    let canonical = digits == "0" || (!digits.starts_with('0') && !digits.is_empty());
    if !canonical || digits.len() > 15 {
        return Err(Malformed);
    }
    if cursor.take(b'.') {
        let fraction = cursor.take_while(|byte| byte.is_ascii_digit());
        let shortest = matches!(fraction.len(), 1) || !fraction.ends_with('0');
        let minus_zero = negative && digits == "0" && fraction == "0";
        if digits.len() > 12 || !(1..=3).contains(&fraction.len()) || !shortest || minus_zero {
            return Err(Malformed);
        }
        return Ok(BareItem::Decimal(Cow::Borrowed(cursor.since(&start))));
    }
    if negative && digits == "0" {
        return Err(Malformed);
    }
    let number = cursor.since(&start).parse();
    number.map(BareItem::Integer).map_err(|_range| Malformed)
}

/// Reads canonical base64 with padding between colons (RFC 9651 §4.1.8). Returns its text and the
/// decoded bytes.
pub(crate) fn bytes<'a>(cursor: &mut Cursor<'a>) -> Result<(&'a str, Vec<u8>), Malformed> {
    cursor.require(b':')?;
    let base64 = cursor.take_while(|byte| byte != b':');
    cursor.require(b':')?;
    // The decoder accepts only its alphabet, padding, and zero trailing bits.
    let decoded = STANDARD.decode(base64).map_err(|_why| Malformed)?;
    Ok((base64, decoded))
}

fn display_string<'a>(cursor: &mut Cursor<'a>) -> Result<BareItem<'a>, Malformed> {
    cursor.require(b'%')?;
    cursor.require(b'"')?;
    let raw = cursor.take_while(|byte| matches!(byte, b' '..=b'~') && byte != b'"');
    cursor.require(b'"')?;
    let mut decoded = Vec::with_capacity(raw.len());
    let mut bytes = raw.bytes();
    while let Some(byte) = bytes.next() {
        decoded.push(if byte == b'%' {
            let (high, low) = (hex(bytes.next())?, hex(bytes.next())?);
            let byte = (high << 4) | low;
            // The canonical form of these is the character itself (RFC 9651 §4.1.11).
            if matches!(byte, b' '..=b'~') && !matches!(byte, b'%' | b'"') {
                return Err(Malformed);
            }
            byte
        } else {
            byte
        });
    }
    str::from_utf8(&decoded).map_err(|_no_text| Malformed)?;
    Ok(BareItem::DisplayString(Cow::Borrowed(raw)))
}

const fn hex(byte: Option<u8>) -> Result<u8, Malformed> {
    match byte {
        Some(byte @ b'0'..=b'9') => Ok(byte - b'0'),
        Some(byte @ b'a'..=b'f') => Ok(byte - b'a' + 10),
        _ => Err(Malformed),
    }
}
