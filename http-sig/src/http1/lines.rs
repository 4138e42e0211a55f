//! Lines of a message, with one rule for their ends (RFC 9112 §2.2).

use crate::Error;
use crate::sf::is_tchar;

/// The line end that a reader requires.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Ends {
    /// CRLF, as sent over a network.
    CrLf,
    /// LF only, as in a file that was edited by hand.
    Lf,
}

/// The unread rest of a message.
#[derive(Clone, Copy, Debug)]
pub(super) struct Rest<'m> {
    bytes: &'m [u8],
    ends: Ends,
}

impl<'m> Rest<'m> {
    pub(super) const fn new(bytes: &'m [u8], ends: Ends) -> Self {
        Self { bytes, ends }
    }

    pub(super) const fn bytes(&self) -> &'m [u8] {
        self.bytes
    }

    /// Reads the next line without its end. Returns `None` if no line ends within `limit` bytes.
    pub(super) fn line(&mut self, limit: usize) -> Result<Option<&'m [u8]>, Error> {
        let window = self.bytes.get(..limit).unwrap_or(self.bytes);
        let Some(at) = window.iter().position(|b| *b == b'\n') else {
            return Ok(None);
        };
        let (line, rest) = self.bytes.split_at(at);
        self.bytes = rest.get(1..).unwrap_or_default();
        let line = match (self.ends, line.strip_suffix(b"\r")) {
            (Ends::CrLf, Some(line)) => line,
            (Ends::Lf, None) => line,
            _ => return Err(Error::Http1LineEnd),
        };
        if line.contains(&b'\r') {
            return Err(Error::Http1LineEnd);
        }
        Ok(Some(line))
    }

    /// Reads the next `length` bytes.
    pub(super) fn take(&mut self, length: usize) -> Result<&'m [u8], Error> {
        let (taken, rest) = self
            .bytes
            .split_at_checked(length)
            .ok_or(Error::Http1Truncated)?;
        self.bytes = rest;
        Ok(taken)
    }
}

/// Returns the bytes as a token.
pub(super) fn token(bytes: &[u8]) -> Option<&str> {
    let text = core::str::from_utf8(bytes).ok()?;
    (!text.is_empty() && text.bytes().all(is_tchar)).then_some(text)
}

/// Removes the optional white space around it (RFC 9110 §5.6.3).
pub(super) fn trim(bytes: &[u8]) -> &[u8] {
    let blank = |b: &u8| !matches!(b, b' ' | b'\t');
    let Some(first) = bytes.iter().position(blank) else {
        return &[];
    };
    let last = bytes.iter().rposition(blank).unwrap_or(first);
    bytes.get(first..=last).unwrap_or_default()
}
