//! The table of results.

use crate::Failure;

/// The rows so far.
#[derive(Debug, Default)]
pub(crate) struct Table {
    green: usize,
    red: usize,
}

impl Table {
    /// Prints a heading.
    pub(crate) fn part(&self, title: &str) {
        println!("\n{title}");
    }

    /// Prints a step whose result is `ok` or the code of a refusal, optionally with more text.
    pub(crate) fn row(&mut self, step: &str, expected: &str, seen: &str) {
        let rest = seen.strip_prefix(expected);
        let verdict = if rest.is_some_and(|rest| rest.is_empty() || rest.starts_with(' ')) {
            self.green += 1;
            "ok "
        } else {
            self.red += 1;
            "RED"
        };
        println!("  {verdict}  {step:<62}  {seen}");
        if verdict == "RED" {
            println!("       expected {expected}");
        }
    }

    /// Prints the count.
    ///
    /// # Errors
    ///
    /// An error if a row is red.
    pub(crate) fn end(self) -> Result<(), Failure> {
        let Self { green, red } = self;
        println!("\nredis: {green} ok, {red} red");
        if red > 0 {
            return Err("a row is red".into());
        }
        Ok(())
    }
}
