//! W3C Trace Context: reads and writes the `traceparent` header field.
//!
//! `Guard` reads the field of a request and adds it to its events. `Agent` writes the current trace
//! context of the program into the requests that it sends.

use std::{fmt, str::FromStr};

use http::{HeaderMap, HeaderName, HeaderValue};

/// The header field that carries the trace context (Trace Context §3.2).
pub const TRACEPARENT: HeaderName = HeaderName::from_static("traceparent");
/// The header field with vendor data, which is passed on unchanged (Trace Context §3.3).
pub const TRACESTATE: HeaderName = HeaderName::from_static("tracestate");

/// A parsed `traceparent`: the trace of a request and the span that sent it.
///
/// ```
/// use aims::trace::TraceContext;
///
/// let context: TraceContext = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01".parse()?;
/// assert!(context.sampled());
/// assert_eq!(context.trace_id(), "4bf92f3577b34da6a3ce929d0e0e4736");
/// # Ok::<(), aims::trace::NotTraceContext>(())
/// ```
#[derive(Clone, Copy, Eq, Hash, PartialEq)]
pub struct TraceContext {
    /// The text in the form of version 00: 55 ASCII characters, lower-case hex digits and hyphens.
    text: [u8; LENGTH],
}

impl TraceContext {
    /// Reads the trace context of a request.
    ///
    /// Returns `None` if the field is missing, repeated or malformed (Trace Context §4.3).
    #[must_use]
    pub fn of(headers: &HeaderMap) -> Option<Self> {
        let mut values = headers.get_all(TRACEPARENT).iter();
        let value = values.next()?;
        match values.next() {
            None => value.to_str().ok()?.parse().ok(),
            Some(_) => None,
        }
    }

    /// Returns the identifier of the trace: 32 hexadecimal digits.
    #[must_use]
    pub fn trace_id(&self) -> &str {
        self.as_str().get(3..35).unwrap_or_default()
    }

    /// Returns the identifier of the sender's span: 16 hexadecimal digits.
    #[must_use]
    pub fn parent_id(&self) -> &str {
        self.as_str().get(36..52).unwrap_or_default()
    }

    /// Returns whether the sender may have recorded the trace (the lowest flag).
    #[must_use]
    pub fn sampled(&self) -> bool {
        let last = self.text.last().copied().unwrap_or(b'0');
        matches!(last, b'1' | b'3' | b'5' | b'7' | b'9' | b'b' | b'd' | b'f')
    }

    /// Returns the value of the header field.
    #[must_use]
    pub fn as_str(&self) -> &str {
        std::str::from_utf8(&self.text).unwrap_or_default()
    }

    /// Writes the context into the header fields of a message. An earlier value is replaced.
    ///
    /// ```
    /// use aims::trace::TraceContext;
    /// use http::HeaderMap;
    ///
    /// let mut headers = HeaderMap::new();
    /// let text = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
    /// let context: TraceContext = text.parse()?;
    /// context.apply(&mut headers);
    /// assert_eq!(TraceContext::of(&headers), Some(context));
    /// # Ok::<(), aims::trace::NotTraceContext>(())
    /// ```
    pub fn apply(&self, headers: &mut HeaderMap) {
        if let Ok(value) = HeaderValue::from_bytes(&self.text) {
            headers.insert(TRACEPARENT, value);
        }
    }
}

impl FromStr for TraceContext {
    type Err = NotTraceContext;

    /// Parses version 00 exactly, and of later versions the part that version 00 defines (Trace
    /// Context §4.3).
    ///
    /// # Errors
    ///
    /// [`NotTraceContext`] for upper-case digits, wrong lengths, all-zero identifiers and version
    /// `ff`.
    fn from_str(text: &str) -> Result<Self, NotTraceContext> {
        let bytes = text.as_bytes();
        let (head, rest) = bytes.split_at_checked(LENGTH).ok_or(NotTraceContext)?;
        let mut known: [u8; LENGTH] = head.try_into().or(Err(NotTraceContext))?;
        let shape = known.iter().enumerate().all(|(at, byte)| match at {
            2 | 35 | 52 => *byte == b'-',
            _ => matches!(byte, b'0'..=b'9' | b'a'..=b'f'),
        });
        let zero = |range: std::ops::Range<usize>| {
            known
                .get(range)
                .is_none_or(|digits| digits.iter().all(|d| *d == b'0'))
        };
        if !shape || zero(3..35) || zero(36..52) {
            return Err(NotTraceContext);
        }
        match known {
            [b'0', b'0', ..] if rest.is_empty() => {}
            [b'0', b'0', ..] | [b'f', b'f', ..] => return Err(NotTraceContext),
            _ if rest.is_empty() || rest.first() == Some(&b'-') => {
                [known[0], known[1]] = *b"00";
            }
            _ => return Err(NotTraceContext),
        }
        Ok(Self { text: known })
    }
}

impl fmt::Debug for TraceContext {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("TraceContext").field(&self.as_str()).finish()
    }
}

impl fmt::Display for TraceContext {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Error returned when a text is not a valid `traceparent`.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[error("not a `traceparent` of version 00")]
#[non_exhaustive]
pub struct NotTraceContext;

/// Returns the current trace context of the program. Connects an agent to a telemetry library.
///
/// ```
/// use aims::trace::{CurrentTrace, TraceContext};
///
/// struct Fixed(TraceContext);
///
/// impl CurrentTrace for Fixed {
///     fn current(&self) -> Option<TraceContext> {
///         Some(self.0)
///     }
/// }
/// ```
pub trait CurrentTrace: Send + Sync {
    /// Returns the context to send, with the program's own span as parent.
    fn current(&self) -> Option<TraceContext>;
}

/// The length of version, trace id, parent id and flags with three hyphens (Trace Context §3.2).
const LENGTH: usize = 55;

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

    #[test]
    fn reads_what_it_writes() {
        let context: TraceContext = GOOD.parse().unwrap();
        assert_eq!(context.to_string(), GOOD);
        assert_eq!(context.parent_id(), "00f067aa0ba902b7");
        let mut headers = HeaderMap::new();
        context.apply(&mut headers);
        assert_eq!(TraceContext::of(&headers), Some(context));
    }

    #[test]
    fn refuses_what_is_none() {
        for bad in [
            "",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-0",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01-",
            "00-4BF92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
            "ff-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
            "00-00000000000000000000000000000000-00f067aa0ba902b7-01",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-0000000000000000-01",
            "00-4bf92f3577b34da6a3ce929d0e0e4736_00f067aa0ba902b7-01",
            "01-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01x",
        ] {
            assert_eq!(bad.parse::<TraceContext>(), Err(NotTraceContext), "{bad}");
        }
    }

    #[test]
    fn takes_the_known_part_of_a_later_version() {
        let later = GOOD.replacen("00", "cc", 1) + "-more";
        assert_eq!(later.parse::<TraceContext>().unwrap().to_string(), GOOD);
    }

    #[test]
    fn two_fields_give_none() {
        let mut headers = HeaderMap::new();
        headers.append(TRACEPARENT, HeaderValue::from_static(GOOD));
        headers.append(TRACEPARENT, HeaderValue::from_static(GOOD));
        assert_eq!(TraceContext::of(&headers), None);
    }
}
