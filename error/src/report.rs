//! An error as `main` returns it.

use alloc::boxed::Box;
use alloc::string::{String, ToString as _};
use alloc::vec::Vec;
use core::error::Error;
use core::fmt;

use crate::Chain;

/// Shows an error of `main` with all its causes.
///
/// A program that returns an error from `main` prints its `Debug` form, which names variants and
/// fields. The `Debug` form of a report is the messages of the error and of its sources, joined by
/// `: `.
///
/// The operator `?` makes it of any error, of a text, and of a `Box<dyn Error>`.
///
/// ```
/// use std::error::Error;
///
/// /// Returns the port that a text names.
/// fn port(text: &str) -> Result<u16, Box<dyn Error>> {
///     Ok(text.parse()?)
/// }
///
/// fn run(mut arguments: impl Iterator<Item = String>) -> Result<(), aims_error::Report> {
///     let first = arguments.next().ok_or("expected a port")?;
///     println!("{}", port(&first)?);
///     let second: u16 = arguments.next().ok_or_else(|| format!("one port: {first}"))?.parse()?;
///     println!("{second}");
///     Ok(())
/// }
///
/// let with = |arguments: &[&str]| {
///     let arguments: Vec<_> = arguments.iter().map(ToString::to_string).collect();
///     format!("{:?}", run(arguments.into_iter()).unwrap_err())
/// };
/// assert_eq!(with(&[]), "expected a port");
/// assert_eq!(with(&["80a"]), "invalid digit found in string");
/// assert_eq!(with(&["80"]), "one port: 80");
/// assert_eq!(with(&["80", ""]), "cannot parse integer from empty string");
/// ```
pub struct Report(Message);

/// The message of an error, and that of its source.
#[derive(Debug)]
struct Message {
    text: String,
    source: Option<Box<Self>>,
}

impl Report {
    /// Returns the error, as its message and those of its sources.
    #[must_use]
    pub const fn error(&self) -> &(dyn Error + Send + Sync + 'static) {
        &self.0
    }
}

impl<E: Into<Box<dyn Error>>> From<E> for Report {
    fn from(error: E) -> Self {
        let error: Box<dyn Error> = error.into();
        Self(Message::of(&*error))
    }
}

impl Message {
    /// Copies the messages, so that a report can be sent between threads whatever the error is.
    fn of(error: &dyn Error) -> Self {
        let mut texts = Vec::new();
        let mut next = Some(error);
        while let Some(error) = next.filter(|_| texts.len() < MAX_SOURCES) {
            texts.push(error.to_string());
            next = error.source();
        }
        let mut texts = texts.into_iter().rev();
        let last = texts.next().unwrap_or_default();
        let last = Self {
            text: last,
            source: None,
        };
        texts.fold(last, |source, text| Self {
            text,
            source: Some(Box::new(source)),
        })
    }
}

impl Error for Message {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        let source = self.source.as_deref()?;
        Some(source)
    }
}

impl fmt::Display for Message {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

/// The maximum number of messages of one report.
const MAX_SOURCES: usize = 32;

impl fmt::Debug for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        Chain(&self.0).fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::format;

    #[derive(Debug)]
    struct Outer(core::num::ParseIntError);

    impl fmt::Display for Outer {
        fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("no port")
        }
    }

    impl Error for Outer {
        fn source(&self) -> Option<&(dyn Error + 'static)> {
            Some(&self.0)
        }
    }

    #[test]
    fn a_report_shows_the_causes() {
        let cause = "x".parse::<u16>().map_err(Outer);
        let report = Report::from(cause.unwrap_err());
        assert_eq!(
            format!("{report:?}"),
            "no port: invalid digit found in string"
        );
        assert_eq!(report.error().to_string(), "no port");
        let source = report.error().source().map(|it| it.to_string());
        assert_eq!(source.as_deref(), Some("invalid digit found in string"));
    }

    /// A report of an error that stays in its thread can leave it.
    #[test]
    fn a_report_can_be_sent() {
        fn sent<T: Send + Sync + 'static>(it: T) -> T {
            it
        }
        #[derive(Debug)]
        struct Local(alloc::rc::Rc<str>);
        impl fmt::Display for Local {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }
        impl Error for Local {}
        assert_eq!(
            sent(Report::from(Local("local".into()))).to_string(),
            "local"
        );
    }

    /// A source that is its own source ends.
    #[test]
    fn a_loop_of_sources_ends() {
        #[derive(Debug)]
        struct Loop;
        impl fmt::Display for Loop {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("loop")
            }
        }
        impl Error for Loop {
            fn source(&self) -> Option<&(dyn Error + 'static)> {
                Some(self)
            }
        }
        assert_eq!(Message::of(&Loop).to_string(), "loop");
    }
}
