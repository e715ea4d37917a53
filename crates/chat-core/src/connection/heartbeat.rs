//! Whether a silent peer is still there.
//!
//! Invariant: only silence that the peer can end counts. While the connection itself does not read, because the peer
//! sends too fast or does not take what it is owed, other limits watch over it.

use crate::connection::connection::Connection;
use crate::event::CloseReason;
use bytes::BytesMut;
use tokio::io::AsyncRead;
use tokio::time::Instant;

/// When a peer was last heard, and whether it was asked since.
#[derive(Debug, Clone, Copy)]
pub(super) struct Heartbeat {
    heard: Instant,
    is_asked: bool,
}

impl Heartbeat {
    pub(super) const fn new(now: Instant) -> Self {
        Self {
            heard: now,
            is_asked: false,
        }
    }

    /// Notes that something came.
    pub(super) const fn hear(&mut self, now: Instant) {
        *self = Self::new(now);
    }
}

impl<R: AsyncRead + Send + Unpin> Connection<R> {
    /// When the peer is to be asked, or given up.
    pub(super) fn heartbeat_deadline(&self) -> Option<Instant> {
        let Heartbeat { heard, is_asked } = self.heartbeat?;
        let limits = self.hub.limits();
        Some(
            heard
                + if is_asked {
                    limits.dead_after.max(limits.ping_after)
                } else {
                    limits.ping_after
                },
        )
    }

    /// Asks a silent peer whether it is there; gives up one that was asked before.
    pub(super) fn miss_peer(&mut self) -> Option<CloseReason> {
        let heartbeat = self.heartbeat.as_mut()?;
        if heartbeat.is_asked {
            return Some(CloseReason::Silent);
        }
        heartbeat.is_asked = true;
        let mut out = BytesMut::new();
        self.dialect.as_mut()?.ping(&mut out);
        self.send(out);
        None
    }

    /// The peer is not read now, so it can't be heard.
    pub(super) fn excuse_silence(&mut self) {
        if let Some(heartbeat) = &mut self.heartbeat {
            heartbeat.heard = Instant::now();
        }
    }

    /// While the peer is not read, it can't end its line.
    pub(super) fn pause_line(&mut self, is_paused: bool) {
        if self.framing.is_timed() {
            self.framing.set_paused(is_paused, Instant::now());
        }
    }

    /// When the line that is under way has taken too long.
    pub(super) fn line_deadline(&self) -> Option<Instant> {
        self.framing.item_deadline(self.hub.limits().line_timeout)
    }

    /// Gives up a line that has taken too long, and tells its sender.
    pub(super) fn give_up_line(&mut self) {
        let unfinished = self.framing.give_up();
        self.tell_rejected(&unfinished);
    }
}
