//! Everything that the screen shows.

use crate::complete::Completion;
use crate::editor::HISTORY_MAX;
use crate::room::Room;
use crate::scrollback::Entry;
use crate::theme::Theme;
use crate::{Colours, LOBBY};
use jiff::tz::TimeZone;
use std::time::Duration;

/// The narrowest screen on which the list of rooms is shown.
const ROOMS_FROM_WIDTH: u16 = 72;

/// The narrowest screen on which the members are shown.
const MEMBERS_FROM_WIDTH: u16 = 60;

/// The whole state of the screen.
#[derive(Debug)]
pub(crate) struct State {
    /// At least one.
    pub(crate) rooms: Vec<Room>,
    pub(crate) current: usize,
    pub(crate) nick: String,
    /// The nick that the user asks for; `None`: a guest's.
    pub(crate) wanted_nick: Option<String>,
    /// The last nick that the user asked for and the server granted.
    pub(crate) chosen_nick: Option<String>,
    /// A nick that was asked for and is another's.
    pub(crate) taken_nick: Option<String>,
    /// Who wrote to the user alone last.
    pub(crate) last_correspondent: Option<String>,
    /// The user was told that windows of strangers give way to newer ones.
    pub(crate) has_told_of_strangers: bool,
    /// The operator's words, as they were shown last.
    pub(crate) motd: Vec<String>,
    pub(crate) link: Link,
    /// The server has been reached.
    pub(crate) has_been_online: bool,
    /// How long the server took for its last answer; `None` if that is not known, or long ago.
    pub(crate) latency: Option<Duration>,
    pub(crate) overlay: Option<Overlay>,
    pub(crate) shows_members: bool,
    pub(crate) completion: Option<Completion>,
    pub(crate) theme: Theme,
    pub(crate) zone: TimeZone,
    pub(crate) size: Size,
    /// The server's name, for the status line.
    pub(crate) server: String,
    pub(crate) next_id: u64,
    pub(crate) is_over: bool,
    /// Set when nothing but drawing everything anew helps.
    pub(crate) must_clear: bool,
}

/// The terminal's size in columns and rows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Size {
    pub(crate) width: u16,
    pub(crate) height: u16,
}

/// Whether there is a connection.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Link {
    Connecting,
    Online,
    Offline { why: String },
    Closed { why: String },
}

/// What lies over the screen and takes the keys.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Overlay {
    /// The commands and keys, from this line on.
    Help { from: u16 },
    /// Many lines were pasted into the room on the screen: send them? When another room is shown, the question goes.
    Paste { lines: Vec<String> },
    /// Something is not sent yet: quit?
    Quit { unsent: usize, reason: String },
}

/// Where things are on the screen, in columns and rows.
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

    /// Where the room of this name is, however it is spelled.
    pub(crate) fn position(&self, name: &str) -> Option<usize> {
        self.rooms.iter().position(|room| room.is_called(name))
    }

    pub(crate) fn find(&mut self, name: &str) -> Option<&mut Room> {
        self.position(name).map(|at| &mut self.rooms[at])
    }

    /// Shows this room.
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

    /// Removes a room that is not the only one; if it is on the screen, another one is shown.
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

    /// Another room came onto the screen: what was begun for the one before is not done in it.
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
                // The topic, the status line and the input line.
                height: height.saturating_sub(3),
            },
        }
    }

    /// How many messages are typed and not said.
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
