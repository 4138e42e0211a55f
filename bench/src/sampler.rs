//! Measures several cases side by side. Each round runs every case once, so that a disturbance of
//! the machine affects all of them.

use std::time::Duration;

/// A measured case. It gets a number of operations, runs them, and returns the duration. It
/// prepares data for each batch before it starts the clock.
pub type Case<'a> = Box<dyn FnMut(usize) -> Duration + 'a>;

/// The cost of one operation of each case, by round.
#[derive(Debug)]
pub struct Samples {
    rounds: Vec<Vec<f64>>,
}

impl Samples {
    /// Runs `rounds` rounds of `batch` operations, after one that is discarded.
    pub fn take(cases: &mut [Case<'_>], rounds: usize, batch: usize) -> Self {
        let mut all = Vec::with_capacity(rounds);
        for round in 0..=rounds {
            let costs = cases
                .iter_mut()
                .map(|case| case(batch).as_secs_f64() * 1e9 / count(batch))
                .collect();
            if round > 0 {
                all.push(costs);
            }
        }
        Self { rounds: all }
    }

    /// Returns the median cost of a case, in nanoseconds.
    #[must_use]
    pub fn cost(&self, case: usize) -> f64 {
        self.median(|costs| Some(*costs.get(case)?))
    }

    /// Returns the median over the rounds of a value that `of` computes from the costs of a round.
    pub fn median(&self, of: impl Fn(&[f64]) -> Option<f64>) -> f64 {
        let mut values: Vec<f64> = self.rounds.iter().filter_map(|costs| of(costs)).collect();
        values.sort_unstable_by(f64::total_cmp);
        values.get(values.len() / 2).copied().unwrap_or(f64::NAN)
    }
}

/// Converts a count to a divisor. These counts are small enough to be exact.
fn count(n: usize) -> f64 {
    f64::from(u32::try_from(n).unwrap_or(u32::MAX))
}
