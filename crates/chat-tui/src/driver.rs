//! The driver: the only part that does I/O. It reads keys, events and answers, runs effects, and draws frames.
//!
//! Invariant: the next frame shows every key that was pressed, however many events arrive. At most about 30 frames a
//! second are drawn, and none while nothing changes.

use crate::memory::Server;
use crate::perform::{HISTORY, perform};
use crate::room::Presence;
use crate::scrollback::Entry;
use crate::state::{Link, Size, State};
use crate::store::Store;
use crate::terminal::Screen;
use crate::update::{Answer, Effect, Input, update};
use crate::{Config, session, view};
use chat_json::{Client, Event, Events};
use crossterm::event::{Event as TerminalEvent, EventStream};
use futures::future::BoxFuture;
use futures::stream::FuturesUnordered;
use futures::{FutureExt, StreamExt};
use std::future::poll_fn;
use std::io;
use std::task::Poll;
use std::time::Duration;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::task::{JoinHandle, spawn_blocking};
use tokio::time::{Instant, sleep_until, timeout};

/// The shortest time between two frames: about 30 frames a second.
const FRAME: Duration = Duration::from_millis(33);

/// The most events that are handled before keys are checked again, and the longest time for handling events.
const EVENTS_AT_ONCE: usize = 256;
const EVENTS_TIME: Duration = Duration::from_millis(10);

/// How often the client pings the server to measure the round trip, and how long it waits for the answer.
const PING_EVERY: Duration = Duration::from_secs(10);
const PONG_WITHIN: Duration = Duration::from_secs(5);

/// How long a change of the remembered state may wait before it is saved.
const SAVE_AFTER: Duration = Duration::from_secs(2);

/// How long the client waits for the server's goodbye when the user quits.
const GOODBYE: Duration = Duration::from_secs(2);

/// Why [`run`] failed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TuiError {
    /// The terminal can't be used.
    #[error("the terminal can't be used")]
    Terminal(#[from] io::Error),
    /// The connection was closed for good, but not by the user. The text is the reason.
    #[error("{0}")]
    Closed(String),
    /// A task of the client panicked. The panic message is already on the terminal.
    #[error("the client failed")]
    Failed,
}

/// Runs the client on this terminal until its user quits.
///
/// # Errors
///
/// See [`TuiError`]. The terminal is restored before the function returns.
///
/// # Panics
///
/// Panics outside of a Tokio runtime with time and I/O.
///
/// # Cancel safety
///
/// Dropping the future restores the terminal, but does not save the remembered state.
pub async fn run(config: Config) -> Result<(), TuiError> {
    let known = config.memory.server(&config.address);
    let mut state = session::begin(&config, &known);
    if let Some(notice) = config.memory.notice() {
        let notice = crate::room::words(notice);
        state.room_mut().scrollback.push(Entry::alert(notice));
    }
    let (client, events) = connect(&config.address, &state);
    let now = Instant::now();
    let mut driver = Driver {
        state,
        client,
        events: Some(events),
        answers: FuturesUnordered::new(),
        screen: Screen::open()?,
        drawn: now,
        is_dirty: true,
        asked: now,
        memory: config.memory.clone(),
        config,
        saving: None,
        save_at: None,
    };
    let ended = driver.run().await;
    driver.remember().await;
    ended
}

/// Connects with the nick that the user asked for, and joins the open rooms.
fn connect(address: &str, state: &State) -> (Client, Events) {
    let mut builder = Client::connect(address)
        .program(concat!("chat-client/", env!("CARGO_PKG_VERSION")))
        .echo(true)
        .guest_if_refused();
    if let Some(nick) = &state.wanted_nick {
        builder = builder.nick(nick);
    }
    for room in &state.rooms {
        if room.is_direct() || room.is_nameless() || room.presence == Presence::Out {
            continue;
        }
        builder = match &room.latest {
            Some(latest) => builder.join_after(&room.name, Some(latest.epoch.clone()), latest.seq),
            None => builder.join_with_history(&room.name, HISTORY),
        };
    }
    builder.start()
}

struct Driver {
    state: State,
    client: Client,
    /// The events of the client library. `None` after the last event.
    events: Option<Events>,
    answers: FuturesUnordered<BoxFuture<'static, Answer>>,
    screen: Screen,
    drawn: Instant,
    is_dirty: bool,
    /// The time at which the last measurement of the round trip began.
    asked: Instant,
    config: Config,
    /// The remembered state as this session last read or saved it, and the path of its file.
    memory: Store,
    saving: Option<JoinHandle<Store>>,
    /// The time at which the changed state will be saved. `None` if nothing has changed.
    save_at: Option<Instant>,
}

/// What woke the driver.
enum Wake {
    Terminal(Option<io::Result<TerminalEvent>>),
    Event(Option<Event>),
    Answer(Answer),
    Frame,
    Ping,
    Save,
    Saved(Option<Store>),
    Suspend,
    Resume,
    End,
}

/// The signals that the client handles.
struct Signals {
    stop: Signal,
    goes_on: Signal,
    ends: [Signal; 3],
}

impl Signals {
    fn new() -> io::Result<Self> {
        Ok(Self {
            stop: signal(SignalKind::from_raw(signal_hook::consts::SIGTSTP))?,
            goes_on: signal(SignalKind::from_raw(signal_hook::consts::SIGCONT))?,
            ends: [
                signal(SignalKind::interrupt())?,
                signal(SignalKind::terminate())?,
                signal(SignalKind::hangup())?,
            ],
        })
    }

    async fn next(&mut self) -> Wake {
        let Self {
            stop,
            goes_on,
            ends,
        } = self;
        let [interrupt, terminate, hangup] = ends;
        tokio::select! {
            _ = stop.recv() => Wake::Suspend,
            _ = goes_on.recv() => Wake::Resume,
            _ = interrupt.recv() => Wake::End,
            _ = terminate.recv() => Wake::End,
            _ = hangup.recv() => Wake::End,
        }
    }
}

impl Driver {
    async fn run(&mut self) -> Result<(), TuiError> {
        let mut terminal = EventStream::new();
        let mut signals = Signals::new()?;
        let size = self.screen.terminal.size()?;
        self.state.size = Size {
            width: size.width,
            height: size.height,
        };
        self.draw()?;
        while !self.state.is_over {
            let frame = self.drawn + FRAME;
            if self.is_dirty && frame <= Instant::now() {
                // `select!` below would not reach the frame timer while earlier branches are always ready.
                self.draw()?;
            }
            let ping = self.asked + PING_EVERY;
            let is_online = self.state.link == Link::Online;
            let save_at = self.save_at.filter(|_| self.saving.is_none());
            let wake = tokio::select! {
                biased;
                // Keys come first. They are rare, so they delay the other branches only briefly.
                key = terminal.next() => Wake::Terminal(key),
                wake = signals.next() => wake,
                () = sleep_until(frame), if self.is_dirty => Wake::Frame,
                () = sleep_until(ping), if is_online => Wake::Ping,
                () = sleep_until(save_at.unwrap_or(frame)), if save_at.is_some() => Wake::Save,
                saved = finish(&mut self.saving) => Wake::Saved(saved),
                Some(answer) = self.answers.next() => Wake::Answer(answer),
                event = next_event(&mut self.events) => Wake::Event(event),
            };
            if self.screen.is_lost() {
                return Err(TuiError::Failed);
            }
            self.handle(wake).await?;
        }
        outcome(&self.state)
    }

    async fn handle(&mut self, wake: Wake) -> Result<(), TuiError> {
        match wake {
            Wake::Terminal(None) | Wake::End => {
                self.state.is_over = true;
                self.say_goodbye("").await;
            }
            Wake::Terminal(Some(event)) => {
                if let Some(input) = read(event?) {
                    self.update(input).await?;
                    self.changed();
                }
            }
            Wake::Event(event) => {
                self.take_events(event).await?;
                self.changed();
            }
            Wake::Answer(answer) => {
                self.update(Input::Answer(answer)).await?;
                self.changed();
            }
            Wake::Frame => self.draw()?,
            Wake::Ping => self.ping(),
            Wake::Save => self.save(),
            Wake::Saved(saved) => self.saved(saved),
            Wake::Suspend => self.suspend()?,
            Wake::Resume => {
                self.screen.resume()?;
                self.redraw()?;
            }
        }
        Ok(())
    }

    /// Handles `first`, and then up to [`EVENTS_AT_ONCE`] further events that are ready. Stops earlier if
    /// [`EVENTS_TIME`] is over.
    async fn take_events(&mut self, first: Option<Event>) -> Result<(), TuiError> {
        let mut next = Some(first);
        let began = Instant::now();
        for _ in 0..EVENTS_AT_ONCE {
            match next {
                None => return Ok(()),
                Some(None) => {
                    self.events = None;
                    if !matches!(self.state.link, Link::Closed { .. }) {
                        let why = "the client failed".into();
                        self.update(Input::Event(Event::Closed { why })).await?;
                    }
                    return Ok(());
                }
                Some(Some(event)) => self.update(Input::Event(event)).await?,
            }
            if began.elapsed() > EVENTS_TIME {
                return Ok(());
            }
            next = next_event(&mut self.events).now_or_never();
        }
        if let Some(Some(event)) = next {
            self.update(Input::Event(event)).await?;
        }
        Ok(())
    }

    async fn update(&mut self, input: Input) -> Result<(), TuiError> {
        for effect in update(&mut self.state, input) {
            match effect {
                Effect::Bell => self.screen.bell.ask(),
                Effect::Suspend => self.suspend()?,
                Effect::Quit { reason } => self.say_goodbye(&reason).await,
                Effect::Reconnect { .. } => {
                    let (client, events) = connect(&self.config.address, &self.state);
                    (self.client, self.events) = (client, Some(events));
                }
                effect => self.ask(effect).await,
            }
        }
        Ok(())
    }

    /// Runs an effect. The future of the effect is polled once here, so that messages are sent in the order in which
    /// they were typed.
    async fn ask(&mut self, effect: Effect) {
        let Some(mut doing) = perform(&self.client, effect) else {
            return;
        };
        match poll_fn(|cx| Poll::Ready(doing.poll_unpin(cx))).await {
            Poll::Ready(answer) => {
                update(&mut self.state, Input::Answer(answer));
            }
            Poll::Pending => self.answers.push(doing),
        }
    }

    async fn say_goodbye(&mut self, reason: &str) {
        // The time is limited, because the goodbye may not arrive: the connection may be slow or lost.
        timeout(GOODBYE, self.client.quit(reason)).await.ok();
    }

    fn suspend(&mut self) -> Result<(), TuiError> {
        self.screen.suspend()?;
        self.redraw()
    }

    /// Draws the screen after a possible change of the terminal's size.
    fn redraw(&mut self) -> Result<(), TuiError> {
        let size = self.screen.terminal.size()?;
        let (width, height) = (size.width, size.height);
        update(&mut self.state, Input::Resized { width, height });
        self.draw()
    }

    fn draw(&mut self) -> Result<(), TuiError> {
        if std::mem::take(&mut self.state.must_clear) {
            self.screen.clear()?;
        }
        self.screen
            .terminal
            .draw(|frame| view::draw(&self.state, frame))?;
        self.screen.ring()?;
        self.drawn = Instant::now();
        self.is_dirty = false;
        Ok(())
    }

    /// Schedules a frame, and a save of the remembered state.
    fn changed(&mut self) {
        self.is_dirty = true;
        self.save_at
            .get_or_insert_with(|| Instant::now() + SAVE_AFTER);
    }

    /// Starts a measurement of the round trip to the server.
    fn ping(&mut self) {
        self.asked = Instant::now();
        let client = self.client.clone();
        let ponged = async move {
            let began = Instant::now();
            let answered = timeout(PONG_WITHIN, client.ping()).await;
            let took = answered.is_ok_and(|answer| answer.is_ok());
            Answer::Ponged(took.then(|| began.elapsed()))
        };
        self.answers.push(ponged.boxed());
    }

    /// Starts to save the remembered state in the background, if it has changed.
    fn save(&mut self) {
        self.save_at = None;
        let known = self.known();
        let Some(server) = session::so_far(&self.state, &known) else {
            return;
        };
        if server != known || self.memory.last_server() != Some(&self.config.address) {
            let (mut memory, address) = (self.memory.clone(), self.config.address.clone());
            // Saving waits for the disk, and possibly for another client's lock.
            self.saving = Some(spawn_blocking(move || {
                // A failed save must not end the session.
                memory.save(&address, server).ok();
                memory
            }));
        }
    }

    fn saved(&mut self, saved: Option<Store>) {
        self.saving = None;
        if let Some(memory) = saved {
            self.memory = memory;
        }
    }

    /// Returns the remembered state of the server that this session uses.
    fn known(&self) -> Server {
        self.memory.server(&self.config.address)
    }

    /// Saves the remembered state before the client ends. A failure is ignored.
    async fn remember(&mut self) {
        if let Some(saving) = self.saving.take() {
            self.saved(saving.await.ok());
        }
        let known = self.known();
        if let Some(ended) = session::end(&mut self.state, &known) {
            self.memory.save(&self.config.address, ended).ok();
        }
    }
}

/// Waits until the running save has finished. Never returns if no save is running.
async fn finish(saving: &mut Option<JoinHandle<Store>>) -> Option<Store> {
    match saving {
        Some(saving) => saving.await.ok(),
        None => std::future::pending().await,
    }
}

/// Returns the result of a finished session.
fn outcome(state: &State) -> Result<(), TuiError> {
    match &state.link {
        Link::Closed { why } => Err(TuiError::Closed(why.clone())),
        Link::Connecting | Link::Online | Link::Offline { .. } => Ok(()),
    }
}

async fn next_event(events: &mut Option<Events>) -> Option<Event> {
    match events {
        Some(events) => events.next().await,
        None => std::future::pending().await,
    }
}

fn read(event: TerminalEvent) -> Option<Input> {
    match event {
        TerminalEvent::Key(key) => Some(Input::Key(key)),
        TerminalEvent::Paste(text) => Some(Input::Pasted(text)),
        TerminalEvent::Resize(width, height) => Some(Input::Resized { width, height }),
        TerminalEvent::FocusGained | TerminalEvent::FocusLost | TerminalEvent::Mouse(_) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Colours;
    use jiff::tz::TimeZone;

    #[test]
    fn a_session_that_was_refused_or_ended_by_the_server_is_an_error() {
        let mut state = State::new("server:5000".into(), Colours::Off, TimeZone::UTC);
        let mut after = |event| {
            update(&mut state, Input::Event(event));
            outcome(&state).map_err(|error| error.to_string())
        };
        assert_eq!(after(Event::Online { nick: "me".into() }), Ok(()));
        let (why, retry_in) = ("gone".into(), Duration::ZERO);
        assert_eq!(after(Event::Offline { why, retry_in }), Ok(()));
        let why = "the server closed the connection:\x1b kicked".into();
        let expected = "the server closed the connection: kicked".to_owned();
        assert_eq!(after(Event::Closed { why }), Err(expected));
    }
}
