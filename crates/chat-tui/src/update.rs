//! Transitions of the state: a key or an event comes in, effects come out.
//!
//! Invariant: nothing here waits or does I/O. Whatever a server sends, nothing panics and memory stays bounded.

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

/// An input to the state.
#[derive(Debug)]
pub(crate) enum Input {
    Key(KeyEvent),
    Pasted(String),
    Resized { width: u16, height: u16 },
    Event(Event),
    Answer(Answer),
}

/// The result of an effect.
#[derive(Debug)]
pub(crate) enum Answer {
    /// The position of a sent message, or why it was refused; and how long the server took.
    Said {
        room: String,
        id: u64,
        result: Result<u64, String>,
        took: Duration,
    },
    /// Older messages, and the epoch in which they were requested.
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
    /// The results of a search as lines, and the position of the oldest match, from which the same search continues.
    Found {
        room: String,
        words: String,
        result: Result<(Vec<String>, Option<u64>), String>,
    },
    /// Whether a direct message was delivered.
    Direct {
        /// The room that was shown when it was sent.
        room: String,
        /// The pending message in the correspondent's window, if it was typed there.
        id: Option<u64>,
        to: String,
        text: String,
        result: Result<(), String>,
    },
    /// The measured round trip; `None` if the server did not answer in time.
    Ponged(Option<Duration>),
    Renamed {
        room: String,
        result: Result<String, String>,
    },
    /// Whether a room was joined. A refusal is shown in the room where the command was typed.
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

/// What the driver does besides drawing.
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
        /// The pending message in the correspondent's window, if it was typed there.
        id: Option<u64>,
        to: String,
        text: String,
    },
    Join {
        room: String,
        /// The room where the command was typed; it shows a refusal.
        from: String,
    },
    Leave {
        room: String,
    },
    Nick {
        room: String,
        nick: String,
    },
    /// Connects again, with this nick.
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
    /// Reads messages before this position of this epoch.
    Older {
        room: String,
        epoch: String,
        before: u64,
    },
    /// Searches the room's log before a position; `None`: from its end.
    Search {
        room: String,
        words: String,
        before: Option<u64>,
    },
    /// Shows the messages around this message number.
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

/// Applies an input to the state, and returns the effects.
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

/// How many rooms and windows are shown at most, whatever the server sends.
const ROOMS_MAX: usize = 256;

/// How many unanswered windows for direct messages are kept: short enough a list to look through.
const UNANSWERED_MAX: usize = 32;

/// Closes the oldest unanswered window if a new correspondent would exceed [`UNANSWERED_MAX`].
fn make_space(state: &mut State, from: &str) {
    if state.position(&crate::room::direct(from)).is_some() {
        return;
    }
    let unanswered = |at: &usize| state.rooms[*at].is_unanswered();
    let unanswered: Vec<usize> = (0..state.rooms.len()).filter(unanswered).collect();
    if unanswered.len() < UNANSWERED_MAX {
        return;
    }
    // The shown window is never closed.
    let Some(&first) = unanswered.iter().find(|&&at| at != state.current) else {
        return;
    };
    let name = state.rooms[first].name.clone();
    state.remove(first);
    if !std::mem::replace(&mut state.has_told_of_strangers, true) {
        // Shown once: further windows would repeat it.
        let text = format!(
            "too many direct messages: {name} and other unanswered windows are closed for newer ones"
        );
        tell(state, Entry::alert(text));
    }
}

/// Returns the window for a correspondent's direct messages, opening it if needed; `None` if there are too many.
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

/// Adds an entry to the shown room.
fn tell(state: &mut State, entry: Entry) {
    state.room_mut().scrollback.push(entry);
}

/// Adds an answer for the user to the shown room, and scrolls to it.
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
