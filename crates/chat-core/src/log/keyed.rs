//! Finds the latest messages that have a key, in a log without an index of keys. The search reads the log from its end.

use crate::log::journal::{BatchSlice, JournalError, Log, Page, Span};
use crate::log::position::{Seq, Timestamp};

/// The number of messages that one read asks for.
const PAGE: usize = 256;

/// The most messages that one call examines, and the most bytes of these messages' texts.
const LOOKED_AT_MAX: usize = 16_384;
const BYTES_LOOKED_AT_MAX: usize = 16 << 20;

/// Returns the latest messages that have a key; see [`Log::keyed`].
pub(super) async fn keyed<L: Log + ?Sized>(
    log: &L,
    since: Timestamp,
    limit: usize,
) -> Result<Page, JournalError> {
    let (mut before, mut looked_at, mut bytes) = (Seq::END, 0, 0);
    let (mut found, mut count) = (Vec::new(), 0);
    while count < limit && looked_at < LOOKED_AT_MAX && bytes < BYTES_LOOKED_AT_MAX {
        let page = log.read(Span::Before(before), PAGE).await?;
        let missing = page.gap.map(|gap| gap.from);
        let Some(first) = page.first().or(missing) else {
            break;
        };
        before = first;
        looked_at += page.len().max(1);
        let mut is_all = true;
        for BatchSlice { batch, range } in page.slices.into_iter().rev() {
            is_all &= batch.at() >= since;
            let mut keyed = 0;
            for message in batch.messages(range.clone()) {
                bytes += message.text.len();
                keyed += usize::from(message.key.is_some());
            }
            if keyed > 0 && batch.at() >= since {
                count += keyed;
                found.push(BatchSlice { batch, range });
            }
        }
        if !is_all {
            break;
        }
    }
    found.reverse();
    Ok(Page::new(None, found))
}
