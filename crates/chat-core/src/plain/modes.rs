//! Writes the modes of a room in words.

use crate::log::{MaskEntry, MaskList, Modes, Role, Setting};
use crate::name::RoomName;
use crate::plain::write::notice;
use bytes::BytesMut;

/// Writes the modes of a room in one line, and the peer's role in the room.
pub(super) fn write_modes(room: &RoomName, modes: &Modes, role: Option<Role>, out: &mut BytesMut) {
    let settings = Setting::ALL
        .into_iter()
        .filter(|setting| modes.has(*setting));
    let mut words: Vec<String> = settings
        .map(|setting| setting.as_str().to_owned())
        .collect();
    words.extend(modes.key().map(|key| format!("key {}", key.as_str())));
    words.extend(modes.limit().map(|limit| format!("limit {limit}")));
    for list in MaskList::ALL {
        match modes.list(list).len() {
            0 => {}
            1 => words.push(format!("1 {} (/bans lists it)", list.as_str())),
            count => words.push(format!("{count} {}s (/bans lists them)", list.as_str())),
        }
    }
    for (account, role) in modes.accounts() {
        words.push(format!("{} {account}", role.as_str()));
    }
    let role = match role {
        Some(Role::Voice) => "; you have a voice",
        Some(Role::Operator) => "; you are an operator",
        Some(Role::Owner) => "; you are an owner",
        None => "",
    };
    match words.is_empty() {
        true => notice(out, format_args!("{room}: no modes are set{role}")),
        false => notice(out, format_args!("{room}: {}{role}", words.join(", "))),
    }
}

/// Writes the masks of a room's lists, one a line.
pub(super) fn write_masks(room: &RoomName, modes: &Modes, out: &mut BytesMut) {
    let mut is_empty = true;
    for list in MaskList::ALL {
        for MaskEntry { mask, by, .. } in modes.list(list) {
            is_empty = false;
            notice(out, format_args!("{}: {mask} (set by {by})", list.as_str()));
        }
    }
    if is_empty {
        notice(out, format_args!("nobody is banned from {room}"));
    }
}
