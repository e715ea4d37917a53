//! Bad input affects only its sender.

use std::io::Write;
use std::thread;
use std::time::Duration;

use crate::harness::{Member, Server, hears_from, random, read_to_the_end};

const TOO_LONG: &str = "! line too long (limit 8192 bytes)";
const NOT_UTF8: &str = "! not UTF-8: message dropped";
const MIB: usize = 1024 * 1024;

/// The most KiB by which the server's memory may grow.
const GROWTH_KIB_MAX: u64 = 1024;

/// Two members who chat while another connection misbehaves.
struct Others {
    alice: Member,
    bob: Member,
}

impl Others {
    fn arrive(server: &Server) -> Self {
        Self {
            alice: Member::arrive(server, "alice"),
            bob: Member::arrive(server, "bob"),
        }
    }

    /// Checks that both members receive each other's messages. Returns the other lines that bob received.
    fn chat(&mut self) -> Vec<String> {
        hears_from(&mut self.alice, &mut self.bob);
        hears_from(&mut self.bob, &mut self.alice)
    }
}

/// Lets `endless` send `bytes` bytes without a line break while the other members chat. Returns the most memory that
/// the server used, in KiB.
fn endless_line(server: &Server, others: &mut Others, mut endless: Member, bytes: usize) -> u64 {
    let piece = "y".repeat(MIB);
    let mut most = 0;
    for _ in 0..bytes / MIB {
        endless.sends(&piece);
        others.chat();
        most = most.max(server.resident_kib());
    }
    endless.says("");
    endless.says("/nick finite");
    let mut heard = endless.hears_until("* you are now finite");
    heard.retain(|line| line.starts_with('!'));
    // Usually there is one error. If the machine is busy and the bytes arrive with pauses, the server takes each part
    // as a line.
    assert!(
        !heard.is_empty() && heard.iter().all(|line| line == TOO_LONG),
        "{heard:?}"
    );
    endless.says("hello again");
    others.alice.sees("finite: hello again");
    endless.half_closes();
    endless.hears_the_end();
    others.alice.sees("* finite left (gone: connection closed)");
    most.max(server.resident_kib())
}

/// Sends random bytes while the other members chat. Returns the memory that the server used afterwards, in KiB.
fn random_bytes(
    server: &Server,
    others: &mut Others,
    random: &mut fastrand::Rng,
    bytes: usize,
) -> u64 {
    let noise = Member::arrive(server, "noise");
    let (mut sending, receiving) = (noise.raw(), noise.raw());
    // A thread reads the answers, because the server does not read from a peer that does not read the answers.
    let reading = thread::spawn(move || read_to_the_end(&receiving));
    let mut piece = vec![0; bytes / 16];
    for _ in 0..16 {
        // The server may disconnect a peer that sends too many invalid lines. Writing the remaining pieces then fails.
        random.fill(&mut piece);
        sending.write_all(&piece).ok();
        others.chat();
    }
    noise.raw().shutdown(std::net::Shutdown::Write).ok();
    let received = reading.join().unwrap();
    let told = received
        .windows(NOT_UTF8.len())
        .any(|window| window == NOT_UTF8.as_bytes());
    assert!(told, "was not told: {}", String::from_utf8_lossy(&received));
    others.chat();
    server.resident_kib()
}

#[test]
fn bad_input_hurts_only_its_sender() {
    let server = Server::start();
    let mut others = Others::arrive(&server);
    let mut random = random();
    let program = || Member::connect(&server, "endless");
    let talker = || Member::arrive(&server, "endless");
    // Warm-up: the first run loads pages, and allocators retain memory.
    endless_line(&server, &mut others, program(), 2 * MIB);
    endless_line(&server, &mut others, talker(), 2 * MIB);
    random_bytes(&server, &mut others, &mut random, MIB);

    let before = server.resident_kib();
    let most = endless_line(&server, &mut others, program(), 20 * MIB);
    assert!(
        most <= before + GROWTH_KIB_MAX,
        "a program without line breaks: {before} -> {most} KiB"
    );
    let most = endless_line(&server, &mut others, talker(), 20 * MIB);
    assert!(
        most <= before + GROWTH_KIB_MAX,
        "an endless line: {before} -> {most} KiB"
    );
    let after = random_bytes(&server, &mut others, &mut random, MIB);
    assert!(
        after <= before + GROWTH_KIB_MAX,
        "random bytes: {before} -> {after} KiB"
    );
}

/// Lets a member send `lines` repeatedly without reading, until the server accepts no more. Returns the server's
/// resident memory after the last send, in KiB.
fn flood(server: &Server, others: &mut Others, lines: &str) -> u64 {
    let flooder = Member::arrive(server, "flooder");
    let mut stream = flooder.raw();
    stream
        .set_write_timeout(Some(Duration::from_millis(300)))
        .unwrap();
    let lines = lines.repeat(MIB / lines.len());
    // The kernel buffers some megabytes. A server that accepts all 64 blocks has no limit.
    let taken = (0..64)
        .take_while(|_| stream.write_all(lines.as_bytes()).is_ok())
        .count();
    assert!(taken < 64, "the server takes everything");
    others.chat();
    server.resident_kib()
}

#[test]
fn a_fast_sender_takes_no_memory() {
    let server = Server::with_limits(&[]);
    let mut others = Others::arrive(&server);
    others.chat();
    let before = server.resident_kib();
    let after = flood(&server, &mut others, "faster and faster\n");
    assert!(after <= before + GROWTH_KIB_MAX, "{before} -> {after} KiB");
}

#[test]
fn answers_that_nobody_reads_take_no_memory() {
    let server = Server::start();
    let mut others = Others::arrive(&server);
    others.chat();
    let before = server.resident_kib();
    let after = flood(&server, &mut others, "/help\n");
    assert!(
        after <= before + 2 * GROWTH_KIB_MAX,
        "{before} -> {after} KiB"
    );
}

#[test]
fn the_limit_of_a_line_can_be_changed() {
    let server = Server::with(&["--line-bytes", "100"]);
    let mut alice = Member::arrive(&server, "alice");
    alice.says(&"x".repeat(101));
    alice.sees("! line too long (limit 100 bytes)");
}
