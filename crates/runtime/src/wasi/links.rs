//! Symbolic links in a guest's directories: none that a guest makes or moves may lead whoever follows it out of them.
//!
//! The guest itself cannot get out: its paths are followed step by step. But another program that reads these directories,
//! the agent's own `tail` for one, follows what it finds there. So a guest makes no symbolic links, and does not give those
//! that are there another place: it neither renames nor links them, and renames directories, which may hold some, only
//! within theirs.

use super::host::{Host, slice};
use crate::fault::Fault;

/// Types of files, as WASI numbers them.
const DIRECTORY: u8 = 3;
const SYMBOLIC_LINK: u8 = 7;

/// No guest makes a symbolic link: where its target leads depends on who renames what around it later.
pub(super) fn refuses_symlink(_: &mut Host<'_>, _: &[u8], (): ()) -> Result<bool, Fault> {
    Ok(true)
}

/// A symbolic link's second name stands where its target leads elsewhere.
pub(super) fn refuses_link(
    host: &mut Host<'_>,
    bytes: &[u8],
    (fd, path, length): (i32, i32, i32),
) -> Result<bool, Fault> {
    let Some(path) = slice(bytes, path, length) else { return Ok(false) };
    Ok(host.kind(fd, path)? == Some(SYMBOLIC_LINK))
}

/// As [`refuses_link`], for what holds symbolic links, too.
pub(super) fn refuses_rename(
    host: &mut Host<'_>,
    bytes: &[u8],
    (fd, path, length, to, new, new_length): (i32, i32, i32, i32, i32, i32),
) -> Result<bool, Fault> {
    let (path, new) = (slice(bytes, path, length), slice(bytes, new, new_length));
    let (Some(path), Some(new)) = (path, new) else { return Ok(false) };
    Ok(match host.kind(fd, path)? {
        Some(SYMBOLIC_LINK) => true,
        Some(DIRECTORY) => fd != to || parent(path) != parent(new),
        _ => false,
    })
}

/// A path without its last name.
fn parent(path: &[u8]) -> &[u8] {
    let end = path.iter().rposition(|byte| *byte != b'/').map_or(0, |last| last + 1);
    let name = path[..end].iter().rposition(|byte| *byte == b'/').map_or(0, |slash| slash + 1);
    &path[..name]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_parent_is_all_but_the_last_name() {
        for (path, expected) in [
            ("a", ""),
            ("a/", ""),
            ("a/b", "a/"),
            ("a/b//", "a/"),
            ("/a", "/"),
            ("", ""),
            ("//", ""),
        ] {
            assert_eq!(parent(path.as_bytes()), expected.as_bytes(), "{path}");
        }
    }
}
