//! Claims of a JWT (RFC 7519 §4): dates, audiences, and the rules for times.

mod audience;
mod claims;
mod date;
mod times;

pub use audience::{Audience, MAX_AUDIENCES};
pub use claims::claims;
pub use date::{NumericDate, not_before};
use serde::{Deserialize, Deserializer};
pub use times::{TimeRules, Times};

use crate::Error;

/// Deserializes an optional member that may be absent but not `null`. `null` is a wrong type and
/// not absence (RFC 7519 §4).
///
/// Use it for required claims too, and get their value by [`required`]. A missing claim is then
/// distinguished from malformed JSON.
///
/// ```
/// #[derive(serde::Deserialize)]
/// struct Claims {
///     #[serde(default, deserialize_with = "aims_jose::jwt::present")]
///     exp: Option<aims_jose::jwt::NumericDate>,
/// }
///
/// assert!(aims_jose::json::from_object::<Claims>(br#"{}"#)?.exp.is_none());
/// assert!(aims_jose::json::from_object::<Claims>(br#"{"exp":null}"#).is_err());
/// # Ok::<(), aims_jose::Error>(())
/// ```
///
/// # Errors
///
/// Those of `T`.
pub fn present<'de, D: Deserializer<'de>, T: Deserialize<'de>>(
    deserializer: D,
) -> Result<Option<T>, D::Error> {
    T::deserialize(deserializer).map(Some)
}

/// Returns the value of a required claim.
///
/// ```
/// use aims_jose::jwt::required;
///
/// assert_eq!(required(Some("a"), "jti")?, "a");
/// let missing = required::<&str>(None, "jti").unwrap_err();
/// assert_eq!(missing.to_string(), "the claim `jti` is missing or malformed");
/// # Ok::<(), aims_jose::Error>(())
/// ```
///
/// # Errors
///
/// [`Error::Claim`] if it is missing.
pub fn required<T>(value: Option<T>, claim: &'static str) -> Result<T, Error> {
    value.ok_or(Error::Claim { claim })
}
