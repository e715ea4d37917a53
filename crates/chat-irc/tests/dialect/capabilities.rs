//! Capabilities (IRCv3 labeled-response, batch, setname).

use crate::{ask, client, client_with, hub, joins, lines_of};

const U: &str = "~u@hidden";
const LABELS: &str = "batch labeled-response echo-message message-tags";

/// "a single message, ... a batch, ... or ACK"
#[tokio::test(start_paused = true)]
async fn each_labelled_command_has_one_labelled_answer() {
    let mut hub = hub();
    let mut bob = client_with(&mut hub, "bob", LABELS).await;
    assert_eq!(
        ask(&mut bob, "@label=1 PING x").await,
        ["@label=1 :irc.test PONG irc.test :x"]
    );
    assert_eq!(
        ask(&mut bob, "@label=2 PONG x").await,
        ["@label=2 :irc.test ACK"]
    );
    let joined = ask(&mut bob, "@label=3 JOIN #a").await;
    assert!(
        joined[0].starts_with("@label=3 :irc.test BATCH +"),
        "{joined:?}"
    );
    assert!(joined[0].ends_with(" labeled-response"));
    let number = joined[0]
        .rsplit_once('+')
        .unwrap()
        .1
        .split(' ')
        .next()
        .unwrap();
    let batched = |line: &String| line.starts_with(&format!("@batch={number} "));
    assert!(joined[1..joined.len() - 1].iter().all(batched));
    assert_eq!(
        joined.last().unwrap(),
        &format!(":irc.test BATCH -{number}")
    );
    let unknown = ask(&mut bob, "@label=a\\sb NONSENSE").await;
    assert_eq!(
        unknown,
        ["@label=a\\sb :irc.test 421 bob NONSENSE :Unknown command"]
    );
    let echo = ask(&mut bob, "@label=4 PRIVMSG #a :hi").await;
    assert!(echo[0].starts_with("@label=4;msgid="), "{echo:?}");
    assert!(echo[0].ends_with(&format!(" :bob!{U} PRIVMSG #a :hi")));
    let topic = ask(&mut bob, "@label=5 TOPIC #a :news").await;
    assert!(topic[0].starts_with("@label=5;msgid="), "{topic:?}");
    let direct = ask(&mut bob, "@label=6 PRIVMSG bob :hi").await;
    let expected = [
        format!("@label=6 :bob!{U} PRIVMSG bob :hi"),
        format!(":bob!{U} PRIVMSG bob :hi"),
    ];
    assert_eq!(direct.len(), 2);
    assert!(
        expected.iter().all(|line| direct.contains(line)),
        "{direct:?}"
    );
    assert_eq!(
        ask(&mut bob, "@label=7 MODE bob").await,
        ["@label=7 :irc.test 221 bob +i"]
    );
    assert_eq!(
        ask(&mut bob, "@label=8 NOTICE nobody :x").await,
        ["@label=8 :irc.test ACK"]
    );
    let refused = ask(&mut bob, "@label=9 PRIVMSG #b :x").await;
    assert_eq!(
        refused,
        ["@label=9 :irc.test 404 bob #b :you are not in that room: join it first"]
    );
}

#[tokio::test(start_paused = true)]
async fn the_answers_to_a_list_are_one_batch() {
    let mut hub = hub();
    let mut bob = client_with(&mut hub, "bob", LABELS).await;
    let lines = ask(&mut bob, "@label=1 JOIN #a,b,#c").await;
    assert!(
        lines[0].starts_with("@label=1 :irc.test BATCH +"),
        "{lines:?}"
    );
    let end = lines[0].split(' ').nth(3).unwrap().replace('+', "-");
    assert_eq!(lines.last().unwrap(), &format!(":irc.test BATCH {end}"));
    assert!(
        lines[1..lines.len() - 1]
            .iter()
            .all(|line| line.starts_with("@batch="))
    );
    let lines = ask(&mut bob, "@label=2 PRIVMSG #a,#c,nobody :hi").await;
    assert_eq!(lines.len(), 5, "{lines:?}");
    assert!(lines[1..4].iter().all(|line| line.starts_with("@batch=")));
}

/// IRCv3 labeled-response: a batch is opened for an answer of several lines only, whatever the parameters look like.
#[tokio::test(start_paused = true)]
async fn an_answer_of_one_line_is_not_a_batch() {
    let mut hub = hub();
    let mut bob = client_with(&mut hub, "bob", "batch labeled-response setname").await;
    joins(&mut bob, "a").await;
    joins(&mut bob, "c").await;
    for (line, answer) in [
        ("PING a,b", "@label=1 :irc.test PONG irc.test :a,b"),
        ("SETNAME a,b", "@label=1 :bob!~u@hidden SETNAME :a,b"),
        ("PRIVMSG #a,#c :hi", "@label=1 :irc.test ACK"),
        ("JOIN #a,#c", "@label=1 :irc.test ACK"),
        (
            "PRIVMSG #a,nobody :hi",
            "@label=1 :irc.test 401 bob nobody :nobody here is called nobody",
        ),
    ] {
        assert_eq!(ask(&mut bob, &format!("@label=1 {line}")).await, [answer]);
    }
    // The line that ends a list belongs to the answer.
    for line in ["LIST #a", "LIST >0,<9", "LIST #a,#c", "LIST #nowhere"] {
        let lines = ask(&mut bob, &format!("@label=2 {line}")).await;
        assert!(
            lines[0].starts_with("@label=2 :irc.test BATCH +"),
            "{lines:?}"
        );
        let (last, others) = lines[1..].split_last().unwrap();
        assert!(others.iter().all(|line| line.starts_with("@batch=")));
        assert!(others.last().unwrap().contains(" 323 bob :"), "{lines:?}");
        assert!(last.starts_with(":irc.test BATCH -"), "{lines:?}");
    }
}

/// IRCv3 labeled-response depends on batch.
#[tokio::test(start_paused = true)]
async fn a_label_without_batch_is_ignored() {
    let mut hub = hub();
    let mut bob = client_with(&mut hub, "bob", "labeled-response").await;
    assert_eq!(
        ask(&mut bob, "@label=1 PING x").await,
        [":irc.test PONG irc.test :x"]
    );
}

/// The names of a big room follow in parts, all of them in the batch.
#[tokio::test(start_paused = true)]
async fn a_labelled_join_of_a_big_room_is_one_batch() {
    let mut hub = hub();
    let mut members = Vec::new();
    for number in 0..150 {
        let session = hub.hub.session(Some(&format!("m{number}"))).await.unwrap();
        members.push((session.join("a").await.unwrap(), session));
    }
    let mut bob = client_with(&mut hub, "bob", LABELS).await;
    let lines = ask(&mut bob, "@label=j JOIN #a").await;
    assert!(
        lines[0].starts_with("@label=j :irc.test BATCH +"),
        "{lines:?}"
    );
    let end = lines
        .iter()
        .position(|line| line.contains(" 366 "))
        .unwrap();
    assert!(
        lines[1..=end]
            .iter()
            .all(|line| line.starts_with("@batch="))
    );
    assert!(lines[end + 1].starts_with(":irc.test BATCH -"));
    let names = lines.iter().filter(|line| line.contains(" 353 "));
    let count: usize = names
        .map(|line| {
            line.matches(" m").count() + line.matches("@m").count() + line.matches(":m").count()
        })
        .sum();
    assert_eq!(count, 150);
}

/// Without echo-message, a labelled message is acknowledged.
#[tokio::test(start_paused = true)]
async fn a_message_without_an_echo_is_acknowledged() {
    let mut hub = hub();
    let mut bob = client_with(&mut hub, "bob", "batch labeled-response").await;
    joins(&mut bob, "a").await;
    assert_eq!(
        ask(&mut bob, "@label=1 PRIVMSG #a :hi").await,
        ["@label=1 :irc.test ACK"]
    );
    assert!(ask(&mut bob, "PRIVMSG #a :hi").await.is_empty());
    assert_eq!(
        ask(&mut bob, "@label=2 TOPIC #a :news").await,
        [format!("@label=2 :bob!{U} TOPIC #a :news")]
    );
}

/// A labelled echo of one's own message comes in its place among others' messages.
#[tokio::test(start_paused = true)]
async fn a_labelled_echo_comes_in_its_place() {
    let mut hub = hub();
    let mut bob = client_with(&mut hub, "bob", LABELS).await;
    let mut carol = client(&mut hub, "carol").await;
    let mut alice = client(&mut hub, "alice").await;
    for wire in [&mut bob, &mut carol, &mut alice] {
        joins(wire, "a").await;
    }
    for wire in [&mut bob, &mut carol, &mut alice] {
        lines_of(wire).await;
    }
    for round in 0..20 {
        alice.sends(&format!("PRIVMSG #a :a{round}")).await;
        bob.sends(&format!("@label=l{round} PRIVMSG #a :b{round}"))
            .await;
        alice.sends(&format!("PRIVMSG #a :c{round}")).await;
        if round % 3 == 0 {
            tokio::task::yield_now().await;
        }
    }
    let text = |line: &String| line.rsplit_once(" :").unwrap().1.to_owned();
    let order: Vec<_> = lines_of(&mut carol).await.iter().map(text).collect();
    let bobs = lines_of(&mut bob).await;
    assert_eq!(order.len(), 60);
    assert_eq!(bobs.iter().map(text).collect::<Vec<_>>(), order);
    assert_eq!(
        bobs.iter()
            .filter(|line| line.starts_with("@label=l"))
            .count(),
        20
    );
}

#[tokio::test(start_paused = true)]
async fn a_real_name_is_changed() {
    let mut hub = hub();
    let mut bob = client_with(&mut hub, "bob", "setname").await;
    assert_eq!(
        ask(&mut bob, "SETNAME :Bob B.").await,
        [format!(":bob!{U} SETNAME :Bob B.")]
    );
    assert!(ask(&mut bob, "WHOIS bob").await[0].ends_with(":Bob B."));
}
