//! The program in README, as a reader copies it.

use std::io::{Read, Write};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::Instant;
use std::{fs, path::PathBuf};

use crate::harness::{DEADLINE, Member, Server, has_tool, pause};

/// How often the program joins, and how many of them run at a time.
const JOINS: usize = 100;
const AT_A_TIME: usize = 10;

/// The only block of this language in README.
fn block(language: &str) -> String {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/README.md");
    let readme = fs::read_to_string(path).unwrap();
    let fence = format!("```{language}\n");
    let mut blocks = readme.split(&fence).skip(1);
    let block = blocks.next().and_then(|rest| rest.split("```").next());
    assert!(blocks.next().is_none(), "more than one block of {language}");
    block.expect("README has such a block").to_owned()
}

/// The Python program in README, talking to this server. Its file is gone with the test.
struct Program(PathBuf);

impl Program {
    fn new(server: &Server) -> Self {
        let path = std::env::temp_dir().join(format!("chat-e2e-{}-readme.py", std::process::id()));
        let (program, ours) = (block("python"), r#"("127.0.0.1", 5000)"#);
        assert!(program.contains(ours), "{program}");
        let (host, port) = (server.address().ip(), server.address().port());
        fs::write(
            &path,
            program.replace(ours, &format!(r#"("{host}", {port})"#)),
        )
        .unwrap();
        Self(path)
    }

    fn start(&self) -> Child {
        Command::new("python3")
            .args(["-X", "utf8"])
            .arg(&self.0)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap()
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        fs::remove_file(&self.0).ok();
    }
}

/// Waits until a program has ended, and returns what it printed on its outputs.
fn end(mut program: Child) -> (Option<i32>, String, String) {
    let mut outputs: [Box<dyn Read + Send>; 2] = [
        Box::new(program.stdout.take().unwrap()),
        Box::new(program.stderr.take().unwrap()),
    ];
    let readers = outputs.each_mut().map(|output| {
        let mut output = std::mem::replace(output, Box::new(std::io::empty()));
        thread::spawn(move || {
            let mut text = String::new();
            output.read_to_string(&mut text).map(|_| text)
        })
    });
    let until = Instant::now() + DEADLINE;
    let status = loop {
        match program.try_wait().unwrap() {
            Some(status) => break status,
            None if Instant::now() > until => {
                program.kill().unwrap();
                break program.wait().unwrap();
            }
            None => pause(std::time::Duration::from_millis(10)),
        }
    };
    let [shown, errors] = readers.map(|reader| reader.join().unwrap().unwrap());
    (status.code(), shown, errors)
}

#[test]
fn the_python_program_talks_in_a_room_full_of_korean_and_ends() {
    if !has_tool("python3", "--version") {
        return;
    }
    let server = Server::start();
    let mut alice = Member::arrive(&server, "alice");
    // Three bytes a character and lines of many lengths: wherever a read ends, it is within a character.
    let korean = "가나다라마바사".repeat(14);
    for number in 0..20 {
        alice.says(&format!("{korean}{korean}{}", "~".repeat(number)));
    }
    alice.says("/who");
    alice.sees_part("* lobby: 1 member");
    let program = Program::new(&server);
    for round in 0..JOINS / AT_A_TIME {
        let mut programs: Vec<Child> = (0..AT_A_TIME).map(|_| program.start()).collect();
        for (number, program) in programs.iter_mut().enumerate() {
            // An empty line is not the end of the input.
            let mut input = program.stdin.take().unwrap();
            writeln!(input, "\n{korean} {round}-{number}").unwrap();
        }
        for program in programs {
            let (code, shown, errors) = end(program);
            assert_eq!((code, errors.as_str()), (Some(0), ""), "{shown}");
            assert!(shown.contains(&korean), "{shown}");
        }
        let mut missing: Vec<String> = (0..AT_A_TIME)
            .map(|number| format!(": {korean} {round}-{number}"))
            .collect();
        while !missing.is_empty() {
            let line = alice.sees_part(&format!(" {round}-"));
            missing.retain(|text| !line.ends_with(text));
        }
    }
}
