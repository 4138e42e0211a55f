//! Field lines (RFC 9112 §5).

use std::borrow::Cow;

use super::Reader;
use super::lines::{Rest, token, trim};
use crate::Error;

/// The field lines of one section, in their order.
#[derive(Clone, Default)]
pub(super) struct Fields<'m>(Vec<(&'m str, Cow<'m, [u8]>)>);

impl<'m> Fields<'m> {
    /// Reads all lines up to the empty one. `room` is the remainder of the limits on bytes and
    /// lines.
    pub(super) fn read(
        reader: &Reader,
        rest: &mut Rest<'m>,
        room: &mut Room,
    ) -> Result<Self, Error> {
        let mut fields = Self::default();
        loop {
            let line = room.line(rest)?;
            match line {
                [] => return Ok(fields.trim()),
                [b' ' | b'\t', ..] => fields.unfold(reader, line)?,
                _ => {
                    room.field()?;
                    fields.0.push(field(line)?);
                }
            }
        }
    }

    /// Replaces the line end and the white space around it with one space, and appends to the line
    /// before (RFC 9421 §2.1).
    fn unfold(&mut self, reader: &Reader, line: &[u8]) -> Result<(), Error> {
        let last = self.0.last_mut().filter(|_| reader.folded);
        let (_, value) = last.ok_or(Error::Http1Folded)?;
        let more = trim(line);
        check(more)?;
        let value = value.to_mut();
        value.push(b' ');
        value.extend_from_slice(more);
        Ok(())
    }

    /// Trims a fold at the beginning or the end of a value, which is white space.
    fn trim(mut self) -> Self {
        for (_, value) in &mut self.0 {
            if let Cow::Owned(folded) = value {
                *folded = trim(folded).to_vec();
            }
        }
        self
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (&'m str, &[u8])> {
        self.0.iter().map(|(name, value)| (*name, &**value))
    }

    /// Returns the values of a field, whatever the case of its name.
    pub(super) fn values(&self, name: &str) -> impl Iterator<Item = &[u8]> {
        self.iter()
            .filter(move |(it, _)| it.eq_ignore_ascii_case(name))
            .map(|(_, value)| value)
    }
}

/// The remainder of the limits on the head and the trailers of a message.
#[derive(Clone, Copy, Debug)]
pub(super) struct Room {
    bytes: usize,
    fields: usize,
    max_bytes: usize,
    max_fields: usize,
}

impl Room {
    pub(super) const fn of(reader: &Reader) -> Self {
        Self {
            bytes: reader.head_limit,
            fields: reader.field_limit,
            max_bytes: reader.head_limit,
            max_fields: reader.field_limit,
        }
    }

    /// Reads the next line, which must end within the limit.
    pub(super) fn line<'m>(&mut self, rest: &mut Rest<'m>) -> Result<&'m [u8], Error> {
        let before = rest.bytes().len();
        let line = rest.line(self.bytes)?.ok_or(if before < self.bytes {
            Error::Http1HeadIncomplete
        } else {
            Error::Http1HeadSize {
                limit: self.max_bytes,
            }
        })?;
        self.bytes = self
            .bytes
            .saturating_sub(before.saturating_sub(rest.bytes().len()));
        Ok(line)
    }

    fn field(&mut self) -> Result<(), Error> {
        self.fields = self.fields.checked_sub(1).ok_or(Error::Http1Fields {
            limit: self.max_fields,
        })?;
        Ok(())
    }
}

fn field(line: &[u8]) -> Result<(&str, Cow<'_, [u8]>), Error> {
    let colon = line
        .iter()
        .position(|b| *b == b':')
        .ok_or(Error::Http1Field)?;
    let (name, value) = line.split_at(colon);
    if matches!(name, [.., b' ' | b'\t']) {
        return Err(Error::Http1BlankBeforeColon);
    }
    let name = token(name).ok_or(Error::Http1Field)?;
    let value = trim(value.get(1..).unwrap_or_default());
    check(value)?;
    Ok((name, Cow::Borrowed(value)))
}

/// Accepts visible characters, spaces, tabs, and bytes beyond ASCII (RFC 9110 §5.5).
fn check(value: &[u8]) -> Result<(), Error> {
    let control = value.iter().any(|b| b.is_ascii_control() && *b != b'\t');
    if control {
        return Err(Error::Http1Character);
    }
    Ok(())
}
