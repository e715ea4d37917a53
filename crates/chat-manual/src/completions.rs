//! The completion script of a shell.

use clap::{Arg, Command, ValueEnum, ValueHint};
use clap_complete::Shell;

/// Returns the completion script of a shell. The program must have a subcommand `completions` that takes the name of
/// the shell.
#[must_use]
pub fn completions(name: &'static str, command: Command, shell: Shell) -> String {
    let mut completed = completed(name, command);
    let files = takes_files(&completed);
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut completed, name, &mut script);
    let script = String::from_utf8_lossy(&script);
    match shell {
        // clap_complete replaces the hyphen of the program's name in two different ways, but both names must be the
        // same.
        Shell::Bash => {
            let wrong = name.replacen('-', "__subcmd__", 1);
            script.replace(&wrong, &name.replacen('-', "__", 1))
        }
        Shell::Zsh => script.lines().map(zsh).collect(),
        Shell::Fish => script.into_owned() + &fish(name, &files),
        _ => script.into_owned(),
    }
}

/// Corrects a line of the script for zsh: an argument without values gets an empty list of values (`( )`). Without the
/// list, zsh inserts nothing after the argument.
fn zsh(line: &str) -> String {
    let is_argument = line.starts_with("':") || line.starts_with("'*:");
    match line.strip_suffix(":' \\") {
        Some(argument) if is_argument => format!("{argument}:( )' \\\n"),
        _ => format!("{line}\n"),
    }
}

/// Returns the lines that the script of clap_complete for fish lacks. They complete the shells that the subcommand
/// `completions` accepts. They let only the subcommands in `files` complete file names.
fn fish(name: &str, files: &[String]) -> String {
    let shells: Vec<_> = Shell::value_variants()
        .iter()
        .map(Shell::to_string)
        .collect();
    let shells = shells.join(" ");
    let using = format!("__fish_{}_using_subcommand", name.replace('-', "_"));
    let condition = match files.join(" ") {
        none if none.is_empty() => String::new(),
        files => format!("-n 'not {using} {files}' "),
    };
    format!(
        "complete -c {name} {condition}-f\n\
         complete -c {name} -n '{using} completions' -a '{shells}'\n"
    )
}

/// Returns the subcommands that take a file without a flag.
fn takes_files(command: &Command) -> Vec<String> {
    let is_file =
        |arg: &Arg| arg.is_positional() && matches!(arg.get_value_hint(), ValueHint::FilePath);
    let commands = command.get_subcommands();
    commands
        .filter(|command| command.get_arguments().any(is_file))
        .map(|command| command.get_name().to_owned())
        .collect()
}

/// Returns the command for which the completions are written. It lacks the program's own positional arguments, because
/// they would hide the subcommands.
fn completed(name: &'static str, command: Command) -> Command {
    let command = command.mut_args(hint);
    let named = command.get_arguments().filter(|arg| !arg.is_positional());
    let commands = command.get_subcommands().cloned();
    Command::new(name)
        .args(named.cloned())
        .subcommands(commands.map(|command| command.mut_args(hint)))
}

/// Makes shells complete file names for an argument that takes a file, and for no other argument.
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
    // In zsh a colon ends the name of an argument, and clap_complete does not escape colons.
    match name.contains(':') {
        true => arg.value_name("VALUE"),
        false => arg,
    }
}
