//! Draws the side columns: rooms on the left, members on the right.

use crate::state::State;
use crate::wrap::{columns, fit, shown};
use ratatui::Frame;
use ratatui::layout::Rect;
use ratatui::text::{Line, Span};
use ratatui::widgets::{Block, Borders, Paragraph};

pub(super) fn rooms(state: &State, frame: &mut Frame<'_>, area: Rect) {
    if area.width == 0 {
        return;
    }
    let inner = usize::from(area.width) - 1;
    // The list of rooms is scrolled so that the current room is visible.
    let first = (state.current + 1).saturating_sub(usize::from(area.height));
    let lines: Vec<Line<'_>> = state
        .rooms
        .iter()
        .enumerate()
        .skip(first)
        .map(|(at, room)| {
            let unread = match (room.unread, room.mentions) {
                (0, _) => String::new(),
                (unread, 0) => format!(" {unread}"),
                (unread, mentions) => format!(" {unread}!{mentions}"),
            };
            let name = shown_name(at + 1, &room.name);
            let name = fit(&name, inner.saturating_sub(columns(&unread))).to_owned();
            let style = match (at == state.current, room.mentions > 0, room.unread > 0) {
                (true, ..) => state.theme.bar(),
                (_, true, _) => state.theme.alert(),
                (_, _, true) => state.theme.strong(),
                _ => state.theme.faint(),
            };
            Line::from(vec![
                Span::styled(name, style),
                Span::styled(unread, state.theme.strong()),
            ])
        })
        .collect();
    let block = Block::new()
        .borders(Borders::RIGHT)
        .border_style(state.theme.faint());
    frame.render_widget(Paragraph::new(lines).block(block), area);
}

fn shown_name(number: usize, name: &str) -> String {
    let name = if name.is_empty() { "…" } else { name };
    format!("{number} {}", shown(name))
}

/// The mark of a member that is away.
const AWAY: &str = " (away)";

pub(super) fn members(state: &State, frame: &mut Frame<'_>, area: Rect) {
    if area.width == 0 {
        return;
    }
    let room = state.room();
    let (width, height) = (usize::from(area.width) - 2, usize::from(area.height));
    let names = room.members.iter().map(|nick| {
        let mark = if room.is_away(nick) { AWAY } else { "" };
        let shown = fit(&shown(nick), width.saturating_sub(columns(mark))).to_owned();
        Line::from(vec![
            Span::styled(format!(" {shown}"), state.theme.nick(nick)),
            Span::styled(mark, state.theme.faint()),
        ])
    });
    let fits = room.count <= height && room.members.len() <= height;
    let shown = if fits {
        height
    } else {
        height.saturating_sub(1)
    };
    let mut lines: Vec<Line<'_>> = names.take(shown).collect();
    let more = room
        .count
        .max(room.members.len())
        .saturating_sub(lines.len());
    if more > 0 {
        lines.push(Line::styled(
            format!(" and {more} more"),
            state.theme.faint(),
        ));
    }
    let block = Block::new()
        .borders(Borders::LEFT)
        .border_style(state.theme.faint());
    frame.render_widget(Paragraph::new(lines).block(block), area);
}
