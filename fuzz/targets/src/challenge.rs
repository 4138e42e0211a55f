//! Challenges.

use aims_oauth_wire::Error;
use aims_oauth_wire::challenge::{
    Challenge, Challenges, MAX_CHALLENGE_BYTES, MAX_CHALLENGE_PARAMETERS, MAX_CHALLENGES,
    MAX_RESOURCE_METADATA,
};
use aims_oauth_wire::names::Resource;
use http::header::{HeaderMap, HeaderValue, WWW_AUTHENTICATE};

use crate::head::lines;
use crate::{Outcome, refused};

/// Parses the `WWW-Authenticate` fields of a response, one value per line. Accepted if there is a
/// challenge.
pub fn challenge(data: &[u8]) -> Outcome {
    let values = lines(data).filter_map(|line| HeaderValue::from_bytes(line).ok());
    let all = match parse(values) {
        Ok(all) => all,
        Err(error) => return refused(error.code(), &[Error::CODES]),
    };
    assert!(all.iter().count() <= MAX_CHALLENGES);
    all.iter().for_each(check);
    check_written(&all);
    check_found(&all);
    if all.is_empty() {
        Outcome::Refused("no challenge")
    } else {
        Outcome::Accepted
    }
}

fn parse(values: impl Iterator<Item = HeaderValue>) -> Result<Challenges, Error> {
    let mut headers = HeaderMap::new();
    for value in values {
        // The map has room for thousands of fields.
        drop(headers.try_append(WWW_AUTHENTICATE, value));
    }
    Challenges::parse(&headers)
}

fn check(challenge: &Challenge) {
    assert!(Challenge::new(challenge.scheme()).is_ok());
    assert!(challenge.is(&challenge.scheme().to_ascii_uppercase()));
    let parameters: Vec<_> = challenge.parameters().collect();
    assert!(parameters.len() <= MAX_CHALLENGE_PARAMETERS);
    assert!(challenge.token68().is_none() || parameters.is_empty());
    for (name, value) in parameters {
        assert!(!name.bytes().any(|byte| byte.is_ascii_uppercase()));
        // A name occurs once, except for locations of metadata.
        assert!(challenge.get(name) == Some(value) || name == "resource_metadata");
        check_value(value);
    }
    if let Err(error) = challenge.scope() {
        assert_eq!(error.code(), "oauth.scope");
    }
    let ascii = challenge.to_string().is_ascii();
    assert_eq!(challenge.to_header_value().is_ok(), ascii);
}

/// A valid value is written so that it parses to the same value.
fn check_value(value: &str) {
    match Challenge::bearer().with_realm(value) {
        Ok(written) => {
            let read = written.to_header_value().ok();
            let read = read.and_then(|value| parse([value].into_iter()).ok());
            assert!(read.is_some_and(|it| it.bearer() == Some(&written)));
        }
        Err(error) if value.len() > 4096 && error.code() == "challenge.size" => {}
        Err(error) => {
            assert_eq!(error.code(), "challenge.value");
            assert!(!value.bytes().all(|byte| matches!(byte, 0x20..=0x7e)));
        }
    }
}

/// Written challenges parse to the same, one per field or all in one.
fn check_written(all: &Challenges) {
    let texts: Vec<String> = all.iter().map(ToString::to_string).collect();
    for form in [texts.clone(), vec![texts.join(", ")]] {
        let long = form.iter().map(String::len).sum::<usize>() > MAX_CHALLENGE_BYTES;
        let values = form.iter().map(|it| HeaderValue::from_bytes(it.as_bytes()));
        let values: Result<Vec<_>, _> = values.collect();
        let Ok(values) = values else {
            unreachable!("no field can carry {form:?}");
        };
        match parse(values.into_iter()) {
            Ok(again) => {
                assert!(again.iter().eq(all.iter()));
                assert!(again.diagnostics().is_empty());
            }
            Err(error) => assert!(
                long && error.code() == "challenge.size",
                "{error}: {form:?}"
            ),
        }
    }
}

/// A lookup returns the first match, and a location of metadata is `https`.
fn check_found(all: &Challenges) {
    let bearer = all.of("bearer").next();
    assert_eq!(all.bearer(), bearer);
    let Ok(resource) = "https://tools.example/mcp".parse::<Resource>() else {
        unreachable!("a constant");
    };
    let places = all.resource_metadata_places(&resource);
    assert!(places.len() <= MAX_RESOURCE_METADATA);
    match all.resource_metadata(&resource) {
        Ok(Some(url)) => {
            assert!(url.as_str().starts_with("https://"));
            assert_eq!(places.first(), Some(&url));
        }
        Ok(None) => {
            let named = |it: &Challenge| it.get("resource_metadata").is_some();
            assert!(!all.iter().any(named));
        }
        Err(error) => assert_eq!(error.code(), "oauth.endpoint"),
    }
}
