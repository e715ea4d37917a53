//! `chat-client`: talks to a chat server, a line at a time.
//!
//! Thin by design: arguments, the connection and the wiring. What the lines mean is the server's business.
#![forbid(unsafe_code)]

mod args;
mod connect;
mod conversation;
mod outgoing;
mod screen;

use std::future;
use std::io::{self, Write};
use std::process::ExitCode;

use clap::Parser;

use crate::args::{Cli, Config};

fn main() -> ExitCode {
    match run(&Cli::parse().into_config()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            // Not `eprintln!`, which panics when nobody reads stderr any more.
            writeln!(io::stderr(), "chat-client: {error:#}").ok();
            ExitCode::FAILURE
        }
    }
}

fn run(config: &Config) -> anyhow::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    let result = runtime.block_on(talk(config));
    // Tokio reads stdin in a thread of its own, and a read of a terminal can't be called off: dropping the runtime
    // would wait for the next line to be typed. Whatever had to be written was flushed by the conversation.
    runtime.shutdown_background();
    result
}

async fn talk(config: &Config) -> anyhow::Result<()> {
    let stream = connect::connect(&config.address).await?;
    // Until here Ctrl-C simply ends the process; from here on it says goodbye first.
    conversation::hold(
        stream,
        tokio::io::stdin(),
        tokio::io::stdout(),
        &config.plan,
        interrupted,
    )
    .await?;
    Ok(())
}

/// Waits for the next Ctrl-C.
async fn interrupted() {
    if tokio::signal::ctrl_c().await.is_err() {
        // No handler could be installed, so Ctrl-C still ends the process by itself.
        future::pending().await
    }
}
