//! Configures a client: where to connect, the nick, and the rooms to join.

use super::backoff::Backoff;
use super::conversation::{Conversation, Setup};
use super::driver::Driver;
use super::pace::Pace;
use super::room::JoinRequest;
use super::{Client, Events, RequestError};
use futures::future::BoxFuture;
use std::fmt;
use std::io;
use std::sync::Arc;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::{mpsc, oneshot};
use tokio_util::task::AbortOnDropHandle;

/// The maximum number of requests that wait to be sent. At the limit, the caller waits.
const CALLS_MAX: usize = 64;

/// The maximum number of events in the channel to the caller. Further events wait in the [`Conversation`].
pub(super) const EVENTS_MAX: usize = 256;

/// A byte stream in both directions.
pub trait ByteStream: AsyncRead + AsyncWrite + Send + Unpin + 'static {}

impl<S: AsyncRead + AsyncWrite + Send + Unpin + 'static> ByteStream for S {}

/// Opens the streams of a client, one for each connection.
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
    /// Opens a stream to the server. The client gives the attempt up after ten seconds.
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

/// Opens TCP connections.
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

/// Configures a [`Client`]: where it connects, its nick, and the rooms it joins.
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

    /// Sets the nick that the client requests. By default the server assigns the nick of a guest, a different one for
    /// each connection.
    #[must_use]
    pub fn nick(mut self, nick: impl Into<String>) -> Self {
        self.setup.nick = Some(nick.into());
        self
    }

    /// Sets the token, a secret by which the server recognises this client over several connections. With the token,
    /// the client takes its nick back from a lost connection that the server still considers open. The server also
    /// recognises messages that the client sends again, by their keys.
    ///
    /// By default each client makes a random token. A program that stores its token and sets it again is also
    /// recognised after a restart. A token must be secret, hard to guess, and 16 to 128 bytes long. If two clients use
    /// the same token and nick, the later one ends the session of the earlier one.
    #[must_use]
    pub fn token(mut self, token: impl Into<String>) -> Self {
        self.setup.token = Some(token.into().into());
        self
    }

    /// Sets the program's name, which is sent to the server.
    #[must_use]
    pub fn program(mut self, program: impl Into<String>) -> Self {
        self.setup.program = program.into();
        self
    }

    /// Sets whether the client's own messages arrive as events; off by default.
    #[must_use]
    pub const fn echo(mut self, echo: bool) -> Self {
        self.setup.echo = echo;
        self
    }

    /// Lets the client begin its session as a guest if the server refuses the nick. The client then reports
    /// [`Event::NickRefused`](super::Event::NickRefused).
    ///
    /// By default the client retries until the nick is free, and closes if the nick is invalid. With this setting, the
    /// client first retries a nick that it had before a disconnect. The client becomes a guest once the server has had
    /// enough time to notice the disconnect.
    #[must_use]
    pub const fn guest_if_refused(mut self) -> Self {
        self.setup.guest_if_refused = true;
        self
    }

    /// Adds a room that the client joins on each connection.
    #[must_use]
    pub fn join(self, room: impl Into<String>) -> Self {
        self.join_wanted(JoinRequest::new(room.into()))
    }

    /// Adds a room as [`join`](Self::join) does. The client first receives up to `limit` of the room's latest messages.
    #[must_use]
    pub fn join_with_history(self, room: impl Into<String>, limit: usize) -> Self {
        let mut wanted = JoinRequest::new(room.into());
        wanted.limit = Some(limit);
        self.join_wanted(wanted)
    }

    /// Adds a room as [`join`](Self::join) does. The client first receives the messages after the position `seq` of the
    /// log's epoch `epoch`. A program takes `seq` and `epoch` from a [`Message`](super::Message). An `epoch` of `None`
    /// means the log's current epoch.
    #[must_use]
    pub fn join_after(self, room: impl Into<String>, epoch: Option<String>, seq: u64) -> Self {
        let mut wanted = JoinRequest::new(room.into());
        wanted.after = Some((epoch, seq));
        self.join_wanted(wanted)
    }

    /// Starts the client and returns at once. The client retries until it is connected.
    ///
    /// # Panics
    ///
    /// Panics outside of a Tokio runtime.
    #[must_use]
    pub fn start(self) -> (Client, Events) {
        self.spawn(None)
    }

    /// Starts the client, and waits until its session has begun. Fails if the first attempt to connect fails.
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
    /// Dropping the future cancels the attempt.
    pub async fn open(self) -> Result<(Client, Events), OpenError> {
        let (opened, outcome) = oneshot::channel();
        let client = self.spawn(Some(opened));
        match outcome.await {
            Ok(Ok(())) => Ok(client),
            Ok(Err(error)) => Err(error),
            Err(_) => Err(OpenError::Unreachable(io::ErrorKind::BrokenPipe.into())),
        }
    }

    fn join_wanted(mut self, wanted: JoinRequest) -> Self {
        self.setup.rooms.push(wanted);
        self
    }

    fn spawn(self, opened: Option<oneshot::Sender<Result<(), OpenError>>>) -> (Client, Events) {
        let (calls_tx, calls) = mpsc::channel(CALLS_MAX);
        let (events, rx) = mpsc::channel(EVENTS_MAX);
        let driver = Driver {
            connector: self.connector,
            conversation: Conversation::new(self.setup),
            calls,
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
            calls: calls_tx,
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

/// Why [`ClientBuilder::open`] failed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum OpenError {
    /// The server can't be reached, or closed the connection.
    #[error("the server can't be reached")]
    Unreachable(#[source] io::Error),
    /// The other end does not answer as a chat server does. The text describes its answer.
    #[error("the other end is not a chat server: {0}")]
    NoChat(String),
    /// The server refused to begin the session.
    #[error("{0}")]
    Refused(RequestError),
}
