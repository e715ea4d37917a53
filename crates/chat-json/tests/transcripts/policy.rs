//! A policy that decides by the address of a peer and the names of its nick and rooms.

use chat_core::policy::{Decision, Policy, Visitor};
use chat_testkit::WordPolicy;
use std::net::IpAddr;

/// A policy that refuses texts and names that contain `forbidden`.
pub(crate) const WORDS: WordPolicy = WordPolicy::refusing("forbidden");

/// A policy that refuses connections from 192.0.2.66, and gives connections from 192.0.2.77 a nick. For other
/// connections, the policy decides about the nick as [`WORDS`] does. The policy hides rooms whose names begin with
/// `secret`.
pub(crate) struct ByAddress;

impl Policy for ByAddress {
    async fn connect(&self, who: &Visitor, nick: Option<&str>) -> Decision {
        let refused: IpAddr = [192, 0, 2, 66].into();
        let named: IpAddr = [192, 0, 2, 77].into();
        match who.peer.address().map(|address| address.ip()) {
            Some(ip) if ip == refused => Decision::refuse(""),
            Some(ip) if ip == named => Decision::Change("given".to_owned()),
            _ => WORDS.judge(nick.unwrap_or_default()).await,
        }
    }

    fn may_see(&self, _: &Visitor, room: &str) -> bool {
        !room.starts_with("secret")
    }
}
