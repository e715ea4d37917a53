//! What a dialect makes of a peer's lines and of every reply that they may have.

use super::forms::{nick, reasons, room};
use super::{Speech, Violation, forms, hostile, unpanicked, written};
use crate::random::Random;
use bytes::BytesMut;
use chat_core::log::Timestamp;
use chat_core::log::{Excerpt, Gap, Page, Span};
use chat_core::rooms::{Roll, RoomSummary};
use chat_core::wire::{Code, Command, Dialect, Ending, Greeting, Joined, Refusal, Reply};
use chat_core::{Direct, Hub, Limits, Seq};
use std::sync::Arc;

/// What a hub has to tell.
pub(super) struct Scene {
    limits: Limits,
    rolls: Vec<Roll>,
    rooms: Vec<RoomSummary>,
}

impl Scene {
    /// Rooms with hostile topics, one with many members.
    pub(super) async fn new() -> Self {
        let hub = Hub::default();
        let mut random = Random::new(0);
        let mut members = Vec::new();
        let mut sessions = Vec::new();
        for number in 0..120 {
            let session = hub.session(None).expect("the hub gives nicks");
            for name in ["ops", "한글", "[^_^]"].iter().take(1 + number % 3) {
                let member = session.join(name).await.expect("the room is open");
                if number < 3 {
                    let topic = hostile::clean_text(&mut random);
                    member.set_topic(&topic).await.expect("the topic is short");
                }
                members.push(member);
            }
            sessions.push(session);
        }
        let rooms = hub.rooms();
        let rolls = rooms.iter().filter_map(|room| hub.roll(room.room.as_str()));
        Self {
            limits: Limits::default(),
            rolls: rolls.collect(),
            rooms,
        }
    }
}

/// Talks to a dialect and looks at what it writes.
pub(super) fn check(
    dialect: Box<dyn Dialect>,
    opening: &str,
    speech: &Speech,
    scene: &Scene,
    seed: u64,
) -> Result<(), Violation> {
    let mut talk = Talk {
        dialect,
        speech,
        scene,
        random: Random::new(seed),
        sent: String::new(),
        done: Vec::new(),
    };
    talk.run(opening)
        .map_err(|violation| violation.after(&talk.done))
}

struct Talk<'a> {
    dialect: Box<dyn Dialect>,
    speech: &'a Speech,
    scene: &'a Scene,
    random: Random,
    /// All that the peer has said.
    sent: String,
    done: Vec<String>,
}

impl Talk<'_> {
    fn run(&mut self, opening: &str) -> Result<(), Violation> {
        let motd = [hostile::clean_text(&mut self.random), String::new()];
        let greeting = Greeting {
            motd: &motd,
            nick: &nick(),
        };
        self.writes("greeting", |dialect, out| dialect.greet(&greeting, out))?;
        // Begun as it should, answered as it should not always be.
        self.says(opening)?;
        for line in self.speech.lines.clone() {
            self.says(&line)?;
        }
        for _ in 0..40 {
            let line = hostile::line(&self.speech.lines, &mut self.random);
            self.says(&line)?;
            if self.random.once_in(4) {
                self.hears()?;
            }
        }
        for which in 0..REPLIES {
            self.replies(which)?;
        }
        for reason in reasons(&mut self.random) {
            self.writes("goodbye", |dialect, out| dialect.goodbye(&reason, out))?;
        }
        Ok(())
    }

    /// The peer says a line.
    fn says(&mut self, line: &str) -> Result<(), Violation> {
        self.done.push(format!("line {line:?}"));
        self.sent.push_str(line);
        let mut out = BytesMut::new();
        let doing = format!("receiving {line:?}");
        let dialect = &mut self.dialect;
        let command = unpanicked(&doing, || dialect.receive(line, &mut out))?;
        written::check(&out, self.speech, &self.sent, &doing)?;
        match command {
            None | Some(Command::Retune) => Ok(()),
            Some(Command::Quit { .. }) => {
                let reason = reasons(&mut self.random)[0].clone();
                self.writes("goodbye", |dialect, out| dialect.goodbye(&reason, out))
            }
            Some(Command::Hello { .. }) => self.replies(0),
            Some(_) => {
                let which = self.random.below(REPLIES);
                self.replies(which)
            }
        }
    }

    /// The peer is told something that it did not ask.
    fn hears(&mut self) -> Result<(), Violation> {
        let direct = Direct {
            from: nick(),
            at: Timestamp(self.random.next() >> 20),
            text: hostile::clean_text(&mut self.random).into(),
        };
        self.writes("direct", |dialect, out| dialect.direct(&direct, out))?;
        self.writes("ping", |dialect, out| dialect.ping(out))?;
        let ending = *self.random.pick(&[Ending::Newline, Ending::Silence]);
        self.writes("ending", |dialect, _| dialect.set_ending(ending))
    }

    fn replies(&mut self, which: usize) -> Result<(), Violation> {
        let (scene, random) = (self.scene, &mut self.random);
        let text = hostile::clean_text(random);
        let roll = random.pick(&scene.rolls).clone();
        let is_recovered = *random.pick(&[None, Some(true), Some(false)]);
        let joined = Joined::new(roll.clone(), is_recovered);
        let refusal = Refusal::new(*random.pick(&CODES), text.clone());
        let rooms = [
            ("ops", Ok(joined.clone())),
            (text.as_str(), Err(refusal.clone())),
        ];
        let motd = [hostile::clean_text(random)];
        let (nick, room, batch) = (nick(), room(), Arc::new(forms::batch(random)));
        let range = random.below(batch.len())..batch.len();
        let excerpts = vec![Excerpt {
            batch: Arc::clone(&batch),
            range,
        }];
        let gap = random.once_in(2).then_some(Gap {
            from: Seq(1),
            to: Seq(7),
        });
        let page = Page { gap, excerpts };
        let span = *random.pick(&[Span::After(Seq::START), Span::Before(Seq::END)]);
        let none = Page::default();
        let reply = match which {
            0 => Reply::Welcome {
                nick: &nick,
                rooms: &rooms,
                limits: &scene.limits,
                lobby: &room,
                motd: &motd,
            },
            1 => Reply::Joined {
                nick: &nick,
                joined: &joined,
            },
            2 => Reply::Published(&batch),
            3 => Reply::Known {
                room: &room,
                seq: Seq(u64::MAX - 1),
            },
            4 => Reply::Unpublished(random.below(5), &refusal),
            5 => Reply::Rejected(&refusal),
            6 => Reply::Left(&roll),
            7 => Reply::Renamed(&nick),
            8 => Reply::Told {
                to: &nick,
                at: Timestamp(u64::MAX >> 16),
                text: &text,
            },
            9 => Reply::Who(&roll),
            10 => Reply::Present(&roll),
            11 => Reply::Rooms {
                rooms: &scene.rooms,
                has_more: random.below(2) == 0,
            },
            12 => Reply::Rooms {
                rooms: &[],
                has_more: false,
            },
            13 => Reply::Topic(&roll),
            14 => Reply::History { is_empty: true },
            15 => Reply::History { is_empty: false },
            16 => Reply::Page {
                room: &room,
                span,
                page: &page,
            },
            17 => Reply::Page {
                room: &room,
                span,
                page: &none,
            },
            18 => Reply::Pong,
            20 => Reply::Found {
                room: &room,
                page: &page,
            },
            19 => Reply::Removed {
                room: &room,
                reason: &text,
                is_closed: random.once_in(2),
            },
            _ => Reply::Refused(&refusal),
        };
        let doing = format!("replying {reply:?}");
        self.writes(&doing, |dialect, out| dialect.reply(&reply, out))
    }

    /// Lets the dialect write, and looks at what it wrote.
    fn writes(
        &mut self,
        doing: &str,
        writes: impl FnOnce(&mut dyn Dialect, &mut BytesMut),
    ) -> Result<(), Violation> {
        self.done.push(doing.chars().take(200).collect());
        let mut out = BytesMut::new();
        unpanicked(doing, || writes(&mut *self.dialect, &mut out))?;
        written::check(&out, self.speech, &self.sent, doing)
    }
}

/// How many replies [`Talk::replies`] knows.
const REPLIES: usize = 22;

const CODES: [Code; 10] = [
    Code::BadRequest,
    Code::UnknownCmd,
    Code::NotFound,
    Code::Denied,
    Code::NickTaken,
    Code::BadName,
    Code::TooLong,
    Code::RateLimited,
    Code::Full,
    Code::Unavailable,
];
