//! Rooms (Modern IRC Client Protocol, "Channel Operations").

use crate::{ask, client, client_with, hub, joins, lines_of};
use chat_core::Limits;
use chat_core::name::NameRules;
use chat_testkit::TestHub;
use std::collections::HashSet;
use std::num::NonZero;
use std::time::Duration;

const U: &str = "~u@hidden";

#[tokio::test(start_paused = true)]
async fn a_join_is_answered_with_the_topic_and_the_names() {
    let mut hub = hub();
    let mut bob = client(&mut hub, "bob").await;
    assert_eq!(
        joins(&mut bob, "한국").await,
        [
            format!(":bob!{U} JOIN #한국"),
            ":irc.test 353 bob = #한국 :@bob".into(),
            ":irc.test 366 bob #한국 :End of /NAMES list".into(),
        ]
    );
    bob.sends("TOPIC #한국 :환영").await;
    bob.sees(&format!(":bob!{U} TOPIC #한국 :환영")).await;
    let mut alice = client(&mut hub, "alice").await;
    assert_eq!(
        joins(&mut alice, "한국").await,
        [
            format!(":alice!{U} JOIN #한국"),
            ":irc.test 332 alice #한국 :환영".into(),
            ":irc.test 333 alice #한국 bob 50520".into(),
            ":irc.test 353 alice = #한국 :@bob alice".into(),
            ":irc.test 366 alice #한국 :End of /NAMES list".into(),
        ]
    );
    bob.sees(&format!(":alice!{U} JOIN #한국")).await;
    assert_eq!(ask(&mut alice, "TOPIC #한국").await.len(), 2);
    assert_eq!(
        ask(&mut alice, "TOPIC #한국 :").await,
        [format!(":alice!{U} TOPIC #한국 :")]
    );
    assert_eq!(
        ask(&mut alice, "TOPIC #한국").await,
        [":irc.test 331 alice #한국 :No topic is set"]
    );
}

#[tokio::test(start_paused = true)]
async fn names_are_complete_in_a_room_of_three_hundred() {
    let mut hub = hub();
    let mut members = Vec::new();
    for number in 0..299 {
        let session = hub.hub.session(Some(&format!("m{number}"))).await.unwrap();
        members.push((session.join("a").await.unwrap(), session));
    }
    let mut alice = client(&mut hub, "alice").await;
    let mut expected: Vec<_> = (0..299).map(|number| format!("m{number}")).collect();
    expected.push("alice".into());
    let names = |lines: &[String]| -> Vec<String> {
        let lists = lines
            .iter()
            .filter_map(|line| line.split_once(" 353 alice = #a :"));
        lists
            .flat_map(|(_, names)| names.split(' '))
            .map(|name| name.trim_start_matches('@').to_owned())
            .collect()
    };
    let joined = joins(&mut alice, "a").await;
    assert_eq!(names(&joined), expected);
    assert!(joined.iter().all(|line| line.len() <= 510));
    assert_eq!(names(&ask(&mut alice, "NAMES #a").await), expected);
}

#[tokio::test(start_paused = true)]
async fn a_list_of_channels_is_joined_and_left_in_its_order() {
    let mut hub = hub();
    let mut bob = client(&mut hub, "bob").await;
    let lines = ask(&mut bob, "JOIN #a,b,##c,#d,#e+f").await;
    let joined: Vec<_> = lines
        .iter()
        .filter(|line| !line.contains(" 353 ") && !line.contains(" 366 "))
        .collect();
    assert_eq!(joined.len(), 5, "{lines:#?}");
    assert_eq!(joined[0], &format!(":bob!{U} JOIN #a"));
    assert_eq!(joined[1], ":irc.test 403 bob b :No such channel");
    assert_eq!(joined[2], ":irc.test 403 bob ##c :No such channel");
    assert_eq!(joined[3], &format!(":bob!{U} JOIN #d"));
    assert!(joined[4].starts_with(":irc.test 476 bob #e+f :"));
    // Joining again changes nothing.
    assert!(ask(&mut bob, "JOIN #A").await.is_empty());
    assert_eq!(
        ask(&mut bob, "PART #a,#nowhere :so long").await,
        [
            format!(":bob!{U} PART #a :so long"),
            ":irc.test 442 bob #nowhere :you are not in that room: join it first".into(),
        ]
    );
    joins(&mut bob, "a").await;
    let left = ask(&mut bob, "JOIN 0").await;
    assert_eq!(
        left,
        [format!(":bob!{U} PART #d"), format!(":bob!{U} PART #a")]
    );
}

#[tokio::test(start_paused = true)]
async fn missing_parameters_are_refused_with_461() {
    let mut hub = hub();
    let mut bob = client(&mut hub, "bob").await;
    for command in [
        "JOIN",
        "PART",
        "TOPIC",
        "MODE",
        "KICK #a",
        "INVITE bob",
        "WHO",
        "ISON",
        "USERHOST",
        "SETNAME",
    ] {
        let name = command.split(' ').next().unwrap();
        let expected = format!(":irc.test 461 bob {name} :Not enough parameters");
        assert_eq!(ask(&mut bob, command).await, [expected]);
    }
}

/// Modern, "NICK message" and "QUIT message": seen once by each peer, however many rooms are shared.
#[tokio::test(start_paused = true)]
async fn a_nick_change_and_a_quit_are_seen_once() {
    let mut hub = hub();
    let mut alice = client(&mut hub, "alice").await;
    let mut bob = client(&mut hub, "bob").await;
    for room in ["a", "b", "c"] {
        joins(&mut alice, room).await;
        joins(&mut bob, room).await;
    }
    lines_of(&mut alice).await;
    bob.sends("NICK rob").await;
    bob.sees(&format!(":bob!{U} NICK :rob")).await;
    assert_eq!(lines_of(&mut alice).await, [format!(":bob!{U} NICK :rob")]);
    assert!(ask(&mut bob, "NICK alice").await[0].starts_with(":irc.test 433 rob alice :"));
    assert!(ask(&mut bob, "NICK 7up").await[0].starts_with(":irc.test 432 rob 7up :"));
    bob.sends("QUIT :so long").await;
    assert_eq!(
        lines_of(&mut alice).await,
        [format!(":rob!{U} QUIT :so long")]
    );
}

#[tokio::test(start_paused = true)]
async fn plain_members_and_clients_see_each_other() {
    let mut hub = hub();
    let mut kim = hub.member("kim").await;
    let mut bob = client(&mut hub, "bob").await;
    let joined = joins(&mut bob, "lobby").await;
    assert_eq!(joined[1], ":irc.test 353 bob = #lobby :kim bob");
    kim.sees("* bob joined").await;
    kim.sends("안녕").await;
    bob.sees(&format!(":kim!{U} PRIVMSG #lobby :안녕")).await;
    kim.sends("/me waves").await;
    bob.sees(&format!(":kim!{U} PRIVMSG #lobby :\x01ACTION waves\x01"))
        .await;
    bob.sends("PRIVMSG #lobby :hello").await;
    kim.sees("14:02 bob: hello").await;
    bob.sends("PART #lobby").await;
    kim.sees("* bob left").await;
}

#[tokio::test(start_paused = true)]
async fn the_application_s_removal_is_a_kick() {
    let mut hub = hub();
    let mut bob = client(&mut hub, "bob").await;
    joins(&mut bob, "a").await;
    let mut alice = client(&mut hub, "alice").await;
    joins(&mut alice, "a").await;
    lines_of(&mut bob).await;
    hub.hub.remove("a", "bob", "enough").await.unwrap();
    assert_eq!(lines_of(&mut bob).await, [":irc.test KICK #a bob :enough"]);
    assert_eq!(
        lines_of(&mut alice).await,
        [":irc.test KICK #a bob :enough"]
    );
}

#[tokio::test(start_paused = true)]
async fn a_list_of_rooms_is_complete_and_its_conditions_hold() {
    let mut hub = hub();
    let bob_session = hub.hub.session(Some("host")).await.unwrap();
    let mut members = Vec::new();
    for number in 0..60 {
        members.push(bob_session.join(&*format!("r{number:03}")).await.unwrap());
    }
    let carl = hub.hub.session(Some("carl")).await.unwrap();
    for number in 60..124 {
        members.push(carl.join(&*format!("r{number:03}")).await.unwrap());
    }
    let mut bob = client(&mut hub, "bob").await;
    joins(&mut bob, "r005").await;
    ask(&mut bob, "TOPIC #r005 :five").await;
    let all = ask(&mut bob, "LIST").await;
    let listed = all.iter().filter(|line| line.contains(" 322 ")).count();
    assert!(listed >= 124, "{listed}");
    assert_eq!(all[0], ":irc.test 321 bob Channel :Users  Name");
    assert_eq!(all.last().unwrap(), ":irc.test 323 bob :End of /LIST");
    assert_eq!(
        ask(&mut bob, "LIST >1").await[1..2],
        [":irc.test 322 bob #r005 2 :five"]
    );
    assert_eq!(ask(&mut bob, "LIST #r005").await.len(), 3);
    assert_eq!(ask(&mut bob, "LIST #r00?").await.len(), 12);
    assert_eq!(ask(&mut bob, "LIST #nowhere").await.len(), 2);
}

#[tokio::test(start_paused = true)]
async fn capabilities_change_the_form_of_joins_and_names() {
    let mut hub = hub();
    let mut bob = client_with(&mut hub, "bob", "extended-join userhost-in-names").await;
    let joined = joins(&mut bob, "a").await;
    assert_eq!(joined[0], format!(":bob!{U} JOIN #a * :Real Name"));
    assert_eq!(joined[1], format!(":irc.test 353 bob = #a :@bob!{U}"));
    let mut alice = client(&mut hub, "alice").await;
    joins(&mut alice, "a").await;
    bob.sees(&format!(":alice!{U} JOIN #a * :alice")).await;
}

#[tokio::test(start_paused = true)]
async fn a_big_room_says_that_it_announces_no_more() {
    let mut limits = Limits::default();
    limits.rate = None;
    limits.announce = 2;
    let mut hub = crate::hub_with(limits);
    let mut bob = client(&mut hub, "bob").await;
    joins(&mut bob, "a").await;
    let mut others = Vec::new();
    for nick in ["c1", "c2", "c3"] {
        let mut other = client(&mut hub, nick).await;
        joins(&mut other, "a").await;
        others.push(other);
    }
    let lines = lines_of(&mut bob).await;
    let expected = [
        format!(":c1!{U} JOIN #a"),
        format!(":c2!{U} JOIN #a"),
        ":irc.test NOTICE #a :more than 2 are here: who comes and goes is not announced".into(),
    ];
    assert_eq!(lines, expected);
}

/// A name is compared as core compares it: `e` and a mark are the letter `é`, as macOS spells it.
#[tokio::test(start_paused = true)]
async fn another_spelling_of_a_room_is_the_same_room() {
    let mut names = NameRules::default();
    names.fold = |name| name.to_lowercase().replace("e\u{301}", "é");
    let mut limits = Limits::default();
    limits.rate = None;
    let builder = chat_core::Hub::builder().limits(limits).names(names);
    let mut hub = crate::over(TestHub::over(builder.build()));
    let capabilities = "batch echo-message draft/chathistory message-tags";
    let mut bob = client_with(&mut hub, "bob", capabilities).await;
    joins(&mut bob, "café").await;
    assert!(ask(&mut bob, "JOIN #cafe\u{301}").await.is_empty());
    let said = ask(&mut bob, "PRIVMSG #cafe\u{301} :hi").await;
    assert!(said[0].ends_with(" PRIVMSG #café :hi"), "{said:?}");
    let id = said[0].split(['=', ' ']).nth(1).unwrap();
    let set = ask(&mut bob, "TOPIC #cafe\u{301} :news").await;
    assert!(set[0].ends_with(" TOPIC #café :news"), "{set:?}");
    let around = ask(
        &mut bob,
        &format!("CHATHISTORY AROUND #cafe\u{301} msgid={id} 1"),
    )
    .await;
    assert!(
        around.len() == 3 && around[1].ends_with(" PRIVMSG #café :hi"),
        "{around:?}"
    );
    let left = ask(&mut bob, "PART #cafe\u{301}").await;
    assert_eq!(left, [format!(":bob!{U} PART #café")]);
}

/// `TOPICLEN` holds beside the longest names. A longer topic is refused, and one of another dialect ends with `…`.
#[tokio::test(start_paused = true)]
async fn a_topic_is_never_cut_in_silence() {
    let mut hub = hub();
    let mut bob = client(&mut hub, "bob").await;
    joins(&mut bob, "a").await;
    let tokens = ask(&mut bob, "VERSION").await.join(" ");
    let length = tokens.split("TOPICLEN=").nth(1).unwrap();
    let length: usize = length.split(' ').next().unwrap().parse().unwrap();
    let topic = "x".repeat(length);
    let set = ask(&mut bob, &format!("TOPIC #a :{topic}")).await;
    assert_eq!(set, [format!(":bob!{U} TOPIC #a :{topic}")]);
    assert_eq!(
        ask(&mut bob, &format!("TOPIC #a :{topic}x")).await,
        [format!(
            ":irc.test 417 bob :A topic has at most {length} bytes"
        )]
    );
    let kim = hub.hub.session(Some("kim")).await.unwrap();
    let member = kim.join("a").await.unwrap();
    member.set_topic(&"한".repeat(1000)).await.unwrap();
    let seen = lines_of(&mut bob).await;
    assert!(seen.last().unwrap().ends_with("한…"), "{seen:?}");
    assert!(ask(&mut bob, "TOPIC #a").await[0].ends_with("한…"));
}

/// A client that has missed who came and went is sent all names, also those of a room with more than 100 members.
#[tokio::test(start_paused = true)]
async fn who_lagged_is_sent_all_names_of_a_big_room() {
    let mut limits = Limits::default();
    limits.rate = None;
    limits.announce = 1000;
    limits.queue_bytes = NonZero::new(8 * 1024).unwrap();
    let mut hub = crate::hub_with(limits);
    let mut members = Vec::new();
    for number in 0..150 {
        let session = hub.hub.session(Some(&format!("m{number}"))).await.unwrap();
        members.push((session.join("a").await.unwrap(), session));
    }
    let mut bob = hub.connect_with("bob", 1024);
    bob.sends("NICK bob").await;
    bob.sends("USER u 0 * :r").await;
    bob.sees_in_time(":irc.test 422 bob :There is no message of the day")
        .await;
    joins(&mut bob, "a").await;
    for number in 0..1000 {
        let text = format!("{number} {}", "x".repeat(300));
        members[0].0.say(&text).await.unwrap();
    }
    tokio::time::sleep(Duration::from_millis(100)).await;
    for number in 150..160 {
        let session = hub.hub.session(Some(&format!("m{number}"))).await.unwrap();
        members.push((session.join("a").await.unwrap(), session));
    }
    tokio::time::sleep(Duration::from_millis(100)).await;
    let lines = lines_of(&mut bob).await;
    let names = lines
        .iter()
        .filter_map(|line| line.split_once(" 353 bob = #a :"));
    let names: HashSet<&str> = names.flat_map(|(_, names)| names.split(' ')).collect();
    let short: Vec<_> = lines
        .iter()
        .map(|line| &line[..line.len().min(60)])
        .rev()
        .take(30)
        .collect();
    assert_eq!(names.len(), 161, "{} {short:#?}", lines.len());
    assert!(lines.iter().any(|line| line.contains(" 366 bob #a :")));
}
