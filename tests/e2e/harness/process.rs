//! A running program, with all that it prints.

use std::io::{BufRead, BufReader, Read};
use std::process::{Child, ChildStdin, Command, ExitStatus, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};
use std::{fs, thread};

use super::DEADLINE;

/// A running program. Ends with the test, and shows what it printed when the test fails.
#[derive(Debug)]
pub(crate) struct Process {
    child: Child,
    pub(crate) stdout: Printed,
    pub(crate) stderr: Printed,
}

impl Process {
    /// Starts a program; its stdin is whatever the command says.
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

    /// Takes what feeds its stdin, where that is a pipe.
    pub(crate) fn take_stdin(&mut self) -> Option<ChildStdin> {
        self.child.stdin.take()
    }

    /// Sends a signal, by its name without `SIG`.
    pub(crate) fn signal(&self, name: &str) {
        self.signals(name, 1);
    }

    /// Sends a signal so many times at once.
    pub(crate) fn signals(&self, name: &str, times: usize) {
        let status = Command::new("kill")
            .arg(format!("-{name}"))
            .args(vec![self.child.id().to_string(); times])
            .status()
            .unwrap();
        assert!(status.success(), "kill -{name}: {status}");
    }

    /// Has writes beyond so many bytes of a file fail, or none: `unlimited`.
    pub(crate) fn limit_file_size(&self, bytes: &str) {
        let pid = self.child.id().to_string();
        let status = Command::new("prlimit")
            .args(["--pid", &pid, &format!("--fsize={bytes}:unlimited")])
            .status()
            .unwrap();
        assert!(status.success(), "prlimit: {status}");
    }

    /// Waits until it has ended.
    pub(crate) fn ends_within(&mut self, limit: Duration) -> ExitStatus {
        // Its ends of the pipes close when it ends, and not before: no need to ask again and again.
        let deadline = Instant::now() + limit;
        let ended = self.stderr.ends_by(deadline) && self.stdout.ends_by(deadline);
        assert!(ended, "still runs after {limit:?}");
        self.child.wait().unwrap()
    }

    /// Waits until it has ended, and returns the exit code.
    pub(crate) fn exit_code(&mut self) -> i32 {
        let status = self.ends_within(DEADLINE);
        status
            .code()
            .unwrap_or_else(|| panic!("no exit code: {status}"))
    }

    /// Expects that it still runs after a while.
    pub(crate) fn runs_for(&mut self, while_: Duration) {
        let ended = self.stderr.ends_by(Instant::now() + while_);
        assert!(!ended, "ended too early");
    }

    /// Returns its resident memory in KiB.
    pub(crate) fn resident_kib(&self) -> u64 {
        let status = fs::read_to_string(format!("/proc/{}/status", self.child.id())).unwrap();
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
        let words = line.expect("a running process has a VmRSS");
        words.split_whitespace().next().unwrap().parse().unwrap()
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // It may have ended by itself, then there is nothing to kill.
        self.child.kill().ok();
        self.child.wait().ok();
        if thread::panicking() {
            eprintln!("--- process {} printed on stderr:", self.child.id());
            eprintln!("{}", self.stderr.all().join("\n"));
        }
    }
}

/// What a program prints on one of its outputs, line by line.
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
                // The test may have finished with this process; then nobody wants it.
                tx.send(line).ok();
            }
        });
        Self { fresh, all }
    }

    /// Waits for the next line of which `wanted` makes something.
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

    /// Returns whether the output is closed by then.
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

    /// Returns everything printed so far.
    pub(crate) fn all(&self) -> Vec<String> {
        self.all.lock().unwrap().clone()
    }
}
