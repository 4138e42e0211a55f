#![doc = include_str!("../README.md")]
#![doc(html_root_url = "https://docs.rs/aims-error/0.1")]
#![no_std]

extern crate alloc;

mod chain;
pub mod index;
mod report;
mod shown;

use core::fmt;

pub use chain::Chain;
pub use report::Report;
pub use shown::shown;

/// The kind of an error: the value that a program matches on to decide what to do.
///
/// Every `Error` of the `aims` crates has a method `kind()` that returns it, and a method `code()`
/// that names the exact cause for people and logs. Many codes share one kind. A minor release never
/// moves an error to another kind.
///
/// ```
/// use aims_error::ErrorKind;
///
/// /// Whether the caller may send the same input again later.
/// fn may_retry(kind: ErrorKind) -> bool {
///     matches!(kind, ErrorKind::Unavailable | ErrorKind::NotYetValid)
/// }
///
/// assert!(may_retry(ErrorKind::Unavailable));
/// assert!(!may_retry(ErrorKind::Replayed));
/// ```
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
#[non_exhaustive]
pub enum ErrorKind {
    /// The input does not have the form that its standard prescribes.
    Malformed,
    /// The input is well-formed, but no trusted key or issuer confirms it.
    Untrusted,
    /// The input was valid and has expired.
    Expired,
    /// The input is not valid yet.
    NotYetValid,
    /// The input is for another audience, key, resource, issuer, request or content.
    Mismatch,
    /// The input was used before.
    Replayed,
    /// The input was revoked.
    Revoked,
    /// The input is valid, but a rule or policy does not allow what it asks for.
    Forbidden,
    /// The input exceeds a limit.
    TooLarge,
    /// The operation is not possible at the moment: a peer, a store or a key is unreachable, or a
    /// limit on concurrent work is reached. Trying again later may help.
    Unavailable,
    /// The configuration or the call of the program is wrong. The input of the peer is not the
    /// cause.
    Configuration,
}

impl ErrorKind {
    /// All kinds.
    pub const ALL: &'static [Self] = &[
        Self::Malformed,
        Self::Untrusted,
        Self::Expired,
        Self::NotYetValid,
        Self::Mismatch,
        Self::Replayed,
        Self::Revoked,
        Self::Forbidden,
        Self::TooLarge,
        Self::Unavailable,
        Self::Configuration,
    ];

    /// Returns the name of the kind, in lower case with underscores, such as `not_yet_valid`.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Malformed => "malformed",
            Self::Untrusted => "untrusted",
            Self::Expired => "expired",
            Self::NotYetValid => "not_yet_valid",
            Self::Mismatch => "mismatch",
            Self::Replayed => "replayed",
            Self::Revoked => "revoked",
            Self::Forbidden => "forbidden",
            Self::TooLarge => "too_large",
            Self::Unavailable => "unavailable",
            Self::Configuration => "configuration",
        }
    }
}

impl fmt::Display for ErrorKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Generates `CODES`, `code()` and `kind()` of an error type from one table.
///
/// Use it inside an `impl` block of the error. The generated `match` has no wildcard, so a variant
/// without a row does not compile. The table has up to three parts, separated by `;`:
///
/// 1. A row for each variant of this crate: a pattern, an [`ErrorKind`] and a code.
/// 2. A row for each variant that holds the error of another crate: a pattern, its code and its
///    kind.
/// 3. In brackets, further codes of this crate that the variants of part 2 return.
///
/// ```
/// # #[derive(Debug)] pub struct Inner;
/// # impl Inner {
/// #     aims_error::codes! { Self => Malformed "inner.syntax", }
/// # }
/// # #[derive(Debug)]
/// pub enum Error {
///     Expired,
///     Inner(Inner),
/// }
///
/// impl Error {
///     aims_error::codes! {
///         Self::Expired => Expired "outer.expired",
///         ;
///         Self::Inner(inner) => inner.code(), inner.kind();
///     }
/// }
/// # assert_eq!(Error::Inner(Inner).code(), "inner.syntax");
/// ```
#[macro_export]
macro_rules! codes {
    ($($(#[$attribute:meta])* $pattern:pat => $kind:ident $code:literal,)*) => {
        /// Every code that [`code`](Self::code) returns.
        pub const CODES: &'static [&'static str] = &[$($(#[$attribute])* $code),*];

        #[doc(hidden)]
        #[allow(dead_code, reason = "read by the test that compares the index of errors")]
        pub const KINDS: &'static [(&'static str, $crate::ErrorKind)] =
            &[$($(#[$attribute])* ($code, $crate::ErrorKind::$kind)),*];

        /// Returns the stable code of this error, for logs, records and tests.
        #[must_use]
        pub const fn code(&self) -> &'static str {
            match self {
                $($(#[$attribute])* $pattern => $code,)*
            }
        }

        /// Returns the kind of this error, for programs to match on.
        #[must_use]
        pub const fn kind(&self) -> $crate::ErrorKind {
            match self {
                $($(#[$attribute])* $pattern => $crate::ErrorKind::$kind,)*
            }
        }
    };
    (
        $($(#[$attribute:meta])* $pattern:pat => $kind:ident $code:literal,)*
        ;
        $($(#[$inner_attribute:meta])* $inner:pat => $inner_code:expr, $inner_kind:expr;)*
        $(; [$($further:literal),* $(,)?])?
    ) => {
        /// The codes of this crate that [`code`](Self::code) returns. `code` also returns the codes
        /// of errors of other crates that this error holds.
        pub const CODES: &'static [&'static str] =
            &[$($(#[$attribute])* $code,)* $($($further,)*)?];

        #[doc(hidden)]
        #[allow(dead_code, reason = "read by the test that compares the index of errors")]
        pub const KINDS: &'static [(&'static str, $crate::ErrorKind)] =
            &[$($(#[$attribute])* ($code, $crate::ErrorKind::$kind)),*];

        /// Returns the stable code of this error, for logs, records and tests.
        #[must_use]
        pub fn code(&self) -> &'static str {
            match self {
                $($(#[$attribute])* $pattern => $code,)*
                $($(#[$inner_attribute])* $inner => $inner_code,)*
            }
        }

        /// Returns the kind of this error, for programs to match on.
        #[must_use]
        pub fn kind(&self) -> $crate::ErrorKind {
            match self {
                $($(#[$attribute])* $pattern => $crate::ErrorKind::$kind,)*
                $($(#[$inner_attribute])* $inner => $inner_kind,)*
            }
        }
    };
}

#[cfg(test)]
#[expect(unreachable_pub, reason = "what the macro writes is public")]
mod tests {
    use super::ErrorKind;

    enum Error {
        Late,
        Held(Held),
    }

    struct Held;

    impl Held {
        crate::codes! { Self => Replayed "held.again", }
    }

    impl Error {
        crate::codes! {
            Self::Late => Expired "outer.late",
            ;
            Self::Held(held) => held.code(), held.kind();
            ; ["outer.further"]
        }
    }

    #[test]
    fn an_error_has_the_kind_and_code_of_its_row_or_of_what_it_holds() {
        assert_eq!(Error::Late.code(), "outer.late");
        assert_eq!(Error::Late.kind(), ErrorKind::Expired);
        assert_eq!(Error::Held(Held).code(), "held.again");
        assert_eq!(Error::Held(Held).kind(), ErrorKind::Replayed);
        assert_eq!(Error::CODES, ["outer.late", "outer.further"]);
        assert_eq!(Held::CODES, ["held.again"]);
    }

    #[test]
    fn a_kind_prints_its_name() {
        extern crate alloc;
        assert_eq!(
            alloc::format!("{}", ErrorKind::NotYetValid),
            "not_yet_valid"
        );
    }
}
