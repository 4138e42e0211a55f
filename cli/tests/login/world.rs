//! A tool, its authorization server, and the program.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::path::PathBuf;
use std::process::{Command, Output, Stdio};
use std::sync::{Arc, Mutex};

/// A tool and its authorization server, which agrees to everything.
pub(super) struct World {
    pub(super) url: String,
    /// The path and the body of each request.
    pub(super) asked: Arc<Mutex<Vec<(String, String)>>>,
    /// The scopes of its tokens, and their lifetime.
    pub(super) granted: Arc<Mutex<(&'static str, u64)>>,
    /// Further members of the server's metadata.
    pub(super) members: Arc<Mutex<String>>,
    pub(super) folder: PathBuf,
}

impl World {
    pub(super) fn new(name: &str) -> Self {
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

    pub(super) fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_aims"));
        command.args(arguments).arg(format!("{}/mcp", self.url));
        command.arg("--store").arg(self.folder.join("tokens"));
        command
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .stdin(Stdio::null());
        command
    }

    pub(super) fn run(&self, arguments: &[&str]) -> Output {
        self.command(arguments).output().unwrap()
    }

    /// Logs in, and visits the URL that the program shows.
    pub(super) fn login(&self, arguments: &[&str]) -> (bool, String) {
        let output = self.visit(arguments);
        (
            output.status.success(),
            String::from_utf8(output.stdout).unwrap(),
        )
    }

    /// Runs a login to its end. The errors are those until a URL is shown.
    pub(super) fn visit(&self, arguments: &[&str]) -> Output {
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

    pub(super) fn paths(&self) -> Vec<String> {
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
pub(super) fn get(url: &str) -> String {
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

pub(super) fn serve(
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

/// Returns whether the last request is the first poll with a device code.
fn asked_first_by_code(asked: &Mutex<Vec<(String, String)>>) -> bool {
    let asked = asked.lock().unwrap();
    let polls = asked
        .iter()
        .filter(|(_, body)| body.contains("planted-device"));
    polls.count() == 1
}
