//! A server as a child process: a free port, a place for its files, readiness, and its end.

use std::fs::File;
use std::io;
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use tempfile::TempDir;

use crate::peer::{CommandLine, Peer, Place};

/// How long a server may take until it accepts.
const READY_WITHIN: Duration = Duration::from_secs(15);

/// How long it may take to end once it is asked to.
const END_WITHIN: Duration = Duration::from_secs(2);

/// How often readiness and the end are looked for.
const LOOK_EVERY: Duration = Duration::from_millis(5);

/// A running server; dropping it ends it.
#[derive(Debug)]
pub(crate) struct Server {
    child: Child,
    port: u16,
    dir: TempDir,
}

impl Server {
    /// Starts a server and waits until it accepts connections.
    ///
    /// # Errors
    ///
    /// It could not be started, ended at once, or does not accept within 15 s; the text has what it printed last.
    pub(crate) fn start(peer: &dyn Peer, connections: usize) -> io::Result<Self> {
        Self::launch(connections, |place| peer.command(place))
    }

    /// Starts what `command` says, and waits until it accepts connections.
    ///
    /// # Errors
    ///
    /// As [`start`](Self::start).
    pub(crate) fn launch(
        connections: usize,
        command: impl FnOnce(&Place<'_>) -> io::Result<CommandLine>,
    ) -> io::Result<Self> {
        Self::launch_at(free_port()?, connections, command)
    }

    /// As [`launch`](Self::launch), on this port.
    pub(crate) fn launch_at(
        port: u16,
        connections: usize,
        command: impl FnOnce(&Place<'_>) -> io::Result<CommandLine>,
    ) -> io::Result<Self> {
        let dir = tempfile::Builder::new().prefix("chat-bench-").tempdir()?;
        // ngircd gives up root's rights only after it has read its files, but its directory must let it in.
        let command = command(&Place {
            port,
            dir: dir.path(),
            connections,
        })?;
        let output = File::create(dir.path().join("output"))?;
        // Through ourselves, so that the server ends should we be killed.
        let child = Command::new(std::env::current_exe()?)
            .args(["reference", "run", "--"])
            .arg(&command.program)
            .args(&command.arguments)
            .stdin(Stdio::null())
            .stdout(output.try_clone()?)
            .stderr(output)
            .spawn()?;
        let mut server = Self { child, port, dir };
        server.wait_until_ready()?;
        Ok(server)
    }

    /// Its process.
    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Where on 127.0.0.1 it listens.
    pub(crate) fn port(&self) -> u16 {
        self.port
    }

    /// Asks it to end, as a service manager does.
    pub(crate) fn ask_to_end(&mut self) -> io::Result<()> {
        if self.child.try_wait()?.is_none() {
            // The child has not been waited for, so its id is still its own.
            kill(Pid::from_raw(self.child.id() as i32), Signal::SIGTERM)?;
        }
        Ok(())
    }

    /// Kills it, which it can't notice, and waits until it is gone.
    pub(crate) fn kill(&mut self) -> io::Result<()> {
        self.child.kill()?;
        self.child.wait().map(drop)
    }

    /// How it ended, if it did.
    pub(crate) fn ended(&mut self) -> io::Result<Option<ExitStatus>> {
        self.child.try_wait()
    }

    /// All that it printed.
    pub(crate) fn output(&self) -> Vec<u8> {
        std::fs::read(self.dir.path().join("output")).unwrap_or_default()
    }

    /// The last lines that it printed.
    pub(crate) fn last_words(&self) -> String {
        let text = self.output();
        let text = String::from_utf8_lossy(&text);
        let lines: Vec<&str> = text.lines().collect();
        lines[lines.len().saturating_sub(8)..].join("\n")
    }

    fn wait_until_ready(&mut self) -> io::Result<()> {
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, self.port));
        let deadline = Instant::now() + READY_WITHIN;
        loop {
            if let Some(status) = self.child.try_wait()? {
                let text = format!("it ended at once ({status}): {}", self.last_words());
                return Err(io::Error::other(text));
            }
            if TcpStream::connect(address).is_ok() {
                return Ok(());
            }
            if Instant::now() > deadline {
                let text = format!("it does not accept connections: {}", self.last_words());
                return Err(io::Error::other(text));
            }
            std::thread::sleep(LOOK_EVERY);
        }
    }

    fn has_ended_within(&mut self, time: Duration) -> io::Result<bool> {
        let deadline = Instant::now() + time;
        while self.child.try_wait()?.is_none() {
            if Instant::now() > deadline {
                return Ok(false);
            }
            std::thread::sleep(LOOK_EVERY);
        }
        Ok(true)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        if self.ask_to_end().is_ok() && self.has_ended_within(END_WITHIN).unwrap_or(false) {
            return;
        }
        if let Err(error) = self.child.kill().and_then(|()| self.child.wait()) {
            eprintln!(
                "chat-bench: could not end process {}: {error}",
                self.child.id()
            );
        }
    }
}

fn free_port() -> io::Result<u16> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
    Ok(listener.local_addr()?.port())
}
