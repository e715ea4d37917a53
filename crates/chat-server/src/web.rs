//! The flags for HTTP on the server's port, and how they are applied.

use chat_core::{Limits, Server};
use chat_json::JsonLines;
use chat_web::{Web, WebLimits};
use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::time::Duration;

/// The flags of HTTP.
#[derive(Debug, clap::Args)]
#[command(next_help_heading = "Browsers")]
pub(crate) struct WebArgs {
    /// A name under which browsers may reach the server, besides IP addresses and localhost, such as chat.example.org;
    /// can be repeated
    #[arg(long, value_name = "NAME", value_parser = host)]
    web_host: Vec<String>,

    /// Serve the page from the files of this directory, which are read for each request; for developing the page
    #[arg(long, value_name = "DIR", value_parser = directory)]
    web_dir: Option<PathBuf>,

    /// Refuse HTTP: no page, no WebSocket and no requests of programs
    #[arg(long, conflicts_with_all = ["web_host", "web_dir", "web_header_bytes", "web_idle_timeout"])]
    no_web: bool,

    /// Longest head of a request in bytes, at least 8192; more than the default if a proxy adds long headers [default:
    /// 16384]
    #[arg(long, value_name = "N", value_parser = header_bytes)]
    web_header_bytes: Option<NonZeroUsize>,

    /// How long a connection may stay open without a request; longer than a proxy in front keeps its idle connections,
    /// so that the proxy sends no request into a connection that closes [default: 60]
    #[arg(long, value_name = "SECONDS", value_parser = idle_timeout)]
    web_idle_timeout: Option<Duration>,
}

/// How HTTP is served.
#[derive(Debug, Clone)]
pub(crate) struct WebConfig {
    pub(crate) is_served: bool,
    hosts: Vec<String>,
    directory: Option<PathBuf>,
    header_bytes: Option<NonZeroUsize>,
    idle_timeout: Option<Duration>,
}

impl From<WebArgs> for WebConfig {
    fn from(args: WebArgs) -> Self {
        Self {
            is_served: !args.no_web,
            hosts: args.web_host,
            directory: args.web_dir,
            header_bytes: args.web_header_bytes,
            idle_timeout: args.web_idle_timeout,
        }
    }
}

impl WebConfig {
    /// Adds HTTP to the protocols of a server, unless `--no-web` refuses HTTP. `json` is the dialect of WebSocket
    /// members.
    pub(crate) fn add_to(self, server: Server, json: JsonLines) -> Server {
        if !self.is_served {
            return server;
        }
        let limits = self.limits(server.hub().limits());
        let mut web = Web::new(server.hub().clone(), json).limits(limits);
        for host in self.hosts {
            web = web.host(host);
        }
        if let Some(directory) = self.directory {
            web = web.web_dir(directory);
        }
        server.protocol(web)
    }

    fn limits(&self, hub: &Limits) -> WebLimits {
        let mut limits = WebLimits::default();
        limits.header_bytes = self.header_bytes.unwrap_or(limits.header_bytes);
        limits.idle_timeout = self.idle_timeout.unwrap_or(limits.idle_timeout);
        // The longest text fits into a body of JSON, in which a byte may take six characters.
        let longest_text = hub.text_bytes.saturating_mul(JSON_BYTES_PER_BYTE);
        let longest_body = longest_text.saturating_add(JSON_BYTES_BESIDE);
        limits.body_bytes = limits.body_bytes.max(longest_body);
        limits
    }
}

/// The most bytes that JSON needs for one byte of a text, as in `\u001b`.
const JSON_BYTES_PER_BYTE: NonZeroUsize = match NonZeroUsize::new(6) {
    Some(bytes) => bytes,
    None => NonZeroUsize::MIN,
};

/// More bytes than a body of JSON has beside the text: the names of its fields, and a key.
const JSON_BYTES_BESIDE: usize = 1024;

fn header_bytes(text: &str) -> Result<NonZeroUsize, String> {
    /// hyper does not use a smaller buffer.
    const MIN: usize = 8 * 1024;
    /// Each connection that sends so much may hold twice as much memory.
    const MAX: usize = 1024 * 1024;
    let bytes = text.parse().ok();
    bytes
        .filter(|bytes: &NonZeroUsize| (MIN..=MAX).contains(&bytes.get()))
        .ok_or_else(|| format!("give a number of bytes from {MIN} to {MAX}"))
}

fn idle_timeout(text: &str) -> Result<Duration, String> {
    let seconds = crate::cli::seconds(text)?;
    if seconds < Duration::from_secs(1) {
        return Err("give seconds from 1 to 86400".into());
    }
    Ok(seconds)
}

fn host(name: &str) -> Result<String, String> {
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b".-_".contains(&byte);
    if name.is_empty() || !name.bytes().all(is_plain) {
        return Err("give a name without a scheme and a port, for example chat.example.org".into());
    }
    Ok(name.into())
}

fn directory(path: &str) -> Result<PathBuf, String> {
    let path = PathBuf::from(path);
    if path.join("index.html").is_file() {
        Ok(path)
    } else {
        Err("the directory has no index.html".into())
    }
}

#[cfg(test)]
mod tests {
    use super::{WebConfig, header_bytes, host, idle_timeout};
    use chat_core::Limits;
    use std::num::NonZeroUsize;
    use std::time::Duration;

    #[test]
    fn the_flags_set_the_limits_and_a_body_holds_the_longest_text() {
        let config = |header_bytes, idle_timeout| WebConfig {
            is_served: true,
            hosts: Vec::new(),
            directory: None,
            header_bytes,
            idle_timeout,
        };
        let mut hub = Limits::default();
        let limits = config(None, None).limits(&hub);
        assert_eq!(limits.header_bytes.get(), 16 * 1024);
        assert_eq!(limits.idle_timeout, Duration::from_secs(60));
        assert_eq!(limits.body_bytes.get(), 64 * 1024);
        hub.text_bytes = NonZeroUsize::new(100_000).unwrap();
        let flags = config(header_bytes("32768").ok(), idle_timeout("75").ok());
        let limits = flags.limits(&hub);
        assert_eq!(limits.header_bytes.get(), 32 * 1024);
        assert_eq!(limits.idle_timeout, Duration::from_secs(75));
        assert_eq!(limits.body_bytes.get(), 601_024);
        for bad in ["8191", "1048577", "-1", "many"] {
            assert!(header_bytes(bad).is_err(), "{bad}");
        }
        for bad in ["0", "0.5", "100000", "soon"] {
            assert!(idle_timeout(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_host_is_a_name_alone() {
        for good in ["chat.example.org", "chat", "xn--bcher-kva.example"] {
            assert!(host(good).is_ok(), "{good}");
        }
        for bad in ["", "http://chat", "chat:5000", "chat/", "a b", "책.example"] {
            assert!(host(bad).is_err(), "{bad}");
        }
    }
}
