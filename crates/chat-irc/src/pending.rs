//! The commands of a connection that core has not answered yet, and the labels of their answers.
//!
//! Invariant: core answers in the order in which commands were added, so the oldest pending command is the one that the
//! next reply answers.

use crate::commands::history::History;
use crate::commands::queries::{Lookup, Who};
use crate::reply::{Form, Replies, write_with_tag};
use bytes::{BufMut, BytesMut};
use chat_core::RoomName;

/// A command that core has not answered yet.
#[derive(Debug)]
pub(crate) struct Pending {
    pub(crate) what: What,
    pub(crate) label: Label,
}

/// What a command was for. It holds what the answer needs.
#[derive(Debug)]
pub(crate) enum What {
    /// The registration with this nick.
    Hello(Box<str>),
    /// JOIN of this channel.
    Join(Box<str>),
    /// The names of a room that the session has just joined.
    JoinNames(RoomName),
    /// PART of this channel, for this reason.
    Part(Box<str>, Box<str>),
    /// TOPIC of this channel.
    Topic(Box<str>),
    /// MODE of this channel.
    Mode(Box<str>),
    /// NAMES of this channel.
    Names(Box<str>),
    /// LIST of all channels that the conditions select.
    List(Box<Conditions>),
    /// LIST of this channel.
    ListOne,
    /// A message to this channel, or its new topic.
    Say(Box<str>, Form),
    /// A message to this nick.
    Tell(Box<str>, Form),
    /// NICK with this nick.
    Nick(Box<str>),
    /// WHO of a channel.
    Who(Box<Who>),
    /// A search for nicks in the rooms of the session.
    Lookup(Box<Lookup>),
    /// CHATHISTORY.
    History(Box<History>),
}

/// Which channels LIST shows (`ELIST=MNU`).
#[derive(Debug, Default)]
pub(crate) struct Conditions {
    pub(crate) more_than: Option<usize>,
    pub(crate) fewer_than: Option<usize>,
    /// Masks, of which a channel must match one.
    pub(crate) masks: Vec<Box<str>>,
    /// Masks, of which a channel must match none.
    pub(crate) not_masks: Vec<Box<str>>,
}

impl Conditions {
    /// Returns whether LIST shows the channel with this name and number of members.
    pub(crate) fn select(&self, channel: &str, count: usize) -> bool {
        let any = |masks: &[Box<str>]| masks.iter().any(|mask| matches(mask, channel));
        self.more_than.is_none_or(|limit| count > limit)
            && self.fewer_than.is_none_or(|limit| count < limit)
            && (self.masks.is_empty() || any(&self.masks))
            && !any(&self.not_masks)
    }
}

/// Returns whether a text matches a mask with `*` and `?`. Takes time proportional to the product of their lengths at
/// most, and ignores case.
fn matches(mask: &str, text: &str) -> bool {
    let fold = |text: &str| {
        text.chars()
            .flat_map(char::to_lowercase)
            .collect::<Vec<_>>()
    };
    let (mask, text) = (fold(mask), fold(text));
    let (mut at, mut in_text) = (0, 0);
    // Where to go on after a mismatch: behind the last star, one character later in the text.
    let mut retry = None;
    while in_text < text.len() {
        match mask.get(at) {
            Some('*') => {
                retry = Some((at + 1, in_text));
                at += 1;
            }
            Some(&c) if c == '?' || c == text[in_text] => (at, in_text) = (at + 1, in_text + 1),
            _ => match &mut retry {
                Some((star, from)) => {
                    *from += 1;
                    (at, in_text) = (*star, *from);
                }
                None => return false,
            },
        }
    }
    mask[at..].iter().all(|&c| c == '*')
}

/// How the answer to a command is labelled (IRCv3 labeled-response).
#[derive(Debug, Default)]
pub(crate) enum Label {
    /// The peer gave no label.
    #[default]
    None,
    /// The answer is not written yet, so the label goes on its only line, or on a batch. The second value is the part
    /// of the answer that waits for the rest.
    Single(Box<str>, BytesMut),
    /// The lines of the answer belong to the open batch with this number. `true`: the batch ends with the answer.
    Batch(u32, bool),
}

/// The most bytes of an answer that wait for the rest of it. A longer answer opens a batch at once.
const HELD_BYTES_MAX: usize = 8 * 1024;

impl Label {
    /// Writes a part of an answer. `next_batch` is the number of a batch that this call may open.
    pub(crate) fn write(
        &mut self,
        lines: &BytesMut,
        replies: Replies<'_>,
        next_batch: u32,
        out: &mut BytesMut,
    ) {
        match self {
            Self::None => out.put_slice(lines),
            Self::Batch(number, _) => write_with_tag(lines, &format!("batch={number}"), out),
            Self::Single(label, held) if held.len() + lines.len() > HELD_BYTES_MAX => {
                open_batch(label, replies, next_batch, out);
                held.put_slice(lines);
                write_with_tag(held, &format!("batch={next_batch}"), out);
                *self = Self::Batch(next_batch, true);
            }
            Self::Single(_, held) => held.put_slice(lines),
        }
    }

    /// Writes the last part of an answer.
    pub(crate) fn finish(
        mut self,
        lines: &BytesMut,
        replies: Replies<'_>,
        next_batch: u32,
        out: &mut BytesMut,
    ) {
        self.write(lines, replies, next_batch, out);
        match self {
            Self::Single(label, held) => frame(&label, &held, replies, next_batch, out),
            Self::Batch(number, true) => close_batch(replies, number, out),
            Self::None | Self::Batch(_, false) => {}
        }
    }
}

/// Writes a complete answer with its label: on its only line, on the batch that it is, or on a batch around it. An
/// answer without a line is `ACK`.
fn frame(label: &str, lines: &[u8], replies: Replies<'_>, number: u32, out: &mut BytesMut) {
    let tag = format!("label={label}");
    let count = lines.iter().filter(|&&byte| byte == b'\n').count();
    let is_batch = || {
        let words = lines.split(|&byte| byte == b' ');
        let mut words = words.skip_while(|word| word.starts_with(b"@") || word.starts_with(b":"));
        words.next() == Some(b"BATCH")
    };
    match count {
        0 => {
            let mut ack = BytesMut::new();
            ack.put_slice(format!(":{} ACK\r\n", replies.server).as_bytes());
            write_with_tag(&ack, &tag, out);
        }
        1 => write_with_tag(lines, &tag, out),
        _ if is_batch() => {
            let end = lines
                .iter()
                .position(|&byte| byte == b'\n')
                .unwrap_or_default()
                + 1;
            write_with_tag(&lines[..end], &tag, out);
            out.put_slice(&lines[end..]);
        }
        _ => {
            open_batch(label, replies, number, out);
            write_with_tag(lines, &format!("batch={number}"), out);
            close_batch(replies, number, out);
        }
    }
}

/// Writes the beginning of the batch with the answer to a labelled command.
pub(crate) fn open_batch(label: &str, replies: Replies<'_>, number: u32, out: &mut BytesMut) {
    let server = replies.server;
    let line = format!("@label={label} :{server} BATCH +{number} labeled-response\r\n");
    out.put_slice(line.as_bytes());
}

/// Writes the end of a batch.
pub(crate) fn close_batch(replies: Replies<'_>, number: u32, out: &mut BytesMut) {
    out.put_slice(format!(":{} BATCH -{number}\r\n", replies.server).as_bytes());
}

#[cfg(test)]
mod tests {
    use super::*;

    const REPLIES: Replies<'_> = Replies {
        server: "s",
        nick: "n",
    };

    fn framed(lines: &str) -> String {
        let mut out = BytesMut::new();
        let label = Label::Single("x".into(), BytesMut::new());
        label.finish(&BytesMut::from(lines), REPLIES, 7, &mut out);
        String::from_utf8_lossy(&out).replace("\r\n", "|")
    }

    /// IRCv3 labeled-response: "Servers MUST respond with ... a single message, ... a batch, ... or ACK".
    #[test]
    fn an_answer_has_its_label_once() {
        assert_eq!(framed(""), "@label=x :s ACK|");
        assert_eq!(framed("A\r\n"), "@label=x A|");
        assert_eq!(
            framed("A\r\n@t=1 B\r\n"),
            "@label=x :s BATCH +7 labeled-response|@batch=7 A|@batch=7;t=1 B|:s BATCH -7|"
        );
        let history = ":s BATCH +3 chathistory #a\r\n@batch=3 B\r\n:s BATCH -3\r\n";
        assert_eq!(
            framed(history),
            format!("@label=x {}", history.replace("\r\n", "|"))
        );
    }

    #[test]
    fn a_long_answer_opens_its_batch_before_it_is_complete() {
        let mut label = Label::Single("x".into(), BytesMut::new());
        let lines = BytesMut::from(&*format!("{}\r\n", "A".repeat(5000)));
        let mut out = BytesMut::new();
        label.write(&lines, REPLIES, 7, &mut out);
        assert!(out.is_empty());
        label.write(&lines, REPLIES, 7, &mut out);
        assert!(out.len() > 10_000);
        label.finish(&lines, REPLIES, 8, &mut out);
        let out = String::from_utf8_lossy(&out);
        assert!(out.starts_with("@label=x :s BATCH +7 ") && out.ends_with(":s BATCH -7\r\n"));
        assert_eq!(out.matches("@batch=7 A").count(), 3);
    }

    #[test]
    fn a_mask_matches_in_linear_steps() {
        for (mask, text, expected) in [
            ("*", "", true),
            ("#o*s", "#OPS", true),
            ("#o?s", "#os", false),
            ("*한*", "#한국", true),
            ("a*a*a*b", "aaaaaaaaaaaaaaaaaaaaaaaaac", false),
            ("#a", "#ab", false),
        ] {
            assert_eq!(matches(mask, text), expected, "{mask} {text}");
        }
        let evil = format!("{}b", "a*".repeat(200));
        assert!(!matches(&evil, &"a".repeat(2000)));
    }
}
