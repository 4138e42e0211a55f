//! A library of another project: a child process that reads and writes lines of JSON.

use std::collections::BTreeMap;
use std::io::{BufRead as _, BufReader, Write as _};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

use serde::Deserialize;
use serde_json::{Value, json};

use crate::Failure;

/// A running library, and the public keys that it wrote.
pub(super) struct Library {
    pub(super) name: String,
    pub(super) keys: BTreeMap<String, Value>,
    child: Child,
    jobs: Option<ChildStdin>,
    answers: BufReader<ChildStdout>,
}

#[derive(Deserialize)]
struct Answer {
    #[serde(default)]
    keys: BTreeMap<String, Value>,
    token: Option<String>,
    cannot: Option<String>,
}

impl Library {
    /// Starts `NAME=COMMAND ARGUMENT…` and lets it draw its keys.
    pub(super) fn start(command: &str) -> Result<Self, Failure> {
        let (name, command) = command.split_once('=').ok_or("expected NAME=COMMAND")?;
        let mut words = command.split_whitespace();
        let mut child = Command::new(words.next().ok_or("no command")?)
            .args(words)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()?;
        let answers = child.stdout.take().ok_or("the library has no stdout")?;
        let mut library = Self {
            name: name.to_owned(),
            keys: BTreeMap::new(),
            jobs: child.stdin.take(),
            child,
            answers: BufReader::new(answers),
        };
        let names: BTreeMap<_, _> = KEYS.iter().copied().collect();
        library.keys = library.ask(&json!({ "names": names }))?.keys;
        if library.keys.len() != KEYS.len() {
            return Err(format!("{name} drew other keys than it was asked for").into());
        }
        Ok(library)
    }

    /// Lets it sign a token or proof. The inner error is the library's own refusal.
    pub(super) fn mint(&mut self, job: &Value) -> Result<Result<String, String>, Failure> {
        let answer = self.ask(job)?;
        Ok(answer
            .token
            .ok_or_else(|| answer.cannot.unwrap_or_default()))
    }

    fn ask(&mut self, job: &Value) -> Result<Answer, Failure> {
        let jobs = self.jobs.as_mut().ok_or("the library has ended")?;
        writeln!(jobs, "{job}")?;
        let mut line = String::new();
        if self.answers.read_line(&mut line)? == 0 {
            return Err(format!("{} has ended", self.name).into());
        }
        Ok(serde_json::from_str(&line)?)
    }
}

impl Drop for Library {
    fn drop(&mut self) {
        drop(self.jobs.take());
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

/// The keys by name. The name begins with the set: those of the issuer that follows RFC 9068, those
/// of all other issuers, those of proofs, and one that no guard trusts.
const KEYS: [(&str, &str); 16] = [
    ("std-es256", "ES256"),
    ("std-es384", "ES384"),
    ("std-es512", "ES512"),
    ("std-ed25519", "Ed25519"),
    ("std-eddsa", "EdDSA"),
    ("std-rs256", "RS256"),
    ("std-rs512", "RS512"),
    ("std-ps256", "PS256"),
    ("std-ps384", "PS384"),
    ("own-es256", "ES256"),
    ("own-rs256", "RS256"),
    ("proof-es256", "ES256"),
    ("proof-eddsa", "EdDSA"),
    ("proof-rs256", "RS256"),
    ("proof-ps256", "PS256"),
    ("stranger-es256", "ES256"),
];
