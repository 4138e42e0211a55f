//! `aims authority serve`: the program itself, over loopback.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod common;

use std::io::{BufRead as _, BufReader, Read as _};
use std::net::{TcpListener, TcpStream};
use std::process::{Child, ChildStderr, Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use aims::cred::enrolment::{EnrolmentProof, IdentityClient};
use aims::fetch::{Fetch as _, Fetcher};
use aims::jose::alg::Algorithm;
use aims::jose::key::SigningKey;
use aims::jose::provider::AWS_LC;
use aims::jose::secret::SecretText;
use aims::jose::time::{Clock as _, SystemClock};
use aims::oauth_client::TokenSource;
use aims::oauth_wire::client_auth::{SpiffeWit, WitCredential};
use aims::oauth_wire::metadata::ServerMetadata;
use aims::oauth_wire::names::{Issuer, Resource};
use common::{AGENT, Folder, ORIGIN};
use http::Request;

const TOOL: &str = "http://127.0.0.1:8402/mcp";

/// The running program, which ends with the test.
struct Served {
    child: Child,
    lines: Vec<String>,
    errors: ChildStderr,
}

impl Served {
    /// Starts it on a free port, and reads its first output.
    fn start(folder: &Folder, args: &[&str]) -> Self {
        let mut command = folder.command("authority serve --listen 127.0.0.1:0");
        let piped = command.args(args).stdout(Stdio::piped());
        let mut child = piped.stderr(Stdio::piped()).spawn().unwrap();
        let out = BufReader::new(child.stdout.take().unwrap());
        let lines = out.lines().map(Result::unwrap);
        let lines = lines.take_while(|line| !line.contains("Ctrl-C")).collect();
        let errors = child.stderr.take().unwrap();
        Self {
            child,
            lines,
            errors,
        }
    }

    /// Returns the text after a name at the start of a line.
    fn said(&self, name: &str) -> String {
        let line = self.lines.iter().find(|line| line.starts_with(name));
        line.and_then(|line| line.get(16..)).unwrap().to_owned()
    }

    fn printed_tokens(&self) -> Vec<String> {
        let lines = self.lines.iter().map(|line| line.trim());
        let tokens = lines.filter_map(|line| line.strip_prefix("bootstrap token "));
        tokens
            .map(|line| line.split(' ').next().unwrap().to_owned())
            .collect()
    }

    /// Ends it by a signal, and returns its status and its standard error.
    #[cfg(unix)]
    fn end_by(mut self, signal: &str) -> (Option<i32>, String) {
        let id = self.child.id().to_string();
        let sent = Command::new("sh")
            .args(["-c", &format!("kill -{signal} {id}")])
            .status();
        assert!(sent.unwrap().success());
        let status = self.child.wait().unwrap();
        let mut told = String::new();
        self.errors.read_to_string(&mut told).unwrap();
        (status.code(), told)
    }
}

impl Drop for Served {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Returns the status and the standard error of a run that must end by itself without other output.
fn ended(folder: &Folder, args: &str) -> (Option<i32>, String) {
    let piped = Stdio::piped;
    let mut command = folder.command(args);
    let mut child = command.stdout(piped()).stderr(piped()).spawn().unwrap();
    for _ in 0..100 {
        if child.try_wait().unwrap().is_some() {
            break;
        }
        std::thread::sleep(Duration::from_millis(50));
    }
    let _ = child.kill();
    let output = child.wait_with_output().unwrap();
    assert!(output.stdout.is_empty(), "{args}");
    let told = String::from_utf8(output.stderr).unwrap();
    (output.status.code(), told)
}

fn fetcher() -> Fetcher {
    Fetcher::builder().allow_loopback_http().build().unwrap()
}

async fn get(url: &str) -> Vec<u8> {
    let request = Request::get(url).body(Vec::new()).unwrap();
    let answer = fetcher().send(request).await.unwrap();
    assert_eq!(answer.status(), 200);
    answer.into_body()
}

/// Returns a WIT for a new key, by a bootstrap token; or the status of a refusal.
async fn enrol(issuer: &str, token: &str) -> Result<(SigningKey, SecretText), String> {
    let now = || SystemClock::new().now();
    let client = IdentityClient::new(issuer).unwrap();
    let key = SigningKey::generate(Algorithm::Es256, AWS_LC).unwrap();
    let (request, pending) = client.wit(&key, EnrolmentProof::Token(SecretText::new(token)));
    let answer = fetcher().send(request).await.unwrap();
    let (request, pending) = pending.finish(&answer, now()).unwrap();
    let answer = fetcher().send(request).await.unwrap();
    let received = pending.finish(&answer, now());
    received
        .map(|received| (key, received.text))
        .map_err(|error| error.to_string())
}

async fn token(issuer: &str, key: SigningKey, wit: SecretText, scope: &str) -> Result<(), String> {
    let url = format!("{issuer}/.well-known/oauth-authorization-server");
    let server = ServerMetadata::parse(&get(&url).await, &Issuer::loopback(issuer).unwrap());
    let signer = Arc::new(key);
    let client = SpiffeWit::new(AGENT.parse().unwrap(), move |_| {
        Ok(WitCredential::new(wit.clone(), signer.clone()))
    });
    let source = TokenSource::new(server.unwrap(), client, fetcher());
    let resource = Resource::loopback(TOOL).unwrap();
    let token = source.token_for(&resource, &scope.parse().unwrap()).await;
    token.map(drop).map_err(|error| error.code().to_owned())
}

/// A complete use: the bundle over HTTP, an identity for the printed token, verified by the program
/// itself, and an access token.
#[tokio::test]
async fn an_agent_gets_its_identity_and_a_token() {
    let folder = Folder::new();
    let resource = format!("{TOOL} tools:call tools:read");
    let args = [
        "--agent",
        AGENT,
        "--resource",
        &resource,
        "--lifetime",
        "600",
    ];
    let served = Served::start(&folder, &args);
    let issuer = served.said("issuer");
    assert_eq!(issuer, format!("http://{}", served.said("listening")));
    assert_eq!(served.said("origin"), ORIGIN);
    assert_eq!(served.said("token endpoint"), format!("{issuer}/token"));
    folder.write("bundle.json", get(&served.said("bundle")).await);

    let tokens = served.printed_tokens();
    let [bootstrap] = tokens.as_slice() else {
        panic!("{tokens:?}")
    };
    let (key, wit) = enrol(&issuer, bootstrap).await.unwrap();
    folder.write("wit", wit.expose());
    let verify = format!("wit verify --origin {ORIGIN} --keys bundle.json --json wit");
    let answer = folder.run(&verify).json();
    assert_eq!(answer["id"], AGENT);
    let claims = &answer["claims"];
    let lifetime = claims["exp"].as_u64().unwrap() - claims["iat"].as_u64().unwrap();
    assert_eq!(lifetime, 600);
    for (scope, expected) in [
        ("tools:call", Ok(())),
        ("tools:delete", Err("oauth.refused".to_owned())),
    ] {
        let got = token(&issuer, key.clone(), wit.clone(), scope).await;
        assert_eq!(got, expected, "{scope}");
    }
    // T-049: a token is accepted once. The second caller learns nothing, and the operator learns
    // why.
    let again = enrol(&issuer, bootstrap).await.unwrap_err();
    assert!(again.contains("403"), "{again}");
    #[cfg(unix)]
    {
        let (status, told) = served.end_by("TERM");
        assert_eq!(status, Some(0));
        assert!(told.contains("identity.enrolment_used"), "{told}");
        assert!(!told.contains(bootstrap.as_str()), "a token in the log");
    }
}

/// T-160: keys are new at each start, and the output says so.
#[tokio::test]
async fn keys_are_new_at_each_start() {
    let folder = Folder::new();
    let (first, second) = (
        Served::start(&folder, &["--agent", AGENT]),
        Served::start(&folder, &["--agent", AGENT]),
    );
    let mut keys = Vec::new();
    for served in [&first, &second] {
        let bundle = get(&served.said("bundle")).await;
        let bundle: serde_json::Value = serde_json::from_slice(&bundle).unwrap();
        keys.push(bundle["keys"][0]["x"].clone());
    }
    assert!(keys[0].is_string());
    assert_ne!(keys[0], keys[1]);
    assert_ne!(first.printed_tokens(), second.printed_tokens());
    assert!(
        first
            .lines
            .iter()
            .any(|line| line.starts_with("Keys are new"))
    );
}

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

/// A file can declare more than options: each agent with its lifetime and its rights.
#[tokio::test]
async fn a_file_declares_agents() {
    let folder = Folder::new();
    folder.write(
        "authority.json",
        format!(
            r#"{{"agents": [{{"id": "{AGENT}", "token_file": "t", "lifetime": 60, "may": {{"{TOOL}": ["tools:call"]}}}},
            {{"id": "{ORIGIN}/idle"}}], "resources": {{"{TOOL}": ["tools:call", "tools:read"]}}}}"#
        ),
    );
    let served = Served::start(&folder, &["--config", "authority.json"]);
    assert_eq!(served.printed_tokens().len(), 1);
    let issuer = served.said("issuer");
    let (key, wit) = enrol(&issuer, &folder.read("t")).await.unwrap();
    for (scope, expected) in [
        ("tools:call", Ok(())),
        ("tools:read", Err("oauth.refused".to_owned())),
    ] {
        assert_eq!(
            token(&issuer, key.clone(), wit.clone(), scope).await,
            expected
        );
    }
    for (text, code) in [
        ("{", "jws.json"),
        (r#"{"agents":[],"agents":[]}"#, "jws.duplicate_member"),
        (r#"{"agent":[]}"#, "cli.config"),
        (r#"{"agents":[{"id":"https://a"}]}"#, "id.scheme"),
        (
            r#"{"agents":[{"id":"spiffe://a/b","lifetime":0}]}"#,
            "authority.lifetime",
        ),
        (
            r#"{"agents":[{"id":"spiffe://a/b"},{"id":"spiffe://a/b"}]}"#,
            "authority.identifier_held",
        ),
        (
            r#"{"agents":[{"id":"spiffe://a/b"},{"id":"spiffe://c/d"}]}"#,
            "authority.enrolment_origin",
        ),
        (
            r#"{"agents":[{"id":"spiffe://a/b","may":{"https://t":["x"]}}]}"#,
            "authority.resources",
        ),
    ] {
        folder.write("bad.json", text);
        let args = "authority serve --listen 127.0.0.1:0 --config bad.json";
        let (status, told) = ended(&folder, args);
        assert_eq!(status, Some(2), "{text}");
        assert!(told.contains(code), "{text}: {told}");
    }
    // The entry that is wrong is named, and no file is made.
    let args = [
        &format!("authority serve --listen 127.0.0.1:0 --agent {AGENT}=new-token"),
        "--resource http://tools.example/mcp",
    ];
    let (status, told) = ended(&folder, &args.join(" "));
    assert_eq!(status, Some(2), "{told}");
    for part in [
        "authority.resources",
        "\"http://tools.example/mcp\"",
        "expected an absolute https URL",
    ] {
        assert!(told.contains(part), "{part:?} in {told}");
    }
    assert!(!folder.path("new-token").exists());
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

const USERS: [&str; 8] = [
    "--trust-domain",
    "example.org",
    "--resource",
    "http://127.0.0.1:8402/mcp call",
    "--dev-user",
    "alice",
    "--client",
    "cli http://127.0.0.1/callback",
];

/// The user of development approves by the page's own form, and is warned about.
#[test]
fn a_dev_user_gives_a_public_client_a_token() {
    let folder = Folder::new();
    let served = Served::start(&folder, &USERS);
    assert_eq!(served.said("user"), "alice (always signed in)");
    let address = served.said("listening");
    let exchange = |head: String, body: &str| {
        use std::io::Write as _;
        let mut stream = TcpStream::connect(&address).unwrap();
        write!(
            stream,
            "{head}host: {address}\r\nconnection: close\r\n\r\n{body}"
        )
        .unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        answer
    };
    let challenge = aims::jose::digest::sha256_base64url(&"v".repeat(43));
    let query = format!(
        "response_type=code&client_id=cli&redirect_uri=http%3A%2F%2F127.0.0.1%3A9%2Fcallback\
         &code_challenge={challenge}&code_challenge_method=S256"
    );
    // What waits for the user's approval.
    assert!(served.said("approvals").ends_with("/approvals"));
    let inbox = exchange("GET /approvals HTTP/1.1\r\n".to_owned(), "");
    assert!(
        inbox.contains("Nothing waits for you") && inbox.contains("alice"),
        "{inbox}"
    );
    let metadata = "GET /.well-known/oauth-authorization-server HTTP/1.1\r\n";
    let metadata = exchange(metadata.to_owned(), "");
    assert!(metadata.contains("backchannel_authentication_endpoint"));
    let page = exchange(format!("GET /authorize?{query} HTTP/1.1\r\n"), "");
    assert!(
        page.contains("alice") && page.contains("frame-ancestors 'none'"),
        "{page}"
    );
    let value = |name: &str| {
        let start = page.split(&format!("name=\"{name}\" value=\"")).nth(1);
        start.unwrap().split('"').next().unwrap().to_owned()
    };
    let cookie = page.split("set-cookie: ").nth(1).unwrap();
    let cookie = cookie.split(';').next().unwrap();
    let post = |path: &str, cookie: &str, form: &str| {
        let length = form.len();
        let head = format!(
            "POST {path} HTTP/1.1\r\ncookie: {cookie}\r\ncontent-length: {length}\r\n\
             content-type: application/x-www-form-urlencoded\r\n"
        );
        exchange(head, form)
    };
    let form = format!(
        "request={}&csrf={}&decision=allow",
        value("request"),
        value("csrf")
    );
    let answer = post("/consent", cookie, &form);
    assert!(answer.starts_with("HTTP/1.1 303"), "{answer}");
    let code = answer.split("/callback?code=").nth(1).unwrap();
    let code = code.split('&').next().unwrap();
    let form = format!(
        "grant_type=authorization_code&client_id=cli&code={code}&code_verifier={}\
         &redirect_uri=http%3A%2F%2F127.0.0.1%3A9%2Fcallback",
        "v".repeat(43)
    );
    let answer = post("/token", "", &form);
    assert!(answer.contains("\"access_token\"") && answer.contains("\"refresh_token\""));
    #[cfg(unix)]
    {
        let (_, told) = served.end_by("TERM");
        assert!(told.contains("--dev-user"), "{told}");
    }
}

/// A user on another machine must not be the user: neither by the network, nor through a proxy.
#[test]
fn a_dev_user_is_on_loopback_alone() {
    let folder = Folder::new();
    let base = "authority serve --trust-domain example.org --dev-user alice";
    for more in [
        "--listen 0.0.0.0:0 --dangerous-reachable-from-network --url http://127.0.0.1:8400",
        "--listen 127.0.0.1:0 --url https://as.example",
        "--listen 127.0.0.1:0 --proxy 127.0.0.1=x-forwarded-for",
    ] {
        let (status, told) = ended(&folder, &format!("{base} {more}"));
        assert_eq!(status, Some(2), "{more}: {told}");
        assert!(told.contains("--dev-user"), "{told}");
    }
}

/// An operator withdraws an agent of a running authority. It stays withdrawn over a restart, until
/// the withdrawal is undone. The file of state is for its owner alone.
#[tokio::test]
async fn an_agent_is_withdrawn_while_it_runs() {
    let folder = Folder::new();
    folder.write("agent.token", "A".repeat(43));
    #[cfg(unix)]
    {
        use std::fs::{Permissions, set_permissions};
        use std::os::unix::fs::PermissionsExt as _;
        set_permissions(folder.path("agent.token"), Permissions::from_mode(0o600)).unwrap();
    }
    let agent = format!("{AGENT}=agent.token");
    let args = [
        "--agent",
        agent.as_str(),
        "--reusable-tokens",
        "--state",
        "state.db",
    ];
    let served = Served::start(&folder, &args);
    let secret = "A".repeat(43);
    assert!(enrol(&served.said("issuer"), &secret).await.is_ok());
    let withdraw = format!("authority withdraw --state state.db {AGENT}");
    let told = folder.ok(&withdraw);
    assert_eq!(told, format!("withdrawn {AGENT}\n"));
    let refused = enrol(&served.said("issuer"), &secret).await.unwrap_err();
    assert!(refused.contains("403"), "{refused}");
    drop(served);
    let served = Served::start(&folder, &args);
    let refused = enrol(&served.said("issuer"), &secret).await.unwrap_err();
    assert!(refused.contains("403"), "{refused}");
    let undo = format!("authority withdraw --undo --state state.db {AGENT}");
    let told = folder.ok(&undo);
    assert_eq!(told, format!("reinstated {AGENT}\n"));
    assert!(enrol(&served.said("issuer"), &secret).await.is_ok());
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt as _;
        let mode = std::fs::metadata(folder.path("state.db")).unwrap();
        assert_eq!(mode.permissions().mode() & 0o777, 0o600);
    }
}

/// An operator revokes a user in the file of state, of which an authority knows the moment.
#[test]
fn a_subject_is_revoked_in_the_file() {
    use aims::jose::digest::sha256_base64url;
    use aims::jose::time::UnixTime;
    use aims_authority::{Kind, SqliteState, State as _};

    let folder = Folder::new();
    let before = UnixTime::now().as_secs();
    let told = folder.ok("authority revoke --state state.db alice");
    assert_eq!(told, "revoked alice\n");
    let state = SqliteState::open(folder.path("state.db")).unwrap();
    let revoked = |subject: &str| {
        let key = sha256_base64url(subject);
        let stored = state.load(Kind::RevokedSubject, &key, UnixTime::now());
        stored
            .unwrap()
            .map(|it| String::from_utf8(it.entry.value).unwrap())
    };
    assert_eq!(revoked("bob"), None);
    let stored: serde_json::Value = serde_json::from_str(&revoked("alice").unwrap()).unwrap();
    let at = stored["at"].as_u64().unwrap();
    assert!((before..=UnixTime::now().as_secs()).contains(&at));
}
