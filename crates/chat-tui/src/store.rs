//! Reads and writes the file of the remembered state.
//!
//! Invariant: the file is replaced as a whole or not at all. A damaged file is renamed and kept. A file that can't be
//! read is not changed. States that other clients have saved are kept.

use crate::memory::{Memory, Server};
use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::thread;
use std::time::Duration;

/// The largest file that is read, in bytes: far more than the file can grow to.
const FILE_BYTES_MAX: u64 = 1024 * 1024;

/// The most damaged files that are kept.
const DAMAGED_MAX: usize = 99;

/// How many times the client tries to take the lock of the file's directory while another client holds it.
const LOCK_TRIES: usize = 50;
/// The pause after a failed try.
const LOCK_WAIT: Duration = Duration::from_millis(10);

/// The remembered state and the path of its file. The default state is empty and is never saved.
#[derive(Debug, Clone, Default)]
pub struct Store {
    /// The path of the file. `None` if the state is not saved.
    path: Option<PathBuf>,
    memory: Memory,
    notice: Option<String>,
}

impl Store {
    /// Reads the file. Without a path, or if the file does not exist, the state is empty. A damaged file is renamed and
    /// kept. If the file can't be read or renamed, the store never writes it. The user sees a notice if the file is
    /// damaged or can't be read.
    #[must_use]
    pub fn open(path: Option<PathBuf>) -> Self {
        let Some(path) = path else {
            return Self::default();
        };
        match read(&path) {
            Ok((memory, notice)) => Self {
                path: Some(path),
                memory,
                notice,
            },
            Err(error) => Self {
                notice: Some(format!(
                    "can't read {}: {error}; it is left unchanged, and nothing is saved",
                    path.display()
                )),
                ..Self::default()
            },
        }
    }

    /// Returns the server that was used last.
    #[must_use]
    pub fn last_server(&self) -> Option<&str> {
        self.memory.server.as_deref()
    }

    /// Returns the remembered state of a server.
    pub(crate) fn server(&self, address: &str) -> Server {
        self.memory.server(address)
    }

    /// Returns a notice for the user about the file, if there is one.
    pub(crate) fn notice(&self) -> Option<&str> {
        self.notice.as_deref()
    }

    /// Saves the state of a server, merged with what other clients have saved since this client last read the file.
    ///
    /// # Errors
    ///
    /// Returns an error if the directory can't be created, or if the file can't be read or written. The old file is
    /// then unchanged.
    pub(crate) fn save(&mut self, address: &str, server: Server) -> io::Result<()> {
        let Some(path) = &self.path else {
            return Ok(());
        };
        let directory = path.parent().unwrap_or_else(|| Path::new("."));
        fs::create_dir_all(directory)?;
        // The lock is held until the end of this function. If the lock can't be taken, the file is saved without a
        // lock. Two clients that save at the same moment may then lose one of the two states.
        let _lock = lock(directory);
        let (mut memory, _) = read(path)?;
        memory.merge(address, server.clone(), &self.server(address));
        write(&memory, path)?;
        // The saved state is the base of the next merge.
        self.memory.note(address, server);
        Ok(())
    }
}

/// Reads the file, and returns a notice if it was damaged.
fn read(path: &Path) -> io::Result<(Memory, Option<String>)> {
    match try_read(path) {
        Ok(memory) => Ok((memory, None)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok((Memory::default(), None)),
        Err(error) if error.kind() == io::ErrorKind::InvalidData => {
            let notice = match set_aside(path)? {
                Some(aside) => format!(
                    "the saved state is damaged; it was moved to {}",
                    aside.display()
                ),
                None => "the saved state is damaged".to_owned(),
            };
            Ok((Memory::default(), Some(notice)))
        }
        Err(error) => Err(error),
    }
}

fn try_read(path: &Path) -> io::Result<Memory> {
    if fs::metadata(path)?.len() > FILE_BYTES_MAX {
        return Err(io::ErrorKind::InvalidData.into());
    }
    let bytes = fs::read(path)?;
    serde_json::from_slice(&bytes)
        .map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error))
}

/// Returns the names that a damaged file may get, in the order in which they are tried.
fn asides(path: &Path) -> impl Iterator<Item = PathBuf> {
    (1..=DAMAGED_MAX).map(|number| {
        path.with_extension(match number {
            1 => "damaged.json".to_owned(),
            _ => format!("damaged-{number}.json"),
        })
    })
}

/// Renames a damaged file to an unused name. Returns `None` if another client renamed the file first.
fn set_aside(path: &Path) -> io::Result<Option<PathBuf>> {
    let is_free = |aside: &PathBuf| {
        fs::symlink_metadata(aside).is_err_and(|error| error.kind() == io::ErrorKind::NotFound)
    };
    let Some(aside) = asides(path).find(is_free) else {
        return Err(io::Error::other(
            "it is damaged, and too many damaged files exist",
        ));
    };
    match fs::rename(path, &aside) {
        Ok(()) => Ok(Some(aside)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

/// Replaces the file with one that contains `memory`.
fn write(memory: &Memory, path: &Path) -> io::Result<()> {
    let new = path.with_extension(format!("{}.new", std::process::id()));
    let mut file = File::create(&new)?;
    let written = serde_json::to_vec_pretty(memory)
        .map_err(io::Error::from)
        .and_then(|bytes| file.write_all(&bytes))
        .and_then(|()| file.sync_all())
        .and_then(|()| fs::rename(&new, path));
    if written.is_err() {
        // The temporary file is of no use any more. A failure to remove it is ignored.
        fs::remove_file(&new).ok();
    }
    written
}

/// Locks the directory against other clients, until the returned file is dropped.
fn lock(directory: &Path) -> Option<File> {
    let directory = File::open(directory).ok()?;
    for _ in 0..LOCK_TRIES {
        match directory.try_lock() {
            Ok(()) => return Some(directory),
            Err(fs::TryLockError::WouldBlock) => thread::sleep(LOCK_WAIT),
            Err(fs::TryLockError::Error(_)) => return None,
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::memory::ReadMark;
    use std::os::unix::fs::symlink;

    /// Returns a path in a new directory for one test.
    fn path(name: &str) -> PathBuf {
        let name = format!("chat-tui-{}-{name}", std::process::id());
        let directory = std::env::temp_dir().join(name);
        fs::remove_dir_all(&directory).ok();
        fs::create_dir_all(&directory).unwrap();
        directory.join("state.json")
    }

    fn store(path: &Path) -> Store {
        Store::open(Some(path.to_owned()))
    }

    fn server(nick: &str) -> Server {
        let mark = ReadMark {
            room: "한글".into(),
            epoch: "k3f".into(),
            seq: 7,
        };
        Server {
            nick: Some(nick.into()),
            rooms: vec![mark],
        }
    }

    #[test]
    fn what_is_written_is_read_again() {
        let path = path("again").with_file_name("chat-client/state.json");
        assert_eq!(store(&path).last_server(), None);
        store(&path).save("a:5000", server("alice")).unwrap();
        assert_eq!(store(&path).server("a:5000"), server("alice"));
        assert_eq!(store(&path).last_server(), Some("a:5000"));
        assert_eq!(store(&path).notice(), None);
        assert_eq!(fs::read_dir(path.parent().unwrap()).unwrap().count(), 1);
    }

    #[test]
    fn damaged_files_are_set_aside_each_and_said_to_be() {
        let path = path("damaged");
        let asides = ["damaged.json", "damaged-2.json"].map(|name| path.with_extension(name));
        for aside in &asides {
            fs::write(&path, aside.as_os_str().as_encoded_bytes()).unwrap();
            let store = store(&path);
            assert_eq!(store.last_server(), None);
            let name = aside.display().to_string();
            assert!(store.notice().unwrap().ends_with(&name));
        }
        for aside in &asides {
            let kept = fs::read(aside).unwrap();
            assert_eq!(kept, aside.as_os_str().as_encoded_bytes());
        }
        assert_eq!(store(&path).notice(), None);
    }

    #[test]
    fn what_can_not_be_read_is_not_replaced() {
        let path = path("unreadable");
        // Even root can't read a symlink that points to itself.
        symlink(&path, &path).unwrap();
        let mut unread = store(&path);
        assert!(unread.notice().unwrap().starts_with("can't read"));
        unread.save("a:5000", server("alice")).unwrap();
        assert!(fs::symlink_metadata(&path).unwrap().is_symlink());
        // Now the file becomes unreadable after it was opened.
        fs::remove_file(&path).unwrap();
        let mut store = store(&path);
        symlink(&path, &path).unwrap();
        store.save("a:5000", server("alice")).unwrap_err();
        assert!(fs::symlink_metadata(&path).unwrap().is_symlink());
    }

    #[test]
    fn what_can_not_be_set_aside_is_not_replaced() {
        let path = path("aside");
        fs::write(&path, b"{ half").unwrap();
        asides(&path).for_each(|aside| fs::write(aside, b"").unwrap());
        store(&path).save("a:5000", server("alice")).unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"{ half");
        assert!(store(&path).notice().unwrap().contains("too many"));
    }

    #[test]
    fn what_another_client_wrote_meanwhile_stays() {
        let path = path("two");
        let (mut one, mut other) = (store(&path), store(&path));
        one.save("a:5000", server("alice")).unwrap();
        other.save("b:5000", server("bob")).unwrap();
        assert_eq!(store(&path).server("a:5000"), server("alice"));
        assert_eq!(store(&path).server("b:5000"), server("bob"));
        assert_eq!(store(&path).last_server(), Some("b:5000"));
        // Both clients were connected to the same server.
        let (mut one, mut other) = (store(&path), store(&path));
        let mut read = server("alice");
        read.rooms[0].seq = 9;
        one.save("a:5000", read.clone()).unwrap();
        other.save("a:5000", server("alice")).unwrap();
        assert_eq!(store(&path).server("a:5000"), read);
    }
}
