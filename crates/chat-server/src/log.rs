//! The log on stderr.

use crate::cli::LogFormat;
use crate::config::LogConfig;
use anyhow::{Context, anyhow};
use std::io::IsTerminal;
use tracing_subscriber::EnvFilter;

/// Installs the subscriber; `--log` wins over `RUST_LOG`.
pub(crate) fn install(config: &LogConfig) -> anyhow::Result<()> {
    let filter = match &config.filter {
        Some(filter) => {
            EnvFilter::try_new(filter).with_context(|| format!("--log {filter:?} can't be read"))?
        }
        None if std::env::var_os("RUST_LOG").is_some() => {
            EnvFilter::try_from_default_env().context("RUST_LOG can't be read")?
        }
        None => EnvFilter::new("info"),
    };
    let log = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_ansi(std::io::stderr().is_terminal())
        .with_writer(std::io::stderr);
    let installed = match config.format {
        LogFormat::Text => log.try_init(),
        LogFormat::Json => log.json().try_init(),
    };
    installed.map_err(|error| anyhow!("the log can't be installed: {error}"))
}
