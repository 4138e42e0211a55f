//! The start of the program with good and bad arguments and files, and its end.

use std::io::{BufRead as _, BufReader};
use std::net::{TcpListener, TcpStream};
use std::process::Stdio;

use super::served::{Served, ended, enrol};
use crate::common::{AGENT, Folder, ORIGIN};

/// T-166, T-168: a token in a file is created once, readable only by its owner, used again at the
/// next start, and never printed.
#[tokio::test]
async fn tokens_come_from_files() {
    let folder = Folder::new();
    let agent = format!("{AGENT}=agent.token");
    let served = Served::start(&folder, &["--agent", &agent]);
    let made = folder.read("agent.token");
    assert_eq!((made.len(), served.printed_tokens().len()), (43, 0));
    assert!(!served.lines.iter().any(|line| line.contains(&made)));
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt as _;
        let file = std::fs::metadata(folder.path("agent.token")).unwrap();
        assert_eq!(file.permissions().mode() & 0o777, 0o600);
    }
    enrol(&served.said("issuer"), &made).await.unwrap();
    drop(served);

    let served = Served::start(&folder, &["--agent", &agent, "--reusable-tokens"]);
    assert_eq!(folder.read("agent.token"), made);
    for _ in 0..2 {
        enrol(&served.said("issuer"), &made).await.unwrap();
    }
    // A guessable name, a token itself, or not a file.
    folder.write("short", "hunter2");
    for (file, status) in [("short", 2), (&made, 2), (".", 2), ("", 2)] {
        let args = format!("authority serve --listen 127.0.0.1:0 --agent {AGENT}={file}");
        assert_eq!(ended(&folder, &args).0, Some(status), "{file}");
    }
    assert!(!folder.path(&made).exists());
}

/// T-168: a token file that other users can read, write or replace is refused. One that is a link
/// is accepted with a warning, and a private one without.
#[cfg(unix)]
#[test]
fn tokens_that_others_have_are_refused() {
    use std::fs::{Permissions, set_permissions};
    use std::os::unix::fs::{PermissionsExt as _, symlink};

    let folder = Folder::new();
    folder.write("agent.token", "A".repeat(43));
    symlink("agent.token", folder.path("link\u{1b}")).unwrap();
    folder.write(
        "authority.json",
        format!(r#"{{"agents": [{{"id": "{AGENT}", "token_file": "agent.token"}}]}}"#),
    );
    set_permissions(folder.path("authority.json"), Permissions::from_mode(0o600)).unwrap();
    let by_option = |file: &str| format!("{AGENT}={file}");
    let told = |mode: u32, args: [&str; 2]| {
        set_permissions(folder.path("agent.token"), Permissions::from_mode(mode)).unwrap();
        let (status, told) = Served::start(&folder, &args).end_by("TERM");
        assert_eq!(status, Some(0));
        told
    };
    for mode in [0o600, 0o400, 0o700] {
        assert_eq!(told(mode, ["--agent", &by_option("agent.token")]), "");
    }
    for (mode, named) in [
        (0o666, "0666"),
        (0o604, "0604"),
        (0o602, "0602"),
        (0o640, "0640"),
        (0o620, "0620"),
    ] {
        let start = format!("cli.permissions: agent.token: mode {named}: ");
        set_permissions(folder.path("agent.token"), Permissions::from_mode(mode)).unwrap();
        for which in [
            "--agent spiffe://example.org/agents/a=agent.token",
            "--config authority.json",
        ] {
            let args = format!("authority serve --listen 127.0.0.1:0 {which}");
            let (status, told) = ended(&folder, &args);
            assert_eq!(status, Some(2), "{told}");
            assert!(told.contains(&start), "{told}");
        }
    }
    // Others can replace the file in this folder.
    set_permissions(folder.path("agent.token"), Permissions::from_mode(0o600)).unwrap();
    set_permissions(folder.path("."), Permissions::from_mode(0o777)).unwrap();
    let args = format!("authority serve --listen 127.0.0.1:0 --agent {AGENT}=agent.token");
    let (status, said) = ended(&folder, &args);
    assert!(
        status == Some(2) && said.contains("its folder has the mode 0777"),
        "{said}"
    );
    set_permissions(folder.path("."), Permissions::from_mode(0o755)).unwrap();
    let told = told(0o600, ["--agent", &by_option("link\u{1b}")]);
    let start = r"aims: warning: link\u001b: a symbolic link: ";
    assert!(
        told.starts_with(start) && told.lines().count() == 1,
        "{told}"
    );
}

/// T-168: a configuration that other users can write causes the same warning; reading it is
/// allowed.
#[cfg(unix)]
#[test]
fn a_configuration_that_others_can_write_is_warned_of() {
    use std::fs::{Permissions, set_permissions};
    use std::os::unix::fs::PermissionsExt as _;

    let folder = Folder::new();
    folder.write(
        "authority.json",
        format!(r#"{{"agents": [{{"id": "{AGENT}", "token_file": "t"}}]}}"#),
    );
    for (mode, warned) in [(0o644, false), (0o620, true), (0o602, true)] {
        set_permissions(folder.path("authority.json"), Permissions::from_mode(mode)).unwrap();
        let (status, told) = Served::start(&folder, &["--config", "authority.json"]).end_by("TERM");
        assert_eq!(status, Some(0));
        let start = format!("aims: warning: authority.json: mode {mode:04o}: others can write ");
        assert_eq!(told.starts_with(&start), warned, "{told}");
        assert_eq!(told.lines().count(), usize::from(warned), "{told}");
    }
}

/// T-160: an address that other machines can reach is refused with the reason; the option that
/// allows it needs a URL, and causes a warning.
#[test]
fn the_network_needs_a_word() {
    let folder = Folder::new();
    for address in [
        "0.0.0.0:0",
        "[::]:0",
        "[::ffff:0.0.0.0]:0",
        "192.0.2.1:8400",
    ] {
        let args = format!("authority serve --listen {address} --agent {AGENT}");
        let ran = folder.run(&args);
        assert!(ran.err.contains("plaintext HTTP"), "{}", ran.err);
        assert_eq!(ran.code(2, "aims: failed: "), "cli.network", "{address}");
        let args = format!("{args} --dangerous-reachable-from-network");
        assert_eq!(folder.failed(&args), "cli.usage", "{address}");
    }
    let args = [
        "--agent",
        AGENT,
        "--listen",
        "0.0.0.0:0",
        "--dangerous-reachable-from-network",
    ];
    #[cfg(unix)]
    {
        let mut command = folder.command("authority serve --url https://authority.example");
        let piped = command.args(args).stdout(Stdio::piped());
        let mut child = piped.stderr(Stdio::piped()).spawn().unwrap();
        let mut warning = String::new();
        let mut errors = BufReader::new(child.stderr.take().unwrap());
        errors.read_line(&mut warning).unwrap();
        child.kill().unwrap();
        child.wait().unwrap();
        assert!(warning.contains("reachable from the network"), "{warning}");
    }
}

/// An address that is in use, or does not exist, has status 2 and a plain message.
#[test]
fn an_occupied_port_is_told() {
    let folder = Folder::new();
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap();
    let ran = folder.run(&format!(
        "authority serve --listen {address} --agent {AGENT}"
    ));
    assert!(ran.err.contains(&format!("{address}: ")), "{}", ran.err);
    assert_eq!(ran.code(2, "aims: failed: "), "cli.listen");
    assert_eq!(
        folder.failed("authority serve --listen 127.0.0.1:0"),
        "cli.usage"
    );
    for url in ["http://authority.example", "https://authority.example/"] {
        let args = format!("authority serve --listen 127.0.0.1:0 --agent {AGENT} --url {url}");
        assert_eq!(folder.failed(&args), "authority.base_url", "{url}");
    }
}

/// Either signal ends it with 0, even while a connection is open; then it no longer answers.
#[cfg(unix)]
#[test]
fn signals_end_it() {
    let folder = Folder::new();
    for signal in ["INT", "TERM"] {
        let served = Served::start(&folder, &["--trust-domain", "example.org"]);
        let address = served.said("listening");
        let open = TcpStream::connect(&address).unwrap();
        assert_eq!(served.end_by(signal), (Some(0), String::new()), "{signal}");
        drop(open);
        assert!(TcpStream::connect(&address).is_err());
    }
}

/// T-166: a token or a key instead of a file is not repeated, and its owner is warned.
#[test]
fn secrets_in_arguments_are_told() {
    let folder = Folder::with_agent();
    let wit = folder.read("wit");
    for args in [
        format!("token inspect {wit}"),
        format!("wit verify --origin {ORIGIN} --keys keys.json {wit}"),
        format!("wpt new --wit wit --key agent.jwk --audience a --access-token {wit}"),
        format!("key public {}", folder.read("agent.jwk")),
    ] {
        let ran = folder.run(&args);
        assert!(!ran.err.contains(wit.trim()) && !ran.err.contains("\"d\""));
        assert_eq!(ran.code(2, "aims: failed: "), "cli.secret_in_arguments");
    }
    assert_eq!(folder.failed("token inspect a.b.c"), "cli.file");
    // A file may have any name.
    folder.write("ey.a.b", &wit);
    folder.ok("token inspect ey.a.b");
}
