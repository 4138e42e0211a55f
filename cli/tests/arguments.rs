//! A wrong command line must not print secrets or control characters on a terminal.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod common;

use std::process::Output;

use common::{AGENT, Folder};

/// Runs the program with words separated by blanks, and then one unchanged argument.
fn run(folder: &Folder, words: &str, argument: &str) -> Output {
    folder.command(words).arg(argument).output().unwrap()
}

fn told(output: &Output) -> String {
    assert_eq!((output.status.code(), output.stdout.len()), (Some(2), 0));
    String::from_utf8(output.stderr.clone()).unwrap()
}

/// T-166: wherever a token or a private key is in the arguments, the output does not repeat it, and
/// the command is not executed.
#[test]
fn secrets_are_not_repeated_wherever_they_stand() {
    let folder = Folder::with_agent();
    let (key, wit) = (folder.read("ca.jwk"), folder.read("wit"));
    let pem = "-----BEGIN PRIVATE KEY-----\nMIGHAgEAMBMGBy\n-----END PRIVATE KEY-----\n";
    for secret in [key.trim(), key.as_str(), wit.trim(), wit.as_str(), pem] {
        for words in [
            "",
            "key",
            "key public",
            "key public x",
            "key generate --alg",
            "key generate --kid",
            "key generate --out new.jwk --kid",
            "id check",
            "token inspect wit --now",
            "wit issue --key ca.jwk --for agent.pub --id",
            "wit issue --key ca.jwk --for agent.pub --lifetime 60 --issuer a --id",
            "wit verify --origin",
            "wpt new --wit wit --key agent.jwk --audience",
            "httpsig sign --request wit --key agent.jwk --cover",
            "httpsig sign --request wit --key agent.jwk --nonce",
            "authority serve --listen 127.0.0.1:0 --trust-domain",
            "authority serve --listen 127.0.0.1:0 --agent",
            "--help",
        ] {
            let err = told(&run(&folder, words, secret));
            let start = "aims: failed: cli.secret_in_arguments: ";
            assert!(err.starts_with(start), "{words}: {err}");
            for part in ["\"d\"", "MIGH", wit.trim()] {
                assert!(!err.contains(part), "{words}: {err}");
            }
        }
        let joined = format!("--kid={secret}");
        let err = told(&run(&folder, "key generate --out new.jwk", &joined));
        assert!(err.contains("cli.secret_in_arguments"), "{err}");
    }
    assert!(!folder.path("new.jwk").exists());
}

/// T-166: a text that may be a secret and was not understood is not repeated either: a part of a
/// key, a bootstrap token.
#[test]
fn doubtful_arguments_are_not_repeated() {
    let folder = Folder::with_agent();
    let token = "A".repeat(43);
    let key = folder.read("ca.jwk");
    let (half, _) = key.split_at(key.len() / 2);
    let agent = format!("{AGENT}={token}");
    for (words, argument) in [
        ("key public x", half),
        ("key generate --kid", half),
        ("key public x", "eyJhbGciOiJFUzI1.e30.AAAA"),
        ("", "-----BEGIN"),
        ("", token.as_str()),
        ("key public x", &token),
        ("token inspect wit --now", &token),
        ("authority serve --listen 127.0.0.1:0 --agent", &agent),
    ] {
        let err = told(&run(&folder, words, argument));
        assert!(err.contains("cli.secret_in_arguments"), "{words}: {err}");
        assert!(!err.contains(argument), "{words}: {err}");
    }
    // The thumbprint of a key is as long as a token; the command line may repeat it or not.
    let thumbprint = "kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k";
    let made = run(&folder, "key generate --kid", thumbprint);
    assert_eq!(made.status.code(), Some(0));
    let err = told(&run(&folder, "key generate --bogus --kid", thumbprint));
    assert!(
        err.starts_with("error: unexpected argument '--bogus'"),
        "{err}"
    );
}

/// T-166: a random text is not repeated where a file or an option is expected; it may start with
/// dashes.
#[test]
fn drawn_secrets_are_not_repeated_as_names() {
    let folder = Folder::with_agent();
    for (first, rest) in [("AA", "A"), ("-B", "B"), ("--", "C")] {
        let token = format!("{first}{}", rest.repeat(41));
        for (words, before) in [
            ("token inspect --", ""),
            ("token inspect --", "nowhere/"),
            ("key public --", ""),
            ("key set ca.jwk --", ""),
            ("key generate", "--out=no/"),
            ("authority serve --listen 127.0.0.1:0", "--config="),
            ("httpsig verify --keys keys.json", "--request="),
            ("httpsig verify --request wit", "--keys="),
            ("wit verify wit --origin spiffe://a", "--keys="),
            ("", "--"),
            ("token inspect wit", "--"),
        ] {
            let err = told(&run(&folder, words, &format!("{before}{token}")));
            let start = "aims: failed: cli.secret_in_arguments: ";
            assert!(err.starts_with(start), "{words} {before}: {err}");
            assert!(!err.contains(&rest.repeat(41)), "{words} {before}: {err}");
        }
    }
    // A file of that name is a file; a folder of that name is not a secret.
    let name = "A".repeat(43);
    folder.write(&name, folder.read("wit"));
    folder.ok(&format!("token inspect {name}"));
    let err = told(&run(&folder, "token inspect", &format!("{name}s/{name}/x")));
    assert!(err.starts_with("aims: failed: cli.file: "), "{err}");
}

/// T-167: control characters are shown as `\uXXXX`, even line breaks within an argument; the lines
/// of the message itself stay.
#[test]
fn hostile_arguments_are_escaped() {
    let folder = Folder::new();
    for words in [
        "",
        "key",
        "key public x",
        "key generate --alg",
        "id check a",
    ] {
        let err = told(&run(&folder, words, "foo\u{1b}[31m\u{202e}\naims: done"));
        assert!(
            err.contains(r"foo\u001b[31m\u202e\u000aaims: done"),
            "{err}"
        );
        assert!(!err.contains(['\u{1b}', '\u{202e}']), "{err}");
        assert!(!err.lines().any(|line| line.starts_with("aims: done")));
        assert!(err.lines().count() > 2 && err.ends_with('\n'), "{err}");
    }
    #[cfg(unix)]
    {
        use std::os::unix::ffi::OsStrExt as _;
        let bytes = std::ffi::OsStr::from_bytes(b"foo\xff\x1b");
        let output = folder.command("").arg(bytes).output().unwrap();
        assert!(told(&output).contains(r"\u001b"));
    }
}
