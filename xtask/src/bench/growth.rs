//! `cargo xtask bench growth [RECORDS]`: what the agent's CPU time does while one thing grows: the size of records, the number of
//! filters, inputs, tags, files and rules. Prints a table, and draws it.
//!
//! Time may grow in proportion to the thing, and no faster: a row tells the power with which it grew over its last step.
//! `FLB_OURS` names a folder with programs of ours that are built already.

use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context as _, Result};

use super::lines::{self, Shape};
use super::measure::{measure, on_one_cpu};
use super::plot::{self, Scale};
use super::programs;
use crate::run::{root, target_dir};

const RECORDS: usize = 200_000;
const ROUNDS: usize = 3;
/// Bytes of a line where lines do not grow.
const LENGTH: usize = 227;
/// A greater power than this is not the clock's unrest.
const IN_PROPORTION: f64 = 1.2;

#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// How many records are read in a run
    #[arg(default_value_t = RECORDS)]
    records: usize,
    /// Measure only what has these words in its name
    words: Vec<String>,
}

/// What grows, how far, and how the agent is asked to work with so many.
struct Thing {
    name: &'static str,
    sizes: &'static [usize],
    command: fn(&Lines<'_>, usize) -> Result<Vec<String>>,
}

const THINGS: &[Thing] = &[
    Thing { name: "bytes a record", sizes: &[100, 1_000, 10_000, 100_000], command: bytes },
    Thing { name: "keys a record", sizes: &[10, 100, 1_000, 10_000], command: keys },
    Thing { name: "filters", sizes: &[1, 10, 100], command: filters },
    Thing { name: "rules", sizes: &[1, 10, 100, 1_000], command: rules },
    Thing { name: "inputs", sizes: &[1, 10, 100], command: inputs },
    Thing { name: "outputs", sizes: &[1, 10, 100], command: outputs },
    Thing { name: "tags", sizes: &[1, 100, 10_000, 100_000], command: tags },
    Thing { name: "tags in a ring", sizes: &[1, 100, 10_000, 100_000], command: tags_in_a_ring },
    Thing { name: "files", sizes: &[1, 100, 1_000, 5_000], command: files },
];

pub(super) fn run(args: &Args) -> Result<()> {
    let program = programs()?.join("flb-agent");
    let folder = target_dir()?.join("bench/growth");
    fs::create_dir_all(&folder)?;
    let (lines, words) = (Lines { folder: &folder, records: args.records }, args.words.join(" "));
    let mut curves = Vec::new();
    println!("| what grows | to | CPU ms | peak MiB |\n|---|---|---|---|");
    for thing in THINGS.iter().filter(|thing| thing.name.contains(&words)) {
        curves.push((thing.name, grow(&program, thing, &lines)?));
    }
    println!("\n| what grows | power over the last step | |\n|---|---|---|");
    for (name, points) in &curves {
        let power = power(points);
        let word = if power > IN_PROPORTION { "faster than in proportion" } else { "" };
        println!("| {name} | {power:.2} | {word} |");
    }
    for (part, curves) in ["things", "numbers"].iter().zip(curves.chunks(4)) {
        let drawn = plot::svg(Scale::Powers, "how many", "CPU ms", curves);
        fs::write(folder.join(format!("{part}.svg")), drawn)?;
    }
    println!("\nPlots are in the target's folder bench/growth.");
    Ok(())
}

/// The least CPU time in milliseconds for each size.
fn grow(program: &Path, thing: &Thing, lines: &Lines<'_>) -> Result<Vec<(f64, f64)>> {
    let mut points = Vec::new();
    for size in thing.sizes {
        let mut command = Command::new(program);
        command.env_remove("HOME").env_remove("XDG_CACHE_HOME");
        command.arg("-q").arg("-R").arg(root().join("tests/bench/parsers.conf"));
        command.args((thing.command)(lines, *size)?);
        let costs: Vec<_> = on_one_cpu(|| (0..ROUNDS).map(|_| measure(&command)).collect())?;
        let cpu = costs.iter().map(|cost| cost.cpu).min().unwrap_or(Duration::ZERO);
        let peak = costs.iter().map(|cost| cost.peak_kib).max().unwrap_or_default();
        let ms = cpu.as_secs_f64() * 1e3;
        println!("| {} | {size} | {ms:.0} | {:.1} |", thing.name, peak as f64 / 1024.0);
        points.push((*size as f64, ms));
    }
    Ok(points)
}

/// With which power time grew from the last point but one to the last one.
fn power(points: &[(f64, f64)]) -> f64 {
    let [.., before, last] = points else { return 0.0 };
    (last.1 / before.1.max(1.0)).ln() / (last.0 / before.0).ln()
}

/// Makes the files that are read.
struct Lines<'a> {
    folder: &'a Path,
    records: usize,
}

impl Lines<'_> {
    fn of(&self, shape: Shape, length: usize, lines: usize) -> Result<PathBuf> {
        let path = self.folder.join(format!("{shape:?}-{length}-{lines}.jsonl"));
        fs::write(&path, lines::file(shape, length, lines))?;
        Ok(path)
    }

    fn service(&self) -> Result<PathBuf> {
        self.of(Shape::Service, LENGTH, self.records)
    }

    /// Lines whose key `tag` has so many values.
    fn tagged(&self, tags: usize) -> Result<PathBuf> {
        let path = self.folder.join(format!("tagged-{tags}.jsonl"));
        let mut text = String::new();
        for number in 0..self.records {
            let line = format_args!("{{\"tag\":\"t{}\",\"n\":{number}}}", number % tags);
            writeln!(text, "{line}").context("a String takes all text")?;
        }
        fs::write(&path, text)?;
        Ok(path)
    }
}

/// The words of a command line. A bar stands for a blank within one.
fn words(text: &str) -> Vec<String> {
    let words = text.split(' ').filter(|word| !word.is_empty());
    words.map(|word| word.replace('|', " ")).collect()
}

fn tail(path: &Path) -> String {
    format!(
        " -i tail -p path={} -p parser=bench_json -p read_from_head=on -p exit_on_eof=on -p buffer_max_size=2M",
        path.display()
    )
}

const TO_NULL: &str = " -o null -m *";

/// The same bytes in longer and longer records.
fn bytes(lines: &Lines<'_>, length: usize) -> Result<Vec<String>> {
    let records = (lines.records / 20).max(1);
    Ok(words(&(tail(&lines.of(Shape::Text, length, records)?) + TO_NULL)))
}

/// Each number has two keys of some 57 bytes together.
fn keys(lines: &Lines<'_>, keys: usize) -> Result<Vec<String>> {
    let records = (lines.records / 200).max(1);
    let file = lines.of(Shape::Keys, 80 + keys * 57 / 2, records)?;
    Ok(words(&(tail(&file) + " -o file -m * -p path=/dev -p file=null -p format=plain")))
}

fn filters(lines: &Lines<'_>, filters: usize) -> Result<Vec<String>> {
    let filter = " -F record_modifier -m * -p remove_key=none";
    Ok(words(&(tail(&lines.service()?) + &filter.repeat(filters) + TO_NULL)))
}

/// Rules of which none holds.
fn rules(lines: &Lines<'_>, rules: usize) -> Result<Vec<String>> {
    let file = lines.of(Shape::Service, LENGTH, (lines.records / 20).max(1))?;
    let rules = (0..rules).map(|rule| format!(" -p rule=$level|^x{rule}$|to.{rule}|false"));
    let filter = format!(" -F rewrite_tag -m *{}", rules.collect::<String>());
    Ok(words(&(tail(&file) + &filter + TO_NULL)))
}

/// The same lines from more and more files, each with its input.
fn inputs(lines: &Lines<'_>, inputs: usize) -> Result<Vec<String>> {
    let file = lines.of(Shape::Service, LENGTH, lines.records / inputs)?;
    Ok(words(&(tail(&file).repeat(inputs) + TO_NULL)))
}

fn outputs(lines: &Lines<'_>, outputs: usize) -> Result<Vec<String>> {
    Ok(words(&(tail(&lines.service()?) + &TO_NULL.repeat(outputs))))
}

/// The value of a key becomes the tag.
const TO_TAGS: &str = " -F rewrite_tag -m tail.* -p rule=$tag|^(.*)$|$1|false";

fn tags(lines: &Lines<'_>, tags: usize) -> Result<Vec<String>> {
    Ok(words(&(tail(&lines.tagged(tags)?) + TO_TAGS + TO_NULL)))
}

/// The oldest chunks give way.
fn tags_in_a_ring(lines: &Lines<'_>, tags: usize) -> Result<Vec<String>> {
    let ring = " -p storage.type=memrb -p mem_buf_limit=1M";
    Ok(words(&(tail(&lines.tagged(tags)?) + ring + TO_TAGS + TO_NULL)))
}

/// The same lines in more and more files of one input.
fn files(lines: &Lines<'_>, files: usize) -> Result<Vec<String>> {
    let folder = lines.folder.join(format!("files-{files}"));
    fs::create_dir_all(&folder)?;
    let text = lines::file(Shape::Service, LENGTH, lines.records / files);
    for number in 0..files {
        fs::write(folder.join(format!("{number}.jsonl")), &text)?;
    }
    Ok(words(&(tail(&folder.join("*.jsonl")) + TO_NULL)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_power_is_that_of_the_last_step() {
        assert_eq!(power(&[(1.0, 9.0), (10.0, 10.0), (100.0, 100.0)]), 1.0);
        assert_eq!(power(&[(1.0, 1.0), (10.0, 100.0)]), 2.0);
        assert_eq!(power(&[(1.0, 1.0)]), 0.0);
    }
}
