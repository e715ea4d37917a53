//! A terminal without a user. tmux runs a program in the terminal. The test uses tmux to type and to read the screen.

use std::process::{Command, Output, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};
use std::{fs, thread};

use super::{DEADLINE, has_tool};

/// How often the screen is read during a wait.
const LOOK_EVERY: Duration = Duration::from_millis(20);

/// One terminal, in a tmux server of its own. The terminal is closed when the test ends.
#[derive(Debug)]
pub(crate) struct Tmux {
    socket: String,
}

/// Returns whether tmux is installed; see [`has_tool`].
pub(crate) fn has_tmux() -> bool {
    has_tool("tmux", "-V")
}

impl Tmux {
    /// Runs a shell command in a terminal of this size. After the command, its exit code is shown on the screen.
    pub(crate) fn start(width: u16, height: u16, command: &str) -> Self {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let number = COUNT.fetch_add(1, Ordering::Relaxed);
        let tmux = Self {
            socket: format!("chat-e2e-{}-{number}", std::process::id()),
        };
        let (x, y) = (width.to_string(), height.to_string());
        let command = format!("{command}; echo ended with $?; exec cat");
        tmux.run(&[
            "-f",
            "/dev/null",
            "new-session",
            "-d",
            "-x",
            &x,
            "-y",
            &y,
            &command,
        ]);
        tmux.run(&["set-option", "-g", "status", "off"]);
        tmux.resize(width, height);
        tmux
    }

    /// Types text without interpreting key names.
    pub(crate) fn types(&self, text: &str) {
        self.run(&["send-keys", "-l", text]);
    }

    /// Types text and presses Enter.
    pub(crate) fn enters(&self, text: &str) {
        self.types(text);
        self.presses(&["Enter"]);
    }

    /// Presses keys by their names in tmux, such as `Enter`, `BSpace` and `C-n`.
    pub(crate) fn presses(&self, keys: &[&str]) {
        self.run(&[&["send-keys"], keys].concat());
    }

    /// Pastes text as a terminal does in bracketed paste mode.
    pub(crate) fn pastes(&self, text: &str) {
        self.run(&["set-buffer", text]);
        self.run(&["paste-buffer", "-p", "-r"]);
    }

    pub(crate) fn resize(&self, width: u16, height: u16) {
        let (x, y) = (width.to_string(), height.to_string());
        self.run(&["resize-window", "-x", &x, "-y", &y]);
    }

    /// Returns the lines on the screen, without trailing spaces.
    pub(crate) fn screen(&self) -> Vec<String> {
        let output = self.run(&["capture-pane", "-p"]);
        let text = String::from_utf8(output.stdout).unwrap();
        text.lines()
            .map(|line| line.trim_end().to_owned())
            .collect()
    }

    /// Returns the column and the row of the cursor.
    pub(crate) fn cursor(&self) -> (u16, u16) {
        let output = self.run(&["display-message", "-p", "#{cursor_x} #{cursor_y}"]);
        let text = String::from_utf8(output.stdout).unwrap();
        let (x, y) = text.trim().split_once(' ').unwrap();
        (x.parse().unwrap(), y.parse().unwrap())
    }

    /// Returns the terminal title that the program has set.
    pub(crate) fn title(&self) -> String {
        let output = self.run(&["display-message", "-p", "#{pane_title}"]);
        String::from_utf8(output.stdout).unwrap().trim().to_owned()
    }

    /// Returns the memory of the program that runs in the terminal, in KiB.
    pub(crate) fn resident_kib(&self) -> u64 {
        let output = self.run(&["display-message", "-p", "#{pane_pid}"]);
        let shell = String::from_utf8(output.stdout).unwrap();
        let shell = shell.trim();
        let children = fs::read_to_string(format!("/proc/{shell}/task/{shell}/children")).unwrap();
        let program = children
            .split_whitespace()
            .next()
            .expect("the program runs");
        let status = fs::read_to_string(format!("/proc/{program}/status")).unwrap();
        let resident = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
        let resident = resident.and_then(|kib| kib.split_whitespace().next());
        resident.expect("VmRSS is there").parse().unwrap()
    }

    /// Waits until `wanted` holds for the lines on the screen. If the wait fails, `what` describes the wanted screen.
    pub(crate) fn waits_for(&self, what: &str, wanted: impl Fn(&[String]) -> bool) {
        let until = Instant::now() + DEADLINE;
        loop {
            let screen = self.screen();
            if wanted(&screen) {
                return;
            }
            assert!(
                Instant::now() < until,
                "waited for {what}; on the screen is:\n{}",
                screen.join("\n")
            );
            thread::sleep(LOOK_EVERY);
        }
    }

    /// Waits until a line on the screen contains `part`.
    pub(crate) fn shows(&self, part: &str) {
        self.waits_for(part, |screen| screen.iter().any(|line| line.contains(part)));
    }

    /// Waits until the cursor is at this position.
    pub(crate) fn has_cursor_at(&self, column: u16, row: u16) {
        let until = Instant::now() + DEADLINE;
        while self.cursor() != (column, row) {
            assert!(
                Instant::now() < until,
                "the cursor is at {:?}, not at {:?}:\n{}",
                self.cursor(),
                (column, row),
                self.screen().join("\n")
            );
            thread::sleep(LOOK_EVERY);
        }
    }

    fn run(&self, arguments: &[&str]) -> Output {
        let output = Command::new("tmux")
            .args(["-u", "-L", &self.socket])
            .args(arguments)
            .stdin(Stdio::null())
            .output()
            .expect("tmux is installed");
        assert!(output.status.success(), "tmux {arguments:?}: {output:?}");
        output
    }
}

impl Drop for Tmux {
    fn drop(&mut self) {
        // A failure to end tmux must not hide why the test failed.
        Command::new("tmux")
            .args(["-L", &self.socket, "kill-server"])
            .output()
            .ok();
    }
}
