//! What is known of a session besides its nick, as its participant keeps it.
//!
//! Invariant: a session of which nothing is known besides its nick, its host and its account allocates nothing here.

use crate::event::{PresenceChange, Profile};
use crate::log::{Account, UserHost};
use std::collections::BTreeMap;
use std::sync::Arc;

/// What is known of a session besides its nick. Most sessions have no `extra`.
#[derive(Debug, Default)]
pub(crate) struct Identity {
    pub(super) user_host: UserHost,
    pub(super) account: Option<Account>,
    extra: Option<Box<Extra>>,
}

/// What few sessions have.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Extra {
    pub(crate) real_name: Option<Arc<str>>,
    pub(crate) away: Option<Arc<str>>,
    pub(crate) is_bot: bool,
    pub(crate) is_operator: bool,
    /// The nicks that the session watches: their keys, and the nicks as the session has written them.
    pub(super) watching: BTreeMap<Arc<str>, String>,
    /// The host of the session's address, while the session has the host of its account.
    network: Option<UserHost>,
}

/// Returns what the rooms of a session announce when `was` becomes `now`. Whether a session is a bot or an operator is
/// not announced.
pub(crate) fn changes(was: &Profile, now: &Profile) -> impl Iterator<Item = PresenceChange> {
    let is_seen = |profile: &Profile| {
        let Profile {
            user_host,
            account,
            real_name,
            ..
        } = profile;
        (user_host.clone(), account.clone(), real_name.clone())
    };
    let changed = (is_seen(was) != is_seen(now)).then(|| PresenceChange::ProfileChanged {
        was: Box::new(was.clone()),
    });
    let away = (was.away != now.away).then(|| PresenceChange::Away {
        message: now.away.clone(),
    });
    changed.into_iter().chain(away)
}

impl Identity {
    pub(crate) fn profile(&self) -> Profile {
        let mut profile = Profile {
            user_host: self.user_host.clone(),
            account: self.account.clone(),
            ..Profile::default()
        };
        if let Some(extra) = &self.extra {
            profile.real_name.clone_from(&extra.real_name);
            profile.away.clone_from(&extra.away);
            profile.is_bot = extra.is_bot;
            profile.is_operator = extra.is_operator;
        }
        profile
    }

    /// Frees `extra` if it says nothing.
    pub(super) fn tidy(&mut self) {
        self.extra.take_if(|extra| **extra == Extra::default());
    }

    pub(super) fn is_operator(&self) -> bool {
        self.extra.as_ref().is_some_and(|extra| extra.is_operator)
    }

    pub(super) fn watching(&self) -> Option<&BTreeMap<Arc<str>, String>> {
        self.extra.as_ref().map(|extra| &extra.watching)
    }

    pub(crate) fn extra(&mut self) -> &mut Extra {
        self.extra.get_or_insert_default()
    }

    pub(crate) fn set_user_host(&mut self, user_host: UserHost) {
        self.user_host = user_host;
    }

    pub(crate) fn set_user(&mut self, user: &str) {
        self.user_host = UserHost::new(user, self.user_host.host());
    }

    /// Gives the session another host. If the session has the host of its account, it keeps that host until it has no
    /// account.
    pub(crate) fn set_host(&mut self, host: &str) {
        let user_host = UserHost::new(self.user_host.user(), host);
        match self.extra.as_mut().and_then(|extra| extra.network.as_mut()) {
            Some(network) => *network = user_host,
            None => self.user_host = user_host,
        }
    }

    /// Gives the session an account, and the host of the account. Without an account, it has the host of its address.
    pub(crate) fn set_account(&mut self, account: Option<(Account, &str)>) {
        if let Some((account, host)) = account {
            self.account = Some(account);
            let hosted = UserHost::new(self.user_host.user(), host);
            let network = std::mem::replace(&mut self.user_host, hosted);
            self.extra().network.get_or_insert(network);
        } else {
            self.account = None;
            let network = self.extra.as_mut().and_then(|extra| extra.network.take());
            if let Some(network) = network {
                self.user_host = UserHost::new(self.user_host.user(), network.host());
            }
        }
    }
}
