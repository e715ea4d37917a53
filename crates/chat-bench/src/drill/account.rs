//! Numbered messages as a member accounts for them: each seen once and in order, or missed and told so.

use tokio::time::timeout;

use anyhow::Context;

use super::client::{PATIENCE, Reader, missed, said};
use crate::ledger::Series;

/// What a member saw of a series of numbered messages.
#[derive(Clone, Debug, Default)]
pub(crate) struct Account {
    series: Series,
    pub(crate) seen: u64,
    /// Told to be missed.
    pub(crate) missed: u64,
    /// Lines that say so.
    pub(crate) gaps: u64,
    /// How many were seen before the first such line.
    pub(crate) before_gap: Option<u64>,
}

impl Account {
    /// Takes note of a line; the messages of the series are those of `from` that begin with `tag`.
    pub(crate) fn hear(&mut self, line: &[u8], from: &str, tag: &str) {
        if let Some(count) = missed(line) {
            self.before_gap.get_or_insert(self.seen);
            self.missed += count;
            self.series.next += count;
            self.gaps += 1;
            return;
        }
        let text = said(line).filter(|(by, _)| *by == from.as_bytes());
        let Some(number) = text.and_then(|(_, text)| numbered(text, tag)) else {
            return;
        };
        self.series.receive(number);
        self.seen += 1;
    }

    /// How many messages were left out without a gap that says so, or came again.
    pub(crate) const fn out_of_place(&self) -> u64 {
        self.series.lost + self.series.repeated
    }

    /// Reads until `total` messages are accounted for.
    pub(crate) async fn complete(
        &mut self,
        reader: &mut Reader,
        from: &str,
        tag: &str,
        total: u64,
    ) -> anyhow::Result<()> {
        while self.series.next < total {
            let accounted = || format!("{} of {total} are accounted for", self.series.next);
            let more = timeout(PATIENCE, reader.next())
                .await
                .with_context(|| format!("nothing more comes: {}", accounted()))?;
            let more = more.with_context(accounted)?;
            anyhow::ensure!(more, "the server hung up: {}", accounted());
            self.hear(reader.line(), from, tag);
        }
        Ok(())
    }
}

/// The number in `TAG 17 ..`.
fn numbered(text: &[u8], tag: &str) -> Option<u64> {
    let mut words = std::str::from_utf8(text).ok()?.split(' ');
    (words.next() == Some(tag)).then_some(())?;
    words.next()?.parse().ok()
}

/// The lines of messages number `from` to `to` of a series, each with this much filler.
pub(crate) fn lines(tag: &str, numbers: std::ops::Range<u64>, filler: usize) -> Vec<u8> {
    let filler = "x".repeat(filler);
    let lines = numbers.map(|number| format!("{tag} {number} {filler}\n"));
    lines.collect::<String>().into_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_missed_and_told_so_is_accounted_for() {
        let mut account = Account::default();
        for line in [
            "14:02 kim: a 0 x",
            "* 2 messages missed",
            "14:02 kim: a 3 x",
        ] {
            account.hear(line.as_bytes(), "kim", "a");
        }
        assert_eq!(
            (account.series.next, account.seen, account.missed),
            (4, 2, 2)
        );
        assert_eq!((account.out_of_place(), account.before_gap), (0, Some(1)));
        account.hear(b"14:02 kim: a 3 x", "kim", "a");
        assert_eq!(account.out_of_place(), 1);
        account.hear(b"14:02 lee: a 9 x", "kim", "a");
        account.hear(b"14:02 kim: b 9 x", "kim", "a");
        assert_eq!(account.series.next, 4);
    }
}
