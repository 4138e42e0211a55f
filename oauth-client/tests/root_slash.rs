//! The `/` of an empty path: only discovery treats both spellings as one server or tool (RFC 3986
//! §6.2.3).

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use aims_oauth_client::discovery::{self, Step};
use aims_oauth_wire::metadata::ResourceMetadata;
use aims_oauth_wire::names::Issuer;
use http::Response;
use serde_json::{Value, json};

fn answer(body: &Value) -> Response<Vec<u8>> {
    let answer = Response::builder().header("content-type", "application/json");
    answer.body(body.to_string().into_bytes()).unwrap()
}

fn tool(server: &str) -> ResourceMetadata {
    ResourceMetadata::new("https://tools.example/mcp".parse().unwrap())
        .with_authorization_server(server.parse().unwrap())
}

fn issuers(all: &[&str]) -> Vec<Issuer> {
    all.iter().map(|it| it.parse().unwrap()).collect()
}

fn chosen(server: &str, accepted: &[&str]) -> Result<String, &'static str> {
    let chosen = discovery::choose(&tool(server), &issuers(accepted));
    chosen.map(|it| it.to_string()).map_err(|it| it.code())
}

const BARE: &str = "https://as.example";
const SLASH: &str = "https://as.example/";

/// The tool's entry and the client's list may differ in the slash; a list with both spellings
/// counts as one issuer.
#[test]
fn an_accepted_server_is_found_in_either_spelling() {
    for named in [BARE, SLASH] {
        for accepted in [&[BARE][..], &[SLASH], &[BARE, SLASH], &[SLASH, BARE]] {
            let chosen = chosen(named, accepted).unwrap();
            assert!(accepted.contains(&&*chosen), "{named} {accepted:?}");
        }
    }
}

/// No other spelling is treated as equal.
#[test]
fn other_servers_stay_others() {
    for (named, accepted) in [
        ("https://as.example/a", "https://as.example/a/"),
        ("https://as.example", "https://as.example:8443/"),
        ("https://as.example/", "https://as.example.evil.example"),
        ("https://as.example/a", "https://as.example/"),
    ] {
        assert_eq!(
            chosen(named, &[accepted]),
            Err("discovery.no_server"),
            "{named}"
        );
        assert_eq!(
            chosen(accepted, &[named]),
            Err("discovery.no_server"),
            "{accepted}"
        );
    }
}

/// After the document, the server's own spelling is the issuer.
#[test]
fn the_server_spells_itself() {
    for (named, accepted, own) in [
        (SLASH, &[BARE][..], BARE),
        (SLASH, &[SLASH, BARE], BARE),
        (BARE, &[BARE], SLASH),
        (SLASH, &[SLASH], BARE),
    ] {
        let (request, pending) = discovery::server_for(&tool(named), &issuers(accepted)).unwrap();
        assert_eq!(
            request.uri(),
            "https://as.example/.well-known/oauth-authorization-server"
        );
        let document = json!({"issuer": own, "token_endpoint": "https://as.example/token"});
        let Step::Done(found) = pending.finish(&answer(&document)).unwrap() else {
            panic!("it was there");
        };
        assert_eq!(found.issuer().as_str(), own);
    }
}

/// A document of another issuer, or of a path of this one, gains nothing by a slash.
#[test]
fn no_other_issuer_comes_in_by_a_slash() {
    for own in [
        "https://evil.example/",
        "https://as.example//",
        "https://as.example/a",
        "https://as.example?/",
        "http://as.example/",
        "https://AS.example/",
    ] {
        let (_, pending) = discovery::server(&BARE.parse().unwrap()).unwrap();
        let document = json!({"issuer": own, "token_endpoint": "https://as.example/token"});
        let error = pending.finish(&answer(&document)).unwrap_err();
        assert_eq!(error.code(), "metadata.issuer", "{own}");
    }
}

/// A tool without a path, in either spelling; a path keeps its slash.
#[test]
fn a_tool_without_path_is_found_in_either_spelling() {
    for (asked, own, expected) in [
        ("https://tools.example", "https://tools.example/", "ok"),
        ("https://tools.example/", "https://tools.example", "ok"),
        (
            "https://tools.example/mcp",
            "https://tools.example/mcp/",
            "metadata.resource",
        ),
        (
            "https://tools.example",
            "https://tools.example/mcp",
            "metadata.resource",
        ),
    ] {
        let (_, pending) = discovery::resource(&asked.parse().unwrap(), None).unwrap();
        let found = pending.finish(&answer(&json!({"resource": own})));
        let told = match found {
            Ok(Step::Done(found)) => {
                assert_eq!(found.resource().as_str(), own);
                "ok"
            }
            Ok(_) => "another place",
            Err(error) => error.code(),
        };
        assert_eq!(told, expected, "{asked} {own}");
    }
}
