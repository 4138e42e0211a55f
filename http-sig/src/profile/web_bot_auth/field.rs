//! Parses `Signature-Agent` of a message, once and strictly (draft §"Signature-Agent").

use std::borrow::Cow;

use super::{Discovery, FIELD, Revision, SignatureAgent};
use crate::received::{lines, members, syntax};
use crate::sf::{BareItem, Cursor, unescape};
use crate::{Error, Limits, Message, Section};

/// The lines of the field, as received.
#[derive(Debug)]
pub(super) struct AgentField<'m> {
    lines: Vec<Cow<'m, [u8]>>,
}

impl<'m> AgentField<'m> {
    /// Returns the lines of a message.
    pub(super) fn of(message: &'m dyn Message, limits: &Limits) -> Result<Self, Error> {
        Ok(Self {
            lines: lines(message, Section::Headers, FIELD, limits)?,
        })
    }

    /// Parses the lines. A caller that asks for a member gets the error of a malformed field.
    pub(super) fn read(&self, revision: Revision, limits: &Limits) -> ReceivedAgents<'_> {
        ReceivedAgents {
            revision,
            lines: &self.lines,
            members: self.members(revision, limits),
        }
    }

    fn members(&self, revision: Revision, limits: &Limits) -> Result<Vec<Member<'_>>, Error> {
        let mut found: Vec<Member<'_>> = Vec::with_capacity(1);
        for line in &self.lines {
            members(line, FIELD, |name, cursor| {
                if found.iter().any(|other| other.name == name) {
                    return Err(Error::LabelRepeated { field: FIELD });
                }
                // Each member belongs to one signature, so the same limit applies.
                check_count(
                    found.len(),
                    "members of `signature-agent`",
                    limits.signatures,
                )?;
                found.push(Member::read(name, cursor, revision, limits)?);
                Ok(())
            })?;
        }
        Ok(found)
    }
}

/// The members of `Signature-Agent` in a message, not verified.
#[derive(Debug)]
pub(super) struct ReceivedAgents<'a> {
    revision: Revision,
    lines: &'a [Cow<'a, [u8]>],
    members: Result<Vec<Member<'a>>, Error>,
}

impl ReceivedAgents<'_> {
    /// Returns whether the message has the field.
    pub(super) const fn is_there(&self) -> bool {
        !self.lines.is_empty()
    }

    /// Returns the member with this key.
    pub(super) fn member(&self, key: &str) -> Result<SignatureAgent, Error> {
        let members = self.members.as_ref().map_err(Error::clone)?;
        let member = members.iter().find(|member| member.name == key);
        let member = member.ok_or(Error::SignatureAgent)?;
        let discovery = member.discovery.ok_or(Error::SignatureAgent)?;
        SignatureAgent::new(&unescape(member.value), discovery)
    }

    /// Returns the bare string of earlier drafts, or `None` if the field is a dictionary.
    pub(super) fn legacy(&self) -> Result<Option<SignatureAgent>, Error> {
        let [line] = self.lines else {
            return Ok(None);
        };
        let mut cursor = Cursor::new(line).map_err(syntax(FIELD))?;
        cursor.skip_blanks();
        if cursor.peek() != Some(b'"') {
            return Ok(None);
        }
        let value = unescape(cursor.string().map_err(syntax(FIELD))?);
        cursor.skip_blanks();
        if !cursor.is_empty() {
            return Err(Error::SignatureAgent);
        }
        let discovery = match self.revision {
            Revision::Draft00 => Discovery::Directory,
            Revision::Draft01 => Discovery::JwkSet,
        };
        SignatureAgent::new(&value, discovery).map(Some)
    }
}

/// A string with parameters.
#[derive(Debug)]
struct Member<'a> {
    name: &'a str,
    /// The text between the quotes, still escaped.
    value: &'a str,
    /// `None` if the type is unknown, or the member has parameters that its revision does not
    /// allow. Such a member is ignored.
    discovery: Option<Discovery>,
}

impl<'a> Member<'a> {
    fn read(
        name: &'a str,
        cursor: &mut Cursor<'a>,
        revision: Revision,
        limits: &Limits,
    ) -> Result<Self, Error> {
        let value = cursor.string().map_err(syntax(FIELD))?;
        let mut discovery = match revision {
            Revision::Draft00 => Some(Discovery::Directory),
            Revision::Draft01 => Some(Discovery::JwkSet),
        };
        let mut seen: Vec<&str> = Vec::new();
        while let Some((parameter, value)) = cursor.parameter().map_err(syntax(FIELD))? {
            // Parsers differ in which of two equal parameters they use, and only one of them is
            // signed.
            if seen.contains(&parameter) {
                return Err(Error::ParameterRepeated);
            }
            check_count(seen.len(), "parameters", limits.parameters)?;
            seen.push(parameter);
            if revision == Revision::Draft01 {
                discovery = None;
            } else if parameter == "type" {
                let BareItem::Token(token) = value else {
                    return Err(Error::SignatureAgent);
                };
                discovery = Discovery::of_name(&token);
            }
        }
        Ok(Self {
            name,
            value,
            discovery,
        })
    }
}

fn check_count(there: usize, what: &'static str, limit: usize) -> Result<(), Error> {
    if there < limit {
        Ok(())
    } else {
        Err(Error::Limit { what, limit })
    }
}
