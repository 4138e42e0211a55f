//! A running `aims authority serve`, and the requests of its clients.

use std::io::{BufRead as _, BufReader, Read as _};
use std::process::{Child, ChildStderr, Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use aims::cred::enrolment::{EnrolmentProof, IdentityClient};
use aims::fetch::{Fetch as _, Fetcher};
use aims::jose::alg::Algorithm;
use aims::jose::key::SigningKey;
use aims::jose::provider::AWS_LC;
use aims::jose::secret::SecretText;
use aims::jose::time::{Clock as _, SystemClock};
use aims::oauth_client::TokenSource;
use aims::oauth_wire::client_auth::{SpiffeWit, WitCredential};
use aims::oauth_wire::metadata::ServerMetadata;
use aims::oauth_wire::names::{Issuer, Resource};
use http::Request;

use crate::common::{AGENT, Folder};

pub(crate) const TOOL: &str = "http://127.0.0.1:8402/mcp";

/// The running program, which ends with the test.
pub(crate) struct Served {
    pub(crate) child: Child,
    pub(crate) lines: Vec<String>,
    pub(crate) errors: ChildStderr,
}

impl Served {
    /// Starts it on a free port, and reads its first output.
    pub(crate) fn start(folder: &Folder, args: &[&str]) -> Self {
        let mut command = folder.command("authority serve --listen 127.0.0.1:0");
        let piped = command.args(args).stdout(Stdio::piped());
        let mut child = piped.stderr(Stdio::piped()).spawn().unwrap();
        let out = BufReader::new(child.stdout.take().unwrap());
        let lines = out.lines().map(Result::unwrap);
        let lines = lines.take_while(|line| !line.contains("Ctrl-C")).collect();
        let errors = child.stderr.take().unwrap();
        Self {
            child,
            lines,
            errors,
        }
    }

    /// Returns the text after a name at the start of a line.
    pub(crate) fn said(&self, name: &str) -> String {
        let line = self.lines.iter().find(|line| line.starts_with(name));
        line.and_then(|line| line.get(16..)).unwrap().to_owned()
    }

    pub(crate) fn printed_tokens(&self) -> Vec<String> {
        let lines = self.lines.iter().map(|line| line.trim());
        let tokens = lines.filter_map(|line| line.strip_prefix("bootstrap token "));
        tokens
            .map(|line| line.split(' ').next().unwrap().to_owned())
            .collect()
    }

    /// Ends it by a signal, and returns its status and its standard error.
    #[cfg(unix)]
    pub(crate) fn end_by(mut self, signal: &str) -> (Option<i32>, String) {
        let id = self.child.id().to_string();
        let sent = Command::new("sh")
            .args(["-c", &format!("kill -{signal} {id}")])
            .status();
        assert!(sent.unwrap().success());
        let status = self.child.wait().unwrap();
        let mut told = String::new();
        self.errors.read_to_string(&mut told).unwrap();
        (status.code(), told)
    }
}

impl Drop for Served {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Returns the status and the standard error of a run that must end by itself without other output.
pub(crate) fn ended(folder: &Folder, args: &str) -> (Option<i32>, String) {
    let piped = Stdio::piped;
    let mut command = folder.command(args);
    let mut child = command.stdout(piped()).stderr(piped()).spawn().unwrap();
    for _ in 0..100 {
        if child.try_wait().unwrap().is_some() {
            break;
        }
        std::thread::sleep(Duration::from_millis(50));
    }
    let _ = child.kill();
    let output = child.wait_with_output().unwrap();
    assert!(output.stdout.is_empty(), "{args}");
    let told = String::from_utf8(output.stderr).unwrap();
    (output.status.code(), told)
}

fn fetcher() -> Fetcher {
    Fetcher::builder().allow_loopback_http().build().unwrap()
}

pub(crate) async fn get(url: &str) -> Vec<u8> {
    let request = Request::get(url).body(Vec::new()).unwrap();
    let answer = fetcher().send(request).await.unwrap();
    assert_eq!(answer.status(), 200);
    answer.into_body()
}

/// Returns a WIT for a new key, by a bootstrap token; or the status of a refusal.
pub(crate) async fn enrol(issuer: &str, token: &str) -> Result<(SigningKey, SecretText), String> {
    let now = || SystemClock::new().now();
    let client = IdentityClient::new(issuer).unwrap();
    let key = SigningKey::generate(Algorithm::Es256, AWS_LC).unwrap();
    let (request, pending) = client.wit(&key, EnrolmentProof::Token(SecretText::new(token)));
    let answer = fetcher().send(request).await.unwrap();
    let (request, pending) = pending.finish(&answer, now()).unwrap();
    let answer = fetcher().send(request).await.unwrap();
    let received = pending.finish(&answer, now());
    received
        .map(|received| (key, received.text))
        .map_err(|error| error.to_string())
}

pub(crate) async fn token(
    issuer: &str,
    key: SigningKey,
    wit: SecretText,
    scope: &str,
) -> Result<(), String> {
    let url = format!("{issuer}/.well-known/oauth-authorization-server");
    let server = ServerMetadata::parse(&get(&url).await, &Issuer::loopback(issuer).unwrap());
    let signer = Arc::new(key);
    let client = SpiffeWit::new(AGENT.parse().unwrap(), move |_| {
        Ok(WitCredential::new(wit.clone(), signer.clone()))
    });
    let source = TokenSource::new(server.unwrap(), client, fetcher());
    let resource = Resource::loopback(TOOL).unwrap();
    let token = source.token_for(&resource, &scope.parse().unwrap()).await;
    token.map(drop).map_err(|error| error.code().to_owned())
}
