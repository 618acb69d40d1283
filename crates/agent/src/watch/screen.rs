//! The terminal while `top` has it: a screen of its own, which is left as it was found.

use std::io;
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::time::{Duration, Instant};

use anstream::adapter::strip_str;
use anstream::{AutoStream, ColorChoice};
use console::{Key, Term};

use super::frame::Frame;

/// To a screen of its own, and back to that which was there.
const ENTER: &str = "\u{1b}[?1049h";
const LEAVE: &str = "\u{1b}[?1049l";
/// A terminal that does not say how large it is.
const USUAL: (u16, u16) = (24, 80);
/// What the last line says.
const KEYS: &str = "q ends, arrows move";

/// A terminal that shows frames.
pub(super) struct Screen {
    term: Term,
    has_colours: bool,
    keys: Receiver<Key>,
    /// The first line of the frame that is shown.
    top: usize,
}

impl Screen {
    pub(super) fn open() -> io::Result<Self> {
        let has_colours = AutoStream::choice(&io::stdout()) != ColorChoice::Never;
        let screen = Self { term: Term::buffered_stdout(), has_colours, keys: keys(), top: 0 };
        screen.term.write_str(ENTER)?;
        screen.term.hide_cursor()?;
        Ok(screen)
    }

    fn size(&self) -> (usize, usize) {
        let size = self.term.size_checked().filter(|(height, width)| *height > 0 && *width > 0);
        let (height, width) = size.unwrap_or(USUAL);
        (height.into(), width.into())
    }

    /// How many letters a line has.
    pub(super) fn width(&self) -> usize {
        self.size().1
    }

    /// Shows as much of a frame as there is room for.
    pub(super) fn show(&mut self, frame: &Frame) -> io::Result<()> {
        let room = self.size().0.saturating_sub(1);
        self.top = self.top.min(frame.0.len().saturating_sub(room));
        let lines: Vec<&String> = frame.0.iter().skip(self.top).take(room).collect();
        for (at, line) in lines.iter().enumerate() {
            self.term.move_cursor_to(0, at)?;
            self.term.clear_line()?;
            match self.has_colours {
                true => self.term.write_str(line)?,
                false => self.term.write_str(&strip_str(line).to_string())?,
            }
        }
        self.term.move_cursor_to(0, lines.len())?;
        self.term.clear_to_end_of_screen()?;
        self.term.write_str(KEYS)?;
        self.term.flush()
    }

    /// Whether a key ends it within this time. Others move the frame.
    pub(super) fn is_left_within(&mut self, time: Duration, frame: &Frame) -> io::Result<bool> {
        let end = Instant::now() + time;
        loop {
            match self.keys.recv_timeout(end.saturating_duration_since(Instant::now())) {
                Ok(key) if ends(&key) => return Ok(true),
                Ok(Key::ArrowDown) => self.top += 1,
                Ok(Key::ArrowUp) => self.top = self.top.saturating_sub(1),
                Ok(_) => continue,
                Err(RecvTimeoutError::Timeout) => return Ok(false),
                // The terminal is gone.
                Err(RecvTimeoutError::Disconnected) => return Ok(true),
            }
            self.show(frame)?;
        }
    }
}

/// The keys that are pressed, up to the one that ends it: while one is waited for, the terminal is not as others want it.
fn keys() -> Receiver<Key> {
    let (sender, keys) = channel();
    std::thread::spawn(move || {
        let term = Term::stdout();
        while let Ok(key) = term.read_key_raw() {
            let is_last = ends(&key);
            if sender.send(key).is_err() || is_last {
                break;
            }
        }
    });
    keys
}

fn ends(key: &Key) -> bool {
    matches!(key, Key::Char('q') | Key::Escape | Key::CtrlC)
}

impl Drop for Screen {
    fn drop(&mut self) {
        // When the terminal is gone there is nothing to leave.
        let _ = self.term.write_str(LEAVE).and_then(|()| self.term.show_cursor());
        let _ = self.term.flush();
    }
}
