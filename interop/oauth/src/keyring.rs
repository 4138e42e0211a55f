//! The suite `keyring`: the program `aims` keeps the key of its tokens in GNOME Keyring, a Secret
//! Service. The suite runs in a D-Bus session of its own, in which that service is not started yet.

use std::io::{BufRead as _, BufReader, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use aims::fetch::{Fetch as _, Fetcher};
use http::Request;

use crate::Failure;
use crate::ours::commands::{output, refusal};
use crate::ours::provider::initialize;
use crate::peer::Peer;
use crate::table::Table;
use crate::user::{LOOPBACK, User, Visited};

const PASSWORD: &str = "the password of the desktop";

struct World<'a> {
    aims: &'a str,
    /// The URL of the tool.
    tool: String,
    /// The sealed file of tokens.
    tokens: PathBuf,
    fetcher: Fetcher,
    table: Table,
}

/// Runs the suite. `folder` is new and empty.
pub(crate) async fn run(server: &str, aims: &str, folder: &str) -> Result<(), Failure> {
    let tool = Peer::start_with(server, "", &[])?;
    let mut world = World {
        aims,
        tool: tool.issuer.clone(),
        tokens: Path::new(folder).canonicalize()?.join("tokens"),
        fetcher: Fetcher::builder().allow_loopback_http().build()?,
        table: Table::new("keyring"),
    };
    unlock().await?;
    world.keeps_a_login().await?;
    world.is_locked().await?;
    world.loses_its_key().await?;
    world.starts_at_once().await?;
    world.table.end()
}

impl World<'_> {
    async fn keeps_a_login(&mut self) -> Result<(), Failure> {
        self.table.part("a keyring that the user has unlocked");
        let before = self.token().await?;
        let step = "aims token get --keyring, before a login";
        self.table
            .row(step, "refused aims login", &refusal(&before));
        let entry = self.entries(&self.tokens).await?;
        let step = "libsecret finds the key, by the name of the file";
        self.table.row(step, "1", &entry.to_string());
        let seen = self.log_in().await?;
        self.table.row("aims login --keyring", "ok", &seen);
        let got = self.token().await?;
        let mut request = initialize(&self.tool)?;
        let token = String::from_utf8(got.stdout)?;
        let bearer = format!("Bearer {}", token.trim()).parse()?;
        request.headers_mut().insert("authorization", bearer);
        let status = self.fetcher.send(request).await?.status();
        let step = "aims token get --keyring, and a call";
        self.table.row(step, "200", &status.as_u16().to_string());
        let mut other = self.command(&["token", "get"]);
        let key = self.tokens.with_extension("other");
        other.arg("--key-file").arg(key);
        let seen = code(&output(other).await?);
        let step = "the same file with a key of a file";
        self.table.row(step, "1 store.content", &seen);
        Ok(())
    }

    async fn is_locked(&mut self) -> Result<(), Failure> {
        self.table.part("a keyring that is locked");
        lock().await?;
        let unavailable = "1 keyring.unavailable";
        for words in [
            &["token", "get"][..],
            &["logout"],
            &["login", "--no-browser"],
        ] {
            let mut command = self.command(words);
            command.arg("--keyring");
            let seen = code(&output(command).await?);
            let step = format!("aims {} --keyring", words.join(" "));
            self.table.row(&step, unavailable, &seen);
        }
        unlock().await?;
        let again = self.token().await?;
        let step = "unlocked again: aims token get --keyring";
        self.table.row(step, "0", &code(&again));
        let mut logout = self.command(&["logout"]);
        logout.arg("--keyring");
        let seen = code(&output(logout).await?);
        self.table.row("aims logout --keyring", "0", &seen);
        let after = self.token().await?;
        let step = "aims token get --keyring, afterwards";
        self.table.row(step, "refused aims login", &refusal(&after));
        Ok(())
    }

    async fn loses_its_key(&mut self) -> Result<(), Failure> {
        self.table.part("a keyring that libsecret has changed");
        let name = self.tokens.display().to_string();
        let attributes = ["service", "aims", "username", &name];
        let mut store = Command::new("secret-tool");
        store.args(["store", "--label", "interop"]).args(attributes);
        feed(store, "no key").await?;
        let seen = code(&self.token().await?);
        let step = "an entry that is no key";
        self.table.row(step, "1 keyring.content", &seen);
        let mut clear = Command::new("secret-tool");
        clear.arg("clear").args(attributes);
        output(clear).await?;
        let seen = code(&self.token().await?);
        let step = "the entry is gone, and the file is there";
        self.table.row(step, "1 keyring.lost", &seen);
        let entries = self.entries(&self.tokens).await?;
        let step = "no other key takes its place";
        self.table.row(step, "0", &entries.to_string());
        Ok(())
    }

    async fn starts_at_once(&mut self) -> Result<(), Failure> {
        self.table.part("processes that start at once");
        let others = self.tokens.with_file_name("others");
        let start = || {
            let mut command = Command::new(self.aims);
            command.args(["token", "get", &self.tool, "--keyring", "--store"]);
            command.arg(&others);
            tokio::spawn(output(command))
        };
        let mut seen = Vec::new();
        for process in (0..8).map(|_| start()).collect::<Vec<_>>() {
            seen.push(refusal(&process.await??));
        }
        seen.dedup();
        let step = "eight times aims token get --keyring";
        self.table.row(step, "refused aims login", &seen.join(", "));
        let entries = self.entries(&others).await?;
        self.table.row("one key", "1", &entries.to_string());
        Ok(())
    }

    fn command(&self, words: &[&str]) -> Command {
        let mut command = Command::new(self.aims);
        command.args(words).arg(&self.tool);
        command
            .arg("--store")
            .arg(&self.tokens)
            .stdin(Stdio::null());
        command
    }

    async fn token(&self) -> Result<Output, Failure> {
        let mut command = self.command(&["token", "get"]);
        command.arg("--keyring");
        output(command).await
    }

    /// Returns the number of entries for a file, as libsecret finds them.
    async fn entries(&self, file: &Path) -> Result<usize, Failure> {
        let mut search = Command::new("secret-tool");
        search.args(["search", "--all", "service", "aims", "username"]);
        search.arg(file);
        let found = String::from_utf8(output(search).await?.stdout)?;
        let entries = found.lines().filter(|line| line.starts_with("secret = "));
        Ok(entries.count())
    }

    /// Logs the user in, who opens the URL that the program shows.
    async fn log_in(&self) -> Result<String, Failure> {
        let mut command = self.command(&["login", "--no-browser"]);
        let command = command.arg("--keyring");
        let mut child = command
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()?;
        let lines = BufReader::new(child.stderr.take().ok_or("no stderr")?).lines();
        let shown = tokio::task::spawn_blocking(move || {
            let lines = lines.map_while(Result::ok);
            let mut lines = lines.map(|line| line.trim().to_owned());
            // The end of the program is waited for below.
            (lines.find(|line| line.starts_with("http")), lines)
        });
        let (url, _lines) = shown.await?;
        let url = url.ok_or("the program shows no URL")?;
        let mut user = User::new(&self.fetcher);
        let Visited::Callback(back) = user.visit(&url, LOOPBACK).await? else {
            return Err("the user is at another page".into());
        };
        self.fetcher
            .send(Request::get(back).body(Vec::new())?)
            .await?;
        let status = tokio::task::spawn_blocking(move || child.wait()).await??;
        Ok(if status.success() {
            "ok".to_owned()
        } else {
            status.to_string()
        })
    }
}

/// Unlocks the keyring as the login of a desktop does. The first call starts it.
async fn unlock() -> Result<(), Failure> {
    let mut daemon = Command::new("gnome-keyring-daemon");
    daemon.args(["--replace", "--unlock", "--components=secrets"]);
    feed(daemon, PASSWORD).await
}

/// Locks the keyring, as a desktop does when the user asks for it.
async fn lock() -> Result<(), Failure> {
    let service = "/org/freedesktop/secrets";
    let mut call = Command::new("dbus-send");
    call.args([
        "--session",
        "--print-reply",
        "--dest=org.freedesktop.secrets",
        service,
    ]);
    call.arg("org.freedesktop.Secret.Service.Lock");
    call.arg(format!("array:objpath:{service}/collection/login"));
    match output(call).await?.status.success() {
        true => Ok(()),
        false => Err("the keyring was not locked".into()),
    }
}

/// Runs a program that reads this text.
async fn feed(mut program: Command, text: &'static str) -> Result<(), Failure> {
    let run = move || -> Result<(), Failure> {
        let mut child = program
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .spawn()?;
        child
            .stdin
            .take()
            .ok_or("no stdin")?
            .write_all(text.as_bytes())?;
        match child.wait()?.success() {
            true => Ok(()),
            false => Err(format!("{program:?} failed").into()),
        }
    };
    tokio::task::spawn_blocking(run).await?
}

/// Returns the exit status of a program, with the code that it names.
fn code(output: &Output) -> String {
    let told = String::from_utf8_lossy(&output.stderr);
    let codes = told.split(|it: char| it != '.' && it != '_' && !it.is_ascii_lowercase());
    let mut codes = codes.filter(|it| {
        ["keyring.", "store."]
            .iter()
            .any(|start| it.starts_with(start))
    });
    let code = codes.next().unwrap_or_default();
    let status = output.status.code().unwrap_or(-1);
    format!("{status} {code}").trim_end().to_owned()
}
