//! Executes the commands about the modes of rooms and about other members: mode, kick, invite.

use crate::connection::connection::Connection;
use crate::hub::Question;
use crate::log::Role;
use crate::protocol::{Refusal, Reply};
use crate::room::Room;
use crate::session::Session;
use std::sync::Arc;
use tokio::io::AsyncRead;

impl<R: AsyncRead + Send + Unpin> Connection<R> {
    /// Tells the peer the modes of `room`; `None` is the room that the session joined last.
    pub(super) fn show_modes(&mut self, room: Option<&str>) -> Result<(), Refusal> {
        self.may_ask()?;
        let name = self.info(room)?.room;
        let key = self.hub.fold(name.as_str());
        let found = self.hub.find(&key);
        let found = found.ok_or_else(|| Refusal::no_such_room(name.as_str()))?;
        let mut modes = found.modes();
        if self.member_in(&key).is_none() {
            modes = modes.seen_from_outside();
        } else if !self.sees_members(&found.name) {
            modes = modes.without_lists();
        }
        let role = self.role_in(&found);
        self.reply(&Reply::Modes {
            room: &found.name,
            modes: &modes,
            role,
        });
        Ok(())
    }

    pub(super) async fn kick(
        &mut self,
        room: Option<&str>,
        nick: &str,
        reason: &str,
    ) -> Result<(), Refusal> {
        let room = Arc::clone(self.members[self.member(room)?].room());
        let session = Arc::clone(self.session()?.shared());
        let question = Question::Kick {
            room: &room.key,
            nick,
            reason,
        };
        let reason = self.ask(question, reason).await?;
        let nick = self.hub.kick_from(&room, &session, nick, &reason).await?;
        self.reply(&Reply::Kicked {
            room: &room.name,
            nick: &nick,
            is_announced: !room.is_hushed(),
        });
        Ok(())
    }

    pub(super) async fn invite(&mut self, room: Option<&str>, nick: &str) -> Result<(), Refusal> {
        let room = Arc::clone(self.members[self.member(room)?].room());
        let session = Arc::clone(self.session()?.shared());
        let question = Question::Invite {
            room: &room.key,
            nick,
        };
        self.ask(question, "").await?;
        let nick = self.hub.invite_to(&room, &session, nick).await?;
        self.reply(&Reply::Invited {
            room: &room.name,
            nick: &nick,
        });
        Ok(())
    }

    /// Returns the session's role in the room that it joined last.
    pub(super) fn role_in_last(&self) -> Option<Role> {
        self.role_in(self.members.last()?.room())
    }

    fn role_in(&self, room: &Room) -> Option<Role> {
        room.role(self.session.as_ref().map(Session::id)?)
    }
}
