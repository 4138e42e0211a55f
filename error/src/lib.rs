#![doc = include_str!("../README.md")]
#![no_std]

extern crate alloc;

mod shown;

use core::fmt;

pub use shown::shown;

/// What kind of error it is: what a program decides by.
///
/// Every `Error` of the `aims` crates has a method `kind()`. Its `code()` says more, for people.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
#[non_exhaustive]
pub enum ErrorKind {
    /// The input is not of the form that its standard prescribes.
    Malformed,
    /// The input is well-formed, but no trusted key or issuer vouches for it.
    Untrusted,
    /// The input was good, and its time is over.
    Expired,
    /// The input will be good at a later time.
    NotYetValid,
    /// The input is for another audience, key, resource, issuer, request or content.
    Mismatch,
    /// The input was used before.
    Replayed,
    /// The input was withdrawn.
    Revoked,
    /// The input is good, and a rule or policy does not allow what it asks for.
    Forbidden,
    /// The input exceeds a limit.
    TooLarge,
    /// It cannot be decided or done at the moment: a peer, a store or a key is out of reach, or a
    /// limit on concurrent work is reached. Trying again later may help.
    Unavailable,
    /// The calling program asked for something that cannot be: its configuration or its call is
    /// wrong.
    Configuration,
}

impl ErrorKind {
    /// The name of the kind, in lower case with underscores, such as `not_yet_valid`.
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

/// Writes `CODES`, `code()` and `kind()` of an error from one table, so that no variant lacks one.
///
/// Use it inside of `impl Error`. Each row is a pattern, an [`ErrorKind`] and a code. After a `;`
/// stand the variants that hold the error of another crate: a pattern, its code and its kind. After
/// a second `;` stand further codes, in brackets, that those variants give and that belong to this
/// crate.
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

        /// The stable code of this error, for logs, records and tests.
        #[must_use]
        pub const fn code(&self) -> &'static str {
            match self {
                $($(#[$attribute])* $pattern => $code,)*
            }
        }

        /// The kind of this error, for programs to match on.
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
        /// The codes of this crate that [`code`](Self::code) returns. It also returns those of the
        /// errors that this one holds.
        pub const CODES: &'static [&'static str] =
            &[$($(#[$attribute])* $code,)* $($($further,)*)?];

        /// The stable code of this error, for logs, records and tests.
        #[must_use]
        pub fn code(&self) -> &'static str {
            match self {
                $($(#[$attribute])* $pattern => $code,)*
                $($(#[$inner_attribute])* $inner => $inner_code,)*
            }
        }

        /// The kind of this error, for programs to match on.
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
