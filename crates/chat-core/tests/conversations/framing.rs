//! A second framing, for a dialect without lines: each frame has a length and a payload.

use crate::unlimited;
use bytes::{Buf, BufMut, BytesMut};
use chat_core::codec::Inbound;
use chat_core::protocol::{
    Broadcast, Command, Commands, Detected, Detection, Detector, Dialect, DialectOptions, Encoder,
    Framing, Greeting, JoinRequest, Moment, Reply,
};
use chat_core::{CloseReason, Direct, Echo, Hub, Limits, Peer};
use chat_testkit::TestHub;
use std::num::NonZeroUsize;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream};
use tokio::time::Instant;

/// The first bytes of a connection that speaks in frames.
const MAGIC: &[u8] = b"FRAMES\n";

/// The first bytes of another connection that speaks in frames. Telnet would read the first three bytes as a command.
const BINARY_MAGIC: &[u8] = b"\xff\xfdFRAMES";

const ITEM_BYTES_MAX: usize = 300;

/// How long the dialect takes to reject an item. This time is longer than a task may run without yielding.
const REJECTION: Duration = Duration::from_micros(300);

/// Splits a stream into frames: four bytes of length, most significant byte first, and the payload.
#[derive(Default)]
struct Lengths {
    buffer: BytesMut,
    magic_bytes: usize,
    item_bytes_max: usize,
    /// How many bytes of a frame must still be skipped, because the frame was too long or too slow.
    skip: usize,
    has_begun: bool,
    /// Whether a frame of the length [`END`] has arrived.
    has_ended: bool,
}

/// A frame with this length closes the connection.
const END: u32 = u32::MAX;

impl Framing for Lengths {
    fn push(&mut self, bytes: &[u8], answers: &mut BytesMut) {
        self.buffer.extend_from_slice(bytes);
        if !self.has_begun && self.buffer.len() >= self.magic_bytes {
            self.has_begun = true;
            self.buffer.advance(self.magic_bytes);
            Self::frame(b"frames it is", answers);
        }
    }

    fn next(&mut self) -> Option<Inbound> {
        let skipped = self.skip.min(self.buffer.len());
        self.buffer.advance(skipped);
        self.skip -= skipped;
        if self.has_ended {
            return None;
        }
        let length = self.buffer.first_chunk::<4>()?;
        let length = u32::from_be_bytes(*length);
        if length == END {
            self.has_ended = true;
            return None;
        }
        let length = length as usize;
        if length > self.item_bytes_max {
            self.skip = 4 + length;
            return Some(Inbound::Oversized);
        }
        if self.buffer.len() < 4 + length {
            return None;
        }
        self.buffer.advance(4);
        Some(Inbound::from_payload(self.buffer.split_to(length)))
    }

    fn pending(&self) -> usize {
        self.buffer.len()
    }

    fn is_unfinished(&self) -> bool {
        self.skip > 0 || !self.buffer.is_empty()
    }

    fn give_up(&mut self) {
        if self.skip > 0 {
            return;
        }
        let length = self.buffer.first_chunk::<4>();
        self.skip = length.map_or(4, |length| 4 + u32::from_be_bytes(*length) as usize);
    }

    fn has_ended(&self) -> bool {
        self.has_ended
    }

    fn close(&mut self, reason: &CloseReason, out: &mut BytesMut) {
        match reason {
            CloseReason::Disconnected => Self::frame(b"closed", out),
            _ => Self::frame(b"", out),
        }
    }

    fn frame(payload: &[u8], out: &mut BytesMut) {
        out.put_u32(payload.len().try_into().unwrap());
        out.put_slice(payload);
    }
}

/// Recognises the dialect [`Frames`]. All connections of this dialect share one encoder.
#[derive(Default)]
struct FramesDetector(Arc<FramesEncoder>);

impl Detector for FramesDetector {
    fn detect(&self, prefix: &[u8]) -> Detection {
        for magic in [MAGIC, BINARY_MAGIC] {
            if prefix.starts_with(magic) {
                let frames = Frames(Arc::clone(&self.0), magic.len());
                return Detection::Found(Detected::Dialect(Box::new(frames)));
            }
            if !prefix.is_empty() && magic.starts_with(prefix) {
                return Detection::NeedMore;
            }
        }
        Detection::NotFound
    }
}

/// A dialect that publishes each received text in the lobby, and shows what other members say.
struct Frames(Arc<FramesEncoder>, usize);

#[derive(Default)]
struct FramesEncoder {
    /// The number of encoded batches.
    encoded: AtomicUsize,
    /// The number of rejected items. Each rejection keeps the thread busy for [`REJECTION`].
    rejected: AtomicUsize,
}

impl Encoder for FramesEncoder {
    fn encode(&self, item: &Broadcast<'_>, _: Moment, out: &mut BytesMut) {
        if let Broadcast::Messages(batch, range) = item {
            self.encoded.fetch_add(1, Ordering::Relaxed);
            for message in batch.messages(range.clone()) {
                Lengths::frame(message.text.as_bytes(), out);
            }
        }
    }
}

impl Dialect for Frames {
    fn name(&self) -> &'static str {
        "frames"
    }

    fn encoder(&self) -> Arc<dyn Encoder> {
        Arc::clone(&self.0) as Arc<dyn Encoder>
    }

    fn echo(&self) -> Echo {
        Echo::Exclude
    }

    fn options(&self) -> DialectOptions {
        let mut options = DialectOptions::default();
        options.line_bytes = NonZeroUsize::new(ITEM_BYTES_MAX);
        options
    }

    fn framing(&self, item_bytes_max: usize) -> Option<Box<dyn Framing>> {
        Some(Box::new(Lengths {
            item_bytes_max,
            magic_bytes: self.1,
            ..Lengths::default()
        }))
    }

    fn receive<'a>(&mut self, payload: &'a str, commands: &mut Commands<'a>) {
        commands.push(match payload {
            "join" => Command::Join(JoinRequest::new("lobby".into())),
            "quit" => Command::Quit { reason: None },
            text => Command::Say {
                room: None,
                text: text.into(),
                key: None,
            },
        });
    }

    fn greet(&mut self, _: &Greeting<'_>, _: &mut BytesMut) {}

    fn reply(&mut self, reply: &Reply<'_>, out: &mut BytesMut) {
        if let Reply::Rejected(_) = reply {
            std::thread::sleep(REJECTION);
            self.0.rejected.fetch_add(1, Ordering::Relaxed);
        }
        match reply {
            Reply::Joined { .. } => Lengths::frame(b"joined", out),
            Reply::Rejected(refusal) | Reply::Refused(refusal) => {
                Lengths::frame(format!("! {refusal}").as_bytes(), out);
            }
            _ => {}
        }
    }

    fn direct(&mut self, _: &Direct, _: &mut BytesMut) {}

    fn goodbye(&mut self, _: &CloseReason, out: &mut BytesMut) {
        Lengths::frame(b"bye", out);
    }
}

/// The client's end of a connection that speaks in frames.
struct Member(DuplexStream);

impl Member {
    fn connect(hub: &mut TestHub) -> Self {
        let (near, far) = tokio::io::duplex(64 * 1024);
        hub.serve(near, Peer::default());
        Self(far)
    }

    async fn join(hub: &mut TestHub) -> Self {
        let mut member = Self::connect(hub);
        member.sends_bytes(MAGIC).await;
        member.sends("join").await;
        member.sees("frames it is").await;
        member.sees("joined").await;
        member
    }

    async fn sends_bytes(&mut self, bytes: &[u8]) {
        self.0.write_all(bytes).await.unwrap();
    }

    async fn sends(&mut self, payload: &str) {
        let mut out = BytesMut::new();
        Lengths::frame(payload.as_bytes(), &mut out);
        self.sends_bytes(&out).await;
    }

    async fn sees(&mut self, expected: &str) {
        let shown = async {
            let length = self.0.read_u32().await.unwrap();
            let mut payload = vec![0; length as usize];
            self.0.read_exact(&mut payload).await.unwrap();
            String::from_utf8(payload).unwrap()
        };
        let shown = tokio::time::timeout(Duration::from_secs(1), shown).await;
        assert_eq!(shown.as_deref(), Ok(expected));
    }

    async fn sees_nothing(&mut self) {
        let shown = tokio::time::timeout(Duration::from_millis(100), self.0.read_u8()).await;
        assert!(shown.is_err(), "{shown:?}");
    }
}

fn hub(limits: Limits) -> (TestHub, Arc<FramesEncoder>) {
    let detector = FramesDetector::default();
    let encoder = Arc::clone(&detector.0);
    let hub = TestHub::build(Hub::builder().limits(limits)).protocol(detector);
    (hub, encoder)
}

#[tokio::test(start_paused = true)]
async fn a_second_framing_shares_its_encodings() {
    let (mut hub, encoder) = hub(Limits::default());
    let mut members = Vec::new();
    for _ in 0..10 {
        members.push(Member::join(&mut hub).await);
    }
    let mut plain = hub.connect("plain");
    plain.sends("hello from a line").await;
    for member in &mut members {
        member.sees("hello from a line").await;
    }
    assert_eq!(encoder.encoded.load(Ordering::Relaxed), 1);
    members[0].sends("hello from a frame").await;
    for member in &mut members[1..] {
        member.sees("hello from a frame").await;
    }
    members[0].sees_nothing().await;
    plain
        .sees_in_time("14:02 guest-1: hello from a frame")
        .await;
    assert_eq!(encoder.encoded.load(Ordering::Relaxed), 2);
}

#[tokio::test(start_paused = true)]
async fn messages_of_one_read_in_frames_are_one_batch() {
    let (mut hub, encoder) = hub(Limits::default());
    let mut alice = Member::join(&mut hub).await;
    let mut bob = Member::join(&mut hub).await;
    let mut out = BytesMut::new();
    for text in ["one", "two\nlines", "three"] {
        Lengths::frame(text.as_bytes(), &mut out);
    }
    alice.sends_bytes(&out).await;
    for text in ["one", "two lines", "three"] {
        bob.sees(text).await;
    }
    assert_eq!(encoder.encoded.load(Ordering::Relaxed), 1);
}

#[tokio::test(start_paused = true)]
async fn frames_are_read_however_they_are_cut_and_whatever_bytes_they_hold() {
    // Telnet's commands begin with the byte 255, and the length of this text contains that byte. The server reads the
    // length together with the first bytes, before it knows the dialect.
    let text = "x".repeat(255);
    let mut bytes = BytesMut::from(MAGIC);
    for payload in ["join", &text, "end"] {
        Lengths::frame(payload.as_bytes(), &mut bytes);
    }
    for piece in [1, 3, 8, 1000] {
        let (mut hub, _) = hub(Limits::default());
        let mut bob = Member::join(&mut hub).await;
        let mut alice = Member::connect(&mut hub);
        for bytes in bytes.chunks(piece) {
            alice.sends_bytes(bytes).await;
            tokio::task::yield_now().await;
        }
        bob.sees(&text).await;
        bob.sees("end").await;
    }
}

/// A telnet command in the first frames is part of the frames: the server neither removes nor answers the command.
#[tokio::test(start_paused = true)]
async fn frames_that_arrive_before_the_dialect_is_known_reach_it_unchanged() {
    let mut frames = BytesMut::new();
    Lengths::frame(b"join", &mut frames);
    Lengths::frame(b"\xff\xfb\x18", &mut frames);
    Lengths::frame(b"end", &mut frames);
    for magic in [MAGIC, BINARY_MAGIC] {
        let bytes = [magic, &frames].concat();
        for piece in [1, 2, 3, 8, 1000] {
            let (mut hub, _) = hub(Limits::default());
            let mut bob = Member::join(&mut hub).await;
            let mut alice = Member::connect(&mut hub);
            for bytes in bytes.chunks(piece) {
                alice.sends_bytes(bytes).await;
                tokio::time::sleep(Duration::from_millis(350)).await;
            }
            alice.sees("frames it is").await;
            alice.sees("joined").await;
            alice.sees("! not UTF-8: message dropped").await;
            bob.sees("end").await;
            alice.sees_nothing().await;
        }
    }
}

#[tokio::test(start_paused = true)]
async fn what_arrives_before_the_dialect_is_known_is_bounded_whatever_it_is() {
    let (mut hub, _) = hub(Limits::default());
    let mut alice = hub.connect("alice");
    let nops = [0xff, 0xf1].repeat(Limits::default().prefix_bytes.get());
    alice
        .sends_bytes(&[b"\xff\xfd\x18", &nops[..]].concat())
        .await;
    alice.sees_containing("you are guest-1").await;
    alice.sees_containing("nobody else").await;
    alice.sends_bytes(MAGIC).await;
    alice.sends_bytes(b"/who\n").await;
    alice.sees_containing("guest-1").await;
}

#[tokio::test(start_paused = true)]
async fn telnet_that_may_be_frames_is_answered_once_it_is_not() {
    let (mut hub, _) = hub(Limits::default());
    let mut alice = Member::connect(&mut hub);
    // Both telnet and the frames can begin with `IAC DO`. The next byte shows that this is telnet.
    alice.sends_bytes(b"\xff\xfd").await;
    alice.sees_nothing().await;
    alice.sends_bytes(b"\x18").await;
    let began = Instant::now();
    let mut answer = [0; 3];
    alice.0.read_exact(&mut answer).await.unwrap();
    assert_eq!(answer, [0xff, 0xfc, 0x18]);
    // The server answers at once. It does not wait for the silence after which it greets a peer.
    assert_eq!(began.elapsed(), Duration::ZERO);
}

#[tokio::test(start_paused = true)]
async fn an_oversized_frame_is_skipped_and_told_once() {
    let (mut hub, _) = hub(Limits::default());
    let mut alice = Member::join(&mut hub).await;
    let mut bob = Member::join(&mut hub).await;
    alice.sends(&"x".repeat(ITEM_BYTES_MAX + 1)).await;
    alice.sends("short").await;
    alice.sees("! line too long (limit 300 bytes)").await;
    bob.sees("short").await;
    alice.sees_nothing().await;
}

#[tokio::test(start_paused = true)]
async fn a_frame_that_takes_too_long_is_given_up() {
    let (mut hub, _) = hub(Limits::default());
    let mut alice = Member::join(&mut hub).await;
    let mut bob = Member::join(&mut hub).await;
    alice.sends_bytes(&[0, 0, 0, 9]).await;
    for _ in 0..6 {
        tokio::time::sleep(Duration::from_secs(9)).await;
        alice.sends_bytes(b"x").await;
    }
    alice.sees_nothing().await;
    tokio::time::sleep(Duration::from_secs(6)).await;
    alice
        .sees("! line dropped: its end did not come in time")
        .await;
    alice.sends_bytes(b"yyy").await;
    alice.sends("after").await;
    bob.sees("after").await;
}

#[tokio::test(start_paused = true)]
async fn a_peer_that_stays_undecided_is_greeted_in_plain() {
    let (mut hub, _) = hub(Limits::default());
    let mut alice = hub.connect("alice");
    alice.sends_bytes(&MAGIC[..3]).await;
    tokio::time::sleep(Limits::default().prefix_timeout).await;
    alice.sees_containing("you are guest-1").await;
}

#[tokio::test(start_paused = true)]
async fn a_framing_says_its_own_goodbye_after_the_dialect() {
    let (mut hub, _) = hub(Limits::default());
    let mut alice = Member::join(&mut hub).await;
    alice.sends("quit").await;
    alice.sees("bye").await;
    alice.sees("").await;
    assert_eq!(alice.0.read(&mut [0]).await.unwrap(), 0);
}

/// The stream stays open, so only the framing can tell that the input has ended.
#[tokio::test(start_paused = true)]
async fn a_framing_ends_the_connection_after_the_messages_before_the_end() {
    let (mut hub, _) = hub(Limits::default());
    let mut alice = Member::join(&mut hub).await;
    let mut bob = Member::join(&mut hub).await;
    let mut out = BytesMut::new();
    for text in ["one", "two"] {
        Lengths::frame(text.as_bytes(), &mut out);
    }
    out.put_u32(END);
    Lengths::frame(b"three", &mut out);
    alice.sends_bytes(&out).await;
    for text in ["one", "two"] {
        bob.sees(text).await;
    }
    alice.sees("bye").await;
    alice.sees("closed").await;
    assert_eq!(alice.0.read(&mut [0]).await.unwrap(), 0);
    drop(alice);
    assert_eq!(hub.ended().await, CloseReason::Disconnected);
    bob.sees_nothing().await;
}

#[tokio::test(start_paused = true)]
async fn frames_that_are_no_text_are_rejected() {
    let mut hub = unlimited().protocol(FramesDetector::default());
    let mut alice = Member::join(&mut hub).await;
    alice.sends_bytes(&[0, 0, 0, 2, 0xff, 0xff]).await;
    alice.sees("! not UTF-8: message dropped").await;
}

/// The server skips the remaining bytes of a frame that arrives too slowly. The remaining bytes have the same time
/// limit as a frame: each time it passes, the server reports the error again. Once they have arrived, the server reads
/// the next frame.
#[tokio::test(start_paused = true)]
async fn the_rest_of_a_skipped_frame_is_given_up_again_if_it_is_dribbled() {
    let (mut hub, _) = hub(Limits::default());
    let mut alice = Member::join(&mut hub).await;
    let mut bob = Member::join(&mut hub).await;
    let dropped = "! line dropped: its end did not come in time";
    alice.sends_bytes(&[0, 0, 1, 0]).await;
    let mut sent = 0;
    for _ in 0..3 {
        for _ in 0..6 {
            alice.sends_bytes(b"x").await;
            sent += 1;
            tokio::time::sleep(Duration::from_secs(9)).await;
        }
        alice.sees_nothing().await;
        tokio::time::sleep(Duration::from_secs(6)).await;
        alice.sees(dropped).await;
    }
    alice.sends_bytes(&vec![b'x'; 256 - sent]).await;
    tokio::time::sleep(Duration::from_secs(120)).await;
    alice.sees_nothing().await;
    alice.sends("after").await;
    bob.sees("after").await;
}

#[tokio::test(start_paused = true)]
async fn a_frame_that_is_too_long_is_given_up_too_if_it_is_dribbled() {
    let (mut hub, _) = hub(Limits::default());
    let mut alice = Member::join(&mut hub).await;
    alice.sends_bytes(&[0, 1, 0, 0, b'x']).await;
    alice.sees("! line too long (limit 300 bytes)").await;
    tokio::time::sleep(Duration::from_secs(61)).await;
    alice
        .sees("! line dropped: its end did not come in time")
        .await;
}

/// A frame of one byte that is not UTF-8.
const REJECTED: &[u8] = &[0, 0, 0, 1, 0xff];

#[tokio::test(start_paused = true)]
async fn frames_that_are_rejected_let_other_tasks_run() {
    const COUNT: usize = 20;
    let detector = FramesDetector::default();
    let encoder = Arc::clone(&detector.0);
    let mut hub = unlimited().protocol(detector);
    let mut alice = Member::join(&mut hub).await;
    alice.sends_bytes(&REJECTED.repeat(COUNT)).await;
    let mut seen = 0;
    while encoder.rejected.load(Ordering::Relaxed) < COUNT {
        tokio::task::yield_now().await;
        seen += 1;
    }
    assert!(seen >= COUNT, "{seen}");
}

#[tokio::test(start_paused = true)]
async fn a_frame_that_is_rejected_costs_as_much_as_a_line() {
    let (mut hub, encoder) = hub(Limits::default());
    let mut alice = Member::join(&mut hub).await;
    let burst = Limits::default().rate.unwrap().burst.get() as usize;
    alice.sends_bytes(&REJECTED.repeat(2 * burst)).await;
    tokio::time::sleep(Duration::from_millis(100)).await;
    let rejected = encoder.rejected.load(Ordering::Relaxed);
    assert!((1..=burst).contains(&rejected), "{rejected}");
}
