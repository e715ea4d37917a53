//! The state that is remembered between sessions: nick, rooms and read positions for each server.

use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::path::PathBuf;

/// The most rooms that are remembered for each server.
const ROOMS_MAX: usize = 64;

/// The state of all servers that is remembered between sessions.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Memory {
    /// The server that was used last.
    #[serde(default)]
    pub server: Option<String>,
    /// The state of each server, by the server's address.
    #[serde(default)]
    pub servers: BTreeMap<String, Server>,
}

/// The state of one server that is remembered between sessions.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Server {
    /// The nick that was used last.
    #[serde(default)]
    pub nick: Option<String>,
    /// The open rooms, in the order in which they are shown.
    #[serde(default)]
    pub rooms: Vec<ReadMark>,
}

/// A room, and the position of the last message that the user read in it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReadMark {
    /// The room's name.
    pub room: String,
    /// The epoch of the room's log.
    #[serde(default)]
    pub epoch: String,
    /// The position of the last message that the user read.
    #[serde(default)]
    pub seq: u64,
}

impl Memory {
    /// Returns the path of the file with the remembered state, according to the XDG Base Directory Specification:
    /// `$XDG_STATE_HOME/chat-client/state.json`. Returns `None` if there is no home directory.
    #[must_use]
    pub fn path() -> Option<PathBuf> {
        use etcetera::BaseStrategy;
        let strategy = etcetera::base_strategy::Xdg::new().ok()?;
        Some(strategy.state_dir()?.join("chat-client").join("state.json"))
    }

    /// Records the state of a server. `before` is the state that this client read earlier. If another client has saved
    /// a state since then, the two states are merged.
    pub(crate) fn merge(&mut self, address: &str, server: Server, before: &Server) {
        let server = Server::merge(server, before, self.server(address));
        self.note(address, server);
    }

    /// Records the state of a server. Replaces the state that was recorded before.
    pub fn note(&mut self, address: &str, mut server: Server) {
        server.rooms.truncate(ROOMS_MAX);
        self.server = Some(address.to_owned());
        self.servers.insert(address.to_owned(), server);
    }

    /// Returns the state of a server. Earlier versions could save an empty nick, which is treated as no nick.
    pub(crate) fn server(&self, address: &str) -> Server {
        let mut server = self.servers.get(address).cloned().unwrap_or_default();
        server.nick = server.nick.filter(|nick| !nick.is_empty());
        server
    }
}

impl Server {
    /// Merges two states that both started as `before`. `ours` is the state of this client. `theirs` was saved by
    /// another client.
    fn merge(ours: Self, before: &Self, theirs: Self) -> Self {
        let changed = |nick: &Option<String>| *nick != before.nick;
        let nick = if changed(&ours.nick) || theirs.nick.is_none() {
            ours.nick
        } else {
            theirs.nick
        };
        let mut rooms = ours.rooms;
        for mark in theirs.rooms {
            match rooms.iter_mut().find(|room| room.room == mark.room) {
                Some(room) if before.rooms.contains(room) => *room = mark,
                Some(room) if room.epoch == mark.epoch => room.seq = room.seq.max(mark.seq),
                // The two marks of this room are in different logs. The mark of this client is kept, because its log is
                // newer.
                Some(_) => {}
                // The room was remembered before, and this client left it, so the room is not added again.
                None if before.rooms.iter().any(|room| room.room == mark.room) => {}
                None => rooms.push(mark),
            }
        }
        Self { nick, rooms }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn server(nick: &str, rooms: &[(&str, &str, u64)]) -> Server {
        let rooms = rooms.iter().map(|(room, epoch, seq)| ReadMark {
            room: (*room).into(),
            epoch: (*epoch).into(),
            seq: *seq,
        });
        Server {
            nick: (!nick.is_empty()).then(|| nick.to_owned()),
            rooms: rooms.collect(),
        }
    }

    #[test]
    fn a_nick_that_is_none_is_not_known() {
        let mut memory = Memory::default();
        let nick = Some(String::new());
        let rooms = Vec::new();
        memory.note("127.0.0.1:5000", Server { nick, rooms });
        assert_eq!(memory.server("127.0.0.1:5000").nick, None);
    }

    #[test]
    fn what_two_clients_remember_of_a_server_is_put_together() {
        let before = server(
            "kim",
            &[("lobby", "a", 5), ("left", "a", 1), ("idle", "a", 1)],
        );
        let theirs = server(
            "kim2",
            &[
                ("lobby", "a", 9),
                ("left", "a", 2),
                ("idle", "b", 3),
                ("new", "a", 4),
            ],
        );
        let ours = server(
            "kim",
            &[("lobby", "a", 7), ("idle", "a", 1), ("ours", "a", 2)],
        );
        let expected = [
            ("lobby", "a", 9),
            ("idle", "b", 3),
            ("ours", "a", 2),
            ("new", "a", 4),
        ];
        let merged = Server::merge(ours.clone(), &before, theirs.clone());
        assert_eq!(merged, server("kim2", &expected));
        // No other client has saved a state since `before` was read.
        assert_eq!(Server::merge(ours.clone(), &before, before.clone()), ours);
        let renamed = Server {
            nick: Some("lee".into()),
            ..ours
        };
        let merged = Server::merge(renamed, &before, theirs);
        assert_eq!(merged.nick.as_deref(), Some("lee"));
    }
}
