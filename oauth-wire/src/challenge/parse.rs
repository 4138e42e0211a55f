//! The list grammar of challenges (RFC 9110 §5.6.1, §11.3, §11.4): commas part challenges and
//! parameters alike.

use super::{Challenge, MAX_CHALLENGES};
use crate::Error;

/// Adds the challenges of one field.
pub(super) fn field(text: &str, all: &mut Vec<Challenge>) -> Result<(), Error> {
    let mut rest = Rest(text);
    loop {
        rest.skip(&[' ', '\t', ',']);
        if rest.0.is_empty() {
            return Ok(());
        }
        if all.len() == MAX_CHALLENGES {
            return Err(Error::ChallengeSize);
        }
        all.push(rest.challenge()?);
    }
}

/// RFC 9110 §5.6.2.
pub(super) fn is_token(text: &str) -> bool {
    !text.is_empty() && text.chars().all(is_tchar)
}

/// What was not read yet.
#[derive(Clone, Copy)]
struct Rest<'a>(&'a str);

impl<'a> Rest<'a> {
    fn challenge(&mut self) -> Result<Challenge, Error> {
        let mut challenge = Challenge::of_scheme(self.token()?.to_owned());
        let blank = self.0.starts_with([' ', '\t']);
        self.skip(BLANK);
        if self.at_end() {
            return Ok(challenge);
        }
        if !blank {
            return Err(Error::ChallengeSyntax);
        }
        if let Some(token) = self.token68() {
            challenge.token68 = Some(token.to_owned());
            return Ok(challenge);
        }
        loop {
            let (name, value) = self.parameter()?;
            challenge.push(name, value)?;
            self.skip(BLANK);
            if !self.at_end() {
                return Err(Error::ChallengeSyntax);
            }
            // A parameter of this challenge follows, or the next challenge.
            let mut ahead = *self;
            ahead.skip(&[' ', '\t', ',']);
            if !ahead.is_parameter() {
                return Ok(challenge);
            }
            *self = ahead;
        }
    }

    /// Taken only where the element ends behind it: `a=` may be one, `a=b` cannot.
    fn token68(&mut self) -> Option<&'a str> {
        let plain = |c: char| c.is_ascii_alphanumeric() || "-._~+/".contains(c);
        let bare = self.0.trim_start_matches(plain);
        if bare.len() == self.0.len() {
            return None;
        }
        let mut ahead = Self(bare.trim_start_matches('='));
        let token = self.0.strip_suffix(ahead.0)?;
        ahead.skip(BLANK);
        if !ahead.at_end() {
            return None;
        }
        *self = ahead;
        Some(token)
    }

    fn is_parameter(mut self) -> bool {
        let named = self.token().is_ok();
        self.skip(BLANK);
        named && self.0.starts_with('=')
    }

    fn parameter(&mut self) -> Result<(String, String), Error> {
        let name = self.token()?.to_ascii_lowercase();
        self.skip(BLANK);
        self.0 = self.0.strip_prefix('=').ok_or(Error::ChallengeSyntax)?;
        self.skip(BLANK);
        let value = match self.0.strip_prefix('"') {
            Some(quoted) => {
                self.0 = quoted;
                self.quoted()?
            }
            None => self.token()?.to_owned(),
        };
        Ok((name, value))
    }

    /// Behind the opening quote (RFC 9110 §5.6.4).
    fn quoted(&mut self) -> Result<String, Error> {
        let mut value = String::new();
        let mut chars = self.0.chars();
        loop {
            let c = match chars.next().ok_or(Error::ChallengeSyntax)? {
                '"' => break,
                '\\' => chars.next().ok_or(Error::ChallengeSyntax)?,
                c => c,
            };
            if c.is_control() && c != '\t' {
                return Err(Error::ChallengeSyntax);
            }
            value.push(c);
        }
        self.0 = chars.as_str();
        Ok(value)
    }

    fn token(&mut self) -> Result<&'a str, Error> {
        let rest = self.0.trim_start_matches(is_tchar);
        let token = self.0.strip_suffix(rest).unwrap_or_default();
        if token.is_empty() {
            return Err(Error::ChallengeSyntax);
        }
        self.0 = rest;
        Ok(token)
    }

    fn skip(&mut self, chars: &[char]) {
        self.0 = self.0.trim_start_matches(chars);
    }

    fn at_end(&self) -> bool {
        self.0.is_empty() || self.0.starts_with(',')
    }
}

const BLANK: &[char] = &[' ', '\t'];

fn is_tchar(c: char) -> bool {
    c.is_ascii_alphanumeric() || "!#$%&'*+-.^_`|~".contains(c)
}
