//! Artifacts that are damaged, and artifacts that lie: metadata that says what is not so, under a
//! header whose digest is right. Each is refused by a typed error.

#![expect(clippy::unwrap_used, reason = "helpers of a test panic as the test does")]

mod oracle;

use std::ops::Range;

use flb_artifact::{
    Arguments, Artifact, ArtifactBuilder, ArtifactError, EngineSettings, Export, Import, Interface,
    Levels, Metadata, SecretKey, Sha256Hex, SliceCode, Target, ValueType,
};
use oracle::{HEADER_LEN, check_file, check_metadata, seal};
use serde_json::{Value, json};

const WASM: &[u8] = b"\0asm\x01\0\0\0, or something like it, something like it";

/// Two slices and their module: one slice compressed, which stands anywhere, one raw, which stands
/// on a page.
fn sound() -> Vec<u8> {
    let slice = |target, code: &[u8], compress| SliceCode {
        target: Target::parse(target, None, None).unwrap(),
        options: Levels { opt_level: 3, size_level: 0 },
        engine: engine(),
        no_signals: None,
        code: code.to_vec(),
        compress,
    };
    // The long name is room for longer lies.
    ArtifactBuilder::new(&"x".repeat(300), WASM, interface())
        .slice(slice("riscv64", &[7; 100], true))
        .slice(slice("x86_64", b"code for x86_64", false))
        .build(Some(WASM))
        .unwrap()
}

fn interface() -> Interface {
    let export = Export {
        name: "filter".to_owned(),
        params: vec![ValueType::I32, ValueType::I64],
        results: vec![ValueType::I32],
    };
    let import = Import { module: "env".to_owned(), name: "log".to_owned() };
    let arguments = Arguments::Pages { limit: 65536 };
    Interface { exports: vec![export], imports: vec![import], arguments }
}

/// From JSON, because this file is not about the engine.
fn engine() -> EngineSettings {
    let settings = json!({
        "name": "wasmtime", "version": "48.0.8", "interruption": "epoch",
        "memory_reservation": 1_u64 << 32, "memory_guard_size": 1 << 25,
        "guard_before_linear_memory": true, "memory_may_move": true,
        "memory_reservation_for_growth": 1_u64 << 31, "memory_init_cow": true,
        "table_lazy_init": true, "signals_based_traps": true, "inlining": false,
        "debug_symbols": false, "debug_info": false, "concurrency": false, "collector": "drc",
    });
    serde_json::from_value(settings).unwrap()
}

#[test]
fn an_artifact_that_does_not_say_how_it_is_interrupted_is_by_epochs() {
    let mut settings = serde_json::to_value(engine()).unwrap();
    settings.as_object_mut().unwrap().remove("interruption");
    assert_eq!(serde_json::from_value::<EngineSettings>(settings).unwrap(), engine());
}

fn signed() -> Artifact {
    let mut artifact = Artifact::parse(sound()).unwrap();
    artifact.sign(&SecretKey::from_random([3; 32]));
    artifact
}

/// Reads the file and all that is in it.
fn read(file: &[u8]) -> Result<(), ArtifactError> {
    let artifact = check_file(file)?;
    for slice in &artifact.metadata().slices {
        artifact.code(slice)?;
    }
    artifact.wasm()?;
    Ok(())
}

/// Checks what is said of the file, but for places in JSON and for help.
fn check(file: &[u8], expected: &str) {
    let shown = read(file).map_or_else(|error| error.to_string(), |()| "sound".to_owned());
    let shown = shown.split("; help: ").next().unwrap();
    let shown = shown.split(" at line ").next().unwrap();
    assert_eq!(shown, expected);
}

/// Checks the sound file with its metadata changed and its header made right again. What stands
/// behind the metadata stays where it is.
fn check_lie(lie: impl FnOnce(&mut Value), expected: &str) {
    let (metadata, behind) = apart();
    let mut lying = serde_json::from_slice::<Value>(&metadata).unwrap();
    lie(&mut lying);
    lying["producer"] = "".into();
    let mut lying = serde_json::to_vec(&lying).unwrap();
    assert!(lying.len() <= metadata.len());
    lying.resize(metadata.len(), b' ');
    check(&seal(&lying, &behind), expected);
}

/// Checks one number of a slice that lies.
fn check_number(slice: usize, name: &str, lie: u64, expected: &str) {
    check_lie(|metadata| metadata["slices"][slice]["code"][name] = lie.into(), expected);
}

/// The sound file's metadata and what stands behind it.
fn apart() -> (Vec<u8>, Vec<u8>) {
    let file = sound();
    let metadata_len = u32::from_le_bytes(file[12..16].try_into().unwrap());
    let end = HEADER_LEN + metadata_len as usize;
    (file[HEADER_LEN..end].to_vec(), file[end..].to_vec())
}

fn metadata() -> Metadata {
    Artifact::parse(sound()).unwrap().metadata().clone()
}

const IMPOSSIBLE: &str = "faulty artifact: a part has an impossible place";
const OUTSIDE: &str = "faulty artifact: a part lies outside its file or on another";
const FOLLOWED: &str = "faulty artifact: bytes follow the last part";
const HEADER: &str = "damaged artifact: header or metadata does not match its checksum";
const SIGNATURE: &str = "damaged artifact: signature does not match its checksum";
const RISCV: &str =
    "damaged artifact: code for riscv64gc-unknown-linux-gnu does not match its checksum";
const X86: &str = "damaged artifact: code for x86_64-unknown-linux-gnu does not match its checksum";
const MODULE: &str = "damaged artifact: WebAssembly module inside does not match its checksum";
const PADDING: &str = "damaged artifact: padding does not match its checksum";

#[test]
fn the_builders_files_are_sound() {
    check(&sound(), "sound");
    check(signed().bytes(), "sound");
    let artifact = Artifact::parse(sound()).unwrap();
    let [riscv, x86] = &artifact.metadata().slices[..] else { panic!("there are two") };
    assert_eq!(artifact.code(riscv).unwrap(), &[7; 100][..]);
    assert_eq!(artifact.code(x86).unwrap(), &b"code for x86_64"[..]);
    assert_eq!(artifact.wasm().unwrap().as_deref(), Some(WASM));
}

/// So whatever is said below of files that [`seal`] made is said of what they lie about.
#[test]
fn seal_makes_the_builders_file() {
    let (metadata, behind) = apart();
    assert_eq!(seal(&metadata, &behind), sound());
}

fn check_flips(whole: &[u8], bytes: Range<usize>) {
    for (byte, bit) in bytes.flat_map(|byte| (0..8).map(move |bit| (byte, bit))) {
        let mut flipped = whole.to_vec();
        flipped[byte] ^= 1 << bit;
        assert!(Artifact::parse(flipped).is_err(), "bit {bit} of byte {byte}");
    }
}

#[test]
fn every_flipped_bit_is_refused() {
    let whole = sound();
    check_flips(&whole, 0..whole.len());
}

#[test]
fn every_flipped_bit_of_a_signed_header_is_refused() {
    check_flips(signed().bytes(), 0..HEADER_LEN);
}

#[test]
fn a_flipped_bit_is_refused_for_what_it_hits() {
    let metadata = metadata();
    let first = metadata.slices[0].code.offset as usize;
    let second = metadata.slices[1].code.offset as usize;
    let source = metadata.source.embedded.unwrap().offset as usize;
    let cases = [
        (0, "not an .aot artifact: its first bytes are not the magic of one"),
        (8, "artifact format version 3, this program reads version 2"),
        (12, HEADER),
        (24, HEADER),
        (31, HEADER),
        (32, HEADER),
        (63, HEADER),
        (64, SIGNATURE),
        (96, SIGNATURE),
        (159, SIGNATURE),
        (160, HEADER),
        (first - 1, HEADER),
        (first, RISCV),
        (second - 1, PADDING),
        (second, X86),
        (source, MODULE),
        (sound().len() - 1, MODULE),
    ];
    for (at, expected) in cases {
        let mut flipped = sound();
        flipped[at] ^= 1;
        check(&flipped, expected);
    }
}

#[test]
fn every_truncation_is_refused() {
    let whole = sound();
    for length in 0..whole.len() {
        assert!(check_file(&whole[..length]).is_err(), "{length} bytes");
    }
    let length = whole.len();
    for (left, expected) in [
        (0, "not an .aot artifact: it is empty".to_owned()),
        (7, "not an .aot artifact: its first bytes are not the magic of one".to_owned()),
        (8, "damaged artifact: 8 bytes where the header says 160".to_owned()),
        (159, "damaged artifact: 159 bytes where the header says 160".to_owned()),
        (160, format!("damaged artifact: 160 bytes where the header says {length}")),
    ] {
        check(&whole[..left], &expected);
    }
}

#[test]
fn every_extension_is_refused() {
    let sound = sound();
    let expected = sound.len();
    let more = [1, 2, 7, 8, 160, 4096, 100_000].map(|more| [vec![0; more], vec![0xff; more]]);
    for more in more.as_flattened().iter().chain([&sound]) {
        let longer = [&sound[..], more].concat();
        let found = longer.len();
        let expected = format!("damaged artifact: {found} bytes where the header says {expected}");
        check(&longer, &expected);
    }
}

#[test]
fn a_longer_file_is_refused_though_the_header_agrees() {
    let (metadata, behind) = apart();
    for more in [1, 4096] {
        check(&seal(&metadata, &[&behind[..], &vec![0; more]].concat()), FOLLOWED);
    }
    check(&seal(&metadata, &behind[..behind.len() - 1]), OUTSIDE);
    check(&seal(&metadata, &[]), OUTSIDE);
}

#[test]
fn a_header_that_lies_is_refused() {
    let changed = |at: usize, bytes: &[u8]| {
        let mut file = sound();
        file[at..at + bytes.len()].copy_from_slice(bytes);
        let digest = Sha256Hex::of(&[&file[..32], &apart().0]);
        file[32..64].copy_from_slice(&digest.0);
        file
    };
    let length = sound().len();
    check(&changed(8, &[1]), "artifact format version 1, this program reads version 2");
    let expected = format!("artifact format version {}, this program reads version 2", u32::MAX);
    check(&changed(8, &[0xff; 4]), &expected);
    let expected = format!("damaged artifact: {length} bytes where the header says {}", u64::MAX);
    check(&changed(16, &[0xff; 8]), &expected);
    for metadata_len in [length as u32 - 159, 256 << 20, (256 << 20) + 1, u32::MAX - 159, u32::MAX]
    {
        check(&changed(12, &metadata_len.to_le_bytes()), HEADER);
    }
}

#[test]
fn metadata_that_is_no_metadata_is_refused() {
    let nested = [&b"[".repeat(100_000)[..], &b"]".repeat(100_000)].concat();
    let (metadata, _) = apart();
    let continued = [&metadata[..], b"x"].concat();
    for (metadata, reason) in [
        (&b""[..], "EOF while parsing a value"),
        (b"\0", "expected value"),
        (b"{}", "missing field `producer`"),
        (b"[]", "invalid length 0, expected struct Metadata with 6 elements"),
        (b"null", "invalid type: null, expected struct Metadata"),
        (b"{\"producer\":\"\xff\"}", "invalid unicode code point"),
        (b"{\"producer\":\"\",\"producer\":\"\"}", "duplicate field `producer`"),
        (&nested, "invalid type: sequence, expected a string"),
        (&continued, "trailing characters"),
    ] {
        check(&seal(metadata, &[]), &format!("faulty artifact: {reason}"));
    }
}

#[test]
fn a_place_outside_the_file_is_refused() {
    let length = sound().len() as u64;
    let pages = length.next_multiple_of(4096);
    check_number(0, "offset", length, OUTSIDE);
    check_number(0, "offset", length - 1, OUTSIDE);
    check_number(0, "offset", u64::MAX / 2, OUTSIDE);
    check_number(1, "offset", pages, OUTSIDE);
    check_number(1, "offset", u64::MAX - 4095, OUTSIDE);
    check_number(1, "length", length, OUTSIDE);
    check_number(1, "length", u64::MAX - 4096, OUTSIDE);
}

#[test]
fn a_place_beyond_all_numbers_is_refused() {
    check_number(0, "offset", u64::MAX, IMPOSSIBLE);
    check_number(0, "length", u64::MAX, IMPOSSIBLE);
    check_number(1, "length", u64::MAX - 4095, IMPOSSIBLE);
    check_number(1, "length", u64::MAX, IMPOSSIBLE);
}

#[test]
fn a_place_on_the_header_or_the_metadata_is_refused() {
    let end = (HEADER_LEN + apart().0.len()) as u64;
    check_number(0, "offset", 0, OUTSIDE);
    check_number(0, "offset", end - 1, OUTSIDE);
    check_number(1, "offset", 0, OUTSIDE);
}

#[test]
fn slices_on_each_other_are_refused() {
    let [first, second] = [0, 1].map(|slice| metadata().slices[slice].code.clone());
    check_lie(
        |metadata| metadata["slices"][1]["code"] = metadata["slices"][0]["code"].clone(),
        OUTSIDE,
    );
    check_lie(
        |metadata| {
            let code = &mut metadata["slices"][0]["code"];
            let (_, behind) = apart();
            // It is right in all but its last byte, which is the second slice's first.
            let length = second.offset - first.offset + 1;
            code["length"] = length.into();
            code["sha256"] = Sha256Hex::of(&[&behind[..length as usize]]).to_string().into();
        },
        OUTSIDE,
    );
    check_lie(|m| m["source"]["embedded"]["offset"] = second.offset.into(), OUTSIDE);
}

#[test]
fn slices_in_another_order_than_in_the_file_are_refused() {
    check_lie(|metadata| metadata["slices"].as_array_mut().unwrap().reverse(), PADDING);
}

#[test]
fn a_place_that_is_not_aligned_is_refused() {
    let second = &metadata().slices[1].code;
    check_number(1, "offset", second.offset + 1, IMPOSSIBLE);
    check_number(1, "align", 1 << 20, IMPOSSIBLE);
}

#[test]
fn an_alignment_is_a_power_of_two_up_to_a_megabyte() {
    for align in [0, 3, 4095, 4097, 1 << 21, 1 << 63, u64::MAX] {
        check_number(1, "align", align, IMPOSSIBLE);
    }
    for align in [1, 2, 4096] {
        check_number(1, "align", align, "sound");
    }
    // Zero is a multiple of everything.
    check_lie(
        |metadata| {
            let code = &mut metadata["slices"][0]["code"];
            code["offset"] = 0.into();
            code["align"] = (1 << 20).into();
        },
        OUTSIDE,
    );
}

#[test]
fn a_length_that_is_not_what_the_digest_covers_is_refused() {
    let [first, second] = [0, 1].map(|slice| metadata().slices[slice].code.length);
    check_number(0, "length", 0, RISCV);
    check_number(0, "length", first - 1, RISCV);
    check_number(0, "length", first + 1, RISCV);
    check_number(1, "length", second - 1, X86);
    check_lie(|metadata| metadata["source"]["embedded"]["length"] = 1.into(), MODULE);
}

#[test]
fn a_digest_of_other_bytes_is_refused() {
    let other = Sha256Hex::of(&[b"other bytes"]).to_string();
    for (slice, expected) in [(0, RISCV), (1, X86)] {
        let lie = |metadata: &mut Value| {
            metadata["slices"][slice]["code"]["sha256"] = other.as_str().into();
        };
        check_lie(lie, expected);
    }
    check_lie(|m| m["source"]["embedded"]["sha256"] = other.as_str().into(), MODULE);
    // The module inside is whole, and another than the one that was compiled.
    check_lie(|m| m["source"]["sha256"] = other.as_str().into(), MODULE);
}

#[test]
fn bytes_between_parts_are_zero() {
    let (metadata, mut behind) = apart();
    let end = HEADER_LEN + metadata.len();
    let second = Artifact::parse(sound()).unwrap().metadata().slices[1].code.offset as usize;
    behind[second - end - 1] = 1;
    check(&seal(&metadata, &behind), PADDING);
}

#[test]
fn a_part_that_nobody_mentions_is_refused() {
    check_lie(|metadata| metadata["slices"].as_array_mut().unwrap().truncate(1), PADDING);
    check_lie(|metadata| drop(metadata["slices"].as_array_mut().unwrap().remove(0)), PADDING);
    check_lie(|metadata| metadata["source"]["embedded"] = Value::Null, FOLLOWED);
}

#[test]
fn an_artifact_without_slices_is_refused() {
    check_lie(|metadata| metadata["slices"] = json!([]), "faulty artifact: it has no code");
}

#[test]
fn a_size_that_is_not_so_is_refused_when_the_code_is_wanted() {
    for size in [0, 99, 101, 1 << 30, (1 << 30) + 1, u64::MAX] {
        check_number(0, "size", size, RISCV);
    }
    for size in [0, 14, 16, u64::MAX] {
        check_number(1, "size", size, X86);
    }
    check_lie(|metadata| metadata["source"]["embedded"]["size"] = 1.into(), MODULE);
}

#[test]
fn an_encoding_that_is_not_so_is_refused_when_the_code_is_wanted() {
    let encoding = |slice: usize, encoding: &'static str| {
        move |metadata: &mut Value| metadata["slices"][slice]["code"]["encoding"] = encoding.into()
    };
    check_lie(encoding(0, "raw"), RISCV);
    check_lie(encoding(1, "deflate"), X86);
}

/// Checks the sound file with another value of one member of its metadata.
fn check_member(pointer: &str, lie: Value, reason: &str) {
    check_lie(
        |metadata| *metadata.pointer_mut(pointer).unwrap() = lie,
        &format!("faulty artifact: {reason}"),
    );
}

#[test]
fn numbers_of_another_type_are_refused() {
    for (lie, reason) in [
        (json!(-1), "invalid value: integer `-1`, expected u64"),
        (json!(4096.0), "invalid type: floating point `4096.0`, expected u64"),
        (json!(1e300), "invalid type: floating point `1e+300`, expected u64"),
        (json!("4096"), "invalid type: string \"4096\", expected u64"),
        (Value::Null, "invalid type: null, expected u64"),
    ] {
        for member in ["offset", "length", "align", "size"] {
            check_member(&format!("/slices/1/code/{member}"), lie.clone(), reason);
        }
    }
    let reason = "invalid value: integer `256`, expected u8";
    check_member("/slices/0/options/opt_level", json!(256), reason);
}

#[test]
fn a_digest_that_is_no_digest_is_refused() {
    let digits = "0".repeat(64);
    for lie in ["", &digits[1..], &format!("{digits}0"), &"\u{e9}".repeat(32), &"+0".repeat(32)] {
        let reason = "a SHA-256 is 64 hexadecimal digits";
        check_member("/slices/0/code/sha256", lie.into(), reason);
    }
}

#[test]
fn a_word_that_no_reader_knows_is_refused() {
    for (pointer, lie, reason) in [
        ("/slices/0/code/encoding", "zstd", "unknown variant `zstd`, expected `raw` or `deflate`"),
        (
            "/slices/1/engine/interruption",
            "fuel",
            "unknown variant `fuel`, expected one of `signal`, `epoch`, `none`",
        ),
        (
            "/interface/arguments/by",
            "hand",
            "unknown variant `hand`, expected one of `malloc`, `new`, `pages`",
        ),
    ] {
        check_member(pointer, lie.into(), reason);
    }
}

#[test]
fn unknown_members_are_ignored() {
    check_lie(
        |metadata| {
            metadata["later"] = json!({ "offset": -1, "more": [null, 1.5, "\u{1f600}"] });
            metadata["source"]["later"] = json!(true);
            metadata["interface"]["later"] = json!([]);
            metadata["slices"][0]["later"] = json!("");
            metadata["slices"][0]["code"]["later"] = json!(0);
            metadata["slices"][1]["engine"]["later"] = json!(false);
        },
        "sound",
    );
}

#[test]
fn a_signature_holds_for_its_own_artifact_only() {
    let signature = signed().bytes()[64..HEADER_LEN].to_vec();
    let (metadata, behind) = apart();
    let moved = |metadata: &[u8], area: &[u8]| {
        let mut file = seal(metadata, &behind);
        file[64..HEADER_LEN].copy_from_slice(area);
        file
    };
    check(&moved(&metadata, &signature), "sound");
    let other = [&metadata[..metadata.len() - 1], b" }"].concat();
    check(&moved(&other, &signature), SIGNATURE);
}

/// The oracle's way past the digests, which the fuzzer takes, leads somewhere.
#[test]
fn the_oracle_makes_digests_right() {
    let (metadata, _) = apart();
    let mut metadata = serde_json::from_slice::<Value>(&metadata).unwrap();
    let code = |offset, align, length, sha256| {
        let size = length;
        json!({
            "offset": offset, "length": length, "align": align,
            "encoding": "raw", "size": size, "sha256": sha256,
        })
    };
    let other = Sha256Hex::of(&[b"other bytes"]).to_string();
    metadata["slices"][0]["code"] = code(4096, 4096, 4, &other);
    metadata["slices"][1]["code"] = code(4108, 4, 7, &other);
    metadata["source"]["embedded"] = Value::Null;
    let behind = b"code\0\0\0\0\0\0\0\0another";
    let input = [metadata.to_string().as_bytes(), b"\0", behind].concat();
    let artifact = check_metadata(&input).unwrap();
    let [first, second] = &artifact.metadata().slices[..] else { panic!("there are two") };
    assert_eq!(artifact.code(first).unwrap(), &b"code"[..]);
    assert_eq!(artifact.code(second).unwrap(), &b"another"[..]);
}
