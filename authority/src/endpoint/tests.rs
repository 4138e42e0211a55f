use std::collections::HashSet;
use std::sync::Arc;

use aims_jose::provider::AWS_LC;
use aims_jose::time::UnixTime;
use core::time::Duration;
use http::header::{ALLOW, CONTENT_TYPE, HOST};
use serde_json::Value;

use super::*;
use crate::{Authority, Client, DevUser, Resource, SelfDescribed};

const BASE: &str = "http://127.0.0.1:8080/tenant";

fn now() -> UnixTime {
    UnixTime::since_unix_epoch(Duration::from_secs(1_800_000_000))
}

fn authority(base: &str) -> Authority {
    let tools = Client::spiffe("spiffe://example.org/tools".parse().unwrap());
    Authority::builder(base, AWS_LC)
        .trust_domain("example.org")
        .users(Arc::new(DevUser::new("alice")))
        .backchannel(Arc::new(DevUser::new("alice")))
        .dynamic_registration(SelfDescribed::new())
        .resource(Resource::new("https://tools.example"))
        .client(tools.serves("https://tools.example"))
        .build(now())
        .unwrap()
}

fn send(authority: &Authority, method: &str, path: &str) -> Response<Vec<u8>> {
    let request = Request::builder()
        .method(method)
        .uri(path)
        .header(HOST, "127.0.0.1:8080");
    authority.handle(&request.body(Vec::new()).unwrap(), None, now())
}

fn json(response: &Response<Vec<u8>>) -> Value {
    serde_json::from_slice(response.body()).unwrap()
}

/// Returns the form of a refusal, as a client can tell it from the response.
fn form(response: &Response<Vec<u8>>) -> RefusalForm {
    if response.headers()[CONTENT_TYPE] == "text/html; charset=utf-8" {
        assert!(response.body().starts_with(b"<!DOCTYPE html>"));
        return RefusalForm::Page;
    }
    let body = json(response);
    match response.headers()[CONTENT_TYPE].to_str().unwrap() {
        "application/problem+json" => {
            assert_eq!(body["status"], response.status().as_u16());
            assert!(body["code"].is_string() && body.get("error").is_none());
            RefusalForm::Problem
        }
        "application/json" => {
            assert!(body["error"].is_string() && body["error_description"].is_string());
            assert!(body.get("code").is_none());
            RefusalForm::Oauth
        }
        other => panic!("a refusal as {other}"),
    }
}

/// An endpoint allows the methods of its row; other methods get 405 with `Allow`, in the form of
/// the row.
#[test]
fn the_table_has_the_methods() {
    for base in [BASE, "http://127.0.0.1:8080"] {
        let authority = authority(base);
        let parsed = Base::parse(base).unwrap();
        for endpoint in ENDPOINTS {
            let path = endpoint.path(&parsed);
            for method in ["GET", "HEAD", "POST", "PUT", "DELETE", "OPTIONS", "get"] {
                let response = send(&authority, method, &path);
                let listed = endpoint.methods.allow().split(", ");
                if listed.clone().any(|it| it == method) {
                    assert_ne!(response.status(), 405, "{method} {path}");
                    continue;
                }
                assert_eq!(response.status(), 405, "{method} {path}");
                assert_eq!(response.headers()[ALLOW], endpoint.methods.allow());
                if method != "HEAD" {
                    assert_eq!(form(&response), endpoint.refusal, "{method} {path}");
                }
            }
        }
    }
}

/// Every refusal of an endpoint has the form of its row.
#[test]
fn the_table_has_the_form_of_refusals() {
    let authority = authority(BASE);
    let base = Base::parse(BASE).unwrap();
    let mut forms = HashSet::new();
    for endpoint in ENDPOINTS {
        let path = endpoint.path(&base);
        for error in [
            Error::Host {
                found: "none".into(),
                expected: "none".into(),
            },
            Error::Slow,
            Error::TooLarge { limit: 1 },
            Error::TooMany { retry_after: 1 },
            Error::unavailable("a test"),
        ] {
            let response = authority.refuse(&path, &error);
            assert_eq!(form(&response), endpoint.refusal, "{path} {error}");
        }
        if endpoint.methods == Methods::Post && endpoint.place != Place::Beneath(CHALLENGE) {
            // The handler itself refuses an empty body.
            let response = send(&authority, "POST", &path);
            assert_eq!(response.status(), 415, "{path}");
            assert_eq!(form(&response), endpoint.refusal, "{path}");
        }
        forms.insert(format!("{:?}", endpoint.refusal));
    }
    assert_eq!(forms.len(), 3, "all forms are in the table");
    let nowhere = send(&authority, "GET", "/tenant/nowhere");
    assert_eq!(nowhere.status(), 404);
    assert_eq!(form(&nowhere), RefusalForm::Problem);
}

const CHALLENGE: &str = "/identity/challenge";

/// Every endpoint with a member is in the document, and no other member is (RFC 8414 §2).
#[test]
fn the_metadata_has_the_endpoints_of_the_table() {
    for text in [BASE, "http://127.0.0.1:8080"] {
        let authority = authority(text);
        let base = Base::parse(text).unwrap();
        let metadata: Value = serde_json::from_str(&authority.oauth().metadata()).unwrap();
        let mut named = 0;
        for endpoint in ENDPOINTS {
            let Place::Beneath(path) = endpoint.place else {
                assert!(endpoint.metadata.is_none());
                continue;
            };
            // The identity server, well-known documents, the form of the consent page and the inbox
            // of users have no member in RFC 8414.
            let is_listed = !path.starts_with("/identity/")
                && !path.starts_with("/.well-known/")
                && path != oauth::authorize::CONSENT
                && !path.starts_with(oauth::backchannel::INBOX);
            assert_eq!(endpoint.metadata.is_some(), is_listed, "{path}");
            if let Some(member) = endpoint.metadata {
                named += 1;
                let url = metadata[member].as_str().unwrap();
                assert_eq!(url, format!("{text}{path}"), "{member}");
                // The URL leads to this endpoint.
                assert!(url.ends_with(&endpoint.path(&base)));
                let wrong = send(&authority, "DELETE", &endpoint.path(&base));
                assert_eq!(wrong.headers()[ALLOW], endpoint.methods.allow());
            }
        }
        let is_endpoint = |name: &&String| name.ends_with("_endpoint") || name.ends_with("_uri");
        let members = metadata.as_object().unwrap().keys();
        assert_eq!(members.filter(is_endpoint).count(), named);
    }
}

/// Two rows never have the same path, except if the base URL has no path: two of the locations of
/// RFC 8414 §5 are then equal.
#[test]
fn paths_are_unique() {
    let paths = |base: &str| {
        let base = Base::parse(base).unwrap();
        let paths: HashSet<_> = ENDPOINTS.iter().map(|it| it.path(&base)).collect();
        assert_eq!(authority(base.as_str()).paths().count(), paths.len());
        paths.len()
    };
    assert_eq!(paths(BASE), ENDPOINTS.len());
    assert_eq!(paths("http://127.0.0.1:8080"), ENDPOINTS.len() - 1);
}

/// Wrong tokens are counted at the only endpoint that accepts them.
#[test]
fn one_endpoint_takes_bootstrap_tokens() {
    let taking = ENDPOINTS.iter().filter(|it| it.takes_bootstrap_token);
    let places: Vec<_> = taking.map(|it| it.place).collect();
    assert_eq!(places, [Place::Beneath("/identity/wit")]);
}
