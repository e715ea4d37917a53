//! The registration of a peer: what it has said before its session begins.
//!
//! ```text
//!   CAP LS or CAP REQ ---> negotiating --- CAP END ---+
//!   NICK, USER, PASS, in any order -------------------+---> hello ---> registered
//!                            ^                                |
//!                            +---- the nick is refused -------+
//! ```

use crate::commands::Asking;
use crate::names::middle;
use crate::numeric as n;
use crate::pending::What;
use chat_core::protocol::Command;

/// What a peer has said so far.
#[derive(Debug, Default)]
pub(crate) struct Registering {
    pub(crate) nick: Option<Box<str>>,
    pub(crate) has_user: bool,
    pub(crate) real_name: Box<str>,
    /// The peer negotiates capabilities, so the session waits for CAP END.
    pub(crate) is_negotiating: bool,
    /// Core was asked to begin the session.
    pub(crate) is_asked: bool,
}

/// The most bytes of a nick that is kept until the session begins. A longer one is refused by core.
const NICK_BYTES_MAX: usize = 400;

/// The most bytes of a real name.
pub(crate) const REAL_NAME_BYTES_MAX: usize = 150;

/// Processes NICK before the session begins.
pub(crate) fn nick(ask: &mut Asking<'_, '_, '_>, nick: &str) {
    if nick.is_empty() {
        return ask.numeric(n::ERR_NONICKNAMEGIVEN, &[], "No nickname given");
    }
    let nick = &nick[..nick.floor_char_boundary(NICK_BYTES_MAX)];
    if let Some(registering) = &mut ask.peer.registering {
        registering.nick = Some(nick.into());
    }
}

/// Processes USER.
pub(crate) fn user(ask: &mut Asking<'_, '_, '_>, parameters: &[&str]) {
    let [user, _, _, real_name, ..] = parameters else {
        return ask.needs_more("USER");
    };
    if user.is_empty() {
        return ask.needs_more("USER");
    }
    match &mut ask.peer.registering {
        Some(registering) => {
            registering.has_user = true;
            registering.real_name = kept_real_name(real_name);
        }
        None => ask.registered_already(),
    }
}

/// Processes PASS. The password is for accounts, which this server does not have yet, so it is dropped.
pub(crate) fn pass(ask: &mut Asking<'_, '_, '_>, parameters: &[&str]) {
    if ask.peer.registering.is_none() {
        ask.registered_already();
    } else if parameters
        .first()
        .is_none_or(|password| password.is_empty())
    {
        ask.needs_more("PASS");
    }
}

/// Asks core to begin the session once the peer has said all that is needed.
pub(crate) fn complete(ask: &mut Asking<'_, '_, '_>) {
    let Some(registering) = &mut ask.peer.registering else {
        return;
    };
    let is_ready = registering.has_user && !registering.is_negotiating && !registering.is_asked;
    let Some(nick) = registering.nick.take_if(|_| is_ready) else {
        return;
    };
    registering.is_asked = true;
    let what = What::Hello(middle(&nick).into());
    ask.push(Command::hello(nick.into_string()), what);
}

/// Returns the real name as it is shown.
pub(crate) fn kept_real_name(real_name: &str) -> Box<str> {
    let real_name = chat_core::text::clean(real_name);
    real_name[..real_name.floor_char_boundary(REAL_NAME_BYTES_MAX)].into()
}

/// Refuses a command that needs a session.
pub(crate) fn refuse(ask: &mut Asking<'_, '_, '_>, command: &str) {
    let command = middle(command);
    ask.numeric(n::ERR_NOTREGISTERED, &[&command], "You have not registered");
}
