//! A scripted peer: a test says what the peer sends, and what it must receive.

use crate::transcript::{Direction, Transcript};
use chat_core::protocol::Stream;
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};

/// The time limit for a line to arrive. With paused time, waiting this long takes no real time.
const PATIENCE: Duration = Duration::from_secs(60);

/// The silence after which no more output is expected. With paused time, a millisecond passes only when all tasks are
/// idle.
const QUIET: Duration = Duration::from_millis(1);

/// A scripted peer on a stream, such as the peers of a [`TestHub`](crate::TestHub).
#[derive(Debug)]
pub struct Wire {
    stream: Stream,
    buffer: Vec<u8>,
    transcript: Transcript,
}

impl Wire {
    /// Wraps the peer's side of a stream. The name identifies the peer in the transcript of a failed test.
    #[must_use]
    pub fn new(name: &str, stream: impl AsyncRead + AsyncWrite + Send + 'static) -> Self {
        Self {
            stream: Stream::new(stream),
            buffer: Vec::new(),
            transcript: Transcript::new(name),
        }
    }

    /// Sends a line, with a newline.
    ///
    /// # Panics
    ///
    /// Panics if the stream is closed.
    pub async fn sends(&mut self, line: &str) {
        self.sends_bytes(format!("{line}\n").as_bytes()).await;
    }

    /// Sends bytes unchanged, without a newline.
    ///
    /// # Panics
    ///
    /// Panics if the stream is closed.
    pub async fn sends_bytes(&mut self, bytes: &[u8]) {
        self.transcript
            .add(Direction::Sent, &String::from_utf8_lossy(bytes));
        if let Err(error) = self.stream.write_all(bytes).await {
            panic!("can't send: {error}\n{}", self.transcript);
        }
    }

    /// Closes the sending direction. The wire can still receive lines.
    ///
    /// # Panics
    ///
    /// Panics if the stream is closed.
    pub async fn ends(&mut self) {
        self.stream.shutdown().await.expect("the stream is open");
    }

    /// Expects that the next line is `expected`.
    ///
    /// # Panics
    ///
    /// Panics with the transcript if another line arrives, or no line.
    pub async fn sees(&mut self, expected: &str) {
        let line = self.next_line().await;
        assert_eq!(line.as_deref(), Some(expected), "\n{}", self.transcript);
    }

    /// Waits until this line arrives, and returns the lines before it.
    ///
    /// # Panics
    ///
    /// Panics with the transcript if the stream ends or falls silent before the line arrives.
    pub async fn sees_in_time(&mut self, expected: &str) -> Vec<String> {
        let mut before = Vec::new();
        loop {
            match self.next_line().await {
                Some(line) if line == expected => return before,
                Some(line) => before.push(line),
                None => panic!(
                    "expected {expected:?}, but the stream ended\n{}",
                    self.transcript
                ),
            }
        }
    }

    /// Expects that the next line satisfies a predicate, and returns the line. `description` says in the panic message
    /// what was expected.
    ///
    /// # Panics
    ///
    /// Panics with the description and the transcript if another line arrives, or no line.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future loses no line.
    ///
    /// # Examples
    ///
    /// ```
    /// # tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap().block_on(async {
    /// # let mut hub = chat_testkit::TestHub::default();
    /// # let mut alice = hub.member("alice").await;
    /// # hub.member("bob").await;
    /// let line = alice.sees_that("a member joins", |line| line.ends_with(" joined")).await;
    /// assert_eq!(line, "* guest-2 joined");
    /// # })
    /// ```
    pub async fn sees_that(
        &mut self,
        description: &str,
        is_so: impl FnOnce(&str) -> bool,
    ) -> String {
        match self.next_line().await {
            Some(line) if is_so(&line) => line,
            Some(line) => panic!(
                "expected that {description}, but there is {line:?}\n{}",
                self.transcript
            ),
            None => panic!(
                "expected that {description}, but the stream ended\n{}",
                self.transcript
            ),
        }
    }

    /// Expects that the next line contains a text, and returns the line.
    ///
    /// # Panics
    ///
    /// Panics with the transcript if another line arrives, or no line.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future loses no line.
    pub async fn sees_containing(&mut self, part: &str) -> String {
        let description = format!("a line contains {part:?}");
        self.sees_that(&description, |line| line.contains(part))
            .await
    }

    /// Expects that no line arrives within a second.
    ///
    /// # Panics
    ///
    /// Panics with the transcript if a line arrives.
    pub async fn sees_nothing(&mut self) {
        if let Ok(line) = tokio::time::timeout(Duration::from_secs(1), self.read_line()).await {
            panic!(
                "expected nothing, but there is {line:?}\n{}",
                self.transcript
            );
        }
    }

    /// Returns all lines that arrive until no task has had work for a millisecond, or until the stream ends. Needs
    /// paused time.
    pub async fn sees_until_quiet(&mut self) -> Vec<String> {
        let mut lines = Vec::new();
        while let Ok(Some(line)) = tokio::time::timeout(QUIET, self.read_line()).await {
            lines.push(line);
        }
        lines
    }

    /// Waits until the stream ends, and returns the lines before its end.
    ///
    /// # Panics
    ///
    /// Panics with the transcript if the stream does not end.
    pub async fn sees_the_end(&mut self) -> Vec<String> {
        let mut before = Vec::new();
        while let Some(line) = self.next_line().await {
            before.push(line);
        }
        before
    }

    /// Returns the next line without its terminator, which is `\n` or `\r\n`. Returns `None` at the end of the stream.
    ///
    /// # Panics
    ///
    /// Panics with the transcript if neither a line nor the end of the stream arrives within 60 s.
    pub async fn next_line(&mut self) -> Option<String> {
        match tokio::time::timeout(PATIENCE, self.read_line()).await {
            Ok(line) => line,
            Err(_) => panic!("nothing came\n{}", self.transcript),
        }
    }

    /// Returns the bytes that have arrived, whether or not they end a line. Waits if no bytes have arrived. The result
    /// is empty only at the end of the stream.
    pub async fn next_bytes(&mut self) -> Vec<u8> {
        if self.buffer.is_empty() {
            self.read().await;
        }
        std::mem::take(&mut self.buffer)
    }

    /// Sends bytes without adding a newline. Returns whether the stream accepted the bytes.
    pub(crate) async fn sends_if_open(&mut self, bytes: &[u8]) -> bool {
        self.transcript
            .add(Direction::Sent, &String::from_utf8_lossy(bytes));
        self.stream.write_all(bytes).await.is_ok()
    }

    /// Closes the sending direction, unless the stream is already closed.
    pub(crate) async fn ends_if_open(&mut self) {
        drop(self.stream.shutdown().await);
    }

    /// Reads bytes until no task has work for a millisecond or the stream ends.
    pub(crate) async fn bytes_until_quiet(&mut self) -> Vec<u8> {
        let mut bytes = Vec::new();
        while let Ok(chunk) = tokio::time::timeout(QUIET, self.next_bytes()).await {
            if chunk.is_empty() {
                break;
            }
            self.transcript
                .add(Direction::Seen, &String::from_utf8_lossy(&chunk));
            bytes.extend(chunk);
        }
        bytes
    }

    /// Returns the transcript: the lines that this wire has sent and received so far, for the message of an assertion.
    #[must_use]
    pub fn transcript(&self) -> String {
        self.transcript.to_string()
    }

    async fn read_line(&mut self) -> Option<String> {
        loop {
            if let Some(end) = self.buffer.iter().position(|&byte| byte == b'\n') {
                let line: Vec<u8> = self.buffer.drain(..=end).collect();
                let line = line[..end].strip_suffix(b"\r").unwrap_or(&line[..end]);
                let line = String::from_utf8_lossy(line).into_owned();
                self.transcript.add(Direction::Seen, &line);
                return Some(line);
            }
            if self.read().await == 0 {
                return None;
            }
        }
    }

    async fn read(&mut self) -> usize {
        let mut chunk = [0; 4096];
        let count = self.stream.read(&mut chunk).await.unwrap_or(0);
        self.buffer.extend_from_slice(&chunk[..count]);
        count
    }
}
