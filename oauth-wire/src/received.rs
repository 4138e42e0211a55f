//! Describes a response that cannot be parsed, without its content.

use core::fmt;

use aims_jose::secret::SecretText;
use http::header::CONTENT_TYPE;
use http::{Response, StatusCode};

use crate::shown;
use crate::token::media_type;

/// The status, the content type and the length of a response.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Received {
    status: StatusCode,
    content_type: Option<Box<str>>,
    length: usize,
}

impl Received {
    pub(crate) fn of(response: &Response<Vec<u8>>) -> Self {
        Self::without(response, &[])
    }

    /// Describes a response. The content type is `…` if it contains one of these secrets.
    pub(crate) fn without(response: &Response<Vec<u8>>, secrets: &[SecretText]) -> Self {
        let content_type = response.headers().get(CONTENT_TYPE);
        let shown =
            |bytes: &[u8]| shown::value(&media_type(&String::from_utf8_lossy(bytes), secrets));
        Self {
            status: response.status(),
            content_type: content_type.map(|value| shown(value.as_bytes())),
            length: response.body().len(),
        }
    }

    /// Returns the status.
    #[must_use]
    pub const fn status(&self) -> StatusCode {
        self.status
    }

    /// Returns the first content type, escaped and cut after 100 characters.
    ///
    /// `…` replaces parts of its parameters that may be a token, and all of it if it contains a
    /// secret of the token request.
    #[must_use]
    pub fn content_type(&self) -> Option<&str> {
        self.content_type.as_deref()
    }

    /// Returns the length of the content, in bytes.
    #[must_use]
    pub const fn length(&self) -> usize {
        self.length
    }
}

impl fmt::Display for Received {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "status {}, ", self.status.as_u16())?;
        match &self.content_type {
            Some(it) => write!(f, "content type `{it}`, ")?,
            None => f.write_str("no content type, ")?,
        }
        write!(f, "{} bytes", self.length)
    }
}
