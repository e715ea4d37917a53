//! The manual page: one page with all subcommands, and the program's own sections.

use clap::Command;
use clap_mangen::Man;
use clap_mangen::roff::{Roff, bold, roman};
use std::io::{self, Write};

/// A section of a page: its title, and a paragraph for each entry. An entry is a term and its text.
#[derive(Debug)]
pub struct Section {
    /// The title, in capitals.
    pub title: &'static str,
    /// The entries, each with its term and its text.
    pub entries: Vec<(String, &'static str)>,
}

impl Section {
    /// Makes a section of these entries.
    pub fn new(
        title: &'static str,
        entries: impl IntoIterator<Item = (impl Into<String>, &'static str)>,
    ) -> Self {
        let entries = entries.into_iter();
        Self {
            title,
            entries: entries.map(|(term, text)| (term.into(), text)).collect(),
        }
    }
}

/// Returns the manual page of a program, for man(1), with these sections at its end.
///
/// # Errors
///
/// Returns an error if the page can't be rendered.
pub fn page(command: Command, sections: &[Section]) -> io::Result<String> {
    let mut command = command.subcommand_value_name("COMMAND");
    let title = command.get_name().to_uppercase();
    let man = Man::new(command.clone()).title(title);
    let mut page = PREAMBLE.to_owned();
    page += &part(|out| man.render_title(out), "")?;
    page += &part(|out| man.render_name_section(out), "")?;
    page += &part(|out| man.render_synopsis_section(out), "")?;
    page += &part(|out| man.render_description_section(out), "")?;
    page += &part(|out| man.render_options_section(out), "")?;
    page += &commands(&mut command)?;
    page.extend(sections.iter().map(section));
    Ok(page)
}

/// Renders a part of the page, without the preamble that clap_mangen puts before each part.
fn part(
    render: impl FnOnce(&mut dyn Write) -> io::Result<()>,
    heading: &str,
) -> io::Result<String> {
    let mut part = Vec::new();
    render(&mut part)?;
    let part = String::from_utf8_lossy(&part);
    Ok(part.replace(PREAMBLE, "").replacen(heading, "", 1))
}

fn section(section: &Section) -> String {
    let mut roff = Roff::new();
    roff.control("SH", [section.title]);
    for (term, text) in &section.entries {
        roff.control("TP", []);
        roff.text([bold(term)]).text([roman(*text)]);
    }
    roff.to_roff()
}

/// Renders the usage of each subcommand, because subcommands have no pages of their own.
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

/// The preamble that clap_mangen puts before each part.
const PREAMBLE: &str = ".ie \\n(.g .ds Aq \\(aq\n.el .ds Aq '\n";
