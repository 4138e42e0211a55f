//! Parses the list syntax of challenges (RFC 9110 §5.6.1, §11.3, §11.4), in which commas separate
//! both challenges and parameters.
//!
//! Challenges and parameters are parsed one by one. After a malformed part, parsing continues at
//! the next comma.

use super::{Challenge, MAX_CHALLENGE_PARAMETERS, MAX_CHALLENGES, RESOURCE_METADATA};
use crate::{Diagnostic, Error, shown};

/// Adds the challenges of one header field.
pub(super) fn field(
    text: &str,
    all: &mut Vec<Challenge>,
    diagnostics: &mut Vec<Diagnostic>,
) -> Result<(), Error> {
    let mut rest = Rest(text);
    loop {
        rest.skip(&[' ', '\t', ',']);
        if rest.0.is_empty() {
            return Ok(());
        }
        if all.len() == MAX_CHALLENGES {
            return Err(Error::ChallengeSize);
        }
        all.extend(rest.challenge(diagnostics)?);
    }
}

/// Returns whether a text is a token (RFC 9110 §5.6.2).
pub(super) fn is_token(text: &str) -> bool {
    !text.is_empty() && text.chars().all(is_tchar)
}

/// The text that was not parsed yet.
#[derive(Clone, Copy)]
struct Rest<'a>(&'a str);

impl<'a> Rest<'a> {
    /// Parses the next challenge. Returns `None` if it is malformed before its first parameter.
    fn challenge(&mut self, notes: &mut Vec<Diagnostic>) -> Result<Option<Challenge>, Error> {
        let Some(scheme) = self.token() else {
            self.unreadable("", "expected a scheme", notes);
            return Ok(None);
        };
        let mut read = Read {
            challenge: Challenge::of_scheme(scheme.to_owned()),
            contradicted: Vec::new(),
        };
        let blank = self.0.starts_with(BLANK);
        self.skip(BLANK);
        if self.at_end() {
            return Ok(Some(read.challenge));
        }
        if !blank {
            self.unreadable(scheme, "expected a blank behind the scheme", notes);
            return Ok(None);
        }
        if let Some(token) = self.token68() {
            read.challenge.token68 = Some(token.to_owned());
            return Ok(Some(read.challenge));
        }
        if !self.is_parameter() {
            self.unreadable(scheme, "expected a parameter behind the scheme", notes);
            return Ok(None);
        }
        while self.is_parameter() {
            self.parameter_of(&mut read, notes)?;
            // Look ahead: a parameter of this challenge follows, or the next challenge.
            let mut ahead = *self;
            ahead.skip(&[' ', '\t', ',', ';']);
            if ahead.is_parameter() {
                *self = ahead;
            } else if !self.at_end() {
                self.unreadable(scheme, "expected a comma behind a parameter", notes);
                ahead = *self;
                ahead.skip(&[' ', '\t', ',', ';']);
                if ahead.is_parameter() {
                    *self = ahead;
                }
            }
        }
        Ok(Some(read.challenge))
    }

    /// Parses a token68. The element must end after it: `a=` can be one, `a=b` cannot.
    fn token68(&mut self) -> Option<&'a str> {
        let plain = |c: char| c.is_ascii_alphanumeric() || "-._~+/".contains(c);
        let bare = self.0.trim_start_matches(plain);
        if bare.len() == self.0.len() {
            return None;
        }
        let mut ahead = Self(bare.trim_start_matches('='));
        let token = self.0.strip_suffix(ahead.0)?;
        ahead.skip(BLANK);
        let mut next = ahead;
        next.skip(&[' ', '\t', ',']);
        // No parameter follows a token68, so `a=, b=c` is a parameter without a value and a second
        // parameter.
        let is_named = token.ends_with('=') && !token.ends_with("==");
        if !ahead.at_end() || (is_named && next.is_parameter()) {
            return None;
        }
        *self = ahead;
        Some(token)
    }

    fn is_parameter(mut self) -> bool {
        let is_named = self.token().is_some();
        self.skip(BLANK);
        is_named && self.0.starts_with('=')
    }

    /// Parses a parameter into a challenge. After a malformed one, it continues at the next comma.
    fn parameter_of(&mut self, read: &mut Read, notes: &mut Vec<Diagnostic>) -> Result<(), Error> {
        let mut ahead = *self;
        let name = ahead.token().unwrap_or_default().to_ascii_lowercase();
        ahead.skip(BLANK);
        ahead.0 = ahead.0.strip_prefix('=').unwrap_or(ahead.0);
        ahead.skip(BLANK);
        let found = match ahead.value() {
            Ok(value) => {
                *self = ahead;
                self.skip(BLANK);
                return read.push(name, value, notes);
            }
            Err(found) => found,
        };
        notes.push(Diagnostic::Ignored {
            name: shown::value(&name).into_string().into(),
            expected: "a quoted value or a token",
            found,
        });
        self.0 = self.0.trim_start_matches(|c| c != ',');
        Ok(())
    }

    /// Parses a value: a quoted one, or everything up to a blank or a comma.
    fn value(&mut self) -> Result<String, &'static str> {
        if let Some(quoted) = self.0.strip_prefix('"') {
            self.0 = quoted;
            let value = self.quoted()?;
            return if self.at_end() || self.0.starts_with([' ', '\t', ';']) {
                Ok(value)
            } else {
                Err("something behind the closing quote")
            };
        }
        let rest = self.0.trim_start_matches(is_unquoted);
        let value = self.0.strip_suffix(rest).unwrap_or_default();
        self.0 = rest;
        if !self.at_end() && !self.0.starts_with(BLANK) {
            return Err("a character that needs quotes");
        }
        let value = value.strip_suffix(';').unwrap_or(value);
        if value.is_empty() {
            return Err("no value");
        }
        Ok(value.to_owned())
    }

    /// Parses the rest of a quoted value after its opening quote (RFC 9110 §5.6.4).
    fn quoted(&mut self) -> Result<String, &'static str> {
        let mut value = String::new();
        let mut chars = self.0.chars();
        loop {
            let c = match chars.next().ok_or("no closing quote")? {
                '"' => break,
                '\\' => chars.next().ok_or("no closing quote")?,
                c => c,
            };
            if c == char::REPLACEMENT_CHARACTER || (c.is_control() && c != '\t') {
                return Err("a control character, or bytes that are not UTF-8");
            }
            value.push(c);
        }
        self.0 = chars.as_str();
        Ok(value)
    }

    fn token(&mut self) -> Option<&'a str> {
        let rest = self.0.trim_start_matches(is_tchar);
        let token = self.0.strip_suffix(rest).filter(|it| !it.is_empty())?;
        self.0 = rest;
        Some(token)
    }

    /// Skips a malformed part, up to the next comma.
    fn unreadable(&mut self, scheme: &str, found: &'static str, notes: &mut Vec<Diagnostic>) {
        notes.push(Diagnostic::Unreadable {
            scheme: shown::value(scheme),
            found,
        });
        self.0 = self.0.trim_start_matches(|c| c != ',');
    }

    fn skip(&mut self, chars: &[char]) {
        self.0 = self.0.trim_start_matches(chars);
    }

    fn at_end(&self) -> bool {
        self.0.is_empty() || self.0.starts_with(',')
    }
}

/// A challenge during parsing.
struct Read {
    challenge: Challenge,
    /// The parameters that occurred with different values.
    contradicted: Vec<String>,
}

impl Read {
    /// Adds a parameter. A repeated one with the same value counts once. `resource_metadata` may
    /// have two values, because the document decides. Any other parameter with different values
    /// counts as absent.
    fn push(
        &mut self,
        name: String,
        value: String,
        notes: &mut Vec<Diagnostic>,
    ) -> Result<(), Error> {
        let all = &mut self.challenge.parameters;
        let is_same = |(own, text): &(String, String)| *own == name && *text == value;
        if self.contradicted.contains(&name) || all.iter().any(is_same) {
            return Ok(());
        }
        let before = all.iter().filter(|(own, _)| *own == name).count();
        if before == 0 || (before == 1 && name == RESOURCE_METADATA) {
            if all.len() == MAX_CHALLENGE_PARAMETERS {
                return Err(Error::ChallengeSize);
            }
            all.push((name, value));
            return Ok(());
        }
        notes.push(Diagnostic::Contradiction {
            name: shown::value(&name).into_string().into(),
        });
        if name != RESOURCE_METADATA {
            all.retain(|(own, _)| *own != name);
        }
        self.contradicted.push(name);
        Ok(())
    }
}

const BLANK: &[char] = &[' ', '\t'];

fn is_tchar(c: char) -> bool {
    c.is_ascii_alphanumeric() || "!#$%&'*+-.^_`|~".contains(c)
}

/// Returns whether a character may occur in a value without quotes. Many servers omit the quotes of
/// tokens and URLs.
const fn is_unquoted(c: char) -> bool {
    c.is_ascii_graphic() && !matches!(c, ',' | '"' | '\\')
}
