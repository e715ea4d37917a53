//! All members see the messages of a room in the same order.

use std::sync::{Arc, Barrier};
use std::thread;

use crate::harness::{Member, Server};

const MEMBERS: usize = 100;
const MESSAGES: usize = 100;

/// A message of this test: its sender and its number.
type Said = (usize, usize);

#[test]
fn one_order() {
    let server = Server::start();
    let members: Vec<Member> = (0..MEMBERS)
        .map(|i| Member::arrive(&server, &format!("m{i}")))
        .collect();
    // The server does not send a member its own messages. The observer sends none, so it receives every message.
    let observer = Member::arrive(&server, "observer");
    let begin = Arc::new(Barrier::new(MEMBERS + 1));

    let observing = {
        let begin = Arc::clone(&begin);
        thread::spawn(move || take_part(observer, None, &begin))
    };
    let talking: Vec<_> = members
        .into_iter()
        .enumerate()
        .map(|(i, member)| {
            let begin = Arc::clone(&begin);
            thread::spawn(move || take_part(member, Some(i), &begin))
        })
        .collect();

    let order = observing.join().expect("the observer sees every message");
    for i in 0..MEMBERS {
        let own: Vec<usize> = order
            .iter()
            .filter(|said| said.0 == i)
            .map(|said| said.1)
            .collect();
        assert_eq!(
            own,
            (0..MESSAGES).collect::<Vec<_>>(),
            "m{i} was heard out of order"
        );
    }
    for (i, thread) in talking.into_iter().enumerate() {
        let seen = thread
            .join()
            .unwrap_or_else(|_| panic!("m{i} sees every message"));
        let others: Vec<Said> = order.iter().copied().filter(|said| said.0 != i).collect();
        assert!(seen == others, "m{i} saw another order");
    }
}

/// Sends all messages at once if the member is a speaker. Then waits for all messages of the other speakers, and
/// returns them in the order in which they arrived.
fn take_part(mut member: Member, speaker: Option<usize>, begin: &Barrier) -> Vec<Said> {
    begin.wait();
    let others = match speaker {
        Some(_) => {
            for message in 0..MESSAGES {
                member.says(&message.to_string());
            }
            MEMBERS - 1
        }
        None => MEMBERS,
    };
    let mut seen = Vec::with_capacity(others * MESSAGES);
    while seen.len() < others * MESSAGES {
        let line = member.next_line();
        if line.ends_with(" messages missed") {
            member.fail(format!("after {} messages: {line}", seen.len()));
        }
        seen.extend(said(&line));
    }
    seen
}

/// Reads a message such as `14:02 m17: 42`. Returns `None` for other lines, such as joins.
fn said(line: &str) -> Option<Said> {
    let (speaker, message) = crate::harness::untimed(line)
        .strip_prefix('m')?
        .split_once(": ")?;
    Some((speaker.parse().ok()?, message.parse().ok()?))
}
