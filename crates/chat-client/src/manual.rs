//! What is made of the arguments: the manual page and the completions of shells.

use std::io::{self, Write};
use std::process::ExitCode;

use clap::{Arg, Command, CommandFactory, ValueEnum, ValueHint};
use clap_complete::Shell;
use clap_mangen::Man;
use clap_mangen::roff::{Roff, bold, roman};

use crate::args::Cli;

const NAME: &str = "chat-client";

/// Prints the manual page.
pub(crate) fn manual() -> anyhow::Result<ExitCode> {
    print(page()?.as_bytes())?;
    Ok(ExitCode::SUCCESS)
}

/// Prints a shell's completions.
pub(crate) fn completions(shell: Shell) -> anyhow::Result<ExitCode> {
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut completed(Cli::command()), NAME, &mut script);
    let script = mend(shell, &String::from_utf8(script)?);
    print(script.as_bytes())?;
    Ok(ExitCode::SUCCESS)
}

/// Puts right what clap_complete gets wrong.
fn mend(shell: Shell, script: &str) -> String {
    match shell {
        // It spells the hyphen in two ways, which then don't meet.
        Shell::Bash => script.replace("chat__subcmd__client", "chat__client"),
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
        "complete -c {NAME} -f\n\
         complete -c {NAME} -n '__fish_chat_client_using_subcommand completions' -a '{shells}'\n"
    )
}

fn page() -> io::Result<String> {
    let mut command = Cli::command().subcommand_value_name("COMMAND");
    let man = Man::new(command.clone()).title("CHAT-CLIENT");
    let mut page = PREAMBLE.to_owned();
    page += &part(|out| man.render_title(out), "")?;
    page += &part(|out| man.render_name_section(out), "")?;
    page += &part(|out| man.render_synopsis_section(out), "")?;
    page += &part(|out| man.render_description_section(out), "")?;
    page += &part(|out| man.render_options_section(out), "")?;
    page += &commands(&mut command)?;
    let typed: Vec<_> = chat_tui::commands().collect();
    page += &section(
        "TYPED ON THE SCREEN",
        typed.iter().map(|(term, text)| (&**term, *text)),
    );
    page += &section("KEYS", chat_tui::keys());
    page += &section("FILES", FILES);
    page += &section("ENVIRONMENT", ENVIRONMENT);
    page += &section("EXIT STATUS", EXIT_STATUS);
    page += &section("EXAMPLES", EXAMPLES);
    Ok(page)
}

const FILES: [(&str, &str); 1] = [(
    "$XDG_STATE_HOME/chat-client/state.json",
    "What the screen remembers: the server, the nick, the rooms and what was read in them. Without XDG_STATE_HOME it is \
     in ~/.local/state.",
)];

const ENVIRONMENT: [(&str, &str); 4] = [
    ("XDG_STATE_HOME", "Where the file above is."),
    (
        "NO_COLOR",
        "If set and not empty, the screen has no colours.",
    ),
    (
        "TERM",
        "If not set, or dumb, there is no screen: it talks line by line.",
    ),
    ("TZ", "The time zone of the times that are shown."),
];

const EXIT_STATUS: [(&str, &str); 3] = [
    ("0", "You left, or a command is done."),
    ("1", "The server can't be reached, refused it or went away."),
    ("2", "Wrong arguments."),
];

const EXAMPLES: [(&str, &str); 4] = [
    (
        "chat-client 192.0.2.7:5000 --nick kim",
        "Talks in the rooms of a server.",
    ),
    (
        "some_command | chat-client send ops",
        "Says each line of a program's output.",
    ),
    (
        "chat-client tail ops --json | jq -r .text",
        "Follows a room in a script.",
    ),
    (
        "chat-client completions bash > ~/.local/share/bash-completion/completions/chat-client",
        "Has bash complete the arguments. zsh: into a directory of $fpath, as _chat-client. fish: into \
         ~/.config/fish/completions/chat-client.fish.",
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
