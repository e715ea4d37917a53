//! `GET /rooms/{room}/events`: the events of a room as server-sent events.
//!
//! Invariant: the stream reads the room only as fast as the peer takes it, so a slow peer costs bounded memory. It
//! receives every message after the position from which it resumes, or a `gap` event. A peer that the policy no longer
//! admits is told so, and receives nothing more.

use crate::api::answers::typed;
use crate::api::query::{Named, Query, bad};
use crate::http::{Body, Endless, full};
use bytes::{Bytes, BytesMut};
use chat_core::log::Position;
use chat_core::protocol::{Code, JoinRequest, Missed, Refusal};
use chat_core::rooms::RoomInfo;
use chat_core::{CloseReason, Event, Guest, GuestEvents, SessionEvent};
use chat_json::wire;
use futures::FutureExt;
use futures::stream::{BoxStream, Stream, StreamExt};
use http::header::HeaderValue;
use http::{HeaderMap, Response, StatusCode};
use http_body_util::{BodyExt, StreamBody};
use hyper::body::Frame;
use std::convert::Infallible;
use std::fmt::Write;
use std::pin::Pin;
use std::sync::{Mutex, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::time::{Instant, timeout_at};

/// The header with which a browser resumes a stream.
const LAST_EVENT_ID: &str = "last-event-id";

/// How long a browser waits before it reconnects, in milliseconds.
const RETRY_MS: u64 = 2_000;

/// The shortest time after which a silent stream is sent a comment, and after which the policy is asked again.
const PING_MIN: Duration = Duration::from_secs(1);

/// The longest time after which the policy is asked again.
const CHECK_MAX: Duration = Duration::from_secs(25);

/// The number of bytes of events after which a chunk is sent, although further events are ready.
const CHUNK_BYTES: usize = 16 * 1024;

/// Events that are sent together: at most `CHUNK_BYTES` and one more event.
type Chunk = BytesMut;

/// Returns the head of a stream.
pub(super) fn head() -> Response<Body> {
    stream_of(full(""))
}

/// Follows a room.
pub(super) async fn follow(
    guest: &Guest,
    room: &str,
    query: &Query,
    headers: &HeaderMap,
) -> Result<Response<Body>, Refusal> {
    let after = match last_event_id(headers)? {
        Some(after) => Some(after),
        None => query.position("after")?,
    };
    let mut request = JoinRequest::from(room);
    request.after = after.map(|after| after.seq);
    request.epoch = after.and_then(|after| after.epoch);
    request.limit = query.limit()?;
    let (info, events) = guest.follow(&request).await?;
    let mut first = Chunk::new();
    write_start(
        &info,
        after.is_none() && request.limit.is_none(),
        &mut first,
    );
    guest.charge_answer(first.len());
    let ping_after = guest.hub().limits().ping_after;
    let stream = EventStream::new(first, events, ping_after);
    let mut response = stream_of(
        StreamBody::new(stream)
            .map_err(|never| match never {})
            .boxed(),
    );
    response.extensions_mut().insert(Endless);
    Ok(response)
}

fn stream_of(body: Body) -> Response<Body> {
    let mut response = typed(StatusCode::OK, "text/event-stream", body);
    // A proxy must pass events on at once.
    let no = HeaderValue::from_static("no");
    response.headers_mut().insert("x-accel-buffering", no);
    response
}

/// Returns the position that a browser resumes from.
fn last_event_id(headers: &HeaderMap) -> Result<Option<Named>, Refusal> {
    let Some(id) = headers.get(LAST_EVENT_ID).filter(|id| !id.is_empty()) else {
        return Ok(None);
    };
    let id = id.to_str().ok().and_then(|id| Named::parse(id.trim()).ok());
    id.map(Some)
        .ok_or_else(|| bad("Last-Event-ID: an id that this server has sent"))
}

/// The events of a room as the frames of a body.
struct EventStream(Mutex<BoxStream<'static, Result<Frame<Bytes>, Infallible>>>);

/// What a stream does next.
enum State {
    Begin(Chunk, Box<Following>),
    GoOn(Box<Following>),
    End,
}

/// The events of a room, and when the policy is asked again.
struct Following {
    events: GuestEvents,
    /// How long the stream may be silent.
    ping_after: Duration,
    check_after: Duration,
    check_at: Instant,
}

impl EventStream {
    fn new(first: Chunk, events: GuestEvents, ping_after: Duration) -> Self {
        let check_after = ping_after.clamp(PING_MIN, CHECK_MAX);
        let following = Following {
            events,
            ping_after: ping_after.max(PING_MIN),
            check_after,
            check_at: Instant::now() + check_after,
        };
        let begin = State::Begin(first, Box::new(following));
        let chunks = futures::stream::unfold(begin, move |state| async move {
            let (chunk, state) = match state {
                State::Begin(first, following) => (first, State::GoOn(following)),
                State::GoOn(following) => following.next_chunk().await,
                State::End => return None,
            };
            Some((Ok(Frame::data(chunk.freeze())), state))
        });
        Self(Mutex::new(chunks.boxed()))
    }
}

impl Stream for EventStream {
    type Item = Result<Frame<Bytes>, Infallible>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        // The mutex makes the stream `Sync`, as the body of an answer must be. It is never locked.
        let stream = self.0.get_mut().unwrap_or_else(PoisonError::into_inner);
        stream.poll_next_unpin(cx)
    }
}

impl Following {
    /// Asks the policy again, if it was not asked for a while.
    async fn check_when_due(&mut self) -> Result<(), Refusal> {
        if Instant::now() < self.check_at {
            return Ok(());
        }
        self.check_at = Instant::now() + self.check_after;
        self.events.check().await
    }

    /// Waits for events, and writes those that are ready. If there are none for a while, writes a comment, so that the
    /// peer and the proxies before it see that the stream is alive.
    async fn next_chunk(mut self: Box<Self>) -> (Chunk, State) {
        let ping_at = Instant::now() + self.ping_after;
        let mut chunk = Chunk::new();
        let mut next = loop {
            if let Err(refusal) = self.check_when_due().await {
                write_refused(&refusal, &mut chunk);
                return (chunk, State::End);
            }
            let wake_at = self.check_at.min(ping_at);
            match timeout_at(wake_at, self.events.next()).await {
                Ok(next) => break next,
                Err(_) if wake_at < ping_at => {}
                Err(_) => {
                    chunk.extend_from_slice(b":\n\n");
                    return (chunk, State::GoOn(self));
                }
            }
        };
        let events = &mut self.events;
        loop {
            let Some(event) = next else {
                match events.refusal() {
                    Some(refusal) => write_refused(refusal, &mut chunk),
                    None => write_drained(&mut chunk),
                }
                return (chunk, State::End);
            };
            let before = chunk.len();
            write_event(events, &event, &mut chunk);
            match event {
                // A replay is an answer.
                Event::Replayed(_) => events.guest().charge_answer(chunk.len() - before),
                // The stream ends. A browser reconnects, and opens the room again.
                Event::Closed(_) => return (chunk, State::End),
                _ => {}
            }
            if chunk.len() >= CHUNK_BYTES {
                return (chunk, State::GoOn(self));
            }
            next = match events.next().now_or_never() {
                Some(next) => next,
                None => return (chunk, State::GoOn(self)),
            };
        }
    }
}

/// Writes the beginning of a stream: how long to wait before reconnecting, and the room as it is. If the stream does
/// not begin with a replay, the end of the log is the position to resume from.
fn write_start(info: &RoomInfo, is_live: bool, out: &mut Chunk) {
    let id = is_live.then_some(info.position);
    write_field(out, format_args!("retry: {RETRY_MS}\n"));
    let room = serde_json::to_string(&wire::Place::from(info));
    write_json("room", &room.unwrap_or_default(), id, out);
}

fn write_event(events: &GuestEvents, event: &Event, out: &mut Chunk) {
    let epoch = events.epoch();
    let seq = match event {
        Event::Message(message) | Event::Replayed(message) => Some(message.seq()),
        // What could not be read may be read later, so the peer does not resume after it.
        Event::Gap(Missed::Expired(gap) | Missed::BeyondLimit(gap)) => Some(gap.to),
        _ => None,
    };
    let id = seq.map(|seq| Position { epoch, seq });
    let event = SessionEvent::Room(events.room().clone(), event.clone());
    write_wire(&wire::Event::from(&event), id, out);
}

/// Writes the last event of a stream that ends because the hub drains.
fn write_drained(out: &mut Chunk) {
    if let Some(bye) = wire::Event::bye(&CloseReason::Draining) {
        write_bye(&bye, out);
    }
}

/// Writes the last event of a stream that the policy refuses. A browser reconnects, and is then refused by a status.
fn write_refused(refusal: &Refusal, out: &mut Chunk) {
    let may_return = refusal.code != Code::Denied;
    let bye = wire::Event::Bye {
        code: refusal.code.as_str().into(),
        reason: Some(refusal.message.as_str().into()),
        reconnect: may_return,
        after_ms: may_return.then_some(RETRY_MS),
    };
    write_bye(&bye, out);
}

fn write_bye(bye: &wire::Event<'_>, out: &mut Chunk) {
    if let wire::Event::Bye {
        after_ms: Some(after_ms),
        ..
    } = bye
    {
        write_field(out, format_args!("retry: {after_ms}\n"));
    }
    write_wire(bye, None, out);
}

/// Writes an event under the name that it has in JSON Lines.
fn write_wire(event: &wire::Event<'_>, id: Option<Position>, out: &mut Chunk) {
    if matches!(event, wire::Event::Unknown) {
        return;
    }
    let json = serde_json::to_string(event).unwrap_or_default();
    let rest = json.strip_prefix(r#"{"ev":""#).unwrap_or_default();
    let name = rest.split('"').next().unwrap_or_default();
    write_json(name, &json, id, out);
}

/// Writes an event. `json` has no newline.
fn write_json(name: &str, json: &str, id: Option<Position>, out: &mut Chunk) {
    if let Some(id) = id {
        write_field(out, format_args!("id: {}\n", Named::write(id)));
    }
    write_field(out, format_args!("event: {name}\ndata: {json}\n\n"));
}

fn write_field(out: &mut Chunk, field: std::fmt::Arguments<'_>) {
    // Writing to memory never fails.
    let _infallible = out.write_fmt(field);
}
