//! Makes the server's output safe to print.
//!
//! Invariant: the result is UTF-8 without control characters other than tabs and line breaks, in lines of bounded
//! length. A hostile server can neither control the terminal nor exhaust memory.

use chat_core::text;

/// Turns bytes of a server into lines for a terminal.
#[derive(Debug, Default)]
pub(crate) struct Screen {
    /// The start of a line that is not complete yet.
    line: Vec<u8>,
}

impl Screen {
    /// Returns the lines that `bytes` complete, each with its line break.
    pub(crate) fn show(&mut self, bytes: &[u8]) -> String {
        let mut shown = String::with_capacity(bytes.len());
        for piece in bytes.split_inclusive(|&byte| byte == b'\n') {
            match piece.strip_suffix(b"\n") {
                Some(end) => {
                    self.line.extend_from_slice(end);
                    self.cut(&mut shown);
                    self.end_line(&mut shown);
                }
                None => {
                    self.line.extend_from_slice(piece);
                    self.cut(&mut shown);
                }
            }
        }
        shown
    }

    /// Returns the unfinished last line after the server has closed the connection.
    pub(crate) fn finish(&mut self) -> String {
        let mut shown = String::new();
        if !self.line.is_empty() {
            self.end_line(&mut shown);
        }
        shown
    }

    /// Prints an over-long line in pieces, split between characters.
    fn cut(&mut self, shown: &mut String) {
        while self.line.len() > LINE_BYTES_MAX {
            let earliest = LINE_BYTES_MAX - CHARACTER_BYTES_MAX;
            let at = (earliest..=LINE_BYTES_MAX)
                .rev()
                .find(|&at| !is_continuation(self.line[at]))
                .unwrap_or(LINE_BYTES_MAX);
            let rest = self.line.split_off(at);
            self.end_line(shown);
            self.line = rest;
        }
    }

    fn end_line(&mut self, shown: &mut String) {
        shown.push_str(&text::clean(&String::from_utf8_lossy(&self.line)));
        shown.push('\n');
        self.line.clear();
    }
}

/// Returns whether a byte continues a UTF-8 character.
fn is_continuation(byte: u8) -> bool {
    byte & 0b1100_0000 == 0b1000_0000
}

/// The longest line that is printed in one piece, in bytes: twice the longest line of the plain dialect, enough for a
/// list of names.
const LINE_BYTES_MAX: usize = 16 * 1024;

/// The length of the longest UTF-8 character, in bytes.
const CHARACTER_BYTES_MAX: usize = 4;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_shown_when_they_are_complete() {
        let mut screen = Screen::default();
        assert_eq!(screen.show(b"14:02 alice: he"), "");
        assert_eq!(screen.show(b"llo\r\n* bob jo"), "14:02 alice: hello\n");
        assert_eq!(screen.show(b"ined\n\n"), "* bob joined\n\n");
        assert_eq!(screen.finish(), "");
    }

    #[test]
    fn what_the_server_left_unfinished_is_shown_at_the_end() {
        let mut screen = Screen::default();
        assert_eq!(screen.show("* good\u{1b}bye ㅋ".as_bytes()), "");
        assert_eq!(screen.finish(), "* goodbye ㅋ\n");
        assert_eq!(screen.finish(), "");
    }

    #[test]
    fn control_characters_are_removed() {
        let hostile = "a\u{1b}]0;owned\u{7}b\u{9b}2Jc\u{7f}\u{8}\0d\re\tf\u{202e}g\u{2069}h\n";
        assert_eq!(
            Screen::default().show(hostile.as_bytes()),
            "a]0;ownedb2Jcd e\tfgh\n"
        );
    }

    #[test]
    fn what_is_not_utf8_is_shown_as_such() {
        assert_eq!(
            Screen::default().show(b"a\xffb\x80\xe3\x85\n"),
            "a\u{fffd}b\u{fffd}\u{fffd}\n"
        );
        // A raw C1 byte (here CSI) is not UTF-8.
        assert_eq!(Screen::default().show(b"\x9b31m\n"), "\u{fffd}31m\n");
    }

    #[test]
    fn a_character_may_come_in_pieces() {
        let mut screen = Screen::default();
        let mut shown = String::new();
        for byte in "한글 ㅋㅋ\n".bytes() {
            shown += &screen.show(&[byte]);
        }
        assert_eq!(shown, "한글 ㅋㅋ\n");
    }

    #[test]
    fn an_endless_line_is_cut_and_takes_no_memory() {
        // With three bytes a character and an odd piece size, naive cuts would fall inside characters.
        let endless = "한".repeat(200_000);
        let mut screen = Screen::default();
        let mut shown = String::new();
        for piece in endless.as_bytes().chunks(8_191) {
            shown += &screen.show(piece);
            assert!(screen.line.len() <= LINE_BYTES_MAX);
        }
        shown += &screen.finish();
        assert!(shown.lines().all(|line| line.len() <= LINE_BYTES_MAX));
        assert!(shown.lines().count() > 30);
        assert_eq!(shown.replace('\n', ""), endless);
    }

    #[test]
    fn a_long_line_that_comes_at_once_is_cut_too() {
        let mut shown = Screen::default().show(&[vec![0x80; 100_000], vec![b'\n']].concat());
        assert!(shown.lines().count() > 5);
        shown.retain(|c| c != '\n');
        assert!(shown.chars().all(|c| c == '\u{fffd}'));
    }
}
