//! Messages of errors.

use aims_http_sig::Error;
use aims_jose::Chain;

/// Each cause occurs once.
#[test]
fn no_cause_is_said_twice() {
    for (error, expected) in [
        (
            Error::Replay(aims_replay::Error::Replayed),
            "the signature cannot be spent: spent before",
        ),
        (
            Error::Sign(aims_jose::Error::Random),
            "signing failed: no random bytes could be drawn",
        ),
        (
            Error::DirectoryKeys(aims_jose::Error::SetTooLarge),
            "the keys of a directory are refused: the JWK set is too large",
        ),
    ] {
        assert_eq!(Chain(&error).to_string(), expected);
    }
}
