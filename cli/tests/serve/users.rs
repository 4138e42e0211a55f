//! The development user, and subjects that are revoked.

use std::io::Read as _;
use std::net::TcpStream;

use super::served::{Served, ended};
use crate::common::Folder;

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
