//! Claims of a JWT (RFC 7519 §4): dates, audiences, and the rules for time.

mod audience;
mod claims;
mod date;
mod times;

pub use audience::{Audience, MAX_AUDIENCES};
pub use claims::claims;
pub use date::NumericDate;
use serde::{Deserialize, Deserializer};
pub use times::{TimeRules, Times};

use crate::Error;

/// Reads an optional member that may be absent but not `null`: `null` is a wrong type, not absence
/// (RFC 7519 §4). A claim that is required is read so as well and then asked for by [`required`],
/// so that its absence is told from malformed JSON.
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

/// A claim that must be there, once the claims were read.
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
/// [`Error::Claim`] where it is missing.
pub fn required<T>(value: Option<T>, claim: &'static str) -> Result<T, Error> {
    value.ok_or(Error::Claim { claim })
}
