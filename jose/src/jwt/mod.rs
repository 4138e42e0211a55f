//! Claims of a JWT (RFC 7519 §4): dates, audiences, and the rules for time.

mod audience;
mod date;
mod times;

pub use audience::{Audience, MAX_AUDIENCES};
pub use date::NumericDate;
use serde::{Deserialize, Deserializer};
pub use times::{TimeRules, Times};

/// Reads an optional member that may be absent but not `null`: `null` is a wrong type, not absence (T-015).
///
/// ```
/// #[derive(serde::Deserialize)]
/// struct Claims {
///     #[serde(default, deserialize_with = "jose::jwt::present")]
///     exp: Option<jose::jwt::NumericDate>,
/// }
///
/// assert!(jose::json::from_object::<Claims>(br#"{}"#)?.exp.is_none());
/// assert!(jose::json::from_object::<Claims>(br#"{"exp":null}"#).is_err());
/// # Ok::<(), jose::Error>(())
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
