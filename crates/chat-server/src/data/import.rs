//! The `import` command: reads messages from JSON lines into a file.

use super::{Line, options};
use anyhow::{Context, anyhow, bail};
use chat_sqlite::{ImportError, Record};
use clap::Args;
use indicatif::{ProgressBar, ProgressStyle};
use std::fs::File;
use std::io::{self, BufRead, BufReader, IsTerminal, Read};
use std::path::PathBuf;
use std::process::ExitCode;

/// The longest line in bytes: the longest text that an import accepts, with all characters escaped.
const LINE_BYTES_MAX: u64 = 1 << 20;

#[derive(Debug, Args)]
pub(crate) struct Import {
    /// The file to import into; it is created if it does not exist
    #[arg(long, value_name = "FILE")]
    data: PathBuf,

    /// The messages to import, one JSON object a line [default: stdin]
    #[arg(value_name = "INPUT")]
    input: Option<PathBuf>,
}

impl Import {
    pub(super) fn run(self) -> anyhow::Result<ExitCode> {
        let (input, bytes): (Box<dyn BufRead>, Option<u64>) = match &self.input {
            Some(path) => {
                let file = File::open(path).with_context(|| format!("{}", path.display()))?;
                let bytes = file.metadata().ok().map(|metadata| metadata.len());
                (Box::new(BufReader::new(file)), bytes)
            }
            None if io::stdin().is_terminal() => {
                bail!("nothing to import: name a file, or pipe into stdin what export --json wrote")
            }
            None => (Box::new(BufReader::new(io::stdin())), None),
        };
        let mut lines = Lines {
            input,
            number: 0,
            failed: None,
            progress: progress(bytes),
        };
        let done = chat_sqlite::import(&self.data, &options(), &mut lines);
        lines.progress.finish_and_clear();
        let (imported, failed) = match done {
            Ok(imported) => (imported, lines.failed),
            Err(ImportError::Refused { imported, why, .. }) => (imported, Some(why.into())),
            Err(ImportError::File { imported, error }) => {
                let error = anyhow!("{}: {error}", self.data.display());
                if imported.messages == 0 {
                    return Err(error);
                }
                bail!("{error}; {imported} are imported, try again without them")
            }
            Err(error) => return Err(error).context(self.data.display().to_string()),
        };
        crate::log::say(imported);
        match failed {
            Some(error) => {
                bail!(
                    "line {}: {error:#}; what precedes it is imported",
                    lines.number
                )
            }
            None => Ok(ExitCode::SUCCESS),
        }
    }
}

/// Returns a progress bar, visible on a terminal only.
fn progress(bytes: Option<u64>) -> ProgressBar {
    let progress = match bytes {
        Some(bytes) => ProgressBar::new(bytes),
        None => ProgressBar::new_spinner(),
    };
    let style = ProgressStyle::with_template("{bar:40} {bytes}/{total_bytes} {eta}");
    match style {
        Ok(style) if bytes.is_some() => progress.with_style(style),
        _ => progress,
    }
}

/// The messages of the input, up to the first line that is not valid.
struct Lines {
    input: Box<dyn BufRead>,
    /// The number of the last line that was read.
    number: u64,
    /// Why the last line is not valid. `None` if the last line is valid.
    failed: Option<anyhow::Error>,
    progress: ProgressBar,
}

impl Iterator for Lines {
    type Item = Record;

    fn next(&mut self) -> Option<Record> {
        if self.failed.is_some() {
            return None;
        }
        self.record().unwrap_or_else(|error| {
            self.failed = Some(error);
            None
        })
    }
}

impl Lines {
    fn record(&mut self) -> anyhow::Result<Option<Record>> {
        loop {
            let mut line = Vec::new();
            let mut input = (&mut self.input).take(LINE_BYTES_MAX);
            let bytes = input.read_until(b'\n', &mut line)? as u64;
            if bytes == 0 {
                return Ok(None);
            }
            self.number += 1;
            self.progress.inc(bytes);
            if bytes == LINE_BYTES_MAX && line.last() != Some(&b'\n') {
                bail!("it is longer than any message");
            }
            // Editors on Windows put a byte order mark at the beginning of a text.
            let line = line.strip_prefix("\u{feff}".as_bytes()).unwrap_or(&line);
            if line.trim_ascii().is_empty() {
                continue;
            }
            let line: Line<'_> = serde_json::from_slice(line)?;
            return line.into_record().map(Some);
        }
    }
}
