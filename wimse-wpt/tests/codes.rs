//! The codes are stable.

use std::collections::HashSet;

use aims_jose::Error as Jose;
use aims_jose::alg::Algorithm;
use aims_wimse_wpt::{Error, Revision};

/// Each variant, and each error of `jose` with its own name here.
fn all() -> Vec<Error> {
    let field = "workload-proof-token";
    let algorithm = Algorithm::Es256;
    vec![
        Error::Wpt(Jose::AlgorithmMismatch { algorithm }),
        Error::Wpt(Jose::UnknownAlgorithm),
        Error::Wpt(Jose::Claim { claim: "jti" }),
        Error::Wpt(Jose::Expired {
            until: 1,
            now: 100,
            skew: 30,
        }),
        Error::Wpt(Jose::Lifetime),
        Error::Wpt(Jose::NotYetValid {
            from: 2,
            now: 1,
            skew: 0,
        }),
        Error::Wpt(Jose::Signature),
        Error::Wpt(Jose::Type),
        Error::Audience {
            found: "x".into(),
            expected: "y".into(),
        },
        Error::WitHash,
        Error::AccessTokenHash,
        Error::TxnTokenHash,
        Error::OtherHash,
        Error::AccessToken,
        Error::Revision {
            found: Revision::Draft01,
        },
        Error::BothForms,
        Error::Authorization,
        Error::FieldMissing { field },
        Error::FieldRepeated { field },
        Error::FieldSyntax { field },
        Error::FieldTooLong { field, limit: 8192 },
        Error::Target { reason: "x" },
        Error::Prepare { reason: "x" },
    ]
}

/// WPT-01: every code is listed once, and every listed code is used.
#[test]
fn codes_are_unique_and_all_there() {
    let listed: HashSet<_> = Error::CODES.iter().copied().collect();
    assert_eq!(listed.len(), Error::CODES.len());
    let given: HashSet<_> = all().iter().map(Error::code).collect();
    assert_eq!(given, listed);
    assert!(listed.iter().all(|code| code.starts_with("wpt.")));
}

/// WPT-04: codes of other crates stay as they are.
#[test]
fn foreign_codes_pass() {
    let foreign = [Jose::CODES, aims_replay::Error::CODES].concat();
    assert!(foreign.iter().all(|code| !Error::CODES.contains(code)));
    assert_eq!(Error::Wpt(Jose::Parts).code(), "jws.parts");
    assert_eq!(Error::Wpt(Jose::Random).code(), "random.unavailable");
    for error in [aims_replay::Error::Replayed, aims_replay::Error::Full] {
        assert_eq!(Error::Replay(error).code(), error.code());
    }
}

/// WPT-01: messages start in lower case and end without a full stop.
#[test]
fn messages_are_plain() {
    let replayed = Error::Replay(aims_replay::Error::Replayed);
    for error in all().into_iter().chain([replayed]) {
        let text = error.to_string();
        assert!(
            text.starts_with(|first: char| !first.is_uppercase()),
            "{text}"
        );
        assert!(!text.ends_with('.'), "{text}");
    }
}

/// A message does not repeat its source, and the chain prints both in one line.
#[test]
fn a_chain_says_each_thing_once() {
    let error = Error::Wpt(Jose::Claim { claim: "jti" });
    assert_eq!(
        aims_jose::Chain(&error).to_string(),
        "workload proof token: the claim `jti` is missing or malformed"
    );
    let error = Error::Replay(aims_replay::Error::Replayed);
    assert_eq!(
        aims_jose::Chain(&error).to_string(),
        "the proof cannot be spent: spent before"
    );
}
