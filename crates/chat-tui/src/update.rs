//! Transitions of the state: a key or an event comes in, and effects come out.
//!
//! Invariant: this module never waits and does no I/O. Whatever a server sends, nothing panics and memory stays
//! bounded.

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
    /// The position of a sent message, or why the message was refused. `took` is the time from the request to the
    /// reply.
    Said {
        room: String,
        id: u64,
        result: Result<u64, String>,
        took: Duration,
    },
    /// Older messages that were requested, and the epoch of the room's log at the time of the request.
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
    /// The results of a search as lines, and the position of the oldest match. The same search continues before this
    /// position.
    Found {
        room: String,
        words: String,
        result: Result<(Vec<String>, Option<u64>), String>,
    },
    /// Whether a direct message was delivered, or why not.
    Direct {
        /// The room that was shown when the direct message was sent.
        room: String,
        /// The pending message in the correspondent's window, if the direct message was typed in that window.
        id: Option<u64>,
        to: String,
        text: String,
        result: Result<(), String>,
    },
    /// The measured round trip. `None` if the server did not answer in time.
    Ponged(Option<Duration>),
    Renamed {
        room: String,
        result: Result<String, String>,
    },
    /// The result of a request to join a room. A refusal is shown in the room where the user typed the command.
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

/// A task for the driver, other than drawing.
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
        /// The pending message in the correspondent's window, if the direct message was typed in that window.
        id: Option<u64>,
        to: String,
        text: String,
    },
    Join {
        room: String,
        /// The room where the user typed the command. A refusal is shown in this room.
        from: String,
    },
    Leave {
        room: String,
    },
    Nick {
        room: String,
        nick: String,
    },
    /// Connects to the server again, with this nick.
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
    /// Marks the user as away with a text, or as back with `None`.
    Away {
        room: String,
        text: Option<String>,
    },
    Whois {
        room: String,
        nick: String,
    },
    Topic {
        room: String,
        text: String,
    },
    /// Reads the messages before the position `before`, in the log with the epoch `epoch`.
    Older {
        room: String,
        epoch: String,
        before: u64,
    },
    /// Searches the room's log before a position. `None` searches from the end of the log.
    Search {
        room: String,
        words: String,
        before: Option<u64>,
    },
    /// Shows the messages around the message with this number.
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

/// The most rooms and windows that the client keeps open, however many the server sends.
const ROOMS_MAX: usize = 256;

/// The most unanswered windows for direct messages that are kept: as many as a user can look through.
const UNANSWERED_MAX: usize = 32;

/// Closes the oldest unanswered window if a window for `from` would exceed [`UNANSWERED_MAX`].
fn make_space(state: &mut State, from: &str) {
    if state.position(&crate::room::direct(from)).is_some() {
        return;
    }
    let unanswered = |at: &usize| state.rooms[*at].is_unanswered();
    let unanswered: Vec<usize> = (0..state.rooms.len()).filter(unanswered).collect();
    if unanswered.len() < UNANSWERED_MAX {
        return;
    }
    // The window on the screen is never closed.
    let Some(&first) = unanswered.iter().find(|&&at| at != state.current) else {
        return;
    };
    let name = state.rooms[first].name.clone();
    state.remove(first);
    if !std::mem::replace(&mut state.has_told_of_strangers, true) {
        // The notice is shown only once, because it also covers the windows that are closed later.
        let text = format!(
            "too many direct messages: {name} and other unanswered windows are closed for newer ones"
        );
        tell(state, Entry::alert(text));
    }
}

/// Returns the window for direct messages with a correspondent, and opens it if needed. Returns `None` if too many
/// rooms and windows are open.
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

/// Adds an entry to the room that is on the screen.
fn tell(state: &mut State, entry: Entry) {
    state.room_mut().scrollback.push(entry);
}

/// Adds an answer for the user to the room that is on the screen, and scrolls to the answer.
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
