//! The answers of a well-known URL that lead to the next one, and the message of the error.

#![expect(
    clippy::panic,
    clippy::unwrap_used,
    reason = "a test fails by panicking"
)]

use aims_error::ErrorKind;
use aims_jose::Chain;
use aims_oauth_client::discovery::{self, PendingServer, Step};
use aims_oauth_client::{Error, Event, Flow as _};
use aims_oauth_wire::metadata::ServerMetadata;
use aims_oauth_wire::names::{Endpoint, Issuer};
use http::Response;

const OAUTH: &str = "https://as.example/.well-known/oauth-authorization-server";
const OPENID: &str = "https://as.example/.well-known/openid-configuration";
const GOOD: &str = r#"{"issuer":"https://as.example","token_endpoint":"https://as.example/token"}"#;

fn issuer() -> Issuer {
    "https://as.example".parse().unwrap()
}

fn answer(status: u16, kind: &str, body: &str) -> Response<Vec<u8>> {
    let answer = Response::builder().status(status);
    let answer = answer.header("content-type", kind);
    answer.body(body.as_bytes().to_vec()).unwrap()
}

fn json(status: u16, body: &str) -> Response<Vec<u8>> {
    answer(status, "application/json", body)
}

fn first(answer: &Response<Vec<u8>>) -> Result<Step<ServerMetadata, PendingServer>, Error> {
    discovery::server(&issuer()).unwrap().1.finish(answer)
}

/// Returns the next URL after this answer.
fn next(answer: &Response<Vec<u8>>) -> PendingServer {
    match first(answer) {
        Ok(Step::Send(request, pending)) => {
            assert_eq!(request.uri(), OPENID);
            pending
        }
        other => panic!("no next place: {other:?}"),
    }
}

/// Returns how discovery ends: the code, the kind, and the message.
fn end(answer: &Response<Vec<u8>>) -> (&'static str, ErrorKind, String) {
    let error = first(answer).unwrap_err();
    (error.code(), error.kind(), Chain(&error).to_string())
}

/// A 4xx means that there is no document here: Cognito answers 400, others 401, 403, 405 and 410.
#[test]
fn a_4xx_leads_to_the_next_place() {
    for status in (400..500).filter(|it| ![408, 421, 425, 429].contains(it)) {
        let pending = next(&json(status, r#"{"message":"Bad request"}"#));
        let found = pending.finish(&json(200, GOOD));
        assert!(matches!(found, Ok(Step::Done(_))), "{status}");
    }
}

/// A web application answers every path with its page.
#[test]
fn a_page_leads_to_the_next_place() {
    for (kind, body) in [
        (
            "text/html; charset=utf-8",
            "<!doctype html><title>App</title>",
        ),
        ("application/json", ""),
        ("application/json", "null"),
        ("text/plain", "not found"),
    ] {
        let pending = next(&answer(200, kind, body));
        let found = pending.finish(&json(200, GOOD));
        assert!(matches!(found, Ok(Step::Done(_))), "{kind} {body}");
    }
}

/// A page that is longer than any document leads to the next URL, but an object of that length ends
/// discovery.
#[test]
fn a_page_that_is_too_long_leads_to_the_next_place() {
    let now = aims_jose::time::UnixTime::now();
    let failing = |body: &'static str| {
        let error = aims_fetch::Error::body_too_long(1, &Response::new(body));
        let pending = discovery::server(&issuer()).unwrap().1;
        pending.advance(Event::NoAnswer(&error), now)
    };
    let Ok(Step::Send(request, pending)) = failing("\n<!doctype html>") else {
        panic!("no next place")
    };
    assert_eq!(request.uri(), OPENID);
    let found = pending.finish(&json(200, GOOD));
    assert!(matches!(found, Ok(Step::Done(_))));
    let ended = failing("{\"issuer\":").unwrap_err();
    assert_eq!(ended.kind(), ErrorKind::Unavailable);
    assert_eq!(ended.code(), "grant.transport");
}

/// A temporary failure does not lead to the next URL: the document may be here, and an overloaded
/// server must not make clients use a lesser one.
#[test]
fn what_is_unavailable_ends_the_attempt() {
    for status in [302, 307, 408, 421, 425, 429, 500, 502, 503, 504] {
        let (code, kind, told) = end(&json(status, GOOD));
        assert_eq!(
            (code, kind),
            ("metadata.response", ErrorKind::Unavailable),
            "{status}"
        );
        assert!(
            told.contains(OAUTH) && told.contains(&status.to_string()),
            "{told}"
        );
    }
    let (code, kind, told) = end(&json(200, r#"{"issuer":"https://as.example","#));
    assert_eq!((code, kind), ("metadata.json", ErrorKind::Unavailable));
    assert!(told.contains(OAUTH), "{told}");
    let (_, pending) = discovery::server(&issuer()).unwrap();
    let event = Event::NoAnswer(&aims_fetch::Error::Timeout);
    let error = pending.advance(event, aims_jose::time::UnixTime::now());
    let error = error.unwrap_err();
    assert_eq!(
        (error.code(), error.kind()),
        ("grant.transport", ErrorKind::Unavailable)
    );
    assert!(error.to_string().contains("fetch.timeout"), "{error}");
}

/// An attacker who controls one URL gains nothing: a document of another issuer ends discovery, and
/// so does a document that is declared as HTML.
#[test]
fn a_document_that_is_wrong_ends_the_attempt() {
    let other = GOOD.replace("\"https://as.example\"", "\"https://evil.example\"");
    let (code, kind, told) = end(&json(200, &other));
    assert_eq!((code, kind), ("metadata.issuer", ErrorKind::Mismatch));
    assert!(told.contains(OAUTH), "{told}");
    let (code, _, _) = end(&answer(200, "text/html", GOOD));
    assert_eq!(code, "metadata.response");
}

/// The error names each URL and its status.
#[test]
fn the_error_names_every_place() {
    let pending = next(&json(403, "{}"));
    let error = pending
        .finish(&answer(200, "text/html", "<p>"))
        .unwrap_err();
    assert_eq!(error.code(), "discovery.not_found");
    let told = error.to_string();
    for part in [OAUTH, OPENID, "403", "200", "text/html"] {
        assert!(told.contains(part), "{told}");
    }
}

/// A refresh asks only the URL that returned the document.
#[test]
fn a_refresh_asks_the_known_place_alone() {
    let pending = next(&json(404, "{}"));
    let place: Endpoint = pending.place().clone();
    assert_eq!(place.as_str(), OPENID);
    let again = || discovery::server_at(&issuer(), &place).unwrap();
    let (request, pending) = again();
    assert_eq!(request.uri(), OPENID);
    assert!(matches!(
        pending.finish(&json(200, GOOD)),
        Ok(Step::Done(_))
    ));
    for status in [404, 410, 200] {
        let error = again().1.finish(&json(status, "")).unwrap_err();
        assert_eq!(error.code(), "discovery.not_found", "{status}");
    }
}

/// A flow that never waits refuses the event that a wait is over.
#[test]
fn a_wait_that_was_not_asked_for_ends_the_flow() {
    let (_, pending) = discovery::server(&issuer()).unwrap();
    let ended = pending.advance(Event::Waited, aims_jose::time::UnixTime::now());
    assert_eq!(ended.unwrap_err().code(), "grant.interrupted");
}
