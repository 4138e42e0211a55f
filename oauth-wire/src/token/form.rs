//! Parses forms at a server (RFC 6749 appendix B).

use core::fmt;

use aims_jose::secret::SecretText;
use http::HeaderMap;

use crate::Error;
use crate::media;

/// The maximum length of a form, in bytes.
pub const MAX_FORM: usize = 64 * 1024;
/// The maximum number of parameters.
pub const MAX_PARAMETERS: usize = 32;
/// The parameters that may be repeated (RFC 8707 §2, RFC 8693 §2.1).
const REPEATABLE: [&str; 2] = ["audience", "resource"];

/// The parameters of a token request.
///
/// Only `resource` and `audience` may be repeated. A parameter without a value counts as absent
/// (RFC 6749 §3.2). `Debug` shows only the names.
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
    /// Parses a body whose content type was checked.
    ///
    /// # Errors
    ///
    /// `oauth.form` if the body is too long, is not percent-encoded UTF-8, or has a parameter
    /// without a name; `oauth.repeated` if a parameter is repeated.
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

    /// Parses a request. It must have exactly one `Content-Type`,
    /// `application/x-www-form-urlencoded`.
    ///
    /// ```
    /// use aims_oauth_wire::token::Form;
    /// use http::{HeaderMap, HeaderValue, header::CONTENT_TYPE};
    ///
    /// let mut headers = HeaderMap::new();
    /// headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/x-www-form-urlencoded"));
    /// let form = Form::read(&headers, b"grant_type=client_credentials")?;
    /// assert_eq!(form.get("grant_type"), Some("client_credentials"));
    /// # Ok::<(), aims_oauth_wire::Error>(())
    /// ```
    ///
    /// # Errors
    ///
    /// Those of [`parse`](Self::parse), and `oauth.form` for another content type.
    pub fn read(headers: &HeaderMap, body: &[u8]) -> Result<Self, Error> {
        if !media::is(headers, media::FORM) {
            return Err(Error::Form {
                reason: "another content type",
            });
        }
        Self::parse(body)
    }

    /// Returns the value of a parameter. If it is repeated, returns the first value.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&str> {
        self.all(name).next()
    }

    /// Iterates over all values of a parameter, in order.
    pub fn all(&self, name: &str) -> impl Iterator<Item = &str> {
        self.0
            .iter()
            .filter(move |(own, _)| own == name)
            .map(|(_, value)| value.expose())
    }

    /// Iterates over the names of all parameters, in order.
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

/// Decodes strictly: a `%` without two hexadecimal digits is an error, and so is invalid UTF-8.
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
