//! Starts the processes, kills them, and judges each round.

use std::collections::HashSet;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use aims_jose::random::SYSTEM;
use aims_jose::time::{SystemClock, UnixTime};
use aims_oauth_client::{AuthorizationRequest, TokenSource, drive};
use aims_oauth_wire::client_auth::PublicClient;
use http::{Request, Response};
use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader, Lines};
use tokio::process::{Child, ChildStdout, Command};
use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};
use tokio::time::timeout;

use crate::server::{Moment, Server, named};
use crate::{Failure, client};

pub(crate) const CALLBACK: &str = "http://127.0.0.1:51234/callback";
/// The longest round: the lease of a killed process, and more for a slow machine.
const LONGEST: Duration = Duration::from_secs(60);

/// Numbers from a seed (SplitMix64), so that a run can be repeated.
struct Lots(u64);

impl Lots {
    fn below(&mut self, end: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut lot = self.0;
        lot = (lot ^ (lot >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        lot = (lot ^ (lot >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (lot ^ (lot >> 31)).checked_rem(end).unwrap_or(0)
    }

    /// Draws the moment of the next kill: in every eighth round on average.
    fn moment(&mut self) -> Option<Moment> {
        match self.below(32) {
            0 => Some(Moment::Before),
            1 => Some(Moment::Between),
            2 | 3 => Some(Moment::After(Duration::from_micros(self.below(8_000)))),
            _ => None,
        }
    }
}

struct Process {
    child: Child,
    lines: Lines<BufReader<ChildStdout>>,
    id: u32,
}

struct Referee {
    folder: PathBuf,
    kind: String,
    server: Server,
    source: TokenSource,
    doomed: UnboundedReceiver<u32>,
    processes: Vec<Process>,
    killed: HashSet<u32>,
}

/// The answer of all processes in a round.
enum Said {
    Got(String),
    Lost,
}

#[derive(Default)]
struct Counts {
    renewals: usize,
    kills: usize,
    survived: usize,
    unavoidable: usize,
}

/// Runs all rotations. Returns the summary.
pub(crate) async fn run(
    kind: &str,
    processes: usize,
    rotations: usize,
    seed: u64,
) -> Result<String, Failure> {
    let folder = std::env::temp_dir().join(format!("aims-storm-{kind}-{}", std::process::id()));
    let _absent = std::fs::remove_dir_all(&folder);
    std::fs::create_dir_all(&folder)?;
    let outcome = judge(kind, &folder, processes, rotations, seed).await;
    let _gone = std::fs::remove_dir_all(&folder);
    let counts = outcome?;
    Ok(format!(
        "{kind}: {processes} processes, {rotations} rotations, {} renewals, {} processes killed \
         while renewing, {} grants survived that, {} were lost after the server had renewed",
        counts.renewals, counts.kills, counts.survived, counts.unavoidable
    ))
}

async fn judge(
    kind: &str,
    folder: &Path,
    processes: usize,
    rotations: usize,
    seed: u64,
) -> Result<Counts, Failure> {
    let (killer, doomed) = unbounded_channel();
    let server = Server::start(killer).await?;
    let source = client::source(folder, kind, &server.issuer).await?;
    let mut referee = Referee {
        folder: folder.to_owned(),
        kind: kind.to_owned(),
        server,
        source,
        doomed,
        processes: Vec::new(),
        killed: HashSet::new(),
    };
    for _ in 0..processes {
        let process = referee.start()?;
        referee.processes.push(process);
    }
    let (mut lots, mut counts) = (Lots(seed), Counts::default());
    let mut before = referee.log_in().await?;
    for round in 0..rotations {
        let kill = lots.moment();
        let said = referee.round(round, &before, kill).await;
        let said = said.map_err(|error| format!("{kind}, round {round}, {kill:?}: {error}"))?;
        let verdict = referee.verdict(&said, &before, kill, &mut counts);
        verdict.map_err(|error| format!("{kind}, round {round}, {kill:?}: {error}"))?;
        before = match said {
            Said::Got(token) => token,
            Said::Lost => referee.log_in().await?,
        };
    }
    Ok(counts)
}

impl Referee {
    fn start(&self) -> Result<Process, Failure> {
        let mut command = Command::new(std::env::current_exe()?);
        command.arg("worker").arg(&self.folder);
        command.args([&self.kind, &self.server.issuer]);
        command.stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = command.kill_on_drop(true).spawn()?;
        let out = child.stdout.take().ok_or("no standard output")?;
        Ok(Process {
            id: child.id().ok_or("the process has ended")?,
            lines: BufReader::new(out).lines(),
            child,
        })
    }

    /// Logs the user in, for all processes. Returns the fingerprint of the token.
    async fn log_in(&self) -> Result<String, Failure> {
        let issuer = &self.server.issuer;
        let target = client::target(issuer)?;
        let request = AuthorizationRequest::new(CALLBACK.parse()?, target);
        let public = std::sync::Arc::new(PublicClient::new(client::CLIENT.parse()?));
        let now = UnixTime::now();
        let first = request.begin(public, self.source.server(), None, SYSTEM, now)?;
        let http = aims_fetch::Fetcher::builder()
            .allow_loopback_http()
            .build()?;
        let authorizing = drive(first, &http, &SystemClock::new()).await?;
        let query = self.consent(authorizing.url())?;
        let token = self.source.redeem(authorizing.finish(&query)?).await?;
        Ok(named(token.fingerprint()))
    }

    /// Agrees, as a user in a browser. Returns the query of the redirection.
    fn consent(&self, url: &str) -> Result<String, Failure> {
        let handle = |request: Request<Vec<u8>>| {
            self.server
                .authority
                .handle(&request, None, UnixTime::now())
        };
        let path = url
            .strip_prefix(&self.server.issuer)
            .ok_or("another server")?;
        let host = self.server.issuer.trim_start_matches("http://");
        let page = handle(Request::get(path).header("host", host).body(Vec::new())?);
        let cookie = field(&page, "set-cookie")?;
        let cookie = cookie.split(';').next().unwrap_or_default().to_owned();
        let html = core::str::from_utf8(page.body())?;
        let mut form = url::form_urlencoded::Serializer::new(String::new());
        for hidden in html.split("<input type=\"hidden\" name=\"").skip(1) {
            let (name, rest) = hidden
                .split_once("\" value=\"")
                .ok_or("a page without values")?;
            form.append_pair(name, rest.split('"').next().unwrap_or_default());
        }
        form.append_pair("decision", "allow");
        let request = Request::post("/consent")
            .header("content-type", "application/x-www-form-urlencoded")
            .header("sec-fetch-site", "same-origin")
            .header("origin", "null")
            .header("host", host)
            .header("cookie", cookie);
        let answer = handle(request.body(form.finish().into_bytes())?);
        let location = field(&answer, "location")?;
        let (_, query) = location.split_once('?').ok_or("no query")?;
        Ok(query.to_owned())
    }

    /// Has all processes renew, and kills the one that renews at this moment. Processes that were
    /// killed are started again, and take part.
    async fn round(
        &mut self,
        round: usize,
        before: &str,
        kill: Option<Moment>,
    ) -> Result<Said, Failure> {
        self.killed.clear();
        {
            let mut notes = self.server.notes();
            notes.renewals.clear();
            notes.kill = kill;
        }
        let line = format!("{round} {before}\n");
        for process in &mut self.processes {
            process.ask(&line).await?;
        }
        if kill.is_some() {
            let doomed = timeout(LONGEST, self.doomed.recv()).await?;
            self.kill(doomed.ok_or("the server has ended")?, &line)
                .await?;
        }
        let mut said = HashSet::new();
        for process in &mut self.processes {
            let line = timeout(LONGEST, process.lines.next_line()).await??;
            let line = line.ok_or("a process has ended")?;
            let (of, rest) = line.split_once(' ').ok_or("an unexpected line")?;
            if of != round.to_string() {
                return Err(line.into());
            }
            said.insert(rest.to_owned());
        }
        let mut said = said.into_iter();
        match (said.next().as_deref(), said.next()) {
            (Some("lost"), None) => Ok(Said::Lost),
            (Some(got), None) => Ok(Said::Got(
                got.strip_prefix("ok ")
                    .ok_or("an unexpected line")?
                    .to_owned(),
            )),
            (first, second) => Err(format!("they disagree: {first:?}, {second:?}").into()),
        }
    }

    /// Kills a process by SIGKILL, and starts another one.
    async fn kill(&mut self, id: u32, line: &str) -> Result<(), Failure> {
        let new = self.start()?;
        let killed = self.processes.iter_mut().find(|it| it.id == id);
        let killed = killed.ok_or("an unknown process")?;
        killed.child.kill().await?;
        self.killed.insert(id);
        *killed = new;
        killed.ask(line).await
    }

    /// Judges a round by the requests at the server and the answer of the processes.
    fn verdict(
        &self,
        said: &Said,
        before: &str,
        kill: Option<Moment>,
        counts: &mut Counts,
    ) -> Result<(), Failure> {
        let renewals = self.server.notes().renewals.clone();
        let good: Vec<_> = renewals.iter().filter(|it| it.is_good).collect();
        let refused = renewals.len().saturating_sub(good.len());
        counts.renewals = counts.renewals.saturating_add(good.len());
        counts.kills = counts.kills.saturating_add(self.killed.len());
        let &[one] = &*good else {
            return Err(format!("{} renewals, expected one", good.len()).into());
        };
        match said {
            Said::Got(token) if token == before => Err("the old token came again".into()),
            Said::Got(_) if refused > 0 => Err(format!("{refused} refused requests").into()),
            Said::Got(_) => {
                counts.survived = counts.survived.saturating_add(self.killed.len());
                Ok(())
            }
            Said::Lost if refused != 1 => {
                Err(format!("{refused} requests after the loss, expected one").into())
            }
            Said::Lost if kill == Some(Moment::Before) || !self.killed.contains(&one.by) => {
                Err("a grant was lost that could be saved".into())
            }
            Said::Lost => {
                counts.unavoidable = counts.unavoidable.saturating_add(1);
                Ok(())
            }
        }
    }
}

impl Process {
    async fn ask(&mut self, line: &str) -> Result<(), Failure> {
        let input = self.child.stdin.as_mut().ok_or("no standard input")?;
        input.write_all(line.as_bytes()).await?;
        Ok(input.flush().await?)
    }
}

fn field(answer: &Response<Vec<u8>>, name: &str) -> Result<String, Failure> {
    let value = answer.headers().get(name);
    let value = value.ok_or_else(|| format!("{} without {name}", answer.status()))?;
    Ok(value.to_str()?.to_owned())
}
