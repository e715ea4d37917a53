//! Executes the commands of a client on a session in this process, for programs with a transport of their own.
//!
//! Invariant: an answer has the form that the server's dialect gives it, and no answer is longer than a line may be.

use super::replies;
use super::requests::bad;
use crate::wire::{
    Empty, Named, Place, Present, Profile, Published, Refused, Reply, Request, RoomsList, Sent,
    Text, Topic, Whois,
};
use chat_core::log::{Epoch, Page, Span, Timestamp};
use chat_core::protocol::{Code, Command, Refusal};
use chat_core::rooms::ModeChanges;
use chat_core::{MemberHandle, RoomName, Seq, SessionEvents};
use serde::Serialize;
use serde_json::value::{RawValue, to_raw_value};

/// The maximum number of rooms in the answer to `rooms`, as over a connection.
const ROOMS_MAX: usize = 100;

/// Executes one command of a client on a session, and returns the line that answers it. Returns `None` if the command
/// has succeeded and has no id.
///
/// A program with its own transport, such as a WebSocket handler, calls this function with what the client has sent,
/// and sends the answer. It also sends each [`SessionEvent`](chat_core::SessionEvent) as a
/// [`wire::Event`](crate::wire::Event). The client then speaks JSON Lines; see `docs/protocol.md`. There are these
/// differences:
///
/// - The program has opened the session and knows who the client is. So `hello` is refused, and `quit` leaves all
///   rooms.
/// - A session in process has no rate limit, and no [`Policy`](chat_core::Policy) is asked. The program limits how
///   often it calls this function, and refuses commands that it does not allow; [`Request::parse`] reads them.
/// - Only `say` accepts a key, and `publish` is refused.
/// - The answer to `join` has no `recovered`. If messages are missing, the first event of the room is a
///   [`wire::Event::Gap`](crate::wire::Event::Gap).
///
/// # Cancel safety
///
/// Not cancel safe: if the future is dropped, the command may have been executed without an answer.
///
/// # Examples
///
/// ```
/// use chat_core::Hub;
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let mut kim = Hub::default().session(Some("kim")).await?.into_events();
/// chat_json::answer(&mut kim, r#"{"cmd":"join","room":"ops"}"#).await;
/// let answer = chat_json::answer(&mut kim, r#"{"cmd":"say","id":7,"room":"ops","text":"hi"}"#).await;
/// assert_eq!(answer.as_deref(), Some(r#"{"re":7,"ok":{"room":"ops","seq":1}}"#));
/// # Ok(())
/// # }
/// ```
pub async fn answer(session: &mut SessionEvents, line: &str) -> Option<String> {
    let mut request = match Request::parse(line) {
        Ok(request) => request,
        Err(refused) => return Some(json(&refused)),
    };
    let re = request.id.take();
    let result = match request.command() {
        Ok(command) => execute(session, command).await,
        Err(refusal) => Err(refusal),
    };
    match result {
        Ok(ok) => re.map(|re| json(&Reply { re, ok })),
        Err(refusal) => Some(json(&Refused::new(re, &refusal))),
    }
}

async fn execute(
    session: &mut SessionEvents,
    command: Command<'_>,
) -> Result<Box<RawValue>, Refusal> {
    match command {
        Command::Join(join) => {
            let info = session.join(join).await?;
            let mut place = Place::from(&info);
            let role = session.session().role(info.room.as_str());
            place.role = role.map(|role| role.as_str().into());
            raw(&place)
        }
        Command::Leave { room: Some(room) } => {
            session.room(&room)?;
            session.leave(&room);
            raw(&Empty {})
        }
        Command::Tell { to, text } => {
            let to = session.session().tell(&to, &text).await?;
            let whois = session.session().whois(to.as_str());
            let away = whois.and_then(|whois| whois.profile.away);
            let away = away.as_deref().map(Text::from);
            let (to, ts) = (to.as_str().into(), Timestamp::now().0);
            raw(&Sent { to, ts, away })
        }
        Command::Nick { nick } => {
            let nick = session.session().rename(&nick).await?;
            let nick = nick.as_str().into();
            raw(&Named { nick })
        }
        Command::Who { room: Some(room) } => {
            let session = session.session();
            let info = session.hub().info(&room).filter(|_| session.sees(&room));
            let info = info.ok_or_else(|| Refusal::no_such_room(&room))?;
            raw(&Present::from(&info))
        }
        Command::Rooms { after, limit } => {
            let limit = limit.unwrap_or(ROOMS_MAX).clamp(1, ROOMS_MAX);
            let after = after.unwrap_or_default();
            let mut rooms = session.session().rooms_after(&after, limit + 1);
            let has_more = rooms.len() > limit;
            rooms.truncate(limit);
            raw(&RoomsList::new(&rooms, has_more))
        }
        Command::Away { message } => {
            let away = session.session().set_away(message.as_deref());
            raw(&replies::awayness(away.as_deref()))
        }
        Command::SetProfile {
            real_name, is_bot, ..
        } => {
            let session = session.session();
            real_name
                .iter()
                .for_each(|name| session.set_real_name(name));
            is_bot.iter().for_each(|is_bot| session.set_bot(*is_bot));
            raw(&Profile::from(&session.profile()))
        }
        Command::Whois { nick } => {
            let whois = session.session().whois(&nick);
            let whois = whois.ok_or_else(|| no_such_nick(&nick))?;
            raw(&Whois::from(&whois))
        }
        Command::Ping => raw(&Empty {}),
        Command::Quit { .. } => {
            let rooms: Vec<_> = session.rooms().map(|room| room.room().clone()).collect();
            for room in rooms {
                session.leave(room.as_str());
            }
            raw(&Empty {})
        }
        command => execute_in_room(session, command).await,
    }
}

/// Executes a command that needs a room which the session is in. The reference is exclusive because the future must be
/// `Send`, and `SessionEvents` is not `Sync`.
async fn execute_in_room(
    session: &mut SessionEvents,
    command: Command<'_>,
) -> Result<Box<RawValue>, Refusal> {
    let limits = session.session().hub().limits();
    let (usual, max) = (limits.history, limits.history_max);
    let most = |limit: Option<usize>| limit.unwrap_or(usual).min(max);
    match command {
        Command::Say {
            room: Some(room),
            text,
            key,
        } => say(session.room(&room)?, &text, key.as_deref()).await,
        Command::Act {
            room: Some(room),
            text,
            key: None,
        } => {
            let member = session.room(&room)?;
            published(member.room(), member.act(&text).await?)
        }
        Command::Topic {
            room: Some(room),
            text,
        } => topic(session.room(&room)?, text.as_deref()).await,
        Command::Mode {
            room: Some(room),
            changes,
        } => modes(session, &room, &changes).await,
        Command::Kick {
            room: Some(room),
            nick,
            reason,
        } => {
            let reason = reason.unwrap_or_default();
            let nick = session.session().kick(&room, &nick, &reason).await?;
            raw(&replies::affected(session.room(&room)?.room(), &nick))
        }
        Command::Invite {
            room: Some(room),
            nick,
        } => {
            let nick = session.session().invite(&room, &nick).await?;
            raw(&replies::affected(session.room(&room)?.room(), &nick))
        }
        Command::Read {
            room: Some(room),
            after,
            epoch,
            before,
            limit,
        } => {
            let before = before.unwrap_or(Seq::END);
            let span = after.map_or(Span::Before(before), Span::After);
            history(session.room(&room)?, epoch, span, most(limit)).await
        }
        Command::Search {
            room: Some(room),
            text,
            before,
            limit,
        } => {
            let member = session.room(&room)?;
            let before = before.unwrap_or(Seq::END);
            let page = member.search(&text, before, most(limit)).await?;
            messages(member.room(), &page, &replies::found(&page))
        }
        _ => Err(bad(
            "the program that serves this connection does not support that",
        )),
    }
}

/// Reads a page of a room's log. Refuses the request if the client names an epoch other than the epoch of the page.
async fn history(
    member: &MemberHandle,
    epoch: Option<Epoch>,
    span: Span,
    limit: usize,
) -> Result<Box<RawValue>, Refusal> {
    let now = member.info().position.epoch;
    let is_other = |read| epoch.is_some_and(|epoch| epoch != read);
    if is_other(now) {
        return Err(other_epoch());
    }
    let page = member.history(span, limit).await?;
    // The log may have begun a new epoch while the page was read.
    if page.epoch.is_some_and(is_other) {
        return Err(other_epoch());
    }
    messages(member.room(), &page, &replies::page(span, &page))
}

async fn say(
    member: &MemberHandle,
    text: &str,
    key: Option<&str>,
) -> Result<Box<RawValue>, Refusal> {
    match key {
        Some(key) => {
            let result = member.say_once(key, text).await?;
            raw(&Published::new(member.room(), &result))
        }
        None => published(member.room(), member.say(text).await?),
    }
}

async fn topic(member: &MemberHandle, text: Option<&str>) -> Result<Box<RawValue>, Refusal> {
    match text {
        Some(text) => published(member.room(), member.set_topic(text).await?),
        None => raw(&Topic::from(&member.info())),
    }
}

/// Changes the modes of a room, or returns them if there are no changes.
async fn modes(
    session: &mut SessionEvents,
    room: &str,
    changes: &ModeChanges,
) -> Result<Box<RawValue>, Refusal> {
    if changes.is_empty() && session.room(room).is_err() {
        let session = session.session();
        let info = session.hub().info(room).filter(|_| session.sees(room));
        let info = info.ok_or_else(|| Refusal::no_such_room(room))?;
        let modes = session.hub().modes(room).unwrap_or_default();
        let modes = modes.seen_from_outside();
        return raw(&replies::modes(&info.room, &modes, None));
    }
    let member = session.room(room)?.clone();
    if changes.is_empty() {
        let (modes, role) = (member.modes(), member.role());
        return raw(&replies::modes(member.room(), &modes, role));
    }
    let seq = session.session().set_modes(room, changes).await?;
    published(member.room(), seq)
}

fn published(room: &RoomName, seq: Seq) -> Result<Box<RawValue>, Refusal> {
    raw(&replies::published(room, seq, false))
}

fn no_such_nick(nick: &str) -> Refusal {
    let nick: String = chat_core::text::clean(nick).chars().take(32).collect();
    Refusal::new(Code::NotFound, format!("nobody here is called {nick}"))
}

fn other_epoch() -> Refusal {
    let message = "the room's log began anew since then: join again to see what there is";
    Refusal::new(Code::NotFound, message)
}

/// Returns an answer with messages that are already written as a JSON array.
fn messages(room: &RoomName, page: &Page, list: &[u8]) -> Result<Box<RawValue>, Refusal> {
    raw(&replies::Messages::new(room, page.gap, list))
}

fn raw(value: &impl Serialize) -> Result<Box<RawValue>, Refusal> {
    to_raw_value(value).map_err(|error| Refusal::new(Code::Unavailable, error.to_string()))
}

fn json(line: &impl Serialize) -> String {
    let json = serde_json::to_string(line);
    debug_assert!(json.is_ok(), "what we write is JSON");
    json.unwrap_or_default()
}
