//! Which messages each receiver should get next, and what is wrong with a message that differs.
//!
//! [`Ledger`] tracks the deliveries of a benchmark, [`Series`] tracks the messages from one sender to one receiver, and
//! [`judge`] compares a log with the writers' acknowledgements. All three are pure: they use no sockets and no clock.
//!
//! Invariant: a message is outstanding until every member that should receive it has received it, once and in its
//! publisher's order.

use std::cmp::Ordering;
use std::collections::{HashMap, VecDeque};

use crate::payload::{PayloadCodec, Stamp};

/// Who receives a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Echo {
    /// All members but the publisher of the message.
    Exclude,
    /// All members, including the publisher of the message.
    Include,
    /// All members. Publishers are separate connections, not members.
    Apart,
}

/// The deliveries that members should still receive, in order.
#[derive(Debug)]
pub(crate) struct Ledger {
    codec: PayloadCodec,
    echo: Echo,
    members: usize,
    publishers: Vec<Account>,
    /// The sequence number that each member should receive next: one row for each member, one column for each
    /// publisher.
    due: Vec<u32>,
}

/// The outstanding messages of one publisher.
#[derive(Debug, Default)]
struct Account {
    /// The sequence number of the first message in `outstanding`.
    oldest: u32,
    /// For each outstanding message: the number of members that have not received it, and the time of sending, in
    /// nanoseconds since the start.
    outstanding: VecDeque<(u32, u64)>,
}

/// The result of a correct delivery.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Receipt {
    /// Some members have not received the message yet.
    Partial,
    /// This member was the last to receive the message. `sent_at` is in nanoseconds since the start.
    Complete { sent_at: u64 },
}

/// What is wrong with a delivery.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub(crate) enum Violation {
    /// The payload is not one that was published.
    #[error("member {member} got a corrupted message: {text:?}")]
    Corrupted { member: usize, text: String },
    /// No message with this publisher and sequence number was sent.
    #[error(
        "member {member} got message {sequence} of publisher {publisher}, which was never sent"
    )]
    NeverSent {
        member: usize,
        publisher: u32,
        sequence: u32,
    },
    /// The line names a different publisher than the payload.
    #[error("member {member} got a message of publisher {publisher} in the name of {named}")]
    WrongName {
        member: usize,
        publisher: u32,
        named: u32,
    },
    /// A publisher received its own message although the server does not echo.
    #[error("publisher {publisher} got its own message {sequence} back")]
    Own { publisher: usize, sequence: u32 },
    /// A later message arrived before the expected message.
    #[error(
        "member {member} expected message {expected} of publisher {publisher} but got {got}: \
         messages were lost or arrived out of order"
    )]
    Skipped {
        member: usize,
        publisher: usize,
        expected: u32,
        got: u32,
    },
    /// The member has already received this message, or should have received it before the expected message.
    #[error(
        "member {member} expected message {expected} of publisher {publisher} but got {got} (again): \
         a message was duplicated or arrived out of order"
    )]
    Repeated {
        member: usize,
        publisher: usize,
        expected: u32,
        got: u32,
    },
}

impl Ledger {
    /// Creates a ledger without outstanding messages.
    pub(crate) fn new(members: usize, publishers: usize, payload: usize, echo: Echo) -> Self {
        Self {
            codec: PayloadCodec::new(payload),
            echo,
            members,
            publishers: (0..publishers).map(|_| Account::default()).collect(),
            due: vec![0; members * publishers],
        }
    }

    /// Returns how many members receive each message.
    pub(crate) fn audience(&self) -> usize {
        match self.echo {
            Echo::Exclude => self.members.saturating_sub(1),
            Echo::Include | Echo::Apart => self.members,
        }
    }

    /// How many of this publisher's messages are outstanding.
    pub(crate) fn outstanding(&self, publisher: usize) -> usize {
        self.publishers[publisher].outstanding.len()
    }

    /// Records the publisher's next message, sent at `now`, and appends its payload to `out`.
    pub(crate) fn publish(&mut self, publisher: usize, now: u64, out: &mut Vec<u8>) {
        let waiting = self.audience() as u32;
        let account = &mut self.publishers[publisher];
        let sequence = account
            .oldest
            .wrapping_add(account.outstanding.len() as u32);
        account.outstanding.push_back((waiting, now));
        let stamp = Stamp {
            publisher: publisher as u32,
            sequence,
        };
        self.codec.encode(stamp, out);
    }

    /// Records a delivery to `member`. `named` is the publisher that the line names, if any.
    ///
    /// # Errors
    ///
    /// Returns an error if the payload is not the one that this member should receive next from its publisher.
    pub(crate) fn receive(
        &mut self,
        member: usize,
        payload: &[u8],
        named: Option<u32>,
    ) -> Result<Receipt, Violation> {
        let Some(stamp) = self.codec.decode(payload) else {
            let text = String::from_utf8_lossy(&payload[..payload.len().min(200)]).into_owned();
            return Err(Violation::Corrupted { member, text });
        };
        if let Some(named) = named.filter(|named| *named != stamp.publisher) {
            let publisher = stamp.publisher;
            return Err(Violation::WrongName {
                member,
                publisher,
                named,
            });
        }
        let publisher = stamp.publisher as usize;
        let columns = self.publishers.len();
        let never_sent = Violation::NeverSent {
            member,
            publisher: stamp.publisher,
            sequence: stamp.sequence,
        };
        let Some(account) = self.publishers.get_mut(publisher) else {
            return Err(never_sent);
        };
        let ahead = stamp.sequence.wrapping_sub(account.oldest) as usize;
        if self.echo == Echo::Exclude && member == publisher {
            let sequence = stamp.sequence;
            return Err(Violation::Own {
                publisher,
                sequence,
            });
        }
        let due = &mut self.due[member * columns + publisher];
        if stamp.sequence != *due {
            return Err(misplaced(member, publisher, *due, stamp.sequence));
        }
        let Some((waiting, sent_at)) = account.outstanding.get_mut(ahead) else {
            return Err(never_sent);
        };
        *due = due.wrapping_add(1);
        *waiting -= 1;
        if *waiting > 0 {
            return Ok(Receipt::Partial);
        }
        let sent_at = *sent_at;
        // Each member receives a publisher's messages in order, so the oldest message is always the first to reach all
        // members.
        account.outstanding.pop_front();
        account.oldest = account.oldest.wrapping_add(1);
        Ok(Receipt::Complete { sent_at })
    }

    /// Describes the deliveries that are still missing, with a few examples, for the report of a stalled run.
    pub(crate) fn describe_owed(&self) -> String {
        let mut lines = Vec::new();
        let mut owed = 0_u64;
        for (publisher, account) in self.publishers.iter().enumerate() {
            let next = account
                .oldest
                .wrapping_add(account.outstanding.len() as u32);
            for member in 0..self.members {
                let due = self.due[member * self.publishers.len() + publisher];
                let missing = next.wrapping_sub(due);
                if missing == 0 || (self.echo == Echo::Exclude && member == publisher) {
                    continue;
                }
                owed += u64::from(missing);
                if lines.len() < 3 {
                    lines.push(format!(
                        "member {member} expected message {due} of publisher {publisher}"
                    ));
                }
            }
        }
        format!(
            "{owed} deliveries are outstanding (lost?): {}, ..",
            lines.join("; ")
        )
    }
}

/// Tracks the numbered messages from one sender to one receiver.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Series {
    /// The expected number of the next message.
    pub(crate) next: u64,
    /// The number of messages that are missing.
    pub(crate) lost: u64,
    /// The number of messages that arrived twice, or after a later message.
    pub(crate) repeated: u64,
}

impl Series {
    /// Records the number of a received message. Returns how the number compares with the expected number: `Greater` if
    /// messages are missing, `Less` if the message is a repetition.
    pub(crate) fn receive(&mut self, number: u64) -> Ordering {
        let due = self.next;
        match number.checked_sub(due) {
            Some(skipped) => {
                self.lost += skipped;
                self.next = number.saturating_add(1);
            }
            None => self.repeated += 1,
        }
        number.cmp(&due)
    }
}

/// One message of the log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Kept {
    pub(crate) seq: u64,
    pub(crate) text: String,
}

/// The acknowledgements that one writer received: the number and the position of each message.
#[derive(Debug, Default, Clone)]
pub(crate) struct Acknowledged(pub(crate) Vec<(u64, u64)>);

/// Compares a log with the acknowledgements of each writer. Messages are texts such as `w7 123`.
pub(crate) fn judge(log: &[Kept], writers: &[Acknowledged]) -> Wrongs {
    let mut wrongs = Wrongs::default();
    let mut places: HashMap<&str, u64> = HashMap::new();
    let mut series: HashMap<&str, Series> = HashMap::new();
    for kept in log {
        if places.insert(&kept.text, kept.seq).is_some() {
            wrongs.twice.push(format!("{} at {}", kept.text, kept.seq));
        }
        let Some((writer, number)) = kept.text.split_once(' ') else {
            continue;
        };
        let number = number.parse().unwrap_or_default();
        // A refused message leaves a hole in the numbers, so only a repetition or a wrong order is reported.
        if series.entry(writer).or_default().receive(number).is_lt() {
            let what = format!("{} at {}", kept.text, kept.seq);
            wrongs.disordered.push(what);
        }
    }
    for (writer, Acknowledged(told)) in writers.iter().enumerate() {
        for (number, seq) in told {
            let text = format!("w{writer} {number}");
            match places.get(text.as_str()) {
                Some(place) if place == seq => {}
                Some(place) => wrongs
                    .elsewhere
                    .push(format!("{text} at {place}, not {seq}")),
                None => wrongs.lost.push(format!("{text} at {seq}")),
            }
        }
    }
    wrongs
}

/// The differences between a log and the writers' acknowledgements.
#[derive(Debug, Default)]
pub(crate) struct Wrongs {
    pub(crate) lost: Vec<String>,
    pub(crate) twice: Vec<String>,
    pub(crate) disordered: Vec<String>,
    pub(crate) elsewhere: Vec<String>,
}

fn misplaced(member: usize, publisher: usize, expected: u32, got: u32) -> Violation {
    if got.wrapping_sub(expected) < u32::MAX / 2 {
        Violation::Skipped {
            member,
            publisher,
            expected,
            got,
        }
    } else {
        Violation::Repeated {
            member,
            publisher,
            expected,
            got,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Returns a ledger of three members, the first of which publishes, and the payloads of the first `n` messages.
    fn published(n: usize, echo: Echo) -> (Ledger, Vec<Vec<u8>>) {
        let mut ledger = Ledger::new(3, 1, 32, echo);
        let messages = (0..n)
            .map(|at| {
                let mut out = Vec::new();
                ledger.publish(0, at as u64, &mut out);
                out
            })
            .collect();
        (ledger, messages)
    }

    #[test]
    fn a_message_is_outstanding_until_all_have_it() {
        let (mut ledger, messages) = published(2, Echo::Exclude);
        assert_eq!(ledger.outstanding(0), 2);
        assert_eq!(ledger.receive(1, &messages[0], None), Ok(Receipt::Partial));
        assert_eq!(ledger.receive(1, &messages[1], None), Ok(Receipt::Partial));
        assert_eq!(ledger.outstanding(0), 2);
        let complete = Receipt::Complete { sent_at: 0 };
        assert_eq!(ledger.receive(2, &messages[0], Some(0)), Ok(complete));
        assert_eq!(ledger.outstanding(0), 1);
    }

    #[test]
    fn the_publisher_counts_where_it_gets_its_own() {
        let (mut ledger, messages) = published(1, Echo::Include);
        assert_eq!(ledger.audience(), 3);
        for member in [2, 0] {
            assert_eq!(
                ledger.receive(member, &messages[0], None),
                Ok(Receipt::Partial)
            );
        }
        assert!(matches!(
            ledger.receive(1, &messages[0], None),
            Ok(Receipt::Complete { .. })
        ));
    }

    #[test]
    fn a_lost_message_is_reported() {
        let (mut ledger, messages) = published(3, Echo::Exclude);
        ledger.receive(1, &messages[0], None).unwrap();
        let skipped = Violation::Skipped {
            member: 1,
            publisher: 0,
            expected: 1,
            got: 2,
        };
        assert_eq!(ledger.receive(1, &messages[2], None), Err(skipped));
        assert!(
            ledger
                .describe_owed()
                .contains("member 1 expected message 1")
        );
        assert!(ledger.describe_owed().starts_with("5 deliveries"));
    }

    #[test]
    fn a_duplicated_message_is_reported_even_when_it_was_complete() {
        let (mut ledger, messages) = published(2, Echo::Exclude);
        ledger.receive(1, &messages[0], None).unwrap();
        let repeated = Violation::Repeated {
            member: 1,
            publisher: 0,
            expected: 1,
            got: 0,
        };
        assert_eq!(ledger.receive(1, &messages[0], None), Err(repeated));
        ledger.receive(2, &messages[0], None).unwrap();
        assert!(matches!(
            ledger.receive(2, &messages[0], None),
            Err(Violation::Repeated { .. })
        ));
    }

    #[test]
    fn a_reordered_message_is_reported() {
        let (mut ledger, messages) = published(2, Echo::Exclude);
        assert!(matches!(
            ledger.receive(1, &messages[1], None),
            Err(Violation::Skipped { .. })
        ));
    }

    #[test]
    fn a_corrupted_or_foreign_message_is_reported() {
        let (mut ledger, messages) = published(1, Echo::Exclude);
        let mut wrong = messages[0].clone();
        wrong[20] = b'!';
        assert!(matches!(
            ledger.receive(1, &wrong, None),
            Err(Violation::Corrupted { .. })
        ));
        assert!(matches!(
            ledger.receive(1, &messages[0], Some(2)),
            Err(Violation::WrongName { .. })
        ));
        assert!(matches!(
            ledger.receive(0, &messages[0], None),
            Err(Violation::Own { .. })
        ));
        let mut unsent = Vec::new();
        let stamp = Stamp {
            publisher: 5,
            sequence: 0,
        };
        PayloadCodec::new(32).encode(stamp, &mut unsent);
        assert!(matches!(
            ledger.receive(1, &unsent, None),
            Err(Violation::NeverSent { .. })
        ));
        ledger.receive(1, &messages[0], None).unwrap();
        let mut early = Vec::new();
        let stamp = Stamp {
            publisher: 0,
            sequence: 1,
        };
        PayloadCodec::new(32).encode(stamp, &mut early);
        assert!(matches!(
            ledger.receive(1, &early, None),
            Err(Violation::NeverSent { .. })
        ));
    }

    #[test]
    fn lost_repeated_and_displaced_messages_are_found() {
        let kept = |seq, text: &str| Kept {
            seq,
            text: text.to_owned(),
        };
        let log = [
            kept(1, "w0 0"),
            kept(2, "w1 1"),
            kept(3, "w0 1"),
            kept(4, "w1 0"),
            kept(5, "w0 0"),
        ];
        let told = [
            Acknowledged(vec![(0, 1), (1, 3), (2, 6)]),
            Acknowledged(vec![(1, 9)]),
        ];
        let wrongs = judge(&log, &told);
        assert_eq!(wrongs.lost, ["w0 2 at 6"]);
        assert_eq!(wrongs.twice, ["w0 0 at 5"]);
        assert_eq!(wrongs.disordered, ["w1 0 at 4", "w0 0 at 5"]);
        assert_eq!(wrongs.elsewhere.len(), 2);
    }

    #[test]
    fn a_series_counts_what_is_left_out_and_what_comes_again() {
        let mut series = Series::default();
        let received = [0, 2, 2, 1, 3].map(|number| series.receive(number));
        let expected = [
            Ordering::Equal,
            Ordering::Greater,
            Ordering::Less,
            Ordering::Less,
            Ordering::Equal,
        ];
        assert_eq!(received, expected);
        assert_eq!((series.next, series.lost, series.repeated), (4, 1, 2));
    }
}
