//! Formats an error together with its sources.

use core::error::Error;
use core::fmt;

/// Formats an error and its sources in one line, joined by `: `.
///
/// No error of the `aims` crates repeats its source in its own message, so each fact appears once.
/// None of them contains the text of a token. Errors of other crates may contain anything.
///
/// ```
/// use std::{error::Error, fmt, num::ParseIntError};
///
/// #[derive(Debug)]
/// struct Port(ParseIntError);
///
/// impl fmt::Display for Port {
///     fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
///         f.write_str("the port is not valid")
///     }
/// }
///
/// impl Error for Port {
///     fn source(&self) -> Option<&(dyn Error + 'static)> {
///         Some(&self.0)
///     }
/// }
///
/// let error = "80a".parse::<u16>().map_err(Port).unwrap_err();
/// let message = aims_error::Chain(&error).to_string();
/// assert_eq!(message, "the port is not valid: invalid digit found in string");
/// ```
#[derive(Clone, Copy, Debug)]
#[expect(clippy::exhaustive_structs, reason = "a way to write, not data")]
pub struct Chain<'a>(pub &'a (dyn Error + 'static));

impl fmt::Display for Chain<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)?;
        let mut next = self.0.source();
        while let Some(source) = next {
            write!(f, ": {source}")?;
            next = source.source();
        }
        Ok(())
    }
}
