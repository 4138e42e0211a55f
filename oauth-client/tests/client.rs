//! Discovery and the client credentials grant.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::time::Duration;

use http::Response;
use jose::secret::SecretText;
use jose::time::UnixTime;
use oauth_client::discovery::{self, Step};
use oauth_client::{ClientCredentials, Error, Token};
use oauth_wire::client_auth::ClientSecretBasic;
use oauth_wire::metadata::{ResourceMetadata, ServerMetadata};
use oauth_wire::names::Issuer;
use serde_json::{Value, json};

const NOW: u64 = 1_800_000_000;

fn at(seconds: u64) -> UnixTime {
    UnixTime::since_unix_epoch(Duration::from_secs(seconds))
}

fn issuer() -> Issuer {
    "https://as.example".parse().unwrap()
}

fn server() -> ServerMetadata {
    let document =
        json!({"issuer": "https://as.example", "token_endpoint": "https://as.example/token"});
    ServerMetadata::parse(document.to_string().as_bytes(), &issuer()).unwrap()
}

fn client() -> ClientSecretBasic {
    ClientSecretBasic::new("agent".parse().unwrap(), SecretText::new("secret"))
}

fn answer(status: u16, body: &Value) -> Response<Vec<u8>> {
    Response::builder()
        .status(status)
        .header("content-type", "application/json")
        .header("cache-control", "no-store")
        .body(body.to_string().into_bytes())
        .unwrap()
}

fn wanted() -> ClientCredentials {
    let wanted = ClientCredentials::new("https://tools.example/mcp".parse().unwrap());
    wanted.scopes("read".parse().unwrap())
}

fn finish(answer: &Response<Vec<u8>>, now: u64) -> Result<Token, Error> {
    let (_, pending) = wanted().prepare(&client(), &server(), at(NOW)).unwrap();
    pending.finish(answer, at(now))
}

fn code<T>(result: Result<T, Error>) -> &'static str {
    result.map_or_else(|error| error.code(), |_| "ok")
}

/// RSC-01, RSC-02: the request names the resource, the scope and the client, at the server's own endpoint.
#[test]
fn the_request_is_for_one_resource() {
    let (request, _pending) = wanted().prepare(&client(), &server(), at(NOW)).unwrap();
    assert_eq!(request.uri(), "https://as.example/token");
    let body = String::from_utf8(request.into_body()).unwrap();
    assert_eq!(
        body,
        "grant_type=client_credentials&resource=https%3A%2F%2Ftools.example%2Fmcp&scope=read"
    );
}

/// RFC 6749 §5.1, §5.2: what the server answers.
#[test]
fn the_answer_is_judged() {
    let good =
        json!({"access_token": "t", "token_type": "bearer", "expires_in": 300, "scope": "read"});
    let token = finish(&answer(200, &good), NOW).unwrap();
    assert_eq!(
        (token.expires(), token.resource().as_str()),
        (at(NOW + 300), "https://tools.example/mcp")
    );
    let mut headers = http::HeaderMap::new();
    token.apply(&mut headers).unwrap();
    assert_eq!(headers["authorization"], "Bearer t");
    assert!(headers["authorization"].is_sensitive());
    let with = |member: &str, value: Value| {
        let mut body = good.clone();
        body.as_object_mut()
            .unwrap()
            .insert(member.to_owned(), value);
        code(finish(&answer(200, &body), NOW))
    };
    assert_eq!(with("token_type", json!("DPoP")), "grant.token_type");
    assert_eq!(with("expires_in", json!(0)), "grant.expired");
    assert_eq!(
        code(finish(&answer(200, &good), NOW + 300)),
        "grant.expired"
    );
    let refused = finish(&answer(400, &json!({"error": "invalid_scope"})), NOW);
    assert_eq!(code(refused), "oauth.refused");
    let eternal = json!({"access_token": "t", "token_type": "Bearer"});
    let token = finish(&answer(200, &eternal), NOW).unwrap();
    assert_eq!(
        (token.expires(), token.scopes().contains("read")),
        (at(NOW + 60), true)
    );
}

/// A token is shown by its fingerprint alone.
#[test]
fn a_token_is_not_printed() {
    let body =
        json!({"access_token": "very-secret-token", "token_type": "Bearer", "expires_in": 300});
    let token = finish(&answer(200, &body), NOW).unwrap();
    let shown = format!("{token:?}");
    assert!(
        !shown.contains("very-secret") && shown.contains(&token.fingerprint().to_string()),
        "{shown}"
    );
}

/// META-01: the places are asked in turn while there is nothing; a document that is wrong ends it.
#[test]
fn a_server_is_found_in_turn() {
    let (request, pending) = discovery::server(&issuer()).unwrap();
    assert_eq!(
        request.uri().path(),
        "/.well-known/oauth-authorization-server"
    );
    let nothing = answer(404, &json!({}));
    let Step::Next(request, pending) = pending.finish(&nothing).unwrap() else {
        panic!("there is a second place");
    };
    assert_eq!(request.uri().path(), "/.well-known/openid-configuration");
    let document =
        json!({"issuer": "https://as.example", "token_endpoint": "https://as.example/token"});
    assert!(matches!(
        pending.finish(&answer(200, &document)).unwrap(),
        Step::Found(_)
    ));
    let first = || discovery::server(&issuer()).unwrap().1;
    let other =
        json!({"issuer": "https://evil.example", "token_endpoint": "https://as.example/token"});
    assert_eq!(
        code(first().finish(&answer(200, &other))),
        "metadata.issuer"
    );
    assert_eq!(
        code(first().finish(&answer(500, &document))),
        "metadata.response"
    );
    let Step::Next(_, pending) = first().finish(&nothing).unwrap() else {
        panic!("there is a second place");
    };
    assert_eq!(code(pending.finish(&nothing)), "discovery.not_found");
}

/// PRM-03, PRM-06: a resource speaks for itself, and does not choose whom the agent trusts.
#[test]
fn a_resource_names_servers_and_the_agent_chooses() {
    let requested = "https://tools.example/mcp/call".parse().unwrap();
    let find = |resource: &str| {
        let (_, pending) = discovery::resource(&requested, None).unwrap();
        let document = json!({"resource": resource, "authorization_servers": ["https://evil.example", "https://as.example"]});
        pending.finish(&answer(200, &document))
    };
    assert_eq!(code(find("https://other.example/mcp")), "metadata.resource");
    let Step::Found(metadata) = find("https://tools.example/mcp").unwrap() else {
        panic!("it was there");
    };
    assert_eq!(discovery::choose(&metadata, &[issuer()]).unwrap(), issuer());
    let none = ResourceMetadata::new("https://tools.example/mcp".parse().unwrap());
    assert_eq!(
        code(discovery::choose(&none, &[issuer()])),
        "discovery.no_server"
    );
    assert_eq!(
        code(discovery::choose(&metadata, &[])),
        "discovery.no_server"
    );
}

#[test]
fn codes_are_unique_and_complete() {
    use std::collections::BTreeSet;
    use std::sync::Arc;
    let all = [
        Error::TokenType,
        Error::Expired,
        Error::Transport(Arc::new(std::io::Error::other("x"))),
        Error::BackingOff {
            last: Arc::new(Error::Expired),
        },
        Error::Interrupted,
        Error::Busy,
        Error::NoServer,
        Error::NotFound,
    ];
    let given: BTreeSet<_> = all.iter().map(Error::code).collect();
    let listed: BTreeSet<_> = Error::CODES.iter().copied().collect();
    assert_eq!((given, Error::CODES.len()), (listed.clone(), listed.len()));
    let last = Arc::new(Error::Expired);
    assert_eq!(
        jose::Chain(&Error::BackingOff { last }).to_string(),
        "it failed shortly before: the server gave a token that has expired"
    );
}
