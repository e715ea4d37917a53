//! How a session begins: what a newcomer is told, and its arrival in the lobby.
//!
//! Invariant: who comes and goes without a word is not announced.

use crate::connection::connection::Connection;
use crate::event::CloseReason;
use crate::hub::Question;
use crate::log::{Account, TokenDigest};
use crate::protocol::{Dialect, Greeting, JoinRequest, Refusal, Reply};
use crate::session::{Session, SessionError};
use bytes::BytesMut;
use tokio::io::AsyncRead;
use tokio::time::Instant;

/// What a peer is told about a room when it comes there, unless it is known to read lines. The program that every
/// tutorial begins with decodes what one `recv(1024)` brings, so it ends when a character is cut there.
const NEWCOMER_BYTES_MAX: usize = 1000;

/// How much of that is for the operator's words.
const MOTD_BYTES_MAX: usize = 300;

impl<R: AsyncRead + Send + Unpin> Connection<R> {
    /// Begins a session under the nick that the policy gave, or as a guest if it can't have that.
    async fn begin_session(&mut self, given: Option<&str>) -> Result<Session, SessionError> {
        let session = match self.hub.session(given).await {
            Err(SessionError::Nick(error)) if given.is_some() => {
                tracing::debug!(?error, "the nick that the policy gave can't be had");
                self.hub.session(None).await
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
        self.ask_in(self.dialect_name(), Question::Connect { nick })
            .await
    }

    /// Makes the peer a session, and greets it. A peer that was greeted in plain before it spoke keeps its session.
    pub(super) async fn arrive(&mut self, mut dialect: Box<dyn Dialect>) -> Option<CloseReason> {
        let options = dialect.options();
        let now = Instant::now();
        let answers = self.conversation.adopt(&*dialect, self.hub.limits(), now);
        self.transport.send(&answers);
        if options.registers {
            self.begin_to_register(dialect);
            return None;
        }
        let mut out = BytesMut::new();
        let mut given = None;
        if options.arrives_in_lobby && self.session.is_none() {
            match self
                .ask_in(dialect.name(), Question::Connect { nick: None })
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
            match self.begin_session(given.as_deref()).await {
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
        self.conversation.begin(dialect);
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
        self.conversation.let_speak();
        None
    }

    /// Lets the peer say over several lines who it is. One that was greeted in plain before it spoke leaves.
    fn begin_to_register(&mut self, dialect: Box<dyn Dialect>) {
        self.conversation.register(dialect);
        if let Some(session) = self.session.take() {
            session.close(&CloseReason::Quit(None));
            self.draining = Some(Box::pin(self.hub.draining()));
        }
        self.members.clear();
        self.conversation.let_speak();
    }

    /// Takes the nick of a hello, for a session that begins with it if there is none yet. One that can't have the nick
    /// does not begin.
    pub(super) async fn register(
        &mut self,
        nick: Option<&str>,
        token: Option<TokenDigest>,
    ) -> Result<(), Refusal> {
        let begun = match self.session {
            Some(_) => None,
            None => Some(self.begin_session(None).await?),
        };
        let session = begun.as_ref().map_or_else(|| self.session(), Ok)?;
        if let Some(token) = token {
            session.set_token(token);
        }
        if let Some(nick) = nick {
            session.take_nick(nick).await?;
        }
        if begun.is_some() {
            self.session = begun;
            self.draining = None;
            self.conversation.registered(Instant::now());
        }
        Ok(())
    }

    /// How many bytes a newcomer to a room is told about it; `None` if there is no limit.
    pub(super) fn newcomer_bytes(&self) -> Option<usize> {
        (!self.conversation.sends_items()).then_some(NEWCOMER_BYTES_MAX)
    }
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
