//! Collects typed or piped input into lines to send.
//!
//! Invariant: only whole lines are sent. If a part of a line is followed by a pause, the server may take the part for
//! a message. So a line is held until it is complete, or longer than any server accepts.

/// Collects input into whole lines.
#[derive(Debug, Default)]
pub(crate) struct Outgoing {
    /// The input that has not been taken yet.
    held: Vec<u8>,
    /// How many bytes of `held` are known to contain no line break.
    searched: usize,
    /// Whether a part of an over-long line was sent. The next bytes then continue that line.
    mid_line: bool,
}

/// Whole lines, ready to be sent.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Lines {
    /// The bytes to send.
    pub(crate) bytes: Vec<u8>,
    /// The number of lines in `bytes`.
    pub(crate) count: u32,
    /// Whether one of the lines is `/quit`.
    pub(crate) quit: bool,
}

impl Outgoing {
    /// Returns the buffer to which the next input is appended.
    pub(crate) fn buffer(&mut self) -> &mut Vec<u8> {
        self.held.reserve(READ_BYTES);
        &mut self.held
    }

    /// Takes the complete lines of the input.
    pub(crate) fn take_whole(&mut self) -> Lines {
        let fresh = &self.held[self.searched..];
        let whole = match fresh.iter().rposition(|&byte| byte == b'\n') {
            Some(last) => self.searched + last + 1,
            None if self.held.len() > LINE_BYTES_MAX => self.held.len(),
            None => 0,
        };
        let rest = self.held.split_off(whole);
        self.searched = rest.len();
        let bytes = std::mem::replace(&mut self.held, rest);
        self.describe(bytes)
    }

    /// Takes the remaining input after the input has ended, and ends the last line with a line break.
    pub(crate) fn take_rest(&mut self) -> Lines {
        let mut bytes = std::mem::take(&mut self.held);
        self.searched = 0;
        if !bytes.is_empty() || self.mid_line {
            bytes.push(b'\n');
        }
        self.describe(bytes)
    }

    fn describe(&mut self, bytes: Vec<u8>) -> Lines {
        let mut lines = Lines::default();
        for line in bytes.split_inclusive(|&byte| byte == b'\n') {
            lines.count = lines.count.saturating_add(1);
            lines.quit |= !self.mid_line && is_quit(line);
            self.mid_line = !line.ends_with(b"\n");
        }
        lines.bytes = bytes;
        lines
    }
}

/// Returns whether a line is `/quit`.
fn is_quit(line: &[u8]) -> bool {
    line.split(u8::is_ascii_whitespace)
        .next()
        .is_some_and(|word| word.eq_ignore_ascii_case(b"/quit"))
}

/// The least free space of the buffer before a read, in bytes.
const READ_BYTES: usize = 8 * 1024;

/// The longest line that is held, in bytes: the longest that any dialect accepts. The server refuses a longer line, so
/// a longer line may be sent in parts.
const LINE_BYTES_MAX: usize = 64 * 1024;

#[cfg(test)]
mod tests {
    use super::*;

    fn typed(outgoing: &mut Outgoing, bytes: &[u8]) -> Lines {
        outgoing.buffer().extend_from_slice(bytes);
        outgoing.take_whole()
    }

    fn lines(bytes: &[u8], count: u32) -> Lines {
        Lines {
            bytes: bytes.to_vec(),
            count,
            quit: false,
        }
    }

    #[test]
    fn only_whole_lines_leave() {
        let mut outgoing = Outgoing::default();
        assert_eq!(typed(&mut outgoing, b"he"), Lines::default());
        assert_eq!(
            typed(&mut outgoing, b"llo\nyou\nth"),
            lines(b"hello\nyou\n", 2)
        );
        assert_eq!(typed(&mut outgoing, b"ere\n"), lines(b"there\n", 1));
        assert_eq!(outgoing.take_rest(), Lines::default());
    }

    #[test]
    fn the_last_line_needs_no_line_break() {
        let mut outgoing = Outgoing::default();
        assert_eq!(typed(&mut outgoing, b"hello"), Lines::default());
        assert_eq!(outgoing.take_rest(), lines(b"hello\n", 1));
        assert_eq!(outgoing.take_rest(), Lines::default());
    }

    #[test]
    fn an_endless_line_does_not_grow_the_buffer() {
        let mut outgoing = Outgoing::default();
        let mut sent = 0;
        for _ in 0..1_000 {
            sent += typed(&mut outgoing, &[b'x'; READ_BYTES]).bytes.len();
            assert!(outgoing.held.capacity() <= LINE_BYTES_MAX + 3 * READ_BYTES);
        }
        sent += outgoing.take_rest().bytes.len();
        assert_eq!(sent, 1_000 * READ_BYTES + 1);
    }

    #[test]
    fn an_endless_line_is_ended_with_the_input() {
        let mut outgoing = Outgoing::default();
        let endless = vec![b'x'; LINE_BYTES_MAX + 1];
        assert_eq!(typed(&mut outgoing, &endless).bytes, endless);
        assert_eq!(outgoing.take_rest().bytes, b"\n");
        assert_eq!(outgoing.take_rest().bytes, b"");
    }

    #[test]
    fn a_quit_is_noticed() {
        for quit in [
            "/quit\n",
            "/quit\r\n",
            "hi\n/quit good night\nmore\n",
            "/QUIT\n",
        ] {
            assert!(
                typed(&mut Outgoing::default(), quit.as_bytes()).quit,
                "{quit:?}"
            );
        }
        for other in ["/quite\n", "//quit\n", "say /quit\n", "quit\n", " /quit\n"] {
            assert!(
                !typed(&mut Outgoing::default(), other.as_bytes()).quit,
                "{other:?}"
            );
        }
        let mut outgoing = Outgoing::default();
        assert!(!typed(&mut outgoing, b"/quit").quit);
        assert!(outgoing.take_rest().quit);
    }

    #[test]
    fn the_end_of_an_endless_line_is_no_quit() {
        let mut outgoing = Outgoing::default();
        typed(&mut outgoing, &vec![b'x'; LINE_BYTES_MAX + 1]);
        assert!(!typed(&mut outgoing, b"/quit\n").quit);
        assert!(typed(&mut outgoing, b"/quit\n").quit);
    }
}
