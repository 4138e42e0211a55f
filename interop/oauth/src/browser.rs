//! The suite `browser`: the consent page of `aims authority serve`, in Chromium.

use std::process::Command;

use crate::Failure;
use crate::live::rows;
use crate::table::Table;

/// Runs the suite: `SCRIPT` starts the program `aims` and the browser.
pub(crate) async fn run(
    node: &str,
    script: &str,
    aims: &str,
    chromium: &str,
) -> Result<(), Failure> {
    let mut table = Table::new("browser");
    let mut client = Command::new(node);
    client.arg(script);
    client.env("AIMS", aims).env("CHROMIUM", chromium);
    rows(client, &mut table).await?;
    table.end()
}
