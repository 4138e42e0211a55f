//! The fields `Signature-Input` and `Signature` of a message (RFC 9421 §4), parsed strictly.

use std::borrow::Cow;
use std::fmt;

use crate::component::{self, Raw};
use crate::sf::{self, Cursor, Malformed};
use crate::{ComponentId, Error, Exchange, Limits, Message, Parameters, Section, SignatureBase};

const INPUT: &str = "signature-input";
const SIGNATURE: &str = "signature";

/// The lines of the two fields, as received.
#[derive(Clone)]
pub struct ReceivedFields<'m> {
    input: Vec<Cow<'m, [u8]>>,
    signature: Vec<Cow<'m, [u8]>>,
}

impl<'m> ReceivedFields<'m> {
    /// Returns the fields of a section of a message.
    ///
    /// # Errors
    ///
    /// `sig.missing` if there are none, `sig.labels_differ` if one of the two is missing,
    /// `sig.cavage` if the signature is of the draft before RFC 9421, `sig.limit`.
    pub fn of(message: &'m dyn Message, section: Section, limits: &Limits) -> Result<Self, Error> {
        let input = lines(message, section, INPUT, limits)?;
        let signature = lines(message, section, SIGNATURE, limits)?;
        match (input.is_empty(), signature.is_empty()) {
            _ if signature.iter().any(|line| is_cavage(line)) => Err(Error::Cavage),
            (true, true) if is_authorized_by_cavage(message, section) => Err(Error::Cavage),
            (true, true) => Err(crate::verify::missing(&[])),
            (false, false) => Ok(Self { input, signature }),
            _ => Err(Error::LabelsDiffer),
        }
    }

    /// Parses the signatures, in the order of `Signature-Input`. It parses all of both fields and
    /// verifies nothing.
    ///
    /// # Errors
    ///
    /// `sig.syntax`, `sig.label_repeated`, `sig.labels_differ`, `sig.parameter_repeated`,
    /// `sig.parameter_type`, `sig.limit`.
    pub fn signatures(&self, limits: &Limits) -> Result<Vec<UnverifiedSignature<'_>>, Error> {
        let mut bytes: Vec<(&str, Vec<u8>)> = Vec::with_capacity(1);
        for line in &self.signature {
            members(line, SIGNATURE, |label, cursor| {
                if bytes.iter().any(|(other, _)| *other == label) {
                    return Err(Error::LabelRepeated { field: SIGNATURE });
                }
                check_count(bytes.len(), limits)?;
                let (_, signature) = sf::bytes(cursor).map_err(syntax(SIGNATURE))?;
                bytes.push((label, signature));
                Ok(())
            })?;
        }
        let mut found: Vec<UnverifiedSignature<'_>> = Vec::with_capacity(bytes.len());
        for line in &self.input {
            members(line, INPUT, |label, cursor| {
                if found.iter().any(|other| other.label == label) {
                    return Err(Error::LabelRepeated { field: INPUT });
                }
                check_count(found.len(), limits)?;
                let signature = bytes
                    .iter_mut()
                    .find(|(other, _)| *other == label)
                    .map(|(_, signature)| std::mem::take(signature))
                    .ok_or(Error::LabelsDiffer)?;
                let list = List::read(cursor, INPUT, limits)?;
                found.push(UnverifiedSignature {
                    label,
                    list,
                    signature,
                });
                Ok(())
            })?;
        }
        if found.len() == bytes.len() {
            Ok(found)
        } else {
            Err(Error::LabelsDiffer)
        }
    }
}

impl fmt::Debug for ReceivedFields<'_> {
    /// Prints the number of lines, because they are not parsed yet.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ReceivedFields")
            .field("input", &self.input.len())
            .field("signature", &self.signature.len())
            .finish()
    }
}

/// Returns whether a line is a signature of draft-cavage-http-signatures §4:
/// `keyId="…",signature="…"`. In RFC 9421 no label has a capital letter, and no value of
/// `Signature` is a string.
fn is_cavage(line: &[u8]) -> bool {
    let has = |parameter: &[u8]| line.windows(parameter.len()).any(|part| part == parameter);
    has(b"keyId=\"") && has(b"signature=\"")
}

/// Returns whether `Authorization: Signature` has such a signature (draft-cavage-http-signatures
/// §3).
fn is_authorized_by_cavage(message: &dyn Message, section: Section) -> bool {
    let mut found = false;
    message.lines(section, "authorization", &mut |line| {
        let scheme = line.split(|byte| *byte == b' ').next().unwrap_or_default();
        found |= scheme.eq_ignore_ascii_case(b"Signature") && is_cavage(line);
    });
    found
}

/// One signature of a message. Only its shape was checked.
#[derive(Clone)]
pub struct UnverifiedSignature<'a> {
    label: &'a str,
    list: List<'a>,
    signature: Vec<u8>,
}

impl<'a> UnverifiedSignature<'a> {
    /// Returns the label.
    #[must_use]
    pub const fn label(&self) -> &'a str {
        self.label
    }

    /// Returns the parameters.
    #[must_use]
    pub const fn parameters(&self) -> &Parameters<'a> {
        &self.list.parameters
    }

    /// Returns the components that the signature claims to cover.
    ///
    /// # Errors
    ///
    /// `sig.component_unknown`, `sig.component_parameter`, `sig.component_repeated`.
    pub fn components(&self) -> Result<Vec<ComponentId<'a>>, Error> {
        self.list.components()
    }

    /// Returns the signature base over this message (RFC 9421 §2.5). `@signature-params` is taken
    /// from the field, byte for byte.
    ///
    /// # Errors
    ///
    /// Those of [`components`](Self::components) and of
    /// [`component_value`](crate::component_value); `sig.limit`.
    pub fn base(&self, exchange: &Exchange<'_>, limits: &Limits) -> Result<SignatureBase, Error> {
        self.base_of(&self.components()?, exchange, limits)
    }

    pub(crate) fn base_of(
        &self,
        components: &[ComponentId<'_>],
        exchange: &Exchange<'_>,
        limits: &Limits,
    ) -> Result<SignatureBase, Error> {
        let List {
            text, parameters, ..
        } = &self.list;
        SignatureBase::of_received(exchange, components, text, parameters, limits)
    }

    pub(crate) fn signature(&self) -> &[u8] {
        &self.signature
    }
}

impl fmt::Debug for UnverifiedSignature<'_> {
    /// Prints the components and the parameters, as text.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("UnverifiedSignature")
            .field("label", &self.label)
            .field("list", &self.list.text)
            .finish_non_exhaustive()
    }
}

/// An inner list of component identifiers with parameters.
#[derive(Clone)]
struct List<'a> {
    text: &'a str,
    identifiers: Vec<Raw<'a>>,
    parameters: Parameters<'a>,
}

impl<'a> List<'a> {
    fn read(cursor: &mut Cursor<'a>, field: &'static str, limits: &Limits) -> Result<Self, Error> {
        let start = *cursor;
        let identifiers = identifiers(cursor, field, limits)?;
        let malformed = || Error::Syntax { field };
        let parameters = Parameters::read(cursor, limits, malformed)?;
        Ok(Self {
            text: cursor.since(&start),
            identifiers,
            parameters,
        })
    }

    fn components(&self) -> Result<Vec<ComponentId<'a>>, Error> {
        distinct(&self.identifiers)
    }
}

/// Parses the identifiers, and refuses repeated ones.
pub(crate) fn distinct<'a>(identifiers: &[Raw<'a>]) -> Result<Vec<ComponentId<'a>>, Error> {
    let mut components: Vec<ComponentId<'a>> = Vec::with_capacity(identifiers.len());
    for raw in identifiers {
        let id = ComponentId::of(*raw)?;
        if components.contains(&id) {
            return Err(Error::ComponentRepeated {
                component: component::excerpt(raw.text),
            });
        }
        components.push(id);
    }
    Ok(components)
}

/// Reads `(`, identifiers with one space between them, and `)`.
pub(crate) fn identifiers<'a>(
    cursor: &mut Cursor<'a>,
    field: &'static str,
    limits: &Limits,
) -> Result<Vec<Raw<'a>>, Error> {
    let mut identifiers = Vec::with_capacity(8);
    cursor.require(b'(').map_err(syntax(field))?;
    if cursor.take(b')') {
        return Ok(identifiers);
    }
    loop {
        if identifiers.len() >= limits.components {
            return Err(Error::Limit {
                what: "components",
                limit: limits.components,
            });
        }
        identifiers.push(component::read(cursor).map_err(syntax(field))?);
        if cursor.take(b')') {
            return Ok(identifiers);
        }
        cursor.require(b' ').map_err(syntax(field))?;
    }
}

/// Reads `label=value` between commas. `value` reads the value.
pub(crate) fn members<'a>(
    line: &'a [u8],
    field: &'static str,
    mut value: impl FnMut(&'a str, &mut Cursor<'a>) -> Result<(), Error>,
) -> Result<(), Error> {
    let mut cursor = Cursor::new(line).map_err(syntax(field))?;
    cursor.skip_blanks();
    loop {
        let label = cursor.key().map_err(syntax(field))?;
        cursor.require(b'=').map_err(syntax(field))?;
        value(label, &mut cursor)?;
        cursor.skip_blanks();
        if cursor.is_empty() {
            return Ok(());
        }
        cursor.require(b',').map_err(syntax(field))?;
        cursor.skip_blanks();
    }
}

pub(crate) fn check_count(there: usize, limits: &Limits) -> Result<(), Error> {
    if there < limits.signatures {
        return Ok(());
    }
    Err(Error::Limit {
        what: "signatures",
        limit: limits.signatures,
    })
}

pub(crate) const fn syntax(field: &'static str) -> impl Fn(Malformed) -> Error {
    move |_malformed| Error::Syntax { field }
}

/// Returns the unfolded lines of a field, whose length is limited.
pub(crate) fn lines<'m>(
    message: &'m dyn Message,
    section: Section,
    field: &'static str,
    limits: &Limits,
) -> Result<Vec<Cow<'m, [u8]>>, Error> {
    let mut lines = Vec::new();
    let mut len = 0_usize;
    let mut well_formed = true;
    message.lines(section, field, &mut |line| {
        len = len.saturating_add(line.len()).saturating_add(1);
        if len > limits.field_len {
            return;
        }
        if line.contains(&b'\n') {
            let mut text = Vec::with_capacity(line.len());
            well_formed &= crate::value::unfold(&mut text, line);
            lines.push(Cow::Owned(text));
        } else {
            lines.push(Cow::Borrowed(line));
        }
    });
    if len > limits.field_len {
        return Err(Error::Limit {
            what: "bytes in a field of signatures",
            limit: limits.field_len,
        });
    }
    if well_formed {
        Ok(lines)
    } else {
        Err(Error::Syntax { field })
    }
}
