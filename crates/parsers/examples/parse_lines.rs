//! Lines through a parser, for `cargo xtask bench`: `parse_lines NAME FILE RECORDS PARSERS` gives lines of a file to the parser of
//! that name in a file of parsers of format regex, and prints the nanoseconds that each took.

#![expect(clippy::print_stdout, reason = "the answer goes to standard output")]
#![expect(clippy::unwrap_used, reason = "whoever measures sees the panic")]

use std::hint::black_box;
use std::time::Instant;

use flb_event::Timestamp;
use flb_plugin::Parser;

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [name, file, records, parsers] = &*arguments else {
        panic!("parse_lines NAME FILE RECORDS PARSERS");
    };
    let records: usize = records.parse().unwrap();
    let parsers = std::fs::read_to_string(parsers).unwrap();
    let parser = parser(&parsers, name);
    let text = std::fs::read(file).unwrap();
    let lines: Vec<&[u8]> = text.split(|byte| *byte == b'\n').filter(|l| !l.is_empty()).collect();
    let lines: Vec<&[u8]> = lines.iter().copied().cycle().take(records).collect();
    let start = Instant::now();
    parse(&*parser, &lines);
    println!("{:.1}", start.elapsed().as_nanos() as f64 / records as f64);
}

fn parser(parsers: &str, name: &str) -> Box<dyn Parser> {
    let named = |section: &&str| section.lines().any(|line| pair(line) == Some(("Name", name)));
    let section = parsers.split("[PARSER]").find(named).unwrap();
    let options = section.lines().filter_map(pair).map(|(key, value)| (key.to_lowercase(), value));
    let options: Vec<_> = options.filter(|(key, _)| key != "name" && key != "format").collect();
    let options: Vec<_> = options.iter().map(|(key, value)| (&**key, *value)).collect();
    let regex = flb_parsers::ALL.iter().find(|spec| spec.name == "regex").unwrap();
    flb_harness::build(regex, &options).unwrap()
}

/// A key and its value.
fn pair(line: &str) -> Option<(&str, &str)> {
    let (key, value) = line.trim().split_once(char::is_whitespace)?;
    Some((key, value.trim()))
}

/// Each line, into the same memory.
fn parse(parser: &dyn Parser, lines: &[&[u8]]) {
    let mut body = Vec::new();
    for line in lines {
        body.clear();
        parser.parse(line, Timestamp::default(), &mut body).unwrap();
        black_box(&body);
    }
}
