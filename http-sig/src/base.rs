//! The signature base (RFC 9421 §2.5). It is the second of three layers.

mod draft;

pub(crate) use draft::Draft;

use crate::component::{Flags, Kind, excerpt};
use crate::parameters::Index;
use crate::{ComponentId, Error, Exchange, Limits, Parameters};

const PARAMS: &[u8] = b"\"@signature-params\": ";

/// The bytes that are signed, with the position of each component.
///
/// ```
/// use aims_http_sig::{Component, Exchange, HttpRequest, Signing};
/// use aims_jose::{random::SYSTEM, time::at};
///
/// let signing = Signing::new("sig1").covering([Component::METHOD, Component::AUTHORITY]);
/// let (parts, ()) = http::Request::get("https://tools.example/").body(())?.into_parts();
/// let message = HttpRequest::to_send(&parts)?;
/// let prepared = signing.prepare(&Exchange::of(&message), SYSTEM, at(1_800_000_000))?;
/// assert_eq!(
///     prepared.base().as_bytes(),
///     b"\"@method\": GET\n\"@authority\": tools.example\n\
///       \"@signature-params\": (\"@method\" \"@authority\")",
/// );
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone)]
pub struct SignatureBase {
    bytes: Vec<u8>,
    spans: Vec<Span>,
    /// The position of the list in `@signature-params`.
    list: usize,
    /// The position of its parameters, and the index of the parameters.
    read: Option<(usize, Index)>,
}

/// A line of the base with its parsed identifier.
#[derive(Clone, Copy)]
struct Span {
    identifier: usize,
    value: usize,
    end: usize,
    name_len: usize,
    kind: Kind,
    flags: Flags,
    argument_len: Option<usize>,
}

impl SignatureBase {
    /// Builds the base of a received signature. `text` is the canonical text of the list of
    /// components with its parameters.
    pub(crate) fn of_received(
        exchange: &Exchange<'_>,
        components: &[ComponentId<'_>],
        text: &str,
        parameters: &Parameters<'_>,
        limits: &Limits,
    ) -> Result<Self, Error> {
        let mut draft = Draft::new(exchange, limits, components.len(), text.len());
        for id in components {
            draft.cover(*id)?;
        }
        let mut base = draft.base;
        base.bytes.extend_from_slice(PARAMS);
        base.list = base.bytes.len();
        base.bytes.extend_from_slice(text.as_bytes());
        let at = base.bytes.len().saturating_sub(parameters.text().len());
        base.read = Some((at, parameters.index()));
        Ok(base)
    }

    /// Returns the bytes that are signed.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// Returns the covered components in their order, each with its value as signed.
    pub fn components(&self) -> impl Iterator<Item = (ComponentId<'_>, &str)> {
        self.spans
            .iter()
            .map(|span| (self.id(span), self.text(span.value, span.end)))
    }

    /// Returns the value of a covered component, as signed.
    #[must_use]
    pub fn value(&self, component: ComponentId<'_>) -> Option<&str> {
        let mut spans = self.spans.iter();
        let span = spans.find(|span| self.is(span, component))?;
        Some(self.text(span.value, span.end))
    }

    /// Returns whether a component is covered, without reading its value.
    pub(crate) fn covers(&self, component: ComponentId<'_>) -> bool {
        self.spans.iter().any(|span| self.is(span, component))
    }

    /// Compares like [`ComponentId`], but on bytes.
    fn is(&self, span: &Span, component: ComponentId<'_>) -> bool {
        let start = span.identifier.saturating_add(1);
        let name = || self.bytes.get(start..start.saturating_add(span.name_len));
        span.name_len == component.name().len()
            && span.flags == component.flags()
            && name() == Some(component.name().as_bytes())
            && match (span.argument_len, component.argument()) {
                (None, None) => true,
                (Some(_), Some(_)) => self.id(span) == component,
                _ => false,
            }
    }

    fn id(&self, span: &Span) -> ComponentId<'_> {
        let text = self.text(span.identifier, span.identifier_end());
        let name = text.get(1..span.name_len.saturating_add(1));
        // Only one parameter has a value, so the value ends at the last quote.
        let argument = span.argument_len.map(|len| {
            let end = text.rfind('"').unwrap_or_default();
            text.get(end.saturating_sub(len)..end).unwrap_or_default()
        });
        let name = name.unwrap_or_default();
        ComponentId::assembled(text, name, span.kind, span.flags, argument)
    }

    /// Returns the value of `@signature-params`, which follows the label in `Signature-Input`.
    #[must_use]
    pub fn signature_params(&self) -> &str {
        self.text(self.list, self.bytes.len())
    }

    /// Returns the parameters of the signature.
    #[must_use]
    pub fn parameters(&self) -> Parameters<'_> {
        if let Some((at, index)) = self.read {
            return Parameters::indexed(self.text(at, self.bytes.len()), index);
        }
        let text = self.signature_params();
        // The list ends at the first `)` outside strings.
        let mut in_string = false;
        let mut escaped = false;
        let end = text.bytes().position(|byte| {
            let is_end = byte == b')' && !in_string;
            in_string ^= byte == b'"' && !escaped;
            escaped = byte == b'\\' && !escaped;
            is_end
        });
        let after = end.map_or(text.len(), |end| end.saturating_add(1));
        Parameters::again(text.get(after..).unwrap_or_default())
    }

    /// The text is ASCII, so every position is a character boundary.
    fn text(&self, start: usize, end: usize) -> &str {
        let bytes = self.bytes.get(start..end).unwrap_or_default();
        str::from_utf8(bytes).unwrap_or_default()
    }
}

impl Span {
    const fn identifier_end(&self) -> usize {
        self.value.saturating_sub(": ".len())
    }
}

impl std::fmt::Debug for SignatureBase {
    /// Prints the names of the components, not their values.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("SignatureBase")
            .field(&self.signature_params())
            .finish()
    }
}

/// Returns the first of these components that is not covered, if any.
pub(crate) fn first_missing<'a>(
    covered: &[ComponentId<'_>],
    required: impl IntoIterator<Item = ComponentId<'a>>,
) -> Option<String> {
    required
        .into_iter()
        .find(|id| !covered.contains(id))
        .map(|id| excerpt(id.as_str()))
}
