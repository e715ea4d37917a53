//! Draws the state. The view makes no decisions.
//!
//! Invariant: in every frame the terminal's cursor is where the user types, because an input method shows its preview
//! at the cursor. Text reaches the terminal only through ratatui's cells.

mod messages;
mod overlay;
mod side;

use crate::state::{Link, State};
use crate::wrap::{columns, fit, shown};
use ratatui::Frame;
use ratatui::layout::{Position, Rect};
use ratatui::style::Style;
use ratatui::text::{Line, Span};
use ratatui::widgets::Paragraph;

/// The prompt in front of the input line.
const PROMPT: &str = "> ";

/// The smallest screen on which anything is drawn, in columns and rows.
const WIDTH_MIN: u16 = 10;
const HEIGHT_MIN: u16 = 4;

/// Draws the whole screen.
pub(crate) fn draw(state: &State, frame: &mut Frame<'_>) {
    let whole = frame.area();
    if whole.width < WIDTH_MIN || whole.height < HEIGHT_MIN {
        return frame.render_widget("screen too small", whole);
    }
    let areas = state.areas();
    let height = areas.messages.height.min(whole.height.saturating_sub(3));
    let middle = Rect {
        x: areas.rooms,
        y: 1,
        width: areas.messages.width.min(whole.width),
        height,
    };
    topic(state, frame, Rect { height: 1, ..whole });
    messages::draw(state, frame, middle);
    side::rooms(
        state,
        frame,
        Rect {
            x: 0,
            width: areas.rooms,
            ..middle
        },
    );
    let members = Rect {
        x: middle.right(),
        width: areas.members,
        ..middle
    };
    side::members(state, frame, members);
    let status_row = whole.height - 2;
    status(
        state,
        frame,
        Rect {
            y: status_row,
            height: 1,
            ..whole
        },
    );
    let input_row = Rect {
        y: whole.height - 1,
        height: 1,
        ..whole
    };
    match &state.overlay {
        Some(overlay) => overlay::draw(state, overlay, frame, input_row),
        None => input(state, frame, input_row),
    }
}

fn topic(state: &State, frame: &mut Frame<'_>, area: Rect) {
    let room = state.room();
    let count = match room.count {
        0 => String::new(),
        count => format!(" ({count})"),
    };
    let text = match room.correspondent() {
        Some(nick) => format!(" direct messages with {nick}  /leave closes this"),
        None if room.is_nameless() => format!(" {}", state.server),
        None => format!(" {}{count}  {}", room.name, room.topic),
    };
    frame.render_widget(bar(state, &text, "", area.width), area);
}

fn status(state: &State, frame: &mut Frame<'_>, area: Rect) {
    let room = state.room();
    let link = match &state.link {
        Link::Connecting => "connecting".to_owned(),
        Link::Online => match state.latency {
            Some(latency) => format!("online {} ms", latency.as_millis()),
            None => "online".to_owned(),
        },
        Link::Offline { .. } => "OFFLINE".to_owned(),
        Link::Closed { .. } => "CLOSED".to_owned(),
    };
    let mut left = format!(" {} | {link}", state.nick);
    let unsent = state.unsent();
    if unsent > 0 {
        left += &format!(" | {unsent} not sent");
    }
    let mentions: usize = state.rooms.iter().map(|room| room.mentions).sum();
    let unread = state.rooms.iter().filter(|room| room.unread > 0).count();
    if unread > 0 {
        left += &format!(" | {unread} unread");
    }
    if mentions > 0 {
        left += &format!(" | {mentions} for you");
    }
    left += &format!(" | {}", state.server);
    let right = match (room.scrollback.is_at_end(), room.scrollback.below()) {
        (true, _) => "/help ".to_owned(),
        (false, below) => format!("{below} below, Esc: end "),
    };
    frame.render_widget(bar(state, &left, &right, area.width), area);
}

/// Returns a line of the full width, with one text on the left and one on the right.
fn bar(state: &State, left: &str, right: &str, width: u16) -> Paragraph<'static> {
    let width = usize::from(width);
    let (left, right) = (&*shown(left), &*shown(right));
    let left = fit(left, width.saturating_sub(columns(right) + 1));
    let gap = " ".repeat(width.saturating_sub(columns(left) + columns(right)));
    let line = Line::from(format!("{left}{gap}{right}"));
    Paragraph::new(line).style(state.theme.bar())
}

fn input(state: &State, frame: &mut Frame<'_>, area: Rect) {
    let room = usize::from(area.width) - PROMPT.len();
    let editor = &state.room().editor;
    let (text, column) = editor.visible(room);
    let style = match editor.is_returned() {
        // The input line could not be sent and was put back. Typing replaces the line.
        true => state.theme.faint(),
        false => Style::new(),
    };
    let line = Line::from(vec![
        Span::styled(PROMPT, state.theme.faint()),
        Span::styled(text, style),
    ]);
    frame.render_widget(line, area);
    let x = (area.x + PROMPT.len() as u16).saturating_add(column);
    let x = x.min(area.right() - 1);
    frame.set_cursor_position(Position { x, y: area.y });
}

#[cfg(test)]
mod tests;
