//! Edits of a msgpack map that stands at the end of a buffer: entries put behind it, entries taken out.

use std::ops::Range;

use crate::msgpack;

/// Puts entries behind those of the map at `buffer[start..]`: `count` of them, encoded as `entries`.
pub fn append(buffer: &mut Vec<u8>, start: usize, count: u32, entries: &[u8]) {
    buffer.extend_from_slice(entries);
    resize(buffer, start, |length| length.saturating_add(count));
}

/// Takes the entry at `entry`, its key and its value, out of the map at `buffer[start..]`.
pub fn remove(buffer: &mut Vec<u8>, start: usize, entry: Range<usize>) {
    buffer.drain(entry);
    resize(buffer, start, |length| length.saturating_sub(1));
}

/// Says how many entries the map at `buffer[start..]` has. Its header was the one byte of an empty map.
pub fn set_len(buffer: &mut Vec<u8>, start: usize, count: u32) {
    match u8::try_from(count) {
        Ok(few @ 0..=15) => buffer[start] = 0x80 | few,
        _ => resize(buffer, start, |_| count),
    }
}

/// Writes the map's header anew. Bytes that are not a map stay as they are.
fn resize(buffer: &mut Vec<u8>, start: usize, new: impl FnOnce(u32) -> u32) {
    let Ok((length, header)) = msgpack::map_header(&buffer[start..]) else { return };
    let mut written = Vec::with_capacity(5);
    msgpack::write_map_header(&mut written, new(length));
    buffer.splice(start..start + header, written);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn map(entries: u32) -> Vec<u8> {
        let mut map = vec![b'-'];
        msgpack::write_map_header(&mut map, entries);
        for entry in 0..entries {
            map.extend_from_slice(&[entry as u8 & 0x7f, 0xc0]);
        }
        map
    }

    #[test]
    fn an_appended_entry_widens_the_header_when_it_must() {
        for entries in [0, 14, 15, 16] {
            let mut buffer = map(entries);
            append(&mut buffer, 1, 1, &[entries as u8, 0xc0]);
            assert_eq!(buffer, map(entries + 1));
        }
    }

    #[test]
    fn the_length_may_be_set_at_the_end() {
        for entries in [0, 15, 16, 70_000] {
            let mut buffer = map(0);
            let header = map(entries).len() - 2 * entries as usize;
            buffer.extend_from_slice(&map(entries)[header..]);
            set_len(&mut buffer, 1, entries);
            assert_eq!(buffer, map(entries));
        }
    }

    #[test]
    fn a_removed_entry_narrows_the_header_when_it_can() {
        for entries in [1, 15, 16, 17] {
            let mut buffer = map(entries);
            let end = buffer.len();
            remove(&mut buffer, 1, end - 2..end);
            assert_eq!(buffer, map(entries - 1));
        }
    }
}
