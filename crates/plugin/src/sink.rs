//! Standard output and the like: what takes bytes when it can.

use std::io::{self, Write};
use std::time::Duration;

/// Writes all of it, in one write if the receiver takes it. A receiver that was set not to block is waited for.
pub fn write_all(sink: &mut dyn Write, text: &[u8]) -> io::Result<()> {
    const PAUSE: Duration = Duration::from_millis(5);
    let mut rest = text;
    loop {
        let written = if rest.is_empty() { sink.flush().map(|()| 0) } else { sink.write(rest) };
        match written {
            Ok(_) if rest.is_empty() => return Ok(()),
            Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
            Ok(length) => rest = &rest[length..],
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => std::thread::sleep(PAUSE),
            Err(error) => return Err(error),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Takes two bytes a write, and before each says once that it cannot.
    #[derive(Default)]
    struct Slow {
        taken: Vec<u8>,
        refusals: Vec<io::ErrorKind>,
    }

    impl Write for Slow {
        fn write(&mut self, data: &[u8]) -> io::Result<usize> {
            if let Some(kind) = self.refusals.pop() {
                return Err(kind.into());
            }
            let length = data.len().min(2);
            self.taken.extend_from_slice(&data[..length]);
            Ok(length)
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn a_receiver_that_is_slow_is_waited_for_and_one_that_is_gone_is_not() {
        let passing = vec![io::ErrorKind::WouldBlock, io::ErrorKind::Interrupted];
        let mut slow = Slow { refusals: passing, ..Slow::default() };
        write_all(&mut slow, b"hello").unwrap();
        assert_eq!(slow.taken, b"hello");
        let mut gone = Slow { refusals: vec![io::ErrorKind::BrokenPipe], ..Slow::default() };
        let error = write_all(&mut gone, b"hello").unwrap_err();
        assert_eq!((error.kind(), gone.taken.len()), (io::ErrorKind::BrokenPipe, 0));
    }
}
