//! Costs side by side: in every round each case runs once, so that what disturbs the machine
//! disturbs them all.

use std::time::Duration;

/// What is measured: given how many times, it does it so often and says how long that took. What
/// must be made anew for every batch is made inside, before the clock starts.
pub type Case<'a> = Box<dyn FnMut(usize) -> Duration + 'a>;

/// The costs of one operation of each case, round by round.
#[derive(Debug)]
pub struct Samples {
    rounds: Vec<Vec<f64>>,
}

impl Samples {
    /// Runs `rounds` rounds of `batch` operations, after one that is thrown away.
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

    /// The median cost of a case, in nanoseconds.
    #[must_use]
    pub fn cost(&self, case: usize) -> f64 {
        self.median(|costs| Some(*costs.get(case)?))
    }

    /// The median, over the rounds, of what `of` makes of a round's costs.
    pub fn median(&self, of: impl Fn(&[f64]) -> Option<f64>) -> f64 {
        let mut values: Vec<f64> = self.rounds.iter().filter_map(|costs| of(costs)).collect();
        values.sort_unstable_by(f64::total_cmp);
        values.get(values.len() / 2).copied().unwrap_or(f64::NAN)
    }
}

/// A count as a number to divide by. Those here are small enough to be exact.
fn count(n: usize) -> f64 {
    f64::from(u32::try_from(n).unwrap_or(u32::MAX))
}
