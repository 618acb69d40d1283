//! What `top` and `tap` print: from what an agent tells to lines of text.

use std::fmt::Write as _;

use anstyle::{AnsiColor, Style};
use flb_cli::{ERROR, HEADING, NOTE};
use flb_text::tame;
use serde_json::Value;

use super::client::Address;
use super::text;
use super::told::{Node, Problem, Told};
use crate::api::{bytes, duration};

const WARNING: Style = AnsiColor::Yellow.on_default().bold();
const GOOD: Style = AnsiColor::Green.on_default().bold();
const SOFT: Style = Style::new().dimmed();

/// What a state looks like: a sign, a word, and a style that says nothing more than these.
fn look(state: &str) -> (&'static str, Style) {
    match state {
        "ok" => ("●", GOOD),
        "paused" => ("‖", WARNING),
        "retrying" => ("↻", WARNING),
        "failing" => ("▲", ERROR),
        _ => ("✕", ERROR),
    }
}

/// The columns of a table of nodes, behind the name and the state: a heading, its width, and what stands there.
type Column = (&'static str, usize, fn(&Node) -> String);

const COLUMNS: [Column; 8] = [
    ("rec/s", 8, |node| number(node.rate())),
    ("bytes/s", 9, |node| bytes(per_second(node, node.last_minute.bytes).round() as u64)),
    ("latency", 8, latency),
    ("failed/s", 8, |node| lost(node, node.last_minute.errors)),
    ("dropped/s", 9, |node| {
        lost(node, node.last_minute.dropped + node.last_minute.dropped_by_failure)
    }),
    ("quarant./s", 10, |node| lost(node, node.last_minute.quarantined)),
    ("retries/s", 9, |node| lost(node, node.last_minute.retries)),
    ("waiting", 9, waiting),
];

/// The width of the columns of names and states.
const NAME: usize = 26;
const STATE: usize = 11;

/// A screen full of text, a line each; styles are in it as a terminal reads them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Frame(pub(super) Vec<String>);

impl Frame {
    /// What an agent told, for so many columns of letters.
    pub(super) fn of(told: &Told, width: usize) -> Self {
        let mut lines = head(told, width);
        lines.extend(told.problems.iter().flat_map(|problem| wrong(problem, width)));
        for (kind, nodes) in told.kinds().into_iter().filter(|(_, nodes)| !nodes.is_empty()) {
            lines.push(String::new());
            lines.push(heading(kind, width));
            lines.extend(nodes.iter().map(|node| row(node, width)));
        }
        Self(lines)
    }

    /// That there is no agent, or none that answers.
    pub(super) fn away(agent: &Address, error: &anyhow::Error) -> Self {
        let (sign, style) = look("down");
        let first = format!("{style}{sign} {agent} tells nothing{style:#}");
        Self(vec![first, tame(&format!("{error:#}")).into_owned()])
    }

    /// All of it.
    pub(super) fn text(&self) -> String {
        self.0.iter().fold(String::new(), |all, line| all + line.trim_end() + "\n")
    }
}

fn head(told: &Told, width: usize) -> Vec<String> {
    let Told { version, hostname, storage, problems, .. } = told;
    let uptime = duration(told.uptime_ms / 1000);
    let rate = |nodes: &[Node]| number(nodes.iter().map(Node::rate).sum());
    let first = format!("flb-agent {version} on {hostname}, running for {uptime}");
    let second = format!(
        "in {} records/s, out {} records/s; {} chunks, {} in memory, {} in files; records {} in memory, {} in storage",
        rate(&told.inputs),
        rate(&told.outputs),
        storage.chunks,
        storage.mem_chunks,
        storage.fs_chunks,
        bytes(storage.memory_bytes),
        bytes(storage.stored_bytes)
    );
    let (state, verdict) = match problems.as_slice() {
        [] => ("ok", "All is well".to_owned()),
        [problem] => (&*problem.state, "One thing is wrong now".to_owned()),
        [worst, ..] => (&*worst.state, format!("{} things are wrong now", problems.len())),
    };
    let (sign, style) = look(state);
    vec![
        format!("{NOTE}{}{NOTE:#}", cut(&first, width)),
        cut(&second, width),
        String::new(),
        format!("{style}{}{style:#}", cut(&format!("{sign} {verdict}"), width)),
    ]
}

/// A problem, and in a line of its own why.
fn wrong(problem: &Problem, width: usize) -> Vec<String> {
    let Problem { kind, name, state, message, reason, next_try_ms } = problem;
    let (sign, style) = look(state);
    let next = match next_try_ms {
        None => String::new(),
        Some(..1000) => ", next try now".to_owned(),
        Some(wait) => format!(", next try in {}", duration((wait + 500) / 1000)),
    };
    let kind = kind.trim_end_matches('s');
    let line = cut(&format!("{sign} {state}: {kind} {name} {message}{next}"), width);
    let mut lines = vec![format!("{style}{line}{style:#}")];
    let reason = reason.as_deref().and_then(|reason| reason.lines().next());
    lines.extend(reason.map(|reason| cut(&format!("    {reason}"), width)));
    lines
}

fn heading(kind: &str, width: usize) -> String {
    let mut line = format!("{kind:NAME$}{:STATE$}", "state");
    for (title, size, _) in COLUMNS {
        let _ = write!(line, " {title:>size$}");
    }
    let line = cut(&line, width);
    format!("{HEADING}{line}{HEADING:#}")
}

fn row(node: &Node, width: usize) -> String {
    let (sign, style) = look(&node.state);
    let name = match node.name.starts_with(&node.plugin) {
        true => cut(&node.name, NAME - 1),
        false => cut(&format!("{} ({})", node.name, node.plugin), NAME - 1),
    };
    let mut rest = String::new();
    for (_, size, value) in COLUMNS {
        let _ = write!(rest, " {:>size$}", value(node));
    }
    let name = cut(&format!("{name:NAME$}"), width);
    let state =
        cut(&format!("{:STATE$}", format!("{sign} {}", node.state)), width.saturating_sub(NAME));
    let rest = cut(&rest, width.saturating_sub(NAME + STATE));
    format!("{name}{style}{state}{style:#}{rest}")
}

fn per_second(node: &Node, count: u64) -> f64 {
    let seconds = node.last_minute.seconds;
    if seconds > 0.0 { count as f64 / seconds } else { 0.0 }
}

/// A rate of what should not be; a dash where there is none.
fn lost(node: &Node, count: u64) -> String {
    if count == 0 { "-".to_owned() } else { number(per_second(node, count)) }
}

fn latency(node: &Node) -> String {
    let latency = &node.last_minute.latency;
    match latency.count {
        0 => "-".to_owned(),
        count => time(latency.seconds / count as f64),
    }
}

/// What waits in a node: records of an output, or the memory of others.
fn waiting(node: &Node) -> String {
    match (node.pending, node.stored_bytes.max(node.memory_bytes).max(node.guest_memory)) {
        (0, 0) => "-".to_owned(),
        (0, memory) => bytes(memory),
        (records, _) => number(records as f64),
    }
}

/// A number for people: `0.12`, `7`, `1.3k`.
fn number(value: f64) -> String {
    const UNITS: [&str; 4] = ["", "k", "M", "G"];
    let (mut value, mut unit) = (value, 0);
    while value >= 999.5 && unit + 1 < UNITS.len() {
        value /= 1000.0;
        unit += 1;
    }
    let is_whole = value.fract().abs() < 0.005;
    let digits = match value {
        _ if is_whole => 0,
        ..0.995 => 2,
        ..9.95 => 1,
        _ => 0,
    };
    format!("{value:.digits$}{}", UNITS[unit])
}

fn time(seconds: f64) -> String {
    let (scale, unit) = match seconds {
        1.0.. => (1.0, "s"),
        0.001.. => (1e3, "ms"),
        0.000_001.. => (1e6, "µs"),
        _ => (1e9, "ns"),
    };
    format!("{} {unit}", number(seconds * scale))
}

/// The beginning of a text, harmless and on one line.
fn cut(text: &str, width: usize) -> String {
    let text = tame(text).replace('\n', " ");
    match width {
        0 => String::new(),
        _ if text.chars().count() <= width => text,
        _ => text.chars().take(width - 1).chain(['…']).collect(),
    }
}

/// A record at a node: before it with `-` and behind it with `+`.
pub(super) fn sample(sample: &Value) -> String {
    let (kind, name) = (text(sample, "kind").trim_end_matches('s'), text(sample, "name"));
    let fate = sample["fate"].as_str().unwrap_or("no record came within five seconds");
    let mut lines = format!("{NOTE}{}{NOTE:#}\n", tame(&format!("{kind} {name}: {fate}")));
    let after = sample["after"].as_array().map(Vec::as_slice).unwrap_or_default();
    if let Some(record) = sample.get("before").filter(|before| !before.is_null()) {
        let _ = writeln!(lines, "{}", record_line('-', ERROR, record));
    }
    for record in after {
        let _ = writeln!(lines, "{}", record_line('+', GOOD, record));
    }
    if let Some(more @ 1..) = sample["more"].as_u64() {
        let _ = writeln!(lines, "  and {more} more");
    }
    lines
}

fn record_line(sign: char, style: Style, record: &Value) -> String {
    let (tag, body) =
        (text(record, "tag"), flb_text::tame_json(&record["body"].to_string()).into_owned());
    format!("{style}{sign}{style:#} {SOFT}{}{SOFT:#} {body}", tame(tag))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    /// Without what only a terminal reads.
    fn plain(text: &str) -> String {
        anstream::adapter::strip_str(text).to_string()
    }

    fn told() -> Told {
        let recent = json!({"seconds": 60.0, "past": [100, 200, 200, 200, 200, 200], "bytes": 720_000,
                            "latency": {"count": 10, "seconds": 0.00035}});
        let mut failed = recent.clone();
        failed["errors"] = 7.into();
        failed["dropped_by_failure"] = 7.into();
        serde_json::from_value(json!({
            "version": "0.1.0", "hostname": "web-1", "uptime_ms": 200_000,
            "storage": {"memory_bytes": 1_540_000, "chunks": 3, "mem_chunks": 2, "fs_chunks": 1},
            "problems": [{
                "kind": "outputs", "name": "siem", "state": "down", "message": "has taken nothing for 32 s: 4 tries have failed",
                "reason": "connection refused\nmore", "next_try_ms": 8400,
            }],
            "inputs": [{"name": "app", "plugin": "tail", "state": "ok", "last_minute": recent, "memory_bytes": 1500}],
            "filters": [{"name": "wasm.0", "plugin": "wasm", "state": "failing", "last_minute": failed}],
            "outputs": [{"name": "siem", "plugin": "http", "state": "down", "last_minute": {"seconds": 60.0}, "pending": 300}],
        }))
        .unwrap()
    }

    #[test]
    fn a_frame_says_first_what_is_wrong() {
        let expected = "\
flb-agent 0.1.0 on web-1, running for 3 min 20 s
in 200 records/s, out 0 records/s; 3 chunks, 2 in memory, 1 in files; records 1.5 MB in memory, 0 B in storage

✕ One thing is wrong now
✕ down: output siem has taken nothing for 32 s: 4 tries have failed, next try in 8 s
    connection refused

inputs                    state          rec/s   bytes/s  latency failed/s dropped/s quarant./s retries/s   waiting
app (tail)                ● ok             200     12 kB    35 µs        -         -          -         -    1.5 kB

filters                   state          rec/s   bytes/s  latency failed/s dropped/s quarant./s retries/s   waiting
wasm.0                    ▲ failing        200     12 kB    35 µs     0.12      0.12          -         -         -

outputs                   state          rec/s   bytes/s  latency failed/s dropped/s quarant./s retries/s   waiting
siem (http)               ✕ down             0       0 B        -        -         -          -         -       300
";
        assert_eq!(plain(&Frame::of(&told(), 120).text()), expected);
    }

    #[test]
    fn a_frame_is_as_wide_as_its_terminal_and_steers_it_nowhere() {
        let mut told = told();
        told.inputs[0].name = "a\u{1b}[2Jb\nc".to_owned();
        for width in [0, 1, 20, 40, 80] {
            let text = plain(&Frame::of(&told, width).text());
            for line in text.lines() {
                assert!(line.chars().count() <= width, "{width}: {line}");
            }
        }
        assert!(plain(&Frame::of(&told, 80).text()).contains("a\\u{1b}[2Jb c"));
    }

    #[test]
    fn a_record_is_printed_before_and_after() {
        let record = |tag, body| json!({"tag": tag, "time": 1.5, "metadata": {}, "body": body});
        let shown = plain(&sample(&json!({
            "kind": "filters", "name": "enrich", "fate": "became several", "more": 2,
            "before": record("app", json!({"a": 1})),
            "after": [record("app", json!({"a": 1, "b": "\u{1b}"})), record("other", json!({}))],
        })));
        let expected = "filter enrich: became several\n- app {\"a\":1}\n+ app {\"a\":1,\"b\":\"\\u001b\"}\n\
                        + other {}\n  and 2 more\n";
        assert_eq!(shown, expected);
        let none = json!({"kind": "inputs", "name": "in", "fate": null, "before": null, "after": [], "more": 0});
        assert_eq!(plain(&sample(&none)), "input in: no record came within five seconds\n");
    }

    #[test]
    fn numbers_are_short() {
        let values = [0.0, 0.12, 7.0, 9.96, 250.0, 1290.0, 12_900_000.0];
        let shown = values.map(number);
        assert_eq!(shown, ["0", "0.12", "7", "10", "250", "1.3k", "13M"]);
        assert_eq!([0.0000004, 0.00035, 0.2, 3.0].map(time), ["400 ns", "350 µs", "200 ms", "3 s"]);
    }
}
