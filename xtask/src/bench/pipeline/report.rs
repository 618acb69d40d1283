//! What the rounds came to: a table, the runs as JSON, and plots.

use std::fs;
use std::path::Path;
use std::time::Duration;

use anyhow::Result;
use serde_json::{Value, json};

use super::Row;
use super::works::LENGTH;
use crate::bench::measure::median;
use crate::bench::plot::{self, Scale};

/// The load averages of the machine.
pub(super) fn load() -> String {
    let said = fs::read_to_string("/proc/loadavg").unwrap_or_default();
    said.split(' ').take(3).collect::<Vec<_>>().join(" ")
}

impl Row<'_> {
    /// CPU time a record in microseconds.
    fn each(&self, of: fn(Vec<Duration>) -> Duration) -> f64 {
        let cpu = of(self.costs.iter().map(|cost| cost.cpu).collect());
        cpu.as_secs_f64() * 1e6 / self.work.records as f64
    }

    fn peak_kib(&self) -> u64 {
        self.costs.iter().map(|cost| cost.peak_kib).max().unwrap_or_default()
    }

    fn wall(&self) -> u128 {
        median(self.costs.iter().map(|cost| cost.wall).collect()).as_millis()
    }
}

fn least(durations: Vec<Duration>) -> Duration {
    durations.into_iter().min().unwrap_or_default()
}

/// Prints the table: a line for each work. The columns of those who did not take part stay empty.
pub(super) fn rows(rows: &[Row<'_>]) -> Value {
    println!(
        "| work | records | ours us | least | peer us | least | times | by least | plugin us | least | ours MiB | peer MiB | ours wall ms |\n\
         |---|---|---|---|---|---|---|---|---|---|---|---|---|"
    );
    let mut kept = Vec::new();
    for ours in rows.iter().filter(|row| row.agent == "ours") {
        let name = &ours.work.name;
        let of_agent = |agent| {
            rows.iter().find(move |row: &&Row<'_>| row.agent == agent && row.work.name == *name)
        };
        let (peer, plugin) = (of_agent("peer"), of_agent("plugin"));
        let mut cells = vec![name.clone(), ours.work.records.to_string()];
        cells.extend([median, least].map(|of| micros(ours.each(of))));
        let shown = |show: &dyn Fn(&Row<'_>) -> String| peer.map(show).unwrap_or_default();
        cells.extend([median, least].map(|of| shown(&|peer| micros(peer.each(of)))));
        cells.extend(
            [median, least]
                .map(|of| shown(&|peer| format!("{:.1}", peer.each(of) / ours.each(of)))),
        );
        let plugins = |of: fn(Vec<Duration>) -> Duration| {
            plugin.map(|plugin| micros(plugin.each(of))).unwrap_or_default()
        };
        cells.extend([median, least].map(plugins));
        let mib = |row: &Row<'_>| format!("{:.1}", row.peak_kib() as f64 / 1024.0);
        cells.extend([mib(ours), shown(&mib), ours.wall().to_string()]);
        println!("| {} |", cells.join(" | "));
    }
    for row in rows {
        let cpu: Vec<u64> = row.costs.iter().map(|cost| cost.cpu.as_micros() as u64).collect();
        let wall: Vec<u64> = row.costs.iter().map(|cost| cost.wall.as_micros() as u64).collect();
        kept.push(json!({
            "work": row.work.name, "agent": row.agent, "records": row.work.records, "cpu_us": cpu,
            "wall_us": wall, "peak_kib": row.peak_kib(),
        }));
    }
    Value::Array(kept)
}

fn micros(value: f64) -> String {
    if value < 100.0 { format!("{value:.2}") } else { format!("{value:.0}") }
}

/// Prints how long starts took.
pub(super) fn starts(starts: &[(&str, Vec<Duration>)]) -> Value {
    let ms = |duration: Duration| duration.as_secs_f64() * 1e3;
    println!("\n| start to first filtered record | ms | least |\n|---|---|---|");
    let mut kept = serde_json::Map::new();
    for (agent, times) in starts.iter().filter(|(_, times)| !times.is_empty()) {
        println!(
            "| {agent} | {:.1} | {:.1} |",
            ms(median(times.clone())),
            ms(least(times.clone()))
        );
        kept.insert((*agent).to_owned(), times.iter().copied().map(ms).collect());
    }
    Value::Object(kept)
}

/// Draws the cost against the size of records, and against the number of filters.
pub(super) fn plots(rows: &[Row<'_>], folder: &Path) -> Result<()> {
    let points = |agent: &str, words: &str, across: fn(&Row<'_>) -> usize| -> Vec<(f64, f64)> {
        let meant = |row: &&Row<'_>| row.agent == agent && row.work.name.contains(words);
        rows.iter().filter(meant).map(|row| (across(row) as f64, row.each(median))).collect()
    };
    let sizes = |agent, words| points(agent, words, |row| row.work.length);
    let curves = [
        ("ours, one text, append", sizes("ours", "B, one text, append")),
        ("ours, many keys, append", sizes("ours", "B, many keys, append")),
        ("peer, one text, append", sizes("peer", "B, one text, append")),
        ("peer, many keys, append", sizes("peer", "B, many keys, append")),
    ];
    let drawn = plot::svg(Scale::Powers, "bytes a record", "CPU us a record", &curves);
    fs::write(folder.join("sizes.svg"), drawn)?;
    let filters = |agent: &str| {
        let mut filters = points(agent, "x echo", |row| row.work.filters.len());
        let none = |row: &&Row<'_>| {
            row.agent == agent && row.work.filters.is_empty() && row.work.length == LENGTH
        };
        filters.extend(rows.iter().find(none).map(|row| (0.0, row.each(median))));
        filters
    };
    let curves = [("ours", filters("ours")), ("peer", filters("peer"))];
    let drawn = plot::svg(Scale::Even, "filters (echo)", "CPU us a record", &curves);
    fs::write(folder.join("filters.svg"), drawn)?;
    Ok(())
}
