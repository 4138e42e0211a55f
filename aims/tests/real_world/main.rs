//! Answers of real servers, as public bug reports describe them: each input of
//! `testdata/real-world/cases.json` has the result that is recorded with it.

#![cfg(all(feature = "agent", feature = "fetch", feature = "tool"))]
#![expect(
    clippy::indexing_slicing,
    clippy::unwrap_used,
    reason = "a test fails by panicking"
)]

/// An error as a person reads it: its code, its message and those of its sources.
macro_rules! told {
    ($error:expr) => {{
        let error = $error;
        format!("{}: {}", error.code(), Chain(&error))
    }};
}

mod documents;
mod exchanges;
mod http_text;
mod servers;

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use aims::jose::time::UnixTime;
use serde::Deserialize;

/// A time at which every token of the cases is valid.
const NOW: u64 = 1_800_000_000;

#[derive(Debug, Deserialize)]
struct Case {
    id: String,
    op: String,
    what: String,
    want: String,
    file: Option<String>,
    jwks: Option<String>,
    issuer: Option<String>,
    audience: Option<String>,
    origin: Option<String>,
    token: Option<String>,
    tool: Option<String>,
    resource: Option<String>,
    id_text: Option<String>,
    address: Option<String>,
    accepted: Option<Vec<String>>,
    within: Option<bool>,
    answers: Option<BTreeMap<String, String>>,
    steps: Option<Vec<Step>>,
    jumps: Option<Vec<u64>>,
    refresh: Option<bool>,
    path: Option<String>,
    crlf: Option<bool>,
    redirects: Option<usize>,
}

/// A step of a case with a token source: the wall clock advances, and this number of calls are made
/// at the same time.
#[derive(Debug, Deserialize)]
struct Step {
    #[serde(default)]
    wall: u64,
    calls: Option<usize>,
}

impl Case {
    /// Returns the input, byte for byte.
    fn input(&self) -> Vec<u8> {
        read(self.file.as_deref().unwrap())
    }
}

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../testdata/real-world")
}

fn read(file: &str) -> Vec<u8> {
    fs::read(folder().join(file)).unwrap()
}

fn now() -> UnixTime {
    UnixTime::since_unix_epoch(Duration::from_secs(NOW))
}

fn cases() -> Vec<Case> {
    serde_json::from_slice(&read("cases.json")).unwrap()
}

/// Compares results with what the cases expect.
#[derive(Default)]
struct Outcomes {
    run: usize,
    wrong: Vec<String>,
}

impl Outcomes {
    fn add(&mut self, case: &Case, outcome: &str) {
        self.run += 1;
        if !outcome.contains(&case.want) {
            let (id, what, want) = (&case.id, &case.what, &case.want);
            let line = format!("{id} ({what}): wanted `{want}`, got `{outcome}`");
            self.wrong.push(line);
        }
    }

    fn check(self, least: usize) {
        assert!(self.wrong.is_empty(), "{}", self.wrong.join("\n"));
        assert!(self.run >= least, "only {} cases were run", self.run);
    }
}

#[test]
fn every_document_has_its_outcome() {
    let mut outcomes = Outcomes::default();
    for case in cases() {
        if let Some(outcome) = documents::outcome(&case) {
            outcomes.add(&case, &outcome);
        }
    }
    outcomes.check(52);
}

/// Documents that are found, fetched again and renewed, with scripted answers at paused time.
#[tokio::test(start_paused = true)]
async fn every_exchange_has_its_outcome() {
    let mut outcomes = Outcomes::default();
    for case in cases() {
        if let Some(outcome) = exchanges::outcome(&case).await {
            outcomes.add(&case, &outcome);
        }
    }
    outcomes.check(11);
}

/// The same with sockets of this machine.
#[tokio::test]
async fn every_server_has_its_outcome() {
    let mut outcomes = Outcomes::default();
    for case in cases() {
        if let Some(outcome) = servers::outcome(&case).await {
            outcomes.add(&case, &outcome);
        }
    }
    outcomes.check(8);
}

/// A case of an unknown kind is not skipped.
#[test]
fn every_kind_of_case_is_run() {
    let kinds: BTreeSet<String> = cases().into_iter().map(|case| case.op).collect();
    let run = [documents::KINDS, exchanges::KINDS, servers::KINDS].concat();
    let run: BTreeSet<String> = run.iter().map(|kind| (*kind).to_owned()).collect();
    assert_eq!(kinds, run);
}
