//! A chat client for programs. Its session continues over several connections.
//!
//! Invariant: after joining a room, the caller receives each message of the room once and in order, or a gap. A
//! message of the caller is published once, or the caller is told that it is unknown whether the message was
//! published.

mod backoff;
mod builder;
mod conversation;
mod driver;
mod event;
mod link;
mod own;
mod pace;
mod request;
mod room;
#[cfg(feature = "websocket")]
mod web_socket;

pub use builder::{ByteStream, ClientBuilder, Connect, OpenError};
pub use event::{Event, Message, MessageKind, Room};
pub use request::{Listing, Present, RequestError, Whois};

pub use crate::wire::Why as GapCause;
pub use chat_core::protocol::IfMissing;

use crate::wire::{self, Request, Text};
use futures::Stream;
use request::{Call, RequestKind};
use serde::Deserialize;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use tokio::sync::{mpsc, oneshot};
use tokio_util::task::AbortOnDropHandle;

/// Once [`Client::rooms`] has received this many rooms, it requests no further page. By default a hub allows far fewer
/// rooms.
const ROOMS_MAX: usize = 65_536;

/// The maximum number of gaps in a log that one call of [`Client::history`] skips. After this many gaps, the call
/// returns an empty list.
const HOLES_MAX: usize = 16;

/// A handle with which a program sends messages and requests to a server. Cloning the handle is cheap.
///
/// Events of the server arrive on [`Events`]. A task in the background keeps the connection. The task ends when all
/// handles and the `Events` are dropped, or after [`quit`](Self::quit).
///
/// # Overload
///
/// At most 64 requests wait to be sent, and at most 256 wait for their answers. At these limits, every method waits. No
/// method waits for `Events` to be read, so a loop over events may send messages.
///
/// # Disconnects
///
/// While there is no connection, requests wait for the next one. If the connection is lost before the server answers a
/// request, the client sends the request again if that is safe. Repeating a message is safe, because each message has a
/// key by which the server and other clients recognise the repetition.
///
/// Repeating a message is not safe more than nine minutes after the client has sent the message, because the server may
/// have forgotten the key. Repeating is not safe for a guest of a server without tokens either: the guest gets another
/// nick, and the server recognises a key only together with the nick. In these cases, and for a request that must not
/// run twice, the result is [`RequestError::Interrupted`].
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
    calls: mpsc::Sender<Call>,
    _task: Arc<AbortOnDropHandle<()>>,
}

/// The events of a client, in order; see [`Event`].
///
/// # Overload
///
/// At most 1,280 events wait for the caller. A caller that reads as fast as it can receives all messages live: if the
/// queue fills up, the client reads nothing from the connection for up to 100 ms, so that the caller can catch up. For
/// a slower caller, the client continues to read, and leaves messages in the server's log. Once the caller has caught
/// up, the client reads these messages from the log. The client reports messages that the log no longer holds by then
/// as an [`Event::Gap`].
///
/// # Drop
///
/// Dropping the `Events` discards all waiting and later events. The client continues.
#[derive(Debug)]
pub struct Events {
    rx: mpsc::Receiver<Event>,
    _task: Arc<AbortOnDropHandle<()>>,
}

impl Client {
    /// Returns a builder for a client that connects over TCP, to an address such as `"127.0.0.1:5000"`.
    ///
    /// With the feature `websocket`, the address may also be a URL such as `"ws://127.0.0.1:5000/ws"`. The client then
    /// connects over WebSocket.
    #[must_use]
    pub fn connect(address: impl Into<String>) -> ClientBuilder {
        let address = address.into();
        #[cfg(feature = "websocket")]
        if address.starts_with("ws://") {
            return ClientBuilder::new(Arc::new(web_socket::WebSocket(address)));
        }
        ClientBuilder::new(Arc::new(builder::Tcp(address)))
    }

    /// Returns a builder for a client that connects over the streams that this connector opens.
    #[must_use]
    pub fn connect_with(connector: impl Connect) -> ClientBuilder {
        ClientBuilder::new(Arc::new(connector))
    }

    /// Sends a message to a joined room. Returns the message's position once the message is in the room's log.
    ///
    /// # Errors
    ///
    /// See [`RequestError`].
    ///
    /// # Cancel safety
    ///
    /// Dropping the future does not cancel the message: it may still be published.
    pub async fn say(&self, room: &str, text: &str) -> Result<u64, RequestError> {
        let request = Request {
            room: Some(owned(room)),
            text: Some(owned(text)),
            ..Request::new("say")
        };
        self.call_to_publish(request).await
    }

    /// Sends an action: `act("ops", "waves")` is shown as "* alice waves". In all other respects the method works as
    /// [`say`](Self::say).
    ///
    /// # Errors
    ///
    /// See [`RequestError`].
    ///
    /// # Cancel safety
    ///
    /// As [`say`](Self::say).
    pub async fn act(&self, room: &str, text: &str) -> Result<u64, RequestError> {
        let request = Request {
            room: Some(owned(room)),
            text: Some(owned(text)),
            ..Request::new("act")
        };
        self.call_to_publish(request).await
    }

    /// Sends a message to a room without joining the room, so no join or leave is announced. In all other respects the
    /// method works as [`say`](Self::say).
    ///
    /// `if_missing` says what the server does if the room has no members and an empty log.
    ///
    /// # Errors
    ///
    /// See [`RequestError`]. If the room is missing and `if_missing` refuses that, the code is `not_found`.
    ///
    /// # Cancel safety
    ///
    /// As [`say`](Self::say).
    pub async fn publish(
        &self,
        room: &str,
        text: &str,
        if_missing: IfMissing,
    ) -> Result<u64, RequestError> {
        let request = Request {
            room: Some(owned(room)),
            text: Some(owned(text)),
            create: (if_missing == IfMissing::Create).then_some(true),
            ..Request::new("publish")
        };
        self.call_to_publish(request).await
    }

    /// Sends a direct message to the session with the nick `to`. The client does not send the message again after a
    /// disconnect.
    ///
    /// # Errors
    ///
    /// See [`RequestError`].
    ///
    /// # Cancel safety
    ///
    /// As [`say`](Self::say).
    pub async fn tell(&self, to: &str, text: &str) -> Result<(), RequestError> {
        let request = Request {
            to: Some(owned(to)),
            text: Some(owned(text)),
            ..Request::new("tell")
        };
        self.call(request, RequestKind::Once).await.map(drop)
    }

    /// Requests another nick, for this and later connections. Returns the client's new nick.
    ///
    /// While there is no connection, the client stores the nick and requests it on the next connection. If the server
    /// then refuses the nick, the client requests the previous nick again and reports [`Event::Rejected`]. A server
    /// without tokens recognises a repeated message only under the same nick. With such a server, messages that were
    /// sent before the disconnect and not answered fail with [`RequestError::Interrupted`].
    ///
    /// # Errors
    ///
    /// See [`RequestError`].
    ///
    /// # Cancel safety
    ///
    /// As [`say`](Self::say).
    pub async fn nick(&self, nick: &str) -> Result<String, RequestError> {
        let request = Request {
            nick: Some(owned(nick)),
            ..Request::new("nick")
        };
        let ok = self.call(request, RequestKind::Nick).await?;
        Ok(read::<wire::Named<'_>>(&ok)?.nick.into_string())
    }

    /// Sets the topic of a room. An empty text removes the topic. Returns the position of the change in the room's log.
    /// The client does not send the request again after a disconnect.
    ///
    /// # Errors
    ///
    /// See [`RequestError`].
    ///
    /// # Cancel safety
    ///
    /// As [`say`](Self::say).
    pub async fn set_topic(&self, room: &str, text: &str) -> Result<u64, RequestError> {
        let request = Request {
            room: Some(owned(room)),
            text: Some(owned(text)),
            ..Request::new("topic")
        };
        let ok = self.call(request, RequestKind::Once).await?;
        Ok(read::<wire::Published<'_>>(&ok)?.seq)
    }

    /// Joins a room. The room's messages arrive on [`Events`] from then on.
    ///
    /// # Errors
    ///
    /// See [`RequestError`].
    ///
    /// # Cancel safety
    ///
    /// Dropping the future does not cancel the join.
    pub async fn join(&self, room: &str) -> Result<(), RequestError> {
        let request = Request {
            room: Some(owned(room)),
            ..Request::new("join")
        };
        self.call(request, RequestKind::Join).await.map(drop)
    }

    /// Joins a room, and first receives up to `limit` of the room's latest messages. In all other respects the method
    /// works as [`join`](Self::join).
    ///
    /// # Errors
    ///
    /// See [`RequestError`].
    ///
    /// # Cancel safety
    ///
    /// As [`join`](Self::join).
    pub async fn join_with_history(&self, room: &str, limit: usize) -> Result<(), RequestError> {
        let request = Request {
            room: Some(owned(room)),
            limit: Some(limit),
            ..Request::new("join")
        };
        self.call(request, RequestKind::Join).await.map(drop)
    }

    /// Leaves a room. Messages of the room that are still unread in the server's log (see [`Events`]) are reported as
    /// an [`Event::Gap`].
    ///
    /// # Errors
    ///
    /// See [`RequestError`].
    ///
    /// # Cancel safety
    ///
    /// As [`join`](Self::join).
    pub async fn leave(&self, room: &str) -> Result<(), RequestError> {
        let request = Request {
            room: Some(owned(room)),
            ..Request::new("leave")
        };
        self.call(request, RequestKind::Leave).await.map(drop)
    }

    /// Returns the number of members of a room, and the nicks of the first 100.
    ///
    /// # Errors
    ///
    /// See [`RequestError`].
    ///
    /// # Cancel safety
    ///
    /// Cancel safe.
    pub async fn who(&self, room: &str) -> Result<Present, RequestError> {
        let request = Request {
            room: Some(owned(room)),
            ..Request::new("who")
        };
        let ok = self.call(request, RequestKind::Query).await?;
        Ok(read::<wire::Present<'_>>(&ok)?.into())
    }

    /// Marks this client as away, with a text for others, or as back with `None`. Returns the text as others see it;
    /// `None` if the client is not away. After a disconnect, the client is not away until this is called again.
    ///
    /// # Errors
    ///
    /// See [`RequestError`].
    ///
    /// # Cancel safety
    ///
    /// As [`say`](Self::say).
    pub async fn away(&self, text: Option<&str>) -> Result<Option<String>, RequestError> {
        let request = Request {
            text: text.map(owned),
            ..Request::new("away")
        };
        let ok = self.call(request, RequestKind::Once).await?;
        let away = read::<wire::Awayness<'_>>(&ok)?.away;
        Ok(away.map(|text| request::printable(&text)))
    }

    /// Returns what is known of the session that has a nick.
    ///
    /// # Errors
    ///
    /// See [`RequestError`].
    ///
    /// # Cancel safety
    ///
    /// Cancel safe.
    pub async fn whois(&self, nick: &str) -> Result<Whois, RequestError> {
        let request = Request {
            nick: Some(owned(nick)),
            ..Request::new("whois")
        };
        let ok = self.call(request, RequestKind::Query).await?;
        Ok(read::<wire::Whois<'_>>(&ok)?.into())
    }

    /// Returns all rooms that have members, sorted by name. The client requests the list page by page until it is
    /// complete.
    ///
    /// # Errors
    ///
    /// See [`RequestError`].
    ///
    /// # Cancel safety
    ///
    /// Cancel safe.
    pub async fn rooms(&self) -> Result<Vec<Listing>, RequestError> {
        let mut rooms: Vec<Listing> = Vec::new();
        loop {
            let request = Request {
                room: rooms.last().map(|last| last.room.clone().into()),
                ..Request::new("rooms")
            };
            let ok = self.call(request, RequestKind::Query).await?;
            let list = read::<wire::RoomsList<'_>>(&ok)?;
            let more = list.more && !list.rooms.is_empty() && rooms.len() < ROOMS_MAX;
            rooms.extend(list.rooms.into_iter().map(Listing::from));
            if !more {
                return Ok(rooms);
            }
        }
    }

    /// Returns the latest messages of a room before the position `before`, oldest first. If `before` is `None`,
    /// returns the latest messages of the log. The result has at most `limit` messages, and at most as many as fit in
    /// one line of the protocol. An empty list means that there are no earlier messages.
    ///
    /// # Errors
    ///
    /// See [`RequestError`].
    ///
    /// # Cancel safety
    ///
    /// Cancel safe.
    pub async fn history(
        &self,
        room: &str,
        before: Option<u64>,
        limit: usize,
    ) -> Result<Vec<Message>, RequestError> {
        let mut before = before;
        for _ in 0..HOLES_MAX {
            let request = Request {
                room: Some(owned(room)),
                before,
                limit: Some(limit),
                ..Request::new("history")
            };
            let ok = self.call(request, RequestKind::Query).await?;
            let page = read::<wire::Histories<'_>>(&ok)?;
            match page.gap {
                // The page has no messages, only a gap: requests the messages before the gap.
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

    /// Returns the latest messages of a room before the position `before` that contain all of `words`, latest first. If
    /// `before` is `None`, the search begins at the end of the log. The result has at most `limit` messages, and at
    /// most as many as fit in one line of the protocol. An empty list means that no earlier messages match.
    ///
    /// # Errors
    ///
    /// See [`RequestError`].
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
    ) -> Result<Vec<Message>, RequestError> {
        let request = Request {
            room: Some(owned(room)),
            text: Some(owned(words)),
            before,
            limit: Some(limit),
            ..Request::new("search")
        };
        let ok = self.call(request, RequestKind::Query).await?;
        let found = read::<wire::Histories<'_>>(&ok)?;
        let messages = found.messages.into_iter();
        Ok(messages.filter_map(Message::past).collect())
    }

    /// Sends a ping, and waits for the answer.
    ///
    /// # Errors
    ///
    /// See [`RequestError`].
    ///
    /// # Cancel safety
    ///
    /// Cancel safe.
    pub async fn ping(&self) -> Result<(), RequestError> {
        let request = Request::new("ping");
        self.call(request, RequestKind::Query).await.map(drop)
    }

    /// Ends the session with a reason, and closes the client. Without a connection, the client closes at once.
    ///
    /// # Errors
    ///
    /// Returns [`RequestError::Closed`] if the client is already closed.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future does not cancel the request: the session still ends.
    pub async fn quit(&self, reason: &str) -> Result<(), RequestError> {
        let request = Request {
            reason: Some(owned(reason)),
            ..Request::new("quit")
        };
        self.call(request, RequestKind::Quit).await.map(drop)
    }

    async fn call_to_publish(&self, request: Request<'static>) -> Result<u64, RequestError> {
        let ok = self.call(request, RequestKind::Say).await?;
        Ok(read::<wire::Published<'_>>(&ok)?.seq)
    }

    async fn call(
        &self,
        request: Request<'static>,
        kind: RequestKind,
    ) -> Result<String, RequestError> {
        let (done, answer) = oneshot::channel();
        let call = Call {
            request: Box::new(request),
            kind,
            done,
        };
        self.calls
            .send(call)
            .await
            .map_err(|_| RequestError::Closed)?;
        answer.await.unwrap_or(Err(RequestError::Closed))
    }
}

impl Events {
    /// Waits for the next event. Returns `None` after [`Event::Closed`], which is the last event.
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

/// Deserialises the result of a request.
fn read<'a, T: Deserialize<'a>>(ok: &'a str) -> Result<T, RequestError> {
    serde_json::from_str(ok).map_err(|error| RequestError::Garbled(error.to_string()))
}
