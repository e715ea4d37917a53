//! One conversation in line mode: sends lines and prints lines until one side ends the conversation.
//!
//! Invariant: the two directions never wait for each other. The client never hangs on a server that is gone, and never
//! reconnects. Each way in which a conversation can end is one branch in [`hold`].

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
    /// The lines to send before the lines of the input.
    pub(crate) opening: String,
    /// What to do when the input ends.
    pub(crate) at_input_end: AtInputEnd,
    /// Returns the current date.
    pub(crate) today: fn() -> Date,
}

/// What to do when the input ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum AtInputEnd {
    /// Wait until the server has processed all lines, then leave the conversation.
    Leave,
    /// Keep the connection, and continue to print.
    Stay,
}

/// Sends the lines of `input`, and prints what the server sends to `output`, until one side ends the conversation.
///
/// `Ok` means that the client left, in one of four ways: the input ended and the server processed all of it, `/quit`
/// was sent, `interrupt` resolved, or `output` was closed. At the end of the input the client closes its sending side;
/// the server closes the connection once it has processed all lines. After an interrupt the client sends `/quit` and
/// waits one second for the goodbye; a second interrupt ends the conversation at once.
///
/// # Cancel safety
///
/// Dropping the future drops the connection: unsent lines are lost.
///
/// # Errors
///
/// Returns an error if the server ended the conversation, or if input or output failed.
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
                // The server's last lines may still arrive, so receiving continues.
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

/// The state that sending and receiving share. Both run in one task, so cells suffice.
#[derive(Debug)]
struct State {
    /// Cancelled when the client leaves before the input ends.
    leaving: CancellationToken,
    /// Whether `/quit` was sent. After `/quit`, the server is expected to close the connection.
    quit: Cell<bool>,
    /// The time by which the server should have processed all sent lines.
    busy_until: Cell<Instant>,
    /// The time since which the client waits for output of the server; `None` while the client prints.
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

    /// Records lines that are about to be sent: the time that the server needs to process them, and whether they end
    /// the session.
    fn note(&self, lines: &Lines) {
        let begin = self.busy_until.get().max(Instant::now());
        self.busy_until.set(begin + LINE_TIME * lines.count);
        self.quit.set(self.quit.get() || lines.quit);
    }

    /// Waits until the server has been silent for too long. The time limit is [`PATIENCE`]. It begins with the server's
    /// silence, or at the latest time at which the server should have processed all sent lines, whichever is later.
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

    /// Returns the result of the conversation once receiving has ended.
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

/// How much of the input was sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Sent {
    /// There may be more to send.
    NotYet,
    /// All of the input was sent, and the client's sending side is closed.
    All,
    /// The server accepted only a part of the input.
    InPart,
}

#[derive(Debug)]
enum SendError {
    Input(io::Error),
    /// The server accepts no more input. The receiving side reports the reason.
    Server,
}

#[derive(Debug)]
enum ReceiveError {
    Server(io::Error),
    Output(io::Error),
}

/// Sends all lines, then closes the client's sending side.
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

/// Prints what the server sends until the server closes the connection.
///
/// The server prints the date of earlier messages. When a new day begins, the client prints the new date before the
/// next line.
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

/// Waits until `deadline`. Never returns if `deadline` is `None`.
async fn at(deadline: Option<Instant>) {
    match deadline {
        Some(deadline) => sleep_until(deadline).await,
        None => future::pending().await,
    }
}

/// What the client sends when it leaves early. The first line break ends a long line that was sent only in part.
/// Otherwise the first line break makes an empty line, which servers ignore.
const GOODBYE: &[u8] = b"\n/quit\n";

/// How long the client waits for the server's goodbye after the user interrupts the client.
const GOODBYE_TIMEOUT: Duration = Duration::from_secs(1);

/// How long the server may be silent, in addition to the time that it may take to process the sent lines.
const PATIENCE: Duration = Duration::from_secs(5);

/// The time that a server may take to process a line. A server with the default rate of five lines a second needs half
/// of this time.
const LINE_TIME: Duration = Duration::from_millis(400);

/// The most bytes of one read.
const READ_BYTES: usize = 16 * 1024;

#[cfg(test)]
mod tests;
