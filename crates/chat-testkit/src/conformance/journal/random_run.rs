//! Performs random operations of a hub on its journal. The seed decides the operations and their order.

use super::rooms::Rooms;
use super::{JournalUnderTest, Violation};
use crate::random::Random;
use chat_core::Seq;
use chat_core::log::Span;

/// The number of operations in one run.
const STEPS: usize = 80;

pub(super) async fn run(
    rooms: &mut Rooms<'_, impl JournalUnderTest>,
    seed: u64,
) -> Result<(), Violation> {
    let mut random = Random::new(seed);
    let mut all = Vec::new();
    for name in ["a", "b", "c"] {
        all.push(rooms.add(name).await?);
    }
    for _ in 0..STEPS {
        let room = *random.pick(&all);
        match random.below(20) {
            0..6 => {
                let drafts = rooms.writer.any(&mut random);
                rooms.append(room, drafts).await?;
            }
            6..9 => {
                let count = 1 + random.below(6);
                let batches = (0..count).map(|_| rooms.writer.any(&mut random)).collect();
                rooms.append_at_once(room, batches, &mut random).await?;
            }
            9..17 => {
                let (span, limit) = question(rooms, room, &mut random);
                rooms.read(room, span, limit).await?;
            }
            17 => {
                let (span, limit) = question(rooms, room, &mut random);
                rooms.begin_to_read(room, span, limit);
            }
            18 => rooms.reopen(room).await?,
            _ if random.once_in(4) => drop(rooms.expire().await?),
            _ => rooms.restart().await?,
        }
    }
    for room in all {
        rooms
            .read(room, Span::After(Seq::START), usize::MAX)
            .await?;
    }
    Ok(())
}

fn question(
    rooms: &Rooms<'_, impl JournalUnderTest>,
    room: usize,
    random: &mut Random,
) -> (Span, usize) {
    let places = rooms.places(room);
    let bound = match random.below(6) {
        0 => Seq::START,
        1 => Seq::END,
        2 => rooms.tail(room),
        _ if places.is_empty() => Seq(1),
        _ => Seq((random.pick(&places).0 + random.below(3) as u64).saturating_sub(1)),
    };
    let limit = *random.pick(&[0, 1, 2, 3, 10, 100, usize::MAX]);
    let span = match random.once_in(2) {
        true => Span::After(bound),
        false => Span::Before(bound),
    };
    (span, limit)
}
