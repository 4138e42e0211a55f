//! The field of HTTP requests (draft-ietf-oauth-transaction-tokens §12.1).

use http::{HeaderMap, HeaderName};

use crate::Error;
use crate::revision::FIELD;

/// `Txn-Token`.
pub const TXN_TOKEN: HeaderName = HeaderName::from_static(FIELD);

/// Finds the transaction token of a request: one field, or none. It is not verified.
///
/// # Errors
///
/// `txn.field_repeated`; `txn.field_syntax` for an empty field, several values, or other characters
/// than visible ASCII.
pub fn from_headers(headers: &HeaderMap) -> Result<Option<&str>, Error> {
    let mut values = headers.get_all(&TXN_TOKEN).iter();
    let value = match (values.next(), values.next()) {
        (None, _) => return Ok(None),
        (Some(value), None) => value,
        (Some(_), Some(_)) => return Err(Error::FieldRepeated),
    };
    let text = value.to_str().ok();
    let text = text.filter(|it| !it.is_empty() && !it.contains([',', ' ', '\t']));
    text.map(Some).ok_or(Error::FieldSyntax)
}
