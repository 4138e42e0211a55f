//! The table of results.

use crate::Failure;

/// The rows so far.
#[derive(Debug)]
pub(crate) struct Table {
    suite: &'static str,
    green: usize,
    red: usize,
    not_run: usize,
}

impl Table {
    /// Creates a table without rows.
    pub(crate) const fn new(suite: &'static str) -> Self {
        Self {
            suite,
            green: 0,
            red: 0,
            not_run: 0,
        }
    }

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

    /// Counts a row that went well without printing it.
    pub(crate) const fn silent(&mut self) {
        self.green += 1;
    }

    /// Prints a step that cannot be tried, and why.
    pub(crate) fn not_run(&mut self, step: &str, why: &str) {
        self.not_run += 1;
        println!("  --   {step:<62}  not run: {why}");
    }

    /// Prints the count.
    ///
    /// # Errors
    ///
    /// An error if a row is red.
    pub(crate) fn end(self) -> Result<(), Failure> {
        let Self {
            suite,
            green,
            red,
            not_run,
        } = self;
        println!("\n{suite}: {green} ok, {red} red, {not_run} not run");
        if red > 0 {
            return Err("a row is red".into());
        }
        Ok(())
    }
}
