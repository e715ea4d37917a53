//! Executes the commands that do not publish messages.
//!
//! Invariant: each command is executed completely before the next command begins, and is answered once.

use crate::admission::Cost;
use crate::connection::connection::Connection;
use crate::connection::replay::Replaying;
use crate::event::{CloseReason, DirectKind, RoomInfo};
use crate::hub::Question;
use crate::log::{Epoch, JournalError, Position, Seq, Span, TokenDigest};
use crate::protocol::{Command, JoinRequest, Joined, Refusal, Reply};
use crate::request;
use crate::room::{JoinError, JoinedAt, Outbound};
use crate::session::{Session, WireMember};
use crate::text;
use std::borrow::Cow;
use std::future::{Future, poll_fn};
use std::pin::pin;
use std::sync::Arc;
use std::task::Poll;
use tokio::io::AsyncRead;
use tokio::time::Instant;

/// How many sessions that watch a nick are told of a rename for the price of one line.
const WATCHERS_PER_LINE: usize = 32;

/// The effect of a command on the connection.
enum Outcome {
    /// The connection continues.
    GoOn,
    /// The connection ends, for this reason.
    Close(CloseReason),
}

impl<R: AsyncRead + Send + Unpin> Connection<R> {
    /// Executes a command. If the command is refused, sends the refusal to the peer. Returns why the connection must
    /// end, if it must.
    pub(super) async fn perform(&mut self, command: Command<'_>) -> Option<CloseReason> {
        // The future is boxed, so that an idle connection keeps no memory for it.
        match Box::pin(self.execute(command)).await {
            Ok(Outcome::Close(reason)) => return Some(reason),
            Ok(Outcome::GoOn) => {}
            Err(refusal) => self.reply(&Reply::Refused(&refusal)),
        }
        None
    }

    async fn execute(&mut self, command: Command<'_>) -> Result<Outcome, Refusal> {
        match command {
            Command::Tell { to, text } => self.tell(&to, DirectKind::Said, &text).await?,
            Command::TellAs { to, kind, text } => self.tell(&to, kind, &text).await?,
            Command::Hello { nick, token, rooms } => {
                return self.begin(nick.as_deref(), token, &rooms).await;
            }
            Command::Authenticate(credentials) => {
                if let Some(reason) = Box::pin(self.authenticate(credentials)).await? {
                    return Ok(Outcome::Close(reason));
                }
            }
            Command::Join(request) => self.join(&request, 0).await?,
            Command::Move { room, key } => self.move_to(room, key).await?,
            Command::Leave { room } => self.leave(room.as_deref()).await?,
            Command::Nick { nick } => self.rename(&nick).await?,
            Command::Who { room } => {
                let info = self.seen(self.info(room.as_deref())?);
                self.reply(&Reply::Who(&info));
            }
            Command::Members { room } => self.list_members(room.as_deref()).await?,
            Command::Topic { room, .. } => {
                let info = self.info(room.as_deref())?;
                self.reply(&Reply::Topic(&info));
            }
            Command::Rooms { after, limit } => {
                self.list_rooms(after.as_deref().unwrap_or_default(), limit)?;
            }
            Command::History {
                room,
                before,
                limit,
            } => self.show_history(room.as_deref(), before, limit).await?,
            Command::Read {
                room,
                after,
                epoch,
                before,
                limit,
            } => {
                self.may_ask()?;
                let member = self.member(room.as_deref())?;
                self.ask_for_history(member).await?;
                let before = Span::Before(before.unwrap_or(Seq::END));
                let span = after.map_or(before, Span::After);
                self.read_page(member, epoch, span, limit).await?;
            }
            Command::Search {
                room,
                text,
                before,
                limit,
            } => {
                self.may_ask()?;
                let member = self.member(room.as_deref())?;
                let text = self.ask_to_search(member, &text).await?;
                self.search(member, &text, before, limit).await?;
            }
            Command::Mode { room, .. } => self.show_modes(room.as_deref())?,
            Command::Kick { room, nick, reason } => {
                let reason = reason.as_deref().unwrap_or_default();
                self.kick(room.as_deref(), &nick, reason).await?;
            }
            Command::Invite { room, nick } => self.invite(room.as_deref(), &nick).await?,
            Command::Ping => self.reply(&Reply::Pong),
            Command::Quit { .. } if self.session.is_none() => {
                return Ok(Outcome::Close(CloseReason::Quit(None)));
            }
            Command::Quit { reason } => {
                let reason = self.quit_reason(reason.as_deref().unwrap_or_default());
                return Ok(Outcome::Close(CloseReason::Quit(reason.await)));
            }
            Command::OptionsChanged => self.apply_options(),
            Command::Operate { name, password } => {
                if let Some(reason) = Box::pin(self.operate(&name, password)).await? {
                    return Ok(Outcome::Close(reason));
                }
            }
            Command::Away { .. }
            | Command::SetProfile { .. }
            | Command::Whois { .. }
            | Command::Whowas { .. }
            | Command::Online { .. }
            | Command::Watch { .. }
            | Command::Disconnect { .. } => self.execute_about_sessions(command).await?,
            // Never reached: the conversation turns these commands into drafts, which `publishing.rs` handles.
            Command::Say { .. }
            | Command::Act { .. }
            | Command::Notice { .. }
            | Command::Publish { .. } => {}
        }
        Ok(Outcome::GoOn)
    }

    /// Returns the reason that the members of the peer's rooms are told when the peer quits; `None` if the peer gave no
    /// reason or the policy refuses the reason.
    async fn quit_reason(&mut self, asked: &str) -> Option<Arc<str>> {
        let question = Question::Quit { reason: asked };
        let reason = self.ask(question, asked).await.ok()?;
        Some(self.hub.reason(&reason)).filter(|reason| !reason.is_empty())
    }

    async fn tell(&mut self, to: &str, kind: DirectKind, text: &str) -> Result<(), Refusal> {
        let text = self.ask(Question::Tell { to, text }, text).await?;
        let session = Arc::clone(self.session()?.shared());
        let at = self.hub.now();
        let to = self.hub.tell_from(&session, to, kind, &text).await?;
        let away = self.hub.away(to.as_str());
        self.reply(&Reply::DirectSent {
            to: &to,
            at,
            text: &text::clean(&text),
            away: away.as_deref(),
        });
        Ok(())
    }

    async fn rename(&mut self, nick: &str) -> Result<(), Refusal> {
        let nick = self.ask(Question::Rename { nick }, nick).await?;
        let session = self.session()?;
        let had = session.nick();
        let nick = session.rename(&nick).await?;
        // The new nick is announced in each of the session's rooms. Each room after the first is charged like a
        // message. Those who watch the old nick or the new one are told, too.
        let told = self.hub.watchers(&had) + self.hub.watchers(&nick);
        let rooms = self.members.len().saturating_sub(1);
        self.charge(Cost::lines(rooms + told / WATCHERS_PER_LINE));
        self.reply(&Reply::Renamed(&nick));
        Ok(())
    }

    /// Joins a room. The peer is sent the room's members and the replay first, then live events. If the join succeeds,
    /// the session leaves the first `leaving` rooms of `members`.
    pub(super) async fn join(
        &mut self,
        request: &JoinRequest<'_>,
        leaving: usize,
    ) -> Result<(), Refusal> {
        self.join_within(request, leaving, self.newcomer_bytes())
            .await
    }

    /// As [`join`](Self::join), but sends the peer at most `bytes_max` bytes about the room; `None` is no limit.
    pub(super) async fn join_within(
        &mut self,
        request: &JoinRequest<'_>,
        leaving: usize,
        bytes_max: Option<usize>,
    ) -> Result<(), Refusal> {
        // A peer that names a position is sent all messages after the position, without a limit on bytes.
        let bytes_max = bytes_max.filter(|_| request.after.is_none());
        let joined = self.enter(request, leaving, bytes_max).await;
        let joined = match joined {
            Ok(joined) => {
                let nick = self.session()?.nick();
                let told = self.write_reply(&Reply::Joined {
                    nick: &nick,
                    joined: &joined,
                });
                if let Some(bytes_max) = bytes_max {
                    let left = bytes_max.saturating_sub(told);
                    self.plan_short_replay(request, JoinedAt::from(&joined.info), left)
                        .await;
                }
                Ok(())
            }
            Err(refusal) => Err(refusal),
        };
        self.catch_up_soon().await;
        joined
    }

    /// Executes a `Hello`: takes the nick, joins the rooms and answers with a `Welcome`. If one room can't be joined,
    /// the session still joins the other rooms.
    async fn begin(
        &mut self,
        nick: Option<&str>,
        token: Option<TokenDigest>,
        rooms: &[JoinRequest<'_>],
    ) -> Result<Outcome, Refusal> {
        let changed = match self.ask_to_come_in(nick).await {
            Ok(changed) => changed,
            Err(refusal) => {
                self.reply(&Reply::Refused(&refusal));
                return Ok(Outcome::Close(CloseReason::Refused));
            }
        };
        self.register(changed.as_deref().or(nick), token).await?;
        let mut joined = Vec::with_capacity(rooms.len());
        for request in rooms {
            joined.push((&*request.room, self.enter(request, 0, None).await));
            // Each room announces the join in a task of its own. The yield after each join spreads these tasks over
            // time, so that they do not delay other rooms for long.
            tokio::task::yield_now().await;
        }
        // Each room is charged like a command that joins one room. The charge for the line already covers the first
        // room.
        self.charge(Cost::lines(rooms.len().saturating_sub(1)));
        let nick = self.session()?.nick();
        let user_host = self.session()?.profile().user_host;
        let hub = self.hub.clone();
        self.reply(&Reply::Welcome {
            nick: &nick,
            user_host: &user_host,
            rooms: &joined,
            limits: hub.limits(),
            lobby: hub.lobby(),
            motd: hub.motd(),
        });
        self.catch_up_soon().await;
        Ok(Outcome::GoOn)
    }

    /// Joins a room, and then leaves the first `leaving` rooms of `members`. If `bytes_max` is `None`, also plans the
    /// replay. Otherwise the caller plans the replay after it has written the reply. In both cases, the caller writes
    /// the reply and at the end calls [`catch_up_soon`](Self::catch_up_soon).
    async fn enter(
        &mut self,
        request: &JoinRequest<'_>,
        leaving: usize,
        bytes_max: Option<usize>,
    ) -> Result<Joined, Refusal> {
        let options = self.delivery_options().ok_or_else(Refusal::not_in_room)?;
        let asked = &*request.room;
        let room = if self.hub.policy().is_some() {
            let (_, key) = self.hub.room_name(asked).map_err(JoinError::Name)?;
            self.ask(Question::Join { room: &key }, asked).await?
        } else {
            Cow::Borrowed(asked)
        };
        let leaving_members = &self.members[..leaving];
        let joined = self
            .session()?
            .join_wire(
                &room,
                request.key.as_deref(),
                self.transport.outbound(),
                &options,
                leaving_members,
            )
            .await;
        match joined {
            Ok((info, member)) => {
                self.leave_first(leaving).await;
                // Most sessions are in one room. Without this call, `push` would reserve memory for four members.
                if self.members.is_empty() {
                    self.members.reserve_exact(1);
                }
                self.members.push(member);
                let is_recovered = match bytes_max {
                    None => self.plan_replay(request, JoinedAt::from(&info)).await,
                    // The caller plans this replay after it has written the reply, because the reply uses up part of
                    // `bytes_max`.
                    Some(_) => None,
                };
                let role = self.role_in_last();
                Ok(Joined {
                    info: self.seen(info),
                    is_recovered,
                    role,
                    bytes_max,
                })
            }
            Err(error) => {
                if let JoinError::Journal(error) = &error {
                    self.hub.log_journal_failure(&request.room, error);
                }
                Err(error.into())
            }
        }
    }

    fn list_rooms(&mut self, after: &str, limit: Option<usize>) -> Result<(), Refusal> {
        self.may_ask()?;
        let (rooms, has_more, cost) = request::list_rooms(&self.hub, after, limit, self.sees());
        self.charge(cost);
        self.reply(&Reply::Rooms {
            rooms: &rooms,
            has_more,
        });
        Ok(())
    }

    async fn show_history(
        &mut self,
        room: Option<&str>,
        before: Option<Seq>,
        limit: Option<usize>,
    ) -> Result<(), Refusal> {
        self.may_ask()?;
        let member = self.member(room)?;
        self.ask_for_history(member).await?;
        let limit = self.page_limit(limit);
        let room = self.members[member].room();
        let before = Position {
            epoch: room.epoch(),
            seq: before.unwrap_or(Seq::END),
        };
        let latest = room.latest(before, limit).await;
        let latest = latest.map_err(|_| Refusal::unreadable(&JournalError::Gone))?;
        self.reply(&Reply::History {
            is_empty: latest.is_none(),
        });
        let replaying = latest.map(|latest| Replaying::past(member, latest));
        self.replays.extend(replaying);
        self.transport.cork();
        self.catch_up_soon().await;
        Ok(())
    }

    async fn read_page(
        &mut self,
        member: usize,
        epoch: Option<Epoch>,
        span: Span,
        limit: Option<usize>,
    ) -> Result<(), Refusal> {
        let room = Arc::clone(self.members[member].room());
        let page = request::read_page(&room, epoch, span, self.page_limit(limit)).await?;
        // The wait for the journal is not charged. A dialect may look at many messages and write few of them.
        let began = Instant::now();
        self.reply(&Reply::Page {
            room: &room.name,
            span,
            page: &page,
        });
        self.charge(Cost::work(began.elapsed()));
        Ok(())
    }

    async fn search(
        &mut self,
        member: usize,
        text: &str,
        before: Option<Seq>,
        limit: Option<usize>,
    ) -> Result<(), Refusal> {
        let room = Arc::clone(self.members[member].room());
        let limit = self.page_limit(limit);
        let search = request::search(&room, text, before, limit);
        let Some((page, cost)) =
            unless_over(self.session.as_ref(), self.transport.outbound(), search).await
        else {
            // The session must end, so the search is not answered.
            return Ok(());
        };
        self.charge(cost);
        let page = page?;
        self.reply(&Reply::Found {
            room: &room.name,
            page: &page,
        });
        Ok(())
    }

    /// Returns the maximum number of messages in an answer if the peer asks for `asked` messages.
    fn page_limit(&self, asked: Option<usize>) -> usize {
        request::page_limit(self.hub.limits(), asked)
    }

    /// Leaves the first `count` rooms of `members`. Writes to the peer the messages that were published in each room
    /// before the session left it.
    async fn leave_first(&mut self, count: usize) {
        for member in 0..count {
            let replay = self.members[member].stop();
            let replaying = Replaying::live(member, replay, self.echo());
            self.write_replay(replaying).await;
        }
        self.members.drain(..count);
    }

    /// Leaves the first room of `members`. First releases the output that is held back, so that the peer receives it
    /// before the last messages of that room.
    async fn leave_one(&mut self) {
        self.members[0].pause();
        self.uncork();
        self.leave_first(1).await;
    }

    /// Joins a room and leaves all others; `None` is the lobby. If the join fails, the session stays in its rooms.
    async fn move_to(
        &mut self,
        room: Option<Cow<'_, str>>,
        key: Option<Cow<'_, str>>,
    ) -> Result<(), Refusal> {
        let request = JoinRequest {
            room: room.unwrap_or_else(|| self.hub.lobby().as_str().to_owned().into()),
            after: None,
            epoch: None,
            limit: Some(self.hub.limits().history),
            key,
        };
        self.join(&request, self.members.len()).await
    }

    /// Handles the rooms from which the application removed the session. For each room, writes the messages that were
    /// published before the removal, and then tells the peer about the removal. Afterwards the session joins the lobby,
    /// if its dialect requires that.
    pub(super) async fn be_removed(&mut self) {
        let mut must_move = false;
        while let Some(removal) = self.session.as_ref().and_then(Session::take_removal) {
            let was_in = |member: &WireMember| member.was_in(&removal.room, removal.seat);
            let Some(member) = self.members.iter().position(was_in) else {
                continue;
            };
            self.members[..=member].rotate_right(1);
            self.leave_one().await;
            if self.has_passed_owed() {
                self.write_owed_out_of_place();
            }
            self.reply(&Reply::Removed {
                room: &removal.room.name,
                reason: &removal.reason,
                by: removal.by.as_ref(),
                is_closed: removal.is_closed,
            });
            let was_lobby = removal.room.name == *self.hub.lobby();
            must_move =
                self.conversation
                    .must_move(!self.members.is_empty(), was_lobby, removal.is_closed);
        }
        if must_move {
            let moved = self.move_to(None, None).await;
            self.tell_refused(moved);
        }
    }

    async fn leave(&mut self, room: Option<&str>) -> Result<(), Refusal> {
        let member = self.member(room)?;
        self.members[..=member].rotate_right(1);
        let info = self.members[0].room().info();
        self.leave_one().await;
        self.reply(&Reply::Left(&info));
        Ok(())
    }

    pub(super) fn session(&self) -> Result<&Session, Refusal> {
        self.session.as_ref().ok_or_else(Refusal::not_in_room)
    }

    /// Returns the members, topic and position of `room`; `None` is the room that the session joined last.
    pub(super) fn info(&self, room: Option<&str>) -> Result<RoomInfo, Refusal> {
        match room {
            Some(room) => {
                let key = self.hub.room_key(room).filter(|key| self.sees()(key));
                let info = key.and_then(|_| self.hub.info(room));
                info.ok_or_else(|| Refusal::no_such_room(room))
            }
            None => Ok(self.members[self.member(None)?].room().info()),
        }
    }

    /// Returns the index in `members` of the member for `room`. `None` stands for the room that the session joined
    /// last.
    pub(super) fn member(&self, room: Option<&str>) -> Result<usize, Refusal> {
        let found = match room {
            Some(room) => {
                let key = self.hub.room_key(room);
                key.and_then(|key| self.member_in(&key))
            }
            None => self.members.len().checked_sub(1),
        };
        found.ok_or_else(Refusal::not_in_room)
    }

    /// Returns the index in `members` of the session's member in the room with this folded name.
    pub(super) fn member_in(&self, key: &str) -> Option<usize> {
        let mut members = self.members.iter();
        members.position(|member| *member.room().key == *key)
    }
}

/// Waits for `work`, and writes the connection's output while it waits. Returns `None` if the session must end or the
/// connection's stream fails before the work is done.
pub(super) async fn unless_over<T>(
    session: Option<&Session>,
    outbound: &Outbound,
    work: impl Future<Output = T>,
) -> Option<T> {
    let mut work = pin!(work);
    poll_fn(|cx| {
        let is_closing = |session: &Session| session.poll_closing(cx).is_ready();
        if session.is_some_and(is_closing) || outbound.poll_flush(cx).broken {
            return Poll::Ready(None);
        }
        work.as_mut().poll(cx).map(Some)
    })
    .await
}
