//! Modes of rooms, roles, KICK and INVITE (Modern IRC Client Protocol, "Channel Modes", "KICK message", "INVITE
//! message").

use crate::{ask, client, client_with, hub, joins, lines_of};
use chat_testkit::{TestHub, Wire};

const U: &str = "~u@hidden";

/// Returns alice, the operator of #a, and bob, who is in the room without a role.
async fn operator_and_member(hub: &mut TestHub) -> (Wire, Wire) {
    let mut alice = client(hub, "alice").await;
    let mut bob = client(hub, "bob").await;
    joins(&mut alice, "a").await;
    joins(&mut bob, "a").await;
    lines_of(&mut alice).await;
    (alice, bob)
}

#[tokio::test(start_paused = true)]
async fn changes_reach_all_members_as_letters() {
    let mut hub = hub();
    let (mut alice, mut bob) = operator_and_member(&mut hub).await;
    for (asked, shown) in [
        ("+mt", "+mt"),
        ("-t+o bob", "-t+o bob"),
        ("-o bob", "-o bob"),
        ("+v-m BOB", "+v-m BOB"),
        // A message never has the key: members ask for it with `MODE #a`.
        ("+k secret", "+k *"),
        ("-k secret", "-k *"),
        ("+l 10", "+l 10"),
        ("-l", "-l"),
        (
            "+bb-b Evil m:*!*@spam *!*@nowhere",
            "+bb-b evil!*@* m:*!*@spam *!*@nowhere",
        ),
        ("+eI $a:kim *@h", "+eI $a:kim *!*@h"),
    ] {
        let expected = [format!(":alice!{U} MODE #a {shown}")];
        assert_eq!(ask(&mut alice, &format!("MODE #a {asked}")).await, expected);
        assert_eq!(lines_of(&mut bob).await, expected);
    }
    // A change of nothing is not an error.
    assert!(ask(&mut alice, "MODE #a +v bob").await.is_empty());
}

#[tokio::test(start_paused = true)]
async fn modes_and_lists_are_shown() {
    let mut hub = hub();
    let (mut alice, mut bob) = operator_and_member(&mut hub).await;
    let modes = ":irc.test 324 alice #a +".to_owned();
    assert_eq!(ask(&mut alice, "MODE #a").await, [modes]);
    ask(&mut alice, "MODE #a +ntlkb 7 secret one").await;
    ask(&mut alice, "MODE #a +bb m:two three").await;
    let modes = ":irc.test 324 bob #a +ntlk 7 secret".to_owned();
    lines_of(&mut bob).await;
    assert_eq!(ask(&mut bob, "MODE #a").await, [modes]);
    assert_eq!(
        ask(&mut bob, "MODE #a +b").await,
        [
            ":irc.test 367 bob #a one!*@* alice 50520",
            ":irc.test 367 bob #a three!*@* alice 50520",
            ":irc.test 367 bob #a m:two!*@* alice 50520",
            ":irc.test 368 bob #a :End of channel ban list",
        ]
    );
    assert_eq!(
        ask(&mut bob, "MODE #a eI").await,
        [
            ":irc.test 349 bob #a :End of channel exception list",
            ":irc.test 347 bob #a :End of channel invite exception list",
        ]
    );
    // The key is shown to members only.
    let mut carol = client(&mut hub, "carol").await;
    assert_eq!(
        ask(&mut carol, "MODE #a").await,
        [":irc.test 324 carol #a +ntlk 7 *"]
    );
    assert!(ask(&mut bob, "MODE #nowhere").await[0].starts_with(":irc.test 403 bob #nowhere :"));
}

#[tokio::test(start_paused = true)]
async fn each_refused_change_has_its_numeric() {
    let mut hub = hub();
    let (mut alice, mut bob) = operator_and_member(&mut hub).await;
    let mut carol = client(&mut hub, "carol").await;
    for (line, start) in [
        ("MODE #a +m", ":irc.test 482 bob #a :"),
        ("MODE #a +o bob", ":irc.test 482 bob #a :"),
        ("MODE #b +m", ":irc.test 442 bob #b :"),
        ("MODE #a +x", ":irc.test 472 bob x :"),
        ("MODE #a +k a,b", ":irc.test 696 bob #a k a,b :"),
        ("MODE #a +l no", ":irc.test 696 bob #a l no :"),
        ("MODE #a +o 7up", ":irc.test 401 bob 7up :"),
        ("KICK #a alice", ":irc.test 482 bob #a :"),
        ("KICK #b alice", ":irc.test 442 bob #b :"),
        ("INVITE carol #b", ":irc.test 442 bob #b :"),
        ("INVITE alice #a", ":irc.test 443 bob alice #a :"),
        ("INVITE nobody #a", ":irc.test 401 bob nobody :"),
        ("MODE nobody", ":irc.test 401 bob nobody :"),
        ("MODE alice", ":irc.test 502 bob :"),
        ("MODE bob +x", ":irc.test 501 bob :"),
    ] {
        let lines = ask(&mut bob, line).await;
        assert!(
            lines.len() == 1 && lines[0].starts_with(start),
            "{line}: {lines:?}"
        );
    }
    assert_eq!(ask(&mut bob, "MODE bob").await, [":irc.test 221 bob +i"]);
    assert!(ask(&mut bob, "MODE bob +i").await.is_empty());
    for (line, start) in [
        ("MODE #a +o carol", ":irc.test 441 alice carol #a :"),
        ("KICK #a carol", ":irc.test 441 alice carol #a :"),
        ("MODE #a +q alice", ":irc.test 482 alice #a :"),
    ] {
        let lines = ask(&mut alice, line).await;
        assert!(
            lines.len() == 1 && lines[0].starts_with(start),
            "{line}: {lines:?}"
        );
    }
    for ten in 0..10 {
        let masks: Vec<_> = (0..10).map(|one| format!("x{ten}{one}")).collect();
        ask(
            &mut alice,
            &format!("MODE #a +bbbbbbbbbb {}", masks.join(" ")),
        )
        .await;
    }
    let full = ask(&mut alice, "MODE #a +b more").await;
    assert!(
        full[0].starts_with(":irc.test 478 alice #a b :"),
        "{full:?}"
    );
    lines_of(&mut carol).await;
}

#[tokio::test(start_paused = true)]
async fn modes_that_restrict_joining_have_their_numerics() {
    let mut hub = hub();
    let mut alice = client(&mut hub, "alice").await;
    let mut bob = client(&mut hub, "bob").await;
    for (room, mode, numeric) in [
        ("a", "+i", 473),
        ("b", "+b bob", 474),
        ("c", "+k secret", 475),
        ("d", "+l 1", 471),
    ] {
        joins(&mut alice, room).await;
        ask(&mut alice, &format!("MODE #{room} {mode}")).await;
        let lines = ask(&mut bob, &format!("JOIN #{room}")).await;
        let start = format!(":irc.test {numeric} bob #{room} :");
        assert!(
            lines.len() == 1 && lines[0].starts_with(&start),
            "{lines:?}"
        );
    }
    // Keys are in the order of the channels.
    joins(&mut alice, "e").await;
    let lines = ask(&mut bob, "JOIN #e,#c unused,secret").await;
    assert!(lines.contains(&format!(":bob!{U} JOIN #c")), "{lines:?}");
}

#[tokio::test(start_paused = true)]
async fn modes_that_restrict_speaking_have_their_numerics() {
    let mut hub = hub();
    let (mut alice, mut bob) = operator_and_member(&mut hub).await;
    ask(&mut alice, "MODE #a +mt").await;
    lines_of(&mut bob).await;
    let said = ask(&mut bob, "PRIVMSG #a :hi").await;
    assert!(said[0].starts_with(":irc.test 404 bob #a :"), "{said:?}");
    let topic = ask(&mut bob, "TOPIC #a :mine").await;
    assert!(topic[0].starts_with(":irc.test 482 bob #a :"), "{topic:?}");
    let topic = ask(&mut bob, "TOPIC #b :mine").await;
    assert!(topic[0].starts_with(":irc.test 442 bob #b :"), "{topic:?}");
    ask(&mut alice, "MODE #a -mt+b m:bob").await;
    lines_of(&mut bob).await;
    let said = ask(&mut bob, "PRIVMSG #a :hi").await;
    assert!(said[0].starts_with(":irc.test 404 bob #a :"), "{said:?}");
    assert!(ask(&mut bob, "NOTICE #a :hi").await.is_empty());
    assert!(lines_of(&mut alice).await.is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_kick_is_seen_by_all_with_its_author() {
    let mut hub = hub();
    let (mut alice, mut bob) = operator_and_member(&mut hub).await;
    let expected = [format!(":alice!{U} KICK #a bob :enough")];
    assert_eq!(ask(&mut alice, "KICK #a bob :enough").await, expected);
    assert_eq!(lines_of(&mut bob).await, expected);
    let outside = ask(&mut bob, "PRIVMSG #a :hi").await;
    assert!(outside[0].starts_with(":irc.test 404 bob #a :"));
    joins(&mut bob, "a").await;
    lines_of(&mut alice).await;
    // Without a reason, the nick stands for it.
    let expected = [format!(":alice!{U} KICK #a bob :bob")];
    assert_eq!(ask(&mut alice, "KICK #a BOB").await, expected);
}

#[tokio::test(start_paused = true)]
async fn an_invitation_is_delivered_and_opens_the_room() {
    let mut hub = hub();
    let (mut alice, _bob) = operator_and_member(&mut hub).await;
    let mut carol = client_with(&mut hub, "carol", "server-time").await;
    ask(&mut alice, "MODE #a +i").await;
    assert_eq!(
        ask(&mut alice, "INVITE Carol #a").await,
        [":irc.test 341 alice carol #a"]
    );
    assert_eq!(
        lines_of(&mut carol).await,
        [format!(
            "@time=1970-01-01T14:02:00.000Z :alice!{U} INVITE carol #a"
        )]
    );
    assert_eq!(
        joins(&mut carol, "a").await[0],
        format!(":carol!{U} JOIN #a")
    );
}

#[tokio::test(start_paused = true)]
async fn roles_are_signs_before_nicks() {
    let mut hub = hub();
    let (mut alice, mut bob) = operator_and_member(&mut hub).await;
    ask(&mut alice, "MODE #a +v bob").await;
    lines_of(&mut bob).await;
    let mut carol = client(&mut hub, "carol").await;
    let joined = joins(&mut carol, "a").await;
    assert_eq!(joined[1], ":irc.test 353 carol = #a :@alice +bob carol");
    assert_eq!(ask(&mut carol, "NAMES #a").await[0], joined[1]);
    let who = ask(&mut carol, "WHO #a").await;
    let flags: Vec<_> = who[..3]
        .iter()
        .map(|line| line.split(' ').nth(8).unwrap())
        .collect();
    assert_eq!(flags, ["H@", "H+", "H"]);
    let whois = ask(&mut carol, "WHOIS bob").await;
    assert!(
        whois.contains(&":irc.test 319 carol bob :+#a".into()),
        "{whois:?}"
    );
}

/// The text of a log is for all dialects: a plain operator's words are letters here, and the reverse.
#[tokio::test(start_paused = true)]
async fn plain_members_and_clients_see_each_other_s_modes() {
    let mut hub = hub();
    let (mut alice, mut bob) = operator_and_member(&mut hub).await;
    let mut kim = hub.member("kim").await;
    kim.sends("/join a").await;
    lines_of(&mut kim).await;
    ask(&mut alice, "MODE #a +o kim").await;
    let seen = lines_of(&mut kim).await;
    assert!(seen[0].ends_with("alice made kim an operator"), "{seen:?}");
    lines_of(&mut bob).await;
    kim.sends("/mode moderated on").await;
    assert_eq!(lines_of(&mut bob).await, [format!(":kim!{U} MODE #a +m")]);
}

#[tokio::test(start_paused = true)]
async fn the_server_announces_its_modes() {
    let mut hub = hub();
    let mut bob = client(&mut hub, "bob").await;
    let lines = ask(&mut bob, "VERSION").await.join(" ");
    for token in [
        "CHANMODES=Ibe,k,l,imnst",
        "EXCEPTS=e",
        "EXTBAN=,m",
        "INVEX=I",
        "KEYLEN=64",
        "MAXLIST=I:100,b:100,e:100",
        "MODES=20",
        "PREFIX=(qov)~@+",
    ] {
        assert!(lines.contains(&format!(" {token} ")), "{token}: {lines}");
    }
    // A token without a value, such as `STATUSMSG=`, breaks clients.
    assert!(!lines.contains("= "), "{lines}");
}
