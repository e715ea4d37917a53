//! A request to join a room, and where to resume.

use crate::log::{Epoch, Position, Seq};
use std::borrow::Cow;

/// Names a room to join, and where to resume.
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
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct JoinRequest<'a> {
    /// The room's name.
    pub room: Cow<'a, str>,
    /// The position of the last message that the peer has seen: what followed is replayed. `None` if only new messages
    /// are wanted, or the latest ones if there is a `limit`.
    pub after: Option<Seq>,
    /// The epoch of that position; `None` for the present one.
    pub epoch: Option<Epoch>,
    /// How many messages are replayed at most: the latest ones. The others are reported as a gap.
    pub limit: Option<usize>,
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
        }
    }

    /// Asks for the messages that followed this position.
    #[must_use]
    pub const fn resume(mut self, seen: Position) -> Self {
        self.after = Some(seen.seq);
        self.epoch = Some(seen.epoch);
        self
    }

    /// Asks for at most this many messages: the latest ones. Without a position to resume from, they are the end of the
    /// log.
    #[must_use]
    pub const fn latest(mut self, messages: usize) -> Self {
        self.limit = Some(messages);
        self
    }

    /// Copies the request, so that it no longer borrows the line that it was read from.
    pub(crate) fn into_owned(self) -> JoinRequest<'static> {
        JoinRequest {
            room: Cow::Owned(self.room.into_owned()),
            ..self
        }
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
