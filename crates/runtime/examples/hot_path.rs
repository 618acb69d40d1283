//! One stage of a record's way at a time, for `cargo xtask bench`: `hot_path STAGE FILE RECORDS [MODULE [FUNCTION]]` takes the lines of
//! a file as records and prints the nanoseconds that each took. MODULE is text or binary; its function is `filter`, if nothing else is said.

#![expect(clippy::print_stdout, reason = "the answer goes to standard output")]
#![expect(clippy::unwrap_used, reason = "whoever measures sees the panic")]

#[path = "support/filtered.rs"]
mod filtered;

use std::hint::black_box;
use std::time::{Duration, Instant};

use flb_event::json::{self, JsonOptions, Printer, Sent};
use flb_event::{Chunk, ChunkBuilder, Event, RecordTooLarge, Tag, Timestamp};
use flb_runtime::{EngineOptions, FilterEngine, FilterInstance, FilterModule, FilterOptions};

use filtered::filtered;

fn main() {
    let mut arguments = std::env::args().skip(1);
    let mut next = || arguments.next();
    let (stage, file) = (next().unwrap(), next().unwrap());
    let records: usize = next().unwrap().parse().unwrap();
    let module = next();
    let function = next().unwrap_or_else(|| "filter".to_owned());
    let filter = module.map(|module| instance(&module, &function));
    let text = std::fs::read(file).unwrap();
    let lines: Vec<&[u8]> = text.split(|byte| *byte == b'\n').filter(|l| !l.is_empty()).collect();
    let lines: Vec<&[u8]> = lines.iter().copied().cycle().take(records).collect();
    let start = Instant::now();
    let elapsed = match stage.as_str() {
        "parse" => {
            black_box(parse(&lines));
            start.elapsed()
        }
        "write" => write(&parse(&lines)),
        "again" => again(&parse(&lines)),
        "call" => call(&parse(&lines), filter.unwrap()),
        "stage" => {
            let chunk = parse(&lines);
            call(&chunk, filter.unwrap());
            start.elapsed()
        }
        _ => panic!("there is no stage '{stage}'"),
    };
    println!("{:.1}", elapsed.as_nanos() as f64 / records as f64);
}

fn instance(module: &str, function: &str) -> FilterInstance {
    let bytes = wat::parse_file(module).unwrap();
    let engine = FilterEngine::new(EngineOptions::default()).unwrap();
    let deadline = Duration::from_secs(60);
    let options = FilterOptions { deadline, ..FilterOptions::new(function) };
    FilterModule::load(&engine, bytes, options).unwrap().instantiate().unwrap()
}

/// JSON to msgpack.
fn parse(lines: &[&[u8]]) -> Chunk {
    let mut chunk = ChunkBuilder::new(Tag::new("bench").unwrap());
    for line in lines {
        let parsed = chunk.push_with(Timestamp::default(), Event::NO_METADATA, |body| {
            json::parse_object(line, body).map_err(|_| RecordTooLarge)?;
            Ok::<(), RecordTooLarge>(())
        });
        parsed.unwrap();
    }
    chunk.build()
}

/// Msgpack to JSON.
fn write(chunk: &Chunk) -> Duration {
    let start = Instant::now();
    let mut printer = Printer::new(JsonOptions::default());
    let mut text = Vec::new();
    for event in chunk.records() {
        text.clear();
        printer.print(event.body, &mut text).unwrap();
        black_box(&text);
    }
    start.elapsed()
}

/// The same, and a changed text to msgpack again, as after a filter that appends.
fn again(chunk: &Chunk) -> Duration {
    let start = Instant::now();
    let mut printer = Printer::new(JsonOptions::default());
    let (mut text, mut answer, mut body) = (Vec::new(), Vec::new(), Vec::new());
    for event in chunk.records() {
        text.clear();
        printer.print(event.body, &mut text).unwrap();
        answer.clear();
        answer.extend_from_slice(&text[..text.len() - 1]);
        answer.extend_from_slice(b",\"seen\":true}");
        body.clear();
        let sent = Sent { text: &text, map: event.body, members: printer.members() };
        json::parse_again(&answer, sent, &mut body).unwrap();
        black_box(&body);
    }
    start.elapsed()
}

/// A filter and all around it: msgpack to JSON, the call, its answer to msgpack into another chunk.
fn call(chunk: &Chunk, mut filter: FilterInstance) -> Duration {
    let start = Instant::now();
    black_box(filtered(&mut filter, chunk));
    start.elapsed()
}
