//! An error as `main` returns it.

use alloc::boxed::Box;
use core::error::Error;
use core::fmt;

use crate::Chain;

/// Shows an error of `main` with all its causes.
///
/// A program that returns an error from `main` prints its `Debug` form, which names variants and
/// fields. The `Debug` form of a report is the messages of the error and of its sources, joined by
/// `: `.
///
/// ```
/// fn run() -> Result<(), aims_error::Report> {
///     let port: u16 = "80a".parse()?;
///     println!("{port}");
///     Ok(())
/// }
/// assert_eq!(format!("{:?}", run().unwrap_err()), "invalid digit found in string");
/// ```
pub struct Report(Box<dyn Error + Send + Sync>);

impl Report {
    /// Returns the error.
    #[must_use]
    pub fn error(&self) -> &(dyn Error + Send + Sync + 'static) {
        &*self.0
    }
}

impl<E: Error + Send + Sync + 'static> From<E> for Report {
    fn from(error: E) -> Self {
        Self(Box::new(error))
    }
}

impl fmt::Debug for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        Chain(&*self.0).fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use alloc::format;
    use alloc::string::ToString as _;

    use super::*;

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
    }
}
