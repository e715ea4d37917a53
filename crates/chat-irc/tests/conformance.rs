//! The IRC dialect satisfies the rules for all dialects.

use chat_core::Limits;
use chat_irc::Irc;
use chat_testkit::TestHub;
use chat_testkit::conformance::{self, Speech};

fn irc() -> Irc {
    Irc::new("irc.test", "Test")
}

/// Returns the input of the suite: a line for each command. U+0001 is the delimiter of CTCP.
fn speech() -> Speech {
    Speech::new(["NICK suite-1", "CAP LS 302"])
        .allow('\x01')
        .allow('\r')
        .lines([
            "NICK suite-1",
            "USER u 0 * :real",
            "CAP REQ :server-time message-tags batch labeled-response echo-message",
            "CAP END",
            "CAP LIST",
            "JOIN #lobby,#ops,b",
            "@label=1 PRIVMSG #lobby :안녕 \u{1b}[2J \u{202e}",
            "PRIVMSG #lobby :\x01ACTION waves\x01",
            "PRIVMSG suite-1,#lobby :\x01VERSION\x01",
            "NOTICE #lobby :careful",
            "NOTICE suite-1 :careful",
            "@label=2 TOPIC #lobby :news",
            "@label=3 TOPIC #lobby",
            "@label=4 NAMES #lobby",
            "LIST >0,*o*",
            "LIST #lobby",
            "MODE #lobby",
            "MODE suite-1 +i",
            "@label=5 WHO #lobby %tcuhnfdar,42",
            "WHOIS suite-1",
            "ISON suite-1 bob",
            "USERHOST suite-1",
            "NICK suite-2",
            "SETNAME :other",
            "@label=6 CHATHISTORY LATEST #lobby * 10",
            "CHATHISTORY AROUND #lobby timestamp=2026-01-01T00:00:00.000Z 10",
            "CHATHISTORY BETWEEN #lobby msgid=1-2-3 timestamp=2026-01-01T00:00:00.000Z 10",
            "CHATHISTORY TARGETS timestamp=2026-01-01T00:00:00Z timestamp=2027-01-01T00:00:00Z 10",
            "TAGMSG #lobby",
            "LUSERS",
            "VERSION",
            "HELP join",
            "@label=7 PART #lobby,#ops :bye",
            "JOIN 0",
            "PING 1",
            "KICK #lobby bob",
            "WHOWAS bob",
            "QUIT :so long",
        ])
}

#[tokio::test]
async fn irc_conforms() {
    let conforms = conformance::dialect(&irc(), &speech()).await;
    conformance::assert_conforms(conforms);
}

#[tokio::test(start_paused = true)]
async fn irc_connections_conform() {
    let mut limits = Limits::default();
    limits.rate = None;
    let mut hub = TestHub::new(limits).protocol(irc());
    let conforms = conformance::connection(&mut hub, &speech()).await;
    conformance::assert_conforms(conforms);
}
