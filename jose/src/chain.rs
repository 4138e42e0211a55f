//! Formats an error together with its sources.

use std::error::Error;
use std::fmt;

/// Formats an error and its sources in one line, joined by `: `.
///
/// No error of the `aims` crates repeats its source in its own message, so each fact appears once.
/// None of them contains the text of a token. Errors of other crates may contain anything.
///
/// ```
/// #[derive(Debug, thiserror::Error)]
/// #[error("the credential is refused")]
/// struct Refused(#[source] aims_jose::Error);
///
/// let refused = Refused(aims_jose::Error::TooOld);
/// let told = aims_jose::Chain(&refused).to_string();
/// assert_eq!(told, "the credential is refused: issued too long ago");
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
