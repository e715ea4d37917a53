//! A script for each rule, run in an order that reports the simplest broken rule first.

use super::rooms::Rooms;
use super::{JournalUnderTest, Rule, Violation};
use crate::random::Random;
use chat_core::Seq;
use chat_core::log::Span;
use std::collections::BTreeSet;

/// Runs all scripts.
pub(super) async fn run(rooms: &mut Rooms<'_, impl JournalUnderTest>) -> Result<(), Violation> {
    rooms.begin("empty-");
    an_empty_log(rooms).await?;
    rooms.begin("order-");
    appends_in_order(rooms).await?;
    rooms.begin("ranges-");
    ranges(rooms).await?;
    rooms.begin("pages-");
    pages(rooms).await?;
    rooms.begin("gaps-");
    many_messages(rooms).await?;
    rooms.begin("rooms-");
    separate_rooms(rooms).await?;
    rooms.begin("topic-");
    topics(rooms).await?;
    rooms.begin("modes-");
    modes(rooms).await?;
    rooms.begin("at-once-");
    appends_at_once(rooms).await?;
    rooms.begin("restart-");
    restarts(rooms).await
}

/// Checks that a new log is empty, and that reading it succeeds.
async fn an_empty_log(rooms: &mut Rooms<'_, impl JournalUnderTest>) -> Result<(), Violation> {
    let room = rooms.add("a").await?;
    for span in [
        Span::After(Seq::START),
        Span::Before(Seq::END),
        Span::Before(Seq::START),
    ] {
        for limit in [0, 1, usize::MAX] {
            rooms.read(room, span, limit).await?;
        }
    }
    Ok(())
}

/// Checks that the messages of each append can be read as soon as the append has completed.
async fn appends_in_order(rooms: &mut Rooms<'_, impl JournalUnderTest>) -> Result<(), Violation> {
    let room = rooms.add("a").await?;
    for messages in [1, 1, 3, 1, 2, 5, 1, 1, 4, 1] {
        let (drafts, tail) = (rooms.writer.plain(messages), rooms.tail(room));
        rooms.append(room, drafts).await?;
        rooms.read(room, Span::After(tail), usize::MAX).await?;
        rooms
            .read(room, Span::After(Seq::START), usize::MAX)
            .await?;
    }
    Ok(())
}

/// Reads before and after each position and its neighbours. Some of the limits end a page in the middle of a batch.
async fn ranges(rooms: &mut Rooms<'_, impl JournalUnderTest>) -> Result<(), Violation> {
    let room = filled(rooms).await?;
    let places = rooms.places(room);
    let mut bounds: BTreeSet<Seq> = [
        Seq::START,
        Seq(1),
        Seq(u64::MAX / 2),
        Seq(u64::MAX - 1),
        Seq::END,
    ]
    .into();
    bounds.extend(
        places
            .iter()
            .flat_map(|seq| [Seq(seq.0 - 1), *seq, seq.next()]),
    );
    for bound in bounds {
        for limit in [0, 1, 2, 3, 5, places.len(), usize::MAX] {
            rooms.read(room, Span::After(bound), limit).await?;
            rooms.read(room, Span::Before(bound), limit).await?;
        }
    }
    Ok(())
}

/// Reads page by page, forwards and backwards: each held message is read exactly once.
async fn pages(rooms: &mut Rooms<'_, impl JournalUnderTest>) -> Result<(), Violation> {
    let room = filled(rooms).await?;
    let all = rooms
        .read(room, Span::After(Seq::START), usize::MAX)
        .await?;
    for size in [1, 2, 3, 7, 100] {
        let (mut forwards, mut after) = (Vec::new(), Seq::START);
        while forwards.len() <= all.len() {
            let page = rooms.read(room, Span::After(after), size).await?;
            let Some(&last) = page.last() else { break };
            after = last;
            forwards.extend(page);
        }
        covers(&all, &forwards, size, "forwards")?;
        let (mut backwards, mut before) = (Vec::new(), Seq::END);
        while backwards.len() <= all.len() {
            let page = rooms.read(room, Span::Before(before), size).await?;
            let Some(&first) = page.first() else { break };
            before = first;
            backwards.splice(0..0, page);
        }
        covers(&all, &backwards, size, "backwards")?;
    }
    Ok(())
}

fn covers(all: &[Seq], paged: &[Seq], size: usize, direction: &str) -> Result<(), Violation> {
    if all == paged {
        return Ok(());
    }
    let expected = format!("{all:?}, {direction} in pages of {size}");
    Err(Violation::new(Rule::Ranges, expected, format!("{paged:?}")))
}

/// Appends more messages than a small journal holds. Checks that reads from the beginning, or from a removed position,
/// report a gap.
async fn many_messages(rooms: &mut Rooms<'_, impl JournalUnderTest>) -> Result<(), Violation> {
    let room = rooms.add("a").await?;
    for step in 0..60 {
        let (drafts, middle) = (
            rooms.writer.plain(1 + step % 4),
            Seq(rooms.tail(room).0 / 2),
        );
        rooms.append(room, drafts).await?;
        for after in [Seq::START, middle, rooms.tail(room)] {
            for limit in [1, 3, usize::MAX] {
                rooms.read(room, Span::After(after), limit).await?;
            }
        }
        rooms.read(room, Span::Before(Seq::END), usize::MAX).await?;
    }
    Ok(())
}

/// Checks that messages of one room do not appear in another room.
async fn separate_rooms(rooms: &mut Rooms<'_, impl JournalUnderTest>) -> Result<(), Violation> {
    let all = [
        rooms.add("a").await?,
        rooms.add("b").await?,
        rooms.add("A_").await?,
    ];
    for step in 0..12 {
        let drafts = rooms.writer.plain(1 + step % 3);
        rooms.append(all[step % all.len()], drafts).await?;
        for room in all {
            rooms
                .read(room, Span::After(Seq::START), usize::MAX)
                .await?;
            rooms.read(room, Span::Before(Seq::END), 2).await?;
        }
    }
    // Each room is found by its key, however its name is spelled.
    for room in all {
        rooms.reopen(room).await?;
        rooms
            .read(room, Span::After(Seq::START), usize::MAX)
            .await?;
    }
    Ok(())
}

/// Checks that the head has the topic that was set last, until the topic is removed.
async fn topics(rooms: &mut Rooms<'_, impl JournalUnderTest>) -> Result<(), Violation> {
    let room = rooms.add("a").await?;
    for topic in [Some("one"), Some("둘"), None, Some("three")] {
        let drafts = rooms.writer.topic(topic);
        rooms.append(room, drafts).await?;
        rooms.reopen(room).await?;
        rooms
            .read(room, Span::After(Seq::START), usize::MAX)
            .await?;
    }
    Ok(())
}

/// Checks that the head has the modes that the messages have set, also when the messages are gone.
async fn modes(rooms: &mut Rooms<'_, impl JournalUnderTest>) -> Result<(), Violation> {
    let room = rooms.add("a").await?;
    for changes in [
        "+moderated +key k{} +limit {}",
        "+ban bad-{}!*@* +quiet $a:{} +operator $a:op-{} +voice nobody-{}",
        "-moderated +secret +ban * +except 한글!*@{} -key",
        "-ban * +invite-only +invite-except x{} -limit",
    ] {
        let drafts = rooms.writer.modes(changes);
        rooms.append(room, drafts).await?;
        rooms.reopen(room).await?;
        let drafts = rooms.writer.plain(3);
        rooms.append(room, drafts).await?;
        rooms
            .read(room, Span::After(Seq::START), usize::MAX)
            .await?;
    }
    Ok(())
}

/// Appends without waiting. The futures are polled in any order or dropped.
async fn appends_at_once(rooms: &mut Rooms<'_, impl JournalUnderTest>) -> Result<(), Violation> {
    let room = rooms.add("a").await?;
    for seed in 0..16 {
        let mut random = Random::new(seed);
        let batches = (0..2 + seed % 6).map(|_| rooms.writer.plain(1 + random.below(3)));
        let batches = batches.collect();
        rooms.append_at_once(room, batches, &mut random).await?;
    }
    Ok(())
}

/// Restarts the journal, and checks the positions of the next messages: they continue after the last message from
/// before the restart, even if that message has expired.
async fn restarts(rooms: &mut Rooms<'_, impl JournalUnderTest>) -> Result<(), Violation> {
    let all = [filled(rooms).await?, rooms.add("b").await?];
    for expires in [false, true, false] {
        if expires {
            rooms.expire().await?;
        } else {
            rooms.restart().await?;
        }
        for room in all {
            rooms
                .read(room, Span::After(Seq::START), usize::MAX)
                .await?;
            rooms.read(room, Span::Before(Seq::END), usize::MAX).await?;
            let drafts = rooms.writer.plain(2);
            rooms.append(room, drafts).await?;
            rooms
                .read(room, Span::After(Seq::START), usize::MAX)
                .await?;
        }
        // The next step restarts the journal as well. So the journal is restarted twice without an operation in
        // between.
        rooms.restart().await?;
    }
    Ok(())
}

/// Creates a room with batches of several sizes.
async fn filled(rooms: &mut Rooms<'_, impl JournalUnderTest>) -> Result<usize, Violation> {
    let room = rooms.add("filled").await?;
    for messages in [1, 4, 2, 1, 5, 3, 1, 2] {
        let drafts = rooms.writer.plain(messages);
        rooms.append(room, drafts).await?;
    }
    Ok(room)
}
