//! How a client is set up: where to connect, as whom, and which rooms to join.

use super::backoff::Backoff;
use super::conversation::{Conversation, Setup};
use super::driver::Driver;
use super::pace::Pace;
use super::room::Wanted;
use super::{AskError, Client, Events};
use futures::future::BoxFuture;
use std::fmt;
use std::io;
use std::sync::Arc;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::{mpsc, oneshot};
use tokio_util::task::AbortOnDropHandle;

/// How many requests wait to be taken.
const ASKS_MAX: usize = 64;

/// How many events wait in the channel; more wait with the connection.
pub(super) const EVENTS_MAX: usize = 256;

/// A byte stream in both directions.
pub trait ByteStream: AsyncRead + AsyncWrite + Send + Unpin + 'static {}

impl<S: AsyncRead + AsyncWrite + Send + Unpin + 'static> ByteStream for S {}

/// Makes the streams of a client, one for each connection.
///
/// Implemented for closures that return a boxed future:
///
/// ```
/// use chat_json::Client;
/// use futures::FutureExt;
///
/// let builder = Client::connect_with(|| {
///     async {
///         let stream = tokio::net::TcpStream::connect("127.0.0.1:5000").await?;
///         Ok(Box::new(stream) as Box<_>)
///     }
///     .boxed()
/// });
/// # drop(builder);
/// ```
pub trait Connect: Send + Sync + 'static {
    /// Connects. Given up after ten seconds.
    fn connect(&self) -> BoxFuture<'static, io::Result<Box<dyn ByteStream>>>;
}

impl<F> Connect for F
where
    F: Fn() -> BoxFuture<'static, io::Result<Box<dyn ByteStream>>> + Send + Sync + 'static,
{
    fn connect(&self) -> BoxFuture<'static, io::Result<Box<dyn ByteStream>>> {
        self()
    }
}

/// Connects over TCP.
#[derive(Debug)]
pub(super) struct Tcp(pub(super) String);

impl Connect for Tcp {
    fn connect(&self) -> BoxFuture<'static, io::Result<Box<dyn ByteStream>>> {
        let address = self.0.clone();
        Box::pin(async move {
            let stream = tokio::net::TcpStream::connect(address).await?;
            stream.set_nodelay(true)?;
            Ok(Box::new(stream) as Box<dyn ByteStream>)
        })
    }
}

/// Chooses how a client connects, as whom, and to which rooms.
pub struct ClientBuilder {
    connector: Arc<dyn Connect>,
    setup: Setup,
}

impl ClientBuilder {
    pub(super) fn new(connector: Arc<dyn Connect>) -> Self {
        Self {
            connector,
            setup: Setup::default(),
        }
    }

    /// Sets the nick; the server gives a guest's if this is not called, another one with each connection.
    #[must_use]
    pub fn nick(mut self, nick: impl Into<String>) -> Self {
        self.setup.nick = Some(nick.into());
        self
    }

    /// Sets the token by which the server knows this client again over connections: it takes its nick back from a
    /// connection of its own that is half dead, and a message that is repeated under its key is not said twice.
    ///
    /// Each client makes one of its own if this is not called. A program that keeps a token over its restarts is known
    /// again after them; it has to be secret and hard to guess, and have 16 to 128 bytes. Of two clients with one token
    /// and one nick, the later one ends the session of the other.
    #[must_use]
    pub fn token(mut self, token: impl Into<String>) -> Self {
        self.setup.token = Some(token.into().into());
        self
    }

    /// Sets the name of the program, which the server is told.
    #[must_use]
    pub fn program(mut self, program: impl Into<String>) -> Self {
        self.setup.program = program.into();
        self
    }

    /// Sets whether the client's own messages come back as events; they don't until this is called.
    #[must_use]
    pub const fn echo(mut self, echo: bool) -> Self {
        self.setup.echo = echo;
        self
    }

    /// Comes in as a guest when the server refuses the nick, and tells so as [`Event::NickRefused`](super::Event). Without
    /// it the client tries again until the nick is free, and ends if it is no name. A nick that the client had until the
    /// connection broke is asked for again for the time that the server may take to notice the break.
    #[must_use]
    pub const fn guest_if_refused(mut self) -> Self {
        self.setup.guest_if_refused = true;
        self
    }

    /// Joins a room, from now on.
    #[must_use]
    pub fn join(self, room: impl Into<String>) -> Self {
        self.join_wanted(Wanted::new(room.into()))
    }

    /// Joins a room and is given its latest messages first, so many at most.
    #[must_use]
    pub fn join_with_history(self, room: impl Into<String>, limit: usize) -> Self {
        let mut wanted = Wanted::new(room.into());
        wanted.limit = Some(limit);
        self.join_wanted(wanted)
    }

    /// Joins a room and is given what followed a message first. `epoch` and `seq` are those of the
    /// [`Message`](super::Message); without the epoch, the present one is meant.
    #[must_use]
    pub fn join_after(self, room: impl Into<String>, epoch: Option<String>, seq: u64) -> Self {
        let mut wanted = Wanted::new(room.into());
        wanted.after = Some((epoch, seq));
        self.join_wanted(wanted)
    }

    /// Starts to connect, and goes on trying until it succeeds.
    ///
    /// # Panics
    ///
    /// Panics outside of a Tokio runtime.
    #[must_use]
    pub fn start(self) -> (Client, Events) {
        self.spawn(None)
    }

    /// Connects, and fails if the first attempt does.
    ///
    /// # Errors
    ///
    /// See [`OpenError`].
    ///
    /// # Panics
    ///
    /// Panics outside of a Tokio runtime.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future ends the attempt.
    pub async fn open(self) -> Result<(Client, Events), OpenError> {
        let (opened, outcome) = oneshot::channel();
        let client = self.spawn(Some(opened));
        match outcome.await {
            Ok(Ok(())) => Ok(client),
            Ok(Err(error)) => Err(error),
            Err(_) => Err(OpenError::Unreachable(io::ErrorKind::BrokenPipe.into())),
        }
    }

    fn join_wanted(mut self, wanted: Wanted) -> Self {
        self.setup.rooms.push(wanted);
        self
    }

    fn spawn(self, opened: Option<oneshot::Sender<Result<(), OpenError>>>) -> (Client, Events) {
        let (asks_tx, asks) = mpsc::channel(ASKS_MAX);
        let (events, rx) = mpsc::channel(EVENTS_MAX);
        let driver = Driver {
            connector: self.connector,
            conversation: Conversation::new(self.setup),
            asks,
            events,
            opened,
            backoff: Backoff::default(),
            pace: Pace::default(),
        };
        #[expect(
            clippy::disallowed_methods,
            reason = "the handles own the task: it is aborted when the last of them is dropped"
        )]
        let task = Arc::new(AbortOnDropHandle::new(tokio::spawn(driver.run())));
        let client = Client {
            asks: asks_tx,
            _task: Arc::clone(&task),
        };
        (client, Events { rx, _task: task })
    }
}

impl fmt::Debug for ClientBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ClientBuilder")
            .field("setup", &self.setup)
            .finish_non_exhaustive()
    }
}

/// Why a client could not be opened.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum OpenError {
    /// The server can't be reached, or breaks off.
    #[error("the server can't be reached")]
    Unreachable(#[source] io::Error),
    /// The server does not answer, or not as a chat server does.
    #[error("the other end does not answer as a chat server does: {0}")]
    NoChat(String),
    /// The server refuses the hello.
    #[error("{0}")]
    Refused(AskError),
}
