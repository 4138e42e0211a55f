//! Component identifiers (RFC 9421 §2).

mod id;

use std::fmt;
use std::ops::Range;
use std::str::FromStr;

pub use id::ComponentId;
pub(crate) use id::{Derived, Flags, Kind, excerpt};

use crate::Error;
use crate::sf::Cursor;

/// A component identifier to require or to cover: a name and its parameters.
///
/// ```
/// use aims_http_sig::Component;
///
/// let digest = Component::field("content-digest")?.of_request()?;
/// assert_eq!(digest.as_str(), r#""content-digest";req"#);
/// assert_eq!(Component::METHOD.as_str(), r#""@method""#);
/// assert_eq!("@query-param;name=\"Pet\"".parse::<Component>()?, Component::query_param("Pet"));
/// assert_eq!(Component::field("Content-Type").unwrap_err().code(), "sig.component_unknown");
/// # Ok::<(), aims_http_sig::Error>(())
/// ```
#[derive(Clone)]
pub struct Component(Text);

#[derive(Clone)]
enum Text {
    /// A derived component without parameters.
    Fixed(ComponentId<'static>),
    Own(Own),
}

/// An identifier with the positions of its parts, so that it is parsed once.
#[derive(Clone)]
struct Own {
    text: String,
    name: Range<usize>,
    kind: Kind,
    flags: Flags,
    argument: Option<Range<usize>>,
}

macro_rules! derived {
    ($($(#[$doc:meta])* $constant:ident = $name:literal, $kind:ident;)+) => {
        $(
            $(#[$doc])*
            pub const $constant: Self = Self(Text::Fixed(ComponentId::fixed(
                concat!("\"", $name, "\""), $name, Derived::$kind,
            )));
        )+
    };
}

impl Component {
    derived! {
        /// `@method`, the HTTP method (RFC 9421 §2.2.1).
        METHOD = "@method", Method;
        /// `@target-uri`, the full URI of the request (RFC 9421 §2.2.2).
        TARGET_URI = "@target-uri", TargetUri;
        /// `@authority`, host and port (RFC 9421 §2.2.3).
        AUTHORITY = "@authority", Authority;
        /// `@scheme`, `http` or `https` (RFC 9421 §2.2.4).
        SCHEME = "@scheme", Scheme;
        /// `@request-target`, the target as sent (RFC 9421 §2.2.5).
        REQUEST_TARGET = "@request-target", RequestTarget;
        /// `@path`, the path of the target (RFC 9421 §2.2.6).
        PATH = "@path", Path;
        /// `@query`, the query with its `?` (RFC 9421 §2.2.7).
        QUERY = "@query", Query;
        /// `@status`, the status code of a response (RFC 9421 §2.2.9).
        STATUS = "@status", Status;
    }

    /// The identifier of [`STATUS`](Self::STATUS).
    pub(crate) const STATUS_ID: ComponentId<'static> =
        ComponentId::fixed("\"@status\"", "@status", Derived::Status);

    /// Creates a component from a parsed identifier.
    pub(crate) const fn fixed(id: ComponentId<'static>) -> Self {
        Self(Text::Fixed(id))
    }

    /// Creates a component for a header field, by its name in lower case (RFC 9421 §2.1).
    ///
    /// # Errors
    ///
    /// `sig.component_unknown` if the text is not such a name.
    pub fn field(name: &str) -> Result<Self, Error> {
        if name.starts_with('@') {
            return Err(id::unknown(name));
        }
        Self::of(format!("\"{name}\""))
    }

    /// Creates `@query-param` for the parameter with this name, given decoded (RFC 9421 §2.2.8).
    ///
    /// `a b` becomes `"@query-param";name="a%20b"`.
    #[must_use]
    pub fn query_param(name: &str) -> Self {
        const NAME: &str = "@query-param";
        let mut encoded = Vec::with_capacity(name.len());
        crate::form::encode(&mut encoded, name.as_bytes());
        let mut text = format!("\"{NAME}\";name=\"");
        let start = text.len();
        text.push_str(&String::from_utf8_lossy(&encoded));
        let argument = start..text.len();
        text.push('"');
        Self(Text::Own(Own {
            text,
            name: 1..NAME.len().saturating_add(1),
            kind: Kind::Derived(Derived::QueryParam),
            flags: Flags::default(),
            argument: Some(argument),
        }))
    }

    /// Returns the same field in the canonical form of its structured type (`sf`, RFC 9421 §2.1.1).
    ///
    /// # Errors
    ///
    /// `sig.component_parameter` for a derived component, with `bs`, or if the parameter is set
    /// already.
    pub fn structured(&self) -> Result<Self, Error> {
        self.with("sf")
    }

    /// Returns one member of the same field, which is a dictionary (`key`, RFC 9421 §2.1.2).
    ///
    /// # Errors
    ///
    /// `sig.component_parameter` for a derived component, with `bs`, or if the parameter is set
    /// already.
    pub fn member(&self, key: &str) -> Result<Self, Error> {
        extended(self.as_str(), "key", key)
    }

    /// Returns the same field with each line as a byte sequence (`bs`, RFC 9421 §2.1.3).
    ///
    /// # Errors
    ///
    /// `sig.component_parameter` for a derived component, with `sf` or `key`, or if the parameter
    /// is set already.
    pub fn binary(&self) -> Result<Self, Error> {
        self.with("bs")
    }

    /// Returns the same field of the trailers (`tr`, RFC 9421 §2.1.4).
    ///
    /// # Errors
    ///
    /// `sig.component_parameter` for a derived component, or if the parameter is set already.
    pub fn of_trailers(&self) -> Result<Self, Error> {
        self.with("tr")
    }

    /// Returns the same component of the request, for the signature of its response (`req`, RFC
    /// 9421 §2.4).
    ///
    /// # Errors
    ///
    /// `sig.component_parameter` for `@status`, or if the parameter is set already.
    pub fn of_request(&self) -> Result<Self, Error> {
        self.with("req")
    }

    fn with(&self, parameter: &str) -> Result<Self, Error> {
        Self::of(format!("{};{parameter}", self.as_str()))
    }

    fn of(text: String) -> Result<Self, Error> {
        let id = ComponentId::parse(&text)?;
        // A name contains no quote. Only one parameter has a value, so the value ends at the last
        // quote.
        let name = 1..id.name().len().saturating_add(1);
        let argument = id.argument().map(|argument| {
            let end = text.rfind('"').unwrap_or_default();
            end.saturating_sub(argument.len())..end
        });
        let (kind, flags) = (id.kind(), id.flags());
        Ok(Self(Text::Own(Own {
            text,
            name,
            kind,
            flags,
            argument,
        })))
    }

    /// Returns the identifier as written in `Signature-Input`, such as `"content-digest";req`.
    #[must_use]
    pub fn as_str(&self) -> &str {
        match &self.0 {
            Text::Fixed(id) => id.as_str(),
            Text::Own(own) => &own.text,
        }
    }

    /// Returns the parsed identifier.
    #[must_use]
    pub fn id(&self) -> ComponentId<'_> {
        match &self.0 {
            Text::Fixed(id) => *id,
            Text::Own(own) => ComponentId::assembled(
                &own.text,
                own.text.get(own.name.clone()).unwrap_or_default(),
                own.kind,
                own.flags,
                own.argument
                    .clone()
                    .map(|range| own.text.get(range).unwrap_or_default()),
            ),
        }
    }
}

/// Adds a parameter with a text value.
fn extended(identifier: &str, parameter: &str, text: &str) -> Result<Component, Error> {
    let value = crate::BareItem::string(text).map_err(|_why| Error::ComponentParameter {
        component: excerpt(identifier),
    })?;
    Component::of(format!("{identifier};{parameter}={value}"))
}

impl FromStr for Component {
    type Err = Error;

    /// Parses an identifier, with the name in quotes or without: `@method`, `"content-digest";req`.
    fn from_str(text: &str) -> Result<Self, Error> {
        if text.starts_with('"') {
            return Self::of(text.to_owned());
        }
        let (name, parameters) = text.split_at(text.find(';').unwrap_or(text.len()));
        Self::of(format!("\"{name}\"{parameters}"))
    }
}

impl TryFrom<&str> for Component {
    type Error = Error;

    fn try_from(text: &str) -> Result<Self, Error> {
        text.parse()
    }
}

impl PartialEq for Component {
    /// Ignores the order of parameters (RFC 9421 §2).
    fn eq(&self, other: &Self) -> bool {
        self.id() == other.id()
    }
}

impl Eq for Component {}

impl fmt::Debug for Component {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl fmt::Display for Component {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Reads the shape of an identifier. `ComponentId::of` checks its meaning.
pub(crate) fn read<'a>(cursor: &mut Cursor<'a>) -> Result<Raw<'a>, crate::sf::Malformed> {
    let start = *cursor;
    let name = cursor.string()?;
    let before = *cursor;
    while cursor.parameter()?.is_some() {}
    Ok(Raw {
        text: cursor.since(&start),
        name,
        parameters: cursor.since(&before),
    })
}

/// An identifier whose shape was checked, and nothing else.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Raw<'a> {
    pub(crate) text: &'a str,
    pub(crate) name: &'a str,
    pub(crate) parameters: &'a str,
}

#[cfg(test)]
mod tests;
