//! What is made of the arguments: the manual page and the completions of shells.

use crate::cli::Cli;
use clap::{Arg, Command, CommandFactory, ValueEnum, ValueHint};
use clap_complete::Shell;
use clap_mangen::Man;
use clap_mangen::roff::{Roff, bold, roman};
use std::io::{self, Write};

const NAME: &str = "chat-server";

/// Prints the manual page.
pub(crate) fn manual() -> anyhow::Result<()> {
    Ok(print(page()?.as_bytes())?)
}

/// Prints a shell's completions.
pub(crate) fn completions(shell: Shell) -> anyhow::Result<()> {
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut completed(Cli::command()), NAME, &mut script);
    let script = mend(shell, &String::from_utf8(script)?);
    Ok(print(script.as_bytes())?)
}

/// Puts right what clap_complete gets wrong.
fn mend(shell: Shell, script: &str) -> String {
    match shell {
        // It spells the hyphen in two ways, which then don't meet.
        Shell::Bash => script.replace("chat__subcmd__server", "chat__server"),
        // An argument without values is a message, and where there is one zsh inserts nothing.
        Shell::Zsh => {
            let is_argument = |line: &str| line.starts_with("':") || line.starts_with("'*:");
            let lines = script.lines().map(|line| match line.strip_suffix(":' \\") {
                Some(argument) if is_argument(line) => format!("{argument}:( )' \\\n"),
                _ => format!("{line}\n"),
            });
            lines.collect()
        }
        Shell::Fish => script.to_owned() + &fish(),
        _ => script.to_owned(),
    }
}

/// What clap_complete leaves out for fish: an argument's values, and that the others are no files.
fn fish() -> String {
    let shells: Vec<_> = Shell::value_variants()
        .iter()
        .map(Shell::to_string)
        .collect();
    let shells = shells.join(" ");
    format!(
        "complete -c {NAME} -n 'not __fish_chat_server_using_subcommand import' -f\n\
         complete -c {NAME} -n '__fish_chat_server_using_subcommand completions' -a '{shells}'\n"
    )
}

fn page() -> io::Result<String> {
    let mut command = Cli::command().subcommand_value_name("COMMAND");
    let man = Man::new(command.clone()).title("CHAT-SERVER");
    let mut page = PREAMBLE.to_owned();
    page += &part(|out| man.render_title(out), "")?;
    page += &part(|out| man.render_name_section(out), "")?;
    page += &part(|out| man.render_synopsis_section(out), "")?;
    page += &part(|out| man.render_description_section(out), "")?;
    page += &part(|out| man.render_options_section(out), "")?;
    page += &commands(&mut command)?;
    page += &section("SIGNALS", SIGNALS);
    page += &section("FILES", FILES);
    page += &section("ENVIRONMENT", ENVIRONMENT);
    page += &section("EXIT STATUS", EXIT_STATUS);
    page += &section("EXAMPLES", EXAMPLES);
    Ok(page)
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

/// A part of the page as clap_mangen writes it, without the preamble that it puts before each.
fn part(
    render: impl FnOnce(&mut dyn Write) -> io::Result<()>,
    heading: &str,
) -> io::Result<String> {
    let mut part = Vec::new();
    render(&mut part)?;
    let part = String::from_utf8_lossy(&part);
    Ok(part.replace(PREAMBLE, "").replacen(heading, "", 1))
}

/// A section with a paragraph for each entry.
fn section<'a>(title: &str, entries: impl IntoIterator<Item = (&'a str, &'a str)>) -> String {
    let mut roff = Roff::new();
    roff.control("SH", [title]);
    for (term, text) in entries {
        roff.control("TP", []);
        roff.text([bold(term)]).text([roman(text)]);
    }
    roff.to_roff()
}

/// How each subcommand is used, in this page: there are no others.
fn commands(command: &mut Command) -> io::Result<String> {
    command.build();
    let mut page = Roff::new().control("SH", ["COMMANDS"]).to_roff();
    for command in command.get_subcommands_mut() {
        if command.is_hide_set() || command.get_name() == "help" {
            continue;
        }
        let usage = command.render_usage().to_string();
        let usage = usage.trim_start_matches("Usage:").trim();
        let about = command.get_about().map(ToString::to_string);
        let mut roff = Roff::new();
        roff.control("SS", [usage]);
        roff.text([roman(about.unwrap_or_default())]);
        page += &roff.to_roff();
        let man = Man::new(command.clone());
        page += &part(|out| man.render_options_section(out), ".SH OPTIONS\n")?;
    }
    Ok(page)
}

/// The arguments as shells complete them: without the address, which would take the place of the subcommands.
fn completed(command: Command) -> Command {
    let command = command.mut_args(hint);
    let named = command.get_arguments().filter(|arg| !arg.is_positional());
    let commands = command.get_subcommands().cloned();
    Command::new(NAME)
        .args(named.cloned())
        .subcommands(commands.map(|command| command.mut_args(hint)))
}

/// Has files offered where one is wanted, and nowhere else.
fn hint(arg: Arg) -> Arg {
    if !arg.get_action().takes_values() || !arg.get_possible_values().is_empty() {
        return arg;
    }
    let names = arg.get_value_names().unwrap_or_default();
    let name = names.first().map(ToString::to_string).unwrap_or_default();
    let hint = match name.contains("FILE") || name == "INPUT" {
        true => ValueHint::FilePath,
        false => ValueHint::Other,
    };
    let arg = arg.value_hint(hint);
    // zsh takes a colon for the end of the name, and clap_complete does not say that it is none.
    match name.contains(':') {
        true => arg.value_name("VALUE"),
        false => arg,
    }
}

/// Prints what was made; a reader that has had enough is no failure.
fn print(text: &[u8]) -> io::Result<()> {
    match io::stdout().write_all(text) {
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        done => done,
    }
}

/// What clap_mangen begins each part with.
const PREAMBLE: &str = ".ie \\n(.g .ds Aq \\(aq\n.el .ds Aq '\n";
