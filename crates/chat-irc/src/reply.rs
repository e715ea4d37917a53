//! The one writer of lines. It keeps each line within 512 bytes, and splits lists over several lines.
//!
//! Invariant: a line has at most 512 bytes with its terminator and without its tags, ends with CR LF, holds no other
//! line break, and is never cut within a character (Modern IRC Client Protocol, "Messages"; IRCv3 message-tags).

use crate::names;
use crate::numeric::Numeric;
use bytes::{BufMut, BytesMut};
use std::borrow::Cow;

/// The most bytes of a line with its terminator, without its tags.
pub(crate) const LINE_BYTES_MAX: usize = 512;

/// The most bytes of a line without its terminator and its tags.
pub(crate) const BODY_BYTES_MAX: usize = LINE_BYTES_MAX - 2;

/// The most bytes of a peer's tags, with the `@` and the space (IRCv3 message-tags, "Size limit").
pub(crate) const TAGS_BYTES_MAX: usize = 4096;

/// The fewest bytes that a line has left for a text. Only an extremely long nick leaves less.
const LEFT_MIN: usize = 16;

/// A line that is being written. Call [`end`](Self::end) at its end.
pub(crate) struct Line<'a> {
    out: &'a mut BytesMut,
    /// Where the line begins, behind its tags.
    begin: usize,
}

impl<'a> Line<'a> {
    /// Begins a line without tags.
    pub(crate) fn new(out: &'a mut BytesMut) -> Self {
        let begin = out.len();
        Self { out, begin }
    }

    /// Begins a line with these tags, which are written already, with the `@` and the space.
    pub(crate) fn tagged(out: &'a mut BytesMut, tags: &[u8]) -> Self {
        out.put_slice(tags);
        Self::new(out)
    }

    /// Adds a text. What is beyond the limit is cut off.
    pub(crate) fn text(&mut self, text: &str) -> &mut Self {
        let kept = text.floor_char_boundary(self.left());
        self.out.put_slice(&text.as_bytes()[..kept]);
        self
    }

    /// Adds a number.
    pub(crate) fn number(&mut self, number: impl std::fmt::Display) -> &mut Self {
        self.text(&number.to_string())
    }

    /// Returns how many bytes can still be added.
    pub(crate) fn left(&self) -> usize {
        BODY_BYTES_MAX.saturating_sub(self.out.len() - self.begin)
    }

    /// Ends the line.
    pub(crate) fn end(&mut self) {
        self.out.put_slice(b"\r\n");
    }
}

/// Who writes replies to whom: the server's name, and the nick of the peer, `*` before it has one.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Replies<'a> {
    pub(crate) server: &'a str,
    pub(crate) nick: &'a str,
}

impl Replies<'_> {
    /// Writes a line of the server: a command and its parameters. The last parameter is written with a colon.
    pub(crate) fn line(self, command: &str, parameters: &[&str], last: &str, out: &mut BytesMut) {
        let mut line = self.begin(command, parameters, out);
        line.text(" :").text(last).end();
    }

    /// Writes a numeric. The parameters must be clean; see [`names::middle`]. `last` may hold spaces.
    pub(crate) fn numeric(
        self,
        numeric: Numeric,
        parameters: &[&str],
        last: &str,
        out: &mut BytesMut,
    ) {
        let mut line = self.begin_numeric(numeric, parameters, out);
        line.text(" :").text(last).end();
    }

    /// Writes a numeric whose last parameter needs no colon.
    pub(crate) fn plain_numeric(self, numeric: Numeric, parameters: &[&str], out: &mut BytesMut) {
        self.begin_numeric(numeric, parameters, out).end();
    }

    /// Writes a list of words after the parameters, over as many lines as are needed. Writes at least one line if
    /// `is_written_empty`.
    pub(crate) fn list<W: AsRef<str>>(
        self,
        numeric: Numeric,
        parameters: &[&str],
        words: impl IntoIterator<Item = W>,
        is_written_empty: bool,
        out: &mut BytesMut,
    ) {
        let mut words = words.into_iter().peekable();
        if words.peek().is_none() && is_written_empty {
            self.numeric(numeric, parameters, "", out);
        }
        while words.peek().is_some() {
            let mut line = self.begin_numeric(numeric, parameters, out);
            line.text(" :");
            let mut is_first = true;
            while let Some(word) = words.peek() {
                let word = word.as_ref();
                let needed = word.len() + usize::from(!is_first);
                if needed > line.left() && !is_first {
                    break;
                }
                line.text(if is_first { "" } else { " " }).text(word);
                is_first = false;
                words.next();
            }
            line.end();
        }
    }

    fn begin<'o>(self, command: &str, parameters: &[&str], out: &'o mut BytesMut) -> Line<'o> {
        let mut line = Line::new(out);
        line.text(":").text(self.server).text(" ").text(command);
        for parameter in parameters {
            line.text(" ").text(parameter);
        }
        line
    }

    fn begin_numeric<'o>(
        self,
        numeric: Numeric,
        parameters: &[&str],
        out: &'o mut BytesMut,
    ) -> Line<'o> {
        let mut line = Line::new(out);
        line.text(":")
            .text(self.server)
            .text(" ")
            .number(numeric)
            .text(" ")
            .text(self.nick);
        for parameter in parameters {
            line.text(" ").text(parameter);
        }
        line
    }
}

/// What a text is to its readers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Form {
    Privmsg,
    Action,
    Notice,
    /// A request to a client's program, such as `VERSION` (CTCP).
    Request,
    /// The answer of a client's program (CTCP).
    Response,
}

/// Writes a message of a session to a target, over as many lines as are needed. `tags` are the tags of the first line,
/// and `more_tags` those of the other lines, with the `@` and the space.
pub(crate) fn write_message(
    out: &mut BytesMut,
    (tags, more_tags): (&[u8], &[u8]),
    from: &str,
    form: Form,
    target: [&str; 2],
    text: &str,
) {
    let (verb, begin, end) = match form {
        Form::Privmsg => (" PRIVMSG ", "", ""),
        Form::Action => (" PRIVMSG ", "\x01ACTION ", "\x01"),
        Form::Notice => (" NOTICE ", "", ""),
        Form::Request => (" PRIVMSG ", "\x01", "\x01"),
        Form::Response => (" NOTICE ", "\x01", "\x01"),
    };
    let mut rest = text;
    let mut tags = tags;
    loop {
        let mut line = Line::tagged(out, tags);
        line.text(":");
        names::write_source(&mut line, from);
        line.text(verb)
            .text(target[0])
            .text(target[1])
            .text(" :")
            .text(begin);
        let left = line.left().saturating_sub(end.len());
        let mut kept = rest.floor_char_boundary(left);
        if kept == 0 && left < LEFT_MIN {
            // The head fills the line, so no text fits.
            kept = rest.len();
        }
        let (piece, others) = rest.split_at(kept);
        line.text(piece).text(end).end();
        if others.is_empty() {
            return;
        }
        (rest, tags) = (others, more_tags);
    }
}

/// Returns a text of at most `bytes_max` bytes. A text that is cut ends with `…`.
pub(crate) fn shortened(text: &str, bytes_max: usize) -> Cow<'_, str> {
    const END: &str = "…";
    if text.len() <= bytes_max {
        return Cow::Borrowed(text);
    }
    let kept = text.floor_char_boundary(bytes_max.saturating_sub(END.len()));
    Cow::Owned(text[..kept].to_owned() + END)
}

/// Copies lines, and adds a tag to each.
pub(crate) fn write_with_tag(lines: &[u8], tag: &str, out: &mut BytesMut) {
    for line in lines.split_inclusive(|&byte| byte == b'\n') {
        if tag.starts_with("batch=") && line.starts_with(b"@batch=") {
            // The line belongs to a batch inside the batch.
            out.put_slice(line);
            continue;
        }
        out.put_u8(b'@');
        out.put_slice(tag.as_bytes());
        match line.strip_prefix(b"@") {
            Some(line) => {
                out.put_u8(b';');
                out.put_slice(line);
            }
            None => {
                out.put_u8(b' ');
                out.put_slice(line);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::numeric::RPL_NAMREPLY;
    use proptest::prelude::*;

    const REPLIES: Replies<'_> = Replies {
        server: "irc.local",
        nick: "bob",
    };

    fn lines(out: &BytesMut) -> Vec<&str> {
        let text = std::str::from_utf8(out).unwrap();
        assert!(text.is_empty() || text.ends_with("\r\n"));
        text.split_terminator("\r\n").collect()
    }

    #[test]
    fn a_list_is_split_over_lines_and_loses_no_word() {
        let words: Vec<_> = (0..300).map(|n| format!("member-{n}")).collect();
        let mut out = BytesMut::new();
        REPLIES.list(RPL_NAMREPLY, &["=", "#a"], &words, true, &mut out);
        let lines = lines(&out);
        assert!(lines.iter().all(|line| line.len() <= BODY_BYTES_MAX));
        let found: Vec<_> = lines
            .iter()
            .flat_map(|line| {
                line.strip_prefix(":irc.local 353 bob = #a :")
                    .unwrap()
                    .split(' ')
            })
            .collect();
        assert_eq!(found, words);
    }

    #[test]
    fn a_tag_is_added_to_each_line() {
        let mut out = BytesMut::new();
        write_with_tag(b"@a=1 X\r\nY\r\n", "label=2", &mut out);
        assert_eq!(&out[..], b"@label=2;a=1 X\r\n@label=2 Y\r\n");
    }

    proptest! {
        #[test]
        fn a_long_text_is_split_at_characters_and_loses_none(text in "[a한👍 é]{1,900}", action in any::<bool>()) {
            let form = if action { Form::Action } else { Form::Privmsg };
            let mut out = BytesMut::new();
            write_message(&mut out, (b"@m=1 ", b""), "alice", form, ["#", "ops"], &text);
            let mut joined = String::new();
            for (at, line) in lines(&out).into_iter().enumerate() {
                let line = if at == 0 { line.strip_prefix("@m=1 ").unwrap() } else { line };
                prop_assert!(line.len() <= BODY_BYTES_MAX);
                let piece = line.split_once(" :").unwrap().1;
                let piece = if action {
                    piece.strip_prefix("\x01ACTION ").unwrap().strip_suffix('\x01').unwrap()
                } else {
                    piece
                };
                joined += piece;
            }
            prop_assert_eq!(joined, text);
        }

        #[test]
        fn no_line_is_longer_than_512_bytes(nick in "[가-힣]{1,160}", text in ".{0,300}") {
            let mut out = BytesMut::new();
            write_message(&mut out, (b"", b""), &nick, Form::Notice, ["", &nick], &text);
            REPLIES.numeric(RPL_NAMREPLY, &[&nick, &nick], &text, &mut out);
            let long = out[..].split(|&byte| byte == b'\n').any(|line| line.len() > 511);
            prop_assert!(!long);
        }
    }
}
