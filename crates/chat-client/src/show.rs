//! The full-screen client.

use std::env;
use std::io::{self, IsTerminal};
use std::process::ExitCode;

use chat_tui::{Colours, Memory, Store};

use crate::args::{Address, Config};

/// Returns whether stdin and stdout are a terminal that can show a screen. `TERM=dumb` means that the terminal can only
/// print lines.
pub(crate) fn is_terminal() -> bool {
    let is_dumb = env::var_os("TERM").is_none_or(|term| term.is_empty() || term == "dumb");
    !is_dumb && io::stdin().is_terminal() && io::stdout().is_terminal()
}

/// Runs the full-screen client.
pub(crate) async fn run(config: Config) -> anyhow::Result<ExitCode> {
    // The file of the remembered state is opened once, and the screen gets the opened store. Opening renames a damaged
    // file and returns a notice about it; a second opening would find no file, and the notice would be lost.
    let memory = Store::open(Memory::path());
    let last = || memory.last_server()?.parse().ok();
    let address: Address = config.address.or_else(last).unwrap_or_default();
    // See https://no-color.org: the variable counts if it is set and not empty.
    let is_colourless = env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
    chat_tui::run(chat_tui::Config {
        address: address.to_string(),
        nick: config.nick,
        room: config.room,
        memory,
        colours: if is_colourless {
            Colours::Off
        } else {
            Colours::Terminal
        },
    })
    .await?;
    Ok(ExitCode::SUCCESS)
}
