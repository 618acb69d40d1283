//! Every verdict and every edit, byte by byte.

use flb_event::{Tag, Timestamp, msgpack};
use flb_runtime::FilterError;

use crate::answered::{Fate, Made, ask};
use crate::script::{Act, DROP, EDIT, FAIL, IN_BODY, KEEP, REPLACE, SPLIT, Script, batch};
use crate::{files, start};

/// `{"a": 1, "b": {"c": 2}}`
const BODY: &[u8] = b"\x82\xa1a\x01\xa1b\x81\xa1c\x02";
const METADATA: &[u8] = b"\x81\xa1m\x07";

/// The bodies that one record with this body becomes.
#[track_caller]
fn became(fate: &Fate) -> Vec<&[u8]> {
    match fate {
        Fate::Became(made) => {
            assert!(made.iter().all(|one| one.metadata == METADATA && one.tag.is_none()));
            made.iter().map(|one| one.body.as_slice()).collect()
        }
        other => panic!("{other:?}"),
    }
}

#[track_caller]
fn check(script: Script, body: &[u8], expected: &[&[u8]]) {
    for (kind, file) in files(&script.module()) {
        let fates = ask(&mut start(file), &batch(&[(0, body)]));
        assert_eq!(became(&fates[0]), expected, "{kind}");
    }
}

#[track_caller]
fn check_edit(edits: &[(u32, &[u8], &[u8])], expected: &[u8]) {
    let mut script = Script::default();
    script.edit(edits);
    check(script, BODY, &[expected]);
}

#[test]
fn what_is_kept_is_not_touched() {
    let mut script = Script::default();
    script.say(KEEP, 7, 7);
    script.edit(&[]);
    let fates = ask(&mut start(script.module()), &batch(&[(0, BODY), (1, BODY)]));
    assert_eq!(fates, [Fate::Kept, Fate::Kept]);
}

#[test]
fn a_dropped_record_is_gone() {
    let mut script = Script::default();
    script.say(DROP, 0, 0);
    check(script, BODY, &[]);
}

#[test]
fn a_replaced_body_is_any_map_of_the_guest_s() {
    let mut script = Script::default();
    script.say_bytes(REPLACE, b"\x81\x05\xc0");
    check(script, BODY, &[b"\x81\x05\xc0"]);
    let mut script = Script::default();
    script.say(REPLACE | IN_BODY, 6, 4);
    check(script, BODY, &[b"\x81\xa1c\x02"]);
}

#[test]
fn every_edit_of_the_body() {
    check_edit(&[(0, b"a", b"\xc3")], b"\x82\xa1a\xc3\xa1b\x81\xa1c\x02");
    check_edit(&[(0, b"n", b"\xc3")], b"\x83\xa1a\x01\xa1b\x81\xa1c\x02\xa1n\xc3");
    check_edit(&[(1, b"a", b"\xc3")], b"\x83\xa1a\x01\xa1b\x81\xa1c\x02\xa1a\xc3");
    check_edit(&[(2, b"b", b"")], b"\x81\xa1a\x01");
    check_edit(&[(3, b"b", b"new")], b"\x82\xa1a\x01\xa3new\x81\xa1c\x02");
    check_edit(&[(5, b"", b"\x80")], b"\x80");
    check_edit(
        &[(1, b"x", b"\x01"), (2, b"a", b""), (0, b"y", b"\x02")],
        b"\x83\xa1b\x81\xa1c\x02\xa1x\x01\xa1y\x02",
    );
}

#[test]
fn a_put_changes_a_value_at_any_depth() {
    let mut script = Script::default();
    let value = script.place(b"\xa3two");
    let list = script.words(&[[4, 9, value, 4]]);
    script.say(EDIT, list, 1);
    check(script, BODY, &[b"\x82\xa1a\x01\xa1b\x81\xa1c\xa3two"]);
}

#[test]
fn edits_of_metadata_time_and_tag() {
    let mut script = Script::default();
    let tag = script.place(b"other");
    let (key, value) = (script.place(b"m"), script.place(b"\x08"));
    let set = [0x80 | 1 << 8, key, value, 1];
    let put = [0x84, 3, value, 1];
    let time = [6, 100, 999_999_999, 0];
    let list = script.words(&[set, time, [7, 0, tag, 5], [1 << 8, key, value, 1]]);
    script.say(EDIT, list, 4);
    let list = script.words(&[put]);
    script.say(EDIT, list, 1);
    let list = script.words(&[[7, 0, tag, 5]]);
    script.say(EDIT, list, 1);
    let list = script.words(&[time, [6, 5, 6, 0]]);
    script.say(EDIT, list, 2);
    let fates =
        ask(&mut start(script.module()), &batch(&[(0, BODY), (1, BODY), (2, BODY), (3, BODY)]));
    let made = |tag: Option<&str>, (sec, nsec), metadata: &[u8], body: &[u8]| {
        let (tag, metadata, body) = (tag.map(str::to_owned), metadata.to_vec(), body.to_vec());
        Fate::Became(vec![Made { tag, time: Timestamp { sec, nsec }, metadata, body }])
    };
    let with_m = b"\x83\xa1a\x01\xa1b\x81\xa1c\x02\xa1m\x08";
    assert_eq!(
        fates,
        [
            made(Some("other"), (100, 999_999_999), b"\x81\xa1m\x08", with_m),
            made(None, (2, 1), b"\x81\xa1m\x08", BODY),
            made(Some("other"), (3, 2), METADATA, BODY),
            made(None, (5, 6), METADATA, BODY),
        ]
    );
}

#[test]
fn parts_have_times_metadata_and_tags_of_their_own() {
    let mut script = Script::default();
    let (map, tag) = (script.place(b"\x81\xa1x\x01"), script.place(b"elsewhere"));
    let parts = script.words(&[
        [1, 2, 0, 0, 0, 0, 0, 0],
        [3, 4, map, 4, 0, 0, tag, 9],
        [5, 6, 0, 0, map, 4, 0, 0],
    ]);
    script.say(SPLIT, parts, 3);
    script.say(SPLIT, parts, 0);
    let fates = ask(&mut start(script.module()), &batch(&[(0, BODY), (1, BODY)]));
    let made = |tag: Option<&str>, (sec, nsec), metadata: &[u8], body: &[u8]| Made {
        tag: tag.map(str::to_owned),
        time: Timestamp { sec, nsec },
        metadata: metadata.to_vec(),
        body: body.to_vec(),
    };
    let parts = vec![
        made(None, (1, 2), METADATA, BODY),
        made(Some("elsewhere"), (3, 4), b"\x81\xa1x\x01", BODY),
        made(None, (5, 6), METADATA, b"\x81\xa1x\x01"),
    ];
    assert_eq!(fates, [Fate::Became(parts), Fate::Became(Vec::new())]);
}

/// One map may stand for many parts, and one tag: what they come to is looked at before they are.
#[test]
fn parts_take_no_more_together_than_a_record_may() {
    let mut map = b"\x81\xa1a".to_vec();
    msgpack::write_bin(&mut map, &vec![0; 40 << 10]);
    let mut script = Script::default();
    let (map_at, tag_at) = (script.place(&map), script.place(&[b't'; Tag::MAX_LEN]));
    let map_len = map.len() as u32;
    let bodies = script.words(&vec![[1, 2, 0, 0, map_at, map_len, 0, 0]; 1700]);
    script.say(SPLIT, bodies, 1700);
    let tags = script.words(&vec![[1, 2, 0, 0, 0, 0, tag_at, Tag::MAX_LEN as u32]; 1100]);
    script.say(SPLIT, tags, 1100);
    script.say(SPLIT, tags, 1000);
    let records = [(0, BODY), (1, BODY), (2, BODY)];
    let fates = ask(&mut start(script.module()), &batch(&records));
    for fate in &fates[..2] {
        let Fate::Failed(FilterError::BadOutput { reason }) = fate else { panic!("not refused") };
        assert_eq!(reason, "a record has more than 64 MiB");
    }
    assert!(matches!(&fates[2], Fate::Became(made) if made.len() == 1000));
}

#[test]
fn a_reason_is_told_in_the_filter_s_words() {
    let mut script = Script::default();
    script.say_bytes(FAIL, "no h\u{f6}st".as_bytes());
    script.say(FAIL, 0, 0);
    script.say_bytes(FAIL, &[b'x'; 2000]);
    let batch = batch(&[(0, BODY), (1, BODY), (2, BODY)]);
    let fates = ask(&mut start(script.module()), &batch);
    let reasons: Vec<&str> = fates
        .iter()
        .map(|fate| match fate {
            Fate::Failed(FilterError::Refused { reason }) => reason.as_str(),
            other => panic!("{other:?}"),
        })
        .collect();
    assert_eq!(reasons, ["no h\u{f6}st", "", &"x".repeat(1000)]);
}

#[test]
fn a_reason_that_is_not_in_memory_is_a_bad_answer() {
    let mut script = Script::default();
    let at = script.place(b"no user");
    let bad = [(u32::MAX, 7), (0x10_0000, 1), (0x0f_ffff, 2), (at, u32::MAX)];
    for (at, len) in bad {
        script.say(FAIL, at, len);
    }
    let records: Vec<(u32, &[u8])> = (0..bad.len() as u32).map(|command| (command, BODY)).collect();
    for (kind, file) in files(&script.module()) {
        let fates = ask(&mut start(file), &batch(&records));
        for (fate, (at, len)) in fates.iter().zip(bad) {
            let reason =
                format!("the reason of {len} bytes at {at:#x} is not in the guest's memory");
            assert_eq!(*fate, Fate::Failed(FilterError::BadOutput { reason }), "{kind}");
        }
    }
}

/// Long forms, floats of 32 bits, binary, extensions, keys of any type, repeated keys.
#[test]
fn what_no_edit_names_stays_byte_for_byte() {
    let entries: [&[u8]; 7] = [
        b"\xd9\x01k\xcf\0\0\0\0\0\0\0\x05",
        b"\xdb\0\0\0\x01z\xcb\x7f\xf8\0\0\0\0\0\x01",
        b"\x05\xc4\x02\xff\x00",
        b"\xc0\xd8\x01sixteen of bytes",
        b"\x92\x01\x02\xca\x3f\xc0\0\0",
        b"\x81\x01\x02\xc7\x03\x09xyz",
        b"\xa1k\xcf\xff\xff\xff\xff\xff\xff\xff\xff",
    ];
    let body = [&b"\xde\0\x07"[..], &entries.concat()].concat();
    let mut script = Script::default();
    script.edit(&[(0, b"z", b"\x01"), (1, b"n", b"\x02")]);
    let expected =
        [&b"\x88"[..], entries[0], b"\xdb\0\0\0\x01z\x01", &entries[2..].concat(), b"\xa1n\x02"];
    check(script, &body, &[&expected.concat()]);
    let mut script = Script::default();
    script.edit(&[(2, b"k", b"")]);
    check(script, &body, &[&[&b"\x85"[..], &entries[1..6].concat()].concat()]);
}

#[test]
fn a_filter_out_of_room_is_called_again_from_where_it_was() {
    let mut script = Script::default();
    let at = script.list(&[(1, b"n", b"\x01")]);
    script.command(Act::Again, EDIT, at, 1);
    script.command(Act::Again, DROP, 0, 0);
    let records: Vec<(u32, &[u8])> = (0..100).map(|index| (index % 2, BODY)).collect();
    for (kind, file) in files(&script.module()) {
        let fates = ask(&mut start(file), &batch(&records));
        for (index, fate) in fates.iter().enumerate() {
            let expected: &[&[u8]] =
                if index % 2 == 0 { &[b"\x83\xa1a\x01\xa1b\x81\xa1c\x02\xa1n\x01"] } else { &[] };
            assert_eq!(became(fate), expected, "{kind} {index}");
        }
    }
}

#[test]
fn a_batch_of_any_size_is_answered_in_order() {
    let mut script = Script::default();
    script.say(KEEP, 0, 0);
    script.say(DROP, 0, 0);
    script.edit(&[(0, b"a", b"\x02")]);
    let mut instance = start(script.module());
    let long = {
        let mut body = b"\x81\xa1a\xc6\0\x01\0\0".to_vec();
        body.resize(8 + (64 << 10), b'x');
        body
    };
    for count in [0, 1, 2, 1000, 10_000] {
        let body = |index: u32| if index % 501 == 7 { long.as_slice() } else { BODY };
        let records: Vec<(u32, &[u8])> =
            (0..count).map(|index| (index * 7 % 3, body(index))).collect();
        let fates = ask(&mut instance, &batch(&records));
        for ((command, body), fate) in records.iter().zip(&fates) {
            match command {
                0 => assert_eq!(*fate, Fate::Kept),
                1 => assert!(became(fate).is_empty()),
                _ if body.len() > 100 => assert_eq!(became(fate), [b"\x81\xa1a\x02"]),
                _ => assert_eq!(became(fate), [b"\x82\xa1a\x02\xa1b\x81\xa1c\x02"]),
            }
        }
    }
}

#[test]
fn a_record_of_many_megabytes_passes_and_one_that_does_not_fit_fails_alone() {
    let mut script = Script::default();
    script.edit(&[(1, b"n", b"\x01")]);
    let body = |size: usize| {
        let mut body = b"\x81\xa1a".to_vec();
        msgpack::write_bin(&mut body, &vec![0; size]);
        body
    };
    let (large, huge) = (body(40 << 20), body(70 << 20));
    let mut instance = start(script.module());
    let fates = ask(&mut instance, &batch(&[(0, BODY), (0, &large), (0, &huge), (0, BODY)]));
    assert_eq!(became(&fates[1])[0].len(), large.len() + 3);
    assert!(matches!(&fates[2], Fate::Failed(FilterError::Memory { .. })), "{:?}", fates[2]);
    for small in [0, 3] {
        assert_eq!(became(&fates[small])[0].len(), BODY.len() + 3);
    }
}
