//! Functions that all script commands use: they connect to the server, and write to a stdout that its reader may close.

use std::future;
use std::io::{self, Write};
use std::time::Duration;

use anyhow::Context;
use chat_json::{Client, ClientBuilder, Events};
use rustix::event::{PollFd, PollFlags, poll};
use rustix::io::Errno;
use tokio::time::timeout;

use crate::args::ServerArgs;

/// How long the search for a room with a similar name may take.
const HINT_TIMEOUT: Duration = Duration::from_secs(2);

/// A room is suggested if its name is at least this similar, from 0 to 1. clap uses 0.7 for arguments.
const LIKENESS_MIN: f64 = 0.8;

/// Returns a builder for the client of a script command.
pub(crate) fn client(args: &ServerArgs) -> ClientBuilder {
    let builder = Client::connect(args.server.to_string())
        .program(concat!("chat-client/", env!("CARGO_PKG_VERSION")));
    match &args.nick {
        Some(nick) => builder.nick(nick),
        None => builder,
    }
}

/// Connects to the server. The text of an error has one line.
pub(crate) async fn open(
    builder: ClientBuilder,
    args: &ServerArgs,
) -> anyhow::Result<(Client, Events)> {
    let opened = builder.open().await;
    opened.with_context(|| format!("can't connect to {}", args.server))
}

/// Writes a line to stdout. Returns whether stdout is still open.
pub(crate) fn print(line: &str) -> io::Result<bool> {
    let mut stdout = io::stdout().lock();
    match writeln!(stdout, "{line}").and_then(|()| stdout.flush()) {
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(false),
        written => written.map(|()| true),
    }
}

/// Returns a hint to append to a line: the open room with the most similar name. Empty if no name is similar.
pub(crate) async fn nearest_room(client: &Client, name: &str) -> String {
    let Ok(Ok(rooms)) = timeout(HINT_TIMEOUT, client.rooms()).await else {
        return String::new();
    };
    let name = name.to_lowercase();
    let likeness = |room: &str| strsim::jaro_winkler(&room.to_lowercase(), &name);
    let rooms = rooms.into_iter().map(|listing| listing.room);
    let rooms = rooms.map(|room| (likeness(&room), room));
    // A room with a similarity of 1 is the room itself.
    let alike = rooms.filter(|(likeness, _)| (LIKENESS_MIN..1.0).contains(likeness));
    match alike.max_by(|(one, _), (other, _)| one.total_cmp(other)) {
        Some((_, room)) => format!(" (did you mean {room}?)"),
        None => String::new(),
    }
}

/// Waits until the reader of stdout closes. Never returns if stdout has no reader, for example if stdout is a file.
///
/// # Cancel safety
///
/// Cancel safe. Each call occupies a thread, which may stay until the process ends, so call this function rarely.
pub(crate) async fn reader_gone() {
    let waited = tokio::task::spawn_blocking(|| {
        let stdout = io::stdout();
        // The kernel always reports errors and hang-ups; no other event is requested.
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

/// Writes a line to stderr, and ignores a failure.
pub(crate) fn notice(line: &str) {
    writeln!(io::stderr(), "chat-client: {line}").ok();
}
