//! A request to join a room, and where to resume.

use crate::log::{Epoch, Position, Seq};
use std::borrow::Cow;
use std::fmt;

/// Names a room to join, and says which earlier messages the member receives first.
///
/// # Examples
///
/// ```
/// use chat_core::{Event, Hub};
/// use chat_core::protocol::JoinRequest;
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let hub = Hub::default();
/// let ci = hub.session(Some("ci")).await?;
/// ci.publish("ops", "build 1").await?;
/// let seen = hub.position("ops").await?;
/// ci.publish("ops", "build 2").await?;
///
/// let kim = hub.session(Some("kim")).await?;
/// let mut ops = kim.join(JoinRequest::from("ops").resume(seen)).await?;
/// let Some(Event::Replayed(message)) = ops.next().await else { panic!("what followed") };
/// assert_eq!(message.text(), "build 2");
/// # Ok(())
/// # }
/// ```
#[derive(Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct JoinRequest<'a> {
    /// The name of the room.
    pub room: Cow<'a, str>,
    /// The position of the last message that the joining member has seen. The messages after this position are
    /// replayed. With `None`, `limit` alone decides which messages are replayed.
    pub after: Option<Seq>,
    /// The epoch of the position `after`. `None` stands for the current epoch of the log.
    ///
    /// The position is invalid if the log has another epoch, or if the log ends before the position. The member then
    /// first receives a gap with [`Missed::OtherEpoch`](crate::Missed::OtherEpoch). After the gap, it receives the
    /// messages that the log holds, at most `limit` of them.
    pub epoch: Option<Epoch>,
    /// Maximum number of messages that are replayed. A number above [`Limits::history_max`](crate::Limits::history_max)
    /// is lowered to that limit. If there are more messages, the latest are replayed. The older messages that follow
    /// the position `after` are reported as a gap, [`Missed::BeyondLimit`](crate::Missed::BeyondLimit).
    ///
    /// With `None` and a position, all messages after the position are replayed, without a limit. With `None` and no
    /// position, no message is replayed.
    pub limit: Option<usize>,
    /// The key of the room, which the session needs if the room has one.
    pub key: Option<Cow<'a, str>>,
}

impl<'a> JoinRequest<'a> {
    /// Creates a request without a replay.
    #[must_use]
    pub const fn new(room: Cow<'a, str>) -> Self {
        Self {
            room,
            after: None,
            epoch: None,
            limit: None,
            key: None,
        }
    }

    /// Names the key of the room.
    #[must_use]
    pub fn key(mut self, key: impl Into<Cow<'a, str>>) -> Self {
        self.key = Some(key.into());
        self
    }

    /// Asks for the messages that follow the position `seen`.
    #[must_use]
    pub const fn resume(mut self, seen: Position) -> Self {
        self.after = Some(seen.seq);
        self.epoch = Some(seen.epoch);
        self
    }

    /// Limits the replay to the latest `messages` messages. Without a position to resume from, the replay has the last
    /// messages of the log.
    #[must_use]
    pub const fn latest(mut self, messages: usize) -> Self {
        self.limit = Some(messages);
        self
    }

    /// Copies the request, so that it no longer borrows the line that it was read from.
    pub(crate) fn into_owned(self) -> JoinRequest<'static> {
        JoinRequest {
            room: Cow::Owned(self.room.into_owned()),
            key: self.key.map(|key| Cow::Owned(key.into_owned())),
            after: self.after,
            epoch: self.epoch,
            limit: self.limit,
        }
    }
}

/// Does not show the key.
impl fmt::Debug for JoinRequest<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("JoinRequest")
            .field("room", &self.room)
            .field("after", &self.after)
            .field("epoch", &self.epoch)
            .field("limit", &self.limit)
            .field("has_key", &self.key.is_some())
            .finish()
    }
}

impl<'a, T: AsRef<str> + ?Sized> From<&'a T> for JoinRequest<'a> {
    fn from(room: &'a T) -> Self {
        Self::new(Cow::Borrowed(room.as_ref()))
    }
}

impl From<String> for JoinRequest<'_> {
    fn from(room: String) -> Self {
        Self::new(Cow::Owned(room))
    }
}
