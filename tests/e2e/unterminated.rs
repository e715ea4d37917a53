//! Text without a line break: programs that just send, and lines that come in pieces.

use std::io::Read;
use std::net::{SocketAddr, TcpStream};
use std::thread;
use std::time::{Duration, Instant};

use crate::harness::{DEADLINE, Member, Server, hears_from, pause};

#[test]
fn a_program_that_never_sends_a_line_break_takes_part() {
    let server = Server::start();
    let mut alice = Member::arrive(&server, "alice");
    let mut program = Member::connect(&server, "program");
    let guest = program.is_greeted();

    let begin = Instant::now();
    program.sends("안녕");
    alice.sees(&format!("{guest}: 안녕"));
    let took = begin.elapsed();
    // Half a second on an idle machine; these tests run beside others.
    assert!(took < Duration::from_secs(2), "{took:?}");
    program.sees(&format!("{guest}: 안녕"));

    alice.says("hi there");
    program.sees("alice: hi there");
    program.sends("bye");
    alice.sees(&format!("{guest}: bye"));
    program.sees(&format!("{guest}: bye"));
}

#[test]
fn a_program_that_sends_before_it_is_greeted_is_heard_too() {
    let server = Server::start();
    let mut alice = Member::arrive(&server, "alice");
    let mut program = Member::connect(&server, "program");
    program.sends("hello");
    let guest = program.is_greeted();
    alice.sees(&format!("{guest}: hello"));
    program.sees(&format!("{guest}: hello"));
}

#[test]
fn in_chunk_mode_a_line_break_ends_a_message_too() {
    let server = Server::start();
    let mut alice = Member::arrive(&server, "alice");
    let mut program = Member::connect(&server, "program");
    let guest = program.is_greeted();
    program.sends("one");
    alice.sees(&format!("{guest}: one"));
    program.sends("two\nthree");
    assert!(alice.hears_until(&format!("{guest}: two")).is_empty());
    assert!(alice.hears_until(&format!("{guest}: three")).is_empty());
}

#[test]
fn a_character_cut_in_two_waits_for_its_rest() {
    let server = Server::start();
    let mut alice = Member::arrive(&server, "alice");
    let mut program = Member::connect(&server, "program");
    let guest = program.is_greeted();
    let text = "안녕".as_bytes();
    program.sends(&text[..4]);
    pause(Duration::from_millis(500));
    program.sends(&text[4..]);
    alice.sees(&format!("{guest}: 안녕"));
    // And in chunk mode.
    program.sends(&text[..1]);
    pause(Duration::from_millis(300));
    program.sends(&text[1..]);
    let heard = alice.hears_until(&format!("{guest}: 안녕"));
    assert!(heard.is_empty(), "{heard:?}");
}

#[test]
fn a_line_in_pieces_is_one_message() {
    let server = Server::start();
    let mut alice = Member::arrive(&server, "alice");
    let mut kim = Member::arrive(&server, "kim");
    let text = "0123456789abcdef".repeat(250);
    kim.sends(&text[..1_000]);
    pause(Duration::from_millis(400));
    kim.sends(&text[1_000..3_000]);
    pause(Duration::from_millis(400));
    kim.sends(&text[3_000..]);
    kim.sends("\n");
    let heard = alice.hears_until(&format!("kim: {text}"));
    assert!(
        !heard.iter().any(|line| line.starts_with("kim: ")),
        "{heard:?}"
    );
}

#[test]
fn a_terminal_that_sends_each_key_is_buffered_until_enter() {
    let server = Server::start();
    let mut alice = Member::arrive(&server, "alice");
    let mut terminal = Member::connect(&server, "terminal");
    let guest = terminal.is_greeted();
    for key in ["a", "b", "c", "d", "e"] {
        terminal.sends(key);
        pause(Duration::from_millis(300));
    }
    terminal.sends("\n");
    // The first keys may have gone out one by one; from the third on it was clear what this is.
    let line = alice.sees_part("de");
    assert!(
        line.contains(&format!("{guest}: ")) && line.ends_with("de"),
        "{line}"
    );
}

#[test]
fn half_closing_delivers_what_is_left() {
    let server = Server::start();
    let mut alice = Member::arrive(&server, "alice");
    let mut program = Member::connect(&server, "program");
    program.sends("hello");
    program.half_closes();
    let line = alice.sees_part(": hello");
    assert!(line.contains("guest-"), "{line}");
    alice.sees_part("left (gone: connection closed)");
    program.hears_the_end();
}

#[test]
fn a_script_of_lines_is_carried_out_before_the_end() {
    let server = Server::start();
    let mut alice = Member::arrive(&server, "alice");
    alice.says("/join ops");
    alice.sees("* you are alice in ops");

    let mut script = Member::connect(&server, "script");
    script.sends("/join ops\nhello\n");
    script.half_closes();
    let line = alice.sees_part(": hello");
    assert!(line.contains("guest-"), "{line}");
    let heard = script.hears_the_end();
    assert!(
        heard
            .iter()
            .any(|line| line.starts_with("* you are guest-") && line.ends_with(" in ops")),
        "{heard:?}"
    );
}

#[test]
fn in_line_mode_silence_cuts_nothing() {
    let server = Server::start();
    let mut alice = Member::arrive(&server, "alice");
    let mut kim = Member::arrive(&server, "kim");
    kim.sends("never");
    let mut bob = Member::arrive(&server, "bob");
    pause(Duration::from_millis(400));
    let heard = hears_from(&mut alice, &mut bob);
    assert!(
        !heard.iter().any(|line| line.contains("never")),
        "{heard:?}"
    );
    kim.sends(" mind\n");
    alice.sees("kim: never mind");
}

/// Reads as the program that every tutorial begins with: what one `recv(1024)` brings must be whole characters.
fn decodes_each_read(address: SocketAddr, last: &str) -> Result<(), String> {
    let mut stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(DEADLINE)).unwrap();
    let mut seen = String::new();
    while !seen.contains(last) {
        let mut buffer = [0; 1024];
        let read = stream.read(&mut buffer).unwrap();
        assert!(read > 0, "the server closed after {seen:?}");
        let text = std::str::from_utf8(&buffer[..read]).map_err(|error| error.to_string())?;
        seen.push_str(text);
    }
    Ok(())
}

#[test]
fn a_program_that_decodes_each_read_survives_its_arrival_in_a_korean_room() {
    const AT_ONCE: usize = 10;
    const ROUNDS: usize = 10;
    let server = Server::start();
    let mut alice = Member::arrive(&server, "alice");
    for number in 0..20 {
        alice.says(&format!(
            "{number} {}",
            "가나다라 마바사".repeat(1 + number % 6)
        ));
    }
    let last = "그리고 마지막";
    alice.says(last);
    alice.says("/who");
    alice.sees("* lobby: 1 member: alice");
    let (address, mut died) = (server.address(), Vec::new());
    for _ in 0..ROUNDS {
        thread::scope(|scope| {
            let programs: Vec<_> = (0..AT_ONCE)
                .map(|_| scope.spawn(|| decodes_each_read(address, last)))
                .collect();
            for program in programs {
                died.extend(program.join().unwrap().err());
            }
        });
    }
    let count = died.len();
    assert_eq!(count, 0, "of {} programs died: {died:?}", AT_ONCE * ROUNDS);
}
