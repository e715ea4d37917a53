//! When two names are the same, by the full Unicode tables that core does without.

use chat_core::name::NameRules;
use unicode_normalization::UnicodeNormalization;
use unicode_normalization::char::is_combining_mark;

/// The rules for names: compared without regard to case and composition, and refused where they look alike.
pub(crate) fn rules() -> NameRules {
    NameRules::new(fold, skeleton, is_combining_mark)
}

/// Lower case in Normalization Form C (Unicode Annex #15).
fn fold(name: &str) -> String {
    if name.is_ascii() {
        return name.to_ascii_lowercase();
    }
    name.nfc().flat_map(char::to_lowercase).nfc().collect()
}

/// The skeleton of UTS #39, section 4, folded: of the name as it is typed, because capitals have their own likenesses.
fn skeleton(name: &str) -> String {
    let skeleton: String = unicode_security::skeleton(name).collect();
    fold(&skeleton)
}

#[cfg(test)]
mod tests {
    use super::*;

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
}
