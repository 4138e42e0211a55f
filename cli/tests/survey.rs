//! `aims resource check` and `aims discover`, against tools and servers of this machine.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod common;

use std::io::{BufRead as _, BufReader, Write as _};
use std::net::{TcpListener, TcpStream};
use std::sync::Arc;

use common::{Folder, Ran};
use serde_json::{Value, json};

/// Answers one path: the status, a header field, and the body.
type Route = fn(&str, &str) -> Option<(u16, String, String)>;

/// A tool with its authorization server, by plain HTTP. It ends with the test program.
fn serve(route: Route) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let base: Arc<str> = format!("http://{}", listener.local_addr().unwrap()).into();
    let own = Arc::clone(&base);
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let base = Arc::clone(&own);
            std::thread::spawn(move || answer(&stream.unwrap(), &base, route));
        }
    });
    base.to_string()
}

fn answer(stream: &TcpStream, base: &str, route: Route) {
    let mut lines = BufReader::new(stream).lines().map_while(Result::ok);
    let first = lines.next().unwrap_or_default();
    let _head = lines.take_while(|line| !line.is_empty()).count();
    let path = first.split(' ').nth(1).unwrap_or_default();
    let (status, field, body) = route(base, path).unwrap_or((404, String::new(), String::new()));
    let mut stream = stream;
    let _sent = write!(
        stream,
        "HTTP/1.1 {status} x\r\n{field}content-type: application/json\r\ncontent-length: {}\r\nconnection: close\r\n\r\n{body}",
        body.len()
    );
}

fn challenge(base: &str) -> (u16, String, String) {
    let place = format!("{base}/.well-known/oauth-protected-resource/mcp");
    let field =
        format!("www-authenticate: Bearer scope=\"tools:call\", resource_metadata=\"{place}\"\r\n");
    (401, field, String::new())
}

fn invalid_request(base: &str, error: &str) -> (u16, String, String) {
    let (_, field, body) = challenge(base);
    let field = field.replace("Bearer", &format!("Bearer error=\"{error}\","));
    (400, field, body)
}

fn document(base: &str, resource: &str) -> (u16, String, String) {
    let body = json!({"resource": format!("{base}{resource}"), "authorization_servers": [base]});
    (200, String::new(), body.to_string())
}

fn server(base: &str) -> Value {
    json!({
        "issuer": base, "token_endpoint": format!("{base}/token"),
        "authorization_endpoint": format!("{base}/authorize"),
        "grant_types_supported": ["authorization_code", "client_credentials"],
        "code_challenge_methods_supported": ["S256"],
        "token_endpoint_auth_methods_supported": ["private_key_jwt"],
    })
}

fn metadata(base: &str) -> (u16, String, String) {
    (200, String::new(), server(base).to_string())
}

const DOCUMENT: &str = "/.well-known/oauth-protected-resource/mcp";
const SERVER: &str = "/.well-known/oauth-authorization-server";

fn good(base: &str, path: &str) -> Option<(u16, String, String)> {
    match path {
        "/mcp" => Some(challenge(base)),
        DOCUMENT => Some(document(base, "/mcp")),
        SERVER => Some(metadata(base)),
        _ => None,
    }
}

fn check(route: Route) -> (Ran, Value) {
    let url = format!("{}/mcp", serve(route));
    let ran = Folder::new().run(&format!("resource check --json {url}"));
    let report = serde_json::from_str(&ran.out).unwrap();
    (ran, report)
}

fn codes(report: &Value) -> Vec<String> {
    let all = report.get("mistakes").and_then(Value::as_array).unwrap();
    let code = |it: &Value| it.get("code").and_then(Value::as_str).unwrap().to_owned();
    all.iter().map(code).collect()
}

#[test]
fn a_good_tool_is_found() {
    let base = serve(good);
    for command in ["resource check", "discover"] {
        let ran = Folder::new().run(&format!("{command} {base}/mcp"));
        assert_eq!((ran.status, &*ran.err), (0, ""), "{}", ran.out);
        for line in [
            format!("asked      {base}/mcp 401"),
            format!("asked      {base}{DOCUMENT} 200"),
            format!("asked      {base}{SERVER} 200"),
            "challenge  401 Bearer, scope tools:call".to_owned(),
            format!("server     {base}"),
            "grants     authorization_code, client_credentials".to_owned(),
            format!(
                "good       a client asks {base} for a token for {base}/mcp, with the scope tools:call"
            ),
        ] {
            assert!(ran.out.lines().any(|it| it == line), "{line}\n{}", ran.out);
        }
    }
    let (ran, report) = check(good);
    assert_eq!(ran.status, 0);
    assert_eq!(codes(&report), [""; 0]);
}

/// The client's view says what a login would use, and why not another way.
#[test]
fn what_a_login_would_use() {
    let register = |base: &str, path: &str| match path {
        SERVER => {
            let mut document = server(base);
            let members = document.as_object_mut().unwrap();
            members.insert(
                "registration_endpoint".into(),
                format!("{base}/register").into(),
            );
            members.insert("scopes_supported".into(), json!(["offline_access"]));
            Some((200, String::new(), document.to_string()))
        }
        path => good(base, path),
    };
    let cases: [(Route, &str); 2] = [
        (
            good,
            "none: the client is unknown there, and cannot register",
        ),
        (register, "a new registration"),
    ];
    for (route, identity) in cases {
        let base = serve(route);
        let ran = Folder::new().run(&format!("discover {base}/mcp"));
        for line in [
            format!("login      resource  {base}/mcp"),
            format!("login      server    {base}"),
            format!("login      document  {base}{SERVER}"),
            format!("login      identity  {identity}"),
            "login      grant     authorization code, by a user in a browser".to_owned(),
            "login        not     client credentials: it is not configured".to_owned(),
            "login      token     bearer".to_owned(),
        ] {
            assert!(ran.out.lines().any(|it| it == line), "{line}\n{}", ran.out);
        }
        let is_listed = identity.starts_with("a new");
        let scopes = if is_listed {
            "offline_access tools:call"
        } else {
            "tools:call"
        };
        assert!(
            ran.out.contains(&format!("scopes    {scopes}\n")),
            "{}",
            ran.out
        );
        let ran = Folder::new().run(&format!("discover --json {base}/mcp"));
        let report: Value = serde_json::from_str(&ran.out).unwrap();
        let login = report.get("login").and_then(Value::as_str).unwrap();
        assert!(login.contains(identity), "{login}");
        let ran = Folder::new().run(&format!("resource check {base}/mcp"));
        assert!(!ran.out.contains("identity"), "{}", ran.out);
    }
}

/// Each tool differs from the good one in one answer.
#[test]
fn each_mistake_is_named() {
    // T-29: the example of RFC 9728 §5.1 demands a token by 400. Other answers of 400 do not.
    let (ran, report) = check(|base, path| match path {
        "/mcp" => Some(invalid_request(base, "invalid_request")),
        path => good(base, path),
    });
    assert_eq!((ran.status, codes(&report)), (0, Vec::new()));
    let (_, report) = check(|base, path| match path {
        "/mcp" => Some(invalid_request(base, "invalid_token")),
        path => good(base, path),
    });
    assert_eq!(codes(&report), ["resource.no_challenge"]);
    let (_, report) = check(|base, path| match path {
        "/mcp" => Some((
            400,
            "www-authenticate: Bearer error=\"invalid_request\"\r\n".to_owned(),
            String::new(),
        )),
        path => good(base, path),
    });
    assert_eq!(codes(&report), ["resource.no_challenge"]);

    let (ran, report) = check(|base, path| match path {
        "/mcp" => Some((200, String::new(), String::new())),
        path => good(base, path),
    });
    assert_eq!(
        (ran.status, codes(&report)),
        (0, vec!["resource.no_challenge".to_owned()])
    );

    let (ran, report) = check(|base, path| match path {
        "/mcp" => Some((
            401,
            "www-authenticate: Bearer\r\n".to_owned(),
            String::new(),
        )),
        path => good(base, path),
    });
    assert_eq!(
        (ran.status, codes(&report)),
        (0, vec!["resource.no_metadata_url".to_owned()])
    );

    // A client's other places for the document are asked as well, and then where a nested router
    // has it.
    let (ran, report) = check(|base, path| match path {
        "/mcp" => Some((
            401,
            "www-authenticate: Bearer\r\n".to_owned(),
            String::new(),
        )),
        DOCUMENT => None,
        "/mcp/.well-known/oauth-protected-resource" => Some(document(base, "/mcp")),
        path => good(base, path),
    });
    let expected = [
        "resource.no_metadata_url",
        "discovery.not_found",
        "resource.nested",
    ];
    assert_eq!(
        (ran.status, codes(&report)),
        (1, expected.map(String::from).to_vec())
    );

    let (ran, report) = check(|base, path| match path {
        DOCUMENT => Some(document(base, "/mcp/")),
        path => good(base, path),
    });
    assert_eq!(ran.status, 1);
    assert_eq!(codes(&report), ["metadata.resource"]);

    let (ran, report) = check(|base, path| match path {
        DOCUMENT => Some(document(base, "")),
        path => good(base, path),
    });
    assert_eq!(
        (ran.status, codes(&report)),
        (0, vec!["resource.other_resource".to_owned()])
    );

    let (ran, report) = check(|base, path| match path {
        DOCUMENT => Some((
            200,
            String::new(),
            json!({"resource": format!("{base}/mcp")}).to_string(),
        )),
        path => good(base, path),
    });
    assert_eq!(
        (ran.status, codes(&report)),
        (1, vec!["resource.no_servers".to_owned()])
    );

    let (ran, report) = check(|base, path| match path {
        SERVER => {
            let mut metadata = server(base);
            *metadata.get_mut("issuer").unwrap() = json!("https://other.example");
            Some((200, String::new(), metadata.to_string()))
        }
        path => good(base, path),
    });
    assert_eq!(
        (ran.status, codes(&report)),
        (1, vec!["metadata.issuer".to_owned()])
    );

    let (ran, report) = check(|base, path| match path {
        SERVER => {
            let mut metadata = server(base);
            *metadata
                .get_mut("code_challenge_methods_supported")
                .unwrap() = json!(["plain"]);
            Some((200, String::new(), metadata.to_string()))
        }
        path => good(base, path),
    });
    assert_eq!(
        (ran.status, codes(&report)),
        (0, vec!["resource.no_pkce".to_owned()])
    );

    let (ran, report) = check(|base, path| match path {
        SERVER => {
            let mut metadata = server(base);
            let served = json!([format!("{base}/other")]);
            metadata
                .as_object_mut()
                .unwrap()
                .insert("protected_resources".to_owned(), served);
            Some((200, String::new(), metadata.to_string()))
        }
        path => good(base, path),
    });
    assert_eq!(
        (ran.status, codes(&report)),
        (1, vec!["resource.not_served".to_owned()])
    );
}

/// One good server of two is enough; the report says what is wrong with the other.
#[test]
fn a_client_can_use_another_server() {
    let (ran, report) = check(|base, path| match path {
        DOCUMENT => {
            let servers = [format!("{base}/away"), base.to_owned()];
            let body = json!({"resource": format!("{base}/mcp"), "authorization_servers": servers});
            Some((200, String::new(), body.to_string()))
        }
        path => good(base, path),
    });
    assert_eq!(
        (ran.status, codes(&report)),
        (0, vec!["discovery.not_found".to_owned()])
    );
}

/// A tool that cannot be reached is a refusal; what is no URL of a tool is a usage error.
#[test]
fn a_wrong_url_is_told_apart_from_a_tool_that_is_away() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let away = listener.local_addr().unwrap();
    drop(listener);
    let ran = Folder::new().run(&format!("discover http://{away}/mcp"));
    assert_eq!(ran.status, 1);
    assert!(
        ran.out.contains("bad        no server was found"),
        "{}",
        ran.out
    );
    for url in [
        "tools.example",
        "http://tools.example/mcp",
        "https://a.example/#x",
    ] {
        assert_eq!(
            Folder::new().run(&format!("discover {url}")).status,
            2,
            "{url}"
        );
    }
    // Private addresses are an opt-in.
    let ran = Folder::new().run("discover https://10.0.0.1/mcp");
    assert_eq!(ran.status, 1);
    assert!(ran.out.contains("--allow-private-networks"), "{}", ran.out);
}

/// The tool's own text cannot write further lines into the report, nor control a terminal.
#[test]
fn text_of_the_tool_is_escaped() {
    let base = serve(|base, path| match path {
        DOCUMENT => {
            let servers = [
                base,
                "https://as.example/\u{1b}[31m\ngood       all is well",
            ];
            let body = json!({"resource": format!("{base}/mcp"), "authorization_servers": servers});
            Some((200, String::new(), body.to_string()))
        }
        path => good(base, path),
    });
    let ran = Folder::new().run(&format!("discover {base}/mcp"));
    assert!(!ran.out.contains('\u{1b}'), "{}", ran.out);
    assert!(!ran.out.lines().any(|it| it == "good       all is well"));
}
