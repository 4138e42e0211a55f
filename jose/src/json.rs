//! Strict JSON objects.
use crate::Error;

/// Checks.
///
/// # Errors
///
/// Not an object.
pub fn check_object(json: &[u8]) -> Result<(), Error> {
    from_object::<serde::de::IgnoredAny>(json).map(|_| ())
}

/// Reads.
///
/// # Errors
///
/// Not an object.
pub fn from_object<'a, T: serde::Deserialize<'a>>(json: &'a [u8]) -> Result<T, Error> {
    if json.first() != Some(&b'{') {
        return Err(Error::NotAnObject);
    }
    serde_json::from_slice(json).map_err(|_| Error::Json)
}
