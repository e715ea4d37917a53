//! A backend for terminals that disagree with ratatui on the width of a character.
//!
//! Invariant: before a grapheme of several characters is drawn, its cells are cleared. The cell after the grapheme is
//! drawn at an explicit position. If the terminal draws the grapheme narrower than expected, nothing old remains on the
//! screen. If the terminal draws the grapheme wider, the cells after the grapheme are not shifted.

use crate::wrap::columns;
use ratatui::backend::{Backend, ClearType, WindowSize};
use ratatui::buffer::Cell;
use ratatui::layout::{Position, Size};
use std::iter::once;

/// Wraps another backend. Before the wrapper draws a grapheme of several characters, it clears the cells of the
/// grapheme.
#[derive(Debug)]
pub(crate) struct Clearing<B>(pub(crate) B);

impl<B: Backend> Backend for Clearing<B> {
    type Error = B::Error;

    fn draw<'a, I>(&mut self, content: I) -> Result<(), B::Error>
    where
        I: Iterator<Item = (u16, u16, &'a Cell)>,
    {
        let mut plain = Vec::new();
        for (x, y, cell) in content {
            if cell.symbol().chars().nth(1).is_none() {
                plain.push((x, y, cell));
                continue;
            }
            // Within a call, `draw` does not move the cursor between adjacent cells: it expects the terminal to advance
            // the cursor by their width. Only the first cell of a call always gets an explicit position. So separate
            // calls draw the blanks, the grapheme, and the cells after the grapheme.
            self.0.draw(plain.drain(..))?;
            let mut blank = cell.clone();
            blank.set_symbol(" ");
            let width = columns(cell.symbol()).max(1) as u16;
            self.0
                .draw((x..x.saturating_add(width)).map(|x| (x, y, &blank)))?;
            self.0.draw(once((x, y, cell)))?;
        }
        self.0.draw(plain.into_iter())
    }

    fn append_lines(&mut self, count: u16) -> Result<(), B::Error> {
        self.0.append_lines(count)
    }

    fn hide_cursor(&mut self) -> Result<(), B::Error> {
        self.0.hide_cursor()
    }

    fn show_cursor(&mut self) -> Result<(), B::Error> {
        self.0.show_cursor()
    }

    fn get_cursor_position(&mut self) -> Result<Position, B::Error> {
        self.0.get_cursor_position()
    }

    fn set_cursor_position<P: Into<Position>>(&mut self, position: P) -> Result<(), B::Error> {
        self.0.set_cursor_position(position)
    }

    fn clear(&mut self) -> Result<(), B::Error> {
        self.0.clear()
    }

    fn clear_region(&mut self, clear_type: ClearType) -> Result<(), B::Error> {
        self.0.clear_region(clear_type)
    }

    fn size(&self) -> Result<Size, B::Error> {
        self.0.size()
    }

    fn window_size(&mut self) -> Result<WindowSize, B::Error> {
        self.0.window_size()
    }

    fn flush(&mut self) -> Result<(), B::Error> {
        self.0.flush()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ratatui::backend::CrosstermBackend;
    use ratatui::buffer::Buffer;
    use ratatui::layout::Rect;
    use ratatui::style::Style;

    #[test]
    fn what_a_grapheme_covers_is_cleared_and_what_follows_is_placed_anew() {
        let mut before = Buffer::empty(Rect::new(0, 0, 8, 1));
        before.set_string(0, 0, "a글글b", Style::new());
        let mut after = Buffer::empty(before.area);
        let cluster = "क\u{94d}\u{200d}ष";
        after.set_string(0, 0, format!("x{cluster}한yz"), Style::new());
        let mut written = Vec::new();
        let mut backend = Clearing(CrosstermBackend::new(&mut written));
        let cells = before.diff(&after);
        backend.draw(cells.into_iter()).unwrap();
        let written = String::from_utf8(written).unwrap();
        let at = |column: usize| format!("\u{1b}[1;{column}H");
        let width = columns(cluster);
        let parts = [
            at(1) + "x",
            at(2) + &" ".repeat(width),
            at(2) + cluster,
            at(2 + width) + "한",
        ];
        let positions: Vec<_> = parts.iter().map(|part| written.find(part)).collect();
        assert!(
            positions.iter().all(Option::is_some) && positions.is_sorted(),
            "{positions:?} {written:?}"
        );
    }
}
