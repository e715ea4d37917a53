//! The state machine that decides what a connection does with the input of its peer.
//!
//! Invariant: no `.await`, no clock and no I/O. Input, answers and the time go in; what the connection must do comes
//! out. Commands take effect in the order in which they were sent: messages from one read are published as one batch,
//! and any other command waits until the messages before it are published.

mod deadlines;
mod decide;
mod detection;
mod owed;
mod pace;
#[cfg(test)]
mod tests;
mod waiting;

use crate::connection::conversation::decide::{precedes_session, then};
use crate::connection::conversation::pace::Pace;
use crate::connection::dialects::Dialects;
use crate::connection::framing::Framing;
use crate::connection::heartbeat::Heartbeat;
use crate::connection::owed::Owed;
use crate::event::CloseReason;
use crate::limits::Limits;
use crate::line::Inbound;
use crate::log::{Drafts, Kind, Timestamp};
use crate::protocol::{Command, Commands, Dialect, Refusal, Step};
use crate::room::Echo;
use bytes::{Bytes, BytesMut};
use tokio::time::Instant;
pub(super) use waiting::{Draft, Place, Target, Waiting};

/// The conversation with one peer.
///
/// ```text
///               the first bytes decide               the session begins
///   Detecting ------------------------> Registering --------------------> Talking
///     |  |                                ^      |                         ^   |
///     |  +--- greeted, then a plain line -|------|-------------------------+   | quit, drain,
///     |                                   |      | refused                     | end of the stream, ...
///     +--- no dialect of ours -----+      |      v                             |
///                                  +------|--> Closing <-----------------------+
///   Chosen -------------------------------+
/// ```
///
/// The first bytes select the dialect. If no detector recognises them, silence, the end of a line or the maximum length
/// of the prefix selects the default dialect. If the default dialect is plain, a peer that sends nothing is greeted in
/// the plain dialect. The peer then has a session while it is still `Detecting`.
///
/// The connection calls [`next`](Self::next) until the answer is [`Next::Wait`]. It calls `next` again when something
/// was read, and [`on_time`](Self::on_time) when a deadline has passed. It processes each line with
/// [`receive`](Self::receive) and [`step`](Self::step).
pub(super) struct Conversation {
    state: State,
    dialect: Option<Box<dyn Dialect>>,
    framing: Framing,
    pace: Pace,
    /// Measures the peer's silence; `None` if the dialect has no heartbeat.
    heartbeat: Option<Heartbeat>,
    /// Messages that wait to be published together. The connection publishes them once it has processed all input, or
    /// earlier. The field is boxed, because an idle connection has no waiting messages.
    waiting: Option<Box<Waiting>>,
    /// The unprocessed rest of a line. The connection processes it later, because the peer must wait.
    deferred: Option<Box<Deferred>>,
    /// A published message whose reply is written when delivery reaches the message in its room; see
    /// [`Echo::Reply`](crate::Echo::Reply).
    owed: Option<Box<Owed>>,
    /// Whether some input could not be processed yet, so that the connection must call `next` without a new read.
    is_held_up: bool,
    /// How often the peer has failed to prove an account since it last proved one.
    failed_accounts: u16,
    /// How often the peer has failed to become an operator since it last became one. An account is no proof here:
    /// otherwise the owner of an account could guess the passwords of operators for ever.
    failed_operators: u16,
}

/// The state of a conversation.
#[derive(Debug, Clone, Copy)]
enum State {
    /// The first bytes may still select any dialect. The connection began at `opened`.
    Detecting {
        opened: Instant,
        /// The bytes so far may be the opening of another dialect, so silence does not select the default dialect yet.
        needs_more: bool,
        /// The peer was greeted in the plain dialect before it sent anything, and has a session.
        is_greeted: bool,
    },
    /// The dialect was known before the connection began. The connection began at `opened`. The conversation has not
    /// begun.
    Chosen { opened: Instant },
    /// The dialect is known, and the session has not begun. The time limit for registering began at `opened`.
    Registering { opened: Instant },
    /// The peer has a session.
    Talking,
    /// No more input is taken from the peer.
    Closing,
}

/// The unprocessed rest of a line. The connection processes it later, because the peer must wait.
#[derive(Debug)]
pub(super) struct Deferred {
    /// The command to execute before `rest`, if there is one. The command joins rooms, or follows the answer to another
    /// command. It is already charged.
    pub(super) charged: Option<Command<'static>>,
    /// The steps of the line that were not processed yet.
    pub(super) rest: Commands<'static>,
}

/// Facts about the connection that its conversation can't observe itself.
pub(super) struct Facts<'a> {
    pub(super) now: Instant,
    pub(super) limits: &'a Limits,
    /// The dialects that the peer may speak.
    pub(super) dialects: &'a Dialects,
    /// Whether so much output waits for the peer that the connection does not read the peer's input.
    pub(super) is_full: bool,
    /// Whether the connection must catch up before it processes further input. It then writes a replay, a list of
    /// members, or the late reply to a published message.
    pub(super) must_catch_up: bool,
    /// Whether the peer has ended its half of the stream.
    pub(super) has_ended: bool,
}

/// What the connection must do next.
pub(super) enum Next {
    /// Wait until something is read or a deadline passes.
    Wait,
    /// Publish these messages.
    Publish(Box<Waiting>),
    /// Begin a session in this dialect, unless the connection has a session, and greet the peer.
    Begin(Box<dyn Dialect>),
    /// Send these bytes.
    Send(Bytes),
    /// Send these bytes and close.
    Refuse(Bytes),
    /// Process one item of the input: a line or a frame, or why it was rejected.
    Item(Inbound),
    /// Apply the dialect's options again: the dialect was told a new delimiter, and its options may depend on the
    /// delimiter. Then process the item, if there is one.
    Delimited(Option<Inbound>),
    /// Continue with the rest of a line that was deferred.
    Resume(Box<Deferred>),
    /// Answer a published message now, because delivery has not reached it in time.
    AnswerOwed,
    /// Tell the peer that its unfinished line or frame was dropped. The value says why: it is `Oversized` or
    /// `Unfinished`.
    GiveUp(Inbound),
    /// Send these bytes, which ask a silent peer whether it is still there.
    Ping(BytesMut),
    /// End the session.
    Close(CloseReason),
}

/// One step of a line, and the messages that must be published before this step.
pub(super) struct Do<'a> {
    /// Messages that the connection publishes before it executes `then`.
    pub(super) first: Option<Box<Waiting>>,
    pub(super) then: Then<'a>,
}

/// What the connection must do for one step of a line. A step is a command, or bytes that the dialect answers
/// by itself.
pub(super) enum Then<'a> {
    /// Send the dialect's own answer.
    Send(BytesMut),
    /// Add this message to the messages that wait to be published.
    Draft(Draft<'a>),
    /// Execute a command.
    Perform(Command<'a>),
    /// Tell the peer why the request is refused.
    Refuse(Refusal),
}

/// What a peer claims when it authenticates.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Claim {
    /// The peer owns an account.
    Account,
    /// The peer is a server operator.
    Operator,
}

/// The result of drafting a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Drafted {
    /// The message waits to be published.
    Added,
    /// The peer must be told why the message is refused.
    Refused,
}

impl Conversation {
    pub(super) fn new(limits: &Limits, opened: Instant, now: Instant) -> Self {
        Self {
            state: State::Detecting {
                opened,
                needs_more: false,
                is_greeted: false,
            },
            dialect: None,
            framing: Framing::new(limits, now),
            pace: Pace::new(limits, now),
            heartbeat: None,
            waiting: None,
            deferred: None,
            owed: None,
            is_held_up: false,
            failed_accounts: 0,
            failed_operators: 0,
        }
    }

    /// Sets the dialect of the peer, whatever its first bytes are.
    pub(super) fn choose(&mut self, dialect: Box<dyn Dialect>, opened: Instant) {
        self.state = State::Chosen { opened };
        self.dialect = Some(dialect);
        self.is_held_up = true;
    }

    /// Processes bytes from the peer. Returns the frames with which the framing itself answers, such as the pong to a
    /// ping.
    pub(super) fn push(&mut self, bytes: &[u8], now: Instant) -> Bytes {
        if let Some(heartbeat) = &mut self.heartbeat {
            heartbeat.hear(now);
        }
        self.framing.push(bytes, now)
    }

    /// Returns what the connection must do now. The connection does this and then calls `next` again.
    pub(super) fn next(&mut self, facts: &Facts<'_>) -> Next {
        if self.is_detecting()
            && let Some(next) = self.detect(facts)
        {
            return next;
        }
        if let State::Chosen { opened } = self.state
            && let Some(dialect) = self.dialect.take()
        {
            self.state = State::Registering { opened };
            return Next::Begin(dialect);
        }
        if !self.takes_items() {
            // Nothing can be processed until more bytes or a deadline change the state.
            self.is_held_up = false;
            return Next::Wait;
        }
        self.hold_follow_up(facts);
        let has_more = self.has_more();
        if self.must_pause(has_more, facts) {
            self.is_held_up = has_more;
            return self.waiting.take().map_or(Next::Wait, Next::Publish);
        }
        if let Some(deferred) = self.deferred.take() {
            return Next::Resume(deferred);
        }
        if let Some(inbound) = self.framing.next() {
            self.is_held_up = true;
            self.pace.take_token(facts.now);
            return Next::Item(inbound);
        }
        if self.framing.has_failed() {
            return self.close(CloseReason::Failed);
        }
        self.is_held_up = false;
        if let Some(waiting) = self.waiting.take() {
            return Next::Publish(waiting);
        }
        if self.framing.has_ended() {
            return self.close(CloseReason::Disconnected);
        }
        if facts.has_ended
            && let Some(last) = self.framing.finish()
        {
            self.pace.take_token(facts.now);
            return Next::Item(last);
        }
        Next::Wait
    }

    /// Returns the commands and answers that a line asks for. [`step`](Self::step) takes them one by one.
    pub(super) fn receive<'a>(&mut self, line: &'a str) -> Commands<'a> {
        let mut commands = Commands::default();
        if let Some(dialect) = &mut self.dialect {
            dialect.receive(line, &mut commands);
        }
        commands
    }

    /// Takes the next step of a line. Returns the step, and the messages that must be published before the step.
    /// Returns `None` at the end of the line.
    pub(super) fn step<'a>(&mut self, commands: &mut Commands<'a>) -> Option<Do<'a>> {
        let then = match commands.pop()? {
            Step::Bytes(out) => Then::Send(out),
            Step::Command(command)
                if matches!(self.state, State::Registering { .. })
                    && !precedes_session(&command) =>
            {
                Then::Refuse(Refusal::not_registered())
            }
            Step::Command(command) => then(command),
        };
        // A message joins the messages that wait. Before any other step, the waiting messages are published, so that
        // the replies keep the order of the commands. A change of the room's state is published alone, so it does not
        // join waiting messages.
        let first = match &then {
            Then::Draft(draft) if !draft.kind.is_state() => None,
            _ => self.waiting.take(),
        };
        Some(Do { first, then })
    }

    /// Takes a token for the next command of a line, if the line has another command. Returns the rest of the line if
    /// the connection can process it now. Otherwise defers the rest of the line and returns `None`.
    pub(super) fn goes_on<'a>(
        &mut self,
        commands: Commands<'a>,
        facts: &Facts<'_>,
    ) -> Option<Commands<'a>> {
        let has_command = commands.has_command();
        if has_command {
            self.pace.take_token(facts.now);
        }
        if self.must_pause(has_command, facts) {
            self.defer(None, commands);
            return None;
        }
        Some(commands)
    }

    /// Keeps the steps of a line that were not processed yet, until [`next`](Self::next) returns them in
    /// [`Next::Resume`]. `charged` is the command to execute before `rest`. It is already charged.
    pub(super) fn defer(&mut self, charged: Option<Command<'static>>, rest: Commands<'_>) {
        self.is_held_up = true;
        let rest = rest.into_owned();
        self.deferred = Some(Box::new(Deferred { charged, rest }));
    }

    /// Notes that the answer to a command is complete after its line was processed, so that the connection calls
    /// [`next`](Self::next), which asks the dialect for the command that follows.
    pub(super) const fn expect_follow_up(&mut self) {
        self.is_held_up = true;
    }

    /// Returns the dialect's command that follows an answer, and takes the token that it costs.
    pub(super) fn follow_up(&mut self, facts: &Facts<'_>) -> Option<Command<'static>> {
        let command = self.dialect.as_mut()?.follow_up()?;
        self.pace.take_token(facts.now);
        Some(command)
    }

    /// Defers the command that follows an answer which came after its line was processed, such as a long list of
    /// members. The command is executed before the deferred rest of a line.
    fn hold_follow_up(&mut self, facts: &Facts<'_>) {
        let has_charged = |deferred: &Deferred| deferred.charged.is_some();
        let is_behind = self.waiting.is_some() || self.owed.is_some();
        if is_behind || self.deferred.as_deref().is_some_and(has_charged) {
            return;
        }
        if let Some(command) = self.follow_up(facts) {
            let deferred = self.deferred.take();
            let rest = deferred.map_or_else(Commands::default, |deferred| deferred.rest);
            self.defer(Some(command), rest);
        }
    }

    /// Returns whether the message `text` can be added to the waiting messages: they have the same target, and the
    /// batch stays within [`Limits::batch_bytes`].
    pub(super) fn has_space_for(&self, target: &Target, text: &str, limits: &Limits) -> bool {
        let batch_bytes = limits.batch_bytes.get();
        let waiting = self.waiting.as_ref();
        waiting.is_some_and(|waiting| waiting.has_space_for(target, text, batch_bytes))
    }

    /// Returns the messages that must be published now, after a message was added or refused. If a message was refused,
    /// the earlier messages are published before the refusal is sent.
    ///
    /// A topic or a change of modes is published alone, so that its author sees it in order. With [`Echo::Reply`], every
    /// message is published alone, because the reply to a message is written at the message's place among the messages
    /// of the room.
    pub(super) fn drafted(&mut self, kind: Kind, drafted: Drafted) -> Option<Box<Waiting>> {
        let is_alone = kind.is_state() || self.echo() == Echo::Reply;
        match drafted {
            Drafted::Added if !is_alone => None,
            Drafted::Added | Drafted::Refused => self.waiting.take(),
        }
    }

    /// Writes the dialect's separator between two replayed messages, if they are of different days.
    pub(super) fn write_day(
        &self,
        previous: Timestamp,
        next: Timestamp,
        now: Timestamp,
        out: &mut BytesMut,
    ) {
        if let Some(dialect) = &self.dialect {
            dialect.write_day(previous, next, now, out);
        }
    }

    /// Returns whether and how the peer receives its own messages.
    pub(super) fn echo(&self) -> Echo {
        self.dialect
            .as_ref()
            .map_or(Echo::Exclude, |dialect| dialect.echo())
    }

    pub(super) const fn waiting(&self) -> Option<&Waiting> {
        match &self.waiting {
            Some(waiting) => Some(waiting),
            None => None,
        }
    }

    pub(super) const fn take_waiting(&mut self) -> Option<Box<Waiting>> {
        self.waiting.take()
    }

    /// Returns the batch to which a message is added: the batch that waits, or a new batch for `target` if none waits.
    pub(super) fn batch_for(
        &mut self,
        target: Target,
        begin: impl FnOnce() -> Drafts,
    ) -> &mut Waiting {
        self.waiting.get_or_insert_with(|| {
            Box::new(Waiting {
                target,
                drafts: begin(),
                claims: Vec::new(),
            })
        })
    }

    /// Applies the framing and the options of a dialect. The new framing gets the input that has arrived so far.
    /// Returns the bytes with which the framing answers this input.
    pub(super) fn adopt(&mut self, dialect: &dyn Dialect, limits: &Limits, now: Instant) -> Bytes {
        let answers = self.framing.set_dialect(dialect, limits, now);
        if !self.is_detecting() {
            // `answers` already holds the withheld answers to telnet's commands, so this call returns none.
            drop(self.framing.decide_lines());
        }
        let has_heartbeat = dialect.options().has_heartbeat;
        self.heartbeat = has_heartbeat.then(|| Heartbeat::new(now));
        answers
    }

    /// Notes that the peer has a session and was greeted.
    pub(super) fn begin(&mut self, dialect: Box<dyn Dialect>) {
        self.dialect = Some(dialect);
        match &mut self.state {
            State::Detecting { is_greeted, .. } => *is_greeted = true,
            State::Registering { .. } => self.state = State::Talking,
            State::Chosen { .. } | State::Talking | State::Closing => {}
        }
    }

    /// Lets the peer register over several lines. The peer has no session until it has registered.
    pub(super) fn register(&mut self, dialect: Box<dyn Dialect>) {
        // The state is already `Registering`: `next` or `open` has set it.
        self.dialect = Some(dialect);
        self.heartbeat = None;
    }

    /// Notes that the peer has completed its registration and now has a session.
    pub(super) fn registered(&mut self, now: Instant) {
        let options = self.dialect.as_ref().map(|dialect| dialect.options());
        let has_heartbeat = options.is_some_and(|options| options.has_heartbeat);
        self.heartbeat = has_heartbeat.then(|| Heartbeat::new(now));
        self.state = State::Talking;
    }

    /// Resets the number of failures to prove this, because the peer has proved it.
    pub(super) const fn proved(&mut self, claim: Claim) {
        *self.failures(claim) = 0;
    }

    /// Counts a failure to prove this. Returns whether too many have failed in a row. A limit above 65,535 is none.
    pub(super) const fn note_not_proved(&mut self, claim: Claim, limits: &Limits) -> bool {
        let failures = self.failures(claim);
        *failures = failures.saturating_add(1);
        *failures as u32 >= limits.failed_authentications.get()
    }

    const fn failures(&mut self, claim: Claim) -> &mut u16 {
        match claim {
            Claim::Account => &mut self.failed_accounts,
            Claim::Operator => &mut self.failed_operators,
        }
    }

    /// Makes the connection process the input that arrived before the peer was greeted.
    pub(super) fn let_speak(&mut self) {
        self.is_held_up = self.framing.has_pending() || self.framing.has_answers();
    }

    /// Stops taking input from the peer. Returns the instruction to end the session.
    pub(super) fn close(&mut self, reason: CloseReason) -> Next {
        self.state = State::Closing;
        self.is_held_up = false;
        Next::Close(reason)
    }

    /// Appends the goodbye of the dialect and of the framing.
    pub(super) fn goodbye(&mut self, reason: &CloseReason, out: &mut BytesMut) {
        if let Some(dialect) = &mut self.dialect {
            dialect.goodbye(reason, out);
            self.framing.close(reason, out);
        }
    }

    /// Returns whether a session joins the lobby after the application removed the session from a room or closed the
    /// room. The session joins only if it has no other room and its dialect has the option `arrives_in_lobby`. A
    /// session that was removed from the lobby joins again only if the lobby was closed.
    pub(super) fn must_move(&self, has_room: bool, was_lobby: bool, is_closed: bool) -> bool {
        let options = self.dialect.as_ref().map(|dialect| dialect.options());
        !has_room
            && (is_closed || !was_lobby)
            && options.is_some_and(|options| options.arrives_in_lobby)
    }

    /// Returns whether an unfinished line or frame has a time limit. [`set_paused`](Self::set_paused) can stop the
    /// clock of this limit.
    pub(super) fn is_timed(&self) -> bool {
        self.framing.is_timed()
    }

    /// Stops the clock of an unfinished line or frame while the connection does not read, because the peer can't finish
    /// it then.
    pub(super) fn set_paused(&mut self, is_paused: bool, now: Instant) {
        self.framing.set_paused(is_paused, now);
    }

    /// Tells the heartbeat that the peer's silence until `now` does not count, because the connection did not read from
    /// the peer.
    pub(super) fn excuse_silence(&mut self, now: Instant) {
        if let Some(heartbeat) = &mut self.heartbeat {
            heartbeat.excuse(now);
        }
    }

    /// Returns whether the connection does not read from the peer now.
    pub(super) const fn is_paused(&self) -> bool {
        // While the dialect is being detected, the rate limit stops reading only if some input can't be processed yet.
        self.owed.is_some()
            || self.pace.paused_until().is_some() && (!self.is_detecting() || self.is_held_up)
    }

    pub(super) const fn is_held_up(&self) -> bool {
        self.is_held_up
    }

    pub(super) const fn pace(&self) -> &Pace {
        &self.pace
    }

    pub(super) const fn pace_mut(&mut self) -> &mut Pace {
        &mut self.pace
    }

    pub(super) fn dialect(&self) -> Option<&dyn Dialect> {
        self.dialect.as_deref()
    }

    pub(super) const fn dialect_mut(&mut self) -> Option<&mut Box<dyn Dialect>> {
        self.dialect.as_mut()
    }

    /// Returns why a line or frame was rejected; `None` if it was accepted.
    pub(super) fn refusal_of(&self, rejected: &Inbound) -> Option<Refusal> {
        Refusal::of_line(rejected, self.framing.item_bytes_max())
    }

    /// Returns whether the peer is known to send lines or frames. Another peer may send text that only silence ends.
    pub(super) fn sends_items(&self) -> bool {
        self.framing.sends_items()
    }

    const fn is_detecting(&self) -> bool {
        matches!(self.state, State::Detecting { .. })
    }

    const fn has_session(&self) -> bool {
        matches!(
            self.state,
            State::Detecting {
                is_greeted: true,
                ..
            } | State::Talking
        )
    }

    const fn takes_items(&self) -> bool {
        match self.state {
            State::Detecting {
                needs_more,
                is_greeted,
                ..
            } => is_greeted && !needs_more,
            State::Registering { .. } | State::Talking => true,
            State::Chosen { .. } | State::Closing => false,
        }
    }

    fn has_more(&self) -> bool {
        self.deferred.is_some() || self.framing.has_pending()
    }

    /// Returns whether the peer's input must wait. It waits in each of these cases:
    /// - reading is paused;
    /// - unprocessed input is left, and the connection or its address has no tokens;
    /// - the peer does not read its output;
    /// - a replay, a list of members or a late reply must be written;
    /// - the last published message is not answered yet.
    fn must_pause(&mut self, has_more: bool, facts: &Facts<'_>) -> bool {
        self.pace.paused_until().is_some()
            || has_more && self.pace.must_wait(facts.now)
            || facts.must_catch_up
            || facts.is_full
            || self.owed.is_some()
    }
}
