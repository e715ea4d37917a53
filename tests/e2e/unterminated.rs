//! Programs that read from a socket without looking for line breaks.

use std::io::Read;
use std::net::{SocketAddr, TcpStream};
use std::thread;

use crate::harness::{DEADLINE, Member, Server};

/// Reads as most simple programs do, and requires that each `recv(1024)` returns whole characters.
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
