//! Descriptions of a room.

use crate::log::{Position, Role, TopicSet};
use crate::name::{Nick, RoomName};
use std::sync::Arc;

/// A room's members, its topic, and the end of its log. The value describes the room at the time of its creation.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct RoomInfo {
    /// The room's name.
    pub room: RoomName,
    /// How many members the room has. Sessions that share a nick count as one member.
    pub count: usize,
    /// The nicks of the first 100 members: members of this hub first, in the order in which their sessions began.
    /// [`Hub::members`](crate::Hub::members) lists all members.
    ///
    /// In an [`Event::Present`](crate::Event::Present) of a room that is not [hushed](Self::is_hushed), `nicks` holds
    /// all members. For example, if [`Limits::announce`](crate::Limits::announce) is 200, the event lists all members
    /// of a room with 150 members, but only 100 members of a room with 250.
    pub nicks: Vec<Nick>,
    /// Those of [`nicks`](Self::nicks) that have a role in the room, and their roles.
    pub roles: Vec<(Nick, Role)>,
    /// Those of `nicks` that are away. A nick that several sessions share is not among them.
    pub away: Vec<Nick>,
    /// The topic; empty if the room has no topic.
    pub topic: Arc<str>,
    /// Who set or removed the topic last, and when; `None` if this is unknown.
    pub topic_set: Option<TopicSet>,
    /// Whether the room has too many members to announce arrivals, departures and renames. A room becomes hushed when
    /// it has more than [`Limits::announce`](crate::Limits::announce) members, and stays so until it has at most three
    /// quarters of that number.
    pub is_hushed: bool,
    /// The end of the room's log: the position of its last message, and the epoch of the log's positions. A member may
    /// not have received that message yet.
    pub position: Position,
    /// Whether other hubs append to the log, and this hub can't follow the log now. The room then accepts no messages
    /// until the hub follows the log again. The hub keeps trying to follow the log; see
    /// [`Log::follow`](crate::log::Log::follow).
    pub is_lost: bool,
}

impl RoomInfo {
    /// Returns the role of the members with this nick, if [`roles`](Self::roles) has them.
    #[must_use]
    pub fn role_of(&self, nick: &Nick) -> Option<Role> {
        let mut roles = self.roles.iter();
        roles
            .find(|(other, _)| other == nick)
            .map(|(_, role)| *role)
    }
}

/// One room in a list of rooms.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct RoomSummary {
    /// The room's name.
    pub room: RoomName,
    /// How many members the room has. Sessions that share a nick count as one member.
    pub count: usize,
    /// The topic; empty if the room has no topic, or if the room is open on other nodes only.
    pub topic: Arc<str>,
}
