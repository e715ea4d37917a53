//! How a connection begins: which dialect it speaks, and its arrival in the lobby.
//!
//! Invariant: nothing becomes chat before the first line, or silence, has decided the dialect; and who comes and goes
//! without a word is not announced.

use crate::connection::connection::Connection;
use crate::connection::dialects::Choice;
use crate::connection::heartbeat::Heartbeat;
use crate::event::CloseReason;
use crate::hub::Question;
use crate::log::{Account, TokenDigest};
use crate::protocol::{Delimiter, Detected, Dialect, Greeting, JoinRequest, Refusal, Reply};
use crate::session::{Session, SessionError};
use bytes::BytesMut;
use std::sync::Arc;
use tokio::io::AsyncRead;
use tokio::time::Instant;

/// What a peer is told about a room when it comes there, unless it is known to read lines. The program that every
/// tutorial begins with decodes what one `recv(1024)` brings, so it ends when a character is cut there.
const NEWCOMER_BYTES_MAX: usize = 1000;

/// How much of that is for the operator's words.
const MOTD_BYTES_MAX: usize = 300;

impl<R: AsyncRead + Send + Unpin> Connection<R> {
    /// Silence has ended an unterminated text.
    pub(super) async fn on_silence(&mut self) -> Option<CloseReason> {
        if self.is_detecting {
            match self.dialects.choose(self.framing.prefix()) {
                Choice::Detected(opening) => return self.open(opening).await,
                Choice::NeedMore | Choice::Plain => self.decide_plain(),
            }
        }
        if self.session.is_none()
            && !self.is_registering()
            && let Some(reason) = self.arrive_plain().await
        {
            return Some(reason);
        }
        if self.must_catch_up() {
            // What the newcomer is shown first is still being written: its text waits.
            return None;
        }
        let (inbound, delimiter) = self.framing.next_silent();
        if let Some(delimiter) = delimiter {
            self.set_delimiter(delimiter);
        }
        match inbound {
            Some(inbound) => self.handle_last(inbound).await,
            None => None,
        }
    }

    fn set_delimiter(&mut self, delimiter: Delimiter) {
        if let Some(dialect) = &mut self.dialect {
            dialect.set_delimiter(delimiter);
        }
        self.apply_options();
    }

    /// Decides the dialect, if what has come suffices.
    pub(super) async fn detect(&mut self) -> Option<CloseReason> {
        let prefix = self.framing.prefix();
        let is_line = prefix.contains(&b'\n') || prefix.contains(&b'\0');
        let is_over =
            self.transport.has_ended() || prefix.len() >= self.hub.limits().prefix_bytes.get();
        let dialects = Arc::clone(&self.dialects);
        let choice = if self.transport.has_ended() {
            dialects.choose_last(prefix)
        } else {
            dialects.choose(prefix)
        };
        // A program that ends its lines with a NUL is known by what comes before it.
        let choice = match (choice, ends_with_nul(prefix)) {
            (Choice::Detected(opening), _) => Choice::Detected(opening),
            (choice, Some(line)) => match dialects.choose_last(line) {
                Choice::Detected(opening) => Choice::Detected(opening),
                Choice::NeedMore | Choice::Plain => choice,
            },
            (choice, None) => choice,
        };
        match choice {
            Choice::NeedMore if self.transport.has_ended() => {
                // Another protocol's beginning, cut short: it is no chat.
                self.framing.discard();
                self.decide_plain();
                return Some(CloseReason::Disconnected);
            }
            Choice::Detected(opening) => return Box::pin(self.open(opening)).await,
            Choice::NeedMore if !is_over => {
                self.wants_more = true;
                return None;
            }
            Choice::NeedMore | Choice::Plain => self.wants_more = false,
        }
        if !is_line && !is_over {
            return None;
        }
        if self.transport.has_ended() && prefix.is_empty() && self.session.is_none() {
            return Some(CloseReason::Disconnected);
        }
        self.decide_plain();
        if self.session.is_none() {
            return Box::pin(self.arrive_plain()).await;
        }
        None
    }

    fn decide_plain(&mut self) {
        self.is_detecting = false;
        self.wants_more = false;
        self.framing.decide_lines();
    }

    pub(super) async fn open(&mut self, opening: Detected) -> Option<CloseReason> {
        self.is_detecting = false;
        self.wants_more = false;
        match opening {
            Detected::Refused(answer) => {
                self.transport.send(&answer);
                // It speaks none of ours, so nothing more is said to it, not even goodbye.
                self.dialect = None;
                Some(CloseReason::Disconnected)
            }
            Detected::Dialect(dialect) => {
                let closes = self.arrive(dialect).await;
                self.framing.decide_lines();
                closes
            }
            // Too late: bytes of this connection have been taken for another protocol.
            Detected::TakeOver(_) => Some(CloseReason::Refused),
        }
    }

    /// Begins a session under the nick that the policy gave, or as a guest if it can't have that.
    fn begin_session(&self, given: Option<&str>) -> Result<Session, SessionError> {
        let session = match self.hub.session(given) {
            Err(SessionError::Nick(error)) if given.is_some() => {
                tracing::debug!(?error, "the nick that the policy gave can't be had");
                self.hub.session(None)
            }
            begun => begun,
        };
        let opener = self.account.as_ref().map(|account| account.address());
        let session = session?.with_opener(opener);
        let account = self.peer.as_ref().and_then(|peer| peer.get::<Account>());
        session.set_account(account.cloned());
        Ok(session)
    }

    /// Asks the policy about a peer whose dialect begins with a hello; gives back the nick that it gets instead.
    pub(super) async fn ask_to_come_in(
        &mut self,
        nick: Option<&str>,
    ) -> Result<Option<String>, Refusal> {
        let dialect = self.dialect.as_ref().map_or("", |dialect| dialect.name());
        self.ask_in(dialect, Question::Connect { nick }, &mut None)
            .await
    }

    pub(super) async fn arrive_plain(&mut self) -> Option<CloseReason> {
        let plain = self.dialects.plain();
        self.arrive(plain).await
    }

    /// Makes the peer a session, and greets it. A peer that was greeted in plain before it spoke keeps its session.
    async fn arrive(&mut self, mut dialect: Box<dyn Dialect>) -> Option<CloseReason> {
        let options = dialect.options();
        let now = Instant::now();
        let answers = self.framing.set_dialect(&*dialect, self.hub.limits(), now);
        self.transport.send(&answers);
        if options.registers {
            self.begin_to_register(dialect);
            return None;
        }
        self.heartbeat = options.has_heartbeat.then(|| Heartbeat::new(now));
        let mut out = BytesMut::new();
        let mut given = None;
        if options.arrives_in_lobby && self.session.is_none() {
            match self
                .ask_in(dialect.name(), Question::Connect { nick: None }, &mut None)
                .await
            {
                Ok(nick) => given = nick,
                Err(refusal) => {
                    dialect.reply(&Reply::Refused(&refusal), &mut out);
                    self.send(out);
                    return Some(CloseReason::Refused);
                }
            }
        }
        if self.session.is_none() {
            match self.begin_session(given.as_deref()) {
                Ok(session) => self.session = Some(session),
                Err(error) => {
                    dialect.reply(&Reply::Refused(&error.into()), &mut out);
                    self.send(out);
                    return Some(CloseReason::Draining);
                }
            }
        }
        self.draining = None;
        let nick = self.session.as_ref().map(Session::nick)?;
        let bytes_max = self.newcomer_bytes();
        let motd = self.hub.motd();
        let greeting = Greeting {
            motd: &motd[..bytes_max.map_or(motd.len(), |_| motd_that_fits(motd))],
            nick: &nick,
        };
        dialect.greet(&greeting, &mut out);
        let bytes_max = bytes_max.map(|bytes_max| bytes_max.saturating_sub(out.len()));
        self.send(out);
        self.dialect = Some(dialect);
        self.apply_options();
        if !options.arrives_in_lobby {
            self.members.clear();
        } else if self.members.is_empty() {
            let lobby = JoinRequest {
                room: self.hub.lobby().as_str().to_owned().into(),
                after: None,
                epoch: None,
                limit: Some(self.hub.limits().history),
            };
            let joined = self.join_within(&lobby, 0, bytes_max).await;
            self.tell_refused(joined);
        }
        self.is_held_up = self.framing.has_pending();
        None
    }

    /// Lets the peer say over several lines who it is. One that was greeted in plain before it spoke leaves.
    fn begin_to_register(&mut self, dialect: Box<dyn Dialect>) {
        self.dialect = Some(dialect);
        if let Some(session) = self.session.take() {
            session.close(&CloseReason::Quit(None));
            self.draining = Some(Box::pin(self.hub.draining()));
        }
        self.members.clear();
        self.is_held_up = self.framing.has_pending();
    }

    /// Whether the peer has a dialect and no session yet.
    pub(super) fn is_registering(&self) -> bool {
        self.session.is_none() && self.dialect.is_some()
    }

    /// Takes the nick of a hello, for a session that begins with it if there is none yet. One that can't have the nick
    /// does not begin.
    pub(super) fn register(
        &mut self,
        nick: Option<&str>,
        token: Option<TokenDigest>,
    ) -> Result<(), Refusal> {
        let begun = match self.session {
            Some(_) => None,
            None => Some(self.begin_session(None)?),
        };
        let session = begun.as_ref().map_or_else(|| self.session(), Ok)?;
        if let Some(token) = token {
            session.set_token(token);
        }
        if let Some(nick) = nick {
            session.take_nick(nick)?;
        }
        if begun.is_some() {
            self.session = begun;
            self.draining = None;
            let options = self.dialect.as_ref().map(|dialect| dialect.options());
            self.heartbeat = options
                .is_some_and(|options| options.has_heartbeat)
                .then(|| Heartbeat::new(Instant::now()));
        }
        Ok(())
    }

    /// How many bytes a newcomer to a room is told about it; `None` if there is no limit.
    pub(super) fn newcomer_bytes(&self) -> Option<usize> {
        (!self.framing.sends_items()).then_some(NEWCOMER_BYTES_MAX)
    }
}

/// The first line, if a NUL ends it.
fn ends_with_nul(prefix: &[u8]) -> Option<&[u8]> {
    let end = prefix
        .iter()
        .position(|&byte| matches!(byte, b'\n' | b'\0'))?;
    (prefix[end] == b'\0').then(|| &prefix[..end])
}

/// How many lines of the operator's words a peer is shown that is not known to read lines.
fn motd_that_fits(motd: &[String]) -> usize {
    let mut bytes = 0;
    let fits = |line: &&String| {
        bytes += "* ".len() + line.len() + 1;
        bytes <= MOTD_BYTES_MAX
    };
    motd.iter().take_while(fits).count()
}
