//! What all scripting commands share: connecting, and output that may end at any time.

use std::io::{self, Write};

use anyhow::{Context, bail};
use chat_json::{Client, ClientBuilder, Event, Events};

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

/// Writes a line to stderr, where nobody need read.
pub(crate) fn notice(line: &str) {
    writeln!(io::stderr(), "chat-client: {line}").ok();
}
