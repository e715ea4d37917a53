//! Does what the [`Conversation`] asks for. All work that must be awaited begins in this file.
//!
//! Invariant: this file decides nothing that the conversation could decide.

use crate::connection::connection::Connection;
use crate::connection::conversation::{
    Conversation, Deferred, Do, Draft, Drafted, Facts, Next, Then,
};
use crate::connection::transport::waiting_max;
use crate::event::CloseReason;
use crate::line::Inbound;
use crate::protocol::{Command, Commands};
use crate::request::TooSoon;
use crate::time_slice::TimeSlice;
use tokio::io::AsyncRead;
use tokio::time::Instant;

/// The number of steps after which the connection checks whether its time slice is over. A step that only adds a
/// message to the waiting messages takes about 1 us.
const STEPS_PER_LOOK: u32 = 64;

impl<R: AsyncRead + Send + Unpin> Connection<R> {
    /// Calls `ask` with the conversation and the current [`Facts`]. If the call begins a pause in reading, counts the
    /// pause.
    pub(super) fn ask_conversation<T>(
        &mut self,
        ask: impl FnOnce(&mut Conversation, &Facts<'_>) -> T,
    ) -> T {
        let was_paused = self.conversation.pace().paused_until().is_some();
        let output = self.transport.outbound().progress();
        let facts = Facts {
            now: Instant::now(),
            must_catch_up: output.is_due || self.must_catch_up(),
            limits: self.hub.limits(),
            dialects: &self.dialects,
            is_full: output.waiting >= waiting_max(self.hub.limits()),
            has_ended: self.transport.has_ended(),
        };
        let answer = ask(&mut self.conversation, &facts);
        if !was_paused && self.conversation.pace().paused_until().is_some() {
            self.hub.counters().rate_pauses.add(1);
        }
        answer
    }

    /// Executes `next`, and then each step that the conversation asks for, until the connection must wait. Returns the
    /// reason if the connection must end.
    pub(super) async fn work(&mut self, mut next: Next) -> Option<CloseReason> {
        let mut slice = TimeSlice::begin();
        for done in 1.. {
            if done % STEPS_PER_LOOK == 0 {
                slice.yield_if_over().await;
            }
            let closes = match next {
                Next::Wait => break,
                Next::Publish(waiting) => {
                    self.publish(*waiting).await;
                    None
                }
                Next::Begin(dialect) => Box::pin(self.arrive(dialect)).await,
                Next::Send(answers) => {
                    self.transport.send(&answers);
                    None
                }
                Next::Refuse(answer) => {
                    self.transport.send(&answer);
                    Some(CloseReason::Disconnected)
                }
                Next::Item(inbound) => self.process(inbound, &mut slice).await,
                Next::Delimited(inbound) => {
                    self.apply_options();
                    match inbound {
                        Some(inbound) => self.process(inbound, &mut slice).await,
                        None => None,
                    }
                }
                Next::Resume(deferred) => self.resume(*deferred, &mut slice).await,
                Next::GiveUp(unfinished) => {
                    self.tell_rejected(&unfinished);
                    return None;
                }
                Next::AnswerOwed => {
                    self.write_owed_out_of_place();
                    None
                }
                Next::Ping(question) => {
                    self.send(question);
                    return None;
                }
                Next::Close(reason) => Some(reason),
            };
            if closes.is_some() {
                return closes;
            }
            next = self.ask_conversation(Conversation::next);
        }
        // The peer's silence until now does not count: input that arrived while the policy or the journal worked is not
        // read yet.
        self.conversation.excuse_silence(Instant::now());
        // Without this yield, a socket that always has input would occupy the worker thread until Tokio's budget of 128
        // operations is used up.
        slice.yield_if_over().await;
        None
    }

    async fn process(&mut self, inbound: Inbound, slice: &mut TimeSlice) -> Option<CloseReason> {
        let Inbound::Line(line) = inbound else {
            self.publish_waiting().await;
            self.tell_rejected(&inbound);
            slice.yield_if_over().await;
            return None;
        };
        let commands = self.conversation.receive(&line);
        self.work_through(commands, slice).await
    }

    /// Continues a line that was deferred: executes the command that is already charged, if there is one, and then the
    /// rest of the line.
    async fn resume(&mut self, deferred: Deferred, slice: &mut TimeSlice) -> Option<CloseReason> {
        let Deferred { charged, rest } = deferred;
        let Some(command) = charged else {
            return self.work_through(rest, slice).await;
        };
        let closes = self.perform(command).await;
        if closes.is_some() {
            return closes;
        }
        if let Some(follow_up) = self.ask_conversation(Conversation::follow_up) {
            self.conversation.defer(Some(follow_up), rest);
        } else if !rest.is_empty()
            && let Some(rest) = self.ask_conversation(|talk, facts| talk.goes_on(rest, facts))
        {
            self.conversation.defer(None, rest);
        }
        None
    }

    /// Executes the steps of a line until the line ends or the peer must wait. Returns a reason if the connection must
    /// close.
    async fn work_through(
        &mut self,
        mut commands: Commands<'_>,
        slice: &mut TimeSlice,
    ) -> Option<CloseReason> {
        while let Some(Do { first, then }) = self.conversation.step(&mut commands) {
            if let Some(waiting) = first {
                self.publish(*waiting).await;
            }
            // The rate limit charges each command of a line after the first. The dialect's own answers are not
            // commands.
            let is_command = !matches!(then, Then::Send(_));
            match then {
                Then::Send(out) => {
                    self.send(out);
                    slice.yield_if_over().await;
                }
                Then::Draft(draft) => self.say(draft).await,
                Then::Refuse(refusal) => self.tell_refused(Err(refusal)),
                Then::Perform(command) => {
                    slice.yield_if_over().await;
                    match self.waits_to_join(&command) {
                        Ok(false) => {
                            if let Some(reason) = self.perform(command).await {
                                return Some(reason);
                            }
                        }
                        Ok(true) => {
                            let charged = Some(command.into_owned());
                            self.conversation.defer(charged, commands);
                            return None;
                        }
                        Err(TooSoon(wait)) if matches!(command, Command::Hello { .. }) => {
                            return Some(CloseReason::TooSoon(wait));
                        }
                        Err(too_soon) => self.tell_refused(Err(too_soon.into())),
                    }
                }
            }
            // The command that follows an answer waits like the rest of a line, so that a peer that does not read a long
            // list is not sent all of it.
            if is_command && let Some(follow_up) = self.ask_conversation(Conversation::follow_up) {
                self.conversation.defer(Some(follow_up), commands);
                return None;
            }
            if is_command && !commands.is_empty() {
                commands = self.ask_conversation(|talk, facts| talk.goes_on(commands, facts))?;
            }
        }
        None
    }

    async fn say(&mut self, draft: Draft<'_>) {
        let kind = draft.kind;
        let added = self.draft(draft).await;
        let drafted = match added {
            Ok(()) => Drafted::Added,
            Err(_) => Drafted::Refused,
        };
        if let Some(waiting) = self.conversation.drafted(kind, drafted) {
            self.publish(*waiting).await;
        }
        self.tell_refused(added);
    }

    /// Publishes the messages that wait to be published together.
    pub(super) async fn publish_waiting(&mut self) {
        if let Some(waiting) = self.conversation.take_waiting() {
            self.publish(*waiting).await;
        }
    }
}
