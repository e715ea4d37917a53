//! The commands of a connection that core has not answered yet, and the labels of their answers.
//!
//! Invariant: core answers in the order in which commands were added, so the oldest pending command is the one that the
//! next reply answers.

use crate::commands::history::History;
use crate::commands::queries::{Lookup, Who};
use crate::reply::{Form, Replies, write_with_tag};
use bytes::{BufMut, BytesMut};
use chat_core::rooms::RoomInfo;

/// A command that core has not answered yet.
#[derive(Debug)]
pub(crate) struct Pending {
    pub(crate) what: What,
    /// Whether the answer belongs to the oldest of the peer's [`Labelled`] answers.
    pub(crate) is_labelled: bool,
}

/// What a command was for. It holds what the answer needs.
#[derive(Debug)]
pub(crate) enum What {
    /// The registration with this nick.
    Hello(Box<str>),
    /// JOIN of this channel.
    Join(Box<str>),
    /// The names of a room that the session has just joined.
    JoinNames(Box<RoomInfo>),
    /// PART of this channel, for this reason.
    Part(Box<str>, Box<str>),
    /// TOPIC of this channel.
    Topic(Box<str>),
    /// MODE of this channel: asks for the lists with these letters, or for the modes if there are none.
    Mode(Box<str>, Box<[char]>),
    /// NAMES of this channel.
    Names(Box<str>),
    /// LIST of all channels that the conditions select.
    List(Box<Conditions>),
    /// LIST of one channel. `true`: it is the last one that LIST names.
    ListOne(bool),
    /// A message to this channel.
    Say(Box<str>, Form),
    /// TOPIC of this channel with a new topic.
    SetTopic(Box<str>),
    /// MODE of this channel with changes. The letter is that of the first list that they change.
    SetMode(Box<str>, char),
    /// KICK from this channel of this nick.
    Kick(Box<str>, Box<str>),
    /// INVITE to this channel of this nick.
    Invite(Box<str>, Box<str>),
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
    /// Folded masks, of which a channel must match one.
    masks: Vec<Folded>,
    /// Folded masks, of which a channel must match none.
    not_masks: Vec<Folded>,
}

/// A text whose case does not matter.
type Folded = Box<[char]>;

fn fold(text: &str) -> Folded {
    text.chars().flat_map(char::to_lowercase).collect()
}

impl Conditions {
    /// The most masks of each kind. The others are ignored.
    const MASKS_MAX: usize = 8;

    /// Adds a mask that a channel must match, or must not match.
    pub(crate) fn add(&mut self, mask: &str, must_match: bool) {
        let masks = if must_match {
            &mut self.masks
        } else {
            &mut self.not_masks
        };
        if masks.len() < Self::MASKS_MAX {
            masks.push(fold(mask));
        }
    }

    pub(crate) fn has_masks(&self) -> bool {
        !self.masks.is_empty() || !self.not_masks.is_empty()
    }

    /// Returns whether LIST shows the channel with this name and number of members.
    pub(crate) fn select(&self, channel: &str, count: usize) -> bool {
        let is_counted = self.more_than.is_none_or(|limit| count > limit)
            && self.fewer_than.is_none_or(|limit| count < limit);
        if !is_counted || !self.has_masks() {
            return is_counted;
        }
        let channel = fold(channel);
        let any = |masks: &[Folded]| masks.iter().any(|mask| matches(mask, &channel));
        (self.masks.is_empty() || any(&self.masks)) && !any(&self.not_masks)
    }
}

/// Returns whether a text matches a mask with `*` and `?`. Takes time proportional to the product of their lengths at
/// most.
fn matches(mask: &[char], text: &[char]) -> bool {
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

/// The answer to a line that has a label (IRCv3 labeled-response). Several commands may answer one line.
#[derive(Debug)]
pub(crate) struct Labelled {
    label: Box<str>,
    state: State,
    /// How many commands of the line have no complete answer yet.
    pub(crate) left: usize,
}

#[derive(Debug)]
enum State {
    /// The part of the answer that waits for the rest, because a single line has the label itself.
    Held(BytesMut),
    /// The batch with this number is open.
    Batch(u32),
    /// The answer is a batch itself, and its first line has the label.
    Begun,
}

/// The most bytes of an answer that wait for the rest of it. A longer answer opens a batch at once.
const HELD_BYTES_MAX: usize = 8 * 1024;

impl Labelled {
    /// Begins an answer. `label` is escaped.
    pub(crate) fn new(label: Box<str>) -> Self {
        Self {
            label,
            state: State::Held(BytesMut::new()),
            left: 0,
        }
    }

    /// Writes a part of the answer. `has_more`: other commands answer the line, too. Then the part is not held back,
    /// because it has a place among the messages of a room. `batches` is the number of the last batch.
    pub(crate) fn write(
        &mut self,
        lines: &[u8],
        has_more: bool,
        replies: Replies<'_>,
        batches: &mut u32,
        out: &mut BytesMut,
    ) {
        match &mut self.state {
            _ if lines.is_empty() => {}
            State::Batch(number) => write_with_tag(lines, &format!("batch={number}"), out),
            State::Begun => out.put_slice(lines),
            State::Held(held) => {
                held.put_slice(lines);
                if !has_more && held.len() <= HELD_BYTES_MAX {
                    return;
                }
                let held = std::mem::take(held);
                if is_batch(&held) && !has_more {
                    write_first_with_tag(&held, &format!("label={}", self.label), out);
                    self.state = State::Begun;
                    return;
                }
                *batches = batches.wrapping_add(1);
                open_batch(&self.label, replies, *batches, out);
                write_with_tag(&held, &format!("batch={batches}"), out);
                self.state = State::Batch(*batches);
            }
        }
    }

    /// Ends the answer.
    pub(crate) fn finish(self, replies: Replies<'_>, batches: &mut u32, out: &mut BytesMut) {
        match self.state {
            State::Held(held) => frame(&self.label, &held, replies, batches, out),
            State::Batch(number) => close_batch(replies, number, out),
            State::Begun => {}
        }
    }
}

/// Returns whether the first line begins a batch.
fn is_batch(lines: &[u8]) -> bool {
    let words = lines.split(|&byte| byte == b' ');
    let mut words = words.skip_while(|word| word.starts_with(b"@") || word.starts_with(b":"));
    words.next() == Some(b"BATCH")
}

/// Copies lines, and adds a tag to the first one.
fn write_first_with_tag(lines: &[u8], tag: &str, out: &mut BytesMut) {
    let end = lines.iter().position(|&byte| byte == b'\n');
    let (first, others) = lines.split_at(end.map_or(lines.len(), |end| end + 1));
    write_with_tag(first, tag, out);
    out.put_slice(others);
}

/// Writes a complete answer with its label: on its only line, on the batch that it is, or on a batch around it. An
/// answer without a line is `ACK`.
fn frame(label: &str, lines: &[u8], replies: Replies<'_>, batches: &mut u32, out: &mut BytesMut) {
    let tag = format!("label={label}");
    let count = lines.iter().filter(|&&byte| byte == b'\n').count();
    match count {
        0 => {
            let ack = format!(":{} ACK\r\n", replies.server);
            write_with_tag(ack.as_bytes(), &tag, out);
        }
        1 => write_with_tag(lines, &tag, out),
        _ if is_batch(lines) => write_first_with_tag(lines, &tag, out),
        _ => {
            *batches = batches.wrapping_add(1);
            open_batch(label, replies, *batches, out);
            write_with_tag(lines, &format!("batch={batches}"), out);
            close_batch(replies, *batches, out);
        }
    }
}

/// Writes the beginning of the batch with the answer to a labelled command.
fn open_batch(label: &str, replies: Replies<'_>, number: u32, out: &mut BytesMut) {
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
        let (mut out, mut batches) = (BytesMut::new(), 6);
        let mut label = Labelled::new("x".into());
        label.write(lines.as_bytes(), false, REPLIES, &mut batches, &mut out);
        label.finish(REPLIES, &mut batches, &mut out);
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
        let mut label = Labelled::new("x".into());
        let lines = format!("{}\r\n", "A".repeat(5000));
        let (mut out, mut batches) = (BytesMut::new(), 6);
        label.write(lines.as_bytes(), false, REPLIES, &mut batches, &mut out);
        assert!(out.is_empty());
        label.write(lines.as_bytes(), false, REPLIES, &mut batches, &mut out);
        assert!(out.len() > 10_000);
        label.write(lines.as_bytes(), false, REPLIES, &mut batches, &mut out);
        label.finish(REPLIES, &mut batches, &mut out);
        let out = String::from_utf8_lossy(&out);
        assert!(out.starts_with("@label=x :s BATCH +7 ") && out.ends_with(":s BATCH -7\r\n"));
        assert_eq!(out.matches("@batch=7 A").count(), 3);
    }

    /// IRCv3 batch: a line has one `batch` tag. A long batch is labelled as a short one is.
    #[test]
    fn a_long_answer_that_is_a_batch_has_its_label_on_that_batch() {
        let lines = format!(
            ":s BATCH +3 chathistory #a\r\n{}:s BATCH -3\r\n",
            format!("@batch=3 {}\r\n", "B".repeat(400)).repeat(200)
        );
        assert_eq!(
            framed(&lines),
            format!("@label=x {}", lines.replace("\r\n", "|"))
        );
    }

    /// The place of an answer among the messages of a room does not depend on the other commands of its line.
    #[test]
    fn the_answer_to_one_of_several_commands_is_not_held_back() {
        let mut label = Labelled::new("x".into());
        let (mut out, mut batches) = (BytesMut::new(), 6);
        label.write(b"", true, REPLIES, &mut batches, &mut out);
        assert!(out.is_empty());
        label.write(b"A\r\n", true, REPLIES, &mut batches, &mut out);
        assert!(out.ends_with(b"@batch=7 A\r\n"));
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
            assert_eq!(matches(&fold(mask), &fold(text)), expected, "{mask} {text}");
        }
        let evil = format!("{}b", "a*".repeat(200));
        assert!(!matches(&fold(&evil), &fold(&"a".repeat(2000))));
    }
}
