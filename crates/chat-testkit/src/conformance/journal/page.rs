//! Checks the pages that a journal returns for reads. A page must contain the messages that the log still holds in the
//! requested span, up to the limit. A page after a position must also report a gap for requested messages that are gone.

use super::model::Model;
use super::{Holds, Rule, Violation};
use chat_core::Seq;
use chat_core::log::{Gap, Page, Span};
use std::ops::Range;

impl Model {
    /// Compares a page with the expected contents of the log. Before this call, the last append must have been
    /// acknowledged.
    ///
    /// Returns the positions of the page's messages.
    pub(super) fn check_page(
        &mut self,
        span: Span,
        limit: usize,
        page: &Page,
        holds: Holds,
    ) -> Result<Vec<Seq>, Violation> {
        let (indexes, places) = self.recognise(page)?;
        let is_inside = |seq: &Seq| match span {
            Span::After(asked) => *seq > asked,
            Span::Before(asked) => *seq < asked,
            _ => true,
        };
        if let Some(outside) = places.iter().find(|seq| !is_inside(seq)) {
            let expected = format!("messages of {span:?}");
            return Err(Violation::new(
                Rule::Ranges,
                expected,
                format!("one at {outside}"),
            ));
        }
        if indexes.len() > limit {
            let seen = format!("{} messages", indexes.len());
            return Err(Violation::new(
                Rule::Ranges,
                format!("at most {limit} messages"),
                seen,
            ));
        }
        self.check_row(&indexes)?;
        let lost = match span {
            _ if limit == 0 => None,
            Span::After(asked) => Some(self.check_after(asked, limit, &indexes)?),
            Span::Before(asked) => Some(self.check_before(asked, limit, &indexes)?),
            _ => None,
        };
        if let Some(lost) = lost.clone().filter(|lost| !lost.is_empty()) {
            self.check_held(lost.end, holds)?;
        }
        self.check_gap(span, lost, page.gap)?;
        Ok(places)
    }

    /// Finds the records of a page's messages. Returns their indexes and positions.
    fn recognise(&mut self, page: &Page) -> Result<(Vec<usize>, Vec<Seq>), Violation> {
        let (mut indexes, mut places) = (Vec::new(), Vec::new());
        for slice in &page.slices {
            let (batch, range) = (&slice.batch, slice.range.clone());
            if range.is_empty() || range.end > batch.len() {
                let expected = format!("an excerpt of some of a batch's {} messages", batch.len());
                return Err(Violation::new(Rule::Ranges, expected, format!("{range:?}")));
            }
            for message in batch.messages(range) {
                let Some(index) = self.identify(batch, &message) else {
                    let is_elsewhere = batch.room().as_str().to_lowercase() != self.key;
                    let rule = if is_elsewhere {
                        Rule::Rooms
                    } else {
                        Rule::Content
                    };
                    let expected = format!("only what was appended to {}", self.key);
                    let seen = format!("{:?} in {}", message.text, batch.room());
                    return Err(Violation::new(rule, expected, seen));
                };
                if let Some(&last) = indexes.last()
                    && index <= last
                {
                    let expected =
                        "the messages in the order in which they were appended, each once";
                    let (first, then) = (&self.records[last].text, &self.records[index].text);
                    let seen = format!("{first:?} before {then:?}");
                    return Err(Violation::new(Rule::Order, expected, seen));
                }
                if index < self.gone {
                    let expected = format!("that {:?} stays gone", message.text);
                    return Err(Violation::new(Rule::Gaps, expected, "it is there again"));
                }
                self.compare(index, batch, &message)?;
                indexes.push(index);
                places.push(message.seq);
            }
        }
        Ok((indexes, places))
    }

    /// Checks that no message is missing between two messages of a page.
    fn check_row(&self, indexes: &[usize]) -> Result<(), Violation> {
        let hole = indexes.windows(2).find(|pair| pair[1] != pair[0] + 1);
        hole.map_or(Ok(()), |pair| {
            let seen = format!("{:?} next", self.records[pair[1]].text);
            Err(self.lost(pair[0] + 1, seen))
        })
    }

    /// Checks that a page after the position `asked` has as many messages as the log and `limit` allow. Returns which
    /// records between `asked` and the page's first message are gone.
    fn check_after(
        &self,
        asked: Seq,
        limit: usize,
        indexes: &[usize],
    ) -> Result<Range<usize>, Violation> {
        let first_held = indexes.first().copied().unwrap_or(self.records.len());
        let expected = limit.min(self.records.len() - first_held);
        if indexes.len() < expected {
            let seen = format!(
                "{} messages after {asked}, of at most {limit}",
                indexes.len()
            );
            return Err(self.lost(first_held + indexes.len(), seen));
        }
        Ok(self.count_through(asked)..first_held)
    }

    /// Checks that a page before the position `asked` ends with the nearest message. Returns which records before the
    /// page are gone. A page of `limit` messages is full, so it does not show whether earlier records are gone. For a
    /// full page, the returned range is empty.
    fn check_before(
        &self,
        asked: Seq,
        limit: usize,
        indexes: &[usize],
    ) -> Result<Range<usize>, Violation> {
        let end = self.count_through(Seq(asked.0.saturating_sub(1)));
        let Some((first, last)) = indexes.first().zip(indexes.last()) else {
            return Ok(0..end);
        };
        if last + 1 != end {
            let nearest = &self.records[end - 1].text;
            let expected = format!("{nearest:?}, the nearest to {asked}, at the end");
            let seen = format!("{:?} at the end", self.records[*last].text);
            return Err(Violation::new(Rule::Ranges, expected, seen));
        }
        Ok(if indexes.len() < limit {
            0..*first
        } else {
            0..0
        })
    }

    /// Checks that the journal was allowed to remove the records before `first_held`. The journal no longer returns
    /// these records.
    fn check_held(&mut self, first_held: usize, holds: Holds) -> Result<(), Violation> {
        let can_go = self.records.len().saturating_sub(holds.messages());
        if first_held > can_go.max(self.expired) {
            let seen = format!("nothing before what follows it, of a log that holds {holds:?}");
            return Err(self.lost(first_held - 1, seen));
        }
        self.gone = self.gone.max(first_held);
        Ok(())
    }

    /// Checks that a gap covers exactly the requested messages that are gone.
    fn check_gap(
        &self,
        span: Span,
        lost: Option<Range<usize>>,
        gap: Option<Gap>,
    ) -> Result<(), Violation> {
        let (asked, is_told) = match span {
            Span::After(asked) => (asked, true),
            // A read before a position need not report a gap: a page with fewer messages than its limit shows that all
            // earlier messages are gone.
            _ => (Seq::START, false),
        };
        // A read with limit 0 may report a gap, but returns no messages to check the gap against.
        let Some(lost) = lost else { return Ok(()) };
        let wrong = |expected: String| {
            let seen = gap.map(|gap| format!("a gap of {}..={}", gap.from, gap.to));
            let seen = seen.unwrap_or_else(|| "no gap".into());
            Err(Violation::new(Rule::Gaps, expected, seen))
        };
        let known = |index: usize| self.records.get(index).and_then(|record| record.seq);
        if lost.is_empty() {
            // The record at `lost.end` may be gone and have no known position. The record may then lie in the span, so
            // a gap is allowed.
            let is_open = lost.end < self.gone && known(lost.end).is_none();
            return match gap {
                Some(_) if !is_open => wrong(format!("no gap: of {span:?} nothing is gone")),
                _ => Ok(()),
            };
        }
        let first = lost.clone().find_map(known).unwrap_or(Seq::END);
        let last = lost.clone().rev().find_map(known).unwrap_or(Seq::START);
        let next = known(lost.end).unwrap_or_else(|| self.tail().next());
        // A lost message whose position is unknown may lie before the requested position. If all lost messages are such
        // messages, no gap is required.
        let must_be_told = is_told && last > Seq::START;
        let is_right = gap.map_or(!must_be_told, |gap| {
            asked < gap.from
                && gap.from <= first
                && last <= gap.to
                && gap.to < next
                && !gap.is_empty()
        });
        match is_right {
            true => Ok(()),
            false => wrong(format!(
                "a gap of {}..={}: of {span:?} {} messages are gone",
                asked.next(),
                next.0 - 1,
                lost.len()
            )),
        }
    }

    /// Returns the number of records up to and including the last record whose known position is at most `seq`. Earlier
    /// records with an unknown position count, too.
    fn count_through(&self, seq: Seq) -> usize {
        let is_before = |at: Seq| at <= seq;
        let last = self
            .records
            .iter()
            .rposition(|record| record.seq.is_some_and(is_before));
        last.map_or(0, |last| last + 1)
    }

    fn lost(&self, index: usize, seen: String) -> Violation {
        let record = &self.records[index];
        let rule = if record.is_abandoned {
            Rule::Cancelled
        } else {
            Rule::Loss
        };
        let place = record
            .seq
            .map_or_else(String::new, |seq| format!(" at {seq}"));
        Violation::new(rule, format!("message {:?}{place}", record.text), seen)
    }
}
