//! Long texts, piece by piece: the deadline is looked at between two of them, so that no call of the library outlasts it by far.

use crate::fault::Trap;

/// The most bytes that are gone through between two looks at the deadline.
pub(crate) const PIECE: usize = 64 << 10;

/// Looks at the deadline: an error once it has passed.
pub(crate) type Look<'a> = &'a dyn Fn() -> Result<(), Trap>;

/// How many bytes at the beginning are of a kind.
pub(super) fn run(
    text: &[u8],
    is_of_the_kind: impl Fn(&u8) -> bool,
    look: Look<'_>,
) -> Result<usize, Trap> {
    let mut found = 0;
    for piece in text.chunks(PIECE) {
        look()?;
        let count = piece.iter().take_while(|byte| is_of_the_kind(byte)).count();
        found += count;
        if count < piece.len() {
            break;
        }
    }
    Ok(found)
}

/// How many bytes at the beginning of two texts are the same, as `plain` has them.
pub(super) fn same(a: &[u8], b: &[u8], plain: fn(u8) -> u8, look: Look<'_>) -> Result<usize, Trap> {
    let mut found = 0;
    for (a, b) in a.chunks(PIECE).zip(b.chunks(PIECE)) {
        look()?;
        let count = a.iter().zip(b).take_while(|(a, b)| plain(**a) == plain(**b)).count();
        found += count;
        if count < a.len().min(b.len()) {
            break;
        }
    }
    Ok(found)
}

/// Where a text stands first in another one.
pub(super) fn search(text: &[u8], wanted: &[u8], look: Look<'_>) -> Result<Option<usize>, Trap> {
    let (begin, rest) = wanted.split_at(wanted.len().min(PIECE));
    let finder = memchr::memmem::Finder::new(begin);
    let mut from = 0;
    while from + wanted.len() <= text.len() {
        look()?;
        let piece = &text[from..text.len().min(from + PIECE + begin.len())];
        let Some(found) = finder.find(piece) else {
            from += PIECE + 1;
            continue;
        };
        let behind = &text[from + found + begin.len()..];
        if same(behind, rest, |byte| byte, look)? == rest.len() {
            return Ok(Some(from + found));
        }
        from += found + 1;
    }
    Ok(None)
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use super::*;

    const LONG: usize = 10 * PIECE;

    /// Runs what takes long, and says how many looks at the deadline there were until it had passed at the second one.
    fn looks<T: std::fmt::Debug>(call: impl FnOnce(Look<'_>) -> Result<T, Trap>) -> u32 {
        let looks = Cell::new(0);
        let ended = call(&|| {
            looks.set(looks.get() + 1);
            if looks.get() == 2 { Err(Trap::Interrupt) } else { Ok(()) }
        });
        assert_eq!(ended.map(|_| ()), Err(Trap::Interrupt));
        looks.get()
    }

    #[test]
    fn a_long_text_is_given_up_when_the_deadline_passes() {
        let text = vec![b'a'; LONG];
        assert_eq!(looks(|look| run(&text, |byte| *byte == b'a', look)), 2);
        assert_eq!(looks(|look| same(&text, &text, |byte| byte, look)), 2);
        assert_eq!(looks(|look| search(&text, b"b", look)), 2);
        // Each `b` may begin it, and the text behind has to be compared.
        let wanted = [&text[..], b"b"].concat();
        assert_eq!(looks(|look| search(&[&text[..], &text].concat(), &wanted, look)), 2);
    }

    #[test]
    fn pieces_make_no_difference() {
        let never: Look<'_> = &|| Ok(());
        for length in [0, 1, PIECE - 1, PIECE, PIECE + 1, 3 * PIECE + 7] {
            let text = [&vec![b'a'; length][..], b"bcd"].concat();
            assert_eq!(run(&text, |byte| *byte == b'a', never), Ok(length));
            assert_eq!(run(&text, |_| true, never), Ok(text.len()));
            assert_eq!(same(&text, &text, |byte| byte, never), Ok(text.len()));
            assert_eq!(same(&text, &vec![b'a'; length], |byte| byte, never), Ok(length));
            for wanted in [&b""[..], b"a", b"b", b"bcd", b"abc", b"cd", b"bd", &text] {
                let found =
                    text.windows(wanted.len().max(1)).position(|part| part.starts_with(wanted));
                assert_eq!(search(&text, wanted, never), Ok(found), "{length} {}", wanted.len());
            }
        }
    }
}
