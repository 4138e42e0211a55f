//! The driver of the crate `http-sig`: reads one JSON object per line, and writes one per line.
//!
//!     interop/run http-sig
//!
//! It is a short example of the crate's three layers, from a message in a file and back.

#![expect(
    clippy::print_stdout,
    reason = "it is a program that answers on stdout"
)]

mod job;
mod sign;
mod verify;

use job::{Job, Operation};
use serde_json::json;

type Failure = Box<dyn std::error::Error + Send + Sync>;

fn main() -> Result<(), Failure> {
    for line in std::io::stdin().lines() {
        let job: Job = serde_json::from_str(&line?)?;
        let done = match job.op {
            Operation::Sign => sign::run(&job),
            Operation::Verify => verify::run(&job),
        };
        let answer = match done {
            Ok(()) => json!({"outcome": "ok", "why": ""}),
            Err(why) => json!({"outcome": "refused", "why": said(&why)}),
        };
        println!("{answer}");
    }
    Ok(())
}

/// Returns the code of a refusal and its message.
fn said(why: &Failure) -> String {
    match why.downcast_ref::<aims_http_sig::Error>() {
        Some(error) => format!("{}: {error}", error.code()),
        None => why.to_string(),
    }
}
