//! The chat server. This is the one crate that knows all parts: it parses arguments, binds listeners and builds the
//! hub.

mod banner;
mod cli;
mod config;
#[cfg(feature = "sqlite")]
mod data;
#[cfg(feature = "irc")]
mod irc;
mod kept;
mod listen;
mod log;
mod manual;
mod names;
mod shutdown;
mod wall_time;
#[cfg(feature = "web")]
mod web;

use chat_core::Server;
use clap::Parser;
use config::ServerConfig;
use listen::Protocols;
use std::process::ExitCode;

fn main() -> ExitCode {
    // clap prints its own message and exits with code 2 if an argument is not valid.
    let cli = cli::Cli::parse();
    if let Some(command) = cli.command {
        return command.run().unwrap_or_else(|error| cannot(&error));
    }
    let config = ServerConfig::from(cli);
    let log = match log::install(&config.log) {
        Ok(log) => log,
        Err(error) => return cannot(&error),
    };
    let ended = run(config);
    // Dropping the log writes the waiting lines, so they precede the error. A panic drops the log too.
    drop(log);
    ended.unwrap_or_else(|error| cannot(&error))
}

fn cannot(error: &anyhow::Error) -> ExitCode {
    log::say(format_args!("{error:#}"));
    ExitCode::from(2)
}

fn run(config: ServerConfig) -> anyhow::Result<ExitCode> {
    let mut runtime = tokio::runtime::Builder::new_multi_thread();
    let runtime = runtime
        .worker_threads(config.workers)
        .enable_all()
        .build()?;
    shutdown::block_on(runtime, serve(config))
}

/// Serves until a signal arrives, or until the journal can no longer store messages.
async fn serve(config: ServerConfig) -> anyhow::Result<ExitCode> {
    let listeners = listen::bind(&config.listen, config.keepalive).await?;
    let address = |(listener, protocols): &(tokio::net::TcpListener, Protocols)| {
        Ok((listener.local_addr()?, *protocols))
    };
    let addresses = listeners.iter().map(address);
    let addresses = addresses.collect::<std::io::Result<Vec<_>>>()?;
    let stop = shutdown::on_signal()?;
    #[cfg(feature = "sqlite")]
    shutdown::survive_file_size_limit()?;
    let banner = banner::banner(&addresses, &banner::own_addresses(), &config);
    #[cfg(feature = "web")]
    let web = config.web.clone();
    #[cfg(feature = "irc")]
    let irc = config.irc.clone();
    let (hub, kept) = config.into_hub()?;
    banner::print(&banner);
    shutdown::log_stats_on_signal(hub.clone())?;
    let json = chat_json::JsonLines::default();
    let server = Server::new(hub.clone())
        .wall_time(wall_time::local)
        .protocol(json.clone());
    #[cfg(feature = "irc")]
    let irc = irc.protocol(&hub);
    #[cfg(feature = "irc")]
    let server = server.protocol(irc.clone());
    #[cfg(feature = "web")]
    let server = web.add_to(server, json);
    let serving = tokio_util::task::TaskTracker::new();
    for (listener, protocols) in listeners {
        let server = match protocols {
            Protocols::All => server.clone(),
            #[cfg(feature = "irc")]
            Protocols::Irc => irc::only(hub.clone(), irc.clone()),
            Protocols::Plain => Server::new(hub.clone()).wall_time(wall_time::local),
        };
        let stop = stop.clone().cancelled_owned();
        serving.spawn(server.serve(listener, stop));
    }
    serving.close();
    shutdown::drained(serving.wait(), kept.failed(), &stop).await;
    let is_written = kept.close(hub.limits().drain).await;
    tracing::info!(stats = ?hub.stats(), "ended");
    Ok(if is_written {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}
