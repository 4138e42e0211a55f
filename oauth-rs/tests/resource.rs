//! The messages of a resource to clients: its metadata (RFC 9728), and the challenges (RFC 6750 §3,
//! RFC 9728 §5.1).

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod common;

use std::collections::BTreeSet;

use aims_jose::alg::{Algorithm, AlgorithmSet};
use aims_jose::jwk::SkippedKeys;
use aims_oauth_rs::{
    BindingFailure, Error, NotAccessToken, ProtectedResource, TokenScheme, bearer_or_dpop_token,
    bearer_token, challenge, dpop_challenge, insufficient_scope,
};
use aims_oauth_wire::metadata::ResourceMetadata;
use aims_oauth_wire::names::{Endpoint, ScopeSet};
use common::{ISSUER, RESOURCE, code};
use http::{HeaderMap, HeaderValue, StatusCode};
use serde_json::{Value, json};

const METADATA: &str = "https://tools.example/.well-known/oauth-protected-resource/mcp";

fn served(resource: &str) -> ProtectedResource {
    ProtectedResource::new(&ResourceMetadata::new(resource.parse().unwrap())).unwrap()
}

/// PRM-01: the path is inserted between host and path or query; only the `/` that is the whole path
/// is omitted.
#[test]
fn the_metadata_is_at_its_well_known_place() {
    for (resource, url, path) in [
        (
            RESOURCE,
            METADATA,
            "/.well-known/oauth-protected-resource/mcp",
        ),
        (
            "https://tools.example",
            "https://tools.example/.well-known/oauth-protected-resource",
            "/.well-known/oauth-protected-resource",
        ),
        (
            "https://tools.example/",
            "https://tools.example/.well-known/oauth-protected-resource",
            "/.well-known/oauth-protected-resource",
        ),
        (
            "https://tools.example/mcp/",
            "https://tools.example/.well-known/oauth-protected-resource/mcp/",
            "/.well-known/oauth-protected-resource/mcp/",
        ),
        (
            "https://tools.example:8443/a/b",
            "https://tools.example:8443/.well-known/oauth-protected-resource/a/b",
            "/.well-known/oauth-protected-resource/a/b",
        ),
    ] {
        let served = served(resource);
        assert_eq!((served.url().as_str(), served.path()), (url, path));
    }
    let urn = ResourceMetadata::new("urn:example:tools".parse().unwrap());
    assert_eq!(code(ProtectedResource::new(&urn)), "oauth.resource");
}

/// PRM-20: the document names exactly the resource, its servers and scopes, as JSON that may be
/// cached for an hour.
#[test]
fn the_document_is_served() {
    let metadata = ResourceMetadata::new(RESOURCE.parse().unwrap())
        .with_authorization_server(ISSUER.parse().unwrap())
        .with_scopes(&"tools:list tools:call".parse().unwrap());
    let served = ProtectedResource::new(&metadata).unwrap();
    let response = served.to_response::<Vec<u8>>();
    assert_eq!(response.status(), StatusCode::OK);
    let headers = response.headers();
    assert_eq!(headers.len(), 2);
    assert_eq!(headers["content-type"], "application/json");
    assert_eq!(headers["cache-control"], "public, max-age=3600");
    let document: Value = serde_json::from_slice(response.body()).unwrap();
    assert_eq!(
        document,
        json!({
            "resource": RESOURCE,
            "authorization_servers": [ISSUER],
            "scopes_supported": ["tools:call", "tools:list"],
            "bearer_methods_supported": ["header"],
        })
    );
}

fn fields(values: &[&'static str]) -> HeaderMap {
    let mut headers = HeaderMap::new();
    for value in values {
        headers.append("authorization", HeaderValue::from_static(value));
    }
    headers
}

/// BEAR-01: one field, the scheme in any case, one space, `b64token`.
#[test]
fn a_bearer_token_is_found() {
    assert_eq!(bearer_token(&fields(&[]), 10).unwrap(), None);
    for value in [
        "Bearer aZ09-._~+/==",
        "bearer aZ09-._~+/==",
        "BEARER aZ09-._~+/==",
    ] {
        let headers = fields(&[value]);
        let found = bearer_token(&headers, 12).unwrap();
        assert_eq!(found, Some("aZ09-._~+/=="), "{value}");
    }
    let refused = |values: &[&'static str]| code(bearer_token(&fields(values), 12));
    for value in [
        "",
        "Bearer",
        "Bearer ",
        "Bearer  a",
        "Bearer a ",
        "Bearer a b",
        "Bearer a=b",
        "Bearer =",
        "Bearer \"a\"",
        "Bearer\ta",
    ] {
        assert_eq!(refused(&[value]), "token.authorization", "{value:?}");
    }
    for value in ["Basic YTpi", "DPoP a", "Bearer2 a", " Bearer a"] {
        assert_eq!(refused(&[value]), "token.scheme", "{value:?}");
    }
    assert_eq!(refused(&["Bearer a"]), "ok");
    assert_eq!(refused(&["Bearer a", "Bearer a"]), "token.authorization");
    assert_eq!(refused(&["Bearer a", "Basic YTpi"]), "token.authorization");
    assert_eq!(refused(&["Bearer 0123456789ab"]), "ok");
    assert_eq!(refused(&["Bearer 0123456789abc"]), "token.too_long");
    let mut headers = HeaderMap::new();
    let obscure = HeaderValue::from_bytes(b"Bearer \xff").unwrap();
    headers.insert("authorization", obscure);
    assert_eq!(code(bearer_token(&headers, 12)), "token.authorization");
}

/// The exact status and header field.
fn told((status, value): (StatusCode, HeaderValue)) -> (u16, String) {
    (status.as_u16(), value.to_str().unwrap().to_owned())
}

fn metadata() -> Endpoint {
    METADATA.parse().unwrap()
}

fn scopes() -> ScopeSet {
    "tools:list tools:call".parse().unwrap()
}

/// BEAR-02: no `error` if there was no token, or one of another scheme.
#[test]
fn no_token_is_challenged_without_an_error() {
    for error in [Error::Missing, Error::Scheme] {
        assert_eq!(
            told(challenge(&error, Some(&metadata()), Some(&scopes()))),
            (
                401,
                format!(r#"Bearer scope="tools:call tools:list", resource_metadata="{METADATA}""#)
            )
        );
        assert_eq!(
            told(challenge(&error, None, None)),
            (401, "Bearer".to_owned())
        );
        assert_eq!(
            told(challenge(&error, Some(&metadata()), None)),
            (401, format!(r#"Bearer resource_metadata="{METADATA}""#))
        );
        let none = ScopeSet::new();
        assert_eq!(
            told(challenge(&error, None, Some(&none))),
            (401, "Bearer".to_owned())
        );
    }
}

/// BEAR-02: a malformed request is 400 with `invalid_request`.
#[test]
fn a_malformed_request_is_an_invalid_request() {
    for error in [Error::Authorization, Error::TooLong { limit: 8_192 }] {
        assert_eq!(
            told(challenge(&error, Some(&metadata()), Some(&scopes()))),
            (
                400,
                format!(
                    r#"Bearer error="invalid_request", scope="tools:call tools:list", resource_metadata="{METADATA}""#
                )
            )
        );
    }
}

/// RFC 9449 §7.1, §7.2: one field with a token of either scheme.
#[test]
fn a_token_of_either_scheme_is_found() {
    let found = |values: &[&'static str]| {
        let headers = fields(values);
        let found = bearer_or_dpop_token(&headers, 12).map(|it| it.map(|(it, _)| it));
        found.map_err(|error| error.code())
    };
    for (values, expected) in [
        (&[][..], Ok(None)),
        (&["Bearer a"], Ok(Some(TokenScheme::Bearer))),
        (&["DPoP a"], Ok(Some(TokenScheme::Dpop))),
        (&["dpop a"], Ok(Some(TokenScheme::Dpop))),
        (&["DPoP 0123456789ab"], Ok(Some(TokenScheme::Dpop))),
        (&["Bearer 0123456789ab"], Ok(Some(TokenScheme::Bearer))),
        (&["DPoP 0123456789abc"], Err("token.too_long")),
        (&["Bearer 0123456789abc"], Err("token.too_long")),
        (&["DPoP"], Err("token.authorization")),
        (&["DPoP a b"], Err("token.authorization")),
        (&["DPoP a", "DPoP a"], Err("token.authorization")),
        (&["Bearer a", "DPoP a"], Err("token.authorization")),
        (&["DPoP2 a"], Err("token.scheme")),
        (&["Basic YTpi"], Err("token.scheme")),
    ] {
        assert_eq!(found(values), expected, "{values:?}");
    }
}

/// RFC 9449 §7.1: the challenge of DPoP, to the letter.
#[test]
fn a_dpop_challenge_names_algorithms() {
    let algorithms = AlgorithmSet::of(&[Algorithm::Es256, Algorithm::Ps256]);
    let told = |error| dpop_challenge(error, algorithms, Some(&metadata()), Some(&scopes()));
    let rest = format!(r#"scope="tools:call tools:list", resource_metadata="{METADATA}""#);
    assert_eq!(
        told(None),
        format!(r#"DPoP algs="ES256 PS256", {rest}"#).as_str()
    );
    let expected = format!(r#"DPoP algs="ES256 PS256", error="use_dpop_nonce", {rest}"#);
    assert_eq!(told(Some("use_dpop_nonce")), expected.as_str());
    assert_eq!(
        dpop_challenge(None, algorithms, None, None),
        r#"DPoP algs="ES256 PS256""#
    );
}

fn audience() -> Error {
    Error::Audience {
        found: vec!["https://secret.example".to_owned()],
        expected: vec![RESOURCE.to_owned()],
    }
}

/// ATJ-10, BEAR-02, T-141: every refusal of a token is 401 with `invalid_token` and nothing more.
#[test]
fn a_refused_token_is_an_invalid_token() {
    let issuer = "https://secret.example".to_owned();
    let key_id = Some("secret".to_owned());
    for error in [
        Error::Token(aims_jose::Error::Expired {
            until: 1,
            now: 100,
            skew: 30,
        }),
        Error::Token(aims_jose::Error::Signature),
        Error::Token(aims_jose::Error::Claim { claim: "sub" }),
        Error::Token(aims_jose::Error::Parts),
        audience(),
        Error::UnknownIssuer {
            found: issuer.clone(),
            expected: Vec::new(),
            more: 0,
        },
        Error::HeaderType {
            found: Some("JWT".to_owned()),
            expected: "secret".to_owned(),
        },
        Error::NotAccessToken(NotAccessToken::ForItsClient),
        Error::UnknownKey {
            issuer: issuer.clone(),
            key_id,
            known: "secret".into(),
            skipped: SkippedKeys::default(),
        },
        Error::KeysStale {
            issuer: issuer.clone(),
        },
        Error::AmbiguousKey { issuer },
        Error::Confirmation,
        Error::NotBound(BindingFailure::OtherWorkload),
        Error::Revoked,
    ] {
        assert_eq!(
            told(challenge(&error, Some(&metadata()), None)),
            (
                401,
                format!(r#"Bearer error="invalid_token", resource_metadata="{METADATA}""#)
            ),
            "{error}"
        );
    }
}

/// BEAR-02: a valid token with too little scope is 403, with the required scope.
#[test]
fn too_little_scope_is_insufficient_scope() {
    assert_eq!(
        told(insufficient_scope(Some(&metadata()), &scopes())),
        (
            403,
            format!(
                r#"Bearer error="insufficient_scope", scope="tools:call tools:list", resource_metadata="{METADATA}""#
            )
        )
    );
    assert_eq!(
        told(insufficient_scope(None, &scopes())),
        (
            403,
            r#"Bearer error="insufficient_scope", scope="tools:call tools:list""#.to_owned()
        )
    );
}

/// Scopes that do not fit into a challenge are omitted, and nothing else is.
#[test]
fn too_many_scopes_are_not_said() {
    let many: Vec<_> = (0..200)
        .map(|it| format!("scope-number-{it:012}"))
        .collect();
    let many: ScopeSet = many.join(" ").parse().unwrap();
    let metadata = metadata();
    let metadata = Some(&metadata);
    let expected = format!(r#"Bearer error="invalid_token", resource_metadata="{METADATA}""#);
    let answer = challenge(&audience(), metadata, Some(&many));
    assert_eq!(told(answer), (401, expected));
    let expected = format!(r#"Bearer error="insufficient_scope", resource_metadata="{METADATA}""#);
    assert_eq!(told(insufficient_scope(metadata, &many)), (403, expected));
}

/// Every listed code occurs, and errors of other crates keep their code.
#[test]
fn codes_are_all_there() {
    let token = |source: aims_jose::Error| Error::Token(source).code();
    let algorithm = Algorithm::Es256;
    let given = [
        token(aims_jose::Error::AlgorithmMismatch { algorithm }),
        token(aims_jose::Error::Claim { claim: "sub" }),
        token(aims_jose::Error::Expired {
            until: 1,
            now: 100,
            skew: 30,
        }),
        token(aims_jose::Error::Lifetime),
        token(aims_jose::Error::NotYetValid {
            from: 2,
            now: 1,
            skew: 0,
        }),
        token(aims_jose::Error::Signature),
        token(aims_jose::Error::Type),
        audience().code(),
        Error::UnknownIssuer {
            found: String::new(),
            expected: Vec::new(),
            more: 0,
        }
        .code(),
        Error::NotAccessToken(NotAccessToken::ForItsClient).code(),
        Error::Profile { reason: "" }.code(),
        Error::OtherRules {
            issuer: String::new(),
        }
        .code(),
        Error::NotConfigured {
            issuer: String::new(),
        }
        .code(),
        Error::UnknownKey {
            issuer: String::new(),
            key_id: None,
            known: "none".into(),
            skipped: SkippedKeys::default(),
        }
        .code(),
        Error::KeysStale {
            issuer: String::new(),
        }
        .code(),
        Error::AmbiguousKey {
            issuer: String::new(),
        }
        .code(),
        Error::Confirmation.code(),
        Error::NotBound(BindingFailure::OtherWorkload).code(),
        Error::Revoked.code(),
        Error::Missing.code(),
        Error::Authorization.code(),
        Error::Scheme.code(),
        Error::Inactive {
            issuer: String::new(),
        }
        .code(),
        Error::NotIntrospected {
            issuer: String::new(),
        }
        .code(),
        Error::PresentedType {
            found: String::new(),
            expected: "",
        }
        .code(),
        Error::TooLong { limit: 1 }.code(),
        Error::NoKeys {
            skipped: SkippedKeys::default(),
        }
        .code(),
        Error::KeySet(aims_jose::Error::Json).code(),
    ];
    let all = |codes: &[&'static str]| BTreeSet::from_iter(codes.iter().copied());
    assert_eq!(all(&given), all(Error::CODES));
    assert_eq!(token(aims_jose::Error::UnknownAlgorithm), "token.algorithm");
    assert_eq!(token(aims_jose::Error::Parts), "jws.parts");
    let expired = Error::Token(aims_jose::Error::Expired {
        until: 1,
        now: 100,
        skew: 30,
    });
    assert_eq!(
        aims_jose::Chain(&expired).to_string(),
        "access token: expired at 1, and it is 100, with a skew of 30 s; get a new one, or check both clocks"
    );
}
