//! The metadata URLs that the challenge of a tool names (RFC 9728 §5.1).

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use aims_oauth_client::discovery::{self, Step};
use aims_oauth_client::{Event, Flow as _};
use aims_oauth_wire::metadata::ResourceMetadata;
use aims_oauth_wire::names::{Endpoint, Resource};
use http::Response;
use serde_json::json;

const ONE: &str = "https://tools.example/one";
const TWO: &str = "https://tools.example/two";
const THREE: &str = "https://tools.example/three";

fn tool() -> Resource {
    "https://tools.example/mcp".parse().unwrap()
}

fn places(all: &[&str]) -> Vec<Endpoint> {
    all.iter().map(|it| it.parse().unwrap()).collect()
}

fn document(resource: &str) -> Response<Vec<u8>> {
    let body = json!({"resource": resource, "authorization_servers": ["https://as.example"]});
    let answer = Response::builder().header("content-type", "application/json");
    answer.body(body.to_string().into_bytes()).unwrap()
}

fn status(status: u16) -> Response<Vec<u8>> {
    let answer = Response::builder().status(status);
    answer.body(Vec::new()).unwrap()
}

fn good() -> Response<Vec<u8>> {
    document("https://tools.example/mcp")
}

/// Returns the URLs that are asked in order, and the result.
fn run(all: &[&str], answers: &[Response<Vec<u8>>]) -> (Vec<String>, &'static str) {
    let (mut request, mut pending) = discovery::resource(&tool(), places(all)).unwrap();
    let mut asked = Vec::new();
    for answer in answers {
        asked.push(request.uri().to_string());
        match pending.finish(answer) {
            Ok(Step::Done(found)) => {
                let found: ResourceMetadata = found;
                assert_eq!(found.resource(), &tool());
                return (asked, "ok");
            }
            Ok(Step::Send(next, more)) => (request, pending) = (next, more),
            Ok(Step::Wait(..) | Step::Sign(..)) => return (asked, "a wait"),
            Err(error) => return (asked, error.code()),
        }
    }
    (asked, "unfinished")
}

/// Two of several URLs are asked, and the document's `resource` decides. If the first has no
/// document, does not answer, or has another resource's document, the second is asked.
#[test]
fn two_places_are_tried() {
    for first in [
        status(404),
        status(500),
        document("https://tools.example/other"),
        document("https://evil.example/mcp"),
    ] {
        let (asked, told) = run(&[ONE, TWO, THREE], &[first, good()]);
        assert_eq!((told, asked), ("ok", vec![ONE.to_owned(), TWO.to_owned()]));
    }
    assert_eq!(run(&[ONE, TWO], &[good()]), (vec![ONE.to_owned()], "ok"));
    let (_, pending) = discovery::resource(&tool(), places(&[ONE, TWO])).unwrap();
    let event = Event::NoAnswer(&aims_fetch::Error::Timeout);
    let next = pending.advance(event, aims_jose::time::UnixTime::now());
    assert!(matches!(next, Ok(Step::Send(request, _)) if request.uri() == TWO));
}

/// A third URL is never asked, and no URL makes another resource's document acceptable.
#[test]
fn a_challenge_gains_nothing_by_many_places() {
    let evil = || document("https://evil.example/mcp");
    for (all, answers, expected) in [
        (
            &[ONE, TWO, THREE][..],
            vec![evil(), evil(), good()],
            "metadata.resource",
        ),
        (
            &[ONE, TWO, THREE],
            vec![status(404), status(404), good()],
            "discovery.not_found",
        ),
        (&[ONE, ONE], vec![evil(), good()], "metadata.resource"),
        (&[ONE], vec![evil(), good()], "metadata.resource"),
        (&[ONE], vec![status(500), good()], "metadata.response"),
    ] {
        let (asked, told) = run(all, &answers);
        assert_eq!(told, expected, "{all:?}");
        assert!(
            asked.len() <= 2 && !asked.contains(&THREE.to_owned()),
            "{asked:?}"
        );
    }
}
