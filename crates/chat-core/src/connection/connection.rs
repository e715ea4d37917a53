//! One connection: turns the peer's bytes into commands, turns replies and events into bytes, and watches the
//! deadlines.
//!
//! Invariant: an idle connection waits only in [`Connection::wait`]. No input and no output is lost, whichever event
//! ends the wait. While it waits, the connection holds neither a read nor a write buffer.

use crate::admission::{AddressAccount, Cost};
use crate::connection::conversation::Conversation;
use crate::connection::dialects::Dialects;
use crate::connection::introduction::Arriving;
use crate::connection::listing::Listing;
use crate::connection::replay::Replaying;
use crate::connection::transport::{Read, ReadSize, Transport, waiting_max};
use crate::event::CloseReason;
use crate::hub::Hub;
use crate::line::Inbound;
use crate::peer::Peer;
use crate::protocol::{Dialect, Refusal, Reply, downcast};
use crate::room::DeliveryOptions;
use crate::session::{Session, WireMember};
use bytes::{Bytes, BytesMut};
use futures::future::Either;
use std::collections::VecDeque;
use std::future::{Future, poll_fn};
use std::panic::catch_unwind;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::time::{Instant, Sleep};

/// Returns whether the Tokio runtime has timers. Tokio reports missing timers only by a panic. The panic is caught, but
/// its message appears on standard error.
pub(crate) fn has_timers() -> bool {
    catch_unwind(|| drop(tokio::time::sleep(Duration::ZERO))).is_ok()
}

/// What is known about a connection when its conversation begins.
pub(crate) struct Opening {
    /// The time from which the connection's first deadlines count: the time at which the peer connected, or at which
    /// its handshake or authentication ended.
    pub(crate) opened: Instant,
    /// Bytes that were read from the stream before the conversation begins.
    pub(crate) ahead: Bytes,
    /// The dialect of the peer; `None` if the peer's first bytes will select it.
    pub(crate) dialect: Option<Box<dyn Dialect>>,
}

impl Opening {
    pub(crate) const fn new(opened: Instant) -> Self {
        Self {
            opened,
            ahead: Bytes::new(),
            dialect: None,
        }
    }
}

/// Drives the connection over one stream until the connection ends. A TCP stream is split into two halves that share no
/// lock; any other stream is split with a lock.
pub(crate) fn drive_stream<S>(
    stream: S,
    peer: Peer,
    account: Option<Arc<AddressAccount>>,
    hub: Hub,
    dialects: Arc<Dialects>,
    opening: Opening,
) -> impl Future<Output = CloseReason> + Send
where
    S: AsyncRead + AsyncWrite + Send + 'static,
{
    match downcast::<S, TcpStream>(stream) {
        Ok(tcp) => {
            let (reader, writer) = tcp.into_split();
            Either::Left(drive(reader, writer, peer, account, hub, dialects, opening))
        }
        Err(stream) => {
            let (reader, writer) = tokio::io::split(stream);
            Either::Right(drive(reader, writer, peer, account, hub, dialects, opening))
        }
    }
}

/// Drives a connection as [`drive_stream`] does, but over the two halves of a stream.
///
/// Each idle connection keeps this future in memory, so the future must be small. The `Connection` is boxed, because a
/// future stores its arguments in addition to the values that it makes from them. Futures that are awaited only for a
/// short time are boxed, too.
pub(crate) fn drive<R, W>(
    reader: R,
    writer: W,
    peer: Peer,
    account: Option<Arc<AddressAccount>>,
    hub: Hub,
    dialects: Arc<Dialects>,
    opening: Opening,
) -> impl Future<Output = CloseReason> + Send
where
    R: AsyncRead + Send + Unpin,
    W: AsyncWrite + Send + 'static,
{
    let Opening {
        opened,
        ahead,
        dialect,
    } = opening;
    let mut connection = Box::new(Connection::new(
        reader, writer, peer, account, hub, dialects, opened,
    ));
    connection.take_ahead(&ahead);
    if let Some(dialect) = dialect {
        connection.conversation.choose(dialect, opened);
    }
    async move {
        let reason = connection.run().await;
        Box::pin(connection.farewell(reason)).await
    }
}

pub(super) struct Connection<R> {
    // Rust drops the fields in this order. The session must be dropped before the members. It then leaves its rooms
    // itself, and tells the rooms the reason.
    pub(super) session: Option<Session>,
    /// One member for each room that the session is in, in the order in which the session joined the rooms.
    pub(super) members: Vec<WireMember>,
    pub(super) hub: Hub,
    pub(super) dialects: Arc<Dialects>,
    /// What is known about the peer; `None` if neither the policy, the authenticator nor the session needs it.
    pub(super) peer: Option<Arc<Peer>>,
    /// What all connections of the peer's address together have used of the limits for one address. `None` if the
    /// address has no limits.
    pub(super) account: Option<Arc<AddressAccount>>,
    pub(super) transport: Transport<R>,
    pub(super) conversation: Conversation,
    /// Replays of rooms' logs. Live events are held back until all replays are written.
    pub(super) replays: VecDeque<Replaying>,
    /// The list of a room's members that is being written. Live events are held back until the list is complete.
    pub(super) listing: Option<Box<Listing>>,
    /// What is needed until the session begins. `None` while there is a session.
    pub(super) arriving: Option<Box<Arriving>>,
    /// Completes at the connection's next deadline; `None` if there is no deadline.
    pub(super) timer: Option<Pin<Box<Sleep>>>,
}

/// Why a connection stopped waiting.
enum Wake {
    /// Input is ready to be processed, or has ended.
    Input,
    /// Direct messages or news of watched nicks are ready.
    Mail,
    /// The stream has accepted all output, except the output of rooms that is held back. The connection must now write
    /// a replay, a list of members, or the reply to a published message.
    CatchUp,
    /// The application removed the session from a room.
    Removed,
    /// A deadline has passed.
    Timer,
    /// The connection must end, for this reason.
    Close(CloseReason),
}

impl<R: AsyncRead + Send + Unpin> Connection<R> {
    pub(super) fn new(
        reader: R,
        writer: impl AsyncWrite + Send + 'static,
        peer: Peer,
        account: Option<Arc<AddressAccount>>,
        hub: Hub,
        dialects: Arc<Dialects>,
        opened: Instant,
    ) -> Self {
        let now = Instant::now();
        let user_host = hub.user_host(peer.address().map(|address| address.ip()));
        Self {
            members: Vec::new(),
            session: None,
            peer: hub.is_interested_in(&peer).then(|| Arc::new(peer)),
            account,
            transport: Transport::new(reader, writer),
            conversation: Conversation::new(hub.limits(), opened, now),
            replays: VecDeque::new(),
            listing: None,
            arriving: Some(Arriving::new(&hub, user_host)),
            timer: None,
            dialects,
            hub,
        }
    }

    /// Processes bytes that were read from the stream before this connection was created.
    fn take_ahead(&mut self, ahead: &[u8]) {
        if !ahead.is_empty() {
            let now = Instant::now();
            let answers = self.conversation.push(ahead, now);
            self.note_input(&answers, ahead.len(), now);
            self.conversation.let_speak();
        }
    }

    pub(super) async fn run(&mut self) -> CloseReason {
        loop {
            match self.wait().await {
                Wake::Input => {
                    let next = self.ask_conversation(Conversation::next);
                    if let Some(reason) = Box::pin(self.work(next)).await {
                        return reason;
                    }
                }
                Wake::Timer => {
                    if let Some(reason) = Box::pin(self.on_timer()).await {
                        return reason;
                    }
                }
                Wake::Mail => self.write_mail(),
                Wake::CatchUp => Box::pin(self.catch_up()).await,
                Wake::Removed => Box::pin(self.be_removed()).await,
                Wake::Close(reason) => return reason,
            }
            if self.transport.has_ended() && !self.conversation.is_held_up() {
                return CloseReason::Disconnected;
            }
        }
    }

    /// Waits until the connection must act, and returns the cause.
    async fn wait(&mut self) -> Wake {
        poll_fn(|cx| self.poll_wake(cx)).await
    }

    fn poll_wake(&mut self, cx: &mut Context<'_>) -> Poll<Wake> {
        let progress = self.transport.poll_flush(cx);
        if progress.broken {
            return Poll::Ready(Wake::Close(CloseReason::Broken));
        }
        let is_full = progress.waiting >= waiting_max(self.hub.limits());
        if let Some(arriving) = &mut self.arriving
            && arriving.draining.as_mut().poll(cx).is_ready()
        {
            return Poll::Ready(Wake::Close(CloseReason::Draining));
        }
        if let Some(session) = &self.session {
            if let Poll::Ready(reason) = session.poll_closing(cx) {
                return Poll::Ready(Wake::Close(reason));
            }
            if !is_full && session.has_mail() {
                return Poll::Ready(Wake::Mail);
            }
        }
        let must_catch_up = progress.is_due || self.must_catch_up();
        if progress.waiting_ahead == 0 && must_catch_up {
            return Poll::Ready(Wake::CatchUp);
        }
        if !must_catch_up && self.session.as_ref().is_some_and(Session::has_removal) {
            return Poll::Ready(Wake::Removed);
        }
        let is_paused = is_full || must_catch_up || self.conversation.is_paused();
        // `set_paused` is called before the timer is polled, because a pause moves the deadline of an unfinished line.
        if self.conversation.is_timed() {
            self.conversation.set_paused(is_paused, Instant::now());
        }
        if self.poll_timer(cx, must_catch_up).is_ready() {
            return Poll::Ready(Wake::Timer);
        }
        if is_paused {
            self.conversation.excuse_silence(Instant::now());
            return Poll::Pending;
        }
        if self.conversation.is_held_up() {
            return Poll::Ready(Wake::Input);
        }
        self.poll_read(cx)
    }

    /// Reads once into the buffer that all connections of the thread share. The conversation copies only the bytes that
    /// arrived.
    fn poll_read(&mut self, cx: &mut Context<'_>) -> Poll<Wake> {
        if self.transport.has_ended() {
            return Poll::Pending;
        }
        let size = if self.conversation.pace().is_limited() {
            ReadSize::Limited
        } else {
            ReadSize::Full
        };
        let mut taken = None;
        let read = self.transport.poll_read(cx, size, |bytes| {
            let now = Instant::now();
            taken = Some((self.conversation.push(bytes, now), bytes.len(), now));
        });
        match read {
            Poll::Pending => return Poll::Pending,
            Poll::Ready(Read::Broken) => return Poll::Ready(Wake::Close(CloseReason::Broken)),
            Poll::Ready(Read::Bytes | Read::End) => {}
        }
        if let Some((answers, count, now)) = taken {
            self.note_input(&answers, count, now);
        }
        Poll::Ready(Wake::Input)
    }

    /// Counts and charges `count` bytes of input, and sends `answers`, the bytes that the framing sends in return.
    fn note_input(&mut self, answers: &Bytes, count: usize, now: Instant) {
        self.hub.counters().bytes_in.add(count);
        self.transport.send(answers);
        self.charge_input(count, now);
    }

    /// Returns whether the connection must write something before anything else: a replay, messages for a member that
    /// lags, a page of a list of members, or a late reply. A reply is late if delivery will not reach the published
    /// message that it answers.
    pub(super) fn must_catch_up(&self) -> bool {
        !self.replays.is_empty()
            || self.listing.is_some()
            || self.has_passed_owed()
            || self.members.iter().any(WireMember::is_behind)
    }

    fn poll_timer(&mut self, cx: &mut Context<'_>, must_catch_up: bool) -> Poll<()> {
        let limits = self.hub.limits();
        let deadline = [
            self.conversation.next_deadline(limits, must_catch_up),
            self.transport.stalls_at(limits),
        ];
        let Some(deadline) = deadline.into_iter().flatten().min() else {
            self.timer = None;
            return Poll::Pending;
        };
        let timer = self
            .timer
            .get_or_insert_with(|| Box::pin(tokio::time::sleep_until(deadline)));
        if timer.deadline() != deadline {
            timer.as_mut().reset(deadline);
        }
        timer.as_mut().poll(cx)
    }

    async fn on_timer(&mut self) -> Option<CloseReason> {
        let stall = self.transport.stalls_at(self.hub.limits());
        if stall.is_some_and(|deadline| deadline <= Instant::now()) {
            self.hub.counters().stalled.add(1);
            return Some(CloseReason::Stalled);
        }
        let next = self.ask_conversation(Conversation::on_time);
        self.work(next).await
    }

    /// Writes the direct messages and the news of watched nicks in the session's mailbox, until the output reaches the
    /// maximum that may wait for the peer.
    pub(super) fn write_mail(&mut self) {
        let waiting_max = waiting_max(self.hub.limits());
        let (Some(session), Some(dialect)) = (&self.session, self.conversation.dialect_mut())
        else {
            return;
        };
        let mut out = BytesMut::new();
        while out.len() < waiting_max
            && let Some(direct) = session.take_direct()
        {
            dialect.direct(&direct, &mut out);
        }
        while out.len() < waiting_max
            && let Some(status) = session.take_watched()
        {
            dialect.watched(&status, &mut out);
        }
        self.send(out);
    }

    /// Passes the dialect's current encoder, echo and options to the session's members in all rooms.
    pub(super) fn apply_options(&self) {
        if let Some(options) = self.delivery_options() {
            self.members
                .iter()
                .for_each(|member| member.set_delivery_options(options.clone()));
        }
    }

    pub(super) fn delivery_options(&self) -> Option<DeliveryOptions> {
        let dialect = self.conversation.dialect()?;
        Some(DeliveryOptions {
            encoder: dialect.encoder(),
            echo: dialect.echo(),
            has_changes_once: dialect.options().has_changes_once,
        })
    }

    pub(super) fn reply(&mut self, reply: &Reply<'_>) {
        self.write_reply(reply);
    }

    /// Writes a reply in the peer's dialect. Charges the connection and its address for the reply, unless it is
    /// `Present` or `Removed`. Returns the length of the reply in bytes.
    pub(super) fn write_reply(&mut self, reply: &Reply<'_>) -> usize {
        let Some(dialect) = self.conversation.dialect_mut() else {
            return 0;
        };
        let mut out = BytesMut::new();
        dialect.reply(reply, &mut out);
        let refusals = match reply {
            Reply::Refused(_) | Reply::Rejected(_) => 1,
            Reply::Unpublished(count, _) => *count,
            _ => 0,
        };
        self.hub.counters().refusals.add(refusals);
        let bytes = out.len();
        if !matches!(reply, Reply::Present(_) | Reply::Removed { .. }) {
            self.charge(Cost::bytes(bytes));
        }
        self.send(out);
        bytes
    }

    /// Queues output for this peer alone, and counts the bytes.
    pub(super) fn send(&self, out: BytesMut) {
        if out.is_empty() {
            return;
        }
        self.hub.counters().bytes_out.add(out.len());
        self.transport.send(&out.freeze());
    }

    pub(super) fn tell_refused(&mut self, result: Result<(), Refusal>) {
        if let Err(refusal) = result {
            self.reply(&Reply::Refused(&refusal));
        }
    }

    pub(super) fn tell_rejected(&mut self, rejected: &Inbound) {
        let counters = self.hub.counters();
        match rejected {
            Inbound::Oversized => counters.lines_oversized.add(1),
            Inbound::NotUtf8(_) => counters.lines_not_utf8.add(1),
            Inbound::Line(_) | Inbound::Unfinished => {}
        }
        if let Some(refusal) = self.conversation.refusal_of(rejected) {
            self.reply(&Reply::Rejected(&refusal));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_idle_connection_keeps_no_room_for_what_it_might_do() {
        let (near, _far) = tokio::io::duplex(1);
        let (reader, writer) = tokio::io::split(near);
        let future = drive(
            reader,
            writer,
            Peer::default(),
            None,
            Hub::default(),
            Arc::default(),
            Opening::new(Instant::now()),
        );
        assert!(
            size_of_val(&future) <= 128,
            "{} bytes",
            size_of_val(&future)
        );
        let connection = size_of::<Connection<tokio::net::tcp::OwnedReadHalf>>();
        assert!(connection <= 448, "{connection} bytes");
    }
}
