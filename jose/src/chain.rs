//! An error in words, with what led to it.

use std::error::Error;
use std::fmt;

/// Shows an error and its sources in one line, joined by `: `.
///
/// No error of this family repeats its source in its own message, so each says one thing and is
/// said once. Nor does any have the text of a token in it; what comes from elsewhere may have
/// anything.
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
