//! Checks grammar, depth and repeated members in one pass over the bytes.

use std::borrow::Cow;

use super::{MAX_DEPTH, MAX_MEMBERS};
use crate::Error;

/// Checks one object with optional white space around it, and returns the bytes as text.
pub(super) fn object(json: &[u8]) -> Result<&str, Error> {
    if json.iter().find(|byte| !is_blank(**byte)) != Some(&b'{') {
        return Err(Error::NotAnObject);
    }
    let text = std::str::from_utf8(json).or(Err(Error::Json))?;
    let mut scan = Scan {
        bytes: text.as_bytes(),
        at: 0,
        names: Vec::with_capacity(16),
    };
    scan.blanks();
    scan.value(MAX_DEPTH)?;
    scan.blanks();
    if scan.at == scan.bytes.len() {
        Ok(text)
    } else {
        Err(Error::Json)
    }
}

struct Scan<'a> {
    bytes: &'a [u8],
    at: usize,
    /// The names of the members of the open objects. Those of the innermost object are last.
    names: Vec<Cow<'a, [u8]>>,
}

impl<'a> Scan<'a> {
    fn value(&mut self, depth: usize) -> Result<(), Error> {
        match self.peek()? {
            b'{' => self.members(depth),
            b'[' => self.elements(depth),
            b'"' => self.string().map(drop),
            b't' => self.literal(b"true"),
            b'f' => self.literal(b"false"),
            b'n' => self.literal(b"null"),
            _ => self.number(),
        }
    }

    fn members(&mut self, depth: usize) -> Result<(), Error> {
        let depth = depth.checked_sub(1).ok_or(Error::JsonTooLarge)?;
        self.at += 1;
        self.blanks();
        let outer = self.names.len();
        if self.take(b'}') {
            return Ok(());
        }
        loop {
            let name = self.string()?;
            let own = self.names.get(outer..).unwrap_or_default();
            if own.contains(&name) {
                return Err(Error::DuplicateMember);
            }
            if own.len() == MAX_MEMBERS {
                return Err(Error::JsonTooLarge);
            }
            self.names.push(name);
            self.blanks();
            self.require(b':')?;
            self.blanks();
            self.value(depth)?;
            self.blanks();
            if self.take(b'}') {
                self.names.truncate(outer);
                return Ok(());
            }
            self.require(b',')?;
            self.blanks();
        }
    }

    fn elements(&mut self, depth: usize) -> Result<(), Error> {
        let depth = depth.checked_sub(1).ok_or(Error::JsonTooLarge)?;
        self.at += 1;
        self.blanks();
        if self.take(b']') {
            return Ok(());
        }
        loop {
            self.value(depth)?;
            self.blanks();
            if self.take(b']') {
                return Ok(());
            }
            self.require(b',')?;
            self.blanks();
        }
    }

    /// Reads the contents of a string without escapes. They are borrowed if there is no escape.
    fn string(&mut self) -> Result<Cow<'a, [u8]>, Error> {
        self.require(b'"')?;
        let start = self.at;
        let rest = self.bytes.get(start..).unwrap_or_default();
        let plain = plain(rest).ok_or(Error::Json)?;
        let head = rest.get(..plain).unwrap_or_default();
        self.at += plain;
        if self.take(b'"') {
            return Ok(Cow::Borrowed(head));
        }
        let mut unescaped = head.to_vec();
        loop {
            match self.next()? {
                b'"' => return Ok(Cow::Owned(unescaped)),
                b'\\' => {
                    let char = self.escape()?;
                    unescaped.extend_from_slice(char.encode_utf8(&mut [0; 4]).as_bytes());
                }
                0..=0x1f => return Err(Error::Json),
                byte => unescaped.push(byte),
            }
        }
    }

    fn escape(&mut self) -> Result<char, Error> {
        Ok(match self.next()? {
            b'"' => '"',
            b'\\' => '\\',
            b'/' => '/',
            b'b' => '\u{8}',
            b'f' => '\u{c}',
            b'n' => '\n',
            b'r' => '\r',
            b't' => '\t',
            b'u' => {
                let unit = self.hex()?;
                let code = match unit {
                    0xd800..=0xdbff => {
                        self.require(b'\\')?;
                        self.require(b'u')?;
                        let low = self.hex()?;
                        if !matches!(low, 0xdc00..=0xdfff) {
                            return Err(Error::Json);
                        }
                        0x10000 + ((unit - 0xd800) << 10) + (low - 0xdc00)
                    }
                    _ => unit,
                };
                char::from_u32(code).ok_or(Error::Json)?
            }
            _ => return Err(Error::Json),
        })
    }

    fn hex(&mut self) -> Result<u32, Error> {
        (0..4).try_fold(0, |value, _| {
            let digit = char::from(self.next()?).to_digit(16).ok_or(Error::Json)?;
            Ok(value * 16 + digit)
        })
    }

    fn number(&mut self) -> Result<(), Error> {
        self.take(b'-');
        match self.next()? {
            b'0' => {}
            b'1'..=b'9' => self.digits(),
            _ => return Err(Error::Json),
        }
        if self.take(b'.') {
            self.some_digits()?;
        }
        if self.take(b'e') || self.take(b'E') {
            if !self.take(b'+') {
                self.take(b'-');
            }
            self.some_digits()?;
        }
        Ok(())
    }

    fn some_digits(&mut self) -> Result<(), Error> {
        if !self.next()?.is_ascii_digit() {
            return Err(Error::Json);
        }
        self.digits();
        Ok(())
    }

    fn digits(&mut self) {
        while self.bytes.get(self.at).is_some_and(u8::is_ascii_digit) {
            self.at += 1;
        }
    }

    fn literal(&mut self, word: &[u8]) -> Result<(), Error> {
        if !self
            .bytes
            .get(self.at..)
            .is_some_and(|rest| rest.starts_with(word))
        {
            return Err(Error::Json);
        }
        self.at += word.len();
        Ok(())
    }

    fn blanks(&mut self) {
        while self.bytes.get(self.at).copied().is_some_and(is_blank) {
            self.at += 1;
        }
    }

    fn peek(&self) -> Result<u8, Error> {
        self.bytes.get(self.at).copied().ok_or(Error::Json)
    }

    fn next(&mut self) -> Result<u8, Error> {
        let byte = self.peek()?;
        self.at += 1;
        Ok(byte)
    }

    fn take(&mut self, byte: u8) -> bool {
        let there = self.bytes.get(self.at) == Some(&byte);
        self.at += usize::from(there);
        there
    }

    fn require(&mut self, byte: u8) -> Result<(), Error> {
        if self.take(byte) {
            Ok(())
        } else {
            Err(Error::Json)
        }
    }
}

/// Returns whether the byte is white space of RFC 8259 §2.
pub(super) const fn is_blank(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t' | b'\n' | b'\r')
}

/// Returns the number of bytes before the first quotation mark, backslash or control character.
fn plain(bytes: &[u8]) -> Option<usize> {
    let (words, rest) = bytes.as_chunks::<8>();
    let mut before = 0;
    for word in words {
        let found = special(u64::from_le_bytes(*word));
        if found != 0 {
            return Some(before + usize::from(found.trailing_zeros().to_le_bytes()[0] / 8));
        }
        before += 8;
    }
    let is_special = |byte: &u8| matches!(byte, b'"' | b'\\' | 0..=0x1f);
    Some(before + rest.iter().position(is_special)?)
}

/// Checks eight bytes at once. The high bit of the first special byte is set, and no bit below it.
const fn special(word: u64) -> u64 {
    const ONES: u64 = u64::MAX / 255;
    const fn zero(word: u64) -> u64 {
        word.wrapping_sub(ONES) & !word
    }
    let quote = zero(word ^ (ONES * 0x22));
    let backslash = zero(word ^ (ONES * 0x5c));
    let control = word.wrapping_sub(ONES * 0x20) & !word;
    (quote | backslash | control) & (ONES * 0x80)
}
