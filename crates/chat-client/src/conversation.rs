//! One conversation in line mode: sends lines and prints lines until one side ends it.
//!
//! The two directions never wait for each other. The client never hangs on a server that is gone, and never reconnects:
//! each way to end is one arm of [`hold`].

use std::cell::Cell;
use std::error::Error;
use std::fmt::{self, Display, Formatter};
use std::future;
use std::io;
use std::pin::pin;
use std::time::Duration;

use jiff::civil::Date;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::time::{Instant, sleep_until};
use tokio_util::sync::CancellationToken;

use crate::outgoing::{Lines, Outgoing};
use crate::screen::Screen;

/// How a conversation begins and ends.
#[derive(Debug)]
pub(crate) struct Plan {
    /// Lines to send before those of the input.
    pub(crate) opening: String,
    /// What to do when the input ends.
    pub(crate) at_input_end: AtInputEnd,
    /// Returns the present date.
    pub(crate) today: fn() -> Date,
}

/// What to do when the input ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum AtInputEnd {
    /// Wait until the server has processed all lines, then leave.
    Leave,
    /// Keep the connection, and go on printing.
    Stay,
}

/// Sends the lines of `input`, and prints what the server sends to `output`, until one side ends it.
///
/// `Ok` means that the client left: the input ended and the server processed all of it (it closes after the client's
/// half-close), `/quit` was sent, `interrupt` resolved, or `output` was closed. After an interrupt the client sends
/// `/quit` and waits one second for the goodbye; a second interrupt ends it at once.
///
/// # Cancel safety
///
/// Dropping the future drops the connection: unsent lines are lost.
///
/// # Errors
///
/// The server ended the conversation, or input or output failed.
pub(crate) async fn hold<S, I, O, F>(
    stream: S,
    input: I,
    output: O,
    plan: &Plan,
    interrupt: impl Fn() -> F,
) -> Result<(), ConversationError>
where
    S: AsyncRead + AsyncWrite,
    I: AsyncRead + Unpin,
    O: AsyncWrite + Unpin,
    F: Future<Output = ()>,
{
    let (from_server, to_server) = tokio::io::split(stream);
    let state = State::new();
    let mut sending = pin!(send(to_server, input, plan, &state));
    let mut receiving = pin!(receive(from_server, output, plan, &state));
    let mut interrupted = pin!(interrupt());
    let mut sent = Sent::NotYet;
    let mut leave_by = None;
    loop {
        tokio::select! {
            received = &mut receiving => return state.judge(received, sent),
            result = &mut sending, if sent == Sent::NotYet => sent = match result {
                Ok(()) => Sent::All,
                Err(SendError::Input(error)) => return Err(ConversationError::Input(error)),
                // The last lines of the server may still be on their way.
                Err(SendError::Server) => Sent::InPart,
            },
            () = &mut interrupted => {
                if state.leaving.is_cancelled() {
                    return Ok(());
                }
                state.leaving.cancel();
                leave_by = Some(Instant::now() + GOODBYE_TIMEOUT);
                interrupted.set(interrupt());
            }
            () = at(leave_by) => return Ok(()),
            () = state.patience(), if sent != Sent::NotYet => return Err(ConversationError::NoAnswer),
        }
    }
}

/// Why a conversation failed.
#[derive(Debug)]
pub(crate) enum ConversationError {
    /// The server closed the connection.
    ServerClosed,
    /// The connection was lost.
    ConnectionLost(io::Error),
    /// All lines were sent, and the server neither answered nor closed.
    NoAnswer,
    /// The input can't be read.
    Input(io::Error),
    /// The output can't be written.
    Output(io::Error),
}

impl Display for ConversationError {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::ServerClosed => "the server closed the connection",
            Self::ConnectionLost(_) => "the connection to the server was lost",
            Self::NoAnswer => {
                "the server stopped answering: what was sent last may not have been delivered"
            }
            Self::Input(_) => "can't read the input",
            Self::Output(_) => "can't write the output",
        })
    }
}

impl Error for ConversationError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match self {
            Self::ServerClosed | Self::NoAnswer => None,
            Self::ConnectionLost(error) | Self::Input(error) | Self::Output(error) => Some(error),
        }
    }
}

/// The state that both directions share. They run in one task, so cells suffice.
#[derive(Debug)]
struct State {
    /// Cancelled when the client leaves before the input ends.
    leaving: CancellationToken,
    /// Whether `/quit` was sent: then the server closes as expected.
    quit: Cell<bool>,
    /// Until when the server may be processing the lines that were sent.
    busy_until: Cell<Instant>,
    /// Since when the client waits for the server; `None` while it prints.
    waiting_since: Cell<Option<Instant>>,
}

impl State {
    fn new() -> Self {
        let now = Instant::now();
        Self {
            leaving: CancellationToken::new(),
            quit: Cell::new(false),
            busy_until: Cell::new(now),
            waiting_since: Cell::new(Some(now)),
        }
    }

    /// Counts lines that are about to be sent.
    fn note(&self, lines: &Lines) {
        let begin = self.busy_until.get().max(Instant::now());
        self.busy_until.set(begin + LINE_TIME * lines.count);
        self.quit.set(self.quit.get() || lines.quit);
    }

    /// Waits until the server has been silent for too long.
    async fn patience(&self) {
        loop {
            let now = Instant::now();
            let waiting_since = self.waiting_since.get().unwrap_or(now);
            let until = waiting_since.max(self.busy_until.get()) + PATIENCE;
            if until <= now {
                return;
            }
            sleep_until(until).await;
        }
    }

    /// Returns the result of the conversation when receiving has ended.
    fn judge(
        &self,
        received: Result<(), ReceiveError>,
        sent: Sent,
    ) -> Result<(), ConversationError> {
        let left = self.leaving.is_cancelled() || self.quit.get();
        match received {
            Err(ReceiveError::Output(error)) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
            Err(ReceiveError::Output(error)) => Err(ConversationError::Output(error)),
            _ if left => Ok(()),
            Ok(()) if sent == Sent::All => Ok(()),
            Ok(()) => Err(ConversationError::ServerClosed),
            Err(ReceiveError::Server(error)) => Err(ConversationError::ConnectionLost(error)),
        }
    }
}

/// How much was sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Sent {
    /// There may be more to send.
    NotYet,
    /// Everything was sent, and the client's side is closed.
    All,
    /// The server accepted no more.
    InPart,
}

#[derive(Debug)]
enum SendError {
    Input(io::Error),
    /// The receiving side reports the reason.
    Server,
}

#[derive(Debug)]
enum ReceiveError {
    Server(io::Error),
    Output(io::Error),
}

/// Sends all lines, then closes the client's side.
async fn send<W, I>(
    mut to_server: W,
    mut input: I,
    plan: &Plan,
    state: &State,
) -> Result<(), SendError>
where
    W: AsyncWrite + Unpin,
    I: AsyncRead + Unpin,
{
    let mut outgoing = Outgoing::default();
    outgoing.buffer().extend_from_slice(plan.opening.as_bytes());
    deliver(&mut to_server, &outgoing.take_whole(), state).await?;
    loop {
        let read = tokio::select! {
            () = state.leaving.cancelled() => break,
            read = input.read_buf(outgoing.buffer()) => read.map_err(SendError::Input)?,
        };
        if read == 0 {
            deliver(&mut to_server, &outgoing.take_rest(), state).await?;
            if plan.at_input_end == AtInputEnd::Stay {
                state.leaving.cancelled().await;
            }
            break;
        }
        deliver(&mut to_server, &outgoing.take_whole(), state).await?;
    }
    if state.leaving.is_cancelled() {
        to_server
            .write_all(GOODBYE)
            .await
            .map_err(|_| SendError::Server)?;
    }
    to_server.shutdown().await.map_err(|_| SendError::Server)
}

async fn deliver<W: AsyncWrite + Unpin>(
    to_server: &mut W,
    lines: &Lines,
    state: &State,
) -> Result<(), SendError> {
    state.note(lines);
    to_server
        .write_all(&lines.bytes)
        .await
        .map_err(|_| SendError::Server)
}

/// Prints what the server sends until it closes.
///
/// The server prints the date of earlier messages. When a new day begins, the client prints its date before the next
/// line.
async fn receive<R, O>(
    mut from_server: R,
    mut output: O,
    plan: &Plan,
    state: &State,
) -> Result<(), ReceiveError>
where
    R: AsyncRead + Unpin,
    O: AsyncWrite + Unpin,
{
    let mut screen = Screen::default();
    let mut buffer = vec![0; READ_BYTES];
    let mut day = (plan.today)();
    loop {
        state.waiting_since.set(Some(Instant::now()));
        let read = from_server.read(&mut buffer).await;
        state.waiting_since.set(None);
        match read {
            Ok(read) if read > 0 => {
                let mut shown = screen.show(&buffer[..read]);
                let today = (plan.today)();
                if !shown.is_empty() && std::mem::replace(&mut day, today) != today {
                    shown.insert_str(0, &format!("* {today} (today)\n"));
                }
                print(&mut output, &shown).await?;
            }
            end => {
                print(&mut output, &screen.finish()).await?;
                return end.map(|_| ()).map_err(ReceiveError::Server);
            }
        }
    }
}

async fn print<O: AsyncWrite + Unpin>(output: &mut O, text: &str) -> Result<(), ReceiveError> {
    output
        .write_all(text.as_bytes())
        .await
        .map_err(ReceiveError::Output)?;
    output.flush().await.map_err(ReceiveError::Output)
}

/// Waits until `deadline`; never returns without one.
async fn at(deadline: Option<Instant>) {
    match deadline {
        Some(deadline) => sleep_until(deadline).await,
        None => future::pending().await,
    }
}

/// Sent when the client leaves early. The empty line, which servers ignore, ends an over-long line that was sent in
/// part.
const GOODBYE: &[u8] = b"\n/quit\n";

/// How long the client waits for the server's goodbye when it leaves early.
const GOODBYE_TIMEOUT: Duration = Duration::from_secs(1);

/// How long the server may be silent after everything was sent, beyond the time for processing it.
const PATIENCE: Duration = Duration::from_secs(5);

/// The time a server may take for a line: twice that of its default rate, five lines a second.
const LINE_TIME: Duration = Duration::from_millis(400);

/// The size of one read.
const READ_BYTES: usize = 16 * 1024;

#[cfg(test)]
mod tests;
