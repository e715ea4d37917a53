//! The task of a client: connects, moves bytes and events, and reconnects.
//!
//! Invariant: the task waits in one `select!`. The task continues if the caller does not read its events, and if the
//! server does not read the client's requests.

use super::RequestError;
use super::backoff::Backoff;
use super::builder::{ByteStream, Connect, OpenError};
use super::conversation::{Conversation, Heard};
use super::event::Event;
use super::link::{Link, Step};
use super::pace::Pace;
use super::request::{Call, RequestKind};
use futures::future::BoxFuture;
use std::io;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{mpsc, oneshot};
use tokio::time::{Instant, Sleep, sleep_until, timeout};

/// The time limit for opening a connection, and the separate time limit for the answer to the hello.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

/// The longest delay before a reconnect. If a server asks for a longer delay, the client waits for this time only.
const AWAY_MAX: Duration = Duration::from_secs(5 * 60);

pub(super) struct Driver {
    pub(super) connector: Arc<dyn Connect>,
    pub(super) conversation: Conversation,
    pub(super) calls: mpsc::Receiver<Call>,
    pub(super) events: mpsc::Sender<Event>,
    /// Sends the result of the first attempt to connect, if a caller waits for the result. If this sender is set, a
    /// failure of the first attempt closes the client.
    pub(super) opened: Option<oneshot::Sender<Result<(), OpenError>>>,
    pub(super) backoff: Backoff,
    pub(super) pace: Pace,
}

enum Phase {
    Connecting(BoxFuture<'static, io::Result<Box<dyn ByteStream>>>),
    /// The connection is open. The server must answer the hello by this time.
    Greeting(Link, Instant),
    Online(Link),
    Waiting(std::pin::Pin<Box<Sleep>>),
}

impl Phase {
    const fn is_online(&self) -> bool {
        matches!(self, Self::Online(_))
    }
}

/// What has woken the task.
enum Wake {
    /// The channel of events has space, or its receiver was dropped.
    Room {
        /// Whether the receiver still exists.
        is_wanted: bool,
    },
    /// A request of the caller; `None` if all handles were dropped.
    Call(Option<Call>),
    Connected(io::Result<Box<dyn ByteStream>>),
    /// Bytes were read or written, or the connection failed.
    Moved(io::Result<Step>),
    /// The server has not answered the hello in time, or was silent for too long.
    Deadline,
    /// The delay before the next attempt to connect is over.
    Rested,
    /// The client has waited long enough for a fast caller to take its events, and reads the connection again.
    Released,
}

/// Why a connection ended.
enum Lost {
    Broken(io::Error),
    /// The server refused the hello.
    Refused(RequestError),
    /// The server closes the connection. The value is the delay before the client should connect again; `None` if the
    /// server named no delay.
    Bye(Option<Duration>),
    /// The server closed the session for good, with this reason.
    SentAway(String),
    /// The client has quit.
    Over,
}

impl Driver {
    pub(super) async fn run(mut self) {
        let mut phase = self.connecting();
        let mut has_callers = true;
        loop {
            let takes_calls = has_callers && self.conversation.takes_calls();
            let held_until = self.held_until(&phase);
            let wake = tokio::select! {
                // `biased` delivers events before the client reads more from the connection. No branch starves the
                // later ones: the channel of events fills up, and the number of unanswered requests is limited.
                biased;
                permit = self.events.reserve(), if self.conversation.has_event() => {
                    let is_wanted = permit.is_ok();
                    Wake::Room { is_wanted }
                }
                call = self.calls.recv(), if takes_calls => Wake::Call(call),
                wake = wait(&mut phase, &mut self.conversation), if held_until.is_none() => wake,
                () = sleep_until(held_until.unwrap_or_else(Instant::now)), if held_until.is_some() => Wake::Released,
            };
            has_callers &= !matches!(wake, Wake::Call(None));
            if let Err(lost) = self.advance(&mut phase, wake) {
                match self.lose(lost) {
                    Some(next) => phase = next,
                    None => return self.end().await,
                }
            }
        }
    }

    fn connecting(&self) -> Phase {
        let connecting = self.connector.connect();
        Phase::Connecting(Box::pin(async move {
            match timeout(CONNECT_TIMEOUT, connecting).await {
                Ok(connected) => connected,
                Err(_) => Err(io::ErrorKind::TimedOut.into()),
            }
        }))
    }

    /// Handles the event that has woken the task.
    fn advance(&mut self, phase: &mut Phase, wake: Wake) -> Result<(), Lost> {
        let now = Instant::now();
        match wake {
            Wake::Room { is_wanted } => self.hand_out(is_wanted, now),
            Wake::Call(Some(call)) if call.kind == RequestKind::Quit && !phase.is_online() => {
                // Without a connection, the client closes at once. The send fails if the caller has dropped its future.
                drop(call.done.send(Ok(String::new())));
                return Err(Lost::Over);
            }
            Wake::Call(Some(call)) => self.conversation.call(call, now),
            Wake::Call(None) | Wake::Released => {}
            Wake::Rested => *phase = self.connecting(),
            Wake::Connected(stream) => {
                self.conversation.begin(now);
                let link = Link::new(stream.map_err(Lost::Broken)?);
                *phase = Phase::Greeting(link, now + CONNECT_TIMEOUT);
            }
            Wake::Deadline => {
                if self.conversation.break_silence() {
                    return Err(Lost::Broken(io::ErrorKind::TimedOut.into()));
                }
            }
            Wake::Moved(moved) => {
                if moved.map_err(Lost::Broken)? == Step::Read {
                    self.hear(phase, now)?;
                }
            }
        }
        Ok(())
    }

    /// Returns the time until which the client does not read the connection. During this time, a fast caller takes the
    /// waiting events. Returns `None` if the client may read the connection now.
    fn held_until(&self, phase: &Phase) -> Option<Instant> {
        let is_held = phase.is_online() && self.conversation.is_crowded();
        let brisk_until = || self.pace.brisk_until(Instant::now());
        is_held.then(brisk_until).flatten()
    }

    /// Moves events to the channel until the channel is full. If the receiver was dropped, discards all events.
    fn hand_out(&mut self, is_wanted: bool, now: Instant) {
        let mut taken = 0;
        while !is_wanted || self.events.capacity() > 0 {
            let Some(event) = self.conversation.take_event(now) else {
                break;
            };
            if is_wanted {
                // This send succeeds: the loop has checked the capacity, and the channel has no other sender.
                drop(self.events.try_send(event));
            }
            taken += 1;
        }
        self.pace.note(taken, self.conversation.has_event(), now);
    }

    fn hear(&mut self, phase: &mut Phase, now: Instant) -> Result<(), Lost> {
        let (Phase::Greeting(link, _) | Phase::Online(link)) = phase else {
            return Ok(());
        };
        let mut is_welcome = false;
        while let Some(line) = link.next_line().map_err(Lost::Broken)? {
            match self.conversation.hear(&line, now) {
                Heard::GoOn => {}
                Heard::Welcome => is_welcome = true,
                Heard::Refused(error) => return Err(Lost::Refused(error)),
                Heard::Bye(after) => return Err(Lost::Bye(after)),
                Heard::SentAway(why) => return Err(Lost::SentAway(why)),
                Heard::Over => return Err(Lost::Over),
            }
        }
        if is_welcome {
            self.backoff.reset();
            self.opened.take().map(|opened| opened.send(Ok(())));
            let before =
                std::mem::replace(phase, Phase::Connecting(Box::pin(std::future::pending())));
            if let Phase::Greeting(link, _) = before {
                *phase = Phase::Online(link);
            }
        }
        Ok(())
    }

    /// Handles a lost connection. Returns the next phase, or `None` if the client closes.
    fn lose(&mut self, lost: Lost) -> Option<Phase> {
        let now = Instant::now();
        self.conversation.interrupt(now);
        let is_first = self.opened.is_some();
        let (why, wait) = match lost {
            Lost::Over => {
                self.conversation.close("the client has quit".into());
                return None;
            }
            Lost::SentAway(why) => {
                let why = format!("the server closed the connection: {why}");
                self.conversation.close(why);
                return None;
            }
            Lost::Refused(error) if self.conversation.falls_back(&error, now) => {
                (error.to_string(), Duration::ZERO)
            }
            Lost::Refused(error) => {
                if is_first || !may_pass(&error) {
                    let why = error.to_string();
                    self.opened
                        .take()
                        .map(|opened| opened.send(Err(OpenError::Refused(error))));
                    self.conversation.close(why);
                    return None;
                }
                (error.to_string(), self.backoff.next())
            }
            Lost::Broken(error) if is_first => {
                let why = error.to_string();
                let error = match error.kind() {
                    io::ErrorKind::InvalidData => OpenError::NoChat(why.clone()),
                    _ => OpenError::Unreachable(error),
                };
                self.opened.take().map(|opened| opened.send(Err(error)));
                self.conversation.close(why);
                return None;
            }
            Lost::Broken(error) => (error.to_string(), self.backoff.next()),
            Lost::Bye(_) if is_first => {
                let why = "the server is shutting down".to_owned();
                let error = io::Error::new(io::ErrorKind::ConnectionAborted, why.clone());
                let error = OpenError::Unreachable(error);
                self.opened.take().map(|opened| opened.send(Err(error)));
                self.conversation.close(why);
                return None;
            }
            Lost::Bye(after) => {
                let after = after.unwrap_or_default();
                let wait = after.clamp(self.backoff.next(), AWAY_MAX);
                ("the server is shutting down".into(), wait)
            }
        };
        self.conversation.note_offline(why, wait);
        Some(Phase::Waiting(Box::pin(sleep_until(now + wait))))
    }

    /// Fails the requests that wait in the channel. Then sends the remaining events, unless their receiver was dropped.
    async fn end(mut self) {
        self.calls.close();
        while let Some(call) = self.calls.recv().await {
            // The send fails if the caller has dropped its future.
            drop(call.done.send(Err(RequestError::Closed)));
        }
        while let Some(event) = self.conversation.take_event(Instant::now()) {
            if self.events.send(event).await.is_err() {
                return;
            }
        }
    }
}

/// Waits for the next step of the connection. The future is cancel safe.
async fn wait(phase: &mut Phase, conversation: &mut Conversation) -> Wake {
    match phase {
        Phase::Connecting(connecting) => Wake::Connected(connecting.await),
        Phase::Waiting(sleep) => {
            sleep.await;
            Wake::Rested
        }
        Phase::Greeting(link, by) => {
            let by = *by;
            step(link, conversation, by).await
        }
        Phase::Online(link) => {
            let by = conversation.deadline();
            step(link, conversation, by).await
        }
    }
}

async fn step(link: &mut Link, conversation: &mut Conversation, by: Instant) -> Wake {
    tokio::select! {
        moved = link.step(conversation.output()) => Wake::Moved(moved),
        () = sleep_until(by) => Wake::Deadline,
    }
}

/// Returns whether the server may accept a refused hello later. The server may accept it if the refusal says when to
/// try again. The server may also accept it if the nick is taken, because a lost connection of this client may still
/// hold the nick.
fn may_pass(error: &RequestError) -> bool {
    match error {
        RequestError::Refused { code, retry, .. } => retry.is_some() || code == "nick_taken",
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::{AWAY_MAX, CONNECT_TIMEOUT};
    use crate::{ByteStream, Client, Connect, Event, OpenError, RequestError};
    use futures::FutureExt;
    use std::io;
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::sync::{Arc, Mutex};
    use std::time::Duration;
    use tokio::io::AsyncWriteExt;
    use tokio::time::timeout;

    /// Returns a connector to a server that sends only `words` on each connection, and the counter of the connections.
    fn parrot(words: &'static str) -> (impl Connect, Arc<AtomicUsize>) {
        let count = Arc::new(AtomicUsize::new(0));
        let counting = Arc::clone(&count);
        // Keeps the server's ends of the streams, so that the streams stay open.
        let ends = Arc::new(Mutex::new(Vec::new()));
        let connect = move || {
            counting.fetch_add(1, Ordering::Relaxed);
            let ends = Arc::clone(&ends);
            async move {
                let (near, mut far) = tokio::io::duplex(4096);
                far.write_all(words.as_bytes()).await?;
                ends.lock().expect("no panic").push(far);
                io::Result::Ok(Box::new(near) as Box<dyn ByteStream>)
            }
            .boxed()
        };
        (connect, count)
    }

    const BYE: &str = "{\"ev\":\"bye\",\"code\":\"draining\",\"reconnect\":true}\n";

    #[tokio::test(start_paused = true)]
    async fn opening_fails_if_the_server_says_goodbye_instead_of_welcome() {
        let opened = timeout(CONNECT_TIMEOUT, Client::connect_with(parrot(BYE).0).open());
        let failed = opened.await.expect("it is known at once");
        assert!(matches!(failed, Err(OpenError::Unreachable(_))));
    }

    #[tokio::test(start_paused = true)]
    async fn a_server_that_says_goodbye_to_whoever_comes_is_left_in_peace() {
        let (connect, count) = parrot(BYE);
        let client = Client::connect_with(connect).start();
        tokio::time::sleep(Duration::from_secs(60)).await;
        let came = count.load(Ordering::Relaxed);
        assert!((3..20).contains(&came), "{came} times in a minute");
        drop(client);
    }

    #[tokio::test(start_paused = true)]
    async fn no_server_sends_a_client_away_for_ever() {
        let (connect, count) = parrot(
            "{\"ev\":\"bye\",\"code\":\"draining\",\"reconnect\":true,\"after_ms\":9999999999}\n",
        );
        let client = Client::connect_with(connect).start();
        tokio::time::sleep(AWAY_MAX + Duration::from_secs(1)).await;
        assert_eq!(count.load(Ordering::Relaxed), 2);
        drop(client);
    }

    #[tokio::test(start_paused = true)]
    async fn a_client_without_a_connection_quits_at_once() {
        let (client, mut events) = Client::connect_with(|| std::future::pending().boxed()).start();
        client.quit("").await.unwrap();
        assert!(matches!(events.next().await, Some(Event::Closed { .. })));
        assert_eq!(client.say("ops", "hi").await, Err(RequestError::Closed));
    }
}
