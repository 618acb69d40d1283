//! Writing: every value in the shortest form msgpack has for it, appended to a buffer.

/// Appends nil.
pub fn write_nil(out: &mut Vec<u8>) {
    out.push(0xc0);
}

/// Appends true or false.
pub fn write_bool(out: &mut Vec<u8>, value: bool) {
    out.push(if value { 0xc3 } else { 0xc2 });
}

/// Appends an integer from 0.
#[inline]
pub fn write_uint(out: &mut Vec<u8>, value: u64) {
    match value {
        0..=0x7f => out.push(value as u8),
        0x80..=0xff => out.extend_from_slice(&[0xcc, value as u8]),
        0x100..=0xffff => marked(out, 0xcd, (value as u16).to_be_bytes()),
        0x1_0000..=0xffff_ffff => marked(out, 0xce, (value as u32).to_be_bytes()),
        _ => marked(out, 0xcf, value.to_be_bytes()),
    }
}

/// Appends an integer; one from 0 exactly as [`write_uint`] does.
#[inline]
pub fn write_int(out: &mut Vec<u8>, value: i64) {
    if let Ok(value) = u64::try_from(value) {
        write_uint(out, value);
    } else if value >= -0x20 {
        out.push(value as u8);
    } else if let Ok(value) = i8::try_from(value) {
        marked(out, 0xd0, value.to_be_bytes());
    } else if let Ok(value) = i16::try_from(value) {
        marked(out, 0xd1, value.to_be_bytes());
    } else if let Ok(value) = i32::try_from(value) {
        marked(out, 0xd2, value.to_be_bytes());
    } else {
        marked(out, 0xd3, value.to_be_bytes());
    }
}

/// Appends a float, always as float64: a shorter one would not come back as the same bytes.
pub fn write_float(out: &mut Vec<u8>, value: f64) {
    marked(out, 0xcb, value.to_be_bytes());
}

/// Appends a string. Msgpack cannot hold 4 GiB in one; what is longer is cut there, and no chunk would take it.
#[inline]
pub fn write_str(out: &mut Vec<u8>, text: impl AsRef<[u8]>) {
    let text = clip(text.as_ref());
    match text.len() {
        len @ 0..=0x1f => out.push(0xa0 | len as u8),
        len => long_header(out, len, [0xd9, 0xda, 0xdb]),
    }
    out.extend_from_slice(text);
}

/// Appends bytes. Cut as in [`write_str`].
pub fn write_bin(out: &mut Vec<u8>, bytes: &[u8]) {
    let bytes = clip(bytes);
    long_header(out, bytes.len(), [0xc4, 0xc5, 0xc6]);
    out.extend_from_slice(bytes);
}

/// Appends an extension: its type and its bytes. Cut as in [`write_str`].
pub fn write_ext(out: &mut Vec<u8>, kind: i8, bytes: &[u8]) {
    let bytes = clip(bytes);
    match bytes.len() {
        len @ (1 | 2 | 4 | 8 | 16) => out.push(0xd4 + len.trailing_zeros() as u8),
        len => long_header(out, len, [0xc7, 0xc8, 0xc9]),
    }
    out.extend_from_slice(&kind.to_be_bytes());
    out.extend_from_slice(bytes);
}

/// Appends the header of an array; the caller appends that many values.
pub fn write_array_header(out: &mut Vec<u8>, len: u32) {
    container_header(out, len, &ARRAY);
}

/// Appends the header of a map; the caller appends that many keys, each with its value.
pub fn write_map_header(out: &mut Vec<u8>, len: u32) {
    container_header(out, len, &MAP);
}

fn marked<const N: usize>(out: &mut Vec<u8>, marker: u8, payload: [u8; N]) {
    out.push(marker);
    out.extend_from_slice(&payload);
}

fn clip(bytes: &[u8]) -> &[u8] {
    &bytes[..bytes.len().min(u32::MAX as usize)]
}

fn long_header(out: &mut Vec<u8>, len: usize, markers: [u8; 3]) {
    match len {
        0..=0xff => out.extend_from_slice(&[markers[0], len as u8]),
        0x100..=0xffff => marked(out, markers[1], (len as u16).to_be_bytes()),
        _ => marked(out, markers[2], (len as u32).to_be_bytes()),
    }
}

struct ContainerMarkers {
    fix: u8,
    len16: u8,
    len32: u8,
}

const ARRAY: ContainerMarkers = ContainerMarkers { fix: 0x90, len16: 0xdc, len32: 0xdd };
const MAP: ContainerMarkers = ContainerMarkers { fix: 0x80, len16: 0xde, len32: 0xdf };

fn container_header(out: &mut Vec<u8>, len: u32, markers: &ContainerMarkers) {
    match len {
        0..=0x0f => out.push(markers.fix | len as u8),
        0x10..=0xffff => marked(out, markers.len16, (len as u16).to_be_bytes()),
        _ => marked(out, markers.len32, len.to_be_bytes()),
    }
}

/// Which container a header is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Container {
    Array,
    Map,
}

/// Turns the one byte reserved at `at` into the header of a container whose `len` elements follow it.
pub(crate) fn patch_container_header(out: &mut Vec<u8>, at: usize, kind: Container, len: u32) {
    let markers = match kind {
        Container::Array => &ARRAY,
        Container::Map => &MAP,
    };
    if len <= 0x0f {
        out[at] = markers.fix | len as u8;
    } else {
        patch(out, at, |header| container_header(header, len, markers));
    }
}

/// Turns the one byte reserved at `at` into the header of a string that is the rest of `out`.
pub(crate) fn patch_str_header(out: &mut Vec<u8>, at: usize) {
    let len = out.len() - at - 1;
    if len <= 0x1f {
        out[at] = 0xa0 | len as u8;
    } else {
        patch(out, at, |header| long_header(header, len, [0xd9, 0xda, 0xdb]));
    }
}

/// Writes a header behind everything, where there is room, and rotates it to where it belongs.
fn patch(out: &mut Vec<u8>, at: usize, header: impl FnOnce(&mut Vec<u8>)) {
    let end = out.len();
    header(out);
    let mut bytes = [0; 5];
    let len = out.len() - end;
    bytes[..len].copy_from_slice(&out[end..]);
    out.copy_within(at + 1..end, at + len);
    out[at..at + len].copy_from_slice(&bytes[..len]);
    out.truncate(end - 1 + len);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(write: impl FnOnce(&mut Vec<u8>), head: &[u8], len: usize) {
        let mut out = b"before".to_vec();
        write(&mut out);
        let written = out.strip_prefix(b"before").unwrap();
        assert_eq!(&written[..head.len()], head);
        assert_eq!(written.len(), len);
    }

    #[test]
    fn integers_take_the_shortest_form() {
        let positive: [(u64, &[u8]); 9] = [
            (0, &[0]),
            (0x7f, &[0x7f]),
            (0x80, &[0xcc, 0x80]),
            (0xff, &[0xcc, 0xff]),
            (0x100, &[0xcd, 1, 0]),
            (0xffff, &[0xcd, 0xff, 0xff]),
            (0x1_0000, &[0xce, 0, 1, 0, 0]),
            (0x1_0000_0000, &[0xcf, 0, 0, 0, 1, 0, 0, 0, 0]),
            (u64::MAX, &[0xcf, 255, 255, 255, 255, 255, 255, 255, 255]),
        ];
        for (value, bytes) in positive {
            check(|out| write_uint(out, value), bytes, bytes.len());
            if let Ok(value) = i64::try_from(value) {
                check(|out| write_int(out, value), bytes, bytes.len());
            }
        }
        let negative: [(i64, &[u8]); 8] = [
            (-1, &[0xff]),
            (-32, &[0xe0]),
            (-33, &[0xd0, 0xdf]),
            (-128, &[0xd0, 0x80]),
            (-129, &[0xd1, 0xff, 0x7f]),
            (-32769, &[0xd2, 0xff, 0xff, 0x7f, 0xff]),
            (-0x8000_0001, &[0xd3, 255, 255, 255, 255, 0x7f, 255, 255, 255]),
            (i64::MIN, &[0xd3, 0x80, 0, 0, 0, 0, 0, 0, 0]),
        ];
        for (value, bytes) in negative {
            check(|out| write_int(out, value), bytes, bytes.len());
        }
    }

    #[test]
    fn constants_and_floats() {
        check(write_nil, &[0xc0], 1);
        check(|out| write_bool(out, true), &[0xc3], 1);
        check(|out| write_bool(out, false), &[0xc2], 1);
        check(|out| write_float(out, 1.5), &[0xcb, 0x3f, 0xf8], 9);
    }

    #[test]
    fn strings_and_bytes_take_the_shortest_header() {
        let text = vec![b'x'; 0x1_0000];
        let strings: [(usize, &[u8]); 7] = [
            (0, &[0xa0]),
            (31, &[0xbf]),
            (32, &[0xd9, 32]),
            (255, &[0xd9, 255]),
            (256, &[0xda, 1, 0]),
            (0xffff, &[0xda, 0xff, 0xff]),
            (0x1_0000, &[0xdb, 0, 1, 0, 0]),
        ];
        for (len, head) in strings {
            check(|out| write_str(out, &text[..len]), head, head.len() + len);
            check(
                |out| {
                    let at = out.len();
                    out.push(0);
                    out.extend_from_slice(&text[..len]);
                    patch_str_header(out, at);
                },
                head,
                head.len() + len,
            );
        }
        check(|out| write_bin(out, b""), &[0xc4, 0], 2);
        check(|out| write_bin(out, &text[..256]), &[0xc5, 1, 0, b'x'], 259);
        check(|out| write_ext(out, 0, b"12345678"), b"\xd7\x0012345678", 10);
        check(|out| write_ext(out, -1, &text[..16]), b"\xd8\xffx", 18);
        check(|out| write_ext(out, 7, b""), &[0xc7, 0, 7], 3);
        check(|out| write_ext(out, 7, &text), &[0xc9, 0, 1, 0, 0, 7], 6 + 0x1_0000);
    }

    #[test]
    fn containers_take_the_shortest_header() {
        let headers: [(u32, &[u8], &[u8]); 5] = [
            (0, &[0x90], &[0x80]),
            (15, &[0x9f], &[0x8f]),
            (16, &[0xdc, 0, 16], &[0xde, 0, 16]),
            (0xffff, &[0xdc, 255, 255], &[0xde, 255, 255]),
            (u32::MAX, &[0xdd, 255, 255, 255, 255], &[0xdf, 255, 255, 255, 255]),
        ];
        for (len, array, map) in headers {
            check(|out| write_array_header(out, len), array, array.len());
            check(|out| write_map_header(out, len), map, map.len());
            for (kind, head) in [(Container::Array, array), (Container::Map, map)] {
                let patched = [head, b"elements"].concat();
                check(
                    |out| {
                        let at = out.len();
                        out.extend_from_slice(b"\0elements");
                        patch_container_header(out, at, kind, len);
                    },
                    &patched,
                    patched.len(),
                );
            }
        }
    }
}
