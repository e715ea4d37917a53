//! Draws the messages of a room: as many as fit, from the bottom upwards.

use crate::room::{Pending, Room, TIME_COLUMNS, parts};
use crate::scrollback::{Anchor, Entry, What};
use crate::state::State;
use crate::wrap::{columns, fit, wrap};
use jiff::Timestamp;
use jiff::civil::Date;
use ratatui::Frame;
use ratatui::layout::Rect;
use ratatui::style::Style;
use ratatui::text::{Line, Span};
use ratatui::widgets::{Clear, Paragraph};

/// The label of the line above the first unread message.
const UNREAD: &str = " new ";

pub(super) fn draw(state: &State, frame: &mut Frame<'_>, area: Rect) {
    let (width, height) = (usize::from(area.width), usize::from(area.height));
    let room = state.room();
    let mut lines: Vec<Line<'static>> = Vec::new();
    if room.scrollback.is_at_end() {
        for pending in room.pending.iter().rev().take(height) {
            prepend(&mut lines, waiting(state, pending, width));
        }
    }
    let Some(Anchor { number, hidden }) = room.scrollback.bottom() else {
        return show(frame, area, lines);
    };
    let mut number = number;
    let mut hidden = hidden;
    while lines.len() < height
        && let Some(entry) = room.scrollback.get(number)
    {
        if is_unread_line(room, number) {
            lines.insert(0, unread_line(state, width));
        }
        let mut entry = entry_lines(state, entry, width);
        entry.truncate(entry.len().saturating_sub(std::mem::take(&mut hidden)));
        prepend(&mut lines, entry);
        number -= 1;
    }
    show(frame, area, lines);
}

/// Draws as many of the last lines as fit, at the bottom of the area.
fn show(frame: &mut Frame<'_>, area: Rect, mut lines: Vec<Line<'static>>) {
    let height = usize::from(area.height);
    lines.drain(..lines.len().saturating_sub(height));
    let empty = (height - lines.len()) as u16;
    let area = Rect {
        y: area.y + empty,
        height: area.height - empty,
        ..area
    };
    frame.render_widget(Clear, area);
    frame.render_widget(Paragraph::new(lines), area);
}

fn prepend(lines: &mut Vec<Line<'static>>, before: Vec<Line<'static>>) {
    lines.splice(0..0, before);
}

/// Returns whether the line that marks the unread messages is drawn after the entry with this number. The entry must be
/// the last one that was read, and a message must follow it.
fn is_unread_line(room: &Room, number: i64) -> bool {
    let mut later =
        (number + 1..room.scrollback.range().end).filter_map(|at| room.scrollback.get(at));
    room.marker == Some(number) && later.any(|entry| entry.seq.is_some())
}

fn unread_line(state: &State, width: usize) -> Line<'static> {
    let rest = width.saturating_sub(UNREAD.len());
    let line = format!(
        "{}{UNREAD}{}",
        "-".repeat(rest / 2),
        "-".repeat(rest - rest / 2)
    );
    Line::styled(line, state.theme.alert())
}

fn waiting(state: &State, pending: &Pending, width: usize) -> Vec<Line<'static>> {
    let what = if pending.is_action {
        What::Acted {
            from: state.nick.clone(),
            text: pending.text.clone(),
        }
    } else {
        What::Said {
            from: state.nick.clone(),
            text: pending.text.clone(),
            is_mention: false,
        }
    };
    let entry = Entry {
        at: None,
        seq: None,
        day: None,
        what,
    };
    let lines = entry_lines(state, &entry, width);
    lines
        .into_iter()
        .map(|line| line.patch_style(state.theme.faint()))
        .collect()
}

/// Returns the lines of an entry: the time, the sender, and the wrapped text.
fn entry_lines(state: &State, entry: &Entry, width: usize) -> Vec<Line<'static>> {
    let (prefix, text) = parts(entry);
    let first = TIME_COLUMNS + columns(&prefix);
    let wrapped = wrap(&text, width, first, TIME_COLUMNS);
    let (prefix_style, text_style) = styles(state, entry);
    let mut lines = Vec::with_capacity(wrapped.len() + 1);
    lines.extend(entry.day.map(|day| day_line(state, day, width)));
    for (at, line) in wrapped.into_iter().enumerate() {
        let spans = if at == 0 {
            vec![
                Span::styled(time(state, entry.at), state.theme.faint()),
                Span::styled(prefix.clone(), prefix_style),
                Span::styled(line.text, text_style),
            ]
        } else {
            vec![
                Span::raw(" ".repeat(line.indent)),
                Span::styled(line.text, text_style),
            ]
        };
        lines.push(Line::from(spans));
    }
    lines
}

/// Returns the line with the date that is shown above the first entry of a day.
fn day_line(state: &State, day: Date, width: usize) -> Line<'static> {
    let day = format!(" {} ", day.strftime("%Y-%m-%d %A"));
    let rest = width.saturating_sub(columns(&day));
    let (left, right) = ("-".repeat(rest / 2), "-".repeat(rest - rest / 2));
    let line = format!("{left}{day}{right}");
    Line::styled(fit(&line, width).to_owned(), state.theme.faint())
}

fn styles(state: &State, entry: &Entry) -> (Style, Style) {
    let theme = state.theme;
    match &entry.what {
        What::Said {
            from,
            is_mention: true,
            ..
        } => (theme.nick(from), theme.strong()),
        What::Said { from, .. } => (theme.nick(from), Style::new()),
        What::Acted { from, .. } => (theme.nick(from), theme.action()),
        What::Notice(_) => (theme.faint(), theme.faint()),
        What::Alert(_) => (theme.alert(), theme.alert()),
        What::Told { from, .. } => (theme.nick(from), theme.strong()),
    }
}

/// Returns the time of day as text, always of the same width.
fn time(state: &State, at: Option<u64>) -> String {
    let at = at.and_then(|at| i64::try_from(at).ok());
    match at.and_then(|at| Timestamp::from_millisecond(at).ok()) {
        Some(at) => {
            let at = at.to_zoned(state.zone.clone());
            format!("{:02}:{:02} ", at.hour(), at.minute())
        }
        None => " ".repeat(TIME_COLUMNS),
    }
}
