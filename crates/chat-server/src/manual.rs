//! The manual page and the shell completions.

use crate::cli::Cli;
use chat_manual::{Section, Shell};
use clap::CommandFactory;

/// Prints the manual page.
pub(crate) fn manual() -> anyhow::Result<()> {
    let sections = [
        Section::new("SIGNALS", SIGNALS),
        Section::new("FILES", FILES),
        Section::new("ENVIRONMENT", ENVIRONMENT),
        Section::new("EXIT STATUS", EXIT_STATUS),
        Section::new("EXAMPLES", EXAMPLES),
    ];
    Ok(chat_manual::print(&chat_manual::page(
        Cli::command(),
        &sections,
    )?)?)
}

/// Prints the completion script of a shell.
pub(crate) fn completions(shell: Shell) -> anyhow::Result<()> {
    let script = chat_manual::completions("chat-server", Cli::command(), shell);
    Ok(chat_manual::print(&script)?)
}

const SIGNALS: [(&str, &str); 2] = [
    (
        "SIGINT, SIGTERM",
        "Drains: members are given what was said and a goodbye, within the time of --drain. A second one ends the server \
         at once.",
    ),
    ("SIGUSR1", "Writes the counters to the log."),
];

const FILES: [(&str, &str); 2] = [
    (
        "FILE",
        "What --data names: the rooms' logs, an SQLite database.",
    ),
    (
        "FILE-wal, FILE-shm, FILE-state",
        "Stand beside it while it is served. FILE-state stays, and tells a file that was restored or cut short from the \
         one that it was.",
    ),
];

const ENVIRONMENT: [(&str, &str); 3] = [
    ("RUST_LOG", "What is logged, unless --log says so."),
    (
        "RUST_BACKTRACE",
        "If 1, the log of a panic has a backtrace.",
    ),
    ("TZ", "The time zone of the times that members see."),
];

const EXIT_STATUS: [(&str, &str); 4] = [
    ("0", "It was ended by a signal, or a command is done."),
    (
        "1",
        "Messages can't be kept any more: start it again. Of check and export: something is damaged.",
    ),
    (
        "2",
        "It could not start, a command could not be done, or wrong arguments.",
    ),
    ("130, 143", "It was ended by a second SIGINT or SIGTERM."),
];

const EXAMPLES: [(&str, &str); 4] = [
    ("chat-server", "Serves this machine alone, on port 5000."),
    (
        "chat-server --listen 0.0.0.0:5000 --data chat.db",
        "Serves everybody who can reach this machine, and keeps what is said.",
    ),
    (
        "chat-server export --data chat.db --room ops",
        "Writes what was said in a room.",
    ),
    (
        "chat-server completions bash > ~/.local/share/bash-completion/completions/chat-server",
        "Has bash complete the arguments. zsh: into a directory of $fpath, as _chat-server. fish: into \
         ~/.config/fish/completions/chat-server.fish.",
    ),
];
