//! A reverse proxy between agent and tool that ends TLS, as in most deployments.
//!
//! A client certificate ends at the proxy. A proof of the WIT's key passes through and is still
//! valid at the tool. In this example the proxy does what proxies do, and also what they should
//! not. The table shows which changes are detected: by the tool's guard with a workload proof token
//! (WPT), by the guard with an HTTP signature, and by an agent that requires signed answers.
//!
//! ```text
//! agent ── https ──▶ proxy ── http on loopback ──▶ guard ──▶ tool
//!
//! cargo run -p example-proxy
//! ```
//!
//! The proxy is nginx if that is installed, and otherwise a small one in this process. The program
//! ends with an error if a row has an unexpected result.

#![expect(clippy::print_stdout, reason = "it is a program that tells a story")]

mod inside;
mod meddling;
mod nginx;
mod parties;
mod tls;

use std::time::Duration;

use aims::Agent;
use aims::fetch::Fetcher;
use http::Request;
use http::header::CONTENT_TYPE;
use meddling::{ACCEPTED, ROWS, Row, UNNOTICED};
use parties::{Issuer, Reasons};
use tls::Tls;
use tokio::net::TcpListener;

type Failure = Box<dyn std::error::Error + Send + Sync>;

/// Explains the table.
const LEGEND: &str = "\
What the proxy does; what the tool's guard says of a request that is proven by a WPT, and of one that is proven by an HTTP
signature; and what the agent that signs makes of the answer. \
`accepted`: let in, and the tool acted on what the agent sent.
`NOT NOTICED`: the tool or the agent took what the proxy had changed, \
because that proof does not cover it. A guard signs no
refusal, so this agent takes none for the tool's word: `sig.response_unsigned`.
";

/// The content of the requests.
const ARGUMENTS: &str = r#"{"city":"Oslo"}"#;

#[tokio::main]
async fn main() -> Result<(), Failure> {
    tokio::time::timeout(Duration::from_secs(20), story()).await?
}

async fn story() -> Result<(), Failure> {
    // 1. The tool's port and the proxy. Only the proxy has a certificate; the tool listens for
    //    plain HTTP on loopback.
    let tls = Tls::new()?;
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let upstream = listener.local_addr()?;
    let proxy = match nginx::start(&tls, upstream).await? {
        Some(proxy) => proxy,
        None => inside::start(&tls, upstream).await?,
    };
    let url = format!("https://localhost:{}", proxy.port);
    println!("proxy      {url}, {}", proxy.name);
    println!("tool       http://{upstream}, which no caller uses as its name\n");

    // 2. The tool. Its guard needs the URL by which callers address it, which is that of the proxy.
    //    It does not take it from `Host` or from the port that the tool listens on.
    let (issuer, reasons) = (Issuer::new()?, Reasons::default());
    issuer.start_tool(listener, &format!("{url}/mcp"), &reasons)?;

    // 3. The agent, once with each kind of proof. It trusts the certification authority of the
    //    proxy, and the bundle of the tool's origin.
    let client = Fetcher::builder().allow_loopback_http();
    let client = client.root_certificate_pem(tls.ca.clone()).build()?;
    let [tokens, signatures] = issuer.agents(&client)?;

    // 4. The calls through the proxy.
    println!("{LEGEND}");
    println!(
        "{:<34} {:<14} {:<22} {:<22} as it should",
        "the proxy", "guard: WPT", "guard: HTTP signature", "agent: signed answer"
    );
    let mut wrong = 0_usize;
    for row in &ROWS {
        let wpt = send(&tokens, &url, row, &reasons).await?;
        let signature = send(&signatures, &url, row, &reasons).await?;
        let good = wpt.guard == row.wpt
            && signature.guard == row.signature
            && signature.answer == row.answer;
        wrong = wrong.saturating_add(usize::from(!good));
        println!(
            "{:<34} {:<14} {:<22} {:<22} {}",
            row.words,
            wpt.guard,
            signature.guard,
            signature.answer,
            if good { "yes" } else { "NO" }
        );
    }
    drop(proxy);
    if wrong > 0 {
        return Err(format!("{wrong} rows are not as they should be").into());
    }
    println!(
        "\nBoth proofs go through a proxy that ends TLS. A WPT is about the target and the tokens; a signature is about method, query, content and answer as well."
    );
    Ok(())
}

/// The result of one call: at the guard, and at the agent.
struct Outcome {
    guard: String,
    answer: String,
}

async fn send(agent: &Agent, url: &str, row: &Row, reasons: &Reasons) -> Result<Outcome, Failure> {
    let request = Request::post(format!("{url}{}", row.path));
    let request = request.header(CONTENT_TYPE, "application/json");
    let answer = agent.send(request.body(ARGUMENTS.to_owned())?).await;
    let guard = reasons.take();
    let answer = match answer {
        Err(error) => {
            let answer = error.code().to_owned();
            return Ok(Outcome { guard, answer });
        }
        Ok(answer) => answer,
    };
    let (head, body) = answer.into_parts();
    let content = body.bytes(1024 * 1024).await?;
    let as_sent = content == parties::expected(row.path, ARGUMENTS).as_bytes();
    let (guard, answer) = match (head.status.as_u16(), as_sent) {
        (200, true) => (guard, "verified".to_owned()),
        (200, false) if guard == ACCEPTED => (UNNOTICED.to_owned(), "verified".to_owned()),
        (status, _) => (guard, status.to_string()),
    };
    Ok(Outcome { guard, answer })
}
