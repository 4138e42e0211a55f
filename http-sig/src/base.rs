//! The signature base (RFC 9421 §2.5): the second of three layers.

use crate::component::excerpt;
use crate::value;
use crate::{ComponentId, Error, Exchange, Limits, Parameters};

const PARAMS: &[u8] = b"\"@signature-params\": ";

/// The bytes that are signed, and where in them each component is.
#[derive(Clone)]
pub struct SignatureBase {
    bytes: Vec<u8>,
    spans: Vec<Span>,
    /// Where the list of `@signature-params` begins.
    list: usize,
}

#[derive(Clone, Copy)]
struct Span {
    identifier: usize,
    value: usize,
    end: usize,
}

impl SignatureBase {
    /// `text` is the list of these components with parameters, in canonical text.
    pub(crate) fn build(
        exchange: &Exchange<'_>,
        components: &[ComponentId<'_>],
        text: &str,
        limits: &Limits,
    ) -> Result<Self, Error> {
        let mut base = Self::lines(exchange, components, text.len(), limits)?;
        base.finish(text.as_bytes());
        Ok(base)
    }

    /// All lines but the last one, which has about `more` bytes.
    pub(crate) fn lines(
        exchange: &Exchange<'_>,
        components: &[ComponentId<'_>],
        more: usize,
        limits: &Limits,
    ) -> Result<Self, Error> {
        let room = components.len().saturating_mul(96);
        let mut bytes = Vec::with_capacity(room.saturating_add(more).saturating_add(1024));
        let mut spans = Vec::with_capacity(components.len());
        for id in components {
            let identifier = bytes.len();
            bytes.extend_from_slice(id.as_str().as_bytes());
            bytes.extend_from_slice(b": ");
            let value = bytes.len();
            value::write(&mut bytes, limits.base_len, exchange, *id)?;
            spans.push(Span {
                identifier,
                value,
                end: bytes.len(),
            });
            bytes.push(b'\n');
        }
        Ok(Self {
            list: bytes.len(),
            bytes,
            spans,
        })
    }

    /// Adds the last line.
    pub(crate) fn finish(&mut self, text: &[u8]) {
        self.bytes.extend_from_slice(PARAMS);
        self.list = self.bytes.len();
        self.bytes.extend_from_slice(text);
    }

    /// The bytes that are signed.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// The covered components in their order, each with its value as signed.
    pub fn components(&self) -> impl Iterator<Item = (ComponentId<'_>, &str)> {
        self.spans.iter().filter_map(|span| {
            let end = span.value.saturating_sub(": ".len());
            let id = ComponentId::parse(self.text(span.identifier, end)).ok()?;
            Some((id, self.text(span.value, span.end)))
        })
    }

    /// The value of a covered component, as signed.
    #[must_use]
    pub fn value(&self, component: ComponentId<'_>) -> Option<&str> {
        self.components()
            .find(|(id, _)| *id == component)
            .map(|(_, value)| value)
    }

    /// The value of `@signature-params`: what stands in `Signature-Input` behind the label.
    #[must_use]
    pub fn signature_params(&self) -> &str {
        self.text(self.list, self.bytes.len())
    }

    /// The parameters of the signature.
    #[must_use]
    pub fn parameters(&self) -> Parameters<'_> {
        let text = self.signature_params();
        // The list ends at the first `)` outside of strings.
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

    /// All is ASCII, so every place is between characters.
    fn text(&self, start: usize, end: usize) -> &str {
        let bytes = self.bytes.get(start..end).unwrap_or_default();
        str::from_utf8(bytes).unwrap_or_default()
    }
}

impl std::fmt::Debug for SignatureBase {
    /// Names the components, not their values.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("SignatureBase")
            .field(&self.signature_params())
            .finish()
    }
}

/// Whether all of these are covered, and what is missing first.
pub(crate) fn first_missing<'a>(
    covered: &[ComponentId<'_>],
    required: impl IntoIterator<Item = ComponentId<'a>>,
) -> Option<String> {
    required
        .into_iter()
        .find(|id| !covered.contains(id))
        .map(|id| excerpt(id.as_str()))
}
