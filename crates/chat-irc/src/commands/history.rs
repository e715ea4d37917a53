//! CHATHISTORY (IRCv3 draft/chathistory), over reads of a room's log.
//!
//! ```text
//! selectors -> Find (a time is searched, an id is checked) -> edges
//!           -> Back (from where on the messages are shown, if they are asked for backwards)
//!           -> Forward (they are written, page by page, in one batch)
//! ```
//!
//! Each step is one command, which follows the answer to the step before.
//!
//! Invariant: a request takes at most [`STEPS_MAX`] steps that write no message, and a step writes at most about
//! [`STEP_BYTES_MAX`] bytes. A batch with fewer messages than the limit has reached the end of what was asked for, or
//! says which messages are missing.

use super::Asking;
use crate::capability::Capabilities;
use crate::dialect::Peer;
use crate::msgid::MsgId;
use crate::names::{middle, room_of};
use crate::pending::{What, close_batch};
use crate::replies::Outcome;
use crate::time;
use bytes::BytesMut;
use chat_core::log::{BatchSlice, Page, Timestamp};
use chat_core::protocol::{Code, Command, Refusal};
use chat_core::{Kind, RoomName, Seq};

/// The most steps of one request that write no message. A search for a time halves the log with each step.
const STEPS_MAX: u32 = 60;

/// The most bytes that one step writes, besides one message.
const STEP_BYTES_MAX: usize = 64 * 1024;

/// The most messages of one step that writes.
const STEP_MESSAGES_MAX: usize = 100;

/// A request that is being answered.
#[derive(Debug)]
pub(crate) struct History {
    sub_command: &'static str,
    /// The channel as the peer wrote it.
    target: Box<str>,
    room: Box<str>,
    /// The most messages to show.
    limit: usize,
    /// The selectors that were not found in the log yet, in reverse order.
    selectors: Vec<Selector>,
    /// The selectors that were found.
    edges: Vec<Edge>,
    step: Step,
    /// How many steps have written no message.
    steps: u32,
    /// The messages behind this position are shown.
    above: Seq,
    /// The messages before this position are shown.
    below: Seq,
    /// How many messages were written.
    shown: usize,
    /// Whether the batch is open, and its number if the peer knows batches.
    batch: Option<Option<u32>>,
    /// TARGETS: the rooms that were not looked at yet, and those that have messages in the range.
    rooms: Vec<RoomName>,
    targets: Vec<(Timestamp, RoomName)>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Selector {
    /// `*`
    Latest,
    Id(MsgId),
    /// The first message at or after this time.
    From(Timestamp),
}

/// A selector that was found: the messages on its two sides. The message of the selector itself is on neither.
#[derive(Debug, Clone, Copy)]
struct Edge {
    /// Messages before the selector have smaller positions.
    before: Seq,
    /// Messages behind the selector have larger positions.
    after: Seq,
}

#[derive(Debug, Clone, Copy)]
enum Step {
    /// Find the next selector, or read.
    Begin,
    /// The message with this id was read, to check the id.
    Checked(MsgId),
    /// The latest messages were read, to find this time among them.
    Scanned(Timestamp),
    /// The first message of the log was read, to find this time among those up to the position `high`.
    First { at: Timestamp, high: u64 },
    /// The first message after `probe` was read. The time is between the positions.
    Probed {
        at: Timestamp,
        low: u64,
        high: u64,
        probe: u64,
    },
    /// The messages before this position were read, to find the position from which on `wanted` messages are shown.
    /// `found` of them were found behind the position.
    Back {
        before: Seq,
        found: usize,
        wanted: usize,
    },
    /// The messages after `above` were read, to be written.
    Forward,
    /// TARGETS: the latest message of a room was read.
    Target,
}

impl History {
    /// Returns whether a refused read does not end the request.
    pub(crate) const fn is_skipping(&self) -> bool {
        matches!(self.step, Step::Target)
    }

    /// Returns the tag of a line in the batch; empty if there is no batch.
    fn tag(&self) -> String {
        let number = self.batch.flatten();
        number.map_or_else(String::new, |number| format!("batch={number}"))
    }
}

pub(super) fn chathistory(ask: &mut Asking<'_, '_, '_>, parameters: &[&str]) {
    const SUB_COMMANDS: [&str; 6] = ["LATEST", "BEFORE", "AFTER", "AROUND", "BETWEEN", "TARGETS"];
    let Some((asked, parameters)) = parameters.split_first() else {
        return fail_with(ask, "NEED_MORE_PARAMS", &[], "Missing parameters");
    };
    let known = SUB_COMMANDS
        .iter()
        .find(|known| known.eq_ignore_ascii_case(asked));
    let Some(&sub_command) = known else {
        let asked = middle(asked);
        return fail_with(ask, "INVALID_PARAMS", &[&asked], "Unknown command");
    };
    let count = if matches!(sub_command, "BETWEEN") {
        4
    } else {
        3
    };
    if parameters.len() < count {
        return fail_with(
            ask,
            "NEED_MORE_PARAMS",
            &[sub_command],
            "Missing parameters",
        );
    }
    let limit = parameters[count - 1].parse::<usize>().ok();
    let Some(limit) = limit.filter(|limit| *limit > 0) else {
        let limit = middle(parameters[count - 1]);
        return fail_with(
            ask,
            "INVALID_PARAMS",
            &[sub_command, &limit],
            "Invalid limit",
        );
    };
    let limit = limit.min(ask.peer.limits().history_max);
    let is_targets = sub_command == "TARGETS";
    let words = if is_targets {
        &parameters[..2]
    } else {
        &parameters[1..count - 1]
    };
    let mut selectors = Vec::with_capacity(2);
    for word in words {
        let selector = selector(word).filter(|selector| match selector {
            Selector::Latest => sub_command == "LATEST",
            Selector::Id(_) => !is_targets,
            Selector::From(_) => true,
        });
        let Some(selector) = selector else {
            let word = middle(word);
            let text = "Invalid selector";
            return fail_with(ask, "INVALID_PARAMS", &[sub_command, &word], text);
        };
        selectors.push(selector);
    }
    let target = parameters[0];
    let room = if is_targets {
        Some("")
    } else {
        room_of(target)
    };
    let Some(room) = room else {
        let target = middle(target);
        let text = "Messages could not be retrieved";
        return fail_with(ask, "INVALID_TARGET", &[sub_command, &target], text);
    };
    exclude_times(sub_command, &mut selectors);
    selectors.reverse();
    let history = History {
        sub_command,
        target: middle(target).into(),
        room: room.into(),
        limit,
        selectors,
        edges: Vec::new(),
        step: Step::Begin,
        steps: 0,
        above: Seq::START,
        below: Seq::END,
        shown: 0,
        batch: None,
        rooms: if is_targets {
            ask.peer.rooms.clone()
        } else {
            Vec::new()
        },
        targets: Vec::new(),
    };
    begin(ask, history);
}

fn begin(ask: &mut Asking<'_, '_, '_>, mut history: History) {
    let mut out = BytesMut::new();
    match go_on(ask.peer, &mut history, None, &mut out) {
        Outcome::Follow(command) => {
            ask.push(command, What::History(Box::new(history)));
        }
        _ => ask.write(|_, own| own.extend_from_slice(&out)),
    }
}

fn selector(word: &str) -> Option<Selector> {
    if word == "*" {
        return Some(Selector::Latest);
    }
    match word.split_once('=')? {
        ("msgid", id) => MsgId::parse(id).map(Selector::Id),
        ("timestamp", at) => time::parse(at).map(Selector::From),
        _ => None,
    }
}

/// Moves the times behind which messages are asked for, because messages of the time itself are not asked for.
fn exclude_times(sub_command: &str, selectors: &mut [Selector]) {
    // The selector behind which messages are asked for.
    let index = match (sub_command, &*selectors) {
        ("LATEST" | "AFTER", _) => 0,
        ("BETWEEN", [Selector::From(one), Selector::From(other)]) => usize::from(one > other),
        ("BETWEEN", _) => 0,
        _ => return,
    };
    if let Some(Selector::From(at)) = selectors.get_mut(index) {
        at.0 = at.0.saturating_add(1);
    }
}

/// Processes the page that answers the current step, and returns what comes next. `None` is a read that was refused, or
/// the beginning.
pub(crate) fn go_on(
    peer: &mut Peer,
    history: &mut History,
    page: Option<(&RoomName, &Page)>,
    out: &mut BytesMut,
) -> Outcome {
    let page = page.map(|(room, page)| {
        // The ids of messages are of the room's own spelling.
        history.room = room.as_str().into();
        page
    });
    if history.sub_command == "TARGETS" {
        return targets(peer, history, page, out);
    }
    history.steps += 1;
    if history.steps > STEPS_MAX {
        return give_up(peer, history, out);
    }
    let empty = Page::default();
    let page = page.unwrap_or(&empty);
    match history.step {
        Step::Back {
            before,
            found,
            wanted,
        } => back(peer, history, page, (before, found, wanted)),
        Step::Forward => forward(peer, history, page, out),
        _ => find(peer, history, page, out),
    }
}

/// Ends a request that takes too many steps.
fn give_up(peer: &mut Peer, history: &mut History, out: &mut BytesMut) -> Outcome {
    if history.batch.is_none() {
        let text = "Messages could not be retrieved";
        write_fail(peer, history, "MESSAGE_ERROR", text, out);
        return Outcome::Done;
    }
    write_notice(peer, history, "there may be more messages: ask again", out);
    close(peer, history, out);
    Outcome::Done
}

/// Finds a selector in the log, with the page that answers the step before.
fn find(peer: &mut Peer, history: &mut History, page: &Page, out: &mut BytesMut) -> Outcome {
    let first = messages(page).next();
    match history.step {
        Step::Checked(id) => {
            if !id.is_in(&history.room) || !has(page, id) {
                write_fail(
                    peer,
                    history,
                    "MESSAGE_ERROR",
                    "The message is not known",
                    out,
                );
                return Outcome::Done;
            }
            history.edges.push(Edge {
                before: id.seq,
                after: id.seq,
            });
        }
        Step::Scanned(at) => {
            let found = messages(page).find(|(_, time)| *time >= at);
            match (first, found) {
                // Earlier messages may be of that time or later ones, too.
                (Some((first, time)), _) if time >= at => {
                    let high = first.0.saturating_sub(1);
                    history.step = Step::First { at, high };
                    return read(history, Some(Seq::START), None, 1);
                }
                (_, found) => history
                    .edges
                    .push(edge_at(found.map_or(Seq::END, |(seq, _)| seq))),
            }
        }
        Step::First { at, high } => match first {
            Some((seq, time)) if time < at => return probe(peer, history, at, seq.0, high, out),
            Some((seq, _)) => history.edges.push(edge_at(seq)),
            None => history.edges.push(edge_at(Seq(high.saturating_add(1)))),
        },
        Step::Probed {
            at,
            low,
            high,
            probe: probed,
        } => match first {
            Some((seq, time)) if time < at => {
                return probe(peer, history, at, seq.0.max(low + 1), high, out);
            }
            _ => return probe(peer, history, at, low, probed, out),
        },
        _ => {}
    }
    find_next(peer, history, out)
}

/// Looks for the next selector in the log. If all are found, reads the messages.
fn find_next(peer: &mut Peer, history: &mut History, out: &mut BytesMut) -> Outcome {
    match history.selectors.pop() {
        Some(Selector::Latest) => {
            history.edges.push(Edge {
                before: Seq::END,
                after: Seq::START,
            });
            find_next(peer, history, out)
        }
        Some(Selector::Id(id)) => {
            history.step = Step::Checked(id);
            read(history, Some(Seq(id.seq.0.saturating_sub(1))), None, 1)
        }
        Some(Selector::From(at)) => {
            history.step = Step::Scanned(at);
            let limit = peer.limits().history_max;
            read(history, None, None, limit)
        }
        None => begin_reading(peer, history, out),
    }
}

/// Halves the part of the log in which a time is. All messages up to `low` are earlier, and the first message after
/// `high` is not.
fn probe(
    peer: &mut Peer,
    history: &mut History,
    at: Timestamp,
    low: u64,
    high: u64,
    out: &mut BytesMut,
) -> Outcome {
    if low >= high {
        history.edges.push(edge_at(Seq(high.saturating_add(1))));
        return find_next(peer, history, out);
    }
    let probe = low + (high - low) / 2;
    history.step = Step::Probed {
        at,
        low,
        high,
        probe,
    };
    read(history, Some(Seq(probe)), None, 1)
}

/// Reads the messages that the request asks for, once its selectors are found.
fn begin_reading(peer: &mut Peer, history: &mut History, out: &mut BytesMut) -> Outcome {
    let limit = history.limit;
    let (above, below, back) = match (history.sub_command, &*history.edges) {
        ("AFTER", [edge]) => (edge.after, Seq::END, None),
        ("BEFORE", [edge]) => (Seq::START, edge.before, Some((edge.before, limit))),
        ("AROUND", [edge]) if limit > 1 => (Seq::START, Seq::END, Some((edge.before, limit / 2))),
        ("AROUND", [edge]) => (Seq(edge.before.0.saturating_sub(1)), Seq::END, None),
        ("BETWEEN", [one, other]) if one.after <= other.after => (one.after, other.before, None),
        ("BETWEEN", [one, other]) => (other.after, one.before, Some((one.before, limit))),
        (_, [edge, ..]) => (edge.after, Seq::END, Some((Seq::END, limit))),
        _ => (Seq::START, Seq::END, None),
    };
    (history.above, history.below) = (above, below);
    match back {
        Some((before, wanted)) => read_back(peer, history, before, 0, wanted),
        None => begin_forward(peer, history, out),
    }
}

fn read_back(
    peer: &Peer,
    history: &mut History,
    before: Seq,
    found: usize,
    wanted: usize,
) -> Outcome {
    history.step = Step::Back {
        before,
        found,
        wanted,
    };
    read(history, None, Some(before), peer.limits().history_max)
}

/// Looks for the position from which on `wanted` messages are shown.
fn back(
    peer: &mut Peer,
    history: &mut History,
    page: &Page,
    (before, mut found, wanted): (Seq, usize, usize),
) -> Outcome {
    let has_events = peer.has(Capabilities::EVENT_PLAYBACK);
    let mut first = None;
    let mut begin = None;
    'page: for BatchSlice { batch, range } in page.slices.iter().rev() {
        let mut messages: Vec<_> = batch.messages(range.clone()).collect();
        while let Some(message) = messages.pop() {
            if message.seq <= history.above {
                begin = Some(history.above);
                break 'page;
            }
            first = Some(message.seq);
            found += usize::from(is_shown(message.kind, has_events));
            if found >= wanted {
                begin = Some(Seq(message.seq.0.saturating_sub(1)));
                break 'page;
            }
        }
    }
    let next = page.gap.map(|gap| gap.from).or(first);
    let begin = match (begin, next) {
        (Some(begin), _) => begin,
        // A page may end before the log does, so only an empty one is the beginning of the log.
        (None, Some(next)) if next.0 > history.above.0 + 1 && next < before => {
            return read_back(peer, history, next, found, wanted);
        }
        // What is missing at the beginning is found on the way forward.
        _ => history.above,
    };
    history.above = begin;
    if history.sub_command == "AROUND" {
        // The rest of the limit is for the message itself and for those behind it.
        history.limit = found + history.limit - history.limit / 2;
    }
    history.step = Step::Forward;
    read(history, Some(begin), None, STEP_MESSAGES_MAX)
}

fn begin_forward(peer: &mut Peer, history: &mut History, out: &mut BytesMut) -> Outcome {
    let is_empty = history.below.0 <= history.above.0.saturating_add(1);
    history.step = Step::Forward;
    if is_empty {
        return forward(peer, history, &Page::default(), out);
    }
    read(history, Some(history.above), None, STEP_MESSAGES_MAX)
}

/// Writes a page of messages, and what is missing before them.
fn forward(peer: &mut Peer, history: &mut History, page: &Page, out: &mut BytesMut) -> Outcome {
    if history.batch.is_none() {
        history.batch = Some(open(peer, "chathistory", &history.target, out));
    }
    let mut is_end = true;
    if let Some(gap) = page.gap.filter(|gap| gap.from < history.below) {
        let last = gap.to.0.min(history.below.0.saturating_sub(1));
        let count = last.saturating_sub(gap.from.0).saturating_add(1);
        write_notice(
            peer,
            history,
            &format!("{count} messages are missing here"),
            out,
        );
        (history.above, is_end) = (gap.to, false);
    }
    let has_events = peer.has(Capabilities::EVENT_PLAYBACK);
    let tag = history.tag();
    let shown = history.shown;
    'page: for BatchSlice { batch, range } in &page.slices {
        for message in batch.messages(range.clone()) {
            is_end = history.shown == history.limit || message.seq >= history.below;
            if is_end || out.len() > STEP_BYTES_MAX {
                break 'page;
            }
            if is_shown(message.kind, has_events) {
                peer.lines().write_message(batch, &message, &tag, out);
                history.shown += 1;
            }
            history.above = message.seq;
        }
    }
    if history.shown > shown {
        history.steps -= 1;
    }
    let is_complete =
        history.shown == history.limit || history.below.0 <= history.above.0.saturating_add(1);
    if is_end || is_complete {
        close(peer, history, out);
        return Outcome::Done;
    }
    read(history, Some(history.above), None, STEP_MESSAGES_MAX)
}

/// Returns whether a message of this kind is a part of the history that the peer is shown.
const fn is_shown(kind: Kind, has_events: bool) -> bool {
    match kind {
        Kind::Said | Kind::Acted | Kind::Notice => true,
        Kind::Topic | Kind::Mode => has_events,
        // A later version's kind.
        _ => false,
    }
}

/// Writes a notice of the server inside the batch.
fn write_notice(peer: &Peer, history: &History, text: &str, out: &mut BytesMut) {
    let tag = history.tag();
    peer.lines()
        .write_tagged_notice(&tag, &history.room, text, out);
}

fn close(peer: &Peer, history: &History, out: &mut BytesMut) {
    if let Some(Some(number)) = history.batch {
        close_batch(peer.replies(), number, out);
    }
}

fn read(history: &History, after: Option<Seq>, before: Option<Seq>, limit: usize) -> Outcome {
    Outcome::Follow(Command::Read {
        room: Some(history.room.to_string().into()),
        after,
        epoch: None,
        before,
        limit: Some(limit),
    })
}

const fn edge_at(first: Seq) -> Edge {
    Edge {
        before: first,
        after: Seq(first.0.saturating_sub(1)),
    }
}

/// Returns whether a page, which begins at the position of `id`, shows that the id is of this log.
fn has(page: &Page, id: MsgId) -> bool {
    match messages(page).next() {
        Some((seq, at)) if seq == id.seq => at == id.at,
        // The log no longer holds the message. The batch says that messages are missing.
        Some((_, at)) => page.gap.is_some() && at >= id.at,
        None => false,
    }
}

/// Returns the position and the time of each message.
fn messages(page: &Page) -> impl Iterator<Item = (Seq, Timestamp)> {
    page.slices.iter().flat_map(|BatchSlice { batch, range }| {
        let messages = batch.messages(range.clone());
        messages.map(|message| (message.seq, batch.at()))
    })
}

/// Opens a batch, if the peer knows batches.
fn open(peer: &mut Peer, kind: &str, target: &str, out: &mut BytesMut) -> Option<u32> {
    if !peer.has(Capabilities::BATCH) {
        return None;
    }
    let number = peer.next_batch();
    let space = if target.is_empty() { "" } else { " " };
    let line = format!(
        ":{} BATCH +{number} {kind}{space}{target}\r\n",
        peer.shared.server
    );
    out.extend_from_slice(line.as_bytes());
    Some(number)
}

/// CHATHISTORY TARGETS: looks at the latest message of each room of the session.
fn targets(
    peer: &mut Peer,
    history: &mut History,
    page: Option<&Page>,
    out: &mut BytesMut,
) -> Outcome {
    let latest = page.and_then(|page| page.slices.last());
    if let Some(BatchSlice { batch, .. }) = latest {
        let [Selector::From(one), Selector::From(other)] = *history.selectors else {
            return Outcome::Done;
        };
        let is_between = batch.at() > one.min(other) && batch.at() < one.max(other);
        if is_between {
            history.targets.push((batch.at(), batch.room().clone()));
        }
    }
    history.step = Step::Target;
    // The steps of this request are bounded by the number of rooms.
    if let Some(room) = history.rooms.pop() {
        history.room = room.as_str().into();
        return read(history, None, None, 1);
    }
    history.targets.sort();
    history.targets.truncate(history.limit);
    let number = open(peer, "draft/chathistory-targets", "", out);
    for (at, room) in &history.targets {
        let at = time::format(*at);
        let tag = number.map_or_else(String::new, |number| format!("@batch={number} "));
        let server = &peer.shared.server;
        let at = String::from_utf8_lossy(&at);
        let line = format!("{tag}:{server} CHATHISTORY TARGETS #{room} {at}\r\n");
        out.extend_from_slice(line.as_bytes());
    }
    if let Some(number) = number {
        close_batch(peer.replies(), number, out);
    }
    Outcome::Done
}

/// Writes that core has refused a read.
pub(crate) fn fail(peer: &Peer, history: &History, refusal: &Refusal, out: &mut BytesMut) {
    close(peer, history, out);
    // The session is not in the room, or may not read it.
    let code = match refusal.code {
        Code::Denied | Code::NotFound | Code::BadName => "INVALID_TARGET",
        _ => "MESSAGE_ERROR",
    };
    write_fail(peer, history, code, &refusal.message, out);
}

fn write_fail(peer: &Peer, history: &History, code: &str, text: &str, out: &mut BytesMut) {
    let parameters = ["CHATHISTORY", code, history.sub_command, &history.target];
    peer.replies().line("FAIL", &parameters, text, out);
}

fn fail_with(ask: &mut Asking<'_, '_, '_>, code: &str, context: &[&str], text: &str) {
    let parameters: Vec<&str> = ["CHATHISTORY", code]
        .into_iter()
        .chain(context.iter().copied())
        .collect();
    ask.replies(|replies, out| replies.line("FAIL", &parameters, text, out));
}
