//! Structured fields (RFC 9651), in their canonical text only and without copying.
//!
//! The value of `@signature-params` is the text that the sender serialized. Another spelling of the
//! same structure (spaces, `?1`, leading zeros, other base64) is refused, so that two texts never
//! have the same meaning (RFC 9651 §4.1).

mod item;

pub use item::BareItem;
pub(crate) use item::{bytes, is_tchar, unescape, write_parameter};

/// The error for a text that is not canonical.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct Malformed;

/// A position in a text.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Cursor<'a> {
    rest: &'a str,
}

impl<'a> Cursor<'a> {
    /// Creates a cursor at the beginning of an ASCII text.
    pub(crate) fn new(bytes: &'a [u8]) -> Result<Self, Malformed> {
        let text = str::from_utf8(bytes).map_err(|_no_text| Malformed)?;
        if text.is_ascii() {
            Ok(Self { rest: text })
        } else {
            Err(Malformed)
        }
    }

    /// Creates a cursor at the beginning of a text that was read before. A text outside ASCII is
    /// read as malformed.
    pub(crate) const fn again(text: &'a str) -> Self {
        Self { rest: text }
    }

    /// Returns the number of bytes read since an earlier position.
    pub(crate) const fn distance(&self, earlier: &Self) -> usize {
        earlier.rest.len().saturating_sub(self.rest.len())
    }

    pub(crate) const fn is_empty(&self) -> bool {
        self.rest.is_empty()
    }

    pub(crate) fn peek(&self) -> Option<u8> {
        self.rest.as_bytes().first().copied()
    }

    /// Moves past this character if it is the next one.
    pub(crate) fn take(&mut self, byte: u8) -> bool {
        let found = self.peek() == Some(byte);
        if found {
            self.advance(1);
        }
        found
    }

    /// Moves past this character, or returns an error if another one is next.
    pub(crate) fn require(&mut self, byte: u8) -> Result<(), Malformed> {
        if self.take(byte) {
            Ok(())
        } else {
            Err(Malformed)
        }
    }

    fn advance(&mut self, by: usize) -> &'a str {
        let (before, after) = self.rest.split_at_checked(by).unwrap_or((self.rest, ""));
        self.rest = after;
        before
    }

    /// Returns the text since an earlier position.
    pub(crate) fn since(&self, earlier: &Self) -> &'a str {
        earlier
            .rest
            .get(..self.distance(earlier))
            .unwrap_or_default()
    }

    /// Reads all characters up to the first that does not match.
    pub(crate) fn take_while(&mut self, is: impl Fn(u8) -> bool) -> &'a str {
        let len = self
            .rest
            .bytes()
            .position(|byte| !is(byte))
            .unwrap_or(self.rest.len());
        self.advance(len)
    }

    /// Skips white space between the members of a dictionary (RFC 9651 §4.2.2).
    pub(crate) fn skip_blanks(&mut self) {
        self.take_while(|byte| matches!(byte, b' ' | b'\t'));
    }

    /// Reads a key (RFC 9651 §4.2.3.3).
    pub(crate) fn key(&mut self) -> Result<&'a str, Malformed> {
        if !matches!(self.peek(), Some(b'a'..=b'z' | b'*')) {
            return Err(Malformed);
        }
        Ok(self.take_while(is_key))
    }

    /// Reads a string. Returns the text between the quotes, still escaped (RFC 9651 §4.2.5).
    pub(crate) fn string(&mut self) -> Result<&'a str, Malformed> {
        self.require(b'"')?;
        let start = *self;
        loop {
            self.take_while(|byte| matches!(byte, b' '..=b'~') && !matches!(byte, b'"' | b'\\'));
            let text = self.since(&start);
            match self.peek() {
                Some(b'"') => {
                    self.advance(1);
                    return Ok(text);
                }
                Some(b'\\') => {
                    self.advance(1);
                    if !self.take(b'"') && !self.take(b'\\') {
                        return Err(Malformed);
                    }
                }
                _ => return Err(Malformed),
            }
        }
    }

    /// Reads the next parameter after its `;`: key and value. The value is `?1` if there is none
    /// (RFC 9651 §4.2.3.2).
    pub(crate) fn parameter(&mut self) -> Result<Option<(&'a str, BareItem<'a>)>, Malformed> {
        if !self.take(b';') {
            return Ok(None);
        }
        let key = self.key()?;
        if !self.take(b'=') {
            return Ok(Some((key, BareItem::Boolean(true))));
        }
        match item::read(self)? {
            // The canonical form of `?1` is the key alone.
            BareItem::Boolean(true) => Err(Malformed),
            value => Ok(Some((key, value))),
        }
    }
}

const fn is_key(byte: u8) -> bool {
    matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'_' | b'-' | b'.' | b'*')
}

/// Returns whether the text is a key: a label, or the name of a parameter.
pub(crate) fn is_whole_key(text: &str) -> bool {
    let mut cursor = Cursor::again(text);
    cursor.key().is_ok() && cursor.is_empty()
}

#[cfg(test)]
mod tests;
