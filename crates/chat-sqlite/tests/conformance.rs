//! The SQLite journal satisfies the rules for all journals.

#![expect(clippy::unwrap_used, reason = "a test that fails says so by panicking")]

use chat_sqlite::{Keep, Options, SqliteJournal, Sync};
use chat_testkit::conformance::{Durability, Holds, JournalUnderTest, assert_conforms, journal};
use tempfile::TempDir;

struct InFile(TempDir, Sync);

impl InFile {
    fn open_with(&self, keep: Keep) -> SqliteJournal {
        let mut options = Options::default();
        (options.sync, options.keep) = (self.1, keep);
        // The conformance suite has Thai nicks with combining marks that the default rules do not allow.
        options.names.is_mark = |c| !c.is_ascii() && !c.is_alphanumeric();
        SqliteJournal::open(&self.0.path().join("log.db"), &options).unwrap()
    }
}

impl JournalUnderTest for InFile {
    type Journal = SqliteJournal;

    async fn open(&mut self) -> SqliteJournal {
        self.open_with(Keep::Everything)
    }

    fn durability(&self) -> Durability {
        Durability::OverRestarts
    }

    fn holds(&self) -> Holds {
        Holds::Everything
    }

    async fn expire(&mut self) -> bool {
        let journal = self.open_with(Keep::Count(0));
        // The journal removes old messages while it is idle. Dropping the journal waits for the writer thread, but not
        // for the removal.
        while journal.kept().await.unwrap() > 0 {
            tokio::task::yield_now().await;
        }
        true
    }
}

#[tokio::test]
async fn it_conforms() {
    for sync in [Sync::Full, Sync::Normal] {
        let dir = tempfile::tempdir().unwrap();
        assert_conforms(journal(InFile(dir, sync)).await);
    }
}
