//! The state of the screen: all data that the view draws.

use crate::complete::Completion;
use crate::editor::HISTORY_MAX;
use crate::room::Room;
use crate::scrollback::Entry;
use crate::theme::Theme;
use crate::{Colours, LOBBY};
use jiff::tz::TimeZone;
use std::time::Duration;

/// The narrowest screen on which the list of rooms is shown, in columns.
const ROOMS_FROM_WIDTH: u16 = 72;

/// The narrowest screen on which the list of members is shown, in columns.
const MEMBERS_FROM_WIDTH: u16 = 60;

/// Everything that the screen shows.
#[derive(Debug)]
pub(crate) struct State {
    /// The open rooms and windows for direct messages. At least one room or window is always open.
    pub(crate) rooms: Vec<Room>,
    pub(crate) current: usize,
    pub(crate) nick: String,
    /// The nick that the user asked for. `None` if the client enters as a guest.
    pub(crate) wanted_nick: Option<String>,
    /// The last nick that the user asked for and that the server granted.
    pub(crate) chosen_nick: Option<String>,
    /// A nick that the user asked for, but that another session has.
    pub(crate) taken_nick: Option<String>,
    /// The sender of the last direct message.
    pub(crate) last_correspondent: Option<String>,
    /// Whether the user was told that the client closes unanswered windows for direct messages to make space for newer
    /// windows.
    pub(crate) has_told_of_strangers: bool,
    /// The message of the day as it was last shown.
    pub(crate) motd: Vec<String>,
    pub(crate) link: Link,
    /// Whether the server was reached at least once.
    pub(crate) has_been_online: bool,
    /// The last measured round trip to the server. `None` if the time is unknown or outdated.
    pub(crate) latency: Option<Duration>,
    pub(crate) overlay: Option<Overlay>,
    pub(crate) shows_members: bool,
    pub(crate) completion: Option<Completion>,
    pub(crate) theme: Theme,
    pub(crate) zone: TimeZone,
    pub(crate) size: Size,
    /// The server's address, for the status line.
    pub(crate) server: String,
    pub(crate) next_id: u64,
    pub(crate) is_over: bool,
    /// Whether every cell of the screen must be drawn again.
    pub(crate) must_clear: bool,
}

/// The terminal's size in columns and rows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Size {
    pub(crate) width: u16,
    pub(crate) height: u16,
}

/// The state of the connection.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Link {
    Connecting,
    Online,
    Offline { why: String },
    Closed { why: String },
}

/// A question or the help, which covers part of the screen and receives the keys.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Overlay {
    /// The help, scrolled so that it begins with line `from`.
    Help { from: u16 },
    /// The question whether to send the pasted lines. The question is closed when another room is shown.
    Paste { lines: Vec<String> },
    /// The question whether to quit although `unsent` messages would be lost. `reason` is the reason for quitting.
    Quit { unsent: usize, reason: String },
}

/// The areas of the screen, with positions and sizes in columns and rows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Areas {
    pub(crate) rooms: u16,
    pub(crate) members: u16,
    pub(crate) messages: Size,
}

impl State {
    pub(crate) fn new(server: String, colours: Colours, zone: TimeZone) -> Self {
        Self {
            rooms: vec![Room::new(LOBBY.to_owned())],
            current: 0,
            nick: String::new(),
            wanted_nick: None,
            chosen_nick: None,
            taken_nick: None,
            last_correspondent: None,
            has_told_of_strangers: false,
            motd: Vec::new(),
            link: Link::Connecting,
            has_been_online: false,
            latency: None,
            overlay: None,
            shows_members: true,
            completion: None,
            theme: Theme::new(colours),
            zone,
            size: Size {
                width: 80,
                height: 24,
            },
            server,
            next_id: 1,
            is_over: false,
            must_clear: false,
        }
    }

    pub(crate) fn room(&self) -> &Room {
        &self.rooms[self.current]
    }

    pub(crate) fn room_mut(&mut self) -> &mut Room {
        &mut self.rooms[self.current]
    }

    /// Returns the index of the room with this name, in any spelling.
    pub(crate) fn position(&self, name: &str) -> Option<usize> {
        self.rooms.iter().position(|room| room.is_called(name))
    }

    pub(crate) fn find(&mut self, name: &str) -> Option<&mut Room> {
        self.position(name).map(|at| &mut self.rooms[at])
    }

    /// Shows the room at this index.
    pub(crate) fn show(&mut self, at: usize) {
        if at == self.current || at >= self.rooms.len() {
            return;
        }
        self.room_mut().leave();
        let left = self.room().name.clone();
        self.current = at;
        self.room_mut().enter();
        self.is_shown_instead_of(&left);
    }

    /// Removes a room, which must not be the only one. If the room was shown, another room is shown instead.
    pub(crate) fn remove(&mut self, at: usize) {
        let removed = self.rooms.remove(at);
        let was_shown = self.current == at;
        if self.current >= at && self.current > 0 {
            self.current -= 1;
        }
        self.room_mut().enter();
        if was_shown {
            self.is_shown_instead_of(&removed.name);
        }
    }

    /// Drops the completion that belongs to the room `before`, which was shown until now. If the user was asked whether
    /// to send pasted lines to that room, withdraws the question. The lines are not sent, but the user can recall them.
    fn is_shown_instead_of(&mut self, before: &str) {
        self.completion = None;
        let Some(Overlay::Paste { lines }) = &mut self.overlay else {
            return;
        };
        let lines = std::mem::take(lines);
        self.overlay = None;
        let count = lines.len();
        let which = match count > HISTORY_MAX {
            true => format!("the last {HISTORY_MAX}"),
            false => "them".to_owned(),
        };
        let text = format!("{count} lines pasted in {before} are not sent: Up recalls {which}");
        let room = self.room_mut();
        room.editor.keep(&lines);
        room.scrollback.push(Entry::alert(text));
        room.scrollback.show_end();
    }

    pub(crate) fn areas(&self) -> Areas {
        let Size { width, height } = self.size;
        let rooms = if width >= ROOMS_FROM_WIDTH && self.rooms.len() > 1 {
            20
        } else {
            0
        };
        let members = if self.shows_members && width >= MEMBERS_FROM_WIDTH {
            18
        } else {
            0
        };
        Areas {
            rooms,
            members,
            messages: Size {
                width: width.saturating_sub(rooms + members),
                // The topic, the status line and the input line take one row each.
                height: height.saturating_sub(3),
            },
        }
    }

    /// Returns how many of the user's messages the server has not accepted yet.
    pub(crate) fn unsent(&self) -> usize {
        let waiting = |room: &Room| {
            room.pending
                .iter()
                .filter(|pending| pending.taken_as.is_none())
                .count()
        };
        self.rooms.iter().map(waiting).sum()
    }
}
