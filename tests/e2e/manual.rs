//! Manual pages and completions, as man's formatter and real shells read them.

use std::io::Write;
use std::process::{Command, Stdio};

use crate::harness::{Tmux, binary, has_tmux, has_tool};

/// Returns the output of a program.
fn printed(program: &str, arguments: &[&str]) -> String {
    let output = Command::new(binary(program)).args(arguments).output();
    let output = output.unwrap();
    assert!(output.status.success(), "{program} {arguments:?}");
    String::from_utf8(output.stdout).unwrap()
}

/// Texts that the test types before it presses Tab, each with the text that the shell must then show.
const COMPLETED: [(&str, &str); 10] = [
    ("chat-client ta", "chat-client tail"),
    ("chat-client --ni", "chat-client --nick"),
    ("chat-client tail --si", "chat-client tail --since"),
    ("chat-client tail ops --js", "chat-client tail ops --json"),
    ("chat-client completions zs", "chat-client completions zsh"),
    ("chat-server exp", "chat-server export"),
    ("chat-server --mot", "chat-server --motd"),
    ("chat-server export --ro", "chat-server export --room"),
    ("chat-server import --da", "chat-server import --data"),
    ("chat-server completions fi", "chat-server completions fish"),
];

/// Types in a shell that runs in a terminal, and checks what the shell completes.
fn completes(shell: &str, start: &str, load: &str) {
    if !has_tmux() || !has_tool(shell, "--version") {
        return;
    }
    let programs = binary("chat-client").parent().unwrap();
    assert_eq!(binary("chat-server").parent(), Some(programs));
    let tmux = Tmux::start(
        100,
        40,
        &format!("PATH={}:$PATH {start}", programs.display()),
    );
    for program in ["chat-client", "chat-server"] {
        tmux.enters(&load.replace("PROGRAM", program));
    }
    for (typed, completed) in COMPLETED {
        tmux.types(typed);
        tmux.presses(&["Tab"]);
        tmux.shows(completed);
        tmux.presses(&["C-u"]);
    }
}

#[test]
fn bash_completes_after_subcommands() {
    let start = "bash --norc --noprofile -i";
    completes("bash", start, "source <(PROGRAM completions bash)");
}

#[test]
fn zsh_completes_after_subcommands() {
    let load = "autoload -U compinit; compinit -D -u; source <(PROGRAM completions zsh)";
    completes("zsh", "zsh -f -i", load);
}

#[test]
fn fish_completes_after_subcommands() {
    let start = "fish --no-config -i";
    completes("fish", start, "PROGRAM completions fish | source");
}

#[test]
fn manual_pages_are_whole_and_name_no_pages_that_do_not_exist() {
    let client: &[&str] = &[
        "KEYS",
        "TYPED ON THE SCREEN",
        "chat\\-client tail",
        "Ctrl+Z",
    ];
    let server: &[&str] = &["SIGNALS", "chat\\-server export", "SIGUSR1", "\\-\\-motd"];
    for (program, parts) in [("chat-client", client), ("chat-server", server)] {
        let page = printed(program, &["man"]);
        let sections = [
            "COMMANDS",
            "FILES",
            "ENVIRONMENT",
            "EXIT STATUS",
            "EXAMPLES",
        ];
        for part in sections.iter().chain(parts) {
            assert!(page.contains(part), "{part} is missing:\n{page}");
        }
        let pages: Vec<_> = page
            .match_indices("(1)")
            .map(|(at, _)| &page[..at])
            .collect();
        assert!(
            pages.iter().all(|before| before.ends_with(" man")),
            "{page}"
        );
        if has_tool("groff", "--version") {
            let mut groff = Command::new("groff")
                .args(["-man", "-Tutf8", "-ww", "-z"])
                .stdin(Stdio::piped())
                .stderr(Stdio::piped())
                .spawn()
                .unwrap();
            groff
                .stdin
                .take()
                .unwrap()
                .write_all(page.as_bytes())
                .unwrap();
            let output = groff.wait_with_output().unwrap();
            assert_eq!(String::from_utf8_lossy(&output.stderr), "", "{program}");
        }
    }
}
