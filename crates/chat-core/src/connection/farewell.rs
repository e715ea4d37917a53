//! The end of a connection: sends the remaining messages and a goodbye, then closes the stream in a way that loses none
//! of them.
//!
//! Invariant: the session leaves its rooms and frees its nick before the connection waits for the peer. Every later
//! wait is bounded in time.

use crate::connection::connection::Connection;
use crate::connection::replay::Replaying;
use crate::event::CloseReason;
use crate::session::{Session, WireMember};
use bytes::BytesMut;
use std::time::Duration;
use tokio::io::AsyncRead;

/// Maximum time that a peer may take to read its remaining output, as a multiple of `Limits::stall_timeout`. A peer
/// that reads nothing for one stall timeout is given up earlier.
const FAREWELL_STALLS: u32 = 10;

/// Maximum time that a connection waits, after its last output, for the peer to close its half of the stream. Closing
/// the stream while unread input waits would reset the connection, and the goodbye would be lost (RFC 9293, section
/// 3.10.4).
const LINGER: Duration = Duration::from_secs(1);

/// Replaces `LINGER` while the hub drains, because all connections then linger at once.
const LINGER_DRAINING: Duration = Duration::from_millis(100);

impl<R: AsyncRead + Send + Unpin> Connection<R> {
    /// Ends the session and the stream. Returns `reason`.
    pub(super) async fn farewell(mut self: Box<Self>, reason: CloseReason) -> CloseReason {
        self.members.iter().for_each(WireMember::pause);
        if let Some(session) = &self.session {
            session.end(&reason);
        }
        if matches!(
            reason,
            CloseReason::Broken | CloseReason::Stalled | CloseReason::Silent | CloseReason::Failed
        ) {
            self.transport.close();
            return reason;
        }
        let limits = self.hub.limits();
        let (patience, linger) = if reason == CloseReason::Draining {
            (limits.drain, LINGER_DRAINING)
        } else {
            (limits.stall_timeout * FAREWELL_STALLS, LINGER)
        };
        let flushed = tokio::time::timeout(patience, async {
            self.write_rest(reason == CloseReason::Draining).await;
            self.write_goodbye(&reason);
            self.transport
                .flushed(self.hub.limits().stall_timeout)
                .await;
            self.transport.end_writing().await
        })
        .await;
        if flushed == Ok(true) {
            // The result is irrelevant: the stream has accepted all output.
            drop(tokio::time::timeout(linger, self.transport.read_to_end()).await);
        }
        self.transport.close();
        reason
    }

    /// Writes what the peer has not received yet: the messages that the session's rooms accepted before the session
    /// left them, the reply to a message that is not answered yet, and direct messages. `drains` says whether the hub
    /// drains.
    async fn write_rest(&mut self, drains: bool) {
        while !self.write_listing().await {
            self.transport
                .flushed(self.hub.limits().stall_timeout)
                .await;
        }
        while let Some(replaying) = self.replays.pop_front() {
            self.write_replay(replaying).await;
        }
        self.uncork();
        let echo = self.echo();
        for member in 0..self.members.len() {
            if drains {
                // The rooms of a draining hub accept no more messages. This wait lasts until the journal has stored all
                // accepted messages, so that every member receives the same messages.
                self.members[member].room().settled().await;
            }
            let replay = self.members[member].stop();
            self.write_replay(Replaying::live(member, replay, echo))
                .await;
        }
        self.write_owed_out_of_place();
        while self.session.as_ref().is_some_and(Session::has_mail)
            && self.conversation.dialect().is_some()
        {
            self.write_mail();
            self.transport
                .flushed(self.hub.limits().stall_timeout)
                .await;
        }
    }

    /// Writes a replay to its end, as fast as the peer reads.
    pub(super) async fn write_replay(&mut self, mut replaying: Replaying) {
        while !replaying.is_done() {
            let bytes = self.read_replay(&mut replaying).await;
            self.transport.send(&bytes);
            self.transport
                .flushed(self.hub.limits().stall_timeout)
                .await;
        }
    }

    fn write_goodbye(&mut self, reason: &CloseReason) {
        let mut out = BytesMut::new();
        self.conversation.goodbye(reason, &mut out);
        self.send(out);
    }
}
