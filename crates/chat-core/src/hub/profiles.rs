//! What is known of sessions besides their nicks, and who is told when it changes.
//!
//! Invariant: a session that has ended changes nothing any more.

use crate::hub::hub::Hub;
use crate::log::{Account, UserHost};
use crate::room::{Identity, Participant, changes};
use std::net::IpAddr;

impl Hub {
    /// Returns what other members see of a peer with this address.
    pub(crate) fn user_host(&self, address: Option<IpAddr>) -> UserHost {
        self.0.cloak.user_host(address)
    }

    /// Gives a session that has not begun its account.
    pub(crate) fn introduce(&self, session: &Participant, account: Option<Account>) {
        if let Some(account) = account {
            let host = self.0.cloak.account_host(&account);
            session.alter(|identity| identity.set_account(Some((account, &host))));
        }
    }

    /// Gives a session an account, or takes its account.
    pub(crate) fn set_account(&self, session: &Participant, account: Option<Account>) {
        let account = account.map(|account| {
            let host = self.0.cloak.account_host(&account);
            (account, host)
        });
        self.change_profile(session, |identity| {
            let account = account
                .as_ref()
                .map(|(account, host)| (account.clone(), &**host));
            identity.set_account(account);
        });
    }

    /// Changes what is known of a session. Its rooms announce what other members see of the change, and other nodes
    /// learn of it.
    pub(crate) fn change_profile(&self, session: &Participant, change: impl FnOnce(&mut Identity)) {
        // The session enters no room and takes no other nick while its rooms announce the change.
        let naming = session.naming.lock();
        if session.has_ended() {
            return;
        }
        let Some((was, now)) = session.alter(change) else {
            return;
        };
        let rooms = session.joined_rooms();
        for change in changes(&was, &now) {
            let number = session.number_change(rooms.len());
            for room in &rooms {
                room.change(session.id(), change.clone(), now.clone(), number);
            }
        }
        drop(naming);
        self.publish_presence(session);
    }
}
