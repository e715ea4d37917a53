//! The full-screen client in daily use: connecting, direct messages, remembered state, and redrawing.

use std::fs;
use std::io::Write;
use std::net::{Shutdown, TcpStream};
use std::thread;
use std::time::{Duration, Instant};

use crate::harness::{Member, Server, Tmux, binary, has_tmux};
use crate::screen::Home;

#[test]
fn a_newcomer_comes_into_the_operators_room_and_reads_the_motd() {
    if !has_tmux() {
        return;
    }
    let server = Server::with(&["--room", "교실", "--motd", "환영합니다: be kind"]);
    let address = server.address();
    let mut nc = Member::arrive(&server, "nc");
    let home = Home::new("class");
    let kim = home.client(80, 24, &format!("{address} --nick 김철수"));
    nc.sees("* 김철수 joined");
    kim.shows("* 환영합니다: be kind");
    kim.shows("you are 김철수 in 교실");
    kim.enters("안녕하세요");
    nc.sees("김철수: 안녕하세요");
}

#[test]
fn a_taken_nick_comes_in_as_a_guest_and_is_offered_when_it_is_free() {
    if !has_tmux() {
        return;
    }
    let server = Server::start();
    let address = server.address();
    let owner = Member::arrive(&server, "김철수");
    let home = Home::new("taken");
    let client = home.client(80, 24, &format!("{address} --nick 김철수"));
    client.shows("김철수 is taken: you enter as a guest");
    client.shows("guest-");
    client.enters("/nick bad:name");
    client.shows("invalid nick: a name may not hold ':'");
    drop(owner);
    client.shows("김철수 is free: /nick 김철수 takes it");
    client.enters("/nick 김철수");
    client.shows(" 김철수 | online");
}

#[test]
fn direct_messages_have_a_window_of_their_own() {
    if !has_tmux() {
        return;
    }
    let server = Server::start();
    let address = server.address();
    let mut nc = Member::arrive(&server, "이영희");
    let home = Home::new("direct");
    let kim = home.client(80, 24, &format!("{address} --nick 김철수"));
    nc.sees("* 김철수 joined");
    nc.says("/msg 김철수 비밀이야");
    kim.shows("2 @이영희 1!1");
    kim.enters("/r 알겠어");
    nc.sees("김철수 -> you: 알겠어");
    kim.shows("이영희: 비밀이야");
    kim.shows("김철수: 알겠어");
    kim.enters("/leave");
    kim.shows("you are 김철수 in lobby");
}

#[test]
fn what_is_remembered_is_written_while_the_client_runs() {
    if !has_tmux() {
        return;
    }
    let server = Server::start();
    let address = server.address();
    let mut nc = Member::arrive(&server, "nc");
    let home = Home::new("killed");
    let state = home.0.join("chat-client/state.json");
    let kim = home.client(80, 24, &format!("{address} --nick 김철수"));
    kim.shows("김철수 | online");
    kim.enters("/join 공부방");
    kim.shows("you are 김철수 in 공부방");
    let until = Instant::now() + Duration::from_secs(10);
    loop {
        let known = fs::read_to_string(&state).unwrap_or_default();
        if known.contains("공부방") && known.contains("김철수") {
            break;
        }
        assert!(Instant::now() < until, "it is not written: {known}");
        thread::sleep(Duration::from_millis(50));
    }
    drop(kim);
    // The nick stays taken until the server has noticed the end of the connection.
    nc.sees_part("* 김철수 left (gone: ");
    let again = home.client(80, 24, "");
    again.shows("김철수 | online");
    again.shows("2 공부방");
}

#[test]
fn a_terminal_that_can_only_print_is_talked_to_line_by_line() {
    if !has_tmux() {
        return;
    }
    let server = Server::start();
    let program = binary("chat-client").display();
    let address = server.address();
    let command = format!("TERM=dumb '{program}' {address} --nick kim");
    let kim = Tmux::start(80, 24, &command);
    kim.shows("* you are now kim");
}

#[test]
fn flags_joined_emoji_and_clusters_leave_nothing_on_the_screen() {
    if !has_tmux() {
        return;
    }
    let server = Server::start();
    let address = server.address();
    let mut nc = Member::arrive(&server, "nc");
    let home = Home::new("emoji");
    let kim = home.client(60, 8, &format!("{address} --nick kim"));
    nc.sees("* kim joined");
    for text in [
        "🇰🇷🇺🇸 국기",
        "👩‍👩‍👧‍👦가족👩‍👩‍👧‍👦",
        "❤️ 1️⃣ 👍🏽 x",
        "한글\t탭",
        "अक्\u{200d}ष e\u{301}",
    ] {
        for number in 0..4 {
            // Each message must be on the screen before the next one makes the screen scroll.
            nc.says(&format!("{text} {number}"));
            kim.shows(&format!(" {number}"));
            nc.says(&format!("plain words {number} {text}"));
            kim.shows(&format!("plain words {number}"));
        }
        nc.says(&format!("end of {}", text.len()));
        kim.shows(&format!("end of {}", text.len()));
        let before = kim.screen();
        // `C-l` redraws the whole screen. The moved cursor then shows that the screen was redrawn.
        kim.presses(&["C-l"]);
        kim.types("x");
        kim.has_cursor_at(3, 7);
        let after = kim.screen();
        kim.presses(&["C-u"]);
        kim.has_cursor_at(2, 7);
        assert_eq!(before[..7], after[..7], "something was left behind");
    }
}

#[test]
fn a_flood_freezes_neither_the_screen_nor_the_keys() {
    if !has_tmux() {
        return;
    }
    let server = Server::start();
    let address = server.address();
    let home = Home::new("steady");
    let kim = home.client(80, 24, &format!("{address} --nick kim"));
    kim.shows("kim | online");
    let mut flood = TcpStream::connect(address).unwrap();
    let stream = flood.try_clone().unwrap();
    let flooding = thread::spawn(move || {
        let lines: String = (0..1_000)
            .map(|number| format!("홍수 {number}\n"))
            .collect();
        while flood.write_all(lines.as_bytes()).is_ok() {}
    });
    kim.shows("홍수");
    // The screen keeps changing, and yet each key is shown.
    let (mut last, mut took) = (Vec::new(), Vec::new());
    for number in 0..20 {
        let began = Instant::now();
        kim.types("가");
        kim.has_cursor_at(2 + 2 * (number + 1), 23);
        kim.waits_for("another screen", |screen| screen[1..22] != last);
        last = kim.screen()[1..22].to_vec();
        took.push(began.elapsed());
    }
    took.sort();
    // On a machine with other work, a key is shown after about 0.3 s. The median ignores single pauses of the machine.
    assert!(took[10] < Duration::from_secs(2), "{took:?}");
    stream.shutdown(Shutdown::Both).unwrap();
    flooding.join().unwrap();
}
