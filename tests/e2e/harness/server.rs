//! `chat-server`, on a port of its own.

use std::net::SocketAddr;
use std::ops::{Deref, DerefMut};
use std::process::{Command, Stdio};

use super::Process;
use super::binaries::binary;

/// A running `chat-server`. It is killed with the test.
#[derive(Debug)]
pub(crate) struct Server {
    process: Process,
    address: SocketAddr,
}

impl Server {
    /// Starts a server whose limits on rate and connections are lifted.
    pub(crate) fn start() -> Self {
        Self::with(&[])
    }

    /// Starts a server with the limits lifted and more arguments.
    pub(crate) fn with(arguments: &[&str]) -> Self {
        let lifted = ["--rate", "off", "--per-address", "off"];
        Self::with_limits(&[&lifted, arguments].concat())
    }

    /// Starts a server with its default limits and these arguments.
    pub(crate) fn with_limits(arguments: &[&str]) -> Self {
        let listen = ["--listen", "127.0.0.1:0"];
        let mut process = Self::run(&[&listen, arguments].concat());
        let address = process
            .stderr
            .wait_for("the line `listening on ADDRESS`", |line| {
                let (_, address) = line.split_once("listening on ")?;
                address.split_whitespace().next()?.parse().ok()
            });
        Self { process, address }
    }

    /// Starts the program with exactly these arguments, whatever comes of it.
    pub(crate) fn run(arguments: &[&str]) -> Process {
        Process::start(
            Command::new(binary("chat-server"))
                .args(arguments)
                .env_remove("RUST_LOG")
                .stdin(Stdio::null()),
        )
    }

    /// Returns where it listens.
    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }
}

impl Deref for Server {
    type Target = Process;

    fn deref(&self) -> &Process {
        &self.process
    }
}

impl DerefMut for Server {
    fn deref_mut(&mut self) -> &mut Process {
        &mut self.process
    }
}
