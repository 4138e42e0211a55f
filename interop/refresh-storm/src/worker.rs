//! One of the processes. It reads rounds from its standard input, and writes what it got.

use std::path::Path;
use std::time::Duration;

use aims_oauth_client::UserGrant;
use tokio::io::{AsyncBufReadExt as _, BufReader, stdin};
use tokio::time::{Instant, sleep};

use crate::{Failure, client, show};

/// How long a process may need for a token, with the lease of a killed one.
const LONGEST: Duration = Duration::from_secs(40);

/// For each line `ROUND FINGERPRINT`, gets another token than the one with this fingerprint, and
/// writes `ROUND ok FINGERPRINT`, or `ROUND lost` if a user is needed.
pub(crate) async fn run(folder: &str, kind: &str, issuer: &str) -> Result<(), Failure> {
    let source = client::source(Path::new(folder), kind, issuer).await?;
    let grant = UserGrant::new(client::target(issuer)?);
    let mut lines = BufReader::new(stdin()).lines();
    while let Some(line) = lines.next_line().await? {
        let (round, before) = line.split_once(' ').ok_or("expected a round")?;
        let end = Instant::now() + LONGEST;
        loop {
            match source.token(grant.clone()).await {
                Ok(token) if token.fingerprint().to_string() == before => source.forget(&token),
                Ok(token) => {
                    show(&format!("{round} ok {}", token.fingerprint()));
                    break;
                }
                Err(error) if error.needs_user() => {
                    show(&format!("{round} lost"));
                    break;
                }
                Err(error) if error.is_retryable() && Instant::now() < end => {
                    sleep(Duration::from_millis(50)).await;
                }
                Err(error) => return Err(error.into()),
            }
        }
    }
    Ok(())
}
