//! Component identifiers, parsed without copying.

use std::borrow::Cow;

use crate::Error;
use crate::sf::{BareItem, Cursor, unescape};

/// The kind of a component.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Kind {
    Derived(Derived),
    Field,
}

/// The derived components of RFC 9421 §2.2.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Derived {
    Authority,
    Method,
    Path,
    Query,
    QueryParam,
    RequestTarget,
    Scheme,
    Status,
    TargetUri,
}

impl Derived {
    fn from_name(name: &str) -> Option<Self> {
        Some(match name {
            "@authority" => Self::Authority,
            "@method" => Self::Method,
            "@path" => Self::Path,
            "@query" => Self::Query,
            "@query-param" => Self::QueryParam,
            "@request-target" => Self::RequestTarget,
            "@scheme" => Self::Scheme,
            "@status" => Self::Status,
            "@target-uri" => Self::TargetUri,
            _ => return None,
        })
    }
}

/// The parameters of a component that have no value.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub(crate) struct Flags {
    pub(crate) structured: bool,
    pub(crate) binary: bool,
    pub(crate) trailers: bool,
    pub(crate) request: bool,
}

/// A component identifier within a text.
///
/// Two identifiers are equal if they have the same name and the same parameters in any order (RFC
/// 9421 §2).
#[derive(Clone, Copy, Debug)]
pub struct ComponentId<'a> {
    text: &'a str,
    name: &'a str,
    kind: Kind,
    flags: Flags,
    /// The value of `key` or `name`: the text between the quotes, still escaped.
    argument: Option<&'a str>,
}

impl Flags {
    const NONE: Self = Self {
        structured: false,
        binary: false,
        trailers: false,
        request: false,
    };
}

impl<'a> ComponentId<'a> {
    pub(super) const fn fixed(text: &'a str, name: &'a str, derived: Derived) -> Self {
        Self::assembled(text, name, Kind::Derived(derived), Flags::NONE, None)
    }

    /// Creates a field without parameters; `text` is its name in quotes.
    pub(crate) const fn plain_field(text: &'a str, name: &'a str) -> Self {
        Self::assembled(text, name, Kind::Field, Flags::NONE, None)
    }

    /// Creates a derived component of the request; `text` is its name in quotes with `;req`.
    pub(crate) const fn of_request(text: &'a str, name: &'a str, derived: Derived) -> Self {
        let flags = Flags {
            request: true,
            ..Flags::NONE
        };
        Self::assembled(text, name, Kind::Derived(derived), flags, None)
    }

    /// Parses an identifier as written in `Signature-Input`.
    ///
    /// # Errors
    ///
    /// `sig.component_unknown` for an unknown name or a malformed text; `sig.component_parameter`
    /// for its parameters.
    pub fn parse(text: &'a str) -> Result<Self, Error> {
        let raw = Cursor::new(text.as_bytes())
            .and_then(|mut cursor| {
                let raw = super::read(&mut cursor)?;
                cursor.is_empty().then_some(raw).ok_or(crate::sf::Malformed)
            })
            .map_err(|_shape| unknown(text))?;
        Self::of(raw)
    }

    /// Creates an identifier from parts that were parsed before.
    pub(crate) const fn assembled(
        text: &'a str,
        name: &'a str,
        kind: Kind,
        flags: Flags,
        argument: Option<&'a str>,
    ) -> Self {
        Self {
            text,
            name,
            kind,
            flags,
            argument,
        }
    }

    /// Checks the meaning of an identifier (RFC 9421 §2).
    pub(crate) fn of(raw: super::Raw<'a>) -> Result<Self, Error> {
        // `@` is not a character of field names.
        let kind = if is_field_name(raw.name) {
            Kind::Field
        } else {
            Derived::from_name(raw.name)
                .map(Kind::Derived)
                .ok_or_else(|| unknown(raw.text))?
        };
        let mut id = Self {
            text: raw.text,
            name: raw.name,
            kind,
            flags: Flags::default(),
            argument: None,
        };
        if !raw.parameters.is_empty() || kind == Kind::Derived(Derived::QueryParam) {
            id.read_parameters(raw.parameters)
                .ok_or_else(|| Error::ComponentParameter {
                    component: excerpt(raw.text),
                })?;
        }
        Ok(id)
    }

    /// Returns `None` for a parameter that is unknown, of another type, repeated, or in conflict
    /// with another one.
    fn read_parameters(&mut self, parameters: &'a str) -> Option<()> {
        let field = self.kind == Kind::Field;
        let query_param = self.kind == Kind::Derived(Derived::QueryParam);
        let mut cursor = Cursor::again(parameters);
        while let Some((name, value)) = cursor.parameter().ok()? {
            let flag = match name {
                "sf" if field => &mut self.flags.structured,
                "bs" if field => &mut self.flags.binary,
                "tr" if field => &mut self.flags.trailers,
                "req" if self.kind != Kind::Derived(Derived::Status) => &mut self.flags.request,
                "key" if field => {
                    set_argument(&mut self.argument, value)?;
                    continue;
                }
                "name" if query_param => {
                    set_argument(&mut self.argument, value)?;
                    continue;
                }
                _ => return None,
            };
            if value != BareItem::Boolean(true) || std::mem::replace(flag, true) {
                return None;
            }
        }
        let parsed = self.flags.structured || (field && self.argument.is_some());
        let named = !query_param || self.argument.is_some();
        (named && !(self.flags.binary && parsed)).then_some(())
    }

    /// Returns the identifier as written in `Signature-Input`, such as `"content-digest";req`.
    #[must_use]
    pub const fn as_str(&self) -> &'a str {
        self.text
    }

    /// Returns the name without parameters: `content-digest`, `@method`.
    #[must_use]
    pub const fn name(&self) -> &'a str {
        self.name
    }

    /// Returns whether it is a component of the request, in the signature of its response (`req`).
    #[must_use]
    pub const fn is_of_request(&self) -> bool {
        self.flags.request
    }

    /// Returns whether it is a field of the trailers (`tr`).
    #[must_use]
    pub const fn is_of_trailers(&self) -> bool {
        self.flags.trailers
    }

    /// Returns whether the field is signed in the canonical form of its structured type (`sf`).
    #[must_use]
    pub const fn is_structured(&self) -> bool {
        self.flags.structured
    }

    /// Returns whether each line of the field is signed as a byte sequence (`bs`).
    #[must_use]
    pub const fn is_binary(&self) -> bool {
        self.flags.binary
    }

    /// Returns the key of the covered member of a dictionary (`key`).
    #[must_use]
    pub fn key(&self) -> Option<Cow<'a, str>> {
        self.argument
            .filter(|_| self.kind == Kind::Field)
            .map(unescape)
    }

    /// Returns the name of the covered query parameter (`name`), form-encoded: `a%20b`.
    #[must_use]
    pub fn query_param(&self) -> Option<Cow<'a, str>> {
        self.argument
            .filter(|_| self.kind != Kind::Field)
            .map(unescape)
    }

    pub(crate) const fn kind(&self) -> Kind {
        self.kind
    }

    pub(crate) const fn flags(&self) -> Flags {
        self.flags
    }

    pub(crate) const fn argument(&self) -> Option<&'a str> {
        self.argument
    }
}

impl PartialEq for ComponentId<'_> {
    fn eq(&self, other: &Self) -> bool {
        self.name == other.name && self.flags == other.flags && self.argument == other.argument
    }
}

impl Eq for ComponentId<'_> {}

fn set_argument<'a>(argument: &mut Option<&'a str>, value: BareItem<'a>) -> Option<()> {
    match value {
        BareItem::String(Cow::Borrowed(raw)) if argument.is_none() => {
            *argument = Some(raw);
            Some(())
        }
        _ => None,
    }
}

/// Returns whether the text is a field name (RFC 9110 §5.1) in lower case.
fn is_field_name(name: &str) -> bool {
    let fits = |byte: u8| crate::sf::is_tchar(byte) && !byte.is_ascii_uppercase();
    !name.is_empty() && name.bytes().all(fits)
}

pub(super) fn unknown(text: &str) -> Error {
    Error::ComponentUnknown {
        component: excerpt(text),
    }
}

/// Formats an identifier for an error: printable ASCII, at most 100 bytes.
pub(crate) fn excerpt(text: &str) -> String {
    text.chars()
        .filter(|char| matches!(char, ' '..='~'))
        .take(100)
        .collect()
}
