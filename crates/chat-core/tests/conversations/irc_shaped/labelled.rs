//! Messages with a label (IRC's name for the id of a request), in cases where their order among the room's messages is
//! hard to find: a full queue, a log that begins anew, a change of the echo. The server answers each message once, and
//! shows it to its author once.

use super::dialect::Irc;
use super::{Shared, hub, irc_in_a, lines_of};
use bytes::BytesMut;
use chat_core::protocol::{
    Command, Commands, Detected, Detection, Detector, Dialect, DialectOptions, Encoder, Reply,
};
use chat_core::{CloseReason, Direct, Echo, Hub, Limits};
use chat_testkit::{TestHub, Wire};
use std::num::NonZeroUsize;
use std::sync::Arc;
use std::time::Duration;

/// Returns limits with a queue that one long message fills.
fn tight() -> Limits {
    let mut limits = Limits::default();
    limits.rate = None;
    limits.queue_bytes = NonZeroUsize::new(1024).unwrap();
    limits
}

/// Connects alice and carol. Nothing reads from alice's stream until the test does.
async fn slow_alice_and_carol(hub: &mut TestHub) -> [Wire; 2] {
    let mut alice = hub.connect_with("alice", 256);
    alice.sends("NICK alice\nUSER a\nJOIN #a").await;
    alice.sees_in_time(":alice JOIN #a").await;
    let mut carol = irc_in_a(hub, "carol").await;
    for peer in [&mut alice, &mut carol] {
        lines_of(peer).await;
    }
    [alice, carol]
}

/// Publishes long messages, with alice's line among them. No task runs before all messages are published. So the
/// messages before alice's line fill her queue, and the messages after it find the queue full.
async fn publish_a_round_around(hub: &Hub, alice: &mut Wire, carol: &mut Wire, line: &str) {
    let bob = hub.session(Some("bob")).await.unwrap();
    let bob = bob.join("a").await.unwrap();
    alice.sends(line).await;
    carol
        .sends(&format!("PRIVMSG #a :after {}", "x".repeat(900)))
        .await;
    for number in 0..3 {
        let text = format!("before {number} {}", "x".repeat(900));
        bob.say(&text).await.unwrap();
    }
}

/// Returns the messages among these lines, without the `x` characters that pad their texts.
fn messages(lines: Vec<String>) -> Vec<String> {
    let is_message = |line: &String| line.contains(" PRIVMSG ");
    let messages = lines.into_iter().filter(is_message);
    messages
        .map(|line| line.trim_end_matches('x').trim_end().to_owned())
        .collect()
}

#[tokio::test(start_paused = true)]
async fn a_labelled_message_behind_which_the_queue_is_full_is_shown_once() {
    let mut wires = hub(tight());
    let [mut alice, mut carol] = slow_alice_and_carol(&mut wires).await;
    let line = "@label=1 PRIVMSG #a :own";
    publish_a_round_around(&wires.hub, &mut alice, &mut carol, line).await;
    assert_eq!(
        messages(lines_of(&mut alice).await),
        [
            ":bob PRIVMSG #a :before 0",
            ":bob PRIVMSG #a :before 1",
            ":bob PRIVMSG #a :before 2",
            "@label=1 :alice PRIVMSG #a :own",
            ":carol PRIVMSG #a :after",
        ]
    );
    assert_eq!(wires.hub.stats().lag_repairs, 1);
}

/// The room learns that its log has begun anew. At that time the author has the position of the message, but the room
/// has not delivered the message yet.
#[tokio::test(start_paused = true)]
async fn a_labelled_message_of_a_log_that_begins_anew_is_answered_once() {
    let mut delivered = 0;
    for seed in 0..20 {
        for before_reset in [0, 10, 20] {
            let mut shared = Shared::new(seed).await;
            lines_of(&mut shared.alice).await;
            shared.node.hold();
            let line = "@label=1 PRIVMSG #a :own\n@label=2 NICK ally";
            shared.alice.sends(line).await;
            // The append is under way for up to 40 ms. So the message is in the old log or in the new one.
            tokio::time::sleep(Duration::from_millis(before_reset)).await;
            shared.journal.reset("a");
            tokio::time::sleep(Duration::from_secs(1)).await;
            delivered += usize::from(shared.has_stored("own").await);
            shared.node.release();
            shared.bob.say("later").await.unwrap();
            let lines = lines_of(&mut shared.alice).await;
            let own = lines.iter().filter(|line| line.ends_with(":own"));
            assert_eq!(
                own.collect::<Vec<_>>(),
                ["@label=1 :alice PRIVMSG #a :own"],
                "seed {seed}, reset after {before_reset} ms: {lines:?}"
            );
            assert!(lines.contains(&"@label=2 :you NICK ally".to_owned()));
            assert!(lines.contains(&":bob PRIVMSG #a :later".to_owned()));
        }
    }
    assert!((1..60).contains(&delivered), "{delivered} of 60");
}

/// The dialect of [`Irc`]. In addition, a line that begins with `INCLUDE`, `EXCLUDE` or `REPLY` sets the [`Echo`] of
/// that name.
#[derive(Clone, Default)]
struct Changing(Irc);

struct ChangingPeer {
    irc: Box<dyn Dialect>,
    echo: Echo,
}

impl Detector for Changing {
    fn detect(&self, prefix: &[u8]) -> Detection {
        let found = || {
            Detected::Dialect(Box::new(ChangingPeer {
                irc: self.0.dialect(),
                echo: Echo::Reply,
            }))
        };
        Detection::by_opening(prefix, &["NICK "], found)
    }
}

impl Dialect for ChangingPeer {
    fn name(&self) -> &'static str {
        "changing"
    }

    fn encoder(&self) -> Arc<dyn Encoder> {
        self.irc.encoder()
    }

    fn echo(&self) -> Echo {
        self.echo
    }

    fn options(&self) -> DialectOptions {
        self.irc.options()
    }

    fn receive<'a>(&mut self, line: &'a str, commands: &mut Commands<'a>) {
        let echoes = [
            ("INCLUDE ", Echo::Include),
            ("EXCLUDE ", Echo::Exclude),
            ("REPLY ", Echo::Reply),
        ];
        for (name, echo) in echoes {
            if let Some(line) = line.strip_prefix(name) {
                self.echo = echo;
                self.irc.receive(line, commands);
                commands.push(Command::OptionsChanged);
                return;
            }
        }
        self.irc.receive(line, commands);
    }

    fn reply(&mut self, reply: &Reply<'_>, out: &mut BytesMut) {
        self.irc.reply(reply, out);
    }

    fn direct(&mut self, direct: &Direct, out: &mut BytesMut) {
        self.irc.direct(direct, out);
    }

    fn goodbye(&mut self, reason: &CloseReason, out: &mut BytesMut) {
        self.irc.goodbye(reason, out);
    }
}

#[tokio::test(start_paused = true)]
async fn a_reply_is_written_once_although_the_echo_changes_while_it_is_owed() {
    // The echo changes while Alice's own message waits behind a full queue. With `EXCLUDE`, Alice receives only the
    // reply. With `INCLUDE`, she receives the message and the reply.
    for (line, shown) in [("EXCLUDE", 1), ("INCLUDE", 2)] {
        let mut wires = TestHub::new(tight()).protocol(Changing::default());
        let [mut alice, mut carol] = slow_alice_and_carol(&mut wires).await;
        let line = format!("{line} @label=1 PRIVMSG #a :own");
        publish_a_round_around(&wires.hub, &mut alice, &mut carol, &line).await;
        let lines = messages(lines_of(&mut alice).await);
        assert_eq!(lines.len(), 4 + shown, "{lines:?}");
        let answer = "@label=1 :alice PRIVMSG #a :own";
        let answers = lines.iter().filter(|line| *line == answer);
        assert_eq!(answers.count(), 1, "{lines:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_message_that_was_answered_before_its_echo_became_a_reply_is_not_answered_again() {
    for echo in ["EXCLUDE", "INCLUDE"] {
        let mut shared = Shared::with(7, Changing::default()).await;
        lines_of(&mut shared.alice).await;
        let alice = &mut shared.alice;
        alice.sends(&format!("{echo} PING 1")).await;
        alice.sees("PONG 1").await;
        shared.node.hold();
        // The log has the message, but the hub has not delivered it yet. So the hub knows only the message's position.
        alice.sends("@label=1 PRIVMSG #a :own").await;
        alice.sees("@label=1 :alice PRIVMSG #a :own").await;
        alice.sends("REPLY PING 2\n@label=2 PRIVMSG #a :next").await;
        alice.sees("PONG 2").await;
        alice.sees_nothing().await;
        shared.node.release();
        shared.alice.sees("@label=2 :alice PRIVMSG #a :next").await;
        shared.alice.sees_nothing().await;
    }
}
