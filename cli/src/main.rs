//! The program `aims`: see the README beside it.

mod args;
mod failure;
mod httpsig;
mod input;
mod key;
mod log;
mod serve;
mod text;
mod time;
mod token;
mod trust;
mod wit;
mod wpt;

use std::io::{self, Write};
use std::process::ExitCode;

use clap::Parser as _;
use serde::Serialize;
use wimse_id::WorkloadId;
use zeroize::Zeroizing;

use crate::args::{Authority, Cli, Command, HttpSig, Id, Token, Wit, Wpt};
use crate::failure::Failure;
use crate::input::Inputs;

/// The answer in JSON where something went wrong.
#[derive(Serialize)]
struct Refusal<'a> {
    verified: bool,
    error: &'a str,
    detail: String,
}

fn main() -> ExitCode {
    let Cli { command } = Cli::parse();
    let json = wants_json(&command);
    match run(command) {
        Ok(bytes) => print(&bytes, 0),
        Err(failure) if json => {
            let refusal = Refusal {
                verified: false,
                error: failure.code(),
                detail: failure.to_string(),
            };
            match token::json(&refusal) {
                Ok(text) => print(text.as_bytes(), failure.exit_status()),
                Err(_) => ExitCode::from(2),
            }
        }
        Err(failure) => {
            complain(&failure);
            ExitCode::from(failure.exit_status())
        }
    }
}

fn wants_json(command: &Command) -> bool {
    match command {
        Command::Token(Token::Inspect { shown, .. })
        | Command::Wit(Wit::Verify { shown, .. })
        | Command::Wpt(Wpt::Verify { shown, .. }) => shown.json,
        Command::HttpSig(HttpSig::Verify(verify)) => verify.shown.json,
        _ => false,
    }
}

/// What is to be printed.
fn run(command: Command) -> Result<Zeroizing<Vec<u8>>, Failure> {
    let mut inputs = Inputs::default();
    let text = match command {
        Command::Key(command) => key::run(command, &mut inputs),
        Command::Id(Id::Check { uri }) => {
            let id = WorkloadId::parse(&uri)?;
            Ok(Zeroizing::new(format!(
                "id      {}\norigin  {}\n",
                id.as_str(),
                id.origin_str()
            )))
        }
        Command::Token(command) => token::run(command, &mut inputs),
        Command::Wit(command) => wit::run(command, &mut inputs),
        Command::Wpt(command) => wpt::run(command, &mut inputs),
        Command::HttpSig(command) => return httpsig::run(&command, &mut inputs),
        Command::Authority(Authority::Serve(serve)) => {
            serve::run(serve, &mut inputs)?;
            Ok(Zeroizing::default())
        }
    };
    text.map(bytes)
}

/// The same without a copy.
pub(crate) fn bytes(mut text: Zeroizing<String>) -> Zeroizing<Vec<u8>> {
    Zeroizing::new(std::mem::take(&mut *text).into_bytes())
}

/// Prints all of it, or ends with 2: who relies on the status must have got the answer. A reader that has gone is told nothing.
pub(crate) fn print(bytes: &[u8], status: u8) -> ExitCode {
    let mut out = io::stdout().lock();
    match out.write_all(bytes).and_then(|()| out.flush()) {
        Ok(()) => ExitCode::from(status),
        Err(error) => {
            if error.kind() != io::ErrorKind::BrokenPipe {
                let _ = writeln!(io::stderr().lock(), "aims: standard output: {error}");
            }
            ExitCode::from(2)
        }
    }
}

/// Says what went wrong, on the standard error. Where nobody listens, the status says it.
fn complain(failure: &Failure) {
    let kind = if failure.exit_status() == 1 {
        "refused"
    } else {
        "failed"
    };
    let line = format!("aims: {kind}: {}: {failure}", failure.code());
    let _ = writeln!(io::stderr().lock(), "{}", text::escaped(&line));
}
