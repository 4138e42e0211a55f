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

/// An identifier with where its parts are, so that it is read once.
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
        /// `@method` (RFC 9421 §2.2.1).
        METHOD = "@method", Method;
        /// `@target-uri` (RFC 9421 §2.2.2).
        TARGET_URI = "@target-uri", TargetUri;
        /// `@authority` (RFC 9421 §2.2.3).
        AUTHORITY = "@authority", Authority;
        /// `@scheme` (RFC 9421 §2.2.4).
        SCHEME = "@scheme", Scheme;
        /// `@request-target` (RFC 9421 §2.2.5).
        REQUEST_TARGET = "@request-target", RequestTarget;
        /// `@path` (RFC 9421 §2.2.6).
        PATH = "@path", Path;
        /// `@query` (RFC 9421 §2.2.7).
        QUERY = "@query", Query;
        /// `@status` (RFC 9421 §2.2.9).
        STATUS = "@status", Status;
    }

    /// [`STATUS`](Self::STATUS).
    pub(crate) const STATUS_ID: ComponentId<'static> =
        ComponentId::fixed("\"@status\"", "@status", Derived::Status);

    /// A component that needs no reading.
    pub(crate) const fn fixed(id: ComponentId<'static>) -> Self {
        Self(Text::Fixed(id))
    }

    /// A field, by its name in lower case (RFC 9421 §2.1).
    ///
    /// # Errors
    ///
    /// `sig.component_unknown` where it is no such name.
    pub fn field(name: &str) -> Result<Self, Error> {
        if name.starts_with('@') {
            return Err(id::unknown(name));
        }
        Self::of(format!("\"{name}\""))
    }

    /// `@query-param` of this name, as it is and not as it stands in a query: `a b` becomes
    /// `"@query-param";name="a%20b"` (RFC 9421 §2.2.8).
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

    /// The same field, serialised anew by its structured type (`sf`, RFC 9421 §2.1.1).
    ///
    /// # Errors
    ///
    /// `sig.component_parameter`: not of a derived component, not with `bs`, not twice.
    pub fn structured(&self) -> Result<Self, Error> {
        self.with("sf")
    }

    /// One member of the same field, which is a dictionary (`key`, RFC 9421 §2.1.2).
    ///
    /// # Errors
    ///
    /// `sig.component_parameter`: not of a derived component, not with `bs`, not twice.
    pub fn member(&self, key: &str) -> Result<Self, Error> {
        extended(self.as_str(), "key", key)
    }

    /// The lines of the same field, each as bytes (`bs`, RFC 9421 §2.1.3).
    ///
    /// # Errors
    ///
    /// `sig.component_parameter`: not of a derived component, not with `sf` or `key`, not twice.
    pub fn binary(&self) -> Result<Self, Error> {
        self.with("bs")
    }

    /// The same field from the trailers (`tr`, RFC 9421 §2.1.4).
    ///
    /// # Errors
    ///
    /// `sig.component_parameter`: not of a derived component, not twice.
    pub fn of_trailers(&self) -> Result<Self, Error> {
        self.with("tr")
    }

    /// The same component of the request, in the signature of its response (`req`, RFC 9421 §2.4).
    ///
    /// # Errors
    ///
    /// `sig.component_parameter`: not of `@status`, not twice.
    pub fn of_request(&self) -> Result<Self, Error> {
        self.with("req")
    }

    fn with(&self, parameter: &str) -> Result<Self, Error> {
        Self::of(format!("{};{parameter}", self.as_str()))
    }

    fn of(text: String) -> Result<Self, Error> {
        let id = ComponentId::parse(&text)?;
        // No name holds a quote, and only one parameter has a value: it ends at the last quote.
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

    /// The identifier as it stands in `Signature-Input`: `"content-digest";req`.
    #[must_use]
    pub fn as_str(&self) -> &str {
        match &self.0 {
            Text::Fixed(id) => id.as_str(),
            Text::Own(own) => &own.text,
        }
    }

    /// The identifier, taken apart.
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

/// With a parameter that has a text.
fn extended(identifier: &str, parameter: &str, text: &str) -> Result<Component, Error> {
    let value = crate::BareItem::string(text).map_err(|_why| Error::ComponentParameter {
        component: excerpt(identifier),
    })?;
    Component::of(format!("{identifier};{parameter}={value}"))
}

impl FromStr for Component {
    type Err = Error;

    /// Reads an identifier, with the name between quotes or without them: `@method`,
    /// `"content-digest";req`.
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
    /// In any order of the parameters (RFC 9421 §2).
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

/// Reads the identifier at a place; what it means is asked later (`ComponentId::of`).
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

/// An identifier of which only the shape was looked at.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Raw<'a> {
    pub(crate) text: &'a str,
    pub(crate) name: &'a str,
    pub(crate) parameters: &'a str,
}

#[cfg(test)]
mod tests;
