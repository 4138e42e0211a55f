//! Metadata of protected resources.

use std::sync::LazyLock;

use aims_oauth_wire::Error;
use aims_oauth_wire::metadata::{ResourceMetadata, well_known};
use aims_oauth_wire::names::Resource;
use serde_json::Value;

use crate::{Outcome, refused};

/// One document is read for a resource, and as of what that resource is within. Accepted is the
/// first.
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
            // Beneath is what the one reading takes and the other does not.
            assert!(within.is_err() || error.code() == "metadata.resource");
            refused(error.code(), &[Error::CODES])
        }
    }
}

static RESOURCE: LazyLock<Resource> = LazyLock::new(|| match "https://tools.example/mcp".parse() {
    Ok(resource) => resource,
    Err(error) => unreachable!("{error}"),
});

/// What is written is read as the same and written the same, and says nothing that the document did
/// not say.
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
            // A set, in an order of its own.
            "scopes_supported" => {
                let all = value.get(name).and_then(Value::as_array);
                let scopes = member.as_array().map(Vec::as_slice).unwrap_or_default();
                assert!(
                    scopes
                        .iter()
                        .all(|it| all.is_some_and(|all| all.contains(it)))
                );
            }
            // As a request is sent there.
            "jwks_uri" => assert!(value.get(name).is_some_and(Value::is_string)),
            // Without what cannot be used.
            "authorization_servers" | "bearer_methods_supported" => {
                let all = value.get(name).and_then(Value::as_array);
                let own = member.as_array().map(Vec::as_slice).unwrap_or_default();
                assert!(own.iter().all(|it| all.is_some_and(|all| all.contains(it))));
            }
            // A switch that is malformed is on.
            _ if member.is_boolean() => assert_ne!(value.get(name), Some(&Value::Bool(false))),
            _ => assert_eq!(value.get(name), Some(member), "{name}"),
        }
    }
}

/// The places where the metadata of a resource are looked for are on the resource's own host,
/// whatever it is.
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
