//! Takes over the terminal, and restores it.
//!
//! Invariant: the terminal is restored however the program ends: by quitting, an error, a signal or a panic.

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

/// Whether the program has taken over the terminal. A process has only one terminal.
static IS_TAKEN: AtomicBool = AtomicBool::new(false);

/// The terminal while the program controls it. Dropping the `Screen` restores the terminal.
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

    /// Restores the terminal and stops the process. When the process continues, takes over the terminal again.
    pub(crate) fn suspend(&mut self) -> io::Result<()> {
        give_back();
        signal_hook::low_level::emulate_default_handler(signal_hook::consts::SIGTSTP)?;
        self.resume()
    }

    /// Takes over the terminal again, after another process has stopped this process.
    pub(crate) fn resume(&mut self) -> io::Result<()> {
        // The shell may have changed the terminal's mode. crossterm does not know about the change, and would not set
        // raw mode a second time. So raw mode is disabled first.
        disable_raw_mode().ok();
        take_over()?;
        self.clear()
    }

    /// Returns whether a panic has already restored the terminal. Nothing may be drawn after the panic.
    #[expect(clippy::unused_self, reason = "asked of a screen that is open")]
    pub(crate) fn is_lost(&self) -> bool {
        !IS_TAKEN.load(Ordering::Acquire)
    }

    /// Makes the next frame draw every cell.
    pub(crate) fn clear(&mut self) -> io::Result<()> {
        // `Terminal::clear` would ask the terminal for the cursor's position. The task that reads keys would receive
        // the answer instead.
        let size = self.terminal.size()?;
        self.terminal.resize(size.into())
    }

    /// Rings the bell if it was requested after the last frame.
    pub(crate) fn ring(&mut self) -> io::Result<()> {
        self.bell.ring(&mut io::stdout())
    }
}

impl Drop for Screen {
    fn drop(&mut self) {
        give_back();
    }
}

/// The terminal's bell. The bell rings at most once in each frame, even if several messages request it.
#[derive(Debug, Default)]
pub(crate) struct Bell {
    is_asked_for: bool,
}

impl Bell {
    /// Requests that the bell rings with the next frame.
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

/// Writes the sequences that restore the terminal, unless the terminal is already restored. Returns whether they were
/// written.
fn give_back_to(terminal: &mut impl Write) -> bool {
    let was_taken = IS_TAKEN.swap(false, Ordering::AcqRel);
    if was_taken {
        // If writing fails, the terminal is gone, so the failure can't be reported.
        execute!(terminal, DisableBracketedPaste, LeaveAlternateScreen, Show).ok();
    }
    was_taken
}

/// Installs a panic hook that restores the terminal before the panic message is printed.
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
        // A second call must not overwrite the panic message.
        assert!(!give_back_to(&mut terminal));
        assert_eq!(terminal.len(), written);
    }
}
