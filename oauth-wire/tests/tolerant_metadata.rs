//! Metadata as real servers publish them, and proof that an attacker gains nothing.
#![expect(clippy::unwrap_used, reason = "helpers of tests")]

use aims_oauth_wire::metadata::{EndpointKind, ResourceMetadata, ServerMetadata, Switch};
use aims_oauth_wire::names::{Issuer, Resource};
use aims_oauth_wire::{Diagnostic, Error};
use proptest::prelude::*;
use serde_json::{Value, json};

fn document(members: &[(&str, Value)]) -> String {
    let mut json = json!({
        "issuer": "https://as.example",
        "token_endpoint": "https://as.example/token",
        "jwks_uri": "https://as.example/jwks",
    });
    for (name, value) in members {
        json.as_object_mut()
            .unwrap()
            .insert((*name).to_owned(), value.clone());
    }
    json.to_string()
}

fn parse(json: &str) -> Result<ServerMetadata, Error> {
    ServerMetadata::parse(json.as_bytes(), &"https://as.example".parse()?)
}

fn server(members: &[(&str, Value)]) -> ServerMetadata {
    parse(&document(members)).unwrap()
}

fn code<T>(read: Result<T, Error>) -> &'static str {
    read.err().map_or("ok", |error| error.code())
}

fn resource(members: &[(&str, Value)]) -> Result<ResourceMetadata, Error> {
    let mut json = json!({"resource": "https://tools.example/mcp"});
    for (name, value) in members {
        json.as_object_mut()
            .unwrap()
            .insert((*name).to_owned(), value.clone());
    }
    ResourceMetadata::parse(
        json.to_string().as_bytes(),
        &"https://tools.example/mcp".parse()?,
    )
}

/// RFC 8259 §2, §8.1: white space around the object and one byte order mark before it are accepted,
/// and nothing else.
#[test]
fn a_document_may_stand_in_a_frame() {
    let plain = document(&[]);
    for (before, after) in [
        ("\n", ""),
        (" \t\r\n", "\r\n\t "),
        ("\u{feff}", ""),
        ("\u{feff}\n ", "\n"),
        ("\n\u{feff}", ""),
    ] {
        assert_eq!(
            code(parse(&format!("{before}{plain}{after}"))),
            "ok",
            "{before:?}"
        );
        let tool = "https://tools.example/mcp".parse().unwrap();
        let json = format!(r#"{before}{{"resource":"https://tools.example/mcp"}}{after}"#);
        assert_eq!(code(ResourceMetadata::parse(json.as_bytes(), &tool)), "ok");
    }
    for (before, after) in [
        ("\u{feff}\u{feff}", ""),
        ("\u{a0}", ""),
        ("\u{c}", ""),
        ("\u{200b}", ""),
        (")]}'\n", ""),
        ("", "\u{feff}"),
        ("", "{}"),
        ("", "\0"),
        ("[", "]"),
    ] {
        let json = format!("{before}{plain}{after}");
        assert_eq!(code(parse(&json)), "metadata.json", "{before:?} {after:?}");
    }
}

/// A document that is serialized from a struct has `null` for missing values.
#[test]
fn null_counts_as_absent() {
    for member in [
        "registration_endpoint",
        "scopes_supported",
        "grant_types_supported",
        "token_endpoint_auth_methods_supported",
        "token_endpoint_auth_signing_alg_values_supported",
        "code_challenge_methods_supported",
        "protected_resources",
        "signed_metadata",
        "mtls_endpoint_aliases",
        "require_pushed_authorization_requests",
        "x_unknown",
    ] {
        let read = server(&[(member, Value::Null)]);
        assert!(read.diagnostics().is_empty(), "{member}");
        assert!(read.takes_client_auth("private_key_jwt") && read.takes_grant("x"));
        assert!(read.serves(&"https://tools.example".parse().unwrap()));
        assert!(Switch::ALL.iter().all(|it| !read.is_on(*it)), "{member}");
    }
    assert_eq!(
        code(server(&[("jwks_uri", Value::Null)]).jwks_uri()),
        "metadata.member"
    );
    let issuer = parse(&document(&[("issuer", Value::Null)]));
    assert_eq!(code(issuer), "metadata.issuer");
}

/// An empty string or list counts as absent, except if an absent one would allow more.
#[test]
fn empty_values_count_as_absent_where_that_allows_no_more() {
    let read = server(&[
        ("registration_endpoint", json!("")),
        ("signed_metadata", json!("")),
        ("scopes_supported", json!([])),
        ("code_challenge_methods_supported", json!([])),
    ]);
    assert!(read.diagnostics().is_empty(), "{:?}", read.diagnostics());
    assert!(read.endpoint(EndpointKind::Registration).is_none());
    assert!(read.scopes_supported().is_none());
    assert!(read.code_challenge_methods_supported().is_none());

    let read = server(&[
        ("protected_resources", json!([])),
        ("token_endpoint_auth_methods_supported", json!([])),
        ("grant_types_supported", json!([])),
        (
            "token_endpoint_auth_signing_alg_values_supported",
            json!([]),
        ),
    ]);
    assert!(!read.takes_grant("client_credentials"));
    assert!(
        read.token_endpoint_auth_algorithms()
            .is_some_and(|it| it.iter().count() == 0)
    );
    assert!(!read.serves(&"https://tools.example".parse().unwrap()));
    assert!(!read.takes_client_auth("client_secret_basic"));
}

/// A malformed member that is not needed is skipped and reported as a diagnostic; the others are
/// unaffected.
#[test]
fn malformed_members_that_are_not_needed_are_ignored() {
    for (member, value) in [
        ("scopes_supported", json!({"openid": "a description"})),
        ("scopes_supported", json!("openid email")),
        ("grant_types_supported", json!("client_credentials")),
        ("code_challenge_methods_supported", json!(true)),
        ("code_challenge_methods_supported", json!("S256")),
        (
            "token_endpoint_auth_signing_alg_values_supported",
            json!("ES256"),
        ),
        ("token_endpoint_auth_methods_supported", json!({})),
        ("registration_endpoint", json!("http://as.example/register")),
        ("registration_endpoint", json!("/register")),
        ("introspection_endpoint", json!(false)),
        ("revocation_endpoint", json!(["https://as.example/revoke"])),
        ("authorization_endpoint", json!("https://as.example/#a")),
    ] {
        let read = server(&[(member, value.clone())]);
        let [Diagnostic::Ignored { name, .. }] = read.diagnostics() else {
            panic!("{member} {value}: {:?}", read.diagnostics());
        };
        assert_eq!(name, member);
        assert!(read.code_challenge_methods_supported().is_none());
        let shown = read.diagnostics().first().unwrap().to_string();
        assert!(
            shown.contains("expected") && shown.contains("found"),
            "{shown}"
        );
    }
    for (member, value) in [
        ("x_other", json!({"a": [1, null]})),
        ("service_documentation", json!(17)),
        ("ui_locales_supported", json!("de")),
    ] {
        assert!(server(&[(member, value)]).diagnostics().is_empty());
    }
}

/// A malformed endpoint is never called.
#[test]
fn a_malformed_endpoint_is_never_called() {
    let json = document(&[("introspection_endpoint", json!("http://as.example/i"))]);
    let read = parse(&json).unwrap();
    assert!(read.endpoint(EndpointKind::Introspection).is_none());
    let error = read.required(EndpointKind::Introspection).unwrap_err();
    assert_eq!(error.code(), "metadata.member");
    assert!(error.to_string().contains("not https"), "{error}");
    // A program that calls it refuses the document.
    let issuer = "https://as.example".parse().unwrap();
    let called = [EndpointKind::Introspection];
    let read = ServerMetadata::parse_for(json.as_bytes(), &issuer, &called);
    assert_eq!(code(read), "metadata.member");
    // A guard that only reads keys does not need the token endpoint.
    let json = document(&[("token_endpoint", json!("http://as.example/token"))]);
    assert_eq!(code(parse(&json)), "metadata.member");
    let read = ServerMetadata::parse_for(json.as_bytes(), &issuer, &[]).unwrap();
    assert_eq!(code(read.token_endpoint()), "metadata.member");
    assert!(read.jwks_uri().is_ok());
}

/// A malformed member that protects, or that keys come from, refuses the document for every reader.
#[test]
fn members_that_protect_are_always_judged() {
    let issuer: Issuer = "https://as.example".parse().unwrap();
    for (member, value) in [
        ("jwks_uri", json!("http://as.example/jwks")),
        ("jwks_uri", json!(["https://as.example/jwks"])),
        ("protected_resources", json!("https://tools.example")),
        ("protected_resources", json!({})),
        ("signed_metadata", json!({})),
        ("signed_metadata", json!("a.b")),
        ("signed_metadata", json!("a..b")),
        ("mtls_endpoint_aliases", json!("https://mtls.as.example")),
        ("mtls_endpoint_aliases", json!([])),
        (
            "mtls_endpoint_aliases",
            json!({"token_endpoint": "http://as.example/t"}),
        ),
        ("mtls_endpoint_aliases", json!({"token_endpoint": 1})),
        (
            "token_endpoint_auth_signing_alg_values_supported",
            json!(["none", 1]),
        ),
    ] {
        let json = document(&[(member, value.clone())]);
        for called in [&[][..], &[EndpointKind::Token]] {
            let read = ServerMetadata::parse_for(json.as_bytes(), &issuer, called);
            let error = read.unwrap_err();
            assert_eq!(error.code(), "metadata.member", "{member} {value}");
            assert!(error.to_string().contains(member), "{error}");
        }
    }
    let read = server(&[
        ("signed_metadata", json!("eyJ.eyJ.c2ln")),
        (
            "mtls_endpoint_aliases",
            json!({"token_endpoint": "https://mtls.as.example/token", "x": 1}),
        ),
    ]);
    let alias = read.mtls_endpoint(EndpointKind::Token).unwrap();
    assert_eq!(alias.as_str(), "https://mtls.as.example/token");
    assert_eq!(
        read.token_endpoint().unwrap().as_str(),
        "https://as.example/token"
    );
    let other = server(&[]);
    assert_eq!(
        other.mtls_endpoint(EndpointKind::Token),
        other.endpoint(EndpointKind::Token)
    );
}

/// A malformed switch counts as set, because ignoring it would switch a protection off.
#[test]
fn malformed_switches_count_as_true() {
    for switch in Switch::ALL {
        let on = |value: Value| {
            let read = server(&[(switch.member(), value.clone())]);
            let prm = resource(&[(switch.member(), value)]).unwrap();
            assert_eq!(prm.is_on(*switch), read.is_on(*switch));
            assert_eq!(prm.diagnostics().len(), read.diagnostics().len());
            (read.is_on(*switch), read.diagnostics().len())
        };
        assert_eq!(on(json!(true)), (true, 0));
        assert_eq!(on(json!(false)), (false, 0));
        assert_eq!(on(Value::Null), (false, 0));
        for malformed in [
            json!("false"),
            json!("true"),
            json!(0),
            json!([]),
            json!({}),
            json!(""),
        ] {
            assert_eq!(
                on(malformed.clone()),
                (true, 1),
                "{} {malformed}",
                switch.member()
            );
        }
    }
}

/// Elements of the wrong type are dropped; the others count.
#[test]
fn elements_of_the_wrong_type_are_dropped() {
    let read = server(&[
        ("code_challenge_methods_supported", json!(["S256", 1, null])),
        (
            "token_endpoint_auth_methods_supported",
            json!([["a"], "private_key_jwt"]),
        ),
        ("protected_resources", json!([1, "https://tools.example"])),
        ("scopes_supported", json!([{"name": "a"}])),
    ]);
    assert_eq!(
        read.code_challenge_methods_supported(),
        Some(&["S256".to_owned()][..])
    );
    assert!(read.takes_client_auth("private_key_jwt") && !read.takes_client_auth("a"));
    assert!(read.serves(&"https://tools.example".parse().unwrap()));
    assert!(!read.serves(&"https://other.example".parse().unwrap()));
    assert!(read.scopes_supported().is_none());
    assert_eq!(read.diagnostics().len(), 4);
    // A list without a valid element allows nothing.
    let read = server(&[
        ("protected_resources", json!([1])),
        ("token_endpoint_auth_methods_supported", json!([1])),
    ]);
    assert!(!read.serves(&"https://tools.example".parse().unwrap()));
    assert!(!read.takes_client_auth("private_key_jwt"));
}

/// RFC 3986 §6.2.3: both spellings of the root are one issuer during discovery. After it the
/// spelling of the document is compared.
#[test]
fn the_root_slash_of_an_issuer() {
    for (asked, found) in [
        ("https://as.example", "https://as.example/"),
        ("https://as.example/", "https://as.example"),
        ("https://as.example:8443", "https://as.example:8443/"),
    ] {
        let json = json!({ "issuer": found }).to_string();
        let asked: Issuer = asked.parse().unwrap();
        let read = ServerMetadata::parse(json.as_bytes(), &asked).unwrap();
        assert_eq!(read.issuer().as_str(), found);
        assert_ne!(read.issuer(), &asked);
        assert!(read.issuer().equals_in_discovery(&asked));
        assert!(matches!(
            read.diagnostics(),
            [Diagnostic::RootSlash { name: "issuer", .. }]
        ));
    }
    for (asked, found) in [
        ("https://as.example", "https://as.example//"),
        ("https://as.example", "https://AS.example/"),
        ("https://as.example", "https://as.example:443/"),
        ("https://as.example", "https://as.example./"),
        ("https://as.example", "https://as.example/?"),
        ("https://as.example", "https://as.example.evil.example/"),
        ("https://as.example/", "https://as.example/a"),
        ("https://as.example/a", "https://as.example/a/"),
        ("https://as.example/a/", "https://as.example/a"),
        ("http://localhost:1", "http://localhost:1/"),
    ] {
        let json = json!({ "issuer": found }).to_string();
        let asked = Issuer::loopback(asked).unwrap();
        let error = ServerMetadata::parse(json.as_bytes(), &asked).unwrap_err();
        assert_eq!(error.code(), "metadata.issuer", "{asked} {found}");
        assert!(error.to_string().contains(asked.as_str()), "{error}");
        if let Ok(found) = Issuer::loopback(found) {
            assert!(!found.equals_in_discovery(&asked));
        }
    }
}

/// The same for the `resource` of a tool; a broader one needs a separate method.
#[test]
fn the_root_slash_of_a_resource() {
    let read = |asked: &str, found: &str, read: fn(&[u8], &Resource) -> _| {
        let json = json!({ "resource": found }).to_string();
        read(json.as_bytes(), &Resource::loopback(asked).unwrap())
    };
    for (asked, found) in [
        ("https://tools.example", "https://tools.example/"),
        ("https://tools.example/", "https://tools.example"),
    ] {
        for parse in [ResourceMetadata::parse, ResourceMetadata::parse_within] {
            let read: ResourceMetadata = read(asked, found, parse).unwrap();
            assert_eq!(read.resource().as_str(), found);
            assert_eq!(read.diagnostics().len(), 1);
        }
    }
    for (asked, found) in [
        ("https://tools.example/mcp", "https://tools.example/mcp/"),
        ("https://tools.example/mcp/", "https://tools.example/mcp"),
        ("https://tools.example?a=b", "https://tools.example/?a=b"),
        ("https://tools.example", "https://tools.example/mcp"),
        ("https://tools.example/mcp", "https://tools.example"),
        ("https://tools.example/mcp", "https://tools.example/"),
        ("http://localhost:1", "http://localhost:1/"),
    ] {
        let read = read(asked, found, ResourceMetadata::parse);
        assert_eq!(code(read), "metadata.resource", "{asked} {found}");
    }
}

/// Only https identifiers with an empty path have a variant.
#[test]
fn variants_of_the_root_slash() {
    let variant = |text: &str| {
        let issuer = Issuer::loopback(text).unwrap();
        let resource = Resource::loopback(text).unwrap();
        let variant = issuer.root_slash_variant().map(|it| it.to_string());
        assert_eq!(
            variant,
            resource.root_slash_variant().map(|it| it.to_string())
        );
        variant
    };
    assert_eq!(
        variant("https://as.example").as_deref(),
        Some("https://as.example/")
    );
    assert_eq!(
        variant("https://as.example/").as_deref(),
        Some("https://as.example")
    );
    assert_eq!(
        variant("https://[::1]:8443").as_deref(),
        Some("https://[::1]:8443/")
    );
    for none in [
        "https://as.example/a",
        "https://as.example/a/",
        "http://localhost",
    ] {
        assert_eq!(variant(none), None, "{none}");
    }
    let urn: Resource = "urn:example:a".parse().unwrap();
    assert!(urn.root_slash_variant().is_none());
}

/// RFC 9728: members of resource metadata as servers write them.
#[test]
fn resources_as_they_are_published() {
    let nulls = [
        "scopes_supported",
        "jwks_uri",
        "resource_name",
        "bearer_methods_supported",
        "authorization_servers",
        "signed_metadata",
        "dpop_bound_access_tokens_required",
    ];
    let nulls: Vec<_> = nulls.iter().map(|it| (*it, Value::Null)).collect();
    let read = resource(&nulls).unwrap();
    assert!(read.diagnostics().is_empty() && read.authorization_servers().is_empty());

    let read = resource(&[
        ("scopes_supported", json!(["read", "a b", 1])),
        ("resource_name", json!({"en": "x"})),
        ("bearer_methods_supported", json!("header")),
    ]);
    let read = read.unwrap();
    assert_eq!(read.scopes_supported(), Some(&"read".parse().unwrap()));
    assert_eq!(read.diagnostics().len(), 4);
    assert!(read.name().is_none() && read.bearer_methods_supported().is_none());

    // An invalid server is dropped if another one is valid.
    let servers = |list: Value| resource(&[("authorization_servers", list)]);
    let read = servers(json!(["http://as.example", "https://as.example", 1])).unwrap();
    let names: Vec<_> = read
        .authorization_servers()
        .iter()
        .map(Issuer::as_str)
        .collect();
    assert_eq!(names, ["https://as.example"]);
    assert_eq!(read.diagnostics().len(), 2);
    for bad in [
        json!(["http://as.example"]),
        json!("https://as.example"),
        json!({}),
    ] {
        assert_eq!(code(servers(bad)), "metadata.member");
    }
    for (member, value) in [
        ("signed_metadata", json!(1)),
        ("jwks_uri", json!("http://tools.example/jwks")),
        ("jwks_uri", json!(1)),
    ] {
        assert_eq!(code(resource(&[(member, value)])), "metadata.member");
    }
    assert_eq!(
        code(resource(&[("resource", json!(1))])),
        "metadata.resource"
    );
}

proptest! {
    #[test]
    fn never_panics(bytes in prop::collection::vec(any::<u8>(), 0..200), text in "[\\[\\]{}\":,a-z/. ]{0,80}") {
        let issuer = "https://as.example".parse().unwrap();
        let tool = "https://tools.example".parse().unwrap();
        for json in [&bytes, text.as_bytes()] {
            let _ = ServerMetadata::parse(json, &issuer);
            let _ = ResourceMetadata::parse(json, &tool);
        }
    }

    /// Whatever one member is, the document leads only to https.
    #[test]
    fn no_member_leads_to_http(
        member in prop::sample::select(EndpointKind::ALL),
        value in prop::sample::select(vec![
            json!("http://as.example/a"), json!("https://as.example/a"), json!(1), json!([]), json!(""),
            json!({"token_endpoint": "http://as.example"}), json!("ftp://as.example"), Value::Null,
        ]),
    ) {
        if let Ok(read) = parse(&document(&[(member.member(), value)])) {
            for kind in EndpointKind::ALL {
                prop_assert!(read.endpoint(*kind).is_none_or(|it| it.as_str().starts_with("https://")));
            }
        }
    }
}
