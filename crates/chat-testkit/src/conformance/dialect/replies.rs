//! Checks how a dialect handles the lines of a peer, and the possible replies to each line.
//!
//! Invariant: each command gets one reply, in order, of a type that fits the command. Consecutive messages may share
//! one reply.

use super::encoders::{nick, reasons, room};
use super::{Speech, Violation, encoders, hostile, shortened, unpanicked, written};
use crate::random::Random;
use bytes::BytesMut;
use chat_core::log::Timestamp;
use chat_core::log::{BatchSlice, Gap, Page, Span};
use chat_core::profile::{EndedSession, MemberInfo, NickStatus, Whois};
use chat_core::protocol::{
    Code, Command, Commands, Delimiter, Dialect, Greeting, Joined, Refusal, Reply, Step,
};
use chat_core::rooms::{ModeChanges, Modes, Role, RoomInfo, RoomSummary};
use chat_core::{Direct, Hub, Kind, Limits, Nick, Profile, RoomName, Seq};
use std::sync::Arc;
use std::time::Duration;

/// The contents of a hub, from which the suite makes its replies.
pub(super) struct Scene {
    limits: Limits,
    rolls: Vec<RoomInfo>,
    rooms: Vec<RoomSummary>,
}

impl Scene {
    /// Creates rooms with hostile topics. One of the rooms has many members.
    pub(super) async fn new() -> Self {
        let hub = Hub::default();
        let mut random = Random::new(0);
        let mut members = Vec::new();
        let mut sessions = Vec::new();
        for number in 0..120 {
            let session = hub.session(None).await.expect("the hub gives nicks");
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
        let rolls = rooms.iter().filter_map(|room| hub.info(room.room.as_str()));
        Self {
            limits: Limits::default(),
            rolls: rolls.collect(),
            rooms,
        }
    }
}

/// Runs a conversation with a dialect, and checks the output of the dialect.
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
        waiting: Vec::new(),
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
    /// All lines that the peer has sent.
    sent: String,
    /// The kinds of the messages that the peer has sent and that have no reply yet.
    waiting: Vec<Kind>,
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
        // The opening line is valid. Each command of the line gets a reply that fits the command.
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
        self.publishes(Answer::Published, "the end")?;
        for reason in reasons(&mut self.random) {
            self.writes("goodbye", |dialect, out| dialect.goodbye(&reason, out))?;
        }
        Ok(())
    }

    /// Passes a line to the dialect, and answers each of its commands with a possible reply.
    fn says(&mut self, line: &str) -> Result<(), Violation> {
        let line_shown = shortened(&format!("{line:?}"));
        self.done.push(format!("line {line_shown}"));
        self.sent.push_str(line);
        let mut commands = Commands::default();
        let doing = format!("receiving {line_shown}");
        let dialect = &mut self.dialect;
        unpanicked(&doing, || dialect.receive(line, &mut commands))?;
        while let Some(step) = commands.pop() {
            match step {
                Step::Bytes(out) => written::check(&out, self.speech, &self.sent, &doing)?,
                Step::Command(Command::OptionsChanged) => {}
                Step::Command(command) => self.asks(&command, &line_shown)?,
            }
        }
        Ok(())
    }

    /// Answers a command with a possible reply.
    fn asks(&mut self, command: &Command<'_>, line_shown: &str) -> Result<(), Violation> {
        let kind = match command {
            Command::Say { .. } => Some(Kind::Said),
            Command::Act { .. } => Some(Kind::Acted),
            Command::Notice { .. } => Some(Kind::Notice),
            _ => None,
        };
        if let Some(kind) = kind {
            self.waiting.push(kind);
            if self.random.once_in(2) {
                // One reply answers this message together with later messages.
                return Ok(());
            }
            let which = *self.random.pick(&SAYING);
            if which == Answer::Published || which == Answer::Unpublished {
                return self.publishes(which, line_shown);
            }
            self.waiting.pop();
            self.publishes(Answer::Published, line_shown)?;
            return self.answers(which, line_shown);
        }
        self.publishes(Answer::Published, line_shown)?;
        if let Command::Quit { .. } = command {
            let reason = reasons(&mut self.random)[0].clone();
            return self.writes("goodbye", |dialect, out| dialect.goodbye(&reason, out));
        }
        let which = *self.random.pick(answers(command));
        if which == Answer::Published || which == Answer::Unpublished {
            let is_mode = matches!(command, Command::Mode { .. });
            self.waiting
                .push(if is_mode { Kind::Mode } else { Kind::Topic });
            return self.publishes(which, line_shown);
        }
        self.answers(which, line_shown)
    }

    /// Answers all messages in `waiting` with one reply: `Unpublished` if `which` is that, and
    /// otherwise `Published`.
    fn publishes(&mut self, which: Answer, line: &str) -> Result<(), Violation> {
        let waiting = std::mem::take(&mut self.waiting);
        if waiting.is_empty() {
            return Ok(());
        }
        let count = waiting.len();
        let batch = encoders::batch_of(&waiting, &mut self.random);
        let text = hostile::clean_text(&mut self.random);
        let refusal = Refusal::new(*self.random.pick(&CODES), text);
        let reply = match which {
            Answer::Unpublished => Reply::Unpublished(count, &refusal),
            _ => Reply::Published(&batch),
        };
        let doing = format!("replying {which:?} to {count} lines, the last {line}");
        self.writes(&doing, |dialect, out| dialect.reply(&reply, out))
    }

    /// Passes a direct message, a ping, a reply that answers no command, and a delimiter to the dialect.
    fn hears(&mut self) -> Result<(), Violation> {
        let at = Timestamp(self.random.next() >> 20);
        let text = hostile::clean_text(&mut self.random);
        let direct = Direct::new(nick(), at, text.into());
        self.writes("direct", |dialect, out| dialect.direct(&direct, out))?;
        let invitation = Direct::invitation(nick(), at, room());
        self.writes("invited", |dialect, out| dialect.direct(&invitation, out))?;
        let online = MemberInfo::new(nick(), Profile::default());
        let online = direct.at.0.is_multiple_of(2).then_some(online);
        let status = NickStatus::new(direct.text.to_string(), online);
        self.writes("watched", |dialect, out| dialect.watched(&status, out))?;
        self.writes("ping", |dialect, out| dialect.ping(out))?;
        let unasked = *self.random.pick(&UNASKED);
        self.answers(unasked, "nothing")?;
        let ending = *self.random.pick(&[Delimiter::Newline, Delimiter::Silence]);
        self.writes("ending", |dialect, _| dialect.set_delimiter(ending))
    }

    fn answers(&mut self, which: Answer, line: &str) -> Result<(), Violation> {
        let material = Material::pick(self.scene, &mut self.random);
        let rooms = material.rooms();
        let reply = material.reply(which, self.scene, &rooms, &mut self.random);
        let doing = format!("replying {which:?} to {line}");
        self.writes(&doing, |dialect, out| dialect.reply(&reply, out))
    }

    /// Calls the dialect, and checks the output of the dialect.
    fn writes(
        &mut self,
        doing: &str,
        writes: impl FnOnce(&mut dyn Dialect, &mut BytesMut),
    ) -> Result<(), Violation> {
        self.done.push(doing.to_owned());
        let mut out = BytesMut::new();
        unpanicked(doing, || writes(&mut *self.dialect, &mut out))?;
        written::check(&out, self.speech, &self.sent, doing)
    }
}

/// The contents of a random reply.
struct Material {
    nick: Nick,
    room: RoomName,
    text: String,
    motd: [String; 1],
    info: RoomInfo,
    joined: Joined,
    refusal: Refusal,
    page: Page,
    modes: Modes,
    by: Option<Nick>,
    profile: Profile,
    members: Vec<MemberInfo>,
    whois: Whois,
    ended: [EndedSession; 1],
    statuses: [NickStatus; 2],
    refused: [String; 1],
}

impl Material {
    fn pick(scene: &Scene, random: &mut Random) -> Self {
        let text = hostile::clean_text(random);
        let info = random.pick(&scene.rolls).clone();
        let is_recovered = *random.pick(&[None, Some(true), Some(false)]);
        let mut profile = Profile::default();
        if text.len().is_multiple_of(2) {
            profile.away = Some(text.as_str().into());
            profile.real_name = Some(text.as_str().into());
            profile.is_bot = true;
            profile.is_operator = true;
        }
        let member = MemberInfo::new(nick(), profile.clone());
        let listed = |nick: &Nick| {
            let mut member = MemberInfo::new(nick.clone(), profile.clone());
            member.role = *random.pick(&[None, None, Some(Role::Voice), Some(Role::Operator)]);
            member
        };
        let members: Vec<_> = info.nicks.iter().map(listed).collect();
        let mut joined = Joined::new(info.clone(), is_recovered);
        joined.role = members.first().and_then(|member| member.role);
        let mut whois = Whois::new(nick(), profile.clone());
        whois.rooms.push(room());
        whois.since = Some(Timestamp(0));
        whois.idle = Some(Duration::from_secs(text.len() as u64 * 1_000));
        Self {
            members,
            whois,
            ended: [EndedSession::new(nick(), profile.clone(), Timestamp(0))],
            statuses: [
                NickStatus::new(text.clone(), None),
                NickStatus::new(nick().to_string(), Some(member)),
            ],
            refused: [text.clone()],
            profile,
            modes: modes(random),
            by: random.once_in(2).then(nick),
            joined,
            refusal: Refusal::new(*random.pick(&CODES), text.clone()),
            nick: nick(),
            room: room(),
            text,
            motd: [hostile::clean_text(random)],
            info,
            page: page(random),
        }
    }

    /// Returns the result of joining two rooms.
    fn rooms(&self) -> [(&str, Result<Joined, Refusal>); 2] {
        [
            ("ops", Ok(self.joined.clone())),
            (&self.text, Err(self.refusal.clone())),
        ]
    }

    fn reply<'a>(
        &'a self,
        which: Answer,
        scene: &'a Scene,
        rooms: &'a [(&'a str, Result<Joined, Refusal>)],
        random: &mut Random,
    ) -> Reply<'a> {
        match which {
            Answer::Welcome => Reply::Welcome {
                nick: &self.nick,
                user_host: &self.profile.user_host,
                rooms,
                limits: &scene.limits,
                lobby: &self.room,
                motd: &self.motd,
            },
            Answer::Joined => Reply::Joined {
                nick: &self.nick,
                joined: &self.joined,
            },
            Answer::Known => Reply::Duplicate {
                room: &self.room,
                seq: Seq(u64::MAX - 1),
            },
            Answer::Rejected => Reply::Rejected(&self.refusal),
            Answer::Left => Reply::Left(&self.info),
            Answer::Renamed => Reply::Renamed(&self.nick),
            Answer::Told => Reply::DirectSent {
                to: &self.nick,
                at: Timestamp(u64::MAX >> 16),
                text: &self.text,
                away: self.profile.away.as_deref(),
            },
            Answer::Who => Reply::Who(&self.info),
            Answer::Present => Reply::Present(&self.info),
            Answer::Members => Reply::Members {
                room: &self.room,
                members: &self.members,
                has_more: false,
            },
            Answer::Rooms => Reply::Rooms {
                rooms: random.pick::<&[RoomSummary]>(&[&scene.rooms, &[]]),
                has_more: random.once_in(2),
            },
            Answer::Topic => Reply::Topic(&self.info),
            Answer::Modes => Reply::Modes {
                room: &self.room,
                modes: &self.modes,
                role: self.joined.role,
            },
            Answer::Kicked => Reply::Kicked {
                is_announced: true,
                room: &self.room,
                nick: &self.nick,
            },
            Answer::Invited => Reply::Invited {
                room: &self.room,
                nick: &self.nick,
            },
            Answer::History => Reply::History {
                is_empty: random.once_in(2),
            },
            Answer::Page => Reply::Page {
                room: &self.room,
                span: *random.pick(&[Span::After(Seq::START), Span::Before(Seq::END)]),
                page: &self.page,
            },
            Answer::Found => Reply::Found {
                room: &self.room,
                page: &self.page,
            },
            Answer::Pong => Reply::Pong,
            Answer::AwaySet => Reply::AwaySet {
                message: self.profile.away.as_deref(),
            },
            Answer::ProfileSet => Reply::ProfileSet(&self.profile),
            Answer::Whois => Reply::Whois(&self.whois),
            Answer::Whowas => Reply::Whowas {
                asked: &self.text,
                ended: random.pick::<&[EndedSession]>(&[&self.ended, &[]]),
            },
            Answer::Online => Reply::Online(&self.statuses),
            Answer::Watching => Reply::Watching {
                nicks: random.pick::<&[NickStatus]>(&[&self.statuses, &[]]),
                refused: random.pick::<&[String]>(&[&self.refused, &[]]),
            },
            Answer::Operating => Reply::Operating,
            Answer::Disconnected => Reply::Disconnected(&self.nick),
            Answer::Removed => Reply::Removed {
                room: &self.room,
                reason: &self.text,
                by: self.by.as_ref(),
                is_closed: random.once_in(2),
            },
            Answer::Refused | Answer::Published | Answer::Unpublished => {
                Reply::Refused(&self.refusal)
            }
        }
    }
}

/// Returns modes that were set by a random message.
fn modes(random: &mut Random) -> Modes {
    let all =
        "+moderated +secret +key s\"{} +limit 7 +ban *!*@\"\\ +ban 한글 +quiet $a:\"x +owner $a:y";
    let mut modes = Modes::default();
    for change in &ModeChanges::read(all) {
        if random.once_in(2) {
            modes.change(change, &nick(), Timestamp(random.next() >> 20));
        }
    }
    modes
}

/// Returns a page of a log, with some messages or none.
fn page(random: &mut Random) -> Page {
    let batch = Arc::new(encoders::batch(random));
    let gap = random.once_in(2).then_some(Gap {
        from: Seq(1),
        to: Seq(7),
    });
    if random.once_in(4) {
        return Page::default();
    }
    let range = random.below(batch.len())..batch.len();
    Page::new(gap, vec![BatchSlice { batch, range }])
}

/// A type of reply.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Answer {
    Welcome,
    Joined,
    Published,
    Known,
    Unpublished,
    Rejected,
    Left,
    Renamed,
    Told,
    Who,
    Members,
    Present,
    Rooms,
    Topic,
    Modes,
    Kicked,
    Invited,
    History,
    Page,
    Found,
    Pong,
    Removed,
    Refused,
    AwaySet,
    ProfileSet,
    Whois,
    Whowas,
    Online,
    Watching,
    Operating,
    Disconnected,
}

/// The possible replies to a message.
const SAYING: [Answer; 4] = [
    Answer::Published,
    Answer::Known,
    Answer::Unpublished,
    Answer::Refused,
];

/// The replies that answer no command.
const UNASKED: [Answer; 3] = [Answer::Rejected, Answer::Present, Answer::Removed];

/// Returns the possible replies to a command; [`Dialect::reply`] documents the rule.
const fn answers(command: &Command<'_>) -> &'static [Answer] {
    use Answer::Refused;
    match command {
        Command::Say { .. } | Command::Act { .. } | Command::Notice { .. } => &SAYING,
        Command::Topic { text: Some(_), .. } => &[Answer::Published, Answer::Unpublished, Refused],
        Command::Topic { .. } => &[Answer::Topic, Refused],
        Command::Mode { changes, .. } if changes.is_empty() => &[Answer::Modes, Refused],
        Command::Mode { .. } => &[Answer::Published, Answer::Unpublished, Refused],
        Command::Kick { .. } => &[Answer::Kicked, Refused],
        Command::Invite { .. } => &[Answer::Invited, Refused],
        Command::Tell { .. } | Command::TellAs { .. } => &[Answer::Told, Refused],
        Command::Hello { .. } => &[Answer::Welcome, Answer::Welcome, Refused],
        Command::Join(_) | Command::Move { .. } => &[Answer::Joined, Refused],
        Command::Leave { .. } => &[Answer::Left, Refused],
        Command::Nick { .. } => &[Answer::Renamed, Refused],
        Command::Who { .. } => &[Answer::Who, Refused],
        Command::Members { .. } => &[Answer::Members, Refused],
        Command::Rooms { .. } => &[Answer::Rooms, Refused],
        Command::History { .. } => &[Answer::History, Refused],
        Command::Read { .. } => &[Answer::Page, Refused],
        Command::Search { .. } => &[Answer::Found, Refused],
        Command::Ping => &[Answer::Pong],
        Command::Away { .. } => &[Answer::AwaySet, Refused],
        Command::SetProfile { .. } => &[Answer::ProfileSet, Refused],
        Command::Whois { .. } => &[Answer::Whois, Refused],
        Command::Whowas { .. } => &[Answer::Whowas],
        Command::Online { .. } => &[Answer::Online],
        Command::Watch { .. } => &[Answer::Watching, Refused],
        Command::Operate { .. } => &[Answer::Operating, Refused],
        Command::Disconnect { .. } => &[Answer::Disconnected, Refused],
        _ => &[Refused],
    }
}

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
