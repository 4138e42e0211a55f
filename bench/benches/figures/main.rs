//! Prints the cost of each operation next to the cost of the cryptography that it needs.
//!
//! `--quick` takes few samples, to check that the benchmarks run. Names of groups, such as
//! `tokens`, select these groups.

#![expect(clippy::expect_used, reason = "what goes wrong has no figure")]
#![expect(clippy::print_stdout, reason = "a program that prints its figures")]

mod client;
mod digests;
mod load;
mod memory;
mod requests;
mod resource;
mod shared;
mod signatures;
mod tokens;
mod transactions;

use std::error::Error;
use std::process::ExitCode;

/// One line of the table.
struct Figure {
    name: &'static str,
    cost: String,
    /// The figure that it is compared with, and the ratio.
    ratio: Option<(&'static str, f64)>,
    /// The maximum ratio that the project aims at.
    aim: Option<f64>,
}

impl Figure {
    /// Creates a figure from the time of one operation, in nanoseconds.
    fn new(name: &'static str, ns: f64) -> Self {
        if ns < 10_000.0 {
            Self::of(name, format!("{ns:.0} ns"))
        } else {
            Self::of(name, format!("{:.1} µs", ns / 1_000.0))
        }
    }

    fn of(name: &'static str, cost: String) -> Self {
        let (ratio, aim) = (None, None);
        Self {
            name,
            cost,
            ratio,
            aim,
        }
    }

    fn to(mut self, what: &'static str, ratio: f64) -> Self {
        self.ratio = Some((what, ratio));
        self
    }

    fn at_most(mut self, aim: f64) -> Self {
        self.aim = Some(aim);
        self
    }

    /// Prints the line, and returns whether the aim is met.
    fn print(&self) -> bool {
        let ratio = self
            .ratio
            .map_or_else(String::new, |(what, ratio)| format!("{ratio:.3} × {what}"));
        let met = match (self.ratio, self.aim) {
            (Some((_, ratio)), Some(aim)) => Some((aim, ratio <= aim)),
            _ => None,
        };
        let judged = met.map_or_else(String::new, |(aim, met)| {
            format!("≤ {aim} {}", if met { "met" } else { "MISSED" })
        });
        println!("{:<40} {:>12}   {ratio:<42} {judged}", self.name, self.cost);
        met.is_none_or(|(_, met)| met)
    }
}

/// The number and size of the samples.
#[derive(Clone, Copy)]
struct Effort {
    rounds: usize,
    batch: usize,
    entries: usize,
    requests: usize,
    /// Length of bodies in bytes.
    body: usize,
}

type Figures = fn(Effort) -> Result<Vec<Figure>, Box<dyn Error>>;

/// The groups of figures, by the name that selects them.
const GROUPS: &[(&str, Figures)] = &[
    ("tokens", tokens::figures),
    ("transactions", transactions::figures),
    ("ed25519", signatures::ed25519),
    ("p256", signatures::p256),
    ("digests", digests::figures),
    ("memory", memory::figures),
    ("requests", requests::figures),
    ("resource", resource::figures),
    ("client", client::figures),
    ("load", load::figures),
    ("redis", shared::figures),
];

fn main() -> Result<ExitCode, Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    if let [mode, to, file] = arguments.as_slice()
        && mode == "--send"
    {
        return load::other_process(to, file);
    }
    let quick = std::env::args().any(|argument| argument == "--quick");
    let effort = if quick {
        Effort {
            rounds: 3,
            batch: 10,
            entries: 20_000,
            requests: 100,
            body: 1024 * 1024,
        }
    } else {
        Effort {
            rounds: 101,
            batch: 50,
            entries: 1_000_000,
            requests: 2_000,
            body: 64 * 1024 * 1024,
        }
    };
    println!(
        "on aws-lc-rs, ES256 unless another is named; medians of {} rounds, every case once a round\n",
        effort.rounds
    );
    let mut met = true;
    let arguments = std::env::args().skip(1);
    let wanted: Vec<String> = arguments.filter(|it| !it.starts_with('-')).collect();
    for (name, figures) in GROUPS {
        if !wanted.is_empty() && !wanted.iter().any(|it| it == name) {
            continue;
        }
        for figure in figures(effort)? {
            met &= figure.print();
        }
        println!();
    }
    // Few samples are not reliable.
    Ok(if met || quick {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}
