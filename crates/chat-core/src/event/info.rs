//! Descriptions of a room.

use crate::log::{Position, TopicSet};
use crate::name::{Nick, RoomName};
use std::sync::Arc;

/// The members, topic and position of a room.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct RoomInfo {
    /// The room.
    pub room: RoomName,
    /// How many members there are.
    pub count: usize,
    /// The first 100 members, in the order in which their sessions began.
    pub nicks: Vec<Nick>,
    /// The topic; empty if there is none.
    pub topic: Arc<str>,
    /// Who set or removed the topic last, if that is known.
    pub topic_set: Option<TopicSet>,
    /// Whether there are too many members to announce who comes and goes.
    pub is_hushed: bool,
    /// The end of the room's log.
    pub position: Position,
    /// Whether the log, which other hubs append to, can't be followed now. The room then accepts no messages, and
    /// continues by itself; see [`Log::follow`](crate::log::Log::follow).
    pub is_lost: bool,
}

/// One of a hub's rooms.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct RoomSummary {
    /// The room.
    pub room: RoomName,
    /// How many members there are.
    pub count: usize,
    /// The topic; empty if there is none.
    pub topic: Arc<str>,
}
