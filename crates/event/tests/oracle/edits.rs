//! Edits of a map, against a plain model of what they mean.

use flb_event::edit::{self, Edit, MOST_NAMED};
use flb_event::msgpack::{self, Reader};

/// A map's length in two bytes, the map, and edits: a kind, then key and value with their lengths in a byte each before them, or a
/// place in two bytes and a value.
pub(crate) fn check_edits(data: &[u8]) {
    let Some((length, rest)) = data.split_first_chunk() else { return };
    let length = usize::from(u16::from_le_bytes(*length)).min(rest.len());
    let (map, mut rest) = rest.split_at(length);
    let mut edits = Vec::new();
    while let Some(edit) = next(&mut rest) {
        edits.push(edit);
    }
    let mut out = b"before".to_vec();
    let made = edit::apply(map, &edits, &mut out);
    assert!(out.starts_with(b"before"));
    if msgpack::map_len(map) != Ok(map.len()) {
        return;
    }
    let expected = model(map, &edits);
    assert_eq!(made.is_ok(), expected.is_some(), "{made:?} {edits:?} {map:02x?}");
    if let Some(expected) = expected {
        assert_eq!(out[6..], expected, "{edits:?} {map:02x?}");
    }
}

fn next<'a>(rest: &mut &'a [u8]) -> Option<Edit<'a>> {
    let kind = take(rest, 1)?[0];
    let bytes = |rest: &mut &'a [u8]| {
        let length = take(rest, 1)?[0];
        take(rest, length.into())
    };
    Some(match kind % 6 {
        0 => Edit::Set { key: bytes(rest)?, value: bytes(rest)? },
        1 => Edit::Append { key: bytes(rest)?, value: bytes(rest)? },
        2 => Edit::Delete { key: bytes(rest)? },
        3 => Edit::Rename { key: bytes(rest)?, to: bytes(rest)? },
        4 => {
            let at = take(rest, 2)?;
            Edit::Put { at: u16::from_le_bytes([at[0], at[1]]).into(), value: bytes(rest)? }
        }
        _ => Edit::All { map: bytes(rest)? },
    })
}

fn take<'a>(rest: &mut &'a [u8], length: usize) -> Option<&'a [u8]> {
    let (taken, left) = rest.split_at_checked(length)?;
    *rest = left;
    Some(taken)
}

fn name<'a>(edit: &Edit<'a>) -> Option<&'a [u8]> {
    match edit {
        Edit::Set { key, .. } | Edit::Delete { key } | Edit::Rename { key, .. } => Some(key),
        _ => None,
    }
}

/// What becomes of a sound map; `None` where the edits cannot be made.
fn model(map: &[u8], edits: &[Edit<'_>]) -> Option<Vec<u8>> {
    let is_value = |value: &[u8]| msgpack::value_len(value) == Ok(value.len());
    if let [Edit::All { map }] = edits {
        return (msgpack::map_len(map) == Ok(map.len())).then(|| map.to_vec());
    }
    for edit in edits {
        let sound = match edit {
            Edit::Set { value, .. } | Edit::Append { value, .. } | Edit::Put { value, .. } => {
                is_value(value)
            }
            Edit::Delete { .. } | Edit::Rename { .. } => true,
            Edit::All { .. } => false,
        };
        if !sound {
            return None;
        }
    }
    if edits.iter().filter_map(name).count() > MOST_NAMED {
        return None;
    }
    let puts: Vec<(usize, &[u8])> = edits
        .iter()
        .filter_map(|edit| match edit {
            Edit::Put { at, value } => Some((*at, *value)),
            _ => None,
        })
        .collect();
    if !puts.is_sorted_by(|one, other| one.0 < other.0) {
        return None;
    }
    let (count, header) = msgpack::map_header(map).ok()?;
    let (mut body, mut left, mut used) = (Vec::new(), count, 0);
    let mut at = header;
    let mut names = Vec::new();
    for entry in msgpack::entries(map).ok()? {
        let (key, value) = entry.ok()?;
        let text = msgpack::as_str(key);
        names.extend(text);
        let mut keep = |body: &mut Vec<u8>, at: usize, raw: &[u8]| {
            let (patched, count) = patched(at, raw, &puts)?;
            used += count;
            body.extend_from_slice(&patched);
            Some(())
        };
        let last = edits.iter().rev().find(|edit| text.is_some() && name(edit) == text);
        match last {
            Some(Edit::Delete { .. }) => left -= 1,
            Some(Edit::Rename { to, .. }) => {
                msgpack::write_str(&mut body, to);
                keep(&mut body, at + key.len(), value)?;
            }
            Some(Edit::Set { value, .. }) => {
                keep(&mut body, at, key)?;
                body.extend_from_slice(value);
            }
            _ => {
                keep(&mut body, at, key)?;
                keep(&mut body, at + key.len(), value)?;
            }
        }
        at += key.len() + value.len();
    }
    if used != puts.len() {
        return None;
    }
    for (index, edit) in edits.iter().enumerate() {
        let (key, value) = match edit {
            Edit::Append { key, value } => (key, value),
            Edit::Set { key, value }
                if !names.contains(key)
                    && !edits[index + 1..].iter().any(|later| name(later) == Some(key)) =>
            {
                (key, value)
            }
            _ => continue,
        };
        msgpack::write_str(&mut body, key);
        body.extend_from_slice(value);
        left += 1;
    }
    let mut out = Vec::new();
    if left == count {
        out.extend_from_slice(&map[..header]);
    } else {
        msgpack::write_map_header(&mut out, left);
    }
    out.extend_from_slice(&body);
    is_value(&out).then_some(out)
}

/// A value, or a key, that begins at `at` in its map, with the puts within it made; and how many these are.
fn patched(at: usize, raw: &[u8], puts: &[(usize, &[u8])]) -> Option<(Vec<u8>, usize)> {
    let mut starts = Vec::new();
    let mut reader = Reader::new(raw);
    while !reader.is_at_end() {
        starts.push(reader.position());
        reader.next().ok()?;
    }
    let within: Vec<(usize, &[u8])> = puts
        .iter()
        .filter(|(place, _)| (at..at + raw.len()).contains(place))
        .map(|(place, value)| (place - at, *value))
        .collect();
    let mut free = 0;
    for (place, _) in &within {
        if *place < free || !starts.contains(place) {
            return None;
        }
        free = place + msgpack::value_len(&raw[*place..]).ok()?;
    }
    let mut out = raw.to_vec();
    for (place, value) in within.iter().rev() {
        let old = msgpack::value_len(&raw[*place..]).ok()?;
        out.splice(*place..place + old, value.iter().copied());
    }
    Some((out, within.len()))
}
