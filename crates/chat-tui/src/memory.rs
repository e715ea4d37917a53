//! What is remembered from one time to the next: the nick, the rooms, and what was read.
//!
//! Invariant: the file is replaced whole or not at all, and one that can't be read is set aside, never overwritten.

use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::fs;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

/// How big the file may be: far more than it ever gets.
const FILE_BYTES_MAX: u64 = 1024 * 1024;

/// How many rooms are remembered.
const ROOMS_MAX: usize = 64;

/// What is remembered, of all servers.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Memory {
    /// The server that was used last.
    #[serde(default)]
    pub server: Option<String>,
    /// Of each server: the nick and the rooms.
    #[serde(default)]
    pub servers: BTreeMap<String, Server>,
}

/// What is remembered of one server.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Server {
    /// The nick that was used last.
    #[serde(default)]
    pub nick: Option<String>,
    /// The rooms that were open, in the order in which they were shown.
    #[serde(default)]
    pub rooms: Vec<ReadMark>,
}

/// A room, and what was read in it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReadMark {
    /// Which.
    pub room: String,
    /// Which life of its log.
    #[serde(default)]
    pub epoch: String,
    /// The last message that was read.
    #[serde(default)]
    pub seq: u64,
}

impl Memory {
    /// Where the file is, by the XDG Base Directory Specification: `$XDG_STATE_HOME/chat-client/state.json`.
    /// `None` if there is no home directory.
    #[must_use]
    pub fn path() -> Option<PathBuf> {
        use etcetera::BaseStrategy;
        let strategy = etcetera::base_strategy::Xdg::new().ok()?;
        Some(strategy.state_dir()?.join("chat-client").join("state.json"))
    }

    /// Reads the file. One that isn't there is empty; one that can't be understood is set aside, and where it is now
    /// is said.
    pub fn read(path: &Path) -> (Self, Option<String>) {
        match Self::try_read(path) {
            Ok(memory) => (memory, None),
            Err(error) if error.kind() == io::ErrorKind::NotFound => (Self::default(), None),
            Err(error) if error.kind() == io::ErrorKind::InvalidData => {
                let aside = path.with_extension("damaged.json");
                let notice = match fs::rename(path, &aside) {
                    Ok(()) => format!(
                        "what was remembered is damaged, and kept as {}",
                        aside.display()
                    ),
                    Err(error) => format!("what was remembered is damaged ({error})"),
                };
                (Self::default(), Some(notice))
            }
            Err(error) => {
                let notice = format!("can't read {}: {error}", path.display());
                (Self::default(), Some(notice))
            }
        }
    }

    /// Replaces the file.
    ///
    /// # Errors
    ///
    /// The directory can't be made, or the file not be written; the old one is as it was.
    pub fn write(&self, path: &Path) -> io::Result<()> {
        let directory = path.parent().unwrap_or_else(|| Path::new("."));
        fs::create_dir_all(directory)?;
        let new = path.with_extension(format!("{}.new", std::process::id()));
        let mut file = fs::File::create(&new)?;
        let written = serde_json::to_vec_pretty(self)
            .map_err(io::Error::from)
            .and_then(|bytes| file.write_all(&bytes))
            .and_then(|()| file.sync_all())
            .and_then(|()| fs::rename(&new, path));
        if written.is_err() {
            // It is of no use to anybody; that it can't be removed either is no news.
            fs::remove_file(&new).ok();
        }
        written
    }

    /// Remembers what is open on a server.
    pub fn note(&mut self, address: &str, mut server: Server) {
        server.rooms.truncate(ROOMS_MAX);
        self.server = Some(address.to_owned());
        self.servers.insert(address.to_owned(), server);
    }

    /// What is known of a server. A nick that is none, which earlier versions could write, is not.
    pub(crate) fn server(&self, address: &str) -> Server {
        let mut server = self.servers.get(address).cloned().unwrap_or_default();
        server.nick = server.nick.filter(|nick| !nick.is_empty());
        server
    }

    fn try_read(path: &Path) -> io::Result<Self> {
        if fs::metadata(path)?.len() > FILE_BYTES_MAX {
            return Err(io::ErrorKind::InvalidData.into());
        }
        let bytes = fs::read(path)?;
        serde_json::from_slice(&bytes)
            .map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn directory(name: &str) -> PathBuf {
        let directory =
            std::env::temp_dir().join(format!("chat-tui-{}-{name}", std::process::id()));
        fs::remove_dir_all(&directory).ok();
        directory
    }

    #[test]
    fn what_is_written_is_read_again() {
        let path = directory("again").join("chat-client/state.json");
        let mut memory = Memory::default();
        let mark = ReadMark {
            room: "한글".into(),
            epoch: "k3f".into(),
            seq: 7,
        };
        let server = Server {
            nick: Some("alice".into()),
            rooms: vec![mark],
        };
        memory.note("127.0.0.1:5000", server);
        memory.write(&path).unwrap();
        assert_eq!(Memory::read(&path), (memory, None));
        assert_eq!(fs::read_dir(path.parent().unwrap()).unwrap().count(), 1);
    }

    #[test]
    fn a_damaged_file_is_set_aside_and_said_to_be() {
        let path = directory("damaged").join("state.json");
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, b"{ half").unwrap();
        let (memory, notice) = Memory::read(&path);
        assert_eq!(memory, Memory::default());
        assert!(notice.unwrap().contains("state.damaged.json"));
        assert_eq!(
            fs::read(path.with_extension("damaged.json")).unwrap(),
            b"{ half"
        );
        assert_eq!(Memory::read(&path), (Memory::default(), None));
    }

    #[test]
    fn a_nick_that_is_none_is_not_known() {
        let mut memory = Memory::default();
        let server = Server {
            nick: Some(String::new()),
            rooms: Vec::new(),
        };
        memory.note("127.0.0.1:5000", server);
        assert_eq!(memory.server("127.0.0.1:5000").nick, None);
    }
}
