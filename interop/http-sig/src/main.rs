//! The driver of the crate `http-sig`: one JSON object a line in, one out.
//!
//!     interop/run http-sig
//!
//! starts it. It is the shortest way from a message in a file to the crate's three layers and back.

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

/// The code of a refusal, and its words.
fn said(why: &Failure) -> String {
    match why.downcast_ref::<aims_http_sig::Error>() {
        Some(error) => format!("{}: {error}", error.code()),
        None => why.to_string(),
    }
}
