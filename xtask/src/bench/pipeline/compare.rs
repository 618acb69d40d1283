//! What both agents write to files, line by line.

use std::fs;
use std::path::Path;

use anyhow::Result;
use serde_json::{Value, json};

use super::agent::Agent;
use super::works::Work;
use crate::bench::measure::measure;

/// So many characters of a line are shown.
const SHOWN: usize = 120;
/// So many different pairs of a work are shown.
const PAIRS: usize = 12;

/// Prints how many lines differ in each work.
pub(super) fn all(ours: &Agent, peer: &Agent, works: &[Work], folder: &Path) -> Result<Value> {
    println!(
        "\n| written to a file | lines | the same | different | only ours | only peer |\n|---|---|---|---|---|---|"
    );
    let (mut kept, mut shown) = (Vec::new(), String::new());
    for work in works.iter().filter(|work| peer.can(work)) {
        let (left, right) = (written(ours, work, folder)?, written(peer, work, folder)?);
        let Compared { same, different, only_ours, only_peer } =
            compare(&lines(&left), &lines(&right));
        let (name, lines) = (&work.name, work.records);
        let counts = [different.len(), only_ours.len(), only_peer.len()];
        let [pairs, ours, peer] = counts;
        println!("| {name} | {lines} | {same} | {pairs} | {ours} | {peer} |");
        kept.push(json!({
            "work": name, "lines": lines, "same": same, "different": pairs, "only_ours": ours,
            "only_peer": peer,
        }));
        if counts != [0; 3] {
            shown += &format!("\n{name}:\n");
        }
        for (ours, peer) in different.iter().take(PAIRS) {
            shown += &format!("  ours {}\n  peer {}\n", show(ours), show(peer));
        }
        for (whose, lines) in [("ours", only_ours), ("peer", only_peer)] {
            for line in lines.iter().take(PAIRS) {
                shown += &format!("  only {whose} {}\n", show(line));
            }
        }
    }
    print!("{shown}");
    Ok(Value::Array(kept))
}

/// What the agent writes, as plain JSON lines.
fn written(agent: &Agent, work: &Work, folder: &Path) -> Result<Vec<u8>> {
    let name = format!("{}.out", agent.name);
    let path = folder.join(&name);
    if path.exists() {
        fs::remove_file(&path)?;
    }
    let (place, file) = (format!("path={}", folder.display()), format!("file={name}"));
    measure(&agent.command(work, &["file", &place, &file, "format=plain"]))?;
    Ok(fs::read(path)?)
}

fn lines(text: &[u8]) -> Vec<&[u8]> {
    text.strip_suffix(b"\n").map_or(vec![], |text| text.split(|byte| *byte == b'\n').collect())
}

fn show(line: &[u8]) -> String {
    String::from_utf8_lossy(line).chars().take(SHOWN).collect()
}

#[derive(Debug, Default, PartialEq)]
struct Compared<'a> {
    same: usize,
    different: Vec<(&'a [u8], &'a [u8])>,
    only_ours: Vec<&'a [u8]>,
    only_peer: Vec<&'a [u8]>,
}

/// A line that one of them does not have stands alone, so that it does not make all later ones differ.
fn compare<'a>(mut ours: &[&'a [u8]], mut peer: &[&'a [u8]]) -> Compared<'a> {
    let mut compared = Compared::default();
    loop {
        let (is_only_ours, is_only_peer) = match (ours, peer) {
            ([], []) => return compared,
            ([one, ..], [other, ..]) if one == other => {
                compared.same += 1;
                (false, false)
            }
            ([one, left @ ..], [other, right @ ..]) => {
                let (is_only_ours, is_only_peer) =
                    (left.first() == Some(other), right.first() == Some(one));
                if is_only_ours == is_only_peer {
                    compared.different.push((one, other));
                }
                (is_only_ours && !is_only_peer, is_only_peer && !is_only_ours)
            }
            (_, []) => (true, false),
            ([], _) => (false, true),
        };
        if is_only_ours {
            compared.only_ours.push(ours[0]);
        }
        if is_only_peer {
            compared.only_peer.push(peer[0]);
        }
        ours = if is_only_peer { ours } else { &ours[1..] };
        peer = if is_only_ours { peer } else { &peer[1..] };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_that_only_one_has_does_not_make_later_ones_differ() {
        let (ours, peer) = (lines(b"a\nb\nc\nd\n"), lines(b"a\nc\nD\ne\n"));
        let compared = compare(&ours, &peer);
        assert_eq!(compared.same, 2);
        assert_eq!(compared.only_ours, [b"b"]);
        assert_eq!(compared.different, [(&b"d"[..], &b"D"[..])]);
        assert_eq!(compared.only_peer, [b"e"]);
        assert_eq!(compare(&[], &lines(b"\n")).only_peer, [b""]);
    }
}
