//! The client library: a program's end of a JSON connection, which outlives the connection.
//!
//! Invariant: a caller sees each message of a room once and in order, from its join on, or is told of a gap; and
//! what it says is said once, or it is told that nobody knows.

mod ask;
mod backoff;
mod builder;
mod conversation;
mod driver;
mod event;
mod link;
mod own;
mod pace;
mod room;

pub use ask::{AskError, Listing, Present};
pub use builder::{ByteStream, ClientBuilder, Connect, OpenError};
pub use event::{Event, Message, MessageKind, Room};

pub use crate::wire::Why as GapCause;
pub use chat_core::protocol::IfMissing;

use crate::wire::{self, Request, Text};
use ask::{Ask, Nature};
use futures::Stream;
use serde::Deserialize;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use tokio::sync::{mpsc, oneshot};
use tokio_util::task::AbortOnDropHandle;

/// How many rooms are asked for, whatever a server claims: many times what a hub holds by default.
const ROOMS_MAX: usize = 65_536;

/// How many holes in a log one reading passes over.
const HOLES_MAX: usize = 16;

/// A handle to say and ask; cheap to clone.
///
/// What happens comes out of [`Events`]. The connection is kept by a task that ends when all handles and the
/// `Events` are dropped, or with [`quit`](Self::quit).
///
/// # Overload
///
/// At most 64 requests wait to be taken and 256 for their answers; beyond that every method waits. None of them waits
/// for `Events` to be read, so a loop over events may say things.
///
/// # Disconnects
///
/// While there is no connection, requests wait for the next one. What was sent and not answered is repeated, if that
/// is safe: a message is repeated under a key, by which the server and other clients of this kind know it. After ten
/// minutes the server may have forgotten the key, and a client without a nick of its own comes back as another guest,
/// whose keys are others; so then, and for what can't be repeated, the answer is [`AskError::Interrupted`].
///
/// # Examples
///
/// ```no_run
/// use chat_json::{Client, Event};
///
/// # async fn run() -> Result<(), Box<dyn std::error::Error>> {
/// let (client, mut events) = Client::connect("127.0.0.1:5000").nick("bot").join("lobby").open().await?;
/// let seq = client.say("lobby", "hello").await?;
/// println!("said as message {seq}");
/// while let Some(event) = events.next().await {
///     if let Event::Message(message) = event {
///         println!("{}: {}", message.from, message.text);
///     }
/// }
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone)]
pub struct Client {
    asks: mpsc::Sender<Ask>,
    _task: Arc<AbortOnDropHandle<()>>,
}

/// What happens, in order; see [`Event`].
///
/// # Overload
///
/// At most 1,280 events wait. A caller that takes them as fast as it can is waited for, a tenth of a second at most, so
/// that it sees a flood as far as it can follow. Otherwise the connection is still read; messages are left in the server's log and
/// fetched from there when there is room again, and what the log no longer holds by then is a [`Event::Gap`].
///
/// # Drop
///
/// Dropping it throws events away; the client goes on.
#[derive(Debug)]
pub struct Events {
    rx: mpsc::Receiver<Event>,
    _task: Arc<AbortOnDropHandle<()>>,
}

impl Client {
    /// Starts to choose how to connect to a server over TCP, such as `"127.0.0.1:5000"`.
    #[must_use]
    pub fn connect(address: impl Into<String>) -> ClientBuilder {
        ClientBuilder::new(Arc::new(builder::Tcp(address.into())))
    }

    /// Starts to choose how to connect over whatever stream the connector makes.
    #[must_use]
    pub fn connect_with(connector: impl Connect) -> ClientBuilder {
        ClientBuilder::new(Arc::new(connector))
    }

    /// Says something in a room that was joined, and returns its place in the room's log once the log has it.
    ///
    /// # Errors
    ///
    /// See [`AskError`].
    ///
    /// # Cancel safety
    ///
    /// Dropping the future does not take the message back: it may be said all the same.
    pub async fn say(&self, room: &str, text: &str) -> Result<u64, AskError> {
        let request = Request {
            room: Some(owned(room)),
            text: Some(owned(text)),
            ..Request::new("say")
        };
        self.ask_to_publish(request).await
    }

    /// Does something: `act("ops", "waves")` is shown as "alice waves". Otherwise as [`say`](Self::say).
    ///
    /// # Errors
    ///
    /// See [`AskError`].
    ///
    /// # Cancel safety
    ///
    /// As [`say`](Self::say).
    pub async fn act(&self, room: &str, text: &str) -> Result<u64, AskError> {
        let request = Request {
            room: Some(owned(room)),
            text: Some(owned(text)),
            ..Request::new("act")
        };
        self.ask_to_publish(request).await
    }

    /// Says something in a room without joining it, so that nobody is told of a coming or going. Otherwise as
    /// [`say`](Self::say).
    ///
    /// A room that has no members and nothing in its log is missing: whether it is opened, `if_missing` says.
    ///
    /// # Errors
    ///
    /// See [`AskError`]; refused as `not_found` if the room is missing.
    ///
    /// # Cancel safety
    ///
    /// As [`say`](Self::say).
    pub async fn publish(
        &self,
        room: &str,
        text: &str,
        if_missing: IfMissing,
    ) -> Result<u64, AskError> {
        let request = Request {
            room: Some(owned(room)),
            text: Some(owned(text)),
            create: (if_missing == IfMissing::Create).then_some(true),
            ..Request::new("publish")
        };
        self.ask_to_publish(request).await
    }

    /// Says something to one member alone. Not repeated when the connection breaks.
    ///
    /// # Errors
    ///
    /// See [`AskError`].
    ///
    /// # Cancel safety
    ///
    /// As [`say`](Self::say).
    pub async fn tell(&self, to: &str, text: &str) -> Result<(), AskError> {
        let request = Request {
            to: Some(owned(to)),
            text: Some(owned(text)),
            ..Request::new("tell")
        };
        self.ask(request, Nature::Once).await.map(drop)
    }

    /// Takes another nick, for this connection and those that follow. Without a connection it is only noted for the
    /// next one. If the server refuses it there, the nick before is asked for again, and [`Event::Rejected`] says why;
    /// messages whose answers were lost with the connection before are [`AskError::Interrupted`].
    ///
    /// # Errors
    ///
    /// See [`AskError`].
    ///
    /// # Cancel safety
    ///
    /// As [`say`](Self::say).
    pub async fn nick(&self, nick: &str) -> Result<String, AskError> {
        let request = Request {
            nick: Some(owned(nick)),
            ..Request::new("nick")
        };
        let ok = self.ask(request, Nature::Nick).await?;
        Ok(read::<wire::Named<'_>>(&ok)?.nick.into_string())
    }

    /// Sets a room's topic, or takes it away if the text is empty. Not repeated when the connection breaks.
    ///
    /// # Errors
    ///
    /// See [`AskError`].
    ///
    /// # Cancel safety
    ///
    /// As [`say`](Self::say).
    pub async fn set_topic(&self, room: &str, text: &str) -> Result<u64, AskError> {
        let request = Request {
            room: Some(owned(room)),
            text: Some(owned(text)),
            ..Request::new("topic")
        };
        let ok = self.ask(request, Nature::Once).await?;
        Ok(read::<wire::Published<'_>>(&ok)?.seq)
    }

    /// Joins a room, from now on: its messages come out of [`Events`].
    ///
    /// # Errors
    ///
    /// See [`AskError`].
    ///
    /// # Cancel safety
    ///
    /// Dropping the future does not keep the room from being joined.
    pub async fn join(&self, room: &str) -> Result<(), AskError> {
        let request = Request {
            room: Some(owned(room)),
            ..Request::new("join")
        };
        self.ask(request, Nature::Join).await.map(drop)
    }

    /// Joins a room and is given its latest messages first, so many at most. Otherwise as [`join`](Self::join).
    ///
    /// # Errors
    ///
    /// See [`AskError`].
    ///
    /// # Cancel safety
    ///
    /// As [`join`](Self::join).
    pub async fn join_with_history(&self, room: &str, limit: usize) -> Result<(), AskError> {
        let request = Request {
            room: Some(owned(room)),
            limit: Some(limit),
            ..Request::new("join")
        };
        self.ask(request, Nature::Join).await.map(drop)
    }

    /// Leaves a room. What it was about to be told from its log ([`Events`]) is a [`Event::Gap`].
    ///
    /// # Errors
    ///
    /// See [`AskError`].
    ///
    /// # Cancel safety
    ///
    /// As [`join`](Self::join).
    pub async fn leave(&self, room: &str) -> Result<(), AskError> {
        let request = Request {
            room: Some(owned(room)),
            ..Request::new("leave")
        };
        self.ask(request, Nature::Leave).await.map(drop)
    }

    /// Asks who is in a room.
    ///
    /// # Errors
    ///
    /// See [`AskError`].
    ///
    /// # Cancel safety
    ///
    /// Cancel safe.
    pub async fn who(&self, room: &str) -> Result<Present, AskError> {
        let request = Request {
            room: Some(owned(room)),
            ..Request::new("who")
        };
        let ok = self.ask(request, Nature::Query).await?;
        Ok(read::<wire::Present<'_>>(&ok)?.into())
    }

    /// Asks which rooms have members, by name: for all of them, page by page.
    ///
    /// # Errors
    ///
    /// See [`AskError`].
    ///
    /// # Cancel safety
    ///
    /// Cancel safe.
    pub async fn rooms(&self) -> Result<Vec<Listing>, AskError> {
        let mut rooms: Vec<Listing> = Vec::new();
        loop {
            let request = Request {
                room: rooms.last().map(|last| last.room.clone().into()),
                ..Request::new("rooms")
            };
            let ok = self.ask(request, Nature::Query).await?;
            let list = read::<wire::RoomsList<'_>>(&ok)?;
            let more = list.more && !list.rooms.is_empty() && rooms.len() < ROOMS_MAX;
            rooms.extend(list.rooms.into_iter().map(Listing::from));
            if !more {
                return Ok(rooms);
            }
        }
    }

    /// Reads what was said in a room before a place; `None`: the latest. Oldest first, at most `limit` messages and
    /// as many as fit in one line; none if there are no more.
    ///
    /// # Errors
    ///
    /// See [`AskError`].
    ///
    /// # Cancel safety
    ///
    /// Cancel safe.
    pub async fn history(
        &self,
        room: &str,
        before: Option<u64>,
        limit: usize,
    ) -> Result<Vec<Message>, AskError> {
        let mut before = before;
        for _ in 0..HOLES_MAX {
            let request = Request {
                room: Some(owned(room)),
                before,
                limit: Some(limit),
                ..Request::new("history")
            };
            let ok = self.ask(request, Nature::Query).await?;
            let page = read::<wire::Histories<'_>>(&ok)?;
            match page.gap {
                // What can't be read is passed over.
                Some(hole) if page.messages.is_empty() && hole.from > 1 => {
                    before = Some(hole.from);
                }
                _ => {
                    let messages = page.messages.into_iter();
                    return Ok(messages.filter_map(Message::past).collect());
                }
            }
        }
        Ok(Vec::new())
    }

    /// Finds messages of a room that hold all these words, before a place; `None`: the latest. The latest first, at most
    /// `limit` messages and as many as fit in one line; none if there are no more.
    ///
    /// # Errors
    ///
    /// See [`AskError`].
    ///
    /// # Cancel safety
    ///
    /// Cancel safe.
    pub async fn search(
        &self,
        room: &str,
        words: &str,
        before: Option<u64>,
        limit: usize,
    ) -> Result<Vec<Message>, AskError> {
        let request = Request {
            room: Some(owned(room)),
            text: Some(owned(words)),
            before,
            limit: Some(limit),
            ..Request::new("search")
        };
        let ok = self.ask(request, Nature::Query).await?;
        let found = read::<wire::Histories<'_>>(&ok)?;
        let messages = found.messages.into_iter();
        Ok(messages.filter_map(Message::past).collect())
    }

    /// Asks whether the server is there, and waits for its answer.
    ///
    /// # Errors
    ///
    /// See [`AskError`].
    ///
    /// # Cancel safety
    ///
    /// Cancel safe.
    pub async fn ping(&self) -> Result<(), AskError> {
        let request = Request::new("ping");
        self.ask(request, Nature::Query).await.map(drop)
    }

    /// Says goodbye and ends the connection, for good; without a connection, it ends at once.
    ///
    /// # Errors
    ///
    /// [`AskError::Closed`] if it has ended already.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future does not keep the connection from being ended.
    pub async fn quit(&self, reason: &str) -> Result<(), AskError> {
        let request = Request {
            reason: Some(owned(reason)),
            ..Request::new("quit")
        };
        self.ask(request, Nature::Quit).await.map(drop)
    }

    async fn ask_to_publish(&self, request: Request<'static>) -> Result<u64, AskError> {
        let ok = self.ask(request, Nature::Say).await?;
        Ok(read::<wire::Published<'_>>(&ok)?.seq)
    }

    async fn ask(&self, request: Request<'static>, nature: Nature) -> Result<String, AskError> {
        let (done, answer) = oneshot::channel();
        let ask = Ask {
            request: Box::new(request),
            nature,
            done,
        };
        self.asks.send(ask).await.map_err(|_| AskError::Closed)?;
        answer.await.unwrap_or(Err(AskError::Closed))
    }
}

impl Events {
    /// Waits for the next event; `None` when there will be no more.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe: dropping the future loses no event.
    pub async fn next(&mut self) -> Option<Event> {
        self.rx.recv().await
    }
}

impl Stream for Events {
    type Item = Event;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Event>> {
        self.rx.poll_recv(cx)
    }
}

fn owned(text: &str) -> Text<'static> {
    text.to_owned().into()
}

/// Reads what the server has granted.
fn read<'a, T: Deserialize<'a>>(ok: &'a str) -> Result<T, AskError> {
    serde_json::from_str(ok).map_err(|error| AskError::Garbled(error.to_string()))
}
