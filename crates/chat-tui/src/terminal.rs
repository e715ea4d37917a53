//! The terminal: taken over, given back.
//!
//! Invariant: however the program ends, by quitting, an error, a signal or a panic, the terminal is as it was.

use crate::backend::Clearing;
use crossterm::cursor::Show;
use crossterm::event::{DisableBracketedPaste, EnableBracketedPaste};
use crossterm::execute;
use crossterm::terminal::{
    EnterAlternateScreen, LeaveAlternateScreen, disable_raw_mode, enable_raw_mode,
};
use ratatui::Terminal;
use ratatui::backend::CrosstermBackend;
use std::io::{self, Stdout, Write};
use std::sync::Once;
use std::sync::atomic::{AtomicBool, Ordering};

/// Whether the terminal is taken over: there is one for the whole process.
static IS_TAKEN: AtomicBool = AtomicBool::new(false);

/// The terminal while it is taken over; dropping it gives it back.
pub(crate) struct Screen {
    pub(crate) terminal: Terminal<Clearing<CrosstermBackend<Stdout>>>,
    pub(crate) bell: Bell,
}

impl Screen {
    pub(crate) fn open() -> io::Result<Self> {
        restore_on_panic();
        take_over()?;
        match Terminal::new(Clearing(CrosstermBackend::new(io::stdout()))) {
            Ok(terminal) => Ok(Self {
                terminal,
                bell: Bell::default(),
            }),
            Err(error) => {
                give_back();
                Err(error)
            }
        }
    }

    /// Gives the terminal back, stops the process, and takes the terminal over again when it goes on.
    pub(crate) fn suspend(&mut self) -> io::Result<()> {
        give_back();
        signal_hook::low_level::emulate_default_handler(signal_hook::consts::SIGTSTP)?;
        self.resume()
    }

    /// Takes the terminal over again after somebody else stopped the process.
    pub(crate) fn resume(&mut self) -> io::Result<()> {
        // Whoever had it meanwhile may have changed its mode; crossterm sets none that it believes to be set.
        disable_raw_mode().ok();
        take_over()?;
        self.clear()
    }

    /// Whether the terminal is given back already, because something panicked: then nothing is to be drawn on it.
    #[expect(clippy::unused_self, reason = "asked of a screen that is open")]
    pub(crate) fn is_lost(&self) -> bool {
        !IS_TAKEN.load(Ordering::Acquire)
    }

    /// Has everything drawn anew.
    pub(crate) fn clear(&mut self) -> io::Result<()> {
        // Unlike the terminal's own `clear`, this does not ask the terminal where its cursor is: the answer would go to
        // whoever reads the keys.
        let size = self.terminal.size()?;
        self.terminal.resize(size.into())
    }

    /// Rings the bell if it is asked for: called once a frame.
    pub(crate) fn ring(&mut self) -> io::Result<()> {
        self.bell.ring(&mut io::stdout())
    }
}

impl Drop for Screen {
    fn drop(&mut self) {
        give_back();
    }
}

/// The terminal's bell. It rings with a frame, so that a flood of messages can't ring it faster than the screen changes.
#[derive(Debug, Default)]
pub(crate) struct Bell {
    is_asked_for: bool,
}

impl Bell {
    /// Has the bell ring with the next frame.
    pub(crate) const fn ask(&mut self) {
        self.is_asked_for = true;
    }

    fn ring(&mut self, terminal: &mut impl Write) -> io::Result<()> {
        if std::mem::take(&mut self.is_asked_for) {
            terminal.write_all(b"\x07")?;
            terminal.flush()?;
        }
        Ok(())
    }
}

fn take_over() -> io::Result<()> {
    enable_raw_mode()?;
    IS_TAKEN.store(true, Ordering::Release);
    let taken = execute!(io::stdout(), EnterAlternateScreen, EnableBracketedPaste);
    if taken.is_err() {
        give_back();
    }
    taken
}

fn give_back() {
    if give_back_to(&mut io::stdout()) {
        disable_raw_mode().ok();
    }
}

/// Says to the terminal that it is given back, unless it is. Returns whether it was not.
fn give_back_to(terminal: &mut impl Write) -> bool {
    let was_taken = IS_TAKEN.swap(false, Ordering::AcqRel);
    if was_taken {
        // There is nobody to tell if that fails: the terminal is gone.
        execute!(terminal, DisableBracketedPaste, LeaveAlternateScreen, Show).ok();
    }
    was_taken
}

/// Gives the terminal back before a panic is told, so that it can be read.
fn restore_on_panic() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let tell = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |panic| {
            give_back();
            tell(panic);
        }));
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_bell_rings_once_a_frame_however_many_messages_ask_for_it() {
        let (mut bell, mut terminal) = (Bell::default(), Vec::new());
        for rung in 1..=2 {
            (0..1_000).for_each(|_| bell.ask());
            bell.ring(&mut terminal).unwrap();
            assert_eq!(terminal.len(), rung);
            bell.ring(&mut terminal).unwrap();
            assert_eq!(terminal.len(), rung, "nothing has asked since");
        }
    }

    #[test]
    fn the_terminal_is_given_back_once() {
        let mut terminal = Vec::new();
        assert!(!give_back_to(&mut terminal), "it is not taken over");
        assert_eq!(terminal, b"");
        IS_TAKEN.store(true, Ordering::Release);
        assert!(give_back_to(&mut terminal));
        let written = terminal.len();
        assert!(written > 0);
        // What a panic has told since then stays where it is.
        assert!(!give_back_to(&mut terminal));
        assert_eq!(terminal.len(), written);
    }
}
