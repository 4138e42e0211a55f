//! `aims discover`, `aims login`, `aims token get` and `aims logout` as processes.

use std::io::{BufRead as _, BufReader};
use std::path::PathBuf;
use std::process::{Command, Output, Stdio};

use aims::fetch::{Fetch as _, Fetcher};
use http::Request;

use super::person::Person;
use crate::Failure;
use crate::table::Table;

/// The program `aims`, and the tool whose URL it gets.
pub(crate) struct Commands<'a> {
    pub(crate) aims: &'a str,
    /// A folder for the file of tokens.
    pub(crate) folder: PathBuf,
    pub(crate) tool: &'a str,
    pub(crate) issuer: &'a str,
    /// Further arguments of the commands that need a client.
    pub(crate) client: &'a [&'a str],
    pub(crate) scopes: &'a str,
    /// Whether the tool verifies DPoP proofs, and its metadata say so, so that tokens are bound.
    pub(crate) proofs: bool,
}

impl Commands<'_> {
    /// Goes from the URL of the tool to a token, and calls the tool by this request.
    pub(crate) async fn run(
        &self,
        person: &Person,
        fetcher: &Fetcher,
        call: impl Fn() -> Result<Request<Vec<u8>>, Failure>,
        table: &mut Table,
    ) -> Result<(), Failure> {
        table.part("the program `aims`, which knows only the URL of the tool");
        if self.folder.exists() {
            std::fs::remove_dir_all(&self.folder)?;
        }
        std::fs::create_dir_all(&self.folder)?;
        let found = output(self.command(&["discover"], false)).await?;
        let told = String::from_utf8(found.stdout)?;
        let names = if told.contains(self.issuer) {
            "names the server"
        } else {
            "does not name it"
        };
        let seen = format!("{} {names}", verdict(found.status.success(), &told));
        table.row("aims discover", "ok names the server", &seen);
        let before = output(self.command(&["token", "get"], true)).await?;
        table.row(
            "aims token get, before a login",
            "refused aims login",
            &refusal(&before),
        );
        let logged_in = self.log_in(person).await?;
        let told = String::from_utf8(logged_in.stdout.clone())?;
        let seen = verdict(logged_in.status.success(), &refusal(&logged_in));
        table.row("aims login, the user in Chromium", "ok", &seen);
        let line = |name: &str| {
            let found = told.lines().find_map(|line| line.strip_prefix(name));
            found.map(str::trim).unwrap_or_default().to_owned()
        };
        table.row("the server that it names", self.issuer, &line("server"));
        table.row("the scopes", self.scopes, &line("scopes"));
        let alone = output(self.command(&["token", "get"], true)).await?;
        let token = String::from_utf8(alone.stdout)?;
        let mut request = call()?;
        let value = format!("Bearer {}", token.trim()).parse()?;
        request.headers_mut().insert("authorization", value);
        let status = fetcher.send(request).await?.status();
        let (step, expected) = match self.proofs {
            true => ("aims token get: the token, which is bound, alone", "401"),
            false => ("aims token get, and a call", "200"),
        };
        table.row(step, expected, status.as_str());
        if self.proofs {
            let mut request = call()?;
            let (method, uri) = (request.method().to_string(), request.uri().to_string());
            let words = ["token", "get", "--method", &method, "--uri", &uri];
            let got = output(self.command(&words, true)).await?;
            let fields = String::from_utf8(got.stdout)?;
            for (name, value) in fields.lines().filter_map(|line| line.split_once(": ")) {
                let name: http::HeaderName = name.parse()?;
                request.headers_mut().insert(name, value.parse()?);
            }
            let status = fetcher.send(request).await?.status();
            let step = "aims token get, for one request, and that call";
            table.row(step, "200", status.as_str());
        }
        let without = fetcher.send(call()?).await?.status().as_u16().to_string();
        table.row("a call without it", "401", &without);
        let out = output(self.command(&["logout"], true)).await?;
        let seen = verdict(out.status.success(), &refusal(&out));
        table.row("aims logout", "ok", &seen);
        let after = output(self.command(&["token", "get"], true)).await?;
        table.row(
            "aims token get, afterwards",
            "refused aims login",
            &refusal(&after),
        );
        Ok(())
    }

    fn command(&self, words: &[&str], with_client: bool) -> Command {
        let mut command = Command::new(self.aims);
        command.args(words).arg(self.tool);
        if with_client {
            command.arg("--store").arg(self.folder.join("tokens"));
            command.args(self.client);
        }
        command
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        command
    }

    /// Logs in: the user opens the URL that the program shows.
    async fn log_in(&self, person: &Person) -> Result<Output, Failure> {
        let mut command = self.command(&["login", "--no-browser"], true);
        let user = person.clone();
        let output = tokio::task::spawn_blocking(move || -> Result<Output, Failure> {
            let mut child = command.spawn()?;
            let mut lines = BufReader::new(child.stderr.take().ok_or("no stderr")?).lines();
            let mut read = String::new();
            for line in lines.by_ref().map_while(Result::ok) {
                let line = line.trim().to_owned();
                if line.starts_with("http") {
                    user.open(&line)?;
                    break;
                }
                read.push_str(&line);
            }
            read.extend(lines.map_while(Result::ok));
            let mut output = child.wait_with_output()?;
            output.stderr = read.into_bytes();
            Ok(output)
        });
        let output = output.await??;
        if output.status.success() {
            person.end().await?;
        }
        Ok(output)
    }
}

/// Runs a program to its end.
pub(crate) async fn output(mut command: Command) -> Result<Output, Failure> {
    Ok(tokio::task::spawn_blocking(move || command.output()).await??)
}

fn verdict(is_good: bool, otherwise: &str) -> String {
    match is_good {
        true => "ok".to_owned(),
        false => otherwise.split_whitespace().collect::<Vec<_>>().join(" "),
    }
}

/// Returns what a refusal says, and whether it names the way out.
pub(crate) fn refusal(output: &Output) -> String {
    let told = String::from_utf8_lossy(&output.stderr);
    if !output.status.success() && told.contains("`aims login`") {
        return "refused aims login".to_owned();
    }
    format!("{} {}", output.status, told.trim())
}
