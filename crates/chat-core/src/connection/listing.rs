//! Writes all members of a room to a peer, page by page.
//!
//! Invariant: the list is exact. Live events are held back from before the members are copied until all of them are
//! written, so an event that the peer receives before the list happened before it. A page is written only when the page
//! before it was taken.

use crate::admission::Cost;
use crate::connection::connection::Connection;
use crate::name::{Nick, RoomName};
use crate::protocol::{Refusal, Reply};
use std::vec::IntoIter;
use tokio::io::AsyncRead;
use tokio::time::Instant;

/// How many nicks one page names.
const PAGE: usize = 100;

/// The members of a room that are not written yet.
#[derive(Debug)]
pub(super) struct Listing {
    room: RoomName,
    nicks: IntoIter<Nick>,
}

impl<R: AsyncRead + Send + Unpin> Connection<R> {
    /// Begins the list of a room's members.
    pub(super) async fn list_members(&mut self, room: Option<&str>) -> Result<(), Refusal> {
        self.may_ask()?;
        let room = self.info(room)?.room;
        let began = Instant::now();
        self.transport.cork();
        let nicks = if self.sees_members(&room) {
            self.hub.members(room.as_str())
        } else {
            Vec::new()
        };
        self.charge(Cost::work(began.elapsed()));
        let nicks = nicks.into_iter();
        self.listing = Some(Box::new(Listing { room, nicks }));
        if self.transport.is_flushed() {
            self.catch_up().await;
        }
        Ok(())
    }

    /// Writes the next pages, as far as the peer takes them. Returns whether all are written.
    pub(super) async fn write_listing(&mut self) -> bool {
        while let Some(mut listing) = self.listing.take() {
            let nicks: Vec<Nick> = listing.nicks.by_ref().take(PAGE).collect();
            let has_more = listing.nicks.len() > 0;
            self.reply(&Reply::Members {
                room: &listing.room,
                nicks: &nicks,
                has_more,
            });
            if has_more {
                self.listing = Some(listing);
                if !self.transport.is_flushed() {
                    return false;
                }
                tokio::task::yield_now().await;
            }
        }
        true
    }
}
