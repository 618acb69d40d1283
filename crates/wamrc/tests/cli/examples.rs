//! What docs/wamrc.md shows is what the program prints, numbers aside.

use std::path::Path;
use std::process::Command;

use crate::stage::Stage;

const PAGE: &str = include_str!("../../../../docs/wamrc.md");

/// The commands that the page shows, each with its output.
fn examples() -> Vec<(&'static str, Vec<&'static str>)> {
    let mut examples: Vec<(&str, Vec<&str>)> = Vec::new();
    for block in PAGE.split("```\n").skip(1).step_by(2) {
        if !block.starts_with("$ ") {
            continue;
        }
        for line in block.lines() {
            match line.strip_prefix("$ ") {
                Some(command) => examples.push((command, Vec::new())),
                None => examples.last_mut().unwrap().1.push(line),
            }
        }
    }
    examples
}

/// Sizes and digests change with every version of the compiler: digits and digests become one sign.
fn timeless(line: &str) -> String {
    let is_hex = |word: &str| word.len() == 64 && word.bytes().all(|b| b.is_ascii_hexdigit());
    let words = line.split_inclusive(|c: char| !c.is_ascii_alphanumeric());
    let plain = words.map(|word| {
        let end = word.len() - usize::from(!word.ends_with(|c: char| c.is_ascii_alphanumeric()));
        let (text, sign) = word.split_at(end);
        let number = !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
        format!("{}{sign}", if number || is_hex(text) { "N" } else { text })
    });
    plain.collect::<String>().split_whitespace().collect::<Vec<_>>().join(" ")
}

fn run(stage: &Stage, line: &str) -> String {
    let folder = Path::new(env!("CARGO_BIN_EXE_flb-wamrc")).parent().unwrap();
    let line = format!("PATH='{}':$PATH; {line} 2>&1", folder.display());
    let mut shell = Command::new("sh");
    let output = shell.arg("-c").arg(line).current_dir(stage.path("")).output().unwrap();
    String::from_utf8(output.stdout).unwrap()
}

#[test]
fn the_documentation_shows_what_is_printed() {
    let stage = Stage::new();
    for name in ["rust-enrich.wasm", "c-enrich.wasm"] {
        let source =
            Path::new(env!("CARGO_MANIFEST_DIR")).join("../../examples/filters").join(name);
        std::fs::copy(source, stage.path(name)).unwrap();
    }
    let examples = examples();
    assert!(examples.len() >= 11, "only {} examples", examples.len());
    for (command, shown) in examples {
        let printed = run(&stage, command);
        let mut printed: Vec<String> = printed.lines().map(timeless).collect();
        let mut shown: Vec<String> = shown.into_iter().map(timeless).collect();
        if shown.last().is_some_and(|line| line == "...") {
            shown.pop();
            printed.truncate(shown.len());
        }
        assert_eq!(printed, shown, "{command}");
    }
}
