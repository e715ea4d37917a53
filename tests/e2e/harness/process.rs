//! A running program, with everything that it prints.

use std::io::{BufRead, BufReader, Read};
use std::process::{Child, ChildStdin, Command, ExitStatus, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};
use std::{fs, thread};

use super::DEADLINE;

/// A running program. It is killed when the test ends. If the test fails, the output is shown.
#[derive(Debug)]
pub(crate) struct Process {
    child: Child,
    pub(crate) stdout: Printed,
    pub(crate) stderr: Printed,
}

impl Process {
    /// Starts the program of `command`, whose stdin the caller has set.
    pub(crate) fn start(command: &mut Command) -> Self {
        let mut child = command
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap_or_else(|error| panic!("{command:?}: {error}"));
        Self {
            stdout: Printed::collect(child.stdout.take().unwrap()),
            stderr: Printed::collect(child.stderr.take().unwrap()),
            child,
        }
    }

    /// Takes the writing end of the program's stdin, if stdin is a pipe.
    pub(crate) fn take_stdin(&mut self) -> Option<ChildStdin> {
        self.child.stdin.take()
    }

    /// Sends the signal with this name (without `SIG`).
    pub(crate) fn signal(&self, name: &str) {
        self.signals(name, 1);
    }

    /// Sends a signal `times` times in a row.
    pub(crate) fn signals(&self, name: &str, times: usize) {
        let status = Command::new("kill")
            .arg(format!("-{name}"))
            .args(vec![self.child.id().to_string(); times])
            .status()
            .unwrap();
        assert!(status.success(), "kill -{name}: {status}");
    }

    /// Makes every write of the program beyond `bytes` bytes of a file fail. `unlimited` removes this limit.
    pub(crate) fn limit_file_size(&self, bytes: &str) {
        let pid = self.child.id().to_string();
        let status = Command::new("prlimit")
            .args(["--pid", &pid, &format!("--fsize={bytes}:unlimited")])
            .status()
            .unwrap();
        assert!(status.success(), "prlimit: {status}");
    }

    /// Waits until the program has ended. Fails the test if the program still runs after `limit`.
    pub(crate) fn ends_within(&mut self, limit: Duration) -> ExitStatus {
        // The program's ends of the pipes close exactly when the program ends, so no polling is needed.
        let deadline = Instant::now() + limit;
        let ended = self.stderr.ends_by(deadline) && self.stdout.ends_by(deadline);
        assert!(ended, "still runs after {limit:?}");
        self.child.wait().unwrap()
    }

    /// Waits until the program has ended, and returns its exit code.
    pub(crate) fn exit_code(&mut self) -> i32 {
        let status = self.ends_within(DEADLINE);
        status
            .code()
            .unwrap_or_else(|| panic!("no exit code: {status}"))
    }

    /// Expects that the program still runs after `while_`.
    pub(crate) fn runs_for(&mut self, while_: Duration) {
        let ended = self.stderr.ends_by(Instant::now() + while_);
        assert!(!ended, "ended too early");
    }

    /// Returns the program's resident memory in KiB.
    pub(crate) fn resident_kib(&self) -> u64 {
        let status = fs::read_to_string(format!("/proc/{}/status", self.child.id())).unwrap();
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
        let words = line.expect("a running process has a VmRSS");
        words.split_whitespace().next().unwrap().parse().unwrap()
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // If the program has already ended, there is nothing to kill.
        self.child.kill().ok();
        self.child.wait().ok();
        if thread::panicking() {
            eprintln!("--- process {} printed on stderr:", self.child.id());
            eprintln!("{}", self.stderr.all().join("\n"));
        }
    }
}

/// The lines of one output of a program: stdout or stderr.
#[derive(Debug)]
pub(crate) struct Printed {
    fresh: Receiver<String>,
    all: Arc<Mutex<Vec<String>>>,
}

impl Printed {
    fn collect(output: impl Read + Send + 'static) -> Self {
        let (tx, fresh) = channel();
        let all = Arc::new(Mutex::new(Vec::new()));
        let kept = Arc::clone(&all);
        thread::spawn(move || {
            for line in BufReader::new(output).split(b'\n') {
                let Ok(line) = line else { break };
                let line = String::from_utf8(line).expect("programs print UTF-8");
                kept.lock().unwrap().push(line.clone());
                // The send fails if the test no longer reads this output.
                tx.send(line).ok();
            }
        });
        Self { fresh, all }
    }

    /// Waits for the first line for which `wanted` returns a value, and returns the value. Fails after [`DEADLINE`].
    pub(crate) fn wait_for<T>(&mut self, what: &str, wanted: impl Fn(&str) -> Option<T>) -> T {
        let deadline = Instant::now() + DEADLINE;
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            match self.fresh.recv_timeout(left) {
                Ok(line) => match wanted(&line) {
                    Some(found) => return found,
                    None => continue,
                },
                Err(error) => panic!("waited for {what} ({error}); printed: {:#?}", self.all()),
            }
        }
    }

    /// Returns whether the program closes the output before the deadline.
    fn ends_by(&mut self, deadline: Instant) -> bool {
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            match self.fresh.recv_timeout(left) {
                Ok(_) => {}
                Err(RecvTimeoutError::Disconnected) => return true,
                Err(RecvTimeoutError::Timeout) => return false,
            }
        }
    }

    /// Returns all lines of the output so far.
    pub(crate) fn all(&self) -> Vec<String> {
        self.all.lock().unwrap().clone()
    }
}
