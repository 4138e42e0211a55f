//! A process that is killed in the middle of a write leaves no code that can be used twice, no
//! refresh token that was replaced, and no withdrawn agent that is served.
#![cfg(all(feature = "sqlite", unix))]
#![allow(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::unwrap_used,
    reason = "a test fails by panicking"
)]

#[path = "common/folder.rs"]
mod folder;

use std::io::{BufRead as _, BufReader, Write as _};
use std::path::Path;
use std::process::{Child, Command, Stdio};

use aims_authority::{Change, Entry, IdentityServer, Kind, SqliteState, State};
use aims_jose::time::at;
use folder::Folder;

const ROUNDS: usize = 12;
const FILE: &str = "AIMS_KILLED_FILE";

/// Uses codes, rotates a refresh token and withdraws agents without end, and prints a line after
/// each answer, as a client would get it. It does its work only in the process that the test below
/// starts.
#[test]
fn child() {
    let Some(file) = std::env::var_os(FILE) else {
        return;
    };
    let state = SqliteState::open(file).unwrap();
    let mut out = std::io::stdout();
    for number in 0_u64.. {
        let code = format!("code {}-{number}", std::process::id());
        let entry = Entry::new(b"unused".to_vec(), at(1_000));
        let inserted = state.swap(Kind::Code, &code, Change::Insert(&entry), at(1));
        assert!(inserted.unwrap());
        let version = state.load(Kind::Code, &code, at(1)).unwrap().unwrap();
        let used = Entry::new(b"used".to_vec(), at(1_000));
        let change = Change::Replace(version.version, &used);
        assert!(state.swap(Kind::Code, &code, change, at(1)).unwrap());
        writeln!(out, "used {code}").unwrap();

        let grant = state.load(Kind::Grant, "grant", at(1)).unwrap().unwrap();
        let current: u64 = std::str::from_utf8(&grant.entry.value)
            .unwrap()
            .parse()
            .unwrap();
        let next = Entry::new((current + 1).to_string().into_bytes(), at(1_000));
        let change = Change::Replace(grant.version, &next);
        assert!(state.swap(Kind::Grant, "grant", change, at(1)).unwrap());
        writeln!(out, "rotated {}", current + 1).unwrap();

        let agent = format!("spiffe://example.org/{}/{number}", std::process::id());
        let id = agent.parse().unwrap();
        assert!(IdentityServer::withdraw_in(&state, &id, at(1)).unwrap());
        writeln!(out, "withdrawn {agent}").unwrap();
        out.flush().unwrap();
    }
}

fn start(file: &Path) -> Child {
    Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "child", "--nocapture", "--test-threads=1"])
        .env(FILE, file)
        .stdout(Stdio::piped())
        .spawn()
        .unwrap()
}

#[test]
fn a_killed_process_leaves_nothing_to_use_twice() {
    let folder = Folder::new();
    let file = folder.path("state.db");
    let state = SqliteState::open(&file).unwrap();
    let first = Entry::new(b"0".to_vec(), at(1_000));
    let inserted = state.swap(Kind::Grant, "grant", Change::Insert(&first), at(1));
    assert!(inserted.unwrap());
    drop(state);
    let mut rotated = 0;
    for round in 0..ROUNDS {
        let mut process = start(&file);
        let mut lines = BufReader::new(process.stdout.take().unwrap()).lines();
        let (mut codes, mut withdrawn) = (Vec::new(), Vec::new());
        let mut read = |line: String| {
            if let Some((_, code)) = line.split_once("used ") {
                codes.push(code.to_owned());
            } else if let Some((_, agent)) = line.split_once("withdrawn ") {
                withdrawn.push(agent.to_owned());
            } else if let Some((_, number)) = line.split_once("rotated ") {
                rotated = number.parse::<u64>().unwrap();
            }
        };
        // Kill it at another place of its work in each round.
        for line in lines.by_ref().take(12 + round * 4) {
            read(line.unwrap());
        }
        // SIGKILL: the process has no chance to finish anything.
        process.kill().unwrap();
        process.wait().unwrap();
        // The answers that the client had got before the process died.
        lines.map_while(Result::ok).for_each(&mut read);
        assert!(codes.len() >= 3 && withdrawn.len() >= 2);

        let state = SqliteState::open(&file).unwrap();
        for code in &codes {
            let stored = state.load(Kind::Code, code, at(1)).unwrap().unwrap();
            assert_eq!(stored.entry.value, b"used", "{code}");
        }
        for agent in &withdrawn {
            let stored = state.load(Kind::Withdrawn, agent, at(1)).unwrap();
            assert!(stored.is_some(), "{agent}");
        }
        let grant = state.load(Kind::Grant, "grant", at(1)).unwrap().unwrap();
        let current: u64 = std::str::from_utf8(&grant.entry.value)
            .unwrap()
            .parse()
            .unwrap();
        // One rotation may have been committed whose answer was lost.
        assert!(
            current == rotated || current == rotated + 1,
            "{current} after {rotated}"
        );
    }
    assert!(rotated > 30);
}
