//! The authorization server: a child process on loopback ports that ends with this program.

use std::io::{BufRead as _, BufReader, Write as _};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

use crate::Failure;

/// A running provider.
pub(crate) struct Peer {
    child: Child,
    commands: Option<ChildStdin>,
    answers: BufReader<ChildStdout>,
    /// The issuer identifier of the provider.
    pub(crate) issuer: String,
    /// The second port, with the same answers. Its metadata names `issuer`, which is not the issuer
    /// that was requested. Empty if the provider has none.
    pub(crate) mirror: String,
}

impl Peer {
    /// Starts `NODE SCRIPT`, with the public keys of the clients.
    pub(crate) fn start(node: &str, script: &str, jwks: &str) -> Result<Self, Failure> {
        Self::start_with(node, script, &[("CLIENT_JWKS", jwks)])
    }

    /// Starts `PROGRAM ARGUMENT`, such as `NODE SCRIPT`, with these variables. It prints
    /// `ready ISSUER MIRROR`.
    pub(crate) fn start_with(
        program: &str,
        argument: &str,
        variables: &[(&str, &str)],
    ) -> Result<Self, Failure> {
        let mut child = Command::new(program)
            .args(Some(argument).filter(|it| !it.is_empty()))
            .envs(variables.iter().copied())
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
        peer.mirror = words.next().unwrap_or_default().into();
        Ok(peer)
    }

    /// Sends a command and waits until it is done.
    pub(crate) fn tell(&mut self, command: &str) -> Result<(), Failure> {
        let commands = self.commands.as_mut().ok_or("the provider has ended")?;
        writeln!(commands, "{command}")?;
        // Skip notices that the library prints to stdout.
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
        // The child ends when its stdin is closed. If it hangs, its handle kills it.
        drop(self.commands.take());
        drop(self.child.kill());
        drop(self.child.wait());
    }
}
