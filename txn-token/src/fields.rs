//! The header field of HTTP requests (draft-ietf-oauth-transaction-tokens §12.1).

use aims_oauth_wire::media::{compact_token, sole};
use http::{HeaderMap, HeaderName};

use crate::Error;
use crate::revision::FIELD;

/// The field `Txn-Token`.
pub const TXN_TOKEN: HeaderName = HeaderName::from_static(FIELD);

/// Returns the transaction token of a request, or `None` without the field. The token is not
/// verified.
///
/// ```
/// use http::HeaderMap;
///
/// let mut headers = HeaderMap::new();
/// headers.insert("txn-token", "e30.e30.c2ln".parse()?);
/// assert_eq!(aims_txn_token::from_headers(&headers)?, Some("e30.e30.c2ln"));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// # Errors
///
/// `txn.field_repeated` if the field occurs twice. `txn.field_syntax` for an empty field, several
/// values, or characters other than visible ASCII.
pub fn from_headers(headers: &HeaderMap) -> Result<Option<&str>, Error> {
    let value = sole(headers, &TXN_TOKEN).or(Err(Error::FieldRepeated))?;
    let text = value.map(|it| compact_token(it).ok_or(Error::FieldSyntax));
    text.transpose()
}
