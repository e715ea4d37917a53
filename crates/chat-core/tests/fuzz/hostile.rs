//! One peer sends arbitrary bytes. Two other members chat and must not be affected.

use crate::harness::{check, in_paused_time};
use crate::peer::{Peer, Stage};
use crate::view::{Others, Shown, assert_is_proper, read};
use chat_core::{Hub, Limits};
use proptest::prelude::*;
use proptest::sample::{Index, select};
use std::fmt;
use std::time::Duration;

#[derive(Clone)]
enum Step {
    Send(Vec<u8>),
    Pause(u64),
}

impl fmt::Debug for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Send(bytes) => write!(f, "Send b\"{}\"", bytes.escape_ascii()),
            Self::Pause(millis) => write!(f, "Pause {millis}"),
        }
    }
}

/// How the hostile peer ends its connection.
#[derive(Debug, Clone, Copy)]
enum End {
    /// The peer closes its sending half and continues to read.
    Half,
    /// The peer closes the whole stream.
    Vanish,
    /// The peer stays silent until the hub drains.
    Stay,
}

#[derive(Debug, Clone)]
struct Script {
    steps: Vec<Step>,
    end: End,
    reads: bool,
    is_limited: bool,
    stream_bytes: usize,
}

const COMMANDS: [&str; 16] = [
    "help", "nick", "join", "leave", "rooms", "who", "msg", "me", "topic", "history", "echo",
    "time", "/", "JOIN", "hepl", "",
];

/// Texts that other members must not mistake for lines of the server or of another member.
const FORGERIES: [&str; 16] = [
    "14:02 alice: a0",
    "* bob left",
    "! no",
    "\x1b[2J\x1b]0;x\x07",
    "x\r* root joined",
    "\u{202e}txet",
    "\u{9b}31m",
    "\u{9d}0;x\u{9c}\u{85}* y joined",
    "\x1bP$q\"p\x1b\\\x1b_G\x1b\\",
    "\x1bc\x1b(0\x0e\x07\x08\x7f\x0b",
    "\u{2066}x\u{202a}",
    "x\u{2028}* y joined",
    "alice",
    "bob",
    "ALICE",
    "you",
];

fn text() -> impl Strategy<Value = String> {
    prop_oneof![
        3 => "[ -~가-힣]{0,40}",
        2 => any::<String>(),
        3 => select(&FORGERIES[..]).prop_map(str::to_owned),
        1 => "-?[0-9]{1,24}",
        1 => select(vec!["on", "off", "-", "#ops", "ops", "lobby"]).prop_map(str::to_owned),
        1 => (0..5000_usize).prop_map(|count| "한".repeat(count)),
    ]
}

fn line() -> impl Strategy<Value = String> {
    prop_oneof![
        3 => text(),
        5 => (select(&COMMANDS[..]), text()).prop_map(|(command, text)| format!("/{command} {text}")),
        2 => (select(&FORGERIES[..]), text()).prop_map(|(nick, text)| format!("/msg {nick} {text}")),
        1 => text().prop_map(|text| format!("/quit {text}")),
    ]
}

fn piece() -> impl Strategy<Value = Vec<u8>> {
    let end = select(vec!["\n", "\n", "\n", "\r\n", "\r\0", "\r", "", "\0"]);
    let whole = (line(), end).prop_map(|(line, end)| format!("{line}{end}").into_bytes());
    let mutated = (line(), any::<Index>(), any::<u8>()).prop_map(|(line, at, byte)| {
        let mut bytes = format!("{line}\n").into_bytes();
        let at = at.index(bytes.len());
        bytes[at] = byte;
        bytes
    });
    let telnet = (240..=255_u8, any::<u8>()).prop_map(|(verb, option)| vec![0xff, verb, option]);
    let cut = (text(), any::<Index>()).prop_map(|(text, at)| {
        let at = at.index(text.len() + 1);
        text.into_bytes()[..at].to_vec()
    });
    let opening = select(vec![
        &b"GET / HTTP/1.1\r\nHost: x\r\n\r\n"[..],
        b"GET /",
        b"\x16\x03\x01\x02\x00",
        b"\x16",
        b"SSH-2.0-x\r\n",
        b"EHLO x\r\n",
        b"\n",
        b"\xff\xfa\x18\x00xterm\xff\xf0",
        b"\xff\xfa",
        b"\xed\xa0\x80\xc0\xaf",
    ]);
    prop_oneof![
        8 => whole,
        3 => mutated,
        2 => telnet,
        2 => cut,
        2 => opening.prop_map(<[u8]>::to_vec),
        2 => prop::collection::vec(any::<u8>(), 0..40),
        1 => (0..20_000_usize).prop_map(|count| vec![b'x'; count]),
    ]
}

fn script() -> impl Strategy<Value = Script> {
    let step = prop_oneof![
        3 => piece().prop_map(Step::Send),
        2 => (0..=400_u64).prop_map(Step::Pause),
    ];
    (
        prop::collection::vec(step, 0..40),
        select(vec![End::Half, End::Vanish, End::Stay]),
        any::<bool>(),
        any::<bool>(),
        select(vec![64, 500, 4096, 65_536]),
    )
        .prop_map(|(steps, end, reads, is_limited, stream_bytes)| Script {
            steps,
            end,
            reads,
            is_limited,
            stream_bytes,
        })
}

#[test]
fn a_hostile_peer_harms_nobody_but_itself() {
    check(250, &script(), |script| {
        in_paused_time(move || play(script))
    });
}

async fn play(script: Script) {
    let mut limits = Limits::default();
    if !script.is_limited {
        limits.rate = None;
    }
    let mut stage = Stage::new(Hub::builder().limits(limits));
    let mut alice = arrive(&mut stage, "alice").await;
    let mut bob = arrive(&mut stage, "bob").await;
    let mut hostile = stage.connect(script.stream_bytes);
    let mut said = 0;
    for step in &script.steps {
        if let Step::Send(bytes) = step {
            hostile.push(bytes);
        }
        alice.push(format!("a{said}\n").as_bytes());
        bob.push(format!("b{said}\n").as_bytes());
        said += 1;
        let pause = match *step {
            Step::Send(_) => 0,
            Step::Pause(millis) => millis,
        };
        for millis in [0, pause] {
            alice.pump(usize::MAX);
            bob.pump(usize::MAX);
            hostile.pump(if script.reads { usize::MAX } else { 0 });
            tokio::time::sleep(Duration::from_millis(millis)).await;
        }
    }
    match script.end {
        End::Half => hostile.ends(),
        End::Vanish => hostile.vanishes(),
        End::Stay => {
            stage
                .settle(&mut [&mut alice, &mut bob, &mut hostile])
                .await
        }
    }
    if !matches!(script.end, End::Stay) {
        leave_two(&mut stage, &mut [&mut alice, &mut bob, &mut hostile]).await;
        assert_eq!(stage.hub.sessions(), 2);
        let inside: usize = stage.hub.rooms().iter().map(|room| room.count).sum();
        assert_eq!(inside, 2, "{:?}", stage.hub.rooms());
    }
    stage
        .settle(&mut [&mut alice, &mut bob, &mut hostile])
        .await;
    assert_heard(&stage, &alice, "bob", 'b', said);
    assert_heard(&stage, &bob, "alice", 'a', said);
    assert_sane(&hostile);
    // A new member reads what the hostile peer has left: messages, topics and names of rooms.
    let mut newcomer = arrive(&mut stage, "newcomer").await;
    newcomer.push(b"/history 50\n/topic\n/rooms\n/who\n");
    let peers = &mut [&mut alice, &mut bob, &mut hostile, &mut newcomer];
    stage.settle(peers).await;
    stage.hub.drain();
    stage.wait_for_the_end(peers).await;
    let lines = newcomer.lines();
    assert!(lines.iter().any(|line| line.starts_with("* rooms: ")));
    for line in lines {
        assert_is_proper(&line, true);
    }
    assert_eq!(stage.hub.sessions(), 0);
}

async fn arrive(stage: &mut Stage, nick: &str) -> Peer {
    let mut peer = stage.connect(1024 * 1024);
    peer.push(format!("/nick {nick}\n").as_bytes());
    peer.pump(usize::MAX);
    tokio::time::sleep(Duration::from_millis(1)).await;
    peer
}

/// Waits until only the two chatting members are connected.
async fn leave_two(stage: &mut Stage, peers: &mut [&mut Peer]) {
    let began = tokio::time::Instant::now();
    while stage.connections() > 2 {
        let waited = began.elapsed();
        assert!(
            waited < Duration::from_secs(3600),
            "the hostile peer's connection hangs"
        );
        while crate::peer::pump(peers).await {}
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

/// Checks that the chatting member `witness` received every message of the other chatting member, `other`, once and in
/// order. Also checks that `witness` knows the members of the room.
fn assert_heard(stage: &Stage, witness: &Peer, other: &str, letter: char, said: usize) {
    let mut others = Others::default();
    let mut heard = Vec::new();
    for line in witness.lines() {
        assert_is_proper(&line, true);
        let shown = read(&line);
        assert!(others.note(&shown), "{line}, with {others:?} here");
        match shown {
            Shown::Message { from, text } if from == other => heard.push(text.to_owned()),
            Shown::Missed(_) | Shown::Hushed => panic!("{line}"),
            _ => {}
        }
    }
    let expected: Vec<String> = (0..said)
        .map(|number| format!("{letter}{number}"))
        .collect();
    assert_eq!(heard, expected);
    let info = stage.hub.info("lobby").unwrap();
    let mut here: Vec<&str> = info.nicks.iter().map(|nick| nick.as_str()).collect();
    let own = if other == "bob" { "alice" } else { "bob" };
    here.retain(|&nick| nick != own);
    here.sort_unstable();
    assert_eq!(others.nicks().collect::<Vec<_>>(), here);
}

/// Checks that the output to the hostile peer was safe, unless the server recognised another protocol.
fn assert_sane(hostile: &Peer) {
    const ANSWERS: [&[u8]; 4] = [
        b"HTTP/1.1 400 Bad Request\r\n",
        b"\x15\x03\x01\x00\x02\x02\x46",
        b"! this is a chat server, not SSH",
        b"554 this is a chat server, not SMTP",
    ];
    let holds = |answer: &[u8]| {
        hostile
            .bytes()
            .windows(answer.len())
            .any(|bytes| bytes == answer)
    };
    if !ANSWERS.iter().any(|answer| holds(answer)) {
        for line in hostile.lines() {
            assert_is_proper(&line, false);
        }
    }
}
