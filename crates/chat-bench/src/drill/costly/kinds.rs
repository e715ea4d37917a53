//! The kinds of requests that may slow down other members. Each kind has a scene and a script.

use super::super::client::PROBED;
use super::attack::{Flow, Script};
use super::scene::{HANGUL, LAST, ROOMS_MAX, Scene, ababab, hangul, hello};
use fastrand::Rng;

/// One kind of costly request.
#[derive(Clone, Copy, Debug)]
pub(super) struct Kind {
    pub(super) name: &'static str,
    pub(super) scene: Scene,
    pub(super) flow: Flow,
    pub(super) script: fn(&mut Rng) -> Script,
}

/// The length of the longest line of each dialect, in bytes. It is a little below the limit: 8 KiB (plain) or 64 KiB
/// (JSON).
const PLAIN_BYTES: usize = 8_000;
const JSON_BYTES: usize = 64_000;

/// The number of lines that the default rate allows at once, minus two: one for the hello and one for the probe.
const AT_ONCE: usize = 18;

/// The names of the rooms of [`Scene::Crowd`].
fn crowd() -> Vec<String> {
    (0..ROOMS_MAX).map(|n| format!("r{n}")).collect()
}

macro_rules! kinds {
    ($($name:literal, $scene:ident, $flow:ident, $script:expr;)*) => {
        /// All kinds of costly requests.
        pub(super) const KINDS: &[Kind] = &[
            $(Kind { name: $name, scene: Scene::$scene, flow: Flow::$flow, script: $script },)*
        ];
    };
}

kinds! {
    "search-plain", Big, Pipelined, |_| plain(NONE_FOUND, [search(&repeated(PLAIN_BYTES))]);
    "search-plain-words", Big, Pipelined, |_| plain(NONE_FOUND, [search(&endings(PLAIN_BYTES))]);
    "search-plain-short", Big, Pipelined, |_| plain(NONE_FOUND, ["/search aaab zz".to_owned()]);
    "search-json", Big, Pipelined, |_| json([json_search(&repeated(JSON_BYTES))]);
    "search-json-words", Big, Pipelined, |_| json([json_search(&endings(3_900))]);
    "search-json-hangul", Big, Pipelined, |_| json([json_search(&hangul(0, JSON_BYTES / 3))]);
    "search-unread", Big, Unread, |_| plain(NONE_FOUND, ["/search ab".to_owned()]);
    "search-again", Big, Reconnecting, |_| again([search(&repeated(PLAIN_BYTES))]);
    "history-big", Big, Pipelined, |_| plain(LAST, ["/history 1000".to_owned()]);
    "history-big-unread", Big, Unread, |_| plain(LAST, ["/history 1000".to_owned()]);
    "history-big-again", Big, Reconnecting, |_| again(vec!["/history 1000".to_owned(); 4]);
    "history-small", Small, Pipelined, |_| plain(LAST, ["/history 1000".to_owned()]);
    "history-small-json", Small, Pipelined, |_| json([
        r#"{"cmd":"history","id":2,"room":"lobby","limit":1000}"#.to_owned(),
    ]);
    "join-replay", Big, Pipelined, |_| json([
        r#"{"cmd":"leave","id":2,"room":"lobby"}"#.to_owned(),
        r#"{"cmd":"join","id":3,"room":"lobby","after":{"seq":0},"limit":1000}"#.to_owned(),
    ]);
    "who-crowd", Crowd, Pipelined, |_| plain(b"* r0: ", ["/who r0".to_owned()]);
    "rooms-plain", Rooms, Pipelined, |_| plain(b"* rooms: ", ["/rooms".to_owned()]);
    "rooms-unread", Rooms, Unread, |_| plain(b"* rooms: ", ["/rooms".to_owned()]);
    "rooms-json", Rooms, Pipelined, |_| json([r#"{"cmd":"rooms","id":2}"#.to_owned()]);
    "rooms-again", Rooms, Reconnecting, |_| again(vec!["/rooms".to_owned(); 4]);
    "hello-64-rooms", Crowd, Reconnecting, |_| Script {
        lines: vec![hello(1, "", &crowd(), None).into_bytes()],
        answered: br#"{"re":1,"#,
        ..Script::default()
    };
    "hello-replay", Big, Reconnecting, |_| Script {
        lines: vec![
            hello(1, "", &["lobby".to_owned()], Some(0)).into_bytes(),
            br#"{"cmd":"ping","id":"end"}"#.to_vec(),
            b"\n".to_vec(),
        ],
        answered: br#"{"re":"end""#,
        ..Script::default()
    };
    "nick-64-rooms", Crowd, Pipelined, |random| {
        let nicks = [look_alike(random), look_alike(random)];
        let lines = nicks.map(|nick| format!(r#"{{"cmd":"nick","id":2,"nick":"{nick}"}}"#));
        Script { opening: hello(1, "", &crowd(), None).into_bytes(), ..json(lines) }
    };
    "join-leave", Crowd, Pipelined, |_| plain(
        b"* you are guest",
        (0..ROOMS_MAX).map(|n| format!("/join r{n}")).collect::<Vec<_>>(),
    );
    "join-new-rooms", Small, Pipelined, join_new_rooms;
    "nick-look-alike", Small, Pipelined, |random| {
        let nicks = (0..64).map(|_| format!("/nick {}", look_alike(random)));
        plain(b"* you are now ", nicks.collect::<Vec<_>>())
    };
    "msg-long-name", Small, Pipelined, |_| {
        plain(b"-> ", [format!("/msg {} x", marks(PLAIN_BYTES - 20))])
    };
    "tell-long-name", Small, Pipelined, |_| json([
        format!(r#"{{"cmd":"tell","id":2,"to":"{}","text":"x"}}"#, marks(JSON_BYTES)),
    ]);
    "who-long-name", Small, Pipelined, |_| json([
        format!(r#"{{"cmd":"who","id":2,"room":"{}"}}"#, marks(JSON_BYTES)),
    ]);
    "unknown-command", Small, Pipelined, |_| {
        plain(b"\n! ", [format!("/{}", "İ".repeat(PLAIN_BYTES / 2))])
    };
    "unknown-json", Small, Pipelined, |_| json([
        format!(r#"{{"cmd":"{}","id":2}}"#, "İ".repeat(JSON_BYTES / 2)),
    ]);
    "topic", Small, Pipelined, |random| {
        let texts = [text(random, 4_000), text(random, 4_000)];
        plain(b"topic: ", texts.map(|text| format!("/topic {text}")))
    };
    "say-big", Small, Pipelined, |random| echoed([text(random, 4_000)]);
    "keys", Small, Pipelined, |random| json((0..500).map(|_| {
        let key: String = (0..4).map(|_| format!("{:016x}", random.u64(..))).collect();
        format!(r#"{{"cmd":"say","id":2,"room":"lobby","text":"x","key":"{key}"}}"#)
    }));
    "help-unread", Small, Unread, |_| plain(b"* anything else", ["/help".to_owned()]);
    "empty-lines", Small, Pipelined, |_| uncounted([b"\n".to_vec()]);
    "too-long-lines", Small, Pipelined, |_| plain(b"\n! ", ["x".repeat(9_000)]);
    "not-utf8", Small, Pipelined, |_| Script {
        lines: vec![b"\xff\xfe\xb0\xa1\n".to_vec()],
        ..plain(b"\n! ", [])
    };
    "telnet", Small, Pipelined, |_| uncounted([b"\xff\xfd\x01\xff\xfb\x03".to_vec()]);
    "half-sent-json", Small, Trickle, |_| {
        let half = format!(r#"{{"cmd":"say","room":"lobby","text":"{}"#, "x".repeat(JSON_BYTES));
        let mut script = json([]);
        script.opening.extend(half.into_bytes());
        Script { lines: vec![b"x".to_vec()], answers: Vec::new(), ..script }
    };
    "byte-by-byte", Small, Trickle, |random| echoed([text(random, 400)]);
    "json-nested", Small, Pipelined, |_| json([
        format!(r#"{{"cmd":"ping","id":2,"x":{}"#, r#"{"a":["#.repeat(JSON_BYTES / 6)),
        format!(r#"{{"cmd":"ping","id":2,"x":{}{}}}"#, "[".repeat(100), "]".repeat(100)),
    ]);
    "json-numbers", Small, Pipelined, |_| json([
        format!(r#"{{"cmd":"history","id":2,"limit":{}}}"#, "9".repeat(JSON_BYTES)),
        format!(r#"{{"cmd":"ping","id":2,"x":0.{}e-400}}"#, "1".repeat(JSON_BYTES)),
    ]);
    "json-fields", Small, Pipelined, |_| json([
        format!(r#"{{{}"cmd":"ping","id":2}}"#, r#""\u0061":1,"#.repeat(JSON_BYTES / 11)),
        format!(r#"{{"cmd":"ping","id":2,"join":[{}0]}}"#, "{\"room\":\"\"},".repeat(JSON_BYTES / 12)),
    ]);
    "connect", Small, Reconnecting, |_| Script::default();
    "connect-greeted", Big, Reconnecting, |_| again([String::new()]);
    "connect-json", Small, Reconnecting, |_| Script {
        lines: vec![hello(1, "", &["lobby".to_owned()], None).into_bytes()],
        answered: br#"{"re":1,"#,
        ..Script::default()
    };
    "mixture-plain", Big, Pipelined, |random| {
        let lines = (0..200).map(|_| plain_line(random)).collect::<Vec<_>>();
        Script { answers: Vec::new(), ..plain(b"", lines) }
    };
    "mixture-json", Big, Pipelined, |random| {
        json((0..100).map(|_| json_line(random)).collect::<Vec<_>>())
    };
    "data-search-hangul", Data, Pipelined, |_| plain(NONE_FOUND, [search(&hangul(0, PLAIN_BYTES / 3))]);
    "data-search-hangul-json", Data, Pipelined, |_| json([json_search(&hangul(0, 1_000))]);
    "data-search-words", Data, Pipelined, |random| {
        let words: Vec<_> = (0..2_000).map(|_| hangul(random.usize(..HANGUL.len()), 2)).collect();
        plain(NONE_FOUND, [search(&cut(&words.join(" "), PLAIN_BYTES))])
    };
    "data-search-unread", Data, Unread, |_| plain(NONE_FOUND, [search(&hangul(0, 2))]);
    "data-history", Data, Pipelined, |_| json([
        r#"{"cmd":"history","id":2,"room":"lobby","before":1900,"limit":1000}"#.to_owned(),
    ]);
    "data-unique-words", Data, Pipelined, |random| {
        echoed((0..64).map(|_| unique_words(random, 4_000)).collect::<Vec<_>>())
    };
    "data-unique-hangul", Data, Pipelined, |random| {
        echoed((0..64).map(|_| unique_hangul(random, 1_300)).collect::<Vec<_>>())
    };
    "data-join-new-rooms", Data, Pipelined, join_new_rooms;
}

/// Texts in the answer to a search: without a match, and with a match.
const NONE_FOUND: &[u8] = b"* nothing found";
const SOME_FOUND: &[u8] = b" found; /history N PLACE";

/// A text that each echo of the sender's messages contains once. Echoes are counted by this text.
const ECHOED: &[u8] = b": costly ";

fn join_new_rooms(random: &mut Rng) -> Script {
    let rooms = (0..2_000).map(|_| format!("n{:x}", random.u64(..)));
    json(rooms.flat_map(|room| {
        ["join", "leave"].map(|cmd| format!(r#"{{"cmd":"{cmd}","id":2,"room":"{room}"}}"#))
    }))
}

/// A script of plain lines. Each answer contains `answer`, or is an error.
fn plain(answer: &'static [u8], lines: impl IntoIterator<Item = String>) -> Script {
    let mut answers = vec![answer, b"\n! "];
    answers.dedup();
    if answer == NONE_FOUND {
        answers.push(SOME_FOUND);
    }
    Script {
        opening: b"/answer\n".to_vec(),
        opened: ANSWER,
        lines: bytes(lines),
        answers,
        ..Script::default()
    }
}

/// A script of messages whose echoes are counted.
fn echoed(texts: impl IntoIterator<Item = String>) -> Script {
    let lines = texts.into_iter().map(|text| format!("costly {text}"));
    Script {
        opening: b"/echo on\n/answer\n".to_vec(),
        ..plain(ECHOED, lines)
    }
}

/// A script of lines whose answers can't be counted.
fn uncounted(lines: impl IntoIterator<Item = Vec<u8>>) -> Script {
    Script {
        lines: lines.into_iter().collect(),
        answers: Vec::new(),
        ..plain(b"", [])
    }
}

/// A script of JSON lines. The server answers each line with a reply (`re`) or an error without an id (`err`).
fn json(lines: impl IntoIterator<Item = String>) -> Script {
    Script {
        opening: hello(1, "", &["lobby".to_owned()], None).into_bytes(),
        opened: br#"{"re":1,"#,
        lines: bytes(lines),
        answers: vec![br#"{"re":"#, br#"{"err":"#],
        ..Script::default()
    }
}

/// A script of plain lines for many connections. Each connection sends as many lines at once as the default rate
/// allows.
fn again(lines: impl IntoIterator<Item = String>) -> Script {
    let lines = lines.into_iter().take(AT_ONCE);
    Script {
        lines: bytes(lines.chain(["/answer".to_owned()])),
        answered: ANSWER,
        ..Script::default()
    }
}

/// The beginning of the server's answer to the probe. The probe is an unknown command.
const ANSWER: &[u8] = PROBED.as_bytes();

fn bytes(lines: impl IntoIterator<Item = String>) -> Vec<Vec<u8>> {
    lines
        .into_iter()
        .map(|line| (line + "\n").into_bytes())
        .collect()
}

fn search(words: &str) -> String {
    format!("/search {words}")
}

fn json_search(words: &str) -> String {
    format!(r#"{{"cmd":"search","id":2,"room":"lobby","text":"{words}"}}"#)
}

/// Returns the words `aaab aaab .. zz`, about `bytes` long. Every message of the lobby ends with `aaab`; no message
/// contains `zz`.
fn repeated(bytes: usize) -> String {
    let mut words = "aaab ".repeat(bytes / 5);
    words.push_str("zz");
    words
}

/// Returns the words of a search that finds no message. Each word but the last is a different ending of the text that
/// the lobby's messages have. No message contains the last word.
fn endings(bytes: usize) -> String {
    let text = ababab(4_000);
    let mut words = String::new();
    for length in 4.. {
        if words.len() + length > bytes {
            break;
        }
        words.push_str(&text[text.len() - length..]);
        words.push(' ');
    }
    words.push_str("zz");
    words
}

/// Returns a nick of about the maximum length. Its letters look like other letters, and the server must normalise them.
fn look_alike(random: &mut Rng) -> String {
    const PARTS: [&str; 8] = ["а", "е", "о", "𝐚", "ﷺ", "e\u{301}", "ﬀ", "İ"];
    let mut nick = String::from("n");
    while nick.len() < 100 {
        nick.push_str(PARTS[random.usize(..PARTS.len())]);
    }
    nick
}

/// Returns a name far over the length limit. The server must sort and compose the combining marks of its letters.
fn marks(bytes: usize) -> String {
    // The combining classes of these marks descend, so each mark must be sorted before all marks that precede it.
    const MARKS: &str = "\u{345}\u{301}\u{323}\u{31b}";
    let mut name = String::from("a");
    while name.len() + MARKS.len() <= bytes {
        name.push_str(MARKS);
    }
    name
}

fn text(random: &mut Rng, bytes: usize) -> String {
    (0..bytes).map(|_| random.lowercase()).collect()
}

fn unique_words(random: &mut Rng, bytes: usize) -> String {
    let mut words = String::new();
    while words.len() + 9 <= bytes {
        words.push_str(&text(random, 8));
        words.push(' ');
    }
    words
}

fn unique_hangul(random: &mut Rng, syllables: usize) -> String {
    const FIRST: u32 = 0xac00;
    const COUNT: usize = 11_172;
    let syllable = |_| char::from_u32(FIRST + random.usize(..COUNT) as u32).unwrap_or('가');
    (0..syllables).map(syllable).collect()
}

/// Returns a random costly line of the plain dialect.
fn plain_line(random: &mut Rng) -> String {
    match random.usize(..9) {
        0 => search(&repeated(1 + random.usize(..PLAIN_BYTES))),
        1 => search(&endings(1 + random.usize(..PLAIN_BYTES))),
        2 => format!("/history {}", random.usize(..1_001)),
        3 => "/rooms".to_owned(),
        4 => "/who".to_owned(),
        5 => format!("/nick {}", look_alike(random)),
        6 => format!("/msg {} x", marks(random.usize(..PLAIN_BYTES))),
        7 => format!("/{}", "İ".repeat(random.usize(..PLAIN_BYTES / 2))),
        _ => format!("/topic {}", text(random, 4_000)),
    }
}

/// Returns a random costly line of the JSON dialect.
fn json_line(random: &mut Rng) -> String {
    match random.usize(..7) {
        0 => json_search(&repeated(1 + random.usize(..JSON_BYTES))),
        1 => json_search(&hangul(0, random.usize(..JSON_BYTES / 3))),
        2 => r#"{"cmd":"history","id":2,"room":"lobby","limit":1000}"#.to_owned(),
        3 => r#"{"cmd":"rooms","id":2}"#.to_owned(),
        4 => format!(r#"{{"cmd":"nick","nick":"{}"}}"#, look_alike(random)),
        5 => format!(
            r#"{{"cmd":"tell","to":"{}","text":"x"}}"#,
            marks(random.usize(..JSON_BYTES))
        ),
        _ => format!(
            r#"{{"cmd":"{}"}}"#,
            "İ".repeat(random.usize(..JSON_BYTES / 2))
        ),
    }
}

/// Returns the longest beginning of `text` that is at most `bytes` long and splits no character.
fn cut(text: &str, bytes: usize) -> String {
    let end = (0..=bytes.min(text.len()))
        .rev()
        .find(|at| text.is_char_boundary(*at));
    text[..end.unwrap_or_default()].to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn kinds_have_unique_names_and_the_same_script_for_the_same_seed() {
        let names: BTreeSet<_> = KINDS.iter().map(|kind| kind.name).collect();
        assert_eq!(names.len(), KINDS.len());
        for kind in KINDS {
            let [script, same] = [1, 1].map(|seed| (kind.script)(&mut Rng::with_seed(seed)));
            assert_eq!(script.lines, same.lines, "{}", kind.name);
        }
    }

    #[test]
    fn lines_keep_to_the_limit() {
        let with_longer = ["too-long-lines"];
        for kind in KINDS
            .iter()
            .filter(|kind| !with_longer.contains(&kind.name))
        {
            let script = (kind.script)(&mut Rng::with_seed(1));
            let is_json = script.opening.starts_with(b"{") || script.answered.starts_with(b"{");
            let limit = if is_json { 65_536 } else { 8_192 };
            for line in &script.lines {
                assert!(line.len() <= limit, "{}: {} bytes", kind.name, line.len());
            }
        }
    }

    #[test]
    fn json_kinds_are_valid_unless_broken_on_purpose() {
        let broken_on_purpose = [
            "json-nested",
            "json-numbers",
            "json-fields",
            "half-sent-json",
        ];
        for kind in KINDS
            .iter()
            .filter(|kind| !broken_on_purpose.contains(&kind.name))
        {
            let script = (kind.script)(&mut Rng::with_seed(1));
            for line in script.lines.iter().filter(|line| line.starts_with(b"{")) {
                let parsed = serde_json::from_slice::<serde_json::Value>(line);
                assert!(parsed.is_ok(), "{}: {parsed:?}", kind.name);
            }
        }
    }

    #[test]
    fn endings_are_different_words_that_end_alike() {
        let words = endings(1_000);
        let words: Vec<_> = words.split(' ').collect();
        assert!(words.len() > 30 && words.last() == Some(&"zz"));
        let different: BTreeSet<_> = words.iter().collect();
        assert_eq!(different.len(), words.len());
        assert!(
            words[..words.len() - 1]
                .iter()
                .all(|word| word.ends_with("aaab"))
        );
    }
}
