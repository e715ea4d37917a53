//! The command line: the parsed arguments ([`Cli`]) and the configuration that results from them ([`Config`]).

use std::fmt::{self, Display, Formatter};
use std::net::Ipv6Addr;
use std::num::ParseIntError;
use std::str::FromStr;

use chat_core::text;
use chat_manual::Shell;
use clap::{Args, Parser, Subcommand};
use jiff::Zoned;

use crate::conversation::{AtInputEnd, Plan};

/// Talks to a chat server: full-screen on a terminal, line by line in a pipe.
#[derive(Debug, Parser)]
#[command(version, after_help = EXIT_CODES, args_conflicts_with_subcommands = true)]
pub(crate) struct Cli {
    #[command(subcommand)]
    command: Option<Command>,

    /// The server: HOST:PORT, HOST, :PORT, or the URL of its page or WebSocket, such as http://HOST:PORT/ or
    /// ws://HOST:PORT/ws [default: the last one, or 127.0.0.1:5000]
    #[arg(value_name = "HOST:PORT")]
    address: Option<Address>,

    /// The nick to request [default on a terminal: the last one]
    #[arg(long, value_name = "NAME", value_parser = one_word)]
    nick: Option<String>,

    /// A room to join
    #[arg(long, value_name = "NAME", value_parser = one_word)]
    room: Option<String>,

    /// Use line mode on a terminal, too: each typed line is sent, and each received line is printed
    #[arg(long)]
    plain: bool,

    /// Keep the connection and go on printing when the input ends; implies --plain
    #[arg(long)]
    stay: bool,
}

/// The commands for scripts.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Sends a message to a room without joining it, and exits once the server has accepted it
    #[command(after_help = SCRIPT_EXIT_CODES)]
    Send(SendArgs),
    /// Prints the messages of a room as they arrive
    #[command(after_help = SCRIPT_EXIT_CODES)]
    Tail(TailArgs),
    /// Lists the rooms that have members
    #[command(after_help = SCRIPT_EXIT_CODES)]
    Rooms {
        /// Print one JSON object a line
        #[arg(long)]
        json: bool,
        #[command(flatten)]
        server: ServerArgs,
    },
    /// Prints the manual page, for man(1): chat-client man > chat-client.1
    Man,
    /// Prints the completion script of a shell
    Completions {
        /// The shell
        #[arg(value_enum)]
        shell: Shell,
    },
    /// Lists the members of a room
    #[command(after_help = SCRIPT_EXIT_CODES)]
    Who {
        /// The room
        #[arg(value_parser = one_word)]
        room: String,
        /// Print one JSON object
        #[arg(long)]
        json: bool,
        #[command(flatten)]
        server: ServerArgs,
    },
}

/// The server, and the nick to request.
#[derive(Debug, Args)]
pub(crate) struct ServerArgs {
    /// The server: HOST:PORT, HOST, :PORT, or a URL: http://HOST:PORT/ or ws://HOST:PORT/ws
    #[arg(long, value_name = "HOST:PORT", default_value_t)]
    pub(crate) server: Address,
    /// The nick to request [default: a guest's]
    #[arg(long, value_name = "NAME", value_parser = one_word)]
    pub(crate) nick: Option<String>,
}

/// The arguments of `send`.
#[derive(Debug, Args)]
pub(crate) struct SendArgs {
    /// The room
    #[arg(value_parser = one_word)]
    pub(crate) room: String,
    /// The message; without it, each line of stdin is a message
    pub(crate) text: Vec<String>,
    /// Send all of stdin as one message, its lines joined with spaces
    #[arg(long, conflicts_with = "text")]
    pub(crate) fold: bool,
    /// Create the room if it does not exist; without it, a room without members and history is an error
    #[arg(long)]
    pub(crate) create: bool,
    #[command(flatten)]
    pub(crate) server: ServerArgs,
}

/// The arguments of `tail`.
#[derive(Debug, Args)]
pub(crate) struct TailArgs {
    /// The room
    #[arg(value_parser = one_word)]
    pub(crate) room: String,
    /// Begin after message number N, as far as the server still has it; with the EPOCH that --json prints, the server
    /// can tell whether the room's history is still the same
    #[arg(long, value_name = "[EPOCH:]N")]
    pub(crate) since: Option<Since>,
    /// Begin with the last N messages
    #[arg(
        long,
        short = 'n',
        value_name = "N",
        default_value_t = 10,
        conflicts_with = "since"
    )]
    pub(crate) lines: usize,
    /// Begin each line with the time in this strftime(3) format, such as '%F %T' [default: the time of day, with the
    /// date if it is not today]
    #[arg(long, value_name = "FORMAT", value_parser = time_format, conflicts_with = "json")]
    pub(crate) time: Option<String>,
    /// Print one JSON object a line
    #[arg(long)]
    pub(crate) json: bool,
    #[command(flatten)]
    pub(crate) server: ServerArgs,
}

/// The message after which `tail` begins.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Since {
    /// The epoch of the room's log. `None` means the current epoch.
    pub(crate) epoch: Option<String>,
    /// The message's position in the log.
    pub(crate) seq: u64,
}

impl FromStr for Since {
    type Err = ParseIntError;

    fn from_str(typed: &str) -> Result<Self, ParseIntError> {
        let (epoch, seq) = match typed.rsplit_once(':') {
            Some((epoch, seq)) => (
                Some(epoch.to_owned()).filter(|epoch| !epoch.is_empty()),
                seq,
            ),
            None => (None, typed),
        };
        let seq = seq.parse()?;
        Ok(Self { epoch, seq })
    }
}

impl Cli {
    /// Returns the command. If no command was given, returns the configuration of a conversation.
    pub(crate) fn into_command(mut self) -> Result<Command, Box<Config>> {
        self.command
            .take()
            .ok_or_else(|| Box::new(self.into_config()))
    }

    /// Resolves the arguments. Other modules only see the resulting [`Config`].
    fn into_config(self) -> Config {
        let nick = self.nick.as_ref().map(|nick| format!("/nick {nick}\n"));
        let room = self.room.as_ref().map(|room| format!("/join {room}\n"));
        Config {
            address: self.address,
            nick: self.nick,
            room: self.room,
            is_plain: self.plain || self.stay,
            plan: Plan {
                opening: nick.into_iter().chain(room).collect(),
                at_input_end: match self.stay {
                    true => AtInputEnd::Stay,
                    false => AtInputEnd::Leave,
                },
                today: || Zoned::now().date(),
            },
        }
    }
}

/// The resolved arguments of a conversation.
#[derive(Debug)]
pub(crate) struct Config {
    /// The server. `None` means the server that was used last.
    pub(crate) address: Option<Address>,
    /// The nick to request.
    pub(crate) nick: Option<String>,
    /// The room to join.
    pub(crate) room: Option<String>,
    /// Whether to use line mode even on a terminal.
    pub(crate) is_plain: bool,
    /// How a conversation in line mode begins and ends.
    pub(crate) plan: Plan,
}

/// A server's address as it was typed. Its host name is not resolved yet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Address {
    /// A host name or an IP address. An IPv6 address has no brackets here.
    pub(crate) host: String,
    /// A TCP port, not 0.
    pub(crate) port: u16,
    /// The path of the server's WebSocket, if the address was a URL. `None` connects without WebSocket.
    pub(crate) web_path: Option<String>,
}

impl Default for Address {
    fn default() -> Self {
        Self {
            host: DEFAULT_HOST.to_owned(),
            port: DEFAULT_PORT,
            web_path: None,
        }
    }
}

impl FromStr for Address {
    type Err = AddressError;

    fn from_str(typed: &str) -> Result<Self, AddressError> {
        let url = Url::split(typed)?;
        let (host, port) = split(url.as_ref().map_or(typed, |url| url.authority))?;
        let is_misplaced = |c: char| c.is_whitespace() || c.is_control() || "/@?#".contains(c);
        if host.contains(is_misplaced) {
            return Err(AddressError::Host);
        }
        let port = match port {
            None if url.is_some() => HTTP_PORT,
            None if host.bytes().all(|byte| byte.is_ascii_digit()) => {
                return Err(AddressError::PortAlone);
            }
            None => DEFAULT_PORT,
            Some(port) => match port.parse() {
                Ok(0) | Err(_) => return Err(AddressError::Port),
                Ok(port) => port,
            },
        };
        Ok(Self {
            host: host.to_owned(),
            port,
            web_path: url.map(|url| url.web_path),
        })
    }
}

impl Display for Address {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        if self.web_path.is_some() {
            f.write_str("ws://")?;
        }
        match self.host.contains(':') {
            true => write!(f, "[{}]:{}", self.host, self.port),
            false => write!(f, "{}:{}", self.host, self.port),
        }?;
        f.write_str(self.web_path.as_deref().unwrap_or_default())
    }
}

/// The parts of the URL of a server's page or of its WebSocket.
struct Url<'a> {
    /// The host, and the port if the URL has one.
    authority: &'a str,
    /// The path of the WebSocket.
    web_path: String,
}

impl<'a> Url<'a> {
    /// Splits a URL. Returns `None` for an address that is not a URL.
    fn split(typed: &'a str) -> Result<Option<Self>, AddressError> {
        let Some((scheme, rest)) = typed.split_once("://") else {
            return Ok(None);
        };
        let is_page = match scheme.to_ascii_lowercase().as_str() {
            "http" => true,
            "ws" => false,
            "https" | "wss" => return Err(AddressError::Tls),
            _ => return Err(AddressError::Scheme),
        };
        let end = rest.find(['?', '#']).unwrap_or(rest.len());
        let (authority, path) = match rest[..end].split_once('/') {
            Some((authority, path)) => (authority, path),
            None => (&rest[..end], ""),
        };
        if authority.is_empty() || path.contains(|c: char| !c.is_ascii_graphic()) {
            return Err(AddressError::Host);
        }
        // The WebSocket is `ws` in the directory of the page.
        let (directory, name) = path
            .rsplit_once('/')
            .map_or(("", path), |(directory, name)| {
                (&path[..=directory.len()], name)
            });
        let name = if is_page || name.is_empty() {
            "ws"
        } else {
            name
        };
        Ok(Some(Self {
            authority,
            web_path: format!("/{directory}{name}"),
        }))
    }
}

/// Why an address is invalid.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum AddressError {
    /// The host is not a host name.
    Host,
    /// The part after the colon is not a port.
    Port,
    /// The address is only a number: a port without its colon.
    PortAlone,
    /// The address is an IPv6 address with a port, but without brackets.
    Brackets,
    /// The address is an IPv6 address whose last part may also be a port.
    Ambiguous,
    /// The address is a URL of a server that speaks TLS.
    Tls,
    /// The scheme of the URL is not known.
    Scheme,
}

impl Display for AddressError {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Host => "not a host name: write HOST:PORT",
            Self::Port => "not a port: a port is a number from 1 to 65535",
            Self::PortAlone => "a port alone is written with its colon, as in :5000",
            Self::Brackets => "an IPv6 address and a port are written [ADDRESS]:PORT",
            Self::Ambiguous => "ambiguous: write [ADDRESS]:PORT, or [ADDRESS] without a port",
            Self::Tls => "TLS is not supported: write http:// or ws://",
            Self::Scheme => "not the URL of a chat server: write http://HOST:PORT/",
        })
    }
}

impl std::error::Error for AddressError {}

/// Splits an address into its host and an optional port.
fn split(typed: &str) -> Result<(&str, Option<&str>), AddressError> {
    if let Some(bracketed) = typed.strip_prefix('[') {
        let (host, rest) = bracketed.split_once(']').ok_or(AddressError::Brackets)?;
        host.parse::<Ipv6Addr>().map_err(|_| AddressError::Host)?;
        return match rest.strip_prefix(':') {
            Some(port) => Ok((host, Some(port))),
            None if rest.is_empty() => Ok((host, None)),
            None => Err(AddressError::Brackets),
        };
    }
    if typed.parse::<Ipv6Addr>().is_ok() {
        let ends_in_a_port = typed.rsplit_once(':').is_some_and(|(host, port)| {
            host.parse::<Ipv6Addr>().is_ok() && port.parse::<u16>().is_ok()
        });
        return if ends_in_a_port {
            Err(AddressError::Ambiguous)
        } else {
            Ok((typed, None))
        };
    }
    match typed.rsplit_once(':') {
        Some((host, _)) if host.contains(':') => Err(AddressError::Brackets),
        Some(("", port)) => Ok((DEFAULT_HOST, Some(port))),
        Some((host, port)) => Ok((host, Some(port))),
        None if typed.is_empty() => Err(AddressError::Host),
        None => Ok((typed, None)),
    }
}

/// Accepts a single word. The server decides whether the word is a valid name.
fn one_word(name: &str) -> Result<String, &'static str> {
    if name.is_empty() {
        return Err("a name can't be empty");
    }
    // A line break would start a second command.
    if name.contains(char::is_whitespace) || text::clean(name) != name {
        return Err("a name can't hold spaces or control characters");
    }
    Ok(name.to_owned())
}

/// Accepts a strftime(3) format that jiff supports.
fn time_format(format: &str) -> Result<String, String> {
    match jiff::fmt::strtime::format(format, &Zoned::default()) {
        Ok(_) => Ok(format.to_owned()),
        Err(error) => Err(error.to_string()),
    }
}

/// The default address of `chat-server`.
const DEFAULT_HOST: &str = "127.0.0.1";
const DEFAULT_PORT: u16 = 5000;

/// The port of a URL without a port.
const HTTP_PORT: u16 = 80;

const SCRIPT_EXIT_CODES: &str = "\
Exit codes: 0 success, 1 refused or the server can't be reached, 2 wrong arguments";

const EXIT_CODES: &str = "\
When its input ends, it waits until the server has processed all lines, then leaves; Ctrl-C leaves like /quit.

Exit codes: 0 you left, 1 the server can't be reached, refused you or closed the connection, 2 wrong arguments";

#[cfg(test)]
mod tests {
    use super::*;

    fn address(typed: &str) -> Result<String, AddressError> {
        typed.parse().map(|address: Address| address.to_string())
    }

    fn config(args: &[&str]) -> Config {
        let cli = Cli::try_parse_from([&["chat-client"], args].concat()).unwrap();
        *cli.into_command().unwrap_err()
    }

    #[test]
    fn the_command_line_is_consistent() {
        <Cli as clap::CommandFactory>::command().debug_assert();
    }

    #[test]
    fn an_address_may_leave_out_either_part() {
        assert_eq!(Address::default().to_string(), "127.0.0.1:5000");
        assert_eq!(address("chat.example:6000").unwrap(), "chat.example:6000");
        assert_eq!(address("localhost").unwrap(), "localhost:5000");
        assert_eq!(address(":6000").unwrap(), "127.0.0.1:6000");
        assert_eq!(address("10.0.0.1").unwrap(), "10.0.0.1:5000");
    }

    #[test]
    fn an_ipv6_address_may_stand_alone_or_in_brackets() {
        assert_eq!(address("::1").unwrap(), "[::1]:5000");
        assert_eq!(address("[::1]").unwrap(), "[::1]:5000");
        assert_eq!(address("[::1]:6000").unwrap(), "[::1]:6000");
        assert_eq!(address("[::1]6000"), Err(AddressError::Brackets));
        assert_eq!(address("[::1"), Err(AddressError::Brackets));
        assert_eq!(address("::1:x"), Err(AddressError::Brackets));
        assert_eq!(address("[localhost]"), Err(AddressError::Host));
    }

    #[test]
    fn an_ipv6_address_that_may_end_in_a_port_needs_brackets() {
        for typed in ["::1:5101", "::1:5000", "2001:db8::7:5000", "fe80::1:2"] {
            assert_eq!(address(typed), Err(AddressError::Ambiguous), "{typed}");
        }
        assert_eq!(address("[::1:5101]").unwrap(), "[::1:5101]:5000");
        assert_eq!(address("[::1]:5101").unwrap(), "[::1]:5101");
        // In each address, the last part is not a port, or the part before it is not an IPv6 address.
        for typed in [
            "fe80::1:beef",
            "::1:70000",
            "2001:db8::1",
            "1:2:3:4:5:6:7:8",
        ] {
            let expected = typed.parse::<Ipv6Addr>().ok();
            let parsed = typed.parse::<Address>().map(|address| address.host);
            assert_eq!(parsed.ok(), expected.map(|_| typed.to_owned()), "{typed}");
        }
        assert_eq!(address("1:2:3:4:5:6:7:8:5000"), Err(AddressError::Brackets));
    }

    #[test]
    fn the_url_of_a_page_or_of_a_websocket_is_an_address() {
        for (typed, shown) in [
            ("http://chat.example:5000/", "ws://chat.example:5000/ws"),
            ("http://chat.example:5000", "ws://chat.example:5000/ws"),
            ("HTTP://chat.example", "ws://chat.example:80/ws"),
            ("http://10.0.0.1:5000/#ops", "ws://10.0.0.1:5000/ws"),
            (
                "http://chat.example/team/index.html?x=1#ops",
                "ws://chat.example:80/team/ws",
            ),
            ("http://chat.example/team/", "ws://chat.example:80/team/ws"),
            ("ws://chat.example:5000", "ws://chat.example:5000/ws"),
            ("ws://[::1]:5000/ws", "ws://[::1]:5000/ws"),
            (
                "ws://chat.example/team/socket",
                "ws://chat.example:80/team/socket",
            ),
        ] {
            assert_eq!(address(typed).as_deref(), Ok(shown), "{typed}");
            assert_eq!(address(shown).as_deref(), Ok(shown), "{shown}");
        }
        assert_eq!(address("https://chat.example/"), Err(AddressError::Tls));
        assert_eq!(address("wss://chat.example/ws"), Err(AddressError::Tls));
        assert_eq!(address("irc://chat.example"), Err(AddressError::Scheme));
        for typed in [
            "http:///ws",
            "http://me@chat.example/",
            "ws://two words/",
            "host/ws",
        ] {
            assert_eq!(address(typed), Err(AddressError::Host), "{typed}");
        }
        assert_eq!(address("http://chat.example:0/"), Err(AddressError::Port));
    }

    #[test]
    fn what_is_no_address_is_refused_with_a_reason() {
        assert_eq!(address(""), Err(AddressError::Host));
        assert_eq!(address("two words"), Err(AddressError::Host));
        assert_eq!(address("5000"), Err(AddressError::PortAlone));
        for port in ["host:", "host:0", "host:65536", "host:http", "host:-1"] {
            assert_eq!(address(port), Err(AddressError::Port), "{port}");
        }
    }

    #[test]
    fn a_place_may_name_its_epoch() {
        let since = |typed: &str| typed.parse::<Since>().ok();
        let seq = 1041;
        let epoch = None;
        assert_eq!(since("1041"), Some(Since { epoch, seq }));
        let epoch = Some("k3f".to_owned());
        assert_eq!(since("k3f:1041"), Some(Since { epoch, seq }));
        for typed in ["", "k3f", "k3f:", ":x", "-1"] {
            assert_eq!(since(typed), None, "{typed}");
        }
    }

    #[test]
    fn a_time_that_can_not_be_formatted_is_a_usage_error() {
        let parse = |format| Cli::try_parse_from(["chat-client", "tail", "ops", "--time", format]);
        for format in ["%F %T", "%H:%M", "", "%Y-%m-%dT%H:%M:%S%:z"] {
            assert!(parse(format).is_ok(), "{format}");
        }
        for format in ["%", "%!"] {
            assert_eq!(parse(format).unwrap_err().exit_code(), 2, "{format}");
        }
    }

    #[test]
    fn nick_and_room_become_the_first_lines() {
        assert_eq!(config(&[]).plan.opening, "");
        let config = config(&["--room", "ops", "--nick", "한글", "::1"]);
        assert_eq!(config.plan.opening, "/nick 한글\n/join ops\n");
        assert_eq!(config.address.unwrap().host, "::1");
    }

    #[test]
    fn a_name_can_not_smuggle_in_a_second_command() {
        for name in ["", "a\n/quit", "a b", "a\u{1b}[2J", "a\u{202e}b"] {
            for flag in ["--nick", "--room"] {
                let error = Cli::try_parse_from(["chat-client", flag, name]).unwrap_err();
                assert_eq!(error.exit_code(), 2, "{flag} {name:?}");
            }
        }
    }
}
