//! The reason of a refusal, for the log only. The client gets the coarse code.

use core::error::Error as StdError;
use core::fmt;

/// Maximum number of characters of a reason.
const LONGEST: usize = 512;

/// Formats an error and its sources, with untrusted characters escaped.
///
/// No error of the `aims` crates contains the text of a token.
pub(crate) struct Reason<'a>(pub(crate) &'a (dyn StdError + 'static));

impl Reason<'_> {
    /// Returns the codes of the sources, the outermost first.
    pub(crate) fn causes(&self) -> Vec<&'static str> {
        sources(self.0).filter_map(code).collect()
    }
}

impl fmt::Display for Reason<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut text = self.0.to_string();
        for source in sources(self.0) {
            let words = source.to_string();
            // Some errors repeat the text of their source.
            if !text.ends_with(&words) {
                text.push_str(": ");
                text.push_str(&words);
            }
        }
        let bounded: String = text.chars().take(LONGEST).collect();
        write!(f, "{}", bounded.escape_debug())
    }
}

fn sources<'a>(
    error: &'a (dyn StdError + 'static),
) -> impl Iterator<Item = &'a (dyn StdError + 'static)> {
    // Limit the length of the chain: a custom store may return an endless one.
    core::iter::successors(error.source(), |&error| error.source()).take(8)
}

/// Returns the code of an error, if it is of one of the crates below.
fn code(error: &(dyn StdError + 'static)) -> Option<&'static str> {
    if let Some(error) = error.downcast_ref::<aims_oauth_wire::Error>() {
        return Some(error.code());
    }
    if let Some(error) = error.downcast_ref::<aims_wimse_cred::Error>() {
        return Some(error.code());
    }
    if let Some(error) = error.downcast_ref::<aims_http_sig::Error>() {
        return Some(error.code());
    }
    if let Some(error) = error.downcast_ref::<aims_wimse_wpt::Error>() {
        return Some(error.code());
    }
    if let Some(error) = error.downcast_ref::<aims_jose::Error>() {
        return Some(error.code());
    }
    if let Some(error) = error.downcast_ref::<aims_replay::Error>() {
        return Some(error.code());
    }
    let error = error.downcast_ref::<aims_wimse_id::Error>()?;
    Some(error.code())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Error;

    fn client(source: impl Into<Box<dyn StdError + Send + Sync>>) -> Error {
        Error::Client {
            by_authorization: false,
            source: Some(source.into()),
        }
    }

    #[test]
    fn the_whole_chain_is_said_once() {
        let error = client(aims_oauth_wire::Error::AssertionTime(
            aims_jose::Error::Expired {
                until: 1,
                now: 100,
                skew: 30,
            },
        ));
        let reason = Reason(&error);
        assert_eq!(
            reason.to_string(),
            "the client could not be authenticated: the client assertion is not valid now: expired at 1, and it is 100, with a skew of 30 s; get a new one, or check both clocks"
        );
        assert_eq!(reason.causes(), ["assertion.time", "jwt.expired"]);
        let proof = Error::Proof(aims_jose::Error::Type);
        assert_eq!(Reason(&proof).causes(), ["jws.typ"]);
        let wit = Error::PresentedWit(aims_wimse_cred::Error::Wit(aims_jose::Error::Expired {
            until: 1,
            now: 100,
            skew: 30,
        }));
        let text = Reason(&wit).to_string();
        assert!(text.starts_with("the presented WIT is not valid: "));
        assert!(
            text.ends_with(": expired at 1, and it is 100, with a skew of 30 s; get a new one, or check both clocks")
                && text.matches("expired").count() == 1
        );
        let alone = Error::Enrolment;
        assert_eq!(Reason(&alone).to_string(), "no such enrolment");
        assert!(Reason(&alone).causes().is_empty());
    }

    #[test]
    fn foreign_words_are_escaped_and_bounded() {
        let error = client(format!("a\n\u{1b}[31m\u{202e}{}", "x".repeat(10_000)));
        let text = Reason(&error).to_string();
        assert!(text.starts_with(r"the client could not be authenticated: a\n\u{1b}[31m\u{202e}x"));
        assert!(text.len() < LONGEST + 32);
    }
}
