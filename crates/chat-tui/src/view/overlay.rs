//! Draws what covers other parts of the screen: the help, and questions.

use crate::command::{COMMANDS, KEYS};
use crate::state::{Overlay, State};
use crate::wrap::{columns, fit};
use ratatui::Frame;
use ratatui::layout::{Position, Rect};
use ratatui::text::{Line, Span};
use ratatui::widgets::{Block, Clear, Paragraph};

pub(super) fn draw(state: &State, overlay: &Overlay, frame: &mut Frame<'_>, input: Rect) {
    match overlay {
        Overlay::Help { from } => help(state, *from, frame),
        Overlay::Paste { lines } => {
            let count = lines.len();
            let question = match state.room().has_space_for(count) {
                true => format!("send {count} lines? (y/n)"),
                false => format!(
                    "too many messages are waiting: y retries sending {count} lines, n drops them"
                ),
            };
            ask(state, &question, frame, input);
        }
        Overlay::Quit { unsent, .. } => {
            let question = format!("{unsent} unsent messages would be lost: quit? (y/n)");
            ask(state, &question, frame, input);
        }
    }
}

/// Shows a question in place of the input line, with the cursor after the question.
fn ask(state: &State, question: &str, frame: &mut Frame<'_>, area: Rect) {
    let question = fit(question, usize::from(area.width.saturating_sub(1)));
    frame.render_widget(Line::styled(question.to_owned(), state.theme.alert()), area);
    let x = area.x + columns(question) as u16;
    frame.set_cursor_position(Position { x, y: area.y });
}

fn help(state: &State, from: u16, frame: &mut Frame<'_>) {
    let whole = frame.area();
    let commands = COMMANDS.iter().map(|row| {
        let usage = format!("/{} {}", row.name, row.arguments);
        (usage.trim_end().to_owned(), row.help)
    });
    let keys = KEYS.iter().map(|(key, help)| ((*key).to_owned(), *help));
    let wide = commands
        .clone()
        .chain(keys.clone())
        .map(|(usage, _)| columns(&usage))
        .max();
    let wide = wide.unwrap_or(0) + 2;
    let line = |(usage, help): (String, &'static str)| {
        let gap = " ".repeat(wide - columns(&usage));
        Line::from(vec![
            Span::styled(format!(" {usage}{gap}"), state.theme.strong()),
            Span::raw(help),
        ])
    };
    let mut lines: Vec<Line<'_>> = commands.map(line).collect();
    lines.push(Line::default());
    lines.extend(keys.map(line));
    let height = (lines.len() as u16 + 2).min(whole.height);
    let width = (lines.iter().map(Line::width).max().unwrap_or(0) as u16 + 3).min(whole.width);
    let area = Rect {
        x: (whole.width - width) / 2,
        y: (whole.height - height) / 2,
        width,
        height,
    };
    let last = (lines.len() as u16).saturating_sub(height.saturating_sub(2));
    let block = Block::bordered().title(" help: any key closes, Up and Down scroll ");
    let text = Paragraph::new(lines)
        .block(block)
        .scroll((from.min(last), 0));
    frame.render_widget(Clear, area);
    frame.render_widget(text, area);
    // The user can't type in the help, but the cursor needs a position.
    frame.set_cursor_position(Position {
        x: area.x,
        y: area.y,
    });
}
