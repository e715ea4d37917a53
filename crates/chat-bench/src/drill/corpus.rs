//! What a hostile or broken peer sends: random lines, valid ones with something wrong, and attacks on terminals.

use fastrand::Rng;

/// Lines that the server understands; a mutation begins with one of them.
const VALID: [&str; 23] = [
    "hello",
    "안녕하세요 여러분 ㅋㅋ",
    "naïve café 👨‍👩‍👧 déjà vu",
    "a somewhat longer message, as people write them when they have something to say",
    "//shrug",
    "/help",
    "/help nick",
    "/nick kim",
    "/nick 한글",
    "/join ops",
    "/join #개발",
    "/leave",
    "/rooms",
    "/who",
    "/who ops",
    "/msg kim psst",
    "/msg 한글 안녕",
    "/me waves",
    "/topic on call: kim",
    "/topic",
    "/history 5",
    "/echo on",
    "/time off",
];

/// What a mutation puts somewhere.
const SPLINTERS: [&[u8]; 14] = [
    b"\xff\xfd\x01",
    b"\xff\xfa\x18\x00xterm\xff\xf0",
    b"\xff\xfa",
    b"\xff\xff",
    b"\xff",
    b"\r\0",
    b"\r",
    b"\0",
    b"\x1b]0;owned\x07",
    b"\xe2\x80\xae",
    b"\xed\xa0\x80",
    b"\xc0\xaf",
    b"\xf4\x90\x80\x80",
    b"\n\n\n",
];

/// Appends a line of random bytes, characters or keys.
pub(crate) fn random_line(random: &mut Rng, out: &mut Vec<u8>) {
    let length = match random.usize(..1000) {
        0 => random.usize(..20_000),
        1..=20 => random.usize(..1000),
        _ => random.usize(..60),
    };
    match random.usize(..4) {
        0 => out.extend((0..length).map(|_| random.u8(..))),
        1 => out.extend((0..length).map(|_| random.u8(..) & 0x7f)),
        2 => out.extend((0..length).map(|_| b' ' + random.u8(..) % 95)),
        _ => {
            for _ in 0..length / 3 {
                let scalar = char::from_u32(random.usize(..0x11_0000) as u32);
                out.extend_from_slice(scalar.unwrap_or('?').encode_utf8(&mut [0; 4]).as_bytes());
            }
        }
    }
    out.push(b'\n');
}

/// Appends a valid line with one to four things wrong.
pub(crate) fn mutated_line(random: &mut Rng, out: &mut Vec<u8>) {
    // What is behind it goes unread, so it does not come often.
    let valid = if random.usize(..2000) == 0 {
        "/quit bye"
    } else {
        VALID[random.usize(..VALID.len())]
    };
    let mut line = valid.as_bytes().to_vec();
    for _ in 0..=random.usize(..4) {
        mutate(random, &mut line);
    }
    out.extend_from_slice(&line);
    // Sometimes the next line sticks to it.
    if random.usize(..50) > 0 {
        out.push(b'\n');
    }
}

fn mutate(random: &mut Rng, line: &mut Vec<u8>) {
    let at = random.usize(..line.len() + 1);
    match random.usize(..8) {
        0 => {
            if let Some(byte) = line.get_mut(at) {
                *byte ^= 1 << random.usize(..8);
            }
        }
        1 => line.insert(at, random.u8(..)),
        2 if at < line.len() => {
            line.remove(at);
        }
        3 => line.truncate(at),
        4 => {
            line.splice(
                at..at,
                SPLINTERS[random.usize(..SPLINTERS.len())].iter().copied(),
            );
        }
        5 => line.extend_from_within(at..),
        6 => line.insert(at, random.u8(..) & 0x1f),
        _ if random.usize(..100) == 0 => {
            line.extend(std::iter::repeat_n(b'x', random.usize(..10_000)))
        }
        _ => line.insert(at, b' '),
    }
}

/// An attack on whoever reads.
#[derive(Debug)]
pub(crate) struct Attack {
    pub(crate) name: &'static str,
    pub(crate) bytes: &'static [u8],
    /// Whether what is around it may be said at all: it is UTF-8, and no telnet command swallows any of it.
    pub(crate) is_sayable: bool,
}

const fn attack(name: &'static str, bytes: &'static [u8], is_sayable: bool) -> Attack {
    Attack {
        name,
        bytes,
        is_sayable,
    }
}

/// Attacks on terminals, each to be put into whatever a member can name or say.
pub(crate) const ATTACKS: [Attack; 34] = [
    attack("OSC 0, title", b"\x1b]0;owned\x07", true),
    attack("OSC 0 ended by ST", b"\x1b]0;owned\x1b\\", true),
    attack("OSC 2, title", b"\x1b]2;owned\x07", true),
    attack(
        "OSC 8, link",
        b"\x1b]8;;http://evil.example\x07click\x1b]8;;\x07",
        true,
    ),
    attack("OSC 52, clipboard", b"\x1b]52;c;cm0gLXJmIH4K\x07", true),
    attack("OSC 1337", b"\x1b]1337;File=inline=1:AAAA\x07", true),
    attack("CSI 2J, clear", b"\x1b[2J\x1b[H", true),
    attack("CSI 31m, colour", b"\x1b[31mred\x1b[0m", true),
    attack("CSI 1A, cursor up", b"\x1b[1A\x1b[2K", true),
    attack("CSI 21t, title report", b"\x1b[21t", true),
    attack("CSI 6n, position report", b"\x1b[6n", true),
    attack("CSI ?1049h, other screen", b"\x1b[?1049h", true),
    attack("DCS, answerback", b"\x1bP$q\"p\x1b\\", true),
    attack("DCS, sixel", b"\x1bPq#0;2;0;0;0\x1b\\", true),
    attack("APC", b"\x1b_Gi=1\x1b\\", true),
    attack("PM", b"\x1b^x\x1b\\", true),
    attack("ESC c, reset", b"\x1bc", true),
    attack("ESC ( 0, line drawing", b"\x1b(0", true),
    attack("C1 CSI in UTF-8", "\u{9b}2J".as_bytes(), true),
    attack("C1 OSC in UTF-8", "\u{9d}0;owned\u{9c}".as_bytes(), true),
    attack("C1 DCS in UTF-8", "\u{90}q\u{9c}".as_bytes(), true),
    attack("C1 NEL in UTF-8", "\u{85}* admin joined".as_bytes(), true),
    attack("C1 CSI as a bare byte", b"\x9b2J", false),
    attack("BEL", b"\x07\x07\x07", true),
    attack(
        "backspaces",
        b"\x08\x08\x08\x08\x08\x08\x08\x08* admin joined",
        // They delete what marks it.
        false,
    ),
    attack("CR overwrites", b"\r* admin joined", true),
    attack("NUL", b"a\0b", true),
    attack("vertical tab and form feed", b"\x0b\x0c", true),
    attack("SO and SI", b"\x0e\x0f", true),
    attack("DEL", b"\x7f\x7f", false),
    attack(
        "bidi override",
        "\u{202e}nimda\u{202c}\u{202d}".as_bytes(),
        true,
    ),
    attack(
        "bidi isolates",
        "\u{2066}\u{2067}\u{2068}x\u{2069}\u{202a}\u{202b}".as_bytes(),
        true,
    ),
    attack(
        "line separators",
        "\u{2028}* admin joined\u{2029}".as_bytes(),
        true,
    ),
    attack(
        "telnet commands",
        b"\xff\xfb\x01\xff\xfd\x18\xff\xfa\x18\x01\xff\xf0\xff\xf1",
        false,
    ),
];

/// Whether a terminal may be given this: no C0 control but tab and the end of a line, no DEL, no C1, nothing that
/// breaks or turns lines. Returns what is wrong with it.
pub(crate) fn danger_in(bytes: &[u8]) -> Option<String> {
    let text = match std::str::from_utf8(bytes) {
        Ok(text) => text,
        Err(error) => return Some(format!("not UTF-8: {error}")),
    };
    let found = text.chars().find(|c| match c {
        '\t' | '\n' => false,
        '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}' => true,
        c => c.is_control(),
    })?;
    let shown: String = text.escape_default().take(120).collect();
    Some(format!("U+{:04X} in {shown}", u32::from(found)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_seed_makes_the_same_garbage() {
        let garbage = || {
            let (mut random, mut out) = (Rng::with_seed(7), Vec::new());
            for _ in 0..1000 {
                random_line(&mut random, &mut out);
                mutated_line(&mut random, &mut out);
            }
            out
        };
        assert_eq!(garbage(), garbage());
    }

    #[test]
    fn every_attack_but_the_telnet_commands_is_dangerous() {
        for attack in ATTACKS {
            assert!(danger_in(attack.bytes).is_some(), "{}", attack.name);
        }
        assert_eq!(danger_in("plain\t한글 👨‍👩‍👧\n".as_bytes()), None);
    }
}
