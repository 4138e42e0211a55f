//! `aims login`, `aims token get` and `aims logout` against a server of this test.

#![allow(
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a test fails by panicking"
)]

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::path::PathBuf;
use std::process::{Command, Output, Stdio};
use std::sync::{Arc, Mutex};

/// A tool and its authorization server, which agrees to everything.
struct World {
    url: String,
    /// The path and the body of each request.
    asked: Arc<Mutex<Vec<(String, String)>>>,
    /// The scopes of its tokens, and their lifetime.
    granted: Arc<Mutex<(&'static str, u64)>>,
    /// Further members of the server's metadata.
    members: Arc<Mutex<String>>,
    folder: PathBuf,
}

impl World {
    fn new(name: &str) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let asked: Arc<Mutex<Vec<(String, String)>>> = Arc::default();
        let granted = Arc::new(Mutex::new(("read", 300)));
        let (own, base) = (Arc::clone(&asked), url.clone());
        let grants = Arc::clone(&granted);
        let members: Arc<Mutex<String>> = Arc::default();
        let further = Arc::clone(&members);
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let granted = *grants.lock().unwrap();
                serve(stream, &base, &own, granted, &further.lock().unwrap());
            }
        });
        let folder = std::env::temp_dir().join(format!("aims-login-{name}-{}", std::process::id()));
        let _absent = std::fs::remove_dir_all(&folder);
        std::fs::create_dir_all(&folder).unwrap();
        Self {
            url,
            asked,
            granted,
            members,
            folder,
        }
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_aims"));
        command.args(arguments).arg(format!("{}/mcp", self.url));
        command.arg("--store").arg(self.folder.join("tokens"));
        command
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .stdin(Stdio::null());
        command
    }

    fn run(&self, arguments: &[&str]) -> Output {
        self.command(arguments).output().unwrap()
    }

    /// Logs in, and visits the URL that the program shows.
    fn login(&self, arguments: &[&str]) -> (bool, String) {
        let output = self.visit(arguments);
        (
            output.status.success(),
            String::from_utf8(output.stdout).unwrap(),
        )
    }

    /// Runs a login to its end. The errors are those until a URL is shown.
    fn visit(&self, arguments: &[&str]) -> Output {
        let mut arguments = arguments.to_vec();
        arguments.extend(["--no-browser"]);
        let mut child = self.command(&arguments).spawn().unwrap();
        let lines = BufReader::new(child.stderr.take().unwrap()).lines();
        let mut told = String::new();
        for line in lines.map_while(Result::ok) {
            told += &line;
            let line = line.trim();
            if line.starts_with("http://") {
                let to = get(line);
                get(&to);
                break;
            }
        }
        let mut output = child.wait_with_output().unwrap();
        output.stderr = told.into_bytes();
        output
    }

    fn paths(&self) -> Vec<String> {
        self.asked
            .lock()
            .unwrap()
            .iter()
            .map(|(path, _)| path.clone())
            .collect()
    }
}

impl Drop for World {
    fn drop(&mut self) {
        let _gone = std::fs::remove_dir_all(&self.folder);
    }
}

/// Requests a URL. Returns where it redirects to.
fn get(url: &str) -> String {
    let rest = url.strip_prefix("http://").unwrap();
    let (host, path) = rest.split_once('/').unwrap();
    let mut stream = TcpStream::connect(host).unwrap();
    write!(stream, "GET /{path} HTTP/1.1\r\nHost: {host}\r\n\r\n").unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    let location = answer
        .lines()
        .find_map(|line| line.strip_prefix("location: "));
    location.unwrap_or_default().to_owned()
}

fn serve(
    mut stream: TcpStream,
    base: &str,
    asked: &Mutex<Vec<(String, String)>>,
    (scope, lifetime): (&str, u64),
    members: &str,
) {
    let mut reader = BufReader::new(stream.try_clone().unwrap());
    let mut first = String::new();
    reader.read_line(&mut first).unwrap();
    let (mut length, mut kind) = (0, "Bearer");
    loop {
        let mut line = String::new();
        if reader.read_line(&mut line).unwrap() == 0 || line.trim().is_empty() {
            break;
        }
        let lower = line.to_ascii_lowercase();
        if let Some(value) = lower.strip_prefix("content-length:") {
            length = value.trim().parse().unwrap();
        }
        if lower.starts_with("dpop:") {
            kind = "DPoP";
        }
    }
    let mut body = vec![0; length];
    reader.read_exact(&mut body).unwrap();
    let target = first.split(' ').nth(1).unwrap_or("/").to_owned();
    let path = target.split('?').next().unwrap().to_owned();
    let number = {
        let mut asked = asked.lock().unwrap();
        asked.push((path.clone(), String::from_utf8(body).unwrap()));
        asked.len()
    };
    let json = |body: String| ("200 OK".to_owned(), body);
    // The members of the tool follow a bar. A server with `no_browser` has no endpoint for one.
    let (members, tool) = members.split_once('|').unwrap_or((members, ""));
    let browser = match members.contains("no_browser") {
        true => String::new(),
        false => format!(r#""authorization_endpoint":"{base}/authorize","#),
    };
    let servers = match members.contains("no_servers") {
        true => String::new(),
        false => format!("\"{base}\""),
    };
    let (status, body) = match &*path {
        "/mcp" => (
            "401 Unauthorized\r\nwww-authenticate: Bearer scope=\"read\"".to_owned(),
            String::new(),
        ),
        "/.well-known/oauth-protected-resource/mcp" => json(format!(
            r#"{{"resource":"{base}/mcp","authorization_servers":[{servers}]{tool}}}"#
        )),
        "/.well-known/oauth-authorization-server" => json(format!(
            r#"{{"issuer":"{base}",{browser}"token_endpoint":"{base}/token","registration_endpoint":"{base}/register",
                "revocation_endpoint":"{base}/revoke",
                "code_challenge_methods_supported":["S256"]{members}}}"#
        )),
        "/device" => json(format!(
            r#"{{"device_code":"planted-device","user_code":"ABCD","expires_in":600,"interval":1,
                "verification_uri":"{base}/enter"}}"#
        )),
        // The first poll comes before the user has entered the code.
        "/token" if asked_first_by_code(asked) => (
            "400 Bad Request".to_owned(),
            r#"{"error":"authorization_pending"}"#.to_owned(),
        ),
        "/register" if members.contains("no_register") => (
            "403 Forbidden".to_owned(),
            r#"{"error":"insufficient_scope"}"#.to_owned(),
        ),
        "/register" => json(r#"{"client_id":"registered"}"#.to_owned()),
        "/authorize" => {
            let pair = |name: &str| {
                let query = target.split_once('?').unwrap().1;
                let found = query
                    .split('&')
                    .find_map(|it| it.strip_prefix(&format!("{name}=")));
                found.unwrap_or_default().to_owned()
            };
            let redirect = pair("redirect_uri").replace("%3A", ":").replace("%2F", "/");
            let to = format!("{redirect}?code=c&state={}", pair("state"));
            (format!("302 Found\r\nlocation: {to}"), String::new())
        }
        "/token" => json(format!(
            r#"{{"access_token":"planted-access-{number}","token_type":"{kind}","expires_in":{lifetime},
                "refresh_token":"planted-refresh-{number}","scope":"{scope}"}}"#
        )),
        "/revoke" if members.contains("no_revoke") => {
            ("503 Service Unavailable".to_owned(), String::new())
        }
        "/revoke" => json(String::new()),
        _ => ("404 Not Found".to_owned(), String::new()),
    };
    let length = body.len();
    let _gone = write!(
        stream,
        "HTTP/1.1 {status}\r\ncontent-type: application/json\r\ncontent-length: {length}\r\n\
         connection: close\r\n\r\n{body}"
    );
}

/// A login, tokens from the store, and a logout. Only `aims token get` prints a token.
#[test]
fn from_login_to_logout() {
    let world = World::new("whole");
    let absent = world.run(&["token", "get"]);
    assert_eq!(absent.status.code(), Some(1));
    let told = String::from_utf8(absent.stderr).unwrap();
    assert!(
        told.contains("grant.needs_user") && told.contains("run `aims login`"),
        "{told}"
    );
    // The login may have been made with another client or for another user.
    assert!(
        told.contains("`--scope`, `--client-id`, `--user`"),
        "{told}"
    );
    let out = world.run(&["logout"]);
    assert!(out.status.success(), "{out:?}");
    assert!(out.stdout.starts_with(b"no login to end"), "{out:?}");

    let (is_good, shown) = world.login(&["login"]);
    assert!(is_good, "{shown}");
    assert!(
        shown.contains("scopes     read\n") && shown.contains("refreshed  yes\n"),
        "{shown}"
    );
    assert!(!shown.contains("planted"), "{shown}");

    for _ in 0..2 {
        let token = world.run(&["token", "get"]);
        let shown = String::from_utf8(token.stdout).unwrap();
        assert!(
            shown.starts_with("planted-access-") && shown.lines().count() == 1,
            "{shown}"
        );
        assert!(!String::from_utf8(token.stderr).unwrap().contains("planted"));
    }
    let count = |path: &str| world.paths().iter().filter(|it| *it == path).count();
    assert_eq!(
        (count("/register"), count("/authorize"), count("/token")),
        (1, 1, 1)
    );

    // The tokens of another user are not there.
    let other = world.run(&["token", "get", "--user", "bob"]);
    assert_eq!(other.status.code(), Some(1));

    let out = world.run(&["logout"]);
    assert!(out.status.success(), "{out:?}");
    let revoked = world.asked.lock().unwrap().last().unwrap().clone();
    assert_eq!(revoked.0, "/revoke");
    assert!(revoked.1.contains("token=planted-refresh-"));
    assert_eq!(world.run(&["token", "get"]).status.code(), Some(1));
}

/// Returns whether the last request is the first poll with a device code.
fn asked_first_by_code(asked: &Mutex<Vec<(String, String)>>) -> bool {
    let asked = asked.lock().unwrap();
    let polls = asked
        .iter()
        .filter(|(_, body)| body.contains("planted-device"));
    polls.count() == 1
}

/// DPOP-12: a login at a server with DPoP is bound, and stays so in other processes. The command
/// says so, and prints the header fields of a request to the tool and to no other.
#[test]
fn a_bound_login() {
    let world = World::new("bound");
    let knows = r#","dpop_signing_alg_values_supported":["ES256"]"#;
    let knows = &format!("{knows}|{knows}");
    *world.members.lock().unwrap() = knows.to_owned();
    let (is_good, shown) = world.login(&["login"]);
    assert!(is_good && shown.contains("bound      DPoP\n"), "{shown}");
    let token = world.run(&["token", "get"]);
    let text = String::from_utf8(token.stdout).unwrap();
    assert!(text.starts_with("planted-access-") && text.lines().count() == 1);
    let told = String::from_utf8(token.stderr).unwrap();
    assert!(
        told.contains("bound to a key") && told.contains("--uri"),
        "{told}"
    );
    assert!(!told.contains("planted"));
    let uri = format!("{}/mcp/call?x=1", world.url);
    let request = [
        "token", "get", "--method", "POST", "--uri", &uri, "--nonce", "n1",
    ];
    let fields = world.run(&request);
    let fields = String::from_utf8(fields.stdout).unwrap();
    let lines: Vec<_> = fields.lines().collect();
    assert_eq!(lines[0], format!("Authorization: DPoP {}", text.trim()));
    let proof = lines[1].strip_prefix("DPoP: ").unwrap();
    let path = world.folder.join("proof");
    std::fs::write(&path, proof).unwrap();
    let mut inspect = Command::new(env!("CARGO_BIN_EXE_aims"));
    let inspected = inspect
        .args(["token", "inspect"])
        .arg(&path)
        .output()
        .unwrap();
    let claims = String::from_utf8(inspected.stdout).unwrap();
    for found in ["POST", &format!("{}/mcp/call", world.url), "n1", "dpop+jwt"] {
        assert!(claims.contains(found), "{found} {claims}");
    }
    let other = [
        "token",
        "get",
        "--method",
        "GET",
        "--uri",
        "https://other.example/mcp",
    ];
    let refused = world.run(&other);
    assert_eq!(
        (refused.status.code(), &*refused.stdout),
        (Some(2), &b""[..])
    );
    for nonce in ["n\n1", "n\u{7f}1"] {
        let args = [
            "token", "get", "--method", "POST", "--uri", &uri, "--nonce", nonce,
        ];
        let refused = world.run(&args);
        assert_eq!(refused.status.code(), Some(2), "{nonce:?}");
        let told = String::from_utf8(refused.stderr).unwrap();
        assert!(told.contains("`--nonce` must be"), "{told}");
        assert!(refused.stdout.is_empty());
    }
    // A login without a binding is asked for by name, or found where there is no other.
    assert_eq!(
        world.run(&["token", "get", "--bearer"]).status.code(),
        Some(1)
    );
    let (is_good, shown) = world.login(&["login", "--bearer"]);
    assert!(is_good && shown.contains("bound      no\n"), "{shown}");
    let bearer = world.run(&["token", "get", "--bearer"]);
    assert!(bearer.status.success() && bearer.stderr.is_empty());
    assert_ne!(bearer.stdout, text.as_bytes());
    assert!(world.login(&["login", "--bearer", "--user", "bob"]).0);
    assert!(
        world
            .run(&["token", "get", "--user", "bob"])
            .status
            .success()
    );
    assert!(world.run(&["logout"]).status.success());
    for arguments in [&["token", "get"][..], &["token", "get", "--bearer"]] {
        assert_eq!(world.run(arguments).status.code(), Some(1));
    }
}

/// DPOP-12: a tool that does not name DPoP gets a bearer token, unless the user asks for a bound
/// one. What the last login was is kept.
#[test]
fn a_binding_is_for_tools_that_name_it() {
    let world = World::new("silent");
    let refused = world.visit(&["login", "--dpop"]);
    let told = String::from_utf8(refused.stderr).unwrap();
    let reason =
        "the program requires tokens that are bound by DPoP, and the server does not announce DPoP";
    assert!(
        told.contains("connect.dpop") && told.contains(reason) && told.contains("`--bearer`"),
        "{told}"
    );
    assert!(!world.paths().contains(&"/register".to_owned()));
    let knows = r#","dpop_signing_alg_values_supported":["ES256"]"#;
    *world.members.lock().unwrap() = knows.to_owned();
    let (is_good, shown) = world.login(&["login"]);
    assert!(is_good && shown.contains("bound      no\n"), "{shown}");
    let bearer = world.run(&["token", "get"]);
    assert!(bearer.status.success() && bearer.stderr.is_empty());
    let (is_good, shown) = world.login(&["login", "--dpop"]);
    assert!(is_good && shown.contains("bound      DPoP\n"), "{shown}");
    let bound = world.run(&["token", "get"]);
    let note = String::from_utf8(bound.stderr).unwrap();
    assert!(bound.status.success() && note.contains("DPoP"), "{note}");
    assert_ne!(bound.stdout, bearer.stdout);
    let again = world.run(&["token", "get", "--bearer"]);
    assert_eq!(again.stdout, bearer.stdout);
    let both = world.run(&["login", "--dpop", "--bearer"]);
    assert_eq!(both.status.code(), Some(2));
}

/// Without a desktop a login goes by a code on another device, if the server supports that.
#[test]
fn a_login_on_another_device() {
    let world = World::new("device");
    let refused = world.run(&["login", "--device"]);
    let told = String::from_utf8(refused.stderr).unwrap();
    assert!(told.contains("connect.no_way"), "{told}");
    *world.members.lock().unwrap() = format!(
        r#","device_authorization_endpoint":"{}/device","grant_types_supported":
        ["authorization_code","urn:ietf:params:oauth:grant-type:device_code"]"#,
        world.url
    );
    for (arguments, user) in [(&["login", "--device"][..], "alice"), (&["login"], "bob")] {
        let mut command = world.command(arguments);
        command.args(["--user", user]);
        for name in ["DISPLAY", "WAYLAND_DISPLAY", "BROWSER"] {
            command.env_remove(name);
        }
        if cfg!(target_os = "macos") && user == "bob" {
            continue;
        }
        let done = command.output().unwrap();
        let told = String::from_utf8(done.stderr).unwrap();
        assert!(done.status.success(), "{told}");
        let shown = told.contains(&format!("{}/enter", world.url)) && told.contains("ABCD");
        let server = format!("log in at {}, and at no other", world.url);
        assert!(told.contains(&server), "{told}");
        assert!(shown && !told.contains("planted"), "{told}");
        let token = world.run(&["token", "get", "--user", user]);
        assert!(token.status.success());
    }
    let both = world.run(&["login", "--device", "--no-browser"]);
    assert_eq!(both.status.code(), Some(2));
}

/// REV-04: a logout needs no way to a new token. It ends a login of each kind, also if the tool
/// requires bound tokens since, or its server has no browser login.
#[test]
fn a_logout_needs_no_way_to_a_token() {
    let world = World::new("no-way");
    let revokes = |member: &str| {
        *world.members.lock().unwrap() = member.to_owned();
        let before = world.paths().len();
        let out = world.run(&["logout"]);
        assert!(out.status.success(), "{member} {out:?}");
        let asked = world.paths()[before..].to_vec();
        assert!(asked.contains(&"/revoke".to_owned()), "{member} {asked:?}");
        assert_eq!(world.run(&["token", "get"]).status.code(), Some(1));
    };
    assert!(world.login(&["login", "--bearer"]).0);
    revokes(r#"|,"dpop_bound_access_tokens_required":true"#);
    // A tool whose metadata cannot be used keeps no token alive.
    assert!(world.login(&["login"]).0);
    revokes(r#"|,"authorization_servers":["https://moved.invalid"]"#);

    let device = format!(
        r#","no_browser":1,"device_authorization_endpoint":"{}/device","grant_types_supported":
        ["urn:ietf:params:oauth:grant-type:device_code"]"#,
        world.url
    );
    *world.members.lock().unwrap() = device.clone();
    let login = world.run(&["login", "--device"]);
    assert!(login.status.success(), "{login:?}");
    let before = world.paths().len();
    let token = world.run(&["token", "get"]);
    assert!(token.status.success(), "{token:?}");
    // No user can enter a code, so none is requested, and nothing is registered.
    let other = world.run(&["token", "get", "--user", "bob"]);
    let told = String::from_utf8(other.stderr).unwrap();
    assert!(told.contains("grant.needs_user"), "{told}");
    let asked = world.paths()[before..].to_vec();
    let is_asked = |path: &str| asked.iter().any(|it| it == path);
    assert!(!is_asked("/device") && !is_asked("/register"), "{asked:?}");
    revokes(&device);
}

/// A logout ends the logins with all scopes of the user, and no other.
#[test]
fn a_logout_ends_all_scopes() {
    let world = World::new("scopes");
    assert!(world.login(&["login"]).0);
    assert!(world.login(&["login", "--scope", "read write"]).0);
    assert!(world.login(&["login", "--user", "bob"]).0);
    let before = world.paths().len();
    let out = world.run(&["logout"]);
    assert!(out.status.success(), "{out:?}");
    let asked = world.asked.lock().unwrap()[before..].to_vec();
    let mut revoked: Vec<_> = asked.iter().filter(|(path, _)| path == "/revoke").collect();
    revoked.dedup();
    assert_eq!(revoked.len(), 2, "{asked:?}");
    assert!(
        revoked
            .iter()
            .all(|(_, body)| body.contains("token=planted-refresh-"))
    );
    for scope in ["read", "read write"] {
        let get = world.run(&["token", "get", "--scope", scope]);
        assert_eq!(get.status.code(), Some(1), "{scope}");
    }
    assert!(
        world
            .run(&["token", "get", "--user", "bob"])
            .status
            .success()
    );
}

/// The token of the last login serves for some of its scopes, and a note shows all of them.
#[test]
fn some_scopes_of_the_last_login() {
    let world = World::new("some");
    *world.granted.lock().unwrap() = ("read write", 300);
    let (is_good, shown) = world.login(&["login", "--scope", "read write"]);
    assert!(is_good, "{shown}");
    let get = |scope: &str| {
        let out = world.run(&["token", "get", "--scope", scope]);
        let shown = String::from_utf8(out.stderr).unwrap();
        (out.status.code(), out.stdout, shown)
    };
    let (status, whole, shown) = get("write read");
    assert_eq!((status, &*shown), (Some(0), ""));
    let (status, token, shown) = get("read");
    assert_eq!((status, token), (Some(0), whole));
    assert!(
        shown.ends_with("of the last login: read write\n"),
        "{shown}"
    );
    for scope in ["admin", "read admin"] {
        let (status, token, shown) = get(scope);
        assert_eq!((status, token), (Some(1), Vec::new()), "{scope}");
        assert!(shown.contains("grant.needs_user"), "{shown}");
    }
}

/// A server that adds scopes to each token is accepted only for the scopes that are named, which
/// are shown and stored with the token. A renewal needs no option, and grants nothing more.
#[test]
fn scopes_that_a_server_adds() {
    let world = World::new("added");
    let grant = |scope, lifetime| *world.granted.lock().unwrap() = (scope, lifetime);
    let names = "--accept-unrequested-scope";
    grant("read profile email", 300);
    for arguments in [
        &["login", "--scope", "read"][..],
        &["login", "--scope", "read", names, "profile"],
        &["login", "--scope", "read", names, "profile admin"],
    ] {
        assert!(!world.login(arguments).0, "{arguments:?}");
        assert_eq!(world.run(&["token", "get"]).status.code(), Some(1));
    }
    grant("read profile email", 3);
    let login = ["login", "--scope", "read", names, "profile email"];
    let (is_good, shown) = world.login(&login);
    assert!(is_good, "{shown}");
    assert!(
        shown.contains("scopes     email profile read\nadded      email profile, by the server\n"),
        "{shown}"
    );
    // The token has expired.
    std::thread::sleep(std::time::Duration::from_secs(4));
    grant("read profile email admin", 300);
    let wider = world.run(&["token", "get"]);
    let told = String::from_utf8(wider.stderr).unwrap();
    assert!(
        told.contains("grant.scope") && told.contains("asked for: \"admin\""),
        "{told}"
    );
    assert!(wider.stdout.is_empty());
    grant("read profile email", 300);
    let renewed = world.run(&["token", "get"]);
    assert!(renewed.status.success(), "{renewed:?}");
}

/// Without a keyring the key is not kept elsewhere, no server is asked, and no file is made.
#[test]
fn a_keyring_that_is_not_there() {
    let world = World::new("keyring");
    for words in [
        &["login", "--no-browser"][..],
        &["token", "get"],
        &["logout"],
    ] {
        let mut command = world.command(words);
        command.arg("--keyring");
        // A desktop has a keyring; this session has none.
        command.env("DBUS_SESSION_BUS_ADDRESS", "unix:path=/nonexistent/bus");
        let refused = command.output().unwrap();
        let told = String::from_utf8(refused.stderr).unwrap();
        assert!(told.contains("--key-file"), "{told}");
        let (code, status) = match cfg!(feature = "keyring") {
            true => ("keyring.unavailable", 1),
            false => ("cli.usage", 2),
        };
        assert!(told.contains(code), "{told}");
        assert_eq!(refused.status.code(), Some(status), "{told}");
    }
    assert!(world.paths().is_empty());
    assert!(!world.folder.join("tokens").exists());
    assert!(!world.folder.join("tokens.key").exists());
    let both = world.run(&["login", "--keyring", "--key-file", "key"]);
    assert_eq!(both.status.code(), Some(2));
}

/// Where the server cannot revoke them, the user learns that the tokens are gone here alone.
#[test]
fn a_logout_that_the_server_does_not_learn_of() {
    let world = World::new("not-revoked");
    assert!(world.login(&["login"]).0);
    r#","no_revoke":1"#.clone_into(&mut world.members.lock().unwrap());
    let out = world.run(&["logout"]);
    assert_eq!(out.status.code(), Some(1), "{out:?}");
    let told = String::from_utf8(out.stderr).unwrap();
    assert!(
        told.contains("no token for this resource is kept here") && told.contains("not revoked"),
        "{told}"
    );
    assert_eq!(world.run(&["token", "get"]).status.code(), Some(1));
}

/// A refusal names the option that helps.
#[test]
fn refusals_name_an_option() {
    let world = World::new("advice");
    for (members, code, option) in [
        (
            r#","no_register":1"#,
            "client.registration_refused",
            "`--client-id`",
        ),
        (
            r#","no_servers":1"#,
            "discovery.no_server",
            "list its server in `authorization_servers`",
        ),
    ] {
        members.clone_into(&mut world.members.lock().unwrap());
        let refused = world.run(&["login", "--no-browser"]);
        assert_eq!(refused.status.code(), Some(1), "{refused:?}");
        let told = String::from_utf8(refused.stderr).unwrap();
        assert!(told.contains(code) && told.contains(option), "{told}");
    }
    let mut command = Command::new(env!("CARGO_BIN_EXE_aims"));
    command.args(["login", "--no-browser", "https://10.0.0.1/mcp", "--store"]);
    let private = command.arg(world.folder.join("tokens")).output().unwrap();
    let told = String::from_utf8(private.stderr).unwrap();
    assert!(
        told.contains("fetch.address") && told.contains("add `--allow-private-networks`"),
        "{told}"
    );
}

/// A server that is not accepted gets nothing, and a store that others can read is not used.
#[test]
fn refusals() {
    let world = World::new("refused");
    let refused = world.run(&["login", "--no-browser", "--issuer", "https://as.example"]);
    assert_eq!(refused.status.code(), Some(1));
    let told = String::from_utf8(refused.stderr).unwrap();
    assert!(
        told.contains("discovery.no_server") && told.ends_with("`--issuer` accepts one\n"),
        "{told}"
    );
    assert!(!world.paths().iter().any(|it| it == "/register"));
    let tokens = world.folder.join("tokens.key");
    let open = std::os::unix::fs::PermissionsExt::from_mode(0o644);
    std::fs::set_permissions(&tokens, open).unwrap();
    let refused = world.run(&["token", "get"]);
    let told = String::from_utf8(refused.stderr).unwrap();
    assert!(
        told.contains("store.permissions") && told.contains("found 644"),
        "{told}"
    );
}
