//! Processes that share a token store, renew the same token at once, and are killed at random
//! moments, at a server that ends a grant when a refresh token comes twice:
//!
//!     aims-interop-refresh-storm PROCESSES ROTATIONS [SEED]
//!
//! In each rotation all processes want a new token. It passes if the server renews exactly once in
//! each, all processes get that token, and no grant is lost but those that no client can save: the
//! process was killed after the server renewed, and before it stored the answer. Then every process
//! must say that a user is needed, after one more request in all.

mod client;
mod referee;
mod server;
mod worker;

use std::process::ExitCode;

type Failure = Box<dyn std::error::Error + Send + Sync>;

#[tokio::main]
async fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let outcome = match *arguments {
        ["worker", folder, kind, issuer] => worker::run(folder, kind, issuer).await,
        [processes, rotations] => storm(processes, rotations, "1").await,
        [processes, rotations, seed] => storm(processes, rotations, seed).await,
        _ => Err("usage: aims-interop-refresh-storm PROCESSES ROTATIONS [SEED]".into()),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            show(&format!("refresh-storm: {error}"));
            ExitCode::FAILURE
        }
    }
}

async fn storm(processes: &str, rotations: &str, seed: &str) -> Result<(), Failure> {
    let (processes, rotations, seed) = (processes.parse()?, rotations.parse()?, seed.parse()?);
    for kind in ["sqlite", "file"] {
        let summary = referee::run(kind, processes, rotations, seed).await?;
        show(&summary);
    }
    Ok(())
}

/// Writes a line to the standard output.
#[expect(clippy::print_stdout, reason = "it is a program for a shell")]
fn show(line: &str) {
    println!("{line}");
}
