//! A server that speaks as much of the protocol of Redis (RESP2) as the store needs, and fails when
//! it is told to.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;

/// A running stand-in. It ends with the runtime of the test.
#[derive(Clone)]
pub(super) struct StandIn {
    port: u16,
    pub(super) state: Arc<Mutex<State>>,
}

#[derive(Default)]
pub(super) struct State {
    pub(super) run_id: String,
    pub(super) policy: String,
    pub(super) password: Option<String>,
    /// How far the clock of the server is ahead, in seconds.
    pub(super) ahead: u64,
    pub(super) is_silent: bool,
    pub(super) is_full: bool,
    pub(super) loses_messages: bool,
    /// The number of commands so far.
    pub(super) commands: usize,
    texts: HashMap<String, String>,
    pub(super) stream: BTreeMap<u64, Vec<String>>,
    last: u64,
    subscribers: Vec<mpsc::UnboundedSender<Vec<u8>>>,
}

impl StandIn {
    pub(super) async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let state = State {
            run_id: "aaaa".to_owned(),
            policy: "noeviction".to_owned(),
            ..State::default()
        };
        let stand_in = Self {
            port: listener.local_addr().unwrap().port(),
            state: Arc::new(Mutex::new(state)),
        };
        let state = Arc::clone(&stand_in.state);
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(serve(stream, Arc::clone(&state)));
            }
        });
        stand_in
    }

    pub(super) fn url(&self) -> String {
        format!("redis://127.0.0.1:{}", self.port)
    }

    pub(super) fn with<T>(&self, change: impl FnOnce(&mut State) -> T) -> T {
        change(&mut self.state.lock().unwrap())
    }
}

impl State {
    /// Forgets everything, like `FLUSHALL`.
    pub(super) fn flush(&mut self) {
        self.texts.clear();
        self.stream.clear();
    }

    pub(super) fn add(&mut self, fields: &[&str]) {
        self.last += 1;
        let fields = fields.iter().map(|&it| it.to_owned()).collect();
        self.stream.insert(self.last, fields);
    }

    fn time(&self) -> Duration {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
        now + Duration::from_secs(self.ahead)
    }

    fn run(&mut self, command: &[String]) -> Vec<u8> {
        let mut words = command.iter().map(String::as_str);
        let name = words.next().unwrap().to_uppercase();
        let words: Vec<&str> = words.collect();
        if self.is_full && ["SET", "XADD"].contains(&name.as_str()) {
            return b"-OOM command not allowed when used memory > 'maxmemory'.\r\n".to_vec();
        }
        match (name.as_str(), words.as_slice()) {
            ("CLIENT" | "SELECT", _) => ok(),
            ("PING", _) => b"+PONG\r\n".to_vec(),
            ("AUTH", words) if words.last().copied() == self.password.as_deref() => ok(),
            ("AUTH", _) => b"-WRONGPASS invalid username-password pair\r\n".to_vec(),
            ("GET", [key]) => text(self.texts.get(*key).map(String::as_str)),
            ("SET", [key, value, options @ ..]) => {
                if options.contains(&"NX") && self.texts.contains_key(*key) {
                    return text(None);
                }
                self.texts.insert((*key).to_owned(), (*value).to_owned());
                ok()
            }
            ("INFO", ["server"]) => text(Some(&format!(
                "# Server\r\nredis_version:7.0.15\r\nrun_id:{}\r\n",
                self.run_id
            ))),
            ("INFO", ["memory"]) => text(Some(&format!(
                "# Memory\r\nmaxmemory:0\r\nmaxmemory_policy:{}\r\n",
                self.policy
            ))),
            ("TIME", []) => {
                let (seconds, micros) = (self.time().as_secs(), self.time().subsec_micros());
                array([&seconds.to_string(), &micros.to_string()].map(|it| text(Some(it))))
            }
            ("XADD", [_, "*", fields @ ..]) => {
                self.add(fields);
                text(Some(&format!("{}-0", self.last)))
            }
            ("XLEN", _) => format!(":{}\r\n", self.stream.len()).into_bytes(),
            ("XDEL", [_, ids @ ..]) => {
                let mut count = 0;
                for id in ids {
                    let id: u64 = id.split_once('-').unwrap().0.parse().unwrap();
                    count += usize::from(self.stream.remove(&id).is_some());
                }
                format!(":{count}\r\n").into_bytes()
            }
            ("XRANGE", [_, after, "+", "COUNT", most]) => {
                let after = after.trim_start_matches('(').split_once('-').unwrap().0;
                let after: u64 = after.parse().unwrap();
                let entries = self.stream.range(after + 1..).take(most.parse().unwrap());
                array(entries.map(|(id, fields)| {
                    let fields = array(fields.iter().map(|it| text(Some(it))));
                    array([text(Some(&format!("{id}-0"))), fields])
                }))
            }
            ("PUBLISH", [channel, message]) => {
                let parts = ["message", channel, message];
                let message = array(parts.map(|it| text(Some(it))));
                if !self.loses_messages {
                    self.subscribers
                        .retain(|it| it.send(message.clone()).is_ok());
                }
                b":1\r\n".to_vec()
            }
            _ => format!("-ERR unknown command {command:?}\r\n").into_bytes(),
        }
    }
}

fn ok() -> Vec<u8> {
    b"+OK\r\n".to_vec()
}

fn text(text: Option<&str>) -> Vec<u8> {
    text.map_or_else(
        || b"$-1\r\n".to_vec(),
        |text| format!("${}\r\n{text}\r\n", text.len()).into_bytes(),
    )
}

fn array(parts: impl IntoIterator<Item = Vec<u8>>) -> Vec<u8> {
    let parts: Vec<_> = parts.into_iter().collect();
    let mut all = format!("*{}\r\n", parts.len()).into_bytes();
    all.extend(parts.concat());
    all
}

async fn serve(stream: TcpStream, state: Arc<Mutex<State>>) {
    let (read, mut write) = stream.into_split();
    let mut read = BufReader::new(read);
    let (sender, mut answers) = mpsc::unbounded_channel::<Vec<u8>>();
    tokio::spawn(async move {
        while let Some(answer) = answers.recv().await {
            if write.write_all(&answer).await.is_err() {
                return;
            }
        }
    });
    let mut queue: Option<Vec<Vec<String>>> = None;
    let mut is_in = state.lock().unwrap().password.is_none();
    while let Some(command) = command(&mut read).await {
        let mut state = state.lock().unwrap();
        state.commands += 1;
        if state.is_silent {
            continue;
        }
        let name = command.first().unwrap().to_uppercase();
        let answer = match (name.as_str(), &mut queue) {
            ("AUTH", _) => {
                let answer = state.run(&command);
                is_in |= answer == ok();
                answer
            }
            _ if !is_in => b"-NOAUTH Authentication required.\r\n".to_vec(),
            ("MULTI", _) => {
                queue = Some(Vec::new());
                ok()
            }
            ("EXEC", _) => {
                let commands = queue.take().unwrap();
                array(commands.iter().map(|it| state.run(it)))
            }
            ("SUBSCRIBE", _) => {
                state.subscribers.push(sender.clone());
                let channel = command.get(1).unwrap();
                array([
                    text(Some("subscribe")),
                    text(Some(channel)),
                    b":1\r\n".to_vec(),
                ])
            }
            (_, Some(queue)) => {
                queue.push(command);
                b"+QUEUED\r\n".to_vec()
            }
            _ => state.run(&command),
        };
        if sender.send(answer).is_err() {
            return;
        }
    }
}

/// Reads one command: an array of strings.
async fn command(read: &mut BufReader<tokio::net::tcp::OwnedReadHalf>) -> Option<Vec<String>> {
    let count = number(read, '*').await?;
    let mut words = Vec::new();
    for _ in 0..count {
        let length = number(read, '$').await?;
        let mut word = vec![0; length + 2];
        read.read_exact(&mut word).await.ok()?;
        word.truncate(length);
        words.push(String::from_utf8(word).ok()?);
    }
    Some(words)
}

async fn number(read: &mut BufReader<tokio::net::tcp::OwnedReadHalf>, kind: char) -> Option<usize> {
    let mut line = String::new();
    read.read_line(&mut line).await.ok()?;
    line.trim_end().strip_prefix(kind)?.parse().ok()
}
