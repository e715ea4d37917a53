//! Rules that decide which names are equal and which can be confused. The rules use the full Unicode tables, which core
//! does not include.

use chat_core::name::NameRules;
use unicode_normalization::UnicodeNormalization;
use unicode_normalization::char::is_combining_mark;
use unicode_script::{Script, UnicodeScript};

/// Returns the rules for names. The rules ignore case and composition, and reject names that look alike.
pub(crate) fn rules() -> NameRules {
    let mut rules = NameRules::new(fold, skeleton, is_combining_mark);
    rules.stray_mark = stray_mark;
    rules
}

/// The maximum number of marks on one letter. Khmer, Tibetan and pointed Hebrew use up to three.
const MARKS_MAX: usize = 4;

/// Returns the first mark that is not allowed in a name, if there is one. A mark is allowed if it composes with its
/// letter, or if it belongs to the letter's own script (UAX #24) and the letter has at most [`MARKS_MAX`] marks. Latin,
/// Greek and Cyrillic need no further marks: their letters with marks compose to one character.
fn stray_mark(name: &str) -> Option<char> {
    if name.is_ascii() {
        return None;
    }
    let (mut script, mut marks) = (Script::Common, 0);
    name.nfc().find(|&c| {
        if !is_combining_mark(c) {
            (script, marks) = (c.script(), 0);
            return false;
        }
        marks += 1;
        let composes = matches!(
            script,
            Script::Common | Script::Inherited | Script::Latin | Script::Greek | Script::Cyrillic
        );
        let scripts = c.script_extension();
        let is_own =
            !scripts.is_common() && !scripts.is_inherited() && scripts.contains_script(script);
        marks > MARKS_MAX || composes || !is_own
    })
}

/// Converts a name to lower case in Normalization Form C (Unicode Annex #15).
fn fold(name: &str) -> String {
    if name.is_ascii() {
        return name.to_ascii_lowercase();
    }
    name.nfc().flat_map(char::to_lowercase).nfc().collect()
}

/// Returns the folded skeleton of UTS #39, section 4. The skeleton is computed from the name as typed, because capital
/// letters have their own confusable characters.
fn skeleton(name: &str) -> String {
    let skeleton: String = unicode_security::skeleton(name).collect();
    fold(&skeleton)
}

#[cfg(test)]
mod tests {
    use super::*;
    use chat_core::name::NameError;

    #[test]
    fn composition_and_case_make_no_difference() {
        assert_eq!(fold("José"), fold("JOSE\u{301}"));
        assert_eq!(
            fold("한글"),
            fold("\u{1112}\u{1161}\u{11ab}\u{1100}\u{1173}\u{11af}")
        );
        assert_ne!(fold("한글"), fold("한굴"));
        assert_eq!(fold(&fold("ÀÉ")), fold("ÀÉ"));
    }

    #[test]
    fn look_alikes_share_a_skeleton() {
        assert_eq!(skeleton("alice"), skeleton("\u{430}lice"));
        assert_eq!(skeleton("ALICE"), skeleton("\u{410}LICE"));
        assert_eq!(skeleton("lvan"), skeleton("Ivan"));
        assert_ne!(skeleton("guest-1"), skeleton("guest-2"));
        assert_ne!(skeleton("ㅋㅋ"), skeleton("ㅋㅋㅋ"));
    }

    #[test]
    fn decomposed_hangul_and_marks_are_names() {
        assert!(rules().nick("\u{1112}\u{1161}\u{11ab}").is_ok());
        assert!(rules().nick("क्षमा").is_ok());
    }

    #[test]
    fn marks_are_for_the_scripts_that_need_them() {
        for name in [
            "José",
            "Jose\u{301}",
            "Vie\u{302}\u{323}t",
            "क्षमा",
            "தமிழ்",
            "กั้น",
            "مُحَمَّد",
            "שָׁלוֹם",
            "ខ្មែរ",
            "か\u{309a}",
            "ᄒ\u{1161}\u{11ab}",
        ] {
            assert!(
                rules().nick(name).is_ok(),
                "{name}: {:?}",
                rules().nick(name)
            );
        }
        for name in [
            "a\u{332}lice",
            "a\u{331}lice",
            "al\u{336}ice",
            "alice\u{e31}",
            "\u{430}\u{332}",
            "한\u{332}",
            "ก\u{e47}\u{e47}\u{e47}\u{e47}\u{e47}",
            "_\u{301}x",
        ] {
            assert!(
                matches!(rules().nick(name), Err(NameError::StrayMark(_))),
                "{name}: {:?}",
                rules().nick(name)
            );
        }
    }

    #[test]
    fn look_alikes_of_reserved_words_are_reserved() {
        for name in [
            "you",
            "y\u{43e}u",
            "\u{ff59}ou",
            "YOU",
            "server",
            "s\u{435}rver",
            "\u{430}dmin",
            "ADMIN",
            "systern",
            "ch\u{430}t",
        ] {
            assert_eq!(rules().nick(name), Err(NameError::Reserved), "{name}");
        }
        for name in ["young", "servers", "chatter", "관리자"] {
            assert!(rules().nick(name).is_ok(), "{name}");
        }
    }
}
