//! An access token is opaque to its client (RFC 9068 §6, ATJ-20), and a server is described by one
//! document (META-06).

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::time::Duration;

use aims_jose::secret::SecretText;
use aims_jose::time::UnixTime;
use aims_oauth_client::discovery::{self, Step};
use aims_oauth_client::{ClientCredentials, Token};
use aims_oauth_wire::client_auth::ClientSecretBasic;
use aims_oauth_wire::metadata::ServerMetadata;
use http::Response;
use serde_json::{Value, json};

const NOW: u64 = 1_800_000_000;

fn at(seconds: u64) -> UnixTime {
    UnixTime::since_unix_epoch(Duration::from_secs(seconds))
}

fn answer(status: u16, body: &Value) -> Response<Vec<u8>> {
    let response = Response::builder().status(status);
    let response = response.header("content-type", "application/json");
    let response = response.header("cache-control", "no-store");
    response.body(body.to_string().into_bytes()).unwrap()
}

fn got(text: &str) -> Token {
    let document =
        json!({"issuer": "https://as.example", "token_endpoint": "https://as.example/token"});
    let issuer = "https://as.example".parse().unwrap();
    let server = ServerMetadata::parse(document.to_string().as_bytes(), &issuer).unwrap();
    let client = ClientSecretBasic::new("agent".parse().unwrap(), SecretText::new("secret"));
    let wanted = ClientCredentials::new("https://tools.example/mcp".parse().unwrap());
    let wanted = wanted.scopes("read".parse().unwrap());
    let (_, pending) = wanted.prepare(&client, &server, at(NOW)).unwrap();
    let body = json!({"access_token": text, "token_type": "Bearer", "expires_in": 300});
    pending.finish(&answer(200, &body), at(NOW)).unwrap()
}

/// ATJ-20: the content of a token changes nothing: it may have expired, be for others, be of
/// another kind, or not be a JWT.
#[test]
fn nothing_in_a_token_is_read() {
    let jwt = |header: Value, claims: Value| {
        let part = |it: Value| aims_jose::base64url::encode(it.to_string().as_bytes());
        format!("{}.{}.AAAA", part(header), part(claims))
    };
    let claims = json!({"iss": "https://evil.example", "aud": "https://b.example", "exp": 1, "scope": "admin"});
    for text in [
        jwt(json!({"alg": "ES256", "typ": "at+jwt"}), claims.clone()),
        jwt(json!({"alg": "none"}), claims),
        jwt(json!("x"), json!([])),
        "e30.e30.".to_owned(),
        "opaque".to_owned(),
    ] {
        let token = got(&text);
        assert_eq!(token.expires(), at(NOW + 300), "{text}");
        assert_eq!(token.resource().as_str(), "https://tools.example/mcp");
        assert!(token.scopes().contains("read") && !token.scopes().contains("admin"));
        let mut headers = http::HeaderMap::new();
        token.apply(&mut headers).unwrap();
        let sent = headers.get("authorization").unwrap();
        assert_eq!(sent.to_str().unwrap(), format!("Bearer {text}"));
    }
}

/// Checks whether a type implements a trait: the inherent constant takes precedence over the
/// trait's, if its bound holds.
macro_rules! implements {
    ($type:ty: $($bound:tt)+) => {{
        #[allow(dead_code, reason = "used where the bound does not hold")]
        trait Otherwise {
            const IS: bool = false;
        }
        impl<T: ?Sized> Otherwise for T {}
        struct Asked<T: ?Sized>(std::marker::PhantomData<T>);
        #[allow(dead_code, reason = "used where the bound holds")]
        impl<T: ?Sized + $($bound)+> Asked<T> {
            const IS: bool = true;
        }
        <Asked<$type>>::IS
    }};
}

/// ATJ-20, T-138: only `apply` reveals the text of a token: nothing else returns its text or bytes,
/// or copies it.
#[test]
fn a_token_gives_its_text_to_a_header_alone() {
    assert!(implements!(String: std::fmt::Display) && implements!(Token: std::fmt::Debug));
    assert!(!implements!(Token: std::fmt::Display));
    assert!(!implements!(Token: AsRef<str>));
    assert!(!implements!(Token: AsRef<[u8]>));
    assert!(!implements!(Token: Into<String>));
    assert!(!implements!(Token: Into<SecretText>));
    assert!(!implements!(Token: std::ops::Deref));
    assert!(!implements!(Token: Clone));
    // A log of the field hides it.
    let mut headers = http::HeaderMap::new();
    got("t").apply(&mut headers).unwrap();
    assert!(headers.values().all(http::HeaderValue::is_sensitive));
    assert_eq!(headers.len(), 1);
}

/// META-06: one document describes a server: a missing member is not taken from the next document,
/// and members of an earlier document are not kept.
#[test]
fn documents_are_never_mixed() {
    let begin = || {
        discovery::server(&"https://as.example".parse().unwrap())
            .unwrap()
            .1
    };
    let first = json!({"issuer": "https://as.example", "jwks_uri": "https://as.example/one"});
    let second =
        json!({"issuer": "https://as.example", "token_endpoint": "https://as.example/token"});
    let Step::Done(found) = begin().finish(&answer(200, &first)).unwrap() else {
        panic!("it was there");
    };
    assert!(found.token_endpoint().is_err());
    // A 404 is not a document, whatever its body is.
    let Step::Send(_, pending) = begin().finish(&answer(404, &first)).unwrap() else {
        panic!("there is a second place");
    };
    let Step::Done(found) = pending.finish(&answer(200, &second)).unwrap() else {
        panic!("it was there");
    };
    assert!(found.token_endpoint().is_ok());
    assert!(found.jwks_uri().is_err());
}
