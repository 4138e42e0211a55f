//! Metadata of authorization servers.

use std::sync::LazyLock;

use aims_oauth_wire::Error;
use aims_oauth_wire::metadata::{
    EndpointKind, MAX_METADATA, ServerMetadata, Switch, document, well_known,
};
use aims_oauth_wire::names::Issuer;
use http::Response;
use http::header::{CONTENT_TYPE, HeaderValue};
use serde_json::Value;

use crate::{Outcome, refused};

/// Parses one document for an issuer on the web and for one on this machine. Accepted if either is
/// valid.
pub fn server_metadata(data: &[u8]) -> Outcome {
    let [web, local] = &*ISSUERS;
    // A response with the media type of a web page is refused.
    let mut page = Response::new(data.to_vec());
    let html = HeaderValue::from_static("text/html");
    page.headers_mut().insert(CONTENT_TYPE, html);
    let plain = document(&page).map_or_else(|it| it.code(), |_| "ok");
    assert_eq!(plain, "metadata.response");
    check_issuer(data);
    let read = match ServerMetadata::parse(data, web) {
        Ok(read) => {
            check(&read, data, web);
            other(data, local);
            return Outcome::Accepted;
        }
        Err(error) => refused(error.code(), &[Error::CODES]),
    };
    match ServerMetadata::parse(data, local) {
        Ok(found) => {
            check(&found, data, local);
            assert_eq!(read, Outcome::Refused("metadata.issuer"));
            Outcome::Accepted
        }
        Err(error) => {
            refused(error.code(), &[Error::CODES]);
            read
        }
    }
}

static ISSUERS: LazyLock<[Issuer; 2]> = LazyLock::new(|| {
    ["https://as.example", "http://localhost:8080/as"].map(|text| match Issuer::loopback(text) {
        Ok(issuer) => issuer,
        Err(error) => unreachable!("{error}"),
    })
});

fn other(data: &[u8], issuer: &Issuer) {
    let code = ServerMetadata::parse(data, issuer).map_or_else(|it| it.code(), |_| "ok");
    assert_eq!(code, "metadata.issuer", "a document of two issuers");
}

/// The result has the values that serde reads, and no URL that is weaker than its issuer.
fn check(read: &ServerMetadata, data: &[u8], issuer: &Issuer) {
    assert!(data.len() <= MAX_METADATA);
    assert!(read.issuer().equals_in_discovery(issuer));
    let strict = ServerMetadata::parse_for(data, issuer, EndpointKind::ALL);
    assert!(strict.is_ok() || !read.diagnostics().is_empty());
    let web = issuer.as_str().starts_with("https:");
    for kind in EndpointKind::ALL {
        let url = read.endpoint(*kind);
        assert_eq!(read.required(*kind).is_ok(), url.is_some());
        if let Some(url) = url {
            assert!(url.as_str().starts_with("https://") || !web);
        }
    }
    // Serde refuses some documents, such as a number out of range in an unknown member. These
    // cannot be compared.
    let Ok(value) = serde_json::from_slice::<Value>(data) else {
        return;
    };
    assert_eq!(
        value.get("issuer").and_then(Value::as_str),
        Some(read.issuer().as_str())
    );
    for kind in EndpointKind::ALL {
        let written = value.get(kind.member()).and_then(Value::as_str);
        assert!(written.is_some() || read.endpoint(*kind).is_none());
    }
    for switch in Switch::ALL {
        let is_off = match value.get(switch.member()) {
            None | Some(Value::Null | Value::Bool(false)) => true,
            Some(_) => false,
        };
        assert_eq!(read.is_on(*switch), !is_off, "{switch:?}");
    }
    for (name, list) in [
        (
            "code_challenge_methods_supported",
            read.code_challenge_methods_supported(),
        ),
        ("scopes_supported", read.scopes_supported()),
        (
            "token_endpoint_auth_methods_supported",
            read.token_endpoint_auth_methods_supported(),
        ),
    ] {
        let written = strings(value.get(name));
        // An empty list counts as absent, except for one whose absence would allow more.
        let written = written.filter(|it| !it.is_empty() || list.is_some());
        assert_eq!(written.as_deref(), list, "{name}");
    }
    let algorithms = strings(value.get("token_endpoint_auth_signing_alg_values_supported"));
    assert!(!algorithms.iter().flatten().any(|it| it == "none"));
    assert_eq!(
        read.token_endpoint_auth_algorithms().is_some(),
        algorithms.is_some()
    );
    for method in read
        .token_endpoint_auth_methods_supported()
        .unwrap_or_default()
    {
        assert!(read.takes_client_auth(method));
    }
}

fn strings(value: Option<&Value>) -> Option<Vec<String>> {
    let all = value?.as_array()?.iter();
    Some(all.filter_map(Value::as_str).map(str::to_owned).collect())
}

/// The URLs of the metadata of an issuer are on the issuer's own host, for every issuer.
fn check_issuer(data: &[u8]) {
    let value = serde_json::from_slice::<Value>(data).unwrap_or_default();
    let Some(text) = value.get("issuer").and_then(Value::as_str) else {
        return;
    };
    let issuer = match Issuer::loopback(text) {
        Ok(issuer) => issuer,
        Err(error) => {
            assert_eq!(error.code(), "oauth.issuer");
            return;
        }
    };
    assert_eq!(issuer.as_str(), text);
    assert!(text.parse::<Issuer>().is_ok() || text.starts_with("http:"));
    match well_known::server_candidates(&issuer) {
        Ok(all) => {
            let origin = url::Url::parse(text).map(|url| url.origin());
            for url in &all {
                assert_eq!(
                    url::Url::parse(url.as_str()).map(|url| url.origin()),
                    origin
                );
                assert!(url.as_str().contains("/.well-known/"));
            }
        }
        Err(error) => assert_eq!(error.code(), "oauth.endpoint"),
    }
}
