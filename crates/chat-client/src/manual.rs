//! The manual page and the shell completions.

use std::process::ExitCode;

use chat_manual::{Section, Shell};
use clap::CommandFactory;

use crate::args::Cli;

/// Prints the manual page.
pub(crate) fn manual() -> anyhow::Result<ExitCode> {
    let sections = [
        Section::new("TYPED ON THE SCREEN", chat_tui::commands()),
        Section::new("KEYS", chat_tui::keys()),
        Section::new("FILES", FILES),
        Section::new("ENVIRONMENT", ENVIRONMENT),
        Section::new("EXIT STATUS", EXIT_STATUS),
        Section::new("EXAMPLES", EXAMPLES),
    ];
    chat_manual::print(&chat_manual::page(Cli::command(), &sections)?)?;
    Ok(ExitCode::SUCCESS)
}

/// Prints the completion script of a shell.
pub(crate) fn completions(shell: Shell) -> anyhow::Result<ExitCode> {
    let script = chat_manual::completions("chat-client", Cli::command(), shell);
    chat_manual::print(&script)?;
    Ok(ExitCode::SUCCESS)
}

const FILES: [(&str, &str); 1] = [(
    "$XDG_STATE_HOME/chat-client/state.json",
    "The saved state of the screen: the server, the nick, the rooms and the read positions. Without XDG_STATE_HOME it \
     is in ~/.local/state.",
)];

const ENVIRONMENT: [(&str, &str); 4] = [
    ("XDG_STATE_HOME", "The directory of the file above."),
    (
        "NO_COLOR",
        "If set and not empty, the screen uses no colours.",
    ),
    (
        "TERM",
        "If unset or dumb, line mode is used instead of the screen.",
    ),
    ("TZ", "The time zone in which times are shown."),
];

const EXIT_STATUS: [(&str, &str); 3] = [
    ("0", "You left, or a command succeeded."),
    (
        "1",
        "The server can't be reached, refused the request or closed the connection.",
    ),
    ("2", "Wrong arguments."),
];

const EXAMPLES: [(&str, &str); 4] = [
    (
        "chat-client 192.0.2.7:5000 --nick kim",
        "Joins the rooms of a server.",
    ),
    (
        "some_command | chat-client send ops",
        "Sends each line of a program's output.",
    ),
    (
        "chat-client tail ops --json | jq -r .text",
        "Prints the messages of a room in a script.",
    ),
    (
        "chat-client completions bash > ~/.local/share/bash-completion/completions/chat-client",
        "Installs the completions for bash. For zsh, write them to a directory of $fpath, as _chat-client; for \
         fish, to ~/.config/fish/completions/chat-client.fish.",
    ),
];
