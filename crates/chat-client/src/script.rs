//! What all scripting commands share: connecting, and output that may end at any time.

use std::future;
use std::io::{self, Write};

use anyhow::{Context, bail};
use chat_json::{Client, ClientBuilder, Event, Events};
use rustix::event::{PollFd, PollFlags, poll};
use rustix::io::Errno;

use crate::args::ServerArgs;

/// Starts to choose how to connect.
pub(crate) fn client(args: &ServerArgs) -> ClientBuilder {
    let builder = Client::connect(args.server.to_string())
        .program(concat!("chat-client/", env!("CARGO_PKG_VERSION")));
    match &args.nick {
        Some(nick) => builder.nick(nick),
        None => builder,
    }
}

/// Connects, or says in one line why that can't be.
pub(crate) async fn open(
    builder: ClientBuilder,
    args: &ServerArgs,
) -> anyhow::Result<(Client, Events)> {
    let opened = builder.open().await;
    opened.with_context(|| format!("no chat with {}", args.server))
}

/// Waits until the client is in the room that it was opened with.
pub(crate) async fn entered(events: &mut Events) -> anyhow::Result<()> {
    while let Some(event) = events.next().await {
        match event {
            Event::Entered(_) => return Ok(()),
            Event::NotEntered { room, message, .. } => bail!("not in {room}: {message}"),
            Event::Closed { why } => bail!("{why}"),
            _ => {}
        }
    }
    bail!("the connection is closed")
}

/// Writes a line to stdout. Returns whether somebody still reads.
pub(crate) fn print(line: &str) -> io::Result<bool> {
    let mut stdout = io::stdout().lock();
    match writeln!(stdout, "{line}").and_then(|()| stdout.flush()) {
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(false),
        written => written.map(|()| true),
    }
}

/// Waits until the reader of stdout is gone; for ever where there is none that could go, as with a file.
///
/// # Cancel safety
///
/// Cancel safe. The thread that waits stays until the process ends: do not begin often.
pub(crate) async fn reader_gone() {
    let waited = tokio::task::spawn_blocking(|| {
        let stdout = io::stdout();
        // Whatever is asked for, the kernel tells of an error and of a hang-up; what is asked for here is nothing else.
        let mut stdout = [PollFd::new(&stdout, PollFlags::empty())];
        loop {
            match poll(&mut stdout, None) {
                Ok(_) => return true,
                Err(Errno::INTR) => {}
                Err(_) => return false,
            }
        }
    });
    if !waited.await.unwrap_or(false) {
        future::pending().await
    }
}

/// Writes a line to stderr, where nobody need read.
pub(crate) fn notice(line: &str) {
    writeln!(io::stderr(), "chat-client: {line}").ok();
}
