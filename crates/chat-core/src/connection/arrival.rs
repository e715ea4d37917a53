//! Begins a session: greets the peer, and joins the lobby.
//!
//! Invariant: a peer that ends its stream before it was greeted, and has sent nothing, is not announced in any room.

use crate::connection::connection::Connection;
use crate::connection::introduction::Arriving;
use crate::event::CloseReason;
use crate::hub::Question;
use crate::log::{Account, TokenDigest};
use crate::protocol::{Dialect, Greeting, JoinRequest, Refusal, Reply};
use crate::session::{Session, SessionError};
use bytes::BytesMut;
use tokio::io::AsyncRead;
use tokio::time::Instant;

/// Maximum number of bytes about a room that the server sends to a peer that joins the room. The limit ends once the
/// peer is known to send lines or frames. Many simple client programs decode the bytes of a single `recv(1024)`. The
/// decoding fails if these bytes end within a character.
const NEWCOMER_BYTES_MAX: usize = 1000;

/// Maximum number of bytes of the message of the day in a greeting whose length `NEWCOMER_BYTES_MAX` limits.
const MOTD_BYTES_MAX: usize = 300;

impl<R: AsyncRead + Send + Unpin> Connection<R> {
    /// Begins a session under `given`, the nick that the policy chose. The session is a guest if the policy chose no
    /// nick, or if that nick is not available.
    async fn begin_session(&mut self, given: Option<&str>) -> Result<Session, SessionError> {
        let account = self.peer.as_ref().and_then(|peer| peer.get::<Account>());
        let arriving = self.arriving.as_ref();
        let begin = |nick| {
            let user_host = arriving.map(|arriving| arriving.user_host.clone());
            let user_host = user_host.unwrap_or_default();
            self.hub.begin_session(nick, account.cloned(), user_host)
        };
        let session = match begin(given).await {
            Err(SessionError::Nick(error)) if given.is_some() => {
                tracing::debug!(?error, "the nick that the policy gave can't be had");
                begin(None).await
            }
            begun => begun,
        };
        let opener = self.account.as_ref().map(|account| account.address());
        let session = session?.with_opener(opener);
        if let Some(arriving) = &self.arriving {
            // The introduction stays, because the session does not begin if its nick is not available.
            let introduction = arriving.introduction.clone();
            self.hub
                .change_profile(session.shared(), |identity| introduction.apply(identity));
        }
        Ok(session)
    }

    /// Asks the policy whether a peer that sent a `Hello` may begin a session. `nick` is the nick in the `Hello`.
    /// Returns the nick that the policy chose instead; `None` if the policy chose none.
    pub(super) async fn ask_to_come_in(
        &mut self,
        nick: Option<&str>,
    ) -> Result<Option<String>, Refusal> {
        self.ask_in(self.dialect_name(), Question::Connect { nick })
            .await
    }

    /// Applies the peer's dialect, begins a session and greets the peer. A peer that was already greeted in the plain
    /// dialect keeps its session. If the policy refuses the peer or no session can begin, returns why the connection
    /// must end.
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
        self.arriving = None;
        let session = self.session.as_ref()?;
        session.shared().welcome();
        let nick = session.nick();
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
                key: None,
            };
            let joined = self.join_within(&lobby, 0, bytes_max).await;
            self.tell_refused(joined);
        }
        self.conversation.let_speak();
        None
    }

    /// Requires the peer to register with a `Hello` before its session begins. If the peer was already greeted in the
    /// plain dialect, the session that began with the greeting ends.
    fn begin_to_register(&mut self, dialect: Box<dyn Dialect>) {
        self.conversation.register(dialect);
        if let Some(session) = self.session.take() {
            let user_host = session.profile().user_host;
            session.close(&CloseReason::Quit(None));
            self.arriving = Some(Arriving::new(&self.hub, user_host));
        }
        self.members.clear();
        self.conversation.let_speak();
    }

    /// Applies the nick and the token of a `Hello`. Begins a session if the connection has none. If the nick is not
    /// available, no session begins.
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
        if let Some(begun) = begun {
            begun.shared().welcome();
            self.session = Some(begun);
            self.arriving = None;
            self.conversation.registered(Instant::now());
        }
        Ok(())
    }

    /// Returns the maximum number of bytes that the server sends this peer about a room that the peer joins. `None`
    /// means no limit: the peer is known to send lines or frames.
    pub(super) fn newcomer_bytes(&self) -> Option<usize> {
        (!self.conversation.sends_items()).then_some(NEWCOMER_BYTES_MAX)
    }
}

/// Returns how many lines at the beginning of the message of the day fit into `MOTD_BYTES_MAX` bytes.
fn motd_that_fits(motd: &[String]) -> usize {
    let mut bytes = 0;
    let fits = |line: &&String| {
        bytes += "* ".len() + line.len() + 1;
        bytes <= MOTD_BYTES_MAX
    };
    motd.iter().take_while(fits).count()
}
