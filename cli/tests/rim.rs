//! Files, streams and exit statuses.

mod common;

use std::process::Stdio;

use common::{Folder, NOW, ORIGIN};
use serde_json::json;

/// The status is 0 for help, and 2 for every wrong command line, without an answer on the standard
/// output.
#[test]
fn usage_errors_are_2() {
    let folder = Folder::new();
    for args in ["--help", "wit verify --help", "--version", "help wpt"] {
        let ran = folder.run(args);
        assert_eq!((ran.status, ran.out.is_empty()), (0, false), "{args}");
    }
    for args in [
        "",
        "nonsense",
        "key",
        "key public",
        "token inspect",
        "token inspect a b",
        "token inspect --now x a",
        "token inspect --now -1 a",
        "wit issue",
        "wit verify --origin spiffe://a --keys k --profile x f",
        "wpt new --wit a --key b",
        "wpt verify f",
        "id check spiffe://a/b --json",
    ] {
        let ran = folder.run(args);
        assert_eq!((ran.status, ran.out.as_str()), (2, ""), "{args}");
        assert!(
            !ran.err.is_empty() && !ran.err.contains("panicked"),
            "{args}"
        );
    }
}

/// The help says how documents for a spiffe origin are distinguished, and what a status means.
#[test]
fn the_help_says_what_matters() {
    let folder = Folder::new();
    let help = folder.ok("wit verify --help");
    assert!(help.contains("spiffe_sequence") && help.contains("wit-svid"));
    assert!(folder.ok("--help").contains("1 for refused"));
}

/// T-021: of a file of more than 64 KiB, no more is read; one of 64 KiB is accepted. Key sets may
/// be larger.
#[test]
fn long_files_are_refused() {
    let folder = Folder::with_agent();
    folder.write("most", "a".repeat(65_536));
    folder.write("more", "a".repeat(65_537));
    assert_eq!(folder.refused("token inspect most"), "jws.parts");
    assert_eq!(folder.refused("token inspect more"), "cli.too_long");
    let piped = folder.run_with("token inspect -", &[b'a'; 70_000]);
    assert_eq!(piped.code(1, "aims: refused: "), "cli.too_long");
    let verify = |keys: &str, file: &str| {
        format!("wit verify --origin {ORIGIN} --keys {keys} --now {NOW} {file}")
    };
    let padding = " ".repeat(100_000);
    folder.write("padded", format!("{}{padding}", folder.read("keys.json")));
    assert!(folder.ok(&verify("padded", "wit")).starts_with("verified"));
    folder.write(
        "padded",
        format!("{}{padding}{padding}{padding}", folder.read("keys.json")),
    );
    assert_eq!(folder.failed(&verify("padded", "wit")), "cli.too_long");
    for args in ["key public more", "key thumbprint more"] {
        assert_eq!(folder.failed(args), "cli.too_long");
    }
    #[cfg(target_os = "linux")]
    assert_eq!(folder.refused("token inspect /dev/zero"), "cli.too_long");
}

/// An unreadable file, one that is not text, or a second use of the standard input has status 2,
/// also in JSON.
#[test]
fn input_failures_are_2() {
    let folder = Folder::with_agent();
    folder.write("bytes", b"a.b.\xff");
    for (args, code) in [
        ("token inspect missing".to_owned(), "cli.file"),
        ("token inspect bytes".to_owned(), "cli.not_text"),
        (
            format!("wit verify --origin {ORIGIN} --keys missing wit"),
            "cli.file",
        ),
        (
            format!("wit verify --origin {ORIGIN} --keys - -"),
            "cli.usage",
        ),
    ] {
        let ran = folder.run_with(&args, folder.read("keys.json").as_bytes());
        assert_eq!(ran.code(2, "aims: failed: "), code, "{args}");
        let ran = folder.run_with(&format!("{args} --json"), b"{\"keys\":[]}");
        let answer = ran.json();
        assert_eq!(ran.status, 2);
        assert_eq!(answer.get("verified"), Some(&json!(false)));
        assert_eq!(answer.get("error"), Some(&json!(code)));
    }
}

/// T-023: only `key generate` prints a private member, whether a command succeeds or not.
#[test]
fn private_keys_are_not_printed() {
    let folder = Folder::with_agent();
    let secrets = ["ca.jwk", "agent.jwk"].map(|file| {
        let key: serde_json::Value = serde_json::from_str(&folder.read(file)).unwrap();
        key.get("d").unwrap().as_str().unwrap().to_owned()
    });
    for args in [
        "key public ca.jwk",
        "key thumbprint ca.jwk",
        "token inspect ca.jwk",
        "wit issue --key ca.jwk --id spiffe://example.org/a --for agent.pub",
        "wit issue --key ca.jwk --id spiffe://example.org/a --for agent.jwk",
        "wit verify --origin spiffe://example.org --keys ca.jwk wit",
        "wit verify --origin spiffe://example.org --keys keys.json agent.jwk",
        "wpt new --wit wit --key agent.jwk --audience a --now 1800000000",
        "wpt new --wit agent.jwk --key ca.jwk --audience a",
    ] {
        let ran = folder.run(args);
        for secret in &secrets {
            assert!(
                !ran.out.contains(secret) && !ran.err.contains(secret),
                "{args}"
            );
        }
    }
}

/// A closed reader and a full disk cause no panic, and count as failures.
#[cfg(unix)]
#[test]
fn output_failures_are_2() {
    let folder = Folder::with_agent();
    let verify = format!("wit verify --origin {ORIGIN} --keys keys.json --now {NOW} wit");
    for args in [
        "key generate",
        "token inspect wit",
        "id check spiffe://a/b",
        &verify,
    ] {
        let (reader, writer) = std::io::pipe().unwrap();
        drop(reader);
        let child = folder
            .command(args)
            .stdout(writer)
            .stderr(Stdio::piped())
            .spawn();
        let output = child.unwrap().wait_with_output().unwrap();
        assert_eq!(output.status.code(), Some(2), "{args}");
        assert_eq!(output.stderr, b"", "{args}");
    }
    // If all streams are closed, only the status remains.
    let (reader, writer) = std::io::pipe().unwrap();
    drop(reader);
    let mut command = folder.command("token inspect ca.jwk");
    let mut child = command
        .stdout(Stdio::null())
        .stderr(writer)
        .spawn()
        .unwrap();
    assert_eq!(child.wait().unwrap().code(), Some(1));
    #[cfg(target_os = "linux")]
    {
        let full = std::fs::OpenOptions::new()
            .write(true)
            .open("/dev/full")
            .unwrap();
        let child = folder
            .command(&verify)
            .stdout(full)
            .stderr(Stdio::piped())
            .spawn();
        let output = child.unwrap().wait_with_output().unwrap();
        assert_eq!(output.status.code(), Some(2));
        assert!(output.stderr.starts_with(b"aims: standard output: "));
    }
}

/// The commands of the README work as they are printed.
#[cfg(unix)]
#[test]
fn the_readme_runs() {
    let folder = Folder::new();
    let readme = include_str!("../README.md");
    let stories = readme.split("```sh\n").skip(1);
    let story: String = stories
        .map(|rest| rest.split_once("```").unwrap().0)
        .collect();
    assert!(story.contains("wpt verify") && story.contains("httpsig verify"));
    folder.write("story", story);
    let programs = std::path::Path::new(env!("CARGO_BIN_EXE_aims")).parent();
    let path = std::env::var("PATH").unwrap();
    let path = format!("{}:{path}", programs.unwrap().display());
    let mut sh = std::process::Command::new("sh");
    sh.arg("-e").arg("story").current_dir(folder.path(""));
    let output = sh.env("PATH", path).output().unwrap();
    assert!(output.status.success(), "{output:?}");
    assert!(output.stdout.starts_with(b"verified"));
}
