//! Writes all members of a room to a peer, page by page.
//!
//! Invariant: a page is read only after the peer has taken the previous page. Live events are held back until all pages
//! are written. So an event that the peer receives before the list is older than the list.
//!
//! The list has each member that was in the room from the first page to the last. Joins and leaves that happen while
//! the pages are written are announced after the list, unless the room has too many members for announcements.

use crate::admission::Cost;
use crate::connection::connection::Connection;
use crate::event::MemberInfo;
use crate::log::SessionId;
use crate::name::{Nick, RoomName};
use crate::protocol::{Refusal, Reply};
use crate::room::Listed;
use crate::time_slice::TimeSlice;
use std::collections::HashSet;
use tokio::io::AsyncRead;
use tokio::time::Instant;

/// Maximum number of members on one page.
const PAGE: usize = 100;

/// A list of a room's members that is being written.
#[derive(Debug)]
pub(super) struct Listing {
    room: RoomName,
    /// The room's folded name.
    key: String,
    /// The session of the last member that was written; `None` before the first page.
    after: Option<SessionId>,
    /// The shared nicks that were already written. A nick that several sessions share is written once.
    shared: HashSet<Nick>,
}

impl<R: AsyncRead + Send + Unpin> Connection<R> {
    /// Begins to write the list of a room's members.
    pub(super) async fn list_members(&mut self, room: Option<&str>) -> Result<(), Refusal> {
        self.may_ask()?;
        let room = self.info(room)?.room;
        self.transport.cork();
        self.listing = Some(Box::new(Listing {
            key: self.hub.fold(room.as_str()),
            room,
            after: None,
            shared: HashSet::new(),
        }));
        if self.transport.is_flushed() {
            self.catch_up().await;
        }
        Ok(())
    }

    /// Writes pages until the list is complete, or until the stream accepts no more output. Returns whether the list is
    /// complete.
    pub(super) async fn write_listing(&mut self) -> bool {
        let mut slice = TimeSlice::begin();
        while let Some(mut listing) = self.listing.take() {
            slice.yield_if_over().await;
            let has_more = self.write_page(&mut listing);
            if has_more {
                self.listing = Some(listing);
                if !self.transport.is_flushed() {
                    return false;
                }
            }
        }
        true
    }

    /// Writes one page. Returns whether there are more pages.
    fn write_page(&mut self, listing: &mut Listing) -> bool {
        let began = Instant::now();
        let mut listed = Vec::new();
        if self.sees_members(&listing.room) {
            // Asks for one member more than a page holds, to learn whether another page follows.
            listed = self
                .hub
                .members_after(&listing.key, listing.after, PAGE + 1);
        }
        let has_more = listed.len() > PAGE;
        listed.truncate(PAGE);
        listing.after = listed.last().map(|last| last.session);
        let is_new = |listed: &Listed| {
            !listed.is_shared || listing.shared.insert(listed.member.nick.clone())
        };
        listed.retain(is_new);
        let members: Vec<MemberInfo> = listed.into_iter().map(|listed| listed.member).collect();
        self.reply(&Reply::Members {
            room: &listing.room,
            members: &members,
            has_more,
        });
        self.charge(Cost::work(began.elapsed()));
        has_more
    }
}
