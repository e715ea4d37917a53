//! Executes the commands about what is known of sessions: of the peer's own, and of others.
//!
//! Invariant: a peer learns of no room in this way that lists of rooms hide from it, and of no member that lists of
//! members hide from it.

use crate::admission::Cost;
use crate::connection::connection::Connection;
use crate::connection::introduction::Introduction;
use crate::event::Profile;
use crate::hub::Question;
use crate::protocol::{Code, Command, Refusal, Reply, WatchChange};
use crate::room::Identity;
use crate::text;
use std::borrow::Cow;
use std::sync::Arc;
use tokio::io::AsyncRead;

impl<R: AsyncRead + Send + Unpin> Connection<R> {
    /// Executes a command about what is known of sessions.
    pub(super) async fn execute_about_sessions(
        &mut self,
        command: Command<'_>,
    ) -> Result<(), Refusal> {
        match command {
            Command::Away { message } => self.set_away(message.as_deref()).await,
            Command::SetProfile {
                user,
                real_name,
                is_bot,
            } => self.set_profile(user, real_name, is_bot).await,
            Command::Whois { nick } => self.show_whois(&nick),
            Command::Whowas { nick, limit } => {
                self.show_ended(&nick, limit);
                Ok(())
            }
            Command::Online { nicks } => {
                self.show_online(&nicks);
                Ok(())
            }
            Command::Watch { change, nicks } => self.watch(&nicks, change),
            Command::Disconnect { nick, reason } => {
                self.disconnect(&nick, reason.as_deref().unwrap_or_default())
                    .await
            }
            // Never reached: `commands.rs` executes all other commands.
            _ => Ok(()),
        }
    }

    /// Marks the session as away, or as back.
    async fn set_away(&mut self, message: Option<&str>) -> Result<(), Refusal> {
        let message = match message {
            Some(message) if text::is_visible(message) => {
                Some(self.ask(Question::Away { message }, message).await?)
            }
            _ => None,
        };
        let was = self.session()?.profile().away;
        let message = self.session()?.set_away(message.as_deref());
        if was != message {
            self.charge_change();
        }
        self.reply(&Reply::AwaySet {
            message: message.as_deref(),
        });
        Ok(())
    }

    /// Sets what the peer says of itself, and answers with what is known of its session then.
    async fn set_profile(
        &mut self,
        user: Option<Cow<'_, str>>,
        real_name: Option<Cow<'_, str>>,
        is_bot: Option<bool>,
    ) -> Result<(), Refusal> {
        let real_name = match &real_name {
            Some(name) => {
                let name = self.ask(Question::RealName { name }, name).await?;
                Some(Profile::clean_name(&name))
            }
            None => None,
        };
        let introduction = Introduction {
            user: user.map(Cow::into_owned),
            real_name,
            is_bot,
        };
        let profile = if let Some(session) = &self.session {
            let was = session.profile();
            let shared = session.shared();
            self.hub
                .change_profile(shared, |identity| introduction.apply(identity));
            let profile = session.profile();
            if profile != was {
                self.charge_change();
            }
            profile
        } else {
            let mut identity = Identity::default();
            if let Some(arriving) = &mut self.arriving {
                arriving.introduction.extend(introduction);
                identity.set_user_host(arriving.user_host.clone());
                arriving.introduction.clone().apply(&mut identity);
            }
            identity.profile()
        };
        self.reply(&Reply::ProfileSet(&profile));
        Ok(())
    }

    /// Charges a change that the rooms of the session announce. Each room after the first is charged like a message.
    fn charge_change(&mut self) {
        self.charge(Cost::lines(self.members.len().saturating_sub(1)));
    }

    fn show_whois(&mut self, nick: &str) -> Result<(), Refusal> {
        let whois = self.hub.whois_or_refuse(nick, self.sees_who_is_in())?;
        self.reply(&Reply::Whois(&whois));
        Ok(())
    }

    fn show_ended(&mut self, nick: &str, limit: Option<usize>) {
        let ended = self.hub.ended(nick, limit.unwrap_or(usize::MAX));
        let asked = text::clean(text::truncate(nick, Profile::REAL_NAME_BYTES_MAX));
        self.reply(&Reply::Whowas {
            asked: &asked,
            ended: &ended,
        });
    }

    fn show_online(&mut self, nicks: &[Cow<'_, str>]) {
        self.charge(Cost::lines(nicks.len() / NICKS_PER_LINE));
        let statuses = self.hub.statuses(nicks);
        self.reply(&Reply::Online(&statuses));
    }

    fn watch(&mut self, nicks: &[Cow<'_, str>], change: WatchChange) -> Result<(), Refusal> {
        let session = Arc::clone(self.session()?.shared());
        let count = match change {
            WatchChange::Add | WatchChange::Remove => nicks.len(),
            WatchChange::Clear | WatchChange::List => session.watched().len(),
        };
        self.charge(Cost::lines(count / NICKS_PER_LINE));
        let (watched, refused) = match change {
            WatchChange::Add => self.hub.watch(&session, nicks),
            WatchChange::Remove => {
                self.hub.unwatch(&session, nicks);
                Default::default()
            }
            WatchChange::Clear => {
                self.hub.unwatch_all(&session);
                Default::default()
            }
            WatchChange::List => (self.hub.watched(&session), Vec::new()),
        };
        self.reply(&Reply::Watching {
            nicks: &watched,
            refused: &refused,
        });
        Ok(())
    }

    /// Ends another session, for a server operator.
    async fn disconnect(&mut self, nick: &str, reason: &str) -> Result<(), Refusal> {
        let ended = self.session()?.disconnect(nick, reason).await?;
        self.reply(&Reply::Disconnected(&ended));
        Ok(())
    }

    /// Makes the session a server operator. A session that has ended meanwhile is not one.
    pub(super) fn become_operator(&mut self, name: &str) -> Result<(), Refusal> {
        let session = self.session()?;
        session.set_operator(true);
        if !session.is_operator() {
            let reason = "not done: the session ends";
            return Err(Refusal::new(Code::Denied, reason));
        }
        let name = text::clean(text::truncate(name, Profile::REAL_NAME_BYTES_MAX));
        tracing::info!(operator = %name, nick = %session.nick(), "a session is an operator");
        self.reply(&Reply::Operating);
        Ok(())
    }
}

/// How many nicks of a request are charged like one line.
const NICKS_PER_LINE: usize = 25;
