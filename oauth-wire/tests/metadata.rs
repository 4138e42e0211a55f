//! Metadata: their URLs, and their owners.

use aims_oauth_wire::Error;
use aims_oauth_wire::metadata::{
    EndpointKind, MAX_METADATA, ResourceMetadata, ServerMetadata, document, well_known,
};
use aims_oauth_wire::names::{Issuer, Resource};
use http::header::CONTENT_TYPE;
use http::{HeaderValue, Response, StatusCode};
use serde_json::{Value, json};

const GOOD: &str = r#"{"issuer":"https://as.example","token_endpoint":"https://as.example/token"}"#;

fn server(json: &str) -> Result<ServerMetadata, Error> {
    let issuer = "https://as.example".parse()?;
    ServerMetadata::parse(json.as_bytes(), &issuer)
}

fn code<T>(read: Result<T, Error>) -> &'static str {
    read.err().map_or("ok", |error| error.code())
}

/// Returns GOOD with one member set.
fn with(member: &str, value: Value) -> String {
    let mut json: Value = serde_json::from_str(GOOD).unwrap_or_default();
    if let Some(members) = json.as_object_mut() {
        members.insert(member.to_owned(), value);
    }
    json.to_string()
}

/// META-01, PRM-01: identifiers have the URLs of the specifications.
#[test]
fn well_known_vectors() {
    let file = include_str!("../../testdata/oauth/wellknown.json");
    let file: Value = serde_json::from_str(file).unwrap();
    let text = |of: &Value, name: &str| of.get(name).and_then(Value::as_str).map(str::to_owned);
    let order = |of: &Value| -> Option<Vec<String>> {
        serde_json::from_value(of.get("mcp_order")?.clone()).ok()
    };
    let mut compared = 0;
    for vector in file.get("as_metadata").and_then(Value::as_array).unwrap() {
        let issuer: Issuer = text(vector, "issuer").unwrap().parse().unwrap();
        let derived = [
            ("rfc8414", well_known::server(&issuer)),
            ("oidc_insert", well_known::openid_inserted(&issuer)),
            ("oidc_append", well_known::openid_appended(&issuer)),
        ];
        for (name, url) in derived {
            if let Some(expected) = text(vector, name) {
                assert_eq!(url.unwrap().as_str(), expected);
                compared += 1;
            }
        }
        if let Some(expected) = order(vector) {
            let all = well_known::server_candidates(&issuer).unwrap();
            assert!(all.iter().map(|it| it.as_str()).eq(&expected), "{all:?}");
            compared += 1;
        }
    }
    for vector in file.get("prm").and_then(Value::as_array).unwrap() {
        let name = text(vector, "resource").or_else(|| text(vector, "mcp_endpoint"));
        let resource: Resource = name.unwrap().parse().unwrap();
        if let Some(expected) = text(vector, "url") {
            assert_eq!(well_known::resource(&resource).unwrap().as_str(), expected);
            compared += 1;
        }
        if let Some(expected) = order(vector) {
            let all = well_known::resource_candidates(&resource).unwrap();
            assert!(all.iter().map(|it| it.as_str()).eq(&expected), "{all:?}");
            compared += 1;
        }
    }
    assert_eq!(compared, 12);
}

/// PRM-01: a slash that is the whole path is removed, one at the end of a path stays.
#[test]
fn slashes_of_resources() {
    for (resource, expected) in [
        (
            "https://a.example/",
            "https://a.example/.well-known/oauth-protected-resource",
        ),
        (
            "https://a.example?b=/c",
            "https://a.example/.well-known/oauth-protected-resource?b=/c",
        ),
        (
            "https://a.example/?b",
            "https://a.example/.well-known/oauth-protected-resource?b",
        ),
        (
            "https://a.example:8443/c/",
            "https://a.example:8443/.well-known/oauth-protected-resource/c/",
        ),
    ] {
        let url = well_known::resource(&resource.parse().unwrap()).unwrap();
        assert_eq!(url.as_str(), expected);
    }
    let urn = "urn:example:tool".parse().unwrap();
    assert_eq!(code(well_known::resource(&urn)), "oauth.resource");
    let long: Resource = format!("https://a.example/{}", "b".repeat(2020))
        .parse()
        .unwrap();
    assert_eq!(code(well_known::resource(&long)), "oauth.endpoint");
}

/// META-02: the issuer is exactly the requested one; PRM-03: so is the resource.
#[test]
fn published_rejections() {
    let file = include_str!("../../testdata/oauth/wellknown.json");
    let file: Value = serde_json::from_str(file).unwrap();
    let all = file.get("prm_reject").and_then(Value::as_array).unwrap();
    let text = |of: &Value, name: &str| of.get(name).and_then(Value::as_str).map(str::to_owned);
    let resource = all.first().unwrap();
    let asked = text(resource, "challenged_url").unwrap().parse().unwrap();
    let json = json!({"resource": text(resource, "metadata_resource")}).to_string();
    for read in [ResourceMetadata::parse, ResourceMetadata::parse_within] {
        assert_eq!(code(read(json.as_bytes(), &asked)), "metadata.resource");
    }
    let issuer = all.get(1).unwrap();
    let asked = "https://attacker.example".parse().unwrap();
    let json = json!({"issuer": text(issuer, "metadata_issuer")}).to_string();
    assert_eq!(
        code(ServerMetadata::parse(json.as_bytes(), &asked)),
        "metadata.issuer"
    );
}

/// META-02: only the root slash is normalized; other spellings are different issuers.
#[test]
fn issuers_are_compared_as_they_are() {
    assert_eq!(code(server(GOOD)), "ok");
    for other in [
        json!("https://as.example//"),
        json!("https://as.example/?"),
        json!("http://as.example/"),
        json!("https://AS.example"),
        json!("https://as.example:443"),
        json!("https://as.example/{tenantid}"),
        json!(""),
        Value::Null,
    ] {
        assert_eq!(code(server(&with("issuer", other))), "metadata.issuer");
    }
    assert_eq!(
        code(server(r#"{"token_endpoint":"https://as.example/t"}"#)),
        "metadata.issuer"
    );
}

/// META-03: strict JSON, of a limited length.
#[test]
fn documents_are_strict() {
    for bad in [
        "",
        "[]",
        "null",
        "{",
        r#"{"issuer":"https://as.example","issuer":"https://as.example"}"#,
        r#"{"issuer":"https://as.example","x":{"a":1,"a":2}}"#,
        r#"{"issuer":["https://as.example"]}"#,
        r#"{"issuer":"https://as.example"} x"#,
    ] {
        assert_eq!(code(server(bad)), "metadata.json", "{bad}");
    }
    let long = with("x", json!("a".repeat(MAX_METADATA)));
    assert_eq!(code(server(&long)), "metadata.response");
}

/// META-03: endpoints are https, unless the issuer itself is on loopback.
#[test]
fn endpoints_are_https() {
    for member in [
        "authorization_endpoint",
        "backchannel_authentication_endpoint",
        "challenge_endpoint",
        "device_authorization_endpoint",
        "introspection_endpoint",
        "jwks_uri",
        "pushed_authorization_request_endpoint",
        "registration_endpoint",
        "revocation_endpoint",
        "token_endpoint",
    ] {
        for bad in [
            "http://as.example/a",
            "http://localhost/a",
            "/a",
            "https://as.example/#a",
        ] {
            let json = with(member, json!(bad));
            let issuer = "https://as.example".parse().unwrap();
            let read = ServerMetadata::parse_for(json.as_bytes(), &issuer, EndpointKind::ALL);
            let error = read.unwrap_err();
            assert_eq!(error.code(), "metadata.member", "{member} {bad}");
            assert!(error.to_string().contains(member), "{error}");
        }
        assert_eq!(
            code(server(&with(member, json!("https://other.example/a")))),
            "ok"
        );
    }
    let local = Issuer::loopback("http://127.0.0.1:1").unwrap();
    let json =
        |endpoint: &str| json!({"issuer": local.as_str(), "token_endpoint": endpoint}).to_string();
    let read = |endpoint| code(ServerMetadata::parse(json(endpoint).as_bytes(), &local));
    assert_eq!(read("http://127.0.0.1:1/token"), "ok");
    assert_eq!(read("http://as.example/token"), "metadata.member");
}

/// META-05: the members, and the defaults if they are absent.
#[test]
fn members_and_defaults() {
    let bare = server(GOOD).unwrap();
    assert_eq!(
        bare.grant_types_supported(),
        ["authorization_code", "implicit"]
    );
    assert!(bare.token_endpoint_auth_methods_supported().is_none());
    assert!(bare.takes_client_auth("private_key_jwt"));
    assert!(bare.takes_grant("client_credentials"));
    assert!(bare.code_challenge_methods_supported().is_none());
    assert!(bare.token_endpoint_auth_algorithms().is_none());
    let missing = bare.jwks_uri().unwrap_err();
    assert_eq!(missing.code(), "metadata.member");
    assert!(bare.endpoint(EndpointKind::Revocation).is_none());

    let listed = with(
        "token_endpoint_auth_methods_supported",
        json!(["spiffe_jwt"]),
    );
    let listed = server(&listed).unwrap();
    assert!(listed.takes_client_auth("spiffe_jwt") && !listed.takes_client_auth("private_key_jwt"));
    let pkce = with("code_challenge_methods_supported", json!(["S256"]));
    assert_eq!(
        server(&pkce).unwrap().code_challenge_methods_supported(),
        Some(&["S256".to_owned()][..])
    );
    let grants = with("grant_types_supported", json!(["client_credentials"]));
    let grants = server(&grants).unwrap();
    assert_eq!(grants.grant_types_supported(), ["client_credentials"]);
    assert!(grants.takes_grant("client_credentials") && !grants.takes_grant("implicit"));
}

/// META-07: `none` is not an algorithm of client authentication. JWTA-06: unknown ones are omitted.
#[test]
fn algorithms_of_client_authentication() {
    let member = "token_endpoint_auth_signing_alg_values_supported";
    let none = with(member, json!(["ES256", "none"]));
    assert_eq!(code(server(&none)), "metadata.member");
    let some = server(&with(member, json!(["ES256", "HS256"]))).unwrap();
    let all = some.token_endpoint_auth_algorithms().unwrap();
    assert!(all.iter().eq([aims_jose::Algorithm::Es256]));
}

/// PRM-06: a server that lists resources serves no others.
#[test]
fn protected_resources() {
    let tool = "https://tools.example/mcp".parse().unwrap();
    assert!(server(GOOD).unwrap().serves(&tool));
    let listed = |all| {
        server(&with("protected_resources", all))
            .unwrap()
            .serves(&tool)
    };
    assert!(listed(json!([
        "https://a.example",
        "https://tools.example/mcp"
    ])));
    assert!(!listed(json!(["https://tools.example"])));
    assert!(!listed(json!([])));
}

/// PRM-03: a broader resource needs a separate method, and has the same origin.
#[test]
fn resources_are_compared_as_they_are() {
    let asked: Resource = "https://tools.example/mcp".parse().unwrap();
    for (found, strict, within) in [
        ("https://tools.example/mcp", "ok", "ok"),
        ("https://tools.example", "metadata.resource", "ok"),
        (
            "https://tools.example/mcp/",
            "metadata.resource",
            "metadata.resource",
        ),
        (
            "https://tools.example/mc",
            "metadata.resource",
            "metadata.resource",
        ),
        (
            "https://tools.example/mcp/a",
            "metadata.resource",
            "metadata.resource",
        ),
        (
            "https://other.example/mcp",
            "metadata.resource",
            "metadata.resource",
        ),
        (
            "http://tools.example/mcp",
            "metadata.resource",
            "metadata.resource",
        ),
        ("", "metadata.resource", "metadata.resource"),
    ] {
        let json = json!({ "resource": found }).to_string();
        assert_eq!(
            code(ResourceMetadata::parse(json.as_bytes(), &asked)),
            strict,
            "{found}"
        );
        assert_eq!(
            code(ResourceMetadata::parse_within(json.as_bytes(), &asked)),
            within,
            "{found}"
        );
    }
    assert_eq!(
        code(ResourceMetadata::parse(b"{}", &asked)),
        "metadata.resource"
    );
}

/// PRM-04, PRM-05: malformed members are refused.
#[test]
fn resource_members() {
    let asked: Resource = "https://tools.example/mcp".parse().unwrap();
    let read = |member: &str, value: Value| {
        let json = json!({"resource": asked.as_str(), member: value}).to_string();
        code(ResourceMetadata::parse(json.as_bytes(), &asked))
    };
    assert_eq!(read("resource_name#fr", json!("outil")), "ok");
    assert_eq!(
        read("authorization_servers", json!(["http://as.example"])),
        "metadata.member"
    );
    assert_eq!(
        read("authorization_servers", json!(["https://as.example?a"])),
        "metadata.member"
    );
    assert_eq!(
        read("jwks_uri", json!("http://tools.example/jwks")),
        "metadata.member"
    );
    assert_eq!(read("scopes_supported", json!(["a b"])), "ok");
    assert_eq!(read("scopes_supported", json!("a")), "ok");
    let long = read("x", json!("a".repeat(MAX_METADATA)));
    assert_eq!(long, "metadata.response");
    let twice =
        br#"{"resource":"https://tools.example/mcp","resource":"https://tools.example/mcp"}"#;
    assert_eq!(
        code(ResourceMetadata::parse(twice, &asked)),
        "metadata.json"
    );
}

/// MCP authorization: `offline_access` is a matter of the authorization server, which a resource
/// does not offer.
#[test]
fn a_resource_offers_no_offline_access() {
    let tool: Resource = "https://tools.example/mcp".parse().unwrap();
    let offered = |scopes: &str| {
        let metadata = ResourceMetadata::new(tool.clone());
        metadata.with_scopes(&scopes.parse().unwrap()).to_json()
    };
    assert_eq!(offered("a offline_access b"), offered("a b"));
    assert!(offered("offline_access_2").contains("offline_access_2"));
    assert!(!offered("offline_access").contains("offline_access"));
}

/// PRM-20: published metadata can be parsed.
#[test]
fn published_resources_are_read() {
    let tool: Resource = "https://tools.example/mcp".parse().unwrap();
    let json = ResourceMetadata::new(tool.clone())
        .with_authorization_server("https://as.example".parse().unwrap())
        .with_scopes(&"b a".parse().unwrap())
        .with_jwks_uri("https://tools.example/jwks".parse().unwrap())
        .with_name("tool")
        .to_json();
    let read = ResourceMetadata::parse(json.as_bytes(), &tool).unwrap();
    assert_eq!(read.to_json(), json);
    assert_eq!(read.resource(), &tool);
    assert_eq!(read.scopes_supported(), Some(&"a b".parse().unwrap()));
    assert_eq!(read.name(), Some("tool"));
    assert!(read.jwks_uri().is_some());
    assert_eq!(
        read.bearer_methods_supported(),
        Some(&["header".to_owned()][..])
    );
    let bare = ResourceMetadata::new(tool).to_json();
    assert!(!bare.contains("authorization_servers") && !bare.contains("null"));
}

/// META-03, PRM-05: a document has status 200 and is JSON.
#[test]
fn responses() {
    let response = |status: StatusCode, content: &'static str| {
        let mut response = Response::new(GOOD.as_bytes().to_vec());
        *response.status_mut() = status;
        response
            .headers_mut()
            .insert(CONTENT_TYPE, HeaderValue::from_static(content));
        response
    };
    let good = response(StatusCode::OK, "Application/JSON; charset=utf-8");
    assert_eq!(document(&good).unwrap(), GOOD.as_bytes());
    for status in [
        StatusCode::FOUND,
        StatusCode::NO_CONTENT,
        StatusCode::NOT_FOUND,
    ] {
        assert_eq!(
            code(document(&response(status, "application/json"))),
            "metadata.response"
        );
    }
    for content in [
        "text/html",
        "application/json, text/html",
        "Text/HTML; charset=utf-8",
        "application/xhtml+xml",
        "multipart/mixed; boundary=x",
        "application/x-www-form-urlencoded",
    ] {
        let other = response(StatusCode::OK, content);
        assert_eq!(code(document(&other)), "metadata.response", "{content}");
    }
    for content in ["application/jwt", "", "application/jsonx", "text/plain"] {
        assert_eq!(code(document(&response(StatusCode::OK, content))), "ok");
        let mut other = response(StatusCode::OK, content);
        *other.body_mut() = b"eyJ.eyJ.x".to_vec();
        let error = document(&other).unwrap_err();
        assert_eq!(error.code(), "metadata.response");
        assert!(error.to_string().contains(content), "{error}");
    }
    let mut two = response(StatusCode::OK, "application/json");
    two.headers_mut()
        .append(CONTENT_TYPE, HeaderValue::from_static("text/html"));
    assert_eq!(code(document(&two)), "metadata.response");
    let mut long = response(StatusCode::OK, "application/json");
    long.body_mut().resize(MAX_METADATA + 1, b' ');
    assert_eq!(code(document(&long)), "metadata.response");
}
