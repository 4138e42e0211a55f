//! Metadata of protected resources.

use std::sync::LazyLock;

use aims_oauth_wire::Error;
use aims_oauth_wire::metadata::{ResourceMetadata, well_known};
use aims_oauth_wire::names::Resource;
use serde_json::Value;

use crate::{Outcome, refused};

/// Parses one document for a resource, and for a resource beneath it. Accepted if the first is
/// valid.
pub fn resource_metadata(data: &[u8]) -> Outcome {
    let asked = &*RESOURCE;
    check_resource(data);
    let within = ResourceMetadata::parse_within(data, asked);
    match &within {
        Ok(read) => {
            assert!(asked.is_within(read.resource()));
            check(read, data);
        }
        Err(error) => drop(refused(error.code(), &[Error::CODES])),
    }
    match ResourceMetadata::parse(data, asked) {
        Ok(read) => {
            assert_eq!(read.resource(), asked);
            assert!(within.is_ok_and(|it| it.to_json() == read.to_json()));
            Outcome::Accepted
        }
        Err(error) => {
            // Only the rule for a resource beneath it accepts the others.
            assert!(within.is_err() || error.code() == "metadata.resource");
            refused(error.code(), &[Error::CODES])
        }
    }
}

static RESOURCE: LazyLock<Resource> = LazyLock::new(|| match "https://tools.example/mcp".parse() {
    Ok(resource) => resource,
    Err(error) => unreachable!("{error}"),
});

/// A parsed document is written so that it parses to the same, is written the same, and has no
/// member that the document did not have.
fn check(read: &ResourceMetadata, data: &[u8]) {
    let json = read.to_json();
    let Ok(again) = ResourceMetadata::parse(json.as_bytes(), read.resource()) else {
        unreachable!("{json} is not read again");
    };
    assert_eq!(again.to_json(), json);
    assert_eq!(again.authorization_servers(), read.authorization_servers());
    for server in read.authorization_servers() {
        assert!(server.as_str().starts_with("https://"));
    }
    let (Ok(Value::Object(written)), Ok(value)) = (
        serde_json::from_str(&json),
        serde_json::from_slice::<Value>(data),
    ) else {
        return;
    };
    for (name, member) in &written {
        match name.as_str() {
            // A set, in its own order.
            "scopes_supported" => {
                let all = value.get(name).and_then(Value::as_array);
                let scopes = member.as_array().map(Vec::as_slice).unwrap_or_default();
                assert!(
                    scopes
                        .iter()
                        .all(|it| all.is_some_and(|all| all.contains(it)))
                );
            }
            // The URL must be a string, because a request is sent to it.
            "jwks_uri" => assert!(value.get(name).is_some_and(Value::is_string)),
            // Unusable entries are left out.
            "authorization_servers" | "bearer_methods_supported" => {
                let all = value.get(name).and_then(Value::as_array);
                let own = member.as_array().map(Vec::as_slice).unwrap_or_default();
                assert!(own.iter().all(|it| all.is_some_and(|all| all.contains(it))));
            }
            // A malformed boolean counts as true.
            _ if member.is_boolean() => assert_ne!(value.get(name), Some(&Value::Bool(false))),
            _ => assert_eq!(value.get(name), Some(member), "{name}"),
        }
    }
}

/// The URLs of the metadata of a resource are on the resource's own host, for every resource.
fn check_resource(data: &[u8]) {
    let value = serde_json::from_slice::<Value>(data).unwrap_or_default();
    let Some(text) = value.get("resource").and_then(Value::as_str) else {
        return;
    };
    let resource = match Resource::loopback(text) {
        Ok(resource) => resource,
        Err(error) => {
            assert_eq!(error.code(), "oauth.resource");
            return;
        }
    };
    assert_eq!(resource.as_str(), text);
    assert!(resource.is_within(&resource));
    match well_known::resource_candidates(&resource) {
        Ok(all) => {
            let origin = url::Url::parse(text).map(|url| url.origin());
            for url in &all {
                assert_eq!(
                    url::Url::parse(url.as_str()).map(|url| url.origin()),
                    origin
                );
                assert!(
                    url.as_str()
                        .contains("/.well-known/oauth-protected-resource")
                );
            }
        }
        Err(error) => assert!(matches!(error.code(), "oauth.endpoint" | "oauth.resource")),
    }
}
