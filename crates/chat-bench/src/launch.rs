//! Runs a server as a child process: chooses its port and directory, waits until it is ready, and ends it.

use std::fs::File;
use std::io;
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use tempfile::TempDir;

use crate::peer::{CommandLine, Peer, Place};

/// How long a server may take until it accepts connections.
const READY_WITHIN: Duration = Duration::from_secs(15);

/// How long a server may take to end after SIGTERM.
const END_WITHIN: Duration = Duration::from_secs(2);

/// The time between two checks whether a server has started or has ended.
const LOOK_EVERY: Duration = Duration::from_millis(5);

/// A running server. Dropping it ends the process.
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
    /// Returns an error if the server can't be started, ends at once, or does not accept connections within 15 s. The
    /// error text includes the server's last output.
    pub(crate) fn start(peer: &dyn Peer, connections: usize) -> io::Result<Self> {
        Self::launch(connections, |place| peer.command(place))
    }

    /// Starts the program of `command`, and waits until it accepts connections.
    ///
    /// # Errors
    ///
    /// Like [`start`](Self::start).
    pub(crate) fn launch(
        connections: usize,
        command: impl FnOnce(&Place<'_>) -> io::Result<CommandLine>,
    ) -> io::Result<Self> {
        Self::launch_at(free_port()?, connections, command)
    }

    /// Like [`launch`](Self::launch), on the given port.
    pub(crate) fn launch_at(
        port: u16,
        connections: usize,
        command: impl FnOnce(&Place<'_>) -> io::Result<CommandLine>,
    ) -> io::Result<Self> {
        let dir = tempfile::Builder::new().prefix("chat-bench-").tempdir()?;
        // Only the user of this program can read the directory. ngircd can read its configuration even if this user is
        // root, because ngircd drops root's rights later.
        let command = command(&Place {
            port,
            dir: dir.path(),
            connections,
        })?;
        let output = File::create(dir.path().join("output"))?;
        // `reference run` makes the kernel end the server if this program is killed.
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

    /// The process id of the server.
    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// The port on 127.0.0.1 that the server listens on.
    pub(crate) fn port(&self) -> u16 {
        self.port
    }

    /// Sends SIGTERM, as a service manager does.
    pub(crate) fn ask_to_end(&mut self) -> io::Result<()> {
        if self.child.try_wait()?.is_none() {
            // The child has not been reaped, so its process id is still valid.
            kill(Pid::from_raw(self.child.id() as i32), Signal::SIGTERM)?;
        }
        Ok(())
    }

    /// Sends SIGKILL, and waits until the process has ended.
    pub(crate) fn kill(&mut self) -> io::Result<()> {
        self.child.kill()?;
        self.child.wait().map(drop)
    }

    /// The exit status. `None` if the process has not ended.
    pub(crate) fn ended(&mut self) -> io::Result<Option<ExitStatus>> {
        self.child.try_wait()
    }

    /// Everything that the server has printed.
    pub(crate) fn output(&self) -> Vec<u8> {
        std::fs::read(self.dir.path().join("output")).unwrap_or_default()
    }

    /// The last lines that the server printed.
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
                let text = format!("the server ended at once ({status}): {}", self.last_words());
                return Err(io::Error::other(text));
            }
            if TcpStream::connect(address).is_ok() {
                return Ok(());
            }
            if Instant::now() > deadline {
                let text = format!(
                    "the server does not accept connections: {}",
                    self.last_words()
                );
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
