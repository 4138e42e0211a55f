//! Tests two servers of one tool that share a Redis server, and the faults of that server.
//!
//!     interop/run redis
//!
//! It starts this program as `aims-interop-redis REDIS-SERVER`. The program starts and ends Redis
//! itself, and ends with an error if a row is red.

#![expect(clippy::print_stdout, reason = "it is a program that prints a table")]

mod faults;
mod lost;
mod server;
mod shared;
mod suite;
#[expect(dead_code, reason = "the suite of OAuth counts rows in more ways")]
#[path = "../../oauth/src/table.rs"]
mod table;
mod tokens;
mod world;

use suite::Suite;

type Failure = Box<dyn std::error::Error + Send + Sync>;

#[tokio::main]
async fn main() -> Result<(), Failure> {
    let program = std::env::args().nth(1);
    let program = program.ok_or("usage: aims-interop-redis REDIS-SERVER")?;
    let mut suite = Suite::start(&program).await?;
    suite.shares().await?;
    suite.revokes().await?;
    suite.loses_a_message().await?;
    suite.restarts().await?;
    suite.is_flushed().await?;
    suite.is_flushed_with_many_servers().await?;
    suite.stops().await?;
    suite.evicts().await?;
    suite.is_full().await?;
    suite.refuses_logins().await?;
    tokens::run(&mut suite.redis, &mut suite.table).await?;
    suite.table.end()
}
