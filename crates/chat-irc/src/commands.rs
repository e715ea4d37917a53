//! The commands of a peer, in a module for each group.

mod capabilities;
mod channels;
pub(crate) mod history;
mod messages;
mod modes;
pub(crate) mod queries;
pub(crate) mod server;
mod user;

use crate::dialect::Peer;
use crate::message::Message;
use crate::names::middle;
use crate::numeric::{self as n, Numeric};
use crate::pending::{Pending, What};
use crate::register;
use crate::reply::Replies;
use bytes::BytesMut;
use chat_core::protocol::{Command, Commands};

/// One line of a peer: where its commands and the dialect's own answers go.
pub(crate) struct Asking<'p, 'c, 'a> {
    pub(crate) peer: &'p mut Peer,
    pub(crate) commands: &'c mut Commands<'a>,
    /// Whether the answers belong to the newest of the peer's labelled answers.
    pub(crate) is_labelled: bool,
}

impl<'a> Asking<'_, '_, 'a> {
    /// Asks core to execute a command. Returns whether the line may ask for it.
    pub(crate) fn push(&mut self, command: Command<'a>, what: What) -> bool {
        if !self.commands.push(command) {
            self.numeric(n::ERR_TOOMANYTARGETS, &["*"], "Too many targets");
            return false;
        }
        let is_labelled = self.is_labelled;
        if let Some(labelled) = self.peer.labelled.back_mut().filter(|_| is_labelled) {
            labelled.left += 1;
        }
        self.peer.pending.push_back(Pending { what, is_labelled });
        true
    }

    /// Writes the dialect's own answer.
    pub(crate) fn write(&mut self, write: impl FnOnce(&Peer, &mut BytesMut)) {
        if !self.is_labelled {
            return write(self.peer, self.commands.out());
        }
        let mut lines = BytesMut::new();
        write(self.peer, &mut lines);
        self.peer.write_own(&lines, self.commands.out());
    }

    /// Writes a numeric as the dialect's own answer.
    pub(crate) fn numeric(&mut self, numeric: Numeric, parameters: &[&str], last: &str) {
        self.write(|peer, out| peer.replies().numeric(numeric, parameters, last, out));
    }

    /// Writes lines with the server's replies as the dialect's own answer.
    pub(crate) fn replies(&mut self, write: impl FnOnce(Replies<'_>, &mut BytesMut)) {
        self.write(|peer, out| write(peer.replies(), out));
    }

    pub(crate) fn needs_more(&mut self, command: &str) {
        self.numeric(n::ERR_NEEDMOREPARAMS, &[command], "Not enough parameters");
    }

    pub(crate) fn registered_already(&mut self) {
        self.numeric(n::ERR_ALREADYREGISTERED, &[], "You may not reregister");
    }
}

/// The longest command in bytes.
const COMMAND_BYTES_MAX: usize = 16;

/// Processes a line.
pub(crate) fn dispatch<'a>(ask: &mut Asking<'_, '_, 'a>, message: &Message<'a>) {
    let mut buffer = [0; COMMAND_BYTES_MAX];
    let Some(command) = upper_case(message.command(), &mut buffer) else {
        return unknown(ask, message.command());
    };
    let parameters = message.parameters();
    match command {
        "CAP" => capabilities::cap(ask, parameters),
        "PASS" => register::pass(ask, parameters),
        "USER" => register::user(ask, parameters),
        "NICK" if ask.peer.registering.is_some() => register::nick(ask, message.parameter(0)),
        "PING" => server::ping(ask, parameters),
        "PONG" | "ERROR" => {}
        "QUIT" => user::quit(ask, message.parameter(0)),
        _ if ask.peer.registering.is_some() => register::refuse(ask, message.command()),
        command => dispatch_registered(ask, command, message),
    }
}

/// Processes a line of a peer that has a session.
fn dispatch_registered<'a>(ask: &mut Asking<'_, '_, 'a>, command: &str, message: &Message<'a>) {
    let parameters = message.parameters();
    match command {
        "NICK" => user::nick(ask, message.parameter(0)),
        "SETNAME" => user::set_name(ask, parameters),
        "OPER" => user::oper(ask, parameters),
        "KILL" | "WALLOPS" | "REHASH" | "DIE" | "RESTART" | "SQUIT" | "CONNECT" => {
            user::operators_only(ask);
        }
        "JOIN" => channels::join(ask, parameters),
        "PART" => channels::part(ask, parameters),
        "NAMES" => channels::names(ask, message.parameter(0)),
        "TOPIC" => channels::topic(ask, parameters),
        "LIST" => channels::list(ask, message.parameter(0)),
        "MODE" => modes::mode(ask, parameters),
        "KICK" => modes::kick(ask, parameters),
        "INVITE" => modes::invite(ask, parameters),
        "PRIVMSG" => messages::privmsg(ask, parameters),
        "NOTICE" => messages::notice(ask, parameters),
        "TAGMSG" => messages::tagmsg(ask, parameters),
        "WHO" => queries::who(ask, parameters),
        "WHOIS" => queries::whois(ask, parameters),
        "WHOWAS" => queries::whowas(ask, parameters),
        "ISON" => queries::ison(ask, parameters),
        "USERHOST" => queries::userhost(ask, parameters),
        "CHATHISTORY" => history::chathistory(ask, parameters),
        "MOTD" => ask.write(server::write_motd),
        "LUSERS" => ask.write(server::write_lusers),
        "VERSION" => ask.write(server::write_version),
        "TIME" => ask.write(server::write_time),
        "INFO" => ask.write(server::write_info),
        "ADMIN" => ask.write(server::write_admin),
        "LINKS" => ask.write(server::write_links),
        "HELP" | "HELPOP" => server::help(ask, message.parameter(0)),
        _ => unknown(ask, message.command()),
    }
}

fn unknown(ask: &mut Asking<'_, '_, '_>, command: &str) {
    let command = middle(command);
    ask.numeric(n::ERR_UNKNOWNCOMMAND, &[&command], "Unknown command");
}

/// Returns a command in capitals; `None` if it is longer than any command.
fn upper_case<'b>(command: &str, buffer: &'b mut [u8; COMMAND_BYTES_MAX]) -> Option<&'b str> {
    let buffer = buffer.get_mut(..command.len())?;
    buffer.copy_from_slice(command.as_bytes());
    buffer.make_ascii_uppercase();
    std::str::from_utf8(buffer).ok()
}
