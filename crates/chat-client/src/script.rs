//! What all scripting commands share: connecting, and output that may end at any time.

use std::future;
use std::io::{self, Write};
use std::time::Duration;

use anyhow::Context;
use chat_json::{Client, ClientBuilder, Events};
use rustix::event::{PollFd, PollFlags, poll};
use rustix::io::Errno;
use tokio::time::timeout;

use crate::args::ServerArgs;

/// How long a hint may take.
const HINT_TIMEOUT: Duration = Duration::from_secs(2);

/// How alike two names must be for one to be mistyped for the other: clap's own measure for arguments is 0.7.
const LIKENESS_MIN: f64 = 0.8;

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

/// Writes a line to stdout. Returns whether somebody still reads.
pub(crate) fn print(line: &str) -> io::Result<bool> {
    let mut stdout = io::stdout().lock();
    match writeln!(stdout, "{line}").and_then(|()| stdout.flush()) {
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(false),
        written => written.map(|()| true),
    }
}

/// The open room whose name is most like this one, as a hint to append to a line; empty if none is like it.
pub(crate) async fn nearest_room(client: &Client, name: &str) -> String {
    let Ok(Ok(rooms)) = timeout(HINT_TIMEOUT, client.rooms()).await else {
        return String::new();
    };
    let name = name.to_lowercase();
    let likeness = |room: &str| strsim::jaro_winkler(&room.to_lowercase(), &name);
    let rooms = rooms.into_iter().map(|listing| listing.room);
    let rooms = rooms.map(|room| (likeness(&room), room));
    // One that is spelled the same is the room itself.
    let alike = rooms.filter(|(likeness, _)| (LIKENESS_MIN..1.0).contains(likeness));
    match alike.max_by(|(one, _), (other, _)| one.total_cmp(other)) {
        Some((_, room)) => format!(" (did you mean {room}?)"),
        None => String::new(),
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
