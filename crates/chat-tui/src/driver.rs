//! The one place with I/O: keys, events and answers in, effects done, frames drawn.
//!
//! Invariant: a key is on the screen at once, whatever else comes; and nothing is drawn while nothing changes.

use crate::found::{list, list_found};
use crate::scrollback::Entry;
use crate::state::{Link, Size, State};
use crate::terminal::Screen;
use crate::update::{Answer, Effect, Input, update};
use crate::{Config, session, view};
use chat_json::{AskError, Client, Event, Events, Message};
use crossterm::event::{Event as TerminalEvent, EventStream};
use futures::future::BoxFuture;
use futures::stream::FuturesUnordered;
use futures::{FutureExt, StreamExt};
use std::future::poll_fn;
use std::io;
use std::task::Poll;
use std::time::Duration;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::time::{Instant, sleep_until, timeout};

/// How long events may wait to be drawn together: some 30 frames a second.
const FRAME: Duration = Duration::from_millis(33);

/// How many events are taken before keys are looked at again.
const EVENTS_AT_ONCE: usize = 256;

/// How many messages of a room are loaded at first, and then at a time.
const HISTORY: usize = 100;

/// How many messages a search of the server's shows, and how many are shown around a place.
const FOUND: usize = 20;
const AROUND: usize = 11;

/// How long a goodbye may take.
const GOODBYE: Duration = Duration::from_secs(2);

/// Why the screen ended.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TuiError {
    /// The terminal can't be used.
    #[error("the terminal can't be used")]
    Terminal(#[from] io::Error),
    /// The connection is closed for good, and not by the user.
    #[error("{0}")]
    Closed(String),
    /// A part of the client panicked, which was told on the terminal.
    #[error("the client has failed")]
    Failed,
}

/// Runs the client on this terminal until its user quits.
///
/// # Errors
///
/// See [`TuiError`]; the terminal is given back before it returns.
///
/// # Panics
///
/// Panics outside of a Tokio runtime with time and I/O.
///
/// # Cancel safety
///
/// Dropping the future gives the terminal back; nothing is remembered then.
pub async fn run(config: Config) -> Result<(), TuiError> {
    let known = config.memory.server(&config.address);
    let mut state = session::begin(&config, &known);
    let nick = config.nick.clone().or(known.nick);
    let mut builder = Client::connect(config.address.clone())
        .program(concat!("chat-client/", env!("CARGO_PKG_VERSION")))
        .echo(true);
    if let Some(nick) = &nick {
        builder = builder.nick(nick);
    }
    for room in &state.rooms {
        builder = builder.join_with_history(&room.name, HISTORY);
    }
    if let Some(notice) = config.memory.notice() {
        let notice = crate::room::words(notice);
        state.room_mut().scrollback.push(Entry::alert(notice));
    }
    let (client, events) = builder.start();
    let mut driver = Driver {
        state,
        client,
        events: Some(events),
        answers: FuturesUnordered::new(),
        screen: Screen::open()?,
        drawn: Instant::now(),
        is_dirty: true,
        config,
        has_chosen_nick: nick.is_some(),
    };
    let ended = driver.run().await;
    driver.remember();
    ended
}

struct Driver {
    state: State,
    client: Client,
    /// `None` when there will be no more.
    events: Option<Events>,
    answers: FuturesUnordered<BoxFuture<'static, Answer>>,
    screen: Screen,
    drawn: Instant,
    is_dirty: bool,
    config: Config,
    has_chosen_nick: bool,
}

/// What the driver waited for.
enum Wake {
    Terminal(Option<io::Result<TerminalEvent>>),
    Event(Option<Event>),
    Answer(Answer),
    Frame,
    Suspend,
    Resume,
    End,
}

/// The signals that mean something here.
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
            let wake = tokio::select! {
                biased;
                // Keys first, and they are few: the others wait for a moment only.
                key = terminal.next() => Wake::Terminal(key),
                wake = signals.next() => wake,
                () = sleep_until(frame), if self.is_dirty => Wake::Frame,
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
                    self.draw()?;
                }
            }
            Wake::Event(event) => {
                self.take_events(event).await?;
                self.is_dirty = true;
            }
            Wake::Answer(answer) => {
                self.update(Input::Answer(answer)).await?;
                self.is_dirty = true;
            }
            Wake::Frame => self.draw()?,
            Wake::Suspend => self.suspend()?,
            Wake::Resume => {
                self.screen.resume()?;
                self.redraw()?;
            }
        }
        Ok(())
    }

    /// Takes an event, and those that have come with it.
    async fn take_events(&mut self, first: Option<Event>) -> Result<(), TuiError> {
        let mut next = Some(first);
        for _ in 0..EVENTS_AT_ONCE {
            match next {
                None => return Ok(()),
                Some(None) => {
                    self.events = None;
                    if !matches!(self.state.link, Link::Closed { .. }) {
                        let why = "the client has failed".into();
                        self.update(Input::Event(Event::Closed { why })).await?;
                    }
                    return Ok(());
                }
                Some(Some(event)) => self.update(Input::Event(event)).await?,
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
                Effect::Bell => self.screen.ring()?,
                Effect::Suspend => self.suspend()?,
                Effect::Quit { reason } => self.say_goodbye(&reason).await,
                effect => self.ask(effect).await,
            }
        }
        Ok(())
    }

    /// Has an effect done. It is begun at once, so that messages are said in the order in which they were typed.
    async fn ask(&mut self, effect: Effect) {
        if matches!(effect, Effect::Nick { .. }) {
            self.has_chosen_nick = true;
        }
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
        // Without a connection, or with a slow one, there is nobody to say it to.
        timeout(GOODBYE, self.client.quit(reason)).await.ok();
    }

    fn suspend(&mut self) -> Result<(), TuiError> {
        self.screen.suspend()?;
        self.redraw()
    }

    /// Draws on a terminal that may have another size now.
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
        self.drawn = Instant::now();
        self.is_dirty = false;
        Ok(())
    }

    /// Writes what is to be remembered; that it can't be is no reason to fail.
    fn remember(&mut self) {
        let Config {
            address, memory, ..
        } = &self.config;
        let known = memory.server(address);
        if let Some(ended) = session::end(&mut self.state, self.has_chosen_nick, &known) {
            memory.save(address, ended).ok();
        }
    }
}

/// What a session comes to that its user has ended.
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

/// What the client does for an effect, and what came of it.
fn perform(client: &Client, effect: Effect) -> Option<BoxFuture<'static, Answer>> {
    let client = client.clone();
    let why = |error: AskError| error.to_string();
    let told = |room: String, result: Result<Vec<String>, AskError>| Answer::Told {
        room,
        result: result.map_err(|error| error.to_string()),
    };
    Some(match effect {
        Effect::Say {
            room,
            id,
            text,
            is_action,
        } => async move {
            let began = Instant::now();
            let said = match is_action {
                true => client.act(&room, &text).await,
                false => client.say(&room, &text).await,
            };
            Answer::Said {
                room,
                id,
                result: said.map_err(why),
                took: began.elapsed(),
            }
        }
        .boxed(),
        Effect::Tell { room, to, text } => async move {
            let result = client.tell(&to, &text).await.map_err(why);
            Answer::Direct {
                room,
                to,
                text,
                result,
            }
        }
        .boxed(),
        Effect::Join { room, from } => async move {
            let joined = client.join_with_history(&room, HISTORY).await;
            let result = joined.map_err(why);
            Answer::Joined { room, from, result }
        }
        .boxed(),
        Effect::Leave { room } => async move {
            let result = client.leave(&room).await.map_err(why);
            Answer::Left { room, result }
        }
        .boxed(),
        Effect::Nick { room, nick } => async move {
            let result = client.nick(&nick).await.map_err(why);
            Answer::Renamed { room, result }
        }
        .boxed(),
        Effect::Who { room, of } => async move {
            let who = client.who(&of).await;
            told(
                room,
                who.map(|who| {
                    vec![format!(
                        "{}: {} here: {}",
                        who.room,
                        who.count,
                        who.members.join(", ")
                    )]
                }),
            )
        }
        .boxed(),
        Effect::Rooms { room } => async move {
            let rooms = client.rooms().await;
            let line = |listed: &chat_json::Listing| {
                format!("{} ({}) {}", listed.room, listed.count, listed.topic)
            };
            told(
                room,
                rooms.map(|rooms| rooms.iter().take(100).map(line).collect()),
            )
        }
        .boxed(),
        Effect::Topic { room, text } => async move {
            let set = client.set_topic(&room, &text).await;
            told(room, set.map(|_| Vec::new()))
        }
        .boxed(),
        Effect::Older {
            room,
            epoch,
            before,
        } => async move {
            let before = (before < u64::MAX).then_some(before);
            let result = client.history(&room, before, HISTORY).await.map_err(why);
            Answer::Older {
                room,
                epoch,
                result,
            }
        }
        .boxed(),
        Effect::Search {
            room,
            words,
            before,
        } => async move {
            let found = client.search(&room, &words, before, FOUND).await;
            let oldest = |found: &[Message]| found.iter().map(|message| message.seq).min();
            let result = found.map(|found| (list_found(&found, &words), oldest(&found)));
            Answer::Found {
                room,
                result: result.map_err(why),
                words,
            }
        }
        .boxed(),
        Effect::Around { room, place } => async move {
            let before = place.saturating_add(AROUND as u64 / 2 + 1);
            let messages = client.history(&room, Some(before), AROUND).await;
            told(room, messages.map(|messages| list(&messages)))
        }
        .boxed(),
        Effect::Quit { .. } | Effect::Bell | Effect::Suspend => return None,
    })
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
        let why = "the server said goodbye:\x1b kicked".into();
        let expected = "the server said goodbye: kicked".to_owned();
        assert_eq!(after(Event::Closed { why }), Err(expected));
    }
}
