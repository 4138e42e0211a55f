//! An agent that calls a tool. It begins with one secret, a bootstrap token, which it shows once;
//! from then on it has keys of its own, which it never shows, and which change while it runs.
//!
//! ```text
//! cargo run -p aims-cli -- authority serve \
//!     --agent spiffe://example.org/agent=agent.token --resource "http://127.0.0.1:8402/mcp tools:call"
//! cargo run -p example-tool
//! cargo run -p example-agent
//! ```
//!
//! `AUTHORITY_URL`, `TOOL_URL`, `BOOTSTRAP_TOKEN_FILE` and `ROUNDS` say otherwise. The README has
//! the whole walk.

#![expect(
    clippy::print_stdout,
    reason = "it is a program that says what it does"
)]

use std::process::ExitCode;
use std::time::Duration;

use aims::Agent;
use aims::cred::IdentitySource;
use aims::cred::enrolment::{self, EnrolmentProof, enrol};
use aims::fetch::Fetcher;
use aims::jose::secret::SecretText;
use aims::jose::time::{Clock as _, SystemClock};
use aims::jose::{Chain, provider};
use aims::oauth_client::{OfIdentity as _, TokenSource};
use aims::oauth_wire::client_auth::SpiffeWit;
use aims::oauth_wire::names::{Issuer, Resource};
use http::Request;

type Failure = Box<dyn std::error::Error + Send + Sync>;

#[tokio::main]
async fn main() -> ExitCode {
    let Err(failure) = run().await else {
        return ExitCode::SUCCESS;
    };
    // In words, each cause after what it led to.
    eprintln!("agent      {}", Chain(&*failure));
    ExitCode::FAILURE
}

async fn run() -> Result<(), Failure> {
    let authority = setting("AUTHORITY_URL", "http://127.0.0.1:8400");
    let tool = setting("TOOL_URL", "http://127.0.0.1:8402/mcp");
    let rounds = setting("ROUNDS", "1");
    let rounds: u32 = rounds.parse().map_err(|_error| "`ROUNDS` is a number")?;
    // Requests go to this machine and nowhere else, in this tutorial. Without the word it is
    // `https` to public addresses.
    let fetcher = Fetcher::builder().allow_loopback_http().build()?;

    // 1. Who am I? The agent makes a key, shows the bootstrap token and a proof of the key, and is
    //    given a WIT: a token by the authority that says which agent holds that key. It does not
    //    say who it is; the operator has said that, when the token was made. The source renews key
    //    and WIT by itself, before they expire, by proof what it has then.
    let bootstrap = EnrolmentProof::Token(bootstrap_token()?);
    let source = enrol(&authority, bootstrap, fetcher.clone(), provider::default()).await;
    let source = source.map_err(|error| no_identity(&authority, &error))?;
    let identity = source.identity(SystemClock::new().now())?;
    println!("I am       {}", identity.id().as_str());

    // 2. How does the agent prove itself to whoever gives out tokens? By the WIT, and a proof of
    //    its key; by whichever it has at that moment. The tokens that it gets are bound to the key.
    let client = SpiffeWit::of(source.clone())?;

    // 3. Who gives out tokens for the tool? The tool says it (RFC 9728), but the agent decides whom
    //    it shows its identity to: none but an authority from this list.
    let (resource, accepted) = (Resource::loopback(&tool)?, [Issuer::loopback(&authority)?]);
    let tokens = TokenSource::discover(&resource, &accepted, client, fetcher.clone()).await;
    let tokens = tokens.map_err(|error| {
        let why = Chain(&error);
        let hint = match error.code() {
            "grant.transport" => "is the tool running?",
            _ => "is that the tool's own URL, and does it trust this authority?",
        };
        format!("nobody who gives out tokens for {tool}: {why}\n{hint}")
    })?;
    println!("tokens by  {}", tokens.issuer().as_str());

    // 4. The agent. Whatever it sends to the tool carries an access token, the WIT, and a proof
    //    that is good for this one request. This handle is what a model's tool-calling loop is
    //    given: it can send requests, and it cannot show anybody a credential.
    let agent = Agent::builder(source.clone())
        .authorize(resource, "tools:call".parse()?, tokens)
        .client(fetcher)
        .build()?;

    for round in 0..rounds {
        if round > 0 {
            tokio::time::sleep(Duration::from_secs(1)).await;
        }
        let identity = source.identity(SystemClock::new().now())?;
        println!("my WIT is  {}", identity.wit().fingerprint());
        call(&agent, Request::get(format!("{tool}/whoami"))).await?;
        call(&agent, Request::post(format!("{tool}/call"))).await?;
        // Not for this agent, and no token would help: the tool requires an administrator's
        // identity.
        call(&agent, Request::post(format!("{tool}/admin"))).await?;
    }
    Ok(())
}

/// Why there is no identity, and what can be done about it.
fn no_identity(authority: &str, error: &enrolment::Error) -> String {
    let hint = match error {
        enrolment::Error::Identity(aims::cred::Error::SourceUnavailable(cause)) => {
            // What the server said lies below the name of the server.
            match cause
                .source()
                .and_then(<dyn std::error::Error>::downcast_ref)
            {
                Some(enrolment::Error::Refused { status: 403, .. }) => {
                    "a bootstrap token is good once at each start of the authority, unless `--reusable-tokens` was said; its standard error says why it refused"
                }
                Some(_) => "its standard error may say more",
                None => "is `aims authority serve` running there?",
            }
        }
        _ => "the authority gave something else than an identity",
    };
    format!("no identity from {authority}: {}\n{hint}", Chain(error))
}

/// Sends one request, and prints what came back. A refusal is an answer like any other.
async fn call(agent: &Agent, request: http::request::Builder) -> Result<(), Failure> {
    let request = request.body(String::new())?;
    let sent = format!("{} {}", request.method(), request.uri().path());
    let answer = agent.send(request).await?;
    let status = answer.status().as_u16();
    let body = shown(&answer.into_body().bytes(64 * 1024).await?);
    println!("{sent:<18} {status} {body}");
    Ok(())
}

/// What somebody else wrote, for a terminal: what that would obey instead of proof it is written
/// out.
fn shown(text: &[u8]) -> String {
    let mut safe = String::new();
    for char in String::from_utf8_lossy(text).chars() {
        match char {
            '"' | '\'' | '\\' => safe.push(char),
            _ => safe.extend(char.escape_debug()),
        }
    }
    safe
}

/// From a file, because everybody on the machine can read a command line, and every child process
/// an environment.
fn bootstrap_token() -> Result<SecretText, Failure> {
    let path = setting("BOOTSTRAP_TOKEN_FILE", "agent.token");
    let text = std::fs::read_to_string(&path).map_err(|error| {
        format!(
            "no bootstrap token in {path}: {error}\n`aims authority serve` makes it at its start"
        )
    })?;
    Ok(SecretText::new(text.trim_end()))
}

fn setting(name: &str, otherwise: &str) -> String {
    std::env::var(name).unwrap_or_else(|_not_set| otherwise.to_owned())
}

#[cfg(test)]
mod tests {
    use super::shown;

    /// T-167: nothing that a terminal obeys is printed; words stay as they are.
    #[test]
    fn answers_are_escaped() {
        for (text, safe) in [
            (
                "6 times 7 is 42, \"ä 漢\" 'x' \\",
                "6 times 7 is 42, \"ä 漢\" 'x' \\",
            ),
            ("\u{1b}[2J\r\nlet in", "\\u{1b}[2J\\r\\nlet in"),
            ("\u{9b}31m\u{202e}\u{200b}", "\\u{9b}31m\\u{202e}\\u{200b}"),
        ] {
            assert_eq!(shown(text.as_bytes()), safe);
        }
        assert_eq!(shown(b"\xff"), "\u{fffd}");
    }
}
