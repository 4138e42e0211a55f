//! Forms, as a server reads them (RFC 6749 appendix B).

use core::fmt;

use aims_jose::secret::SecretText;
use http::HeaderMap;

use crate::Error;
use crate::media;

/// The longest form that is read, in bytes.
pub const MAX_FORM: usize = 64 * 1024;
/// The most parameters that are read.
pub const MAX_PARAMETERS: usize = 32;
/// What may stand more than once (RFC 8707 §2, RFC 8693 §2.1).
const REPEATABLE: [&str; 2] = ["audience", "resource"];

/// The parameters of a request. None stands twice, but `resource` and `audience`; one without a
/// value counts as left out (RFC 6749 §3.2).
///
/// `Debug` shows the names alone.
///
/// ```
/// use aims_oauth_wire::token::Form;
///
/// let form = Form::parse(b"grant_type=client_credentials&scope=read+write")?;
/// assert_eq!(form.get("scope"), Some("read write"));
/// assert_eq!(Form::parse(b"scope=a&scope=b").unwrap_err().code(), "oauth.repeated");
/// # Ok::<(), aims_oauth_wire::Error>(())
/// ```
pub struct Form(Vec<(String, SecretText)>);

impl Form {
    /// Reads a body whose content type was checked.
    ///
    /// # Errors
    ///
    /// `oauth.form` for what is too long, not percent-encoded UTF-8, or without a name;
    /// `oauth.repeated`.
    pub fn parse(body: &[u8]) -> Result<Self, Error> {
        if body.len() > MAX_FORM {
            return Err(Error::Form { reason: "too long" });
        }
        let mut all: Vec<(String, SecretText)> = Vec::new();
        for pair in body.split(|byte| *byte == b'&').filter(|it| !it.is_empty()) {
            let mut halves = pair.splitn(2, |byte| *byte == b'=');
            let name = decode(halves.next().unwrap_or_default())?;
            let value = SecretText::new(decode(halves.next().unwrap_or_default())?);
            if name.is_empty() {
                return Err(Error::Form {
                    reason: "a parameter without a name",
                });
            }
            let repeated = all.iter().any(|(other, _)| *other == name);
            if repeated && !REPEATABLE.contains(&name.as_str()) {
                return Err(Error::Repeated);
            }
            if all.len() == MAX_PARAMETERS {
                return Err(Error::Form {
                    reason: "too many parameters",
                });
            }
            all.push((name, value));
        }
        all.retain(|(_, value)| !value.is_empty());
        Ok(Self(all))
    }

    /// Reads a request: exactly one `content-type: application/x-www-form-urlencoded`, and the
    /// body.
    ///
    /// # Errors
    ///
    /// As [`parse`](Self::parse); `oauth.form` for another content type.
    pub fn read(headers: &HeaderMap, body: &[u8]) -> Result<Self, Error> {
        if !media::is(headers, media::FORM) {
            return Err(Error::Form {
                reason: "another content type",
            });
        }
        Self::parse(body)
    }

    /// The value of a parameter; of one that stands several times, the first.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&str> {
        self.all(name).next()
    }

    /// All values of a parameter, in their order.
    pub fn all(&self, name: &str) -> impl Iterator<Item = &str> {
        self.0
            .iter()
            .filter(move |(own, _)| own == name)
            .map(|(_, value)| value.expose())
    }

    /// The names of all parameters, in their order.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.0.iter().map(|(name, _)| name.as_str())
    }
}

impl fmt::Debug for Form {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Form ")?;
        f.debug_list().entries(self.names()).finish()
    }
}

/// Strict: a `%` without two digits, and what is not UTF-8, is refused.
fn decode(text: &[u8]) -> Result<String, Error> {
    let fail = Error::Form {
        reason: "not percent-encoded UTF-8",
    };
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.iter();
    while let Some(byte) = rest.next() {
        bytes.push(match byte {
            b'+' => b' ',
            b'%' => match (rest.next().and_then(nibble), rest.next().and_then(nibble)) {
                (Some(high), Some(low)) => high << 4 | low,
                _ => return Err(fail),
            },
            other => *other,
        });
    }
    String::from_utf8(bytes).or(Err(fail))
}

fn nibble(digit: &u8) -> Option<u8> {
    char::from(*digit)
        .to_digit(16)
        .and_then(|value| u8::try_from(value).ok())
}
