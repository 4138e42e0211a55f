//! The client that all processes are: its store, its source of tokens, and its grant.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use aims_fetch::{Fetch, FetchFuture, Fetcher};
use aims_jose::time::SystemClock;
use aims_oauth_client::discovery::server;
use aims_oauth_client::{
    FileStore, SealingKey, SqliteStore, Step, Target, TokenSource, TokenStore, drive,
};
use aims_oauth_wire::client_auth::PublicClient;
use aims_oauth_wire::names::{Issuer, Resource};
use http::{HeaderValue, Request};

use crate::Failure;

pub(crate) const CLIENT: &str = "storm";
/// The field that names the process which sends a request.
pub(crate) const SENDER: &str = "x-process";
/// A process that is killed holds the others up for this time, and the five seconds of its lease.
const TIMEOUT: Duration = Duration::from_secs(4);

/// Adds the number of this process to each request.
#[derive(Debug)]
struct Named(Fetcher);

impl Fetch for Named {
    fn send(&self, mut request: Request<Vec<u8>>) -> FetchFuture<'_> {
        let own = HeaderValue::from(std::process::id());
        request.headers_mut().insert(SENDER, own);
        self.0.send(request)
    }
}

fn store(folder: &Path, kind: &str) -> Result<Arc<dyn TokenStore>, Failure> {
    let (file, key) = (folder.join("tokens"), folder.join("key"));
    Ok(match kind {
        "sqlite" => Arc::new(SqliteStore::open(file, SealingKey::from_file(key)?)?),
        _ => Arc::new(FileStore::open(file, key)?),
    })
}

pub(crate) async fn source(
    folder: &Path,
    kind: &str,
    issuer: &str,
) -> Result<TokenSource, Failure> {
    let issuer = Issuer::loopback(issuer)?;
    let http = Named(Fetcher::builder().allow_loopback_http().build()?);
    let (request, pending) = server(&issuer)?;
    let found = drive(Step::Send(request, pending), &http, &SystemClock::new()).await?;
    let source = TokenSource::new(found, PublicClient::new(CLIENT.parse()?), http);
    let source = source.with_timeout(TIMEOUT);
    Ok(source.with_store(store(folder, kind)?))
}

pub(crate) fn resource(issuer: &str) -> String {
    format!("{issuer}/tool")
}

pub(crate) fn target(issuer: &str) -> Result<Target, Failure> {
    let resource = Resource::loopback(&resource(issuer))?;
    Ok(Target::new(resource, "call".parse()?).with_subject("alice"))
}
