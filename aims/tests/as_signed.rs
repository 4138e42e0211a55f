//! The bytes that were signed are the bytes that a listener receives.

#![cfg(all(feature = "agent", feature = "tool"))]
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod common;
mod signed;

use aims::Agent;
use aims::agent::{Body, RequestAuth};
use aims::fetch::Fetcher;
use aims::guard::HttpSignatures;
use aims::wpt::fields;
use bytes::Bytes;
use common::{NOW, World, at, told};
use http::{Request, Response, Uri};
use http_body_util::Full;
use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};
use signed::{AGENT, Then, source};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;
use tower::{BoxError, ServiceExt as _};

const ANSWER: &[u8] = b"HTTP/1.1 204 No Content\r\nconnection: close\r\n\r\n";
const CONTENT: &[u8] = b"{\"city\":\"Oslo\"}";

/// Texts that may occur in a URI. Some clients rewrite a few of them.
fn targets() -> impl Strategy<Value = String> {
    const SEGMENTS: [&str; 22] = [
        "", "a", ".", "..", "%2e", "%2E%2e", ".%2E", "b;c", "d,e", "f%2Fg", "%7E", "~h", "@", ":",
        "a=b&c", "%5C", "%zz", "\"", "{x}", "*", "(i)", "'",
    ];
    const QUERIES: [&str; 12] = [
        "", "?", "?x=1", "?/../b", "?%2e", "?a;b,c", "??", "?x='y'", "?\"", "?[]", "?a=b&a=c", "?%",
    ];
    let path = prop::collection::vec(prop::sample::select(&SEGMENTS[..]), 0..5);
    (path, prop::sample::select(&QUERIES[..])).prop_map(|(path, query)| {
        let path: String = path.iter().flat_map(|it| ["/", it]).collect();
        format!("{path}{query}")
    })
}

fn hosts() -> impl Strategy<Value = &'static str> {
    prop::sample::select(
        &[
            "127.0.0.1:PORT",
            "localhost:PORT",
            "LocalHost:PORT",
            "127.0.0.1:0PORT",
            "127.1:PORT",
            "localhost.:PORT",
            "127.0.0.1:80",
            "localhost:",
        ][..],
    )
}

/// Accepts one connection, and returns the head, parsed by hand, and the content.
async fn received(listener: &TcpListener) -> (Request<()>, String, Vec<u8>) {
    let (mut stream, _) = listener.accept().await.unwrap();
    let mut bytes = Vec::new();
    let (head, content) = loop {
        let mut more = [0; 4096];
        let length = stream.read(&mut more).await.unwrap();
        bytes.extend(more.iter().take(length));
        let end = bytes.windows(4).position(|it| it == b"\r\n\r\n");
        if let Some(end) = end
            && bytes.len() >= end + 4 + CONTENT.len()
        {
            let (head, content) = bytes.split_at(end + 4);
            break (String::from_utf8(head.to_vec()).unwrap(), content.to_vec());
        }
        assert!(length > 0, "{bytes:?}");
    };
    stream.write_all(ANSWER).await.unwrap();
    let mut lines = head.trim_end().split("\r\n");
    let mut start = lines.next().unwrap().split(' ');
    let (method, target) = (start.next().unwrap(), start.next().unwrap());
    assert_eq!((start.next(), start.next()), (Some("HTTP/1.1"), None));
    let mut request = Request::builder().method(method).uri(target);
    for line in lines {
        let (name, value) = line.split_once(": ").unwrap();
        request = request.header(name, value);
    }
    (request.body(()).unwrap(), target.to_owned(), content)
}

/// The ways in which an agent sends.
#[derive(Clone, Copy, Debug)]
enum Way {
    Send,
    Layer,
}

async fn send(agent: &Agent, way: Way, client: reqwest::Client, uri: Uri) -> &'static str {
    let request = Request::post(uri).header("content-type", "application/json");
    match way {
        Way::Send => {
            let request = request.body(Full::<Bytes>::from(CONTENT)).unwrap();
            let sent = agent.send(request).await;
            sent.map_or_else(|error| error.code(), |_| "ok")
        }
        Way::Layer => {
            let request = request.body(Full::<Bytes>::from(CONTENT)).unwrap();
            let client = tower::service_fn(move |request| carry(client.clone(), request));
            let layer = agent.layer();
            let sent = tower::Layer::layer(&layer, client).oneshot(request).await;
            sent.map_or_else(|error| error.code(), |_| "ok")
        }
    }
}

/// The code from the documentation of `Agent::layer`.
async fn carry(
    client: reqwest::Client,
    request: Request<Body>,
) -> Result<Response<reqwest::Body>, BoxError> {
    let target = request.uri().to_string();
    let request: reqwest::Request = request.map(reqwest::Body::wrap).try_into()?;
    if request.url().as_str() != target {
        return Err("the URL would be sent as another one".into());
    }
    Ok(client.execute(request).await?.into())
}

/// Agents for each method, with one client.
struct Senders {
    world: World,
    agents: [Agent; 2],
    client: reqwest::Client,
}

impl Senders {
    fn new() -> Self {
        let local = || Fetcher::builder().allow_loopback_http();
        let fetcher = local().build().unwrap();
        let world = World::new();
        let agent = |method| {
            let agent = Agent::builder(source(&world.agent(AGENT))).clock(Then(NOW));
            let agent = agent.proof(method).client(fetcher.clone());
            agent.build().unwrap()
        };
        Self {
            agents: [agent(RequestAuth::HttpSignature), agent(RequestAuth::Wpt)],
            client: local().http_client().unwrap(),
            world,
        }
    }
}

/// Sends a request and returns whether it was sent. If so, checks that it is what was signed or
/// proven.
async fn holds(senders: &Senders, way: Way, method: usize, host: &str, target: &str) -> bool {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port().to_string();
    let host = host.replace("PORT", &port);
    let Ok(uri) = format!("http://{host}{target}").parse::<Uri>() else {
        return false;
    };
    let agent = senders.agents.get(method).unwrap();
    let client = senders.client.clone();
    let code = tokio::select! {
        code = send(agent, way, client, uri.clone()) => code,
        (request, sent, content) = received(&listener) => {
            let target = uri.path_and_query().unwrap().as_str();
            // An empty path is sent as `/` (RFC 9112 §3.2.1). A signature over an empty path with a
            // query is refused.
            assert_eq!(sent.strip_prefix('/'), target.strip_prefix('/').or(Some(target)));
            assert_eq!(request.headers()["host"], *uri.authority().unwrap().as_str());
            let audience = fields::audience(&uri).unwrap();
            let guard = aims::Guard::builder(format!("http://{host}"))
                .trust(senders.world.trust.clone())
                .proof_audience(audience)
                .wpt_revisions(aims::wpt::Revisions::BOTH)
                .http_signatures(HttpSignatures::new())
                .build()
                .unwrap();
            let (head, ()) = request.into_parts();
            let verdict = guard.check((&head, &content), at(NOW));
            assert_eq!(told(verdict).0, "ok", "{uri}");
            return true;
        }
    };
    let refused = match way {
        Way::Send => ["fetch.rewritten", "fetch.scheme", "sig.target"].as_slice(),
        Way::Layer => ["agent.client", "sig.target"].as_slice(),
    };
    assert!(refused.contains(&code), "{uri}: {code}");
    false
}

/// T-075: a target is sent as it was signed, or refused before with a code.
#[test]
fn what_is_sent_is_what_was_signed() {
    let senders = Senders::new();
    let runtime = tokio::runtime::Builder::new_current_thread();
    let runtime = { runtime }.enable_all().build().unwrap();
    let ways = prop::sample::select(&[Way::Send, Way::Layer][..]);
    let mut runner = TestRunner::new(Config {
        failure_persistence: None,
        ..Config::with_cases(300)
    });
    let case = (ways, 0_usize..2, hosts(), targets());
    runner
        .run(&case, |(way, method, host, target)| {
            runtime.block_on(holds(&senders, way, method, host, &target));
            Ok(())
        })
        .unwrap();
    for way in [Way::Send, Way::Layer] {
        let sent =
            |host: &str, target: &str| runtime.block_on(holds(&senders, way, 0, host, target));
        for target in ["", "/", "/a;b", "/a,b", "/a?", "/a%2Fb?x=1", "//a"] {
            assert!(sent("127.0.0.1:PORT", target), "{way:?} {target}");
        }
        for target in ["/a/../b", "/a/%2e%2e/b", "/.", "/\"", "?", "?x=1"] {
            assert!(!sent("127.0.0.1:PORT", target), "{way:?} {target}");
        }
        for host in ["LOCALHOST:PORT", "127.0.0.1:80", "127.1:PORT"] {
            assert!(!sent(host, "/a"), "{way:?} {host}");
        }
    }
}
