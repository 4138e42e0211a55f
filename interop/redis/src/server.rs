//! A Redis server: a child process on a free loopback port, with a folder of its own.

use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use redis::aio::MultiplexedConnection;

use crate::Failure;

/// A server that ends with this program.
#[derive(Debug)]
pub(crate) struct Server {
    program: String,
    arguments: Vec<String>,
    folder: PathBuf,
    port: u16,
    child: Option<Child>,
}

pub(crate) const PASSWORD: &str = "not-a-secret";

impl Server {
    /// Starts `PROGRAM` without persistence, with a password and these further arguments.
    pub(crate) async fn start(program: &str, arguments: &[&str]) -> Result<Self, Failure> {
        let port = {
            let free = std::net::TcpListener::bind("127.0.0.1:0")?;
            free.local_addr()?.port()
        };
        let folder = std::env::temp_dir().join(format!("aims-redis-{}-{port}", std::process::id()));
        std::fs::create_dir_all(&folder)?;
        let mut server = Self {
            program: program.to_owned(),
            arguments: arguments.iter().map(|&it| it.to_owned()).collect(),
            folder,
            port,
            child: None,
        };
        server.run().await?;
        Ok(server)
    }

    /// Starts the server again, on the same port.
    pub(crate) async fn run(&mut self) -> Result<(), Failure> {
        let child = Command::new(&self.program)
            .args(["--port", &self.port.to_string(), "--bind", "127.0.0.1"])
            .args(["--save", "", "--appendonly", "no", "--daemonize", "no"])
            .args(["--requirepass", PASSWORD, "--dir"])
            .arg(&self.folder)
            .args(&self.arguments)
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()?;
        self.child = Some(child);
        for _ in 0..200 {
            if self.connect().await.is_ok() {
                return Ok(());
            }
            tokio::time::sleep(Duration::from_millis(25)).await;
        }
        Err("the Redis server does not answer".into())
    }

    pub(crate) fn url(&self, password: &str) -> String {
        format!("redis://:{password}@127.0.0.1:{}", self.port)
    }

    async fn connect(&self) -> Result<MultiplexedConnection, Failure> {
        let client = redis::Client::open(self.url(PASSWORD))?;
        Ok(client.get_multiplexed_async_connection().await?)
    }

    /// Runs a command as an administrator.
    pub(crate) async fn tell(&self, command: &[&str]) -> Result<redis::Value, Failure> {
        let (name, arguments) = command.split_first().ok_or("no command")?;
        let mut connection = self.connect().await?;
        let mut asked = redis::cmd(name);
        for argument in arguments {
            asked.arg(argument);
        }
        Ok(asked.query_async(&mut connection).await?)
    }

    /// Ends the server without saving anything.
    pub(crate) async fn end(&mut self) -> Result<(), Failure> {
        // The connection ends without an answer.
        drop(self.tell(&["SHUTDOWN", "NOSAVE"]).await);
        if let Some(mut child) = self.child.take() {
            child.wait()?;
        }
        Ok(())
    }

    /// Sends a signal, such as `STOP`.
    pub(crate) fn signal(&self, name: &str) -> Result<(), Failure> {
        let child = self.child.as_ref().ok_or("no server")?;
        let mut kill = Command::new("kill");
        let status = kill.args(["-s", name, &child.id().to_string()]).status()?;
        if status.success() {
            Ok(())
        } else {
            Err("no signal".into())
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        if let Some(mut child) = self.child.take() {
            drop(child.kill());
            drop(child.wait());
        }
        drop(std::fs::remove_dir_all(&self.folder));
    }
}
