//! Applies key presses and pasted text to the state.

use super::{Effect, reply, typed};
use crate::command;
use crate::complete::Completion;
use crate::editor::LINE_BYTES_MAX;
use crate::room::{NO_LOG, NO_SPACE, NOTHING_OLDER, Older, height};
use crate::scrollback::Entry;
use crate::state::{Overlay, State};
use chat_core::text;
use crossterm::event::{KeyCode, KeyEvent, KeyEventKind, KeyModifiers};

/// The least number of pasted lines for which the user is asked before the lines are sent.
const PASTE_LINES_ASKED: usize = 2;

/// The most lines that one paste may have.
const PASTE_LINES_MAX: usize = 500;

/// Applies a key to the state.
pub(super) fn press(state: &mut State, key: KeyEvent) -> Vec<Effect> {
    if key.kind == KeyEventKind::Release {
        return Vec::new();
    }
    if key.code != KeyCode::Tab {
        state.completion = None;
    }
    if let Some(overlay) = state.overlay.take() {
        return press_overlay(state, overlay, key);
    }
    let control = key.modifiers.contains(KeyModifiers::CONTROL);
    let alt = key.modifiers.contains(KeyModifiers::ALT);
    match key.code {
        KeyCode::Char('c') if control => return quit(state, ""),
        KeyCode::Char('z') if control => return vec![Effect::Suspend],
        KeyCode::Char('l') if control => state.must_clear = true,
        KeyCode::Char('n') if control => state.show((state.current + 1) % state.rooms.len()),
        KeyCode::Char('p') if control => {
            state.show((state.current + state.rooms.len() - 1) % state.rooms.len());
        }
        KeyCode::Char(digit @ '1'..='9') if alt => state.show(digit as usize - '1' as usize),
        KeyCode::F(1) => state.overlay = Some(Overlay::Help { from: 0 }),
        KeyCode::F(2) => state.shows_members = !state.shows_members,
        KeyCode::PageUp => return scroll_up(state, page(state)),
        KeyCode::PageDown => scroll_down(state, page(state)),
        KeyCode::Esc => {
            state.room_mut().found = None;
            state.room_mut().scrollback.show_end();
        }
        KeyCode::Tab => complete(state),
        KeyCode::Enter => return enter(state),
        _ => {
            state.room_mut().editor.handle(key);
        }
    }
    Vec::new()
}

/// Handles a paste. A single line is inserted into the input line. For several lines, the user is asked whether to send
/// the lines.
pub(super) fn paste(state: &mut State, pasted: &str) -> Vec<Effect> {
    let pasted = pasted
        .split(['\n', '\r'])
        .filter(|line| !line.trim().is_empty());
    // If the user is already asked about a paste, the pasted lines are added to the lines of that question. An overlay
    // of another kind is closed.
    let mut lines = match &state.overlay {
        Some(Overlay::Paste { lines }) => lines.clone(),
        _ => Vec::new(),
    };
    lines.extend(pasted.map(|line| text::clean(line).into_owned()));
    let typed = match lines.len() < PASTE_LINES_ASKED {
        true => state.room().editor.text().len(),
        false => 0,
    };
    let is_long = |line: &String| typed + line.len() > LINE_BYTES_MAX;
    let is_long = lines.iter().any(is_long);
    if lines.len() > PASTE_LINES_MAX || is_long {
        let text = format!("not pasted: at most {PASTE_LINES_MAX} lines of {LINE_BYTES_MAX} bytes");
        reply(state, Entry::alert(text));
        return Vec::new();
    }
    state.overlay = None;
    if lines.len() < PASTE_LINES_ASKED {
        state.room_mut().editor.insert(&lines.concat());
    } else {
        state.overlay = Some(Overlay::Paste { lines });
    }
    Vec::new()
}

fn press_overlay(state: &mut State, overlay: Overlay, key: KeyEvent) -> Vec<Effect> {
    // Enter does not answer a question, because the user may have meant it for the input line.
    let is_yes = matches!(key.code, KeyCode::Char('y' | 'Y'));
    let is_no = matches!(key.code, KeyCode::Char('n' | 'N') | KeyCode::Esc);
    let is_interrupt =
        key.code == KeyCode::Char('c') && key.modifiers.contains(KeyModifiers::CONTROL);
    match overlay {
        Overlay::Help { from } => match key.code {
            KeyCode::Down | KeyCode::PageDown => {
                let last = (command::COMMANDS.len() + command::KEYS.len()) as u16;
                state.overlay = Some(Overlay::Help {
                    from: (from + 1).min(last),
                });
            }
            KeyCode::Up | KeyCode::PageUp => {
                state.overlay = Some(Overlay::Help {
                    from: from.saturating_sub(1),
                });
            }
            _ => {}
        },
        Overlay::Paste { lines } if is_yes && state.room().has_space_for(lines.len()) => {
            let lines = lines.iter().flat_map(|line| typed::say(state, line, false));
            return lines.collect();
        }
        Overlay::Quit { reason, .. } if is_yes || is_interrupt => return leave(state, reason),
        Overlay::Paste { .. } | Overlay::Quit { .. } if is_no || is_interrupt => {}
        // Any other key leaves the question open.
        overlay => state.overlay = Some(overlay),
    }
    Vec::new()
}

/// Quits, but asks first if text that the user typed would be lost.
pub(super) fn quit(state: &mut State, reason: &str) -> Vec<Effect> {
    let typed = state
        .rooms
        .iter()
        .filter(|room| room.editor.holds_text())
        .count();
    let unsent = state.unsent() + typed;
    let reason = reason.to_owned();
    if unsent > 0 {
        state.overlay = Some(Overlay::Quit { unsent, reason });
        return Vec::new();
    }
    leave(state, reason)
}

fn leave(state: &mut State, reason: String) -> Vec<Effect> {
    state.is_over = true;
    vec![Effect::Quit { reason }]
}

fn enter(state: &mut State) -> Vec<Effect> {
    let line = state.room_mut().editor.take();
    match command::parse(&line) {
        None => Vec::new(),
        Some(command::Typed::Say(text)) => typed::say(state, text, false),
        Some(command::Typed::Do(command, arguments)) => {
            typed::execute(state, &line, command, arguments)
        }
        Some(command::Typed::Unknown(name, nearest)) => {
            let hint = nearest.map_or_else(
                || "see /help".to_owned(),
                |nearest| format!("did you mean /{nearest}?"),
            );
            let name = crate::room::name(name);
            reply(
                state,
                Entry::alert(format!("unknown command: /{name} ({hint})")),
            );
            state.room_mut().editor.put_back(&line);
            Vec::new()
        }
    }
}

fn complete(state: &mut State) {
    let completion = state.completion.take().or_else(|| {
        let rooms = state.rooms.iter().filter(|room| !room.is_direct());
        let rooms: Vec<String> = rooms.map(|room| room.name.clone()).collect();
        let room = state.room();
        let others: Vec<String> = room
            .members
            .iter()
            .filter(|nick| **nick != state.nick)
            .cloned()
            .collect();
        Completion::begin(room.editor.before_cursor(), &others, &rooms)
    });
    let Some(mut completion) = completion else {
        return;
    };
    let (bytes, candidate) = completion.take();
    state
        .room_mut()
        .editor
        .replace_before_cursor(bytes, &candidate);
    state.completion = Some(completion);
}

/// Returns how many lines a page scrolls: one line less than is visible, so that one line stays visible.
fn page(state: &State) -> usize {
    usize::from(state.areas().messages.height)
        .saturating_sub(1)
        .max(1)
}

/// Scrolls up. At the first loaded entry, the returned effects request older messages.
pub(super) fn scroll_up(state: &mut State, lines: usize) -> Vec<Effect> {
    let messages = state.areas().messages;
    let (width, page) = (usize::from(messages.width), usize::from(messages.height));
    let room = state.room_mut();
    let is_beginning = room
        .scrollback
        .scroll_up(lines, page, |entry| height(entry, width));
    let is_known = room.older == Older::Asked || room.scrollback.is_ended_at_top();
    if !is_beginning || is_known {
        return Vec::new();
    }
    if room.is_direct() {
        room.scrollback.end_at_top(NO_LOG);
        return Vec::new();
    }
    if room.scrollback.is_full() {
        room.scrollback.end_at_top(NO_SPACE);
        return Vec::new();
    }
    if room.scrollback.has_earlier_log() {
        // The first loaded entry is of a log that was replaced, so nothing before this entry can be requested.
        room.scrollback.end_at_top(NOTHING_OLDER);
        return Vec::new();
    }
    // If the scrollback holds no position, the client requests the latest messages of the log.
    let before = room.scrollback.oldest_seq().unwrap_or(u64::MAX);
    room.older = Older::Asked;
    vec![Effect::Older {
        room: room.name.clone(),
        epoch: room.epoch.clone(),
        before,
    }]
}

fn scroll_down(state: &mut State, lines: usize) {
    let width = usize::from(state.areas().messages.width);
    state
        .room_mut()
        .scrollback
        .scroll_down(lines, |entry| height(entry, width));
}
