//! A crowd that joins, talks, leaves and disconnects at random, and a model of which members each room should have.
//!
//! Invariant: the model depends only on the requests to the server, and the check of a member depends only on the lines
//! that the member received. So a fault of the server can't cause the same error in the model and in a check.

use crate::account::{Account, Embedded, Ends, Until, WireActor};
use crate::peer::Stage;
use crate::recorder::Records;
use chat_core::{CloseReason, HubBuilder};
use std::collections::BTreeSet;
use std::time::Duration;

/// The rooms of a case. Members begin in the first room.
pub(crate) const ROOMS: [&str; 3] = ["lobby", "ops", "한글"];

/// The most members at the same time. More members would not find more faults.
const MEMBERS_MAX: usize = 14;

/// One step of a case. `who` is an index into the present members.
#[derive(Debug, Clone)]
pub(crate) enum Step {
    /// A peer connects over a stream whose buffer holds `stream_bytes`. If `echo` is `true`, the peer asks for its own
    /// messages.
    Arrive {
        stream_bytes: usize,
        echo: bool,
    },
    /// A member in process joins.
    Embed {
        room: usize,
    },
    Move {
        who: usize,
        room: usize,
    },
    Rename {
        who: usize,
    },
    Say {
        who: usize,
        count: usize,
        bytes: usize,
    },
    /// A peer reads this many bytes, or a member in process takes this many events.
    Read {
        who: usize,
        count: usize,
    },
    /// The member sends `/quit`, closes its sending half, or drops its connection.
    Quit {
        who: usize,
    },
    Close {
        who: usize,
    },
    Vanish {
        who: usize,
    },
    /// The server processes everything that it has received.
    Settle,
}

/// One member of the crowd.
pub(crate) struct Actor {
    /// The first word of each of the member's messages begins with this mark.
    pub(crate) mark: String,
    pub(crate) nick: String,
    pub(crate) room: &'static str,
    pub(crate) body: Body,
    said: usize,
}

pub(crate) enum Body {
    Wire(WireActor),
    Process(Embedded),
}

pub(crate) struct Crowd {
    pub(crate) stage: Stage,
    pub(crate) records: Records,
    pub(crate) here: Vec<Actor>,
    /// Peers that have sent `/quit` and must still receive earlier messages.
    pub(crate) going: Vec<Actor>,
    /// Peers that dropped their connections.
    cut: Vec<Actor>,
    freed: BTreeSet<String>,
    /// The longest time that the journal takes for an append. The field `read_time` is the longest time for a read.
    journal_time: Duration,
    read_time: Duration,
    /// Whether every join and leave is announced.
    announced: bool,
    count: usize,
    nicks: usize,
}

impl Crowd {
    pub(crate) fn new(
        builder: HubBuilder,
        records: Records,
        journal_time: Duration,
        read_time: Duration,
        announced: bool,
    ) -> Self {
        Self {
            stage: Stage::new(builder),
            records,
            here: Vec::new(),
            going: Vec::new(),
            cut: Vec::new(),
            freed: BTreeSet::new(),
            journal_time,
            read_time,
            announced,
            count: 0,
            nicks: 0,
        }
    }

    /// Opens all rooms, so that later joins do not wait for the journal.
    pub(crate) async fn opens_rooms(&mut self) {
        let opener = self.stage.hub.session(Some("opener")).await.unwrap();
        for room in ROOMS {
            let member = opener.join(room).await.unwrap();
            member.say("opened").await.unwrap();
        }
    }

    pub(crate) async fn plays(&mut self, steps: &[Step]) {
        for step in steps {
            self.plays_one(step).await;
            for actor in self.here.iter_mut().chain(&mut self.going) {
                if let Body::Wire(wire) = &mut actor.body {
                    wire.peer.pump(0);
                }
            }
        }
    }

    async fn plays_one(&mut self, step: &Step) {
        match *step {
            Step::Arrive { stream_bytes, echo } => self.arrive(stream_bytes, echo),
            Step::Embed { room } => self.embed(ROOMS[room % ROOMS.len()]).await,
            Step::Move { who, room } => self.move_to(who, ROOMS[room % ROOMS.len()]).await,
            Step::Rename { who } => self.rename(who).await,
            Step::Say { who, count, bytes } => self.say(who, count, bytes),
            Step::Read { who, count } => self.read(who, count).await,
            Step::Quit { who } => self.leave(who, Leaving::Quit),
            Step::Close { who } => self.leave(who, Leaving::Close),
            Step::Vanish { who } => self.leave(who, Leaving::Vanish),
            Step::Settle => self.settle().await,
        }
    }

    fn next_nick(&mut self) -> String {
        self.nicks += 1;
        format!("n{}", self.nicks)
    }

    fn add(&mut self, nick: String, room: &'static str, body: Body) {
        self.count += 1;
        self.here.push(Actor {
            mark: format!("m{}-", self.count),
            nick,
            room,
            body,
            said: 0,
        });
    }

    fn arrive(&mut self, stream_bytes: usize, echo: bool) {
        if self.here.len() < MEMBERS_MAX {
            let nick = self.next_nick();
            let mut peer = self.stage.connect(stream_bytes);
            let echo_command = if echo { "/echo on\n" } else { "" };
            peer.push(format!("/nick {nick}\n{echo_command}").as_bytes());
            self.add(nick, ROOMS[0], Body::Wire(WireActor::new(peer, echo)));
        }
    }

    async fn embed(&mut self, room: &'static str) {
        if self.here.len() < MEMBERS_MAX {
            let nick = self.next_nick();
            let session = self.stage.hub.session(Some(&nick)).await.unwrap();
            let mut embedded = Embedded::new(session);
            embedded.join(room).await;
            self.add(nick, room, Body::Process(embedded));
        }
    }

    async fn move_to(&mut self, who: usize, room: &'static str) {
        let Some(at) = who.checked_rem(self.here.len()) else {
            return;
        };
        let actor = &mut self.here[at];
        if actor.room == room {
            return;
        }
        match &mut actor.body {
            Body::Wire(wire) => wire.moves_to(room),
            Body::Process(embedded) => embedded.join(room).await,
        }
        actor.room = room;
    }

    async fn rename(&mut self, who: usize) {
        let nick = self.next_nick();
        let Some(at) = who.checked_rem(self.here.len()) else {
            return;
        };
        let actor = &mut self.here[at];
        match &mut actor.body {
            Body::Wire(wire) => wire.peer.push(format!("/nick {nick}\n").as_bytes()),
            Body::Process(embedded) => embedded.rename(&nick).await,
        }
        self.freed.insert(std::mem::replace(&mut actor.nick, nick));
    }

    fn say(&mut self, who: usize, count: usize, bytes: usize) {
        let Some(at) = who.checked_rem(self.here.len()) else {
            return;
        };
        let actor = &mut self.here[at];
        for _ in 0..count {
            actor.said += 1;
            // The semicolon ends the first word, so a truncated first word can't be mistaken for the first word of
            // another message.
            let text = format!("{}{}; {}", actor.mark, actor.said, "x".repeat(bytes));
            match &mut actor.body {
                Body::Wire(wire) => wire.peer.push(format!("{text}\n").as_bytes()),
                Body::Process(embedded) => embedded.say(&text),
            }
        }
    }

    async fn read(&mut self, who: usize, count: usize) {
        let Some(at) = who.checked_rem(self.here.len()) else {
            return;
        };
        match &mut self.here[at].body {
            Body::Wire(wire) => drop(wire.peer.pump(count)),
            Body::Process(embedded) => drop(embedded.reads(count, self.read_time).await),
        }
    }

    fn leave(&mut self, who: usize, how: Leaving) {
        let Some(at) = who.checked_rem(self.here.len()) else {
            return;
        };
        let mut actor = self.here.remove(at);
        self.freed.insert(actor.nick.clone());
        match &mut actor.body {
            Body::Wire(wire) => match how {
                Leaving::Quit => wire.quits(),
                Leaving::Close => wire.closes(),
                Leaving::Vanish => {
                    wire.peer.vanishes();
                    self.cut.push(actor);
                    return;
                }
            },
            Body::Process(embedded) => match how {
                Leaving::Quit => embedded.closes(&CloseReason::Quit(None)),
                Leaving::Close => embedded.closes(&CloseReason::Dropped),
                Leaving::Vanish => return,
            },
        }
        self.going.push(actor);
    }

    /// Lets the server run while peers send but do not read, and records what each member must receive.
    pub(crate) async fn settle(&mut self) {
        tokio::time::sleep(Duration::from_millis(1)).await;
        if self.journal_time.is_zero() {
            for actor in &mut self.here {
                if let Body::Wire(wire) = &mut actor.body {
                    wire.owed = self.records.end(wire.room);
                }
            }
        }
    }

    /// Lets all members read until nothing more arrives.
    pub(crate) async fn comes_to_rest(&mut self) {
        let mut quiet = 0;
        while quiet < 4 {
            quiet += 1;
            while self.reads_on().await {
                quiet = 0;
            }
            tokio::time::sleep(self.journal_time + Duration::from_millis(500)).await;
        }
    }

    /// Lets all members read what has arrived. Returns whether anything had arrived.
    ///
    /// The peers read first, and the members in process after them. Waiting for a member in process takes time. The
    /// server disconnects a peer that does not read the server's goodbye in time.
    pub(crate) async fn reads_on(&mut self) -> bool {
        let mut moved = false;
        while self.wires_read_on().await {
            moved = true;
        }
        for actor in self.here.iter_mut().chain(&mut self.going) {
            if let Body::Process(embedded) = &mut actor.body {
                moved |= embedded.reads(usize::MAX, self.read_time).await;
            }
        }
        moved
    }

    async fn wires_read_on(&mut self) -> bool {
        let mut moved = false;
        for actor in self.here.iter_mut().chain(&mut self.going) {
            if let Body::Wire(wire) = &mut actor.body {
                moved |= wire.peer.pump(usize::MAX);
            }
        }
        for _ in 0..3 {
            tokio::task::yield_now().await;
        }
        moved
    }

    /// Returns the members that a room should have.
    pub(crate) fn model(&self, room: &str) -> BTreeSet<&str> {
        let inside = self.here.iter().filter(|actor| actor.room == room);
        inside.map(|actor| actor.nick.as_str()).collect()
    }

    /// Checks that the hub's members agree with the model, and that the nicks of ended sessions are free.
    pub(crate) async fn check_hub(&mut self) {
        let hub = self.stage.hub.clone();
        assert_eq!(hub.sessions(), self.here.len());
        for room in ROOMS {
            let info = hub.info(room);
            let nicks = info
                .iter()
                .flat_map(|info| &info.nicks)
                .map(|nick| nick.as_str());
            assert_eq!(
                nicks.collect::<BTreeSet<_>>(),
                self.model(room),
                "in {room}"
            );
        }
        for nick in std::mem::take(&mut self.freed) {
            drop(hub.session(Some(&nick)).await.expect("the nick is free"));
        }
    }

    /// Checks that all members received what was published. With `knows`, also checks that peers know who is in their
    /// room.
    pub(crate) fn check_accounts(&mut self, knows: bool) {
        let ends = self.ends();
        for actor in &mut self.here {
            if let Body::Wire(wire) = &mut actor.body {
                wire.owed = ends[wire.room];
            }
        }
        self.check_each(Until::End, &ends);
        for actor in &self.here {
            if let Body::Wire(wire) = &actor.body
                && knows
            {
                let account = Account::of(actor, &self.records, Until::Cut, self.announced, &ends);
                let others = wire.check(&account);
                let mut expected = self.model(actor.room);
                expected.remove(actor.nick.as_str());
                let seen: BTreeSet<&str> = others.nicks().collect();
                assert_eq!(seen, expected, "{} in {}", actor.nick, actor.room);
            }
        }
    }

    /// Checks that all members received everything that was published before the hub drained, and that members agree
    /// with each other.
    pub(crate) fn check_drained(&self) {
        let mut ends = self.ends();
        if !self.journal_time.is_zero() {
            // A message that the journal had not appended when the hub drained is delivered to all members or to none.
            ends.clear();
            for actor in &self.here {
                if let Body::Wire(wire) = &actor.body {
                    for (room, seq) in wire.latest(&self.records) {
                        let end = ends.entry(room).or_default();
                        *end = seq.max(*end);
                    }
                }
            }
        }
        self.check_each(Until::Drain, &ends);
    }

    fn ends(&self) -> Ends {
        let end = |room: &str| (room.to_owned(), self.records.end(room));
        ROOMS.into_iter().map(end).collect()
    }

    fn check_each(&self, until: Until, ends: &Ends) {
        for (actors, until) in [
            (&self.here, until),
            (&self.going, until),
            (&self.cut, Until::Cut),
        ] {
            for actor in actors {
                let account = Account::of(actor, &self.records, until, self.announced, ends);
                match &actor.body {
                    Body::Wire(wire) => drop(wire.check(&account)),
                    Body::Process(embedded) => embedded.check(&account),
                }
            }
        }
    }
}

#[derive(Debug, Clone, Copy)]
enum Leaving {
    Quit,
    Close,
    Vanish,
}
