//! The log on stderr.
//!
//! Invariant: no failure of stderr affects the rest of the server. Examples are that the reader is gone, that the disk
//! is full, or that the pipe is not read.

mod queue;

use crate::cli::LogFormat;
use crate::config::LogConfig;
use anyhow::{Context, anyhow};
use queue::LogQueue;
use std::backtrace::{Backtrace, BacktraceStatus};
use std::fmt::Write as _;
use std::fs::File;
use std::io::{IsTerminal, Write};
use std::os::fd::AsFd;
use std::panic::PanicHookInfo;
use std::sync::Arc;
use std::time::Duration;
use tracing_subscriber::EnvFilter;
use tracing_subscriber::fmt::format::Writer;
use tracing_subscriber::fmt::time::{FormatTime, SystemTime};

/// How long the process waits for the last lines of the log before it ends.
const END_TIMEOUT: Duration = Duration::from_secs(1);

/// The installed log. Dropping the log writes the waiting lines, for at most [`END_TIMEOUT`], also during a panic.
/// Later lines are not written.
#[derive(Debug)]
pub(crate) struct Log(LogQueue);

impl Drop for Log {
    fn drop(&mut self) {
        // If the last lines can't be written, there is no other place to report the failure.
        let _ended = self.0.end(END_TIMEOUT);
    }
}

/// Installs the subscriber and the panic hook. `--log` overrides `RUST_LOG`.
pub(crate) fn install(config: &LogConfig) -> anyhow::Result<Log> {
    let filter = match &config.filter {
        Some(filter) => {
            EnvFilter::try_new(filter).with_context(|| format!("--log {filter:?} can't be read"))?
        }
        None if std::env::var_os("RUST_LOG").is_some() => {
            EnvFilter::try_from_default_env().context("RUST_LOG can't be read")?
        }
        None => EnvFilter::new("info"),
    };
    let format = config.format;
    let notice = move |lost| {
        let message = format!("{lost} lines of the log were lost: they could not be written");
        line(format, "WARN", &message)
    };
    // The log writes to a duplicate of the descriptor, because a blocked write to `Stderr` would hold the lock of
    // `Stderr`.
    let stderr = std::io::stderr();
    let out = stderr.as_fd().try_clone_to_owned();
    let out = File::from(out.context("stderr can't be written")?);
    let queue = LogQueue::start(out, notice).context("the log can't be started")?;
    let log = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_ansi(stderr.is_terminal())
        // The subscriber would report its errors with `eprintln!`, which panics if stderr can't be written.
        .log_internal_errors(false)
        .with_writer(Arc::new(queue.clone()));
    let installed = match config.format {
        LogFormat::Text => log.try_init(),
        LogFormat::Json => log.json().try_init(),
    };
    installed.map_err(|error| anyhow!("the log can't be installed: {error}"))?;
    let panics = queue.clone();
    std::panic::set_hook(Box::new(move |info| {
        panics.push(panic(format, info).as_bytes())
    }));
    Ok(Log(queue))
}

/// Prints a line to stderr and ignores errors, unlike `eprintln!`, which panics.
pub(crate) fn say(text: impl std::fmt::Display) {
    // If writing to stderr fails, there is no other place to report the failure.
    drop(writeln!(std::io::stderr(), "chat-server: {text}"));
}

/// Returns the log line of a panic. The filter of the log does not apply to this line.
fn panic(format: LogFormat, info: &PanicHookInfo<'_>) -> String {
    let thread = std::thread::current();
    let name = thread.name().unwrap_or("?");
    let place = info.location().map(ToString::to_string).unwrap_or_default();
    let payload = info.payload_as_str().unwrap_or("?");
    // The payload is quoted, because it may contain text of a peer, such as a string that was sliced at a wrong index.
    let mut message = format!("thread {name} panicked at {place}: {payload:?}");
    let trace = Backtrace::capture();
    if trace.status() == BacktraceStatus::Captured {
        write!(message, "\n{trace}").ok();
    }
    line(format, "ERROR", &message)
}

/// Formats a line as the subscriber does, for messages that are not passed to the subscriber.
fn line(format: LogFormat, level: &str, message: &str) -> String {
    let mut time = String::new();
    SystemTime.format_time(&mut Writer::new(&mut time)).ok();
    let target = module_path!();
    match format {
        LogFormat::Text => format!("{time} {level:>5} {target}: {message}\n"),
        LogFormat::Json => {
            let message = json_string(message);
            format!(
                r#"{{"timestamp":"{time}","level":"{level}","fields":{{"message":{message}}},"target":"{target}"}}"#
            ) + "\n"
        }
    }
}

/// Formats a text as a JSON string.
fn json_string(text: &str) -> String {
    let mut string = String::from("\"");
    for c in text.chars() {
        match c {
            '"' | '\\' => string.extend(['\\', c]),
            '\n' => string.push_str("\\n"),
            c if c.is_control() => string += &format!("\\u{:04x}", u32::from(c)),
            c => string.push(c),
        }
    }
    string.push('"');
    string
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::mpsc::channel;

    #[test]
    fn a_panic_of_the_main_thread_is_written_before_the_end() {
        struct Out(std::sync::mpsc::Sender<Vec<u8>>);

        impl Write for Out {
            fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
                self.0.send(bytes.to_vec()).unwrap();
                Ok(bytes.len())
            }

            fn flush(&mut self) -> std::io::Result<()> {
                Ok(())
            }
        }

        let (out, written) = channel();
        let queue = LogQueue::start(Out(out), |_| String::new()).unwrap();
        let ending = queue.clone();
        let main = std::thread::spawn(move || {
            let _log = Log(ending.clone());
            // This line stands for the line that the panic hook adds.
            ending.push(b"panicked\n");
            panic!("as this test has it");
        });
        assert!(main.join().is_err());
        // The writing thread has already ended, so `end` does not wait.
        assert!(queue.end(Duration::ZERO));
        assert_eq!(
            written.try_iter().collect::<Vec<_>>().concat(),
            b"panicked\n"
        );
    }

    #[test]
    fn what_does_not_go_through_the_subscriber_looks_as_if_it_did() {
        let text = line(LogFormat::Text, "WARN", "3 lost");
        let (time, rest) = text.split_once(' ').unwrap();
        assert!(time.ends_with('Z'), "{time}");
        assert_eq!(rest, " WARN chat_server::log: 3 lost\n");
        let json = line(LogFormat::Json, "ERROR", "a \"b\"\\\n\u{1b}");
        let (_, fields) = json.split_once("Z\",").unwrap();
        let expected = r#""level":"ERROR","fields":{"message":"a \"b\"\\\n\u001b"},"target":"chat_server::log"}"#;
        assert_eq!(fields, format!("{expected}\n"));
    }
}
