//! The program `aims`. See its README.
//!
//! ```console
//! $ aims explain token.not_bound
//! $ aims discover https://tools.example/mcp
//! ```

mod args;
mod delegate;
mod explain;
mod failure;
mod hint;
mod httpsig;
mod input;
mod key;
mod log;
mod login;
#[cfg(unix)]
mod permissions;
mod private;
mod secret;
mod serve;
mod survey;
mod text;
mod time;
mod token;
mod trust;
mod txn;
mod wit;
mod wpt;

use std::ffi::OsString;
use std::io::{self, Write};
use std::process::ExitCode;

use aims_wimse_id::WorkloadId;
use clap::Parser as _;
use serde::Serialize;
use zeroize::Zeroizing;

use crate::args::{
    Authority, Cli, Command, Delegate, HttpSig, Id, Resource, Survey, Token, Txn, VerifyTxn, Wit,
    Wpt,
};
use crate::failure::Failure;
use crate::input::Inputs;
use crate::survey::View;

/// The JSON form of a failure.
#[derive(Serialize)]
struct Refusal<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    verified: Option<bool>,
    error: &'a str,
    detail: String,
}

fn main() -> ExitCode {
    let arguments: Vec<OsString> = std::env::args_os().collect();
    // Check all arguments, even where a secret would be accepted: it would end up in a token, a key
    // or a message.
    if given(&arguments).any(|argument| secret::is_in(argument)) {
        return failed(&Failure::SecretInArguments);
    }
    let command = match Cli::try_parse_from(&arguments) {
        Ok(Cli { command }) => command,
        Err(error) => return misunderstood(&error, &arguments),
    };
    let json = wants_json(&command);
    // A comparison verifies nothing, or both tokens.
    let is_comparison = matches!(command, Command::Delegate(_));
    match run(command) {
        Ok((bytes, status)) => print(&bytes, status),
        Err(failure) if json => {
            let refusal = Refusal {
                verified: (!is_comparison).then_some(false),
                error: failure.code(),
                detail: failure.to_string(),
            };
            match token::json(&refusal) {
                Ok(text) => print(text.as_bytes(), failure.exit_status()),
                Err(_) => ExitCode::from(2),
            }
        }
        Err(failure) => failed(&failure),
    }
}

/// Iterates over the arguments after the name of the program.
fn given(arguments: &[OsString]) -> impl Iterator<Item = &OsString> {
    arguments.iter().skip(1)
}

/// Prints help and version as they are. Prints an error without control characters, and without
/// what may be a secret.
fn misunderstood(error: &clap::Error, arguments: &[OsString]) -> ExitCode {
    let text = error.render().to_string();
    if !error.use_stderr() {
        return print(text.as_bytes(), 0);
    }
    let is_secret = |argument: &OsString| {
        secret::may_be_in(argument) || secret::is_drawn_and_repeated(argument, &text)
    };
    if given(arguments).any(is_secret) {
        return failed(&Failure::SecretInArguments);
    }
    // Quoted arguments may contain line breaks. So parse again with arguments that have none, to
    // get the same error.
    let harmless = arguments
        .iter()
        .map(|argument| text::escaped(&argument.to_string_lossy()));
    let text = match Cli::try_parse_from(harmless) {
        Err(again) if again.kind() == error.kind() => again.render().to_string(),
        _ => text,
    };
    let mut err = io::stderr().lock();
    for line in text.lines() {
        let _ = writeln!(err, "{}", text::escaped(line));
    }
    ExitCode::from(2)
}

fn failed(failure: &Failure) -> ExitCode {
    complain(failure);
    ExitCode::from(failure.exit_status())
}

fn wants_json(command: &Command) -> bool {
    match command {
        Command::Token(Token::Verify(verify)) => verify.shown.json,
        Command::Token(Token::Inspect { shown, .. })
        | Command::Wit(Wit::Verify { shown, .. })
        | Command::Txn(Txn::Verify(VerifyTxn { shown, .. }))
        | Command::Wpt(Wpt::Verify { shown, .. }) => shown.json,
        Command::HttpSig(HttpSig::Verify(verify)) => verify.shown.json,
        Command::Delegate(Delegate::Explain(explain)) => explain.json,
        _ => false,
    }
}

/// Runs a command. Returns the output and the exit status.
fn run(command: Command) -> Result<(Zeroizing<Vec<u8>>, u8), Failure> {
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
        Command::Txn(command) => txn::run(command, &mut inputs),
        Command::Wpt(command) => wpt::run(command, &mut inputs),
        Command::Explain { code } => explain::run(&code),
        Command::Delegate(command) => {
            let (text, status) = delegate::run(&command, &mut inputs)?;
            return Ok((bytes(text), status));
        }
        Command::HttpSig(command) => return Ok((httpsig::run(&command, &mut inputs)?, 0)),
        Command::Resource(Resource::Check(survey)) => return surveyed(&survey, View::Operator),
        Command::Discover(survey) => return surveyed(&survey, View::Client),
        Command::Login(command) => login::login(&command),
        Command::Logout(command) => login::logout(&command),
        Command::Authority(Authority::Serve(serve)) => {
            serve::run(serve, &mut inputs)?;
            Ok(Zeroizing::default())
        }
        Command::Authority(Authority::Withdraw(asked)) => {
            serve::withdraw(&asked).map(Zeroizing::new)
        }
        Command::Authority(Authority::Revoke(asked)) => serve::revoke(&asked).map(Zeroizing::new),
    };
    Ok((bytes(text?), 0))
}

/// Surveys a tool. The exit status is 1 if clients do not get through.
fn surveyed(survey: &Survey, view: View) -> Result<(Zeroizing<Vec<u8>>, u8), Failure> {
    let (text, is_good) = survey::run(survey, view)?;
    Ok((bytes(text), u8::from(!is_good)))
}

/// Converts a text into bytes without a copy.
pub(crate) fn bytes(mut text: Zeroizing<String>) -> Zeroizing<Vec<u8>> {
    Zeroizing::new(std::mem::take(&mut *text).into_bytes())
}

/// Prints all of it, or returns 2, because a caller that relies on the status needs the whole
/// answer. If the reader has gone, nothing is reported.
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

/// Writes a failure to the standard error. If that fails, the status still reports it.
fn complain(failure: &Failure) {
    let kind = if failure.exit_status() == 1 {
        "refused"
    } else {
        "failed"
    };
    let line = format!("aims: {kind}: {}: {failure}", failure.code());
    let _ = writeln!(io::stderr().lock(), "{}", text::escaped(&line));
}
