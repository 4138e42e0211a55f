//! The authorization server, as a process on loopback ports that ends with this one.

use std::io::{BufRead as _, BufReader, Write as _};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

use crate::Failure;

/// A running provider.
pub(crate) struct Peer {
    child: Child,
    commands: Option<ChildStdin>,
    answers: BufReader<ChildStdout>,
    /// Its issuer identifier.
    pub(crate) issuer: String,
    /// Another port with the same answers: what is published there names `issuer`, which is not
    /// where it was asked for.
    pub(crate) mirror: String,
}

impl Peer {
    /// Starts `NODE SCRIPT`, with the public keys of the clients.
    pub(crate) fn start(node: &str, script: &str, jwks: &str) -> Result<Self, Failure> {
        let mut child = Command::new(node)
            .arg(script)
            .env("CLIENT_JWKS", jwks)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()?;
        let answers = child.stdout.take().ok_or("the provider has no stdout")?;
        let mut peer = Self {
            commands: child.stdin.take(),
            child,
            answers: BufReader::new(answers),
            issuer: String::new(),
            mirror: String::new(),
        };
        let ready = peer.answer()?;
        let mut words = ready.split_whitespace().skip(1);
        peer.issuer = words.next().ok_or("the provider names no issuer")?.into();
        peer.mirror = words.next().ok_or("the provider names no mirror")?.into();
        Ok(peer)
    }

    /// Gives a command and waits until it is done.
    pub(crate) fn tell(&mut self, command: &str) -> Result<(), Failure> {
        let commands = self.commands.as_mut().ok_or("the provider has ended")?;
        writeln!(commands, "{command}")?;
        // The library has notices of its own on stdout.
        while self.answer()? != command {}
        Ok(())
    }

    fn answer(&mut self) -> Result<String, Failure> {
        let mut line = String::new();
        if self.answers.read_line(&mut line)? == 0 {
            return Err("the provider has ended".into());
        }
        Ok(line.trim_end().to_owned())
    }
}

impl Drop for Peer {
    fn drop(&mut self) {
        // It ends when its stdin does; a provider that hangs is ended by its own handle.
        drop(self.commands.take());
        drop(self.child.kill());
        drop(self.child.wait());
    }
}
