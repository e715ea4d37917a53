//! Numbered messages as one member receives them: each is seen once and in order, or reported as missed.

use tokio::time::timeout;

use anyhow::Context;

use super::client::{PATIENCE, Reader, missed, said};
use crate::ledger::Series;

/// What a member received of a series of numbered messages.
#[derive(Clone, Debug, Default)]
pub(crate) struct Account {
    series: Series,
    pub(crate) seen: u64,
    /// Messages that gaps report as missed.
    pub(crate) missed: u64,
    /// Number of gaps.
    pub(crate) gaps: u64,
    /// How many were seen before the first gap.
    pub(crate) before_gap: Option<u64>,
}

impl Account {
    /// Enters a line. The messages of the series are those of `from` that begin with `tag`.
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
                .with_context(|| format!("no further message: {}", accounted()))?;
            let more = more.with_context(accounted)?;
            anyhow::ensure!(more, "the server closed the connection: {}", accounted());
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
    fn messages_that_a_gap_reports_are_accounted_for() {
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
