//! What a connection knows of its peer before the session begins.

use crate::hub::Hub;
use crate::log::UserHost;
use crate::room::Identity;
use std::pin::Pin;
use std::sync::Arc;
use tokio_util::sync::WaitForCancellationFutureOwned;

/// What a connection keeps until its session begins. Boxed and then dropped, so that an idle connection does not keep
/// it.
pub(super) struct Arriving {
    /// Completes when the hub drains. The hub closes sessions itself.
    pub(super) draining: Pin<Box<WaitForCancellationFutureOwned>>,
    /// What other members will see of the peer's address.
    pub(super) user_host: UserHost,
    pub(super) introduction: Introduction,
}

impl Arriving {
    pub(super) fn new(hub: &Hub, user_host: UserHost) -> Box<Self> {
        Box::new(Self {
            draining: Box::pin(hub.draining()),
            user_host,
            introduction: Introduction::default(),
        })
    }
}

/// What a peer says of itself, in one command or in several.
#[derive(Debug, Clone, Default)]
pub(super) struct Introduction {
    pub(super) user: Option<String>,
    /// The real name; `Some(None)` removes it.
    pub(super) real_name: Option<Option<Arc<str>>>,
    pub(super) is_bot: Option<bool>,
}

impl Introduction {
    /// Adds what the peer has said later.
    pub(super) fn extend(&mut self, later: Self) {
        self.user = later.user.or_else(|| self.user.take());
        self.real_name = later.real_name.or_else(|| self.real_name.take());
        self.is_bot = later.is_bot.or(self.is_bot);
    }

    pub(super) fn apply(self, identity: &mut Identity) {
        if let Some(user) = self.user {
            identity.set_user(&user);
        }
        if let Some(real_name) = self.real_name {
            identity.extra().real_name = real_name;
        }
        if let Some(is_bot) = self.is_bot {
            identity.extra().is_bot = is_bot;
        }
    }
}
