//! Finds the start and the end of the content (RFC 9112 §6, §7.1).

use std::borrow::Cow;

use super::Reader;
use super::fields::{Fields, Room};
use super::lines::{Rest, trim};
use crate::Error;

/// Maximum length of a line with the size of a chunk, and of all extensions together, in bytes.
const MAX_CHUNK_LINE: usize = 1024;
const MAX_EXTENSIONS: usize = 16 * 1024;
/// Maximum number of hex digits of a size.
const MAX_DIGITS: usize = 16;

/// Fields that frame, route, authenticate or describe a message (RFC 9110 §6.5.1). As trailers they
/// arrive after the content was read.
const NO_TRAILERS: &[&str] = &[
    "authorization",
    "cache-control",
    "connection",
    "content-encoding",
    "content-length",
    "content-range",
    "content-type",
    "cookie",
    "expect",
    "host",
    "max-forwards",
    "proxy-authenticate",
    "proxy-authorization",
    "set-cookie",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
    "www-authenticate",
];

/// The way in which a message states the length of its content.
#[derive(Clone, Copy, Debug)]
pub(super) enum Framing {
    /// There is no content, whatever `Content-Length` states.
    Empty,
    /// `Content-Length`, or zero for a request without it.
    Length(usize),
    /// `Transfer-Encoding: chunked`.
    Chunked,
    /// Everything up to the end of the input.
    Rest,
}

impl Framing {
    pub(super) fn of_request(reader: &Reader, fields: &Fields<'_>) -> Result<Self, Error> {
        let undeclared = if reader.rest_is_content {
            Self::Rest
        } else {
            Self::Length(0)
        };
        Ok(Self::declared(fields)?.unwrap_or(undeclared))
    }

    pub(super) fn of_response(
        fields: &Fields<'_>,
        method: &str,
        status: u16,
    ) -> Result<Self, Error> {
        let declared = Self::declared(fields)?;
        let tunnel = method == "CONNECT" && (200..300).contains(&status);
        match declared {
            Some(Self::Chunked) if status < 200 || status == 204 || tunnel => {
                Err(Error::Http1TransferEncoding)
            }
            Some(_) if status < 200 || status == 204 || tunnel => Err(Error::Http1ContentLength),
            _ if status < 200 || matches!(status, 204 | 304) || tunnel || method == "HEAD" => {
                Ok(Self::Empty)
            }
            _ => Ok(declared.unwrap_or(Self::Rest)),
        }
    }

    /// Refuses a length that is stated twice or in two ways: two parsers could read two different
    /// messages (RFC 9112 §6.3, §11.2).
    fn declared(fields: &Fields<'_>) -> Result<Option<Self>, Error> {
        let only = |name: &str| {
            let mut values = fields.values(name);
            (values.next(), values.next().is_some())
        };
        match (only("transfer-encoding"), only("content-length")) {
            ((Some(_), _), (Some(_), _)) => Err(Error::Http1LengthAndCoding),
            ((Some(coding), false), _) if coding.eq_ignore_ascii_case(b"chunked") => {
                Ok(Some(Self::Chunked))
            }
            ((Some(_), _), _) => Err(Error::Http1TransferEncoding),
            (_, (Some(length), false)) => {
                let digits = !length.is_empty() && length.iter().all(u8::is_ascii_digit);
                let length = core::str::from_utf8(length).ok().filter(|_| digits);
                let length = length.and_then(|text| text.parse().ok());
                length
                    .map(|length| Some(Self::Length(length)))
                    .ok_or(Error::Http1ContentLength)
            }
            (_, (Some(_), true)) => Err(Error::Http1ContentLength),
            _ => Ok(None),
        }
    }

    /// Reads the content and the trailers. No bytes may follow them.
    pub(super) fn read<'m>(
        self,
        reader: &Reader,
        mut rest: Rest<'m>,
        room: &mut Room,
    ) -> Result<(Cow<'m, [u8]>, Fields<'m>), Error> {
        let limit = reader.body_limit;
        let length = match self {
            Self::Chunked => {
                let content = chunks(&mut rest, limit)?;
                let trailers = trailers(reader, &mut rest, room)?;
                return at_end(rest, (Cow::Owned(content), trailers));
            }
            Self::Empty => 0,
            Self::Length(length) => length,
            Self::Rest => rest.bytes().len(),
        };
        if length > limit {
            return Err(Error::Http1BodySize { limit });
        }
        let content = rest.take(length)?;
        at_end(rest, (Cow::Borrowed(content), Fields::default()))
    }
}

fn at_end<T>(rest: Rest<'_>, read: T) -> Result<T, Error> {
    if !rest.bytes().is_empty() {
        return Err(Error::Http1Surplus);
    }
    Ok(read)
}

/// Reads all chunks up to the one of size 0.
fn chunks(rest: &mut Rest<'_>, limit: usize) -> Result<Vec<u8>, Error> {
    let (mut content, mut extensions) = (Vec::new(), 0_usize);
    loop {
        let line = whole(rest, MAX_CHUNK_LINE)?;
        let (size, extension) = size(line)?;
        extensions = extensions.saturating_add(extension);
        if extensions > MAX_EXTENSIONS {
            return Err(Error::Http1Chunk);
        }
        if size == 0 {
            return Ok(content);
        }
        if size > limit.saturating_sub(content.len()) {
            return Err(Error::Http1BodySize { limit });
        }
        content.extend_from_slice(rest.take(size)?);
        if !whole(rest, 2)?.is_empty() {
            return Err(Error::Http1Chunk);
        }
    }
}

/// Reads a line of at most `limit` bytes, including its end.
fn whole<'m>(rest: &mut Rest<'m>, limit: usize) -> Result<&'m [u8], Error> {
    rest.line(limit)?.ok_or(if rest.bytes().len() < limit {
        Error::Http1Truncated
    } else {
        Error::Http1Chunk
    })
}

/// Parses the size of a chunk. Also returns the length of its extensions, which are ignored.
fn size(line: &[u8]) -> Result<(usize, usize), Error> {
    let digits = line.iter().take_while(|b| b.is_ascii_hexdigit()).count();
    let (digits, extensions) = line.split_at_checked(digits).ok_or(Error::Http1Chunk)?;
    let named = extensions.is_empty() || trim(extensions).starts_with(b";");
    let control = extensions
        .iter()
        .any(|b| b.is_ascii_control() && *b != b'\t');
    let size = core::str::from_utf8(digits)
        .ok()
        .filter(|text| text.len() <= MAX_DIGITS && named && !control)
        .and_then(|text| usize::from_str_radix(text, 16).ok());
    size.map(|size| (size, extensions.len()))
        .ok_or(Error::Http1Chunk)
}

fn trailers<'m>(
    reader: &Reader,
    rest: &mut Rest<'m>,
    room: &mut Room,
) -> Result<Fields<'m>, Error> {
    let trailers = Fields::read(reader, rest, room).map_err(|error| match error {
        Error::Http1HeadIncomplete => Error::Http1Truncated,
        other => other,
    })?;
    let forbidden = |name: &str| NO_TRAILERS.iter().any(|it| name.eq_ignore_ascii_case(it));
    if trailers.iter().any(|(name, _)| forbidden(name)) {
        return Err(Error::Http1Trailer);
    }
    Ok(trailers)
}
