//! `chat-client` talks to a chat server. On a terminal, it is full-screen. In a pipe, it works line by line. For
//! scripts, it has commands.
//!
//! This crate has the arguments, the line mode and the script commands; the screen is the crate `chat-tui`. In line
//! mode the server interprets the lines. The script commands use the JSON client library, which reports whether a
//! message was accepted.
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
            // `eprintln!` would panic if stderr is closed.
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
    // Tokio reads stdin in a thread, and a read from a terminal can't be cancelled: dropping the runtime would wait for
    // the next typed line. All output is flushed already.
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
    // During the conversation, Ctrl-C makes the client say goodbye before the process ends.
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

/// Waits for a reason to leave: the next Ctrl-C, or with `--stay` a closed stdout. After stdout was closed, the next
/// call only waits for Ctrl-C. Without `--stay`, a closed stdout is no reason to leave, because the remaining input
/// must be sent.
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
        // If no handler can be installed, Ctrl-C ends the process.
        future::pending().await
    }
}
