//! Component values (RFC 9421 §2.1-2.2). This is the first of three layers.

mod field;
mod query;

pub(crate) use field::unfold;

use crate::component::{Derived, Kind, excerpt};
use crate::sf::is_tchar;
use crate::target::Target;
use crate::{ComponentId, Error, Exchange, Start};

/// Returns the value of a component of a message, as it would be signed.
///
/// ```
/// use aims_http_sig::{Component, Exchange, HttpRequest, component_value};
///
/// let request = http::Request::get("/search?q=a+b&lang=en")
///     .header("accept", "text/html")
///     .header("accept", "*/*")
///     .body(())?;
/// let (parts, ()) = request.into_parts();
/// let request = HttpRequest::received(&parts, "https", "Tools.Example:443");
/// let value = |component: &str| {
///     component_value(&Exchange::of(&request), component.parse::<Component>()?.id())
/// };
///
/// assert_eq!(value("@authority")?, "tools.example");
/// assert_eq!(value("@query-param;name=\"q\"")?, "a%20b");
/// assert_eq!(value("accept")?, "text/html, */*");
/// assert_eq!(value("cookie").unwrap_err().code(), "sig.component_absent");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// # Errors
///
/// `sig.component_absent`, `sig.component_ambiguous`, `sig.component_misplaced`,
/// `sig.field_type_unknown`, `sig.field_type`, `sig.value`, `sig.target`.
pub fn component_value(exchange: &Exchange<'_>, id: ComponentId<'_>) -> Result<String, Error> {
    let mut out = Vec::with_capacity(64);
    if !write(&mut out, &mut Room::of(usize::MAX), exchange, id)? {
        return Err(absent(id));
    }
    String::from_utf8(out).map_err(|_no_text| Error::Value {
        component: excerpt(id.as_str()),
    })
}

/// Returns the error for a missing field.
pub(crate) fn absent(id: ComponentId<'_>) -> Error {
    Error::ComponentAbsent {
        component: excerpt(id.as_str()),
    }
}

/// The remaining room for a signature base, and for parsing for it.
pub(crate) struct Room {
    limit: usize,
    parsed: usize,
}

impl Room {
    pub(crate) const fn of(limit: usize) -> Self {
        Self { limit, parsed: 0 }
    }

    /// Counts the bytes that are parsed for one component. A member or a query parameter is short,
    /// but the whole field or query is parsed for it.
    fn parse(&mut self, len: usize) -> Result<(), Error> {
        self.parsed = self.parsed.saturating_add(len);
        if self.parsed <= self.limit {
            return Ok(());
        }
        Err(Error::Limit {
            what: "bytes that are parsed for a signature base",
            limit: self.limit,
        })
    }
}

/// Appends the value of a component, if `out` has room for it. Returns `false` if there is no such
/// field.
pub(crate) fn write(
    out: &mut Vec<u8>,
    room: &mut Room,
    exchange: &Exchange<'_>,
    id: ComponentId<'_>,
) -> Result<bool, Error> {
    let misplaced = || Error::ComponentMisplaced {
        component: excerpt(id.as_str()),
    };
    let message = if id.flags().request {
        // Components of a response only, then of a response to a request.
        match (exchange.message().start(), exchange.request()) {
            (Start::Response { .. }, Some(request)) => request,
            _ => return Err(misplaced()),
        }
    } else {
        exchange.message()
    };
    let start = out.len();
    match id.kind() {
        Kind::Field => {
            if !field::write(out, room, message, exchange.types(), id)? {
                return Ok(false);
            }
        }
        Kind::Derived(derived) => match (message.start(), derived) {
            (Start::Response { status }, Derived::Status) if (100..=999).contains(&status) => {
                out.extend_from_slice(status.to_string().as_bytes());
            }
            (
                Start::Request {
                    method,
                    target,
                    scheme,
                    authority,
                },
                _,
            ) if derived != Derived::Status => {
                let whole = target;
                let target = |method| Target::of(method, whole, scheme, authority);
                match derived {
                    Derived::Method => out.extend_from_slice(method.as_bytes()),
                    Derived::QueryParam => {
                        let query = target(method)?.query.unwrap_or_default();
                        room.parse(query.len())?;
                        query::write_parameter(out, query, id)?;
                    }
                    Derived::RequestTarget => {
                        target(method)?;
                        out.extend_from_slice(whole.as_bytes());
                    }
                    _ => write_part(out, &target(method)?, derived),
                }
            }
            _ => return Err(misplaced()),
        },
    }
    let limit = room.limit;
    if out.len() > limit {
        return Err(Error::Limit {
            what: "bytes in the signature base",
            limit,
        });
    }
    let written = out.get(start..).unwrap_or_default();
    // `field-content` has spaces and tabs (RFC 9421 §2.5).
    let fits = match id.kind() {
        Kind::Field => all(written, |byte| matches!(byte, b' '..=b'~' | b'\t')),
        Kind::Derived(Derived::Method) => !written.is_empty() && all(written, is_tchar),
        Kind::Derived(_) => all(written, |byte| byte.is_ascii_graphic()),
    };
    if fits {
        Ok(true)
    } else {
        Err(Error::Value {
            component: excerpt(id.as_str()),
        })
    }
}

fn write_part(out: &mut Vec<u8>, target: &Target<'_>, derived: Derived) {
    match derived {
        Derived::Authority => target.authority.write(out),
        Derived::Path if target.path.is_empty() => out.push(b'/'),
        Derived::Path => out.extend_from_slice(target.path.as_bytes()),
        Derived::Query => {
            out.push(b'?');
            out.extend_from_slice(target.query.unwrap_or_default().as_bytes());
        }
        Derived::Scheme => target.write_scheme(out),
        _ => {
            target.write_scheme(out);
            out.extend_from_slice(b"://");
            target.authority.write(out);
            out.extend_from_slice(target.path.as_bytes());
            if let Some(query) = target.query {
                out.push(b'?');
                out.extend_from_slice(query.as_bytes());
            }
        }
    }
}

/// Returns whether all bytes match. It has no early exit, so that the compiler can vectorize the
/// loop.
fn all(bytes: &[u8], is: impl Fn(u8) -> bool) -> bool {
    bytes
        .iter()
        .fold(0, |others, byte| others | u8::from(!is(*byte)))
        == 0
}
