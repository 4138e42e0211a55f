//! A builder of signature bases.

use aims_jose::time::UnixTime;

use super::{PARAMS, SignatureBase, Span};
use crate::value::{self, Room};
use crate::{ComponentId, Error, Exchange, Limits};

/// A signature base under construction: the lines of components, then their list, then its
/// parameters.
pub(crate) struct Draft<'e> {
    exchange: &'e Exchange<'e>,
    room: Room,
    pub(super) base: SignatureBase,
}

impl<'e> Draft<'e> {
    /// Creates an empty base with room for this number of components and about `more` further
    /// bytes.
    pub(crate) fn new(
        exchange: &'e Exchange<'e>,
        limits: &Limits,
        components: usize,
        more: usize,
    ) -> Self {
        let room = components.saturating_mul(96);
        let room = room.saturating_add(more).saturating_add(1536);
        Self {
            exchange,
            room: Room::of(limits.base_len),
            base: SignatureBase {
                bytes: Vec::with_capacity(room),
                spans: Vec::with_capacity(components),
                list: 0,
                read: None,
            },
        }
    }

    /// Adds the line of a component.
    pub(crate) fn cover(&mut self, id: ComponentId<'_>) -> Result<(), Error> {
        if self.cover_present(id)? {
            Ok(())
        } else {
            Err(value::absent(id))
        }
    }

    /// Adds the line of a component if the message has it. Returns whether it does.
    pub(crate) fn cover_present(&mut self, id: ComponentId<'_>) -> Result<bool, Error> {
        let bytes = &mut self.base.bytes;
        let identifier = bytes.len();
        bytes.extend_from_slice(id.as_str().as_bytes());
        bytes.extend_from_slice(b": ");
        let value = bytes.len();
        if !value::write(bytes, &mut self.room, self.exchange, id)? {
            bytes.truncate(identifier);
            return Ok(false);
        }
        self.base.spans.push(Span {
            identifier,
            value,
            end: bytes.len(),
            name_len: id.name().len(),
            kind: id.kind(),
            flags: id.flags(),
            argument_len: id.argument().map(str::len),
        });
        bytes.push(b'\n');
        Ok(true)
    }

    /// Begins the last line with the list of covered components. Parameters follow.
    pub(crate) fn list(&mut self) {
        let SignatureBase {
            bytes, spans, list, ..
        } = &mut self.base;
        bytes.extend_from_slice(PARAMS);
        *list = bytes.len();
        bytes.push(b'(');
        for (at, span) in spans.iter().enumerate() {
            if at > 0 {
                bytes.push(b' ');
            }
            bytes.extend_from_within(span.identifier..span.identifier_end());
        }
        bytes.push(b')');
    }

    /// Adds parameters from their text.
    pub(crate) fn parameters(&mut self, text: &str) {
        self.base.bytes.extend_from_slice(text.as_bytes());
    }

    /// Adds `;name="raw"`.
    pub(crate) fn string(&mut self, name: &str, raw: &str) {
        for text in [";", name, "=\"", raw, "\""] {
            self.parameters(text);
        }
    }

    /// Adds `;name=time`, an integer of at most 15 digits.
    pub(crate) fn time(&mut self, name: &str, now: UnixTime, later: u64) -> Result<(), Error> {
        let mut rest = now.as_secs().saturating_add(later);
        if rest > 999_999_999_999_999 {
            return Err(Error::Prepare {
                reason: "the time has more than 15 digits",
            });
        }
        self.parameters(";");
        self.parameters(name);
        self.parameters("=");
        let mut digits = [b'0'; 15];
        let mut len = 0_usize;
        for digit in digits.iter_mut().rev() {
            *digit = u8::try_from(rest % 10).map_or(b'0', |value| b'0'.saturating_add(value));
            rest /= 10;
            len = len.saturating_add(1);
            if rest == 0 {
                break;
            }
        }
        let from = digits.len().saturating_sub(len);
        let written = digits.get(from..).unwrap_or_default();
        self.base.bytes.extend_from_slice(written);
        Ok(())
    }

    /// Returns the finished base.
    pub(crate) fn finish(self) -> SignatureBase {
        self.base
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::HttpRequest;

    #[test]
    fn a_time_has_up_to_15_digits() {
        let (parts, ()) = http::Request::new(()).into_parts();
        let request = HttpRequest::received(&parts, "https", "tools.example");
        let exchange = Exchange::of(&request);
        let written = |seconds, later| {
            let mut draft = Draft::new(&exchange, &Limits::default(), 0, 0);
            draft.list();
            let now = UnixTime::since_unix_epoch(Duration::from_secs(seconds));
            let written = draft.time("created", now, later);
            written.map(|()| draft.finish().signature_params().to_owned())
        };
        for (seconds, later, text) in [
            (0, 0, "();created=0"),
            (9, 1, "();created=10"),
            (1_700_000_005, 60, "();created=1700000065"),
            (999_999_999_999_999, 0, "();created=999999999999999"),
        ] {
            assert_eq!(written(seconds, later).unwrap(), text);
        }
        for (seconds, later) in [(999_999_999_999_999, 1), (u64::MAX, u64::MAX)] {
            assert_eq!(written(seconds, later).unwrap_err().code(), "sig.prepare");
        }
    }
}
