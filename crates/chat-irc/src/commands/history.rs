//! CHATHISTORY (IRCv3 draft/chathistory), over reads of a room's log.
//!
//! A selector is first found in the log: a message id is checked, and a time is searched. Then the messages are read.
//! Each step is one command, which follows the answer to the step before.
//!
//! Invariant: a request takes at most [`STEPS_MAX`] steps.

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

/// The most reads for one request. A search for a time halves the log with each read.
const STEPS_MAX: u32 = 60;

/// A request that is being answered.
#[derive(Debug)]
pub(crate) struct History {
    sub_command: &'static str,
    /// The channel as the peer wrote it.
    target: Box<str>,
    room: Box<str>,
    limit: usize,
    /// The selectors that were not found in the log yet, in reverse order.
    selectors: Vec<Selector>,
    /// The positions of the selectors that were found.
    edges: Vec<Edge>,
    step: Step,
    steps: u32,
    /// What was read so far.
    read: Vec<BatchSlice>,
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

/// A position between messages: the first position at or behind a selector, and whether the selector is a message.
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
    /// The first message after `probe` was read. The time is between the positions.
    Probed {
        at: Timestamp,
        low: u64,
        high: u64,
        probe: u64,
    },
    /// The messages were read.
    Read,
    /// AROUND: the messages before the selector were read.
    ReadBefore,
    /// TARGETS: the latest message of a room was read.
    Target,
}

impl History {
    /// Returns whether a refused read does not end the request.
    pub(crate) const fn is_skipping(&self) -> bool {
        matches!(self.step, Step::Target)
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
        read: Vec::new(),
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
    history.steps += 1;
    let page = page.map(|(room, page)| {
        // The ids of messages are of the room's own spelling.
        history.room = room.as_str().into();
        page
    });
    if history.steps > STEPS_MAX {
        write_fail(
            peer,
            history,
            "MESSAGE_ERROR",
            "Messages could not be retrieved",
            out,
        );
        return Outcome::Done;
    }
    if history.sub_command == "TARGETS" {
        return targets(peer, history, page, out);
    }
    let empty = Page::default();
    let page = page.unwrap_or(&empty);
    match history.step {
        Step::Begin => {}
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
            let edge = Edge {
                before: id.seq,
                after: id.seq,
            };
            history.edges.push(edge);
        }
        Step::Scanned(at) => {
            let first = messages(page).next();
            let is_reached = first.is_none_or(|(_, first)| first < at)
                || page.gap.is_none() && messages(page).count() < peer.limits().history_max;
            let found = messages(page)
                .find(|(_, time)| *time >= at)
                .map(|(seq, _)| seq);
            match (is_reached, first) {
                (false, Some((first, _))) => {
                    return probe(history, at, 0, first.0.saturating_sub(1));
                }
                _ => history.edges.push(edge_at(found.unwrap_or(Seq::END))),
            }
        }
        Step::Probed {
            at,
            low,
            high,
            probe: probed,
        } => match messages(page).next() {
            Some((seq, time)) if time < at => return probe(history, at, seq.0.max(low + 1), high),
            _ => return probe(history, at, low, probed),
        },
        Step::Read | Step::ReadBefore => {
            history.read.extend(page.slices.iter().cloned());
            if let (Step::ReadBefore, Some(edge)) = (history.step, history.edges.first()) {
                // The rest of the limit is for the message itself and for those behind it.
                let after = Seq(edge.before.0.saturating_sub(1));
                let rest = history.limit - history.limit / 2;
                history.step = Step::Read;
                return read(history, Some(after), None, rest);
            }
            write(peer, history, out);
            return Outcome::Done;
        }
        Step::Target => {}
    }
    find_or_read(peer, history, out)
}

/// Looks for the next selector in the log. If all are found, reads the messages.
fn find_or_read(peer: &mut Peer, history: &mut History, out: &mut BytesMut) -> Outcome {
    match history.selectors.pop() {
        Some(Selector::Latest) => {
            history.edges.push(Edge {
                before: Seq::END,
                after: Seq::START,
            });
            find_or_read(peer, history, out)
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
        None => read_messages(history),
    }
}

/// Halves the part of the log in which a time is. All messages up to `low` are earlier, and the first message after
/// `high` is not.
fn probe(history: &mut History, at: Timestamp, low: u64, high: u64) -> Outcome {
    if low >= high {
        history.edges.push(edge_at(Seq(high.saturating_add(1))));
        history.step = Step::Begin;
        // Nothing is read here, so the next step follows at once with an empty read.
        return match history.selectors.last() {
            None => read_messages(history),
            Some(_) => read(history, None, Some(Seq::START), 1),
        };
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
fn read_messages(history: &mut History) -> Outcome {
    let limit = history.limit;
    history.step = Step::Read;
    match (history.sub_command, &*history.edges) {
        ("AFTER", [edge]) => {
            let after = edge.after;
            read(history, Some(after), None, limit)
        }
        ("BEFORE", [edge]) => {
            let before = edge.before;
            read(history, None, Some(before), limit)
        }
        ("AROUND", [edge]) if limit > 1 => {
            let before = edge.before;
            history.step = Step::ReadBefore;
            read(history, None, Some(before), limit / 2)
        }
        ("AROUND", [edge]) => {
            let after = Seq(edge.before.0.saturating_sub(1));
            read(history, Some(after), None, limit)
        }
        ("BETWEEN", [one, other]) if one.after <= other.after => {
            let after = one.after;
            read(history, Some(after), None, limit)
        }
        ("BETWEEN", [one, _]) => {
            let before = one.before;
            read(history, None, Some(before), limit)
        }
        _ => read(history, None, None, limit),
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
        // The log no longer holds the message.
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

/// Writes the messages that were read and that the selectors include, in a batch.
fn write(peer: &mut Peer, history: &History, out: &mut BytesMut) {
    let (above, below) = match (history.sub_command, &*history.edges) {
        ("LATEST", [edge]) => (edge.after, Seq::END),
        ("BETWEEN", [one, other]) if one.after <= other.after => (one.after, other.before),
        ("BETWEEN", [one, other]) => (other.after, one.before),
        _ => (Seq::START, Seq::END),
    };
    let number = open(peer, "chathistory", &history.target, out);
    let tag = number.map(|number| format!("batch={number}"));
    let has_events = peer.has(Capabilities::EVENT_PLAYBACK);
    for BatchSlice { batch, range } in &history.read {
        for message in batch.messages(range.clone()) {
            let is_selected = message.seq > above && (message.seq < below || below == Seq::END);
            if is_selected && (has_events || message.kind != Kind::Topic) {
                let tag = tag.as_deref().unwrap_or_default();
                peer.lines().write_message(batch, &message, tag, out);
            }
        }
    }
    if let Some(number) = number {
        close_batch(peer.replies(), number, out);
    }
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
    history.steps = 0;
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
