//! Colours and attributes.
//!
//! Invariant: only the terminal's own 16 colours on its own background are used, so that light and dark themes are both
//! readable. No information is expressed by colour alone.

use crate::Colours;
use ratatui::style::{Color, Modifier, Style};

/// Colours that are readable on light and dark backgrounds.
const NICK_COLOURS: [Color; 8] = [
    Color::Red,
    Color::Green,
    Color::Blue,
    Color::Magenta,
    Color::Cyan,
    Color::LightRed,
    Color::LightBlue,
    Color::LightMagenta,
];

/// The style of each kind of text.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Theme {
    colours: Colours,
}

impl Theme {
    pub(crate) const fn new(colours: Colours) -> Self {
        Self { colours }
    }

    /// Returns the style of a nick. A nick has the same style in every session.
    pub(crate) fn nick(self, nick: &str) -> Style {
        let bold = Style::new().add_modifier(Modifier::BOLD);
        match self.colours {
            Colours::Off => bold,
            Colours::Terminal => {
                // FNV-1a gives the same result in all runs and on all machines. The standard library's hasher does not
                // promise the same result.
                let hash = nick
                    .to_lowercase()
                    .bytes()
                    .fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
                        (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
                    });
                bold.fg(NICK_COLOURS[(hash % NICK_COLOURS.len() as u64) as usize])
            }
        }
    }

    /// Returns the style of text of low importance.
    pub(crate) const fn faint(self) -> Style {
        Style::new().add_modifier(Modifier::DIM)
    }

    /// Returns the style of text that needs attention, such as a mention or a refusal.
    pub(crate) fn alert(self) -> Style {
        self.colour(Color::Red).add_modifier(Modifier::BOLD)
    }

    /// Returns the style of an action (`/me`).
    pub(crate) const fn action(self) -> Style {
        Style::new().add_modifier(Modifier::ITALIC)
    }

    /// Returns the style of the status line and of the selected room.
    pub(crate) const fn bar(self) -> Style {
        Style::new().add_modifier(Modifier::REVERSED)
    }

    pub(crate) const fn strong(self) -> Style {
        Style::new().add_modifier(Modifier::BOLD)
    }

    fn colour(self, colour: Color) -> Style {
        match self.colours {
            Colours::Terminal => Style::new().fg(colour),
            Colours::Off => Style::new(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_nick_keeps_its_colour_and_no_color_has_none() {
        let theme = Theme::new(Colours::Terminal);
        assert_eq!(theme.nick("Kim"), theme.nick("kim"));
        assert_eq!(Theme::new(Colours::Off).nick("kim").fg, None);
        assert_eq!(Theme::new(Colours::Off).alert().fg, None);
    }
}
