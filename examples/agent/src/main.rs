//! An agent that calls a tool.
//!
//! It starts with one secret, a bootstrap token, which it sends once. From then on it has its own
//! keys, which never leave the program and change while it runs.
//!
//! ```text
//! cargo run -p aims-cli -- authority serve \
//!     --agent spiffe://example.org/agent=agent.token --resource "http://127.0.0.1:8402/mcp tools:call"
//! cargo run -p example-tool
//! cargo run -p example-agent
//! ```
//!
//! `AUTHORITY_URL`, `TOOL_URL`, `BOOTSTRAP_TOKEN_FILE` and `ROUNDS` change the defaults. The README
//! explains each step.

#![expect(
    clippy::print_stdout,
    reason = "it is a program that says what it does"
)]

use std::fs::File;
use std::io::{self, Read as _};
use std::process::ExitCode;
use std::time::Duration;

use aims::Agent;
use aims::cred::IdentitySource;
use aims::cred::enrolment::{self, EnrolmentProof, enrol};
use aims::fetch::Fetcher;
use aims::jose::secret::SecretText;
use aims::jose::time::{Clock as _, SystemClock};
use aims::jose::{Chain, provider};
use http::Request;
use zeroize::Zeroizing;

type Failure = Box<dyn std::error::Error + Send + Sync>;

#[tokio::main]
async fn main() -> ExitCode {
    let Err(failure) = run().await else {
        return ExitCode::SUCCESS;
    };
    // Print the error with all its causes.
    eprintln!("agent      {}", Chain(&*failure));
    ExitCode::FAILURE
}

async fn run() -> Result<(), Failure> {
    let authority = setting("AUTHORITY_URL", "http://127.0.0.1:8400");
    let tool = setting("TOOL_URL", "http://127.0.0.1:8402/mcp");
    let rounds = setting("ROUNDS", "1");
    let rounds: u32 = rounds.parse().map_err(|_error| "`ROUNDS` is a number")?;
    // In this tutorial, requests go only to this machine. Without `allow_loopback_http`, the
    // fetcher accepts only `https` to public addresses.
    let fetcher = Fetcher::builder().allow_loopback_http().build()?;

    // 1. The identity. The agent makes a key, and sends the bootstrap token and a proof of the key.
    //    The authority returns a WIT (workload identity token), which states which agent holds the
    //    key. The operator chose the agent's identifier when the bootstrap token was made. The
    //    source renews key and WIT before they expire, with a proof of the current key.
    let bootstrap = EnrolmentProof::Token(bootstrap_token()?);
    let source = enrol(&authority, bootstrap, fetcher.clone(), provider::default()).await;
    let source = source.map_err(|error| no_identity(&authority, &error))?;
    let identity = source.identity(SystemClock::new().now())?;
    println!("I am       {}", identity.id().as_str());

    // 2. The agent. The tool names its authorization server in its metadata (RFC 9728); the agent
    //    sends its credentials only to an issuer in this list. It authenticates there by its
    //    current WIT, and the access tokens that it gets are bound to its key. Each request to the
    //    tool carries an access token, the WIT, and a proof that is valid for this request. Give
    //    this handle to the tool-calling loop of a model: it can send requests, but it cannot
    //    reveal a credential.
    let agent = Agent::builder(source.clone())
        .fetcher(fetcher)
        .tool(&tool, [&authority], "tools:call")?
        .build()
        .await
        .map_err(|error| {
            let why = Chain(&error);
            let hint = match error.code() {
                "grant.transport" => "is the tool running?",
                _ => "is that the tool's own URL, and does it trust this authority?",
            };
            format!("no authorization server for {tool}: {why}\n{hint}")
        })?;

    for round in 0..rounds {
        if round > 0 {
            tokio::time::sleep(Duration::from_secs(1)).await;
        }
        let identity = source.identity(SystemClock::new().now())?;
        println!("my WIT is  {}", identity.wit().fingerprint());
        call(&agent, Request::get(format!("{tool}/whoami"))).await?;
        call(&agent, Request::post(format!("{tool}/call"))).await?;
        // This call is refused, and no token would help: the tool requires the identity of an
        // administrator.
        call(&agent, Request::post(format!("{tool}/admin"))).await?;
    }
    Ok(())
}

/// Explains why there is no identity, and what to do about it.
fn no_identity(authority: &str, error: &enrolment::Error) -> String {
    let hint = match error {
        enrolment::Error::Identity(aims::cred::Error::SourceUnavailable(cause)) => {
            // The answer of the server is the cause below the name of the server.
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

/// Sends one request and prints the answer. A refusal is an answer like any other.
async fn call(agent: &Agent, request: http::request::Builder) -> Result<(), Failure> {
    let request = request.body(String::new())?;
    let sent = format!("{} {}", request.method(), request.uri().path());
    let answer = agent.send(request).await?;
    let status = answer.status().as_u16();
    let body = shown(&answer.into_body().bytes(64 * 1024).await?);
    println!("{sent:<18} {status} {body}");
    Ok(())
}

/// Escapes the control characters of an untrusted text for a terminal.
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

/// Reads the bootstrap token from a file. Other users can read a command line, and child processes
/// can read the environment.
fn bootstrap_token() -> Result<SecretText, Failure> {
    let path = setting("BOOTSTRAP_TOKEN_FILE", "agent.token");
    let token = secret_of(&path).map_err(|error| {
        format!(
            "no bootstrap token in {path}: {error}\n`aims authority serve` makes it at its start"
        )
    })?;
    Ok(token)
}

/// Reads a secret of at most 1,000 bytes. The buffer never grows, and is wiped.
fn secret_of(path: &str) -> io::Result<SecretText> {
    let mut text = Zeroizing::new(String::with_capacity(1_100));
    File::open(path)?.take(1_001).read_to_string(&mut text)?;
    if text.len() > 1_000 {
        return Err(io::Error::other("it is longer than 1,000 bytes"));
    }
    Ok(SecretText::new(text.trim_end()))
}

fn setting(name: &str, otherwise: &str) -> String {
    std::env::var(name).unwrap_or_else(|_not_set| otherwise.to_owned())
}

#[cfg(test)]
mod tests {
    use super::{secret_of, shown};

    /// No copy of the token stays in memory after its use.
    #[cfg(target_os = "linux")]
    #[test]
    fn a_used_token_leaves_no_copy() {
        use std::io::Write as _;

        // The test itself keeps the token under a mask, and writes it byte by byte.
        const MASK: u8 = 0x80;
        let mut seed = std::time::SystemTime::UNIX_EPOCH
            .elapsed()
            .unwrap()
            .as_nanos();
        let bytes = std::iter::repeat_with(|| {
            seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            (b'a' + u8::try_from((seed >> 40) % 26).unwrap()) | MASK
        });
        let masked: Vec<u8> = bytes.take(43).collect();
        let path = std::env::temp_dir().join(format!("aims-agent-{}", std::process::id()));
        let mut file = std::fs::File::create(&path).unwrap();
        for byte in &masked {
            file.write_all(&[byte & !MASK]).unwrap();
        }
        let token = secret_of(path.to_str().unwrap()).unwrap();
        assert!(is_in_memory(&masked, MASK), "the search finds it");
        drop(token);
        assert!(!is_in_memory(&masked, MASK));
        std::fs::remove_file(&path).unwrap();
    }

    /// Searches the writable memory of this process.
    #[cfg(target_os = "linux")]
    fn is_in_memory(masked: &[u8], mask: u8) -> bool {
        use std::io::{Read as _, Seek as _, SeekFrom};

        let mut memory = std::fs::File::open("/proc/self/mem").unwrap();
        let maps = std::fs::read_to_string("/proc/self/maps").unwrap();
        let mut found = false;
        for line in maps.lines().filter(|line| line.contains(" rw")) {
            let (from, rest) = line.split_once('-').unwrap();
            let until = rest.split(' ').next().unwrap();
            let number = |text| u64::from_str_radix(text, 16).unwrap();
            let length = usize::try_from(number(until) - number(from)).unwrap();
            if length > 64 * 1024 * 1024 || memory.seek(SeekFrom::Start(number(from))).is_err() {
                continue;
            }
            let mut all = zeroize::Zeroizing::new(vec![0; length]);
            if memory.read_exact(&mut all).is_ok() {
                let is_it = |(byte, masked): (&u8, &u8)| byte ^ mask == *masked;
                let mut windows = all.windows(masked.len());
                found |= windows.any(|it| it.iter().zip(masked).all(is_it));
            }
        }
        found
    }

    /// A file that cannot be a token is not read on and on.
    #[test]
    fn a_token_is_short() {
        let path = std::env::temp_dir().join(format!("aims-long-{}", std::process::id()));
        let of = |length: usize| {
            std::fs::write(&path, "x".repeat(length)).unwrap();
            secret_of(path.to_str().unwrap()).is_ok()
        };
        assert!(of(1_000) && !of(1_001));
        std::fs::remove_file(&path).unwrap();
    }

    /// Control characters are escaped; words stay as they are.
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
