//! `Accept-Signature` (RFC 9421 §5): requests a signature, and answers such a request.

mod offer;

pub use offer::Offer;

use crate::component::excerpt;
use crate::received::{check_count, identifiers, lines, members, syntax};
use crate::sf::{BareItem, is_whole_key, write_parameter};
use crate::{Component, Error, Limits, Message, Section};

const FIELD: &str = "accept-signature";

/// A request for a signature. In a request it asks to sign the response; in a response it asks to
/// sign the next request.
///
/// ```
/// use aims_http_sig::{Component, SignatureRequest};
///
/// let wanted = SignatureRequest::new("sig1")
///     .covering([Component::METHOD, Component::AUTHORITY])
///     .with_created()
///     .with_tag("app-123");
/// assert_eq!(wanted.to_field_value()?, r#"sig1=("@method" "@authority");created;tag="app-123""#);
/// # Ok::<(), aims_http_sig::Error>(())
/// ```
///
/// Two requests are equal if their texts are equal.
#[derive(Clone, Debug, PartialEq)]
pub struct SignatureRequest {
    label: String,
    /// The identifiers as written. [`components`](SignatureRequest::components) parses them.
    identifiers: Vec<String>,
    parameters: Vec<(String, BareItem<'static>)>,
}

impl SignatureRequest {
    /// Creates a request for a signature with this label that covers no component yet.
    #[must_use]
    pub fn new(label: impl Into<String>) -> Self {
        Self {
            label: label.into(),
            identifiers: Vec::new(),
            parameters: Vec::new(),
        }
    }

    /// Reads the field of a message. Returns an empty list without the field.
    ///
    /// This does not parse the components; [`components`](Self::components) does. The field may
    /// hold requests for several parties, and some may name components that are unknown here.
    ///
    /// # Errors
    ///
    /// `sig.syntax`, `sig.label_repeated`, `sig.parameter_repeated`, `sig.parameter_type`,
    /// `sig.limit`.
    pub fn of(message: &dyn Message, limits: &Limits) -> Result<Vec<Self>, Error> {
        let mut wanted: Vec<Self> = Vec::new();
        for line in lines(message, Section::Headers, FIELD, limits)? {
            members(&line, FIELD, |label, cursor| {
                if wanted.iter().any(|other| other.label == label) {
                    return Err(Error::LabelRepeated { field: FIELD });
                }
                check_count(wanted.len(), limits)?;
                let mut one = Self::new(label);
                let identifiers = identifiers(cursor, FIELD, limits)?;
                one.identifiers = identifiers.iter().map(|raw| raw.text.to_owned()).collect();
                while let Some((name, value)) = cursor.parameter().map_err(syntax(FIELD))? {
                    one.read_parameter(name, value, limits)?;
                }
                wanted.push(one);
                Ok(())
            })?;
        }
        Ok(wanted)
    }

    fn read_parameter(
        &mut self,
        name: &str,
        value: BareItem<'_>,
        limits: &Limits,
    ) -> Result<(), Error> {
        if self.parameter(name).is_some() {
            return Err(Error::ParameterRepeated);
        }
        if self.parameters.len() >= limits.parameters {
            return Err(Error::Limit {
                what: "parameters",
                limit: limits.parameters,
            });
        }
        let registered = [
            ("created", false),
            ("expires", false),
            ("nonce", true),
            ("alg", true),
            ("keyid", true),
            ("tag", true),
        ];
        if let Some((parameter, is_text)) = registered.into_iter().find(|(own, _)| *own == name) {
            let fits = match &value {
                BareItem::Boolean(wanted) => *wanted && !is_text,
                BareItem::String(text) => is_text && !text.is_empty(),
                _ => false,
            };
            if !fits {
                return Err(Error::ParameterType { parameter });
            }
        }
        self.parameters.push((name.to_owned(), value.into_owned()));
        Ok(())
    }

    /// Adds components to cover, in this order.
    #[must_use]
    pub fn covering(mut self, components: impl IntoIterator<Item = Component>) -> Self {
        let texts = components.into_iter().map(|one| one.as_str().to_owned());
        self.identifiers.extend(texts);
        self
    }

    /// Requests the parameter `created`.
    #[must_use]
    pub fn with_created(self) -> Self {
        self.with_parameter("created", BareItem::Boolean(true))
    }

    /// Requests the parameter `expires`.
    #[must_use]
    pub fn with_expires(self) -> Self {
        self.with_parameter("expires", BareItem::Boolean(true))
    }

    /// Requests this `tag`.
    #[must_use]
    pub fn with_tag(self, tag: &str) -> Self {
        // An invalid string is reported when the field is written.
        let value = BareItem::string(tag).map_or_else(
            |_not_printable| BareItem::String(tag.to_owned().into()),
            BareItem::into_owned,
        );
        self.with_parameter("tag", value)
    }

    /// Requests a parameter with this value: `nonce`, `alg`, `keyid` or another one.
    #[must_use]
    pub fn with_parameter(mut self, name: &str, value: BareItem<'_>) -> Self {
        self.parameters.retain(|(other, _)| other != name);
        self.parameters.push((name.to_owned(), value.into_owned()));
        self
    }

    /// Returns the label that the signature must have.
    #[must_use]
    pub fn label(&self) -> &str {
        &self.label
    }

    /// Returns the components that the signature must cover, and no others.
    ///
    /// # Errors
    ///
    /// `sig.component_unknown`, `sig.component_parameter`, `sig.component_repeated`. No signer can
    /// sign such a list.
    pub fn components(&self) -> Result<Vec<Component>, Error> {
        let mut components = Vec::with_capacity(self.identifiers.len());
        for identifier in &self.identifiers {
            let component: Component = identifier.parse()?;
            if components.contains(&component) {
                return Err(Error::ComponentRepeated {
                    component: excerpt(identifier),
                });
            }
            components.push(component);
        }
        Ok(components)
    }

    /// Returns the value of a parameter. `created` and `expires` are `?1` if they are requested.
    #[must_use]
    pub fn parameter(&self, name: &str) -> Option<&BareItem<'static>> {
        let named = self.parameters.iter().find(|(own, _)| own == name);
        named.map(|(_, value)| value)
    }

    /// Returns all parameters in their order.
    pub fn parameters(&self) -> impl Iterator<Item = (&str, &BareItem<'static>)> {
        self.parameters.iter().map(|(name, value)| (&**name, value))
    }

    /// Returns the member of `Accept-Signature`, after checking it.
    ///
    /// # Errors
    ///
    /// `sig.prepare` if the label or the name of a parameter is not a key, or a value does not have
    /// its type; the errors of [`components`](Self::components).
    pub fn to_field_value(&self) -> Result<String, Error> {
        let mut parameters = self.parameters.iter();
        let fits =
            |(name, value): &(String, BareItem<'_>)| is_whole_key(name) && value.is_canonical();
        if !is_whole_key(&self.label) || !parameters.all(fits) {
            return Err(Error::Prepare {
                reason: "the label, or a parameter, is none of a structured field",
            });
        }
        self.components()?;
        Ok(self.text())
    }

    fn text(&self) -> String {
        let mut text = format!("{}=({})", self.label, self.identifiers.join(" "));
        for (name, value) in &self.parameters {
            write_parameter(&mut text, name, value);
        }
        text
    }
}

impl std::fmt::Display for SignatureRequest {
    /// Writes the member of `Accept-Signature` without checking it. To send it, use
    /// [`to_field_value`](SignatureRequest::to_field_value).
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.text())
    }
}
