//! How the state changes: a key or an event in, effects out.
//!
//! Invariant: nothing here waits or does I/O, and nothing that a server sends can make it panic or grow.

mod answers;
mod events;
mod keys;
mod typed;

use crate::room::{Place, Presence, Room};
use crate::scrollback::Entry;
use crate::state::State;
use chat_json::{Event, Message};
use crossterm::event::KeyEvent;
use std::time::Duration;

/// What happens to the screen.
#[derive(Debug)]
pub(crate) enum Input {
    Key(KeyEvent),
    Pasted(String),
    Resized { width: u16, height: u16 },
    Event(Event),
    Answer(Answer),
}

/// What came of an effect.
#[derive(Debug)]
pub(crate) enum Answer {
    /// Of a message: its place in the log, or why it was refused; and how long that took.
    Said {
        room: String,
        id: u64,
        result: Result<u64, String>,
        took: Duration,
    },
    /// What was said before, and in which life of the log that was asked for.
    Older {
        room: String,
        epoch: String,
        result: Result<Vec<Message>, String>,
    },
    /// The result of a command, as lines to show.
    Lines {
        room: String,
        result: Result<Vec<String>, String>,
    },
    /// Of a search: lines, and the place of the oldest find, from which the same search goes on.
    Found {
        room: String,
        words: String,
        result: Result<(Vec<String>, Option<u64>), String>,
    },
    /// A direct message was delivered, or not.
    Direct {
        /// The room on the screen when it was sent.
        room: String,
        /// What is pending in the window of its correspondent, if it was typed there.
        id: Option<u64>,
        to: String,
        text: String,
        result: Result<(), String>,
    },
    /// The server has answered after this time; `None`: it did not within seconds.
    Ponged(Option<Duration>),
    Renamed {
        room: String,
        result: Result<String, String>,
    },
    /// A room was joined; or it was not, which is told in the room where that was asked for.
    Joined {
        room: String,
        from: String,
        result: Result<(), String>,
    },
    Left {
        room: String,
        result: Result<(), String>,
    },
}

/// What is to be done besides drawing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Effect {
    Say {
        room: String,
        id: u64,
        text: String,
        is_action: bool,
    },
    Tell {
        room: String,
        /// What is pending in the window of its correspondent, if it was typed there.
        id: Option<u64>,
        to: String,
        text: String,
    },
    Join {
        room: String,
        /// The room on the screen, which is told if that can't be.
        from: String,
    },
    Leave {
        room: String,
    },
    Nick {
        room: String,
        nick: String,
    },
    /// Connects anew, under this nick.
    Reconnect {
        nick: String,
    },
    Who {
        room: String,
        of: String,
    },
    Rooms {
        room: String,
    },
    Topic {
        room: String,
        text: String,
    },
    /// Reads the room's log before a place of this life of it.
    Older {
        room: String,
        epoch: String,
        before: u64,
    },
    /// Searches the room's log before a place; `None`: from its end.
    Search {
        room: String,
        words: String,
        before: Option<u64>,
    },
    /// Shows the messages around one of this number.
    Around {
        room: String,
        seq: u64,
    },
    Quit {
        reason: String,
    },
    Bell,
    Suspend,
}

/// Changes the state.
pub(crate) fn update(state: &mut State, input: Input) -> Vec<Effect> {
    match input {
        Input::Key(key) => keys::press(state, key),
        Input::Pasted(text) => keys::paste(state, &text),
        Input::Resized { width, height } => {
            state.size = crate::state::Size { width, height };
            Vec::new()
        }
        Input::Event(event) => events::happen(state, event),
        Input::Answer(answer) => {
            answers::answered(state, answer);
            Vec::new()
        }
    }
}

/// How many rooms and windows are shown at most, whatever the server says.
const ROOMS_MAX: usize = 256;

/// How many windows for direct messages may be open that others have opened: a list that can still be looked through.
const UNANSWERED_MAX: usize = 32;

/// Another member writes to the user: if too many have whom the user has not answered, the window of the first of them
/// is closed.
fn make_space(state: &mut State, from: &str) {
    if state.position(&crate::room::direct(from)).is_some() {
        return;
    }
    let unanswered = |at: &usize| state.rooms[*at].is_unanswered();
    let unanswered: Vec<usize> = (0..state.rooms.len()).filter(unanswered).collect();
    if unanswered.len() < UNANSWERED_MAX {
        return;
    }
    // What is on the screen stays there.
    let Some(&first) = unanswered.iter().find(|&&at| at != state.current) else {
        return;
    };
    let name = state.rooms[first].name.clone();
    state.remove(first);
    if !std::mem::replace(&mut state.has_told_of_strangers, true) {
        // Once: it is a flood.
        let text = format!(
            "many write to you: {name} is closed for a newer one, and so is each that you have not answered"
        );
        tell(state, Entry::alert(text));
    }
}

/// The window for what a correspondent says to the user alone; `None` if there are too many.
fn window<'a>(state: &'a mut State, nick: &str) -> Option<&'a mut Room> {
    let name = crate::room::direct(nick);
    let at = match state.position(&name) {
        Some(at) => at,
        None if state.rooms.len() < ROOMS_MAX => {
            let mut window = Room::new(name);
            window.presence = Presence::In;
            window.members = vec![crate::room::name(nick)];
            state.rooms.push(window);
            state.rooms.len() - 1
        }
        None => return None,
    };
    Some(&mut state.rooms[at])
}

/// Tells something in the room that is on the screen.
fn tell(state: &mut State, entry: Entry) {
    state.room_mut().scrollback.push(entry);
}

/// Answers the user in the room on the screen, where it is seen though older messages were being read.
fn reply(state: &mut State, entry: Entry) {
    tell(state, entry);
    state.room_mut().scrollback.show_end();
}

fn place(message: &Message) -> Place {
    Place {
        epoch: message.epoch.clone(),
        seq: message.seq,
    }
}

#[cfg(test)]
mod tests;
