//! HTTP on the server's port: its flags, and how they are applied.

use chat_core::Server;
use chat_json::JsonLines;
use chat_web::Web;
use std::path::PathBuf;

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
    #[arg(long, conflicts_with_all = ["web_host", "web_dir"])]
    no_web: bool,
}

/// How HTTP is served.
#[derive(Debug, Clone)]
pub(crate) struct WebConfig {
    pub(crate) is_served: bool,
    hosts: Vec<String>,
    directory: Option<PathBuf>,
}

impl From<WebArgs> for WebConfig {
    fn from(args: WebArgs) -> Self {
        Self {
            is_served: !args.no_web,
            hosts: args.web_host,
            directory: args.web_dir,
        }
    }
}

impl WebConfig {
    /// Adds HTTP to the protocols of a server, unless HTTP is refused. `json` is the dialect of WebSocket members.
    pub(crate) fn add_to(self, server: Server, json: JsonLines) -> Server {
        if !self.is_served {
            return server;
        }
        let mut web = Web::new(server.hub().clone(), json);
        for host in self.hosts {
            web = web.host(host);
        }
        if let Some(directory) = self.directory {
            web = web.web_dir(directory);
        }
        server.protocol(web)
    }
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
    use super::host;

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
