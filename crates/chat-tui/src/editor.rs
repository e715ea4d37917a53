//! The input line and its history.
//!
//! Invariant: browsing the history never loses the text that the user is typing.

use crate::wrap::{columns, shown};
use crossterm::event::{KeyCode, KeyEvent, KeyModifiers};
use std::collections::BTreeMap;
use tui_input::{Input, InputRequest};
use unicode_segmentation::UnicodeSegmentation;

/// The most lines that the history keeps.
pub(crate) const HISTORY_MAX: usize = 200;

/// The longest input line in bytes. A line may be longer than the longest message, so that the server tells the user
/// that a message is too long.
pub(crate) const LINE_BYTES_MAX: usize = 16 * 1024;

/// The input line of one room.
#[derive(Debug, Default)]
pub(crate) struct Editor {
    input: Input,
    history: Vec<String>,
    /// The index of the history line that is shown. `None` while the user's new line is shown.
    recalled: Option<usize>,
    /// Edited but unsent versions of history lines, by the index of the history line.
    edits: BTreeMap<usize, String>,
    /// The user's new line, while a history line is shown instead.
    draft: String,
    /// Whether the shown line could not be sent and was put back. Typing replaces such a line, an editing key keeps it.
    is_returned: bool,
}

impl Editor {
    /// Handles a key. Returns whether the editor uses this key.
    pub(crate) fn handle(&mut self, key: KeyEvent) -> bool {
        let control = key.modifiers.contains(KeyModifiers::CONTROL);
        let alt = key.modifiers.contains(KeyModifiers::ALT);
        let by_word = control || alt;
        let request = match key.code {
            KeyCode::Char('a') if control => InputRequest::GoToStart,
            KeyCode::Char('e') if control => InputRequest::GoToEnd,
            KeyCode::Char('b') if control => InputRequest::GoToPrevChar,
            KeyCode::Char('f') if control => InputRequest::GoToNextChar,
            KeyCode::Char('b') if alt => InputRequest::GoToPrevWord,
            KeyCode::Char('f') if alt => InputRequest::GoToNextWord,
            KeyCode::Char('h') if control => InputRequest::DeletePrevChar,
            KeyCode::Char('d') if control => InputRequest::DeleteNextChar,
            KeyCode::Char('d') if alt => InputRequest::DeleteNextWord,
            KeyCode::Char('w') if control => InputRequest::DeletePrevWord,
            KeyCode::Char('u') if control => InputRequest::DeleteFromStart,
            KeyCode::Char('k') if control => InputRequest::DeleteTillEnd,
            KeyCode::Char('y') if control => InputRequest::Yank,
            KeyCode::Char(c) if !by_word => {
                self.insert(&c.to_string());
                return true;
            }
            KeyCode::Left if by_word => InputRequest::GoToPrevWord,
            KeyCode::Right if by_word => InputRequest::GoToNextWord,
            KeyCode::Left => InputRequest::GoToPrevChar,
            KeyCode::Right => InputRequest::GoToNextChar,
            KeyCode::Home => InputRequest::GoToStart,
            KeyCode::End => InputRequest::GoToEnd,
            KeyCode::Backspace if by_word => InputRequest::DeletePrevWord,
            KeyCode::Backspace => InputRequest::DeletePrevChar,
            KeyCode::Delete => InputRequest::DeleteNextChar,
            KeyCode::Up => {
                self.recall_older();
                return true;
            }
            KeyCode::Down => {
                self.recall_newer();
                return true;
            }
            _ => return false,
        };
        self.is_returned = false;
        self.input.handle(request);
        true
    }

    /// Inserts text at the cursor, until the line has [`LINE_BYTES_MAX`] bytes. Control characters other than tabs are
    /// removed.
    pub(crate) fn insert(&mut self, text: &str) {
        if std::mem::take(&mut self.is_returned) {
            // The line that is replaced is in the history, where the key Up recalls it.
            self.input.reset();
        }
        for c in text.chars().filter(|&c| c == '\t' || !c.is_control()) {
            if self.input.value().len() + c.len_utf8() > LINE_BYTES_MAX {
                return;
            }
            self.input.handle(InputRequest::InsertChar(c));
        }
    }

    /// Returns the input line.
    pub(crate) fn text(&self) -> &str {
        self.input.value()
    }

    /// Returns the part of the input line before the cursor.
    pub(crate) fn before_cursor(&self) -> &str {
        let text = self.input.value();
        let mut indices = text.char_indices();
        indices
            .nth(self.input.cursor())
            .map_or(text, |(at, _)| &text[..at])
    }

    /// Replaces the last `bytes` bytes before the cursor.
    pub(crate) fn replace_before_cursor(&mut self, bytes: usize, replacement: &str) {
        self.is_returned = false;
        let before = self.before_cursor();
        let kept = before.len().saturating_sub(bytes);
        let text = format!(
            "{}{replacement}{}",
            &before[..kept],
            &self.text()[before.len()..]
        );
        let cursor = before[..kept].chars().count() + replacement.chars().count();
        self.input = Input::new(text).with_cursor(cursor);
    }

    /// Returns the part of the input line that fits into `width` columns, as it is drawn, and the cursor's column in
    /// that part.
    pub(crate) fn visible(&self, width: usize) -> (String, u16) {
        let before = shown(self.before_cursor());
        let scroll = columns(&before).saturating_sub(width.saturating_sub(1).max(1));
        let mut skipped = 0;
        let mut visible = String::new();
        let line = shown(self.text());
        for grapheme in line.graphemes(true) {
            if skipped < scroll {
                skipped += columns(grapheme);
            } else if columns(&visible) + columns(grapheme) <= width {
                visible.push_str(grapheme);
            } else {
                break;
            }
        }
        let column = columns(&before).saturating_sub(skipped);
        (visible, u16::try_from(column).unwrap_or(u16::MAX))
    }

    /// Returns whether the input line holds a line that could not be sent and was put back. Typing replaces such a
    /// line.
    pub(crate) const fn is_returned(&self) -> bool {
        self.is_returned
    }

    /// Returns whether the editor holds text that would be lost if the user quit.
    pub(crate) fn holds_text(&self) -> bool {
        // A command that the client has put back into the input line is not worth keeping.
        let is_command = self.is_returned && self.text().starts_with('/');
        (!self.text().is_empty() && !is_command) || !self.draft.is_empty()
    }

    /// Empties the input line, adds its text to the history, and returns the text.
    pub(crate) fn take(&mut self) -> String {
        self.is_returned = false;
        let line = self.input.value_and_reset();
        if let Some(at) = self.recalled.take() {
            // The sent line replaces the edited version of the history line.
            self.edits.remove(&at);
        }
        let draft = std::mem::take(&mut self.draft);
        self.remember(&draft);
        self.remember(&line);
        line
    }

    fn remember(&mut self, line: &str) {
        if line.trim().is_empty() || self.history.last().is_some_and(|last| last == line) {
            return;
        }
        self.history.push(line.to_owned());
        if self.history.len() > HISTORY_MAX {
            self.history.remove(0);
            self.recalled = self.recalled.map(|at| at.saturating_sub(1));
            let edits = std::mem::take(&mut self.edits).into_iter();
            self.edits = edits
                .filter_map(|(at, text)| Some((at.checked_sub(1)?, text)))
                .collect();
        }
    }

    /// Takes over the input line of another editor, unless that line is empty. This editor's history keeps the
    /// histories, drafts and edits of both editors.
    pub(crate) fn take_over(&mut self, mut other: Self) {
        let edits = std::mem::take(&mut other.edits).into_values();
        let drafts = std::iter::once(std::mem::take(&mut other.draft));
        let kept = std::mem::take(&mut other.history).into_iter();
        kept.chain(edits)
            .chain(drafts)
            .for_each(|line| self.remember(&line));
        if other.text().is_empty() {
            return;
        }
        let text = self.text().to_owned();
        let draft = std::mem::take(&mut self.draft);
        self.remember(&draft);
        self.remember(&text);
        self.recalled = None;
        (self.input, self.is_returned) = (other.input, other.is_returned);
    }

    /// Adds `lines`, which were not typed in this editor, to the history. The key Up recalls the last of these lines
    /// first.
    pub(crate) fn keep(&mut self, lines: &[String]) {
        let is_kept = |&c: &char| c == '\t' || !c.is_control();
        for line in lines {
            self.remember(&line.chars().filter(is_kept).collect::<String>());
        }
    }

    /// Puts back a line that could not be sent. Does nothing if the input line is not empty.
    pub(crate) fn put_back(&mut self, line: &str) {
        if self.text().is_empty() {
            self.input = Input::new(line.to_owned());
            self.is_returned = true;
        }
    }

    fn recall_older(&mut self) {
        let at = self.recalled.unwrap_or(self.history.len());
        if let Some(older) = at.checked_sub(1) {
            self.recall(Some(older));
        }
    }

    fn recall_newer(&mut self) {
        if let Some(at) = self.recalled {
            self.recall((at + 1 < self.history.len()).then_some(at + 1));
        }
    }

    /// Shows the history line with the index `to`, or the user's new line if `to` is `None`. First saves the edits of
    /// the line that is shown now.
    fn recall(&mut self, to: Option<usize>) {
        self.is_returned = false;
        let text = self.input.value_and_reset();
        match self.recalled {
            Some(at) if self.history.get(at) == Some(&text) => drop(self.edits.remove(&at)),
            Some(at) => drop(self.edits.insert(at, text)),
            None => self.draft = text,
        }
        let text = match to {
            Some(at) => self
                .edits
                .get(&at)
                .or_else(|| self.history.get(at))
                .cloned(),
            None => Some(std::mem::take(&mut self.draft)),
        };
        self.input = Input::new(text.unwrap_or_default());
        self.recalled = to;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn editor(text: &str) -> Editor {
        let mut editor = Editor::default();
        editor.insert(text);
        editor
    }

    fn press(editor: &mut Editor, code: KeyCode) {
        assert!(editor.handle(KeyEvent::new(code, KeyModifiers::NONE)));
    }

    #[test]
    fn backspace_takes_a_whole_grapheme() {
        for (text, left) in [
            ("한글", "한"),
            ("x\u{1112}\u{1161}\u{11ab}", "x"),
            ("ok👩‍👩‍👧‍👦", "ok"),
            ("e\u{301}", ""),
        ] {
            let mut editor = editor(text);
            press(&mut editor, KeyCode::Backspace);
            assert_eq!(editor.text(), left);
        }
    }

    #[test]
    fn the_cursor_stands_behind_wide_characters_by_their_width() {
        assert_eq!(editor("한글 a").visible(20), ("한글 a".to_owned(), 6));
        let long = editor(&"글".repeat(20));
        let (visible, column) = long.visible(10);
        assert!(columns(&visible) <= 10 && column < 10, "{visible} {column}");
    }

    #[test]
    fn what_was_typed_comes_back_after_looking_at_older_lines() {
        let mut editor = editor("one");
        assert_eq!(editor.take(), "one");
        editor.insert("two");
        editor.take();
        editor.insert("draft");
        press(&mut editor, KeyCode::Up);
        press(&mut editor, KeyCode::Up);
        press(&mut editor, KeyCode::Up);
        assert_eq!(editor.text(), "one");
        press(&mut editor, KeyCode::Down);
        assert_eq!(editor.text(), "two");
        press(&mut editor, KeyCode::Down);
        press(&mut editor, KeyCode::Down);
        assert_eq!(editor.text(), "draft");
    }

    #[test]
    fn a_word_before_the_cursor_is_replaced() {
        let mut editor = editor("hi al there");
        for _ in 0..6 {
            press(&mut editor, KeyCode::Left);
        }
        assert_eq!(editor.before_cursor(), "hi al");
        editor.replace_before_cursor(2, "alice");
        assert_eq!(
            (editor.text(), editor.before_cursor()),
            ("hi alice there", "hi alice")
        );
    }

    #[test]
    fn a_line_is_bounded_and_holds_no_control_character() {
        let mut editor = editor(&"x".repeat(20_000));
        assert_eq!(editor.text().len(), LINE_BYTES_MAX);
        editor.take();
        editor.insert("a\u{1b}[2J\nb");
        assert_eq!(editor.text(), "a[2Jb");
    }
}
