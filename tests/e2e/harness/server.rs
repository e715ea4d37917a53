//! Runs `chat-server` on a free port.

use std::net::SocketAddr;
use std::ops::{Deref, DerefMut};
use std::process::{Command, Stdio};

use super::binaries::binary;
use super::process::{Printed, Process};

/// A running `chat-server`. It is killed when the test ends.
#[derive(Debug)]
pub(crate) struct Server {
    process: Process,
    address: SocketAddr,
}

impl Server {
    /// Starts a server without limits on rate and on connections.
    pub(crate) fn start() -> Self {
        Self::with(&[])
    }

    /// Starts a server without limits on rate and on connections, and with further arguments.
    pub(crate) fn with(arguments: &[&str]) -> Self {
        let lifted = ["--rate", "off", "--per-address", "off"];
        Self::with_limits(&[&lifted, arguments].concat())
    }

    /// Starts a server with its default limits and with further arguments.
    pub(crate) fn with_limits(arguments: &[&str]) -> Self {
        let listen = ["--listen", "127.0.0.1:0"];
        let mut process = Self::run(&[&listen, arguments].concat());
        let address = listening(&mut process.stderr);
        Self { process, address }
    }

    /// Starts a server whose log goes to the shell command `reader`. The command must print the first line of the log.
    /// The command's descriptor 4 is a pipe from the test. The pipe is closed at the end of the test, so a command that
    /// reads the pipe ends, too.
    pub(crate) fn with_log_read_by(reader: &str, arguments: &[&str]) -> Self {
        let script = format!(
            r#"exec 3>&1 4<&0; exec "$0" "$@" 2> >(exec 1>&3 3>&- 2>/dev/null; {reader}) 3>&- 4<&-"#
        );
        let mut process = Process::start(
            Command::new("bash")
                .args(["-c", &script])
                .arg(binary("chat-server"))
                .args(["--listen", "127.0.0.1:0", "--rate", "off"])
                .args(arguments)
                .env_remove("RUST_LOG")
                .stdin(Stdio::piped()),
        );
        let address = listening(&mut process.stdout);
        Self { process, address }
    }

    /// Starts the program with exactly these arguments. The program may fail to start serving.
    pub(crate) fn run(arguments: &[&str]) -> Process {
        Process::start(
            Command::new(binary("chat-server"))
                .args(arguments)
                .env_remove("RUST_LOG")
                .stdin(Stdio::null()),
        )
    }

    /// Returns the address on which the server listens.
    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }
}

fn listening(printed: &mut Printed) -> SocketAddr {
    printed.wait_for("the line `listening on ADDRESS`", |line| {
        let (_, address) = line.split_once("listening on ")?;
        address.split_whitespace().next()?.parse().ok()
    })
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
