//! Queries (Modern IRC Client Protocol, "Server Queries" and "User-Based Queries"; IRCv3 WHOX).

use crate::{ask, client, hub, joins};

#[tokio::test(start_paused = true)]
async fn who_lists_the_members_of_a_room() {
    let mut hub = hub();
    let mut bob = client(&mut hub, "bob").await;
    joins(&mut bob, "a").await;
    let end = ":irc.test 315 bob #a :End of /WHO list";
    assert_eq!(
        ask(&mut bob, "WHO #a").await,
        [":irc.test 352 bob #a ~u hidden irc.test bob H@ :0 bob", end]
    );
    assert_eq!(
        ask(&mut bob, "WHO #a %tcuhnfdar,42").await,
        [":irc.test 354 bob 42 #a ~u hidden bob H@ 0 0 :bob", end]
    );
    assert_eq!(
        ask(&mut bob, "WHO #a %na").await,
        [":irc.test 354 bob bob 0", end]
    );
    assert_eq!(
        ask(&mut bob, "WHO #nowhere").await,
        [":irc.test 315 bob #nowhere :End of /WHO list"]
    );
    assert_eq!(ask(&mut bob, "WHO BOB").await.len(), 2);
    assert_eq!(
        ask(&mut bob, "WHO *").await,
        [":irc.test 315 bob * :End of /WHO list"]
    );
}

#[tokio::test(start_paused = true)]
async fn whois_tells_what_is_known() {
    let mut hub = hub();
    let mut bob = client(&mut hub, "bob").await;
    let mut alice = client(&mut hub, "alice").await;
    for room in ["a", "b"] {
        joins(&mut bob, room).await;
        joins(&mut alice, room).await;
    }
    crate::lines_of(&mut bob).await;
    assert_eq!(
        ask(&mut bob, "WHOIS Alice").await,
        [
            ":irc.test 311 bob alice ~u hidden * :alice",
            ":irc.test 319 bob alice :#b #a",
            ":irc.test 312 bob alice irc.test :Test",
            ":irc.test 318 bob Alice :End of /WHOIS list",
        ]
    );
    assert_eq!(
        ask(&mut bob, "WHOIS nobody").await,
        [
            ":irc.test 401 bob nobody :No such nick",
            ":irc.test 318 bob nobody :End of /WHOIS list",
        ]
    );
    assert_eq!(
        ask(&mut bob, "WHOIS").await,
        [":irc.test 431 bob :No nickname given"]
    );
    assert_eq!(
        ask(&mut bob, "ISON alice nobody BOB").await,
        [":irc.test 303 bob :bob alice"]
    );
    assert_eq!(
        ask(&mut bob, "USERHOST alice nobody").await,
        [":irc.test 302 bob :alice=+~u@hidden"]
    );
    assert!(ask(&mut bob, "WHOWAS alice").await[0].starts_with(":irc.test 406 bob alice :"));
}

#[tokio::test(start_paused = true)]
async fn a_server_describes_itself() {
    let mut hub = hub();
    let mut bob = client(&mut hub, "bob").await;
    for (command, numerics) in [
        ("MOTD", "422"),
        ("LUSERS", "251 252 254 255 265 266"),
        ("VERSION", "351 005 005"),
        ("TIME", "391"),
        ("INFO", "371 371 374"),
        ("ADMIN", "256 257 258 259"),
        ("LINKS", "364 365"),
        ("HELP", "704 705 705 705 705 706"),
        ("HELP JOIN", "704 705 706"),
        ("HELP nonsense", "524"),
        ("OPER a b", "491"),
        ("KILL bob", "481"),
    ] {
        let lines = ask(&mut bob, command).await;
        let found: Vec<_> = lines
            .iter()
            .map(|line| line.split(' ').nth(1).unwrap())
            .collect();
        assert_eq!(found.join(" "), numerics, "{command}");
    }
}
