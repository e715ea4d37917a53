//! Tests of the protocol between a client and its server, line by line.

use super::*;
use serde_json::{Value, json};
use std::borrow::Borrow;
use tokio::sync::oneshot;

/// A client whose server is the test: the test passes lines to the client, and reads the lines that the client has
/// written.
struct Talk {
    conversation: Conversation,
    now: Instant,
}

type Answer = oneshot::Receiver<Result<String, RequestError>>;

impl Talk {
    /// Creates a client that wants the nick `alice` and joins `ops`.
    fn new() -> Self {
        Self {
            conversation: Conversation::new(Setup {
                nick: Some("alice".into()),
                rooms: vec![JoinRequest::new("ops".into())],
                ..Setup::default()
            }),
            now: Instant::now(),
        }
    }

    /// Creates a client that is connected and has joined `ops`.
    fn online() -> Self {
        let mut talk = Self::new();
        talk.conversation.begin(talk.now);
        talk.sent();
        assert_eq!(talk.is_welcomed("a", 0), Heard::Welcome);
        talk.events();
        talk
    }

    fn hears(&mut self, line: impl Borrow<Value>) -> Heard {
        let line = line.borrow().to_string();
        self.conversation.hear(&line, self.now)
    }

    fn is_welcomed(&mut self, epoch: &str, seq: u64) -> Heard {
        self.hears(json!({"re": HELLO, "ok": {
            "v": 1, "nick": "alice", "limits": {"line": 65536, "text": 4096}, "ping": 25,
            "rooms": [{"room": "ops", "epoch": epoch, "seq": seq, "recovered": true}],
        }}))
    }

    fn hears_said(&mut self, seq: u64, from: &str, key: Option<&str>) {
        self.hears(json!({
            "ev": "said", "room": "ops", "seq": seq, "ts": 0, "from": from, "text": "hi", "key": key,
        }));
    }

    /// Returns the lines that the client has written since the last call.
    fn sent(&mut self) -> Vec<Value> {
        let output = self.conversation.output().split();
        let lines = serde_json::Deserializer::from_slice(&output).into_iter();
        lines.map(Result::unwrap).collect()
    }

    fn calls(&mut self, kind: RequestKind, request: Request<'static>) -> Answer {
        let (done, answer) = oneshot::channel();
        let request = Box::new(request);
        let call = Call {
            request,
            kind,
            done,
        };
        self.conversation.call(call, self.now);
        answer
    }

    fn says(&mut self) -> Answer {
        let mut request = Request::new("say");
        request.room = Some("ops".into());
        request.text = Some("hi".into());
        self.calls(RequestKind::Say, request)
    }

    fn takes_nick(&mut self, nick: &'static str) -> Answer {
        let mut request = Request::new("nick");
        request.nick = Some(nick.into());
        self.calls(RequestKind::Nick, request)
    }

    fn breaks(&mut self) {
        self.conversation.interrupt(self.now);
    }

    fn events(&mut self) -> Vec<Event> {
        std::iter::from_fn(|| self.conversation.take_event(self.now)).collect()
    }

    /// Returns descriptions of the messages and gaps that the caller receives, in order.
    fn shown(&mut self) -> Vec<String> {
        let describe = |event| match event {
            Event::Message(message) => Some(format!("{} {}", message.seq, message.from)),
            Event::Gap { from, to, why, .. } => {
                let place =
                    |seq: Option<u64>| seq.map_or_else(|| "?".into(), |seq| seq.to_string());
                Some(format!("gap {}-{} {why:?}", place(from), place(to)))
            }
            Event::Closed { .. } => Some("closed".into()),
            _ => None,
        };
        self.events().into_iter().filter_map(describe).collect()
    }

    /// Receives more messages than the client's queue holds. Returns the position of the first message that stays
    /// unread in the server's log.
    fn falls_behind(&mut self) -> u64 {
        let first_left = EVENTS_MAX as u64 + 1;
        for seq in 1..=first_left + 4 {
            self.hears_said(seq, "bob", None);
        }
        assert!(self.conversation.places[0].is_behind());
        first_left
    }
}

fn key(line: &Value) -> String {
    line["key"].as_str().unwrap().to_owned()
}

#[test]
fn the_position_moves_with_the_clients_own_messages_which_are_not_shown() {
    let mut talk = Talk::online();
    talk.says();
    let sent = talk.sent();
    talk.hears_said(1, "alice", Some(&key(&sent[0])));
    assert_eq!(talk.shown(), [""; 0]);
    talk.breaks();
    talk.conversation.begin(talk.now);
    let hello = &talk.sent()[0];
    assert_eq!(hello["join"][0]["after"]["seq"], 1);
    assert_eq!(hello["echo"], true);
}

#[test]
fn nobody_hides_messages_behind_anothers_keys() {
    let mut talk = Talk::online();
    talk.says();
    let key = key(&talk.sent()[0]);
    let (prefix, _) = key.split_once('-').unwrap();
    talk.hears_said(1, "mallory", Some(&format!("{prefix}-2")));
    talk.hears_said(2, "mallory", Some(&key));
    talk.hears_said(3, "alice", Some(&key));
    assert_eq!(talk.shown(), ["1 mallory", "2 mallory"]);
}

#[test]
fn a_message_is_not_repeated_under_another_nick() {
    let mut talk = Talk::online();
    let mut said = talk.says();
    talk.sent();
    talk.breaks();
    assert!(said.try_recv().is_err(), "it is repeated");
    let mut unsent = talk.says();
    let mut named = talk.takes_nick("alicia");
    assert!(named.try_recv().unwrap().is_ok());
    assert_eq!(said.try_recv().unwrap(), Err(RequestError::Interrupted));
    assert!(unsent.try_recv().is_err(), "it was never sent");
}

#[test]
fn the_same_nick_once_more_gives_nothing_up() {
    let mut talk = Talk::online();
    let mut said = talk.says();
    talk.breaks();
    talk.takes_nick("alice");
    assert!(said.try_recv().is_err(), "it is repeated");
}

#[test]
fn a_nick_that_is_asked_for_while_the_hello_is_on_its_way_is_asked_for_after_it() {
    let mut talk = Talk::new();
    talk.conversation.begin(talk.now);
    talk.sent();
    let mut named = talk.takes_nick("alicia");
    assert!(named.try_recv().is_err(), "the server has not granted it");
    talk.is_welcomed("a", 0);
    let sent = talk.sent();
    assert_eq!(sent[0]["cmd"], "nick");
    talk.hears(json!({"re": sent[0]["id"], "ok": {"nick": "alicia"}}));
    assert!(named.try_recv().unwrap().is_ok());
}

#[test]
fn a_nick_that_can_not_be_had_gives_way_to_the_one_before() {
    let mut talk = Talk::online();
    talk.breaks();
    talk.takes_nick("no name");
    talk.takes_nick("no name at all");
    talk.conversation.begin(talk.now);
    assert_eq!(talk.sent()[0]["nick"], "no name at all");
    let fault = json!({"code": "bad_name", "msg": "not a name", "retry_ms": null});
    let Heard::Refused(error) = talk.hears(json!({"re": HELLO, "err": fault})) else {
        panic!("it is refused");
    };
    talk.breaks();
    assert!(talk.conversation.falls_back(&error, talk.now));
    assert!(matches!(&talk.events()[..], [Event::Rejected { code, .. }] if code == "bad_name"));
    talk.conversation.begin(talk.now);
    assert_eq!(talk.sent()[0]["nick"], "alice");
    assert!(
        !talk.conversation.falls_back(&error, talk.now),
        "it was the caller's"
    );
}

#[test]
fn what_is_refused_when_it_is_repeated_may_have_been_said() {
    let mut talk = Talk::online();
    let mut said = talk.says();
    talk.sent();
    talk.breaks();
    talk.conversation.begin(talk.now);
    talk.sent();
    talk.is_welcomed("a", 0);
    let id = talk.sent()[0]["id"].clone();
    let fault = json!({"code": "not_in_room", "msg": "no", "retry_ms": null});
    talk.hears(json!({"re": id, "err": fault}));
    assert_eq!(said.try_recv().unwrap(), Err(RequestError::Interrupted));
}

#[test]
fn what_was_left_in_the_log_is_a_gap_when_the_room_or_the_client_ends() {
    let removed = json!({"ev": "removed", "room": "ops", "reason": "", "closed": false});
    let endings: [&dyn Fn(&mut Talk); 4] = [
        &|talk| {
            talk.hears(&removed);
        },
        &|talk| {
            let mut request = Request::new("leave");
            request.room = Some("OPS".into());
            talk.calls(RequestKind::Leave, request);
            let id = talk.sent()[0]["id"].clone();
            talk.hears(json!({"re": id, "ok": {}}));
            assert!(talk.conversation.places.is_empty(), "however it is spelled");
        },
        &|talk| {
            talk.breaks();
            talk.conversation.begin(talk.now);
            let fault = json!({"code": "full", "msg": "full", "retry_ms": null});
            talk.hears(json!({"re": HELLO, "ok": {
                "v": 1, "nick": "alice", "limits": {"line": 65536, "text": 4096}, "ping": 25,
                "rooms": [{"room": "ops", "err": fault}],
            }}));
        },
        &|talk| talk.conversation.close("the end".into()),
    ];
    for ending in endings {
        let mut talk = Talk::online();
        let first_left = talk.falls_behind();
        ending(&mut talk);
        let shown = talk.shown();
        let gap = format!("gap {first_left}-{} Other", first_left + 4);
        let at = shown.iter().position(|event| *event == gap);
        assert_eq!(at, Some(EVENTS_MAX), "{:?}", shown.last());
        let rest = &shown[EVENTS_MAX + 1..];
        assert!(rest.is_empty() || rest == ["closed"], "{rest:?}");
    }
}

#[test]
fn a_log_that_began_anew_is_told_of_though_the_connection_breaks_at_once() {
    let mut talk = Talk::online();
    talk.hears_said(1, "bob", None);
    talk.breaks();
    talk.conversation.begin(talk.now);
    talk.is_welcomed("b", 7);
    assert_eq!(talk.shown(), ["1 bob", "gap ?-? Epoch"]);
    let gap = json!({"ev": "gap", "room": "ops", "from": null, "to": null, "why": "epoch"});
    talk.hears(gap);
    assert_eq!(talk.shown(), [""; 0], "it is told once");
}

#[test]
fn a_room_that_is_unavailable_changes_nothing_in_the_others() {
    let mut talk = Talk::online();
    talk.hears_said(1, "bob", None);
    let mut second = Request::new("join");
    second.room = Some("b".into());
    talk.calls(RequestKind::Join, second);
    let id = talk.sent()[0]["id"].clone();
    talk.hears(json!({"re": id, "ok": {"room": "b", "epoch": "a", "seq": 0}}));
    talk.breaks();
    talk.conversation.begin(talk.now);
    talk.sent();
    let fault = json!({"code": "unavailable", "msg": "later", "retry_ms": 100});
    let heard = talk.hears(json!({"re": HELLO, "ok": {
        "v": 1, "nick": "alice", "limits": {"line": 65536, "text": 4096}, "ping": 25,
        "rooms": [{"room": "ops", "epoch": "new", "seq": 9}, {"room": "b", "err": fault}],
    }}));
    assert!(matches!(heard, Heard::Refused(_)));
    talk.breaks();
    talk.conversation.begin(talk.now);
    let hello = &talk.sent()[0];
    assert_eq!(hello["join"][0]["after"], json!({"epoch": "a", "seq": 1}));
    assert_eq!(hello["join"].as_array().unwrap().len(), 2);
}

#[test]
fn a_page_of_nothing_known_is_not_asked_for_again() {
    for page in [
        json!({"messages": [{"ev": "novelty", "room": "ops"}]}),
        json!({"messages": []}),
        json!("no page"),
    ] {
        let mut talk = Talk::online();
        let first_left = talk.falls_behind();
        let shown = talk.shown();
        assert_eq!(shown.len(), EVENTS_MAX);
        let asked = talk.sent();
        assert_eq!((asked.len(), &asked[0]["cmd"]), (1, &json!("history")));
        talk.hears(json!({"re": asked[0]["id"], "ok": page}));
        let gap = format!("gap {first_left}-{} Other", first_left + 4);
        assert_eq!(talk.shown(), [gap]);
        assert_eq!(talk.sent().len(), 0);
    }
}

#[test]
fn a_second_answer_to_the_hello_is_ignored() {
    let mut talk = Talk::online();
    assert_eq!(talk.is_welcomed("b", 9), Heard::GoOn);
    assert_eq!(talk.shown(), [""; 0]);
}

#[test]
fn a_server_that_repeats_itself_fills_nothing() {
    let mut talk = Talk::online();
    talk.falls_behind();
    let gap = json!({"ev": "gap", "room": "ops", "from": null, "to": null, "why": "other"});
    for _ in 0..100 {
        talk.hears(&gap);
    }
    let rooms: Vec<_> = (0..1000)
        .map(|_| json!({"room": "x", "err": {"code": "full", "msg": "", "retry_ms": null}}))
        .collect();
    talk.breaks();
    talk.conversation.begin(talk.now);
    talk.hears(json!({"re": HELLO, "ok": {
        "v": 1, "nick": "alice", "limits": {"line": 65536, "text": 4096}, "ping": 25, "rooms": rooms,
    }}));
    let waiting = talk.conversation.events.len();
    assert!(waiting <= EVENTS_MAX + 4, "{waiting}");
}

#[test]
fn a_client_comes_back_with_its_token_and_takes_the_servers_if_it_is_given_another() {
    let mut talk = Talk::new();
    talk.conversation.begin(talk.now);
    let first = talk.sent()[0]["token"].as_str().unwrap().to_owned();
    assert_eq!(first.len(), 32, "it makes one of its own");
    talk.breaks();
    talk.conversation.begin(talk.now);
    assert_eq!(talk.sent()[0]["token"], first);
    talk.hears(json!({"re": HELLO, "ok": {
        "v": 1, "nick": "alice", "token": "another one, of 24 bytes", "ping": 25,
        "limits": {"line": 65536, "text": 4096}, "rooms": [],
    }}));
    talk.breaks();
    talk.conversation.begin(talk.now);
    assert_eq!(talk.sent()[0]["token"], "another one, of 24 bytes");
    assert!(!format!("{:?}", talk.conversation).contains("another one"));
}

#[test]
fn a_guest_repeats_what_it_said_where_the_server_knows_its_token() {
    for token in [json!("another one, of 24 bytes"), Value::Null] {
        let mut talk = Talk {
            conversation: Conversation::new(Setup::default()),
            now: Instant::now(),
        };
        let welcome = json!({"re": HELLO, "ok": {
            "v": 1, "nick": "guest-1", "token": token, "ping": 25,
            "limits": {"line": 65536, "text": 4096}, "rooms": [],
        }});
        talk.conversation.begin(talk.now);
        talk.hears(&welcome);
        talk.sent();
        let mut answer = talk.says();
        let said = talk.sent();
        talk.breaks();
        talk.conversation.begin(talk.now);
        talk.sent();
        talk.hears(&welcome);
        if token.is_string() {
            assert_eq!(key(&talk.sent()[0]), key(&said[0]));
        } else {
            assert_eq!(talk.sent(), [Value::Null; 0]);
            assert_eq!(answer.try_recv(), Ok(Err(RequestError::Interrupted)));
        }
    }
}

#[tokio::test(start_paused = true)]
async fn without_tokens_a_lost_nick_is_asked_for_until_it_must_be_anothers() {
    let mut talk = Talk::online();
    talk.conversation.guest_if_refused = true;
    let taken = RequestError::Refused {
        code: "nick_taken".into(),
        message: "alice is taken".into(),
        retry: None,
    };
    talk.conversation.interrupt(talk.now);
    assert!(!talk.conversation.falls_back(&taken, talk.now));
    talk.now += Duration::from_secs(35);
    assert!(
        !talk.conversation.falls_back(&taken, talk.now),
        "it may be its own"
    );
    talk.now += Duration::from_secs(5);
    assert!(talk.conversation.falls_back(&taken, talk.now));
    assert!(matches!(&talk.events()[..], [Event::NickRefused { nick, .. }] if nick == "alice"));
    assert_eq!(talk.conversation.nick, None);
}
