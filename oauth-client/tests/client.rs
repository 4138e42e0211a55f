//! Discovery and the client credentials grant.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::time::Duration;

use aims_jose::secret::SecretText;
use aims_jose::time::UnixTime;
use aims_oauth_client::discovery::{self, Step};
use aims_oauth_client::{ClientCredentials, Error, Sought, Token};
use aims_oauth_wire::client_auth::ClientSecretBasic;
use aims_oauth_wire::metadata::attempt::Attempts;
use aims_oauth_wire::metadata::{ResourceMetadata, ServerMetadata};
use aims_oauth_wire::names::Issuer;
use http::Response;
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

/// RSC-01, RSC-02: the request names the resource, the scope and the client, at the server's own
/// endpoint.
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

/// RFC 6749 §5.1, §5.2: the responses of the server.
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
    for other in ["id-jag", "jwt", "txn_token", "id_token", "refresh_token"] {
        let urn = format!("urn:ietf:params:oauth:token-type:{other}");
        assert_eq!(
            with("issued_token_type", json!(urn)),
            "grant.issued_token_type"
        );
    }
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
        (at(NOW + 300), true)
    );
}

/// T-109: a token with more scopes than requested is refused, unless that is allowed. A token with
/// fewer, or without stated scopes, is accepted.
#[test]
fn wider_scopes_are_not_taken() {
    let tool = || ClientCredentials::new("https://tools.example/mcp".parse().unwrap());
    let asking = |scopes: &str| tool().scopes(scopes.parse().unwrap());
    for (wanted, granted, expected) in [
        (asking("read"), "read", Ok("read")),
        (asking("read"), "read write", Err("grant.scope")),
        (asking("read"), "write", Err("grant.scope")),
        (asking("read write"), "read", Ok("read")),
        (
            asking("read").accept_wider_scopes(),
            "read write",
            Ok("read write"),
        ),
        // No scopes were requested: the server chooses.
        (tool(), "read write", Ok("read write")),
    ] {
        let (_, pending) = wanted.prepare(&client(), &server(), at(NOW)).unwrap();
        let body = json!({"access_token": "t", "token_type": "Bearer", "expires_in": 300, "scope": granted});
        let got = pending.finish(&answer(200, &body), at(NOW));
        let got = got.map(|token| token.scopes().to_string());
        let got = got.as_deref().map_err(Error::code);
        assert_eq!(got, expected, "{granted}");
    }
}

/// The error names the additional scopes, and the rule that accepts them.
#[test]
fn wider_scopes_are_told() {
    let asked = ClientCredentials::new("https://tools.example/mcp".parse().unwrap());
    let asked = asked.scopes("read".parse().unwrap());
    let (_, pending) = asked.prepare(&client(), &server(), at(NOW)).unwrap();
    let body = json!({"access_token": "t", "token_type": "Bearer", "expires_in": 300, "scope": "read write"});
    let told = pending
        .finish(&answer(200, &body), at(NOW))
        .unwrap_err()
        .to_string();
    assert!(told.contains(r#"not asked for: "write"; if"#), "{told}");
    assert!(told.contains("`TokenRules::accept_unrequested_scopes`"));
}

/// The error for a server that does not serve the tool names both.
#[test]
fn what_a_server_serves_is_told() {
    let tool = ResourceMetadata::new("https://tools.example/mcp".parse().unwrap())
        .with_authorization_server(issuer());
    let document = json!({
        "issuer": "https://as.example", "token_endpoint": "https://as.example/token",
        "protected_resources": ["https://a.example"],
    });
    let (_, pending) = discovery::server_for(&tool, &[issuer()]).unwrap();
    let refused = pending.finish(&answer(200, &document)).err().unwrap();
    let told = aims_jose::Chain(&refused).to_string();
    assert!(
        told.contains(
            r#"the resource `https://tools.example/mcp`: it serves "https://a.example";"#
        ),
        "{told}"
    );
}

/// `Debug` of a token shows only its fingerprint.
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

/// META-01: the URLs are asked in order while there is no document; a wrong document ends
/// discovery.
#[test]
fn a_server_is_found_in_turn() {
    let (request, pending) = discovery::server(&issuer()).unwrap();
    assert_eq!(
        request.uri().path(),
        "/.well-known/oauth-authorization-server"
    );
    let nothing = answer(404, &json!({}));
    let Step::Send(request, pending) = pending.finish(&nothing).unwrap() else {
        panic!("there is a second place");
    };
    assert_eq!(request.uri().path(), "/.well-known/openid-configuration");
    let document =
        json!({"issuer": "https://as.example", "token_endpoint": "https://as.example/token"});
    assert!(matches!(
        pending.finish(&answer(200, &document)).unwrap(),
        Step::Done(_)
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
    let Step::Send(_, pending) = first().finish(&nothing).unwrap() else {
        panic!("there is a second place");
    };
    assert_eq!(code(pending.finish(&nothing)), "discovery.not_found");
}

/// PRM-03: the document must name exactly the resource, including a final `/`, and nothing else is
/// asked. A broader resource is accepted only by an explicit setting, and never on another origin.
#[test]
fn a_resource_is_the_one_that_was_asked_for() {
    let challenged = || "https://tools.example/its/metadata".parse().unwrap();
    for (requested, published, exactly, within) in [
        (
            "https://tools.example/mcp",
            "https://tools.example/mcp",
            "ok",
            "ok",
        ),
        (
            "https://tools.example/mcp/",
            "https://tools.example/mcp/",
            "ok",
            "ok",
        ),
        (
            "https://tools.example/mcp",
            "https://tools.example/mcp/",
            "metadata.resource",
            "metadata.resource",
        ),
        (
            "https://tools.example/mcp/",
            "https://tools.example/mcp",
            "metadata.resource",
            "ok",
        ),
        (
            "https://tools.example/mcp",
            "https://tools.example",
            "metadata.resource",
            "ok",
        ),
        (
            "https://tools.example/mcp/call",
            "https://tools.example/mcp",
            "metadata.resource",
            "ok",
        ),
        (
            "https://tools.example/mcp",
            "https://tools.example/mcp/call",
            "metadata.resource",
            "metadata.resource",
        ),
        (
            "https://tools.example/mcp",
            "https://other.example/mcp",
            "metadata.resource",
            "metadata.resource",
        ),
    ] {
        let asked = requested.parse().unwrap();
        let document = answer(200, &json!({"resource": published}));
        for place in [None, Some(challenged())] {
            let (_, pending) = discovery::resource(&asked, place.clone()).unwrap();
            assert_eq!(
                code(pending.finish(&document)),
                exactly,
                "{requested} {published}"
            );
            let (_, pending) = discovery::resource_within(&asked, place).unwrap();
            assert_eq!(
                code(pending.finish(&document)),
                within,
                "{requested} {published}"
            );
        }
    }
    let tool = "https://tools.example/mcp".parse().unwrap();
    let nothing = answer(404, &json!({}));
    let (request, pending) = discovery::resource(&tool, None).unwrap();
    assert_eq!(
        request.uri().path(),
        "/.well-known/oauth-protected-resource/mcp"
    );
    assert_eq!(code(pending.finish(&nothing)), "discovery.not_found");
    let (_, pending) = discovery::resource_within(&tool, None).unwrap();
    let Step::Send(request, pending) = pending.finish(&nothing).unwrap() else {
        panic!("there is a second place");
    };
    assert_eq!(
        request.uri().path(),
        "/.well-known/oauth-protected-resource"
    );
    assert_eq!(code(pending.finish(&nothing)), "discovery.not_found");
}

/// PRM-06: a resource does not choose which servers the agent trusts.
#[test]
fn a_resource_names_servers_and_the_agent_chooses() {
    let tool = "https://tools.example/mcp".parse().unwrap();
    let (_, pending) = discovery::resource(&tool, None).unwrap();
    let document = json!({"resource": "https://tools.example/mcp", "authorization_servers": ["https://evil.example", "https://as.example"]});
    let Step::Done(metadata) = pending.finish(&answer(200, &document)).unwrap() else {
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
    assert_eq!(
        code(discovery::server_for(&metadata, &[])),
        "discovery.no_server"
    );
}

/// PRM-06: a server that lists its resources is used for no other; a server that only the caller
/// names is used for any.
#[test]
fn a_server_serves_what_it_says() {
    let tool = ResourceMetadata::new("https://tools.example/mcp".parse().unwrap())
        .with_authorization_server(issuer());
    let told = |served: &[&str]| {
        let document = json!({
            "issuer": "https://as.example", "token_endpoint": "https://as.example/token", "protected_resources": served,
        });
        let answer = answer(200, &document);
        let (request, pending) = discovery::server_for(&tool, &[issuer()]).unwrap();
        assert_eq!(request.uri().host(), Some("as.example"));
        let (_, alone) = discovery::server(&issuer()).unwrap();
        (code(pending.finish(&answer)), code(alone.finish(&answer)))
    };
    assert_eq!(
        told(&["https://a.example", "https://tools.example/mcp"]),
        ("ok", "ok")
    );
    assert_eq!(
        told(&["https://tools.example/mcp/"]),
        ("discovery.not_served", "ok")
    );
    assert_eq!(told(&[]), ("discovery.not_served", "ok"));
}

/// RFC 8414 §2: a grant type is requested if the server lists it, or has no list.
#[test]
fn a_grant_that_the_server_does_not_take_is_not_asked_for() {
    let prepared = |member: &str, listed: Value| {
        let mut document =
            json!({"issuer": "https://as.example", "token_endpoint": "https://as.example/token"});
        document[member] = listed;
        let server = ServerMetadata::parse(document.to_string().as_bytes(), &issuer()).unwrap();
        code(wanted().prepare(&client(), &server, at(NOW)))
    };
    let grants = "grant_types_supported";
    assert_eq!(prepared(grants, Value::Null), "ok");
    assert_eq!(prepared(grants, json!(["client_credentials"])), "ok");
    for other in [
        json!([]),
        json!(["authorization_code"]),
        json!(["CLIENT_CREDENTIALS"]),
    ] {
        assert_eq!(prepared(grants, other), "grant.unsupported");
    }
    let methods = "token_endpoint_auth_methods_supported";
    assert_eq!(prepared(methods, json!(["client_secret_basic"])), "ok");
    assert_eq!(
        prepared(methods, json!(["private_key_jwt"])),
        "oauth.authenticate"
    );
}

fn refused() -> Box<aims_oauth_wire::token::TokenError> {
    Box::new(aims_oauth_wire::token::TokenError::new("access_denied").unwrap())
}

#[test]
fn codes_are_unique_and_complete() {
    use std::collections::BTreeSet;
    use std::sync::Arc;
    let all = [
        Error::GrantType,
        Error::TokenType,
        Error::Scope {
            wider: "none".into(),
        },
        Error::Expired,
        Error::Transport(aims_fetch::Error::Timeout),
        Error::BackingOff {
            last: Arc::new(Error::Expired),
        },
        Error::Interrupted,
        Error::Busy,
        Error::AssertionUsed(Box::new(
            aims_oauth_wire::token::TokenError::new("invalid_grant").unwrap(),
        )),
        Error::NoServer {
            tool: "https://tools.example/mcp".parse().unwrap(),
            accepted: Arc::new([]),
            named: Arc::new([]),
        },
        Error::NotServed {
            resource: "https://tools.example/mcp".parse().unwrap(),
            served: "none".into(),
        },
        Error::NotFound {
            sought: Sought::Server("https://as.example".parse().unwrap()),
            asked: Attempts::new(),
        },
        Error::DpopRequired { by: "", reason: "" },
        Error::GrantedDetails { reason: "".into() },
        Error::Unbound,
        Error::CertificateUnsupported,
        Error::CertificateUnbound,
        Error::CertificateDiffers,
        Error::NeedsProof,
        Error::DpopAlgorithm { found: "ES256" },
        Error::Sign(aims_jose::Error::Random),
        Error::IssuedTokenType {
            expected: "x",
            found: "none".into(),
        },
        Error::Actor,
        Error::Lifetime { found: 2, limit: 1 },
        Error::Incomparable,
        Error::Assertion { reason: "" },
        Error::NeedsUser { last: None },
        Error::Details,
        Error::Approval { reason: "" },
        Error::Redirect,
        Error::UnsupportedServer { reason: "" },
        Error::Callback { reason: "" },
        Error::State,
        Error::AnswerIssuer {
            expected: "https://as.example".parse().unwrap(),
            found: "none".into(),
        },
        Error::AuthorizationRefused(refused()),
        Error::IdToken { reason: "" },
        Error::Listen(Arc::new(std::io::Error::other("x"))),
        Error::Browser(Arc::new(std::io::Error::other("x"))),
        Error::LoginTimeout,
        Error::Cancelled,
        Error::NoWay {
            issuer: "https://as.example".parse().unwrap(),
            closed: "".into(),
        },
        Error::ScopeNotAllowed { wider: "".into() },
        Error::NoIdentity {
            issuer: "https://as.example".parse().unwrap(),
        },
        Error::DocumentUrl,
        Error::ClientMetadata { reason: "" },
        Error::RegistrationGone,
        Error::RegistrationRefused(refused()),
        Error::Registration { reason: "" },
        Error::Transaction { reason: "" },
        Error::Store(Arc::new(std::io::Error::other("x"))),
        Error::StoreContent,
        Error::StoreFull,
        Error::StorePermissions {
            path: "x".into(),
            mode: 0o644,
            is_own: true,
        },
    ];
    let given: BTreeSet<_> = all.iter().map(Error::code).collect();
    let listed: BTreeSet<_> = Error::CODES.iter().copied().collect();
    assert_eq!((given, Error::CODES.len()), (listed.clone(), listed.len()));
    let last = Arc::new(Error::Expired);
    assert_eq!(
        aims_jose::Chain(&Error::BackingOff { last }).to_string(),
        "it failed shortly before: the server gave a token that has expired"
    );
}
