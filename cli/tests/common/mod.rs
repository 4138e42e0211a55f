//! Runs the program in a folder for its files.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]
#![allow(dead_code, reason = "each test file uses a part of it")]

use std::fs;
use std::io::Write as _;
use std::path::PathBuf;
use std::process::{Command, Output, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};

use serde_json::Value;

pub(crate) const NOW: &str = "1800000000";
pub(crate) const ORIGIN: &str = "spiffe://example.org";
pub(crate) const AGENT: &str = "spiffe://example.org/agent";
pub(crate) const AUDIENCE: &str = "https://workload.example.com/path";

/// A temporary folder, which is removed when the test ends.
pub(crate) struct Folder(PathBuf);

/// The result of a run of the program.
pub(crate) struct Ran {
    pub(crate) status: i32,
    pub(crate) out: String,
    pub(crate) err: String,
}

impl Folder {
    pub(crate) fn new() -> Self {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let name = format!(
            "{}-{}",
            std::process::id(),
            COUNT.fetch_add(1, Ordering::Relaxed)
        );
        let path = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(name);
        fs::create_dir_all(&path).unwrap();
        Self(path)
    }

    /// Creates a folder with an issuer `ca.jwk`, its set `keys.json`, an agent `agent.jwk`,
    /// `agent.pub`, and its token `wit`, issued at [`NOW`] for an hour.
    pub(crate) fn with_agent() -> Self {
        let folder = Self::new();
        folder.ok("key generate --kid ca --out ca.jwk");
        folder.ok("key generate --out agent.jwk");
        folder.write("agent.pub", folder.ok("key public agent.jwk"));
        let ca = folder.ok("key public ca.jwk");
        folder.write("keys.json", format!("{{\"keys\":[{ca}]}}"));
        let wit = folder.ok(&format!(
            "wit issue --key ca.jwk --id {AGENT} --for agent.pub --lifetime 3600 --now {NOW}"
        ));
        folder.write("wit", wit);
        folder
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }

    pub(crate) fn write(&self, name: &str, bytes: impl AsRef<[u8]>) {
        fs::write(self.path(name), bytes).unwrap();
    }

    pub(crate) fn read(&self, name: &str) -> String {
        fs::read_to_string(self.path(name)).unwrap()
    }

    /// Runs the program in this folder, with arguments separated by blanks.
    pub(crate) fn command(&self, args: &str) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_aims"));
        command.current_dir(&self.0).args(args.split_whitespace());
        command
    }

    pub(crate) fn run(&self, args: &str) -> Ran {
        Ran::of(self.command(args).stdin(Stdio::null()).output().unwrap())
    }

    /// Runs the program with this text on the standard input.
    pub(crate) fn run_with(&self, args: &str, input: &[u8]) -> Ran {
        let mut command = self.command(args);
        let (stdin, piped) = (Stdio::piped(), Stdio::piped());
        let mut child = command
            .stdin(stdin)
            .stdout(piped)
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        // The program may end without reading.
        let _ = child.stdin.take().unwrap().write_all(input);
        Ran::of(child.wait_with_output().unwrap())
    }

    /// Returns the output of a run that must end with 0 and an empty standard error.
    pub(crate) fn ok(&self, args: &str) -> String {
        let ran = self.run(args);
        assert_eq!((ran.status, ran.err.as_str()), (0, ""), "{args}");
        ran.out
    }

    /// Returns the code of a refusal: status 1, and only one line on the standard error.
    pub(crate) fn refused(&self, args: &str) -> String {
        self.run(args).code(1, "aims: refused: ")
    }

    /// Returns the code of a run that fails with status 2.
    pub(crate) fn failed(&self, args: &str) -> String {
        self.run(args).code(2, "aims: failed: ")
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

impl Ran {
    fn of(output: Output) -> Self {
        Self {
            status: output.status.code().unwrap(),
            out: String::from_utf8(output.stdout).unwrap(),
            err: String::from_utf8(output.stderr).unwrap(),
        }
    }

    pub(crate) fn code(&self, status: i32, start: &str) -> String {
        let Self { out, err, .. } = self;
        assert_eq!((self.status, out.as_str()), (status, ""), "{err}");
        let rest = err.strip_prefix(start).unwrap();
        assert_eq!(rest.matches('\n').count(), 1, "{rest}");
        rest.split_once(':').unwrap().0.to_owned()
    }

    /// Returns the one JSON object on one line.
    pub(crate) fn json(&self) -> Value {
        assert_eq!((self.err.as_str(), self.out.matches('\n').count()), ("", 1));
        let value: Value = serde_json::from_str(&self.out).unwrap();
        assert!(value.is_object());
        value
    }
}
