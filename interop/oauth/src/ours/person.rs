//! The user in Chromium: the script `person.mjs`, a child process.

use std::io::{BufRead as _, BufReader, Write as _};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};

use crate::Failure;

/// A browser with a user who signs in and consents. Clones are the same browser.
#[derive(Clone)]
pub(crate) struct Person(Arc<Inner>);

struct Inner {
    child: Mutex<Child>,
    urls: Mutex<ChildStdin>,
    ends: tokio::sync::Mutex<UnboundedReceiver<String>>,
}

impl Person {
    /// Starts the browser.
    pub(crate) async fn start(node: &str, script: &str, chromium: &str) -> Result<Self, Failure> {
        let mut child = Command::new(node)
            .arg(script)
            .env("CHROMIUM", chromium)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()?;
        let urls = child.stdin.take().ok_or("the browser has no stdin")?;
        let lines = child.stdout.take().ok_or("the browser has no stdout")?;
        let (told, ends) = unbounded_channel();
        std::thread::spawn(move || {
            for line in BufReader::new(lines).lines().map_while(Result::ok) {
                drop(told.send(line));
            }
        });
        let person = Self(Arc::new(Inner {
            child: Mutex::new(child),
            urls: Mutex::new(urls),
            ends: tokio::sync::Mutex::new(ends),
        }));
        match person.end().await?.as_str() {
            "ready" => Ok(person),
            other => Err(format!("the browser did not start: {other}").into()),
        }
    }

    /// Opens a URL. The user signs in and consents; [`end`](Self::end) waits for that.
    pub(crate) fn open(&self, url: &str) -> std::io::Result<()> {
        let mut urls = self.0.urls.lock().unwrap_or_else(PoisonError::into_inner);
        writeln!(urls, "{url}")
    }

    /// Returns where the browser was in the end, and the text of that page, as JSON.
    pub(crate) async fn end(&self) -> Result<String, Failure> {
        let mut ends = self.0.ends.lock().await;
        let line = tokio::time::timeout(PATIENCE, ends.recv()).await?;
        Ok(line.ok_or("the browser has ended")?)
    }
}

impl Drop for Inner {
    fn drop(&mut self) {
        let child = self.child.get_mut().unwrap_or_else(PoisonError::into_inner);
        // Chromium ends with the script, whose stdin is closed.
        drop(child.kill());
        drop(child.wait());
    }
}

/// How long a user takes at most.
const PATIENCE: Duration = Duration::from_secs(60);
