//! A policy that decides by the text, the room or the address of a request.

use chat_core::Kind;
use chat_core::policy::{Decision, Policy, Visitor};
use std::net::IpAddr;

/// Refuses texts with `forbidden`, changes `teh` to `the`, panics at `panic`, never answers for `hang`, and hides rooms
/// whose names begin with `secret`. Refuses connections from 192.0.2.66, and gives those from 192.0.2.77 a nick.
pub(crate) struct ByWord;

async fn judge(text: &str) -> Decision {
    if text.contains("forbidden") {
        return Decision::refuse("that is\x1b not done here");
    }
    if text.contains("hang") {
        std::future::pending::<()>().await;
    }
    assert!(!text.contains("panic"), "a policy with a bug");
    if text.contains("teh") {
        return Decision::Change(text.replace("teh", "the"));
    }
    Decision::Allow
}

impl Policy for ByWord {
    async fn connect(&self, who: &Visitor, nick: Option<&str>) -> Decision {
        let refused: IpAddr = [192, 0, 2, 66].into();
        let named: IpAddr = [192, 0, 2, 77].into();
        match who.peer.address().map(|address| address.ip()) {
            Some(ip) if ip == refused => Decision::refuse(""),
            Some(ip) if ip == named => Decision::Change("given".to_owned()),
            _ => judge(nick.unwrap_or_default()).await,
        }
    }

    async fn join(&self, _: &Visitor, room: &str) -> Decision {
        judge(room).await
    }

    async fn say(&self, _: &Visitor, _: &str, _: Kind, text: &str) -> Decision {
        judge(text).await
    }

    async fn tell(&self, _: &Visitor, _: &str, text: &str) -> Decision {
        judge(text).await
    }

    async fn rename(&self, _: &Visitor, nick: &str) -> Decision {
        judge(nick).await
    }

    async fn set_topic(&self, _: &Visitor, _: &str, text: &str) -> Decision {
        judge(text).await
    }

    fn may_see(&self, _: &Visitor, room: &str) -> bool {
        !room.starts_with("secret")
    }

    async fn quit(&self, _: &Visitor, reason: &str) -> Decision {
        judge(reason).await
    }
}
