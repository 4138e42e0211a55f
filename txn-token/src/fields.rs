//! The field of HTTP requests (draft-ietf-oauth-transaction-tokens §12.1).

use aims_oauth_wire::media::{compact_token, sole};
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
    let value = sole(headers, &TXN_TOKEN).or(Err(Error::FieldRepeated))?;
    let text = value.map(|it| compact_token(it).ok_or(Error::FieldSyntax));
    text.transpose()
}
