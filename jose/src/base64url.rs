//! Base64url without padding, in its canonical form only (RFC 7515 §2, RFC 4648 §3.5).
//!
//! Padding, the other alphabet, white space and non-zero trailing bits are refused, so that each
//! value has one text.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use crate::Error;

/// Encodes bytes.
///
/// ```
/// assert_eq!(aims_jose::base64url::encode(&[0xff, 0xe0]), "_-A");
/// ```
#[must_use]
pub fn encode(bytes: &[u8]) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}

/// Appends the encoding of bytes to a text.
pub(crate) fn encode_onto(bytes: &[u8], text: &mut String) {
    URL_SAFE_NO_PAD.encode_string(bytes, text);
}

/// Decodes canonical text.
///
/// ```
/// assert_eq!(aims_jose::base64url::decode("_-A")?, [0xff, 0xe0]);
/// // Trailing bits.
/// assert_eq!(aims_jose::base64url::decode("_-B").unwrap_err().code(), "jws.base64");
/// # Ok::<(), aims_jose::Error>(())
/// ```
///
/// # Errors
///
/// [`Error::Base64`] for any other text.
pub fn decode(text: &str) -> Result<Vec<u8>, Error> {
    URL_SAFE_NO_PAD.decode(text).or(Err(Error::Base64))
}

/// Decodes canonical text into a buffer, and returns the part of the buffer that was written.
///
/// # Errors
///
/// [`Error::Base64`] for any other text, or if the buffer is too short.
pub fn decode_into<'b>(text: &str, buffer: &'b mut [u8]) -> Result<&'b [u8], Error> {
    let length = URL_SAFE_NO_PAD
        .decode_slice(text, buffer)
        .or(Err(Error::Base64))?;
    buffer.get(..length).ok_or(Error::Base64)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Each text differs from a canonical one in one property.
    #[test]
    fn refuses_what_is_not_canonical() {
        assert_eq!(decode("AAA").unwrap(), [0, 0]);
        for bad in [
            "AAA=", "AAB", "A", "A+A", "A/A", " AAA", "AAA\n", "AA A", "AAAAA", "Aä",
        ] {
            assert_eq!(decode(bad).unwrap_err().code(), "jws.base64", "{bad:?}");
        }
    }

    #[test]
    fn refuses_a_buffer_that_is_too_short() {
        assert_eq!(decode_into("AAAA", &mut [0; 3]).unwrap(), [0; 3]);
        assert_eq!(
            decode_into("AAAA", &mut [0; 2]).unwrap_err().code(),
            "jws.base64"
        );
    }
}
