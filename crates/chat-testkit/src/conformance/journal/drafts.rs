//! Generates drafts. No two texts are equal, so that each message can be identified.

use crate::random::Random;
use chat_core::log::{Account, Drafts, SessionId, Timestamp};
use chat_core::name::NameRules;
use chat_core::{Kind, Nick};

/// The number of sessions that append messages. Their numbers begin at 1.
pub(super) const AUTHORS: u64 = 4;

/// A generator of drafts.
#[derive(Debug)]
pub(super) struct Writer {
    written: u64,
    nicks: Vec<Nick>,
}

impl Writer {
    pub(super) fn new() -> Self {
        // A hub may have rules that accept more marks in nicks than the default rules do. These rules accept all marks.
        let mut rules = NameRules::default();
        rules.is_mark = |c| !c.is_ascii() && !c.is_alphanumeric();
        let nicks = ["alice", "한글", "e\u{301}mile", "ไก่", "[Bob]^_^"];
        let nicks = nicks.into_iter().map(|nick| rules.nick(nick));
        Self {
            written: 0,
            nicks: nicks.collect::<Result<_, _>>().expect("these are nicks"),
        }
    }

    /// Returns a batch of plain messages.
    pub(super) fn plain(&mut self, messages: usize) -> Drafts {
        let mut drafts = self.begin(0);
        for _ in 0..messages {
            let text = self.text("plain");
            drafts.push(Kind::Said, &text);
        }
        drafts
    }

    /// Returns a batch that sets or removes the topic.
    pub(super) fn topic(&mut self, topic: Option<&str>) -> Drafts {
        let mut drafts = self.begin(1);
        let topic = topic.map_or_else(String::new, |topic| self.text(topic));
        drafts.push(Kind::Topic, &topic);
        drafts
    }

    /// Returns a batch of messages, one of which changes the modes. Each `{}` in `changes` is replaced by a number, so
    /// that no two texts are equal.
    pub(super) fn modes(&mut self, changes: &str) -> Drafts {
        let mut drafts = self.begin(2);
        drafts.push(Kind::Said, &self.text("+secret"));
        self.written += 1;
        drafts.push(
            Kind::Mode,
            &changes.replace("{}", &self.written.to_string()),
        );
        drafts.push(Kind::Said, &self.text("-secret"));
        drafts
    }

    /// Returns a batch of messages of any kind.
    pub(super) fn any(&mut self, random: &mut Random) -> Drafts {
        if random.once_in(16) {
            return self.topic(None);
        }
        let mut drafts = self.begin(random.below(self.nicks.len()));
        for _ in 0..=random.below(5) {
            let kind = *random.pick(&KINDS);
            let text = self.text(random.pick::<&str>(&TEXTS));
            let key = random.once_in(3).then(|| self.key(random));
            drafts.restore(kind, &text, key.as_deref());
        }
        drafts
    }

    fn begin(&mut self, nick: usize) -> Drafts {
        self.written += 1;
        let author = SessionId(SessionId::NOBODY.0 + 1 + self.written % AUTHORS);
        // The times are current, so that a journal does not remove the messages as old. No two times are equal.
        let at = Timestamp(Timestamp::now().0 + self.written);
        let account = (self.written % 3 == 1).then(|| {
            // This id has the maximum length of an account.
            let id = format!("계정-{:>57}", self.written);
            Account::parse(&id).expect("this is an account")
        });
        Drafts::new(author, self.nicks[nick].clone(), at).with_account(account)
    }

    fn text(&mut self, text: &str) -> String {
        self.written += 1;
        format!("{text} #{}", self.written)
    }

    fn key(&mut self, random: &mut Random) -> String {
        self.written += 1;
        let key = format!("{}{}", random.pick(&KEYS), self.written);
        match random.below(4) {
            // This key has the maximum length.
            0 => key.clone() + &"x".repeat(64 - key.len()),
            // This key ends with the mark of its owner, as in a stored key.
            1 => format!("{key}\u{1f}{:032x}", self.written),
            _ => key,
        }
    }
}

/// The kinds of messages, and a kind that only a later version may have.
const KINDS: [Kind; 7] = [
    Kind::Said,
    Kind::Said,
    Kind::Acted,
    Kind::Topic,
    Kind::Notice,
    Kind::Mode,
    Kind::from_number(200),
];

/// Texts that may be difficult for a store. Core removes control characters before the store sees a text.
const TEXTS: [&str; 10] = [
    "hello",
    "안녕하세요 👨‍👩‍👧",
    "a\ttab, a \\ and 'quotes' \"of\" `each` kind",
    "'); DROP TABLE messages; --",
    "{\"cmd\":\"say\"}",
    "\x1b[2J\x07\0 gone",
    "a line\r\nand another",
    "  spaces before",
    "%s %n ${x} {{y}} ?1 :a @b",
    "long: ooooooooooooooooooooooooooooooooooooooooooooooooooooooooooooooo",
];

const KEYS: [&str; 4] = ["k-", "'\";--", "열쇠 ", " k"];
