//! Counts the numbered messages that one member receives: each must arrive once and in order, or be reported as missed.

use tokio::time::timeout;

use anyhow::Context;

use super::client::{PATIENCE, Reader, missed, said};
use crate::ledger::Series;

/// What a member received of a series of numbered messages.
#[derive(Clone, Debug, Default)]
pub(crate) struct Account {
    series: Series,
    pub(crate) seen: u64,
    /// The number of messages that the server reported as missed.
    pub(crate) missed: u64,
    /// The number of gaps: lines in which the server reports missed messages.
    pub(crate) gaps: u64,
    /// The number of messages that were received before the first gap. `None` if no gap was received.
    pub(crate) before_gap: Option<u64>,
}

impl Account {
    /// Counts a received line that reports missed messages, or that is a message from `from` whose text begins with
    /// `tag`. Ignores other lines.
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

    /// The number of messages that are missing but not reported as missed, plus the number of messages that arrived
    /// twice or out of order.
    pub(crate) const fn out_of_place(&self) -> u64 {
        self.series.lost + self.series.repeated
    }

    /// Reads until each of the `total` messages was received or reported as missed.
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

/// Returns the number in a text such as `TAG 17 ..`. `None` if the text has another tag.
fn numbered(text: &[u8], tag: &str) -> Option<u64> {
    let mut words = std::str::from_utf8(text).ok()?.split(' ');
    (words.next() == Some(tag)).then_some(())?;
    words.next()?.parse().ok()
}

/// Returns the lines of the given message numbers, each with `filler` bytes of filler.
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
