//! `chat-client`: talks to a chat server: full-screen on a terminal, a line at a time in a pipe, or for a script.
//!
//! Thin by design: arguments, the connection and the wiring. The screen is a crate of its own. What the lines mean is
//! the server's business; scripts speak JSON Lines through the client library, so that they know what was really said.
#![forbid(unsafe_code)]

mod args;
mod connect;
mod conversation;
mod manual;
mod outgoing;
mod query;
mod screen;
mod script;
mod send;
mod show;
mod tail;

use std::cell::Cell;
use std::future;
use std::io::{self, Write};
use std::process::ExitCode;

use clap::Parser;

use crate::args::{Cli, Command, Config};
use crate::conversation::{AtInputEnd, Plan};

fn main() -> ExitCode {
    match run(Cli::parse()) {
        Ok(exit) => exit,
        Err(error) => {
            // Not `eprintln!`, which panics when nobody reads stderr any more.
            writeln!(io::stderr(), "chat-client: {error:#}").ok();
            ExitCode::FAILURE
        }
    }
}

fn run(cli: Cli) -> anyhow::Result<ExitCode> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    let result = match cli.into_command() {
        Ok(command) => runtime.block_on(execute(command)),
        Err(config) if config.is_plain || !show::is_terminal() => runtime.block_on(talk(&config)),
        Err(config) => runtime.block_on(show::run(*config)),
    };
    // Tokio reads stdin in a thread of its own, and a read of a terminal can't be called off: dropping the runtime
    // would wait for the next line to be typed. Whatever had to be written was flushed by the conversation.
    runtime.shutdown_background();
    result
}

async fn execute(command: Command) -> anyhow::Result<ExitCode> {
    match command {
        Command::Send(args) => send::run(&args).await,
        Command::Tail(args) => tail::run(&args).await,
        Command::Man => manual::manual(),
        Command::Completions { shell } => manual::completions(shell),
        Command::Rooms { json, server } => query::rooms(&server, json).await,
        Command::Who { room, json, server } => query::who(&server, &room, json).await,
    }
}

async fn talk(config: &Config) -> anyhow::Result<ExitCode> {
    let address = config.address.clone().unwrap_or_default();
    let stream = connect::connect(&address).await?;
    let is_reader_gone = Cell::new(false);
    // Until here Ctrl-C simply ends the process; from here on it says goodbye first.
    conversation::hold(
        stream,
        tokio::io::stdin(),
        tokio::io::stdout(),
        &config.plan,
        || leaving(&config.plan, &is_reader_gone),
    )
    .await?;
    Ok(ExitCode::SUCCESS)
}

/// Waits for a reason to leave: the next Ctrl-C, or, once, that nobody reads what is printed. Without `--stay` what is
/// typed is said all the same.
async fn leaving(plan: &Plan, is_reader_gone: &Cell<bool>) {
    tokio::select! {
        () = interrupted() => {}
        () = script::reader_gone(), if plan.at_input_end == AtInputEnd::Stay && !is_reader_gone.get() => {
            is_reader_gone.set(true);
        }
    }
}

/// Waits for the next Ctrl-C.
async fn interrupted() {
    if tokio::signal::ctrl_c().await.is_err() {
        // No handler could be installed, so Ctrl-C still ends the process by itself.
        future::pending().await
    }
}
